/* book.h: how the books lie in memory; shared by book.c (what changes them) and book_view.c (what reads them).
 *
 * SPDX-License-Identifier: MIT
 *
 * One order is 32 bytes, one price level 32, one instrument 64; nothing is allocated after open.
 *
 *   index   heads of chains from order reference to order, 16 to 32 bytes per order of orders_max: so many heads that a
 *           chain rarely has a second order. References come dense and rising: sixteen neighbours share a line and the
 *           lines are spread by a multiplicative hash, so a dense run meets no collision and hardly leaves the cache;
 *           sparse or strided references only lose the sharing.
 *   order   FIFO links by order number within its level, the level's number, shares left, the chain
 *   level   sums and both ends of the FIFO; its number is stable, so an order finds its level without a search
 *   ladder  per side, one word per price: key and level number, in rising order of attractiveness, best last. Eight
 *           words are a line. Changes are near the end: the last eight are searched and moved without a branch, only
 *           what lies deeper costs a search. Ladders come from one slab per power of two; a ladder moves up when full
 *           and down when under a quarter, so a slab of ladders of `cap` never needs more than 4 x levels / cap of
 *           them, and is reserved so (address space, not memory): it cannot run out first.
 *   book    both ladders' ends and the last trade of one instrument, in one cache line
 *
 * Number 0 means none for orders and levels, so fresh pages are a valid empty state; order 0 may be written to where
 * that spares a branch. Memory is touched in the order of first use: what is resident follows the highest number of
 * live orders, not the configured bound (the index excepted); unless hwgw_books_cfg.huge_pages asks for all at open.
 */
#ifndef HWGW_BOOK_H
#define HWGW_BOOK_H

#include "base.h"

#define HWGW_BOOK_SIDES 2
#define HWGW_BOOK_INSTRUMENTS_MAX 65536u
#define HWGW_BOOK_ORDERS_MAX (1u << 26)
#define HWGW_BOOK_LADDER_MIN 8u /* prices in the smallest ladder: one line */
#define HWGW_BOOK_GROUP_BITS 4u /* references that share a line of the index: 16 */
#define HWGW_BOOK_LADDER_CLASSES 24

struct hwgw_book_record {
  uint64_t ref;
  uint32_t owner; /* instrument x 2 + side */
  uint32_t level;
  uint32_t qty;   /* shares left */
  uint32_t prev;  /* towards the head, which is served first */
  uint32_t next;  /* of a free record: next free one */
  uint32_t chain; /* next order of the same index head */
};

struct hwgw_book_level {
  uint64_t qty;
  uint32_t cnt;
  uint32_t px;
  uint32_t head;
  uint32_t tail;
  uint32_t next_free;
  uint32_t reserved;
};

struct hwgw_book_side {
  uint64_t *ladder; /* cap words: key << 32 | level number; 0 behind cnt. NULL while the side never had an order */
  uint32_t cnt;
  uint32_t cap;
  uint32_t best; /* level number of the best price, 0 when empty */
  uint32_t reserved;
};

struct hwgw_book {
  struct hwgw_book_side side[HWGW_BOOK_SIDES]; /* buy, sell */
  uint32_t last_px;
  uint32_t last_qty;
  uint64_t update_cnt;
} __attribute__((aligned(HWGW_CACHE_LINE)));

/* ladders of one size */
struct hwgw_book_slab {
  uint64_t *base;
  uint32_t cap; /* prices per ladder */
  uint32_t max; /* ladders reserved */
  uint32_t used;
  uint32_t free; /* number + 1 of the first free ladder, whose first word holds the next such */
};

struct hwgw_books {
  uint32_t *index; /* order numbers, 0 = no chain */
  struct hwgw_book_record *order;
  struct hwgw_book_level *level;
  struct hwgw_book *book;
  uint32_t index_bits;
  uint32_t order_free;
  uint32_t order_used;
  uint32_t level_free;
  uint32_t level_used;
  uint32_t live;
  uint32_t orders_max;
  uint32_t side_levels_max;
  uint32_t instrument_cnt;
  struct hwgw_book_slab slab[HWGW_BOOK_LADDER_CLASSES];
  uint32_t slab_cnt;
  void *map; /* everything above lies in one mapping */
  size_t map_sz;
};

_Static_assert(sizeof(struct hwgw_book_record) == 32, "order record");
_Static_assert(sizeof(struct hwgw_book_level) == 32, "level record");
_Static_assert(sizeof(struct hwgw_book) == HWGW_CACHE_LINE, "book in one line");

/* buy prices as they are, sell prices inverted: the better price has the higher key on both sides */
static inline uint32_t hwgw_book_key(uint32_t side_idx, uint32_t px) {
  return px ^ (0u - side_idx);
}

/* the chain head of a reference */
static inline uint32_t *hwgw_book_head(const struct hwgw_books *books, uint64_t ref) {
  uint32_t folded = (uint32_t)ref ^ (uint32_t)(ref >> 32) * 0x85EBCA6Bu;
  uint32_t group = ((folded >> HWGW_BOOK_GROUP_BITS) * 0x9E3779B1u) >> (32 - books->index_bits + HWGW_BOOK_GROUP_BITS);
  return &books->index[group << HWGW_BOOK_GROUP_BITS | (folded & ((1u << HWGW_BOOK_GROUP_BITS) - 1))];
}

/* A caller that knows what comes next asks for its memory ahead, in three steps a few messages apart, each of which
 * needs what the one before fetched: the chain head and the book; then the order, the ladders' ends and the best
 * levels; then the order's level and its neighbours in the queue. */
static inline void hwgw_book_prefetch_index(const struct hwgw_books *books, uint64_t ref, uint32_t instrument) {
  __builtin_prefetch(hwgw_book_head(books, ref), 1);
  if (instrument < books->instrument_cnt) __builtin_prefetch(&books->book[instrument], 1);
}

static inline void hwgw_book_prefetch_order(const struct hwgw_books *books, uint64_t ref) {
  __builtin_prefetch(&books->order[*hwgw_book_head(books, ref)], 1);
}

static inline void hwgw_book_prefetch_ladders(const struct hwgw_books *books, uint32_t instrument) {
  if (instrument >= books->instrument_cnt) return;
  const struct hwgw_book_side *side = books->book[instrument].side;
  for (uint32_t i = 0; i < HWGW_BOOK_SIDES; i++) {
    uint32_t cnt = side[i].cnt;
    if (cnt) __builtin_prefetch(&side[i].ladder[cnt - 1], 1);
    __builtin_prefetch(&books->level[side[i].best], 1);
  }
}

static inline void hwgw_book_prefetch_level(const struct hwgw_books *books, uint64_t ref) {
  const struct hwgw_book_record *order = &books->order[*hwgw_book_head(books, ref)];
  __builtin_prefetch(&books->level[order->level], 1);
  __builtin_prefetch(&books->order[order->prev], 1);
  __builtin_prefetch(&books->order[order->next], 1);
}

#endif
