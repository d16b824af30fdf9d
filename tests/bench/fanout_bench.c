/* fanout_bench.c: what an event costs the pipeline that shares it, and how fast one reader takes them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fanout.h"
#include "hwgw_fanout.h"

void bench_fanout_put(const void *base, bool is_shared, uint64_t batches, uint64_t per, uint64_t *ticks);
uint64_t bench_fanout_read(const void *base, uint64_t cnt, uint64_t *ticks, uint64_t *hash);

static void ring_of(struct fanout *fanout, const void *base) {
  struct hwgw_fanout reader = {0};
  *fanout = (struct fanout){0};
  if (!hwgw_fanout_open(&reader, base, 0, false)) return;
  fanout->ring = (struct hwgw_fanout_ring *)(uintptr_t)reader.ring;
  fanout->slot = (struct hwgw_event *)(uintptr_t)reader.slot;
  fanout->mask = reader.slots - 1;
  fanout->cnt = reader.ring->cnt;
  fanout->claim = reader.ring->claim;
}

/* ticks of each batch of `per` events; with is_shared false into no ring, as without a section `fanout` */
void bench_fanout_put(const void *base, bool is_shared, uint64_t batches, uint64_t per, uint64_t *ticks) {
  struct fanout fanout = {0};
  if (is_shared) ring_of(&fanout, base);
  struct hwgw_event event = {.kind = HWGW_EVENT_KIND_ADD, .qty = 100, .px = 1000000};
  for (uint64_t batch = 0; batch < batches; batch++) {
    uint64_t from = hwgw_rdtsc();
    for (uint64_t i = 0; i < per; i++) {
      event.seq++;
      __asm__ volatile("" : "+m"(event), "+m"(fanout));
      fanout_put(&fanout, &event);
    }
    ticks[batch] = hwgw_rdtsc() - from;
  }
}

/* reads the last cnt events, 256 at a time; how many, and what they say */
uint64_t bench_fanout_read(const void *base, uint64_t cnt, uint64_t *ticks, uint64_t *hash) {
  struct hwgw_fanout reader;
  struct hwgw_event event[256];
  if (!hwgw_fanout_open(&reader, base, 0, false)) return 0;
  reader.next -= cnt < reader.next ? cnt : reader.next;
  uint64_t from = hwgw_rdtsc(), seen = 0;
  for (uint32_t got; (got = hwgw_fanout_read(&reader, event, 256)) != 0; seen += got)
    for (uint32_t i = 0; i < got; i++) *hash += event[i].seq;
  *ticks = hwgw_rdtsc() - from;
  return seen;
}
