/* fuzz_fix.c: any bytes as FIX from the venue, alone and to a session, and any record as an order to encode.
 *
 * SPDX-License-Identifier: MIT
 *
 * Checked: the decoder says event, ignored, wrong length or unknown and reads nothing outside the message; an encoded
 * message is whole and says of the order what the order said; a session that reads anything, with right checksums too,
 * keeps its buffers, its numbers, which never go back, also over a new connection, and its ledger; an execution that was
 * told before is not told again by a message that may have been sent before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fix.h"
#include "order.h"
#include "session.h"
#include "token.h"

#define EVENTS_MAX 64

static void expect(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz_fix: %s\n", what);
  abort();
}

static const char symbols[] = "AAPL    CVLT    ADBE    ";

static struct hwgw_session_cfg cfg_of(uint16_t protocol) {
  struct hwgw_session_cfg cfg = {.address = 0x7F000001,
                                 .port = 1,
                                 .protocol = protocol,
                                 .capacity = 'P',
                                 .display = 'Y',
                                 .requested_seq = 1,
                                 .login_timeout_ms = 1000,
                                 .dead_link_ms = 15000,
                                 .symbols = symbols,
                                 .instrument_cnt = 3,
                                 .sender = "US",
                                 .target = "VENUE",
                                 .heartbeat_s = 10};
  memset(cfg.username, ' ', sizeof cfg.username);
  memset(cfg.password, ' ', sizeof cfg.password);
  memset(cfg.requested_session, ' ', sizeof cfg.requested_session);
  memset(cfg.firm, ' ', sizeof cfg.firm);
  return cfg;
}

static void decode(const uint8_t *data, uint32_t len) {
  struct hwgw_order event;
  struct hwgw_said said;
  uint32_t cause = hwgw_order_fix_decode(data, len, &event, &said);
  expect(cause == 0 || cause == HWGW_CNT_SESSION_IGNORED || cause == HWGW_CNT_SESSION_DROP_LENGTH ||
             cause == HWGW_CNT_SESSION_DROP_UNKNOWN,
         "the decoder has four answers");
  if (cause == 0) expect(event.kind >= HWGW_ORDER_KIND_ACCEPTED && event.kind <= HWGW_ORDER_KIND_BROKEN, "kind");
}

/* data as the body of a message that is whole, with the header a venue would write */
static uint32_t wrap(const uint8_t *data, uint32_t len, uint32_t seq, bool has_header, uint8_t *out) {
  struct hwgw_session_cfg cfg = cfg_of(HWGW_PROTOCOL_FIX44);
  struct fix_writer writer;
  memcpy(cfg.sender, "VENUE", 6);
  memcpy(cfg.target, "US", 3);
  fix_writer_init(&writer, &cfg, true);
  uint8_t *end = has_header ? fix_writer_begin(&writer, out, len ? (char)data[0] : '0', seq, 0) : out + FIX_HEAD_SZ;
  if (!has_header) memcpy(out, writer.begin, FIX_HEAD_SZ);
  if (len > 600) len = 600;
  for (uint32_t i = 1; i < len; i++) *end++ = data[i] == '|' ? (uint8_t)FIX_SOH : data[i];
  *end++ = FIX_SOH;
  return fix_close(out, end);
}

static void encode(const uint8_t *data, size_t len) {
  struct hwgw_session_cfg cfg = cfg_of(HWGW_PROTOCOL_FIX42);
  struct hwgw_order_fix fix = {.symbols = symbols, .instrument_cnt = 3, .capacity = 'P'};
  struct hwgw_order order = {0};
  uint8_t out[HWGW_PACKET_SZ_MAX];
  fix_writer_init(&fix.writer, &cfg, false);
  memcpy(&order, data, len < sizeof order ? len : sizeof order);
  order.kind &= 3;
  if (order.side & 4) order.side &= 3, order.flags = 0, order.tif &= 3, order.type &= 3, order.instrument &= 3;
  uint32_t sz = hwgw_order_fix_encode(&fix, &order, order.ref, order.ts_ns >> 8, out);
  if (sz == 0) return;
  expect(sz <= HWGW_PACKET_SZ_MAX && fix_len(out, sz, sz) == sz && fix_is_whole(out, sz), "a message of ours is whole");
  const uint8_t *at = out, *end = out + sz - FIX_TRAILER_SZ;
  struct fix_text value;
  uint32_t tag, found = 0;
  uint64_t number;
  while (at < end) {
    expect(fix_next(&at, end, 0, &tag, &value), "fields from end to end");
    if (tag == FIX_TAG_CL_ORD_ID) found += fix_number(value, UINT32_MAX, &number) && number == order.ref;
    if (tag == FIX_TAG_ORDER_QTY) found += fix_number(value, UINT32_MAX, &number) && number == order.qty;
    if (tag == FIX_TAG_PRICE) found += fix_decimal(value, 4, UINT32_MAX, &number) && number == order.px;
    if (tag == FIX_TAG_MSG_SEQ_NUM) found += fix_number(value, UINT32_MAX, &number) && number == order.ref;
  }
  expect(found == (order.type == HWGW_ORDER_TYPE_LIMIT ? 4 : 3), "it says what the order said");
}

static uint8_t *field_put(uint8_t *out, const char *tag, uint64_t number) {
  out = fix_put_number(fix_put(out, tag, strlen(tag)), number);
  *out++ = FIX_SOH;
  return out;
}

static uint8_t *ref_put(uint8_t *out, const char *tag, uint32_t ref) {
  out = fix_put(out, tag, strlen(tag));
  token_put(out, ref);
  out[TOKEN_DIGITS] = FIX_SOH;
  return out + TOKEN_DIGITS + 1;
}

#define REPORT_SZ 4
#define EXECUTIONS 8

/* what a venue may say of an order of ours: four bytes choose */
static uint32_t report(const uint8_t *what, uint32_t last_ref, uint32_t seq, uint8_t *out) {
  static const char types[] = "05F48FHF";
  struct hwgw_session_cfg cfg = cfg_of(HWGW_PROTOCOL_FIX44);
  struct fix_writer writer;
  memcpy(cfg.sender, "VENUE", 6);
  memcpy(cfg.target, "US", 3);
  fix_writer_init(&writer, &cfg, true);
  uint8_t *end = fix_writer_begin(&writer, out, '8', seq, 0);
  if (what[0] & 1) end = FIX_PUT(end, "97=Y\001");
  if (what[0] & 2) end = FIX_PUT(end, "43=Y\001");
  end = ref_put(FIX_PUT(end, "37=9\001"), "11=", last_ref - what[1] % 8u);
  end = ref_put(end, "41=", last_ref - what[1] / 8 % 8u);
  end = field_put(field_put(end, "17=", 1 + what[2] % EXECUTIONS), "19=", 1 + what[2] / EXECUTIONS % EXECUTIONS);
  end = FIX_PUT(end, "150=");
  *end++ = (uint8_t)types[what[0] >> 2 & 7];
  end = field_put(FIX_PUT(end, "\00139=0\00155=AAPL\00154=1\00138=50\00131=0.01\001"), "32=", 1 + what[3] % 60u);
  end = field_put(end, "151=", what[3] % 51u);
  if (what[0] & 32) end = field_put(end, "103=", what[3] % 3u);
  return fix_close(out, end);
}

/* a fresh connection as if the kernel had just made it: our logon is on its way */
static void attach(struct hwgw_session *self, int *peer, uint64_t now_ns) {
  int pair[2];
  if (*peer >= 0) close(*peer);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0) abort();
  self->fd = pair[0];
  *peer = pair[1];
  self->state = HWGW_SEGMENT_SESSION_STATE_LOGIN_SENT;
  self->last_rx_ns = self->last_tx_ns = now_ns;
  self->deadline_ns = now_ns + 1000000000;
}

static void session(const uint8_t *data, size_t len) {
  static struct hwgw_session *self;
  static uint8_t fresh[offsetof(struct hwgw_session, tx)];
  struct hwgw_session_cfg cfg = cfg_of(HWGW_PROTOCOL_FIX44);
  struct hwgw_error error;
  uint64_t counters[HWGW_COUNTER_CNT] = {0}, now_ns = 1000000000;
  uint64_t told[EXECUTIONS + 1] = {
      0}; /* price and shares of the last execution of that number, 0 = none, or it was broken */
  int peer = -1;
  if (!self) {
    if (hwgw_session_open(&self, &cfg, &error) != HWGW_OK) abort();
    memcpy(fresh, self, sizeof fresh);
  }
  memcpy(self, fresh, sizeof fresh); /* the buffers may hold what they held */
  memset(self->orders.order, 0, sizeof self->orders.order);
  memset(&self->orders.follow, 0, sizeof self->orders.follow);
  self->orders.execution_cnt = self->orders.withdrawn_idx = self->orders.last_ref = 0;
  attach(self, &peer, now_ns);
  self->fix.tx_seq = 2;
  uint32_t seq = 1;
  uint8_t message[1024];
  static const uint8_t logon[] = "A98=0|108=10";
  (void)!send(peer, message, wrap(logon, sizeof logon - 1, seq++, true, message), MSG_NOSIGNAL);
  for (size_t at = 0; at + 2 <= len && self->fd >= 0;) {
    struct hwgw_order events[EVENTS_MAX];
    uint32_t sz = data[at + 1] % 100u, what = data[at] % 10u;
    uint64_t next_seq = self->next_seq;
    const uint8_t *said = NULL;
    at += 2;
    if (sz > len - at) sz = (uint32_t)(len - at);
    if (what == 9) { /* cut, and a logon of the number that comes next, or any */
      hwgw_session_disconnect(self, HWGW_SEGMENT_SESSION_STATE_LOST, "cut");
      attach(self, &peer, now_ns);
      self->protocol->login(self, now_ns);
      static const uint8_t again[] = "A43=Y|98=0|108=10";
      bool is_any = sz && data[at] & 1;
      if (is_any && data[at] & 2)
        (void)!send(peer, message, wrap(again, sizeof again - 1, data[at] >> 2, true, message), MSG_NOSIGNAL);
      else
        (void)!send(peer, message, wrap(logon, sizeof logon - 1, is_any ? data[at] >> 2 : seq, true, message),
                    MSG_NOSIGNAL);
      seq += !is_any;
    } else if (what == 8) {
      if (sz < REPORT_SZ) break;
      said = data + at;
      (void)!send(peer, message, report(said, self->last_ref, seq++, message), MSG_NOSIGNAL);
    } else if (what == 7) {
      (void)!send(peer, data + at, sz, MSG_NOSIGNAL); /* anything at all */
    } else if (what == 6) {
      self->state = HWGW_SEGMENT_SESSION_STATE_UP;
      struct hwgw_order order = {.kind = HWGW_ORDER_KIND_NEW,
                                 .side = 1,
                                 .type = 1,
                                 .tif = 1,
                                 .px = 100,
                                 .qty = 50,
                                 .ref = hwgw_session_next_ref(self)};
      bool may_fail = self->link_down || order.ref == UINT32_MAX;
      expect(hwgw_session_order(self, &order) == HWGW_CNT_ORDER_ENCODED || may_fail, "an order is taken");
    } else {
      uint32_t out_sz = wrap(data + at, sz, what == 5 && sz ? data[at] : seq, what != 4, message);
      seq += what < 4;
      (void)!send(peer, message, out_sz, MSG_NOSIGNAL);
    }
    at += sz;
    now_ns += 50000000;
    uint32_t cnt = hwgw_session_poll(self, now_ns, counters, events, EVENTS_MAX);
    expect(cnt <= EVENTS_MAX, "no more events than there is room");
    expect(self->next_seq >= next_seq, "the venue's numbers do not go back");
    for (uint32_t i = 0; i < cnt; i++) {
      uint64_t number = events[i].venue_ref, what_is_told = (uint64_t)events[i].px << 32 | events[i].qty;
      bool is_broken = events[i].kind == HWGW_ORDER_KIND_BROKEN;
      if ((!is_broken && events[i].kind != HWGW_ORDER_KIND_EXECUTED) || number > EXECUTIONS) continue;
      if (said && said[0] & 1 && !is_broken)
        expect(told[number] != what_is_told, "an execution that was told is not told again");
      told[number] = is_broken ? 0 : what_is_told;
    }
    expect(self->rx_head <= self->rx_tail && self->rx_tail <= HWGW_SESSION_RX_SZ, "rx bounds");
    expect(self->tx_head <= self->tx_tail && self->tx_tail <= HWGW_SESSION_TX_SZ, "tx bounds");
    expect(counters[HWGW_CNT_SESSION_SEQUENCED] ==
               counters[HWGW_CNT_SESSION_ACCEPTED] + counters[HWGW_CNT_SESSION_REJECTED] +
                   counters[HWGW_CNT_SESSION_EXECUTED] + counters[HWGW_CNT_SESSION_CANCELED] +
                   counters[HWGW_CNT_SESSION_REPLACED] + counters[HWGW_CNT_SESSION_BROKEN] +
                   counters[HWGW_CNT_SESSION_RESENT] + counters[HWGW_CNT_SESSION_IGNORED] +
                   counters[HWGW_CNT_SESSION_DROP_UNKNOWN] + counters[HWGW_CNT_SESSION_DROP_LENGTH] +
                   counters[HWGW_CNT_SESSION_DROP_ORDER],
           "every sequenced message is counted once");
    uint8_t read[4096];
    while (recv(peer, read, sizeof read, MSG_DONTWAIT) > 0) {
    }
    if (what == 3) hwgw_session_withdraw(self);
  }
  if (self->fd >= 0) close(self->fd);
  close(peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  uint8_t message[1024];
  decode(data, (uint32_t)len);
  if (len) decode(message, wrap(data, (uint32_t)len, 7, data[0] != '!', message));
  encode(data, len);
  session(data, len);
  return 0;
}
