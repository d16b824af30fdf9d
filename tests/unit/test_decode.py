"""hwgw decode: every format, both framings, and what it says of files that are wrong.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hwgw_sim.golden import Counters, itch
from hwgw_sim.golden.book import Books
from hwgw_sim.stream import Stream, join, split, spoil
from support.feed import data_file

from hwgw.cli import execute
from hwgw.feeds.columns import Selection
from hwgw.feeds.columns import split as split_types
from hwgw.feeds.source import open_source
from hwgw.feeds.writers import clock, readable

AAPL_TYPES = {"A": 4758, "D": 4083, "E": 849, "P": 240, "L": 52, "U": 7, "X": 6, "F": 2, "R": 1, "H": 1, "Y": 1}
SESSION = b"TEST000001"
OTHER_SESSION = b"TEST000002"


@pytest.fixture
def decode(capsys):
    """hwgw decode in this process: exit code, stdout, stderr."""

    def call(*args) -> tuple[int, str, str]:
        code = execute(["decode", *map(str, args)])
        return (code, *capsys.readouterr())

    return call


def golden_summary(messages: list[bytes]) -> dict[str, object]:
    """What the golden models make of a stream whose symbols are taken in order of appearance."""
    counters, types, books, locates = Counters(), Counter(), Books(1000), {}
    symbols: dict[bytes, int] = {}
    books.counters = counters
    times = []
    for message in messages:
        event = itch.take(message, counters)
        if event is None:
            continue
        types[chr(event["code"])] += 1
        times.append(event["ts_ns"])
        offset = {"R": 11, "A": 24, "F": 24}.get(chr(event["code"]))
        if event["locate"] and offset and (offset == 11 or event["locate"] not in locates):
            locates[event["locate"]] = symbols.setdefault(message[offset : offset + 8], len(symbols))
        event["instrument"] = locates.get(event["locate"], 0xFFFFFFFF)
        books.apply(event)
    return {
        "messages": len(messages),
        "types": dict(sorted(types.items())),
        "errors": {name: cnt for name, cnt in counters.items() if ".drop_" in name},
        "first_timestamp_ns": times[0],
        "last_timestamp_ns": times[-1],
        "book_hash": f"{books.hash():016x}",
    }


# ---- captures made here ----


def frame(payload: bytes, group: str = "233.54.12.111", port: int = 26477, vlan: int | None = None) -> bytes:
    """Ethernet, IPv4 and UDP around a payload."""
    address = bytes(map(int, group.split(".")))
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0, 16, 17, 0, b"\x0a\0\0\1", address)
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack(">H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + head[12:]
    tag = b"" if vlan is None else struct.pack(">HH", 0x8100, vlan)
    ethernet = b"\x01\0\x5e\0\0\1" + b"\x02\0\0\0\0\1" + tag + b"\x08\0"
    return ethernet + head + struct.pack(">HHHH", 30000, port, 8 + len(payload), 0) + payload


def packets(messages: list[bytes], cut: int, session: bytes = SESSION) -> list[bytes]:
    """MoldUDP64 packets of `cut` messages each."""
    found = []
    for start in range(0, len(messages), cut):
        part = messages[start : start + cut]
        head = session + (start + 1).to_bytes(8, "big") + len(part).to_bytes(2, "big")
        found.append(head + join(part))
    return found


def write_pcap(path: Path, frames: list[bytes]) -> Path:
    records = (struct.pack("<IIII", at, 0, len(each), len(each)) + each for at, each in enumerate(frames))
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 16, 1) + b"".join(records))
    return path


@pytest.fixture
def stream(seed) -> list[bytes]:
    """3,000 sound messages over 20 symbols."""
    with Stream(seed, 20, live_max=300) as made:
        return made.messages(3000)


@pytest.fixture
def record_file(tmp_path, stream) -> Path:
    path = tmp_path / "stream.itch50"
    path.write_bytes(join(stream))
    return path


# ---- the real file ----


@pytest.mark.parametrize("name", ["itch50/aapl_20200130_first10k.itch50", "mold/aapl_20200130_first10k.mold.pcap"])
def test_real_file_has_exactly_its_messages_and_the_golden_book_in_both_framings(shared, decode, name):
    code, stdout, _ = decode("--summary", "--json", data_file(shared, name))
    found = json.loads(stdout)
    messages = list(split(data_file(shared, "itch50/aapl_20200130_first10k.itch50").read_bytes()))
    want = golden_summary(messages)
    assert code == 0
    assert found["schema"] == "hwgw.decode/1"
    assert {name: found[name] for name in want} == want
    assert found["types"] == AAPL_TYPES
    assert (found["messages"], found["errors"]) == (10_000, {})


def test_json_of_every_real_message_equals_the_golden_decoder(shared, decode):
    path = data_file(shared, "itch50/aapl_20200130_first10k.itch50")
    _, records, _ = decode("--format", "json", path)
    _, capture, _ = decode("--json", data_file(shared, "mold/aapl_20200130_first10k.mold.pcap"))
    assert records == capture
    lines = records.splitlines()
    compared = 0
    for number, (line, message) in enumerate(zip(lines, split(path.read_bytes()), strict=True), 1):
        assert json.loads(line) == {"seq": number} | itch.decode(message)
        compared += 1
    assert compared == 10_000


# ---- formats ----


def test_csv_and_parquet_hold_what_json_holds(decode, record_file, tmp_path):
    import pyarrow.parquet as parquet

    _, text, _ = decode("--json", record_file)
    objects = [json.loads(line) for line in text.splitlines()]
    _, table, _ = decode("--format", "csv", record_file)
    cells = list(csv.DictReader(io.StringIO(table)))
    assert len(cells) == len(objects) == 3000
    for row, each in zip(cells, objects, strict=True):
        assert {name: cell for name, cell in row.items() if cell != ""} == {n: str(v) for n, v in each.items()}
    code, _, _ = decode("--format", "parquet", "--output", tmp_path / "types", record_file)
    assert code == 0
    rows = [row for path in (tmp_path / "types").iterdir() for row in parquet.read_table(path).to_pylist()]
    assert sorted(rows, key=lambda row: row["seq"]) == objects
    decode("--format", "parquet", "--type", "A", "--output", tmp_path / "adds.parquet", record_file)
    assert parquet.read_table(tmp_path / "adds.parquet").to_pylist() == [o for o in objects if o["message_type"] == "A"]


def test_every_type_comes_out_of_every_column(decode, tmp_path, rng):
    from hwgw.feeds.columns import LAYOUTS

    messages = [code.encode() + rng.randbytes(layout.length - 1) for code, layout in LAYOUTS.items() for _ in range(20)]
    rng.shuffle(messages)
    first = next(message for message in messages if message[:1] == b"S")
    messages = [first, *messages]
    path = tmp_path / "every.itch50"
    path.write_bytes(join(messages))
    code, text, _ = decode("--json", path)
    assert code == 0
    for line, message in zip(text.splitlines(), messages, strict=True):
        want = {
            name: value.rstrip("\0") if isinstance(value, str) else value
            for name, value in itch.decode(message).items()
        }
        assert {name: value for name, value in json.loads(line).items() if name != "seq"} == want
    assert len(messages) == 23 * 20 + 1


def test_table_shows_decimal_prices_and_the_time_of_day(decode, tmp_path):
    add = b"A" + (7).to_bytes(2, "big") + bytes(2) + (34_200_000_000_123).to_bytes(6, "big") + (99).to_bytes(8, "big")
    add += b"B" + (100).to_bytes(4, "big") + b"AAPL    " + (3_199_050).to_bytes(4, "big")
    delete = b"D" + add[1:5] + (34_200_000_000_124).to_bytes(6, "big") + (99).to_bytes(8, "big")
    path = tmp_path / "two.itch50"
    path.write_bytes(join([add, delete]))
    code, text, _ = decode(path)
    assert code == 0
    assert [line.split() for line in text.splitlines()] == [
        ["seq", "time", "t", "message", "symbol", "fields"],
        ["1", "09:30:00.000000123", "A", "add_order", "AAPL", "order_reference_number=99", "side=B", "shares=100",
         "price=319.9050"],
        ["2", "09:30:00.000000124", "D", "order_delete", "AAPL", "order_reference_number=99"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [(1, "price4", "0.0001"), (2_000_000_000, "price4", "200000.0000"), (0, "price4", "0.0000"),
     (123_456_789_012, "price8", "1234.56789012"), (5, "uint", "5"), ("  ", "ascii", "-")],
)  # fmt: skip
def test_prices_are_exact_decimals(value, kind, text):
    assert readable(value, kind) == text


def test_clock_shows_nanoseconds():
    assert clock(86_399_999_999_999) == "23:59:59.999999999"
    assert clock(0) == "00:00:00.000000000"


# ---- selections ----


def test_type_symbol_and_limit_select(decode, record_file, stream):
    want = {
        number: itch.decode(message)
        for number, message in enumerate(stream, 1)
        if int.from_bytes(message[1:3], "big") in (2, 5)
    }
    _, text, _ = decode("--json", "--symbol", "S0000002", "--symbol", "S0000005", record_file)
    assert [json.loads(line) for line in text.splitlines()] == [{"seq": n} | m for n, m in want.items()]
    assert len(want) > 100
    _, text, _ = decode("--json", "--symbol", "S0000002", "--type", "D", "--limit", "7", record_file)
    deletes = [n for n, m in want.items() if m["message_type"] == "D" and m["stock_locate"] == 2]
    assert [json.loads(line)["seq"] for line in text.splitlines()] == deletes[:7]
    _, text, _ = decode("--json", "--symbol", "NONE", record_file)
    assert text == ""


def test_selection_learns_a_locate_per_batch_and_channel(record_file):
    selection = Selection(symbols=frozenset(["S0000001"]))
    (batch,) = open_source(record_file).batches()
    mask = selection.select(batch)
    located = np.concatenate([part.column("stock_locate") for part in split_types(batch, mask)])
    assert set(located.tolist()) == {1}
    assert len(located) == mask.sum() > 50


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--type", "Z"], "--type Z: allowed are A B C D E F H I J K L N O P Q R S U V W X Y h"),
        (["--symbol", "TOOLONGNAME"], "--symbol TOOLONGNAME: allowed are 1 to 8 ASCII characters"),
        (["--group", "1.2.3.4"], "--group 1.2.3.4: allowed is IPV4:PORT with a port of 1 to 65535"),
        (["--group", "1.2.3.4:70000"], "allowed is IPV4:PORT"),
        (["--group", "1.2.3.4:7"], "is no capture; only pcap and pcapng have groups"),
        (["--summary", "--type", "A"], "--summary is of the whole file"),
        (["--format", "parquet"], "name a file (of one --type) or a folder with --output"),
        (["--limit", "0"], "0 is not in the range x>=1"),
    ],
)
def test_wrong_usage_names_what_is_allowed(decode, record_file, args, text):
    code, _, stderr = decode(*args, record_file)
    assert code == 2
    assert text in stderr
    assert len(stderr.splitlines()) == 1


# ---- files ----


def test_gzip_is_read_as_the_plain_file(decode, record_file, tmp_path):
    packed = tmp_path / "stream.itch50.gz"
    packed.write_bytes(gzip.compress(record_file.read_bytes()))
    assert decode("--json", packed) == decode("--json", record_file)


def test_batches_cover_a_file_longer_than_one_buffer_without_loss(tmp_path, seed, decode):
    with Stream(seed, 50, live_max=2000) as made:
        messages = made.messages(150_000)
    path = tmp_path / "long.itch50"
    path.write_bytes(join(messages))
    assert path.stat().st_size > 4 << 20
    seqs, found = [], []
    for batch in open_source(path).batches():
        seqs += batch.messages["seq"].tolist()
        found += [bytes(batch.data[m["offset"] : m["offset"] + m["len"]]) for m in batch.messages[::50]]
    assert seqs == list(range(1, 150_001))
    assert len(found) >= 3000
    assert set(found) <= set(messages)
    _, text, _ = decode("--summary", "--json", path)
    types = Counter(chr(message[0]) for message in messages)
    assert json.loads(text)["types"] == dict(sorted(types.items()))


def test_damaged_gzip_gives_every_whole_message_before_the_damage(decode, record_file, stream, tmp_path):
    packed = tmp_path / "stream.itch50.gz"
    whole = gzip.compress(join(stream[:2000])) + gzip.compress(join(stream[2000:]))
    packed.write_bytes(whole + bytes(20))
    assert decode("--json", packed) == decode("--json", record_file)
    packed.write_bytes(whole[:-8])
    code, text, stderr = decode("--json", packed)
    assert (code, len(text.splitlines())) == (1, 3000)
    assert "the gzip stream is damaged (it ends too early); allowed is a whole one" in stderr
    packed.write_bytes(whole[: len(whole) // 2])
    code, text, stderr = decode("--json", packed)
    assert code == 1
    assert 500 < len(text.splitlines()) < 2500
    packed.write_bytes(whole + b"more")
    assert "damaged (Error -3 while decompressing data" in decode("--json", packed)[2]


def test_session_ends_at_a_record_of_length_0(decode, record_file, stream):
    record_file.write_bytes(join(stream) + b"\0\0")
    code, text, _ = decode("--json", record_file)
    assert (code, len(text.splitlines())) == (0, 3000)
    record_file.write_bytes(join(stream) + b"\0\0" + join(stream[:1]))
    code, text, stderr = decode("--json", record_file)
    assert (code, len(text.splitlines())) == (1, 3000)
    assert "more data behind the record of length 0" in stderr


def test_cut_off_file_gives_every_whole_message_and_says_where_it_ends(decode, record_file, stream):
    whole = len(join(stream[:-1]))
    record_file.write_bytes(record_file.read_bytes()[:-1])
    code, text, stderr = decode("--json", record_file)
    last = len(stream[-1])
    assert (code, len(text.splitlines())) == (1, 2999)
    assert f"{record_file}: offset {whole}: a record of {last} bytes of which {last - 1} are there" in stderr
    code, text, _ = decode("--summary", "--json", record_file)
    assert code == 1
    assert json.loads(text)["errors"] == {"file.damage": 1}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "offset 0: the file is empty"),
        (b"hello, this is a text file", "offset 0: a record of 26725 bytes that begins with b'l' is no ITCH"),
        (b"\x00\x0bS" + bytes(10), "offset 0: a record of 11 bytes that begins with b'S' is no ITCH 5.0 message"),
        (b"\x1f\x8b\x08\x00 and then no deflate", "the gzip stream is damaged"),
    ],
)  # fmt: skip
def test_file_that_is_no_stream_is_refused_with_what_is_allowed(decode, tmp_path, content, text):
    path = tmp_path / "odd"
    path.write_bytes(content)
    code, _, stderr = decode("--json", path)
    assert code == 1
    assert text in stderr
    assert "allowed is" in stderr


def test_missing_file_is_a_usage_error(decode, tmp_path):
    code, _, stderr = decode(tmp_path / "none.itch50")
    assert code == 2
    assert "none.itch50: No such file" in stderr


def test_damaged_messages_are_counted_named_and_passed_over(decode, tmp_path, stream, seed):
    messages = list(spoil(stream, seed, 10))
    path = tmp_path / "bad.itch50"
    path.write_bytes(join(message for message in messages if message))
    messages = [message for message in messages if message]
    code, text, _ = decode("--summary", "--json", path)
    found, want = json.loads(text), golden_summary(messages)
    assert code == 0
    assert {name: found[name] for name in want} == want
    assert sum(found["types"].values()) + found["errors"]["itch.drop_length"] + found["errors"][
        "itch.drop_unknown"
    ] == len(messages)
    code, text, stderr = decode("--json", path)
    lines = [json.loads(line) for line in text.splitlines()]
    bad = [line for line in lines if "error" in line]
    assert code == 1
    assert [line["seq"] for line in lines] == list(range(1, len(messages) + 1))
    assert Counter(line["error"] for line in bad) == {n: c for n, c in found["errors"].items() if n.startswith("itch.")}
    assert all(bytes.fromhex(line["bytes"]) == messages[line["seq"] - 1] for line in bad)
    first = len(join(messages[: bad[0]["seq"] - 1]))
    assert f"first offset {first}: {len(messages[bad[0]['seq'] - 1])} bytes of type" in stderr


# ---- captures ----


def test_two_lines_cut_differently_give_each_message_once(decode, tmp_path, stream, record_file):
    lines = (
        [frame(each) for each in packets(stream, 7)],
        [frame(each, port=26478, vlan=9) for each in packets(stream, 5)],
    )
    lost = [each for number, each in enumerate(lines[0]) if number % 11 != 3]
    mixed = sorted([*enumerate(lost), *enumerate(lines[1])], key=lambda each: each[0])
    path = write_pcap(tmp_path / "ab.pcap", [each for _, each in mixed])
    code, text, _ = decode("--summary", "--json", path)
    found = json.loads(text)
    assert code == 0
    assert found["messages"] + found["errors"].get("mold.missing", 0) == 3000
    assert [(flow["port"], flow["channel"], flow["line"]) for flow in found["flows"]] == [(26477, 0, 0), (26478, 0, 1)]
    _, both, _ = decode("--json", "--group", "233.54.12.111:26478", path)
    assert both == decode("--json", record_file)[1]


def test_channels_of_different_sessions_are_kept_apart(decode, tmp_path, stream):
    frames = [frame(each) for each in packets(stream[:500], 9)]
    frames += [frame(each, port=7000) for each in packets(stream[:300], 9, OTHER_SESSION)]
    path = write_pcap(tmp_path / "two.pcap", frames)
    _, text, _ = decode("--summary", "--json", path)
    found = json.loads(text)
    assert found["messages"] == 800
    assert [flow["channel"] for flow in found["flows"]] == [0, 1]


def test_other_traffic_in_a_capture_is_counted_and_left_alone(decode, tmp_path, stream):
    noise = [frame(b"\x12\x34\x01\x00" * 9, "224.0.0.251", 5353), b"\xff" * 60, frame(b"short", port=9)]
    frames = [noise[0], *(frame(each) for each in packets(stream, 20)), *noise]
    path = write_pcap(tmp_path / "noise.pcap", frames)
    code, text, _ = decode("--summary", "--json", path)
    found = json.loads(text)
    assert code == 0
    assert found["messages"] == 3000
    assert found["errors"] == {"net.drop_ethertype": 1, "net.drop_foreign": 3}


def test_capture_without_a_feed_is_an_error_that_says_what_was_found(decode, tmp_path):
    path = write_pcap(tmp_path / "none.pcap", [frame(b"no mold here, but some bytes")] * 4)
    code, _, stderr = decode("--json", path)
    assert code == 1
    assert "no MoldUDP64 packet found (net.drop_foreign 4)" in stderr


def test_damaged_capture_gives_what_is_whole_and_says_so(decode, tmp_path, stream):
    path = write_pcap(tmp_path / "cut.pcap", [frame(each) for each in packets(stream, 20)])
    path.write_bytes(path.read_bytes()[:-5])
    code, text, stderr = decode("--json", path)
    assert (code, len(text.splitlines())) == (1, 2980)
    assert "cut.pcap" in stderr
    assert "allowed is a whole capture" in stderr


def test_missing_packets_are_reported(decode, tmp_path, stream):
    frames = [frame(each) for each in packets(stream, 20)]
    del frames[50:53]
    _, text, _ = decode("--summary", "--json", write_pcap(tmp_path / "gap.pcap", frames))
    found = json.loads(text)
    assert found["messages"] == 2940
    assert found["errors"]["mold.missing"] == 60
