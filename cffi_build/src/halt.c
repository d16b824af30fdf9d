/* halt.c: the halt latch: a set of reasons, which anybody may add to and only a resume that names them clears.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: a reason of the risk table and a text. Output: its bit in control->halt, which every pipeline reads before every
 * order, and its record: when, who (uid, pid), what. As long as one bit is set no new order leaves. A reason that is set
 * keeps its first record; one more does not hide behind another, and clearing one leaves the others. An instrument has a
 * latch of its own, a bit and a record: none of its orders leaves; so has the venue of an order session: no order goes there.
 * Behind the store come a count and a futex wake-up on it, for those who watch; the latch needs neither, and who missed the
 * wake-up finds the count changed.
 *
 * Cost: a clock read, two id reads, 128 bytes and one atomic or; then the wake-up, a system call. No lock, no memory, no
 * help of a running gateway. Thread:
 * any thread of any process that may write the segment. Two that set the same reason at the same moment may mix the text
 * of its record, never the bit.
 */
#include "halt.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "segment.h"

#define REASONS_MAX (sizeof((struct hwgw_control *)0)->halt_record / sizeof(struct hwgw_halt_record))

_Static_assert(HWGW_RISK_REASON_SESSION < REASONS_MAX && REASONS_MAX <= 32, "a bit and a record per reason");

static void write_record(struct hwgw_halt_record *record, uint32_t reason, const char *text) {
  *record = (struct hwgw_halt_record){
      .ts_ns = hwgw_realtime_ns(), .uid = (uint32_t)getuid(), .pid = (uint32_t)getpid(), .reason = reason};
  snprintf(record->text, sizeof record->text, "%s", text ? text : "");
}

/* a futex is 32 bits: the low half of the count, which stands first on x86 */
static void announce(struct hwgw_control *control) {
  __atomic_add_fetch(&control->halt_seq, 1, __ATOMIC_RELEASE);
  int saved = errno;
  syscall(SYS_futex, &control->halt_seq, FUTEX_WAKE, INT_MAX, NULL, NULL, 0); /* refused: a watcher's poll finds it */
  errno = saved;
}

bool halt_set(struct hwgw_control *control, uint32_t reason, const char *text) {
  if (reason == HWGW_RISK_REASON_PASS || reason >= REASONS_MAX) reason = HWGW_RISK_REASON_OPERATOR;
  uint32_t bit = (uint32_t)1 << reason;
  if (__atomic_load_n(&control->halt, __ATOMIC_ACQUIRE) & bit) return false;
  write_record(&control->halt_record[reason], reason, text);
  if (__atomic_fetch_or(&control->halt, bit, __ATOMIC_ACQ_REL) & bit) return false;
  announce(control);
  return true;
}

void halt_say(struct hwgw_control *control, uint32_t reason, const char *text) {
  struct hwgw_halt_record *record = &control->halt_record[reason];
  if (strncmp(record->text, text, sizeof record->text - 1) != 0) write_record(record, reason, text);
}

static void instrument_set(struct hwgw_segment *segment, uint32_t instrument) {
  struct hwgw_control *control = hwgw_segment_control(segment);
  __atomic_fetch_or(&control->instrument_halt[instrument / 64], (uint64_t)1 << instrument % 64, __ATOMIC_ACQ_REL);
  announce(control);
}

static void venue_set(struct hwgw_segment *segment, uint32_t venue) {
  struct hwgw_control *control = hwgw_segment_control(segment);
  __atomic_fetch_or(&control->venue_halt, (uint32_t)1 << venue, __ATOMIC_ACQ_REL);
  announce(control);
}

static uint32_t find_symbol(struct hwgw_segment *segment, const char *symbol) {
  uint32_t cnt = hwgw_segment_head(segment)->instrument_cnt, i = 0;
  while (i < cnt && memcmp(hwgw_segment_symbols(segment) + i * 8, symbol, 8) != 0) i++;
  return i;
}

static void inherit_instruments(struct hwgw_segment *to, struct hwgw_segment *from) {
  for (uint32_t i = 0; i < hwgw_segment_head(from)->instrument_cnt; i++) {
    if (!halt_has_instrument(hwgw_segment_control(from), i)) continue;
    const char *symbol = hwgw_segment_symbols(from) + i * 8;
    uint32_t now = find_symbol(to, symbol);
    if (now < hwgw_segment_head(to)->instrument_cnt) {
      *hwgw_segment_instrument_halt(to, now) = *hwgw_segment_instrument_halt(from, i);
      instrument_set(to, now);
    } else {
      char text[96];
      int len = 8;
      while (len && symbol[len - 1] == ' ') len--;
      snprintf(text, sizeof text, "%.*s was halted and is no symbol of this gateway any more", len, symbol);
      halt_set(hwgw_segment_control(to), HWGW_RISK_REASON_STATE, text);
    }
  }
}

static void inherit_venues(struct hwgw_segment *to, struct hwgw_segment *from) {
  const struct hwgw_control *old = hwgw_segment_control(from);
  const struct hwgw_thread *had = hwgw_segment_thread(from, 0), *has = hwgw_segment_thread(to, 0);
  for (uint32_t i = 0; i < HWGW_SEGMENT_SESSIONS_MAX; i++) {
    if (!halt_has_venue(old, i)) continue;
    uint32_t now = 0;
    while (now < has->session_cnt &&
           memcmp(has->session[now].venue, had->session[i].venue, sizeof had->session[i].venue) != 0)
      now++;
    if (now < has->session_cnt) {
      hwgw_segment_control(to)->venue_halt_record[now] = old->venue_halt_record[i];
      venue_set(to, now);
    } else {
      char text[96];
      snprintf(text, sizeof text, "%.16s was halted and is no venue of this gateway any more", had->session[i].venue);
      halt_set(hwgw_segment_control(to), HWGW_RISK_REASON_STATE, text);
    }
  }
}

void halt_inherit(struct hwgw_segment *to, struct hwgw_segment *from) {
  struct hwgw_control *control = hwgw_segment_control(to);
  const struct hwgw_control *old = hwgw_segment_control(from);
  uint32_t kept = old->halt & ~((uint32_t)1 << HWGW_RISK_REASON_CONTROL_LOST);
  if (kept) {
    memcpy(control->halt_record, old->halt_record, sizeof control->halt_record);
    control->halt = kept;
    control->halt_seq = 1;
  }
  inherit_instruments(to, from);
  inherit_venues(to, from);
}

bool halt_is_latched(const struct hwgw_control *control) {
  uint64_t any = __atomic_load_n(&control->halt, __ATOMIC_ACQUIRE);
  any |= __atomic_load_n(&control->venue_halt, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; i < sizeof control->instrument_halt / 8; i++)
    any |= __atomic_load_n(&control->instrument_halt[i], __ATOMIC_ACQUIRE);
  return any != 0;
}

bool hwgw_halt(struct hwgw_segment *segment, uint32_t reason, const char *text) {
  return halt_set(hwgw_segment_control(segment), reason, text);
}

static bool is_acknowledged(struct hwgw_segment *segment, uint64_t seq) {
  const struct hwgw_segment_header *head = hwgw_segment_head(segment);
  for (uint32_t i = 0; i < head->thread_cnt; i++) {
    const struct hwgw_thread *thread = hwgw_segment_thread(segment, i);
    uint32_t state = __atomic_load_n(&thread->state, __ATOMIC_ACQUIRE);
    bool is_running = state == HWGW_SEGMENT_THREAD_STATE_RUNNING || state == HWGW_SEGMENT_THREAD_STATE_DRAINING;
    if (is_running && __atomic_load_n(&thread->halt_seq_ack, __ATOMIC_ACQUIRE) < seq) return false;
  }
  return true;
}

uint64_t hwgw_halt_listen(struct hwgw_segment *segment, uint64_t seq, uint64_t timeout_ns) {
  const struct hwgw_control *control = hwgw_segment_control(segment);
  struct timespec left = {.tv_sec = (time_t)(timeout_ns / 1000000000u), .tv_nsec = (long)(timeout_ns % 1000000000u)};
  if (__atomic_load_n(&control->halt_seq, __ATOMIC_ACQUIRE) == seq &&
      syscall(SYS_futex, &control->halt_seq, FUTEX_WAIT, (uint32_t)seq, &left, NULL, 0) && errno != ETIMEDOUT &&
      errno != EAGAIN && errno != EINTR)
    nanosleep(&left, NULL); /* no futex to be had here */
  return __atomic_load_n(&control->halt_seq, __ATOMIC_ACQUIRE);
}

bool hwgw_halt_wait(struct hwgw_segment *segment, uint64_t timeout_ns) {
  uint64_t seq = __atomic_load_n(&hwgw_segment_control(segment)->halt_seq, __ATOMIC_ACQUIRE);
  uint64_t end_ns = hwgw_now_ns() + timeout_ns;
  while (!is_acknowledged(segment, seq)) {
    uint32_t pid = hwgw_segment_head(segment)->data_pid;
    if (pid && kill((pid_t)pid, 0) && errno == ESRCH) return true; /* who is gone sends nothing */
    if (hwgw_now_ns() >= end_ns) return false;
    nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
  }
  return true;
}

uint32_t hwgw_resume(struct hwgw_segment *segment, uint32_t reasons) {
  struct hwgw_control *control = hwgw_segment_control(segment);
  uint32_t cleared = __atomic_fetch_and(&control->halt, ~reasons, __ATOMIC_ACQ_REL) & reasons;
  if (cleared) announce(control);
  return cleared;
}

bool hwgw_halt_instrument(struct hwgw_segment *segment, uint32_t instrument, uint32_t reason, const char *text) {
  if (instrument >= hwgw_segment_head(segment)->instrument_cnt ||
      halt_has_instrument(hwgw_segment_control(segment), instrument))
    return false;
  if (reason != HWGW_RISK_REASON_BREAKER) reason = HWGW_RISK_REASON_OPERATOR;
  write_record(hwgw_segment_instrument_halt(segment, instrument), reason, text);
  instrument_set(segment, instrument);
  return true;
}

bool hwgw_resume_instrument(struct hwgw_segment *segment, uint32_t instrument) {
  if (instrument >= hwgw_segment_head(segment)->instrument_cnt) return false;
  struct hwgw_control *control = hwgw_segment_control(segment);
  uint64_t bit = (uint64_t)1 << instrument % 64;
  bool was_halted = __atomic_fetch_and(&control->instrument_halt[instrument / 64], ~bit, __ATOMIC_ACQ_REL) & bit;
  if (was_halted) announce(control);
  return was_halted;
}

bool hwgw_halt_venue(struct hwgw_segment *segment, uint32_t venue, const char *text) {
  struct hwgw_control *control = hwgw_segment_control(segment);
  if (venue >= hwgw_segment_thread(segment, 0)->session_cnt || halt_has_venue(control, venue)) return false;
  write_record(&control->venue_halt_record[venue], HWGW_RISK_REASON_OPERATOR, text);
  venue_set(segment, venue);
  return true;
}

bool hwgw_resume_venue(struct hwgw_segment *segment, uint32_t venue, const char *text) {
  struct hwgw_control *control = hwgw_segment_control(segment);
  if (venue >= hwgw_segment_thread(segment, 0)->session_cnt) return false;
  uint32_t bit = (uint32_t)1 << venue;
  if (!(__atomic_fetch_and(&control->venue_halt, ~bit, __ATOMIC_ACQ_REL) & bit)) return false;
  write_record(&control->venue_halt_record[venue], HWGW_RISK_REASON_OPERATOR,
               text); /* before the pipelines look for it */
  announce(control);
  return true;
}
