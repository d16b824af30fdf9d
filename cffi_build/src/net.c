/* net.c: Ethernet, up to two VLAN tags, IPv4 and UDP down to the payload of a configured flow.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: one frame as it came off the wire, without FCS.
 *
 * Output: the UDP payload inside the frame, and its flow.
 *
 * Order of checks, the first that fails is the cause: Ethernet and VLAN headers complete (drop_short), ethertype IPv4
 * (drop_ethertype), 20 bytes of IPv4 header (drop_short), version 4 and header length at least 20 (drop_ip_header),
 * options complete (drop_short), total length within the frame and not below the header (drop_ip_length), header
 * checksum (drop_ip_checksum), no fragment (drop_fragment), UDP (drop_protocol), UDP length at least 8 and within the
 * datagram (drop_udp_length), group and port configured (drop_foreign).
 *
 * Bytes behind the IPv4 total length or the UDP length are padding and never data. The UDP checksum is verified by a
 * function of its own, for those who ask for it: the frame's FCS covers the wire, most NICs check it, and frames of a
 * sender on the same host (veth) carry an unfinished one. No checksum (0) is a right one (RFC 768).
 *
 * Cost: no allocation, reads only the headers; one compare per flow. Verifying reads the whole datagram.
 *
 * Thread: any, it has no state.
 */
#include "base.h"

enum {
  VLAN_TAGS_MAX = 2,
  IP_FRAGMENT_BITS = 0x3FFF /* more fragments, and the offset */
};

/* adds with end-around carry: 64 bits of a ones' complement sum */
static inline uint64_t add_around(uint64_t sum, uint64_t word) {
  sum += word;
  return sum + (sum < word);
}

static inline uint64_t load64(const uint8_t *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

/* ones' complement sum of len bytes in memory order, not folded; they begin with an even byte of the datagram */
static uint64_t sum_bytes(const uint8_t *at, uint32_t len) {
  uint64_t sum = 0, other = 0; /* two, so that one need not wait for the other's carry */
  for (; len >= 16; at += 16, len -= 16) {
    sum = add_around(sum, load64(at));
    other = add_around(other, load64(at + 8));
  }
  uint8_t rest[16] = {0}; /* as if zeros followed */
  memcpy(rest, at, len);
  sum = add_around(sum, load64(rest));
  other = add_around(other, load64(rest + 8));
  return add_around(sum, other);
}

static bool folds_to_ones(uint64_t sum) {
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFF) + (sum >> 16);
  sum = (sum & 0xFFFF) + (sum >> 16);
  return sum == 0xFFFF;
}

/* a header with a right checksum sums to 0xFFFF in ones' complement arithmetic, whatever the byte order */
static bool checksum_is_right(const uint8_t *header, uint32_t len) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < len; i += 4) {
    uint32_t word;
    memcpy(&word, header + i, sizeof word);
    sum += word;
  }
  return folds_to_ones(sum);
}

uint32_t hwgw_net_verify(const uint8_t *frame, const struct hwgw_datagram *datagram) {
  const uint8_t *udp = datagram->data - ETHERNET_UDP_HEADER_LEN;
  if (ethernet_udp_header_checksum(udp) == 0) return 0;
  const uint8_t *ip = frame + ETHERNET_ETHERNET_HEADER_LEN;
  while (hwgw_be16(ip - 2) != ETHERNET_ETHERTYPE_IPV4) ip += ETHERNET_VLAN_TAG_LEN;
  /* pseudo header: the addresses, the protocol and once more the length */
  uint64_t rest = (uint64_t)ETHERNET_IP_PROTOCOL_UDP << 8;
  uint16_t udp_len;
  memcpy(&udp_len, udp + ETHERNET_UDP_HEADER_LENGTH_OFF, sizeof udp_len);
  uint64_t sum = add_around(load64(ip + ETHERNET_IPV4_HEADER_SOURCE_OFF), rest + udp_len);
  sum = add_around(sum, sum_bytes(udp, ETHERNET_UDP_HEADER_LEN + datagram->len));
  return folds_to_ones(sum) ? 0 : HWGW_CNT_NET_DROP_UDP_CHECKSUM;
}

uint32_t hwgw_net_parse(const struct hwgw_flow *flows, uint32_t flow_cnt, const uint8_t *frame, uint32_t len,
                        struct hwgw_datagram *out) {
  if (HWGW_UNLIKELY(len < ETHERNET_ETHERNET_HEADER_LEN)) return HWGW_CNT_NET_DROP_SHORT;
  uint32_t ethertype = ethernet_ethernet_header_ethertype(frame);
  const uint8_t *ip = frame + ETHERNET_ETHERNET_HEADER_LEN;
  uint32_t left = len - ETHERNET_ETHERNET_HEADER_LEN;
  for (int tag = 0; HWGW_UNLIKELY(ethertype != ETHERNET_ETHERTYPE_IPV4) && tag < VLAN_TAGS_MAX; tag++) {
    if (ethertype != ETHERNET_ETHERTYPE_VLAN && ethertype != ETHERNET_ETHERTYPE_QINQ) break;
    if (left < ETHERNET_VLAN_TAG_LEN) return HWGW_CNT_NET_DROP_SHORT;
    ethertype = hwgw_be16(ip + 2); /* behind the tag control information stands the next ethertype */
    ip += ETHERNET_VLAN_TAG_LEN;
    left -= ETHERNET_VLAN_TAG_LEN;
  }
  if (HWGW_UNLIKELY(ethertype != ETHERNET_ETHERTYPE_IPV4)) return HWGW_CNT_NET_DROP_ETHERTYPE;

  if (HWGW_UNLIKELY(left < ETHERNET_IPV4_HEADER_LEN)) return HWGW_CNT_NET_DROP_SHORT;
  uint32_t version_ihl = ethernet_ipv4_header_version_ihl(ip);
  uint32_t header_len = (version_ihl & 15) * 4;
  if (HWGW_UNLIKELY(version_ihl >> 4 != 4 || header_len < ETHERNET_IPV4_HEADER_LEN)) return HWGW_CNT_NET_DROP_IP_HEADER;
  if (HWGW_UNLIKELY(left < header_len)) return HWGW_CNT_NET_DROP_SHORT;
  uint32_t total_len = ethernet_ipv4_header_total_length(ip);
  if (HWGW_UNLIKELY(total_len < header_len || total_len > left)) return HWGW_CNT_NET_DROP_IP_LENGTH;
  if (HWGW_UNLIKELY(!checksum_is_right(ip, header_len))) return HWGW_CNT_NET_DROP_IP_CHECKSUM;
  if (HWGW_UNLIKELY(ethernet_ipv4_header_flags_fragment(ip) & IP_FRAGMENT_BITS)) return HWGW_CNT_NET_DROP_FRAGMENT;
  if (HWGW_UNLIKELY(ethernet_ipv4_header_protocol(ip) != ETHERNET_IP_PROTOCOL_UDP)) return HWGW_CNT_NET_DROP_PROTOCOL;

  const uint8_t *udp = ip + header_len;
  uint32_t room = total_len - header_len;
  if (HWGW_UNLIKELY(room < ETHERNET_UDP_HEADER_LEN)) return HWGW_CNT_NET_DROP_UDP_LENGTH;
  uint32_t udp_len = ethernet_udp_header_length(udp);
  if (HWGW_UNLIKELY(udp_len < ETHERNET_UDP_HEADER_LEN || udp_len > room)) return HWGW_CNT_NET_DROP_UDP_LENGTH;

  uint32_t group = ethernet_ipv4_header_destination(ip);
  uint32_t port = ethernet_udp_header_destination_port(udp);
  for (uint32_t i = 0; i < flow_cnt; i++) {
    if (flows[i].group == group && flows[i].port == port) {
      out->data = udp + ETHERNET_UDP_HEADER_LEN;
      out->len = udp_len - ETHERNET_UDP_HEADER_LEN;
      out->flow = i;
      return 0;
    }
  }
  return HWGW_CNT_NET_DROP_FOREIGN;
}

uint32_t hwgw_net_payloads(const struct hwgw_flow *flows, uint32_t flow_cnt, const struct hwgw_frame *frames,
                           uint32_t cnt, struct hwgw_frame *payloads) {
  uint32_t found = 0;
  for (uint32_t i = 0; i < cnt; i++) {
    struct hwgw_datagram datagram;
    bool is_ours = hwgw_net_parse(flows, flow_cnt, frames[i].data, frames[i].len, &datagram) == 0;
    payloads[i] = frames[i];
    payloads[i].data = is_ours ? datagram.data : frames[i].data;
    payloads[i].len = is_ours ? datagram.len : 0;
    payloads[i].flow = is_ours ? (uint16_t)datagram.flow : HWGW_FLOW_NONE;
    found += is_ours;
  }
  return found;
}
