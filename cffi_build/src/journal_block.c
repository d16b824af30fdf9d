/* journal_block.c: a block of the journal: records, and the seal that chains it to the one before.
 *
 * SPDX-License-Identifier: MIT
 *
 * Those who write blocks say where they go: the writer of a gateway (journal_write.c) to its files as the rings fill, a run
 * on a virtual clock (hwgw/journal/virtual.py) to those of its results.
 */
#include "blake2b.h"
#include "crc32c.h"
#include "journal.h"

void journal_block_put(struct hwgw_journal_block *block, const struct hwgw_journal_record *record,
                       const void *payload) {
  uint8_t *to = (uint8_t *)(block + 1) + block->len;
  uint64_t sz = journal_record_sz(record->len);
  struct hwgw_journal_record *head = (struct hwgw_journal_record *)to;
  *head = *record;
  head->crc32c = 0;
  memcpy(head + 1, payload, record->len);
  memset((uint8_t *)(head + 1) + record->len, 0, sz - sizeof *head - record->len);
  head->crc32c = crc32c(head, sizeof *head + record->len);
  block->len += (uint32_t)sz;
  block->record_cnt++;
  block->ts_ns = record->ts_ns;
}

uint64_t hwgw_journal_block_add(struct hwgw_journal_block *block, const uint8_t *records, uint64_t sz_bytes) {
  uint64_t at = 0;
  while (sz_bytes - at >= sizeof(struct hwgw_journal_record)) {
    struct hwgw_journal_record record;
    memcpy(&record, records + at, sizeof record);
    uint64_t sz = journal_record_sz(record.len);
    if (sz > sz_bytes - at || block->len + sz > HWGW_JOURNAL_BLOCK_MAX_BYTES) break;
    journal_block_put(block, &record, records + at + sizeof record);
    at += sz;
  }
  return at;
}

void hwgw_journal_block_seal(struct hwgw_journal_block *block, uint32_t kind, uint64_t seq, uint64_t ts_ns,
                             const uint8_t *before) {
  block->magic = HWGW_JOURNAL_MAGIC;
  block->version = HWGW_JOURNAL_VERSION;
  block->kind = kind;
  block->seq = seq;
  block->ts_ns = ts_ns;
  memcpy(block->before, before, sizeof block->before);
  memset(block->hash, 0, sizeof block->hash);
  struct blake2b hash;
  blake2b_init(&hash, HWGW_JOURNAL_HASH_SZ_BYTES);
  blake2b_update(&hash, block, sizeof *block + block->len);
  blake2b_final(&hash, block->hash);
}
