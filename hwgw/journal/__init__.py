"""The journal of a gateway on disk: reading, proving whole, and where the next run goes on.

SPDX-License-Identifier: MIT

Files NAME-NUMBER.journal in one folder are one chain of blocks (hwgw/specs/journal.yaml, docs/journal.md). files.py
reads and proves them, start.py finds what the writer has to know, restore.py what the next run is rebuilt from.
"""

from .files import Block, Record, Report, blocks, files_of, names, records, verify
from .restore import Replay, replay

__all__ = ["Block", "Record", "Replay", "Report", "blocks", "files_of", "names", "records", "replay", "verify"]
