"""What `hwgw top` shows: pages of a look at a gateway, in 80 x 24 characters or more, and the program around them.

SPDX-License-Identifier: MIT
"""

from .pages import PAGES, headline, page

__all__ = ["PAGES", "headline", "page"]
