"""The section of gateway.yaml about the journal.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Callable

from .config_schema import MIB
from .settings import Journal
from .strict_yaml import Bad, Node

__all__ = ["journal"]


def journal(node: Node, root: Node, path: Callable[[str], str], bad: Bad) -> Journal:
    """Where and how safely; path: of a file that the configuration names."""
    if node["frames"]:
        _frames(node, root, bad)
    return Journal(
        folder=path(node["folder"]),
        sync=node["sync"],
        group_ns=node["group"],
        ring_bytes=int(node["ring_mib"]) * MIB,
        file_max_bytes=node["file_max_mib"] * MIB,
        stall_ns=node["stall"],
        frames=node["frames"],
    )


def _frames(node: Node, root: Node, bad: Bad) -> None:
    """All that strategies decide by is on record where nothing but frames, their servers and one session tells them."""
    where, cannot = node.where("frames"), "a journal with frames cannot have"
    if root["sessions"] and len(root["sessions"].values) > 1:
        bad(where, f"{cannot} several venues: one session is allowed")
    if root["risk"] and root["risk"]["where"] != "host":
        bad(where, f"{cannot} risk.where {root['risk']['where']}: host is allowed")
    for pipeline in root["pipelines"]:
        if pipeline["receive"]["backend"] == "card":
            bad(where, f"{cannot} backend card, which gives events")
