"""Tables to Markdown: a page per table, one for the counters and an index.

    python -m hwgw.specs.docs OUTDIR

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from . import NATIVE, WIRE, counters, features, ledgers, load, order_model, registers
from .emit import main
from .model import Feature, Field, Layout, Table


def rows(head: str, lines: Iterable[Iterable[object]]) -> Iterator[str]:
    """A Markdown table; head is its column names with bars between."""
    yield f"| {head} |"
    yield "|" + "---|" * (head.count("|") + 1)
    for line in lines:
        yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |"
    yield ""


def _code(value: int | str) -> str:
    return f"`{value}`" if isinstance(value, str) else str(value)


def _field(field: Field) -> list[object]:
    kind = field.type + (f" x {field.count}" if field.count > 1 else "")
    about = [f"always {_code(field.const)}"] if field.const is not None else []
    about += [f"[{field.enum}](#enum-{field.enum})"] if field.enum else []
    about += [f"bits {', '.join(f'{bits.name} {bits.width}' for bits in field.bits)}"] if field.bits else []
    about += [f"padded on the {field.pad}"] if field.pad else []
    about += [field.note] if field.note else []
    return [field.offset, field.length, f"`{field.name}`", kind, "; ".join(about)]


def _layout(layout: Layout) -> Iterator[str]:
    yield f"### {layout.name}" + (f" ({_code(layout.code)})" if layout.code is not None else "") + "\n"
    facts = [
        f"{layout.kind} of {layout.length} bytes",
        layout.direction and layout.direction.replace("_", " "),
        layout.versions and f"versions {layout.versions}",
        layout.since and f"since {layout.since}",
        layout.tail and f"followed by {layout.tail}",
        layout.appendage and f"appendage {layout.appendage}",
        layout.allowed_tags and f"tags {', '.join(map(str, layout.allowed_tags))}",
        layout.book_effect and f"book: {layout.book_effect}",
        layout.stock_locate_use and f"stock locate: {layout.stock_locate_use}",
        layout.note,
        layout.confirmed_by and f"sources {', '.join(layout.confirmed_by)}",
    ]
    yield "; ".join(fact for fact in facts if fact) + ".\n"
    yield from rows("offset | length | field | type | meaning", map(_field, layout.fields))


def _parameter(feature: Feature) -> str:
    bounds = f"{feature.min} to {feature.max}, {feature.default} by default"
    return f"`{feature.param}` {bounds}" if feature.param else ""


def feature_rows() -> Iterator[str]:
    """The features as a table."""
    yield from rows(
        "name | unit | formula | parameter",
        ((f"`{f.name}`", f.unit, f.formula, _parameter(f)) for f in features()),
    )


def page(table: Table) -> Iterator[str]:
    """The page of a table."""
    yield f"# {table.title}\n"
    yield f"Basis: {table.version_basis}. Byte order: {table.byte_order}." + (
        f" Transport: {table.transport}.\n" if table.transport else "\n"
    )
    if table.constants:
        yield "## Constants\n"
        yield from rows("name | value | meaning", ((f"`{c.name}`", c.value, c.note) for c in table.constants.values()))
    if table.features:
        yield "## Features\n"
        yield from feature_rows()
    if table.reasons:
        yield "## Reasons\n"
        yield from rows("code | name | meaning", ((r.code, f"`{r.name}`", r.note) for r in table.reasons))
    if table.layouts:
        yield "## Layouts\n"
        for layout in table.layouts:
            yield from _layout(layout)
    if table.enums:
        yield "## Enums\n"
        for enum in table.enums.values():
            yield f'### <a id="enum-{enum.name}"></a>{enum.name}\n'
            codes = [(_code(code.value), code.meaning) for code in enum.values]
            yield from rows("code | meaning", codes + [(key, meaning) for key, meaning in enum.ranges])
    yield "## Sources\n"
    yield from (f"- {source.id} ({source.kind}): {source.ref}" for source in table.sources)
    yield "\n## Not certain\n"
    yield from (f"- {line}" for line in table.uncertain)


def counter_page() -> Iterator[str]:
    """The page of the counters and their ledgers."""
    yield "# Counters\n\nOne cause each. What is refused or dropped is counted exactly once.\n"
    for stage in dict.fromkeys(counter.stage for counter in counters()[1:]):
        yield f"## {stage}\n"
        stage_counters = [c for c in counters() if c.stage == stage]
        yield from rows("name | unit | meaning", ((f"`{c.full_name}`", c.unit, c.note) for c in stage_counters))
    yield "## Ledgers\n\nEach sum holds whenever a pipeline is between two frames.\n"
    yield from rows(
        "ledger | total | is the sum of",
        ((x.name, f"`{x.total}`", ", ".join(f"`{n}`" for n in x.used + x.drops)) for x in ledgers()),
    )


def register_page() -> Iterator[str]:
    """The page of the card's registers."""
    table = registers.load()
    yield f"# {table.title}\n"
    yield "Words of 32 bits, lowest first. Any other address, and a write to what is only read, is an error.\n"
    about = {"const": "constant", "ro": "read", "rw": "read, write", "command": "write 1", "strobe": "read, write"}
    yield from rows(
        "offset | bits | register | access | meaning",
        (
            [f"{r.offset:#06x}", r.width, f"`{r.name}`", about[r.access] + (", latched" if r.latched else ""),
             f"{r.value:#x}: {r.note}" if r.access == "const" else r.note]
            for r in table.registers
        ),
    )  # fmt: skip
    yield "## Windows\n\nWhole words are written; they cannot be read.\n"
    yield from rows(
        "offset | words | window | meaning",
        ([f"{w.offset:#06x}", w.words, f"`{w.name}`", w.note] for w in table.windows),
    )
    for register in (r for r in table.registers if r.parts):
        yield f"## {register.name}\n"
        yield from rows(
            "bits | field | after reset | meaning",
            ([f"{p.bit}" if p.width == 1 else f"{p.bit + p.width - 1}..{p.bit}", f"`{p.name}`", p.reset, p.note]
             for p in register.parts),
        )  # fmt: skip
    yield "## Counters\n\n64 bits, latched by `command.snapshot`, so that all are of one cycle.\n"
    yield from rows(
        "offset | line | counter",
        (
            [f"{s.offset:#06x}", s.line if s.line == "gate" else s.line.upper(), f"`{s.name}`"]
            for s in (*table.slots, *table.gate_slots)
        ),
    )


def pages() -> dict[str, str]:
    """Every page by file name."""
    tables = [load(name) for name in WIRE + NATIVE]
    parts = {f"{table.name}.md": list(page(table)) for table in tables}
    parts["counters.md"] = list(counter_page())
    parts["registers.md"] = list(register_page())
    parts["order_model.md"] = order_model.page()
    index = ["# Formats\n\nMade from the tables in `hwgw/specs`; edit those.\n"]
    index += [f"- [{table.title}]({table.name}.md)" for table in tables]
    index += ["- [Counters and ledgers](counters.md)", "- [Registers of the card](registers.md)",
              "- [The life of an order](order_model.md)"]  # fmt: skip
    parts["README.md"] = index
    return {name: "\n".join(lines).rstrip() + "\n" for name, lines in parts.items()}


if __name__ == "__main__":
    sys.exit(main("hwgw.specs.docs", sys.argv[1:], pages))
