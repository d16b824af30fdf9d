"""A pipeline without a receive backend, on a segment of its own: frames go in, the segment says what became of them.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hwgw import specs
from hwgw.feature_choice import native_features, parse_all
from hwgw.gateway import RISK_WHERE
from hwgw.native import call, ffi, lib
from hwgw.segment import Segment
from hwgw.settings import MODES, Latency, Model
from hwgw.telemetry import ledger_rows
from hwgw.venue_model import native_model

GROUP, PORT = 0xE9360C6F, 26477  # 233.54.12.111
MOLD_SESSION = b"000000059B"
_serial = itertools.count()


def checksum(header: bytes) -> int:
    total = sum(struct.unpack(f">{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mold(seq: int, messages: Sequence[bytes], count: int | None = None, session: bytes = MOLD_SESSION) -> bytes:
    blocks = b"".join(struct.pack(">H", len(message)) + message for message in messages)
    return session + struct.pack(">QH", seq, len(messages) if count is None else count) + blocks


def frame(payload: bytes, group: int = GROUP, port: int = PORT, flags: int = 0x4000) -> bytes:
    """Ethernet, IPv4 and UDP around a payload, by RFC 791 and 768; flags: fragmentation word, don't fragment."""
    ip = struct.pack(">BBHHHBBH4sI", 0x45, 0, 28 + len(payload), 0, flags, 1, 17, 0, b"\x0a\0\0\1", group)
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    mac = b"\x01\0\x5e" + struct.pack(">I", group & 0x7FFFFF)[1:]
    udp = struct.pack(">HHHH", 40000, port, 8 + len(payload), 0)
    return mac + b"\x02\0\0\0\0\1\x08\0" + ip + udp + payload


# ---- messages by the published layout, for books made by hand ----


def directory(locate: int, symbol: str) -> bytes:
    return struct.pack(">cHH6s8s", b"R", locate, 0, bytes(6), symbol.ljust(8).encode()) + b"QN" + bytes(4) + b"N" * 14


def add(locate: int, symbol: str, ref: int, side: str, shares: int, px: int) -> bytes:
    head = struct.pack(">cHH6sQ", b"A", locate, 0, bytes(6), ref)
    return head + side.encode() + struct.pack(">I8sI", shares, symbol.ljust(8).encode(), px)


def delete(locate: int, ref: int) -> bytes:
    return struct.pack(">cHH6sQ", b"D", locate, 0, bytes(6), ref)


def executed(locate: int, ref: int, shares: int, match: int = 1) -> bytes:
    return struct.pack(">cHH6sQIQ", b"E", locate, 0, bytes(6), ref, shares, match)


def trading_action(locate: int, symbol: str, state: str) -> bytes:
    return struct.pack(">cHH6s8s", b"H", locate, 0, bytes(6), symbol.ljust(8).encode()) + state.encode() + b" " * 5


def compile_probe(built: Path) -> Path:
    """The strategy of probe_strategy.c as a shared object."""
    return compile_strategy("probe_strategy.c", built)


def compile_strategy(source_name: str, built: Path) -> Path:
    """A strategy of this folder as a shared object."""
    source = Path(__file__).with_name(source_name)
    subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", "-I", include_folder(), "-o", str(built), str(source)], check=True, timeout=60
    )
    return built


@cache
def probe_strategy() -> Any:
    """The strategy of probe_strategy.c, compiled and loaded once."""
    folder = Path(__file__).resolve().parents[2] / "build" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    built = compile_probe(folder / f"probe-{os.getpid()}.so")
    found = ffi.new("const struct hwgw_strategy **")
    try:
        call(lib.hwgw_strategy_load, found, str(built).encode())
    finally:
        built.unlink()
    return found[0]


def include_folder() -> str:
    """Where hwgw.h and hwgw_records.h of the installed package are."""
    import hwgw._native as native

    return str(Path(native.__file__).parent / "include")


def open_limits(symbol_cnt: int) -> np.ndarray:
    """Limits that let everything pass, for the first symbol_cnt instruments; all checks on but those of habits."""
    limits = np.zeros(1, specs.dtype("risk", "limits"))
    off = {"duplicate", "self_cross", "short_sale"}
    limits["checks_enabled"] = sum(1 << reason.code for reason in specs.reasons() if reason.name not in off)
    limits["beat_age_max_ns"] = 10**12
    limits["ref_age_max_ns"] = 10**12
    wide = {"credit_max": 2**62, "loss_max": 2**62, "open_max": 4096, "rate_burst": 2**30, "rate_refill_ns": 0}
    for name, value in wide.items():
        limits["gateway"][name] = value
        limits["account"][name] = value
    limits["strategy"]["rate_burst"] = 2**30
    limits["strategy"]["fills_max"] = 2**31
    limits["strategy"]["rejects_run_max"] = 2**31
    row = limits["instrument"][0, :symbol_cnt]
    row["flags"] = 1
    row["qty_max"] = 10**6
    row["notional_max"] = 2**62
    row["collar_q16"] = 65536
    row["collar_px_min"] = 10**9
    row["long_max"] = row["short_max"] = 10**9
    row["locate_qty"] = 10**9
    return limits


class Rig:
    """A pipeline, its segment and the numbering of its feed."""

    def __init__(
        self,
        symbols: Sequence[str],
        strategies: Sequence[tuple[Any, dict[str, int]]] = (),
        *,
        session: Any = None,
        limits: np.ndarray | None = None,
        stale_ns: int = 0,
        jump_max: int = 0,
        hold_max: int = 0,
        window_ns: int = 0,
        orders_max: int = 100_000,
        sample_shift: int = 0,
        cancel_on_halt: bool = False,
        stale_halt_ns: int = 0,
        rx: dict[str, Any] | None = None,
        flow: dict[str, int] | None = None,
        udp_checksum: bool = False,
        features: Sequence[str] = (),
        snapshot_port: int = 0,
        servers: Sequence[int] = (),
        recover: dict[str, int] | None = None,
        journal_sz_bytes: int = 0,
        replay: Sequence[tuple[bytes, int]] = (),
        replay_halts: bool = False,
        fanout_bytes: int = 0,
        depth: int = 0,
        shown: Sequence[str] = (),
        paper: Sequence[tuple[Any, dict[str, int]]] = (),
        model: Model | None = None,
        mode: str = "live",
        venues: Sequence[str] = (),
        risk: tuple[str, ...] = ("host", ""),
        rules: Sequence[dict[str, Any]] = (),
        router: dict[str, int] | None = None,
        armed: bool = True,
        frames: bool = False,
        bare: bool = False,
        lines: int = 1,
    ) -> None:
        """replay: blocks of a journal as records and how many these are, replay_halts: with its halts;
        depth, shown: levels and features.

        paper: strategies of a twin; model: of its venue, else one that is 0 ns away.
        mode: what the strategies of the pipeline say.
        venues: names of several; session is then an array of as many, and each has a channel of its own.
        risk: whose gate, the library of the card, and "card" when it sends.
        rules: of the card, their name and instrument beside the fields of the table.
        frames: its journal has them; bare: on a virtual clock, and nobody has said anything to it, not even limits.
        lines: of each channel; line B is the group behind that of A.
        servers: ports of re-request servers here; recover: more of how the first channel recovers.
        """
        name = f"rig-{os.getpid()}-{next(_serial)}"
        self.segment = Segment.create(
            name,
            tuple(symbols) * max(1, len(venues)),
            journal_sz_bytes=journal_sz_bytes,
            fanout_sz_bytes=fanout_bytes,
            depth_levels=depth,
            features=parse_all(shown),
            venues=tuple(venues),
        )
        self.symbols = tuple(symbols)
        if not bare:
            self.segment.publish_limits(open_limits(len(symbols)) if limits is None else limits)
            for number in range(len(strategies) if armed else 0):
                self.segment.arm(number)
            self.segment.beat()
        self._keep: list[Any] = [session, rx]
        cfg = ffi.new("struct hwgw_pipeline_cfg *")
        channels = max(1, len(venues))
        flows = ffi.new(
            "struct hwgw_flow[]",
            [
                flow or {"group": GROUP + line, "port": PORT + i, "channel": i, "line": line}
                for i in range(channels)
                for line in range(lines)
            ],
        )
        chosen = self._strategies(strategies, features, mode)
        self.paper = self._twin(cfg, paper, journal_sz_bytes, limits, model) if paper else None
        cfg.segment = self.segment.pointer
        cfg.cpu = -1
        cfg.journal_frames, cfg.virtual_clock = frames, bare
        cfg.sample_shift = sample_shift
        cfg.udp_checksum = udp_checksum
        cfg.rx.flows, cfg.rx.flow_cnt = flows, len(flows)
        for key, value in (rx or {}).items():
            setattr(cfg.rx, key, value)
        cfg.books.instrument_cnt, cfg.books.orders_max = len(symbols) * channels, orders_max
        cfg.cancel_on_halt = cancel_on_halt
        cfg.stale_halt_ns = stale_halt_ns
        cfg.channel_cnt = channels
        for number in range(1, channels):
            cfg.channel[number].line_cnt, cfg.channel[number].venue = 1, number
        cfg.risk_where = RISK_WHERE[risk[0]]
        self._keep.append(ffi.new("char[]", risk[1].encode()))
        cfg.risk_card = self._keep[-1]
        cfg.card_sends = "card" in risk[2:]
        cfg.rule_cnt, cfg.rule = len(rules), self._rules(rules)
        cfg.channel[0].line_cnt, cfg.channel[0].stale_ns, cfg.channel[0].jump_max = lines, stale_ns, jump_max
        cfg.channel[0].hold_max, cfg.channel[0].recover.window_ns = hold_max, window_ns
        self._recover(cfg.channel[0].recover, snapshot_port, servers, recover or {})
        cfg.strategy, cfg.strategy_cnt = chosen, len(strategies)
        cfg.session, cfg.session_cnt = (ffi.NULL, 0) if session is None else (session, channels)
        parts = ffi.new("struct hwgw_replay_part[]", max(1, len(replay)))
        for number, (data, cnt) in enumerate(replay):
            self._keep.append(ffi.from_buffer(data))
            parts[number].data, parts[number].len = self._keep[-1], len(data)
            parts[number].record_cnt, parts[number].block = cnt, number + 1
        for key, value in (router or {}).items():
            setattr(cfg.router, key, value)
        cfg.replay, cfg.replay_cnt, cfg.replay_halts = parts, len(replay), replay_halts
        self._keep.append(parts)
        self._keep += [cfg, flows, chosen]
        handle = ffi.new("struct hwgw_pipeline **")
        try:
            call(lib.hwgw_pipeline_open, handle, cfg)
        except BaseException:
            self._give_up()
            raise
        self.handle = handle[0]
        self.seqs = [1] * channels

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        lib.hwgw_pipeline_close(self.handle)
        self._give_up()

    def _give_up(self) -> None:
        for segment in filter(None, (self.segment, self.paper)):
            for latch in ("halt", "instrument_halt", "venue_halt"):  # so that nothing is left behind
                segment.control[latch] = 0
            segment.close()

    def _strategies(self, given: Sequence[tuple[Any, dict[str, int]]], features: Sequence[str], mode: str) -> Any:
        chosen = ffi.new("struct hwgw_strategy_cfg[]", max(1, len(given)))
        for index, (desc, params) in enumerate(given):
            names = [ffi.string(desc.param_names[i]).decode() for i in range(desc.param_cnt)]
            assert set(params) <= set(names)
            values = [params.get(name, desc.param_defaults[i]) for i, name in enumerate(names)]
            self._keep.append(ffi.new("int64_t[]", values))
            chosen[index].strategy = desc
            chosen[index].params = self._keep[-1]
            chosen[index].id = index
            chosen[index].mode = MODES.index(mode)
            self._keep.append(native_features(parse_all(features)))
            chosen[index].features = self._keep[-1]
        self._keep.append(chosen)
        return chosen

    @staticmethod
    def _recover(to: Any, snapshot_port: int, servers: Sequence[int], more: dict[str, int]) -> None:
        to.snapshot.address, to.snapshot.port = 0x7F000001, snapshot_port
        to.username, to.password = b"tester", b" " * 10
        to.snapshot_timeout_ns, to.snapshot_retry_ns = 2 * 10**9, 10**6
        to.server_cnt = len(servers)
        for server, port in zip(to.server, servers, strict=False):
            server.address, server.port = 0x7F000001, port
        for key, value in more.items():
            setattr(to, key, value)

    def _rules(self, given: Sequence[dict[str, Any]]) -> Any:
        rows = ffi.new("struct hwgw_rule_cfg[]", max(1, len(given)))
        self._keep.append(rows)
        for row, rule in zip(rows, given, strict=False):
            self._keep.append(ffi.new("char[]", rule["name"].encode()))
            row.name, row.instrument = self._keep[-1], rule["instrument"]
            for key in rule.keys() - {"name", "instrument"}:
                setattr(row.rule, key, rule[key])
        return rows

    def _twin(
        self,
        cfg: Any,
        given: Sequence[tuple[Any, dict[str, int]]],
        journal_sz_bytes: int,
        limits: np.ndarray | None,
        model: Model | None,
    ) -> Segment:
        venues = self.segment.venues
        symbols = self.symbols * max(1, len(venues))
        name = f"{self.segment.name}-paper"
        segment = Segment.create(name, symbols, journal_sz_bytes=journal_sz_bytes, venues=venues)
        segment.publish_limits(open_limits(len(self.symbols)) if limits is None else limits)
        segment.beat()
        twin = ffi.new("struct hwgw_twin_cfg[]", 1)
        twin[0].segment, twin[0].mode = segment.pointer, MODES.index("paper")
        twin[0].model, keep = native_model(model or Model(*[Latency.constant(0)] * 3))
        self._keep.append(keep)
        twin[0].strategy, twin[0].strategy_cnt = self._strategies(given, (), "paper"), len(given)
        for number in range(len(given)):
            segment.arm(number)
        self._keep.append(twin)
        cfg.twin, cfg.twin_cnt = twin, 1
        return segment

    def push(self, *frames: bytes) -> None:
        """Frames as they are."""
        lens = ffi.new("uint32_t[]", [len(each) for each in frames])
        lib.hwgw_pipeline_frames(self.handle, b"".join(frames), lens, len(frames))

    @property
    def seq(self) -> int:
        """Of the next message of the first channel."""
        return self.seqs[0]

    @seq.setter
    def seq(self, value: int) -> None:
        self.seqs[0] = value

    def feed(self, *messages: bytes, channel: int = 0) -> None:
        """Messages in the next packet of a channel."""
        self.push(frame(mold(self.seqs[channel], messages), port=PORT + channel))
        self.seqs[channel] += len(messages)

    def rising(self, cnt: int, per: int = 20) -> list[bytes]:
        """Packets of so many bids each, for push: the n-th bids n shares at 1_000_000 + n, cnt bids in all."""
        frames = []
        for first in range(1, cnt, per):
            adds = [add(1, "AAPL", 10_000 + n, "B", n, 1_000_000 + n) for n in range(first, first + per)]
            frames.append(frame(mold(self.seq, adds)))
            self.seq += per
        return frames

    def step(self) -> None:
        lib.hwgw_pipeline_step(self.handle)

    def publish(self) -> None:
        lib.hwgw_pipeline_publish(self.handle)

    def cnt(self, name: str) -> int:
        return self.segment.counters()[name]

    def ledgers(self) -> int:
        """Assert that every ledger is exact; how many there are."""
        rows = ledger_rows(self.segment.counters())
        assert [row for row in rows if not row.exact] == []
        return len(rows)

    def quote(self, symbol: str = "AAPL", locate: int = 1, bid: int = 1_000_000, ask: int = 1_000_200) -> None:
        """A directory message and one order on each side, in three packets."""
        base = 1000 * locate
        self.feed(directory(locate, symbol))
        self.feed(add(locate, symbol, base + 1, "B", 500, bid))
        self.feed(add(locate, symbol, base + 2, "S", 500, ask))
