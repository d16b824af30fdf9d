/* order.c: OUCH 5.0, both directions: an order becomes the bytes of a SoupBinTCP packet, a venue message becomes an
 * event.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract, encode
 *   Input: an order of kind new, replace or cancel that passed the gate, or a request (mass cancel, disable, enable). Output:
 * a whole unsequenced packet.
 *   Order of checks: kind; ref; side with flags, type, tif, instrument (new); orig_ref below ref, type, tif (replace);
 * px 1 to 199,999.9900 for limit orders; qty 1 to 999,999; options (post only, hidden, all or none, displayed quantity)
 * that go together. A market order carries the table's market price, its own px
 * is not read. A cancel's qty is the intended total, 0 = all, and goes through as it is. Cost: one copy of 64 bytes and
 * at most seven stores. At the limit: what the protocol cannot say gives 0 and nothing is written that counts.
 * Contract, decode
 *   Input: one message from the venue. Output: an event with what the message says. A message may be longer than its
 * fixed part (appendage), never shorter; an appendage that does not fit its message, or an element that does not fit
 * its appendage, is a wrong length. A message of another UserRefNum channel than ours (tag user_ref_idx), a side or an
 * order state that is not in the table, and a price beyond 32 bits are unknown. Thread: none of its own; the functions
 * keep no state.
 */
#include "order.h"

#define HEADER_LEN SOUPBINTCP_UNSEQUENCED_DATA_LEN
#define ENTER_LEN (HEADER_LEN + OUCH50_ENTER_ORDER_LEN)
#define REPLACE_LEN (HEADER_LEN + OUCH50_REPLACE_ORDER_LEN)
#define CANCEL_LEN (HEADER_LEN + OUCH50_CANCEL_ORDER_LEN)
#define MASS_CANCEL_LEN (HEADER_LEN + OUCH50_MASS_CANCEL_LEN)
#define ENTRY_LEN (HEADER_LEN + OUCH50_DISABLE_ORDER_ENTRY_LEN)
#define TAGS_LENGTH_SZ OUCH50_ENTER_ORDER_APPENDAGE_LENGTH_SZ

#define OPTIONS_LEN (OUCH50_TAG_POST_ONLY_LEN + OUCH50_TAG_MIN_QTY_LEN + OUCH50_TAG_MAX_FLOOR_LEN)

_Static_assert(ENTER_LEN + OUCH50_TAG_FIRM_LEN <= HWGW_ORDER_WIRE_SZ, "the longest template fits");
_Static_assert(OUCH50_DISABLE_ORDER_ENTRY_LEN == OUCH50_ENABLE_ORDER_ENTRY_LEN &&
                   OUCH50_DISABLE_ORDER_ENTRY_USER_REF_NUM_OFF == OUCH50_ENABLE_ORDER_ENTRY_USER_REF_NUM_OFF &&
                   OUCH50_DISABLE_ORDER_ENTRY_FIRM_OFF == OUCH50_ENABLE_ORDER_ENTRY_FIRM_OFF,
               "one template serves both");
_Static_assert(ENTER_LEN + OUCH50_TAG_FIRM_LEN + OPTIONS_LEN <= HWGW_PACKET_SZ_MAX, "the longest packet fits");

/* ---- encode ---- */

void hwgw_order_template_init(struct hwgw_order_template *template, const struct hwgw_session_cfg *cfg) {
  static const uint8_t blank[sizeof cfg->firm] = {' ', ' ', ' ', ' '};
  memset(template, 0, sizeof *template);
  template->symbols = cfg->symbols;
  template->instrument_cnt = cfg->instrument_cnt;
  template->enter_len = ENTER_LEN;

  uint8_t *message = template->enter + HEADER_LEN; /* clordid stays blank: the venue gives back user_ref_num */
  ouch50_enter_order_init(message);
  ouch50_enter_order_display_set(message, cfg->display);
  ouch50_enter_order_capacity_set(message, cfg->capacity);
  ouch50_enter_order_intermarket_sweep_set(message, OUCH50_INTERMARKET_SWEEP_NOT_ELIGIBLE);
  ouch50_enter_order_cross_type_set(message, OUCH50_CROSS_TYPE_CONTINUOUS);
  template->has_firm = memcmp(cfg->firm, blank, sizeof blank) != 0;
  if (template->has_firm) { /* else the port's default; a replace inherits it */
    uint8_t *tag = message + OUCH50_ENTER_ORDER_LEN;
    ouch50_tag_firm_init(tag);
    ouch50_tag_firm_value_set(tag, cfg->firm);
    ouch50_enter_order_appendage_length_set(message, OUCH50_TAG_FIRM_LEN);
    template->enter_len += OUCH50_TAG_FIRM_LEN;
  }
  hwgw_order_header_init(template->enter, template->enter_len);

  message = template->replace + HEADER_LEN;
  ouch50_replace_order_init(message);
  ouch50_replace_order_display_set(message, cfg->display);
  ouch50_replace_order_intermarket_sweep_set(message, OUCH50_INTERMARKET_SWEEP_NOT_ELIGIBLE);
  hwgw_order_header_init(template->replace, REPLACE_LEN);

  ouch50_cancel_order_init(template->cancel + HEADER_LEN);
  hwgw_order_header_init(template->cancel, CANCEL_LEN);

  message = template->mass_cancel + HEADER_LEN;
  ouch50_mass_cancel_init(message);
  ouch50_mass_cancel_firm_set(message, cfg->firm);
  hwgw_order_header_init(template->mass_cancel, MASS_CANCEL_LEN);

  message = template->entry + HEADER_LEN;
  ouch50_disable_order_entry_init(message);
  ouch50_disable_order_entry_firm_set(message, cfg->firm);
  hwgw_order_header_init(template->entry, ENTRY_LEN);
}

/* by table and not by branches: sides and flags of successive orders have no pattern a predictor could learn */
char hwgw_order_side_code(const struct hwgw_order *order) {
  static const char codes[3][4] = {
      [HWGW_ORDER_SIDE_BUY] = {[0] = OUCH50_SIDE_BUY},
      [HWGW_ORDER_SIDE_SELL] =
          {
              [0] = OUCH50_SIDE_SELL,
              [HWGW_ORDER_FLAGS_SHORT_SALE] = OUCH50_SIDE_SHORT,
              [HWGW_ORDER_FLAGS_SHORT_EXEMPT] = OUCH50_SIDE_SHORT_EXEMPT, /* exempt says short, too */
              [HWGW_ORDER_FLAGS_SHORT_SALE | HWGW_ORDER_FLAGS_SHORT_EXEMPT] = OUCH50_SIDE_SHORT_EXEMPT,
          },
  };
  if (HWGW_UNLIKELY(order->side > HWGW_ORDER_SIDE_SELL || order->flags > 3)) return 0;
  return codes[order->side][order->flags];
}

/* what new and replace have in common; false when it cannot be expressed */
static inline bool terms(const struct hwgw_order *order, uint64_t *px, char *tif) {
  static const char codes[3] = {
      [HWGW_ORDER_TIF_DAY] = OUCH50_TIME_IN_FORCE_DAY,
      [HWGW_ORDER_TIF_IOC] = OUCH50_TIME_IN_FORCE_IOC,
  };
  if (HWGW_UNLIKELY(order->tif > HWGW_ORDER_TIF_IOC)) return false;
  *tif = codes[order->tif];
  *px = order->px;
  if (order->type == HWGW_ORDER_TYPE_MARKET)
    *px = OUCH50_PX_MARKET;
  else if (order->type != HWGW_ORDER_TYPE_LIMIT || order->px < 1 || order->px > OUCH50_PX_MAX)
    return false;
  return *tif && order->qty >= 1 && order->qty <= OUCH50_QTY_MAX;
}

/* The tags of an order's options behind len bytes of its packet; the new length, or 0. The quantity of all or none is
 * its minimum, too. Rare, so that an order without options pays one comparison. */
static uint32_t options_set(const struct hwgw_order *order, uint8_t *out, uint32_t len, uint32_t fixed_len,
                            uint32_t display_off) {
  uint32_t options = hwgw_order_options(order), display_qty = hwgw_order_display_qty(order), from = len;
  if (!hwgw_order_options_fit(order, options, display_qty)) return 0;
  if (options & HWGW_ORDER_OPTION_HIDDEN) out[HEADER_LEN + display_off] = OUCH50_DISPLAY_HIDDEN;
  if (options & HWGW_ORDER_OPTION_POST_ONLY) {
    ouch50_tag_post_only_init(out + len);
    ouch50_tag_post_only_value_set(out + len, 'P');
    len += OUCH50_TAG_POST_ONLY_LEN;
  }
  if (options & HWGW_ORDER_OPTION_ALL_OR_NONE) {
    ouch50_tag_min_qty_init(out + len);
    ouch50_tag_min_qty_value_set(out + len, order->qty);
    len += OUCH50_TAG_MIN_QTY_LEN;
  }
  if (display_qty) {
    ouch50_tag_max_floor_init(out + len);
    ouch50_tag_max_floor_value_set(out + len, display_qty);
    len += OUCH50_TAG_MAX_FLOOR_LEN;
  }
  uint8_t *tags_len = out + HEADER_LEN + fixed_len - TAGS_LENGTH_SZ;
  hwgw_put_be16(tags_len, (uint16_t)(hwgw_be16(tags_len) + len - from));
  soupbintcp_unsequenced_data_packet_length_set(out, (uint16_t)(len - SOUPBINTCP_LENGTH_SZ));
  return len;
}

static uint32_t enter(const struct hwgw_order_template *template, const struct hwgw_order *order, uint8_t *out) {
  uint64_t px;
  char tif;
  char side = hwgw_order_side_code(order);
  if (!side || order->instrument >= template->instrument_cnt || !terms(order, &px, &tif)) return 0;
  memcpy(out, template->enter, HWGW_ORDER_WIRE_SZ);
  uint8_t *message = out + HEADER_LEN;
  ouch50_enter_order_user_ref_num_set(message, order->ref);
  ouch50_enter_order_side_set(message, side);
  ouch50_enter_order_quantity_set(message, order->qty);
  ouch50_enter_order_symbol_set(message, template->symbols + OUCH50_ENTER_ORDER_SYMBOL_SZ * (size_t)order->instrument);
  ouch50_enter_order_price_set(message, px);
  ouch50_enter_order_time_in_force_set(message, tif);
  if (HWGW_LIKELY(!order->venue_ref)) return template->enter_len;
  return options_set(order, out, template->enter_len, OUCH50_ENTER_ORDER_LEN, OUCH50_ENTER_ORDER_DISPLAY_OFF);
}

static uint32_t replace(const struct hwgw_order_template *template, const struct hwgw_order *order, uint8_t *out) {
  uint64_t px;
  char tif;
  if (order->orig_ref == 0 || order->orig_ref >= order->ref || !terms(order, &px, &tif)) return 0;
  memcpy(out, template->replace, HWGW_ORDER_WIRE_SZ);
  uint8_t *message = out + HEADER_LEN;
  ouch50_replace_order_orig_user_ref_num_set(message, order->orig_ref);
  ouch50_replace_order_user_ref_num_set(message, order->ref);
  ouch50_replace_order_quantity_set(message, order->qty);
  ouch50_replace_order_price_set(message, px);
  ouch50_replace_order_time_in_force_set(message, tif);
  if (HWGW_LIKELY(!order->venue_ref)) return REPLACE_LEN;
  return options_set(order, out, REPLACE_LEN, OUCH50_REPLACE_ORDER_LEN, OUCH50_REPLACE_ORDER_DISPLAY_OFF);
}

static uint32_t cancel(const struct hwgw_order_template *template, const struct hwgw_order *order, uint8_t *out) {
  memcpy(out, template->cancel, HWGW_ORDER_WIRE_SZ);
  uint8_t *message = out + HEADER_LEN;
  ouch50_cancel_order_user_ref_num_set(message, order->ref);
  ouch50_cancel_order_quantity_set(message, order->qty);
  return CANCEL_LEN;
}

/* of the firm's orders on this port, in one symbol or (blank) in all */
static uint32_t mass_cancel(const struct hwgw_order_template *template, const struct hwgw_order *order, uint8_t *out) {
  static const char every[OUCH50_MASS_CANCEL_SYMBOL_SZ] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
  bool is_all = order->instrument == UINT32_MAX;
  if (!template->has_firm || (!is_all && order->instrument >= template->instrument_cnt)) return 0;
  memcpy(out, template->mass_cancel, HWGW_ORDER_WIRE_SZ);
  uint8_t *message = out + HEADER_LEN;
  ouch50_mass_cancel_user_ref_num_set(message, order->ref);
  ouch50_mass_cancel_symbol_set(message, is_all ? every : template->symbols + sizeof every * (size_t)order->instrument);
  return MASS_CANCEL_LEN;
}

static uint32_t entry(const struct hwgw_order_template *template, const struct hwgw_order *order, uint8_t *out) {
  if (!template->has_firm) return 0;
  memcpy(out, template->entry, HWGW_ORDER_WIRE_SZ);
  uint8_t *message = out + HEADER_LEN;
  bool is_enable = order->kind == HWGW_ORDER_KIND_ENABLE;
  message[0] = is_enable ? OUCH50_ENABLE_ORDER_ENTRY_CODE : OUCH50_DISABLE_ORDER_ENTRY_CODE;
  ouch50_disable_order_entry_user_ref_num_set(message, order->ref);
  return ENTRY_LEN;
}

uint32_t hwgw_order_patch(const struct hwgw_order_template *template, const struct hwgw_order *order, uint8_t *out) {
  if (order->ref == 0) return 0;
  switch (order->kind) {
    case HWGW_ORDER_KIND_NEW:
      return enter(template, order, out);
    case HWGW_ORDER_KIND_REPLACE:
      return replace(template, order, out);
    case HWGW_ORDER_KIND_CANCEL:
      return cancel(template, order, out);
    case HWGW_ORDER_KIND_MASS_CANCEL:
      return mass_cancel(template, order, out);
    case HWGW_ORDER_KIND_DISABLE:
    case HWGW_ORDER_KIND_ENABLE:
      return entry(template, order, out);
    default:
      return 0;
  }
}

/* ---- decode ---- */

/* the tag list at offset: 0 when it fits and is of our channel. required: a message without it is too short */
static uint32_t appendage(const uint8_t *message, uint32_t len, uint32_t offset, bool required) {
  if (len < offset + TAGS_LENGTH_SZ) return required ? HWGW_CNT_SESSION_DROP_LENGTH : 0;
  uint32_t end = offset + TAGS_LENGTH_SZ + hwgw_be16(message + offset);
  if (end > len) return HWGW_CNT_SESSION_DROP_LENGTH;
  for (uint32_t at = offset + TAGS_LENGTH_SZ; at < end;) {
    const uint8_t *element = message + at;
    uint32_t next = at + OUCH50_TAG_ELEMENT_TAG_OFF + ouch50_tag_element_length(element);
    if (next < at + OUCH50_TAG_ELEMENT_LEN || next > end) return HWGW_CNT_SESSION_DROP_LENGTH;
    if (ouch50_tag_element_tag(element) == OUCH50_TAG_USER_REF_IDX_CODE &&
        (next != at + OUCH50_TAG_USER_REF_IDX_LEN || ouch50_tag_user_ref_idx_value(element) != 0))
      return HWGW_CNT_SESSION_DROP_UNKNOWN;
    at = next;
  }
  return 0;
}

static bool px_set(struct hwgw_order *event, uint64_t px) {
  event->px = (uint32_t)px;
  return px <= UINT32_MAX;
}

static uint32_t accepted(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  said->symbol = ouch50_order_accepted_symbol(message);
  said->side_code = ouch50_order_accepted_side(message);
  event->kind = HWGW_ORDER_KIND_ACCEPTED;
  event->ref = ouch50_order_accepted_user_ref_num(message);
  event->qty = ouch50_order_accepted_quantity(message);
  event->venue_ref = ouch50_order_accepted_order_reference_number(message);
  return hwgw_order_known(hwgw_order_side_set(event, ouch50_order_accepted_side(message)) &&
                          px_set(event, ouch50_order_accepted_price(message)) &&
                          hwgw_order_state_set(event, ouch50_order_accepted_order_state(message)));
}

static uint32_t replaced(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  said->symbol = ouch50_order_replaced_symbol(message);
  said->side_code = ouch50_order_replaced_side(message);
  event->kind = HWGW_ORDER_KIND_REPLACED;
  event->ref = ouch50_order_replaced_user_ref_num(message);
  event->orig_ref = ouch50_order_replaced_orig_user_ref_num(message);
  event->qty = ouch50_order_replaced_quantity(message);
  event->venue_ref = ouch50_order_replaced_order_reference_number(message);
  return hwgw_order_known(hwgw_order_side_set(event, ouch50_order_replaced_side(message)) &&
                          px_set(event, ouch50_order_replaced_price(message)) &&
                          hwgw_order_state_set(event, ouch50_order_replaced_order_state(message)));
}

static uint32_t canceled(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  (void)said;
  event->kind = HWGW_ORDER_KIND_CANCELED;
  event->ref = ouch50_order_canceled_user_ref_num(message);
  event->qty = ouch50_order_canceled_quantity(message);
  event->reason = (uint8_t)ouch50_order_canceled_reason(message);
  return 0;
}

static uint32_t aiq_canceled(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  (void)said;
  event->kind = HWGW_ORDER_KIND_CANCELED;
  event->ref = ouch50_aiq_canceled_user_ref_num(message);
  event->qty = ouch50_aiq_canceled_decrement_shares(message);
  event->reason = (uint8_t)ouch50_aiq_canceled_reason(message);
  return 0;
}

static uint32_t executed(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  (void)said;
  event->kind = HWGW_ORDER_KIND_EXECUTED;
  event->ref = ouch50_order_executed_user_ref_num(message);
  event->qty = ouch50_order_executed_quantity(message);
  event->venue_ref = ouch50_order_executed_match_number(message);
  return hwgw_order_known(px_set(event, ouch50_order_executed_price(message)));
}

static uint32_t broken(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  (void)said;
  event->kind = HWGW_ORDER_KIND_BROKEN;
  event->ref = ouch50_broken_trade_user_ref_num(message);
  event->reason = (uint8_t)ouch50_broken_trade_reason(message);
  event->venue_ref = ouch50_broken_trade_match_number(message);
  return 0;
}

static uint32_t rejected(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  (void)said;
  event->kind = HWGW_ORDER_KIND_REJECTED;
  event->ref = ouch50_rejected_user_ref_num(message);
  event->reason = ouch50_rejected_reason(message);
  return 0;
}

static uint32_t disabled(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  (void)said;
  event->kind = HWGW_ORDER_KIND_DISABLED;
  event->ref = ouch50_disable_order_entry_response_user_ref_num(message);
  return 0;
}

static uint32_t enabled(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  (void)said;
  event->kind = HWGW_ORDER_KIND_ENABLED;
  event->ref = ouch50_enable_order_entry_response_user_ref_num(message);
  return 0;
}

/* the venue's messages. len_min: the fixed part; required messages end in the length of their tag list, optional ones
 * may be followed by one at appendage_offset, others (0) never */
struct inbound {
  uint32_t (*decode)(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said);
  uint16_t len_min;
  uint16_t appendage_offset;
  bool required;
};

#define REQUIRED(name, fn) {fn, OUCH50_##name##_LEN, OUCH50_##name##_APPENDAGE_LENGTH_OFF, true}
#define OPTIONAL(name, fn) {fn, OUCH50_##name##_LEN, OUCH50_##name##_LEN, false}
#define PLAIN(name, fn) {fn, OUCH50_##name##_LEN, 0, false}

static const struct inbound inbound_by_code[128] = {
    [OUCH50_ORDER_ACCEPTED_CODE] = REQUIRED(ORDER_ACCEPTED, accepted),
    [OUCH50_ORDER_REPLACED_CODE] = REQUIRED(ORDER_REPLACED, replaced),
    [OUCH50_ORDER_EXECUTED_CODE] = REQUIRED(ORDER_EXECUTED, executed),
    [OUCH50_ORDER_CANCELED_CODE] = OPTIONAL(ORDER_CANCELED, canceled),
    /* texts before 2023 end before aiq_strategy */
    [OUCH50_AIQ_CANCELED_CODE] = {aiq_canceled, OUCH50_AIQ_CANCELED_AIQ_STRATEGY_OFF, OUCH50_AIQ_CANCELED_LEN, false},
    [OUCH50_BROKEN_TRADE_CODE] = OPTIONAL(BROKEN_TRADE, broken),
    [OUCH50_REJECTED_CODE] = OPTIONAL(REJECTED, rejected),
    /* these change nothing the gate keeps: an order's displayed part, its priority, answers to what we never send */
    [OUCH50_SYSTEM_EVENT_CODE] = PLAIN(SYSTEM_EVENT, hwgw_order_ignored),
    [OUCH50_CANCEL_PENDING_CODE] = OPTIONAL(CANCEL_PENDING, hwgw_order_ignored),
    [OUCH50_CANCEL_REJECT_CODE] = OPTIONAL(CANCEL_REJECT, hwgw_order_ignored),
    [OUCH50_ORDER_PRIORITY_UPDATE_CODE] = OPTIONAL(ORDER_PRIORITY_UPDATE, hwgw_order_ignored),
    [OUCH50_ORDER_MODIFIED_CODE] =
        OPTIONAL(ORDER_MODIFIED, hwgw_order_ignored), /* can only shrink: the gate stays strict */
    [OUCH50_ORDER_RESTATED_CODE] = REQUIRED(ORDER_RESTATED, hwgw_order_ignored),
    [OUCH50_ACCOUNT_QUERY_RESPONSE_CODE] =
        OPTIONAL(ACCOUNT_QUERY_RESPONSE, hwgw_order_ignored), /* the session reads it */
    [OUCH50_MASS_CANCEL_RESPONSE_CODE] =
        REQUIRED(MASS_CANCEL_RESPONSE, hwgw_order_ignored), /* each order gets its own message */
    [OUCH50_DISABLE_ORDER_ENTRY_RESPONSE_CODE] = REQUIRED(DISABLE_ORDER_ENTRY_RESPONSE, disabled),
    [OUCH50_ENABLE_ORDER_ENTRY_RESPONSE_CODE] = REQUIRED(ENABLE_ORDER_ENTRY_RESPONSE, enabled),
    /* trade_correction is of texts before 2023-05: it would change a price we have booked, so it stays unknown and
       halts */
};

uint32_t hwgw_order_ouch50_decode(const uint8_t *message, uint32_t len, struct hwgw_order *event,
                                  struct hwgw_said *said) {
  memset(event, 0, sizeof *event);
  memset(said, 0, sizeof *said);
  if (len == 0) return HWGW_CNT_SESSION_DROP_LENGTH;
  if (message[0] >= sizeof inbound_by_code / sizeof inbound_by_code[0]) return HWGW_CNT_SESSION_DROP_UNKNOWN;
  const struct inbound *inbound = &inbound_by_code[message[0]];
  if (!inbound->decode) return HWGW_CNT_SESSION_DROP_UNKNOWN;
  if (len < inbound->len_min) return HWGW_CNT_SESSION_DROP_LENGTH;
  if (inbound->appendage_offset) {
    uint32_t cause = appendage(message, len, inbound->appendage_offset, inbound->required);
    if (cause) return cause;
  }
  return inbound->decode(message, event, said);
}

uint32_t hwgw_order_ouch50_ref(const uint8_t *message) {
  if (message[0] == OUCH50_ENTER_ORDER_CODE) return ouch50_enter_order_user_ref_num(message);
  return message[0] == OUCH50_REPLACE_ORDER_CODE ? ouch50_replace_order_user_ref_num(message) : 0;
}

uint32_t hwgw_order_decode(const uint8_t *message, uint32_t len, struct hwgw_order *event) {
  struct hwgw_said said;
  return hwgw_order_ouch50_decode(message, len, event, &said);
}
