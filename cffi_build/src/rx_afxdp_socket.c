/* rx_afxdp_socket.c: memory, rings and sockets of the afxdp backend.
 *
 * SPDX-License-Identifier: MIT
 *
 * Sizes: the fill ring takes every frame of its queue, the receive ring half of them. So a pipeline that is too slow
 * fills the receive ring (drop_ring_full) while the fill ring still has frames, and only frames held too long empty it
 * (drop_fill_empty). Set-up only.
 */
#ifndef HWGW_NO_XDP

#include "hwgw_fault.h"
#include "rx_afxdp.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
  UNUSED_RING_SZ = 64, /* fill and completion ring; a socket without cannot be bound */
  BUSY_POLL_BUDGET = 64,
  PROOF_FRAMES = 64 /* given to a socket with zero copy; when none of them has come after PROOF_NS, none will */
};

#define PROOF_NS 20000000u

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

int32_t hwgw_afxdp_failed(struct hwgw_error *error, const struct rx_afxdp *rx, const char *call, int cause) {
  bool is_privilege = cause == EPERM || cause == EACCES;
  return hwgw_error_set(error, is_privilege ? HWGW_ERR_PRIVILEGE : HWGW_ERR_DEVICE, cause, "rx afxdp: %s on %s: %s%s",
                        call, rx->interface.name, strerror(cause),
                        is_privilege ? "; run as root or with CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF" : "");
}

/* ---- memory ---- */

int32_t hwgw_afxdp_memory(struct rx_afxdp *rx, bool huge_pages, struct hwgw_error *error) {
  size_t part = (size_t)rx->frame_cnt * rx->frame_sz, page = (size_t)sysconf(_SC_PAGESIZE);
  size_t sent = ((size_t)rx->tx.buffer_cnt * rx->frame_sz + page - 1) & ~(page - 1); /* a UMEM begins at a page */
  size_t received = part * rx->queue_cnt, wanted = sent + received + (size_t)HWGW_AFXDP_SLOTS * rx->slot_sz;
  rx->memory_sz = wanted;
  void *memory = MAP_FAILED;
  if (huge_pages) {
    size_t rounded = (wanted + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1);
    memory =
        mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
      hwgw_rx_note(&rx->base, "; no huge pages (%s; see vm.nr_hugepages)", strerror(errno));
    } else {
      rx->memory_sz = rounded;
      hwgw_rx_note(&rx->base, "; huge pages");
    }
  }
  if (memory == MAP_FAILED)
    memory = mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return hwgw_afxdp_failed(error, rx, "mmap of the UMEM", errno);
  madvise(memory, rx->memory_sz, MADV_DONTFORK); /* pinned pages would be copied at every fork */
  rx->memory = memory;
  rx->base.memory = memory;
  rx->base.memory_sz_bytes = wanted;
  rx->frame_mask = ~(uint64_t)(rx->frame_sz - 1);
  rx->slots = rx->memory + sent + received;
  for (uint32_t i = 0; i < rx->socket_cnt; i++) {
    rx->queues[i].umem = rx->memory + (i ? sent + i * part : 0);
    rx->queues[i].first = i ? 0 : sent;
    rx->queues[i].umem_sz = rx->queues[i].first + (rx->queue_cnt ? part : 0);
  }
  return HWGW_OK;
}

static int32_t pin_failed(const struct rx_afxdp *rx, uint64_t sz, int cause, struct hwgw_error *error) {
  if (cause != ENOBUFS && cause != ENOMEM) return hwgw_afxdp_failed(error, rx, "XDP_UMEM_REG", cause);
  struct rlimit limit = {0};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return hwgw_error_set(
      error, HWGW_ERR_PRIVILEGE, cause,
      "rx afxdp: XDP_UMEM_REG of %llu KiB: %s; RLIMIT_MEMLOCK is %llu KiB: give CAP_IPC_LOCK, raise the "
      "limit (ulimit -l) or lower frame_cnt",
      (unsigned long long)sz >> 10, strerror(cause), (unsigned long long)limit.rlim_cur >> 10);
}

/* ---- rings and sockets ---- */

void hwgw_afxdp_ring_unmap(struct xsk_ring *ring) {
  if (ring->map) munmap(ring->map, ring->map_sz);
  *ring = (struct xsk_ring){0};
}

void hwgw_afxdp_socket_close(struct rx_afxdp *rx, struct afxdp_queue *queue) {
  hwgw_afxdp_ring_unmap(&queue->ring);
  hwgw_afxdp_ring_unmap(&queue->fill);
  if (queue->index == 0) {
    hwgw_afxdp_ring_unmap(&rx->tx.ring);
    hwgw_afxdp_ring_unmap(&rx->tx.completion);
  }
  if (queue->fd >= 0) close(queue->fd);
  queue->fd = -1;
}

void hwgw_afxdp_spare_close(struct afxdp_queue *queue) {
  if (queue->spare_fd >= 0) close(queue->spare_fd);
  queue->spare_fd = -1;
}

bool hwgw_afxdp_ring_map(struct xsk_ring *ring, int fd, const struct xdp_ring_offset *offset, uint32_t cnt,
                         size_t entry_sz, off_t page_offset) {
  ring->map_sz = offset->desc + cnt * entry_sz;
  void *map = mmap(NULL, ring->map_sz, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, page_offset);
  if (map == MAP_FAILED) return false;
  ring->map = map;
  ring->producer = (uint32_t *)((char *)map + offset->producer);
  ring->consumer = (uint32_t *)((char *)map + offset->consumer);
  ring->flags = (uint32_t *)((char *)map + offset->flags);
  ring->entries = (char *)map + offset->desc;
  ring->mask = cnt - 1;
  return true;
}

/* a socket with UMEM and rings, every frame in the fill ring, not bound yet */
static int32_t socket_make(struct rx_afxdp *rx, struct afxdp_queue *queue, struct hwgw_error *error) {
  queue->fd = queue->spare_fd >= 0 ? queue->spare_fd : socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  queue->spare_fd = -1;
  if (queue->fd < 0) return hwgw_afxdp_failed(error, rx, "socket(AF_XDP)", errno);
  struct xdp_umem_reg region = {.addr = (uintptr_t)queue->umem, .len = queue->umem_sz, .chunk_size = rx->frame_sz};
  if (setsockopt(queue->fd, SOL_XDP, XDP_UMEM_REG, &region, sizeof region))
    return pin_failed(rx, queue->umem_sz, errno, error);
  bool sends = queue->index == 0 && rx->tx.frame_cnt, receives = rx->queue_cnt > 0;
  uint32_t fill_cnt = receives ? rx->frame_cnt : UNUSED_RING_SZ, ring_cnt = rx->frame_cnt / 2;
  uint32_t completion_cnt = UNUSED_RING_SZ;
  if (setsockopt(queue->fd, SOL_XDP, XDP_UMEM_FILL_RING, &fill_cnt, sizeof fill_cnt) ||
      (receives && setsockopt(queue->fd, SOL_XDP, XDP_RX_RING, &ring_cnt, sizeof ring_cnt)) ||
      (sends ? !hwgw_afxdp_tx_rings(rx, queue->fd)
             : setsockopt(queue->fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &completion_cnt, sizeof completion_cnt))) {
    return hwgw_afxdp_failed(error, rx, "setting up the rings", errno);
  }
  struct xdp_mmap_offsets offsets;
  socklen_t sz = sizeof offsets;
  if (getsockopt(queue->fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &sz) ||
      !hwgw_afxdp_ring_map(&queue->fill, queue->fd, &offsets.fr, fill_cnt, sizeof(uint64_t),
                           (off_t)XDP_UMEM_PGOFF_FILL_RING) ||
      (receives && !hwgw_afxdp_ring_map(&queue->ring, queue->fd, &offsets.rx, ring_cnt, sizeof(struct xdp_desc),
                                        XDP_PGOFF_RX_RING)) ||
      (sends && !hwgw_afxdp_tx_map(rx, queue->fd, &offsets))) {
    return hwgw_afxdp_failed(error, rx, "mapping the rings", errno);
  }
  queue->ring_at = queue->held = queue->fill_at = 0;
  if (!receives) return HWGW_OK;
  uint64_t *free_frames = queue->fill.entries;
  for (uint32_t i = 0; i < fill_cnt; i++) free_frames[i] = queue->first + (uint64_t)i * rx->frame_sz;
  queue->fill_at = fill_cnt;
  __atomic_store_n(queue->fill.producer, fill_cnt, __ATOMIC_RELEASE);
  return HWGW_OK;
}

/* 0 or errno */
static int socket_bind(const struct rx_afxdp *rx, const struct afxdp_queue *queue, uint16_t flags) {
  struct sockaddr_xdp address = {
      .sxdp_family = AF_XDP,
      .sxdp_flags = (uint16_t)(flags | XDP_USE_NEED_WAKEUP | (rx->has_parts ? XDP_USE_SG : 0)),
      .sxdp_ifindex = (uint32_t)rx->interface.index,
      .sxdp_queue_id = queue->id};
  for (int try = 0;; try++) {
    if (bind(queue->fd, (struct sockaddr *)&address, sizeof address) == 0) return 0;
    if (errno != EBUSY || try == HWGW_AFXDP_BIND_TRIES) return errno;
    nanosleep(&(struct timespec){.tv_nsec = HWGW_AFXDP_BIND_PAUSE_MS * 1000000}, NULL);
  }
}

int32_t hwgw_afxdp_socket_open(struct rx_afxdp *rx, struct afxdp_queue *queue, bool may_zero_copy,
                               struct hwgw_error *error) {
  int32_t status = socket_make(rx, queue, error);
  if (status) return status;
  bool pretends = may_zero_copy && hwgw_fault_get() & HWGW_FAULT_ZERO_COPY;
  int cause = may_zero_copy ? socket_bind(rx, queue, pretends ? XDP_COPY : XDP_ZEROCOPY) : EOPNOTSUPP;
  queue->has_zero_copy = cause == 0;
  queue->is_proven = !queue->has_zero_copy;
  if (queue->has_zero_copy) queue->spare_fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (cause && cause != EBUSY) {
    if (may_zero_copy) {
      if (queue->index == 0) {
        hwgw_rx_note(&rx->base, "; no zero copy (%s)", cause == EOPNOTSUPP ? "the driver has none" : strerror(cause));
      }
      hwgw_afxdp_socket_close(rx, queue);
      status = socket_make(rx, queue, error);
      if (status) return status;
    }
    cause = socket_bind(rx, queue, XDP_COPY);
  }
  if (cause == EBUSY) {
    return hwgw_error_set(error, HWGW_ERR_DEVICE, cause,
                          "rx afxdp: bind to %s queue %u: still busy after %d ms; another AF_XDP socket has it (to "
                          "send where a receiver of yours is, send through that receiver)",
                          rx->interface.name, queue->id, HWGW_AFXDP_BIND_TRIES * HWGW_AFXDP_BIND_PAUSE_MS);
  }
  if (cause == EINVAL) {
    return hwgw_error_set(
        error, HWGW_ERR_CONFIG, cause,
        "rx afxdp: bind to %s queue %u: %s; has the interface that queue? see ethtool -l %s%s", rx->interface.name,
        queue->id, strerror(cause), rx->interface.name,
        rx->has_parts ? " (and its MTU asks for frames in several buffers, which need Linux 6.6)" : "");
  }
  return cause ? hwgw_afxdp_failed(error, rx, "bind", cause) : HWGW_OK;
}

/* ---- the proof of zero copy ---- */

/* keeps what the kernel has counted so far, and what waits to be sent */
static void counters_keep(struct rx_afxdp *rx, struct afxdp_queue *queue) {
  queue->before = hwgw_afxdp_statistics(queue);
  if (queue->index == 0 && rx->tx.frame_cnt) hwgw_afxdp_tx_give_up(rx);
}

/* polls find nothing and sends take nothing */
static void queue_empty(struct rx_afxdp *rx, struct afxdp_queue *queue) {
  hwgw_afxdp_socket_close(rx, queue);
  queue->ring = queue->fill =
      (struct xsk_ring){.producer = &queue->none, .consumer = &queue->none, .flags = &queue->none};
  queue->ring_at = queue->fill_at = queue->held = 0;
  if (queue->index == 0) rx->tx.frame_cnt = 0;
}

static void copy_instead(struct rx_afxdp *rx, struct afxdp_queue *queue, uint64_t lost) {
  struct hwgw_error error = {0};
  counters_keep(rx, queue);
  hwgw_afxdp_socket_close(rx, queue);
  int32_t status = hwgw_afxdp_socket_open(rx, queue, false, &error);
  if (!status && hwgw_fault_get() & HWGW_FAULT_NO_COPY)
    status = hwgw_error_set(&error, HWGW_ERR_DEVICE, 0, "a fault of hwgw_fault.h");
  if (!status) status = hwgw_xdp_swap(&rx->user, queue->index, queue->fd, &error);
  queue->has_lost = true;
  if (status) { /* the watch opens everything anew, or says why it cannot */
    queue_empty(rx, queue);
    rx->base.state = HWGW_SEGMENT_RECEIVE_STATE_CHANGED;
    hwgw_rx_note(&rx->base, "; queue %u: zero copy delivered none of %llu frames, and copy mode: %.120s", queue->id,
                 (unsigned long long)lost, error.text);
  } else {
    hwgw_rx_note(&rx->base, "; queue %u: zero copy delivered none of %llu frames, copy mode instead", queue->id,
                 (unsigned long long)lost);
  }
}

static void queue_prove(struct rx_afxdp *rx, struct afxdp_queue *queue) {
  if (!queue->ring.map) return;
  struct steer_queue *steered = hwgw_xdp_queue(&rx->user, queue->index);
  struct xdp_statistics now = hwgw_afxdp_statistics(queue);
  bool is_alive = __atomic_load_n(queue->ring.producer, __ATOMIC_RELAXED) != 0 || now.rx_ring_full != 0;
  if (is_alive) {
    queue->is_proven = true;
    hwgw_afxdp_spare_close(queue);
    __atomic_fetch_and(&steered->flags, ~(uint32_t)STEER_PROVE, __ATOMIC_RELAXED);
    hwgw_rx_note(&rx->base, "; queue %u: zero copy proven", queue->id);
    return;
  }
  uint64_t given = __atomic_load_n(&steered->redirected, __ATOMIC_RELAXED), now_ns = hwgw_now_ns();
  if (given < PROOF_FRAMES) return;
  if (!queue->t_doubt_ns) queue->t_doubt_ns = now_ns;
  if (now_ns - queue->t_doubt_ns < PROOF_NS) return;
  copy_instead(rx, queue, given);
}

void hwgw_afxdp_zero_copy_prove(struct rx_afxdp *rx) {
  for (uint32_t i = 0; i < rx->queue_cnt; i++) {
    if (!rx->queues[i].is_proven) queue_prove(rx, &rx->queues[i]);
  }
}

struct xdp_statistics hwgw_afxdp_statistics(const struct afxdp_queue *queue) {
  struct xdp_statistics now = {0};
  socklen_t sz = sizeof now;
  if (getsockopt(queue->fd, SOL_XDP, XDP_STATISTICS, &now, &sz)) now = (struct xdp_statistics){0};
  now.rx_dropped += queue->before.rx_dropped;
  now.rx_ring_full += queue->before.rx_ring_full;
  now.rx_invalid_descs += queue->before.rx_invalid_descs;
  now.rx_fill_ring_empty_descs += queue->before.rx_fill_ring_empty_descs;
  now.tx_invalid_descs += queue->before.tx_invalid_descs;
  return now;
}

struct hwgw_rx_hold *hwgw_afxdp_hold(struct hwgw_rx *base) {
  return hwgw_xdp_hold(&((struct rx_afxdp *)base)->user);
}

void hwgw_afxdp_sight(struct hwgw_rx *base, int ifindex) {
  hwgw_xdp_sight(&((struct rx_afxdp *)base)->user, ifindex);
}

/* ---- busy poll ---- */

void hwgw_afxdp_busy_poll(struct rx_afxdp *rx, uint32_t us) {
  int on = 1, time_us = (int)us, budget = BUSY_POLL_BUDGET;
  for (uint32_t i = 0; i < rx->queue_cnt; i++) {
    int fd = rx->queues[i].fd;
    if (setsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof on) ||
        setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &time_us, sizeof time_us) ||
        setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget, sizeof budget)) {
      hwgw_rx_note(&rx->base, "; no busy poll (%s)", strerror(errno));
      rx->busy_poll_known = true;
      return;
    }
    rx->queues[i].busy_poll = true;
  }
}

/* Busy poll pays only while the interface holds its interrupts back. hwgw does not set that: the setting would outlive a
 * process that is killed */
static void deferral_note(struct rx_afxdp *rx) {
  struct hwgw_deferral deferral;
  const char *name = rx->interface.name;
  if (!hwgw_deferral_read(&deferral, &rx->interface)) {
    hwgw_rx_note(&rx->base, "; busy poll (whether %s holds its interrupts back cannot be read here)", name);
  } else if (deferral.hard_irqs && deferral.timeout_ns) {
    hwgw_rx_note(&rx->base, "; busy poll");
  } else {
    hwgw_rx_note(
        &rx->base,
        "; busy poll, but %s does not hold its interrupts back: echo 2 > /sys/class/net/%s/napi_defer_hard_irqs; "
        "echo 200000 > /sys/class/net/%s/gro_flush_timeout",
        name, name, name);
  }
}

/* a NAPI id is known once a frame has come through; without one busy poll is accepted and does nothing */
void hwgw_afxdp_busy_poll_probe(struct rx_afxdp *rx) {
  if (rx->busy_poll_known || !rx->queues[0].busy_poll || rx->base.count.frames == 0) return;
  bool is_known = hwgw_fault_get() & HWGW_FAULT_NAPI;
  for (uint32_t i = 0; i < rx->queue_cnt; i++) {
    unsigned napi_id = 0;
    socklen_t sz = sizeof napi_id;
    getsockopt(rx->queues[i].fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi_id, &sz);
    is_known |= napi_id != 0;
  }
  rx->busy_poll_known = true;
  if (is_known) {
    deferral_note(rx);
    return;
  }
  for (uint32_t i = 0; i < rx->queue_cnt; i++) rx->queues[i].busy_poll = false;
  hwgw_rx_note(&rx->base, "; busy poll does nothing here (no NAPI id), off");
}

#endif
