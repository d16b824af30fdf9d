/* replay.c: the records of a journal through the gate once more: does it say what it said then?
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: the records of proven blocks, whole runs, in order. Output: how many orders and events were compared, and each
 * whose verdict, or price of a market order, comes out otherwise.
 *   The gate is the one that trades (risk.c), told the same events at the same times. What the journal does not have as
 * events is put into its state from the record beside the order or execution (journal_basis): reference price and its time,
 * mark, heartbeat, clock. Everything else, exposure, positions, cash, rates, duplicates, runs of strategies, is what the
 * events have made of it here. Taken from the record: what a circuit breaker refused (that the gate had passed it is
 * compared), what was refused ahead of the gate (for a halt of its instrument, or
 * the feed of its venue), and a latch that a reference price or a clock
 * brought about (recorded as a halt).
 *   Behind a difference the state stays what the gate here has made of it, but for its latch, which follows the record, so
 * that one wrong record is one difference.
 *   Cost: once; a gate per pipeline. Thread: any.
 */
#include "hwgw_replay.h"

#include <stdlib.h>

#include "journal.h"
#include "risk.h"

struct cursor {
  const struct hwgw_replay_part *part;
  const struct hwgw_replay_part *end;
  uint64_t at;
  uint32_t index; /* of the record in its part */
  struct hwgw_journal_record record;
  const uint8_t *payload;
};

struct line {
  struct hwgw_risk *risk; /* NULL: no record of this pipeline yet */
  struct cursor ahead;    /* where the next basis is looked for */
  bool is_rebuilt;        /* this run began with what was rebuilt */
  bool is_begun;
  struct hwgw_limits table[2]; /* in force and the next one */
  uint32_t table_next;
};

struct replay {
  struct hwgw_replay_result *result;
  struct hwgw_replay_difference *out;
  uint32_t max;
  struct hwgw_error *error;
  struct cursor now;
  struct line line[HWGW_SEGMENT_THREADS_MAX];
};

/* ---- records ---- */

/* the next record, false at the end or behind one that cannot be: its rest is then not 0 */
static bool next(struct cursor *c) {
  while (c->part < c->end && c->index == c->part->record_cnt) {
    c->part++;
    c->at = 0;
    c->index = 0;
  }
  if (c->part == c->end || c->part->len - c->at < sizeof c->record) return false;
  const uint8_t *from = (const uint8_t *)c->part->data + c->at;
  memcpy(&c->record, from, sizeof c->record);
  uint64_t sz = journal_record_sz(c->record.len);
  if (sz > c->part->len - c->at) return false;
  c->payload = from + sizeof c->record;
  c->at += sz;
  c->index++;
  return true;
}

static bool is_run(const struct cursor *c) {
  return c->record.type == HWGW_JOURNAL_RECORD_TYPE_OPEN;
}

/* looks ahead in this run for a record of the type and pipeline */
static bool find(struct cursor *c, uint8_t type, uint8_t thread, uint32_t sz) {
  for (struct cursor ahead = *c; next(&ahead) && !is_run(&ahead);) {
    if (ahead.record.type != type || ahead.record.thread != thread || ahead.record.len != sz) continue;
    *c = ahead;
    return true;
  }
  return false;
}

#define CANNOT_BE(r, ...) cannot_be(r, __VA_ARGS__)

__attribute__((format(printf, 2, 3))) static int32_t cannot_be(struct replay *r, const char *format, ...) {
  char what[160];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  unsigned long long block = r->now.part < r->now.end ? r->now.part->block : 0;
  return hwgw_error_set(r->error, HWGW_ERR_CHECK, 0, "block %llu, record %llu of pipeline %u: %s", block,
                        (unsigned long long)r->now.record.seq, r->now.record.thread, what);
}

/* ---- comparing ---- */

static void compare(struct replay *r, const struct hwgw_order *event, uint32_t field, uint64_t recorded,
                    uint64_t replayed) {
  if (HWGW_LIKELY(recorded == replayed)) return;
  if (r->result->differences < r->max)
    r->out[r->result->differences] = (struct hwgw_replay_difference){.block = r->now.part->block,
                                                                     .seq = r->now.record.seq,
                                                                     .ts_ns = r->now.record.ts_ns,
                                                                     .recorded = recorded,
                                                                     .replayed = replayed,
                                                                     .run = (uint32_t)r->result->runs,
                                                                     .thread = r->now.record.thread,
                                                                     .kind = event->kind,
                                                                     .ref = event->ref,
                                                                     .field = field};
  r->result->differences++;
}

/* the latch is the record's, whatever came out here */
static void follow(struct hwgw_risk *risk, uint32_t before, uint32_t latched) {
  if (latched && !risk->halt) risk->halt = latched;
  if (!latched && !before) risk->halt = 0;
}

/* ---- what the gate knew ---- */

static void pin(struct hwgw_risk *risk, const struct hwgw_journal_basis *basis) {
  risk->last_beat = basis->beat_ts_ns;
  risk->last_ts = basis->clock_ns;
  risk->gateway.equity = risk->cash[HWGW_RISK_GATEWAY] + basis->mark_gateway;
  if (basis->account < HWGW_RISK_ACCOUNTS_MAX)
    risk->account[basis->account].equity = risk->cash[basis->account] + basis->mark;
  if (basis->instrument >= HWGW_RISK_INSTRUMENTS_MAX) return;
  risk->instrument[basis->instrument].ref_px = basis->ref_px;
  risk->instrument[basis->instrument].ref_ts = basis->ref_ts_ns;
  risk->holding[basis->instrument].mark_px = basis->mark_px;
}

/* bases stand in the order of their events; that of the last event before a crash may be missing */
static bool pin_for(struct line *line, uint8_t thread, const struct hwgw_order *event, bool *is_ahead) {
  struct cursor ahead = line->ahead;
  struct hwgw_journal_basis basis;
  if (!find(&ahead, HWGW_JOURNAL_RECORD_TYPE_BASIS, thread, sizeof basis)) return false;
  memcpy(&basis, ahead.payload, sizeof basis);
  if (basis.ref != event->ref || basis.kind != event->kind) return false;
  line->ahead = ahead;
  *is_ahead = basis.is_ahead;
  if (!basis.is_ahead) pin(line->risk, &basis);
  return true;
}

static int32_t table_part(struct replay *r, struct line *line) {
  struct hwgw_journal_table part;
  memcpy(&part, r->now.payload, r->now.record.len < sizeof part ? 0 : sizeof part);
  struct hwgw_limits *table = &line->table[line->table_next];
  if (r->now.record.len < sizeof part || part.len != r->now.record.len - sizeof part || part.offset > sizeof *table ||
      part.len > sizeof *table - part.offset)
    return CANNOT_BE(r, "a part of a table of limits that cannot be");
  if (part.offset == 0) memset(table, 0, sizeof *table); /* never all zeros: generation and checksum are there */
  memcpy((uint8_t *)table + part.offset, r->now.payload + sizeof part, part.len);
  return HWGW_OK;
}

static int32_t limits(struct replay *r, struct line *line, const struct hwgw_order *event) {
  struct hwgw_limits *table = &line->table[line->table_next];
  if (table->generation != event->venue_ref && r->now.record.verdict == HWGW_RISK_REASON_PASS)
    return CANNOT_BE(r,
                     "the table of limits of generation %llu is not on record: the journal is of an older hwgw, or its "
                     "ring was below four times the table (273 KiB)",
                     (unsigned long long)event->venue_ref);
  line->table_next ^= 1;
  r->result->events++;
  compare(r, event, HWGW_REPLAY_FIELD_VERDICT, r->now.record.verdict, hwgw_risk_event(line->risk, event, table));
  return HWGW_OK;
}

/* ---- events ---- */

static void ordered(struct replay *r, struct line *line, struct hwgw_order *order) {
  struct hwgw_risk *risk = line->risk;
  uint32_t recorded = r->now.record.verdict, halt = risk->halt;
  bool is_cancel = order->kind == HWGW_ORDER_KIND_CANCEL;
  r->result->refused += recorded != HWGW_RISK_REASON_PASS;
  bool is_ahead = false;
  if (!is_cancel && !pin_for(line, r->now.record.thread, order, &is_ahead)) {
    r->result->without++;
    return;
  }
  if (is_ahead) {
    r->result->ahead++;
    return;
  }
  uint32_t px = order->reason; /* of a market order */
  order->reason = 0;
  uint32_t replayed = hwgw_risk_event(risk, order, NULL);
  *(is_cancel ? &r->result->cancels : &r->result->orders) += 1;
  if (recorded == HWGW_RISK_REASON_BREAKER && replayed == HWGW_RISK_REASON_PASS) { /* it was given back */
    struct hwgw_order back = *order;
    back.kind = HWGW_ORDER_KIND_REJECTED;
    hwgw_risk_event(risk, &back, NULL);
    return;
  }
  bool is_latching = recorded == HWGW_RISK_REASON_LOSS || recorded == HWGW_RISK_REASON_CLOCK;
  follow(risk, halt, is_latching ? recorded : HWGW_RISK_REASON_PASS);
  compare(r, order, HWGW_REPLAY_FIELD_VERDICT, recorded, replayed);
  bool is_priced = order->type == HWGW_ORDER_TYPE_MARKET && !is_cancel;
  if (is_priced && recorded == HWGW_RISK_REASON_PASS && replayed == recorded)
    compare(r, order, HWGW_REPLAY_FIELD_PRICE, px, risk_slot(risk, order->ref)->px);
}

static void told(struct replay *r, struct line *line, const struct hwgw_order *event) {
  struct hwgw_risk *risk = line->risk;
  bool is_trade = event->kind == HWGW_ORDER_KIND_EXECUTED || event->kind == HWGW_ORDER_KIND_BROKEN;
  uint32_t recorded = r->now.record.verdict, halt = risk->halt;
  bool is_ahead, is_pinned = !is_trade || pin_for(line, r->now.record.thread, event, &is_ahead);
  uint32_t replayed = hwgw_risk_event(risk, event, NULL);
  bool is_own = event->kind == HWGW_ORDER_KIND_HALT || event->kind == HWGW_ORDER_KIND_RESUME;
  if (!is_own) follow(risk, halt, recorded);
  *(is_pinned ? &r->result->events : &r->result->without) += 1;
  if (is_pinned) compare(r, event, HWGW_REPLAY_FIELD_VERDICT, recorded, replayed);
}

static int32_t gate(struct replay *r, struct line *line) {
  struct hwgw_order event;
  if (r->now.record.len != sizeof event) return CANNOT_BE(r, "an event of %u bytes", r->now.record.len);
  memcpy(&event, r->now.payload, sizeof event);
  bool is_order = event.kind == HWGW_ORDER_KIND_NEW || event.kind == HWGW_ORDER_KIND_REPLACE;
  if (is_order || event.kind == HWGW_ORDER_KIND_CANCEL) {
    ordered(r, line, &event);
  } else if (hwgw_order_is_request(event.kind)) { /* on record for its reference: the gate is not asked */
    r->result->ahead++;
  } else if (r->now.record.verdict == HWGW_RISK_REASON_MALFORMED) {
    r->result->refused++; /* of a kind that is not a strategy's to say: the gate was not asked */
    r->result->ahead++;
  } else if (event.kind == HWGW_ORDER_KIND_LIMITS) {
    return limits(r, line, &event);
  } else {
    told(r, line, &event);
  }
  return HWGW_OK;
}

/* ---- runs ---- */

static void run_begin(struct replay *r) {
  r->result->runs++;
  for (uint32_t i = 0; i < HWGW_SEGMENT_THREADS_MAX; i++) r->line[i].is_begun = false;
}

static int32_t line_begin(struct replay *r, struct line *line, const struct cursor *before) {
  if (!line->risk && posix_memalign((void **)&line->risk, HWGW_BLOCK_ALIGN, hwgw_risk_sz_bytes()) != 0) {
    line->risk = NULL;
    return hwgw_error_set(r->error, HWGW_ERR_INTERNAL, 0, "replay: no memory for a gate");
  }
  hwgw_risk_init(line->risk);
  memset(line->table, 0, sizeof line->table);
  struct hwgw_journal_restored restored = {0};
  struct cursor ahead = line->ahead = *before;
  if (find(&ahead, HWGW_JOURNAL_RECORD_TYPE_RESTORED, r->now.record.thread, sizeof restored))
    memcpy(&restored, ahead.payload, sizeof restored);
  line->is_rebuilt = restored.records != 0;
  line->is_begun = true;
  r->result->rebuilt_runs += line->is_rebuilt;
  return HWGW_OK;
}

static int32_t take(struct replay *r, const struct cursor *before) {
  r->result->records++;
  if (is_run(&r->now)) run_begin(r);
  bool is_of_run = is_run(&r->now) || r->now.record.type == HWGW_JOURNAL_RECORD_TYPE_SYMBOLS ||
                   r->now.record.type == HWGW_JOURNAL_RECORD_TYPE_FILL;
  if (is_of_run) return HWGW_OK;
  if (!r->result->runs) return CANNOT_BE(r, "the beginning of its run is missing");
  if (r->now.record.thread >= HWGW_SEGMENT_THREADS_MAX) return CANNOT_BE(r, "there is no such pipeline");
  struct line *line = &r->line[r->now.record.thread];
  int32_t status = line->is_begun ? HWGW_OK : line_begin(r, line, before);
  if (status) return status;
  r->result->rebuilt_records += line->is_rebuilt;
  if (line->is_rebuilt) return HWGW_OK;
  if (r->now.record.type == HWGW_JOURNAL_RECORD_TYPE_TABLE) return table_part(r, line);
  return r->now.record.type == HWGW_JOURNAL_RECORD_TYPE_GATE ? gate(r, line) : HWGW_OK;
}

int32_t hwgw_replay_verify(const struct hwgw_replay_part *parts, uint32_t cnt, struct hwgw_replay_result *result,
                           struct hwgw_replay_difference *out, uint32_t max, struct hwgw_error *error) {
  *result = (struct hwgw_replay_result){0};
  struct replay *r = calloc(1, sizeof *r);
  if (!r) return hwgw_error_set(error, HWGW_ERR_INTERNAL, 0, "replay: no memory");
  *r = (struct replay){
      .result = result, .out = out, .max = max, .error = error, .now = {.part = parts, .end = parts + cnt}};
  int32_t status = HWGW_OK;
  struct cursor before = r->now;
  for (; !status && next(&r->now); before = r->now) status = take(r, &before);
  if (!status && r->now.part != r->now.end) status = CANNOT_BE(r, "the next one is behind the end of its block");
  for (uint32_t i = 0; i < HWGW_SEGMENT_THREADS_MAX; i++) free(r->line[i].risk);
  free(r);
  return status;
}
