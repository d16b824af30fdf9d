/* pipeline_rebuild.c: both gates as an earlier process left them: what pipeline_restore.c makes of the journal goes to the
 * host's gate and, where the card judges, to the card's.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: the events of the journal in their order, and orders that passed, with the price they were judged at. The card is
 * given the same as records, under a table of limits that refuses nothing, so that its state comes from the functions that
 * make it live. Every answer must be the host's; one that is not is an error of the start, and halts (reason card).
 *   What has no record of its own: a refused order counts in its strategy, so the card gets one that cannot be; after an
 * event that cannot be the card's latch is taken off, as the host's is in the end. The card has every strategy armed from
 * the beginning on, because arming begins a new run of executions: the start tells it of those alone that are not to be.
 *   Not carried over, on both: reference prices, feeds, the heartbeat, and rate allowances, which begin as those of a new
 * gate (risk_restart.c). Cost: a record and its answer per order and event, some 70 cycles of the card. Thread: the pipeline's opener.
 */
#include <stdlib.h>

#include "card_gate.h"
#include "pipeline.h"
#include "pipeline_clock.h"
#include "risk.h"

#define BEAT_RECORDS 32 /* the card's watchdog goes on while it is told of the past */

static void relate(struct hwgw_pipeline *p, const struct hwgw_order *event, uint32_t reason) {
  struct hwgw_order told = *event;
  struct card_gate *gate = p->card.gate;
  if (!gate) return;
  if (told.ts_ns < p->card.related_ns) told.ts_ns = p->card.related_ns; /* one clock, which does not step back */
  p->card.related_ns = told.ts_ns;
  if (gate->head % BEAT_RECORDS == 0) card_gate_beat(gate);
  (void)pipeline_judge_give(p, &told, NULL, reason, true); /* a card that is lost is seen at the end */
}

static void open_account(struct hwgw_limits_account *row) {
  row->credit_max = row->loss_max = UINT64_MAX;
  row->open_max = UINT32_MAX;
}

/* refuses nothing that can be */
static void open_limits(struct hwgw_limits *limits) {
  limits->generation = 1;
  limits->beat_age_max_ns = limits->ref_age_max_ns = UINT64_MAX;
  open_account(&limits->gateway);
  for (uint32_t i = 0; i < HWGW_RISK_ACCOUNTS_MAX; i++) open_account(&limits->account[i]);
  for (uint32_t i = 0; i < HWGW_RISK_STRATEGIES_MAX; i++)
    limits->strategy[i].fills_max = limits->strategy[i].rejects_run_max = UINT32_MAX;
  for (uint32_t i = 0; i < HWGW_RISK_INSTRUMENTS_MAX; i++) {
    struct hwgw_limits_instrument *row = &limits->instrument[i];
    row->flags = HWGW_RISK_INSTRUMENT_FLAGS_ENABLED;
    row->qty_max = row->locate_qty = UINT32_MAX;
    row->notional_max = UINT64_MAX;
    row->long_max = row->short_max = INT32_MAX;
  }
  limits->checksum = hwgw_limits_checksum(limits);
}

int32_t pipeline_rebuild_begin(struct hwgw_pipeline *p, struct hwgw_error *error) {
  if (!p->card.gate) return HWGW_OK;
  struct hwgw_limits *limits = calloc(1, sizeof *limits);
  if (!limits) return hwgw_error_set(error, HWGW_ERR_INTERNAL, 0, "no memory for limits");
  open_limits(limits);
  struct hwgw_order record = {.kind = HWGW_ORDER_KIND_LIMITS, .venue_ref = limits->generation};
  (void)pipeline_judge_give(p, &record, limits, HWGW_RISK_REASON_PASS, true);
  free(limits);
  for (uint32_t i = 0; i < HWGW_RISK_STRATEGIES_MAX; i++) {
    record = (struct hwgw_order){.kind = HWGW_ORDER_KIND_ARM, .strategy = (uint8_t)i};
    relate(p, &record, HWGW_RISK_REASON_PASS);
  }
  p->card.is_rebuilt = true;
  return HWGW_OK;
}

uint32_t pipeline_rebuild_event(struct hwgw_pipeline *p, const struct hwgw_order *event) {
  static const struct hwgw_order resume = {.kind = HWGW_ORDER_KIND_RESUME};
  uint32_t reason = hwgw_risk_event(p->risk, event, NULL);
  relate(p, event, reason);
  if (reason != HWGW_RISK_REASON_PASS) relate(p, &resume, HWGW_RISK_REASON_PASS);
  return reason;
}

bool pipeline_rebuild_carry(struct hwgw_pipeline *p, const struct hwgw_order *order, uint32_t px) {
  struct hwgw_order priced = *order;
  if (!hwgw_risk_carry(p->risk, order, px)) return false;
  priced.type = HWGW_ORDER_TYPE_LIMIT; /* a market order was priced by a reference that is gone */
  priced.px = px;
  priced.reason = 0;
  relate(p, &priced, HWGW_RISK_REASON_PASS);
  return true;
}

void pipeline_rebuild_refused(struct hwgw_pipeline *p, const struct hwgw_order *order) {
  struct hwgw_order refused = {.kind = HWGW_ORDER_KIND_NEW, .ref = order->ref, .strategy = order->strategy};
  relate(p, &refused, HWGW_RISK_REASON_MALFORMED);
}

int32_t pipeline_rebuild_end(struct hwgw_pipeline *p, struct hwgw_error *error) {
  struct hwgw_verdict verdict;
  if (!p->card.gate) return HWGW_OK;
  bool is_answered = pipeline_judge_await(p, &verdict);
  if (is_answered && !p->counters[HWGW_CNT_CARD_DIFFERS]) return HWGW_OK;
  return hwgw_error_set(error, is_answered ? HWGW_ERR_CHECK : HWGW_ERR_DEVICE, 0,
                        "the gate of the card cannot be rebuilt from the journal: %s; judge on the host, or begin anew",
                        p->control->halt_record[HWGW_RISK_REASON_CARD].text);
}

void pipeline_rebuild_started(struct hwgw_pipeline *p) {
  if (!p->card.is_rebuilt) return;
  p->card.is_rebuilt = false;
  uint64_t now_ns = pipeline_now_ns(p);
  for (uint32_t i = 0; i < HWGW_RISK_STRATEGIES_MAX; i++) {
    struct hwgw_order record = {.kind = HWGW_ORDER_KIND_DISARM, .strategy = (uint8_t)i, .ts_ns = now_ns};
    if (!p->risk->strategy[i].is_armed) (void)pipeline_judge_give(p, &record, NULL, HWGW_RISK_REASON_PASS, true);
  }
}
