"""Circuit breaker rules in gateway.yaml: what they become, what is told of mistakes, how a change is judged.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.desk import probe
from support.rig import Rig

from hwgw import cli, config, specs
from hwgw.risk import control
from hwgw.risk.limits import limits_table

RULE = "    r: {kind: order_rate, scope: gateway, window: 1s, count_max: 5, action: warn}\n"


@pytest.fixture
def text(root: Path) -> str:
    """The annotated example, without its rules."""
    lines = (root / "deploy" / "examples" / "gateway.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith("  breakers:"))
    end = next(i for i, line in enumerate(lines) if i > start and line.startswith("\n"))
    return "".join([*lines[:start], "  breakers:\n", "RULES", *lines[end:]])


def load(text: str, rules: str) -> config.Settings:
    return config.loads(text.replace("RULES", rules).encode(), "gateway.yaml", Path("/nowhere"))


def test_the_example_has_every_kind_that_it_speaks_of(root):
    settings = config.load(root / "deploy" / "examples" / "gateway.yaml")
    rules = {rule.name: rule for rule in settings.limits.breakers}
    assert len(rules) == 6
    row = limits_table(settings.limits)["breaker"][0]
    assert [name.decode() for name in row["name"]] == [*rules, *[""] * 10]
    table = specs.load("breaker")
    fields = ("kind", "scope", "action", "only", "limit", "bound_ns", "step_ns")
    found = {
        name.decode(): tuple(int(one[field]) for field in fields) for name, one in zip(row["name"], row, strict=True)
    }
    kind, scope, action = (table.enum(name).code for name in ("kind", "scope", "action"))
    each, second = 2**32 - 1, 142_857_143  # a seventh of a second, rounded up
    assert found["runaway"] == (kind("order_rate"), scope("strategy"), action("halt_gateway"), each, 400, 0, second)
    assert found["fills-aapl"] == (kind("fill_rate"), 3, action("halt_instrument"), 0, 200, 0, second)
    assert found["slow"] == (kind("latency_p99"), 0, action("warn"), 0, 2000, 10**6, 1_428_571_429)
    assert found["falling"] == (kind("loss"), 1, action("halt_gateway"), each, 50_000_000, 0, 8_571_428_572)


MISTAKES = [
    ("kind: order_rate", "kind: order_rates", "r.kind: order_rates: unknown (did you mean order_rate?)"),
    ("kind: order_rate, ", "", "r.kind: missing"),
    ("scope: gateway", "scope: venue", "r.scope: venue: unknown; one of gateway, account, strategy, instrument is allowed"),
    ("action: warn", "action: halt", "r.action: halt: unknown; one of warn, halt_instrument, halt_gateway is allowed"),
    ("window: 1s", "window: 1", "r.window: 1: the unit is missing"),
    ("window: 1s", "window: 1us", "r.window: 1us: out of range; a duration such as 500us or 2s, from 1ms to 24h"),
    ("count_max: 5", "count_max: -1", "r.count_max: -1: out of range"),
    ("count_max: 5, ", "", "r.count_max: missing; kind order_rate needs it"),
    ("count_max: 5", "count_max: 5, loss_max: 5.0", "r.loss_max: kind order_rate has no use for it; it takes count_max"),
    ("kind: order_rate", "kind: loss", "r.count_max: kind loss has no use for it; it takes loss_max"),
    ("kind: order_rate", "kind: loss", "r.loss_max: missing; kind loss needs it"),
    ("kind: order_rate", "kind: latency_p99", "r.bound: missing; kind latency_p99 needs it"),
    ("kind: order_rate, scope: gateway", "kind: feed_gap, scope: gateway", "r.scope: gateway: kind feed_gap is counted by instrument"),
    ("kind: order_rate, scope: gateway", "kind: loss, scope: strategy", "r.scope: strategy: kind loss is counted by gateway, account"),
    ("action: warn", "action: halt_instrument", "r.action: halt_instrument: scope gateway names no instrument; warn and halt_gateway are allowed"),
    ("action: warn", "action: warn, only: 3", "r.only: scope gateway has no use for it"),
    ("scope: gateway", "scope: account, only: 16", "r.only: 16: no such account; 0 to 15 is allowed"),
    ("scope: gateway", "scope: strategy, only: revresion", "r.only: revresion: no such strategy; reversion, pressure is allowed"),
    ("scope: gateway", "scope: instrument, only: TSLA", "r.only: TSLA: no such instrument; one of instruments.symbols is allowed"),
    ("action: warn", "action: warn, limit: 5", "r.limit: unknown key"),
    ("    r:", "    Runaway:", "Runaway: Runaway: not of the right form; 1 to 15 of a-z 0-9 _ - is allowed"),
    (RULE, RULE + RULE, "r: key stands twice"),
    (RULE, "".join(RULE.replace("r:", f"r{i}:") for i in range(17)), "limits.breakers: 17 rules; at most 16 are allowed"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES, ids=[row[2][:40] for row in MISTAKES])
def test_a_mistake_in_a_rule_is_named(text, old, new, said):
    load(text, RULE)
    assert RULE.count(old) == 1
    with pytest.raises(config.ProblemsError) as caught:
        load(text, RULE.replace(old, new))
    assert any(said in str(problem) for problem in caught.value.problems), [str(p) for p in caught.value.problems]


def test_a_rule_is_shown_changed_and_only_with_the_word_made_looser_or_taken_away(tmp_path, capsys):
    from tests.unit.test_limits_control import GOOD

    rule = "breakers:\n  r: {kind: latency_p99, scope: strategy, only: probe, window: 7s, bound: 1ms, slow_max: 3,"
    rule += " action: warn}\n"
    with Rig(("AAPL", "MSFT", "IBM"), probe()) as rig:
        name, file = rig.segment.name, tmp_path / "limits.yaml"

        def put(text: str, *more: str) -> int:
            file.write_text(text)
            code = cli.execute(["limits", "reload", name, str(file), *more])
            rig.publish()
            return code

        def reload(text: str) -> set[tuple[str, bool]]:
            """What a file would change, and whether that is looser; then it is put in force."""
            file.write_text(text)
            found = control.in_force(rig.segment).changes(control.read(file, rig.segment))
            rig.segment.publish_limits(control.read(file, rig.segment).table)
            rig.publish()
            return {(change.name, change.is_looser) for change in found}

        rig.publish()
        reload(GOOD)
        keys = ("rule", "action", "slow_max", "bound", "step")
        assert reload(GOOD + rule) == {(f"breakers.r.{key}", False) for key in keys}
        capsys.readouterr()
        assert cli.execute(["limits", "show", name]) == 0
        said = capsys.readouterr().out
        assert "latency_p99 of strategy 0" in said
        assert "1ms" in said
        for old, new, key, is_looser in (
            ("slow_max: 3", "slow_max: 4", "slow_max", True), ("slow_max: 4", "slow_max: 3", "slow_max", False),
            ("bound: 1ms", "bound: 2ms", "bound", True), ("window: 7s", "window: 14s", "step", False),
            ("window: 14s", "window: 7s", "step", True), ("warn", "halt_gateway", "action", False),
            ("halt_gateway", "warn", "action", True), (", only: probe", "", "rule", True),
        ):  # fmt: skip
            assert old in rule
            rule = rule.replace(old, new)
            assert reload(GOOD + rule) == {(f"breakers.r.{key}", is_looser)}, (old, new)
        assert put(GOOD) == 1
        assert (
            "breakers.r.rule, breakers.r.action, breakers.r.slow_max and 2 more would be looser"
            in capsys.readouterr().err
        )
        assert reload(GOOD) == {(f"breakers.r.{key}", True) for key in keys}
