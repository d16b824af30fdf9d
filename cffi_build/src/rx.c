/* rx.c: finds the receive backend by name and checks what all of them share.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: see hwgw.h. Set-up errors name the key, the value and what is allowed. poll and release cost one indirect
 * call each. Thread: open, poll, release, stats and close belong to one thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "hwgw_batch.h"
#include "rx.h"

static const struct hwgw_rx_ops *const BACKENDS[] = {&hwgw_rx_afxdp, &hwgw_rx_packet, &hwgw_rx_udp,
                                                     &hwgw_rx_pcap,  &hwgw_rx_dpdk,   &hwgw_rx_card};
#define BACKEND_CNT (sizeof BACKENDS / sizeof BACKENDS[0])

enum { TX_FRAMES_MAX = 1 << 20 };

static const struct hwgw_rx_ops *backend_find(const char *name) {
  for (size_t i = 0; name && i < BACKEND_CNT; i++) {
    if (strcmp(name, BACKENDS[i]->name) == 0) return BACKENDS[i];
  }
  return NULL;
}

void hwgw_rx_note(struct hwgw_rx *rx, const char *format, ...) {
  size_t used = strlen(rx->describe);
  va_list args;
  va_start(args, format);
  vsnprintf(rx->describe + used, sizeof rx->describe - used, format, args);
  va_end(args);
}

struct hwgw_rx_flow_text hwgw_rx_flow_print(const struct hwgw_flow *flow) {
  struct hwgw_rx_flow_text out;
  snprintf(out.text, sizeof out.text, "%u.%u.%u.%u:%u", flow->group >> 24, flow->group >> 16 & 255,
           flow->group >> 8 & 255, flow->group & 255, flow->port);
  return out;
}

int32_t hwgw_rx_join(int fd, const struct hwgw_flow *flow, int ifindex, uint32_t local_address, const char *interface,
                     struct hwgw_error *error) {
  if (!hwgw_rx_is_multicast(flow->group)) return HWGW_OK;
  struct ip_mreqn request = {
      .imr_multiaddr.s_addr = htonl(flow->group), .imr_address.s_addr = htonl(local_address), .imr_ifindex = ifindex};
  if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request) == 0) return HWGW_OK;
  int cause = errno;
  const char *hint = cause == ENODEV
                         ? "no interface has that address, or no route leads to the group: name the interface"
                     : cause == ENOBUFS ? "raise net.ipv4.igmp_max_memberships"
                                        : "is the interface up, with IPv4?";
  char where[32];
  if (interface && *interface) {
    snprintf(where, sizeof where, "%s", interface);
  } else {
    snprintf(where, sizeof where, "address %u.%u.%u.%u", local_address >> 24, local_address >> 16 & 255,
             local_address >> 8 & 255, local_address & 255);
  }
  return hwgw_error_set(error, HWGW_ERR_DEVICE, cause, "rx: IP_ADD_MEMBERSHIP %s on %s: %s; %s",
                        hwgw_rx_flow_print(flow).text, where, strerror(cause), hint);
}

static int32_t flows_check(const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  if (cfg->flow_cnt > HWGW_FLOWS_MAX || (cfg->flow_cnt > 0 && !cfg->flows)) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx: flow_cnt %u; allowed: 0 to %d, with flows given",
                          cfg->flow_cnt, HWGW_FLOWS_MAX);
  }
  for (uint32_t i = 0; i < cfg->flow_cnt; i++) {
    const struct hwgw_flow *flow = &cfg->flows[i];
    if (flow->group == 0 || flow->port == 0) {
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx: flow %u is %s; it needs a group and a port", i,
                            hwgw_rx_flow_print(flow).text);
    }
    for (uint32_t j = 0; j < i; j++) {
      if (cfg->flows[j].group == flow->group && cfg->flows[j].port == flow->port) {
        return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx: flows %u and %u are both %s; each may be named once", j,
                              i, hwgw_rx_flow_print(flow).text);
      }
    }
  }
  return HWGW_OK;
}

static int32_t send_check(const struct hwgw_rx_cfg *cfg, const struct hwgw_rx_ops *ops, struct hwgw_error *error) {
  if (cfg->tx_only && !cfg->tx_frame_cnt) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx %s: tx_only without tx_frame_cnt", ops->name);
  }
  if (cfg->tx_frame_cnt && !ops->send) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx %s: this backend cannot send", ops->name);
  }
  if (cfg->tx_frame_cnt & (cfg->tx_frame_cnt - 1) || cfg->tx_frame_cnt > TX_FRAMES_MAX) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx %s: tx_frame_cnt %u; allowed: powers of two up to %d",
                          ops->name, cfg->tx_frame_cnt, TX_FRAMES_MAX);
  }
  return HWGW_OK;
}

static int32_t queues_check(const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  if (cfg->queue_cnt > HWGW_QUEUES_MAX || (cfg->queue_cnt > 0 && !cfg->queues)) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx: queue_cnt %u; allowed: 0 to %d, with queues given",
                          cfg->queue_cnt, HWGW_QUEUES_MAX);
  }
  for (uint32_t i = 0; i < cfg->queue_cnt; i++) {
    if (cfg->queues[i] >= HWGW_QUEUES_MAX) {
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx: queue %u; allowed: 0 to %d", cfg->queues[i],
                            HWGW_QUEUES_MAX - 1);
    }
    for (uint32_t j = 0; j < i; j++) {
      if (cfg->queues[j] == cfg->queues[i])
        return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx: queue %u is named twice", cfg->queues[i]);
    }
  }
  return HWGW_OK;
}

int32_t hwgw_rx_open(struct hwgw_rx **rx, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  *rx = NULL;
  const struct hwgw_rx_ops *ops = backend_find(cfg->backend);
  if (!ops) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "rx: backend \"%s\" is unknown; allowed: afxdp, packet, udp, pcap, dpdk, card",
                          cfg->backend ? cfg->backend : "");
  }
  int32_t status = flows_check(cfg, error);
  if (!status) status = send_check(cfg, ops, error);
  if (!status) status = queues_check(cfg, error);
  if (!status) status = ops->open(rx, cfg, error);
  if (status) return status;
  (*rx)->live = *rx;
  (*rx)->kept = cfg->kept;
  (*rx)->state = HWGW_SEGMENT_RECEIVE_STATE_UP;
  if (ops->has_interface && cfg->interface && *cfg->interface) *rx = hwgw_rx_watch_open(*rx, cfg);
  (*rx)->kept = cfg->kept;
  hwgw_rx_kept_use(cfg->kept);
  return HWGW_OK;
}

uint32_t hwgw_rx_poll(struct hwgw_rx *rx, struct hwgw_frame *frames, uint32_t max) {
  struct hwgw_rx *live = rx->live;
  uint32_t cnt = live->ops->poll(live, frames, max < HWGW_BATCH_MAX ? max : HWGW_BATCH_MAX);
  live->is_dry = cnt == 0;
  if (cnt) {
    live->is_held = true;
    live->count.polls++;
    live->count.frames += cnt;
  } else {
    live->count.polls_idle++;
  }
  return cnt;
}

void hwgw_rx_release(struct hwgw_rx *rx) {
  struct hwgw_rx *live = rx->live;
  live->ops->release(live);
  live->is_held = false;
}

uint32_t hwgw_rx_send(struct hwgw_rx *rx, const struct hwgw_frame *frames, uint32_t cnt) {
  struct hwgw_rx *live = rx->live;
  if (!live->ops->send) return 0;
  uint32_t taken = live->ops->send(live, frames, cnt < HWGW_BATCH_MAX ? cnt : HWGW_BATCH_MAX);
  live->count.tx_full += taken < cnt;
  return taken;
}

uint32_t hwgw_rx_unsent(struct hwgw_rx *rx) {
  struct hwgw_rx *live = rx->live;
  return live->ops->unsent ? live->ops->unsent(live) : 0;
}

void hwgw_rx_count(struct hwgw_rx *live, uint64_t *counters) {
  counters[HWGW_CNT_RX_FRAMES] = live->count.frames;
  counters[HWGW_CNT_RX_BYTES] = live->count.bytes;
  counters[HWGW_CNT_RX_WAKEUPS] = live->count.wakeups;
  counters[HWGW_CNT_RX_POLLS] = live->count.polls;
  counters[HWGW_CNT_RX_POLLS_IDLE] = live->count.polls_idle;
  counters[HWGW_CNT_RX_DROP_TRUNCATED] = live->count.truncated;
  counters[HWGW_CNT_TX_FRAMES] = live->count.tx_frames;
  counters[HWGW_CNT_TX_BYTES] = live->count.tx_bytes;
  counters[HWGW_CNT_TX_DROP_LONG] = live->count.tx_drop_long;
  counters[HWGW_CNT_TX_DROP_SHORT] = live->count.tx_drop_short;
  counters[HWGW_CNT_TX_DROP_KERNEL] = live->count.tx_drop_kernel;
  counters[HWGW_CNT_TX_WAKEUPS] = live->count.tx_wakeups;
  counters[HWGW_CNT_TX_FULL] = live->count.tx_full;
  live->ops->stats(live, counters);
}

void hwgw_rx_stats(struct hwgw_rx *rx, uint64_t *counters) {
  if (rx->live == rx) {
    hwgw_rx_count(rx, counters);
  } else {
    rx->ops->stats(rx, counters);
  }
}

uint32_t hwgw_rx_state(const struct hwgw_rx *rx) {
  return rx->state;
}

const char *hwgw_rx_reason(const struct hwgw_rx *rx) {
  return hwgw_rx_watch_reason(rx);
}

uint32_t hwgw_rx_clock(const struct hwgw_rx *rx) {
  return rx->live->clock;
}

const uint8_t *hwgw_rx_memory(const struct hwgw_rx *rx, uint64_t *sz_bytes) {
  *sz_bytes = rx->live->memory_sz_bytes;
  return rx->live->memory;
}

bool hwgw_rx_ended(const struct hwgw_rx *rx) {
  return rx->live->ops->ended(rx->live);
}

bool hwgw_rx_driver_counter(struct hwgw_rx *rx, uint32_t i, char *name, uint32_t sz, uint64_t *value) {
  struct hwgw_rx *live = rx->live;
  return live->ops->driver_counter && live->ops->driver_counter(live, i, name, sz, value);
}

const char *hwgw_rx_describe(struct hwgw_rx *rx) {
  hwgw_rx_watch_describe(rx);
  return rx->describe;
}

void hwgw_rx_close(struct hwgw_rx *rx) {
  if (!rx) return;
  struct hwgw_rx_kept *kept = rx->kept;
  rx->ops->close(rx);
  hwgw_rx_kept_close(kept);
}

bool hwgw_rx_available(const char *backend, char *text, uint32_t sz) {
  if (sz) text[0] = 0;
  const struct hwgw_rx_ops *ops = backend_find(backend);
  if (!ops) {
    snprintf(text, sz, "unknown backend; there are afxdp, packet, udp, pcap, dpdk and card");
    return false;
  }
  return ops->available(text, sz);
}
