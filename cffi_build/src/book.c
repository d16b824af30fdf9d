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
 * Cost: one line of the index, one or two of the level, one of the side; the ladder only for a price behind the best
 * seven. No allocation, no system call. Thread: the owner of the books.
 */
#include "book.h"

/* ---- index: reference to order ---- */

struct entry {
  uint32_t at;   /* word of the buckets */
  uint32_t cell; /* 0: there is none */
};

/* the number of the level whose live order this cell is when it has this reference and instrument, else 0 */
static inline uint32_t cell_level(const struct hwgw_books *books, uint32_t cell, uint64_t ref, uint32_t instrument) {
  const union hwgw_book_block *block = hwgw_book_block_of(books, cell);
  const struct hwgw_book_cell *order = hwgw_book_cell(books, cell);
  uint32_t level = hwgw_book_level_of(books, cell);
  uint32_t owner = books->block[level].owner & ~HWGW_BOOK_IS_LEVEL;
  uint32_t differs =
      (order->ref ^ (uint32_t)ref) | (block->ref_high ^ (uint32_t)(ref >> 32)) | (owner >> 1 ^ instrument);
  return HWGW_LIKELY(!differs) ? level : 0; /* cell 0 is of level 0 */
}

/* the live order with this reference and instrument, from its home bucket on */
static struct entry index_walk(const struct hwgw_books *books, uint64_t ref, uint32_t instrument, uint32_t home) {
  uint32_t check = hwgw_book_check(ref), mask = books->bucket_mask;
  for (;; home = (home + 1) & mask) {
    const struct hwgw_book_bucket *bucket = &books->bucket[home];
    uint32_t found = hwgw_book_lanes_equal(hwgw_book_lanes(bucket->check), check);
    for (; found; found &= found - 1) {
      uint32_t at = (uint32_t)__builtin_ctz(found), cell = bucket->number[at];
      if (HWGW_LIKELY(cell && cell_level(books, cell, ref, instrument)))
        return (struct entry){home * HWGW_BOOK_BUCKET_WORDS + HWGW_BOOK_BUCKET_NUMBER + at, cell};
    }
    if (HWGW_LIKELY(!bucket->passed)) return (struct entry){0};
  }
}

static inline struct entry index_find(const struct hwgw_books *books, uint64_t ref, uint32_t instrument) {
  return index_walk(books, ref, instrument, hwgw_book_home(books, hwgw_book_check(ref)));
}

/* is an order with this reference and instrument live? Mostly the home bucket alone tells that none is */
static inline bool index_has(const struct hwgw_books *books, uint64_t ref, uint32_t instrument, uint32_t home) {
  const struct hwgw_book_bucket *bucket = &books->bucket[home];
  uint32_t found = hwgw_book_lanes_equal(hwgw_book_lanes(bucket->check), hwgw_book_check(ref));
  return HWGW_UNLIKELY(found | bucket->passed) && index_walk(books, ref, instrument, home).cell;
}

/* there are more entries than orders may live, so one is free */
static inline void index_insert(struct hwgw_books *books, uint64_t ref, uint32_t home, uint32_t cell) {
  for (;; home = (home + 1) & books->bucket_mask) {
    struct hwgw_book_bucket *bucket = &books->bucket[home];
    uint32_t free = hwgw_book_lanes_equal(hwgw_book_lanes(bucket->number), 0);
    if (HWGW_LIKELY(free)) {
      uint32_t at = (uint32_t)__builtin_ctz(free);
      bucket->check[at] = hwgw_book_check(ref);
      bucket->number[at] = cell;
      return;
    }
    bucket->passed++;
  }
}

static inline void index_erase(struct hwgw_books *books, uint32_t home, uint32_t at) {
  *hwgw_book_entry(books, at) = 0;
  for (; HWGW_UNLIKELY(home != at / HWGW_BOOK_BUCKET_WORDS); home = (home + 1) & books->bucket_mask)
    books->bucket[home].passed--;
}

/* ---- blocks ---- */

/* A level and a chained block each hold an order, so there are never more than twice orders_max: this cannot fail. */
static inline uint32_t block_take(struct hwgw_books *books) {
  uint32_t number = books->block_free;
  if (HWGW_LIKELY(number)) {
    books->block_free = books->block[number].next;
    hwgw_prefetch(&books->block[books->block_free]);
  } else {
    number = ++books->block_used;
  }
  return number;
}

static inline void block_give(struct hwgw_books *books, uint32_t number) {
  books->block[number].next = books->block_free;
  books->block_free = number;
}

/* chains an empty block behind the last one of a level */
static void block_chain(struct hwgw_books *books, uint32_t level_number, uint32_t last, uint32_t ref_high) {
  union hwgw_book_block *level = &books->block[level_number];
  uint32_t number = block_take(books);
  union hwgw_book_block *block = &books->block[number];
  memset(block, 0, sizeof *block);
  block->owner = level_number << 1 | (level->owner & 1);
  block->ref_high = ref_high;
  block->tail = last;
  books->block[last].next = number;
  level->tail = number * HWGW_BOOK_CELLS + HWGW_BOOK_CELL_NEXT;
}

/* takes a block without orders out of its level; what comes next at the end of a level opens a new block */
static void block_unchain(struct hwgw_books *books, union hwgw_book_block *level, uint32_t number) {
  uint32_t before = books->block[number].tail, next = books->block[number].next;
  books->block[before].next = next;
  if (next)
    books->block[next].tail = before;
  else
    level->tail = (before + 1) * HWGW_BOOK_CELLS;
  block_give(books, number);
}

static inline bool block_is_empty(const union hwgw_book_block *block) {
  const __m128i *two = (const __m128i *)&block->cell[HWGW_BOOK_CELL_NEXT];
  __m128i any = _mm_or_si128(_mm_or_si128(two[0], two[1]), two[2]);
  return _mm_testz_si128(any, _mm_set_epi32(-1, 0, -1, 0)) != 0;
}

/* ---- the line of a side ---- */

/* puts a price at its place; the line is not full */
static inline void near_insert(struct hwgw_book_side *side, uint32_t at, uint32_t key, uint32_t level) {
  const __m128i low = _mm_setr_epi32(0, 1, 2, 3), high = _mm_setr_epi32(3, 4, 5, 6);
  __m128i place = _mm_set1_epi32((int32_t)at);
  __m128i low_new = _mm_cmpeq_epi32(low, place), high_new = _mm_cmpeq_epi32(high, place);
  __m128i low_moves = _mm_cmpgt_epi32(low, place), high_moves = _mm_cmpgt_epi32(high, place);
  struct hwgw_book_lanes keys = hwgw_book_lanes(side->key), levels = hwgw_book_lanes(side->level);
  struct hwgw_book_lanes keys_before = hwgw_book_lanes((const uint8_t *)side->key - sizeof *side->key);
  struct hwgw_book_lanes levels_before = hwgw_book_lanes((const uint8_t *)side->level - sizeof *side->level);
  __m128i new_key = _mm_set1_epi32(hwgw_book_near_key(key)), new_level = _mm_set1_epi32((int32_t)level);
#define PLACED(half, what) \
  _mm_blendv_epi8(_mm_blendv_epi8(what##s.half, what##s_before.half, half##_moves), new_##what, half##_new)
  __m128i key_low = PLACED(low, key), key_high = PLACED(high, key);
  __m128i level_low = PLACED(low, level), level_high = PLACED(high, level);
#undef PLACED
  _mm_storeu_si128((__m128i_u *)side->key, key_low);
  _mm_storeu_si128((__m128i_u *)&side->key[3], key_high);
  _mm_storeu_si128((__m128i_u *)side->level, level_low);
  _mm_storeu_si128((__m128i_u *)&side->level[3], level_high);
  side->state++;
}

/* takes a price out of its place */
static inline void near_remove(struct hwgw_book_side *side, uint32_t at) {
  const __m128i low = _mm_setr_epi32(0, 1, 2, 3), high = _mm_setr_epi32(3, 4, 5, 6);
  __m128i place = _mm_set1_epi32((int32_t)at);
  __m128i low_stays = _mm_cmplt_epi32(low, place), high_stays = _mm_cmplt_epi32(high, place);
  struct hwgw_book_lanes keys = hwgw_book_lanes(side->key), levels = hwgw_book_lanes(side->level);
#define CLOSED(half, what, behind) _mm_blendv_epi8(behind, what##s.half, half##_stays)
  __m128i key_low = CLOSED(low, key, _mm_loadu_si128((const __m128i_u *)&side->key[1]));
  __m128i key_high = CLOSED(high, key, _mm_srli_si128(keys.high, sizeof *side->key));
  __m128i level_low = CLOSED(low, level, _mm_loadu_si128((const __m128i_u *)&side->level[1]));
  __m128i level_high = CLOSED(high, level, _mm_srli_si128(levels.high, sizeof *side->level));
#undef CLOSED
  _mm_storeu_si128((__m128i_u *)side->key, key_low);
  _mm_storeu_si128((__m128i_u *)&side->key[3], key_high);
  _mm_storeu_si128((__m128i_u *)side->level, level_low);
  _mm_storeu_si128((__m128i_u *)&side->level[3], level_high);
  side->state--;
}

/* ---- levels ---- */

/* where a price is on a side, or would be */
static inline struct hwgw_book_place place_find(const struct hwgw_books *books, uint32_t side_number, uint32_t key) {
  const struct hwgw_book_side *side = &books->side[side_number];
  struct hwgw_book_place place = hwgw_book_near_find(side, key);
  uint32_t is_behind = place.above == hwgw_book_near_cnt(side), has_far = hwgw_book_has_far(side);
  if (HWGW_UNLIKELY(is_behind & has_far)) /* one branch: either alone cannot be predicted */
    place.level = hwgw_book_far_find(books, side_number, key);
  return place;
}

/* is this the level of a price? Any number of a block may be asked about */
static inline bool level_is(const struct hwgw_books *books, uint32_t number, uint32_t side_number, uint32_t px) {
  const union hwgw_book_block *level = &books->block[number];
  return ((level->owner ^ (HWGW_BOOK_IS_LEVEL | side_number)) | (level->px ^ px)) == 0;
}

/* may one more price come after `leaves` have gone? Room in the ladder is made sure of */
static inline bool level_room(struct hwgw_books *books, uint32_t side_number, uint32_t leaves) {
  const struct hwgw_book_side *side = &books->side[side_number];
  uint32_t cnt = hwgw_book_near_cnt(side);
  if (HWGW_UNLIKELY(hwgw_book_has_far(side))) cnt += books->ladder[side_number].cnt;
  if (HWGW_UNLIKELY(cnt - leaves >= books->side_levels_max)) return false;
  return HWGW_LIKELY(cnt < HWGW_BOOK_NEAR) || hwgw_book_far_room(books, side_number, HWGW_BOOK_NEAR_OUT + 1);
}

/* a new level with its first order, whose cell is returned; there is room */
static inline uint32_t level_open(struct hwgw_books *books, uint32_t side_number, uint32_t above, uint32_t key,
                                  uint32_t px, uint64_t ref, uint32_t qty) {
  uint32_t number = block_take(books);
  struct hwgw_book_side *side = &books->side[side_number];
  uint32_t cnt = hwgw_book_near_cnt(side);
  if (HWGW_UNLIKELY(above == cnt && hwgw_book_has_far(side))) {
    hwgw_book_far_insert(books, side_number, key, number);
  } else {
    if (HWGW_UNLIKELY(cnt == HWGW_BOOK_NEAR)) {
      hwgw_book_near_out(books, side_number);
      cnt = hwgw_book_near_cnt(side);
    }
    if (HWGW_LIKELY(above <= cnt))
      near_insert(side, above, key, number);
    else
      hwgw_book_far_insert(books, side_number, key, number);
  }
  uint32_t cell = number * HWGW_BOOK_CELLS + HWGW_BOOK_CELL_LEVEL;
  union hwgw_book_block *level = &books->block[number];
  memset(level, 0, sizeof *level);
  level->owner = HWGW_BOOK_IS_LEVEL | side_number;
  level->ref_high = (uint32_t)(ref >> 32);
  level->tail = cell + 1;
  level->qty = qty;
  level->px = px;
  level->cnt = 1;
  level->cell[HWGW_BOOK_CELL_LEVEL] = (struct hwgw_book_cell){.ref = (uint32_t)ref, .qty = qty};
  books->guess[hwgw_book_guess(books, side_number >> 1, px)] = number;
  return cell;
}

/* removes a level without orders, which is one block by now */
static inline void level_close(struct hwgw_books *books, uint32_t side_number, uint32_t number) {
  struct hwgw_book_side *side = &books->side[side_number];
  uint32_t near_cnt = hwgw_book_near_cnt(side);
  uint32_t found = hwgw_book_lanes_equal(hwgw_book_lanes(side->level), number) & ((1u << near_cnt) - 1);
  if (HWGW_LIKELY(found)) {
    near_remove(side, (uint32_t)__builtin_ctz(found));
    if (HWGW_UNLIKELY(near_cnt == 1 && hwgw_book_has_far(side))) hwgw_book_near_in(books, side_number);
  } else {
    hwgw_book_far_remove(books, side_number, hwgw_book_key(side_number & 1, books->block[number].px));
  }
  books->block[number].owner = 0; /* for hints */
  block_give(books, number);
}

/* puts an order last in a level; returns its cell */
static inline uint32_t level_append(struct hwgw_books *books, uint32_t number, uint64_t ref, uint32_t qty) {
  union hwgw_book_block *level = &books->block[number];
  uint32_t last = (level->tail - 1) / HWGW_BOOK_CELLS, ref_high = (uint32_t)(ref >> 32);
  if (level->tail % HWGW_BOOK_CELLS == 0 || HWGW_UNLIKELY(books->block[last].ref_high != ref_high))
    block_chain(books, number, last, ref_high);
  uint32_t cell = level->tail++;
  *hwgw_book_cell(books, cell) = (struct hwgw_book_cell){.ref = (uint32_t)ref, .qty = qty};
  level->qty += qty;
  level->cnt++;
  return cell;
}

/* takes an order out of its level, and a level out of its side when it was the last one */
static inline __attribute__((always_inline)) void order_end(struct hwgw_books *books, uint32_t side_number,
                                                            uint32_t level_number, uint32_t cell) {
  union hwgw_book_block *level = &books->block[level_number];
  struct hwgw_book_cell *order = hwgw_book_cell(books, cell);
  uint32_t block = cell / HWGW_BOOK_CELLS;
  level->qty -= order->qty;
  order->qty = 0;
  if (block != level_number && block_is_empty(&books->block[block])) block_unchain(books, level, block);
  if (--level->cnt == 0) level_close(books, side_number, level_number);
}

/* ---- the events ---- */

static inline uint32_t apply_add(struct hwgw_books *books, const struct hwgw_event *event, struct hwgw_book_hint hint,
                                 bool *top_changed) {
  uint32_t side_idx = event->side - (uint32_t)HWGW_EVENT_SIDE_BUY, home = hint.entry / HWGW_BOOK_BUCKET_WORDS;
  if (HWGW_UNLIKELY(index_has(books, event->ref, event->instrument, home))) return HWGW_CNT_BOOK_DROP_DUPLICATE_REF;
  if (HWGW_UNLIKELY(!event->qty)) return HWGW_CNT_BOOK_DROP_QUANTITY;
  if (HWGW_UNLIKELY(side_idx >= HWGW_BOOK_SIDES)) return HWGW_CNT_BOOK_DROP_SIDE;
  if (HWGW_UNLIKELY(books->live == books->orders_max)) return HWGW_CNT_BOOK_DROP_FULL;
  uint32_t side_number = event->instrument << 1 | side_idx, level = hint.level, cell;
  struct hwgw_book_side *side = &books->side[side_number];
  if (level_is(books, level, side_number, event->px)) {
    cell = level_append(books, level, event->ref, event->qty);
  } else {
    uint32_t key = hwgw_book_key(side_idx, event->px);
    struct hwgw_book_place place = place_find(books, side_number, key);
    level = place.level;
    if (HWGW_UNLIKELY(level)) {
      cell = level_append(books, level, event->ref, event->qty);
      books->guess[hwgw_book_guess(books, event->instrument, event->px)] = level;
    } else {
      if (HWGW_UNLIKELY(!level_room(books, side_number, 0))) return HWGW_CNT_BOOK_DROP_FULL;
      cell = level_open(books, side_number, place.above, key, event->px, event->ref, event->qty);
      level = cell / HWGW_BOOK_CELLS;
    }
  }
  index_insert(books, event->ref, home, cell);
  books->live++;
  *top_changed = side->level[0] == level;
  side->state += HWGW_BOOK_STATE_UPDATE;
  return HWGW_CNT_BOOK_UPDATES;
}

/* a live order that an event names */
struct named {
  uint32_t at; /* index entry */
  uint32_t cell;
  uint32_t level; /* 0: there is no such order */
};

static inline struct named named_find(const struct hwgw_books *books, const struct hwgw_event *event, uint32_t hinted) {
  struct named order = {.at = hinted, .cell = *hwgw_book_entry(books, hinted)};
  order.level = cell_level(books, order.cell, event->ref, event->instrument);
  if (HWGW_LIKELY(order.level)) return order;
  struct entry entry = index_walk(books, event->ref, event->instrument, hinted / HWGW_BOOK_BUCKET_WORDS);
  return (struct named){entry.at, entry.cell, hwgw_book_level_of(books, entry.cell)};
}

/* execute, execute with price, reduce, delete: take qty shares, or all, from an order */
static inline uint32_t apply_take(struct hwgw_books *books, struct hwgw_event *event, struct hwgw_book_hint hint,
                                  bool *top_changed) {
  struct named named = named_find(books, event, hint.entry);
  if (HWGW_UNLIKELY(!named.level)) return HWGW_CNT_BOOK_DROP_UNKNOWN_REF;
  struct hwgw_book_cell *order = hwgw_book_cell(books, named.cell);
  uint32_t qty = event->kind == HWGW_EVENT_KIND_DELETE ? order->qty : event->qty;
  if (HWGW_UNLIKELY(!qty || qty > order->qty)) return HWGW_CNT_BOOK_DROP_QUANTITY;

  union hwgw_book_block *level = &books->block[named.level];
  uint32_t side_number = level->owner & ~HWGW_BOOK_IS_LEVEL;
  struct hwgw_book_side *side = &books->side[side_number];
  *top_changed = named.level == side->level[0];
  side->state += HWGW_BOOK_STATE_UPDATE;
  if (event->kind == HWGW_EVENT_KIND_EXECUTE || event->kind == HWGW_EVENT_KIND_EXECUTE_WITH_PRICE) {
    if (!event->px) event->px = level->px;
    event->side = (uint8_t)(HWGW_EVENT_SIDE_BUY + (side_number & 1));
    if (event->flags & HWGW_EVENT_FLAGS_PRINTABLE)
      books->trade[event->instrument] = (struct hwgw_book_trade){.px = event->px, .qty = qty};
  }
  if (qty < order->qty) {
    order->qty -= qty;
    level->qty -= qty;
    return HWGW_CNT_BOOK_UPDATES;
  }
  index_erase(books, hint.entry / HWGW_BOOK_BUCKET_WORDS, named.at);
  order_end(books, side_number, named.level, named.cell);
  books->live--;
  return HWGW_CNT_BOOK_UPDATES;
}

static inline uint32_t apply_replace(struct hwgw_books *books, const struct hwgw_event *event,
                                     struct hwgw_book_hint hint, bool *top_changed) {
  struct named named = named_find(books, event, hint.entry);
  if (HWGW_UNLIKELY(!named.level)) return HWGW_CNT_BOOK_DROP_UNKNOWN_REF;
  uint32_t home_new = hwgw_book_home(books, hwgw_book_check(event->ref_new));
  if (HWGW_UNLIKELY(index_has(books, event->ref_new, event->instrument, home_new)))
    return HWGW_CNT_BOOK_DROP_DUPLICATE_REF;
  if (HWGW_UNLIKELY(!event->qty)) return HWGW_CNT_BOOK_DROP_QUANTITY;

  const union hwgw_book_block *level = &books->block[named.level];
  uint32_t side_number = level->owner & ~HWGW_BOOK_IS_LEVEL;
  struct hwgw_book_side *side = &books->side[side_number];
  uint32_t key = hwgw_book_key(side_number & 1, event->px);
  bool is_hinted = level_is(books, hint.level, side_number, event->px);
  uint32_t there = is_hinted ? hint.level : place_find(books, side_number, key).level;
  /* a new price needs a place, which the old one may leave; so does the old one when this is its last order: from the
   * line it may come back to the ladder */
  bool leaves = level->cnt == 1, opens = !there || (leaves && there == named.level);
  if (opens && HWGW_UNLIKELY(!level_room(books, side_number, leaves))) return HWGW_CNT_BOOK_DROP_FULL;

  union hwgw_book_block was = books->block[side->level[0]];
  index_erase(books, hint.entry / HWGW_BOOK_BUCKET_WORDS, named.at);
  order_end(books, side_number, named.level, named.cell);
  uint32_t cell;
  if (is_hinted && level_is(books, hint.level, side_number, event->px)) {
    cell = level_append(books, hint.level, event->ref_new, event->qty);
  } else {
    struct hwgw_book_place place = place_find(books, side_number, key);
    cell = place.level ? level_append(books, place.level, event->ref_new, event->qty)
                       : level_open(books, side_number, place.above, key, event->px, event->ref_new, event->qty);
  }
  index_insert(books, event->ref_new, home_new, cell);
  const union hwgw_book_block *best = &books->block[side->level[0]];
  *top_changed = best->px != was.px || best->qty != was.qty || best->cnt != was.cnt;
  side->state += HWGW_BOOK_STATE_UPDATE;
  return HWGW_CNT_BOOK_UPDATES;
}

uint32_t hwgw_book_apply(struct hwgw_books *books, struct hwgw_event *event, struct hwgw_book_hint hint,
                         bool *top_changed) {
  const uint32_t take_first = HWGW_EVENT_KIND_EXECUTE, take_last = HWGW_EVENT_KIND_DELETE, kind = event->kind;
  *top_changed = false;
  bool is_book = kind - HWGW_EVENT_KIND_ADD <= HWGW_EVENT_KIND_REPLACE - HWGW_EVENT_KIND_ADD;
  if (HWGW_UNLIKELY(event->instrument >= books->instrument_cnt))
    return is_book ? HWGW_CNT_BOOK_DROP_INSTRUMENT : HWGW_CNT_BOOK_IGNORED;
  if (kind == HWGW_EVENT_KIND_ADD) return apply_add(books, event, hint, top_changed);
  if (HWGW_LIKELY(kind - take_first <= take_last - take_first)) return apply_take(books, event, hint, top_changed);
  if (kind == HWGW_EVENT_KIND_REPLACE) return apply_replace(books, event, hint, top_changed);
  bool is_print = kind == HWGW_EVENT_KIND_TRADE || kind == HWGW_EVENT_KIND_CROSS;
  if (is_print && event->qty && event->flags & HWGW_EVENT_FLAGS_PRINTABLE)
    books->trade[event->instrument] = (struct hwgw_book_trade){.px = event->px, .qty = event->qty};
  return HWGW_CNT_BOOK_IGNORED;
}

_Static_assert(HWGW_EVENT_KIND_ADD + 1 == HWGW_EVENT_KIND_EXECUTE &&
                   HWGW_EVENT_KIND_EXECUTE + 1 == HWGW_EVENT_KIND_EXECUTE_WITH_PRICE &&
                   HWGW_EVENT_KIND_EXECUTE_WITH_PRICE + 1 == HWGW_EVENT_KIND_REDUCE &&
                   HWGW_EVENT_KIND_REDUCE + 1 == HWGW_EVENT_KIND_DELETE &&
                   HWGW_EVENT_KIND_DELETE + 1 == HWGW_EVENT_KIND_REPLACE,
               "the kinds that change orders in a row");

uint32_t hwgw_books_apply(struct hwgw_books *books, struct hwgw_event *event, bool *top_changed) {
  struct hwgw_book_hint first = hwgw_book_expect(books, event);
  return hwgw_book_apply(books, event, hwgw_book_expect_order(books, event, first), top_changed);
}

/* ---- one instrument ---- */

/* forgets every order of a level and gives its blocks back */
static void level_clear(struct hwgw_books *books, uint32_t number, uint32_t instrument) {
  for (uint32_t cell = hwgw_book_order_from(books, number, number * HWGW_BOOK_CELLS + HWGW_BOOK_CELL_LEVEL); cell;
       cell = hwgw_book_order_from(books, number, cell + 1)) {
    uint64_t ref = hwgw_book_ref(books, cell);
    index_erase(books, hwgw_book_home(books, hwgw_book_check(ref)), index_find(books, ref, instrument).at);
    books->live--;
  }
  books->block[number].owner = 0;
  while (number) {
    uint32_t next = books->block[number].next;
    block_give(books, number);
    number = next;
  }
}

void hwgw_books_clear_instrument(struct hwgw_books *books, uint32_t instrument) {
  if (instrument >= books->instrument_cnt) return;
  for (uint32_t side = instrument * HWGW_BOOK_SIDES; side < (instrument + 1) * HWGW_BOOK_SIDES; side++) {
    uint32_t cnt = hwgw_book_level_cnt(books, side);
    for (uint32_t n = 0; n < cnt; n++) level_clear(books, hwgw_book_level_at(books, side, n), instrument);
    hwgw_book_far_clear(books, side);
    books->side[side].state &= ~(uint64_t)(HWGW_BOOK_STATE_UPDATE - 1);
    books->side[side].level[0] = 0;
  }
}

uint32_t hwgw_book_find(const struct hwgw_books *books, uint64_t ref, uint32_t instrument) {
  return index_find(books, ref, instrument).cell;
}

uint32_t hwgw_books_live(const struct hwgw_books *books) {
  return books->live;
}
