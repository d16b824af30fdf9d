"""Profiles: strict YAML that says which CPUs do what, which NIC queues are hot, and which knobs are set to what.

SPDX-License-Identifier: MIT

A profile may include others, by the name of a shipped one or by file; what it says itself goes first. Every value keeps
the file and line where it stands, so that a mistake that only shows on a host is named there too.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import strict_yaml
from ..errors import ConfigError
from ..settings import Pipeline, Settings
from ..strict_yaml import (
    BadValueError,
    Key,
    Keyed,
    Node,
    Problem,
    ProblemsError,
    Scalar,
    Section,
    boolean,
    integer,
    pattern,
)
from . import table
from .cpus import CPU_MAX
from .nic.rules import Rule

__all__ = ["LEAVE", "RECOMMENDED", "ROLES", "SHIPPED", "Nic", "Profile", "derive", "load", "shipped"]

RECOMMENDED, LEAVE = "recommended", "leave"
ROLES = ("feed", "order", "journal", "housekeeping", "idle")
_FOLDER = Path(__file__).with_name("profiles")
SHIPPED = ("latency", "throughput", "lab", "minimal")
_INCLUDES_MAX = 8
Where = tuple[str, int]


def _role() -> Scalar:
    def parse(text: str) -> str:
        if not re.fullmatch(
            r"auto( [1-9][0-9]{0,2})?|rest|siblings|none|[0-9]+(-[0-9]+(:[0-9]+/[0-9]+)?)?(,[0-9]+(-[0-9]+)?)*", text
        ):
            raise BadValueError("not a list of CPUs")
        return text

    return Scalar(parse, "a list such as 2-3,8, auto, auto 2, none, rest (housekeeping) or siblings (idle)")


def _value() -> Scalar:
    def parse(text: str) -> str:
        if not text.strip() or not text.isprintable():
            raise BadValueError("not a value")
        return text

    return Scalar(parse, f"a value, {RECOMMENDED} or {LEAVE}")


_KNOB = pattern(r"[a-z_0-9]+\.[a-z_0-9]+", "the name of a knob")
_INCLUDED = pattern(r"[^\0]{1,400}", "the name of a shipped profile, or a file")
_QUEUE = integer(0, 1023)
NIC = Section(
    {
        "queues": Key(integer(1, 1024), None),
        "hot": Key(Keyed(_QUEUE, integer(0, CPU_MAX)), None),
    }
)
PROFILE = Section(
    {
        "about": Key(pattern(r".{1,200}", "a sentence"), ""),
        "include": Key(strict_yaml.Listing(_INCLUDED, 1, _INCLUDES_MAX), []),
        "roles": Key(Section({role: Key(_role(), None) for role in ROLES}), None),
        "share_cores": Key(boolean(), None),
        "nics": Key(Keyed(pattern(r"[^\s/:]{1,15}", "the name of a network interface"), NIC), None),
        "idle_exit_us": Key(integer(0, 10_000), None),
        "hugepages_2m": Key(integer(0, 1_000_000), None),
        "hugepages_1g": Key(integer(0, 10_000), None),
        "knobs": Key(Keyed(_KNOB, _value()), None),
        "reasons": Key(Keyed(_KNOB, pattern(r".{8,300}", "a sentence")), None),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Nic:
    """A NIC of a profile: how many queues it has, which CPU consumes which, and which flows are steered to them."""

    name: str
    queue_cnt: int | None = None
    hot: dict[int, int] = field(default_factory=dict)
    flows: tuple[str, ...] = ()  # rules as hwgw.tune.nic.rules has them


@dataclass(slots=True)
class Profile:
    """What was read, all includes merged."""

    name: str
    file: str
    about: str = ""
    roles: dict[str, str] = field(default_factory=dict)
    nics: dict[str, Nic] = field(default_factory=dict)
    knobs: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)  # idle_exit_us, hugepages_2m, hugepages_1g
    share_cores: bool = False
    origin: tuple[str, ...] = ()  # the options of the command line that name it
    where: dict[str, Where] = field(default_factory=dict)

    def problem(self, key: str, text: str) -> Problem:
        """A mistake at a key: the line of the profile, or of what it includes, by its name."""
        file, line = self.where.get(key, (self.file, 1))
        if file == self.file:
            return Problem(line, key, text)
        name = Path(file).stem if Path(file).parent == _FOLDER else file
        return Problem(1, key, f"{text} (from {name}:{line})")


def shipped(name: str) -> Path:
    """The file of a shipped profile."""
    return _FOLDER / f"{name}.yaml"


def _find(name: str, beside: Path | None) -> Path | None:
    if name in SHIPPED:
        return shipped(name)
    path = Path(name) if beside is None else beside / name
    return path if path.is_file() else None


def _take(profile: Profile, node: Node, file: str) -> None:
    """Merge what a file says under what was taken already."""

    def note(key: str, at: Node, name: Any) -> None:
        profile.where.setdefault(key, (file, at.where(name)[0]))

    for section in ("roles", "knobs", "reasons"):
        inner = node[section]
        for name, value in (inner.values if inner else {}).items():
            if value is not None and name not in getattr(profile, section):
                getattr(profile, section)[name] = value
                note(f"{section}.{name}", inner, name)
    for name in ("idle_exit_us", "hugepages_2m", "hugepages_1g"):
        if node[name] is not None and name not in profile.numbers:
            profile.numbers[name] = node[name]
            note(name, node, name)
    for name, inner in (node["nics"].values if node["nics"] else {}).items():
        if name not in profile.nics:
            profile.nics[name] = Nic(name, inner["queues"], dict(inner["hot"].values) if inner["hot"] else {})
            note(f"nics.{name}", node["nics"], name)
            for queue in profile.nics[name].hot:
                note(f"nics.{name}.hot.{queue}", inner["hot"], queue)
    if "share_cores" not in profile.where and node["share_cores"] is not None:
        profile.share_cores = node["share_cores"]
        note("share_cores", node, "share_cores")
    profile.about = profile.about or node["about"]


def _read(profile: Profile, path: Path, chain: tuple[Path, ...]) -> list[Problem]:
    node = strict_yaml.read(path.read_bytes(), str(path), PROFILE)
    _take(profile, node, str(path))
    problems = []
    for name in node["include"]:
        line = node.where("include")[0]
        found = _find(name, path.parent)
        if found is None:
            text = f"{name}: no such profile; {', '.join(SHIPPED)} are shipped, others are files beside {path}"
            problems.append(Problem(line, "include", text))
        elif found.resolve() in chain:
            problems.append(Problem(line, "include", f"{name}: includes itself ({' -> '.join(p.name for p in chain)})"))
        else:
            problems += _read(profile, found, (*chain, found.resolve()))
    return problems


def _names(profile: Profile) -> list[Problem]:
    """Knobs that there are not, or that are only looked at."""
    problems = []
    for section in ("knobs", "reasons"):
        for name in getattr(profile, section):
            knob = table.knobs().get(name)
            if knob is None:
                close = difflib.get_close_matches(name, table.knobs(), 1, 0.6)
                hint = f" (did you mean {close[0]}?)" if close else ""
                problems.append(
                    profile.problem(f"{section}.{name}", f"no such knob{hint}; hwgw tune explain lists them")
                )
            elif section == "knobs" and knob.kind == "report" and profile.knobs[name] != LEAVE:
                problems.append(profile.problem(f"knobs.{name}", "reported, never set: it is not for a profile"))
            elif section == "knobs" and knob.want is None and profile.knobs[name] == RECOMMENDED:
                text = f"no value is recommended; write one, or leave ({knob.reason})"
                problems.append(profile.problem(f"knobs.{name}", text))
    return problems


def load(name: str) -> Profile:
    """A shipped profile by name, or one of a file, read and checked as far as that goes without a host."""
    path = _find(name, None)
    if path is None:
        raise ConfigError(f"{name}: no such profile; {', '.join(SHIPPED)} are shipped, others are files")
    profile = Profile(path.stem, str(path))
    problems = _read(profile, path, (path.resolve(),))
    problems += _names(profile)
    if problems:
        raise ProblemsError(str(path), problems)
    return profile


def _flows(pipeline: Pipeline) -> tuple[str, ...]:
    """A rule per line of the pipeline's channels; lines take the pipeline's queues in turn."""
    lines = [line for channel in pipeline.channels for line in channel.lines]
    queues = pipeline.receive.queues
    return tuple(
        Rule("udp4", dst=(line.group, 0xFFFFFFFF), dst_port=line.port, queue=queues[at % len(queues)]).text()
        for at, line in enumerate(lines)
    )


def derive(profile: Profile, settings: Settings, file: str) -> Profile:
    """The profile for a gateway: its pipelines' CPUs are the feed role, their queues the hot ones."""
    cpus = []
    for at, pipeline in enumerate(settings.pipelines):
        key = f"pipelines[{at}]"
        if pipeline.cpu < 0:
            problem = Problem(1, f"{key}.cpu", "missing; a pipeline that is not pinned has no CPU to isolate")
            raise ProblemsError(file, [problem])
        cpus.append(pipeline.cpu)
        receive = pipeline.receive
        if receive.interface and receive.backend != "pcap":
            before = profile.nics.get(receive.interface, Nic(receive.interface))
            hot = before.hot | dict.fromkeys(receive.queues, pipeline.cpu)
            cnt = before.queue_cnt or max(hot) + 1
            flows = before.flows + _flows(pipeline)
            profile.nics[receive.interface] = Nic(receive.interface, cnt, hot, flows)
            profile.where[f"nics.{receive.interface}"] = (file, 1)
    profile.roles["feed"] = ",".join(map(str, sorted(set(cpus))))
    profile.where["roles.feed"] = (file, 1)
    return profile
