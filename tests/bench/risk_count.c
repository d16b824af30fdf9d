/* risk_count.c: passed orders for callgrind: what is executed inside of judge() or count() is counted, nothing else.
 *
 * SPDX-License-Identifier: MIT
 *
 *   risk_count ORDERS RULES
 *
 * Every check on, 1,000 instruments live; before each order comes a reference price of another instrument, after it the
 * end of the order sent LAG orders ago, filled or canceled. RULES circuit breaker rules count the orders.
 */
#include <stdlib.h>

#include "breaker.h"
#include "risk.h"

#define LAG 64
#define INSTRUMENTS 1000
#define PX 1000000

static _Alignas(HWGW_BLOCK_ALIGN) struct hwgw_risk risk;
static struct hwgw_breaker breaker;
static struct hwgw_limits limits;
static struct hwgw_order past[LAG];
static uint64_t ts_ns = 1000;

uint32_t judge(const struct hwgw_order *order);
void count(const struct hwgw_order *order, uint32_t answer);

__attribute__((noinline)) uint32_t judge(const struct hwgw_order *order) {
  return hwgw_risk_event(&risk, order, NULL);
}

__attribute__((noinline)) void count(const struct hwgw_order *order, uint32_t answer) {
  hwgw_breaker_event(&breaker, &risk, order, answer);
}

static void say(struct hwgw_order event, const struct hwgw_limits *table) {
  event.ts_ns = ts_ns += 500;
  uint32_t answer = hwgw_risk_event(&risk, &event, table);
  if (answer) exit(2);
  hwgw_breaker_event(&breaker, &risk, &event, answer);
}

static void open_gate(uint32_t rules) {
  const struct hwgw_limits_account account = {
      .credit_max = UINT64_MAX, .loss_max = UINT64_MAX, .open_max = 4096, .rate_burst = 1000, .rate_refill_ns = 100};
  limits.generation = 1;
  limits.checks_enabled = UINT32_MAX;
  limits.beat_age_max_ns = limits.ref_age_max_ns = UINT64_MAX;
  limits.gateway = limits.account[0] = account;
  limits.strategy[0] = (struct hwgw_limits_strategy){
      .rate_refill_ns = 100, .rate_burst = 1000, .fills_max = UINT32_MAX, .rejects_run_max = UINT32_MAX};
  for (uint32_t i = 0; i < INSTRUMENTS; i++)
    limits.instrument[i] = (struct hwgw_limits_instrument){.flags = HWGW_RISK_INSTRUMENT_FLAGS_ENABLED,
                                                           .qty_max = 1000,
                                                           .notional_max = 10000000000u,
                                                           .collar_px_min = 50000,
                                                           .collar_q16 = 3276,
                                                           .long_max = INT32_MAX,
                                                           .short_max = INT32_MAX,
                                                           .locate_qty = UINT32_MAX};
  for (uint32_t i = 0; i < rules && i < HWGW_BREAKER_RULES_MAX; i++)
    limits.breaker[i] = (struct hwgw_limits_breaker){.kind = HWGW_BREAKER_KIND_ORDER_RATE,
                                                     .action = HWGW_BREAKER_ACTION_WARN,
                                                     .scope = (uint8_t)(i % HWGW_BREAKER_SCOPE_CNT),
                                                     .only = i % HWGW_BREAKER_SCOPE_CNT ? UINT32_MAX : 0,
                                                     .limit = UINT64_MAX,
                                                     .step_ns = 1000000};
  limits.checksum = hwgw_limits_checksum(&limits);
  say((struct hwgw_order){.kind = HWGW_ORDER_KIND_LIMITS, .venue_ref = 1}, &limits);
  say((struct hwgw_order){.kind = HWGW_ORDER_KIND_BEAT}, NULL);
  say((struct hwgw_order){.kind = HWGW_ORDER_KIND_ARM}, NULL);
  say((struct hwgw_order){.kind = HWGW_ORDER_KIND_FEED, .instrument = UINT32_MAX, .qty = 1}, NULL);
  for (uint32_t i = 0; i < INSTRUMENTS; i++)
    say((struct hwgw_order){.kind = HWGW_ORDER_KIND_REF, .instrument = i, .px = PX}, NULL);
}

int main(int argc, char **argv) {
  uint32_t cnt = argc > 1 ? (uint32_t)atoi(argv[1]) : 1;
  open_gate(argc > 2 ? (uint32_t)atoi(argv[2]) : 0);
  uint64_t random = 1;
  for (uint32_t i = 0; i < cnt; i++) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    uint32_t pick = (uint32_t)(random >> 33);
    bool is_buy = pick & 1;
    uint32_t away = 1 + pick / 2 % 5000;
    say((struct hwgw_order){.kind = HWGW_ORDER_KIND_REF, .instrument = pick / 7 % INSTRUMENTS, .px = PX + pick % 16},
        NULL);
    struct hwgw_order order = {.kind = HWGW_ORDER_KIND_NEW,
                               .type = HWGW_ORDER_TYPE_LIMIT,
                               .tif = HWGW_ORDER_TIF_DAY,
                               .side = is_buy ? HWGW_ORDER_SIDE_BUY : HWGW_ORDER_SIDE_SELL,
                               .flags = is_buy ? 0 : HWGW_ORDER_FLAGS_SHORT_SALE,
                               .ref = i + 1,
                               .instrument = pick / 3 % INSTRUMENTS,
                               .px = is_buy ? PX - away : PX + away,
                               .qty = 1 + pick % 99,
                               .ts_ns = ts_ns += 500};
    struct hwgw_order old = past[i % LAG];
    uint32_t answer = judge(&order);
    if (answer) return 3;
    count(&order, answer);
    past[i % LAG] = order;
    if (!old.ref) continue;
    old.kind = old.px & 1 ? HWGW_ORDER_KIND_EXECUTED : HWGW_ORDER_KIND_CANCELED;
    say(old, NULL);
  }
  return 0;
}
