/* breaker.c: circuit breakers: what is counted in windows, and when a rule trips. The contract is docs/breakers.md.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: every event of the gate with the gate's answer, in order of time, and the latency of each order that left.
 * Output: trips, to be taken after each event. What becomes of them is the pipeline's business. Pure: the same events
 * and answers give the same trips; sim/golden/breaker.py is its referee.
 *
 * A window is STEPS steps long, of which the last is running, and moves on by whole steps: what happened within
 * (STEPS - 1) steps is always counted together, what is STEPS steps apart never is. A rule trips when its sum is above its
 * limit, and begins with an empty window again. Counting is one addition, the move at most STEPS subtractions: no
 * division, no allocation, no system call. A percentile needs neither: of n orders m are slow, and more than one in a
 * hundred is slow when 100 m - n > 0, so a slow order counts 99 and any other -1.
 *
 * Cost: a mask test per event of a kind that no rule asks for, else one window (two lines) per rule. Thread: the one
 * that owns it.
 */
#include "breaker.h"

#include "risk.h"

#define LATENCY_SLOW 99
#define LATENCY_OTHER (-1)

/* whom an event is about */
struct about {
  uint32_t account, strategy, instrument;
};

static const uint32_t index_max[HWGW_BREAKER_SCOPE_CNT] = {1, HWGW_RISK_ACCOUNTS_MAX, HWGW_RISK_STRATEGIES_MAX,
                                                           HWGW_RISK_INSTRUMENTS_MAX};

static bool is_loss(const struct hwgw_limits_breaker *rule) {
  return rule->kind == HWGW_BREAKER_KIND_LOSS;
}

/* ---- windows ---- */

static void fill(struct breaker_cell *cell, int64_t value) {
  for (uint32_t i = 0; i < HWGW_BREAKER_STEPS; i++) cell->step[i] = value;
}

/* begins again: nothing counted, or the equity as it is */
static void restart(struct breaker_cell *cell, const struct hwgw_limits_breaker *rule, int64_t equity) {
  cell->total = is_loss(rule) ? equity : 0;
  fill(cell, cell->total);
}

/* moves the window so that ts is in the running step; an older ts counts there too */
static void move(struct breaker_cell *cell, const struct hwgw_limits_breaker *rule, uint64_t ts) {
  uint64_t age = ts > cell->start ? ts - cell->start : 0;
  if (age < rule->step_ns) return;
  if (age / HWGW_BREAKER_STEPS >= rule->step_ns) { /* a shift */
    restart(cell, rule, cell->total);
    cell->start = ts;
    return;
  }
  int64_t fresh = is_loss(rule) ? cell->total : 0;
  for (; age >= rule->step_ns; age -= rule->step_ns) {
    cell->start += rule->step_ns;
    cell->head = (cell->head + 1) & (HWGW_BREAKER_STEPS - 1);
    if (!is_loss(rule)) cell->total -= cell->step[cell->head];
    cell->step[cell->head] = fresh;
  }
}

static void trip(struct hwgw_breaker *breaker, uint32_t rule, uint32_t index, uint64_t value, int64_t equity) {
  struct breaker_cell *cell = &breaker->cell[rule][index];
  restart(cell, &breaker->rule[rule], equity);
  cell->value = value > INT64_MAX ? INT64_MAX : (int64_t)value;
  breaker->tripped[rule][index / 64] |= (uint64_t)1 << index % 64;
  breaker->pending |= (uint32_t)1 << rule;
}

/* ---- counting ---- */

/* the window of a rule that an event is about; UINT32_MAX when it is for others */
static uint32_t index_of(const struct hwgw_limits_breaker *rule, const struct about *about) {
  const uint32_t by_scope[HWGW_BREAKER_SCOPE_CNT] = {0, about->account, about->strategy, about->instrument};
  uint32_t index = by_scope[rule->scope];
  bool is_for = rule->only == UINT32_MAX || rule->only == index;
  return is_for && index < index_max[rule->scope] ? index : UINT32_MAX;
}

static void count_one(struct hwgw_breaker *breaker, uint32_t i, uint32_t index, int64_t by, uint64_t ts) {
  const struct hwgw_limits_breaker *rule = &breaker->rule[i];
  struct breaker_cell *cell = &breaker->cell[i][index];
  move(cell, rule, ts);
  cell->step[cell->head] += by;
  cell->total += by;
  if (HWGW_UNLIKELY(cell->total > 0 && (uint64_t)cell->total > rule->limit))
    trip(breaker, i, index, (uint64_t)cell->total, 0);
}

static void count(struct hwgw_breaker *breaker, uint32_t kind, const struct about *about, uint64_t ts) {
  for (uint32_t mask = breaker->by_kind[kind]; mask; mask &= mask - 1) {
    uint32_t i = (uint32_t)__builtin_ctz(mask);
    uint32_t index = index_of(&breaker->rule[i], about);
    if (index != UINT32_MAX) count_one(breaker, i, index, 1, ts);
  }
}

/* ---- loss ---- */

static int64_t equity_of(const struct hwgw_risk *risk, const struct hwgw_limits_breaker *rule, uint32_t index) {
  bool is_gateway = rule->scope == HWGW_BREAKER_SCOPE_GATEWAY;
  hwgw_money equity = is_gateway ? risk->gateway.equity : risk->account[index].equity;
  return equity > INT64_MAX ? INT64_MAX : equity < INT64_MIN ? INT64_MIN : (int64_t)equity;
}

static void loss_one(struct hwgw_breaker *breaker, const struct hwgw_risk *risk, uint32_t i, uint32_t index,
                     uint64_t ts) {
  const struct hwgw_limits_breaker *rule = &breaker->rule[i];
  struct breaker_cell *cell = &breaker->cell[i][index];
  int64_t equity = equity_of(risk, rule, index);
  move(cell, rule, ts);
  cell->total = equity;
  if (equity > cell->step[cell->head]) cell->step[cell->head] = equity;
  int64_t peak = equity;
  for (uint32_t k = 0; k < HWGW_BREAKER_STEPS; k++) peak = cell->step[k] > peak ? cell->step[k] : peak;
  uint64_t lost = (uint64_t)peak - (uint64_t)equity;
  if (HWGW_UNLIKELY(lost > rule->limit)) trip(breaker, i, index, lost, equity);
}

/* the gateway, and the accounts whose equity the event may have moved */
static void losses(struct hwgw_breaker *breaker, const struct hwgw_risk *risk, uint32_t instrument, uint32_t accounts,
                   uint64_t ts) {
  if (HWGW_LIKELY(!breaker->by_kind[HWGW_BREAKER_KIND_LOSS]) || instrument >= HWGW_RISK_INSTRUMENTS_MAX) return;
  accounts |= risk->holding[instrument].held_mask;
  for (uint32_t mask = breaker->by_kind[HWGW_BREAKER_KIND_LOSS]; mask; mask &= mask - 1) {
    uint32_t i = (uint32_t)__builtin_ctz(mask);
    bool is_gateway = breaker->rule[i].scope == HWGW_BREAKER_SCOPE_GATEWAY;
    for (uint32_t left = is_gateway ? 1 : accounts; left; left &= left - 1) {
      uint32_t index = (uint32_t)__builtin_ctz(left);
      if (index_of(&breaker->rule[i], &(struct about){.account = index}) != UINT32_MAX)
        loss_one(breaker, risk, i, index, ts);
    }
  }
}

/* ---- rules ---- */

static bool is_rule(const struct hwgw_limits_breaker *rule) {
  static const uint8_t scopes[HWGW_BREAKER_KIND_CNT] = {
      [HWGW_BREAKER_KIND_ORDER_RATE] = HWGW_BREAKER_SCOPES_ORDER_RATE,
      [HWGW_BREAKER_KIND_REFUSAL_RATE] = HWGW_BREAKER_SCOPES_REFUSAL_RATE,
      [HWGW_BREAKER_KIND_REJECT_RATE] = HWGW_BREAKER_SCOPES_REJECT_RATE,
      [HWGW_BREAKER_KIND_FILL_RATE] = HWGW_BREAKER_SCOPES_FILL_RATE,
      [HWGW_BREAKER_KIND_FEED_GAP] = HWGW_BREAKER_SCOPES_FEED_GAP,
      [HWGW_BREAKER_KIND_LATENCY_P99] = HWGW_BREAKER_SCOPES_LATENCY_P99,
      [HWGW_BREAKER_KIND_LOSS] = HWGW_BREAKER_SCOPES_LOSS,
  };
  if (rule->kind >= HWGW_BREAKER_KIND_CNT || rule->scope >= HWGW_BREAKER_SCOPE_CNT) return false;
  if (rule->action == HWGW_BREAKER_ACTION_NONE || rule->action >= HWGW_BREAKER_ACTION_CNT) return false;
  if (rule->action == HWGW_BREAKER_ACTION_HALT_INSTRUMENT && rule->scope != HWGW_BREAKER_SCOPE_INSTRUMENT) return false;
  return scopes[rule->kind] >> rule->scope & 1;
}

/* a rule that is the same goes on counting; one that differs in any byte begins anew */
static void load(struct hwgw_breaker *breaker, const struct hwgw_risk *risk) {
  memset(breaker->by_kind, 0, sizeof breaker->by_kind);
  for (uint32_t i = 0; i < HWGW_BREAKER_RULES_MAX; i++) {
    struct hwgw_limits_breaker *rule = &breaker->rule[i];
    const struct hwgw_limits_breaker *from = &risk->limits->breaker[i];
    if (memcmp(rule, from, sizeof *rule) != 0) {
      memset(breaker->cell[i], 0, sizeof breaker->cell[i]);
      memset(breaker->tripped[i], 0, sizeof breaker->tripped[i]);
      breaker->pending &= ~((uint32_t)1 << i);
      *rule = *from;
      uint32_t cnt = is_rule(rule) && is_loss(rule) ? index_max[rule->scope] : 0;
      for (uint32_t k = 0; k < cnt; k++) restart(&breaker->cell[i][k], rule, equity_of(risk, rule, k));
    }
    if (is_rule(rule)) breaker->by_kind[rule->kind] |= (uint32_t)1 << i;
  }
}

/* ---- events ---- */

static void on_feed(struct hwgw_breaker *breaker, const struct hwgw_order *event, bool is_counted) {
  bool is_all = event->instrument == UINT32_MAX;
  uint32_t from = is_all ? 0 : event->instrument;
  uint32_t end = is_all ? HWGW_RISK_INSTRUMENTS_MAX : from + 1;
  for (uint32_t i = from; i < end && i < HWGW_RISK_INSTRUMENTS_MAX; i++) {
    uint64_t bit = (uint64_t)1 << i % 64;
    bool was_good = breaker->feed_good[i / 64] & bit;
    bool is_good = event->qty == 1;
    breaker->feed_good[i / 64] = is_good ? breaker->feed_good[i / 64] | bit : breaker->feed_good[i / 64] & ~bit;
    if (was_good && !is_good && is_counted)
      count(breaker, HWGW_BREAKER_KIND_FEED_GAP, &(struct about){.instrument = i}, event->ts_ns);
  }
}

static void on_venue(struct hwgw_breaker *breaker, const struct hwgw_risk *risk, const struct hwgw_order *event) {
  const struct hwgw_risk_slot *slot = &risk->slot[event->ref & (HWGW_RISK_OPEN_ORDERS_MAX - 1)];
  struct about about = {slot->account, slot->strategy, slot->instrument};
  bool is_fill = event->kind == HWGW_ORDER_KIND_EXECUTED;
  count(breaker, is_fill ? HWGW_BREAKER_KIND_FILL_RATE : HWGW_BREAKER_KIND_REJECT_RATE, &about, event->ts_ns);
  if (is_fill) losses(breaker, risk, slot->instrument, (uint32_t)1 << slot->account, event->ts_ns);
}

bool hwgw_breaker_event(struct hwgw_breaker *breaker, const struct hwgw_risk *risk, const struct hwgw_order *event,
                        uint32_t answer) {
  bool is_counted = answer != HWGW_RISK_REASON_CLOCK && answer != HWGW_RISK_REASON_STATE;
  switch (event->kind) {
    case HWGW_ORDER_KIND_NEW:
    case HWGW_ORDER_KIND_REPLACE:
      if (answer == HWGW_RISK_REASON_HALTED || !is_counted) break;
      count(breaker, answer ? HWGW_BREAKER_KIND_REFUSAL_RATE : HWGW_BREAKER_KIND_ORDER_RATE,
            &(struct about){event->account, event->strategy, event->instrument}, event->ts_ns);
      break;
    case HWGW_ORDER_KIND_REJECTED:
    case HWGW_ORDER_KIND_EXECUTED:
      if (is_counted) on_venue(breaker, risk, event);
      break;
    case HWGW_ORDER_KIND_BROKEN:
      if (is_counted) losses(breaker, risk, event->instrument, (uint32_t)1 << event->account, event->ts_ns);
      break;
    case HWGW_ORDER_KIND_REF:
      if (is_counted) losses(breaker, risk, event->instrument, 0, event->ts_ns);
      break;
    case HWGW_ORDER_KIND_FEED:
      on_feed(breaker, event, is_counted);
      break;
    case HWGW_ORDER_KIND_LIMITS:
      load(breaker, risk);
      break;
    default:
      break;
  }
  return breaker->pending != 0;
}

bool hwgw_breaker_latency(struct hwgw_breaker *breaker, const struct hwgw_order *order, uint64_t latency_ns) {
  const struct about about = {order->account, order->strategy, order->instrument};
  for (uint32_t mask = breaker->by_kind[HWGW_BREAKER_KIND_LATENCY_P99]; mask; mask &= mask - 1) {
    uint32_t i = (uint32_t)__builtin_ctz(mask);
    uint32_t index = index_of(&breaker->rule[i], &about);
    bool is_slow = latency_ns > breaker->rule[i].bound_ns;
    if (index != UINT32_MAX) count_one(breaker, i, index, is_slow ? LATENCY_SLOW : LATENCY_OTHER, order->ts_ns);
  }
  return breaker->pending != 0;
}

bool hwgw_breaker_take(struct hwgw_breaker *breaker, struct hwgw_trip *out) {
  while (breaker->pending) {
    uint32_t rule = (uint32_t)__builtin_ctz(breaker->pending);
    for (uint32_t word = 0; word < BREAKER_INDEX_MAX / 64; word++) {
      uint64_t *left = &breaker->tripped[rule][word];
      if (!*left) continue;
      uint32_t index = word * 64 + (uint32_t)__builtin_ctzll(*left);
      *left &= *left - 1;
      *out = (struct hwgw_trip){.rule = rule, .index = index, .value = breaker->cell[rule][index].value};
      breaker->cell[rule][index].value = 0;
      return true;
    }
    breaker->pending &= breaker->pending - 1;
  }
  return false;
}

uint32_t hwgw_breaker_sz_bytes(void) {
  return sizeof(struct hwgw_breaker);
}

void hwgw_breaker_init(struct hwgw_breaker *breaker) {
  memset(breaker, 0, sizeof *breaker);
}

bool hwgw_breaker_window(const struct hwgw_breaker *breaker, uint32_t rule, uint32_t index, int64_t *out) {
  static const struct breaker_cell empty;
  const struct breaker_cell *cell = &breaker->cell[rule % HWGW_BREAKER_RULES_MAX][index % BREAKER_INDEX_MAX];
  out[0] = (int64_t)cell->start;
  for (uint32_t i = 0; i < HWGW_BREAKER_STEPS; i++)
    out[1 + i] = cell->step[(cell->head - i) & (HWGW_BREAKER_STEPS - 1)];
  return memcmp(cell, &empty, sizeof empty) != 0;
}
