"""The table of knobs, hwgw/specs/knobs.yaml, read strictly; explain() is a row for people, page() all rows as Markdown.

SPDX-License-Identifier: MIT

    python -m hwgw.tune.table docs/KNOBS.md
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .. import specs
from ..errors import InternalError, UsageError
from ..specs import reader
from . import kinds
from .knob import CLASSES, COMPARE, KINDS, RISKS, Knob

__all__ = ["document", "explain", "get", "groups", "knobs", "page"]

_FILE = "knobs.yaml"
_KEYS = {
    "name", "group", "kind", "place", "want", "class", "risk", "source", "reason", "verify", "undo", "trap", "each",
    "compare", "owners", "needs", "kernel_min", "twin", "effective",
}  # fmt: skip
_REQUIRED = {"name", "group", "place", "source", "reason"}


@cache
def document() -> dict[str, Any]:
    """The parsed file."""
    path = Path(specs.__file__).with_name(_FILE)
    return reader.parse(path.read_text(encoding="utf-8"), _FILE)


def groups() -> dict[str, str]:
    """The groups in the order in which they are applied, and what each is."""
    return dict(document()["groups"])


def _knob(row: dict[str, Any], known: dict[str, Any]) -> Knob:
    name = row.get("name", "a knob without a name")
    kind = row.get("kind", "file")
    change_class, risk, compare = row.get("class", "runtime"), row.get("risk", "low"), row.get("compare", "text")
    for key, value, allowed in (
        ("group", row.get("group"), known["groups"]), ("kind", kind, KINDS), ("class", change_class, CLASSES),
        ("risk", risk, RISKS), ("compare", compare, COMPARE),
        *(("source", tag, known["sources"]) for tag in row["source"]),
    ):  # fmt: skip
        if value not in allowed:
            raise InternalError(f"{_FILE}: {name}: {key} {value!r}; there are {', '.join(allowed)}")
    if wrong := (set(row) - _KEYS) | (_REQUIRED - set(row)):
        raise InternalError(f"{_FILE}: {name}: unknown or missing: {', '.join(sorted(wrong))}")
    if not all(isinstance(value, str | list) for value in row.values()):
        raise InternalError(f"{_FILE}: {name}: every value is text (quote numbers) or a list of texts")
    usual = known["kinds"][kind]
    return Knob(
        name=name, group=row["group"], kind=kind, place=row["place"], change_class=change_class, reason=row["reason"],
        verify=row.get("verify", usual["verify"]), undo=row.get("undo", usual["undo"]), risk=risk,
        source="; ".join(known["sources"][tag] for tag in row["source"]), want=row.get("want"),
        each=row.get("each", ""),
        compare=compare, owners=tuple(row.get("owners", ())), needs=tuple(row.get("needs", ())),
        kernel_min=row.get("kernel_min", ""), twin=row.get("twin", ""), effective=row.get("effective", ""),
        trap=row.get("trap", ""),
    )  # fmt: skip


@cache
def knobs() -> MappingProxyType[str, Knob]:
    """Every knob by name, in the order in which they are applied."""
    kinds.load()  # ways to compare come with the kinds
    known = document()
    order = list(known["groups"])
    found = [_knob(row, known) for row in known["knobs"]]
    if len({knob.name for knob in found}) != len(found) or found != sorted(found, key=lambda k: order.index(k.group)):
        raise InternalError(f"{_FILE}: a name stands twice, or the groups are not in their order")
    by_name = {knob.name: knob for knob in found}
    for knob in found:
        if knob.twin and by_name[knob.twin].twin != knob.name:
            raise InternalError(f"{_FILE}: {knob.name}: its twin {knob.twin} does not name it")
    return MappingProxyType(by_name)


def get(name: str) -> Knob:
    """A knob by its name, or by the only place that ends with what was said."""
    if name in knobs():
        return knobs()[name]
    by_place = [knob for knob in knobs().values() if knob.place == name or knob.place.endswith(f"/{name}")]
    if len(by_place) == 1:
        return by_place[0]
    close = difflib.get_close_matches(name, knobs(), 3, 0.6)
    hint = f" (did you mean {', '.join(close)}?)" if close else ""
    raise UsageError(f"{name}: no such knob{hint}; hwgw tune explain lists them")


def explain(knob: Knob) -> dict[str, Any]:
    """A row as a person or a program wants it."""
    return {
        "knob": knob.name, "group": groups()[knob.group], "kind": knob.kind, "place": knob.place,
        "recommended": knob.want, "each": knob.each, "class": knob.change_class, "risk": knob.risk,
        "reason": knob.reason, "trap": knob.trap, "verify": knob.verify, "undo": knob.undo,
        "needs": list(knob.needs), "kernel_min": knob.kernel_min, "twin": knob.twin, "effective": knob.effective,
        "owners": list(knob.owners), "source": knob.source,
    }  # fmt: skip


def page() -> Iterator[str]:
    """Every knob as Markdown."""
    yield "# Knobs\n"
    yield (
        f"What `hwgw tune` knows: {len(knobs())} knobs, in the order in which they are applied. Made from "
        "`hwgw/specs/knobs.yaml` (`make docs`); edit that. `hwgw tune explain KNOB` says the same and more: how each "
        "is verified and undone, where the advice comes from.\n"
    )
    yield "Recommended: what `recommended` in a profile means; leave: no value is. `$words` are roles and facts.\n"
    for group, title in groups().items():
        yield f"## {title}\n"
        yield "| knob | where | recommended | class | risk | why |"
        yield "|---|---|---|---|---|---|"
        for knob in knobs().values():
            if knob.group == group:
                want = "leave" if knob.want is None else f"`{knob.want}`" if knob.want else "(set)"
                why = knob.reason + (f". Trap: {knob.trap}" if knob.trap else "")
                change_class = f"report, {knob.change_class}" if knob.kind == "report" else knob.change_class
                cells = (f"`{knob.name}`", f"`{knob.place}`", "" if knob.kind == "report" else want,
                         change_class, knob.risk, why)  # fmt: skip
                yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        yield ""


def main(argv: list[str]) -> int:
    """Write the page."""
    if len(argv) != 1:
        print("hwgw.tune.table: name the file to write", file=sys.stderr)
        return 2
    Path(argv[0]).write_text("\n".join(page()).rstrip() + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
