"""The exchange's re-request server: what it answers are the very bytes it published, wherever its store runs over.

SPDX-License-Identifier: MIT

What was published is read from the exchange's recording, which is written from the packets themselves.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hwgw_sim.exchange import Exchange, ExchangeConfig, default_symbols
from hwgw_sim.exchange.__main__ import main
from support.exchange import messages_of, running

from hwgw.errors import ConfigError

STORE = 4096
PACKET = 400
BEHIND = 40  # messages published behind the one in question, so that it is still kept
SESSION = b"REREQUEST "
SILENCE_S = 0.2


def day(path: Path, seed: int, messages: int) -> dict[str, object]:
    """Settings of an exchange that publishes so many at once, then waits."""
    return {
        "seed": seed, "session": "REREQUEST", "virtual_clock": True, "record": path, "packet_size": PACKET,
        "pace": "rate", "steps": [(messages, 1_000), (0, 600_000_000), (1_000, 1)], "batch_us": 100,
        "requests": ("127.0.0.1", 0), "request_bytes": STORE, "end_packets": 0,
    }  # fmt: skip


@contextmanager
def published(path: Path, seed: int, messages: int) -> Iterator[tuple[socket.socket, list[bytes]]]:
    """A socket that asks an exchange, and what it has published so far."""
    with running(**day(path, seed, messages)) as run, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(tuple(run.exchange.ready()["requests"]))
        asker.settimeout(SILENCE_S)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found = blocks_of(path)
            if len(found) >= messages:
                break
            time.sleep(0.01)
        assert len(found) >= messages
        yield asker, found


def blocks_of(path: Path) -> list[bytes]:
    """The message blocks of a recording; while it is being written, up to the last whole one."""
    data, at, found = path.read_bytes() if path.exists() else b"", 0, []
    while at + 2 <= len(data) and at + 2 + (size := int.from_bytes(data[at : at + 2], "big")) <= len(data):
        found.append(data[at : at + 2 + size])
        at += 2 + size
    return found


def ask(asker: socket.socket, seq: int, cnt: int) -> bytes | None:
    """The answer to a request packet of MoldUDP64 (10 bytes of session, number, count), None: there was none."""
    asker.send(struct.pack(">10sQH", SESSION, seq, cnt))
    try:
        return asker.recv(65536)
    except TimeoutError:
        return None


def answer(seq: int, blocks: list[bytes]) -> bytes:
    """A downstream packet with these; so many as fit."""
    fit = [block for block, end in zip(blocks, accumulate(map(len, blocks)), strict=True) if 20 + end <= PACKET]
    return struct.pack(">10sQH", SESSION, seq, len(fit)) + b"".join(fit)


@pytest.fixture(scope="module")
def straddling(tmp_path_factory: pytest.TempPathFactory) -> dict[int, int]:
    """By how many bytes of a block are before the end of the store's memory: the index of such a message of seed 1."""
    path = tmp_path_factory.mktemp("day") / "day.itch50"
    config = ExchangeConfig(
        group=None,
        listen=None,
        seed=1,
        messages_max=60_000,
        record=path,
        virtual_clock=True,
        symbols=default_symbols(2),
    )
    with Exchange(config) as exchange:
        exchange.run()
    ends = list(accumulate(len(message) + 2 for message in messages_of(path)))
    return {
        -start % STORE: index + 1
        for index, (start, end) in enumerate(pairwise(ends))
        if start // STORE < end // STORE and start % STORE
    }


@pytest.mark.parametrize("before", [1, 2, 3, 12])
def test_a_message_that_runs_over_the_end_of_the_store_is_answered_with_its_very_bytes(
    tmp_path: Path, straddling: dict[int, int], before: int
) -> None:
    """before: bytes of its block in front of that end: half of the length, the length, and some of the message."""
    index = straddling[before]
    with published(tmp_path / "day.itch50", 1, index + BEHIND) as (asker, blocks):
        at = sum(map(len, blocks[:index]))
        assert -at % STORE == before < len(blocks[index])
        assert ask(asker, index + 1, 1) == answer(index + 1, blocks[index : index + 1])
        assert ask(asker, index - 2, 5) == answer(index - 2, blocks[index - 3 : index + 2])
        assert ask(asker, index - 2, 100) == answer(index - 2, blocks[index - 3 :])


def test_what_is_kept_is_answered_one_by_one_and_what_is_gone_with_silence(tmp_path: Path, seed: int) -> None:
    with published(tmp_path / "day.itch50", seed, 5_000) as (asker, blocks):
        starts = [0, *accumulate(map(len, blocks))]
        total = starts.pop()
        whole = [start >= total - STORE for start in starts]
        surely = [start >= total - STORE + PACKET for start in starts]
        first = surely.index(True)
        assert len(blocks) - first > 80
        for index in range(first, len(blocks)):
            assert ask(asker, index + 1, 1) == answer(index + 1, [blocks[index]])
        for index in range(whole.index(True), first):  # whether its packet is kept whole depends on where that began
            assert ask(asker, index + 1, 1) in (None, answer(index + 1, [blocks[index]]))
        for number in (0, 1, whole.index(True), len(blocks) + 1, 2**64 - 1):
            assert ask(asker, number, 1) is None


def test_another_session_is_answered_with_silence(tmp_path: Path) -> None:
    with published(tmp_path / "day.itch50", 1, 100) as (asker, blocks):
        asker.send(struct.pack(">10sQH", b"ANOTHER   ", 1, 1))
        with pytest.raises(TimeoutError):
            asker.recv(65536)
        assert ask(asker, 1, 1) == answer(1, blocks[:1])
        assert ask(asker, 1, 0) is None


@pytest.mark.parametrize("size", [1, 2048, 5000, 2**31])
def test_a_store_of_another_size_is_refused(size: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=f"store for re-requests of {size} bytes: a power of two from 4096 to"):
        Exchange(ExchangeConfig(group=None, listen=None, requests=("127.0.0.1", 0), request_bytes=size))
    assert main(["--group", "none", "--listen", "none", "--requests", "127.0.0.1:0", "--request-bytes", str(size)]) == 3
    assert "power of two" in capsys.readouterr().err
