/* pipeline_entry.c: single venues: halted and resumed by a person; what is asked of one beside orders: to cancel everything at
 * once, to take no new orders of the firm while the gateway or the venue is halted, and to take them again.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: the halt latches, and of each session whether order entry is enabled at the venue. Output: the record of who halted or
 * resumed a venue; what is open there cancelled, with cancel_on_halt; requests, each with a
 * reference of its own, on record before its bytes leave. Where a session has disable_on_halt, orders leave it only when the
 * venue has said that entry is enabled; that is asked for after each login. A halt for reconcile alone asks for nothing: it is
 * over as soon as the venue agrees. The gateway's own halt does not wait for any of it.
 *   Cost: a word per session and round of them. Thread: the pipeline's.
 */
#include "pipeline.h"
#include "pipeline_clock.h"

#include "halt.h"
#include "session.h"

void pipeline_venue_halts(struct hwgw_pipeline *p) {
  uint32_t now = __atomic_load_n(&p->control->venue_halt, __ATOMIC_ACQUIRE);
  uint32_t changed = now ^ p->venue_halt;
  p->venue_halt = now;
  for (uint32_t venue = 0; changed >> venue; venue++) {
    if (!(changed >> venue & 1)) continue;
    const struct hwgw_halt_record *said = &p->control->venue_halt_record[venue];
    struct hwgw_journal_venue_halt record = {
        .number = venue, .is_halted = now >> venue & 1, .said_ns = said->ts_ns, .uid = said->uid, .pid = said->pid};
    memcpy(record.name, hwgw_segment_thread(p->segment, 0)->session[venue].venue, sizeof record.name);
    memcpy(record.text, said->text, sizeof record.text);
    journal_keep(&p->journal, HWGW_JOURNAL_RECORD_TYPE_VENUE_HALT, 0, pipeline_now_ns(p), &record, sizeof record);
    if (!record.is_halted || !p->cancel_on_halt || venue >= p->session_cnt) continue;
    pipeline_rule_renew(p);
    p->session[venue].cancel_ref = p->last_ref;
    p->session[venue].t_cancel = 0;
    p->left_open = true;
  }
}

bool pipeline_request(struct hwgw_pipeline *p, uint32_t venue, uint32_t kind, uint32_t symbol) {
  pipeline_rule_return(p);
  if (p->last_ref == UINT32_MAX) return false;
  struct hwgw_order order = {.kind = (uint8_t)kind,
                             .ref = p->last_ref + 1,
                             .instrument = symbol,
                             .ts_ns = pipeline_now_ns(p),
                             .venue_ref = (uint64_t)venue << HWGW_ORDER_VENUE_SHIFT};
  if (hwgw_session_order(p->session[venue].link, &order) != HWGW_CNT_ORDER_ENCODED) return false;
  p->last_ref++;
  if (p->is_reconciling) p->recorded_ref = p->last_ref; /* on record, too */
  bool is_mass = kind == HWGW_ORDER_KIND_MASS_CANCEL;
  p->counters[is_mass ? HWGW_CNT_ORDER_MASS_CANCELS : HWGW_CNT_ORDER_ENTRY_REQUESTS]++;
  pipeline_record(p, &order, HWGW_RISK_REASON_PASS); /* what stops orders leaves in any case */
  return true;
}

/* whether the venue stands, or will, as it is to */
static bool is_settled(uint32_t entry, bool is_to_stop) {
  return is_to_stop ? entry == HWGW_SEGMENT_ENTRY_STATE_DISABLED || entry == HWGW_SEGMENT_ENTRY_STATE_DISABLING
                    : entry == HWGW_SEGMENT_ENTRY_STATE_ENABLED || entry == HWGW_SEGMENT_ENTRY_STATE_ENABLING;
}

void pipeline_entry(struct hwgw_pipeline *p) {
  uint32_t halt = __atomic_load_n(&p->control->halt, __ATOMIC_ACQUIRE);
  for (uint32_t venue = 0; venue < p->session_cnt; venue++) {
    const struct pipeline_session *session = &p->session[venue];
    const struct hwgw_session *link = session->link;
    if (HWGW_LIKELY(!link->cfg.disable_on_halt) || session->state != HWGW_SEGMENT_SESSION_STATE_UP) continue;
    bool is_held = halt_has_venue(p->control, venue), is_to_stop = halt || is_held;
    if (HWGW_LIKELY(is_settled(link->orders.entry, is_to_stop))) continue;
    if (!is_held && halt == (uint32_t)1 << HWGW_RISK_REASON_RECONCILE) continue;
    uint32_t kind = is_to_stop ? HWGW_ORDER_KIND_DISABLE : HWGW_ORDER_KIND_ENABLE;
    if (link->orders.entry_refused != kind && pipeline_request(p, venue, kind, 0)) pipeline_flush(p);
  }
}
