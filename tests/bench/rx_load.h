/* rx_load.h: both ends of the receive benchmark: senders on one core, receive loops on another.
 *
 * SPDX-License-Identifier: MIT
 *
 * Senders: load_flood injects one frame many times through BPF_PROG_TEST_RUN with live frames (a program that
 * waits until a frame is due and says XDP_TX), which is quicker than any socket; load_paced sends at a fixed schedule
 * through a packet socket and stamps each payload with the time it was due. Receiver: load_receive polls a backend (or
 * plain recvmsg) and counts. All return 0 or a negative errno. Each takes a core for itself (SCHED_FIFO when allowed)
 * and gives it back.
 */
#ifndef RX_LOAD_H
#define RX_LOAD_H

#include "hwgw.h"

/* hwgw cdef begin */

int load_injector(int *program, int *map);
int load_flood(int program, int map, uint32_t ifindex, const uint8_t *frame, uint32_t len, uint64_t cnt,
               uint64_t frames_per_s, int cpu);
int load_paced(int fd, uint8_t *frame, uint32_t len, uint64_t cnt, uint64_t gap_ns, int cpu);

struct load_receiver {
  uint32_t (*poll)(struct hwgw_rx *rx, struct hwgw_frame *frames, uint32_t max);
  void (*release)(struct hwgw_rx *rx);
  struct hwgw_rx *rx; /* NULL: plain recvmsg on fd */
  int32_t fd;
  int32_t cpu;
  uint64_t want;        /* frames to wait for */
  uint64_t limit_ns;    /* gives up after this long */
  uint64_t quiet_ns;    /* once stop is set: gives up when nothing has come for this long */
  uint64_t *latency_ns; /* room for want values, or NULL */
  volatile int32_t stop;
  volatile int32_t ready;
  uint64_t frames;
  uint64_t first_ns;
  uint64_t last_ns;
};
int load_receive(struct load_receiver *receiver);

/* hwgw cdef end */

#endif
