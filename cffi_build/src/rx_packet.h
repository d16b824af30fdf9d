/* rx_packet.h: the parts of the packet backend: the socket filter and sending.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_RX_PACKET_H
#define HWGW_RX_PACKET_H

#include <sys/socket.h>

#include "rx.h"

/* what open asks the kernel about the interface */
struct hwgw_packet_device {
  int index;
  uint32_t mtu;
  char name[16];
};

/* sending through a packet socket that is bound to its interface */
struct hwgw_packet_tx {
  int fd;
  int ifindex;
  uint32_t since_empty; /* frames taken since the kernel last held none */
  struct mmsghdr messages[HWGW_BATCH_MAX];
  struct iovec iovecs[HWGW_BATCH_MAX];
};

int32_t hwgw_packet_tx_open(struct hwgw_packet_tx *tx, int fd, const struct hwgw_packet_device *device,
                            uint32_t frame_cnt, struct hwgw_error *error);
uint32_t hwgw_packet_tx_send(struct hwgw_packet_tx *tx, struct hwgw_rx_counts *count, const struct hwgw_frame *frames,
                             uint32_t cnt);
uint32_t hwgw_packet_tx_unsent(struct hwgw_packet_tx *tx);

#endif
