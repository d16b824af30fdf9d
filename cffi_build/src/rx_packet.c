/* rx_packet.c: receive from an interface through an AF_PACKET socket and its memory-mapped ring (TPACKET_V2).
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: every frame of the interface, of all its queues, that the socket filter (flow_filter.c) lets in: the
 * configured flows, or all with all_frames, which also makes the interface promiscuous. Frames that this host sends are
 * refused (PACKET_IGNORE_OUTGOING). The kernel's own stack still gets every frame, too; what it costs is the price of
 * this backend against afxdp.
 *
 * Output: Ethernet frames in place, in the ring. poll hands out slots in the kernel's order, release gives them back in
 * that order; a slot that is held is not overwritten. A VLAN tag that the kernel took off is put back in front.
 *
 * Why version 2 of the ring: a frame is there as soon as its slot is. Version 3 closes blocks of frames when they are
 * full or their timer has run out: one way on a veth pair, 510 us p50 with the shortest timer against 2 us.
 *
 * Cost: one load per poll that finds nothing, no system call. The kernel copies each frame once.
 *
 * At the limit: a full ring loses frames in the kernel, counted by it (drop_ring_full). A frame longer than a slot is
 * drop_truncated. Behind the filter the kernel loses nothing that it does not count; tp_packets is held against what
 * poll saw, and what cannot be in the ring any more is drop_kernel. In front of the filter a frame can be lost by the
 * interface or in the kernel's backlog; rx_nic.h says what can be known: of the whole interface, as drop_nic and
 * drop_kernel. What an XDP program of somebody else takes is never seen here.
 *
 * Checksums: frames of a sender on this host (veth, lo) may carry an unfinished UDP checksum (TP_STATUS_CSUMNOTREADY);
 * describe says so once one has come.
 *
 * Thread: one.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_ether.h>

#include "flow_filter.h"
#include "rx_nic.h"
#include "rx_packet.h"

enum {
  SLOTS_DEFAULT = 4096,
  SLOTS_MIN = 64,
  SLOTS_MAX = 1 << 20,
  SLOT_SZ_MIN = 256,
  SLOT_SZ_MAX = 16 << 10,
  BLOCK_SZ = 64 << 10, /* the kernel allocates the ring in such pieces */
  TAG_ROOM = 16,       /* PACKET_RESERVE: in front of the frame, for a tag; keeps the IP header aligned */
  HEADER_SZ = sizeof(struct tpacket2_hdr) + sizeof(struct sockaddr_ll),
  /* where the frame's IP header begins in a slot: tpacket_rcv of net/packet/af_packet.c */
  IP_AT = (HEADER_SZ + 16 + TPACKET_ALIGNMENT - 1) / TPACKET_ALIGNMENT * TPACKET_ALIGNMENT + TAG_ROOM,
  TAG_LEN = ETHERNET_VLAN_TAG_LEN
};

_Static_assert(sizeof(struct tpacket2_hdr) % TPACKET_ALIGNMENT == 0, "the kernel rounds it up");

#define RING_SZ_MAX ((uint64_t)1 << 30)

struct rx_packet {
  struct hwgw_rx base;
  uint8_t *ring; /* NULL with tx_only */
  uint32_t slot_mask;
  uint32_t slot_shift;
  uint32_t at;   /* next slot to read */
  uint32_t held; /* slots in front of it: polled, not released */
  bool timestamps;
  bool is_hardware_clock;
  int fd;
  uint64_t unfinished; /* frames whose checksum the sender left unfinished */

  uint32_t slot_cnt;
  size_t ring_sz;
  uint64_t kernel_put;   /* frames the kernel says it has put into the ring */
  uint64_t kernel_drops; /* frames for which it found no slot */
  uint64_t vanished;     /* put, not seen by poll, and not in the ring either */
  bool has_nic;
  bool unfinished_noted;
  struct hwgw_nic nic;
  struct hwgw_packet_tx *tx; /* NULL: cannot send */
  uint32_t join_cnt;
  int joins[HWGW_FLOWS_MAX];
  uint32_t member_cnt;
  struct packet_mreq members[HWGW_FLOWS_MAX + 1]; /* the groups and promiscuous mode */
  char interface[16];
};

/* ---- open and close ---- */

/* nothing enters the ring any more: the kernel waits for what is on its way */
static void unbind(const struct rx_packet *rx) {
  if (rx->fd >= 0)
    bind(rx->fd, (struct sockaddr *)&(struct sockaddr_ll){.sll_family = AF_PACKET}, sizeof(struct sockaddr_ll));
}

static struct hwgw_rx_hold *packet_hold(struct hwgw_rx *base) {
  unbind((struct rx_packet *)base); /* so what is drained then is all that came */
  return NULL;
}

static void packet_close(struct hwgw_rx *base) {
  struct rx_packet *rx = (struct rx_packet *)base;
  unbind(
      rx); /* a ring that stays mapped keeps its socket: let it take no more, and ask the interface for nothing more */
  for (uint32_t i = 0; i < rx->member_cnt; i++)
    setsockopt(rx->fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &rx->members[i], sizeof rx->members[i]);
  if (rx->ring) hwgw_rx_unmap(base, rx->ring, rx->ring_sz);
  if (rx->fd >= 0) close(rx->fd);
  for (uint32_t i = 0; i < rx->join_cnt; i++) close(rx->joins[i]);
  if (rx->has_nic) hwgw_nic_close(&rx->nic);
  free(rx->tx);
  free(rx);
}

static int32_t failed(struct hwgw_error *error, const struct rx_packet *rx, const char *call, int cause) {
  bool is_privilege = cause == EPERM || cause == EACCES;
  return hwgw_error_set(error, is_privilege ? HWGW_ERR_PRIVILEGE : HWGW_ERR_DEVICE, cause, "rx packet: %s on %s: %s%s",
                        call, rx->interface, strerror(cause),
                        is_privilege           ? "; run as root or with CAP_NET_RAW"
                        : cause == ENOPROTOOPT ? "; the kernel is too old, 4.20 has it"
                                               : "");
}

static int32_t config_check(const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  if (!cfg->interface || !*cfg->interface || strlen(cfg->interface) > 15) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx packet: interface \"%s\"; it needs the name of a device",
                          cfg->interface ? cfg->interface : "");
  }
  if (cfg->flow_cnt == 0 && !cfg->all_frames && !cfg->tx_only) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx packet: no flow; name at least one group");
  }
  for (uint32_t i = 0; i < cfg->queue_cnt; i++) {
    if (cfg->queues[i] != 0) {
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                            "rx packet: queue %u; a packet socket gets all queues of the interface: name none",
                            cfg->queues[i]);
    }
  }
  return HWGW_OK;
}

/* the interface must be Ethernet and up */
static int32_t device_read(struct hwgw_packet_device *device, const struct rx_packet *rx, struct hwgw_error *error) {
  struct ifreq request = {0};
  memcpy(request.ifr_name, rx->interface, sizeof rx->interface);
  if (ioctl(rx->fd, SIOCGIFINDEX, &request)) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, errno, "rx packet: interface \"%s\": %s", rx->interface,
                          strerror(errno));
  }
  device->index = request.ifr_ifindex;
  memcpy(device->name, rx->interface, sizeof device->name);
  if (ioctl(rx->fd, SIOCGIFHWADDR, &request)) return failed(error, rx, "SIOCGIFHWADDR", errno);
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER && request.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "rx packet: %s has link type %u; only Ethernet (1) and loopback (772) can be read",
                          rx->interface, request.ifr_hwaddr.sa_family);
  }
  if (ioctl(rx->fd, SIOCGIFMTU, &request)) return failed(error, rx, "SIOCGIFMTU", errno);
  device->mtu = (uint32_t)request.ifr_mtu;
  if (ioctl(rx->fd, SIOCGIFFLAGS, &request)) return failed(error, rx, "SIOCGIFFLAGS", errno);
  if (request.ifr_flags & IFF_UP) return HWGW_OK;
  return hwgw_error_set(error, HWGW_ERR_DEVICE, ENETDOWN, "rx packet: %s is down: ip link set %s up", rx->interface,
                        rx->interface);
}

/* by default slots are as large as the MTU asks for, within the limits */
static int32_t sizes_take(struct rx_packet *rx, const struct hwgw_rx_cfg *cfg, uint32_t mtu, struct hwgw_error *error) {
  uint32_t frame_sz = cfg->frame_sz_bytes;
  if (!frame_sz) {
    for (frame_sz = HWGW_RX_FRAME_SZ_DEFAULT; frame_sz < mtu + TAG_LEN + IP_AT && frame_sz < SLOT_SZ_MAX;)
      frame_sz *= 2;
  }
  if (frame_sz < SLOT_SZ_MIN || frame_sz > SLOT_SZ_MAX || (frame_sz & (frame_sz - 1))) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "rx packet: frame_sz_bytes %u; allowed: powers of two from %d to %d", frame_sz, SLOT_SZ_MIN,
                          SLOT_SZ_MAX);
  }
  uint32_t slot_cnt = cfg->frame_cnt ? cfg->frame_cnt : SLOTS_DEFAULT;
  if (slot_cnt < SLOTS_MIN || slot_cnt > SLOTS_MAX || (slot_cnt & (slot_cnt - 1)) ||
      (uint64_t)slot_cnt * frame_sz > RING_SZ_MAX) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "rx packet: frame_cnt %u of %u bytes; allowed: powers of two from %d to %d, 1 GiB in all",
                          slot_cnt, frame_sz, SLOTS_MIN, SLOTS_MAX);
  }
  rx->slot_cnt = slot_cnt;
  rx->slot_mask = slot_cnt - 1;
  rx->slot_shift = (uint32_t)__builtin_ctz(frame_sz);
  rx->ring_sz = (size_t)slot_cnt * frame_sz;
  uint32_t mtu_max = frame_sz - IP_AT - TAG_LEN;
  rx->base.mtu_max = mtu > mtu_max ? mtu : mtu_max; /* describe has said it */
  rx->base.mtu_reopen_max = cfg->frame_sz_bytes ? 0 : SLOT_SZ_MAX - IP_AT - TAG_LEN;
  return HWGW_OK;
}

static int32_t clock_take(struct rx_packet *rx, struct hwgw_error *error) {
  int kind = SOF_TIMESTAMPING_RAW_HARDWARE, software = SOF_TIMESTAMPING_RX_SOFTWARE;
  rx->timestamps = true;
  rx->base.clock = HWGW_RX_CLOCK_KERNEL;
  rx->is_hardware_clock = hwgw_nic_has_clock(rx->fd, rx->interface) &&
                          setsockopt(rx->fd, SOL_PACKET, PACKET_TIMESTAMP, &kind, sizeof kind) == 0;
  if (rx->is_hardware_clock) {
    rx->base.clock = HWGW_RX_CLOCK_HARDWARE;
    return HWGW_OK;
  }
  /* stamped when the driver hands the frame over, not when it is copied */
  if (setsockopt(rx->fd, SOL_SOCKET, SO_TIMESTAMPING, &software, sizeof software)) {
    return failed(error, rx, "SO_TIMESTAMPING", errno);
  }
  return HWGW_OK;
}

static int32_t ring_take(struct rx_packet *rx, struct hwgw_error *error) {
  int version = TPACKET_V2, room = TAG_ROOM, on = 1;
  if (setsockopt(rx->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version)) {
    return failed(error, rx, "PACKET_VERSION", errno);
  }
  if (setsockopt(rx->fd, SOL_PACKET, PACKET_RESERVE, &room, sizeof room)) {
    return failed(error, rx, "PACKET_RESERVE", errno);
  }
  if (setsockopt(rx->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on)) {
    return failed(error, rx, "PACKET_IGNORE_OUTGOING", errno);
  }
  uint32_t block_sz = rx->ring_sz < BLOCK_SZ ? (uint32_t)rx->ring_sz : BLOCK_SZ;
  struct tpacket_req request = {.tp_block_size = block_sz,
                                .tp_block_nr = (uint32_t)(rx->ring_sz / block_sz),
                                .tp_frame_size = 1u << rx->slot_shift,
                                .tp_frame_nr = rx->slot_cnt};
  if (setsockopt(rx->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request)) {
    int cause = errno;
    if (cause != ENOMEM) return failed(error, rx, "PACKET_RX_RING", cause);
    return hwgw_error_set(error, HWGW_ERR_DEVICE, cause,
                          "rx packet: PACKET_RX_RING of %zu KiB on %s: %s; lower frame_cnt or frame_sz_bytes",
                          rx->ring_sz >> 10, rx->interface, strerror(cause));
  }
  void *ring = mmap(NULL, rx->ring_sz, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, rx->fd, 0);
  if (ring == MAP_FAILED) return failed(error, rx, "mmap of the ring", errno);
  rx->ring = ring;
  return HWGW_OK;
}

static int32_t member_add(struct rx_packet *rx, int ifindex, uint16_t kind, uint32_t group, struct hwgw_error *error) {
  struct packet_mreq request = {.mr_ifindex = ifindex, .mr_type = kind};
  if (kind == PACKET_MR_MULTICAST) {
    uint64_t mac = ETHERNET_MULTICAST_MAC_PREFIX | (group & ETHERNET_MULTICAST_MAC_MASK);
    request.mr_alen = ETH_ALEN;
    for (uint32_t i = 0; i < ETH_ALEN; i++) request.mr_address[i] = (uint8_t)(mac >> (40 - 8 * i));
  }
  if (setsockopt(rx->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request) == 0) {
    rx->members[rx->member_cnt++] = request;
    return HWGW_OK;
  }
  return failed(error, rx, kind == PACKET_MR_PROMISC ? "PACKET_MR_PROMISC" : "PACKET_MR_MULTICAST", errno);
}

/* the kernel joins each group so that switches forward it; the interface is told to let its address in */
static int32_t groups_join(struct rx_packet *rx, const struct hwgw_rx_cfg *cfg, int ifindex, struct hwgw_error *error) {
  for (uint32_t i = 0; i < cfg->flow_cnt; i++) {
    bool is_known = false;
    for (uint32_t j = 0; j < i; j++) is_known |= cfg->flows[j].group == cfg->flows[i].group;
    if (is_known || !hwgw_rx_is_multicast(cfg->flows[i].group)) continue;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return failed(error, rx, "socket(AF_INET)", errno);
    rx->joins[rx->join_cnt++] = fd;
    int32_t status = hwgw_rx_join(fd, &cfg->flows[i], ifindex, 0, rx->interface, error);
    if (!status) status = member_add(rx, ifindex, PACKET_MR_MULTICAST, cfg->flows[i].group, error);
    if (status) return status;
  }
  return HWGW_OK;
}

/* ring, filter and memberships first, then the bind: nothing that was not asked for gets in, nothing is missed */
static int32_t receive_open(struct rx_packet *rx, const struct hwgw_rx_cfg *cfg,
                            const struct hwgw_packet_device *device, struct hwgw_error *error) {
  int32_t status = sizes_take(rx, cfg, device->mtu, error);
  if (!status && cfg->timestamps) status = clock_take(rx, error);
  if (!status) status = ring_take(rx, error);
  if (!status && !cfg->all_frames) {
    int cause = hwgw_flow_filter(rx->fd, cfg->flows, cfg->flow_cnt, false);
    if (cause) status = failed(error, rx, "SO_ATTACH_FILTER", cause);
  }
  if (!status && cfg->all_frames) status = member_add(rx, device->index, PACKET_MR_PROMISC, 0, error);
  if (!status) status = groups_join(rx, cfg, device->index, error);
  if (status) return status;
  rx->has_nic = hwgw_nic_open(&rx->nic, rx->fd, rx->interface);
  rx->base.is_behind_xdp = true;
  if (!rx->has_nic) hwgw_rx_note(&rx->base, "; the interface's own drops cannot be read");
  return HWGW_OK;
}

static void describe(struct rx_packet *rx, const struct hwgw_rx_cfg *cfg, uint32_t mtu) {
  char notes[256], what[64];
  snprintf(notes, sizeof notes, "%.255s", rx->base.describe);
  snprintf(what, sizeof what, cfg->all_frames ? "all frames" : "%u flow%s", cfg->flow_cnt,
           cfg->flow_cnt == 1 ? "" : "s");
  rx->base.describe[0] = 0;
  if (cfg->tx_only) {
    hwgw_rx_note(&rx->base, "packet: %s, sends only", rx->interface);
  } else {
    hwgw_rx_note(&rx->base, "packet: %s, %s, ring of %u frames of %u bytes", rx->interface, what, rx->slot_cnt,
                 1u << rx->slot_shift);
    uint32_t room = (1u << rx->slot_shift) - IP_AT;
    if (mtu + TAG_LEN > room) hwgw_rx_note(&rx->base, " (MTU %u: beyond %u they are cut off and dropped)", mtu, room);
  }
  if (rx->timestamps) hwgw_rx_note(&rx->base, ", %s time stamps", rx->is_hardware_clock ? "hardware" : "software");
  if (cfg->tx_frame_cnt) hwgw_rx_note(&rx->base, ", sendmmsg");
  hwgw_rx_note(&rx->base, "%s", notes);
}

static int32_t packet_open(struct hwgw_rx **out, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  int32_t status = config_check(cfg, error);
  if (status) return status;
  struct rx_packet *rx = calloc(1, sizeof *rx);
  if (!rx) return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "rx packet: no memory");
  rx->base.ops = &hwgw_rx_packet;
  snprintf(rx->interface, sizeof rx->interface, "%s", cfg->interface);
  struct hwgw_packet_device device = {0};
  rx->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (rx->fd < 0) status = failed(error, rx, "socket(AF_PACKET)", errno);
  if (!status) status = device_read(&device, rx, error);
  if (!status && !cfg->tx_only) status = receive_open(rx, cfg, &device, error);
  if (!status && cfg->tx_frame_cnt) {
    rx->tx = calloc(1, sizeof *rx->tx);
    status = rx->tx ? hwgw_packet_tx_open(rx->tx, rx->fd, &device, cfg->tx_frame_cnt, error)
                    : hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "rx packet: no memory");
  }
  if (!status) {
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = cfg->tx_only ? 0 : htons(ETH_P_ALL), .sll_ifindex = device.index};
    if (bind(rx->fd, (struct sockaddr *)&address, sizeof address)) status = failed(error, rx, "bind", errno);
  }
  if (status) {
    packet_close(&rx->base);
    return status;
  }
  describe(rx, cfg, device.mtu);
  *out = &rx->base;
  return HWGW_OK;
}

/* ---- the data path ---- */

static inline struct tpacket2_hdr *slot(const struct rx_packet *rx, uint32_t index) {
  return (struct tpacket2_hdr *)(void *)(rx->ring + ((size_t)(index & rx->slot_mask) << rx->slot_shift));
}

/* the kernel stripped the outer tag: addresses move forward, the tag goes behind them */
static uint8_t *tag_restore(const struct tpacket2_hdr *header, uint8_t *data) {
  uint8_t *moved = data - TAG_LEN;
  memmove(moved, data, ETHERNET_ETHERNET_HEADER_ETHERTYPE_OFF);
  bool has_tpid = header->tp_status & TP_STATUS_VLAN_TPID_VALID;
  hwgw_put_be16(moved + ETHERNET_ETHERNET_HEADER_ETHERTYPE_OFF,
                has_tpid ? header->tp_vlan_tpid : (uint16_t)ETHERNET_ETHERTYPE_VLAN);
  hwgw_put_be16(moved + ETHERNET_ETHERNET_HEADER_LEN, header->tp_vlan_tci);
  return moved;
}

static uint64_t stamp_of(const struct rx_packet *rx, const struct tpacket2_hdr *header) {
  if (!rx->timestamps || (rx->is_hardware_clock && !(header->tp_status & TP_STATUS_TS_RAW_HARDWARE))) return 0;
  return (uint64_t)header->tp_sec * 1000000000u + header->tp_nsec;
}

static uint32_t packet_poll(struct hwgw_rx *base, struct hwgw_frame *frames, uint32_t max) {
  struct rx_packet *rx = (struct rx_packet *)base;
  uint32_t cnt = 0;
  uint64_t now = 0;
  if (HWGW_UNLIKELY(!rx->ring)) return 0;
  while (cnt < max && rx->held < rx->slot_cnt) {
    struct tpacket2_hdr *header = slot(rx, rx->at);
    uint32_t status = __atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE);
    if (!(status & TP_STATUS_USER)) break;
    if (cnt == 0) now = hwgw_rdtsc();
    hwgw_prefetch(slot(rx, rx->at + 1));
    rx->at++;
    if (HWGW_UNLIKELY(header->tp_snaplen < header->tp_len)) {
      base->count.truncated++;
      if (rx->held == 0) { /* nobody may call release for it */
        __atomic_store_n(&header->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
      } else {
        rx->held++;
      }
      continue;
    }
    rx->held++;
    uint8_t *data = (uint8_t *)header + header->tp_mac;
    hwgw_prefetch(data);
    hwgw_prefetch(data + HWGW_CACHE_LINE);
    uint32_t len = header->tp_snaplen;
    if (HWGW_UNLIKELY(status & TP_STATUS_VLAN_VALID)) {
      data = tag_restore(header, data);
      len += TAG_LEN;
    }
    rx->unfinished += (status & TP_STATUS_CSUMNOTREADY) != 0;
    frames[cnt++] = (struct hwgw_frame){
        .data = data, .len = len, .flow = HWGW_FLOW_NONE, .t_rx = now, .ts_ns = stamp_of(rx, header)};
    base->count.bytes += len;
  }
  return cnt;
}

static void packet_release(struct hwgw_rx *base) {
  struct rx_packet *rx = (struct rx_packet *)base;
  for (uint32_t index = rx->at - rx->held; index != rx->at; index++) {
    __atomic_store_n(&slot(rx, index)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  }
  rx->held = 0;
}

static uint32_t packet_send(struct hwgw_rx *base, const struct hwgw_frame *frames, uint32_t cnt) {
  struct rx_packet *rx = (struct rx_packet *)base;
  return rx->tx ? hwgw_packet_tx_send(rx->tx, &base->count, frames, cnt) : 0;
}

static uint32_t packet_unsent(struct hwgw_rx *base) {
  struct rx_packet *rx = (struct rx_packet *)base;
  return rx->tx ? hwgw_packet_tx_unsent(rx->tx) : 0;
}

static void packet_stats(struct hwgw_rx *base, uint64_t *counters) {
  struct rx_packet *rx = (struct rx_packet *)base;
  if (!rx->ring) return;
  struct tpacket_stats now = {0}; /* since the last time it was read; tp_packets includes tp_drops */
  socklen_t sz = sizeof now;
  if (getsockopt(rx->fd, SOL_PACKET, PACKET_STATISTICS, &now, &sz) == 0) {
    rx->kernel_put += now.tp_packets - now.tp_drops;
    rx->kernel_drops += now.tp_drops;
  }
  uint64_t seen = base->count.frames + base->count.truncated + rx->vanished;
  if (rx->kernel_put > seen + rx->slot_cnt) rx->vanished += rx->kernel_put - seen - rx->slot_cnt;
  if (rx->has_nic) hwgw_nic_update(&rx->nic, base->count.frames);
  counters[HWGW_CNT_RX_DROP_RING_FULL] = rx->kernel_drops;
  counters[HWGW_CNT_RX_DROP_NIC] = rx->nic.missed;
  counters[HWGW_CNT_RX_DROP_KERNEL] = rx->nic.dropped + rx->vanished;
  if (rx->unfinished && !rx->unfinished_noted) {
    rx->unfinished_noted = true;
    hwgw_rx_note(base, "; the sender leaves checksums unfinished");
  }
}

static bool packet_ended(const struct hwgw_rx *base) {
  (void)base;
  return false;
}

static bool packet_available(char *text, uint32_t sz) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    int cause = errno;
    snprintf(text, sz, "socket(AF_PACKET): %s%s", strerror(cause),
             cause == EPERM          ? "; needs root or CAP_NET_RAW"
             : cause == EAFNOSUPPORT ? "; the kernel has no packet sockets"
                                     : "");
    return false;
  }
  close(fd);
  return true;
}

const struct hwgw_rx_ops hwgw_rx_packet = {
    .name = "packet",
    .keeps_memory = true,
    .open = packet_open,
    .poll = packet_poll,
    .release = packet_release,
    .send = packet_send,
    .unsent = packet_unsent,
    .hold = packet_hold,
    .stats = packet_stats,
    .ended = packet_ended,
    .close = packet_close,
    .available = packet_available,
    .has_interface = true,
    .needs_caps = (uint64_t)1 << CAP_NET_RAW,
};
