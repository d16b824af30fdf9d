/* session_fix.c: the FIX 4.2 and 4.4 link of the order session: logon, sequence numbers, resends, tests, logout.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: whole messages of the venue. Output: execution reports and cancel rejects, in sequence, for session_orders.c;
 *   session messages for the venue. Order of checks of a message: checksum (a garbled one is counted and ignored, its
 *   number shows as a gap); BeginString, CompIDs and number (else the session ends); before the logon only its answer;
 *   the number: as expected, it is used; above, everything from the expected one on is asked for again and this one is
 *   dropped; below, it must be marked as a possible duplicate, which is ignored, else the session is rejected and the
 *   gate told.
 *   Up means confirmed: after the logon, and after every gap, a test request is sent, and only its answer makes the
 *   session up: what the venue had to ask of us or to repeat comes before that.
 *   Nothing is ever sent again: what the venue asks for is filled with a gap, and orders in it that were never answered
 *   are reported as rejected. Orders taken back before they left are filled in the same way. Never blocks or allocates.
 *   Cost: one pass for the checksum, one over the header, one over the fields. Thread: the session's.
 */
#include "session.h"

#define NS_PER_S UINT64_C(1000000000)
#define TEST_AFTER_TENTHS 12 /* of the heartbeat interval without a word: the venue is asked */
#define OLD_INFINITY 999999  /* some peers say so for: up to the latest */
#define ECHO_SZ_MAX 64       /* of a TestReqID that we repeat */

struct head {
  char type; /* 0: of more than one character */
  uint32_t seq;
  bool is_dup;
  const uint8_t *body; /* first field behind the header */
  const uint8_t *end;  /* the checksum */
};

/* ---- messages of ours ---- */

static struct fix_writer *writer(struct hwgw_session *session) {
  return &session->fix.order.writer;
}

/* room for a message of ours with its header written, or NULL; finish with sent */
static uint8_t *begin(struct hwgw_session *session, char type) {
  uint8_t *out = hwgw_session_room(session, 0);
  return out ? fix_writer_begin(writer(session), out, type, session->fix.tx_seq, session->fix.now_ns) : NULL;
}

static void finish(struct hwgw_session *session, uint8_t *end) {
  session->tx_tail += fix_close(session->tx + session->tx_tail, end);
  hwgw_session_record_number(session, session->fix.tx_seq++, 0);
}

static void heartbeat_send(struct hwgw_session *session, struct fix_text test_id, uint64_t *counters) {
  uint8_t *out = begin(session, FIX_HEARTBEAT);
  if (!out) return;
  if (test_id.len) {
    out = fix_put(FIX_PUT(out, "112="), test_id.at, test_id.len);
    *out++ = FIX_SOH;
  }
  finish(session, out);
  counters[HWGW_CNT_SESSION_HEARTBEATS_TX]++;
}

static void test_send(struct hwgw_session *session) {
  uint8_t *out = begin(session, FIX_TEST_REQUEST);
  if (!out) return;
  out = fix_put_number(FIX_PUT(out, "112="), ++session->fix.test_id);
  *out++ = FIX_SOH;
  finish(session, out);
  session->fix.is_testing = true;
}

static void resend_request_send(struct hwgw_session *session) {
  uint8_t *out = begin(session, FIX_RESEND_REQUEST);
  if (!out) return;
  out = FIX_PUT(fix_put_number(FIX_PUT(out, "7="), session->next_seq), "\00116=0\001");
  finish(session, out);
}

static void reject_send(struct hwgw_session *session, const struct head *head, const char *reason) {
  uint8_t *out = begin(session, FIX_REJECT);
  if (!out) return;
  out = FIX_PUT(fix_put_number(FIX_PUT(out, "45="), head->seq), "\001373=");
  out = fix_put(out, reason, strlen(reason));
  *out++ = FIX_SOH;
  finish(session, out);
}

static void logout(struct hwgw_session *session) {
  uint8_t *out = begin(session, FIX_LOGOUT);
  if (out) finish(session, out);
}

static void logout_because(struct hwgw_session *session, const char *text) {
  uint8_t *out = begin(session, FIX_LOGOUT);
  if (!out) return;
  out = fix_put(FIX_PUT(out, "58="), text, strlen(text));
  *out++ = FIX_SOH;
  finish(session, out);
}

/* numbers from begin on are filled: the venue is to expect next; not counted, it stands for what was sent before */
static uint32_t fill_write(const struct hwgw_session *session, uint8_t *out, uint32_t from, uint32_t next,
                           bool is_dup) {
  const struct fix_writer *write = &session->fix.order.writer;
  uint8_t *end = fix_writer_begin(write, out, FIX_SEQUENCE_RESET, from, session->fix.now_ns);
  if (is_dup) {
    end = fix_writer_time(write, FIX_PUT(end, "43=Y\001122="), session->fix.now_ns);
    *end++ = FIX_SOH;
  }
  end = fix_put_number(FIX_PUT(end, "123=Y\00136="), next);
  *end++ = FIX_SOH;
  return fix_close(out, end);
}

/* ---- fields of the venue's session messages ---- */

static struct fix_text field_of(const struct head *head, uint32_t wanted) {
  const uint8_t *at = head->body;
  struct fix_text value, found = {0};
  uint32_t tag, skip = 0;
  while (at < head->end && fix_next(&at, head->end, skip, &tag, &value)) {
    uint64_t bytes = 0;
    if (tag == wanted) found = value;
    if (FIX_IS_DATA_LENGTH(tag) && !fix_number(value, UINT16_MAX, &bytes)) break;
    skip = (uint32_t)bytes;
  }
  return found;
}

static bool number_in(const struct head *head, uint32_t tag, uint32_t *number) {
  uint64_t value;
  if (!fix_number(field_of(head, tag), UINT32_MAX - 1, &value)) return false;
  *number = (uint32_t)value;
  return true;
}

static bool says_yes(const struct head *head, uint32_t tag) {
  struct fix_text text = field_of(head, tag);
  return text.len == 1 && text.at[0] == 'Y';
}

static bool is_equal(struct fix_text text, const char *id) {
  return text.len == strnlen(id, FIX_ID_SZ) && memcmp(text.at, id, text.len) == 0;
}

/* the header, up to the first field that is not of it; false when it lacks something or is not of this session */
static bool head_read(const struct hwgw_session *session, const uint8_t *data, uint32_t len, struct head *head) {
  const uint8_t *at = data;
  struct fix_text value;
  uint32_t tag, place = 0;
  bool has_sender = false, has_target = false;
  uint64_t seq = 0;
  *head = (struct head){.end = data + len - FIX_TRAILER_SZ};
  if (memcmp(data, session->fix.order.writer.begin, FIX_BEGIN_SZ) != 0) return false;
  for (head->body = at; fix_next(&at, head->end, 0, &tag, &value); head->body = at, place++) {
    if ((place == 2) != (tag == FIX_TAG_MSG_TYPE)) return false; /* 8, 9 and 35 come first */
    switch (tag) {
      case FIX_TAG_BEGIN_STRING:
      case FIX_TAG_BODY_LENGTH:
      case FIX_TAG_SENDING_TIME:
      case FIX_TAG_ORIG_SENDING_TIME:
      case FIX_TAG_POSS_RESEND:
      case FIX_TAG_SENDER_SUB_ID:
      case FIX_TAG_TARGET_SUB_ID:
      case FIX_TAG_ON_BEHALF_OF_COMP_ID:
      case FIX_TAG_DELIVER_TO_COMP_ID:
      case FIX_TAG_LAST_MSG_SEQ_NUM_PROCESSED:
        break;
      case FIX_TAG_MSG_TYPE:
        head->type = value.len == 1 ? (char)value.at[0] : 0;
        break;
      case FIX_TAG_SENDER_COMP_ID:
        has_sender = is_equal(value, session->cfg.target);
        break;
      case FIX_TAG_TARGET_COMP_ID:
        has_target = is_equal(value, session->cfg.sender);
        break;
      case FIX_TAG_MSG_SEQ_NUM:
        if (!fix_number(value, UINT32_MAX - 1, &seq)) return false;
        break;
      case FIX_TAG_POSS_DUP_FLAG:
        head->is_dup = value.at[0] == 'Y';
        break;
      default:
        goto done;
    }
  }
done:
  head->seq = (uint32_t)seq;
  return place >= 3 && has_sender && has_target && seq > 0;
}

/* ---- what the venue asks, and what it has lost ---- */

/* orders whose messages the venue asks for again and has never answered did not reach it */
static void lost(struct hwgw_session *session, uint32_t from, uint32_t to) {
  for (uint32_t i = 0; i < HWGW_SESSION_ORDERS; i++) {
    const struct hwgw_own_order *own = &session->orders.order[i];
    uint32_t seq = session->fix.seq_of[i];
    if (seq >= from && seq <= to) hwgw_session_orders_withdraw(&session->orders, own->ref);
  }
}

static void on_resend_request(struct hwgw_session *session, const struct head *head) {
  uint32_t from, to, last = session->fix.tx_seq - 1;
  if (!number_in(head, FIX_TAG_BEGIN_SEQ_NO, &from) || !number_in(head, FIX_TAG_END_SEQ_NO, &to)) {
    reject_send(session, head, "1"); /* required tag missing */
    return;
  }
  if (to == 0 || to == OLD_INFINITY || to > last) to = last;
  if (from == 0 || from > to) {
    reject_send(session, head, "5"); /* value out of range */
    return;
  }
  uint8_t *out = hwgw_session_room(session, 0);
  if (!out) return; /* it will ask again */
  session->tx_tail += fill_write(session, out, from, to + 1, true);
  lost(session, from, to);
}

/* a message of ours that the venue could not read: an order in it never was one */
static void on_reject(struct hwgw_session *session, const struct head *head, uint64_t *counters) {
  uint32_t seq;
  if (!number_in(head, FIX_TAG_REF_SEQ_NUM, &seq)) return;
  lost(session, seq, seq);
  if (seq && seq == session->fix.mass_seq) hwgw_session_mass_refused(session, counters);
}

static bool is_refused_mass(const struct head *head) {
  struct fix_text response = field_of(head, FIX_TAG_MASS_CANCEL_RESPONSE);
  return head->type == FIX_ORDER_MASS_CANCEL_REPORT && response.len == 1 &&
         response.at[0] == FIX_MASS_CANCEL_RESPONSE_REQUEST_REJECTED;
}

/* ---- numbers ---- */

/* messages are missing: they are asked for once, and nothing leaves until they are here */
static void gap(struct hwgw_session *session, uint32_t seq, uint64_t now_ns) {
  bool is_asked = session->fix.gap_to >= session->next_seq;
  if (seq > session->fix.gap_to) session->fix.gap_to = seq;
  session->fix.is_testing = false;
  if (session->state == HWGW_SEGMENT_SESSION_STATE_UP) {
    session->state = HWGW_SEGMENT_SESSION_STATE_LOGIN_SENT;
    session->reason = "messages of the venue are missing and were asked for";
    session->deadline_ns = now_ns + (uint64_t)session->cfg.login_timeout_ms * NS_PER_MS;
  }
  if (!is_asked) resend_request_send(session);
}

static bool is_gap(const struct hwgw_session *session) {
  return session->fix.gap_to >= session->next_seq;
}

/* the venue's numbers are not ours: nothing that follows can be right */
static void refuse(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters, const char *text) {
  counters[HWGW_CNT_SESSION_LOGIN_REJECTS]++;
  hwgw_session_orders_halt(&session->orders.follow, 0);
  logout_because(session, text);
  hwgw_session_flush(session, now_ns, counters);
  hwgw_session_disconnect(session, HWGW_SEGMENT_SESSION_STATE_REJECTED, text);
}

static void on_logon(struct hwgw_session *session, const struct head *head, uint64_t now_ns, uint64_t *counters) {
  if (says_yes(head, FIX_TAG_RESET_SEQ_NUM_FLAG)) {
    if (session->login > 0 || !session->cfg.reset_seq) {
      refuse(session, now_ns, counters, "the venue began the sequence anew without being asked");
      return;
    }
    session->next_seq = 1;
  }
  if (session->next_seq == 0) session->next_seq = head->seq; /* wherever the venue is */
  if (head->seq < session->next_seq) {
    if (head->is_dup) /* of an earlier connection: the answer to ours is still to come */
      counters[HWGW_CNT_SESSION_DROP_PACKET]++;
    else
      refuse(session, now_ns, counters, "MsgSeqNum too low: the venue does not resume at the number expected");
    return;
  }
  counters[HWGW_CNT_SESSION_LOGINS]++;
  session->login++;
  session->confirmed = true;
  session->deadline_ns = now_ns + (uint64_t)session->cfg.login_timeout_ms * NS_PER_MS;
  session->reason = "waiting for the answer to a test request";
  if (head->seq > session->next_seq)
    gap(session, head->seq, now_ns);
  else
    session->next_seq = head->seq + 1;
  hwgw_session_record_login(session, now_ns);
  lost(session, session->fix.logon_seq, UINT32_MAX); /* it has taken our number: nothing from there on has reached it */
}

static void on_logout(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters) {
  if (session->state == HWGW_SEGMENT_SESSION_STATE_LOGGING_OUT) {
    hwgw_session_disconnect(session, HWGW_SEGMENT_SESSION_STATE_CLOSED, "logged out");
    return;
  }
  if (!session->confirmed) {
    hwgw_session_refused(session, now_ns, counters,
                         "logon refused: the venue answered with a logout (its text is in the capture)");
    return;
  }
  counters[HWGW_CNT_SESSION_ENDS]++;
  logout(session);
  hwgw_session_flush(session, now_ns, counters);
  hwgw_session_disconnect(session, HWGW_SEGMENT_SESSION_STATE_CLOSED, "the venue logged out");
}

/* a reset raises the number and says nothing of what was skipped: what it skipped may have been executions */
static void on_reset(struct hwgw_session *session, const struct head *head, uint64_t now_ns, uint64_t *counters) {
  bool is_fill = says_yes(head, FIX_TAG_GAP_FILL_FLAG);
  uint32_t next;
  if (!number_in(head, FIX_TAG_NEW_SEQ_NO, &next)) {
    session->next_seq += is_fill;
    reject_send(session, head, "1");
  } else if (is_fill ? next <= head->seq : next < session->next_seq) {
    session->next_seq += is_fill;
    reject_send(session, head, "5");
  } else if (!is_fill && next > session->next_seq) {
    refuse(session, now_ns, counters, "the venue skipped messages with a sequence reset");
  } else {
    session->next_seq = next;
  }
}

static void on_heartbeat(struct hwgw_session *session, const struct head *head, uint64_t *counters) {
  uint32_t test_id;
  counters[HWGW_CNT_SESSION_HEARTBEATS_RX]++;
  if (!session->fix.is_testing || !number_in(head, FIX_TAG_TEST_REQ_ID, &test_id) || test_id != session->fix.test_id)
    return;
  session->fix.is_testing = false;
  if (session->state == HWGW_SEGMENT_SESSION_STATE_LOGIN_SENT && !is_gap(session)) hwgw_session_up(session);
}

/* a message with the number expected; true when event is filled */
static bool in_turn(struct hwgw_session *session, const uint8_t *data, uint32_t len, const struct head *head,
                    uint64_t now_ns, uint64_t *counters, struct hwgw_order *event) {
  struct fix_text test_id;
  switch (head->type) {
    case FIX_HEARTBEAT:
      session->next_seq++;
      on_heartbeat(session, head, counters);
      return false;
    case FIX_TEST_REQUEST:
      session->next_seq++;
      test_id = field_of(head, FIX_TAG_TEST_REQ_ID);
      if (test_id.len == 0 || test_id.len > ECHO_SZ_MAX)
        reject_send(session, head, test_id.len ? "5" : "1");
      else
        heartbeat_send(session, test_id, counters);
      return false;
    case FIX_RESEND_REQUEST:
      session->next_seq++;
      on_resend_request(session, head);
      return false;
    case FIX_REJECT:
    case FIX_BUSINESS_MESSAGE_REJECT:
      session->next_seq++;
      on_reject(session, head, counters);
      return false;
    case FIX_LOGOUT:
      session->next_seq++;
      on_logout(session, now_ns, counters);
      return false;
    case FIX_LOGON:
      hwgw_session_framing_error(session, now_ns, counters);
      return false;
    default:
      if (HWGW_UNLIKELY(is_refused_mass(head))) hwgw_session_mass_refused(session, counters);
      return hwgw_session_sequenced(session, data, len, now_ns, counters, event);
  }
}

static bool packet(struct hwgw_session *session, const uint8_t *data, uint32_t len, uint64_t now_ns, uint64_t *counters,
                   struct hwgw_order *event) {
  struct head head;
  session->fix.now_ns = now_ns;
  if (!fix_is_whole(data, len)) {
    counters[HWGW_CNT_SESSION_DROP_FRAMING]++;
    return false;
  }
  if (!head_read(session, data, len, &head)) {
    hwgw_session_framing_error(session, now_ns, counters);
    return false;
  }
  if (!session->confirmed) {
    if (head.type == FIX_LOGON)
      on_logon(session, &head, now_ns, counters);
    else if (head.type == FIX_LOGOUT)
      on_logout(session, now_ns, counters);
    else
      hwgw_session_framing_error(session, now_ns, counters);
    return false;
  }
  if (head.type == FIX_SEQUENCE_RESET && !says_yes(&head, FIX_TAG_GAP_FILL_FLAG)) { /* its own number says nothing */
    on_reset(session, &head, now_ns, counters);
    return false;
  }
  if (head.seq > session->next_seq) {
    if (head.type == FIX_RESEND_REQUEST) on_resend_request(session, &head); /* else both would wait for each other */
    if (head.type == FIX_LOGOUT)
      on_logout(session, now_ns, counters);
    else
      gap(session, head.seq, now_ns);
    return false;
  }
  if (head.seq < session->next_seq) {
    if (head.is_dup)
      counters[HWGW_CNT_SESSION_DROP_PACKET]++; /* known */
    else
      refuse(session, now_ns, counters, "MsgSeqNum too low: a number of the venue came twice");
    return false;
  }
  if (head.type == FIX_SEQUENCE_RESET) {
    on_reset(session, &head, now_ns, counters);
    return false;
  }
  return in_turn(session, data, len, &head, now_ns, counters, event);
}

/* ---- the rest of the link ---- */

static uint32_t packet_len(const uint8_t *data, uint32_t have) {
  return fix_len(data, have, HWGW_SESSION_RX_SZ / 2); /* one of half the buffer is whole after it was compacted */
}

static void login(struct hwgw_session *session, uint64_t now_ns) {
  const struct hwgw_session_cfg *cfg = &session->cfg;
  /* of an earlier process nothing is open: its numbers are of no use any more when both sides may begin anew */
  if (cfg->reset_seq && session->is_restored && !session->orders.open_cnt) {
    session->is_restored = false;
    session->login = 0;
    session->next_seq = cfg->requested_seq;
  }
  bool is_reset = cfg->reset_seq && session->login == 0;
  writer(session)->clock_offset_ns = (int64_t)(hwgw_realtime_ns() - now_ns);
  session->fix.now_ns = now_ns;
  session->fix.is_testing = false;
  session->fix.gap_to = 0;
  fix_writer_tick(writer(session), now_ns);
  if (is_reset) session->fix.tx_seq = 1;
  session->fix.logon_seq = session->fix.tx_seq;
  uint8_t *out = FIX_PUT(begin(session, FIX_LOGON), "98=0\001108="); /* the first of a connection: there is room */
  out = fix_put_number(out, cfg->heartbeat_s);
  if (is_reset) out = FIX_PUT(out, "\001141=Y");
  if (cfg->disconnect_tag) { /* the venue's own: what is open is cancelled when the connection is gone */
    *out++ = FIX_SOH;
    out = FIX_PUT(fix_put_number(out, cfg->disconnect_tag), "=Y");
  }
  size_t user_len = sizeof cfg->username, password_len = sizeof cfg->password;
  while (user_len && cfg->username[user_len - 1] == ' ') user_len--;
  while (password_len && cfg->password[password_len - 1] == ' ') password_len--;
  if (writer(session)->is_44) {
    if (user_len) out = fix_put(FIX_PUT(out, "\001553="), cfg->username, user_len);
    if (password_len) out = fix_put(FIX_PUT(out, "\001554="), cfg->password, password_len);
  } else if (password_len) {
    out = FIX_PUT(fix_put_number(FIX_PUT(out, "\00195="), password_len), "\00196=");
    out = fix_put(out, cfg->password, password_len);
  }
  *out++ = FIX_SOH;
  finish(session, out);
}

static void timers(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters) {
  uint64_t interval_ns = session->cfg.heartbeat_s * NS_PER_S;
  session->fix.now_ns = now_ns;
  fix_writer_tick(writer(session), now_ns);
  if (!session->confirmed) return;
  bool is_unsure = session->state == HWGW_SEGMENT_SESSION_STATE_LOGIN_SENT && !is_gap(session);
  bool is_silent = hwgw_session_elapsed(now_ns, session->last_rx_ns, interval_ns * TEST_AFTER_TENTHS / 10);
  if ((is_unsure || is_silent) && !session->fix.is_testing)
    test_send(session);
  else if (!hwgw_session_backlog(session) && hwgw_session_elapsed(now_ns, session->last_tx_ns, interval_ns))
    heartbeat_send(session, (struct fix_text){0}, counters);
}

static uint64_t time_of(const struct hwgw_session *session, const struct hwgw_order *order) {
  return order->ts_ns ? order->ts_ns : session->fix.now_ns;
}

static uint32_t encode(const struct hwgw_session *session, const struct hwgw_order *order, uint8_t *out) {
  const struct hwgw_session_fix *fix = &session->fix;
  if (order->kind == HWGW_ORDER_KIND_MASS_CANCEL)
    return hwgw_order_fix_mass_cancel(&fix->order, order->instrument, fix->tx_seq, time_of(session, order), out);
  if (HWGW_LIKELY(order->kind != HWGW_ORDER_KIND_CANCEL))
    return hwgw_order_fix_encode(&fix->order, order, fix->tx_seq, time_of(session, order), out);
  const struct hwgw_own_order *own = &session->orders.order[order->ref % HWGW_SESSION_ORDERS];
  if (order->ref == 0 || own->ref != order->ref || own->state == HWGW_OWN_FREE || order->qty) return 0;
  return hwgw_order_fix_cancel(&fix->order, own->ref, own->instrument, own->side_code, own->total, fix->tx_seq,
                               time_of(session, order), out);
}

static void sent(struct hwgw_session *session, const struct hwgw_order *order) {
  bool is_entry = order->kind == HWGW_ORDER_KIND_NEW || order->kind == HWGW_ORDER_KIND_REPLACE;
  uint32_t seq = session->fix.tx_seq++;
  if (order->kind == HWGW_ORDER_KIND_MASS_CANCEL) session->fix.mass_seq = seq;
  if (is_entry) session->fix.seq_of[order->ref % HWGW_SESSION_ORDERS] = seq;
  hwgw_session_record_number(session, seq, is_entry ? order->ref : 0);
}

/* type, number and ClOrdID of a message that we wrote */
static void waiting_read(const uint8_t *data, uint32_t len, char *type, uint32_t *seq, uint32_t *ref) {
  const uint8_t *at = data, *end = data + len - FIX_TRAILER_SZ;
  struct fix_text value;
  uint64_t number;
  uint32_t tag;
  *type = 0;
  *seq = *ref = 0;
  while (at < end && fix_next(&at, end, 0, &tag, &value)) {
    if (tag == FIX_TAG_MSG_TYPE) *type = (char)value.at[0];
    if (tag == FIX_TAG_MSG_SEQ_NUM && fix_number(value, UINT32_MAX, &number)) *seq = (uint32_t)number;
    if (tag == FIX_TAG_CL_ORD_ID && fix_number(value, UINT32_MAX, &number)) *ref = (uint32_t)number;
  }
}

static uint32_t waiting_ref(const uint8_t *data, uint32_t len) {
  char type;
  uint32_t seq, ref;
  waiting_read(data, len, &type, &seq, &ref);
  return type == FIX_NEW_ORDER_SINGLE || type == FIX_ORDER_CANCEL_REPLACE_REQUEST ? ref : 0;
}

static uint32_t fill(const struct hwgw_session *session, const uint8_t *data, uint32_t len, uint8_t *out) {
  char type;
  uint32_t seq, ref;
  waiting_read(data, len, &type, &seq, &ref);
  return fill_write(session, out, seq, seq + 1, false);
}

static void init(struct hwgw_session *session, bool is_44) {
  struct hwgw_order_fix *order = &session->fix.order;
  fix_writer_init(&order->writer, &session->cfg, is_44);
  order->symbols = session->cfg.symbols;
  order->instrument_cnt = session->cfg.instrument_cnt;
  order->capacity = session->cfg.capacity;
  uint64_t name = hwgw_fnv(HWGW_FNV_BASIS, session->cfg.sender, sizeof session->cfg.sender);
  name = hwgw_fnv(name, session->cfg.target, sizeof session->cfg.target);
  for (uint32_t i = 0; i < sizeof session->own_session; i++) /* of whom a journal tells */
    session->own_session[i] = "0123456789ABCDEF"[name >> 4 * i & 15];
  memcpy(session->cfg.requested_session, session->own_session, sizeof session->own_session);
  session->fix.tx_seq = session->cfg.requested_tx_seq ? session->cfg.requested_tx_seq : 1;
}

static void init42(struct hwgw_session *session) {
  init(session, false);
}

static void init44(struct hwgw_session *session) {
  init(session, true);
}

#define LINK                                                                                                     \
  .encode = encode, .decode = hwgw_order_fix_decode, .packet_len = packet_len, .login = login, .packet = packet, \
  .message = hwgw_session_sequenced, .timers = timers, .sent = sent, .waiting_ref = waiting_ref, .fill = fill,   \
  .logout = logout, .answers_all = true, .numbers_all = true

const struct hwgw_protocol hwgw_protocol_fix42 = {.init = init42, LINK};
const struct hwgw_protocol hwgw_protocol_fix44 = {.init = init44, LINK};
