/* ouch42.c: OUCH 4.2: a user's messages become those of OUCH 5.0 and back, so that the rules are written once.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: each token of a user stands for one user reference number, in the order of arrival. A token that was used
 * makes its message vanish without an answer; one of a replace that changed nothing is free again. What 5.0 says with a
 * tag (post only, minimum quantity) stands in a field here. Trade now and modify are ignored, as in 5.0.
 */
#include "exchange.h"

#define TOKENS_MAX (1u << 17) /* of a user in a day */
#define TOKEN_SZ OUCH42_ENTER_ORDER_ORDER_TOKEN_SZ

struct sim_tokens {
  struct sim_map refs; /* hash of a token -> user reference number */
  uint8_t token[TOKENS_MAX][TOKEN_SZ];
};

bool sim_ouch42_open(struct sim_user *user) {
  user->tokens = sim_memory(sizeof *user->tokens);
  return user->tokens && sim_map_init(&user->tokens->refs, TOKENS_MAX);
}

void sim_ouch42_close(struct sim_user *user) {
  if (!user->tokens) return;
  if (user->tokens->refs.keys) sim_map_fini(&user->tokens->refs);
  sim_memory_free(user->tokens, sizeof *user->tokens);
  user->tokens = NULL;
}

/* ---- tokens ---- */

static uint64_t hash_of(const uint8_t *token) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (uint32_t i = 0; i < TOKEN_SZ; i++) hash = (hash ^ token[i]) * UINT64_C(0x100000001b3);
  return hash ? hash : 1;
}

static uint32_t ref_of(const struct sim_user *user, const uint8_t *token) {
  uint32_t ref = sim_map_get(&user->tokens->refs, hash_of(token));
  return ref == SIM_NIL ? 0 : ref;
}

/* the next reference number stands for this token; 0 when the token was used or the day's are */
static uint32_t take(struct sim_user *user, const uint8_t *token) {
  uint32_t ref = user->last_ref + 1;
  if (ref >= TOKENS_MAX || ref_of(user, token) || !sim_map_put(&user->tokens->refs, hash_of(token), ref)) return 0;
  memcpy(user->tokens->token[ref], token, TOKEN_SZ);
  return ref;
}

/* ---- in ---- */

static char time_in_force(uint32_t seconds) {
  switch (seconds) {
    case OUCH42_TIF_IOC:
      return OUCH50_TIME_IN_FORCE_IOC;
    case OUCH42_TIF_MARKET_HOURS:
      return OUCH50_TIME_IN_FORCE_DAY;
    case OUCH42_TIF_SYSTEM_HOURS:
      return OUCH50_TIME_IN_FORCE_GTX;
    default:
      return OUCH50_TIME_IN_FORCE_GTT; /* which is refused */
  }
}

/* the tags of a display and of a minimum quantity; their length */
static uint32_t tags(uint8_t *p, char *display, uint32_t minimum_qty) {
  uint32_t len = 0;
  if (*display == OUCH42_DISPLAY_POST_ONLY || *display == OUCH42_DISPLAY_POST_ONLY_ATTRIBUTABLE) {
    *display = *display == OUCH42_DISPLAY_POST_ONLY ? OUCH50_DISPLAY_VISIBLE : OUCH50_DISPLAY_ATTRIBUTABLE;
    ouch50_tag_post_only_init(p);
    ouch50_tag_post_only_value_set(p, 'P');
    len += OUCH50_TAG_POST_ONLY_LEN;
  }
  if (minimum_qty) {
    ouch50_tag_min_qty_init(p + len);
    ouch50_tag_min_qty_value_set(p + len, minimum_qty);
    len += OUCH50_TAG_MIN_QTY_LEN;
  }
  return len;
}

static void enter(sim_exchange *x, uint32_t index, const uint8_t *m) {
  uint8_t p[OUCH50_ENTER_ORDER_LEN + OUCH50_TAG_POST_ONLY_LEN + OUCH50_TAG_MIN_QTY_LEN];
  uint32_t ref = take(&x->users[index], ouch42_enter_order_order_token(m));
  if (!ref) {
    x->stats.orders_in++;
    x->stats.ignored_ref++;
    return;
  }
  char display = ouch42_enter_order_display(m);
  uint32_t len = tags(p + OUCH50_ENTER_ORDER_LEN, &display, ouch42_enter_order_minimum_quantity(m));
  ouch50_enter_order_init(p);
  ouch50_enter_order_user_ref_num_set(p, ref);
  ouch50_enter_order_side_set(p, ouch42_enter_order_side(m));
  ouch50_enter_order_quantity_set(p, ouch42_enter_order_shares(m));
  ouch50_enter_order_symbol_set(p, ouch42_enter_order_stock(m));
  ouch50_enter_order_price_set(p, ouch42_enter_order_price(m));
  ouch50_enter_order_time_in_force_set(p, time_in_force(ouch42_enter_order_time_in_force(m)));
  ouch50_enter_order_display_set(p, display);
  ouch50_enter_order_capacity_set(p, ouch42_enter_order_capacity(m));
  ouch50_enter_order_intermarket_sweep_set(p, ouch42_enter_order_intermarket_sweep(m));
  ouch50_enter_order_cross_type_set(p, ouch42_enter_order_cross_type(m));
  ouch50_enter_order_appendage_length_set(p, (uint16_t)len);
  sim_venue_message(x, index, p, OUCH50_ENTER_ORDER_LEN + len);
}

static void replace(sim_exchange *x, uint32_t index, const uint8_t *m) {
  uint8_t p[OUCH50_REPLACE_ORDER_LEN + OUCH50_TAG_POST_ONLY_LEN + OUCH50_TAG_MIN_QTY_LEN];
  struct sim_user *user = &x->users[index];
  const uint8_t *token = ouch42_replace_order_replacement_order_token(m);
  uint32_t orig_ref = ref_of(user, ouch42_replace_order_existing_order_token(m));
  uint32_t ref = orig_ref ? take(user, token) : 0;
  if (!ref) {
    x->stats.replaces_in++;
    *(orig_ref ? &x->stats.ignored_ref : &x->stats.ignored_order) += 1;
    return;
  }
  char display = ouch42_replace_order_display(m);
  uint32_t len = tags(p + OUCH50_REPLACE_ORDER_LEN, &display, ouch42_replace_order_minimum_quantity(m));
  ouch50_replace_order_init(p);
  ouch50_replace_order_orig_user_ref_num_set(p, orig_ref);
  ouch50_replace_order_user_ref_num_set(p, ref);
  ouch50_replace_order_quantity_set(p, ouch42_replace_order_shares(m));
  ouch50_replace_order_price_set(p, ouch42_replace_order_price(m));
  ouch50_replace_order_time_in_force_set(p, time_in_force(ouch42_replace_order_time_in_force(m)));
  ouch50_replace_order_display_set(p, display);
  ouch50_replace_order_intermarket_sweep_set(p, ouch42_replace_order_intermarket_sweep(m));
  ouch50_replace_order_appendage_length_set(p, (uint16_t)len);
  sim_venue_message(x, index, p, OUCH50_REPLACE_ORDER_LEN + len);
  if (user->last_ref < ref) sim_map_remove(&user->tokens->refs, hash_of(token)); /* nothing came of it */
}

static void cancel(sim_exchange *x, uint32_t index, const uint8_t *m) {
  uint8_t p[OUCH50_CANCEL_ORDER_LEN];
  ouch50_cancel_order_init(p);
  ouch50_cancel_order_user_ref_num_set(p, ref_of(&x->users[index], ouch42_cancel_order_order_token(m)));
  ouch50_cancel_order_quantity_set(p, ouch42_cancel_order_shares(m));
  sim_venue_message(x, index, p, sizeof p);
}

void sim_ouch42_message(sim_exchange *x, uint32_t user, const uint8_t *m, uint32_t len) {
  uint32_t needed = len ? ouch42_client_to_host_length(m[0]) : 0;
  if (!needed || m[0] == OUCH42_MODIFY_ORDER_CODE || m[0] == OUCH42_TRADE_NOW_CODE) {
    x->stats.ignored_type++;
  } else if (len < needed) {
    x->stats.dropped_length++;
  } else if (m[0] == OUCH42_ENTER_ORDER_CODE) {
    enter(x, user, m);
  } else if (m[0] == OUCH42_REPLACE_ORDER_CODE) {
    replace(x, user, m);
  } else {
    cancel(x, user, m);
  }
}

/* ---- out ---- */

static uint32_t seconds_of(char time_in_force) {
  if (time_in_force == OUCH50_TIME_IN_FORCE_IOC) return OUCH42_TIF_IOC;
  return time_in_force == OUCH50_TIME_IN_FORCE_DAY ? OUCH42_TIF_MARKET_HOURS : OUCH42_TIF_SYSTEM_HOURS;
}

static char reject_reason(uint16_t reason) {
  switch (reason) {
    case OUCH50_REJECT_REASON_DESTINATION_CLOSED:
      return OUCH42_REJECT_REASON_CLOSED;
    case OUCH50_REJECT_REASON_INVALID_DISPLAY:
      return OUCH42_REJECT_REASON_INVALID_DISPLAY;
    case OUCH50_REJECT_REASON_HALTED:
      return OUCH42_REJECT_REASON_HALTED;
    case OUCH50_REJECT_REASON_INVALID_MIN_QTY:
      return OUCH42_REJECT_REASON_INVALID_MINIMUM_QUANTITY;
    case OUCH50_REJECT_REASON_INVALID_SYMBOL:
      return OUCH42_REJECT_REASON_INVALID_STOCK;
    case OUCH50_REJECT_REASON_INVALID_PRICE:
      return OUCH42_REJECT_REASON_INVALID_PRICE;
    case OUCH50_REJECT_REASON_INVALID_CROSS_ORDER:
      return OUCH42_REJECT_REASON_NOT_ALLOWED_IN_THIS_CROSS;
    default:
      return OUCH42_REJECT_REASON_OTHER;
  }
}

/* post only shows in the display again */
static char display_of(const uint8_t *options, uint32_t len, char display) {
  for (uint32_t at = 0; at + OUCH50_TAG_ELEMENT_LEN < len; at += options[at] + 1u)
    if (options[at + 1] == OUCH50_TAG_POST_ONLY_CODE && options[at + 2] == 'P')
      return display == OUCH50_DISPLAY_ATTRIBUTABLE ? OUCH42_DISPLAY_POST_ONLY_ATTRIBUTABLE : OUCH42_DISPLAY_POST_ONLY;
  return display;
}

static uint32_t accepted(const struct sim_tokens *tokens, const uint8_t *m, uint8_t *p) {
  ouch42_accepted_init(p);
  ouch42_accepted_order_token_set(p, tokens->token[ouch50_order_accepted_user_ref_num(m)]);
  ouch42_accepted_side_set(p, ouch50_order_accepted_side(m));
  ouch42_accepted_shares_set(p, ouch50_order_accepted_quantity(m));
  ouch42_accepted_stock_set(p, ouch50_order_accepted_symbol(m));
  ouch42_accepted_price_set(p, (uint32_t)ouch50_order_accepted_price(m));
  ouch42_accepted_time_in_force_set(p, seconds_of(ouch50_order_accepted_time_in_force(m)));
  ouch42_accepted_display_set(p, display_of(m + OUCH50_ORDER_ACCEPTED_LEN, ouch50_order_accepted_appendage_length(m),
                                            ouch50_order_accepted_display(m)));
  ouch42_accepted_order_reference_number_set(p, ouch50_order_accepted_order_reference_number(m));
  ouch42_accepted_capacity_set(p, ouch50_order_accepted_capacity(m));
  ouch42_accepted_intermarket_sweep_set(p, ouch50_order_accepted_intermarket_sweep(m));
  ouch42_accepted_cross_type_set(p, ouch50_order_accepted_cross_type(m));
  ouch42_accepted_order_state_set(p, ouch50_order_accepted_order_state(m));
  return OUCH42_ACCEPTED_LEN;
}

static uint32_t replaced(const struct sim_tokens *tokens, const uint8_t *m, uint8_t *p) {
  ouch42_replaced_init(p);
  ouch42_replaced_replacement_order_token_set(p, tokens->token[ouch50_order_replaced_user_ref_num(m)]);
  ouch42_replaced_previous_order_token_set(p, tokens->token[ouch50_order_replaced_orig_user_ref_num(m)]);
  ouch42_replaced_side_set(p, ouch50_order_replaced_side(m));
  ouch42_replaced_shares_set(p, ouch50_order_replaced_quantity(m));
  ouch42_replaced_stock_set(p, ouch50_order_replaced_symbol(m));
  ouch42_replaced_price_set(p, (uint32_t)ouch50_order_replaced_price(m));
  ouch42_replaced_time_in_force_set(p, seconds_of(ouch50_order_replaced_time_in_force(m)));
  ouch42_replaced_display_set(p, display_of(m + OUCH50_ORDER_REPLACED_LEN, ouch50_order_replaced_appendage_length(m),
                                            ouch50_order_replaced_display(m)));
  ouch42_replaced_order_reference_number_set(p, ouch50_order_replaced_order_reference_number(m));
  ouch42_replaced_capacity_set(p, ouch50_order_replaced_capacity(m));
  ouch42_replaced_intermarket_sweep_set(p, ouch50_order_replaced_intermarket_sweep(m));
  ouch42_replaced_cross_type_set(p, ouch50_order_replaced_cross_type(m));
  ouch42_replaced_order_state_set(p, ouch50_order_replaced_order_state(m));
  return OUCH42_REPLACED_LEN;
}

static uint32_t canceled(const struct sim_tokens *tokens, const uint8_t *m, uint8_t *p) {
  ouch42_canceled_init(p);
  ouch42_canceled_order_token_set(p, tokens->token[ouch50_order_canceled_user_ref_num(m)]);
  ouch42_canceled_decrement_shares_set(p, ouch50_order_canceled_quantity(m));
  ouch42_canceled_reason_set(p, ouch50_order_canceled_reason(m)); /* those that the exchange gives are the same */
  return OUCH42_CANCELED_LEN;
}

static uint32_t executed(const struct sim_tokens *tokens, const uint8_t *m, uint8_t *p) {
  ouch42_executed_init(p);
  ouch42_executed_order_token_set(p, tokens->token[ouch50_order_executed_user_ref_num(m)]);
  ouch42_executed_executed_shares_set(p, ouch50_order_executed_quantity(m));
  ouch42_executed_execution_price_set(p, (uint32_t)ouch50_order_executed_price(m));
  ouch42_executed_liquidity_flag_set(p, ouch50_order_executed_liquidity_flag(m));
  ouch42_executed_match_number_set(p, ouch50_order_executed_match_number(m));
  return OUCH42_EXECUTED_LEN;
}

static uint32_t rejected(const struct sim_tokens *tokens, const uint8_t *m, uint8_t *p) {
  ouch42_rejected_init(p);
  ouch42_rejected_order_token_set(p, tokens->token[ouch50_rejected_user_ref_num(m)]);
  ouch42_rejected_reason_set(p, reject_reason(ouch50_rejected_reason(m)));
  return OUCH42_REJECTED_LEN;
}

uint32_t sim_ouch42_of(const struct sim_user *user, const uint8_t *m, uint8_t *p) {
  uint32_t len;
  switch (m[0]) {
    case OUCH50_ORDER_ACCEPTED_CODE:
      len = accepted(user->tokens, m, p);
      break;
    case OUCH50_ORDER_REPLACED_CODE:
      len = replaced(user->tokens, m, p);
      break;
    case OUCH50_ORDER_CANCELED_CODE:
      len = canceled(user->tokens, m, p);
      break;
    case OUCH50_ORDER_EXECUTED_CODE:
      len = executed(user->tokens, m, p);
      break;
    case OUCH50_REJECTED_CODE:
      len = rejected(user->tokens, m, p);
      break;
    default: /* a system event */
      ouch42_system_event_init(p);
      ouch42_system_event_event_code_set(p, ouch50_system_event_event_code(m));
      len = OUCH42_SYSTEM_EVENT_LEN;
      break;
  }
  ouch42_system_event_timestamp_set(p, ouch50_system_event_timestamp(m)); /* at one place in every message */
  return len;
}
