"""TuneD on a made host, in mount and PID namespaces of its own, and its values beside those of our latency profile.

SPDX-License-Identifier: MIT

    python -m support.tuned docs/TUNE.md     writes the table of the page (root)

TuneD is the one of the system, or one unpacked to .deps/tuned (make tuned), laid over /etc and /usr there. A systemctl
that always answers 0 stands for systemd, so that TuneD rolls back when it ends as it would on a host.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from hwgw.tune import apply, plan, profile, table
from hwgw.tune.cpus import mask_text, parse_mask
from hwgw.tune.host import Host
from hwgw.tune.knob import COMPARE
from hwgw.tune.state import State

from . import hosts

PROFILES = ("network-latency", "cpu-partitioning", "realtime")
PREFIX = Path(__file__).resolve().parents[2] / ".deps" / "tuned"
ISOLATED = "2,6"
_APPLIED = "static tuning from profile"
_PATIENCE_S = 40.0
_SCRIPT = """
set -eu
tree=$1 work=$2 prefix=$3 name=$4
mount --make-rprivate /
for part in etc usr boot; do
  mkdir -p "$work/upper/$part" "$work/tmp/$part" "$prefix/$part"
  layers="lowerdir=$prefix/$part:/$part,upperdir=$work/upper/$part,workdir=$work/tmp/$part"
  mount -t overlay overlay -o "$layers" "/$part"
done
mkdir -p "$work/run"
mount --bind "$work/run" /run
mount -t tmpfs tmpfs /var/log
mount --bind "$tree/sys" /sys
mount -t proc proc /proc
for part in sys irq cmdline cpuinfo interrupts; do mount --bind "$tree/proc/$part" "/proc/$part"; done
mount --bind "$tree/dev/cpu_dma_latency" /dev/cpu_dma_latency
export SYSTEMD_DEVICE_VERIFY_SYSFS=0
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec /usr/bin/python3 /usr/sbin/tuned --no-dbus -p "$name" -l "$work/log"
"""


def missing() -> str:
    """Why TuneD cannot be run here; empty when it can."""
    if os.geteuid() != 0:
        return "needs root (mount namespaces)"
    if not shutil.which("tuned", path="/usr/sbin:/sbin") and not (PREFIX / "usr/sbin/tuned").exists():
        return "TuneD is not here: apt-get install tuned, or make tuned, which unpacks it to .deps/tuned"
    return ""


@dataclass(frozen=True)
class Run:
    """What TuneD made of a made host: values while it was active, what it left behind, and its boot options."""

    applied: dict[str, str]
    left: dict[str, str]
    left_by_crash: dict[str, str]
    cmdline: str


def _meaning(path: str, raw: bytes) -> str:
    """What is in a file, whoever wrote it: choices as chosen, masks of one width, a binary latency as a number."""
    if path == "dev/cpu_dma_latency" and not raw[:4].isdigit():
        return str(struct.unpack_from("=i", raw)[0])
    text = COMPARE["choice"](raw.decode("utf-8", "replace").strip())
    if re.search(r"(cpumask|affinity|_cpus)$", path) and re.fullmatch(r"[0-9a-f,]+", text):
        return mask_text(parse_mask(text), hosts.CPUS)
    return text


def values(tree: Path) -> dict[str, str]:
    """Every file by its path, as what it means."""
    found = hosts.snapshot(tree)
    return {"/" + path: _meaning(path, raw) for path, raw in found.items() if not (tree / path).is_symlink()}


def _prepare(tree: Path, work: Path) -> None:
    """What lies over /etc, /usr and /boot for TuneD: its variables, the host's GRUB, a systemctl."""
    upper = work / "upper"
    for path, text in (
        ("etc/tuned/realtime-variables.conf", f"isolated_cores={ISOLATED}\n"),
        ("etc/tuned/cpu-partitioning-variables.conf", f"isolated_cores={ISOLATED}\nno_balance_cores=\n"),
        ("etc/default/grub", (tree / "etc/default/grub").read_text(encoding="utf-8")),
        ("boot/grub2/grub.cfg", "menuentry 'Linux' {\n linux /vmlinuz ro\n}\n"),
        ("usr/bin/systemctl", "#!/bin/sh\nexit 0\n"),
    ):
        (upper / path).parent.mkdir(parents=True, exist_ok=True)
        (upper / path).write_text(text, encoding="utf-8")
    (upper / "usr/bin/systemctl").chmod(0o755)


def _cycle(folder: Path, name: str, end_by: signal.Signals) -> tuple[dict[str, str], str]:
    """Start TuneD, wait until it has applied its profile, end it by a signal; values and boot options while active."""
    tree, work = folder / "host", folder / "work"
    log = work / "log"
    log.unlink(missing_ok=True)
    command = ["unshare", "-m", "-p", "-f", "--kill-child", "sh", "-c", _SCRIPT, "sh", tree, work, PREFIX, name]
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=out)
    end = time.monotonic() + _PATIENCE_S
    try:
        while not (log.exists() and _APPLIED in log.read_text(encoding="utf-8", errors="replace")):
            if process.poll() is not None or time.monotonic() > end:
                said = (folder / "out").read_text(encoding="utf-8", errors="replace")
                raise AssertionError(f"TuneD did not start: {said[-600:]}")
            time.sleep(0.1)
        applied = values(tree)
        boot = work / "upper/etc/tuned/bootcmdline"
        text = boot.read_text(encoding="utf-8") if boot.exists() else ""
        # the namespace's first process is TuneD; unshare, its parent, passes nothing on
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
        os.kill(int(children.split()[0]), end_by)
        process.wait(timeout=_PATIENCE_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    options = re.search(r'^TUNED_BOOT_CMDLINE="(.*)"$', text, re.MULTILINE)
    return applied, options[1] if options else ""


def run(folder: Path, name: str) -> Run:
    """Apply a profile of TuneD to a new made host and end it; then again on another, with a kill -9 in between."""
    found = {}
    for how, signals in (("ended", [signal.SIGTERM]), ("crashed", [signal.SIGKILL, signal.SIGTERM])):
        here = folder / how
        tree = hosts.make(here / "host")
        before = values(tree)
        _prepare(tree, here / "work")
        applied, options = next(iter([_cycle(here, name, end_by) for end_by in signals]))
        after = values(tree)
        # of the made device nothing is asked for any more once it is closed
        left = {path: after[path] for path in before if after.get(path) != before[path] and not path.startswith("/dev")}
        found[how] = (applied, left, options)
    return Run(found["ended"][0], found["ended"][1], found["crashed"][1], found["ended"][2])


def ours(folder: Path) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Values before and after our latency profile, and the knob of each path that it wrote."""
    tree = hosts.make(folder / "ours")
    host = Host(tree)
    before, state = values(tree), State(host)
    wanted = plan.make(profile.load("latency"), host, state)
    with state.locked():
        apply.apply(wanted, host, state)
    knobs = {}
    for setting in wanted.settings:
        path = plan.path_of(setting)
        if path.startswith("/") and " " not in path and host.exists(path):
            knobs[host.realpath(path)] = setting.knob.name
    return before, values(tree), knobs


def _short(path: str) -> str:
    return re.sub(r"/(cpu|machinecheck|state|irq/|node|queues/[rt]x-)\d+", r"/\1*", path)


# why a value of TuneD is not ours, by the end of the path
REASONS = {
    "busy_poll": "per socket instead (SO_BUSY_POLL), as the kernel's documentation prefers",
    "busy_read": "as busy_poll",
    "tcp_fastopen": "sessions are opened before the market is: nothing to gain",
    "cpu_dma_latency": "on isolated CPUs instead (pm_qos_resume_latency_us): that others sleep leaves room for turbo",
    "sched_rt_runtime_us": "high risk: a spinning real-time thread can hang the host; a site says so in its profile",
}


@dataclass
class Row:
    """One place, or alike ones: the value before, those of TuneD by profile, ours."""

    path: str
    before: str
    theirs: dict[str, str]
    ours: str
    why: str


def _show(found: list[str]) -> str:
    return " / ".join(dict.fromkeys(value or "(empty)" for value in found))


def compare(folder: Path, runs: dict[str, Run]) -> list[Row]:
    """A row for everything that TuneD or we set; the same place of several CPUs in one."""
    before, after, knobs = ours(folder)
    changed = {path for path in after if after[path] != before.get(path)} | {
        path for one in runs.values() for path in one.applied if one.applied[path] != before.get(path)
    }
    groups: dict[str, list[str]] = {}
    for path in sorted(changed):
        if path.startswith(("/sys", "/proc/sys", "/proc/irq", "/dev")) and "effective" not in path:
            groups.setdefault(_short(path), []).append(path)
    rows = []
    for short, paths in groups.items():
        if short.endswith("/smp_affinity"):
            continue  # the list beside it says the same
        theirs = {name: _show([one.applied[path] for path in paths]) for name, one in runs.items()}
        mine, was = _show([after[path] for path in paths]), _show([before[path] for path in paths])
        rows.append(Row(short, was, theirs, mine, _why(short, paths, was, theirs, mine, knobs)))
    return rows


def _why(short: str, paths: list[str], was: str, theirs: dict[str, str], mine: str, knobs: dict[str, str]) -> str:
    """What explains the difference; empty when nothing does."""
    set_by = {name: value for name, value in theirs.items() if value != was}
    knob = next((knobs[path] for path in paths if path in knobs), "")
    if set_by and all(value == mine for value in set_by.values()):
        return "the same" if mine != was else "the same; it was so"
    for end, reason in REASONS.items():
        if short.endswith(end):
            return reason
    if not set_by and knob:
        return f"{knob}: {table.get(knob).reason}"
    return ""


def markdown(rows: list[Row], runs: dict[str, Run]) -> str:
    """The table of the page."""
    lines = [
        "| place | before | " + " | ".join(f"TuneD {name}" for name in PROFILES) + " | hwgw latency | |",
        "|---" * (len(PROFILES) + 4) + "|",
    ]
    for row in rows:
        if any(value != row.before for value in row.theirs.values()):
            cells = [row.theirs[name] if row.theirs[name] != row.before else "" for name in PROFILES]
            mine = row.ours if row.ours != row.before else ""
            lines.append("| " + " | ".join([f"`{row.path}`", row.before, *cells, mine, row.why]) + " |")
    only = [row for row in rows if all(value == row.before for value in row.theirs.values())]
    lines.append("")
    lines.append(f"Set by hwgw alone, {len(only)} more, each for the reason that `explain` gives:")
    lines.append(", ".join(dict.fromkeys(row.why.partition(":")[0] for row in only)) + ".")
    for name, one in runs.items():
        lines += ["", f"TuneD {name}, boot options: `{one.cmdline or 'none'}`."]
        lines.append(f"Left behind when it ended: {_left(one.left)}.")
        lines.append(f"Left behind after a kill -9, a new start and an end: {_left(one.left_by_crash)}.")
    return "\n".join(lines)


def _left(left: dict[str, str]) -> str:
    places = [f"`{_short(path)}` at {value}" for path, value in left.items() if not path.endswith("smp_affinity")]
    names = list(dict.fromkeys(places))
    return (", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")) or "nothing"


def head_to_head() -> tuple[dict[str, Run], list[Row]]:
    """Every profile of TuneD and ours, each on a made host of its own."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        runs = {}
        for name in PROFILES:
            (Path(folder) / name).mkdir()
            runs[name] = run(Path(folder) / name, name)
        return runs, compare(Path(folder), runs)


def main(page: str) -> None:
    """Write the table into the page."""
    if why := missing():
        sys.exit(why)
    runs, rows = head_to_head()
    file = Path(page)
    text = file.read_text(encoding="utf-8")
    made = f"<!-- tuned -->\n{markdown(rows, runs)}\n<!-- /tuned -->"
    file.write_text(re.sub(r"<!-- tuned -->.*<!-- /tuned -->", lambda _: made, text, flags=re.DOTALL), encoding="utf-8")
    for row in rows:
        if not row.why:
            print("unexplained:", row)


if __name__ == "__main__":
    main(sys.argv[1])
