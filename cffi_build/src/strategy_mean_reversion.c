/* strategy_mean_reversion.c: takes liquidity when the top of book has moved away from its own average.
 *
 * SPDX-License-Identifier: MIT
 *
 * Per instrument an exponential average of the midpoint over about 2^ema_shift updates. When the ask is at least
 * edge_px below the average it buys qty at the ask, when the bid is at least edge_px above it sells at the bid, always
 * immediate or cancel, never with an order of its own still open in that instrument, never beyond position_max either
 * way, and at most once in cooldown_ns. A sell that would leave it short is marked so. It waits until warmup updates have been seen, and takes only spreads of at most
 * spread_max_px.
 * An example to read and to measure with: it is not advice, and it is not expected to earn.
 */
#include "strategy.h"

enum {
  PARAM_QTY,
  PARAM_EDGE_PX,
  PARAM_EMA_SHIFT,
  PARAM_POSITION_MAX,
  PARAM_COOLDOWN_NS,
  PARAM_WARMUP,
  PARAM_SPREAD_MAX_PX
};

static const char *const param_names[] = {"qty",         "edge_px", "ema_shift",    "position_max",
                                          "cooldown_ns", "warmup",  "spread_max_px"};
static const int64_t param_defaults[] = {100, 300, 6, 1000, 1000000, 64, 2000};

static const int64_t param_min[] = {1, 0, 0, 0, 0, 0, 0};
static const int64_t param_max[] = {1000000, HWGW_RISK_PX_MAX, 32, INT32_MAX, INT64_MAX, INT32_MAX, HWGW_RISK_PX_MAX};

#define AVERAGE_FRACTION_BITS 16

struct instrument {
  int64_t average; /* midpoint x 2, AVERAGE_FRACTION_BITS fractional bits */
  uint64_t quiet_until_ns;
  uint64_t update_cnt;
};

struct state {
  int64_t param[sizeof param_names / sizeof *param_names];
  struct instrument instrument[HWGW_SEGMENT_INSTRUMENTS_MAX];
};

static void init(void *memory, const int64_t *params) {
  struct state *state = memory;
  memcpy(state->param, params, sizeof state->param);
}

static int32_t order_fill(struct hwgw_order *out, uint8_t side, uint16_t flags, uint32_t px, uint32_t qty) {
  memset(out, 0, sizeof *out);
  out->flags = flags;
  out->kind = HWGW_ORDER_KIND_NEW;
  out->side = side;
  out->type = HWGW_ORDER_TYPE_LIMIT;
  out->tif = HWGW_ORDER_TIF_IOC;
  out->instrument = UINT32_MAX;
  out->px = px;
  out->qty = qty;
  return 1;
}

static int32_t on_hook(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  struct state *state = memory;
  const int64_t *param = state->param;
  if (hook->cause != HWGW_HOOK_CAUSE_BOOK || !(hook->flags & HWGW_HOOK_FLAGS_TWO_SIDED) || out_max < 1) return 0;
  struct instrument *at = &state->instrument[hook->instrument];

  int64_t bid = hook->bid[0].px, ask = hook->ask[0].px;
  int64_t middle = (bid + ask) * (1 << AVERAGE_FRACTION_BITS);
  if (at->update_cnt++ == 0) at->average = middle;
  at->average += (middle - at->average) / ((int64_t)1 << param[PARAM_EMA_SHIFT]);
  int64_t fair = at->average / (2 << AVERAGE_FRACTION_BITS);

  if (at->update_cnt < (uint64_t)param[PARAM_WARMUP] || hook->now_ns < at->quiet_until_ns) return 0;
  if (hook->open_buy_cnt + hook->open_sell_cnt > 0 || ask - bid > param[PARAM_SPREAD_MAX_PX]) return 0;
  bool buys = ask + param[PARAM_EDGE_PX] <= fair && hook->position + param[PARAM_QTY] <= param[PARAM_POSITION_MAX];
  bool sells = bid - param[PARAM_EDGE_PX] >= fair && hook->position - param[PARAM_QTY] >= -param[PARAM_POSITION_MAX];
  if (!buys && !sells) return 0;
  at->quiet_until_ns = hook->now_ns + (uint64_t)param[PARAM_COOLDOWN_NS];
  uint32_t qty = (uint32_t)param[PARAM_QTY];
  uint16_t flags = hook->position < param[PARAM_QTY] ? HWGW_ORDER_FLAGS_SHORT_SALE : 0;
  return buys ? order_fill(out, HWGW_ORDER_SIDE_BUY, 0, (uint32_t)ask, qty)
              : order_fill(out, HWGW_ORDER_SIDE_SELL, flags, (uint32_t)bid, qty);
}

const struct hwgw_strategy hwgw_strategy_mean_reversion = {
    .abi = HWGW_SEGMENT_ABI,
    .state_sz_bytes = sizeof(struct state),
    .depth = 1,
    .param_cnt = sizeof param_names / sizeof *param_names,
    .name = "mean_reversion",
    .param_names = param_names,
    .param_defaults = param_defaults,
    .param_min = param_min,
    .param_max = param_max,
    .init = init,
    .fn = on_hook,
};
