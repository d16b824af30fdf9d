/* race.c: see race.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "race.h"

#include <stdlib.h>

#include "state.h"
#include "stream.h"

enum { BURST_MAX = 16, TABLE_WORDS = sizeof(struct hwgw_limits) / 8 };

struct race {
  struct hwgw_risk *c;
  struct hwgw_risk *rtl; /* the state of the Verilated gate, as it was read */
  struct risk_model *model;
  struct hwgw_limits *tables[2]; /* one may be in force, the other is free */
  struct stream stream;
  struct race_counts counts;
  struct hwgw_order burst[BURST_MAX];
  uint8_t want[BURST_MAX];
  char text[512];
};

struct race *race_open(uint64_t seed) {
  struct race *race = calloc(1, sizeof *race);
  race->c =
      aligned_alloc(HWGW_BLOCK_ALIGN, (sizeof *race->c + HWGW_BLOCK_ALIGN - 1) / HWGW_BLOCK_ALIGN * HWGW_BLOCK_ALIGN);
  race->rtl =
      aligned_alloc(HWGW_BLOCK_ALIGN, (sizeof *race->c + HWGW_BLOCK_ALIGN - 1) / HWGW_BLOCK_ALIGN * HWGW_BLOCK_ALIGN);
  hwgw_risk_init(race->c);
  hwgw_risk_init(race->rtl);
  race->model = risk_model_open();
  for (int i = 0; i < 2; i++)
    race->tables[i] = aligned_alloc(
        HWGW_CACHE_LINE, (sizeof(struct hwgw_limits) + HWGW_CACHE_LINE - 1) / HWGW_CACHE_LINE * HWGW_CACHE_LINE);
  stream_init(&race->stream, race->c, seed, race->tables[0]);
  return race;
}

void race_close(struct race *race) {
  if (!race) return;
  risk_model_close(race->model);
  free(race->c);
  free(race->rtl);
  free(race->tables[0]);
  free(race->tables[1]);
  free(race);
}

static int differ(struct race *race, const char *what, uint32_t index) {
  const struct hwgw_order *event = &race->burst[0];
  if (!race->text[0])
    snprintf(race->text, sizeof race->text,
             "%s %u differs at event %lu, of kind %u (first of its burst): ref %u orig_ref %u instrument %u account %u "
             "px %u qty %u",
             what, index, (unsigned long)race->counts.events, event->kind, event->ref, event->orig_ref,
             event->instrument, event->account, event->px, event->qty);
  return -1;
}

/* ---- state ---- */

static int compare_globals(struct race *race) {
  struct hwgw_risk *c = race->c, *rtl = race->rtl;
  rtl->recent_cnt = c->recent_cnt;
  state_globals(race->model, rtl);
  if (c->generation != rtl->generation) return differ(race, "generation", 0);
  if (c->halt != rtl->halt) return differ(race, "halt", rtl->halt);
  if (c->last_ts != rtl->last_ts) return differ(race, "last_ts", 0);
  if (c->last_beat != rtl->last_beat) return differ(race, "last_beat", 0);
  if (c->last_ref != rtl->last_ref) return differ(race, "last_ref", rtl->last_ref);
  if (memcmp(&c->recent, &rtl->recent, sizeof c->recent)) return differ(race, "recent", 0);
  for (uint32_t i = 0; i <= HWGW_RISK_GATEWAY; i++) {
    state_account(race->model, rtl, i);
    if (c->cash[i] != rtl->cash[i]) return differ(race, "cash", i);
  }
  if (memcmp(&c->gateway, &rtl->gateway, sizeof c->gateway)) return differ(race, "gateway", 0);
  if (memcmp(c->account, rtl->account, sizeof c->account)) return differ(race, "account", 0);
  return 0;
}

static int compare_instrument(struct race *race, uint32_t i) {
  if (i >= HWGW_RISK_INSTRUMENTS_MAX) return 0;
  state_instrument(race->model, race->rtl, i);
  if (memcmp(&race->c->instrument[i], &race->rtl->instrument[i], sizeof race->c->instrument[i]) ||
      memcmp(&race->c->holding[i], &race->rtl->holding[i], sizeof race->c->holding[i]))
    return differ(race, "instrument", i);
  return 0;
}

static int compare_strategy(struct race *race, uint32_t i) {
  if (i >= HWGW_RISK_STRATEGIES_MAX) return 0;
  state_strategy(race->model, race->rtl, i);
  return memcmp(&race->c->strategy[i], &race->rtl->strategy[i], sizeof race->c->strategy[i])
             ? differ(race, "strategy", i)
             : 0;
}

static int compare_slot(struct race *race, uint32_t i) {
  state_slot(race->model, race->rtl, i);
  return memcmp(&race->c->slot[i], &race->rtl->slot[i], sizeof race->c->slot[i]) ? differ(race, "slot", i) : 0;
}

/* everything that the event could have touched; where a wrong gate might have written besides, compare_whole looks */
static int compare_touched(struct race *race, const struct hwgw_order *event) {
  uint32_t slot = event->ref & (HWGW_RISK_OPEN_ORDERS_MAX - 1),
           orig = event->orig_ref & (HWGW_RISK_OPEN_ORDERS_MAX - 1);
  if (compare_slot(race, slot) || compare_slot(race, orig)) return -1;
  const struct hwgw_risk_slot *row = &race->c->slot[slot];
  return compare_instrument(race, event->instrument) || compare_instrument(race, row->instrument) ||
                 compare_strategy(race, event->strategy) || compare_strategy(race, row->strategy)
             ? -1
             : 0;
}

static int compare_whole(struct race *race) {
  race->counts.whole++;
  if (compare_globals(race)) return -1;
  for (uint32_t i = 0; i < HWGW_RISK_STRATEGIES_MAX; i++)
    if (compare_strategy(race, i)) return -1;
  for (uint32_t i = 0; i < HWGW_RISK_INSTRUMENTS_MAX; i++)
    if (compare_instrument(race, i)) return -1;
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++)
    if (compare_slot(race, i)) return -1;
  return 0;
}

/* ---- events ---- */

static bool is_order(const struct hwgw_order *event) {
  return event->kind == HWGW_ORDER_KIND_NEW || event->kind == HWGW_ORDER_KIND_REPLACE;
}

/* the C gate's answer to the event that is the burst's next one */
static void ask_c(struct race *race, uint32_t at, struct hwgw_limits *table) {
  const struct hwgw_order *event = &race->burst[at];
  uint32_t answer = hwgw_risk_event(race->c, event, table);
  race->want[at] = (uint8_t)answer;
  (is_order(event) ? race->counts.orders : race->counts.facts)[answer & 31]++;
  race->counts.kinds[event->kind & 31]++;
  if (is_order(event) && !answer) stream_passed(&race->stream, event->ref);
}

static int ask_rtl(struct race *race, uint32_t cnt) {
  uint8_t got[BURST_MAX];
  if (!risk_model_events(race->model, race->burst, cnt, got)) return differ(race, "flow of records", cnt);
  race->counts.events += cnt;
  for (uint32_t i = 0; i < cnt; i++)
    if (got[i] != race->want[i]) {
      race->burst[0] = race->burst[i];
      snprintf(race->text, sizeof race->text, "C says %u. ", race->want[i]);
      char *rest = race->text + strlen(race->text);
      snprintf(rest, sizeof race->text - (size_t)(rest - race->text), "RTL says %u to kind %u, ref %u, event %lu",
               got[i], race->burst[i].kind, race->burst[i].ref, (unsigned long)race->counts.events);
      return -1;
    }
  if (cnt == 1) {
    uint64_t latency = risk_model_latency(race->model);
    uint64_t *min = &race->counts.latency_min[race->burst[0].kind & 31],
             *max = &race->counts.latency_max[race->burst[0].kind & 31];
    if (!*min || latency < *min) *min = latency;
    if (latency > *max) *max = latency;
  }
  race->counts.states++;
  race->counts.cycles = risk_model_cycles(race->model);
  if (compare_globals(race)) return -1;
  for (uint32_t i = 0; i < cnt; i++)
    if (compare_touched(race, &race->burst[i])) return -1;
  return 0;
}

static int alone(struct race *race, struct hwgw_limits *table) {
  if (table) {
    race->counts.tables++;
    risk_model_table(race->model, (const uint64_t *)table, TABLE_WORDS);
  }
  ask_c(race, 0, table);
  return ask_rtl(race, 1);
}

/* the wire is high for a cycle between two events; in C the latch that it sets */
static void pulse_halt(struct race *race) {
  uint32_t reason = (uint8_t)stream_random(&race->stream);
  bool is_reason = reason && reason < HWGW_RISK_REASON_CNT;
  if (!race->c->halt) race->c->halt = is_reason ? reason : HWGW_RISK_REASON_OPERATOR;
  risk_model_halt(race->model, 1, reason);
  risk_model_halt(race->model, 0, reason);
}

int race_run(struct race *race, uint64_t events, uint32_t burst_max, uint32_t tables_per_million, uint64_t whole) {
  struct stream *stream = &race->stream;
  uint64_t end = race->counts.events + events, next_whole = race->counts.events + whole;
  stream->tables_per_million = tables_per_million;
  while (race->counts.events < end) {
    uint32_t want = 1 + (uint32_t)(stream_random(stream) % burst_max), cnt = 0;
    if (want > BURST_MAX) want = BURST_MAX;
    bool has_table = false;
    struct hwgw_order event;
    if (stream->is_wide && stream_random(stream) % 200 == 0) pulse_halt(race);
    while (cnt < want && !(has_table = stream_next(stream, &event))) {
      race->burst[cnt] = event;
      if (event.kind == HWGW_ORDER_KIND_LIMITS && cnt) break; /* without a table: alone, like those with one */
      ask_c(race, cnt++, NULL);
      if (event.kind == HWGW_ORDER_KIND_LIMITS) break;
    }
    if (cnt && ask_rtl(race, cnt)) return -1;
    if (has_table ||
        (cnt < want && event.kind == HWGW_ORDER_KIND_LIMITS && cnt && race->burst[0].kind != HWGW_ORDER_KIND_LIMITS)) {
      race->burst[0] = event;
      struct hwgw_limits *table = has_table ? stream->table : NULL;
      if (alone(race, table)) return -1;
      if (has_table) stream->table = race->tables[stream->table == race->tables[0]]; /* it may be in force */
    }
    if (race->counts.events >= next_whole) {
      next_whole = race->counts.events + whole;
      if (compare_whole(race)) return -1;
    }
  }
  return compare_whole(race);
}

void race_widen(struct race *race) {
  hwgw_risk_init(race->c);
  hwgw_risk_init(race->rtl);
  risk_model_reset(race->model);
  stream_widen(&race->stream);
}

int race_event(struct race *race, const void *event, const void *table) {
  struct hwgw_limits *copy = NULL;
  memcpy(&race->burst[0], event, sizeof race->burst[0]);
  if (table && race->burst[0].kind == HWGW_ORDER_KIND_LIMITS) {
    copy = race->stream.table;
    memcpy(copy, table, sizeof *copy);
    race->stream.table = race->tables[copy == race->tables[0]];
  }
  return alone(race, copy) ? -1 : race->want[0];
}

const struct race_counts *race_counts(const struct race *race) {
  return &race->counts;
}

const char *race_text(const struct race *race) {
  return race->text;
}

struct risk_model *race_model(struct race *race) {
  return race->model;
}

uint32_t race_dump(struct race *race, uint32_t which, char *text, uint32_t sz) {
  if (which) {
    race->rtl->recent_cnt = race->c->recent_cnt;
    state_all(race->model, race->rtl);
  }
  return hwgw_risk_dump(which ? race->rtl : race->c, text, sz);
}
