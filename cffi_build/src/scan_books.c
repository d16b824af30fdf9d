/* scan_books.c: many messages in a row through decoder and books; how files are read.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: messages in a buffer. Output: the changed books, counters, totals. The messages go through in groups: all of a
 * group are decoded, and what their first look-ups need is asked for, before the first of them is applied; see book.h.
 * Thread: the owner of the books.
 */
#include "book.h"
#include "hwgw_scan.h"
#include "instruments.h"
#include "itch.h"

#define AHEAD 64 /* messages decoded before the first of them is applied: their memory is on its way meanwhile */

/* messages that wait for their turn, and what the books were asked for on their behalf */
struct ahead {
  struct hwgw_event event[AHEAD];
  uint32_t cnt;
  uint32_t add_cnt;
  uint32_t take_cnt;
  uint32_t add[AHEAD];  /* which of the events are adds */
  uint32_t take[AHEAD]; /* which name an order: the others that touch a book */
  uint32_t hint[AHEAD]; /* of hwgw_book_apply */
};

/* decodes up to AHEAD messages and asks for what they need first */
static void ahead_decode(struct ahead *ahead, const uint8_t *data, const struct hwgw_scan_message *messages,
                         uint32_t cnt, struct hwgw_instruments *instruments, const struct hwgw_books *books,
                         uint64_t *counters) {
  uint32_t made = 0, add_cnt = 0, take_cnt = 0;
  for (uint32_t i = 0; i < cnt; i++) {
    const uint8_t *message = data + messages[i].offset;
    uint32_t len = messages[i].len;
    struct hwgw_event *event = &ahead->event[made];
    uint32_t cause = hwgw_itch_event(message, len, event);
    if (HWGW_UNLIKELY(cause)) {
      counters[cause]++;
      continue;
    }
    event->seq = messages[i].seq;
    event->channel = messages[i].channel;
    hwgw_instruments_find(instruments, message, len, event);
    hwgw_book_expect_ref(books, event->ref);
    uint32_t is_known = event->instrument < books->instrument_cnt;
    uint32_t rank = (uint32_t)event->kind - HWGW_EVENT_KIND_ADD; /* add, then what names an order */
    ahead->add[add_cnt] = ahead->take[take_cnt] = made;
    add_cnt += is_known & (rank == 0);
    take_cnt += is_known & (rank - 1 <= HWGW_EVENT_KIND_REPLACE - HWGW_EVENT_KIND_EXECUTE);
    made++;
  }
  ahead->cnt = made;
  ahead->add_cnt = add_cnt;
  ahead->take_cnt = take_cnt;
}

/* the steps of book.h, adds and others apart: which of both a message is cannot be predicted */
static void ahead_expect(struct ahead *ahead, const struct hwgw_books *books) {
  const uint32_t add_cnt = ahead->add_cnt, take_cnt = ahead->take_cnt;
  for (uint32_t i = 0; i < add_cnt; i++) {
    const struct hwgw_event *event = &ahead->event[ahead->add[i]];
    hwgw_book_expect_side(books, event->instrument << 1 | (event->side == HWGW_EVENT_SIDE_SELL));
  }
  for (uint32_t i = 0; i < take_cnt; i++) {
    uint32_t number = ahead->take[i];
    ahead->hint[number] = hwgw_book_expect_order(books, ahead->event[number].ref);
  }
  for (uint32_t i = 0; i < add_cnt; i++) {
    uint32_t number = ahead->add[i];
    const struct hwgw_event *event = &ahead->event[number];
    uint32_t side = event->instrument << 1 | (event->side == HWGW_EVENT_SIDE_SELL);
    ahead->hint[number] = hwgw_book_expect_level(books, side, event->px);
  }
  for (uint32_t i = 0; i < take_cnt; i++) {
    uint32_t number = ahead->take[i];
    hwgw_book_expect_rest(books, ahead->hint[number], ahead->event[number].instrument);
    /* an execution's is its match number, which hurts nobody */
    hwgw_book_expect_ref(books, ahead->event[number].ref_new);
  }
  for (uint32_t i = 0; i < add_cnt; i++) hwgw_book_expect_tail(books, ahead->hint[ahead->add[i]]);
}

/* ---- rows ---- */

/* what of the best levels a row shows; see struct hwgw_scan_row */
static void row_write(const struct hwgw_books *books, const struct hwgw_event *event, uint32_t depth, uint8_t *row) {
  *(struct hwgw_scan_row *)row = (struct hwgw_scan_row){
      .seq = event->seq, .ts_ns = event->ts_ns, .instrument = event->instrument, .channel = event->channel};
  uint64_t *qty = (uint64_t *)(row + sizeof(struct hwgw_scan_row));
  uint32_t *px = (uint32_t *)(qty + HWGW_BOOK_SIDES * depth);
  for (uint32_t side_idx = 0; side_idx < HWGW_BOOK_SIDES; side_idx++) {
    uint32_t side = event->instrument * HWGW_BOOK_SIDES + side_idx;
    uint32_t cnt = depth == 1 ? hwgw_book_near_cnt(&books->side[side]) : hwgw_book_level_cnt(books, side);
    for (uint32_t n = 0; n < depth; n++) { /* block 0 is all 0 */
      const union hwgw_book_block *level = &books->block[n < cnt ? hwgw_book_level_at(books, side, n) : 0];
      qty[side_idx * depth + n] = level->qty;
      px[side_idx * depth + n] = level->px;
    }
  }
}

/* do the levels of two rows of one instrument differ? */
static bool row_differs(const uint8_t *row, const uint8_t *before, uint32_t sz) {
  const size_t levels = sizeof(struct hwgw_scan_row);
  return memcmp(row + levels, before + levels, sz - levels) != 0;
}

uint32_t hwgw_scan_row_sz_bytes(uint32_t depth) {
  return (uint32_t)sizeof(struct hwgw_scan_row) +
         HWGW_BOOK_SIDES * depth * (uint32_t)(sizeof(uint64_t) + sizeof(uint32_t));
}

/* the best levels that a row will show: those of both sides, as far as they are known */
static void ahead_expect_best(const struct ahead *ahead, const struct hwgw_books *books) {
  for (uint32_t i = 0; i < ahead->cnt; i++) {
    uint32_t instrument = ahead->event[i].instrument;
    if (HWGW_UNLIKELY(instrument >= books->instrument_cnt)) continue;
    const struct hwgw_book_side *side = &books->side[instrument * HWGW_BOOK_SIDES];
    __builtin_prefetch(&books->block[side[0].level[0]]);
    __builtin_prefetch(&books->block[side[1].level[0]]);
  }
}

/* Applies messages; with depth, writes rows. Inlined into one function for each depth that matters: 0, 1, any. */
static inline __attribute__((always_inline)) uint32_t
apply(const uint8_t *data, const struct hwgw_scan_message *messages, uint32_t cnt, struct hwgw_instruments *instruments,
      struct hwgw_books *books, uint64_t *counters, struct hwgw_scan_totals *totals, uint32_t depth, uint8_t *rows) {
  struct ahead ahead;
  memset(&ahead, 0, sizeof ahead);
  uint8_t *row = rows;
  uint32_t row_sz = hwgw_scan_row_sz_bytes(depth);
  for (uint32_t at = 0; at < cnt; at += AHEAD) {
    ahead_decode(&ahead, data, messages + at, cnt - at < AHEAD ? cnt - at : AHEAD, instruments, books, counters);
    ahead_expect(&ahead, books);
    if (depth) ahead_expect_best(&ahead, books);
    uint32_t made = ahead.cnt;
    uint64_t top_changes = 0;
    if (made && !counters[HWGW_CNT_ITCH_MESSAGES]) totals->first_ts_ns = ahead.event[0].ts_ns;
    for (uint32_t i = 0; i < made; i++) {
      struct hwgw_event *event = &ahead.event[i];
      uint8_t before[sizeof(struct hwgw_scan_row) + HWGW_SCAN_DEPTH_MAX * 24] __attribute__((aligned(8)));
      bool top_changed, is_known = event->instrument < books->instrument_cnt;
      if (depth > 1 && is_known) row_write(books, event, depth, before);
      totals->types[event->code]++;
      uint32_t outcome = hwgw_book_apply(books, event, ahead.hint[i], &top_changed);
      counters[outcome]++;
      top_changes += top_changed;
      if (depth == 1 && top_changed) {
        row_write(books, event, 1, row);
        row += row_sz;
      }
      if (depth > 1 && outcome == HWGW_CNT_BOOK_UPDATES) {
        row_write(books, event, depth, row);
        if (row_differs(row, before, row_sz)) row += row_sz;
      }
    }
    counters[HWGW_CNT_BOOK_TOP_CHANGES] += top_changes;
    if (made) totals->last_ts_ns = ahead.event[made - 1].ts_ns;
    counters[HWGW_CNT_ITCH_MESSAGES] += made;
  }
  return (uint32_t)((size_t)(row - rows) / row_sz);
}

void hwgw_scan_apply(const uint8_t *data, const struct hwgw_scan_message *messages, uint32_t cnt,
                     struct hwgw_instruments *instruments, struct hwgw_books *books, uint64_t *counters,
                     struct hwgw_scan_totals *totals) {
  apply(data, messages, cnt, instruments, books, counters, totals, 0, NULL);
}

uint32_t hwgw_scan_rows(const uint8_t *data, const struct hwgw_scan_message *messages, uint32_t cnt,
                        struct hwgw_instruments *instruments, struct hwgw_books *books, uint64_t *counters,
                        struct hwgw_scan_totals *totals, uint32_t depth, uint8_t *rows) {
  if (depth == 0 || depth > HWGW_SCAN_DEPTH_MAX) return 0;
  if (depth == 1) return apply(data, messages, cnt, instruments, books, counters, totals, 1, rows);
  return apply(data, messages, cnt, instruments, books, counters, totals, depth, rows);
}
