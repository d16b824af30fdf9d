/* pipeline_venue.c: what the venue says of our orders: to the gate, the positions and the strategy that owns the order.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pipeline.h"
#include "pipeline_clock.h"
#include "pipeline_keep.h"

#include "halt.h"
#include "risk.h"
#include "session.h"

#define CANCELS_PER_FLUSH 256 /* the send buffer holds ten times as many */
#define CANCEL_AGAIN_MS 250   /* a venue that answers has answered long before */

/* The rows of the shared segment: exposure as the gate has it of the symbol, over all venues; what was traded, of each venue;
 * money as the executions made it that the gate took. What it does not believe has latched the halt and moved nothing. */
int32_t pipeline_exposure_rows(struct hwgw_pipeline *p, uint32_t symbol) {
  struct hwgw_position now;
  hwgw_risk_position(p->risk, symbol, &now);
  int32_t moved = now.pos;
  for (uint32_t i = symbol; i < p->instrument_cnt; i += p->symbol_cnt) {
    struct hwgw_position *row = hwgw_segment_position(p->segment, i);
    moved -= row->pos;
    row->long_worst = now.long_worst;
    row->short_worst = now.short_worst;
    row->open_buy_cnt = now.open_buy_cnt;
    row->open_sell_cnt = now.open_sell_cnt;
    row->ref_px = now.ref_px;
  }
  return moved;
}

static void position_publish(struct hwgw_pipeline *p, uint32_t venue, const struct hwgw_order *event) {
  if (event->instrument >= p->symbol_cnt) return;
  int32_t moved = pipeline_exposure_rows(p, event->instrument);
  if (!moved) return;
  struct hwgw_position *row = hwgw_segment_position(p->segment, pipeline_instrument_of(p, venue, event->instrument));
  bool is_buy = event->side == HWGW_ORDER_SIDE_BUY;
  bool is_fill = event->kind == HWGW_ORDER_KIND_EXECUTED;
  int64_t money = (int64_t)event->px * event->qty;
  row->pos += moved;
  row->cash += is_buy == is_fill ? -money : money;
  *(is_buy ? &row->bought_qty : &row->sold_qty) += is_fill ? event->qty : -(uint64_t)event->qty;
  row->fill_cnt += is_fill;
  p->thread->cash += is_buy == is_fill ? -money : money;
  if (is_fill) p->thread->filled_notional += (uint64_t)money;
  pipeline_exposure_fill(p, event);
}

void pipeline_venue_book(struct hwgw_pipeline *p, uint32_t venue, const struct hwgw_order *event) {
  if (event->kind == HWGW_ORDER_KIND_EXECUTED) *pipeline_executed(p, event->ref) += event->qty;
  if (event->kind == HWGW_ORDER_KIND_REPLACED)
    *pipeline_executed(p, event->ref) = *pipeline_executed(p, event->orig_ref);
  position_publish(p, venue, event);
}

/* what the row of its session counts */
static void answer_count(struct hwgw_session_row *row, const struct hwgw_order *event) {
  switch (event->kind) {
    case HWGW_ORDER_KIND_ACCEPTED:
    case HWGW_ORDER_KIND_REPLACED:
      row->accepted++;
      break;
    case HWGW_ORDER_KIND_REJECTED:
      row->rejected++;
      break;
    case HWGW_ORDER_KIND_CANCELED:
      row->canceled++;
      break;
    case HWGW_ORDER_KIND_EXECUTED:
      row->executed++;
      row->executed_qty += event->qty;
      break;
    default:
      break;
  }
}

/* what the venue has taken, whoever used it, is not used again: its session drops each order up to there. By at most so many */
static void references_rise(struct hwgw_pipeline *p, uint32_t venue, uint32_t most) {
  uint32_t next = hwgw_session_next_ref(p->session[venue].link);
  if (next - 1 <= p->last_ref || next - 1 - p->last_ref > most) return;
  p->last_ref = next - 1;
  if (p->keeps_frames) pipeline_keep_input(p, HWGW_JOURNAL_INPUT_KIND_REFERENCES, 0, p->last_ref);
}

void pipeline_answer(struct hwgw_pipeline *p, uint32_t venue, struct hwgw_order *event) {
  if (event->kind == HWGW_ORDER_KIND_HALT) {
    /* a number out of the air does not use up those that are left: then the next login tells */
    if (p->session_cnt) references_rise(p, venue, (UINT32_MAX - p->last_ref) / 2);
    hwgw_halt(p->segment, event->reason, "the venue told of an order that is not ours");
    pipeline_control(p);
    return;
  }
  uint32_t latched = pipeline_gate(p, event, NULL);
  pipeline_venue_book(p, venue, event);
  /* what the gate does not believe is no execution to be measured */
  if (HWGW_LIKELY(latched == HWGW_RISK_REASON_PASS || latched == HWGW_RISK_REASON_LOSS))
    pipeline_quality_answer(p, event);
  if (p->session_cnt) answer_count(p->session[venue].row, event);
  if (HWGW_UNLIKELY(p->router != NULL)) hwgw_router_answer(p->router, venue, event, risk_live(p->risk, event->ref));

  const struct pipeline_strategy *strategy = pipeline_strategy_of(p, event->strategy);
  if (!strategy || event->instrument >= p->symbol_cnt) return;
  if (HWGW_UNLIKELY(p->child && event->kind == HWGW_ORDER_KIND_REJECTED)) pipeline_route_rejected(p, venue, event);
  struct hwgw_position own;
  hwgw_risk_position(p->risk, event->instrument, &own);
  event->instrument = pipeline_instrument_of(p, venue, event->instrument);
  if (strategy->features) pipeline_features_order(p, strategy, venue, event);
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

/* ---- sessions ---- */

bool pipeline_any_session(const struct hwgw_pipeline *p, uint32_t state) {
  for (uint32_t i = 0; i < p->session_cnt; i++)
    if (p->session[i].state == state) return true;
  return false;
}

void pipeline_session_publish(struct hwgw_pipeline *p, uint32_t venue) {
  const struct hwgw_session *link = p->session[venue].link;
  struct hwgw_session_row *row = p->session[venue].row;
  row->open_cnt = link->orders.open_cnt;
  row->entry = link->orders.entry;
  if (row->unknown_cnt || row->state != HWGW_SEGMENT_SESSION_STATE_UP) /* a scan of all slots */
    (void)hwgw_session_orders_open(&link->orders, &row->unknown_cnt);
  row->last_ref = link->last_ref;
  row->login = link->login;
  row->next_seq = link->next_seq;
  const char *reason = hwgw_session_reason(link);
  if (strncmp(row->reason, reason, sizeof row->reason - 1) != 0)
    snprintf(row->reason, sizeof row->reason, "%s", reason);
}

/* A session that went down with orders open: what became of them is not known until it is up again and has caught up. What
 * the gate reserved for them stays reserved, so others may go on where that was asked for. */
static void session_changed(struct hwgw_pipeline *p, uint32_t venue, uint32_t state) {
  struct pipeline_session *session = &p->session[venue];
  bool was_up = session->state == HWGW_SEGMENT_SESSION_STATE_UP;
  session->state = state;
  session->row->state = state;
  session->row->changed_ns = pipeline_now_ns(p);
  bool is_any_up = pipeline_any_session(p, HWGW_SEGMENT_SESSION_STATE_UP);
  p->thread->session_state = is_any_up ? HWGW_SEGMENT_SESSION_STATE_UP : p->session[0].state;
  pipeline_session_publish(p, venue);
  if (state == HWGW_SEGMENT_SESSION_STATE_UP) {
    references_rise(p, venue, UINT32_MAX);
    if (session->link->cfg.cancel_on_disconnect &&
        session->link->orders.open_cnt) { /* of a connection, or a process, before */
      pipeline_rule_renew(p);
      session->cancel_ref = p->last_ref;
      session->t_cancel = 0;
      p->left_open = true;
    }
  } else if (was_up && state != HWGW_SEGMENT_SESSION_STATE_LOGGING_OUT) {
    session->row->losses++;
    if (session->row->open_cnt == 0 || (is_any_up && !session->halts_alone)) return;
    hwgw_halt(p->segment, HWGW_RISK_REASON_SESSION, hwgw_session_reason(session->link));
    pipeline_control(p);
  }
}

/* a slow link keeps orders that passed before the halt in the send buffer: they must not leave after it */
static void hold_when_halted(struct hwgw_pipeline *p, struct hwgw_session *link) {
  if (HWGW_UNLIKELY(__atomic_load_n(&p->control->halt, __ATOMIC_ACQUIRE) || halt_has_venue(p->control, link->number)))
    hwgw_session_withdraw(link);
}

void pipeline_venue(struct hwgw_pipeline *p) {
  struct hwgw_order events[VENUE_EVENTS_MAX];
  for (uint32_t venue = 0; venue < p->session_cnt; venue++) {
    struct pipeline_session *session = &p->session[venue];
    hold_when_halted(p, session->link);
    uint32_t cnt = hwgw_session_poll(session->link, pipeline_now_ns(p), p->counters, events, VENUE_EVENTS_MAX);
    for (uint32_t i = 0; i < cnt; i++) pipeline_answer(p, venue, &events[i]);
    if (HWGW_UNLIKELY(session->link->is_mass_refused)) { /* one by one, and now */
      session->link->is_mass_refused = false;
      p->t_cancel = p->t_cancel_all = 0;
    }
    uint32_t state = hwgw_session_state(session->link);
    if (HWGW_UNLIKELY(state != session->state)) session_changed(p, venue, state);
  }
  if (HWGW_UNLIKELY(p->is_reconciling)) pipeline_reconcile(p);
}

/* when the kernel has taken all that was encoded: the time is that of the last order of the batch */
static void record_sent(struct hwgw_pipeline *p, uint32_t venue, uint64_t begin_ns) {
  struct pipeline_session *session = &p->session[venue];
  const struct hwgw_session *link = session->link;
  if (link->last_ref == session->sent_ref || link->tx_head != link->tx_tail || link->link_down) return;
  session->sent_ref = link->last_ref;
  struct hwgw_journal_sent sent = {.last_ref = session->sent_ref, .venue = venue, .begin_ns = begin_ns};
  uint64_t end_ns = pipeline_lap_ns(p, pipeline_lap(p));
  journal_keep(&p->journal, HWGW_JOURNAL_RECORD_TYPE_SENT, 0, end_ns, &sent, sizeof sent);
}

void pipeline_flush(struct hwgw_pipeline *p) {
  for (uint32_t venue = 0; venue < p->session_cnt; venue++) {
    struct hwgw_session *link = p->session[venue].link;
    hold_when_halted(p, link);
    if (p->session_cnt > 1 && !hwgw_session_backlog(link)) continue;
    uint64_t from = pipeline_lap(p);
    uint64_t from_ns = pipeline_lap_ns(p, from);
    if (hwgw_session_backlog(link)) { /* else the card has sent it, and its time is taken */
      hwgw_session_flush(link, from_ns, p->counters);
      hist_record(p->hist[HWGW_SEGMENT_HIST_SESSION], pipeline_lap(p) - from);
    }
    if (p->journal.ring) record_sent(p, venue, from_ns);
  }
}

uint32_t pipeline_open_orders(const struct hwgw_pipeline *p) {
  return p->risk->gateway.open_cnt;
}

/* ---- cancels of more than one order ---- */

#define EVERY UINT32_MAX /* instrument, or reference */

/* every session with orders open knows a message for all of them */
static bool knows_mass_cancel(const struct hwgw_pipeline *p) {
  for (uint32_t i = 0; i < p->session_cnt; i++) {
    const struct hwgw_session *link = p->session[i].link;
    if (link->orders.open_cnt && !link->cfg.mass_cancel) return false;
  }
  return p->session_cnt != 0;
}

/* One message for all that is open, or all of a symbol. False where a venue has none, and it goes one by one */
static bool mass_cancel(struct hwgw_pipeline *p, uint32_t symbol) {
  if (!knows_mass_cancel(p)) return false;
  for (uint32_t i = 0; i < p->session_cnt; i++)
    if (p->session[i].link->orders.open_cnt && !pipeline_request(p, i, HWGW_ORDER_KIND_MASS_CANCEL, symbol))
      return false;
  return true;
}

static bool mass_cancel_halted(struct hwgw_pipeline *p) {
  for (uint32_t i = 0; i < p->symbol_cnt; i++) {
    struct hwgw_position own;
    if (!halt_has_instrument(p->control, i)) continue;
    hwgw_risk_position(p->risk, i, &own);
    if (own.open_buy_cnt + own.open_sell_cnt && !mass_cancel(p, i)) return false;
  }
  return true;
}

static int32_t unheard(const struct hwgw_hook *hook, void *state, struct hwgw_order *out, int32_t out_max) {
  (void)hook, (void)state, (void)out, (void)out_max;
  return 0;
}

/* Cancels one open order. It may be of an earlier process whose strategy is not configured any more: nobody is told of it then */
static void cancel_one(struct hwgw_pipeline *p, struct hwgw_order *order) {
  static const struct hwgw_strategy nobody = {.name = "", .fn = unheard};
  struct hwgw_strategy_row row = {0};
  struct pipeline_strategy gone = {.desc = &nobody, .id = order->strategy, .account = order->account, .row = &row};
  const struct pipeline_strategy *strategy = pipeline_strategy_of(p, order->strategy);
  if (p->keeps_frames) pipeline_keep_input(p, HWGW_JOURNAL_INPUT_KIND_OWN_CANCEL, 0, order->ref);
  order->kind = HWGW_ORDER_KIND_CANCEL;
  order->qty = 0;
  order->t_rx = 0;
  p->hook.instrument = pipeline_instrument_of(p, *pipeline_venue_of(p, order->ref), order->instrument);
  p->counters[HWGW_CNT_STRATEGY_INTENTS]++;
  pipeline_order(p, strategy ? strategy : &gone, order);
}

void pipeline_cancel_one(struct hwgw_pipeline *p, uint32_t ref) {
  struct hwgw_order order;
  if (hwgw_risk_order(p->risk, ref, &order)) cancel_one(p, &order);
}

/* Orders up to ref_max, of halted instruments or all, at one venue or (EVERY) all. By slot and not by the latest references:
 * an order may rest while any number of later ones come and go */
static void cancel_each(struct hwgw_pipeline *p, bool all, uint32_t ref_max, uint32_t venue) {
  uint32_t cnt = 0;
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++) {
    struct hwgw_order order;
    if (p->risk->slot[i].ref > ref_max || !hwgw_risk_order(p->risk, p->risk->slot[i].ref, &order)) continue;
    if (!all && !halt_has_instrument(p->control, order.instrument)) continue;
    if (venue != EVERY && *pipeline_venue_of(p, order.ref) != venue) continue;
    cancel_one(p, &order);
    if (++cnt % CANCELS_PER_FLUSH == 0) pipeline_flush(p);
  }
  pipeline_flush(p);
}

void pipeline_cancel_all(struct hwgw_pipeline *p, bool is_first) {
  pipeline_clock(p);
  if (is_first && mass_cancel(p, EVERY))
    pipeline_flush(p);
  else
    cancel_each(p, true, EVERY, EVERY);
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
  bool is_up = p->desk.send || pipeline_any_session(p, HWGW_SEGMENT_SESSION_STATE_UP);
  if (!is_up || pipeline_open_orders(p) == 0) return;
  /* orders that are being compared with the venue's are good ones until a person, or another reason, says otherwise */
  if (p->is_reconciling && p->control->halt == (uint32_t)1 << HWGW_RISK_REASON_RECONCILE) return;
  if (!is_due(p, &p->t_cancel, now, &is_first)) return;
  if (is_first && (p->is_halted ? mass_cancel(p, EVERY) : mass_cancel_halted(p)))
    pipeline_flush(p);
  else
    cancel_each(p, p->is_halted, EVERY, EVERY);
}

static uint32_t open_up_to(struct hwgw_pipeline *p, uint32_t ref_max, uint32_t venue) {
  uint32_t cnt = 0;
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++) {
    const struct hwgw_risk_slot *slot = &p->risk->slot[i];
    cnt += slot->leaves && slot->ref <= ref_max && (venue == EVERY || *pipeline_venue_of(p, slot->ref) == venue);
  }
  return cnt;
}

void pipeline_cancel_asked(struct hwgw_pipeline *p) {
  uint64_t seq = __atomic_load_n(&p->control->cancel_seq, __ATOMIC_ACQUIRE);
  if (HWGW_LIKELY(seq == p->cancel_seq)) return;
  pipeline_rule_renew(p);
  p->cancel_seq = seq;
  p->t_cancel_all = 0;
  p->cancel_ref = pipeline_open_orders(p) ? p->last_ref : 0;
  p->thread->cancel_asked = p->thread->cancel_left = pipeline_open_orders(p);
  __atomic_store_n(&p->thread->cancel_seq_ack, seq, __ATOMIC_RELEASE);
}

void pipeline_cancel_pending(struct hwgw_pipeline *p, uint64_t now) {
  bool is_first;
  uint32_t left = open_up_to(p, p->cancel_ref, EVERY);
  __atomic_store_n(&p->thread->cancel_left, left, __ATOMIC_RELEASE);
  if (!left) p->cancel_ref = 0;
  if (!left || !pipeline_any_session(p, HWGW_SEGMENT_SESSION_STATE_UP) || !is_due(p, &p->t_cancel_all, now, &is_first))
    return;
  if (is_first && mass_cancel(p, EVERY))
    pipeline_flush(p);
  else
    cancel_each(p, true, p->cancel_ref, EVERY);
}

void pipeline_cancel_left_open(struct hwgw_pipeline *p, uint64_t now) {
  p->left_open = false;
  for (uint32_t venue = 0; venue < p->session_cnt; venue++) {
    struct pipeline_session *session = &p->session[venue];
    bool is_first;
    if (session->cancel_ref && !open_up_to(p, session->cancel_ref, venue)) session->cancel_ref = 0;
    p->left_open |= session->cancel_ref != 0;
    if (!session->cancel_ref || session->state != HWGW_SEGMENT_SESSION_STATE_UP ||
        !is_due(p, &session->t_cancel, now, &is_first))
      continue;
    if (is_first && session->link->cfg.mass_cancel && pipeline_request(p, venue, HWGW_ORDER_KIND_MASS_CANCEL, EVERY))
      pipeline_flush(p);
    else
      cancel_each(p, true, session->cancel_ref, venue);
  }
}
