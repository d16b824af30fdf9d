/* rx_kept.c: the memory of frames outlives its backend where somebody still looks at it.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: struct hwgw_rx_kept in hwgw_batch.h. A backend gives the memory in which its frames lie to hwgw_rx_unmap
 * when it closes; without cfg.kept that is munmap, else the memory waits in the list. What the list has no room to note
 * stays mapped for good.
 *
 * Thread: any; a lock, taken by close and by the owner of the list only.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "hwgw_batch.h"
#include "rx.h"

struct hwgw_rx_kept {
  pthread_mutex_t lock;
  struct {
    void *memory;
    size_t sz;
  } *maps;
  uint32_t cnt;
  uint32_t room;
  uint32_t users; /* its owner and the receivers that were opened with it */
};

struct hwgw_rx_kept *hwgw_rx_kept_open(void) {
  struct hwgw_rx_kept *kept = calloc(1, sizeof *kept);
  if (kept) pthread_mutex_init(&kept->lock, NULL);
  if (kept) kept->users = 1;
  return kept;
}

void hwgw_rx_kept_use(struct hwgw_rx_kept *kept) {
  if (kept) __atomic_add_fetch(&kept->users, 1, __ATOMIC_RELAXED);
}

uint64_t hwgw_rx_kept_unmap(struct hwgw_rx_kept *kept) {
  uint64_t bytes = 0;
  pthread_mutex_lock(&kept->lock);
  for (uint32_t i = 0; i < kept->cnt; i++) {
    munmap(kept->maps[i].memory, kept->maps[i].sz);
    bytes += kept->maps[i].sz;
  }
  kept->cnt = 0;
  pthread_mutex_unlock(&kept->lock);
  return bytes;
}

uint64_t hwgw_rx_kept_bytes(struct hwgw_rx_kept *kept) {
  uint64_t bytes = 0;
  pthread_mutex_lock(&kept->lock);
  for (uint32_t i = 0; i < kept->cnt; i++) bytes += kept->maps[i].sz;
  pthread_mutex_unlock(&kept->lock);
  return bytes;
}

void hwgw_rx_kept_close(struct hwgw_rx_kept *kept) {
  if (!kept || __atomic_sub_fetch(&kept->users, 1, __ATOMIC_ACQ_REL)) return;
  hwgw_rx_kept_unmap(kept);
  pthread_mutex_destroy(&kept->lock);
  free(kept->maps);
  free(kept);
}

void hwgw_rx_unmap(struct hwgw_rx *rx, void *memory, size_t sz) {
  struct hwgw_rx_kept *kept = rx->kept;
  if (!kept) {
    munmap(memory, sz);
    return;
  }
  pthread_mutex_lock(&kept->lock);
  if (kept->cnt == kept->room) {
    uint32_t room = kept->room ? 2 * kept->room : 4;
    void *maps = realloc(kept->maps, room * sizeof *kept->maps);
    if (maps) {
      kept->maps = maps;
      kept->room = room;
    }
  }
  if (kept->cnt < kept->room) {
    kept->maps[kept->cnt].memory = memory;
    kept->maps[kept->cnt++].sz = sz;
  }
  pthread_mutex_unlock(&kept->lock);
}

bool hwgw_rx_keeps(const struct hwgw_rx *rx) {
  return rx->live->ops->keeps_memory;
}
