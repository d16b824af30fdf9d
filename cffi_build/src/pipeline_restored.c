/* pipeline_restored.c: what a run begins with that goes on behind a journal, and what a replay takes for it.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: the pipeline as pipeline_restore.c has rebuilt it. A start has it halted with reason reconcile until the venue
 * agrees (pipeline_reconcile.c), its session resume where the journal ends, halts stand that people or the gate had said;
 * and puts on record what it begins with, and on which clock.
 *   A replay gets a copy of the gate at that moment, in the numbers and on the clock that are on record: every item of it is
 * what the start had.
 *   Cost: once per run. Thread: the pipeline's opener.
 */
#include "halt.h"
#include "pipeline_clock.h"
#include "pipeline_restore.h"
#include "risk.h"
#include "session.h"

static void venue_halts_stand(const struct pipeline_restore *r) {
  for (uint32_t i = 0; i < HWGW_SEGMENT_SESSIONS_MAX; i++) {
    const struct hwgw_journal_venue_halt *row = &r->venue_halt[i];
    if (!row->is_halted) continue;
    char text[96];
    uint32_t venue = 0;
    while (venue < r->p->session_cnt && memcmp(r->p->session[venue].row->venue, row->name, sizeof row->name) != 0)
      venue++;
    if (venue < r->p->session_cnt) {
      snprintf(text, sizeof text, "uid %u, before a restart: %.60s", row->uid, row->text);
      hwgw_halt_venue(r->p->segment, venue, text);
    } else {
      snprintf(text, sizeof text, "%.16s was halted and is no venue of this gateway any more", row->name);
      hwgw_halt(r->p->segment, HWGW_RISK_REASON_STATE, text);
    }
  }
}

static bool is_resolved(uint32_t reason) { /* by this recovery, or it ended with its process */
  return reason == HWGW_RISK_REASON_PASS || reason == HWGW_RISK_REASON_RECONCILE ||
         reason == HWGW_RISK_REASON_SESSION || reason == HWGW_RISK_REASON_JOURNAL ||
         reason == HWGW_RISK_REASON_CONTROL_LOST;
}

static void conclude(struct pipeline_restore *r, const struct hwgw_pipeline_cfg *cfg) {
  struct hwgw_pipeline *p = r->p;
  uint32_t open_cnt = 0, unknown_cnt = 0;
  for (uint32_t i = 0; i < p->session_cnt; i++) {
    struct hwgw_session *link = p->session[i].link;
    uint32_t unknown;
    hwgw_session_restore_end(link, p->last_ref);
    p->session[i].has_past = link->is_restored;
    p->is_reconciling |= link->is_restored;
    p->session[i].row->is_reconciling = link->is_restored;
    open_cnt += hwgw_session_orders_open(&link->orders, &unknown);
    unknown_cnt += unknown;
    pipeline_session_publish(p, i);
  }
  pipeline_route_restored(p);
  for (uint32_t i = 0; i < p->symbol_cnt; i++) (void)pipeline_exposure_rows(p, i);
  if (cfg->replay_halts && !is_resolved(r->halt))
    hwgw_halt(p->segment, r->halt, "it was halted so when its journal ended");
  if (cfg->replay_halts) venue_halts_stand(r);
  if (!p->is_reconciling) return;
  char text[96];
  snprintf(text, sizeof text, "rebuilt %u open orders, %u without an answer: the venue has not been asked yet",
           open_cnt, unknown_cnt);
  p->recorded_ref = p->last_ref - (r->shot_cnt > 1); /* the venue does not agree when that one has left */
  hwgw_halt(p->segment, HWGW_RISK_REASON_RECONCILE, text);
}

int32_t pipeline_restore(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error) {
  struct pipeline_restore *r;
  if (!cfg->replay_cnt) return HWGW_OK;
  int32_t status = pipeline_restore_open(&r, p, false, error);
  if (status) return status;
  status = pipeline_rebuild_begin(p, error);
  struct journal_cursor at = journal_from(cfg->replay, cfg->replay_cnt);
  while (!status && journal_next(&at)) status = pipeline_restore_record(r, &at);
  if (!status && journal_is_cut(&at))
    status = hwgw_error_set(error, HWGW_ERR_CHECK, 0,
                            "the journal contradicts itself: block %llu, record %u: it is behind the end of its block",
                            (unsigned long long)at.part->block, at.index);
  if (!status) status = pipeline_restore_settle(r);
  if (!status) {
    conclude(r, cfg);
    status = pipeline_rebuild_end(p, error);
  }
  uint32_t venue[HWGW_SEGMENT_SESSIONS_MAX];
  for (uint32_t i = 0; i < HWGW_SEGMENT_SESSIONS_MAX; i++) venue[i] = i;
  p->restored = pipeline_restore_outline(r, venue);
  p->restored.clock_offset_ns = r->clock_offset_ns;
  p->restored.now_ns = r->now_ns;
  p->restored.allowance_ns = p->card.gate ? 0 : r->now_ns; /* the card's cannot be emptied: both begin full */
  hwgw_risk_restart(p->risk, p->restored.allowance_ns);
  memcpy(p->restored_strategy, p->risk->strategy, sizeof p->restored_strategy);
  pipeline_restore_close(r);
  return status;
}

void pipeline_restore_gate(const struct pipeline_restore *r, const struct hwgw_journal_restored *began,
                           const uint8_t *strategy, struct hwgw_risk *gate) {
  uint32_t instrument[HWGW_RISK_INSTRUMENTS_MAX];
  for (uint32_t i = 0; i < HWGW_RISK_INSTRUMENTS_MAX; i++) instrument[i] = RESTORE_NONE;
  for (uint32_t i = HWGW_RISK_INSTRUMENTS_MAX; i-- > 0;) /* symbols stand once per venue: the first counts */
    if (r->instrument[i] < HWGW_RISK_INSTRUMENTS_MAX) instrument[r->instrument[i]] = i;
  hwgw_risk_renumber(gate, r->p->risk, instrument, strategy);
  for (uint32_t i = 0; i < HWGW_RISK_RECENT_MAX; i++)
    gate->recent.ts[i] = restore_time(gate->recent.ts[i], r->clock_offset_ns - began->clock_offset_ns, began->now_ns);
  hwgw_risk_restart(gate, began->allowance_ns);
}

void pipeline_restored(struct hwgw_pipeline *p, bool is_replayed) {
  for (uint32_t i = 0; is_replayed && i < HWGW_RISK_STRATEGIES_MAX;
       i++) { /* being armed by the start has begun no new run */
    p->risk->strategy[i].fills = p->restored_strategy[i].fills;
    p->risk->strategy[i].rejects = p->restored_strategy[i].rejects;
  }
  pipeline_rebuild_started(p);
  uint64_t now_ns = pipeline_now_ns(p);
  for (uint32_t i = 0; i < p->strategy_cnt; i++) pipeline_params_keep(p, &p->strategy[i], now_ns);
  for (uint32_t i = 0; i < p->session_cnt; i++) {
    struct hwgw_journal_session row = {.number = i, .protocol = p->session[i].row->protocol};
    memcpy(row.name, p->session[i].row->venue, sizeof row.name);
    journal_keep(&p->journal, HWGW_JOURNAL_RECORD_TYPE_SESSION, 0, now_ns, &row, sizeof row);
  }
  journal_keep(&p->journal, HWGW_JOURNAL_RECORD_TYPE_RESTORED, 0, now_ns, &p->restored, sizeof p->restored);
}
