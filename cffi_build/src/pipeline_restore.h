/* pipeline_restore.h: a pipeline that is told its journal again, record by record.
 *
 * SPDX-License-Identifier: MIT
 *
 * A start goes through the records to their end and trades on from there. A replay goes through them beside what it
 * compares, and takes the gate as it stands where a run began with what was rebuilt. Both call what is below.
 */
#ifndef HWGW_PIPELINE_RESTORE_H
#define HWGW_PIPELINE_RESTORE_H

#include "pipeline.h"

#define RESTORE_NONE UINT32_MAX

/* an event, and the session that made it */
struct restore_derived {
  struct hwgw_order event;
  uint32_t venue;
};

struct pipeline_restore {
  struct hwgw_pipeline *p;
  struct hwgw_error *error;
  uint64_t block; /* at hand, for messages */
  uint32_t index; /* of the record in it */
  bool is_replay; /* nothing is to go on from here */
  uint64_t record_cnt;
  uint64_t next_seq;           /* number of the next record, 0 = any */
  int64_t clock_offset_ns;     /* of now: times of recent orders are brought on its clock */
  uint64_t now_ns;             /* none of them is later */
  int64_t run_clock_offset_ns; /* of the run at hand */
  uint64_t last_ns;            /* of the last order, on the clock of now */
  bool is_started; /* the run at hand has said what it began with: from here on strategies are armed by people */
  uint32_t halt;   /* as the records have it, 0 = not */
  uint32_t instrument[HWGW_RISK_INSTRUMENTS_MAX]; /* of now, by that of the run */
  uint8_t strategy[HWGW_RISK_STRATEGIES_MAX];
  struct hwgw_journal_venue_halt venue_halt[HWGW_SEGMENT_SESSIONS_MAX]; /* by its name; the last word of each */
  uint32_t venue[HWGW_SEGMENT_SESSIONS_MAX];                /* RESTORE_NONE: there is no such session any more */
  struct hwgw_risk_strategy kept[HWGW_RISK_STRATEGIES_MAX]; /* run counters as the run before left them */
  uint64_t counters[HWGW_COUNTER_CNT]; /* of no interest: the messages were counted when they came */
  struct hwgw_order shot; /* a rule of the card may have made it: the last of shot_cnt that have its reference */
  uint32_t shot_cnt;
  struct hwgw_order offer; /* the card had it, and no verdict is on record: kind none when there is none */
  uint32_t derived_cnt;
  struct restore_derived *derived; /* what the sessions made of messages and the gate was not told yet */
};

/* pipeline_restore.c. is_replay: on the clock of the day, and of whatever FIX session the journal is */
int32_t pipeline_restore_open(struct pipeline_restore **restore, struct hwgw_pipeline *p, bool is_replay,
                              struct hwgw_error *error);
void pipeline_restore_close(struct pipeline_restore *r);
/* the record that the cursor is at; HWGW_ERR_CHECK when it contradicts those before it */
int32_t pipeline_restore_record(struct pipeline_restore *r, const struct journal_cursor *at);
/* the process ended behind the last record, in whatever way */
int32_t pipeline_restore_settle(struct pipeline_restore *r);
/* what was rebuilt, in a form that a later recovery can compare; venue: the sessions now by their numbers in that run */
struct hwgw_journal_restored pipeline_restore_outline(const struct pipeline_restore *r, const uint32_t *venue);
/* the number now of the strategy of this name; false when there is none */
bool pipeline_restore_strategy(const struct pipeline_restore *r, const char *name, uint8_t *id);
/* The gate as the run began with it whose record open was the last: in the numbers of that run (strategy: those of it by
 * ours, UINT8_MAX = none), on its clock */
void pipeline_restore_gate(const struct pipeline_restore *r, const struct hwgw_journal_restored *began,
                           const uint8_t *strategy, struct hwgw_risk *gate);

/* a time of another run's clock: not before that of now began, nor in its future */
static inline uint64_t restore_time(uint64_t ts_ns, int64_t offset_ns, uint64_t now_ns) {
  int64_t at = (int64_t)ts_ns + offset_ns;
  return at < 0 ? 0 : (uint64_t)at < now_ns ? (uint64_t)at : now_ns;
}

#endif
