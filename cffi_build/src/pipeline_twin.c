/* pipeline_twin.c: strategies beside the live ones: the same events, orders that are judged and recorded and never sent.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   A twin is a pipeline without feed, books and session. It shares the books of the live one, whose events it sees after
 * the live strategies have acted on them, and has everything else for itself: gate and limits, breakers, halts, references,
 * journal, counters, rows, all in a segment of its own. Nothing of the live gate is reached from it, and no session: a
 * pipeline of a mode that is not live cannot be opened with one, and its orders go to the venue model (venue.c).
 *   That is the backtest's venue where it shares the books of the pipeline (backtest.c): its clock is behind the gateway's by
 * the model's feed latency, and what happens at one nanosecond comes in the same order, messages of the feed first. The same
 * frames at the same times give the same fills.
 *   Behind a snapshot the queue in front of a resting order is what it was known to be: its fills come rather too late.
 * Cost for the live path: a clock read and two tests per event and twin; what a twin does itself comes after the live
 * orders have left, and delays the next event. Thread: the live pipeline's.
 */
#include <errno.h>
#include <unistd.h>

#include "book.h"
#include "halt.h"
#include "pipeline.h"
#include "pipeline_clock.h"
#include "venue.h"

/* ---- orders ---- */

/* the model knows one instrument per symbol and venue, as the books do */
static uint32_t send(void *context, const struct hwgw_order *order) {
  struct hwgw_pipeline *t = context;
  struct hwgw_order wire = *order;
  if (pipeline_has_venues(t)) {
    bool is_cancel = order->kind == HWGW_ORDER_KIND_CANCEL;
    uint64_t venue = is_cancel ? *pipeline_venue_of(t, order->ref) : order->venue_ref >> HWGW_ORDER_VENUE_SHIFT;
    wire.instrument = pipeline_instrument_of(t, (uint32_t)venue, order->instrument);
    wire.venue_ref &= ((uint64_t)1 << HWGW_ORDER_VENUE_SHIFT) - 1;
  }
  uint64_t mid2 = 0;
  if (HWGW_LIKELY(wire.instrument < t->instrument_cnt)) { /* a cancel is known by its order, whatever else it says */
    const struct hwgw_tob *top = hwgw_segment_tob(t->segment, wire.instrument);
    if (top->bid_px && top->ask_px) mid2 = (uint64_t)top->bid_px + top->ask_px;
  }
  return venue_send(t->venue, &wire, pipeline_now_ns(t), mid2);
}

/* the venue's clock at a time of the gateway */
static uint64_t venue_ns(const struct venue *v, uint64_t now_ns) {
  return now_ns > v->feed_ns ? now_ns - v->feed_ns : 0;
}

static void answer_take(struct hwgw_pipeline *t) {
  struct hwgw_order event = *(const struct hwgw_order *)venue_fifo_first(&t->venue->answers);
  venue_fifo_pop(&t->venue->answers);
  if (t->is_virtual) t->virtual_ns = event.ts_ns; /* as a clock that goes by itself has it by now */
  uint32_t venue = event.instrument / t->symbol_cnt;
  event.instrument = pipeline_symbol_of(t, event.instrument);
  pipeline_answer(t, venue, &event);
}

/* what the model takes for executions */
static void fees_take(struct hwgw_pipeline *t) {
  struct venue *v = t->venue;
  const struct hwgw_venue_fill *fill = (const struct hwgw_venue_fill *)v->fills.data;
  bool has_fees = v->fee_maker || v->fee_taker;
  for (uint64_t cnt = v->fills.sz / sizeof *fill; has_fees && cnt; cnt--, fill++) {
    const struct pipeline_strategy *strategy = pipeline_strategy_of(t, fill->strategy);
    if (strategy) strategy->row->fees += fill->fee;
    struct hwgw_journal_fee fee = {
        .match = fill->match, .fee = fill->fee, .ref = fill->ref, .strategy = fill->strategy, .cause = fill->cause};
    journal_keep(&t->journal, HWGW_JOURNAL_RECORD_TYPE_FEE, 0, pipeline_now_ns(t), &fee, sizeof fee);
  }
  v->fills.sz = 0; /* all else stands in the events of the gate */
}

/* orders that were there before now, and what was told of them and of those that rest */
static void due(struct hwgw_pipeline *t, uint64_t now_ns) {
  struct venue *v = t->venue;
  uint64_t end_ns = venue_ns(v, now_ns), at_ns;
  while (HWGW_UNLIKELY((at_ns = venue_due(v)) < end_ns)) {
    const struct venue_sent *sent = venue_fifo_first(&v->sent);
    if (sent && sent->at_ns == at_ns) {
      struct venue_sent order = *sent;
      venue_fifo_pop(&v->sent);
      venue_arrive(v, &order);
    } else {
      if (v->fills.sz) fees_take(t); /* on record before the event that it belongs to */
      answer_take(t);
    }
  }
  if (HWGW_UNLIKELY(v->fills.sz)) fees_take(t);
  if (HWGW_UNLIKELY(v->is_out_of_memory) && !t->is_halted)
    hwgw_halt(t->segment, HWGW_RISK_REASON_STATE, "the model of the venue has no memory left");
}

/* ---- events ---- */

uint32_t pipeline_twins_book(struct hwgw_pipeline *p, struct hwgw_event *event, bool *top_changed) {
  struct venue_named named[HWGW_SEGMENT_TWINS_MAX];
  bool is_own[HWGW_SEGMENT_TWINS_MAX];
  uint64_t now_ns = pipeline_now_ns(p), mark = pipeline_ref_mark(p->channel_venue[event->channel]);
  event->ref ^= mark; /* as the books know it */
  event->ref_new ^= mark;
  for (uint32_t i = 0; i < p->twin_cnt; i++) {
    struct hwgw_pipeline *t = p->twin[i];
    due(t, now_ns);
    t->virtual_ns = p->virtual_ns;
    t->venue->now_ns = venue_ns(t->venue, now_ns);
    is_own[i] = venue_look(t->venue, event, &named[i]);
  }
  uint32_t outcome = hwgw_books_apply(p->books, event, top_changed);
  for (uint32_t i = 0; i < p->twin_cnt; i++)
    venue_after(p->twin[i]->venue, event, is_own[i] ? &named[i] : NULL, outcome);
  event->ref ^= mark;
  event->ref_new ^= mark;
  return outcome;
}

static void applied(struct hwgw_pipeline *t, const struct hwgw_event *event, uint32_t outcome, bool top_changed) {
  struct hwgw_pipeline *p = t->live;
  t->instrument[event->instrument].tob_flags = p->instrument[event->instrument].tob_flags;
  if (HWGW_UNLIKELY(t->has_features)) pipeline_features_trade(t, event, outcome);
  bool is_print = event->kind == HWGW_EVENT_KIND_TRADE || event->kind == HWGW_EVENT_KIND_CROSS;
  if (top_changed || is_print) {
    struct hwgw_tob top = *hwgw_segment_tob(p->segment, event->instrument);
    pipeline_tob_put(t, event->instrument, &top);
    pipeline_decide(t, event, &top, top_changed, pipeline_now_ns(t), false);
  }
  due(t, pipeline_now_ns(p));
}

void pipeline_twins_applied(struct hwgw_pipeline *p, const struct hwgw_event *event, uint32_t outcome,
                            bool top_changed) {
  if (event->instrument >= p->instrument_cnt) return;
  for (uint32_t i = 0; i < p->twin_cnt; i++) applied(p->twin[i], event, outcome, top_changed);
}

void pipeline_twins_good(struct hwgw_pipeline *p, uint32_t index, bool is_any_good) {
  uint32_t symbol = pipeline_symbol_of(p, index);
  for (uint32_t i = 0; i < p->twin_cnt; i++) {
    struct hwgw_pipeline *t = p->twin[i];
    t->virtual_ns = p->virtual_ns;
    t->instrument[index].is_good = p->instrument[index].is_good;
    t->instrument[index].tob_flags = p->instrument[index].tob_flags;
    struct hwgw_order event = {.kind = HWGW_ORDER_KIND_FEED, .instrument = symbol, .qty = is_any_good};
    pipeline_gate(t, &event, NULL);
  }
}

/* ---- time ---- */

void pipeline_twins_poll(struct hwgw_pipeline *p) {
  for (uint32_t i = 0; i < p->twin_cnt; i++) {
    struct hwgw_pipeline *t = p->twin[i];
    due(t, pipeline_now_ns(p));
    t->virtual_ns = p->virtual_ns;
    bool is_held = t->is_halted || t->has_halted_instrument;
    if (HWGW_UNLIKELY(is_held && t->cancel_on_halt)) pipeline_cancel_halted(t, pipeline_ticks(t));
  }
}

void pipeline_twins_publish(struct hwgw_pipeline *p) {
  for (uint32_t i = 0; i < p->twin_cnt; i++) {
    p->twin[i]->virtual_ns = p->virtual_ns;
    hwgw_pipeline_publish(p->twin[i]);
  }
}

void pipeline_twins_state(struct hwgw_pipeline *p, uint32_t state) {
  for (uint32_t i = 0; i < p->twin_cnt; i++) {
    struct hwgw_pipeline *t = p->twin[i];
    t->thread->tid = p->thread->tid;
    t->thread->session_state = HWGW_SEGMENT_SESSION_STATE_NONE;
    t->thread->state = state;
    t->strategy_is_stopped = state != HWGW_SEGMENT_THREAD_STATE_RUNNING;
    if (t->strategy_is_stopped) hwgw_pipeline_publish(t);
  }
}

/* ---- life ---- */

static int32_t open_one(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, const struct hwgw_twin_cfg *twin,
                        struct hwgw_error *error) {
  struct hwgw_pipeline_cfg own = *cfg;
  own.segment = twin->segment;
  own.strategy = twin->strategy;
  own.strategy_cnt = twin->strategy_cnt;
  own.session = NULL;
  own.session_cnt = 0;
  own.replay_cnt = 0;
  own.twin_cnt = 0;
  struct hwgw_pipeline *t;
  int32_t status = pipeline_open(&t, &own, p, twin->mode, error);
  if (status) return status;
  p->twin[p->twin_cnt++] = t;
  if (!venue_shares_books(twin->model))
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "on paper the feed latency of the model is a constant, and no answer is faster");
  status = venue_open(&t->venue, twin->model, t->instrument_cnt, error);
  if (status) return status;
  t->venue->feed_ns = twin->model->feed.ns[0];
  if (!venue_reserve(t->venue))
    return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "no memory for the model of the venue");
  t->venue->books = p->books;
  t->desk = (struct pipeline_desk){.context = t, .send = send};
  hwgw_segment_head(t->segment)->data_pid = (uint32_t)getpid();
  return HWGW_OK;
}

int32_t pipeline_twins_open(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error) {
  if (cfg->twin_cnt > HWGW_SEGMENT_TWINS_MAX)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "%u twins of a pipeline; at most %u are allowed", cfg->twin_cnt,
                          HWGW_SEGMENT_TWINS_MAX);
  int32_t status = HWGW_OK;
  for (uint32_t i = 0; !status && i < cfg->twin_cnt; i++) status = open_one(p, cfg, &cfg->twin[i], error);
  return status;
}

void pipeline_twins_close(struct hwgw_pipeline *p) {
  for (uint32_t i = 0; i < p->twin_cnt; i++) {
    struct venue *venue = p->twin[i]->venue;
    hwgw_pipeline_close(p->twin[i]);
    venue_close(venue);
  }
  p->twin_cnt = 0;
}
