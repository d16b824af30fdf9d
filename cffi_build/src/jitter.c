/* jitter.c: the meters of hwgw_jitter.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "hwgw_jitter.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "hist.h"

#define NS_PER_S 1000000000u
#define STACK_SZ_BYTES 262144
#define PAGE_SZ_BYTES 4096

struct gate { /* all threads begin together, or none does */
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint32_t ready;
  enum { GATE_SHUT, GATE_OPEN, GATE_GIVE_UP } state;
};

struct meter {
  struct hwgw_jitter *row;
  struct gate *gate;
  const uint32_t *stop;
  pthread_t thread;
  int pin_errno;
};

/* written to once, so that no page is given while the meter runs */
static void touch(volatile uint8_t *memory, size_t sz_bytes) {
  for (size_t at = 0; at < sz_bytes; at += PAGE_SZ_BYTES) memory[at] = memory[at];
}

static uint64_t clock_ns(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t ns_to_ticks(uint64_t ns) {
  return (uint64_t)((unsigned __int128)ns * hwgw_ticks_hz() / NS_PER_S);
}

static void record(struct hwgw_jitter *row, uint64_t value) {
  hist_record(row->hist, value);
  row->total_ticks += value;
  if (value < row->min_ticks) row->min_ticks = value;
}

/* The clock is read once per round and each read ends one interval and begins the next: what happens while a gap is being
 * written down counts as well. */
static void gaps(struct hwgw_jitter *row, const uint32_t *stop) {
  uint64_t threshold = ns_to_ticks(row->threshold_ns), run = ns_to_ticks(row->run_ns);
  uint64_t rounds = 0;
  uint64_t last = hwgw_rdtsc(), end = last + run;
  row->start_ticks = last;
  while (last < end && !__atomic_load_n(stop, __ATOMIC_RELAXED)) {
    uint64_t now = hwgw_rdtsc(), gap = now - last;
    if (HWGW_UNLIKELY(gap >= threshold)) {
      if (row->gap_cnt < row->gap_max) row->gap[row->gap_cnt++] = (struct hwgw_jitter_gap){last, gap};
      record(row, gap);
    }
    rounds++;
    last = now;
  }
  row->end_ticks = last;
  row->rounds = rounds;
}

static void wakeups(struct hwgw_jitter *row, const uint32_t *stop) {
  uint64_t due = clock_ns(CLOCK_MONOTONIC), end = due + row->run_ns, now = due;
  row->start_ticks = hwgw_rdtsc();
  while (now < end && !__atomic_load_n(stop, __ATOMIC_RELAXED)) {
    due += row->interval_ns;
    struct timespec until = {(time_t)(due / NS_PER_S), (long)(due % NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) continue;
    now = clock_ns(CLOCK_MONOTONIC);
    record(row, now - due);
    row->rounds++;
    if (now - due >= row->interval_ns) {
      uint64_t late = (now - due) / row->interval_ns;
      row->skipped += late;
      due += late * row->interval_ns;
    }
  }
  row->end_ticks = hwgw_rdtsc();
}

static void usage(struct hwgw_jitter *row, int sign) {
  struct rusage used;
  getrusage(RUSAGE_THREAD, &used);
  uint64_t values[] = {(uint64_t)used.ru_nivcsw, (uint64_t)used.ru_nvcsw,
                       (uint64_t)used.ru_minflt + (uint64_t)used.ru_majflt, clock_ns(CLOCK_THREAD_CPUTIME_ID)};
  uint64_t *into[] = {&row->switches, &row->sleeps, &row->faults, &row->cpu_ns};
  for (size_t i = 0; i < 4; i++) *into[i] = sign < 0 ? 0 - values[i] : *into[i] + values[i];
}

static void settle(struct meter *meter) {
  struct hwgw_jitter *row = meter->row;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((unsigned)row->cpu, &set);
  meter->pin_errno = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
  if (!meter->pin_errno && sched_getcpu() != row->cpu) meter->pin_errno = EXDEV;
  if (row->fifo_priority > 0) {
    struct sched_param param = {.sched_priority = row->fifo_priority};
    row->fifo_errno = pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
  }
  size_t gap_sz = row->gap_max * sizeof *row->gap;
  if (mlock(row->hist, sizeof *row->hist) || (gap_sz && mlock(row->gap, gap_sz))) row->lock_errno = errno;
  touch((uint8_t *)row->hist, sizeof *row->hist);
  touch((uint8_t *)row->gap, gap_sz);
  row->min_ticks = UINT64_MAX;
}

static void *meter_main(void *argument) {
  struct meter *meter = argument;
  struct hwgw_jitter *row = meter->row;
  settle(meter);
  struct gate *gate = meter->gate;
  pthread_mutex_lock(&gate->lock);
  gate->ready++;
  pthread_cond_broadcast(&gate->changed);
  while (gate->state == GATE_SHUT) pthread_cond_wait(&gate->changed, &gate->lock);
  bool is_on = gate->state == GATE_OPEN;
  pthread_mutex_unlock(&gate->lock);
  if (is_on) {
    usage(row, -1);
    (row->mode == HWGW_JITTER_WAKEUPS ? wakeups : gaps)(row, meter->stop);
    usage(row, 1);
  }
  if (row->min_ticks == UINT64_MAX) row->min_ticks = 0;
  munlock(row->hist, sizeof *row->hist);
  if (row->gap_max) munlock(row->gap, row->gap_max * sizeof *row->gap);
  return NULL;
}

int32_t hwgw_jitter_run(struct hwgw_jitter *rows, uint32_t cnt, const uint32_t *stop, struct hwgw_error *error) {
  if (!cnt || cnt > HWGW_JITTER_CPUS_MAX) {
    return hwgw_error_set(error, HWGW_ERR_USAGE, 0, "jitter: %u CPUs: 1 to %d are allowed", cnt, HWGW_JITTER_CPUS_MAX);
  }
  static struct meter meter[HWGW_JITTER_CPUS_MAX]; /* one run at a time: they would disturb one another anyway */
  static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&turn);
  struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
  int32_t status = HWGW_OK;
  hwgw_ticks_hz();
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, STACK_SZ_BYTES);
  uint32_t started = 0;
  for (; started < cnt && !status; started++) {
    meter[started] = (struct meter){.row = &rows[started], .gate = &gate, .stop = stop};
    int failed = pthread_create(&meter[started].thread, &attr, meter_main, &meter[started]);
    if (failed) {
      status = hwgw_error_set(error, HWGW_ERR_INTERNAL, failed, "jitter: pthread_create: %s", strerror(failed));
      break;
    }
  }
  pthread_attr_destroy(&attr);
  pthread_mutex_lock(&gate.lock);
  while (gate.ready < started) pthread_cond_wait(&gate.changed, &gate.lock);
  for (uint32_t i = 0; i < started && !status; i++) {
    if (!meter[i].pin_errno) continue;
    status = hwgw_error_set(error, HWGW_ERR_USAGE, meter[i].pin_errno, "jitter: cpu %d: cannot run there: %s",
                            rows[i].cpu, strerror(meter[i].pin_errno));
  }
  gate.state = status ? GATE_GIVE_UP : GATE_OPEN;
  pthread_cond_broadcast(&gate.changed);
  pthread_mutex_unlock(&gate.lock);
  for (uint32_t i = 0; i < started; i++) pthread_join(meter[i].thread, NULL);
  pthread_mutex_unlock(&turn);
  return status;
}
