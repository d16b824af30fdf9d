/* pipeline_entry.c: what is asked of a venue beside orders: to cancel everything at once, to take no new orders of the firm
 * while the gateway is halted, and to take them again.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: the halt latch, and of each session whether order entry is enabled at the venue. Output: requests, each with a
 * reference of its own, on record before its bytes leave. Where a session has disable_on_halt, orders leave it only when the
 * venue has said that entry is enabled; that is asked for after each login. A halt for reconcile alone asks for nothing: it is
 * over as soon as the venue agrees. The gateway's own halt does not wait for any of it.
 *   Cost: a word per session and round of them. Thread: the pipeline's.
 */
#include "pipeline.h"

#include "session.h"

bool pipeline_request(struct hwgw_pipeline *p, uint32_t venue, uint32_t kind, uint32_t symbol) {
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
    bool is_to_stop = halt != 0;
    if (HWGW_LIKELY(is_settled(link->orders.entry, is_to_stop)) || halt == (uint32_t)1 << HWGW_RISK_REASON_RECONCILE)
      continue;
    uint32_t kind = is_to_stop ? HWGW_ORDER_KIND_DISABLE : HWGW_ORDER_KIND_ENABLE;
    if (link->orders.entry_refused != kind && pipeline_request(p, venue, kind, 0)) pipeline_flush(p);
  }
}
