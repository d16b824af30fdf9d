"""hwgw check: is a configuration file right, and what does it say.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path

import click

from .common import Output, verb


@verb("check")
@click.argument("config", type=click.Path(path_type=Path, readable=False))
def command(out: Output, config: Path) -> int:
    """Check a configuration file.

    Reports every problem of CONFIG at once, one line each, and ends with exit code 3 when there is one.
    """
    from hwgw.config import ProblemsError, load
    from hwgw.risk.limits import checks_enabled, limits_table

    try:
        settings = load(config)
    except ProblemsError as error:
        problems = [{"line": p.line, "key": p.key, "text": p.text} for p in error.problems]
        out.emit({"file": str(config), "ok": False, "problems": problems})
        for problem in error.problems:
            click.echo(f"{config}:{problem}", err=True)
        return error.exit_code
    limits = settings.limits
    table = limits_table(limits)
    out.emit(
        {
            "file": str(config),
            "ok": True,
            "problems": [],
            "name": settings.name,
            "symbols": len(settings.symbols),
            "channels": sum(len(pipeline.channels) for pipeline in settings.pipelines),
            "strategies": [strategy.name for strategy in settings.strategies],
            "checks_enabled": checks_enabled(limits.checks_off),
            "checks_off": list(limits.checks_off),
            "limits_checksum": f"{int(table['checksum'][0]):016x}",
        }
    )
    enabled = sum(instrument.enabled for instrument in limits.instruments)
    channels = [channel for pipeline in settings.pipelines for channel in pipeline.channels]
    lines = sum(len(channel.lines) for channel in channels)
    out.say(f"{config}: ok, gateway {settings.name}")
    out.say(
        f"  receive     {', '.join(f'{p.receive.backend} {p.receive.interface}'.strip() for p in settings.pipelines)}"
    )
    out.say(f"  feed        {len(channels)} channel(s), {lines} line(s)")
    out.say(f"  symbols     {len(settings.symbols)}, {enabled} enabled for orders")
    out.say(f"  strategies  {', '.join(f'{s.name} ({s.kind}:{s.target})' for s in settings.strategies) or 'none'}")
    out.say(f"  checks off  {', '.join(limits.checks_off) or 'none'}")
    sessions = ", ".join(f"{s.protocol} {s.venue}".strip() for s in settings.sessions)
    out.say(f"  session     {sessions or 'none: no order leaves'}")
    for absent in settings.secrets.absent:
        out.row("  secrets     ", f"{absent} was not looked at: only its unit is given it")
    return 0
