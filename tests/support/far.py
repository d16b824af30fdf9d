"""The simulated card in a process of its own: it outlives its hosts, and can have the next order's host killed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import socket
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Self

import hwgw_sim.card
from hwgw_sim.lab import Lab

from hwgw.card.driver import Card
from hwgw.card.gate import Gate
from hwgw.card.transport import Calls
from hwgw.native import lib
from hwgw.specs import registers

HEAD = struct.Struct("<IIIIQ")
READ, WRITES, ARM, SEEN, FEED, HOLD = 1, 2, 11, 12, 13, 14  # calls of far_card.c, and its points
POINTS = {
    name: number
    for number, name in enumerate(
        ("next", "offered", "left", "told", "heard", "unloading", "unloaded", "returning", "returned", "loaded")
    )
}


def bit(card: registers.Map, register: str, name: str) -> int:
    """Of a register, as a mask."""
    return 1 << next(part.bit for part in card.register(register).parts if part.name == name)


class Registers(Calls):
    """Of a card in another process, and no ring."""

    def verdicts(self) -> bytes:
        """Those are its host's."""
        return b""

    def run(self, _cycles: int) -> None:
        """Its clock does by itself."""


class Programs:
    """Both ends of far_card.c for one library of the simulated card, compiled once in a process."""

    def __init__(self, real: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="far-")  # short: it is in the socket's name
        folder, source = Path(self._folder.name), Path(__file__).with_name("far_card.c")
        self.near, self.far, self.place = str(folder / "far.so"), str(folder / "far"), folder / "place"
        card = registers.load()
        known = {
            "LENT": bit(card, "gate_state", "loan_is_out"),
            "LOADED_BIT": bit(card, "gate_state", "shot_is_loaded"),
            "SENDS": bit(card, "gate_control", "sends"),
            "RETURN": bit(card, "gate_command", "return"),
            "RESET": bit(card, "gate_command", "gate_reset"),
        }
        places = {
            "CONTROL": "gate_control",
            "STATE": "gate_state",
            "HEAD": "order_head",
            "SHOT": "shot_ref",
            "COMMAND": "gate_command",
        }
        known |= {f"{short}_AT": card.register(name).offset for short, name in places.items()}
        compiler = ["cc", "-O1", "-Wall", "-Werror", "-I", str(hwgw_sim.card.HEADER.parent)]
        near = ["-shared", "-fPIC", f'-DPLACE="{self.place}"', "-o", self.near, str(source)]
        far = ["-DFAR", *(f"-D{name}={value}" for name, value in known.items()), "-o", self.far, str(source)]
        for part in (near, [*far, real, f"-Wl,-rpath,{Path(real).parent}"]):
            subprocess.run([*compiler, *part], check=True, timeout=60)


programs = cache(Programs)


class FarCard:
    """At the gateway's end of a lab's wire, one at a time. path: the library that a host loads."""

    def __init__(self, lab: Lab, real: str) -> None:
        built = programs(real)
        self.path, self._place = built.near, built.place
        card = registers.load()
        self._state = card.register("gate_state").offset
        self._lent = bit(card, "gate_state", "loan_is_out")
        with lab.gateway.entered():
            number = socket.if_nametoindex(lab.gateway.interface)
        self._process = lab.gateway.popen([built.far, str(built.place), str(number)], stdout=subprocess.PIPE)
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n"
        self._end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._end.connect(str(built.place))
        read, write = lambda at: self._ask(READ, at)[1], lambda at, value: self._write(at, value)
        self._gate = Gate(Card(Registers("far", read, write)))

    def _write(self, at: int, value: int) -> None:
        self._ask(WRITES, data=struct.pack("<II", at, value))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._place.unlink(missing_ok=True)

    def _ask(self, call: int, a: int = 0, data: bytes = b"") -> tuple[int, int, int]:
        self._end.send(HEAD.pack(call, a, 0, len(data), 0) + data)
        _, result, value, _, more = HEAD.unpack(self._end.recv(HEAD.size))
        return result, value, more

    def arm(self, point: str, frame: bytes = b"") -> None:
        """The next host that comes to a point of far_card.c is killed there; "next", where a host begins: it is not.

        frame: of the feed, which the card gets just before.
        """
        self._ask(ARM, POINTS[point], frame)

    def feed(self, frame: bytes) -> None:
        """The card gets a frame of the feed, though nobody is there to take what it says of it."""
        self._ask(FEED, data=frame)

    def hold(self) -> None:
        """The clock that loans end by stands still from the next kill on until a host says the time."""
        self._ask(HOLD, 1)

    def release(self) -> None:
        """It goes on."""
        self._ask(HOLD, 0)

    def passed(self) -> list[int]:
        """References of the last orders that the gate of the card let pass since it began anew; at most 64."""
        new = lib.HWGW_ORDER_KIND_NEW
        return [int(row["ref"]) for row in self._gate.last() if (row["kind"], row["reason"]) == (new, "pass")]

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
