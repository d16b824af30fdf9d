"""Frames that come while an AF_XDP path is opened anew: each is received, or counted as lost by the reopening.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hwgw_sim.receiver import Receiver
from hwgw_sim.wire import Wire, missing, udp_frame
from support.links import detach, link, make_again, operstate
from support.market import until

GROUP, PORT, OTHER = "239.1.2.3", 26400, 26401

pytestmark = [
    pytest.mark.root,
    pytest.mark.afxdp,
    pytest.mark.skipif(bool(missing()), reason=f"no network namespaces: {missing()}"),
]


class Flood:
    """Sends frames of the flow, and as many of another one, out of a wire until it is told to stop."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def _send(self) -> None:
        until(self._is_up, "the link is up")
        with self.wire.packet_socket("tx") as raw:
            while not self._stop.wait(0.0002):
                for _ in range(10):
                    raw.send(udp_frame(GROUP, PORT, self.sent.to_bytes(4, "big")))
                    raw.send(udp_frame(GROUP, OTHER, b"nobody's"))
                    self.sent += 1

    def _is_up(self) -> bool:
        with contextlib.suppress(RuntimeError):  # it may be in the making
            return operstate(self.wire) == "UP"
        return False

    def __enter__(self) -> Flood:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@contextlib.contextmanager
def receiving(wire: Wire, *flows: tuple[str, int], **settings: object) -> Iterator[Receiver]:
    with wire.inside("rx"):
        rx = Receiver("afxdp", flows or [(GROUP, PORT)], interface=wire.device["rx"], **settings)
    with rx:
        yield rx


def pump(rxs: list[Receiver], done: Callable[[], bool], what: str) -> list[int]:
    """Poll as pipelines do until done; the numbers of the frames that came."""
    numbers = []

    def step() -> bool:
        for rx in rxs:
            numbers.extend(int.from_bytes(frame.data[-4:], "big") for frame in rx.poll())
            rx.stats()
        return done()

    end = time.monotonic() + 10
    while not step():
        assert time.monotonic() < end, f"gave up waiting until {what}"
    return numbers


def larger(wire: Wire) -> None:
    for end in ("tx", "rx"):
        wire.run(end, "ip", "link", "set", wire.device[end], "mtu", "9000")


def robbed(wire: Wire) -> None:
    detach(link(wire)["xdp"]["prog"]["id"])


def judged(rxs: list[Receiver], flood: Flood, numbers: list[int]) -> None:
    """Sent = received + lost by the reopening, which lost some; what came is in order and once."""
    stats = [rx.stats() for rx in rxs]
    lost = sum(each["drop_reopen"] for each in stats)
    assert flood.sent == sum(rx.accounted() for rx in rxs) == len(numbers) + lost
    assert numbers == sorted(set(numbers))
    assert lost > 100
    assert len(numbers) > 1000
    assert {name for each in stats for name, cnt in each.items() if cnt and name.startswith("drop_")} == {"drop_reopen"}


@pytest.mark.parametrize(
    ("mode", "disturb"), [("native", robbed), ("generic", robbed), ("generic", larger)], ids=lambda each: str(each)[:16]
)
def test_every_frame_that_comes_while_it_is_opened_anew_is_counted(mode: str, disturb: Callable[[Wire], None]) -> None:
    with Wire() as wire, receiving(wire, mode=mode) as rx:
        with Flood(wire) as flood:
            numbers = pump([rx], lambda: flood.sent > 1000, "it is sent")
            disturb(wire)
            numbers += pump([rx], lambda: rx.stats()["reopens"] == 1, "it is open again")
            now = flood.sent
            numbers += pump([rx], lambda: flood.sent > now + 1000, "more is sent")
        numbers += pump([rx], lambda: rx.accounted() >= flood.sent, "all is accounted for")
        judged([rx], flood, numbers)


def test_receivers_that_share_a_program_count_what_it_missed_once() -> None:
    with Wire(queues=2) as wire, receiving(wire, queues=[0]) as one, receiving(wire, queues=[1]) as two:
        both = [one, two]
        with Flood(wire) as flood:
            numbers = pump(both, lambda: flood.sent > 1000, "it is sent")
            robbed(wire)
            numbers += pump(both, lambda: link(wire).get("xdp"), "it is back")
            now = flood.sent
            numbers += pump(both, lambda: flood.sent > now + 1000, "more is sent")
        numbers += pump(both, lambda: one.accounted() + two.accounted() >= flood.sent, "all is accounted for")
        judged(both, flood, sorted(numbers))


def test_what_came_before_a_receiver_was_open_is_not_its_loss() -> None:
    """Under a flood of both flows: the first, a second one beside it, and when that has gone."""
    with Wire(queues=2) as wire, Flood(wire) as flood:
        until(lambda: flood.sent > 100, "it is sent")
        with receiving(wire, queues=[0, 1]) as one:
            pump([one], lambda: one.stats()["frames"] > 300, "frames come")
        with receiving(wire, queues=[0]) as one:
            with receiving(wire, (GROUP, OTHER), queues=[1]) as two:
                now = flood.sent
                pump([one, two], lambda: flood.sent > now + 300, "more is sent")
                assert two.stats()["drop_reopen"] == 0
            now = flood.sent
            pump([one], lambda: flood.sent > now + 300, "more is sent")
            assert one.stats()["drop_reopen"] <= 2  # frames that were on their way when the other one went


def test_frames_of_an_interface_that_was_made_anew_are_counted_before_it_is_open() -> None:
    """From when the kernel's news of it has been read: what came before that is lost uncounted (docs/receive.md)."""
    is_there, is_told = threading.Event(), threading.Event()

    def is_open() -> bool:
        if is_there.is_set():
            rx.stats()
            is_told.set()
        return rx.stats()["reopens"] == 1

    with Wire() as wire, receiving(wire, mode="native") as rx:
        wire.run("rx", "ip", "link", "del", wire.device["rx"])
        pump([rx], lambda: rx.state == "gone", "it is gone")
        maker = threading.Thread(target=make_again, args=(wire, lambda: (is_there.set(), is_told.wait(10))))
        maker.start()
        with Flood(wire) as flood:
            numbers = pump([rx], is_open, "it is open again")
            now = flood.sent
            numbers += pump([rx], lambda: flood.sent > now + 1000, "more is sent")
        maker.join()
        numbers += pump([rx], lambda: rx.accounted() >= flood.sent, "all is accounted for")
        assert flood.sent == rx.accounted() == len(numbers) + rx.stats()["drop_reopen"]
        assert numbers == sorted(set(numbers))


def test_what_the_program_lets_pass_is_not_taken_for_missed() -> None:
    """Frames on a queue that is not ours, first fragments, others' frames, what this host sends to its own group."""
    with Wire(queues=2) as wire, receiving(wire, mode="native", queues=[1]) as rx:
        with wire.packet_socket("tx") as raw:
            for port in range(300):
                raw.send(udp_frame(GROUP, PORT, bytes(4), source_port=1024 + port))
                raw.send(udp_frame(GROUP, OTHER, bytes(4), source_port=1024 + port))
            for data in [b"fragment"] * 40:
                frame = bytearray(udp_frame(GROUP, PORT, data))
                frame[20:22] = b"\x20\0"
                frame[24:26] = (int.from_bytes(frame[24:26], "big") + 0x2000).to_bytes(2, "big")
                raw.send(frame)
        with wire.inside("rx"):
            own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with own:
            own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(wire.address["rx"]))
            for _ in range(50):
                own.sendto(b"from here", (GROUP, PORT))
        pump([rx], lambda: rx.accounted() >= 340, "all is accounted for")
        stats = rx.stats()
        assert stats["drop_reopen"] == 0
        assert rx.accounted() == 340
        assert stats["drop_other_queue"] > 50
