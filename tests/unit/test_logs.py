"""Logs: for people or as JSON, never more than so many lines, and what was held back is told.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import datetime
import io
import json
import os
import threading

import pytest

from hwgw import logs
from hwgw.logs import BURST, PER_SECOND, Log


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as the test has it."""
    at = [100.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: at[0])
    return at


def test_a_line_for_people_is_who_and_what():
    out = io.StringIO()
    assert Log("gw", stream=out).say("halted", "HALTED (loss): too much", "error", uid=7)
    assert out.getvalue() == "gw: HALTED (loss): too much\n"


def test_a_line_of_json_has_everything():
    out = io.StringIO()
    Log("gw", "json", out).say("halted", "a \n line", "error", uid=7)
    assert out.getvalue().count("\n") == 1
    row = json.loads(out.getvalue())
    when = datetime.datetime.fromisoformat(row.pop("time"))
    assert abs((datetime.datetime.now(datetime.UTC) - when).total_seconds()) < 3600
    assert row == {"level": "error", "who": "gw", "pid": os.getpid(), "event": "halted", "text": "a \n line", "uid": 7}


def test_a_storm_is_cut_and_counted_and_another_event_passes(now):
    out = io.StringIO()
    log = Log("gw", "json", out)
    passed = [log.say("feed", "x") for _ in range(BURST + 30)]
    assert passed == [True] * BURST + [False] * 30
    assert log.say("halted", "y")
    now[0] += 1.0
    assert [log.say("feed", "z") for _ in range(int(PER_SECOND) + 1)] == [True] * int(PER_SECOND) + [False]
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row.get("suppressed") for row in rows if row["text"] == "z"] == [30, None, None, None, None]
    now[0] += 3600.0
    assert [log.say("feed", "w") for _ in range(BURST + 1)] == [True] * BURST + [False]


class Gone(io.StringIO):
    """What a pipe is whose reader went away, while it is."""

    is_gone = True

    def write(self, text: str) -> int:
        if self.is_gone:
            raise BrokenPipeError
        return super().write(text)


def test_nobody_ends_because_nobody_reads_and_what_was_not_written_is_told(now):
    out = Gone()
    log = Log("gw", "json", out)
    assert [log.say("feed", "x") for _ in range(3)] == [False] * 3
    out.is_gone = False
    assert log.say("feed", "y")
    assert json.loads(out.getvalue())["suppressed"] == 3


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("halted\ngw: resumed", r"halted\ngw: resumed"),
        ("\x1b[2J\x9b2J\r\x07", r"\x1b[2J\x9b2J\r\x07"),
        ("a \u202e b \u2028", r"a \u202e b \u2028"),
        ("Prix trop élevé, 価格", "Prix trop élevé, 価格"),
    ],
)
def test_what_others_wrote_is_one_line_and_moves_no_cursor(text, line):
    out = io.StringIO()
    Log("gw", stream=out).say("halted", text)
    assert out.getvalue() == f"gw: {line}\n"


def test_names_of_events_are_bounded(now):
    log = Log("gw", stream=io.StringIO())
    passed = sum(log.say(f"event {number}", "x") for number in range(2000))
    assert passed == 256 + BURST
    assert len(log._buckets) <= 257


def test_quiet_keeps_what_went_wrong():
    out = io.StringIO()
    log = Log("gw", stream=out, is_quiet=True)
    log.say("a", "nothing")
    log.say("b", "something", "warning")
    assert out.getvalue() == "gw: something\n"


def test_lines_of_threads_are_whole(now):
    out = io.StringIO()
    log = Log("gw", "json", out)
    threads = [threading.Thread(target=lambda: [log.say(f"e{n % 9}", "x" * 500) for n in range(40)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([json.loads(line) for line in out.getvalue().splitlines()]) == 160


def test_run_says_what_happens_as_json(hwgw, root, tmp_path):
    done = hwgw("run", root / "deploy/examples/nothing.yaml", "--log", "xml")
    assert done.returncode == 2
    assert "'xml' is not one of 'human', 'json'" in done.stderr
