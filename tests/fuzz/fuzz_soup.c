/* fuzz_soup.c: a venue that does anything, against the order session over a socket pair.
 *
 * SPDX-License-Identifier: MIT
 *
 * The input is a list of steps: bytes as they are, sequenced messages damaged or made up from plausible fields, orders and
 * requests of ours, orders taken back before they left, time, disconnects. After every step: the ledger of sequenced messages
 * holds, every event is of an order that was sent and did not end before, no order takes back more than it had, unless a
 * halt was reported or the venue reported more than was left; reason 0 is the session's own word, and no order is taken
 * while the venue's entry is not known to be enabled.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session.h"

#define REFS 256
#define EVENTS_MAX 8

static const char symbols[] = "AAPL    CVLT    ";

struct input {
  const uint8_t *data;
  size_t len;
};

struct run {
  struct hwgw_session *session;
  int peer; /* the venue's end, -1 when closed */
  uint64_t now_ns;
  uint64_t counters[HWGW_COUNTER_CNT];
  bool is_open[REFS]; /* sent and not ended, as the events tell */
  uint32_t left[REFS];
  uint64_t own_cnt; /* rejections with reason 0 */
};

static void expect(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz_soup: %s\n", what);
  abort();
}

static uint8_t next(struct input *input) {
  if (!input->len) return 0;
  input->len--;
  return *input->data++;
}

static void check_event(struct run *run, const struct hwgw_order *event) {
  if (event->kind == HWGW_ORDER_KIND_HALT) {
    expect(event->reason == HWGW_RISK_REASON_STATE, "a halt has a reason");
    return;
  }
  expect(event->ref > 0 && event->ref < REFS, "an event is of an order that was sent");
  expect(event->instrument < 2 && event->strategy == event->ref % 64, "an event carries its order's owner");
  if (event->kind == HWGW_ORDER_KIND_BROKEN) {
    expect(event->qty > 0, "a broken trade has the quantity of its execution");
    return;
  }
  expect(run->is_open[event->ref], "an event is of an order that has not ended");
  uint32_t *left = &run->left[event->ref];
  switch (event->kind) {
    case HWGW_ORDER_KIND_ACCEPTED:
      break;
    case HWGW_ORDER_KIND_REPLACED:
      expect(event->orig_ref < event->ref && run->is_open[event->orig_ref], "a replaced order was open");
      run->is_open[event->orig_ref] = false;
      *left = event->qty;
      break;
    case HWGW_ORDER_KIND_REJECTED:
      run->own_cnt += event->reason == 0;
      *left = 0;
      break;
    case HWGW_ORDER_KIND_EXECUTED:
    case HWGW_ORDER_KIND_CANCELED:
      *left -= event->qty < *left ? event->qty : *left;
      break;
    default:
      expect(false, "an event is of a kind that a venue causes");
  }
  run->is_open[event->ref] = *left > 0;
}

static uint32_t poll_once(struct run *run, uint32_t max) {
  struct hwgw_order events[EVENTS_MAX];
  uint32_t cnt = hwgw_session_poll(run->session, run->now_ns, run->counters, events, max);
  expect(cnt <= max, "no more events than there is room");
  for (uint32_t i = 0; i < cnt; i++) check_event(run, &events[i]);
  const uint64_t *n = run->counters;
  expect(n[HWGW_CNT_SESSION_SEQUENCED] ==
             n[HWGW_CNT_SESSION_ACCEPTED] + n[HWGW_CNT_SESSION_REJECTED] + n[HWGW_CNT_SESSION_EXECUTED] +
                 n[HWGW_CNT_SESSION_CANCELED] + n[HWGW_CNT_SESSION_REPLACED] + n[HWGW_CNT_SESSION_BROKEN] +
                 n[HWGW_CNT_SESSION_DISABLED] + n[HWGW_CNT_SESSION_ENABLED] + n[HWGW_CNT_SESSION_IGNORED] +
                 n[HWGW_CNT_SESSION_DROP_UNKNOWN] + n[HWGW_CNT_SESSION_DROP_LENGTH] + n[HWGW_CNT_SESSION_DROP_ORDER],
         "every sequenced message is counted once");
  expect(n[HWGW_CNT_SESSION_WITHDRAWN] == run->own_cnt, "reason 0 says that the session took it back, and only that");
  expect(run->session->rx_head <= run->session->rx_tail && run->session->rx_tail <= HWGW_SESSION_RX_SZ, "rx bounds");
  expect(run->session->tx_head <= run->session->tx_tail && run->session->tx_tail <= HWGW_SESSION_TX_SZ, "tx bounds");
  return cnt;
}

/* a fresh connection as if the kernel had just made it */
static void attach(struct run *run) {
  int pair[2];
  if (run->peer >= 0) close(run->peer);
  if (run->session->fd >= 0) close(run->session->fd);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0) abort();
  run->session->fd = pair[0];
  run->peer = pair[1];
  run->session->link_down = false;
  run->session->confirmed = false;
  run->session->rx_head = run->session->rx_tail = 0;
  run->session->tx_head = run->session->tx_tail = run->session->tx_whole = 0;
  run->session->state = HWGW_SEGMENT_SESSION_STATE_LOGIN_SENT;
  run->session->last_rx_ns = run->session->last_tx_ns = run->now_ns;
  run->session->deadline_ns = run->now_ns + 1000000000u;
}

static void send_bytes(struct run *run, const uint8_t *data, size_t len) {
  if (run->peer >= 0 && len) (void)!send(run->peer, data, len, MSG_NOSIGNAL);
}

static void send_packet(struct run *run, char code, const uint8_t *payload, size_t len) {
  uint8_t packet[512];
  hwgw_put_be16(packet, (uint16_t)(len + 1));
  packet[2] = (uint8_t)code;
  memcpy(packet + 3, payload, len);
  send_bytes(run, packet, len + 3);
}

static void send_login_accepted(struct run *run, uint64_t seq) {
  char packet[64];
  (void)snprintf(packet, sizeof packet, "%-10s%20llu", "S1", (unsigned long long)seq);
  send_packet(run, SOUPBINTCP_LOGIN_ACCEPTED_CODE, (const uint8_t *)packet, 30);
}

/* a message with fields that an order of ours may have */
static void send_made(struct run *run, struct input *input) {
  uint8_t message[128] = {0};
  uint8_t what = next(input);
  uint32_t ref = next(input), orig = next(input), qty = next(input);
  uint32_t len;
  const struct hwgw_own_order *own = &run->session->orders.order[ref];
  const char *symbol = symbols + 8 * (own->instrument & 1);
  char state = what & 0x80 ? OUCH50_ORDER_STATE_DEAD : OUCH50_ORDER_STATE_LIVE;
  switch (what & 7) {
    case 0:
      ouch50_order_accepted_init(message);
      ouch50_order_accepted_user_ref_num_set(message, ref);
      ouch50_order_accepted_side_set(message, own->side_code ? own->side_code : OUCH50_SIDE_BUY);
      ouch50_order_accepted_quantity_set(message, qty & 1 ? own->leaves : qty);
      ouch50_order_accepted_symbol_set(message, symbol);
      ouch50_order_accepted_order_state_set(message, state);
      len = OUCH50_ORDER_ACCEPTED_LEN;
      break;
    case 1:
      ouch50_order_replaced_init(message);
      ouch50_order_replaced_user_ref_num_set(message, ref);
      ouch50_order_replaced_orig_user_ref_num_set(message, orig ? orig : own->orig_ref);
      ouch50_order_replaced_side_set(message, own->side_code ? own->side_code : OUCH50_SIDE_BUY);
      ouch50_order_replaced_quantity_set(message, qty & 1 ? own->leaves : qty);
      ouch50_order_replaced_symbol_set(message, symbol);
      ouch50_order_replaced_order_state_set(message, state);
      len = OUCH50_ORDER_REPLACED_LEN;
      break;
    case 2:
      ouch50_order_executed_init(message);
      ouch50_order_executed_user_ref_num_set(message, ref);
      ouch50_order_executed_quantity_set(message, qty);
      ouch50_order_executed_match_number_set(message, orig);
      len = OUCH50_ORDER_EXECUTED_LEN;
      break;
    case 3:
      ouch50_order_canceled_init(message);
      ouch50_order_canceled_user_ref_num_set(message, ref);
      ouch50_order_canceled_quantity_set(message, qty & 1 ? own->leaves : qty);
      len = OUCH50_ORDER_CANCELED_LEN;
      break;
    case 4:
      ouch50_rejected_init(message);
      ouch50_rejected_user_ref_num_set(message, ref);
      len = OUCH50_REJECTED_LEN;
      break;
    case 5:
      ouch50_broken_trade_init(message);
      ouch50_broken_trade_user_ref_num_set(message, ref);
      ouch50_broken_trade_match_number_set(message, orig);
      len = OUCH50_BROKEN_TRADE_LEN;
      break;
    case 6:
      if (what & 0x08) { /* order entry was disabled, or enabled */
        ouch50_disable_order_entry_response_init(message);
        if (orig & 1) message[0] = OUCH50_ENABLE_ORDER_ENTRY_RESPONSE_CODE;
        ouch50_disable_order_entry_response_user_ref_num_set(message, ref);
        len = OUCH50_DISABLE_ORDER_ENTRY_RESPONSE_LEN;
        break;
      }
      ouch50_account_query_response_init(message);
      ouch50_account_query_response_next_user_ref_num_set(message, ref);
      len = OUCH50_ACCOUNT_QUERY_RESPONSE_LEN;
      break;
    default:
      ouch50_aiq_canceled_init(message);
      ouch50_aiq_canceled_user_ref_num_set(message, ref);
      ouch50_aiq_canceled_decrement_shares_set(message, qty);
      len = OUCH50_AIQ_CANCELED_LEN;
      break;
  }
  if (what & 0x40) message[orig % len] ^= (uint8_t)qty; /* damaged */
  send_packet(run, SOUPBINTCP_SEQUENCED_DATA_CODE, message, what & 0x20 ? len - orig % len : len);
}

static void give_order(struct run *run, struct input *input) {
  uint8_t what = next(input);
  uint32_t ref = what & 0x10 ? next(input) : run->session->last_ref + 1;
  struct hwgw_order order = {
      .kind = HWGW_ORDER_KIND_NEW,
      .side = what & 1 ? HWGW_ORDER_SIDE_SELL : HWGW_ORDER_SIDE_BUY,
      .type = HWGW_ORDER_TYPE_LIMIT,
      .tif = what & 2 ? HWGW_ORDER_TIF_IOC : HWGW_ORDER_TIF_DAY,
      .strategy = (uint8_t)(ref % 64),
      .instrument = what >> 2 & 1,
      .ref = ref,
      .px = 1000,
      .qty = next(input),
  };
  if (what & 0x20) order.kind = HWGW_ORDER_KIND_CANCEL;
  if (what & 0x40) {
    order.kind = HWGW_ORDER_KIND_REPLACE;
    order.orig_ref = next(input);
  }
  if (what & 0x80) {
    order.kind = (uint8_t)(HWGW_ORDER_KIND_MASS_CANCEL + (what & 3) % HWGW_ORDER_REQUESTS);
    order.instrument = what & 4 ? UINT32_MAX : 0;
  }
  if (ref >= REFS) return;
  uint32_t entry = run->session->orders.entry;
  uint32_t outcome = hwgw_session_order(run->session, &order);
  if (outcome == HWGW_CNT_ORDER_ENCODED && order.kind != HWGW_ORDER_KIND_CANCEL && !hwgw_order_is_request(order.kind)) {
    expect(entry == HWGW_SEGMENT_ENTRY_STATE_ENABLED, "an order is taken where the venue takes it");
    expect(!run->is_open[ref], "a reference that is open is not used again");
    run->is_open[ref] = true;
    run->left[ref] = order.qty;
  }
}

static void step(struct run *run, struct input *input) {
  uint8_t what = next(input);
  uint8_t bytes[512];
  size_t len;
  switch (what & 15) {
    case 0: /* bytes as they are */
    case 1: /* one sequenced message as it is */
      len = next(input);
      len = len < input->len ? len : input->len;
      memcpy(bytes, input->data, len);
      input->data += len;
      input->len -= len;
      if (what & 1)
        send_packet(run, SOUPBINTCP_SEQUENCED_DATA_CODE, bytes, len);
      else
        send_bytes(run, bytes, len);
      break;
    case 2:
      send_login_accepted(run, run->session->next_seq ? run->session->next_seq : 1);
      break;
    case 3:
      send_login_accepted(run, next(input));
      break;
    case 4:
      run->now_ns += (uint64_t)next(input) * 100000000u;
      break;
    case 5:
      if (run->peer >= 0) close(run->peer);
      run->peer = -1;
      break;
    case 6: /* whatever the state: a connection as after a reconnect */
      attach(run);
      break;
    case 7:
      while (run->peer >= 0 && recv(run->peer, bytes, sizeof bytes, 0) > 0) continue;
      break;
    case 8:
      if (what == 0xF8) hwgw_session_logout(run->session);
      if (what & 0x10) hwgw_session_withdraw(run->session);
      break;
    case 9:
    case 10:
      give_order(run, input);
      break;
    default:
      send_made(run, input);
      break;
  }
  uint32_t max = what >> 4 & 7;
  if (max) poll_once(run, max);
  hwgw_session_flush(run->session, run->now_ns, run->counters);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* one session for all inputs, as new each time: opening one clears more than a megabyte */
static struct hwgw_session *session_new(void) {
  static struct hwgw_session *session, fresh;
  if (!session) {
    struct hwgw_session_cfg cfg = {
        .address = 0x7F000001,
        .port = 1,
        .capacity = 'P',
        .display = 'Y',
        .requested_seq = 1,
        .login_timeout_ms = 1000,
        .dead_link_ms = 15000,
        .symbols = symbols,
        .instrument_cnt = 2,
    };
    struct hwgw_error error;
    memset(cfg.username, ' ', sizeof cfg.username);
    memset(cfg.password, ' ', sizeof cfg.password);
    memset(cfg.requested_session, ' ', sizeof cfg.requested_session);
    memcpy(cfg.firm, "FIRM", sizeof cfg.firm);
    cfg.mass_cancel = true;
    if (hwgw_session_open(&session, &cfg, &error) != HWGW_OK) abort();
    memcpy(&fresh, session, offsetof(struct hwgw_session, tx));
  }
  memcpy(session, &fresh, offsetof(struct hwgw_session, tx));
  memset(session->orders.order, 0, sizeof session->orders.order);
  session->orders.execution_cnt = 0;
  session->orders.follow.kind = HWGW_ORDER_KIND_NONE;
  session->orders.withdrawn_idx = 0;
  session->orders.entry = session->orders.entry_refused = session->orders.refused = 0;
  memset(session->orders.request_ref, 0, sizeof session->orders.request_ref);
  session->orders.open_cnt = session->orders.last_ref = 0;
  return session;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  struct run run = {.session = session_new(), .peer = -1, .now_ns = 1};
  struct input input = {data, len};
  attach(&run);
  uint8_t how = next(&input);
  if (how & 4) { /* orders wait for the venue's word */
    run.session->cfg.disable_on_halt = true;
    run.session->orders.entry = HWGW_SEGMENT_ENTRY_STATE_UNKNOWN;
  }
  if (how & 3) { /* mostly from a session that is up */
    uint8_t query[OUCH50_ACCOUNT_QUERY_RESPONSE_LEN];
    send_login_accepted(&run, 1);
    ouch50_account_query_response_init(query);
    ouch50_account_query_response_next_user_ref_num_set(query, 1);
    send_packet(&run, SOUPBINTCP_SEQUENCED_DATA_CODE, query, sizeof query);
    poll_once(&run, 1);
    expect(hwgw_session_state(run.session) == HWGW_SEGMENT_SESSION_STATE_UP, "a good login is up");
  }
  while (input.len) step(&run, &input);
  while (poll_once(&run, EVENTS_MAX)) continue;
  if (run.peer >= 0) close(run.peer);
  if (run.session->fd >= 0) close(run.session->fd);
  return 0;
}
