/* halt.h: the halt latch inside a control block, for those who have the block at hand.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_HALT_H
#define HWGW_HALT_H

#include "base.h"

/* sets one reason; false when it was set already, whose record stays */
bool halt_set(struct hwgw_control *control, uint32_t reason, const char *text);
/* a new gateway's control block takes over what its predecessor was halted for, but for control_lost, which ended with it */
void halt_inherit(struct hwgw_control *control, const struct hwgw_control *old);

#endif
