/* stream.h: seeded event streams for the risk gate, made from what the C gate remembers.
 *
 * SPDX-License-Identifier: MIT
 *
 * The same idea as tests/support/risk_stream.py, fast: values at the edges of limits and state, references that collide,
 * bursts, clock steps, acknowledgements in any order, whatever the venue might say.
 * A wide stream has besides values of every size in whatever is a number, among them times, references, generations, limits and the
 * fields that an event does not use, and other rows after each reset.
 */
#ifndef RISK_STREAM_H
#define RISK_STREAM_H

#include "risk.h"

enum { STREAM_REFS = 256, STREAM_INSTRUMENTS = 4, STREAM_ACCOUNTS = 3, STREAM_STRATEGIES = 3 };

struct stream {
  const struct hwgw_risk *gate;
  uint64_t rng;
  uint64_t ts;
  uint64_t step_ns;
  uint64_t generation;
  uint32_t tables_per_million; /* how often new limits come */
  uint32_t started;            /* events of the start that were given */
  uint32_t refs[STREAM_REFS];  /* passed orders */
  uint32_t ref_cnt;
  bool is_wide;
  uint32_t instruments[STREAM_INSTRUMENTS]; /* that events are of */
  uint32_t unpriced;                        /* one that never has a reference */
  uint8_t accounts[STREAM_ACCOUNTS];
  uint8_t strategies[STREAM_STRATEGIES];
  struct hwgw_limits *table; /* the next one that is offered; the caller may take it and give another */
};

void stream_init(struct stream *stream, const struct hwgw_risk *gate, uint64_t seed, struct hwgw_limits *table);
/* from now on a wide stream, of a gate that was just reset */
void stream_widen(struct stream *stream);
/* the next event; true when stream->table is offered with it */
bool stream_next(struct stream *stream, struct hwgw_order *event);
/* tells the stream that an order passed */
void stream_passed(struct stream *stream, uint32_t ref);
uint64_t stream_random(struct stream *stream);

#endif
