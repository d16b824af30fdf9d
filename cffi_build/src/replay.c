/* replay.c: the records of a journal through the gate once more: does it say what it said then?
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: the records of proven blocks, whole runs, in order, from where the journal begins or was begun anew. Output: how
 * many orders and events were compared, and each whose verdict, or price of a market order, comes out otherwise.
 *   The gate is the one that trades (risk.c), told the same events at the same times. What the journal does not have as
 * events is put into its state from the record beside the order or execution (journal_basis): reference price and its time,
 * mark, heartbeat, clock. Everything else, exposure, positions, cash, rates, duplicates, runs of strategies, is what the
 * events have made of it here. Taken from the record: what a circuit breaker refused (that the gate had passed it is
 * compared), what was refused ahead of the gate (for a halt of its instrument, or the feed of its venue), and a latch that a
 * reference price or a clock brought about (recorded as a halt).
 *   Beside the gate goes a pipeline that is told every record as a start is after a crash (pipeline_restore.c): what the
 * venue's messages make of each order must be what the gate was told, and a run that began with what was rebuilt begins here
 * with that gate. The first contradiction ends this; runs behind it that need it are not compared.
 *   Behind a difference the state stays what the gate here has made of it, but for its latch, which follows the record, so
 * that one wrong record is one difference.
 *   Cost: once; a gate per pipeline. Thread: any.
 */
#include "hwgw_replay.h"

#include <stdlib.h>

#include "pipeline_restore.h"
#include "risk.h"

struct line {
  struct hwgw_risk *risk;        /* NULL: no record of this pipeline yet */
  struct pipeline_restore *past; /* NULL: nothing is rebuilt, or no more */
  struct journal_cursor ahead;   /* where the next basis is looked for */
  bool is_begun;
  bool is_rebuilt;                                           /* this run began with what was rebuilt */
  bool is_unknown;                                           /* likewise, and nobody knows here what that was */
  struct hwgw_risk_strategy began[HWGW_RISK_STRATEGIES_MAX]; /* of a run that was rebuilt */
  struct hwgw_limits table[2];                               /* in force and the next one */
  uint32_t table_next;
};

struct replay {
  struct hwgw_replay_result *result;
  struct hwgw_replay_difference *out;
  uint32_t max;
  struct hwgw_error *error;
  struct hwgw_error *contradiction;
  struct journal_cursor now;
  struct line line[HWGW_SEGMENT_THREADS_MAX];
};

/* ---- records ---- */

static bool is_run(const struct journal_cursor *c) {
  return c->record.type == HWGW_JOURNAL_RECORD_TYPE_OPEN;
}

/* looks ahead in this run for a record of the type and pipeline */
static bool find(struct journal_cursor *c, uint8_t type, uint8_t thread, uint32_t sz) {
  for (struct journal_cursor ahead = *c; journal_next(&ahead) && !is_run(&ahead);) {
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
  struct journal_cursor ahead = line->ahead;
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

/* nothing is rebuilt from here on */
static void past_end(struct replay *r) {
  for (uint32_t i = 0; i < HWGW_SEGMENT_THREADS_MAX; i++) {
    pipeline_restore_close(r->line[i].past);
    r->line[i].past = NULL;
  }
}

static void past_record(struct replay *r) {
  for (uint32_t i = 0; i < HWGW_SEGMENT_THREADS_MAX; i++)
    if (r->line[i].past && pipeline_restore_record(r->line[i].past, &r->now) != HWGW_OK) past_end(r);
}

static void past_settle(struct replay *r) {
  for (uint32_t i = 0; i < HWGW_SEGMENT_THREADS_MAX; i++)
    if (r->line[i].past && pipeline_restore_settle(r->line[i].past) != HWGW_OK) past_end(r);
}

static int32_t past_open(struct replay *r, struct hwgw_pipeline *const *pipelines, uint32_t cnt) {
  int32_t status = HWGW_OK;
  for (uint32_t i = 0; !status && i < cnt && i < HWGW_SEGMENT_THREADS_MAX; i++)
    if (pipelines[i]) status = pipeline_restore_open(&r->line[i].past, pipelines[i], true, r->contradiction);
  if (status) *r->error = *r->contradiction;
  return status;
}

/* what the run says that it began with, and the numbers of its strategies by those of the past, UINT8_MAX = none */
static struct hwgw_journal_restored began_with(const struct line *line, const struct journal_cursor *before,
                                               uint8_t thread, uint8_t *strategy) {
  struct hwgw_journal_restored restored = {0};
  memset(strategy, UINT8_MAX, HWGW_RISK_STRATEGIES_MAX);
  for (struct journal_cursor ahead = *before; journal_next(&ahead) && !is_run(&ahead);) {
    if (ahead.record.thread != thread) continue;
    struct hwgw_journal_strategy row;
    uint8_t id;
    if (ahead.record.type == HWGW_JOURNAL_RECORD_TYPE_STRATEGY && ahead.record.len == sizeof row && line->past) {
      memcpy(&row, ahead.payload, sizeof row);
      if (pipeline_restore_strategy(line->past, row.name, &id)) strategy[id] = (uint8_t)row.id;
    }
    if (ahead.record.type != HWGW_JOURNAL_RECORD_TYPE_RESTORED) continue;
    if (ahead.record.len == sizeof restored) memcpy(&restored, ahead.payload, sizeof restored);
    break;
  }
  return restored;
}

static void rebuilt(struct replay *r, struct line *line, const struct hwgw_journal_restored *restored,
                    const uint8_t *strategy) {
  if (line->past && line->past->record_cnt != restored->records) {
    (void)hwgw_error_set(
        r->contradiction, HWGW_ERR_CHECK, 0,
        "run %llu was rebuilt from %llu records of pipeline %u, %llu stand before it: a file is missing",
        (unsigned long long)r->result->runs, (unsigned long long)restored->records, r->now.record.thread,
        (unsigned long long)line->past->record_cnt);
    past_end(r);
  }
  line->is_unknown = !line->past || !restored->now_ns;
  *(line->is_unknown ? &r->result->unknown_runs : &r->result->rebuilt_runs) += 1;
  if (line->is_unknown) return;
  pipeline_restore_gate(line->past, restored, strategy, line->risk);
  memcpy(line->began, line->risk->strategy, sizeof line->began);
}

/* the start has armed strategies, which begins no new run of executions behind a restart */
static void started(struct line *line) {
  for (uint32_t i = 0; line->is_rebuilt && i < HWGW_RISK_STRATEGIES_MAX; i++) {
    line->risk->strategy[i].fills = line->began[i].fills;
    line->risk->strategy[i].rejects = line->began[i].rejects;
  }
}

static int32_t line_begin(struct replay *r, struct line *line, const struct journal_cursor *before) {
  if (!line->risk && posix_memalign((void **)&line->risk, HWGW_BLOCK_ALIGN, hwgw_risk_sz_bytes()) != 0) {
    line->risk = NULL;
    return hwgw_error_set(r->error, HWGW_ERR_INTERNAL, 0, "replay: no memory for a gate");
  }
  hwgw_risk_init(line->risk);
  memset(line->table, 0, sizeof line->table);
  uint8_t strategy[HWGW_RISK_STRATEGIES_MAX];
  struct hwgw_journal_restored restored = began_with(line, before, r->now.record.thread, strategy);
  line->ahead = *before;
  line->is_begun = true;
  line->is_unknown = false;
  line->is_rebuilt = restored.records || restored.now_ns;
  if (line->is_rebuilt) rebuilt(r, line, &restored, strategy);
  return HWGW_OK;
}

static int32_t take(struct replay *r, const struct journal_cursor *before) {
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
  r->result->messages += r->now.record.type == HWGW_JOURNAL_RECORD_TYPE_VENUE;
  r->result->unknown_records += line->is_unknown;
  if (line->is_unknown) return HWGW_OK;
  switch (r->now.record.type) {
    case HWGW_JOURNAL_RECORD_TYPE_TABLE:
      return table_part(r, line);
    case HWGW_JOURNAL_RECORD_TYPE_GATE:
      return gate(r, line);
    case HWGW_JOURNAL_RECORD_TYPE_RESTORED:
      started(line);
      return HWGW_OK;
    default:
      return HWGW_OK;
  }
}

int32_t hwgw_replay_verify(const struct hwgw_replay_part *parts, uint32_t cnt, struct hwgw_pipeline *const *pipelines,
                           uint32_t pipeline_cnt, struct hwgw_replay_result *result, struct hwgw_replay_difference *out,
                           uint32_t max, struct hwgw_error *contradiction, struct hwgw_error *error) {
  *result = (struct hwgw_replay_result){0};
  *contradiction = (struct hwgw_error){0};
  struct replay *r = calloc(1, sizeof *r);
  if (!r) return hwgw_error_set(error, HWGW_ERR_INTERNAL, 0, "replay: no memory");
  *r = (struct replay){.result = result,
                       .out = out,
                       .max = max,
                       .error = error,
                       .contradiction = contradiction,
                       .now = journal_from(parts, cnt)};
  int32_t status = past_open(r, pipelines, pipeline_cnt);
  struct journal_cursor before = r->now;
  for (; !status && journal_next(&r->now); before = r->now) {
    status = take(r, &before);
    past_record(r);
  }
  if (!status && journal_is_cut(&r->now)) status = CANNOT_BE(r, "the next one is behind the end of its block");
  past_settle(r);
  past_end(r);
  for (uint32_t i = 0; i < HWGW_SEGMENT_THREADS_MAX; i++) free(r->line[i].risk);
  free(r);
  return status;
}
