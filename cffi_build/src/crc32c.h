/* crc32c.h: the checksum of a journal record and of a limits table (RFC 3720 appendix B.4: polynomial 0x1EDC6F41, reflected).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_CRC32C_H
#define HWGW_CRC32C_H

#include <stdint.h>
#include <string.h>

/* by the instruction of SSE4.2, which x86-64-v2 has */
static inline uint32_t crc32c(const void *data, uint64_t len) {
  const uint8_t *from = data;
  uint64_t crc = 0xffffffffu;
  for (; len >= 8; from += 8, len -= 8) {
    uint64_t word;
    memcpy(&word, from, sizeof word);
    crc = __builtin_ia32_crc32di(crc, word);
  }
  for (; len; from++, len--) crc = __builtin_ia32_crc32qi((uint32_t)crc, *from);
  return (uint32_t)~crc;
}

#endif
