/* pipeline_basis.c: what the gate judged by and no event on record says: reference prices, marks, heartbeat, clock.
 *
 * SPDX-License-Identifier: MIT
 *
 * Reference prices and heartbeats are too many to record. What they came to is recorded where it counts: beside an order,
 * behind its bytes, and beside an execution. With it a replay (replay.c) judges from what the gate knew then. Where frames are
 * kept (pipeline_keep.c) heartbeats are on record, too, and the frames say the prices.
 *
 * Cost: before an order's bytes two loads of a line that the gate reads anyway; behind them a record of 96 bytes.
 */
#include "pipeline.h"
#include "pipeline_keep.h"
#include "risk.h"

static int64_t narrow(hwgw_money sum) {
  return sum > INT64_MAX ? INT64_MAX : sum < INT64_MIN ? INT64_MIN : (int64_t)sum;
}

struct hwgw_journal_basis pipeline_basis(const struct hwgw_pipeline *p, const struct hwgw_order *event) {
  const struct hwgw_risk *risk = p->risk;
  const struct hwgw_risk_slot *slot = &risk->slot[event->ref & (HWGW_RISK_OPEN_ORDERS_MAX - 1)];
  bool is_slot = event->kind == HWGW_ORDER_KIND_EXECUTED && slot->ref == event->ref;
  struct hwgw_journal_basis basis = {.ref = event->ref,
                                     .kind = event->kind,
                                     .account = is_slot ? slot->account : event->account,
                                     .instrument = is_slot ? slot->instrument : event->instrument,
                                     .beat_ts_ns = risk->last_beat,
                                     .clock_ns = risk->last_ts,
                                     .mark_gateway = narrow(risk->gateway.equity - risk->cash[HWGW_RISK_GATEWAY])};
  if (basis.account < HWGW_RISK_ACCOUNTS_MAX)
    basis.mark = narrow(risk->account[basis.account].equity - risk->cash[basis.account]);
  if (basis.instrument < HWGW_RISK_INSTRUMENTS_MAX) {
    basis.ref_px = risk->instrument[basis.instrument].ref_px;
    basis.ref_ts_ns = risk->instrument[basis.instrument].ref_ts;
    basis.mark_px = risk->holding[basis.instrument].mark_px;
  }
  return basis;
}

static void put(struct hwgw_pipeline *p, const struct hwgw_journal_basis *basis, uint64_t ts_ns) {
  journal_keep(&p->journal, HWGW_JOURNAL_RECORD_TYPE_BASIS, 0, ts_ns, basis, sizeof *basis);
}

void pipeline_record_event(struct hwgw_pipeline *p, const struct hwgw_order *event, uint32_t latched,
                           const struct hwgw_journal_basis *basis) {
  if (event->kind == HWGW_ORDER_KIND_REF || event->kind == HWGW_ORDER_KIND_BEAT) {
    if (HWGW_UNLIKELY(p->keeps_frames) && event->kind == HWGW_ORDER_KIND_BEAT)
      pipeline_keep_input(p, HWGW_JOURNAL_INPUT_KIND_BEAT, 0, 0);
    if (HWGW_LIKELY(latched == HWGW_RISK_REASON_PASS)) return;
    struct hwgw_order halt = {.kind = HWGW_ORDER_KIND_HALT, .reason = latched, .ts_ns = event->ts_ns};
    pipeline_record(p, &halt, HWGW_RISK_REASON_PASS);
    return;
  }
  pipeline_record(p, event, latched);
  if (basis->kind != HWGW_ORDER_KIND_NONE) put(p, basis, event->ts_ns);
}

void pipeline_record_basis(struct hwgw_pipeline *p, const struct hwgw_order *order,
                           const struct hwgw_journal_basis *before) {
  if (!p->journal.ring) return;
  struct hwgw_journal_basis basis = pipeline_basis(p, order);
  basis.beat_ts_ns = before->beat_ts_ns;
  basis.clock_ns = before->clock_ns;
  basis.is_ahead = before->is_ahead;
  put(p, &basis, order->ts_ns);
}
