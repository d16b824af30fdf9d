"""What observers make of a gateway's shared segment.

SPDX-License-Identifier: MIT
"""

from .feed_log import FeedLog, describe_change
from .ledger import LedgerRow, ledger_rows
from .snapshot import snapshot

__all__ = ["FeedLog", "LedgerRow", "describe_change", "ledger_rows", "snapshot"]
