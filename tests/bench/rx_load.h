/* rx_load.h: both ends of the receive benchmark: senders on one core, receive loops on another.
 *
 * SPDX-License-Identifier: MIT
 *
 * A frame is a MoldUDP64 packet of one message in one datagram. Senders: load_flood injects it many times through
 * BPF_PROG_TEST_RUN with live frames (a program that waits until a frame is due, writes the next sequence number into
 * it and says XDP_TX), which is quicker than any socket; load_paced sends it at a fixed schedule through a packet
 * socket, numbered too, and stamps its last 8 bytes with the time it was due. Receiver: load_receive polls a backend,
 * steps a whole pipeline, or calls plain recvmsg, and counts. All return 0 or a negative errno. Each takes a core for
 * itself (SCHED_FIFO when allowed) and gives it back; so do core_take and core_give for a loop in Python.
 */
#ifndef RX_LOAD_H
#define RX_LOAD_H

#include "hwgw.h"

/* hwgw cdef begin */

/* seq: of the first frame's message; each frame has the next one. span_ns: from the first frame sent to the last */
int load_injector(int *program, int *map);
int load_flood(int program, int map, uint32_t ifindex, const uint8_t *frame, uint32_t len, uint64_t cnt,
               uint64_t frames_per_s, uint64_t seq, int cpu, uint64_t *span_ns);
int load_paced(int fd, uint8_t *frame, uint32_t len, uint64_t cnt, uint64_t gap_ns, uint64_t seq, uint64_t start_ns,
               int cpu);
void load_core_take(int cpu, uint64_t *before);
void load_core_give(const uint64_t *before);

struct load_receiver {
  uint32_t (*poll)(struct hwgw_rx *rx, struct hwgw_frame *frames, uint32_t max);
  void (*release)(struct hwgw_rx *rx);
  struct hwgw_rx *rx; /* NULL: the pipeline, or plain recvmsg on fd */
  bool (*step)(struct hwgw_pipeline *pipeline);
  struct hwgw_pipeline *pipeline;
  const uint64_t *arrived; /* its counter of frames that came through */
  int32_t fd;
  int32_t cpu;
  uint64_t want;        /* frames to wait for */
  uint64_t limit_ns;    /* gives up after this long */
  uint64_t quiet_ns;    /* once stop is set: gives up when nothing has come for this long */
  uint64_t *latency_ns; /* room for want values, or NULL */
  uint64_t start_ns;    /* pipeline: when the first frame was due, and how much later each one after it */
  uint64_t gap_ns;
  volatile int32_t stop;
  volatile int32_t ready;
  uint64_t frames;
  uint64_t first_ns;
  uint64_t last_ns;
};
int load_receive(struct load_receiver *receiver);

/* hwgw cdef end */

#endif
