"""What `hwgw run` says when it cannot have what it was told to take: the exit code, the cause, the remedy, in one line.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import yaml
from hwgw_sim.lab import Lab
from hwgw_sim.receiver import Receiver
from support import forked
from support.forked import inside
from support.market import PATIENCE_S, until
from support.without_call import refuse

from hwgw.errors import HwgwError
from hwgw.segment import Segment, remove_left_over

BPF, SOCKET, SECCOMP = 321, 41, 317  # of x86-64, asm/unistd_64.h
HUGE_PAGES = Path("/proc/sys/vm/nr_hugepages")

pytestmark = [
    pytest.mark.root,
    pytest.mark.afxdp,
    pytest.mark.skipif(bool(Lab.missing()), reason=f"no network namespaces: {Lab.missing()}"),
]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


NAME = f"start-{os.getpid()}"


def config(folder: Path, lab: Lab, receive: dict[str, object], priority: int = 0, **keys: object) -> Path:
    """The file of a gateway in the lab."""
    line = {"group": "239.1.2.3", "port": 26400}
    receive = {"interface": lab.gateway.interface, **receive}
    settings = {
        "name": NAME,
        "pipelines": [{"fifo_priority": priority, "receive": receive, "channels": [{"name": "feed", "lines": [line]}]}],
        "instruments": {"symbols": ["AAPL"], "orders_max": 1024},
        **keys,
    }
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path


@pytest.fixture
def run(lab: Lab, tmp_path: Path) -> Iterator[Run]:
    """Runs a gateway in the lab for a moment, behind a command or a function when one is given."""

    def run(
        receive: dict[str, object],
        behind: Sequence[str] | Callable[[], None] = (),
        options: Sequence[str] = (),
        priority: int = 0,
        **keys: object,
    ) -> subprocess.CompletedProcess[str]:
        path = config(tmp_path, lab, receive, priority, **keys)
        prefix, before = ([], behind) if callable(behind) else (behind, None)
        command = [*prefix, sys.executable, "-m", "hwgw.cli", "run", str(path), "--seconds", "0.05", *options]
        with lab.gateway.entered():
            done = forked.run(command, preexec_fn=before)
        if done.returncode:
            assert done.stderr.count("\n") == 1, done.stderr
        return done

    yield run
    with contextlib.suppress(Exception):
        remove_left_over(NAME)


def without(number: int, code: int) -> Callable[[], None]:
    return partial(refuse, number, code)


def test_an_unknown_interface_is_named(run: Run) -> None:
    done = run({"backend": "afxdp", "interface": "nosuch0"})
    assert done.returncode == 3
    assert 'interface "nosuch0": No such device' in done.stderr


def test_an_interface_that_is_down_is_named_with_the_command(run: Run, lab: Lab) -> None:
    lab.gateway.ip(f"link set {lab.gateway.interface} down")
    done = run({"backend": "afxdp"})
    assert done.returncode == 5
    assert f"is down: ip link set {lab.gateway.interface} up" in done.stderr


def test_another_program_on_the_interface_is_named(run: Run, lab: Lab) -> None:
    with lab.gateway.entered():
        holder = Receiver("afxdp", [("239.1.2.3", 26400)], interface=lab.gateway.interface)
    with holder:
        done = run({"backend": "afxdp"})
        assert done.returncode == 5
        assert 'is held by XDP program "hwgw_steer"' in done.stderr
        done = run({"backend": "auto"})  # takes the next one, and says why
        assert done.returncode == 0, done.stderr
        assert "running, udp: 1 socket on" in done.stdout
        assert f"; no afxdp: rx afxdp: {lab.gateway.interface} is held" in done.stdout
        assert done.stderr.startswith(f"{NAME}: FELL BACK to udp, no afxdp: rx afxdp: ")
        assert json.loads(run({"backend": "auto"}, options=["--json"]).stdout)["fell_back"]
        done = run({"backend": "auto", "fallback": "none"})
        assert done.returncode == 5
        assert 'is held by XDP program "hwgw_steer"' in done.stderr


def test_a_gateway_that_fell_back_beats_on_and_its_journal_is_written_to_the_end(
    lab: Lab, tmp_path: Path, hwgw: Run
) -> None:
    path = config(tmp_path, lab, {"backend": "auto"}, journal={"folder": "journal"})
    with lab.gateway.entered():
        holder = Receiver("afxdp", [("239.1.2.3", 26400)], interface=lab.gateway.interface)
    with holder:
        command = [sys.executable, "-m", "hwgw.cli", "run", str(path)]
        process = inside(lab.gateway)(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        found: list[Segment] = []

        def fell_back() -> bool:
            assert process.poll() is None, process.communicate()[1]
            with contextlib.suppress(HwgwError):
                found[:] = [Segment.attach(NAME)]
                return int(found[0].head["control_pid"]) == process.pid and bool(found[0].head["fell_back"])
            return False

        until(fell_back, "it fell back")
        with found[0] as segment:
            before = int(segment.control["beat_ns"])
            until(lambda: int(segment.control["beat_ns"]) > before, "its heart beats")
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=PATIENCE_S)
            assert (process.returncode, segment.halted) == (0, None), said
    proof = hwgw("journal", "verify", tmp_path / "journal", "--json")
    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert json.loads(proof.stdout)["runs"] == 1


def test_a_process_without_privileges_gets_udp_and_the_reason(run: Run) -> None:
    caps = ["setpriv", "--bounding-set=-net_raw,-net_admin,-bpf,-sys_admin"]
    done = run({"backend": "afxdp"}, caps)
    assert done.returncode == 4
    assert "run as root or with CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF" in done.stderr
    done = run({"backend": "auto"}, caps)
    assert done.returncode == 0, done.stderr
    assert "running, udp: 1 socket on" in done.stdout
    assert "; no afxdp: " in done.stdout


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [
        (BPF, errno.EPERM, "bpf(BPF_MAP_CREATE): Operation not permitted"),
        (BPF, errno.ENOSYS, "bpf(BPF_MAP_CREATE): Function not implemented"),
    ],
)
def test_a_kernel_without_bpf_leaves_udp_and_the_reason(run: Run, number: int, code: int, reason: str) -> None:
    done = run({"backend": "auto"}, without(number, code))
    assert done.returncode == 0, done.stderr
    assert "running, udp: 1 socket on" in done.stdout
    assert f"; no afxdp: {reason}" in done.stdout
    done = run({"backend": "afxdp"}, without(number, code))
    assert done.returncode == (4 if code == errno.EPERM else 5)
    assert os.strerror(code) in done.stderr


def test_a_kernel_without_seccomp_is_an_error_with_the_key_that_switches_it_off(run: Run) -> None:
    done = run({"backend": "udp"}, without(SECCOMP, errno.ENOSYS))
    assert done.returncode == 5
    assert "a kernel without it wants seccomp: false in gateway.yaml" in done.stderr
    done = run({"backend": "udp"}, without(SECCOMP, errno.ENOSYS), confine={"seccomp": False})
    assert done.returncode == 0, done.stderr


def test_huge_pages_that_are_missing_are_said_and_done_without(run: Run) -> None:
    before = HUGE_PAGES.read_text()
    HUGE_PAGES.write_text("0")
    try:
        done = run({"backend": "afxdp", "huge_pages": True})
    finally:
        HUGE_PAGES.write_text(before)
    assert done.returncode == 0, done.stderr
    assert "no huge pages (Cannot allocate memory; see vm.nr_hugepages)" in done.stdout


def test_a_memory_lock_limit_that_is_too_small_is_named_with_the_remedies(run: Run) -> None:
    small = ["setpriv", "--bounding-set=-ipc_lock,-sys_resource", "prlimit", f"--memlock={1 << 20}"]
    done = run({"backend": "afxdp"}, small)
    assert done.returncode == 4
    assert (
        "RLIMIT_MEMLOCK is 1024 KiB: give CAP_IPC_LOCK, raise the limit (ulimit -l) or lower frame_cnt" in done.stderr
    )
    done = run({"backend": "afxdp", "frames": 256}, small)
    assert done.returncode == 0, done.stderr


def test_a_priority_that_is_not_permitted_is_said_and_done_without(run: Run) -> None:
    done = run({"backend": "udp"}, ["setpriv", "--bounding-set=-sys_nice"], ["--json"], priority=10)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pipelines"][0]["error"] == "SCHED_FIFO 10: EPERM"
