"""Scapy layers of MoldUDP64, ITCH 5.0, SoupBinTCP and OUCH 5.0, made from the tables at import.

SPDX-License-Identifier: MIT

layer(protocol, layout) is the class of a layout: layer("itch50", "add_order")(stock=b"AAPL", shares=100).
Text is bytes, padded with spaces when built; lengths, counts and codes not given are filled in. What nests:

    MoldUDP64 > blocks: MoldUDP64Block > ITCH message
    SoupBinTCP sequenced data > OUCH message of the host, unsequenced data > OUCH message of the client
    OUCH message > options: one layer per tag of the appendage
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from scapy import fields as sf
from scapy.packet import Packet, Raw

from hwgw import specs
from hwgw.specs.model import TEXT, Field, Layout


class TextField(sf.StrFixedLenField):
    """Characters of a fixed length, padded with spaces; codes are shown with their meaning."""

    __slots__ = ("enum", "left")

    def __init__(self, field: Field, enum: specs.Enum | None) -> None:
        const = field.const if isinstance(field.const, str) else ""
        super().__init__(field.name, const.encode(), field.length)
        self.left = field.pad == "left"
        self.enum = enum

    def i2m(self, pkt: Packet | None, x: Any) -> bytes:
        """Pad, and refuse what does not fit."""
        text = super().i2m(pkt, x)
        if len(text) > self.sz:
            raise ValueError(f"{self.name}: {text!r} is longer than {self.sz} bytes")
        return text.rjust(self.sz) if self.left else text.ljust(self.sz)

    def i2repr(self, pkt: Packet | None, x: Any) -> str:
        """Show a code with its meaning."""
        meaning = self.enum.meaning(x.decode("ascii", "replace").rstrip() or " ") if self.enum else None
        return f"{x!r} ({meaning})" if meaning else repr(x)


def _field(table: specs.Table, field: Field) -> sf.Field:
    enum = table.enums[field.enum] if field.enum else None
    if field.type in TEXT:
        return TextField(field, enum)
    default = field.const or 0
    if field.is_signed:
        return {4: sf.SignedIntField, 8: sf.SignedLongField}[field.size](field.name, default)
    if enum and field.size in (1, 2):
        values = {code.value: code.meaning for code in enum.values}
        return {1: sf.ByteEnumField, 2: sf.ShortEnumField}[field.size](field.name, default, values)
    plain = {1: sf.ByteField, 2: sf.ShortField, 4: sf.IntField, 8: sf.LongField}
    return (
        plain[field.size](field.name, default)
        if field.size in plain
        else sf.NBytesField(field.name, default, field.size)
    )


class Message(Packet):
    """Base of every layer here; what follows a message of fixed length is not part of it."""

    layout: Layout

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes | None]:
        """A fixed length has no payload: what is left belongs to the next one."""
        return b"", s


def _make(table: specs.Table, layout: Layout, base: type[Packet], replace: dict[str, list[sf.Field]]) -> type[Packet]:
    """A layer with the fields of a layout, some of them replaced by others."""
    desc: list[sf.Field] = []
    for field in layout.fields:
        desc += replace.get(field.name) or [_field(table, field)]
    name = table.name.capitalize() + "".join(word.capitalize() for word in layout.name.split("_"))
    members = {
        "name": f"{table.name} {layout.name}",
        "fields_desc": desc,
        "layout": layout,
        "__module__": __name__,
    }
    return type(base)(name, (base,), members)


def _by_code(data: bytes, at: int, classes: dict[int, type[Packet]]) -> type[Packet]:
    return classes.get(data[at], Raw) if len(data) > at else Raw


def _codes(protocol: str, kind: str, direction: str | None = None) -> dict[int, type[Packet]]:
    """Layers by code byte; of several versions the first."""
    result: dict[int, type[Packet]] = {}
    for layout in specs.load(protocol).layouts:
        if layout.kind == kind and layout.direction in (direction, "both", None):
            code = ord(layout.code) if isinstance(layout.code, str) else int(layout.code or 0)
            result.setdefault(code, _LAYERS[protocol, layout.name])
    return result


_LAYERS: dict[tuple[str, str], type[Packet]] = {}


def layer(protocol: str, layout: str) -> type[Packet]:
    """The layer of a layout of moldudp64, itch50, soupbintcp or ouch50."""
    return _LAYERS[protocol, layout]


# ---- ITCH 5.0 ----

for _layout in specs.load("itch50").layouts:
    _LAYERS["itch50", _layout.name] = _make(specs.load("itch50"), _layout, Message, {})
_ITCH = _codes("itch50", "message")


def itch50(data: bytes) -> Packet:
    """An ITCH message by its code; Raw when the code is unknown."""
    return _by_code(data, 0, _ITCH)(data)


# ---- MoldUDP64 ----


class _Block(Message):
    def extract_padding(self, s: bytes) -> tuple[bytes, bytes | None]:
        return s[: self.message_length], s[self.message_length :]

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        return _by_code(payload, 0, _ITCH)


_mold = specs.load("moldudp64")
_NO_BLOCKS = (_mold.constant("heartbeat_count"), _mold.constant("end_of_session_count"))
MoldUDP64Block = _LAYERS["moldudp64", "message_block"] = _make(
    _mold, _mold.layout("message_block"), _Block, {"message_length": [sf.LenField("message_length", None)]}
)
MoldUDP64 = _LAYERS["moldudp64", "downstream_packet_header"] = _make(
    _mold,
    _mold.layout("downstream_packet_header"),
    Packet,
    {
        "message_count": [
            sf.FieldLenField("message_count", None, count_of="blocks"),
            sf.PacketListField(
                "blocks",
                [],
                MoldUDP64Block,
                count_from=lambda packet: 0 if packet.message_count in _NO_BLOCKS else packet.message_count,
            ),
        ]
    },
)
MoldUDP64Request = _LAYERS["moldudp64", "request_packet"] = _make(_mold, _mold.layout("request_packet"), Packet, {})

# ---- OUCH 5.0 ----


class _Element(Message):
    """An option whose tag or length is not in the table."""

    name = "ouch50 option"
    fields_desc: ClassVar[list[sf.Field]] = [
        sf.FieldLenField("length", None, fmt="B", length_of="value", adjust=lambda _, length: length + 1),
        sf.ByteField("tag", 0),
        sf.StrLenField("value", b"", length_from=lambda packet: packet.length - 1),
    ]


def _option(_packet: Packet, _options: list[Packet], _last: Packet | None, rest: bytes) -> type[Packet]:
    """The layer of the next option of an appendage."""
    if len(rest) < 2 or rest[0] < 1:
        return Raw
    known = _TAGS.get(rest[1])
    return known if known and known.layout.length == 1 + rest[0] else _Element


def _appendage() -> list[sf.Field]:
    options = sf.PacketListField("options", [], next_cls_cb=_option, length_from=lambda packet: packet.appendage_length)
    return [sf.FieldLenField("appendage_length", None, length_of="options"), options]


class Ouch50Appendage(Message):
    """Options behind a message that may end without them."""

    name = "ouch50 appendage"
    fields_desc: ClassVar[list[sf.Field]] = _appendage()


class _Optional(Packet):
    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        return Ouch50Appendage if len(payload) >= 2 else Raw


_ouch = specs.load("ouch50")
_LAYERS["ouch50", "tag_element"] = _Element
for _layout in _ouch.layouts:
    if _layout.kind != "layout":
        _base = _Optional if _layout.appendage == "optional" else Message
        _LAYERS["ouch50", _layout.name] = _make(_ouch, _layout, _base, {"appendage_length": _appendage()})
_TAGS = _codes("ouch50", "tag")
_OUCH = {direction: _codes("ouch50", "message", direction) for direction in ("client_to_host", "host_to_client")}


def ouch50(data: bytes, direction: str) -> Packet:
    """An OUCH message by its code, Raw when it is unknown; direction: client_to_host or host_to_client."""
    return _by_code(data, 0, _OUCH[direction])(data)


# ---- SoupBinTCP ----


class _Soup(Packet):
    layout: Layout
    inner: Callable[[bytes], type[Packet]] = staticmethod(lambda _: Raw)

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes | None]:
        end = self.packet_length + _LENGTH_SZ - self.layout.length
        return s[:end], s[end:]

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        return self.inner(payload)


_soup = specs.load("soupbintcp")
_LENGTH_SZ = _soup.constant("length_sz")
for _layout in _soup.layouts:
    _length = [sf.LenField("packet_length", None, adjust=lambda length: length + 1)] if _layout.tail else []
    _LAYERS["soupbintcp", _layout.name] = _make(_soup, _layout, _Soup, {"packet_length": _length})
for _name, _direction in (("sequenced_data", "host_to_client"), ("unsequenced_data", "client_to_host")):
    layer("soupbintcp", _name).inner = staticmethod(partial(_by_code, at=0, classes=_OUCH[_direction]))
_SOUP = {name: _codes("soupbintcp", "packet", name) for name in ("client_to_server", "server_to_client")}
_LOGINS = [layer("soupbintcp", name) for name in ("login_request", "login_request_410")]


def soupbintcp(data: bytes, direction: str) -> Packet:
    """A SoupBinTCP packet by its type, Raw when unknown; direction: client_to_server or server_to_client."""
    found = _by_code(data, _LENGTH_SZ, _SOUP[direction])
    if found in _LOGINS:
        size = int.from_bytes(data[:_LENGTH_SZ], "big") + _LENGTH_SZ
        found = next((login for login in _LOGINS if login.layout.length == size), Raw)
    return found(data)
