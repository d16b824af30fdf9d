"""A made NIC that answers netlink and ioctl as a driver like mlx5 would, encoded here by hand from linux/ethtool.h,
linux/ethtool_netlink.h and linux/netdev.h; and what ethtool(8) prints, as names and values.

SPDX-License-Identifier: MIT

Nothing of hwgw is used: a number typed wrong there does not become right here.
"""

from __future__ import annotations

import errno
import re
import struct
from collections.abc import Iterator

ETHTOOL, NETDEV = 21, 22
FEATURES = {
    "rx-gro": (True, True), "rx-lro": (False, True), "rx-ntuple-filter": (False, True), "rx-hashing": (True, True),
    "rx-checksum": (True, True), "tx-tcp-segmentation": (True, True), "highdma": (True, False),
}  # name: (on, can be changed)  # fmt: skip
FUNCTIONS = ("toeplitz", "xor", "crc32")
IFINDEX, PLACES = 7, 1024


def attr(kind: int, value: bytes) -> bytes:
    raw = struct.pack("<HH", len(value) + 4, kind) + value
    return raw + bytes(-len(raw) % 4)


def u32(kind: int, value: int) -> bytes:
    return attr(kind, struct.pack("<I", value))


def walk(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("<HH", data)
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]


def word(value: bytes) -> int:
    return int.from_bytes(value, "little")


def bitset(bits: dict[str, bool], *, is_list: bool = False) -> bytes:
    rows = b""
    for at, (name, is_on) in enumerate(bits.items()):
        if is_list and not is_on:
            continue
        rows += attr(0x8001, u32(1, at) + attr(2, name.encode() + b"\0") + (attr(3, b"") if is_on else b""))
    return (attr(1, b"") if is_list else b"") + u32(2, len(bits)) + attr(0x8003, rows)


def changes(value: bytes) -> dict[str, bool]:
    """The bits that a set request wants changed."""
    found = {}
    for kind, rows in walk(value):
        if kind == 3:
            for _, row in walk(rows):
                parts = dict(walk(row))
                found[parts[2].rstrip(b"\0").decode()] = 3 in parts
    return found


class MadeNic:
    """eth7: 8 of at most 16 combined channels, rings of 1024 of 8192, an RSS table of 128 over 8 queues."""

    def __init__(self, *, newest: int = 50) -> None:
        self.newest = newest  # the highest operation of the family ethtool: 46 on 6.12, 50 on 6.17
        self.values: dict[int, dict[int, tuple[int, int]]] = {  # operation that reads: attribute: (bytes, value)
            17: {5: (4, 16), 8: (4, 1), 9: (4, 8), 4: (4, 1)},
            15: {2: (4, 8192), 5: (4, 8192), 6: (4, 1024), 9: (4, 1024), 11: (1, 1), 13: (1, 0)},
            19: {2: (4, 8), 3: (4, 128), 6: (4, 8), 7: (4, 128), 11: (1, 1), 12: (1, 1), 24: (1, 0), 25: (1, 1)},
            21: {2: (1, 0), 3: (1, 1), 4: (1, 1)},
        }
        self.features = {name: is_on for name, (is_on, _) in FEATURES.items()}
        self.flags = {"rx_cqe_compress": True, "rx_striding_rq": True, "skb_tx_mpwqe": True}
        self.fec, self.fec_auto = {"None": False, "RS": False, "BASER": False}, True
        self.table = [at % 8 for at in range(128)]
        self.key, self.function, self.udp_fields = bytes(range(40)), 1, 0x30
        self.contexts: dict[int, list[int]] = {}
        self.filters, self.types = {"none": True, "all": False}, {"off": True, "on": False}
        self.napi = {at: {"defer": 0, "flush": 0, "suspend": 0} for at in (8193, 8194)}
        self.rules: dict[int, bytes] = {}
        self.queues = [[0, 8, 128, 0, 0, 8, 128] + [0] * 16 for _ in range(16)]  # struct ethtool_coalesce each
        self.calls: list[tuple[int, int]] = []

    # ---- netlink ----

    def netlink(self, protocol: int, kind: int, body: bytes, dump: bool) -> list[bytes]:
        assert protocol == 16
        if kind == 0x10:
            name = dict(walk(body[4:]))[2].rstrip(b"\0").decode()
            number, top = {"ethtool": (ETHTOOL, self.newest), "netdev": (NETDEV, 15)}[name]
            rows = b"".join(attr(0x8000 | at, u32(1, at)) for at in range(1, top + 1))
            return [b"\1\2\0\0" + attr(1, struct.pack("<H", number)) + attr(0x8006, rows)]
        operation, request = body[0], body[4:]
        self.calls.append((kind, operation))
        answers = (self._ethtool if kind == ETHTOOL else self._netdev)(operation, dict(walk(request)), dump)
        return [b"\1\1\0\0" + answer for answer in answers]

    def _ethtool(self, operation: int, given: dict[int, bytes], dump: bool) -> list[bytes]:
        assert dict(walk(given[1]))[2] == b"eth7\0"
        head = attr(0x8001, u32(1, IFINDEX) + attr(2, b"eth7\0"))
        if operation > self.newest:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        if operation in (23, 24):
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        if operation in self.values:
            rows = self.values[operation]
            return [head + b"".join(attr(at, value.to_bytes(size, "little")) for at, (size, value) in rows.items())]
        if operation - 1 in self.values:
            return self._set(operation - 1, {at: word(value) for at, value in given.items() if at != 1})
        return {
            1: lambda: [head + attr(0x8002, attr(0x8001, u32(1, 5) + attr(0x8003, b"".join(
                attr(0x8001, u32(1, at) + attr(2, name.encode() + b"\0")) for at, name in enumerate(FUNCTIONS)))))],
            4: lambda: [head + attr(2, b"\1") + u32(5, 100_000) + attr(6, b"\1")],
            6: lambda: [head + attr(2, b"\1")],
            11: lambda: [
                head + attr(0x8002, bitset({name: can for name, (_, can) in FEATURES.items()}))
                + attr(0x8003, bitset(self.features, is_list=True)) + attr(0x8004, bitset(self.features, is_list=True))
                + attr(0x8005, bitset(dict.fromkeys(FEATURES, False), is_list=True))],
            12: lambda: self._bits(self.features, given[3]),
            13: lambda: [head + attr(0x8002, bitset(self.flags))],
            14: lambda: self._bits(self.flags, given[2]),
            29: lambda: [
                head + attr(0x8002, bitset(self.fec, is_list=True)) + attr(3, bytes([self.fec_auto])) + u32(4, 50)],
            30: lambda: self._set_fec(given),
            38: lambda: self._rss(head, dump),
            46: lambda: [
                head + attr(0x8003, bitset(self.types, is_list=True))
                + attr(0x8004, bitset(self.filters, is_list=True))],
            47: lambda: self._one(given),
            48: lambda: self._set_rss(given),
            49: lambda: self._create(given),
            50: lambda: [self.contexts.pop(word(given[2])) and b""],
        }[operation]()  # fmt: skip

    def _set(self, group: int, wanted: dict[int, int]) -> list[bytes]:
        rows = self.values[group]
        for at, value in wanted.items():
            if at not in rows:
                raise OSError(errno.EOPNOTSUPP, "Operation not supported: cannot modify an unsupported parameter")
            if group == 17 and value > rows[5][1]:
                raise OSError(errno.EINVAL, "Invalid argument: requested channel count exceeds maximum")
            if group == 17 and any(word(spec[152:160]) >= value for spec in self.rules.values()):
                raise OSError(
                    errno.EINVAL, "Invalid argument: requested channel counts are too low for existing ntuple filter"
                )
            rows[at] = (rows[at][0], value)
        if group == 17:
            self.table = [at % rows[9][1] for at in range(128)]
        return [b""]

    def _bits(self, bits: dict[str, bool], value: bytes) -> list[bytes]:
        for name, is_on in changes(value).items():
            assert name in bits
            bits[name] = is_on
        return []

    def _set_fec(self, given: dict[int, bytes]) -> list[bytes]:
        for name, is_on in changes(given[2]).items():
            if name in self.fec:
                self.fec[name] = is_on
            elif is_on:
                raise OSError(errno.EINVAL, f"Invalid argument: {name} not supported")
        self.fec_auto = bool(word(given[3]))
        return []

    def _rss(self, head: bytes, dump: bool) -> list[bytes]:
        def table(words: list[int]) -> bytes:
            return attr(4, struct.pack(f"<{len(words)}I", *words))

        rows = [head + u32(3, self.function) + table(self.table) + attr(5, self.key)]
        return rows + [head + u32(2, at) + table(words) for at, words in self.contexts.items()] if dump else rows

    def _set_rss(self, given: dict[int, bytes]) -> list[bytes]:
        self.function = word(given[3]) if 3 in given else self.function
        self.table = list(struct.unpack("<128I", given[4])) if 4 in given else self.table
        self.key = given.get(5, self.key)
        return []

    def _create(self, given: dict[int, bytes]) -> list[bytes]:
        self.contexts[max(self.contexts, default=0) + 1] = list(struct.unpack("<128I", given[4]))
        return []

    def _one(self, given: dict[int, bytes]) -> list[bytes]:
        for at, bits in ((3, self.types), (4, self.filters)):
            if at in given:
                bits.update(dict.fromkeys(bits, False) | changes(given[at]))
        return []

    def _netdev(self, operation: int, given: dict[int, bytes], dump: bool) -> list[bytes]:
        if operation == 11:
            assert dump
            return [
                u32(1, IFINDEX) + u32(2, at) + u32(3, 100 + at % 8192) + u32(5, row["defer"]) + u32(6, row["flush"])
                + attr(7, struct.pack("<Q", row["suspend"])) for at, row in self.napi.items()
            ]  # fmt: skip
        assert operation == 14
        row = self.napi[word(given.pop(2))]
        row.update({{5: "defer", 6: "flush", 7: "suspend"}[at]: word(value) for at, value in given.items()})
        return []

    # ---- ioctl ----

    def ethtool(self, name: str, request: bytes) -> bytes:
        assert name == "eth7"
        out = bytearray(request)
        command = struct.unpack_from("<I", request)[0]
        if command == 0x3:
            for at, text in ((4, b"mlx5_core"), (36, b"6.12.9"), (68, b"22.36.1010"), (100, b"0000:81:00.0")):
                out[at : at + len(text)] = text
        elif command == 0x29:
            struct.pack_into("<Q", out, 8, self.udp_fields)
        elif command == 0x2A:
            self.udp_fields = struct.unpack_from("<Q", request, 8)[0]
        elif command == 0x2E:
            struct.pack_into("<I", out, 184, len(self.rules))
        elif command == 0x30:
            assert struct.unpack_from("<I", request, 184)[0] == len(self.rules)
            struct.pack_into("<Q", out, 8, PLACES)
            struct.pack_into(f"<{len(self.rules)}I", out, 188, *sorted(self.rules))
        elif command == 0x2F:
            out[16:184] = self.rules[struct.unpack_from("<I", request, 16 + 160)[0]]
        elif command == 0x31:
            del self.rules[struct.unpack_from("<I", request, 16 + 160)[0]]
        elif command == 0x32:
            self._insert(request[16:184])
        elif command == 0x47:
            entries, key_sz, function = struct.unpack_from("<IIB", request, 8)
            if entries != 0xFFFFFFFF:
                self.table = list(struct.unpack_from(f"<{entries}I", request, 24))
            self.key = request[-key_sz:] if key_sz else self.key
            self.function = function or self.function
        elif command == 0x4B:
            self._per_queue(out)
        else:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return bytes(out)

    def _per_queue(self, out: bytearray) -> None:
        """struct ethtool_per_queue_op: sub-command, 128 words of mask, a struct ethtool_coalesce for each bit."""
        sub, mask = struct.unpack_from("<I", out, 4)[0], int.from_bytes(out[8:520], "little")
        chosen = [queue for queue in range(4096) if mask >> queue & 1]
        assert len(out) == 520 + 92 * len(chosen)
        if any(queue >= self.values[17][9][1] for queue in chosen):
            raise OSError(errno.EINVAL, "Invalid argument")
        for at, queue in enumerate(chosen):
            if sub == 0xE:
                struct.pack_into("<23I", out, 520 + 92 * at, 0xE, *self.queues[queue][1:])
            else:
                row = list(struct.unpack_from("<23I", out, 520 + 92 * at))
                assert row[0] == sub == 0xF
                self.queues[queue] = row

    def _insert(self, spec: bytes) -> None:
        queue, place = struct.unpack_from("<QI", spec, 152)
        if queue != (1 << 64) - 1 and queue >= self.values[17][9][1]:
            raise OSError(errno.EINVAL, "Invalid argument")
        if place >= PLACES:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.rules[place] = spec


def printed(text: str) -> dict[str, str]:
    """Lines "name: value" of ethtool(8), the first word of the value; of a name that stands twice the last."""
    return {
        name.strip(): (value.split() or [""])[0]
        for name, value in re.findall(r"^([^:\n]+):[ \t]*(.*)$", text, re.MULTILINE)
    }
