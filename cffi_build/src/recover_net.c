/* recover_net.c: the sockets of recovery: MoldUDP64 re-requests and a GLIMPSE client, one pair per channel.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: requests made by recover.c, the servers' bytes. Output: datagrams and snapshot messages, to the sink. Each
 * re-request server has a connected socket, so that nobody else's datagrams are taken. A snapshot is a SoupBinTCP login
 * for message 1 of the current session; its sequenced messages go to the sink as they come until it says unload. A link
 * that closes, a login that is refused, a packet that cannot be at its place: failed, and the connection is closed. Time-
 * outs are recover.c's. Never blocks; allocates at open only. At the limit: DATAGRAMS_MAX answers of a server and one
 * receive buffer of the snapshot per poll; the rest waits in the kernel. Thread: the channel's pipeline.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "recover.h"
#include "soup.h"

#define DATAGRAMS_MAX 16
#define DATAGRAM_SZ 65536
#define HEARTBEAT_NS ((uint64_t)SOUPBINTCP_HEARTBEAT_INTERVAL_MS * 1000000u)

struct hwgw_recover_net {
  struct hwgw_recover_cfg cfg;
  uint32_t channel;
  int server[HWGW_SERVERS_MAX];
  int fd; /* of the snapshot; -1 = none */
  bool is_connecting;
  bool is_logged_in;
  bool is_wanted; /* no unload since the load */
  uint64_t last_tx_ns;
  uint32_t head;
  uint32_t tail;
  uint8_t rx[SOUP_RX_SZ];
  uint8_t datagram[DATAGRAM_SZ];
};

static struct sockaddr_in address_of(const struct hwgw_endpoint *at) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons(at->port), .sin_addr.s_addr = htonl(at->address)};
}

int32_t hwgw_recover_net_open(struct hwgw_recover_net **out, uint32_t channel, const struct hwgw_recover_cfg *cfg,
                              struct hwgw_error *error) {
  *out = NULL;
  if (cfg->server_cnt > HWGW_SERVERS_MAX)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "channel %u: %u re-request servers; at most %u are allowed",
                          channel, cfg->server_cnt, HWGW_SERVERS_MAX);
  struct hwgw_recover_net *net = calloc(1, sizeof *net);
  if (!net) return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "channel %u: no memory for recovery", channel);
  net->cfg = *cfg;
  net->channel = channel;
  net->fd = -1;
  for (uint32_t i = 0; i < HWGW_SERVERS_MAX; i++) net->server[i] = -1;
  for (uint32_t i = 0; i < cfg->server_cnt; i++) {
    struct sockaddr_in address = address_of(&cfg->server[i]);
    net->server[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (net->server[i] >= 0 && connect(net->server[i], (struct sockaddr *)&address, sizeof address) == 0) continue;
    int failed = errno;
    hwgw_recover_net_close(net);
    return hwgw_error_set(error, HWGW_ERR_DEVICE, failed,
                          "channel %u: no socket to re-request server %u (%u.%u.%u.%u:%u): %s; a route to it is needed",
                          channel, i, cfg->server[i].address >> 24, cfg->server[i].address >> 16 & 255,
                          cfg->server[i].address >> 8 & 255, cfg->server[i].address & 255, cfg->server[i].port,
                          strerror(failed));
  }
  *out = net;
  return HWGW_OK;
}

void hwgw_recover_net_close(struct hwgw_recover_net *net) {
  if (!net) return;
  for (uint32_t i = 0; i < HWGW_SERVERS_MAX; i++)
    if (net->server[i] >= 0) close(net->server[i]);
  if (net->fd >= 0) close(net->fd);
  free(net);
}

bool hwgw_recover_net_request(struct hwgw_recover_net *net, uint32_t server, const uint8_t *request) {
  const ssize_t len = MOLDUDP64_REQUEST_PACKET_LEN;
  for (int i = 0; i < 2; i++) { /* the first may be told of an earlier one that was refused */
    if (send(net->server[server], request, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) == len) return true;
    if (errno != ECONNREFUSED && errno != EINTR) break;
  }
  return false;
}

void hwgw_recover_net_unload(struct hwgw_recover_net *net) {
  if (net->fd >= 0) close(net->fd);
  net->fd = -1;
  net->is_wanted = false;
}

void hwgw_recover_net_load(struct hwgw_recover_net *net) {
  struct sockaddr_in address = address_of(&net->cfg.snapshot);
  hwgw_recover_net_unload(net);
  net->is_wanted = net->is_connecting = true;
  net->is_logged_in = false;
  net->head = net->tail = 0;
  net->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (net->fd < 0) return; /* the next poll says so */
  if (connect(net->fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS) return;
  close(net->fd);
  net->fd = -1;
}

/* ---- the snapshot's connection ---- */

static bool packet_send(struct hwgw_recover_net *net, const uint8_t *packet, uint32_t len, uint64_t now_ns) {
  net->last_tx_ns = now_ns;
  return send(net->fd, packet, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len; /* so little always fits */
}

/* false: the connection is of no use */
static bool connect_check(struct hwgw_recover_net *net, uint64_t now_ns) {
  struct pollfd ready = {.fd = net->fd, .events = POLLOUT};
  uint8_t packet[SOUPBINTCP_LOGIN_REQUEST_LEN];
  int cause = 0;
  socklen_t cause_sz = sizeof cause;
  if (poll(&ready, 1, 0) != 1) return true;
  if (getsockopt(net->fd, SOL_SOCKET, SO_ERROR, &cause, &cause_sz) != 0 || cause) return false;
  net->is_connecting = false;
  uint32_t len =
      soup_login(packet, net->cfg.username, net->cfg.password, "          ", SOUPBINTCP_FIRST_SEQUENCE_NUMBER);
  return packet_send(net, packet, len, now_ns);
}

/* one whole packet; false: it cannot be at its place, or ends the session */
static bool packet_in(struct hwgw_recover_net *net, const uint8_t *data, uint32_t len,
                      const struct hwgw_recover_sink *sink) {
  char code = soupbintcp_sequenced_data_packet_type(data);
  if (code == SOUPBINTCP_DEBUG_CODE || code == SOUPBINTCP_SERVER_HEARTBEAT_CODE) return true;
  if (!net->is_logged_in) {
    net->is_logged_in = code == SOUPBINTCP_LOGIN_ACCEPTED_CODE && len == SOUPBINTCP_LOGIN_ACCEPTED_LEN;
    return net->is_logged_in;
  }
  if (code != SOUPBINTCP_SEQUENCED_DATA_CODE) return false;
  sink->snapshot(sink->context, net->channel, data + SOUPBINTCP_SEQUENCED_DATA_LEN,
                 len - SOUPBINTCP_SEQUENCED_DATA_LEN);
  return true;
}

static bool receive(struct hwgw_recover_net *net, const struct hwgw_recover_sink *sink) {
  if (net->head == net->tail) {
    net->head = net->tail = 0;
  } else if (net->head >= SOUP_RX_SZ / 2) {
    memmove(net->rx, net->rx + net->head, net->tail - net->head);
    net->tail -= net->head;
    net->head = 0;
  }
  ssize_t got = recv(net->fd, net->rx + net->tail, SOUP_RX_SZ - net->tail, MSG_DONTWAIT);
  if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
  net->tail += (uint32_t)got;
  while (net->is_wanted && net->tail - net->head >= SOUPBINTCP_LENGTH_SZ) {
    const uint8_t *data = net->rx + net->head;
    uint32_t len = soup_packet_len(data);
    if (len == SOUPBINTCP_LENGTH_SZ) return false; /* not even a type */
    if (net->tail - net->head < len) break;
    net->head += len;
    if (!packet_in(net, data, len, sink)) return false;
  }
  return true;
}

static bool snapshot_poll(struct hwgw_recover_net *net, uint64_t now_ns, const struct hwgw_recover_sink *sink) {
  if (net->fd < 0) return false;
  if (net->is_connecting) return connect_check(net, now_ns);
  if (now_ns > net->last_tx_ns && now_ns - net->last_tx_ns >= HEARTBEAT_NS) {
    uint8_t packet[SOUPBINTCP_CLIENT_HEARTBEAT_LEN];
    if (!packet_send(net, packet, soup_control(packet, SOUPBINTCP_CLIENT_HEARTBEAT_CODE), now_ns)) return false;
  }
  return receive(net, sink);
}

void hwgw_recover_net_poll(struct hwgw_recover_net *net, uint64_t now_ns, const struct hwgw_recover_sink *sink) {
  for (uint32_t i = 0; i < net->cfg.server_cnt; i++) {
    for (uint32_t cnt = 0; cnt < DATAGRAMS_MAX; cnt++) {
      ssize_t got = recv(net->server[i], net->datagram, DATAGRAM_SZ, MSG_DONTWAIT);
      if (got < 0) break; /* nothing waits, or an earlier request was refused: its time-out tells */
      sink->reply(sink->context, net->channel, net->datagram, (uint32_t)got);
    }
  }
  if (net->is_wanted && !snapshot_poll(net, now_ns, sink) && net->is_wanted) {
    hwgw_recover_net_unload(net);
    sink->failed(sink->context, net->channel);
  }
}
