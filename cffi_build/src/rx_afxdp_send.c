/* rx_afxdp_send.c: sending through the AF_XDP socket of the first queue.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: whole Ethernet frames, copied into buffers of their own in the UMEM. Output: the transmit queue of the same number,
 * past queueing disciplines and sniffers. Bound: tx_frame_cnt frames wait at most; no more are taken then.
 *
 * Cost: one copy per frame, and one system call per batch when the driver wants to be told (always in copy mode, where
 * that call does the sending; a kernel before 6.17 sends 32 per call).
 *
 * Accounting: frames count as sent when the kernel has taken them from the ring. In copy mode it says EBUSY for a frame
 * that it threw away (no carrier) and goes on with the next one when called again: tx_drop_kernel. Behind that nobody
 * tells: what a veth's other end or a NIC drops is in its own counters. While the interface is down frames wait.
 *
 * Thread: the receiver's.
 */
#ifndef HWGW_NO_XDP

#include <stdlib.h>

#include "rx_afxdp.h"

#ifndef XDP_MAX_TX_SKB_BUDGET /* Linux 6.17 */
#define XDP_MAX_TX_SKB_BUDGET 9
#endif

enum {
  ETHERNET_HEADER = 14,
  CALL_BUDGET_MIN = 32 /* what the kernel sends per call at least, and unless told otherwise */
};

int32_t hwgw_afxdp_tx_init(struct rx_afxdp *rx, uint32_t frame_cnt, struct hwgw_error *error) {
  struct afxdp_tx *tx = &rx->tx;
  if (!frame_cnt) return HWGW_OK;
  uint32_t len_max = rx->interface.mtu + HWGW_AFXDP_LINK_OVERHEAD;
  uint32_t buffers = rx->has_parts ? (len_max + rx->frame_sz - 1) / rx->frame_sz : 1; /* of one frame */
  if (buffers > HWGW_AFXDP_PARTS_MAX) buffers = HWGW_AFXDP_PARTS_MAX;
  tx->len_max = len_max < buffers * rx->frame_sz ? len_max : buffers * rx->frame_sz;
  tx->frame_cnt = tx->buffer_cnt = frame_cnt;
  while (tx->buffer_cnt < frame_cnt * buffers) tx->buffer_cnt *= 2; /* rings are powers of two */
  tx->free = malloc(tx->buffer_cnt * sizeof *tx->free);
  tx->is_last = calloc(tx->buffer_cnt, sizeof *tx->is_last);
  if (!tx->free || !tx->is_last) return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "rx afxdp: no memory");
  return HWGW_OK;
}

void hwgw_afxdp_tx_fini(struct rx_afxdp *rx) {
  free(rx->tx.free);
  free(rx->tx.is_last);
}

bool hwgw_afxdp_tx_rings(struct rx_afxdp *rx, int fd) {
  uint32_t cnt = rx->tx.buffer_cnt;
  if (setsockopt(fd, SOL_XDP, XDP_TX_RING, &cnt, sizeof cnt) ||
      setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &cnt, sizeof cnt)) {
    return false;
  }
  uint32_t budget = cnt < HWGW_BATCH_MAX ? cnt : HWGW_BATCH_MAX;
  if (budget > CALL_BUDGET_MIN) setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof budget);
  return true;
}

bool hwgw_afxdp_tx_map(struct rx_afxdp *rx, int fd, const struct xdp_mmap_offsets *offsets) {
  struct afxdp_tx *tx = &rx->tx;
  if (!hwgw_afxdp_ring_map(&tx->ring, fd, &offsets->tx, tx->buffer_cnt, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING) ||
      !hwgw_afxdp_ring_map(&tx->completion, fd, &offsets->cr, tx->buffer_cnt, sizeof(uint64_t),
                           (off_t)XDP_UMEM_PGOFF_COMPLETION_RING)) {
    return false;
  }
  tx->ring_at = tx->seen_at = tx->completion_at = tx->waiting = tx->refused = 0;
  tx->free_cnt = tx->buffer_cnt;
  for (uint32_t i = 0; i < tx->buffer_cnt; i++) tx->free[i] = i;
  return true;
}

/* takes back the buffers that were sent */
static void reap(struct rx_afxdp *rx) {
  struct afxdp_tx *tx = &rx->tx;
  uint32_t end = __atomic_load_n(tx->completion.producer, __ATOMIC_ACQUIRE);
  if (end == tx->completion_at) return;
  const uint64_t *addresses = tx->completion.entries;
  for (; tx->completion_at != end; tx->completion_at++) {
    uint32_t buffer = (uint32_t)(addresses[tx->completion_at & tx->completion.mask] / rx->frame_sz);
    tx->waiting -= tx->is_last[buffer];
    tx->free[tx->free_cnt++] = buffer;
  }
  __atomic_store_n(tx->completion.consumer, end, __ATOMIC_RELEASE);
}

void hwgw_afxdp_tx_count(struct rx_afxdp *rx) {
  struct afxdp_tx *tx = &rx->tx;
  const struct xdp_desc *descriptors = tx->ring.entries;
  uint32_t end = __atomic_load_n(tx->ring.consumer, __ATOMIC_ACQUIRE);
  for (uint64_t bytes = 0; tx->seen_at != end; tx->seen_at++) {
    const struct xdp_desc *descriptor = &descriptors[tx->seen_at & tx->ring.mask];
    bytes += descriptor->len;
    if (descriptor->options & XDP_PKT_CONTD) continue;
    if (tx->refused) {
      tx->refused--;
      rx->base.count.tx_drop_kernel++;
    } else {
      rx->base.count.tx_frames++;
      rx->base.count.tx_bytes += bytes;
    }
    bytes = 0;
  }
}

void hwgw_afxdp_tx_give_up(struct rx_afxdp *rx) {
  struct afxdp_tx *tx = &rx->tx;
  const struct xdp_desc *descriptors = tx->ring.entries;
  hwgw_afxdp_tx_count(rx);
  for (; tx->seen_at != tx->ring_at; tx->seen_at++) {
    rx->base.count.tx_drop_kernel += !(descriptors[tx->seen_at & tx->ring.mask].options & XDP_PKT_CONTD);
  }
}

/* has the kernel send what is in the ring, if it wants to be asked; ends when it gets no further */
static void kick(struct rx_afxdp *rx) {
  struct afxdp_tx *tx = &rx->tx;
  for (uint32_t calls = 0; calls <= tx->buffer_cnt; calls++) {
    if (!(__atomic_load_n(tx->ring.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP)) break;
    uint32_t before = __atomic_load_n(tx->ring.consumer, __ATOMIC_ACQUIRE);
    if (before == tx->ring_at) break;
    rx->base.count.tx_wakeups++;
    ssize_t result = sendto(rx->queues[0].fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
    if (result < 0 && errno == EBUSY) {
      tx->refused++;
      continue; /* each such call takes one frame */
    }
    if (result >= 0 || errno != EAGAIN) break;
    if (__atomic_load_n(tx->ring.consumer, __ATOMIC_ACQUIRE) == before) break;
  }
  hwgw_afxdp_tx_count(rx);
}

static void put(struct rx_afxdp *rx, const struct hwgw_frame *frame) {
  struct afxdp_tx *tx = &rx->tx;
  struct xdp_desc *descriptors = tx->ring.entries;
  for (uint32_t at = 0; at < frame->len;) {
    uint32_t len = frame->len - at < rx->frame_sz ? frame->len - at : rx->frame_sz;
    uint32_t buffer = tx->free[--tx->free_cnt];
    uint64_t address = (uint64_t)buffer * rx->frame_sz;
    memcpy(rx->memory + address, frame->data + at, len);
    at += len;
    tx->is_last[buffer] = at == frame->len;
    descriptors[tx->ring_at++ & tx->ring.mask] =
        (struct xdp_desc){.addr = address, .len = len, .options = at < frame->len ? XDP_PKT_CONTD : 0};
  }
  tx->waiting++;
}

uint32_t hwgw_afxdp_send(struct hwgw_rx *base, const struct hwgw_frame *frames, uint32_t cnt) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  struct afxdp_tx *tx = &rx->tx;
  if (!tx->frame_cnt) return 0;
  uint32_t taken = 0, first;
  do {
    reap(rx);
    first = taken;
    for (; taken < cnt; taken++) {
      uint32_t len = frames[taken].len;
      if (HWGW_UNLIKELY(len < ETHERNET_HEADER)) {
        base->count.tx_drop_short++;
      } else if (HWGW_UNLIKELY(len > tx->len_max)) {
        base->count.tx_drop_long++;
      } else if (tx->waiting == tx->frame_cnt) {
        break;
      } else {
        put(rx, &frames[taken]);
      }
    }
    __atomic_store_n(tx->ring.producer, tx->ring_at, __ATOMIC_RELEASE);
    kick(rx);
  } while (taken < cnt && taken > first); /* full, but what was put in may be gone already */
  return taken;
}

uint32_t hwgw_afxdp_unsent(struct hwgw_rx *base) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  if (!rx->tx.frame_cnt) return 0;
  kick(rx);
  reap(rx);
  return rx->tx.waiting;
}

#endif
