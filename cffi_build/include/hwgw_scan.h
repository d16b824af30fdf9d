/* hwgw_scan.h: the messages of files, in batches, for decode and benchmarks; no part of the data path.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_SCAN_H
#define HWGW_SCAN_H

#include "hwgw.h"

/* hwgw cdef begin */

#define HWGW_SCAN_MESSAGE_MAX 65535 /* bytes: both framings have 16-bit lengths */

/* a message in a buffer of the caller */
struct hwgw_scan_message {
  uint64_t seq;    /* number in its stream, from 1 in a record file */
  uint32_t offset; /* of its first byte in the buffer */
  uint16_t len;
  uint16_t channel;
};

/* BinaryFILE: finds up to max whole records in data. Returns how many; *used is what they take, so the next call begins
 * there; *ended is set when a record of length 0 ended the session (its two bytes are part of *used) */
uint32_t hwgw_scan_records(const uint8_t *data, uint32_t len, uint64_t first_seq, struct hwgw_scan_message *messages,
                           uint32_t max, uint32_t *used, bool *ended);

/* MoldUDP64 in a capture file (pcap, pcapng). Flows are the groups and ports to take; with none, every flow whose first
 * packet is a sound MoldUDP64 packet is taken, up to HWGW_FLOWS_MAX. Flows that carry the same session are lines of one
 * channel. */
struct hwgw_scan;

int32_t hwgw_scan_open(struct hwgw_scan **scan, const char *path, const struct hwgw_flow *flows, uint32_t flow_cnt,
                       struct hwgw_error *error);
void hwgw_scan_close(struct hwgw_scan *scan); /* NULL is allowed */
/* copies up to max new messages into data, which has sz >= HWGW_SCAN_MESSAGE_MAX bytes; 0 at the end of the file */
uint32_t hwgw_scan_next(struct hwgw_scan *scan, uint8_t *data, uint32_t sz, struct hwgw_scan_message *messages,
                        uint32_t max);
/* adds the rx, net and mold counters so far to counters (HWGW_COUNTER_CNT) */
void hwgw_scan_counters(struct hwgw_scan *scan, uint64_t *counters);
/* flows that brought a sound packet: returns how many, fills at most max; their channel and line are what was found */
uint32_t hwgw_scan_flows(const struct hwgw_scan *scan, struct hwgw_flow *flows, uint32_t max);
const char *hwgw_scan_describe(const struct hwgw_scan *scan); /* of the capture file, one line */

struct hwgw_scan_totals {
  uint64_t types[256];  /* decoded messages by type byte */
  uint64_t first_ts_ns; /* of the first and the last decoded message */
  uint64_t last_ts_ns;
};

/* decodes messages and applies them to the books; counts itch_*, book_* and totals */
void hwgw_scan_apply(const uint8_t *data, const struct hwgw_scan_message *messages, uint32_t cnt,
                     struct hwgw_instruments *instruments, struct hwgw_books *books, uint64_t *counters,
                     struct hwgw_scan_totals *totals);

#define HWGW_SCAN_DEPTH_MAX 64

/* A book after a message. Behind it lie, best first and 0 where there is no level: uint64_t bid_qty[depth],
 * ask_qty[depth], uint32_t bid_px[depth], ask_px[depth] */
struct hwgw_scan_row {
  uint64_t seq;
  uint64_t ts_ns; /* exchange time since midnight */
  uint32_t instrument;
  uint32_t channel;
};

uint32_t hwgw_scan_row_sz_bytes(uint32_t depth);
/* as hwgw_scan_apply, and writes a row for every message that changed the best level of a side (depth 1: also where its
 * count of orders alone did), or price or shares of one of the best `depth` (2 to HWGW_SCAN_DEPTH_MAX). rows, aligned to
 * 8 bytes, has room for cnt of them and, with a depth above 1, one more. Returns how many it wrote */
uint32_t hwgw_scan_rows(const uint8_t *data, const struct hwgw_scan_message *messages, uint32_t cnt,
                        struct hwgw_instruments *instruments, struct hwgw_books *books, uint64_t *counters,
                        struct hwgw_scan_totals *totals, uint32_t depth, uint8_t *rows);

/* the features behind a message that changed the top of a book */
struct hwgw_scan_feature_row {
  uint64_t seq;
  uint64_t ts_ns; /* exchange time since midnight */
  uint32_t instrument;
  uint32_t channel;
  struct hwgw_features features;
};

/* as hwgw_scan_apply, and writes a row for every change of the top of a book; rows has room for cnt of them. Returns how
 * many it wrote */
uint32_t hwgw_scan_features(const uint8_t *data, const struct hwgw_scan_message *messages, uint32_t cnt,
                            struct hwgw_instruments *instruments, struct hwgw_books *books,
                            struct hwgw_feature_set *set, uint64_t *counters, struct hwgw_scan_feature_row *rows);

/* hwgw cdef end */

#endif
