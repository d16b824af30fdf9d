/* xdp_witness.c: a packet socket that counts what the steering program did not take; contract in xdp_witness.h.
 *
 * SPDX-License-Identifier: MIT
 *
 * The kernel counts every frame that passes the socket filter in the socket's statistics, also when its buffer is full,
 * which it is after the first few.
 */
#ifndef HWGW_NO_XDP

#include "xdp_witness.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING /* Linux 4.20 */
#define PACKET_IGNORE_OUTGOING 23
#endif

void hwgw_xdp_witness_open(struct hwgw_xdp_witness *witness) {
  int least = 0, on = 1;
  witness->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* protocol 0: nothing comes before the bind */
  witness->ifindex = 0;
  witness->flow_cnt = 0;
  witness->seen = 0;
  if (witness->fd < 0) return;
  setsockopt(witness->fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
  if (setsockopt(witness->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) ||
      hwgw_flow_filter(witness->fd, NULL, 0, true))
    hwgw_xdp_witness_close(witness);
}

bool hwgw_xdp_witness_flows(struct hwgw_xdp_witness *witness, const struct hwgw_flow *flows, uint32_t flow_cnt) {
  size_t sz = flow_cnt * sizeof *flows;
  if (flow_cnt == witness->flow_cnt && memcmp(flows, witness->flows, sz) == 0) return false;
  if (witness->fd >= 0 && hwgw_flow_filter(witness->fd, flows, flow_cnt, true)) hwgw_xdp_witness_close(witness);
  memcpy(witness->flows, flows, sz);
  witness->flow_cnt = flow_cnt;
  return true;
}

void hwgw_xdp_witness_bind(struct hwgw_xdp_witness *witness, int ifindex) {
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = ifindex};
  if (witness->fd < 0 || witness->ifindex == ifindex) return;
  if (bind(witness->fd, (struct sockaddr *)&address, sizeof address) == 0) witness->ifindex = ifindex;
}

void hwgw_xdp_witness_read(struct hwgw_xdp_witness *witness) {
  struct tpacket_stats since = {0}; /* reading sets it back */
  socklen_t sz = sizeof since;
  if (witness->fd >= 0 && getsockopt(witness->fd, SOL_PACKET, PACKET_STATISTICS, &since, &sz) == 0)
    witness->seen += since.tp_packets;
}

void hwgw_xdp_witness_close(struct hwgw_xdp_witness *witness) {
  if (witness->fd >= 0) close(witness->fd);
  witness->fd = -1;
}

#endif
