"""The afxdp backend behind a switch that forwards groups only to those who asked for them.

SPDX-License-Identifier: MIT
"""

import socket
import time

import pytest

from tests.support.afxdp import MARKS, number, numbered, open_rx, until

pytestmark = MARKS

MEMBERSHIP_S = 1.5


@pytest.fixture
def switch(pair):
    """A bridge in the sending namespace that snoops IGMP and asks for members; a socket that sends through it."""
    for command in (
        "ip link add feed0 type veth peer name feed1",
        "ip link add bridge0 type bridge mcast_snooping 1 mcast_query_interval 100 mcast_query_response_interval 10 "
        f"mcast_membership_interval {int(MEMBERSHIP_S * 100)} mcast_startup_query_interval 100 "
        "mcast_last_member_interval 20 mcast_igmp_version 3",
        "ip link set bridge0 type bridge mcast_querier 1",  # it takes office after the response interval set before
        f"ip link set {pair.device['tx']} master bridge0",
        "ip link set feed0 master bridge0 up",
        "ip link set feed1 up",
        "ip link set bridge0 up",
    ):
        pair.run("tx", *command.split())
    until(lambda: pair.run("tx", "bridge", "link").count("state forwarding") == 2)
    time.sleep(0.2)
    with pair.inside("tx"):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        raw.bind(("feed1", 0))
    with raw:
        yield raw


def test_the_switch_forwards_from_the_join_on_and_for_as_long_as_queries_are_answered(pair, switch):
    def crossing(cnt=100):
        before = pair.statistics("rx")["rx_packets"]
        for i in range(cnt):
            switch.send(numbered(i))
        time.sleep(0.05)
        return pair.statistics("rx")["rx_packets"] - before

    assert crossing() < 10  # nobody wants it; a query may cross
    with open_rx(pair) as rx:
        until(lambda: "239.1.2.3" in pair.run("tx", "bridge", "mdb"))
        sent, got, end = 0, [], time.monotonic() + 1.5 * MEMBERSHIP_S
        while time.monotonic() < end:
            switch.send(numbered(sent))
            sent += 1
            got += rx.poll()
            time.sleep(0.005)
        got += rx.settle(sent)
        assert sent > 100
        assert [number(f.data) for f in got] == list(range(sent))
        assert rx.accounted() == sent
    until(lambda: "239.1.2.3" not in pair.run("tx", "bridge", "mdb"))
    assert crossing() < 10  # left again
