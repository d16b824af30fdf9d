/* strategy_imbalance.c: rests one order on the heavy side of the book and follows it.
 *
 * SPDX-License-Identifier: MIT
 *
 * imbalance = (bid shares - ask shares) / (bid shares + ask shares) over the best `levels` levels, in percent. At
 * enter_pct or more it joins the best bid, at -enter_pct or less the best ask, with qty shares for the day. It has at most
 * one order per instrument: replaced when the price of its side moved by at least follow_px, cancelled when the imbalance
 * falls below leave_pct towards its side, never beyond position_max, one action per cooldown_ns.
 * An example to read and to measure with: it is not advice, and it is not expected to earn.
 */
#include "strategy.h"

enum {
  PARAM_QTY,
  PARAM_LEVELS,
  PARAM_ENTER_PCT,
  PARAM_LEAVE_PCT,
  PARAM_FOLLOW_PX,
  PARAM_POSITION_MAX,
  PARAM_COOLDOWN_NS
};

static const char *const param_names[] = {"qty",       "levels",       "enter_pct",  "leave_pct",
                                          "follow_px", "position_max", "cooldown_ns"};
static const int64_t param_defaults[] = {100, 5, 40, 10, 100, 1000, 2000000};

static const int64_t param_min[] = {1, 1, 0, -100, 0, 0, 0};
static const int64_t param_max[] = {1000000, 10, 100, 100, HWGW_RISK_PX_MAX, INT32_MAX, INT64_MAX};

struct instrument {
  uint32_t ref; /* live order, 0 = none */
  uint32_t px;
  uint32_t leaves;
  uint8_t side;
  uint16_t flags; /* of the order: a replace keeps its short mark */
  bool pending;   /* a replace or cancel is on its way to the venue */
  uint64_t quiet_until_ns;
};

struct state {
  int64_t param[sizeof param_names / sizeof *param_names];
  struct instrument instrument[HWGW_SEGMENT_INSTRUMENTS_MAX];
};

static void init(void *memory, const int64_t *params) {
  struct state *state = memory;
  memcpy(state->param, params, sizeof state->param);
}

static int64_t shares(const struct hwgw_level *levels, uint32_t cnt) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < cnt; i++) sum += levels[i].qty;
  return (int64_t)sum;
}

/* what the venue said of our order; the pipeline tells the reference it gave to a new one as kind new */
static void on_order(struct instrument *at, const struct hwgw_order *order) {
  switch (order->kind) {
    case HWGW_ORDER_KIND_NEW:
    case HWGW_ORDER_KIND_REPLACED:
      *at = (struct instrument){.ref = order->ref,
                                .px = order->px,
                                .leaves = order->qty,
                                .side = order->side,
                                .flags = order->flags,
                                .quiet_until_ns = at->quiet_until_ns};
      break;
    case HWGW_ORDER_KIND_EXECUTED:
    case HWGW_ORDER_KIND_CANCELED:
      if (order->ref != at->ref) break;
      at->leaves -= order->qty < at->leaves ? order->qty : at->leaves;
      if (order->kind == HWGW_ORDER_KIND_CANCELED) at->pending = false;
      if (at->leaves == 0) *at = (struct instrument){.quiet_until_ns = at->quiet_until_ns};
      break;
    case HWGW_ORDER_KIND_REJECTED:
      if (order->ref == at->ref) at->ref = 0;
      at->pending = false;
      break;
    case HWGW_ORDER_KIND_CANCEL: /* with a reason it did not leave, and the order lives on */
      if (order->reason && order->ref == at->ref) at->pending = false;
      break;
    default:
      break;
  }
}

static int32_t on_hook(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  struct state *state = memory;
  const int64_t *param = state->param;
  struct instrument *at = &state->instrument[hook->instrument];
  if (hook->cause == HWGW_HOOK_CAUSE_ORDER) {
    on_order(at, &hook->order);
    return 0;
  }
  if (!(hook->flags & HWGW_HOOK_FLAGS_TWO_SIDED) || out_max < 1 || at->pending || hook->now_ns < at->quiet_until_ns) {
    return 0;
  }
  uint32_t levels = hook->depth_cnt < (uint32_t)param[PARAM_LEVELS] ? hook->depth_cnt : (uint32_t)param[PARAM_LEVELS];
  int64_t bid = shares(hook->bid, levels), ask = shares(hook->ask, levels);
  if (bid + ask == 0) return 0;
  int64_t pct = (bid - ask) * 100 / (bid + ask);

  memset(out, 0, sizeof *out);
  out->instrument = UINT32_MAX;
  if (at->ref) {
    bool is_buy = at->side == HWGW_ORDER_SIDE_BUY;
    int64_t px = is_buy ? hook->bid[0].px : hook->ask[0].px;
    int64_t moved = px > at->px ? px - at->px : at->px - px;
    if ((is_buy ? pct : -pct) < param[PARAM_LEAVE_PCT]) {
      out->kind = HWGW_ORDER_KIND_CANCEL;
      out->ref = at->ref;
    } else if (moved >= param[PARAM_FOLLOW_PX]) {
      out->kind = HWGW_ORDER_KIND_REPLACE;
      out->orig_ref = at->ref;
      out->side = at->side;
      out->px = (uint32_t)px;
      out->qty = at->leaves;
      out->flags = at->flags;
    } else {
      return 0;
    }
    at->pending = true;
  } else {
    bool buys = pct >= param[PARAM_ENTER_PCT] && hook->position + param[PARAM_QTY] <= param[PARAM_POSITION_MAX];
    bool sells = pct <= -param[PARAM_ENTER_PCT] && hook->position - param[PARAM_QTY] >= -param[PARAM_POSITION_MAX];
    if (!buys && !sells) return 0;
    out->kind = HWGW_ORDER_KIND_NEW;
    out->side = buys ? HWGW_ORDER_SIDE_BUY : HWGW_ORDER_SIDE_SELL;
    out->px = buys ? hook->bid[0].px : hook->ask[0].px;
    out->qty = (uint32_t)param[PARAM_QTY];
    if (sells && hook->position < param[PARAM_QTY]) out->flags = HWGW_ORDER_FLAGS_SHORT_SALE;
  }
  out->type = HWGW_ORDER_TYPE_LIMIT;
  out->tif = HWGW_ORDER_TIF_DAY;
  at->quiet_until_ns = hook->now_ns + (uint64_t)param[PARAM_COOLDOWN_NS];
  return 1;
}

const struct hwgw_strategy hwgw_strategy_imbalance = {
    .abi = HWGW_SEGMENT_ABI,
    .state_sz_bytes = sizeof(struct state),
    .depth = 10,
    .param_cnt = sizeof param_names / sizeof *param_names,
    .name = "imbalance",
    .param_names = param_names,
    .param_defaults = param_defaults,
    .param_min = param_min,
    .param_max = param_max,
    .init = init,
    .fn = on_hook,
};
