/* steer.bpf.c: the XDP program that gives the configured flows of an interface's receive queues to our AF_XDP sockets.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: every frame of the interface. Redirected: IPv4 UDP (options and up to two VLAN tags allowed) whose destination
 * address and port are in the map flows, on a queue that takes the flow; on a queue with STEER_ALL everything. All else
 * goes to the kernel as if the program were not there: ARP, IGMP (or the switch stops forwarding), TCP, other ports. So
 * do, counted, a flow's frames on a queue that does not take it and first fragments of a flow; later fragments carry no
 * port and cannot be told. Without a socket in the map sockets (before the start) frames pass, too. Lengths and
 * checksums are the business of net.c. Cost: one array entry for every frame, one hash lookup for UDP. Frames in several
 * buffers are judged by the first. Loader: xdp_load.c.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include "steer.h"

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define be16(v) __builtin_bswap16(v)

static void *(*map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*redirect_map)(void *map, __u64 key, __u64 flags) = (void *)BPF_FUNC_redirect_map;
static long (*adjust_meta)(struct xdp_md *context, int delta) = (void *)BPF_FUNC_xdp_adjust_meta;
static __u64 (*ktime_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
static long (*hardware_ns)(struct xdp_md *context, __u64 *ns) = (void *)STEER_CALL_RX_TIMESTAMP;

/* only their names matter: the loader makes the maps and writes their descriptors over these references */
char flows[8] SECTION(".maps");
char sockets[8] SECTION(".maps");
char queues[8] SECTION(".maps");

char terms[] SECTION("license") = "Dual MIT/GPL";

enum { TAG_LEN = 4, TAGS_MAX = 2, FRAGMENT_OFFSET = 0x1FFF, MORE_FRAGMENTS = 0x2000 };

INLINE void stamp(struct xdp_md *context, struct steer_queue *own) {
  __u64 hardware = 0;
  if (hardware_ns(context, &hardware)) hardware = 0;
  if (adjust_meta(context, -(int)sizeof(struct steer_stamp)) == 0) {
    struct steer_stamp *out = (struct steer_stamp *)(long)context->data_meta;
    if ((void *)(out + 1) <= (void *)(long)context->data) {
      out->hardware_ns = hardware;
      out->kernel_ns = ktime_ns();
      return;
    }
  }
  __sync_fetch_and_add(&own->unstamped, 1);
}

INLINE int give(struct xdp_md *context, struct steer_queue *own, __u32 flags, __u32 queue) {
  if (flags & STEER_STAMP) stamp(context, own);
  if (!(flags & STEER_PROVE)) return (int)redirect_map(sockets, queue, XDP_PASS);
  __sync_fetch_and_add(&own->redirected, 1);
  return (int)redirect_map(sockets, queue, XDP_DROP); /* counted once, wherever it goes */
}

SECTION("xdp")
int steer(struct xdp_md *context) {
  __u32 queue = context->rx_queue_index;
  struct steer_queue *own = map_lookup(queues, &queue);
  if (!own) return XDP_PASS;
  __u32 flags = own->flags;
  if (flags & STEER_ALL) return give(context, own, flags, queue);

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
  struct steer_takers *takers = map_lookup(flows, &key);
  if (!takers) return XDP_PASS;
  __u32 bit = queue & (STEER_QUEUES_MAX - 1);
  if (!(takers->queues[bit / 64] >> (bit % 64) & 1)) {
    __u32 home = takers->home;
    struct steer_queue *counted = map_lookup(queues, &home);
    if (counted) __sync_fetch_and_add(&counted->other_queue, 1);
    return XDP_PASS;
  }
  if (ip->frag_off & be16(MORE_FRAGMENTS)) {
    __sync_fetch_and_add(&own->fragment, 1);
    return XDP_PASS;
  }
  return give(context, own, flags, queue);
}
