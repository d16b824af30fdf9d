/* fuzz_ouch42.c: any bytes as an OUCH 4.2 message from the venue, and any record as an order to encode.
 *
 * SPDX-License-Identifier: MIT
 *
 * Checked: the decoder says event, ignored, wrong length or unknown, reads nothing outside the message and keeps no
 * state; an encoded packet says of the order what the order said; a token read is the token written.
 */
#include <stdio.h>
#include <stdlib.h>

#include "order.h"
#include "token.h"

static void expect(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz_ouch42: %s\n", what);
  abort();
}

static void decode(const uint8_t *data, size_t len) {
  struct hwgw_order event, again;
  struct hwgw_said said;
  uint32_t cause = hwgw_order_ouch42_decode(data, (uint32_t)len, &event, &said);
  expect(cause == 0 || cause == HWGW_CNT_SESSION_IGNORED || cause == HWGW_CNT_SESSION_DROP_LENGTH ||
             cause == HWGW_CNT_SESSION_DROP_UNKNOWN,
         "the decoder has four answers");
  if (cause == 0) expect(event.kind >= HWGW_ORDER_KIND_ACCEPTED && event.kind <= HWGW_ORDER_KIND_BROKEN, "kind");
  bool has_symbol = event.kind == HWGW_ORDER_KIND_ACCEPTED || event.kind == HWGW_ORDER_KIND_REPLACED;
  if (cause == 0) expect((said.symbol != NULL) == has_symbol, "accepted and replaced name their symbol");
  if (said.symbol) expect(said.symbol >= data && said.symbol + 8 <= data + len, "in the message");
  expect(hwgw_order_ouch42_decode(data, (uint32_t)len, &again, &said) == cause &&
             memcmp(&event, &again, sizeof event) == 0,
         "the decoder keeps no state");
}

/* independent of token.h */
static uint32_t number(const uint8_t *text) {
  char digits[TOKEN_DIGITS + 1] = {0};
  memcpy(digits, text, TOKEN_DIGITS);
  for (uint32_t i = 0; i < TOKEN_DIGITS; i++)
    if (digits[i] < '0' || digits[i] > '9') return 0;
  unsigned long long value = strtoull(digits, NULL, 10);
  return value <= UINT32_MAX ? (uint32_t)value : 0;
}

static void encode(const uint8_t *data, size_t len) {
  static const char symbols[] = "AAPL    CVLT    ADBE    ";
  struct hwgw_session_cfg cfg = {.capacity = 'P', .display = 'Y', .symbols = symbols, .instrument_cnt = 3};
  struct hwgw_order_template template;
  struct hwgw_order order = {0};
  uint8_t out[HWGW_PACKET_SZ_MAX];
  memset(cfg.firm, ' ', sizeof cfg.firm);
  memcpy(&order, data, len < sizeof order ? len : sizeof order);
  order.kind &= 3;
  if (len && data[0] & 4) order.venue_ref &= (uint64_t)7 << HWGW_ORDER_OPTION_SHIFT;
  hwgw_order_ouch42_init(&template, &cfg);
  uint32_t sz = hwgw_order_ouch42_patch(&template, &order, out);
  if (sz == 0) return;
  expect(soupbintcp_unsequenced_data_packet_length(out) + SOUPBINTCP_LENGTH_SZ == sz, "the packet says its length");
  const uint8_t *message = out + SOUPBINTCP_UNSEQUENCED_DATA_LEN;
  uint32_t px = order.type == HWGW_ORDER_TYPE_MARKET ? OUCH42_PX_MARKET : order.px;
  expect(hwgw_order_ouch42_ref(message) == (order.kind == HWGW_ORDER_KIND_CANCEL ? 0 : order.ref),
         "the ref is read again");
  switch (order.kind) {
    case HWGW_ORDER_KIND_NEW:
      expect(number(ouch42_enter_order_order_token(message)) == order.ref && ouch42_enter_order_price(message) == px &&
                 ouch42_enter_order_shares(message) == order.qty &&
                 memcmp(ouch42_enter_order_stock(message), symbols + 8 * order.instrument, 8) == 0 &&
                 ouch42_enter_order_side(message) == hwgw_order_side_code(&order),
             "an enter order says what the order said");
      break;
    case HWGW_ORDER_KIND_REPLACE:
      expect(number(ouch42_replace_order_replacement_order_token(message)) == order.ref &&
                 number(ouch42_replace_order_existing_order_token(message)) == order.orig_ref &&
                 ouch42_replace_order_price(message) == px && ouch42_replace_order_shares(message) == order.qty,
             "a replace order says what the order said");
      break;
    default:
      expect(number(ouch42_cancel_order_order_token(message)) == order.ref &&
                 ouch42_cancel_order_shares(message) == order.qty,
             "a cancel order says what the order said");
  }
}

static void token(const uint8_t *data, size_t len) {
  uint8_t text[TOKEN_DIGITS];
  if (len >= TOKEN_DIGITS) expect(token_get(data) == number(data), "a token is the number it says, or none");
  if (len < 4) return;
  token_put(text, hwgw_be32(data));
  expect(number(text) == hwgw_be32(data), "a token written is the number");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  decode(data, len);
  encode(data, len);
  token(data, len);
  return 0;
}
