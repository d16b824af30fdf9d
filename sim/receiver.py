"""A receive backend as a Python object, for tests and measurements; the gateway itself polls in C.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwgw import specs
from hwgw.closing import Closing
from hwgw.native import call, ffi, lib, text

_COUNTERS = {
    name.removeprefix("HWGW_CNT_RX_").lower(): getattr(lib, name)
    for name in dir(lib)
    if name.startswith("HWGW_CNT_RX_")
}
_TX_COUNTERS = {
    name.removeprefix("HWGW_CNT_TX_").lower(): getattr(lib, name)
    for name in dir(lib)
    if name.startswith("HWGW_CNT_TX_")
}
_STATES = {int(code.value): code.slug for code in specs.load("segment").enums["receive_state"].values}


def ipv4(address: str) -> int:
    """A dotted address in host order."""
    parts = [int(part) for part in address.split(".")]
    return parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3]


def make_flows(flows: Sequence[tuple[str, int]]) -> Any:
    """A C array of flows, all of channel 0."""
    return ffi.new("struct hwgw_flow[]", [{"group": ipv4(group), "port": port} for group, port in flows])


@dataclass(frozen=True)
class Frame:
    """One received frame, copied out."""

    data: bytes
    flow: int
    t_rx: int
    ts_ns: int
    queue: int


class Receiver(Closing):
    """An open hwgw_rx. Settings are the fields of struct hwgw_rx_cfg; queues, eal_args and flows are lists.

    A flow is a pair (group, port).
    """

    def __init__(self, backend: str, flows: Sequence[tuple[str, int]] = (), **settings: Any) -> None:
        texts = {key: ffi.new("char[]", value.encode()) for key, value in settings.items() if isinstance(value, str)}
        texts["backend"] = ffi.new("char[]", backend.encode())
        array = make_flows(flows)
        queues = ffi.new("uint32_t[]", list(settings.get("queues", ())))
        if "queues" in settings:
            settings = {**settings, "queues": queues, "queue_cnt": len(queues)}
        arguments = [ffi.new("char[]", argument.encode()) for argument in settings.get("eal_args", ())]
        if "eal_args" in settings:
            settings = {**settings, "eal_args": ffi.new("char *[]", arguments), "eal_arg_cnt": len(arguments)}
        values = {**settings, **texts, "flow_cnt": len(flows), "flows": array if flows else ffi.NULL}
        config = ffi.new("struct hwgw_rx_cfg *", values)
        out = ffi.new("struct hwgw_rx **")
        self._frames = ffi.new("struct hwgw_frame[]", lib.HWGW_BATCH_MAX)
        self._counters = ffi.new("uint64_t[]", lib.HWGW_COUNTER_CNT)
        self.rx = ffi.NULL
        call(lib.hwgw_rx_open, out, config)
        self.rx = out[0]

    def poll(self, cnt_max: int = 256, release: bool = True) -> list[Frame]:
        """One poll; the frames are copied and, unless told otherwise, given back."""
        cnt = lib.hwgw_rx_poll(self.rx, self._frames, cnt_max)
        frames = [
            Frame(bytes(ffi.buffer(frame.data, frame.len)), frame.flow, frame.t_rx, frame.ts_ns, frame.queue)
            for frame in self._frames[0:cnt]
        ]
        if release:
            lib.hwgw_rx_release(self.rx)
        return frames

    def release(self) -> None:
        """Give back what was polled with release=False."""
        lib.hwgw_rx_release(self.rx)

    def drain(self, quiet_s: float = 0.0) -> list[Frame]:
        """Everything that comes, until nothing has come for quiet_s."""
        frames: list[Frame] = []
        last = time.monotonic()
        while True:
            got = self.poll()
            frames += got
            if got:
                last = time.monotonic()
            elif time.monotonic() - last >= quiet_s:
                return frames

    def settle(self, sent: int, quiet_s: float = 0.02, limit_s: float = 5.0) -> list[Frame]:
        """What comes until the sent frames since open are received or counted as lost, and a moment more for surplus.

        Gives up after limit_s; the caller compares.
        """
        frames: list[Frame] = []
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            got = self.poll()
            frames += got
            if not got and self.accounted() >= sent:
                break
        return frames + self.drain(quiet_s)

    def stats(self) -> dict[str, int]:
        """The rx counters by name."""
        lib.hwgw_rx_stats(self.rx, self._counters)
        return {name: self._counters[index] for name, index in _COUNTERS.items()}

    def send(self, frames: Sequence[bytes]) -> int:
        """Hand frames over to be sent; how many were taken."""
        array = ffi.new("struct hwgw_frame[]", [{"data": ffi.from_buffer(one), "len": len(one)} for one in frames])
        return int(lib.hwgw_rx_send(self.rx, array, len(frames)))

    def unsent(self) -> int:
        """Frames taken that have not left."""
        return int(lib.hwgw_rx_unsent(self.rx))

    def sent(self) -> dict[str, int]:
        """The tx counters by name."""
        lib.hwgw_rx_stats(self.rx, self._counters)
        return {name: self._counters[index] for name, index in _TX_COUNTERS.items()}

    def accounted(self) -> int:
        """Frames received and lost: what must equal the frames sent."""
        stats = self.stats()
        return stats["frames"] + sum(value for name, value in stats.items() if name.startswith("drop_"))

    @property
    def state(self) -> str:
        """The receive state as of the last stats: up, link_down, gone, detached or changed."""
        return _STATES[lib.hwgw_rx_state(self.rx)]

    @property
    def reason(self) -> str:
        """Why the state is not up; empty when it is."""
        return text(lib.hwgw_rx_reason(self.rx))

    @property
    def ended(self) -> bool:
        """No frame can come any more."""
        return bool(lib.hwgw_rx_ended(self.rx))

    @property
    def memory(self) -> Any:
        """All frames' memory as a cffi buffer, or None when the backend has none."""
        size = ffi.new("uint64_t *")
        start = lib.hwgw_rx_memory(self.rx, size)
        return ffi.buffer(start, size[0]) if start else None

    @property
    def description(self) -> str:
        """What hwgw_rx_describe says."""
        return text(lib.hwgw_rx_describe(self.rx))

    def close(self) -> None:
        """Close; a second call does nothing."""
        lib.hwgw_rx_close(self.rx)
        self.rx = ffi.NULL
