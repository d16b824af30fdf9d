"""A systemctl that keeps units in a file and answers as that of systemd 252: exit codes and messages, nothing more.

SPDX-License-Identifier: MIT

    fake_systemctl.py UNITS.json [--no-ask-password] show|start|stop [--property=P] UNIT

UNITS.json: {unit: {"active": "active", "load": "loaded", "on_start": "failed", "hang": seconds, "refuse": true}}.
tests/system/test_tune_services.py holds it against the real one.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main(argv: list[str]) -> int:
    """Answer one command."""
    file = Path(argv[0])
    units = json.loads(file.read_text(encoding="utf-8"))
    words = [word for word in argv[1:] if not word.startswith("--")]
    verb, name = words
    unit = units.get(name)
    if verb == "show":
        print(f"ActiveState={unit['active'] if unit else 'inactive'}")
        return 0
    if unit is None:
        if verb == "start":
            print(f"Failed to start {name}: Unit {name} not found.", file=sys.stderr)
        else:
            print(f"Failed to stop {name}: Unit {name} not loaded.", file=sys.stderr)
        return 5
    time.sleep(unit.get("hang", 0))
    if verb == "start" and unit.get("load") == "masked":
        print(f"Failed to start {name}: Unit {name} is masked.", file=sys.stderr)
        return 1
    if unit.get("refuse"):
        print(
            f"Failed to {verb} {name}: Operation refused, unit {name} may be requested by dependency only (it is "
            f"configured to refuse manual start/stop).\nSee system logs and 'systemctl status {name}' for details.",
            file=sys.stderr,
        )
        return 4
    if verb == "start" and unit.get("on_start") == "failed":
        unit["active"] = "failed"
        print(f"Job for {name} failed because the control process exited with error code.", file=sys.stderr)
        print(f'See "systemctl status {name}" and "journalctl -xeu {name}" for details.', file=sys.stderr)
    else:
        unit["active"] = "active" if verb == "start" or unit.get("again") else "inactive"
    file.write_text(json.dumps(units), encoding="utf-8")
    return int(verb == "start" and unit["active"] == "failed")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
