"""`hwgw demo`: the simulated exchange against the gateway on one machine; stage, panel and report.

SPDX-License-Identifier: MIT
"""
