/* hwgw_feed.h: from a frame to the book: net, mold, itch, book, instruments, features; part of hwgw.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_PUBLIC_FEED_H
#define HWGW_PUBLIC_FEED_H

#include "hwgw_rx.h"

/* hwgw cdef begin */

/* ---- net: Ethernet, VLAN, IPv4, UDP ---- */

struct hwgw_datagram {
  const uint8_t *data; /* UDP payload, inside the frame */
  uint32_t len;        /* bytes, from the UDP length */
  uint32_t flow;       /* index into the flows */
};

/* parses one frame; 0, or the counter HWGW_CNT_NET_DROP_* of the cause */
uint32_t hwgw_net_parse(const struct hwgw_flow *flows, uint32_t flow_cnt, const uint8_t *frame, uint32_t len,
                        struct hwgw_datagram *out);
/* payloads[i]: what frame i brought to one of the flows, with that flow and the frame's times; flow HWGW_FLOW_NONE and len 0
 * for a frame of none. Returns how many have one */
uint32_t hwgw_net_payloads(const struct hwgw_flow *flows, uint32_t flow_cnt, const struct hwgw_frame *frames,
                           uint32_t cnt, struct hwgw_frame *payloads);
/* verifies the UDP checksum of what hwgw_net_parse found in the frame; 0 (also when the sender gave none), or
 * HWGW_CNT_NET_DROP_UDP_CHECKSUM */
uint32_t hwgw_net_verify(const uint8_t *frame, const struct hwgw_datagram *datagram);

/* ---- mold: MoldUDP64 downstream, one struct per feed channel ---- */

#define HWGW_LINES_MAX 4
#define HWGW_LINE_RECOVERY 4 /* the line of what re-request servers answer */
#define HWGW_LAG_SLOTS 16
#define HWGW_MOLD_RECENT 64
#define HWGW_HOLD_MAX 4194304 /* messages */

struct hwgw_mold_line {
  uint64_t frames;   /* packets of this line */
  uint64_t first;    /* messages this line brought first */
  uint64_t late;     /* messages another line had brought before */
  uint64_t missed;   /* numbers this line jumped over; some may have come later */
  uint64_t next_seq; /* highest sequence number + messages seen on this line */
  uint64_t t_last;   /* ticks of its last packet */
  /* packets whose first message another line had brought before, by how much later they came: slot 0 below 128 ticks,
   * slot n below 128 << n, the last one all above. Lines of one channel only */
  uint64_t lag[HWGW_LAG_SLOTS];
};

struct hwgw_mold_slot; /* a held message */

struct hwgw_mold_recent {
  uint64_t seq; /* first message of a packet that was first */
  uint64_t t_rx;
};

struct hwgw_mold {
  uint8_t session[10]; /* all 0 until the first packet */
  uint8_t state;       /* enum hwgw_segment_feed_state */
  uint8_t line_cnt;
  uint16_t channel;
  uint8_t phase;        /* what is shown while a hole is open: holding, requesting or snapshot; set by who repairs it */
  bool is_open;         /* there is a hole, or the channel is frozen: packets take the longer way */
  bool is_frozen;       /* nothing is delivered before hwgw_mold_rebase */
  bool is_lost;         /* messages will not come any more */
  bool is_stale;        /* set and cleared by hwgw_mold_stale */
  bool is_ended;        /* end of session was seen */
  bool has_other;       /* the last packet was of the session in other */
  uint8_t other[10];    /* a session that is not ours */
  uint32_t session_cnt; /* sessions that ended because another began */
  uint64_t next_seq;    /* next message to deliver; 0 until the first packet */
  uint64_t seen_seq;    /* highest number known to exist + 1 */
  uint64_t jump_max;    /* a packet further ahead than this is dropped (drop_gap); 0 = no bound */
  uint64_t far_seq;     /* where the last implausible packet began */
  uint64_t frozen_seq;  /* seen_seq when the channel was frozen */
  uint64_t t_hole;      /* ticks of the packet that showed the hole */
  /* messages behind a hole; NULL = none is held, delivery goes on behind holes */
  struct hwgw_mold_slot *slot;
  uint32_t hold_max; /* messages, a power of two */
  uint32_t held_cnt;
  uint64_t hold_base;   /* lowest number that can be held; above next_seq when more than hold_max wait */
  uint64_t missing_cnt; /* numbers from next_seq to seen_seq that are not held */
  struct hwgw_mold_line line[HWGW_LINES_MAX + 1];
  struct hwgw_mold_recent recent[HWGW_MOLD_RECENT];
};

/* the messages of one packet that are new, in order, and what was held behind them */
struct hwgw_mold_iter {
  const uint8_t *cursor;  /* next message block */
  uint64_t seq;           /* its sequence number */
  uint32_t left;          /* blocks left */
  struct hwgw_mold *mold; /* NULL when nothing held follows */
  uint64_t *counters;
};

/* without a hold: the first packet's number is where the channel starts, and delivery goes on behind a hole */
void hwgw_mold_init(struct hwgw_mold *mold, uint16_t channel, uint8_t line_cnt);
/* with one: the channel starts at number 1, and up to hold_max messages (rounded up to a power of two, 64 bytes each)
 * wait behind a hole until it is filled, skipped or passed by a snapshot. After hwgw_mold_init */
int32_t hwgw_mold_hold(struct hwgw_mold *mold, uint32_t hold_max, struct hwgw_error *error);
void hwgw_mold_fini(struct hwgw_mold *mold); /* gives the hold back */
/* takes one packet: checks header and blocks, arbitrates by sequence number, sets iter to what can be delivered. Returns
 * the counter that names what the packet was: HWGW_CNT_MOLD_FRAMES when used (heartbeats and ends too), else
 * HWGW_CNT_MOLD_DROP_*. Counts its other mold_* counters itself. Iterate to the end before the next call; the state is
 * that after the last message. drop_session with state waiting: another session has begun, nothing of the old one is
 * kept; give the packet again */
uint32_t hwgw_mold_packet(struct hwgw_mold *mold, uint32_t line, const uint8_t *data, uint32_t len, uint64_t t_rx,
                          uint64_t *counters, struct hwgw_mold_iter *iter);
/* next message: its bytes and length, seq; NULL when there is none */
const uint8_t *hwgw_mold_next(struct hwgw_mold_iter *iter, uint32_t *len, uint64_t *seq);
/* numbers missing from next_seq on without a break, at most max */
uint32_t hwgw_mold_missing(const struct hwgw_mold *mold, uint32_t max);
/* gives the first hole up: the state is gapped, iter is set to what is held behind it */
void hwgw_mold_skip(struct hwgw_mold *mold, uint64_t *counters, struct hwgw_mold_iter *iter);
/* delivers nothing until hwgw_mold_rebase: the books are being replaced */
void hwgw_mold_freeze(struct hwgw_mold *mold);
/* the books are those before message seq: whatever is missing or held below does not matter any more, and what was seen
 * 2^20 numbers above it before the freeze never was; iter is set to what is held from there on */
void hwgw_mold_rebase(struct hwgw_mold *mold, uint64_t seq, uint64_t *counters, struct hwgw_mold_iter *iter);
/* forgets the session: its sequence has begun again */
void hwgw_mold_restart(struct hwgw_mold *mold, uint64_t *counters);
void hwgw_mold_lose(struct hwgw_mold *mold);                  /* a message came that cannot be used: gapped */
void hwgw_mold_repair(struct hwgw_mold *mold);                /* what was lost does not matter any more */
void hwgw_mold_stale(struct hwgw_mold *mold, bool is_stale);  /* silent for too long, or heard again */
void hwgw_mold_phase(struct hwgw_mold *mold, uint32_t phase); /* enum hwgw_segment_feed_state, see phase */

/* ---- itch: ITCH 5.0 ---- */

/* one message to one event (instrument is left 0xFFFFFFFF; seq, t_rx, line and channel are left alone);
 * 0, or HWGW_CNT_ITCH_DROP_LENGTH or _UNKNOWN */
uint32_t hwgw_itch_decode(const uint8_t *message, uint32_t len, struct hwgw_event *event);

/* ---- book: full depth, order by order ---- */

struct hwgw_books; /* the books of one pipeline: every instrument shares one order pool */

struct hwgw_books_cfg {
  uint32_t instrument_cnt; /* at most 65,536 */
  uint32_t orders_max;     /* live orders over all instruments */
  uint32_t levels_max;     /* price levels per side and instrument; 0 = as many as memory gives */
  bool huge_pages;         /* resident from the start, on huge pages if any: 90 to 133 bytes per order */
};

struct hwgw_book_order {
  uint64_t ref;
  uint32_t qty; /* shares left */
  uint32_t px;
};

int32_t hwgw_books_open(struct hwgw_books **books, const struct hwgw_books_cfg *cfg, struct hwgw_error *error);
void hwgw_books_close(struct hwgw_books *books); /* NULL is allowed */
void hwgw_books_clear(struct hwgw_books *books);
/* forgets the orders of one instrument, in time of their number; its last trade and update count stay. One that is not
 * subscribed has none */
void hwgw_books_clear_instrument(struct hwgw_books *books, uint32_t instrument);
/* applies one event to event->instrument. Returns HWGW_CNT_BOOK_UPDATES, _IGNORED or _DROP_*; a dropped event changes
 * nothing. Sets *top_changed when px, qty or cnt of either best level changed; trades set last px and qty.
 * On execute, event->side is set to that of the order and event->px to its price when it is 0. */
uint32_t hwgw_books_apply(struct hwgw_books *books, struct hwgw_event *event, bool *top_changed);
/* fills the book fields of top (px, qty, cnt, last, update_cnt); leaves lock, flags and ts_ns alone */
void hwgw_books_top(const struct hwgw_books *books, uint32_t instrument, struct hwgw_tob *top);
/* best n levels of a side (enum hwgw_order_side), best first; returns how many there are, at most max */
uint32_t hwgw_books_depth(const struct hwgw_books *books, uint32_t instrument, uint32_t side, struct hwgw_level *levels,
                          uint32_t max);
/* every order of a side: best price first, in time priority within a price; returns how many, at most max are filled */
uint32_t hwgw_books_orders(const struct hwgw_books *books, uint32_t instrument, uint32_t side,
                           struct hwgw_book_order *orders, uint32_t max);
/* an order in its line: shares of those in front of it and behind it at its price; false when it is not in the book.
 * Cost: a cache line for each 6 orders in front of it */
struct hwgw_queue {
  uint64_t ahead;
  uint64_t behind;
  uint32_t px;
  uint32_t qty; /* shares left */
};
bool hwgw_books_queue(const struct hwgw_books *books, uint32_t instrument, uint64_t ref, struct hwgw_queue *out);
uint32_t hwgw_books_live(const struct hwgw_books *books); /* live orders */
/* FNV-1a 64 over the books of all instruments: for each instrument in ascending order, for buy then sell, for each order
 * as hwgw_books_orders gives them: instrument u32, side u8, px u32, ref u64, qty u32, all little-endian. Empty books add
 * nothing. */
uint64_t hwgw_books_hash(const struct hwgw_books *books);
uint64_t hwgw_books_hash_instrument(const struct hwgw_books *books, uint32_t instrument);

/* ---- instruments: symbols to dense indices, locates to indices per channel ---- */

struct hwgw_instruments;

/* names: cnt symbols of 8 bytes, space padded. dynamic: a symbol that is not among them gets the next free index, up to
 * max; else it is not subscribed */
int32_t hwgw_instruments_open(struct hwgw_instruments **instruments, const char *names, uint32_t cnt, uint32_t max,
                              bool dynamic, struct hwgw_error *error);
void hwgw_instruments_close(struct hwgw_instruments *instruments);
/* the symbols of a channel are base and on: it is of another venue, which has the same names */
void hwgw_instruments_base(struct hwgw_instruments *instruments, uint32_t channel, uint32_t base);
/* learns locate -> index from messages that carry a symbol (stock_directory, add orders) and sets event->instrument */
/* the same by the event alone: learns from directory events, whose ref is the symbol */
void hwgw_instruments_event(struct hwgw_instruments *instruments, struct hwgw_event *event);
void hwgw_instruments_resolve(struct hwgw_instruments *instruments, const uint8_t *message, uint32_t len,
                              struct hwgw_event *event);
uint32_t hwgw_instruments_cnt(const struct hwgw_instruments *instruments);
const char *hwgw_instruments_name(const struct hwgw_instruments *instruments, uint32_t index); /* 8 bytes, no zero */

/* ---- features: numbers made of the book for a strategy; formulas and units in hwgw/specs/features.yaml ---- */

struct hwgw_features_cfg {
  uint32_t mask;                    /* bit per enum hwgw_feature; what is not asked for is not computed */
  uint32_t param[HWGW_FEATURE_CNT]; /* of those that have one */
};

struct hwgw_feature_set; /* what one strategy asked for, of every instrument */

/* nothing asked for, and the default of every parameter */
void hwgw_features_default(struct hwgw_features_cfg *cfg);
int32_t hwgw_features_open(struct hwgw_feature_set **set, const struct hwgw_features_cfg *cfg, uint32_t instrument_cnt,
                           struct hwgw_error *error);
void hwgw_features_close(struct hwgw_feature_set *set); /* NULL is allowed */
/* levels of either side that a row needs, 1 to 10 */
uint32_t hwgw_features_depth(const struct hwgw_feature_set *set);
/* every event that the books took as execution or trade (others are ignored), before the row that shows it; top: the best
 * levels as they are now */
void hwgw_features_trade(struct hwgw_feature_set *set, const struct hwgw_event *event, const struct hwgw_tob *top);
/* the row after a change of the top of book: fills what was asked for, leaves the rest 0. bid and ask: depth levels, best
 * first, 0 where there is none */
void hwgw_features_row(struct hwgw_feature_set *set, const struct hwgw_books *books, uint32_t instrument,
                       const struct hwgw_level *bid, const struct hwgw_level *ask, struct hwgw_features *out);
/* follows an own order: side as enum hwgw_order_side, venue_ref its reference in the feed; one with that ref is replaced.
 * False when own_max are followed already. No effect unless a queue feature was asked for */
bool hwgw_features_follow(struct hwgw_feature_set *set, uint32_t instrument, uint32_t side, uint32_t ref,
                          uint64_t venue_ref);
void hwgw_features_forget(struct hwgw_feature_set *set, uint32_t instrument, uint32_t ref);
/* the book of the instrument begins anew; own orders are still followed */
void hwgw_features_reset(struct hwgw_feature_set *set, uint32_t instrument);

/* hwgw cdef end */

#endif
