"""The relay: what a gateway shares, as MoldUDP64 with a re-request server.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hwgw_sim.golden.mold import Mold
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from support import rig as r
from support.desk import SYMBOLS
from support.market import free_port
from support.rig import Rig

from hwgw import attach, specs
from hwgw.cli.metrics import serving
from hwgw.errors import UsageError
from hwgw.relay import KEEP_MIN, PACKET_MAX, Follower, History, Relay, Udp, session_of
from hwgw.relay_metrics import FIELDS, RelayCollector

GROUP = "239.255.7.7"
EVENT = specs.dtype("event", "event")


def port_of(relay: Relay) -> int:
    assert isinstance(relay.outlet, Udp)
    return relay.outlet.request_port


class Receiver:
    """A receiver of the group, and its requests."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
        self.sock.bind(("", 0))
        member = socket.inet_aton(GROUP) + socket.inet_aton("127.0.0.1")
        self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        self.sock.setblocking(False)
        self.port = int(self.sock.getsockname()[1])

    def packets(self) -> Iterator[bytes]:
        while True:
            try:
                yield self.sock.recv(2048)
            except BlockingIOError:
                return

    def ask(self, relay: Relay, seq: int, cnt: int, session: bytes = b"") -> None:
        request = (session or relay.history.session) + seq.to_bytes(8, "big") + cnt.to_bytes(2, "big")
        self.sock.sendto(request, ("127.0.0.1", port_of(relay)))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.sock.close()


def relayed(rig: Rig, receiver: Receiver, keep: int = KEEP_MIN) -> Relay:
    live = attach(rig.segment.name, left_over=True)
    return Relay(live, Udp(GROUP, receiver.port, interface="127.0.0.1", requests=("127.0.0.1", 0)), keep=keep)


def adds(rig: Rig, first: int, cnt: int) -> None:
    for ref in range(first, first + cnt, 20):
        rig.feed(*(r.add(1, "AAPL", at, "B", at, 1_000_000) for at in range(ref, min(ref + 20, first + cnt))))


def by_seq(packets: Iterator[bytes], into: dict[int, bytes]) -> None:
    for packet in packets:
        seq, cnt = int.from_bytes(packet[10:18], "big"), int.from_bytes(packet[18:20], "big")
        for at in range(cnt if cnt < 0xFFFF else 0):
            block = packet[20 + 66 * at :][:66]
            assert block[:2] == b"\0\x40"
            into[seq + at] = block[2:]


def test_the_group_gets_the_instruments_and_then_what_the_ring_has(receiver: Receiver) -> None:
    with Rig(SYMBOLS, fanout_bytes=1 << 20) as rig, relayed(rig, receiver) as relay:
        ring = attach(rig.segment.name, left_over=True).events(oldest=True)
        rig.feed(r.directory(1, "AAPL"))
        mold, messages = Mold(1, jump_max=0), []
        for turn in range(30):
            adds(rig, 1 + 100 * turn, 100)
            while relay.step():
                pass
            for packet in receiver.packets():
                assert len(packet) <= 1472
                outcome, found = mold.packet(0, packet)
                assert outcome == "mold.frames"
                messages += [message for _, message in found]
        records = ring.read()
        assert len(messages) == len(SYMBOLS) + len(records) > 3000
        first = np.frombuffer(b"".join(messages[: len(SYMBOLS)]), EVENT)
        assert [int(ref).to_bytes(8, "big").decode().rstrip() for ref in first["ref"]] == list(SYMBOLS)
        assert first["instrument"].tolist() == list(range(len(SYMBOLS)))
        assert b"".join(messages[len(SYMBOLS) :]) == records.tobytes()
        assert relay.run(lambda: True).messages == len(messages)
        (*_, end) = receiver.packets()
        assert mold.packet(0, end)[0] == "mold.frames"
        assert end[10:] == (len(messages) + 1).to_bytes(8, "big") + b"\xff\xff"
        report = relay.report
        assert (report.missed, report.send_errors, report.requests_bad) == (0, 0, 0)


def test_what_a_receiver_lost_it_asks_for_and_gets(receiver: Receiver, rng) -> None:
    with Rig(SYMBOLS, fanout_bytes=1 << 20) as rig, relayed(rig, receiver) as relay:
        rig.feed(r.directory(1, "AAPL"))
        have: dict[int, bytes] = {}
        for turn in range(20):
            adds(rig, 1 + 100 * turn, 100)
            relay.step()
            by_seq((packet for packet in receiver.packets() if rng.random() < 0.5), have)
        lost = [seq for seq in range(1, relay.history.next) if seq not in have]
        assert 200 < len(lost) < 1900
        end = time.monotonic() + 20
        while lost:
            receiver.ask(relay, lost[0], min(65_535, lost[-1] - lost[0] + 1))
            relay.step()
            by_seq(receiver.packets(), have)
            lost = [seq for seq in lost if seq not in have]
            assert time.monotonic() < end, lost
        ring = attach(rig.segment.name, left_over=True).events(oldest=True).read()
        assert b"".join(have[seq] for seq in sorted(have))[64 * len(SYMBOLS) :] == ring.tobytes()
        assert relay.report.resent >= 200


def test_requests_that_make_no_sense_are_counted_and_answered_by_nothing(receiver: Receiver) -> None:
    with Rig(SYMBOLS, fanout_bytes=1 << 20) as rig, relayed(rig, receiver) as relay:
        relay.step()
        list(receiver.packets())
        receiver.ask(relay, 1, 5, b"0123456789")
        receiver.ask(relay, 0, 5)
        receiver.sock.sendto(b"x", ("127.0.0.1", port_of(relay)))
        receiver.sock.sendto(b"", ("127.0.0.1", port_of(relay)))
        receiver.ask(relay, 10**15, 5)
        receiver.ask(relay, 1, 0)
        relay.step()
        assert (relay.report.requests_bad, relay.report.requests, relay.report.resent) == (4, 2, 0)
        assert [packet for packet in receiver.packets() if packet[18:20] != bytes(2)] == []


def test_what_the_relay_missed_it_says_in_its_stream(receiver: Receiver) -> None:
    with Rig(SYMBOLS, fanout_bytes=1 << 16) as rig, relayed(rig, receiver) as relay:
        rig.feed(r.directory(1, "AAPL"))
        adds(rig, 1, 5000)
        while relay.step():
            pass
        have: dict[int, bytes] = {}
        by_seq(receiver.packets(), have)
        records = np.frombuffer(b"".join(have[seq] for seq in sorted(have)), EVENT)
        kinds = {code.slug: code.value for code in specs.load("event").enum("kind").values}
        (gap,) = np.flatnonzero(records["kind"] == kinds["missed"])
        behind = records[gap + 1 :]
        assert gap == len(SYMBOLS)
        assert int(records["ref"][gap]) == relay.report.missed > 3000
        assert behind["ref"].tolist() == list(range(5001 - len(behind), 5001))
        assert relay.report.missed + len(behind) == attach(rig.segment.name, left_over=True).events().next


def test_history_gives_what_it_keeps_and_nothing_else(rng) -> None:
    first = np.zeros(3, EVENT)
    first["ref"] = [1, 2, 3]
    history, keep = History(b"0123456789", first, 100), 100
    for turn in range(300):
        cnt = rng.choice((0, 1, 7, 99, 100, 101, 250))
        batch = np.zeros(cnt, EVENT)
        batch["ref"] = np.arange(history.next, history.next + cnt)
        assert history.add(batch) == history.next - cnt
        seq, want = rng.randrange(1, history.next + 5), rng.randrange(0, 150)
        have: dict[int, bytes] = {}
        by_seq(history.packets(seq, want), have)
        for at, message in have.items():
            assert int(np.frombuffer(message, EVENT)["ref"][0]) == at
        oldest = max(4, history.next - keep)
        there = [at for at in range(seq, seq + want) if (at <= 3 or at >= oldest) and at < history.next]
        run = [at for number, at in enumerate(there) if at == seq + number]
        assert sorted(have) == run, turn
    assert PACKET_MAX == (1500 - 28 - 20) // 66 == 22


class Sluggish:
    """A way out that takes a packet now and then."""

    packet_max, beats, errors, readers = 7, False, 0, None

    def __init__(self, rng) -> None:
        self.rng, self.taken = rng, []

    def send(self, packet: bytes) -> bool:
        if self.rng.random() < 0.6:
            return False
        self.taken.append(packet)
        return True

    def requests(self) -> Iterator[tuple[bytes, object]]:
        yield from ()

    def end(self, packet: bytes) -> None:
        self.taken.append(packet)

    def close(self) -> None: ...


def test_a_way_out_that_takes_little_gets_the_rest_later_or_is_told_by_the_numbers_what_was_dropped(rng) -> None:
    with Rig(SYMBOLS, fanout_bytes=1 << 20) as rig:
        live, outlet, follower = attach(rig.segment.name, left_over=True), Sluggish(rng), Follower()
        with Relay(live, outlet, keep=KEEP_MIN) as relay:
            rig.feed(r.directory(1, "AAPL"))
            for turn in range(90):
                adds(rig, 1 + 200 * turn, 200)
                relay.step()
            while relay.report.behind:
                relay.step()
            relay.run(lambda: True)
            report = relay.report
        records = np.concatenate([follower.records(packet) for packet in outlet.taken])
        ring = attach(rig.segment.name, left_over=True).events(oldest=True).read()
        kinds = {code.slug: code.value for code in specs.load("event").enum("kind").values}
        refs = records["ref"][records["kind"] == kinds["add"]].astype(np.int64)
        assert report.missed == 0
        assert report.dropped == follower.missed > 1_000
        assert len(records) == report.messages
        assert len(records) + report.dropped == len(SYMBOLS) + attach(rig.segment.name, left_over=True).events().next
        assert (np.diff(refs) > 0).all()
        assert records[-1000:].tobytes() == ring[-1000:].tobytes()
        assert follower.is_over


def test_sessions_have_ten_characters_and_rise_with_time(rng) -> None:
    times = sorted(rng.randrange(10**18, 2 * 10**18) for _ in range(500))
    names = [session_of(each) for each in times]
    assert {len(name) for name in names} == {10}
    assert names == sorted(names)
    assert len(set(names)) == 500


def test_an_address_that_is_not_ours_is_named(receiver: Receiver) -> None:
    with Rig(SYMBOLS, fanout_bytes=1 << 16) as rig, attach(rig.segment.name, left_over=True) as live:
        with pytest.raises(UsageError, match=r"203\.0\.113\.9.*an address of this host is needed"):
            Udp(GROUP, 1, interface="203.0.113.9")
        with pytest.raises(UsageError, match=r"203\.0\.113\.9:77: .*an address of this host is needed"):
            Udp(GROUP, 1, requests=("203.0.113.9", 77))
        with pytest.raises(UsageError, match="keep 3: at least"):
            Relay(live, Udp(GROUP, 1), keep=3)


def test_on_the_command_line(receiver: Receiver, hwgw) -> None:
    with Rig(SYMBOLS, fanout_bytes=1 << 16) as rig:
        rig.quote()
        done = hwgw("events", rig.segment.name, "--oldest", "--count", "6")
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == 6
        assert any("AAPL     add                buy        500 at 100.0000 ref 1001" in line for line in lines)
        done = hwgw("events", rig.segment.name, "--oldest", "--kind", "add", "--json", "--count", "2")
        assert [json.loads(line)["side"] for line in done.stdout.splitlines()] == ["buy", "sell"]
        done = hwgw("events", rig.segment.name, "--kind", "nonsense")
        assert (done.returncode, "add, execute" in done.stderr) == (2, True)
        done = hwgw("events", rig.segment.name, "--symbol", "NOPE")
        assert (done.returncode, "does not subscribe" in done.stderr) == (2, True)
        done = hwgw("relay", rig.segment.name, "--to", f"127.0.0.1:{receiver.port}", "--seconds", "0.5", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["messages"] == len(SYMBOLS) + 6
        done = hwgw("relay", rig.segment.name, "--to", "nowhere")
        assert (done.returncode, "--to nowhere" in done.stderr) == (2, True)
        done = hwgw("relay", rig.segment.name, "--nats", "nats://127.0.0.1:1", "--ttl", "0")
        assert (done.returncode, "--ttl does not belong to --nats" in done.stderr) == (2, True)


def test_what_a_relay_has_done_is_on_its_page_of_metrics(receiver: Receiver, root: Path) -> None:
    with Rig(SYMBOLS, fanout_bytes=1 << 16) as rig, relayed(rig, receiver) as relay:
        rig.feed(r.directory(1, "AAPL"))
        adds(rig, 1, 5000)
        while relay.step():
            pass
        registry = CollectorRegistry(auto_describe=False)
        registry.register(RelayCollector(relay.report, "one", "there"))
        port = free_port()
        with serving(f"127.0.0.1:{port}", registry) as url, urllib.request.urlopen(url, timeout=20) as answer:
            found = {
                sample.name: sample.value
                for family in text_string_to_metric_families(answer.read().decode())
                for sample in family.samples
                if sample.labels == {"gateway": "one", "to": "there"}
            }
    report = vars(relay.report)
    wanted = {name: report[name] for name in FIELDS if report[name] is not None}
    assert found == {f"hwgw_relay_{name}{'_total' if FIELDS[name][0] else ''}": value for name, value in wanted.items()}
    assert found["hwgw_relay_missed_total"] > 3000
    page = (root / "docs/fanout.md").read_text(encoding="utf-8")
    assert {name for name in (*found, "hwgw_relay_readers") if f"`{name}`" not in page} == set()
