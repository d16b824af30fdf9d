/* fault.c: the faults of hwgw_fault.h, one word of this process.
 *
 * SPDX-License-Identifier: MIT
 */
#include "hwgw_fault.h"

static uint32_t faults_now;

void hwgw_fault_set(uint32_t faults) {
  faults_now = faults;
}

uint32_t hwgw_fault_get(void) {
  return faults_now;
}
