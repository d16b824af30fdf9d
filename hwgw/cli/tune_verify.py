"""hwgw tune verify: whether a host is as a profile says.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import Output, all_problems, verb
from .tune_common import open_host, open_profile, profile_options, shorten

if TYPE_CHECKING:
    from hwgw.tune.verify import Row


def _say(out: Output, rows: list[Row]) -> None:
    """A line for each knob and verdict; with -v every path."""
    from hwgw.tune.plan import path_of

    alike: dict[tuple[str, str, str, str, str], list[str]] = {}
    for row in rows:
        have = shorten(row.have) or "(empty)"
        key = (row.verdict, row.setting.knob.name, shorten(row.setting.want), have, row.note)
        alike.setdefault(key, []).append(path_of(row.setting))
    for (verdict, name, want, have, note), paths in alike.items():
        what = (
            note
            if verdict == "unsupported"
            else want
            if verdict == "pending reboot"
            else f"{want} wanted, {have} there" + (f": {note}" if note else "")
        )
        cnt = f" ({len(paths)} places)" if len(paths) > 1 else ""
        out.row(f"{verdict:<14} {name:<28} ", what + cnt)
        if out.level > 0:
            for path in paths:
                out.say(f"{'':<15}{path}")


@verb("verify", of="tune")
@profile_options
@click.option("--persist", is_flag=True, help="With the files that bring the profile back after a boot.")
@click.option("--watch", is_flag=True, help="Stay, and look again when a link changes and every --every seconds.")
@click.option("--every", type=click.FloatRange(0.1, 86_400), default=10.0, show_default=True, help="Seconds.")
@click.option("--looks", type=click.IntRange(1), help="With --watch: end after so many looks.")
@all_problems
def verify(
    out: Output, profile: str, config: Path | None, nics: tuple[str, ...], root: str, state: Path | None, persist: bool,
    watch: bool, every: float, looks: int | None,
) -> int:  # fmt: skip
    """Whether this host is as a profile says: what is in force, not what was asked for.

    Verdicts: ok, drift, pending reboot, unsupported, foreign owner. Exit code 1 when anything drifted or has a foreign
    owner. -v shows what is ok too.
    """
    from hwgw.tune import plan as plans
    from hwgw.tune import verify as verdicts
    from hwgw.tune.watch import Events

    host, journal = open_host(root, state)
    chosen = open_profile(profile, config, nics)
    events = Events() if watch else None
    before: dict[tuple[str, str], str] = {}
    look_cnt, why = 0, "start"
    try:
        while True:
            look_cnt += 1
            rows = verdicts.verify(plans.wanted(chosen, host, keep=persist), host, journal)
            cnt = verdicts.summary(rows)
            bad = cnt[verdicts.DRIFT] + cnt[verdicts.FOREIGN]
            now = {(row.setting.knob.name, row.setting.target): row.verdict for row in rows}
            fresh = [row for row in rows if before.get((row.setting.knob.name, row.setting.target)) != row.verdict]
            if look_cnt == 1 or fresh:
                out.emit(
                    {
                        "profile": chosen.name,
                        "why": why,
                        "knobs": [row.as_dict() for row in (rows if look_cnt == 1 else fresh)],
                        "summary": cnt,
                    }
                )
                _say(out, [row for row in fresh if look_cnt > 1 or row.verdict != verdicts.OK or out.level > 0])
                given = ", ".join(f"{n} {verdict}" for verdict, n in cnt.items() if n)
                out.say(f"{chosen.name}{f' ({why})' if watch else ''}: {given}")
            before = now
            if events is None or (looks is not None and look_cnt >= looks):
                return 1 if bad else 0
            why = events.wait(every)
    finally:
        if events is not None:
            events.close()
