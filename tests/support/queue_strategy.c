/* A strategy for tests: orders that join a queue, at the best price, one tick before it or behind it, and few cancels; the same for
 * the same seed.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "hwgw.h"

enum { SEED, EVERY, QTY_MAX, LIVE_MAX, PARAM_CNT };

static const char *const names[] = {"seed", "every", "qty_max", "live_max"};
static const int64_t defaults[] = {1, 5, 1, 200};

#define TICK_PX 100u
#define KNOWN 4096

struct own {
  uint32_t ref, instrument, qty;
  uint8_t side;
  uint16_t flags;
};

struct state {
  int64_t param[PARAM_CNT];
  uint64_t random, calls;
  uint32_t cnt;
  struct own own[KNOWN];
};

static uint32_t pick(struct state *state, uint32_t cnt) {
  state->random = state->random * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((state->random >> 33) % cnt);
}

static void init(void *memory, const int64_t *params) {
  struct state *state = memory;
  memcpy(state->param, params, sizeof state->param);
  state->random = (uint64_t)params[SEED];
}

static void on_order(struct state *state, const struct hwgw_order *order) {
  if (order->kind == HWGW_ORDER_KIND_ACCEPTED && state->cnt < KNOWN)
    state->own[state->cnt++] = (struct own){order->ref, order->instrument, order->qty, order->side, order->flags};
  if (order->kind != HWGW_ORDER_KIND_EXECUTED && order->kind != HWGW_ORDER_KIND_CANCELED) return;
  for (uint32_t i = 0; i < state->cnt; i++) {
    struct own *own = &state->own[i];
    if (own->ref != order->ref) continue;
    own->qty -= order->qty;
    if (!own->qty) *own = state->own[--state->cnt];
    return;
  }
}

static int32_t on_hook(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  struct state *state = memory;
  if (hook->cause == HWGW_HOOK_CAUSE_ORDER) {
    on_order(state, &hook->order);
    return 0;
  }
  if (!(hook->flags & HWGW_HOOK_FLAGS_TWO_SIDED) || out_max < 1) return 0;
  if (++state->calls % (uint64_t)state->param[EVERY] != 0) return 0;
  memset(out, 0, sizeof *out);
  out->type = HWGW_ORDER_TYPE_LIMIT;
  out->tif = HWGW_ORDER_TIF_DAY;
  if (state->cnt >= state->param[LIVE_MAX] || (state->cnt && !pick(state, 10))) {
    const struct own *own = &state->own[pick(state, state->cnt)];
    out->kind = HWGW_ORDER_KIND_CANCEL;
    out->ref = own->ref;
    out->instrument = own->instrument;
    out->side = own->side;
    out->flags = own->flags;
    return 1;
  }
  uint32_t where = pick(state, 4);
  out->kind = HWGW_ORDER_KIND_NEW;
  out->instrument = UINT32_MAX;
  out->qty = 1 + pick(state, (uint32_t)state->param[QTY_MAX]);
  out->side = pick(state, 2) ? HWGW_ORDER_SIDE_BUY : HWGW_ORDER_SIDE_SELL;
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
