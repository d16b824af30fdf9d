/* flow_filter.h: the socket filter that lets in the frames of flows.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_FLOW_FILTER_H
#define HWGW_FLOW_FILTER_H

#include "base.h"

enum { HWGW_FLOW_FILTER_MAX = 512 }; /* flows of one filter */

/* lets only the flows into a packet socket; as_steered: exactly the frames that xdp/steer.bpf.c knows for theirs, so of
 * fragments the first ones alone, and nothing that this host sends to itself. 0 or errno */
int hwgw_flow_filter(int fd, const struct hwgw_flow *flows, uint32_t flow_cnt, bool as_steered);

#endif
