"""Waiting for something that may undo a setting: a link that goes or comes, a NIC's channels that change.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import select
import socket
import time

from .. import netlink

__all__ = ["Events"]

_RTMGRP_LINK = 1  # linux/rtnetlink.h
_SETTLE_S = 0.2


class Events:
    """Messages of the kernel about links, of this network namespace."""

    def __init__(self) -> None:
        self._sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, netlink.ROUTE
        )
        self._sock.bind((0, _RTMGRP_LINK))

    def wait(self, seconds: float) -> str:
        """Why it is time to look again: link, or interval. Messages come in bursts: one answer for all of a burst."""
        if not select.select([self._sock], [], [], seconds)[0]:
            return "interval"
        end = time.monotonic() + _SETTLE_S
        while (left := end - time.monotonic()) > 0:
            select.select([self._sock], [], [], left)
            try:
                self._sock.recv(1 << 16)
            except BlockingIOError:
                continue
            except OSError:
                break  # more came than the buffer holds: we look anyway
        return "link"

    def close(self) -> None:
        """Stop listening."""
        self._sock.close()
