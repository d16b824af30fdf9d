/* fuzz_journal.c: a journal that says anything, against what rebuilds orders, positions and session from it.
 *
 * SPDX-License-Identifier: MIT
 *
 * The input is a list of records: orders, answers and venue messages made up from plausible fields, logins, runs that
 * begin, or bytes as they are. Whether it is believed or refused: nothing is read beyond it; and what was believed makes
 * sense: the gate's open orders are counted, each is known to the session with no less left, and references only rise. A
 * replay of the same records, and a pipeline that is told them again, read nothing beyond them either.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "hwgw_replay.h"
#include "pipeline_made.h"
#include "risk.h"
#include "strategy.h"

#define RECORDS_MAX 512
#define BODY_SZ 65536
#define HEAD_SZ MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN

static const char symbols[] = "AAPL    CVLT    ";
static _Alignas(64) uint8_t body[BODY_SZ];

struct input {
  const uint8_t *data;
  size_t len;
};

struct journal {
  uint64_t len;
  uint32_t cnt;
  uint64_t seq;      /* of the next record */
  uint64_t next_seq; /* of the venue's session */
  uint64_t feed_seq; /* of the next message of the feed */
  uint32_t last_ref;
};

static void expect(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz_journal: %s\n", what);
  abort();
}

static uint8_t next(struct input *input) {
  if (!input->len) return 0;
  input->len--;
  return *input->data++;
}

static void put(struct journal *to, uint8_t type, uint16_t verdict, const void *payload, uint32_t len) {
  struct hwgw_journal_record record = {.len = len, .type = type, .verdict = verdict, .seq = to->seq++};
  uint64_t sz = journal_record_sz(len);
  if (to->len + sz > BODY_SZ || to->cnt == RECORDS_MAX) return;
  memset(body + to->len, 0, sz);
  memcpy(body + to->len, &record, sizeof record);
  memcpy(body + to->len + sizeof record, payload, len);
  to->len += sz;
  to->cnt++;
}

static void put_open(struct journal *to, struct input *input) {
  struct hwgw_journal_open open = {.instrument_cnt = 2, .thread_cnt = 1, .clock_offset_ns = (int8_t)next(input)};
  to->seq = 0; /* of no pipeline */
  put(to, HWGW_JOURNAL_RECORD_TYPE_OPEN, 0, &open, sizeof open);
  put(to, HWGW_JOURNAL_RECORD_TYPE_SYMBOLS, 0, symbols, sizeof symbols - 1);
  to->seq = 1;
}

static void put_login(struct journal *to, struct input *input) {
  uint8_t what = next(input);
  struct hwgw_journal_login login = {.seq = what & 1 ? next(input) : to->next_seq, .login = 1u + (what >> 4)};
  memcpy(login.session, what & 2 ? "OTHER     " : "S1        ", sizeof login.session);
  to->next_seq = login.seq;
  put(to, HWGW_JOURNAL_RECORD_TYPE_LOGIN, 0, &login, sizeof login);
}

/* an event of the gate: an order with its verdict, or an answer; or an order that the card was offered */
static void put_event(struct journal *to, struct input *input, bool is_offer) {
  uint8_t what = next(input), kind = next(input) % 23, verdict = what & 64 ? next(input) : 0;
  bool is_new = kind == HWGW_ORDER_KIND_NEW || kind == HWGW_ORDER_KIND_REPLACE || hwgw_order_is_request(kind);
  struct hwgw_order event = {
      .kind = kind,
      .side = what & 1 ? HWGW_ORDER_SIDE_SELL : HWGW_ORDER_SIDE_BUY,
      .type = what & 2 ? HWGW_ORDER_TYPE_MARKET : HWGW_ORDER_TYPE_LIMIT,
      .tif = HWGW_ORDER_TIF_DAY,
      .ref = what & 4 || !is_new ? next(input) : ++to->last_ref,
      .orig_ref = kind == HWGW_ORDER_KIND_REPLACE || kind == HWGW_ORDER_KIND_REPLACED ? next(input) : 0,
      .instrument = what & 8 ? next(input) : what >> 4 & 1,
      .strategy = what >> 5 & 3,
      .px = 1000,
      .qty = next(input),
      .reason = what & 128 ? next(input) : 0,
      .venue_ref = is_new ? (uint64_t)(what >> 7 & verdict & 1) << HWGW_ORDER_VENUE_SHIFT : next(input),
  };
  put(to, is_offer ? HWGW_JOURNAL_RECORD_TYPE_OFFER : HWGW_JOURNAL_RECORD_TYPE_GATE, verdict, &event, sizeof event);
}

/* what a run says once, or now and then: which venue a session is, who halted one, what it began with, its numbers */
static void put_rare(struct journal *to, struct input *input) {
  uint8_t what = next(input);
  struct hwgw_journal_session session = {.number = what >> 4};
  struct hwgw_journal_venue_halt halt = {.number = what >> 4, .is_halted = what >> 2 & 1, .text = "a person"};
  struct hwgw_journal_number number = {.seq = what, .ref = next(input)};
  static const struct hwgw_journal_restored restored;
  if (what & 8)
    session.name[0] = halt.name[0] = (char)('A' + (what >> 4)); /* else the one there is, which has no name */
  switch (what & 3) {
    case 0:
      put(to, HWGW_JOURNAL_RECORD_TYPE_SESSION, 0, &session, sizeof session);
      break;
    case 1:
      put(to, HWGW_JOURNAL_RECORD_TYPE_VENUE_HALT, 0, &halt, sizeof halt);
      break;
    case 2:
      put(to, HWGW_JOURNAL_RECORD_TYPE_RESTORED, 0, &restored, sizeof restored);
      break;
    default:
      put(to, HWGW_JOURNAL_RECORD_TYPE_NUMBER, 0, &number, sizeof number);
      break;
  }
}

static void put_message(struct journal *to, const uint8_t *message, uint32_t len, bool is_out_of_turn) {
  struct {
    struct hwgw_journal_venue head;
    uint8_t message[512];
  } venue = {.head = {.seq = to->next_seq + is_out_of_turn, .len = (uint16_t)len, .login = 1}};
  memcpy(venue.message, message, len);
  to->next_seq++;
  put(to, HWGW_JOURNAL_RECORD_TYPE_VENUE, 0, &venue, (uint32_t)sizeof venue.head + len);
}

/* a message of OUCH 5.0 that may be about an order of the journal */
static void put_venue(struct journal *to, struct input *input) {
  uint8_t message[256] = {0}, what = next(input);
  uint32_t ref = next(input), qty = next(input), len;
  switch (what & 7) {
    case 0:
    case 1:
      ouch50_order_accepted_init(message);
      ouch50_order_accepted_user_ref_num_set(message, ref);
      ouch50_order_accepted_side_set(message, what & 8 ? OUCH50_SIDE_SELL : OUCH50_SIDE_BUY);
      ouch50_order_accepted_quantity_set(message, qty);
      ouch50_order_accepted_symbol_set(message, symbols + (what & 16 ? 8 : 0));
      ouch50_order_accepted_order_state_set(message, what & 32 ? OUCH50_ORDER_STATE_DEAD : OUCH50_ORDER_STATE_LIVE);
      len = OUCH50_ORDER_ACCEPTED_LEN;
      break;
    case 2:
      ouch50_order_replaced_init(message);
      ouch50_order_replaced_user_ref_num_set(message, ref);
      ouch50_order_replaced_orig_user_ref_num_set(message, next(input));
      ouch50_order_replaced_side_set(message, what & 8 ? OUCH50_SIDE_SELL : OUCH50_SIDE_BUY);
      ouch50_order_replaced_quantity_set(message, qty);
      ouch50_order_replaced_symbol_set(message, symbols + (what & 16 ? 8 : 0));
      ouch50_order_replaced_order_state_set(message, what & 32 ? OUCH50_ORDER_STATE_DEAD : OUCH50_ORDER_STATE_LIVE);
      len = OUCH50_ORDER_REPLACED_LEN;
      break;
    case 3:
      ouch50_order_executed_init(message);
      ouch50_order_executed_user_ref_num_set(message, ref);
      ouch50_order_executed_quantity_set(message, qty);
      ouch50_order_executed_price_set(message, 1000);
      ouch50_order_executed_match_number_set(message, what >> 3);
      len = OUCH50_ORDER_EXECUTED_LEN;
      break;
    case 4:
      ouch50_order_canceled_init(message);
      ouch50_order_canceled_user_ref_num_set(message, ref);
      ouch50_order_canceled_quantity_set(message, qty);
      len = OUCH50_ORDER_CANCELED_LEN;
      break;
    case 5:
      ouch50_broken_trade_init(message);
      ouch50_broken_trade_user_ref_num_set(message, ref);
      ouch50_broken_trade_match_number_set(message, what >> 3);
      len = OUCH50_BROKEN_TRADE_LEN;
      break;
    case 6:
      ouch50_rejected_init(message);
      ouch50_rejected_user_ref_num_set(message, ref);
      ouch50_rejected_reason_set(message, 1);
      len = OUCH50_REJECTED_LEN;
      break;
    default:
      ouch50_account_query_response_init(message);
      ouch50_account_query_response_next_user_ref_num_set(message, ref);
      len = OUCH50_ACCOUNT_QUERY_RESPONSE_LEN;
      break;
  }
  put_message(to, message, what & 64 ? len - qty % len : len, what == 0xFF);
}

struct frame {
  struct hwgw_journal_frame head;
  uint8_t packet[HEAD_SZ + 2 + ITCH50_ADD_ORDER_LEN];
};

static void put_frame(struct journal *to, struct frame *frame, uint32_t line, const uint8_t *data, uint32_t len) {
  frame->head.line = line;
  frame->head.len = len;
  memmove(frame->packet, data, len);
  put(to, HWGW_JOURNAL_RECORD_TYPE_FRAME, 0, frame, (uint32_t)sizeof frame->head + len);
}

/* a packet of the line, or its message as one of a snapshot, which may end with it, or one of each kind of server */
static void put_heard(struct journal *to, struct frame *frame, uint8_t how) {
  const uint8_t *message = frame->packet + HEAD_SZ + 2;
  struct hwgw_journal_input round = {.what = HWGW_JOURNAL_INPUT_KIND_RECOVERY};
  uint8_t other[GLIMPSE_END_OF_SNAPSHOT_LEN];
  uint32_t len = sizeof frame->packet - (how & 4);
  switch (how & 3) {
    case 0:
      put_frame(to, frame, HWGW_JOURNAL_FRAME_LINE_A, frame->packet, len);
      return;
    case 1:
      put(to, HWGW_JOURNAL_RECORD_TYPE_INPUT, 0, &round, sizeof round);
      put_frame(to, frame, HWGW_JOURNAL_FRAME_LINE_ANSWER, frame->packet, len);
      return;
    case 2:
      put(to, HWGW_JOURNAL_RECORD_TYPE_INPUT, 0, &round, sizeof round);
      put_frame(to, frame, HWGW_JOURNAL_FRAME_LINE_SNAPSHOT, message, ITCH50_ADD_ORDER_LEN);
      if (how & 4) return;
      memset(other, ' ', sizeof other);
      other[0] = GLIMPSE_END_OF_SNAPSHOT_CODE;
      other[1] = (uint8_t)('1' + (how >> 3 & 7));
      put_frame(to, frame, HWGW_JOURNAL_FRAME_LINE_SNAPSHOT, other, sizeof other);
      return;
    default:                          /* as it is asked for, or not */
      memset(other, 0, sizeof other); /* the session of our packets */
      moldudp64_request_packet_sequence_number_set(other, how >> 3 & 7);
      moldudp64_request_packet_requested_message_count_set(other, 1 + (how >> 6));
      put_frame(to, frame, HWGW_JOURNAL_FRAME_LINE_REQUEST, other, MOLDUDP64_REQUEST_PACKET_LEN);
      return;
  }
}

/* what strategies decide by: a packet with an order or as it comes, and what else a pipeline was told */
static void put_told(struct journal *to, struct input *input) {
  struct frame frame = {.head = {.line = 0}};
  struct {
    struct hwgw_journal_params head;
    int64_t value[7];
  } params = {.head = {.id = 0, .cnt = 7}, .value = {100, 5, 40, 10, 100, 1000, 0}};
  uint8_t what = next(input), *message = frame.packet + HEAD_SZ + 2;
  struct hwgw_journal_input told = {.what = what >> 4, .value = next(input), .ref = next(input)};
  uint8_t how = what & 128 ? next(input) : what & 4;
  switch (what & 3) {
    case 0:
      put(to, HWGW_JOURNAL_RECORD_TYPE_INPUT, 0, &told, sizeof told);
      break;
    case 1:
      params.value[(what >> 4) % 7] = told.value;
      put(to, HWGW_JOURNAL_RECORD_TYPE_PARAMS, 0, &params, (uint32_t)sizeof params - (what & 4));
      break;
    default:
      moldudp64_downstream_packet_header_sequence_number_set(frame.packet, to->feed_seq);
      moldudp64_downstream_packet_header_message_count_set(frame.packet, 1);
      frame.packet[HEAD_SZ + 1] = ITCH50_ADD_ORDER_LEN;
      itch50_add_order_init(message);
      itch50_add_order_order_reference_number_set(message, to->feed_seq++);
      itch50_add_order_side_set(message, what & 8 ? ITCH50_SIDE_SELL : ITCH50_SIDE_BUY);
      itch50_add_order_shares_set(message, told.value);
      itch50_add_order_stock_set(message, symbols + (what & 16 ? 8 : 0));
      itch50_add_order_stock_locate_set(message, what & 16 ? 2 : 1);
      itch50_add_order_price_set(message, what & 8 ? 1100 : 900 + (told.ref & 63));
      to->feed_seq += how >> 6; /* a hole */
      put_heard(to, &frame, how);
      break;
  }
}

static void put_bytes(struct journal *to, struct input *input, bool is_message) {
  uint8_t bytes[256], type = next(input);
  uint32_t len = next(input);
  if (len > input->len) len = (uint32_t)input->len;
  memcpy(bytes, input->data, len);
  input->data += len;
  input->len -= len;
  if (is_message)
    put_message(to, bytes, len, false);
  else
    put(to, type, 0, bytes, len);
}

static void put_record(struct journal *to, struct input *input) {
  uint8_t what = next(input);
  struct hwgw_journal_strategy strategy = {.id = what >> 4, .name = "one"};
  if (what & 128) strategy.name[0] = (char)('a' + (what >> 4 & 7)); /* one that is gone */
  switch (what & 15) {
    case 0:
      put_open(to, input);
      break;
    case 1:
      put_login(to, input);
      break;
    case 2:
      put_bytes(to, input, false);
      break;
    case 3:
      put_bytes(to, input, true);
      break;
    case 4:
      put(to, HWGW_JOURNAL_RECORD_TYPE_STRATEGY, 0, &strategy, sizeof strategy);
      break;
    case 5:
      to->seq += what >> 4; /* records are missing */
      break;
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
      put_event(to, input, false);
      break;
    case 11:
      if (what & 16)
        put_event(to, input, true);
      else
        put_rare(to, input);
      break;
    case 12:
      put_told(to, input);
      break;
    default:
      put_venue(to, input);
      break;
  }
}

/* ---- the pipeline: opened once, and as new for every input ---- */

static struct hwgw_pipeline *pipeline_fresh(void) {
  struct hwgw_session_cfg session = session_made();
  static struct hwgw_pipeline_cfg cfg;
  struct hwgw_strategy_cfg strategy = {.strategy = hwgw_strategy_find("imbalance"), .name = "one"};
  expect(strategy.strategy, "a strategy");
  cfg.segment = segment_made("journal", (struct hwgw_segment_cfg){.instrument_cnt = 2, .symbols = symbols});
  cfg.books.instrument_cnt = 2;
  cfg.books.orders_max = 16;
  cfg.channel_cnt = 1;
  cfg.channel[0].line_cnt = 1;
  cfg.session = &session;
  cfg.session_cnt = 1;
  cfg.strategy = &strategy;
  cfg.strategy_cnt = 1;
  return pipeline_made(&cfg);
}

static struct hwgw_pipeline *pipeline_new(void) {
  static struct hwgw_pipeline *p;
  static struct hwgw_session fresh;
  if (!p) {
    p = pipeline_fresh();
    memcpy(&fresh, p->session[0].link, sizeof fresh);
  }
  struct hwgw_session *session = p->session[0].link; /* but for what is not read before it is written */
  memcpy(session, &fresh, offsetof(struct hwgw_session, tx));
  memset(session->orders.order, 0, sizeof session->orders.order);
  session->orders.execution_cnt = 0;
  session->orders.open_cnt = 0;
  session->orders.withdrawn_idx = 0;
  session->orders.follow.kind = HWGW_ORDER_KIND_NONE;
  memset(p->venue_of, 0, sizeof p->venue_of);
  hwgw_risk_init(p->risk);
  memset(p->executed, 0, sizeof p->executed);
  for (uint32_t i = 0; i < 2; i++) memset(hwgw_segment_position(p->segment, i), 0, sizeof(struct hwgw_position));
  p->thread->cash = 0;
  p->thread->filled_notional = 0;
  p->control->halt = p->control->venue_halt = 0;
  p->last_ref = p->recorded_ref = 0;
  p->is_reconciling = false;
  return p;
}

/* what was believed makes sense */
static void check(const struct hwgw_pipeline *p) {
  const struct hwgw_session *session = p->session[0].link;
  uint32_t open_cnt = 0;
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++) {
    const struct hwgw_risk_slot *slot = &p->risk->slot[i];
    if (!slot->leaves) continue;
    open_cnt++;
    expect(slot->ref <= p->last_ref, "an order that is open has a reference that was given");
    expect(hwgw_session_orders_find(&session->orders, slot->ref), "what the gate has open the session knows");
  }
  expect(open_cnt == p->risk->gateway.open_cnt, "open orders are counted");
  expect(hwgw_session_next_ref(session) > p->last_ref, "no reference is used twice");
  expect(!session->is_restored || p->is_reconciling, "it is halted until the venue agrees");
}

static void replayed(const struct hwgw_replay_part *part) {
  struct hwgw_pipeline *p = pipeline_new();
  struct hwgw_replay_result result;
  struct hwgw_replay_difference row = {0};
  struct hwgw_error contradiction, error;
  int32_t status = hwgw_replay_verify(part, 1, &p, 1, &result, &row, 1, &contradiction, &error);
  expect(status == HWGW_OK || status == HWGW_ERR_CHECK, "a replay says what is wrong with records");
  expect(result.records <= part->record_cnt, "no record is replayed twice");
  expect(!result.differences || row.recorded != row.replayed, "a difference says both sides");
}

/* opened anew: what a strategy and the books have learnt stays */
static void decided(const struct hwgw_replay_part *part, bool is_repaired) {
  struct hwgw_flow flow = {.group = 1, .port = 1};
  struct hwgw_strategy_cfg strategy = {.strategy = hwgw_strategy_find("imbalance"), .name = "one"};
  static struct hwgw_pipeline_cfg cfg;
  cfg = (struct hwgw_pipeline_cfg){.virtual_clock = true, .channel_cnt = 1, .strategy_cnt = 1};
  cfg.strategy = &strategy;
  cfg.rx.flows = &flow;
  cfg.rx.flow_cnt = 1;
  cfg.books = (struct hwgw_books_cfg){.instrument_cnt = 2, .orders_max = 16};
  cfg.channel[0].line_cnt = 1;
  if (is_repaired) { /* the clock of the records stands still: what is asked for comes, or too much is missing */
    cfg.channel[0].hold_max = 64;
    cfg.channel[0].recover = (struct hwgw_recover_cfg){
        .server_cnt = 1, .timeout_ns = 1, .messages_max = 4, .snapshot.port = 1, .snapshot_timeout_ns = 1};
  }
  struct hwgw_error error;
  struct hwgw_decided_result result;
  cfg.segment = segment_made(
      "told", (struct hwgw_segment_cfg){.instrument_cnt = 2, .symbols = symbols, .journal_sz_bytes = 1u << 20});
  struct hwgw_pipeline *p = pipeline_made(&cfg);
  int32_t status = hwgw_decide_again(p, part, 0, 1, NULL, &result, &error);
  expect(status == HWGW_OK || status == HWGW_ERR_CHECK, "what is told says what is wrong with records");
  expect(result.frames + result.replies + result.snapshot_messages + result.requests <= part->record_cnt,
         "no frame is told twice");
  hwgw_pipeline_close(p);
  hwgw_segment_close(cfg.segment, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  struct hwgw_pipeline *p = pipeline_new();
  struct input input = {data, len};
  struct journal journal = {.next_seq = 1, .feed_seq = 1};
  uint8_t first = next(&input);
  if (first & 1) { /* as it is */
    journal.len = input.len < BODY_SZ ? input.len : BODY_SZ;
    memcpy(body, input.data, journal.len);
    journal.cnt = first >> 1;
  } else {
    put_open(&journal, &input);
    if (first & 2) put_login(&journal, &input);
    while (input.len) put_record(&journal, &input);
  }
  uint8_t *block = malloc(journal.len + !journal.len); /* of its own, so that the sanitizer sees its end */
  if (!block) abort();
  memcpy(block, body, journal.len);
  struct hwgw_replay_part part = {.data = block, .len = journal.len, .record_cnt = journal.cnt, .block = 1};
  struct hwgw_pipeline_cfg cfg = {.replay = &part, .replay_cnt = 1, .replay_halts = true};
  struct hwgw_error error;
  if (pipeline_restore(p, &cfg, &error) == HWGW_OK) check(p);
  if (first & 4) replayed(&part); /* a gate per input: slow */
  if ((first & 0x1C) == 0x1C) decided(&part, first & 32);
  free(block);
  return 0;
}
