/* hist.h: log-linear histogram of 64-bit values, HDR layout with 3 significant digits.
 *
 * SPDX-License-Identifier: MIT
 *
 * Values below 2,048 have a slot each; above, every power of two has 1,024 equal slots, so a value is known within
 * 1/1,024 of itself. Values of 2^41 and more (14 minutes of ticks at 2.6 GHz) count in the last slot; max stays exact.
 * Cost of a record: one bit scan, two shifts, two increments. One writer; readers may look at any time and see a state
 * that is at most one record old.
 */
#ifndef HWGW_HIST_H
#define HWGW_HIST_H

#include "base.h"

#define HIST_SUB_BITS 10 /* log2 of the slots per power of two */
#define HIST_VALUE_BITS 41
#define HIST_SLOTS ((HIST_VALUE_BITS - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hwgw_hist {
  uint64_t cnt;
  uint64_t max;
  uint64_t sum; /* for the mean; wraps after 200 years of ticks */
  uint64_t reserved[13];
  uint64_t slot[HIST_SLOTS];
};

_Static_assert(sizeof(struct hwgw_hist) % HWGW_BLOCK_ALIGN == 0, "histograms follow each other block-aligned");

static inline uint32_t hist_slot(uint64_t value) {
  if (value >> HIST_VALUE_BITS) return HIST_SLOTS - 1;
  /* `| (2^11 - 1)` makes the first two rows one linear range: shift is 0 for every value below 2,048 */
  uint32_t shift = 63u - HIST_SUB_BITS - (uint32_t)__builtin_clzll(value | ((2u << HIST_SUB_BITS) - 1));
  return (shift << HIST_SUB_BITS) + (uint32_t)(value >> shift);
}

static inline void hist_record(struct hwgw_hist *hist, uint64_t value) {
  hist->slot[hist_slot(value)]++;
  hist->cnt++;
  hist->sum += value;
  if (value > hist->max) hist->max = value;
}

#endif
