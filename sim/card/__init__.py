"""The simulated card: the whole RTL, built by Verilator into a shared library, cached by what it was built from.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from cffi import FFI

from hwgw.errors import DeviceError, InternalError
from hwgw.specs import registers

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
HEADER = ROOT / "cffi_build" / "include" / "hwgw_card.h"
FLAGS = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert", "--no-timing")
SLEEP = "-DHWGW_SLEEP"  # parts that have nothing to do stand still (fpga/rtl/hwgw_clock.v)
CFLAGS = f"-fPIC -I{HEADER.parent} -DHWGW_REG_SZ={1 << registers.load().address_bits}"
TX_FRAME_MAX = 128
# clang's code of this model is 10 to 15 % faster than g++'s
COMPILER = "clang++" if shutil.which("clang++") else "g++"
MAKEFLAGS = f"CXX={COMPILER} LINK={COMPILER} OPT_FAST=-O3\\ -march=native OPT_SLOW=-O0 OPT_GLOBAL=-O1"
BUILD_SECONDS_MAX = 600
EVENT_SZ = 64


def tools() -> ModuleType:
    """fpga/tools.py of the source tree."""
    if not (ROOT / "fpga" / "tools.py").exists():
        raise DeviceError(f"simulated card: it is built from fpga/rtl of a source tree of hwgw; {ROOT} has none")
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    from fpga import tools

    return tools


def missing() -> str:
    """Why no card can be simulated here, "" when one can."""
    try:
        why: str = tools().missing("verilator", "make", "g++", "perl")
    except DeviceError as error:
        return str(error)
    return why


def _digest(paths: list[Path], options: tuple[str, ...]) -> str:
    what = hashlib.sha256(" ".join((*FLAGS, *options, MAKEFLAGS)).encode())
    for path in paths:
        what.update(path.name.encode() + path.read_bytes())
    return what.hexdigest()[:16]


def _library(options: tuple[str, ...] = (SLEEP,)) -> Path:
    """Where the library of these sources is, or will be."""
    hdl = tools()
    generated = hdl.generate()
    inputs = [*hdl.sources(), HERE / "card.cpp", *sorted(generated.glob("*.vh")), HEADER]
    return ROOT / "build" / "card" / _digest(inputs, options) / "libhwgw_card.so"


def built() -> bool:
    """True when build() has nothing to do."""
    return _library().exists()


def build(options: tuple[str, ...] = (SLEEP,)) -> Path:
    """The library, built when no library of these sources is there yet: half a minute, else at once.

    options: for Verilator, more than FLAGS.
    """
    library = _library(options)
    if library.exists():
        return library
    folder = library.parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if library.exists():
            return library
        work = folder.with_suffix(f".{os.getpid()}")
        run_verilator(work, library.name, [HERE / "card.cpp"], ["--build", *options])
        folder.mkdir(exist_ok=True)
        (work / library.name).replace(library)
        shutil.rmtree(work)
    return library


def run_verilator(work: Path, name: str, extra: list[Path], options: list[str]) -> None:
    """Verilates the card into work, as a shared library of that name together with C++ files."""
    hdl = tools()
    if why := missing():
        raise DeviceError(f"simulated card: {why}")
    command = [
        *("verilator", "--cc", "--exe", "-j", "0", "--quiet", *FLAGS, "-Wno-fatal", *options),
        *("--top-module", "hwgw_card", f"-I{hdl.GENERATED}", f"-I{hdl.RTL}", "--Mdir", str(work)),
        *("-CFLAGS", CFLAGS, "-MAKEFLAGS", MAKEFLAGS, "-LDFLAGS", "-shared", "-o", name),
        *(str(path) for path in (hdl.locate("hwgw_card"), *extra)),
    ]
    call(command, ROOT)


def call(command: list[str], folder: Path) -> None:
    """A step of a build; what it said is the error."""
    done = subprocess.run(
        command, cwd=folder, env=tools().environment(), capture_output=True, text=True, timeout=BUILD_SECONDS_MAX
    )
    if done.returncode:
        raise InternalError(f"simulated card: {command[0]}: {(done.stderr + done.stdout).strip()[-600:]}")


def cdef() -> str:
    """What cffi reads of hwgw_card.h."""
    text = HEADER.read_text(encoding="utf-8")
    found = re.search(r"/\* card cdef begin \*/(.*)/\* card cdef end \*/", text, re.DOTALL)
    assert found
    return found.group(1)


ffi = FFI()
ffi.cdef(cdef())
ffi.cdef("""
struct hwgw_card *hwgw_card_attach(void *model);
void hwgw_card_dump(void *function, void *context);
""")


class SimulatedCard:
    """One card. A transport of hwgw.card: read, write, close; and the two lines and the event ring besides."""

    name = "sim"

    def __init__(self, library: Path | None = None, model: int = 0) -> None:
        """model: the address of a model of this library that another front end has made and keeps."""
        self.library = library or build()
        self._lib: Any = ffi.dlopen(str(self.library))
        if self._lib.hwgw_card_abi() != self._lib.HWGW_CARD_ABI:
            raise InternalError(f"simulated card: {self.library} is of another build")
        self._card = self._lib.hwgw_card_attach(ffi.cast("void *", model)) if model else self._lib.hwgw_card_open()
        if not self._card:
            raise DeviceError("simulated card: no memory")

    def _open(self) -> Any:
        if not self._card:
            raise DeviceError("simulated card: it is closed")
        return self._card

    def read(self, offset: int) -> int:
        """One register; an address that is none is an error."""
        value = ffi.new("uint32_t *")
        if response := self._lib.hwgw_card_read(self._open(), offset, value):
            raise DeviceError(f"card: read of {offset:#05x}: AXI response {response}, there is no such register")
        return int(value[0])

    def write(self, offset: int, value: int) -> None:
        """One register; an address that is none, or is only read, is an error."""
        if response := self._lib.hwgw_card_write(self._open(), offset, value):
            raise DeviceError(f"card: write of {offset:#05x}: AXI response {response}, no register that can be written")

    def frames(self, line: int, data: bytes, lens: Any, now: int = 0) -> None:
        """Frames that lie one behind the other in data; lens: their lengths, uint32."""
        sizes = ffi.from_buffer("uint32_t[]", lens)
        self._lib.hwgw_card_frames(self._open(), line, ffi.from_buffer(data), sizes, len(sizes), now)

    def frame(self, line: int, data: bytes, now: int = 0) -> None:
        """One frame without FCS into line 0 (A) or 1 (B)."""
        self._lib.hwgw_card_frame(self._open(), line, ffi.from_buffer(data), len(data), now)

    def run(self, cycles: int) -> None:
        """So many cycles without input."""
        self._lib.hwgw_card_run(self._open(), cycles)

    def events(self, count: int = 65_536) -> bytes:
        """The event records that wait, at most count of them, 64 bytes each."""
        room = bytearray(EVENT_SZ * min(count, self.waiting))
        got = self._lib.hwgw_card_events(self._open(), ffi.from_buffer(room), len(room) // EVENT_SZ)
        return bytes(room[: EVENT_SZ * got])

    def verdicts(self) -> bytes:
        """The verdicts that wait, 64 bytes each; the card learns of it by its doorbell."""
        return self._records(self._lib.hwgw_card_verdicts)

    def sent(self) -> bytes:
        """The records of sent orders that wait; likewise."""
        return self._records(self._lib.hwgw_card_sent)

    def _records(self, take: Any) -> bytes:
        room = bytearray(EVENT_SZ * self._lib.HWGW_CARD_ENTRIES)
        return bytes(room[: EVENT_SZ * take(self._open(), ffi.from_buffer(room), self._lib.HWGW_CARD_ENTRIES)])

    def tx(self) -> list[bytes]:
        """The frames that have left the card, without FCS."""
        found, room = [], ffi.new("uint8_t[]", TX_FRAME_MAX)
        while size := self._lib.hwgw_card_tx(self._open(), room):
            found.append(bytes(ffi.buffer(room, size)))
        return found

    def time(self, now_ns: int) -> None:
        """The gateway's clock, until it is set again."""
        self._lib.hwgw_card_time(self._open(), now_ns)

    def halt(self, level: bool) -> None:
        """The pin."""
        self._lib.hwgw_card_halt(self._open(), level)

    def unplug(self) -> None:
        """From now on no register answers and nothing comes."""
        self._lib.hwgw_card_unplug(self._open())

    def event_cycles(self) -> list[int]:
        """Of each record that waits the cycle in which it came out of the card."""
        room = ffi.new("uint64_t[]", max(1, self.waiting))
        return list(room[0 : self._lib.hwgw_card_event_cycles(self._open(), room, self.waiting)])

    def dump(self, function: int, context: int) -> None:
        """function(context, half cycle) is called after each edge; 0 ends that."""
        self._lib.hwgw_card_dump(ffi.cast("void *", function), ffi.cast("void *", context))

    @property
    def waiting(self) -> int:
        """Event records in the ring."""
        return int(self._lib.hwgw_card_waiting(self._open()))

    @property
    def cycles(self) -> int:
        """Clock cycles since the card was made."""
        return int(self._lib.hwgw_card_cycles(self._open()))

    def close(self) -> None:
        """End of the model."""
        self._lib.hwgw_card_close(self._card)
        self._card = None
