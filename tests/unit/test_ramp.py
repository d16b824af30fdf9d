"""Limits that rise step by step and fall back, and versions that can be put in force again.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.desk import probe
from support.rig import Rig, add, open_limits

from hwgw import audit, cli, config, segment
from hwgw.demo.stage import gateway_yaml
from hwgw.risk import control, signature, versions
from hwgw.risk.ramp import Mark, Ramp, broken, scaled
from hwgw.settings import Ramp as Plan
from hwgw.strict_yaml import ProblemsError

SYMBOLS = ("AAPL", "MSFT", "IBM")
HOLD_NS = 10**9


class Going:
    """A gateway that goes round on a thread; its strategy buys 100 at each change of the top. The clock is ours."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.segment = rig, rig.segment
        self.now_ns = 10**9
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._turn)
        self._ref = 5000
        rig.quote("AAPL")
        rig.publish()
        self._thread.start()

    def _turn(self) -> None:
        while not self._over.is_set():
            with self._lock:
                self.rig.step()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def orders(self, cnt: int) -> None:
        with self._lock:
            for _ in range(cnt):
                self._ref += 1
                self.rig.feed(add(1, "AAPL", self._ref, "B", 1, 1_000_000 + self._ref - 5000))
            self.rig.publish()

    def qty_max(self) -> int:
        return control.in_force(self.segment).limits["instruments.AAPL.qty_max"].value


@pytest.fixture
def going(monkeypatch: pytest.MonkeyPatch) -> Iterator[Going]:
    for module in (control, segment):  # the thread that goes round may be kept waiting on a busy machine
        monkeypatch.setattr(module, "_ACKNOWLEDGE_SECONDS", 30.0)
    limits = open_limits(3)
    limits["instrument"]["qty_max"][0, :3] = 1000
    with Rig(SYMBOLS, probe(orders=1, every=1), limits=limits) as rig:
        made = Going(rig)
        yield made
        made.stop()


def started(going: Going, *steps: int, **keys: Any) -> Ramp:
    full = control.in_force(going.segment)
    plan = Plan(steps, HOLD_NS, **{"refusals": {"strategy": 2}, "orders_min": 5, **keys})
    going.segment.publish_limits(scaled(full, steps[0]).table)
    return Ramp(going.segment, full, plan, lambda: going.now_ns)


def test_a_step_rises_when_it_has_held_with_orders_and_falls_back_at_a_refusal_too_many(going: Going) -> None:
    ramp = started(going, 25, 50, 100)
    assert (going.qty_max(), ramp.text) == (250, "step 1 of 3 (25 %)")
    going.now_ns += HOLD_NS
    assert list(ramp.look()) == []  # long enough, and no order
    going.orders(5)
    assert list(ramp.look()) == ["ramp: rises to step 2 of 3 (50 %)"]
    assert going.qty_max() == 500
    going.orders(9)
    assert list(ramp.look()) == []  # enough orders, and not long enough
    going.segment.disarm(0)
    going.orders(2)
    assert list(ramp.look()) == []
    going.orders(1)
    why = "3 orders refused for strategy, 2 allowed"
    assert list(ramp.look()) == [f"ramp: falls back: {why} to step 1 of 3 (25 %)"]
    assert going.qty_max() == 250
    going.orders(3)
    assert list(ramp.look()) == [f"ramp: stays at step 1 of 3 (25 %): {why}"]
    going.segment.arm(0)
    going.now_ns += HOLD_NS
    going.orders(5)
    assert list(ramp.look()) == ["ramp: rises to step 2 of 3 (50 %)"]
    going.segment.halt("a test says so")
    assert list(ramp.look()) == ["ramp: falls back: halted: operator to step 1 of 3 (25 %)"]
    told = [row for row in audit.verify(going.segment.name) if row["action"] == "limits"]
    assert [row["source"] for row in told] == [
        "ramp rises to step 2 of 3 (50 %)", f"ramp falls back: {why} to step 1 of 3 (25 %)",
        "ramp rises to step 2 of 3 (50 %)", "ramp falls back: halted: operator to step 1 of 3 (25 %)",
    ]  # fmt: skip
    assert "instruments.AAPL.qty_max 250 -> 500" in told[0]["changes"]


def test_what_somebody_else_changes_stays_and_ends_the_ramp(going: Going) -> None:
    ramp = started(going, 50, 100)
    assert cli.execute(["limits", "set", going.segment.name, "instruments.AAPL.qty_max=77"]) == 0
    (said,) = ramp.look()
    assert said == "ramp: ended at step 1 of 2 (50 %): the limits were changed by somebody else"
    going.now_ns += 10 * HOLD_NS
    going.orders(20)
    assert list(ramp.look()) == []
    assert going.qty_max() == 77


def test_sizes_are_scaled_and_nothing_else(going: Going) -> None:
    full = control.in_force(going.segment)
    part = scaled(full, 1)
    changed = {change.name.rsplit(".", 1)[-1] for change in full.changes(part)}
    assert changed == {"qty_max", "notional_max", "long_max", "short_max", "credit_max", "open_max"}
    assert part.limits["instruments.AAPL.qty_max"].value == 10
    assert part.limits["gateway.credit_max"].value == 2**62 // 100
    tiny = control.changed(full, ["instruments.AAPL.qty_max=3", "instruments.IBM.qty_max=0"])
    assert [scaled(tiny, 1).limits[f"instruments.{name}.qty_max"].value for name in ("AAPL", "IBM")] == [1, 0]
    assert not [change for change in full.changes(part) if change.is_looser]


NOTHING = Mark(0, {}, 0, 0, 0, "")


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (Mark(10, {"collar": 1}, 100, 5, -1000, ""), ""),
        (Mark(10, {"collar": 2}, 100, 0, 0, ""), "2 orders refused for collar, 1 allowed"),
        (Mark(10, {}, 94, 6, 0, ""), "the venue rejected 6 of 100 orders, 5 % allowed"),
        (Mark(10, {}, 0, 19, 0, ""), ""),  # too few answers to say anything
        (Mark(10, {}, 0, 0, -1001, ""), "0.10 lost since the step began, 0.10 allowed"),
        (Mark(10, {"qty": 99}, 0, 0, 10**9, "loss"), "halted: loss"),
    ],
)
def test_conditions(now: Mark, says: str) -> None:
    plan = Plan((1, 2), 1, refusals={"collar": 1}, rejects_pct=50_000, loss_max=1000)
    assert broken(plan, NOTHING, now) == says


# ---- versions ----


def test_any_version_can_be_put_in_force_again(going: Going, capsys: pytest.CaptureFixture[str]) -> None:
    name, first = going.segment.name, control.in_force(going.segment).digest
    for qty in (500, 200):
        assert cli.execute(["limits", "set", name, f"instruments.AAPL.qty_max={qty}"]) == 0
    capsys.readouterr()
    assert cli.execute(["limits", "versions", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["versions"]
    assert [row["source"] for row in found] == [f"instruments.AAPL.qty_max={qty}" for qty in (500, 200)]
    assert (found[0]["before"], found[1]["before"]) == (first, found[0]["hash"])
    number = str(found[0]["number"])
    assert cli.execute(["limits", "rollback", name, "--to", number]) == 1  # looser
    assert going.qty_max() == 200
    assert cli.execute(["limits", "rollback", name, "--to", number, "--allow-looser"]) == 0
    assert going.qty_max() == 500
    assert cli.execute(["limits", "rollback", name, "--to", first[:12], "--allow-looser"]) == 0
    assert (going.qty_max(), control.in_force(going.segment).digest) == (1000, first)
    assert cli.execute(["limits", "rollback", name, "--to", found[1]["hash"]]) == 0
    assert [row.source for row in versions.versions(name)][2:] == [
        f"rollback to {number}", f"rollback to {first[:12]}", f"rollback to {found[1]['hash']}"
    ]  # fmt: skip
    for to in ("9999", "abc", "0" * 64, "not a hash"):
        assert cli.execute(["limits", "rollback", name, "--to", to]) == 2
    file = versions.find(name, first)
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    assert cli.execute(["limits", "rollback", name, "--to", first, "--allow-looser"]) == 1
    assert "it was changed" in capsys.readouterr().err
    assert going.qty_max() == 200


def test_signed_limits_go_back_with_their_signature_only(going: Going, tmp_path: Path) -> None:
    pytest.importorskip("nacl")
    name, running = going.segment.name, going.segment
    key = tmp_path / "key"
    public = bytes.fromhex(signature.generate(key))
    first = control.in_force(running)
    second = control.changed(first, ["instruments.AAPL.qty_max=10"])
    for book, file in ((first, tmp_path / "first"), (second, tmp_path / "second")):
        signature.signature_file(file).write_text(signature.sign(book.canonical, key) + "\n")
    control.apply(running, second, "before keys were asked for")
    running.head["limits_key"].view("u1")[:32] = list(public)
    running.head["limits_key_cnt"] = 1
    assert cli.execute(["limits", "rollback", name, "--to", first.digest, "--allow-looser"]) == 3  # kept without one
    control.apply(running, first, "signed", allow_looser=True, file=tmp_path / "first")
    control.apply(running, second, "signed", file=tmp_path / "second")
    assert cli.execute(["limits", "rollback", name, "--to", first.digest, "--allow-looser"]) == 0
    assert control.in_force(running).digest == first.digest


# ---- configuration ----


@pytest.mark.parametrize(
    ("ramp", "keys", "says"),
    [
        ({"steps": [50, 25], "hold": "60s", "loss_max": 1}, {}, "50, 25: each must be above the one before"),
        ({"steps": [50, 100], "hold": "60s"}, {}, "nothing takes a step back"),
        ({"steps": [0, 100], "hold": "60s", "loss_max": 1}, {}, "ramp.steps"),
        ({"steps": [50, 100], "hold": "60s", "refusals": {"weather": 1}}, {}, "weather"),
        ({"steps": [50, 100], "hold": "60s", "loss_max": 1}, {"control": {"limits_keys": ["ab" * 32]}}, "not signed"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, ramp: Any, keys: Any, says: str) -> None:
    made = gateway_yaml("gw", ["AAPL"], {"backend": "udp", "local_address": "127.0.0.1"}, "127.0.0.1", 1)
    path = tmp_path / "gw.yaml"
    path.write_text(yaml.safe_dump({**made, "ramp": ramp, **keys}))
    with pytest.raises(ProblemsError) as error:
        config.load(path)
    assert says in "\n".join(map(str, error.value.problems))
