/* rx_link.h: what the kernel says about one interface, and that it has changed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_RX_LINK_H
#define HWGW_RX_LINK_H

#include "base.h"

#define HWGW_RX_LINK_PROGRAMS 4 /* an interface has at most one XDP program per mode, and names one of them again */

struct hwgw_rx_link {
  int fd;          /* netlink socket of the namespace it was opened in */
  int index;       /* 0 = there is none */
  char wanted[16]; /* the name that was asked for */
  char name[16];   /* the name it has now; a rename keeps the index */
  uint32_t flags;  /* IFF_* */
  uint32_t mtu;
  uint32_t program[HWGW_RX_LINK_PROGRAMS]; /* ids of attached XDP programs, 0 = none */
  uint32_t seq;                            /* of the last question */
  uint64_t downs;                          /* times it went down or lost its carrier */
  uint64_t ups;                            /* times it came back */
  char answer[16384];
};

/* subscribes to the link messages of the calling thread's namespace and asks for the interface once, waiting for the
 * answer. An interface that is not there is no error: index is 0 */
int32_t hwgw_rx_link_open(struct hwgw_rx_link *link, const char *name, struct hwgw_error *error);
/* takes up to 8 messages that wait; true when one was about this interface. Never blocks */
bool hwgw_rx_link_read(struct hwgw_rx_link *link);
/* asks for the interface; the answer comes with a later read. Takes the kernel's network configuration lock, so it may
 * wait for whoever holds it: not while frames come */
void hwgw_rx_link_ask(struct hwgw_rx_link *link);
bool hwgw_rx_link_is_up(const struct hwgw_rx_link *link);
bool hwgw_rx_link_has_program(const struct hwgw_rx_link *link, uint32_t id);
/* receive queues in use (ethtool -l), 0 = the driver does not say. Takes the same lock */
uint32_t hwgw_rx_link_queues(const struct hwgw_rx_link *link);
void hwgw_rx_link_close(struct hwgw_rx_link *link);

#endif
