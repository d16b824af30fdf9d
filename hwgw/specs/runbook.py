"""The runbook from the tables: each alert and each reason, what it means, where to look, what to do.

SPDX-License-Identifier: MIT

    python -m hwgw.specs.runbook deploy/prometheus/hwgw.rules.yml docs/protocols/runbook.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import reader, reasons
from .docs import rows

__all__ = ["RULES", "page", "texts"]

# what a rule of the section alerts of gateway.yaml looks at, and the alert that says the same
RULES = {
    "halted": "HwgwHalted",
    "instrument_halted": "HwgwInstrumentHalted",
    "venue_halted": "HwgwVenueHalted",
    "breaker": "HwgwBreakerTripped",
    "feed": "HwgwFeedNotGood",
    "session": "HwgwSessionDown",
    "receive": "HwgwReceiveDown",
    "gone": "HwgwDown",
    "heartbeat": "HwgwHeartbeatLate",
    "limit": "HwgwLimitNear",
    "journal": "HwgwJournalFilling",
    "counter": "HwgwFramesDropped",  # or of whatever else it counts
}


def texts() -> dict[str, dict[str, str]]:
    """Where to look and what to do, by reason."""
    path = Path(__file__).with_name("runbook.yaml")
    found: dict[str, dict[str, str]] = reader.parse(path.read_text(encoding="utf-8"), path.name)
    return found


def _plain(text: str) -> str:
    """What a rule says with the names of its labels in the place of their values."""
    return re.sub(r"\{\{ *\$labels\.(\w+) *\}\}", lambda match: match[1].upper(), text)


def _look_and_do(rule: dict[str, Any]) -> tuple[str, str]:
    """The two sentences of a description: "Look: ... Do: ..."."""
    look, middle, do = _plain(rule["annotations"]["description"]).partition(" Do: ")
    if not look.startswith("Look: ") or not middle:
        raise ValueError(f"{rule['alert']}: its description is not of the form Look: ... Do: ...")
    return look.removeprefix("Look: "), do


def page(rules: dict[str, Any]) -> Iterator[str]:
    """The whole page as lines of Markdown."""
    yield "# Runbook\n"
    yield "Made from the tables (`make docs`): alerts from `deploy/prometheus`, reasons from `hwgw/specs`.\n"
    yield "First, always: no order leaves a halted gateway, so there is time. The venue knows what is open.\n"
    yield "## Alerts\n"
    yield "Of Prometheus, and beside each the rule of a `gateway.yaml` (`when`) that tells the same.\n"
    own = {alert: when for when, alert in RULES.items()}
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    yield from rows(
        "alert | when | means | look | do | severity",
        (
            [f"`{rule['alert']}`", f"`{own[rule['alert']]}`" if rule["alert"] in own else "",
             _plain(rule["annotations"]["summary"]), *_look_and_do(rule), rule["labels"]["severity"]]
            for rule in alerts
        ),
    )  # fmt: skip
    yield "## Reasons\n"
    yield "For which an order is refused, or a gateway or instrument halted.\n"
    known = texts()
    for reason in reasons()[1:]:
        said = known[reason.name]
        yield f"### {reason.name}\n"
        yield f"- **Means:** {reason.note}\n- **Look:** {said['look']}\n- **Do:** {said['do']}\n"


def main(argv: list[str]) -> int:
    """Write the page."""
    if len(argv) != 2:
        print("hwgw.specs.runbook: name the file of rules and the file to write", file=sys.stderr)
        return 2
    import yaml

    rules = yaml.safe_load(Path(argv[0]).read_text(encoding="utf-8"))
    out = Path(argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(page(rules)).rstrip() + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
