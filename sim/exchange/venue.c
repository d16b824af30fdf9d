/* venue.c: OUCH 5.0: the exchange's rules for orders of clients.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: enter, replace, cancel, mass cancel, disable, enable and account query are carried out; other types are counted and ignored. A user
 * reference number not above the last one is ignored without an answer; J consumes the number; a replace of an order
 * that is not live is ignored, one with invalid details cancels the order (reason Z), and neither consumes the number.
 * Quantity in a replace is the total of the chain, executions included. Accepted: limit orders, day (0 and 5) and
 * immediate or cancel, displayed, attributed or hidden, post-only, fill or kill; anything else is rejected with its reason, never
 * taken for something simpler. Options are checked by tag and echoed in the answer.
 */
#include "exchange.h"

#define OPTIONS_SZ_MAX 128

/* what an enter or a replace asks for, before it is an order */
struct request {
  uint32_t user_ref;
  uint32_t qty;
  uint64_t px;
  char time_in_force;
  char display;
  char intermarket_sweep;
  bool post_only;
  uint32_t min_qty; /* 0 or all of it, which with immediate or cancel is fill or kill */
  const uint8_t *clordid;
  const uint8_t *options;
  uint32_t options_len;
};

static uint64_t key_of(uint32_t party, uint32_t user_ref) {
  return (uint64_t)party << 32 | user_ref;
}

static bool one_of(char c, const char *allowed) {
  return c && strchr(allowed, c);
}

static bool all_zero(const uint8_t *p, uint32_t len) {
  for (uint32_t i = 0; i < len; i++)
    if (p[i]) return false;
  return true;
}

/* ---- messages to the client ---- */

static void out_rejected(sim_exchange *x, uint32_t user, uint32_t user_ref, uint32_t reason, const uint8_t *clordid) {
  uint8_t p[OUCH50_REJECTED_LEN];
  ouch50_rejected_message_type_set(p, OUCH50_REJECTED_CODE);
  ouch50_rejected_timestamp_set(p, x->ts);
  ouch50_rejected_user_ref_num_set(p, user_ref);
  ouch50_rejected_reason_set(p, (uint16_t)reason);
  ouch50_rejected_clordid_set(p, clordid);
  x->stats.rejected[reason]++;
  sim_sequence(x, user, p, sizeof p);
}

static void out_accepted(sim_exchange *x, const struct sim_order *order, const struct request *request) {
  uint8_t p[OUCH50_ORDER_ACCEPTED_LEN + OPTIONS_SZ_MAX];
  ouch50_order_accepted_message_type_set(p, OUCH50_ORDER_ACCEPTED_CODE);
  ouch50_order_accepted_timestamp_set(p, x->ts);
  ouch50_order_accepted_user_ref_num_set(p, order->user_ref);
  ouch50_order_accepted_side_set(p, order->ouch_side);
  ouch50_order_accepted_quantity_set(p, order->qty);
  ouch50_order_accepted_symbol_set(p, x->symbols[order->symbol]);
  ouch50_order_accepted_price_set(p, order->px);
  ouch50_order_accepted_time_in_force_set(p, order->time_in_force);
  ouch50_order_accepted_display_set(p, order->display);
  ouch50_order_accepted_order_reference_number_set(p, order->ref);
  ouch50_order_accepted_capacity_set(p, order->capacity);
  ouch50_order_accepted_intermarket_sweep_set(p, order->intermarket_sweep);
  ouch50_order_accepted_cross_type_set(p, OUCH50_CROSS_TYPE_CONTINUOUS);
  ouch50_order_accepted_order_state_set(p, OUCH50_ORDER_STATE_LIVE);
  ouch50_order_accepted_clordid_set(p, request->clordid);
  ouch50_order_accepted_appendage_length_set(p, (uint16_t)request->options_len);
  memcpy(p + OUCH50_ORDER_ACCEPTED_LEN, request->options, request->options_len);
  x->stats.accepted++;
  sim_sequence(x, order->party - 1u, p, OUCH50_ORDER_ACCEPTED_LEN + request->options_len);
}

static void out_replaced(sim_exchange *x, const struct sim_order *order, uint32_t old_ref,
                         const struct request *request) {
  uint8_t p[OUCH50_ORDER_REPLACED_LEN + OPTIONS_SZ_MAX];
  ouch50_order_replaced_message_type_set(p, OUCH50_ORDER_REPLACED_CODE);
  ouch50_order_replaced_timestamp_set(p, x->ts);
  ouch50_order_replaced_orig_user_ref_num_set(p, old_ref);
  ouch50_order_replaced_user_ref_num_set(p, order->user_ref);
  ouch50_order_replaced_side_set(p, order->ouch_side);
  ouch50_order_replaced_quantity_set(p, order->qty);
  ouch50_order_replaced_symbol_set(p, x->symbols[order->symbol]);
  ouch50_order_replaced_price_set(p, order->px);
  ouch50_order_replaced_time_in_force_set(p, order->time_in_force);
  ouch50_order_replaced_display_set(p, order->display);
  ouch50_order_replaced_order_reference_number_set(p, order->ref);
  ouch50_order_replaced_capacity_set(p, order->capacity);
  ouch50_order_replaced_intermarket_sweep_set(p, order->intermarket_sweep);
  ouch50_order_replaced_cross_type_set(p, OUCH50_CROSS_TYPE_CONTINUOUS);
  ouch50_order_replaced_order_state_set(p, OUCH50_ORDER_STATE_LIVE);
  ouch50_order_replaced_clordid_set(p, request->clordid);
  ouch50_order_replaced_appendage_length_set(p, (uint16_t)request->options_len);
  memcpy(p + OUCH50_ORDER_REPLACED_LEN, request->options, request->options_len);
  x->stats.replaced++;
  sim_sequence(x, order->party - 1u, p, OUCH50_ORDER_REPLACED_LEN + request->options_len);
}

static void out_canceled(sim_exchange *x, const struct sim_order *order, uint32_t qty, char reason) {
  uint8_t p[OUCH50_ORDER_CANCELED_LEN];
  ouch50_order_canceled_message_type_set(p, OUCH50_ORDER_CANCELED_CODE);
  ouch50_order_canceled_timestamp_set(p, x->ts);
  ouch50_order_canceled_user_ref_num_set(p, order->user_ref);
  ouch50_order_canceled_quantity_set(p, qty);
  ouch50_order_canceled_reason_set(p, reason);
  x->stats.canceled++;
  sim_sequence(x, order->party - 1u, p, sizeof p);
}

void sim_venue_executed(sim_exchange *x, const struct sim_order *order, uint32_t qty, uint32_t px, uint64_t match,
                        char liquidity) {
  uint8_t p[OUCH50_ORDER_EXECUTED_LEN];
  ouch50_order_executed_message_type_set(p, OUCH50_ORDER_EXECUTED_CODE);
  ouch50_order_executed_timestamp_set(p, x->ts);
  ouch50_order_executed_user_ref_num_set(p, order->user_ref);
  ouch50_order_executed_quantity_set(p, qty);
  ouch50_order_executed_price_set(p, px);
  ouch50_order_executed_liquidity_flag_set(p, liquidity);
  ouch50_order_executed_match_number_set(p, match);
  ouch50_order_executed_appendage_length_set(p, 0);
  x->stats.executed++;
  x->stats.executed_shares += qty;
  sim_sequence(x, order->party - 1u, p, sizeof p);
}

void sim_venue_system(sim_exchange *x, char event) {
  uint8_t p[OUCH50_SYSTEM_EVENT_LEN];
  ouch50_system_event_message_type_set(p, OUCH50_SYSTEM_EVENT_CODE);
  ouch50_system_event_timestamp_set(p, x->ts);
  ouch50_system_event_event_code_set(p, event);
  for (uint32_t user = 0; user < x->cfg.user_cnt; user++) sim_sequence(x, user, p, sizeof p);
}

/* ---- live orders of clients ---- */

static void keep(sim_exchange *x, uint32_t index) {
  const struct sim_order *order = &sim_client_book(x)->orders[index];
  sim_map_put(&x->client_orders, key_of(order->party, order->user_ref), index); /* room was checked at entry */
  x->users[order->party - 1].open_orders++;
}

void sim_venue_closed(sim_exchange *x, uint32_t party, uint32_t user_ref) {
  sim_map_remove(&x->client_orders, key_of(party, user_ref));
  x->users[party - 1].open_orders--;
}

/* takes qty of what is left and says so */
static void cancel_qty(sim_exchange *x, uint32_t index, uint32_t qty, char reason) {
  struct sim_order order = sim_client_book(x)->orders[index];
  out_canceled(x, &order, qty, reason);
  sim_reduce(x, index, qty);
  if (qty == order.qty) sim_venue_closed(x, order.party, order.user_ref);
}

void sim_venue_cancel_all(sim_exchange *x, uint32_t user, uint32_t only, char reason) {
  const struct sim_book *book = sim_client_book(x);
  uint32_t end = only == SIM_NIL ? x->symbol_cnt : only + 1;
  for (uint32_t symbol = only == SIM_NIL ? 0 : only; symbol < end && x->users[user].open_orders; symbol++)
    for (uint32_t side = 0; side < 2; side++)
      for (uint32_t at = sim_book_front(book, symbol, side), next; at != SIM_NIL; at = next) {
        next = sim_book_after(book, at);
        if (book->orders[at].party == user + 1) cancel_qty(x, at, book->orders[at].qty, reason);
      }
}

/* trades what crosses; what is left rests, or is canceled when it may not */
static void place(sim_exchange *x, struct sim_order *order) {
  sim_match(x, order);
  if (!order->qty) return;
  uint32_t index = order->time_in_force == OUCH50_TIME_IN_FORCE_IOC ? SIM_NIL : sim_rest(x, order);
  if (index != SIM_NIL)
    keep(x, index);
  else
    out_canceled(
        x, order, order->qty,
        order->time_in_force == OUCH50_TIME_IN_FORCE_IOC ? OUCH50_CANCEL_REASON_IOC : OUCH50_CANCEL_REASON_SYSTEM);
}

/* ---- checks; 0 or a reject reason ---- */

static uint32_t check_options(struct request *request) {
  const uint8_t *p = request->options;
  uint32_t left = request->options_len;
  while (left) {
    uint32_t len = p[0]; /* tag and value */
    if (!len || len + 1 > left) return OUCH50_REJECT_REASON_PROCESSING_ERROR;
    const uint8_t *value = p + 2;
    uint32_t value_len = len - 1;
    switch (p[1]) {
      case OUCH50_TAG_MIN_QTY_CODE:
        if (value_len != 4) return OUCH50_REJECT_REASON_INVALID_MIN_QTY;
        request->min_qty = ouch50_tag_min_qty_value(p);
        if (request->min_qty &&
            (request->min_qty != request->qty || request->time_in_force != OUCH50_TIME_IN_FORCE_IOC))
          return OUCH50_REJECT_REASON_INVALID_MIN_QTY;
        break;
      case OUCH50_TAG_MAX_FLOOR_CODE:
      case OUCH50_TAG_RANDOM_RESERVES_CODE:
        if (!all_zero(value, value_len)) return OUCH50_REJECT_REASON_INVALID_MAX_FLOOR;
        break;
      case OUCH50_TAG_PRICE_TYPE_CODE:
        if (value_len != 1 || value[0] != 'L') return OUCH50_REJECT_REASON_PEGGING_NOT_ALLOWED;
        break;
      case OUCH50_TAG_POST_ONLY_CODE:
        if (value_len != 1 || !one_of((char)value[0], "PN")) return OUCH50_REJECT_REASON_PROCESSING_ERROR;
        request->post_only = value[0] == 'P';
        break;
      case OUCH50_TAG_HANDLE_INST_CODE:
        if (value_len != 1 || value[0] != ' ') return OUCH50_REJECT_REASON_OTHER;
        break;
      case OUCH50_TAG_PEG_OFFSET_CODE:
      case OUCH50_TAG_DISCRETION_PRICE_CODE:
      case OUCH50_TAG_DISCRETION_PEG_OFFSET_CODE:
      case OUCH50_TAG_EXPIRE_TIME_CODE:
      case OUCH50_TAG_USER_REF_IDX_CODE:
        if (!all_zero(value, value_len)) return OUCH50_REJECT_REASON_OTHER;
        break;
      default: /* firm, customer type, locate and the like change no match here; unknown tags are skipped */
        break;
    }
    p += len + 1;
    left -= len + 1;
  }
  return 0;
}

/* what enter and replace have in common */
static uint32_t check_request(struct request *request, uint32_t tail_len, uint32_t appendage_len) {
  request->options_len = 0;
  if (appendage_len != tail_len || appendage_len > OPTIONS_SZ_MAX) return OUCH50_REJECT_REASON_PROCESSING_ERROR;
  request->options_len = appendage_len;
  if (!request->qty || request->qty > SIM_QTY_MAX) return OUCH50_REJECT_REASON_INVALID_QUANTITY;
  if (!request->px || request->px > SIM_PX_MAX || (request->px >= 10000 && request->px % SIM_TICK))
    return OUCH50_REJECT_REASON_INVALID_PRICE; /* sub-penny prices only below one unit of currency */
  if (!one_of(request->time_in_force, "035")) return OUCH50_REJECT_REASON_OTHER;
  if (!one_of(request->display, "YNA")) return OUCH50_REJECT_REASON_INVALID_DISPLAY;
  if (!one_of(request->intermarket_sweep, "YN")) return OUCH50_REJECT_REASON_ISO_NOT_ALLOWED;
  return check_options(request);
}

static uint32_t find_symbol(const sim_exchange *x, const uint8_t *name) {
  uint64_t key;
  memcpy(&key, name, sizeof key);
  return key ? sim_map_get(&x->symbol_index, key) : SIM_NIL;
}

static uint32_t check_enter(const sim_exchange *x, const uint8_t *p, uint32_t len, struct request *request,
                            uint32_t symbol, bool is_disabled) {
  if (!x->is_open) return OUCH50_REJECT_REASON_DESTINATION_CLOSED;
  if (is_disabled) return OUCH50_REJECT_REASON_FIRM; /* the specification names none */
  uint32_t reason = check_request(request, len - OUCH50_ENTER_ORDER_LEN, ouch50_enter_order_appendage_length(p));
  if (reason) return reason;
  if (!one_of(ouch50_enter_order_side(p), "BSTE")) return OUCH50_REJECT_REASON_INVALID_SIDE;
  if (symbol == SIM_NIL) return OUCH50_REJECT_REASON_INVALID_SYMBOL;
  if (ouch50_enter_order_cross_type(p) != OUCH50_CROSS_TYPE_CONTINUOUS) return OUCH50_REJECT_REASON_INVALID_CROSS_ORDER;
  if (!one_of(ouch50_enter_order_capacity(p), "APRO")) return OUCH50_REJECT_REASON_OTHER;
  if (x->is_capture && sim_capture_halted(x, symbol)) return OUCH50_REJECT_REASON_HALTED;
  if (x->is_capture && request->min_qty)
    return OUCH50_REJECT_REASON_INVALID_MIN_QTY; /* not counted against a recorded book */
  if (x->client_orders.cnt >= x->client_orders.max) return OUCH50_REJECT_REASON_OTHER;
  return 0;
}

/* ---- requests ---- */

/* are qty shares to be had at px or better; the party's own orders trade, too */
static bool has_qty(const sim_exchange *x, const struct sim_order *order) {
  uint32_t left = order->qty;
  uint32_t at = sim_book_front(&x->book, order->symbol, 1u - order->side);
  for (; at != SIM_NIL && sim_crosses(order->side, order->px, x->book.orders[at].px);
       at = sim_book_after(&x->book, at)) {
    if (x->book.orders[at].qty >= left) return true;
    left -= x->book.orders[at].qty;
  }
  return false;
}

static uint8_t flags_of(char display) {
  return display == OUCH50_DISPLAY_HIDDEN ? SIM_HIDDEN : display == OUCH50_DISPLAY_ATTRIBUTABLE ? SIM_ATTRIBUTED : 0;
}

static void enter(sim_exchange *x, uint32_t index, const uint8_t *p, uint32_t len) {
  struct sim_user *user = &x->users[index];
  struct request request = {.user_ref = ouch50_enter_order_user_ref_num(p),
                            .qty = ouch50_enter_order_quantity(p),
                            .px = ouch50_enter_order_price(p),
                            .time_in_force = ouch50_enter_order_time_in_force(p),
                            .display = ouch50_enter_order_display(p),
                            .intermarket_sweep = ouch50_enter_order_intermarket_sweep(p),
                            .clordid = ouch50_enter_order_clordid(p),
                            .options = p + OUCH50_ENTER_ORDER_LEN};
  x->stats.orders_in++;
  if (request.user_ref <= user->last_ref) {
    x->stats.ignored_ref++;
    return;
  }
  user->last_ref = request.user_ref;
  uint32_t symbol = find_symbol(x, ouch50_enter_order_symbol(p));
  uint32_t reason = check_enter(x, p, len, &request, symbol, user->is_disabled);
  if (reason) {
    out_rejected(x, index, request.user_ref, reason, request.clordid);
    return;
  }
  char side = ouch50_enter_order_side(p);
  struct sim_order order = {.ref = x->next_ref++,
                            .px = (uint32_t)request.px,
                            .qty = request.qty,
                            .symbol = symbol,
                            .user_ref = request.user_ref,
                            .side = side == OUCH50_SIDE_BUY ? SIM_BUY : SIM_SELL,
                            .party = (uint8_t)(index + 1),
                            .flags = flags_of(request.display),
                            .ouch_side = side,
                            .display = request.display,
                            .capacity = ouch50_enter_order_capacity(p),
                            .intermarket_sweep = request.intermarket_sweep,
                            .time_in_force = request.time_in_force};
  out_accepted(x, &order, &request);
  if (request.post_only && sim_would_trade(x, symbol, order.side, order.px))
    out_canceled(x, &order, order.qty, OUCH50_CANCEL_REASON_POST_ONLY_CONTRA);
  else if (request.min_qty && !has_qty(x, &order))
    out_canceled(x, &order, order.qty, OUCH50_CANCEL_REASON_IOC);
  else
    place(x, &order);
}

static void replace(sim_exchange *x, uint32_t index, const uint8_t *p, uint32_t len) {
  struct sim_user *user = &x->users[index];
  uint32_t old_ref = ouch50_replace_order_orig_user_ref_num(p);
  struct request request = {.user_ref = ouch50_replace_order_user_ref_num(p),
                            .qty = ouch50_replace_order_quantity(p),
                            .px = ouch50_replace_order_price(p),
                            .time_in_force = ouch50_replace_order_time_in_force(p),
                            .display = ouch50_replace_order_display(p),
                            .intermarket_sweep = ouch50_replace_order_intermarket_sweep(p),
                            .clordid = ouch50_replace_order_clordid(p),
                            .options = p + OUCH50_REPLACE_ORDER_LEN};
  x->stats.replaces_in++;
  if (request.user_ref <= user->last_ref) {
    x->stats.ignored_ref++;
    return;
  }
  uint32_t at = sim_map_get(&x->client_orders, key_of(index + 1, old_ref));
  if (at == SIM_NIL || !x->is_open) {
    x->stats.ignored_order++;
    return;
  }
  struct sim_order order = sim_client_book(x)->orders[at];
  uint32_t reason = check_request(&request, len - OUCH50_REPLACE_ORDER_LEN, ouch50_replace_order_appendage_length(p));
  if (!reason && request.min_qty) reason = OUCH50_REJECT_REASON_INVALID_MIN_QTY; /* an order that rests has none */
  if (reason || request.qty <= order.executed) {
    cancel_qty(x, at, order.qty, reason ? OUCH50_CANCEL_REASON_SYSTEM : OUCH50_CANCEL_REASON_USER);
    return;
  }
  user->last_ref = request.user_ref;
  order.ref = x->next_ref++;
  order.user_ref = request.user_ref;
  order.px = (uint32_t)request.px;
  order.qty = request.qty - order.executed;
  order.time_in_force = request.time_in_force;
  order.display = request.display;
  order.intermarket_sweep = request.intermarket_sweep;
  order.flags = flags_of(request.display);
  bool trades = x->is_capture || order.time_in_force == OUCH50_TIME_IN_FORCE_IOC ||
                sim_would_trade(x, order.symbol, order.side, order.px);
  out_replaced(x, &order, old_ref, &request);
  sim_venue_closed(x, order.party, old_ref);
  if (!trades) {
    keep(x, sim_requeue(x, at, &order));
    return;
  }
  sim_reduce(x, at, sim_client_book(x)->orders[at].qty);
  if (request.post_only && sim_would_trade(x, order.symbol, order.side, order.px))
    out_canceled(x, &order, order.qty, OUCH50_CANCEL_REASON_POST_ONLY_CONTRA);
  else
    place(x, &order);
}

static void cancel(sim_exchange *x, uint32_t index, const uint8_t *p) {
  uint32_t at = sim_map_get(&x->client_orders, key_of(index + 1, ouch50_cancel_order_user_ref_num(p)));
  uint32_t total = ouch50_cancel_order_quantity(p);
  x->stats.cancels_in++;
  if (at != SIM_NIL) {
    const struct sim_order *order = &sim_client_book(x)->orders[at];
    uint32_t left = total > order->executed ? total - order->executed : 0;
    if (left < order->qty) {
      cancel_qty(x, at, order->qty - left, OUCH50_CANCEL_REASON_USER);
      return;
    }
  }
  x->stats.ignored_order++; /* not live, or nothing to take away: no answer */
}

/* the answer, then a canceled message of each order; a firm's orders are those of its user here */
static void mass_cancel(sim_exchange *x, uint32_t index, const uint8_t *p) {
  static const uint8_t every[OUCH50_MASS_CANCEL_SYMBOL_SZ] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
  struct sim_user *user = &x->users[index];
  uint32_t ref = ouch50_mass_cancel_user_ref_num(p);
  const uint8_t *name = ouch50_mass_cancel_symbol(p);
  uint32_t symbol = memcmp(name, every, sizeof every) ? find_symbol(x, name) : SIM_NIL;
  x->stats.mass_cancels_in++;
  if (ref <= user->last_ref) {
    x->stats.ignored_ref++;
    return;
  }
  user->last_ref = ref;
  uint8_t out[OUCH50_MASS_CANCEL_RESPONSE_LEN];
  ouch50_mass_cancel_response_init(out);
  ouch50_mass_cancel_response_timestamp_set(out, x->ts);
  ouch50_mass_cancel_response_user_ref_num_set(out, ref);
  ouch50_mass_cancel_response_firm_set(out, ouch50_mass_cancel_firm(p));
  ouch50_mass_cancel_response_symbol_set(out, name);
  ouch50_mass_cancel_response_appendage_length_set(out, 0);
  sim_sequence(x, index, out, sizeof out);
  if (symbol != SIM_NIL || !memcmp(name, every, sizeof every))
    sim_venue_cancel_all(x, index, symbol, OUCH50_CANCEL_REASON_USER);
}

/* new orders are stopped, or allowed again; replaces and cancels go on. A firm's orders are those of its user */
static void entry(sim_exchange *x, uint32_t index, const uint8_t *p, bool is_enable) {
  struct sim_user *user = &x->users[index];
  uint32_t ref = ouch50_disable_order_entry_user_ref_num(p); /* both are alike */
  *(is_enable ? &x->stats.enables_in : &x->stats.disables_in) += 1;
  if (ref <= user->last_ref) {
    x->stats.ignored_ref++;
    return;
  }
  user->last_ref = ref;
  user->is_disabled = !is_enable;
  uint8_t out[OUCH50_DISABLE_ORDER_ENTRY_RESPONSE_LEN];
  ouch50_disable_order_entry_response_init(out);
  out[0] = is_enable ? OUCH50_ENABLE_ORDER_ENTRY_RESPONSE_CODE : OUCH50_DISABLE_ORDER_ENTRY_RESPONSE_CODE;
  ouch50_disable_order_entry_response_timestamp_set(out, x->ts);
  ouch50_disable_order_entry_response_user_ref_num_set(out, ref);
  ouch50_disable_order_entry_response_firm_set(out, ouch50_disable_order_entry_firm(p));
  ouch50_disable_order_entry_response_appendage_length_set(out, 0);
  sim_sequence(x, index, out, sizeof out);
}

static void query(sim_exchange *x, uint32_t index) {
  uint8_t p[OUCH50_ACCOUNT_QUERY_RESPONSE_LEN];
  ouch50_account_query_response_message_type_set(p, OUCH50_ACCOUNT_QUERY_RESPONSE_CODE);
  ouch50_account_query_response_timestamp_set(p, x->ts);
  ouch50_account_query_response_next_user_ref_num_set(p, x->users[index].last_ref + 1);
  x->stats.queries_in++;
  sim_sequence(x, index, p, sizeof p);
}

static uint32_t shortest(char type) {
  switch (type) {
    case OUCH50_ENTER_ORDER_CODE:
      return OUCH50_ENTER_ORDER_LEN;
    case OUCH50_REPLACE_ORDER_CODE:
      return OUCH50_REPLACE_ORDER_LEN;
    case OUCH50_CANCEL_ORDER_CODE:
      return OUCH50_CANCEL_ORDER_LEN;
    case OUCH50_MASS_CANCEL_CODE:
      return OUCH50_MASS_CANCEL_LEN;
    case OUCH50_DISABLE_ORDER_ENTRY_CODE:
      return OUCH50_DISABLE_ORDER_ENTRY_LEN;
    case OUCH50_ENABLE_ORDER_ENTRY_CODE:
      return OUCH50_ENABLE_ORDER_ENTRY_LEN;
    case OUCH50_ACCOUNT_QUERY_CODE:
      return OUCH50_ACCOUNT_QUERY_LEN;
    default:
      return 0;
  }
}

void sim_venue_message(sim_exchange *x, uint32_t user, const uint8_t *message, uint32_t len) {
  char type = len ? (char)message[0] : 0;
  uint32_t needed = shortest(type);
  if (!needed) {
    x->stats.ignored_type++;
    return;
  }
  if (len < needed) {
    x->stats.dropped_length++;
    return;
  }
  switch (type) {
    case OUCH50_ENTER_ORDER_CODE:
      enter(x, user, message, len);
      return;
    case OUCH50_REPLACE_ORDER_CODE:
      replace(x, user, message, len);
      return;
    case OUCH50_CANCEL_ORDER_CODE:
      cancel(x, user, message);
      return;
    case OUCH50_MASS_CANCEL_CODE:
      mass_cancel(x, user, message);
      return;
    case OUCH50_DISABLE_ORDER_ENTRY_CODE:
    case OUCH50_ENABLE_ORDER_ENTRY_CODE:
      entry(x, user, message, type == OUCH50_ENABLE_ORDER_ENTRY_CODE);
      return;
    default:
      query(x, user);
  }
}
