"""hwgw.rx on a veth pair: AF_XDP and AF_PACKET from Python, in threads, sending, and when the interface goes away.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from hwgw_sim import wire
from hwgw_sim.wire import Wire, udp_frame
from support.forked import Forked

from hwgw import rx
from hwgw.errors import ConfigError

GROUP, PORT = "239.1.2.3", 26400
FLOW = f"{GROUP}:{PORT}"

pytestmark = [
    pytest.mark.root,
    pytest.mark.afxdp,
    pytest.mark.skipif(bool(wire.missing()), reason=f"no network namespace of our own: {wire.missing()}"),
]


def frame(number: int, port: int = PORT) -> bytes:
    return udp_frame(GROUP, port, number.to_bytes(8, "big") + bytes(number % 200))


def open_rx(pair: Wire, backend: str = "afxdp", end: str = "rx", **settings: Any) -> rx.Receiver:
    settings = {"groups": [FLOW]} | settings
    with pair.inside(end):
        return rx.open(backend, interface=pair.device[end], **settings)


def make_again(pair: Wire) -> None:
    """A new pair under the names of the old one."""
    device, peer = pair.device["rx"], pair.device["tx"]
    pair.run("rx", "ip", "link", "add", device, "type", "veth", "peer", "name", peer, "netns", pair.path("tx"))
    pair.run("tx", "ip", "link", "set", peer, "up")
    pair.run("rx", "ip", "link", "set", device, "up")


def receive(receiver: rx.Receiver, cnt: int, seconds: float = 10) -> list[bytes]:
    """Copies of what comes, until there are cnt frames."""
    got: list[bytes] = []
    end = time.monotonic() + seconds
    while len(got) < cnt and time.monotonic() < end:
        got += [view.tobytes() for view in receiver.recv(timeout=0.1)]
    return got


@pytest.mark.parametrize("backend", ["afxdp", "packet"])
def test_frames_come_as_views_on_the_ring_and_every_one_is_accounted_for(pair: Wire, sender: Any, backend: str) -> None:
    with open_rx(pair, backend, frame_cnt=1024) as receiver:
        assert receiver.describe.startswith(f"{backend}: {pair.device['rx']}")
        seen, addresses = 0, set()
        for first in range(0, 3000, 100):
            for number in range(first, first + 100):
                sender.send(frame(number))
            while seen < first + 100:
                batch = receiver.recv(timeout=5)
                assert len(batch), "frames are missing"
                numbers = batch.gather(0, 8, payload=True).view(">u8")[:, 0]
                assert numbers.tolist() == list(range(seen, seen + len(batch)))
                assert batch.length.tolist() == [len(frame(number)) for number in numbers.tolist()]
                assert batch.data[0].tobytes() == frame(seen)
                assert (batch.queue == 0).all()
                assert (np.diff(batch.t_rx.astype(np.int64)) >= 0).all()
                addresses |= set(batch.frames["data"].tolist())
                seen += len(batch)
        ledger = receiver.ledger()
        assert (ledger.offered, ledger.used, ledger.drops) == (3000, 3000, {})
        assert len(addresses) <= 1024  # the ring's own buffers, used again and again: nothing was copied


def test_kernel_time_stamps_are_of_the_moment_of_sending(pair: Wire, sender: Any) -> None:
    with open_rx(pair, "packet", timestamps=True) as receiver:
        assert receiver.clock == "kernel"
        before = time.time_ns()
        sender.send(frame(1))
        batch = receiver.recv(timeout=5)
        assert before - 1_000_000 <= int(batch.timestamp_ns[0]) <= time.time_ns()


def test_frames_wait_in_the_ring_while_the_caller_works_and_losses_are_counted(pair: Wire, sender: Any) -> None:
    with open_rx(pair, frame_cnt=256) as receiver:
        for number in range(1000):
            sender.send(frame(number))
        time.sleep(0.05)
        got = receive(receiver, 1000, 0.5)
        ledger = receiver.ledger()
        assert 100 <= len(got) < 300
        assert got == [frame(number) for number in range(len(got))]
        assert ledger.used == len(got)
        assert ledger.drops == {"ring_full": 1000 - len(got)}
        assert ledger.offered == 1000


def test_receivers_in_threads_run_at_the_same_time(pair: Wire, sender: Any) -> None:
    """Two threads spin in C, one on each backend, and this one sends: nobody waits for the interpreter."""
    counts = {"afxdp": 0, "udp": 0}

    def work(receiver: rx.Receiver, name: str) -> None:
        with receiver:
            while counts[name] < 500:
                batch = receiver.recv(timeout=10)
                if not len(batch):
                    return
                counts[name] += len(batch)

    receivers = {
        "afxdp": open_rx(pair, spin_us=10_000_000),
        "udp": open_rx(pair, "udp", groups=[f"239.5.5.5:{PORT}"], spin_us=10_000_000),
    }
    threads = [threading.Thread(target=work, args=(receiver, name)) for name, receiver in receivers.items()]
    for thread in threads:
        thread.start()
    for number in range(500):
        sender.send(frame(number))
        sender.send(udp_frame("239.5.5.5", PORT, bytes(8)))
    for thread in threads:
        thread.join(20)
    assert counts == {"afxdp": 500, "udp": 500}


@pytest.mark.parametrize("form", ["bytes", "array", "batch"])
def test_what_is_sent_arrives_as_it_was(pair: Wire, sender: Any, form: str) -> None:
    with (
        open_rx(pair, "packet", "tx", groups=[], tx_only=True, tx_frame_cnt=256) as out,
        open_rx(pair, frame_cnt=2048) as receiver,
    ):
        wanted = [frame(number) for number in range(600)]
        if form == "bytes":
            assert out.send(wanted[:300]) == 300
            assert out.send([bytearray(wanted[300]), memoryview(wanted[301]), *wanted[302:]], timeout=5) == 300
        elif form == "array":
            rows = np.zeros((600, 300), np.uint8)
            for row, data in zip(rows, wanted, strict=True):
                row[: len(data)] = np.frombuffer(data, np.uint8)
            assert out.send(rows, lengths=[len(data) for data in wanted]) == 600
        else:  # forward what another receiver got: back over the wire it came from
            with open_rx(pair, "packet", "tx", frame_cnt=2048) as source, pair.packet_socket("rx") as other:
                for data in wanted:
                    other.send(data)
                done = 0
                while done < 600:
                    with source.recv(timeout=5) as batch:
                        assert len(batch)
                        done += out.send(batch)
        assert out.flush(5) == 0
        assert receive(receiver, 600) == wanted
        stats = out.stats()
        assert (stats["tx_frames"], stats["tx_bytes"]) == (600, sum(map(len, wanted)))
        assert not [name for name, cnt in stats.items() if name.startswith("tx_drop") and cnt]


def test_a_frame_that_can_never_be_sent_is_taken_and_counted(pair: Wire) -> None:
    with open_rx(pair, "packet", "tx", groups=[], tx_only=True, tx_frame_cnt=64) as out:
        assert out.send([bytes(9000), b"short", frame(1)]) == 3
        assert out.flush(5) == 0
        stats = out.stats()
        assert (stats["tx_drop_long"], stats["tx_drop_short"], stats["tx_frames"]) == (1, 1, 1)


def test_views_survive_close_and_a_new_receiver_gets_the_queue_at_once(pair: Wire, sender: Any) -> None:
    for number in range(5):
        with open_rx(pair) as receiver:
            for each in range(20):
                sender.send(frame(number * 20 + each))
            batch = receiver.recv(20, timeout=5)
            views = list(batch.data)
        assert [view.tobytes() for view in views] == [frame(number * 20 + each) for each in range(len(views))]


def test_views_survive_an_interface_that_goes_away_and_comes_back(pair: Wire) -> None:
    device = pair.device["rx"]
    with open_rx(pair) as receiver:
        with pair.packet_socket("tx") as raw:
            raw.send(frame(7))
        old = receiver.recv(timeout=5).data[0]
        pair.run("rx", "ip", "link", "del", device)
        end = time.monotonic() + 10
        while receiver.state != "gone" and time.monotonic() < end:
            assert len(receiver.recv(timeout=0.02)) == 0
        assert (receiver.state, receiver.reason) == ("gone", f"{device} is gone")
        make_again(pair)
        while receiver.state != "up" and time.monotonic() < end:
            assert len(receiver.recv(timeout=0.02)) == 0
        assert receiver.stats()["rx_reopens"] == 1
        assert old.tobytes() == frame(7)
        with pair.packet_socket("tx") as raw:
            time.sleep(0.1)
            raw.send(frame(8))
        new = receiver.recv(timeout=5).data[0]
        assert new.tobytes() == frame(8)
        assert old.tobytes() == frame(7)


def test_close_ends_promiscuous_mode_and_memberships_although_views_live(pair: Wire, sender: Any) -> None:
    device, mac = pair.device["rx"], "01:00:5e:01:02:03"

    def wants() -> tuple[int, bool]:
        (link,) = json.loads(pair.run("rx", "ip", "-d", "-j", "link", "show", "dev", device))
        return link["promiscuity"], mac in pair.run("rx", "ip", "maddress", "show", "dev", device)

    with open_rx(pair, "packet", all_frames=True) as receiver:
        sender.send(frame(5))
        while (view := receiver.recv(timeout=5).data[-1]).tobytes() != frame(5):
            pass  # what the kernel itself has to say on a new link
        assert wants() == (1, True)
    assert wants() == (0, False)
    assert view.tobytes() == frame(5)


@pytest.mark.parametrize("backend", ["afxdp", "packet"])
def test_a_sender_goes_on_when_its_interface_is_there_again_and_counts_what_waited(pair: Wire, backend: str) -> None:
    with open_rx(pair, backend, "tx", groups=[], tx_only=True, tx_frame_cnt=64) as out:
        pair.run("tx", "ip", "link", "set", pair.device["tx"], "down")
        taken = out.send([frame(number) for number in range(100)], timeout=0.2)
        assert taken >= 64
        pair.run("tx", "ip", "link", "del", pair.device["tx"])
        make_again(pair)
        end, states = time.monotonic() + 10, [out.state]
        while states[-2:] != ["gone", "up"] and time.monotonic() < end:  # nothing but send, which watches, too
            taken += out.send([frame(taken)], timeout=0.03)
            states += [out.state] if out.state != states[-1] else []
        assert states[-2:] == ["gone", "up"]
        assert out.send([frame(number) for number in range(100)], timeout=10) == 100
        assert out.flush(5) == 0
        stats = out.stats()
        assert stats["rx_reopens"] == 1
        assert stats["tx_frames"] + stats["tx_drop_kernel"] == taken + 100
        assert stats["tx_frames"] >= 100


def test_a_queue_that_is_taken_is_refused_by_name(pair: Wire) -> None:
    with open_rx(pair), pytest.raises(ConfigError, match=f"queue 0 of {pair.device['rx']} belongs to another receiver"):
        open_rx(pair)


PRESSES = 9


def test_ctrl_c_interrupts_a_waiting_receiver_and_leaves_no_program(pair: Wire) -> None:
    script = f"""
import hwgw, time
with hwgw.rx.open("afxdp", interface="{pair.device["rx"]}", groups=["{FLOW}"]) as rx:
    print("ready", flush=True)
    for _ in range({PRESSES}):
        try:
            for batch in rx:
                pass
        except KeyboardInterrupt:
            print(time.monotonic_ns(), rx.ledger().offered, flush=True)
"""
    with (
        pair.inside("rx"),
        Forked([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        took_ms = []
        for _ in range(PRESSES):
            time.sleep(0.02)  # it waits
            sent_ns = time.monotonic_ns()
            process.send_signal(signal.SIGINT)
            at_ns, offered = process.stdout.readline().split()
            took_ms.append((int(at_ns) - sent_ns) / 1e6)
        assert process.wait(20) == 0
    assert offered == "0"
    # half of them: what a busy machine adds to one of them is not ours
    assert sorted(took_ms)[PRESSES // 2] < 50, took_ms
    assert max(took_ms) < 500, took_ms
    assert "xdp" not in pair.run("rx", "ip", "-d", "link", "show", "dev", pair.device["rx"])
