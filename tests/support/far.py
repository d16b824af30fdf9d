"""The simulated card in a process of its own: it outlives its hosts, and can have the next order's host killed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import socket
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import hwgw_sim.card
from hwgw_sim.lab import Lab

from hwgw.specs import registers

HEAD = struct.Struct("<IIIIQ")
READ, ARM, SEEN = 1, 11, 12  # calls of far_card.c, and its points
POINTS = {"offered": 1, "left": 2, "told": 3}


class FarCard:
    """At the gateway's end of a lab's wire. path: the library that a host loads."""

    def __init__(self, lab: Lab, real: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="far-")  # short: it is in the socket's name
        folder, source = Path(self._folder.name), Path(__file__).with_name("far_card.c")
        self.path, place = str(folder / "far.so"), str(folder / "place")
        card = registers.load()
        control, state = card.register("gate_control"), card.register("gate_state")
        sends = next(part.bit for part in control.parts if part.name == "sends")
        self._lent = 1 << next(part.bit for part in state.parts if part.name == "loan_is_out")
        self._state = state.offset
        known = {"CONTROL_AT": control.offset, "SENDS": 1 << sends, "STATE_AT": state.offset,
                 "HEAD_AT": card.register("order_head").offset}  # fmt: skip
        compiler = ["cc", "-O1", "-Wall", "-Werror", "-I", str(hwgw_sim.card.HEADER.parent)]
        near = ["-shared", "-fPIC", f'-DPLACE="{place}"', "-o", self.path, str(source)]
        far = ["-DFAR", *(f"-D{name}={value}" for name, value in known.items()), "-o", str(folder / "far"), str(source)]
        for part in (near, [*far, real, f"-Wl,-rpath,{Path(real).parent}"]):
            subprocess.run([*compiler, *part], check=True, timeout=60)
        with lab.gateway.entered():
            number = socket.if_nametoindex(lab.gateway.interface)
        self._process = lab.gateway.popen([str(folder / "far"), place, str(number)], stdout=subprocess.PIPE)
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n"
        self._end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._end.connect(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._folder.cleanup()

    def _ask(self, call: int, a: int = 0) -> tuple[int, int, int]:
        self._end.send(HEAD.pack(call, a, 0, 0, 0))
        _, result, value, _, more = HEAD.unpack(self._end.recv(HEAD.size))
        return result, value, more

    def arm(self, point: str) -> None:
        """The host of the next order is killed when that is offered, has left by the card, or is told to the host."""
        self._ask(ARM, POINTS[point])

    @property
    def is_lent(self) -> bool:
        """A loan is out."""
        return bool(self._ask(READ, self._state)[1] & self._lent)

    @property
    def kills(self) -> int:
        """Hosts that were killed."""
        return self._ask(SEEN)[0]

    @property
    def was_lent(self) -> bool:
        """A loan was out when the last of them was."""
        return bool(self._ask(SEEN)[1] & self._lent)

    @property
    def frames(self) -> int:
        """Orders that have left by the card."""
        return self._ask(SEEN)[2]
