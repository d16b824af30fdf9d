"""Flow rules of a NIC (ntuple): which packets go to which queue, RSS context, or nowhere. As text, and by ioctl.

SPDX-License-Identifier: MIT

A rule as text, parts that are left out match everything:

    udp4 dst 239.1.2.3:26400 queue 4 @1023
    tcp4 src 10.0.0.9:26477 dst 10.0.0.1 queue 5
    udp4 dst 239.1.2.0/24 vlan 12 context 1
    ether dst 01:00:5e:01:02:03 drop

@N is the place in the NIC's table (of two rules that match, the lower place wins); without it the next free one from
the top is taken. Generic netlink has no operation for rules; structures are those of linux/ethtool.h.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import struct
from dataclasses import dataclass, replace

from ...errors import UsageError
from ...netlink import Transport

__all__ = ["Rule", "canonical", "parse", "read", "write"]

_GRXCLSRLCNT, _GRXCLSRULE, _GRXCLSRLALL, _SRXCLSRLDEL, _SRXCLSRLINS = 0x2E, 0x2F, 0x30, 0x31, 0x32
_FLOWS = {"tcp4": 0x01, "udp4": 0x02, "ether": 0x12}
_FLOW_EXT, _FLOW_RSS = 0x80000000, 0x20000000
_LOCATION_ANY, _SPECIAL = 0xFFFFFFFF, 0x80000000
_DROP = (1 << 64) - 1
_CFG_SZ, _SPEC_AT, _COUNT_AT, _LOCATIONS_AT = 192, 16, 184, 188
_UNION_SZ, _EXT_SZ, _COOKIE_AT, _LOCATION_AT, _SPEC_SZ = 52, 20, 152, 160, 168
_VLAN_AT = 10  # in the extension: padding 2, MAC 6, EtherType of the tag 2, the tag 2


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule; an address or number of None matches all. Addresses are (value, mask), hardware ones for ether."""

    kind: str
    src: tuple[int, int] | None = None
    dst: tuple[int, int] | None = None
    src_port: int | None = None
    dst_port: int | None = None
    vlan: int | None = None
    queue: int | None = None
    context: int = 0
    location: int | None = None

    def text(self, *, with_location: bool = True) -> str:
        """The rule as it is written in a profile."""
        parts = [self.kind]
        for name, address, port in (("src", self.src, self.src_port), ("dst", self.dst, self.dst_port)):
            if address is not None or port is not None:
                parts += [name, f"{self._address(address)}{'' if port is None else f':{port}'}"]
        parts += [f"vlan {self.vlan}"] if self.vlan is not None else []
        target = [f"context {self.context}"] if self.context else []
        target += [f"queue {self.queue}"] if self.queue is not None else [] if target else ["drop"]
        place = [f"@{self.location}"] if with_location and self.location is not None else []
        return " ".join([*parts, *target, *place])

    def _address(self, address: tuple[int, int] | None) -> str:
        if address is None:
            return "*"
        value, mask = address
        if self.kind == "ether":
            return value.to_bytes(6, "big").hex(":")
        prefix = mask.bit_count()
        plain = str(ipaddress.IPv4Address(value))
        if mask == (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF:
            return plain if prefix == 32 else f"{plain}/{prefix}"
        return f"{plain}/{ipaddress.IPv4Address(mask)}"


def _bad(text: str, why: str) -> UsageError:
    return UsageError(f"flow rule {text!r}: {why}; an example: udp4 dst 239.1.2.3:26400 queue 4")


def _parse_address(kind: str, word: str, text: str) -> tuple[tuple[int, int] | None, int | None]:
    if kind == "ether":
        if not re.fullmatch(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}", word):
            raise _bad(text, f"{word!r} is no hardware address")
        return (int(word.replace(":", ""), 16), (1 << 48) - 1), None
    match = re.fullmatch(r"([^:]+)(?::(\d{1,5}))?", word)
    if not match or (match[2] and not 0 < int(match[2]) < 65536):
        raise _bad(text, f"{word!r} is no address with or without a port of 1 to 65535")
    port = int(match[2]) if match[2] else None
    if match[1] == "*":
        return None, port
    try:
        net = ipaddress.IPv4Network(match[1], strict=True)
    except ValueError as error:
        raise _bad(text, f"{match[1]!r} is no IPv4 address or network ({error})") from None
    return (int(net.network_address), int(net.netmask)), port


def _number(word: str | None, limit: int, what: str, text: str) -> int:
    if word is None or not word.isdigit() or int(word) > limit:
        raise _bad(text, f"{what} {word!r}: a number of 0 to {limit} is meant")
    return int(word)


def parse_rule(text: str) -> Rule:
    """One rule; UsageError names what is wrong with it."""
    words = text.split()
    if not words or words[0] not in _FLOWS:
        raise _bad(text, f"begins with none of {', '.join(_FLOWS)}")
    rule, rest, has_target = Rule(words[0]), words[1:], False
    while rest:
        word = rest.pop(0)
        if word in ("src", "dst"):
            if not rest:
                raise _bad(text, f"{word} without an address")
            address, port = _parse_address(rule.kind, rest.pop(0), text)
            rule = replace(rule, src=address, src_port=port) if word == "src" else replace(
                rule, dst=address, dst_port=port)  # fmt: skip
        elif word in ("vlan", "queue", "context"):
            limit = {"vlan": 4094, "queue": 65535, "context": 65535}[word]
            number = _number(rest.pop(0) if rest else None, limit, word, text)
            rule = replace(rule, **{word: number})  # type: ignore[arg-type]
            has_target = has_target or word != "vlan"
        elif word == "drop":
            has_target = True
        elif word.startswith("@"):
            rule = replace(rule, location=_number(word[1:], _SPECIAL - 1, "place", text))
        else:
            raise _bad(text, f"{word!r} is not known")
    if not has_target:
        raise _bad(text, "says not where to: queue N, context N or drop")
    return rule


def parse(text: str) -> list[Rule]:
    """Rules separated by semicolons; none for an empty text or "none"."""
    if text.strip() in ("", "none"):
        return []
    return [parse_rule(part.strip()) for part in text.split(";") if part.strip()]


def canonical(text: str) -> str:
    """Rules as text to compare: in one order, without places."""
    return "; ".join(sorted(rule.text(with_location=False) for rule in parse(text))) or "none"


# ---- structures of linux/ethtool.h ----


def _sides(rule: Rule) -> tuple[bytes, bytes]:
    """The union of values and of masks."""
    if rule.kind == "ether":
        pairs = (rule.dst or (0, 0), rule.src or (0, 0))
        value, mask = (b"".join(pair[side].to_bytes(6, "big") for pair in pairs) for side in (0, 1))
        return value.ljust(_UNION_SZ, b"\0"), mask.ljust(_UNION_SZ, b"\0")
    src, dst = rule.src or (0, 0), rule.dst or (0, 0)
    ports = (rule.src_port, rule.dst_port)
    value = struct.pack(">IIHH", src[0], dst[0], *(port or 0 for port in ports))
    mask = struct.pack(">IIHH", src[1], dst[1], *(0 if port is None else 0xFFFF for port in ports))
    return value.ljust(_UNION_SZ, b"\0"), mask.ljust(_UNION_SZ, b"\0")


def encode(rule: Rule) -> bytes:
    """struct ethtool_rx_flow_spec."""
    flow = _FLOWS[rule.kind] | (_FLOW_EXT if rule.vlan is not None else 0) | (_FLOW_RSS if rule.context else 0)
    value, mask = _sides(rule)
    tag = bytes(_VLAN_AT) + struct.pack(">H", rule.vlan or 0)
    tag_mask = bytes(_VLAN_AT) + struct.pack(">H", 0xFFFF if rule.vlan is not None else 0)
    raw = struct.pack("=I", flow) + value + tag.ljust(_EXT_SZ, b"\0") + mask + tag_mask.ljust(_EXT_SZ, b"\0")
    # a rule for a context adds its queue to what the context's table gives
    cookie = _DROP if rule.queue is None and not rule.context else rule.queue or 0
    location = _LOCATION_ANY if rule.location is None else rule.location
    return (raw.ljust(_COOKIE_AT, b"\0") + struct.pack("=QI", cookie, location)).ljust(_SPEC_SZ, b"\0")


def decode(spec: bytes, context: int) -> Rule | None:
    """A rule of that structure; None for a kind of flow that is not known here."""
    flow = struct.unpack_from("=I", spec)[0]
    kind = {number: name for name, number in _FLOWS.items()}.get(flow & 0xFF)
    cookie, location = struct.unpack_from("=QI", spec, _COOKIE_AT)
    if kind is None:
        return None
    ext, mask_at = 4 + _UNION_SZ, 4 + _UNION_SZ + _EXT_SZ
    tag, tag_mask = (struct.unpack_from(">H", spec, at + _VLAN_AT)[0] for at in (ext, mask_at + _UNION_SZ))
    has_context = bool(flow & _FLOW_RSS)
    queue = None if cookie == _DROP or (has_context and not cookie) else int(cookie & 0xFFFFFFFF)
    base = Rule(kind, vlan=tag if flow & _FLOW_EXT and tag_mask else None, queue=queue,
                context=context if has_context else 0, location=location)  # fmt: skip
    if kind == "ether":
        values = [int.from_bytes(spec[at : at + 6], "big") for at in (4, 10, mask_at, mask_at + 6)]
        return replace(
            base,
            dst=(values[0], values[2]) if values[2] else None,
            src=(values[1], values[3]) if values[3] else None,
        )
    src, dst, src_port, dst_port = struct.unpack_from(">IIHH", spec, 4)
    src_mask, dst_mask, src_port_mask, dst_port_mask = struct.unpack_from(">IIHH", spec, mask_at)
    return replace(
        base,
        src=(src, src_mask) if src_mask else None,
        dst=(dst, dst_mask) if dst_mask else None,
        src_port=src_port if src_port_mask else None,
        dst_port=dst_port if dst_port_mask else None,
    )


def _request(command: int, *, spec: bytes = b"", context: int = 0, flow: int = 0, room: int = 0) -> bytes:
    raw = struct.pack("=IIQ", command, flow, 0) + spec.ljust(_SPEC_SZ, b"\0") + struct.pack("=I", context or room)
    return raw.ljust(max(_CFG_SZ, _LOCATIONS_AT + 4 * room), b"\0")


def _locations(name: str, via: Transport) -> tuple[list[int], int, bool]:
    """Places in use, how many there are, and whether the driver chooses one itself."""
    answer = via.ethtool(name, _request(_GRXCLSRLCNT))
    count, data = struct.unpack_from("=I", answer, _COUNT_AT)[0], struct.unpack_from("=Q", answer, 8)[0]
    answer = via.ethtool(name, _request(_GRXCLSRLALL, room=count))
    size = struct.unpack_from("=Q", answer, 8)[0] & (_SPECIAL - 1)
    used = list(struct.unpack_from(f"={count}I", answer, _LOCATIONS_AT))
    return used, int(size), bool(data & _SPECIAL)


def read(name: str, via: Transport) -> list[Rule]:
    """The rules of an interface by place; OSError where its driver steers no flows, and EPROTONOSUPPORT when a rule is
    of a kind that could not be written again."""
    found = []
    for location in _locations(name, via)[0]:
        spec = bytes(_LOCATION_AT) + struct.pack("=I", location)
        answer = via.ethtool(name, _request(_GRXCLSRULE, spec=spec))
        rule = decode(answer[_SPEC_AT : _SPEC_AT + _SPEC_SZ], struct.unpack_from("=I", answer, _COUNT_AT)[0])
        if rule is None:
            flow = struct.unpack_from("=I", answer, _SPEC_AT)[0] & 0xFF
            raise OSError(
                errno.EPROTONOSUPPORT, f"the rule at place {location} is of flow type {flow:#x}, unknown here"
            )
        found.append(rule)
    return sorted(found, key=lambda rule: rule.location or 0)


def write(name: str, wanted: list[Rule], via: Transport) -> None:
    """Make the rules those wanted: what is not among them goes first, then what is missing comes."""
    have = read(name, via)
    left = list(wanted)
    keep = []
    for rule in have:
        same = next((one for one in left if replace(rule, location=one.location) == one
                     and one.location in (None, rule.location)), None)  # fmt: skip
        if same is None:
            spec = bytes(_LOCATION_AT) + struct.pack("=I", rule.location or 0)
            via.ethtool(name, _request(_SRXCLSRLDEL, spec=spec))
        else:
            left.remove(same)
            keep.append(rule)
    _, size, chooses = _locations(name, via)
    taken = {rule.location for rule in keep} | {rule.location for rule in left}
    free = (place for place in range(size - 1, -1, -1) if place not in taken)
    for rule in left:
        if rule.location is None and not chooses:
            place = next(free, None)
            if place is None:
                raise OSError(errno.ENOSPC, f"the NIC has {size} places for rules, all in use")
            rule = replace(rule, location=place)
        via.ethtool(name, _request(_SRXCLSRLINS, spec=encode(rule), context=rule.context))
