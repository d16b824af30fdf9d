/* rx_nic.h: what an interface lost before any socket could see it, as far as the kernel tells.
 *
 * SPDX-License-Identifier: MIT
 *
 * All counts are of the whole interface, not only of our flows, and since open.
 *
 * missed: frames the device had no room for (rx_missed_errors). sysfs has it; where sysfs shows another namespace's
 * interfaces it cannot be known, and stays 0.
 *
 * dropped: frames that found the kernel's backlog of their processor full. No counter is just of those: the interface's
 * rx_dropped also grows by frames that every socket has seen and no protocol wanted (a second VLAN tag), and the
 * backlog's own (net/softnet_stat) is of all interfaces. What both grew by between two readings is taken.
 *
 * Not known: frames that another XDP program or the driver threw away, and those for which the receiving end of a veth
 * pair had no room (its sender's tx_dropped).
 */
#ifndef HWGW_RX_NIC_H
#define HWGW_RX_NIC_H

#include "base.h"

struct hwgw_nic {
  uint64_t missed;
  uint64_t dropped;

  int index;
  int socket_fd; /* the caller's */
  char name[16]; /* another one once it was renamed */
  int missed_fd; /* -1: not here */
  int dropped_fd;
  int softnet_fd;
  bool dropped_is_table; /* dropped_fd is net/dev, else sysfs */
  uint64_t missed_last;
  uint64_t dropped_last;
  uint64_t softnet_last;
  uint64_t frames_last;
  uint64_t t_last_ns;
  uint64_t t_softnet_ns;
};

/* fd: any socket in the interface's namespace, open for as long as this is. False when nothing can be read */
bool hwgw_nic_open(struct hwgw_nic *nic, int fd, const char *interface);
/* brings missed and dropped up to date when frames (received so far) has not moved since the last call, else each 100 ms:
 * it costs some 10 us, which traffic would wait for. Takes no lock that a change of a network device holds */
void hwgw_nic_update(struct hwgw_nic *nic, uint64_t frames);
void hwgw_nic_close(struct hwgw_nic *nic);

/* does the interface stamp every frame it receives; that is switched on by whoever runs the NIC's clock, not by us */
bool hwgw_nic_has_clock(int fd, const char *interface);

#endif
