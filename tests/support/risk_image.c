/* risk_image.c: the C gate's whole state as one flat array, for comparison with the golden model's after every event.
 *
 * SPDX-License-Identifier: MIT
 *
 * Rows of 64-bit words, each item where tests/support/risk_image.py puts the golden model's; signed values sign-extended,
 * money in two words, the lower first. The items are those of hwgw_risk_dump, in its order within a record.
 */
#include "risk.h"

#define MONEY(value) (uint64_t)(value), (uint64_t)((value) >> 64)
#define PUT(...)                          \
  do {                                    \
    const uint64_t row[] = {__VA_ARGS__}; \
    memcpy(image, row, sizeof row);       \
    image += sizeof row / sizeof *row;    \
  } while (0)

static uint64_t *account(uint64_t *image, const struct hwgw_risk_account *from, hwgw_money cash) {
  PUT(from->bucket.level, from->bucket.level_ts, MONEY(cash), from->filled_notional, MONEY(from->equity - cash),
      from->open_cnt, from->open_notional);
  return image;
}

/* what hwgw_risk_sz_bytes() has to be: the gate was compiled from the same header */
uint32_t risk_image_gate_sz_bytes(void) {
  return sizeof(struct hwgw_risk);
}

static uint32_t write_image(const struct hwgw_risk *risk, uint64_t *image) {
  const uint64_t *begin = image;
  PUT(risk->generation, risk->halt, risk->last_beat, risk->last_ref, risk->last_ts);
  for (uint32_t age = 0; age < HWGW_RISK_RECENT_MAX; age++) {
    uint32_t i = (risk->recent_cnt - 1 - age) & (HWGW_RISK_RECENT_MAX - 1);
    uint64_t terms = risk->recent.terms[i];
    PUT(terms >> 8 & 0xFF, terms >> 16 & 0xFFFF, terms >> 32, risk->recent.qty[i], terms & 0xFF, risk->recent.ts[i]);
  }
  image = account(image, &risk->gateway, risk->cash[HWGW_RISK_GATEWAY]);
  for (uint32_t i = 0; i < HWGW_RISK_ACCOUNTS_MAX; i++) image = account(image, &risk->account[i], risk->cash[i]);
  for (uint32_t i = 0; i < HWGW_RISK_STRATEGIES_MAX; i++) {
    const struct hwgw_risk_strategy *from = &risk->strategy[i];
    PUT(from->bucket.level, from->bucket.level_ts, from->is_armed, from->fills, from->rejects);
  }
  for (uint32_t i = 0; i < HWGW_RISK_INSTRUMENTS_MAX; i++) {
    const struct hwgw_risk_instrument *from = &risk->instrument[i];
    const struct hwgw_risk_holding *holding = &risk->holding[i];
    PUT(from->is_feed_good, (uint64_t)(int64_t)from->long_worst, holding->mark_px, from->open_buy_cnt,
        from->open_sell_cnt, from->own_ask_min_inv ? ~from->own_ask_min_inv : 0, from->own_bid_max,
        (uint64_t)(int64_t)from->pos, from->ref_px, from->ref_ts, from->short_used,
        (uint64_t)(int64_t)from->short_worst);
    memcpy(image, holding->pos, sizeof holding->pos);
    image += HWGW_RISK_ACCOUNTS_MAX;
  }
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++) {
    const struct hwgw_risk_slot *from = &risk->slot[i];
    PUT(from->account, from->executed, from->flags, from->instrument, from->leaves, from->orig_ref, from->px, from->ref,
        from->side, from->strategy, from->tif, from->type);
  }
  return (uint32_t)(image - begin);
}

/* writes the image, of words words, and compares it with another */
bool risk_image_is(const struct hwgw_risk *risk, uint64_t *image, const uint64_t *want, uint32_t words) {
  return write_image(risk, image) == words && memcmp(image, want, words * sizeof *want) == 0;
}
