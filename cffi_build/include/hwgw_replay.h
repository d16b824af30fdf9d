/* hwgw_replay.h: the records of a journal through the gate once more.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_REPLAY_H
#define HWGW_REPLAY_H

#include "hwgw.h"

/* hwgw cdef begin */

enum hwgw_replay_field {
  HWGW_REPLAY_FIELD_VERDICT = 0, /* of an order, or what an event latched: reason codes */
  HWGW_REPLAY_FIELD_PRICE = 1,   /* at which a market order that passed was judged */
};

/* a record that came out otherwise */
struct hwgw_replay_difference {
  uint64_t block;
  uint64_t seq; /* number of the record in its run and pipeline */
  uint64_t ts_ns;
  uint64_t recorded;
  uint64_t replayed;
  uint32_t run; /* from 1 */
  uint32_t thread;
  uint32_t kind; /* as in the table order */
  uint32_t ref;
  uint32_t field; /* enum hwgw_replay_field */
  uint32_t pad;
};

struct hwgw_replay_result {
  uint64_t records;
  uint64_t runs;
  uint64_t orders;       /* new and replace, judged again and compared */
  uint64_t cancels;      /* likewise */
  uint64_t events;       /* of venue, feed and control plane, told again and compared */
  uint64_t refused;      /* of orders, as recorded */
  uint64_t ahead;        /* refused ahead of the gate: taken from the record */
  uint64_t without;      /* not compared: a crash cut off what they were judged by */
  uint64_t messages;     /* of the venue */
  uint64_t rebuilt_runs; /* compared: begun, per pipeline, with what is rebuilt here from records before them */
  uint64_t unknown_runs; /* not compared: likewise, and it cannot be rebuilt */
  uint64_t unknown_records;
  uint64_t differences;
};

/* Every record, in order, of proven blocks that begin where a journal does, or was begun anew. The first max differences are
 * written to out. pipelines: of each thread of the journal one that is as new, with the symbols, strategies and sessions of
 * all its runs; in it the orders are rebuilt from the venue's messages, as at a start. NULL: they are not, and runs that
 * began with what was rebuilt are not compared. contradiction: where the records say of an order what the venue's messages do
 * not, status 0 when nowhere. HWGW_ERR_CHECK when a record cannot be, or a table of limits that came into force is not on
 * record */
int32_t hwgw_replay_verify(const struct hwgw_replay_part *parts, uint32_t cnt, struct hwgw_pipeline *const *pipelines,
                           uint32_t pipeline_cnt, struct hwgw_replay_result *result, struct hwgw_replay_difference *out,
                           uint32_t max, struct hwgw_error *contradiction, struct hwgw_error *error);

/* ---- strategies that decide again ---- */

#define HWGW_DECIDED_SZ 96 /* bytes of a payload that are shown */

/* A record that came out otherwise, and what was put in its place: the first payload bytes of each. type: enum
 * hwgw_journal_record_type; 0 = nothing was put */
struct hwgw_decided_difference {
  uint64_t block;
  uint64_t seq;
  uint64_t ts_ns;
  uint32_t type;
  uint32_t type_now;
  uint32_t verdict;
  uint32_t verdict_now;
  uint8_t recorded[HWGW_DECIDED_SZ];
  uint8_t now[HWGW_DECIDED_SZ];
};

struct hwgw_decided_result {
  uint64_t frames;            /* of lines */
  uint64_t requests;          /* for what is missing, made again and the same */
  uint64_t replies;           /* of re-request servers */
  uint64_t loads;             /* of snapshots, begun again at the same place */
  uint64_t snapshot_messages; /* of these */
  uint64_t answers;           /* of the venue, and what its session concluded */
  uint64_t inputs;            /* of the control plane, and what else is on record as told to the pipeline */
  uint64_t orders;            /* new and replace, decided again, judged again and the same */
  uint64_t cancels;           /* likewise, those of the gateway among them */
  uint64_t refused;           /* of both, as recorded */
  uint64_t compared;          /* records of every type that came out as they are on record */
  bool is_different;          /* then nothing behind it was decided */
  struct hwgw_decided_difference difference;
};

/* One run, told to a pipeline that is as new, on a virtual clock, with a journal, without sessions and limits: strategies,
 * channels and symbols are those of the run. Its blocks stand behind before_cnt ones, of runs before it, from where the journal
 * begins or was begun anew. past: of a run that began with what these had left, a pipeline as hwgw_replay_verify wants one, in
 * which it is rebuilt; NULL: it began with nothing. The first record that comes out otherwise ends it. HWGW_ERR_CHECK when a
 * record cannot be: there are no frames, one is of a line that the pipeline does not have, a table of limits is not on record */
int32_t hwgw_decide_again(struct hwgw_pipeline *pipeline, const struct hwgw_replay_part *parts, uint32_t before_cnt,
                          uint32_t cnt, struct hwgw_pipeline *past, struct hwgw_decided_result *result,
                          struct hwgw_error *error);

/* hwgw cdef end */

#endif
