/* pipeline_gate.c: what the gate is told besides orders, on the one clock: facts, and the words of the control plane.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: events of venue and feed, and the control words of the segment: halt, limits, heartbeat, armed strategies. Output: each
 * in the gate and in the journal, in that order; what latches in the gate latches in the segment. Cost: five loads when the
 * control plane has said nothing new. Thread: the pipeline's.
 */
#include "breaker.h"
#include "halt.h"
#include "pipeline.h"
#include "pipeline_clock.h"
#include "risk.h"

/* ---- gate: every event on the one clock; what latches in the gate latches in the segment ---- */

uint32_t pipeline_gate_at(struct hwgw_pipeline *p, struct hwgw_order *event, const struct hwgw_limits *limits,
                          uint64_t now_ns) {
  pipeline_rule_return(p);
  event->ts_ns = pipeline_told_ns(p, now_ns);
  struct hwgw_journal_basis basis = {.kind = HWGW_ORDER_KIND_NONE};
  if (p->journal.ring && (event->kind == HWGW_ORDER_KIND_EXECUTED || event->kind == HWGW_ORDER_KIND_BROKEN))
    basis = pipeline_basis(p, event);
  uint32_t latched = pipeline_judge(p, event, limits);
  pipeline_record_event(p, event, latched, &basis);
  if (HWGW_UNLIKELY(latched != HWGW_RISK_REASON_PASS)) {
    p->is_halted = true;
    hwgw_halt(p->segment, latched, "the risk gate latched");
  }
  if (HWGW_UNLIKELY(hwgw_breaker_event(p->breaker, p->risk, event, latched))) {
    pipeline_breaker_act(p);
    pipeline_control(p);
  }
  return latched;
}

uint32_t pipeline_gate(struct hwgw_pipeline *p, struct hwgw_order *event, const struct hwgw_limits *limits) {
  return pipeline_gate_at(p, event, limits, pipeline_now_ns(p));
}

/* The gate counts a beat's age from when it is told of it. One that is too old by then (this thread, or the machine, had
 * been stopped) says nothing of the control plane that is. */
static void beat(struct hwgw_pipeline *p, uint64_t beat_ns) {
  uint64_t now_ns = pipeline_now_ns(p);
  if (now_ns > beat_ns && now_ns - beat_ns > p->risk->limits->beat_age_max_ns) return;
  struct hwgw_order event = {.kind = HWGW_ORDER_KIND_BEAT};
  pipeline_gate(p, &event, NULL);
}

static void arm(struct hwgw_pipeline *p) {
  for (uint32_t id = 0; id < HWGW_RISK_STRATEGIES_MAX; id++) {
    uint16_t wanted = __atomic_load_n(&p->control->arm[id], __ATOMIC_ACQUIRE);
    if (wanted == p->arm[id]) continue;
    p->arm[id] = wanted;
    struct hwgw_order event = {.kind = wanted & 1 ? HWGW_ORDER_KIND_ARM : HWGW_ORDER_KIND_DISARM,
                               .strategy = (uint8_t)id};
    pipeline_gate(p, &event, NULL);
  }
}

void pipeline_control(struct hwgw_pipeline *p) {
  if (HWGW_UNLIKELY(p->desk.control != NULL)) p->desk.control(p->desk.context);
  pipeline_words(p);
}

/* five loads when nothing is new */
void pipeline_words(struct hwgw_pipeline *p) {
  const struct hwgw_control *control = p->control;
  uint32_t halt = __atomic_load_n(&control->halt, __ATOMIC_ACQUIRE);
  if (HWGW_UNLIKELY((halt != 0) != p->is_halted)) {
    p->is_halted = halt != 0;
    p->t_cancel = 0;
    struct hwgw_order event = {.kind = halt ? HWGW_ORDER_KIND_HALT : HWGW_ORDER_KIND_RESUME,
                               .reason = halt ? (uint32_t)__builtin_ctz(halt) : 0};
    pipeline_gate(p, &event, NULL);
  }
  uint64_t generation = __atomic_load_n(&control->limits_generation, __ATOMIC_ACQUIRE);
  if (HWGW_UNLIKELY(generation != p->limits_generation)) {
    struct hwgw_order event = {.kind = HWGW_ORDER_KIND_LIMITS, .venue_ref = generation};
    const struct hwgw_limits *table = hwgw_segment_limits(p->segment, (uint32_t)generation);
    journal_table(&p->journal, table, pipeline_now_ns(p));
    pipeline_gate(p, &event, table);
    pipeline_breaker_rules(p);
    struct hwgw_journal_limits record = {.generation = generation, .checksum = p->risk->limits->checksum};
    journal_keep(&p->journal, HWGW_JOURNAL_RECORD_TYPE_LIMITS, 0, event.ts_ns, &record, sizeof record);
    p->limits_generation = generation;
    __atomic_store_n(&p->thread->generation_ack, generation, __ATOMIC_RELEASE);
  }
  uint64_t beat_cnt = __atomic_load_n(&control->beat_cnt, __ATOMIC_ACQUIRE);
  if (beat_cnt != p->beat_cnt) {
    p->beat_cnt = beat_cnt;
    beat(p, __atomic_load_n(&control->beat_ns, __ATOMIC_RELAXED));
  }
  uint64_t arm_seq = __atomic_load_n(&control->arm_seq, __ATOMIC_ACQUIRE);
  if (HWGW_UNLIKELY(arm_seq != p->arm_seq)) {
    p->arm_seq = arm_seq;
    arm(p);
  }
}
