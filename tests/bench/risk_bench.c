/* risk_bench.c: what one verdict costs, each order timed on its own.
 *
 * SPDX-License-Identifier: MIT
 *
 * Between two timed orders the gate hears what goes on around them: a reference price of another instrument, and the end
 * of the order sent LAG orders ago, filled or canceled. So the timed call finds its lines as a pipeline would.
 */
#include "base.h"

typedef uint32_t (*judge_fn)(struct hwgw_risk *risk, const struct hwgw_order *event, const struct hwgw_limits *limits);

#define LAG 64

uint64_t bench_risk(judge_fn judge, judge_fn timed, struct hwgw_risk *risk, struct hwgw_order *orders,
                    uint32_t order_cnt, uint32_t *ref, uint64_t *ts_ns, uint64_t *ticks);
uint32_t bench_risk_nothing(struct hwgw_risk *risk, const struct hwgw_order *event, const struct hwgw_limits *limits);

/* a gate that only reads its event: the cost of timing */
__attribute__((noinline)) uint32_t bench_risk_nothing(struct hwgw_risk *risk, const struct hwgw_order *event,
                                                      const struct hwgw_limits *limits) {
  (void)risk;
  (void)limits;
  return event->qty == 0;
}

/* judges every order through `timed`, ticks of each into ticks; all else goes through `judge`. ref and ts_ns are where the
 * gate stands. Returns how many passed */
uint64_t bench_risk(judge_fn judge, judge_fn timed, struct hwgw_risk *risk, struct hwgw_order *orders,
                    uint32_t order_cnt, uint32_t *ref, uint64_t *ts_ns, uint64_t *ticks) {
  uint64_t pass_cnt = 0;
  for (uint32_t i = 0; i < order_cnt; i++) {
    struct hwgw_order *order = &orders[i];
    const struct hwgw_order *neighbour = &orders[(i + order_cnt / 2) % order_cnt];
    struct hwgw_order event = {.kind = HWGW_ORDER_KIND_REF,
                               .instrument = neighbour->instrument,
                               .ts_ns = *ts_ns += 500,
                               .px = 1000000 + (neighbour->px & 15)};
    judge(risk, &event, NULL);
    order->ref = ++*ref;
    order->ts_ns = *ts_ns += 500;
    uint64_t from = hwgw_rdtsc();
    uint32_t verdict = timed(risk, order, NULL);
    ticks[i] = hwgw_rdtsc() - from;
    pass_cnt += verdict == HWGW_RISK_REASON_PASS;
    if (i < LAG) continue;
    const struct hwgw_order *old = &orders[i - LAG];
    event = (struct hwgw_order){.kind = old->px & 1 ? HWGW_ORDER_KIND_EXECUTED : HWGW_ORDER_KIND_CANCELED,
                                .ref = old->ref,
                                .qty = old->qty,
                                .px = old->px,
                                .ts_ns = *ts_ns += 500};
    judge(risk, &event, NULL);
  }
  for (uint32_t i = order_cnt > LAG ? order_cnt - LAG : 0; i < order_cnt; i++) {
    struct hwgw_order event = {
        .kind = HWGW_ORDER_KIND_CANCELED, .ref = orders[i].ref, .qty = orders[i].qty, .ts_ns = *ts_ns += 500};
    judge(risk, &event, NULL);
  }
  return pass_cnt;
}
