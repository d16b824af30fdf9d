/* fault.c: the faults of hwgw_fault.h, one word of this process.
 *
 * SPDX-License-Identifier: MIT
 */
#include "hwgw_fault.h"

#include <signal.h>
#include <unistd.h>

static uint32_t faults_now;
static uint32_t journal_call, journal_calls;
static uint64_t journal_bytes;

void hwgw_fault_set(uint32_t faults) {
  faults_now = faults;
}

uint32_t hwgw_fault_get(void) {
  return faults_now;
}

void hwgw_fault_journal(uint32_t call, uint64_t bytes) {
  journal_call = call;
  journal_bytes = bytes;
  journal_calls = 0;
}

uint64_t hwgw_fault_write(uint64_t len) {
  if (!journal_call || ++journal_calls != journal_call) return UINT64_MAX;
  return journal_bytes < len ? journal_bytes : len;
}

void hwgw_fault_die(void) {
  kill(getpid(), SIGKILL);
}
