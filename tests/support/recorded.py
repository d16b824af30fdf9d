"""A generated feed with auctions, halts and resumptions strewn in, and settings that trade it with a test's strategy.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hwgw_sim.stream import Stream

from hwgw.backtest import setting
from hwgw.settings import Latency

SYMBOLS = 4


def strewn(cnt: int, seed: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    with Stream(seed, SYMBOLS, 200) as stream:
        messages = stream.messages(cnt)
    last_px: dict[bytes, int] = {}
    for message in messages:
        yield message
        head, locate = message[:11], message[1:3]
        if message[:1] == b"A":
            last_px[locate] = int.from_bytes(message[32:36], "big")
        if not last_px or rng.random() > 0.002:
            continue
        locate = rng.choice(list(last_px))
        stamp = b"\0\0" + head[5:11]
        stock = b"S%07d" % int.from_bytes(locate, "big")
        match rng.randrange(3):
            case 0:
                yield b"H" + locate + stamp + stock + rng.choice([b"H", b"Q"]) + b" " + b"T1  "
            case 1:
                yield b"H" + locate + stamp + stock + b"T" + b" " + b"    "
            case _:
                px = last_px[locate] + 100 * rng.randrange(-30, 30)
                shares = rng.randrange(1, 5000).to_bytes(8, "big")
                yield b"Q" + locate + stamp + shares + stock + max(px, 100).to_bytes(4, "big") + bytes(8) + b"I"


def settings(strategy: Path, **params: int) -> Any:
    chosen = setting.strategy(
        f"c:{strategy}", [f"{name}={value}" for name, value in params.items() if name != "spread_px"]
    )
    if "spread_px" in params:
        chosen = replace(chosen, params={**chosen.params, "spread_px": params["spread_px"]})
    made = setting.of_strategy(chosen, [f"S{i + 1:07d}" for i in range(SYMBOLS)], 1 << 14)
    off = ("duplicate", "self_cross", "short_sale")
    return replace(made, limits=replace(made.limits, checks_off=off))


def latency(*ns: int) -> Latency:
    return Latency(np.array(ns, np.uint64), "test")
