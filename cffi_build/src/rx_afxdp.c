/* rx_afxdp.c: receive queues of an interface past the kernel's stack, through AF_XDP sockets.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: the frames that the steering program (xdp/steer.bpf.c) redirects: the configured flows on the configured queues;
 * with all_frames everything on these queues. All else stays with the kernel, which also answers IGMP: plain sockets join
 * the groups so that switches forward them. Several receivers of a process may share an interface (xdp_share.h).
 *
 * Output: Ethernet frames in place, in the shared memory (UMEM), by rx_afxdp_poll.c. Frames polled and not released are
 * held, not overwritten.
 *
 * Where the MTU asks for more than a buffer, frames may come in several (gathered).
 *
 * Sending (rx_afxdp_send.c) goes through the socket of the first queue.
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

/* ---- counters ---- */

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

static const struct hwgw_rx_ops PLAIN = OPS(hwgw_afxdp_poll_plain, hwgw_afxdp_release_plain);

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

#define hwgw_afxdp_poll NULL
#define hwgw_afxdp_release NULL
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

const struct hwgw_rx_ops hwgw_rx_afxdp = OPS(hwgw_afxdp_poll, hwgw_afxdp_release);
