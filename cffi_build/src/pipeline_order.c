/* pipeline_order.c: an order that a strategy wants, from its judgement to the bytes of a session: judge, record, encode, hand
 * over.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: a new order, replace or cancel, and whose it is. Output: the order in the send buffer of its session, or taken note of
 * as one that the card has sent; else the one counter of its cause, and what the gate had reserved for it given back. In either
 * case its record, and a word to the strategy. The control words are read before every order, so halt needs nobody's help; an
 * order that cannot be recorded does not leave, a cancel leaves in any case. Cost: the gate, a record and the encoder; no
 * system call. Thread: the pipeline's.
 */
#include "breaker.h"
#include "halt.h"
#include "pipeline.h"
#include "pipeline_clock.h"
#include "pipeline_keep.h"
#include "risk.h"

/* ---- journal: what the gate was told and what it said; what cannot be recorded halts ---- */

bool pipeline_record(struct hwgw_pipeline *p, const struct hwgw_order *event, uint32_t verdict) {
  if (HWGW_LIKELY(journal_gate(&p->journal, event, verdict))) return true;
  hwgw_halt(p->segment, HWGW_RISK_REASON_JOURNAL, "the ring of the journal is full: its writer does not keep up");
  return false;
}

/* ---- what a strategy is told ---- */

static void hook_order(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy,
                       const struct hwgw_order *order, uint32_t venue) {
  uint32_t instrument = p->hook.instrument; /* of the book; the order's may be another, and a strategy goes by it */
  uint32_t own = pipeline_instrument_of(p, venue, order->instrument);
  if (own < p->instrument_cnt) p->hook.instrument = own;
  p->hook.cause = HWGW_HOOK_CAUSE_ORDER;
  p->hook.order = *order;
  p->hook.order.instrument = own;
  strategy->desc->fn(&p->hook, strategy->state, NULL, 0);
  p->hook.cause = HWGW_HOOK_CAUSE_BOOK;
  p->hook.instrument = instrument;
  p->hook.order = (struct hwgw_order){0};
}

/* tells a strategy that its order did not leave: rejected; a cancel stays a cancel, with the reason, because the order it
 * was for lives on */
void pipeline_refused(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, const struct hwgw_order *order,
                      uint32_t venue, uint32_t reason) {
  if (HWGW_UNLIKELY(p->child != NULL) && pipeline_route_refused(p, strategy, order, venue, reason)) return;
  struct hwgw_order refused = *order;
  if (order->kind != HWGW_ORDER_KIND_CANCEL) refused.kind = HWGW_ORDER_KIND_REJECTED;
  refused.reason = reason;
  hook_order(p, strategy, &refused, venue);
}

/* ---- judge ---- */

static bool is_held(const struct hwgw_pipeline *p, uint32_t symbol) {
  return symbol < p->symbol_cnt && halt_has_instrument(p->control, symbol);
}

/* a breaker has halted, and the gate was not told yet: that follows the record of the order */
static bool is_tripped(const struct hwgw_pipeline *p) {
  return __atomic_load_n(&p->control->halt, __ATOMIC_ACQUIRE) >> HWGW_RISK_REASON_BREAKER & 1;
}

/* The gate knows a symbol's feed as good while one venue's is; an order goes by that of its own */
static bool is_blind(const struct hwgw_pipeline *p, uint32_t symbol, uint32_t venue) {
  return pipeline_has_venues(p) && symbol < p->symbol_cnt && risk_is_on(p->risk, HWGW_RISK_REASON_FEED) &&
         !p->instrument[pipeline_instrument_of(p, venue, symbol)].is_good;
}

/* What the gate reserved for an order that does not leave is given back as if the venue had refused it. It never was
 * there, so no circuit breaker counts it. is_known: the journal has the order as passed, and needs its end. */
static void give_back(struct hwgw_pipeline *p, const struct hwgw_order *order, bool is_known) {
  struct hwgw_order back = *order;
  back.kind = HWGW_ORDER_KIND_REJECTED;
  back.ts_ns = pipeline_told_ns(p, pipeline_now_ns(p));
  uint32_t verdict = pipeline_judge(p, &back, NULL);
  if (is_known) pipeline_record(p, &back, verdict);
}

/* The gate, behind the latches of the instrument and the venue, and before the circuit breakers: the order that is one too many for a
 * rule that halts does not leave either. */
static uint32_t judge(struct hwgw_pipeline *p, const struct hwgw_order *order, uint32_t venue) {
  if (HWGW_UNLIKELY(is_held(p, order->instrument))) return HWGW_RISK_REASON_INSTRUMENT_HALT;
  if (HWGW_UNLIKELY(halt_has_venue(p->control, venue))) return HWGW_RISK_REASON_VENUE_HALT;
  if (HWGW_UNLIKELY(is_blind(p, order->instrument, venue))) return HWGW_RISK_REASON_FEED;
  uint32_t reason = pipeline_judge(p, order, NULL);
  if (HWGW_LIKELY(!hwgw_breaker_event(p->breaker, p->risk, order, reason))) return reason;
  pipeline_breaker_act(p);
  if (reason != HWGW_RISK_REASON_PASS || !(is_tripped(p) || is_held(p, order->instrument))) return reason;
  if (pipeline_loan_has_left(p, order)) return reason; /* the card sends before a breaker has counted */
  give_back(p, order, false);
  return HWGW_RISK_REASON_BREAKER;
}

/* ---- encode, hand over ---- */

/* OUCH quantities are those of the whole chain of replaces: what was executed before belongs to them */
static uint32_t send_order(struct hwgw_pipeline *p, const struct hwgw_order *order, uint32_t venue) {
  if (!p->session_cnt && !p->desk.send) return HWGW_CNT_ORDER_DROP_SESSION;
  struct hwgw_order wire = *order;
  if (order->kind == HWGW_ORDER_KIND_REPLACE) wire.qty += *pipeline_executed(p, order->orig_ref);
  if (order->kind == HWGW_ORDER_KIND_CANCEL && order->qty) wire.qty += *pipeline_executed(p, order->ref);
  if (HWGW_UNLIKELY(p->desk.send != NULL)) return p->desk.send(p->desk.context, &wire);
  if (HWGW_UNLIKELY(p->mode != HWGW_SEGMENT_STRATEGY_MODE_LIVE)) return HWGW_CNT_ORDER_DROP_SESSION;
  if (pipeline_has_venues(p)) wire.venue_ref &= ((uint64_t)1 << HWGW_ORDER_VENUE_SHIFT) - 1;
  bool is_of_card = pipeline_loan_has(p, order);
  uint32_t outcome = is_of_card ? pipeline_loan_outcome(p, &wire) : hwgw_session_order(p->session[venue].link, &wire);
  if (p->loan.is_on && !is_of_card && outcome == HWGW_CNT_ORDER_ENCODED && order->kind != HWGW_ORDER_KIND_CANCEL)
    p->counters[HWGW_CNT_LOAN_BY_HOST]++;
  struct hwgw_session_row *row = p->session[venue].row;
  if (outcome == HWGW_CNT_ORDER_ENCODED) *(order->kind == HWGW_ORDER_KIND_CANCEL ? &row->cancels : &row->sent) += 1;
  return outcome;
}

/* the order with its verdict; of a market order that passed also the price it was judged at, which no later reader knows */
static bool record_order(struct hwgw_pipeline *p, const struct hwgw_order *order, uint32_t reason) {
  if (HWGW_LIKELY(order->type != HWGW_ORDER_TYPE_MARKET || reason != HWGW_RISK_REASON_PASS))
    return pipeline_record(p, order, reason);
  struct hwgw_order priced = *order;
  if (order->kind != HWGW_ORDER_KIND_CANCEL) priced.reason = risk_slot(p->risk, order->ref)->px;
  return pipeline_record(p, &priced, reason);
}

/* the book that the order was decided on; its bytes do not wait for this record */
static void record_arrival(struct hwgw_pipeline *p, const struct hwgw_order *order, uint32_t venue) {
  const struct hwgw_tob *top = hwgw_segment_tob(p->segment, pipeline_instrument_of(p, venue, order->instrument));
  pipeline_quality_sent(p, order, venue, top);
  if (!p->journal.ring) return;
  struct hwgw_journal_arrival arrival = {.ref = order->ref,
                                         .bid_px = top->bid_px,
                                         .ask_px = top->ask_px,
                                         .bid_qty = top->bid_qty,
                                         .ask_qty = top->ask_qty};
  journal_keep(&p->journal, HWGW_JOURNAL_RECORD_TYPE_ARRIVAL, 0, order->ts_ns, &arrival, sizeof arrival);
}

/* From the instrument that a strategy names to symbol and venue, which it returns. What was sent stays where it is. */
static uint32_t locate(struct hwgw_pipeline *p, struct hwgw_order *order) {
  uint32_t instrument = order->instrument, venue = 0;
  if (order->kind == HWGW_ORDER_KIND_CANCEL)
    venue = *pipeline_venue_of(p, order->ref);
  else if (order->kind == HWGW_ORDER_KIND_REPLACE)
    venue = *pipeline_venue_of(p, order->orig_ref);
  else if (instrument < p->instrument_cnt)
    venue = instrument / p->symbol_cnt;
  if (instrument < p->instrument_cnt) order->instrument = instrument % p->symbol_cnt;
  const uint64_t own = ((uint64_t)1 << HWGW_ORDER_VENUE_SHIFT) - 1;
  if (order->kind != HWGW_ORDER_KIND_CANCEL)
    order->venue_ref = (order->venue_ref & own) | (uint64_t)venue << HWGW_ORDER_VENUE_SHIFT;
  return venue;
}

/* an order that was judged: on record, on its way, in the counters, and its strategy is told; before: as when it was judged */
static void concluded(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, struct hwgw_order *order,
                      uint32_t venue, uint32_t reason, uint64_t t_risk, struct hwgw_journal_basis *before) {
  bool is_cancel = order->kind == HWGW_ORDER_KIND_CANCEL;
  bool is_new = order->kind == HWGW_ORDER_KIND_NEW || order->kind == HWGW_ORDER_KIND_REPLACE;
  uint64_t t_judged = pipeline_lap(p);
  pipeline_stage(p, HWGW_SEGMENT_HIST_RISK, t_risk, t_judged);
  bool is_recorded = record_order(p, order, reason);
  p->counters[HWGW_CNT_RISK_ORDERS]++;
  *(reason == HWGW_RISK_REASON_PASS ? &strategy->row->passed : &strategy->row->refused) += 1;
  if (reason != HWGW_RISK_REASON_PASS) {
    p->counters[HWGW_CNT_RISK_REFUSED_HALTED + reason - HWGW_RISK_REASON_HALTED]++;
    uint32_t latched = 0;
    if (HWGW_UNLIKELY(!p->is_halted && hwgw_risk_halted(p->risk, &latched))) {
      p->is_halted = true;
      hwgw_halt(p->segment, latched, "the risk gate latched on an order");
    }
    before->is_ahead = reason == HWGW_RISK_REASON_INSTRUMENT_HALT || reason == HWGW_RISK_REASON_VENUE_HALT ||
                       (reason == HWGW_RISK_REASON_FEED && is_blind(p, order->instrument, venue));
    if (is_new) pipeline_record_basis(p, order, before);
    pipeline_refused(p, strategy, order, venue, reason);
    return;
  }
  p->counters[HWGW_CNT_RISK_PASSED]++;

  /* a cancel leaves in any case: an order that stays open would be worse than one that is not on record */
  bool leaves = HWGW_LIKELY(is_recorded) || is_cancel || pipeline_loan_has_left(p, order);
  uint32_t outcome = HWGW_LIKELY(leaves) ? send_order(p, order, venue) : HWGW_CNT_ORDER_DROP_JOURNAL;
  uint64_t t_encoded = pipeline_lap(p);
  p->counters[outcome]++;
  if (HWGW_UNLIKELY(outcome != HWGW_CNT_ORDER_ENCODED) && p->keeps_frames)
    pipeline_keep_input(p, HWGW_JOURNAL_INPUT_KIND_DROPPED, outcome, order->ref);
  if (is_new) pipeline_record_basis(p, order, before);
  if (HWGW_UNLIKELY(outcome != HWGW_CNT_ORDER_ENCODED)) {
    if (!is_cancel) give_back(p, order, true);
    pipeline_refused(p, strategy, order, venue, outcome);
    return;
  }
  pipeline_stage(p, HWGW_SEGMENT_HIST_ORDER, t_judged, t_encoded);
  if (order->t_rx) pipeline_stage(p, HWGW_SEGMENT_HIST_TOTAL, order->t_rx, t_encoded);
  if (HWGW_UNLIKELY(p->breaker->by_kind[HWGW_BREAKER_KIND_LATENCY_P99] && order->t_rx && is_new &&
                    hwgw_breaker_latency(p->breaker, order, pipeline_span_ns(p, t_encoded - order->t_rx))))
    pipeline_breaker_act(p);
  if (is_new) {
    bool is_chained = order->kind == HWGW_ORDER_KIND_REPLACE; /* a replace of this one may go before it is answered */
    *pipeline_executed(p, order->ref) = is_chained ? *pipeline_executed(p, order->orig_ref) : 0;
    *pipeline_venue_of(p, order->ref) = (uint8_t)venue;
    if (HWGW_UNLIKELY(p->router != NULL)) hwgw_router_sent(p->router, venue, order);
    record_arrival(p, order, venue);
  }
  hook_order(p, strategy, order, venue);
}

void pipeline_order(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, struct hwgw_order *order) {
  pipeline_rule_return(p); /* which may halt */
  pipeline_control(p);
  /* every other kind is the venue's, the feed's or the control plane's to say, and the gate would believe it */
  bool is_cancel = order->kind == HWGW_ORDER_KIND_CANCEL;
  bool is_new = order->kind == HWGW_ORDER_KIND_NEW || order->kind == HWGW_ORDER_KIND_REPLACE;
  if (is_new) {
    p->last_ref += p->last_ref < UINT32_MAX; /* at the end of the numbers the gate refuses: they only rise */
    order->ref = p->last_ref;
  }
  uint32_t venue = pipeline_has_venues(p) ? locate(p, order) : 0;
  order->reason = 0;
  order->account = (uint8_t)strategy->account;
  order->strategy = (uint8_t)strategy->id;
  uint64_t t_risk = pipeline_lap(p);
  order->ts_ns = pipeline_told_ns(p, pipeline_decided_ns(p, t_risk));
  struct hwgw_journal_basis before = {.beat_ts_ns = p->risk->last_beat, .clock_ns = p->risk->last_ts};
  uint32_t reason = HWGW_LIKELY(is_new) ? judge(p, order, venue)
                    : is_cancel         ? pipeline_judge(p, order, NULL)
                                        : HWGW_RISK_REASON_MALFORMED;
  concluded(p, strategy, order, venue, reason, t_risk, &before);
  if (HWGW_UNLIKELY(!p->is_halted && is_tripped(p))) pipeline_control(p);
}

uint32_t pipeline_order_fired(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy,
                              struct hwgw_order *order, const struct hwgw_verdict *verdict) {
  struct hwgw_journal_basis before = {.beat_ts_ns = p->risk->last_beat, .clock_ns = p->risk->last_ts};
  uint64_t t_risk = pipeline_lap(p);
  uint32_t reason = pipeline_judge_fired(p, order, verdict);
  p->counters[HWGW_CNT_STRATEGY_INTENTS]++;
  if (HWGW_UNLIKELY(hwgw_breaker_event(p->breaker, p->risk, order, reason))) pipeline_breaker_act(p);
  struct hwgw_hook at_hand = p->hook; /* of what the order is taken in for, which goes on behind it */
  struct hwgw_position own;
  hwgw_risk_position(p->risk, order->instrument, &own);
  p->hook =
      (struct hwgw_hook){.flags = p->instrument[order->instrument].is_good ? (uint32_t)HWGW_HOOK_FLAGS_FEED_GOOD : 0u,
                         .now_ns = order->ts_ns,
                         .position = own.pos,
                         .open_buy_cnt = own.open_buy_cnt,
                         .open_sell_cnt = own.open_sell_cnt};
  concluded(p, strategy, order, 0, reason, t_risk, &before);
  p->hook = at_hand;
  if (HWGW_UNLIKELY(!p->is_halted && is_tripped(p))) pipeline_control(p);
  return reason;
}
