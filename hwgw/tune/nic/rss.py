"""Receive-side scaling: the indirection table, the key, the hash, contexts; as text and back.

SPDX-License-Identifier: MIT

A table is written as the CPUs of a list are: 4-7 = these queues in turn over the whole table (what drivers begin with);
any other table is all its entries, separated by blanks.
"""

from __future__ import annotations

import re
import struct
from typing import Any

from ...errors import UsageError
from ...genl import Family, string_set
from ...netlink import Transport
from ..cpus import list_text, parse_list

__all__ = [
    "FIELDS",
    "contexts",
    "fields",
    "set_contexts",
    "set_fields",
    "set_rss",
    "table_text",
    "table_words",
    "values",
]

_GRSSH, _SRSSH, _GRXFH, _SRXFH = 0x46, 0x47, 0x29, 0x2A
_HEAD_SZ = 24  # cmd, context, indir_size, key_size (4 each), hfunc and reserved (8)
_NO_CHANGE = 0xFFFFFFFF
_UDP_V4 = 0x02
# linux/ethtool.h, RXH_*; letters as ethtool(8) has them
FIELDS = {"m": 1 << 1, "v": 1 << 2, "t": 1 << 3, "s": 1 << 4, "d": 1 << 5, "f": 1 << 6, "n": 1 << 7, "r": 1 << 31}


def table_text(words: list[int]) -> str:
    """A table as text."""
    queues = sorted(set(words))
    is_even = all(word == queues[at % len(queues)] for at, word in enumerate(words))
    return list_text(queues) if is_even and words else " ".join(map(str, words))


def table_words(text: str, size: int) -> list[int]:
    """The entries of a table of that size; UsageError says what is wrong with the text."""
    if re.fullmatch(r"\d+( \d+)+", text.strip()) and len(text.split()) == size:
        return [int(word) for word in text.split()]
    if " " in text.strip():
        raise UsageError(f"RSS table {text!r}: {len(text.split())} entries, the NIC has {size}; or a list such as 0-3")
    queues = sorted(parse_list(text))
    if not queues or len(queues) > size:
        raise UsageError(f"RSS table {text!r}: 1 to {size} queues are meant, as a list such as 0-3")
    return [queues[at % len(queues)] for at in range(size)]


def _functions(name: str, family: Family) -> list[str]:
    answer = family.do(
        "strset-get",
        {"header": {"dev-name": name}, "stringsets": {"stringset": [{"id": string_set("rss-hash-funcs")}]}},
    )
    rows = answer["stringsets"]["stringset"][0]["strings"]["string"]
    return [row["value"] for row in sorted(rows, key=lambda row: row["index"])]


def values(name: str, via: Transport) -> dict[str, str]:
    """What there is of indir, key and hfunc."""
    family = Family("ethtool", via)
    answer = family.do("rss-get", {"header": {"dev-name": name}})
    found = {}
    if answer.get("indir"):
        found["indir"] = table_text(answer["indir"])
    if answer.get("hkey"):
        found["key"] = answer["hkey"].hex(":")
    if answer.get("hfunc"):
        chosen = [word for bit, word in enumerate(_functions(name, family)) if answer["hfunc"] >> bit & 1]
        found["hfunc"] = " ".join(chosen)
    return found


def _parsed(name: str, what: str, text: str, size: int, key_sz: int, family: Family) -> dict[str, Any]:
    if what == "indir":
        return {"indir": table_words(text, size)}
    if what == "key":
        key = bytes.fromhex(text.replace(":", "")) if re.fullmatch(r"[0-9a-fA-F:]+", text) else b""
        if len(key) != key_sz:
            raise UsageError(f"RSS key of {len(key)} bytes: the NIC's has {key_sz}, in hexadecimal with colons")
        return {"hkey": key}
    words = _functions(name, family)
    if text not in words:
        raise UsageError(f"RSS hash function {text!r}: there are {', '.join(words)}")
    return {"hfunc": 1 << words.index(text)}


def set_rss(name: str, what: str, text: str, via: Transport) -> None:
    """Set indir, key or hfunc: by netlink since Linux 6.17, else by ioctl."""
    family = Family("ethtool", via)
    answer = family.do("rss-get", {"header": {"dev-name": name}})
    size, key_sz = len(answer.get("indir", [])), len(answer.get("hkey", b""))
    change = _parsed(name, what, text, size, key_sz, family)
    if family.has("rss-set"):
        family.do("rss-set", {"header": {"dev-name": name}, **change})
        return
    words = change.get("indir")
    key = change.get("hkey", b"")
    head = struct.pack(
        "=4I8B", _SRSSH, 0, len(words) if words else _NO_CHANGE, len(key), change.get("hfunc", 0), *(0,) * 7
    )
    via.ethtool(name, head + struct.pack(f"={len(words or [])}I", *(words or [])) + key)


# ---- contexts ----


def contexts(name: str, via: Transport) -> dict[int, list[int]]:
    """Contexts beside the default one, with their tables; OSError before Linux 6.12."""
    rows = Family("ethtool", via).dump("rss-get", {"header": {"dev-name": name}})
    return {row["context"]: row.get("indir", []) for row in rows if row.get("context")}


def set_contexts(name: str, text: str, via: Transport) -> None:
    """Make the contexts those of the text: tables with semicolons between, or none. Numbers are the kernel's."""
    family = Family("ethtool", via)
    header = {"dev-name": name}
    size = len(family.do("rss-get", {"header": header}).get("indir", []))
    left = [table_words(part.strip(), size) for part in text.split(";")] if text.strip() not in ("", "none") else []
    for number, words in contexts(name, via).items():
        if words in left:
            left.remove(words)
        else:
            family.do("rss-delete-act", {"header": header, "context": number})
    for words in left:
        family.do("rss-create-act", {"header": header, "indir": words})


# ---- what is hashed ----


def fields(name: str, via: Transport) -> str:
    """The fields of UDP over IPv4 that are hashed, as letters of ethtool(8): sd = addresses, sdfn = and ports."""
    answer = via.ethtool(name, struct.pack("=IIQ", _GRXFH, _UDP_V4, 0).ljust(192, b"\0"))
    mask = struct.unpack_from("=Q", answer, 8)[0]
    return "".join(letter for letter, bit in FIELDS.items() if mask & bit) or "none"


def set_fields(name: str, text: str, via: Transport) -> None:
    """Set them."""
    if text != "none" and set(text) - set(FIELDS):
        raise UsageError(f"fields to hash {text!r}: letters of {''.join(FIELDS)} are meant, such as sdfn")
    mask = 0 if text == "none" else sum(FIELDS[letter] for letter in set(text))
    via.ethtool(name, struct.pack("=IIQ", _SRXFH, _UDP_V4, mask).ljust(192, b"\0"))
