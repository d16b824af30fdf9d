"""The FPGA card: one driver, whatever it is reached through.

SPDX-License-Identifier: MIT

transport.py  where the registers are: a PCIe BAR, a UIO device, a Verilated model, a cocotb bench
driver.py     what they mean: identity, channels, symbols, counters, prices
gate.py       the rings of the risk gate, its limits, its verdicts
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hwgw.settings import Settings

from .driver import Card, open_card
from .gate import Gate
from .transport import Bar, Calls, Transport

__all__ = ["Bar", "Calls", "Card", "Gate", "Transport", "open_card", "prepare", "with_cards"]


def prepare(say: Callable[[str], None] = lambda line: None) -> str:
    """The library of the simulated card, built when needed."""
    from hwgw_sim.card import build, built

    if not built():
        say("building the simulated card, some 30 s of work")
    return str(build())


def with_cards(settings: Settings, say: Callable[[str], None] = lambda line: None) -> Settings:
    """The settings with the library of the simulated card where one receives or judges; built when needed."""
    judges = settings.risk.where != "host"
    if not judges and not any(pipeline.receive.card for pipeline in settings.pipelines):
        return settings
    library = prepare(say)
    pipelines = tuple(
        replace(pipeline, receive=replace(pipeline.receive, path=library)) if pipeline.receive.card else pipeline
        for pipeline in settings.pipelines
    )
    risk = replace(settings.risk, library=library) if judges else settings.risk
    return replace(settings, pipelines=pipelines, risk=risk)
