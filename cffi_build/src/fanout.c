/* fanout.c: where a pipeline's fan-out ring lies in the segment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fanout.h"

#include "hwgw_fanout.h"

void fanout_init(struct fanout *fanout, struct hwgw_segment *segment, uint32_t thread) {
  struct hwgw_fanout reader;
  memset(fanout, 0, sizeof *fanout);
  uint8_t *base = (uint8_t *)hwgw_segment_head(segment);
  if (!hwgw_fanout_open(&reader, base, thread, false)) return;
  uint64_t at = (uint64_t)((const uint8_t *)reader.ring - base);
  fanout->ring = (struct hwgw_fanout_ring *)(base + at);
  fanout->slot = (struct hwgw_event *)(fanout->ring + 1);
  fanout->mask = reader.slots - 1;
}
