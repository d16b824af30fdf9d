"""A reader of the fan-out that is stopped: the gateway and another reader notice nothing, and it knows what it missed.

SPDX-License-Identifier: MIT

HWGW_STOPPED_SECONDS=60 stops it for a minute.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml
from support.market import PATIENCE_S, Market, until

from hwgw.telemetry import ledger_rows

SECONDS = float(os.environ.get("HWGW_STOPPED_SECONDS", "0"))
RECORDS = 3 * 16_384  # three times what the ring has
READER = """
import json, sys, hwgw
with hwgw.attach(sys.argv[1]) as live:
    events, read = live.events(oldest=True), 0
    first = events.next
    print("reads", flush=True)
    for batch in events:
        read += len(batch)
print(json.dumps({"read": read, "missed": events.missed, "came": events.next - first, "next": events.next}))
"""


def reader(name: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", READER, name], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "reads\n"
    return process


def test_nobody_notices_a_reader_that_is_stopped_and_it_is_told_how_many_records_it_missed(tmp_path: Path) -> None:
    with Market(tmp_path, rate=20_000, seconds=SECONDS + 60) as market:
        path = market.config()
        path.write_text(path.read_text() + yaml.safe_dump({"fanout": {"ring_mib": 1}}))
        gateway = market.start_file(path)
        with market.attached("session.executed") as segment:
            stopped, other = reader(market.name), reader(market.name)
            try:
                stopped.send_signal(signal.SIGSTOP)
                before, end = segment.counters(), time.monotonic() + SECONDS
                until(
                    lambda: (
                        segment.counters()["book.updates"] > before["book.updates"] + RECORDS and time.monotonic() > end
                    ),
                    "the ring was written over",
                    SECONDS + 3 * PATIENCE_S,
                )
                after = segment.counters()
                assert after["session.executed"] > before["session.executed"]
                assert segment.halted is None
                assert segment.channel_status()[0]["state"] == "good"
                stopped.send_signal(signal.SIGCONT)
                gateway.send_signal(signal.SIGTERM)
                assert gateway.wait(15) == 0
                assert [row for row in ledger_rows(segment.counters()) if not row.exact] == []
                told = [json.loads(each.communicate(timeout=PATIENCE_S)[0]) for each in (stopped, other)]
            finally:
                for each in (stopped, other):
                    each.kill()
                    each.wait()
        print(json.dumps(told))
        slept, awake = told
        assert slept["next"] == awake["next"]  # both saw the last record
        for each in told:
            assert each["read"] + each["missed"] == each["came"]
        assert slept["missed"] >= RECORDS - 16_384
        assert awake["missed"] < slept["missed"]
