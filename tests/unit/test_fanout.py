"""The fan-out ring: whoever applies its records has the gateway's books; who is too slow knows what was missed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
import subprocess
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hwgw_sim.stream import Stream, spoil
from support import rig as r
from support.desk import SYMBOLS
from support.glimpse import Glimpse, end_of_snapshot
from support.rig import Rig, include_folder

import hwgw
from hwgw import specs
from hwgw.errors import CheckFailed, HwgwError, UsageError
from hwgw.fanout import Events
from hwgw.native import call, ffi, lib

RING = 1 << 16
SLOTS = RING // 64
CLAIM = specs.load("segment").constant("fanout_claim")
KIND = {code.meaning: code.value for code in specs.load("event").enum("kind").values}
EVENT = specs.dtype("event", "event")


class Books:
    """Books of a reader's own, from records alone."""

    def __init__(self, cnt: int) -> None:
        handle = ffi.new("struct hwgw_books **")
        call(
            lib.hwgw_books_open,
            handle,
            ffi.new("struct hwgw_books_cfg *", {"instrument_cnt": cnt, "orders_max": 100_000}),
        )
        self.handle = ffi.gc(handle[0], lib.hwgw_books_close)
        self.good = np.zeros(cnt, bool)

    def apply(self, batch: np.ndarray) -> None:
        changed = ffi.new("bool *")
        for record in batch:
            if record["kind"] == KIND["clear"]:
                lib.hwgw_books_clear_instrument(self.handle, int(record["instrument"]))
            elif record["kind"] == KIND["feed"]:
                self.good[record["instrument"]] = record["qty"]
            else:
                event = ffi.new("struct hwgw_event *")
                ffi.memmove(event, record.tobytes(), 64)
                lib.hwgw_books_apply(self.handle, event, changed)

    def equal(self, rig: Rig) -> bool:
        theirs = lib.hwgw_pipeline_books(rig.handle)
        flags = np.array([int(rig.segment.tob(i)["flags"]) & 1 for i in range(len(rig.symbols))], bool)
        same = lib.hwgw_books_hash(self.handle) == lib.hwgw_books_hash(theirs)
        return same and bool((self.good == flags).all())


def shared(rig: Rig, **options: bool) -> Events:
    return hwgw.attach(rig.segment.name, left_over=True).events(**options)


DAY = tuple(f"S{number:07}" for number in (1, 2, 3))


def day(seed: int, cnt: int) -> list[bytes]:
    """A stream of three symbols with something wrong now and then."""
    with Stream(seed, len(DAY), 400) as stream:
        return list(spoil(stream.messages(cnt), seed, 400))


def test_whoever_applies_the_records_has_the_gateways_books(seed: int):
    mine, rng = Books(len(DAY)), random.Random(seed)
    with Rig(DAY, fanout_bytes=1 << 21) as rig:
        events, read, looks = shared(rig), 0, 0
        messages = day(seed, 8_000)
        while messages:
            cnt = rng.randrange(1, 40)
            rig.feed(*messages[:cnt])
            del messages[:cnt]
            if rng.random() < 0.1:
                batch = events.read()
                mine.apply(batch)
                read += len(batch)
                looks += 1
                assert mine.equal(rig)
        batch = events.read()
        mine.apply(batch)
        assert mine.equal(rig)
        assert events.missed == 0
        assert read + len(batch) == events.next > 7_000
        assert looks > 5
        assert lib.hwgw_books_live(mine.handle) > 100
        seqs = batch["seq"][batch["kind"] != KIND["feed"]]
        assert (np.diff(seqs.astype(np.int64)) > 0).all()


def test_a_book_that_a_snapshot_replaced_is_replaced_for_the_readers_too():
    mine, glimpse = Books(len(SYMBOLS)), Glimpse()
    with Rig(SYMBOLS, hold_max=64, window_ns=10**11, snapshot_port=glimpse.port, fanout_bytes=RING) as rig:
        events = shared(rig)
        rig.quote()
        rig.quote("MSFT", 2)
        mine.apply(events.read())
        assert mine.good.tolist() == [True, True, True]
        rig.feed(r.delete(1, 99))  # of an order that nobody added
        mine.apply(events.read())
        assert mine.good.tolist() == [False, True, True]
        end = time.monotonic() + 10
        while not rig.cnt("recover.loads"):
            rig.step()
            assert time.monotonic() < end
        rig.feed(r.add(2, "MSFT", 72, "B", 100, 1_000_020), r.add(1, "AAPL", 71, "B", 100, 1_000_010))
        snapshot = [r.directory(1, "AAPL"), r.add(1, "AAPL", 50, "B", 300, 999_990), end_of_snapshot(rig.seq - 1)]
        while not rig.cnt("recover.instruments"):
            rig.step()
            glimpse.step(snapshot)
            assert time.monotonic() < end
        batch = events.read()
        mine.apply(batch)
        assert (batch["kind"] == KIND["clear"]).sum() == 1
        assert mine.good.tolist() == [True, True, True]
        assert mine.equal(rig)
        assert lib.hwgw_books_live(mine.handle) == 2 + 1 + 2
    glimpse.close()


def test_a_reader_that_was_overtaken_knows_how_many_records_it_missed():
    with Rig(SYMBOLS, fanout_bytes=RING) as rig:
        slow, late = shared(rig), shared(rig)
        rig.feed(r.directory(1, "AAPL"))
        for ref in range(1, 3 * SLOTS):
            rig.feed(r.add(1, "AAPL", ref, "B", 1, 1_000_000))
        batch = slow.read()
        assert slow.missed + len(batch) == slow.next
        assert SLOTS - CLAIM <= len(batch) <= SLOTS
        refs = batch["ref"].tolist()
        assert refs == list(range(3 * SLOTS - len(refs), 3 * SLOTS))
        first = late.read(10)
        assert (late.missed, first["ref"].tolist()) == (slow.missed, refs[:10])
        assert shared(rig, oldest=True).read()["ref"].tolist() == refs
        assert len(shared(rig).read()) == 0


def test_no_record_is_torn_while_the_writer_overtakes(seed: int):
    """The shares of each order are its reference: half a record of one and half of another would show."""
    with Rig(SYMBOLS, fanout_bytes=RING) as rig:
        rig.feed(r.directory(1, "AAPL"))
        events, over, seen, looks = shared(rig), threading.Event(), 0, 0
        frames, lens = [], []
        for turn in range(600):
            messages = []
            for ref in range(40 * turn + 1, 40 * turn + 21):
                messages += [r.add(1, "AAPL", ref, "B", ref, 1_000_000), r.delete(1, ref)]
            frames.append(r.frame(r.mold(rig.seq, messages)))
            lens.append(len(frames[-1]))
            rig.seq += len(messages)

        def write() -> None:
            for at in range(0, len(frames), 100):
                lib.hwgw_pipeline_frames(rig.handle, b"".join(frames[at : at + 100]), lens[at : at + 100], 100)
            over.set()

        writer = threading.Thread(target=write)
        writer.start()
        while True:
            ended = over.is_set()
            batch = events.read(256)
            adds = batch[batch["kind"] == KIND["add"]]
            assert (adds["ref"] == adds["qty"]).all()
            assert (np.diff(batch["seq"].astype(np.int64)) == 1).all()
            seen += len(batch)
            looks += 1
            if ended and not len(batch):
                break
        writer.join()
        assert seen + events.missed == 600 * 40
        assert seen > 0


def test_a_program_in_c_needs_two_headers_and_no_library(tmp_path: Path):
    source = tmp_path / "reader.c"
    source.write_text(
        textwrap.dedent("""\
        #include <fcntl.h>
        #include <stdio.h>
        #include <sys/mman.h>
        #include <sys/stat.h>
        #include "hwgw_fanout.h"
        int main(int argc, char **argv) {
          struct stat file;
          int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;
          if (fd < 0 || fstat(fd, &file)) return 2;
          const void *base = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_SHARED, fd, 0);
          struct hwgw_fanout fanout;
          if (base == MAP_FAILED || !hwgw_fanout_open(&fanout, base, 0, true)) return 3;
          struct hwgw_event event[7];
          uint64_t shares = 0, all = 0;
          for (uint32_t cnt; (cnt = hwgw_fanout_read(&fanout, event, 7)) != 0; all += cnt)
            for (uint32_t i = 0; i < cnt; i++) shares += event[i].kind == HWGW_EVENT_KIND_ADD ? event[i].qty : 0;
          printf("%llu %llu %llu\\n", (unsigned long long)all, (unsigned long long)shares,
                 (unsigned long long)fanout.missed);
        }
        """)
    )
    built = tmp_path / "reader"
    flags = ["-O2", "-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    subprocess.run(["cc", *flags, "-I", include_folder(), "-o", built, source], check=True, timeout=60)
    with Rig(SYMBOLS, fanout_bytes=RING) as rig:
        rig.quote()
        done = subprocess.run(
            [built, f"/dev/shm/hwgw-{rig.segment.name}"], capture_output=True, text=True, timeout=20, check=True
        )
    assert done.stdout == "6 1000 0\n"  # a directory, two orders, and three instruments that became good


def test_a_gateway_without_a_ring_says_what_is_missing():
    with Rig(SYMBOLS) as rig, pytest.raises(CheckFailed, match="give it a section `fanout`"):
        shared(rig)


def test_a_ring_that_is_no_power_of_two_is_refused():
    with pytest.raises(HwgwError, match="a fan-out ring of 100000 bytes: 0 or a power of two from 65536 to 268435456"):
        Rig(SYMBOLS, fanout_bytes=100_000)


def test_a_closed_view_reads_no_more():
    with Rig(SYMBOLS, fanout_bytes=RING) as rig:
        with hwgw.attach(rig.segment.name, left_over=True) as live:
            events = live.events()
        with pytest.raises(UsageError, match="is closed"):
            events.read()
