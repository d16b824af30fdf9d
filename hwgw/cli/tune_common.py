"""What the verbs of `hwgw tune` share: which profile, which host, which journal.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hwgw.tune.host import Host
    from hwgw.tune.profile import Profile
    from hwgw.tune.state import State

WIDTH = 36


def host_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --root and --state."""
    function = click.option(
        "--state", type=click.Path(path_type=Path), help="Where the journal is (else /var/lib/hwgw/tune)."
    )(function)
    return click.option(
        "--root", default="/", show_default=True, help="A recorded or made tree that stands for the machine."
    )(function)


def profile_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --profile, --config, --nic, and those of the host."""
    function = host_options(function)
    function = click.option("--nic", "nics", multiple=True, help="A NIC to tune too (the profile may name them).")(
        function
    )
    function = click.option(
        "--config",
        type=click.Path(path_type=Path, readable=False),
        help="A gateway.yaml: CPUs and queues of its pipelines.",
    )(function)
    return click.option(
        "--profile", "-p", default="latency", show_default=True, help="latency, throughput, lab, minimal, or a file."
    )(function)


def open_host(root: str, state: Path | None) -> tuple[Host, State]:
    """The machine or the tree, and its journal."""
    from hwgw.tune.host import Host
    from hwgw.tune.state import State

    host = Host(root)
    return host, State(host, state)


def open_profile(profile: str, config: Path | None, nics: tuple[str, ...]) -> Profile:
    """The profile that the options name."""
    from hwgw.tune import profile as profiles

    found = profiles.load(profile)
    named = profile if profile in profiles.SHIPPED else str(Path(profile).resolve())
    origin = ["--profile", named]
    if config is not None:
        from hwgw import config as gateway

        found = profiles.derive(found, gateway.load(config), str(config))
        origin += ["--config", str(config.resolve())]
    for nic in nics:
        found.nics.setdefault(nic, profiles.Nic(nic))
        found.where.setdefault(f"nics.{nic}", ("--nic", 1))
        origin += ["--nic", nic]
    found.origin = tuple(origin)
    return found


def shorten(text: str, most: int = WIDTH) -> str:
    """A value on one line of a table."""
    if "\n" in text:
        return f"({text.count(chr(10))} lines)"
    return text if len(text) <= most else f"{text[: most - 3]}..."
