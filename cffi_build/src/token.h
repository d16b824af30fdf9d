/* token.h: our order references as the text that names an order: ten decimal digits, zeros in front.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_TOKEN_H
#define HWGW_TOKEN_H

#include "base.h"

#define TOKEN_DIGITS 10 /* of 2^32 - 1 */

/* eight digits from a number below 10^8: two, four and eight of them at a time in one register */
static inline void token_put8(uint8_t *text, uint32_t number) {
  uint64_t halves = number / 10000 | (uint64_t)(number % 10000) << 32;
  uint64_t hundreds = halves * 10486 >> 20 & UINT64_C(0x0000007f0000007f); /* / 100 below 10,000 */
  uint64_t pairs = hundreds | (halves - 100 * hundreds) << 16;
  uint64_t tens = pairs * 103 >> 10 & UINT64_C(0x000f000f000f000f); /* / 10 below 100 */
  uint64_t digits = (tens | (pairs - 10 * tens) << 8) + UINT64_C(0x3030303030303030);
  memcpy(text, &digits, sizeof digits);
}

static inline void token_put(uint8_t *text, uint32_t ref) {
  uint32_t high = ref / 100000000;
  text[0] = (uint8_t)('0' + high / 10);
  text[1] = (uint8_t)('0' + high % 10);
  token_put8(text + 2, ref % 100000000);
}

/* the number of eight digits; false when one of them is none */
static inline bool token_get8(const uint8_t *text, uint32_t *number) {
  uint64_t word;
  memcpy(&word, text, sizeof word);
  uint64_t digits = word - UINT64_C(0x3030303030303030);
  if (((word + UINT64_C(0x4646464646464646)) | digits) & UINT64_C(0x8080808080808080)) return false;
  digits = digits * 10 + (digits >> 8);
  *number = (uint32_t)(((digits & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064) +
                        (digits >> 16 & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001)) >>
                       32);
  return true;
}

/* the ref that ten digits at text name; 0 when it is none of ours */
static inline uint32_t token_get(const uint8_t *text) {
  uint32_t low, first = (uint32_t)text[0] - '0', second = (uint32_t)text[1] - '0';
  if (first > 9 || second > 9 || !token_get8(text + 2, &low)) return 0;
  uint64_t ref = (uint64_t)(first * 10 + second) * 100000000 + low;
  return ref <= UINT32_MAX ? (uint32_t)ref : 0;
}

#endif
