/* time.c: the time stamp counter as a clock.
 *
 * SPDX-License-Identifier: MIT
 *
 * The gateway clock is CLOCK_MONOTONIC at the first call, carried on by the TSC. One read costs one rdtsc and one 128-bit
 * multiplication. It needs an invariant TSC (constant_tsc and nonstop_tsc, which `hwgw doctor` checks); a forked child
 * shares the anchor of its parent, so that both tell the same time.
 */
#include <pthread.h>
#include <time.h>

#include "base.h"

#define CALIBRATION_NS 20000000 /* 20 ms against CLOCK_MONOTONIC_RAW: within 10 ppm, and short enough for every start */
#define NS_PER_S 1000000000u

static struct {
  uint64_t hz;
  uint64_t ns_per_tick_q32; /* nanoseconds per tick, 32 fractional bits */
  uint64_t anchor_ticks;
  uint64_t anchor_ns;
} clock_state;

static pthread_once_t clock_once = PTHREAD_ONCE_INIT;

static uint64_t clock_ns(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* a pair (ticks, ns) taken as close together as eight tries give: a preemption in between would spoil the rate */
static void clock_pair(clockid_t id, uint64_t *ticks, uint64_t *ns) {
  uint64_t best = UINT64_MAX;
  for (int i = 0; i < 8; i++) {
    uint64_t before = hwgw_rdtsc();
    uint64_t now = clock_ns(id);
    uint64_t after = hwgw_rdtsc();
    if (after - before < best) {
      best = after - before;
      *ticks = before + best / 2;
      *ns = now;
    }
  }
}

static void clock_calibrate(void) {
  uint64_t ticks0 = 0, ns0 = 0, ticks1 = 0, ns1 = 0;
  clock_pair(CLOCK_MONOTONIC_RAW, &ticks0, &ns0);
  struct timespec rest = {0, CALIBRATION_NS};
  while (nanosleep(&rest, &rest) != 0) continue;
  clock_pair(CLOCK_MONOTONIC_RAW, &ticks1, &ns1);
  unsigned __int128 elapsed = ticks1 - ticks0;
  clock_state.hz = (uint64_t)(elapsed * NS_PER_S / (ns1 - ns0));
  clock_state.ns_per_tick_q32 = (uint64_t)(((unsigned __int128)(ns1 - ns0) << 32) / elapsed);
  clock_pair(CLOCK_MONOTONIC, &clock_state.anchor_ticks, &clock_state.anchor_ns);
}

uint64_t hwgw_ticks(void) {
  return hwgw_rdtsc();
}

uint64_t hwgw_ticks_hz(void) {
  pthread_once(&clock_once, clock_calibrate);
  return clock_state.hz;
}

uint64_t hwgw_ticks_to_ns(uint64_t ticks) {
  pthread_once(&clock_once, clock_calibrate);
  return (uint64_t)((unsigned __int128)ticks * clock_state.ns_per_tick_q32 >> 32);
}

uint64_t hwgw_ticks_to_now_ns(uint64_t ticks) {
  return clock_state.anchor_ns +
         (uint64_t)((unsigned __int128)(ticks - clock_state.anchor_ticks) * clock_state.ns_per_tick_q32 >> 32);
}

uint64_t hwgw_now_ns(void) {
  pthread_once(&clock_once, clock_calibrate);
  return hwgw_ticks_to_now_ns(hwgw_rdtsc());
}

uint64_t hwgw_realtime_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}
