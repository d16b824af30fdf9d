/* stream.h: a seeded generator of Nasdaq ITCH 5.0 streams in BinaryFILE framing, for tests and benchmarks.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_SIM_STREAM_H
#define HWGW_SIM_STREAM_H

#include <stdint.h>

/* hwgw cdef begin */

/* The stream starts with system events and a directory and a trading message for every symbol, and goes on for ever
 * with order life cycles: A43 D41 U7 E4, the rest X P F C I. A reference is never used twice, every event fits the
 * order it names and no book is ever locked or crossed. The same configuration gives the same bytes on every machine.
 */
struct hwgw_sim_stream_cfg {
  uint64_t seed;
  uint64_t ramp;       /* messages in which live_max is reached, 0 = as fast as can be */
  uint32_t symbol_cnt; /* 1 to 65,535; locates 1 to symbol_cnt, names S0000001 and so on by popularity (Zipf) */
  uint32_t live_max;   /* orders that are alive around the end of the ramp and after it; 1 to 16,777,216 */
};

struct hwgw_sim_stream;

/* NULL when the configuration is out of range or there is no memory */
struct hwgw_sim_stream *hwgw_sim_stream_open(const struct hwgw_sim_stream_cfg *cfg);
void hwgw_sim_stream_close(struct hwgw_sim_stream *stream); /* NULL is allowed */
/* writes whole records while they fit into sz bytes, at most max of them; returns the bytes, sets *cnt to the records
 */
uint64_t hwgw_sim_stream_fill(struct hwgw_sim_stream *stream, uint8_t *out, uint64_t sz, uint64_t max, uint64_t *cnt);
uint32_t hwgw_sim_stream_live(const struct hwgw_sim_stream *stream); /* live orders now */

/* hwgw cdef end */

#endif
