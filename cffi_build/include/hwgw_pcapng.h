/* hwgw_pcapng.h: frames to the blocks of a pcapng file, in a buffer of the caller.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_PCAPNG_H
#define HWGW_PCAPNG_H

#include "hwgw.h"

/* hwgw cdef begin */

/* Every function writes whole blocks in the machine's byte order, at most sz bytes, and returns how many; 0 when its
 * block does not fit. Texts may be NULL or "", and are then left out. */

/* starts a file */
uint64_t hwgw_pcapng_section(uint8_t *out, uint64_t sz, const char *hardware, const char *os, const char *application);
/* an Ethernet interface, times in nanoseconds; filter in the words of libpcap */
uint64_t hwgw_pcapng_interface(uint8_t *out, uint64_t sz, const char *name, const char *description,
                               const char *filter);

/* CLOCK_REALTIME of frames without a time stamp, from the ticks of their descriptors */
struct hwgw_pcapng_clock {
  uint64_t last_ns; /* never goes back */
};

/* as many of cnt frames as fit, *done of them, all of the given interface; with_queue adds the queue to each. A frame's
 * time is its ts_ns, or when that is 0 the time of its descriptor */
uint64_t hwgw_pcapng_packets(uint8_t *out, uint64_t sz, uint32_t interface, const struct hwgw_frame *frames,
                             uint32_t cnt, bool with_queue, struct hwgw_pcapng_clock *clock, uint32_t *done);

struct hwgw_pcapng_counts {
  uint64_t start_ns; /* CLOCK_REALTIME */
  uint64_t end_ns;
  uint64_t interface_drops;
  uint64_t os_drops;
  uint64_t delivered; /* frames in the file; accepted by the filter = delivered + both drops */
  bool unfiltered;    /* what the filter accepted is all that the interface received, and is said so */
};

uint64_t hwgw_pcapng_statistics(uint8_t *out, uint64_t sz, uint32_t interface, const struct hwgw_pcapng_counts *counts);

/* whole blocks at the start of len bytes: returns their bytes and how many of them carry a frame */
uint64_t hwgw_pcapng_whole(const uint8_t *data, uint64_t len, uint64_t *packets);

/* hwgw cdef end */

#endif
