/* hist.c: reading histograms; recording is inline in hist.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "hist.h"

#include "hwgw_jitter.h"

/* largest value that falls into the slot */
static uint64_t slot_top(uint32_t slot) {
  uint32_t row = slot >> HIST_SUB_BITS;
  uint32_t shift = row > 1 ? row - 1 : 0;
  uint64_t low = (uint64_t)(slot - (shift << HIST_SUB_BITS)) << shift;
  return low + ((uint64_t)1 << shift) - 1;
}

uint32_t hwgw_hist_sz_bytes(void) {
  return sizeof(struct hwgw_hist);
}

void hwgw_hist_record(struct hwgw_hist *hist, uint64_t ticks) {
  hist_record(hist, ticks);
}

void hwgw_hist_merge(struct hwgw_hist *into, const struct hwgw_hist *from) {
  into->cnt += from->cnt;
  into->sum += from->sum;
  if (from->max > into->max) into->max = from->max;
  for (uint32_t i = 0; i < HIST_SLOTS; i++) into->slot[i] += from->slot[i];
}

uint64_t hwgw_hist_cnt(const struct hwgw_hist *hist) {
  return hist->cnt;
}

uint64_t hwgw_hist_sum(const struct hwgw_hist *hist) {
  return hist->sum;
}

uint64_t hwgw_hist_max(const struct hwgw_hist *hist) {
  return hist->max;
}

uint64_t hwgw_hist_percentile(const struct hwgw_hist *hist, double pct) {
  if (hist->cnt == 0) return 0;
  if (pct < 0) pct = 0;
  if (pct > 100) pct = 100;
  double exact = pct / 100.0 * (double)hist->cnt;
  uint64_t rank = (uint64_t)exact;
  if ((double)rank < exact || rank == 0) rank++;
  uint64_t seen = 0;
  for (uint32_t i = 0; i < HIST_SLOTS; i++) {
    seen += hist->slot[i];
    if (seen >= rank) {
      uint64_t top = slot_top(i);
      return top < hist->max ? top : hist->max;
    }
  }
  return hist->max;
}

uint64_t hwgw_hist_upto(const struct hwgw_hist *hist, uint64_t value) {
  uint64_t seen = 0;
  for (uint32_t i = 0; i <= hist_slot(value); i++) seen += hist->slot[i];
  return seen;
}

double hwgw_hist_excess(const struct hwgw_hist *hist, uint64_t value) {
  double excess = 0;
  for (uint32_t i = hist_slot(value); i < HIST_SLOTS; i++) {
    if (!hist->slot[i]) continue;
    uint64_t low = i ? slot_top(i - 1) + 1 : 0;
    double middle = ((double)low + (double)slot_top(i)) / 2;
    if (middle > (double)value) excess += (double)hist->slot[i] * (middle - (double)value);
  }
  return excess;
}
