/* map.c: a bounded hash map from u64 to u32, linear probing, removal by shifting back; and large zeroed memory.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "exchange.h"

#ifdef __SANITIZE_ADDRESS__
/* the sanitizer guards the heap, not mappings */
void *sim_memory(size_t sz) {
  return calloc(1, sz);
}

void sim_memory_free(void *memory, size_t sz) {
  (void)sz;
  free(memory);
}
#else
void *sim_memory(size_t sz) {
  void *memory = mmap(NULL, sz, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

void sim_memory_free(void *memory, size_t sz) {
  if (memory) munmap(memory, sz);
}
#endif

static uint32_t home(const struct sim_map *map, uint64_t key) {
  return (uint32_t)((key * 0x9E3779B97F4A7C15u) >> 32) & map->mask;
}

bool sim_map_init(struct sim_map *map, uint32_t max) {
  uint32_t slots = 16;
  while (slots < max * 2u && slots < 1u << 31) slots *= 2;
  map->mask = slots - 1;
  map->max = max;
  map->cnt = 0;
  map->keys = sim_memory(slots * sizeof *map->keys);
  map->values = sim_memory(slots * sizeof *map->values);
  return map->keys && map->values;
}

void sim_map_fini(struct sim_map *map) {
  sim_memory_free(map->keys, (map->mask + (size_t)1) * sizeof *map->keys);
  sim_memory_free(map->values, (map->mask + (size_t)1) * sizeof *map->values);
  map->keys = NULL;
  map->values = NULL;
}

static uint32_t find(const struct sim_map *map, uint64_t key) {
  uint32_t i = home(map, key);
  while (map->keys[i] && map->keys[i] != key) i = (i + 1) & map->mask;
  return i;
}

uint32_t sim_map_get(const struct sim_map *map, uint64_t key) {
  uint32_t i = find(map, key);
  return map->keys[i] ? map->values[i] : SIM_NIL;
}

bool sim_map_put(struct sim_map *map, uint64_t key, uint32_t value) {
  if (map->cnt >= map->max) return false;
  uint32_t i = find(map, key);
  map->keys[i] = key;
  map->values[i] = value;
  map->cnt++;
  return true;
}

void sim_map_remove(struct sim_map *map, uint64_t key) {
  uint32_t hole = find(map, key);
  if (!map->keys[hole]) return;
  map->cnt--;
  for (uint32_t i = (hole + 1) & map->mask; map->keys[i]; i = (i + 1) & map->mask) {
    uint32_t distance_home = (i - home(map, map->keys[i])) & map->mask;
    uint32_t distance_hole = (i - hole) & map->mask;
    if (distance_home < distance_hole) continue; /* the hole is before its home: it stays */
    map->keys[hole] = map->keys[i];
    map->values[hole] = map->values[i];
    hole = i;
  }
  map->keys[hole] = 0;
}
