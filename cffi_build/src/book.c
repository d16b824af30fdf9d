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
 * Cost: one index line, one order, one level, one book; plus the neighbours in the queue on removal, and the ladder
 * when a price appears or vanishes. No allocation, no system call. Thread: the owner of the books.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "book.h"

#define PAGE_SZ 4096

/* ---- index: reference to order ---- */

/* position of the live order with this reference and instrument, or UINT32_MAX */
static inline uint32_t index_find(const struct hwgw_books *books, uint64_t ref, uint32_t instrument) {
  uint32_t tag = hwgw_book_tag(ref);
  uint32_t at = hwgw_book_home(books, tag);
  for (;; at = (at + 1) & books->index_mask) {
    struct hwgw_book_entry entry = books->index[at];
    if (HWGW_UNLIKELY(!entry.order)) return UINT32_MAX;
    if (HWGW_UNLIKELY(entry.tag != tag)) continue;
    const struct hwgw_book_record *order = &books->order[entry.order];
    if (HWGW_LIKELY(order->ref == ref && order->owner >> 1 == instrument)) return at;
  }
}

/* is the reference live in the instrument: index_find for the case that it most likely is not */
static inline bool index_has(const struct hwgw_books *books, uint64_t ref, uint32_t instrument) {
  return HWGW_UNLIKELY(index_find(books, ref, instrument) != UINT32_MAX);
}

static inline void index_insert(struct hwgw_books *books, uint64_t ref, uint32_t order) {
  uint32_t tag = hwgw_book_tag(ref);
  uint32_t at = hwgw_book_home(books, tag);
  while (HWGW_UNLIKELY(books->index[at].order)) at = (at + 1) & books->index_mask;
  books->index[at] = (struct hwgw_book_entry){.tag = tag, .order = order};
}

/* takes an entry out and moves later ones of its run up, so that a search may stop at the first free place */
static inline void index_erase(struct hwgw_books *books, uint32_t hole) {
  uint32_t mask = books->index_mask;
  for (uint32_t at = (hole + 1) & mask; HWGW_UNLIKELY(books->index[at].order); at = (at + 1) & mask) {
    uint32_t home = hwgw_book_home(books, books->index[at].tag);
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    books->index[hole] = books->index[at];
    hole = at;
  }
  books->index[hole].order = 0;
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

static uint32_t *ladder_at(const struct hwgw_book_slab *slab, uint32_t number) {
  return slab->base + (size_t)number * 2 * slab->cap;
}

/* moves a side to a ladder of `cap` prices; false, with nothing changed, when there is none */
static bool ladder_move(struct hwgw_books *books, struct hwgw_book_side *side, uint32_t cap) {
  struct hwgw_book_slab *slab = &books->slab[slab_of(cap)];
  uint32_t *keys;
  if (slab->free) {
    keys = ladder_at(slab, slab->free - 1);
    slab->free = keys[0];
  } else {
    if (slab->used == slab->max) return false;
    keys = ladder_at(slab, slab->used++);
  }
  if (side->keys) {
    memcpy(keys, side->keys, side->cnt * sizeof *keys);
    memcpy(keys + cap, side->keys + side->cap, side->cnt * sizeof *keys);
    struct hwgw_book_slab *old = &books->slab[slab_of(side->cap)];
    side->keys[0] = old->free;
    old->free = (uint32_t)((size_t)(side->keys - old->base) / (2 * (size_t)old->cap)) + 1;
  }
  side->keys = keys;
  side->cap = cap;
  return true;
}

/* ---- ladders and levels ---- */

/* how many prices of the side are better than key */
static inline uint32_t ladder_above(const struct hwgw_book_side *side, uint32_t key) {
  const uint32_t *keys = side->keys;
  uint32_t below = side->cnt; /* prices not known to be better */
  /* near the top: eight at a time, without a branch for each */
  while (below >= 8 && side->cnt - below < 32) {
    uint32_t better = 0;
    for (uint32_t i = 1; i <= 8; i++) better += keys[below - i] > key;
    below -= better;
    if (better < 8) return side->cnt - below;
  }
  uint32_t from = 0, cnt = below;
  while (cnt) {
    uint32_t half = cnt / 2;
    bool up = keys[from + half] <= key;
    from = up ? from + half + 1 : from;
    cnt = up ? cnt - half - 1 : half;
  }
  return side->cnt - from;
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
  uint32_t *keys = side->keys + at;
  uint32_t *levels = keys + side->cap;
  for (uint32_t i = above; i > 0; i--) {
    keys[i] = keys[i - 1];
    levels[i] = levels[i - 1];
  }
  keys[0] = key;
  levels[0] = number;
  side->cnt++;
  if (!above) side->best = number;
  struct hwgw_book_level *level = &books->level[number];
  *level = (struct hwgw_book_level){.px = px};
  return number;
}

/* removes an empty level */
static inline void level_close(struct hwgw_books *books, struct hwgw_book_side *side, uint32_t side_idx,
                               uint32_t number) {
  uint32_t above = number == side->best ? 0 : ladder_above(side, hwgw_book_key(side_idx, books->level[number].px));
  uint32_t *keys = side->keys + (side->cnt - 1 - above);
  uint32_t *levels = keys + side->cap;
  for (uint32_t i = 0; i < above; i++) {
    keys[i] = keys[i + 1];
    levels[i] = levels[i + 1];
  }
  side->cnt--;
  if (!above) side->best = side->cnt ? levels[-1] : 0;
  level_give(books, number);
  if (HWGW_UNLIKELY(side->cap > HWGW_BOOK_LADDER_MIN && side->cnt < side->cap / 4))
    ladder_move(books, side, side->cap / 2);
}

/* ---- orders in levels ---- */

/* puts order `number` last at its price; what it needs is there. Returns whether that is the best price now */
static inline bool order_append(struct hwgw_books *books, struct hwgw_book_side *side, uint32_t side_idx,
                                uint32_t number, uint32_t px, uint32_t above) {
  struct hwgw_book_record *order = &books->order[number];
  uint32_t key = hwgw_book_key(side_idx, px);
  uint32_t at = side->cnt - above;
  bool known = at > 0 && side->keys[at - 1] == key;
  uint32_t level_number = known ? side->keys[side->cap + at - 1] : level_open(books, side, above, key, px);
  struct hwgw_book_level *level = &books->level[level_number];
  order->level = level_number;
  order->prev = level->tail;
  order->next = 0;
  if (level->tail)
    books->order[level->tail].next = number;
  else
    level->head = number;
  level->tail = number;
  level->qty += order->qty;
  level->cnt++;
  return level_number == side->best;
}

/* takes order `number` out of its level */
static inline void order_unlink(struct hwgw_books *books, struct hwgw_book_side *side, uint32_t side_idx,
                                uint32_t number) {
  const struct hwgw_book_record *order = &books->order[number];
  struct hwgw_book_level *level = &books->level[order->level];
  level->qty -= order->qty;
  if (--level->cnt == 0) {
    level_close(books, side, side_idx, order->level);
    return;
  }
  if (order->prev)
    books->order[order->prev].next = order->next;
  else
    level->head = order->next;
  if (order->next)
    books->order[order->next].prev = order->prev;
  else
    level->tail = order->prev;
}

/* prices better than px on the side, or UINT32_MAX when px needs a new level for which there is no room.
 * leaving: levels that go before it comes */
static inline uint32_t place_find(struct hwgw_books *books, struct hwgw_book_side *side, uint32_t key,
                                  uint32_t leaving) {
  uint32_t above = side->cnt ? ladder_above(side, key) : 0;
  uint32_t at = side->cnt - above;
  if (at > 0 && side->keys[at - 1] == key) return above;
  if (HWGW_UNLIKELY(side->cnt - leaving >= books->side_levels_max)) return UINT32_MAX;
  return HWGW_LIKELY(ladder_room(books, side)) ? above : UINT32_MAX;
}

/* ---- the events ---- */

static inline uint32_t apply_add(struct hwgw_books *books, const struct hwgw_event *event, bool *top_changed) {
  struct hwgw_book *book = &books->book[event->instrument];
  uint32_t side_idx = event->side - (uint32_t)HWGW_EVENT_SIDE_BUY;
  if (index_has(books, event->ref, event->instrument)) return HWGW_CNT_BOOK_DROP_DUPLICATE_REF;
  if (HWGW_UNLIKELY(!event->qty)) return HWGW_CNT_BOOK_DROP_QUANTITY;
  if (HWGW_UNLIKELY(side_idx >= HWGW_BOOK_SIDES)) return HWGW_CNT_BOOK_DROP_SIDE;
  if (HWGW_UNLIKELY(books->live == books->orders_max)) return HWGW_CNT_BOOK_DROP_FULL;
  struct hwgw_book_side *side = &book->side[side_idx];
  uint32_t above = place_find(books, side, hwgw_book_key(side_idx, event->px), 0);
  if (HWGW_UNLIKELY(above == UINT32_MAX)) return HWGW_CNT_BOOK_DROP_FULL;

  uint32_t number = order_take(books);
  struct hwgw_book_record *order = &books->order[number];
  order->ref = event->ref;
  order->owner = event->instrument << 1 | side_idx;
  order->qty = event->qty;
  index_insert(books, event->ref, number);
  *top_changed = order_append(books, side, side_idx, number, event->px, above);
  book->update_cnt++;
  return HWGW_CNT_BOOK_UPDATES;
}

/* execute, execute with price, reduce, delete: take qty shares, or all, from an order */
static inline uint32_t apply_take(struct hwgw_books *books, struct hwgw_event *event, bool *top_changed) {
  uint32_t at = index_find(books, event->ref, event->instrument);
  if (HWGW_UNLIKELY(at == UINT32_MAX)) return HWGW_CNT_BOOK_DROP_UNKNOWN_REF;
  uint32_t number = books->index[at].order;
  struct hwgw_book_record *order = &books->order[number];
  uint32_t qty = event->kind == HWGW_EVENT_KIND_DELETE ? order->qty : event->qty;
  if (HWGW_UNLIKELY(!qty || qty > order->qty)) return HWGW_CNT_BOOK_DROP_QUANTITY;

  struct hwgw_book *book = &books->book[event->instrument];
  uint32_t side_idx = order->owner & 1;
  struct hwgw_book_side *side = &book->side[side_idx];
  struct hwgw_book_level *level = &books->level[order->level];
  *top_changed = order->level == side->best;
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
  } else {
    order_unlink(books, side, side_idx, number);
    index_erase(books, at);
    order_give(books, number);
  }
  book->update_cnt++;
  return HWGW_CNT_BOOK_UPDATES;
}

static inline uint32_t apply_replace(struct hwgw_books *books, const struct hwgw_event *event, bool *top_changed) {
  uint32_t at = index_find(books, event->ref, event->instrument);
  if (HWGW_UNLIKELY(at == UINT32_MAX)) return HWGW_CNT_BOOK_DROP_UNKNOWN_REF;
  if (index_has(books, event->ref_new, event->instrument)) return HWGW_CNT_BOOK_DROP_DUPLICATE_REF;
  if (HWGW_UNLIKELY(!event->qty)) return HWGW_CNT_BOOK_DROP_QUANTITY;

  uint32_t number = books->index[at].order;
  struct hwgw_book_record *order = &books->order[number];
  struct hwgw_book *book = &books->book[event->instrument];
  uint32_t side_idx = order->owner & 1;
  struct hwgw_book_side *side = &book->side[side_idx];
  uint32_t key = hwgw_book_key(side_idx, event->px);
  const struct hwgw_book_level *level = &books->level[order->level];
  bool alone = level->cnt == 1;
  /* alone at the same price: the level vanishes and comes back, which needs no room */
  if (!(alone && level->px == event->px) && place_find(books, side, key, alone) == UINT32_MAX)
    return HWGW_CNT_BOOK_DROP_FULL;

  const struct hwgw_book_level *best = &books->level[side->best];
  uint64_t best_qty = best->qty;
  uint32_t best_px = best->px, best_cnt = best->cnt;
  order_unlink(books, side, side_idx, number);
  index_erase(books, at);
  order->ref = event->ref_new;
  order->qty = event->qty;
  index_insert(books, event->ref_new, number);
  order_append(books, side, side_idx, number, event->px, side->cnt ? ladder_above(side, key) : 0);
  best = &books->level[side->best];
  *top_changed = best->px != best_px || best->qty != best_qty || best->cnt != best_cnt;
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
  books->index = array_place(base, &offset, (uint64_t)books->index_mask + 1, sizeof *books->index);
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
    slab->base = array_place(base, &offset, slab->max, 2 * cap * sizeof(uint32_t));
    if (cap >= books->side_levels_max) break;
  }
  return offset;
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
  uint32_t index_bits = 6;
  while ((1u << index_bits) < 2 * cfg->orders_max) index_bits++;
  books->index_mask = (1u << index_bits) - 1;
  books->index_shift = 32 - (index_bits - 3);

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
  if (cfg->huge_pages) madvise(books->map, books->map_sz, MADV_HUGEPAGE); /* advice: small pages are right as well */
  arrays_place(books, books->map, (uint32_t)levels);
  *out = books;
  return HWGW_OK;
}

void hwgw_books_close(struct hwgw_books *books) {
  if (!books) return;
  munmap(books->map, books->map_sz);
  free(books);
}

void hwgw_books_clear(struct hwgw_books *books) {
  memset(books->index, 0, ((size_t)books->index_mask + 1) * sizeof *books->index);
  memset(books->book, 0, books->instrument_cnt * sizeof *books->book);
  books->order_free = books->order_used = 0;
  books->level_free = books->level_used = 0;
  books->live = 0;
  for (uint32_t i = 0; i < books->slab_cnt; i++) books->slab[i].used = books->slab[i].free = 0;
}
