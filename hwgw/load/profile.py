"""The shape of a load over time: profiles.yaml, or a file of the user's, as a schedule of the simulated exchange.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from hwgw.errors import UsageError
from hwgw.strict_yaml import Key, Keyed, Listing, Problem, ProblemsError, Section, decimal, duration, pattern, read

__all__ = ["STEPS_MAX", "Profile", "Step", "find", "profiles", "schedule"]

PLACES = 4
ONE = 10**PLACES
STEPS_MAX = 4096  # of a schedule, as many as the exchange takes
PROFILE = Section(
    {
        "about": Key(pattern(r"[^\0]{1,200}", "a line of text"), ""),
        "period": Key(duration(1_000_000, 3600 * 10**9), None),
        "steps": Key(
            Listing(Section({"time": Key(decimal(1, 10**6 * ONE)), "rate": Key(decimal(0, ONE))}), 1, STEPS_MAX)
        ),
    }
)
PROFILES = Keyed(pattern(r"[a-z][a-z0-9_-]*", "a name"), PROFILE)


@dataclass(frozen=True, slots=True)
class Profile:
    """Steps of (share of the time, share of the rate in 1/10,000); period_us 0: they fill the whole run."""

    name: str
    about: str
    period_us: int
    steps: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """So many messages evenly over so many microseconds; share of the rate in 1/10,000."""

    messages: int
    us: int
    share: int


def _made(name: str, node: Any) -> Profile:
    steps = tuple((int(step["time"]), int(step["rate"])) for step in node["steps"])
    return Profile(name, node["about"], (node["period"] or 0) // 1000, steps)


def profiles() -> dict[str, Profile]:
    """Those of profiles.yaml by name."""
    path = Path(__file__).with_name("profiles.yaml")
    node = read(path.read_bytes(), path.name, PROFILES)
    return {name: _made(name, each) for name, each in node.values.items()}


def find(text: str) -> Profile:
    """A profile by its name, or from a file of one; UsageError or ProblemsError says what is wrong."""
    known = profiles()
    if text in known:
        return known[text]
    path = Path(text)
    if not path.suffix and "/" not in text:
        raise UsageError(f"--profile {text}: {', '.join(known)}, or a FILE.yaml are allowed")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--profile {text}: {error.strerror}") from None
    node = read(raw, text, PROFILE)
    if not any(step["rate"] for step in node["steps"]):
        raise ProblemsError(text, [Problem(*node.where("steps"), "no step has a rate; one above 0 is wanted")])
    return _made(path.stem, node)


def schedule(profile: Profile, rate: int, seconds: float) -> list[Step]:
    """The steps of a run, the last one with messages: rate is that of share 1, in messages per second."""
    total_us = round(seconds * 1_000_000)
    period_us, times = profile.period_us or total_us, sum(time for time, _ in profile.steps)
    found: list[Step] = []
    at, through = 0, 0  # us of the run; of the shares of time
    for time, share in cycle(profile.steps):
        through += time
        end = min(total_us, through * period_us // times)
        if end > at:
            found.append(Step(rate * share * (end - at) // (ONE * 1_000_000), end - at, share))
        at = end
        if at >= total_us:
            break
        if len(found) > STEPS_MAX:
            most = STEPS_MAX // len(profile.steps) * period_us / 1e6
            raise UsageError(f"--seconds {seconds:g}: at most {most:g} are allowed with the profile {profile.name}")
    while found and not found[-1].messages:
        del found[-1]
    if not found:
        raise UsageError(f"--rate {rate}: not one message in {seconds:g} s of the profile {profile.name}")
    return found


def words(steps: Sequence[Step]) -> str:
    """As the exchange's option --steps takes it."""
    return ",".join(f"{step.messages}/{step.us}" for step in steps)
