/* publish.c: the feed: messages into MoldUDP64 packets, packets to the wire in batches.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: a message is given its sequence number when its room is reserved, and leaves at the next flush, which comes
 * when 64 packets are full or the caller's batch ends. Every packet that the kernel took is counted once, by kind, so
 * that a receiver's ledger can be compared exactly. A full socket is waited for (1 ms at a time, 1 s in all); a packet
 * refused for another reason is counted in send_errors and is a real hole in the feed, as on a real line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <unistd.h>

#include "exchange.h"

#define RETRIES_MAX 1000

static int32_t socket_open(sim_exchange *x, char *error, uint32_t error_sz) {
  const struct hwgw_sim_cfg *cfg = &x->cfg;
  struct sim_publish *publish = &x->publish;
  publish->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (publish->fd < 0) return sim_fail(error, error_sz, 5, "socket(AF_INET, SOCK_DGRAM): %s", strerror(errno));

  int send_sz = 8 << 20; /* the kernel lowers it to net.core.wmem_max */
  int ttl = cfg->ttl;
  int loopback = cfg->loopback;
  struct ip_mreqn from = {.imr_address.s_addr = htonl(cfg->local_address)};
  if (cfg->interface && cfg->interface[0]) {
    from.imr_ifindex = (int)if_nametoindex(cfg->interface);
    if (!from.imr_ifindex)
      return sim_fail(error, error_sz, 3, "interface %s: there is none of this name", cfg->interface);
  }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(cfg->port), .sin_addr.s_addr = htonl(cfg->group)};
  setsockopt(publish->fd, SOL_SOCKET, SO_SNDBUF, &send_sz, sizeof send_sz);
  if (setsockopt(publish->fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl) ||
      setsockopt(publish->fd, IPPROTO_IP, IP_MULTICAST_LOOP, &loopback, sizeof loopback))
    return sim_fail(error, error_sz, 5, "multicast options of the feed socket: %s", strerror(errno));
  if ((from.imr_ifindex || cfg->local_address) &&
      setsockopt(publish->fd, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof from))
    return sim_fail(error, error_sz, 3, "IP_MULTICAST_IF %s: %s",
                    from.imr_ifindex ? cfg->interface : inet_ntoa(from.imr_address), strerror(errno));
  if (connect(publish->fd, (struct sockaddr *)&to, sizeof to))
    return sim_fail(error, error_sz, 5, "feed to %s:%u: %s; a route to the group is needed", inet_ntoa(to.sin_addr),
                    cfg->port, strerror(errno));
  return 0;
}

int32_t sim_publish_open(sim_exchange *x, char *error, uint32_t error_sz) {
  struct sim_publish *publish = &x->publish;
  publish->packet_sz_max = x->cfg.packet_sz_max ? x->cfg.packet_sz_max : 1400;
  if (publish->packet_sz_max < 128 || publish->packet_sz_max > SIM_PACKET_SZ)
    return sim_fail(error, error_sz, 3, "packet size %u: 128 to %u bytes are allowed", publish->packet_sz_max,
                    SIM_PACKET_SZ);
  publish->heartbeat_ns = (x->cfg.heartbeat_ms ? x->cfg.heartbeat_ms : 1000u) * UINT64_C(1000000);
  publish->next_seq = 1;
  publish->last_ns = sim_now();
  memcpy(publish->session, x->cfg.session, sizeof publish->session);
  for (uint32_t i = 0; i < SIM_PACKETS_MAX; i++) {
    publish->packets[i].len = MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN;
    publish->vectors[i].iov_base = publish->packets[i].data;
    publish->headers[i].msg_hdr = (struct msghdr){.msg_iov = &publish->vectors[i], .msg_iovlen = 1};
  }
  if (x->cfg.record_path && x->cfg.record_path[0]) {
    publish->record_fd = open(x->cfg.record_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (publish->record_fd < 0) return sim_fail(error, error_sz, 3, "%s: %s", x->cfg.record_path, strerror(errno));
  }
  return x->cfg.group ? socket_open(x, error, error_sz) : 0;
}

void sim_publish_close(sim_exchange *x) {
  if (x->publish.fd >= 0) close(x->publish.fd);
  if (x->publish.record_fd >= 0) close(x->publish.record_fd);
  x->publish.fd = x->publish.record_fd = -1;
}

uint8_t *sim_publish_reserve(sim_exchange *x, uint32_t len) {
  struct sim_publish *publish = &x->publish;
  struct sim_packet *packet = &publish->packets[publish->current];
  uint32_t room = MOLDUDP64_MESSAGE_BLOCK_LEN + len;
  if (packet->cnt && packet->len + room > publish->packet_sz_max) {
    if (publish->current + 1 == SIM_PACKETS_MAX)
      sim_publish_flush(x);
    else
      publish->current++;
    packet = &publish->packets[publish->current];
  }
  if (!packet->cnt) {
    moldudp64_downstream_packet_header_sequence_number_set(packet->data, publish->next_seq);
    packet->scheduled_ns = x->scheduled_ns;
  }
  uint8_t *block = packet->data + packet->len;
  moldudp64_message_block_message_length_set(block, (uint16_t)len);
  packet->len += room;
  packet->cnt++;
  publish->next_seq++;
  return block + MOLDUDP64_MESSAGE_BLOCK_LEN;
}

/* waits for room in the socket; false when there was none for too long or the exchange is to stop */
static bool wait_for_room(sim_exchange *x, uint32_t *retries) {
  struct pollfd wait = {.fd = x->publish.fd, .events = POLLOUT};
  x->stats.send_retries++;
  poll(&wait, 1, 1);
  return ++*retries < RETRIES_MAX && !atomic_load_explicit(&x->stop, memory_order_relaxed);
}

static void send_packets(sim_exchange *x, uint32_t cnt) {
  struct sim_publish *publish = &x->publish;
  uint32_t done = 0;
  uint32_t retries = 0;
  while (done < cnt) {
    int sent = sendmmsg(publish->fd, publish->headers + done, cnt - done, MSG_DONTWAIT);
    x->stats.send_calls++;
    if (sent > 0) {
      for (int i = 0; i < sent; i++) x->stats.bytes_sent += publish->packets[done + (uint32_t)i].len;
      x->stats.packets_sent += (uint32_t)sent;
      done += (uint32_t)sent;
      retries = 0;
    } else if (errno == EINTR || (errno == ECONNREFUSED && !retries++)) {
      continue; /* refused: an ICMP answer to an earlier packet, this one was not tried */
    } else if ((errno != EAGAIN && errno != ENOBUFS) || !wait_for_room(x, &retries)) {
      x->stats.send_errors++;
      done++;
      retries = 0;
    }
  }
}

static void record_packets(sim_exchange *x, uint32_t cnt) {
  for (uint32_t i = 0; i < cnt; i++) {
    const struct sim_packet *packet = &x->publish.packets[i];
    uint32_t at = MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN; /* message blocks are framed as BinaryFILE records are */
    while (at < packet->len) {
      ssize_t written = write(x->publish.record_fd, packet->data + at, packet->len - at);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) { /* a torn recording must not look like a whole one */
        close(x->publish.record_fd);
        x->publish.record_fd = -1;
        x->stats.record_errors++;
        return;
      }
      at += (uint32_t)written;
    }
  }
}

void sim_publish_flush(sim_exchange *x) {
  struct sim_publish *publish = &x->publish;
  uint32_t cnt = publish->current + (publish->packets[publish->current].cnt ? 1 : 0);
  if (!cnt) return;
  for (uint32_t i = 0; i < cnt; i++) {
    struct sim_packet *packet = &publish->packets[i];
    moldudp64_downstream_packet_header_session_set(packet->data, publish->session);
    moldudp64_downstream_packet_header_message_count_set(packet->data, (uint16_t)packet->cnt);
    publish->vectors[i].iov_len = packet->len;
  }
  if (publish->fd >= 0) send_packets(x, cnt);
  if (publish->record_fd >= 0) record_packets(x, cnt);
  uint64_t now = sim_now();
  publish->last_ns = now;
  if (!x->first_ns) x->first_ns = x->start_ns;
  x->last_ns = now;
  for (uint32_t i = 0; i < cnt; i++) {
    struct sim_packet *packet = &publish->packets[i];
    if (packet->scheduled_ns)
      sim_hist_record(&x->lateness, now > packet->scheduled_ns ? now - packet->scheduled_ns : 0);
    packet->len = MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN;
    packet->cnt = 0;
  }
  publish->current = 0;
}

/* a packet without messages: heartbeat or end of session */
static bool send_empty(sim_exchange *x, uint16_t message_count) {
  uint8_t packet[MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN];
  uint32_t retries = 0;
  x->publish.last_ns = sim_now();
  if (x->publish.fd < 0) return false;
  moldudp64_downstream_packet_header_session_set(packet, x->publish.session);
  moldudp64_downstream_packet_header_sequence_number_set(packet, x->publish.next_seq);
  moldudp64_downstream_packet_header_message_count_set(packet, message_count);
  for (;;) {
    x->stats.send_calls++;
    if (send(x->publish.fd, packet, sizeof packet, MSG_DONTWAIT) == (ssize_t)sizeof packet) {
      x->stats.bytes_sent += sizeof packet;
      return true;
    }
    if (errno == EINTR || (errno == ECONNREFUSED && !retries++)) continue;
    if ((errno != EAGAIN && errno != ENOBUFS) || !wait_for_room(x, &retries)) {
      x->stats.send_errors++;
      return false;
    }
  }
}

void sim_publish_heartbeat(sim_exchange *x, uint64_t now) {
  if (now >= x->publish.last_ns + x->publish.heartbeat_ns && send_empty(x, 0)) x->stats.heartbeats_sent++;
}

void sim_publish_end(sim_exchange *x) {
  if (send_empty(x, UINT16_MAX)) x->stats.ends_sent++;
}
