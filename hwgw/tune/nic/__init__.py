"""NIC settings, read and written without the program ethtool: netlink, and ioctl where that has no operation.

SPDX-License-Identifier: MIT
"""

from .engine import Nic

__all__ = ["Nic"]
