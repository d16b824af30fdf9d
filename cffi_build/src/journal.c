/* journal.c: the pipeline's side of the journal, and the walk over records that were read back.
 *
 * SPDX-License-Identifier: MIT
 */
#include "journal.h"

#include <stdlib.h>

#include "crc32c.h"
#include "segment.h"

void journal_init(struct hwgw_journal *journal, struct hwgw_segment *segment, uint32_t thread) {
  struct hwgw_journal_ring *ring = hwgw_segment_journal(segment, thread);
  *journal = (struct hwgw_journal){.ring = ring, .thread = (uint8_t)thread};
  if (!ring) return;
  journal->data = (uint8_t *)(ring + 1);
  journal->mask = ring->sz_bytes - 1;
  journal->head = ring->head;
  journal->seq = ring->records;
  journal->limit = __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE) + ring->sz_bytes;
}

/* room for a record of len bytes of payload with its header filled in, or NULL; ends with publish */
static inline uint8_t *claim(struct hwgw_journal *journal, uint8_t type, uint16_t verdict, uint64_t ts_ns,
                             uint32_t len) {
  struct hwgw_journal_ring *ring = journal->ring;
  uint64_t sz = journal_record_sz(len);
  uint64_t at = journal->head & journal->mask;
  uint64_t to_end = journal->mask + 1 - at;
  uint64_t fill = sz > to_end ? to_end : 0;
  if (HWGW_UNLIKELY(journal->head + fill + sz > journal->limit)) {
    journal->limit = __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE) + journal->mask + 1;
    if (journal->head + fill + sz > journal->limit) return NULL;
  }
  if (HWGW_UNLIKELY(fill)) { /* at least a record's header long: both are multiples of the alignment */
    *(struct hwgw_journal_record *)(journal->data + at) = (struct hwgw_journal_record){
        .len = (uint32_t)(fill - sizeof(struct hwgw_journal_record)), .type = HWGW_JOURNAL_RECORD_TYPE_FILL};
    journal->head += fill;
    at = 0;
  }
  uint8_t *to = journal->data + at;
  *(struct hwgw_journal_record *)to = (struct hwgw_journal_record){
      .len = len, .type = type, .thread = journal->thread, .verdict = verdict, .seq = ++journal->seq, .ts_ns = ts_ns};
  return to + sizeof(struct hwgw_journal_record);
}

/* fills the record up and lets the writer see it */
static inline void publish(struct hwgw_journal *journal, uint8_t *body, uint32_t len) {
  uint64_t sz = journal_record_sz(len);
  uint64_t rest = sz - sizeof(struct hwgw_journal_record) - len;
  if (rest) memset(body + len, 0, rest);
  journal->head += sz;
  journal->ring->records = journal->seq;
  __atomic_store_n(&journal->ring->head, journal->head, __ATOMIC_RELEASE);
}

bool journal_put(struct hwgw_journal *journal, uint8_t type, uint16_t verdict, uint64_t ts_ns, const void *payload,
                 uint32_t len) {
  if (!journal->ring) return true;
  uint8_t *body = claim(journal, type, verdict, ts_ns, len);
  if (!body) return false;
  memcpy(body, payload, len);
  publish(journal, body, len);
  return true;
}

bool journal_put_two(struct hwgw_journal *journal, uint8_t type, uint16_t verdict, uint64_t ts_ns, const void *first,
                     uint32_t first_len, const void *second, uint32_t second_len) {
  if (!journal->ring) return true;
  uint8_t *body = claim(journal, type, verdict, ts_ns, first_len + second_len);
  if (!body) return false;
  memcpy(body, first, first_len);
  memcpy(body + first_len, second, second_len);
  publish(journal, body, first_len + second_len);
  return true;
}

static bool is_zero(const uint8_t *data, size_t len) {
  return !data[0] && memcmp(data, data + 1, len - 1) == 0;
}

void journal_table(struct hwgw_journal *journal, const struct hwgw_limits *table, uint64_t ts_ns) {
  if (!journal->ring || !table || journal->is_broken || sizeof *table > journal->ring->sz_bytes / 4) return;
  const uint8_t *data = (const uint8_t *)table;
  for (uint32_t at = 0; at < sizeof *table; at += HWGW_JOURNAL_TABLE_PART_BYTES) {
    uint32_t left = (uint32_t)sizeof *table - at;
    struct hwgw_journal_table part = {.generation = table->generation, .offset = at};
    part.len = left < HWGW_JOURNAL_TABLE_PART_BYTES ? left : HWGW_JOURNAL_TABLE_PART_BYTES;
    if (is_zero(data + at, part.len)) continue;
    if (!journal_put_two(journal, HWGW_JOURNAL_RECORD_TYPE_TABLE, 0, ts_ns, &part, sizeof part, data + at, part.len))
      return;
  }
}

bool journal_next(struct journal_cursor *c) {
  while (c->part < c->end && c->index == c->part->record_cnt) {
    c->part++;
    c->at = 0;
    c->index = 0;
  }
  if (c->part == c->end || c->part->len - c->at < sizeof c->record) return false;
  const uint8_t *from = (const uint8_t *)c->part->data + c->at;
  memcpy(&c->record, from, sizeof c->record);
  uint64_t sz = journal_record_sz(c->record.len);
  if (sz > c->part->len - c->at) return false;
  c->payload = from + sizeof c->record;
  c->at += sz;
  c->index++;
  return true;
}

struct hwgw_journal *hwgw_journal_open(struct hwgw_segment *segment, uint32_t thread) {
  struct hwgw_journal *journal = calloc(1, sizeof *journal);
  if (journal) journal_init(journal, segment, thread);
  return journal;
}

bool hwgw_journal_put(struct hwgw_journal *journal, uint8_t type, uint16_t verdict, uint64_t ts_ns, const void *payload,
                      uint32_t len) {
  return journal_put(journal, type, verdict, ts_ns, payload, len);
}

void hwgw_journal_close(struct hwgw_journal *journal) {
  free(journal);
}

uint32_t hwgw_crc32c(const void *data, uint64_t len) {
  return crc32c(data, len);
}
