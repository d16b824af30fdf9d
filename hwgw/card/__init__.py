"""The FPGA card: one driver, whatever it is reached through.

SPDX-License-Identifier: MIT

transport.py  where the registers are: a PCIe BAR, a UIO device, a Verilated model, a cocotb bench
driver.py     what they mean: identity, channels, symbols, counters, prices
"""

from .driver import Card, open_card
from .transport import Bar, Transport

__all__ = ["Bar", "Card", "Transport", "open_card"]
