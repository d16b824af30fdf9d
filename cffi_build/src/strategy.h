/* strategy.h: the built-in strategies.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_STRATEGY_H
#define HWGW_STRATEGY_H

#include "base.h"

extern const struct hwgw_strategy hwgw_strategy_mean_reversion;
extern const struct hwgw_strategy hwgw_strategy_imbalance;

#endif
