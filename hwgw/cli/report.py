"""hwgw report: what those who vouch for a gateway have to show.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from .common import Output, all_problems, verb


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
    "--write", type=click.Path(path_type=Path, dir_okay=False), help="FILE.md, FILE.html or FILE.json; else Markdown."
)
@all_problems
def market_access(
    out: Output, name: str, day: str, zone: str, journal: Path | None, config: Path | None, write: Path | None
) -> int:
    """Limits and their changes with who and why, refusals by reason, halts, near misses, proofs, versions.

    From the record (hwgw audit) and the journal alone; the gateway NAME need not run. Exit code 1 when one of them is
    not whole or missing: the report then says so at its head.
    """
    from hwgw import compliance
    from hwgw.errors import UsageError
    from hwgw.journal import files_of
    from hwgw.risk import control

    how = write.suffix.lstrip(".") if write else "md"
    if how not in compliance.FORMATS:
        raise UsageError(f"--write {write}: the name ends with .{', .'.join(compliance.FORMATS)}")
    files = files_of(journal, name) if journal else []
    if journal and not files:
        raise UsageError(f"{journal}: no journal of {name}")
    found = compliance.make(name, compliance.day_of(day, zone), files, control.read(config) if config else None)
    out.emit(found.as_dict())
    if how == "json":
        text = json.dumps({"schema": "hwgw.report-market-access/1", **found.as_dict()}, indent=1) + "\n"
    else:
        text = (compliance.page if how == "html" else compliance.markdown)(found)
    if write:
        part = write.with_name(f"{write.name}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(write)
        out.say(f"{write}: {found.refused.total()} refused, {len(found.acts)} acts, {len(found.problems)} not proven")
    else:
        out.say(text)
    return 1 if found.problems else 0


command.add_command(market_access)
