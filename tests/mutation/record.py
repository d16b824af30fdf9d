"""A pytest plugin that writes down what the gate's tests say to the gate and what the golden model answers.

SPDX-License-Identifier: MIT

The trace is a pickle per item: (gate, record, table or None, answer) for an event, (gate, record, px, taken) for a
carried order, (gate, digest) for a look at all state.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_numbers = itertools.count()


def digest(text: str) -> bytes:
    """What stands for a dump of all state."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def pytest_configure(config: pytest.Config) -> None:
    """Put the recorder around the pair of gates that every test of the gate speaks to."""
    from support import risk

    from hwgw import specs

    dtype = specs.dtype("order", "order")
    file = Path(os.environ["HWGW_GATE_TRACE"]).open("wb")  # noqa: SIM115 (until the run ends)
    config.add_cleanup(file.close)
    send, carry, compare, make = risk.Pair.send, risk.Pair.carry, risk.Pair.compare, risk.Pair.__init__
    codes = {name: code for code, name in risk.NAMES.items()}

    def recorded_make(self: Any, *args: Any, **kwargs: Any) -> None:
        self.number, self.looks = next(_numbers), None
        make(self, *args, **kwargs)

    def packed(event: dict[str, int]) -> bytes:
        record = np.zeros(1, dtype)
        for name, value in event.items():
            record[name] = value
        return record.tobytes()

    def write(self: Any, *item: Any) -> None:
        pickle.dump((self.number, *item), file)
        for look in self.looks:
            pickle.dump((self.number, look), file)
        self.looks = None

    def recorded_send(self: Any, event: dict[str, int], table: bytes | None = None) -> str:
        self.looks = []
        answer = send(self, event, table)
        write(self, packed(event), table, codes[answer])
        return answer

    def recorded_carry(self: Any, event: dict[str, int], px: int) -> bool:
        self.looks = []
        taken = carry(self, event, px)
        write(self, packed(event), px, taken)
        return taken

    def recorded_compare(self: Any) -> None:
        compare(self)
        look = digest(self.golden.dump())
        if self.looks is None:
            pickle.dump((self.number, look), file)
        else:
            self.looks.append(look)  # it is of the event that is just being sent

    risk.Pair.__init__ = recorded_make  # type: ignore[method-assign]
    risk.Pair.send = recorded_send  # type: ignore[method-assign]
    risk.Pair.carry = recorded_carry  # type: ignore[method-assign]
    risk.Pair.compare = recorded_compare  # type: ignore[method-assign]
