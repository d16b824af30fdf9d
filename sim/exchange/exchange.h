/* exchange.h: what the parts of the simulated exchange share.
 *
 * SPDX-License-Identifier: MIT
 *
 * One thread runs it all: source (flow or capture) -> match -> book, itch -> publish, and clients -> venue -> match.
 * Nothing is allocated after open. Prices are in 1/10,000, time is in nanoseconds; `now` is CLOCK_MONOTONIC,
 * `ts` is nanoseconds since midnight as the messages carry it.
 */
#ifndef HWGW_SIM_EXCHANGE_H
#define HWGW_SIM_EXCHANGE_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "hwgw.h"
#include "hwgw_rx.h"
#include "hwgw_sim.h"
#include "hwgw_wire.h" /* generated */

#define SIM_NIL UINT32_MAX
#define SIM_NS_PER_S 1000000000u
#define SIM_TICK 100u          /* price step of one cent */
#define SIM_PX_MAX 1999999900u /* highest OUCH limit price */
#define SIM_QTY_MAX 999999u
#define SIM_BURST_MESSAGES 512u /* published between two looks at the clients */

enum sim_side { SIM_BUY = 0, SIM_SELL = 1 };

/* ---- map.c: u64 to u32, open addressing ---- */

struct sim_map {
  uint64_t *keys; /* 0 = empty slot */
  uint32_t *values;
  uint32_t mask;
  uint32_t cnt;
  uint32_t max;
};

bool sim_map_init(struct sim_map *map, uint32_t max);
void sim_map_fini(struct sim_map *map);
uint32_t sim_map_get(const struct sim_map *map, uint64_t key);       /* SIM_NIL when absent */
bool sim_map_put(struct sim_map *map, uint64_t key, uint32_t value); /* key is absent and not 0; false when full */
void sim_map_remove(struct sim_map *map, uint64_t key);

void *sim_memory(size_t sz); /* zeroed, taken when touched; NULL when there is none */
void sim_memory_free(void *memory, size_t sz);

/* ---- ring.c ---- */

#define SIM_RING_SZ_MIN 4096u
#define SIM_RING_SZ_MAX (1u << 30)

struct sim_ring {
  uint8_t *data;
  uint64_t sz;   /* a power of two */
  uint64_t head; /* bytes appended so far */
};

int32_t sim_ring_open(struct sim_ring *ring, const char *what, uint32_t sz, char *error, uint32_t error_sz);
void sim_ring_close(struct sim_ring *ring);
void sim_ring_append(struct sim_ring *ring, const uint8_t *data, uint32_t len); /* at most sz bytes */
void sim_ring_read(const struct sim_ring *ring, uint64_t at, uint8_t *out, uint32_t len);

/* whether everything from this place on is there */
static inline bool sim_ring_has(const struct sim_ring *ring, uint64_t at) {
  return ring->head - at <= ring->sz;
}

/* ---- book.c ---- */

enum sim_order_flags {
  SIM_HIDDEN = 1,     /* not in the published book; behind displayed orders of its price */
  SIM_IMPROVES = 2,   /* trades half a tick better for the taker than it displays */
  SIM_ATTRIBUTED = 4, /* published as F */
};

struct sim_order {
  uint64_t ref;
  uint32_t px;
  uint32_t qty; /* shares left */
  uint32_t symbol;
  uint32_t level;
  uint32_t prev; /* in the queue of its level */
  uint32_t next;
  uint32_t user_ref; /* clients: user reference number */
  uint32_t executed; /* clients: shares executed over the whole chain of replaces */
  union {
    uint32_t slot;  /* flow: place in the symbol's list of live orders */
    uint32_t taken; /* capture: shares that clients have taken from it */
  };
  uint8_t side;
  uint8_t party; /* 0 the market, else 1 + user */
  uint8_t flags;
  char ouch_side; /* clients: as entered: B S T E */
  char display;
  char capacity;
  char intermarket_sweep;
  char time_in_force;
};

/* a price level: two queues, [0] displayed and [1] hidden; in a treap by key and in a list from best to worst */
struct sim_level {
  uint32_t key; /* smaller is better: px of sells, ~px of buys */
  uint32_t px;
  uint32_t priority;
  uint32_t left, right;
  uint32_t better, worse;
  uint32_t head[2], tail[2];
};

#define SIM_NEAR 64u /* a power of two */

struct sim_half {
  uint32_t root;
  uint32_t best;
  uint32_t near[SIM_NEAR]; /* by price in ticks, modulo: the live level found there last, or SIM_NIL */
};

struct sim_book {
  struct sim_order *orders;
  struct sim_level *levels; /* as many as orders: each level holds one at least */
  struct sim_half *halves;  /* symbol x side */
  uint32_t symbol_cnt;
  uint32_t orders_max;
  uint32_t order_free, order_fresh; /* list of used ones; first never used one */
  uint32_t level_free, level_fresh;
  uint32_t live;
  uint32_t hidden;
};

bool sim_book_init(struct sim_book *book, uint32_t symbol_cnt, uint32_t orders_max);
void sim_book_fini(struct sim_book *book);
uint32_t sim_book_add(struct sim_book *book, const struct sim_order *order); /* its index; SIM_NIL when full */
void sim_book_remove(struct sim_book *book, uint32_t index);
uint32_t sim_book_front(const struct sim_book *book, uint32_t symbol, uint32_t side); /* next to trade, or SIM_NIL */
uint32_t sim_book_after(const struct sim_book *book, uint32_t index); /* the one behind it, over levels, or SIM_NIL */
uint64_t sim_book_hash(const struct sim_book *book);

/* is a limit of px on side willing to trade at the other side's px */
static inline bool sim_crosses(uint32_t side, uint32_t px, uint32_t other_px) {
  return side == SIM_BUY ? px >= other_px : px <= other_px;
}

/* ---- publish.c: MoldUDP64 ---- */

#define SIM_PACKETS_MAX 64
#define SIM_PACKET_SZ HWGW_BAD_LINE_PACKET_SZ

#define SIM_HEADERS_SZ (ETHERNET_ETHERNET_HEADER_LEN + ETHERNET_IPV4_HEADER_LEN + ETHERNET_UDP_HEADER_LEN)

struct sim_packet {
  uint64_t scheduled_ns; /* of its first message; 0 = not on a schedule */
  uint64_t sum;          /* of the payload, for the checksum of a frame */
  uint32_t len;          /* of data */
  uint32_t cnt;
  uint8_t headers[SIM_HEADERS_SZ]; /* of the frame that data is the payload of; each line writes its own */
  uint8_t data[SIM_PACKET_SZ];
};

struct sim_publish {
  int record_fd; /* -1 = nothing is recorded */
  uint32_t packet_sz_max;
  uint32_t current; /* packet being filled */
  uint64_t next_seq;
  uint64_t last_ns; /* of the last packet out */
  uint64_t heartbeat_ns;
  uint8_t session[10];
  struct sim_packet packets[SIM_PACKETS_MAX];
};

/* ---- frame.c ---- */

struct sim_headers {
  uint64_t ip_sum; /* of what is the same in every frame */
  uint64_t udp_sum;
  uint8_t bytes[SIM_HEADERS_SZ];
};

/* ---- line.c ---- */

struct sim_line {
  bool is_open;
  int fd;                       /* its UDP socket; -1: it has none, or leaves as frames */
  struct sim_headers headers;   /* of its frames */
  struct hwgw_bad_line *faults; /* NULL: a perfect line */
  struct sim_packet *held;      /* SIM_PACKETS_MAX that came out of the faults and leave together */
};

struct sim_lines {
  struct sim_line line[HWGW_SIM_LINES_MAX];
  struct hwgw_rx *wire; /* takes frames; NULL: there are sockets */
  bool is_waiting;      /* frames may wait in the wire's ring */
};

/* ---- clients.c: SoupBinTCP ---- */

#define SIM_CONNECTIONS_MAX 32
#define SIM_INPUT_SZ 65536
#define SIM_CLIENT_PACKET_MAX 512 /* longest SoupBinTCP packet a client may send */

struct sim_connection {
  int fd;        /* -1 = free */
  uint32_t user; /* SIM_NIL before login */
  uint32_t in_len;
  uint32_t small_len, small_sent; /* packets outside the sequence; they go only between sequenced packets */
  uint64_t cursor;                /* next byte of the user's store to send */
  uint64_t last_rx_ns, last_tx_ns;
  uint64_t timeout_ns; /* silence after which it is closed */
  bool writing;        /* waits for EPOLLOUT */
  bool ending;         /* end of session when the store is sent */
  bool closing;        /* close when everything is sent */
  bool finished;       /* shut for writing; waits for the client to close */
  uint8_t small[256];
  uint8_t in[SIM_INPUT_SZ];
};

struct sim_user {
  struct hwgw_sim_user login;
  uint32_t connection; /* SIM_NIL */
  uint32_t last_ref;
  uint32_t open_orders;
  bool is_disabled;          /* takes no new orders until it is enabled */
  uint64_t next_seq;         /* of the next sequenced message, from 1 */
  struct sim_ring store;     /* of its sequenced packets */
  uint64_t *positions;       /* of message seq: where it starts */
  struct sim_tokens *tokens; /* OUCH 4.2: by user reference number; NULL: OUCH 5.0 */
};

/* ---- recovery.c: MoldUDP64 re-requests, GLIMPSE ---- */

#define SIM_SNAPSHOTS_MAX 8
#define SIM_RECOVERY_ID (UINT32_MAX - 1) /* in the epoll set */

/* a client of the snapshot server */
struct sim_snapshot {
  int fd; /* -1 = free */
  uint32_t len, sent, room;
  uint32_t in_len;
  uint8_t *data; /* everything it gets; NULL before the login */
  uint8_t in[256];
};

/* a packet whose messages are in the store */
struct sim_kept {
  uint64_t seq; /* of its first message */
  uint64_t at;  /* where that is */
};

struct sim_recovery {
  int request_fd; /* -1 = no such server */
  int snapshot_fd;
  uint16_t request_port;
  uint16_t snapshot_port;
  uint32_t loss_ppm;
  uint64_t random;
  struct sim_ring store; /* message blocks of the last packets; without memory: nothing is kept */
  struct sim_kept *kept; /* those packets */
  uint64_t kept_cnt;     /* so far */
  uint64_t next_seq;
  bool is_called;              /* one of its sockets has something */
  struct sim_snapshot *making; /* messages go here instead of to the feed */
  struct sim_snapshot client[SIM_SNAPSHOTS_MAX];
};

/* ---- source: flow.c, capture.c ---- */

struct sim_flow_symbol {
  uint32_t base_ticks;
  uint32_t fair_ticks;
  uint32_t live_cnt;
};

struct sim_flow {
  uint64_t random;
  uint32_t live_max; /* per symbol */
  uint32_t target;
  uint64_t opened; /* opening messages published */
  struct sim_flow_symbol *symbols;
  uint32_t *live; /* symbol x live_max: indices of orders */
};

struct sim_capture {
  const uint8_t *data;
  size_t sz; /* bytes of records */
  size_t mapped_sz;
  size_t cursor;
  uint64_t first_ts;
  uint32_t locate_symbol[65536]; /* SIM_NIL = not seen */
  bool halted[65536];            /* by symbol */
  struct sim_map refs;
  struct sim_book shadow; /* resting client orders, unseen */
};

/* ---- stats.c ---- */

#define SIM_HIST_STEPS 32
struct sim_hist {
  uint64_t cnt, max;
  uint64_t bins[64 * SIM_HIST_STEPS];
};

void sim_hist_record(struct sim_hist *hist, uint64_t value);
uint64_t sim_hist_percentile(const struct sim_hist *hist, double pct);

/* where a schedule of steps is; a rate is one step that does not end */
struct sim_schedule {
  struct hwgw_sim_step rate;
  const struct hwgw_sim_step *steps;
  uint32_t cnt, at;
  uint64_t first; /* messages of the steps before this one */
  uint64_t until; /* and with it */
  uint64_t ns;    /* how long those before take */
  double ns_per_message;
  int clock_fd;                 /* schedstat of the thread; -1 = not started, or the kernel has none */
  struct hwgw_sim_clocks start; /* these as they stood; those below since then */
  struct hwgw_sim_clocks ended;
  struct hwgw_sim_clocks end[HWGW_SIM_STEPS_MAX];
};

struct hwgw_sim_exchange {
  struct hwgw_sim_cfg cfg;
  atomic_int stop;
  uint64_t start_ns;           /* of the schedule; 0 = not started */
  uint64_t open_ns;            /* now when open ran */
  uint64_t midnight_offset_ns; /* ts = now + this, modulo 2^64 */
  uint64_t scheduled_ns;       /* of the message being published; 0 = not on a schedule */
  uint64_t ts;                 /* of the message being published */
  uint64_t first_ns, last_ns;  /* first and last published message */
  uint64_t next_ref;
  uint64_t next_match;
  char (*symbols)[8];
  uint32_t symbol_cnt;
  uint32_t party_cnt;
  int64_t *positions; /* party x symbol */
  int64_t cash[HWGW_SIM_USERS_MAX + 1];
  bool is_capture;
  bool is_open; /* orders are taken: between the opening and the closing messages */
  bool ending;  /* the end of session is being sent */
  struct sim_book book;
  struct sim_flow flow;
  struct sim_capture capture;
  struct sim_map symbol_index;  /* name as 8 bytes -> symbol */
  struct sim_map client_orders; /* party << 32 | user reference number -> index */
  struct sim_publish publish;
  struct sim_lines lines;
  struct sim_schedule schedule;
  struct sim_recovery recovery;
  int listen_fd;
  int epoll_fd;
  uint16_t listen_port;
  uint32_t logged_in;
  uint64_t position_mask;
  struct sim_user users[HWGW_SIM_USERS_MAX];
  struct sim_connection *connections;
  struct hwgw_sim_stats stats;
  struct sim_hist lateness;
};

typedef struct hwgw_sim_exchange sim_exchange;

uint64_t sim_now(void);
int32_t sim_fail(char *error, uint32_t error_sz, int32_t status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* schedule.c */
void sim_schedule_open(sim_exchange *x);
void sim_schedule_start(sim_exchange *x); /* with start_ns, by the thread that runs */
uint64_t sim_rate_due(sim_exchange *x);   /* when the next message is due by rate or steps */
void sim_schedule_end(sim_exchange *x,
                      bool is_whole); /* the source has ended, whole or cut off; later calls do nothing */

/* publish.c */
int32_t sim_publish_open(sim_exchange *x, char *error, uint32_t error_sz);
void sim_publish_close(sim_exchange *x);
uint8_t *sim_publish_reserve(sim_exchange *x, uint32_t len); /* room for one message in the current packet */
void sim_publish_flush(sim_exchange *x);
void sim_publish_heartbeat(sim_exchange *x, uint64_t now); /* when one is due */
void sim_publish_end(sim_exchange *x);                     /* one end of session packet */

/* line.c */
int32_t sim_lines_open(sim_exchange *x, char *error, uint32_t error_sz); /* packets of at most publish.packet_sz_max */
void sim_lines_close(sim_exchange *x);
void sim_lines_send(sim_exchange *x, struct sim_packet *packets, uint32_t cnt); /* on every line */
void sim_lines_late(sim_exchange *x, uint64_t now); /* what the lines' faults have held back, and what the wire has */
void sim_lines_end(
    sim_exchange *x); /* behind the last packet: nothing is held back any more, and what never left is counted */

/* frame.c */
/* of the frames to a group and port from cfg->interface, for payloads of at most so many bytes */
int32_t sim_headers_open(struct sim_headers *headers, const struct hwgw_sim_cfg *cfg, uint32_t group, uint16_t port,
                         uint32_t payload_sz_max, char *error, uint32_t error_sz);
void sim_packet_sum(struct sim_packet *packet); /* before its headers are written, for whatever number of lines */
void sim_headers_write(const struct sim_headers *headers, struct sim_packet *packet);

/* recovery.c */
int32_t sim_recovery_open(sim_exchange *x, char *error, uint32_t error_sz); /* after the clients */
void sim_recovery_close(sim_exchange *x);
/* cnt messages from seq on as they were published: len bytes of message blocks */
void sim_recovery_keep(sim_exchange *x, uint64_t seq, const uint8_t *blocks, uint32_t len, uint32_t cnt);
void sim_recovery_poll(sim_exchange *x); /* behind sim_clients_poll, which knows whether somebody calls */
uint8_t *sim_snapshot_reserve(sim_exchange *x, uint32_t len); /* room for one message of the one being made */

/* itch.c: encodes and publishes one message each */
void sim_itch_system(sim_exchange *x, char event);
void sim_itch_directory(sim_exchange *x, uint32_t symbol);
void sim_itch_trading(sim_exchange *x, uint32_t symbol, char state);
void sim_itch_add(sim_exchange *x, const struct sim_order *order);
void sim_itch_executed(sim_exchange *x, const struct sim_order *maker, uint32_t qty, uint64_t match);
void sim_itch_executed_price(sim_exchange *x, const struct sim_order *maker, uint32_t qty, uint64_t match, uint32_t px);
void sim_itch_trade(sim_exchange *x, const struct sim_order *maker, uint32_t qty, uint64_t match, uint32_t px);
void sim_itch_cancel(sim_exchange *x, const struct sim_order *order, uint32_t qty);
void sim_itch_delete(sim_exchange *x, const struct sim_order *order);
void sim_itch_replace(sim_exchange *x, const struct sim_order *order, uint64_t old_ref);

/* match.c: the matching rules. Client orders of capture mode rest in the shadow book and are never published. */
bool sim_would_trade(const sim_exchange *x, uint32_t symbol, uint32_t side, uint32_t px);
/* trades taker (qty shares, limit px) against the other side; its qty and executed are brought up to date */
void sim_match(sim_exchange *x, struct sim_order *taker);
/* rests an order that does not cross; its index, or SIM_NIL when there is no room */
uint32_t sim_rest(sim_exchange *x, const struct sim_order *order);
void sim_reduce(sim_exchange *x, uint32_t index, uint32_t qty); /* takes qty of what is left */
/* replaces a resting order by one that does not cross, at the tail of its level; its new index */
uint32_t sim_requeue(sim_exchange *x, uint32_t index, const struct sim_order *order);
/* books one match for both parties and gives its number */
uint64_t sim_settle(sim_exchange *x, uint32_t buyer, uint32_t seller, uint32_t symbol, uint32_t qty, uint32_t px);
/* tells the party of a resting order of its execution and takes it out when nothing is left */
void sim_made(sim_exchange *x, struct sim_book *book, uint32_t index, uint32_t qty, uint32_t px, uint64_t match);
void sim_took(sim_exchange *x, struct sim_order *taker, uint32_t qty, uint32_t px, uint64_t match);

static inline struct sim_book *sim_client_book(sim_exchange *x) {
  return x->is_capture ? &x->capture.shadow : &x->book;
}

/* flow.c */
bool sim_flow_open(sim_exchange *x);
void sim_flow_close(sim_exchange *x);
void sim_flow_step(sim_exchange *x);   /* one action; publishes none, one or several messages */
void sim_flow_finish(sim_exchange *x); /* publishes the end of the day */
void sim_flow_removed(sim_exchange *x, const struct sim_order *order); /* an order of the background left the book */
void sim_flow_rested(sim_exchange *x, uint32_t index);

/* capture.c */
int32_t sim_capture_open(sim_exchange *x, char *error, uint32_t error_sz);
void sim_capture_close(sim_exchange *x);
bool sim_capture_ended(const sim_exchange *x);
uint64_t sim_capture_due(sim_exchange *x); /* scheduled time of the next message */
void sim_capture_step(sim_exchange *x);    /* publishes and applies one message */
bool sim_capture_halted(const sim_exchange *x, uint32_t symbol);
void sim_capture_match(sim_exchange *x, struct sim_order *taker); /* as sim_match, against the rebuilt book */

/* clients.c */
int32_t sim_clients_open(sim_exchange *x, char *error, uint32_t error_sz);
void sim_clients_close(sim_exchange *x);
void sim_clients_poll(sim_exchange *x, uint64_t now); /* accepts, reads and carries out what has arrived */
void sim_clients_flush(sim_exchange *x, uint64_t now);
void sim_clients_timers(sim_exchange *x, uint64_t now);
void sim_clients_end(sim_exchange *x); /* end of session to all; bounded wait until they have read it */
void sim_sequence(sim_exchange *x, uint32_t user, const uint8_t *message,
                  uint32_t len); /* appends to the user's store */

/* ouch42.c */
#define SIM_OUCH42_SZ_MAX OUCH42_REPLACED_LEN
bool sim_ouch42_open(struct sim_user *user);
void sim_ouch42_close(struct sim_user *user);
void sim_ouch42_message(sim_exchange *x, uint32_t user, const uint8_t *message, uint32_t len);
uint32_t sim_ouch42_of(const struct sim_user *user, const uint8_t *message, uint8_t *out); /* a message of 5.0 in 4.2 */

/* venue.c: OUCH 5.0 */
void sim_venue_message(sim_exchange *x, uint32_t user, const uint8_t *message, uint32_t len);
void sim_venue_executed(sim_exchange *x, const struct sim_order *order, uint32_t qty, uint32_t px, uint64_t match,
                        char liquidity);
void sim_venue_closed(sim_exchange *x, uint32_t party, uint32_t user_ref); /* the order is not live any more */
void sim_venue_system(sim_exchange *x, char event);
/* a user's orders, of one symbol or (SIM_NIL) of all */
void sim_venue_cancel_all(sim_exchange *x, uint32_t user, uint32_t symbol, char reason);

#endif
