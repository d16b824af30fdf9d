/* pipeline_venue.c: what the venue says of our orders: to the gate, the positions and the strategy that owns the order.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pipeline.h"

#include "halt.h"
#include "risk.h"
#include "session.h"

#define CANCELS_PER_FLUSH 256 /* the send buffer holds ten times as many */
#define CANCEL_AGAIN_MS 250   /* a venue that answers has answered long before */

/* The row of the shared segment: exposure as the gate has it, money as the executions made it that the gate took. What
 * it does not believe has latched the halt and moved no position. */
static void position_publish(struct hwgw_pipeline *p, const struct hwgw_order *event) {
  if (event->instrument >= p->instrument_cnt) return;
  struct hwgw_position *row = hwgw_segment_position(p->segment, event->instrument);
  struct hwgw_position now = *row;
  hwgw_risk_position(p->risk, event->instrument, &now);
  now.cash = row->cash;
  now.bought_qty = row->bought_qty;
  now.sold_qty = row->sold_qty;
  now.fill_cnt = row->fill_cnt;
  if (now.pos != row->pos) {
    bool is_buy = event->side == HWGW_ORDER_SIDE_BUY;
    bool is_fill = event->kind == HWGW_ORDER_KIND_EXECUTED;
    int64_t money = (int64_t)event->px * event->qty;
    now.cash += is_buy == is_fill ? -money : money;
    *(is_buy ? &now.bought_qty : &now.sold_qty) += is_fill ? event->qty : -(uint64_t)event->qty;
    now.fill_cnt += is_fill;
    p->thread->cash += is_buy == is_fill ? -money : money;
    if (is_fill) p->thread->filled_notional += (uint64_t)money;
    pipeline_exposure_fill(p, event);
  }
  *row = now;
}

void pipeline_venue_book(struct hwgw_pipeline *p, const struct hwgw_order *event) {
  if (event->kind == HWGW_ORDER_KIND_EXECUTED) *pipeline_executed(p, event->ref) += event->qty;
  if (event->kind == HWGW_ORDER_KIND_REPLACED)
    *pipeline_executed(p, event->ref) = *pipeline_executed(p, event->orig_ref);
  position_publish(p, event);
}

void pipeline_answer(struct hwgw_pipeline *p, struct hwgw_order *event) {
  if (event->kind == HWGW_ORDER_KIND_HALT) {
    hwgw_halt(p->segment, event->reason, "the venue told of an order that is not ours");
    pipeline_control(p);
    return;
  }
  pipeline_gate(p, event, NULL);
  pipeline_venue_book(p, event);

  const struct pipeline_strategy *strategy = pipeline_strategy_of(p, event->strategy);
  if (!strategy || event->instrument >= p->instrument_cnt) return;
  if (strategy->features) pipeline_features_order(p, strategy, event);
  struct hwgw_position own;
  hwgw_risk_position(p->risk, event->instrument, &own);
  memset(&p->hook, 0, sizeof p->hook);
  p->hook.cause = HWGW_HOOK_CAUSE_ORDER;
  p->hook.instrument = event->instrument;
  p->hook.flags = p->instrument[event->instrument].is_good ? HWGW_HOOK_FLAGS_FEED_GOOD : 0u;
  p->hook.now_ns = event->ts_ns;
  p->hook.position = own.pos;
  p->hook.open_buy_cnt = own.open_buy_cnt;
  p->hook.open_sell_cnt = own.open_sell_cnt;
  p->hook.order = *event;
  p->t_rx = 0;
  if (!p->strategy_is_stopped) pipeline_call(p, (uint32_t)(strategy - p->strategy), false);
}

/* a session that went down with orders open: what became of them is not known until it is up again and has caught up */
static void session_changed(struct hwgw_pipeline *p, uint32_t state) {
  bool was_up = p->session_state == HWGW_SEGMENT_SESSION_STATE_UP;
  p->session_state = state;
  p->thread->session_state = state;
  if (state == HWGW_SEGMENT_SESSION_STATE_UP) {
    uint32_t next = hwgw_session_next_ref(p->session);
    if (next > p->last_ref + 1) p->last_ref = next - 1;
  } else if (was_up && state != HWGW_SEGMENT_SESSION_STATE_LOGGING_OUT && pipeline_open_orders(p) > 0) {
    hwgw_halt(p->segment, HWGW_RISK_REASON_SESSION, hwgw_session_reason(p->session));
    pipeline_control(p);
  }
}

/* a slow link keeps orders that passed before the halt in the send buffer: they must not leave after it */
static void hold_when_halted(struct hwgw_pipeline *p) {
  if (HWGW_UNLIKELY(__atomic_load_n(&p->control->halt, __ATOMIC_ACQUIRE))) hwgw_session_withdraw(p->session);
}

void pipeline_venue(struct hwgw_pipeline *p) {
  if (!p->session) return;
  hold_when_halted(p);
  struct hwgw_order events[VENUE_EVENTS_MAX];
  uint64_t now_ns = pipeline_now_ns(p);
  uint32_t cnt = hwgw_session_poll(p->session, now_ns, p->counters, events, VENUE_EVENTS_MAX);
  for (uint32_t i = 0; i < cnt; i++) pipeline_answer(p, &events[i]);
  if (HWGW_UNLIKELY(p->session->is_mass_refused)) { /* one by one, and now */
    p->session->is_mass_refused = false;
    p->t_cancel = p->t_cancel_all = 0;
  }
  uint32_t state = hwgw_session_state(p->session);
  if (HWGW_UNLIKELY(state != p->session_state)) session_changed(p, state);
  if (HWGW_UNLIKELY(p->is_reconciling)) pipeline_reconcile(p);
}

/* when the kernel has taken all that was encoded: the time is that of the last order of the batch */
static void record_sent(struct hwgw_pipeline *p, uint64_t begin_ns) {
  if (p->session->last_ref == p->sent_ref || p->session->tx_head != p->session->tx_tail || p->session->link_down)
    return;
  p->sent_ref = p->session->last_ref;
  struct hwgw_journal_sent sent = {.last_ref = p->sent_ref, .begin_ns = begin_ns};
  journal_keep(&p->journal, HWGW_JOURNAL_RECORD_TYPE_SENT, 0, pipeline_now_ns(p), &sent, sizeof sent);
}

void pipeline_flush(struct hwgw_pipeline *p) {
  if (!p->session) return;
  hold_when_halted(p);
  uint64_t from = pipeline_ticks(p);
  uint64_t from_ns = pipeline_ns(p, from);
  hwgw_session_flush(p->session, from_ns, p->counters);
  hist_record(p->hist[HWGW_SEGMENT_HIST_SESSION], pipeline_ticks(p) - from);
  if (p->journal.ring) record_sent(p, from_ns);
}

uint32_t pipeline_open_orders(const struct hwgw_pipeline *p) {
  return p->risk->gateway.open_cnt;
}

/* ---- cancels of more than one order ---- */

#define EVERY UINT32_MAX /* instrument, or reference */

/* One message for all that is open, or all of an instrument. False where the venue has none, and it goes one by one. Its
 * reference is used up, so it is on record */
static bool mass_cancel(struct hwgw_pipeline *p, uint32_t instrument) {
  if (!p->session || !p->session->cfg.mass_cancel || p->last_ref == UINT32_MAX) return false;
  struct hwgw_order order = {.kind = HWGW_ORDER_KIND_MASS_CANCEL,
                             .ref = p->last_ref + 1,
                             .instrument = instrument,
                             .ts_ns = pipeline_now_ns(p)};
  if (hwgw_session_order(p->session, &order) != HWGW_CNT_ORDER_ENCODED) return false;
  p->last_ref++;
  p->counters[HWGW_CNT_ORDER_MASS_CANCELS]++;
  pipeline_record(p, &order, HWGW_RISK_REASON_PASS); /* a cancel leaves in any case */
  return true;
}

static bool mass_cancel_halted(struct hwgw_pipeline *p) {
  for (uint32_t i = 0; i < p->instrument_cnt; i++) {
    struct hwgw_position own;
    if (!halt_has_instrument(p->control, i)) continue;
    hwgw_risk_position(p->risk, i, &own);
    if (own.open_buy_cnt + own.open_sell_cnt && !mass_cancel(p, i)) return false;
  }
  return true;
}

/* Orders up to ref_max, of halted instruments or all. By slot and not by the latest references: an order may rest while
 * any number of later ones come and go */
static void cancel_each(struct hwgw_pipeline *p, bool all, uint32_t ref_max) {
  uint32_t cnt = 0;
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++) {
    struct hwgw_order order;
    if (p->risk->slot[i].ref > ref_max || !hwgw_risk_order(p->risk, p->risk->slot[i].ref, &order)) continue;
    if (!all && !halt_has_instrument(p->control, order.instrument)) continue;
    const struct pipeline_strategy *strategy = pipeline_strategy_of(p, order.strategy);
    if (!strategy) continue;
    order.kind = HWGW_ORDER_KIND_CANCEL;
    order.qty = 0;
    order.t_rx = 0;
    p->hook.instrument = order.instrument;
    p->counters[HWGW_CNT_STRATEGY_INTENTS]++;
    pipeline_order(p, strategy, &order);
    if (++cnt % CANCELS_PER_FLUSH == 0) pipeline_flush(p);
  }
  pipeline_flush(p);
}

void pipeline_cancel_all(struct hwgw_pipeline *p, bool is_first) {
  if (is_first && mass_cancel(p, EVERY))
    pipeline_flush(p);
  else
    cancel_each(p, true, EVERY);
}

/* true when a round of cancels is due: at once, and again for what a full send buffer, a lost link or a venue that does
 * not answer has kept */
static bool is_due(const struct hwgw_pipeline *p, uint64_t *t_last, uint64_t now, bool *is_first) {
  *is_first = *t_last == 0;
  if (!*is_first && now - *t_last < CANCEL_AGAIN_MS * (pipeline_hz(p) / 1000)) return false;
  *t_last = now;
  return true;
}

/* Halted, what is open goes too, of an instrument or all */
void pipeline_cancel_halted(struct hwgw_pipeline *p, uint64_t now) {
  bool is_first;
  if (p->session_state != HWGW_SEGMENT_SESSION_STATE_UP || pipeline_open_orders(p) == 0) return;
  /* orders that are being compared with the venue's are good ones until a person, or another reason, says otherwise */
  if (p->is_reconciling && p->control->halt == (uint32_t)1 << HWGW_RISK_REASON_RECONCILE) return;
  if (!is_due(p, &p->t_cancel, now, &is_first)) return;
  if (is_first && (p->is_halted ? mass_cancel(p, EVERY) : mass_cancel_halted(p)))
    pipeline_flush(p);
  else
    cancel_each(p, p->is_halted, EVERY);
}

static uint32_t open_up_to(const struct hwgw_pipeline *p, uint32_t ref_max) {
  uint32_t cnt = 0;
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++)
    cnt += p->risk->slot[i].leaves && p->risk->slot[i].ref <= ref_max;
  return cnt;
}

void pipeline_cancel_asked(struct hwgw_pipeline *p) {
  uint64_t seq = __atomic_load_n(&p->control->cancel_seq, __ATOMIC_ACQUIRE);
  if (HWGW_LIKELY(seq == p->cancel_seq)) return;
  p->cancel_seq = seq;
  p->t_cancel_all = 0;
  p->cancel_ref = pipeline_open_orders(p) ? p->last_ref : 0;
  p->thread->cancel_asked = p->thread->cancel_left = pipeline_open_orders(p);
  __atomic_store_n(&p->thread->cancel_seq_ack, seq, __ATOMIC_RELEASE);
}

void pipeline_cancel_pending(struct hwgw_pipeline *p, uint64_t now) {
  bool is_first;
  uint32_t left = open_up_to(p, p->cancel_ref);
  __atomic_store_n(&p->thread->cancel_left, left, __ATOMIC_RELEASE);
  if (!left) p->cancel_ref = 0;
  if (!left || p->session_state != HWGW_SEGMENT_SESSION_STATE_UP || !is_due(p, &p->t_cancel_all, now, &is_first))
    return;
  if (is_first && mass_cancel(p, EVERY))
    pipeline_flush(p);
  else
    cancel_each(p, true, p->cancel_ref);
}
