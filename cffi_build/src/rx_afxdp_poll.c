/* rx_afxdp_poll.c: the data path of an AF_XDP receiver: frames out of the receive rings, and back to the fill rings.
 *
 * SPDX-License-Identifier: MIT
 *
 * poll hands out what the receive rings have and frees their entries; release gives the frames back. Each poll begins with
 * the next queue, so that none waits for more than the others' batches. A frame in several buffers is copied into a slot,
 * and the others stay where they are. Cost: two ring indices a queue and one time stamp, no system call unless the driver
 * asks for a wake-up or busy poll is on.
 */
#ifndef HWGW_NO_XDP

#include "rx_afxdp.h"

static inline bool wants_wake(const struct afxdp_queue *queue) {
  return HWGW_UNLIKELY(__atomic_load_n(queue->fill.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP);
}

static void wake(struct rx_afxdp *rx, const struct afxdp_queue *queue) {
  recvfrom(queue->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
  rx->base.count.wakeups++;
}

/* cnt frames that wait in the ring of a queue */
static inline void take(struct rx_afxdp *rx, struct afxdp_queue *queue, struct hwgw_frame *frames, uint32_t cnt,
                        uint64_t now) {
  const struct xdp_desc *descriptors = queue->ring.entries;
  uint64_t *free_frames = queue->fill.entries;
  uint64_t bytes = 0;
  uint32_t fill_at = queue->fill_at + queue->held;
  for (uint32_t i = 0; i < cnt; i++) {
    const struct xdp_desc *descriptor = &descriptors[(queue->ring_at + i) & queue->ring.mask];
    const uint8_t *data = queue->umem + descriptor->addr;
    hwgw_prefetch(data);
    hwgw_prefetch(data + HWGW_CACHE_LINE);
    /* written now, shown to the kernel by release; there is room for every frame */
    free_frames[(fill_at + i) & queue->fill.mask] = descriptor->addr & rx->frame_mask;
    frames[i] = (struct hwgw_frame){
        .data = data, .len = descriptor->len, .flow = HWGW_FLOW_NONE, .queue = queue->id, .t_rx = now};
    bytes += descriptor->len;
  }
  queue->ring_at += cnt;
  queue->held += cnt;
  __atomic_store_n(queue->ring.consumer, queue->ring_at, __ATOMIC_RELEASE);
  rx->base.count.bytes += bytes;
}

static inline void give_back(struct rx_afxdp *rx, struct afxdp_queue *queue) {
  if (queue->held == 0) return;
  queue->fill_at += queue->held;
  queue->held = 0;
  __atomic_store_n(queue->fill.producer, queue->fill_at, __ATOMIC_RELEASE);
  if (wants_wake(queue)) wake(rx, queue);
}

uint32_t hwgw_afxdp_poll_plain(struct hwgw_rx *base, struct hwgw_frame *frames, uint32_t max) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  struct afxdp_queue *queue = rx->queues;
  uint32_t cnt = __atomic_load_n(queue->ring.producer, __ATOMIC_ACQUIRE) - queue->ring_at;
  if (cnt == 0) {
    if (HWGW_UNLIKELY(queue->busy_poll) || wants_wake(queue)) wake(rx, queue);
    return 0;
  }
  if (cnt > max) cnt = max;
  take(rx, queue, frames, cnt, hwgw_rdtsc());
  return cnt;
}

void hwgw_afxdp_release_plain(struct hwgw_rx *base) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  give_back(rx, rx->queues);
}

/* entries of the frame that begins at an entry, of avail that are there; 0 = its end is not there yet */
static uint32_t chain_cnt(const struct afxdp_queue *queue, uint32_t at, uint32_t avail, uint64_t *bytes) {
  const struct xdp_desc *descriptors = queue->ring.entries;
  *bytes = 0;
  for (uint32_t i = 0; i < avail; i++) {
    const struct xdp_desc *descriptor = &descriptors[(at + i) & queue->ring.mask];
    *bytes += descriptor->len;
    if (!(descriptor->options & XDP_PKT_CONTD)) return i + 1;
  }
  return 0;
}

/* copies a frame of several buffers into the next slot */
static const uint8_t *gather(struct rx_afxdp *rx, const struct afxdp_queue *queue, uint32_t cnt) {
  const struct xdp_desc *descriptors = queue->ring.entries;
  uint8_t *slot = rx->slots + (size_t)rx->slot_held++ * rx->slot_sz, *at = slot;
  for (uint32_t i = 0; i < cnt; i++) {
    const struct xdp_desc *descriptor = &descriptors[(queue->ring_at + i) & queue->ring.mask];
    memcpy(at, queue->umem + descriptor->addr, descriptor->len);
    at += descriptor->len;
  }
  rx->gathered++;
  return slot;
}

/* the time of a frame, which is used up: what stands there when the buffer comes again is of that frame, or nothing */
static uint64_t stamp_take(struct rx_afxdp *rx, uint8_t *data) {
  struct steer_stamp stamp;
  memcpy(&stamp, data - sizeof stamp, sizeof stamp);
  if (!stamp.kernel_ns) return 0;
  memset(data - sizeof stamp, 0, sizeof stamp);
  if (rx->base.clock != HWGW_RX_CLOCK_HARDWARE) return stamp.kernel_ns + rx->realtime_offset_ns;
  if (stamp.hardware_ns) {
    rx->is_hardware_seen = true;
    rx->hardware_misses = 0;
  } else if (!rx->is_hardware_seen) {
    rx->hardware_misses++;
  }
  return stamp.hardware_ns;
}

/* as take, where frames may have several buffers or time stamps: up to max frames of avail entries; how many. Stops when
 * every slot is held: the rest waits in the ring */
static uint32_t take_more(struct rx_afxdp *rx, struct afxdp_queue *queue, struct hwgw_frame *frames, uint32_t avail,
                          uint32_t max, uint64_t now) {
  const struct xdp_desc *descriptors = queue->ring.entries;
  uint64_t *free_frames = queue->fill.entries;
  uint32_t got = 0, begin = queue->ring_at;
  while (got < max && queue->ring_at - begin < avail) {
    const struct xdp_desc *descriptor = &descriptors[queue->ring_at & queue->ring.mask];
    uint64_t len;
    uint32_t cnt = chain_cnt(queue, queue->ring_at, avail - (queue->ring_at - begin), &len);
    if (cnt == 0 || (cnt > 1 && rx->slot_held == HWGW_AFXDP_SLOTS)) break;
    bool is_long = cnt > 1 && len > rx->slot_sz;
    bool is_given_back = is_long && queue->held == 0; /* at once: nobody may call release for it */
    if (is_long) {
      rx->too_long++;
    } else {
      uint8_t *data = queue->umem + descriptor->addr;
      frames[got++] = (struct hwgw_frame){.data = cnt > 1 ? gather(rx, queue, cnt) : data,
                                          .len = (uint32_t)len,
                                          .flow = HWGW_FLOW_NONE,
                                          .queue = queue->id,
                                          .t_rx = now,
                                          .ts_ns = rx->has_stamps ? stamp_take(rx, data) : 0};
      rx->base.count.bytes += len;
    }
    for (uint32_t i = 0; i < cnt; i++) {
      uint64_t address = descriptors[queue->ring_at++ & queue->ring.mask].addr;
      free_frames[(queue->fill_at + queue->held + i) & queue->fill.mask] = address & rx->frame_mask;
    }
    if (is_given_back) {
      queue->fill_at += cnt;
      __atomic_store_n(queue->fill.producer, queue->fill_at, __ATOMIC_RELEASE);
    } else {
      queue->held += cnt;
    }
  }
  __atomic_store_n(queue->ring.consumer, queue->ring_at, __ATOMIC_RELEASE);
  return got;
}

uint32_t hwgw_afxdp_poll(struct hwgw_rx *base, struct hwgw_frame *frames, uint32_t max) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  uint32_t got = 0, at = rx->turn;
  uint64_t now = 0;
  for (uint32_t i = 0; i < rx->queue_cnt && got < max; i++) {
    struct afxdp_queue *queue = &rx->queues[at];
    if (++at == rx->queue_cnt) at = 0;
    if (i == 0) rx->turn = at;
    uint32_t cnt = __atomic_load_n(queue->ring.producer, __ATOMIC_ACQUIRE) - queue->ring_at;
    if (cnt == 0) {
      if (HWGW_UNLIKELY(queue->busy_poll) || wants_wake(queue)) wake(rx, queue);
      continue;
    }
    if (!now) now = hwgw_rdtsc();
    if (HWGW_UNLIKELY(rx->has_parts || rx->has_stamps)) {
      got += take_more(rx, queue, frames + got, cnt, max - got, now);
      continue;
    }
    if (cnt > max - got) cnt = max - got;
    take(rx, queue, frames + got, cnt, now);
    got += cnt;
  }
  return got;
}

void hwgw_afxdp_release(struct hwgw_rx *base) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  rx->slot_held = 0;
  for (uint32_t i = 0; i < rx->queue_cnt; i++) give_back(rx, &rx->queues[i]);
}

#endif
