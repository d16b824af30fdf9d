/* rx_afxdp.c: receive queues of an interface past the kernel's stack, through AF_XDP sockets.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: the frames that the steering program (xdp/steer.bpf.c) redirects: the configured flows on the configured queues;
 * with all_frames everything on these queues. All else stays with the kernel, which also answers IGMP: plain sockets join
 * the groups so that switches forward them. Several receivers of a process may share an interface (xdp_share.h).
 *
 * Output: Ethernet frames in place, in the shared memory (UMEM). poll hands out what the receive rings have and frees
 * their entries; release gives the frames back to the fill rings. Frames polled and not released are held, not
 * overwritten. Each poll begins with the next queue, so that none waits for more than the others' batches.
 *
 * Where the MTU asks for more than a buffer, frames may come in several; such a frame is copied into a slot, and the others
 * stay where they are (gathered).
 *
 * Sending (rx_afxdp_send.c) goes through the socket of the first queue.
 *
 * Cost: per poll two ring indices a queue and one time stamp, no system call unless the driver asks for a wake-up or busy
 * poll is on.
 *
 * Accounting: the kernel counts a frame that found no buffer twice (rx_dropped and rx_fill_ring_empty_descs) in copy
 * mode; what is left of rx_dropped are frames longer than the buffer (drop_truncated). With zero copy the driver's
 * empty refills are no frames, and what they cost is in the interface's own counter (drop_nic, of the whole
 * interface).
 *
 * Thread: one. The kernel removes program and sockets when the process ends, in whatever way. After fork the receiver is
 * dead in the child: polls find nothing, close frees.
 */
#include <linux/capability.h>

#include "rx.h"

#define OPS(poll_, release_)                                 \
  {                                                          \
      .name = "afxdp",                                       \
      .keeps_memory = true,                                  \
      .open = afxdp_open,                                    \
      .poll = (poll_),                                       \
      .release = (release_),                                 \
      .send = hwgw_afxdp_send,                               \
      .unsent = hwgw_afxdp_unsent,                           \
      .give_up = afxdp_give_up,                              \
      .hold = hwgw_afxdp_hold,                               \
      .move = hwgw_xdp_move,                                 \
      .unhold = hwgw_xdp_unhold,                             \
      .sight = hwgw_afxdp_sight,                             \
      .stats = afxdp_stats,                                  \
      .ended = afxdp_ended,                                  \
      .close = afxdp_close,                                  \
      .available = afxdp_available,                          \
      .has_interface = true,                                 \
      .needs_caps = 1u << CAP_NET_RAW | 1u << CAP_NET_ADMIN, \
  }

#ifndef HWGW_NO_XDP

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hwgw_fault.h"
#include "rx_afxdp.h"

enum {
  FRAMES_DEFAULT = 4096,
  FRAMES_MIN = 64,
  FRAMES_MAX = 1 << 20,
  FRAME_SZ_MIN = 2048 /* the kernel's limits for aligned frames: 2,048 to the page size */
};

/* ---- fork and close ---- */

static uint32_t dead_poll(struct hwgw_rx *base, struct hwgw_frame *frames, uint32_t max) {
  (void)base;
  (void)frames;
  (void)max;
  return 0;
}

static void dead_release(struct hwgw_rx *base) {
  (void)base;
}

static void dead_stats(struct hwgw_rx *base, uint64_t *counters) {
  (void)base;
  (void)counters;
}

static bool afxdp_ended(const struct hwgw_rx *base) {
  (void)base;
  return false;
}

static void afxdp_close(struct hwgw_rx *base);
static bool afxdp_available(char *text, uint32_t sz);

/* what a receiver becomes in a forked child */
static const struct hwgw_rx_ops DEAD = {
    .name = "afxdp",
    .keeps_memory = true,
    .poll = dead_poll,
    .release = dead_release,
    .stats = dead_stats,
    .ended = afxdp_ended,
    .close = afxdp_close,
    .available = afxdp_available,
};

static void descriptors_close(struct rx_afxdp *rx) {
  for (uint32_t i = 0; i < rx->socket_cnt; i++) {
    hwgw_afxdp_socket_close(rx, &rx->queues[i]);
    hwgw_afxdp_spare_close(&rx->queues[i]);
  }
  for (uint32_t i = 0; i < rx->join_cnt; i++) close(rx->joins[i]);
  rx->join_cnt = 0;
}

static void forked(struct hwgw_xdp_user *user) {
  struct rx_afxdp *rx = (struct rx_afxdp *)((char *)user - offsetof(struct rx_afxdp, user));
  descriptors_close(rx);
  rx->memory = NULL; /* is not there in the child */
  rx->base.memory = NULL;
  rx->base.memory_sz_bytes = 0;
  rx->base.state = HWGW_SEGMENT_RECEIVE_STATE_GONE;
  rx->base.ops = &DEAD;
}

static void afxdp_close(struct hwgw_rx *base) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  hwgw_xdp_leave(&rx->user);
  descriptors_close(rx);
  if (rx->memory) hwgw_rx_unmap(base, rx->memory, rx->memory_sz);
  hwgw_afxdp_tx_fini(rx);
  free(rx->queues);
  free(rx);
}

/* ---- open ---- */

static int32_t config_check(const struct hwgw_rx_cfg *cfg, uint32_t frame_cnt, uint32_t frame_sz,
                            struct hwgw_error *error) {
  if (!cfg->interface || !*cfg->interface || strlen(cfg->interface) > 15) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx afxdp: interface \"%s\"; it needs the name of a device",
                          cfg->interface ? cfg->interface : "");
  }
  if (cfg->tx_only && cfg->queue_cnt > 1) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx afxdp: tx_only with %u queues; one sends", cfg->queue_cnt);
  }
  if (cfg->flow_cnt == 0 && !cfg->all_frames && !cfg->tx_only) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "rx afxdp: no flow; name at least one group, or ask for all_frames");
  }
  if (cfg->mode && *cfg->mode && strcmp(cfg->mode, "auto") && strcmp(cfg->mode, "native") &&
      strcmp(cfg->mode, "generic")) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx afxdp: mode \"%s\"; allowed: auto, native, generic",
                          cfg->mode);
  }
  if (frame_cnt < FRAMES_MIN || frame_cnt > FRAMES_MAX || (frame_cnt & (frame_cnt - 1))) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx afxdp: frame_cnt %u; allowed: powers of two from %d to %d",
                          frame_cnt, FRAMES_MIN, FRAMES_MAX);
  }
  uint32_t frame_sz_max = (uint32_t)sysconf(_SC_PAGESIZE);
  if (frame_sz < FRAME_SZ_MIN || frame_sz > frame_sz_max || (frame_sz & (frame_sz - 1))) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "rx afxdp: frame_sz_bytes %u; allowed: powers of two from %d to %u", frame_sz, FRAME_SZ_MIN,
                          frame_sz_max);
  }
  return HWGW_OK;
}

/* decides whether frames may come, or go, in several buffers, and what is the longest one */
static int32_t mtu_judge(struct rx_afxdp *rx, bool receives, struct hwgw_error *error) {
  const struct hwgw_interface *interface = &rx->interface;
  if (!interface->is_up) {
    return hwgw_error_set(error, HWGW_ERR_DEVICE, ENETDOWN, "rx afxdp: %s is down: ip link set %s up", interface->name,
                          interface->name);
  }
  uint32_t len_max = interface->mtu + HWGW_AFXDP_LINK_OVERHEAD;
  rx->has_parts = len_max > rx->frame_sz - (receives ? HWGW_AFXDP_HEADROOM : 0);
  if (!receives) return HWGW_OK;
  if (rx->has_parts) rx->slot_sz = (len_max + HWGW_CACHE_LINE - 1) & ~(uint32_t)(HWGW_CACHE_LINE - 1);
  rx->base.mtu_max = (rx->has_parts ? rx->slot_sz : rx->frame_sz - HWGW_AFXDP_HEADROOM) - HWGW_AFXDP_LINK_OVERHEAD;
  return HWGW_OK;
}

static int32_t groups_join(struct rx_afxdp *rx, struct hwgw_error *error) {
  const struct hwgw_xdp_user *user = &rx->user;
  for (uint32_t i = 0; i < user->flow_cnt; i++) {
    bool is_known = false;
    for (uint32_t j = 0; j < i; j++) is_known |= user->flows[j].group == user->flows[i].group;
    if (is_known || !hwgw_rx_is_multicast(user->flows[i].group)) continue;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return hwgw_afxdp_failed(error, rx, "socket(AF_INET)", errno);
    rx->joins[rx->join_cnt++] = fd;
    int32_t status = hwgw_rx_join(fd, &user->flows[i], rx->interface.index, 0, rx->interface.name, error);
    if (status) return status;
  }
  return HWGW_OK;
}

/* "queue 3", or "queues 0,1,2" */
static void queues_print(const struct rx_afxdp *rx, char *out, size_t sz) {
  size_t used = (size_t)snprintf(out, sz, "queue%s %u", rx->queue_cnt > 1 ? "s" : "", rx->queues[0].id);
  for (uint32_t i = 1; i < rx->queue_cnt && used + 8 < sz; i++)
    used += (size_t)snprintf(out + used, sz - used, used + 16 < sz ? ",%u" : ",...", rx->queues[i].id);
}

/* what it is comes first, then the notes that open collected */
static void describe(struct rx_afxdp *rx) {
  char notes[HWGW_RX_DESCRIBE_SZ], queues[64];
  if (rx->tx.frame_cnt && rx->queue_cnt) hwgw_rx_note(&rx->base, "; sends on queue %u", rx->queues[0].id);
  if (rx->queue_cnt == 0) {
    snprintf(notes, sizeof notes, "%s", rx->base.describe);
    snprintf(rx->base.describe, sizeof rx->base.describe,
             "afxdp: %s queue %u, sends only, copy, %u buffers of %u bytes%.384s", rx->interface.name, rx->queues[0].id,
             rx->tx.buffer_cnt, rx->frame_sz, notes);
    return;
  }
  const struct hwgw_xdp *xdp = hwgw_xdp_of(&rx->user);
  snprintf(notes, sizeof notes, "%s", rx->base.describe);
  queues_print(rx, queues, sizeof queues);
  snprintf(rx->base.describe, sizeof rx->base.describe, "afxdp: %s %s, %s mode%s%s%s, %s, %u frames of %u bytes%.384s",
           rx->interface.name, queues, xdp->is_native ? "native" : "generic", xdp->fallback[0] ? " (" : "",
           xdp->fallback, xdp->fallback[0] ? ")" : "",
           rx->queues[0].has_zero_copy ? "zero copy (to be proven by the first frame)" : "copy", rx->frame_cnt,
           rx->frame_sz, notes);
}

static int32_t rx_new(struct rx_afxdp **out, const struct hwgw_rx_cfg *cfg, const struct hwgw_interface *interface,
                      uint32_t frame_cnt, uint32_t frame_sz, struct hwgw_error *error) {
  struct rx_afxdp *rx = calloc(1, sizeof *rx);
  uint32_t queue_cnt = cfg->queue_cnt ? cfg->queue_cnt : 1, receiving = cfg->tx_only ? 0 : queue_cnt;
  struct afxdp_queue *queues = aligned_alloc(HWGW_CACHE_LINE, queue_cnt * sizeof *queues);
  if (!rx || !queues) {
    free(rx);
    free(queues);
    return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "rx afxdp: no memory");
  }
  memset(queues, 0, queue_cnt * sizeof *queues);
  rx->base.ops = &hwgw_rx_afxdp;
  rx->interface = *interface;
  rx->frame_cnt = receiving ? frame_cnt : 0;
  rx->frame_sz = frame_sz;
  rx->is_all = cfg->all_frames;
  rx->queues = queues;
  rx->queue_cnt = rx->user.queue_cnt = receiving;
  rx->socket_cnt = queue_cnt;
  for (uint32_t i = 0; i < queue_cnt; i++) {
    rx->user.queues[i] = cfg->queue_cnt ? cfg->queues[i] : 0;
    queues[i].id = (uint16_t)rx->user.queues[i];
    queues[i].fd = queues[i].spare_fd = -1;
    queues[i].index = i;
    if (rx->user.queues[i] >= rx->base.queue_end) rx->base.queue_end = rx->user.queues[i] + 1;
  }
  rx->user.forked = forked;
  rx->user.program_id = &rx->base.program_id;
  rx->user.flow_cnt = receiving ? cfg->flow_cnt : 0;
  for (uint32_t i = 0; i < rx->user.flow_cnt; i++) rx->user.flows[i] = cfg->flows[i];
  hwgw_xdp_enter(&rx->user);
  *out = rx;
  return HWGW_OK;
}

static int32_t sockets_open(struct rx_afxdp *rx, struct hwgw_error *error) {
  /* a sender with zero copy would take the queue's receive side away from the kernel */
  bool may_zero_copy = rx->queue_cnt && hwgw_xdp_of(&rx->user)->is_native;
  for (uint32_t i = 0; i < rx->socket_cnt; i++) {
    int32_t status = hwgw_afxdp_socket_open(rx, &rx->queues[i], may_zero_copy, error);
    if (status) return status;
  }
  return HWGW_OK;
}

static int32_t start(struct rx_afxdp *rx, struct hwgw_error *error) {
  if (rx->is_all) {
    hwgw_rx_note(&rx->base, "; takes every frame of the queue%s, the kernel gets none of them",
                 rx->queue_cnt > 1 ? "s" : "");
  }
  if (rx->has_parts) {
    hwgw_rx_note(&rx->base, "; MTU %u: frames longer than %u bytes are put together from several buffers",
                 rx->interface.mtu, rx->frame_sz - HWGW_AFXDP_HEADROOM);
  }
  if (!hwgw_xdp_nic_known(&rx->user)) hwgw_rx_note(&rx->base, "; the interface's own drops cannot be read");
  int sockets[HWGW_QUEUES_MAX];
  for (uint32_t i = 0; i < rx->queue_cnt; i++) sockets[i] = rx->queues[i].fd;
  uint32_t flags = (rx->is_all ? STEER_ALL : 0u) | (rx->has_stamps ? STEER_STAMP : 0u);
  for (uint32_t i = 0; i < rx->queue_cnt; i++) flags |= rx->queues[i].has_zero_copy ? STEER_PROVE : 0u;
  int32_t status = hwgw_xdp_start(&rx->user, sockets, flags, error);
  if (flags & STEER_PROVE && hwgw_fault_get() & HWGW_FAULT_NO_DELIVERY) {
    for (uint32_t i = 0; i < rx->queue_cnt; i++) hwgw_xdp_socket_remove(hwgw_xdp_of(&rx->user), rx->queues[i].id);
  }
  return status;
}

static const struct hwgw_rx_ops PLAIN;

static int32_t afxdp_open(struct hwgw_rx **out, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  uint32_t frame_cnt = cfg->frame_cnt ? cfg->frame_cnt : FRAMES_DEFAULT;
  uint32_t frame_sz = cfg->frame_sz_bytes ? cfg->frame_sz_bytes : HWGW_RX_FRAME_SZ_DEFAULT;
  const char *mode = cfg->mode && *cfg->mode ? cfg->mode : "auto";
  int32_t status = config_check(cfg, frame_cnt, frame_sz, error);
  struct hwgw_interface interface;
  if (!status) status = hwgw_interface_read(&interface, cfg->interface, error);
  struct rx_afxdp *rx = NULL;
  if (!status) status = rx_new(&rx, cfg, &interface, frame_cnt, frame_sz, error);
  if (status) return status;

  status = mtu_judge(rx, rx->queue_cnt > 0, error);
  if (!cfg->frame_sz_bytes)
    rx->base.mtu_reopen_max = UINT16_MAX; /* in several buffers; a size that was asked for stays */
  if (!status) status = hwgw_afxdp_tx_init(rx, cfg->tx_frame_cnt, error);
  if (!status && rx->queue_cnt) {
    status = hwgw_xdp_join(&rx->user, &rx->interface, mode, rx->has_parts ? HWGW_XDP_FRAGS : 0, error);
  }
  if (!status) status = hwgw_afxdp_memory(rx, cfg->huge_pages, error);
  if (!status) status = sockets_open(rx, error);
  if (!status) status = groups_join(rx, error);
  if (!status) {
    if (cfg->busy_poll_us) hwgw_afxdp_busy_poll(rx, cfg->busy_poll_us);
    if (rx->queue_cnt && cfg->timestamps) hwgw_afxdp_clock_open(rx);
    if (rx->queue_cnt) status = start(rx, error);
  }
  if (status) {
    afxdp_close(&rx->base);
    return status;
  }
  if (rx->queue_cnt == 1 && !rx->has_parts && !rx->has_stamps) rx->base.ops = &PLAIN;
  describe(rx);
  *out = &rx->base;
  return HWGW_OK;
}

/* ---- the data path ---- */

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

/* one queue, one buffer a frame, no time stamps: what most receivers are */
static uint32_t plain_poll(struct hwgw_rx *base, struct hwgw_frame *frames, uint32_t max) {
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

static void plain_release(struct hwgw_rx *base) {
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

static uint32_t afxdp_poll(struct hwgw_rx *base, struct hwgw_frame *frames, uint32_t max) {
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

static void afxdp_release(struct hwgw_rx *base) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  rx->slot_held = 0;
  for (uint32_t i = 0; i < rx->queue_cnt; i++) give_back(rx, &rx->queues[i]);
}

static void afxdp_stats(struct hwgw_rx *base, uint64_t *counters) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  if (rx->tx.frame_cnt) {
    hwgw_afxdp_tx_count(rx);
    counters[HWGW_CNT_TX_FRAMES] = base->count.tx_frames;
    counters[HWGW_CNT_TX_BYTES] = base->count.tx_bytes;
    counters[HWGW_CNT_TX_DROP_KERNEL] =
        base->count.tx_drop_kernel + hwgw_afxdp_statistics(&rx->queues[0]).tx_invalid_descs;
  }
  if (rx->queue_cnt == 0) return;
  if (rx->has_stamps) hwgw_afxdp_clock_renew(rx);
  if (rx->user.is_started) {
    hwgw_afxdp_zero_copy_prove(rx);
    hwgw_afxdp_busy_poll_probe(rx);
  }
  counters[HWGW_CNT_RX_DROP_NIC] = hwgw_xdp_nic_drops(&rx->user);
  counters[HWGW_CNT_RX_DROP_REOPEN] = hwgw_xdp_missed(&rx->user);
  uint64_t kernel = 0, ring_full = 0, fill_empty = 0, invalid = 0, truncated = rx->too_long, other_queue = 0,
           fragment = 0;
  for (uint32_t i = 0; i < rx->queue_cnt; i++) {
    const struct afxdp_queue *queue = &rx->queues[i];
    struct xdp_statistics now = hwgw_afxdp_statistics(queue);
    /* a socket that takes parts refuses no length: what it dropped found no buffers */
    uint64_t empty = queue->has_zero_copy ? 0 : rx->has_parts ? now.rx_dropped : now.rx_fill_ring_empty_descs;
    ring_full += now.rx_ring_full;
    fill_empty += empty;
    invalid += now.rx_invalid_descs;
    truncated += now.rx_dropped > empty ? now.rx_dropped - empty : 0;
    const struct steer_queue *steered = hwgw_xdp_queue(&rx->user, i);
    other_queue += __atomic_load_n(&steered->other_queue, __ATOMIC_RELAXED);
    if (queue->has_lost) kernel += __atomic_load_n(&steered->redirected, __ATOMIC_RELAXED);
    fragment += __atomic_load_n(&steered->fragment, __ATOMIC_RELAXED);
  }
  counters[HWGW_CNT_RX_DROP_RING_FULL] = ring_full;
  counters[HWGW_CNT_RX_DROP_FILL_EMPTY] = fill_empty;
  counters[HWGW_CNT_RX_DROP_INVALID_DESCRIPTOR] = invalid;
  counters[HWGW_CNT_RX_DROP_TRUNCATED] = truncated;
  counters[HWGW_CNT_RX_DROP_OTHER_QUEUE] = other_queue;
  counters[HWGW_CNT_RX_DROP_FRAGMENT] = fragment;
  counters[HWGW_CNT_RX_DROP_KERNEL] = kernel;
  counters[HWGW_CNT_RX_GATHERED] = rx->gathered;
}

/* after the last stats: the ring has no entry that is not counted, or lost with it */
static uint64_t afxdp_give_up(struct hwgw_rx *base) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  uint64_t before = base->count.tx_drop_kernel;
  if (rx->tx.frame_cnt) hwgw_afxdp_tx_give_up(rx);
  return base->count.tx_drop_kernel - before;
}

static bool afxdp_available(char *text, uint32_t sz) {
  int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    int cause = errno;
    snprintf(text, sz, "socket(AF_XDP): %s%s", strerror(cause),
             cause == EPERM          ? "; needs root or CAP_NET_RAW"
             : cause == EAFNOSUPPORT ? "; the kernel has no AF_XDP"
                                     : "");
    return false;
  }
  close(fd);
  int cause = hwgw_xdp_probe();
  if (cause) {
    snprintf(text, sz, "bpf(BPF_MAP_CREATE): %s%s", strerror(cause),
             cause == EPERM ? "; needs root, or CAP_BPF and CAP_NET_ADMIN" : "");
  }
  return cause == 0;
}

static const struct hwgw_rx_ops PLAIN = OPS(plain_poll, plain_release);

#else /* built without the steering program */

static int32_t afxdp_open(struct hwgw_rx **rx, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  (void)rx;
  (void)cfg;
  return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx afxdp: not built in: %s; use the udp backend", HWGW_NO_XDP);
}

static bool afxdp_available(char *text, uint32_t sz) {
  snprintf(text, sz, "not built in: %s", HWGW_NO_XDP);
  return false;
}

#define afxdp_poll NULL
#define afxdp_release NULL
#define hwgw_afxdp_send NULL
#define hwgw_afxdp_unsent NULL
#define afxdp_give_up NULL
#define hwgw_afxdp_hold NULL
#define hwgw_xdp_move NULL
#define hwgw_xdp_unhold NULL
#define hwgw_afxdp_sight NULL
#define afxdp_stats NULL
#define afxdp_ended NULL
#define afxdp_close NULL

#endif

const struct hwgw_rx_ops hwgw_rx_afxdp = OPS(afxdp_poll, afxdp_release);
