/* hwgw_fault.h: faults that tests put in where the hardware for them is missing. Nothing else may set them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_FAULT_H
#define HWGW_FAULT_H

#include <stdint.h>

/* hwgw cdef begin */

enum hwgw_fault {
  HWGW_FAULT_HARDWARE_TIME = 1, /* afxdp: every interface passes for one whose NIC stamps all frames */
  HWGW_FAULT_ZERO_COPY = 2,     /* afxdp: a copy-mode socket passes for one with zero copy */
  HWGW_FAULT_NO_DELIVERY = 4,   /* afxdp: such a socket gets nothing of what the program gives it */
  HWGW_FAULT_NO_COPY = 8,       /* afxdp: and cannot be replaced by one in copy mode; read at that moment */
  HWGW_FAULT_NAPI = 16          /* afxdp: sockets pass for ones whose driver can be busy polled; read at stats */
};

/* of receivers that are opened from now on in this process; 0 = none */
void hwgw_fault_set(uint32_t faults);
uint32_t hwgw_fault_get(void);
/* the writer of the journal kills itself at its call-th write or sync (from 1), after so many bytes of it; 0 = never */
void hwgw_fault_journal(uint32_t call, uint64_t bytes);
/* the writer is about to write len bytes, or to sync (1): how many it may, UINT64_MAX = all */
uint64_t hwgw_fault_write(uint64_t len);
void hwgw_fault_die(void);

/* hwgw cdef end */

#endif
