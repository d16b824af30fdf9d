"""A second reader of journals that shares no code with the first: the table, struct, hashlib, a CRC by the book.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
TABLE = yaml.safe_load((ROOT / "hwgw" / "specs" / "journal.yaml").read_text(encoding="utf-8"))
LAYOUTS = {layout["name"]: layout for layout in TABLE["layouts"]}
CONSTANTS = TABLE["constants"]
TYPES = TABLE["enums"]["record_type"]


def _crc_table() -> list[int]:
    """RFC 3720 B.4: the polynomial 0x1EDC6F41 with its bits reversed."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC = _crc_table()


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def fields(layout: str, raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in LAYOUTS[layout]["fields"]:
        part = raw[field["offset"] : field["offset"] + field["length"]]
        plain = field["type"] in ("uint", "int") and field.get("count", 1) == 1
        found[field["name"]] = int.from_bytes(part, "little", signed=field["type"] == "int") if plain else part
    return found


def read(files: list[Path]) -> list[tuple[str, int, int, int, bytes]]:
    """Every record as (type, pipeline, seq, verdict, payload); AssertionError when anything is not as it must be."""
    before, seq, out = bytes(32), 0, []
    size, head_size = LAYOUTS["journal_block"]["length"], LAYOUTS["journal_record"]["length"]
    hash_at = next(field["offset"] for field in LAYOUTS["journal_block"]["fields"] if field["name"] == "hash")
    crc_at = next(field["offset"] for field in LAYOUTS["journal_record"]["fields"] if field["name"] == "crc32c")
    kind = 0
    for file in files:
        raw, at = file.read_bytes(), 0
        while at < len(raw):
            block = fields("journal_block", raw[at : at + size])
            whole = raw[at : at + size + block["len"]]
            assert len(whole) == size + block["len"]
            assert block["magic"] == CONSTANTS["magic"]
            assert (block["seq"], block["before"]) == (seq + 1, before)
            digest = hashlib.blake2b(whole[:hash_at] + bytes(32) + whole[hash_at + 32 :], digest_size=32).digest()
            assert digest == block["hash"]
            before, seq, kind = digest, block["seq"], block["kind"]
            inside = whole[size:]
            for _ in range(block["record_cnt"]):
                record = fields("journal_record", inside)
                body = inside[: head_size + record["len"]]
                assert crc32c(body[:crc_at] + bytes(4) + body[crc_at + 4 :]) == record["crc32c"]
                payload = body[head_size:]
                out.append((TYPES[record["type"]], record["thread"], record["seq"], record["verdict"], payload))
                align = CONSTANTS["record_align_bytes"]
                inside = inside[-(-len(body) // align) * align :]
            assert not inside
            at += len(whole)
    assert kind == 3, "not closed"
    return out


def whole_bytes(file: Path) -> bytes:
    """A file up to its last whole block, for what a crash leaves; the chain is not looked at."""
    raw, at = file.read_bytes(), 0
    size = struct.calcsize("128s")
    while at + size <= len(raw):
        end = at + size + fields("journal_block", raw[at : at + size])["len"]
        if end > len(raw):
            break
        at = end
    return raw[:at]


VERDICT = next(field["offset"] for field in LAYOUTS["journal_record"]["fields"] if field["name"] == "verdict")
PAYLOAD = LAYOUTS["journal_record"]["length"]


def changed(file: Path, seq: int, value: int, place_of: int = VERDICT, width: int = 2, kind: str = "gate") -> None:
    """Another value in the first record of the kind with this number, and checksum and every hash made anew."""
    raw, at, before = bytearray(file.read_bytes()), 0, b""
    size, head_size = LAYOUTS["journal_block"]["length"], LAYOUTS["journal_record"]["length"]
    where = {field["name"]: field["offset"] for field in LAYOUTS["journal_block"]["fields"]}
    place = {field["name"]: field["offset"] for field in LAYOUTS["journal_record"]["fields"]}
    align, done = CONSTANTS["record_align_bytes"], False
    while at < len(raw):
        block = fields("journal_block", bytes(raw[at : at + size]))
        inside = at + size
        for _ in range(block["record_cnt"]):
            record = fields("journal_record", bytes(raw[inside : inside + head_size]))
            length = head_size + record["len"]
            if not done and record["seq"] == seq and TYPES[record["type"]] == kind:
                done = True
                raw[inside + place_of : inside + place_of + width] = value.to_bytes(width, "little")
                raw[inside + place["crc32c"] : inside + place["crc32c"] + 4] = bytes(4)
                crc = crc32c(bytes(raw[inside : inside + length]))
                raw[inside + place["crc32c"] : inside + place["crc32c"] + 4] = crc.to_bytes(4, "little")
            inside += -(-length // align) * align
        if before:
            raw[at + where["before"] : at + where["before"] + 32] = before
        raw[at + where["hash"] : at + where["hash"] + 32] = bytes(32)
        end = at + size + block["len"]
        before = hashlib.blake2b(bytes(raw[at:end]), digest_size=32).digest()
        raw[at + where["hash"] : at + where["hash"] + 32] = before
        at = end
    assert done, f"no record {kind} has number {seq}"
    file.write_bytes(raw)
