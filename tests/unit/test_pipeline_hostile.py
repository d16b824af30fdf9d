"""The pipeline against strategies, venues and clocks that do what they must not: nothing leaves, nothing is forgotten.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time

import pytest
from support import rig as r
from support import soup_venue as sv
from support.desk import SYMBOLS, Desk, probe
from support.rig import Rig

from hwgw import specs
from hwgw.errors import CheckFailed
from hwgw.native import ffi, lib

KINDS = {int(code.value): code.slug for code in specs.load("order").enums["kind"].values if code.value is not None}
DAY = lib.HWGW_ORDER_TIF_DAY
NAME = b"AAPL    "


def gate_is_halted(rig: Rig) -> bool:
    return bool(lib.hwgw_risk_halted(lib.hwgw_pipeline_risk(rig.handle), ffi.new("uint32_t *")))


def stop(desk: Desk) -> list[bytes]:
    """Run the desk's pipeline to its ordered end against a venue that cancels; the packets of that end."""
    desk.rig.segment.control["stop"] = 1
    runner = threading.Thread(target=lib.hwgw_pipeline_run, args=(desk.rig.handle,))
    runner.start()
    last: list[bytes] = []
    end = time.monotonic() + sv.PATIENCE_S
    while runner.is_alive() and time.monotonic() < end:
        desk.venue.step()
        for packet in desk.venue.packets():
            last.append(packet)
            if packet[2:4] == b"UX":
                ref = int.from_bytes(packet[4:8], "big")
                desk.venue.sequenced(sv.canceled(ref, 100))
            if packet[2:3] == b"O":
                desk.venue.drop()
    runner.join(sv.PATIENCE_S)
    assert not runner.is_alive()
    return last


# ---- a strategy that says what it must not ----


@pytest.mark.parametrize("kind", [code for code in [*KINDS, 18, 255] if code not in (1, 2, 3)])
def test_a_strategy_cannot_speak_for_the_venue_the_feed_or_the_control_plane(kind):
    with Rig(SYMBOLS, probe(kind=kind)) as rig:
        rig.segment.halt("test")
        rig.quote()
        assert gate_is_halted(rig)
        assert (rig.cnt("strategy.intents"), rig.cnt("risk.passed"), rig.cnt("risk.refused_malformed")) == (1, 0, 1)
        rig.ledgers()


# ---- orders that are never forgotten ----


def test_an_order_that_rested_through_thousands_of_refusals_is_cancelled_at_the_stop():
    with Desk(qty=100, tif=DAY) as desk:
        desk.rig.quote()
        desk.wait(3)
        desk.venue.sequenced(sv.accepted(1, b"B", 100, NAME, 1_000_200))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.rig.segment.halt("test")
        for base in range(10_000, 15_000, 25):
            desk.rig.feed(*(r.add(1, "AAPL", base + i, "B", 1, 1_000_000) for i in range(25)))
        assert desk.cnt("risk.refused_halted") == 5000
        desk.rig.segment.control["halt"] = 0
        desk.rig.publish()
        assert int(desk.rig.segment.threads[0]["open_cnt"]) == 1
        assert {packet[2:8] for packet in stop(desk)} == {b"UX" + (1).to_bytes(4, "big"), b"O"}
        assert int(desk.rig.segment.threads[0]["open_cnt"]) == 0
        desk.rig.ledgers()


def test_more_orders_than_the_send_buffer_holds_cancels_for_are_all_cancelled_at_the_stop():
    with Desk(orders=8, qty=100, tif=DAY) as desk:
        sent = 0
        desk.rig.quote()
        for ref in range(10_000, 10_449):
            desk.rig.feed(r.add(1, "AAPL", ref, "B", 1, 1_000_000))
            sent = desk.cnt("order.encoded")
            desk.wait(2 + sent)
            done = desk.cnt("session.accepted")
            desk.venue.sequenced(*(sv.accepted(1 + i, b"B", 100, NAME, 1_000_200) for i in range(done, sent)))
        desk.until(lambda: desk.cnt("session.accepted") == sent)
        assert sent == 3600
        assert {packet[4:8] for packet in stop(desk) if packet[2:4] == b"UX"} == {
            (1 + i).to_bytes(4, "big") for i in range(sent)
        }
        assert int(desk.rig.segment.threads[0]["open_cnt"]) == 0
        desk.rig.ledgers()


def test_orders_that_wait_in_the_send_buffer_do_not_leave_after_a_halt():
    with Desk(receive_sz=4096, orders=8, qty=100, tif=DAY) as desk:
        desk.venue.is_reading = False
        desk.rig.quote()
        for ref in range(10_000, 10_500):
            desk.rig.feed(r.add(1, "AAPL", ref, "B", 1, 1_000_000))
            if desk.cnt("order.drop_backlog"):
                break
        encoded = desk.cnt("order.encoded")
        assert desk.cnt("order.drop_backlog") > 0
        desk.rig.segment.halt("test")
        desk.venue.is_reading = True
        desk.until(lambda: len(desk.packets) - 2 + desk.cnt("session.withdrawn") == encoded)
        for _ in range(100):
            desk.rig.step()
            time.sleep(0.0002)
        desk.wait(len(desk.packets))
        withdrawn = desk.cnt("session.withdrawn")
        refs = [int.from_bytes(packet[4:8], "big") for packet in desk.packets[2:]]
        assert refs == list(range(1, encoded - withdrawn + 1))  # whole packets, in order
        assert withdrawn > 400
        desk.rig.segment.resume()
        desk.rig.publish()
        assert int(desk.rig.segment.threads[0]["open_cnt"]) == len(refs)
        first = desk.rig.cnt("order.encoded")
        desk.rig.feed(r.add(1, "AAPL", 20_000, "B", 1, 1_000_000))
        desk.until(lambda: len(desk.packets) - 2 == len(refs) + 8)
        assert desk.rig.cnt("order.encoded") == first + 8
        desk.rig.ledgers()


FLOOD = """
import socket, struct, sys, time
port, seconds = int(sys.argv[1]), float(sys.argv[2])
add = struct.pack(">cHH6sQcI8sI", b"A", 1, 0, bytes(6), 1, b"B", 1, b"AAPL    ", 1)
blocks = (struct.pack(">H", len(add)) + add) * 200
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
seq, end = 1, time.monotonic() + seconds
while time.monotonic() < end:
    for _ in range(100):
        sender.sendto(b"000000059B" + struct.pack(">QH", seq, 200) + blocks, ("127.0.0.1", port))
        seq += 200
"""


def test_a_stop_ends_though_the_feed_never_pauses():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        port = probe_socket.getsockname()[1]
    backend = ffi.new("char[]", b"udp")
    flow = {"group": 0x7F000001, "port": port}
    rx = {"backend": backend, "frame_sz_bytes": 16384}
    with Rig(SYMBOLS, rx=rx, flow=flow) as rig:
        command = [sys.executable, "-c", FLOOD, str(port), "8"]
        with subprocess.Popen(command) as flood:
            runner = threading.Thread(target=lib.hwgw_pipeline_run, args=(rig.handle,))
            runner.start()
            end = time.monotonic() + sv.PATIENCE_S
            while rig.cnt("mold.messages") < 100_000:
                assert time.monotonic() < end
                time.sleep(0.01)
            rig.segment.control["stop"] = 1
            runner.join(4)
            still = runner.is_alive()
            flood.kill()
            runner.join(sv.PATIENCE_S)
        assert not still
        rig.ledgers()


def test_a_stop_that_leaves_orders_open_latches_the_halt():
    with Desk(qty=100, tif=DAY) as desk:
        desk.rig.quote()
        desk.wait(3)
        desk.venue.sequenced(sv.accepted(1, b"B", 100, NAME, 1_000_200))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.rig.segment.control["stop"] = 1
        lib.hwgw_pipeline_run(desk.rig.handle)  # the venue says nothing any more
        assert desk.rig.segment.halted is not None
        assert desk.rig.segment.halted["reason"] == "session"
        assert desk.rig.segment.thread_status()[0]["open_orders"] == 1
        desk.rig.ledgers()


# ---- a cancel that did not leave ----


def test_a_strategy_whose_cancel_did_not_leave_still_knows_its_order():
    imbalance = lib.hwgw_strategy_find(b"imbalance")
    with Desk(strategy=imbalance, params={"cooldown_ns": 0, "levels": 1}) as desk:
        desk.rig.feed(r.directory(1, "AAPL"))
        desk.rig.feed(r.add(1, "AAPL", 1, "S", 100, 1_000_200))
        desk.rig.feed(r.add(1, "AAPL", 2, "B", 900, 1_000_000))  # buys
        desk.wait(3)
        desk.venue.sequenced(sv.accepted(1, b"B", 100, NAME, 1_000_000))
        desk.until(lambda: desk.cnt("session.accepted") == 1)
        desk.venue.drop()
        desk.until(lambda: desk.cnt("session.disconnects") == 1)
        desk.rig.feed(r.add(1, "AAPL", 3, "S", 5000, 1_000_200))  # wants to cancel
        assert (desk.cnt("order.drop_session"), desk.cnt("risk.refused_halted")) == (1, 0)
        desk.rig.feed(r.add(1, "AAPL", 4, "B", 90_000, 1_000_000))  # would buy if it had no order
        assert desk.cnt("strategy.intents") == 2
        desk.rig.feed(r.add(1, "AAPL", 5, "S", 900_000, 1_000_200))  # wants to cancel again
        assert (desk.cnt("strategy.intents"), desk.cnt("order.drop_session")) == (3, 2)
        desk.rig.ledgers()


# ---- strategies written here, order by order ----


class Script:
    """A strategy that gives one list of orders per book hook, and keeps every order event: (instrument, order)."""

    def __init__(self, *steps: list[dict[str, int]]) -> None:
        self.steps = list(steps)
        self.events: list[tuple[int, dict[str, int]]] = []
        self.keep = [
            ffi.callback("hwgw_strategy_fn", self.hook),
            ffi.new("char[]", b"script"),
        ]
        desc = {"abi": lib.HWGW_SEGMENT_ABI, "depth": 1, "name": self.keep[1], "fn": self.keep[0]}
        self.desc = ffi.new("struct hwgw_strategy *", desc)

    def hook(self, hook, _state, out, out_max) -> int:
        if hook.cause == lib.HWGW_HOOK_CAUSE_ORDER:
            fields = ("kind", "ref", "orig_ref", "instrument", "qty", "reason")
            self.events.append((hook.instrument, {name: getattr(hook.order, name) for name in fields}))
            return 0
        if not hook.flags & lib.HWGW_HOOK_FLAGS_TWO_SIDED or not self.steps:
            return 0
        orders = self.steps.pop(0)
        for index, order in enumerate(orders):
            for name, value in order.items():
                setattr(out[index], name, value)
        return len(orders)


def limit(**fields: int) -> dict[str, int]:
    base = {"kind": lib.HWGW_ORDER_KIND_NEW, "side": lib.HWGW_ORDER_SIDE_BUY, "type": lib.HWGW_ORDER_TYPE_LIMIT}
    return base | {"tif": DAY, "px": 1_000_000, "instrument": 0xFFFFFFFF} | fields


def test_a_replace_of_a_replace_under_way_carries_what_the_chain_has_executed():
    replace = lib.HWGW_ORDER_KIND_REPLACE
    script = Script(
        [limit(qty=100)], [limit(kind=replace, orig_ref=1, qty=100), limit(kind=replace, orig_ref=2, qty=50)]
    )
    with Desk(strategy=script.desc) as desk:
        desk.rig.quote()
        desk.wait(3)
        desk.venue.sequenced(sv.accepted(1, b"B", 100, NAME, 1_000_000), sv.executed(1, 40, 1_000_000, 7))
        desk.until(lambda: desk.cnt("session.executed") == 1)
        desk.rig.feed(r.add(1, "AAPL", 77, "B", 1, 1_000_050))
        desk.wait(5)
        wanted = [int.from_bytes(packet[12:16], "big") for packet in desk.packets[3:]]
        assert wanted == [140, 90]
        desk.venue.sequenced(
            sv.replaced(1, 2, b"B", 100, NAME, 1_000_000), sv.replaced(2, 3, b"B", 50, NAME, 1_000_000)
        )
        desk.until(lambda: desk.cnt("session.replaced") == 2)
        desk.rig.publish()
        row = desk.rig.segment.positions[0]
        assert (int(row["pos"]), int(row["long_worst"]), int(row["open_buy_cnt"])) == (40, 90, 1)
        assert desk.rig.segment.halted is None
        desk.rig.ledgers()


def test_an_order_in_another_instrument_comes_back_under_its_own():
    script = Script([limit(instrument=1, qty=100), limit(instrument=4_000_000_000, qty=100)])
    with Rig(SYMBOLS, [(script.desc, {})]) as rig:
        rig.quote("AAPL", 1)
    kinds = [(at, order["instrument"], order["kind"]) for at, order in script.events]
    rejected = lib.HWGW_ORDER_KIND_REJECTED
    assert kinds == [(1, 1, rejected), (0, 4_000_000_000, rejected)]


# ---- a feed that jumps ----


@pytest.mark.parametrize("how", ["far ahead", "another session"])
def test_a_packet_that_is_not_of_the_sequence_makes_the_feed_bad_until_the_next_that_is(how):
    with Rig(SYMBOLS, probe(), jump_max=100) as rig:
        rig.quote()
        message = r.add(1, "AAPL", 77, "B", 1, 1_000_050)
        if how == "far ahead":
            rig.push(r.frame(r.mold(rig.seq + 101, [message])))
        else:
            rig.push(r.frame(r.mold(rig.seq, [message], session=b"ANOTHERDAY")))
        good = lib.HWGW_SEGMENT_TOB_FLAGS_FEED_GOOD
        assert not int(rig.segment.tob(0)["flags"]) & good
        assert rig.segment.thread_status()[0]["feed"] == "stale"
        rig.feed(message)
        assert int(rig.segment.tob(0)["flags"]) & good
        assert (rig.cnt("risk.passed"), rig.cnt("mold.gaps")) == (2, 0)
        rig.ledgers()


# ---- a control plane that is late or hasty ----


def test_a_beat_that_is_seen_too_late_is_none():
    stale = r.open_limits(len(SYMBOLS))
    stale["beat_age_max_ns"] = 20_000_000
    with Rig(SYMBOLS, probe(), limits=stale) as rig:
        rig.segment.beat()
        time.sleep(0.03)
        rig.quote()
        assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_control_stale")) == (0, 1)
        rig.segment.beat()
        rig.feed(r.add(1, "AAPL", 77, "B", 1, 1_000_050))
        assert rig.cnt("risk.passed") == 1


def test_a_limits_table_that_a_gate_may_still_read_is_not_written():
    with Rig(SYMBOLS, probe()) as rig:
        tight = r.open_limits(len(SYMBOLS))
        tight["instrument"]["qty_max"] = 99
        assert rig.segment.publish_limits(tight) == 2
        with pytest.raises(CheckFailed, match="acknowledged"):
            rig.segment.publish_limits(r.open_limits(len(SYMBOLS)))
        rig.quote()
        assert (rig.cnt("risk.passed"), rig.cnt("risk.refused_qty")) == (0, 1)
        assert rig.segment.publish_limits(r.open_limits(len(SYMBOLS))) == 3


# ---- a venue that says what cannot be ----


def test_an_execution_that_the_gate_does_not_believe_halts_and_moves_no_money():
    with Desk(qty=100, tif=DAY) as desk:
        desk.rig.quote()
        desk.wait(3)
        huge = 2**32 - 1
        desk.venue.sequenced(sv.accepted(1, b"B", 100, NAME, 1_000_200), sv.executed(1, huge, huge, 7))
        desk.until(lambda: desk.rig.segment.halted is not None)
        assert desk.rig.segment.halted["reason"] == "state"
        row = desk.rig.segment.positions[0]
        assert (int(row["pos"]), int(row["bought_qty"]), int(row["cash"]), int(row["fill_cnt"])) == (0, 0, 0, 0)
        assert int(desk.rig.segment.threads[0]["cash"]) == 0
        (quality,) = desk.rig.segment.quality()
        assert (quality["filled"], quality["executed_qty"], quality["slip_mid_bps"]) == (0, 0, None)
