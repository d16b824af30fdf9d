/* confine.h: what the data process gives up once everything is open.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_CONFINE_H
#define HWGW_CONFINE_H

#include "base.h"

/* The calling thread gives up every capability but those of the mask keep, for good: nothing it executes can gain any
 * (no_new_privs). Each thread does it for itself. Returns 0 or HWGW_ERR_INTERNAL */
int32_t hwgw_confine_privileges(uint64_t keep, struct hwgw_error *error);
/* From here on every thread of the process may only make the system calls of the list in confine.c, and those that opening
 * a receive path takes when wide is set. Any other call fails with EPERM, is counted in the segment and latches the halt.
 * Returns 0 or HWGW_ERR_DEVICE when the kernel cannot filter */
int32_t hwgw_confine_calls(struct hwgw_segment *segment, bool wide, struct hwgw_error *error);

#endif
