"""Every example of docs/python-rx.md runs as it stands there, in the lab that the page describes.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hwgw_sim import wire
from hwgw_sim.lab import Namespace
from support import forked

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "python-rx.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^## ([^\n]+)$|^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
# a line that each example prints: what it claims
PRINTS = {
    "AF_XDP and DPDK from Python": r"Ledger\(offered=(\d+), used=\1, drops=\{\}\)",
    "Receiving": r"lost: 0 Ledger\(offered=(\d+), used=\1, drops=\{\}\)",
    "Several queues, several threads": (
        r"(?s)(?=.*queue 0 Ledger\(offered=(\d{3,}), used=\1, drops=\{\}\)).*"
        r"queue 1 Ledger\(offered=(\d{3,}), used=\2, drops=\{\}\)"
    ),
    "Sending": r"1000 sent at [1-9]\d+ frames/s, lateness in ns \{'p50': \d+",
    "Capturing": r"(?s)([1-9]\d+) frames, .*\n\1 read back",
    "Without any privilege": r"b'hello'",
}

pytestmark = [
    pytest.mark.root,
    pytest.mark.afxdp,
    pytest.mark.skipif(bool(wire.missing()), reason=f"no network namespace of our own: {wire.missing()}"),
]


def examples() -> Iterator[tuple[str, str]]:
    """Each example and the heading it stands under."""
    heading = PAGE.splitlines()[0].removeprefix("# ")
    for title, code in EXAMPLES:
        heading = title or heading
        if code:
            yield heading, code


@pytest.fixture(scope="module")
def lab() -> Iterator[Namespace]:
    """The namespace of the page, with its pair and its sender."""
    place = Namespace("veth1", "10.9.0.2", "")
    try:
        place.without_ipv6()
        place.ip("link set lo up")
        (setup,) = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        assert setup.count("\n") == 5
        place.run(["sh", "-e", "-c", setup], check=True)
        place.wait_for_carrier()
        senders = re.findall(r"^hwgw (send .*) &$", PAGE, re.MULTILINE)
        assert len(senders) == 2
        for line in senders:
            forked.inside(place)([sys.executable, "-m", "hwgw.cli", *shlex.split(line)])
        yield place
    finally:
        place.close()


def test_the_page_has_an_example_for_each_of_its_claims() -> None:
    assert [heading for heading, _ in examples()] == list(PRINTS)


@pytest.mark.parametrize(("heading", "code"), list(examples()), ids=[heading for heading, _ in examples()])
def test_an_example_runs_and_prints_what_it_says(lab: Namespace, tmp_path: Path, heading: str, code: str) -> None:
    command: list[Any] = [sys.executable, "-W", "error", "-c", code]
    with lab.entered():
        done = forked.run(command, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(PRINTS[heading], done.stdout), done.stdout
