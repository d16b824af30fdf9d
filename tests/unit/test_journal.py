"""The journal: what was put is on disk once and in order, and whatever was changed, removed or swapped is found.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import journal_proof

from hwgw import journal
from hwgw.errors import CheckFailed, DeviceError
from hwgw.journal import start as beginning
from hwgw.journal.writer import Writer
from hwgw.native import ffi, lib
from hwgw.segment import Segment
from hwgw.settings import Journal

GATE, RING = 2, 65_536
# of the file that is damaged, and every how many bytes; `make journal-proof` takes 1,000 and each
RECORDS = int(os.environ.get("HWGW_JOURNAL_RECORDS", "60"))
STEP = int(os.environ.get("HWGW_JOURNAL_STEP", "17"))
Run = Callable[..., subprocess.CompletedProcess[str]]
serial = iter(range(10**6))


class Desk:
    """A segment with a ring, a writer behind it, and what was put."""

    def __init__(self, folder: Path, name: str = "", ring: int = RING, **keys: Any) -> None:
        self.name = name or f"journal-{os.getpid()}-{next(serial)}"
        self.settings = Journal(str(folder), ring_bytes=ring, **keys)
        self.folder = folder
        self.segment = Segment.create(self.name, ["AAPL", "MSFT"], journal_sz_bytes=ring)
        self.put_cnt = 0
        self.payloads: list[bytes] = []
        self.side = lib.hwgw_journal_open(self.segment.pointer, 0)
        self.writer: Writer | None = None

    @property
    def ring(self) -> Any:
        return lib.hwgw_segment_journal(self.segment.pointer, 0)

    def write(self) -> Desk:
        self.writer = Writer(self.segment, self.settings, self.name)
        return self

    def put(self, payload: bytes, verdict: int = 0) -> bool:
        done = lib.hwgw_journal_put(self.side, GATE, verdict, 1000 + self.put_cnt, payload, len(payload))
        if done:
            self.put_cnt += 1
            self.payloads.append(payload)
        return bool(done)

    def fill(self, rng: random.Random, cnt: int) -> Desk:
        for _ in range(cnt):
            payload = rng.randbytes(64)
            while not self.put(payload):
                os.sched_yield()
        return self

    def close(self) -> list[Path]:
        assert self.writer
        assert self.writer.close() == 0
        return self.files()

    def files(self) -> list[Path]:
        return journal.files_of(self.folder, self.name)

    def forget(self) -> None:
        if self.writer and self.writer.poll() is None:
            os.kill(self.writer.pid, signal.SIGKILL)
            os.waitpid(self.writer.pid, 0)
        lib.hwgw_journal_close(self.side)
        self.segment.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**keys: Any) -> Desk:
        made.append(Desk(tmp_path, **keys))
        return made[-1]

    yield make
    for each in made:
        each.forget()


def gates(files: list[Path]) -> list[bytes]:
    return [payload for kind, _, _, _, payload in journal_proof.read(files) if kind == "gate"]


# ---- what was put is there ----


@pytest.mark.parametrize("sync", ["none", "group", "every"])
def test_what_was_put_is_read_by_two_readers_once_and_in_order(desk, rng, sync):
    made = desk(sync=sync).write().fill(rng, 3000)
    files = made.close()
    assert gates(files) == made.payloads
    report = journal.verify(files)
    assert report.is_whole, report.problem
    assert dict(report.types) == {"open": 1, "symbols": 1, "gate": 3000}
    assert made.ring.written == made.ring.durable == made.ring.head
    again = [record for file in files for block in journal.blocks(file) for record in journal.records(block)]
    assert [bytes(record.payload) for record in again[2:]] == made.payloads
    assert [record.seq for record in again[2:]] == list(range(1, 3001))
    assert [record.ts_ns for record in again[2:]] == list(range(1000, 4000))
    opened = again[0].open()
    assert opened["name"].decode() == made.name
    assert (int(opened["thread_cnt"]), int(opened["instrument_cnt"])) == (1, 2)
    assert bytes(again[1].payload) == b"AAPL    MSFT    "


def test_payloads_of_every_length_go_round_the_ring(desk, rng):
    made = desk().write()
    lengths = [*range(1, 200), *(rng.randrange(1, 3000) for _ in range(300))]
    for length in lengths:
        payload = rng.randbytes(length)
        while not made.put(payload, verdict=length % 19):
            os.sched_yield()
    files = made.close()
    assert gates(files) == made.payloads
    assert sum(map(len, made.payloads)) > 4 * RING
    assert [verdict for kind, _, _, verdict, _ in journal_proof.read(files) if kind == "gate"] == [
        length % 19 for length in lengths
    ]
    assert journal.verify(files).is_whole


def test_a_full_ring_refuses_and_loses_nothing(desk, rng):
    made = desk()  # nobody takes
    while made.put(rng.randbytes(64)):
        pass
    assert made.put_cnt == RING // 96
    assert not made.put(bytes(64))
    files = made.write().close()
    assert gates(files) == made.payloads


def test_a_record_that_runs_over_the_end_of_the_ring_is_none(desk):
    """A length that was overwritten: what lies behind the ring is not of the journal."""
    one = desk()
    place = ffi.cast("uint8_t *", one.ring) + ffi.sizeof("struct hwgw_journal_ring") + RING - 64
    one.ring.written, one.ring.head = RING - 64, RING + 4096
    ffi.memmove(place, (512).to_bytes(4, "little") + bytes([GATE]), 5)
    writer = one.write().writer
    end = time.monotonic() + 5
    while writer.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    assert (one.ring.error, one.ring.written) == (errno.EBADMSG, RING - 64)


def test_files_are_rolled_and_chained(desk, rng):
    made = desk(file_max_bytes=20_000)
    files = made.write().fill(rng, 4000).close()
    assert len(files) > 3
    assert all(file.stat().st_size <= 20_000 + 262_144 for file in files)
    assert gates(files) == made.payloads
    assert journal.verify(files).is_whole
    for gone in range(1, len(files) - 1):
        assert "something between is missing" in journal.verify(files[:gone] + files[gone + 1 :]).problem
    assert "something between is missing" in journal.verify([files[1], files[0], *files[2:]]).problem
    assert not journal.verify(files[:-1]).is_whole
    assert not journal.verify(files[:-1]).problem  # the end is not there, and that is all that can be told


def test_the_next_run_goes_on_behind_the_one_before(desk, rng, tmp_path):
    first = desk()
    first.write().fill(rng, 50).close()
    first.segment.close()
    second = desk(name=first.name).write().fill(rng, 70)
    files = second.close()
    assert [journal.files.number(file) for file in files] == [1, 2]
    assert gates(files) == first.payloads + second.payloads
    report = journal.verify(files)
    assert (report.runs, report.is_whole) == (2, True)
    assert beginning.start(tmp_path, first.name).number == 3


# ---- what was damaged is found ----


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Path:
    """A closed journal of some blocks."""
    made, rng = Desk(tmp_path_factory.mktemp("whole")), random.Random(seed)
    try:
        made.write()
        for _ in range(3):
            made.fill(rng, RECORDS // 3)
            while made.ring.written != made.ring.head:
                os.sched_yield()
        (file,) = made.close()
    finally:
        made.forget()
    report = journal.verify([file])
    assert (report.records, report.blocks >= 5, report.is_whole) == (RECORDS // 3 * 3 + 2, True, True)
    return file


def some(raw: bytes | bytearray, rng: random.Random) -> range:
    """Offsets of the bytes to damage, others in every run."""
    return range(rng.randrange(STEP), len(raw), STEP)


def damaged(whole: Path, folder: Path, raw: bytes) -> bool:
    file = folder / whole.name
    file.write_bytes(raw)
    return not journal.verify([file]).is_whole


def test_every_changed_byte_is_found(whole, tmp_path, rng):
    raw = bytearray(whole.read_bytes())
    for at in some(raw, rng):
        byte = raw[at]
        raw[at] = byte ^ rng.randrange(1, 256)
        assert damaged(whole, tmp_path, raw), at
        raw[at] = byte
    assert len(raw) > RECORDS * 96
    assert not damaged(whole, tmp_path, raw)


def test_every_deleted_byte_and_every_cut_is_found(whole, tmp_path, rng):
    raw = whole.read_bytes()
    for at in some(raw, rng):
        assert damaged(whole, tmp_path, raw[:at] + raw[at + 1 :]), at
        assert damaged(whole, tmp_path, raw[:at]), at


def test_every_inserted_byte_and_every_swap_is_found(whole, tmp_path, rng):
    raw = whole.read_bytes()
    swaps = 0
    for at in some(raw[:-1], rng):
        assert damaged(whole, tmp_path, raw[:at] + rng.randbytes(1) + raw[at:]), at
        if raw[at] != raw[at + 1]:
            swaps += 1
            assert damaged(whole, tmp_path, raw[:at] + raw[at + 1 : at + 2] + raw[at : at + 1] + raw[at + 2 :]), at
    assert swaps > RECORDS * 60 // STEP
    assert damaged(whole, tmp_path, raw + b"\0")
    assert damaged(whole, tmp_path, raw + raw)


def test_swapped_records_and_blocks_are_found(whole, tmp_path):
    raw = whole.read_bytes()
    found = list(journal.blocks(whole))
    for first, second in itertools.pairwise(found[1:-1]):
        parts = (raw[: first.offset], raw[second.offset : second.end], raw[first.offset : first.end], raw[second.end :])
        assert damaged(whole, tmp_path, b"".join(parts))
        assert damaged(whole, tmp_path, raw[: first.offset] + raw[first.end :])
    at = max(found, key=lambda each: each.record_cnt).offset + 128
    one, two = raw[at : at + 96], raw[at + 96 : at + 192]
    assert damaged(whole, tmp_path, raw[:at] + two + one + raw[at + 192 :])


def test_a_record_whose_block_was_sealed_again_still_has_its_checksum_and_number(whole, tmp_path):
    """A bug of the writer rather than a change by hand: the hash is right, the record is not."""
    import hashlib

    def sealed(block: journal.Block, body: bytes, raw: bytes) -> bytes:
        head = bytearray(raw[block.offset : block.offset + 128])
        head[80:112] = bytes(32)
        head[80:112] = hashlib.blake2b(bytes(head) + body, digest_size=32).digest()
        return raw[: block.offset] + bytes(head) + body

    raw = whole.read_bytes()
    block = max(journal.blocks(whole), key=lambda each: each.record_cnt)
    body = bytearray(block.body)
    body[40] ^= 1
    file = tmp_path / whole.name
    file.write_bytes(sealed(block, bytes(body), raw))
    assert "does not have the checksum of what it holds" in journal.verify([file]).problem
    body = bytes(block.body[96:192]) + bytes(block.body[:96]) + bytes(block.body[192:])
    file.write_bytes(sealed(block, body, raw))
    assert "stands where" in journal.verify([file]).problem


# ---- a crash ----


def crash(made: Desk, rng: random.Random, call: int, offset: int, cnt: int = 5) -> bool:
    """Put cnt records, and let the writer die at its call-th write or sync; False when it did not come so far."""
    made.fill(rng, cnt)
    lib.hwgw_fault_journal(call, offset)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hwgw.journal.writer.await_ready", lambda ready, _: os.close(ready))
            made.write()
    finally:
        lib.hwgw_fault_journal(0, 0)
    assert made.writer
    made.writer.close()
    return made.writer.poll() == -signal.SIGKILL


@pytest.mark.parametrize("sync", ["none", "every"])
def test_a_writer_killed_at_any_write_and_byte_loses_and_invents_nothing(tmp_path, rng, sync):
    """What the file holds is a beginning of what was put; what the ring still holds is taken to disk afterwards."""
    died = rescues = 0
    for call in range(1, 12):
        sizes: list[int] = [0, 1, 127, 128, 129, 400, 10**9]
        if call in (3, 5):  # the block with the records: without and with a sync before it
            sizes = [*range(rng.randrange(STEP), 128 + 5 * 96 + 1, STEP), 128 + 5 * 96, 10**9]
        for number, offset in enumerate(sizes):
            folder = tmp_path / f"{call}-{number}"
            made = Desk(folder, sync=sync)
            try:
                if not crash(made, rng, call, offset):
                    continue
                died += 1
                (file,) = made.files()
                found = [record for block in journal.blocks(file) for record in journal.records(block)]
                on_disk = [bytes(record.payload) for record in found if record.type == "gate"]
                assert on_disk == made.payloads[: len(on_disk)]
                assert len(on_disk) >= made.ring.written_records
                kinds = [block.kind for block in journal.blocks(file)]
                assert journal.verify([file]).is_whole == (kinds[-1:] == ["close"])
                if found:
                    assert rescued(made) == [file]
                    assert gates([file]) == made.payloads
                    assert journal.verify([file]).is_whole
                    rescues += 1
            finally:
                made.forget()
                shutil.rmtree(folder, ignore_errors=True)
    assert died > 1000 // STEP
    assert rescues > 1000 // STEP


def rescued(made: Desk) -> list[Path]:
    """The gateway is gone too, its segment is not: the rest is taken from the ring, once."""
    lib.hwgw_segment_close(made.segment.pointer, False)
    made.segment._pointer = ffi.NULL
    waiting = beginning.rescue(made.folder, made.name)
    assert 0 <= waiting <= len(made.payloads)
    assert beginning.rescue(made.folder, made.name) == 0
    Path(f"/dev/shm/hwgw-{made.name}").unlink()
    return made.files()


def test_the_next_run_says_what_a_crash_left(tmp_path, rng):
    made = Desk(tmp_path, sync="every")
    try:
        assert crash(made, rng, 3, 300)
    finally:
        made.forget()
    torn = made.files()[0].stat().st_size - len(journal_proof.whole_bytes(made.files()[0]))
    assert torn == 300
    assert beginning.start(tmp_path, made.name).torn_bytes == 300
    again = Desk(tmp_path, name=made.name).write().fill(rng, 20)
    try:
        files = again.close()
    finally:
        again.forget()
    report = journal.verify(files)
    assert (report.is_whole, report.runs, len(files)) == (True, 2, 2), report.problem
    files[0].write_bytes(files[0].read_bytes() + b"x")
    assert "ends with 300 torn bytes; there are 301" in journal.verify(files).problem


def test_a_damaged_journal_is_not_gone_on_with(desk, rng, tmp_path):
    made = desk().write().fill(rng, 10)
    (file,) = made.close()
    raw = bytearray(file.read_bytes())
    raw[200] ^= 1
    file.write_bytes(raw)
    with pytest.raises(CheckFailed, match="keep its files, and name another folder"):
        beginning.start(tmp_path, made.name)


def test_a_folder_that_cannot_be_is_named(desk, tmp_path):
    (tmp_path / "file").write_text("")
    made = Desk(tmp_path / "file" / "below")
    try:
        with pytest.raises(DeviceError, match=r"journal\.folder: .*below: Not a directory"):
            made.write()
    finally:
        made.forget()


def test_a_ring_of_another_size_is_refused(tmp_path):
    for size in (1, 65_535, 65_537, 2**31):
        with pytest.raises(Exception, match="a power of two from 65536 to 268435456 is allowed"):
            Segment.create(f"journal-bad-{os.getpid()}", [], journal_sz_bytes=size)


# ---- the command ----


def test_verify_show_export_and_tail_say_what_is_there(hwgw, desk, tmp_path):
    from hwgw import specs

    made = desk().write()
    order = bytearray(specs.dtype("order", "order").itemsize)
    order[0:4] = bytes([1, 1, 1, 1])
    order[8:12], order[20:24], order[24:28] = (value.to_bytes(4, "little") for value in (7, 1_012_500, 100))
    made.put(bytes(order))
    made.put(bytes(order), verdict=10)
    made.close()
    done = hwgw("journal", "verify", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "whole    every block follows the one before" in done.stdout
    assert "4 (2 gate, 1 open, 1 symbols)" in done.stdout
    done = hwgw("journal", "show", str(tmp_path))
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert lines[1].endswith("new       ref 7  buy 100 AAPL limit day at 101.2500  pass")
    assert lines[2].endswith("collar")
    done = hwgw("journal", "show", str(tmp_path), "--ref", "7", "--kind", "new", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["verdict"] for row in rows] == ["pass", "collar"]
    assert rows[0]["px"] == 1_012_500
    assert hwgw("journal", "show", str(tmp_path), "--ref", "8").stdout == ""
    assert hwgw("journal", "tail", str(tmp_path), "-n", "1").stdout.splitlines() == lines[2:]
    import pyarrow.parquet as pq

    target = tmp_path / "out.parquet"
    assert hwgw("journal", "export", str(tmp_path), "-o", str(target)).returncode == 0
    assert pq.read_table(target).column("ref").to_pylist() == [7, 7]
    assert hwgw("journal", "export", str(tmp_path), "-o", str(tmp_path / "out.json")).returncode == 0
    assert len((tmp_path / "out.json").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["verify", "{}/nothing"], 2, "nothing: no such file or folder"),
        (["verify", "{}/empty"], 2, "holds no journal"),
        (["verify", "{}", "--name", "x"], 2, "no journal of x; there are "),
        (["show", "{}", "--kind", "bought"], 2, "--kind bought: unknown; there are none, new, replace"),
        (["export", "{}", "-o", "{}/x.csv"], 2, "FILE.parquet and FILE.json are allowed"),
        (["export", "{}", "-o", "{}/no/x.json"], 5, "No such file or directory"),
    ],
)
def test_mistakes_are_named(hwgw, desk, tmp_path, args, code, text):
    (tmp_path / "empty").mkdir()
    desk().write().close()
    done = hwgw("journal", *(arg.replace("{}", str(tmp_path)) for arg in args))
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_verify_ends_with_1_and_the_place(hwgw, desk, tmp_path, rng):
    (file,) = desk().write().fill(rng, 10).close()
    raw = bytearray(file.read_bytes())
    raw[-200] ^= 1
    file.write_bytes(raw)
    done = hwgw("journal", "verify", str(file), "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["schema"], found["whole"]) == ("hwgw.journal-verify/1", False)
    assert "does not have the hash of what it holds" in found["problem"]
