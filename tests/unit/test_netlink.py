"""Netlink: encoding, refusals and recordings, held against bytes made here by hand from the kernel's headers.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest

from hwgw import genl, netlink
from hwgw.errors import DeviceError

HEADER = Path("/usr/include/linux/ethtool_netlink.h")
FAMILY = 20  # the number the made kernel gives the family


def attr(kind: int, value: bytes) -> bytes:
    """One attribute, as linux/netlink.h has it: length with header, type, value, padding to 4."""
    raw = struct.pack("<HH", len(value) + 4, kind) + value
    return raw + b"\0" * (-len(raw) % 4)


class Made:
    """A kernel that knows one family, keeps the questions and gives the answers of a list."""

    def __init__(self, *answers: bytes | OSError) -> None:
        self.answers, self.asked = list(answers), []  # type: ignore[var-annotated]

    def netlink(self, protocol: int, kind: int, body: bytes, dump: bool) -> list[bytes]:
        assert protocol == 16
        if kind == 0x10:
            return [b"\1\2\0\0" + attr(1, struct.pack("<H", FAMILY))]
        self.asked.append((kind, body, dump))
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return [answer]

    def ethtool(self, name: str, request: bytes) -> bytes:
        return request[::-1]


def test_a_set_is_the_bytes_of_the_kernels_headers() -> None:
    """coalesce-set of eth7: header nest with name, u8 and u32 attributes, in the order given."""
    made = Made(b"")
    genl.Family("ethtool", made).do(
        "coalesce-set", {"header": {"dev-name": "eth7"}, "use-adaptive-rx": 0, "rx-usecs": 8}
    )
    expected = struct.pack("<BBH", 20, 1, 0) + attr(0x8000 | 1, attr(2, b"eth7\0"))
    expected += attr(11, b"\0") + attr(2, struct.pack("<I", 8))
    assert made.asked == [(FAMILY, expected, False)]


def test_a_bit_set_names_the_bits_to_change() -> None:
    """ETHTOOL_A_BITSET_BITS of {name, value flag}; a bit that goes off has no value."""
    made = Made(b"")
    genl.Family("ethtool", made).do(
        "features-set", {"header": {"dev-index": 3}, "wanted": {"rx-lro": False, "rx-ntuple-filter": True}}
    )
    off = attr(0x8001, attr(2, b"rx-lro\0"))
    on = attr(0x8001, attr(2, b"rx-ntuple-filter\0") + attr(3, b""))
    wanted = attr(0x8003, attr(0x8003, off + on))
    assert made.asked[0][1][4:] == attr(0x8001, attr(1, struct.pack("<I", 3))) + wanted


def test_an_answer_becomes_names() -> None:
    """rss-get with a table, a key and bits of hash functions; an attribute of a later kernel is left out."""
    table, key = struct.pack("<4I", 0, 1, 2, 3), bytes(range(40))
    body = b"\1\1\0\0" + attr(0x8001, attr(1, struct.pack("<I", 5)) + attr(2, b"eth7\0"))
    body += attr(3, struct.pack("<I", 1)) + attr(4, table) + attr(5, key) + attr(99, b"xyz")
    answer = genl.Family("ethtool", Made(body)).do("rss-get", {"header": {"dev-name": "eth7"}})
    assert answer == {"header": {"dev-index": 5, "dev-name": "eth7"}, "hfunc": 1, "indir": [0, 1, 2, 3], "hkey": key}


@pytest.mark.parametrize(("nomask", "expected"), [(False, {"a": True, "b": False}), (True, {"a": True, "b": True})])
def test_a_bit_set_with_and_without_a_mask(nomask: bool, expected: dict[str, bool]) -> None:
    """With a mask a bit without the value flag is off; in a list every bit that is named is on."""
    rows = attr(0x8001, attr(1, b"\0\0\0\0") + attr(2, b"a\0") + attr(3, b""))
    rows += attr(0x8001, attr(1, b"\1\0\0\0") + attr(2, b"b\0"))
    bits = (attr(1, b"") if nomask else b"") + attr(2, b"\2\0\0\0") + attr(0x8003, rows)
    answer = genl.Family("ethtool", Made(b"\1\1\0\0" + attr(0x8002, bits))).do("privflags-get", {})
    assert answer == {"flags": expected}


def test_a_large_time_out_takes_eight_bytes_and_a_small_one_four() -> None:
    """The kernel's type uint."""
    made = Made(b"", b"")
    netdev = genl.Family("netdev", made)
    netdev.do("napi-set", {"id": 9, "irq-suspend-timeout": 20_000_000})
    netdev.do("napi-set", {"id": 9, "irq-suspend-timeout": 1 << 33})
    assert made.asked[0][1][4:] == attr(2, b"\x09\0\0\0") + attr(7, struct.pack("<I", 20_000_000))
    assert made.asked[1][1][4:] == attr(2, b"\x09\0\0\0") + attr(7, struct.pack("<Q", 1 << 33))


def test_the_kernels_own_words_end_the_error() -> None:
    """An error message of linux/netlink.h with NLMSGERR_ATTR_MSG, capped and not; without one the number speaks."""
    said = attr(1, b"requested channel count exceeds maximum\0") + attr(2, b"\x18\0\0\0")
    ours = struct.pack("<IHHII", 24, FAMILY, 5, 1, 0)
    capped = struct.pack("<i", -22) + ours + said
    whole = struct.pack("<i", -22) + ours + bytes(8) + said
    for body, flags in ((capped, 0x300), (whole, 0x200)):
        error = netlink._refusal(body, flags)
        assert error is not None
        assert str(error) == "[Errno 22] Invalid argument: requested channel count exceeds maximum"
    plain = netlink._refusal(struct.pack("<i", -1) + ours, 0x100)
    assert isinstance(plain, PermissionError)
    assert netlink._refusal(struct.pack("<i", 0) + ours, 0x100) is None


def test_a_recording_answers_as_the_kernel_did() -> None:
    """Through JSON and back: answers in turn, the last one for ever, refusals with number and text."""
    refusal = OSError(95, "Operation not supported: no such thing")
    one, two = (b"\1\1\0\0" + attr(0x8001, b"") + attr(9, struct.pack("<I", n)) for n in (1, 2))
    recorder = netlink.Recorder(Made(one, two, refusal))
    family = genl.Family("ethtool", recorder)
    question = {"header": {"dev-name": "e"}}
    first = [family.do("channels-get", question) for _ in range(2)]
    with pytest.raises(OSError, match="no such thing"):
        family.do("pause-get", question)
    assert recorder.ethtool("e", b"abcd") == b"dcba"

    recorded = netlink.Recorded(json.loads(json.dumps(recorder.rows)))
    again = genl.Family("ethtool", recorded)
    assert [again.do("channels-get", question) for _ in range(3)] == [*first, first[1]]
    assert [row["combined-count"] for row in first] == [1, 2]
    with pytest.raises(OSError, match="no such thing"):
        again.do("pause-get", question)
    with pytest.raises(OSError, match="not in the recording"):
        again.do("rings-get", question)
    assert recorded.ethtool("e", b"abcd") == b"dcba"
    with pytest.raises(OSError, match="not in the recording"):
        recorded.ethtool("f", b"abcd")


def test_a_missing_family_is_named() -> None:
    """The kernel says ENOENT of a family it has not."""

    class Without(Made):
        def netlink(self, protocol: int, kind: int, body: bytes, dump: bool) -> list[bytes]:
            raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(DeviceError, match="no netlink family netdev"):
        genl.Family("netdev", Without())


def test_numbers_are_those_of_the_installed_headers() -> None:
    """Every attribute and operation of the family ethtool that linux/ethtool_netlink.h names, by counting its enums."""
    if not HEADER.exists():
        pytest.skip("needs linux/ethtool_netlink.h (linux-libc-dev), to compare with")
    numbers: dict[str, int] = {}
    for block in re.findall(r"^enum(?: \w+)? \{(.*?)^\};", HEADER.read_text(), re.DOTALL | re.MULTILINE):
        value = -1
        text = re.sub(r"/\*.*?\*/", "", block, flags=re.DOTALL)
        for name, given in re.findall(r"^\s*(\w+)\s*(?:=\s*([^,\n]+))?", text, re.MULTILINE):
            value = numbers.get(given.strip(), -1) if given and not given.strip().isdigit() else int(given or value + 1)
            numbers.setdefault(name, value)
    table = genl.tables()["families"]["ethtool"]
    compared, absent = 0, []
    rows = [(f"ETHTOOL_MSG_{name}", row["number"]) for name, row in table["operations"].items()]
    for set_name, keys in table["sets"].items():
        rows += [(f"ETHTOOL_A_{set_name}_{key}", number) for key, (number, _) in keys.items()]
    for name, number in rows:
        have = numbers.get(name.upper().replace("-", "_"))
        if have is None:
            absent.append(name)
            continue
        assert have == number, name
        compared += 1
    assert compared >= 110, (compared, absent)
