"""Settings become the limits table that the gate reads, and its checksum is the gate's own.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from hwgw_sim.golden import crc32c

from hwgw import native, specs
from hwgw.errors import ConfigError
from hwgw.risk import CHECKS, SWITCHABLE
from hwgw.risk.limits import checks_enabled, checksum, limits_table
from hwgw.settings import AccountLimits, InstrumentLimits, Limits, StrategyLimits

# every field another value, so that no two can be exchanged
INSTRUMENT = InstrumentLimits(True, 101, 2**40 + 102, 103, 104, True, 105, 106, 107, (0, 15))
GATEWAY = AccountLimits(2**50 + 1, 2**49 + 2, 203, 204, 205)
ACCOUNT = AccountLimits(301, 302, 303, 304, 305)
STRATEGY = StrategyLimits(401, 402, 403, 404)
CLOSED = InstrumentLimits(False, 0, 0, 0, 0, False, 0, 0)
LIMITS = Limits(1001, 1002, 1003, GATEWAY, {3: ACCOUNT}, {63: STRATEGY}, (CLOSED, INSTRUMENT), ("credit", "rate"))


def test_every_setting_is_in_its_field() -> None:
    (record,) = limits_table(LIMITS)
    assert [int(record[name]) for name in ("beat_age_max_ns", "ref_age_max_ns", "dup_window_ns")] == [1001, 1002, 1003]
    assert int(record["generation"]) == 0
    compared = 0
    for row, settings in (
        (record["gateway"], GATEWAY),
        (record["account"][3], ACCOUNT),
        (record["strategy"][63], STRATEGY),
        (record["instrument"][1], INSTRUMENT),
    ):
        for field in dataclasses.fields(settings):
            if field.name in row.dtype.names and field.name != "restricted_accounts":
                assert int(row[field.name]) == getattr(settings, field.name), field.name
                compared += 1
    assert compared == 5 + 5 + 4 + 7
    assert int(record["instrument"][1]["flags"]) == 3
    assert int(record["instrument"][1]["restricted_accounts"]) == 0x8001


def test_what_is_not_named_is_zero() -> None:
    (record,) = limits_table(LIMITS)
    record = record.copy()
    for name in ("checksum", "checks_enabled", "beat_age_max_ns", "ref_age_max_ns", "dup_window_ns", "gateway"):
        record[name] = np.zeros((), record.dtype[name])
    record["account"][3] = np.zeros((), record["account"].dtype)
    record["strategy"][63] = np.zeros((), record["strategy"].dtype)
    record["instrument"][1] = np.zeros((), record["instrument"].dtype)
    assert not any(record.tobytes())


def test_checks_are_on_unless_named() -> None:
    codes = {check.name: check.code for check in CHECKS}
    assert len(codes) == 18
    assert checks_enabled(()) == sum(1 << code for code in range(1, 19))
    for name in SWITCHABLE:
        assert checks_enabled(()) ^ checks_enabled((name,)) == 1 << codes[name]


@pytest.mark.parametrize("name", ["halted", "clock", "malformed", "pass", "operator", "nonsense"])
def test_checks_that_give_the_others_meaning_stay_on(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be switched off"):
        checks_enabled((name,))


def test_more_instruments_than_fit_are_refused() -> None:
    cnt = specs.load("risk").constant("instruments_max")
    assert len(limits_table(dataclasses.replace(LIMITS, instruments=(CLOSED,) * cnt))) == 1
    with pytest.raises(ConfigError, match="1025 instruments; 1024 fit"):
        limits_table(dataclasses.replace(LIMITS, instruments=(CLOSED,) * (cnt + 1)))


def test_checksum_is_that_of_the_gate(rng: random.Random) -> None:
    table = limits_table(LIMITS)
    for _ in range(5):
        raw = native.ffi.from_buffer("struct hwgw_limits *", table)
        assert checksum(table) == native.lib.hwgw_limits_checksum(raw) == crc32c(table.tobytes()[8:])
        table["instrument"][0, rng.randrange(1024)]["qty_max"] ^= 1 << rng.randrange(32)


def test_one_bit_anywhere_changes_the_checksum(rng: random.Random) -> None:
    table = limits_table(LIMITS)
    sealed = int(table["checksum"][0])
    assert sealed == checksum(table)
    raw = table.view(np.uint8)
    for _ in range(30):
        at = rng.randrange(8, raw.size)
        raw[at] ^= 1 << rng.randrange(8)
        assert checksum(table) != sealed
        raw[at] ^= raw[at] ^ limits_table(LIMITS).view(np.uint8)[at]
    assert checksum(table) == sealed
