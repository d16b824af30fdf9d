"""docs/TUNE.md: every command of the page runs and prints what stands there.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import difflib
from pathlib import Path

from support import tour


def test_the_tour_prints_what_the_page_shows(root: Path) -> None:
    """Otherwise: python -m support.tour docs/TUNE.md, with tests/ on the path."""
    page = (root / "docs/TUNE.md").read_text(encoding="utf-8")
    today, cnt = tour.replay(page)
    assert cnt >= 12
    changed = "".join(difflib.unified_diff(page.splitlines(True), today.splitlines(True), "page", "today", n=1))
    assert not changed, changed
