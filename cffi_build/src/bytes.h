/* bytes.h: big-endian integers in wire bytes, at any alignment; compiles to one load and one byte swap.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_BYTES_H
#define HWGW_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t hwgw_be16(const uint8_t *p) {
  uint16_t v;
  memcpy(&v, p, sizeof v);
  return __builtin_bswap16(v);
}

static inline uint32_t hwgw_be32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return __builtin_bswap32(v);
}

static inline uint64_t hwgw_be64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, sizeof v);
  return __builtin_bswap64(v);
}

/* 6 bytes, the width of an ITCH timestamp; reads no byte outside them */
static inline uint64_t hwgw_be48(const uint8_t *p) {
  return (uint64_t)hwgw_be16(p) << 32 | hwgw_be32(p + 2);
}

static inline void hwgw_put_be16(uint8_t *p, uint16_t v) {
  v = __builtin_bswap16(v);
  memcpy(p, &v, sizeof v);
}

static inline void hwgw_put_be32(uint8_t *p, uint32_t v) {
  v = __builtin_bswap32(v);
  memcpy(p, &v, sizeof v);
}

static inline void hwgw_put_be64(uint8_t *p, uint64_t v) {
  v = __builtin_bswap64(v);
  memcpy(p, &v, sizeof v);
}

static inline void hwgw_put_be48(uint8_t *p, uint64_t v) {
  hwgw_put_be16(p, (uint16_t)(v >> 32));
  hwgw_put_be32(p + 2, (uint32_t)v);
}

#endif
