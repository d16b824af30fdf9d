/* hwgw_bad_line.h: what a bad line does to packets; for load and replay, no part of the pipeline.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_BAD_LINE_H
#define HWGW_BAD_LINE_H

#include <stdbool.h>
#include <stdint.h>

/* hwgw cdef begin */

#define HWGW_BAD_LINE_PACKET_SZ 1472 /* longer ones are lost */

/* what a bad line does; all 0: nothing. Times are those that take and give are told (an exchange: since its start) */
struct hwgw_bad_line_cfg {
  uint64_t seed;
  uint32_t loss_ppm;
  uint32_t duplicate_ppm;
  uint32_t damage_ppm;
  uint32_t reorder_max; /* one packet in ten comes up to so many packets late */
  uint32_t delay_us;    /* the others up to so much */
  uint32_t reserved;
  uint64_t outage_from_ns;
  uint64_t outage_to_ns;
};

struct hwgw_bad_line_stats {
  uint64_t taken;
  uint64_t lost;
  uint64_t duplicated;
  uint64_t reordered;
  uint64_t damaged;
};

struct hwgw_bad_line;

struct hwgw_bad_line *hwgw_bad_line_open(const struct hwgw_bad_line_cfg *cfg); /* NULL: no memory */
void hwgw_bad_line_close(struct hwgw_bad_line *line);                          /* NULL is allowed */
void hwgw_bad_line_take(struct hwgw_bad_line *line, const uint8_t *data, uint32_t len, uint64_t now_ns);
/* the next packet that arrives now into data (HWGW_BAD_LINE_PACKET_SZ bytes): its length, or 0 */
uint32_t hwgw_bad_line_give(struct hwgw_bad_line *line, uint8_t *data, uint64_t now_ns);
void hwgw_bad_line_stats(const struct hwgw_bad_line *line, struct hwgw_bad_line_stats *stats);

struct hwgw_frame;

/* a packet that arrives; its bytes stand at `at` */
struct hwgw_bad_line_row {
  uint64_t due_ns;
  uint64_t at;
  uint32_t len;
  uint32_t from; /* index of the packet that was sent */
  bool is_damaged;
};

/* A whole schedule at once: packet i of cnt is sent at due_ns[i], never falling. rows: room for 2 x cnt; bytes: room for
 * twice those of the packets. Returns how many arrive, in the order of their times */
uint64_t hwgw_bad_line_schedule(struct hwgw_bad_line *line, const struct hwgw_frame *packets, const uint64_t *due_ns,
                                uint32_t cnt, struct hwgw_bad_line_row *rows, uint8_t *bytes);

/* hwgw cdef end */

#endif
