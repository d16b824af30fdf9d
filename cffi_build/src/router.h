/* router.h: the router's state; hwgw.h has the functions.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_ROUTER_H
#define HWGW_ROUTER_H

#include "base.h"

/* an order that went to a venue and has not ended; slot = ref mod HWGW_RISK_OPEN_ORDERS_MAX, 0 = free */
struct router_order {
  uint32_t ref;
  uint32_t qty;
  uint64_t executed;
  uint64_t sent_ns; /* 0 = answered, or not to be timed */
};

struct router_venue {
  uint64_t ack_ns;
  uint32_t fill_q16;
  uint32_t open_cnt;
};

struct hwgw_router {
  struct hwgw_router_cfg cfg;
  struct router_venue venue[HWGW_SEGMENT_SESSIONS_MAX];
  struct router_order order[HWGW_RISK_OPEN_ORDERS_MAX];
};

#endif
