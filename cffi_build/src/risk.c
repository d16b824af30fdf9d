/* risk.c: the pre-trade gate. The contract is docs/risk.md; sim/golden/risk.py is its referee.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: one event (struct hwgw_order) at a time, in order of time. Output: for new, replace and cancel the verdict,
 * for all else what the event latched. Pure: the same events give the same verdicts and state.
 *
 * Order of checks; the first that fails is the answer. Those with * cannot be switched off, wholly or in part:
 *
 *    1 halted*         latched, or no sound limits in force
 *    2 control_stale   no beat for too long
 *    3 clock*          older than an event before; latches
 *    4 malformed*      a field or reference that cannot be
 *    5 strategy        not armed, or tired
 *    6 instrument*     out of range, disabled, restricted
 *    7 feed            not good
 *    8 qty             above its limit
 *    9 notional        above its limit
 *   10 collar*         no fresh reference, or outside the band
 *   11 position*       worst case above its limit
 *   12 short_sale*     short without mark, or beyond the locate
 *   13 credit*         open + filled above credit
 *   14 open_orders*    too many, or the slot is live
 *   15 duplicate       equal to a recent order
 *   16 self_cross      would meet an own order
 *   17 rate            a bucket is empty
 *   18 loss            below the loss limit; latches
 *
 * Worst-case exposure is the state: long_worst = position + open buys, short_worst = -position + open sells. An
 * execution leaves the own side's sum alone and lowers the other; a cancel lowers its own. What the venue says that
 * cannot be so latches halt with reason state and changes nothing else. Limits are inclusive, 0 is a limit like any
 * other, a check is off only by its bit in checks_enabled. A limits table is taken only when its checksum and
 * generation are right.
 *
 * Cost: exact integers, no division, no allocation, no system call; one line of state and one of limits per instrument.
 * Behaviour at the limit: a sum that would leave its width is refused, or saturates where that refuses more.
 * Thread: the one that owns the gate.
 */
#include "risk.h"

#include "crc32c.h"

#define REASON(name) HWGW_RISK_REASON_##name
#define PASS REASON(PASS)

const struct hwgw_limits hwgw_risk_limits_none = {.checks_enabled = UINT32_MAX};

/* an order under judgement, and what the checks worked out for its pass */
struct judged {
  const struct hwgw_order *order;
  struct hwgw_risk_strategy *strategy;
  const struct hwgw_limits_strategy *strategy_limit;
  struct hwgw_risk_account *account;
  const struct hwgw_limits_account *account_limit;
  struct hwgw_risk_instrument *at;
  const struct hwgw_limits_instrument *limit;
  struct hwgw_risk_slot *slot;
  uint64_t notional;
  uint64_t level[3]; /* contents of the buckets: strategy, account, gateway */
  uint32_t px;       /* as priced */
  bool is_buy;
};

/* ---- buckets ---- */

/* what is in a bucket at ts, capped at burst */
static inline uint64_t content(const struct hwgw_risk_bucket *bucket, uint32_t burst, uint64_t refill_ns, uint64_t ts) {
  uint64_t cap;
  if (__builtin_mul_overflow((uint64_t)burst, refill_ns, &cap)) cap = UINT64_MAX;
  uint64_t level = risk_add_sat(bucket->level, ts > bucket->level_ts ? ts - bucket->level_ts : 0);
  return level < cap ? level : cap;
}

static inline bool has_room(uint64_t level, uint32_t burst, uint64_t refill_ns) {
  return burst && level >= refill_ns;
}

static void take_if_room(struct hwgw_risk_bucket *bucket, uint32_t burst, uint64_t refill_ns, uint64_t ts) {
  uint64_t level = content(bucket, burst, refill_ns, ts);
  if (!has_room(level, burst, refill_ns)) return;
  bucket->level = level - refill_ns;
  bucket->level_ts = ts;
}

/* ---- the 18 checks ---- */

#define REFUSE_ALWAYS(failed, name) \
  if (HWGW_UNLIKELY(failed)) return REASON(name)
#define REFUSE(failed, name) \
  if (HWGW_UNLIKELY(failed) && risk_is_on(risk, REASON(name))) return REASON(name)

static bool is_malformed(struct hwgw_risk *risk, const struct hwgw_order *order) {
  bool is_buy = order->side == HWGW_ORDER_SIDE_BUY;
  bool is_market = order->type == HWGW_ORDER_TYPE_MARKET;
  uint32_t flags = is_buy ? 0 : HWGW_ORDER_FLAGS_SHORT_SALE | HWGW_ORDER_FLAGS_SHORT_EXEMPT;
  if ((!is_buy && order->side != HWGW_ORDER_SIDE_SELL) || (!is_market && order->type != HWGW_ORDER_TYPE_LIMIT) ||
      (order->tif != HWGW_ORDER_TIF_DAY && order->tif != HWGW_ORDER_TIF_IOC) || (order->flags & ~flags) ||
      !order->qty || (order->px == 0) != is_market || order->px > HWGW_RISK_PX_MAX ||
      order->account >= HWGW_RISK_ACCOUNTS_MAX || order->strategy >= HWGW_RISK_STRATEGIES_MAX ||
      order->ref <= risk->last_ref)
    return true;
  if (order->kind == HWGW_ORDER_KIND_NEW) return order->orig_ref != 0;
  const struct hwgw_risk_slot *original = risk_live(risk, order->orig_ref);
  return !original || original->instrument != order->instrument || original->account != order->account ||
         original->side != order->side || original->flags != order->flags;
}

/* 1 to 8: may anything be sent, by this strategy, in this instrument */
static inline uint32_t check_leave(struct hwgw_risk *risk, struct judged *j, bool is_back) {
  const struct hwgw_order *order = j->order;
  const struct hwgw_limits *limits = risk->limits;
  uint64_t beat_age = order->ts_ns > risk->last_beat ? order->ts_ns - risk->last_beat : 0;
  REFUSE_ALWAYS(risk->halt || !risk->generation, HALTED);
  REFUSE(!risk->last_beat || beat_age > limits->beat_age_max_ns, CONTROL_STALE);
  REFUSE_ALWAYS(is_back, CLOCK);
  REFUSE_ALWAYS(is_malformed(risk, order), MALFORMED);

  j->is_buy = order->side == HWGW_ORDER_SIDE_BUY;
  j->account = &risk->account[order->account];
  j->account_limit = &limits->account[order->account];
  j->strategy = &risk->strategy[order->strategy];
  j->strategy_limit = &limits->strategy[order->strategy];
  j->slot = risk_slot(risk, order->ref);
  bool is_tired = risk_tire(risk, j->strategy, j->strategy_limit);
  REFUSE(is_tired || !j->strategy->is_armed, STRATEGY);

  REFUSE_ALWAYS(order->instrument >= HWGW_RISK_INSTRUMENTS_MAX, INSTRUMENT);
  j->at = &risk->instrument[order->instrument];
  j->limit = &limits->instrument[order->instrument];
  REFUSE(!(j->limit->flags & HWGW_RISK_INSTRUMENT_FLAGS_ENABLED), INSTRUMENT);
  REFUSE(j->limit->restricted_accounts >> order->account & 1, INSTRUMENT);
  REFUSE(!j->at->is_feed_good, FEED);
  REFUSE(order->qty > j->limit->qty_max, QTY);
  return PASS;
}

/* a market order takes the far edge of the collar; 0 when there is no reference */
static inline uint32_t price(const struct judged *j, int64_t band) {
  if (HWGW_LIKELY(j->order->type == HWGW_ORDER_TYPE_LIMIT)) return j->order->px;
  int64_t ref_px = j->at->ref_px;
  if (!ref_px) return 0;
  if (j->is_buy) return (uint32_t)(ref_px + band < HWGW_RISK_PX_MAX ? ref_px + band : HWGW_RISK_PX_MAX);
  return (uint32_t)(ref_px - band > 1 ? ref_px - band : 1);
}

/* 9 and 10: the price */
static inline uint32_t check_price(const struct hwgw_risk *risk, struct judged *j) {
  const struct hwgw_risk_instrument *at = j->at;
  const struct hwgw_limits_instrument *limit = j->limit;
  int64_t share = (int64_t)((uint64_t)at->ref_px * limit->collar_q16 >> 16);
  int64_t band = share > limit->collar_px_min ? share : limit->collar_px_min;
  j->px = price(j, band);
  j->notional = (uint64_t)j->px * j->order->qty;
  REFUSE(j->notional > limit->notional_max, NOTIONAL);

  bool is_market = j->order->type == HWGW_ORDER_TYPE_MARKET;
  bool has_no_ref = !at->ref_px || j->order->ts_ns - at->ref_ts > risk->limits->ref_age_max_ns;
  bool is_both = limit->flags & HWGW_RISK_INSTRUMENT_FLAGS_COLLAR_BOTH;
  REFUSE_ALWAYS(has_no_ref && is_market, COLLAR);
  REFUSE(has_no_ref, COLLAR);
  REFUSE((j->is_buy || is_both) && j->px > at->ref_px + band, COLLAR);
  REFUSE((!j->is_buy || is_both) && j->px < at->ref_px - band, COLLAR);
  return PASS;
}

static inline bool is_beyond_credit(const struct hwgw_risk_account *account, const struct hwgw_limits_account *limit,
                                    uint64_t notional) {
  uint64_t used;
  return __builtin_add_overflow(account->open_notional, account->filled_notional, &used) ||
         __builtin_add_overflow(used, notional, &used) || used > limit->credit_max;
}

static inline bool is_full(const struct hwgw_risk_account *account, uint64_t notional) {
  return account->open_notional > UINT64_MAX - notional;
}

/* 11 to 14: what it would add to position, short shares, credit and the order table */
static inline uint32_t check_exposure(const struct hwgw_risk *risk, const struct judged *j) {
  const struct hwgw_risk_instrument *at = j->at;
  uint32_t qty = j->order->qty;
  int64_t worst = (int64_t)(j->is_buy ? at->long_worst : at->short_worst) + qty;
  REFUSE(worst > (j->is_buy ? j->limit->long_max : j->limit->short_max), POSITION);
  REFUSE_ALWAYS(worst > INT32_MAX, POSITION);

  if (!j->is_buy) {
    uint64_t short_used = (uint64_t)at->short_used + qty;
    bool is_marked = j->order->flags != 0;
    REFUSE(is_marked ? short_used > j->limit->locate_qty : worst > 0, SHORT_SALE);
    REFUSE_ALWAYS(is_marked && short_used > UINT32_MAX, SHORT_SALE);
  }

  const struct hwgw_limits_account *gateway_limit = &risk->limits->gateway;
  REFUSE(is_beyond_credit(j->account, j->account_limit, j->notional) ||
             is_beyond_credit(&risk->gateway, gateway_limit, j->notional),
         CREDIT);
  REFUSE_ALWAYS(is_full(j->account, j->notional) || is_full(&risk->gateway, j->notional), CREDIT);

  REFUSE(j->account->open_cnt >= j->account_limit->open_max || risk->gateway.open_cnt >= gateway_limit->open_max,
         OPEN_ORDERS);
  REFUSE_ALWAYS(j->slot->leaves, OPEN_ORDERS);
  return PASS;
}

static inline bool is_duplicate(const struct hwgw_risk *risk, const struct judged *j) {
  const struct hwgw_order *order = j->order;
  const struct hwgw_risk_recent *recent = &risk->recent;
  uint64_t terms = risk_terms(j->px, order->instrument, order->account, order->side);
  uint16_t key = risk_key(terms, order->qty);
  uint16_t is_like = 0;
  for (uint32_t i = 0; i < HWGW_RISK_RECENT_MAX; i++) is_like |= recent->key[i] == key;
  if (HWGW_LIKELY(!is_like)) return false;

  uint64_t window_ns = risk->limits->dup_window_ns;
  bool is_found = false;
  for (uint32_t i = 0; i < HWGW_RISK_RECENT_MAX; i++) {
    is_found |=
        (recent->terms[i] == terms) & (recent->qty[i] == order->qty) & (order->ts_ns - recent->ts[i] <= window_ns);
  }
  return is_found;
}

/* 15 to 18: how it behaves beside what was sent before */
static inline uint32_t check_conduct(struct hwgw_risk *risk, struct judged *j) {
  REFUSE(is_duplicate(risk, j), DUPLICATE);
  REFUSE(j->is_buy ? ~j->px <= j->at->own_ask_min_inv : j->px <= j->at->own_bid_max, SELF_CROSS);

  uint64_t ts = j->order->ts_ns;
  const struct hwgw_limits_strategy *own = j->strategy_limit;
  const struct hwgw_limits_account *account = j->account_limit;
  const struct hwgw_limits_account *gateway = &risk->limits->gateway;
  j->level[0] = content(&j->strategy->bucket, own->rate_burst, own->rate_refill_ns, ts);
  j->level[1] = content(&j->account->bucket, account->rate_burst, account->rate_refill_ns, ts);
  j->level[2] = content(&risk->gateway.bucket, gateway->rate_burst, gateway->rate_refill_ns, ts);
  REFUSE(!has_room(j->level[0], own->rate_burst, own->rate_refill_ns) ||
             !has_room(j->level[1], account->rate_burst, account->rate_refill_ns) ||
             !has_room(j->level[2], gateway->rate_burst, gateway->rate_refill_ns),
         RATE);
  return risk_loss(risk, 1u << j->order->account);
}

/* ---- pass and refusal ---- */

static inline void account_open(struct hwgw_risk_account *account, uint64_t notional) {
  account->open_notional += notional;
  account->open_cnt++;
}

static inline void take(struct hwgw_risk_bucket *bucket, uint64_t level, uint64_t refill_ns, uint64_t ts) {
  bucket->level = level - refill_ns;
  bucket->level_ts = ts;
}

static inline void pass(struct hwgw_risk *risk, const struct judged *j) {
  const struct hwgw_order *order = j->order;
  struct hwgw_risk_instrument *at = j->at;
  if (j->is_buy) {
    at->long_worst = risk_moved(at->long_worst, order->qty);
    at->open_buy_cnt++;
    if (j->px > at->own_bid_max) at->own_bid_max = j->px;
  } else {
    at->short_worst = risk_moved(at->short_worst, order->qty);
    at->open_sell_cnt++;
    at->short_used += order->flags ? order->qty : 0;
    if (~j->px > at->own_ask_min_inv) at->own_ask_min_inv = ~j->px;
  }
  account_open(j->account, j->notional);
  account_open(&risk->gateway, j->notional);
  if (HWGW_LIKELY(risk_is_on(risk, REASON(RATE)))) {
    take(&j->strategy->bucket, j->level[0], j->strategy_limit->rate_refill_ns, order->ts_ns);
    take(&j->account->bucket, j->level[1], j->account_limit->rate_refill_ns, order->ts_ns);
    take(&risk->gateway.bucket, j->level[2], risk->limits->gateway.rate_refill_ns, order->ts_ns);
  }
  uint32_t i = risk->recent_cnt++ & (HWGW_RISK_RECENT_MAX - 1);
  risk->recent.terms[i] = risk_terms(j->px, order->instrument, order->account, order->side);
  risk->recent.key[i] = risk_key(risk->recent.terms[i], order->qty);
  risk->recent.ts[i] = order->ts_ns;
  risk->recent.qty[i] = order->qty;
  j->strategy->rejects = 0;
  risk->last_ref = order->ref;
  *j->slot = (struct hwgw_risk_slot){
      .ref = order->ref,
      .px = j->px,
      .leaves = order->qty,
      .orig_ref = order->orig_ref,
      .instrument = (uint16_t)order->instrument,
      .account = order->account,
      .strategy = order->strategy,
      .side = order->side,
      .flags = (uint8_t)order->flags,
      .type = order->type,
      .tif = order->tif,
  };
}

bool hwgw_risk_carry(struct hwgw_risk *risk, const struct hwgw_order *order, uint32_t px) {
  struct judged j = {.order = order, .px = px, .notional = (uint64_t)px * order->qty};
  j.is_buy = order->side == HWGW_ORDER_SIDE_BUY;
  if ((!j.is_buy && order->side != HWGW_ORDER_SIDE_SELL) || !order->qty || !px || px > HWGW_RISK_PX_MAX ||
      order->account >= HWGW_RISK_ACCOUNTS_MAX || order->strategy >= HWGW_RISK_STRATEGIES_MAX ||
      order->instrument >= HWGW_RISK_INSTRUMENTS_MAX || order->ref <= risk->last_ref)
    return false;
  j.account = &risk->account[order->account];
  j.strategy = &risk->strategy[order->strategy];
  j.at = &risk->instrument[order->instrument];
  j.slot = risk_slot(risk, order->ref);
  int64_t worst = (int64_t)(j.is_buy ? j.at->long_worst : j.at->short_worst) + order->qty;
  uint64_t short_used = (uint64_t)j.at->short_used + (!j.is_buy && order->flags ? order->qty : 0);
  if (j.slot->leaves || worst > INT32_MAX || short_used > UINT32_MAX || is_full(j.account, j.notional) ||
      is_full(&risk->gateway, j.notional))
    return false;
  pass(risk, &j);
  return true;
}

static void refused(struct hwgw_risk *risk, const struct hwgw_order *order) {
  if (order->strategy >= HWGW_RISK_STRATEGIES_MAX) return;
  struct hwgw_risk_strategy *strategy = &risk->strategy[order->strategy];
  if (strategy->rejects != UINT32_MAX) strategy->rejects++;
  risk_tire(risk, strategy, &risk->limits->strategy[order->strategy]);
}

static uint32_t on_order(struct hwgw_risk *risk, const struct hwgw_order *order, bool is_back) {
  struct judged j = {.order = order};
  uint32_t reason = check_leave(risk, &j, is_back);
  if (HWGW_LIKELY(reason == PASS)) reason = check_price(risk, &j);
  if (HWGW_LIKELY(reason == PASS)) reason = check_exposure(risk, &j);
  if (HWGW_LIKELY(reason == PASS)) reason = check_conduct(risk, &j);
  if (HWGW_LIKELY(reason == PASS)) {
    pass(risk, &j);
  } else {
    refused(risk, order);
  }
  return reason;
}

static uint32_t on_cancel(struct hwgw_risk *risk, const struct hwgw_order *event, bool is_back) {
  const struct hwgw_risk_slot *slot = risk_live(risk, event->ref);
  if (!slot) return REASON(MALFORMED);
  if (!risk_is_on(risk, REASON(RATE)) || is_back) return PASS;
  const struct hwgw_limits_strategy *own = &risk->limits->strategy[slot->strategy];
  const struct hwgw_limits_account *account = &risk->limits->account[slot->account];
  const struct hwgw_limits_account *gateway = &risk->limits->gateway;
  uint64_t ts = event->ts_ns;
  take_if_room(&risk->strategy[slot->strategy].bucket, own->rate_burst, own->rate_refill_ns, ts);
  take_if_room(&risk->account[slot->account].bucket, account->rate_burst, account->rate_refill_ns, ts);
  take_if_room(&risk->gateway.bucket, gateway->rate_burst, gateway->rate_refill_ns, ts);
  return PASS;
}

/* ---- interface ---- */

uint32_t hwgw_risk_sz_bytes(void) {
  return sizeof(struct hwgw_risk);
}

void hwgw_risk_init(struct hwgw_risk *risk) {
  memset(risk, 0, sizeof *risk);
  risk->limits = &hwgw_risk_limits_none;
  risk->checks = hwgw_risk_limits_none.checks_enabled;
}

uint32_t hwgw_risk_event(struct hwgw_risk *risk, const struct hwgw_order *event, const struct hwgw_limits *limits) {
  uint32_t kind = event->kind;
  bool is_back = event->ts_ns < risk->last_ts;
  uint32_t answer;
  if (HWGW_LIKELY(kind == HWGW_ORDER_KIND_NEW || kind == HWGW_ORDER_KIND_REPLACE)) {
    answer = on_order(risk, event, is_back);
  } else if (kind == HWGW_ORDER_KIND_CANCEL) {
    answer = on_cancel(risk, event, is_back);
  } else if (kind >= HWGW_ORDER_KIND_ACCEPTED && kind <= HWGW_ORDER_KIND_DISARM) {
    if (HWGW_UNLIKELY(is_back)) risk_latch(risk, REASON(CLOCK));
    answer = hwgw_risk_fact(risk, event, limits, is_back);
    if (HWGW_UNLIKELY(is_back)) answer = REASON(CLOCK);
  } else {
    return REASON(MALFORMED);
  }
  if (HWGW_UNLIKELY(is_back)) {
    risk_latch(risk, REASON(CLOCK));
  } else {
    risk->last_ts = event->ts_ns;
  }
  return answer;
}

uint64_t hwgw_limits_checksum(const struct hwgw_limits *limits) {
  size_t from = offsetof(struct hwgw_limits, generation);
  return crc32c((const uint8_t *)limits + from, sizeof *limits - from);
}

bool hwgw_risk_halted(const struct hwgw_risk *risk, uint32_t *reason) {
  *reason = risk->halt;
  return risk->halt != 0;
}

static int64_t money_clamp(hwgw_money sum) {
  return sum > INT64_MAX ? INT64_MAX : sum < INT64_MIN ? INT64_MIN : (int64_t)sum;
}

void hwgw_risk_exposure(const struct hwgw_risk *risk, uint32_t account, struct hwgw_exposure *out) {
  const struct hwgw_risk_account *from = account < HWGW_RISK_GATEWAY ? &risk->account[account] : &risk->gateway;
  hwgw_money cash = risk->cash[account < HWGW_RISK_GATEWAY ? account : HWGW_RISK_GATEWAY];
  out->cash = money_clamp(cash);
  out->mark = money_clamp(from->equity - cash);
  out->open_notional = from->open_notional;
  out->filled_notional = from->filled_notional;
  out->open_cnt = from->open_cnt;
}

void hwgw_risk_strategy(const struct hwgw_risk *risk, uint32_t id, struct hwgw_strategy_row *out) {
  const struct hwgw_risk_strategy *from = &risk->strategy[id % HWGW_RISK_STRATEGIES_MAX];
  out->is_armed = from->is_armed;
  out->fills = from->fills;
  out->rejects = from->rejects;
}

void hwgw_risk_position(const struct hwgw_risk *risk, uint32_t instrument, struct hwgw_position *out) {
  static const struct hwgw_risk_instrument none;
  const struct hwgw_risk_instrument *at =
      instrument < HWGW_RISK_INSTRUMENTS_MAX ? &risk->instrument[instrument] : &none;
  out->pos = at->pos;
  out->long_worst = at->long_worst;
  out->short_worst = at->short_worst;
  out->open_buy_cnt = at->open_buy_cnt;
  out->open_sell_cnt = at->open_sell_cnt;
  out->ref_px = at->ref_px;
}

bool hwgw_risk_order(const struct hwgw_risk *risk, uint32_t ref, struct hwgw_order *out) {
  const struct hwgw_risk_slot *slot = &risk->slot[ref & (HWGW_RISK_OPEN_ORDERS_MAX - 1)];
  if (slot->ref != ref || !slot->leaves) return false;
  *out = (struct hwgw_order){
      .kind = HWGW_ORDER_KIND_NEW,
      .side = slot->side,
      .type = slot->type,
      .tif = slot->tif,
      .flags = slot->flags,
      .account = slot->account,
      .strategy = slot->strategy,
      .ref = slot->ref,
      .orig_ref = slot->orig_ref,
      .instrument = slot->instrument,
      .px = slot->px,
      .qty = slot->leaves,
  };
  return true;
}
