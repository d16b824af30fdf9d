"""The Ansible role and the rollout, by local connections to two made hosts: `make ansible-check`.

SPDX-License-Identifier: MIT

Each host is a folder of its own for configuration, records and what hwgw tune writes; its gateway is a real one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import hosts
from support.market import is_alive, until

PLAYBOOK = os.environ.get("HWGW_ANSIBLE", "")
pytestmark = pytest.mark.skipif(not PLAYBOOK, reason="make ansible-check runs it: needs ansible-core")
PROGRAM = Path(sys.executable).with_name("hwgw")
# what systemctl restart is on a host
RESTART = """#!/bin/sh
cd "{folder}"
if [ -e pid ]; then kill "$(cat pid)" 2>/dev/null; while kill -0 "$(cat pid)" 2>/dev/null; do sleep 0.1; done; fi
HWGW_STATE_DIR="{folder}/state" setsid "{program}" run -q "etc/current/$1.yaml" >said 2>&1 </dev/null &
echo $! >pid
"""


class Fleet:
    """Hosts h0 and h1, each with a gateway."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.names = [f"{folder.name[-12:].replace('_', '-')}-{number}" for number in range(2)]
        self.hosts = [folder / f"h{number}" for number in range(2)]
        example = (root / "deploy/examples/gateway.yaml").read_text(encoding="utf-8")
        example = re.sub(r"^session:.*?(?=^confine:)", "", example, flags=re.MULTILINE | re.DOTALL)
        example = re.sub(
            r"^        (snapshot|recover):.*?(?=^\S|^        \S)", "", example, flags=re.MULTILINE | re.DOTALL
        )
        self.example = re.sub(r"^  - cpu: 1.*$", "  - cpu: 0", example, flags=re.MULTILINE)
        lines = []
        for host, name in zip(self.hosts, self.names, strict=True):
            hosts.make(host / "machine")
            script = host / "restart"
            script.write_text(RESTART.format(folder=host, program=PROGRAM), encoding="utf-8")
            script.chmod(0o755)
            lines.append(
                f"{host.name} ansible_connection=local ansible_python_interpreter={sys.executable} hwgw_etc={host}/etc"
                f" hwgw_state={host}/state hwgw_cache={host}/cache hwgw_gateways='[\"{name}\"]'"
                f" hwgw_restart='[\"{script}\"]'"
                f' hwgw_tune_options=\'["--root", "{host}/machine", "--state", "{host}/tune"]\''
            )
        (folder / "inventory").write_text("[gateways]\n" + "\n".join(lines) + "\n", encoding="utf-8")
        (folder / "ansible.cfg").touch()
        shutil.copytree(root / "deploy/ansible", folder / "role")
        said = json.loads(self.run("limits", "keygen", folder / "key", "--json"))
        (self.public,) = (value for value in said.values() if re.fullmatch(r"[0-9a-f]{64}", str(value)))

    def run(self, *args: str | Path) -> str:
        return subprocess.run([PROGRAM, *args], capture_output=True, text=True, check=True, timeout=60).stdout

    def bundle(self, serial: int, change: tuple[str, str] = ("", "")) -> Path:
        """A bundle of every gateway's file."""
        site = self.folder / f"site{serial}"
        site.mkdir()
        for number, name in enumerate(self.names):
            text = self.example.replace("name: example", f"name: {name}").replace("26477", str(26_600 + number))
            (site / f"{name}.yaml").write_text(text.replace(*change) if change[0] else text, encoding="utf-8")
        file = self.folder / f"fleet-{serial}.bundle"
        self.run(
            "bundle", "make", site, "--name", "fleet", "--serial", str(serial), "--key", self.folder / "key", "-o", file
        )
        return file

    def play(self, *options: str, **variables: Any) -> tuple[int, dict[str, dict[str, int]], str]:
        """Exit code, what each host's recap counts, and what was said."""
        variables = {
            "hwgw_program": str(PROGRAM), "hwgw_bundle_keys": [self.public], "hwgw_enable": False, "hwgw_doctor": False,
            "hwgw_soak_s": 0, "hwgw_tune_profile": "minimal", "hwgw_health_retries": 60, **variables,
        }  # fmt: skip
        environment = os.environ | {
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_HOME": str(self.folder / "ansible"), "ANSIBLE_LOCALHOST_WARNING": "0", "PYTHONWARNINGS": "ignore",
        }  # fmt: skip
        done = subprocess.run(
            [PLAYBOOK, "-i", self.folder / "inventory", self.folder / "role/rollout.yml", *options,
             "-e", json.dumps(variables)],
            capture_output=True, text=True, env=environment, timeout=500, check=False,
        )  # fmt: skip
        recap = {
            name: {key: int(cnt) for key, cnt in re.findall(r"(\w+)=(\d+)", counts)}
            for name, counts in re.findall(r"^(h\d) +: (.*)$", done.stdout, re.MULTILINE)
        }
        return done.returncode, recap, done.stdout + done.stderr

    def runs(self, name: str) -> bool:
        """Whether a gateway runs, halted or not: a busy machine may have let its heartbeat wait."""
        done = subprocess.run([PROGRAM, "status", "--json", name], capture_output=True, timeout=60, check=False)
        return bool(json.loads(done.stdout)["gateways"][0]["running"])

    def pid(self, number: int) -> int:
        return int((self.hosts[number] / "pid").read_text())

    def release(self, number: int) -> str:
        return (self.hosts[number] / "etc/current").readlink().name

    def close(self) -> None:
        for host in self.hosts:
            if (host / "pid").exists():
                pid = int((host / "pid").read_text())
                subprocess.run(["kill", str(pid)], check=False, stderr=subprocess.DEVNULL)
                until(lambda pid=pid: not is_alive(pid), "the gateway has ended")
        for name in self.names:
            Path(f"/dev/shm/hwgw-{name}").unlink(missing_ok=True)


@pytest.fixture
def fleet(tmp_path: Path, root: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path, root)
    yield made
    made.close()


def test_a_fleet_is_rolled_out_twice_without_a_change_and_a_batch_that_fails_is_put_back(fleet: Fleet) -> None:
    first = str(fleet.bundle(1))
    before = [hosts.snapshot(host) for host in fleet.hosts]
    code, recap, said = fleet.play("--check", hwgw_bundle=first)
    assert (code, set(recap)) == (0, {"h0", "h1"}), said
    assert [hosts.snapshot(host) for host in fleet.hosts] == before

    code, recap, said = fleet.play(hwgw_bundle=first)
    assert code == 0, said
    assert all(recap[host]["changed"] > 3 and not recap[host]["failed"] for host in ("h0", "h1")), said
    assert [fleet.release(number) for number in range(2)] == ["000000000001"] * 2
    pids = [fleet.pid(number) for number in range(2)]
    assert all(is_alive(pid) for pid in pids)
    for name in fleet.names:
        assert fleet.runs(name)
    for host in fleet.hosts:
        fleet.run("tune", "verify", "--profile", "minimal", "--root", host / "machine", "--state", host / "tune")

    code, recap, said = fleet.play(hwgw_bundle=first)
    assert code == 0, said
    assert [recap[host]["changed"] for host in ("h0", "h1")] == [0, 0], said
    assert [fleet.pid(number) for number in range(2)] == pids

    # a folder that no host has: the file is right, the gateway cannot start
    bad, back = (
        str(fleet.bundle(2, ("\nconfine:", "\njournal: {folder: /proc/nowhere}\nconfine:"))),
        str(fleet.bundle(3)),
    )
    code, recap, said = fleet.play(
        hwgw_bundle=bad, hwgw_rollback_bundle=back, hwgw_batches=[1, 1], hwgw_health_retries=5
    )
    assert code == 2, said
    assert set(recap) == {"h0"}, said
    assert recap["h0"]["failed"] == recap["h0"]["rescued"] == 1, said
    assert "Wait until each gateway is well" in said
    assert "it was put back" in said
    assert [fleet.release(number) for number in range(2)] == ["000000000003", "000000000001"]
    assert fleet.pid(1) == pids[1]
    assert fleet.pid(0) != pids[0]
    assert fleet.runs(fleet.names[0])

    # an old bundle is refused, and the host left as it was
    code, recap, said = fleet.play("--limit", "h0", hwgw_bundle=first)
    assert (code, fleet.release(0)) == (2, "000000000003"), said
    assert "there was nothing to put back" in said
