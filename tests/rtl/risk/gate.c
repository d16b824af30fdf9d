/* gate.c: the Verilated gate behind the three functions of the conformance kit.
 *
 * SPDX-License-Identifier: MIT
 */
#include "hwgw_gate.h"
#include "model.h"
#include "risk.h"

void *gate_open(void) {
  return risk_model_open();
}

uint32_t gate_event(void *gate, const struct hwgw_order *event, const struct hwgw_limits *limits) {
  uint8_t reason = UINT8_MAX;
  if (limits) risk_model_table(gate, (const uint64_t *)limits, sizeof *limits / sizeof(uint64_t));
  return risk_model_events(gate, event, 1, &reason) ? reason : UINT32_MAX;
}

void gate_close(void *gate) {
  risk_model_close(gate);
}
