/* steer.bpf.c: the XDP program that gives the configured flows of one receive queue to our AF_XDP socket.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: every frame of the interface. Redirected: IPv4 UDP (options and up to two VLAN tags allowed) whose destination
 * address and port are in the map flows, on the queue that the map names. Everything else goes to the kernel as if the
 * program were not there: ARP, IGMP (or the switch stops forwarding), TCP, other ports. So do, counted, a flow's frames
 * on another queue and first fragments of a flow; later fragments carry no port and cannot be told. Without a socket in
 * the map sockets (before the start) frames pass, too. Lengths and checksums are the business of net.c. Cost: one hash
 * lookup for UDP, none for the rest. Loader: xdp_load.c.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include "steer.h"

#define SECTION(name) __attribute__((section(name), used))
#define be16(v) __builtin_bswap16(v)

static void *(*map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*redirect_map)(void *map, __u64 key, __u64 flags) = (void *)BPF_FUNC_redirect_map;

/* only their names matter: the loader makes the maps and writes their descriptors over these references */
char flows[8] SECTION(".maps");
char sockets[8] SECTION(".maps");
char counts[8] SECTION(".maps");

char terms[] SECTION("license") = "Dual MIT/GPL";

enum { TAG_LEN = 4, TAGS_MAX = 2, FRAGMENT_OFFSET = 0x1FFF, MORE_FRAGMENTS = 0x2000 };

static inline __attribute__((always_inline)) void count(__u32 slot) {
  __u64 *value = map_lookup(counts, &slot);
  if (value) __sync_fetch_and_add(value, 1);
}

SECTION("xdp")
int steer(struct xdp_md *context) {
  const __u8 *at = (const __u8 *)(long)context->data;
  const __u8 *end = (const __u8 *)(long)context->data_end;
  if (at + sizeof(struct ethhdr) > end) return XDP_PASS;
  __u16 type = ((const struct ethhdr *)at)->h_proto;
  at += sizeof(struct ethhdr);
#pragma unroll
  for (int tag = 0; tag < TAGS_MAX; tag++) {
    if (type != be16(ETH_P_8021Q) && type != be16(ETH_P_8021AD)) break;
    if (at + TAG_LEN > end) return XDP_PASS;
    type = *(const __u16 *)(at + 2);
    at += TAG_LEN;
  }
  if (type != be16(ETH_P_IP) || at + sizeof(struct iphdr) > end) return XDP_PASS;
  const struct iphdr *ip = (const struct iphdr *)at;
  if (ip->version != 4 || ip->ihl < 5 || ip->protocol != IPPROTO_UDP) return XDP_PASS;
  if (ip->frag_off & be16(FRAGMENT_OFFSET)) return XDP_PASS;

  const struct udphdr *udp = (const struct udphdr *)(at + ip->ihl * 4);
  if ((const __u8 *)udp + sizeof(struct udphdr) > end) return XDP_PASS;
  struct steer_flow key = {.group = ip->daddr, .port = udp->dest};
  __u32 *queue = map_lookup(flows, &key);
  if (!queue) return XDP_PASS;
  if (ip->frag_off & be16(MORE_FRAGMENTS)) {
    count(STEER_FRAGMENT);
    return XDP_PASS;
  }
  if (*queue != context->rx_queue_index) {
    count(STEER_OTHER_QUEUE);
    return XDP_PASS;
  }
  return (int)redirect_map(sockets, *queue, XDP_PASS);
}
