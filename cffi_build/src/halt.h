/* halt.h: the halt latch inside a control block, for those who have the block at hand.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_HALT_H
#define HWGW_HALT_H

#include "base.h"

/* sets one reason; false when it was set already, whose record stays */
bool halt_set(struct hwgw_control *control, uint32_t reason, const char *text);
/* more is known now of a reason that is set: its record says so */
void halt_say(struct hwgw_control *control, uint32_t reason, const char *text);
/* A new gateway takes over what its predecessor of that name was halted for, but for control_lost, which ended with it;
 * instruments by symbol, venues by name. One that it does not know any more halts all of it with reason state: forgetting that would
 * let it trade when it comes back. */
void halt_inherit(struct hwgw_segment *to, struct hwgw_segment *from);
/* is anything halted, the gateway or an instrument */
bool halt_is_latched(const struct hwgw_control *control);

static inline bool halt_has_venue(const struct hwgw_control *control, uint32_t venue) {
  return __atomic_load_n(&control->venue_halt, __ATOMIC_ACQUIRE) >> venue & 1;
}

static inline bool halt_has_instrument(const struct hwgw_control *control, uint32_t instrument) {
  return __atomic_load_n(&control->instrument_halt[instrument / 64], __ATOMIC_ACQUIRE) >> instrument % 64 & 1;
}

#endif
