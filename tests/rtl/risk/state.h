/* state.h: the state of the Verilated gate in the shape of the C gate's (struct hwgw_risk), read row by row.
 *
 * SPDX-License-Identifier: MIT
 *
 * Each function fills in one part of a struct hwgw_risk and leaves the rest alone; padding is not touched.
 */
#ifndef RISK_STATE_H
#define RISK_STATE_H

#include "model.h"
#include "risk.h"

/* halt, times, references, generation, and the recent orders in the order that to->recent_cnt says */
void state_globals(const struct risk_model *model, struct hwgw_risk *to);
/* an account with its money, or the gateway: index HWGW_RISK_GATEWAY */
void state_account(const struct risk_model *model, struct hwgw_risk *to, uint32_t index);
void state_strategy(const struct risk_model *model, struct hwgw_risk *to, uint32_t index);
void state_instrument(const struct risk_model *model, struct hwgw_risk *to, uint32_t index);
void state_slot(const struct risk_model *model, struct hwgw_risk *to, uint32_t index);
/* everything; to is all zero bytes or was filled in by an earlier call */
void state_all(const struct risk_model *model, struct hwgw_risk *to);

#endif
