/* book_view.c: what can be read out of the books: top, depth, orders, hash.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: books and an instrument; one that is not subscribed has an empty book. Nothing is changed or allocated.
 * Thread: the owner of the books.
 */
#include "book.h"

uint32_t hwgw_book_level_cnt(const struct hwgw_books *books, uint32_t side) {
  const struct hwgw_book_side *line = &books->side[side];
  return hwgw_book_near_cnt(line) + (hwgw_book_has_far(line) ? books->ladder[side].cnt : 0);
}

uint32_t hwgw_book_level_at(const struct hwgw_books *books, uint32_t side, uint32_t n) {
  const struct hwgw_book_side *line = &books->side[side];
  uint32_t near_cnt = hwgw_book_near_cnt(line);
  if (n < near_cnt) return line->level[n];
  const struct hwgw_book_ladder *ladder = &books->ladder[side];
  return (uint32_t)ladder->word[ladder->cnt - 1 - (n - near_cnt)];
}

uint32_t hwgw_book_order_from(const struct hwgw_books *books, uint32_t level, uint32_t cell) {
  uint32_t end = books->block[level].tail, block = (cell - 1) / HWGW_BOOK_CELLS;
  while (cell != end) {
    if (cell % HWGW_BOOK_CELLS == 0) {
      block = books->block[block].next;
      if (!block) return 0;
      cell = block * HWGW_BOOK_CELLS + HWGW_BOOK_CELL_NEXT;
      continue;
    }
    if (hwgw_book_cell(books, cell)->qty) return cell;
    cell++;
  }
  return 0;
}

/* the number of a side by enum hwgw_order_side, or UINT32_MAX */
static uint32_t side_of(const struct hwgw_books *books, uint32_t instrument, uint32_t side_code) {
  uint32_t side_idx = side_code - (uint32_t)HWGW_ORDER_SIDE_BUY;
  if (instrument >= books->instrument_cnt || side_idx >= HWGW_BOOK_SIDES) return UINT32_MAX;
  return instrument * HWGW_BOOK_SIDES + side_idx;
}

/* the first order of a level, and the one behind an order; 0 = none */
static uint32_t order_first(const struct hwgw_books *books, uint32_t level) {
  return hwgw_book_order_from(books, level, level * HWGW_BOOK_CELLS + HWGW_BOOK_CELL_LEVEL);
}

static uint32_t order_next(const struct hwgw_books *books, uint32_t level, uint32_t cell) {
  return hwgw_book_order_from(books, level, cell + 1);
}

void hwgw_books_top(const struct hwgw_books *books, uint32_t instrument, struct hwgw_tob *top) {
  static const struct hwgw_book_side nobody[HWGW_BOOK_SIDES];
  static const struct hwgw_book_trade none;
  bool is_known = instrument < books->instrument_cnt;
  const struct hwgw_book_side *side = is_known ? &books->side[instrument * HWGW_BOOK_SIDES] : nobody;
  const struct hwgw_book_trade *trade = is_known ? &books->trade[instrument] : &none;
  /* block 0 is never used and stays all 0 */
  const union hwgw_book_block *bid = &books->block[hwgw_book_best(&side[0])];
  const union hwgw_book_block *ask = &books->block[hwgw_book_best(&side[1])];
  top->bid_px = bid->px;
  top->ask_px = ask->px;
  top->bid_qty = bid->qty;
  top->ask_qty = ask->qty;
  top->bid_cnt = bid->cnt;
  top->ask_cnt = ask->cnt;
  top->last_px = trade->px;
  top->last_qty = trade->qty;
  top->update_cnt = side[0].state / HWGW_BOOK_STATE_UPDATE + side[1].state / HWGW_BOOK_STATE_UPDATE;
}

uint32_t hwgw_books_depth(const struct hwgw_books *books, uint32_t instrument, uint32_t side_code,
                          struct hwgw_level *levels, uint32_t max) {
  uint32_t side = side_of(books, instrument, side_code);
  if (side == UINT32_MAX) return 0;
  uint32_t cnt = hwgw_book_level_cnt(books, side);
  if (cnt > max) cnt = max;
  for (uint32_t i = 0; i < cnt; i++) {
    const union hwgw_book_block *level = &books->block[hwgw_book_level_at(books, side, i)];
    levels[i] = (struct hwgw_level){.px = level->px, .cnt = level->cnt, .qty = level->qty};
  }
  return cnt;
}

uint32_t hwgw_books_orders(const struct hwgw_books *books, uint32_t instrument, uint32_t side_code,
                           struct hwgw_book_order *orders, uint32_t max) {
  uint32_t side = side_of(books, instrument, side_code), cnt = 0;
  if (side == UINT32_MAX) return 0;
  uint32_t level_cnt = hwgw_book_level_cnt(books, side);
  for (uint32_t i = 0; i < level_cnt; i++) {
    uint32_t level = hwgw_book_level_at(books, side, i);
    for (uint32_t cell = order_first(books, level); cell; cell = order_next(books, level, cell)) {
      if (cnt < max)
        orders[cnt] = (struct hwgw_book_order){
            .ref = hwgw_book_ref(books, cell), .qty = hwgw_book_cell(books, cell)->qty, .px = books->block[level].px};
      cnt++;
    }
  }
  return cnt;
}

bool hwgw_books_queue(const struct hwgw_books *books, uint32_t instrument, uint64_t ref, struct hwgw_queue *out) {
  uint32_t cell = hwgw_book_find(books, ref, instrument);
  if (!cell) return false;
  uint32_t level = hwgw_book_level_of(books, cell), block = cell / HWGW_BOOK_CELLS, end = cell % HWGW_BOOK_CELLS;
  uint64_t ahead = 0;
  for (;; end = HWGW_BOOK_CELLS) { /* back to the first block; empty cells have 0 shares */
    uint32_t first = block == level ? HWGW_BOOK_CELL_LEVEL : HWGW_BOOK_CELL_NEXT;
    for (uint32_t i = first; i < end; i++) ahead += books->block[block].cell[i].qty;
    if (block == level) break;
    block = books->block[block].tail;
  }
  *out = (struct hwgw_queue){.ahead = ahead, .px = books->block[level].px, .qty = hwgw_book_cell(books, cell)->qty};
  out->behind = books->block[level].qty - ahead - out->qty;
  return true;
}

static uint64_t hash_instrument(const struct hwgw_books *books, uint32_t instrument, uint64_t hash) {
  for (uint32_t side_code = HWGW_ORDER_SIDE_BUY; side_code <= HWGW_ORDER_SIDE_SELL; side_code++) {
    uint32_t side = side_of(books, instrument, side_code);
    uint32_t level_cnt = hwgw_book_level_cnt(books, side);
    for (uint32_t i = 0; i < level_cnt; i++) {
      uint32_t level = hwgw_book_level_at(books, side, i);
      for (uint32_t cell = order_first(books, level); cell; cell = order_next(books, level, cell)) {
        uint64_t ref = hwgw_book_ref(books, cell);
        uint8_t side_byte = (uint8_t)side_code;
        hash = hwgw_fnv(hash, &instrument, sizeof instrument);
        hash = hwgw_fnv(hash, &side_byte, sizeof side_byte);
        hash = hwgw_fnv(hash, &books->block[level].px, sizeof books->block[level].px);
        hash = hwgw_fnv(hash, &ref, sizeof ref);
        hash = hwgw_fnv(hash, &hwgw_book_cell(books, cell)->qty, sizeof(uint32_t));
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
