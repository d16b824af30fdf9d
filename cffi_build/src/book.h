/* book.h: how the books lie in memory; shared by book.c (what changes them) and book_view.c (what reads them).
 *
 * SPDX-License-Identifier: MIT
 *
 * One order is 32 bytes, one price level 32, one instrument 64, one index entry 8; nothing is allocated after open.
 *
 *   index   open addressing from order reference to order, at most half full: 16 to 32 bytes per order of orders_max.
 *           References come dense and rising, so eight neighbours share a line and lines are spread by a multiplicative
 *           hash: a dense run meets no collision, and sparse or strided references only lose the sharing.
 *   order   FIFO links by order number within its level, the level's number, shares left
 *   level   sums and both ends of the FIFO; its number is stable, so an order finds its level without a search
 *   ladder  per side: the prices in rising order of attractiveness, best last, and beside them the level numbers. Most
 *           changes are near the end, so little is moved. Ladders come from one slab per power of two; a ladder moves
 *           up when full and down when under a quarter, so a slab of ladders of `cap` never needs more than
 *           4 x levels / cap of them, and is reserved so (address space, not memory): it cannot run out first.
 *   book    both ladders' ends and the last trade of one instrument, in one cache line
 *
 * Number 0 means none for orders and levels: fresh pages are a valid empty state. Memory is touched in the order of
 * first use, so what is resident follows the highest number of live orders, not the configured bound (the index
 * excepted).
 */
#ifndef HWGW_BOOK_H
#define HWGW_BOOK_H

#include "base.h"

#define HWGW_BOOK_SIDES 2
#define HWGW_BOOK_INSTRUMENTS_MAX 65536u
#define HWGW_BOOK_ORDERS_MAX (1u << 26)
#define HWGW_BOOK_LADDER_MIN 8u /* prices in the smallest ladder */
#define HWGW_BOOK_LADDER_CLASSES 24

struct hwgw_book_entry {
  uint32_t tag;   /* folded reference */
  uint32_t order; /* 0: free */
};

struct hwgw_book_record {
  uint64_t ref;
  uint32_t owner; /* instrument x 2 + side */
  uint32_t level;
  uint32_t qty;  /* shares left */
  uint32_t prev; /* towards the head, which is served first */
  uint32_t next; /* of a free record: next free one */
  uint32_t reserved;
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
  uint32_t *keys; /* cap keys, then cap level numbers; NULL while the side never had an order */
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
  uint32_t *base;
  uint32_t cap; /* prices per ladder */
  uint32_t max; /* ladders reserved */
  uint32_t used;
  uint32_t free; /* number + 1 of the first free ladder, whose first word holds the next */
};

struct hwgw_books {
  struct hwgw_book_entry *index;
  struct hwgw_book_record *order;
  struct hwgw_book_level *level;
  struct hwgw_book *book;
  uint32_t index_mask;
  uint32_t index_shift;
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

_Static_assert(sizeof(struct hwgw_book_entry) == 8, "index entry");
_Static_assert(sizeof(struct hwgw_book_record) == 32, "order record");
_Static_assert(sizeof(struct hwgw_book_level) == 32, "level record");
_Static_assert(sizeof(struct hwgw_book) == HWGW_CACHE_LINE, "book in one line");

/* buy prices as they are, sell prices inverted: the better price has the higher key on both sides */
static inline uint32_t hwgw_book_key(uint32_t side_idx, uint32_t px) {
  return px ^ (0u - side_idx);
}

static inline uint32_t hwgw_book_tag(uint64_t ref) {
  return (uint32_t)ref ^ (uint32_t)(ref >> 32) * 0x85EBCA6Bu;
}

/* where the search for a tag begins */
static inline uint32_t hwgw_book_home(const struct hwgw_books *books, uint32_t tag) {
  return ((tag >> 3) * 0x9E3779B1u) >> books->index_shift << 3 | (tag & 7);
}

/* A caller that knows what comes next asks for its memory ahead, in three steps a few messages apart, each of which
 * needs what the one before fetched: the index line and the book, then the order, then its level. */
static inline void hwgw_book_prefetch_index(const struct hwgw_books *books, uint64_t ref, uint32_t instrument) {
  __builtin_prefetch(&books->index[hwgw_book_home(books, hwgw_book_tag(ref))], 1);
  if (instrument < books->instrument_cnt) __builtin_prefetch(&books->book[instrument], 1);
}

/* the order that most likely has this reference, 0 when it is not where it should be */
static inline uint32_t hwgw_book_guess(const struct hwgw_books *books, uint64_t ref) {
  uint32_t tag = hwgw_book_tag(ref);
  const struct hwgw_book_entry *entry = &books->index[hwgw_book_home(books, tag)];
  return entry->tag == tag ? entry->order : 0;
}

static inline void hwgw_book_prefetch_order(const struct hwgw_books *books, uint64_t ref) {
  __builtin_prefetch(&books->order[hwgw_book_guess(books, ref)], 1);
}

static inline void hwgw_book_prefetch_level(const struct hwgw_books *books, uint64_t ref) {
  const struct hwgw_book_record *order = &books->order[hwgw_book_guess(books, ref)];
  __builtin_prefetch(&books->level[order->level], 1);
  __builtin_prefetch(&books->order[order->prev], 1);
  __builtin_prefetch(&books->order[order->next], 1);
}

#endif
