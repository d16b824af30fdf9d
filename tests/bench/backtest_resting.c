/* A strategy for benchmarks: keeps a number of orders in the market, evenly over instruments, sides and the best ten prices.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "hwgw.h"

static const char *const names[] = {"orders"};
static const int64_t defaults[] = {1000};

struct state {
  int64_t orders;
  int64_t open;
  uint64_t turn;
};

static void init(void *memory, const int64_t *params) {
  ((struct state *)memory)->orders = params[0];
}

static int32_t on_hook(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  struct state *state = memory;
  if (hook->cause == HWGW_HOOK_CAUSE_ORDER) {
    const struct hwgw_order *order = &hook->order;
    if (order->kind == HWGW_ORDER_KIND_REJECTED) state->open--;
    if (order->kind == HWGW_ORDER_KIND_EXECUTED) state->open--; /* of one share each */
    return 0;
  }
  if (state->open >= state->orders || !(hook->flags & HWGW_HOOK_FLAGS_TWO_SIDED) || out_max < 1) return 0;
  uint64_t turn = state->turn++;
  uint32_t away = 100u * (uint32_t)(turn / 2 % 10);
  bool is_buy = turn % 2 == 0;
  memset(out, 0, sizeof *out);
  out->kind = HWGW_ORDER_KIND_NEW;
  out->instrument = UINT32_MAX;
  out->side = is_buy ? HWGW_ORDER_SIDE_BUY : HWGW_ORDER_SIDE_SELL;
  out->type = HWGW_ORDER_TYPE_LIMIT;
  out->tif = HWGW_ORDER_TIF_DAY;
  out->px = is_buy ? hook->bid[0].px - away : hook->ask[0].px + away;
  out->qty = 1;
  state->open++;
  return 1;
}

const struct hwgw_strategy hwgw_strategy = {
    .abi = HWGW_SEGMENT_ABI,
    .state_sz_bytes = sizeof(struct state),
    .depth = 1,
    .param_cnt = 1,
    .name = "resting",
    .param_names = names,
    .param_defaults = defaults,
    .init = init,
    .fn = on_hook,
};
