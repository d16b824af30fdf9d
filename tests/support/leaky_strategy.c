/* leaky_strategy.c: a strategy that does what none may: it takes memory in every call and keeps it.
 *
 * SPDX-License-Identifier: MIT
 *
 * A soak of a gateway with it must fail. Parameters: bytes of each piece, and how many calls take one.
 */
#include <stdlib.h>
#include <string.h>

#include "hwgw.h"

struct leaky {
  int64_t bytes;
  int64_t calls_max;
  int64_t calls;
  void *last;
};

static int32_t leaky(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  struct leaky *state = memory;
  (void)hook;
  (void)out;
  (void)out_max;
  if (state->calls >= state->calls_max) return 0;
  state->calls++;
  void **piece = malloc((size_t)state->bytes);
  if (!piece) return 0;
  memset(piece, 1, (size_t)state->bytes);
  *piece = state->last;
  state->last = piece;
  return 0;
}

static const char *const names[] = {"bytes", "calls_max"};
static const int64_t defaults[] = {256, 1000000000};
static const int64_t smallest[] = {8, 0};

const struct hwgw_strategy hwgw_strategy = {
    .abi = HWGW_SEGMENT_ABI,
    .state_sz_bytes = sizeof(struct leaky),
    .depth = 1,
    .param_cnt = 2,
    .name = "leaky",
    .param_names = names,
    .param_defaults = defaults,
    .param_min = smallest,
    .fn = leaky,
};
