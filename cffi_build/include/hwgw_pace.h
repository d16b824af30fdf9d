/* hwgw_pace.h: frames sent by a schedule, and how late each was; for load and replay, no part of the pipeline.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_PACE_H
#define HWGW_PACE_H

#include "hwgw.h"

/* hwgw cdef begin */

struct hwgw_pace_cfg {
  const struct hwgw_frame *frames; /* whole Ethernet frames; stay valid until close */
  uint32_t frame_cnt;
  uint32_t number_at;     /* 0 = no; offset in each frame of its number, from 0, 8 bytes big-endian */
  uint64_t send_cnt;      /* frames in all, over and over; 0 = each once */
  const uint64_t *due_ns; /* when each frame is due within a pass, never falling; NULL = by rate. Valid until close */
  uint64_t pass_ns;       /* with due_ns: from one pass to the next */
  uint64_t rate_milli;    /* without due_ns: frames or bits in 1,000 s; 0 = as fast as they are taken */
  bool rate_is_bits;      /* of the frames, without preamble, check sequence and gap */
  uint32_t time_at;       /* 0 = no; offset of the time at which it is due, CLOCK_REALTIME in ns, 8 bytes big-endian */
  bool is_udp;            /* frames are UDP payloads for step_udp, each to the target its flow says */
  int32_t fd;             /* is_udp: a UDP socket that does not block; stays the caller's */
  const struct hwgw_flow *targets; /* is_udp: group and port; valid until close */
  uint32_t target_cnt;
  uint32_t udp_at; /* 0 = no; offset of a UDP header behind an IPv4 header without options: checksum it */
};

/* numbers, times and checksums are written into the frames just before they are sent. So that no two of one batch share
 * memory there must be HWGW_BATCH_MAX of them then */
struct hwgw_pace;

struct hwgw_pace_report {
  uint64_t taken;        /* by hwgw_rx_send: sent, or counted as tx_drop_*; by the socket: sent or refused */
  uint64_t refused;      /* is_udp: the kernel did not take it: no route, no buffers, nobody listens */
  int32_t refused_errno; /* the last one's reason */
  uint64_t next;         /* frame that is sent next */
  uint64_t bytes;        /* of those */
  uint64_t span_ns;      /* from the first hand-over to the last */
  uint64_t late_p50;     /* ns from the due time to the hand-over; 0 without a schedule */
  uint64_t late_p99;
  uint64_t late_p999;
  uint64_t late_max;
};

int32_t hwgw_pace_open(struct hwgw_pace **pace, const struct hwgw_pace_cfg *cfg, struct hwgw_error *error);
/* sends what is due, and waits for what is not, for slice_ns; the first call starts the schedule. True when all frames
 * were taken. Spins; sleeps only when nothing is due for more than 2 ms. Same thread as the receiver's poll */
bool hwgw_pace_step(struct hwgw_pace *pace, struct hwgw_rx *rx, uint64_t slice_ns);
/* the same into the socket of is_udp */
bool hwgw_pace_step_udp(struct hwgw_pace *pace, uint64_t slice_ns);
/* goes on with frame `next`, which is due now, and stops before frame `until` (0 = at the end): to pause, step and seek in
 * a schedule by due_ns of one pass */
void hwgw_pace_go(struct hwgw_pace *pace, uint64_t next, uint64_t until);
/* lateness of the frames so far, in ticks */
const struct hwgw_hist *hwgw_pace_late(const struct hwgw_pace *pace);
void hwgw_pace_report(const struct hwgw_pace *pace, struct hwgw_pace_report *report);
void hwgw_pace_close(struct hwgw_pace *pace); /* NULL is allowed */

/* hwgw cdef end */

#endif
