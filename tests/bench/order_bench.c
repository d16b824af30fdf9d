/* order_bench.c: what encoding an order costs, and what it costs without a template.
 *
 * SPDX-License-Identifier: MIT
 *
 * A batch of orders is timed as a whole, because a time stamp costs as much as an order. Both encoders are called
 * through a pointer and write the same bytes; the caller checks that.
 */
#include "order.h"
#include "session.h"

#define BENCH_MESSAGE_SZ 256

typedef uint32_t (*encode_fn)(const struct hwgw_session *session, const struct hwgw_order *order, uint8_t *out);

/* ticks of each of the batches of messages decoded, of 256 bytes each with their lengths; returns the sum of the refs */
uint64_t bench_decode(uint32_t (*decode)(const struct hwgw_session *session, const uint8_t *message, uint32_t len,
                                         struct hwgw_order *event),
                      const struct hwgw_session *session, const uint8_t *messages, const uint32_t *lens,
                      uint32_t message_cnt, uint32_t batch_sz, uint32_t batch_cnt, uint64_t *ticks);
/* ticks of each of the batches of batch_sz orders into ticks; returns a hash of what was written */
uint64_t bench_encode(encode_fn encode, const struct hwgw_session *session, const struct hwgw_order *orders,
                      uint32_t order_cnt, uint32_t batch_sz, uint32_t batch_cnt, uint64_t *ticks);
uint64_t bench_session(uint32_t (*send)(struct hwgw_session *session, const struct hwgw_order *order),
                       struct hwgw_session *session, const struct hwgw_order *orders, uint32_t order_cnt,
                       uint32_t batch_sz, uint32_t batch_cnt, uint64_t *ticks);
uint32_t bench_encode_plain(const struct hwgw_session *session, const struct hwgw_order *order, uint8_t *out);

uint64_t bench_encode(encode_fn encode, const struct hwgw_session *session, const struct hwgw_order *orders,
                      uint32_t order_cnt, uint32_t batch_sz, uint32_t batch_cnt, uint64_t *ticks) {
  static uint8_t out[65536];
  uint64_t hash = HWGW_FNV_BASIS;
  uint32_t at = 0;
  for (uint32_t batch = 0; batch < batch_cnt; batch++) {
    uint32_t len = 0;
    uint64_t from = hwgw_rdtsc();
    for (uint32_t i = 0; i < batch_sz; i++) {
      len += encode(session, &orders[at], out + len);
      at = at + 1 == order_cnt ? 0 : at + 1;
    }
    ticks[batch] = hwgw_rdtsc() - from;
    hash = hwgw_fnv(hash, out, len);
  }
  return hash;
}

uint64_t bench_decode(uint32_t (*decode)(const struct hwgw_session *session, const uint8_t *message, uint32_t len,
                                         struct hwgw_order *event),
                      const struct hwgw_session *session, const uint8_t *messages, const uint32_t *lens,
                      uint32_t message_cnt, uint32_t batch_sz, uint32_t batch_cnt, uint64_t *ticks) {
  uint64_t sum = 0;
  uint32_t at = 0;
  for (uint32_t batch = 0; batch < batch_cnt; batch++) {
    uint64_t from = hwgw_rdtsc();
    for (uint32_t i = 0; i < batch_sz; i++) {
      struct hwgw_order event;
      uint32_t cause = decode(session, messages + BENCH_MESSAGE_SZ * (size_t)at, lens[at], &event);
      sum += cause ? 0 : event.ref;
      at = at + 1 == message_cnt ? 0 : at + 1;
    }
    ticks[batch] = hwgw_rdtsc() - from;
  }
  return sum;
}

/* the same contract field by field, as the message layout reads */
uint32_t bench_encode_plain(const struct hwgw_session *session, const struct hwgw_order *order, uint8_t *out) {
  const struct hwgw_session_cfg *cfg = &session->cfg;
  bool is_short = order->flags == HWGW_ORDER_FLAGS_SHORT_SALE;
  if (order->kind != HWGW_ORDER_KIND_NEW || order->ref == 0 || order->instrument >= cfg->instrument_cnt ||
      order->qty < 1 || order->qty > OUCH50_QTY_MAX || order->type != HWGW_ORDER_TYPE_LIMIT || order->px < 1 ||
      order->px > OUCH50_PX_MAX || (order->flags && !is_short) || (is_short && order->side == HWGW_ORDER_SIDE_BUY) ||
      (order->side != HWGW_ORDER_SIDE_BUY && order->side != HWGW_ORDER_SIDE_SELL) ||
      (order->tif != HWGW_ORDER_TIF_DAY && order->tif != HWGW_ORDER_TIF_IOC))
    return 0;
  bool has_firm = memcmp(cfg->firm, "    ", sizeof cfg->firm) != 0;
  uint32_t tags_sz = has_firm ? OUCH50_TAG_FIRM_LEN : 0;
  uint32_t len = SOUPBINTCP_UNSEQUENCED_DATA_LEN + OUCH50_ENTER_ORDER_LEN + tags_sz;
  char side = is_short ? OUCH50_SIDE_SHORT : OUCH50_SIDE_SELL;
  uint8_t *message = out + SOUPBINTCP_UNSEQUENCED_DATA_LEN;
  soupbintcp_unsequenced_data_packet_length_set(out, (uint16_t)(len - SOUPBINTCP_LENGTH_SZ));
  soupbintcp_unsequenced_data_packet_type_set(out, SOUPBINTCP_UNSEQUENCED_DATA_CODE);
  ouch50_enter_order_message_type_set(message, OUCH50_ENTER_ORDER_CODE);
  ouch50_enter_order_user_ref_num_set(message, order->ref);
  ouch50_enter_order_side_set(message, order->side == HWGW_ORDER_SIDE_BUY ? OUCH50_SIDE_BUY : side);
  ouch50_enter_order_quantity_set(message, order->qty);
  ouch50_enter_order_symbol_set(message, cfg->symbols + 8 * (size_t)order->instrument);
  ouch50_enter_order_price_set(message, order->px);
  ouch50_enter_order_time_in_force_set(
      message, order->tif == HWGW_ORDER_TIF_IOC ? OUCH50_TIME_IN_FORCE_IOC : OUCH50_TIME_IN_FORCE_DAY);
  ouch50_enter_order_display_set(message, cfg->display);
  ouch50_enter_order_capacity_set(message, cfg->capacity);
  ouch50_enter_order_intermarket_sweep_set(message, OUCH50_INTERMARKET_SWEEP_NOT_ELIGIBLE);
  ouch50_enter_order_cross_type_set(message, OUCH50_CROSS_TYPE_CONTINUOUS);
  ouch50_enter_order_clordid_set(message, "              ");
  ouch50_enter_order_appendage_length_set(message, (uint16_t)tags_sz);
  if (has_firm) {
    ouch50_tag_firm_init(message + OUCH50_ENTER_ORDER_LEN);
    ouch50_tag_firm_value_set(message + OUCH50_ENTER_ORDER_LEN, cfg->firm);
  }
  return len;
}

/* the whole way into the send buffer of a session that is up: checks, encoding, the order's place in the table */
uint64_t bench_session(uint32_t (*send)(struct hwgw_session *session, const struct hwgw_order *order),
                       struct hwgw_session *session, const struct hwgw_order *orders, uint32_t order_cnt,
                       uint32_t batch_sz, uint32_t batch_cnt, uint64_t *ticks) {
  uint64_t encoded = 0;
  uint32_t at = 0;
  session->state = HWGW_SEGMENT_SESSION_STATE_UP;
  for (uint32_t batch = 0; batch < batch_cnt; batch++) {
    if (at + batch_sz > order_cnt) at = 0;
    if (at == 0) { /* as if every order of the round before had ended */
      session->last_ref = 0;
      memset(session->orders.order, 0, sizeof session->orders.order);
    }
    session->tx_head = session->tx_tail = 0;
    uint64_t from = hwgw_rdtsc();
    for (uint32_t i = 0; i < batch_sz; i++) encoded += send(session, &orders[at + i]) == HWGW_CNT_ORDER_ENCODED;
    ticks[batch] = hwgw_rdtsc() - from;
    at += batch_sz;
  }
  session->state = HWGW_SEGMENT_SESSION_STATE_NONE;
  return encoded;
}
