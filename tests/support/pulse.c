/* pulse.c: takes a core for a known time at a known distance, and says when by the TSC: what a jitter meter must find.
 *
 * SPDX-License-Identifier: MIT
 *
 * pulse CPU PRIORITY LENGTH_US PERIOD_US COUNT: "start end" in ticks, a line per pulse; every second is four times as long.
 * Exit 2: SCHED_FIFO is not permitted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <x86intrin.h>

#define MAX 10000

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv) {
  static uint64_t at[MAX][2];
  if (argc != 6) return 1;
  long cnt = atol(argv[5]);
  if (cnt < 1 || cnt > MAX) return 1;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((unsigned)atoi(argv[1]), &set);
  struct sched_param param = {.sched_priority = atoi(argv[2])};
  if (sched_setaffinity(0, sizeof set, &set)) return 1;
  if (sched_setscheduler(0, SCHED_FIFO, &param)) return 2;
  mlockall(MCL_CURRENT);
  uint64_t length = (uint64_t)atol(argv[3]) * 1000, period = (uint64_t)atol(argv[4]) * 1000, due = now_ns();
  for (long i = 0; i < cnt; i++) {
    due += period;
    struct timespec until = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) continue;
    at[i][0] = __rdtsc();
    uint64_t end = now_ns() + (i % 2 ? 4 * length : length);
    while (now_ns() < end) continue;
    at[i][1] = __rdtsc();
  }
  for (long i = 0; i < cnt; i++) printf("%llu %llu\n", (unsigned long long)at[i][0], (unsigned long long)at[i][1]);
  return 0;
}
