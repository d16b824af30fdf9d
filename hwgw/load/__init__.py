"""`hwgw sim load`: a gateway under load and faults: profiles, stage and report.

SPDX-License-Identifier: MIT
"""
