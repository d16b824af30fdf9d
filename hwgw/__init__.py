"""hwgw: a hardware gateway between an exchange's network and a trading strategy.

SPDX-License-Identifier: MIT
"""

__version__ = "0.1.0"
