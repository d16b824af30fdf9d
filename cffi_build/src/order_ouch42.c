/* order_ouch42.c: OUCH 4.2, both directions: an order becomes the bytes of a SoupBinTCP packet, a venue message becomes
 * an event.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract, encode
 *   As order.c. An order is named by a token, unique in the day: its ref in ten digits. Day is until the market closes,
 *   all or none a minimum quantity of everything; post only is a display, so that it cannot be hidden, too; there is no
 *   displayed part.
 * Contract, decode
 *   As order.c, without appendages: a message may be longer than its fixed part, never shorter. A token that is none of
 *   ours gives ref 0, which is no order. A trade correction would change a price we have booked: unknown. Thread: none
 *   of its own; the functions keep no state.
 */
#include "order.h"
#include "token.h"

#define HEADER_LEN SOUPBINTCP_UNSEQUENCED_DATA_LEN
#define ENTER_LEN (HEADER_LEN + OUCH42_ENTER_ORDER_LEN)
#define REPLACE_LEN (HEADER_LEN + OUCH42_REPLACE_ORDER_LEN)
#define CANCEL_LEN (HEADER_LEN + OUCH42_CANCEL_ORDER_LEN)

_Static_assert(ENTER_LEN <= HWGW_ORDER_WIRE_SZ && REPLACE_LEN <= HWGW_ORDER_WIRE_SZ, "the longest packet fits");

/* ---- encode ---- */

void hwgw_order_ouch42_init(struct hwgw_order_template *template, const struct hwgw_session_cfg *cfg) {
  memset(template, 0, sizeof *template);
  template->symbols = cfg->symbols;
  template->instrument_cnt = cfg->instrument_cnt;
  template->enter_len = ENTER_LEN;

  uint8_t *message = template->enter + HEADER_LEN;
  ouch42_enter_order_init(message);
  ouch42_enter_order_firm_set(message, cfg->firm);
  ouch42_enter_order_display_set(message, cfg->display);
  ouch42_enter_order_capacity_set(message, cfg->capacity);
  ouch42_enter_order_intermarket_sweep_set(message, OUCH42_INTERMARKET_SWEEP_NOT_ELIGIBLE);
  ouch42_enter_order_cross_type_set(message, OUCH42_CROSS_TYPE_CONTINUOUS);
  ouch42_enter_order_customer_type_set(message, OUCH42_CUSTOMER_TYPE_PORT_DEFAULT);
  hwgw_order_header_init(template->enter, ENTER_LEN);

  message = template->replace + HEADER_LEN;
  ouch42_replace_order_init(message);
  ouch42_replace_order_display_set(message, cfg->display);
  ouch42_replace_order_intermarket_sweep_set(message, OUCH42_INTERMARKET_SWEEP_NOT_ELIGIBLE);
  hwgw_order_header_init(template->replace, REPLACE_LEN);

  ouch42_cancel_order_init(template->cancel + HEADER_LEN);
  hwgw_order_header_init(template->cancel, CANCEL_LEN);
}

/* what new and replace have in common; false when it cannot be expressed */
static inline bool terms(const struct hwgw_order *order, uint32_t *px, uint32_t *tif) {
  if (HWGW_UNLIKELY(order->tif != HWGW_ORDER_TIF_DAY && order->tif != HWGW_ORDER_TIF_IOC)) return false;
  *tif = order->tif == HWGW_ORDER_TIF_IOC ? OUCH42_TIF_IOC : OUCH42_TIF_MARKET_HOURS;
  *px = order->px;
  if (order->type == HWGW_ORDER_TYPE_MARKET)
    *px = OUCH42_PX_MARKET;
  else if (order->type != HWGW_ORDER_TYPE_LIMIT || order->px < 1 || order->px > OUCH42_PX_MAX)
    return false;
  return order->qty >= 1 && order->qty <= OUCH42_QTY_MAX;
}

/* display and minimum quantity of an order with options; false when they cannot be expressed */
static bool options_set(const struct hwgw_order *order, uint8_t *display, uint8_t *minimum_qty) {
  uint32_t options = hwgw_order_options(order), display_qty = hwgw_order_display_qty(order);
  bool is_hidden = options & HWGW_ORDER_OPTION_HIDDEN, is_post_only = options & HWGW_ORDER_OPTION_POST_ONLY;
  if (!hwgw_order_options_fit(order, options, display_qty) || display_qty || (is_hidden && is_post_only)) return false;
  if (is_hidden) *display = OUCH42_DISPLAY_HIDDEN;
  if (is_post_only) {
    if (*display == OUCH42_DISPLAY_HIDDEN) return false;
    bool is_attributed = *display == OUCH42_DISPLAY_ATTRIBUTABLE;
    *display = is_attributed ? OUCH42_DISPLAY_POST_ONLY_ATTRIBUTABLE : OUCH42_DISPLAY_POST_ONLY;
  }
  if (options & HWGW_ORDER_OPTION_ALL_OR_NONE) hwgw_put_be32(minimum_qty, order->qty);
  return true;
}

static uint32_t enter(const struct hwgw_order_template *template, const struct hwgw_order *order, uint8_t *out) {
  uint32_t px, tif;
  char side = hwgw_order_side_code(order);
  if (!side || order->instrument >= template->instrument_cnt || !terms(order, &px, &tif)) return 0;
  memcpy(out, template->enter, HWGW_ORDER_WIRE_SZ);
  uint8_t *message = out + HEADER_LEN;
  token_put(message + OUCH42_ENTER_ORDER_ORDER_TOKEN_OFF, order->ref);
  ouch42_enter_order_side_set(message, side);
  ouch42_enter_order_shares_set(message, order->qty);
  ouch42_enter_order_stock_set(message, template->symbols + OUCH42_ENTER_ORDER_STOCK_SZ * (size_t)order->instrument);
  ouch42_enter_order_price_set(message, px);
  ouch42_enter_order_time_in_force_set(message, tif);
  if (HWGW_LIKELY(!order->venue_ref)) return ENTER_LEN;
  return options_set(order, message + OUCH42_ENTER_ORDER_DISPLAY_OFF, message + OUCH42_ENTER_ORDER_MINIMUM_QUANTITY_OFF)
             ? ENTER_LEN
             : 0;
}

static uint32_t replace(const struct hwgw_order_template *template, const struct hwgw_order *order, uint8_t *out) {
  uint32_t px, tif;
  if (order->orig_ref == 0 || order->orig_ref >= order->ref || !terms(order, &px, &tif)) return 0;
  memcpy(out, template->replace, HWGW_ORDER_WIRE_SZ);
  uint8_t *message = out + HEADER_LEN;
  token_put(message + OUCH42_REPLACE_ORDER_EXISTING_ORDER_TOKEN_OFF, order->orig_ref);
  token_put(message + OUCH42_REPLACE_ORDER_REPLACEMENT_ORDER_TOKEN_OFF, order->ref);
  ouch42_replace_order_shares_set(message, order->qty);
  ouch42_replace_order_price_set(message, px);
  ouch42_replace_order_time_in_force_set(message, tif);
  if (HWGW_LIKELY(!order->venue_ref)) return REPLACE_LEN;
  return options_set(order, message + OUCH42_REPLACE_ORDER_DISPLAY_OFF,
                     message + OUCH42_REPLACE_ORDER_MINIMUM_QUANTITY_OFF)
             ? REPLACE_LEN
             : 0;
}

static uint32_t cancel(const struct hwgw_order_template *template, const struct hwgw_order *order, uint8_t *out) {
  memcpy(out, template->cancel, HWGW_ORDER_WIRE_SZ);
  uint8_t *message = out + HEADER_LEN;
  token_put(message + OUCH42_CANCEL_ORDER_ORDER_TOKEN_OFF, order->ref);
  ouch42_cancel_order_shares_set(message, order->qty);
  return CANCEL_LEN;
}

uint32_t hwgw_order_ouch42_patch(const struct hwgw_order_template *template, const struct hwgw_order *order,
                                 uint8_t *out) {
  if (order->ref == 0) return 0;
  switch (order->kind) {
    case HWGW_ORDER_KIND_NEW:
      return enter(template, order, out);
    case HWGW_ORDER_KIND_REPLACE:
      return replace(template, order, out);
    case HWGW_ORDER_KIND_CANCEL:
      return cancel(template, order, out);
    default:
      return 0;
  }
}

uint32_t hwgw_order_ouch42_ref(const uint8_t *message) {
  if (message[0] == OUCH42_ENTER_ORDER_CODE) return token_get(ouch42_enter_order_order_token(message));
  if (message[0] != OUCH42_REPLACE_ORDER_CODE) return 0;
  return token_get(ouch42_replace_order_replacement_order_token(message));
}

/* ---- decode ---- */

/* a token of ours is ten digits and blanks */
static uint32_t ref_of(const uint8_t *token) {
  _Static_assert(OUCH42_ENTER_ORDER_ORDER_TOKEN_SZ == TOKEN_DIGITS + 4, "the rest of a token");
  return memcmp(token + TOKEN_DIGITS, "    ", 4) == 0 ? token_get(token) : 0;
}

static uint32_t accepted(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  said->symbol = ouch42_accepted_stock(message);
  said->side_code = ouch42_accepted_side(message);
  event->kind = HWGW_ORDER_KIND_ACCEPTED;
  event->ref = ref_of(ouch42_accepted_order_token(message));
  event->qty = ouch42_accepted_shares(message);
  event->px = ouch42_accepted_price(message);
  event->venue_ref = ouch42_accepted_order_reference_number(message);
  return hwgw_order_known(hwgw_order_side_set(event, said->side_code) &&
                          hwgw_order_state_set(event, ouch42_accepted_order_state(message)));
}

static uint32_t replaced(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  said->symbol = ouch42_replaced_stock(message);
  said->side_code = ouch42_replaced_side(message);
  event->kind = HWGW_ORDER_KIND_REPLACED;
  event->ref = ref_of(ouch42_replaced_replacement_order_token(message));
  event->orig_ref = ref_of(ouch42_replaced_previous_order_token(message));
  event->qty = ouch42_replaced_shares(message);
  event->px = ouch42_replaced_price(message);
  event->venue_ref = ouch42_replaced_order_reference_number(message);
  return hwgw_order_known(hwgw_order_side_set(event, said->side_code) &&
                          hwgw_order_state_set(event, ouch42_replaced_order_state(message)));
}

static uint32_t canceled(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  (void)said;
  event->kind = HWGW_ORDER_KIND_CANCELED;
  event->ref = ref_of(ouch42_canceled_order_token(message));
  event->qty = ouch42_canceled_decrement_shares(message);
  event->reason = (uint8_t)ouch42_canceled_reason(message);
  return 0;
}

/* executed, and executed with a reference price, which begins alike */
static uint32_t executed(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  (void)said;
  event->kind = HWGW_ORDER_KIND_EXECUTED;
  event->ref = ref_of(ouch42_executed_order_token(message));
  event->qty = ouch42_executed_executed_shares(message);
  event->px = ouch42_executed_execution_price(message);
  event->venue_ref = ouch42_executed_match_number(message);
  return 0;
}

static uint32_t broken(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  (void)said;
  event->kind = HWGW_ORDER_KIND_BROKEN;
  event->ref = ref_of(ouch42_broken_trade_order_token(message));
  event->reason = (uint8_t)ouch42_broken_trade_reason(message);
  event->venue_ref = ouch42_broken_trade_match_number(message);
  return 0;
}

static uint32_t rejected(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  (void)said;
  event->kind = HWGW_ORDER_KIND_REJECTED;
  event->ref = ref_of(ouch42_rejected_order_token(message));
  event->reason = (uint8_t)ouch42_rejected_reason(message);
  return 0;
}

struct inbound {
  uint32_t (*decode)(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said);
  uint32_t len_min;
};

_Static_assert(OUCH42_EXECUTED_MATCH_NUMBER_OFF == OUCH42_EXECUTED_WITH_REFERENCE_PRICE_MATCH_NUMBER_OFF, "alike");
_Static_assert(OUCH42_CANCELED_REASON_OFF == OUCH42_AIQ_CANCELED_REASON_OFF, "begin alike");

static const struct inbound inbound_by_code[128] = {
    [OUCH42_ACCEPTED_CODE] = {accepted, OUCH42_ACCEPTED_LEN},
    [OUCH42_REPLACED_CODE] = {replaced, OUCH42_REPLACED_LEN},
    [OUCH42_CANCELED_CODE] = {canceled, OUCH42_CANCELED_LEN},
    [OUCH42_AIQ_CANCELED_CODE] = {canceled, OUCH42_AIQ_CANCELED_LEN},
    [OUCH42_EXECUTED_CODE] = {executed, OUCH42_EXECUTED_LEN},
    [OUCH42_EXECUTED_WITH_REFERENCE_PRICE_CODE] = {executed, OUCH42_EXECUTED_WITH_REFERENCE_PRICE_LEN},
    [OUCH42_BROKEN_TRADE_CODE] = {broken, OUCH42_BROKEN_TRADE_LEN},
    [OUCH42_REJECTED_CODE] = {rejected, OUCH42_REJECTED_LEN},
    /* these change nothing the gate keeps */
    [OUCH42_SYSTEM_EVENT_CODE] = {hwgw_order_ignored, OUCH42_SYSTEM_EVENT_LEN},
    [OUCH42_CANCEL_PENDING_CODE] = {hwgw_order_ignored, OUCH42_CANCEL_PENDING_LEN},
    [OUCH42_CANCEL_REJECT_CODE] = {hwgw_order_ignored, OUCH42_CANCEL_REJECT_LEN},
    [OUCH42_ORDER_PRIORITY_UPDATE_CODE] = {hwgw_order_ignored, OUCH42_ORDER_PRIORITY_UPDATE_LEN},
    [OUCH42_ORDER_MODIFIED_CODE] = {hwgw_order_ignored, OUCH42_ORDER_MODIFIED_LEN},
    [OUCH42_TRADE_NOW_ACK_CODE] = {hwgw_order_ignored, OUCH42_TRADE_NOW_ACK_LEN},
};

uint32_t hwgw_order_ouch42_decode(const uint8_t *message, uint32_t len, struct hwgw_order *event,
                                  struct hwgw_said *said) {
  memset(event, 0, sizeof *event);
  memset(said, 0, sizeof *said);
  if (len == 0) return HWGW_CNT_SESSION_DROP_LENGTH;
  if (message[0] >= sizeof inbound_by_code / sizeof inbound_by_code[0]) return HWGW_CNT_SESSION_DROP_UNKNOWN;
  const struct inbound *inbound = &inbound_by_code[message[0]];
  if (!inbound->decode) return HWGW_CNT_SESSION_DROP_UNKNOWN;
  return len < inbound->len_min ? (uint32_t)HWGW_CNT_SESSION_DROP_LENGTH : inbound->decode(message, event, said);
}
