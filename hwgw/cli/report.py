"""hwgw report: what those who vouch for a gateway have to show.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import Output, all_problems, verb

if TYPE_CHECKING:
    from hwgw.compliance import Report


@click.group("report")
def command() -> None:
    """What a gateway did on a day, in writing."""


@verb("market-access", of="report")
@click.argument("name")
@click.option("--day", required=True, metavar="YYYY-MM-DD", help="The day.")
@click.option("--zone", default="UTC", show_default=True, help="Of which time zone, such as America/New_York.")
@click.option("--journal", type=click.Path(path_type=Path), help="The folder of the journal.")
@click.option("--config", type=click.Path(path_type=Path, readable=False), help="The gateway.yaml with its limits.")
@click.option(
    "--write", type=click.Path(path_type=Path, dir_okay=False), help="FILE.md, .html, .json or .pdf; else Markdown."
)
@click.option("--pdf", is_flag=True, help="As PDF: to --write, else to NAME-DAY.pdf.")
@all_problems
def market_access(
    out: Output,
    name: str,
    day: str,
    zone: str,
    journal: Path | None,
    config: Path | None,
    write: Path | None,
    pdf: bool,
) -> int:
    """Limits and their changes with who and why, refusals by reason, halts, near misses, proofs, versions.

    From the record (hwgw audit) and the journal alone; the gateway NAME need not run. Exit code 1 when one of them is
    not whole or missing: the report then says so at its head.
    """
    from hwgw import compliance
    from hwgw.errors import UsageError
    from hwgw.journal import files_of
    from hwgw.risk import control

    write = write or (Path(f"{name}-{day}.pdf") if pdf else None)
    how = write.suffix.lstrip(".") if write else "md"
    if pdf and how != "pdf":
        raise UsageError(f"--write {write}: with --pdf the name ends with .pdf")
    if how not in compliance.FORMATS:
        raise UsageError(f"--write {write}: the name ends with .{', .'.join(compliance.FORMATS)}")
    files = files_of(journal, name) if journal else []
    if journal and not files:
        raise UsageError(f"{journal}: no journal of {name}")
    found = compliance.make(name, compliance.day_of(day, zone), files, control.read(config) if config else None)
    out.emit(found.as_dict())
    makers: dict[str, Callable[[Report], str | bytes]] = {
        "html": compliance.page,
        "md": compliance.markdown,
        "pdf": compliance.paper,
        "json": _json,
    }
    made = makers[how](found)
    if write:
        part = write.with_name(f"{write.name}.part")
        part.write_bytes(made if isinstance(made, bytes) else made.encode())
        part.replace(write)
        out.say(f"{write}: {found.refused.total()} refused, {len(found.acts)} acts, {len(found.problems)} not proven")
    else:
        out.say(str(made))
    return 1 if found.problems else 0


def _json(found: Report) -> str:
    return json.dumps({"schema": "hwgw.report-market-access/1", **found.as_dict()}, indent=1) + "\n"


command.add_command(market_access)
