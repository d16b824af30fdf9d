/* book_view.c: what can be read out of the books: top, depth, orders, hash.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: books and an instrument; one that is not subscribed has an empty book. Nothing is changed or allocated.
 * Thread: the owner of the books.
 */
#include "book.h"

/* the ladder of a side by enum hwgw_order_side, or NULL */
static const struct hwgw_book_side *side_of(const struct hwgw_books *books, uint32_t instrument, uint32_t side) {
  uint32_t side_idx = side - (uint32_t)HWGW_ORDER_SIDE_BUY;
  if (instrument >= books->instrument_cnt || side_idx >= HWGW_BOOK_SIDES) return NULL;
  return &books->book[instrument].side[side_idx];
}

/* the n-th best level */
static const struct hwgw_book_level *level_at(const struct hwgw_books *books, const struct hwgw_book_side *side,
                                              uint32_t n) {
  return &books->level[(uint32_t)side->ladder[side->cnt - 1 - n]];
}

void hwgw_books_top(const struct hwgw_books *books, uint32_t instrument, struct hwgw_tob *top) {
  static const struct hwgw_book nothing;
  const struct hwgw_book *book = instrument < books->instrument_cnt ? &books->book[instrument] : &nothing;
  /* level 0 is never used and stays all 0 */
  const struct hwgw_book_level *bid = &books->level[book->side[0].best];
  const struct hwgw_book_level *ask = &books->level[book->side[1].best];
  top->bid_px = bid->px;
  top->ask_px = ask->px;
  top->bid_qty = bid->qty;
  top->ask_qty = ask->qty;
  top->bid_cnt = bid->cnt;
  top->ask_cnt = ask->cnt;
  top->last_px = book->last_px;
  top->last_qty = book->last_qty;
  top->update_cnt = book->update_cnt;
}

uint32_t hwgw_books_depth(const struct hwgw_books *books, uint32_t instrument, uint32_t side_code,
                          struct hwgw_level *levels, uint32_t max) {
  const struct hwgw_book_side *side = side_of(books, instrument, side_code);
  if (!side) return 0;
  uint32_t cnt = side->cnt < max ? side->cnt : max;
  for (uint32_t i = 0; i < cnt; i++) {
    const struct hwgw_book_level *level = level_at(books, side, i);
    levels[i] = (struct hwgw_level){.px = level->px, .cnt = level->cnt, .qty = level->qty};
  }
  return cnt;
}

uint32_t hwgw_books_orders(const struct hwgw_books *books, uint32_t instrument, uint32_t side_code,
                           struct hwgw_book_order *orders, uint32_t max) {
  const struct hwgw_book_side *side = side_of(books, instrument, side_code);
  uint32_t cnt = 0;
  for (uint32_t i = 0; side && i < side->cnt; i++) {
    const struct hwgw_book_level *level = level_at(books, side, i);
    for (uint32_t number = level->head; number; number = books->order[number].next) {
      const struct hwgw_book_record *order = &books->order[number];
      if (cnt < max) orders[cnt] = (struct hwgw_book_order){.ref = order->ref, .qty = order->qty, .px = level->px};
      cnt++;
    }
  }
  return cnt;
}

static uint64_t hash_instrument(const struct hwgw_books *books, uint32_t instrument, uint64_t hash) {
  for (uint32_t side_code = HWGW_ORDER_SIDE_BUY; side_code <= HWGW_ORDER_SIDE_SELL; side_code++) {
    const struct hwgw_book_side *side = side_of(books, instrument, side_code);
    for (uint32_t i = 0; i < side->cnt; i++) {
      const struct hwgw_book_level *level = level_at(books, side, i);
      for (uint32_t number = level->head; number; number = books->order[number].next) {
        const struct hwgw_book_record *order = &books->order[number];
        uint8_t side_byte = (uint8_t)side_code;
        hash = hwgw_fnv(hash, &instrument, sizeof instrument);
        hash = hwgw_fnv(hash, &side_byte, sizeof side_byte);
        hash = hwgw_fnv(hash, &level->px, sizeof level->px);
        hash = hwgw_fnv(hash, &order->ref, sizeof order->ref);
        hash = hwgw_fnv(hash, &order->qty, sizeof order->qty);
      }
    }
  }
  return hash;
}

uint64_t hwgw_books_hash(const struct hwgw_books *books) {
  uint64_t hash = HWGW_FNV_BASIS;
  for (uint32_t i = 0; i < books->instrument_cnt; i++) hash = hash_instrument(books, i, hash);
  return hash;
}

uint64_t hwgw_books_hash_instrument(const struct hwgw_books *books, uint32_t instrument) {
  return instrument < books->instrument_cnt ? hash_instrument(books, instrument, HWGW_FNV_BASIS) : HWGW_FNV_BASIS;
}
