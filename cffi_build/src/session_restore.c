/* session_restore.c: the order session as an earlier process of this gateway left it, told again from its journal.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: what pipeline_restore.c reads: logins, messages of the venue, orders, and for FIX the numbers that our own
 *   messages took, each in the order of the records. Output: orders, references and numbers of both directions; at the
 *   end what has no answer is unknown, and the next login resumes where the journal ends. Thread: the pipeline's opener.
 */
#include "session.h"

void hwgw_session_restore_login(struct hwgw_session *session, const char *name, uint64_t seq, uint32_t login) {
  hwgw_session_orders_doubt(&session->orders);
  memcpy(session->cfg.requested_session, name, sizeof session->cfg.requested_session);
  session->next_seq = seq;
  session->login = login;
  session->state = HWGW_SEGMENT_SESSION_STATE_LOGIN_SENT; /* until the answer to the account query */
}

bool hwgw_session_restore_message(struct hwgw_session *session, const uint8_t *message, uint32_t len,
                                  uint64_t *counters, struct hwgw_order *event) {
  return session->protocol->message(session, message, len, 0, counters, event);
}

bool hwgw_session_restore_order(struct hwgw_session *session, const struct hwgw_order *wire) {
  if (wire->ref <= session->last_ref || !hwgw_session_orders_accept(&session->orders, wire)) return false;
  session->last_ref = wire->ref;
  session->fix.seq_of[wire->ref % HWGW_SESSION_ORDERS] = 0; /* its message has none yet */
  hwgw_session_orders_sent(&session->orders, wire);
  return true;
}

void hwgw_session_restore_number(struct hwgw_session *session, uint32_t seq, uint32_t ref) {
  session->fix.tx_seq = seq + 1;
  if (ref && hwgw_session_orders_find(&session->orders, ref)) session->fix.seq_of[ref % HWGW_SESSION_ORDERS] = seq;
}

void hwgw_session_restore_end(struct hwgw_session *session, uint32_t last_ref) {
  if (last_ref > session->last_ref) session->last_ref = last_ref;
  session->is_restored = session->login > 0;
  for (uint32_t i = 0; i < HWGW_SESSION_ORDERS; i++) /* one whose message has no number never left */
    if (session->orders.order[i].state == HWGW_OWN_UNKNOWN && !session->fix.seq_of[i])
      session->fix.seq_of[i] = session->fix.tx_seq;
  hwgw_session_disconnect(session, HWGW_SEGMENT_SESSION_STATE_NONE, "not connected yet");
}
