/* hwgw_backtest.h: a pipeline on the clock of a recorded feed, trading against a model of the venue.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_BACKTEST_H
#define HWGW_BACKTEST_H

#include "hwgw.h"
#include "hwgw_scan.h"

/* hwgw cdef begin */

/* delays, each as likely as the others; one is a constant */
struct hwgw_model_latency {
  const uint64_t *ns;
  uint32_t cnt; /* 1 to 2^20 */
};

/* How the venue and the way there are thought to be; docs/backtest.md */
struct hwgw_model {
  struct hwgw_model_latency feed;   /* venue to strategy */
  struct hwgw_model_latency order;  /* strategy to venue, with the time to decide */
  struct hwgw_model_latency answer; /* venue to strategy */
  int64_t fee_maker;                /* per share, in 1/1,000,000 of the currency unit; negative is a rebate */
  int64_t fee_taker;
  bool has_impact; /* what we take is gone for later events */
  bool own_books;  /* the venue has books of its own even where the pipeline's would do; for tests */
  uint64_t seed;
  uint64_t sample_ns; /* between two rows of the books of account; 0 = none but the last */
};

struct hwgw_backtest;

/* pipeline: opened with a virtual clock, without session or receive backend, one channel; it must outlive this */
int32_t hwgw_backtest_open(struct hwgw_backtest **backtest, struct hwgw_pipeline *pipeline,
                           const struct hwgw_books_cfg *books, const struct hwgw_model *model,
                           struct hwgw_error *error);
void hwgw_backtest_close(struct hwgw_backtest *backtest); /* NULL is allowed */
/* the messages of a feed in order: decodes, applies, trades. One whose time is before that of an earlier one counts as
 * time step and happens at the earlier one's. HWGW_ERR_DEVICE when memory ran out */
int32_t hwgw_backtest_messages(struct hwgw_backtest *backtest, const uint8_t *data,
                               const struct hwgw_scan_message *messages, uint32_t cnt, struct hwgw_error *error);
/* nothing more comes from the feed: what is under way arrives, and the last row of the books of account is written */
int32_t hwgw_backtest_finish(struct hwgw_backtest *backtest, struct hwgw_error *error);
/* Rows since the last call: struct hwgw_venue_fill, struct hwgw_venue_sample, and the records of the journal (header and
 * payload, as in its ring). Valid until the next call of any function */
const struct hwgw_venue_fill *hwgw_backtest_fills(struct hwgw_backtest *backtest, uint64_t *cnt);
const struct hwgw_venue_sample *hwgw_backtest_samples(struct hwgw_backtest *backtest, uint64_t *cnt);
const uint8_t *hwgw_backtest_records(struct hwgw_backtest *backtest, uint64_t *sz_bytes);

struct hwgw_backtest_state {
  uint64_t first_ns; /* feed time of the first and the last message */
  uint64_t last_ns;
  uint64_t time_steps;    /* messages whose time went back */
  uint64_t time_step_seq; /* number of the first such */
  uint64_t orders;        /* that arrived at the venue */
  uint64_t fills;
  int64_t fees;      /* in 1/1,000,000 */
  uint32_t open_cnt; /* resting at the venue */
  bool shares_books; /* the venue has no books of its own: delays allow it */
};
void hwgw_backtest_state(const struct hwgw_backtest *backtest, struct hwgw_backtest_state *state);

/* hwgw cdef end */

#endif
