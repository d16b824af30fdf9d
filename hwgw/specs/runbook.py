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

__all__ = ["page", "texts"]


def texts() -> dict[str, dict[str, str]]:
    """Where to look and what to do, by reason."""
    path = Path(__file__).with_name("runbook.yaml")
    found: dict[str, dict[str, str]] = reader.parse(path.read_text(encoding="utf-8"), path.name)
    return found


def _plain(text: str) -> str:
    """What a rule says with the names of its labels in the place of their values."""
    return re.sub(r"\{\{ *\$labels\.(\w+) *\}\}", lambda match: match[1].upper(), text)


def page(rules: dict[str, Any]) -> Iterator[str]:
    """The whole page as lines of Markdown."""
    yield "# Runbook\n"
    yield "Made from the tables (`make docs`): alerts from `deploy/prometheus`, reasons from `hwgw/specs`.\n"
    yield "First, always: no order leaves a halted gateway, so there is time. The venue knows what is open.\n"
    yield "## Alerts\n"
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    yield from rows(
        "alert | means | look and do | severity",
        (
            [f"`{rule['alert']}`", *(_plain(rule["annotations"][key]) for key in ("summary", "description")),
             rule["labels"]["severity"]]
            for rule in alerts
        ),
    )  # fmt: skip
    yield "## Reasons\n"
    yield "For which an order is refused, or a gateway or instrument halted.\n"
    known = texts()
    for reason in reasons()[1:]:
        said = known.get(reason.name, {"look": "hwgw status NAME", "do": "see risk.md"})
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
