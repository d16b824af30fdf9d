/* feed_decode.c: every field of every message of a record file into a sum: by columns, in order, and plainly.
 *
 * SPDX-License-Identifier: MIT
 *
 * feed_fields.h is made by bench_feed.py from the table: fields_TYPE reads all fields through the generated accessors,
 * plain_TYPE reads them byte by byte, TYPES lists code, length and name. The sum does not depend on the order, so all
 * ways must give the same.
 */
#include <stdint.h>
#include <string.h>

#include "hwgw_wire.h"

#define BATCH 2048
#define SLOTS 32
#define FRAME ITCH50_BINARYFILE_LENGTH_SZ

static inline uint64_t text(const uint8_t *p, uint32_t len) {
  uint64_t value = 0;
  memcpy(&value, p, len);
  return value;
}

static inline uint64_t plain_number(const uint8_t *p, uint32_t len) {
  uint64_t value = 0;
  for (uint32_t i = 0; i < len; i++) value = value << 8 | p[i];
  return value;
}

static inline uint64_t plain_text(const uint8_t *p, uint32_t len) {
  uint64_t value = 0;
  for (uint32_t i = 0; i < len; i++) value |= (uint64_t)p[i] << 8 * i;
  return value;
}

#include "feed_fields.h"

uint64_t bench_framing(const uint8_t *data, uint64_t len, uint64_t *sum);
uint64_t bench_columns(const uint8_t *data, uint64_t len, uint64_t *sum);
uint64_t bench_in_order(const uint8_t *data, uint64_t len, uint64_t *sum);
uint64_t bench_plain(const uint8_t *data, uint64_t len, uint64_t *sum);

/* the walk alone: lengths and type bytes */
uint64_t bench_framing(const uint8_t *data, uint64_t len, uint64_t *sum) {
  uint64_t cnt = 0, total = 0;
  for (uint64_t at = 0; at < len; at += FRAME + hwgw_be16(data + at)) {
    total += data[at + FRAME];
    cnt++;
  }
  *sum = total;
  return cnt;
}

enum slot {
  SLOT_NONE,
#define X(code, size, name) SLOT_##name,
  TYPES(X)
#undef X
};

static const uint8_t slot_of[256] = {
#define X(code, size, name) [code] = SLOT_##name,
    TYPES(X)
#undef X
};

static const uint8_t size_of[SLOTS] = {
#define X(code, size, name) [SLOT_##name] = size,
    TYPES(X)
#undef X
};

/* messages are put to their types batch by batch, and each type is read in a loop of its own, as hwgw decode does: a
 * branch on the type of the next message is mispredicted half of the time */
uint64_t bench_columns(const uint8_t *data, uint64_t len, uint64_t *sum) {
  static uint32_t place[SLOTS][BATCH];
  uint64_t cnt = 0, total = 0;
  for (uint64_t at = 0; at < len;) {
    const uint8_t *from = data + at;
    uint32_t found[SLOTS] = {0}, offset = 0;
    uint64_t left = len - at;
    uint32_t end = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX - UINT16_MAX;
    for (uint32_t i = 0; i < BATCH && offset < end; i++) {
      uint32_t size = hwgw_be16(from + offset);
      uint32_t slot = slot_of[from[offset + FRAME]];
      slot = size_of[slot] == size ? slot : SLOT_NONE;
      place[slot][found[slot]++] = offset + FRAME;
      offset += FRAME + size;
    }
#define X(code, size, name)                                                                               \
  for (uint32_t i = 0; i < found[SLOT_##name]; i++) total += fields_##name(from + place[SLOT_##name][i]); \
  cnt += found[SLOT_##name];
    TYPES(X)
#undef X
    at += offset;
  }
  *sum = total;
  return cnt;
}

/* one message after the other through the same accessors */
uint64_t bench_in_order(const uint8_t *data, uint64_t len, uint64_t *sum) {
  uint64_t cnt = 0, total = 0;
  for (uint64_t at = 0; at < len;) {
    uint32_t size = hwgw_be16(data + at);
    const uint8_t *p = data + at + FRAME;
    at += FRAME + size;
    switch (p[0]) {
#define X(code, length, name)    \
  case code:                     \
    if (size == length) {        \
      total += fields_##name(p); \
      cnt++;                     \
    }                            \
    break;
      TYPES(X)
#undef X
      default:
        break;
    }
  }
  *sum = total;
  return cnt;
}

/* the same with loops over bytes, as one would write it without accessors */
uint64_t bench_plain(const uint8_t *data, uint64_t len, uint64_t *sum) {
  uint64_t cnt = 0, total = 0;
  for (uint64_t at = 0; at < len;) {
    uint32_t size = (uint32_t)plain_number(data + at, FRAME);
    const uint8_t *p = data + at + FRAME;
    at += FRAME + size;
    switch (p[0]) {
#define X(code, length, name)   \
  case code:                    \
    if (size == length) {       \
      total += plain_##name(p); \
      cnt++;                    \
    }                           \
    break;
      TYPES(X)
#undef X
      default:
        break;
    }
  }
  *sum = total;
  return cnt;
}
