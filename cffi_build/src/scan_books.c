/* scan_books.c: many messages in a row through decoder and books; how files are read.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: messages in a buffer. Output: the changed books, counters, totals. A message is decoded 24 messages before it is
 * applied; on the way the memory it will need is asked for in three steps, see book.h. Thread: the owner of the books.
 */
#include "book.h"
#include "hwgw_scan.h"
#include "instruments.h"
#include "itch.h"

#define STEP 8u             /* messages from one step to the next: half a microsecond or so */
#define RING_SZ (4u * STEP) /* messages that wait: three steps, and a power of two */

/* a message that waits for its turn, and what the books were asked for on its behalf */
struct waiting {
  struct hwgw_event event;
  struct hwgw_book_hint hint;
};

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

/* what a row will show: the best levels of both sides; one step later, as far as they are known */
static inline void expect_sides(const struct hwgw_books *books, const struct hwgw_event *event) {
  hwgw_prefetch(&books->side[event->instrument << 1]);
  hwgw_prefetch(&books->side[event->instrument << 1 | 1]);
}

static inline void expect_best(const struct hwgw_books *books, const struct hwgw_event *event) {
  const struct hwgw_book_side *side = &books->side[event->instrument * HWGW_BOOK_SIDES];
  hwgw_prefetch(&books->block[side[0].level[0]]);
  hwgw_prefetch(&books->block[side[1].level[0]]);
}

/* what all messages of a call go into */
struct sink {
  struct hwgw_books *books;
  uint64_t *counters;
  struct hwgw_scan_totals *totals;
  uint32_t depth; /* of rows; 0: none */
  uint8_t *row;   /* the next one */
};

/* applies one message */
static inline __attribute__((always_inline)) void sink_take(struct sink *sink, struct hwgw_event *event,
                                                            struct hwgw_book_hint hint) {
  uint8_t before[sizeof(struct hwgw_scan_row) + HWGW_SCAN_DEPTH_MAX * 24] __attribute__((aligned(8)));
  const uint32_t depth = sink->depth, row_sz = hwgw_scan_row_sz_bytes(depth);
  bool top_changed;
  if (depth > 1 && event->instrument < sink->books->instrument_cnt) row_write(sink->books, event, depth, before);
  sink->totals->types[event->code]++;
  uint32_t outcome = hwgw_book_apply(sink->books, event, hint, &top_changed);
  sink->counters[outcome]++;
  sink->counters[HWGW_CNT_BOOK_TOP_CHANGES] += top_changed;
  if (depth == 1 && top_changed) {
    row_write(sink->books, event, depth, sink->row);
    sink->row += row_sz;
  }
  if (depth > 1 && outcome == HWGW_CNT_BOOK_UPDATES) {
    row_write(sink->books, event, depth, sink->row);
    if (row_differs(sink->row, before, row_sz)) sink->row += row_sz;
  }
}

/* one step for each of the messages that wait: number `at` was decoded now, of `made` so far */
static inline __attribute__((always_inline)) void ring_step(struct waiting *ring, uint32_t at, uint32_t made,
                                                            struct sink *sink) {
  const struct hwgw_books *books = sink->books;
  uint32_t second = at - STEP, third = second - STEP, last = third - STEP; /* none before 0: more than made */
  if (HWGW_LIKELY(second < made)) {
    struct waiting *waiting = &ring[second % RING_SZ];
    waiting->hint = hwgw_book_expect_order(books, &waiting->event, waiting->hint);
    if (sink->depth) expect_sides(books, &waiting->event);
  }
  if (HWGW_LIKELY(third < made)) {
    const struct waiting *waiting = &ring[third % RING_SZ];
    if (HWGW_LIKELY(waiting->event.instrument < books->instrument_cnt)) {
      hwgw_book_expect_rest(books, &waiting->event, waiting->hint);
      if (sink->depth) expect_best(books, &waiting->event);
    }
  }
  if (HWGW_LIKELY(last < made)) sink_take(sink, &ring[last % RING_SZ].event, ring[last % RING_SZ].hint);
}

/* Applies messages; with depth, writes rows. Inlined into one function for each depth that matters: 0, 1, any. */
static inline __attribute__((always_inline)) uint32_t
apply(const uint8_t *data, const struct hwgw_scan_message *messages, uint32_t cnt, struct hwgw_instruments *instruments,
      struct hwgw_books *books, uint64_t *counters, struct hwgw_scan_totals *totals, uint32_t depth, uint8_t *rows) {
  struct waiting ring[RING_SZ];
  struct sink sink = {.books = books, .counters = counters, .totals = totals, .depth = depth, .row = rows};
  uint32_t made = 0;
  for (uint32_t i = 0; i < cnt; i++) {
    const uint8_t *message = data + messages[i].offset;
    struct hwgw_event *event = &ring[made % RING_SZ].event;
    uint32_t cause = hwgw_itch_event(message, messages[i].len, event);
    if (HWGW_UNLIKELY(cause)) {
      counters[cause]++;
      continue;
    }
    event->seq = messages[i].seq;
    event->channel = messages[i].channel;
    hwgw_instruments_find(instruments, message, messages[i].len, event);
    if (HWGW_UNLIKELY(!(made | counters[HWGW_CNT_ITCH_MESSAGES]))) totals->first_ts_ns = event->ts_ns;
    ring[made % RING_SZ].hint = hwgw_book_expect(books, event);
    made++;
    ring_step(ring, made - 1, made, &sink);
  }
  if (made) totals->last_ts_ns = ring[(made - 1) % RING_SZ].event.ts_ns;
  for (uint32_t at = made; at < made + 3 * STEP; at++) ring_step(ring, at, made, &sink);
  counters[HWGW_CNT_ITCH_MESSAGES] += made;
  return (uint32_t)((size_t)(sink.row - rows) / hwgw_scan_row_sz_bytes(depth));
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
