"""hwgw tune beside TuneD on the same made host: value by value, and after a crash.

SPDX-License-Identifier: MIT

Skipped where TuneD is neither installed nor unpacked (make tuned); the table stands in docs/TUNE.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support import hosts, tuned

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def both() -> tuple[dict[str, tuned.Run], list[tuned.Row]]:
    """Return what every profile of TuneD did, and every place beside ours."""
    if why := tuned.missing():
        pytest.skip(why)
    return tuned.head_to_head()


def test_every_difference_is_explained(both: tuple[dict[str, tuned.Run], list[tuned.Row]]) -> None:
    """Where TuneD sets something that we do not, or the other way round, a reason stands beside it."""
    _, rows = both
    assert [row for row in rows if not row.why] == []
    theirs = [row for row in rows if any(value != row.before for value in row.theirs.values())]
    assert len(theirs) >= 20
    assert sum(row.why.startswith("the same") for row in theirs) >= 15


def test_page_has_this_table(root: Path, both: tuple[dict[str, tuned.Run], list[tuned.Row]]) -> None:
    """Otherwise: python -m support.tuned docs/TUNE.md, with tests/ on the path."""
    runs, rows = both
    assert tuned.markdown(rows, runs) in (root / "docs/TUNE.md").read_text(encoding="utf-8")


def test_tuned_comes_back_from_neither_an_alias_nor_a_crash(
    both: tuple[dict[str, tuned.Run], list[tuned.Row]], tmp_path: Path
) -> None:
    """What ours is held to in tests/unit/test_tune_apply.py and test_tune_kill.py, seen to fail with the same tools."""
    runs, _ = both
    assert len(tuned.values(hosts.make(tmp_path))) > 700  # what is compared
    assert runs["realtime"].left == {"/sys/devices/virtual/workqueue/writeback/cpumask": "bb"}
    assert runs["network-latency"].left == {}
    for name, least in (("network-latency", 9), ("cpu-partitioning", 15), ("realtime", 15)):
        assert len(runs[name].left_by_crash) >= least
