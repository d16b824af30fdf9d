/* frame.c: the Ethernet, IPv4 and UDP headers in front of a datagram of the feed.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: what is the same in every frame of a line is made once; per frame the lengths and both checksums are
 * written. A checksum is the ones' complement sum of RFC 1071, which may be made in any byte order and in any number of
 * parts: so the payload is summed once, whatever number of lines it leaves on. Frames carry DF and identification 0
 * (RFC 6864), as those of a connected UDP socket do. No address is asked for: groups are mapped to theirs (RFC 1112).
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "exchange.h"

#define IP_OFF ETHERNET_ETHERNET_HEADER_LEN
#define UDP_OFF (IP_OFF + ETHERNET_IPV4_HEADER_LEN)

/* 0 and the interface's addresses and MTU, or what could not be had */
static const char *interface_of(const char *name, uint8_t *mac, uint32_t *address, uint32_t *mtu) {
  struct ifreq request = {0};
  const char *failed = NULL;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
  if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request)) failed = "no hardware address";
  memcpy(mac, request.ifr_hwaddr.sa_data, ETHERNET_ETHERNET_HEADER_SOURCE_SZ);
  if (!failed && ioctl(fd, SIOCGIFMTU, &request)) failed = "no MTU";
  *mtu = (uint32_t)request.ifr_mtu;
  request.ifr_addr.sa_family = AF_INET;
  if (!failed && ioctl(fd, SIOCGIFADDR, &request)) failed = "no IPv4 address";
  struct sockaddr_in at;
  memcpy(&at, &request.ifr_addr, sizeof at);
  *address = ntohl(at.sin_addr.s_addr);
  if (fd >= 0) close(fd);
  return failed;
}

static uint64_t sum_of(const uint8_t *data, uint32_t len) {
  uint64_t sum = 0;
  uint32_t word;
  for (; len >= sizeof word; data += sizeof word, len -= (uint32_t)sizeof word) {
    memcpy(&word, data, sizeof word);
    sum += word;
  }
  word = 0;
  memcpy(&word, data, len);
  return sum + word;
}

/* the checksum whose words sum up to this, as its two bytes stand in memory */
static uint16_t folded(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xFFFF) + (sum >> 16);
  return (uint16_t)~sum;
}

int32_t sim_headers_open(struct sim_headers *headers, const struct hwgw_sim_cfg *cfg, uint32_t group, uint16_t port,
                         uint32_t payload_sz_max, char *error, uint32_t error_sz) {
  uint8_t *frame = headers->bytes, *ip = frame + IP_OFF, *udp = frame + UDP_OFF;
  uint8_t mac[ETHERNET_ETHERNET_HEADER_SOURCE_SZ];
  uint32_t address, mtu;
  const char *failed = interface_of(cfg->interface, mac, &address, &mtu);
  if (failed) return sim_fail(error, error_sz, 3, "interface %s: %s: %s", cfg->interface, failed, strerror(errno));
  if (!IN_MULTICAST(group)) return sim_fail(error, error_sz, 3, "frames go to multicast groups alone");
  if (ETHERNET_IPV4_HEADER_LEN + ETHERNET_UDP_HEADER_LEN + payload_sz_max > mtu)
    return sim_fail(error, error_sz, 3, "packet size %u: at most %u are allowed on %s", payload_sz_max,
                    mtu - ETHERNET_IPV4_HEADER_LEN - ETHERNET_UDP_HEADER_LEN, cfg->interface);
  memset(frame, 0, SIM_HEADERS_SZ);
  uint64_t to = (uint64_t)ETHERNET_MULTICAST_MAC_PREFIX | (group & ETHERNET_MULTICAST_MAC_MASK);
  for (uint32_t i = 0; i < ETHERNET_ETHERNET_HEADER_DESTINATION_SZ; i++) frame[i] = (uint8_t)(to >> (40 - 8 * i));
  ethernet_ethernet_header_source_set(frame, mac);
  ethernet_ethernet_header_ethertype_set(frame, ETHERNET_ETHERTYPE_IPV4);
  ethernet_ipv4_header_version_ihl_set(ip, ETHERNET_IPV4_VERSION_IHL);
  ethernet_ipv4_header_flags_fragment_set(ip, ETHERNET_IPV4_DONT_FRAGMENT);
  ethernet_ipv4_header_ttl_set(ip, (uint8_t)cfg->ttl);
  ethernet_ipv4_header_protocol_set(ip, ETHERNET_IP_PROTOCOL_UDP);
  ethernet_ipv4_header_source_set(ip, address);
  ethernet_ipv4_header_destination_set(ip, group);
  ethernet_udp_header_source_port_set(udp, port);
  ethernet_udp_header_destination_port_set(udp, port);
  headers->ip_sum = sum_of(ip, ETHERNET_IPV4_HEADER_LEN);
  headers->udp_sum = sum_of(ip + ETHERNET_IPV4_HEADER_SOURCE_OFF, 8) + sum_of(udp, ETHERNET_UDP_HEADER_LEN) +
                     htons(ETHERNET_IP_PROTOCOL_UDP);
  return 0;
}

void sim_packet_sum(struct sim_packet *packet) {
  packet->sum = sum_of(packet->data, packet->len);
}

void sim_headers_write(const struct sim_headers *headers, struct sim_packet *packet) {
  uint8_t *ip = packet->headers + IP_OFF, *udp = packet->headers + UDP_OFF;
  uint16_t udp_len = (uint16_t)(ETHERNET_UDP_HEADER_LEN + packet->len);
  uint16_t ip_len = (uint16_t)(ETHERNET_IPV4_HEADER_LEN + udp_len);
  memcpy(packet->headers, headers->bytes, SIM_HEADERS_SZ);
  ethernet_ipv4_header_total_length_set(ip, ip_len);
  uint16_t checksum = folded(headers->ip_sum + htons(ip_len));
  memcpy(ip + ETHERNET_IPV4_HEADER_HEADER_CHECKSUM_OFF, &checksum, sizeof checksum);
  ethernet_udp_header_length_set(udp, udp_len);
  checksum = folded(headers->udp_sum + 2 * (uint64_t)htons(udp_len) + packet->sum); /* in the pseudo header, too */
  if (!checksum) checksum = 0xFFFF;                                                 /* 0 would say that there is none */
  memcpy(udp + ETHERNET_UDP_HEADER_CHECKSUM_OFF, &checksum, sizeof checksum);
}
