"""A pipeline whose card sends, as a process of its own, so that it can be killed: `-m support.card_host SETTINGS`.

SPDX-License-Identifier: MIT

SETTINGS is JSON: address and port of the venue, where and library of the gate, replay: files of records and how many
each holds. It prints the name of its segment; of what comes on its standard input each byte is something to do (DO).
"""

from __future__ import annotations

import json
import os
import time
from ipaddress import IPv4Address
from pathlib import Path

from hwgw.native import lib

from . import rig as r
from .desk import SYMBOLS, probe, session_cfg
from .restored import RING
from .rig import Rig

DO = {"quote": b"q", "order": b"o"}  # the first book of two sides; one that has changed: each is an order
TURN_S = 0.0002


def main(text: str) -> None:
    """Until the end of standard input."""
    given = json.loads(text)
    place = {"address": int(IPv4Address(given["address"])), "reconnect_ms": 10, "login_timeout_ms": 60_000}
    session = session_cfg(given["port"], **place)
    replay = [(Path(path).read_bytes(), cnt) for path, cnt in given["replay"]]
    os.set_blocking(0, False)
    with Rig(
        SYMBOLS, probe(tif=lib.HWGW_ORDER_TIF_DAY), session=session, journal_sz_bytes=RING, replay=replay,
        risk=(given["where"], given["library"], "card"),
    ) as rig:  # fmt: skip
        print(rig.segment.name, flush=True)
        count = 0
        while (wanted := _wanted()) != b"":
            if wanted == DO["quote"]:
                rig.quote()
            elif wanted == DO["order"]:
                count += 1
                rig.feed(r.add(1, "AAPL", 10_000 + count, "B", 100, 1_000_000 + count))
            rig.step()
            rig.publish()
            time.sleep(TURN_S)


def _wanted() -> bytes | None:
    """What is to be done now; None: nothing, empty: the end."""
    try:
        return os.read(0, 1)
    except BlockingIOError:
        return None
