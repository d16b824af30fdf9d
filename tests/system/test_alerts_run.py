"""Alerts of a gateway that trades: hwgw run starts their watcher, which tells of halts and outlives a kill.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
import yaml
from support.market import PATIENCE_S, Market, is_alive, until


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_halt_is_told_and_an_end_unless_it_was_asked_for(tmp_path: Path, end: signal.Signals) -> None:
    rules = {when: {"when": when, "channels": ["local"]} for when in ("halted", "gone")}
    alerts = {"poll": "1ms", "settle": "0s", "channels": {"local": {"kind": "unix", "path": "told"}}, "rules": rules}
    with Market(tmp_path, rate=2_000, seconds=120) as market, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "told"))
        told.settimeout(3 * PATIENCE_S)

        def next_() -> tuple[str, str, str]:
            row = json.loads(told.recv(65_536))
            return row["state"], row["rule"], row["key"]

        path = market.config()
        path.write_text(path.read_text() + yaml.safe_dump({"alerts": alerts}))
        gateway = market.start_file(path, "--log", "json")
        assert gateway.stderr
        fd, written = gateway.stderr.fileno(), bytearray()
        os.set_blocking(fd, False)

        def said(event: str) -> list[dict]:
            """What hwgw run wrote of an event so far."""
            with contextlib.suppress(BlockingIOError):
                while part := os.read(fd, 65_536):
                    written.extend(part)
            rows = [json.loads(line) for line in bytes(written).split(b"\n")[:-1]]
            return [row for row in rows if row["event"] == event]

        with market.attached() as segment:
            until(lambda: bool(watchers(path)), "the watcher runs", 3 * PATIENCE_S)
            (killed,) = watchers(path)
            os.kill(killed, signal.SIGKILL)
            until(lambda: watchers(path) not in ([], [killed]), "it is started anew", 3 * PATIENCE_S)
            (watcher,) = watchers(path)
            assert [row["text"] for row in said("alerts")] == ["the watcher of alerts ended with status -9"]
            data = int(segment.head["data_pid"])
            segment.halt("drill")
            until(lambda: bool(said("halted")), "hwgw run says so", 3 * PATIENCE_S)
            assert next_() == ("firing", "halted", "operator")
            segment.resume()
            until(lambda: bool(said("resumed")), "hwgw run says so", 3 * PATIENCE_S)
            assert next_() == ("recovered", "halted", "operator")
            os.kill(gateway.pid, end)
            gateway.wait(timeout=3 * PATIENCE_S)
            until(lambda: not is_alive(data) and not is_alive(watcher), "nothing is left", 3 * PATIENCE_S)
        told.setblocking(False)
        rest = []
        while True:
            try:
                rest.append(next_())
            except BlockingIOError:
                break
        if end == signal.SIGTERM:
            assert rest == []
            halted = [(row["text"], row["reason"], row["uid"]) for row in said("halted")]
            assert halted == [("HALTED (operator): drill", "operator", os.getuid())]
            assert [row["reasons"] for row in said("resumed")] == [["operator"]]
        else:
            assert ("firing", "gone", "gateway") in rest
            assert ("firing", "halted", "control_lost") in rest


def watchers(config: Path) -> list[int]:
    """Processes that watch for this configuration."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"alert" in words and str(config).encode() in words and is_alive(int(entry.name)):
            found.append(int(entry.name))
    time.sleep(0.05)
    return found
