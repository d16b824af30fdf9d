"""Orders of a backtest in hftbacktest's market; run where its numpy is, which is not ours.

SPDX-License-Identifier: MIT

    PYTHONPATH=build/peers/queue python tests/peers/queue_peer.py IN.npz OUT.npy [IN.npz OUT.npy ...]

IN has `events_N` of each instrument N (hftbacktest's event_dtype), `orders` in the order of sending (sent_ns, then
names and codes of order.yaml; new and cancel) and `order_ns`, how long an order takes to the venue. OUT has status,
time and price of each new order at the end. The market is driven by the functions under hftbacktest's classes, as the
classes would be compiled for six seconds first.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import hftbacktest as hft
import numpy as np
from hftbacktest import binding
from hftbacktest.order import order_dtype

NEW, BUY = 1, 1
TICK, PX_PER_TICK = 0.01, 100
ANSWER_NS = 1  # what its local side knows is only asked for at the end
END_OF_DATA, FOREVER_NS = 1, 1 << 50
ENDED = np.dtype([("ref", "u8"), ("status", "u1"), ("exch_ns", "i8"), ("px", "i8")])


def order_of(market: int, instrument: int, ref: int) -> np.ndarray:
    """Its order as it stands."""
    at = binding.orders_get(binding.hashmapbt_orders(market, instrument), ref)
    if not at:
        raise LookupError(f"order {ref} of instrument {instrument} is not there")
    return np.frombuffer(ctypes.string_at(at, order_dtype.itemsize), order_dtype)[0]


def check(code: int, what: str, want: int = 0) -> None:
    if code != want:
        raise RuntimeError(f"{what}: {code} instead of {want}")


def send(market: int, order: np.ndarray) -> None:
    """One order; a cancel of what has ended is none."""
    instrument, ref = int(order["instrument"]), int(order["ref"])
    if order["kind"] != NEW:
        known = order_of(market, instrument, ref)
        if known["status"] == hft.NEW and known["req"] == hft.NONE:
            check(binding.hashmapbt_cancel(market, instrument, ref, False), f"cancel of {ref}")
        return
    submit = binding.hashmapbt_submit_buy_order if order["side"] == BUY else binding.hashmapbt_submit_sell_order
    px = int(order["px"]) // PX_PER_TICK * TICK
    check(submit(market, instrument, ref, px, float(order["qty"]), hft.GTC, hft.LIMIT, False), f"order {ref}")


def replay(told: np.lib.npyio.NpzFile) -> np.ndarray:
    """Every order at its time; what became of the new ones."""
    feeds = [told[f"events_{number}"] for number in range(sum(name.startswith("events_") for name in told))]
    assets = [
        hft.BacktestAsset()
        .data(feed)
        .linear_asset(1.0)
        .constant_order_latency(int(told["order_ns"]), ANSWER_NS)
        .l3_fifo_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(TICK)
        .lot_size(1.0)
        .last_trades_capacity(0)
        for feed in feeds
    ]
    market = hft.build_hashmap_backtest(assets)
    check(binding.hashmapbt_elapse(market, 0), "start")
    orders = told["orders"]
    for order in orders:
        wait = int(order["sent_ns"]) - binding.hashmapbt_current_timestamp(market)
        if wait > 0:
            check(binding.hashmapbt_elapse(market, wait), f"before order {order['ref']}")
        send(market, order)
    check(binding.hashmapbt_elapse(market, FOREVER_NS), "end", END_OF_DATA)
    found = np.zeros(int((orders["kind"] == NEW).sum()), ENDED)
    for row, order in zip(found, orders[orders["kind"] == NEW], strict=True):
        known = order_of(market, int(order["instrument"]), int(order["ref"]))
        row["ref"], row["status"], row["exch_ns"] = order["ref"], known["status"], known["exch_timestamp"]
        row["px"] = known["exec_price_tick"] * PX_PER_TICK
    check(binding.hashmapbt_close(market), "close")
    return found


if __name__ == "__main__":
    for given, out in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        np.save(Path(out), replay(np.load(Path(given))))
