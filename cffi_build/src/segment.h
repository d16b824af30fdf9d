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

#endif
