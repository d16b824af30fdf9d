/* hwgw_sim.h: the public interface of the simulated exchange and of the lab.
 *
 * SPDX-License-Identifier: MIT
 *
 * Everything between the two cdef markers is also what Python sees as hwgw_sim._native.
 * Units: px and cash in 1/10,000 of the currency unit, qty in shares, *_ns in nanoseconds.
 * Errors: functions that return int32_t give 0 or an exit code of the command line (3 configuration, 4 privilege,
 * 5 hardware, driver or network, 7 internal) and fill the caller's text with one line.
 * Threads: an exchange belongs to the thread that runs it; only hwgw_sim_exchange_stop may be called from another.
 */
#ifndef HWGW_SIM_H
#define HWGW_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "hwgw_bad_line.h"

/* hwgw cdef begin */

#define HWGW_SIM_SYMBOLS_MAX 65535 /* a stock locate is 16 bits wide and starts at 1 */
#define HWGW_SIM_USERS_MAX 16
#define HWGW_SIM_CODES_MAX 256
#define HWGW_SIM_ERROR_SZ 512

enum hwgw_sim_pace {
  HWGW_SIM_PACE_RECORDED = 0, /* the capture's own time */
  HWGW_SIM_PACE_SCALED = 1,   /* the capture's own time, divided by pace_scale */
  HWGW_SIM_PACE_RATE = 2,     /* messages per second */
  HWGW_SIM_PACE_MAX = 3       /* as fast as it goes */
};

#define HWGW_SIM_LINES_MAX 2

/* a part of a schedule: so many messages, evenly over so long */
#define HWGW_SIM_STEPS_MAX 4096
struct hwgw_sim_step {
  uint64_t messages;
  uint64_t ns;
};

/* of the thread that runs the exchange */
struct hwgw_sim_clocks {
  uint64_t ns;
  uint64_t busy_ns;   /* on a processor */
  uint64_t kernel_ns; /* of that in the kernel, to the tick where the kernel counts so */
  uint64_t waited_ns; /* ready to run while others had the processor */
};

struct hwgw_sim_user {
  char name[6];      /* upper case, space padded */
  char password[10]; /* upper case, space padded */
  bool is_ouch42;    /* speaks OUCH 4.2, else 5.0 */
};

struct hwgw_sim_cfg {
  /* what is published: a capture file when path is given, else generated order flow */
  const char *path;    /* BinaryFILE: 2-byte big-endian length, message */
  const char *symbols; /* order flow: symbol_cnt names of 8 bytes, space padded */
  uint32_t symbol_cnt;
  uint32_t
      depth; /* order flow: live background orders per symbol it aims at; at most twice as many. 0 = no background */
  uint64_t seed;
  uint32_t pace;     /* enum hwgw_sim_pace; order flow knows rate and max */
  uint32_t batch_us; /* wake at most so often; what is due leaves in one burst. 0 = spin */
  double pace_scale;
  uint64_t rate; /* messages per second, unless there are steps */
  const struct hwgw_sim_step *steps;
  uint32_t step_cnt; /* 0: the rate */
  uint64_t
      messages_max; /* end after so many published messages (the order flow's last action may add some); 0 = no bound */
  uint64_t run_ns;  /* end after so long; 0 = no bound */
  uint64_t linger_ns;      /* capture: stay so long after the last message */
  uint32_t wait_clients;   /* start publishing when so many clients are logged in */
  uint32_t start_delay_ms; /* and not before */
  bool virtual_clock; /* order flow: timestamps from 09:30:00 by schedule alone, so that the same seed gives the same
                         bytes */

  /* feed: MoldUDP64; group 0 = nothing is sent */
  uint32_t group; /* IPv4, host order */
  uint16_t port;
  uint16_t ttl;
  uint32_t local_address; /* IPv4 of the interface to send from, host order, 0 = by route */
  const char *interface;  /* or its name; NULL or "" = by local_address */
  bool loopback;          /* hosts on this machine hear it too */
  const char *send;       /* frames past the kernel's stack, from interface: "packet", "afxdp"; NULL or "" = UDP */
  char session[10];       /* of MoldUDP64 and of SoupBinTCP, space padded */
  uint32_t packet_sz_max; /* bytes of UDP payload; 0 = 1,400 */
  uint32_t heartbeat_ms;  /* 0 = 1,000 */
  uint32_t end_cnt;       /* end of session packets */
  uint32_t end_interval_ms;
  const char *record_path; /* also writes what is published as BinaryFILE; NULL or "" = no */

  uint32_t group_b; /* line B: the same packets again; 0 = there is none */
  uint16_t port_b;
  bool has_faults; /* else the lines are perfect */
  struct hwgw_bad_line_cfg faults[HWGW_SIM_LINES_MAX];

  /* recovery: MoldUDP64 re-requests over UDP, GLIMPSE over TCP; port 0 = any free one */
  bool requests;
  bool snapshots;
  uint32_t recovery_address; /* IPv4, host order */
  uint16_t request_port;
  uint16_t snapshot_port;
  uint32_t request_loss_ppm;       /* of requests, and of answers */
  uint32_t request_store_sz_bytes; /* of messages kept for re-requests, a power of two; 0 = 64 MiB */

  /* order entry: OUCH 5.0 over SoupBinTCP; listen_port 0 = any free one */
  bool listen;
  uint32_t listen_address; /* IPv4, host order */
  uint16_t listen_port;
  uint16_t user_cnt;
  const struct hwgw_sim_user *users;
  uint32_t client_orders_max; /* live orders of all clients; 0 = 65,536 */
  uint32_t store_sz_bytes;    /* kept for replay per user, a power of two; 0 = 16 MiB */
  uint32_t client_timeout_ms; /* nothing received for so long = closed; 0 = 15,000 */
  bool cancel_on_disconnect;
  bool cancel_at_close; /* day orders of clients are cancelled before the end of session */
};

struct hwgw_sim_stats {
  /* frames on the wire */
  uint64_t packets_sent; /* with messages */
  uint64_t heartbeats_sent;
  uint64_t ends_sent;
  uint64_t bytes_sent; /* UDP payload of all of them */
  uint64_t send_calls;
  uint64_t send_retries; /* EAGAIN or ENOBUFS; sent later */
  uint64_t send_errors;  /* packets the kernel refused for good; not among packets_sent */
  struct hwgw_bad_line_stats faults[HWGW_SIM_LINES_MAX];
  uint64_t requests_in; /* re-requests */
  uint64_t requests_lost;
  uint64_t answers;
  uint64_t answered_messages;
  uint64_t snapshots;
  uint64_t record_errors;                /* the recording is torn: it could not be written */
  uint64_t next_seq;                     /* messages published + 1 */
  uint64_t messages[HWGW_SIM_CODES_MAX]; /* by ITCH type code */
  /* order entry, all users */
  uint64_t orders_in; /* enter order messages */
  uint64_t replaces_in;
  uint64_t cancels_in;
  uint64_t mass_cancels_in;
  uint64_t disables_in;
  uint64_t enables_in;
  uint64_t queries_in;
  uint64_t accepted;
  uint64_t replaced;
  uint64_t canceled; /* order canceled messages out */
  uint64_t executed; /* executed messages out */
  uint64_t executed_shares;
  uint64_t rejected[HWGW_SIM_CODES_MAX]; /* by OUCH reason */
  uint64_t ignored_ref;                  /* user reference number not above the last one */
  uint64_t ignored_order;                /* cancel or replace of an order that is not live */
  uint64_t ignored_type;                 /* message type that the simulator does not carry out */
  uint64_t dropped_length;               /* message shorter than its type */
  uint64_t connects;
  uint64_t logins;
  uint64_t logins_rejected;
  uint64_t disconnects;
  uint64_t closed_slow;     /* client did not read; its replay store was overrun */
  uint64_t closed_framing;  /* impossible packet length */
  uint64_t closed_silent;   /* no login or no heartbeat in time */
  uint64_t closed_takeover; /* the same user logged in again */
  /* the market */
  uint64_t matches; /* match numbers given */
  uint64_t match_shares;
  uint64_t actions;      /* order flow: steps taken, capture: records read */
  uint64_t unknown_refs; /* capture: messages of orders entered before it starts */
  uint64_t bad_records;  /* capture: wrong length for its type, known reference added again, more than is left */
  uint64_t book_full;    /* capture: adds that did not fit */
  uint64_t orders_live;  /* in the published book */
  uint64_t client_orders_live;
  uint64_t hidden_live;  /* live, but not in the published book */
  uint64_t book_hash;    /* as hwgw_books_hash */
  uint64_t elapsed_ns;   /* from the first published message to the last */
  uint64_t lateness_cnt; /* packets on a schedule: send time - scheduled time of the first message */
  uint64_t lateness_p50_ns;
  uint64_t lateness_p99_ns;
  uint64_t lateness_p999_ns;
  uint64_t lateness_max_ns;
};

struct hwgw_sim_exchange;

int32_t hwgw_sim_exchange_open(struct hwgw_sim_exchange **exchange, const struct hwgw_sim_cfg *cfg, char *error,
                               uint32_t error_sz);
/* serves until the end that cfg gives, or until stop; one run per exchange */
int32_t hwgw_sim_exchange_run(struct hwgw_sim_exchange *exchange, char *error, uint32_t error_sz);
void hwgw_sim_exchange_stop(
    struct hwgw_sim_exchange *exchange); /* any thread, signal handlers too; acts within 50 ms */
void hwgw_sim_exchange_close(struct hwgw_sim_exchange *exchange); /* NULL is allowed */
uint16_t hwgw_sim_exchange_listen_port(const struct hwgw_sim_exchange *exchange);
uint16_t hwgw_sim_exchange_request_port(const struct hwgw_sim_exchange *exchange);
uint16_t hwgw_sim_exchange_snapshot_port(const struct hwgw_sim_exchange *exchange);
uint32_t hwgw_sim_exchange_symbol_cnt(const struct hwgw_sim_exchange *exchange);
const char *hwgw_sim_exchange_symbol(const struct hwgw_sim_exchange *exchange, uint32_t symbol); /* 8 bytes, no zero */
void hwgw_sim_exchange_stats(const struct hwgw_sim_exchange *exchange, struct hwgw_sim_stats *stats);
/* party 0 is the market (background flow or capture), 1 + n the n-th user; the sums over all parties are 0 */
int64_t hwgw_sim_exchange_position(const struct hwgw_sim_exchange *exchange, uint32_t party, uint32_t symbol);
int64_t hwgw_sim_exchange_cash(const struct hwgw_sim_exchange *exchange, uint32_t party);
/* shares left of a party's order by its user reference number, 0 when it is not open; while it runs: a moment's answer */
uint32_t hwgw_sim_exchange_order_left(const struct hwgw_sim_exchange *exchange, uint32_t party, uint32_t user_ref);
uint32_t hwgw_sim_exchange_last_ref(const struct hwgw_sim_exchange *exchange, uint32_t party); /* it has taken */
uint32_t hwgw_sim_exchange_open_orders(const struct hwgw_sim_exchange *exchange, uint32_t party);

/* from the start to the last message of a step of the schedule, all 0 = not reached; step -1: to the end of the source */
void hwgw_sim_exchange_clocks(const struct hwgw_sim_exchange *exchange, int32_t step, struct hwgw_sim_clocks *clocks);

/* the process gets SIGKILL when its parent thread ends; false when the parent is not parent_pid any more */
bool hwgw_sim_die_with_parent(int32_t parent_pid);

/* hwgw cdef end */

#endif
