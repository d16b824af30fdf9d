"""The exchange's feed as frames past the kernel's stack: the same datagrams, right to a kernel's own stack.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hwgw_sim.exchange.process import ExchangeProcess
from hwgw_sim.golden import mold
from hwgw_sim.lab import Lab
from support.exchange import messages_of

from hwgw import native
from hwgw.errors import ConfigError

pytestmark = pytest.mark.skipif(bool(Lab.missing()), reason=f"lab: {Lab.missing()}")

GROUPS = ("233.54.12.111", "233.49.196.111")
PORT = 26477
MESSAGES = 20_000


@pytest.fixture(scope="module")
def lab():
    with Lab() as made:
        yield made


@pytest.fixture(params=["packet", "afxdp"])
def send(request: pytest.FixtureRequest) -> str:
    missing = [row.reason for row in native.backends() if row.name == request.param and not row.available]
    if missing:
        pytest.skip(f"{request.param}: {missing[0]}")
    return str(request.param)


def listener(lab: Lab, group: str) -> socket.socket:
    """A plain UDP socket of the gateway's side: its kernel looks at both checksums."""
    with lab.gateway.entered():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    sock.bind((group, PORT))
    member = socket.inet_aton(group) + socket.inet_aton(lab.gateway.address)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    sock.settimeout(1)
    return sock


def received(sock: socket.socket) -> tuple[list[bytes], int, str]:
    """Messages up to the silence behind the end of session, frames, and who sent them."""
    channel, messages, frames, sender = mold.Mold(), [], 0, ""
    try:
        while True:
            data, (sender, _) = sock.recvfrom(65536)
            frames += 1
            messages += [message for _, message in channel.packet(0, data)[1]]
    except TimeoutError:
        return messages, frames, sender


def options(lab: Lab, send: str, path: Path) -> list[str]:
    return [
        "--interface", lab.exchange.interface, "--send", send, "--group", GROUPS[0], "--port", str(PORT),
        "--group-b", GROUPS[1], "--port-b", str(PORT), "--listen", "none", "--messages", str(MESSAGES),
        "--rate", "200000", "--record", str(path),
    ]  # fmt: skip


@pytest.mark.parametrize("size", [999, 1400, 1472])  # an odd one: the last byte is summed as half a word
def test_a_plain_socket_hears_on_both_lines_what_was_published(lab: Lab, send: str, size: int, tmp_path: Path) -> None:
    path = tmp_path / "feed.itch50"
    socks = [listener(lab, group) for group in GROUPS]
    given = [*options(lab, send, path), "--packet-size", str(size), "--ttl", "3"]
    with ExchangeProcess(given, lab.exchange.popen) as exchange:
        report = exchange.wait(20)
    published = list(messages_of(path))
    assert len(published) == report["messages_sent"] >= MESSAGES
    heard = [received(sock) for sock in socks]
    for sock in socks:
        sock.close()
    for messages, _, sender in heard:
        assert messages == published
        assert sender == lab.exchange.address
    assert sum(frames for _, frames, _ in heard) == report["frames_sent"] > 2 * MESSAGES // 40
    assert report["send"]["errors"] == 0
    assert 0 < report["send"]["calls"] <= report["frames_sent"]  # several at once when several are due


def test_a_bad_line_of_frames_loses_and_repeats_what_it_says(lab: Lab, send: str, tmp_path: Path) -> None:
    socks = [listener(lab, group) for group in GROUPS]
    faults = ["--faults", "loss=10%,duplicate=5%,reorder=8,damage=2%", "--faults", ""]
    with ExchangeProcess([*options(lab, send, tmp_path / "feed"), *faults], lab.exchange.popen) as exchange:
        report = exchange.wait(20)
    heard = [received(sock)[1] for sock in socks]
    for sock in socks:
        sock.close()
    line, fine = report["faults"]
    assert all(line[name] > 0 for name in ("lost", "duplicated", "reordered", "damaged"))
    assert heard[0] == line["taken"] - line["lost"] + line["duplicated"]
    assert heard[1] == fine["taken"] == line["taken"]
    assert sum(heard) == report["frames_sent"]


def test_where_frames_cannot_go_is_said(lab: Lab, send: str, tmp_path: Path) -> None:
    given = options(lab, send, tmp_path / "feed")
    for changed, said in (
        (["--group", "10.77.0.2"], "frames go to multicast groups alone"),
        (["--loopback"], "this machine does not hear frames"),
        (["--interface", ""], "an interface is needed"),
    ):
        with pytest.raises(ConfigError, match=said):
            ExchangeProcess([*given, *changed], lab.exchange.popen)
    lab.exchange.ip("link set exchange0 mtu 1400")
    try:
        with pytest.raises(ConfigError, match="packet size 1400: at most 1372 are allowed on exchange0"):
            ExchangeProcess(given, lab.exchange.popen)
    finally:
        lab.exchange.ip("link set exchange0 mtu 1500")
