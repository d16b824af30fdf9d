/* hwgw_batch.h: batches of frames for callers that do not poll in a loop of their own, such as Python; no part of the
 * pipeline.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_BATCH_H
#define HWGW_BATCH_H

#include "hwgw.h"

/* hwgw cdef begin */

#define HWGW_WAIT_FRAMES_MAX 65536

/* Polls until a frame comes, the backend has ended, timeout_ns have passed or a signal came; 0 = polls once. Takes all
 * that waits, up to max. Spins for spin_ns, then looks every 50 us, so it sees a signal within that time. Same thread as
 * poll. */
uint32_t hwgw_rx_wait(struct hwgw_rx *rx, struct hwgw_frame *frames, uint32_t max, uint64_t timeout_ns,
                      uint64_t spin_ns);
/* hwgw_rx_send of any cnt, again until all are taken, timeout_ns have passed or a signal came; returns how many were */
uint32_t hwgw_rx_send_wait(struct hwgw_rx *rx, const struct hwgw_frame *frames, uint32_t cnt, uint64_t timeout_ns);
/* until nothing is unsent, timeout_ns have passed or a signal came; returns what is left */
uint32_t hwgw_rx_flush(struct hwgw_rx *rx, uint64_t timeout_ns);

/* where the UDP payload of a frame lies, or why it has none */
struct hwgw_payload {
  uint32_t offset; /* of its first byte in the frame */
  uint32_t len;    /* bytes, 0 when drop is set */
  uint16_t flow;   /* index of the flow, HWGW_FLOW_NONE when drop is set */
  uint16_t drop;   /* 0, or the counter HWGW_CNT_NET_DROP_* of the cause */
};

/* the payload of each frame, by hwgw_net_parse; frames whose flow the backend knows are payload all through. Returns how
 * many have one */
uint32_t hwgw_rx_payloads(const struct hwgw_flow *flows, uint32_t flow_cnt, const struct hwgw_frame *frames,
                          uint32_t cnt, struct hwgw_payload *out);
/* width bytes from offset of each frame, or of its payload when payloads is given, into cnt rows of out; what lies beyond
 * the end is 0 */
void hwgw_rx_gather(const struct hwgw_frame *frames, const struct hwgw_payload *payloads, uint32_t cnt, uint32_t offset,
                    uint32_t width, uint8_t *out);

/* Memory of frames that outlives its backend: given as cfg.kept, it takes what close, and opening anew after the interface
 * had gone, would unmap. Any thread */
struct hwgw_rx_kept *hwgw_rx_kept_open(void); /* NULL: no memory */
uint64_t hwgw_rx_kept_bytes(struct hwgw_rx_kept *kept);
uint64_t hwgw_rx_kept_unmap(struct hwgw_rx_kept *kept); /* all that it has; returns bytes */
/* NULL is allowed; unmaps, or lets the last of its receivers do so when that closes */
void hwgw_rx_kept_close(struct hwgw_rx_kept *kept);
/* whether this receiver's backend does so; else its frames are gone with close */
bool hwgw_rx_keeps(const struct hwgw_rx *rx);

/* hwgw cdef end */

#endif
