"""A rig with a session to a venue of sockets, both turned by the test.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from hwgw.native import ffi, lib

from . import rig as r
from . import soup_venue as sv
from .rig import Rig

SYMBOLS = ("AAPL", "MSFT", "IBM")


def probe(**params: int) -> list[tuple[Any, dict[str, int]]]:
    """The probe strategy with these parameters, for a rig."""
    return [(r.probe_strategy(), params)]


def session_cfg(port: int, **options: Any) -> Any:
    """The session of the tests' trader at a venue on this host; options: fields that are to be otherwise."""
    cfg = ffi.new("struct hwgw_session_cfg *")
    values = {
        "address": 0x7F000001, "port": port, "username": sv.USERNAME, "password": sv.PASSWORD,
        "requested_session": b" " * 10, "firm": b"    ", "capacity": b"P", "display": b"Y", "requested_seq": 1,
        "login_timeout_ms": 5000, "dead_link_ms": 15000, "reconnect_ms": 0,
    }  # fmt: skip
    for name, value in (values | options).items():
        setattr(cfg, name, value)
    return cfg


class Desk:
    """Logged in, with the probe strategy unless another is given."""

    def __init__(
        self,
        *,
        strategy: Any = None,
        params: dict[str, int] | None = None,
        receive_sz: int = 0,
        cancel_on_halt: bool = False,
        features: Sequence[str] = (),
        limits: Any = None,
        journal_sz_bytes: int = 0,
        session: dict[str, Any] | None = None,
        paper: Sequence[tuple[Any, dict[str, int]]] = (),
        venue: sv.Venue | None = None,
        risk: tuple[str, ...] = ("host", ""),
        rules: Sequence[dict[str, Any]] = (),
        rx: dict[str, Any] | None = None,
        frames: bool = False,
        **probe_params: int,
    ) -> None:
        """venue: one that listens elsewhere, at the address of session. The rest is as in Rig."""
        self.venue = venue or sv.Venue(receive_sz)
        cfg = session_cfg(self.venue.port, **(session or {}))
        chosen = probe(**probe_params) if strategy is None else [(strategy, params or {})]
        self.rig = Rig(
            SYMBOLS, chosen, session=cfg, limits=limits, cancel_on_halt=cancel_on_halt, features=features,
            journal_sz_bytes=journal_sz_bytes, paper=paper, risk=risk, rules=rules, rx=rx,
            frames=frames,
        )  # fmt: skip
        self.packets: list[bytes] = []
        self.wait(1)
        self.venue.send(sv.login_accepted())
        self.wait(2)
        self.venue.sequenced(sv.query_response(1))
        self.until(lambda: int(self.rig.segment.threads[0]["session_state"]) == lib.HWGW_SEGMENT_SESSION_STATE_UP)

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.rig.__exit__()
        self.venue.close()

    def until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + sv.PATIENCE_S
        while not done():
            self.rig.step()
            self.venue.step()
            self.packets += self.venue.packets()
            assert time.monotonic() < end, "gave up waiting"

    def wait(self, cnt: int) -> None:
        """Until the venue has read cnt packets in all."""
        self.until(lambda: len(self.packets) >= cnt)

    def cnt(self, name: str) -> int:
        return self.rig.cnt(name)
