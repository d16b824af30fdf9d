"""The conformance kit: every gate of ours passes it, gates with the usual faults do not, and the report says why.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter

import pytest
from hwgw_sim.golden.risk import Risk
from support.gate_build import build

from hwgw import cli, specs
from hwgw.conformance import Gate, OwnGate, SharedObjectGate, run, scenarios
from hwgw.conformance.runner import page

FIELDS = specs.load("order").layout("order").fields


class GoldenGate(Gate):
    """The golden model, written from the contract."""

    name = "golden"

    def __init__(self) -> None:
        self._risk = Risk()

    def event(self, record: bytes, table: bytes | None) -> int:
        """Fields by the table, then the model."""
        event = {
            field.name: int.from_bytes(record[field.offset : field.offset + field.length], "little") for field in FIELDS
        }
        return int(self._risk.event(event, table))


@pytest.mark.parametrize("make", [OwnGate, GoldenGate])
def test_every_verdict_is_as_expected(make):
    outcomes = run(make)
    assert [(o.scenario.name, o.step, o.want, o.got) for o in outcomes if not o.passed] == []
    assert len(outcomes) >= 60
    assert sum(outcome.played for outcome in outcomes) >= 840


def test_the_scenarios_see_every_check_and_have_names_of_their_own():
    seen = Counter(step.expect for scenario in scenarios() for step in scenario.steps)
    wanted = {reason.name for reason in specs.reasons() if reason.code <= 19}
    assert wanted - set(seen) == set()
    names = [scenario.name for scenario in scenarios()]
    assert len(set(names)) == len(names)
    for scenario in scenarios():
        assert scenario.story
        assert scenario.prevents
        assert any(step.expect != "pass" for step in scenario.steps)


# faults as they were made elsewhere: the source, what stands there, what somebody might have written, who notices
FAULTS = {
    "counts only what was executed": (
        "at->long_worst = risk_moved(at->long_worst, order->qty);", "", {"burst before fills"},
    ),
    "reckons notional in 32 bits": (
        "(uint64_t)j->px * j->order->qty", "(uint32_t)(j->px * j->order->qty)", {"notional of more than 32 bits"},
    ),
    "takes a limit of 0 for none": (
        "order->qty > j->limit->qty_max,", "j->limit->qty_max && order->qty > j->limit->qty_max,", {"zero is a limit"},
    ),
    "refuses at the limit": (
        "beat_age > limits->beat_age_max_ns", "beat_age >= limits->beat_age_max_ns", {"a stale heartbeat"},
    ),
    "halts cancels too": (
        "if (!slot) return REASON(MALFORMED);", "if (!slot || risk->halt) return REASON(MALFORMED);",
        {"cancel after halt", "an execution of nobody's order"},
    ),
    "gives market orders no price": (
        "return (uint32_t)(ref_px + band < HWGW_RISK_PX_MAX ? ref_px + band : HWGW_RISK_PX_MAX);", "return 1;",
        {"a market order has a price"},
    ),
    "forgets the gateway's credit": (
        "is_beyond_credit(&risk->gateway, gateway_limit, j->notional)", "false", {"credit of the gateway"},
    ),
    "looks at own bids only": (
        "j->is_buy ? ~j->px <= j->at->own_ask_min_inv : j->px <= j->at->own_bid_max",
        "!j->is_buy && j->px <= j->at->own_bid_max", {"own order on the other side"},
    ),
    "takes rate for refused orders": (
        "if (strategy->rejects != UINT32_MAX) strategy->rejects++;",
        "if (strategy->rejects != UINT32_MAX) strategy->rejects++; strategy->bucket.level_ts = order->ts_ns;"
        " strategy->bucket.level = 0;",
        {"a refused order takes no rate"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_gate_with_a_fault_is_found_out(tmp_path, root, fault):
    old, new, who = FAULTS[fault]
    text = (root / "cffi_build" / "src" / "risk.c").read_text(encoding="utf-8")
    assert text.count(old) == 1
    built = tmp_path / "libfault.so"
    assert build(built, {"risk.c": text.replace(old, new)})
    failed = {outcome.scenario.name for outcome in run(lambda: SharedObjectGate(built)) if not outcome.passed}
    assert who <= failed


def test_a_gate_in_a_shared_object_is_tried_by_the_command(tmp_path, capsys):
    built = tmp_path / "libgate.so"
    assert build(built)
    assert cli.execute(["conformance", "--gate", str(built), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["failed"], told["passed"]) == (0, len(scenarios()))
    assert cli.execute(["conformance", "--gate", str(built), "--only", "burst"]) == 0
    assert "2 of 2 scenarios as they must be" in capsys.readouterr().out


def test_a_gate_that_lets_everything_pass_fails_wherever_something_is_to_be_refused(tmp_path, capsys):
    source, built = tmp_path / "open.c", tmp_path / "libopen.so"
    source.write_text(
        "void *gate_open(void) { static int gate; return &gate; }\n"
        "unsigned gate_event(void *g, const void *e, const void *l) { (void)g; (void)e; (void)l; return 0; }\n"
        "void gate_close(void *g) { (void)g; }\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(built), str(source)], check=True, timeout=60)
    assert cli.execute(["conformance", "--gate", str(built), "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)["scenarios"]
    passed = {row["name"] for row in rows if row["passed"]}
    assert passed == set()
    assert cli.execute(["conformance", "--gate", str(built), "--only", "burst before"]) == 1
    said = capsys.readouterr().out
    assert "WRONG  burst before fills" in said
    assert "position was expected, pass came" in said
    assert "it prevents: a gate that counts only what has been executed" in " ".join(said.split())


@pytest.mark.parametrize(
    ("text", "why"),
    [(None, "cannot open shared object"), ("int nothing;\n", "gate_open"),
     ("void *gate_open(void) { return 0; }\nint gate_event;\nint gate_close;\n", "gave no gate")],
)  # fmt: skip
def test_what_is_no_gate_is_refused_by_name(tmp_path, capsys, text, why):
    built = tmp_path / "libno.so"
    if text is not None:
        (tmp_path / "no.c").write_text(text)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(built), str(tmp_path / "no.c")], check=True, timeout=60)
    assert cli.execute(["conformance", "--gate", str(built)]) == 2
    assert why in capsys.readouterr().err


def test_the_page_is_the_one_the_scenarios_give(root):
    assert (root / "docs" / "conformance.md").read_text(encoding="utf-8") == page()
