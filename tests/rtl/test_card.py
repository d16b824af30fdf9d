"""The simulated card: RTL behind CFFI gives the events that C and the golden model give; and the driver's errors.

SPDX-License-Identifier: MIT

HWGW_RTL_FULL=1 (make rtl) is the long form: 100,000 generated messages instead of 10,000.
"""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hwgw_sim.card
import numpy as np
import pytest
from hwgw_sim import wire
from hwgw_sim.golden import itch
from hwgw_sim.stream import Stream
from support.feed import data_file

from hwgw import specs
from hwgw.card import Bar, Calls, Card
from hwgw.errors import DeviceError, UsageError
from hwgw.native import ffi, lib
from hwgw.specs import registers

GENERATED = 100_000 if os.environ.get("HWGW_RTL_FULL") else 10_000
GROUPS, PORT, SESSION = ("233.54.12.111", "233.49.196.111"), 26477, b"000000001A"
EVENT = specs.dtype("event", "event")
# what an event has of its message alone
FIELDS = ("kind", "side", "code", "ts_ns", "ref", "ref_new", "qty", "px", "locate", "flags")
PACKET_MAX = 1400
RUN = 5000
BLOCK_MIN = 12  # what is shorter is no message of any feed, and the card drops its packet; C drops the message


@pytest.fixture
def card() -> Iterator[Card]:
    if why := hwgw_sim.card.missing():
        pytest.skip(why)
    with Card(hwgw_sim.card.SimulatedCard()) as made:
        made.configure({"a": (GROUPS[0], PORT), "b": (GROUPS[1], PORT)}, channel=5)
        made["hold_cycles"] = 4000  # packets come on either line, the next one while the last is being delivered
        yield made


def packets(messages: Sequence[bytes], rng: random.Random) -> Iterator[tuple[int, bytes]]:
    """Sequence number and payload; as many messages in each as chance wants, so that they begin in any lane."""
    at = 0
    while at < len(messages):
        count, size = 0, 0
        for message in messages[at : at + rng.choice((1, 2, 3, 8, 40))]:
            if size + len(message) > PACKET_MAX:
                break
            count, size = count + 1, size + len(message) + 2
        head = SESSION + struct.pack(">QH", at + 1, count)
        yield at + 1, head + b"".join(struct.pack(">H", len(m)) + m for m in messages[at : at + count])
        at += count


def through_rtl(card: Card, messages: Sequence[bytes], rng: random.Random) -> np.ndarray:
    """The events of the card, fed on both lines; the later copy of each packet is a duplicate."""
    found = bytearray()
    cnt = 0
    for seq, payload in packets(messages, rng):
        lines = rng.choice(((0,), (1,), (0, 1), (1, 0)))
        cnt += len(lines)
        for line in lines:
            card.transport.frame(line, wire.udp_frame(GROUPS[line], PORT, payload), now=seq)
        found += card.transport.events()
    card.transport.run(RUN)
    found += card.transport.events()
    totals = card.counters()
    assert totals["rx.frames"] == cnt == totals["mold.frames"] + totals["mold.drop_duplicate"], {
        k: v for k, v in card.lines().items() if v
    }
    assert totals["mold.messages"] == len(messages)
    assert totals["event.drop_full"] == totals["mold.missing"] == 0
    assert (card.state, card["next_seq"], card.session) == ("good", len(messages) + 1, SESSION.decode())
    return np.frombuffer(bytes(found), EVENT)


def by_c(messages: Sequence[bytes]) -> np.ndarray:
    """The same by hwgw_itch_decode; what it drops is left out."""
    event, found = ffi.new("struct hwgw_event *"), bytearray()
    for seq, message in enumerate(messages, 1):
        event.seq = seq
        if not lib.hwgw_itch_decode(message, len(message), event):
            found += ffi.buffer(event)
    return np.frombuffer(bytes(found), EVENT)


def check(card: Card, messages: Sequence[bytes], rng: random.Random) -> int:
    """Equal in every field, in RTL, C and the golden model; how many events were compared."""
    rtl, native = through_rtl(card, messages, rng), by_c(messages)
    assert len(rtl) == len(native)
    assert np.array_equal(rtl["seq"], native["seq"])
    for field in FIELDS:
        wrong = np.nonzero(rtl[field] != native[field])[0]
        assert wrong.size == 0, f"{field} of message {messages[int(rtl['seq'][wrong[0]]) - 1].hex()}"
    assert set(rtl["channel"]) == {5}
    assert set(rtl["instrument"]) == {0xFFFFFFFF}
    golden = iter(rtl)
    for message in messages:
        try:
            wanted = itch.event(message)
        except itch.DecodeError:
            continue
        got = next(golden)
        assert [int(got[name]) for name in FIELDS] == [wanted[name] for name in FIELDS], message.hex()
    assert next(golden, None) is None
    return len(rtl)


def binary_file(data: bytes) -> list[bytes]:
    """Messages of a BinaryFILE stream."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        found.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return found


def test_real_messages_give_the_same_events_in_rtl_c_and_golden(card: Card, shared: Path, seed: int) -> None:
    messages = binary_file(data_file(shared, "itch50/aapl_20200130_first10k.itch50").read_bytes())
    assert check(card, messages, random.Random(seed)) == 10_000
    # the last trade that the card keeps, once it knows the locate: nothing was subscribed, so nothing is there
    assert card.price(0) == (0, 0)


def test_generated_messages_of_every_type_give_the_same_events(card: Card, seed: int) -> None:
    rng = random.Random(seed)
    layouts = [layout for layout in specs.load("itch50").layouts if layout.kind == "message"]
    with Stream(seed % 2**32, 64, 2000) as stream:
        messages = binary_file(stream.records(GENERATED * 9 // 10))
    while len(messages) < GENERATED:  # any type, any content, and lengths and types that do not exist
        layout = rng.choice(layouts)
        length = rng.choice((layout.length, layout.length, layout.length, rng.randrange(BLOCK_MIN, 60)))
        code = str(layout.code).encode() if rng.random() < 0.95 else rng.randbytes(1)
        messages.insert(rng.randrange(len(messages)), code + rng.randbytes(length - 1))
    assert {chr(message[0]) for message in messages} >= {str(layout.code) for layout in layouts}
    compared = check(card, messages, rng)
    assert GENERATED * 9 // 10 <= compared < GENERATED
    totals = card.counters()
    assert totals["itch.messages"] == compared
    assert totals["itch.drop_length"] + totals["itch.drop_unknown"] == GENERATED - compared


def test_subscribed_symbols_alone_give_events_and_prices(card: Card, seed: int) -> None:
    rng = random.Random(seed)
    with Stream(seed % 2**32, 16, 500) as stream:
        messages = binary_file(stream.records(3000))
    card.load_symbols({3: 700, 5: None})
    card["all"] = 0
    rtl = through_rtl_filtered(card, messages, rng)
    wanted = [m for m in messages if int.from_bytes(m[1:3], "big") in (0, 3)]
    assert len(rtl) == len(wanted) > 50
    assert set(rtl["locate"]) <= {0, 3}
    assert set(rtl["instrument"][rtl["locate"] == 3]) == {700}
    assert card.counters()["book.drop_instrument"] == len(messages) - len(wanted)


def through_rtl_filtered(card: Card, messages: Sequence[bytes], rng: random.Random) -> np.ndarray:
    """Events where not every message gives one."""
    for _, payload in packets(messages, rng):
        card.transport.frame(0, wire.udp_frame(GROUPS[0], PORT, payload))
    card.transport.run(RUN)
    return np.frombuffer(card.transport.events(), EVENT)


def test_what_finds_the_ring_full_is_counted(card: Card) -> None:
    message = bytes.fromhex("53") + bytes(10) + b"O"
    ring = 65_536
    frames, per_frame = ring // 100 + 20, 100
    for at in range(frames):
        head = SESSION + struct.pack(">QH", at * per_frame + 1, per_frame)
        card.transport.frame(0, wire.udp_frame(GROUPS[0], PORT, head + (b"\0\x0c" + message) * per_frame))
    card.transport.run(RUN)
    totals = card.counters()
    got = len(card.transport.events(2 * ring)) // EVENT.itemsize
    card.transport.run(2000)
    got += len(card.transport.events(2 * ring)) // EVENT.itemsize
    assert totals["event.drop_full"] > 0
    assert got + totals["event.drop_full"] == frames * per_frame == totals["itch.messages"]


# ---- the driver ----


def test_errors_name_what_is_wrong(card: Card, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"card: read of 0x300: AXI response 2"):
        card.transport.read(0x300)
    with pytest.raises(DeviceError, match=r"card: write of 0x000: AXI response 2"):
        card.transport.write(0, 1)
    with pytest.raises(UsageError, match=r"card: no register speed; there are identity, version"):
        card["speed"]
    with pytest.raises(UsageError, match=r"card: register port_a = 65536: 0 to 65535 are allowed"):
        card["port_a"] = 65536
    with pytest.raises(UsageError, match=r"card: register version is only read"):
        card["version"] = 1
    with pytest.raises(DeviceError, match=r"card: /nowhere/resource0: no such device"):
        Bar("/nowhere/resource0")
    (tmp_path / "small").write_bytes(bytes(64))
    with pytest.raises(DeviceError, match=r"has 64 bytes, the registers need 8192"):
        Bar(str(tmp_path / "small"))
    with pytest.raises(DeviceError, match=r"no card answers"):
        Card(Calls("test", lambda offset: 0xFFFFFFFF, lambda offset, value: None))
    with pytest.raises(DeviceError, match=r"identity 0x00000000 is not that of hwgw \(0x48574757\)"):
        Card(Calls("test", lambda offset: 0, lambda offset, value: None))
    words = {0: 0x48574757, 4: 0x00020003}
    with pytest.raises(DeviceError, match=r"register map 2\.3, this hwgw speaks 1\.x"):
        Card(Calls("test", words.__getitem__, lambda offset, value: None))


def test_a_bar_in_memory_is_the_same_driver(tmp_path: Path) -> None:
    table = registers.load()
    path = tmp_path / "resource0"
    words = bytearray(1 << table.address_bits)
    for register in table.registers:
        if register.access == "const":
            struct.pack_into("<I", words, register.offset, register.value)
    path.write_bytes(words)
    with Card(Bar(str(path))) as card:
        card["scratch"] = 0x12345678
        card["enable"] = 1
        card["symbol_is_on"] = 1
        assert (card["scratch"], card["enable"], card["verified"]) == (0x12345678, 1, 0)
    data = path.read_bytes()
    assert struct.unpack_from("<I", data, table.register("scratch").offset) == (0x12345678,)
    assert struct.unpack_from("<I", data, table.register("symbol").offset) == (1 << 16,)


# ---- the command line ----


def test_the_command_line_speaks_to_a_card(hwgw: Any) -> None:
    if why := hwgw_sim.card.missing():
        pytest.skip(why)
    found = json.loads(hwgw("card", "probe", "--json").stdout)
    assert (found["identity"], found["map"], found["state"]) == (0x48574757, "1.2", "waiting")
    found = json.loads(hwgw("card", "regs", "scratch=0x1234", "scratch", "verified", "--json").stdout)
    assert found["registers"] == {"scratch": 0x1234, "verified": 1}
    found = json.loads(hwgw("card", "stats", "--json").stdout)
    assert len(found["counters"]) == len(registers.load().slots) + len(registers.load().gate_slots)
    for arguments, code, text in (
        (("regs", "port_a=70000"), 2, "hwgw card: register port_a = 70000: 0 to 65535 are allowed"),
        (("probe", "--card", "0000:7f:00.0"), 5, "no such device"),
        (("probe", "--card", "card"), 2, "allowed are sim, a PCI address"),
    ):
        done = hwgw("card", *arguments)
        assert done.returncode == code, done.stderr
        assert text in done.stderr
