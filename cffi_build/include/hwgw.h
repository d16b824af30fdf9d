/* hwgw.h: the public interface of the hwgw data plane.
 *
 * SPDX-License-Identifier: MIT
 *
 * Include this file alone. What stands before a strategy has a header of its own: hwgw_base.h (errors, time, histograms),
 * hwgw_rx.h (frames) and hwgw_feed.h (net to book). Everything between the cdef markers of each is also what Python sees:
 * cffi reads it from there. The records (struct hwgw_order, hwgw_event, hwgw_hook, hwgw_limits ...), the counters and the
 * enums come from hwgw/specs through cffi_build/gen.py.
 *
 * Units: px in 1/10,000 of the currency unit, qty in shares, *_ns in nanoseconds, t_* and *_ticks in TSC ticks.
 * Ownership: *_open and *_create give an object that *_close ends; *_init and *_fini work in memory the caller gives.
 * Errors: set-up functions return an enum hwgw_status and fill struct hwgw_error; data-path functions return 0 or the
 * counter of the cause (enum hwgw_counter), which the caller counts.
 * Threads: an object belongs to the thread that uses it, unless its comment says otherwise.
 */
#ifndef HWGW_H
#define HWGW_H

#include "hwgw_feed.h"

/* hwgw cdef begin */

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
  const int64_t *param_min; /* smallest value allowed of each; NULL = any */
  const int64_t *param_max; /* largest, likewise */
  /* NULL: the params become the first words of the state. Called again, with the state as it is, when they change: what
   * it does not write stays, such as what is known of open orders */
  void (*init)(void *state, const int64_t *params);
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
  uint32_t retries_max;  /* times in a row that shares of a refused child go to another venue, at most 3; 0 = never */
  struct hwgw_route_venue venue[8];
};

/* a venue at the moment of an order */
struct hwgw_route_quote {
  uint32_t px;    /* best of the far side, 0 = none */
  uint32_t shown; /* shares there */
  bool is_up;
  bool is_good;
  bool is_halted;  /* the venue */
  bool is_refused; /* it had these shares before */
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
  bool disable_on_halt;      /* OUCH 5.0 with a firm: while halted order entry of the firm is disabled at the venue */
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
/* encodes one passed order (new, replace, cancel) or a request (mass cancel, disable, enable) into the send buffer by patching a prebuilt template.
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
  const char *venues;                       /* venue_cnt names of 16 bytes, zeros behind: of the order sessions */
  uint32_t venue_cnt;                       /* at most HWGW_SEGMENT_SESSIONS_MAX */
};

/* Makes the segment and holds an exclusive lock on it for as long as this process or a child lives: a second gateway of
 * that name is refused with the pid of the first. What a dead gateway left is replaced; what it was halted for is carried
 * over, but for control_lost, instruments by symbol and venues by name; one of another build, which cannot be read, counts as halted. */
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
struct hwgw_strategy_param *hwgw_segment_param(struct hwgw_segment *segment, uint32_t id);
struct hwgw_rule_row *hwgw_segment_rule(struct hwgw_segment *segment, uint32_t number);
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
/* sleeps until halts and resumes, of instruments too, are no longer seq in number, for timeout_ns at most, or until a signal;
 * their number now. Reading the segment is enough. A store by hand that bypasses these functions wakes nobody */
uint64_t hwgw_halt_listen(struct hwgw_segment *segment, uint64_t seq, uint64_t timeout_ns);
/* takes reasons (bit per reason code) from that set and returns those that were in it; orders pass when none is left */
uint32_t hwgw_resume(struct hwgw_segment *segment, uint32_t reasons);
/* the same for one instrument (below instrument_cnt of the segment): none of its orders leaves but cancels. false when it
 * is halted already, whose record stays, or not there */
bool hwgw_halt_instrument(struct hwgw_segment *segment, uint32_t instrument, uint32_t reason, const char *text);
/* its orders pass again; false when it was not halted */
bool hwgw_resume_instrument(struct hwgw_segment *segment, uint32_t instrument);
/* the same for the venue of an order session (below session_cnt of the first thread): no order goes there, what is open stays or,
 * with cancel_on_halt, is cancelled. text of a resume: for the journal, which has who said either */
bool hwgw_halt_venue(struct hwgw_segment *segment, uint32_t venue, const char *text);
bool hwgw_resume_venue(struct hwgw_segment *segment, uint32_t venue, const char *text);
/* asks the gate to arm or disarm a strategy (id below strategies_max); one that is to be armed already is armed anew: its
 * run of fills and refusals starts again. True when that changes what was asked last. Any process and thread */
bool hwgw_arm(struct hwgw_segment *segment, uint32_t id, bool is_armed);
/* new parameters of a strategy (as many as its row has) and their version; the number of the change, which param_seq of
 * its row follows (param_refused too, when a value is not allowed), or 0 while the one before was not looked at. One
 * writer at a time: the control plane */
uint64_t hwgw_params_publish(struct hwgw_segment *segment, uint32_t id, const int64_t *values,
                             const uint8_t version[16]);
/* gives a rule of the card its terms and arms it for one order, or disarms it and leaves its terms; the number of what is asked, which seq_ack of its row follows (seq_refused too, when a value is not allowed), or 0 while what was
 * asked before was not looked at, or somebody else asks. Once it was looked at, no order of what was before leaves. Any process and thread */
struct hwgw_rule_terms {
  uint32_t when_px;
  uint32_t when_qty;
  uint32_t px;
  uint32_t qty;
};
uint64_t hwgw_rule_publish(struct hwgw_segment *segment, uint32_t number, const struct hwgw_rule_terms *terms,
                           bool is_armed);
/* asks every pipeline to cancel what it has open at the venue now; the number of the request, which cancel_seq_ack of
 * each thread follows. Any process and thread */
uint64_t hwgw_cancel_all(struct hwgw_segment *segment);
/* copies a limits table into the idle half, seals it with generation and checksum and flips; returns the generation, or
 * 0 while a pipeline has not acknowledged the one before: its gate may still judge by the half that would be written.
 * One writer at a time: the control plane */
uint64_t hwgw_limits_publish(struct hwgw_segment *segment, const struct hwgw_limits *limits);
void hwgw_beat(struct hwgw_segment *segment); /* the control plane is alive */

/* The control process lives while a thread of it holds this; the end of that thread, kill -9 too, is seen at once by who waits. */
enum hwgw_life { HWGW_LIFE_FREE, HWGW_LIFE_HELD, HWGW_LIFE_ENDED };
/* Held by the calling thread until it releases it; false = the C library cannot */
bool hwgw_life_hold(struct hwgw_segment *segment);
void hwgw_life_release(struct hwgw_segment *segment);
/* Waits for ns or, when it is held, until its holder has ended. An enum hwgw_life; ENDED is told once, to one */
int32_t hwgw_life_wait(struct hwgw_segment *segment, uint64_t ns);
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
  uint32_t mode;       /* enum hwgw_segment_strategy_mode; a pipeline takes those of its own mode alone */
  uint32_t of;         /* of a shadow: 1 + the id of the live strategy that it is beside */
  uint8_t version[16]; /* of code and parameters, for the record; zeros = not known */
};

struct hwgw_model; /* hwgw_backtest.h */

/* A pipeline beside a live one: it sees the same events of the same books, has gate, limits, halts, journal and rows of its
 * own, and a model of the venue instead of a session. */
struct hwgw_twin_cfg {
  struct hwgw_segment *segment; /* its own */
  uint32_t mode;                /* enum hwgw_segment_strategy_mode, not live */
  uint32_t strategy_cnt;
  const struct hwgw_strategy_cfg *strategy;
  /* To be kept until open returns. One whose market need not be kept twice: its feed latency a constant, no answer faster.
   * own_books and sample_ns mean nothing here */
  const struct hwgw_model *model;
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

/* a rule of the card's trigger, of one instrument: nothing is armed until somebody asks for it */
struct hwgw_rule_cfg {
  const char *name;
  uint32_t instrument;
  struct hwgw_rule rule; /* its strategy is a live one of the pipeline; account and armed are not looked at */
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
  bool virtual_clock;        /* time is what hwgw_pipeline_advance says; no TSC is read, no recovery server asked */
  uint32_t batch;            /* frames per poll, 0 = 64 */
  uint32_t sample_shift;     /* stage times of 1 message in 2^shift that leads to no order */
  uint64_t journal_stall_ns; /* halt when the journal's writer has not looked for so long; 0 = never */
  /* the journal has every datagram and whatever else strategies decide by, each under the one time of all that it brings
   * about (docs/journal.md); of use where the segment has a journal */
  bool journal_frames;
  uint32_t risk_where;   /* enum hwgw_risk_where: whose gate judges */
  const char *risk_card; /* library of the simulated card (hwgw_card.h), when rx is not a card itself */
  uint32_t rule_cnt;     /* at most HWGW_SEGMENT_RULES_MAX, with card_sends and a card that receives */
  const struct hwgw_rule_cfg *rule;
  bool card_sends; /* orders that pass leave by the card, under a loan (docs/decisions/0018); needs its gate */
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

/* A block, for who keeps records without a writer. block: all zeros at first, with room for HWGW_JOURNAL_BLOCK_MAX_BYTES behind
 * its header. add: whole records, as a ring has them end to end, while there is room; returns the bytes taken, and ts_ns is the
 * last one's time. seal: number, time and the hash of the block before, zeros before the first; its own hash is in it then,
 * and nothing is added any more */
uint64_t hwgw_journal_block_add(struct hwgw_journal_block *block, const uint8_t *records, uint64_t sz_bytes);
void hwgw_journal_block_seal(struct hwgw_journal_block *block, uint32_t kind, uint64_t seq, uint64_t ts_ns,
                             const uint8_t *before); /* kind: enum hwgw_journal_block_kind; before: 32 bytes */

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
