/* rx_afxdp.c: receive one queue of an interface past the kernel's stack, through an AF_XDP socket.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: the frames that the steering program (xdp/steer.bpf.c) redirects: the configured flows on this queue. All
 * else stays with the kernel, which also answers IGMP: plain sockets join the groups so that switches forward them.
 *
 * Output: Ethernet frames in place, in the shared memory (UMEM). poll hands out what the receive ring has and frees
 * its entries; release gives the frames back to the fill ring. Frames polled and not released are held, not
 * overwritten.
 *
 * Cost: two ring indices and a time stamp per poll, no system call unless the driver asks for a wake-up or busy poll
 * is on.
 *
 * Sizes: the fill ring takes every frame, the receive ring half of them. So a pipeline that is too slow fills the
 * receive ring (drop_ring_full) while the fill ring still has frames, and only frames held too long empty it
 * (drop_fill_empty).
 *
 * Accounting: the kernel counts a frame that found no buffer twice (rx_dropped and rx_fill_ring_empty_descs) in copy
 * mode; what is left of rx_dropped are frames longer than the buffer (drop_truncated). With zero copy the driver's
 * empty refills are no frames, and what they cost is in the interface's own counter (drop_nic, of the whole
 * interface). veth counts our own failed redirects there once more; they are taken off. drop_kernel are frames of our
 * flows that went to the kernel: another queue, fragments.
 *
 * Thread: one. The kernel removes program and socket when the process ends, in whatever way.
 */
#include <linux/capability.h>

#include "rx.h"

#ifndef HWGW_NO_XDP

#include <errno.h>
#include <fcntl.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../xdp/steer.h"
#include "xdp_load.h"

enum {
  FRAMES_DEFAULT = 4096,
  FRAMES_MIN = 64,
  FRAMES_MAX = 1 << 20,
  FRAME_SZ_MIN = 2048,     /* the kernel's limits for aligned frames: 2,048 to the page size */
  KERNEL_HEADROOM = 256,   /* XDP_PACKET_HEADROOM, taken from each frame */
  LINK_OVERHEAD = 14 + 8,  /* Ethernet header and two VLAN tags: not part of the MTU */
  COMPLETION_RING_SZ = 64, /* unused, but a socket without one cannot be bound */
  BIND_TRIES = 100,        /* a queue that was just closed is busy for up to 18 ms */
  BIND_PAUSE_MS = 2,
  BUSY_POLL_BUDGET = 64
};

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

struct xsk_ring {
  uint32_t *producer;
  uint32_t *consumer;
  uint32_t *flags;
  void *entries;
  void *map;
  size_t map_sz;
  uint32_t mask;
};

struct rx_afxdp {
  struct hwgw_rx base;
  struct xsk_ring ring; /* filled by the kernel: received frames */
  struct xsk_ring fill; /* filled by us: free frames */
  uint32_t ring_at;     /* next entry to read */
  uint32_t fill_at;     /* what the kernel may take ends here */
  uint32_t held;        /* entries behind it: polled, not released */
  bool busy_poll;
  bool has_zero_copy;
  uint8_t *umem;
  uint64_t frame_mask;
  int fd;

  size_t umem_sz;
  struct hwgw_xdp xdp;
  bool busy_poll_known;
  bool is_veth;
  char interface[16];
  int nic_fd;         /* where the interface's drops are read, -1 = nowhere */
  uint64_t nic_first; /* at open */
  uint64_t nic_drops; /* never falls */
  uint64_t passed;    /* frames of the flows that the program left to the kernel */
  uint32_t join_cnt;
  int joins[HWGW_FLOWS_MAX];
};

/* ---- open and close ---- */

static uint32_t queue_of(const struct hwgw_rx_cfg *cfg) {
  return cfg->queue_cnt ? cfg->queues[0] : 0;
}

static void ring_unmap(struct xsk_ring *ring) {
  if (ring->map) munmap(ring->map, ring->map_sz);
  *ring = (struct xsk_ring){0};
}

static void socket_close(struct rx_afxdp *rx) {
  ring_unmap(&rx->ring);
  ring_unmap(&rx->fill);
  if (rx->fd >= 0) close(rx->fd);
  rx->fd = -1;
}

static void afxdp_close(struct hwgw_rx *base) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  hwgw_xdp_close(&rx->xdp);
  socket_close(rx);
  for (uint32_t i = 0; i < rx->join_cnt; i++) close(rx->joins[i]);
  if (rx->nic_fd >= 0) close(rx->nic_fd);
  if (rx->umem) munmap(rx->umem, rx->umem_sz);
  free(rx);
}

static bool ring_map(struct xsk_ring *ring, int fd, const struct xdp_ring_offset *offset, uint32_t cnt, size_t entry_sz,
                     off_t page_offset) {
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

static int32_t failed(struct hwgw_error *error, const struct rx_afxdp *rx, const char *call, int cause) {
  bool is_privilege = cause == EPERM || cause == EACCES;
  return hwgw_error_set(error, is_privilege ? HWGW_ERR_PRIVILEGE : HWGW_ERR_DEVICE, cause, "rx afxdp: %s on %s: %s%s",
                        call, rx->interface, strerror(cause),
                        is_privilege ? "; run as root or with CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF" : "");
}

static int32_t pin_failed(const struct rx_afxdp *rx, int cause, struct hwgw_error *error) {
  if (cause != ENOBUFS && cause != ENOMEM) return failed(error, rx, "XDP_UMEM_REG", cause);
  struct rlimit limit = {0};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return hwgw_error_set(
      error, HWGW_ERR_PRIVILEGE, cause,
      "rx afxdp: XDP_UMEM_REG of %zu KiB: %s; RLIMIT_MEMLOCK is %llu KiB: give CAP_IPC_LOCK, raise the "
      "limit (ulimit -l) or lower frame_cnt",
      rx->umem_sz >> 10, strerror(cause), (unsigned long long)limit.rlim_cur >> 10);
}

static int32_t umem_take(struct rx_afxdp *rx, uint32_t frame_cnt, uint32_t frame_sz, bool huge_pages,
                         struct hwgw_error *error) {
  rx->umem_sz = (size_t)frame_cnt * frame_sz;
  void *umem = MAP_FAILED;
  if (huge_pages) {
    size_t rounded = (rx->umem_sz + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1);
    umem = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
    if (umem == MAP_FAILED) {
      hwgw_rx_note(&rx->base, "; no huge pages (%s; see vm.nr_hugepages)", strerror(errno));
    } else {
      rx->umem_sz = rounded;
      hwgw_rx_note(&rx->base, "; huge pages");
    }
  }
  if (umem == MAP_FAILED) {
    umem = mmap(NULL, rx->umem_sz, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  }
  if (umem == MAP_FAILED) return failed(error, rx, "mmap of the UMEM", errno);
  rx->umem = umem;
  rx->frame_mask = ~(uint64_t)(frame_sz - 1);
  return HWGW_OK;
}

/* a socket with UMEM and rings, every frame in the fill ring, not bound yet */
static int32_t socket_make(struct rx_afxdp *rx, uint32_t frame_cnt, uint32_t frame_sz, struct hwgw_error *error) {
  rx->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (rx->fd < 0) return failed(error, rx, "socket(AF_XDP)", errno);
  struct xdp_umem_reg region = {
      .addr = (uintptr_t)rx->umem, .len = (uint64_t)frame_cnt * frame_sz, .chunk_size = frame_sz};
  if (setsockopt(rx->fd, SOL_XDP, XDP_UMEM_REG, &region, sizeof region)) return pin_failed(rx, errno, error);
  uint32_t fill_cnt = frame_cnt, ring_cnt = frame_cnt / 2, completion_cnt = COMPLETION_RING_SZ;
  if (setsockopt(rx->fd, SOL_XDP, XDP_UMEM_FILL_RING, &fill_cnt, sizeof fill_cnt) ||
      setsockopt(rx->fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &completion_cnt, sizeof completion_cnt) ||
      setsockopt(rx->fd, SOL_XDP, XDP_RX_RING, &ring_cnt, sizeof ring_cnt)) {
    return failed(error, rx, "setting up the rings", errno);
  }
  struct xdp_mmap_offsets offsets;
  socklen_t sz = sizeof offsets;
  if (getsockopt(rx->fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &sz) ||
      !ring_map(&rx->fill, rx->fd, &offsets.fr, fill_cnt, sizeof(uint64_t), (off_t)XDP_UMEM_PGOFF_FILL_RING) ||
      !ring_map(&rx->ring, rx->fd, &offsets.rx, ring_cnt, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING)) {
    return failed(error, rx, "mapping the rings", errno);
  }
  for (uint32_t i = 0; i < frame_cnt; i++) ((uint64_t *)rx->fill.entries)[i] = (uint64_t)i * frame_sz;
  __atomic_store_n(rx->fill.producer, frame_cnt, __ATOMIC_RELEASE);
  rx->fill_at = frame_cnt;
  rx->ring_at = 0;
  return HWGW_OK;
}

/* 0 or errno */
static int socket_bind(const struct rx_afxdp *rx, int ifindex, uint32_t queue, uint16_t flags) {
  struct sockaddr_xdp address = {.sxdp_family = AF_XDP,
                                 .sxdp_flags = (uint16_t)(flags | XDP_USE_NEED_WAKEUP),
                                 .sxdp_ifindex = (uint32_t)ifindex,
                                 .sxdp_queue_id = queue};
  for (int try = 0;; try++) {
    if (bind(rx->fd, (struct sockaddr *)&address, sizeof address) == 0) return 0;
    if (errno != EBUSY || try == BIND_TRIES) return errno;
    nanosleep(&(struct timespec){.tv_nsec = BIND_PAUSE_MS * 1000000}, NULL);
  }
}

static int32_t socket_open(struct rx_afxdp *rx, const struct hwgw_rx_cfg *cfg, int ifindex, uint32_t frame_cnt,
                           uint32_t frame_sz, struct hwgw_error *error) {
  int32_t status = socket_make(rx, frame_cnt, frame_sz, error);
  if (status) return status;
  int cause = rx->xdp.is_native ? socket_bind(rx, ifindex, queue_of(cfg), XDP_ZEROCOPY) : EOPNOTSUPP;
  rx->has_zero_copy = cause == 0;
  if (cause && cause != EBUSY) {
    if (rx->xdp.is_native) {
      hwgw_rx_note(&rx->base, "; no zero copy (%s)", cause == EOPNOTSUPP ? "the driver has none" : strerror(cause));
      socket_close(rx);
      status = socket_make(rx, frame_cnt, frame_sz, error);
      if (status) return status;
    }
    cause = socket_bind(rx, ifindex, queue_of(cfg), XDP_COPY);
  }
  if (cause == EBUSY) {
    return hwgw_error_set(error, HWGW_ERR_DEVICE, cause,
                          "rx afxdp: bind to %s queue %u: still busy after %d ms; another AF_XDP socket has it",
                          rx->interface, queue_of(cfg), BIND_TRIES * BIND_PAUSE_MS);
  }
  if (cause == EINVAL) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, cause,
                          "rx afxdp: bind to %s queue %u: %s; has the interface that queue? see ethtool -l %s",
                          rx->interface, queue_of(cfg), strerror(cause), rx->interface);
  }
  return cause ? failed(error, rx, "bind", cause) : HWGW_OK;
}

static void busy_poll_set(struct rx_afxdp *rx, uint32_t us) {
  int on = 1, time_us = (int)us, budget = BUSY_POLL_BUDGET;
  if (setsockopt(rx->fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof on) ||
      setsockopt(rx->fd, SOL_SOCKET, SO_BUSY_POLL, &time_us, sizeof time_us) ||
      setsockopt(rx->fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget, sizeof budget)) {
    hwgw_rx_note(&rx->base, "; no busy poll (%s)", strerror(errno));
    return;
  }
  rx->busy_poll = true;
}

/* a NAPI id is known once a frame has come through; without one busy poll is accepted and does nothing */
static void busy_poll_probe(struct rx_afxdp *rx) {
  if (!rx->busy_poll || rx->busy_poll_known || rx->base.count.frames == 0) return;
  unsigned napi_id = 0;
  socklen_t sz = sizeof napi_id;
  getsockopt(rx->fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi_id, &sz);
  rx->busy_poll_known = true;
  rx->busy_poll = napi_id != 0;
  hwgw_rx_note(&rx->base, napi_id ? "; busy poll" : "; busy poll does nothing here (no NAPI id), off");
}

static int32_t groups_join(struct rx_afxdp *rx, const struct hwgw_rx_cfg *cfg, int ifindex, struct hwgw_error *error) {
  for (uint32_t i = 0; i < cfg->flow_cnt; i++) {
    bool is_known = false;
    for (uint32_t j = 0; j < i; j++) is_known |= cfg->flows[j].group == cfg->flows[i].group;
    if (is_known || !hwgw_rx_is_multicast(cfg->flows[i].group)) continue;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return failed(error, rx, "socket(AF_INET)", errno);
    rx->joins[rx->join_cnt++] = fd;
    int32_t status = hwgw_rx_join(fd, &cfg->flows[i], ifindex, 0, rx->interface, error);
    if (status) return status;
  }
  return HWGW_OK;
}

/* ---- the interface's own drop counter ---- */

/* veth: the drop column of its line in net/dev, which takes no lock and always is of this thread's namespace */
static uint64_t nic_read_veth(const struct rx_afxdp *rx) {
  char text[8192], wanted[20];
  size_t kept = 0;
  off_t at = 0;
  int wanted_len = snprintf(wanted, sizeof wanted, "%s:", rx->interface);
  for (;;) {
    ssize_t got = pread(rx->nic_fd, text + kept, sizeof text - 1 - kept, at);
    if (got <= 0) return rx->nic_first;
    at += got;
    text[kept + (size_t)got] = 0;
    char *line = text;
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
      char *name = line + strspn(line, " ");
      unsigned long long bytes, packets, errors, drops;
      if (strncmp(name, wanted, (size_t)wanted_len) == 0 &&
          sscanf(name + wanted_len, "%llu %llu %llu %llu", &bytes, &packets, &errors, &drops) == 4) {
        return drops;
      }
    }
    kept = strlen(line);
    memmove(text, line, kept);
  }
}

static uint64_t nic_read(const struct rx_afxdp *rx) {
  if (rx->nic_fd < 0) return 0;
  if (rx->is_veth) return nic_read_veth(rx);
  char text[32] = "";
  return pread(rx->nic_fd, text, sizeof text - 1, 0) > 0 ? strtoull(text, NULL, 10) : rx->nic_first;
}

/* hardware: sysfs tells frames the device missed from what the stack dropped; its view may be of another namespace, so
 * the address must match */
static int nic_open_hardware(const struct hwgw_interface *info, const char *name) {
  char path[96], text[32] = "", wanted[32];
  const uint8_t *mac = info->address;
  snprintf(wanted, sizeof wanted, "%02x:%02x:%02x:%02x:%02x:%02x\n", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  snprintf(path, sizeof path, "/sys/class/net/%s/address", name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  bool is_ours = fd >= 0 && read(fd, text, sizeof text - 1) > 0 && strcmp(text, wanted) == 0;
  if (fd >= 0) close(fd);
  if (!is_ours) return -1;
  snprintf(path, sizeof path, "/sys/class/net/%s/statistics/rx_missed_errors", name);
  return open(path, O_RDONLY | O_CLOEXEC);
}

static void nic_open(struct rx_afxdp *rx, const struct hwgw_interface *info) {
  rx->is_veth = strcmp(info->kind, "veth") == 0;
  rx->nic_fd =
      rx->is_veth ? open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC) : nic_open_hardware(info, rx->interface);
  if (rx->nic_fd < 0) hwgw_rx_note(&rx->base, "; the interface's own drops cannot be read");
  rx->nic_first = nic_read(rx);
}

/* ---- open ---- */

static int32_t config_check(const struct hwgw_rx_cfg *cfg, uint32_t frame_cnt, uint32_t frame_sz,
                            struct hwgw_error *error) {
  if (!cfg->interface || !*cfg->interface || strlen(cfg->interface) > 15) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx afxdp: interface \"%s\"; it needs the name of a device",
                          cfg->interface ? cfg->interface : "");
  }
  if (cfg->flow_cnt == 0)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx afxdp: no flow; name at least one group");
  if (cfg->mode && *cfg->mode && strcmp(cfg->mode, "auto") && strcmp(cfg->mode, "native") &&
      strcmp(cfg->mode, "generic")) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx afxdp: mode \"%s\"; allowed: auto, native, generic",
                          cfg->mode);
  }
  if (cfg->queue_cnt > 1) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx afxdp: %u queues; one is allowed", cfg->queue_cnt);
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

static int32_t mtu_check(const struct hwgw_interface *info, const char *name, uint32_t frame_sz,
                         struct hwgw_error *error) {
  uint32_t room = frame_sz - KERNEL_HEADROOM - LINK_OVERHEAD;
  if (!info->is_up)
    return hwgw_error_set(error, HWGW_ERR_DEVICE, ENETDOWN, "rx afxdp: %s is down: ip link set %s up", name, name);
  if (info->mtu <= room) return HWGW_OK;
  uint32_t best = (uint32_t)sysconf(_SC_PAGESIZE);
  if (info->mtu <= best - KERNEL_HEADROOM - LINK_OVERHEAD) {
    return hwgw_error_set(
        error, HWGW_ERR_CONFIG, 0,
        "rx afxdp: MTU %u of %s does not fit frames of %u bytes (at most %u); set frame_sz_bytes to %u", info->mtu,
        name, frame_sz, room, best);
  }
  return hwgw_error_set(
      error, HWGW_ERR_CONFIG, 0,
      "rx afxdp: MTU %u of %s does not fit frames of %u bytes (at most %u); lower it to %u: ip link set "
      "%s mtu %u, or use the udp backend",
      info->mtu, name, frame_sz, room, best - KERNEL_HEADROOM - LINK_OVERHEAD, name,
      best - KERNEL_HEADROOM - LINK_OVERHEAD);
}

/* what it is comes first, then the notes that open collected */
static void describe(struct rx_afxdp *rx, const struct hwgw_rx_cfg *cfg, uint32_t frame_cnt, uint32_t frame_sz) {
  char notes[HWGW_RX_DESCRIBE_SZ];
  snprintf(notes, sizeof notes, "%s", rx->base.describe);
  snprintf(rx->base.describe, sizeof rx->base.describe,
           "afxdp: %s queue %u, %s mode%s%s%s, %s, %u frames of %u bytes%.384s", rx->interface, queue_of(cfg),
           rx->xdp.is_native ? "native" : "generic", rx->xdp.fallback[0] ? " (" : "", rx->xdp.fallback,
           rx->xdp.fallback[0] ? ")" : "", rx->has_zero_copy ? "zero copy" : "copy", frame_cnt, frame_sz, notes);
}

static int32_t afxdp_open(struct hwgw_rx **out, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  uint32_t frame_cnt = cfg->frame_cnt ? cfg->frame_cnt : FRAMES_DEFAULT;
  uint32_t frame_sz = cfg->frame_sz_bytes ? cfg->frame_sz_bytes : HWGW_RX_FRAME_SZ_DEFAULT;
  int32_t status = config_check(cfg, frame_cnt, frame_sz, error);
  struct hwgw_interface info;
  if (!status) status = hwgw_interface_read(&info, cfg->interface, error);
  if (!status) status = mtu_check(&info, cfg->interface, frame_sz, error);
  if (status) return status;
  struct rx_afxdp *rx = calloc(1, sizeof *rx);
  if (!rx) return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "rx afxdp: no memory");
  rx->base.ops = &hwgw_rx_afxdp;
  rx->fd = rx->nic_fd = -1;
  snprintf(rx->interface, sizeof rx->interface, "%s", cfg->interface);
  rx->base.mtu_max = frame_sz - KERNEL_HEADROOM - LINK_OVERHEAD;
  rx->base.queue_end = queue_of(cfg) + 1;

  status = hwgw_xdp_load(&rx->xdp, cfg->flows, cfg->flow_cnt, queue_of(cfg), error);
  if (!status) status = umem_take(rx, frame_cnt, frame_sz, cfg->huge_pages, error);
  if (!status) {
    const char *mode = cfg->mode && *cfg->mode ? cfg->mode : "auto";
    status = hwgw_xdp_attach(&rx->xdp, rx->interface, info.index, mode, error);
  }
  if (!status) status = socket_open(rx, cfg, info.index, frame_cnt, frame_sz, error);
  if (!status) status = groups_join(rx, cfg, info.index, error);
  if (!status) {
    if (cfg->busy_poll_us) busy_poll_set(rx, cfg->busy_poll_us);
    nic_open(rx, &info);
    rx->passed = hwgw_xdp_passed(&rx->xdp);
    status = hwgw_xdp_start(&rx->xdp, queue_of(cfg), rx->fd, error);
  }
  if (status) {
    afxdp_close(&rx->base);
    return status;
  }
  rx->base.program_id = hwgw_xdp_program_id(&rx->xdp);
  describe(rx, cfg, frame_cnt, frame_sz);
  *out = &rx->base;
  return HWGW_OK;
}

/* ---- the data path ---- */

static void wake(struct rx_afxdp *rx) {
  recvfrom(rx->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
  rx->base.count.wakeups++;
}

static uint32_t afxdp_poll(struct hwgw_rx *base, struct hwgw_frame *frames, uint32_t max) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  uint32_t cnt = __atomic_load_n(rx->ring.producer, __ATOMIC_ACQUIRE) - rx->ring_at;
  if (cnt == 0) {
    if (HWGW_UNLIKELY(rx->busy_poll || (__atomic_load_n(rx->fill.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP)))
      wake(rx);
    return 0;
  }
  if (cnt > max) cnt = max;
  uint64_t now = hwgw_rdtsc();
  const struct xdp_desc *descriptors = rx->ring.entries;
  uint64_t *free_frames = rx->fill.entries;
  uint64_t bytes = 0;
  uint32_t fill_at = rx->fill_at + rx->held;
  for (uint32_t i = 0; i < cnt; i++) {
    const struct xdp_desc *descriptor = &descriptors[(rx->ring_at + i) & rx->ring.mask];
    const uint8_t *data = rx->umem + descriptor->addr;
    __builtin_prefetch(data);
    __builtin_prefetch(data + HWGW_CACHE_LINE);
    /* written now, shown to the kernel by release; there is room for every frame */
    free_frames[(fill_at + i) & rx->fill.mask] = descriptor->addr & rx->frame_mask;
    frames[i] = (struct hwgw_frame){.data = data, .len = descriptor->len, .flow = HWGW_FLOW_NONE, .t_rx = now};
    bytes += descriptor->len;
  }
  rx->ring_at += cnt;
  rx->held += cnt;
  __atomic_store_n(rx->ring.consumer, rx->ring_at, __ATOMIC_RELEASE);
  base->count.bytes += bytes;
  return cnt;
}

static void afxdp_release(struct hwgw_rx *base) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  if (rx->held == 0) return;
  rx->fill_at += rx->held;
  rx->held = 0;
  __atomic_store_n(rx->fill.producer, rx->fill_at, __ATOMIC_RELEASE);
  if (HWGW_UNLIKELY(__atomic_load_n(rx->fill.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP)) wake(rx);
}

static void afxdp_stats(struct hwgw_rx *base, uint64_t *counters) {
  struct rx_afxdp *rx = (struct rx_afxdp *)base;
  busy_poll_probe(rx);
  uint64_t nic = nic_read(rx) - rx->nic_first; /* before the kernel's numbers, so that what is taken off is no less */
  struct xdp_statistics now = {0};
  socklen_t sz = sizeof now;
  if (getsockopt(rx->fd, SOL_XDP, XDP_STATISTICS, &now, &sz) == 0) {
    uint64_t fill_empty = rx->has_zero_copy ? 0 : now.rx_fill_ring_empty_descs;
    counters[HWGW_CNT_RX_DROP_RING_FULL] = now.rx_ring_full;
    counters[HWGW_CNT_RX_DROP_FILL_EMPTY] = fill_empty;
    counters[HWGW_CNT_RX_DROP_INVALID_DESCRIPTOR] = now.rx_invalid_descs;
    counters[HWGW_CNT_RX_DROP_TRUNCATED] = now.rx_dropped > fill_empty ? now.rx_dropped - fill_empty : 0;
  }
  uint64_t redirects_failed = rx->is_veth && rx->xdp.is_native ? now.rx_dropped + now.rx_ring_full : 0;
  if (nic > redirects_failed && nic - redirects_failed > rx->nic_drops) rx->nic_drops = nic - redirects_failed;
  counters[HWGW_CNT_RX_DROP_NIC] = rx->nic_drops;
  counters[HWGW_CNT_RX_DROP_KERNEL] = hwgw_xdp_passed(&rx->xdp) - rx->passed;
}

static bool afxdp_ended(const struct hwgw_rx *base) {
  (void)base;
  return false;
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
#define afxdp_stats NULL
#define afxdp_ended NULL
#define afxdp_close NULL

#endif

const struct hwgw_rx_ops hwgw_rx_afxdp = {
    .name = "afxdp",
    .open = afxdp_open,
    .poll = afxdp_poll,
    .release = afxdp_release,
    .stats = afxdp_stats,
    .ended = afxdp_ended,
    .close = afxdp_close,
    .available = afxdp_available,
    .has_interface = true,
    .needs_caps = 1u << CAP_NET_RAW | 1u << CAP_NET_ADMIN,
};
