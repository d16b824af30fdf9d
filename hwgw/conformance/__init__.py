"""The conformance kit: short scenarios with expected verdicts that any pre-trade gate can be tried on.

SPDX-License-Identifier: MIT

Data: the *.yaml files beside this one. Gate: anything behind three C functions (cffi_build/include/hwgw_gate.h).
"""

from .gate import Gate, OwnGate, SharedObjectGate
from .runner import Outcome, run
from .scenario import Scenario, Step, scenarios

__all__ = ["Gate", "Outcome", "OwnGate", "Scenario", "SharedObjectGate", "Step", "run", "scenarios"]
