/* dpdk_port.c: one ethdev port: plugged in, configured, started, and all of it undone.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: a port as devargs: a PCI address or the name of a virtual device, then its driver's arguments
 * ("net_af_packet0,iface=eth1"). A device that EAL has already (--vdev, -a) is used as it is, once; any other is plugged
 * in now and unplugged at close, so that it can be opened again.
 *
 * Memory: what may be held by the caller, and beside it what the rings hold; a caller who holds too much leaves frames in
 * the ring and cannot starve the driver of buffers. The send buffers are a pool of their own.
 *
 * What the driver offers is used (checksums, scatter, time stamps, RSS); what it lacks is noted with its reason.
 *
 * Thread: set-up, one at a time.
 */
#include <errno.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_flow.h>
#include <rte_mbuf_dyn.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dpdk.h"

enum {
  FRAMES_DEFAULT = 4096,
  FRAMES_MIN = 64,
  FRAMES_MAX = 1 << 20,
  FRAME_SZ_MIN = 2048, /* drivers copy that much into a buffer without looking */
  FRAME_SZ_MAX = 16384,
  CACHE_SZ = 256,
  CACHES = 2,             /* the opening and the polling thread each keep up to 1.5 * CACHE_SZ buffers */
  LINK_OVERHEAD = 14 + 8, /* Ethernet header and two VLAN tags: not part of the MTU */
  QUEUE_PAUSE_MS = 100,   /* AF_XDP: a queue that was just closed is busy for up to 18 ms, longer under load */
  CLOCK_PAUSE_MS = 20
};

#define US_TO_NS 1000
#define PAGE_SZ 4096u

static bool is_port_used[RTE_MAX_ETHPORTS];
static uint32_t pool_seq; /* names of pools */

struct device {
  char name[RTE_DEV_NAME_MAX_LEN]; /* in front of the first comma */
  const char *args;                /* behind it, "" when there is none */
  bool is_pci;
  char text[64]; /* when it was made from an interface */
};

/* drivers say -1 for any failure, which reads as EPERM: only those without root are told of privileges */
static int32_t status_of(int cause) {
  return (cause == EPERM || cause == EACCES) && geteuid() != 0 ? HWGW_ERR_PRIVILEGE : HWGW_ERR_DEVICE;
}

static int32_t failed(struct hwgw_error *error, const char *call, const struct device *device, int cause) {
  return hwgw_error_set(error, status_of(cause), cause, "rx dpdk: %s(%s): %s%s", call, device->name,
                        cause == EPERM ? "failed" : rte_strerror(cause), dpdk_said().text);
}

/* [domain:]bus:device.function, completed with domain 0000 */
static bool pci_parse(char *name, size_t sz) {
  unsigned domain = 0, bus, slot, function;
  int end = 0;
  if (sscanf(name, "%4x:%2x:%2x.%1u%n", &domain, &bus, &slot, &function, &end) != 4 || name[end]) {
    domain = 0;
    if (sscanf(name, "%2x:%2x.%1u%n", &bus, &slot, &function, &end) != 3 || name[end]) return false;
  }
  snprintf(name, sz, "%04x:%02x:%02x.%u", domain, bus, slot, function);
  return true;
}

static int32_t config_check(struct device *device, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  const char *port = cfg->port ? cfg->port : "";
  if (!*port && cfg->interface && *cfg->interface) { /* the driver that works on every device of the kernel */
    snprintf(device->text, sizeof device->text, "net_af_packet_%.15s,iface=%.15s", cfg->interface, cfg->interface);
    port = device->text;
  }
  size_t len = strcspn(port, ",");
  if (len == 0 || len >= sizeof device->name) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "rx dpdk: port \"%.60s\"; it needs a PCI address or a device such as "
                          "net_af_packet0,iface=eth1",
                          port);
  }
  memcpy(device->name, port, len);
  device->name[len] = 0;
  device->args = port[len] ? port + len + 1 : "";
  device->is_pci = pci_parse(device->name, sizeof device->name);
  if (cfg->frame_cnt && (cfg->frame_cnt < FRAMES_MIN || cfg->frame_cnt > FRAMES_MAX)) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx dpdk: frame_cnt %u; allowed: %d to %d", cfg->frame_cnt,
                          FRAMES_MIN, FRAMES_MAX);
  }
  if (cfg->frame_sz_bytes && (cfg->frame_sz_bytes < FRAME_SZ_MIN || cfg->frame_sz_bytes > FRAME_SZ_MAX)) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx dpdk: frame_sz_bytes %u; allowed: %d to %d",
                          cfg->frame_sz_bytes, FRAME_SZ_MIN, FRAME_SZ_MAX);
  }
  for (uint32_t i = 0; i < cfg->queue_cnt; i++) {
    if (cfg->queues[i] >= cfg->queue_cnt) {
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                            "rx dpdk: queue %u of %u queues; a port is opened as a whole: name queues 0 to n-1",
                            cfg->queues[i], cfg->queue_cnt);
    }
  }
  if (cfg->flow_cnt == 0 && !cfg->all_frames && !cfg->tx_only) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx dpdk: no flow; name at least one group and port");
  }
  return HWGW_OK;
}

/* ---- the device ---- */

static int32_t plug_in(struct rx_dpdk *rx, const struct device *device, struct hwgw_error *error) {
  if (rte_eth_dev_get_port_by_name(device->name, &rx->port) == 0) {
    if (is_port_used[rx->port]) {
      return hwgw_error_set(error, HWGW_ERR_DEVICE, EBUSY, "rx dpdk: %s is open already", device->name);
    }
    if (*device->args) {
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                            "rx dpdk: %s exists by the eal arguments; name it without arguments of its own",
                            device->name);
    }
    return HWGW_OK;
  }
  int result = rte_eal_hotplug_add(device->is_pci ? "pci" : "vdev", device->name, device->args);
  if (result) {
    const char *hint = device->is_pci ? "is it bound to vfio-pci (dpdk-devbind.py)?"
                                      : "is the driver installed (librte-net-*) and are its arguments right?";
    return hwgw_error_set(error, status_of(-result), -result, "rx dpdk: rte_eal_hotplug_add(%s, \"%.100s\"): %s%s; %s",
                          device->name, device->args, result == -EPERM ? "failed" : rte_strerror(-result),
                          dpdk_said().text, hint);
  }
  rx->is_ours = true;
  result = rte_eth_dev_get_port_by_name(device->name, &rx->port);
  if (result) {
    rte_eal_hotplug_remove(device->is_pci ? "pci" : "vdev", device->name);
    rx->is_ours = false;
    return hwgw_error_set(error, HWGW_ERR_DEVICE, -result,
                          "rx dpdk: %s has no Ethernet port; a device of the eal arguments can be opened once",
                          device->name);
  }
  return HWGW_OK;
}

static uint32_t kernel_mtu(uint32_t if_index) {
  struct ifreq request = {0};
  int fd = if_index ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
  if (fd < 0) return 0;
  bool is_read = if_indextoname(if_index, request.ifr_name) && ioctl(fd, SIOCGIFMTU, &request) == 0;
  close(fd);
  return is_read && request.ifr_mtu > 0 ? (uint32_t)request.ifr_mtu : 0;
}

/* ---- configuration ---- */

static int32_t configure(struct rx_dpdk *rx, const struct hwgw_rx_cfg *cfg, const struct device *device,
                         const struct rte_eth_dev_info *info, uint32_t frame_sz, struct hwgw_error *error) {
  uint16_t mtu = RTE_ETHER_MTU;
  rte_eth_dev_get_mtu(rx->port, &mtu);
  uint32_t wire_mtu = kernel_mtu(info->if_index);
  if (wire_mtu && wire_mtu <= UINT16_MAX) mtu = (uint16_t)wire_mtu;
  uint32_t overhead = info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu
                          ? info->max_rx_pktlen - info->max_mtu
                          : RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
  uint32_t mtu_max = info->max_rx_pktlen > overhead ? info->max_rx_pktlen - overhead : RTE_ETHER_MTU;
  if (mtu_max > info->max_mtu) mtu_max = info->max_mtu;
  if (mtu > mtu_max) {
    dpdk_host->note(&rx->base, "; MTU %u, and the driver takes %u: longer frames are cut by it", mtu, mtu_max);
    mtu = (uint16_t)mtu_max;
  }
  /* a driver that knows no limit (net_pcap) may give what is longer than the MTU */
  uint32_t longest = info->max_rx_pktlen > FRAME_SZ_MAX ? FRAME_SZ_MAX : info->max_rx_pktlen;
  if (longest < (uint32_t)mtu + LINK_OVERHEAD) longest = (uint32_t)mtu + LINK_OVERHEAD;
  rx->gather_sz = (longest + HWGW_CACHE_LINE - 1) & ~(uint32_t)(HWGW_CACHE_LINE - 1);
  rx->tx_len_max = (uint32_t)mtu + LINK_OVERHEAD < FRAME_SZ_MAX ? (uint32_t)mtu + LINK_OVERHEAD : FRAME_SZ_MAX;

  struct rte_eth_conf conf = {.rxmode.mtu = mtu};
  uint64_t wanted = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
  if ((uint32_t)mtu + LINK_OVERHEAD > frame_sz) {
    wanted |= RTE_ETH_RX_OFFLOAD_SCATTER;
    if (!(info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER))
      dpdk_host->note(&rx->base, "; MTU %u, buffers of %u and no scatter in the driver", mtu, frame_sz);
  }
  if (cfg->timestamps) wanted |= RTE_ETH_RX_OFFLOAD_TIMESTAMP;
  conf.rxmode.offloads = wanted & info->rx_offload_capa;
  rx->drop_bad_sum = (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_UDP_CKSUM) && !cfg->all_frames;
  if (rx->queue_cnt > 1) {
    conf.rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_UDP);
    if (conf.rx_adv_conf.rss_conf.rss_hf) {
      conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    } else {
      dpdk_host->note(&rx->base, "; the driver has no RSS");
    }
  }
  if (rx->queue_cnt > info->max_rx_queues) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx dpdk: %s has %u receive queues, %u are configured%s",
                          device->name, info->max_rx_queues, rx->queue_cnt,
                          strstr(device->name, "af_packet") ? " (qpairs= in port)"
                          : strstr(device->name, "af_xdp")  ? " (queue_count= in port)"
                                                            : "");
  }
  dpdk_hear_anew();
  int result = rte_eth_dev_configure(rx->port, rx->queue_cnt, 1, &conf);
  return result ? failed(error, "rte_eth_dev_configure", device, -result) : HWGW_OK;
}

static struct rte_mempool *pool_make(const char *kind, uint32_t cnt, uint32_t cache, uint32_t frame_sz, int node) {
  char name[RTE_MEMPOOL_NAMESIZE];
  snprintf(name, sizeof name, "hwgw-%s-%u", kind, pool_seq++);
  return rte_pktmbuf_pool_create(name, cnt, cache, 0, (uint16_t)(frame_sz + RTE_PKTMBUF_HEADROOM), node);
}

static void area_free(struct rte_mempool_memhdr *header, void *opaque) {
  munmap(header->addr, (size_t)(uintptr_t)opaque);
}

/* A pool in one piece of memory, for net_af_xdp. The driver registers as UMEM what begins at the pool's first piece and is
 * as long as all buffers back to back (get_base_addr and xdp_umem_configure of rte_eth_af_xdp.c). A pool of EAL's on plain
 * pages lets no buffer cross a page and so is longer, or in several pieces: buffers behind that end are refused by the kernel
 * as invalid and never come back, until the pool has none and the driver puts each batch that it cannot replace back. */
static struct rte_mempool *pool_in_one(const char *kind, uint32_t cnt, uint32_t cache, uint32_t frame_sz, int node) {
  char name[RTE_MEMPOOL_NAMESIZE];
  snprintf(name, sizeof name, "hwgw-%s-%u", kind, pool_seq++);
  struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = (uint16_t)(frame_sz + RTE_PKTMBUF_HEADROOM)};
  uint32_t element_sz = (uint32_t)sizeof(struct rte_mbuf) + private.mbuf_data_room_size;
  unsigned flags =
      RTE_MEMPOOL_F_NO_IOVA_CONTIG; /* the kernel's copies need no physical order: buffers may cross pages */
  struct rte_mempool *pool = rte_mempool_create_empty(name, cnt, element_sz, cache, sizeof private, node, flags);
  if (!pool) return NULL;
  rte_mempool_set_ops_byname(pool, "ring_mp_mc", NULL);
  rte_pktmbuf_pool_init(pool, &private);
  size_t object_sz = rte_mempool_calc_obj_size(element_sz, flags, NULL);
  size_t sz = ((size_t)cnt + 1) * object_sz + PAGE_SZ;
  void *area = mmap(NULL, sz, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (area == MAP_FAILED ||
      rte_mempool_populate_iova(pool, area, RTE_BAD_IOVA, sz, area_free, (void *)(uintptr_t)sz) < (int)cnt) {
    if (area != MAP_FAILED && pool->nb_mem_chunks == 0) munmap(area, sz);
    rte_mempool_free(pool);
    rte_errno = ENOMEM;
    return NULL;
  }
  rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
  return pool;
}

static int32_t pool_failed(const struct device *device, uint32_t cnt, uint32_t frame_sz, struct hwgw_error *error) {
  return hwgw_error_set(error, HWGW_ERR_CONFIG, rte_errno,
                        "rx dpdk: rte_pktmbuf_pool_create(%u buffers of %u bytes) for %s: %s (%s): lower frame_cnt, or "
                        "give more in the first receiver's eal arguments (-m megabytes)",
                        cnt, frame_sz, device->name, rte_strerror(rte_errno), dpdk_eal_memory());
}

/* net_af_xdp frees its memory twice when it is closed after this: the port is left as it is */
static int32_t stuck(struct rx_dpdk *rx, const struct device *device, int cause, struct hwgw_error *error) {
  rx->is_stuck = true;
  return hwgw_error_set(error, status_of(cause), cause,
                        "rx dpdk: rte_eth_rx_queue_setup(%s): %s%s; has another program the queue or an XDP program on "
                        "the interface? The driver cannot try this name again in this process",
                        device->name, rte_strerror(cause), dpdk_said().text);
}

static int32_t queues_make(struct rx_dpdk *rx, const struct hwgw_rx_cfg *cfg, const struct device *device,
                           uint32_t frame_cnt, uint32_t frame_sz, struct hwgw_error *error) {
  uint16_t rx_ring = (uint16_t)(frame_cnt / 2 > 32768 ? 32768 : frame_cnt / 2);
  uint16_t tx_ring = (uint16_t)(cfg->tx_frame_cnt > 32768 ? 32768 : cfg->tx_frame_cnt);
  if (tx_ring == 0) tx_ring = 64;
  int result = rte_eth_dev_adjust_nb_rx_tx_desc(rx->port, &rx_ring, &tx_ring);
  if (result) return failed(error, "rte_eth_dev_adjust_nb_rx_tx_desc", device, -result);
  int node = rte_eth_dev_socket_id(rx->port);
  uint32_t cnt = rx->queue_cnt * (uint32_t)rx_ring + rx->held_max + HWGW_BATCH_MAX + CACHES * CACHE_SZ * 3 / 2;
  rx->rx_pool = (rx->is_af_xdp ? pool_in_one : pool_make)("rx", cnt, CACHE_SZ, frame_sz, node);
  if (!rx->rx_pool) return pool_failed(device, cnt, frame_sz, error);
  for (uint16_t queue = 0; queue < rx->queue_cnt; queue++) {
    dpdk_hear_anew();
    result = rte_eth_rx_queue_setup(rx->port, queue, rx_ring, (unsigned)node, NULL, rx->rx_pool);
    if (result && rx->is_af_xdp) return stuck(rx, device, -result, error);
    if (result) return failed(error, "rte_eth_rx_queue_setup", device, -result);
  }
  result = rte_eth_tx_queue_setup(rx->port, 0, tx_ring, (unsigned)node, NULL);
  if (result) return failed(error, "rte_eth_tx_queue_setup", device, -result);
  rx->tx_ring_sz = tx_ring;
  if (cfg->tx_frame_cnt) {
    cnt = (uint32_t)tx_ring + cfg->tx_frame_cnt;
    uint32_t tx_sz = rx->tx_len_max > FRAME_SZ_MIN ? rx->tx_len_max : FRAME_SZ_MIN;
    rx->tx_pool = pool_make("tx", cnt, 0, tx_sz, node);
    if (!rx->tx_pool) return pool_failed(device, cnt, tx_sz, error);
  }
  return HWGW_OK;
}

/* ---- time stamps ---- */

/* ns = ticks * mul >> shift, with as many bits as mul can have */
static void clock_scale(struct rx_dpdk *rx, uint64_t hz) {
  rx->ts_shift = 32;
  rx->ts_mul = (uint64_t)(((unsigned __int128)1000000000u << rx->ts_shift) / hz);
}

static void timestamps_find(struct rx_dpdk *rx, const struct hwgw_rx_cfg *cfg, const struct device *device,
                            const struct rte_eth_dev_info *info) {
  bool is_capture = strcmp(info->driver_name, "net_pcap") == 0;
  bool is_offered = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_TIMESTAMP;
  if (!is_capture && !cfg->timestamps) return;
  if (!is_capture && !is_offered) {
    dpdk_host->note(&rx->base, "; no time stamps (%s has none)", info->driver_name);
    return;
  }
  int flag = rte_mbuf_dynflag_lookup(RTE_MBUF_DYNFLAG_RX_TIMESTAMP_NAME, NULL);
  int offset = rte_mbuf_dynfield_lookup(RTE_MBUF_DYNFIELD_TIMESTAMP_NAME, NULL);
  if (flag < 0 || offset < 0) {
    dpdk_host->note(&rx->base, "; no time stamps (the driver registered none)");
    return;
  }
  if (is_capture) { /* microseconds, of the file or of libpcap's socket */
    rx->ts_mul = US_TO_NS;
    rx->base.clock = strstr(device->args, "rx_pcap=") ? HWGW_RX_CLOCK_CAPTURE : HWGW_RX_CLOCK_KERNEL;
  } else {
    uint64_t first = 0, last = 0;
    struct timespec start, end;
    int result = rte_eth_read_clock(rx->port, &first);
    clock_gettime(CLOCK_MONOTONIC_RAW, &start);
    nanosleep(&(struct timespec){.tv_nsec = CLOCK_PAUSE_MS * 1000000}, NULL);
    if (!result) result = rte_eth_read_clock(rx->port, &last);
    clock_gettime(CLOCK_MONOTONIC_RAW, &end);
    uint64_t ns = (uint64_t)(end.tv_sec - start.tv_sec) * 1000000000u + (uint64_t)end.tv_nsec - (uint64_t)start.tv_nsec;
    if (result || last <= first) {
      dpdk_host->note(&rx->base, "; no time stamps (the rate of the NIC's clock cannot be read: %s)",
                      rte_strerror(result ? -result : EIO));
      return;
    }
    clock_scale(rx, (uint64_t)((unsigned __int128)(last - first) * 1000000000u / ns));
    rx->base.clock = HWGW_RX_CLOCK_HARDWARE;
  }
  rx->ts_offset = (uintptr_t)offset;
  rx->ts_flag = (uint64_t)1 << flag;
}

/* ---- open and close ---- */

static int removed(uint16_t port, enum rte_eth_event_type type, void *context, void *ret) {
  (void)port;
  (void)type;
  (void)ret;
  __atomic_store_n((bool *)context, true, __ATOMIC_RELAXED);
  return 0;
}

static int32_t start(struct rx_dpdk *rx, const struct hwgw_rx_cfg *cfg, const struct device *device,
                     const struct rte_eth_dev_info *info, struct hwgw_error *error) {
  dpdk_hear_anew();
  int result = rte_eth_dev_start(rx->port);
  if (result) return failed(error, "rte_eth_dev_start", device, -result);
  rx->is_started = true;
  rte_eth_dev_callback_register(rx->port, RTE_ETH_EVENT_INTR_RMV, removed, &rx->is_gone);
  dpdk_loss_find(rx, info->if_index);
  rte_eth_stats_get(rx->port, &rx->first);
  dpdk_xstats_open(rx);
  if (rx->tx_only) return HWGW_OK;
  if (cfg->all_frames) {
    result = rte_eth_promiscuous_get(rx->port) == 1 ? 0 : rte_eth_promiscuous_enable(rx->port);
    rx->is_promiscuous = result == 0;
    if (result) dpdk_host->note(&rx->base, "; not promiscuous (%s)", rte_strerror(-result));
  }
  timestamps_find(rx, cfg, device, info);
  dpdk_feed_steer(rx, cfg);
  return dpdk_feed_join(rx, cfg, info->if_index, error);
}

static void losses_note(struct rx_dpdk *rx, const struct rte_eth_dev_info *info) {
  if (rx->socket_kind == AF_XDP) {
    dpdk_host->note(&rx->base, "; takes everything that comes in on its queues");
  } else if (strcmp(info->driver_name, "net_af_packet") == 0 && rx->socket_kind != AF_PACKET) {
    dpdk_host->note(&rx->base, "; losses of this driver cannot be counted");
  }
}

static int32_t open_quietly(struct rx_dpdk *rx, const struct hwgw_rx_cfg *cfg, const struct device *device,
                            uint32_t frame_cnt, uint32_t frame_sz, struct hwgw_error *error) {
  dpdk_loss_before();
  int32_t status = plug_in(rx, device, error);
  if (status) return status;
  is_port_used[rx->port] = true;
  rx->is_plugged = true;
  struct rte_eth_dev_info info;
  int result = rte_eth_dev_info_get(rx->port, &info);
  if (result) return failed(error, "rte_eth_dev_info_get", device, -result);
  rx->is_tap = strcmp(info.driver_name, "net_tap") == 0;
  rx->is_af_xdp = strcmp(info.driver_name, "net_af_xdp") == 0;
  rx->is_shared = strcmp(info.driver_name, "net_ring") == 0;
  dpdk_host->note(&rx->base, "dpdk: %s (%s) queue%s 0", device->name, info.driver_name, rx->queue_cnt > 1 ? "s" : "");
  if (rx->queue_cnt > 1) dpdk_host->note(&rx->base, " to %u", rx->queue_cnt - 1u);
  dpdk_host->note(&rx->base, ", %u frames of %u bytes, %s", frame_cnt, frame_sz, dpdk_eal_memory());
  status = configure(rx, cfg, device, &info, frame_sz, error);
  if (!status) status = queues_make(rx, cfg, device, frame_cnt, frame_sz, error);
  if (!status) status = start(rx, cfg, device, &info, error);
  if (!status) losses_note(rx, &info);
  return status;
}

int32_t dpdk_port_open(struct rx_dpdk *rx, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  struct device device;
  int32_t status = config_check(&device, cfg, error);
  if (status) return status;
  uint32_t frame_cnt = cfg->frame_cnt ? cfg->frame_cnt : FRAMES_DEFAULT;
  uint32_t frame_sz = cfg->frame_sz_bytes ? cfg->frame_sz_bytes : HWGW_RX_FRAME_SZ_DEFAULT;
  rx->queue_cnt = (uint16_t)(cfg->queue_cnt ? cfg->queue_cnt : 1);
  rx->held_max = frame_cnt;
  rx->tx_only = cfg->tx_only;
  uint64_t bytes = ((uint64_t)frame_cnt * (1 + rx->queue_cnt) + 2ull * cfg->tx_frame_cnt) * (frame_sz + 512ull);
  status = dpdk_eal_start(cfg, device.is_pci, (uint32_t)(bytes >> 20) + 1, error);
  if (status) return status;
  dpdk_listen();
  status = open_quietly(rx, cfg, &device, frame_cnt, frame_sz, error);
  dpdk_listen_end();
  if (status) return status;
  rx->held = calloc((size_t)rx->held_max + HWGW_BATCH_MAX, sizeof *rx->held);
  rx->gather = malloc((size_t)rx->gather_sz * DPDK_GATHER_SLOTS);
  if (!rx->held || !rx->gather) return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "rx dpdk: no memory");
  return HWGW_OK;
}

/* a buffer that net_ring has handed to another port is still in use; what net_af_xdp does not give back is forgotten */
static void pool_end(const struct rx_dpdk *rx, struct rte_mempool *pool) {
  if (pool && !rx->is_stuck && (!rx->is_shared || rte_mempool_full(pool))) rte_mempool_free(pool);
}

void dpdk_port_close(struct rx_dpdk *rx) {
  dpdk_listen();
  for (uint32_t i = 0; i < rx->join_cnt; i++) close(rx->joins[i]);
  if (rx->is_started) {
    rte_eth_dev_callback_unregister(rx->port, RTE_ETH_EVENT_INTR_RMV, removed, &rx->is_gone);
    if (rx->has_rules) rte_flow_flush(rx->port, NULL);
    if (rx->is_promiscuous) rte_eth_promiscuous_disable(rx->port);
    rte_eth_dev_stop(rx->port);
  }
  if (rx->is_plugged && !rx->is_stuck) {
    struct rte_eth_dev_info info = {.device = NULL};
    rte_eth_dev_info_get(rx->port, &info);
    rte_eth_dev_close(rx->port);
    dpdk_loss_end(rx);
    if (rx->is_af_xdp) nanosleep(&(struct timespec){.tv_nsec = QUEUE_PAUSE_MS * 1000000}, NULL);
    if (rx->is_ours && info.device) rte_dev_remove(info.device);
    is_port_used[rx->port] = false;
  }
  pool_end(rx, rx->rx_pool);
  pool_end(rx, rx->tx_pool);
  free(rx->held);
  free(rx->gather);
  dpdk_listen_end();
}
