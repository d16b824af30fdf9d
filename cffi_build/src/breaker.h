/* breaker.h: the state of the circuit breakers. The contract is docs/breakers.md.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_BREAKER_H
#define HWGW_BREAKER_H

#include "base.h"

#define BREAKER_INDEX_MAX HWGW_RISK_INSTRUMENTS_MAX /* the widest scope */

/* one window of a rule: of the gateway, an account, a strategy or an instrument */
struct breaker_cell {
  uint64_t start; /* ts of the beginning of the step that is running */
  int64_t total;  /* over the steps; of loss the newest equity */
  int64_t value;  /* of the trip that was not taken yet */
  uint32_t head;  /* the step that is running */
  uint32_t pad;
  int64_t step[HWGW_BREAKER_STEPS]; /* what was counted; of loss the highest equity */
};

struct hwgw_breaker {
  uint32_t by_kind[HWGW_BREAKER_KIND_CNT]; /* bit per rule */
  uint32_t pending;                        /* rules with trips that were not taken yet */
  struct hwgw_limits_breaker rule[HWGW_BREAKER_RULES_MAX];
  uint64_t feed_good[BREAKER_INDEX_MAX / 64];
  uint64_t tripped[HWGW_BREAKER_RULES_MAX][BREAKER_INDEX_MAX / 64];
  struct breaker_cell cell[HWGW_BREAKER_RULES_MAX][BREAKER_INDEX_MAX];
};

_Static_assert((HWGW_BREAKER_STEPS & (HWGW_BREAKER_STEPS - 1)) == 0, "steps by mask");
_Static_assert(BREAKER_INDEX_MAX % 64 == 0, "whole words of bits");

#endif
