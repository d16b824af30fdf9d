"""The relay into JetStream, against Debian's nats-server: each packet once and in order, whatever the server does.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import rig as r
from support.desk import SYMBOLS
from support.market import until
from support.rig import Rig

from hwgw import attach
from hwgw.errors import ConfigError, DeviceError, UsageError
from hwgw.relay import KEEP_MIN, Follower, Relay
from hwgw.relay_nats import WINDOW, Nats

nats = pytest.importorskip("nats", reason="needs nats-py (pip install 'hwgw[nats]')")
UNPACKED = Path(__file__).resolve().parents[2] / ".deps/nats/usr/bin/nats-server"
SERVER = str(UNPACKED) if UNPACKED.exists() and UNPACKED.stat().st_size else shutil.which("nats-server")
pytestmark = pytest.mark.skipif(not SERVER, reason="needs nats-server (make nats)")


class Server:
    """A nats-server with JetStream, on a port that stays its own when it is started again.

    options: further ones of the server; context: how its readers check its certificate, when it has one.
    """

    def __init__(self, folder: Path, *options: str | Path, context: ssl.SSLContext | None = None) -> None:
        self.folder, self.options, self.context = folder, options, context
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.place = f"{'tls' if context else 'nats'}://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [str(SERVER), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder / "store"),
             *map(str, self.options)],
            stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def count(self, stream: str, context: ssl.SSLContext | None) -> int:
        """Messages in a stream."""

        async def ask() -> int:
            client = await nats.connect(self.place, **({"tls": context} if context else {}))
            try:
                return int((await client.jetstream().stream_info(stream)).state.messages)
            finally:
                await client.close()

        return asyncio.run(ask())

    def packets(self, stream: str, wanted: int) -> list[bytes]:
        """What a stream holds, by an ordered consumer: another part of the client than the one that publishes."""

        async def read() -> list[bytes]:
            client = await nats.connect(self.place, **({"tls": self.context} if self.context else {}))
            try:
                js = client.jetstream()
                info = await js.stream_info(stream)
                assert info.state.messages == wanted
                reader = await js.subscribe(info.config.subjects[0], ordered_consumer=True)
                return [(await reader.next_msg(timeout=20)).data for _ in range(wanted)]
            finally:
                await client.close()

        return asyncio.run(read())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("nats"))
    yield made
    made.kill()


def adds(rig: Rig, first: int, cnt: int) -> None:
    for ref in range(first, first + cnt, 20):
        rig.feed(*(r.add(1, "AAPL", at, "B", at, 1_000_000) for at in range(ref, ref + 20)))


def all_of(rig: Rig) -> np.ndarray:
    return attach(rig.segment.name, left_over=True).events(oldest=True).read()


def records_of(packets: list[bytes]) -> tuple[np.ndarray, Follower]:
    follower = Follower()
    return np.concatenate([follower.records(packet) for packet in packets]), follower


def test_a_stream_holds_the_ring_byte_for_byte_though_the_server_is_killed_meanwhile(
    server: Server, rng, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwgw.relay_nats.ACK_S", 0.3)
    with Rig(SYMBOLS, fanout_bytes=1 << 20) as rig:
        outlet = Nats(server.place, "KILLED", "hwgw.killed.events")
        outlet.packet_max = 20
        with Relay(attach(rig.segment.name, left_over=True), outlet, keep=KEEP_MIN) as relay:
            failed = 0
            rig.feed(r.directory(1, "AAPL"))
            for turn in range(40):
                adds(rig, 1 + 100 * turn, 100)
                relay.step()
                if turn in (10, 25):
                    time.sleep(rng.random() / 50)  # some have an answer, some have not
                    failed = outlet.failed
                    server.kill()
                if turn in (18, 30):
                    until(lambda failed=failed: outlet.failed > failed, "the relay has noticed")
                    server.start()
            until(lambda: relay.step() is None or not relay.report.behind, "the server has taken everything", 30)
            report = relay.run(lambda: True)
        assert (report.send_errors, report.dropped, report.missed) == (0, 0, 0)
        records, follower = records_of(server.packets("KILLED", report.packets + 1))
        assert len(records) == report.messages == len(SYMBOLS) + len(all_of(rig)) > 4_000
        assert records[len(SYMBOLS) :].tobytes() == all_of(rig).tobytes()
        assert (follower.missed, follower.is_over) == (0, True)


def test_while_the_server_takes_nothing_the_relay_keeps_the_last_messages_and_the_numbers_tell_the_rest(
    server: Server,
) -> None:
    with Rig(SYMBOLS, fanout_bytes=1 << 20) as rig:
        outlet = Nats(server.place, "STOPPED", "hwgw.stopped.events")
        outlet.packet_max = 10
        with Relay(attach(rig.segment.name, left_over=True), outlet, keep=KEEP_MIN) as relay:
            server.kill()
            rig.feed(r.directory(1, "AAPL"))
            for turn in range(60):
                adds(rig, 1 + 200 * turn, 200)
                relay.step()
            assert relay.report.behind == relay.history.next - 1 - relay.report.messages - relay.report.dropped > 4_000
            assert relay.report.packets == WINDOW  # which have left the relay, and wait for the server
            server.start()
            until(lambda: relay.step() is None or not relay.report.behind, "the server has taken everything", 30)
            report = relay.run(lambda: True)
        records, follower = records_of(server.packets("STOPPED", report.packets + 1))
        assert report.dropped == follower.missed > 2_000
        assert len(records) == report.messages
        assert len(records) + follower.missed == len(SYMBOLS) + len(all_of(rig))
        assert records[-KEEP_MIN:].tobytes() == all_of(rig)[-KEEP_MIN:].tobytes()


def test_what_is_wrong_is_named(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = tmp_path / "creds"
    credentials.write_text("x")
    credentials.chmod(0o644)
    with pytest.raises(UsageError, match=r"what leaves this host wants tls://"):
        Nats("nats://192.0.2.7:4222", "X", "x")
    with pytest.raises(UsageError, match=r"--nats rack7: nats://HOST:PORT or tls://HOST:PORT is allowed"):
        Nats("rack7", "X", "x")
    with pytest.raises(UsageError, match=r"stream X.Y, subject x: letters"):
        Nats(server.place, "X.Y", "x")
    with pytest.raises(ConfigError, match=r"creds: others can read it; chmod 600"):
        Nats(server.place, "X", "x", credentials=credentials)
    with pytest.raises(ConfigError, match=r"none: no such file"):
        Nats(server.place, "X", "x", credentials=tmp_path / "none")
    with socket.socket() as closed, monkeypatch.context() as quick:
        closed.bind(("127.0.0.1", 0))
        quick.setattr("hwgw.relay_nats.CONNECT_S", 0.3)
        with pytest.raises(DeviceError, match=r"--nats nats://127.0.0.1:.*no server"):
            Nats(f"nats://127.0.0.1:{closed.getsockname()[1]}", "X", "x")


def test_on_the_command_line(server: Server, hwgw: Callable[..., Any]) -> None:
    with Rig(SYMBOLS, fanout_bytes=1 << 16) as rig:
        rig.quote()
        name = rig.segment.name
        done = hwgw("relay", name, "--nats", server.place, "--seconds", "0.5", "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["messages"] == len(SYMBOLS) + 6
        records, _ = records_of(server.packets(f"HWGW_{name}", report["packets"] + 1))
        assert records[len(SYMBOLS) :].tobytes() == all_of(rig).tobytes()
        done = hwgw("relay", name, "--nats", "nats://192.0.2.7:4222")
        assert (done.returncode, "wants tls://" in done.stderr) == (2, True)


# ---- TLS ----


class Certificates:
    """Authorities and certificates of servers, made by openssl."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def authority(self, name: str) -> Path:
        """A certificate that signs others."""
        new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1")
        self.openssl(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
        return self.folder / f"{name}.pem"

    def server(self, name: str, authority: str, alternative: str, days: str = "1") -> tuple[str | Path, ...]:
        """Options of a server whose certificate is for that alternative name; with -1 days it ended yesterday."""
        new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}")
        self.openssl(*new, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={alternative}\n")
        sign = ("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key")
        self.openssl(*sign, "-CAcreateserial", "-days", days, "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        return "--tls", "--tlscert", self.folder / f"{name}.pem", "--tlskey", self.folder / f"{name}.key"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    for name in ("ours", "theirs"):
        made.authority(name)
    return made


@contextlib.contextmanager
def serving(folder: Path, *options: str | Path, authority: Path | None = None) -> Iterator[Server]:
    """A server of its own."""
    folder.mkdir(exist_ok=True)
    made = Server(folder, *options, context=ssl.create_default_context(cafile=str(authority)) if authority else None)
    try:
        yield made
    finally:
        made.kill()


def test_over_tls_a_stream_holds_the_ring_too_and_without_tls_the_same_server_gets_nothing(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reader checks the certificate by itself."""
    monkeypatch.setattr("hwgw.relay_nats.ACK_S", 0.3)
    authority = certificates.folder / "ours.pem"
    options = certificates.server("rack", "ours", "IP:127.0.0.1")
    with serving(tmp_path / "nats", *options, authority=authority) as server, Rig(SYMBOLS, fanout_bytes=1 << 20) as rig:
        assert server.place.startswith("tls://")
        outlet = Nats(server.place, "TLS", "hwgw.tls.events", authority=authority)
        outlet.packet_max = 20
        with Relay(attach(rig.segment.name, left_over=True), outlet, keep=KEEP_MIN) as relay:
            rig.feed(r.directory(1, "AAPL"))
            for turn in range(20):
                adds(rig, 1 + 100 * turn, 100)
                relay.step()
                if turn == 10:
                    until(lambda: not outlet._window, "the server has taken everything so far")
                    taken = server.count("TLS", server.context)
                    server.kill()
                    server.options = ()
                    server.start()
            failed = outlet.failed
            until(lambda: outlet.failed > failed + 1, "the relay has tried")
            server.place = server.place.replace("tls://", "nats://")
            assert server.count("TLS", None) == taken > 50
            server.place = server.place.replace("nats://", "tls://")
            server.kill()
            server.options = options
            server.start()
            until(lambda: relay.step() is None or not relay.report.behind, "the server has taken everything", 30)
            report = relay.run(lambda: True)
        assert (report.send_errors, report.dropped, report.missed) == (0, 0, 0)
        records, follower = records_of(server.packets("TLS", report.packets + 1))
        assert len(records) == report.messages == len(SYMBOLS) + len(all_of(rig)) > 2_000
        assert records[len(SYMBOLS) :].tobytes() == all_of(rig).tobytes()
        assert (follower.missed, follower.is_over) == (0, True)
        with pytest.raises(DeviceError, match="the server's certificate"):  # TLS without the authority
            Nats(server.place.replace("tls://", "nats://"), "TLS", "hwgw.tls.events")


@pytest.mark.parametrize(
    ("signed_by", "alternative", "days", "trusted", "says"),
    [
        ("theirs", "IP:127.0.0.1", "1", "ours", "unable to get local issuer certificate"),
        ("ours", "IP:127.0.0.1", "1", None, "unable to get local issuer certificate"),
        ("ours", "DNS:elsewhere.example", "1", "ours", "IP address mismatch"),
        ("ours", "IP:127.0.0.1", "-1", "ours", "certificate has expired"),
        (None, "", "", "ours", "the server does not ask for TLS"),
    ],
    ids=["another authority", "not the system's", "another host", "expired", "no TLS"],
)
def test_a_server_that_cannot_show_who_it_is_gets_nothing(
    certificates: Certificates, tmp_path: Path,
    signed_by: str | None, alternative: str, days: str, trusted: str | None, says: str,
) -> None:  # fmt: skip
    options = certificates.server(f"s{abs(hash(says))}", signed_by, alternative, days) if signed_by else ()
    with serving(tmp_path / "nats", *options) as server:
        authority = certificates.folder / f"{trusted}.pem" if trusted else None
        with pytest.raises(DeviceError) as told:
            Nats(f"tls://127.0.0.1:{server.port}", "TLS", "hwgw.tls.events", authority=authority)
    assert says in str(told.value)
    assert not (tmp_path / "nats/store/jetstream/$G/streams").exists()


def test_an_authority_that_is_none_is_named(tmp_path: Path) -> None:
    for name, text in (("none.pem", None), ("bad.pem", "-----BEGIN CERTIFICATE-----\nx\n")):
        if text:
            (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match=name):
            Nats("tls://127.0.0.1:4222", "TLS", "x", authority=tmp_path / name)
