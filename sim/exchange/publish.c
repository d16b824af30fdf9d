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

static int32_t socket_open(sim_exchange *x, uint32_t line, char *error, uint32_t error_sz) {
  const struct hwgw_sim_cfg *cfg = &x->cfg;
  uint16_t port = line ? cfg->port_b : cfg->port;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  x->publish.fd[line] = fd;
  if (fd < 0) return sim_fail(error, error_sz, 5, "socket(AF_INET, SOCK_DGRAM): %s", strerror(errno));

  int send_sz = 8 << 20; /* the kernel lowers it to net.core.wmem_max */
  int ttl = cfg->ttl;
  int loopback = cfg->loopback;
  struct ip_mreqn from = {.imr_address.s_addr = htonl(cfg->local_address)};
  if (cfg->interface && cfg->interface[0]) {
    from.imr_ifindex = (int)if_nametoindex(cfg->interface);
    if (!from.imr_ifindex)
      return sim_fail(error, error_sz, 3, "interface %s: there is none of this name", cfg->interface);
  }
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(line ? cfg->group_b : cfg->group)};
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_sz, sizeof send_sz);
  if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl) ||
      setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &loopback, sizeof loopback))
    return sim_fail(error, error_sz, 5, "multicast options of the feed socket: %s", strerror(errno));
  if ((from.imr_ifindex || cfg->local_address) && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof from))
    return sim_fail(error, error_sz, 3, "IP_MULTICAST_IF %s: %s",
                    from.imr_ifindex ? cfg->interface : inet_ntoa(from.imr_address), strerror(errno));
  if (connect(fd, (struct sockaddr *)&to, sizeof to))
    return sim_fail(error, error_sz, 5, "feed to %s:%u: %s; a route to the group is needed", inet_ntoa(to.sin_addr),
                    port, strerror(errno));
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
  for (uint32_t line = 0; x->cfg.has_faults && line < HWGW_SIM_LINES_MAX; line++) {
    publish->faults[line] = hwgw_bad_line_open(&x->cfg.faults[line]);
    if (!publish->faults[line]) return sim_fail(error, error_sz, 7, "no memory for the faults of a line");
  }
  int32_t status = x->cfg.group ? socket_open(x, 0, error, error_sz) : 0;
  if (!status && x->cfg.group_b) status = socket_open(x, 1, error, error_sz);
  return status;
}

void sim_publish_close(sim_exchange *x) {
  for (uint32_t line = 0; line < HWGW_SIM_LINES_MAX; line++) {
    if (x->publish.fd[line] >= 0) close(x->publish.fd[line]);
    hwgw_bad_line_close(x->publish.faults[line]);
    x->publish.fd[line] = -1;
    x->publish.faults[line] = NULL;
  }
  if (x->publish.record_fd >= 0) close(x->publish.record_fd);
  x->publish.record_fd = -1;
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
static bool wait_for_room(sim_exchange *x, int fd, uint32_t *retries) {
  struct pollfd wait = {.fd = fd, .events = POLLOUT};
  x->stats.send_retries++;
  poll(&wait, 1, 1);
  return ++*retries < RETRIES_MAX && !atomic_load_explicit(&x->stop, memory_order_relaxed);
}

static void send_packets(sim_exchange *x, int fd, uint32_t cnt) {
  struct sim_publish *publish = &x->publish;
  uint32_t done = 0;
  uint32_t retries = 0;
  while (done < cnt) {
    int sent = sendmmsg(fd, publish->headers + done, cnt - done, MSG_DONTWAIT);
    x->stats.send_calls++;
    if (sent > 0) {
      for (int i = 0; i < sent; i++) x->stats.bytes_sent += publish->packets[done + (uint32_t)i].len;
      x->stats.packets_sent += (uint32_t)sent;
      done += (uint32_t)sent;
      retries = 0;
    } else if (errno == EINTR || (errno == ECONNREFUSED && !retries++)) {
      continue; /* refused: an ICMP answer to an earlier packet, this one was not tried */
    } else if ((errno != EAGAIN && errno != ENOBUFS) || !wait_for_room(x, fd, &retries)) {
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

/* one datagram on one line; true when the kernel took it */
static bool send_one(sim_exchange *x, int fd, const uint8_t *data, uint32_t len) {
  uint32_t retries = 0;
  for (;;) {
    x->stats.send_calls++;
    if (send(fd, data, len, MSG_DONTWAIT) == (ssize_t)len) {
      x->stats.bytes_sent += len;
      return true;
    }
    if (errno == EINTR || (errno == ECONNREFUSED && !retries++)) continue;
    if ((errno != EAGAIN && errno != ENOBUFS) || !wait_for_room(x, fd, &retries)) {
      x->stats.send_errors++;
      return false;
    }
  }
}

/* counts a datagram that went out by what it is, damaged ones as what they were */
static void count_sent(sim_exchange *x, const uint8_t *data, uint32_t len) {
  uint32_t cnt =
      len >= MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN ? moldudp64_downstream_packet_header_message_count(data) : 1;
  if (cnt == MOLDUDP64_HEARTBEAT_COUNT)
    x->stats.heartbeats_sent++;
  else if (cnt == MOLDUDP64_END_OF_SESSION_COUNT)
    x->stats.ends_sent++;
  else
    x->stats.packets_sent++;
}

static void line_drain(sim_exchange *x, uint32_t line, uint64_t now) {
  uint8_t data[SIM_PACKET_SZ];
  uint32_t len;
  uint64_t since = x->start_ns ? now - x->start_ns : 0;
  while ((len = hwgw_bad_line_give(x->publish.faults[line], data, since)) != 0)
    if (send_one(x, x->publish.fd[line], data, len)) count_sent(x, data, len);
}

void sim_publish_late(sim_exchange *x, uint64_t now) {
  for (uint32_t line = 0; line < HWGW_SIM_LINES_MAX; line++)
    if (x->publish.faults[line] && x->publish.fd[line] >= 0) line_drain(x, line, now);
}

static void line_send(sim_exchange *x, uint32_t line, const uint8_t *data, uint32_t len, uint64_t now) {
  int fd = x->publish.fd[line];
  if (fd < 0) return;
  if (!x->publish.faults[line]) {
    if (send_one(x, fd, data, len)) count_sent(x, data, len);
    return;
  }
  hwgw_bad_line_take(x->publish.faults[line], data, len, x->start_ns ? now - x->start_ns : 0);
  line_drain(x, line, now);
}

/* the first cnt packets on every line */
static void lines_send(sim_exchange *x, uint32_t cnt) {
  struct sim_publish *publish = &x->publish;
  for (uint32_t line = 0; line < HWGW_SIM_LINES_MAX; line++) {
    if (publish->fd[line] < 0) continue;
    if (!publish->faults[line]) {
      send_packets(x, publish->fd[line], cnt);
      continue;
    }
    uint64_t now = sim_now();
    for (uint32_t i = 0; i < cnt; i++) line_send(x, line, publish->packets[i].data, publish->packets[i].len, now);
  }
}

/* a packet without messages: heartbeat or end of session */
static void send_empty(sim_exchange *x, uint16_t message_count) {
  uint8_t packet[MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN];
  uint64_t now = sim_now();
  x->publish.last_ns = now;
  moldudp64_downstream_packet_header_session_set(packet, x->publish.session);
  moldudp64_downstream_packet_header_sequence_number_set(packet, x->publish.next_seq);
  moldudp64_downstream_packet_header_message_count_set(packet, message_count);
  for (uint32_t line = 0; line < HWGW_SIM_LINES_MAX; line++) line_send(x, line, packet, sizeof packet, now);
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
  for (uint32_t i = 0; i < cnt; i++) {
    const struct sim_packet *packet = &publish->packets[i];
    sim_recovery_keep(x, moldudp64_downstream_packet_header_sequence_number(packet->data),
                      packet->data + MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN,
                      packet->len - MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN, packet->cnt);
  }
  lines_send(x, cnt);
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

void sim_publish_heartbeat(sim_exchange *x, uint64_t now) {
  if (now >= x->publish.last_ns + x->publish.heartbeat_ns) send_empty(x, MOLDUDP64_HEARTBEAT_COUNT);
}

void sim_publish_end(sim_exchange *x) {
  send_empty(x, MOLDUDP64_END_OF_SESSION_COUNT);
}
