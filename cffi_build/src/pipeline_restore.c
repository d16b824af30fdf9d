/* pipeline_restore.c: order entry as an earlier process of this gateway left it, rebuilt record by record.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: the records of the journal in their order, from where it begins or was begun anew; the blocks they came in were
 * proven (hwgw/journal/restore.py). Output: the session's orders, its name and next number, the last reference, the gate's
 * exposure, positions, cash and run counters, the rows of the segment. The session and the gate are told again what they
 * were told then, by the functions they have for it, in the order they were told it: the venue's messages when the session
 * took them, its events when the gate did. So a crash between any two records leaves a state that a process was in.
 *   What the records say twice is compared: every event the gate was told of must be what the venue's messages make of the
 * orders; a run that was itself rebuilt must have begun with what is rebuilt here. A difference is an error, and nothing
 * starts.
 *   What is made of the end is said in pipeline_restored.c; a replay (replay.c) goes through the same.
 *   Cost: once, before the pipeline runs. Thread: the pipeline's opener.
 */
#include "pipeline_restore.h"

#include <stdlib.h>

#include "risk.h"
#include "session.h"

#define DERIVED_MAX 16384 /* events of one poll, and all orders lost at once */

#define CONTRADICTS(r, ...) contradicts(r, __VA_ARGS__)

__attribute__((format(printf, 2, 3))) static int32_t contradicts(struct pipeline_restore *r, const char *format, ...) {
  char what[160];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  return hwgw_error_set(r->error, HWGW_ERR_CHECK, 0, "the journal contradicts itself: block %llu, record %u: %s",
                        (unsigned long long)r->block, r->index, what);
}

/* ---- events, when the gate was told of them ---- */

static void apply(struct pipeline_restore *r, uint32_t venue, const struct hwgw_order *event) {
  struct hwgw_order told = *event;
  told.ts_ns = 0; /* clocks of other runs say nothing here */
  if (pipeline_rebuild_event(r->p, &told) == HWGW_RISK_REASON_STATE) r->halt = HWGW_RISK_REASON_STATE;
  pipeline_venue_book(r->p, venue, &told);
}

/* the session an order went to; NULL without any */
static struct hwgw_session *link_of(const struct pipeline_restore *r, uint32_t ref) {
  return r->p->session[*pipeline_venue_of(r->p, ref)].link;
}

static int32_t derive(struct pipeline_restore *r, uint32_t venue, const struct hwgw_order *event) {
  if (event->kind == HWGW_ORDER_KIND_HALT) {
    r->halt = HWGW_RISK_REASON_STATE;
    return HWGW_OK;
  }
  if (r->derived_cnt == DERIVED_MAX) return CONTRADICTS(r, "more events wait than a gateway ever had");
  r->derived[r->derived_cnt++] = (struct restore_derived){*event, venue};
  return HWGW_OK;
}

static int32_t derive_follows(struct pipeline_restore *r, uint32_t venue) {
  struct hwgw_order event;
  int32_t status = HWGW_OK;
  struct hwgw_session *link = r->p->session[venue].link;
  while (link && !status && hwgw_session_orders_follow(&link->orders, r->counters, &event))
    status = derive(r, venue, &event);
  return status;
}

static bool take(struct pipeline_restore *r, uint32_t at) {
  struct restore_derived made = r->derived[at];
  memmove(&r->derived[at], &r->derived[at + 1], (--r->derived_cnt - at) * sizeof made);
  apply(r, made.venue, &made.event);
  return true;
}

/* An event on record is applied as the venue's messages make it, in the order of its session; only what the session took
 * back may be out of turn */
static bool take_recorded(struct pipeline_restore *r, const struct hwgw_order *event) {
  bool is_own = event->kind == HWGW_ORDER_KIND_REJECTED && event->reason == 0;
  uint32_t passed = 0; /* sessions whose turn another event is */
  for (uint32_t i = 0; i < r->derived_cnt; i++) {
    const struct hwgw_order *made = &r->derived[i].event;
    bool is_turn = !(passed >> r->derived[i].venue & 1);
    passed |= (uint32_t)1 << r->derived[i].venue;
    if (!(is_turn || is_own) || made->kind != event->kind || made->ref != event->ref) continue;
    bool is_same = is_own || (made->qty == event->qty && made->px == event->px && made->orig_ref == event->orig_ref &&
                              made->venue_ref == event->venue_ref && made->reason == event->reason);
    return is_same && take(r, i);
  }
  return false;
}

static int32_t told(struct pipeline_restore *r, const struct hwgw_order *event) {
  if (take_recorded(r, event)) return HWGW_OK;
  if (event->kind ==
      HWGW_ORDER_KIND_REJECTED) { /* it never left: taken back by the session, or given back by the pipeline */
    uint32_t venue = *pipeline_venue_of(r->p, event->ref);
    struct hwgw_session *link = r->p->session[venue].link;
    if (link) hwgw_session_orders_withdraw(&link->orders, event->ref);
    int32_t status = derive_follows(r, venue);
    if (status) return status;
    struct hwgw_order own = *event;
    own.reason = 0;
    if (take_recorded(r, &own)) return HWGW_OK;
    if (risk_live(r->p->risk, event->ref)) {
      apply(r, venue, event);
      return HWGW_OK;
    }
  }
  return CONTRADICTS(r, "event %u of order %u is not what the venue's messages say", event->kind, event->ref);
}

/* the session of a number of the run at hand; NULL when there is none now */
static struct hwgw_session *session_of(const struct pipeline_restore *r, uint32_t number) {
  uint32_t venue = number < HWGW_SEGMENT_SESSIONS_MAX ? r->venue[number] : RESTORE_NONE;
  return venue == RESTORE_NONE ? NULL : r->p->session[venue].link;
}

/* ---- orders ---- */

/* has_verdict: else it may have passed, and one that the gate cannot have let pass has not left */
static int32_t ordered(struct pipeline_restore *r, struct hwgw_order *order, uint32_t verdict, bool has_verdict) {
  struct hwgw_pipeline *p = r->p;
  if (order->ref > p->last_ref) p->last_ref = order->ref;
  struct hwgw_risk_strategy *strategy = &p->risk->strategy[order->strategy % HWGW_RISK_STRATEGIES_MAX];
  if (verdict != HWGW_RISK_REASON_PASS) {
    if (strategy->rejects != UINT32_MAX) strategy->rejects++;
    pipeline_rebuild_refused(p, order);
    return HWGW_OK;
  }
  if (order->instrument == RESTORE_NONE)
    return CONTRADICTS(r, "order %u is of an instrument that this gateway does not have any more", order->ref);
  bool is_replace = order->kind == HWGW_ORDER_KIND_REPLACE;
  uint32_t before = is_replace ? *pipeline_executed(p, order->orig_ref) : 0;
  uint32_t px = order->type == HWGW_ORDER_TYPE_MARKET ? order->reason : order->px;
  order->ts_ns = restore_time(order->ts_ns, r->run_clock_offset_ns - r->clock_offset_ns, r->now_ns);
  if (order->ts_ns < r->last_ns) order->ts_ns = r->last_ns; /* nor before the one before it */
  r->last_ns = order->ts_ns;
  if (!pipeline_rebuild_carry(p, order, px))
    return has_verdict ? CONTRADICTS(r, "order %u cannot have passed the gate", order->ref) : HWGW_OK;
  uint64_t then = order->venue_ref >> HWGW_ORDER_VENUE_SHIFT;
  uint32_t venue = then < HWGW_SEGMENT_SESSIONS_MAX ? r->venue[then] : RESTORE_NONE;
  if (venue == RESTORE_NONE)
    return CONTRADICTS(r, "order %u went to a venue that this gateway does not have", order->ref);
  struct hwgw_order wire = *order;
  wire.qty += before;
  wire.venue_ref &= ((uint64_t)1 << HWGW_ORDER_VENUE_SHIFT) - 1;
  struct hwgw_session *link = p->session[venue].link;
  if (link) (void)hwgw_session_restore_order(link, &wire); /* one it refused was given back at once */
  *pipeline_venue_of(p, order->ref) = (uint8_t)venue;
  *pipeline_executed(p, order->ref) = before;
  return HWGW_OK;
}

/* what it did, the venue says: of each order, or after the next login */
static void requested(struct pipeline_restore *r, const struct hwgw_order *request) {
  struct hwgw_session *link = session_of(r, (uint32_t)(request->venue_ref >> HWGW_ORDER_VENUE_SHIFT));
  if (link) hwgw_session_orders_requested(&link->orders, request->kind, request->ref);
  if (request->ref > r->p->last_ref) r->p->last_ref = request->ref;
  r->shot_cnt = 0; /* taken back before, as by an order */
}

/* numbers of the run at hand to those of now */
static void translate(const struct pipeline_restore *r, struct hwgw_order *event) {
  event->instrument = event->instrument < HWGW_RISK_INSTRUMENTS_MAX ? r->instrument[event->instrument] : RESTORE_NONE;
  event->strategy = r->strategy[event->strategy % HWGW_RISK_STRATEGIES_MAX];
}

/* the card, or a rule of it, may have sent the order that it was offered last: without a verdict it is one that left, without an answer */
static int32_t unanswered(struct pipeline_restore *r) {
  struct hwgw_order order = r->offer;
  r->offer.kind = HWGW_ORDER_KIND_NONE;
  if (r->shot_cnt == 1) { /* of several nobody knows which: then the venue's next reference says that there was one */
    r->shot_cnt = 0;
    return ordered(r, &r->shot, HWGW_RISK_REASON_PASS, false);
  }
  return order.kind == HWGW_ORDER_KIND_NONE ? HWGW_OK : ordered(r, &order, HWGW_RISK_REASON_PASS, false);
}

static int32_t offer(struct pipeline_restore *r, const struct hwgw_journal_record *record, const void *payload) {
  if (record->len != sizeof r->offer) return CONTRADICTS(r, "an offer of %u bytes", record->len);
  memcpy(&r->offer, payload, sizeof r->offer);
  translate(r, &r->offer);
  r->shot_cnt = 0; /* taken back before */
  return HWGW_OK;
}

/* what a rule of the card may make from here on; of kind none: nothing any more */
static int32_t shot(struct pipeline_restore *r, const struct hwgw_journal_record *record, const void *payload) {
  struct hwgw_order order;
  if (record->len != sizeof order) return CONTRADICTS(r, "a shot of %u bytes", record->len);
  memcpy(&order, payload, sizeof order);
  if (order.ref > r->p->last_ref) r->p->last_ref = order.ref;
  bool is_one_more = r->shot_cnt && r->shot.ref == order.ref;
  r->shot_cnt = order.kind == HWGW_ORDER_KIND_NONE ? 0 : is_one_more ? r->shot_cnt + 1 : 1;
  translate(r, &order);
  r->shot = order;
  return HWGW_OK;
}

static int32_t gate(struct pipeline_restore *r, const struct hwgw_journal_record *record, const void *payload) {
  struct hwgw_order event;
  if (record->len != sizeof event) return CONTRADICTS(r, "an event of %u bytes", record->len);
  memcpy(&event, payload, sizeof event);
  translate(r, &event);
  switch (event.kind) {
    case HWGW_ORDER_KIND_NEW:
    case HWGW_ORDER_KIND_REPLACE:
      r->offer.kind = HWGW_ORDER_KIND_NONE;
      r->shot_cnt = 0; /* it is that one, or one behind it, for which it was taken back */
      return ordered(r, &event, record->verdict, true);
    case HWGW_ORDER_KIND_ACCEPTED:
    case HWGW_ORDER_KIND_REJECTED:
    case HWGW_ORDER_KIND_CANCELED:
    case HWGW_ORDER_KIND_EXECUTED:
    case HWGW_ORDER_KIND_REPLACED:
    case HWGW_ORDER_KIND_BROKEN:
      return told(r, &event);
    case HWGW_ORDER_KIND_HALT:
      r->halt = event.reason;
      return HWGW_OK;
    case HWGW_ORDER_KIND_RESUME:
      r->halt = 0;
      return HWGW_OK;
    case HWGW_ORDER_KIND_ARM:
    case HWGW_ORDER_KIND_DISARM:
      event.ts_ns = 0;
      if (r->is_started && event.kind == HWGW_ORDER_KIND_ARM) /* else it has begun no new run of executions */
        (void)pipeline_rebuild_event(r->p, &event);
      else
        hwgw_risk_event(r->p->risk, &event, NULL);
      return HWGW_OK;
    case HWGW_ORDER_KIND_MASS_CANCEL:
    case HWGW_ORDER_KIND_DISABLE:
    case HWGW_ORDER_KIND_ENABLE:
      requested(r, &event);
      return HWGW_OK;
    default: /* feed, limits: of their run alone. A cancel changes nothing until the venue says so */
      return HWGW_OK;
  }
}

/* ---- session ---- */

static int32_t login(struct pipeline_restore *r, const struct hwgw_journal_record *record, const void *payload) {
  struct hwgw_journal_login at;
  if (record->len != sizeof at) return CONTRADICTS(r, "a login of %u bytes", record->len);
  memcpy(&at, payload, sizeof at);
  struct hwgw_session *session = session_of(r, at.venue);
  if (!session) return CONTRADICTS(r, "there was an order session %u; now none is configured for it", at.venue);
  bool is_other = memcmp(at.session, session->cfg.requested_session, sizeof at.session) != 0;
  uint32_t unknown_cnt;
  if (session->login && is_other && hwgw_session_orders_open(&session->orders, &unknown_cnt))
    return CONTRADICTS(r, "another session of the venue begins with orders of the last one open");
  bool may_jump = session->protocol->numbers_all;  /* over messages of the session itself; the first begins anew */
  if (may_jump && r->is_replay && !session->login) /* whose it was is not on record, but for this */
    memcpy(session->own_session, at.session, sizeof session->own_session);
  if (may_jump && memcmp(at.session, session->own_session, sizeof at.session) != 0)
    return CONTRADICTS(r, "it was another FIX session: SenderCompID or TargetCompID was not what is configured");
  if (may_jump && at.login == 1 && session->login && session->orders.open_cnt)
    return CONTRADICTS(r, "the numbers of the session begin anew with orders open");
  if (session->login && !is_other && at.seq != session->next_seq &&
      !(may_jump && (at.login == 1 || at.seq > session->next_seq)))
    return CONTRADICTS(r, "a login goes on at message %llu, behind %llu", (unsigned long long)at.seq,
                       (unsigned long long)session->next_seq);
  hwgw_session_restore_login(session, at.session, at.seq, at.login);
  return HWGW_OK;
}

static int32_t message(struct pipeline_restore *r, const struct hwgw_journal_record *record, const uint8_t *payload) {
  struct hwgw_journal_venue head = {.venue = UINT16_MAX};
  memcpy(&head, payload, record->len < sizeof head ? 0 : sizeof head);
  struct hwgw_session *session = session_of(r, head.venue);
  if (record->len < sizeof head || head.len != record->len - sizeof head || !session || !session->login)
    return CONTRADICTS(r, "a message of the venue that cannot be");
  if (session->protocol->numbers_all && head.seq > session->next_seq) session->next_seq = head.seq;
  if (head.seq != session->next_seq)
    return CONTRADICTS(r, "message %llu of the venue where %llu belongs", (unsigned long long)head.seq,
                       (unsigned long long)session->next_seq);
  struct hwgw_order event;
  int32_t status = HWGW_OK;
  if (hwgw_session_restore_message(session, payload + sizeof head, head.len, r->counters, &event))
    status = derive(r, session->number, &event);
  return status ? status : derive_follows(r, session->number);
}

static int32_t number(struct pipeline_restore *r, const struct hwgw_journal_record *record, const void *payload) {
  struct hwgw_journal_number at;
  if (record->len != sizeof at) return CONTRADICTS(r, "a number of %u bytes", record->len);
  memcpy(&at, payload, sizeof at);
  struct hwgw_session *session = session_of(r, at.venue);
  if (!session || !session->protocol->numbers_all || at.seq == UINT32_MAX)
    return CONTRADICTS(r, "a number of a session that has none");
  hwgw_session_restore_number(session, at.seq, at.ref);
  return HWGW_OK;
}

/* a session keeps its place by the name of its venue, so that sessions may be added or change their order */
static int32_t session_named(struct pipeline_restore *r, const struct hwgw_journal_record *record,
                             const void *payload) {
  struct hwgw_journal_session row;
  if (record->len != sizeof row) return CONTRADICTS(r, "a session of %u bytes", record->len);
  memcpy(&row, payload, sizeof row);
  if (row.number >= HWGW_SEGMENT_SESSIONS_MAX) return CONTRADICTS(r, "a session of number %u", row.number);
  r->venue[row.number] = RESTORE_NONE;
  for (uint32_t i = 0; i < r->p->session_cnt; i++)
    if (memcmp(r->p->session[i].row->venue, row.name, sizeof row.name) == 0) r->venue[row.number] = i;
  return HWGW_OK;
}

/* the row of a venue that is halted, or one that is free; NULL: there is none */
static struct hwgw_journal_venue_halt *halt_of(struct pipeline_restore *r, const char *name) {
  struct hwgw_journal_venue_halt *free_row = NULL;
  for (uint32_t i = 0; i < HWGW_SEGMENT_SESSIONS_MAX; i++) {
    struct hwgw_journal_venue_halt *at = &r->venue_halt[i];
    if (at->is_halted && memcmp(at->name, name, sizeof at->name) == 0) return at;
    if (!at->is_halted && !free_row) free_row = at;
  }
  return free_row;
}

/* a person's word about a venue stands until the next, whatever number the venue has */
static int32_t venue_halt(struct pipeline_restore *r, const struct hwgw_journal_record *record, const void *payload) {
  struct hwgw_journal_venue_halt row;
  if (record->len != sizeof row) return CONTRADICTS(r, "a halt of a venue of %u bytes", record->len);
  memcpy(&row, payload, sizeof row);
  struct hwgw_journal_venue_halt *at = halt_of(r, row.name);
  if (!at) return CONTRADICTS(r, "more venues are halted than a gateway has");
  *at = row;
  return HWGW_OK;
}

/* ---- runs ---- */

/* what it had taken in counts, what it had sent without an answer is unknown */
int32_t pipeline_restore_settle(struct pipeline_restore *r) {
  struct hwgw_pipeline *p = r->p;
  int32_t status = unanswered(r);
  if (status) return status;
  while (r->derived_cnt) take(r, 0);
  for (uint32_t i = 0; i < p->session_cnt; i++) hwgw_session_orders_doubt(&p->session[i].link->orders);
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++) { /* passed, and the session would not have it */
    struct hwgw_order order;
    if (!hwgw_risk_order(p->risk, p->risk->slot[i].ref, &order)) continue;
    const struct hwgw_session *link = link_of(r, order.ref);
    if (link && hwgw_session_orders_find(&link->orders, order.ref)) continue;
    order.kind = HWGW_ORDER_KIND_REJECTED;
    apply(r, *pipeline_venue_of(p, order.ref), &order);
  }
  memcpy(r->kept, p->risk->strategy, sizeof r->kept);
  return HWGW_OK;
}

static int32_t opened(struct pipeline_restore *r, const struct hwgw_journal_record *record, const void *payload) {
  struct hwgw_journal_open open;
  if (record->len != sizeof open) return CONTRADICTS(r, "the beginning of a run has %u bytes", record->len);
  memcpy(&open, payload, sizeof open);
  int32_t status = pipeline_restore_settle(r);
  if (status) return status;
  r->next_seq = 0;
  r->shot_cnt = 0; /* of several: the start behind it was told by the venue */
  r->is_started = false;
  r->run_clock_offset_ns = open.clock_offset_ns;
  for (uint32_t i = 0; i < HWGW_RISK_STRATEGIES_MAX; i++) r->strategy[i] = (uint8_t)i;
  for (uint32_t i = 0; i < HWGW_RISK_INSTRUMENTS_MAX; i++) r->instrument[i] = RESTORE_NONE;
  for (uint32_t i = 0; i < HWGW_SEGMENT_SESSIONS_MAX; i++) r->venue[i] = i ? RESTORE_NONE : 0;
  return HWGW_OK;
}

static void symbols(struct pipeline_restore *r, const struct hwgw_journal_record *record, const char *payload) {
  const char *own = hwgw_segment_symbols(r->p->segment);
  for (uint32_t i = 0; i < record->len / 8 && i < HWGW_RISK_INSTRUMENTS_MAX; i++) {
    for (uint32_t now = 0; now < r->p->symbol_cnt && r->instrument[i] == RESTORE_NONE; now++)
      if (memcmp(payload + i * 8, own + now * 8, 8) == 0) r->instrument[i] = now;
  }
}

bool pipeline_restore_strategy(const struct pipeline_restore *r, const char *name, uint8_t *id) {
  for (uint32_t i = 0; i < r->p->strategy_cnt; i++) {
    const struct pipeline_strategy *now = &r->p->strategy[i];
    if (strncmp(name, now->row->name, sizeof now->row->name) != 0) continue;
    *id = (uint8_t)now->id;
    return true;
  }
  return false;
}

/* a strategy keeps its run by its name; one that is gone keeps a number that nobody has, if there is one */
static int32_t strategy(struct pipeline_restore *r, const struct hwgw_journal_record *record, const void *payload) {
  struct hwgw_journal_strategy row;
  if (record->len != sizeof row) return CONTRADICTS(r, "a strategy of %u bytes", record->len);
  memcpy(&row, payload, sizeof row);
  uint8_t *number = &r->strategy[row.id % HWGW_RISK_STRATEGIES_MAX];
  if (pipeline_restore_strategy(r, row.name, number)) return HWGW_OK;
  uint64_t used = 0;
  for (uint32_t i = 0; i < r->p->strategy_cnt; i++) used |= (uint64_t)1 << r->p->strategy[i].id;
  if (used >> *number & 1) *number = risk_nobody(used);
  return HWGW_OK;
}

struct hwgw_journal_restored pipeline_restore_outline(const struct pipeline_restore *r, const uint32_t *venue) {
  const struct hwgw_pipeline *p = r->p;
  struct hwgw_journal_restored now = {.records = r->record_cnt,
                                      .last_ref = p->last_ref,
                                      .open_cnt = p->risk->gateway.open_cnt,
                                      .cash = p->thread->cash,
                                      .open_notional = p->risk->gateway.open_notional};
  for (uint32_t number = 0; number < HWGW_SEGMENT_SESSIONS_MAX; number++) {
    if (venue[number] >= p->session_cnt) continue;
    const struct pipeline_session *session = &p->session[venue[number]];
    const struct hwgw_session *link = session->link;
    if (!link->login) continue;
    uint32_t unknown_cnt;
    (void)hwgw_session_orders_open(&link->orders, &unknown_cnt);
    now.unknown_cnt += unknown_cnt;
    if (number == 0) {
      now.next_seq = link->next_seq;
      memcpy(now.session, link->cfg.requested_session, sizeof now.session);
    } else {
      uint64_t hash = hwgw_fnv(HWGW_FNV_BASIS, session->row->venue, sizeof session->row->venue);
      hash = hwgw_fnv(hash, link->cfg.requested_session, sizeof link->cfg.requested_session);
      now.digest += hwgw_fnv(hash, &link->next_seq, sizeof link->next_seq);
    }
  }
  for (uint32_t i = 0; i < p->symbol_cnt; i++) { /* a sum, so that the order of the symbols does not matter */
    const struct hwgw_risk_instrument *at = &p->risk->instrument[i];
    if (!at->pos) continue;
    uint64_t hash = hwgw_fnv(HWGW_FNV_BASIS, hwgw_segment_symbols(p->segment) + i * 8, 8);
    now.digest += hwgw_fnv(hash, &at->pos, sizeof at->pos);
  }
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++) {
    const struct hwgw_risk_slot *slot = &p->risk->slot[i];
    if (slot->leaves) now.digest += hwgw_fnv(hwgw_fnv(HWGW_FNV_BASIS, &slot->ref, 4), &slot->leaves, 4);
  }
  return now;
}

static int32_t restored(struct pipeline_restore *r, const struct hwgw_journal_record *record, const void *payload) {
  struct hwgw_journal_restored then, now = pipeline_restore_outline(r, r->venue);
  if (record->len != sizeof then) return CONTRADICTS(r, "a restored state of %u bytes", record->len);
  memcpy(&then, payload, sizeof then);
  if (then.next_seq != now.next_seq || then.last_ref != now.last_ref || then.open_cnt != now.open_cnt ||
      then.unknown_cnt != now.unknown_cnt || then.cash != now.cash || then.digest != now.digest)
    return CONTRADICTS(r,
                       "this run began with %u open orders at message %llu and cash %lld, not with %u at %llu and %lld",
                       then.open_cnt, (unsigned long long)then.next_seq, (long long)then.cash, now.open_cnt,
                       (unsigned long long)now.next_seq, (long long)now.cash);
  memcpy(r->p->risk->strategy, r->kept, sizeof r->kept);
  r->is_started = true;
  return HWGW_OK;
}

/* ---- the journal ---- */

static int32_t apply_record(struct pipeline_restore *r, const struct hwgw_journal_record *record, const void *payload) {
  switch (record->type) {
    case HWGW_JOURNAL_RECORD_TYPE_OPEN:
      return opened(r, record, payload);
    case HWGW_JOURNAL_RECORD_TYPE_SYMBOLS:
      symbols(r, record, payload);
      return HWGW_OK;
    default:
      break;
  }
  if (record->thread != r->p->journal.thread) return HWGW_OK;
  if (r->next_seq && record->seq != r->next_seq)
    return CONTRADICTS(r, "number %llu where %llu belongs", (unsigned long long)record->seq,
                       (unsigned long long)r->next_seq);
  r->next_seq = record->seq + 1;
  r->record_cnt++;
  switch (record->type) {
    case HWGW_JOURNAL_RECORD_TYPE_OFFER:
      return offer(r, record, payload);
    case HWGW_JOURNAL_RECORD_TYPE_SHOT:
      return shot(r, record, payload);
    case HWGW_JOURNAL_RECORD_TYPE_GATE:
      return gate(r, record, payload);
    case HWGW_JOURNAL_RECORD_TYPE_LOGIN:
      return login(r, record, payload);
    case HWGW_JOURNAL_RECORD_TYPE_VENUE:
      return message(r, record, payload);
    case HWGW_JOURNAL_RECORD_TYPE_STRATEGY:
      return strategy(r, record, payload);
    case HWGW_JOURNAL_RECORD_TYPE_NUMBER:
      return number(r, record, payload);
    case HWGW_JOURNAL_RECORD_TYPE_SESSION:
      return session_named(r, record, payload);
    case HWGW_JOURNAL_RECORD_TYPE_VENUE_HALT:
      return venue_halt(r, record, payload);
    case HWGW_JOURNAL_RECORD_TYPE_RESTORED:
      return restored(r, record, payload);
    default:
      return HWGW_OK;
  }
}

int32_t pipeline_restore_record(struct pipeline_restore *r, const struct journal_cursor *at) {
  r->block = at->part->block;
  r->index = at->index - 1;
  return apply_record(r, &at->record, at->payload);
}

int32_t pipeline_restore_open(struct pipeline_restore **restore, struct hwgw_pipeline *p, bool is_replay,
                              struct hwgw_error *error) {
  struct pipeline_restore *r = calloc(1, sizeof *r);
  *restore = r;
  if (r) r->derived = malloc(DERIVED_MAX * sizeof *r->derived);
  if (!r || !r->derived) {
    pipeline_restore_close(r);
    *restore = NULL;
    return hwgw_error_set(error, HWGW_ERR_INTERNAL, 0, "no memory to read the journal");
  }
  r->p = p;
  r->error = error;
  r->is_replay = is_replay;
  r->now_ns = is_replay ? INT64_MAX : hwgw_now_ns();
  if (!is_replay) r->clock_offset_ns = (int64_t)(hwgw_realtime_ns() - r->now_ns);
  p->risk->checks = 0; /* what passed passed */
  return HWGW_OK;
}

void pipeline_restore_close(struct pipeline_restore *r) {
  if (!r) return;
  free(r->derived);
  free(r);
}
