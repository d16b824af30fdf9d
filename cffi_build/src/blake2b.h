/* blake2b.h: the hash that chains the blocks of the journal (RFC 7693), unkeyed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_BLAKE2B_H
#define HWGW_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>

struct blake2b {
  uint64_t state[8];
  uint64_t total; /* bytes compressed so far; a journal block is far below 2^64 */
  uint8_t block[128];
  uint32_t used; /* of block */
  uint32_t hash_sz;
};

/* hash_sz: 1 to 64 bytes */
void blake2b_init(struct blake2b *hash, uint32_t hash_sz);
void blake2b_update(struct blake2b *hash, const void *data, size_t len);
void blake2b_final(struct blake2b *hash, uint8_t *out);

#endif
