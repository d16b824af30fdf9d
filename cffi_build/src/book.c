/* book.c: full-depth books, order by order in time priority; the changes.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: one event with its instrument. Output: the changed book, and whether the best level of a side changed. How the
 * books lie in memory and what that costs is in book.h.
 *
 * Kinds that touch a book: add, execute, execute with price, reduce, delete, replace. Order of checks; the first that
 * fails drops the event, which then changes nothing at all:
 *   1 drop_instrument     not subscribed
 *   2 drop_unknown_ref    no live order of this instrument has the reference
 *   3 drop_duplicate_ref  the new reference (add, replace) is already live in this instrument
 *   4 drop_quantity       0 shares, or more than the order has left (execute, reduce)
 *   5 drop_side           neither buy nor sell (add)
 *   6 drop_full           orders_max live orders, or levels_max prices on the side
 * Orders are told apart by reference and instrument, so two venues may use the same references.
 *
 * An order at 0 shares is gone. Reduce and execute keep its place; replace gives the new order the side of the old one
 * and the last place at its price, also when the price is the same. A printable execution, trade or cross of some
 * shares sets the last price and quantity; trades, crosses and all else are ignored (they change no order).
 *
 * Cost: one index line, one order, one level, one book; plus the neighbours in the queue on removal, and the ladder
 * when a price appears or vanishes. No allocation, no system call. Thread: the owner of the books.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "book.h"

#define PAGE_SZ 4096
#define INDEX_HEADS 4 /* chain heads per order, at least */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; glibc before 2.35 does not name it */
#endif

/* ---- index: reference to order ---- */

/* the live order with this reference and instrument, or 0 */
static inline uint32_t index_find(const struct hwgw_books *books, uint32_t head, uint64_t ref, uint32_t instrument) {
  uint32_t number = head;
  while (number) {
    const struct hwgw_book_record *order = &books->order[number];
    if (HWGW_LIKELY(order->ref == ref && order->owner >> 1 == instrument)) break;
    number = order->chain;
  }
  return number;
}

static inline void index_insert(struct hwgw_books *books, uint32_t *head, uint32_t number) {
  books->order[number].chain = *head;
  *head = number;
}

static inline void index_erase(struct hwgw_books *books, uint32_t *head, uint32_t number) {
  while (HWGW_UNLIKELY(*head != number)) head = &books->order[*head].chain;
  *head = books->order[number].chain;
}

/* ---- pools ---- */

static inline uint32_t order_take(struct hwgw_books *books) {
  uint32_t order = books->order_free;
  if (HWGW_LIKELY(order))
    books->order_free = books->order[order].next;
  else
    order = ++books->order_used;
  books->live++;
  return order;
}

static inline void order_give(struct hwgw_books *books, uint32_t order) {
  books->order[order].next = books->order_free;
  books->order_free = order;
  books->live--;
}

/* there are never more levels than live orders, so this cannot fail where order_take did not */
static inline uint32_t level_take(struct hwgw_books *books) {
  uint32_t level = books->level_free;
  if (HWGW_LIKELY(level))
    books->level_free = books->level[level].next_free;
  else
    level = ++books->level_used;
  return level;
}

static inline void level_give(struct hwgw_books *books, uint32_t level) {
  books->level[level].next_free = books->level_free;
  books->level_free = level;
}

static inline uint32_t slab_of(uint32_t cap) {
  return (uint32_t)__builtin_ctz(cap / HWGW_BOOK_LADDER_MIN);
}

/* moves a side to a ladder of `cap` prices; false, with nothing changed, when there is none */
static bool ladder_move(struct hwgw_books *books, struct hwgw_book_side *side, uint32_t cap) {
  struct hwgw_book_slab *slab = &books->slab[slab_of(cap)];
  uint32_t number = slab->free;
  if (!number && slab->used == slab->max) return false;
  if (!number) number = ++slab->used;
  uint64_t *ladder = slab->base + (size_t)(number - 1) * cap;
  if (slab->free) slab->free = (uint32_t)ladder[0];
  memset(ladder, 0, cap * sizeof *ladder);
  if (side->ladder) {
    memcpy(ladder, side->ladder, side->cnt * sizeof *ladder);
    struct hwgw_book_slab *old = &books->slab[slab_of(side->cap)];
    side->ladder[0] = old->free;
    old->free = (uint32_t)((size_t)(side->ladder - old->base) / old->cap) + 1;
  }
  side->ladder = ladder;
  side->cap = cap;
  return true;
}

/* ---- ladders and levels ---- */

#define NEAR HWGW_BOOK_LADDER_MIN /* words from the end that are handled without a branch for each */

/* where a price is on a side, or would be */
struct place {
  uint32_t above; /* better prices */
  uint32_t level; /* 0 when the price is not there */
};

/* the last NEAR words, or the first NEAR of a ladder that has fewer (0 behind them) */
static inline uint32_t near_from(uint32_t cnt) {
  return cnt > NEAR ? cnt - NEAR : 0;
}

/* how many of the first cnt words are at most probe, by halves */
static uint32_t ladder_rank(const uint64_t *ladder, uint32_t cnt, uint64_t probe) {
  uint32_t from = 0;
  while (cnt) {
    uint32_t half = cnt / 2;
    if (ladder[from + half] <= probe) {
      from += half + 1;
      cnt -= half + 1;
    } else {
      cnt = half;
    }
  }
  return from;
}

/* the side has a ladder */
static inline struct place place_find(const struct hwgw_book_side *side, uint32_t key) {
  const uint64_t *ladder = side->ladder;
  uint64_t probe = (uint64_t)key << 32 | UINT32_MAX;
  const uint64_t *near = ladder + near_from(side->cnt);
  uint64_t better = 0;
  for (uint32_t i = 0; i < NEAR; i++) better += near[i] > probe;
  uint32_t above = (uint32_t)better;
  if (HWGW_UNLIKELY(above == NEAR && side->cnt > NEAR))
    above = side->cnt - ladder_rank(ladder, side->cnt - NEAR, probe);
  uint32_t at = side->cnt - above;
  uint64_t word = ladder[at - (at > 0)];
  bool is_there = (at > 0) & (word >> 32 == key);
  return (struct place){.above = above, .level = is_there ? (uint32_t)word : 0};
}

/* room for one more price */
static inline bool ladder_room(struct hwgw_books *books, struct hwgw_book_side *side) {
  if (HWGW_LIKELY(side->cnt < side->cap)) return true;
  return ladder_move(books, side, side->cap ? 2 * side->cap : HWGW_BOOK_LADDER_MIN);
}

/* a new, empty level with `above` better ones; the side has room */
static inline uint32_t level_open(struct hwgw_books *books, struct hwgw_book_side *side, uint32_t above, uint32_t key,
                                  uint32_t px) {
  uint32_t number = level_take(books);
  uint32_t at = side->cnt - above;
  uint64_t *ladder = side->ladder;
  if (HWGW_LIKELY(above < NEAR)) {
    uint32_t from = near_from(side->cnt + 1);
    uint64_t words[NEAR];
    memcpy(words, ladder + from, sizeof words);
    for (uint32_t i = 1; i < NEAR; i++) ladder[from + i] = from + i > at ? words[i - 1] : words[i];
  } else {
    memmove(ladder + at + 1, ladder + at, above * sizeof *ladder);
  }
  ladder[at] = (uint64_t)key << 32 | number;
  side->cnt++;
  side->best = above ? side->best : number;
  struct hwgw_book_level *level = &books->level[number];
  *level = (struct hwgw_book_level){.px = px};
  return number;
}

/* removes an empty level */
static inline void level_close(struct hwgw_books *books, struct hwgw_book_side *side, uint32_t side_idx,
                               uint32_t number) {
  uint32_t above = place_find(side, hwgw_book_key(side_idx, books->level[number].px)).above;
  uint32_t at = side->cnt - 1 - above;
  uint64_t *ladder = side->ladder;
  if (HWGW_LIKELY(above < NEAR)) {
    uint32_t from = near_from(side->cnt);
    uint64_t words[NEAR + 1];
    memcpy(words, ladder + from, NEAR * sizeof *words);
    words[NEAR] = 0;
    for (uint32_t i = 0; i < NEAR; i++) ladder[from + i] = from + i >= at ? words[i + 1] : words[i];
  } else {
    memmove(ladder + at, ladder + at + 1, above * sizeof *ladder);
    ladder[side->cnt - 1] = 0;
  }
  side->cnt--;
  side->best = (uint32_t)ladder[side->cnt - (side->cnt > 0)]; /* word 0 is 0 when nothing is left */
  level_give(books, number);
  if (HWGW_UNLIKELY(side->cap > HWGW_BOOK_LADDER_MIN && side->cnt < side->cap / 4))
    ladder_move(books, side, side->cap / 2);
}

/* ---- orders in levels ---- */

/* puts order `number` last in a level */
static inline void level_append(struct hwgw_books *books, uint32_t level_number, uint32_t number) {
  struct hwgw_book_record *order = &books->order[number];
  struct hwgw_book_level *level = &books->level[level_number];
  uint32_t tail = level->tail;
  order->level = level_number;
  order->prev = tail;
  order->next = 0;
  books->order[tail].next = number; /* order 0 when there was none */
  level->head = tail ? level->head : number;
  level->tail = number;
  level->qty += order->qty;
  level->cnt++;
}

/* takes order `number` out of its level */
static inline void level_unlink(struct hwgw_books *books, struct hwgw_book_side *side, uint32_t side_idx,
                                uint32_t number) {
  const struct hwgw_book_record *order = &books->order[number];
  struct hwgw_book_level *level = &books->level[order->level];
  if (level->cnt == 1) {
    level_close(books, side, side_idx, order->level);
    return;
  }
  uint32_t prev = order->prev, next = order->next;
  books->order[prev].next = next; /* order 0 when there is none */
  books->order[next].prev = prev;
  level->head = prev ? level->head : next;
  level->tail = next ? level->tail : prev;
  level->qty -= order->qty;
  level->cnt--;
}

/* ---- the events ---- */

static inline uint32_t apply_add(struct hwgw_books *books, const struct hwgw_event *event, bool *top_changed) {
  struct hwgw_book *book = &books->book[event->instrument];
  uint32_t side_idx = event->side - (uint32_t)HWGW_EVENT_SIDE_BUY;
  uint32_t *head = hwgw_book_head(books, event->ref);
  if (HWGW_UNLIKELY(index_find(books, *head, event->ref, event->instrument))) return HWGW_CNT_BOOK_DROP_DUPLICATE_REF;
  if (HWGW_UNLIKELY(!event->qty)) return HWGW_CNT_BOOK_DROP_QUANTITY;
  if (HWGW_UNLIKELY(side_idx >= HWGW_BOOK_SIDES)) return HWGW_CNT_BOOK_DROP_SIDE;
  if (HWGW_UNLIKELY(books->live == books->orders_max)) return HWGW_CNT_BOOK_DROP_FULL;
  struct hwgw_book_side *side = &book->side[side_idx];
  uint32_t key = hwgw_book_key(side_idx, event->px);
  if (HWGW_UNLIKELY(!side->ladder) && !ladder_room(books, side)) return HWGW_CNT_BOOK_DROP_FULL;
  struct place place = place_find(side, key);
  uint32_t level = place.level;
  if (!level) {
    if (HWGW_UNLIKELY(side->cnt >= books->side_levels_max || !ladder_room(books, side))) return HWGW_CNT_BOOK_DROP_FULL;
    level = level_open(books, side, place.above, key, event->px);
  }
  uint32_t number = order_take(books);
  struct hwgw_book_record *order = &books->order[number];
  order->ref = event->ref;
  order->owner = event->instrument << 1 | side_idx;
  order->qty = event->qty;
  index_insert(books, head, number);
  level_append(books, level, number);
  *top_changed = level == side->best;
  book->update_cnt++;
  return HWGW_CNT_BOOK_UPDATES;
}

/* execute, execute with price, reduce, delete: take qty shares, or all, from an order */
static inline uint32_t apply_take(struct hwgw_books *books, struct hwgw_event *event, bool *top_changed) {
  uint32_t *head = hwgw_book_head(books, event->ref);
  uint32_t number = index_find(books, *head, event->ref, event->instrument);
  if (HWGW_UNLIKELY(!number)) return HWGW_CNT_BOOK_DROP_UNKNOWN_REF;
  struct hwgw_book_record *order = &books->order[number];
  uint32_t qty = event->kind == HWGW_EVENT_KIND_DELETE ? order->qty : event->qty;
  if (HWGW_UNLIKELY(!qty || qty > order->qty)) return HWGW_CNT_BOOK_DROP_QUANTITY;

  struct hwgw_book *book = &books->book[event->instrument];
  uint32_t side_idx = order->owner & 1;
  struct hwgw_book_side *side = &book->side[side_idx];
  struct hwgw_book_level *level = &books->level[order->level];
  *top_changed = order->level == side->best;
  book->update_cnt++;
  if (event->kind == HWGW_EVENT_KIND_EXECUTE || event->kind == HWGW_EVENT_KIND_EXECUTE_WITH_PRICE) {
    if (!event->px) event->px = level->px;
    if (event->flags & HWGW_EVENT_FLAGS_PRINTABLE) {
      book->last_px = event->px;
      book->last_qty = qty;
    }
  }
  if (qty < order->qty) {
    order->qty -= qty;
    level->qty -= qty;
    return HWGW_CNT_BOOK_UPDATES;
  }
  level_unlink(books, side, side_idx, number);
  index_erase(books, head, number);
  order_give(books, number);
  return HWGW_CNT_BOOK_UPDATES;
}

static inline uint32_t apply_replace(struct hwgw_books *books, const struct hwgw_event *event, bool *top_changed) {
  uint32_t *head = hwgw_book_head(books, event->ref), *head_new = hwgw_book_head(books, event->ref_new);
  uint32_t number = index_find(books, *head, event->ref, event->instrument);
  if (HWGW_UNLIKELY(!number)) return HWGW_CNT_BOOK_DROP_UNKNOWN_REF;
  if (HWGW_UNLIKELY(index_find(books, *head_new, event->ref_new, event->instrument)))
    return HWGW_CNT_BOOK_DROP_DUPLICATE_REF;
  if (HWGW_UNLIKELY(!event->qty)) return HWGW_CNT_BOOK_DROP_QUANTITY;

  struct hwgw_book_record *order = &books->order[number];
  struct hwgw_book *book = &books->book[event->instrument];
  uint32_t side_idx = order->owner & 1;
  struct hwgw_book_side *side = &book->side[side_idx];
  uint32_t key = hwgw_book_key(side_idx, event->px);
  const struct hwgw_book_level *level = &books->level[order->level];
  /* a new price needs a place, which the old one may leave */
  if (!place_find(side, key).level &&
      HWGW_UNLIKELY(side->cnt - (level->cnt == 1) >= books->side_levels_max || !ladder_room(books, side)))
    return HWGW_CNT_BOOK_DROP_FULL;

  struct hwgw_book_level was = books->level[side->best];
  level_unlink(books, side, side_idx, number);
  index_erase(books, head, number);
  order->ref = event->ref_new;
  order->qty = event->qty;
  index_insert(books, head_new, number);
  struct place place = place_find(side, key);
  uint32_t level_number = place.level ? place.level : level_open(books, side, place.above, key, event->px);
  level_append(books, level_number, number);
  const struct hwgw_book_level *best = &books->level[side->best];
  *top_changed = best->px != was.px || best->qty != was.qty || best->cnt != was.cnt;
  book->update_cnt++;
  return HWGW_CNT_BOOK_UPDATES;
}

uint32_t hwgw_books_apply(struct hwgw_books *books, struct hwgw_event *event, bool *top_changed) {
  *top_changed = false;
  bool is_known = event->instrument < books->instrument_cnt;
  switch (event->kind) {
    case HWGW_EVENT_KIND_ADD:
      return HWGW_LIKELY(is_known) ? apply_add(books, event, top_changed) : HWGW_CNT_BOOK_DROP_INSTRUMENT;
    case HWGW_EVENT_KIND_EXECUTE:
    case HWGW_EVENT_KIND_EXECUTE_WITH_PRICE:
    case HWGW_EVENT_KIND_REDUCE:
    case HWGW_EVENT_KIND_DELETE:
      return HWGW_LIKELY(is_known) ? apply_take(books, event, top_changed) : HWGW_CNT_BOOK_DROP_INSTRUMENT;
    case HWGW_EVENT_KIND_REPLACE:
      return HWGW_LIKELY(is_known) ? apply_replace(books, event, top_changed) : HWGW_CNT_BOOK_DROP_INSTRUMENT;
    case HWGW_EVENT_KIND_TRADE:
    case HWGW_EVENT_KIND_CROSS:
      if (is_known && event->qty && event->flags & HWGW_EVENT_FLAGS_PRINTABLE) {
        books->book[event->instrument].last_px = event->px;
        books->book[event->instrument].last_qty = event->qty;
      }
      return HWGW_CNT_BOOK_IGNORED;
    default:
      return HWGW_CNT_BOOK_IGNORED;
  }
}

uint32_t hwgw_books_live(const struct hwgw_books *books) {
  return books->live;
}

/* ---- open and close ---- */

/* where an array of cnt records lies: at *offset, which moves behind it to the next page. NULL while only measuring */
static void *array_place(uint8_t *base, size_t *offset, uint64_t cnt, size_t record_sz) {
  uint8_t *at = base ? base + *offset : NULL;
  *offset = (*offset + cnt * record_sz + PAGE_SZ - 1) / PAGE_SZ * PAGE_SZ;
  return at;
}

/* gives each array its place in the mapping at base and returns what they take in all; base NULL only measures */
static size_t arrays_place(struct hwgw_books *books, uint8_t *base, uint32_t levels) {
  size_t offset = 0;
  books->index = array_place(base, &offset, UINT64_C(1) << books->index_bits, sizeof *books->index);
  books->order = array_place(base, &offset, (uint64_t)books->orders_max + 1, sizeof *books->order);
  books->level = array_place(base, &offset, (uint64_t)levels + 1, sizeof *books->level);
  books->book = array_place(base, &offset, books->instrument_cnt, sizeof *books->book);
  uint64_t sides = (uint64_t)HWGW_BOOK_SIDES * books->instrument_cnt;
  books->slab_cnt = 0;
  for (uint64_t cap = HWGW_BOOK_LADDER_MIN;; cap *= 2) {
    struct hwgw_book_slab *slab = &books->slab[books->slab_cnt++];
    uint64_t enough = 4 * (uint64_t)levels / cap + 1;
    slab->cap = (uint32_t)cap;
    slab->max = (uint32_t)(cap > HWGW_BOOK_LADDER_MIN && enough < sides ? enough : sides);
    slab->base = array_place(base, &offset, slab->max, cap * sizeof(uint64_t));
    if (cap >= books->side_levels_max) break;
  }
  return offset;
}

/* Index, orders, levels and books on huge pages, and there before the first message: a random access into small pages
 * often waits for their table, and the first touch of a page for the kernel. Both are advice, without them everything is
 * right as well. The ladders' reserved room stays as it is: most of it is never used. */
static void make_resident(struct hwgw_books *books) {
  size_t sz = (size_t)((uint8_t *)(books->book + books->instrument_cnt) - (uint8_t *)books->map);
  (void)madvise(books->map, sz, MADV_HUGEPAGE);
  (void)madvise(books->map, sz, MADV_POPULATE_WRITE);
}

int32_t hwgw_books_open(struct hwgw_books **out, const struct hwgw_books_cfg *cfg, struct hwgw_error *error) {
  *out = NULL;
  if (cfg->instrument_cnt < 1 || cfg->instrument_cnt > HWGW_BOOK_INSTRUMENTS_MAX)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "books: instrument_cnt is %u; 1 to %u is allowed",
                          cfg->instrument_cnt, HWGW_BOOK_INSTRUMENTS_MAX);
  if (cfg->orders_max < 1 || cfg->orders_max > HWGW_BOOK_ORDERS_MAX)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "books: orders_max is %u; 1 to %u is allowed", cfg->orders_max,
                          HWGW_BOOK_ORDERS_MAX);
  struct hwgw_books *books = calloc(1, sizeof *books);
  if (!books) return hwgw_error_set(error, HWGW_ERR_DEVICE, errno, "books: no memory: %s", strerror(errno));

  books->instrument_cnt = cfg->instrument_cnt;
  books->orders_max = cfg->orders_max;
  books->side_levels_max = cfg->levels_max && cfg->levels_max < cfg->orders_max ? cfg->levels_max : cfg->orders_max;
  uint64_t levels = (uint64_t)HWGW_BOOK_SIDES * cfg->instrument_cnt * books->side_levels_max;
  if (levels > cfg->orders_max) levels = cfg->orders_max;
  books->index_bits = 6;
  while ((1u << books->index_bits) < INDEX_HEADS * cfg->orders_max) books->index_bits++;

  books->map_sz = arrays_place(books, NULL, (uint32_t)levels);
  books->map = mmap(NULL, books->map_sz, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (books->map == MAP_FAILED) {
    int32_t failed = errno;
    size_t wanted = books->map_sz;
    free(books);
    return hwgw_error_set(error, HWGW_ERR_DEVICE, failed,
                          "books: mmap of %zu bytes for %u orders of %u instruments failed: %s; lower orders_max",
                          wanted, cfg->orders_max, cfg->instrument_cnt, strerror(failed));
  }
  arrays_place(books, books->map, (uint32_t)levels);
  if (cfg->huge_pages) make_resident(books);
  *out = books;
  return HWGW_OK;
}

void hwgw_books_close(struct hwgw_books *books) {
  if (!books) return;
  munmap(books->map, books->map_sz);
  free(books);
}

void hwgw_books_clear(struct hwgw_books *books) {
  memset(books->index, 0, (sizeof *books->index) << books->index_bits);
  memset(books->book, 0, books->instrument_cnt * sizeof *books->book);
  books->order_free = books->order_used = 0;
  books->level_free = books->level_used = 0;
  books->live = 0;
  for (uint32_t i = 0; i < books->slab_cnt; i++) books->slab[i].used = books->slab[i].free = 0;
}
