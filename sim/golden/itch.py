"""Golden ITCH 5.0 decoder: one message to a dict of its fields, and to the event of hwgw/specs/event.yaml.

Order of checks: a message without a byte is drop_length, an unknown type drop_unknown, another length than
the type's drop_length. Code letters are not judged: an unknown side becomes side none, which the book
refuses.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from hwgw_sim.golden import Counters

from hwgw import specs

Fields = dict[str, int | str]
Event = dict[str, int]

INSTRUMENT_NONE = 0xFFFFFFFF
QTY_MAX = 0xFFFFFFFF

# type -> kind of event.yaml; the types that are not here have no effect anywhere yet and give kind none
KINDS = {
    "A": "add",
    "F": "add",
    "E": "execute",
    "C": "execute_with_price",
    "X": "reduce",
    "D": "delete",
    "U": "replace",
    "P": "trade",
    "Q": "cross",
    "B": "break",
    "H": "status",
    "h": "status",
    "R": "directory",
    "S": "system",
}
# field of the event <- the first of these fields that the message has
SOURCES = {
    "ref": ("order_reference_number", "original_order_reference_number"),
    "ref_new": ("new_order_reference_number", "match_number"),
    "qty": ("shares", "executed_shares", "cancelled_shares"),
    "px": ("price", "execution_price", "cross_price"),
}


class DecodeError(Exception):
    """A message that cannot be decoded; the argument is the counter of the cause."""

    @property
    def cause(self) -> str:
        """The counter."""
        return str(self.args[0])


def decode(message: bytes) -> Fields:
    """Every field of one message by the table: integers as int, text with its padding as str."""
    if not message:
        raise DecodeError("itch.drop_length")
    try:
        layout = specs.load("itch50").message(chr(message[0]))
    except KeyError:
        raise DecodeError("itch.drop_unknown") from None
    if len(message) != layout.length:
        raise DecodeError("itch.drop_length")
    fields: Fields = {}
    for field in layout.fields:
        value = message[field.offset : field.offset + field.length]
        fields[field.name] = int.from_bytes(value, "big") if field.is_number else value.decode("latin-1")
    return fields


def code(enum: str, name: str) -> int:
    """A code of event.yaml by the slug of its meaning."""
    return int(specs.load("event").enum(enum).code(name))


def event(message: bytes) -> Event:
    """The event of one message, complete: what its kind does not use is 0, the instrument is not resolved."""
    fields = decode(message)
    letter = str(fields["message_type"])
    result = {field.name: 0 for field in specs.load("event").layout("event").fields}
    result["kind"] = code("kind", KINDS.get(letter, "none"))
    result["code"] = ord(letter)
    result["instrument"] = INSTRUMENT_NONE
    result["ts_ns"] = int(fields["timestamp"])
    result["locate"] = int(fields["stock_locate"])
    if letter == "R":
        result["ref"] = int.from_bytes(str(fields["stock"]).encode("latin-1"), "big")
    elif KINDS.get(letter, "system") in ("system", "status"):
        pass  # neither order nor trade: no reference, quantity, price or side
    else:
        for name, sources in SOURCES.items():
            result[name] = next((int(fields[source]) for source in sources if source in fields), 0)
        result["qty"] = min(result["qty"], QTY_MAX)  # shares of a cross have 8 bytes
        result["side"] = {"B": code("side", "buy"), "S": code("side", "sell")}.get(str(fields.get("side")), 0)
    printable = letter in "EPQ" or (letter == "C" and fields["printable"] == "Y")
    trading = (letter == "H" and fields["trading_state"] == "T") or (
        letter == "h" and fields["operational_halt_action"] == "T"
    )
    result["flags"] = printable * code("flags", "printable") + trading * code("flags", "trading")
    return result


def take(message: bytes, counters: Counters) -> Event | None:
    """event(), counted: itch.messages, or the cause of the drop and None."""
    try:
        result = event(message)
    except DecodeError as error:
        counters.add(error.cause)
        return None
    counters.add("itch.messages")
    return result
