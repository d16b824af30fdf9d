/* backtest.c: a recorded feed through a pipeline that trades against the venue model, all on one virtual clock.
 *
 * SPDX-License-Identifier: MIT
 *
 * Four kinds of things happen: messages of the feed at the venue, orders that arrive there, messages and answers that arrive
 * at the gateway. They happen in order of time; at the same nanosecond in that order. The venue's market is that of the
 * feed's own times, the gateway sees it a feed latency later. Where that is a constant, and no answer is faster, the market
 * need not be kept twice: told in feed time, an answer comes to the gateway no sooner than the messages before it, so one
 * pass over one set of books serves both. Else the venue has books of its own, and messages wait for the gateway in a queue.
 * Either way gives the same fills; a test compares them. Messages are decoded ahead, and their memory asked for, as in
 * scan_books.c. Thread: one.
 */
#include <errno.h>
#include <stdlib.h>

#include "instruments.h"
#include "itch.h"
#include "pipeline.h"
#include "risk.h"
#include "venue.h"

#define STEP 8u
#define RING_SZ (4u * STEP)
#define NEVER UINT64_MAX

struct waiting {
  struct hwgw_event event;
  struct hwgw_book_hint hint;
};

/* a message on its way to the gateway */
struct coming {
  struct hwgw_event event;
  uint64_t at_ns;
};

struct hwgw_backtest {
  struct hwgw_pipeline *p;
  struct venue *venue;
  struct hwgw_books *books; /* of the venue; the pipeline's when they are shared */
  bool is_shared;
  struct venue_latency feed_latency;
  struct venue_fifo coming;
  uint64_t coming_ns; /* when the last message is there */
  uint64_t due;       /* when the next thing happens that is not a message at the venue */
  uint64_t first_ns;
  uint64_t last_ns;
  uint64_t time_steps;
  uint64_t time_step_seq;
  uint64_t messages;
  uint64_t orders;
  uint64_t sample_ns;
  uint64_t sample_next;
  uint64_t drained; /* of the journal's ring */
  struct venue_rows samples;
  struct venue_rows records;
  bool rows_taken[3]; /* fills, samples, records: they begin anew with the next call */
};

/* ---- the clock and what is due ---- */

static uint64_t min(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static void due_set(struct hwgw_backtest *bt) {
  const struct coming *coming = venue_fifo_first(&bt->coming);
  bt->due = min(venue_due(bt->venue), coming ? coming->at_ns : NEVER);
}

static void sample(struct hwgw_backtest *bt, uint64_t ts_ns) {
  const struct hwgw_pipeline *p = bt->p;
  struct hwgw_exposure money;
  hwgw_risk_exposure(p->risk, HWGW_RISK_GATEWAY, &money);
  struct hwgw_venue_sample row = {.ts_ns = ts_ns,
                                  .equity = money.cash + money.mark,
                                  .fees = (int64_t)bt->venue->fees,
                                  .open_notional = money.open_notional,
                                  .filled_notional = money.filled_notional,
                                  .open_cnt = money.open_cnt,
                                  .fill_cnt = (uint32_t)bt->venue->match};
  for (uint32_t i = 0; i < p->instrument_cnt && i < HWGW_RISK_INSTRUMENTS_MAX; i++) {
    int64_t value = (int64_t)p->risk->instrument[i].pos * p->risk->holding[i].mark_px;
    row.gross += (uint64_t)(value < 0 ? -value : value);
    row.net += value;
  }
  bt->venue->is_out_of_memory |= !venue_rows_add(&bt->samples, &row, sizeof row);
}

/* the gateway's clock: rows that fall into the time that goes by show the state before it */
static inline void clock_set(struct hwgw_backtest *bt, uint64_t local_ns) {
  while (HWGW_UNLIKELY(local_ns >= bt->sample_next)) {
    sample(bt, bt->sample_next);
    uint64_t steps = (local_ns - bt->sample_next) / bt->sample_ns; /* a long silence has two rows: its ends */
    bt->sample_next += (steps > 1 ? steps : 1) * bt->sample_ns;
  }
  hwgw_pipeline_advance(bt->p, local_ns ? local_ns : 1);
}

/* takes the records of the journal's ring away; they are this process's own, so no writer is waited for */
static void drain(struct hwgw_backtest *bt) {
  struct hwgw_journal *journal = &bt->p->journal;
  if (!journal->ring) return;
  while (bt->drained < journal->head) {
    const uint8_t *at = journal->data + (bt->drained & journal->mask);
    const struct hwgw_journal_record *record = (const struct hwgw_journal_record *)at;
    uint32_t sz = (uint32_t)journal_record_sz(record->len);
    if (record->type != HWGW_JOURNAL_RECORD_TYPE_FILL)
      bt->venue->is_out_of_memory |= !venue_rows_add(&bt->records, at, sz);
    bt->drained += sz;
  }
  __atomic_store_n(&journal->ring->written, bt->drained, __ATOMIC_RELEASE);
}

static void coming_take(struct hwgw_backtest *bt) {
  struct coming coming = *(struct coming *)venue_fifo_first(&bt->coming);
  venue_fifo_pop(&bt->coming);
  clock_set(bt, coming.at_ns);
  coming.event.t_rx = bt->p->virtual_ns;
  pipeline_event(bt->p, &coming.event, false);
}

static void answer_take(struct hwgw_backtest *bt) {
  struct hwgw_order event = *(struct hwgw_order *)venue_fifo_first(&bt->venue->answers);
  venue_fifo_pop(&bt->venue->answers);
  clock_set(bt, event.ts_ns);
  pipeline_answer(bt->p, 0, &event);
}

/* what is due first; due_set has been called */
static void happen(struct hwgw_backtest *bt) {
  const struct venue_sent *sent = venue_fifo_first(&bt->venue->sent);
  const struct coming *coming = venue_fifo_first(&bt->coming);
  if (sent && sent->at_ns == bt->due) {
    struct venue_sent order = *sent;
    venue_fifo_pop(&bt->venue->sent);
    bt->orders++;
    venue_arrive(bt->venue, &order);
  } else if (coming && coming->at_ns == bt->due) {
    coming_take(bt);
  } else {
    answer_take(bt);
  }
  if (HWGW_UNLIKELY(bt->p->journal.head - bt->drained > bt->p->journal.mask / 2)) drain(bt);
}

/* everything that happens before end_ns */
static __attribute__((noinline)) void run(struct hwgw_backtest *bt, uint64_t end_ns) {
  for (due_set(bt); bt->due < end_ns; due_set(bt)) happen(bt);
}

static uint32_t desk_send(void *context, const struct hwgw_order *order) {
  struct hwgw_backtest *bt = context;
  struct hwgw_tob top = {0};
  hwgw_books_top(bt->p->books, order->instrument, &top);
  uint64_t mid2 = top.bid_px && top.ask_px ? (uint64_t)top.bid_px + top.ask_px : 0;
  uint32_t outcome = venue_send(bt->venue, order, bt->p->virtual_ns, mid2);
  bt->due = min(bt->due, bt->venue->arrive_ns);
  return outcome;
}

/* ---- messages ---- */

static inline __attribute__((always_inline)) void message_take(struct hwgw_backtest *bt, struct hwgw_event *event,
                                                               struct hwgw_book_hint hint) {
  struct hwgw_pipeline *p = bt->p;
  bool top_changed;
  if (HWGW_UNLIKELY(event->ts_ns < bt->last_ns)) {
    if (!bt->time_steps++) bt->time_step_seq = event->seq;
    event->ts_ns = bt->last_ns;
  }
  if (HWGW_UNLIKELY(bt->due < event->ts_ns)) run(bt, event->ts_ns);
  if (HWGW_UNLIKELY(!bt->messages++)) bt->first_ns = event->ts_ns;
  bt->last_ns = event->ts_ns;
  if (HWGW_LIKELY(bt->is_shared)) {
    clock_set(bt, event->ts_ns + bt->venue->feed_ns);
    event->t_rx = p->virtual_ns;
    uint32_t outcome = venue_event(bt->venue, bt->books, event, hint, &top_changed);
    if (HWGW_UNLIKELY(bt->venue->answers.cnt)) bt->due = min(bt->due, venue_due(bt->venue));
    pipeline_applied(p, event, outcome, top_changed, 0);
  } else {
    struct hwgw_event copy = *event;
    venue_event(bt->venue, bt->books, &copy, hint, &top_changed);
    uint64_t at = event->ts_ns + venue_delay(&bt->feed_latency);
    if (at > bt->coming_ns) bt->coming_ns = at;
    struct coming *coming = venue_fifo_push(&bt->coming);
    if (HWGW_UNLIKELY(!coming)) {
      bt->venue->is_out_of_memory = true;
      return;
    }
    *coming = (struct coming){*event, bt->coming_ns};
    due_set(bt);
  }
  if (HWGW_UNLIKELY(p->journal.head - bt->drained > p->journal.mask / 2)) drain(bt);
}

static inline __attribute__((always_inline)) void ring_step(struct hwgw_backtest *bt, struct waiting *ring, uint32_t at,
                                                            uint32_t made) {
  const struct hwgw_books *books = bt->books;
  const struct hwgw_pipeline *p = bt->p;
  uint32_t second = at - STEP, third = second - STEP, last = third - STEP; /* none before 0: more than made */
  if (HWGW_LIKELY(second < made)) {
    struct waiting *waiting = &ring[second % RING_SZ];
    waiting->hint = hwgw_book_expect_order(books, &waiting->event, waiting->hint);
    if (HWGW_LIKELY(waiting->event.instrument < p->instrument_cnt)) {
      hwgw_prefetch(&books->side[waiting->event.instrument << 1]);
      hwgw_prefetch(&books->side[waiting->event.instrument << 1 | 1]);
      hwgw_prefetch(&p->instrument[waiting->event.instrument]);
    }
  }
  if (HWGW_LIKELY(third < made)) {
    const struct waiting *waiting = &ring[third % RING_SZ];
    if (HWGW_LIKELY(waiting->event.instrument < p->instrument_cnt)) {
      hwgw_book_expect_rest(books, &waiting->event, waiting->hint);
      hwgw_prefetch(hwgw_segment_tob(p->segment, waiting->event.instrument));
      risk_prefetch_ref(p->risk, waiting->event.instrument);
    }
  }
  if (HWGW_LIKELY(last < made)) message_take(bt, &ring[last % RING_SZ].event, ring[last % RING_SZ].hint);
}

static void rows_begin(struct hwgw_backtest *bt) {
  struct venue_rows *rows[3] = {&bt->venue->fills, &bt->samples, &bt->records};
  for (uint32_t i = 0; i < 3; i++) {
    if (bt->rows_taken[i]) rows[i]->sz = 0;
    bt->rows_taken[i] = false;
  }
}

static int32_t verdict(struct hwgw_backtest *bt, struct hwgw_error *error) {
  drain(bt);
  if (bt->venue->is_out_of_memory)
    return hwgw_error_set(error, HWGW_ERR_DEVICE, ENOMEM, "backtest: no memory after %llu messages",
                          (unsigned long long)bt->messages);
  return HWGW_OK;
}

int32_t hwgw_backtest_messages(struct hwgw_backtest *bt, const uint8_t *data, const struct hwgw_scan_message *messages,
                               uint32_t cnt, struct hwgw_error *error) {
  struct hwgw_pipeline *p = bt->p;
  struct waiting ring[RING_SZ];
  uint32_t made = 0;
  rows_begin(bt);
  for (uint32_t i = 0; i < cnt; i++) {
    const uint8_t *message = data + messages[i].offset;
    struct hwgw_event *event = &ring[made % RING_SZ].event;
    uint32_t cause = hwgw_itch_event(message, messages[i].len, event);
    if (HWGW_UNLIKELY(cause)) {
      p->counters[cause]++;
      continue;
    }
    event->seq = messages[i].seq;
    event->channel = 0;
    event->line = 0;
    hwgw_instruments_find(p->instruments, message, messages[i].len, event);
    ring[made % RING_SZ].hint = hwgw_book_expect(bt->books, event);
    made++;
    ring_step(bt, ring, made - 1, made);
  }
  for (uint32_t at = made; at < made + 3 * STEP; at++) ring_step(bt, ring, at, made);
  p->counters[HWGW_CNT_ITCH_MESSAGES] += made;
  p->counters[HWGW_CNT_MOLD_MESSAGES] += cnt;
  return verdict(bt, error);
}

int32_t hwgw_backtest_finish(struct hwgw_backtest *bt, struct hwgw_error *error) {
  rows_begin(bt);
  for (due_set(bt); bt->coming.cnt; due_set(bt)) happen(bt); /* the last message is the last that a strategy acts on */
  bt->p->strategy_is_stopped = true;
  run(bt, NEVER);
  hwgw_pipeline_publish(bt->p);
  sample(bt, bt->p->virtual_ns);
  return verdict(bt, error);
}

/* ---- life and results ---- */

/* the feed of a file is whole: a heartbeat at its first number says so */
static void channel_begin(struct hwgw_pipeline *p) {
  uint8_t packet[MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN] = {0};
  memset(packet, 'F', MOLDUDP64_DOWNSTREAM_PACKET_HEADER_SESSION_SZ);
  moldudp64_downstream_packet_header_sequence_number_set(packet, MOLDUDP64_FIRST_SEQUENCE_NUMBER);
  moldudp64_downstream_packet_header_message_count_set(packet, 0);
  struct hwgw_frame frame = {.data = packet, .len = sizeof packet, .flow = 0, .t_rx = 1};
  p->counters[HWGW_CNT_RX_FRAMES]++;
  p->counters[HWGW_CNT_RX_BYTES] += frame.len;
  pipeline_frame(p, &frame);
}

int32_t hwgw_backtest_open(struct hwgw_backtest **out, struct hwgw_pipeline *p, const struct hwgw_books_cfg *books,
                           const struct hwgw_model *model, struct hwgw_error *error) {
  *out = NULL;
  if (!p->is_virtual || p->session_cnt || p->rx || p->channel_cnt != 1 || !p->flow_cnt)
    return hwgw_error_set(
        error, HWGW_ERR_USAGE, 0,
        "backtest: the pipeline must have a virtual clock, one channel, no session, no receive backend");
  struct hwgw_backtest *bt = calloc(1, sizeof *bt);
  if (!bt) return hwgw_error_set(error, HWGW_ERR_DEVICE, ENOMEM, "backtest: no memory");
  bt->p = p;
  bt->coming.item_sz = sizeof(struct coming);
  int32_t status = venue_latency_open(&bt->feed_latency, &model->feed, model->seed, "feed", error);
  if (!status) status = venue_open(&bt->venue, model, p->instrument_cnt, error);
  bt->is_shared = !status && venue_shares_books(model);
  bt->books = p->books;
  if (!status && !bt->is_shared) status = hwgw_books_open(&bt->books, books, error);
  if (status) {
    bt->is_shared |= bt->books == p->books;
    hwgw_backtest_close(bt);
    return status;
  }
  bt->venue->feed_ns = bt->is_shared ? model->feed.ns[0] : 0;
  bt->venue->books = bt->books;
  bt->due = NEVER;
  bt->sample_ns = model->sample_ns;
  bt->sample_next = model->sample_ns ? model->sample_ns : NEVER;
  p->desk.context = bt;
  p->desk.send = desk_send;
  p->session[0].state = HWGW_SEGMENT_SESSION_STATE_UP;
  hwgw_pipeline_advance(p, 1);
  channel_begin(p);
  *out = bt;
  return HWGW_OK;
}

void hwgw_backtest_close(struct hwgw_backtest *bt) {
  if (!bt) return;
  if (!bt->is_shared) hwgw_books_close(bt->books);
  bt->p->desk.send = NULL;
  venue_close(bt->venue);
  free(bt->feed_latency.ns);
  free(bt->coming.data);
  free(bt->samples.data);
  free(bt->records.data);
  free(bt);
}

const struct hwgw_venue_fill *hwgw_backtest_fills(struct hwgw_backtest *bt, uint64_t *cnt) {
  *cnt = bt->venue->fills.sz / sizeof(struct hwgw_venue_fill);
  bt->rows_taken[0] = true;
  return (const struct hwgw_venue_fill *)bt->venue->fills.data;
}

const struct hwgw_venue_sample *hwgw_backtest_samples(struct hwgw_backtest *bt, uint64_t *cnt) {
  *cnt = bt->samples.sz / sizeof(struct hwgw_venue_sample);
  bt->rows_taken[1] = true;
  return (const struct hwgw_venue_sample *)bt->samples.data;
}

const uint8_t *hwgw_backtest_records(struct hwgw_backtest *bt, uint64_t *sz_bytes) {
  *sz_bytes = bt->records.sz;
  bt->rows_taken[2] = true;
  return bt->records.data;
}

void hwgw_backtest_state(const struct hwgw_backtest *bt, struct hwgw_backtest_state *state) {
  *state = (struct hwgw_backtest_state){.first_ns = bt->first_ns,
                                        .last_ns = bt->last_ns,
                                        .time_steps = bt->time_steps,
                                        .time_step_seq = bt->time_step_seq,
                                        .orders = bt->orders,
                                        .fills = bt->venue->match,
                                        .fees = (int64_t)bt->venue->fees,
                                        .open_cnt = bt->venue->open_cnt,
                                        .shares_books = bt->is_shared};
}
