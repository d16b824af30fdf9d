"""`hwgw tune` on this machine itself: sysctls, THP, huge pages, workqueue masks, interrupts, /dev/cpu_dma_latency.

SPDX-License-Identifier: MIT

Everything is put back, also when a test fails; a kill -9 in the middle of an apply is part of the test.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import kill_points

from hwgw.cli import execute
from hwgw.errors import PrivilegeError
from hwgw.tune import apply, hold, plan, profile, verify
from hwgw.tune.host import Host
from hwgw.tune.knob import Setting, actuator
from hwgw.tune.state import State

pytestmark = pytest.mark.root

PROFILE = """
roles:
  feed: {feed}
share_cores: true
hugepages_2m: {pages}
knobs:
  irq.default_mask: recommended
  irq.devices: recommended
  cpu.dma_latency: 20
  kernel.workqueue_mask: recommended
  kernel.workqueue_masks: recommended
  vm.stat_interval: 9
  mem.thp: never
  mem.hugepages_2m: recommended
  vm.swappiness: 11
  vm.dirty_bytes: 300000000
  net.tcp_autocorking: recommended
  net.tcp_rmem: 4096 131000 6000000
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a profile for this machine: its last CPU is the feed's."""
    host = Host()
    if len(host.online) < 2:
        pytest.skip("needs two CPUs: one to isolate, one for everything else")
    node = next(n for n, cpus in host.nodes.items() if max(host.online) in cpus)
    path = f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages"
    pages = int(host.read(path) or "0") + 3
    file = tmp_path / "site.yaml"
    file.write_text(PROFILE.format(feed=max(host.online), pages=pages).lstrip(), encoding="utf-8")
    return file


@pytest.fixture
def restored(site: Path, tmp_path: Path) -> Iterator[tuple[Path, list[Setting], dict[str, str | None]]]:
    """Return the journal's folder, what the profile wants, and what is there; it is put back whatever happens."""
    host, state = Host(), State(Host(), tmp_path / "state")
    wanted = plan.wanted(profile.load(str(site)), host).settings
    before = values(wanted)
    yield tmp_path / "state", wanted, before
    with state.locked():
        apply.rollback(host, state, 0)
    assert values(wanted) == before


def values(wanted: list[Setting]) -> dict[str, str | None]:
    """What is set now."""
    host = Host()
    return {f"{s.knob.name} {s.target}": actuator(s.knob.kind).read(host, s.target) for s in wanted}


def test_apply_verify_and_rollback_on_this_machine(
    site: Path, restored: tuple[Path, list[Setting], dict[str, str | None]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Written for real, in force, and as before afterwards."""
    folder, wanted, before = restored
    args = ["--profile", str(site), "--state", str(folder), "--json"]
    kinds = {s.knob.kind for s in wanted}
    assert {"irq", "file", "sysctl", "hold"} <= kinds
    assert execute(["tune", "apply", *args]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["failed"] == []
    written = {row["knob"] for row in said["written"]}
    assert {
        "mem.thp",
        "mem.hugepages_2m",
        "vm.swappiness",
        "vm.dirty_bytes",
        "cpu.dma_latency",
        "net.tcp_rmem",
    } <= written
    assert {"kernel.workqueue_mask", "irq.default_mask"} <= written
    host = Host()
    assert hold.Hold().read(host, "/dev/cpu_dma_latency") == "20"
    assert host.read("/proc/sys/vm/dirty_ratio") == "0"  # the kernel's twin
    holder = hold.holder(host)
    assert holder is not None
    assert Path(f"/proc/{holder}").exists()
    assert execute(["tune", "apply", *args]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == []
    code = execute(["tune", "verify", *args])
    said = json.loads(capsys.readouterr().out)
    drifted = [row for row in said["knobs"] if row["verdict"] in ("drift", "foreign owner")]
    assert (code, drifted) == (0, [])
    assert said["summary"]["ok"] >= 15
    Path("/proc/sys/vm/swappiness").write_text("12", encoding="ascii")
    assert execute(["tune", "verify", *args]) == 1
    assert [r["knob"] for r in json.loads(capsys.readouterr().out)["knobs"] if r["verdict"] == "drift"] == [
        "vm.swappiness"
    ]
    assert execute(["tune", "rollback", "--state", str(folder)]) == 0
    assert values(wanted) == before
    assert hold.holder(host) is None
    assert host.status(holder).get("State", "Z")[:1] == "Z"  # ended; we are its parent here


def test_kill_in_the_middle_on_this_machine(
    site: Path, restored: tuple[Path, list[Setting], dict[str, str | None]], tmp_path: Path
) -> None:
    """kill -9 at a few of the writes; rollback puts this kernel back each time."""
    folder, wanted, before = restored
    chosen = profile.load(str(site))
    del chosen.knobs["cpu.dma_latency"]  # a process more for each try: above it is held and ended once

    def work() -> None:
        host = Host()
        state = State(host, folder)
        with state.locked():
            apply.recover(host, state)
            apply.apply(plan.make(chosen, host, state), host, state)

    whole = kill_points.run(work, -1, tmp_path / "report")
    assert whole is not None
    torn = 0
    for fatal in range(3, whole, max(1, whole // 6)):
        host, state = Host(), State(Host(), folder)
        with state.locked():
            apply.rollback(host, state, 0)
        assert kill_points.run(work, fatal, tmp_path / "report") is None
        torn += bool(state.standing()[-1].written())
    assert torn >= 4
    rows = verify.summary(verify.verify(plan.wanted(chosen, Host()), Host(), State(Host(), folder)))
    assert rows["ok"] > 0
    assert before  # and the fixture sees that all of it is back


def test_nobody_may_look_and_not_change(tmp_path: Path) -> None:
    """Planning and verifying this machine takes no privilege; changing it is refused before anything is written."""
    tmp_path.chmod(0o755)
    chosen = profile.load("minimal")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            host = Host()
            state = State(host, tmp_path / "state")
            found = plan.make(chosen, host, state)
            cnt = verify.summary(verify.verify(found, host, state))
            os.write(writer, f"{len(found.settings)} {sum(cnt.values())} ".encode())
            try:
                with state.locked():
                    pass
            except PrivilegeError as error:
                os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    settings, rows, said = os.read(reader, 1000).decode().split(" ", 2)
    os.close(reader)
    os.close(writer)
    assert int(rows) >= int(settings) >= 10
    assert said == "changing a host takes root; plan, verify and status do not"
    assert not (tmp_path / "state").exists()
