/* segment.h: a mapping of the shared segment.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_SEGMENT_H
#define HWGW_SEGMENT_H

#include "base.h"

struct hwgw_segment {
  void *base;
  uint64_t sz;
  int fd;
  char path[64];
};

/* makes every page resident in this process, so that no later store finds one missing: the first value of a size that a
 * histogram had not seen would wait for the kernel, and in a full /dev/shm it would be the end of the process */
int32_t segment_resident(const struct hwgw_segment *segment, struct hwgw_error *error);

/* what hwgw_life_hold and hwgw_life_wait use, in a segment that nobody else sees yet (life.c) */
void life_make(struct hwgw_segment *segment);

#endif
