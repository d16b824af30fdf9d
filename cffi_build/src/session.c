/* session.c: the order session: a client over non-blocking TCP in the pipeline's thread, whatever it speaks (protocol.h).
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: passed orders, the venue's bytes in whatever pieces TCP delivers them, the gateway clock as an argument.
 * Output: packets to the venue, events of session_orders.c in the venue's order. States: none -> connecting -> login
 * sent -> up. Up means confirmed: the login was accepted at the sequence number asked for, and the account query sent
 * after it was answered, so that the next UserRefNum is known. up -> lost -> connecting again after reconnect_ms,
 * doubled with every failure; the new login asks for the same session and the next number, so no message is missed or
 * comes twice. Ends: closed (logout, end of session), rejected (login refused), lost without reconnect. How an order
 * goes out: session_send.c. Never blocks, allocates or raises a signal after open. Cost of a poll: one recv, and one
 * send when bytes wait. At the limit: a full send buffer drops orders (the last quarter takes cancels only);
 * events that do not fit the caller's room stay in the receive buffer. A packet that cannot be at its place closes the
 * connection. A link given up for lost is reset, so that nothing old is delivered late. Thread: the pipeline's.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session.h"

void hwgw_session_mass_refused(struct hwgw_session *session, uint64_t *counters) {
  session->cfg.mass_cancel = false;
  session->is_mass_refused = true;
  counters[HWGW_CNT_SESSION_MASS_CANCEL_REJECTS]++;
}

bool hwgw_session_elapsed(uint64_t now_ns, uint64_t since_ns, uint64_t ns) {
  return now_ns > since_ns && now_ns - since_ns >= ns;
}

/* ---- open and close ---- */

static bool is_text(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (text[i] < ' ' || text[i] > '~') return false;
  return true;
}

static const struct hwgw_protocol *protocol_of(uint32_t protocol) {
  static const struct hwgw_protocol *const known[] = {
      [HWGW_PROTOCOL_OUCH50] = &hwgw_protocol_ouch50,
      [HWGW_PROTOCOL_OUCH42] = &hwgw_protocol_ouch42,
      [HWGW_PROTOCOL_FIX42] = &hwgw_protocol_fix42,
      [HWGW_PROTOCOL_FIX44] = &hwgw_protocol_fix44,
  };
  return protocol < sizeof known / sizeof *known ? known[protocol] : NULL;
}

static bool is_fix(const struct hwgw_session_cfg *cfg) {
  return cfg->protocol == HWGW_PROTOCOL_FIX42 || cfg->protocol == HWGW_PROTOCOL_FIX44;
}

static bool is_id(const char *id) {
  size_t len = strnlen(id, FIX_ID_SZ);
  for (size_t i = 0; i < len; i++)
    if (id[i] <= ' ' || id[i] > '~' || id[i] == '=') return false;
  return len > 0;
}

static int32_t check(const struct hwgw_session_cfg *cfg, struct hwgw_error *error) {
  const char *wrong = NULL;
  if (cfg->address == 0 || cfg->port == 0)
    wrong = "address and port must be given";
  else if (!protocol_of(cfg->protocol))
    wrong = "protocol is none of enum hwgw_protocol_id";
  else if (!is_text(cfg->username, sizeof cfg->username))
    wrong = "username is not printable ASCII padded with spaces";
  else if (!is_text(cfg->password, sizeof cfg->password))
    wrong = "password is not printable ASCII padded with spaces";
  else if (!is_text(cfg->requested_session, sizeof cfg->requested_session))
    wrong = "requested_session is not printable ASCII padded with spaces";
  else if (!is_text(cfg->firm, sizeof cfg->firm))
    wrong = "firm is not printable ASCII padded with spaces";
  else if (cfg->disable_on_halt && (cfg->protocol != HWGW_PROTOCOL_OUCH50 || cfg->firm[0] == ' '))
    wrong = "disable_on_halt is of OUCH 5.0 with a firm";
  else if (!memchr("APRO", cfg->capacity, 4))
    wrong = "capacity is none of A, P, R, O";
  else if (!memchr("YNA", cfg->display, 3))
    wrong = "display is none of Y, N, A";
  else if (is_fix(cfg) && (!is_id(cfg->sender) || !is_id(cfg->target)))
    wrong = "sender and target must be 1 to 16 printable characters without = and blanks";
  else if (is_fix(cfg) && (cfg->heartbeat_s == 0 || cfg->heartbeat_s > 3600))
    wrong = "heartbeat_s must be 1 to 3,600";
  else if (is_fix(cfg) && cfg->dead_link_ms <= cfg->heartbeat_s * 1200)
    wrong = "dead_link_ms must be above 1.2 times the heartbeat, after which the venue is asked";
  else if (!cfg->backup_address != !cfg->backup_port || (cfg->backup_port && !cfg->reconnect_ms))
    wrong = "a backup has an address and a port, and needs reconnect_ms";
  else if (cfg->throttle_ns && (cfg->throttle_burst == 0 || cfg->throttle_reserve >= cfg->throttle_burst))
    wrong = "throttle_burst must be above throttle_reserve";
  else if (cfg->login_timeout_ms == 0)
    wrong = "login_timeout_ms must be at least 1";
  else if (cfg->dead_link_ms <= SOUPBINTCP_HEARTBEAT_INTERVAL_MS)
    wrong = "dead_link_ms must be above the 1,000 ms between two heartbeats";
  else if (cfg->instrument_cnt == 0 || !cfg->symbols)
    wrong = "there must be at least one symbol";
  else if (!is_text(cfg->symbols, 8 * (size_t)cfg->instrument_cnt))
    wrong = "symbols are not printable ASCII padded with spaces";
  return wrong ? hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "order session: %s", wrong) : HWGW_OK;
}

/* nobody else writes to the connection from here on; false: nobody knows what they have written */
static bool take_back(struct hwgw_session *session) {
  return !session->take_back || session->take_back(session->borrower);
}

int32_t hwgw_session_open(struct hwgw_session **session, const struct hwgw_session_cfg *cfg, struct hwgw_error *error) {
  *session = NULL;
  int32_t status = check(cfg, error);
  if (status != HWGW_OK) return status;
  size_t sz = (sizeof **session + HWGW_BLOCK_ALIGN - 1) / HWGW_BLOCK_ALIGN * HWGW_BLOCK_ALIGN;
  struct hwgw_session *self = aligned_alloc(HWGW_BLOCK_ALIGN, sz);
  if (!self) return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "order session: no memory for %zu bytes", sz);
  memset(self, 0, sz); /* touches every page, so that the data path never faults one in */
  self->fd = -1;
  self->state = HWGW_SEGMENT_SESSION_STATE_NONE;
  self->reason = "not connected yet";
  self->backoff = 1;
  self->next_seq = cfg->requested_seq;
  self->cfg = *cfg;
  memcpy(self->own_session, cfg->requested_session, sizeof self->own_session);
  self->protocol = protocol_of(cfg->protocol);
  self->orders.protocol = self->protocol;
  self->orders.symbols = cfg->symbols;
  if (cfg->disable_on_halt) self->orders.entry = HWGW_SEGMENT_ENTRY_STATE_UNKNOWN;
  self->protocol->init(self);
  *session = self;
  return HWGW_OK;
}

void hwgw_session_close(struct hwgw_session *session) {
  if (!session) return;
  if (session->fd >= 0) {
    (void)take_back(session);
    close(session->fd);
  }
  free(session);
}

/* ---- the connection ---- */

static void tx_empty(struct hwgw_session *session) {
  session->tx_head = session->tx_tail = session->tx_whole = 0;
}

void hwgw_session_disconnect(struct hwgw_session *session, uint32_t state, const char *reason) {
  session->orders.entry =
      session->cfg.disable_on_halt ? HWGW_SEGMENT_ENTRY_STATE_UNKNOWN : HWGW_SEGMENT_ENTRY_STATE_ENABLED;
  session->orders.entry_refused = 0; /* asked again after the next login */
  if (session->fd >= 0) {
    (void)take_back(session);
    close(session->fd);
  }
  session->fd = -1;
  session->link_down = false;
  session->confirmed = false;
  tx_empty(session);
  session->rx_head = session->rx_tail = 0;
  session->state = state;
  session->reason = reason;
  hwgw_session_orders_doubt(&session->orders);
}

/* ---- two addresses ---- */

uint32_t hwgw_session_address(const struct hwgw_session *session) {
  return session->is_backup ? session->cfg.backup_address : session->cfg.address;
}

uint16_t hwgw_session_port(const struct hwgw_session *session) {
  return session->is_backup ? session->cfg.backup_port : session->cfg.port;
}

static void change_address(struct hwgw_session *session, uint64_t *counters) {
  if (!session->cfg.backup_port) return;
  session->is_backup = !session->is_backup;
  counters[HWGW_CNT_SESSION_ADDRESS_CHANGES]++;
}

void hwgw_session_refused(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters, const char *reason) {
  counters[HWGW_CNT_SESSION_LOGIN_REJECTS]++;
  if (session->cfg.backup_port && !session->is_refused) {
    session->is_refused = true;
    hwgw_session_lose(session, now_ns, counters, reason); /* which changes the address */
  } else {
    hwgw_session_disconnect(session, HWGW_SEGMENT_SESSION_STATE_REJECTED, reason);
  }
}

/* the connection or the attempt failed: now lost, with the time of the next attempt; one that was up is tried again where
 * it was */
void hwgw_session_lose(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters, const char *reason) {
  if (session->state == HWGW_SEGMENT_SESSION_STATE_LOGGING_OUT) {
    hwgw_session_disconnect(session, HWGW_SEGMENT_SESSION_STATE_CLOSED, session->link_down ? "logged out" : reason);
    return;
  }
  bool is_attempt = session->state == HWGW_SEGMENT_SESSION_STATE_CONNECTING;
  counters[is_attempt ? HWGW_CNT_SESSION_CONNECT_FAILURES : HWGW_CNT_SESSION_DISCONNECTS]++;
  if (session->state != HWGW_SEGMENT_SESSION_STATE_UP) change_address(session, counters);
  if (session->fd >= 0) { /* reset: what the kernel still holds is as lost as what we hold */
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(session->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  hwgw_session_disconnect(session, HWGW_SEGMENT_SESSION_STATE_LOST, reason);
  session->retry_ns = now_ns + (uint64_t)session->cfg.reconnect_ms * session->backoff * NS_PER_MS;
  if (session->backoff < HWGW_SESSION_BACKOFF_MAX) session->backoff *= 2;
}

uint32_t hwgw_session_backlog(const struct hwgw_session *session) {
  return session->tx_tail - session->tx_head;
}

/* room for one packet of at most HWGW_PACKET_SZ_MAX bytes when reserve bytes are to stay free, or NULL */
uint8_t *hwgw_session_room(struct hwgw_session *session, uint32_t reserve) {
  if (hwgw_session_backlog(session) + HWGW_PACKET_SZ_MAX + reserve > HWGW_SESSION_TX_SZ) return NULL;
  if (HWGW_UNLIKELY(session->tx_tail + HWGW_PACKET_SZ_MAX > HWGW_SESSION_TX_SZ)) {
    memmove(session->tx, session->tx + session->tx_head, hwgw_session_backlog(session));
    session->tx_tail -= session->tx_head;
    session->tx_whole -= session->tx_head;
    session->tx_head = 0;
  }
  return session->tx + session->tx_tail;
}

static void connected(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters) {
  counters[HWGW_CNT_SESSION_CONNECTS]++;
  session->state = HWGW_SEGMENT_SESSION_STATE_LOGIN_SENT;
  session->reason = "waiting for the answer to the login";
  session->deadline_ns = now_ns + (uint64_t)session->cfg.login_timeout_ms * NS_PER_MS;
  session->last_rx_ns = now_ns;
  session->last_tx_ns = now_ns;
  session->protocol->login(session, now_ns);
  hwgw_session_flush(session, now_ns, counters);
}

static void connect_start(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters) {
  static const int on = 1, tx_sz = HWGW_SESSION_KERNEL_TX_SZ;
  session->state = HWGW_SEGMENT_SESSION_STATE_CONNECTING;
  session->reason = "connecting";
  session->deadline_ns = now_ns + (uint64_t)session->cfg.login_timeout_ms * NS_PER_MS;
  session->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons(hwgw_session_port(session)),
                                .sin_addr.s_addr = htonl(hwgw_session_address(session))};
  if (session->fd < 0 || setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
      setsockopt(session->fd, SOL_SOCKET, SO_SNDBUF, &tx_sz, sizeof tx_sz) != 0 ||
      (connect(session->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS))
    hwgw_session_lose(session, now_ns, counters, strerrordesc_np(errno));
}

static void connect_check(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters) {
  static const int on = 1;
  struct pollfd ready = {.fd = session->fd, .events = POLLOUT};
  int cause = 0;
  socklen_t cause_sz = sizeof cause;
  if (poll(&ready, 1, 0) == 1) {
    if (getsockopt(session->fd, SOL_SOCKET, SO_ERROR, &cause, &cause_sz) != 0) cause = errno;
    if (cause) {
      hwgw_session_lose(session, now_ns, counters, strerrordesc_np(cause));
    } else { /* the answer to the login is acknowledged at once; the kernel decides later ones */
      (void)setsockopt(session->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
      connected(session, now_ns, counters);
    }
  } else if (now_ns >= session->deadline_ns) {
    hwgw_session_lose(session, now_ns, counters, "the connection attempt timed out");
  }
}

void hwgw_session_give_up(struct hwgw_session *session, const char *reason) {
  session->link_down = true;
  session->reason = reason;
}

/* the kernel's verdict on a send or a recv that failed */
static void failed(struct hwgw_session *session, int cause) {
  hwgw_session_give_up(session, strerrordesc_np(cause));
}

/* bytes of the packet of ours at that place of the send buffer */
static uint32_t waiting_len(const struct hwgw_session *session, uint32_t at) {
  return session->protocol->packet_len(session->tx + at, session->tx_tail - at);
}

void hwgw_session_flush(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters) {
  if (session->tx_head == session->tx_tail || session->link_down || session->fd < 0) return;
  if (HWGW_UNLIKELY(!take_back(session))) return;
  ssize_t sent =
      send(session->fd, session->tx + session->tx_head, hwgw_session_backlog(session), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
      counters[HWGW_CNT_SESSION_TX_BLOCKED]++;
    else if (errno != EINTR)
      failed(session, errno);
    return;
  }
  counters[HWGW_CNT_SESSION_TX_BYTES] += (uint64_t)sent;
  session->last_tx_ns = now_ns;
  session->tx_head += (uint32_t)sent;
  while (session->tx_whole < session->tx_head) session->tx_whole += waiting_len(session, session->tx_whole);
  if (session->tx_head == session->tx_tail)
    tx_empty(session);
  else
    counters[HWGW_CNT_SESSION_TX_BLOCKED]++;
}

void hwgw_session_withdraw(struct hwgw_session *session) {
  uint32_t kept = session->tx_whole, len;
  for (uint32_t at = session->tx_whole; at < session->tx_tail; at += len) {
    const uint8_t *data = session->tx + at;
    len = waiting_len(session, at);
    uint32_t ref = session->protocol->waiting_ref(data, len);
    if (ref) {
      hwgw_session_orders_withdraw(&session->orders, ref);
      if (session->protocol->fill) {
        uint8_t instead[HWGW_PACKET_SZ_MAX];
        uint32_t instead_len = session->protocol->fill(session, data, len, instead);
        memcpy(session->tx + kept, instead, instead_len);
        kept += instead_len;
      }
    } else {
      memmove(session->tx + kept, data, len);
      kept += len;
    }
  }
  session->tx_tail = kept;
  if (session->tx_head == session->tx_tail) tx_empty(session);
}

/* true when there may be more to read; a link that is down is read to its end first */
static bool receive(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters) {
  if (session->rx_head == session->rx_tail) {
    session->rx_head = session->rx_tail = 0;
  } else if (session->rx_tail == HWGW_SESSION_RX_SZ && session->rx_head >= HWGW_SESSION_RX_SZ / 2) {
    memmove(session->rx, session->rx + session->rx_head, session->rx_tail - session->rx_head);
    session->rx_tail -= session->rx_head;
    session->rx_head = 0;
  }
  uint32_t room = HWGW_SESSION_RX_SZ - session->rx_tail;
  if (room == 0) return true; /* whole packets wait for room among the caller's events */
  ssize_t got = recv(session->fd, session->rx + session->rx_tail, room, MSG_DONTWAIT);
  if (got > 0) {
    counters[HWGW_CNT_SESSION_RX_BYTES] += (uint64_t)got;
    session->rx_tail += (uint32_t)got;
    session->last_rx_ns = now_ns;
    return true;
  }
  if (session->link_down) return false; /* for a reason that is known already */
  if (got == 0) {
    session->link_down = true;
    session->reason = "the venue closed the connection";
  } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
    failed(session, errno);
  }
  return false;
}

/* ---- packets ---- */

void hwgw_session_framing_error(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters) {
  counters[HWGW_CNT_SESSION_DROP_FRAMING]++;
  hwgw_session_lose(session, now_ns, counters, "the venue sent a packet that cannot be at its place");
}

/* ---- journal: what the venue said, before anything is made of it ---- */

void hwgw_session_record_login(struct hwgw_session *session, uint64_t now_ns) {
  if (!session->journal) return;
  struct hwgw_journal_login login = {.seq = session->next_seq,
                                     .login = session->login,
                                     .address = hwgw_session_address(session),
                                     .port = hwgw_session_port(session),
                                     .venue = session->number};
  memcpy(login.session, session->cfg.requested_session, sizeof login.session);
  memcpy(login.username, session->cfg.username, sizeof login.username);
  journal_keep(session->journal, HWGW_JOURNAL_RECORD_TYPE_LOGIN, 0, now_ns, &login, sizeof login);
}

void hwgw_session_record_number(struct hwgw_session *session, uint32_t seq, uint32_t ref) {
  if (!session->journal) return;
  struct hwgw_journal_number number = {.seq = seq, .ref = ref, .venue = session->number};
  journal_keep(session->journal, HWGW_JOURNAL_RECORD_TYPE_NUMBER, 0, session->now_ns, &number, sizeof number);
}

static void record_message(struct hwgw_session *session, const uint8_t *message, uint32_t len, uint64_t now_ns) {
  if (!session->journal) return;
  struct hwgw_journal_venue head = {
      .seq = session->next_seq, .len = (uint16_t)len, .venue = session->number, .login = session->login};
  journal_keep_two(session->journal, HWGW_JOURNAL_RECORD_TYPE_VENUE, now_ns, &head, sizeof head, message, len);
}

bool hwgw_session_begin_anew(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters) {
  uint32_t unknown_cnt;
  if (!session->is_restored || hwgw_session_orders_open(&session->orders, &unknown_cnt)) return false;
  session->is_restored = false;
  memcpy(session->cfg.requested_session, session->own_session, sizeof session->own_session);
  session->next_seq = session->cfg.requested_seq;
  session->login = 0;
  hwgw_session_lose(session, now_ns, counters, "the session of the journal is over: the current one is asked for");
  session->state = HWGW_SEGMENT_SESSION_STATE_NONE; /* at once, and also when nothing is ever connected again */
  return true;
}

void hwgw_session_up(struct hwgw_session *session) {
  session->state = HWGW_SEGMENT_SESSION_STATE_UP;
  session->reason = "up";
  session->backoff = 1;
  session->is_refused = false;
}

bool hwgw_session_sequenced(struct hwgw_session *session, const uint8_t *message, uint32_t len, uint64_t now_ns,
                            uint64_t *counters, struct hwgw_order *event) {
  record_message(session, message, len, now_ns);
  counters[HWGW_CNT_SESSION_SEQUENCED]++;
  session->next_seq++;
  if (session->state == HWGW_SEGMENT_SESSION_STATE_LOGIN_SENT) /* a replay may take longer than a login */
    session->deadline_ns = now_ns + (uint64_t)session->cfg.login_timeout_ms * NS_PER_MS;
  if (!hwgw_session_orders_message(&session->orders, message, len, counters, event)) {
    if (HWGW_UNLIKELY(session->orders.refused == HWGW_ORDER_KIND_MASS_CANCEL))
      hwgw_session_mass_refused(session, counters);
    session->orders.refused = 0;
    return false;
  }
  if (event->kind == HWGW_ORDER_KIND_HALT && event->ref >= session->next_ref) /* somebody used this number */
    session->next_ref = event->ref < UINT32_MAX ? event->ref + 1 : UINT32_MAX;
  return true;
}

static uint32_t events_take(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters,
                            struct hwgw_order *events, uint32_t max) {
  uint32_t cnt = 0;
  while (cnt < max) {
    struct hwgw_order *event = &events[cnt];
    bool filled = hwgw_session_orders_follow(&session->orders, counters, event);
    if (!filled) {
      const uint8_t *data = session->rx + session->rx_head;
      uint32_t have = session->rx_tail - session->rx_head;
      uint32_t len = session->protocol->packet_len(data, have);
      if (len == HWGW_PACKET_NONE) {
        hwgw_session_framing_error(session, now_ns, counters);
        break;
      }
      if (len == 0) break;
      session->rx_head += len; /* before packet, which may close the connection and empty the buffer */
      filled = session->protocol->packet(session, data, len, now_ns, counters, event);
    }
    if (filled) {
      event->ts_ns = now_ns;
      event->seq = session->next_seq - 1;
      cnt++;
    }
  }
  return cnt;
}

/* ---- timers ---- */

static void verdict(struct hwgw_session *session, bool is_more, uint64_t now_ns, uint64_t *counters) {
  uint64_t dead_link_ns = (uint64_t)session->cfg.dead_link_ms * NS_PER_MS;
  if (session->link_down && !is_more)
    hwgw_session_lose(session, now_ns, counters, session->reason);
  else if (session->state != HWGW_SEGMENT_SESSION_STATE_UP && now_ns >= session->deadline_ns)
    hwgw_session_lose(session, now_ns, counters, "the venue did not answer in time");
  else if (hwgw_session_elapsed(now_ns, session->last_rx_ns, dead_link_ns))
    hwgw_session_lose(session, now_ns, counters, "dead link: the venue has been silent for too long");
  else if (hwgw_session_backlog(session) && hwgw_session_elapsed(now_ns, session->last_tx_ns, dead_link_ns))
    hwgw_session_lose(session, now_ns, counters, "dead link: the venue has not read for too long");
}

static bool is_linked(const struct hwgw_session *session) {
  return session->fd >= 0 && session->state != HWGW_SEGMENT_SESSION_STATE_CONNECTING;
}

/* ---- public ---- */

uint32_t hwgw_session_poll(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters, struct hwgw_order *events,
                           uint32_t max) {
  session->now_ns = now_ns;
  switch (session->state) {
    case HWGW_SEGMENT_SESSION_STATE_NONE:
      connect_start(session, now_ns, counters);
      break;
    case HWGW_SEGMENT_SESSION_STATE_LOST:
      if (session->cfg.reconnect_ms && now_ns >= session->retry_ns) connect_start(session, now_ns, counters);
      break;
    case HWGW_SEGMENT_SESSION_STATE_CONNECTING:
      connect_check(session, now_ns, counters);
      break;
    case HWGW_SEGMENT_SESSION_STATE_LOGGING_OUT:
      if (session->deadline_ns == 0)
        session->deadline_ns = now_ns + (uint64_t)session->cfg.login_timeout_ms * NS_PER_MS;
      break;
    default:
      break;
  }
  bool is_more = is_linked(session) && receive(session, now_ns, counters);
  uint32_t cnt = events_take(session, now_ns, counters, events, max);
  if (is_linked(session) && cnt < max)
    verdict(session, is_more, now_ns, counters); /* else more waits: it would be early */
  if (is_linked(session)) session->protocol->timers(session, now_ns, counters);
  hwgw_session_flush(session, now_ns, counters);
  return cnt;
}

uint32_t hwgw_order_encode(const struct hwgw_session *session, const struct hwgw_order *order, uint8_t *out) {
  return session->protocol->encode(session, order, out);
}

uint32_t hwgw_session_decode(const struct hwgw_session *session, const uint8_t *message, uint32_t len,
                             struct hwgw_order *event) {
  struct hwgw_said said;
  return session->protocol->decode(message, len, event, &said);
}

uint32_t hwgw_session_state(const struct hwgw_session *session) {
  return session->state;
}

const char *hwgw_session_reason(const struct hwgw_session *session) {
  return session->reason;
}

uint32_t hwgw_session_next_ref(const struct hwgw_session *session) {
  uint32_t above = session->last_ref < UINT32_MAX ? session->last_ref + 1 : UINT32_MAX;
  return above > session->next_ref ? above : session->next_ref;
}

uint64_t hwgw_session_next_seq(const struct hwgw_session *session) {
  return session->next_seq;
}

void hwgw_session_logout(struct hwgw_session *session) {
  switch (session->state) {
    case HWGW_SEGMENT_SESSION_STATE_LOGIN_SENT:
    case HWGW_SEGMENT_SESSION_STATE_UP: {
      uint8_t *out = hwgw_session_room(session, 0);
      if (!out || session->link_down) {
        hwgw_session_disconnect(session, HWGW_SEGMENT_SESSION_STATE_CLOSED,
                                "closed without logout: the link takes nothing");
        break;
      }
      session->protocol->logout(session);
      session->state = HWGW_SEGMENT_SESSION_STATE_LOGGING_OUT;
      session->reason = "logging out";
      session->deadline_ns = 0;
      break;
    }
    case HWGW_SEGMENT_SESSION_STATE_NONE:
    case HWGW_SEGMENT_SESSION_STATE_CONNECTING:
    case HWGW_SEGMENT_SESSION_STATE_LOST:
      hwgw_session_disconnect(session, HWGW_SEGMENT_SESSION_STATE_CLOSED, "closed before it was up");
      break;
    default:
      break;
  }
}
