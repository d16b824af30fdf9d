/* rx_batch.c: waits, sends whole arrays and takes columns out of batches, for callers outside the pipeline.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: hwgw_batch.h. Every wait ends within its time-out, and early when a signal arrives, so that a caller who
 * must look at signals (Python) gives short time-outs and calls again.
 *
 * Cost: what the backend costs; gather is one copy of width bytes per frame, payloads one hwgw_net_parse.
 *
 * Thread: that of the receiver; gather and payloads touch only what they are given.
 */
#include "hwgw_batch.h"

#include <time.h>

#include "base.h"

enum {
  LOOK_NS = 50000, /* between two looks when nothing came while spinning: what a timer of the kernel can keep */
  SPIN_PAUSES = 8
};

/* true when a signal ended it */
static bool rest(uint64_t ns) {
  return nanosleep(&(struct timespec){.tv_nsec = (long)(ns < LOOK_NS ? ns : LOOK_NS)}, NULL) != 0;
}

static uint32_t take(struct hwgw_rx *rx, struct hwgw_frame *frames, uint32_t max) {
  uint32_t cnt = 0, got;
  do {
    uint32_t room = max - cnt < HWGW_BATCH_MAX ? max - cnt : HWGW_BATCH_MAX;
    got = room ? hwgw_rx_poll(rx, frames + cnt, room) : 0;
    cnt += got;
  } while (got);
  return cnt;
}

uint32_t hwgw_rx_wait(struct hwgw_rx *rx, struct hwgw_frame *frames, uint32_t max, uint64_t timeout_ns,
                      uint64_t spin_ns) {
  uint64_t start = hwgw_rdtsc();
  for (;;) {
    uint32_t cnt = take(rx, frames, max);
    if (cnt || timeout_ns == 0 || hwgw_rx_ended(rx)) return cnt;
    uint64_t passed = hwgw_ticks_to_ns(hwgw_rdtsc() - start);
    if (passed >= timeout_ns) return 0;
    if (passed < spin_ns) {
      for (int i = 0; i < SPIN_PAUSES; i++) hwgw_pause();
    } else if (rest(timeout_ns - passed)) {
      return 0;
    }
  }
}

uint32_t hwgw_rx_send_wait(struct hwgw_rx *rx, const struct hwgw_frame *frames, uint32_t cnt, uint64_t timeout_ns) {
  uint64_t start = hwgw_rdtsc();
  uint32_t done = 0;
  for (;;) {
    uint32_t taken = hwgw_rx_send(rx, frames + done, cnt - done < HWGW_BATCH_MAX ? cnt - done : HWGW_BATCH_MAX);
    done += taken;
    if (done == cnt) return done;
    if (taken) continue;
    hwgw_rx_unsent(rx);
    uint64_t passed = hwgw_ticks_to_ns(hwgw_rdtsc() - start);
    if (passed >= timeout_ns || rest(timeout_ns - passed)) return done;
  }
}

uint32_t hwgw_rx_flush(struct hwgw_rx *rx, uint64_t timeout_ns) {
  uint64_t start = hwgw_rdtsc();
  for (;;) {
    uint32_t left = hwgw_rx_unsent(rx);
    uint64_t passed = hwgw_ticks_to_ns(hwgw_rdtsc() - start);
    if (left == 0 || passed >= timeout_ns || rest(timeout_ns - passed)) return left;
  }
}

uint32_t hwgw_rx_payloads(const struct hwgw_flow *flows, uint32_t flow_cnt, const struct hwgw_frame *frames,
                          uint32_t cnt, struct hwgw_payload *out) {
  uint32_t found = 0;
  for (uint32_t i = 0; i < cnt; i++) {
    const struct hwgw_frame *frame = &frames[i];
    if (frame->flow != HWGW_FLOW_NONE) {
      out[i] = (struct hwgw_payload){.len = frame->len, .flow = frame->flow};
      found++;
      continue;
    }
    struct hwgw_datagram datagram;
    uint32_t drop = hwgw_net_parse(flows, flow_cnt, frame->data, frame->len, &datagram);
    if (drop) {
      out[i] = (struct hwgw_payload){.flow = HWGW_FLOW_NONE, .drop = (uint16_t)drop};
    } else {
      out[i] = (struct hwgw_payload){
          .offset = (uint32_t)(datagram.data - frame->data), .len = datagram.len, .flow = (uint16_t)datagram.flow};
      found++;
    }
  }
  return found;
}

void hwgw_rx_gather(const struct hwgw_frame *frames, const struct hwgw_payload *payloads, uint32_t cnt, uint32_t offset,
                    uint32_t width, uint8_t *out) {
  for (uint32_t i = 0; i < cnt; i++, out += width) {
    const uint8_t *data = frames[i].data + (payloads ? payloads[i].offset : 0);
    uint32_t len = payloads ? payloads[i].len : frames[i].len;
    uint32_t have = len > offset ? len - offset : 0;
    if (have >= width) {
      memcpy(out, data + offset, width);
    } else {
      if (have) memcpy(out, data + offset, have);
      memset(out + have, 0, width - have);
    }
  }
}
