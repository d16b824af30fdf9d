"""Golden OUCH 4.2 over SoupBinTCP: an order to the bytes of its packet, a venue message to an order event.

As order.py, whose checks and words it shares. An order is named by a token: its ref in ten digits and blanks. Day is
99998 (market hours), immediate or cancel 0. Post only is a display (P, or L when attributable), so that an order cannot
be hidden, too; all or none is a minimum quantity of everything; there is no displayed part. A message may be longer
than its fixed part, never shorter; a token that is none of ours is ref 0; a trade correction is unknown.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from hwgw import specs

from . import order as common
from .order import DecodeError, EncodeError, Order, Port, build, kind, parse

OUCH = specs.load("ouch42")
TIMES_IN_FORCE = {"day": OUCH.constant("tif_market_hours"), "ioc": OUCH.constant("tif_ioc")}
POST_ONLY = {"Y": "P", "A": "L"}
KINDS = {
    "accepted": "accepted",
    "replaced": "replaced",
    "canceled": "canceled",
    "aiq_canceled": "canceled",
    "executed": "executed",
    "executed_with_reference_price": "executed",
    "broken_trade": "broken",
    "rejected": "rejected",
}
SOURCES = {
    "ref": ("order_token", "replacement_order_token"),
    "orig_ref": ("previous_order_token",),
    "qty": ("shares", "decrement_shares", "executed_shares"),
    "venue_ref": ("order_reference_number", "match_number"),
}


def token(ref: int) -> str:
    """The name of an order."""
    return f"{ref:010d}"


def ref_of(text: str) -> int:
    """The order a token names; 0 when it is none of ours."""
    digits = text[:10]
    if text[10:] != "    " or not (digits.isascii() and digits.isdigit()) or int(digits) >= 2**32:
        return 0
    return int(digits)


# ---- encode ----


def encode(order: Order, port: Port) -> bytes:
    """The SoupBinTCP packet of an order."""
    message = encode_message(order, port)
    return build(common.SOUP, "unsequenced_data", packet_length=1 + len(message)) + message


def encode_message(order: Order, port: Port) -> bytes:
    """The OUCH message of an order."""
    common.encode_message(order, port)  # what 5.0 cannot say 4.2 cannot
    if order["kind"] == kind("cancel"):
        return build(OUCH, "cancel_order", order_token=token(order["ref"]), shares=order["qty"])
    display, minimum = _options(order, port)
    terms: dict[str, int | str] = {
        "shares": order["qty"],
        "price": common.price(order),
        "time_in_force": TIMES_IN_FORCE[str(common.RECORD.enum("tif").meaning(order["tif"]))],
        "display": display,
        "intermarket_sweep": "N",
        "minimum_quantity": minimum,
    }
    if order["kind"] == kind("replace"):
        tokens = {"existing_order_token": token(order["orig_ref"]), "replacement_order_token": token(order["ref"])}
        return build(OUCH, "replace_order", **terms, **tokens)
    return build(
        OUCH,
        "enter_order",
        order_token=token(order["ref"]),
        side=common.side(order),
        stock=port.symbols[order["instrument"]],
        firm=port.firm,
        capacity=port.capacity,
        cross_type="N",
        **terms,
    )


def _options(order: Order, port: Port) -> tuple[str, int]:
    """Display and minimum quantity."""
    options = order["venue_ref"] >> common.RECORD.constant("option_shift")
    if order["venue_ref"] & common.RECORD.constant("display_qty_mask"):
        raise EncodeError("a displayed part")
    display = "N" if options & common.HIDDEN else port.display
    if options & common.POST_ONLY:
        if display not in POST_ONLY:
            raise EncodeError("hidden and post only")
        display = POST_ONLY[display]
    return display, order["qty"] if options & common.ALL_OR_NONE else 0


# ---- decode ----


def decode(message: bytes) -> Order:
    """The event of one OUCH message from the venue: what the message says, the rest 0."""
    if not message:
        raise DecodeError("session.drop_length")
    try:
        layout = OUCH.message(chr(message[0]), "host_to_client")
    except KeyError:
        raise DecodeError("session.drop_unknown") from None
    if layout.name == "trade_correction":
        raise DecodeError("session.drop_unknown")
    if len(message) < layout.length:
        raise DecodeError("session.drop_length")
    if layout.name not in KINDS:
        raise DecodeError("session.ignored")
    fields = parse(OUCH, layout.name, message)
    event = {field.name: 0 for field in common.RECORD.layout("order").fields}
    event["kind"] = kind(KINDS[layout.name])
    for target, sources in SOURCES.items():
        found = next((fields[source] for source in sources if source in fields), 0)
        event[target] = found if isinstance(found, int) else ref_of(found)
    event["px"] = int(fields.get("price", 0) if "price" in fields else fields.get("execution_price", 0))
    if layout.name == "aiq_canceled":
        event["px"] = 0
    common.side_of(event, fields)
    common.state_of(event, fields)
    if "reason" in fields:
        event["reason"] = ord(str(fields["reason"]))
    return event
