/* clients.c: SoupBinTCP: connections, logins, heartbeats, the sequenced stream and its replay.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: each user has one stream of sequenced messages, numbered from 1, kept framed in a ring of store_sz bytes. A
 * connection is a cursor in that ring: what it has not been sent yet, a replay after a reconnect included, is sent from
 * there, so live and replayed messages cannot differ. Who falls a whole ring behind is closed and counted. Heartbeats,
 * login answers and the end of session go only between sequenced packets. A second login of a user takes the stream
 * over and closes the older connection: a client that was killed must be able to come back at once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "exchange.h"

#define HEARTBEAT_NS SIM_NS_PER_S
#define LOGIN_DEADLINE_NS (30u * (uint64_t)SIM_NS_PER_S)
#define POSITIONS_CNT (1u << 18) /* messages whose start is remembered per user */
#define LISTENER UINT32_MAX
#define END_WAIT_NS 500000000u

int32_t sim_clients_open(sim_exchange *x, char *error, uint32_t error_sz) {
  uint32_t store_sz = x->cfg.store_sz_bytes ? x->cfg.store_sz_bytes : 16u << 20;
  x->position_mask = POSITIONS_CNT - 1;
  x->connections = sim_memory(SIM_CONNECTIONS_MAX * sizeof *x->connections);
  if (!x->connections) return sim_fail(error, error_sz, 7, "no memory for connections");
  for (uint32_t i = 0; i < SIM_CONNECTIONS_MAX; i++) x->connections[i].fd = -1;
  for (uint32_t i = 0; i < x->cfg.user_cnt; i++) {
    struct sim_user *user = &x->users[i];
    user->login = x->cfg.users[i];
    user->connection = SIM_NIL;
    user->next_seq = 1;
    int32_t status = sim_ring_open(&user->store, "replay store", store_sz, error, error_sz);
    if (status) return status;
    user->positions = sim_memory(POSITIONS_CNT * sizeof *user->positions);
    if (user->login.is_ouch42 && !sim_ouch42_open(user)) return sim_fail(error, error_sz, 7, "no memory for tokens");
    if (!user->positions) return sim_fail(error, error_sz, 7, "no memory for replay stores");
  }
  if (!x->cfg.listen) return 0;

  int on = 1;
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons(x->cfg.listen_port), .sin_addr.s_addr = htonl(x->cfg.listen_address)};
  socklen_t at_sz = sizeof at;
  x->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  x->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (x->epoll_fd < 0 || x->listen_fd < 0)
    return sim_fail(error, error_sz, 5, "socket(AF_INET, SOCK_STREAM): %s", strerror(errno));
  setsockopt(x->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(x->listen_fd, (struct sockaddr *)&at, sizeof at) || listen(x->listen_fd, SIM_CONNECTIONS_MAX) ||
      getsockname(x->listen_fd, (struct sockaddr *)&at, &at_sz))
    return sim_fail(error, error_sz, 5, "listen on %s:%u: %s", inet_ntoa(at.sin_addr), x->cfg.listen_port,
                    strerror(errno));
  x->listen_port = ntohs(at.sin_port);
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = LISTENER};
  if (epoll_ctl(x->epoll_fd, EPOLL_CTL_ADD, x->listen_fd, &event))
    return sim_fail(error, error_sz, 5, "epoll_ctl: %s", strerror(errno));
  return 0;
}

void sim_clients_close(sim_exchange *x) {
  for (uint32_t i = 0; x->connections && i < SIM_CONNECTIONS_MAX; i++)
    if (x->connections[i].fd >= 0) close(x->connections[i].fd);
  sim_memory_free(x->connections, SIM_CONNECTIONS_MAX * sizeof *x->connections);
  x->connections = NULL;
  for (uint32_t i = 0; i < x->cfg.user_cnt; i++) {
    sim_ring_close(&x->users[i].store);
    sim_memory_free(x->users[i].positions, POSITIONS_CNT * sizeof *x->users[i].positions);
    sim_ouch42_close(&x->users[i]);
  }
  if (x->listen_fd >= 0) close(x->listen_fd);
  if (x->epoll_fd >= 0) close(x->epoll_fd);
  x->listen_fd = x->epoll_fd = -1;
}

/* ---- the sequenced stream ---- */

void sim_sequence(sim_exchange *x, uint32_t index, const uint8_t *message, uint32_t len) {
  struct sim_user *user = &x->users[index];
  uint8_t header[SOUPBINTCP_SEQUENCED_DATA_LEN], ouch42[SIM_OUCH42_SZ_MAX];
  if (user->tokens) {
    len = sim_ouch42_of(user, message, ouch42);
    message = ouch42;
  }
  soupbintcp_sequenced_data_packet_length_set(header, (uint16_t)(1 + len));
  soupbintcp_sequenced_data_packet_type_set(header, SOUPBINTCP_SEQUENCED_DATA_CODE);
  user->positions[user->next_seq++ & x->position_mask] = user->store.head;
  sim_ring_append(&user->store, header, sizeof header);
  sim_ring_append(&user->store, message, len);
}

/* where message seq starts; false when it is not kept any more */
static bool store_find(const sim_exchange *x, const struct sim_user *user, uint64_t seq, uint64_t *at) {
  *at = user->store.head;
  if (seq == user->next_seq) return true;
  if (seq > user->next_seq || user->next_seq - seq > x->position_mask) return false;
  *at = user->positions[seq & x->position_mask];
  return sim_ring_has(&user->store, *at);
}

/* ---- connections ---- */

static void drop(sim_exchange *x, struct sim_connection *connection) {
  uint32_t index = connection->user;
  close(connection->fd); /* leaves the epoll set by itself */
  connection->fd = -1;
  x->stats.disconnects++;
  if (index == SIM_NIL) return;
  x->users[index].connection = SIM_NIL;
  x->logged_in--;
  if (x->cfg.cancel_on_disconnect) sim_venue_cancel_all(x, index, SIM_NIL, OUCH50_CANCEL_REASON_SUPERVISORY);
}

static void accept_all(sim_exchange *x, uint64_t now) {
  for (uint32_t i = 0; i < SIM_CONNECTIONS_MAX; i++) {
    struct sim_connection *connection = &x->connections[i];
    if (connection->fd >= 0) continue;
    int fd = accept4(x->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    int on = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection->fd = fd;
    connection->user = SIM_NIL;
    connection->in_len = connection->small_len = connection->small_sent = 0;
    connection->cursor = 0;
    connection->last_rx_ns = connection->last_tx_ns = now;
    connection->timeout_ns = LOGIN_DEADLINE_NS;
    connection->writing = connection->ending = connection->closing = connection->finished = false;
    x->stats.connects++;
    if (epoll_ctl(x->epoll_fd, EPOLL_CTL_ADD, fd, &event)) drop(x, connection);
  }
  int surplus = accept4(x->listen_fd, NULL, NULL, SOCK_CLOEXEC); /* every place is taken: say so by closing */
  if (surplus < 0) return;
  close(surplus);
  x->stats.connects++;
  x->stats.disconnects++;
}

static void small_packet(struct sim_connection *connection, const uint8_t *packet, uint32_t len) {
  if (connection->small_len + len > sizeof connection->small) return; /* it does not read; its silence ends it */
  memcpy(connection->small + connection->small_len, packet, len);
  connection->small_len += len;
}

static void small_type(struct sim_connection *connection, char type) {
  uint8_t packet[SOUPBINTCP_SERVER_HEARTBEAT_LEN];
  soupbintcp_server_heartbeat_packet_length_set(packet, 1);
  soupbintcp_server_heartbeat_packet_type_set(packet, type);
  small_packet(connection, packet, sizeof packet);
}

static uint64_t unsent(const sim_exchange *x, const struct sim_connection *connection) {
  return connection->user == SIM_NIL ? 0 : x->users[connection->user].store.head - connection->cursor;
}

static void want_write(sim_exchange *x, struct sim_connection *connection, bool writing) {
  if (connection->writing == writing) return;
  struct epoll_event event = {.events = writing ? EPOLLIN | EPOLLOUT : EPOLLIN,
                              .data.u32 = (uint32_t)(connection - x->connections)};
  connection->writing = writing;
  epoll_ctl(x->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

/* sends what waits: small packets, then the stream; drops the connection when it is broken, overrun or done */
static void flush(sim_exchange *x, struct sim_connection *connection, uint64_t now) {
  for (;;) {
    uint32_t small = connection->small_len - connection->small_sent;
    uint64_t stream = unsent(x, connection);
    ssize_t sent;
    if (stream && !sim_ring_has(&x->users[connection->user].store, connection->cursor)) {
      x->stats.closed_slow++;
      drop(x, connection);
      return;
    }
    if (!small && !stream && connection->ending) {
      connection->ending = false;
      connection->closing = true;
      connection->small_len = connection->small_sent = 0;
      small_type(connection, SOUPBINTCP_END_OF_SESSION_CODE);
      continue;
    }
    if (!small && !stream) break;
    if (small) {
      sent = send(connection->fd, connection->small + connection->small_sent, small, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) connection->small_sent += (uint32_t)sent;
    } else {
      const struct sim_ring *store = &x->users[connection->user].store;
      uint64_t at = connection->cursor & (store->sz - 1);
      uint64_t first = store->sz - at < stream ? store->sz - at : stream;
      struct iovec parts[2] = {{store->data + at, first}, {store->data, stream - first}};
      struct msghdr message = {.msg_iov = parts, .msg_iovlen = stream > first ? 2 : 1};
      sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) connection->cursor += (uint64_t)sent;
    }
    if (sent > 0) {
      connection->last_tx_ns = now;
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      want_write(x, connection, true);
      return;
    }
    drop(x, connection);
    return;
  }
  connection->small_len = connection->small_sent = 0;
  want_write(x, connection, false);
  if (!connection->closing) return;
  if (!x->ending) {
    drop(x, connection);
  } else if (!connection->finished) {
    connection->finished = true;
    shutdown(connection->fd, SHUT_WR);
  }
}

void sim_clients_flush(sim_exchange *x, uint64_t now) {
  for (uint32_t i = 0; i < x->cfg.user_cnt; i++) {
    uint32_t index = x->users[i].connection;
    if (index == SIM_NIL) continue;
    struct sim_connection *connection = &x->connections[index];
    if (!connection->writing && unsent(x, connection)) flush(x, connection, now);
  }
}

/* ---- login ---- */

static char upper(char c) {
  return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool equal_text(const char *kept, const uint8_t *given, uint32_t len) {
  for (uint32_t i = 0; i < len; i++)
    if (kept[i] != upper((char)given[i])) return false;
  return true;
}

/* a number in ASCII, padded with spaces on either side; false when it is none */
static bool parse_number(const uint8_t *text, uint32_t len, uint64_t *value) {
  uint32_t i = 0;
  *value = 0;
  while (i < len && text[i] == ' ') i++;
  for (; i < len && text[i] >= '0' && text[i] <= '9'; i++)
    if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, text[i] - '0', value)) return false;
  while (i < len && text[i] == ' ') i++;
  return i == len;
}

/* the requested session is blank or ours, padded on either side */
static bool session_matches(const sim_exchange *x, const uint8_t *given) {
  uint32_t len = sizeof x->cfg.session;
  uint32_t from = 0;
  uint32_t own = 0;
  while (from < len && given[from] == ' ') from++;
  if (from == len) return true;
  while (own < len && x->cfg.session[own] == ' ') own++;
  for (; from < len && own < len; from++, own++)
    if ((char)given[from] != x->cfg.session[own]) return false;
  for (; from < len; from++)
    if (given[from] != ' ') return false;
  for (; own < len; own++)
    if (x->cfg.session[own] != ' ') return false;
  return true;
}

static void login_reject(sim_exchange *x, struct sim_connection *connection, char reason, uint64_t now) {
  uint8_t packet[SOUPBINTCP_LOGIN_REJECTED_LEN];
  soupbintcp_login_rejected_packet_length_set(packet, SOUPBINTCP_LOGIN_REJECTED_LEN - 2);
  soupbintcp_login_rejected_packet_type_set(packet, SOUPBINTCP_LOGIN_REJECTED_CODE);
  soupbintcp_login_rejected_reject_reason_code_set(packet, reason);
  small_packet(connection, packet, sizeof packet);
  x->stats.logins_rejected++;
  connection->closing = true;
  flush(x, connection, now);
}

static void login(sim_exchange *x, struct sim_connection *connection, const uint8_t *p, uint32_t len, uint64_t now) {
  uint32_t found = SIM_NIL;
  for (uint32_t i = 0; i < x->cfg.user_cnt; i++)
    if (equal_text(x->users[i].login.name, soupbintcp_login_request_username(p), sizeof x->users[i].login.name) &&
        equal_text(x->users[i].login.password, soupbintcp_login_request_password(p), sizeof x->users[i].login.password))
      found = i;
  if (found == SIM_NIL) {
    login_reject(x, connection, SOUPBINTCP_REJECT_REASON_NOT_AUTHORISED, now);
    return;
  }
  struct sim_user *user = &x->users[found];
  uint64_t seq;
  uint64_t at;
  bool known = session_matches(x, soupbintcp_login_request_requested_session(p)) &&
               parse_number(soupbintcp_login_request_requested_sequence_number(p), 20, &seq);
  if (known && !seq) seq = user->next_seq;
  if (!known || !store_find(x, user, seq, &at)) {
    login_reject(x, connection, SOUPBINTCP_REJECT_REASON_SESSION_NOT_AVAILABLE, now);
    return;
  }
  uint64_t timeout_ms = 0;
  if (len == SOUPBINTCP_LOGIN_REQUEST_410_LEN)
    parse_number(soupbintcp_login_request_410_heartbeat_timeout(p), 5, &timeout_ms);
  if (user->connection != SIM_NIL) {
    x->stats.closed_takeover++;
    drop(x, &x->connections[user->connection]);
  }
  user->connection = (uint32_t)(connection - x->connections);
  connection->user = found;
  connection->cursor = at;
  connection->timeout_ns = timeout_ms ? timeout_ms * 1000000 : x->cfg.client_timeout_ms * UINT64_C(1000000);
  x->logged_in++;
  x->stats.logins++;

  char number[21];
  uint8_t packet[SOUPBINTCP_LOGIN_ACCEPTED_LEN];
  snprintf(number, sizeof number, "%20llu", (unsigned long long)seq);
  soupbintcp_login_accepted_packet_length_set(packet, SOUPBINTCP_LOGIN_ACCEPTED_LEN - 2);
  soupbintcp_login_accepted_packet_type_set(packet, SOUPBINTCP_LOGIN_ACCEPTED_CODE);
  memcpy(packet + SOUPBINTCP_LOGIN_ACCEPTED_SESSION_OFF, x->cfg.session, sizeof x->cfg.session);
  memcpy(packet + SOUPBINTCP_LOGIN_ACCEPTED_SEQUENCE_NUMBER_OFF, number, 20);
  small_packet(connection, packet, sizeof packet);
  flush(x, connection, now);
}

/* ---- input ---- */

/* carries out one packet; the connection may be gone afterwards */
static void packet_in(sim_exchange *x, struct sim_connection *connection, const uint8_t *p, uint32_t len,
                      uint64_t now) {
  char type = soupbintcp_unsequenced_data_packet_type(p);
  if (connection->user == SIM_NIL) {
    if (type == SOUPBINTCP_DEBUG_CODE) return;
    if (type == SOUPBINTCP_LOGIN_REQUEST_CODE && len >= SOUPBINTCP_LOGIN_REQUEST_LEN) {
      login(x, connection, p, len, now);
      return;
    }
    login_reject(x, connection, SOUPBINTCP_REJECT_REASON_NOT_AUTHORISED, now); /* a login comes first */
    return;
  }
  if (type == SOUPBINTCP_UNSEQUENCED_DATA_CODE)
    (x->users[connection->user].tokens ? sim_ouch42_message : sim_venue_message)(
        x, connection->user, p + SOUPBINTCP_UNSEQUENCED_DATA_LEN, len - SOUPBINTCP_UNSEQUENCED_DATA_LEN);
  else if (type == SOUPBINTCP_LOGOUT_REQUEST_CODE)
    connection->closing = true; /* after what is waiting has been sent */
}

static void read_in(sim_exchange *x, struct sim_connection *connection, uint64_t now) {
  ssize_t got =
      recv(connection->fd, connection->in + connection->in_len, SIM_INPUT_SZ - connection->in_len, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    drop(x, connection);
    return;
  }
  connection->in_len += (uint32_t)got;
  connection->last_rx_ns = now;
  uint32_t at = 0;
  while (connection->in_len - at >= SOUPBINTCP_UNSEQUENCED_DATA_LEN && !connection->closing) {
    uint32_t len = soupbintcp_unsequenced_data_packet_length(connection->in + at) + 2u;
    if (len < SOUPBINTCP_UNSEQUENCED_DATA_LEN || len > SIM_CLIENT_PACKET_MAX) {
      x->stats.closed_framing++;
      drop(x, connection);
      return;
    }
    if (len > connection->in_len - at) break;
    packet_in(x, connection, connection->in + at, len, now);
    if (connection->fd < 0) return;
    at += len;
  }
  connection->in_len -= at;
  memmove(connection->in, connection->in + at, connection->in_len);
  if (connection->closing) {
    connection->in_len = 0;
    flush(x, connection, now);
  }
}

void sim_clients_poll(sim_exchange *x, uint64_t now) {
  struct epoll_event events[SIM_CONNECTIONS_MAX + SIM_SNAPSHOTS_MAX + 3];
  if (x->epoll_fd < 0) return;
  int cnt = epoll_wait(x->epoll_fd, events, SIM_CONNECTIONS_MAX + SIM_SNAPSHOTS_MAX + 3, 0);
  bool accepting = false;
  for (int i = 0; i < cnt; i++) {
    if (events[i].data.u32 == LISTENER) {
      accepting = true;
      continue;
    }
    if (events[i].data.u32 == SIM_RECOVERY_ID) {
      x->recovery.is_called = true;
      continue;
    }
    struct sim_connection *connection = &x->connections[events[i].data.u32];
    if (connection->fd >= 0 && events[i].events & EPOLLOUT) flush(x, connection, now);
    if (connection->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_in(x, connection, now);
  }
  if (accepting) accept_all(x, now); /* last, so that no event of this round meets a new connection in an old place */
}

void sim_clients_timers(sim_exchange *x, uint64_t now) {
  for (uint32_t i = 0; i < SIM_CONNECTIONS_MAX; i++) {
    struct sim_connection *connection = &x->connections[i];
    if (connection->fd < 0) continue;
    if (now >= connection->last_rx_ns + connection->timeout_ns) {
      x->stats.closed_silent++;
      drop(x, connection);
      continue;
    }
    bool idle = connection->small_len == 0 && !unsent(x, connection);
    if (connection->user != SIM_NIL && idle && now >= connection->last_tx_ns + HEARTBEAT_NS) {
      small_type(connection, SOUPBINTCP_SERVER_HEARTBEAT_CODE);
      flush(x, connection, now);
    }
  }
}

/* The end of session must not be lost to a reset, which closing with unread input would send: a connection is shut for
 * writing, and closed when the client has closed or the time is up. Orders that still arrive are not read as such. */
void sim_clients_end(sim_exchange *x) {
  uint64_t now = sim_now();
  uint64_t end = now + END_WAIT_NS;
  uint8_t discarded[4096];
  if (x->epoll_fd < 0) return;
  x->ending = true;
  for (uint32_t i = 0; i < x->cfg.user_cnt; i++) {
    uint32_t index = x->users[i].connection;
    if (index == SIM_NIL) continue;
    x->connections[index].ending = true;
    flush(x, &x->connections[index], now);
  }
  while (x->logged_in && now < end) {
    struct epoll_event events[SIM_CONNECTIONS_MAX];
    int cnt = epoll_wait(x->epoll_fd, events, SIM_CONNECTIONS_MAX, 10);
    now = sim_now();
    for (int i = 0; i < cnt; i++) {
      if (events[i].data.u32 >= SIM_RECOVERY_ID) continue; /* that, and the listener */
      struct sim_connection *connection = &x->connections[events[i].data.u32];
      if (connection->fd >= 0 && events[i].events & EPOLLOUT) flush(x, connection, now);
      if (connection->fd < 0 || !(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
      ssize_t got = recv(connection->fd, discarded, sizeof discarded, MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) drop(x, connection);
    }
    if (cnt > 0) poll(NULL, 0, 1); /* a pending connect keeps the set ready: do not spin on it */
  }
}
