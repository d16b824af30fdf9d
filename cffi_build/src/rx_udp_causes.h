/* rx_udp_causes.h: why the kernel dropped datagrams of our sockets, as far as it can be proven.
 *
 * SPDX-License-Identifier: MIT
 *
 * A socket has one drop counter for all causes; the causes are counted for the whole network namespace (the Udp line of
 * net/snmp), other programs' sockets included. So of d drops of ours between two looks, while the namespace counted r
 * for full buffers, c for checksums and e for other reasons, at least d - c - e were full buffers and at least d - r - e
 * checksums. That much is attributed; the rest is other. Where nobody else loses datagrams in the same moment it is
 * exact; no drop is ever given to a cause that it may not have had, and the three always sum to d.
 *
 * Cost of a look: two readings of net/snmp where a drop came; else one each 10 ms without traffic, 100 ms with.
 */
#ifndef HWGW_RX_UDP_CAUSES_H
#define HWGW_RX_UDP_CAUSES_H

#include "base.h"

enum hwgw_udp_cause { HWGW_UDP_OVERRUN, HWGW_UDP_CHECKSUM, HWGW_UDP_OTHER, HWGW_UDP_CAUSE_CNT };

struct hwgw_udp_causes {
  uint64_t drops[HWGW_UDP_CAUSE_CNT];

  int fd;            /* net/snmp; -1: everything is other */
  uint64_t own_last; /* drops of ours at the last look */
  uint64_t t_base_ns;
  uint64_t base[HWGW_UDP_CAUSE_CNT]; /* the namespace's, read before the last look at ours */
};

/* false when the namespace's counters cannot be read */
bool hwgw_udp_causes_open(struct hwgw_udp_causes *causes);
/* own: gives the drops of our sockets so far, never less than before; is_quiet: no traffic since the last look */
void hwgw_udp_causes_look(struct hwgw_udp_causes *causes, uint64_t (*own)(void *context), void *context, bool is_quiet);
void hwgw_udp_causes_close(struct hwgw_udp_causes *causes);

#endif
