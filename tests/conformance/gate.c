/* gate.c: hwgw's own gate behind the three functions of the conformance kit; the pattern for any other gate.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>

#include "hwgw.h"
#include "hwgw_gate.h"

#define ALIGN 128

void *gate_open(void) {
  size_t sz = (hwgw_risk_sz_bytes() + (size_t)ALIGN - 1) / ALIGN * ALIGN;
  struct hwgw_risk *risk = aligned_alloc(ALIGN, sz);
  if (risk) hwgw_risk_init(risk);
  return risk;
}

uint32_t gate_event(void *gate, const struct hwgw_order *event, const struct hwgw_limits *limits) {
  return hwgw_risk_event(gate, event, limits);
}

void gate_close(void *gate) {
  free(gate);
}
