/* venue_queue.c: our orders by price, and who of the feed stands in front of each.
 *
 * SPDX-License-Identifier: MIT
 *
 * When an order of ours comes to rest, every order of the feed at its price is in front of it, and all that come later are
 * behind. `ahead` remembers of each order of the feed the serial of the first own one that found it there; so one entry
 * serves any number of own orders at a price. It is forgotten when it leaves the book, or when no own order is left at its
 * price. Cost: coming to rest, and leaving a price for good, one step per order of the feed there. Thread: the backtest's.
 */
#include "venue.h"

/* ---- the feed's level of a price ---- */

uint32_t venue_book_level(const struct hwgw_books *books, uint32_t side_number, uint32_t px) {
  const struct hwgw_book_side *side = &books->side[side_number];
  uint32_t key = hwgw_book_key(side_number & 1, px);
  struct hwgw_book_place place = hwgw_book_near_find(side, key);
  if (place.above == hwgw_book_near_cnt(side) && hwgw_book_has_far(side))
    return hwgw_book_far_find(books, side_number, key);
  return place.level;
}

/* ---- own levels ---- */

static uint32_t slot_of(uint32_t side_number, uint32_t px) {
  return (side_number * 0x9E3779B1u + px * 0x85EBCA6Bu) >> 7 & (VENUE_LEVEL_SLOTS - 1);
}

static uint32_t level_slot(const struct venue *v, uint32_t side_number, uint32_t px) {
  uint32_t at = slot_of(side_number, px);
  while (v->level_slot[at]) {
    const struct venue_level *level = &v->level[v->level_slot[at] - 1];
    if (level->side_number == side_number && level->px == px) break;
    at = (at + 1) & (VENUE_LEVEL_SLOTS - 1);
  }
  return at;
}

uint16_t venue_level_find(const struct venue *v, uint32_t side_number, uint32_t px) {
  return v->level_slot[level_slot(v, side_number, px)];
}

static void slot_erase(struct venue *v, uint32_t hole) {
  const uint32_t mask = VENUE_LEVEL_SLOTS - 1;
  for (uint32_t at = hole;;) {
    at = (at + 1) & mask;
    uint16_t index = v->level_slot[at];
    if (!index) break;
    uint32_t home = slot_of(v->level[index - 1].side_number, v->level[index - 1].px);
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    v->level_slot[hole] = index;
    hole = at;
  }
  v->level_slot[hole] = 0;
}

static uint16_t level_open(struct venue *v, uint32_t side_number, uint32_t px) {
  uint16_t index = v->level_free;
  struct venue_level *level = &v->level[index - 1];
  v->level_free = level->worse;
  uint16_t better = 0, worse = v->best[side_number];
  uint32_t key = hwgw_book_key(side_number & 1, px);
  while (worse && hwgw_book_key(side_number & 1, v->level[worse - 1].px) > key) {
    better = worse;
    worse = v->level[worse - 1].worse;
  }
  *level = (struct venue_level){.side_number = side_number, .px = px, .better = better, .worse = worse};
  *(better ? &v->level[better - 1].worse : &v->best[side_number]) = index;
  if (worse) v->level[worse - 1].better = index;
  v->level_slot[level_slot(v, side_number, px)] = index;
  return index;
}

/* every order of the feed at a price, first to last */
#define EACH_ORDER(books, number, cell)                                                                           \
  for (uint32_t cell =                                                                                            \
           (number) ? hwgw_book_order_from(books, number, (number) * HWGW_BOOK_CELLS + HWGW_BOOK_CELL_LEVEL) : 0; \
       cell; cell = hwgw_book_order_from(books, number, cell + 1))

static void level_close(struct venue *v, uint16_t index) {
  struct venue_level *level = &v->level[index - 1];
  uint32_t number = venue_book_level(v->books, level->side_number, level->px);
  EACH_ORDER(v->books, number, cell) {
    venue_refs_remove(&v->ahead, hwgw_book_ref(v->books, cell), level->side_number / HWGW_BOOK_SIDES);
  }
  *(level->better ? &v->level[level->better - 1].worse : &v->best[level->side_number]) = level->worse;
  if (level->worse) v->level[level->worse - 1].better = level->better;
  slot_erase(v, level_slot(v, level->side_number, level->px));
  level->worse = v->level_free;
  v->level_free = index;
}

/* ---- own orders ---- */

void venue_rest(struct venue *v, struct venue_order *order) {
  uint32_t side_number = order->instrument * HWGW_BOOK_SIDES + (order->side == HWGW_ORDER_SIDE_SELL);
  uint16_t index = venue_level_find(v, side_number, order->px);
  if (!index) index = level_open(v, side_number, order->px);
  struct venue_level *level = &v->level[index - 1];
  uint16_t own = (uint16_t)(order - v->order + 1);
  order->serial = ++v->serial;
  order->level = index;
  order->before = level->last;
  order->behind = 0;
  *(level->last ? &venue_order_at(v, level->last)->behind : &level->first) = own;
  level->last = own;
  order->ahead = 0;
  uint32_t number = venue_book_level(v->books, side_number, order->px);
  EACH_ORDER(v->books, number, cell) {
    uint64_t ref = hwgw_book_ref(v->books, cell);
    uint64_t taken = venue_refs_get(&v->taken, ref, order->instrument);
    order->ahead += venue_real(taken, hwgw_book_cell(v->books, cell)->qty);
    if (venue_refs_get(&v->ahead, ref, order->instrument)) continue;
    v->is_out_of_memory |= !venue_refs_put(&v->ahead, ref, order->instrument, order->serial);
  }
  v->busy[order->instrument]++;
  v->open_cnt++;
}

void venue_remove(struct venue *v, struct venue_order *order) {
  if (order->level) {
    struct venue_level *level = &v->level[order->level - 1];
    *(order->before ? &venue_order_at(v, order->before)->behind : &level->first) = order->behind;
    *(order->behind ? &venue_order_at(v, order->behind)->before : &level->last) = order->before;
    if (!level->first) level_close(v, order->level);
    v->busy[order->instrument]--;
    v->open_cnt--;
  }
  *order = (struct venue_order){0};
}
