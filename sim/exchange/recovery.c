/* recovery.c: the exchange's way to repair what a receiver missed: MoldUDP64 re-requests and GLIMPSE snapshots.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: the last packets are kept whole, as many as fit request_store_sz_bytes, 1,048,576 at most; a request of the current session is answered
 * by one downstream packet with as many whole messages as fit, anything else with silence, and so are request_loss_ppm of
 * the requests and of the answers. A GLIMPSE client logs in as one of the users and gets a directory and a trading state
 * per symbol, every displayed order in its priority, and the number of the next message; then the connection is closed.
 * It is made in one go, so it is the book between two messages. Captures have no snapshots: their logins are refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "exchange.h"

#define PACKETS_MAX (1u << 20) /* a power of two */
#define STORE_SZ (64u << 20)
#define REQUESTS_MAX 64 /* per round */

static bool is_lost(struct sim_recovery *r) {
  r->random = r->random * 6364136223846793005u + 1442695040888963407u;
  return (r->random >> 33) % 1000000u < r->loss_ppm;
}

static int32_t socket_open(sim_exchange *x, int *fd, int type, uint32_t address, uint16_t *port, char *error,
                           uint32_t error_sz) {
  int on = 1;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(address)};
  socklen_t at_sz = sizeof at;
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = SIM_RECOVERY_ID};
  *fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (x->epoll_fd < 0) x->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (*fd >= 0 && type == SOCK_STREAM) setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (*fd < 0 || x->epoll_fd < 0 || bind(*fd, (struct sockaddr *)&at, sizeof at) ||
      (type == SOCK_STREAM && listen(*fd, SIM_SNAPSHOTS_MAX)) || getsockname(*fd, (struct sockaddr *)&at, &at_sz) ||
      epoll_ctl(x->epoll_fd, EPOLL_CTL_ADD, *fd, &event))
    return sim_fail(error, error_sz, 5, "recovery server on port %u: %s", *port, strerror(errno));
  *port = ntohs(at.sin_port);
  return 0;
}

int32_t sim_recovery_open(sim_exchange *x, char *error, uint32_t error_sz) {
  struct sim_recovery *r = &x->recovery;
  int32_t status = 0;
  r->request_port = x->cfg.request_port;
  r->snapshot_port = x->cfg.snapshot_port;
  r->loss_ppm = x->cfg.request_loss_ppm;
  r->random = x->cfg.seed;
  for (uint32_t i = 0; i < SIM_SNAPSHOTS_MAX; i++) r->client[i].fd = -1;
  if (x->cfg.requests) {
    r->kept = sim_memory(PACKETS_MAX * sizeof *r->kept);
    if (!r->kept) return sim_fail(error, error_sz, 7, "no memory for re-requests");
    uint32_t sz = x->cfg.request_store_sz_bytes ? x->cfg.request_store_sz_bytes : STORE_SZ;
    status = sim_ring_open(&r->store, "store for re-requests", sz, error, error_sz);
    if (status) return status;
    status = socket_open(x, &r->request_fd, SOCK_DGRAM, x->cfg.recovery_address, &r->request_port, error, error_sz);
  }
  if (!status && x->cfg.snapshots)
    status = socket_open(x, &r->snapshot_fd, SOCK_STREAM, x->cfg.recovery_address, &r->snapshot_port, error, error_sz);
  return status;
}

static void client_close(struct sim_snapshot *client) {
  if (client->fd >= 0) close(client->fd);
  free(client->data);
  *client = (struct sim_snapshot){.fd = -1};
}

void sim_recovery_close(sim_exchange *x) {
  struct sim_recovery *r = &x->recovery;
  for (uint32_t i = 0; i < SIM_SNAPSHOTS_MAX; i++) client_close(&r->client[i]);
  if (r->request_fd >= 0) close(r->request_fd);
  if (r->snapshot_fd >= 0) close(r->snapshot_fd);
  r->request_fd = r->snapshot_fd = -1;
  sim_ring_close(&r->store);
  if (r->kept) sim_memory_free(r->kept, PACKETS_MAX * sizeof *r->kept);
  r->kept = NULL;
}

/* ---- re-requests ---- */

void sim_recovery_keep(sim_exchange *x, uint64_t seq, const uint8_t *blocks, uint32_t len, uint32_t cnt) {
  struct sim_recovery *r = &x->recovery;
  if (!r->store.data) return;
  r->kept[r->kept_cnt++ & (PACKETS_MAX - 1)] = (struct sim_kept){.seq = seq, .at = r->store.head};
  sim_ring_append(&r->store, blocks, len);
  r->next_seq = seq + cnt;
}

static uint32_t block_len(const struct sim_ring *store, uint64_t at) {
  uint8_t block[MOLDUDP64_MESSAGE_BLOCK_LEN];
  sim_ring_read(store, at, block, sizeof block);
  return MOLDUDP64_MESSAGE_BLOCK_LEN + moldudp64_message_block_message_length(block);
}

/* where message seq is kept; false when it is not published yet, or its packet is not whole any more */
static bool find(const struct sim_recovery *r, uint64_t seq, uint64_t *at) {
  uint64_t low = r->kept_cnt > PACKETS_MAX ? r->kept_cnt - PACKETS_MAX : 0;
  uint64_t high = r->kept_cnt;
  if (low == high || seq >= r->next_seq || seq < r->kept[low & (PACKETS_MAX - 1)].seq) return false;
  while (high - low > 1) { /* the packet is one from low up to high */
    uint64_t mid = low + (high - low) / 2;
    if (r->kept[mid & (PACKETS_MAX - 1)].seq <= seq)
      low = mid;
    else
      high = mid;
  }
  const struct sim_kept *packet = &r->kept[low & (PACKETS_MAX - 1)];
  if (!sim_ring_has(&r->store, packet->at)) return false;
  *at = packet->at;
  for (uint64_t i = packet->seq; i < seq; i++) *at += block_len(&r->store, *at);
  return true;
}

static void answer(sim_exchange *x, const uint8_t *request, const struct sockaddr_in *from) {
  struct sim_recovery *r = &x->recovery;
  uint8_t packet[SIM_PACKET_SZ];
  uint32_t len = MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN, cnt = 0;
  uint64_t seq = moldudp64_request_packet_sequence_number(request);
  uint32_t wanted = moldudp64_request_packet_requested_message_count(request);
  x->stats.requests_in++;
  uint64_t at;
  if (memcmp(moldudp64_request_packet_session(request), x->cfg.session, sizeof x->cfg.session) != 0 ||
      !find(r, seq, &at))
    return;
  if (is_lost(r)) {
    x->stats.requests_lost++;
    return;
  }
  while (cnt < wanted && seq + cnt < r->next_seq) {
    uint32_t block = block_len(&r->store, at + len - MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN);
    if (len + block > x->publish.packet_sz_max) break;
    len += block;
    cnt++;
  }
  if (!cnt) return;
  sim_ring_read(&r->store, at, packet + MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN,
                len - MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN);
  moldudp64_downstream_packet_header_session_set(packet, x->cfg.session);
  moldudp64_downstream_packet_header_sequence_number_set(packet, seq);
  moldudp64_downstream_packet_header_message_count_set(packet, (uint16_t)cnt);
  if (is_lost(r)) {
    x->stats.requests_lost++;
  } else if (sendto(r->request_fd, packet, len, MSG_DONTWAIT, (const struct sockaddr *)from, sizeof *from) ==
             (ssize_t)len) {
    x->stats.answers++;
    x->stats.answered_messages += cnt;
  }
}

/* ---- snapshots ---- */

uint8_t *sim_snapshot_reserve(sim_exchange *x, uint32_t len) {
  struct sim_snapshot *s = x->recovery.making;
  uint32_t room = SOUPBINTCP_SEQUENCED_DATA_LEN + len;
  if (s->len + room > s->room) { /* the simulator may allocate here; it is not the path that is measured */
    uint32_t grown = s->room ? 2 * s->room : 1u << 20;
    uint8_t *data = realloc(s->data, grown);
    if (!data) abort();
    s->data = data;
    s->room = grown;
  }
  uint8_t *p = s->data + s->len;
  soupbintcp_sequenced_data_packet_length_set(p, (uint16_t)(room - SOUPBINTCP_LENGTH_SZ));
  soupbintcp_sequenced_data_packet_type_set(p, SOUPBINTCP_SEQUENCED_DATA_CODE);
  s->len += room;
  return p + SOUPBINTCP_SEQUENCED_DATA_LEN;
}

static void orders_add(sim_exchange *x, uint32_t symbol, uint32_t side) {
  const struct sim_book *book = &x->book;
  for (uint32_t level = book->halves[symbol * 2 + side].best; level != SIM_NIL; level = book->levels[level].worse)
    for (uint32_t i = book->levels[level].head[0]; i != SIM_NIL; i = book->orders[i].next)
      sim_itch_add(x, &book->orders[i]);
}

static void snapshot_make(sim_exchange *x, struct sim_snapshot *client) {
  uint8_t packet[SOUPBINTCP_LOGIN_ACCEPTED_LEN];
  char number[21];
  x->recovery.making = client;
  snprintf(number, sizeof number, "%20u", 1u);
  soupbintcp_login_accepted_packet_length_set(packet, SOUPBINTCP_LOGIN_ACCEPTED_LEN - SOUPBINTCP_LENGTH_SZ);
  soupbintcp_login_accepted_packet_type_set(packet, SOUPBINTCP_LOGIN_ACCEPTED_CODE);
  memcpy(packet + SOUPBINTCP_LOGIN_ACCEPTED_SESSION_OFF, x->cfg.session, sizeof x->cfg.session);
  memcpy(packet + SOUPBINTCP_LOGIN_ACCEPTED_SEQUENCE_NUMBER_OFF, number, 20);
  sim_snapshot_reserve(x, sizeof packet); /* room; what is in front of it is overwritten */
  client->len = sizeof packet;
  memcpy(client->data, packet, sizeof packet);
  for (uint32_t i = 0; i < x->symbol_cnt; i++) {
    sim_itch_directory(x, i);
    sim_itch_trading(x, i, ITCH50_TRADING_STATE_TRADING);
  }
  for (uint32_t i = 0; i < x->symbol_cnt; i++) {
    orders_add(x, i, SIM_BUY);
    orders_add(x, i, SIM_SELL);
  }
  uint8_t *end = sim_snapshot_reserve(x, GLIMPSE_END_OF_SNAPSHOT_LEN);
  char text[GLIMPSE_END_OF_SNAPSHOT_LEN + 1];
  snprintf(text, sizeof text, "%c%20llu", GLIMPSE_END_OF_SNAPSHOT_CODE, (unsigned long long)x->publish.next_seq);
  memcpy(end, text, GLIMPSE_END_OF_SNAPSHOT_LEN);
  x->recovery.making = NULL;
  x->stats.snapshots++;
}

static bool may_log_in(const sim_exchange *x, const uint8_t *packet) {
  for (uint32_t i = 0; i < x->cfg.user_cnt; i++)
    if (memcmp(x->cfg.users[i].name, soupbintcp_login_request_username(packet), sizeof x->cfg.users[i].name) == 0 &&
        memcmp(x->cfg.users[i].password, soupbintcp_login_request_password(packet), sizeof x->cfg.users[i].password) ==
            0)
      return !x->is_capture && x->flow.opened;
  return false;
}

static void client_read(sim_exchange *x, struct sim_snapshot *client) {
  ssize_t got = recv(client->fd, client->in + client->in_len, sizeof client->in - client->in_len, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    client_close(client);
    return;
  }
  client->in_len += (uint32_t)got;
  if (client->data) {
    client->in_len = 0; /* heartbeats, a logout */
  } else if (client->in_len >= SOUPBINTCP_LOGIN_REQUEST_LEN) {
    if (may_log_in(x, client->in)) {
      snapshot_make(x, client);
      client->in_len = 0;
    } else {
      uint8_t packet[SOUPBINTCP_LOGIN_REJECTED_LEN];
      soupbintcp_login_rejected_packet_length_set(packet, SOUPBINTCP_LOGIN_REJECTED_LEN - SOUPBINTCP_LENGTH_SZ);
      soupbintcp_login_rejected_packet_type_set(packet, SOUPBINTCP_LOGIN_REJECTED_CODE);
      soupbintcp_login_rejected_reject_reason_code_set(packet, SOUPBINTCP_REJECT_REASON_NOT_AUTHORISED);
      (void)send(client->fd, packet, sizeof packet, MSG_DONTWAIT | MSG_NOSIGNAL);
      client_close(client);
    }
  }
}

static void client_write(struct sim_snapshot *client) {
  while (client->sent < client->len) {
    ssize_t sent =
        send(client->fd, client->data + client->sent, client->len - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      client->sent += (uint32_t)sent;
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) client_close(client);
    return;
  }
  shutdown(client->fd, SHUT_WR);
}

static void requests_answer(sim_exchange *x) {
  for (uint32_t i = 0; i < REQUESTS_MAX; i++) {
    uint8_t request[64];
    struct sockaddr_in from;
    socklen_t from_sz = sizeof from;
    ssize_t got =
        recvfrom(x->recovery.request_fd, request, sizeof request, MSG_DONTWAIT, (struct sockaddr *)&from, &from_sz);
    if (got < 0) return;
    if (got == MOLDUDP64_REQUEST_PACKET_LEN) answer(x, request, &from);
  }
}

static void client_accept(sim_exchange *x, struct sim_snapshot *client) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = SIM_RECOVERY_ID};
  client->fd = accept4(x->recovery.snapshot_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (client->fd >= 0 && epoll_ctl(x->epoll_fd, EPOLL_CTL_ADD, client->fd, &event)) client_close(client);
}

void sim_recovery_poll(sim_exchange *x) {
  struct sim_recovery *r = &x->recovery;
  bool is_called = r->is_called;
  bool is_drained = false; /* accepts what waits, until a call finds none: each costs a microsecond */
  r->is_called = false;
  if (is_called && r->request_fd >= 0) requests_answer(x);
  for (uint32_t i = 0; r->snapshot_fd >= 0 && i < SIM_SNAPSHOTS_MAX; i++) {
    struct sim_snapshot *client = &r->client[i];
    if (client->fd < 0 && is_called && !is_drained) {
      client_accept(x, client);
      is_drained = client->fd < 0;
    }
    if (client->fd >= 0 && is_called) client_read(x, client);
    if (client->fd >= 0 && client->data) client_write(client);
  }
}
