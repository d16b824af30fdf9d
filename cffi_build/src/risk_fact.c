/* risk_fact.c: what the venue, the feed and the control plane tell the gate. The contract is docs/risk.md.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: any event but new, replace and cancel. Output: pass, or the reason this event latched; halted for a limits
 * table that is not taken. Facts are applied whatever is latched. What the venue says that cannot be so latches halt
 * with reason state and changes nothing else: an order that is not live, more than its leaves, an execution at no
 * price. Cost: one line per instrument and order; an execution or reference price also values the accounts that hold
 * the instrument; a limits table is hashed whole (about 90 us). Thread: the one that owns the gate.
 */
#include "risk.h"

#define REASON(name) HWGW_RISK_REASON_##name
#define PASS REASON(PASS)
#define ALL_INSTRUMENTS UINT32_MAX

/* ---- what the venue says ---- */

static uint32_t unbelievable(struct hwgw_risk *risk) {
  risk_latch(risk, REASON(STATE));
  return REASON(STATE);
}

static void account_shrink(struct hwgw_risk_account *account, uint64_t notional, bool has_ended) {
  account->open_notional -= notional;
  account->open_cnt -= has_ended;
}

/* takes qty off the open quantity; at 0 the order has ended */
static void shrink(struct hwgw_risk *risk, struct hwgw_risk_slot *slot, uint32_t qty) {
  struct hwgw_risk_instrument *at = &risk->instrument[slot->instrument];
  slot->leaves -= qty;
  bool has_ended = !slot->leaves;
  uint64_t notional = (uint64_t)slot->px * qty;
  account_shrink(&risk->account[slot->account], notional, has_ended);
  account_shrink(&risk->gateway, notional, has_ended);
  if (slot->side == HWGW_ORDER_SIDE_BUY) {
    at->open_buy_cnt -= has_ended;
    if (!at->open_buy_cnt) at->own_bid_max = 0;
  } else {
    at->open_sell_cnt -= has_ended;
    if (!at->open_sell_cnt) at->own_ask_min_inv = 0;
  }
}

static void release(struct hwgw_risk *risk, struct hwgw_risk_slot *slot, uint32_t qty) {
  struct hwgw_risk_instrument *at = &risk->instrument[slot->instrument];
  if (slot->side == HWGW_ORDER_SIDE_BUY) {
    at->long_worst = risk_moved(at->long_worst, -(int64_t)qty);
  } else {
    at->short_worst = risk_moved(at->short_worst, -(int64_t)qty);
    at->short_used -= slot->flags ? qty : 0;
  }
  shrink(risk, slot, qty);
}

/* values every position of the instrument at px; the difference goes to the marks */
static void revalue(struct hwgw_risk *risk, uint32_t instrument, uint32_t px) {
  struct hwgw_risk_holding *holding = &risk->holding[instrument];
  hwgw_money step = (hwgw_money)px - holding->mark_px;
  for (uint32_t mask = holding->held_mask; mask; mask &= mask - 1) {
    uint32_t i = (uint32_t)__builtin_ctz(mask);
    risk->account[i].equity += holding->pos[i] * step;
    risk->gateway.equity += holding->pos[i] * step;
  }
  holding->mark_px = px;
}

/* position, cash and mark after qty (negative: sold) at px */
static void trade(struct hwgw_risk *risk, uint32_t instrument, uint32_t account, int64_t qty, uint32_t px) {
  struct hwgw_risk_instrument *at = &risk->instrument[instrument];
  struct hwgw_risk_holding *holding = &risk->holding[instrument];
  if (HWGW_UNLIKELY(!at->ref_px)) revalue(risk, instrument, px);
  at->pos = risk_moved(at->pos, qty);
  holding->pos[account] += qty;
  uint32_t bit = 1u << account;
  holding->held_mask = holding->pos[account] ? holding->held_mask | bit : holding->held_mask & ~bit;

  hwgw_money cash = -(hwgw_money)qty * px;
  hwgw_money mark = (hwgw_money)qty * holding->mark_px;
  risk->cash[account] += cash;
  risk->cash[HWGW_RISK_GATEWAY] += cash;
  risk->account[account].equity += cash + mark;
  risk->gateway.equity += cash + mark;
}

static bool is_px(uint32_t px) {
  return px && px <= HWGW_RISK_PX_MAX;
}

static uint32_t on_canceled(struct hwgw_risk *risk, const struct hwgw_order *event) {
  struct hwgw_risk_slot *slot = risk_live(risk, event->ref);
  if (HWGW_UNLIKELY(!slot || !event->qty || event->qty > slot->leaves)) return unbelievable(risk);
  release(risk, slot, event->qty);
  return PASS;
}

static uint32_t on_rejected(struct hwgw_risk *risk, const struct hwgw_order *event) {
  struct hwgw_risk_slot *slot = risk_live(risk, event->ref);
  if (HWGW_UNLIKELY(!slot)) return unbelievable(risk);
  release(risk, slot, slot->leaves);
  return PASS;
}

static uint32_t on_executed(struct hwgw_risk *risk, const struct hwgw_order *event) {
  struct hwgw_risk_slot *slot = risk_live(risk, event->ref);
  uint32_t qty = event->qty;
  if (HWGW_UNLIKELY(!slot || !qty || qty > slot->leaves || !is_px(event->px))) return unbelievable(risk);
  struct hwgw_risk_instrument *at = &risk->instrument[slot->instrument];
  struct hwgw_risk_account *account = &risk->account[slot->account];
  shrink(risk, slot, qty);
  slot->executed += qty;
  uint64_t filled = (uint64_t)qty * event->px;
  account->filled_notional = risk_add_sat(account->filled_notional, filled);
  risk->gateway.filled_notional = risk_add_sat(risk->gateway.filled_notional, filled);
  bool is_buy = slot->side == HWGW_ORDER_SIDE_BUY;
  int32_t *other = is_buy ? &at->short_worst : &at->long_worst;
  *other = risk_moved(*other, -(int64_t)qty);
  trade(risk, slot->instrument, slot->account, is_buy ? (int64_t)qty : -(int64_t)qty, event->px);

  struct hwgw_risk_strategy *strategy = &risk->strategy[slot->strategy];
  if (strategy->fills != UINT32_MAX) strategy->fills++;
  risk_tire(risk, strategy, &risk->limits->strategy[slot->strategy]);
  return risk_loss(risk, 1u << slot->account);
}

static uint32_t on_replaced(struct hwgw_risk *risk, const struct hwgw_order *event) {
  struct hwgw_risk_slot *slot = risk_live(risk, event->ref);
  struct hwgw_risk_slot *original = risk_live(risk, event->orig_ref);
  if (HWGW_UNLIKELY(!slot || !original || slot->orig_ref != original->ref || !event->qty || event->qty > slot->leaves))
    return unbelievable(risk);
  release(risk, original, original->leaves);
  if (slot->leaves > event->qty) release(risk, slot, slot->leaves - event->qty);
  return PASS;
}

/* the event names the order's terms itself: its slot may have been taken by a later one */
static uint32_t on_broken(struct hwgw_risk *risk, const struct hwgw_order *event) {
  bool is_buy = event->side == HWGW_ORDER_SIDE_BUY;
  if (HWGW_UNLIKELY(!event->qty || !is_px(event->px) || !event->ref || event->ref > risk->last_ref ||
                    event->instrument >= HWGW_RISK_INSTRUMENTS_MAX || event->account >= HWGW_RISK_ACCOUNTS_MAX ||
                    (!is_buy && event->side != HWGW_ORDER_SIDE_SELL)))
    return unbelievable(risk);
  struct hwgw_risk_instrument *at = &risk->instrument[event->instrument];
  int64_t bought = is_buy ? -(int64_t)event->qty : (int64_t)event->qty;
  int64_t raised = (int64_t)(is_buy ? at->short_worst : at->long_worst) + event->qty;
  if (HWGW_UNLIKELY(raised > INT32_MAX)) return unbelievable(risk); /* which bounds the position, too */
  struct hwgw_risk_slot *slot = risk_slot(risk, event->ref);
  if (HWGW_UNLIKELY(slot->ref < event->ref)) return unbelievable(risk);
  if (slot->ref == event->ref) {
    if (HWGW_UNLIKELY(slot->instrument != event->instrument || slot->account != event->account ||
                      slot->side != event->side || slot->executed < event->qty))
      return unbelievable(risk);
    slot->executed -= event->qty;
  }
  at->long_worst = risk_moved(at->long_worst, bought);
  at->short_worst = risk_moved(at->short_worst, -bought);
  trade(risk, event->instrument, event->account, bought, event->px);
  return risk_loss(risk, 1u << event->account);
}

/* ---- what feed and control plane say ---- */

static uint32_t on_ref(struct hwgw_risk *risk, const struct hwgw_order *event) {
  if (HWGW_UNLIKELY(event->instrument >= HWGW_RISK_INSTRUMENTS_MAX || !is_px(event->px))) return PASS;
  struct hwgw_risk_instrument *at = &risk->instrument[event->instrument];
  revalue(risk, event->instrument, event->px);
  at->ref_px = event->px;
  at->ref_ts = event->ts_ns;
  return risk_loss(risk, risk->holding[event->instrument].held_mask);
}

static uint32_t on_feed(struct hwgw_risk *risk, const struct hwgw_order *event) {
  bool is_all = event->instrument == ALL_INSTRUMENTS;
  uint32_t from = is_all ? 0 : event->instrument;
  uint32_t end = is_all ? HWGW_RISK_INSTRUMENTS_MAX : from + 1;
  for (uint32_t i = from; i < end && i < HWGW_RISK_INSTRUMENTS_MAX; i++) {
    risk->instrument[i].is_feed_good = event->qty == 1;
  }
  return PASS;
}

static uint32_t on_limits(struct hwgw_risk *risk, const struct hwgw_order *event, const struct hwgw_limits *limits) {
  bool is_sound = limits && event->venue_ref && limits->generation == event->venue_ref &&
                  limits->checksum == hwgw_limits_checksum(limits);
  risk->limits = is_sound ? limits : &hwgw_risk_limits_none;
  risk->generation = is_sound ? event->venue_ref : 0;
  risk->checks = risk->limits->checks_enabled;
  return is_sound ? PASS : REASON(HALTED);
}

static uint32_t on_strategy(struct hwgw_risk *risk, const struct hwgw_order *event, bool is_back) {
  if (event->strategy >= HWGW_RISK_STRATEGIES_MAX) return PASS;
  struct hwgw_risk_strategy *strategy = &risk->strategy[event->strategy];
  if (event->kind == HWGW_ORDER_KIND_DISARM) {
    strategy->is_armed = 0;
  } else if (!is_back) {
    strategy->is_armed = 1;
    strategy->fills = 0;
    strategy->rejects = 0;
  }
  return PASS;
}

static uint32_t on_halt(struct hwgw_risk *risk, const struct hwgw_order *event) {
  bool is_reason = event->reason > PASS && event->reason < HWGW_RISK_REASON_CNT;
  risk_latch(risk, is_reason ? event->reason : REASON(OPERATOR));
  return PASS;
}

uint32_t hwgw_risk_fact(struct hwgw_risk *risk, const struct hwgw_order *event, const struct hwgw_limits *limits,
                        bool is_back) {
  switch (event->kind) {
    case HWGW_ORDER_KIND_ACCEPTED:
      return risk_live(risk, event->ref) ? PASS : unbelievable(risk);
    case HWGW_ORDER_KIND_REJECTED:
      return on_rejected(risk, event);
    case HWGW_ORDER_KIND_CANCELED:
      return on_canceled(risk, event);
    case HWGW_ORDER_KIND_EXECUTED:
      return on_executed(risk, event);
    case HWGW_ORDER_KIND_REPLACED:
      return on_replaced(risk, event);
    case HWGW_ORDER_KIND_BROKEN:
      return on_broken(risk, event);
    case HWGW_ORDER_KIND_REF:
      return on_ref(risk, event);
    case HWGW_ORDER_KIND_FEED:
      return on_feed(risk, event);
    case HWGW_ORDER_KIND_LIMITS:
      return on_limits(risk, event, limits);
    case HWGW_ORDER_KIND_BEAT:
      risk->last_beat = event->ts_ns;
      return PASS;
    case HWGW_ORDER_KIND_HALT:
      return on_halt(risk, event);
    case HWGW_ORDER_KIND_RESUME:
      risk->halt = is_back ? risk->halt : 0;
      return PASS;
    default:
      return on_strategy(risk, event, is_back);
  }
}
