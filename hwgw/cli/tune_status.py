"""hwgw tune status: what was changed on a host.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from pathlib import Path

from .common import Output, verb
from .tune_common import host_options, open_host


@verb("status", of="tune")
@host_options
def status(out: Output, root: str, state: Path | None) -> int:
    """What was changed on this host, when, and whether it can be put back.

    Exit code 1 when a run was interrupted and waits for rollback or the next apply.
    """
    host, journal = open_host(root, state)
    rows = []
    for found in journal.generations():
        same_boot = found.head.get("boot_id") == host.boot_id
        how = "undone" if found.is_undone else "interrupted" if found.is_interrupted else found.end
        rows.append(
            {
                "generation": found.number, "profile": found.head.get("profile", ""), "time": found.head.get("time", 0),
                "outcome": how, "this_boot": same_boot, "places": len(found.written()),
                "refused": sum(bool(entry.refused) for entry in found.entries.values()),
            }
        )  # fmt: skip
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(found.head.get("time", 0))))
        boot = "" if same_boot else ", in an earlier boot: only files are still as written"
        out.say(
            f"{found.number:>4}  {when}Z  {found.head.get('profile', ''):<12} {how}, "
            f"{len(found.written())} places{boot}"
        )
    interrupted = any(row["outcome"] == "interrupted" for row in rows)
    if not rows:
        out.say("nothing was changed by hwgw tune")
    if interrupted:
        out.row("", "a run was interrupted: hwgw tune rollback puts it back, and so does the next apply")
    out.emit({"generations": rows, "interrupted": interrupted})
    return 1 if interrupted else 0
