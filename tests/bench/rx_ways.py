"""Ways to receive, for the receive benchmark: each opens, counts what comes, and says when it came.

SPDX-License-Identifier: MIT

A Source is one opening. begin(want) returns when its loop runs on the receiving core; end() stops it and gives what
it got. Local sources run the loop of rx_load.c on a thread: a backend, a whole pipeline, or plain recvmsg. Python is a
loop over hwgw.rx. Remote is a local source in a process of its own (rx_worker.py), for libraries that a process can
start only once.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cffi import FFI
from hwgw_sim.receiver import Receiver, ipv4

import hwgw.rx
from hwgw import native
from hwgw.closing import Closing

from ..support.rig import Rig
from .harness import Unavailable, compile_shared

HERE = Path(__file__).parent
GROUP, PORT = "239.1.2.3", 26400
FLOW = (GROUP, PORT)
LIMIT_NS = 8 * 10**9
QUIET_NS = 50 * 10**6
STAMP_BYTES = 8
READY_S = 10.0
SPIN_US = 10_000_000  # hwgw.rx.recv spins as the loops in C do
SO_RCVBUFFORCE = 33
SOCKET_BYTES = 64 << 20  # as the udp backend has it


class Got(NamedTuple):
    """Frames that came, the time from the first to the last, and how late each was, if asked for."""

    frames: int
    span_ns: int
    latency_ns: list[int]


class Load:
    """The compiled loops of rx_load.c."""

    def __init__(self, folder: Path, rx_cpu: int) -> None:
        self.rx_cpu = rx_cpu
        self.ffi = FFI()
        header = (HERE / "rx_load.h").read_text(encoding="utf-8")
        opaque = "struct hwgw_rx; struct hwgw_frame; struct hwgw_pipeline;"
        self.ffi.cdef(opaque + header.partition("/* hwgw cdef begin */")[2].partition("/* hwgw cdef end */")[0])
        target = folder / "rx_load.so"
        self.lib: Any = self.ffi.dlopen(str(target if target.exists() else compile_shared(HERE / "rx_load.c", folder)))

    def function(self, field: str, name: str) -> Any:
        """A function of hwgw as the field of struct load_receiver wants it."""
        address = int(native.ffi.cast("uintptr_t", native.ffi.addressof(native.lib, name)))
        return self.ffi.cast(dict(self.ffi.typeof("struct load_receiver").fields)[field].type, address)

    def pointer(self, kind: str, value: Any) -> Any:
        """A pointer of hwgw's cffi as one of ours."""
        return self.ffi.cast(kind, int(native.ffi.cast("uintptr_t", value)))


class Source(Closing):
    """One opening; a context manager. what: for people."""

    what = ""

    def begin(self, want: int, paced: bool = False) -> None:
        """Receive until so many have come; paced: keep the latency of each."""
        raise NotImplementedError

    def schedule(self, start_ns: int, gap_ns: int) -> None:
        """When the frames will be due, for those that cannot read it from the frame."""

    def end(self) -> Got:
        """No more will be sent: what came."""
        raise NotImplementedError

    def close(self) -> None:
        """Give everything back."""


class Local(Source):
    """The loop of rx_load.c on a thread of this process."""

    def __init__(self, load: Load, opened: Any, what: str, **values: Any) -> None:
        self._load, self._opened, self.what = load, opened, what
        self._values = values

    @classmethod
    def backend(cls, load: Load, name: str, **settings: Any) -> Local:
        """A backend through hwgw_rx_poll; the calling thread is in the namespace."""
        rx = Receiver(name, [FLOW], **settings)
        functions = {field: load.function(field, f"hwgw_rx_{field}") for field in ("poll", "release")}
        return cls(load, rx, rx.description, rx=load.pointer("struct hwgw_rx *", rx.rx), **functions)

    @classmethod
    def pipeline(cls, load: Load, name: str, **settings: Any) -> Local:
        """A backend behind a whole pipeline: rx, net, mold, itch, and its housekeeping."""
        fields = {**settings, "backend": name}
        texts = {k: native.ffi.new("char[]", v.encode()) for k, v in fields.items() if isinstance(v, str)}
        rig = Rig(["AAPL"], rx={**fields, **texts}, flow={"group": ipv4(GROUP), "port": PORT})
        counters = native.lib.hwgw_segment_counters(rig.segment.pointer, 0)
        arrived = load.pointer("uint64_t *", counters + native.lib.HWGW_CNT_MOLD_FRAMES)
        step = load.function("step", "hwgw_pipeline_step")
        handle = load.pointer("struct hwgw_pipeline *", rig.handle)
        what = "pipeline: " + bytes(rig.segment.head["receive"]).rstrip(b"\0").decode()
        return cls(load, rig, what, pipeline=handle, arrived=arrived, step=step)

    @classmethod
    def plain(cls, load: Load, local_address: str) -> Local:
        """The socket that a program without hwgw would use."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES)
        sock.bind(FLOW)
        member = socket.inet_aton(GROUP) + socket.inet_aton(local_address)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        return cls(load, sock, "recvmsg, spinning", fd=sock.fileno())

    def begin(self, want: int, paced: bool = False) -> None:
        ffi, load = self._load.ffi, self._load
        self._latency = ffi.new("uint64_t[]", want) if paced else ffi.NULL
        values = {"cpu": load.rx_cpu, "limit_ns": LIMIT_NS, "quiet_ns": QUIET_NS, "want": want, **self._values}
        self._receiver = ffi.new("struct load_receiver *", {**values, "latency_ns": self._latency})
        self._thread = threading.Thread(target=load.lib.load_receive, args=(self._receiver,))
        self._thread.start()
        while not self._receiver.ready:
            time.sleep(0.001)

    def schedule(self, start_ns: int, gap_ns: int) -> None:
        self._receiver.start_ns, self._receiver.gap_ns = start_ns, gap_ns

    def end(self) -> Got:
        receiver = self._receiver
        receiver.stop = 1
        self._thread.join()
        cnt = min(receiver.frames, receiver.want) if self._latency else 0
        latency = self._load.ffi.unpack(self._latency, cnt) if cnt else []
        return Got(receiver.frames, max(0, receiver.last_ns - receiver.first_ns), latency)

    def close(self) -> None:
        if isinstance(self._opened, Rig):
            self._opened.__exit__()
        else:
            self._opened.close()


class Python(Source):
    """Batches from hwgw.rx.recv in a loop of Python; the due times are gathered from each batch at once."""

    BATCH = 1024

    def __init__(self, load: Load, name: str, **settings: Any) -> None:
        self._load = load
        self._rx = hwgw.rx.open(name, groups=[FLOW], spin_us=SPIN_US, **settings)
        self.what = f"hwgw.rx.recv: {self._rx.describe}"

    def begin(self, want: int, paced: bool = False) -> None:
        self._want, self._paced, self._stop = want, paced, False
        ready = threading.Event()
        self._thread = threading.Thread(target=self._loop, args=(ready,))
        self._thread.start()
        ready.wait()

    def _loop(self, ready: threading.Event) -> None:
        before = self._load.ffi.new("uint64_t *")
        self._load.lib.load_core_take(self._load.rx_cpu, before)
        frames = first = last = 0
        latency: list[int] = []
        end = time.monotonic_ns() + LIMIT_NS
        recv, now_ns = self._rx.recv, time.monotonic_ns
        ready.set()
        while frames < self._want:
            batch = recv(self.BATCH, 0.005)
            now = now_ns()
            if not len(batch):
                if now > end or (self._stop and now - last > QUIET_NS):
                    break
                continue
            first, last = first or now, now
            if self._paced:
                ends = batch.length
                stamps = batch.gather(int(ends[0]) - STAMP_BYTES, STAMP_BYTES).view("u8")[:, 0]
                latency += (now - stamps).tolist()
            frames += len(batch)
        self._rx.recv(1, 0).release()  # gives the last batch back
        self._load.lib.load_core_give(before)
        self._got = Got(frames, last - first, latency[: self._want])

    def end(self) -> Got:
        self._stop = True
        self._thread.join()
        return self._got

    def close(self) -> None:
        self._rx.close()


class Remote(Source):
    """A backend in a process of its own, in the namespace `path`; it answers each line with a line."""

    def __init__(self, load: Load, folder: Path, path: str, name: str, **settings: Any) -> None:
        order = {"folder": str(folder), "path": path, "cpu": load.rx_cpu, "backend": name, "settings": settings}
        command = [sys.executable, "-m", "tests.bench.rx_worker", json.dumps(order)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            answer = self._answer()
        except BaseException:
            self.close()
            raise
        if "error" in answer:
            self.close()
            raise Unavailable(answer["error"])
        self.what = answer["what"]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:  # libraries print, too
            with contextlib.suppress(json.JSONDecodeError):
                answer = json.loads(line)
                if isinstance(answer, dict):
                    return answer
        raise RuntimeError(f"the worker ended with {self._process.wait()}")

    def _say(self, **order: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def begin(self, want: int, paced: bool = False) -> None:
        self._say(begin=want, paced=paced)

    def end(self) -> Got:
        return Got(*self._say(end=True)["got"])

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        try:
            self._process.wait(READY_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def huge_pages(cnt: int) -> Iterator[str]:
    """So many huge pages more while it lasts; why not, when the kernel gives none."""
    path = Path("/proc/sys/vm/nr_hugepages")
    try:
        before = int(path.read_text())
        path.write_text(str(before + cnt))
    except OSError as error:
        yield str(error)
        return
    try:
        got = int(path.read_text()) - before
        yield "" if got >= cnt else f"the kernel gave {got} of {cnt} huge pages"
    finally:  # what others have taken meanwhile stays theirs
        path.write_text(str(max(0, int(path.read_text()) - got)))


def cores() -> tuple[int, int]:
    """The sending and the receiving core."""
    found = sorted(os.sched_getaffinity(0))
    if len(found) < 2:
        raise Unavailable("needs two cores")
    return found[0], found[1]
