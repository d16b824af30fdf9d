/* race.h: the C gate and the Verilated gate on the same stream, compared after every event.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef RISK_RACE_H
#define RISK_RACE_H

#include <stdint.h>

/* race cdef begin */
struct race;
struct race_counts {
  uint64_t events;
  uint64_t states;     /* comparisons of what the events could have touched */
  uint64_t whole;      /* comparisons of all state */
  uint64_t cycles;     /* of the Verilated gate */
  uint64_t tables;     /* limits tables written */
  uint64_t orders[32]; /* verdicts of new and replace, by reason */
  uint64_t facts[32];  /* answers to everything else, by reason */
  uint64_t kinds[32];
  uint64_t latency_min[32]; /* of events that came alone: cycles from record to answer, by kind */
  uint64_t latency_max[32];
};
struct race *race_open(uint64_t seed);
void race_close(struct race *race);
/* So many events, in bursts of 1 to burst_max back to back; state is compared after each burst, all of it every whole
 * events and at the end. 0 when there was no difference; else race_text says what it was. */
int race_run(struct race *race, uint64_t events, uint32_t burst_max, uint32_t tables_per_million, uint64_t whole);
/* both gates are reset; from now on the stream is a wide one (stream.h) */
void race_widen(struct race *race);
const struct race_counts *race_counts(const struct race *race);
const char *race_text(const struct race *race);
/* hwgw_risk_dump of the C gate (0) or of the Verilated one (1) */
uint32_t race_dump(struct race *race, uint32_t which, char *text, uint32_t sz);
/* one event of anybody's into both, with its table or NULL; the answer, -1 when they differ */
int race_event(struct race *race, const void *event, const void *table);
struct risk_model *race_model(struct race *race);
/* race cdef end */

#endif
