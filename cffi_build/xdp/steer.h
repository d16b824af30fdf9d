/* steer.h: what the steering program and its loader agree on; the maps hold values in the byte order named here.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_STEER_H
#define HWGW_STEER_H

#include <linux/types.h>

enum {
  STEER_QUEUES_MAX = 256, /* entries of the maps queues and sockets: receive queues 0 to 255 */
  STEER_FLOWS_MAX = 4096  /* entries of the map flows: of all receivers on the interface together */
};

/* key of the map flows: both fields as they stand in the packet */
struct steer_flow {
  __u32 group;
  __u16 port;
  __u16 zero;
};

/* its value: who takes the flow */
struct steer_takers {
  __u64 queues[STEER_QUEUES_MAX / 64]; /* bit set: the receiver of that queue wants the flow */
  __u32 home;                          /* the queue where frames are counted that came in on none of them */
  __u32 zero;
};

/* entry of the map queues, one cache line: what to do on that queue, and what was done for it */
struct steer_queue {
  __u32 flags; /* STEER_ALL ... */
  __u32 zero;
  __u64 other_queue; /* frames of flows whose home this is, on a queue that does not take them: to the kernel */
  __u64 fragment;    /* first fragments of the flows: to the kernel */
  __u64 redirected;  /* frames given to the socket, counted with STEER_PROVE */
  __u64 unstamped;   /* frames that could not carry a time stamp */
  __u64 reserved[3];
};

enum {
  STEER_ALL = 1,   /* every frame of the queue goes to the socket */
  STEER_STAMP = 2, /* a struct steer_stamp stands before the frame */
  STEER_PROVE = 4  /* count redirected */
};

/* the metadata of a frame, right before its first byte */
struct steer_stamp {
  __u64 hardware_ns; /* the NIC's clock, 0 = it gave none */
  __u64 kernel_ns;   /* CLOCK_MONOTONIC when the program ran; never 0 */
};

/* stands in the program where bpf_xdp_metadata_rx_timestamp is called; the loader writes the kernel's number over it */
#define STEER_CALL_RX_TIMESTAMP 0x7fff0001

#endif
