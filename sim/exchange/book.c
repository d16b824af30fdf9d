/* book.c: the order books of the simulated exchange: price levels in a treap, orders in time order within a level.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: every symbol shares one pool of orders and one of levels, both bounded at init. Finding a level costs
 * O(log levels), one step when it is the last that was found at its price modulo 64 ticks; the best level and the next
 * one are one step away. A level holds two queues: displayed orders trade
 * before hidden ones of the same price. Full pools refuse; nothing is evicted.
 */
#include "exchange.h"

bool sim_book_init(struct sim_book *book, uint32_t symbol_cnt, uint32_t orders_max) {
  memset(book, 0, sizeof *book);
  book->symbol_cnt = symbol_cnt;
  book->orders_max = orders_max;
  book->order_free = book->level_free = SIM_NIL;
  book->orders = sim_memory((size_t)orders_max * sizeof *book->orders);
  book->levels = sim_memory((size_t)orders_max * sizeof *book->levels);
  book->halves = sim_memory((size_t)symbol_cnt * 2 * sizeof *book->halves);
  if (!book->orders || !book->levels || !book->halves) return false;
  memset(book->halves, 0xFF, (size_t)symbol_cnt * 2 * sizeof *book->halves); /* SIM_NIL throughout */
  return true;
}

void sim_book_fini(struct sim_book *book) {
  sim_memory_free(book->orders, (size_t)book->orders_max * sizeof *book->orders);
  sim_memory_free(book->levels, (size_t)book->orders_max * sizeof *book->levels);
  sim_memory_free(book->halves, (size_t)book->symbol_cnt * 2 * sizeof *book->halves);
  memset(book, 0, sizeof *book);
}

/* ---- levels ---- */

static uint32_t key_of(uint32_t side, uint32_t px) {
  return side == SIM_SELL ? px : ~px;
}

/* any mixing of the key keeps the treap shallow, whatever the order of insertion */
static uint32_t priority_of(uint32_t key) {
  uint64_t v = (key + 1) * 0x9E3779B97F4A7C15u;
  return (uint32_t)((v ^ v >> 29) * 0xBF58476D1CE4E5B9u >> 32);
}

static void tree_insert(struct sim_level *levels, uint32_t *link, uint32_t added) {
  uint32_t key = levels[added].key;
  while (*link != SIM_NIL && levels[*link].priority >= levels[added].priority)
    link = levels[*link].key < key ? &levels[*link].right : &levels[*link].left;
  uint32_t rest = *link;
  uint32_t *left = &levels[added].left;
  uint32_t *right = &levels[added].right;
  *link = added;
  while (rest != SIM_NIL) { /* splits what was here into smaller and larger keys */
    if (levels[rest].key < key) {
      *left = rest;
      left = &levels[rest].right;
      rest = *left;
    } else {
      *right = rest;
      right = &levels[rest].left;
      rest = *right;
    }
  }
  *left = *right = SIM_NIL;
}

static void tree_remove(struct sim_level *levels, uint32_t *link, uint32_t removed) {
  while (*link != removed) link = levels[*link].key < levels[removed].key ? &levels[*link].right : &levels[*link].left;
  uint32_t left = levels[removed].left;
  uint32_t right = levels[removed].right;
  while (left != SIM_NIL && right != SIM_NIL) { /* joins both subtrees */
    if (levels[left].priority >= levels[right].priority) {
      *link = left;
      link = &levels[left].right;
      left = *link;
    } else {
      *link = right;
      link = &levels[right].left;
      right = *link;
    }
  }
  *link = left != SIM_NIL ? left : right;
}

static uint32_t level_find(struct sim_book *book, struct sim_half *half, uint32_t side, uint32_t px) {
  struct sim_level *levels = book->levels;
  uint32_t key = key_of(side, px);
  uint32_t better = SIM_NIL;
  uint32_t worse = SIM_NIL;
  for (uint32_t at = half->root; at != SIM_NIL;) {
    if (levels[at].key == key) return at;
    if (levels[at].key < key) {
      better = at;
      at = levels[at].right;
    } else {
      worse = at;
      at = levels[at].left;
    }
  }
  uint32_t level = book->level_free;
  if (level != SIM_NIL)
    book->level_free = levels[level].worse;
  else
    level = book->level_fresh++; /* there are as many as orders, and the caller has one order */
  levels[level] = (struct sim_level){.key = key,
                                     .px = px,
                                     .priority = priority_of(key),
                                     .left = SIM_NIL,
                                     .right = SIM_NIL,
                                     .better = better,
                                     .worse = worse,
                                     .head = {SIM_NIL, SIM_NIL},
                                     .tail = {SIM_NIL, SIM_NIL}};
  if (better != SIM_NIL)
    levels[better].worse = level;
  else
    half->best = level;
  if (worse != SIM_NIL) levels[worse].better = level;
  tree_insert(levels, &half->root, level);
  return level;
}

static uint32_t *near_of(struct sim_half *half, uint32_t px) {
  return &half->near[px / SIM_TICK % SIM_NEAR];
}

static uint32_t level_get(struct sim_book *book, struct sim_half *half, uint32_t side, uint32_t px) {
  uint32_t *near = near_of(half, px);
  if (*near == SIM_NIL || book->levels[*near].px != px) *near = level_find(book, half, side, px);
  return *near;
}

static void level_drop(struct sim_book *book, struct sim_half *half, uint32_t level) {
  struct sim_level *levels = book->levels;
  uint32_t *near = near_of(half, levels[level].px);
  if (*near == level) *near = SIM_NIL;
  uint32_t better = levels[level].better;
  uint32_t worse = levels[level].worse;
  tree_remove(levels, &half->root, level);
  if (better != SIM_NIL)
    levels[better].worse = worse;
  else
    half->best = worse;
  if (worse != SIM_NIL) levels[worse].better = better;
  levels[level].worse = book->level_free;
  book->level_free = level;
}

/* ---- orders ---- */

uint32_t sim_book_add(struct sim_book *book, const struct sim_order *order) {
  uint32_t index = book->order_free;
  if (index != SIM_NIL)
    book->order_free = book->orders[index].next;
  else if (book->order_fresh < book->orders_max)
    index = book->order_fresh++;
  else
    return SIM_NIL;
  struct sim_half *half = &book->halves[order->symbol * 2 + order->side];
  uint32_t at = level_get(book, half, order->side, order->px);
  struct sim_level *level = &book->levels[at];
  uint32_t queue = order->flags & SIM_HIDDEN ? 1 : 0;
  struct sim_order *added = &book->orders[index];
  *added = *order;
  added->level = at;
  added->next = SIM_NIL;
  added->prev = level->tail[queue];
  if (added->prev != SIM_NIL)
    book->orders[added->prev].next = index;
  else
    level->head[queue] = index;
  level->tail[queue] = index;
  book->live++;
  book->hidden += queue;
  return index;
}

void sim_book_remove(struct sim_book *book, uint32_t index) {
  struct sim_order *order = &book->orders[index];
  struct sim_level *level = &book->levels[order->level];
  uint32_t queue = order->flags & SIM_HIDDEN ? 1 : 0;
  if (order->prev != SIM_NIL)
    book->orders[order->prev].next = order->next;
  else
    level->head[queue] = order->next;
  if (order->next != SIM_NIL)
    book->orders[order->next].prev = order->prev;
  else
    level->tail[queue] = order->prev;
  if (level->head[0] == SIM_NIL && level->head[1] == SIM_NIL)
    level_drop(book, &book->halves[order->symbol * 2 + order->side], order->level);
  order->next = book->order_free;
  book->order_free = index;
  book->live--;
  book->hidden -= queue;
}

static uint32_t level_front(const struct sim_level *level) {
  return level->head[0] != SIM_NIL ? level->head[0] : level->head[1];
}

uint32_t sim_book_front(const struct sim_book *book, uint32_t symbol, uint32_t side) {
  uint32_t best = book->halves[symbol * 2 + side].best;
  return best == SIM_NIL ? SIM_NIL : level_front(&book->levels[best]);
}

uint32_t sim_book_after(const struct sim_book *book, uint32_t index) {
  const struct sim_order *order = &book->orders[index];
  const struct sim_level *level = &book->levels[order->level];
  if (order->next != SIM_NIL) return order->next;
  if (!(order->flags & SIM_HIDDEN) && level->head[1] != SIM_NIL) return level->head[1];
  return level->worse == SIM_NIL ? SIM_NIL : level_front(&book->levels[level->worse]);
}

/* ---- hash: FNV-1a 64 over what hwgw_books_hash names; displayed orders alone ---- */

static uint64_t hash_le(uint64_t hash, uint64_t value, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i++) hash = (hash ^ (value >> (8 * i) & 0xFF)) * 0x100000001b3u;
  return hash;
}

uint64_t sim_book_hash(const struct sim_book *book) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (uint32_t symbol = 0; symbol < book->symbol_cnt; symbol++)
    for (uint32_t side = 0; side < 2; side++)
      for (uint32_t at = sim_book_front(book, symbol, side); at != SIM_NIL; at = sim_book_after(book, at)) {
        const struct sim_order *order = &book->orders[at];
        if (order->flags & SIM_HIDDEN) continue;
        hash = hash_le(hash, symbol, 4);
        hash = hash_le(hash, side + 1, 1); /* enum hwgw_order_side: 1 buy, 2 sell */
        hash = hash_le(hash, order->px, 4);
        hash = hash_le(hash, order->ref, 8);
        hash = hash_le(hash, order->qty, 4);
      }
  return hash;
}
