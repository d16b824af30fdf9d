/* schedule.c: when messages are due, when they left, and what the exchange had of a processor meanwhile.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: message n of a step is due at the step's begin + n x its time / its messages, whatever happened before; a
 * rate is one step that does not end. At each step's end three clocks of the running thread are read: since the start,
 * on a processor, and ready to run while others had it (/proc/thread-self/schedstat; 0 where the kernel has none).
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "exchange.h"

static void step_begin(struct sim_schedule *s) {
  const struct hwgw_sim_step *step = &s->steps[s->at];
  s->until = s->at + 1 < s->cnt ? s->first + step->messages : UINT64_MAX;
  s->ns_per_message = step->messages ? (double)step->ns / (double)step->messages : 0.0;
}

void sim_schedule_open(sim_exchange *x) {
  struct sim_schedule *s = &x->schedule;
  s->rate = (struct hwgw_sim_step){.messages = x->cfg.rate, .ns = SIM_NS_PER_S};
  s->steps = x->cfg.step_cnt ? x->cfg.steps : &s->rate;
  s->cnt = x->cfg.step_cnt ? x->cfg.step_cnt : 1;
  s->clock_fd = -1;
  step_begin(s);
}

static struct hwgw_sim_clocks clocks_now(const struct sim_schedule *s) {
  struct hwgw_sim_clocks now = {.ns = sim_now()};
  struct timespec busy;
  struct rusage usage;
  char text[128];
  ssize_t len = s->clock_fd < 0 ? 0 : pread(s->clock_fd, text, sizeof text - 1, 0);
  unsigned long long waited = 0;
  text[len > 0 ? len : 0] = 0;
  if (sscanf(text, "%*u %llu", &waited) == 1) now.waited_ns = waited;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &busy);
  now.busy_ns = (uint64_t)busy.tv_sec * SIM_NS_PER_S + (uint64_t)busy.tv_nsec;
  getrusage(RUSAGE_THREAD, &usage);
  now.kernel_ns = (uint64_t)usage.ru_stime.tv_sec * SIM_NS_PER_S + (uint64_t)usage.ru_stime.tv_usec * 1000u;
  return now;
}

static struct hwgw_sim_clocks clocks_since_start(const struct sim_schedule *s) {
  struct hwgw_sim_clocks now = clocks_now(s);
  return (struct hwgw_sim_clocks){.ns = now.ns - s->start.ns,
                                  .busy_ns = now.busy_ns - s->start.busy_ns,
                                  .kernel_ns = now.kernel_ns - s->start.kernel_ns,
                                  .waited_ns = now.waited_ns - s->start.waited_ns};
}

void sim_schedule_start(sim_exchange *x) {
  struct sim_schedule *s = &x->schedule;
  s->clock_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  s->start = clocks_now(s);
  s->start.ns = x->start_ns; /* what is due is counted from there */
}

/* message n is of a step behind this one */
static void step_on(struct sim_schedule *s, uint64_t n) {
  while (n >= s->until) {
    s->end[s->at] = clocks_since_start(s);
    s->first += s->steps[s->at].messages;
    s->ns += s->steps[s->at++].ns;
    step_begin(s);
  }
}

uint64_t sim_rate_due(sim_exchange *x) {
  struct sim_schedule *s = &x->schedule;
  uint64_t n = x->publish.next_seq - 1; /* only grows, so the steps are walked once */
  if (n >= s->until) step_on(s, n);
  return x->start_ns + s->ns + (uint64_t)(int64_t)((double)(int64_t)(n - s->first) * s->ns_per_message);
}

void sim_schedule_end(sim_exchange *x, bool is_whole) {
  struct sim_schedule *s = &x->schedule;
  if (s->ended.ns || !s->start.ns) return;
  if (is_whole && !x->is_capture) sim_rate_due(x);
  s->ended = clocks_since_start(s);
  if (is_whole) s->end[s->cnt - 1] = s->ended;
  if (s->clock_fd >= 0) close(s->clock_fd);
  s->clock_fd = -1;
}

void hwgw_sim_exchange_clocks(const sim_exchange *x, int32_t step, struct hwgw_sim_clocks *clocks) {
  *clocks = step < 0                           ? x->schedule.ended
            : (uint32_t)step < x->schedule.cnt ? x->schedule.end[step]
                                               : (struct hwgw_sim_clocks){0};
}
