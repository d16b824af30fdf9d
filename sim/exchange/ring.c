/* ring.c: the newest bytes of a stream, in memory of one size.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: a byte is named by its place in the stream, from 0; the ring has the last sz of them (a power of two), and
 * what is older is overwritten without a word: who keeps a place asks sim_ring_has before he reads. Appending and
 * reading take one copy, or two where the bytes run over the end of the memory.
 */
#include "exchange.h"

int32_t sim_ring_open(struct sim_ring *ring, const char *what, uint32_t sz, char *error, uint32_t error_sz) {
  if (sz < SIM_RING_SZ_MIN || sz > SIM_RING_SZ_MAX || (sz & (sz - 1)))
    return sim_fail(error, error_sz, 3, "%s of %u bytes: a power of two from %u to %u is allowed", what, sz,
                    SIM_RING_SZ_MIN, SIM_RING_SZ_MAX);
  *ring = (struct sim_ring){.data = sim_memory(sz), .sz = sz};
  return ring->data ? 0 : sim_fail(error, error_sz, 7, "no memory for a %s of %u bytes", what, sz);
}

void sim_ring_close(struct sim_ring *ring) {
  if (ring->data) sim_memory_free(ring->data, ring->sz);
  *ring = (struct sim_ring){0};
}

/* of len bytes at a place those before the end of the memory; the rest is at its beginning */
static uint32_t first_part(const struct sim_ring *ring, uint64_t at, uint32_t len) {
  uint64_t left = ring->sz - (at & (ring->sz - 1));
  return left < len ? (uint32_t)left : len;
}

void sim_ring_append(struct sim_ring *ring, const uint8_t *data, uint32_t len) {
  uint32_t first = first_part(ring, ring->head, len);
  memcpy(ring->data + (ring->head & (ring->sz - 1)), data, first);
  memcpy(ring->data, data + first, len - first);
  ring->head += len;
}

void sim_ring_read(const struct sim_ring *ring, uint64_t at, uint8_t *out, uint32_t len) {
  uint32_t first = first_part(ring, at, len);
  memcpy(out, ring->data + (at & (ring->sz - 1)), first);
  memcpy(out + first, ring->data, len - first);
}
