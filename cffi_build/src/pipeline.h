/* pipeline.h: the state of one pipeline, and what its two files share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_PIPELINE_H
#define HWGW_PIPELINE_H

#include "base.h"
#include "hist.h"

#define INTENTS_MAX 8 /* orders one hook call may give */
#define VENUE_EVENTS_MAX 64

/* what the pipeline keeps of an instrument beside its book */
struct pipeline_instrument {
  uint64_t ref_ts_ns; /* when the gate got its reference price last */
  uint32_t ref_px;
  uint32_t tob_flags; /* enum hwgw_segment_tob_flags */
  uint16_t channel;   /* UINT16_MAX until its first message, when there are several channels */
  bool is_sound;      /* no message contradicted the book so far */
  bool is_good;       /* what the gate was told last */
};

struct pipeline_strategy {
  const struct hwgw_strategy *desc;
  void *state;
  uint32_t id;
  uint32_t account;
  struct hwgw_strategy_row *row; /* in the segment */
  int64_t *pos;                  /* its own position per instrument, of executions the gate took */
};

struct hwgw_pipeline {
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

  struct hwgw_mold mold[HWGW_CHANNELS_MAX];
  uint8_t channel_state[HWGW_CHANNELS_MAX]; /* what feed_sync acted on */
  uint64_t stale_ticks[HWGW_CHANNELS_MAX];
  uint64_t t_packet[HWGW_CHANNELS_MAX];
  uint32_t channel_cnt;
  bool udp_checksum;  /* verify it */
  bool receive_is_up; /* else no channel is good */
  struct hwgw_instruments *instruments;
  struct hwgw_books *books;
  struct pipeline_instrument *instrument;
  uint32_t instrument_cnt; /* of the segment; the gate and the strategies know only these */

  struct pipeline_strategy strategy[HWGW_RISK_STRATEGIES_MAX];
  uint32_t strategy_cnt;
  uint32_t exposure_turn; /* the strategy whose mark is reckoned in the next round */
  uint32_t account_mask;  /* accounts that strategies trade for */
  uint32_t depth_max;
  struct hwgw_hook hook;
  uint64_t t_rx;                         /* of the message the hook is called for */
  struct hwgw_order intent[INTENTS_MAX]; /* room for what a strategy wants; zeroed again when it was taken */

  struct hwgw_risk *risk;
  bool is_halted; /* what the gate was told last */
  uint64_t beat_cnt;
  uint64_t limits_generation;
  uint64_t arm_seq;
  uint16_t arm[HWGW_RISK_STRATEGIES_MAX]; /* what the gate was told last */

  struct hwgw_session *session;
  struct hwgw_session_cfg session_cfg;
  uint32_t session_state;
  uint32_t last_ref;
  /* shares executed of the chain of replaces behind each open order, direct-mapped by ref like the gate's table */
  uint32_t executed[HWGW_RISK_OPEN_ORDERS_MAX];

  uint64_t t_session; /* ticks of the last session round */
  uint64_t t_house;
  uint64_t session_ticks; /* at most so long between session rounds */
  uint64_t house_ticks;
  bool ref_is_last;
  bool end_with_feed;
  bool strategy_is_stopped; /* while draining: books go on, hooks do not */
  int32_t cpu;
  int32_t fifo_priority;
  struct hwgw_frame frame[HWGW_BATCH_MAX];
};

/* pipeline.c: the data path */
void pipeline_gate(struct hwgw_pipeline *p, struct hwgw_order *event, const struct hwgw_limits *limits);
void pipeline_control(struct hwgw_pipeline *p);
void pipeline_feed_sync(struct hwgw_pipeline *p, uint32_t channel);
void pipeline_order(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, struct hwgw_order *order);
void pipeline_call(struct hwgw_pipeline *p, uint32_t index, bool sampled);
/* pipeline_venue.c: the way back from the venue */
void pipeline_venue(struct hwgw_pipeline *p);
void pipeline_flush(struct hwgw_pipeline *p);
uint32_t pipeline_open_orders(const struct hwgw_pipeline *p);
void pipeline_cancel_all(struct hwgw_pipeline *p);

/* pipeline_exposure.c: accounts and strategies as the rest of the world sees them */
int32_t pipeline_exposure_open(struct hwgw_pipeline *p, struct pipeline_strategy *strategy, const char *name,
                               struct hwgw_error *error);
void pipeline_exposure_fill(struct hwgw_pipeline *p, const struct hwgw_order *event);
void pipeline_exposure_publish(struct hwgw_pipeline *p);
const struct pipeline_strategy *pipeline_strategy_of(const struct hwgw_pipeline *p, uint32_t id);

static inline uint32_t *pipeline_executed(struct hwgw_pipeline *p, uint32_t ref) {
  return &p->executed[ref % HWGW_RISK_OPEN_ORDERS_MAX];
}

#endif
