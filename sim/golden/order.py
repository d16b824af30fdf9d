"""Golden OUCH 5.0 over SoupBinTCP: an order to the bytes of its packet, a venue message to an order event.

Orders and events are dicts with the fields of hwgw/specs/order.yaml.

Encode: kinds new, replace and cancel, and the requests mass cancel, disable and enable (order entry) of a firm, become
one unsequenced data packet. What the protocol cannot say
raises EncodeError: another kind; ref 0; an unknown type or time in force; a limit price outside 1 to
1,999,999,900; a quantity outside 1 to 999,999; for new an unknown side, a short marking on a buy, an
instrument without symbol; for replace an orig_ref that is 0 or not below ref. A market order carries the
protocol's market price whatever its px. Options (venue_ref) become tags or the display: post only of an order that
rests, all or none (a minimum of the whole quantity) of one that does not, hidden, and a displayed quantity below the
whole of an order that rests and is not hidden; others, and strange bits, cannot be said.
A replace's quantity is the total of the whole chain with what was
executed, a cancel's the intended total (0 = all): both go through as they are. The firm is sent as a tag
when it is not blank; the clordid stays blank.

Decode: an appendage must be there where the table requires one and may be elsewhere; whatever its tags, they must fill
it exactly. Order of checks, the first that applies:
drop_length   no byte, shorter than the fixed part (an AIQ cancel may lack its last field, as in texts before 2023),
              or an appendage that does not fit
drop_unknown  unknown type (the trade correction of texts before 2023-05 too), a tag that says another UserRefNum
              channel than ours (0), a side or order state outside the table, a price beyond 32 bits
ignored       a message that changes nothing the gate keeps

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgw import specs

Order = dict[str, int]

OUCH = specs.load("ouch50")
SOUP = specs.load("soupbintcp")
RECORD = specs.load("order")
PX_MAX = OUCH.constant("px_max")
QTY_MAX = OUCH.constant("qty_max")
ALL = 2**32 - 1  # the instrument of a mass cancel of everything

SHORT, EXEMPT = 1, 2  # flags of order.yaml
SIDES = {"B": ("buy", 0), "S": ("sell", 0), "T": ("sell", SHORT), "E": ("sell", EXEMPT)}
TIMES_IN_FORCE = {"day": "0", "ioc": "3"}
TAG_FIRM, TAG_MIN_QTY, TAG_MAX_FLOOR, TAG_POST_ONLY = 2, 3, 5, 12
POST_ONLY, HIDDEN, ALL_OR_NONE = (RECORD.enum("option").code(name) for name in ("post_only", "hidden", "all_or_none"))
TAG_USER_REF_IDX = 28

# message -> kind of the event; the other messages of the venue change nothing the gate keeps
KINDS = {
    "order_accepted": "accepted",
    "order_replaced": "replaced",
    "order_canceled": "canceled",
    "aiq_canceled": "canceled",
    "order_executed": "executed",
    "broken_trade": "broken",
    "rejected": "rejected",
    "disable_order_entry_response": "disabled",
    "enable_order_entry_response": "enabled",
}
# field of the event <- the first of these fields that the message has
SOURCES = {
    "ref": ("user_ref_num",),
    "orig_ref": ("orig_user_ref_num",),
    "qty": ("quantity", "decrement_shares"),
    "venue_ref": ("order_reference_number", "match_number"),
}


class EncodeError(Exception):
    """An order that the protocol cannot express."""


class DecodeError(Exception):
    """A message that gives no event; the argument is the counter of the cause."""

    @property
    def cause(self) -> str:
        """The counter."""
        return str(self.args[0])


@dataclass(frozen=True)
class Port:
    """What the session adds to every order."""

    symbols: tuple[str, ...]
    firm: str = "    "
    capacity: str = "P"
    display: str = "Y"


def kind(name: str) -> int:
    """A kind of order.yaml."""
    return int(RECORD.enum("kind").code(name))


def build(table: specs.Table, layout_name: str, **values: int | str) -> bytes:
    """The fixed part of a message from its fields; text is padded with spaces, what is not given is blank or 0."""
    layout = table.layout(layout_name)
    parts = []
    for field in layout.fields:
        value = values.pop(field.name, field.const)
        if field.is_number:
            parts.append(int(value or 0).to_bytes(field.length, "big"))
        else:
            parts.append(str(value or "").ljust(field.length).encode("ascii"))
    assert not values, f"{layout_name} has no {', '.join(values)}"
    return b"".join(parts)


def parse(table: specs.Table, layout_name: str, data: bytes) -> dict[str, int | str]:
    """Every field of the fixed part."""
    fields: dict[str, int | str] = {}
    for field in table.layout(layout_name).fields:
        raw = data[field.offset : field.offset + field.length]
        fields[field.name] = int.from_bytes(raw, "big") if field.is_number else raw.decode("latin-1")
    return fields


def tag(number: int, value: bytes) -> bytes:
    """One element of an appendage."""
    return bytes([1 + len(value), number]) + value


# ---- encode ----


def encode(order: Order, port: Port) -> bytes:
    """The SoupBinTCP packet of an order."""
    message = encode_message(order, port)
    header = build(SOUP, "unsequenced_data", packet_length=1 + len(message))
    return header + message


def encode_message(order: Order, port: Port) -> bytes:
    """The OUCH message of an order."""
    if order["ref"] == 0:
        raise EncodeError("ref 0")
    if order["kind"] == kind("new"):
        return _enter(order, port)
    if order["kind"] == kind("replace"):
        return _replace(order, port)
    if order["kind"] == kind("cancel"):
        return build(OUCH, "cancel_order", user_ref_num=order["ref"], quantity=order["qty"])
    if order["kind"] == kind("mass_cancel"):
        return _mass_cancel(order, port)
    for name in ("disable", "enable"):
        if order["kind"] == kind(name):
            return _entry(order, port, f"{name}_order_entry")
    raise EncodeError(f"kind {order['kind']}")


def _mass_cancel(order: Order, port: Port) -> bytes:
    """Of the port's firm, in one symbol or in all."""
    if port.firm.isspace():
        raise EncodeError("a mass cancel without a firm")
    if order["instrument"] != ALL and order["instrument"] >= len(port.symbols):
        raise EncodeError(f"instrument {order['instrument']} has no symbol")
    symbol = "" if order["instrument"] == ALL else port.symbols[order["instrument"]]
    return build(OUCH, "mass_cancel", user_ref_num=order["ref"], firm=port.firm, symbol=symbol)


def _entry(order: Order, port: Port, name: str) -> bytes:
    """Of the port's firm."""
    if port.firm.isspace():
        raise EncodeError(f"{name} without a firm")
    return build(OUCH, name, user_ref_num=order["ref"], firm=port.firm)


def _enter(order: Order, port: Port) -> bytes:
    if order["instrument"] >= len(port.symbols):
        raise EncodeError(f"instrument {order['instrument']} has no symbol")
    display, options = _options(order)
    tags = (b"" if port.firm.isspace() else tag(TAG_FIRM, port.firm.encode("ascii"))) + options
    return (
        build(
            OUCH,
            "enter_order",
            user_ref_num=order["ref"],
            side=side(order),
            quantity=_quantity(order),
            symbol=port.symbols[order["instrument"]],
            price=price(order),
            time_in_force=_time_in_force(order),
            display=display or port.display,
            capacity=port.capacity,
            intermarket_sweep="N",
            cross_type="N",
            appendage_length=len(tags),
        )
        + tags
    )


def _replace(order: Order, port: Port) -> bytes:
    if not 0 < order["orig_ref"] < order["ref"]:
        raise EncodeError(f"orig_ref {order['orig_ref']} of ref {order['ref']}")
    display, tags = _options(order)
    fixed = build(
        OUCH,
        "replace_order",
        orig_user_ref_num=order["orig_ref"],
        user_ref_num=order["ref"],
        quantity=_quantity(order),
        price=price(order),
        time_in_force=_time_in_force(order),
        display=display or port.display,
        intermarket_sweep="N",
        appendage_length=len(tags),
    )
    return fixed + tags


def _options(order: Order) -> tuple[str, bytes]:
    """What options change: the display, or nothing; the tags."""
    display_qty = order["venue_ref"] & RECORD.constant("display_qty_mask")
    options = order["venue_ref"] >> RECORD.constant("option_shift")
    if order["venue_ref"] - display_qty != options << RECORD.constant("option_shift") or options > 7:
        raise EncodeError(f"venue_ref {order['venue_ref']:#x}")
    is_ioc = RECORD.enum("tif").meaning(order["tif"]) == "ioc"
    is_market = RECORD.enum("type").meaning(order["type"]) == "market"
    if (
        display_qty >= order["qty"]
        or (options & ALL_OR_NONE and not is_ioc)
        or (options & POST_ONLY and (is_ioc or is_market))
        or (display_qty and (is_ioc or options & HIDDEN))
    ):
        raise EncodeError(f"options {options}, displayed {display_qty} of this order")
    tags = b""
    if options & POST_ONLY:
        tags += tag(TAG_POST_ONLY, b"P")
    if options & ALL_OR_NONE:
        tags += tag(TAG_MIN_QTY, order["qty"].to_bytes(4, "big"))
    if display_qty:
        tags += tag(TAG_MAX_FLOOR, display_qty.to_bytes(4, "big"))
    return "N" if options & HIDDEN else "", tags


def side(order: Order) -> str:
    """The letter of side and marking."""
    name = RECORD.enum("side").meaning(order["side"])
    flags = EXEMPT if order["flags"] == SHORT | EXEMPT else order["flags"]  # exempt says short, too
    for letter, side in SIDES.items():
        if side == (name, flags):
            return letter
    raise EncodeError(f"side {order['side']} with flags {order['flags']}")


def _quantity(order: Order) -> int:
    if not 1 <= order["qty"] <= QTY_MAX:
        raise EncodeError(f"qty {order['qty']}")
    return order["qty"]


def price(order: Order) -> int:
    """What stands for the price."""
    name = RECORD.enum("type").meaning(order["type"])
    if name == "market":
        return OUCH.constant("px_market")
    if name != "limit":
        raise EncodeError(f"type {order['type']}")
    if not 1 <= order["px"] <= PX_MAX:
        raise EncodeError(f"px {order['px']}")
    return order["px"]


def _time_in_force(order: Order) -> str:
    name = RECORD.enum("tif").meaning(order["tif"])
    if name not in TIMES_IN_FORCE:
        raise EncodeError(f"tif {order['tif']}")
    return TIMES_IN_FORCE[name]


# ---- decode ----


def decode(message: bytes) -> Order:
    """The event of one OUCH message from the venue: what the message says, the rest 0."""
    if not message:
        raise DecodeError("session.drop_length")
    try:
        layout = OUCH.message(chr(message[0]), "host_to_client")
    except KeyError:
        raise DecodeError("session.drop_unknown") from None
    fixed = layout.length
    if layout.name == "aiq_canceled" and len(message) == fixed - 1:
        message += b" "
    if len(message) < fixed:
        raise DecodeError("session.drop_length")
    fields = parse(OUCH, layout.name, message)
    if layout.appendage != "none":
        start = fixed - 2 if layout.appendage == "required" else fixed
        _check_appendage(message[start:])
    if layout.name not in KINDS:
        raise DecodeError("session.ignored")
    return _event(layout.name, fields)


def _check_appendage(data: bytes) -> None:
    """Data is nothing or a 2-byte length, that many bytes of tags, and whatever a later text appends."""
    if len(data) < 2:
        return
    tags = data[2 : 2 + int.from_bytes(data[:2], "big")]
    if len(tags) < int.from_bytes(data[:2], "big"):
        raise DecodeError("session.drop_length")
    while tags:
        size = 1 + tags[0]
        if size < 2 or size > len(tags):
            raise DecodeError("session.drop_length")
        number, value = tags[1], tags[2:size]
        if number == TAG_USER_REF_IDX and value != b"\0":
            raise DecodeError("session.drop_unknown")
        tags = tags[size:]


def _event(name: str, fields: dict[str, int | str]) -> Order:
    event = {field.name: 0 for field in RECORD.layout("order").fields}
    event["kind"] = kind(KINDS[name])
    for target, sources in SOURCES.items():
        event[target] = next((int(fields[source]) for source in sources if source in fields), 0)
    side_of(event, fields)
    if "price" in fields:
        event["px"] = int(fields["price"])
        if event["px"] > 0xFFFFFFFF:
            raise DecodeError("session.drop_unknown")
    state_of(event, fields)
    if "reason" in fields:
        reason = fields["reason"]
        event["reason"] = reason if isinstance(reason, int) else ord(reason)
    return event


def side_of(event: Order, fields: dict[str, int | str]) -> None:
    """Side and marking of the event, when the message has one."""
    if "side" in fields:
        if fields["side"] not in SIDES:
            raise DecodeError("session.drop_unknown")
        name, event["flags"] = SIDES[str(fields["side"])]
        event["side"] = int(RECORD.enum("side").code(name))


def state_of(event: Order, fields: dict[str, int | str]) -> None:
    """The reason of the event, when the message has an order state."""
    if "order_state" in fields:
        if fields["order_state"] not in ("L", "D"):
            raise DecodeError("session.drop_unknown")
        event["reason"] = ord("D") if fields["order_state"] == "D" else 0
