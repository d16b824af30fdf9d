/* fix.h: FIX messages as bytes: where one ends, whether it is whole, its fields, and how one is written.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: nothing is allocated; a field is a place in the message. Reading stops at the end of the message whatever
 * its fields say. Numbers are read exactly or not at all. Thread: none of its own; no state.
 */
#ifndef HWGW_FIX_SRC_H
#define HWGW_FIX_SRC_H

#include <emmintrin.h>

#include "base.h"
#include "hwgw_fix.h"

#define FIX_SOH '\1'
#define FIX_TRAILER_SZ 7  /* 10=ccc and its end */
#define FIX_BEGIN_SZ 10   /* 8=FIX.4.x and its end */
#define FIX_BODY_DIGITS 6 /* a longer message than fits a receive buffer is none */
#define FIX_NONE UINT32_MAX

struct fix_text {
  const uint8_t *at;
  uint32_t len; /* 0: the field is not there, because none may be empty */
};

/* ---- reading ---- */

/* bytes of the message at data; 0 when its end is not there yet, FIX_NONE when no message begins like this. Longer than
 * len_max is none */
static inline uint32_t fix_len(const uint8_t *data, uint32_t have, uint32_t len_max) {
  static const uint8_t begin[] = {'8', '=', 'F', 'I', 'X', '.', '4', '.'};
  uint32_t at = FIX_BEGIN_SZ + 2, body = 0;
  if (memcmp(data, begin, have < sizeof begin ? have : sizeof begin) != 0) return FIX_NONE;
  if (have < at) return 0;
  if (data[FIX_BEGIN_SZ - 1] != FIX_SOH || data[FIX_BEGIN_SZ] != '9' || data[FIX_BEGIN_SZ + 1] != '=') return FIX_NONE;
  for (uint32_t digits = 0;; at++, digits++) {
    if (at == have) return 0;
    if (data[at] == FIX_SOH && digits) break;
    if (data[at] < '0' || data[at] > '9' || digits == FIX_BODY_DIGITS) return FIX_NONE;
    body = body * 10 + data[at] - '0';
  }
  uint32_t len = at + 1 + body + FIX_TRAILER_SZ;
  if (len > len_max) return FIX_NONE;
  return have < len ? 0 : len;
}

/* sum of bytes modulo 256 */
static inline uint8_t fix_sum(const uint8_t *data, uint32_t len) {
  __m128i sums = _mm_setzero_si128();
  uint32_t at = 0;
  for (; at + 16 <= len; at += 16)
    sums = _mm_add_epi64(
        sums, _mm_sad_epu8(_mm_loadu_si128((const __m128i *)(const void *)(data + at)), _mm_setzero_si128()));
  uint64_t sum = (uint64_t)_mm_cvtsi128_si64(sums) + (uint64_t)_mm_cvtsi128_si64(_mm_srli_si128(sums, 8));
  for (; at < len; at++) sum += data[at];
  return (uint8_t)sum;
}

/* a message that fix_len found ends in the right checksum, which is the last field */
static inline bool fix_is_whole(const uint8_t *message, uint32_t len) {
  const uint8_t *tail = message + len - FIX_TRAILER_SZ;
  uint32_t sum = fix_sum(message, len - FIX_TRAILER_SZ);
  return tail[-1] == FIX_SOH && tail[0] == '1' && tail[1] == '0' && tail[2] == '=' && tail[3] == '0' + sum / 100 &&
         tail[4] == '0' + sum / 10 % 10 && tail[5] == '0' + sum % 10 && tail[6] == FIX_SOH;
}

/* the unsigned number that a text is, as far as it fits; false otherwise */
static inline bool fix_number(struct fix_text text, uint64_t max, uint64_t *number) {
  uint64_t value = 0;
  if (text.len == 0 || text.len > 19) return false;
  for (uint32_t i = 0; i < text.len; i++) {
    uint32_t digit = (uint32_t)text.at[i] - '0';
    if (digit > 9) return false;
    value = value * 10 + digit;
  }
  *number = value;
  return value <= max;
}

/* a decimal in units of 10^-decimals: no sign, no exponent, nothing beyond the units; false otherwise */
static inline bool fix_decimal(struct fix_text text, uint32_t decimals, uint64_t max, uint64_t *number) {
  uint64_t value = 0;
  uint32_t after = 0, digits = 0;
  bool has_point = false;
  if (text.len == 0 || text.len > 24) return false;
  for (uint32_t i = 0; i < text.len; i++) {
    uint32_t digit = (uint32_t)text.at[i] - '0';
    if (text.at[i] == '.' && !has_point) {
      has_point = true;
    } else if (digit > 9) {
      return false;
    } else if (has_point && after == decimals) {
      if (digit) return false;
    } else {
      value = value * 10 + digit;
      after += has_point;
      digits++;
      if (value > UINT64_C(1) << 58) return false;
    }
  }
  for (; after < decimals; after++) {
    value *= 10;
    if (value > UINT64_C(1) << 58) return false;
  }
  *number = value;
  return digits > 0 && value <= max;
}

/* Takes the field at *at of a message that ends at end (before its checksum): its tag and its value; false at the end or
 * where no field is. skip: bytes of the value that may hold anything, 0 when the field ends at its delimiter */
static inline bool fix_next(const uint8_t **at, const uint8_t *end, uint32_t skip, uint32_t *tag,
                            struct fix_text *value) {
  const uint8_t *p = *at;
  uint32_t number = 0;
  while (p < end && *p >= '0' && *p <= '9' && number < 100000) number = number * 10 + *p++ - '0';
  if (p >= end || p == *at || *p != '=') return false;
  const uint8_t *from = ++p;
  if (skip) {
    if (skip >= (uint32_t)(end - p) || p[skip] != FIX_SOH) return false;
    p += skip;
  } else {
    while (p < end && *p != FIX_SOH) p++;
    if (p == end || p == from) return false;
  }
  *tag = number;
  *value = (struct fix_text){from, (uint32_t)(p - from)};
  *at = p + 1;
  return true;
}

/* ---- writing: each gives the place behind what it wrote ---- */

static inline uint8_t *fix_put(uint8_t *out, const void *text, size_t len) {
  memcpy(out, text, len);
  return out + len;
}

#define FIX_PUT(out, literal) fix_put(out, literal, sizeof(literal) - 1)

static inline uint8_t *fix_put_number(uint8_t *out, uint64_t number) {
  uint8_t digits[20];
  uint32_t at = sizeof digits;
  do {
    digits[--at] = (uint8_t)('0' + number % 10);
    number /= 10;
  } while (number);
  return fix_put(out, digits + at, sizeof digits - at);
}

/* in units of 1/10,000, without zeros behind that say nothing */
static inline uint8_t *fix_put_px(uint8_t *out, uint32_t px) {
  out = fix_put_number(out, px / 10000);
  uint32_t rest = px % 10000;
  if (!rest) return out;
  *out++ = '.';
  for (uint32_t unit = 1000; rest; unit /= 10) {
    *out++ = (uint8_t)('0' + rest / unit);
    rest %= unit;
  }
  return out;
}

/* closes a message of ours: its body begins behind 9=NNN, which stands at out + FIX_BEGIN_SZ; end: behind its last field.
 * The whole length */
#define FIX_HEAD_SZ (FIX_BEGIN_SZ + 6) /* 8=FIX.4.x 9=NNN, each with its end */
static inline uint32_t fix_close(uint8_t *out, uint8_t *end) {
  uint32_t body = (uint32_t)(end - out) - FIX_HEAD_SZ;
  uint8_t *length = out + FIX_BEGIN_SZ + 2;
  if (body < 100) { /* two digits, as everybody writes them: only short messages of the session */
    memmove(length, length + 1, (size_t)(end - length) - 1);
    length--;
    end--;
  }
  if (body >= 100) length[0] = (uint8_t)('0' + body / 100);
  length[1] = (uint8_t)('0' + body / 10 % 10);
  length[2] = (uint8_t)('0' + body % 10);
  uint32_t sum = fix_sum(out, (uint32_t)(end - out));
  end = FIX_PUT(end, "10=");
  *end++ = (uint8_t)('0' + sum / 100);
  *end++ = (uint8_t)('0' + sum / 10 % 10);
  *end++ = (uint8_t)('0' + sum % 10);
  *end++ = FIX_SOH;
  return (uint32_t)(end - out);
}

/* ---- a session's own part of every message ---- */

#define FIX_ID_SZ 16
#define FIX_TIME_SZ 21 /* YYYYMMDD-HH:MM:SS.sss */

struct fix_writer {
  uint8_t begin[FIX_HEAD_SZ + 3];       /* 8=FIX.4.x 9=000 35= */
  uint8_t ids[2 * (FIX_ID_SZ + 4) + 4]; /* end of 35, 49=..., 56=..., 34= */
  uint32_t ids_len;
  bool is_44;
  int64_t clock_offset_ns; /* UTC is the gateway clock plus this */
  uint64_t second;         /* UTC second that second_text says */
  uint8_t second_text[17]; /* YYYYMMDD-HH:MM:SS */
};

/* header up to the time, with a message type of one character; the place behind it */
uint8_t *fix_writer_begin(const struct fix_writer *writer, uint8_t *out, char type, uint32_t seq, uint64_t now_ns);
uint8_t *fix_writer_time(const struct fix_writer *writer, uint8_t *out, uint64_t now_ns);
void fix_writer_init(struct fix_writer *writer, const struct hwgw_session_cfg *cfg, bool is_44);
void fix_writer_tick(struct fix_writer *writer, uint64_t now_ns); /* keeps second_text up to date */

#endif
