/* pipeline_clock.h: the two clocks of a pipeline: one that it decides by, and one that it measures with.
 *
 * SPDX-License-Identifier: MIT
 *
 * They differ where the journal has frames: there all that an input brings about is decided at one time, which its record has.
 */
#ifndef HWGW_PIPELINE_CLOCK_H
#define HWGW_PIPELINE_CLOCK_H

#include "pipeline.h"

/* ---- the clock of decisions: ticks of the TSC, or ns of the virtual clock ---- */

static inline uint64_t pipeline_ticks(const struct hwgw_pipeline *p) {
  return HWGW_LIKELY(!p->is_virtual) ? hwgw_rdtsc() : p->virtual_ns;
}

/* the gateway clock at a tick */
static inline uint64_t pipeline_ns(const struct hwgw_pipeline *p, uint64_t ticks) {
  return HWGW_LIKELY(!p->is_virtual) ? hwgw_ticks_to_now_ns(ticks) : ticks;
}

static inline uint64_t pipeline_now_ns(const struct hwgw_pipeline *p) {
  return pipeline_ns(p, pipeline_ticks(p));
}

/* the time at which the gates are told of something: an order of the card, and what came of it, may be younger than now_ns */
static inline uint64_t pipeline_told_ns(const struct hwgw_pipeline *p, uint64_t now_ns) {
  return HWGW_LIKELY(now_ns >= p->rules.fired_ns) ? now_ns : p->rules.fired_ns;
}

static inline uint64_t pipeline_hz(const struct hwgw_pipeline *p) {
  return HWGW_LIKELY(!p->is_virtual) ? hwgw_ticks_hz() : 1000000000u;
}

/* Another input comes. Where frames are kept, all that it brings about happens at this time, which its record has */
static inline void pipeline_clock(struct hwgw_pipeline *p) {
  if (HWGW_UNLIKELY(p->keeps_frames)) p->virtual_ns = hwgw_now_ns();
}

/* ---- the clock of measurements, by which nothing is decided: it goes on within an input ---- */

static inline bool pipeline_is_timed(const struct hwgw_pipeline *p) {
  return HWGW_LIKELY(!p->is_virtual) || p->keeps_frames;
}

static inline uint64_t pipeline_lap(const struct hwgw_pipeline *p) {
  return pipeline_is_timed(p) ? hwgw_rdtsc() : p->virtual_ns;
}

/* the lap at a tick that was just read; one reading where both clocks are the TSC */
static inline uint64_t pipeline_lap_at(const struct hwgw_pipeline *p, uint64_t ticks) {
  return HWGW_LIKELY(!p->is_virtual) ? ticks : pipeline_lap(p);
}

/* the tick of decisions at a lap */
static inline uint64_t pipeline_decided_at(const struct hwgw_pipeline *p, uint64_t lap) {
  return HWGW_LIKELY(!p->is_virtual) ? lap : p->virtual_ns;
}

/* the gateway clock at a lap: for decisions, for measurements */
static inline uint64_t pipeline_decided_ns(const struct hwgw_pipeline *p, uint64_t lap) {
  return HWGW_LIKELY(!p->is_virtual) ? hwgw_ticks_to_now_ns(lap) : p->virtual_ns;
}

static inline uint64_t pipeline_lap_ns(const struct hwgw_pipeline *p, uint64_t lap) {
  return pipeline_is_timed(p) ? hwgw_ticks_to_now_ns(lap) : lap;
}

/* between two laps */
static inline uint64_t pipeline_span_ns(const struct hwgw_pipeline *p, uint64_t laps) {
  return pipeline_is_timed(p) ? hwgw_ticks_to_ns(laps) : laps;
}

/* time spent in a stage */
static inline void pipeline_stage(struct hwgw_pipeline *p, uint32_t hist, uint64_t from, uint64_t to) {
  hist_record(p->hist[hist], to > from ? to - from : 0);
}

#endif
