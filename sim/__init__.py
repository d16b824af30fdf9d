"""hwgw_sim: the outside world of the gateway (exchange, faults, network lab, golden models) and its referee.

SPDX-License-Identifier: MIT
"""
