/* itch.c: encodes the ITCH 5.0 messages of the simulated exchange straight into the packet that is being filled.
 *
 * SPDX-License-Identifier: MIT
 *
 * The header is the same in every message, so one set of accessors writes it. Stock locates are symbol index + 1.
 */
#include "exchange.h"

static uint8_t *begin(sim_exchange *x, char code, uint32_t len, uint32_t locate) {
  bool is_live = !x->recovery.making;
  uint8_t *p = is_live ? sim_publish_reserve(x, len) : sim_snapshot_reserve(x, len);
  memset(p, 0, len);
  itch50_add_order_message_type_set(p, code);
  itch50_add_order_stock_locate_set(p, (uint16_t)locate);
  itch50_add_order_timestamp_set(p, x->ts);
  x->stats.messages[(uint8_t)code] += is_live;
  return p;
}

static char side_code(uint32_t side) {
  return side == SIM_BUY ? 'B' : 'S';
}

void sim_itch_system(sim_exchange *x, char event) {
  uint8_t *p = begin(x, ITCH50_SYSTEM_EVENT_CODE, ITCH50_SYSTEM_EVENT_LEN, 0);
  itch50_system_event_event_code_set(p, event);
}

void sim_itch_directory(sim_exchange *x, uint32_t symbol) {
  uint8_t *p = begin(x, ITCH50_STOCK_DIRECTORY_CODE, ITCH50_STOCK_DIRECTORY_LEN, symbol + 1);
  itch50_stock_directory_stock_set(p, x->symbols[symbol]);
  itch50_stock_directory_market_category_set(p, 'Q');
  itch50_stock_directory_financial_status_set(p, 'N');
  itch50_stock_directory_round_lot_size_set(p, 100);
  itch50_stock_directory_round_lots_only_set(p, 'N');
  itch50_stock_directory_issue_classification_set(p, 'C');
  itch50_stock_directory_issue_sub_type_set(p, "Z ");
  itch50_stock_directory_authenticity_set(p, 'T');
  itch50_stock_directory_short_sale_threshold_set(p, 'N');
  itch50_stock_directory_ipo_flag_set(p, 'N');
  itch50_stock_directory_luld_reference_price_tier_set(p, '1');
  itch50_stock_directory_etp_flag_set(p, 'N');
  itch50_stock_directory_inverse_indicator_set(p, 'N');
}

void sim_itch_trading(sim_exchange *x, uint32_t symbol, char state) {
  uint8_t *p = begin(x, ITCH50_STOCK_TRADING_ACTION_CODE, ITCH50_STOCK_TRADING_ACTION_LEN, symbol + 1);
  itch50_stock_trading_action_stock_set(p, x->symbols[symbol]);
  itch50_stock_trading_action_trading_state_set(p, state);
  itch50_stock_trading_action_reserved_set(p, ' ');
  itch50_stock_trading_action_reason_set(p, "    ");
}

void sim_itch_add(sim_exchange *x, const struct sim_order *order) {
  bool attributed = order->flags & SIM_ATTRIBUTED;
  uint8_t *p = attributed ? begin(x, ITCH50_ADD_ORDER_MPID_CODE, ITCH50_ADD_ORDER_MPID_LEN, order->symbol + 1)
                          : begin(x, ITCH50_ADD_ORDER_CODE, ITCH50_ADD_ORDER_LEN, order->symbol + 1);
  itch50_add_order_order_reference_number_set(p, order->ref); /* both types agree in these fields */
  itch50_add_order_side_set(p, side_code(order->side));
  itch50_add_order_shares_set(p, order->qty);
  itch50_add_order_stock_set(p, x->symbols[order->symbol]);
  itch50_add_order_price_set(p, order->px);
  if (attributed) itch50_add_order_mpid_attribution_set(p, "SIMX");
}

void sim_itch_executed(sim_exchange *x, const struct sim_order *maker, uint32_t qty, uint64_t match) {
  uint8_t *p = begin(x, ITCH50_ORDER_EXECUTED_CODE, ITCH50_ORDER_EXECUTED_LEN, maker->symbol + 1);
  itch50_order_executed_order_reference_number_set(p, maker->ref);
  itch50_order_executed_executed_shares_set(p, qty);
  itch50_order_executed_match_number_set(p, match);
}

void sim_itch_executed_price(sim_exchange *x, const struct sim_order *maker, uint32_t qty, uint64_t match,
                             uint32_t px) {
  uint8_t *p = begin(x, ITCH50_ORDER_EXECUTED_WITH_PRICE_CODE, ITCH50_ORDER_EXECUTED_WITH_PRICE_LEN, maker->symbol + 1);
  itch50_order_executed_with_price_order_reference_number_set(p, maker->ref);
  itch50_order_executed_with_price_executed_shares_set(p, qty);
  itch50_order_executed_with_price_match_number_set(p, match);
  itch50_order_executed_with_price_printable_set(p, 'Y');
  itch50_order_executed_with_price_execution_price_set(p, px);
}

void sim_itch_trade(sim_exchange *x, const struct sim_order *maker, uint32_t qty, uint64_t match, uint32_t px) {
  uint8_t *p = begin(x, ITCH50_TRADE_NON_CROSS_CODE, ITCH50_TRADE_NON_CROSS_LEN, maker->symbol + 1);
  itch50_trade_non_cross_side_set(p, side_code(SIM_BUY)); /* always, whoever rested; and reference 0 */
  itch50_trade_non_cross_shares_set(p, qty);
  itch50_trade_non_cross_stock_set(p, x->symbols[maker->symbol]);
  itch50_trade_non_cross_price_set(p, px);
  itch50_trade_non_cross_match_number_set(p, match);
}

void sim_itch_cancel(sim_exchange *x, const struct sim_order *order, uint32_t qty) {
  uint8_t *p = begin(x, ITCH50_ORDER_CANCEL_CODE, ITCH50_ORDER_CANCEL_LEN, order->symbol + 1);
  itch50_order_cancel_order_reference_number_set(p, order->ref);
  itch50_order_cancel_cancelled_shares_set(p, qty);
}

void sim_itch_delete(sim_exchange *x, const struct sim_order *order) {
  uint8_t *p = begin(x, ITCH50_ORDER_DELETE_CODE, ITCH50_ORDER_DELETE_LEN, order->symbol + 1);
  itch50_order_delete_order_reference_number_set(p, order->ref);
}

void sim_itch_replace(sim_exchange *x, const struct sim_order *order, uint64_t old_ref) {
  uint8_t *p = begin(x, ITCH50_ORDER_REPLACE_CODE, ITCH50_ORDER_REPLACE_LEN, order->symbol + 1);
  itch50_order_replace_original_order_reference_number_set(p, old_ref);
  itch50_order_replace_new_order_reference_number_set(p, order->ref);
  itch50_order_replace_shares_set(p, order->qty);
  itch50_order_replace_price_set(p, order->px);
}
