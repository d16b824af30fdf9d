"""Receivers of the dpdk backend for tests: what a test needs of DPDK, its frames, counters and captures.

SPDX-License-Identifier: MIT
"""

import os
import struct
import time
from pathlib import Path

import pytest
from hwgw_sim import wire
from hwgw_sim.receiver import Receiver
from hwgw_sim.wire import udp_frame

from hwgw import native
from hwgw.native import ffi, lib

FLOW = ("239.1.2.3", 26400)
PMDS = sorted(Path("/usr/lib/x86_64-linux-gnu/dpdk").glob("pmds-*/*.so*"))


def has(driver):
    return any(path.name.startswith(f"librte_{driver}.so") for path in PMDS)


needs_dpdk = pytest.mark.skipif(not native.backend("dpdk").available, reason=f"dpdk: {native.backend('dpdk').reason}")


def needs(driver):
    package = f"librte-{driver.replace('_', '-')}23"
    return pytest.mark.skipif(not has(driver), reason=f"DPDK's driver {driver} is missing (Debian package {package})")


needs_wire = pytest.mark.skipif(bool(wire.missing()), reason=f"no veth pair here: {wire.missing()}")
needs_tun = pytest.mark.skipif(not os.access("/dev/net/tun", os.W_OK), reason="/dev/net/tun cannot be opened")


def open_rx(port, flows=(FLOW,), cpu=-1, **settings):
    return Receiver("dpdk", list(flows), port=port, cpu=cpu, **settings)


def numbered(i, size=None):
    return udp_frame(*FLOW, i.to_bytes(4, "big") + bytes(i % 1400 if size is None else size))


def data(frames):
    return [frame.data for frame in frames]


def until(condition):
    """Wait for it, 5 s at most; the caller asserts what came of it."""
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)


def counters(rx):
    """Every counter that is not 0, by its full name."""
    rx.stats()
    values = {name: rx._counters[getattr(lib, name)] for name in dir(lib) if name.startswith("HWGW_CNT_")}
    return {name.removeprefix("HWGW_CNT_").lower(): value for name, value in values.items() if value}


def send(rx, frames, limit_s=5.0):
    """As many of the frames as are taken within the limit."""
    memory = [ffi.from_buffer("uint8_t[]", frame) for frame in frames]
    array = ffi.new("struct hwgw_frame[]", [{"data": at, "len": len(at)} for at in memory])
    sent, end = 0, time.monotonic() + limit_s
    while sent < len(frames) and time.monotonic() < end:
        sent += lib.hwgw_rx_send(rx.rx, array + sent, min(256, len(frames) - sent))
    return sent


def write_pcap(path, frames, step_ns=1_000_007):
    """A nanosecond capture; the time of frame i is 1,700,000,000 s + i * step_ns."""
    records = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65_535, 1)]
    for i, frame in enumerate(frames):
        seconds, ns = divmod(i * step_ns, 10**9)
        records.append(struct.pack("<IIII", 1_700_000_000 + seconds, ns, len(frame), len(frame)) + frame)
    path.write_bytes(b"".join(records))
