/* journal.h: puts records into the journal's ring of one pipeline; the writer (journal_write.c) takes them to disk.
 *
 * SPDX-License-Identifier: MIT
 *
 * The ring lies in the shared segment, so what was put survives the death of the process that put it: the writer, or
 * whoever closes the journal later, takes it to disk. One thread puts, one takes. A record is contiguous: one that does not
 * fit before the end of the ring is preceded by fill. Cost of a put: two cache lines written and one store that others read.
 *
 * A put that finds no room changes nothing and returns false. The caller decides what that means; the data path lets no
 * order leave whose record is not in the ring.
 */
#ifndef HWGW_JOURNAL_H
#define HWGW_JOURNAL_H

#include "base.h"

struct hwgw_journal {
  struct hwgw_journal_ring *ring; /* NULL = no journal: every put succeeds and does nothing */
  uint8_t *data;
  uint64_t mask;
  uint64_t head;
  uint64_t limit; /* head may rise to here; what the writer has freed since is read when this is reached */
  uint64_t seq;
  uint8_t thread;
  bool
      is_broken; /* a record found no room: what is in the ring ends there, and stays a beginning of what was to be put */
};

/* journal.c */
void journal_init(struct hwgw_journal *journal, struct hwgw_segment *segment, uint32_t thread);
bool journal_put(struct hwgw_journal *journal, uint8_t type, uint16_t verdict, uint64_t ts_ns, const void *payload,
                 uint32_t len);

/* the same with a payload of two parts */
bool journal_put_two(struct hwgw_journal *journal, uint8_t type, uint16_t verdict, uint64_t ts_ns, const void *first,
                     uint32_t first_len, const void *second, uint32_t second_len);

/* bytes of the ring that are free */
static inline uint64_t journal_room(const struct hwgw_journal *journal) {
  uint64_t written = __atomic_load_n(&journal->ring->written, __ATOMIC_ACQUIRE);
  return written + journal->mask + 1 - journal->head;
}

/* For records that a recovery reads: behind one that found no room nothing is put any more, because a later one would
 * not make sense without it. */
static inline bool journal_keep_two(struct hwgw_journal *journal, uint8_t type, uint64_t ts_ns, const void *first,
                                    uint32_t first_len, const void *second, uint32_t second_len) {
  if (!journal->ring) return true;
  if (HWGW_UNLIKELY(journal->is_broken)) return false;
  journal->is_broken = !journal_put_two(journal, type, 0, ts_ns, first, first_len, second, second_len);
  return !journal->is_broken;
}

static inline bool journal_keep(struct hwgw_journal *journal, uint8_t type, uint16_t verdict, uint64_t ts_ns,
                                const void *payload, uint32_t len) {
  if (!journal->ring) return true;
  if (HWGW_UNLIKELY(journal->is_broken)) return false;
  journal->is_broken = !journal_put(journal, type, verdict, ts_ns, payload, len);
  return !journal->is_broken;
}

/* an event of the gate: an order with its verdict, or what venue, feed and control plane said */
static inline bool journal_gate(struct hwgw_journal *journal, const struct hwgw_order *event, uint32_t verdict) {
  return journal_keep(journal, HWGW_JOURNAL_RECORD_TYPE_GATE, (uint16_t)verdict, event->ts_ns, event, sizeof *event);
}

/* the parts of a table of limits that comes into force; none of a ring that they would fill to a quarter, nor behind a
 * part that found no room: a table that is not whole cannot be replayed, and that is all */
void journal_table(struct hwgw_journal *journal, const struct hwgw_limits *table, uint64_t ts_ns);

/* a walk over the records of proven blocks, oldest first */
struct journal_cursor {
  const struct hwgw_replay_part *part; /* of the record at hand, which journal_next has found */
  const struct hwgw_replay_part *end;
  uint64_t at;    /* in the part, behind it */
  uint32_t index; /* likewise, in records */
  struct hwgw_journal_record record;
  const uint8_t *payload;
};

static inline struct journal_cursor journal_from(const struct hwgw_replay_part *parts, uint32_t cnt) {
  return (struct journal_cursor){.part = parts, .end = parts + cnt};
}

/* the next record; false at the end, and before one that is behind the end of its block: then journal_is_cut */
bool journal_next(struct journal_cursor *cursor);

static inline bool journal_is_cut(const struct journal_cursor *cursor) {
  return cursor->part < cursor->end;
}

/* journal_block.c: appends a record to a block that has room for it, with its checksum */
void journal_block_put(struct hwgw_journal_block *block, const struct hwgw_journal_record *record, const void *payload);

/* bytes of a record in ring and file */
static inline uint64_t journal_record_sz(uint64_t len) {
  uint64_t align = HWGW_JOURNAL_RECORD_ALIGN_BYTES;
  return (sizeof(struct hwgw_journal_record) + len + align - 1) / align * align;
}

#endif
