/* A strategy for tests: orders, replaces and cancels of every kind at random, but the same for the same seed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "random_orders.h"

enum { SEED, EVERY, SPREAD_PX, LIVE_MAX, MARKET_PCT, PARAM_CNT };

static const char *const names[] = {"seed", "every", "spread_px", "live_max", "market_pct"};
static const int64_t defaults[] = {1, 5, 300, 40, 3};

struct state {
  int64_t param[PARAM_CNT];
  struct orders orders;
};

static void init(void *memory, const int64_t *params) {
  struct state *state = memory;
  memcpy(state->param, params, sizeof state->param);
  state->orders.random = (uint64_t)params[SEED];
}

static uint32_t price(struct state *state, const struct hwgw_hook *hook, uint8_t side) {
  int64_t px = side == HWGW_ORDER_SIDE_BUY ? hook->bid[0].px : hook->ask[0].px;
  int64_t tick = 100, reach = state->param[SPREAD_PX] / tick;
  int64_t away = (int64_t)pick(&state->orders, (uint32_t)(2 * reach + 1)) - reach;
  px += away * tick;
  return px > 0 ? (uint32_t)px : 100;
}

static int32_t on_hook(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  struct state *state = memory;
  struct orders *orders = &state->orders;
  if (!is_turn(orders, hook, state->param[EVERY], out, out_max)) return 0;
  uint32_t what = pick(orders, 100);
  bool is_full = orders->cnt >= state->param[LIVE_MAX];
  if (orders->cnt && (is_full || what >= 60)) {
    const struct own *own = choose(orders, out);
    if (what >= 80 || own->instrument != hook->instrument) {
      out->kind = HWGW_ORDER_KIND_CANCEL;
      out->ref = own->ref;
      out->qty = what >= 90 ? 1 + pick(orders, own->qty + 20) : 0;
    } else {
      out->kind = HWGW_ORDER_KIND_REPLACE;
      out->orig_ref = own->ref;
      out->qty = 1 + pick(orders, 300);
      out->px = price(state, hook, own->side);
    }
    return 1;
  }
  if (is_full) return 0;
  out->kind = HWGW_ORDER_KIND_NEW;
  out->side = pick(orders, 2) ? HWGW_ORDER_SIDE_BUY : HWGW_ORDER_SIDE_SELL;
  out->qty = 1 + pick(orders, 400);
  out->tif = pick(orders, 5) ? HWGW_ORDER_TIF_DAY : HWGW_ORDER_TIF_IOC;
  out->px = price(state, hook, out->side);
  if (pick(orders, 100) < (uint32_t)state->param[MARKET_PCT]) {
    out->type = HWGW_ORDER_TYPE_MARKET;
    out->px = 0;
    out->tif = HWGW_ORDER_TIF_IOC;
  }
  return 1;
}

const struct hwgw_strategy hwgw_strategy = {
    .abi = HWGW_SEGMENT_ABI,
    .state_sz_bytes = sizeof(struct state),
    .depth = 1,
    .param_cnt = PARAM_CNT,
    .name = "random",
    .param_names = names,
    .param_defaults = defaults,
    .init = init,
    .fn = on_hook,
};
