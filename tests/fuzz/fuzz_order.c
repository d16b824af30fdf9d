/* fuzz_order.c: any bytes as a message from the venue, and any record as an order to encode.
 *
 * SPDX-License-Identifier: MIT
 *
 * Checked: the decoder says event, ignored, wrong length or unknown, reads nothing outside the message and keeps no
 * state; an encoded packet says of the order what the order said.
 */
#include <stdio.h>
#include <stdlib.h>

#include "order.h"

static void expect(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz_order: %s\n", what);
  abort();
}

static void decode(const uint8_t *data, size_t len) {
  struct hwgw_order event, again;
  uint32_t cause = hwgw_order_decode(data, (uint32_t)len, &event);
  expect(cause == 0 || cause == HWGW_CNT_SESSION_IGNORED || cause == HWGW_CNT_SESSION_DROP_LENGTH ||
             cause == HWGW_CNT_SESSION_DROP_UNKNOWN,
         "the decoder has four answers");
  bool is_entry = event.kind == HWGW_ORDER_KIND_DISABLED || event.kind == HWGW_ORDER_KIND_ENABLED;
  if (cause == 0)
    expect(is_entry || (event.kind >= HWGW_ORDER_KIND_ACCEPTED && event.kind <= HWGW_ORDER_KIND_BROKEN), "kind");
  expect(hwgw_order_decode(data, (uint32_t)len, &again) == cause && memcmp(&event, &again, sizeof event) == 0,
         "the decoder keeps no state");
}

static void encode(const uint8_t *data, size_t len) {
  static const char symbols[] = "AAPL    CVLT    ADBE    ";
  struct hwgw_session_cfg cfg = {.capacity = 'P', .display = 'Y', .symbols = symbols, .instrument_cnt = 3};
  struct hwgw_order_template template;
  struct hwgw_order order = {0};
  uint8_t out[HWGW_PACKET_SZ_MAX];
  memset(cfg.firm, ' ', sizeof cfg.firm);
  if (len && data[0] & 1) memcpy(cfg.firm, "FIRM", sizeof cfg.firm);
  memcpy(&order, data, len < sizeof order ? len : sizeof order);
  order.kind &= 3;
  hwgw_order_template_init(&template, &cfg);
  uint32_t sz = hwgw_order_patch(&template, &order, out);
  if (sz == 0) return;
  expect(soupbintcp_unsequenced_data_packet_length(out) + SOUPBINTCP_LENGTH_SZ == sz, "the packet says its length");
  const uint8_t *message = out + SOUPBINTCP_UNSEQUENCED_DATA_LEN;
  uint64_t px = order.type == HWGW_ORDER_TYPE_MARKET ? OUCH50_PX_MARKET : order.px;
  switch (order.kind) {
    case HWGW_ORDER_KIND_NEW:
      expect(ouch50_enter_order_user_ref_num(message) == order.ref && ouch50_enter_order_price(message) == px &&
                 ouch50_enter_order_quantity(message) == order.qty &&
                 memcmp(ouch50_enter_order_symbol(message), symbols + 8 * order.instrument, 8) == 0 &&
                 ouch50_enter_order_side(message) == hwgw_order_side_code(&order),
             "an enter order says what the order said");
      break;
    case HWGW_ORDER_KIND_REPLACE:
      expect(ouch50_replace_order_user_ref_num(message) == order.ref &&
                 ouch50_replace_order_orig_user_ref_num(message) == order.orig_ref &&
                 ouch50_replace_order_price(message) == px && ouch50_replace_order_quantity(message) == order.qty,
             "a replace order says what the order said");
      break;
    default:
      expect(
          ouch50_cancel_order_user_ref_num(message) == order.ref && ouch50_cancel_order_quantity(message) == order.qty,
          "a cancel order says what the order said");
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  decode(data, len);
  encode(data, len);
  return 0;
}
