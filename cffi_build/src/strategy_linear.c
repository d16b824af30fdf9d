/* strategy_linear.c: a weighted sum of features, and orders where it says enough.
 *
 * SPDX-License-Identifier: MIT
 *
 * signal = bias + w0 f0 + w1 f1 + ..., the features of hwgw/specs/features.yaml in their order and in their units, in
 * doubles, one product and one sum after the other, each rounded by itself (this file is compiled without contraction of
 * both into one), so that any IEEE machine that does the same gets the same bits.
 * At `enter` or more it buys qty at the best ask, at -enter or less it sells at the best bid, never beyond position_max;
 * while it has a position whose signal falls below `leave` it closes qty of it. All immediate or cancel, one at a time per
 * instrument, and none within cooldown_ns of the last. The signal counts only on a sound, two-sided, trading book.
 */
#include "strategy.h"

enum { PARAM_QTY, PARAM_POSITION_MAX, PARAM_COOLDOWN_NS, PARAM_LINEAR };

#define LINEAR_WORDS (sizeof(struct hwgw_linear) / sizeof(int64_t))
#define PARAM_CNT (PARAM_LINEAR + LINEAR_WORDS)

/* those behind the first are struct hwgw_linear, word by word; its maker gives them as defaults */
#define WORDS PARAM_LINEAR... PARAM_CNT - 1
static const char *const param_names[PARAM_CNT] = {"qty", "position_max", "cooldown_ns", [WORDS] = "_"};
static const int64_t param_defaults[PARAM_CNT] = {100, 1000, 1000000};
static const int64_t param_min[PARAM_CNT] = {1, 0, 0, [WORDS] = INT64_MIN};
static const int64_t param_max[PARAM_CNT] = {1000000, INT32_MAX, INT64_MAX, [WORDS] = INT64_MAX};

struct instrument {
  uint32_t ref; /* the order that is out, 0 = none */
  uint32_t leaves;
  uint64_t quiet_until_ns;
};

struct state {
  int64_t param[PARAM_LINEAR];
  struct hwgw_linear linear;
  struct instrument instrument[HWGW_SEGMENT_INSTRUMENTS_MAX];
};

double hwgw_linear_signal(const struct hwgw_linear *linear, const struct hwgw_features *features) {
  _Static_assert(sizeof *features == HWGW_FEATURE_CNT * sizeof(int64_t), "features are words");
  const int64_t *value = (const int64_t *)features;
  double signal = linear->bias;
  for (uint64_t left = linear->mask; left; left &= left - 1) {
    uint32_t i = (uint32_t)__builtin_ctzll(left);
    signal += linear->weight[i] * (double)value[i];
  }
  return signal;
}

void hwgw_linear_signals(const struct hwgw_linear *linear, const struct hwgw_features *features, uint32_t cnt,
                         double *signals) {
  for (uint32_t i = 0; i < cnt; i++) signals[i] = hwgw_linear_signal(linear, &features[i]);
}

static void init(void *memory, const int64_t *params) {
  struct state *state = memory;
  memcpy(state->param, params, sizeof state->param);
  memcpy(&state->linear, params + PARAM_LINEAR, sizeof state->linear);
}

static void on_order(struct instrument *at, const struct hwgw_order *order) {
  switch (order->kind) {
    case HWGW_ORDER_KIND_NEW:
      at->ref = order->ref;
      at->leaves = order->qty;
      break;
    case HWGW_ORDER_KIND_EXECUTED:
    case HWGW_ORDER_KIND_CANCELED:
      if (order->ref != at->ref) break;
      at->leaves -= order->qty < at->leaves ? order->qty : at->leaves;
      if (at->leaves == 0) at->ref = 0;
      break;
    case HWGW_ORDER_KIND_REJECTED:
      if (order->ref == at->ref) at->ref = 0;
      break;
    default:
      break;
  }
}

/* shares to buy, negative to sell */
static int64_t wanted(const struct state *state, double signal, int64_t position) {
  int64_t qty = state->param[PARAM_QTY], max = state->param[PARAM_POSITION_MAX];
  if (signal >= state->linear.enter) return position + qty <= max ? qty : 0;
  if (signal <= -state->linear.enter) return position - qty >= -max ? -qty : 0;
  if (position > 0 && signal < state->linear.leave) return -(position < qty ? position : qty);
  if (position < 0 && -signal < state->linear.leave) return -position < qty ? -position : qty;
  return 0;
}

static int32_t on_hook(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  struct state *state = memory;
  struct instrument *at = &state->instrument[hook->instrument];
  if (hook->cause == HWGW_HOOK_CAUSE_ORDER) {
    on_order(at, &hook->order);
    return 0;
  }
  const uint32_t sound = HWGW_HOOK_FLAGS_FEED_GOOD | HWGW_HOOK_FLAGS_TWO_SIDED;
  if ((hook->flags & sound) != sound || out_max < 1 || at->ref || hook->now_ns < at->quiet_until_ns) return 0;
  int64_t qty = wanted(state, hwgw_linear_signal(&state->linear, &hook->features), hook->position);
  if (qty == 0) return 0;
  memset(out, 0, sizeof *out);
  out->kind = HWGW_ORDER_KIND_NEW;
  out->instrument = UINT32_MAX;
  out->side = qty > 0 ? HWGW_ORDER_SIDE_BUY : HWGW_ORDER_SIDE_SELL;
  out->type = HWGW_ORDER_TYPE_LIMIT;
  out->tif = HWGW_ORDER_TIF_IOC;
  out->px = qty > 0 ? hook->ask[0].px : hook->bid[0].px;
  out->qty = (uint32_t)(qty > 0 ? qty : -qty);
  if (qty < 0 && hook->position < -qty) out->flags = HWGW_ORDER_FLAGS_SHORT_SALE;
  at->quiet_until_ns = hook->now_ns + (uint64_t)state->param[PARAM_COOLDOWN_NS];
  return 1;
}

static const struct hwgw_strategy linear = {
    .abi = HWGW_SEGMENT_ABI,
    .state_sz_bytes = sizeof(struct state),
    .depth = 1,
    .param_cnt = PARAM_CNT,
    .name = "linear",
    .param_names = param_names,
    .param_defaults = param_defaults,
    .param_min = param_min,
    .param_max = param_max,
    .init = init,
    .fn = on_hook,
};

const struct hwgw_strategy *hwgw_strategy_linear(void) {
  return &linear;
}
