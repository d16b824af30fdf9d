"""What becomes of a receive path when its interface goes down, is renamed, removed, changed or robbed of its program.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator

import pytest
from hwgw_sim.receiver import Receiver
from hwgw_sim.wire import Wire, missing, udp_frame
from support.links import detach, link, make_again, operstate
from support.market import until
from support.rig import Rig, add, directory, frame, mold

from hwgw.native import ffi

GROUP, PORT = "239.1.2.3", 26400
BACKENDS = {
    "udp": {"backend": "udp"},
    "native": {"backend": "afxdp", "mode": "native"},
    "generic": {"backend": "afxdp", "mode": "generic"},
    "packet": {"backend": "packet"},
}

pytestmark = [
    pytest.mark.root,
    pytest.mark.afxdp,
    pytest.mark.skipif(bool(missing()), reason=f"no network namespaces: {missing()}"),
]


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as wire:
        yield wire


@pytest.fixture(params=BACKENDS)
def rx(request: pytest.FixtureRequest, wire: Wire) -> Iterator[Receiver]:
    yield from opened(wire, **BACKENDS[request.param])


@pytest.fixture(params=["native", "generic"])
def afxdp(request: pytest.FixtureRequest, wire: Wire) -> Iterator[Receiver]:
    yield from opened(wire, **BACKENDS[request.param])


def opened(wire: Wire, **settings: object) -> Iterator[Receiver]:
    with wire.inside("rx"):
        receiver = Receiver(flows=[(GROUP, PORT)], interface=wire.device["rx"], **settings)
    with receiver:
        yield receiver


def reaches(rx: Receiver, state: str, seconds: float = 10) -> None:
    """Until it says so; it polls as a pipeline does."""

    def look() -> bool:
        assert rx.poll() == []
        rx.stats()
        return rx.state == state

    until(look, f"the receive state is {state}, not {rx.state} ({rx.reason})", seconds)


def carries(wire: Wire, rx: Receiver, cnt: int = 20) -> None:
    """So many frames, sent now, are received, and nothing else is."""
    until(lambda: operstate(wire) == "UP", "the link is up")
    before = rx.stats()["frames"]
    with wire.packet_socket("tx") as raw:
        for number in range(cnt):
            raw.send(udp_frame(GROUP, PORT, number.to_bytes(4, "big")))
    got = []
    end = time.monotonic() + 5
    while len(got) < cnt and time.monotonic() < end:
        got += rx.poll()
    assert [frame.data[-4:] for frame in got] == [number.to_bytes(4, "big") for number in range(cnt)]
    assert rx.stats()["frames"] == before + cnt


@pytest.mark.parametrize("end", ["rx", "tx"])
def test_frames_go_on_when_the_link_comes_back(wire: Wire, rx: Receiver, end: str) -> None:
    carries(wire, rx)
    assert (rx.state, rx.reason) == ("up", "")
    wire.run(end, "ip", "link", "set", wire.device[end], "down")
    reaches(rx, "link_down")
    device = wire.device["rx"]
    assert rx.reason == (f"{device} is down: ip link set {device} up" if end == "rx" else f"{device} has no carrier")
    assert rx.reason in rx.description
    wire.run(end, "ip", "link", "set", wire.device[end], "up")
    reaches(rx, "up")
    carries(wire, rx)
    stats = rx.stats()
    assert (stats["link_downs"], stats["link_ups"], stats["reopens"]) == (1, 1, 0)
    # the groups are still joined: the kernel would answer a switch that asks
    groups = json.loads(wire.run("rx", "ip", "-j", "maddress", "show", "dev", device))[0]["maddr"]
    assert GROUP in {entry.get("address") for entry in groups}


def test_a_renamed_interface_goes_on_under_its_new_name(wire: Wire, rx: Receiver) -> None:
    wire.run("rx", "ip", "link", "set", wire.device["rx"], "name", "other0")
    wire.device["rx"] = "other0"
    carries(wire, rx)
    until(lambda: rx.stats() and "now called other0" in rx.description, "the new name is told")
    assert (rx.state, rx.stats()["reopens"]) == ("up", 0)


def test_drops_of_a_renamed_interface_are_still_counted(wire: Wire, afxdp: Receiver) -> None:
    wire.run("rx", "ip", "link", "set", wire.device["rx"], "name", "other0")
    wire.device["rx"] = "other0"
    before = afxdp.stats()["drop_nic"]
    wire.run("tx", "ip", "link", "set", wire.device["tx"], "mtu", "2000")
    with wire.packet_socket("tx") as raw:
        for _ in range(20):  # longer than the interface takes: it drops them
            with contextlib.suppress(OSError):  # and the sender is told
                raw.send(bytes(12) + b"\x08\0" + bytes(1900))
    until(lambda: afxdp.stats()["drop_nic"] == before + 20, "the drops are counted", 10)


def test_a_removed_interface_is_gone_until_it_is_there_again(wire: Wire, rx: Receiver) -> None:
    carries(wire, rx)
    wire.run("rx", "ip", "link", "del", wire.device["rx"])
    reaches(rx, "gone")
    assert rx.reason == f"{wire.device['rx']} is gone"
    before = rx.stats()
    make_again(wire)
    reaches(rx, "up")
    stats = rx.stats()
    assert {name: stats[name] - value for name, value in before.items() if stats[name] < value} == {}
    assert (stats["reopens"], stats["frames"]) == (1, before["frames"])
    carries(wire, rx)
    assert rx.accounted() == 40


def test_an_interface_moved_to_another_namespace_is_gone(wire: Wire, rx: Receiver) -> None:
    wire.run("rx", "ip", "link", "set", wire.device["rx"], "netns", wire.path("tx"))
    reaches(rx, "gone")
    wire.run("tx", "ip", "link", "set", wire.device["rx"], "netns", wire.path("rx"))
    wire.run("rx", "ip", "addr", "add", f"{wire.address['rx']}/24", "dev", wire.device["rx"])
    wire.run("rx", "ip", "link", "set", wire.device["rx"], "up")
    reaches(rx, "up")
    carries(wire, rx)
    assert rx.stats()["reopens"] >= 1


def test_a_reopen_counts_what_waited_in_the_ring(wire: Wire, afxdp: Receiver) -> None:
    with wire.packet_socket("tx") as raw:
        for number in range(30):
            raw.send(udp_frame(GROUP, PORT, number.to_bytes(4, "big")))
    wire.run("rx", "ip", "link", "del", wire.device["rx"])
    make_again(wire)

    def up() -> bool:  # nobody polls
        return afxdp.stats()["reopens"] == 1

    until(up, "it is open again")
    assert (afxdp.stats()["drop_reopen"], afxdp.accounted()) == (30, 30)
    carries(wire, afxdp)


def test_frames_that_are_held_keep_the_old_ring(wire: Wire, afxdp: Receiver) -> None:
    with wire.packet_socket("tx") as raw:
        raw.send(udp_frame(GROUP, PORT, b"held"))
    until(lambda: bool(afxdp.poll(release=False)), "the frame is there")
    wire.run("rx", "ip", "link", "del", wire.device["rx"])
    make_again(wire)
    end = time.monotonic() + 1.1  # beyond the time after which it would not wait for an empty ring
    while time.monotonic() < end:
        assert afxdp.stats()["reopens"] == 0
        time.sleep(0.01)
    afxdp.release()
    reaches(afxdp, "up")
    assert afxdp.stats()["reopens"] == 1


# ---- AF_XDP: the program, the MTU, the queues ----


def test_a_program_that_was_taken_off_is_noticed_and_put_back(wire: Wire, afxdp: Receiver) -> None:
    carries(wire, afxdp)
    program = link(wire)["xdp"]["prog"]["id"]
    detach(program)
    assert "xdp" not in link(wire)
    seen = set()

    def back() -> bool:
        afxdp.poll()
        afxdp.stats()
        seen.add((afxdp.state, afxdp.reason.partition(" was taken off")[0]))
        return "xdp" in link(wire) and afxdp.state == "up"

    until(back, "the program is back")
    assert ("detached", f"our XDP program (id {program})") in seen
    assert link(wire)["xdp"]["prog"]["id"] != program
    carries(wire, afxdp)
    assert afxdp.stats()["reopens"] == 1


@pytest.mark.parametrize("rx", ["packet", "udp"], indirect=True)
def test_a_program_in_front_of_a_socket_is_told_while_it_is_there(wire: Wire, rx: Receiver) -> None:
    carries(wire, rx)
    assert "XDP" not in rx.description
    for taker in opened(wire, **BACKENDS["generic"]):
        text = f"XDP program {link(wire)['xdp']['prog']['id']} is attached: what it takes does not come here"
        until(lambda text=text: rx.stats() and text in rx.description, "the program is told")
        carries(wire, taker)
        assert rx.poll() == []
    until(lambda: rx.stats() and "XDP" not in rx.description, "the program is gone")
    carries(wire, rx)


def test_an_mtu_that_the_frames_do_not_take_is_a_change_until_it_is_set_back(wire: Wire) -> None:
    for rx in opened(wire, **BACKENDS["generic"], frame_sz_bytes=2048):
        carries(wire, rx)
        wire.run("rx", "ip", "link", "set", wire.device["rx"], "mtu", "9000")
        reaches(rx, "changed")
        assert rx.reason == f"MTU 9000 of {wire.device['rx']}: its frames fit up to 1770"
        carries(wire, rx)  # those that fit
        rx.stats()
        assert rx.state == "changed"
        wire.run("rx", "ip", "link", "set", wire.device["rx"], "mtu", "1500")
        reaches(rx, "up")
        carries(wire, rx)
        assert rx.stats()["reopens"] == 0


@pytest.mark.parametrize("backend", ["generic", "packet"])
def test_a_larger_mtu_is_taken_by_opening_anew_where_the_frame_size_is_not_given(wire: Wire, backend: str) -> None:
    for rx in opened(wire, **BACKENDS[backend]):
        carries(wire, rx)
        for end in ("tx", "rx"):
            wire.run(end, "ip", "link", "set", wire.device[end], "mtu", "9000")

        def reopened(rx: Receiver = rx) -> bool:
            rx.poll()
            return rx.stats()["reopens"] == 1 and rx.state == "up"

        until(reopened, f"it is open for larger frames; {rx.state}: {rx.reason}")
        with wire.packet_socket("tx") as raw:
            raw.send(udp_frame(GROUP, PORT, bytes(7000)))
        assert [len(frame.data) for frame in rx.settle(21)] == [7042]
        assert rx.stats()["drop_truncated"] == 0


def test_the_kernel_keeps_our_queue_and_more_queues_are_told() -> None:
    with Wire(queues=4) as wire:
        device = wire.device["rx"]
        wire.run("tx", "ethtool", "-L", wire.device["tx"], "rx", "2", "tx", "2")
        wire.run("rx", "ethtool", "-L", device, "rx", "2", "tx", "2")
        for rx in opened(wire, backend="afxdp", mode="native", queues=[1]):
            with pytest.raises(RuntimeError):  # below a queue that has an AF_XDP socket
                wire.run("rx", "ethtool", "-L", device, "rx", "1")
            wire.run("rx", "ethtool", "-L", device, "rx", "4")
            until(lambda rx=rx: rx.stats() and "4 receive queues, 2 when it was opened" in rx.description, "it is told")
            assert rx.state == "up"


def test_a_receive_path_whose_interface_is_gone_closes_at_once(wire: Wire, rx: Receiver) -> None:
    wire.run("rx", "ip", "link", "del", wire.device["rx"])
    rx.stats()
    began = time.monotonic()
    rx.close()
    assert time.monotonic() - began < 2


def test_a_forked_child_watches_nothing_and_takes_nothing_from_its_parent(wire: Wire, rx: Receiver) -> None:
    carries(wire, rx)
    frames = rx.stats()["frames"]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            end = time.monotonic() + 0.55  # more than two questions to the kernel
            while time.monotonic() < end:
                stats = rx.stats()
                time.sleep(0.01)
            right = (rx.state, stats["reopens"], stats["frames"]) == ("gone", 0, frames)
            status = 0 if right and rx.reason.endswith("before a fork") else 2
            rx.close()
        finally:
            os._exit(status)
    wire.run("rx", "ip", "link", "set", wire.device["rx"], "down")
    reaches(rx, "link_down")
    wire.run("rx", "ip", "link", "set", wire.device["rx"], "up")
    reaches(rx, "up")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    carries(wire, rx)
    assert rx.stats()["reopens"] == 0


def test_link_messages_that_were_lost_are_asked_for_again(wire: Wire) -> None:
    for rx in opened(wire, **BACKENDS["udp"]):
        device = wire.device["rx"]
        wire.ip("rx", *[f"link set {device} down", f"link set {device} up"] * 300)  # more than the socket takes
        reaches(rx, "up")
        assert rx.stats()["link_downs"] < 300
        carries(wire, rx)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_channel_is_good_while_the_receive_path_is_not_up(wire: Wire, backend: str) -> None:
    words = [ffi.new("char[]", word.encode()) for word in (*BACKENDS[backend].values(), wire.device["rx"])]
    settings = {**dict(zip(BACKENDS[backend], words, strict=False)), "interface": words[-1]}
    with wire.inside("rx"):
        rig = Rig(["AAPL"], rx=settings)
    with rig, wire.packet_socket("tx") as raw:

        def sends(seq: int, *messages: bytes) -> None:
            raw.send(frame(mold(seq, messages)))
            until(lambda: rig.step() is None and rig.cnt("mold.messages") == seq, f"message {seq} is decoded")

        def status() -> tuple[str, str]:
            rig.publish()
            row = rig.segment.thread_status()[0]
            return row["receive"], row["feed"]

        sends(1, directory(1, "AAPL"))
        assert status() == ("up", "good")
        wire.run("tx", "ip", "link", "set", wire.device["tx"], "down")
        until(lambda: status() == ("link_down", "stale"), "the link is down")
        assert rig.segment.thread_status()[0]["receive_reason"] == f"{wire.device['rx']} has no carrier"
        rig.seq = 2
        rig.feed(add(1, "AAPL", 1, "B", 100, 1_000_000))  # one that had waited in the ring
        assert status() == ("link_down", "stale")
        wire.run("tx", "ip", "link", "set", wire.device["tx"], "up")
        until(lambda: status()[0] == "up" and operstate(wire) == "UP", "the link is up")
        assert status() == ("up", "stale")
        sends(3, add(1, "AAPL", 2, "S", 100, 1_000_200))
        assert status() == ("up", "good")
        assert rig.cnt("mold.gaps") == 0


def test_a_backend_without_an_interface_has_no_state_to_watch(tmp_path) -> None:
    with Receiver("udp", [(GROUP, PORT)], local_address=0x7F000001) as rx:
        rx.stats()
        assert (rx.state, rx.reason) == ("up", "")
        assert rx.stats()["link_downs"] == 0
