/* hwgw_gate.h: what the conformance kit needs of a pre-trade gate: three functions in a shared object.
 *
 * SPDX-License-Identifier: MIT
 *
 *   cc -shared -fPIC -o libmygate.so mygate.c && hwgw conformance --gate ./libmygate.so
 *
 * The records are those of hwgw/specs/order.yaml and risk.yaml (hwgw_records.h); the meaning of every event and verdict is
 * docs/risk.md. The kit calls from one thread and closes what it opened.
 */
#ifndef HWGW_GATE_H
#define HWGW_GATE_H

#include <stdint.h>

struct hwgw_order;
struct hwgw_limits;

/* a gate after reset; NULL when it cannot be had */
void *gate_open(void);
/* Judges or applies one event and returns a reason code of the risk table (0 = pass). limits: with an event of kind limits
 * the new table, which stays valid and unchanged until the next one or the close; else NULL */
uint32_t gate_event(void *gate, const struct hwgw_order *event, const struct hwgw_limits *limits);
void gate_close(void *gate);

#endif
