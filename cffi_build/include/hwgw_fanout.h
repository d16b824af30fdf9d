/* hwgw_fanout.h: reads the events that a gateway shares with other processes of its host.
 *
 * SPDX-License-Identifier: MIT
 *
 * A pipeline puts what its books were given, in that order, into a ring of the shared segment: messages of the venue as
 * normalised records (struct hwgw_event, hwgw/specs/event.yaml), what snapshots brought, books that were emptied and
 * instruments that became good or not. Whoever applies the records to books of its own has the gateway's books.
 *
 * Any number of readers; none is known to the writer, holds it up or is waited for. A reader that is slower than the feed
 * is overtaken, and told how many records it missed.
 *
 * Needs this file, hwgw_records.h and a mapping of /dev/shm/hwgw-NAME (read-only is enough), no library:
 *
 *   struct hwgw_fanout fanout;
 *   if (!hwgw_fanout_open(&fanout, mapping, 0, false)) ...no fan-out ring...
 *   for (;;) { uint32_t cnt = hwgw_fanout_read(&fanout, events, 256); ... }
 */
#ifndef HWGW_FANOUT_H
#define HWGW_FANOUT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "hwgw_records.h"

/* hwgw cdef begin */

struct hwgw_fanout {
  const struct hwgw_fanout_ring *ring;
  const struct hwgw_event *slot;
  uint64_t slots;  /* records that fit, a power of two */
  uint64_t next;   /* number of the record that comes next, from 0 */
  uint64_t missed; /* records that were overwritten before they could be read */
};

/* base: a mapping of a gateway's segment, which must outlast the reader. thread: of which pipeline. is_oldest: begin with
 * the oldest record that is still there, else with the next one. False when the segment has no such ring */
static inline bool hwgw_fanout_open(struct hwgw_fanout *fanout, const void *base, uint32_t thread, bool is_oldest);
/* copies at most max records that were put since; how many. What was missed before them is added to missed. Never blocks */
static inline uint32_t hwgw_fanout_read(struct hwgw_fanout *fanout, struct hwgw_event *out, uint32_t max);

/* hwgw cdef end */

/* the oldest record that is whole while the writer may be at those below claim */
static inline uint64_t hwgw_fanout_oldest(const struct hwgw_fanout *fanout) {
  uint64_t claim = __atomic_load_n(&fanout->ring->claim, __ATOMIC_RELAXED);
  return claim > fanout->slots ? claim - fanout->slots : 0;
}

static inline bool hwgw_fanout_open(struct hwgw_fanout *fanout, const void *base, uint32_t thread, bool is_oldest) {
  const struct hwgw_segment_header *head = (const struct hwgw_segment_header *)base;
  uint64_t sz = (uint64_t)head->fanout_kib << 10, journal_sz = (uint64_t)head->journal_kib << 10;
  if (!sz || thread >= head->thread_cnt) return false;
  uint64_t behind = journal_sz ? head->thread_cnt * (sizeof(struct hwgw_journal_ring) + journal_sz) : 0;
  uint64_t at = head->sz_bytes - behind - (head->thread_cnt - thread) * (sizeof(struct hwgw_fanout_ring) + sz);
  fanout->ring = (const struct hwgw_fanout_ring *)((const uint8_t *)base + at);
  fanout->slot = (const struct hwgw_event *)(fanout->ring + 1);
  fanout->slots = sz / sizeof(struct hwgw_event);
  fanout->missed = 0;
  fanout->next = is_oldest ? hwgw_fanout_oldest(fanout) : __atomic_load_n(&fanout->ring->cnt, __ATOMIC_ACQUIRE);
  return true;
}

static inline uint32_t hwgw_fanout_read(struct hwgw_fanout *fanout, struct hwgw_event *out, uint32_t max) {
  uint64_t end = __atomic_load_n(&fanout->ring->cnt, __ATOMIC_ACQUIRE), oldest = hwgw_fanout_oldest(fanout);
  if (fanout->next < oldest) {
    fanout->missed += oldest - fanout->next;
    fanout->next = oldest;
  }
  if (fanout->next >= end) return 0;
  uint64_t cnt = end - fanout->next < max ? end - fanout->next : max;
  for (uint64_t i = 0; i < cnt; i++) out[i] = fanout->slot[(fanout->next + i) & (fanout->slots - 1)];
  /* what the writer has claimed meanwhile may have been torn: it is not given out */
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  oldest = hwgw_fanout_oldest(fanout);
  uint64_t torn = oldest > fanout->next ? oldest - fanout->next : 0;
  if (torn > cnt) torn = cnt;
  if (torn) memmove(out, out + torn, (cnt - torn) * sizeof *out);
  fanout->missed += torn;
  fanout->next += cnt;
  return (uint32_t)(cnt - torn);
}

#endif
