/* hwgw_jitter.h: how long and how often a core is taken away from the thread that wants it.
 *
 * SPDX-License-Identifier: MIT
 *
 * Two meters. Gaps: a pinned thread reads the TSC without a pause; two reads further apart than the threshold are an
 * interruption. There is no system call in that loop and no moment in which it does not look. Wake-ups: the thread sleeps
 * to absolute times (clock_nanosleep) and records how late it comes back.
 */
#ifndef HWGW_JITTER_H
#define HWGW_JITTER_H

#include <stdbool.h>
#include <stdint.h>

#include "hwgw.h"

/* hwgw cdef begin */

#define HWGW_JITTER_CPUS_MAX 1024

enum hwgw_jitter_mode { HWGW_JITTER_GAPS = 0, HWGW_JITTER_WAKEUPS = 1 };

/* one interruption: the thread did not run between t_ticks and t_ticks + ticks */
struct hwgw_jitter_gap {
  uint64_t t_ticks;
  uint64_t ticks;
};

/* the run on one CPU: what is wanted, then what came of it. Memory is the caller's */
struct hwgw_jitter {
  int32_t cpu;
  uint32_t mode;               /* enum hwgw_jitter_mode */
  int32_t fifo_priority;       /* 0 = the scheduling class of the caller */
  uint32_t gap_max;            /* entries of gap */
  uint64_t run_ns;             /* at most */
  uint64_t threshold_ns;       /* gaps: shorter ones are the loop itself */
  uint64_t interval_ns;        /* wake-ups: from one to the next */
  struct hwgw_hist *hist;      /* zeroed; gaps in ticks, lateness in ns */
  struct hwgw_jitter_gap *gap; /* gaps only: the first gap_max of them, by time */

  int32_t fifo_errno; /* why SCHED_FIFO was not had, 0 = it was, or was not asked for */
  int32_t lock_errno; /* why memory could not be locked */
  uint32_t gap_cnt;   /* entries of gap used */
  uint32_t reserved;
  uint64_t start_ticks;
  uint64_t end_ticks;
  uint64_t rounds;      /* reads of the TSC, or wake-ups */
  uint64_t min_ticks;   /* shortest interruption; unit as in hist */
  uint64_t total_ticks; /* of all interruptions; unit as in hist */
  uint64_t skipped;     /* wake-ups that were due before the thread came back from the one before */
  uint64_t cpu_ns;      /* CPU time of the thread within the run */
  uint64_t switches;    /* involuntary context switches */
  uint64_t sleeps;      /* voluntary ones */
  uint64_t faults;      /* page faults */
};

/* Runs all rows at the same time, each on a thread of its own, and returns when all have ended: after run_ns, or soon
 * after *stop became other than 0 (another thread may set it). HWGW_ERR_USAGE when a thread cannot be pinned: a meter on
 * another core tells nothing. rows: with distinct cpu */
int32_t hwgw_jitter_run(struct hwgw_jitter *rows, uint32_t cnt, const uint32_t *stop, struct hwgw_error *error);

/* how many records are at most value, to the resolution of the histogram */
uint64_t hwgw_hist_upto(const struct hwgw_hist *hist, uint64_t value);
/* sum over the records above value of how far they are above it. Of gaps, and divided by the run time, that is the
 * probability that somebody who comes at any moment has to wait for longer than value */
double hwgw_hist_excess(const struct hwgw_hist *hist, uint64_t value);

/* hwgw cdef end */

#endif
