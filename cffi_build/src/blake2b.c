/* blake2b.c: BLAKE2b as RFC 7693 section 3 has it, without a key.
 *
 * SPDX-License-Identifier: MIT
 *
 * The writer of the journal hashes beside the data path, never on it. Python's hashlib is what the tests hold it against.
 */
#include "blake2b.h"

#include <stdbool.h>
#include <string.h>

static const uint64_t IV[8] = {0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u,
                               0x510e527fade682d1u, 0x9b05688c2b3e6c1fu, 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u};

/* section 2.7; rounds 10 and 11 are those of 0 and 1 */
static const uint8_t SIGMA[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

static inline uint64_t rotate(uint64_t value, int by) {
  return value >> by | value << (64 - by);
}

static inline void mix(uint64_t *v, int a, int b, int c, int d, uint64_t x, uint64_t y) {
  v[a] += v[b] + x;
  v[d] = rotate(v[d] ^ v[a], 32);
  v[c] += v[d];
  v[b] = rotate(v[b] ^ v[c], 24);
  v[a] += v[b] + y;
  v[d] = rotate(v[d] ^ v[a], 16);
  v[c] += v[d];
  v[b] = rotate(v[b] ^ v[c], 63);
}

static void compress(struct blake2b *hash, const uint8_t *block, bool is_last) {
  uint64_t v[16], m[16];
  memcpy(v, hash->state, sizeof hash->state);
  memcpy(v + 8, IV, sizeof IV);
  v[12] ^= hash->total;
  if (is_last) v[14] = ~v[14];
  memcpy(m, block, sizeof m); /* little-endian words, as this machine's */
  for (int round = 0; round < 12; round++) {
    const uint8_t *s = SIGMA[round % 10];
    mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
    mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
    mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
    mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
    mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
    mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
    mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
    mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
  }
  for (int i = 0; i < 8; i++) hash->state[i] ^= v[i] ^ v[i + 8];
}

void blake2b_init(struct blake2b *hash, uint32_t hash_sz) {
  *hash = (struct blake2b){.hash_sz = hash_sz};
  memcpy(hash->state, IV, sizeof IV);
  hash->state[0] ^= 0x01010000u ^ hash_sz; /* no key, fanout and depth 1: section 2.5 */
}

void blake2b_update(struct blake2b *hash, const void *data, size_t len) {
  const uint8_t *from = data;
  while (len) {
    if (hash->used == sizeof hash->block) { /* the last block is compressed by final, so a full one waits for more */
      hash->total += sizeof hash->block;
      compress(hash, hash->block, false);
      hash->used = 0;
    }
    size_t room = sizeof hash->block - hash->used;
    size_t taken = len < room ? len : room;
    memcpy(hash->block + hash->used, from, taken);
    hash->used += (uint32_t)taken;
    from += taken;
    len -= taken;
  }
}

void blake2b_final(struct blake2b *hash, uint8_t *out) {
  hash->total += hash->used;
  memset(hash->block + hash->used, 0, sizeof hash->block - hash->used);
  compress(hash, hash->block, true);
  for (uint32_t i = 0; i < hash->hash_sz; i++) out[i] = (uint8_t)(hash->state[i / 8] >> (8 * (i % 8)));
}
