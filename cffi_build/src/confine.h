/* confine.h: what the data process gives up once everything is open.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_CONFINE_H
#define HWGW_CONFINE_H

#include "base.h"

/* The calling thread gives up every capability but those of the mask keep, for good: nothing it executes can gain any
 * (no_new_privs). Returns 0 or HWGW_ERR_INTERNAL */
int32_t hwgw_confine_privileges(uint64_t keep, struct hwgw_error *error);
/* The same for every thread of the process but the calling one and those that have done it for themselves (done, their
 * thread ids, HWGW_SEGMENT_THREADS_MAX at most). One thread calls it, once. Returns 0 or HWGW_ERR_INTERNAL: one of them
 * does not within two seconds */
int32_t hwgw_confine_others(uint64_t keep, const int32_t *done, uint32_t done_cnt, struct hwgw_error *error);

/* what a process may do besides behind the filter: open receive paths anew with the privileges that it kept, or let a
 * backend's driver do what polling and closing take (rx.h, keep_caps) */
enum hwgw_calls { HWGW_CALLS_REOPEN = 1, HWGW_CALLS_DRIVER = 2 };

/* From here on every thread of the process may only make the system calls of the list in confine.c, and those of sets (bits
 * of hwgw_calls). Any other call fails with EPERM, is counted in the segment and latches the halt. Returns 0 or
 * HWGW_ERR_DEVICE when the kernel cannot filter */
int32_t hwgw_confine_calls(struct hwgw_segment *segment, uint32_t sets, struct hwgw_error *error);

#endif
