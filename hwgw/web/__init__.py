"""`hwgw serve`: the dashboard, from the standard library's HTTP server and files beside it; nothing from elsewhere.

SPDX-License-Identifier: MIT
"""

from .guard import Access
from .server import Server

__all__ = ["Access", "Server"]
