/* A strategy for tests: orders, replaces and cancels of every kind at random, but the same for the same seed.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "hwgw.h"

enum { SEED, EVERY, SPREAD_PX, LIVE_MAX, MARKET_PCT };

static const char *const names[] = {"seed", "every", "spread_px", "live_max", "market_pct"};
static const int64_t defaults[] = {1, 5, 300, 40, 3};

#define KNOWN 4096

struct own {
  uint32_t ref, px, qty;
  uint32_t instrument;
  uint8_t side;
  uint16_t flags;
};

struct state {
  int64_t param[5];
  uint64_t random;
  uint64_t calls;
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

static void forget(struct state *state, uint32_t ref) {
  for (uint32_t i = 0; i < state->cnt; i++)
    if (state->own[i].ref == ref) state->own[i--] = state->own[--state->cnt];
}

static void on_order(struct state *state, const struct hwgw_order *order) {
  if (order->kind == HWGW_ORDER_KIND_REPLACED) forget(state, order->orig_ref);
  if ((order->kind == HWGW_ORDER_KIND_ACCEPTED || order->kind == HWGW_ORDER_KIND_REPLACED) && state->cnt < KNOWN)
    state->own[state->cnt++] =
        (struct own){order->ref, order->px, order->qty, order->instrument, order->side, order->flags};
  if (order->kind == HWGW_ORDER_KIND_EXECUTED || order->kind == HWGW_ORDER_KIND_CANCELED) {
    for (uint32_t i = 0; i < state->cnt; i++) {
      struct own *own = &state->own[i];
      if (own->ref != order->ref) continue;
      own->qty -= order->qty < own->qty ? order->qty : own->qty;
      if (!own->qty) forget(state, order->ref);
      break;
    }
  }
}

static uint32_t price(struct state *state, const struct hwgw_hook *hook, uint8_t side) {
  int64_t px = side == HWGW_ORDER_SIDE_BUY ? hook->bid[0].px : hook->ask[0].px;
  int64_t tick = 100, reach = state->param[SPREAD_PX] / tick;
  int64_t away = (int64_t)pick(state, (uint32_t)(2 * reach + 1)) - reach;
  px += away * tick;
  return px > 0 ? (uint32_t)px : 100;
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
  out->instrument = UINT32_MAX;
  out->type = HWGW_ORDER_TYPE_LIMIT;
  out->tif = HWGW_ORDER_TIF_DAY;
  uint32_t what = pick(state, 100);
  bool is_full = state->cnt >= state->param[LIVE_MAX];
  if (state->cnt && (is_full || what >= 60)) {
    const struct own *own = &state->own[pick(state, state->cnt)];
    out->instrument = own->instrument;
    out->side = own->side;
    out->flags = own->flags;
    if (what >= 80 || own->instrument != hook->instrument) {
      out->kind = HWGW_ORDER_KIND_CANCEL;
      out->ref = own->ref;
      out->qty = what >= 90 ? 1 + pick(state, own->qty + 20) : 0;
    } else {
      out->kind = HWGW_ORDER_KIND_REPLACE;
      out->orig_ref = own->ref;
      out->qty = 1 + pick(state, 300);
      out->px = price(state, hook, own->side);
    }
    return 1;
  }
  if (is_full) return 0;
  out->kind = HWGW_ORDER_KIND_NEW;
  out->side = pick(state, 2) ? HWGW_ORDER_SIDE_BUY : HWGW_ORDER_SIDE_SELL;
  out->qty = 1 + pick(state, 400);
  out->tif = pick(state, 5) ? HWGW_ORDER_TIF_DAY : HWGW_ORDER_TIF_IOC;
  out->px = price(state, hook, out->side);
  if (pick(state, 100) < (uint32_t)state->param[MARKET_PCT]) {
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
    .param_cnt = 5,
    .name = "random",
    .param_names = names,
    .param_defaults = defaults,
    .init = init,
    .fn = on_hook,
};
