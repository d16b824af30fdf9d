/* risk_dump.c: the gate's whole state as text, for comparison with the golden model. The format is in docs/risk.md.
 *
 * SPDX-License-Identifier: MIT
 *
 * One line `name value` per item that is not 0. The items are written in the order of their names, so nothing is
 * sorted. A line that does not fit any more is left out with all behind it. Not for the data path.
 */
#include "risk.h"

struct sink {
  char *text;
  uint32_t sz;
  uint32_t len;
  char prefix[32];
};

#define DIGITS_MAX 40 /* of a 128-bit number, with its sign */

/* decimal digits of value; returns where they start in buffer */
static const char *decimal(hwgw_money value, char buffer[DIGITS_MAX + 1]) {
  char *at = buffer + DIGITS_MAX;
  unsigned __int128 rest = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
  *at = 0;
  do {
    *--at = (char)('0' + (int)(rest % 10));
    rest /= 10;
  } while (rest);
  if (value < 0) *--at = '-';
  return at;
}

static void item(struct sink *sink, const char *name, hwgw_money value) {
  if (!value) return;
  char digits[DIGITS_MAX + 1];
  char line[128];
  int len = snprintf(line, sizeof line, "%s%s %s\n", sink->prefix, name, decimal(value, digits));
  if ((uint32_t)len > sink->sz - sink->len) {
    sink->sz = sink->len;
    return;
  }
  memcpy(sink->text + sink->len, line, (size_t)len);
  sink->len += (uint32_t)len;
}

static void account(struct sink *sink, const struct hwgw_risk_account *from, hwgw_money cash) {
  item(sink, "cash", cash);
  item(sink, "filled_notional", from->filled_notional);
  item(sink, "level", from->bucket.level);
  item(sink, "level_ts", from->bucket.level_ts);
  item(sink, "mark", from->equity - cash);
  item(sink, "open_cnt", from->open_cnt);
  item(sink, "open_notional", from->open_notional);
}

static void instrument(struct sink *sink, const struct hwgw_risk_instrument *from,
                       const struct hwgw_risk_holding *holding) {
  for (uint32_t i = 0; i < HWGW_RISK_ACCOUNTS_MAX; i++) {
    if (!holding->pos[i]) continue;
    char name[32];
    snprintf(name, sizeof name, "account.%02u.pos", i);
    item(sink, name, holding->pos[i]);
  }
  item(sink, "feed_good", from->is_feed_good);
  item(sink, "long_worst", from->long_worst);
  item(sink, "mark_px", holding->mark_px);
  item(sink, "open_buy_cnt", from->open_buy_cnt);
  item(sink, "open_sell_cnt", from->open_sell_cnt);
  item(sink, "own_ask_min", from->own_ask_min_inv ? ~from->own_ask_min_inv : 0);
  item(sink, "own_bid_max", from->own_bid_max);
  item(sink, "pos", from->pos);
  item(sink, "ref_px", from->ref_px);
  item(sink, "ref_ts", from->ref_ts);
  item(sink, "short_used", from->short_used);
  item(sink, "short_worst", from->short_worst);
}

static void slot(struct sink *sink, const struct hwgw_risk_slot *from) {
  item(sink, "account", from->account);
  item(sink, "executed", from->executed);
  item(sink, "flags", from->flags);
  item(sink, "instrument", from->instrument);
  item(sink, "leaves", from->leaves);
  item(sink, "orig_ref", from->orig_ref);
  item(sink, "px", from->px);
  item(sink, "ref", from->ref);
  item(sink, "side", from->side);
  item(sink, "strategy", from->strategy);
  item(sink, "tif", from->tif);
  item(sink, "type", from->type);
}

/* order `age` of the ring, 0 = newest */
static void recent(struct sink *sink, const struct hwgw_risk *risk, uint32_t age) {
  uint32_t i = (risk->recent_cnt - 1 - age) & (HWGW_RISK_RECENT_MAX - 1);
  uint64_t terms = risk->recent.terms[i];
  item(sink, "account", terms >> 8 & 0xFF);
  item(sink, "instrument", terms >> 16 & 0xFFFF);
  item(sink, "px", terms >> 32);
  item(sink, "qty", risk->recent.qty[i]);
  item(sink, "side", terms & 0xFF);
  item(sink, "ts", risk->recent.ts[i]);
}

static void strategy(struct sink *sink, const struct hwgw_risk_strategy *from) {
  item(sink, "armed", from->is_armed);
  item(sink, "fills", from->fills);
  item(sink, "level", from->bucket.level);
  item(sink, "level_ts", from->bucket.level_ts);
  item(sink, "rejects", from->rejects);
}

static void prefix(struct sink *sink, const char *name, int width, uint32_t index) {
  snprintf(sink->prefix, sizeof sink->prefix, "%s.%0*u.", name, width, index);
}

uint32_t hwgw_risk_dump(const struct hwgw_risk *risk, char *text, uint32_t sz) {
  struct sink sink = {.text = text, .sz = sz};
  for (uint32_t i = 0; i < HWGW_RISK_ACCOUNTS_MAX; i++) {
    prefix(&sink, "account", 2, i);
    account(&sink, &risk->account[i], risk->cash[i]);
  }
  snprintf(sink.prefix, sizeof sink.prefix, "gateway.");
  account(&sink, &risk->gateway, risk->cash[HWGW_RISK_GATEWAY]);
  sink.prefix[0] = 0;
  item(&sink, "generation", risk->generation);
  item(&sink, "halt", risk->halt);
  for (uint32_t i = 0; i < HWGW_RISK_INSTRUMENTS_MAX; i++) {
    prefix(&sink, "instrument", 4, i);
    instrument(&sink, &risk->instrument[i], &risk->holding[i]);
  }
  sink.prefix[0] = 0;
  item(&sink, "last_beat", risk->last_beat);
  item(&sink, "last_ref", risk->last_ref);
  item(&sink, "last_ts", risk->last_ts);
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++) {
    if (!risk->slot[i].ref) continue;
    prefix(&sink, "order", 4, i);
    slot(&sink, &risk->slot[i]);
  }
  for (uint32_t i = 0; i < HWGW_RISK_RECENT_MAX; i++) {
    prefix(&sink, "recent", 1, i);
    recent(&sink, risk, i);
  }
  for (uint32_t i = 0; i < HWGW_RISK_STRATEGIES_MAX; i++) {
    prefix(&sink, "strategy", 2, i);
    strategy(&sink, &risk->strategy[i]);
  }
  return sink.len;
}
