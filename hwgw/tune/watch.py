"""Waiting for something that may undo a setting: a link that goes or comes, a NIC whose channels or rings change.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import select
import socket
import time

from .. import netlink

__all__ = ["Events"]

_RTMGRP_LINK = 1  # linux/rtnetlink.h
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1  # linux/netlink.h
_SETTLE_S = 0.2


class Events:
    """Messages of the kernel about links and about NIC settings, of this network namespace."""

    def __init__(self) -> None:
        self._socks = {self._open(netlink.ROUTE, _RTMGRP_LINK): "link"}
        if group := netlink.generic_groups("ethtool").get("monitor"):
            sock = self._open(netlink.GENERIC, 0)
            sock.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
            self._socks[sock] = "NIC settings"

    @staticmethod
    def _open(protocol: int, groups: int) -> socket.socket:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        sock = socket.socket(socket.AF_NETLINK, kind, protocol)
        sock.bind((0, groups))
        return sock

    def wait(self, seconds: float) -> str:
        """Why it is time to look again: `interval`, or all that a burst of messages told of: `link`, `NIC settings`."""
        heard: set[str] = set()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            ready = select.select(list(self._socks), [], [], left)[0]
            if ready and not heard:
                end = time.monotonic() + _SETTLE_S
            for sock in ready:
                heard.add(self._socks[sock])
                with contextlib.suppress(OSError):  # more than the buffer holds (ENOBUFS): we look anyway
                    sock.recv(1 << 16)
        return ", ".join(sorted(heard)) or "interval"

    def close(self) -> None:
        """Stop listening."""
        for sock in self._socks:
            sock.close()
