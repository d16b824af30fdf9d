"""hwgw conformance: try a pre-trade gate on the scenarios of the kit.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path

import click

from .common import Output, verb


@verb("conformance")
@click.option(
    "--gate", type=click.Path(path_type=Path), help="A shared object with the three functions of hwgw_gate.h."
)
@click.option("--only", help="Only scenarios whose name contains this.")
@click.option("--page", "as_page", is_flag=True, help="Print the page that explains the scenarios instead.")
def command(out: Output, gate: Path | None, only: str | None, as_page: bool) -> int:
    """Try a pre-trade gate on short scenarios.

    Without --gate it is hwgw's own. Each scenario starts at reset and has an expected verdict for every event; exit
    code 1 when one was answered otherwise.
    """
    from hwgw.conformance import Gate, OwnGate, SharedObjectGate, run, scenarios
    from hwgw.conformance.runner import page
    from hwgw.errors import UsageError

    if as_page:
        click.echo(page(), nl=False)
        return 0

    def make() -> Gate:
        return SharedObjectGate(gate) if gate else OwnGate()

    chosen = [scenario for scenario in scenarios() if not only or only in scenario.name]
    if not chosen:
        raise UsageError(f"no scenario's name contains {only!r}")
    outcomes = run(make, chosen)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in outcomes:
        out.say(f"{'ok   ' if outcome.passed else 'WRONG'}  {outcome.scenario.name} ({outcome.played} events)")
        if not outcome.passed:
            step = outcome.scenario.steps[outcome.step - 1]
            out.row("         ", f"event {outcome.step}, {step.text}: {outcome.want} was expected, {outcome.got} came")
            out.row("         ", f"it prevents: {outcome.scenario.prevents}")
    events = sum(outcome.played for outcome in outcomes)
    out.say(f"{len(outcomes) - len(failed)} of {len(outcomes)} scenarios as they must be, {events} verdicts compared")
    out.emit(
        {
            "gate": str(gate) if gate else "hwgw",
            "scenarios": [
                {
                    "name": o.scenario.name, "topic": o.scenario.topic, "passed": o.passed, "events": o.played,
                    **({} if o.passed else {"event": o.step, "want": o.want, "got": o.got}),
                }
                for o in outcomes
            ],
            "passed": len(outcomes) - len(failed), "failed": len(failed), "events": events,
        }
    )  # fmt: skip
    return 1 if failed else 0
