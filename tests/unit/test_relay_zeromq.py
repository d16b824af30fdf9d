"""The relay by ZeroMQ: the packets of the group, behind keys; a reader that does not keep up holds nobody up.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import rig as r
from support.desk import SYMBOLS
from support.market import until
from support.rig import Rig

from hwgw import attach, specs
from hwgw.errors import ConfigError, UsageError
from hwgw.relay import Follower, Relay
from hwgw.relay_zeromq import ZeroMQ, make_key, public_keys, secret_key

zmq = pytest.importorskip("zmq", reason="needs pyzmq (pip install 'hwgw[zeromq]')")
EVENT = specs.dtype("event", "event")
ANYWHERE = "tcp://127.0.0.1:*"


Connect = Callable[..., Any]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes sockets that are connected, with keys when there are any."""
    with zmq.Context() as context:
        sockets = []

        def made(kind: int, place: str, server: str = "", secret: bytes = b"", **options: int) -> Any:
            one = context.socket(kind)
            one.rcvtimeo = 20_000
            for name, value in options.items():
                setattr(one, name, value)
            if server:
                one.curve_serverkey, one.curve_secretkey = server.encode(), secret
                one.curve_publickey = zmq.curve_public(secret)
            if kind == zmq.SUB:
                one.subscribe(b"")
            one.connect(place)
            sockets.append(one)
            return one

        yield made
        context.destroy(linger=0)


def numbered(follower: Follower, packet: bytes) -> Iterator[tuple[int, bytes]]:
    records = follower.records(packet)
    return ((follower.next - len(records) + at, record.tobytes()) for at, record in enumerate(records))


@contextlib.contextmanager
def relayed(rig: Rig, outlet: ZeroMQ) -> Iterator[Relay]:
    with Relay(attach(rig.segment.name, left_over=True), outlet, keep=1 << 14) as relay:
        yield relay


def adds(rig: Rig, first: int, cnt: int) -> None:
    for ref in range(first, first + cnt, 20):
        rig.feed(*(r.add(1, "AAPL", at, "B", at, 1_000_000) for at in range(ref, ref + 20)))


def all_of(rig: Rig) -> np.ndarray:
    return attach(rig.segment.name, left_over=True).events(oldest=True).read()


def test_a_reader_with_a_key_gets_the_ring_byte_for_byte_and_one_without_gets_nothing(
    connect: Connect, tmp_path: Path
) -> None:
    public = make_key(tmp_path / "relay")
    (tmp_path / "readers").write_text(f"# desk 7\n\n{make_key(tmp_path / 'mine')} recorder\n")
    strangers = make_key(tmp_path / "strangers")
    keys = {"key": secret_key(tmp_path / "relay"), "readers": public_keys(tmp_path / "readers")}
    assert strangers.encode() not in keys["readers"]
    outlet = ZeroMQ(ANYWHERE, requests=ANYWHERE, **keys)
    assert outlet.public == public
    with Rig(SYMBOLS, fanout_bytes=1 << 20) as rig, relayed(rig, outlet) as relay:
        mine = connect(zmq.SUB, outlet.place, public, secret_key(tmp_path / "mine"))
        stranger = connect(zmq.SUB, outlet.place, public, secret_key(tmp_path / "strangers"))
        plain = connect(zmq.SUB, outlet.place)
        until(lambda: outlet.readers == 1, "the reader with a key is connected")
        rig.feed(r.directory(1, "AAPL"))
        for turn in range(20):
            adds(rig, 1 + 100 * turn, 100)
            relay.step()
        relay.run(lambda: True)
        assert relay.report.readers == 1
        follower, batches = Follower(), []
        while not follower.is_over:
            batches.append(follower.records(mine.recv()))
        records = np.concatenate(batches)
        assert len(records) == len(SYMBOLS) + len(all_of(rig)) > 2_000
        assert records[len(SYMBOLS) :].tobytes() == all_of(rig).tobytes()
        assert follower.missed == 0
        for other in (stranger, plain):
            with pytest.raises(zmq.Again):
                other.recv(zmq.NOBLOCK)


def test_a_reader_that_sleeps_misses_what_the_numbers_say_and_asks_for_it(connect: Connect) -> None:
    outlet = ZeroMQ(ANYWHERE, requests=ANYWHERE, queue=300, buffer_bytes=8192)
    outlet.packet_max = 2  # more packets of few records: the sleeper's queue is full sooner
    with Rig(SYMBOLS, fanout_bytes=1 << 20) as rig, relayed(rig, outlet) as relay:
        awake, asleep = (connect(zmq.SUB, outlet.place, rcvhwm=size, rcvbuf=4096) for size in (100_000, 10))
        until(lambda: outlet.readers == 2, "both are connected")
        rig.feed(r.directory(1, "AAPL"))
        follower, have = Follower(), 0
        for turn in range(40):
            adds(rig, 1 + 200 * turn, 200)
            relay.step()
            while follower.next < relay.history.next:  # keeps up, so nobody holds it up
                have += len(follower.records(awake.recv()))
        assert (follower.missed, have) == (0, len(SYMBOLS) + len(all_of(rig)))
        late, found = Follower(), {}
        asleep.rcvtimeo = 500
        with contextlib.suppress(zmq.Again):
            while True:
                found.update(numbered(late, asleep.recv()))
        lost = [seq for seq in range(1, relay.history.next) if seq not in found]
        assert len(lost) > 100
        asker = connect(zmq.DEALER, outlet.request_place)

        def ask() -> None:
            while lost:
                asker.send(relay.history.session + lost[0].to_bytes(8, "big") + (200).to_bytes(2, "big"))
                again = Follower()
                while packet := asker.recv():
                    found.update(numbered(again, packet))
                lost[:] = [seq for seq in lost if seq not in found]

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: not (relay.step() or thread.is_alive()), "what was lost is there")
        thread.join()
        everything = b"".join(found[seq] for seq in sorted(found))
        assert everything[64 * len(SYMBOLS) :] == all_of(rig).tobytes()
        assert relay.report.requests >= 1
        assert relay.report.resent >= 100


def test_nothing_leaves_the_host_without_keys_and_a_key_that_others_can_read_is_none(tmp_path: Path) -> None:
    key, many = tmp_path / "key", tmp_path / "many"
    public = make_key(key)
    assert key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match=r"exists already"):
        make_key(key)
    for place in ("tcp://0.0.0.0:0", "tcp://*:*", "tcp://192.0.2.7:1"):
        with pytest.raises(UsageError, match=r"keys are needed for what leaves this host"):
            ZeroMQ(place)
    with pytest.raises(UsageError, match=r"--requests tcp://\*:1: keys are needed"):
        ZeroMQ(ANYWHERE, requests="tcp://*:1")
    for place in ("udp://127.0.0.1:1", "127.0.0.1:1", "tcp://rack7:1"):
        with pytest.raises(UsageError, match=r"tcp://ADDRESS:PORT or ipc://PATH is allowed"):
            ZeroMQ(place)
    with pytest.raises(UsageError, match=r"belong together"):
        ZeroMQ(ANYWHERE, key=secret_key(key))
    with pytest.raises(UsageError, match=r"203.0.113.9.*an address of this host is needed"):
        ZeroMQ("tcp://203.0.113.9:7", key=secret_key(key), readers=[public.encode()])
    key.chmod(0o640)
    with pytest.raises(ConfigError, match=r"others can read it; chmod 600"):
        secret_key(key)
    many.write_text(f"{public}\n{public[:-1]}\n")
    with pytest.raises(ConfigError, match=r"many: key 2 has 39 characters; 40 of Z85 are a key"):
        public_keys(many)
    many.write_text("# none\n")
    with pytest.raises(ConfigError, match=r"no key"):
        public_keys(many)


def test_on_the_command_line(hwgw: Callable[..., Any], tmp_path: Path) -> None:
    made = json.loads(hwgw("relay", "--make-key", tmp_path / "key", "--json").stdout)
    (tmp_path / "readers").write_text(made["public"])
    with Rig(SYMBOLS, fanout_bytes=1 << 16) as rig:
        rig.quote()
        keys = ("--key", tmp_path / "key", "--readers", tmp_path / "readers")
        done = hwgw("relay", rig.segment.name, "--zeromq", ANYWHERE, *keys, "--seconds", "0.3")
        assert done.returncode == 0, done.stderr
        assert f"its public key is {made['public']}" in done.stdout
        for args, said in (
            ((), "One of --to, --zeromq and --nats is wanted"),
            (("--zeromq", ANYWHERE, "--nats", "nats://127.0.0.1:4222"), "One of --to, --zeromq and --nats"),
            (("--zeromq", ANYWHERE, "--stream", "X"), "--stream does not belong to --zeromq"),
            (("--zeromq", "tcp://*:1"), "--key and --readers"),
        ):
            done = hwgw("relay", rig.segment.name, *args)
            assert (done.returncode, said in done.stderr) == (2, True), done.stderr
