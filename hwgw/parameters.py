"""The parameters of a running gateway's strategies: what is in force, changes, and every version that was in force.

SPDX-License-Identifier: MIT

A version is a strategy's code and parameters. It is a file NAME.strategies/DIGEST in the state folder, called by the
BLAKE2b-128 of its bytes: what was changed in it is found when it is read. A gateway keeps those it begins with; its
journal says which these are, and each change. Changes are in the audit record, as those of limits are.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import __version__, audit, native
from .config_schema import parameter
from .errors import CheckFailed, DeviceError, UsageError
from .linear import WORD
from .native import ffi, lib
from .segment import Segment
from .settings import Strategy
from .strict_yaml import BadValueError, shown

__all__ = ["Applied", "Version", "apply", "begun", "changed", "find", "in_force", "text", "versions"]

DIGITS, DIGITS_MIN = 32, 8
_SECONDS = 1.0  # a pipeline looks each millisecond
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """Parameters in the order in which the strategy takes them; code says which program it is.

    The weights of a linear strategy, which are in its file, are words without a name: _3 and on.
    """

    gateway: str
    strategy: str
    use: str
    code: str
    params: Mapping[str, int]

    @property
    def canonical(self) -> bytes:
        """What the digest is of: JSON, with the parameters in their order."""
        return json.dumps({"version": 1, **vars(self), "params": dict(self.params)}, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """Its name."""
        return hashlib.blake2b(self.canonical, digest_size=DIGITS // 2).hexdigest()


@dataclass(frozen=True)
class Applied:
    """A change: the version in force, the one before, and what differs as (name, old, new)."""

    version: Version
    before: Version
    changes: Sequence[tuple[str, int, int]]


def text(name: str, value: int) -> str:
    """A value as gateway.yaml has it."""
    return shown(value) if name.endswith("_px") else f"{value}ns" if name.endswith("_ns") else str(value)


def _code(strategy: Strategy) -> str:
    """Which program a strategy is: of a built-in the version and commit, else a hash of its file."""
    if strategy.kind == "builtin":
        return f"hwgw {__version__} {native.build()['commit']}"
    file: Path | None = Path(strategy.target)
    if strategy.kind == "numba":
        spec = importlib.util.find_spec(strategy.target.partition(":")[0])
        file = Path(spec.origin) if spec and spec.origin else None
    return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest() if file else "unknown"


def begun(gateway: str, strategy: Strategy, desc: Any, params: Any) -> bytes:
    """Keep the version that a strategy is started with; its digest for the record.

    A state folder that cannot be written is no reason not to start: the parameters can then not be changed later.
    """
    names = [native.text(desc.param_names[i]) for i in range(desc.param_cnt)]
    named = {name if name != WORD else f"{WORD}{i}": int(params[i]) for i, name in enumerate(names)}
    version = Version(gateway, strategy.name, f"{strategy.kind}:{strategy.target}", _code(strategy), named)
    if desc.param_cnt <= lib.HWGW_SEGMENT_PARAMS_MAX:
        try:
            _keep(version)
        except (DeviceError, RuntimeError) as error:  # the latter: who runs it has no home
            _log.info("%s", error)
    return bytes.fromhex(version.digest)


def _folder(gateway: str) -> Path:
    return audit.state_folder() / f"{gateway}.strategies"


def _keep(version: Version) -> None:
    file = _folder(version.gateway) / version.digest
    try:
        if not file.exists():
            audit.keep(file, version.canonical)
    except OSError as error:
        raise DeviceError(f"{file}: {error.strerror}; versions of strategies are kept there") from error


def _load(gateway: str, digest: str) -> Version:
    file = _folder(gateway) / digest
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise CheckFailed(f"{file}: {error.strerror}; this version of a strategy was not kept") from None
    if hashlib.blake2b(raw, digest_size=DIGITS // 2).hexdigest() != digest:
        raise CheckFailed(f"{file}: it does not have the hash that is its name: it was changed")
    found = json.loads(raw)
    return Version(**{name: found[name] for name in ("gateway", "strategy", "use", "code", "params")})


def _number(segment: Segment, strategy: str) -> int:
    there = segment.strategies()
    if strategy not in there:
        raise UsageError(f"{segment.name} has no strategy {strategy!r}; it has {', '.join(there) or 'none'}")
    return int(there[strategy]["number"])


def in_force(segment: Segment, strategy: str) -> Version:
    """The version of a strategy that runs. CheckFailed: it was not kept, or cannot be changed while it runs."""
    row = segment.strategy_params[_number(segment, strategy)]
    if not row["version"].any():
        raise CheckFailed(f"{segment.name}: it was started from no file, so that no version of {strategy} was kept")
    version = _load(segment.name, bytes(row["version"]).hex())
    cnt = int(row["cnt"])
    if list(version.params.values()) != row["value"][:cnt].tolist():
        raise CheckFailed(f"{segment.name}: the parameters of {strategy} are not those of its version {version.digest}")
    return version


def changed(version: Version, assignments: Sequence[str]) -> Version:
    """A version with some parameters changed, each spelled KEY=VALUE as in gateway.yaml."""
    params = dict(version.params)
    spelled = [name for name in params if not name.startswith(WORD)]
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or name not in spelled:
            known = ", ".join(spelled) or "none"
            raise UsageError(f"{assignment!r}: KEY=VALUE is allowed; parameters of {version.strategy} are {known}")
        try:
            params[name] = parameter(name).parse(value)
        except BadValueError as error:
            raise UsageError(f"{assignment}: {error}; {parameter(name).allowed} is allowed") from None
    return replace(version, params=params)


def check(segment: Segment, version: Version) -> tuple[Version, list[tuple[str, int, int]]]:
    """What a version would change: the one in force, and what differs as (name, old, new); nothing is changed.

    CheckFailed: it is of other code than what runs. Whether the strategy allows its values shows when it is applied.
    """
    before = in_force(segment, version.strategy)
    if (version.use, version.code) != (before.use, before.code):
        raise CheckFailed(
            f"{segment.name}: version {version.digest[:16]} is of {version.use} ({version.code}), and {before.use}"
            f" ({before.code}) runs: parameters are changed while it runs, code is not"
        )
    names = [name for name in before.params if before.params[name] != version.params[name]]
    return before, [(name, before.params[name], version.params[name]) for name in names]


def apply(segment: Segment, version: Version, source: str) -> Applied:
    """Put a version in force that check() takes, on record first, and wait until the pipeline has taken it.

    CheckFailed: a value is not allowed; nothing was changed then.
    """
    with audit.only_writer(segment.name, "strategies"):
        number = _number(segment, version.strategy)
        before, changes = check(segment, version)
        if not changes:
            return Applied(version, before, changes)
        _keep(version)
        told = [f"{name} {text(name, old)} -> {text(name, new)}" for name, old, new in changes]
        act = {"strategy": version.strategy, "source": source}
        audit.record(segment.name, "strategy", **act, hash=version.digest, before=before.digest, changes=told)
        if _publish(segment, number, version):
            return Applied(version, before, changes)
        _publish(segment, number, before)  # the row shows what is in force
        act["source"] = "refused"
        audit.record(segment.name, "strategy", **act, hash=before.digest, before=version.digest, changes=[])
        raise CheckFailed(f"{segment.name}: {version.strategy} does not allow {'; '.join(told)}: nothing was changed")


def _publish(segment: Segment, number: int, version: Version) -> bool:
    """Whether the pipeline has taken it; False: it does not allow a value."""
    values = ffi.new("int64_t[]", list(version.params.values()) or [0])
    end = time.monotonic() + _SECONDS
    row = segment.strategy_rows[number]
    seq = 0
    while not seq or int(row["param_seq"]) != seq:
        seq = seq or int(lib.hwgw_params_publish(segment.pointer, number, values, bytes.fromhex(version.digest)))
        if time.monotonic() > end:
            raise CheckFailed(f"{segment.name}: no pipeline has looked at new parameters within {_SECONDS:g} s")
        time.sleep(0.0005)
    return int(row["param_refused"]) != seq


def versions(name: str, strategy: str = "") -> Iterator[dict[str, Any]]:
    """The changes on record, oldest first, of one strategy or of all."""
    for entry in audit.verify(name):
        if entry["action"] == "strategy" and strategy in ("", entry["strategy"]):
            yield entry


def find(name: str, strategy: str, to: str) -> Version:
    """A version of a strategy, by the number of its change or by the beginning of its digest."""
    where = f"hwgw strategy versions {name} {strategy}"
    if to.isascii() and to.isdecimal() and len(to) < DIGITS_MIN:
        digest = next((row["hash"] for row in versions(name, strategy) if row["seq"] == int(to)), "")
        if not digest:
            raise UsageError(f"{to}: no change of {strategy} has this number: {where}")
        return _load(name, digest)
    digits = to.lower()
    if len(digits) < DIGITS_MIN or set(digits) - set("0123456789abcdef"):
        raise UsageError(f"{to}: the number of a change, or at least {DIGITS_MIN} digits of a hash")
    kept = [_load(name, file.name) for file in sorted(_folder(name).glob(f"{digits}*"))]
    found = [version for version in kept if version.strategy == strategy]
    if len(found) != 1:
        what = "more than one version begins" if found else f"no version of {strategy} begins"
        raise UsageError(f"{to}: {what} so: {where}")
    return found[0]
