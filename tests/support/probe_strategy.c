/* A strategy for tests: what it sends is said by its parameters, and it keeps what it was told.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "hwgw.h"

enum { EVERY, ORDERS, KIND, SIDE, TIF, PX, QTY, SAY, INSTRUMENT, OPTION };

static const char *const names[] = {"every", "orders", "kind", "side",       "tif",
                                    "px",    "qty",    "say",  "instrument", "option"};
static const int64_t defaults[] = {1,  1, HWGW_ORDER_KIND_NEW, HWGW_ORDER_SIDE_BUY, HWGW_ORDER_TIF_IOC, 0, 100, 0,
                                   -1, 0};

struct state {
  int64_t param[10];
  int64_t calls;
};

static void init(void *memory, const int64_t *params) {
  struct state *state = memory;
  memcpy(state->param, params, sizeof state->param);
}

/* px 0: joins the best price of the other side; say: the number it claims to have written, 0 = the truth */
static int32_t on_hook(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  struct state *state = memory;
  const int64_t *param = state->param;
  if (hook->cause != HWGW_HOOK_CAUSE_BOOK || out_max == 0) return 0;
  if (!(hook->flags & HWGW_HOOK_FLAGS_TWO_SIDED) || ++state->calls % param[EVERY] != 0) return 0;
  for (int64_t i = 0; i < param[ORDERS] && i < out_max; i++) {
    const struct hwgw_level *other = param[SIDE] == HWGW_ORDER_SIDE_BUY ? hook->ask : hook->bid;
    memset(&out[i], 0, sizeof out[i]);
    out[i].kind = (uint8_t)param[KIND];
    out[i].side = (uint8_t)param[SIDE];
    out[i].type = HWGW_ORDER_TYPE_LIMIT;
    out[i].tif = (uint8_t)param[TIF];
    out[i].px = param[PX] ? (uint32_t)param[PX] : other[0].px;
    out[i].qty = (uint32_t)param[QTY];
    out[i].instrument = (uint32_t)param[INSTRUMENT];
    out[i].venue_ref = (uint64_t)param[OPTION] << HWGW_ORDER_OPTION_SHIFT;
  }
  return (int32_t)(param[SAY] ? param[SAY] : param[ORDERS]);
}

const struct hwgw_strategy hwgw_strategy = {
    .abi = HWGW_SEGMENT_ABI,
    .state_sz_bytes = sizeof(struct state),
    .depth = 1,
    .param_cnt = 10,
    .name = "probe",
    .param_names = names,
    .param_defaults = defaults,
    .init = init,
    .fn = on_hook,
};
