/* fuzz_itch.c: packets in, books out: mold, itch, instruments and books against a book that is a list of orders.
 *
 * SPDX-License-Identifier: MIT
 *
 * The input is a list of messages, put into packets of up to seven: orders on a few symbols with few references and
 * prices (so that they meet), messages of any type and any bytes, and bytes as they are. The referee keeps each live
 * order in an array in order of arrival and searches it. After every event: the same result; after every packet the
 * same top; at the end the same orders in the same order.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base.h"

#define INSTRUMENTS 3
#define ORDERS_MAX 40
#define LEVELS_MAX 9
#define PACKET_MAX 1024

struct input {
  const uint8_t *data;
  size_t len;
};

struct order {
  uint64_t ref;
  uint32_t instrument, side, px, qty;
};

struct referee {
  struct order order[ORDERS_MAX];
  uint32_t cnt;
};

static void expect(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz_itch: %s\n", what);
  abort();
}

static uint8_t take(struct input *in) {
  if (!in->len) return 0;
  in->len--;
  return *in->data++;
}

/* ---- the referee ---- */

static uint32_t find(const struct referee *r, uint32_t instrument, uint64_t ref) {
  uint32_t i = 0;
  while (i < r->cnt && (r->order[i].instrument != instrument || r->order[i].ref != ref)) i++;
  return i;
}

static void forget(struct referee *r, uint32_t i) {
  memmove(&r->order[i], &r->order[i + 1], (--r->cnt - i) * sizeof r->order[0]);
}

/* prices of a side, with px and without order `without` */
static uint32_t levels(const struct referee *r, uint32_t instrument, uint32_t side, uint32_t px, uint32_t without) {
  uint32_t seen[ORDERS_MAX + 1] = {px}, cnt = 1;
  for (uint32_t i = 0; i < r->cnt; i++) {
    if (i == without || r->order[i].instrument != instrument || r->order[i].side != side) continue;
    uint32_t k = 0;
    while (k < cnt && seen[k] != r->order[i].px) k++;
    if (k == cnt) seen[cnt++] = r->order[i].px;
  }
  return cnt;
}

static uint32_t judge(struct referee *r, const struct hwgw_event *e) {
  if (e->kind < HWGW_EVENT_KIND_ADD || e->kind > HWGW_EVENT_KIND_REPLACE) return HWGW_CNT_BOOK_IGNORED;
  if (e->instrument >= INSTRUMENTS) return HWGW_CNT_BOOK_DROP_INSTRUMENT;
  uint32_t at = find(r, e->instrument, e->ref);
  if (e->kind == HWGW_EVENT_KIND_ADD) {
    if (at < r->cnt) return HWGW_CNT_BOOK_DROP_DUPLICATE_REF;
    if (!e->qty) return HWGW_CNT_BOOK_DROP_QUANTITY;
    if (!e->side) return HWGW_CNT_BOOK_DROP_SIDE;
    if (r->cnt == ORDERS_MAX) return HWGW_CNT_BOOK_DROP_FULL;
    if (levels(r, e->instrument, e->side, e->px, UINT32_MAX) > LEVELS_MAX) return HWGW_CNT_BOOK_DROP_FULL;
    r->order[r->cnt++] = (struct order){e->ref, e->instrument, e->side, e->px, e->qty};
    return HWGW_CNT_BOOK_UPDATES;
  }
  if (at == r->cnt) return HWGW_CNT_BOOK_DROP_UNKNOWN_REF;
  struct order *order = &r->order[at];
  if (e->kind == HWGW_EVENT_KIND_REPLACE) {
    if (find(r, e->instrument, e->ref_new) < r->cnt) return HWGW_CNT_BOOK_DROP_DUPLICATE_REF;
    if (!e->qty) return HWGW_CNT_BOOK_DROP_QUANTITY;
    if (levels(r, e->instrument, order->side, e->px, at) > LEVELS_MAX) return HWGW_CNT_BOOK_DROP_FULL;
    struct order fresh = {e->ref_new, e->instrument, order->side, e->px, e->qty};
    forget(r, at);
    r->order[r->cnt++] = fresh;
    return HWGW_CNT_BOOK_UPDATES;
  }
  uint32_t qty = e->kind == HWGW_EVENT_KIND_DELETE ? order->qty : e->qty;
  if (!qty || qty > order->qty) return HWGW_CNT_BOOK_DROP_QUANTITY;
  order->qty -= qty;
  if (!order->qty) forget(r, at);
  return HWGW_CNT_BOOK_UPDATES;
}

static bool is_better(uint32_t side, uint32_t px, uint32_t than) {
  return side == HWGW_ORDER_SIDE_BUY ? px > than : px < than;
}

/* px, qty, cnt of the best level of a side, zeros when it is empty */
static struct hwgw_level best(const struct referee *r, uint32_t instrument, uint32_t side) {
  struct hwgw_level level = {0};
  for (uint32_t i = 0; i < r->cnt; i++) {
    const struct order *order = &r->order[i];
    if (order->instrument != instrument || order->side != side) continue;
    if (!level.cnt || is_better(side, order->px, level.px)) level = (struct hwgw_level){.px = order->px};
    if (order->px != level.px) continue;
    level.cnt++;
    level.qty += order->qty;
  }
  return level;
}

static bool tops_equal(const struct hwgw_level *a, const struct hwgw_level *b) {
  return a->px == b->px && a->cnt == b->cnt && a->qty == b->qty;
}

static void compare_top(const struct referee *r, const struct hwgw_books *books, uint32_t instrument) {
  struct hwgw_tob top = {0};
  hwgw_books_top(books, instrument, &top);
  struct hwgw_level bid = best(r, instrument, HWGW_ORDER_SIDE_BUY), ask = best(r, instrument, HWGW_ORDER_SIDE_SELL);
  expect(top.bid_px == bid.px && top.bid_qty == bid.qty && top.bid_cnt == bid.cnt, "another best bid");
  expect(top.ask_px == ask.px && top.ask_qty == ask.qty && top.ask_cnt == ask.cnt, "another best ask");
}

static void compare_orders(const struct referee *r, const struct hwgw_books *books, uint32_t instrument,
                           uint32_t side) {
  struct hwgw_book_order orders[ORDERS_MAX];
  uint32_t cnt = hwgw_books_orders(books, instrument, side, orders, ORDERS_MAX), mine = 0;
  expect(cnt <= ORDERS_MAX, "more orders than may live");
  for (uint32_t i = 0; i < r->cnt; i++) mine += r->order[i].instrument == instrument && r->order[i].side == side;
  expect(cnt == mine, "another number of orders");
  for (uint32_t i = 0; i < cnt; i++) {
    uint32_t at = find(r, instrument, orders[i].ref);
    expect(at < r->cnt && r->order[at].px == orders[i].px && r->order[at].qty == orders[i].qty, "another order");
    if (!i) continue;
    uint32_t before = find(r, instrument, orders[i - 1].ref);
    expect(orders[i - 1].px == orders[i].px ? before < at : is_better(side, orders[i - 1].px, orders[i].px),
           "orders in another order");
  }
}

/* ---- messages ---- */

/* a message made of few bytes of input; returns its length */
static uint32_t message_make(struct input *in, uint8_t *m, uint64_t stride) {
  static const char types[] = "AAAFEECXXDDUUPQBHhRSYLVWKJINO";
  uint8_t op = take(in);
  memset(m, 0, 64);
  if (op >= 0xF0) { /* any bytes */
    uint32_t len = take(in) % 64;
    for (uint32_t i = 0; i < len; i++) m[i] = take(in);
    return len;
  }
  char type = types[op % (sizeof types - 1)];
  uint64_t ref = (take(in) & 31) * stride, ref_new = ref ^ ((take(in) & 31) * stride);
  uint8_t numbers = take(in);
  uint32_t px = 100 + (numbers & 15), qty = numbers >> 4;
  itch50_message_header_message_type_set(m, type);
  itch50_message_header_stock_locate_set(m, op & 3);
  hwgw_put_be64(m + ITCH50_MESSAGE_HEADER_LEN, ref);
  uint8_t symbol[8] = "S0      ";
  symbol[1] = (uint8_t)('0' + (op & 7));
  switch (type) {
    case ITCH50_ADD_ORDER_CODE:
    case ITCH50_ADD_ORDER_MPID_CODE:
      itch50_add_order_side_set(m, "BSBSBSBx"[op >> 5]);
      itch50_add_order_shares_set(m, qty);
      itch50_add_order_stock_set(m, symbol);
      itch50_add_order_price_set(m, px);
      return type == ITCH50_ADD_ORDER_CODE ? ITCH50_ADD_ORDER_LEN : ITCH50_ADD_ORDER_MPID_LEN;
    case ITCH50_ORDER_EXECUTED_CODE:
      itch50_order_executed_executed_shares_set(m, qty);
      return ITCH50_ORDER_EXECUTED_LEN;
    case ITCH50_ORDER_EXECUTED_WITH_PRICE_CODE:
      itch50_order_executed_with_price_executed_shares_set(m, qty);
      return ITCH50_ORDER_EXECUTED_WITH_PRICE_LEN;
    case ITCH50_ORDER_CANCEL_CODE:
      itch50_order_cancel_cancelled_shares_set(m, qty);
      return ITCH50_ORDER_CANCEL_LEN;
    case ITCH50_ORDER_DELETE_CODE:
      return ITCH50_ORDER_DELETE_LEN;
    case ITCH50_ORDER_REPLACE_CODE:
      itch50_order_replace_new_order_reference_number_set(m, ref_new);
      itch50_order_replace_shares_set(m, qty);
      itch50_order_replace_price_set(m, px);
      return ITCH50_ORDER_REPLACE_LEN;
    case ITCH50_STOCK_DIRECTORY_CODE:
      itch50_stock_directory_stock_set(m, symbol);
      return ITCH50_STOCK_DIRECTORY_LEN;
    default:
      return 12 + op % 39; /* the others: right for some types by chance */
  }
}

static void message_apply(const uint8_t *message, uint32_t len, struct hwgw_instruments *instruments,
                          struct hwgw_books *books, struct referee *referee) {
  struct hwgw_event event = {0};
  uint8_t *alone = malloc(len ? len : 1); /* so that a read behind its end is seen */
  if (!alone) return;
  memcpy(alone, message, len);
  uint32_t cause = hwgw_itch_decode(alone, len, &event);
  if (!cause) {
    bool top_changed;
    hwgw_instruments_resolve(instruments, alone, len, &event);
    expect(event.instrument == UINT32_MAX || event.instrument < INSTRUMENTS, "an instrument that is none");
    uint32_t instrument = event.instrument < INSTRUMENTS ? event.instrument : 0;
    struct hwgw_level bid = best(referee, instrument, HWGW_ORDER_SIDE_BUY);
    struct hwgw_level ask = best(referee, instrument, HWGW_ORDER_SIDE_SELL);
    uint32_t result = hwgw_books_apply(books, &event, &top_changed);
    expect(result == judge(referee, &event), "another result");
    struct hwgw_level new_bid = best(referee, instrument, HWGW_ORDER_SIDE_BUY);
    struct hwgw_level new_ask = best(referee, instrument, HWGW_ORDER_SIDE_SELL);
    expect(top_changed == !(tops_equal(&bid, &new_bid) && tops_equal(&ask, &new_ask)), "another word on the top");
  } else {
    expect(cause == HWGW_CNT_ITCH_DROP_LENGTH || cause == HWGW_CNT_ITCH_DROP_UNKNOWN, "a cause that is none");
  }
  free(alone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint64_t strides[] = {1, 8, 1 << 12, (UINT64_C(1) << 32) | 8};
  static struct hwgw_books *books;
  struct hwgw_error error;
  if (!books) {
    struct hwgw_books_cfg cfg = {.instrument_cnt = INSTRUMENTS, .orders_max = ORDERS_MAX, .levels_max = LEVELS_MAX};
    expect(hwgw_books_open(&books, &cfg, &error) == HWGW_OK, "books do not open");
  }
  hwgw_books_clear(books);
  struct hwgw_instruments *instruments;
  expect(hwgw_instruments_open(&instruments, "S0      ", 1, INSTRUMENTS, true, &error) == HWGW_OK, "no instruments");
  struct input in = {.data = data, .len = size};
  struct referee referee = {0};
  struct hwgw_mold mold;
  uint64_t counters[HWGW_COUNTER_CNT] = {0}, seq = 1;
  hwgw_mold_init(&mold, 0, 1);
  uint64_t stride = strides[take(&in) % 4];
  while (in.len) {
    uint8_t packet[PACKET_MAX];
    uint32_t count = 1 + take(&in) % 7, len = MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN;
    memset(packet, 'F', 10);
    for (uint32_t i = 0; i < count; i++) {
      uint32_t message_len = message_make(&in, packet + len + 2, stride);
      hwgw_put_be16(packet + len, (uint16_t)message_len);
      len += 2 + message_len;
    }
    moldudp64_downstream_packet_header_sequence_number_set(packet, seq);
    moldudp64_downstream_packet_header_message_count_set(packet, (uint16_t)count);
    seq += count;
    struct hwgw_mold_iter iter;
    uint32_t cause = hwgw_mold_packet(&mold, 0, packet, len, 0, counters, &iter);
    expect(cause == HWGW_CNT_MOLD_FRAMES && iter.left == count, "a sound packet was not used");
    const uint8_t *message;
    uint64_t message_seq;
    while ((message = hwgw_mold_next(&iter, &len, &message_seq)))
      message_apply(message, len, instruments, books, &referee);
    for (uint32_t i = 0; i < INSTRUMENTS; i++) compare_top(&referee, books, i);
  }
  expect(hwgw_books_live(books) == referee.cnt, "another number of live orders");
  for (uint32_t i = 0; i < INSTRUMENTS; i++) {
    compare_orders(&referee, books, i, HWGW_ORDER_SIDE_BUY);
    compare_orders(&referee, books, i, HWGW_ORDER_SIDE_SELL);
  }
  hwgw_instruments_close(instruments);
  return 0;
}
