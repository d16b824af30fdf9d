"""The simulated card behind a library that lies.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import hwgw_sim.card
from cffi import FFI

from hwgw.specs import registers

from .rig import include_folder


class Liar:
    """A card that says what it is told to."""

    def __init__(self, real: str, folder: Path) -> None:
        self.path = str(folder / "lying.so")
        source = Path(__file__).with_name("lying_card.c")
        control = next(row for row in registers.load().registers if row.name == "gate_control")
        sends = next(part.bit for part in control.parts if part.name == "sends")
        says = [f'-DREAL="{real}"', f"-DSENDS_AT={control.offset}", f"-DSENDS={1 << sends}"]
        folders = ["-I", hwgw_sim.card.HEADER.parent, "-I", include_folder()]
        subprocess.run(
            ["cc", "-O1", "-shared", "-fPIC", *says, *folders, "-o", self.path, source], check=True, timeout=60
        )
        own = FFI()
        own.cdef("extern uint32_t lie_ref, lie_reason, lie_mute, lie_sent, lie_hidden, lie_late, lie_qty, lie_deaf;")
        own.cdef("extern int64_t lie_clock;")
        self.says = own.dlopen(self.path)
