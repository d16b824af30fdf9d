"""The simulated card with a name for every signal, and waves: pyverilator and CFFI on one model.

SPDX-License-Identifier: MIT

    card = SignalCard()
    card.sim.internals.u_feed.next_seq          # pyverilator's view, any register of the design
    card.frame(0, frame); card.trace("x.fst")   # hwgw_sim.card's view of the same model

pyverilator 0.7.0 as it is cannot build on Verilator 5: it takes ports without the & that is printed now, looks for
internal signals where they are no longer, and asks for C++11. So build() alone is replaced; the classes, the signals
and the C++ template are its own. Waves are FST. Slower than the plain library by the tracing code, and built when
first asked for.
"""

from __future__ import annotations

import ctypes
import re
import sys
import types
from pathlib import Path
from typing import Any

from . import HERE, SLEEP, SimulatedCard, _library, call, run_verilator

PORT = re.compile(r"VL_(IN|OUT)(?:8|16|64|W)?\(&?([A-Za-z_]\w*),(\d+),(\d+)(?:,\d+)?\);")
SIGNAL = re.compile(r"^\s*(?:CData|SData|IData|QData)/\*(\d+):0\*/ (hwgw_card__DOT__\w+);", re.MULTILINE)
TOP = "hwgw_card"


def _pyverilator() -> Any:
    """The module. It imports tclwrapper, which Python 3.11 cannot run and only start_gtkwave() uses."""

    class TCLWrapper:
        def __init__(self, *_: object, **__: object) -> None:
            raise RuntimeError("remote control of GTKWave is not available")

    stand_in = types.ModuleType("tclwrapper")
    stand_in.TCLWrapper = TCLWrapper  # type: ignore[attr-defined]
    sys.modules.setdefault("tclwrapper", stand_in)
    import pyverilator

    return pyverilator


def _wrapper(work: Path) -> str:
    """pyverilator's C++ for this model, with FST instead of VCD."""
    from pyverilator.verilatorcpp import template_cpp

    ports = PORT.findall((work / f"V{TOP}.h").read_text(encoding="utf-8"))
    ins, outs = ([(n, int(hi) - int(lo) + 1) for d, n, hi, lo in ports if d == way] for way in ("IN", "OUT"))
    found = dict.fromkeys(
        (name, int(high) + 1)
        for high, name in SIGNAL.findall((work / f"V{TOP}___024root.h").read_text(encoding="utf-8"))
        if "__BRA__" not in name and "Vcell" not in name
    )
    names = f'#include "V{TOP}___024root.h"\n' + "".join(f"#define {name} rootp->{name}\n" for name, _ in found)
    code: str = template_cpp(TOP, ins, outs, list(found), '"null"')
    code = code.replace("// pyverilator defined values", names + "// pyverilator defined values", 1)
    return code.replace("verilated_vcd_c.h", "verilated_fst_c.h").replace("VerilatedVcdC", "VerilatedFstC")


def build() -> Path:
    """The library with pyverilator's wrapper and tracing in it, made once per sources."""
    work = _library().parent / "signals"
    library = work / f"V{TOP}"
    if library.exists():
        return library
    _pyverilator()
    work.mkdir(parents=True, exist_ok=True)
    wrapper = work / "wrapper.cpp"
    extra = [HERE / "card.cpp", wrapper]
    run_verilator(work, f"V{TOP}.part", extra, [SLEEP, "--trace-fst", "-CFLAGS", "-DVL_USER_FINISH"])
    wrapper.write_text(_wrapper(work), encoding="utf-8")
    call(["make", "-j2", "-f", f"V{TOP}.mk", "OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1"], work)
    (work / f"V{TOP}.part").replace(library)
    return library


class SignalCard(SimulatedCard):
    """A simulated card whose signals have names; sim is the PyVerilator object."""

    def __init__(self) -> None:
        library = build()

        class Sim(_pyverilator().PyVerilator):  # type: ignore[misc]
            @classmethod
            def build(cls, *_: object, **__: object) -> Any:
                """pyverilator's own build does not work with Verilator 5; this one is ours."""
                return cls(str(library))

        self.sim = Sim.build()
        self.sim.auto_eval = False
        super().__init__(library, self.sim.model)

    def trace(self, path: str) -> None:
        """Waves of everything from now on."""
        self.sim.start_vcd_trace(path, auto_tracing=False)
        function = ctypes.cast(self.sim.lib.add_to_vcd_trace, ctypes.c_void_p).value
        self.dump(function or 0, self.sim.vcd_trace)

    def end_trace(self) -> None:
        """The file is whole."""
        self.dump(0, 0)
        self.sim.flush_vcd_trace()
        self.sim.lib.stop_vcd_trace(ctypes.c_void_p(self.sim.vcd_trace))
        self.sim.vcd_trace = None
