"""gateway.yaml is read strictly: what is right becomes exact settings, what is wrong is named with line, key and rule.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from hwgw import cli, config, strict_yaml
from hwgw.errors import ConfigError
from hwgw.settings import Confine, Publish, Recover, Rule, Secrets, Settings, Snapshot

Run = Callable[..., subprocess.CompletedProcess[str]]

BASE = """\
name: alpha
pipelines:
  - cpu: 3
    receive: {backend: udp, local_address: 10.1.2.3}
    channels:
      - name: itch
        lines:
          - {group: 233.54.12.1, port: 26477}
          - {group: 233.54.12.2, port: 26478}
        stale: 2s
instruments:
  symbols: [AAPL, MSFT]
  orders_max: 100000
strategies:
  - name: one
    use: builtin:mean_reversion
    armed: true
    params: {qty: 50, edge_px: 0.0125, cooldown_ns: 1.5us}
limits:
  beat_age_max: 500ms
  ref_age_max: 5s
  dup_window: 0s
  gateway: {credit_max: 1000000, loss_max: 5000.25, open_max: 20, rate_burst: 10, rate_refill: 1ms}
  accounts:
    0: {credit_max: 1000000, loss_max: 5000.25, open_max: 20, rate_burst: 10, rate_refill: 1ms}
  strategies:
    one: {rate_burst: 10, rate_refill: 1ms, fills_max: 100, rejects_run_max: 10}
  instruments:
    "*":
      qty_max: 100
      notional_max: 20000.5
      collar_pct: 5
      collar_px_min: 0.01
      long_max: 300
      short_max: 300
    AAPL: {qty_max: 200}
session:
  address: 10.1.2.4
  port: 26400
  username: HWGW01
  password: secret
control:
  heartbeat: 100ms
"""


def load(text: str, folder: Path = Path("/nowhere")) -> Settings:
    return config.loads(text.encode(), "gateway.yaml", folder)


def changed(old: str, new: str) -> str:
    assert BASE.count(old) == 1, f"{old!r} stands {BASE.count(old)} times in the base"
    return BASE.replace(old, new)


def problems(text: str, folder: Path = Path("/nowhere")) -> list[str]:
    with pytest.raises(config.ProblemsError) as caught:
        load(text, folder)
    return [str(problem) for problem in caught.value.problems]


def test_base_becomes_exact_integers() -> None:
    settings = load(BASE)
    assert settings.name == "alpha"
    (pipeline,) = settings.pipelines
    assert (pipeline.cpu, pipeline.receive.backend, pipeline.receive.local_address) == (3, "udp", 0x0A010203)
    (channel,) = pipeline.channels
    assert [(line.group, line.port) for line in channel.lines] == [(0xE9360C01, 26477), (0xE9360C02, 26478)]
    assert channel.stale_ns == 2_000_000_000
    (strategy,) = settings.strategies
    assert (strategy.kind, strategy.target, strategy.armed) == ("builtin", "mean_reversion", True)
    assert strategy.params == {"qty": 50, "edge_px": 125, "cooldown_ns": 1500}
    limits = settings.limits
    assert limits.gateway.credit_max == 10_000_000_000
    assert limits.gateway.loss_max == 50_002_500
    assert (limits.beat_age_max_ns, limits.ref_age_max_ns, limits.dup_window_ns) == (500_000_000, 5_000_000_000, 0)
    assert set(limits.accounts) == set(limits.strategies) == {0}
    apple, microsoft = limits.instruments
    assert (apple.qty_max, apple.notional_max, apple.long_max) == (200, 200_005_000, 300)
    assert (microsoft.qty_max, microsoft.collar_q16, microsoft.collar_px_min) == (100, 65_536 * 5 // 100, 100)
    (session,) = settings.sessions
    assert (session.address, session.capacity, session.display) == (0x0A010204, "P", "Y")
    assert settings.control.heartbeat_ns == 100_000_000


def test_the_data_process_is_confined_unless_it_is_said_otherwise() -> None:
    assert load(BASE).confine == Confine(drop_privileges=True, seccomp=True)
    kept = load(BASE + "confine: {privileges: keep, seccomp: false}\n").confine
    assert kept == Confine(drop_privileges=False, seccomp=False)
    assert load(BASE + "confine: {}\n").confine == Confine()


def test_time_stamps_are_asked_for() -> None:
    receive = "receive: {backend: udp, local_address: 10.1.2.3"
    assert not load(BASE).pipelines[0].receive.timestamps
    assert load(changed(receive, f"{receive}, timestamps: true")).pipelines[0].receive.timestamps


def test_example_loads_and_says_what_its_comments_say(root: Path) -> None:
    settings = config.load(root / "deploy" / "examples" / "gateway.yaml")
    assert settings.symbols == ("AAPL", "MSFT", "ZVZZT")
    apple, microsoft, test_symbol = settings.limits.instruments
    assert (apple.enabled, microsoft.enabled, test_symbol.enabled) == (True, True, False)
    assert microsoft.restricted_accounts == (1,)
    assert [strategy.armed for strategy in settings.strategies] == [True, False]
    assert settings.limits.checks_off == ("short_sale",)


def test_every_yaml_example_is_a_configuration(root: Path) -> None:
    examples = sorted((root / "deploy" / "examples").glob("*.yaml"))
    assert examples
    for path in examples:
        config.load(path)


SHARES = "an integer from 0 to 4294967295 is allowed"
MONEY = "a decimal from 0 to 922337203685477.5807 with at most 4 places is allowed"
DAY = "a duration such as 500us or 2s, from 0s to 24h, is allowed"
NAME = "1 to 31 of a-z A-Z 0-9 _ - is allowed"
IPV4 = "an IPv4 address such as 233.54.12.111 is allowed"
SYMBOL = "a symbol of 1 to 8 printable characters without blank and * is allowed"
CPU = "an integer from 0 to 1023 is allowed"
FEATURE = (
    "one of spread, mid, microprice, imbalance:levels, slope:levels, ofi, ofi_decay:shift, trade_sign, trade_volume,"
    " trade_flow:shift, queue_bid_ahead, queue_bid_behind, queue_ask_ahead, queue_ask_behind, ema_short:shift,"
    " ema_long:shift"
)
USE = "builtin:NAME, c:FILE.so, linear:FILE.npz or numba:MODULE:FUNCTION is allowed"
KEYS_CONTROL = "heartbeat, cancel_on_halt, stale_halt, limits_keys are allowed"
KEYS_LINE = "group, port are allowed"
TOP = "name, pipelines, instruments, strategies, limits, session, confine, control are allowed"

RULE = "{name: dip, instrument: AAPL, strategy: one, when: offered, when_px: 100.25, side: buy, px: 100.5, qty: 100}"


def ruled(*rules: str) -> str:
    base = changed("{backend: udp, local_address: 10.1.2.3}", "{backend: card, interface: eth1}")
    return base + f"risk: {{where: both, send: card, rules: [{', '.join(rules)}]}}\n"


def test_a_rule_of_the_card_is_one_of_an_instrument_for_a_live_strategy() -> None:
    other = RULE.replace("dip", "top").replace("AAPL", "MSFT").replace("qty: 100", "qty: 7, when_qty: 300, tif: day")
    first, second = load(ruled(RULE, other)).risk.rules
    assert first == Rule("dip", "AAPL", "one", "offered", 1_002_500, 1, "buy", 1_005_000, 100, "ioc")
    assert (second.name, second.instrument, second.when_qty, second.qty, second.tif) == ("top", "MSFT", 300, 7, "day")


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        ((RULE, RULE.replace("AAPL", "MSFT")), "dip is used already by"),
        ((RULE, RULE.replace("dip", "top")), "AAPL is used already by"),
        ((RULE.replace("AAPL", "IBM"),), "IBM: none of instruments.symbols"),
        ((RULE.replace("strategy: one", "strategy: two"),), "two: no live strategy; there are one"),
        ((RULE.replace("px: 100.5", "px: 0"),), "out of range"),
        ((RULE.replace("offered", "asked"),), "asked: unknown; one of offered, bid, traded_down, traded_up is allowed"),
    ],
)
def test_what_a_rule_of_the_card_cannot_be(rules: tuple[str, ...], what: str) -> None:
    with pytest.raises(config.ProblemsError, match=what):
        load(ruled(*rules))


def test_rules_need_a_card_that_receives_and_sends() -> None:
    both = [
        "42: risk.rules: an order of a rule leaves by the card: send: card is needed",
        "42: risk.rules: one pipeline with backend card is needed, whose events rules go by",
    ]
    text = changed("control:\n", f"risk: {{where: both, rules: [{RULE}]}}\ncontrol:\n")
    assert problems(text) == both
    assert problems(text.replace("both,", "both, send: card,")) == both[1:]


MISTAKES = [
    # whose gate judges
    ("control:\n", "risk: {where: nic}\ncontrol:\n", "42: risk.where: nic: unknown; one of host, card, both is allowed"),
    ("control:\n", "risk: {wher: both}\ncontrol:\n", "42: risk.wher: unknown key (did you mean where?); where, card, send, rules are allowed"),
    ("control:\n", "risk: {send: card}\ncontrol:\n",
     "42: risk.send: card: its gate does not judge; where: card or both is needed"),
    ("control:\n", "risk: {where: both, send: nic}\ncontrol:\n", "42: risk.send: nic: unknown; one of host, card is allowed"),
    # numbers
    ("cpu: 3", "cpu: 017", f"3: pipelines[0].cpu: 017: octal is not taken (YAML would read 15); {CPU}"),
    ("cpu: 3", "cpu: 0o17", f"3: pipelines[0].cpu: 0o17: octal is not taken (YAML would read 15); {CPU}"),
    ("cpu: 3", "cpu: 09", f"3: pipelines[0].cpu: 09: a leading zero is not taken; {CPU}"),
    ("cpu: 3", "cpu: 0x3", f"3: pipelines[0].cpu: 0x3: hexadecimal and binary are not taken; {CPU}"),
    ("cpu: 3", "cpu: three", f"3: pipelines[0].cpu: three: not a number; {CPU}"),
    ("cpu: 3", 'cpu: "3"', f"3: pipelines[0].cpu: '3': quoted text instead of a plain value; {CPU}"),
    ("cpu: 3", "cpu: 3.0", f"3: pipelines[0].cpu: 3.0: not an integer; {CPU}"),
    ("cpu: 3", "cpu: -1", f"3: pipelines[0].cpu: -1: out of range; {CPU}"),
    ("cpu: 3", "cpu: yes", f"3: pipelines[0].cpu: yes: a boolean is not a number; {CPU}"),
    ("cpu: 3", "cpu:", f"3: pipelines[0].cpu: no value; {CPU}"),
    ("cpu: 3", "cpu: [3]", f"3: pipelines[0].cpu: a list instead of a value; {CPU}"),
    ("{qty_max: 200}", "{qty_max: 1e2}", f"36: limits.instruments.AAPL.qty_max: 1e2: an exponent is not taken, write the digits; {SHARES}"),
    ("{qty_max: 200}", "{qty_max: 1_000}", f"36: limits.instruments.AAPL.qty_max: 1_000: digit separators are not taken; {SHARES}"),
    ("{qty_max: 200}", "{qty_max: 1:30}", f"36: limits.instruments.AAPL.qty_max: 1:30: sexagesimal is not taken (YAML would read a number of base 60); {SHARES}"),
    ("{qty_max: 200}", "{qty_max: 4294967296}", f"36: limits.instruments.AAPL.qty_max: 4294967296: out of range; {SHARES}"),
    ("{qty_max: 200}", "{qty_max: +5}", f"36: limits.instruments.AAPL.qty_max: +5: a plus sign is not taken; {SHARES}"),
    # money and prices
    ("20000.5", "1e6", f"31: limits.instruments.*.notional_max: 1e6: an exponent is not taken, write the digits; {MONEY}"),
    ("20000.5", "0.12345", f"31: limits.instruments.*.notional_max: 0.12345: more than 4 decimal places; {MONEY}"),
    ("20000.5", ".5", f"31: limits.instruments.*.notional_max: .5: not a number; {MONEY}"),
    ("20000.5", "-1", f"31: limits.instruments.*.notional_max: -1: out of range; {MONEY}"),
    ("20000.5", ".inf", f"31: limits.instruments.*.notional_max: .inf: not a number; {MONEY}"),
    ("20000.5", "922337203685477.5808", f"31: limits.instruments.*.notional_max: 922337203685477.5808: out of range; {MONEY}"),
    # durations
    ("dup_window: 0s", "dup_window: 0", f"22: limits.dup_window: 0: the unit is missing; {DAY}"),
    ("dup_window: 0s", "dup_window: 5 s", f"22: limits.dup_window: 5 s: not a duration; {DAY}"),
    ("dup_window: 0s", "dup_window: 0.5ns", f"22: limits.dup_window: 0.5ns: not a whole number of nanoseconds; {DAY}"),
    ("dup_window: 0s", "dup_window: 25h", f"22: limits.dup_window: 25h: out of range; {DAY}"),
    # booleans, words and text
    ("armed: true", "armed: yes", "17: strategies[0].armed: yes: not a boolean; true or false is allowed"),
    ("armed: true", "armed: True", "17: strategies[0].armed: True: not a boolean; true or false is allowed"),
    ("backend: udp", "backend: afxpd", "4: pipelines[0].receive.backend: afxpd: unknown (did you mean afxdp?); one of auto, afxdp, packet, udp, pcap, dpdk, card is allowed"),
    ("name: alpha", "name: no", f"1: name: no: YAML does not read this as text, put it in quotes; {NAME}"),
    ("name: alpha", "name: a/b", f"1: name: a/b: not of the right form; {NAME}"),
    ("name: alpha", "name: ''", f"1: name: '': not of the right form; {NAME}"),
    ("[AAPL, MSFT]", "[AAPL, ON]", f"12: instruments.symbols[1]: ON: YAML does not read this as text, put it in quotes; {SYMBOL}"),
    ("[AAPL, MSFT]", "[AAPL, TOOLONGNAME]", f"12: instruments.symbols[1]: TOOLONGNAME: not of the right form; {SYMBOL}"),
    ("[AAPL, MSFT]", "AAPL", "12: instruments.symbols: AAPL: a single value instead of a list"),
    ("[AAPL, MSFT]", "[]", "12: instruments.symbols: 0 entries; 1 to 1024 are allowed"),
    ("username: HWGW01", "username: 12345", "40: session.username: 12345: YAML does not read this as text, put it in quotes; 1 to 6 printable characters is allowed"),
    ("builtin:mean_reversion", "mean_reversion", f"16: strategies[0].use: mean_reversion: not a strategy; {USE}"),
    ("armed: true", "features: [spred]", f"17: strategies[0].features[0]: spred: unknown; {FEATURE} is allowed"),
    ("armed: true", "features: [imbalance:0]", f"17: strategies[0].features[0]: imbalance:0: levels 1 to 10 are allowed; {FEATURE} is allowed"),
    ("armed: true", "features: [spread:2]", f"17: strategies[0].features[0]: spread:2: spread has no parameter; {FEATURE} is allowed"),
    ("armed: true", "features: [ofi, spread, ofi]", "17: strategies[0].features: ofi stands twice"),
    ("control:\n", "publish: {depth: 11}\ncontrol:\n", "42: publish.depth: 11: out of range; an integer from 0 to 10 is allowed"),
    ("control:\n", "publish: {features: [ofi, ofi]}\ncontrol:\n", "42: publish.features: ofi stands twice"),
    ("control:\n", "publish: {features: [queue_bid_ahead]}\ncontrol:\n", f"42: publish.features[0]: queue_bid_ahead: of a strategy's own orders; {FEATURE} but queue_* is allowed"),
    ("builtin:mean_reversion", "numba:module.function", f"16: strategies[0].use: numba:module.function: not a module and a function; {USE}"),
    # addresses and ports
    ("233.54.12.1,", "233.54.12.256,", f"8: pipelines[0].channels[0].lines[0].group: 233.54.12.256: not an IPv4 address; {IPV4}"),
    ("233.54.12.1,", "233.54.12.01,", f"8: pipelines[0].channels[0].lines[0].group: 233.54.12.01: not an IPv4 address; {IPV4}"),
    ("233.54.12.1,", "0.0.0.0,", f"8: pipelines[0].channels[0].lines[0].group: 0.0.0.0: not the address of a host or group; {IPV4}"),
    ("port: 26400", "port: 65536", "39: session.port: 65536: out of range; an integer from 1 to 65535 is allowed"),
    ("local_address: 10.1.2.3", "interface: this/that", "4: pipelines[0].receive.interface: this/that: not of the right form; the name of a network interface is allowed"),
    # structure
    ("heartbeat: 100ms", "hartbeat: 100ms", f"43: control.hartbeat: unknown key (did you mean heartbeat?); {KEYS_CONTROL}"),
    ("heartbeat: 100ms", "<<: {heartbeat: 1s}", f"43: control.<<: unknown key; {KEYS_CONTROL}"),
    ("name: alpha", "name: alpha\nname: beta", "2: name: key stands twice (first on line 1)"),
    ("    AAPL: {qty", '    "*": {}\n    AAPL: {qty', "36: limits.instruments.*: key stands twice (first on line 29)"),
    ("port: 26477}", "port: 26477, ports: 3}", f"8: pipelines[0].channels[0].lines[0].ports: unknown key (did you mean port?); {KEYS_LINE}"),
    ("  symbols: [AAPL, MSFT]\n", "", "11: instruments.symbols: missing; a list is required here"),
    ("name: alpha\n", "", f"1: name: missing; {NAME.removesuffix(' is allowed')} is required here"),
    ("  heartbeat: 100ms", "\theartbeat: 100ms", "43: a tab character; indent and separate with spaces"),
    ("name: alpha", "name: &anchor alpha", "1: anchors and aliases are not allowed"),
    ("cpu: 3", "cpu: !!int 3", "3: the tag tag:yaml.org,2002:int is not allowed"),
    ("  heartbeat: 100ms", "  heartbeat: 100ms\n---\nname: beta", "44: a second document; one is allowed"),
    ("symbols: [AAPL, MSFT]", "symbols: [AAPL, MSFT", "13: not YAML: while parsing a flow sequence expected ',' or ']', but got ':'"),
    # several keys together
    ("backend: udp, ", "backend: pcap, ", ["4: pipelines[0].receive.local_address: backend pcap has no use for it; auto, udp have", "4: pipelines[0].receive.path: missing; backend pcap needs it"]),
    ("backend: udp, local_address: 10.1.2.3", "backend: afxdp", "4: pipelines[0].receive.interface: missing; backend afxdp needs it"),
    ("backend: udp, ", "backend: packet, busy_poll: 5us, ", ["4: pipelines[0].receive.busy_poll: backend packet has no use for it; auto, afxdp, udp have", "4: pipelines[0].receive.interface: missing; backend packet needs it", "4: pipelines[0].receive.local_address: backend packet has no use for it; auto, udp have"]),
    ("local_address: 10.1.2.3", "local_address: 10.1.2.3, udp_checksum: verify", "4: pipelines[0].receive.udp_checksum: backend udp has no use for it; auto, afxdp, packet, pcap, dpdk have"),
    ("local_address: 10.1.2.3", "local_address: 10.1.2.3, busy_poll: 1500ns", "4: pipelines[0].receive.busy_poll: a fraction of a microsecond; whole microseconds are allowed"),
    ("local_address: 10.1.2.3", "local_address: 10.1.2.3, frames: 1000", "4: pipelines[0].receive.frames: 1000: not a power of two"),
    ("233.54.12.2, port: 26478", "233.54.12.1, port: 26477", "9: pipelines[0].channels[0].lines[1]: this group and port is used already by pipelines[0].channels[0].lines[0]"),
    ("[AAPL, MSFT]", "[AAPL, MSFT, AAPL]", "12: instruments.symbols: AAPL stands twice"),
    ("builtin:mean_reversion", "builtin:mean_revision", "16: strategies[0].use: builtin:mean_revision: unknown; builtin:mean_reversion, builtin:imbalance are there"),
    ("{qty: 50,", "{qyt: 50,", "18: strategies[0].params.qyt: unknown parameter of builtin:mean_reversion; qty, edge_px, ema_shift, position_max, cooldown_ns, warmup, spread_max_px are allowed"),
    ("    armed: true", "    account: 7", "17: strategies[0].account: 7: no limits; add limits.accounts.7"),
    ("    one: {rate", "    two: {rate", ["15: strategies[0].name: one: no limits; add limits.strategies.one", "27: limits.strategies.two: no strategy of this name"]),
    ("      collar_pct: 5\n", "", "28: limits.instruments.collar_pct: missing for AAPL, MSFT; the check collar needs it"),
    ("  ref_age_max: 5s\n", "", "19: limits.ref_age_max: missing; the check collar needs it (or stands in limits.checks_off)"),
    ("AAPL: {qty_max", "APPL: {qty_max", "36: limits.instruments.APPL: fits none of instruments.symbols"),
    ("  password: secret\n", "", "37: session.password: missing; password or password_file is required"),
    ("  password: secret\n", "  password: secret\n  password_file: x\n", "41: session.password: both password and password_file; one is allowed"),
    ("  password: secret\n", "  password_file: x\n", "41: session.password_file: /nowhere/x: No such file or directory"),
    ("  password: secret\n", "  password: secret\n  mass_cancel: true\n", "42: session.mass_cancel: ouch50 names the firm in it, and firm is missing; it is of fix44, and of ouch50 with a firm"),
    ("  password: secret\n", "  password: secret\n  disable_on_halt: true\n", "42: session.disable_on_halt: ouch50 names the firm in it, and firm is missing; it is of ouch50 with a firm"),
    ("  password: secret\n", "  password: secret\n  protocol: ouch42\n  firm: ABCD\n  disable_on_halt: true\n", "44: session.disable_on_halt: ouch42 has none; it is of ouch50 with a firm"),
    ("  password: secret\n", "  password: secret\n  disconnect_tag: 9001\n", "42: session.disconnect_tag: ouch50 has none; it is of fix42 and fix44"),
    ("  password: secret\n", "  password: secret\n  backup: {address: 10.1.2.5, port: 26400}\n", "42: session.backup: is never tried without reconnect"),
    ("  password: secret\n", "  password: secret\n  backup: {address: 10.1.2.5}\n", "42: session.backup.port: missing; an integer from 1 to 65535 is required here"),
    ("  password: secret\n", "  password: secret\n  throttle: {messages_per_second: 10, burst: 5, cancel_reserve: 5}\n", "42: session.throttle.cancel_reserve: not below burst, 5: no order would leave"),
    ("  password: secret\n", "  password: secret\n  throttle: {messages_per_second: 0, burst: 5}\n", "42: session.throttle.messages_per_second: 0: out of range; an integer from 1 to 1000000 is allowed"),
    ("control:", "confine: {privileges: maybe}\ncontrol:", "42: confine.privileges: maybe: unknown; one of drop, keep is allowed"),
    ("control:", "confine: {seccomp: on}\ncontrol:", "42: confine.seccomp: on: not a boolean; true or false is allowed"),
    ("control:", "confine: {secomp: true}\ncontrol:", "42: confine.secomp: unknown key (did you mean seccomp?); privileges, seccomp are allowed"),
    ("heartbeat: 100ms", "heartbeat: 300ms", "43: control.heartbeat: 300000000 ns is more than half of limits.beat_age_max (500000000 ns); the gate would refuse orders between two beats"),
    ("beat_age_max: 500ms", "beat_age_max: 500ms\n  checks_off: [halted]", "21: limits.checks_off[0]: halted: unknown; one of control_stale, strategy, instrument, feed, qty, notional, collar, position, short_sale, credit, open_orders, duplicate, self_cross, rate, loss is allowed"),
    ("fills_max: 100,", "", "27: limits.strategies.one.fills_max: missing; the check strategy needs it (or stands in limits.checks_off)"),
]  # fmt: skip


def test_what_the_venue_asks_of_a_session_is_read() -> None:
    more = "reconnect: 1s\n  firm: ABCD\n  disable_on_halt: true\n  backup: {address: 10.1.2.5, port: 26401}\n  cancel_on_disconnect: true"
    more += "\n  throttle: {messages_per_second: 300, burst: 20, cancel_reserve: 4}"
    text = BASE.replace("  password: secret\n", f"  password: secret\n  {more}\n")
    (session,) = config.loads(text.encode(), "gateway.yaml", Path()).sessions
    assert (session.backup, session.mass_cancel, session.cancel_on_disconnect) == ((0x0A010205, 26401), True, True)
    assert session.disable_on_halt
    assert session.throttle
    assert (session.throttle.messages_per_second, session.throttle.burst, session.throttle.cancel_reserve) == (
        300,
        20,
        4,
    )


def test_what_the_segment_shows_of_the_books_is_read_and_nothing_by_default() -> None:
    assert load(BASE).publish == Publish(0, {})
    shown = load(BASE + "publish: {depth: 5, features: [microprice, 'slope:3']}\n").publish
    assert shown == Publish(5, {"microprice": None, "slope": 3})


def test_features_of_a_strategy_are_read_with_their_parameters() -> None:
    text = BASE.replace("armed: true", "features: [spread, imbalance:5, 'ema_long:9']")
    (strategy,) = config.loads(text.encode(), "gateway.yaml", Path()).strategies
    assert strategy.features == {"spread": None, "imbalance": 5, "ema_long": 9}


@pytest.mark.parametrize(("old", "new", "messages"), MISTAKES, ids=[f"{m[1][:40]!r}" for m in MISTAKES])
def test_mistake_is_named_exactly(old: str, new: str, messages: str | list[str]) -> None:
    assert problems(changed(old, new)) == ([messages] if isinstance(messages, str) else messages)


def test_a_udp_checksum_is_trusted_unless_the_file_says_verify() -> None:
    verify = "{backend: packet, interface: eth1, udp_checksum: verify}"
    for receive, want in ((verify, True), (verify.replace("verify", "trust"), False)):
        settings = load(changed("{backend: udp, local_address: 10.1.2.3}", receive))
        assert settings.pipelines[0].receive.udp_checksum is want
    assert load(BASE).pipelines[0].receive.udp_checksum is False


def test_table_of_mistakes_is_long_enough() -> None:
    assert len(MISTAKES) >= 25
    assert len({message if isinstance(message, str) else message[0] for _, _, message in MISTAKES}) == len(MISTAKES)


def test_all_problems_are_reported_at_once() -> None:
    text = changed("cpu: 3", "cpu: 017").replace("armed: true", "armed: on").replace("5000.25", "5e3")
    found = problems(text)
    assert [line.split(":")[0] for line in found] == ["3", "17", "23", "25"]


def test_text_of_the_exception_is_one_line_with_the_first_problem() -> None:
    text = changed("cpu: 3", "cpu: 017").replace("armed: true", "armed: on")
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert str(caught.value).startswith("gateway.yaml:3: pipelines[0].cpu: 017: octal is not taken")
    assert str(caught.value).endswith("(and 1 more: hwgw check gateway.yaml)")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_most_specific_pattern_wins_for_each_key() -> None:
    text = changed(
        "    AAPL: {qty_max: 200}",
        '    "A*": {qty_max: 7, long_max: 8}\n    AA*: {long_max: 9}\n    AAPL: {short_max: 1}',
    )
    apple, microsoft = load(text).limits.instruments
    assert (apple.qty_max, apple.long_max, apple.short_max, apple.notional_max) == (7, 9, 1, 200_005_000)
    assert (microsoft.qty_max, microsoft.long_max, microsoft.short_max) == (100, 300, 300)


def test_check_that_is_switched_off_needs_no_limits() -> None:
    text = changed("      collar_pct: 5\n      collar_px_min: 0.01\n", "")
    text = text.replace("  ref_age_max: 5s\n", "  checks_off: [collar]\n")
    limits = load(text).limits
    assert limits.checks_off == ("collar",)
    assert limits.instruments[0].collar_q16 == 0


def test_gateway_without_limits_can_only_listen() -> None:
    start, end = BASE.index("limits:"), BASE.index("session:")
    without_limits = BASE[:start] + BASE[end:]
    assert problems(without_limits) == ["1: limits: missing; strategies send nothing without limits"]
    start, end = without_limits.index("strategies:"), without_limits.index("session:")
    settings = load(without_limits[:start] + without_limits[end:])
    assert not any(instrument.enabled for instrument in settings.limits.instruments)


def test_strategy_is_not_armed_unless_it_says_so() -> None:
    assert load(changed("    armed: true\n", "")).strategies[0].armed is False


def test_file_names_count_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    text = changed("builtin:mean_reversion", "c:lib/mine.so").replace(
        "backend: udp, local_address: 10.1.2.3", "backend: pcap, path: feed.pcap"
    )
    settings = load(text, tmp_path)
    assert settings.strategies[0].target == str(tmp_path / "lib" / "mine.so")
    assert settings.pipelines[0].receive.path == str(tmp_path / "feed.pcap")


@pytest.mark.parametrize("wrong", ["hunter2hunter2", "123456", "null", "'a b'", "x" * 5000])
def test_a_password_that_cannot_be_is_told_without_it(tmp_path: Path, wrong: str) -> None:
    (said,) = problems(changed("  password: secret\n", f"  password: {wrong}\n"), tmp_path)
    assert said.startswith("41: session.password: ")
    assert "1 to 10 printable characters is allowed" in said
    assert wrong.strip("'")[:6] not in said


def test_password_file_must_be_private_and_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = changed("  password: secret\n", "  password_file: venue.secret\n")
    file = tmp_path / "venue.secret"
    file.write_text("hidden\n")
    file.chmod(0o640)
    assert problems(text, tmp_path) == [
        f"41: session.password_file: {file}: others can read it (mode 0640); chmod 600 it"
    ]
    file.chmod(0o600)
    (session,) = load(text, tmp_path).sessions
    assert session
    assert session.password == "hidden"
    file.chmod(0o440)  # as an access control list of systemd's looks
    assert problems(text, tmp_path) != []
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load(text, tmp_path).sessions[0].password == "hidden"
    file.chmod(0o444)
    assert problems(text, tmp_path) != []
    file.chmod(0o600)
    file.write_text("far too long a password\n")
    assert problems(text, tmp_path) == [
        f"41: session.password_file: {file}: not one line of 1 to 10 printable characters"
    ]


def test_a_credential_of_a_unit_is_missing_for_that_unit_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever checks, bundles or deploys a configuration is not given it, and whoever runs it must be."""
    file = "/run/credentials/hwgw@alpha.service/venue.secret"
    text = changed("  password: secret\n", f"  password_file: {file}\n")
    settings = load(text, tmp_path)
    assert settings.secrets == Secrets(files=(file,), absent=(f"session.password_file: {file}",))
    path = tmp_path / "alpha.yaml"
    path.write_text(text)
    assert cli.execute(["check", str(path)]) == 0
    assert "only its unit is given it" in " ".join(capsys.readouterr().out.split())
    assert cli.execute(["run", str(path)]) == 3
    assert f"session.password_file: {file}: not there: a credential" in capsys.readouterr().err
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(Path(file).parent))
    assert problems(text, tmp_path) == [f"41: session.password_file: {file}: No such file or directory"]


def test_where_secrets_stand_is_known(tmp_path: Path) -> None:
    assert load(BASE).secrets == Secrets(inline=("session.password",))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "1: the file is empty"),
        (b"- name: x\n", "1: a list instead of a mapping of keys to values"),
        (b"text", "1: a single value instead of a mapping of keys to values"),
        (b"name: \xff\n", "1: not UTF-8 text"),
        (b"a: 1\n\x00", "1: not YAML: "),
        (b"[" * 500 + b"]" * 500, "1: nested too deeply"),
        (b"? [1]\n: 2\n", "1: a list instead of a key"),
    ],
)
def test_what_is_no_mapping_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(config.ProblemsError) as caught:
        config.loads(raw, "gateway.yaml", Path())
    assert str(caught.value.problems[0]).startswith(message)


def test_very_long_number_is_refused_and_shortened() -> None:
    found = problems(changed("{qty_max: 200}", "{qty_max: " + "9" * 5000 + "}"))
    assert found == [f"36: limits.instruments.AAPL.qty_max: 9999999999999999...: 5000 characters; {SHARES}"]


def test_decimals_are_exact_for_any_value(rng: random.Random) -> None:
    scalar = strict_yaml.decimal(0, 2**63 - 1)
    for _ in range(5000):
        value = rng.randrange(0, 10 ** rng.randrange(1, 19))
        text = strict_yaml.shown(value)
        assert scalar.parse(text) == value == int(Decimal(text).scaleb(4))


def test_file_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.yaml: No such file or directory$"):
        config.load(tmp_path / "gateway.yaml")


def test_check_reports_what_a_good_file_says(hwgw: Run, root: Path) -> None:
    done = hwgw("check", root / "deploy" / "examples" / "gateway.yaml", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert (result["schema"], result["ok"], result["problems"]) == ("hwgw.check/1", True, [])
    assert result["checks_off"] == ["short_sale"]


def test_check_reports_every_problem_and_exits_3(hwgw: Run, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(changed("cpu: 3", "cpu: 017").replace("armed: true", "armed: on"))
    done = hwgw("check", file, "--json")
    assert done.returncode == 3
    assert [(p["line"], p["key"]) for p in json.loads(done.stdout)["problems"]] == [
        (3, "pipelines[0].cpu"),
        (17, "strategies[0].armed"),
    ]
    assert [line.rpartition(str(file))[2][:3] for line in done.stderr.splitlines()] == [":3:", ":17"]


# ---- recovery of a channel ----

RECOVERY = """\
        stale: 2s
        hold_max: 4096
        reorder_window: 500us
        recover:
          servers: [{address: 10.1.2.5, port: 26500}, {address: 10.1.2.6, port: 26500}]
          timeout: 3ms
          retries: 2
          rate: 500
          messages_max: 2000
        snapshot: {address: 10.1.2.7, port: 26501, username: SNAP01, password: hush, timeout: 2s, retry: 3s}
"""


def test_the_recovery_of_a_channel_arrives_exactly():
    channel = load(changed("        stale: 2s\n", RECOVERY)).pipelines[0].channels[0]
    assert (channel.hold_max, channel.reorder_window_ns) == (4096, 500_000)
    servers = ((0x0A010205, 26500), (0x0A010206, 26500))
    assert channel.recover == Recover(servers, 3_000_000, 2, 500, 2000)
    assert channel.snapshot == Snapshot(0x0A010207, 26501, "SNAP01", "hush", 2 * 10**9, 3 * 10**9)


JOURNAL = "journal: {folder: journal, frames: true}\n"


def test_a_journal_has_frames_only_where_it_says_so() -> None:
    made = [load(BASE + keys).journal for keys in (JOURNAL, JOURNAL.replace(", frames: true", ""))]
    assert [each.frames for each in made if each] == [True, False]
    with_servers = load(BASE.replace("        stale: 2s\n", RECOVERY, 1) + JOURNAL)
    assert with_servers.journal
    assert with_servers.journal.frames


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("limits:\n", "risk: {where: both}\nlimits:\n", "cannot have risk.where both: host is allowed"),
    ],
)
def test_frames_are_on_record_only_where_they_say_everything(old: str, new: str, says: str) -> None:
    assert load(BASE.replace(old, new, 1) + JOURNAL.replace("true", "false")).journal
    found = problems(BASE.replace(old, new, 1) + JOURNAL)
    assert [text for text in found if "journal.frames: a journal with frames" in text and says in text], found


def test_without_keys_a_channel_holds_and_asks_nobody():
    channel = load(BASE).pipelines[0].channels[0]
    assert (channel.hold_max, channel.reorder_window_ns) == (65_536, 200_000)
    assert channel.recover is None
    assert channel.snapshot is None


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("hold_max: 4096", "hold_max: 0", "needs hold_max above 0"),
        ("hold_max: 4096", "hold_max: 4194305", "4194305"),
        ("10.1.2.6", "10.1.2.5", "is used already by"),
        ("reorder_window: 500us", "reorder_window: 2s", "reorder_window"),
        (", password: hush", "", "password or password_file is required"),
        ("          servers: [{address: 10.1.2.5, port: 26500}, {address: 10.1.2.6, port: 26500}]\n", "", "servers"),
    ],
)
def test_a_recovery_that_cannot_be_is_named(old, new, what):
    assert RECOVERY.count(old) == 1
    found = problems(changed("        stale: 2s\n", RECOVERY.replace(old, new)))
    assert any(what in text for text in found), found
