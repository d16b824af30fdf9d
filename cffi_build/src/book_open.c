/* book_open.c: the books' memory: open, close, clear.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: how many instruments, live orders and prices per side there may be. Output: empty books in one mapping, which
 * the kernel backs with memory as it is touched, or all of it at once when that is asked for.
 * Errors: a value out of range, or no memory; nothing is left behind. Thread: any; one at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "book.h"

#define PAGE_SZ 4096
#define INDEX_ENTRIES 2 /* per order, at least */
#define GUESSES 2u      /* per level, at least */
#define GUESSES_MIN 64u
#define LADDER_RESIDENT_BYTES \
  16u /* per order: ladders of up to 64 prices for 8,000 instruments, of any size for eight */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; glibc before 2.35 does not name it */
#endif

/* where an array of cnt records lies: at *offset, which moves behind it to the next page. NULL while only measuring */
static void *array_place(uint8_t *base, size_t *offset, uint64_t cnt, size_t record_sz) {
  uint8_t *at = base ? base + *offset : NULL;
  *offset = (*offset + cnt * record_sz + PAGE_SZ - 1) / PAGE_SZ * PAGE_SZ;
  return at;
}

/* gives each array its place in the mapping at base and returns what they take in all; base NULL only measures */
static size_t arrays_place(struct hwgw_books *books, uint8_t *base, uint32_t levels) {
  size_t offset = 0;
  uint64_t sides = (uint64_t)HWGW_BOOK_SIDES * books->instrument_cnt;
  books->bucket = array_place(base, &offset, (uint64_t)books->bucket_mask + 1, sizeof *books->bucket);
  books->side = array_place(base, &offset, sides, sizeof *books->side);
  books->trade = array_place(base, &offset, books->instrument_cnt, sizeof *books->trade);
  books->ladder = array_place(base, &offset, sides, sizeof *books->ladder);
  books->guess = array_place(base, &offset, (uint64_t)books->guess_mask + HWGW_BOOK_GUESSES, sizeof *books->guess);
  books->block = array_place(base, &offset, (uint64_t)books->orders_max + levels + 1, sizeof *books->block);
  books->slab_cnt = 0;
  for (uint64_t cap = HWGW_BOOK_LADDER_MIN;; cap *= 2) {
    struct hwgw_book_slab *slab = &books->slab[books->slab_cnt++];
    uint64_t enough = 4 * (uint64_t)levels / cap + 1;
    slab->cap = (uint32_t)cap;
    slab->max = (uint32_t)(cap > HWGW_BOOK_LADDER_MIN && enough < sides ? enough : sides);
    slab->base = array_place(base, &offset, slab->max, cap * sizeof(uint64_t));
    if (cap >= (uint64_t)books->side_levels_max + HWGW_BOOK_NEAR_OUT + 1) break;
  }
  return offset;
}

/* All but the ladders on huge pages, where a random access does not wait for a page table; and, when `resident`, index,
 * sides, one block per order and the ladders of usual sizes there before the first message, which then does not wait for
 * the kernel either. Both are advice, without them everything is right as well. The rest, the largest ladders, is touched
 * when it is used: most of it never is. */
static void pages_advise(const struct hwgw_books *books, bool resident) {
  const uint8_t *all_end = (const uint8_t *)books->slab[0].base;
  const uint8_t *resident_end = (const uint8_t *)(books->block + books->orders_max + 1);
  (void)madvise(books->map, (size_t)(all_end - (const uint8_t *)books->map), MADV_HUGEPAGE);
  if (!resident) return;
  (void)madvise(books->map, (size_t)(resident_end - (const uint8_t *)books->map), MADV_POPULATE_WRITE);
  size_t left = (size_t)books->orders_max * LADDER_RESIDENT_BYTES;
  for (uint32_t i = 0; i < books->slab_cnt; i++) {
    const struct hwgw_book_slab *slab = &books->slab[i];
    size_t sz = (size_t)slab->max * slab->cap * sizeof *slab->base;
    if (sz > left) break;
    left -= sz;
    (void)madvise(slab->base, sz, MADV_POPULATE_WRITE);
  }
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
  books->bucket_bits = 3;
  while ((UINT64_C(1) << books->bucket_bits) * HWGW_BOOK_BUCKET < (uint64_t)INDEX_ENTRIES * cfg->orders_max)
    books->bucket_bits++;
  books->bucket_mask = (1u << books->bucket_bits) - 1;

  uint64_t guesses = GUESSES_MIN;
  while (guesses < GUESSES * levels) guesses *= 2;
  books->guess_mask = (uint32_t)(guesses - HWGW_BOOK_GUESSES); /* of the first one of a line */

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
  pages_advise(books, cfg->huge_pages);
  *out = books;
  return HWGW_OK;
}

void hwgw_books_close(struct hwgw_books *books) {
  if (!books) return;
  munmap(books->map, books->map_sz);
  free(books);
}

void hwgw_books_clear(struct hwgw_books *books) {
  memset(books->bucket, 0, ((size_t)books->bucket_mask + 1) * sizeof *books->bucket);
  memset(books->side, 0, HWGW_BOOK_SIDES * books->instrument_cnt * sizeof *books->side);
  memset(books->trade, 0, books->instrument_cnt * sizeof *books->trade);
  memset(books->ladder, 0, HWGW_BOOK_SIDES * books->instrument_cnt * sizeof *books->ladder);
  /* no guess and no hint from before may be believed */
  memset(books->guess, 0, ((size_t)books->guess_mask + HWGW_BOOK_GUESSES) * sizeof *books->guess);
  memset(books->block, 0, ((size_t)books->block_used + 1) * sizeof *books->block);
  books->block_free = books->block_used = 0;
  books->live = 0;
  for (uint32_t i = 0; i < books->slab_cnt; i++) books->slab[i].used = books->slab[i].free = 0;
}
