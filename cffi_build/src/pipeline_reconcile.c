/* pipeline_reconcile.c: whether the venue agrees with what pipeline_restore.c rebuilt; until it does, the gateway is halted.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   The venue agrees when the session is logged in as the one that is on record, at the number behind the last message of
 * it; everything the venue sent since is taken; no order is left of which nobody knows what became; it has taken no
 * reference that is not on record; gate and session hold the same orders open. An order whose outcome is not known is never
 * sent again and never taken for refused; only the venue's own word, or its next reference, ends it. A person who resumes
 * by name has decided instead.
 *   Cost: one look at the table of orders per session and call, while the gateway is halted for it. Thread: the pipeline's.
 */
#include "halt.h"
#include "pipeline.h"
#include "risk.h"
#include "session.h"

/* what is wrong between a session and its venue, or false when nothing is */
static bool differs(const struct hwgw_pipeline *p, uint32_t venue, char *text, size_t sz) {
  const struct hwgw_session *link = p->session[venue].link;
  uint32_t unknown_cnt, open_cnt = hwgw_session_orders_open(&link->orders, &unknown_cnt), gate_cnt = 0;
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++)
    gate_cnt += p->risk->slot[i].leaves && p->venue_of[i] == venue;
  if (link->orders.follow.kind != HWGW_ORDER_KIND_NONE || link->orders.withdrawn_idx) {
    snprintf(text, sz, "what the venue said is still being taken in");
  } else if (link->next_ref > p->recorded_ref + (uint64_t)1) {
    snprintf(text, sz, "the venue has taken references up to %u, the journal ends at %u", link->next_ref - 1,
             p->recorded_ref);
  } else if (unknown_cnt) {
    snprintf(text, sz, "of %u orders nobody knows what became: the venue neither answered nor lost them", unknown_cnt);
  } else if (open_cnt != gate_cnt) {
    snprintf(text, sz, "the venue has %u orders open, the gate %u", open_cnt, gate_cnt);
  } else {
    for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++) {
      const struct hwgw_risk_slot *slot = &p->risk->slot[i];
      if (!slot->leaves || p->venue_of[i] != venue) continue;
      const struct hwgw_own_order *own = hwgw_session_orders_find(&link->orders, slot->ref);
      if (own && own->leaves == slot->leaves) continue;
      snprintf(text, sz, "order %u has %u open at the venue, %u at the gate", slot->ref, own ? own->leaves : 0,
               slot->leaves);
      return true;
    }
    return false;
  }
  return true;
}

/* whether the session and its venue agree; text: why not, left alone while that is not known */
static bool agrees(const struct hwgw_pipeline *p, uint32_t venue, char *text, size_t sz) {
  const struct pipeline_session *session = &p->session[venue];
  if (!session->has_past) return true;
  char why[96] = "";
  if (session->state != HWGW_SEGMENT_SESSION_STATE_UP) {
    if (session->state == HWGW_SEGMENT_SESSION_STATE_REJECTED)
      snprintf(why, sizeof why, "%s", hwgw_session_reason(session->link));
  } else if (!differs(p, venue, why, sizeof why)) {
    return true;
  }
  const char *name = session->row->venue;
  if (why[0]) snprintf(text, sz, "%.15s%s%.75s", name, name[0] ? ": " : "", why);
  return false;
}

void pipeline_reconcile(struct hwgw_pipeline *p) {
  uint32_t bit = (uint32_t)1 << HWGW_RISK_REASON_RECONCILE;
  /* without the halt a person has looked and decided */
  bool is_over = !(__atomic_load_n(&p->control->halt, __ATOMIC_ACQUIRE) & bit), is_agreed = true;
  char text[sizeof p->control->halt_record->text] = "";
  for (uint32_t i = 0; i < p->session_cnt; i++) {
    bool is_agreeing = is_over || agrees(p, i, text, sizeof text);
    p->session[i].row->is_reconciling = !is_agreeing;
    is_agreed &= is_agreeing;
  }
  if (!is_agreed) {
    if (text[0]) halt_say(p->control, HWGW_RISK_REASON_RECONCILE, text);
    return;
  }
  p->is_reconciling = false;
  if (is_over) return;
  hwgw_resume(p->segment, bit);
  pipeline_control(p);
}
