/* fuzz_book.c: any events into books; after every one the structure holds, and at the end the books are those of a list.
 *
 * SPDX-License-Identifier: MIT
 *
 * An input byte chooses kind, instrument, side and price, another reference and shares: few of each, so that levels grow
 * long and close, ladders fill and empty, references come again, with another upper half, strided onto one line of the
 * index, or dense. fuzz_itch judges results and order; this one counts: every block is in one level or free, sums and
 * numbers of orders fit, prices are sorted and have room, each order is found by its reference and nothing else is.
 */
#include <stdio.h>
#include <stdlib.h>

#include "book.h"

#define INSTRUMENTS 2u
#define ORDERS_MAX 120u
#define LEVELS_MAX 40u
#define REFS 256u

static void expect(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz_book: %s\n", what);
  abort();
}

/* events wait, as they do in scan_books.c, so that a hint is older than the changes of those before it */
#define WAIT 5u

struct waiting {
  struct hwgw_event event;
  struct hwgw_book_hint hint;
  uint32_t number, number_new;
};

/* what the books should hold: shares left by instrument and number of the reference */
static uint32_t left[INSTRUMENTS][REFS];

/* checks one level and counts its orders; how many blocks it has */
static uint32_t level_check(const struct hwgw_books *books, uint32_t side, uint32_t number, uint32_t *orders,
                            bool *is_used) {
  const union hwgw_book_block *level = &books->block[number];
  expect(level->owner == (HWGW_BOOK_IS_LEVEL | side), "a level of another side");
  uint32_t blocks = 0, last = number, cnt = 0;
  uint64_t qty = 0;
  for (uint32_t block = number; block; last = block, block = books->block[block].next, blocks++) {
    expect(block <= books->block_used && !is_used[block], "a block in two places");
    is_used[block] = true;
    uint32_t from = block == number ? HWGW_BOOK_CELL_LEVEL : HWGW_BOOK_CELL_NEXT, alive = 0;
    if (block != number) {
      expect(books->block[block].owner == (number << 1 | (side & 1)), "a block of another level");
      expect(books->block[block].tail == last, "a block behind another one");
    }
    for (uint32_t i = from; i < HWGW_BOOK_CELLS; i++) {
      const struct hwgw_book_cell *cell = &books->block[block].cell[i];
      alive += cell->qty != 0;
      qty += cell->qty;
    }
    expect(block == number || alive, "a block without orders");
    cnt += alive;
  }
  expect((level->tail - 1) / HWGW_BOOK_CELLS == last, "the end of a level is not in its last block");
  expect(cnt && cnt == level->cnt && qty == level->qty, "the sums of a level");
  *orders += cnt;
  return blocks;
}

static void check(const struct hwgw_books *books) {
  static bool is_used[2 * ORDERS_MAX + 2];
  memset(is_used, 0, sizeof is_used);
  expect(books->block_used <= 2 * ORDERS_MAX, "more blocks than there can be");
  uint32_t orders = 0, blocks = 0, entries = 0;
  for (uint32_t side = 0; side < INSTRUMENTS * HWGW_BOOK_SIDES; side++) {
    uint32_t cnt = hwgw_book_level_cnt(books, side), before = 0;
    expect(cnt <= LEVELS_MAX, "more prices than are allowed");
    expect(!hwgw_book_has_far(&books->side[side]) || hwgw_book_near_cnt(&books->side[side]), "nothing before a ladder");
    expect(books->ladder[side].cnt <= books->ladder[side].cap, "more prices in a ladder than it has places");
    for (uint32_t n = 0; n < cnt; n++) {
      uint32_t number = hwgw_book_level_at(books, side, n), key = hwgw_book_key(side & 1, books->block[number].px);
      expect(n == 0 || key < before, "prices out of order");
      before = key;
      blocks += level_check(books, side, number, &orders, is_used);
    }
  }
  for (uint32_t block = books->block_free; block; block = books->block[block].next, blocks++) {
    expect(!is_used[block], "a free block in a level");
    is_used[block] = true;
  }
  expect(blocks == books->block_used, "a block nowhere");
  expect(orders == books->live, "another number of live orders");
  for (uint32_t i = 0; i <= books->bucket_mask; i++)
    for (uint32_t k = 0; k < HWGW_BOOK_BUCKET; k++) entries += books->bucket[i].number[k] != 0;
  expect(entries == books->live, "another number of index entries");
}

static uint64_t ref_of(uint32_t number, uint32_t pattern) {
  switch (pattern) {
    case 0:
      return 1 + number; /* dense */
    case 1:
      return (uint64_t)number << 14; /* strided */
    case 2:
      return (uint64_t)(number & 7) << 32 | number; /* several upper halves */
    default:
      return (number + UINT64_C(1)) * 0x9E3779B97F4A7C15u;
  }
}

/* what the list says of the event, and its change when it is good; prices are left to fuzz_itch */
static void follow(const struct hwgw_event *e, uint32_t number, uint32_t number_new, uint32_t outcome) {
  if (outcome == HWGW_CNT_BOOK_DROP_FULL) return;
  bool is_update = outcome == HWGW_CNT_BOOK_UPDATES;
  uint32_t *own = e->instrument < INSTRUMENTS ? &left[e->instrument][number] : NULL;
  if (!own) {
    expect(outcome == HWGW_CNT_BOOK_DROP_INSTRUMENT, "an instrument that is none");
  } else if (e->kind == HWGW_EVENT_KIND_ADD) {
    expect(is_update == (!*own && e->qty && e->side), "an add");
    if (is_update) *own = e->qty;
  } else if (e->kind == HWGW_EVENT_KIND_REPLACE) {
    expect(is_update == (*own && !left[e->instrument][number_new] && e->qty), "a replace");
    if (is_update) {
      *own = 0;
      left[e->instrument][number_new] = e->qty;
    }
  } else {
    uint32_t qty = e->kind == HWGW_EVENT_KIND_DELETE ? *own : e->qty;
    expect(is_update == (*own && qty && qty <= *own), "a take");
    if (is_update) *own -= qty;
  }
}

static void take(struct hwgw_books *books, struct waiting *waiting) {
  bool top_changed;
  uint32_t outcome = hwgw_book_apply(books, &waiting->event, waiting->hint, &top_changed);
  follow(&waiting->event, waiting->number, waiting->number_new, outcome);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct hwgw_books *books;
  if (!books) {
    struct hwgw_books_cfg cfg = {.instrument_cnt = INSTRUMENTS, .orders_max = ORDERS_MAX, .levels_max = LEVELS_MAX};
    struct hwgw_error error;
    expect(hwgw_books_open(&books, &cfg, &error) == HWGW_OK, "books do not open");
  }
  hwgw_books_clear(books);
  memset(left, 0, sizeof left);
  uint32_t pattern = size ? data[0] & 3 : 0, cnt = 0, done = 0;
  struct waiting waiting[WAIT];
  for (size_t at = 1; at + 4 <= size; at += 4) {
    const uint8_t *in = data + at;
    if (in[0] >= 0xF8) {
      uint32_t instrument = in[1] % (INSTRUMENTS + 1);
      hwgw_books_clear_instrument(books, instrument);
      if (instrument < INSTRUMENTS) memset(left[instrument], 0, sizeof left[0]);
    } else {
      static const uint8_t kinds[] = {1, 1, 1, 1, 5, 5, 6, 2, 3, 4};
      uint32_t number = in[1] % REFS, number_new = (in[1] ^ in[3]) % REFS;
      struct hwgw_event event = {.kind = kinds[in[0] % sizeof kinds],
                                 .side = (in[2] >> 7) + 1,
                                 .instrument = in[0] >= 0xF0 ? UINT32_MAX : in[0] >> 4 & 1,
                                 .ref = ref_of(number, pattern),
                                 .ref_new = ref_of(number_new, pattern),
                                 .qty = in[3] & 15,
                                 .px = in[2] & 63};
      struct hwgw_book_hint hint = hwgw_book_expect_order(books, &event, hwgw_book_expect(books, &event));
      if (in[3] & 128) hint.level = in[3] % (books->block_used + 1); /* of the level no hint need be right */
      if (event.instrument < INSTRUMENTS) hwgw_book_expect_rest(books, &event, hint);
      waiting[cnt++ % WAIT] = (struct waiting){event, hint, number, number_new};
    }
    if (cnt - done == WAIT) take(books, &waiting[done++ % WAIT]);
    check(books);
  }
  for (; done < cnt; done++) take(books, &waiting[done % WAIT]);
  check(books);
  for (uint32_t instrument = 0; instrument < INSTRUMENTS; instrument++) {
    for (uint32_t number = 0; number < REFS; number++) {
      struct hwgw_event event = {
          .kind = HWGW_EVENT_KIND_DELETE, .instrument = instrument, .ref = ref_of(number, pattern)};
      bool top_changed;
      uint32_t outcome = hwgw_books_apply(books, &event, &top_changed);
      expect((outcome == HWGW_CNT_BOOK_UPDATES) == (left[instrument][number] != 0), "an order not where it should be");
    }
  }
  expect(books->live == 0, "an order nobody added");
  check(books);
  return 0;
}
