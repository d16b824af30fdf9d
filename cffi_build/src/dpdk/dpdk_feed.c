/* dpdk_feed.c: brings the flows to the port's queues: multicast filters, group membership, RSS and rte_flow rules.
 *
 * SPDX-License-Identifier: MIT
 *
 * Groups: the port's multicast filter takes the groups' addresses; where the driver has no such list, all multicast.
 * While the kernel owns the interface too (af_packet, af_xdp, tap, mlx5), plain sockets join the groups there so that
 * the kernel answers IGMP and switches forward them; a port that was taken from the kernel has nobody who joins, and
 * describe says so.
 *
 * Rules: one per flow, IPv4 destination and UDP port to queue channel % queues, so that the lines of a channel meet on
 * one queue. Where rules cannot be made the first refusal is noted with the driver's reason; the frames come anyway and
 * net.c looks at their flow.
 *
 * Thread: set-up.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <rte_errno.h>
#include <rte_flow.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dpdk.h"

static void filter_set(struct rx_dpdk *rx, const struct hwgw_rx_cfg *cfg) {
  struct rte_ether_addr list[HWGW_FLOWS_MAX];
  uint32_t cnt = 0;
  for (uint32_t i = 0; i < cfg->flow_cnt; i++) {
    uint32_t group = cfg->flows[i].group;
    if (!hwgw_rx_is_multicast(group)) continue;
    struct rte_ether_addr address = {
        {0x01, 0x00, 0x5e, (uint8_t)(group >> 16 & 0x7F), (uint8_t)(group >> 8), (uint8_t)group}};
    bool is_known = false;
    for (uint32_t j = 0; j < cnt; j++) is_known |= rte_is_same_ether_addr(&list[j], &address);
    if (!is_known) list[cnt++] = address;
  }
  if (cnt == 0) return;
  int listed = rte_eth_dev_set_mc_addr_list(rx->port, list, cnt);
  if (listed == 0) return;
  int all = rte_eth_allmulticast_enable(rx->port);
  if (all && all != -ENOTSUP) dpdk_host->note(&rx->base, "; no multicast filter (%s)", rte_strerror(-all));
}

int32_t dpdk_feed_join(struct rx_dpdk *rx, const struct hwgw_rx_cfg *cfg, uint32_t if_index, struct hwgw_error *error) {
  filter_set(rx, cfg);
  char interface[IF_NAMESIZE] = "";
  bool has_groups = false;
  for (uint32_t i = 0; i < cfg->flow_cnt; i++) has_groups |= hwgw_rx_is_multicast(cfg->flows[i].group);
  if (!has_groups) return HWGW_OK;
  if (!if_index || !if_indextoname(if_index, interface)) {
    dpdk_host->note(&rx->base, "; nobody joins the groups (the kernel has no interface here)");
    return HWGW_OK;
  }
  for (uint32_t i = 0; i < cfg->flow_cnt; i++) {
    bool is_known = false;
    for (uint32_t j = 0; j < i; j++) is_known |= cfg->flows[j].group == cfg->flows[i].group;
    if (is_known || !hwgw_rx_is_multicast(cfg->flows[i].group)) continue;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      return hwgw_error_set(error, HWGW_ERR_DEVICE, errno, "rx dpdk: socket(AF_INET): %s", strerror(errno));
    }
    rx->joins[rx->join_cnt++] = fd;
    int32_t status = dpdk_host->join(fd, &cfg->flows[i], (int)if_index, 0, interface, error);
    if (status) return status;
  }
  return HWGW_OK;
}

static struct rte_flow *rule_make(const struct rx_dpdk *rx, const struct hwgw_flow *flow, struct rte_flow_error *why) {
  struct rte_flow_attr attr = {.ingress = 1};
  struct rte_flow_item_ipv4 ip = {.hdr.dst_addr = htonl(flow->group)}, ip_mask = {.hdr.dst_addr = UINT32_MAX};
  struct rte_flow_item_udp udp = {.hdr.dst_port = htons(flow->port)}, udp_mask = {.hdr.dst_port = UINT16_MAX};
  struct rte_flow_action_queue queue = {.index = (uint16_t)(flow->channel % rx->queue_cnt)};
  struct rte_flow_item pattern[] = {{.type = RTE_FLOW_ITEM_TYPE_ETH},
                                    {.type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &ip, .mask = &ip_mask},
                                    {.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &udp, .mask = &udp_mask},
                                    {.type = RTE_FLOW_ITEM_TYPE_END}};
  struct rte_flow_action actions[] = {{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &queue},
                                      {.type = RTE_FLOW_ACTION_TYPE_END}};
  if (rte_flow_validate(rx->port, &attr, pattern, actions, why)) return NULL;
  return rte_flow_create(rx->port, &attr, pattern, actions, why);
}

void dpdk_feed_steer(struct rx_dpdk *rx, const struct hwgw_rx_cfg *cfg) {
  if (cfg->all_frames) return;
  for (uint32_t i = 0; i < cfg->flow_cnt; i++) {
    struct rte_flow_error why = {.message = NULL};
    rte_errno = 0;
    if (rule_make(rx, &cfg->flows[i], &why)) {
      rx->has_rules = true;
      continue;
    }
    dpdk_host->note(&rx->base, "; no rte_flow steering (%s)", why.message ? why.message : rte_strerror(rte_errno));
    return;
  }
  if (rx->has_rules) dpdk_host->note(&rx->base, "; %u rte_flow rules", cfg->flow_cnt);
}
