"""A connection of the kernel's is lent: segments that it did not send, a real TCP peer, and the kernel told afterwards.

The segments are those of the golden model, which tests/rtl compares with the card's byte by byte.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hwgw_sim.golden.frame import Template
from hwgw_sim.lab import Lab

from hwgw.card.loan import Loan, header, numbers
from hwgw.errors import ConfigError, DeviceError

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(Lab.missing()), reason=f"no lab: {Lab.missing()}")]
SECONDS_MAX = 60


@dataclass
class Path:
    """Both ends of a connection, and the card's cable."""

    lab: Lab
    ours: socket.socket
    venue: socket.socket
    cable: socket.socket

    @property
    def template(self) -> Template:
        """What frames of this connection begin with."""
        (source, source_port), (destination, destination_port) = self.ours.getsockname(), self.ours.getpeername()
        macs = [bytes.fromhex(end.mac.replace(":", "")) for end in (self.lab.exchange, self.lab.gateway)]
        addresses = socket.inet_aton(source), socket.inet_aton(destination)
        return Template(*macs, *addresses, source_port, destination_port)

    def card_sends(self, loan: Loan, packet: bytes, at: int) -> None:
        """A frame of the card."""
        self.cable.send(self.template.frame(at, loan.numbers.ack, loan.numbers.window, packet))

    def venue_gets(self, expected: bytes) -> None:
        """Just these bytes arrive."""
        got = b""
        while len(got) < len(expected):
            got += self.venue.recv(65536)
        assert got == expected

    def retransmitted(self) -> int:
        """Segments that our kernel has sent again."""
        return int(struct.unpack_from("I", self.ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[0])


def connect(lab: Lab) -> Path:
    """A connection from the gateway's namespace to the exchange's."""
    with lab.exchange.entered(), socket.create_server((lab.exchange.address, 0)) as listener:
        port = listener.getsockname()[1]
        with lab.gateway.entered():
            ours = socket.create_connection((lab.exchange.address, port), SECONDS_MAX)
            cable = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            cable.bind((lab.gateway.interface, 0))
        venue, _ = listener.accept()
    venue.settimeout(SECONDS_MAX)
    for end in (ours, venue):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Path(lab, ours, venue, cable)


def timestamps(lab: Lab, value: int) -> None:
    """net.ipv4.tcp_timestamps of our side."""
    lab.gateway.run(["sysctl", "-qw", f"net.ipv4.tcp_timestamps={value}"], check=True)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        timestamps(made, 0)
        yield made


@pytest.fixture
def path(lab: Lab) -> Iterator[Path]:
    made = connect(lab)
    yield made
    for end in (made.ours, made.venue, made.cable):
        end.close()


def test_what_the_card_sends_is_the_connections_and_the_host_goes_on_after_it(path: Path, seed: int) -> None:
    rng = random.Random(seed)
    sent = 0
    for turn in range(40):
        path.ours.send(b"heartbeat")
        path.venue_gets(b"heartbeat")
        loan = Loan(path.ours)
        for _ in range(rng.randrange(8)):  # none: a loan that is not used costs nothing
            packet = rng.randbytes(rng.randint(1, 56))
            seq = loan.next
            path.card_sends(loan, packet, seq)
            loan.told(seq, packet)
            path.venue_gets(packet)
            path.venue.send(b"accepted %d" % turn)
            assert path.ours.recv(100) == b"accepted %d" % turn
            sent += 1
        assert numbers(path.ours).seq == loan.next
    assert sent > 40
    path.ours.send(b"end")
    path.venue_gets(b"end")


def test_a_frame_that_was_lost_is_sent_again_by_the_kernel(path: Path) -> None:
    loan = Loan(path.ours)
    loan.told(loan.next, b"an order that nobody saw")
    path.venue_gets(b"an order that nobody saw")
    assert path.retransmitted() >= 1


def test_an_answer_that_comes_before_the_host_has_told_comes_later_and_is_not_lost(path: Path) -> None:
    loan = Loan(path.ours)
    seq = loan.next
    path.card_sends(loan, b"order", seq)
    path.venue_gets(b"order")
    path.venue.send(b"fill")
    path.ours.settimeout(0.05)
    with pytest.raises(TimeoutError):
        path.ours.recv(100)  # it acknowledges what our kernel has not sent
    path.ours.settimeout(SECONDS_MAX)
    loan.told(seq, b"order")
    assert path.ours.recv(100) == b"fill"
    assert numbers(path.ours).seq == loan.next


def test_several_frames_may_be_told_at_once(path: Path) -> None:
    loan = Loan(path.ours)
    for idx in range(5):
        path.card_sends(loan, b"order %d" % idx, loan.next + 7 * idx & 0xFFFFFFFF)
    loan.told(loan.next, b"".join(b"order %d" % idx for idx in range(5)))
    path.venue_gets(b"".join(b"order %d" % idx for idx in range(5)))
    path.ours.send(b"end")
    path.venue_gets(b"end")


def test_the_header_of_its_frames_is_read_from_the_route(path: Path) -> None:
    with path.lab.gateway.entered():
        found, index = header(path.ours)
        assert index == socket.if_nametoindex(path.lab.gateway.interface)
    expected = bytearray(path.template.frame(0, 0, 0, b""))
    for at, size in ((16, 2), (24, 2), (50, 2)):  # total length and both checksums are of each frame
        expected[at : at + size] = bytes(size)
    assert found == bytes(expected)


def test_a_venue_that_is_not_behind_an_ethernet_cannot_be_reached_by_the_card() -> None:
    what = r"at 127\.0\.0\.1 is reached by interface 1, which is not an Ethernet one"
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as ours,
        pytest.raises(DeviceError, match=what),
    ):
        header(ours)


def test_sent_bytes_that_do_not_follow_are_refused(path: Path) -> None:
    loan = Loan(path.ours)
    with pytest.raises(DeviceError, match="the connection is lost to us"):
        loan.told(loan.next + 1, b"order")
    assert numbers(path.ours).seq == loan.next


def test_a_connection_with_timestamps_is_not_lent(lab: Lab) -> None:
    timestamps(lab, 1)
    try:
        path = connect(lab)
    finally:
        timestamps(lab, 0)
    with path.ours, path.venue, path.cable, pytest.raises(ConfigError, match="tcp_timestamps=0"):
        Loan(path.ours)


def test_room_is_what_the_venue_takes(path: Path) -> None:
    assert 0 < numbers(path.ours).room <= 14_600
    path.ours.setblocking(False)
    sent = 0
    try:
        while True:
            sent += path.ours.send(bytes(65536))
    except BlockingIOError:
        assert sent > 0
    with pytest.raises(DeviceError, match="wait in the socket"):
        Loan(path.ours)
