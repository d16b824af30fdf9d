/* risk.h: the state of the risk gate, laid out by who touches it.
 *
 * SPDX-License-Identifier: MIT
 *
 * A new order touches: the first block, the account, its strategy, its slot, and one line each of the instrument's
 * limits and the instrument's state. What only executions and reference prices need lies apart. Every zero byte is the
 * reset state.
 */
#ifndef HWGW_RISK_H
#define HWGW_RISK_H

#include "base.h"

typedef __int128 hwgw_money; /* exact: below 2^63 per execution, so 2^64 of them fit */

/* a rate allowance: nanoseconds saved up at level_ts */
struct hwgw_risk_bucket {
  uint64_t level;
  uint64_t level_ts;
};

/* an account, or the gateway over all of them */
struct hwgw_risk_account {
  uint64_t open_notional;
  uint64_t filled_notional; /* saturates */
  struct hwgw_risk_bucket bucket;
  hwgw_money equity; /* cash + mark */
  uint32_t open_cnt;
  uint32_t pad[3];
};

struct hwgw_risk_strategy {
  struct hwgw_risk_bucket bucket;
  uint32_t fills;
  uint32_t rejects;
  uint32_t is_armed;
  uint32_t pad;
};

struct hwgw_risk_instrument {
  int32_t long_worst;
  int32_t short_worst;
  int32_t pos;
  uint32_t open_buy_cnt;
  uint32_t open_sell_cnt;
  uint32_t short_used;
  uint32_t own_bid_max;     /* 0 = no buy is open */
  uint32_t own_ask_min_inv; /* ~own_ask_min, so that 0 = no sell is open */
  uint32_t ref_px;          /* 0 = none yet */
  uint32_t is_feed_good;
  uint64_t ref_ts;
  uint64_t pad[2];
};

/* what gives an instrument's position its value, per account */
struct hwgw_risk_holding {
  int64_t pos[HWGW_RISK_ACCOUNTS_MAX];
  uint32_t mark_px;
  uint32_t held_mask; /* bit per account whose pos is not 0 */
  uint64_t pad[7];
};

/* the live order of a slot, or the last one that ended there */
struct hwgw_risk_slot {
  uint32_t ref;
  uint32_t px; /* as priced */
  uint32_t leaves;
  uint32_t executed;
  uint32_t orig_ref;
  uint16_t instrument;
  uint8_t account;
  uint8_t strategy;
  uint8_t side;
  uint8_t flags;
  uint8_t type;
  uint8_t tif;
  uint32_t pad;
};

/* the last passed orders, column by column */
struct hwgw_risk_recent {
  uint64_t terms[HWGW_RISK_RECENT_MAX]; /* px, instrument, account, side: see risk_terms */
  uint64_t ts[HWGW_RISK_RECENT_MAX];
  uint32_t qty[HWGW_RISK_RECENT_MAX]; /* 0 = free */
  uint16_t key[HWGW_RISK_RECENT_MAX]; /* of terms and qty, see risk_key: unequal keys are unequal orders */
};

struct hwgw_risk {
  _Alignas(HWGW_BLOCK_ALIGN) const struct hwgw_limits *limits;
  uint64_t generation; /* of limits, 0 = none in force */
  uint64_t last_ts;
  uint64_t last_beat; /* 0 = none yet */
  uint32_t checks;    /* checks_enabled of limits */
  uint32_t halt;      /* reason of the latch */
  uint32_t last_ref;
  uint32_t recent_cnt; /* passed orders mod 2^32; the newest is at (recent_cnt - 1) mod HWGW_RISK_RECENT_MAX */
  struct hwgw_risk_recent recent;
  _Alignas(HWGW_CACHE_LINE) struct hwgw_risk_account gateway;
  struct hwgw_risk_account account[HWGW_RISK_ACCOUNTS_MAX];
  struct hwgw_risk_strategy strategy[HWGW_RISK_STRATEGIES_MAX];
  struct hwgw_risk_instrument instrument[HWGW_RISK_INSTRUMENTS_MAX];
  struct hwgw_risk_slot slot[HWGW_RISK_OPEN_ORDERS_MAX];
  struct hwgw_risk_holding holding[HWGW_RISK_INSTRUMENTS_MAX];
  hwgw_money cash[HWGW_RISK_ACCOUNTS_MAX + 1]; /* the gateway's is the last */
};

#define HWGW_RISK_GATEWAY HWGW_RISK_ACCOUNTS_MAX /* its index among the accounts of cash */

_Static_assert(sizeof(struct hwgw_risk_account) == HWGW_CACHE_LINE, "an account is a line");
_Static_assert(sizeof(struct hwgw_risk_instrument) == HWGW_CACHE_LINE, "an instrument is a line");
_Static_assert(sizeof(struct hwgw_limits_instrument) == HWGW_CACHE_LINE, "an instrument's limits are a line");
_Static_assert(sizeof(struct hwgw_risk_slot) == HWGW_CACHE_LINE / 2, "two orders are a line");
_Static_assert((HWGW_RISK_OPEN_ORDERS_MAX & (HWGW_RISK_OPEN_ORDERS_MAX - 1)) == 0, "slots by mask");
_Static_assert((HWGW_RISK_RECENT_MAX & (HWGW_RISK_RECENT_MAX - 1)) == 0, "recent orders by mask");

/* everything of an order that the duplicate check compares but its quantity */
static inline uint64_t risk_terms(uint32_t px, uint32_t instrument, uint32_t account, uint32_t side) {
  return (uint64_t)px << 32 | (uint64_t)instrument << 16 | (uint64_t)account << 8 | side;
}

/* 16 bits of terms and quantity: all recent orders are compared at once, and looked at only when one is like it */
static inline uint16_t risk_key(uint64_t terms, uint32_t qty) {
  return (uint16_t)((terms ^ qty) * 0x9e3779b97f4a7c15u >> 48);
}

/* the limits before any table is taken: every limit 0, every check on */
extern const struct hwgw_limits hwgw_risk_limits_none;

/* applies one event that is not an order (risk_fact.c) */
uint32_t hwgw_risk_fact(struct hwgw_risk *risk, const struct hwgw_order *event, const struct hwgw_limits *limits,
                        bool is_back);

/* takes an order that passed in an earlier process, priced at px then: exposure and reference, not the rate allowances,
 * which must be off in risk->checks. false, and nothing is changed, when it cannot have passed */
bool hwgw_risk_carry(struct hwgw_risk *risk, const struct hwgw_order *order, uint32_t px);

/* a gate rebuilt from a journal begins: nothing is latched, no strategy is armed, every check is on, rate allowances are
 * empty at that time (0: as those of a new gate) */
void hwgw_risk_restart(struct hwgw_risk *risk, uint64_t allowance_ns);

/* the state of a gate in other numbers: to's by from's, HWGW_RISK_INSTRUMENTS_MAX of them and HWGW_RISK_STRATEGIES_MAX; one
 * that is out of range is none any more. Orders that are open of a strategy that is gone get a number that nobody has */
void hwgw_risk_renumber(struct hwgw_risk *to, const struct hwgw_risk *from, const uint32_t *instrument,
                        const uint8_t *strategy);

_Static_assert(HWGW_RISK_STRATEGIES_MAX <= 64, "a bit per strategy");

/* the last number of a strategy that is not used (bit per number), for strategies that are gone */
static inline uint8_t risk_nobody(uint64_t used) {
  uint8_t i = HWGW_RISK_STRATEGIES_MAX - 1;
  while (i && used >> i & 1) i--;
  return i;
}

static inline bool risk_is_on(const struct hwgw_risk *risk, uint32_t reason) {
  return risk->checks >> reason & 1;
}

static inline void risk_latch(struct hwgw_risk *risk, uint32_t reason) {
  if (!risk->halt) risk->halt = reason;
}

static inline struct hwgw_risk_slot *risk_slot(struct hwgw_risk *risk, uint32_t ref) {
  return &risk->slot[ref & (HWGW_RISK_OPEN_ORDERS_MAX - 1)];
}

/* the live order with this ref, or NULL */
static inline struct hwgw_risk_slot *risk_live(struct hwgw_risk *risk, uint32_t ref) {
  struct hwgw_risk_slot *slot = risk_slot(risk, ref);
  return slot->ref == ref && slot->leaves ? slot : NULL;
}

static inline uint64_t risk_add_sat(uint64_t a, uint64_t b) {
  uint64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* a signed sum after a move that is known to fit */
static inline int32_t risk_moved(int32_t sum, int64_t by) {
  return (int32_t)(sum + by);
}

/* disarms a strategy that reached one of its run limits; has it */
static inline bool risk_tire(const struct hwgw_risk *risk, struct hwgw_risk_strategy *strategy,
                             const struct hwgw_limits_strategy *limit) {
  if (HWGW_UNLIKELY(!risk->generation)) return false; /* no table in force: no run limits */
  bool is_tired = strategy->fills >= limit->fills_max || strategy->rejects >= limit->rejects_run_max;
  if (HWGW_UNLIKELY(is_tired)) strategy->is_armed = 0;
  return is_tired;
}

static inline bool risk_is_below(const struct hwgw_risk_account *account, const struct hwgw_limits_account *limit) {
  return account->equity < -(hwgw_money)limit->loss_max;
}

/* loss of the gateway and of the accounts in mask: latches and answers it */
static inline uint32_t risk_loss(struct hwgw_risk *risk, uint32_t mask) {
  if (!risk_is_on(risk, HWGW_RISK_REASON_LOSS)) return HWGW_RISK_REASON_PASS;
  bool is_lost = risk_is_below(&risk->gateway, &risk->limits->gateway);
  for (; mask; mask &= mask - 1) {
    uint32_t i = (uint32_t)__builtin_ctz(mask);
    is_lost |= risk_is_below(&risk->account[i], &risk->limits->account[i]);
  }
  if (HWGW_LIKELY(!is_lost)) return HWGW_RISK_REASON_PASS;
  risk_latch(risk, HWGW_RISK_REASON_LOSS);
  return HWGW_RISK_REASON_LOSS;
}

/* asks ahead for what a reference price of the instrument touches */
static inline void risk_prefetch_ref(const struct hwgw_risk *risk, uint32_t instrument) {
  if (HWGW_UNLIKELY(instrument >= HWGW_RISK_INSTRUMENTS_MAX)) return;
  hwgw_prefetch(&risk->instrument[instrument]);
  hwgw_prefetch(&risk->holding[instrument].mark_px);
}

/* asks ahead for what an order in the instrument looks at besides */
static inline void risk_prefetch_order(const struct hwgw_risk *risk, uint32_t instrument, uint32_t ref) {
  if (HWGW_UNLIKELY(instrument >= HWGW_RISK_INSTRUMENTS_MAX)) return;
  hwgw_prefetch(&risk->limits->instrument[instrument]);
  hwgw_prefetch(&risk->slot[ref & (HWGW_RISK_OPEN_ORDERS_MAX - 1)]);
}

#endif
