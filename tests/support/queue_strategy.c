/* A strategy for tests: orders that join a queue, at the best price, one tick before it or behind it, and few cancels; the same for
 * the same seed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "random_orders.h"

enum { SEED, EVERY, QTY_MAX, LIVE_MAX, PARAM_CNT };

static const char *const names[] = {"seed", "every", "qty_max", "live_max"};
static const int64_t defaults[] = {1, 5, 1, 200};

#define TICK_PX 100u

struct state {
  int64_t param[PARAM_CNT];
  struct orders orders;
};

static void init(void *memory, const int64_t *params) {
  struct state *state = memory;
  memcpy(state->param, params, sizeof state->param);
  state->orders.random = (uint64_t)params[SEED];
}

static int32_t on_hook(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  struct state *state = memory;
  struct orders *orders = &state->orders;
  if (!is_turn(orders, hook, state->param[EVERY], out, out_max)) return 0;
  if (orders->cnt >= state->param[LIVE_MAX] || (orders->cnt && !pick(orders, 10))) {
    out->kind = HWGW_ORDER_KIND_CANCEL;
    out->ref = choose(orders, out)->ref;
    return 1;
  }
  uint32_t where = pick(orders, 4);
  out->kind = HWGW_ORDER_KIND_NEW;
  out->qty = 1 + pick(orders, (uint32_t)state->param[QTY_MAX]);
  out->side = pick(orders, 2) ? HWGW_ORDER_SIDE_BUY : HWGW_ORDER_SIDE_SELL;
  uint32_t away = where == 0 ? TICK_PX : where == 3 ? 0 - TICK_PX : 0; /* towards the other side */
  out->px = out->side == HWGW_ORDER_SIDE_BUY ? hook->bid[0].px + away : hook->ask[0].px - away;
  return 1;
}

const struct hwgw_strategy hwgw_strategy = {
    .abi = HWGW_SEGMENT_ABI,
    .state_sz_bytes = sizeof(struct state),
    .depth = 1,
    .param_cnt = PARAM_CNT,
    .name = "queue",
    .param_names = names,
    .param_defaults = defaults,
    .init = init,
    .fn = on_hook,
};
