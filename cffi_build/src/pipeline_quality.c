/* pipeline_quality.c: what became of the orders of each strategy at each venue, live, in the segment.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: each order as it was encoded with the top of the book it was decided on, each answer of the venue as the gate
 *   took it. Output: the rows `quality`: counts, reasons of rejections, distance of every executed share from midpoint and
 *   microprice of that book, times from the encoding to the answer and from the answer to the first execution. The same
 *   figures come from the journal (hwgw/journal/report.py). A broken trade is not taken back here. Orders of an earlier
 *   process are not counted. Cost: a line written per order, a few adds per answer. Thread: the pipeline's.
 */
#include "pipeline.h"

#define SLOTS (sizeof((struct hwgw_quality *)0)->ack_ns / sizeof(uint32_t))
#define CODES (sizeof((struct hwgw_quality *)0)->reject_code / sizeof(uint32_t))

static struct pipeline_quality *order_of(struct hwgw_pipeline *p, uint32_t ref) {
  return &p->quality[ref % HWGW_RISK_OPEN_ORDERS_MAX];
}

void pipeline_quality_sent(struct hwgw_pipeline *p, const struct hwgw_order *order, uint32_t venue,
                           const struct hwgw_tob *top) {
  *order_of(p, order->ref) = (struct pipeline_quality){
      .sent_ns = order->ts_ns,
      .bid_px = top->bid_px,
      .ask_px = top->ask_px,
      .bid_qty = top->bid_qty,
      .ask_qty = top->ask_qty,
      .ref = order->ref,
      .venue = (uint8_t)venue,
      .strategy = order->strategy,
      .is_buy = order->side == HWGW_ORDER_SIDE_BUY,
  };
  hwgw_segment_quality(p->segment, venue, order->strategy % HWGW_RISK_STRATEGIES_MAX)->sent++;
}

static void time_add(uint32_t *slots, uint64_t from_ns, uint64_t to_ns) {
  uint64_t ns = to_ns > from_ns ? to_ns - from_ns : 1;
  uint32_t octave = 63u - (uint32_t)__builtin_clzll(ns);
  uint32_t slot = octave ? 2 * octave + (uint32_t)(ns >> (octave - 1) & 1) : 0;
  slots[slot < SLOTS ? slot : SLOTS - 1]++;
}

static void rejected(struct hwgw_quality *row, uint32_t code) {
  if (code == 0) { /* the session's own word: it never arrived */
    row->lost++;
    return;
  }
  row->rejected++;
  for (uint32_t i = 0; i < CODES; i++) {
    if (row->reject_code[i] != code && row->reject_code[i] != 0) continue;
    row->reject_cnt[i]++;
    row->reject_code[i] = code;
    return;
  }
  row->reject_other++;
}

static void executed(struct hwgw_quality *row, struct pipeline_quality *own, const struct hwgw_order *event) {
  row->executed_qty += event->qty;
  if (!own->is_filled) {
    own->is_filled = true;
    row->filled++;
    if (own->ack_ns) time_add(row->fill_ns, own->ack_ns, event->ts_ns);
  }
  unsigned __int128 sum = (unsigned __int128)own->bid_qty + own->ask_qty;
  if (!own->bid_px || !own->ask_px || !sum) return;
  int64_t qty = event->qty, sign = own->is_buy ? 1 : -1, twice = 2 * (int64_t)event->px;
  int64_t mid = (int64_t)own->bid_px + own->ask_px;
  unsigned __int128 weighted =
      (unsigned __int128)own->bid_px * own->ask_qty + (unsigned __int128)own->ask_px * own->bid_qty;
  int64_t micro = (int64_t)((4 * weighted + sum) / (2 * sum)); /* twice the price, to the nearest */
  row->arrival_qty += event->qty;
  row->arrival_money += (uint64_t)(mid * qty);
  row->slip_mid += sign * (twice - mid) * qty;
  row->slip_micro += sign * (twice - micro) * qty;
}

void pipeline_quality_answer(struct hwgw_pipeline *p, const struct hwgw_order *event) {
  struct pipeline_quality *own = order_of(p, event->ref);
  if (own->ref != event->ref || event->ref == 0) return;
  struct hwgw_quality *row = hwgw_segment_quality(p->segment, own->venue, own->strategy % HWGW_RISK_STRATEGIES_MAX);
  switch (event->kind) {
    case HWGW_ORDER_KIND_ACCEPTED:
    case HWGW_ORDER_KIND_REPLACED:
      row->acknowledged++;
      own->ack_ns = event->ts_ns;
      time_add(row->ack_ns, own->sent_ns, event->ts_ns);
      break;
    case HWGW_ORDER_KIND_REJECTED:
      if (event->reason) time_add(row->ack_ns, own->sent_ns, event->ts_ns);
      rejected(row, event->reason);
      break;
    case HWGW_ORDER_KIND_EXECUTED:
      executed(row, own, event);
      break;
    default:
      break;
  }
}
