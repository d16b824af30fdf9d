/* rx_dpdk.c: receive and send through any DPDK ethdev; this folder is a shared object of its own.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: every frame that comes in on the port's queues. net.c looks at the flow, so frames of others are counted there
 * (net drop_foreign ...).
 *
 * Output: Ethernet frames in place, in the driver's buffers (mbufs). A frame of several buffers is copied into one
 * (gathered). Frames polled and not released are held; when the caller holds frame_cnt of them nothing is polled and
 * what comes waits in the ring.
 *
 * Sending: frames are copied into buffers of a pool of their own, as many as the driver's ring takes at a time.
 *
 * Accounting: drop_nic is the port's imissed, drop_kernel its ierrors, drop_no_buffer its count of failed allocations
 * (not reached while the caller keeps to frame_cnt), drop_checksum UDP checksums found wrong by the driver, drop_truncated
 * frames of several buffers longer than the driver's
 * limit or 16 KiB. Losses at the driver's own kernel sockets: dpdk_loss.c.
 *
 * Cost: one burst call per poll; what the driver does in it is the driver's (af_packet, tap, pcap: copies and system
 * calls).
 *
 * Thread: one polls and sends. It is made known to DPDK at its first poll, so that it has a cache of buffers.
 */
#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf_dyn.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "dpdk.h"

const struct hwgw_rx_host *dpdk_host;

/* set-up is one at a time: rx_watch.c opens anew on a thread of its own */
static pthread_mutex_t set_up = PTHREAD_MUTEX_INITIALIZER;

/* ---- receive ---- */

static void thread_enter(struct rx_dpdk *rx) {
  rx->is_registered = true;
  if (rte_lcore_id() == LCORE_ID_ANY && rte_thread_register()) {
    dpdk_host->note(&rx->base, "; no buffer cache (%s)", rte_strerror(rte_errno));
  }
}

static void burst(struct rx_dpdk *rx, uint32_t cnt) {
  struct rte_mbuf **at = rx->held + rx->held_cnt;
  for (uint16_t tried = 0; tried < rx->queue_cnt; tried++) {
    uint16_t queue = rx->queue_at;
    rx->queue_at = (uint16_t)(queue + 1 < rx->queue_cnt ? queue + 1 : 0);
    rx->ready_cnt = rte_eth_rx_burst(rx->port, queue, at, (uint16_t)cnt);
    rx->ready_queue = queue;
    if (rx->ready_cnt) break;
  }
  for (uint32_t i = 0; i < rx->ready_cnt; i++) __builtin_prefetch(rte_pktmbuf_mtod(at[i], const void *));
}

/* copies the buffers of a frame into a slot; NULL and the cause counted when it cannot be done */
static const uint8_t *gather(struct rx_dpdk *rx, const struct rte_mbuf *mbuf) {
  if (mbuf->pkt_len > rx->gather_sz) {
    rx->base.count.truncated++;
    return NULL;
  }
  if (rx->gather_cnt == DPDK_GATHER_SLOTS) {
    rx->no_slots++;
    return NULL;
  }
  uint8_t *slot = rx->gather + (size_t)rx->gather_sz * rx->gather_cnt++;
  uint8_t *to = slot;
  for (const struct rte_mbuf *part = mbuf; part; part = part->next) {
    memcpy(to, rte_pktmbuf_mtod(part, const void *), part->data_len);
    to += part->data_len;
  }
  return slot;
}

static uint64_t stamp_ns(const struct rx_dpdk *rx, const struct rte_mbuf *mbuf) {
  uint64_t stamp = *RTE_MBUF_DYNFIELD(mbuf, rx->ts_offset, const rte_mbuf_timestamp_t *);
  return (uint64_t)((unsigned __int128)stamp * rx->ts_mul >> rx->ts_shift);
}

static uint32_t dpdk_poll(struct hwgw_rx *base, struct hwgw_frame *frames, uint32_t max) {
  struct rx_dpdk *rx = (struct rx_dpdk *)base;
  if (HWGW_UNLIKELY(!rx->is_registered)) thread_enter(rx);
  if (HWGW_UNLIKELY(rx->tx_only)) return 0;
  if (rx->ready_cnt == 0) {
    if (HWGW_UNLIKELY(rx->held_cnt >= rx->held_max)) return 0;
    burst(rx, max < DPDK_BURST_MIN ? DPDK_BURST_MIN : max);
    if (rx->ready_cnt == 0) return 0;
  }
  uint64_t now = hwgw_rdtsc();
  uint64_t bytes = 0;
  uint32_t cnt = 0, seen = 0, kept = rx->held_cnt;
  struct rte_mbuf **ready = rx->held + rx->held_cnt;
  while (seen < rx->ready_cnt && cnt < max) {
    struct rte_mbuf *mbuf = ready[seen++];
    const uint8_t *data = rte_pktmbuf_mtod(mbuf, const uint8_t *);
    if (HWGW_UNLIKELY(mbuf->nb_segs > 1)) {
      data = gather(rx, mbuf);
      rx->gathered += data != NULL;
    }
    bool is_bad = rx->drop_bad_sum && (mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD;
    if (HWGW_UNLIKELY(!data || is_bad)) {
      rx->bad_sums += data != NULL;
      rte_pktmbuf_free(mbuf);
      continue;
    }
    frames[cnt++] = (struct hwgw_frame){.data = data,
                                        .len = mbuf->pkt_len,
                                        .flow = HWGW_FLOW_NONE,
                                        .queue = rx->ready_queue,
                                        .t_rx = now,
                                        .ts_ns = mbuf->ol_flags & rx->ts_flag ? stamp_ns(rx, mbuf) : 0};
    bytes += mbuf->pkt_len;
    rx->held[kept++] = mbuf;
  }
  rx->ready_cnt -= seen;
  if (kept != rx->held_cnt + seen && rx->ready_cnt) /* dropped ones left holes */
    memmove(rx->held + kept, ready + seen, rx->ready_cnt * sizeof *ready);
  rx->held_cnt = kept;
  base->count.bytes += bytes;
  return cnt;
}

static void dpdk_release(struct hwgw_rx *base) {
  struct rx_dpdk *rx = (struct rx_dpdk *)base;
  if (rx->held_cnt == 0) return;
  rte_pktmbuf_free_bulk(rx->held, rx->held_cnt);
  if (rx->ready_cnt) memmove(rx->held, rx->held + rx->held_cnt, rx->ready_cnt * sizeof *rx->held);
  rx->held_cnt = 0;
  rx->gather_cnt = 0;
}

/* ---- send ---- */

static uint32_t dpdk_send(struct hwgw_rx *base, const struct hwgw_frame *frames, uint32_t cnt) {
  struct rx_dpdk *rx = (struct rx_dpdk *)base;
  if (HWGW_UNLIKELY(!rx->tx_pool)) return 0;
  if (HWGW_UNLIKELY(!rx->is_registered)) thread_enter(rx);
  struct rte_mbuf *list[HWGW_BATCH_MAX];
  uint32_t from[HWGW_BATCH_MAX]; /* the frame that list[i] carries */
  uint16_t made = 0;
  uint32_t taken = cnt;
  for (uint32_t i = 0; i < cnt; i++) {
    if (frames[i].len < RTE_ETHER_HDR_LEN || frames[i].len > rx->tx_len_max) continue;
    struct rte_mbuf *mbuf = rte_pktmbuf_alloc(rx->tx_pool);
    if (!mbuf) {
      rte_eth_tx_done_cleanup(rx->port, 0, 0);
      taken = i;
      break;
    }
    memcpy(rte_pktmbuf_mtod(mbuf, void *), frames[i].data, frames[i].len);
    mbuf->data_len = (uint16_t)frames[i].len;
    mbuf->pkt_len = frames[i].len;
    from[made] = i;
    list[made++] = mbuf;
  }
  uint16_t sent = made ? rte_eth_tx_burst(rx->port, 0, list, made) : 0;
  if (sent < made) {
    taken = from[sent];
    rte_pktmbuf_free_bulk(list + sent, made - sent);
  }
  for (uint32_t i = 0; i < taken; i++) {
    bool is_short = frames[i].len<RTE_ETHER_HDR_LEN, is_long = frames[i].len> rx->tx_len_max;
    base->count.tx_drop_short += is_short;
    base->count.tx_drop_long += is_long;
    base->count.tx_frames += !is_short && !is_long;
    base->count.tx_bytes += is_short || is_long ? 0 : frames[i].len;
  }
  return taken;
}

static uint32_t dpdk_unsent(struct hwgw_rx *base) {
  struct rx_dpdk *rx = (struct rx_dpdk *)base;
  if (!rx->tx_pool) return 0;
  uint32_t cnt = rte_mempool_in_use_count(rx->tx_pool);
  if (cnt == 0) return 0;
  if (rte_eth_tx_done_cleanup(rx->port, 0, 0) >= 0) return rte_mempool_in_use_count(rx->tx_pool);
  /* sent buffers are given back late: the last descriptor tells whether all have left */
  int last = rte_eth_tx_descriptor_status(rx->port, 0, (uint16_t)(rx->tx_ring_sz - 1));
  return last == RTE_ETH_TX_DESC_FULL ? cnt : 0;
}

/* ---- counters ---- */

static void dpdk_stats(struct hwgw_rx *base, uint64_t *counters) {
  struct rx_dpdk *rx = (struct rx_dpdk *)base;
  struct rte_eth_stats now = rx->first;
  rte_eth_stats_get(rx->port, &now);
  uint64_t refused = now.oerrors - rx->first.oerrors;
  counters[HWGW_CNT_TX_DROP_KERNEL] = refused;
  counters[HWGW_CNT_TX_FRAMES] -= refused < counters[HWGW_CNT_TX_FRAMES] ? refused : counters[HWGW_CNT_TX_FRAMES];
  if (__atomic_load_n(&rx->is_gone, __ATOMIC_RELAXED)) base->state = HWGW_SEGMENT_RECEIVE_STATE_GONE;
  if (rx->tx_only) return;
  counters[HWGW_CNT_RX_GATHERED] = rx->gathered;
  counters[HWGW_CNT_RX_DROP_CHECKSUM] = rx->bad_sums;
  counters[HWGW_CNT_RX_DROP_NO_BUFFER] = now.rx_nombuf - rx->first.rx_nombuf + rx->no_slots;
  counters[HWGW_CNT_RX_DROP_NIC] = rx->socket_kind == AF_XDP ? 0 : now.imissed - rx->first.imissed;
  dpdk_xstats_read(rx, now.ierrors - rx->first.ierrors, counters);
  dpdk_loss_read(rx, counters);
}

static bool dpdk_ended(const struct hwgw_rx *base) {
  (void)base;
  return false;
}

/* ---- open and close ---- */

static void dpdk_close(struct hwgw_rx *base) {
  struct rx_dpdk *rx = (struct rx_dpdk *)base;
  if (rx->held) rte_pktmbuf_free_bulk(rx->held, rx->held_cnt + rx->ready_cnt);
  pthread_mutex_lock(&set_up);
  dpdk_xstats_close(rx);
  dpdk_port_close(rx);
  pthread_mutex_unlock(&set_up);
  free(rx);
}

static int32_t dpdk_open(struct hwgw_rx **rx, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error);
static bool dpdk_available(char *text, uint32_t sz);

static const struct hwgw_rx_ops ops = {
    .name = "dpdk",
    .open = dpdk_open,
    .poll = dpdk_poll,
    .release = dpdk_release,
    .send = dpdk_send,
    .unsent = dpdk_unsent,
    .stats = dpdk_stats,
    .driver_counter = dpdk_xstats_at,
    .ended = dpdk_ended,
    .close = dpdk_close,
    .available = dpdk_available,
    /* drivers open files and set interface flags when a port is closed */
    .keep_caps = (uint64_t)1 << CAP_NET_RAW | (uint64_t)1 << CAP_NET_ADMIN,
};

static int32_t dpdk_open(struct hwgw_rx **rx, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  struct rx_dpdk *made = calloc(1, sizeof *made);
  if (!made) return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "rx dpdk: no memory");
  made->base.ops = &ops;
  pthread_mutex_lock(&set_up);
  int32_t status = dpdk_port_open(made, cfg, error);
  pthread_mutex_unlock(&set_up);
  if (status) {
    dpdk_close(&made->base);
    return status;
  }
  *rx = &made->base;
  return HWGW_OK;
}

/* it could be loaded, so the libraries are there; what a port needs shows when it is opened */
static bool dpdk_available(char *text, uint32_t sz) {
  (void)text;
  (void)sz;
  return true;
}

static void attach(const struct hwgw_rx_host *host) {
  dpdk_host = host;
}

__attribute__((visibility("default"))) extern const struct hwgw_rx_plugin hwgw_rx_plugin;
const struct hwgw_rx_plugin hwgw_rx_plugin = {.abi = HWGW_RX_PLUGIN_ABI, .ops = &ops, .attach = attach};
