/* hwgw_base.h: errors, time and histograms; part of hwgw.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_PUBLIC_BASE_H
#define HWGW_PUBLIC_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hwgw_records.h" /* generated: records, enums and counters of hwgw's own formats */

/* hwgw cdef begin */

/* ---- errors: the status is the exit code of the command line ---- */

enum hwgw_status {
  HWGW_OK = 0,
  HWGW_ERR_CHECK = 1,
  HWGW_ERR_USAGE = 2,
  HWGW_ERR_CONFIG = 3,
  HWGW_ERR_PRIVILEGE = 4,
  HWGW_ERR_DEVICE = 5,
  HWGW_ERR_HALTED = 6,
  HWGW_ERR_INTERNAL = 7
};

struct hwgw_error {
  int32_t status;    /* enum hwgw_status */
  int32_t sys_errno; /* errno of the failed call, 0 when none */
  char text[504];    /* the call, its arguments, the reason and what the user can do; one line */
};

/* ---- time ---- */

uint64_t hwgw_ticks(void);                 /* TSC now */
uint64_t hwgw_ticks_hz(void);              /* TSC rate, measured once per process against CLOCK_MONOTONIC_RAW */
uint64_t hwgw_ticks_to_ns(uint64_t ticks); /* a duration */
uint64_t hwgw_now_ns(void);                /* gateway clock: CLOCK_MONOTONIC, by TSC */

/* ---- hist: log-linear, 3 significant digits (1,024 linear steps per power of two above 2,048), unit ticks ---- */

struct hwgw_hist; /* lives in the shared segment or in memory of hwgw_hist_sz_bytes() the caller gives, zeroed */

uint32_t hwgw_hist_sz_bytes(void);
void hwgw_hist_record(struct hwgw_hist *hist, uint64_t ticks);
void hwgw_hist_merge(struct hwgw_hist *into, const struct hwgw_hist *from);
uint64_t hwgw_hist_cnt(const struct hwgw_hist *hist);
uint64_t hwgw_hist_sum(const struct hwgw_hist *hist);
uint64_t hwgw_hist_max(const struct hwgw_hist *hist);
/* smallest value v such that at least pct percent of the records are <= v (upper edge of its step); 0 when empty */
uint64_t hwgw_hist_percentile(const struct hwgw_hist *hist, double pct);

/* hwgw cdef end */

#endif
