/* hwgw.h: the public interface of the hwgw data plane.
 *
 * SPDX-License-Identifier: MIT
 *
 * Everything between the two cdef markers is also what Python sees: cffi reads it from this file. The records (struct
 * hwgw_order, hwgw_event, hwgw_hook, hwgw_limits ...), the counters and the enums come from hwgw/specs through
 * cffi_build/gen.py.
 *
 * Units: px in 1/10,000 of the currency unit, qty in shares, *_ns in nanoseconds, t_* and *_ticks in TSC ticks.
 * Ownership: *_open and *_create give an object that *_close ends; *_init and *_fini work in memory the caller gives.
 * Errors: set-up functions return an enum hwgw_status and fill struct hwgw_error; data-path functions return 0 or the
 * counter of the cause (enum hwgw_counter), which the caller counts.
 * Threads: an object belongs to the thread that uses it, unless its comment says otherwise.
 */
#ifndef HWGW_H
#define HWGW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hwgw_records.h" /* generated: records, enums and counters of hwgw's own formats */

/* hwgw cdef begin */

/* ---- errors: the status is the exit code of the command line ---- */

enum hwgw_status {
  HWGW_OK = 0,
  HWGW_ERR_CHECK = 1,
  HWGW_ERR_USAGE = 2,
  HWGW_ERR_CONFIG = 3,
  HWGW_ERR_PRIVILEGE = 4,
  HWGW_ERR_DEVICE = 5,
  HWGW_ERR_HALTED = 6,
  HWGW_ERR_INTERNAL = 7
};

struct hwgw_error {
  int32_t status;    /* enum hwgw_status */
  int32_t sys_errno; /* errno of the failed call, 0 when none */
  char text[504];    /* the call, its arguments, the reason and what the user can do; one line */
};

/* ---- time ---- */

uint64_t hwgw_ticks(void);                 /* TSC now */
uint64_t hwgw_ticks_hz(void);              /* TSC rate, measured once per process against CLOCK_MONOTONIC_RAW */
uint64_t hwgw_ticks_to_ns(uint64_t ticks); /* a duration */
uint64_t hwgw_now_ns(void);                /* gateway clock: CLOCK_MONOTONIC, by TSC */

/* ---- hist: log-linear, 3 significant digits (1,024 linear steps per power of two above 2,048), unit ticks ---- */

struct hwgw_hist; /* lives in the shared segment or in memory of hwgw_hist_sz_bytes() the caller gives, zeroed */

uint32_t hwgw_hist_sz_bytes(void);
void hwgw_hist_record(struct hwgw_hist *hist, uint64_t ticks);
void hwgw_hist_merge(struct hwgw_hist *into, const struct hwgw_hist *from);
uint64_t hwgw_hist_cnt(const struct hwgw_hist *hist);
uint64_t hwgw_hist_sum(const struct hwgw_hist *hist);
uint64_t hwgw_hist_max(const struct hwgw_hist *hist);
/* smallest value v such that at least pct percent of the records are <= v (upper edge of its step); 0 when empty */
uint64_t hwgw_hist_percentile(const struct hwgw_hist *hist, double pct);

/* ---- rx: one interface for every receive backend; several can also send ---- */

#define HWGW_FLOW_NONE 0xFFFF
#define HWGW_FLOW_EVENT 0xFFFE
#define HWGW_FLOWS_MAX 64
#define HWGW_BATCH_MAX 256
#define HWGW_QUEUES_MAX 256

/* one multicast group and port that carries one line of one feed channel */
struct hwgw_flow {
  uint32_t group; /* IPv4 destination address in host order */
  uint16_t port;
  uint16_t channel; /* index of the feed channel */
  uint16_t line;    /* 0 A, 1 B */
  uint16_t reserved;
};

/* a received frame; data is valid until hwgw_rx_release */
struct hwgw_frame {
  const uint8_t *data; /* Ethernet frame; a struct hwgw_event when flow is HWGW_FLOW_EVENT; else UDP payload */
  uint32_t len;        /* bytes */
  uint16_t flow;       /* index of the flow when the backend knows it (udp), else HWGW_FLOW_NONE */
  uint16_t queue;      /* receive queue it came in on, or interface of a capture; 0 = none */
  uint64_t t_rx;       /* ticks when the descriptor was seen */
  uint64_t ts_ns;      /* CLOCK_REALTIME (a NIC's own clock for hardware), of the kind hwgw_rx_clock says; 0 = none */
};

/* where ts_ns comes from */
enum hwgw_rx_clock {
  HWGW_RX_CLOCK_NONE = 0,
  HWGW_RX_CLOCK_CAPTURE = 1, /* the file's own time */
  HWGW_RX_CLOCK_KERNEL = 2,  /* software: the kernel, on the way to us */
  HWGW_RX_CLOCK_HARDWARE = 3 /* the NIC, at the wire */
};

/* rx_watch.c keeps a copy of it, with what its pointers point to */
struct hwgw_rx_kept; /* hwgw_batch.h */

struct hwgw_rx_cfg {
  const char *backend; /* "afxdp", "packet", "udp", "pcap", "dpdk", "card" */
  const char
      *interface; /* afxdp, packet: device; udp: device whose address joins the groups, NULL or "" = by local_address */
  uint32_t local_address; /* udp: IPv4 address to join on, host order, 0 = any */
  const char *path;       /* pcap: file name; card: library of the simulated card (hwgw_card.h) */
  const char *mode;       /* afxdp: "auto", "native" or "generic" */
  const char *
      port; /* dpdk: PCI address, or a virtual device and its arguments ("net_tap0,iface=tap0"); NULL or "" = net_af_packet on interface */
  const char *const *eal_args; /* dpdk: for the environment of the process, behind those of hwgw; copied */
  uint32_t eal_arg_cnt;
  int32_t cpu;            /* dpdk: the core of the polling thread; the library's own threads stay off it. -1 = any */
  const uint32_t *queues; /* afxdp, dpdk: receive queues, copied; NULL = queue 0 */
  uint32_t queue_cnt;
  uint32_t frame_cnt;      /* afxdp: UMEM frames per queue, a power of two; udp: receive slots. 0 = default */
  uint32_t frame_sz_bytes; /* 0 = default (2,048) */
  uint32_t tx_frame_cnt;   /* frames that may wait to be sent, a power of two; 0 = hwgw_rx_send takes nothing */
  uint32_t busy_poll_us;   /* 0 = off */
  uint32_t flow_cnt;
  const struct hwgw_flow *flows; /* flow_cnt of them, copied */
  bool all_frames;               /* every frame of the queues, not only those of the flows: for captures */
  bool tx_only;                  /* nothing is received, joined or attached; needs tx_frame_cnt */
  bool huge_pages;               /* afxdp: UMEM on huge pages; falls back, and says so in describe */
  bool capture_time;             /* pcap: pace by the capture's own time instead of at once */
  bool loopback;                 /* udp: also accept this host's own multicast */
  struct hwgw_rx_kept *kept;     /* NULL, or what takes the memory of frames when it would be unmapped */
  bool timestamps; /* the best ts_ns there is: the NIC's, else the kernel's; costs a time stamp per frame */
};

struct hwgw_rx;

int32_t hwgw_rx_open(struct hwgw_rx **rx, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error);
/* up to max (<= HWGW_BATCH_MAX) frames into frames; 0 when nothing waits; never blocks */
uint32_t hwgw_rx_poll(struct hwgw_rx *rx, struct hwgw_frame *frames, uint32_t max);
/* gives back every frame polled since the last release. */
void hwgw_rx_release(struct hwgw_rx *rx);
/* sends the first frames of cnt (<= HWGW_BATCH_MAX): data and len, whole Ethernet frames, are copied. Returns how many
 * were taken: less than cnt when as many as may wait are waiting. One that can never be sent is taken and counted as
 * tx_drop_*. Never blocks; same thread as poll */
uint32_t hwgw_rx_send(struct hwgw_rx *rx, const struct hwgw_frame *frames, uint32_t cnt);
/* frames taken that have not left yet; asks the driver to go on */
uint32_t hwgw_rx_unsent(struct hwgw_rx *rx);
/* brings the rx_* and tx_* counters (block of HWGW_COUNTER_CNT) up to date: frames, bytes and drops by cause since open.
 * Also looks what became of the interface, and opens the backend anew when that helps: call it each millisecond or so */
void hwgw_rx_stats(struct hwgw_rx *rx, uint64_t *counters);
/* enum hwgw_segment_receive_state, as of the last stats */
uint32_t hwgw_rx_state(const struct hwgw_rx *rx);
/* why the state is not up; "" when it is. Valid until the next stats */
const char *hwgw_rx_reason(const struct hwgw_rx *rx);
/* enum hwgw_rx_clock */
uint32_t hwgw_rx_clock(const struct hwgw_rx *rx);
/* the one memory in which the data of every frame lies that poll gives, so that a view of all of it can be made once;
 * sz_bytes: its size. NULL when the backend has none. Valid until close, and until the path is
 * opened anew (counter rx_reopens); not in a forked child. Write nothing there */
const uint8_t *hwgw_rx_memory(const struct hwgw_rx *rx, uint64_t *sz_bytes);
/* true when no frame can come any more (end of a file) */
bool hwgw_rx_ended(const struct hwgw_rx *rx);
/* the i-th of the driver's own counters (DPDK: xstats), under the driver's name, since whenever it counts; false behind the
 * last one, and where the backend has none. May take the NIC's time: not while frames come */
bool hwgw_rx_driver_counter(struct hwgw_rx *rx, uint32_t i, char *name, uint32_t sz, uint64_t *value);
/* backend, mode, what could not be had and why, what is wrong now; one line, valid until the next call */
const char *hwgw_rx_describe(struct hwgw_rx *rx);
void hwgw_rx_close(struct hwgw_rx *rx); /* NULL is allowed */
/* is the backend built in and can it run here; fills text of at most sz bytes with the reason when not */
bool hwgw_rx_available(const char *backend, char *text, uint32_t sz);

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

/* ---- strategy ---- */

/* Called after an update of the top of book of a subscribed instrument and after every event of an own order.
 * hook: read-only, valid during the call. state: state_sz bytes, zeroed before init, the strategy's own.
 * out: room for out_max orders, all 0 but for what the strategy left there without returning it; it sets kind (new,
 * replace, cancel), side, type, tif, flags, px, qty, orig_ref (replace), ref (cancel); instrument 0xFFFFFFFF means hook's.
 * The pipeline sets the rest. Returns how many it wrote. Each comes back as an own order event before the next call: as
 * it left; as rejected, with a reason of the risk table or an order_drop counter, when it did not; a cancel that did not
 * leave as cancel with that reason, because its order lives on.
 * Never blocks, allocates or calls the system. The same signature fits a numba cfunc. */
typedef int32_t (*hwgw_strategy_fn)(const struct hwgw_hook *hook, void *state, struct hwgw_order *out, int32_t out_max);

struct hwgw_strategy {
  uint32_t abi; /* HWGW_SEGMENT_ABI */
  uint32_t state_sz_bytes;
  uint32_t depth; /* levels wanted in the hook, 1 to 10 */
  uint32_t param_cnt;
  const char *name;
  const char *const *param_names;
  const int64_t *param_defaults;
  const int64_t *param_min;                         /* smallest value allowed of each; NULL = any */
  const int64_t *param_max;                         /* largest, likewise */
  void (*init)(void *state, const int64_t *params); /* NULL: the params become the first words of the state */
  hwgw_strategy_fn fn;
};

/* a built-in strategy, or NULL */
const struct hwgw_strategy *hwgw_strategy_find(const char *name);
uint32_t hwgw_strategy_cnt(void);
const struct hwgw_strategy *hwgw_strategy_at(uint32_t index);
/* a shared object that exports `const struct hwgw_strategy hwgw_strategy`; stays loaded for the life of the process */
int32_t hwgw_strategy_load(const struct hwgw_strategy **strategy, const char *path, struct hwgw_error *error);

/* a weighted sum of features, see strategy_linear.c; each weight in the unit of its feature */
struct hwgw_linear {
  double bias;
  double enter; /* above 0 */
  double leave;
  uint64_t mask; /* features with a weight */
  double weight[HWGW_FEATURE_CNT];
};
double hwgw_linear_signal(const struct hwgw_linear *linear, const struct hwgw_features *features);
void hwgw_linear_signals(const struct hwgw_linear *linear, const struct hwgw_features *features, uint32_t cnt,
                         double *signals);
/* its strategy: the first three parameters have names, the words of struct hwgw_linear follow */
const struct hwgw_strategy *hwgw_strategy_linear(void);

/* ---- risk: the pre-trade gate; contract in docs/risk.md ---- */

struct hwgw_risk; /* state of hwgw_risk_sz_bytes(), 128-byte aligned */

uint32_t hwgw_risk_sz_bytes(void);
void hwgw_risk_init(struct hwgw_risk *risk);
/* Judges or applies one event, in order of ts_ns. For new, replace and cancel: the reason (HWGW_RISK_REASON_PASS or the
 * first check that refuses); for other kinds: PASS, or the first of CLOCK, STATE, LOSS that the event showed, each of
 * which latches the halt; HALTED when a limits table is damaged and was not taken.
 * Pure: the same events give the same verdicts and state. limits: for kind limits only, the new table, which must stay
 * valid and unchanged until the next one; else NULL. */
uint32_t hwgw_risk_event(struct hwgw_risk *risk, const struct hwgw_order *event, const struct hwgw_limits *limits);
/* CRC32C over limits behind its checksum field; some 10 us, which the data path pays once for a new table */
uint64_t hwgw_limits_checksum(const struct hwgw_limits *limits);
/* read-outs for tests, the shared segment and strategies */
bool hwgw_risk_halted(const struct hwgw_risk *risk, uint32_t *reason);
/* fills what the gate knows (pos, exposures, open counts, ref_px) and leaves the other fields alone */
void hwgw_risk_exposure(const struct hwgw_risk *risk, uint32_t account,
                        struct hwgw_exposure *out); /* accounts_max = gateway */
/* is_armed, fills, rejects */
void hwgw_risk_strategy(const struct hwgw_risk *risk, uint32_t id, struct hwgw_strategy_row *out);
void hwgw_risk_position(const struct hwgw_risk *risk, uint32_t instrument, struct hwgw_position *out);
/* the open order in the slot of ref: fills out (kind new, px, leaves in qty ...) and returns true when it is live */
bool hwgw_risk_order(const struct hwgw_risk *risk, uint32_t ref, struct hwgw_order *out);
/* canonical state, one line "name value" each, for comparison with the golden model; returns bytes written (at most sz) */
uint32_t hwgw_risk_dump(const struct hwgw_risk *risk, char *text, uint32_t sz);

/* ---- breaker: circuit breakers beside the gate; contract in docs/breakers.md ---- */

struct hwgw_breaker; /* state of hwgw_breaker_sz_bytes(), 8-byte aligned */

struct hwgw_trip {
  uint32_t rule;  /* index in limits.breaker */
  uint32_t index; /* 0 of the gateway, else account, strategy or instrument, as the rule's scope says */
  int64_t value;  /* what was above the limit, in its unit; saturates */
};

uint32_t hwgw_breaker_sz_bytes(void);
void hwgw_breaker_init(struct hwgw_breaker *breaker);
/* Counts one event that the gate has just answered; true when there are trips to take. Give it every event of the gate in
 * the gate's order: the rules are those of the table that the gate has in force. Pure, like the gate. */
bool hwgw_breaker_event(struct hwgw_breaker *breaker, const struct hwgw_risk *risk, const struct hwgw_order *event,
                        uint32_t answer);
/* counts how long an order that left took, from descriptor to order bytes; true when there are trips to take */
bool hwgw_breaker_latency(struct hwgw_breaker *breaker, const struct hwgw_order *order, uint64_t latency_ns);
/* the next trip, by rule and index; false when there is none. Take all after each event */
bool hwgw_breaker_take(struct hwgw_breaker *breaker, struct hwgw_trip *out);
/* for tests: one window as its start and HWGW_BREAKER_STEPS steps, newest first; false when it was never used */
bool hwgw_breaker_window(const struct hwgw_breaker *breaker, uint32_t rule, uint32_t index, int64_t *out);

/* ---- router: which venue an order goes to (docs/routing.md) ---- */

#define HWGW_ROUTE_LATENCY_MAX 10000u /* price units */
#define HWGW_ROUTE_FILL_MAX 1000000u

struct hwgw_route_venue {
  bool is_off;
  int32_t take_fee; /* per share in price units; a rebate is negative */
  int32_t make_fee;
  uint32_t order_max; /* shares of one child */
  uint32_t open_max;  /* orders open there */
};

struct hwgw_router_cfg {
  uint32_t venue_cnt;
  uint32_t children_max; /* of one parent, 1 = it is not split */
  uint32_t latency_px;   /* what a millisecond until the answer is worth, in price units per share */
  uint32_t fill_px;      /* what it is worth that an order is filled and not missed */
  struct hwgw_route_venue venue[8];
};

/* a venue at the moment of an order */
struct hwgw_route_quote {
  uint32_t px;    /* best of the far side, 0 = none */
  uint32_t shown; /* shares there */
  bool is_up;
  bool is_good;
};

struct hwgw_router; /* state of hwgw_router_sz_bytes(), 8-byte aligned */
struct hwgw_journal_candidate;

uint32_t hwgw_router_sz_bytes(void);
void hwgw_router_init(struct hwgw_router *router, const struct hwgw_router_cfg *cfg);
/* splits an order over the venues: one candidate per venue, its qty is that of the child. Returns the shares placed */
uint32_t hwgw_router_route(const struct hwgw_router *router, const struct hwgw_order *parent,
                           const struct hwgw_route_quote *quotes, struct hwgw_journal_candidate *candidates);
/* an order or a replace that went to a venue, ts_ns that of the gate; 0 = from an earlier process, not to be timed */
void hwgw_router_sent(struct hwgw_router *router, uint32_t venue, const struct hwgw_order *order);
/* an answer of the venue; is_live: the order is open behind it */
void hwgw_router_answer(struct hwgw_router *router, uint32_t venue, const struct hwgw_order *event, bool is_live);
/* for tests: recent acknowledgement time, fill rate and open orders of a venue */
void hwgw_router_venue(const struct hwgw_router *router, uint32_t venue, uint64_t *ack_ns, uint32_t *fill_q16,
                       uint32_t *open_cnt);

/* ---- order and session: OUCH over SoupBinTCP, FIX ---- */

#define HWGW_PACKET_SZ_MAX 384 /* bytes of the longest packet that an order becomes */

enum hwgw_protocol_id {
  HWGW_PROTOCOL_OUCH50 = 0,
  HWGW_PROTOCOL_OUCH42 = 1,
  HWGW_PROTOCOL_FIX42 = 2,
  HWGW_PROTOCOL_FIX44 = 3
};

struct hwgw_session_cfg {
  uint32_t address; /* IPv4, host order */
  uint16_t port;
  uint16_t protocol;          /* enum hwgw_protocol_id */
  char username[6];           /* space padded */
  char password[10];          /* space padded */
  char requested_session[10]; /* space padded, all spaces = current */
  char firm[4];               /* space padded, all spaces = port default */
  char capacity;              /* OUCH capacity code */
  char display;               /* OUCH display code */
  uint64_t requested_seq;     /* next wanted sequenced message, 1 = from the start */
  uint32_t login_timeout_ms;
  uint32_t dead_link_ms; /* nothing received for so long = lost */
  uint32_t reconnect_ms; /* wait before connecting again; 0 = never */
  const char *symbols;   /* instrument_cnt names of 8 bytes, space padded; must stay valid */
  uint32_t instrument_cnt;
  /* FIX alone; username and password are sent when they are not blank */
  char sender[16]; /* SenderCompID, zeros behind it */
  char target[16]; /* TargetCompID */
  uint32_t heartbeat_s;
  uint32_t requested_tx_seq; /* number of our first message, 0 = 1 */
  bool reset_seq;            /* the first logon asks both sides to begin at 1 */
  bool mass_cancel;          /* FIX 4.4, OUCH 5.0 with a firm: one message cancels everything */
  bool cancel_on_disconnect; /* what is open when the session is up again is cancelled (by the pipeline) */
  uint32_t disconnect_tag;   /* FIX: sent as TAG=Y in the logon; 0 = none */
  /* tried in turn with address and port when an attempt fails or a login is refused; 0 = none. Needs reconnect_ms */
  uint32_t backup_address;
  uint16_t backup_port;
  /* messages: one each throttle_ns (0 = any number) and throttle_burst at once, of which the last throttle_reserve are
   * for cancels */
  uint64_t throttle_ns;
  uint32_t throttle_burst;
  uint32_t throttle_reserve;
  /* of a pipeline with several sessions */
  char venue[16];   /* its name, zeros behind it */
  bool halts_alone; /* lost with orders open it halts the gateway, though other sessions are up */
};

struct hwgw_session;

int32_t hwgw_session_open(struct hwgw_session **session, const struct hwgw_session_cfg *cfg, struct hwgw_error *error);
void hwgw_session_close(struct hwgw_session *session); /* NULL is allowed; closes without logout */
/* runs connects, logins, heartbeats and time-outs and reads what arrived; call it in every round of the loop with the
 * gateway clock. Fills events (kind accepted, rejected, canceled, executed, replaced, broken) in the venue's order and
 * returns how many, at most max. They are of orders this session sent, with instrument, side, account and strategy. What
 * the venue said that cannot be so comes as kind halt, reason state. Never blocks. */
uint32_t hwgw_session_poll(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters, struct hwgw_order *events,
                           uint32_t max);
/* encodes one passed order (new, replace, cancel) or a mass cancel into the send buffer by patching a prebuilt template.
 * Returns HWGW_CNT_ORDER_ENCODED or HWGW_CNT_ORDER_DROP_* */
uint32_t hwgw_session_order(struct hwgw_session *session, const struct hwgw_order *order);
/* hands the send buffer to the kernel; call it once after the orders of a batch */
void hwgw_session_flush(struct hwgw_session *session, uint64_t now_ns, uint64_t *counters);
/* takes back the orders that still wait whole in the send buffer: the next polls give them as rejected (withdrawn).
 * Cancels stay. What the kernel took is gone */
void hwgw_session_withdraw(struct hwgw_session *session);
uint32_t hwgw_session_state(const struct hwgw_session *session); /* enum hwgw_segment_session_state */
/* why the state is what it is, for people; a constant string */
const char *hwgw_session_reason(const struct hwgw_session *session);
/* smallest ref the venue still takes (the account query after each login tells); the state is up only when it is known,
 * and orders below it are dropped. Start a gateway's refs here, not at 1 */
uint32_t hwgw_session_next_ref(const struct hwgw_session *session);
/* next expected sequenced message: requested_seq of a later session object */
uint64_t hwgw_session_next_seq(const struct hwgw_session *session);
/* state of an order by the table order_model.yaml: 0 free, 1 sent, 2 unknown, 3 live */
uint32_t hwgw_session_order_state(const struct hwgw_session *session, uint32_t ref);
void hwgw_session_logout(struct hwgw_session *session);
/* the encoder alone: writes a packet into out (at least HWGW_PACKET_SZ_MAX bytes); its length, or 0 when the
 * order cannot be expressed */
uint32_t hwgw_order_encode(const struct hwgw_session *session, const struct hwgw_order *order, uint8_t *out);
/* the decoder alone: one message from the venue in OUCH 5.0, or in the session's protocol (what only the sender of the order knows is left 0); 0 when event is
 * filled, else HWGW_CNT_SESSION_IGNORED, _DROP_LENGTH or _DROP_UNKNOWN. broken: the match number only, qty and px 0 */
uint32_t hwgw_order_decode(const uint8_t *message, uint32_t len, struct hwgw_order *event);
uint32_t hwgw_session_decode(const struct hwgw_session *session, const uint8_t *message, uint32_t len,
                             struct hwgw_order *event);

/* ---- segment: /dev/shm/hwgw-NAME, the layouts of hwgw/specs/segment.yaml ---- */

struct hwgw_segment; /* a mapping */

struct hwgw_segment_cfg {
  const char *name;    /* 1 to 31 of a-z A-Z 0-9 _ - */
  const char *version; /* of hwgw */
  const char *commit;
  uint32_t thread_cnt;
  uint32_t instrument_cnt;                  /* at most HWGW_SEGMENT_INSTRUMENTS_MAX */
  const char *symbols;                      /* instrument_cnt names of 8 bytes, space padded */
  uint64_t journal_sz_bytes;                /* of each pipeline's journal ring, a power of two; 0 = no journal */
  uint64_t fanout_sz_bytes;                 /* of each pipeline's fan-out ring, a power of two; 0 = none */
  uint32_t depth_levels;                    /* of either side of each book that are shown, at most 10; 0 = none */
  const struct hwgw_features_cfg *features; /* shown of each instrument, but for queue_*; NULL = none */
};

/* Makes the segment and holds an exclusive lock on it for as long as this process or a child lives: a second gateway of
 * that name is refused with the pid of the first. What a dead gateway left is replaced; what it was halted for is carried
 * over, but for control_lost, and instruments by symbol; one of another build, which cannot be read, counts as halted. */
int32_t hwgw_segment_create(struct hwgw_segment **segment, const struct hwgw_segment_cfg *cfg,
                            struct hwgw_error *error);
/* maps a gateway's segment, read-only or (control tools) writable */
int32_t hwgw_segment_attach(struct hwgw_segment **segment, const char *name, bool writable, struct hwgw_error *error);
/* unmaps; when discard is set and no halt is latched the file is removed too */
void hwgw_segment_close(struct hwgw_segment *segment, bool discard);
/* is a process holding the lock of this segment */
bool hwgw_segment_locked(const struct hwgw_segment *segment);

struct hwgw_segment_header *hwgw_segment_head(struct hwgw_segment *segment);
struct hwgw_control *hwgw_segment_control(struct hwgw_segment *segment);
struct hwgw_thread *hwgw_segment_thread(struct hwgw_segment *segment, uint32_t thread);
struct hwgw_channel *hwgw_segment_channel(struct hwgw_segment *segment, uint32_t thread, uint32_t channel);
uint64_t *hwgw_segment_counters(struct hwgw_segment *segment, uint32_t thread);
struct hwgw_hist *hwgw_segment_hist(struct hwgw_segment *segment, uint32_t thread, uint32_t hist);
struct hwgw_tob *hwgw_segment_tob(struct hwgw_segment *segment, uint32_t instrument);
struct hwgw_depth *hwgw_segment_depth(struct hwgw_segment *segment, uint32_t instrument);             /* NULL = none */
struct hwgw_feature_row *hwgw_segment_feature_row(struct hwgw_segment *segment, uint32_t instrument); /* NULL = none */
struct hwgw_position *hwgw_segment_position(struct hwgw_segment *segment, uint32_t instrument);
struct hwgw_exposure *hwgw_segment_exposure(struct hwgw_segment *segment,
                                            uint32_t account); /* accounts_max = gateway */
struct hwgw_strategy_row *hwgw_segment_strategy(struct hwgw_segment *segment, uint32_t id);
struct hwgw_quality *hwgw_segment_quality(struct hwgw_segment *segment, uint32_t venue, uint32_t strategy);
struct hwgw_limits *hwgw_segment_limits(struct hwgw_segment *segment, uint32_t index);
struct hwgw_breaker_row *hwgw_segment_breaker(struct hwgw_segment *segment, uint32_t rule);
struct hwgw_halt_record *hwgw_segment_instrument_halt(struct hwgw_segment *segment, uint32_t instrument);
const char *hwgw_segment_symbols(struct hwgw_segment *segment);
struct hwgw_journal_ring *hwgw_segment_journal(struct hwgw_segment *segment, uint32_t thread); /* NULL = none */

/* adds a reason of the risk table (any other counts as operator) to those the gateway is halted for; false when it is
 * one of them already, whose record stays. May be called by any process and thread. */
bool hwgw_halt(struct hwgw_segment *segment, uint32_t reason, const char *text);
/* waits until every pipeline has acknowledged the halts and resumes so far: each order judged before has left, was refused
 * or was dropped, and the next one is judged by what is in force now. true at once when there is no data process. false
 * after timeout_ns: it is stopped, or has no core; the halt is in force all the same, but an order that was past the check
 * may leave when it goes on. */
bool hwgw_halt_wait(struct hwgw_segment *segment, uint64_t timeout_ns);
/* takes reasons (bit per reason code) from that set and returns those that were in it; orders pass when none is left */
uint32_t hwgw_resume(struct hwgw_segment *segment, uint32_t reasons);
/* the same for one instrument (below instrument_cnt of the segment): none of its orders leaves but cancels. false when it
 * is halted already, whose record stays, or not there */
bool hwgw_halt_instrument(struct hwgw_segment *segment, uint32_t instrument, uint32_t reason, const char *text);
/* its orders pass again; false when it was not halted */
bool hwgw_resume_instrument(struct hwgw_segment *segment, uint32_t instrument);
/* asks the gate to arm or disarm a strategy (id below strategies_max); one that is to be armed already is armed anew: its
 * run of fills and refusals starts again. True when that changes what was asked last. Any process and thread */
bool hwgw_arm(struct hwgw_segment *segment, uint32_t id, bool is_armed);
/* asks every pipeline to cancel what it has open at the venue now; the number of the request, which cancel_seq_ack of
 * each thread follows. Any process and thread */
uint64_t hwgw_cancel_all(struct hwgw_segment *segment);
/* copies a limits table into the idle half, seals it with generation and checksum and flips; returns the generation, or
 * 0 while a pipeline has not acknowledged the one before: its gate may still judge by the half that would be written.
 * One writer at a time: the control plane */
uint64_t hwgw_limits_publish(struct hwgw_segment *segment, const struct hwgw_limits *limits);
void hwgw_beat(struct hwgw_segment *segment); /* the control plane is alive */
/* consistent copy of a top-of-book row; false after 1,000 torn reads */
bool hwgw_tob_read(const struct hwgw_tob *row, struct hwgw_tob *out);

/* ---- pipeline: wire to order, one per receive queue, run to completion ---- */

struct hwgw_strategy_cfg {
  const struct hwgw_strategy *strategy;
  const int64_t *params; /* strategy->param_cnt values */
  const char *name;      /* for people, in its row of the segment; NULL = the strategy's own */
  uint32_t id;           /* 0 to 63, the index in limits, arm and the rows of the segment */
  uint32_t account;
  const struct hwgw_features_cfg *features; /* NULL = none */
  uint32_t mode; /* enum hwgw_segment_strategy_mode; a pipeline takes those of its own mode alone */
  uint32_t of;   /* of a shadow: 1 + the id of the live strategy that it is beside */
};

/* A pipeline beside a live one: it sees the same events of the same books, has gate, limits, halts, journal and rows of its
 * own, and a model of the venue instead of a session. */
struct hwgw_twin_cfg {
  struct hwgw_segment *segment; /* its own */
  uint32_t mode;                /* enum hwgw_segment_strategy_mode, not live */
  uint32_t strategy_cnt;
  const struct hwgw_strategy_cfg *strategy;
  uint64_t latency_ns; /* from a decision until the order meets the market as the pipeline sees it then */
  bool has_impact;     /* what it takes is gone for later events */
};

#define HWGW_SERVERS_MAX 4

struct hwgw_endpoint {
  uint32_t address; /* IPv4, host order */
  uint16_t port;    /* 0 = none */
  uint16_t reserved;
};

/* how holes of a channel are repaired; all 0: they are given up when the reorder window is over */
struct hwgw_recover_cfg {
  uint64_t window_ns;  /* so long a late packet or another line may fill a hole by itself */
  uint32_t server_cnt; /* MoldUDP64 re-request servers, asked in turn */
  struct hwgw_endpoint server[HWGW_SERVERS_MAX];
  uint64_t timeout_ns;           /* without progress the next server is asked */
  uint32_t retries;              /* so often in a row, then the snapshot is tried */
  uint32_t rate;                 /* requests per second, at most */
  uint32_t messages_max;         /* more than so many missing are left to the snapshot; 0 = no bound */
  struct hwgw_endpoint snapshot; /* GLIMPSE server; port 0 = none */
  char username[6];              /* space padded */
  char password[10];             /* space padded */
  uint64_t snapshot_timeout_ns;  /* silence that ends an attempt */
  uint64_t snapshot_retry_ns;    /* between two attempts */
};

struct hwgw_channel_cfg {
  uint32_t line_cnt;
  uint32_t hold_max;               /* messages kept behind a hole, 0 = none: delivery goes on behind holes */
  uint64_t jump_max;               /* messages; 0 = no bound */
  uint64_t stale_ns;               /* silence after which the feed is stale; 0 = never */
  struct hwgw_recover_cfg recover; /* of use with hold_max only */
  uint32_t venue;                  /* session whose venue it tells of */
};

#define HWGW_CHANNELS_MAX 16

/* the records of one block of a journal, which was proven */
struct hwgw_replay_part {
  const void *data;
  uint64_t len;
  uint32_t record_cnt;
  uint64_t block; /* its number */
};

enum hwgw_risk_where { HWGW_RISK_WHERE_HOST = 0, HWGW_RISK_WHERE_CARD = 1, HWGW_RISK_WHERE_BOTH = 2 };

struct hwgw_pipeline_cfg {
  struct hwgw_segment *segment;
  uint32_t thread;           /* index of its blocks in the segment */
  int32_t cpu;               /* -1 = not pinned */
  int32_t fifo_priority;     /* SCHED_FIFO, 0 = SCHED_OTHER */
  bool dynamic_instruments;  /* subscribe to symbols as they come, for decode and tests */
  bool ref_is_last;          /* reference price: last trade instead of midpoint */
  bool end_with_feed;        /* stop when the feed has ended (files, end of session) */
  bool cancel_on_halt;       /* when halted, cancel every open order, and again until the venue has answered for all */
  uint64_t stale_halt_ns;    /* a heartbeat that is older than beat_age_max by so much latches halt; 0 = never */
  bool udp_checksum;         /* verify it where the backend gives whole frames */
  bool virtual_clock;        /* time is what hwgw_pipeline_advance says, and the TSC is not read */
  uint32_t batch;            /* frames per poll, 0 = 64 */
  uint32_t sample_shift;     /* stage times of 1 message in 2^shift that leads to no order */
  uint64_t journal_stall_ns; /* halt when the journal's writer has not looked for so long; 0 = never */
  uint32_t risk_where;       /* enum hwgw_risk_where: whose gate judges */
  const char *risk_card;     /* library of the simulated card (hwgw_card.h), when rx is not a card itself */
  struct hwgw_rx_cfg rx;
  struct hwgw_books_cfg books;
  uint32_t channel_cnt;
  struct hwgw_channel_cfg channel[HWGW_CHANNELS_MAX];
  uint32_t strategy_cnt;
  const struct hwgw_strategy_cfg *strategy; /* strategy_cnt of them */
  /* 0: no venue, every passed order is dropped (order_drop_session). With V > 1 of them the segment has V rows of names,
   * one per session: instrument v * symbols + i is symbol i at venue v */
  uint32_t session_cnt;
  const struct hwgw_session_cfg *session; /* session_cnt of them */
  struct hwgw_router_cfg router;          /* venue_cnt is session_cnt; of no use with fewer than 2 */
  /* what earlier processes of this gateway put on record, oldest first: orders, positions, cash, references and the place
   * in the venue's session are rebuilt from it, and the gateway is halted (reconcile) until the venue agrees. To be kept
   * until open returns */
  const struct hwgw_replay_part *replay;
  const struct hwgw_twin_cfg *twin; /* twin_cnt of them, at most HWGW_SEGMENT_TWINS_MAX */
  uint32_t twin_cnt;
  uint32_t replay_cnt; /* 0 = begins with nothing */
  bool replay_halts;   /* a halt that stands at its end stands again; else the segment's own is all that counts */
};

struct hwgw_pipeline;

int32_t hwgw_pipeline_open(struct hwgw_pipeline **pipeline, const struct hwgw_pipeline_cfg *cfg,
                           struct hwgw_error *error);
/* one round: receive, decode, books, strategies, gate, orders, venue; true when there was work. For tests and replay. */
bool hwgw_pipeline_step(struct hwgw_pipeline *pipeline);
/* cnt frames straight into the pipeline, one behind the other in data, lens[i] bytes each; each counts as received when its
 * turn comes. For tests, benchmarks and replay */
void hwgw_pipeline_frames(struct hwgw_pipeline *pipeline, const uint8_t *data, const uint32_t *lens, uint32_t cnt);
/* On a virtual clock: it is now_ns (from 1, never back), and what is due every millisecond is done once: a heartbeat of
 * the control plane, which lives as long as its clock, and housekeeping. The same calls give the same journal */
void hwgw_pipeline_advance(struct hwgw_pipeline *pipeline, uint64_t now_ns);
/* On a virtual clock: cnt frames as a capture has them, each at its ts_ns; base_ns is taken off each. For replay */
void hwgw_pipeline_timed(struct hwgw_pipeline *pipeline, const struct hwgw_frame *frames, uint32_t cnt,
                         uint64_t base_ns);
/* publishes counters, positions and the thread block now instead of at the next housekeeping round */
void hwgw_pipeline_publish(struct hwgw_pipeline *pipeline);
/* rounds until control->stop, the end of the feed when so configured, or a failure; then cancels, logs out, publishes */
void hwgw_pipeline_run(struct hwgw_pipeline *pipeline);
void hwgw_pipeline_close(struct hwgw_pipeline *pipeline);
const struct hwgw_books *hwgw_pipeline_books(const struct hwgw_pipeline *pipeline);
const struct hwgw_risk *hwgw_pipeline_risk(const struct hwgw_pipeline *pipeline);
const struct hwgw_instruments *hwgw_pipeline_instruments(const struct hwgw_pipeline *pipeline);

/* ---- journal: what the pipelines put into their rings, on disk ---- */

enum hwgw_journal_sync {
  HWGW_JOURNAL_SYNC_NONE = 0,  /* when a file is rolled and at the end */
  HWGW_JOURNAL_SYNC_GROUP = 1, /* at most group_ns after a write */
  HWGW_JOURNAL_SYNC_EVERY = 2  /* after every block */
};

struct hwgw_journal_cfg {
  const char *folder;
  uint32_t number; /* of the file that is made: NAME-NUMBER.journal */
  uint32_t sync;   /* enum hwgw_journal_sync */
  uint64_t group_ns;
  uint64_t file_max_bytes; /* past it a file is closed and the next one made */
  uint64_t seq;            /* of the last block on disk, 0 = none */
  uint8_t before[32];      /* its hash */
  uint64_t torn_bytes;     /* that a crash left behind it */
  const char *anew;        /* not NULL: this run begins without what is before it, for this reason */
  bool is_salvage;         /* of a gateway that is gone: append to the file from file_sz on, and end */
  uint64_t file_sz;
  uint64_t skip[16]; /* per pipeline the last record that is on disk of this run */
};

/* The writer's whole life: opens the file, answers on ready_fd (as hwgw_gateway_run does; -1 = no), writes until nothing more
 * comes, closes the journal. To be called in a process of its own, forked before the data process; it gives up every
 * capability. Returns an enum hwgw_status, with the text in error (may be NULL). */
int32_t hwgw_journal_run(struct hwgw_segment *segment, const struct hwgw_journal_cfg *cfg, int32_t ready_fd,
                         struct hwgw_error *error);

struct hwgw_journal; /* the side that puts, for tests and benchmarks; a pipeline has its own */

struct hwgw_journal *hwgw_journal_open(struct hwgw_segment *segment, uint32_t thread);
/* false when the ring has no room; nothing was put then. type: enum hwgw_journal_record_type */
bool hwgw_journal_put(struct hwgw_journal *journal, uint8_t type, uint16_t verdict, uint64_t ts_ns, const void *payload,
                      uint32_t len);
void hwgw_journal_close(struct hwgw_journal *journal);
uint32_t hwgw_crc32c(const void *data, uint64_t len);

struct hwgw_confine_cfg {
  bool drop_privileges; /* every capability goes when all is open, but those that the receive backend must keep */
  bool seccomp;         /* only the system calls of the steady state; another one fails, is counted and halts */
};

struct hwgw_placement_cfg {
  bool lock_memory;       /* what is touched is not swapped out or moved */
  int32_t dma_latency_us; /* power states that take longer to leave are not entered while the process runs; -1 = any */
};

/* The data process: opens every pipeline, runs each on its own pinned thread and returns when all have stopped. It stops
 * on SIGTERM, SIGINT, control->stop, or when its parent dies, which latches halt with reason control_lost. Writes one byte
 * to ready_fd when every pipeline is open, or the error text when one is not; -1 = no. placement and confine apply to the
 * whole process, before that byte; NULL = not. Returns an enum hwgw_status. */
int32_t hwgw_gateway_run(struct hwgw_segment *segment, const struct hwgw_pipeline_cfg *pipelines, uint32_t pipeline_cnt,
                         const struct hwgw_placement_cfg *placement, const struct hwgw_confine_cfg *confine,
                         int32_t ready_fd);

/* hwgw cdef end */

#endif
