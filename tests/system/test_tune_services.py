"""Services as knobs, against a real systemd in namespaces of its own: what it answers is what the fake one answers.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import booted

_HEAD = "[Unit]\nDefaultDependencies=no\n"
UNITS = {
    "steady.service": f"{_HEAD}[Service]\nExecStart=/bin/sleep 1000\n",
    "refused.service": f"{_HEAD}RefuseManualStart=yes\n[Service]\nExecStart=/bin/sleep 1000\n",
    "broken.service": f"{_HEAD}[Service]\nType=oneshot\nExecStart=/bin/false\n",
    "masked.service": "",
}
# what was tried: verb, unit
TRIED = [
    ("show", "steady.service"), ("start", "steady.service"), ("show", "steady.service"), ("stop", "steady.service"),
    ("show", "steady.service"), ("stop", "steady.service"), ("start", "nosuch.service"), ("stop", "nosuch.service"),
    ("show", "nosuch.service"), ("start", "refused.service"), ("start", "broken.service"), ("show", "broken.service"),
    ("stop", "broken.service"), ("start", "masked.service"),
]  # fmt: skip
FAKE = {
    "steady.service": {"active": "inactive"}, "refused.service": {"active": "inactive", "refuse": True},
    "broken.service": {"active": "inactive", "on_start": "failed"},
    "masked.service": {"active": "inactive", "load": "masked"},
}  # fmt: skip


@pytest.fixture
def real(tmp_path: Path) -> Iterator[booted.Inside]:
    """Return a function that runs a command beside a real systemd."""
    if why := booted.why_not():
        pytest.skip(why)
    with booted.booted(tmp_path, UNITS) as inside:
        if isinstance(inside, str):
            pytest.skip(inside)
        yield inside


def _said(done: subprocess.CompletedProcess[str]) -> tuple[int, str, list[str]]:
    return done.returncode, done.stdout.strip(), done.stderr.split()


@pytest.mark.root
def test_the_fake_systemctl_answers_as_the_real_one(real: booted.Inside, tmp_path: Path, root: Path) -> None:
    """The same commands in the same order: exit code, output and message; then our own actuator beside it."""
    units = tmp_path / "units.json"
    units.write_text(json.dumps(FAKE), encoding="utf-8")
    fake = [sys.executable, str(root / "tests/support/fake_systemctl.py"), str(units)]
    cnt = 0
    for verb, unit in TRIED:
        words = ["--no-ask-password", verb, *(["--property=ActiveState"] if verb == "show" else []), unit]
        theirs = _said(real("systemctl", *words))
        ours = _said(subprocess.run([*fake, *words], capture_output=True, text=True, timeout=60, check=False))
        assert ours == theirs, (verb, unit)
        cnt += 1
    assert cnt == len(TRIED) == 14

    script = (
        "from hwgw.tune.host import Host; from hwgw.tune.knob import actuator; s = actuator('service'); h = Host();\n"
        "print(h.has_services, s.read(h, 'steady.service'))\n"
        "s.write(h, 'steady.service', 'running'); print(s.read(h, 'steady.service'))\n"
        "s.write(h, 'steady.service', 'stopped'); print(s.read(h, 'steady.service'))\n"
        "try: s.write(h, 'nosuch.service', 'running')\n"
        "except OSError as error: print(error.strerror)\n"
    )
    done = real(sys.executable, "-c", script)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "True stopped", "running", "stopped",
        "systemctl: Failed to start nosuch.service: Unit nosuch.service not found.",
    ]  # fmt: skip
