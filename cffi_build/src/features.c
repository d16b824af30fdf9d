/* features.c: numbers made of every change of the top of book, for the strategies that asked for them.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: trades as the books took them, and after each change of the top the levels as they are. Output: struct
 * hwgw_features. Formulas, units and parameters are those of hwgw/specs/features.yaml, exact to the last bit: everything
 * is integer, a shift rounds down. A ratio is one division of doubles: quotients of integers below 2^53 are, rounded
 * down, those of the integers, because a quotient that is no whole number is at least 1/divisor away from the next one,
 * and the rounding of a double moves it by less. It takes a quarter of an integer division's time and there is one per
 * ratio asked for, none without.
 * Nothing is allocated after open. Cost without a set: none. Thread: the pipeline's.
 */
#include <errno.h>
#include <stdlib.h>

#include "base.h"
#include "hwgw_fields.h" /* generated: names and bounds of the parameters */

#define FRACTION HWGW_FEATURES_FRACTION_BITS
#define QTY_MAX (((uint64_t)1 << HWGW_FEATURES_QTY_BITS) - 1)
#define QUEUE_MASK                                                                                                 \
  (1u << HWGW_FEATURE_QUEUE_BID_AHEAD | 1u << HWGW_FEATURE_QUEUE_BID_BEHIND | 1u << HWGW_FEATURE_QUEUE_ASK_AHEAD | \
   1u << HWGW_FEATURE_QUEUE_ASK_BEHIND)

struct own {
  uint64_t venue_ref; /* 0: no order */
  uint32_t ref;
  uint32_t side;
};

/* what one instrument's features remember */
struct memory {
  uint64_t bid_qty; /* the top of the row before */
  uint64_t ask_qty;
  uint32_t bid_px;
  uint32_t ask_px; /* UINT32_MAX: none */
  bool has_row;
  bool has_mid;
  int8_t trade_sign;
  uint64_t trade_volume;
  int64_t ofi;
  int64_t flow;
  int64_t ema_short;
  int64_t ema_long;
};

struct hwgw_feature_set {
  uint32_t mask;
  uint32_t param[HWGW_FEATURE_CNT];
  uint32_t depth;
  uint32_t instrument_cnt;
  struct memory *memory;
  struct own *own; /* own_max per instrument; NULL when no queue was asked for */
};

void hwgw_features_default(struct hwgw_features_cfg *cfg) {
  cfg->mask = 0;
  for (uint32_t i = 0; i < HWGW_FEATURE_CNT; i++) cfg->param[i] = hwgw_feature_at(i)->param_default;
}

static uint32_t max(uint32_t a, uint32_t b) {
  return a > b ? a : b;
}

static bool wants(const struct hwgw_feature_set *set, uint32_t feature) {
  return set->mask >> feature & 1;
}

int32_t hwgw_features_open(struct hwgw_feature_set **out, const struct hwgw_features_cfg *cfg, uint32_t instrument_cnt,
                           struct hwgw_error *error) {
  *out = NULL;
  if (cfg->mask >> HWGW_FEATURE_CNT)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "features: mask 0x%x; there are %u of them", cfg->mask,
                          (unsigned)HWGW_FEATURE_CNT);
  for (uint32_t i = 0; i < HWGW_FEATURE_CNT; i++) {
    const struct hwgw_feature_info *info = hwgw_feature_at(i);
    if (!*info->param || !(cfg->mask >> i & 1)) continue;
    if (cfg->param[i] >= info->param_min && cfg->param[i] <= info->param_max) continue;
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "feature %s: %s is %u; %u to %u are allowed", info->name,
                          info->param, cfg->param[i], info->param_min, info->param_max);
  }
  struct hwgw_feature_set *set = calloc(1, sizeof *set);
  struct memory *memory = calloc(instrument_cnt + 1, sizeof *memory);
  bool has_queue = cfg->mask & QUEUE_MASK;
  struct own *own = has_queue ? calloc((size_t)(instrument_cnt + 1) * HWGW_FEATURES_OWN_MAX, sizeof *own) : NULL;
  if (!set || !memory || (has_queue && !own)) {
    free(own);
    free(memory);
    free(set);
    return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "no memory for the features of %u instruments",
                          instrument_cnt);
  }
  *set = (struct hwgw_feature_set){
      .mask = cfg->mask, .depth = 1, .instrument_cnt = instrument_cnt, .memory = memory, .own = own};
  for (uint32_t i = 0; i < HWGW_FEATURE_CNT; i++)
    set->param[i] = wants(set, i) ? cfg->param[i] : hwgw_feature_at(i)->param_default;
  if (wants(set, HWGW_FEATURE_IMBALANCE)) set->depth = max(set->depth, cfg->param[HWGW_FEATURE_IMBALANCE]);
  if (wants(set, HWGW_FEATURE_SLOPE)) set->depth = max(set->depth, cfg->param[HWGW_FEATURE_SLOPE]);
  *out = set;
  return HWGW_OK;
}

void hwgw_features_close(struct hwgw_feature_set *set) {
  if (!set) return;
  free(set->own);
  free(set->memory);
  free(set);
}

uint32_t hwgw_features_depth(const struct hwgw_feature_set *set) {
  return set->depth;
}

void hwgw_features_reset(struct hwgw_feature_set *set, uint32_t instrument) {
  if (instrument < set->instrument_cnt) set->memory[instrument] = (struct memory){0};
}

/* ---- trades ---- */

static uint64_t clamp(uint64_t qty) {
  return qty < QTY_MAX ? qty : QTY_MAX;
}

/* sum <- sum - floor(sum / 2^shift) + value, the last with the fraction's bits; bounded by value x 2^(16 + shift) */
static int64_t decay(int64_t sum, uint32_t shift, int64_t value) {
  return sum - (sum >> shift) + value * (1 << FRACTION);
}

void hwgw_features_trade(struct hwgw_feature_set *set, const struct hwgw_event *event, const struct hwgw_tob *top) {
  if (event->instrument >= set->instrument_cnt || !(event->flags & HWGW_EVENT_FLAGS_PRINTABLE)) return;
  struct memory *at = &set->memory[event->instrument];
  int32_t sign = 0;
  if (event->kind == HWGW_EVENT_KIND_EXECUTE || event->kind == HWGW_EVENT_KIND_EXECUTE_WITH_PRICE) {
    sign = event->side == HWGW_EVENT_SIDE_SELL ? 1 : -1;
  } else if (event->kind != HWGW_EVENT_KIND_TRADE) {
    return;
  } else if (top->bid_px && top->ask_px) {
    uint64_t twice = 2 * (uint64_t)event->px, middle = (uint64_t)top->bid_px + top->ask_px;
    sign = (twice > middle) - (twice < middle);
  }
  at->trade_sign = (int8_t)sign;
  at->trade_volume += event->qty;
  at->flow = decay(at->flow, set->param[HWGW_FEATURE_TRADE_FLOW], sign * (int64_t)event->qty);
}

/* ---- rows ---- */

/* floor(value x 2^bits / by) for value < 2^32, bits <= 17, by < 2^53 */
static int64_t ratio(uint64_t value, uint32_t bits, uint64_t by) {
  return (int64_t)((double)(value << bits) / (double)by);
}

/* 2^17 B / (B + A) */
static int64_t share(uint64_t bid_qty, uint64_t ask_qty) {
  uint64_t bid = clamp(bid_qty), all = bid + clamp(ask_qty);
  return all ? ratio(bid, FRACTION + 1, all) : 1 << FRACTION;
}

static uint64_t shares(const struct hwgw_level *levels, uint32_t cnt) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < cnt; i++) sum += levels[i].qty;
  return sum;
}

static int64_t slope(const struct hwgw_level *bid, const struct hwgw_level *ask, uint32_t depth) {
  uint32_t bids = 0, asks = 0;
  while (bids < depth && bid[bids].px) bids++;
  while (asks < depth && ask[asks].px) asks++;
  uint64_t span = (bids ? bid[0].px - bid[bids - 1].px : 0) + (uint64_t)(asks ? ask[asks - 1].px - ask[0].px : 0);
  if (!span) return 0;
  uint64_t behind = (bids ? shares(bid + 1, bids - 1) : 0) + (asks ? shares(ask + 1, asks - 1) : 0);
  return ratio(clamp(behind), FRACTION, span);
}

/* what the change of the top of book says of supply and demand; remembers the top */
static int64_t order_flow(struct memory *at, const struct hwgw_level *bid, const struct hwgw_level *ask) {
  struct memory was = *at;
  at->bid_px = bid->px;
  at->ask_px = ask->px ? ask->px : UINT32_MAX;
  at->bid_qty = clamp(bid->qty);
  at->ask_qty = clamp(ask->qty);
  at->has_row = true;
  if (!was.has_row) return 0;
  int64_t flow = 0;
  if (at->bid_px >= was.bid_px) flow += (int64_t)at->bid_qty;
  if (at->bid_px <= was.bid_px) flow -= (int64_t)was.bid_qty;
  if (at->ask_px <= was.ask_px) flow -= (int64_t)at->ask_qty;
  if (at->ask_px >= was.ask_px) flow += (int64_t)was.ask_qty;
  return flow;
}

static int64_t shares_of(uint64_t qty) {
  return (int64_t)clamp(qty);
}

/* the place of the own order that is executed first, on either side */
static void queues(const struct hwgw_feature_set *set, const struct hwgw_books *books, uint32_t instrument,
                   struct hwgw_features *out) {
  out->queue_bid_ahead = out->queue_bid_behind = out->queue_ask_ahead = out->queue_ask_behind = -1;
  uint32_t bid_px = 0, ask_px = UINT32_MAX;
  for (uint32_t i = 0; i < HWGW_FEATURES_OWN_MAX; i++) {
    const struct own *own = &set->own[instrument * HWGW_FEATURES_OWN_MAX + i];
    struct hwgw_queue queue;
    if (!own->venue_ref || !hwgw_books_queue(books, instrument, own->venue_ref, &queue)) continue;
    bool is_buy = own->side == HWGW_ORDER_SIDE_BUY;
    uint32_t best = is_buy ? bid_px : ask_px;
    int64_t *ahead = is_buy ? &out->queue_bid_ahead : &out->queue_ask_ahead;
    bool is_first = *ahead < 0 || (is_buy ? queue.px > best : queue.px < best) ||
                    (queue.px == best && shares_of(queue.ahead) < *ahead);
    if (!is_first) continue;
    *(is_buy ? &bid_px : &ask_px) = queue.px;
    *ahead = shares_of(queue.ahead);
    *(is_buy ? &out->queue_bid_behind : &out->queue_ask_behind) = shares_of(queue.behind);
  }
  if (!wants(set, HWGW_FEATURE_QUEUE_BID_AHEAD)) out->queue_bid_ahead = 0;
  if (!wants(set, HWGW_FEATURE_QUEUE_BID_BEHIND)) out->queue_bid_behind = 0;
  if (!wants(set, HWGW_FEATURE_QUEUE_ASK_AHEAD)) out->queue_ask_ahead = 0;
  if (!wants(set, HWGW_FEATURE_QUEUE_ASK_BEHIND)) out->queue_ask_behind = 0;
}

static int64_t follow(int64_t *average, bool has_mid, int64_t mid, uint32_t shift) {
  *average = has_mid ? *average + ((mid - *average) >> shift) : mid;
  return *average;
}

/* what needs both sides */
static void prices(const struct hwgw_feature_set *set, struct memory *at, const struct hwgw_level *bid,
                   const struct hwgw_level *ask, struct hwgw_features *out) {
  int64_t spread = (int64_t)ask->px - bid->px;
  int64_t mid = ((int64_t)ask->px + bid->px) * (1 << (FRACTION - 1));
  if (wants(set, HWGW_FEATURE_SPREAD)) out->spread = spread;
  if (wants(set, HWGW_FEATURE_MID)) out->mid = mid;
  if (wants(set, HWGW_FEATURE_MICROPRICE))
    out->microprice = (int64_t)bid->px * (1 << FRACTION) + ((spread * share(bid->qty, ask->qty)) >> 1);
  if (wants(set, HWGW_FEATURE_EMA_SHORT)) follow(&at->ema_short, at->has_mid, mid, set->param[HWGW_FEATURE_EMA_SHORT]);
  if (wants(set, HWGW_FEATURE_EMA_LONG)) follow(&at->ema_long, at->has_mid, mid, set->param[HWGW_FEATURE_EMA_LONG]);
  at->has_mid = true;
}

void hwgw_features_row(struct hwgw_feature_set *set, const struct hwgw_books *books, uint32_t instrument,
                       const struct hwgw_level *bid, const struct hwgw_level *ask, struct hwgw_features *out) {
  *out = (struct hwgw_features){0};
  if (instrument >= set->instrument_cnt) return;
  struct memory *at = &set->memory[instrument];
  if (bid->px && ask->px) prices(set, at, bid, ask, out);
  if (wants(set, HWGW_FEATURE_IMBALANCE)) {
    uint32_t depth = set->param[HWGW_FEATURE_IMBALANCE];
    out->imbalance = share(shares(bid, depth), shares(ask, depth)) - (1 << FRACTION);
  }
  if (wants(set, HWGW_FEATURE_SLOPE)) out->slope = slope(bid, ask, set->param[HWGW_FEATURE_SLOPE]);
  if (wants(set, HWGW_FEATURE_OFI) || wants(set, HWGW_FEATURE_OFI_DECAY)) {
    int64_t flow = order_flow(at, bid, ask);
    at->ofi = decay(at->ofi, set->param[HWGW_FEATURE_OFI_DECAY], flow);
    if (wants(set, HWGW_FEATURE_OFI)) out->ofi = flow;
    if (wants(set, HWGW_FEATURE_OFI_DECAY)) out->ofi_decay = at->ofi;
  }
  if (wants(set, HWGW_FEATURE_TRADE_SIGN)) out->trade_sign = at->trade_sign;
  if (wants(set, HWGW_FEATURE_TRADE_VOLUME)) out->trade_volume = shares_of(at->trade_volume);
  if (wants(set, HWGW_FEATURE_TRADE_FLOW)) out->trade_flow = at->flow;
  if (at->trade_volume) at->trade_volume = 0; /* a row without a trade leaves its line clean */
  if (wants(set, HWGW_FEATURE_EMA_SHORT)) out->ema_short = at->ema_short;
  if (wants(set, HWGW_FEATURE_EMA_LONG)) out->ema_long = at->ema_long;
  if (set->own) queues(set, books, instrument, out);
}

/* ---- own orders ---- */

bool hwgw_features_follow(struct hwgw_feature_set *set, uint32_t instrument, uint32_t side, uint32_t ref,
                          uint64_t venue_ref) {
  if (!set->own || instrument >= set->instrument_cnt) return true;
  hwgw_features_forget(set, instrument, ref);
  for (uint32_t i = 0; i < HWGW_FEATURES_OWN_MAX; i++) {
    struct own *own = &set->own[instrument * HWGW_FEATURES_OWN_MAX + i];
    if (own->venue_ref) continue;
    *own = (struct own){.venue_ref = venue_ref, .ref = ref, .side = side};
    return true;
  }
  return false;
}

void hwgw_features_forget(struct hwgw_feature_set *set, uint32_t instrument, uint32_t ref) {
  if (!set->own || instrument >= set->instrument_cnt) return;
  for (uint32_t i = 0; i < HWGW_FEATURES_OWN_MAX; i++) {
    struct own *own = &set->own[instrument * HWGW_FEATURES_OWN_MAX + i];
    if (own->ref == ref) *own = (struct own){0};
  }
}
