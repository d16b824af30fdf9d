"""hwgw audit: what people told a gateway.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import click

from .common import Output, verb


@verb("audit")
@click.argument("name")
def command(out: Output, name: str) -> int:
    """Who told a gateway what, and whether the record is whole.

    Shows every halt, resume, limits change and arming of gateway NAME by hand. Exit code 1 when the record was changed.
    """
    import time

    from hwgw import audit
    from hwgw.logs import plain

    entries = []
    fixed = ("seq", "time_ns", "uid", "pid", "gateway", "action", "prev", "halts")
    for entry in audit.verify(name):
        entries.append(entry)
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry["time_ns"] // 10**9))
        what = plain(", ".join(f"{key} {value}" for key, value in entry.items() if key not in fixed))
        out.row(f"{entry['seq']:>4}  {when}Z  uid {entry['uid']:<5} {entry['action']:<8} ", what)
    out.say(f"{name}: {len(entries)} acts, the chain is whole")
    out.emit({"name": name, "acts": entries, "whole": True})
    return 0
