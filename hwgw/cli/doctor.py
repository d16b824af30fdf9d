"""hwgw doctor: what this machine can and cannot do.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import dataclasses

import click

from .common import Output, verb


@verb("doctor")
@click.option(
    "--nic", metavar="IF", help="What each receive backend can do on this interface, and what to run for more."
)
@click.option("--try", "attempt", is_flag=True, help="With --nic: open each backend for a moment.")
def command(out: Output, nic: str | None, attempt: bool) -> int:
    """What this machine can and cannot do for hwgw.

    Every row is ok, warn (works, but less) or fail (does not work), with what to do. Exit code 1 when a row fails.
    """
    from hwgw import doctor, doctor_nic
    from hwgw.doctor import FAIL
    from hwgw.errors import UsageError

    if attempt and not nic:
        raise UsageError("--try goes with --nic")
    rows = doctor_nic.examine(nic, attempt=attempt) if nic else doctor.examine()
    counts = {status: sum(row.status == status for row in rows) for status in ("ok", "warn", "fail")}
    named = {"nic": nic} if nic else {}
    out.emit({**named, "rows": [dataclasses.asdict(row) for row in rows], "summary": counts})
    for row in rows:
        out.row(f"{row.status:<5} {row.name:<14} ", row.value)
        if row.todo:
            out.row(f"{'':<20} ", f"-> {row.todo}")
    out.say(", ".join(f"{counts[status]} {status}" for status in counts))
    return 1 if any(row.status == FAIL for row in rows) else 0
