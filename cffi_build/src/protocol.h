/* protocol.h: the seam between the order session and what it speaks: one table of functions per protocol of order entry.
 *
 * SPDX-License-Identifier: MIT
 *
 * The session (session.c) owns the socket, the buffers, the clock and the states; its orders (session_orders.c) own what
 * became of each order. A protocol says how an order becomes a packet and what a message of the venue means (codec),
 * and how packets are told apart, how a connection begins, stays alive and ends (link).
 */
#ifndef HWGW_PROTOCOL_H
#define HWGW_PROTOCOL_H

#include "base.h"

struct hwgw_session;

/* what a message says beside its event, so that it can be held against the order it is about */
struct hwgw_said {
  const uint8_t *symbol;  /* 8 bytes, space padded, in the message or in symbol_text; NULL: none */
  uint8_t symbol_text[8]; /* for messages that do not pad it */
  char side_code;         /* as hwgw_order_side_code; 0: none */
  bool is_rest;           /* canceled: everything that is left, which the message does not count */
  bool is_resend;         /* the venue may have said it before, in a message of another number */
};

struct hwgw_protocol {
  /* ---- codec ---- */
  void (*init)(struct hwgw_session *session); /* templates, from the session's configuration */
  /* a whole packet into out (HWGW_PACKET_SZ_MAX bytes of room); its length, 0: the order cannot be expressed */
  uint32_t (*encode)(const struct hwgw_session *session, const struct hwgw_order *order, uint8_t *out);
  /* one message of the venue: 0 when event is filled, else the counter of why not. event and said are cleared */
  uint32_t (*decode)(const uint8_t *message, uint32_t len, struct hwgw_order *event, struct hwgw_said *said);
  /* ---- link ---- */
  /* bytes of the first packet at data: 0 = its end is not there yet, HWGW_PACKET_NONE = no packet begins like this */
  uint32_t (*packet_len)(const uint8_t *data, uint32_t have);
  void (*login)(struct hwgw_session *session, uint64_t now_ns); /* the first packet of a connection */
  /* the message that asks what the venue knows of us, after a login; its length. NULL: there is none */
  uint32_t (*query)(uint8_t *message);
  /* one whole packet of the venue; true when event is filled. May close the connection */
  bool (*packet)(struct hwgw_session *session, const uint8_t *data, uint32_t len, uint64_t now_ns, uint64_t *counters,
                 struct hwgw_order *event);
  /* one message that counts in the venue's sequence, as packet finds it and as the journal has it; true when event is
   * filled */
  bool (*message)(struct hwgw_session *session, const uint8_t *message, uint32_t len, uint64_t now_ns,
                  uint64_t *counters, struct hwgw_order *event);
  void (*timers)(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters); /* once per poll, when linked */
  void (*sent)(struct hwgw_session *session,
               const struct hwgw_order *order); /* encoded and in the buffer; may be NULL */
  /* a packet of ours that waits whole: the ref of its order, 0 when it carries none and must leave */
  uint32_t (*waiting_ref)(const uint8_t *packet, uint32_t len);
  /* what leaves in place of a packet that was taken back, no longer than it; its length. NULL: nothing does */
  uint32_t (*fill)(const struct hwgw_session *session, const uint8_t *packet, uint32_t len, uint8_t *out);
  void (*logout)(struct hwgw_session *session); /* the logout packet; there is room */
  /* it numbers the session's own messages, too, which are not on record, and so do we: its numbers may jump there */
  bool numbers_all;
  bool answers_all; /* the venue answers a replace of an order that has ended, too; else nothing will come of it */
};

#define HWGW_PACKET_NONE UINT32_MAX

extern const struct hwgw_protocol hwgw_protocol_ouch50, hwgw_protocol_ouch42;
extern const struct hwgw_protocol hwgw_protocol_fix42, hwgw_protocol_fix44;

#endif
