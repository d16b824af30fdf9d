/* book.h: how the books lie in memory; shared by book.c (what changes them), book_ladder.c (prices far from the best),
 * book_open.c (life) and book_view.c (what reads them).
 *
 * SPDX-License-Identifier: MIT
 *
 * Everything is made of cache lines, and a message should touch few of them; nothing is allocated after open.
 *
 *   side    one line per side of an instrument: its 7 best prices in order with the numbers of their levels, how many
 *           there are, a count of updates
 *   ladder  what is worse than those 7: one word per price, worst first, in memory of its own from one slab per power
 *           of two. The worst 3 of a full line move there; 4 come back when the line is empty
 *   block   one line of 8 cells. The first block of a level has its sums in 4 cells and its first 4 orders in the
 *           others; 6 orders fit into each block chained behind. An order is a cell: 32 bits of reference, 32 of
 *           shares; its number, cell and block in one, never changes while it lives. New orders go behind the last one,
 *           a removed one leaves an empty cell: the order of cells is the time priority, and nobody's neighbour is
 *           touched. A block that is empty is given back, so none is held without an order in it
 *   bucket  one line of the index from reference to order: 7 pairs of check word and number. Two neighbouring
 *           references share a line, and dense ones fill line after line like an array, evenly in each round; bits above
 *           the table's size are mixed in, so that sparse or strided ones spread as well. An entry that finds its line full goes to the next
 *           one, and every line it passed counts it
 *   guess   one line per instrument and 1,024 prices, as far as there are lines: 16 numbers of levels, each the one that
 *           was opened last at a price that falls on its place. A level is believed only when it says itself that it is
 *           the one meant; else line and ladder are searched. So an order at a price that is there, near or far, costs
 *           one line to find its level, whose number is known before the line of the side has come
 *
 * Number 0 means none for blocks and cells, so fresh pages are a valid empty state. The upper half of a reference is the
 * block's: an order with another one opens a block. Memory is touched in the order of first use: what is resident
 * follows the highest number of live levels and orders, not the configured bound (the index excepted), unless
 * hwgw_books_cfg.huge_pages asks for it at open.
 */
#ifndef HWGW_BOOK_H
#define HWGW_BOOK_H

#include <immintrin.h>

#include "base.h"

#define HWGW_BOOK_SIDES 2u
#define HWGW_BOOK_INSTRUMENTS_MAX 65536u
#define HWGW_BOOK_ORDERS_MAX (1u << 26)
#define HWGW_BOOK_NEAR 7u       /* prices in the line of a side */
#define HWGW_BOOK_NEAR_OUT 3u   /* of them go to the ladder when an eighth comes */
#define HWGW_BOOK_NEAR_IN 4u    /* come back when none is left */
#define HWGW_BOOK_LADDER_MIN 8u /* prices in the smallest ladder: one line */
#define HWGW_BOOK_LADDER_CLASSES 26
#define HWGW_BOOK_CELLS 8u       /* per block */
#define HWGW_BOOK_CELL_LEVEL 4u  /* first cell with an order: of a level's first block */
#define HWGW_BOOK_CELL_NEXT 2u   /* of the others */
#define HWGW_BOOK_BUCKET 7u      /* entries */
#define HWGW_BOOK_BUCKET_REFS 2u /* neighbouring references of one bucket */
#define HWGW_BOOK_BUCKET_WORDS 16u
#define HWGW_BOOK_BUCKET_NUMBER 8u /* word of the first number */
#define HWGW_BOOK_GUESSES 16u      /* per line */
#define HWGW_BOOK_GUESS_SHIFT 10   /* prices of one line */

/* the word that says what a block is: a level's first one has the flag and its side's number (instrument x 2 + side),
 * the others twice the number of the first block + side */
#define HWGW_BOOK_IS_LEVEL (1u << 31)

#define HWGW_BOOK_STATE_NEAR 7u           /* prices in the line of the side */
#define HWGW_BOOK_STATE_FAR (1u << 8)     /* there are more in the ladder */
#define HWGW_BOOK_STATE_UPDATE (1u << 16) /* one update; the count has the upper 48 bits */

struct hwgw_book_side {
  uint64_t state;
  int32_t key[HWGW_BOOK_NEAR]; /* best first; behind the last one anything */
  uint32_t level[HWGW_BOOK_NEAR];
} __attribute__((aligned(HWGW_CACHE_LINE)));

struct hwgw_book_cell {
  uint32_t ref; /* lower half */
  uint32_t qty; /* shares left; 0: no order */
};

union hwgw_book_block {
  struct {
    uint32_t owner; /* HWGW_BOOK_IS_LEVEL and so on */
    uint32_t ref_high;
    uint32_t next; /* block; of a free one: next free one */
    uint32_t tail; /* of a level's first block: number of the cell behind the last order; else the block before */
    /* of a level's first block */
    uint64_t qty;
    uint32_t px;
    uint32_t cnt;
  };
  struct hwgw_book_cell cell[HWGW_BOOK_CELLS];
} __attribute__((aligned(HWGW_CACHE_LINE)));

struct hwgw_book_bucket {
  uint32_t check[HWGW_BOOK_BUCKET];
  uint32_t passed;                   /* entries that live further on because this bucket was full */
  uint32_t number[HWGW_BOOK_BUCKET]; /* of the order's cell, 0 = free */
  uint32_t nobody;                   /* 0: the number where there is no entry */
} __attribute__((aligned(HWGW_CACHE_LINE)));

struct hwgw_book_ladder {
  uint64_t *word; /* cap words: price key << 32 | level. NULL while the side never needed one */
  uint32_t cnt;
  uint32_t cap;
};

struct hwgw_book_trade {
  uint32_t px;
  uint32_t qty;
};

/* ladders of one size */
struct hwgw_book_slab {
  uint64_t *base;
  uint32_t cap; /* prices per ladder */
  uint32_t max; /* ladders reserved */
  uint32_t used;
  uint32_t free; /* number + 1 of the first free ladder, whose first word holds the next such */
};

struct hwgw_books {
  union {
    struct hwgw_book_bucket *bucket;
    uint32_t *word; /* of the buckets */
  };
  union hwgw_book_block *block;
  struct hwgw_book_side *side; /* two per instrument: buy, sell */
  uint32_t *guess;             /* levels */
  uint32_t guess_mask;
  uint32_t bucket_mask;
  uint32_t bucket_bits;
  uint32_t block_free;
  uint32_t block_used;
  uint32_t live;
  uint32_t orders_max;
  uint32_t side_levels_max;
  uint32_t instrument_cnt;
  struct hwgw_book_trade *trade;   /* last one, per instrument */
  struct hwgw_book_ladder *ladder; /* per side */
  struct hwgw_book_slab slab[HWGW_BOOK_LADDER_CLASSES];
  uint32_t slab_cnt;
  void *map; /* everything above lies in one mapping */
  size_t map_sz;
};

_Static_assert(sizeof(struct hwgw_book_side) == HWGW_CACHE_LINE, "side in one line");
_Static_assert(sizeof(union hwgw_book_block) == HWGW_CACHE_LINE, "block in one line");
_Static_assert(sizeof(struct hwgw_book_bucket) == HWGW_CACHE_LINE, "bucket in one line");
_Static_assert(offsetof(struct hwgw_book_bucket, number) == HWGW_BOOK_BUCKET_NUMBER * sizeof(uint32_t),
               "word of a number");

/* buy prices as they are, sell prices inverted: the better price has the higher key on both sides */
static inline uint32_t hwgw_book_key(uint32_t side_idx, uint32_t px) {
  return px ^ (0u - side_idx);
}

/* the same for the signed comparison of the side's line */
static inline int32_t hwgw_book_near_key(uint32_t key) {
  return (int32_t)(key ^ (1u << 31));
}

static inline uint32_t hwgw_book_near_cnt(const struct hwgw_book_side *side) {
  return (uint32_t)side->state & HWGW_BOOK_STATE_NEAR;
}

static inline bool hwgw_book_has_far(const struct hwgw_book_side *side) {
  return (side->state & HWGW_BOOK_STATE_FAR) != 0;
}

/* the level of the best price, 0 when the side is empty */
static inline uint32_t hwgw_book_best(const struct hwgw_book_side *side) {
  return hwgw_book_near_cnt(side) ? side->level[0] : 0;
}

/* Two vectors of lanes 0 to 3 and 3 to 6 cover the seven words of a line and touch nothing else. */
struct hwgw_book_lanes {
  __m128i low, high;
};

static inline struct hwgw_book_lanes hwgw_book_lanes(const void *seven) {
  const uint8_t *at = seven;
  return (struct hwgw_book_lanes){_mm_loadu_si128((const __m128i_u *)at),
                                  _mm_loadu_si128((const __m128i_u *)(at + 12))};
}

static inline uint32_t hwgw_book_lanes_mask(__m128i low, __m128i high) {
  return (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(low)) | (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(high)) << 3;
}

static inline uint32_t hwgw_book_lanes_equal(struct hwgw_book_lanes lanes, uint32_t value) {
  __m128i all = _mm_set1_epi32((int32_t)value);
  return hwgw_book_lanes_mask(_mm_cmpeq_epi32(lanes.low, all), _mm_cmpeq_epi32(lanes.high, all));
}

/* where a price is in the line of a side, or would be */
struct hwgw_book_place {
  uint32_t above; /* better prices in the line */
  uint32_t level; /* 0 when the price is not there */
};

static inline struct hwgw_book_place hwgw_book_near_find(const struct hwgw_book_side *side, uint32_t key) {
  struct hwgw_book_lanes keys = hwgw_book_lanes(side->key);
  __m128i probe = _mm_set1_epi32(hwgw_book_near_key(key));
  uint32_t there = (1u << hwgw_book_near_cnt(side)) - 1;
  uint32_t better = hwgw_book_lanes_mask(_mm_cmpgt_epi32(keys.low, probe), _mm_cmpgt_epi32(keys.high, probe)) & there;
  uint32_t equal = hwgw_book_lanes_mask(_mm_cmpeq_epi32(keys.low, probe), _mm_cmpeq_epi32(keys.high, probe)) & there;
  uint32_t above = (uint32_t)__builtin_popcount(better);
  /* equal has the bit of `above` or none; lane 6 stands in for lane 7, which is not there */
  uint32_t level = side->level[above - (above == HWGW_BOOK_NEAR)];
  return (struct hwgw_book_place){.above = above, .level = level & (0u - (equal != 0))};
}

/* ---- index ---- */

static inline uint32_t hwgw_book_check(uint64_t ref) {
  return (uint32_t)ref ^ (uint32_t)(ref >> 32) * 0x85EBCA6Bu;
}

/* the first bucket that may have an entry with this check word */
static inline uint32_t hwgw_book_home(const struct hwgw_books *books, uint32_t check) {
  uint32_t group = check / HWGW_BOOK_BUCKET_REFS;
  return (group + (group >> books->bucket_bits) * 0x9E3779B1u) & books->bucket_mask;
}

/* the number of the guess for an instrument's price */
static inline uint32_t hwgw_book_guess(const struct hwgw_books *books, uint32_t instrument, uint32_t px) {
  uint32_t line = (instrument * 0x9E3779B1u + (px >> HWGW_BOOK_GUESS_SHIFT) * 0x85EBCA6Bu) >> 4 & books->guess_mask;
  line &= 0u - (px != 0);                 /* who has no price asks for no line of its own */
  return line | (px * 0x9E3779B1u) >> 28; /* the upper bits spread prices of any tick evenly */
}

/* the number at an index entry, which is a word of the buckets; reads whatever word it is */
static inline uint32_t *hwgw_book_entry(const struct hwgw_books *books, uint32_t entry) {
  return &books->word[entry];
}

/* the block that holds a cell, and the first block of its level */
static inline const union hwgw_book_block *hwgw_book_block_of(const struct hwgw_books *books, uint32_t cell) {
  return &books->block[cell / HWGW_BOOK_CELLS];
}

static inline struct hwgw_book_cell *hwgw_book_cell(const struct hwgw_books *books, uint32_t cell) {
  return (struct hwgw_book_cell *)books->block + cell;
}

static inline uint32_t hwgw_book_level_of(const struct hwgw_books *books, uint32_t cell) {
  uint32_t owner = books->block[cell / HWGW_BOOK_CELLS].owner;
  uint32_t is_level = 0u - (owner >> 31); /* all ones; a branch here would be mispredicted */
  return (cell / HWGW_BOOK_CELLS & is_level) | (owner >> 1 & ~is_level);
}

/* the cell of a live order, or 0; for views */
uint32_t hwgw_book_find(const struct hwgw_books *books, uint64_t ref, uint32_t instrument);

/* ---- what a level holds ---- */

/* the first live order at or behind a cell of a level, or 0; for views */
uint32_t hwgw_book_order_from(const struct hwgw_books *books, uint32_t level, uint32_t cell);
/* the n-th best level of a side, which has so many; `side` is instrument x 2 + side */
uint32_t hwgw_book_level_at(const struct hwgw_books *books, uint32_t side, uint32_t n);
uint32_t hwgw_book_level_cnt(const struct hwgw_books *books, uint32_t side);

static inline uint64_t hwgw_book_ref(const struct hwgw_books *books, uint32_t cell) {
  return (uint64_t)hwgw_book_block_of(books, cell)->ref_high << 32 | hwgw_book_cell(books, cell)->ref;
}

/* ---- prices behind the line: book_ladder.c; `side` is instrument x 2 + side ---- */

uint32_t hwgw_book_far_find(const struct hwgw_books *books, uint32_t side, uint32_t key); /* level or 0 */
/* room for `more` prices, so that the next functions cannot fail; false, with nothing changed, when there is none */
bool hwgw_book_far_room(struct hwgw_books *books, uint32_t side, uint32_t more);
void hwgw_book_far_insert(struct hwgw_books *books, uint32_t side, uint32_t key, uint32_t level);
void hwgw_book_far_remove(struct hwgw_books *books, uint32_t side, uint32_t key);
void hwgw_book_far_clear(struct hwgw_books *books, uint32_t side);
void hwgw_book_near_out(struct hwgw_books *books, uint32_t side); /* the line is full: its worst prices go */
void hwgw_book_near_in(struct hwgw_books *books, uint32_t side);  /* the line is empty: the best of the ladder come */

/* ---- ahead of time ---- */

/* A caller that knows what comes next asks for its memory ahead, in three steps some messages apart, each of which needs
 * what the one before fetched; none changes anything or believes what it sees, and none depends on the kind of the event,
 * which cannot be predicted: what an event does not have leads to number 0. First: the index and the guess. Second: the
 * order that is named, and the level of the price. Third: the order's level, the side, and where the next order of the
 * price's level goes. */
struct hwgw_book_hint {
  uint32_t entry; /* index entry of the reference, in its home bucket always; after the first step any of that bucket */
  uint32_t level; /* of the price, or any other; after the first step the number of the guess */
};

static inline struct hwgw_book_hint hwgw_book_expect(const struct hwgw_books *books, const struct hwgw_event *event) {
  uint32_t home = hwgw_book_home(books, hwgw_book_check(event->ref));
  uint32_t guess = hwgw_book_guess(books, event->instrument, event->px);
  hwgw_prefetch(&books->bucket[home]);
  hwgw_prefetch(&books->guess[guess]);
  if (HWGW_UNLIKELY(event->kind == HWGW_EVENT_KIND_REPLACE))
    hwgw_prefetch(&books->bucket[hwgw_book_home(books, hwgw_book_check(event->ref_new))]);
  return (struct hwgw_book_hint){home * HWGW_BOOK_BUCKET_WORDS, guess};
}

static inline struct hwgw_book_hint hwgw_book_expect_order(const struct hwgw_books *books,
                                                           const struct hwgw_event *event,
                                                           struct hwgw_book_hint first) {
  const uint32_t *bucket = hwgw_book_entry(books, first.entry);
  uint32_t found = hwgw_book_lanes_equal(hwgw_book_lanes(bucket), hwgw_book_check(event->ref));
  uint32_t at = HWGW_BOOK_BUCKET_NUMBER + (uint32_t)__builtin_ctz(found | 1u << HWGW_BOOK_BUCKET);
  struct hwgw_book_hint hint = {.entry = first.entry + at, .level = books->guess[first.level]};
  hwgw_prefetch(hwgw_book_block_of(books, bucket[at]));
  hwgw_prefetch(&books->block[hint.level]);
  return hint;
}

/* instrument: one there is */
static inline void hwgw_book_expect_rest(const struct hwgw_books *books, const struct hwgw_event *event,
                                         struct hwgw_book_hint hint) {
  uint32_t cell = *hwgw_book_entry(books, hint.entry), owner = hwgw_book_block_of(books, cell)->owner;
  uint32_t is_sell = event->side == HWGW_EVENT_SIDE_SELL;
  hwgw_prefetch(&books->side[event->instrument << 1 | is_sell | (owner & 1)]);
  hwgw_prefetch(&books->block[hwgw_book_level_of(books, cell)]);
  hwgw_prefetch(hwgw_book_block_of(books, books->block[hint.level].tail));
}

/* hwgw_books_apply for who asked ahead. hint: what hwgw_book_expect_order returned for this event, however long ago; it is
 * believed only when it is still true */
uint32_t hwgw_book_apply(struct hwgw_books *books, struct hwgw_event *event, struct hwgw_book_hint hint,
                         bool *top_changed);

#endif
