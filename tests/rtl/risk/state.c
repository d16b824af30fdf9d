/* state.c: the state of the Verilated gate in the shape of the C gate's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "state.h"

#include "hwgw_risk_rows.h"

#define BITS(memory, row, ...) bits(model, MEMORY_##memory, row, __VA_ARGS__)
#define WORD(memory, row, ...) (uint32_t)BITS(memory, row, __VA_ARGS__)

/* bits [lsb, lsb + width) of a row, at most 64; where lsb and width are constants, a few instructions */
static inline uint64_t bits(const struct risk_model *model, enum risk_memory memory, uint32_t row, uint32_t lsb,
                            uint32_t width) {
  const struct risk_rows *rows = &risk_model_rows(model)[memory];
  const uint32_t *at = rows->words + row * rows->stride + lsb / 32;
  uint32_t shift = lsb % 32;
  uint64_t value = at[0] >> shift;
  if (shift + width > 32) value |= (uint64_t)at[1] << (32 - shift);
  if (shift + width > 64) value |= (uint64_t)at[2] << (64 - shift);
  return value & UINT64_MAX >> (64 - width);
}

/* 96 bits, signed */
static hwgw_money money(const struct risk_model *model, enum risk_memory memory, uint32_t row, uint32_t lsb,
                        uint32_t width) {
  uint32_t high = (uint32_t)bits(model, memory, row, lsb + 64, width - 64);
  return (hwgw_money)(int32_t)high * ((hwgw_money)1 << 64) + (hwgw_money)bits(model, memory, row, lsb, 64);
}

static uint64_t recent_bits(const struct risk_model *model, uint32_t age, uint32_t lsb, uint32_t width) {
  return bits(model, MEMORY_RECENT, 0, age * HWGW_ROW_RECENT_W + lsb, width);
}

void state_globals(const struct risk_model *model, struct hwgw_risk *to) {
  to->generation = risk_model_generation(model);
  to->last_ts = risk_model_last_ts(model);
  to->last_beat = risk_model_last_beat(model);
  to->last_ref = risk_model_last_ref(model);
  to->halt = risk_model_halted(model);
  for (uint32_t age = 0; age < HWGW_RISK_RECENT_MAX; age++) {
    uint32_t i = (to->recent_cnt - 1 - age) & (HWGW_RISK_RECENT_MAX - 1);
    to->recent.qty[i] = (uint32_t)recent_bits(model, age, HWGW_ROW_RECENT_QTY);
    to->recent.ts[i] = recent_bits(model, age, HWGW_ROW_RECENT_TS);
    to->recent.terms[i] = risk_terms((uint32_t)recent_bits(model, age, HWGW_ROW_RECENT_PX),
                                     (uint32_t)recent_bits(model, age, HWGW_ROW_RECENT_INSTRUMENT),
                                     (uint32_t)recent_bits(model, age, HWGW_ROW_RECENT_ACCOUNT),
                                     (uint32_t)recent_bits(model, age, HWGW_ROW_RECENT_SIDE));
    to->recent.key[i] = risk_key(to->recent.terms[i], to->recent.qty[i]);
  }
}

static void account(const struct risk_model *model, struct hwgw_risk_account *to, enum risk_memory memory,
                    uint32_t row) {
  to->open_notional = bits(model, memory, row, HWGW_ROW_ACCOUNT_OPEN_NOTIONAL);
  to->filled_notional = bits(model, memory, row, HWGW_ROW_ACCOUNT_FILLED_NOTIONAL);
  to->bucket.level = bits(model, memory, row, HWGW_ROW_ACCOUNT_LEVEL);
  to->bucket.level_ts = bits(model, memory, row, HWGW_ROW_ACCOUNT_LEVEL_TS);
  to->open_cnt = (uint32_t)bits(model, memory, row, HWGW_ROW_ACCOUNT_OPEN_CNT);
}

void state_account(const struct risk_model *model, struct hwgw_risk *to, uint32_t index) {
  if (index == HWGW_RISK_GATEWAY) {
    account(model, &to->gateway, MEMORY_GATEWAY, 0);
    to->gateway.equity = money(model, MEMORY_GATEWAY_EQUITY, 0, 0, 96);
    to->cash[index] = money(model, MEMORY_GATEWAY_CASH, 0, 0, 96);
  } else {
    account(model, &to->account[index], MEMORY_ACCOUNT, index);
    to->account[index].equity = money(model, MEMORY_MONEY, index, HWGW_ROW_MONEY_EQUITY);
    to->cash[index] = money(model, MEMORY_MONEY, index, HWGW_ROW_MONEY_CASH);
  }
}

void state_strategy(const struct risk_model *model, struct hwgw_risk *to, uint32_t index) {
  struct hwgw_risk_strategy *strategy = &to->strategy[index];
  strategy->bucket.level = BITS(STRATEGY, index, HWGW_ROW_STRATEGY_LEVEL);
  strategy->bucket.level_ts = BITS(STRATEGY, index, HWGW_ROW_STRATEGY_LEVEL_TS);
  strategy->fills = WORD(STRATEGY, index, HWGW_ROW_STRATEGY_FILLS);
  strategy->rejects = WORD(STRATEGY, index, HWGW_ROW_STRATEGY_REJECTS);
  strategy->is_armed = WORD(STRATEGY, index, HWGW_ROW_STRATEGY_IS_ARMED);
}

void state_instrument(const struct risk_model *model, struct hwgw_risk *to, uint32_t index) {
  struct hwgw_risk_instrument *at = &to->instrument[index];
  struct hwgw_risk_holding *holding = &to->holding[index];
  at->long_worst = (int32_t)WORD(AT, index, HWGW_ROW_AT_LONG_WORST);
  at->short_worst = (int32_t)WORD(AT, index, HWGW_ROW_AT_SHORT_WORST);
  at->pos = (int32_t)WORD(AT, index, HWGW_ROW_AT_POS);
  at->open_buy_cnt = WORD(AT, index, HWGW_ROW_AT_OPEN_BUY_CNT);
  at->open_sell_cnt = WORD(AT, index, HWGW_ROW_AT_OPEN_SELL_CNT);
  at->short_used = WORD(AT, index, HWGW_ROW_AT_SHORT_USED);
  at->own_bid_max = WORD(AT, index, HWGW_ROW_AT_OWN_BID_MAX);
  at->own_ask_min_inv = WORD(AT, index, HWGW_ROW_AT_OWN_ASK_MIN_INV);
  at->ref_px = WORD(AT, index, HWGW_ROW_AT_REF_PX);
  at->ref_ts = BITS(AT, index, HWGW_ROW_AT_REF_TS);
  at->is_feed_good = (uint32_t)bits(model, MEMORY_FEED, index / 64, index % 64, 1);
  holding->mark_px = WORD(AT, index, HWGW_ROW_AT_MARK_PX);
  holding->held_mask = 0;
  for (uint32_t i = 0; i < HWGW_RISK_ACCOUNTS_MAX; i++) {
    holding->pos[i] = (int64_t)bits(model, MEMORY_HELD, index * HWGW_RISK_ACCOUNTS_MAX + i, 0, 64);
    holding->held_mask |= (uint32_t)(holding->pos[i] != 0) << i;
  }
}

void state_slot(const struct risk_model *model, struct hwgw_risk *to, uint32_t index) {
  struct hwgw_risk_slot *slot = &to->slot[index];
  slot->ref = WORD(SLOT, index, HWGW_ROW_SLOT_REF);
  slot->px = WORD(SLOT, index, HWGW_ROW_SLOT_PX);
  slot->leaves = WORD(SLOT, index, HWGW_ROW_SLOT_LEAVES);
  slot->executed = WORD(SLOT, index, HWGW_ROW_SLOT_EXECUTED);
  slot->orig_ref = WORD(SLOT, index, HWGW_ROW_SLOT_ORIG_REF);
  slot->instrument = (uint16_t)BITS(SLOT, index, HWGW_ROW_SLOT_INSTRUMENT);
  slot->account = (uint8_t)BITS(SLOT, index, HWGW_ROW_SLOT_ACCOUNT);
  slot->strategy = (uint8_t)BITS(SLOT, index, HWGW_ROW_SLOT_STRATEGY);
  slot->side = (uint8_t)BITS(SLOT, index, HWGW_ROW_SLOT_SIDE);
  slot->flags = (uint8_t)BITS(SLOT, index, HWGW_ROW_SLOT_FLAGS);
  slot->type = (uint8_t)BITS(SLOT, index, HWGW_ROW_SLOT_TYPE);
  slot->tif = (uint8_t)BITS(SLOT, index, HWGW_ROW_SLOT_TIF);
}

void state_all(const struct risk_model *model, struct hwgw_risk *to) {
  state_globals(model, to);
  for (uint32_t i = 0; i <= HWGW_RISK_GATEWAY; i++) state_account(model, to, i);
  for (uint32_t i = 0; i < HWGW_RISK_STRATEGIES_MAX; i++) state_strategy(model, to, i);
  for (uint32_t i = 0; i < HWGW_RISK_INSTRUMENTS_MAX; i++) state_instrument(model, to, i);
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++) state_slot(model, to, i);
}
