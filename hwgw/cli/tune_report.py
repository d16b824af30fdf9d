"""hwgw tune report: a host in writing.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path

import click

from .common import Output, all_problems, verb
from .tune_common import open_host, open_profile, profile_options


@verb("report", of="tune")
@profile_options
@click.option(
    "--write", type=click.Path(path_type=Path, dir_okay=False), help="FILE.html, FILE.md or FILE.prom; else Markdown."
)
@click.option(
    "--jitter", type=click.FloatRange(0.1, 3600), metavar="SECONDS", help="Measure the feed and order CPUs so long."
)
@all_problems
def report(
    out: Output,
    profile: str,
    config: Path | None,
    nics: tuple[str, ...],
    root: str,
    state: Path | None,
    write: Path | None,
    jitter: float | None,
) -> int:
    """What a host is, what is set and why, and what is missing.

    As HTML (one file, nothing from elsewhere), Markdown, or metrics for the textfile collector of Prometheus: the end
    of the file's name chooses. --jitter adds how the CPUs of the gateway feel; they are busy meanwhile.
    """
    from hwgw import jitter as meter
    from hwgw.errors import UsageError
    from hwgw.tune import plan
    from hwgw.tune import report as work

    how = write.suffix.lstrip(".") if write else "md"
    if how not in work.FORMATS:
        raise UsageError(f"--write {write}: the name ends with .{', .'.join(work.FORMATS)}")
    host, journal = open_host(root, state)
    chosen = open_profile(profile, config, nics)
    cpus: list[meter.Cpu] = []
    if jitter is not None:
        if not host.live:
            raise UsageError("--jitter: a recorded or made host cannot be measured")
        roles = plan.wanted(chosen, host).roles
        cpus = meter.measure(sorted(roles.feed | roles.order or host.online), jitter)
    made = work.make(chosen, host, journal, cpus)
    text = work.render(made, how)
    if write:
        part = write.with_name(f"{write.name}.part")  # a collector never sees half a file
        part.write_text(text, encoding="utf-8")
        part.replace(write)
        out.say(f"{write}: {', '.join(f'{cnt} {verdict}' for verdict, cnt in made.counts.items() if cnt)}")
    else:
        out.say(text)
    out.emit({"file": str(write) if write else None, "profile": made.profile, "summary": made.counts})
    return 0
