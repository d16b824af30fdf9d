/* pipeline_loan.c: orders that the card puts on the wire, on the order session's connection.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   The connection stays the kernel's (docs/decisions/0018); the card sends under a loan of its numbers, and what it sent is
 * told to the kernel at once. Where the seam is: an order is offered before its record goes to the card's gate
 * (pipeline_judge.c), is settled behind the verdict, and comes to send_order (pipeline_order.c) as one that has left. The only
 * other writer of the connection is hwgw_session_flush, which takes the loan back first.
 *   Record before bytes: the record `offer` is in the journal's ring before the card has the order; an order that cannot
 * be recorded is not offered. The verdict is put behind it. An offer without a verdict may have left. Orders of rules: pipeline_rule.c.
 *   What the card sends: new orders and replaces that its encoder says just as the session's does, when nothing waits in
 * the session and a loan is out. All else (cancels, options, quantities of a chain of replaces, market orders that the
 * card alone judges, whose price nobody else knows) leaves by the host, as every order does while there is no loan.
 *   What cannot be, each with its counter: it is not known what became of an order (loan.unknown), other bytes or numbers
 * than expected (loan.differs), the kernel does not take up what was sent (loan.untold). Then halt is latched (reason
 * card), and the connection is given up: the order is taken for sent, and the next login says what became of it. An order
 * that the card kept, which it says, is dropped by cause (order.drop_card_*).
 *   The loan: LOAN_NS long, prolonged at half of it, so a host that hangs stops the card; taken back when halted, and
 * before the host writes. Cost per order: a packet's encoding, the record, two writes, four system calls. Thread: the
 * pipeline's.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "card_send.h"
#include "halt.h"
#include "pipeline.h"
#include "pipeline_clock.h"
#include "risk.h"
#include "session.h"

#define LOAN_NS 100000000u   /* far below any dead link, and above what a busy machine keeps a thread waiting */
#define RETRY_NS 10000000u   /* between two attempts to lend a connection that cannot be lent */
#define ROUTE_NS 1000000000u /* a new route is seen after so long */
#define FRAME_CYCLES 64      /* a frame is 14 beats */
#define UNKNOWN "what the card sent on the connection is not known"

static struct hwgw_session *link_of(const struct hwgw_pipeline *p) {
  return p->session[0].link;
}

/* ---- what cannot be ---- */

/* from here on the order is one of those that the link lost: the next login says what became of it */
static void give_up(struct hwgw_pipeline *p, uint32_t counter, const char *text) {
  p->counters[counter]++;
  p->loan.state = LOAN_UNKNOWN;
  hwgw_halt(p->segment, HWGW_RISK_REASON_CARD, text);
  hwgw_session_give_up(link_of(p), UNKNOWN);
}

void pipeline_loan_lost(struct hwgw_pipeline *p) {
  if (!p->loan.is_out) return;
  p->loan.is_out = false;
  hwgw_session_give_up(link_of(p), "the card was lost, which could send on the connection");
}

/* ---- the loan ---- */

/* hwgw_session_flush and _disconnect: nothing of the card is under way any more, and the kernel knows all of it */
static bool take_back(void *borrower) {
  struct hwgw_pipeline *p = borrower;
  struct hwgw_sent sent;
  pipeline_rule_return(p); /* which may end the connection */
  if (!p->loan.is_out) return !link_of(p)->link_down;
  p->loan.is_out = false;
  p->counters[HWGW_CNT_LOAN_RETURNED]++;
  bool is_back = card_send_return(p->card.gate);
  if (HWGW_LIKELY(is_back && !card_send_take(p->card.gate, &sent, false))) return !link_of(p)->link_down;
  if (is_back) { /* each order was waited for */
    p->counters[HWGW_CNT_LOAN_DIFFERS]++;
    hwgw_halt(p->segment, HWGW_RISK_REASON_CARD, "the card tells of an order that was not offered to it");
  }
  hwgw_session_give_up(link_of(p), UNKNOWN);
  return false;
}

/* what lasts is for a person; the rest is tried again */
static bool unfit(struct hwgw_pipeline *p, const struct hwgw_error *error, uint64_t now_ns) {
  p->counters[HWGW_CNT_LOAN_UNFIT]++;
  p->loan.retry_ns = now_ns + RETRY_NS;
  if (error->status == HWGW_ERR_CONFIG || error->status == HWGW_ERR_PRIVILEGE)
    hwgw_halt(p->segment, HWGW_RISK_REASON_CARD, error->text);
  return false;
}

/* the card has the header of this connection's frames; another one only between two loans */
static int32_t route(struct hwgw_pipeline *p, uint64_t now_ns, struct hwgw_error *error) {
  struct pipeline_loan *loan = &p->loan;
  const struct hwgw_session *link = link_of(p);
  if (loan->login == link->login && now_ns - loan->header_ns < ROUTE_NS) return HWGW_OK;
  uint8_t header[HWGW_LOAN_HEADER_SZ];
  int32_t status = hwgw_loan_header(link->fd, header, &loan->ifindex, error);
  if (status) return status;
  if (loan->login != link->login || memcmp(loan->header, header, sizeof header) != 0) {
    if (!take_back(p) || !card_send_header(p->card.gate, header))
      return hwgw_error_set(error, HWGW_ERR_DEVICE, 0, "card: the header of its frames cannot be written");
    memcpy(loan->header, header, sizeof header);
    loan->login = link->login;
  }
  loan->header_ns = now_ns;
  return HWGW_OK;
}

/* a loan, or a longer one, of as much as the venue takes */
static bool lend(struct hwgw_pipeline *p, uint64_t now_ns) {
  struct pipeline_loan *loan = &p->loan;
  struct card_gate *gate = p->card.gate;
  struct hwgw_error error = {0};
  struct hwgw_loan_numbers numbers;
  pipeline_rule_return(p);
  if (link_of(p)->link_down) return false;
  if (route(p, now_ns, &error) || hwgw_loan_numbers(link_of(p)->fd, &numbers, &error)) return unfit(p, &error, now_ns);
  if (loan->is_out && numbers.seq != loan->next) {
    give_up(p, HWGW_CNT_LOAN_DIFFERS, "the connection's numbers have moved while they were lent");
    return false;
  }
  if (numbers.room < sizeof((struct hwgw_sent *)0)->packet) return false; /* the host's bytes wait in the socket */
  uint64_t expiry_ns = now_ns + LOAN_NS;
  uint32_t end = numbers.seq + numbers.room;
  bool is_renewed = loan->is_out && card_send_lend(gate, &numbers, end, expiry_ns, true);
  loan->is_out = is_renewed || card_send_lend(gate, &numbers, end, expiry_ns, false);
  if (!loan->is_out) {
    hwgw_error_set(&error, HWGW_ERR_DEVICE, 0, "card: it takes no loan");
    return unfit(p, &error, now_ns);
  }
  p->counters[is_renewed ? HWGW_CNT_LOAN_RENEWED : HWGW_CNT_LOAN_LENT]++;
  loan->next = numbers.seq;
  loan->end = end;
  loan->renew_ns = now_ns + LOAN_NS / 2;
  return true;
}

/* there is a loan under which a packet can leave */
static bool ensure(struct hwgw_pipeline *p, uint64_t now_ns) {
  const struct pipeline_loan *loan = &p->loan;
  bool has_room = loan->end - loan->next >= sizeof((struct hwgw_sent *)0)->packet;
  if (HWGW_LIKELY(loan->is_out && now_ns < loan->renew_ns && has_room)) return true;
  return now_ns >= loan->retry_ns && lend(p, now_ns);
}

/* ---- an order ---- */

void pipeline_loan_offer(struct hwgw_pipeline *p, const struct hwgw_order *order) {
  struct pipeline_loan *loan = &p->loan;
  loan->state = LOAN_NONE;
  if (HWGW_LIKELY(!loan->is_on) || p->card.is_lost || order->venue_ref) return;
  if (order->kind == HWGW_ORDER_KIND_REPLACE && *pipeline_executed(p, order->orig_ref)) return;
  bool is_market = order->type == HWGW_ORDER_TYPE_MARKET;
  if (is_market && p->card.is_alone) return;
  struct hwgw_order record = *order;
  if (is_market) record.reason = risk_slot(p->risk, order->ref)->px; /* as in the record of its verdict */
  card_send_time(p->card.gate, order->ts_ns);
  loan->len = hwgw_session_offer(link_of(p), order, loan->packet);
  if (loan->len == 0 || loan->len > sizeof((struct hwgw_sent *)0)->packet || !ensure(p, order->ts_ns)) return;
  if (!journal_keep(&p->journal, HWGW_JOURNAL_RECORD_TYPE_OFFER, 0, order->ts_ns, &record, sizeof record)) return;
  loan->state = LOAN_OFFERED;
  loan->ref = order->ref;
  card_send_switch(p->card.gate, true);
}

bool pipeline_loan_ready(struct hwgw_pipeline *p, uint64_t now_ns) {
  return ensure(p, now_ns);
}

void pipeline_loan_fired(struct hwgw_pipeline *p, const struct hwgw_order *order) {
  struct pipeline_loan *loan = &p->loan;
  loan->len = hwgw_order_encode(link_of(p), order, loan->packet);
  loan->ref = order->ref;
  loan->state = LOAN_OFFERED;
}

void pipeline_loan_stray(struct hwgw_pipeline *p) {
  card_send_switch(p->card.gate, false);
  give_up(p, HWGW_CNT_LOAN_UNKNOWN, "the card has made an order that none of its rules says");
}

/* frames of the simulated card, which has no wire of its own */
static void to_wire(struct hwgw_pipeline *p) {
  uint8_t frame[CARD_TX_FRAME_MAX];
  uint32_t len = card_send_frame(p->card.gate, frame, FRAME_CYCLES);
  struct sockaddr_ll to = {
      .sll_family = AF_PACKET, .sll_ifindex = p->loan.ifindex, .sll_halen = ETHERNET_ETHERNET_HEADER_DESTINATION_SZ};
  memcpy(to.sll_addr, frame + ETHERNET_ETHERNET_HEADER_DESTINATION_OFF, ETHERNET_ETHERNET_HEADER_DESTINATION_SZ);
  if (!len || sendto(p->loan.wire, frame, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to) != (ssize_t)len)
    p->counters[HWGW_CNT_LOAN_DROP_WIRE]++;
}

static void sent(struct hwgw_pipeline *p, const struct hwgw_sent *record) {
  struct pipeline_loan *loan = &p->loan;
  struct hwgw_error error;
  to_wire(p);
  if (record->seq != loan->next || record->length != loan->len ||
      memcmp(record->packet, loan->packet, loan->len) != 0) {
    char text[96];
    snprintf(text, sizeof text, "order %u: the card sent %u bytes at %u, %u at %u were expected, or other ones",
             loan->ref, record->length, record->seq, loan->len, loan->next);
    give_up(p, HWGW_CNT_LOAN_DIFFERS, text);
  } else if (hwgw_loan_tell(link_of(p)->fd, record->packet, record->length, &error)) {
    give_up(p, HWGW_CNT_LOAN_UNTOLD, error.text);
  } else {
    loan->next += loan->len;
    loan->state = LOAN_SENT;
    p->counters[HWGW_CNT_LOAN_ORDERS]++;
  }
}

bool pipeline_loan_settle(struct hwgw_pipeline *p, bool is_answered, bool is_passed) {
  struct pipeline_loan *loan = &p->loan;
  struct hwgw_sent record;
  if (HWGW_LIKELY(loan->state != LOAN_OFFERED)) return false;
  uint64_t from = pipeline_ticks(p);
  card_send_switch(p->card.gate, false);
  if (is_answered && !is_passed) {
    loan->state = LOAN_NONE;
  } else if (!is_answered || !card_send_take(p->card.gate, &record, true)) {
    give_up(p, HWGW_CNT_LOAN_UNKNOWN, "the card has not said what became of an order");
  } else if (record.outcome == HWGW_SENT_OUTCOME_SENT) {
    sent(p, &record);
    hist_record(p->hist[HWGW_SEGMENT_HIST_SESSION], pipeline_ticks(p) - from);
  } else if (record.outcome > HWGW_SENT_OUTCOME_SENT && record.outcome < HWGW_SENT_OUTCOME_CNT) {
    loan->state = LOAN_KEPT;
    loan->outcome = record.outcome;
    (void)take_back(p); /* the next order is lent anew */
  } else {
    give_up(p, HWGW_CNT_LOAN_UNKNOWN, "the card says what cannot be of an order that passed");
  }
  return loan->state == LOAN_SENT || loan->state == LOAN_UNKNOWN;
}

uint32_t pipeline_loan_outcome(struct hwgw_pipeline *p, const struct hwgw_order *wire) {
  if (p->loan.state == LOAN_KEPT) return HWGW_CNT_ORDER_DROP_CARD_ENCODE + p->loan.outcome - HWGW_SENT_OUTCOME_ENCODE;
  hwgw_session_lent(link_of(p), wire, p->loan.len, pipeline_now_ns(p), p->counters);
  return HWGW_CNT_ORDER_ENCODED;
}

/* ---- open, housekeeping, close ---- */

int32_t pipeline_loan_open(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error) {
  p->loan.wire = -1;
  if (!cfg->card_sends || !p->card.gate) return HWGW_OK;
  if (p->session_cnt != 1 || cfg->session[0].protocol != HWGW_PROTOCOL_OUCH50)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "the card sends on one order session, which speaks OUCH 5.0");
  int on = TCP_REPAIR_ON, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int refused = fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) ? errno : 0;
  if (fd >= 0) close(fd);
  if (!refused) p->loan.wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (!refused && p->loan.wire < 0) refused = errno;
  if (refused)
    return hwgw_error_set(error, refused == EPERM ? HWGW_ERR_PRIVILEGE : HWGW_ERR_DEVICE, refused,
                          "send: card: TCP_REPAIR needs CAP_NET_ADMIN, the simulated card's wire CAP_NET_RAW: %s; say "
                          "send: host",
                          strerror(refused));
  const struct hwgw_session_cfg *session = &link_of(p)->cfg;
  if (!card_send_fields(p->card.gate, session->firm, session->capacity, session->display, session->symbols,
                        p->symbol_cnt)) {
    close(p->loan.wire);
    return hwgw_error_set(error, HWGW_ERR_DEVICE, 0, "card: a register does not answer");
  }
  p->loan.is_on = true;
  link_of(p)->take_back = take_back;
  link_of(p)->borrower = p;
  return HWGW_OK;
}

void pipeline_loan_house(struct hwgw_pipeline *p, uint64_t now_ns) {
  if (!p->loan.is_on || p->card.is_lost) return;
  const struct hwgw_session *link = link_of(p);
  card_send_time(p->card.gate, now_ns);
  if (__atomic_load_n(&p->control->halt, __ATOMIC_ACQUIRE)) {
    (void)take_back(p);
  } else if (link->state == HWGW_SEGMENT_SESSION_STATE_UP && !link->link_down && !hwgw_session_backlog(link)) {
    (void)ensure(p, now_ns);
  }
}

void pipeline_loan_close(struct hwgw_pipeline *p) {
  if (p->loan.is_on) close(p->loan.wire);
}
