/* fanout.h: puts what the books are given into the ring that other processes read (hwgw_fanout.h says how).
 *
 * SPDX-License-Identifier: MIT
 *
 * Cost of a put: one record of a cache line and one store that readers look at; nothing is asked of the readers. Before a
 * slot is written again its number is below claim - slots, so that a reader who copied it knows afterwards.
 * Thread: the pipeline's.
 */
#ifndef HWGW_FANOUT_PUT_H
#define HWGW_FANOUT_PUT_H

#include "base.h"

struct fanout {
  struct hwgw_fanout_ring *ring; /* NULL = none: a put does nothing */
  struct hwgw_event *slot;
  uint64_t mask;
  uint64_t cnt;
  uint64_t claim;
};

static inline void fanout_put(struct fanout *fanout, const struct hwgw_event *event) {
  if (!fanout->ring) return;
  if (HWGW_UNLIKELY(fanout->cnt == fanout->claim)) {
    fanout->claim += HWGW_SEGMENT_FANOUT_CLAIM;
    __atomic_store_n(&fanout->ring->claim, fanout->claim, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* the claim is seen before what it covers */
  }
  fanout->slot[fanout->cnt & fanout->mask] = *event;
  __atomic_store_n(&fanout->ring->cnt, ++fanout->cnt, __ATOMIC_RELEASE);
}

/* the ring of a pipeline, empty; a segment without rings gives one that does nothing */
void fanout_init(struct fanout *fanout, struct hwgw_segment *segment, uint32_t thread);

#endif
