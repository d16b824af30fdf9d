/* session_soup.c: the SoupBinTCP link of the order session, and OUCH 5.0 and 4.2 over it.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: whole packets of the venue. Output: sequenced messages for session_orders.c; logins, heartbeats and the
 *   account query for the venue. The login asks for the session and the next number; an answer that names others is
 *   rejected. A packet that cannot be at its place closes the connection. Thread: the session's.
 */
#include "session.h"

#define HEARTBEAT_NS ((uint64_t)SOUPBINTCP_HEARTBEAT_INTERVAL_MS * NS_PER_MS)

/* ---- packets ---- */

static uint32_t packet_len(const uint8_t *data, uint32_t have) {
  if (have < SOUPBINTCP_LENGTH_SZ) return 0;
  uint32_t len = soup_packet_len(data);
  if (len == SOUPBINTCP_LENGTH_SZ) return HWGW_PACKET_NONE; /* not even a type */
  return have < len ? 0 : len;
}

/* ---- login ---- */

static void login(struct hwgw_session *session, uint64_t now_ns) {
  (void)now_ns;
  session->tx_tail = soup_login(session->tx, session->cfg.username, session->cfg.password,
                                session->cfg.requested_session, session->next_seq); /* the first of a connection */
}

static void login_accepted(struct hwgw_session *session, const uint8_t *packet, uint64_t now_ns, uint64_t *counters) {
  const uint8_t *name = soupbintcp_login_accepted_session(packet);
  uint64_t seq;
  if (!soup_number(soupbintcp_login_accepted_sequence_number(packet), SOUPBINTCP_LOGIN_ACCEPTED_SEQUENCE_NUMBER_SZ,
                   &seq) ||
      seq < SOUPBINTCP_FIRST_SEQUENCE_NUMBER) {
    hwgw_session_framing_error(session, now_ns, counters);
    return;
  }
  bool resumed = session->login > 0; /* by this process, or by the one whose journal was read */
  bool wrong_session = resumed && memcmp(name, session->cfg.requested_session, sizeof session->cfg.requested_session);
  if (wrong_session || (session->next_seq && session->next_seq != seq)) {
    counters[HWGW_CNT_SESSION_LOGIN_REJECTS]++;
    hwgw_session_orders_halt(&session->orders.follow, 0); /* messages are missing or would come twice */
    hwgw_session_disconnect(session, HWGW_SEGMENT_SESSION_STATE_REJECTED,
                            wrong_session ? "the venue logged us in to another session than asked for"
                                          : "the venue does not resume at the sequence number asked for");
    return;
  }
  counters[HWGW_CNT_SESSION_LOGINS]++;
  session->login++;
  session->confirmed = true;
  session->next_seq = seq;
  session->deadline_ns = now_ns + (uint64_t)session->cfg.login_timeout_ms * NS_PER_MS;
  session->reason = session->protocol->query ? "waiting for the answer to the account query"
                                             : "waiting for a heartbeat, which ends the replay";
  memcpy(session->cfg.requested_session, name, sizeof session->cfg.requested_session);
  hwgw_session_record_login(session, now_ns);

  if (!session->protocol->query) return;
  uint8_t *packet_out = hwgw_session_room(session, 0); /* there is room: nothing but the login can be before it */
  uint32_t len = session->protocol->query(packet_out + SOUPBINTCP_UNSEQUENCED_DATA_LEN);
  soupbintcp_unsequenced_data_init(packet_out);
  soupbintcp_unsequenced_data_packet_length_set(
      packet_out, (uint16_t)(SOUPBINTCP_UNSEQUENCED_DATA_LEN - SOUPBINTCP_LENGTH_SZ + len));
  session->tx_tail += SOUPBINTCP_UNSEQUENCED_DATA_LEN + len;
}

static void login_rejected(struct hwgw_session *session, const uint8_t *packet, uint64_t now_ns, uint64_t *counters) {
  if (soupbintcp_login_rejected_reject_reason_code(packet) == SOUPBINTCP_REJECT_REASON_SESSION_NOT_AVAILABLE &&
      hwgw_session_begin_anew(session, now_ns, counters))
    return;
  const char *reason = "login rejected, for a reason the protocol does not name";
  switch (soupbintcp_login_rejected_reject_reason_code(packet)) {
    case SOUPBINTCP_REJECT_REASON_NOT_AUTHORISED:
      reason = "login rejected: user name or password is wrong";
      break;
    case SOUPBINTCP_REJECT_REASON_SESSION_NOT_AVAILABLE:
      reason = "login rejected: the session is not available";
      break;
    default:
      break;
  }
  hwgw_session_refused(session, now_ns, counters, reason);
}

/* the answer to the account query: also an old one, replayed, is no greater than the truth */
static void account_query_response(struct hwgw_session *session, const uint8_t *message) {
  uint32_t next_ref = ouch50_account_query_response_next_user_ref_num(message);
  if (next_ref > session->next_ref) session->next_ref = next_ref;
  if (session->state != HWGW_SEGMENT_SESSION_STATE_LOGIN_SENT) return;
  hwgw_session_orders_lost(&session->orders, next_ref);
  hwgw_session_up(session);
}

/* true when event is filled */
static bool sequenced(struct hwgw_session *session, const uint8_t *message, uint32_t len, uint64_t now_ns,
                      uint64_t *counters, struct hwgw_order *event) {
  if (hwgw_session_sequenced(session, message, len, now_ns, counters, event)) return true;
  if (message[0] == OUCH50_ACCOUNT_QUERY_RESPONSE_CODE) account_query_response(session, message);
  return false;
}

/* Where there is nothing to ask, a heartbeat answers: the venue sends one when it had nothing else to send for a second,
 * so the replay is over. What it has not answered by then it never saw; each token is used once */
static void silence(struct hwgw_session *session) {
  hwgw_session_orders_lost(&session->orders, 0);
  hwgw_session_up(session);
}

/* one whole packet, len bytes with its length; true when event is filled. May close the connection */
static bool packet(struct hwgw_session *session, const uint8_t *data, uint32_t len, uint64_t now_ns, uint64_t *counters,
                   struct hwgw_order *event) {
  char code = soupbintcp_sequenced_data_packet_type(data);
  if (code == SOUPBINTCP_DEBUG_CODE) {
    counters[HWGW_CNT_SESSION_DEBUG]++;
  } else if (!session->confirmed) { /* before the login is accepted only its answer may come */
    if (code == SOUPBINTCP_LOGIN_ACCEPTED_CODE && len == SOUPBINTCP_LOGIN_ACCEPTED_LEN)
      login_accepted(session, data, now_ns, counters);
    else if (code == SOUPBINTCP_LOGIN_REJECTED_CODE && len == SOUPBINTCP_LOGIN_REJECTED_LEN)
      login_rejected(session, data, now_ns, counters);
    else
      hwgw_session_framing_error(session, now_ns, counters);
  } else {
    switch (code) {
      case SOUPBINTCP_SEQUENCED_DATA_CODE:
        return sequenced(session, data + SOUPBINTCP_SEQUENCED_DATA_LEN, len - SOUPBINTCP_SEQUENCED_DATA_LEN, now_ns,
                         counters, event);
      case SOUPBINTCP_SERVER_HEARTBEAT_CODE:
        counters[HWGW_CNT_SESSION_HEARTBEATS_RX]++;
        if (session->state == HWGW_SEGMENT_SESSION_STATE_LOGIN_SENT && !session->protocol->query) silence(session);
        break;
      case SOUPBINTCP_END_OF_SESSION_CODE:
        counters[HWGW_CNT_SESSION_ENDS]++;
        hwgw_session_disconnect(session, HWGW_SEGMENT_SESSION_STATE_CLOSED, "the venue ended the session");
        break;
      case SOUPBINTCP_LOGIN_ACCEPTED_CODE:
      case SOUPBINTCP_LOGIN_REJECTED_CODE:
        hwgw_session_framing_error(session, now_ns, counters);
        break;
      default:
        counters[HWGW_CNT_SESSION_DROP_PACKET]++;
        break;
    }
  }
  return false;
}

static void timers(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters) {
  if (!session->confirmed || hwgw_session_backlog(session) ||
      !hwgw_session_elapsed(now_ns, session->last_tx_ns, HEARTBEAT_NS))
    return;
  session->tx_tail += soup_control(hwgw_session_room(session, 0), SOUPBINTCP_CLIENT_HEARTBEAT_CODE);
  counters[HWGW_CNT_SESSION_HEARTBEATS_TX]++;
}

static void logout(struct hwgw_session *session) {
  session->tx_tail += soup_control(hwgw_session_room(session, 0), SOUPBINTCP_LOGOUT_REQUEST_CODE);
}

/* ---- OUCH 5.0 ---- */

static void ouch50_init(struct hwgw_session *session) {
  hwgw_order_template_init(&session->template, &session->cfg);
}

static uint32_t ouch50_encode(const struct hwgw_session *session, const struct hwgw_order *order, uint8_t *out) {
  return hwgw_order_patch(&session->template, order, out);
}

static uint32_t ouch50_query(uint8_t *message) {
  ouch50_account_query_init(message);
  return OUCH50_ACCOUNT_QUERY_LEN;
}

static bool is_message(const uint8_t *packet, uint32_t len) {
  return len > SOUPBINTCP_UNSEQUENCED_DATA_LEN &&
         soupbintcp_unsequenced_data_packet_type(packet) == SOUPBINTCP_UNSEQUENCED_DATA_CODE;
}

static uint32_t ouch50_waiting_ref(const uint8_t *packet, uint32_t len) {
  return is_message(packet, len) ? hwgw_order_ouch50_ref(packet + SOUPBINTCP_UNSEQUENCED_DATA_LEN) : 0;
}

const struct hwgw_protocol hwgw_protocol_ouch50 = {
    .init = ouch50_init,
    .encode = ouch50_encode,
    .decode = hwgw_order_ouch50_decode,
    .packet_len = packet_len,
    .login = login,
    .query = ouch50_query,
    .packet = packet,
    .message = sequenced,
    .timers = timers,
    .waiting_ref = ouch50_waiting_ref,
    .logout = logout,
};

/* ---- OUCH 4.2 ---- */

static void ouch42_init(struct hwgw_session *session) {
  hwgw_order_ouch42_init(&session->template, &session->cfg);
}

static uint32_t ouch42_encode(const struct hwgw_session *session, const struct hwgw_order *order, uint8_t *out) {
  return hwgw_order_ouch42_patch(&session->template, order, out);
}

static uint32_t ouch42_waiting_ref(const uint8_t *packet, uint32_t len) {
  return is_message(packet, len) ? hwgw_order_ouch42_ref(packet + SOUPBINTCP_UNSEQUENCED_DATA_LEN) : 0;
}

const struct hwgw_protocol hwgw_protocol_ouch42 = {
    .init = ouch42_init,
    .encode = ouch42_encode,
    .decode = hwgw_order_ouch42_decode,
    .packet_len = packet_len,
    .login = login,
    .packet = packet,
    .message = sequenced,
    .timers = timers,
    .waiting_ref = ouch42_waiting_ref,
    .logout = logout,
};
