/* journal_bench.c: what one put into the journal's ring costs the data path, and puts as fast as the writer takes them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "base.h"

typedef bool (*put_fn)(struct hwgw_journal *journal, uint8_t type, uint16_t verdict, uint64_t ts_ns,
                       const void *payload, uint32_t len);

bool bench_journal_nothing(struct hwgw_journal *journal, uint8_t type, uint16_t verdict, uint64_t ts_ns,
                           const void *payload, uint32_t len);
uint64_t bench_journal(put_fn put, struct hwgw_journal *journal, uint64_t cnt, uint64_t gap_ticks, uint64_t *ticks);
uint64_t bench_journal_flood(put_fn put, struct hwgw_journal *journal, uint64_t cnt);

/* a ring that only looks at its payload: the cost of timing */
__attribute__((noinline)) bool bench_journal_nothing(struct hwgw_journal *journal, uint8_t type, uint16_t verdict,
                                                     uint64_t ts_ns, const void *payload, uint32_t len) {
  (void)journal;
  (void)type;
  (void)verdict;
  (void)ts_ns;
  return *(const volatile uint8_t *)payload != len;
}

/* cnt orders, one every gap_ticks, ticks of each put into ticks; returns how many found no room */
uint64_t bench_journal(put_fn put, struct hwgw_journal *journal, uint64_t cnt, uint64_t gap_ticks, uint64_t *ticks) {
  struct hwgw_order order = {.kind = HWGW_ORDER_KIND_NEW, .qty = 100, .px = 1000000};
  uint64_t full_cnt = 0, due = hwgw_rdtsc();
  for (uint64_t i = 0; i < cnt; i++) {
    due += gap_ticks;
    while (hwgw_rdtsc() < due) hwgw_pause();
    order.ref = (uint32_t)i + 1;
    uint64_t from = hwgw_rdtsc();
    full_cnt += !put(journal, HWGW_JOURNAL_RECORD_TYPE_GATE, 0, from, &order, sizeof order);
    ticks[i] = hwgw_rdtsc() - from;
  }
  return full_cnt;
}

/* cnt orders as fast as there is room; returns how often there was none */
uint64_t bench_journal_flood(put_fn put, struct hwgw_journal *journal, uint64_t cnt) {
  struct hwgw_order order = {.kind = HWGW_ORDER_KIND_NEW, .qty = 100, .px = 1000000};
  uint64_t full_cnt = 0;
  for (uint64_t i = 0; i < cnt; i++) {
    order.ref = (uint32_t)i + 1;
    while (!put(journal, HWGW_JOURNAL_RECORD_TYPE_GATE, 0, i, &order, sizeof order)) {
      full_cnt++;
      hwgw_pause();
    }
  }
  return full_cnt;
}
