/* fuzz_feed.c: packets in, books out: lines, answers, snapshots and the clock in any order, through a real pipeline.
 *
 * SPDX-License-Identifier: MIT
 *
 * The input is a list of steps. A step's first byte says what comes: a packet of a line or an answer (bytes as they are,
 * or a sound header near the expected number with messages of a small market), a message of a snapshot, its end or its
 * failure, time. Packets lie in memory of exactly their size. What must hold after every step: a channel that is good has
 * no hole, holds nothing and is not frozen; an instrument is good only when its channel is and no message contradicted
 * its book; the row says what the gate was told. At the end: every ledger of messages.
 */
#include <stdlib.h>

#include "pipeline_clock.h"
#include "pipeline_made.h"

#define SYMBOLS 2
#define PACKET_MAX 1024
#define REFS 24

struct input {
  const uint8_t *data;
  size_t len;
};

static struct hwgw_segment *segment;
static struct hwgw_pipeline *p;
static uint64_t now, tick;

static void expect(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz_feed: %s\n", what);
  abort();
}

static uint8_t take(struct input *in) {
  if (!in->len) return 0;
  in->len--;
  return *in->data++;
}

/* one message of a small market, at times of a wrong length or type */
static uint32_t message_make(struct input *in, uint8_t *out) {
  uint8_t kind = take(in), what = take(in);
  uint32_t len;
  switch (kind % 5) {
    case 0:
    case 1: {
      char name[9];
      snprintf(name, sizeof name, "SYM%u    ", 1u + what % SYMBOLS);
      itch50_add_order_init(out);
      itch50_add_order_side_set(out, what & 4 ? 'B' : 'S');
      itch50_add_order_shares_set(out, 1 + what);
      itch50_add_order_stock_set(out, name);
      itch50_add_order_price_set(out, 1000000u + 100u * (take(in) % 16));
      itch50_add_order_order_reference_number_set(out, 1 + take(in) % REFS);
      len = ITCH50_ADD_ORDER_LEN;
      break;
    }
    case 2:
      itch50_order_executed_init(out);
      itch50_order_executed_order_reference_number_set(out, 1 + take(in) % REFS);
      itch50_order_executed_executed_shares_set(out, take(in));
      len = ITCH50_ORDER_EXECUTED_LEN;
      break;
    case 3:
      itch50_order_delete_init(out);
      itch50_order_delete_order_reference_number_set(out, 1 + take(in) % REFS);
      len = ITCH50_ORDER_DELETE_LEN;
      break;
    default:
      itch50_system_event_init(out);
      len = ITCH50_SYSTEM_EVENT_LEN;
      break;
  }
  hwgw_put_be16(out + 1, (uint16_t)(1 + what % SYMBOLS));
  if (kind == 0xF0) len--;
  if (kind == 0xF1) out[0] = 'z';
  return len;
}

static uint32_t packet_make(struct input *in, uint8_t *packet) {
  const struct hwgw_mold *mold = &p->mold[0];
  uint8_t how = take(in);
  if (how == 0xFF) { /* as it is */
    uint32_t len = take(in) % 64, i;
    for (i = 0; i < len; i++) packet[i] = take(in);
    return len;
  }
  uint64_t base = mold->next_seq ? mold->next_seq : 1;
  uint32_t count = how == 0xFE ? UINT16_MAX : how % 6, len = MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN;
  memcpy(packet, how & 64 && mold->next_seq ? mold->session : (const uint8_t *)"FUZZFEED01", 10);
  if (how == 0xFD) packet[9] = take(in);
  int8_t off = (int8_t)take(in);
  hwgw_put_be64(packet + 10, how == 0xFC ? base + ((uint64_t)take(in) << 40) : base + (uint64_t)(off / 4));
  hwgw_put_be16(packet + 18, (uint16_t)count);
  for (uint32_t i = 0; i < count && count != UINT16_MAX; i++) {
    uint32_t message = message_make(in, packet + len + 2);
    hwgw_put_be16(packet + len, (uint16_t)message);
    len += 2 + message;
  }
  return len;
}

static void check(void) {
  const struct hwgw_mold *mold = &p->mold[0];
  bool is_good = mold->state == HWGW_SEGMENT_FEED_STATE_GOOD;
  expect(mold->state == p->channel_state[0], "the pipeline does not know the state of its channel");
  if (is_good) {
    expect(!mold->is_open && !mold->is_frozen && !mold->is_lost, "a good channel has a hole");
    expect(mold->next_seq == mold->seen_seq && !mold->held_cnt, "a good channel waits for something");
    expect(!p->is_loading[0], "a good channel's books are being replaced");
  }
  expect(mold->missing_cnt + mold->held_cnt == mold->seen_seq - mold->next_seq, "missing and held are not the hole");
  for (uint32_t i = 0; i < SYMBOLS; i++) {
    const struct pipeline_instrument *at = &p->instrument[i];
    bool is_flagged = hwgw_segment_tob(segment, i)->flags & HWGW_SEGMENT_TOB_FLAGS_FEED_GOOD;
    expect(at->is_good == (is_good && at->is_sound), "an instrument is good without its channel and book");
    expect(at->is_good == is_flagged, "the row does not say what the gate was told");
  }
}

static bool io_request(void *context, uint32_t channel, uint32_t server, const uint8_t *request) {
  (void)context, (void)channel;
  expect(server < p->recover[0].server_cnt, "a server that is not configured is asked");
  expect(moldudp64_request_packet_requested_message_count(request) >= 1, "nothing is asked for");
  return true;
}

static void io_nothing(void *context, uint32_t channel) {
  (void)context, (void)channel;
}

static void io_poll(void *context, uint32_t channel, uint64_t at) {
  (void)context, (void)channel, (void)at;
}

static void step(struct input *in) {
  uint8_t made[PACKET_MAX], what = take(in);
  uint32_t len;
  switch (what % 8) {
    case 0:
    case 1:
    case 2:
    case 3: {
      len = packet_make(in, made);
      uint8_t *packet = malloc(len ? len : 1);
      memcpy(packet, made, len);
      struct hwgw_frame frame = {.data = packet, .len = len, .flow = what & 1, .t_rx = now};
      if (what % 8 == 3)
        pipeline_feed_reply(p, 0, packet, len, now);
      else
        pipeline_frame(p, &frame);
      free(packet);
      break;
    }
    case 4:
      len = message_make(in, made);
      if (p->recover[0].phase == HWGW_RECOVER_LOADING) pipeline_feed_snapshot(p, 0, made, len, now);
      break;
    case 5: {
      char text[GLIMPSE_END_OF_SNAPSHOT_LEN + 1];
      uint64_t seq = p->mold[0].next_seq + (uint64_t)((int8_t)take(in) / 4);
      snprintf(text, sizeof text, "G%20llu", (unsigned long long)seq);
      if (what & 128) text[take(in) % sizeof text] = (char)take(in);
      pipeline_feed_snapshot(p, 0, (const uint8_t *)text, GLIMPSE_END_OF_SNAPSHOT_LEN, now);
      break;
    }
    case 6:
      if (what & 128) pipeline_feed_failed(p, 0, now);
      break;
    default:
      now += tick * ((uint64_t)1 << take(in) % 14);
      if (p->open_mask) pipeline_feed_poll(p, now);
      if (what & 128) pipeline_feed_age(p, now);
      break;
  }
  check();
}

static void set_up(void) {
  segment = segment_made("feed", (struct hwgw_segment_cfg){.instrument_cnt = SYMBOLS, .symbols = "SYM1    SYM2    "});
  tick = hwgw_ticks_hz() / 1000000;

  struct hwgw_flow flows[2] = {{.group = 1, .port = 1, .line = 0}, {.group = 2, .port = 1, .line = 1}};
  struct hwgw_pipeline_cfg made = {.segment = segment, .sample_shift = 10, .channel_cnt = 1};
  made.rx.flows = flows;
  made.rx.flow_cnt = 2;
  made.books = (struct hwgw_books_cfg){.instrument_cnt = SYMBOLS, .orders_max = 64};
  made.channel[0] = (struct hwgw_channel_cfg){.line_cnt = 2, .hold_max = 8, .stale_ns = 1000000};
  p = pipeline_made(&made);
  p->recover_io = (struct pipeline_recover_io){NULL, io_request, io_nothing, io_nothing, io_poll};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* one pipeline for all inputs, as good as new for each: opening one takes longer than most inputs do */
static void begin(struct input *in) {
  const struct hwgw_recover_cfg recover = {.window_ns = 10000,
                                           .timeout_ns = 20000,
                                           .retries = 1,
                                           .rate = 1000000,
                                           .messages_max = 32,
                                           .snapshot = {.port = take(in) & 1},
                                           .snapshot_timeout_ns = 100000,
                                           .snapshot_retry_ns = 50000};
  if (!segment) set_up();
  hwgw_mold_restart(&p->mold[0], p->counters);
  pipeline_feed_sync(p, 0);
  hwgw_books_clear(p->books);
  hwgw_recover_init(&p->recover[0], &recover, pipeline_hz(p));
  p->recover[0].server_cnt = take(in) % 3;
  p->is_loading[0] = false;
  p->behind[0] = p->open_mask = 0;
  p->t_packet[0] = p->ts_last[0] = 0;
  for (uint32_t i = 0; i < SYMBOLS; i++) p->instrument[i].is_sound = true;
  memset(p->counters, 0, HWGW_COUNTER_CNT * sizeof *p->counters);
  now = 1000000 * tick;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  struct input in = {data, len};
  begin(&in);
  const uint64_t *c = p->counters;
  while (in.len) step(&in);
  pipeline_feed_finish(p);
  expect(c[HWGW_CNT_MOLD_MISSING] ==
             c[HWGW_CNT_HOLD_FILLED] + c[HWGW_CNT_HOLD_MISSING_NOW] + c[HWGW_CNT_HOLD_LOST] + c[HWGW_CNT_HOLD_COVERED],
         "the ledger of holes does not add up");
  expect(c[HWGW_CNT_HOLD_MESSAGES] == c[HWGW_CNT_HOLD_RELEASED] + c[HWGW_CNT_HOLD_NOW] + c[HWGW_CNT_HOLD_SUPERSEDED] +
                                          c[HWGW_CNT_HOLD_DISCARDED],
         "the ledger of held messages does not add up");
  expect(c[HWGW_CNT_MOLD_MESSAGES] ==
             c[HWGW_CNT_ITCH_MESSAGES] + c[HWGW_CNT_ITCH_DROP_LENGTH] + c[HWGW_CNT_ITCH_DROP_UNKNOWN],
         "the ledger of messages does not add up");
  expect(
      c[HWGW_CNT_RECOVER_SNAPSHOT_MESSAGES] ==
          c[HWGW_CNT_RECOVER_SNAPSHOT_ORDERS] + c[HWGW_CNT_RECOVER_SNAPSHOT_OTHER] + c[HWGW_CNT_RECOVER_DROP_SNAPSHOT],
      "the ledger of snapshots does not add up");
  return 0;
}
