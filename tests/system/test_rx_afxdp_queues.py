"""Several queues behind one receiver, and several receivers on one interface: fair, exact, and each gets its own.

SPDX-License-Identifier: MIT
"""

import socket
import threading
from collections import Counter

import numpy as np
import pytest
from hwgw_sim.wire import Wire

from hwgw.errors import ConfigError
from hwgw.native import ffi, lib
from tests.support.afxdp import FLOWS, MARKS, number, numbered, open_rx, program, settle_all, until
from tests.system.test_rx_states import detach

pytestmark = MARKS


@pytest.fixture
def wide():
    with Wire(queues=4) as made:
        yield made


@pytest.fixture
def spread(wide):
    """Sends cnt frames of a flow; the source port spreads them over the queues."""
    with wide.packet_socket("tx") as raw:

        def send(cnt, flow=0, first=0):
            for i in range(first, first + cnt):
                raw.send(numbered(i, flow, source_port=1024 + i % 5000))

        yield send


def test_every_frame_of_all_queues_arrives_once_in_the_order_of_its_queue(wide, spread):
    with open_rx(wide, queues=[0, 1, 2, 3]) as rx:
        assert "queues 0,1,2,3, native mode, copy, 4096 frames of 2048 bytes" in rx.description
        spread(4000)
        got = rx.settle(4000)
        assert sorted(number(f.data) for f in got) == list(range(4000))
        per_queue = Counter(f.queue for f in got)
        assert set(per_queue) == {0, 1, 2, 3}
        assert min(per_queue.values()) > 500
        for queue in range(4):
            numbers = [number(f.data) for f in got if f.queue == queue]
            assert numbers == sorted(numbers)
        assert rx.stats()["frames"] == rx.accounted() == 4000


def test_queues_that_nobody_has_are_counted(wide, spread):
    with open_rx(wide, queues=[0, 1, 2, 3]) as rx:
        spread(2000)
        per_queue = Counter(f.queue for f in rx.settle(2000))
    with open_rx(wide, queues=[3, 1]) as rx:
        spread(2000)
        got = Counter(f.queue for f in rx.settle(2000))
        assert got == {queue: per_queue[queue] for queue in (1, 3)}  # the same ports fall on the same queues
        assert rx.stats()["drop_other_queue"] == per_queue[0] + per_queue[2]
        assert rx.accounted() == 2000


def test_a_full_queue_does_not_starve_the_others(wide, spread):
    with open_rx(wide, queues=[0, 1, 2, 3]) as rx:
        spread(4000)
        until(lambda: wide.statistics("rx")["rx_packets"] >= 4000)
        seen = Counter()
        for _ in range(16):
            batch = rx.poll(50)
            assert len(batch) == 50
            seen.update(f.queue for f in batch)
        assert seen == {0: 200, 1: 200, 2: 200, 3: 200}
        rx.settle(4000)
        assert rx.stats()["frames"] == 4000


def test_all_frames_lie_in_one_memory_that_numpy_can_view(wide, spread):
    with open_rx(wide, queues=[0, 1, 2, 3], frame_cnt=256) as rx:
        memory = np.frombuffer(rx.memory, dtype=np.uint8)
        assert memory.size == 4 * 256 * 2048
        start = int(ffi.cast("uintptr_t", ffi.from_buffer(memory)))
        spread(400)
        frames, queues, compared = ffi.new("struct hwgw_frame[256]"), set(), 0
        until(lambda: wide.statistics("rx")["rx_packets"] >= 400)
        while cnt := lib.hwgw_rx_poll(rx.rx, frames, 256):
            for frame in frames[0:cnt]:
                at = int(ffi.cast("uintptr_t", frame.data)) - start
                assert 0 <= at <= memory.size - frame.len
                assert memory[at : at + frame.len].tobytes() == bytes(ffi.buffer(frame.data, frame.len))
                queues.add(frame.queue)
                compared += 1
            lib.hwgw_rx_release(rx.rx)
        assert (compared, queues) == (400, {0, 1, 2, 3})


def test_receivers_of_one_process_share_the_interface_and_each_gets_its_own(wide, spread):
    with open_rx(wide, queues=[0, 1, 2, 3]) as rx:
        spread(1000, 0)
        spread(1000, 1)
        share = Counter((f.data[33], f.queue) for f in rx.settle(2000))  # last byte of the group
    with open_rx(wide, flows=FLOWS[:1], queues=[0, 1]) as a, open_rx(wide, "auto", flows=FLOWS, queues=[2, 3]) as b:
        spread(1000, 0)
        spread(1000, 1)
        at_a, at_b = (Counter((f.data[33], f.queue) for f in frames) for frames in settle_all([a, b], 2000))
        assert at_a == {(3, queue): share[3, queue] for queue in (0, 1)}
        assert at_b == {(group, queue): share[group, queue] for group in (3, 4) for queue in (2, 3)}
        assert a.stats()["drop_other_queue"] == 0
        unwanted = share[4, 0] + share[4, 1]  # of the second flow, which only b wants
        assert b.stats()["drop_other_queue"] == unwanted
        assert a.accounted() + b.accounted() == 2000

        before = b.stats()["frames"], b.accounted()
        a.close()  # b is now the eldest of both flows
        assert program(wide) is not None
        spread(1000, 0)
        settle_all([b], before[1] + 1000)
        assert b.stats()["frames"] == before[0] + share[3, 2] + share[3, 3]
        assert b.stats()["drop_other_queue"] == unwanted + share[3, 0] + share[3, 1]
        assert (b.accounted(), b.stats()["drop_nic"]) == (before[1] + 1000, 0)
    assert program(wide) is None


def test_a_flow_on_a_queue_of_neither_is_counted_by_the_eldest_alone(wide, spread):
    with open_rx(wide, flows=FLOWS[:1], queues=[0]) as a, open_rx(wide, flows=FLOWS[:1], queues=[1]) as b:
        spread(1000)
        settle_all([a, b], 1000)
        assert min(a.stats()["frames"], b.stats()["frames"]) > 100
        assert b.stats()["drop_other_queue"] == 0
        assert a.stats()["drop_other_queue"] == 1000 - a.stats()["frames"] - b.stats()["frames"]


def test_a_fragment_is_counted_by_the_receiver_of_its_queue(wide):
    with (
        wide.packet_socket("tx") as raw,
        open_rx(wide, queues=[0, 1, 2]) as a,
        open_rx(wide, queues=[3]) as b,
    ):
        for i in range(400):
            fragment = bytearray(numbered(i, source_port=1024 + i))
            fragment[20:22] = b"\x20\x00"
            fragment[29] = i & 255  # ports of a fragment are not hashed, addresses are
            raw.send(bytes(fragment))
        until(lambda: a.accounted() + b.accounted() >= 400)
        found = a.stats()["drop_fragment"], b.stats()["drop_fragment"]
        assert min(found) > 20
        assert sum(found) == a.accounted() + b.accounted() == 400


def test_a_neighbours_full_ring_is_not_counted_as_loss_of_the_interface(wide, spread):
    with open_rx(wide, queues=[0, 1, 2], frame_cnt=64) as a, open_rx(wide, queues=[3], frame_cnt=64) as b:
        spread(2000)
        until(lambda: a.accounted() + b.accounted() + 4 * 32 >= 2000)
        assert a.settle(0)
        assert b.settle(0)
        assert a.stats()["drop_ring_full"] > 500
        assert b.stats()["drop_ring_full"] > 100
        assert (a.stats()["drop_nic"], b.stats()["drop_nic"]) == (0, 0)
        b.close()
        assert a.stats()["drop_nic"] == 0
        assert a.stats()["drop_other_queue"] == 0


def test_two_threads_receive_at_the_same_time(wide, spread):
    found = {}

    def receive(queues):
        rx = open_rx(wide, queues=queues)
        ready.wait()
        got = rx.drain(1.0)  # so long may the sender be held up
        found[queues[0]] = [number(f.data) for f in got], rx.accounted()
        rx.close()

    ready = threading.Barrier(3)
    threads = [threading.Thread(target=receive, args=([queue, queue + 1],)) for queue in (0, 2)]
    for thread in threads:
        thread.start()
    ready.wait()
    spread(3000)
    for thread in threads:
        thread.join()
    numbers = found[0][0] + found[2][0]
    assert len(found[0][0]) > 500
    assert len(found[2][0]) > 500
    assert sorted(numbers) == list(range(3000))
    assert found[0][1] + found[2][1] == 3000


def test_what_receivers_cannot_share_is_refused_by_name(wide):
    with open_rx(wide, queues=[0, 1]):
        with pytest.raises(ConfigError, match=r"queue 1 of \S+ belongs to another receiver of this process"):
            open_rx(wide, queues=[1, 2])
        with pytest.raises(ConfigError, match=r'mode "generic" on \S+, where another receiver .* native mode'):
            open_rx(wide, "generic", queues=[2])
        open_rx(wide, "auto", queues=[2]).close()
        assert program(wide) is not None
    assert program(wide) is None


def test_interfaces_of_the_same_index_in_other_namespaces_are_told_apart():
    with Wire() as left, Wire() as right:
        assert left.index("rx") == right.index("rx")
        with (
            left.packet_socket("tx") as to_left,
            right.packet_socket("tx") as to_right,
            open_rx(left) as a,
            open_rx(right) as b,
        ):
            for i in range(100):
                to_left.send(numbered(i))
            for i in range(50):
                to_right.send(numbered(i))
            assert (len(a.settle(100)), len(b.settle(50))) == (100, 50)


def test_all_frames_takes_what_the_kernel_would_get_and_says_so(wide):
    with wide.packet_socket("tx") as raw:
        with wide.inside("rx"):
            plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            plain.bind(("", 26999))
            plain.settimeout(0.05)
        with wide.inside("tx"):
            talker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with plain, talker:
            with open_rx(wide, flows=[], all_frames=True, queues=[0, 1, 2, 3]) as rx:
                assert "takes every frame of the queues, the kernel gets none of them" in rx.description
                sent = [numbered(i, 1, source_port=1024 + i) for i in range(200)]
                sent += [bytes(12) + b"\x88\xb5" + bytes([i]) * 46 for i in range(100)]
                for frame in sent:
                    raw.send(frame)
                talker.sendto(b"to the kernel?", (wide.address["rx"], 26999))
                got = rx.settle(301)
                assert sorted(f.data for f in got if b"kernel" not in f.data) == sorted(sent)
                assert len(got) == rx.accounted() == 301
                with pytest.raises(TimeoutError):
                    plain.recv(100)
            talker.sendto(b"again", (wide.address["rx"], 26999))
            assert plain.recv(100) == b"again"


def test_a_program_that_was_taken_off_comes_back_for_all_who_share_it(wide, spread):
    with open_rx(wide, queues=[0, 1]) as a, open_rx(wide, queues=[2, 3]) as b:
        detach(program(wide)["id"])
        assert program(wide) is None

        def is_back():
            for rx in (a, b):
                rx.poll()
                rx.stats()
            return program(wide) and (a.state, b.state) == ("up", "up")

        until(is_back)
        before = a.accounted() + b.accounted()
        spread(1000)
        got = settle_all([a, b], before + 1000)
        assert {f.queue for f in got[0]} == {0, 1}
        assert {f.queue for f in got[1]} == {2, 3}
        assert len(got[0]) + len(got[1]) == 1000
