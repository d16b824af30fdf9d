"""What observers make of a gateway's shared segment.

SPDX-License-Identifier: MIT
"""

from .ledger import LedgerRow, ledger_rows
from .snapshot import snapshot

__all__ = ["LedgerRow", "ledger_rows", "snapshot"]
