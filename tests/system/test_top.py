"""hwgw top against a running gateway: every page, seeking back, a halt that asks first; and without a terminal.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console
from support.market import PATIENCE_S, Market

from hwgw import audit
from hwgw.segment import Segment
from hwgw.telemetry.history import History
from hwgw.telemetry.view import view
from hwgw.top import PAGES, headline, page

textual = pytest.importorskip("textual", reason="textual is not installed (pip install 'hwgw[top]')")
from hwgw.top.app import Confirm, Help, Top  # noqa: E402
from hwgw.top.text import line  # noqa: E402


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with Market(tmp_path_factory.mktemp("top"), rate=2_000, seconds=300) as made:
        made.environment = {"HWGW_STATE_DIR": str(made.folder)}
        made.publish = {"depth": 5, "features": ["spread", "microprice", "imbalance:5", "ofi_decay", "slope"]}
        made.start()
        with made.attached():
            yield made


@pytest.fixture
def recorded(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWGW_STATE_DIR", str(market.folder))


def text_of(name: str, look: dict, history: History, width: int = 80) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width)
    console.print(headline(look))
    console.print(page(name, look, history))
    return out.getvalue()


def shown(app: Top) -> str:
    """The screen as characters."""
    lines = [app.screen._compositor.render_strips()[y] for y in range(app.size.height)]
    return "\n".join("".join(segment.text for segment in strip) for strip in lines)


def drive(market: Market, act: Callable, size: tuple[int, int] = (80, 24)) -> None:
    async def run() -> None:
        app = Top([market.name], interval_s=0.1)
        async with app.run_test(size=size) as pilot:

            async def until(done: Callable[[], bool], what: str) -> None:
                end = time.monotonic() + PATIENCE_S
                while not done():
                    assert time.monotonic() < end, f"gave up waiting until {what}:\n{shown(app)}"
                    await pilot.pause(0.05)

            await act(app, pilot, until)

    asyncio.run(run())


def test_each_page_is_whole_in_80_columns_and_says_what_the_segment_says(market):
    with Segment.attach(market.name) as segment:
        look = view(segment)
    history = History()
    history.add(look)
    pages = {name: text_of(name, look, history) for name in PAGES}
    for name, text in pages.items():
        assert max(len(line) for line in text.splitlines()) <= 80, name
        assert "…" not in text, f"{name} is cut:\n{text}"
        assert f"{market.name}  running" in text
    assert all(symbol in pages["books"] for symbol in look["books"])
    assert all(pages["books"].count(name) == len(look["books"]) for name in ("microprice", "imbalance:5", "slope:5"))
    assert "orders pass" in pages["overview"]
    assert all(row["limit"] in pages["risk"] for row in look["usage"])
    assert f"{look['counters']['order.encoded']:,}" in pages["orders"]
    assert look["channels"][0]["state"] in pages["feed"]
    assert all(stage in pages["latency"] for stage in look["latency_ns"])


def test_keys_turn_pages_seek_and_come_back(market):
    async def act(app, pilot, until):
        await until(lambda: len(app.history) > 12, "there is a history")
        for number, name in enumerate(PAGES, 1):
            await pilot.press(str(number))
            assert app.shown_page == name
            await until(lambda: market.name in shown(app), f"{name} is drawn")
        await pilot.press("tab")
        assert app.shown_page == "overview"
        assert app.seek_ns is None
        oldest, newest = app.history.span_ns()
        await pilot.press("left", "left", "left")
        assert app.seek_ns is not None
        assert oldest <= app.seek_ns < newest + 10**9
        then = app.history.at(app.seek_ns)
        frames = then["counters"]["rx.frames"]
        await until(lambda: app.look["counters"]["rx.frames"] > frames, "the gateway went on")
        assert app.history.at(app.seek_ns)["counters"]["rx.frames"] == frames
        assert "held" in shown(app)
        await pilot.press("end")
        assert app.seek_ns is None
        await until(lambda: " now " in shown(app), "it shows what is so now")
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        await pilot.press("escape")
        assert not isinstance(app.screen, Help)

    drive(market, act)


def test_a_halt_asks_for_the_name_and_is_on_record(market, recorded):
    async def act(app, pilot, until):
        await pilot.press("h")
        assert isinstance(app.screen, Confirm)
        await pilot.press(*"wrong", "enter")
        assert isinstance(app.screen, Confirm)
        await pilot.press("escape")
        with Segment.attach(market.name) as segment:
            assert segment.halts == ()
        await pilot.press("h", *(key if key != "-" else "minus" for key in market.name), "enter")
        await until(lambda: bool(app.look["halts"]), "it is halted")
        await until(lambda: "HALTED: operator" in shown(app), "it is shown")

    try:
        drive(market, act)
        with Segment.attach(market.name) as segment:
            assert [(row["reason"], row["text"], row["uid"]) for row in segment.halts] == [
                ("operator", "halted in hwgw top", os.getuid())
            ]
        assert [row["action"] for row in audit.verify(market.name)][-1] == "halt"
    finally:
        with Segment.attach(market.name, writable=True) as segment:
            segment.resume()


def test_a_gateway_that_goes_away_is_told_and_not_an_error(market):
    async def act(app, pilot, until):
        app.gateway = "nobody-of-this-name"
        app.take()
        await until(lambda: "nobody-of-this-name" in shown(app), "it is told")
        await pilot.press("n")
        await until(lambda: app.look is not None, "there is another")

    drive(market, act)


def test_without_a_terminal_it_prints_once(market, hwgw):
    done = hwgw("top", market.name)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{market.name}  running")
    done = hwgw("top", market.name, "--json")
    (row,) = json.loads(done.stdout)["gateways"]
    assert row["schema"] == "hwgw.view/1"
    assert row["rates"]["packets"] >= 0
    assert set(row["books"]) == set(market.exchange.ready["names"])
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nobody-of-this-name"], "no gateway 'nobody-of-this-name' on this host"),
        (["--page", "nonsense"], "'nonsense' is not one of"),
        (["--interval", "0"], "0.0 is not in the range"),
    ],
)
def test_mistakes_are_one_line(market, hwgw, args, said):
    done = hwgw("top", *args)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_in_a_terminal_it_runs_until_q(market):
    """Through a real pseudo-terminal of 24 x 80, as over ssh."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "hwgw.cli", "top", market.name, "--interval", "0.2"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        seen, end, asked = b"", time.monotonic() + 3 * PATIENCE_S, False
        while process.poll() is None and time.monotonic() < end:
            if select.select([master], [], [], 0.2)[0]:
                try:
                    seen += os.read(master, 65_536)
                except OSError:
                    break
            if not asked and b"running" in seen:
                os.write(master, b"q")
                asked = True
        if process.poll() is None and not asked:
            process.kill()
        process.wait(timeout=PATIENCE_S)
    os.close(master)
    assert asked, seen[-2000:]
    assert process.returncode == 0
    assert market.name.encode() in seen


def test_a_label_and_its_text_never_touch():
    assert line("state", "up").plain == "state      up"
    assert line("event records", "0").plain == "event records 0"


def test_a_history_forgets_and_begins_anew_with_the_gateway():
    def look(second: int, frames: int, pid: int = 7) -> dict:
        counters = dict.fromkeys(
            ("itch.messages", "book.updates", "strategy.calls", "order.encoded", "session.executed"), 0
        )
        counters |= {"mold.frames": frames, "risk.refused_credit": 2 * frames, "rx.drop_nic": frames}
        counters |= {"mold.drop_duplicate": 99 * frames}
        return {"time_ns": second * 10**9, "control_pid": pid, "counters": counters}

    history = History(seconds=10, step_seconds=1)
    assert history.at(5) is None
    assert [history.add(look(second, 100 * second)) for second in range(1, 21)] == [True] * 20
    assert not history.add({**look(20, 5), "time_ns": 20 * 10**9 + 1})
    assert len(history) == 10
    assert history.span_ns() == (11 * 10**9, 20 * 10**9)
    assert history.rates("packets", 3) == [100.0] * 3
    assert history.rates("refused", 2) == [200.0] * 2
    assert history.rates("dropped", 2) == [100.0] * 2  # a second line's copies are no loss
    assert history.rates("packets", 40, until_ns=13 * 10**9) == [100.0] * 2
    assert history.at(15 * 10**9 + 5)["time_ns"] == 15 * 10**9
    assert history.at(0)["time_ns"] == 11 * 10**9
    history.add(look(30, 1, pid=8))
    assert len(history) == 1


def test_importing_the_command_is_light(hwgw, root: Path):
    script = "import sys, hwgw.cli.top; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"textual", "rich", "numpy"}
