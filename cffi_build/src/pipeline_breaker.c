/* pipeline_breaker.c: what a trip of a circuit breaker does: its row of the segment, its counter, a halt.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: the trips that breaker.c has noted. Output: a halt of the gateway or of one instrument with a record that names
 * the rule, and for every trip, warnings too, the row of its rule. The gate hears of a halt when the control words are read next, and
 * its record stands behind that of the event that tripped the rule, as both were judged. Cost: nothing without a trip. Thread: the
 * pipeline's.
 */
#include "breaker.h"
#include "pipeline.h"
#include "risk.h"

/* what a rate counts */
static const char *counted(uint32_t kind) {
  switch (kind) {
    case HWGW_BREAKER_KIND_ORDER_RATE:
      return "orders";
    case HWGW_BREAKER_KIND_REFUSAL_RATE:
      return "refusals";
    case HWGW_BREAKER_KIND_REJECT_RATE:
      return "rejects";
    case HWGW_BREAKER_KIND_FILL_RATE:
      return "fills";
    default:
      return "feed gaps";
  }
}

/* who it is about, for people */
static void describe_index(const struct hwgw_pipeline *p, const struct hwgw_limits_breaker *rule, uint32_t index,
                           char *text, size_t sz) {
  if (rule->scope == HWGW_BREAKER_SCOPE_ACCOUNT) {
    snprintf(text, sz, "account %u", index);
  } else if (rule->scope == HWGW_BREAKER_SCOPE_STRATEGY) {
    snprintf(text, sz, "%.31s", hwgw_segment_strategy(p->segment, index)->name);
  } else if (rule->scope == HWGW_BREAKER_SCOPE_GATEWAY) {
    snprintf(text, sz, "the gateway");
  } else if (index >= p->instrument_cnt) {
    snprintf(text, sz, "instrument %u", index);
  } else {
    const char *symbol = hwgw_segment_symbols(p->segment) + (size_t)index * 8;
    size_t len = 8;
    while (len && symbol[len - 1] == ' ') len--;
    snprintf(text, sz, "%.*s", (int)len, symbol);
  }
}

static void describe(const struct hwgw_pipeline *p, const struct hwgw_limits_breaker *rule,
                     const struct hwgw_trip *trip, char *text, size_t sz) {
  char who[40];
  describe_index(p, rule, trip->index, who, sizeof who);
  unsigned long long value = (unsigned long long)trip->value, limit = rule->limit;
  if (rule->kind == HWGW_BREAKER_KIND_LOSS) {
    snprintf(text, sz, "breaker %.16s: %s: %llu.%04llu lost, %llu.%04llu allowed", rule->name, who, value / 10000,
             value % 10000, limit / 10000, limit % 10000);
  } else if (rule->kind == HWGW_BREAKER_KIND_LATENCY_P99) {
    snprintf(text, sz, "breaker %.16s: %s: more than 1 %% of orders and %llu took over %llu ns", rule->name, who,
             limit / 100, (unsigned long long)rule->bound_ns);
  } else {
    snprintf(text, sz, "breaker %.16s: %s: %llu %s, %llu allowed", rule->name, who, value, counted(rule->kind), limit);
  }
}

static void row_write(struct hwgw_pipeline *p, const struct hwgw_limits_breaker *rule, const struct hwgw_trip *trip) {
  struct hwgw_breaker_row *row = hwgw_segment_breaker(p->segment, trip->rule);
  row->ts_ns = hwgw_realtime_ns();
  row->value = trip->value;
  row->limit = rule->limit;
  row->index = trip->index;
  __atomic_store_n(&row->trips, row->trips + 1, __ATOMIC_RELEASE);
}

void pipeline_breaker_act(struct hwgw_pipeline *p) {
  struct hwgw_trip trip;
  while (hwgw_breaker_take(p->breaker, &trip)) {
    const struct hwgw_limits_breaker *rule = &p->breaker->rule[trip.rule];
    char text[160]; /* a record keeps what fits it */
    describe(p, rule, &trip, text, sizeof text);
    row_write(p, rule, &trip);
    switch (rule->action) {
      case HWGW_BREAKER_ACTION_HALT_GATEWAY:
        p->counters[HWGW_CNT_BREAKER_GATEWAY_HALTS]++;
        hwgw_halt(p->segment, HWGW_RISK_REASON_BREAKER, text);
        break;
      case HWGW_BREAKER_ACTION_HALT_INSTRUMENT:
        p->counters[HWGW_CNT_BREAKER_INSTRUMENT_HALTS]++;
        hwgw_halt_instrument(p->segment, trip.index, HWGW_RISK_REASON_BREAKER, text);
        break;
      default:
        p->counters[HWGW_CNT_BREAKER_WARNINGS]++;
        break;
    }
  }
}

/* a row per rule; one that is another rule now begins anew */
void pipeline_breaker_rules(struct hwgw_pipeline *p) {
  for (uint32_t i = 0; i < HWGW_BREAKER_RULES_MAX; i++) {
    const struct hwgw_limits_breaker *rule = &p->breaker->rule[i];
    struct hwgw_breaker_row *row = hwgw_segment_breaker(p->segment, i);
    if (memcmp(row->name, rule->name, sizeof row->name) != 0) *row = (struct hwgw_breaker_row){0};
    memcpy(row->name, rule->name, sizeof row->name);
    row->kind = rule->kind;
    row->action = rule->action;
    row->scope = rule->scope;
  }
}
