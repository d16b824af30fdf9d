/* xdp_witness.h: counts the frames of flows that reach the kernel's stack on an interface, where the steering program
 * should have taken them: a packet socket that nobody reads.
 *
 * SPDX-License-Identifier: MIT
 *
 * A frame that the program redirects never comes to a packet socket, so while all is well the witness costs nothing. What
 * it sees are frames that the program let pass, which the program has counted, and frames that no program of ours saw:
 * it was taken off, or the path was being opened anew. Frames that this host sends to itself are not seen.
 *
 * Set-up and housekeeping; open needs CAP_NET_RAW, the others nothing. Not for more than HWGW_XDP_WITNESS_FLOWS_MAX flows.
 */
#ifndef HWGW_XDP_WITNESS_H
#define HWGW_XDP_WITNESS_H

#include "flow_filter.h"

enum { HWGW_XDP_WITNESS_FLOWS_MAX = HWGW_FLOW_FILTER_MAX };

struct hwgw_xdp_witness {
  int fd; /* -1: there is none */
  int ifindex;
  uint32_t flow_cnt;
  struct hwgw_flow flows[HWGW_XDP_WITNESS_FLOWS_MAX];
  uint64_t seen; /* frames, as of the last read */
};

/* one that sees nothing yet; fd is -1 where it cannot be had */
void hwgw_xdp_witness_open(struct hwgw_xdp_witness *witness);
/* these flows from here on; true when they are not those of before */
bool hwgw_xdp_witness_flows(struct hwgw_xdp_witness *witness, const struct hwgw_flow *flows, uint32_t flow_cnt);
/* looks at this interface from here on */
void hwgw_xdp_witness_bind(struct hwgw_xdp_witness *witness, int ifindex);
/* brings seen up to date */
void hwgw_xdp_witness_read(struct hwgw_xdp_witness *witness);
void hwgw_xdp_witness_close(struct hwgw_xdp_witness *witness);

#endif
