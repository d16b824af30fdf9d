/* replay_decide.c: a recorded run told to a pipeline once more: do its strategies want what they wanted?
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: the records of one run that kept its frames (pipeline_keep.c), and those before it when it began with what they
 * had left; a pipeline as new, with the strategies to be asked. Output: how many orders, cancels and other records came out as they are on record, and the first
 * that did not.
 *   The pipeline is the one that trades: channels, books, features, strategies, gate, breakers, on a virtual clock that is
 * set to the time of each input. It puts its records into a ring of its own, and each has to be the next on record: an order
 * with its verdict, what the gate judged by, the book it was decided on, an event of the feed, a re-request, a load. A record that the pipeline
 * does not make by itself is an input, and is told when its turn comes: a frame, an answer of the venue, what a server of the
 * feed says (within the round that read it then), a word of the control plane (before the very order that came behind it), parameters, a cancel by the gateway itself.
 *   Gate and references of a run behind a restart are what its own start had: rebuilt from the records before it, by the
 * code that a start goes through (pipeline_restore.c), on the clock that is on record. Strategies begin anew, as they did.
 *   Taken from the record: that an instrument or the venue was halted (the verdict says it), halts that a measured latency
 * brought about, that an order did not leave. Not compared: when frames were received, and what an order cost in time. That
 * the answers are what the venue's messages say is proven beside this (replay.c).
 *   Behind a difference nothing means anything: it ends there. Behind the last record, too, which may be in the middle of
 * what an input brought about. Cost: once. Thread: any.
 */
#include <stdlib.h>

#include "hwgw_replay.h"
#include "pipeline_keep.h"
#include "pipeline_restore.h"
#include "risk.h"

struct decide {
  struct hwgw_pipeline *p;
  struct hwgw_decided_result *result;
  struct hwgw_error *error;
  struct journal_cursor at; /* the record that is next: made, or told */
  bool has_record;
  bool is_started; /* the run has said what it began with */
  bool is_rebuilt; /* with what runs before it had left */
  struct hwgw_risk_strategy began[HWGW_RISK_STRATEGIES_MAX];
  bool is_over;
  int32_t status;
  uint64_t taken;           /* records so far */
  uint64_t drained;         /* of the pipeline's ring */
  struct hwgw_limits table; /* that comes into force */
};

#define CANNOT_BE(d, ...) cannot_be(d, __VA_ARGS__)

__attribute__((format(printf, 2, 3))) static void cannot_be(struct decide *d, const char *format, ...) {
  char what[160];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  d->is_over = true;
  d->status = hwgw_error_set(d->error, HWGW_ERR_CHECK, 0, "block %llu, record %llu: %s",
                             (unsigned long long)d->at.part->block, (unsigned long long)d->at.record.seq, what);
}

/* ---- what is on record ---- */

/* of the pipeline, and either made by it or told to it */
static bool is_told(const struct decide *d) {
  if (d->at.record.thread != d->p->journal.thread) return false;
  switch (d->at.record.type) {
    case HWGW_JOURNAL_RECORD_TYPE_FRAME:
    case HWGW_JOURNAL_RECORD_TYPE_INPUT:
    case HWGW_JOURNAL_RECORD_TYPE_PARAMS:
    case HWGW_JOURNAL_RECORD_TYPE_RESTORED:
    case HWGW_JOURNAL_RECORD_TYPE_GATE:
    case HWGW_JOURNAL_RECORD_TYPE_BASIS:
    case HWGW_JOURNAL_RECORD_TYPE_ARRIVAL:
    case HWGW_JOURNAL_RECORD_TYPE_TABLE:
    case HWGW_JOURNAL_RECORD_TYPE_LIMITS:
      return true;
    default:
      return false;
  }
}

static void next(struct decide *d) {
  d->taken++;
  do d->has_record = journal_next(&d->at);
  while (d->has_record && !is_told(d));
}

static uint32_t input_kind(const struct decide *d, struct hwgw_journal_input *input) {
  *input = (struct hwgw_journal_input){0};
  if (!d->has_record || d->at.record.type != HWGW_JOURNAL_RECORD_TYPE_INPUT || d->at.record.len != sizeof *input)
    return 0;
  memcpy(input, d->at.payload, sizeof *input);
  return input->what;
}

static bool is_event(const struct decide *d, struct hwgw_order *event) {
  if (!d->has_record || d->at.record.type != HWGW_JOURNAL_RECORD_TYPE_GATE || d->at.record.len != sizeof *event)
    return false;
  memcpy(event, d->at.payload, sizeof *event);
  return event->strategy < HWGW_RISK_STRATEGIES_MAX && event->account < HWGW_RISK_ACCOUNTS_MAX;
}

/* the clock of decisions, at the record that is told */
static void clock_set(struct decide *d) {
  d->p->virtual_ns = d->at.record.ts_ns;
}

/* ---- comparing ---- */

/* made: NULL when the pipeline has made nothing where there is a record */
static void differ(struct decide *d, const struct hwgw_journal_record *made, const uint8_t *payload) {
  if (d->is_over) return;
  const struct hwgw_journal_record *then = &d->at.record;
  struct hwgw_decided_difference *out = &d->result->difference;
  *out = (struct hwgw_decided_difference){
      .block = d->at.part->block, .seq = then->seq, .ts_ns = then->ts_ns, .type = then->type, .verdict = then->verdict};
  memcpy(out->recorded, d->at.payload, then->len < sizeof out->recorded ? then->len : sizeof out->recorded);
  if (made) {
    out->type_now = made->type;
    out->verdict_now = made->verdict;
    memcpy(out->now, payload, made->len < sizeof out->now ? made->len : sizeof out->now);
  }
  d->is_over = d->result->is_different = true;
}

static bool is_same(const struct hwgw_journal_record *then, const uint8_t *was, const struct hwgw_journal_record *made,
                    const uint8_t *is) {
  if (then->type != made->type || then->len != made->len || then->verdict != made->verdict) return false;
  if (then->type != HWGW_JOURNAL_RECORD_TYPE_GATE) return memcmp(was, is, then->len) == 0;
  struct hwgw_order recorded, now;
  memcpy(&recorded, was, sizeof recorded);
  memcpy(&now, is, sizeof now);
  recorded.t_rx = now.t_rx = 0; /* a measurement */
  return memcmp(&recorded, &now, sizeof now) == 0;
}

static void compare(struct decide *d, const struct hwgw_journal_record *made, const uint8_t *payload) {
  if (d->is_over) return;
  if (!d->has_record) { /* the journal ends within what the last input brought about */
    d->is_over = true;
    return;
  }
  if (!is_same(&d->at.record, d->at.payload, made, payload)) {
    differ(d, made, payload);
    return;
  }
  struct hwgw_order event;
  if (is_event(d, &event)) {
    bool is_new = event.kind == HWGW_ORDER_KIND_NEW || event.kind == HWGW_ORDER_KIND_REPLACE;
    bool is_cancel = event.kind == HWGW_ORDER_KIND_CANCEL;
    d->result->orders += is_new;
    d->result->cancels += is_cancel;
    d->result->refused += (is_new || is_cancel) && made->verdict != HWGW_RISK_REASON_PASS;
  }
  d->result->compared++;
  next(d);
}

/* what the pipeline has put since the last time */
static void drain(struct decide *d) {
  const struct hwgw_journal *journal = &d->p->journal;
  while (d->drained < journal->head) {
    const uint8_t *at = journal->data + (d->drained & journal->mask);
    const struct hwgw_journal_record *made = (const struct hwgw_journal_record *)at;
    d->drained += journal_record_sz(made->len);
    bool is_compared = made->type == HWGW_JOURNAL_RECORD_TYPE_GATE || made->type == HWGW_JOURNAL_RECORD_TYPE_BASIS ||
                       made->type == HWGW_JOURNAL_RECORD_TYPE_ARRIVAL || made->type == HWGW_JOURNAL_RECORD_TYPE_TABLE ||
                       made->type == HWGW_JOURNAL_RECORD_TYPE_LIMITS || made->type == HWGW_JOURNAL_RECORD_TYPE_FRAME ||
                       made->type == HWGW_JOURNAL_RECORD_TYPE_INPUT;
    if (is_compared) compare(d, made, at + sizeof *made);
  }
  __atomic_store_n(&journal->ring->written, d->drained, __ATOMIC_RELEASE);
}

/* ---- the control plane ---- */

/* the parts of a table from here on, into force */
static bool say_limits(struct decide *d) {
  struct hwgw_limits *table = &d->table;
  struct journal_cursor ahead = d->at;
  struct hwgw_journal_table part = {0};
  memset(table, 0, sizeof *table);
  bool has_more = true;
  while (has_more && ahead.record.type == HWGW_JOURNAL_RECORD_TYPE_TABLE) {
    uint32_t len = ahead.record.len;
    memcpy(&part, ahead.payload, len < sizeof part ? 0 : sizeof part);
    if (len < sizeof part || part.len != len - sizeof part || part.offset > sizeof *table ||
        part.len > sizeof *table - part.offset) {
      CANNOT_BE(d, "a part of a table of limits that cannot be");
      return false;
    }
    memcpy((uint8_t *)table + part.offset, ahead.payload + sizeof part, part.len);
    has_more = journal_next(&ahead);
  }
  *hwgw_segment_limits(d->p->segment, (uint32_t)part.generation) = *table;
  __atomic_store_n(&d->p->control->limits_generation, part.generation, __ATOMIC_RELEASE);
  return true;
}

/* what the control plane said at the record that is next, in its words; false: that is no word of it */
static bool say(struct decide *d) {
  struct hwgw_control *control = d->p->control;
  struct hwgw_journal_input input;
  struct hwgw_order event;
  if (d->at.record.type == HWGW_JOURNAL_RECORD_TYPE_TABLE) return say_limits(d);
  if (input_kind(d, &input) == HWGW_JOURNAL_INPUT_KIND_BEAT) { /* no record comes of it, but a halt */
    control->beat_ns = d->at.record.ts_ns;
    control->beat_cnt++;
    next(d);
    return true;
  }
  if (!is_event(d, &event) || d->at.record.verdict == HWGW_RISK_REASON_MALFORMED) return false;
  switch (event.kind) {
    case HWGW_ORDER_KIND_HALT:
      control->halt |= (uint32_t)1 << (event.reason & 31);
      return true;
    case HWGW_ORDER_KIND_RESUME:
      control->halt = 0;
      return true;
    case HWGW_ORDER_KIND_ARM:
    case HWGW_ORDER_KIND_DISARM:
      (void)hwgw_arm(d->p->segment, event.strategy, event.kind == HWGW_ORDER_KIND_ARM);
      return true;
    case HWGW_ORDER_KIND_LIMITS:
      CANNOT_BE(d, "the table of limits of generation %llu is not on record", (unsigned long long)event.venue_ref);
      return false;
    default:
      return false;
  }
}

/* the words at hand; is_within: only those that came within the input that is being told, which have its time */
static void told(struct decide *d, bool is_within) {
  while (!d->is_over && d->has_record && (!is_within || d->at.record.ts_ns == d->p->virtual_ns)) {
    uint64_t before = d->taken, ts_ns = d->at.record.ts_ns;
    if (!say(d)) return;
    d->p->virtual_ns = ts_ns;
    d->result->inputs++;
    pipeline_words(d->p);
    drain(d);
    if (d->taken == before) differ(d, NULL, NULL);
  }
}

/* single instruments and the venue are halted by no record of their own: the verdict of the order that comes says it */
static void latches_set(struct decide *d) {
  struct hwgw_order order;
  if (!is_event(d, &order) || (order.kind != HWGW_ORDER_KIND_NEW && order.kind != HWGW_ORDER_KIND_REPLACE)) return;
  struct hwgw_control *control = d->p->control;
  uint32_t verdict = d->at.record.verdict;
  control->venue_halt = verdict == HWGW_RISK_REASON_VENUE_HALT;
  if (order.instrument >= d->p->symbol_cnt) return;
  uint64_t bit = (uint64_t)1 << order.instrument % 64, *word = &control->instrument_halt[order.instrument / 64];
  *word = verdict == HWGW_RISK_REASON_INSTRUMENT_HALT ? *word | bit : *word & ~bit;
}

static void on_control(void *context) {
  struct decide *d = context;
  drain(d);
  told(d, true);
  if (!d->is_over) latches_set(d);
}

/* ---- orders ---- */

static uint32_t on_send(void *context, const struct hwgw_order *order) {
  struct decide *d = context;
  struct hwgw_journal_input input;
  drain(d);
  if (d->is_over || input_kind(d, &input) != HWGW_JOURNAL_INPUT_KIND_DROPPED || input.ref != order->ref ||
      input.value >= HWGW_COUNTER_CNT)
    return HWGW_CNT_ORDER_ENCODED;
  d->result->inputs++;
  next(d);
  return input.value;
}

/* ---- servers of the feed ---- */

static bool is_frame(const struct decide *d, struct hwgw_journal_frame *head) {
  uint32_t len = d->at.record.len;
  if (!d->has_record || d->at.record.type != HWGW_JOURNAL_RECORD_TYPE_FRAME || len < sizeof *head) return false;
  memcpy(head, d->at.payload, sizeof *head);
  return head->len == len - sizeof *head;
}

/* what a server of the channel said in the round that is told; false: nothing more */
static bool hear(struct decide *d, uint32_t channel) {
  struct hwgw_pipeline *p = d->p;
  struct hwgw_journal_frame head;
  struct hwgw_journal_input it;
  if (input_kind(d, &it) == HWGW_JOURNAL_INPUT_KIND_FAILED && it.value == channel) {
    d->result->inputs++;
    next(d);
    pipeline_feed_failed(p, channel, p->virtual_ns);
    return true;
  }
  if (!is_frame(d, &head) || head.channel != channel) return false;
  const uint8_t *data = d->at.payload + sizeof head;
  switch (head.line) {
    case HWGW_JOURNAL_FRAME_LINE_ANSWER:
      d->result->replies++;
      next(d);
      pipeline_feed_reply(p, channel, data, head.len, p->virtual_ns);
      return true;
    case HWGW_JOURNAL_FRAME_LINE_SNAPSHOT:
      d->result->snapshot_messages++;
      next(d);
      pipeline_feed_snapshot(p, channel, data, head.len, p->virtual_ns);
      return true;
    default:
      return false;
  }
}

static void on_poll(void *context, uint32_t channel, uint64_t now) {
  struct decide *d = context;
  (void)now;
  do drain(d);
  while (!d->is_over && hear(d, channel));
}

static bool on_request(void *context, uint32_t channel, uint32_t server, const uint8_t *request) {
  struct decide *d = context;
  (void)server;
  pipeline_keep_server(d->p, channel, HWGW_JOURNAL_FRAME_LINE_REQUEST, request, MOLDUDP64_REQUEST_PACKET_LEN);
  drain(d);
  d->result->requests += !d->is_over;
  return true;
}

static void on_load(void *context, uint32_t channel) {
  struct decide *d = context;
  pipeline_keep_input(d->p, HWGW_JOURNAL_INPUT_KIND_LOAD, channel, 0);
  drain(d);
  d->result->loads += !d->is_over;
}

static void on_unload(void *context, uint32_t channel) {
  (void)context, (void)channel;
}

/* ---- inputs ---- */

static uint32_t flow_of(const struct hwgw_pipeline *p, const struct hwgw_journal_frame *head) {
  uint32_t flow = 0;
  while (flow < p->flow_cnt && (p->flow[flow].channel != head->channel || p->flow[flow].line != head->line)) flow++;
  return flow;
}

static void frame(struct decide *d) {
  struct hwgw_pipeline *p = d->p;
  struct hwgw_journal_frame head;
  if (!is_frame(d, &head)) {
    CANNOT_BE(d, "a frame of %u bytes that cannot be", d->at.record.len);
    return;
  }
  if (head.line >= HWGW_JOURNAL_FRAME_LINE_ANSWER && head.line <= HWGW_JOURNAL_FRAME_LINE_REQUEST) {
    differ(d, NULL, NULL); /* nobody looks after that channel now, or asks */
    return;
  }
  uint32_t flow = flow_of(p, &head);
  if (flow == p->flow_cnt) {
    CANNOT_BE(d, "a frame of channel %u, line %u, which are not configured", head.channel, head.line);
    return;
  }
  clock_set(d);
  struct hwgw_frame it = {.data = d->at.payload + sizeof head,
                          .len = head.len,
                          .flow = (uint16_t)flow,
                          .t_rx = p->virtual_ns,
                          .ts_ns = head.ts_ns};
  p->counters[HWGW_CNT_RX_FRAMES]++;
  p->counters[HWGW_CNT_RX_BYTES] += it.len;
  d->result->frames++;
  next(d);
  pipeline_frame(p, &it);
}

static void input(struct decide *d) {
  struct hwgw_pipeline *p = d->p;
  struct hwgw_journal_input it;
  uint32_t what = input_kind(d, &it);
  clock_set(d);
  switch (what) {
    case HWGW_JOURNAL_INPUT_KIND_BEAT:
      told(d, false);
      return;
    case HWGW_JOURNAL_INPUT_KIND_DROPPED: /* of an order that is not wanted now */
    case HWGW_JOURNAL_INPUT_KIND_FAILED:  /* of a snapshot that is not */
    case HWGW_JOURNAL_INPUT_KIND_LOAD:
      differ(d, NULL, NULL);
      return;
    case HWGW_JOURNAL_INPUT_KIND_RECOVERY:
      next(d);
      pipeline_feed_poll(p, p->virtual_ns);
      break;
    case HWGW_JOURNAL_INPUT_KIND_AGE:
      next(d);
      p->receive_is_up = it.value != 0;
      pipeline_feed_age(p, p->virtual_ns);
      break;
    case HWGW_JOURNAL_INPUT_KIND_REFERENCES:
      next(d);
      if (it.ref > p->last_ref) p->last_ref = it.ref;
      break;
    case HWGW_JOURNAL_INPUT_KIND_OWN_CANCEL:
      next(d);
      pipeline_cancel_one(p, it.ref);
      break;
    case HWGW_JOURNAL_INPUT_KIND_STOP:
      next(d);
      p->strategy_is_stopped = true;
      break;
    case HWGW_JOURNAL_INPUT_KIND_END:
      next(d);
      pipeline_feed_finish(p);
      break;
    default:
      CANNOT_BE(d, "an input of kind %u, %u bytes", what, d->at.record.len);
      return;
  }
  d->result->inputs++;
}

/* those that the run begins with are the configuration's to say */
static void params(struct decide *d) {
  struct hwgw_journal_params head = {.id = UINT32_MAX};
  int64_t value[HWGW_SEGMENT_PARAMS_MAX] = {0};
  const uint8_t unknown[16] = {0};
  uint32_t len = d->at.record.len;
  memcpy(&head, d->at.payload, len < sizeof head ? 0 : sizeof head);
  if (head.id >= HWGW_RISK_STRATEGIES_MAX || head.cnt > HWGW_SEGMENT_PARAMS_MAX ||
      len != sizeof head + head.cnt * sizeof *value) {
    CANNOT_BE(d, "parameters that cannot be");
    return;
  }
  if (d->is_started) {
    if (hwgw_segment_param(d->p->segment, head.id)->cnt != head.cnt) {
      CANNOT_BE(d, "%u parameters of strategy %u, which has others now", head.cnt, head.id);
      return;
    }
    memcpy(value, d->at.payload + sizeof head, head.cnt * sizeof *value);
    (void)hwgw_params_publish(d->p->segment, head.id, value, unknown);
    pipeline_params(d->p);
    d->result->inputs++;
  }
  next(d);
}

static void answer(struct decide *d, struct hwgw_order *event) {
  uint64_t before = d->taken;
  clock_set(d);
  d->result->answers++;
  pipeline_answer(d->p, 0, event);
  drain(d);
  if (d->taken == before) differ(d, NULL, NULL);
}

static void gate(struct decide *d) {
  struct hwgw_order event;
  if (!is_event(d, &event)) {
    CANNOT_BE(d, "an event that cannot be, of %u bytes", d->at.record.len);
    return;
  }
  bool is_answer = (event.kind >= HWGW_ORDER_KIND_ACCEPTED && event.kind <= HWGW_ORDER_KIND_BROKEN);
  uint64_t before = d->taken;
  if (is_answer && d->at.record.verdict != HWGW_RISK_REASON_MALFORMED) {
    answer(d, &event);
  } else if (hwgw_order_is_request(event.kind)) { /* by the pipeline of its session: it uses a reference up */
    if (event.ref > d->p->last_ref) d->p->last_ref = event.ref;
    d->result->inputs++;
    next(d);
  } else {
    told(d, false);
    if (!d->is_over && d->taken == before) differ(d, NULL, NULL); /* no strategy wants it now, no channel says it */
  }
}

/* arming them in a start has begun no new run of executions behind a restart */
static void started(struct decide *d) {
  d->is_started = true;
  for (uint32_t i = 0; d->is_rebuilt && i < HWGW_RISK_STRATEGIES_MAX; i++) {
    d->p->risk->strategy[i].fills = d->began[i].fills;
    d->p->risk->strategy[i].rejects = d->began[i].rejects;
  }
}

static void take(struct decide *d) {
  switch (d->at.record.type) {
    case HWGW_JOURNAL_RECORD_TYPE_FRAME:
      frame(d);
      break;
    case HWGW_JOURNAL_RECORD_TYPE_INPUT:
      input(d);
      break;
    case HWGW_JOURNAL_RECORD_TYPE_PARAMS:
      params(d);
      break;
    case HWGW_JOURNAL_RECORD_TYPE_RESTORED:
      started(d);
      next(d);
      break;
    case HWGW_JOURNAL_RECORD_TYPE_TABLE:
      told(d, false);
      break;
    case HWGW_JOURNAL_RECORD_TYPE_GATE:
      gate(d);
      break;
    default: /* a book, or a basis, without its order */
      differ(d, NULL, NULL);
      break;
  }
  drain(d);
}

/* ---- behind a restart ---- */

/* what the run says that it began with, and the numbers of its strategies by those of the past */
static bool began_with(struct decide *d, struct pipeline_restore *r, struct journal_cursor at,
                       struct hwgw_journal_restored *began, uint8_t *strategy) {
  memset(strategy, UINT8_MAX, HWGW_RISK_STRATEGIES_MAX);
  while (!d->status && journal_next(&at)) {
    struct hwgw_journal_strategy row;
    uint8_t id;
    bool is_of_run =
        at.record.type == HWGW_JOURNAL_RECORD_TYPE_OPEN || at.record.type == HWGW_JOURNAL_RECORD_TYPE_SYMBOLS;
    if (is_of_run) d->status = pipeline_restore_record(r, &at);
    if (at.record.thread != d->p->journal.thread) continue;
    if (at.record.type == HWGW_JOURNAL_RECORD_TYPE_STRATEGY && at.record.len == sizeof row) {
      memcpy(&row, at.payload, sizeof row);
      if (pipeline_restore_strategy(r, row.name, &id)) strategy[id] = (uint8_t)row.id;
    }
    if (at.record.type != HWGW_JOURNAL_RECORD_TYPE_RESTORED || at.record.len != sizeof *began) continue;
    memcpy(began, at.payload, sizeof *began);
    return true;
  }
  return false;
}

static int32_t rebuild(struct decide *d, struct hwgw_pipeline *past, const struct hwgw_replay_part *parts,
                       uint32_t before_cnt, uint32_t cnt) {
  struct pipeline_restore *r;
  struct hwgw_journal_restored began = {0};
  uint8_t strategy[HWGW_RISK_STRATEGIES_MAX];
  d->status = pipeline_restore_open(&r, past, true, d->error);
  if (d->status) return d->status;
  struct journal_cursor at = journal_from(parts, before_cnt);
  while (!d->status && journal_next(&at)) d->status = pipeline_restore_record(r, &at);
  bool has_begun = began_with(d, r, journal_from(parts + before_cnt, cnt - before_cnt), &began, strategy);
  if (!d->status && (!has_begun || began.records != r->record_cnt))
    d->status = hwgw_error_set(d->error, HWGW_ERR_CHECK, 0,
                               "the run was rebuilt from %llu records, %llu stand before it: a file is missing",
                               (unsigned long long)began.records, (unsigned long long)r->record_cnt);
  if (!d->status) {
    pipeline_restore_gate(r, &began, strategy, d->p->risk);
    memcpy(d->began, d->p->risk->strategy, sizeof d->began);
    d->p->last_ref = began.last_ref;
    d->is_rebuilt = true;
  }
  pipeline_restore_close(r);
  return d->status;
}

int32_t hwgw_decide_again(struct hwgw_pipeline *p, const struct hwgw_replay_part *parts, uint32_t before_cnt,
                          uint32_t cnt, struct hwgw_pipeline *past, struct hwgw_decided_result *result,
                          struct hwgw_error *error) {
  *result = (struct hwgw_decided_result){0};
  if (!p->is_virtual || p->keeps_frames || !p->journal.ring || p->session_cnt || p->rx)
    return hwgw_error_set(error, HWGW_ERR_USAGE, 0,
                          "decide: the pipeline must have a virtual clock, a journal, no session, no receive backend");
  struct decide *d = calloc(1, sizeof *d);
  if (!d) return hwgw_error_set(error, HWGW_ERR_INTERNAL, 0, "decide: no memory");
  d->p = p;
  d->result = result;
  d->error = error;
  d->at = journal_from(parts + before_cnt, cnt - before_cnt);
  d->drained = p->journal.head; /* what it was opened with */
  p->desk = (struct pipeline_desk){.context = d, .send = on_send, .control = on_control};
  const struct pipeline_recover_io nobody = p->recover_io;
  p->recover_io = (struct pipeline_recover_io){d, on_request, on_load, on_unload, on_poll};
  d->is_over = past && rebuild(d, past, parts, before_cnt, cnt);
  for (next(d); d->has_record && !d->is_over;) take(d);
  if (!d->is_over && journal_is_cut(&d->at)) CANNOT_BE(d, "the next one is behind the end of its block");
  if (!d->status && !result->frames && !result->is_different)
    d->status = hwgw_error_set(error, HWGW_ERR_CHECK, 0, "a run without frames: nothing can be decided again");
  if (!d->status && p->journal.is_broken)
    d->status = hwgw_error_set(error, HWGW_ERR_INTERNAL, 0, "decide: an input made more records than the ring holds");
  p->desk = (struct pipeline_desk){0};
  p->recover_io = nobody;
  int32_t status = d->status;
  free(d);
  return status;
}
