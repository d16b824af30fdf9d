"""hwgw doctor: what this machine can and cannot do.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import dataclasses

from .common import Output, verb


@verb("doctor")
def command(out: Output) -> int:
    """What this machine can and cannot do for hwgw.

    Every row is ok, warn (works, but less) or fail (does not work), with what to do. Exit code 1 when a row fails.
    """
    from hwgw.doctor import FAIL, examine

    rows = examine()
    counts = {status: sum(row.status == status for row in rows) for status in ("ok", "warn", "fail")}
    out.emit({"rows": [dataclasses.asdict(row) for row in rows], "summary": counts})
    for row in rows:
        out.row(f"{row.status:<5} {row.name:<14} ", row.value)
        if row.todo:
            out.row(f"{'':<20} ", f"-> {row.todo}")
    out.say(", ".join(f"{counts[status]} {status}" for status in counts))
    return 1 if any(row.status == FAIL for row in rows) else 0
