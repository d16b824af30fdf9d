/* pipeline_virtual.c: a pipeline whose time is that of its input; replay and backtests drive it.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: the time of each frame or event before it is given. Output: what the pipeline does in life, at those times.
 * Nothing on the decision path reads another clock (pipeline_ticks), so one input gives one journal, byte for byte, on
 * every run and machine. The control plane of a virtual day beats on the same clock: its heart never stops, whatever the
 * machine does. Ticks are nanoseconds. Cost: a compare per call, and the housekeeping of a millisecond when one is over; a
 * longer silence is one round at its end. Thread: the pipeline's.
 */
#include "pipeline.h"

void hwgw_pipeline_advance(struct hwgw_pipeline *p, uint64_t now_ns) {
  if (now_ns > p->virtual_ns) p->virtual_ns = now_ns;
  uint64_t now = p->virtual_ns;
  if (HWGW_LIKELY(now - p->t_house < p->house_ticks && p->t_house)) return;
  p->t_house = now;
  __atomic_store_n(&p->control->beat_ns, now, __ATOMIC_RELAXED);
  __atomic_store_n(&p->control->beat_cnt, p->control->beat_cnt + 1, __ATOMIC_RELEASE);
  hwgw_pipeline_publish(p);
  if (HWGW_UNLIKELY((p->is_halted || p->has_halted_instrument) && p->cancel_on_halt)) pipeline_cancel_halted(p, now);
}

void hwgw_pipeline_timed(struct hwgw_pipeline *p, const struct hwgw_frame *frames, uint32_t cnt, uint64_t base_ns) {
  for (uint32_t i = 0; i < cnt; i++) {
    struct hwgw_frame frame = frames[i];
    uint64_t at = frame.ts_ns > base_ns ? frame.ts_ns - base_ns : 0;
    hwgw_pipeline_advance(p, at + 1);
    if (HWGW_UNLIKELY(p->open_mask)) pipeline_feed_poll(p, p->virtual_ns);
    frame.t_rx = p->virtual_ns;
    p->counters[HWGW_CNT_RX_FRAMES]++;
    p->counters[HWGW_CNT_RX_BYTES] += frame.len;
    pipeline_frame(p, &frame);
  }
}
