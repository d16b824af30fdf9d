"""Receive: AF_XDP native and generic against kernel sockets, on one veth pair, by turns.

SPDX-License-Identifier: MIT

One core injects, the other receives; the receive half of veth's soft interrupt runs on the injecting core, so that the
rate is the limit of injection and kernel path as much as of the receiver. Throughput is the highest rate at which no
frame of a run was lost; a run that loses frames is repeated, then at a lower rate. One way is from the moment a frame
was due (10,000 a second) to the moment poll gave it, receiver spinning.
"""

from __future__ import annotations

import os
import socket
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cffi import FFI
from hwgw_sim import wire
from hwgw_sim.receiver import Receiver
from hwgw_sim.wire import Wire, udp_frame

from hwgw import native

from .harness import RUNS_LARGE, Options, Result, Unavailable, by_turns, compile_shared, result

HERE = Path(__file__).parent
FLOW = ("239.1.2.3", 26400)
PAYLOAD_BYTES = 58  # a frame of 100 bytes
GAP_NS = 100_000
SLICE = 2_000  # paced frames in one go
PAUSE_S = 0.2  # after which neighbours have had their turn
TRIES_MAX = 12
BACK_OFF = 0.9
FRAMES = 16_384  # of the UMEM: rides out a few milliseconds in which a neighbour has the core


@dataclass(frozen=True)
class Measured:
    """One run of one contestant."""

    mpps: float
    p50_us: float
    p99_us: float


class Bench:
    """The pair, the compiled load and the cores it runs on."""

    def __init__(self, pair: Wire, folder: Path) -> None:
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise Unavailable("needs two cores")
        self.tx_cpu, self.rx_cpu = cores[0], cores[1]
        self.pair = pair
        self.ffi = FFI()
        header = (HERE / "rx_load.h").read_text(encoding="utf-8")
        opaque = "struct hwgw_rx; struct hwgw_frame;"
        self.ffi.cdef(opaque + header.partition("/* hwgw cdef begin */")[2].partition("/* hwgw cdef end */")[0])
        self.lib: Any = self.ffi.dlopen(str(compile_shared(HERE / "rx_load.c", folder)))
        made = self.ffi.new("int[2]")
        if failed := self.lib.load_injector(made, made + 1):
            raise Unavailable(f"loading the injector: {os.strerror(-failed)}")
        self.program, self.map = made
        for end in ("tx", "rx"):  # gives both ends a NAPI context, which injected frames and plain sockets need
            pair.run(end, "ethtool", "-K", pair.device[end], "gro", "on")
        self.ifindex = pair.index("tx")

    def close(self) -> None:
        """Give program and map back."""
        os.close(self.program)
        os.close(self.map)

    def _receiver(self, source: Receiver | socket.socket, **settings: Any) -> Any:
        values: dict[str, Any] = {"cpu": self.rx_cpu, "limit_ns": 8 * 10**9, "quiet_ns": 50 * 10**6, **settings}
        if isinstance(source, Receiver):
            for name in ("poll", "release"):
                address = int(native.ffi.cast("uintptr_t", native.ffi.addressof(native.lib, f"hwgw_rx_{name}")))
                kind = self.ffi.typeof("struct load_receiver").fields
                values[name] = self.ffi.cast(dict(kind)[name].type, address)
            values["rx"] = self.ffi.cast("struct hwgw_rx *", int(native.ffi.cast("uintptr_t", source.rx)))
        else:
            values["fd"] = source.fileno()
        return self.ffi.new("struct load_receiver *", values)

    def _run(self, receiver: Any, send: Callable[[], int]) -> None:
        """Receive on a thread of its own while send runs here."""
        thread = threading.Thread(target=self.lib.load_receive, args=(receiver,))
        thread.start()
        while not receiver.ready:
            time.sleep(0.001)
        try:
            with self.pair.inside("tx"):
                failed = send()
        finally:
            receiver.stop = 1
            thread.join()
        if failed:
            raise OSError(-failed, f"sending: {os.strerror(-failed)}")

    def flood(self, source: Receiver | socket.socket, cnt: int, frames_per_s: int) -> tuple[int, float]:
        """Send cnt frames at a rate (0 = as fast as it goes); frames that arrived, and their rate in Mpps."""
        receiver = self._receiver(source, want=cnt)
        frame = udp_frame(*FLOW, bytes(PAYLOAD_BYTES))
        injector = (self.program, self.map, self.ifindex)
        self._run(
            receiver,
            lambda: self.lib.load_flood(*injector, frame, len(frame), cnt, frames_per_s, self.tx_cpu),
        )
        span_ns = receiver.last_ns - receiver.first_ns
        return receiver.frames, receiver.frames * 1e3 / span_ns if span_ns else 0.0

    def lossless_mpps(self, source: Receiver | socket.socket, cnt: int) -> float:
        """The rate of the first run without loss, beginning with the highest."""
        rate = 0
        for attempt in range(TRIES_MAX):
            arrived, mpps = self.flood(source, cnt, rate)
            if arrived == cnt:
                return mpps
            time.sleep(PAUSE_S)
            if attempt % 2:  # the first loss at a rate may have been a neighbour's doing
                rate = int((rate or mpps * 1e6) * BACK_OFF)
        raise Unavailable(f"{TRIES_MAX} runs lost frames, the last at {rate} frames/s: the machine is too busy")

    def one_way_us(self, source: Receiver | socket.socket, cnt: int) -> tuple[float, float]:
        """p50 and p99 at a fixed rate, in slices short enough that the scheduler takes no core back in the middle."""
        values: list[int] = []
        while len(values) < cnt:
            part = min(SLICE, cnt - len(values))
            latency = self.ffi.new("uint64_t[]", part)
            receiver = self._receiver(source, want=part, latency_ns=latency)
            frame = self.ffi.new("uint8_t[]", udp_frame(*FLOW, bytes(PAYLOAD_BYTES)))
            with self.pair.packet_socket("tx") as raw:
                arguments = (raw.fileno(), frame, len(frame), part, GAP_NS, self.tx_cpu)
                self._run(receiver, lambda arguments=arguments: self.lib.load_paced(*arguments))
            if receiver.frames != part:
                raise Unavailable(f"{part - receiver.frames} of {part} paced frames were lost")
            values += self.ffi.unpack(latency, part)
            time.sleep(PAUSE_S)
        values.sort()
        return values[cnt // 2] / 1e3, values[cnt * 99 // 100] / 1e3

    def measure(self, open_source: Callable[[], Any], flood_cnt: int, paced_cnt: int) -> Measured:
        """One run: throughput, then one way, on one opening."""
        with open_source() as source:
            self.flood(source, min(flood_cnt, 50_000), 0)  # warms up
            time.sleep(PAUSE_S)
            mpps = self.lossless_mpps(source, flood_cnt)
            time.sleep(PAUSE_S)
            p50, p99 = self.one_way_us(source, paced_cnt)
            if isinstance(source, Receiver):
                stats = source.stats()
                lost = sum(value for name, value in stats.items() if name.startswith("drop_"))
                if stats["frames"] < flood_cnt + paced_cnt or (lost and stats["drop_nic"] > lost):
                    raise RuntimeError(f"{source.description}: counters do not fit the run: {stats}")
            return Measured(mpps, p50, p99)

    def backend(self, name: str, **settings: Any) -> Callable[[], Receiver]:
        """Opens a backend on the receiving end."""

        def opener() -> Receiver:
            with self.pair.inside("rx"):
                return Receiver(name, [FLOW], interface=self.pair.device["rx"], **settings)

        return opener

    def plain(self) -> socket.socket:
        """The socket a program without hwgw would use."""
        with self.pair.inside("rx"):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE, as the udp backend has it
            sock.bind((FLOW[0], FLOW[1]))
            member = socket.inet_aton(FLOW[0]) + socket.inet_aton(self.pair.address["rx"])
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("8s", member))
        return sock


def run(options: Options) -> list[Result]:
    """Lossless rate and one-way time of each way to receive."""
    reason = native.ffi.new("char[200]")
    if not native.lib.hwgw_rx_available(b"afxdp", reason, 200):
        raise Unavailable(f"afxdp: {native.text(reason)}")
    if missing := wire.missing():
        raise Unavailable(missing)
    flood_cnt, paced_cnt = options.size(500_000, 20_000), options.size(8_000, 300)
    with Wire() as pair, tempfile.TemporaryDirectory() as folder:
        bench = Bench(pair, Path(folder))
        try:
            ways = {
                "native": bench.backend("afxdp", mode="native", frame_cnt=FRAMES),
                "generic": bench.backend("afxdp", mode="generic", frame_cnt=FRAMES),
                "recvmmsg": bench.backend("udp"),
                "recvmsg": bench.plain,
            }
            jobs = [lambda way=way: bench.measure(way, flood_cnt, paced_cnt) for way in ways.values()]
            found = dict(zip(ways, by_turns(options.runs(RUNS_LARGE), *jobs), strict=True))
        finally:
            bench.close()
    for way, runs in found.items():
        medians = [statistics.median(getattr(one, name) for one in runs) for name in ("mpps", "p50_us", "p99_us")]
        options.say("{:8s} {:.2f} Mpps lossless, one way {:.2f} us p50, {:.2f} us p99".format(way, *medians))

    def figure(name: str, unit: str, way: str, field: str, against: str) -> Result:
        ours, theirs = ([getattr(one, field) for one in found[key]] for key in (way, against))
        return result(name, unit, ours, f"kernel {against}", theirs)

    return [
        figure("rx_afxdp_mpps", "Mpps", "native", "mpps", "recvmmsg"),
        figure("rx_afxdp_generic_mpps", "Mpps", "generic", "mpps", "recvmmsg"),
        figure("rx_udp_mpps", "Mpps", "recvmmsg", "mpps", "recvmsg"),
        figure("rx_oneway_us_p50", "us", "native", "p50_us", "recvmmsg"),
        figure("rx_oneway_us_p99", "us", "native", "p99_us", "recvmmsg"),
        figure("rx_oneway_generic_us_p50", "us", "generic", "p50_us", "recvmmsg"),
        figure("rx_oneway_udp_us_p50", "us", "recvmmsg", "p50_us", "recvmsg"),
    ]
