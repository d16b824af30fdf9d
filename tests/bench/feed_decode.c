/* feed_decode.c: every field of every message of a record file into a sum: by shuffles, by columns, in order, plainly.
 *
 * SPDX-License-Identifier: MIT
 *
 * feed_fields.h is made by bench_feed.py from the table: fields_TYPE reads all fields through the generated accessors,
 * plain_TYPE reads them byte by byte, TYPES lists code, length and name. The sum does not depend on the order, so all
 * ways must give the same.
 */
#include <immintrin.h>
#include <stdbool.h>
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
uint64_t bench_shuffled(const uint8_t *data, uint64_t len, uint64_t *sum);
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

/* one message by its type through the accessors; false when there is no such message */
static inline bool fields_add(const uint8_t *p, uint32_t size, uint64_t *total) {
  switch (p[0]) {
#define X(code, length, name)         \
  case code:                          \
    if (size != length) return false; \
    *total += fields_##name(p);       \
    return true;
    TYPES(X)
#undef X
    default:
      return false;
  }
}

/* Behind header and reference a frequent type has at most four fields: two loads of 16 bytes, each with a shuffle by type
 * that puts two of them, in host order, into the halves of a vector. It is the way of itch.h, with all fields. */
struct shape {
  uint8_t len;
  uint8_t from[2];
  uint8_t reserved[13];
  uint8_t shuffle[2][16];
};

#define NONE4 0x80, 0x80, 0x80, 0x80
#define NONE8 NONE4, NONE4
#define BYTE(at) (at), 0x80, 0x80, 0x80, NONE4
#define WORD(at) (at) + 3, (at) + 2, (at) + 1, (at), NONE4
#define LONG(at) (at) + 7, (at) + 6, (at) + 5, (at) + 4, (at) + 3, (at) + 2, (at) + 1, (at)
#define TEXT(at) (at), (at) + 1, (at) + 2, (at) + 3, (at) + 4, (at) + 5, (at) + 6, (at) + 7
#define AT(type, field, from) (ITCH50_##type##_##field##_OFF - (from))

static const struct shape shapes[256] __attribute__((aligned(64))) = {
    [ITCH50_ADD_ORDER_CODE] = {.len = ITCH50_ADD_ORDER_LEN,
                               .from = {8, 20},
                               .shuffle = {{BYTE(AT(ADD_ORDER, SIDE, 8)), WORD(AT(ADD_ORDER, SHARES, 8))},
                                           {TEXT(AT(ADD_ORDER, STOCK, 20)), WORD(AT(ADD_ORDER, PRICE, 20))}}},
    [ITCH50_ORDER_EXECUTED_CODE] = {.len = ITCH50_ORDER_EXECUTED_LEN,
                                    .from = {15, 15},
                                    .shuffle = {{WORD(AT(ORDER_EXECUTED, EXECUTED_SHARES, 15)),
                                                 LONG(AT(ORDER_EXECUTED, MATCH_NUMBER, 15))},
                                                {NONE8, NONE8}}},
    [ITCH50_ORDER_CANCEL_CODE] = {.len = ITCH50_ORDER_CANCEL_LEN,
                                  .from = {7, 7},
                                  .shuffle = {{WORD(AT(ORDER_CANCEL, CANCELLED_SHARES, 7)), NONE8}, {NONE8, NONE8}}},
    [ITCH50_ORDER_DELETE_CODE] = {.len = ITCH50_ORDER_DELETE_LEN,
                                  .from = {3, 3},
                                  .shuffle = {{NONE8, NONE8}, {NONE8, NONE8}}},
    [ITCH50_ORDER_REPLACE_CODE] = {.len = ITCH50_ORDER_REPLACE_LEN,
                                   .from = {19, 19},
                                   .shuffle = {{LONG(AT(ORDER_REPLACE, NEW_ORDER_REFERENCE_NUMBER, 19)),
                                                WORD(AT(ORDER_REPLACE, SHARES, 19))},
                                               {WORD(AT(ORDER_REPLACE, PRICE, 19)), NONE8}}},
};

uint64_t bench_shuffled(const uint8_t *data, uint64_t len, uint64_t *sum) {
  const __m128i time_locate = _mm_setr_epi8(10, 9, 8, 7, 6, 5, -1, -1, 2, 1, -1, -1, -1, -1, -1, -1);
  const __m128i tracking_type = _mm_setr_epi8(4, 3, -1, -1, -1, -1, -1, -1, 0, -1, -1, -1, -1, -1, -1, -1);
  __m128i header = _mm_setzero_si128(), rest = header;
  uint64_t cnt = 0, total = 0;
  for (uint64_t at = 0; at < len;) {
    uint32_t size = hwgw_be16(data + at);
    const uint8_t *p = data + at + FRAME;
    const struct shape *shape = &shapes[p[0]];
    at += FRAME + size;
    if (__builtin_expect(shape->len != size, 0)) {
      cnt += fields_add(p, size, &total);
      continue;
    }
    __m128i first = _mm_loadu_si128((const __m128i_u *)p);
    __m128i one = _mm_loadu_si128((const __m128i_u *)(p + shape->from[0]));
    __m128i two = _mm_loadu_si128((const __m128i_u *)(p + shape->from[1]));
    header = _mm_add_epi64(header, _mm_shuffle_epi8(first, time_locate));
    header = _mm_add_epi64(header, _mm_shuffle_epi8(first, tracking_type));
    rest = _mm_add_epi64(rest, _mm_shuffle_epi8(one, *(const __m128i_u *)shape->shuffle[0]));
    rest = _mm_add_epi64(rest, _mm_shuffle_epi8(two, *(const __m128i_u *)shape->shuffle[1]));
    total += hwgw_be64(p + ITCH50_ORDER_DELETE_ORDER_REFERENCE_NUMBER_OFF);
    cnt++;
  }
  uint64_t lanes[2];
  _mm_storeu_si128((__m128i_u *)lanes, _mm_add_epi64(header, rest));
  *sum = total + lanes[0] + lanes[1];
  return cnt;
}

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
    cnt += fields_add(p, size, &total);
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
