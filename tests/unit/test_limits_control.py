"""Limits of a running gateway: shown, compared, changed whole or not at all, signed; and what the user is told.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import stat
import threading
import time

import numpy as np
import pytest
from support.desk import probe
from support.rig import Rig, open_limits

from hwgw import audit, cli, specs
from hwgw.native import lib
from hwgw.risk import control, rows, signature
from hwgw.risk.limits import checksum

SYMBOLS = ("AAPL", "MSFT", "IBM")
ACCOUNT = "{credit_max: 1000.00, loss_max: 100.00, open_max: 10, rate_burst: 5, rate_refill: 1ms}"
GOOD = f"""\
checks_off: [short_sale]
beat_age_max: 500ms
ref_age_max: 10s
dup_window: 1us
gateway: {ACCOUNT}
accounts:
  0: {ACCOUNT}
strategies:
  probe: {{rate_burst: 5, rate_refill: 1ms, fills_max: 100, rejects_run_max: 100}}
instruments:
  "*":
    enabled: true
    qty_max: 100
    notional_max: 50000.00
    collar_pct: 5
    collar_px_min: 0.05
    long_max: 1000
    short_max: 1000
  AAPL: {{qty_max: 200}}
"""


@pytest.fixture
def running():
    """A gateway's segment with a pipeline that goes round on a thread, wide open, its one strategy armed."""
    with Rig(SYMBOLS, probe()) as rig:
        over = threading.Event()

        def turn():
            while not over.is_set():
                rig.step()

        rig.publish()
        thread = threading.Thread(target=turn)
        thread.start()
        yield rig
        over.set()
        thread.join()


@pytest.fixture
def file(tmp_path):
    """A file of good limits."""
    path = tmp_path / "limits.yaml"
    path.write_text(GOOD)
    return path


def in_force(rig: Rig) -> dict[str, int]:
    return {name: limit.value for name, limit in control.in_force(rig.segment).limits.items()}


def test_a_file_is_put_in_force_whole_acknowledged_and_on_record(running, file, capsys):
    name, before = running.segment.name, in_force(running)
    assert cli.execute(["limits", "reload", name, str(file), "--json"]) == 1
    assert "checks_enabled would be looser; nothing was changed" in capsys.readouterr().err
    assert in_force(running) == before
    assert cli.execute(["limits", "reload", name, str(file), "--allow-looser", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "hwgw.limits-reload/1"
    assert told["generation"] == 2
    assert 0 < told["acknowledged_ns"] < 10**9
    now = in_force(running)
    assert (now["instruments.AAPL.qty_max"], now["instruments.IBM.qty_max"], now["gateway.open_max"]) == (200, 100, 10)
    assert (now["gateway.credit_max"], now["accounts.0.loss_max"]) == (10_000_000, 1_000_000)
    assert (now["accounts.1.open_max"], now["instruments.MSFT.collar_pct"]) == (0, 5 * 65_536 // 100)
    assert len(now) == 4 + 17 * 5 + 4 + 3 * 10
    changed = {name for name in now if now[name] != before[name]}
    assert {row["name"] for row in told["changes"]} == changed
    act = list(audit.verify(name))[-1]
    assert (act["action"], act["source"], act["hash"], len(act["changes"])) == (
        "limits", str(file), told["hash"], len(changed),
    )  # fmt: skip
    assert cli.execute(["limits", "reload", name, str(file)]) == 0
    assert "nothing to change" in capsys.readouterr().out
    assert int(running.segment.control["limits_generation"]) == 2
    assert cli.execute(["limits", "diff", name, str(file)]) == 0
    assert cli.execute(["limits", "check", str(file), "--gateway", name]) == 0
    assert "0 change(s)" in capsys.readouterr().out


def test_single_limits_are_set_by_name_and_looser_ones_need_the_word(running, capsys):
    name = running.segment.name
    assert cli.execute(["limits", "set", name, "instruments.AAPL.qty_max=100", "gateway.open_max=7"]) == 0
    assert "instruments.AAPL.qty_max  1,000,000 -> 100" in capsys.readouterr().out
    now = in_force(running)
    assert (now["instruments.AAPL.qty_max"], now["gateway.open_max"]) == (100, 7)
    assert cli.execute(["limits", "set", name, "gateway.open_max=8"]) == 1
    assert "gateway.open_max would be looser" in capsys.readouterr().err
    assert cli.execute(["limits", "set", name, "gateway.open_max=8", "--allow-looser"]) == 0
    assert "(looser)" in capsys.readouterr().out
    # each way of saying something looser or stricter, as the table directs
    for assignment, is_looser in (
        ("instruments.IBM.enabled=false", False), ("instruments.IBM.enabled=true", True),
        ("instruments.IBM.collar_both=true", False), ("instruments.IBM.collar_both=false", True),
        ("strategies.probe.rate_refill=1ms", False), ("strategies.probe.rate_refill=1us", True),
        ("accounts.3.credit_max=10.5", False), ("accounts.3.credit_max=10.51", True),
        ("instruments.IBM.collar_pct=2.5", False), ("instruments.IBM.collar_px_min=0.01", False),
        ("beat_age_max=1ms", False), ("beat_age_max=2ms", True), ("dup_window=1s", False), ("dup_window=1ms", True),
    ):  # fmt: skip
        assert cli.execute(["limits", "set", name, assignment]) == int(is_looser), assignment
        if is_looser:
            assert cli.execute(["limits", "set", name, assignment, "--allow-looser"]) == 0, assignment
    now = in_force(running)
    assert (now["accounts.3.credit_max"], now["instruments.IBM.collar_pct"]) == (105_100, 25_000 * 65_536 // 10**6)
    assert (now["instruments.IBM.enabled"], now["instruments.IBM.collar_both"], now["dup_window"]) == (1, 0, 10**6)


def test_every_limit_of_the_table_has_a_direction_and_a_spelling():
    table = specs.load("risk")
    named = set()
    for layout in ("limits", "limits_account", "limits_strategy", "limits_instrument"):
        for field in table.layout(layout).fields:
            is_limit = not field.name.startswith(("reserved", "checksum", "generation")) and field.type not in {
                "limits_account", "limits_strategy", "limits_instrument", "limits_breaker",
            }  # fmt: skip
            assert bool(field.looser) == (is_limit and (layout, field.name) != ("limits", "flags")), field.name
            named.add(field.looser)
    assert named == {"", "up", "down", "clear", "enabled up, collar_both down"}
    assert rows.text(12_345_600, "money") == "1,234.56"
    assert rows.text(500_000_000, "ns") == "500ms"
    assert rows.text(0, "ns") == "0ns"
    assert rows.text(0b101, "mask") == "[0, 2]"


MISTAKES = [
    ("beat_age_max: 500ms\n", "", "beat_age_max", "missing; the check control_stale needs it"),
    ("ref_age_max: 10s\n", "", "ref_age_max", "missing; the check collar needs it"),
    ("dup_window: 1us\n", "", "dup_window", "missing; the check duplicate needs it"),
    (f"gateway: {ACCOUNT}\n", "", "gateway", "missing"),
    ("accounts:\n  0: " + ACCOUNT + "\n", "", "accounts", "missing"),
    ("  0: " + ACCOUNT, "  1: " + ACCOUNT, "strategies.probe.account", "0: no limits; add limits.accounts.0"),
    ("  0: " + ACCOUNT, "  16: " + ACCOUNT, "16", "0 to 15"),
    ("  probe:", "  porbe:", "strategies.porbe", "no strategy of this name"),
    ("loss_max: 100.00, ", "", "gateway.loss_max", "missing; the check loss needs it"),
    ("    qty_max: 100\n", "", "qty_max", "missing for MSFT, IBM; the check qty needs it"),
    ("    long_max: 1000\n", "", "long_max", "missing for AAPL, MSFT, IBM; the check position needs it"),
    ("  AAPL:", "  APPL:", "instruments.APPL", "fits none of instruments.symbols"),
    ("qty_max: 200", "qty_max: -1", "instruments.AAPL.qty_max", "0 to 4294967295"),
    ("qty_max: 200", "qty_max: 4294967296", "instruments.AAPL.qty_max", "0 to 4294967295"),
    ("qty_max: 200", "qty_max: 1.5", "instruments.AAPL.qty_max", "not an integer"),
    ("qty_max: 200", "qty_max: 1e3", "instruments.AAPL.qty_max", "exponent"),
    ("qty_max: 200", "qty_max: 0200", "instruments.AAPL.qty_max", "octal"),
    ("qty_max: 200", 'qty_max: "200"', "instruments.AAPL.qty_max", "quoted text instead of a plain value"),
    ("qty_max: 200", "qty_max: many", "instruments.AAPL.qty_max", "many"),
    ("qty_max: 200", "qty_max: 200, qty_max: 300", "instruments.AAPL.qty_max", "twice"),
    ("qty_max: 200", "qty_maxx: 200", "instruments.AAPL.qty_maxx", "did you mean qty_max"),
    ("notional_max: 50000.00", "notional_max: 50000.00001", "instruments.*.notional_max", "more than 4 decimal places"),
    ("notional_max: 50000.00", "notional_max: 50,000.00", "notional_max", "50,000.00"),
    ("notional_max: 50000.00", "notional_max: 99999999999999999999", "notional_max", "out of range"),
    ("collar_pct: 5", "collar_pct: 101", "collar_pct", "0 to 100"),
    ("collar_pct: 5", "collar_pct: 5%", "collar_pct", "5%"),
    ("collar_px_min: 0.05", "collar_px_min: 200001", "collar_px_min", "out of range"),
    ("enabled: true", "enabled: yes", "enabled", "true or false"),
    ("beat_age_max: 500ms", "beat_age_max: 500", "beat_age_max", "the unit is missing"),
    ("beat_age_max: 500ms", "beat_age_max: 0.5ns", "beat_age_max", "whole number of nanoseconds"),
    ("beat_age_max: 500ms", "beat_age_max: 500 ms", "beat_age_max", "500 ms"),
    ("ref_age_max: 10s", "ref_age_max: -1s", "ref_age_max", "-1s"),
    ("ref_age_max: 10s", "ref_age_max: 25h", "ref_age_max", "out of range"),
    ("[short_sale]", "[malformed]", "checks_off[0]", "malformed"),
    ("[short_sale]", "[short_sale, short_sale]", "checks_off", "short_sale stands twice"),
    ("[short_sale]", "short_sale", "checks_off", "a list"),
    ("long_max: 1000", "long_max: 2147483648", "long_max", "0 to 2147483647"),
    ("rate_refill: 1ms, fills", "rate_refill: 24h, fills", "", ""),  # a slow bucket is no mistake: see below
    ("rate_burst: 5, rate_refill: 1ms, fills", "rate_burst: 4294967295, rate_refill: 24h, fills",
     "strategies.probe.rate_burst", "rate_burst x rate_refill is"),
    ("instruments:", "instruments: &all", "", "anchor"),
    ("  AAPL: {qty_max: 200}\n", "  AAPL: {qty_max: 200\n", "", "not YAML"),
    ("  AAPL: {qty_max: 200}\n", "\tAAPL: {qty_max: 200}\n", "", "tab"),
    ("checks_off", "limits:\n  checks_off", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "key", "why"), [row for row in MISTAKES if row[3]], ids=lambda text: text[:24])
def test_a_wrong_file_changes_nothing_and_is_told_by_key_value_and_what_is_allowed(
    running, file, capsys, old, new, key, why
):
    assert GOOD.count(old) >= 1
    file.write_text(GOOD.replace(old, new, 1))
    before, generation = in_force(running), int(running.segment.control["limits_generation"])
    assert cli.execute(["limits", "reload", running.segment.name, str(file), "--allow-looser"]) == 3
    said = capsys.readouterr().err
    assert key in said
    assert why in said, said
    assert in_force(running) == before
    assert int(running.segment.control["limits_generation"]) == generation


def test_the_table_of_mistakes_is_long_enough():
    assert sum(bool(row[3]) for row in MISTAKES) >= 38


@pytest.mark.parametrize(
    ("make", "code", "why"),
    [
        (lambda path: path.unlink(), 3, "No such file"),
        (lambda path: path.write_bytes(b""), 3, "the file is empty"),
        (lambda path: path.write_bytes(GOOD.encode()[:300]), 3, "not YAML"),
        (lambda path: path.write_bytes(b"\xff" + GOOD.encode()), 3, "not UTF-8"),
    ],
    ids=["missing", "empty", "cut off", "not text"],
)
def test_a_file_that_is_not_all_there_changes_nothing(running, file, capsys, make, code, why):
    before = in_force(running)
    make(file)
    assert cli.execute(["limits", "reload", running.segment.name, str(file), "--allow-looser"]) == code
    assert why in capsys.readouterr().err
    assert in_force(running) == before


@pytest.mark.parametrize(
    ("assignment", "code", "why"),
    [
        ("gateway.open_max", 2, "KEY=VALUE is allowed"),
        ("gateway.opem_max=1", 2, "limits are beat_age_max, "),
        ("instruments.TSLA.qty_max=1", 2, "KEY=VALUE"),
        ("gateway.open_max=-1", 3, "gateway.open_max: -1"),
        ("gateway.open_max=4097", 3, "0 to 4096"),
        ("gateway.loss_max=ten", 3, "ten"),
        ("beat_age_max=5", 3, "the unit is missing"),
        ("instruments.AAPL.restricted_accounts=1", 3, "in a file only"),
        ("checks_enabled=1", 3, "in a file only"),
    ],
)
def test_a_wrong_assignment_changes_nothing(running, capsys, assignment, code, why):
    before = in_force(running)
    name = running.segment.name
    assert cli.execute(["limits", "set", name, "gateway.open_max=1", assignment, "--allow-looser"]) == code
    assert why in capsys.readouterr().err
    assert in_force(running) == before


def test_a_whole_gateway_file_fits_only_its_own_gateway(running, root, capsys):
    example = root / "deploy" / "examples" / "gateway.yaml"
    assert cli.execute(["limits", "show", str(example)]) == 0
    assert "checks_enabled         off: short_sale" in capsys.readouterr().out
    assert cli.execute(["limits", "reload", running.segment.name, str(example)]) == 3
    assert "name is not that of the running gateway" in capsys.readouterr().err
    assert cli.execute(["limits", "diff", str(example), str(example)]) == 0
    assert cli.execute(["limits", "diff", str(example), running.segment.name]) == 2
    assert cli.execute(["limits", "reload", running.segment.name]) == 2
    assert "was not started from a file" in capsys.readouterr().err


def test_what_cannot_be_recorded_is_not_done(running, file, capsys, monkeypatch, tmp_path):
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("HWGW_STATE_DIR", str(tmp_path / "blocked"))
    before = in_force(running)
    assert cli.execute(["limits", "reload", running.segment.name, str(file), "--allow-looser"]) == 5
    assert in_force(running) == before


def test_the_table_in_the_segment_is_the_one_of_the_file_byte_by_byte(running, file):
    book = control.read(file, running.segment)
    control.apply(running.segment, book, "test", allow_looser=True)
    there = running.segment.limits()
    assert int(there["checksum"][0]) == checksum(there)
    for name in there.dtype.names:
        if name not in ("checksum", "generation"):
            assert np.array_equal(there[name], book.table[name]), name


# ---- signatures ----


@pytest.fixture
def keys(running, tmp_path):
    """A key file, whose public key the running gateway asks for."""
    pytest.importorskip("nacl", reason="PyNaCl is not installed")
    path = tmp_path / "key"
    public = bytes.fromhex(signature.generate(path))
    head = running.segment.head
    head["limits_key"] = np.frombuffer(public.ljust(128, b"\0"), np.uint64)
    head["limits_key_cnt"] = 1
    return path


def test_a_signed_file_is_taken_and_every_flipped_bit_is_refused(running, file, keys, capsys, rng):
    name = running.segment.name
    assert cli.execute(["limits", "reload", name, str(file), "--allow-looser"]) == 3
    assert "limits.yaml.sig: missing; this gateway takes signed limits only" in capsys.readouterr().err
    assert cli.execute(["limits", "sign", str(file), "--key", str(keys), "--gateway", name]) == 0
    assert cli.execute(["limits", "set", name, "gateway.open_max=1"]) == 2
    assert "takes signed limits only" in capsys.readouterr().err
    book = control.read(file, running.segment)
    beside = signature.signature_file(file)
    good = beside.read_text()
    allowed = control.keys_of(running.segment)
    data = book.canonical
    assert signature.verify(data, file, allowed) == allowed[0].hex()
    from hwgw.errors import ConfigError

    refused = 0
    for bit in range(512):
        raw = bytearray(bytes.fromhex(good.strip()))
        raw[bit // 8] ^= 1 << bit % 8
        beside.write_text(raw.hex() + "\n")
        with pytest.raises(ConfigError, match="nothing was changed"):
            signature.verify(data, file, allowed)
        refused += 1
    beside.write_text(good)
    words = data.index(b"\n\n")  # every bit of what is said in words, and some of each part of the table
    places = [*range(words * 8), *(rng.randrange(words * 8, len(data) * 8) for _ in range(500))]
    for bit in places:
        raw = bytearray(data)
        raw[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ConfigError):
            signature.verify(bytes(raw), file, allowed)
        refused += 1
    assert refused == 512 + words * 8 + 500
    file.write_text("# a remark changes nothing\n" + GOOD)
    assert cli.execute(["limits", "reload", name, str(file), "--allow-looser"]) == 0
    assert list(audit.verify(name))[-1]["key"] == allowed[0].hex()
    file.write_text(GOOD.replace("qty_max: 200", "qty_max: 201"))
    assert cli.execute(["limits", "reload", name, str(file), "--allow-looser"]) == 3
    assert "not a signature of these limits" in capsys.readouterr().err


def test_a_signature_of_another_gateway_or_key_is_refused(running, file, keys, tmp_path, capsys):
    name = running.segment.name
    other = tmp_path / "other"
    assert cli.execute(["limits", "keygen", str(other)]) == 0
    assert stat.S_IMODE(other.stat().st_mode) == 0o600
    assert cli.execute(["limits", "keygen", str(other)]) == 2
    assert cli.execute(["limits", "sign", str(file), "--key", str(other), "--gateway", name]) == 0
    assert cli.execute(["limits", "reload", name, str(file), "--allow-looser"]) == 3
    book = control.read(file, running.segment)
    renamed = control.Book("another", book.symbols, book.strategies, book.table)
    signature.signature_file(file).write_text(signature.sign(renamed.canonical, keys))
    assert cli.execute(["limits", "check", str(file), "--gateway", name]) == 3
    other.chmod(0o644)
    capsys.readouterr()
    assert cli.execute(["limits", "sign", str(file), "--key", str(other), "--gateway", name]) == 3
    assert "others can read it" in capsys.readouterr().err


# ---- under load ----


def whole(segment, table):
    """As the control plane publishes."""
    return segment.publish_limits(table)


def halves(segment, table):
    """A planted fault: the table in force is written over, one limit after the other."""
    there = lib.hwgw_segment_limits(segment.pointer, int(segment.control["limits_generation"]) & 1)
    there.instrument[0].notional_max = int(table["instrument"]["notional_max"][0, 0])
    time.sleep(0.0002)
    there.instrument[0].qty_max = int(table["instrument"]["qty_max"][0, 0])
    return 1


@pytest.mark.parametrize("put", [whole, halves])
def test_no_order_is_judged_by_a_mixture_of_two_tables(put):
    """One table refuses every order by quantity, one by notional; half of each lets it pass, as the fault shows."""
    tables = []
    for qty_max, notional_max in ((100, 0), (0, 2**62)):
        table = open_limits(1)
        table["instrument"]["qty_max"] = qty_max
        table["instrument"]["notional_max"] = notional_max
        tables.append(table)
    with Rig(["AAPL"], probe(qty=100), limits=tables[0]) as rig:
        rig.quote("AAPL")
        over, published = threading.Event(), []

        def publish():
            while not over.is_set():
                published.append(put(rig.segment, tables[len(published) % 2]))

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            ref, end = 5000, time.monotonic() + 30
            while (ref < 9000 or len(published) < 200) and time.monotonic() < end:
                for _ in range(50):
                    rig.feed(rig_add(ref))
                    ref += 1
                rig.step()
        finally:
            over.set()
            thread.join()
        counters = rig.segment.counters()
        orders = counters["risk.orders"]
        if put is halves:
            assert counters["risk.passed"] > 0
            return
        # every whole table refuses each of these orders, one by qty and one by notional: a mixture would let some pass
        assert counters["risk.passed"] == 0
        assert counters["risk.refused_qty"] + counters["risk.refused_notional"] == orders
        assert orders >= 1000
        assert min(counters["risk.refused_qty"], counters["risk.refused_notional"]) >= 100
        assert len(published) >= 200


def rig_add(ref: int) -> bytes:
    from support import rig as r

    return r.add(1, "AAPL", ref, "B", 100, 1_000_100)
