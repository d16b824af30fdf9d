"""The generated accessors and setters of every wire layout, called in C.

SPDX-License-Identifier: MIT
"""

import random
import string

import numpy as np
import pytest
from support import tables

from hwgw import specs

LAYOUTS = [(name, layout.name) for name in specs.WIRE for layout in specs.load(name).layouts]


def random_values(rng: random.Random, layout: specs.Layout) -> dict[str, int | str | bytes]:
    values: dict[str, int | str | bytes] = {}
    for field in layout.fields:
        bits = 8 * field.size
        if field.is_signed:
            values[field.name] = rng.randrange(-(1 << bits - 1), 1 << bits - 1)
        elif field.is_number:
            values[field.name] = rng.randrange(1 << bits)
        elif field.type == "mac":
            values[field.name] = rng.randbytes(field.size)
        else:
            values[field.name] = "".join(rng.choices(string.printable, k=field.size))
    return values


def expected_bytes(layout: specs.Layout, values: dict[str, int | str | bytes]) -> bytes:
    parts = []
    for field in layout.fields:
        value = values[field.name]
        if isinstance(value, int):
            parts.append(value.to_bytes(field.length, "big", signed=field.is_signed))
        else:
            parts.append(value.encode("latin-1") if isinstance(value, str) else value)
    return b"".join(parts)


def test_c_knows_every_layout_of_the_tables(layouts):
    rows = [layouts.lib.hwgw_layout_at(index) for index in range(layouts.lib.hwgw_layout_cnt())]
    text = layouts.ffi.string
    assert [(text(row.protocol).decode(), text(row.name).decode()) for row in rows] == LAYOUTS
    assert len(rows) > 90
    assert layouts.lib.hwgw_layout_at(len(rows)) == layouts.ffi.NULL
    assert layouts.lib.hwgw_layout_find(b"itch50", b"no_such") == layouts.ffi.NULL
    compared = 0
    for row, (protocol, name) in zip(rows, LAYOUTS, strict=True):
        layout = specs.load(protocol).layout(name)
        code = ord(layout.code) if isinstance(layout.code, str) else layout.code or 0
        assert (row.len, row.code, text(row.kind).decode()) == (layout.length, code, layout.kind)
        assert text(row.direction).decode() == (layout.direction or "")
        for got, want in zip(layouts.fields(row), layout.fields, strict=True):
            assert (text(got.name).decode(), got.offset, got.len) == (want.name, want.offset, want.length)
            assert text(got.enum_name).decode() == (want.enum or "")
            assert text(got.type).decode() == want.type
            compared += 1
    assert compared == sum(len(specs.load(p).layout(n).fields) for p, n in LAYOUTS) > 500


def test_the_native_module_was_built_from_these_tables(layouts):
    """Layouts, counters and reasons of hwgw._native are those generated just now."""
    from hwgw.native import ffi, lib

    def names(ffi, lib) -> list[tuple[str, int, int]]:
        rows = [lib.hwgw_layout_at(index) for index in range(lib.hwgw_layout_cnt())]
        return [(ffi.string(row.name).decode(), row.len, row.field_cnt) for row in rows]

    assert names(ffi, lib) == names(layouts.ffi, layouts.lib)
    for counter in specs.counters():
        assert ffi.string(lib.hwgw_counter_at(counter.index).name).decode() == counter.name
    assert len(specs.counters()) == lib.HWGW_COUNTER_CNT
    assert ffi.string(lib.hwgw_reason_name(len(specs.reasons()) - 1)).decode() == specs.reasons()[-1].name


@pytest.mark.parametrize("protocol", specs.WIRE)
def test_setters_write_their_field_and_accessors_read_it_back(layouts, seed, protocol):
    rng = random.Random(seed)
    compared = 0
    for layout in specs.load(protocol).layouts:
        row = layouts.find(protocol, layout.name)
        for _ in range(20):
            values = random_values(rng, layout)
            data = layouts.set(row, values, layout.length + 8)
            assert data == expected_bytes(layout, values) + b"\xa5" * 8, (layout.name, values)
            assert layouts.get(row, data) == values
            compared += len(values)
    assert compared == 20 * sum(len(layout.fields) for layout in specs.load(protocol).layouts)


def test_one_setter_touches_no_other_field(layouts):
    """Each field in turn gets all ones over zeros; numbers only, text is covered by the round trip."""
    touched = 0
    for protocol, name in LAYOUTS:
        layout = specs.load(protocol).layout(name)
        row = layouts.find(protocol, name)
        for target in layout.fields:
            values: dict[str, int | str | bytes] = {}
            for field in layout.fields:
                ones = field is target
                if field.is_number:
                    values[field.name] = (-1 if field.is_signed else (1 << 8 * field.size) - 1) if ones else 0
                else:
                    values[field.name] = (b"\xff" if ones else b"\0") * field.size
                    if field.type != "mac":
                        values[field.name] = values[field.name].decode("latin-1")
            want = bytearray(layout.length)
            want[target.offset : target.offset + target.length] = b"\xff" * target.length
            assert layouts.set(row, values) == bytes(want), (name, target.name)
            touched += 1
    assert touched > 500


def test_init_writes_blanks_and_constants(layouts):
    constants = 0
    for protocol, name in LAYOUTS:
        layout = specs.load(protocol).layout(name)
        want = bytearray(layout.length)
        for field in layout.fields:
            part = slice(field.offset, field.offset + field.length)
            if isinstance(field.const, int):
                want[part] = field.const.to_bytes(field.length, "big")
            elif field.const is not None:
                want[part] = field.const.encode()
            elif field.type in ("ascii", "ascii_number"):
                want[part] = b" " * field.length
            constants += field.const is not None
        assert layouts.init(layouts.find(protocol, name)) == bytes(want), name
    assert constants > 120


def test_lengths_by_code_are_those_of_the_messages(layouts):
    source = layouts.folder / "lengths.c"
    calls = {"itch50_length": None}
    calls |= {f"ouch50_{d}_length": d for d in ("client_to_host", "host_to_client")}
    text = '#include "hwgw_wire.h"\n'
    cdef = ""
    for name in calls:
        cdef += f"uint32_t test_{name}(uint8_t code);\n"
        text += f"uint32_t test_{name}(uint8_t code);\n"
        text += f"uint32_t test_{name}(uint8_t code) {{\n  return {name}(code);\n}}\n"
    source.write_text(text)
    lib = tables.compile_c(layouts.folder, "lengths", [source], cdef).lib
    known = 0
    for name, direction in calls.items():
        table = specs.load(name.split("_")[0])
        want = {ord(x.code): x.length for x in table.layouts if x.kind == "message" and x.direction == direction}
        assert {code: length for code in range(256) if (length := getattr(lib, f"test_{name}")(code))} == want
        known += len(want)
    assert known == 23 + 8 + 17


def test_bit_fields_are_cut_out_of_their_field(layouts, seed):
    rng = random.Random(seed)
    parts = [
        (f"ethernet_{layout.name}_{bits.name}", layout, field, bits)
        for layout in specs.load("ethernet").layouts
        for field in layout.fields
        for bits in field.bits
    ]
    source = layouts.folder / "bits.c"
    text, cdef = '#include "hwgw_wire.h"\n', ""
    for name, *_ in parts:
        cdef += f"uint32_t test_{name}(const uint8_t *p);\n"
        text += f"uint32_t test_{name}(const uint8_t *p);\n"
        text += f"uint32_t test_{name}(const uint8_t *p) {{\n  return {name}(p);\n}}\n"
    source.write_text(text)
    built = tables.compile_c(layouts.folder, "bits", [source], cdef)
    for name, layout, field, bits in parts:
        for _ in range(50):
            data = rng.randbytes(layout.length)
            value = int.from_bytes(data[field.offset : field.offset + field.length], "big")
            word = f"{value:0{8 * field.length}b}"
            before = sum(other.width for other in field.bits[: field.bits.index(bits)])
            want = int(word[before : before + bits.width], 2)
            assert getattr(built.lib, f"test_{name}")(built.ffi.new("uint8_t[]", data)) == want, name
    assert len(parts) == 24


def test_ipv4_over_vlan_of_another_implementation_reads_the_same(layouts):
    """Scapy's own Ether, Dot1Q, IP and UDP build the frame."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Dot1Q, Ether

    frame = bytes(
        Ether(dst="01:00:5e:36:0c:6f", src="02:00:00:00:00:01")
        / Dot1Q(prio=5, vlan=1234)
        / IP(src="10.1.2.3", dst="233.54.12.111", ttl=7, id=99, flags="DF")
        / UDP(sport=4000, dport=26400)
        / b"payload"
    )
    read = {}
    at = 0
    for name, start in (("ethernet_header", 0), ("vlan_tag", 12), ("ipv4_header", 18), ("udp_header", 38)):
        row = layouts.find("ethernet", name)
        read[name] = layouts.get(row, frame[start:])
        at = start + row.len
    enum = specs.load("ethernet").enum
    assert frame[at:] == b"payload"
    assert read["ethernet_header"] == {
        "destination": bytes.fromhex("01005e360c6f"),
        "source": bytes.fromhex("020000000001"),
        "ethertype": enum("ethertype").code("vlan"),
    }
    assert read["vlan_tag"] == {"tpid": 0x8100, "tci": 5 << 13 | 1234}
    ip = read["ipv4_header"]
    assert (ip["source"], ip["destination"]) == (0x0A010203, 0xE9360C6F)
    assert (ip["version_ihl"], ip["ttl"], ip["identification"], ip["flags_fragment"]) == (0x45, 7, 99, 0x4000)
    assert ip["protocol"] == enum("ip_protocol").code("udp")
    assert ip["total_length"] == 20 + 8 + 7
    udp = read["udp_header"]
    assert (udp["source_port"], udp["destination_port"], udp["length"]) == (4000, 26400, 15)


def test_records_lie_in_c_where_numpy_sees_them(layouts):
    """Sizeof and offsetof as the compiler knows them, against the dtypes."""
    rows, want = [], []
    for name in specs.NATIVE:
        for layout in specs.load(name).layouts:
            dtype = specs.dtype(name, layout.name)
            rows.append(f"sizeof(struct hwgw_{layout.name})")
            want.append(dtype.itemsize)
            for field in dtype.names:
                rows.append(f"offsetof(struct hwgw_{layout.name}, {field})")
                want.append(dtype.fields[field][1])
                rows.append(f"sizeof(((struct hwgw_{layout.name} *)0)->{field})")
                want.append(dtype.fields[field][0].itemsize)
    source = layouts.folder / "offsets.c"
    body = ", ".join(f"(uint32_t){row}" for row in rows)
    source.write_text(
        f'#include "hwgw_records.h"\nextern const uint32_t rows[];\nconst uint32_t rows[] = {{{body}}};\n'
    )
    lib = tables.compile_c(layouts.folder, "offsets", [source], f"extern const uint32_t rows[{len(rows)}];").lib
    assert dict(zip(rows, lib.rows, strict=True)) == dict(zip(rows, want, strict=True))
    assert len(rows) > 300


def test_a_record_filled_in_c_reads_the_same_in_numpy(layouts, seed):
    """Every field by name, each with other bytes."""
    data = random.Random(seed).randbytes(64)
    order = layouts.ffi.from_buffer("struct hwgw_order *", data)
    array = np.frombuffer(data, specs.dtype("order", "order"))
    names = array.dtype.names
    assert [int(array[name][0]) for name in names] == [getattr(order, name) for name in names]
    assert len(names) == 17


def test_counters_and_names_are_those_of_the_tables(layouts):
    lib, text = layouts.lib, layouts.ffi.string
    for counter in specs.counters():
        info = lib.hwgw_counter_at(counter.index)
        want = (counter.stage, counter.name, counter.unit, counter.role)
        assert tuple(text(x).decode() for x in (info.stage, info.name, info.unit, info.role)) == want
        name = "NONE" if counter.index == 0 else f"{counter.stage}_{counter.name}".upper()
        assert getattr(lib, f"HWGW_CNT_{name}") == counter.index
    assert lib.HWGW_COUNTER_CNT == len(specs.counters()) > 90
    assert lib.hwgw_counter_at(lib.HWGW_COUNTER_CNT) == layouts.ffi.NULL
    for reason in specs.reasons():
        assert text(lib.hwgw_reason_name(reason.code)).decode() == reason.name
        assert getattr(lib, f"HWGW_RISK_REASON_{reason.name.upper()}") == reason.code
    assert lib.hwgw_reason_name(len(specs.reasons())) == layouts.ffi.NULL
    for code in specs.load("segment").enum("hist").values:
        assert text(lib.hwgw_hist_name(code.value)).decode() == code.slug
    assert lib.hwgw_hist_name(lib.HWGW_SEGMENT_HIST_CNT) == layouts.ffi.NULL
