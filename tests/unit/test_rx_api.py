"""hwgw.rx: views without copies, the life of a batch, what is refused. The pcap and udp backends need no privilege.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hwgw_sim.wire import udp_frame
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

import hwgw
from hwgw import rx
from hwgw.batch import outgoing
from hwgw.errors import ConfigError, UsageError
from hwgw.native import ffi, lib

GROUPS = ["239.1.2.3:26400", "239.1.2.4:26401"]
PORT = 20000 + os.getpid() % 20000
GROUP = f"239.194.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
START_S = 1_700_000_000
Make = Callable[..., Path]


def payload(number: int) -> bytes:
    return struct.pack(">QI", number, number * 7) + bytes(number % 50)


def frame(number: int) -> bytes:
    group, port = GROUPS[number % 2].split(":")
    return udp_frame(group, int(port), payload(number))


@pytest.fixture
def capture(tmp_path: Path) -> Make:
    """Write cnt numbered frames with scapy, 1,000 ns apart."""

    def make(cnt: int = 1000) -> Path:
        packets = []
        for number in range(cnt):
            packet = Ether(frame(number))
            packet.time = Decimal(START_S) + Decimal(number) / 1_000_000
            packets.append(packet)
        wrpcap(str(tmp_path / "frames.pcap"), packets, nano=True)
        return tmp_path / "frames.pcap"

    return make


@pytest.fixture
def sender() -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        yield sock


def listen(**settings: Any) -> rx.Receiver:
    return rx.open("udp", groups=[(GROUP, PORT)], local_address="127.0.0.1", loopback=True, **settings)


def address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def mapped(path: Path) -> list[tuple[int, int]]:
    """Where this process has the file mapped."""
    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(path))]
    return [(int(low, 16), int(high, 16)) for low, high in (line.split()[0].split("-") for line in lines)]


# ---- views ----


def test_views_lie_in_the_mapped_file_and_say_what_scapy_wrote(capture: Make) -> None:
    path = capture(1000)
    seen = 0
    with rx.open("pcap", path=path, groups=GROUPS) as receiver:
        for batch in receiver:
            (low, high) = mapped(path)[0]
            for index, view in enumerate(batch.data):
                assert low <= address(view) < high
                assert view.tobytes() == frame(seen)
                assert batch.length[index] == len(view)
                assert batch.timestamp_ns[index] == START_S * 10**9 + seen * 1000
                seen += 1
    assert seen == 1000


def test_columns_are_views_on_the_frame_array_that_c_fills(capture: Make) -> None:
    with rx.open("pcap", path=capture(10)) as receiver:
        batch = receiver.recv()
        columns = (batch.length, batch.timestamp_ns, batch.queue, batch.flow, batch.t_rx)
        for column in columns:
            assert len(column) == 10
            assert np.shares_memory(column, batch.frames)
            assert not column.flags.writeable
        offsets = {address(column) - address(batch.frames) for column in columns}
        names = ("len", "ts_ns", "queue", "flow", "t_rx")
        assert offsets == {ffi.offsetof("struct hwgw_frame", name) for name in names}
        assert set(batch.flow.tolist()) == {lib.HWGW_FLOW_NONE}
        assert batch.data[3].base is not None
        with pytest.raises(ValueError, match="read-only"):
            batch.data[3][0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            batch.data[3].flags.writeable = True


def test_gather_copies_columns_and_pads_with_zeros(capture: Make) -> None:
    with rx.open("pcap", path=capture(100), groups=GROUPS) as receiver:
        batch = receiver.recv()
        got = batch.gather(40, 30)
        assert got.shape == (100, 30)
        for number in range(100):
            assert got[number].tobytes() == frame(number)[40:70].ljust(30, b"\0")
        numbers = batch.gather(0, 8, payload=True).view(">u8")[:, 0]
        assert numbers.tolist() == list(range(100))
        out = np.full((100, 4), 9, np.uint8)
        assert batch.gather(8, 4, payload=True, out=out) is out
        assert out.view(">u4")[:, 0].tolist() == [7 * number for number in range(100)]
        assert batch.gather(0, 0).shape == (100, 0)
        assert not batch.gather(5000, 3).any()


def test_payloads_name_flow_and_place_of_each_datagram(capture: Make) -> None:
    with rx.open("pcap", path=capture(60), groups=GROUPS[1:]) as receiver:
        batch = receiver.recv()
        for number in range(60):
            place = batch.payloads[number]
            if number % 2:
                assert (place["offset"], place["len"], place["flow"], place["drop"]) == (42, 12 + number % 50, 0, 0)
                assert batch.payload[number].tobytes() == payload(number)
                assert np.shares_memory(batch.payload[number], batch.data[number])
            else:
                assert (place["len"], place["flow"], place["drop"]) == (0, 0xFFFF, lib.HWGW_CNT_NET_DROP_FOREIGN)
                assert len(batch.payload[number]) == 0


def test_a_batch_is_a_sequence(capture: Make) -> None:
    with rx.open("pcap", path=capture(20)) as receiver:
        batch = receiver.recv(max_frames=7)
        assert len(batch) == len(batch.data) == 7
        assert batch.data[-1].tobytes() == frame(6)
        assert [view.tobytes() for view in batch.data[1:4]] == [frame(number) for number in (1, 2, 3)]
        with pytest.raises(IndexError, match="frame 7 of a batch of 7"):
            batch.data[7]
        assert [len(receiver.recv(7)) for _ in range(3)] == [7, 6, 0]
        assert receiver.ended


# ---- the life of a batch and of its views ----


def test_a_released_batch_is_refused_and_its_views_stay_readable(capture: Make) -> None:
    with rx.open("pcap", path=capture(20)) as receiver:
        with receiver.recv(4) as batch:
            view, sizes = batch.data[2], batch.length
        assert batch.released
        batch.release()
        for use in (lambda: batch.length, lambda: batch.data[0], lambda: batch.gather(0, 1), lambda: batch.payloads):
            with pytest.raises(UsageError, match="it was released"):
                use()
        assert view.tobytes() == frame(2)
        assert len(sizes) == 4
        second = receiver.recv(4)
        third = receiver.recv(4)
        assert second.released
        assert not third.released
    assert third.released


def test_views_keep_the_memory_mapped_after_close(capture: Make, caplog: pytest.LogCaptureFixture) -> None:
    path = capture(20)
    receiver = rx.open("pcap", path=path)
    views = list(receiver.recv().data)
    receiver.close()
    assert receiver.closed
    assert receiver.state == "closed"
    assert not caplog.records
    for number, view in enumerate(views):
        assert view.tobytes() == frame(number)
    assert mapped(path)
    del views, view
    gc.collect()
    assert not mapped(path)


def test_close_gives_the_socket_back_at_once_although_views_live(sender: socket.socket) -> None:
    with listen() as receiver:
        sender.sendto(b"payload", (GROUP, PORT))
        view = receiver.recv(timeout=10).data[0]
        opened = len(list(Path("/proc/self/fd").iterdir()))
    assert len(list(Path("/proc/self/fd").iterdir())) < opened
    assert view.tobytes() == b"payload"


def test_a_backend_that_cannot_keep_its_memory_waits_for_the_views(
    capture: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = capture(20)
    caplog.set_level("WARNING")  # a command that ran in this process before may have asked for less

    class Lib:
        def __getattr__(self, name: str) -> Any:
            return (lambda _: False) if name == "hwgw_rx_keeps" else getattr(lib, name)

    monkeypatch.setattr(rx, "lib", Lib())
    receiver = rx.open("pcap", path=path)
    views = list(receiver.recv().data)
    receiver.close()
    assert "closed, but 20 views still hold its memory" in caplog.text
    assert [view.tobytes() for view in views] == [frame(number) for number in range(20)]
    del views
    gc.collect()
    assert not mapped(path)


def test_close_without_views_unmaps_at_once_and_is_quiet(capture: Make, caplog: pytest.LogCaptureFixture) -> None:
    path = capture(20)
    with rx.open("pcap", path=path) as receiver:
        kept = [view.tobytes() for view in receiver.recv()]
        assert mapped(path)
    assert not mapped(path)
    assert not caplog.records
    assert len(kept) == 20
    receiver.close()
    for use in (receiver.recv, receiver.stats, receiver.flush, lambda: receiver.send([b""])):
        with pytest.raises(UsageError, match="the receiver is closed"):
            use()
    assert list(receiver) == []


def test_a_receiver_that_is_forgotten_closes_itself(capture: Make) -> None:
    path = capture(5)
    receiver = rx.open("pcap", path=path)
    batch = receiver.recv()
    assert len(batch) == 5
    del receiver, batch
    gc.collect()
    assert not mapped(path)


def test_columns_of_an_earlier_size_survive_a_larger_recv(capture: Make) -> None:
    with rx.open("pcap", path=capture(1000)) as receiver:
        sizes = receiver.recv(10).length
        want = sizes.tolist()
        assert len(receiver.recv(900)) == 900  # another frame array
        assert sizes.tolist() == want


# ---- counters ----


def test_stats_and_ledger_count_every_frame(capture: Make, tmp_path: Path) -> None:
    path = capture(50)
    data = bytearray(path.read_bytes())
    data[24 + 12 : 24 + 16] = (9999).to_bytes(4, "little")  # the first frame was longer on the wire: cut off
    path.write_bytes(data)
    with rx.open("pcap", path=path) as receiver:
        assert sum(len(batch) for batch in receiver) == 49
        stats = receiver.stats()
        assert (stats["rx_frames"], stats["rx_drop_truncated"], stats["tx_frames"]) == (49, 1, 0)
        assert stats["rx_bytes"] == sum(len(frame(number)) for number in range(1, 50))
        ledger = receiver.ledger()
        assert (ledger.offered, ledger.used, ledger.drops) == (50, 49, {"truncated": 1})
        assert receiver.clock == "capture"
        assert receiver.state == "up"
        assert receiver.describe.startswith("pcap: ")


# ---- waiting ----


def test_recv_waits_for_a_frame_and_its_time_out_ends_it(sender: socket.socket) -> None:
    with listen() as receiver:
        assert len(receiver.recv(timeout=0)) == 0
        start = time.monotonic()
        assert len(receiver.recv(timeout=0.06)) == 0
        assert 0.06 <= time.monotonic() - start < 1
        threading.Timer(0.05, lambda: sender.sendto(b"late", (GROUP, PORT))).start()
        batch = receiver.recv(timeout=10)
        assert batch.data[0].tobytes() == b"late"
        assert batch.payload[0].tobytes() == b"late"
        assert batch.flow[0] == 0


def test_waiting_leaves_the_interpreter_to_other_threads(sender: socket.socket) -> None:
    """Two receivers wait at the same time while this thread counts."""
    with listen() as one, listen(spin_us=10_000_000) as two:
        got: list[int] = []
        threads = [threading.Thread(target=lambda r=r: got.append(len(r.recv(timeout=10)))) for r in (one, two)]
        for thread in threads:
            thread.start()
        turns, end = 0, time.monotonic() + 0.2
        while time.monotonic() < end:
            turns += 1
        assert turns > 1000
        assert got == []
        sender.sendto(b"x", (GROUP, PORT))
        for thread in threads:
            thread.join(10)
        assert got == [1, 1]


def test_a_second_thread_is_refused_and_close_ends_the_first() -> None:
    receiver = listen()
    ended: list[object] = []
    thread = threading.Thread(target=lambda: ended.append(list(receiver)))
    thread.start()
    time.sleep(0.05)
    with pytest.raises(UsageError, match="in use by another thread"):
        receiver.stats()
    start = time.monotonic()
    receiver.close()
    thread.join(10)
    assert ended == [[]]
    assert time.monotonic() - start < 0.5


class _ClosedMeanwhile:
    """A lock that another thread uses to close the receiver just before it is taken."""

    def __init__(self, receiver: rx.Receiver) -> None:
        self.receiver, self.lock = receiver, receiver._entered

    def acquire(self, blocking: bool) -> bool:
        self.receiver._entered = self.lock
        closing = threading.Thread(target=self.receiver.close)
        closing.start()
        closing.join()
        return self.lock.acquire(blocking=blocking)


def test_a_receiver_that_is_closed_while_a_call_begins_refuses_the_call() -> None:
    calls: list[Callable[[rx.Receiver], object]] = [
        rx.Receiver.recv,
        rx.Receiver.stats,
        rx.Receiver.flush,
        lambda one: one.send([]),
    ]
    for call in calls:
        receiver = listen()
        receiver._entered = _ClosedMeanwhile(receiver)  # type: ignore[assignment]
        with pytest.raises(UsageError, match="is closed"):
            call(receiver)
        assert not receiver._entered.locked()
        assert receiver.ended


def test_a_batch_half_way_through_a_close_gives_no_view(capture: Make) -> None:
    with rx.open("pcap", path=capture(20), groups=GROUPS) as receiver:
        batch = receiver.recv(4)
        batch._keep = None
        for use in (lambda: batch.data[0], lambda: batch.payload[0], lambda: batch.gather(0, 1), lambda: batch.length):
            with pytest.raises(UsageError, match="it was released"):
                use()


def test_frames_that_are_being_forwarded_stay_mapped_when_their_receiver_closes(capture: Make) -> None:
    path = capture(20)
    receiver = rx.open("pcap", path=path)
    array, cnt, keep = outgoing(receiver.recv(), None)
    receiver.close()
    gc.collect()
    assert mapped(path)
    assert [bytes(ffi.buffer(array[i].data, array[i].len)) for i in range(cnt)] == [frame(i) for i in range(20)]
    del keep
    gc.collect()
    assert not mapped(path)


def test_ctrl_c_ends_a_waiting_recv_soon() -> None:
    script = f"""
import hwgw, sys
with hwgw.rx.open("udp", groups=["{GROUP}:{PORT}"], local_address="127.0.0.1") as rx:
    print("ready", flush=True)
    rx.recv()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        took = time.monotonic() - start
    assert process.returncode == -signal.SIGINT
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert took < 1  # with the end of the interpreter, on a busy machine; the wait itself is cut into 20 ms


def test_a_forked_child_is_refused_and_does_not_close_its_parents_receiver(capture: Make) -> None:
    path = capture(10)
    with rx.open("pcap", path=path) as receiver:
        assert len(receiver.recv(5)) == 5
        child = os.fork()
        if child == 0:
            code = 1
            try:
                receiver.recv()
            except UsageError as error:
                code = 0 if "before a fork" in str(error) else 2
            receiver.close()
            os._exit(code if mapped(path) else 3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(receiver.recv()) == 5


# ---- what is refused ----


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"groups": ["239.1.2.3"]}, r"groups '239\.1\.2\.3': allowed is IPV4:PORT with a port of 1 to 65535"),
        ({"groups": ["239.1.2.3:0"]}, r"groups '239\.1\.2\.3:0'"),
        ({"groups": ["239.1.2:5"]}, r"groups '239\.1\.2': allowed is an IPv4 address"),
        ({"groups": [("239.1.2.3", 65536)]}, r"65536\): allowed is IPV4:PORT"),
        ({"groups": "239.1.2.3:5"}, "allowed is a list of IPV4:PORT"),
        ({"frame_cnt": -1}, "frame_cnt -1: allowed are integers from 0 to 4294967295"),
        ({"frame_cnt": True}, "frame_cnt True: allowed are integers"),
        ({"frame_cnt": 1.5}, r"frame_cnt 1\.5: allowed are integers"),
        ({"queues": ["a"]}, "queues 'a': allowed are integers"),
        ({"huge_pages": 1}, "huge_pages 1: allowed are True and False"),
        ({"interface": 3}, "interface 3: allowed is text"),
        ({"path": "a\0b"}, "allowed is text"),
        ({"local_address": "localhost"}, "local_address 'localhost': allowed is an IPv4 address"),
        ({"spin_us": -5}, "spin_us -5: allowed are integers"),
        ({"frames": 5}, r"frames is no setting of a receiver; allowed: all_frames, .*groups.*spin_us"),
        ({"flow_cnt": 5}, "flow_cnt is no setting of a receiver"),
        ({"tx_only": True}, "tx_only without tx_frame_cnt"),
    ],
)
def test_wrong_settings_are_refused_with_key_value_and_what_is_allowed(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        rx.open("udp", **settings)


def test_every_field_of_the_c_configuration_can_be_given() -> None:
    """The keywords are the fields of struct hwgw_rx_cfg: none is out of reach from Python."""
    fields = dict(ffi.typeof("struct hwgw_rx_cfg").fields)
    assert len(fields) > 15
    for name, field in fields.items():
        if name in ("backend", "flows", "flow_cnt", "queues", "queue_cnt", "kept", "local_address"):
            continue
        if name in ("eal_args", "eal_arg_cnt"):
            continue
        wrong = "text" if field.type.kind == "primitive" else 5
        with pytest.raises(ConfigError, match=rf"rx: {name} .*: allowed"):
            rx.open("udp", **{name: wrong})


def test_wrong_arguments_of_recv_send_and_gather_are_refused(capture: Make) -> None:
    with rx.open("pcap", path=capture(5)) as receiver:
        for wrong in (0, 65537):
            with pytest.raises(UsageError, match=f"max_frames {wrong}: allowed are 1 to 65536"):
                receiver.recv(wrong)
        for timeout in (-1, float("nan")):
            with pytest.raises(UsageError, match="allowed are None and 0 to 1e9 seconds"):
                receiver.recv(timeout=timeout)
        batch = receiver.recv()
        with pytest.raises(UsageError, match="offset -1: allowed are 0"):
            batch.gather(-1, 4)
        with pytest.raises(UsageError, match=r"shape \(5, 4\)"):
            batch.gather(0, 4, out=np.zeros((5, 5), np.uint8))
        with pytest.raises(UsageError, match="opened without tx_frame_cnt"):
            receiver.send([b"x" * 60])
        for frames, reason in (
            (b"x" * 60, "several bytes-like objects"),
            (["x"], "frame 0 is no contiguous bytes-like object"),
            ([b"x", memoryview(b"abcdef")[::2]], "frame 1 is no contiguous"),
            (np.zeros(60, np.uint8), "must be uint8, 2-D"),
            (np.zeros((2, 60)), "must be uint8, 2-D"),
        ):
            with pytest.raises(UsageError, match=reason):
                receiver.send(frames)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="2 integers from 0 to 60"):
            receiver.send(np.zeros((2, 60), np.uint8), lengths=[60, 61])
        with pytest.raises(UsageError, match="lengths go with a 2-D array"):
            receiver.send([b"x"], lengths=[1])
    with pytest.raises(ConfigError, match="this backend cannot send"):
        rx.open("pcap", path=capture(5), tx_frame_cnt=64)


def test_backends_say_why_they_cannot_be_used() -> None:
    found = rx.backends()
    assert {"afxdp", "udp", "pcap"} <= set(found)
    assert found["pcap"] == found["udp"] == ""


# ---- the module ----


def test_import_of_hwgw_alone_is_light_and_finds_rx() -> None:
    script = (
        "import sys, hwgw; before = set(sys.modules); hwgw.rx.open; print('numpy' in before, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        hwgw.nonsense  # noqa: B018


def test_views_of_dpdk_outlive_close_and_its_port_goes_with_the_last(capture: Make) -> None:
    """The memory is DPDK's own and cannot be kept: the close waits. In a process of its own, which DPDK may keep."""
    if reason := rx.backends().get("dpdk", "not in this version"):
        pytest.skip(f"dpdk: {reason}")
    script = """
import gc, logging, sys, hwgw
logging.basicConfig(format="%(message)s")
sent = hwgw.rx.open("pcap", path=sys.argv[1]).recv()
with hwgw.rx.open("dpdk", port=f"net_pcap0,rx_pcap={sys.argv[1]}", all_frames=True) as rx:
    views = []
    while len(views) < 50:
        batch = rx.recv(50 - len(views), timeout=5)
        assert len(batch)
        views += batch.data
        if len(views) < 50:
            views = [view.copy() for view in views]
    kept = views[-1]
    del views[:-1], batch
assert kept.tobytes() == sent.data[49].tobytes()
del kept, views
gc.collect()
with hwgw.rx.open("dpdk", port=f"net_pcap0,rx_pcap={sys.argv[1]}", all_frames=True) as rx:  # the name is free again
    assert len(rx.recv(timeout=5))
print("done")
"""
    done = subprocess.run([sys.executable, "-c", script, capture(50)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert "closed, but 1 views still hold its memory" in done.stderr
