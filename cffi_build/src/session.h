/* session.h: the order session's own state; private to session*.c and to the fuzzer that feeds it bytes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_SESSION_H
#define HWGW_SESSION_H

#include "base.h"
#include "hwgw_order_model.h"
#include "journal.h"
#include "order.h"
#include "soup.h"

#define HWGW_SESSION_PACKET_MAX SOUP_PACKET_MAX
#define HWGW_SESSION_RX_SZ SOUP_RX_SZ
/* orders that wait in our buffer or the kernel's go stale, so both are small: some 500 orders here, the same there */
#define HWGW_SESSION_TX_SZ 32768
#define HWGW_SESSION_TX_CANCEL_SZ 8192 /* of it, room that only cancels, heartbeats and logins may use */
#define HWGW_SESSION_KERNEL_TX_SZ 32768
#define HWGW_SESSION_BACKOFF_MAX 32 /* reconnect_ms doubles with every failure up to this multiple */

#define HWGW_SESSION_ORDERS HWGW_RISK_OPEN_ORDERS_MAX
/* only the last so many can be broken; at 10 a second, the fills of 27 minutes */
#define HWGW_SESSION_EXECUTIONS 16384

#define NS_PER_MS 1000000u

/* an order this session sent and the venue has not ended; slot = ref mod HWGW_SESSION_ORDERS */
struct hwgw_own_order {
  uint32_t ref;
  uint32_t orig_ref; /* of a replace without an answer yet, else 0 */
  uint32_t leaves;   /* sent: quantity as sent */
  uint32_t total;    /* quantity as sent */
  uint32_t instrument;
  uint16_t replace_idx; /* slot + 1 of the newest replace of this order without an answer, 0 = none */
  uint16_t next_idx;    /* slot + 1 of the next in the list this one is in, 0 = last */
  char side_code;
  uint8_t state; /* enum hwgw_own_state; moves as hwgw_own_next says */
  uint8_t side;
  uint8_t flags;
  uint8_t account;
  uint8_t strategy;
  uint16_t options; /* set of enum hwgw_order_option; a replace keeps them */
};

/* what is needed when an execution is broken, or told again */
struct hwgw_own_execution {
  uint32_t ref;
  uint32_t qty; /* 0: it was broken */
  uint32_t px;
  uint32_t instrument;
  uint8_t side;
  uint8_t flags;
  uint8_t account;
  uint8_t strategy;
};

struct hwgw_session_orders {
  struct hwgw_own_order order[HWGW_SESSION_ORDERS];
  uint64_t match[HWGW_SESSION_EXECUTIONS]; /* apart from the rest, so that the search of a broken trade is short */
  struct hwgw_own_execution execution[HWGW_SESSION_EXECUTIONS];
  uint64_t execution_cnt;   /* executions ever remembered */
  struct hwgw_order follow; /* event that follows the last one; kind none when there is none */
  uint32_t open_cnt;        /* that have not ended */
  uint32_t last_ref;        /* the highest that was ever handed over */
  uint32_t withdrawn_idx;   /* slot + 1 of the first order the venue will never answer */
  uint32_t entry;           /* enum hwgw_segment_entry_state: whether the venue takes new orders of our firm */
  uint32_t entry_refused;   /* kind of the request to change that which it refused, 0 = none */
  uint32_t refused; /* kind of the request that the last message refuses, 0 = none: taken note of by the session */
  uint32_t request_ref[HWGW_ORDER_REQUESTS]; /* reference of the last request of each kind, from mass cancel on */
  const char *symbols;
  const struct hwgw_protocol *protocol;
};

/* remembers a request that was encoded, or that an earlier process had handed over */
void hwgw_session_orders_requested(struct hwgw_session_orders *orders, uint32_t kind, uint32_t ref);
/* true when the order can be sent and followed: its slot is free; the original of a replace is not ended, of the same
 * instrument and marked alike, because a replace keeps its original's side */
bool hwgw_session_orders_accept(const struct hwgw_session_orders *orders, const struct hwgw_order *order);
/* remembers an order or a replace that hwgw_session_orders_accept took and the encoder encoded */
void hwgw_session_orders_sent(struct hwgw_session_orders *orders, const struct hwgw_order *order);
/* one message from the venue: counts it under one counter of the ledger `sequenced`, and fills event (true) unless it
 * changes nothing. Call hwgw_session_orders_follow until false before the next message */
bool hwgw_session_orders_message(struct hwgw_session_orders *orders, const uint8_t *message, uint32_t len,
                                 uint64_t *counters, struct hwgw_order *event);
/* what follows from the last message without a message of its own */
bool hwgw_session_orders_follow(struct hwgw_session_orders *orders, uint64_t *counters, struct hwgw_order *event);
/* the link, or this process, is lost: of what was sent and has no answer nobody knows what became */
void hwgw_session_orders_doubt(struct hwgw_session_orders *orders);
/* the venue's next UserRefNum is next_ref: unknown orders from there on were lost on the way */
void hwgw_session_orders_lost(struct hwgw_session_orders *orders, uint32_t next_ref);
/* how many there are that have not ended, and of them the unknown ones */
uint32_t hwgw_session_orders_open(const struct hwgw_session_orders *orders, uint32_t *unknown_cnt);
/* the order with this ref that has not ended, or NULL */
const struct hwgw_own_order *hwgw_session_orders_find(const struct hwgw_session_orders *orders, uint32_t ref);

/* the order ref never went out: it follows as rejected, and what would replace it, too */
void hwgw_session_orders_withdraw(struct hwgw_session_orders *orders, uint32_t ref);

/* a halt event, reason state, about the order ref */
void hwgw_session_orders_halt(struct hwgw_order *event, uint32_t ref);

/* of a FIX session */
struct hwgw_session_fix {
  struct hwgw_order_fix order;
  uint32_t tx_seq;    /* of our next message */
  uint32_t gap_to;    /* highest number of the venue seen; above next_seq - 1: messages are missing and asked for */
  uint32_t test_id;   /* of our last test request */
  uint32_t mass_seq;  /* number of our last mass cancel, 0 = none */
  uint32_t logon_seq; /* number of our last logon: the venue has seen nothing of ours from there on */
  bool is_testing;    /* it is not answered */
  uint64_t now_ns;    /* of the last poll */
  uint32_t seq_of[HWGW_SESSION_ORDERS]; /* number of the message that sent the order of a slot */
};

struct hwgw_session {
  uint32_t state; /* enum hwgw_segment_session_state */
  int fd;         /* -1 when there is no socket */
  bool link_down; /* the peer closed or a call failed: use what was received, then go lost */
  bool confirmed; /* login accepted and sequence number agreed; up needs the account query's answer, too */
  uint32_t last_ref;
  uint32_t next_ref; /* smallest the venue takes */
  uint32_t login;    /* logins accepted so far */
  uint32_t tx_head;
  uint32_t tx_tail;
  uint32_t tx_whole; /* the first packet of which nothing was sent yet; tx_tail when there is none */
  uint32_t rx_head;
  uint32_t rx_tail;
  uint32_t backoff; /* multiple of reconnect_ms for the next failure */
  uint64_t next_seq;
  uint64_t deadline_ns; /* of a connect, a login or a logout; 0 = to be set by the next poll */
  uint64_t retry_ns;
  uint64_t last_rx_ns;
  uint64_t last_tx_ns; /* the kernel took something, or had nothing to take */
  const char *reason;
  const struct hwgw_protocol *protocol;
  struct hwgw_session_fix fix;
  struct hwgw_session_cfg cfg;  /* requested_session becomes the session's name at login */
  char own_session[10];         /* requested_session as it was configured */
  bool is_restored;             /* session and number are those of an earlier process */
  bool is_backup;               /* the address in use, or next to be tried, is the other one */
  bool is_refused;              /* the login was at the address before this one */
  uint64_t now_ns;              /* of the last poll */
  uint64_t paid_ns;             /* messages sent so far are paid for when it is this time */
  bool is_mass_refused;         /* the venue would not cancel everything at once: taken note of by the pipeline */
  struct hwgw_journal *journal; /* NULL = none: of pipelines alone */
  uint16_t number;              /* among the sessions of its pipeline */
  /* Who else may write to the connection, under a loan of its numbers (pipeline_loan.c), and how it is ended before bytes
   * of ours go into the socket or it is closed: nothing of theirs is under way then and all is told to the kernel, or
   * false: that is not known, and the link has been given up */
  bool (*take_back)(void *borrower);
  void *borrower; /* take_back NULL: nobody */
  struct hwgw_order_template template;
  uint8_t tx[HWGW_SESSION_TX_SZ + HWGW_PACKET_SZ_MAX];
  uint8_t rx[HWGW_SESSION_RX_SZ];
  struct hwgw_session_orders orders;
};

/* ---- for who sends beside the socket ---- */

/* the packet of an order that would be sent now; its length, 0 = it would not, or bytes before it wait. Changes nothing.
 * packet: HWGW_PACKET_SZ_MAX bytes */
uint32_t hwgw_session_offer(struct hwgw_session *session, const struct hwgw_order *order, uint8_t *packet);
/* it was sent beside the socket, len bytes */
void hwgw_session_lent(struct hwgw_session *session, const struct hwgw_order *order, uint32_t len, uint64_t now_ns,
                       uint64_t *counters);
/* nothing is written to the connection any more; what has come is used, then it is lost with this reason */
void hwgw_session_give_up(struct hwgw_session *session, const char *reason);

/* ---- for the links ---- */

/* room for one packet when reserve bytes are to stay free, or NULL; what is written there is sent once tx_tail has moved */
uint8_t *hwgw_session_room(struct hwgw_session *session, uint32_t reserve);
uint32_t hwgw_session_backlog(const struct hwgw_session *session);
/* at least ns between since_ns and now_ns */
bool hwgw_session_elapsed(uint64_t now_ns, uint64_t since_ns, uint64_t ns);
void hwgw_session_disconnect(struct hwgw_session *session, uint32_t state, const char *reason);
/* the connection failed: now lost, with the time of the next attempt; when logging out, closed */
void hwgw_session_lose(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters, const char *reason);
/* the venue sent what cannot be at its place */
void hwgw_session_framing_error(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters);
/* a message that counts in the venue's sequence; true when event is filled */
bool hwgw_session_sequenced(struct hwgw_session *session, const uint8_t *message, uint32_t len, uint64_t now_ns,
                            uint64_t *counters, struct hwgw_order *event);
/* the venue does not do a mass cancel: none is sent any more, and the pipeline is told */
void hwgw_session_mass_refused(struct hwgw_session *session, uint64_t *counters);
/* a message of ours takes a number that a later process has to know; ref: of the order in it, 0 = none */
void hwgw_session_record_number(struct hwgw_session *session, uint32_t seq, uint32_t ref);
/* all is known that has to be: up */
void hwgw_session_up(struct hwgw_session *session);
/* the venue refused the login: the other address is next, if there is one that has not refused, too; else the end */
void hwgw_session_refused(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters, const char *reason);
uint32_t hwgw_session_address(const struct hwgw_session *session);
uint16_t hwgw_session_port(const struct hwgw_session *session);
/* a login was accepted: puts on record which session goes on at which number */
void hwgw_session_record_login(struct hwgw_session *session, uint64_t now_ns);
/* The venue does not have the session of an earlier process any more. When nothing was left open in it, the current one is
 * asked for next (true) */
bool hwgw_session_begin_anew(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters);

/* ---- of an earlier process, from its journal (pipeline_restore.c) ---- */

/* a login that it had: the messages that follow are of this session, from seq on */
void hwgw_session_restore_login(struct hwgw_session *session, const char *name, uint64_t seq, uint32_t login);
/* a sequenced message that it had taken, as live; true when event is filled. Then hwgw_session_orders_follow */
bool hwgw_session_restore_message(struct hwgw_session *session, const uint8_t *message, uint32_t len,
                                  uint64_t *counters, struct hwgw_order *event);
/* a number that it had used */
void hwgw_session_restore_number(struct hwgw_session *session, uint32_t seq, uint32_t ref);
/* an order that it had handed over, or was about to; false when the order could not be followed */
bool hwgw_session_restore_order(struct hwgw_session *session, const struct hwgw_order *wire);
/* everything was told: what has no answer is unknown, and the next login resumes where the journal ends */
void hwgw_session_restore_end(struct hwgw_session *session, uint32_t last_ref);

#endif
