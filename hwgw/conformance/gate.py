"""Gates that scenarios are played to: hwgw's own, and any shared object that exports the three functions.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cffi import FFI

from hwgw.errors import UsageError
from hwgw.native import ffi, lib

from ..closing import Closing

__all__ = ["Gate", "OwnGate", "SharedObjectGate"]

_ALIGN = 128
_CDEF = "void *gate_open(void); uint32_t gate_event(void *, const void *, const void *); void gate_close(void *);"


class Gate(Closing):
    """A gate after reset. event() answers a reason code; a table of limits is kept until the next one."""

    name = ""

    def event(self, record: bytes, table: bytes | None) -> int:
        """One event record, and with kind limits the table."""
        raise NotImplementedError

    def close(self) -> None:
        """Give the gate back."""


class OwnGate(Gate):
    """The gate of the data plane (cffi_build/src/risk.c)."""

    name = "hwgw"

    def __init__(self) -> None:
        self._memory = ffi.new("char[]", lib.hwgw_risk_sz_bytes() + _ALIGN)
        address = int(ffi.cast("uintptr_t", self._memory))
        self._risk = ffi.cast("struct hwgw_risk *", address + -address % _ALIGN)
        lib.hwgw_risk_init(self._risk)
        self._table: Any = ffi.NULL

    def event(self, record: bytes, table: bytes | None) -> int:
        """As hwgw_risk_event."""
        order = ffi.new("struct hwgw_order *")
        ffi.memmove(order, record, len(record))
        if table is None:
            return int(lib.hwgw_risk_event(self._risk, order, ffi.NULL))
        given = ffi.new("struct hwgw_limits *")
        ffi.memmove(given, table, len(table))
        answer = int(lib.hwgw_risk_event(self._risk, order, given))
        self._table = given  # the gate reads it where it is; the one before is free now
        return answer


class SharedObjectGate(Gate):
    """A gate in a shared object."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._ffi = FFI()
        self._ffi.cdef(_CDEF)
        try:
            loaded: Any = self._ffi.dlopen(str(path.absolute()))
            functions = [loaded.gate_open, loaded.gate_event, loaded.gate_close]
        except (OSError, AttributeError) as error:
            raise UsageError(f"{path}: {error}; a gate exports gate_open, gate_event and gate_close") from None
        self._loaded = loaded  # unloaded with its last reference
        self._open, self._event, self._close = functions
        self._gate = self._open()
        if self._gate == self._ffi.NULL:
            raise UsageError(f"{path}: gate_open gave no gate")
        self._table: Any = None

    def event(self, record: bytes, table: bytes | None) -> int:
        """As gate_event."""
        order = self._aligned(record)
        if table is None:
            return int(self._event(self._gate, order, self._ffi.NULL))
        given = self._aligned(table)
        answer = int(self._event(self._gate, order, given))
        self._table = given
        return answer

    def _aligned(self, data: bytes) -> Any:
        memory = self._ffi.new("uint64_t[]", (len(data) + 7) // 8)
        self._ffi.memmove(memory, data, len(data))
        return memory

    def close(self) -> None:
        """As gate_close."""
        if self._gate:
            self._close(self._gate)
            self._gate = None
