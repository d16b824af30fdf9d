"""The units of deploy/systemd: read without a complaint, as closed as is said, and a gateway that runs under one.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import booted

EXPOSURE_MAX = 2.0
NAMES = ("hwgw@.service", "hwgw-metrics.service", "hwgw.slice")
# what a private machine without the user hwgw, /etc/hwgw and a venue needs otherwise; root lacks its capabilities
_HERE = (
    "[Unit]\nDefaultDependencies=no\nWants=\nAfter=\n[Service]\nUser=root\nGroup=root\nProtectHome=no\n"
    "StandardOutput=file:/run/said\nStandardError=file:/run/said\nWatchdogSec=2\n"
)


def units(folder: Path, root: Path) -> dict[str, Path]:
    """Copies whose program is that of this tree, by name; the template as an instance."""
    program = Path(sys.executable).with_name("hwgw")
    found = {}
    for name in NAMES:
        text = (root / "deploy/systemd" / name).read_text(encoding="utf-8").replace("/usr/bin/hwgw", str(program))
        found[name] = folder / name.replace("@.", "@example.")
        found[name].write_text(text, encoding="utf-8")
    return found


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze (systemd)")
def test_units_are_read_without_a_word_and_are_as_closed_as_the_page_says(tmp_path: Path, root: Path) -> None:
    """systemd-analyze ends with 0 for unknown keys, so anything on stderr counts; the page names each exception."""
    page = (root / "docs/deploy.md").read_text(encoding="utf-8")
    cnt = 0
    for name, file in units(tmp_path, root).items():
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(file)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), name
        if name.endswith(".slice"):
            continue
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", str(file)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        overall = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
        assert overall, done.stderr
        assert float(overall[1]) <= EXPOSURE_MAX, done.stdout
        assert f"`{name}` {overall[1]}" in page
        for line in done.stdout.splitlines():
            if line.startswith("✗"):
                assert f"`{line.split()[1]}`" in page, f"docs/deploy.md does not say why {name} has {line}"
                cnt += 1
    assert cnt > 10


@pytest.mark.root
def test_a_gateway_runs_under_its_unit(tmp_path: Path, root: Path) -> None:
    """Ready when its pipelines are open, watched, stopped in order; hung, it is stopped by systemd."""
    if why := booted.why_not():
        pytest.skip(why)
    text = units(tmp_path, root)["hwgw@.service"].read_text(encoding="utf-8")
    text = text.replace("/etc/hwgw/current/%i.yaml", "/run/systemd/system/gateway.yaml")
    text = "\n".join(line for line in text.splitlines() if not line.startswith(("Wants=", "After=")))
    text = text.replace("[Service]\n", _HERE, 1).replace("User=hwgw\nGroup=hwgw\n", "")
    text = (
        text.replace("ConfigurationDirectory=hwgw\n", "").replace("ProtectHome=yes\n", "").replace("WatchdogSec=5", "")
    )
    example = (root / "deploy/examples/gateway.yaml").read_text(encoding="utf-8")
    gateway = re.sub(r"^session:.*?(?=^confine:)", "", example, flags=re.MULTILINE | re.DOTALL)  # there is no venue
    # the password of its snapshots as docs/deploy.md says
    assert gateway.count("          password: secret ") == 1
    secret = "/run/credentials/hwgw@unit.service/venue.secret"
    gateway = gateway.replace("          password: secret ", f"          password_file: {secret} ")
    text = text.replace("[Service]\n", "[Service]\nLoadCredential=venue.secret:/run/systemd/system/venue.secret\n", 1)
    files = {"hwgw@unit.service": text, "gateway.yaml": gateway, "venue.secret": "hush\n"}
    with booted.booted(tmp_path, files) as inside:
        if isinstance(inside, str):
            pytest.skip(inside)
        inside("ip", "link", "set", "lo", "up")
        done = inside("systemctl", "start", "hwgw@unit.service")
        said = inside("cat", "/run/said").stdout
        assert done.returncode == 0, said + inside("systemctl", "status", "-l", "hwgw@unit.service").stdout

        def show(key: str) -> str:
            return inside("systemctl", "show", "--value", f"--property={key}", "hwgw@unit.service").stdout.strip()

        assert (show("ActiveState"), show("StatusText")[:8]) == ("active", "running,"), said
        time.sleep(3)  # longer than the watchdog waits
        assert show("ActiveState") == "active"
        main = show("MainPID")
        limits = inside("cat", f"/proc/{main}/limits").stdout
        assert re.search(r"Max core file size\s+0\s+0", limits)
        status = inside("cat", f"/proc/{main}/status").stdout
        assert re.search(r"NoNewPrivs:\s+1", status)
        assert re.search(r"Seccomp:\s+2", status)
        inside("systemctl", "stop", "hwgw@unit.service")
        assert show("Result") == "success", inside("cat", "/run/said").stdout

        # a control process that is killed: the data process cancels, logs out and ends by itself, not by systemd's kill
        inside("systemctl", "start", "hwgw@unit.service")
        inside("kill", "-KILL", show("MainPID"))
        program = str(Path(sys.executable).with_name("hwgw"))
        end = time.monotonic() + 60
        while True:
            status = inside(program, "status", "example", "--json")
            (look,) = json.loads(status.stdout)["gateways"]
            if not look["running"] or time.monotonic() > end:
                break
            time.sleep(0.01)
        assert [row["reason"] for row in look["halts"]] == ["control_lost"]
        assert look["pipelines"][0]["state"] == "stopped"
        inside("systemctl", "stop", "hwgw@unit.service")

        # a data process that stands still makes no rounds: no sign of life, and systemd ends it, which wakes it first
        inside("systemctl", "reset-failed", "hwgw@unit.service")
        inside("systemctl", "start", "hwgw@unit.service")
        data = next(pid for pid in inside("ps", "-o", "pid=", "--ppid", show("MainPID")).stdout.split())
        inside("kill", "-STOP", data)
        end = time.monotonic() + 60
        while show("Result") != "watchdog" and time.monotonic() < end:
            time.sleep(0.05)
        assert show("Result") == "watchdog"
        while inside("kill", "-0", data).returncode == 0 and time.monotonic() < end:
            time.sleep(0.05)
        assert inside("kill", "-0", data).returncode != 0
