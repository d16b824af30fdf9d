"""Ways to the registers of a card: anything that reads and writes 32-bit words.

SPDX-License-Identifier: MIT

Bar maps the memory of a PCIe function or of a UIO device. The Verilated model is hwgw_sim.card.SimulatedCard; a cocotb
bench gives two functions to Calls.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hwgw.errors import DeviceError, PrivilegeError, UsageError
from hwgw.specs import registers


class Transport(Protocol):
    """What the driver needs; errors are those of hwgw.errors."""

    name: str

    def read(self, offset: int) -> int:
        """A word."""

    def write(self, offset: int, value: int) -> None:
        """A word."""

    def close(self) -> None:
        """No access any more."""


class Calls:
    """Two functions as a transport: read(offset) -> value, write(offset, value)."""

    def __init__(self, name: str, read: Callable[[int], int], write: Callable[[int, int], None]) -> None:
        self.name = name
        self.read = read
        self.write = write

    def close(self) -> None:
        """Nothing is held."""


class Bar:
    """A memory-mapped card: /sys/bus/pci/devices/ADDRESS/resourceN, or /dev/uioN.

    Words are read and written as such: one 32-bit access each. The device must be enabled (memory space) already.
    """

    def __init__(self, path: str) -> None:
        self.name = path
        need = 1 << registers.load().address_bits
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_SYNC | os.O_CLOEXEC)
        except FileNotFoundError:
            raise DeviceError(
                f"card: {path}: no such device; is the card in the host, and its function enabled?"
            ) from None
        except PermissionError:
            raise PrivilegeError(
                f"card: {path}: permission denied; run as root, or give this user the device"
            ) from None
        except OSError as error:
            raise DeviceError(f"card: {path}: {error.strerror}") from error
        try:
            size = self._size(path, descriptor)
            if size < need:
                raise DeviceError(f"card: {path} has {size} bytes, the registers need {need}; is it the right BAR?")
            self._map = mmap.mmap(descriptor, need, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError as error:
            raise DeviceError(f"card: {path} cannot be mapped: {error.strerror}") from error
        finally:
            os.close(descriptor)
        self._words = memoryview(self._map).cast("I")

    @staticmethod
    def _size(path: str, descriptor: int) -> int:
        """Bytes that can be mapped; a UIO device tells them elsewhere."""
        if found := re.fullmatch(r"/dev/(uio\d+)", path):
            return int(Path(f"/sys/class/uio/{found[1]}/maps/map0/size").read_text(encoding="ascii"), 16)
        return os.fstat(descriptor).st_size

    def read(self, offset: int) -> int:
        """A word."""
        return self._words[offset >> 2]

    def write(self, offset: int, value: int) -> None:
        """A word."""
        self._words[offset >> 2] = value

    def close(self) -> None:
        """Unmap."""
        self._words.release()
        self._map.close()


def connect(where: str) -> Transport:
    """The transport that a name means: sim, a PCI address, or a path."""
    if where == "sim":
        from hwgw_sim.card import SimulatedCard

        simulated: Transport = SimulatedCard()
        return simulated
    if re.fullmatch(r"([0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", where):
        full = where if where.count(":") == 2 else f"0000:{where}"
        return Bar(f"/sys/bus/pci/devices/{full}/resource0")
    if where.startswith("/"):
        return Bar(where)
    raise UsageError(
        f"card {where!r}: allowed are sim, a PCI address (0000:01:00.0), and a path (resource file, /dev/uio0)"
    )
