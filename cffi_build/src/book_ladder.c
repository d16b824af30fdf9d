/* book_ladder.c: the prices of a side behind its best seven: one sorted array per side that needs one.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: the number of a side, instrument x 2 + side. A ladder is sorted by key, the best price last, where the line of
 * the side takes from and gives to; it has a power of two of places and moves to twice as many when full, to half when
 * less than a quarter is used. So a slab of ladders of `cap` places never needs more than 4 x levels / cap of them, and
 * is reserved so (address space, not memory): it cannot run out first.
 * Cost: a binary search, and a move of what is better. Thread: the owner of the books.
 */
#include "book.h"

#define RANK_LINEAR 32 /* words */

static uint32_t slab_of(uint32_t cap) {
  return (uint32_t)__builtin_ctz(cap / HWGW_BOOK_LADDER_MIN);
}

static void slab_give(struct hwgw_books *books, const struct hwgw_book_ladder *ladder) {
  struct hwgw_book_slab *slab = &books->slab[slab_of(ladder->cap)];
  ladder->word[0] = slab->free;
  slab->free = (uint32_t)((size_t)(ladder->word - slab->base) / slab->cap) + 1;
}

/* moves a ladder to `cap` places; false, with nothing changed, when there is no memory of that size */
static bool ladder_move(struct hwgw_books *books, struct hwgw_book_ladder *ladder, uint32_t cap) {
  if (slab_of(cap) >= books->slab_cnt) return false;
  struct hwgw_book_slab *slab = &books->slab[slab_of(cap)];
  uint32_t number = slab->free;
  if (!number && slab->used == slab->max) return false;
  if (!number) number = ++slab->used;
  uint64_t *word = slab->base + (size_t)(number - 1) * cap;
  if (slab->free) slab->free = (uint32_t)word[0];
  if (ladder->word) {
    memcpy(word, ladder->word, ladder->cnt * sizeof *word);
    slab_give(books, ladder);
  }
  ladder->word = word;
  ladder->cap = cap;
  return true;
}

static void ladder_shrink(struct hwgw_books *books, struct hwgw_book_ladder *ladder) {
  while (ladder->cap > HWGW_BOOK_LADDER_MIN && ladder->cnt < ladder->cap / 4)
    if (!ladder_move(books, ladder, ladder->cap / 2)) return;
}

/* how many words have a key below this one */
static uint32_t ladder_rank(const struct hwgw_book_ladder *ladder, uint32_t key) {
  uint64_t probe = (uint64_t)key << 32;
  const uint64_t *from = ladder->word;
  uint32_t cnt = ladder->cnt;
  while (cnt > RANK_LINEAR) { /* which half it is cannot be predicted, so it is no branch */
    uint32_t half = cnt / 2;
    from += half & (0u - (from[half - 1] < probe));
    cnt -= half;
  }
  uint32_t below = 0; /* all at once: their lines are waited for together, not one after the other */
  for (uint32_t i = 0; i < cnt; i++) below += from[i] < probe;
  return (uint32_t)(from - ladder->word) + below;
}

static void far_flag(struct hwgw_books *books, uint32_t side) {
  uint64_t *state = &books->side[side].state;
  *state = books->ladder[side].cnt ? *state | HWGW_BOOK_STATE_FAR : *state & ~(uint64_t)HWGW_BOOK_STATE_FAR;
}

uint32_t hwgw_book_far_find(const struct hwgw_books *books, uint32_t side, uint32_t key) {
  const struct hwgw_book_ladder *ladder = &books->ladder[side];
  uint32_t at = ladder_rank(ladder, key);
  return at < ladder->cnt && ladder->word[at] >> 32 == key ? (uint32_t)ladder->word[at] : 0;
}

bool hwgw_book_far_room(struct hwgw_books *books, uint32_t side, uint32_t more) {
  struct hwgw_book_ladder *ladder = &books->ladder[side];
  if (HWGW_LIKELY(ladder->cnt + more <= ladder->cap)) return true;
  return ladder_move(books, ladder, ladder->cap ? 2 * ladder->cap : HWGW_BOOK_LADDER_MIN);
}

void hwgw_book_far_insert(struct hwgw_books *books, uint32_t side, uint32_t key, uint32_t level) {
  struct hwgw_book_ladder *ladder = &books->ladder[side];
  uint32_t at = ladder_rank(ladder, key);
  memmove(&ladder->word[at + 1], &ladder->word[at], (ladder->cnt - at) * sizeof *ladder->word);
  ladder->word[at] = (uint64_t)key << 32 | level;
  ladder->cnt++;
  far_flag(books, side);
}

void hwgw_book_far_remove(struct hwgw_books *books, uint32_t side, uint32_t key) {
  struct hwgw_book_ladder *ladder = &books->ladder[side];
  uint32_t at = ladder_rank(ladder, key);
  ladder->cnt--;
  memmove(&ladder->word[at], &ladder->word[at + 1], (ladder->cnt - at) * sizeof *ladder->word);
  ladder_shrink(books, ladder);
  far_flag(books, side);
}

void hwgw_book_far_clear(struct hwgw_books *books, uint32_t side) {
  struct hwgw_book_ladder *ladder = &books->ladder[side];
  if (ladder->word) slab_give(books, ladder);
  *ladder = (struct hwgw_book_ladder){0};
  far_flag(books, side);
}

void hwgw_book_near_out(struct hwgw_books *books, uint32_t side) {
  struct hwgw_book_side *line = &books->side[side];
  struct hwgw_book_ladder *ladder = &books->ladder[side];
  for (uint32_t i = 0; i < HWGW_BOOK_NEAR_OUT; i++) {
    uint32_t at = HWGW_BOOK_NEAR - 1 - i;
    uint32_t key = (uint32_t)hwgw_book_near_key((uint32_t)line->key[at]);
    ladder->word[ladder->cnt++] = (uint64_t)key << 32 | line->level[at];
  }
  line->state -= HWGW_BOOK_NEAR_OUT;
  far_flag(books, side);
}

void hwgw_book_near_in(struct hwgw_books *books, uint32_t side) {
  struct hwgw_book_side *line = &books->side[side];
  struct hwgw_book_ladder *ladder = &books->ladder[side];
  uint32_t cnt = ladder->cnt < HWGW_BOOK_NEAR_IN ? ladder->cnt : HWGW_BOOK_NEAR_IN;
  for (uint32_t i = 0; i < cnt; i++) {
    uint64_t word = ladder->word[--ladder->cnt];
    line->key[i] = hwgw_book_near_key((uint32_t)(word >> 32));
    line->level[i] = (uint32_t)word;
  }
  line->state += cnt;
  ladder_shrink(books, ladder);
  far_flag(books, side);
}
