/* pipeline.h: the state of one pipeline, and what its two files share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_PIPELINE_H
#define HWGW_PIPELINE_H

#include "base.h"
#include "fanout.h"
#include "hist.h"
#include "hwgw_card.h"
#include "hwgw_loan.h"
#include "journal.h"
#include "recover.h"
#include "risk.h"

#define INTENTS_MAX 8 /* orders one hook call may give */
#define VENUE_EVENTS_MAX 64

/* what the pipeline keeps of an instrument beside its book */
struct pipeline_instrument {
  uint64_t ref_ts_ns; /* when the gate got its reference price last */
  uint32_t ref_px;
  uint32_t tob_flags;  /* enum hwgw_segment_tob_flags */
  uint64_t t_doubtful; /* ticks since when it is */
  uint16_t channel;    /* UINT16_MAX until its first message, when there are several channels */
  bool is_sound;       /* no message contradicted the book so far */
  bool is_doubtful;    /* its book is crossed while it trades */
  bool is_repairing;   /* its events are kept until a snapshot of its own has come */
  bool is_good;        /* what the gate was told last */
};

/* a snapshot for the instruments of a channel that are not sound */
struct pipeline_repair {
  enum { PIPELINE_REPAIR_IDLE, PIPELINE_REPAIR_LOADING, PIPELINE_REPAIR_CATCHING_UP } phase;
  bool is_wanted;
  bool is_cleared; /* the snapshot's first message has come */
  bool is_bad;     /* it contradicts itself */
  uint32_t tries;
  uint64_t t_next;         /* next attempt, or when this one is over */
  uint64_t from_seq;       /* first number whose events were kept */
  uint64_t seq;            /* the first the snapshot does not cover */
  struct hwgw_event *kept; /* NULL: no snapshot server */
  uint32_t kept_cnt;
  uint32_t kept_max;
};

/* what of the books the segment shows beside their tops */
struct pipeline_views {
  uint32_t depth;                                      /* levels of either side; 0: none */
  uint32_t words;                                      /* bit per word of changed that is not 0 */
  struct hwgw_feature_set *features;                   /* NULL: none */
  uint64_t changed[HWGW_SEGMENT_INSTRUMENTS_MAX / 64]; /* bit per book that is not shown as it is */
};

struct pipeline_strategy {
  const struct hwgw_strategy *desc;
  void *state;
  uint32_t id;
  uint32_t account;
  struct hwgw_strategy_row *row;     /* in the segment */
  int64_t *pos;                      /* its own position per instrument, of executions the gate took */
  struct hwgw_feature_set *features; /* NULL: it asked for none */
};

/* what recovery does with the network; a test has its own */
struct pipeline_recover_io {
  void *context;
  bool (*request)(void *context, uint32_t channel, uint32_t server, const uint8_t *request);
  void (*load)(void *context, uint32_t channel);
  void (*unload)(void *context, uint32_t channel);
  void (*poll)(void *context, uint32_t channel, uint64_t now);
};

/* where passed orders go instead of a session: the venue model of a backtest, or a journal. send returns
 * HWGW_CNT_ORDER_ENCODED or _DROP_*; control (NULL: the segment's words alone) says before an order what the control plane
 * said then */
struct pipeline_desk {
  void *context;
  uint32_t (*send)(void *context, const struct hwgw_order *order);
  void (*control)(void *context);
};

/* one order session; the venue it leads to has the same number */
struct pipeline_session {
  struct hwgw_session *link;
  uint32_t state;
  uint32_t sent_ref;            /* the kernel has taken every order of it up to here */
  bool halts_alone;             /* lost with orders open it halts, though others are up */
  uint32_t cancel_ref;          /* orders up to here, of a lost connection, are to be cancelled; 0 = none */
  uint64_t t_cancel;            /* ticks of the last round of that; 0 = none yet */
  bool has_past;                /* an earlier process was logged in: the venue is to agree with its journal */
  struct hwgw_session_row *row; /* in the segment */
};
struct hwgw_twin_cfg;
struct venue;

/* of an order on its way: when it was sent and answered, and the book that it was decided on */
struct pipeline_quality {
  uint64_t sent_ns;
  uint64_t ack_ns; /* 0: not yet */
  uint64_t bid_qty;
  uint64_t ask_qty;
  uint32_t bid_px; /* 0: none */
  uint32_t ask_px;
  uint32_t ref;
  uint8_t venue;
  uint8_t strategy;
  bool is_buy;
  bool is_filled;
};

#define ROUTE_RETRIES_MAX 3
#define ROUTE_AGAIN_MAX 16

/* a child of a routed order, by its reference: what is needed to route its shares again */
struct pipeline_child {
  struct hwgw_order order; /* as the router was given it, with the shares of the child */
  uint64_t parent;
  uint32_t ref;     /* 0 = none */
  uint32_t refused; /* bit per venue that had its shares before */
  uint32_t retries;
};

/* a child that was refused, until its turn */
struct pipeline_again {
  struct pipeline_child child;
  const struct pipeline_strategy *strategy;
  struct hwgw_order order; /* as the strategy is to be told of it */
  uint32_t venue;
  uint32_t reason;
};

/* a record that the card's gate was given */
struct pipeline_said {
  uint64_t ts_ns;
  uint32_t ref;
  uint32_t instrument;
  uint8_t kind;
  uint8_t reason;
  bool is_judged; /* reason is the host's own */
};

/* pipeline_judge.c */
struct pipeline_card {
  struct card_gate *gate; /* NULL: the host alone judges */
  bool is_alone;          /* the card alone judges orders */
  bool is_rebuilt;        /* from a journal, and the start has not ended: strategies are armed there */
  bool is_lost;
  uint64_t related_ns; /* time of the last record of the past */
  uint64_t t_stats;
  struct pipeline_said said[HWGW_CARD_ENTRIES];
};

/* pipeline_loan.c: the order session's numbers in the hands of the card, and the order that was offered to it last */
struct pipeline_loan {
  bool is_on;  /* the card sends */
  bool is_out; /* numbers are lent */
  int wire;    /* of the simulated card: a packet socket */
  int32_t ifindex;
  uint32_t next;      /* the number of the first byte that the card has not used */
  uint32_t end;       /* first number not lent */
  uint64_t renew_ns;  /* it is prolonged from then on */
  uint64_t retry_ns;  /* the connection could not be lent: not before */
  uint64_t header_ns; /* when the route was looked up last */
  uint32_t login;     /* of the connection that the header is of, 0 = none */
  uint8_t header[HWGW_LOAN_HEADER_SZ];
  uint32_t ref; /* of the order */
  enum { LOAN_NONE, LOAN_OFFERED, LOAN_SENT, LOAN_KEPT, LOAN_UNKNOWN } state;
  uint8_t outcome; /* of sent.yaml, when it was kept */
  uint32_t len;
  uint8_t packet[HWGW_PACKET_SZ_MAX]; /* what the card is to send */
};

/* pipeline_rule.c: masks are of rules, by their number */
struct pipeline_rule {
  uint32_t instrument;
  uint16_t locate; /* as the card has it, 0 = it does not know the instrument */
  struct hwgw_rule rule;
};

struct pipeline_rules {
  uint32_t cnt;
  bool is_loaded;    /* the card may make an order */
  bool is_awaited;   /* it has made it, and its verdict comes */
  bool is_new;       /* an order was taken in since the last round */
  bool is_recorded;  /* the last record of ref says that an order may leave with it */
  uint32_t ref;      /* of the order, reserved; 0 = none yet */
  uint32_t mask;     /* whose order it may be, while it is loaded or awaited */
  uint32_t recorded; /* on record as whose it may be */
  uint32_t armed;    /* wanted */
  uint32_t stored;   /* armed in the card */
  uint32_t changed;  /* the card has other terms */
  uint64_t fired_ns; /* the gates were told of the last order, and of what came of it, up to here */
  uint64_t seq;      /* of the control plane's words */
  struct pipeline_rule rule[HWGW_SEGMENT_RULES_MAX];
};

struct hwgw_pipeline {
  /* The one clock of the data path: the TSC, or in ns what hwgw_pipeline_advance said last, or what the TSC said when the
   * input at hand came. All that decides by the time asks pipeline_ticks, so that one input gives one journal. */
  bool is_virtual;
  bool keeps_frames; /* the journal has all that strategies decide by: each input has one time, which is on record */
  bool kept_up;      /* receive_is_up as it is on record */
  bool kept_round;   /* the round of recovery at hand is on record, or needs not be */
  uint64_t virtual_ns;
  struct pipeline_desk desk;  /* send NULL: the sessions */
  uint32_t mode;              /* enum hwgw_segment_strategy_mode: of all its strategies */
  struct hwgw_pipeline *live; /* of a twin: whose books it shares */
  struct hwgw_pipeline *twin[HWGW_SEGMENT_TWINS_MAX];
  uint32_t twin_cnt;
  struct venue *venue; /* of a twin: where its orders go */
  struct hwgw_rx *rx;
  struct hwgw_flow flow[HWGW_FLOWS_MAX];
  uint32_t flow_cnt;
  uint32_t batch;
  uint64_t sample_mask;

  uint64_t *counters; /* in the segment, one writer: this pipeline */
  struct hwgw_hist *hist[HWGW_SEGMENT_HIST_CNT];
  struct hwgw_segment *segment;
  struct hwgw_control *control;
  struct hwgw_thread *thread;
  uint32_t thread_idx;

  struct hwgw_mold mold[HWGW_CHANNELS_MAX];
  uint8_t channel_state[HWGW_CHANNELS_MAX]; /* what feed_sync acted on */
  uint64_t stale_ticks[HWGW_CHANNELS_MAX];
  uint64_t t_packet[HWGW_CHANNELS_MAX];
  uint32_t channel_venue[HWGW_CHANNELS_MAX];
  uint64_t ts_last[HWGW_CHANNELS_MAX]; /* exchange time of the last message */
  uint64_t t_changed[HWGW_CHANNELS_MAX];
  uint32_t behind[HWGW_CHANNELS_MAX]; /* known packets in a row of a channel that is stale */
  struct hwgw_recover recover[HWGW_CHANNELS_MAX];
  bool is_loading[HWGW_CHANNELS_MAX]; /* its books are being replaced */
  struct hwgw_recover_net *recover_net[HWGW_CHANNELS_MAX];
  struct pipeline_recover_io recover_io;
  uint32_t open_mask; /* channels that recovery looks after */
  struct pipeline_repair repair[HWGW_CHANNELS_MAX];
  uint32_t repair_mask;  /* channels with instruments under repair */
  uint32_t doubtful_cnt; /* instruments that trade with a crossed book */
  uint32_t channel_cnt;
  bool udp_checksum;        /* verify it */
  bool is_card;             /* events come instead of frames */
  uint64_t card_packets;    /* of the card when its channel was aged last */
  bool receive_is_up;       /* else no channel is good */
  uint64_t receive_reopens; /* when the segment was told last what is open */
  struct hwgw_instruments *instruments;
  struct hwgw_books *books;
  struct pipeline_instrument *instrument;
  uint32_t instrument_cnt; /* of the segment: a symbol at a venue each; the strategies know only these */
  uint32_t symbol_cnt;     /* of one venue: the gate, the sessions and the journal know only these */

  struct pipeline_strategy strategy[HWGW_RISK_STRATEGIES_MAX];
  uint32_t strategy_cnt;
  uint32_t exposure_turn; /* the strategy whose mark is reckoned in the next round */
  uint32_t account_mask;  /* accounts that strategies trade for */
  uint32_t depth_max;
  bool has_features; /* a strategy asked for some, or the segment shows some */
  struct pipeline_views views;
  struct hwgw_hook hook;
  uint64_t t_rx;                         /* of the message the hook is called for */
  struct hwgw_order intent[INTENTS_MAX]; /* room for what a strategy wants; zeroed again when it was taken */

  struct fanout fanout;
  struct hwgw_journal journal;
  uint64_t journal_stall_ns; /* a writer that has not looked for so long records nothing */

  struct hwgw_risk *risk;
  struct pipeline_card card;
  struct pipeline_loan loan;
  struct pipeline_rules rules;
  struct hwgw_breaker *breaker;
  bool is_halted;             /* what the gate was told last */
  bool has_halted_instrument; /* as of halt_seq */
  uint32_t venue_halt;        /* as of halt_seq */
  uint64_t halt_seq;
  uint64_t beat_cnt;
  uint64_t limits_generation;
  uint64_t arm_seq;
  uint16_t arm[HWGW_RISK_STRATEGIES_MAX]; /* what the gate was told last */

  struct hwgw_router *router;   /* NULL with one venue */
  struct pipeline_child *child; /* NULL: shares of refused children are not routed again. Direct-mapped by reference */
  struct pipeline_again again[ROUTE_AGAIN_MAX];
  uint32_t again_cnt;
  uint32_t retries_max;
  uint64_t given[HWGW_SEGMENT_SESSIONS_MAX]; /* shares that children of the order at hand were given, by venue */
  struct pipeline_session session[HWGW_SEGMENT_SESSIONS_MAX];
  uint32_t session_cnt;
  uint32_t last_ref;
  bool is_reconciling;   /* a venue has not agreed yet with what the journal says */
  uint32_t recorded_ref; /* the last reference on record when this process began */
  struct hwgw_journal_restored restored;
  struct hwgw_risk_strategy restored_strategy[HWGW_RISK_STRATEGIES_MAX];
  /* shares executed of the chain of replaces behind each open order, direct-mapped by ref like the gate's table */
  uint32_t executed[HWGW_RISK_OPEN_ORDERS_MAX];
  struct pipeline_quality quality[HWGW_RISK_OPEN_ORDERS_MAX];
  uint8_t venue_of[HWGW_RISK_OPEN_ORDERS_MAX]; /* by ref, too: the session each open order went to */

  uint64_t t_session; /* ticks of the last session round */
  uint64_t t_house;
  uint64_t session_ticks; /* at most so long between session rounds */
  uint64_t house_ticks;
  bool ref_is_last;
  bool end_with_feed;
  bool cancel_on_halt;
  uint64_t stale_halt_ns;
  uint64_t t_cancel;        /* ticks of the last round of cancels while halted; 0 = none yet */
  uint64_t param_seq;       /* the last change of parameters */
  uint64_t cancel_seq;      /* the last request to cancel everything */
  uint32_t cancel_ref;      /* it is of the orders up to here; 0 = all of them have ended */
  uint64_t t_cancel_all;    /* ticks of the last round of its cancels; 0 = none yet */
  bool left_open;           /* a session's cancel_ref is set */
  bool strategy_is_stopped; /* while draining: books go on, hooks do not */
  int32_t cpu;
  int32_t fifo_priority;
  struct hwgw_frame frame[HWGW_BATCH_MAX];
};

/* pipeline_gate.c: what the gate is told */
/* tells the gate of an event, records it and halts for what it latches, which is returned (PASS: nothing) */
uint32_t pipeline_gate(struct hwgw_pipeline *p, struct hwgw_order *event, const struct hwgw_limits *limits);
uint32_t pipeline_gate_at(struct hwgw_pipeline *p, struct hwgw_order *event, const struct hwgw_limits *limits,
                          uint64_t now_ns);
/* carries what the control plane wrote into the gate; control: what it said then, first, when a journal tells */
void pipeline_control(struct hwgw_pipeline *p);
void pipeline_words(struct hwgw_pipeline *p);
/* pipeline_order.c: an event with the gate's answer into the journal; what cannot be recorded halts (false) */
bool pipeline_record(struct hwgw_pipeline *p, const struct hwgw_order *event, uint32_t verdict);
/* one order of a strategy, all the way */
void pipeline_order(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, struct hwgw_order *order);
/* tells a strategy that its order did not leave */
void pipeline_refused(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, const struct hwgw_order *order,
                      uint32_t venue, uint32_t reason);
/* pipeline.c: the data path. halts: pipeline_run.c */
/* takes halts and resumes that are new, and acknowledges them; never within an order, which would be acknowledged unsent */
void pipeline_halts(struct hwgw_pipeline *p);
void pipeline_messages(struct hwgw_pipeline *p, uint32_t channel, uint32_t line, struct hwgw_mold_iter *iter,
                       uint64_t t_rx);
void pipeline_frame(struct hwgw_pipeline *p, const struct hwgw_frame *frame);
/* pipeline_judge.c: the answer that counts, of the gates that are to be asked */
uint32_t pipeline_judge(struct hwgw_pipeline *p, const struct hwgw_order *event, const struct hwgw_limits *limits);
/* A record to the card; is_judged: the host has an answer of its own, reason. false: the card is lost, and halted for */
bool pipeline_judge_give(struct hwgw_pipeline *p, const struct hwgw_order *event, const struct hwgw_limits *limits,
                         uint32_t reason, bool is_judged);
/* the answer to the record that was given last; those before it are looked at on the way */
bool pipeline_judge_await(struct hwgw_pipeline *p, struct hwgw_verdict *verdict);
/* one answer, whose ever; false: there is none, or (is_patient) the card is lost */
bool pipeline_judge_look(struct hwgw_pipeline *p, struct hwgw_verdict *verdict, bool is_patient);
/* an order that a rule of the card has made, with the card's verdict: the answer that counts; what passed has left, or was kept */
uint32_t pipeline_judge_fired(struct hwgw_pipeline *p, const struct hwgw_order *order,
                              const struct hwgw_verdict *verdict);
/* pipeline_rebuild.c: what a journal makes of both gates. begin: before the first of these; end: behind the last one, says
 * whether the card answered all as the host does; started: the start has armed the strategies */
int32_t pipeline_rebuild_begin(struct hwgw_pipeline *p, struct hwgw_error *error);
uint32_t pipeline_rebuild_event(struct hwgw_pipeline *p, const struct hwgw_order *event);
bool pipeline_rebuild_carry(struct hwgw_pipeline *p, const struct hwgw_order *order, uint32_t px);
void pipeline_rebuild_refused(struct hwgw_pipeline *p, const struct hwgw_order *order);
int32_t pipeline_rebuild_end(struct hwgw_pipeline *p, struct hwgw_error *error);
void pipeline_rebuild_started(struct hwgw_pipeline *p);
int32_t pipeline_judge_open(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error);
void pipeline_judge_house(struct hwgw_pipeline *p, uint64_t now);
void pipeline_judge_close(struct hwgw_pipeline *p);
/* pipeline_loan.c: orders that the card sends */
int32_t pipeline_loan_open(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error);
void pipeline_loan_close(struct hwgw_pipeline *p);
void pipeline_loan_house(struct hwgw_pipeline *p, uint64_t now_ns);
/* before an order is given to the card's gate: when it passes there it leaves */
void pipeline_loan_offer(struct hwgw_pipeline *p, const struct hwgw_order *order);
/* behind its verdict: true when it has left, or nobody knows. is_answered: there was one; is_passed: it let it pass */
bool pipeline_loan_settle(struct hwgw_pipeline *p, bool is_answered, bool is_passed);
/* the order has been dealt with by the card: it has left, or was kept; outcome: what becomes of it */
static inline bool pipeline_loan_has(const struct hwgw_pipeline *p, const struct hwgw_order *order) {
  return p->loan.state != LOAN_NONE && p->loan.ref == order->ref && order->kind != HWGW_ORDER_KIND_CANCEL;
}
static inline bool pipeline_loan_has_left(const struct hwgw_pipeline *p, const struct hwgw_order *order) {
  return pipeline_loan_has(p, order) && (p->loan.state == LOAN_SENT || p->loan.state == LOAN_UNKNOWN);
}
uint32_t pipeline_loan_outcome(struct hwgw_pipeline *p, const struct hwgw_order *wire);
void pipeline_loan_lost(struct hwgw_pipeline *p);                                  /* the card was */
bool pipeline_loan_ready(struct hwgw_pipeline *p, uint64_t now_ns);                /* an order could leave */
void pipeline_loan_fired(struct hwgw_pipeline *p, const struct hwgw_order *order); /* in the place of an offer */
void pipeline_loan_stray(struct hwgw_pipeline *p); /* the card made an order that no rule says */
/* pipeline_rule.c: orders that rules of the card make */
int32_t pipeline_rule_open(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error);
/* the card makes none any more, and what it made is known: before either gate is told of something, before the connection is
 * written to, and before a reference is taken */
void pipeline_rule_return(struct hwgw_pipeline *p);
/* likewise, and orders up to the last reference are spoken of: the next shot has a new one */
void pipeline_rule_renew(struct hwgw_pipeline *p);
void pipeline_rule_look(
    struct hwgw_pipeline *p); /* whether one was made: while there are rules, before the session is polled */
void pipeline_rule_round(struct hwgw_pipeline *p); /* while there are rules, at the end of a round */
bool pipeline_rule_fired(struct hwgw_pipeline *p, const struct hwgw_verdict *verdict); /* false: by no rule */
void pipeline_rule_locate(struct hwgw_pipeline *p, const struct hwgw_event *event);    /* a directory message */
/* pipeline_card.c: events that the card has decoded */
void pipeline_card_event(struct hwgw_pipeline *p, const struct hwgw_frame *frame);
void pipeline_card_age(struct hwgw_pipeline *p, uint64_t now);
void pipeline_tob(struct hwgw_pipeline *p, uint32_t index, uint64_t ts_ns, struct hwgw_tob *top);
void pipeline_event(struct hwgw_pipeline *p, struct hwgw_event *event, bool sampled);
/* reference price and strategies, after an event that changed the top, or a print */
void pipeline_decide(struct hwgw_pipeline *p, const struct hwgw_event *event, const struct hwgw_tob *top,
                     bool top_changed, uint64_t now_ns, bool sampled);
void pipeline_tob_put(struct hwgw_pipeline *p, uint32_t index, struct hwgw_tob *top); /* its row of the segment */
/* what follows when the books have taken an event, whoever gave it to them; t_book: ticks before, of a sampled one */
void pipeline_applied(struct hwgw_pipeline *p, const struct hwgw_event *event, uint32_t outcome, bool top_changed,
                      uint64_t t_book);
void pipeline_status(struct hwgw_pipeline *p, const struct hwgw_event *event);
bool pipeline_contradicts(uint32_t outcome); /* of a book: it can no longer be trusted */
/* an order that a rule of the card made for a strategy; what the gates say of it */
uint32_t pipeline_order_fired(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy,
                              struct hwgw_order *order, const struct hwgw_verdict *verdict);
void pipeline_call(struct hwgw_pipeline *p, uint32_t index, bool sampled);
/* pipeline_params.c */
int32_t pipeline_params_open(struct hwgw_pipeline *p, struct pipeline_strategy *strategy,
                             const struct hwgw_strategy_cfg *from, struct hwgw_error *error);
void pipeline_params(struct hwgw_pipeline *p); /* looks whether the control plane has changed some */
void pipeline_params_keep(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, uint64_t now_ns);
/* pipeline_route.c: orders without a venue */
int32_t pipeline_route_open(struct hwgw_pipeline *p, const struct hwgw_router_cfg *cfg, struct hwgw_error *error);
void pipeline_route_restored(struct hwgw_pipeline *p); /* the orders that are open */
void pipeline_route(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, struct hwgw_order *parent);
/* an order did not leave: true when it is a child whose shares may go elsewhere; the strategy is told after that */
bool pipeline_route_refused(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy,
                            const struct hwgw_order *order, uint32_t venue, uint32_t reason);
/* a venue has rejected an order: when it is a child its shares go elsewhere, before the strategy is told; event then says of
 * how many that is not so (qty), and a counter of the router as the reason */
void pipeline_route_rejected(struct hwgw_pipeline *p, uint32_t venue, struct hwgw_order *event);
/* pipeline_feed.c: what the books of a channel are worth, and their repair */
int32_t pipeline_feed_open(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error);
void pipeline_feed_close(struct hwgw_pipeline *p);
void pipeline_instrument_sync(struct hwgw_pipeline *p, uint32_t index);
void pipeline_feed_sync(struct hwgw_pipeline *p, uint32_t channel);
void pipeline_shared_clear(struct hwgw_pipeline *p, uint32_t index); /* tells the fan-out that its book is empty */
/* after a packet that was not used; true when a new session has begun, of which it is the first */
bool pipeline_feed_odd(struct hwgw_pipeline *p, uint32_t channel, uint32_t line, uint32_t outcome);
/* after a packet that changed the state, before its messages */
void pipeline_feed_changed(struct hwgw_pipeline *p, uint32_t channel, uint32_t outcome,
                           const struct hwgw_mold_iter *iter);
void pipeline_feed_poll(struct hwgw_pipeline *p, uint64_t now);
void pipeline_feed_load(struct hwgw_pipeline *p, uint32_t channel); /* asks for a snapshot */
void pipeline_feed_age(struct hwgw_pipeline *p, uint64_t now);
void pipeline_feed_finish(struct hwgw_pipeline *p); /* nothing more comes: holes are given up */
/* what the servers send */
void pipeline_feed_reply(struct hwgw_pipeline *p, uint32_t channel, const uint8_t *data, uint32_t len, uint64_t now);
void pipeline_feed_snapshot(struct hwgw_pipeline *p, uint32_t channel, const uint8_t *message, uint32_t len,
                            uint64_t now);
void pipeline_feed_failed(struct hwgw_pipeline *p, uint32_t channel, uint64_t now);
void pipeline_doubt(struct hwgw_pipeline *p, uint32_t index); /* after a change of its tob_flags */
void pipeline_distrust(struct hwgw_pipeline *p, uint32_t index);
uint32_t pipeline_snapshot_apply(struct hwgw_pipeline *p, uint32_t channel, const uint8_t *message, uint32_t len);
/* pipeline_venue.c: the way back from the venue */
void pipeline_venue(struct hwgw_pipeline *p);
/* one answer of a venue; from then on instrument is what strategies know */
void pipeline_answer(struct hwgw_pipeline *p, uint32_t venue, struct hwgw_order *event);
void pipeline_flush(struct hwgw_pipeline *p);
uint32_t pipeline_open_orders(const struct hwgw_pipeline *p);
void pipeline_cancel_all(struct hwgw_pipeline *p, bool is_first);
void pipeline_cancel_one(struct hwgw_pipeline *p,
                         uint32_t ref);              /* by the gateway itself; nothing when it is not open */
void pipeline_cancel_asked(struct hwgw_pipeline *p); /* looks whether somebody wants everything cancelled */
void pipeline_cancel_pending(struct hwgw_pipeline *p, uint64_t now);   /* while cancel_ref */
void pipeline_cancel_left_open(struct hwgw_pipeline *p, uint64_t now); /* while left_open */
void pipeline_cancel_halted(struct hwgw_pipeline *p, uint64_t now);

/* pipeline_entry.c: what is asked of a venue beside orders */
/* asks one venue; symbol: of a mass cancel, UINT32_MAX = all. False when it could not be asked */
bool pipeline_request(struct hwgw_pipeline *p, uint32_t venue, uint32_t kind, uint32_t symbol);
void pipeline_venue_halts(struct hwgw_pipeline *p); /* venues that were halted or resumed */
void pipeline_entry(struct hwgw_pipeline *p);       /* disables and enables order entry at the venues */

/* what an event that the gate took does to the chain of replaces and to the money in the segment */
void pipeline_venue_book(struct hwgw_pipeline *p, uint32_t venue, const struct hwgw_order *event);
/* the rows of a symbol get the gate's exposure; the shares that it holds and no row accounts for */
int32_t pipeline_exposure_rows(struct hwgw_pipeline *p, uint32_t symbol);
/* whether any session stands so */
bool pipeline_any_session(const struct hwgw_pipeline *p, uint32_t state);
/* the row in the segment */
void pipeline_session_publish(struct hwgw_pipeline *p, uint32_t venue);

/* pipeline_restored.c: what an earlier process left, from its journal */
int32_t pipeline_restore(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error);
/* when the control plane's words were taken: puts on record what the pipeline begins with */
void pipeline_restored(struct hwgw_pipeline *p, bool is_replayed);
/* pipeline_reconcile.c: whether the venue agrees, while is_reconciling */
void pipeline_reconcile(struct hwgw_pipeline *p);

/* pipeline_features.c: what strategies asked for beside the book */
int32_t pipeline_features_open(struct hwgw_pipeline *p, struct pipeline_strategy *strategy,
                               const struct hwgw_features_cfg *cfg, struct hwgw_error *error);
void pipeline_features_trade(struct hwgw_pipeline *p, const struct hwgw_event *event, uint32_t outcome);
void pipeline_features_row(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy);
void pipeline_features_order(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, uint32_t venue,
                             const struct hwgw_order *event);
void pipeline_features_reset(struct hwgw_pipeline *p, uint32_t index);

/* pipeline_views.c: levels and features in the segment */
int32_t pipeline_views_open(struct hwgw_pipeline *p, struct hwgw_error *error);
void pipeline_views_row(struct hwgw_pipeline *p, const struct hwgw_event *event); /* its book has a new top */
void pipeline_views_show(struct hwgw_pipeline *p);                                /* the books that changed */

static inline void pipeline_views_mark(struct hwgw_pipeline *p, uint32_t index) {
  p->views.changed[index / 64] |= (uint64_t)1 << (index % 64);
  p->views.words |= 1u << (index / 64);
}

/* pipeline_quality.c: what the orders of a strategy at a venue cost and how long they took */
void pipeline_quality_sent(struct hwgw_pipeline *p, const struct hwgw_order *order, uint32_t venue,
                           const struct hwgw_tob *top);
void pipeline_quality_answer(struct hwgw_pipeline *p, const struct hwgw_order *event);

/* pipeline_breaker.c: what trips of the circuit breakers do */
void pipeline_breaker_rules(struct hwgw_pipeline *p);
void pipeline_breaker_act(struct hwgw_pipeline *p);

/* pipeline_basis.c: what the gate judged by, for a replay */
struct hwgw_journal_basis pipeline_basis(const struct hwgw_pipeline *p, const struct hwgw_order *event);
/* an event that is no order; basis: as it was before it, of kind none when it has none */
void pipeline_record_event(struct hwgw_pipeline *p, const struct hwgw_order *event, uint32_t latched,
                           const struct hwgw_journal_basis *basis);
/* of an order, when its bytes have left; before: beat and clock when it was judged, and whether the gate was asked */
void pipeline_record_basis(struct hwgw_pipeline *p, const struct hwgw_order *order,
                           const struct hwgw_journal_basis *before);

/* pipeline_twin.c: strategies beside the live ones, on paper */
int32_t pipeline_twins_open(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error);
void pipeline_twins_close(struct hwgw_pipeline *p);
uint32_t pipeline_twins_book(struct hwgw_pipeline *p, struct hwgw_event *event, bool *top_changed); /* applies it */
void pipeline_twins_applied(struct hwgw_pipeline *p, const struct hwgw_event *event, uint32_t outcome,
                            bool top_changed);
/* its feed became good, or not; is_any_good: that of its symbol at some venue */
void pipeline_twins_good(struct hwgw_pipeline *p, uint32_t index, bool is_any_good);
void pipeline_twins_poll(struct hwgw_pipeline *p);
void pipeline_twins_publish(struct hwgw_pipeline *p);
void pipeline_twins_state(struct hwgw_pipeline *p, uint32_t state); /* enum hwgw_segment_thread_state */
/* pipeline_run.c: a pipeline, or the twin of a live one: without feed, books and session of its own */
int32_t pipeline_open(struct hwgw_pipeline **pipeline, const struct hwgw_pipeline_cfg *cfg, struct hwgw_pipeline *live,
                      uint32_t mode, struct hwgw_error *error);

/* pipeline_exposure.c: accounts and strategies as the rest of the world sees them */
int32_t pipeline_exposure_open(struct hwgw_pipeline *p, struct pipeline_strategy *strategy, const char *name,
                               struct hwgw_error *error);
void pipeline_exposure_fill(struct hwgw_pipeline *p, const struct hwgw_order *event);
void pipeline_exposure_publish(struct hwgw_pipeline *p);
const struct pipeline_strategy *pipeline_strategy_of(const struct hwgw_pipeline *p, uint32_t id);

/* ---- a symbol at a venue ---- */

static inline bool pipeline_has_venues(const struct hwgw_pipeline *p) {
  return HWGW_UNLIKELY(p->symbol_cnt != p->instrument_cnt);
}

static inline uint32_t pipeline_venue_cnt(const struct hwgw_pipeline *p) {
  return p->symbol_cnt ? p->instrument_cnt / p->symbol_cnt : 1;
}

/* the instrument of strategies and books: with one session it is the symbol */
static inline uint32_t pipeline_instrument_of(const struct hwgw_pipeline *p, uint32_t venue, uint32_t symbol) {
  return symbol < p->symbol_cnt ? venue * p->symbol_cnt + symbol : symbol;
}

static inline uint32_t pipeline_symbol_of(const struct hwgw_pipeline *p, uint32_t instrument) {
  return pipeline_has_venues(p) && instrument < p->instrument_cnt ? instrument % p->symbol_cnt : instrument;
}

static inline uint8_t *pipeline_venue_of(struct hwgw_pipeline *p, uint32_t ref) {
  return &p->venue_of[ref % HWGW_RISK_OPEN_ORDERS_MAX];
}

/* what is put into a reference of a venue's feed, so that those of two venues never meet in the books */
static inline uint64_t pipeline_ref_mark(uint32_t venue) {
  return (uint64_t)venue << 56;
}

static inline uint32_t pipeline_book_apply(struct hwgw_pipeline *p, struct hwgw_event *event, bool *top_changed) {
  if (!pipeline_has_venues(p)) return hwgw_books_apply(p->books, event, top_changed);
  uint64_t mark = pipeline_ref_mark(p->channel_venue[event->channel]);
  event->ref ^= mark;
  event->ref_new ^= mark;
  uint32_t outcome = hwgw_books_apply(p->books, event, top_changed);
  event->ref ^= mark;
  event->ref_new ^= mark;
  return outcome;
}

static inline uint32_t *pipeline_executed(struct hwgw_pipeline *p, uint32_t ref) {
  return &p->executed[ref % HWGW_RISK_OPEN_ORDERS_MAX];
}

#endif
