/* steer.h: what the steering program and its loader agree on; the maps hold values in the byte order named here.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_STEER_H
#define HWGW_STEER_H

#include <linux/types.h>

/* key of the flows map: both fields as they stand in the packet; the value is the queue (__u32) that takes the flow */
struct steer_flow {
  __u32 group;
  __u16 port;
  __u16 zero;
};

/* slots of the counts map (__u64 each) */
enum {
  STEER_OTHER_QUEUE = 0, /* frames of a flow that came in on another queue and went to the kernel */
  STEER_FRAGMENT = 1,    /* first fragments of a flow's datagrams, which went to the kernel */
  STEER_COUNT_CNT = 2
};

enum { STEER_QUEUES_MAX = 256 }; /* entries of the sockets map: receive queues 0 to 255 */

#endif
