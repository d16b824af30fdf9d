/* halt.c: the halt latch: a set of reasons, which anybody may add to and only a resume that names them clears.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: a reason of the risk table and a text. Output: its bit in control->halt, which every pipeline reads before every
 * order, and its record: when, who (uid, pid), what. As long as one bit is set no new order leaves. A reason that is set
 * keeps its first record; one more does not hide behind another, and clearing one leaves the others.
 *
 * Cost: a clock read, two id reads, 128 bytes and one atomic or. No lock, no memory, no help of a running gateway. Thread:
 * any thread of any process that may write the segment. Two that set the same reason at the same moment may mix the text
 * of its record, never the bit.
 */
#include "halt.h"

#include <unistd.h>

#include "segment.h"

#define REASONS_MAX (sizeof((struct hwgw_control *)0)->halt_record / sizeof(struct hwgw_halt_record))

_Static_assert(HWGW_RISK_REASON_SESSION < REASONS_MAX && REASONS_MAX <= 32, "a bit and a record per reason");

bool halt_set(struct hwgw_control *control, uint32_t reason, const char *text) {
  if (reason == HWGW_RISK_REASON_PASS || reason >= REASONS_MAX) reason = HWGW_RISK_REASON_OPERATOR;
  uint32_t bit = (uint32_t)1 << reason;
  if (__atomic_load_n(&control->halt, __ATOMIC_ACQUIRE) & bit) return false;
  struct hwgw_halt_record *record = &control->halt_record[reason];
  *record =
      (struct hwgw_halt_record){.ts_ns = hwgw_realtime_ns(), .uid = (uint32_t)getuid(), .pid = (uint32_t)getpid()};
  snprintf(record->text, sizeof record->text, "%s", text ? text : "");
  if (__atomic_fetch_or(&control->halt, bit, __ATOMIC_ACQ_REL) & bit) return false;
  __atomic_add_fetch(&control->halt_seq, 1, __ATOMIC_RELEASE);
  return true;
}

void halt_inherit(struct hwgw_control *control, const struct hwgw_control *old) {
  uint32_t kept = old->halt & ~((uint32_t)1 << HWGW_RISK_REASON_CONTROL_LOST);
  if (!kept) return;
  memcpy(control->halt_record, old->halt_record, sizeof control->halt_record);
  control->halt = kept;
  control->halt_seq = 1;
}

bool hwgw_halt(struct hwgw_segment *segment, uint32_t reason, const char *text) {
  return halt_set(hwgw_segment_control(segment), reason, text);
}

uint32_t hwgw_resume(struct hwgw_segment *segment, uint32_t reasons) {
  struct hwgw_control *control = hwgw_segment_control(segment);
  uint32_t cleared = __atomic_fetch_and(&control->halt, ~reasons, __ATOMIC_ACQ_REL) & reasons;
  if (cleared) __atomic_add_fetch(&control->halt_seq, 1, __ATOMIC_RELEASE);
  return cleared;
}
