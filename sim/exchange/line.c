/* line.c: the lines of the feed: packets through a line's faults, if it has any, onto the wire.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: the same packets leave on every line, through UDP sockets, or as Ethernet frames past the kernel's stack
 * (cfg.send: a backend of hwgw_rx.h, which costs about half of a socket's processor time). What the wire took is counted
 * once per line, by kind, so that a receiver's ledger can be compared exactly. A full socket or ring is waited for (1 ms
 * at a time, 1 s in all); a packet refused for another reason is counted in send_errors and is a real hole in the line,
 * as on a real one. One call of the kernel takes up to 64 packets, with faults as well.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <unistd.h>

#include "exchange.h"

#define RETRIES_MAX 1000
#define FRAMES_MAX 256 /* may wait in the wire's ring */

static int32_t socket_open(sim_exchange *x, struct sim_line *line, uint32_t group, uint16_t port, char *error,
                           uint32_t error_sz) {
  const struct hwgw_sim_cfg *cfg = &x->cfg;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  line->fd = fd;
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
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(group)};
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

static int32_t wire_open(sim_exchange *x, char *error, uint32_t error_sz) {
  const struct hwgw_sim_cfg *cfg = &x->cfg;
  struct hwgw_rx_cfg wire = {
      .backend = cfg->send, .interface = cfg->interface, .tx_only = true, .tx_frame_cnt = FRAMES_MAX, .cpu = -1};
  struct hwgw_error failure;
  if (!cfg->interface || !cfg->interface[0])
    return sim_fail(error, error_sz, 3, "send by %s: an interface is needed", cfg->send);
  if (cfg->loopback) return sim_fail(error, error_sz, 3, "send by %s: this machine does not hear frames", cfg->send);
  int32_t status = hwgw_rx_open(&x->lines.wire, &wire, &failure);
  return status ? sim_fail(error, error_sz, status, "%s", failure.text) : 0;
}

static bool is_wired(const struct hwgw_sim_cfg *cfg) {
  return cfg->send && cfg->send[0];
}

int32_t sim_lines_open(sim_exchange *x, char *error, uint32_t error_sz) {
  const struct hwgw_sim_cfg *cfg = &x->cfg;
  const uint32_t groups[HWGW_SIM_LINES_MAX] = {cfg->group, cfg->group_b};
  const uint16_t ports[HWGW_SIM_LINES_MAX] = {cfg->port, cfg->port_b};
  int32_t status = is_wired(cfg) && (cfg->group || cfg->group_b) ? wire_open(x, error, error_sz) : 0;
  for (uint32_t i = 0; !status && i < HWGW_SIM_LINES_MAX; i++) {
    struct sim_line *line = &x->lines.line[i];
    if (cfg->has_faults) {
      line->faults = hwgw_bad_line_open(&cfg->faults[i]);
      line->held = sim_memory(SIM_PACKETS_MAX * sizeof *line->held);
      if (!line->faults || !line->held) return sim_fail(error, error_sz, 7, "no memory for the faults of a line");
    }
    line->is_open = groups[i] != 0;
    if (!line->is_open) continue;
    status = x->lines.wire
                 ? sim_headers_open(&line->headers, cfg, groups[i], ports[i], x->publish.packet_sz_max, error, error_sz)
                 : socket_open(x, line, groups[i], ports[i], error, error_sz);
  }
  return status;
}

void sim_lines_close(sim_exchange *x) {
  for (uint32_t i = 0; i < HWGW_SIM_LINES_MAX; i++) {
    struct sim_line *line = &x->lines.line[i];
    if (line->fd >= 0) close(line->fd);
    hwgw_bad_line_close(line->faults);
    if (line->held) sim_memory_free(line->held, SIM_PACKETS_MAX * sizeof *line->held);
    *line = (struct sim_line){.fd = -1};
  }
  hwgw_rx_close(x->lines.wire);
  x->lines.wire = NULL;
}

/* ---- onto the wire ---- */

/* counts what went out by what it is, damaged datagrams as what they were */
static void count_sent(sim_exchange *x, const struct sim_packet *packet) {
  uint32_t cnt = packet->len >= MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN
                     ? moldudp64_downstream_packet_header_message_count(packet->data)
                     : 1;
  x->stats.bytes_sent += packet->len;
  if (cnt == MOLDUDP64_HEARTBEAT_COUNT)
    x->stats.heartbeats_sent++;
  else if (cnt == MOLDUDP64_END_OF_SESSION_COUNT)
    x->stats.ends_sent++;
  else
    x->stats.packets_sent++;
}

/* naps until there may be room; false when there was none for too long or the exchange is to stop */
static bool wait_for_room(sim_exchange *x, int fd, uint32_t *retries) {
  struct pollfd wait = {.fd = fd, .events = POLLOUT}; /* -1: only the time */
  x->stats.send_retries++;
  poll(&wait, 1, 1);
  return ++*retries < RETRIES_MAX && !atomic_load_explicit(&x->stop, memory_order_relaxed);
}

static void send_datagrams(sim_exchange *x, int fd, const struct sim_packet *packets, uint32_t cnt) {
  struct mmsghdr headers[SIM_PACKETS_MAX];
  struct iovec vectors[SIM_PACKETS_MAX];
  uint32_t done = 0;
  uint32_t retries = 0;
  for (uint32_t i = 0; i < cnt; i++) {
    vectors[i] = (struct iovec){.iov_base = (void *)(uintptr_t)packets[i].data, .iov_len = packets[i].len};
    headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  while (done < cnt) {
    int sent = sendmmsg(fd, headers + done, cnt - done, MSG_DONTWAIT);
    x->stats.send_calls++;
    if (sent > 0) {
      for (int i = 0; i < sent; i++) count_sent(x, &packets[done++]);
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

static void send_frames(sim_exchange *x, const struct sim_headers *headers, struct sim_packet *packets, uint32_t cnt) {
  struct hwgw_frame frames[SIM_PACKETS_MAX];
  uint32_t done = 0;
  uint32_t retries = 0;
  for (uint32_t i = 0; i < cnt; i++) {
    sim_headers_write(headers, &packets[i]);
    frames[i] = (struct hwgw_frame){.data = packets[i].headers, .len = SIM_HEADERS_SZ + packets[i].len};
  }
  while (done < cnt) {
    uint32_t taken = hwgw_rx_send(x->lines.wire, frames + done, cnt - done);
    x->stats.send_calls++;
    for (uint32_t i = 0; i < taken; i++) count_sent(x, &packets[done++]);
    if (taken) retries = 0;
    if (done == cnt || (!taken && !hwgw_rx_unsent(x->lines.wire)) || wait_for_room(x, -1, &retries)) continue;
    x->stats.send_errors += cnt - done;
    break;
  }
  x->lines.is_waiting = true;
}

static void transmit(sim_exchange *x, struct sim_line *line, struct sim_packet *packets, uint32_t cnt) {
  if (!cnt || !line->is_open) return;
  if (x->lines.wire)
    send_frames(x, &line->headers, packets, cnt);
  else
    send_datagrams(x, line->fd, packets, cnt);
}

/* ---- through the faults ---- */

/* what comes out of the line now, behind the cnt packets that are held already; how many are held then */
static uint32_t drain(sim_exchange *x, struct sim_line *line, uint32_t cnt, uint64_t now) {
  uint64_t since = x->start_ns ? now - x->start_ns : 0;
  for (;;) {
    struct sim_packet *packet = &line->held[cnt];
    packet->len = hwgw_bad_line_give(line->faults, packet->data, since);
    if (!packet->len) return cnt;
    if (x->lines.wire) sim_packet_sum(packet);
    if (++cnt < SIM_PACKETS_MAX) continue;
    transmit(x, line, line->held, cnt);
    cnt = 0;
  }
}

void sim_lines_send(sim_exchange *x, struct sim_packet *packets, uint32_t cnt) {
  for (uint32_t i = 0; x->lines.wire && i < cnt; i++) sim_packet_sum(&packets[i]);
  for (uint32_t i = 0; i < HWGW_SIM_LINES_MAX; i++) {
    struct sim_line *line = &x->lines.line[i];
    if (!line->is_open) continue;
    if (!line->faults) {
      transmit(x, line, packets, cnt);
      continue;
    }
    uint64_t now = sim_now();
    uint32_t held = 0;
    for (uint32_t k = 0; k < cnt; k++) {
      hwgw_bad_line_take(line->faults, packets[k].data, packets[k].len, x->start_ns ? now - x->start_ns : 0);
      held = drain(x, line, held, now);
    }
    transmit(x, line, line->held, held);
  }
}

void sim_lines_late(sim_exchange *x, uint64_t now) {
  for (uint32_t i = 0; i < HWGW_SIM_LINES_MAX; i++) {
    struct sim_line *line = &x->lines.line[i];
    if (line->faults && line->is_open) transmit(x, line, line->held, drain(x, line, 0, now));
  }
  if (x->lines.is_waiting) x->lines.is_waiting = hwgw_rx_unsent(x->lines.wire) != 0;
}

void sim_lines_end(sim_exchange *x) {
  uint64_t counters[HWGW_COUNTER_CNT] = {0};
  sim_lines_late(x, UINT64_MAX);
  if (!x->lines.wire) return;
  for (uint32_t retries = 0; hwgw_rx_unsent(x->lines.wire) && wait_for_room(x, -1, &retries);) continue;
  hwgw_rx_stats(x->lines.wire, counters);
  uint64_t lost = hwgw_rx_unsent(x->lines.wire) + counters[HWGW_CNT_TX_DROP_KERNEL];
  x->stats.send_errors += lost; /* taken for sent when they went into the ring */
  x->stats.packets_sent -= lost < x->stats.packets_sent ? lost : x->stats.packets_sent;
}
