/* stream.c: see stream.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "stream.h"

#define KIND(name) HWGW_ORDER_KIND_##name
#define BUY HWGW_ORDER_SIDE_BUY
#define SELL HWGW_ORDER_SIDE_SELL
#define PICK(stream, ...) \
  pick(stream, (const uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

#define TS_MAX (UINT64_MAX - (1ull << 50)) /* of what a jump leads to: steps behind it must not wrap */
#define REF_MAX (UINT32_MAX - 200000)      /* likewise */
enum {
  INSTRUMENT_CNT = STREAM_INSTRUMENTS,
  ACCOUNT_CNT = STREAM_ACCOUNTS,
  STRATEGY_CNT = STREAM_STRATEGIES,
  START = 1 + 1 + STRATEGY_CNT + 2 * INSTRUMENT_CNT
};

uint64_t stream_random(struct stream *stream) {
  uint64_t x = stream->rng += 0x9E3779B97F4A7C15u; /* splitmix64 */
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

static uint32_t below(struct stream *stream, uint32_t n) {
  return (uint32_t)((stream_random(stream) >> 32) * n >> 32);
}

/* true in so many of a thousand cases */
static bool chance(struct stream *stream, uint32_t permille) {
  return below(stream, 1000) < permille;
}

static uint64_t pick(struct stream *stream, const uint64_t *of, size_t cnt) {
  return of[below(stream, (uint32_t)cnt)];
}

static uint64_t clamp(int64_t value, int64_t low, int64_t high) {
  return (uint64_t)(value < low ? low : value > high ? high : value);
}

/* a number of 1 to so many bits, each length as likely as any other */
static uint64_t of_bits(struct stream *stream, uint32_t bits) {
  uint32_t more = below(stream, bits);
  return stream_random(stream) >> (63 - more);
}

/* true in so many of a thousand cases, of a wide stream alone */
static bool is_wide(struct stream *stream, uint32_t permille) {
  return stream->is_wide && chance(stream, permille);
}

/* ---- limits ---- */

#define TIGHT(generous, ...) \
  (is_wide(stream, 50) ? of_bits(stream, 64) : chance(stream, 200) ? PICK(stream, __VA_ARGS__) : (uint64_t)(generous))

static void account_limits(struct stream *stream, struct hwgw_limits_account *to,
                           const struct hwgw_risk_account *used) {
  uint64_t credit =
      risk_add_sat(risk_add_sat(used->open_notional, used->filled_notional), PICK(stream, 10000000, 1000000000));
  hwgw_money loss = (used->equity < 0 ? -used->equity : 0) + (hwgw_money)PICK(stream, 10000, 1000000);
  to->credit_max = TIGHT(UINT64_MAX, credit);
  to->loss_max = chance(stream, 333) ? (loss > (hwgw_money)UINT64_MAX ? UINT64_MAX : (uint64_t)loss) : UINT64_MAX;
  to->open_max = (uint32_t)TIGHT(UINT32_MAX, 0, used->open_cnt, used->open_cnt + 3);
  to->rate_burst = (uint32_t)TIGHT(100, 1, 3, UINT32_MAX);
  to->rate_refill_ns = TIGHT(stream->step_ns / 100, 0, 1, stream->step_ns / 10, stream->step_ns, UINT64_MAX);
}

static void instrument_limits(struct stream *stream, struct hwgw_limits_instrument *to,
                              const struct hwgw_risk_instrument *at) {
  to->flags = (uint32_t)TIGHT(1, 0, 3);
  to->restricted_accounts = (uint32_t)TIGHT(0, 1, 1 << 15);
  to->qty_max = (uint32_t)TIGHT(5000, 100, UINT32_MAX);
  to->collar_px_min = (uint32_t)TIGHT(5000, 0, 100, UINT32_MAX);
  to->notional_max = TIGHT(UINT64_MAX, 10000000, 1000000000);
  to->collar_q16 = (uint32_t)TIGHT(6553, 0, 655, 65536, UINT32_MAX);
  to->long_max =
      (int32_t)(int64_t)TIGHT(INT32_MAX, 0, (uint64_t)-5, clamp((int64_t)at->long_worst + 500, INT32_MIN, INT32_MAX));
  to->short_max =
      (int32_t)(int64_t)TIGHT(INT32_MAX, 0, (uint64_t)-5, clamp((int64_t)at->short_worst + 500, INT32_MIN, INT32_MAX));
  to->locate_qty = (uint32_t)TIGHT(UINT32_MAX, 0, clamp((int64_t)at->short_used + 500, 0, UINT32_MAX));
}

/* most limits generous, some around what is in use now, a few absurd; one table in four is not to be taken */
static bool limits(struct stream *stream, struct hwgw_order *event) {
  struct hwgw_limits *table = stream->table;
  const struct hwgw_risk *gate = stream->gate;
  memset(table, 0, sizeof *table);
  if (stream->is_wide) stream->generation = of_bits(stream, 64) & ~1ull;
  table->generation = ++stream->generation;
  table->checks_enabled = stream->is_wide ? (uint32_t)stream_random(stream) | 0x7FFFE : UINT32_MAX;
  uint32_t off = chance(stream, 300) ? 300 : 60;
  for (uint32_t reason = 1; reason < 19; reason++)
    if (chance(stream, off)) table->checks_enabled &= ~(1u << reason);
  table->beat_age_max_ns = TIGHT(UINT64_MAX, 10 * stream->step_ns, 50 * stream->step_ns);
  table->ref_age_max_ns = TIGHT(UINT64_MAX, 10 * stream->step_ns, 50 * stream->step_ns);
  table->dup_window_ns =
      is_wide(stream, 300) ? of_bits(stream, 64) : PICK(stream, 0, stream->step_ns, 10 * stream->step_ns);
  account_limits(stream, &table->gateway, &gate->gateway);
  for (uint32_t i = 0; i < HWGW_RISK_ACCOUNTS_MAX; i++) account_limits(stream, &table->account[i], &gate->account[i]);
  for (uint32_t i = 0; i < HWGW_RISK_STRATEGIES_MAX; i++) {
    table->strategy[i].rate_burst = (uint32_t)TIGHT(100, 1, 3, UINT32_MAX);
    table->strategy[i].rate_refill_ns =
        TIGHT(stream->step_ns / 100, 0, 1, stream->step_ns / 10, stream->step_ns, UINT64_MAX);
    table->strategy[i].fills_max = (uint32_t)TIGHT(UINT32_MAX, 0, 5, 50);
    table->strategy[i].rejects_run_max = (uint32_t)TIGHT(UINT32_MAX, 0, 5, 50);
  }
  instrument_limits(stream, &table->instrument[stream->unpriced], &gate->instrument[stream->unpriced]);
  for (uint32_t i = 0; i < INSTRUMENT_CNT; i++)
    instrument_limits(stream, &table->instrument[stream->instruments[i]], &gate->instrument[stream->instruments[i]]);
  if (stream->is_wide) { /* rows of nobody */
    uint8_t *breakers = (uint8_t *)table->breaker;
    for (size_t i = 0; i < sizeof table->breaker; i++) breakers[i] = (uint8_t)stream_random(stream);
  }
  table->checksum = hwgw_limits_checksum(table);
  event->kind = KIND(LIMITS);
  event->venue_ref = table->generation;
  if (!chance(stream, 250)) return true;
  switch (below(stream, 4)) {
    case 0:
      return false;
    case 1:
      event->venue_ref++;
      return true;
    case 2:
      event->venue_ref = 0;
      if (chance(stream, 500)) {
        table->generation = 0;
        table->checksum = hwgw_limits_checksum(table);
      }
      return true;
    case 3:
      if (stream->is_wide) {
        table->checksum ^= of_bits(stream, 64);
        return true;
      }
      __attribute__((fallthrough));
    default:
      ((uint8_t *)table)[below(stream, sizeof *table)] ^= (uint8_t)(1u << below(stream, 8));
      return true;
  }
}

/* ---- orders ---- */

static uint32_t some_ref(struct stream *stream) {
  const struct hwgw_risk *gate = stream->gate;
  if (chance(stream, 985))
    for (int i = 0; i < 24 && stream->ref_cnt; i++) {
      uint32_t ref = stream->refs[below(stream, stream->ref_cnt < STREAM_REFS ? stream->ref_cnt : STREAM_REFS)];
      const struct hwgw_risk_slot *slot = &gate->slot[ref & (HWGW_RISK_OPEN_ORDERS_MAX - 1)];
      if (slot->ref == ref && slot->leaves) return ref;
    }
  return (uint32_t)PICK(stream, 0, 1, gate->last_ref, gate->last_ref + 1u, UINT32_MAX);
}

static const struct hwgw_risk_slot *slot_of(const struct stream *stream, uint32_t ref) {
  return &stream->gate->slot[ref & (HWGW_RISK_OPEN_ORDERS_MAX - 1)];
}

static uint32_t price(struct stream *stream, uint32_t instrument) {
  const struct hwgw_risk_instrument *at = &stream->gate->instrument[instrument];
  const struct hwgw_limits_instrument *limit = &stream->gate->limits->instrument[instrument];
  int64_t share = (int64_t)((uint64_t)at->ref_px * limit->collar_q16 >> 16);
  int64_t band = share > limit->collar_px_min ? share : limit->collar_px_min;
  int64_t step = (int64_t)PICK(stream, 0, 0, (uint64_t)-1, 1, 50, (uint64_t)-50, (uint64_t)band, (uint64_t)-band,
                               (uint64_t)band + 1, (uint64_t)(-band - 1));
  int64_t px = at->ref_px + step;
  uint32_t which = below(stream, 99);
  if (which >= 85)
    px = which < 90 ? at->own_bid_max : which < 95 ? ~at->own_ask_min_inv : which < 97 ? HWGW_RISK_PX_MAX : 1;
  if (is_wide(stream, 50)) px = (int64_t)of_bits(stream, 31);
  return (uint32_t)clamp(px, 1, HWGW_RISK_PX_MAX);
}

static uint32_t quantity(struct stream *stream, uint32_t instrument, uint32_t side, uint32_t px) {
  const struct hwgw_risk_instrument *at = &stream->gate->instrument[instrument];
  const struct hwgw_limits_instrument *limit = &stream->gate->limits->instrument[instrument];
  int64_t room = side == BUY ? (int64_t)limit->long_max - at->long_worst : (int64_t)limit->short_max - at->short_worst;
  uint64_t of_notional = limit->notional_max / px;
  room = (int64_t)PICK(stream, limit->qty_max, (uint64_t)room, (uint64_t)-(int64_t)at->short_worst,
                       (uint64_t)((int64_t)limit->locate_qty - at->short_used),
                       of_notional > UINT32_MAX ? UINT32_MAX : of_notional);
  uint32_t which = below(stream, 82);
  int64_t qty = which < 10 ? 1 : which < 20 ? 10 : which < 60 ? 100 : which < 70 ? 300 : which < 76 ? room : room + 1;
  if (is_wide(stream, 100)) qty = (int64_t)of_bits(stream, 32);
  return (uint32_t)clamp(qty, 1, UINT32_MAX);
}

/* one field of a record at its edge */
static void edge(struct stream *stream, struct hwgw_order *event) {
  switch (below(stream, 10)) {
    case 0:
      event->side = (uint8_t)PICK(stream, 0, 1, 2, 3, 255);
      break;
    case 1:
      event->type = (uint8_t)PICK(stream, 0, 1, 2, 3, 255);
      break;
    case 2:
      event->tif = (uint8_t)PICK(stream, 0, 1, 2, 3, 255);
      break;
    case 3:
      event->flags = (uint16_t)PICK(stream, 0, 1, 2, 3, 4, 0x8000, 0xFFFF);
      break;
    case 4:
      event->account = (uint8_t)PICK(stream, 15, 16, 255);
      break;
    case 5:
      event->strategy = (uint8_t)PICK(stream, 63, 64, 255);
      break;
    case 6:
      event->instrument = (uint32_t)PICK(stream, 1023, 1024, 0xFFFF, 0x10000, UINT32_MAX);
      break;
    case 7:
      event->qty = (uint32_t)PICK(stream, 0, 1, UINT32_MAX);
      break;
    case 8:
      event->px = (uint32_t)PICK(stream, 0, 1, HWGW_RISK_PX_MAX, HWGW_RISK_PX_MAX + 1u, UINT32_MAX);
      break;
    default:
      event->orig_ref = (uint32_t)PICK(stream, 1, UINT32_MAX);
      break;
  }
}

static void new_order(struct stream *stream, struct hwgw_order *event) {
  const struct hwgw_risk *gate = stream->gate;
  uint32_t instrument = stream->instruments[below(stream, INSTRUMENT_CNT)];
  event->kind = KIND(NEW);
  event->ref = gate->last_ref + (uint32_t)PICK(stream, 1, 1, 1, 2, 50);
  uint32_t jump = is_wide(stream, 20) ? (uint32_t)of_bits(stream, 32) : 0;
  if (event->ref < REF_MAX && jump < REF_MAX - event->ref) event->ref += jump;
  event->instrument = instrument;
  event->account = stream->accounts[below(stream, ACCOUNT_CNT)];
  event->strategy = stream->strategies[below(stream, STRATEGY_CNT)];
  event->side = chance(stream, 500) ? BUY : SELL;
  event->type = HWGW_ORDER_TYPE_LIMIT;
  event->tif = chance(stream, 667) ? HWGW_ORDER_TIF_DAY : HWGW_ORDER_TIF_IOC;
  event->px = price(stream, instrument);
  event->qty = quantity(stream, instrument, event->side, event->px);
  if (event->side == SELL) event->flags = (uint16_t)PICK(stream, 0, 1, 1, 1, 2, 3);
  if (chance(stream, 80)) {
    event->type = HWGW_ORDER_TYPE_MARKET;
    event->px = 0;
  }
  uint32_t k = below(stream, HWGW_RISK_RECENT_MAX);
  if (gate->recent.qty[k] && chance(stream, 100)) {
    uint64_t terms = gate->recent.terms[k];
    event->px = (uint32_t)(terms >> 32);
    event->instrument = (uint32_t)(terms >> 16 & 0xFFFF);
    event->account = (uint8_t)(terms >> 8);
    event->side = (uint8_t)terms;
    event->qty = gate->recent.qty[k];
    event->type = HWGW_ORDER_TYPE_LIMIT;
    event->flags = event->side == SELL;
  }
  if (chance(stream, 50)) {
    uint32_t ref = some_ref(stream);
    if (slot_of(stream, ref)->leaves)
      event->ref = ref + HWGW_RISK_OPEN_ORDERS_MAX * (1 + (gate->last_ref - ref) / HWGW_RISK_OPEN_ORDERS_MAX);
  }
  if (chance(stream, 20))
    event->ref = (uint32_t)PICK(stream, 0, gate->last_ref, gate->last_ref ? gate->last_ref - 1 : 0);
  if (chance(stream, 20)) event->instrument = stream->unpriced;
  if (chance(stream, 30)) edge(stream, event);
}

static void replace(struct stream *stream, struct hwgw_order *event) {
  new_order(stream, event);
  event->kind = KIND(REPLACE);
  event->orig_ref = some_ref(stream);
  if (chance(stream, 950)) {
    const struct hwgw_risk_slot *slot = slot_of(stream, event->orig_ref);
    event->instrument = slot->instrument;
    event->account = slot->account;
    event->side = slot->side;
    event->flags = slot->flags;
  }
  if (chance(stream, 30)) edge(stream, event);
}

/* ---- what the venue says ---- */

static void broken(struct stream *stream, struct hwgw_order *event) {
  event->kind = KIND(BROKEN);
  uint32_t ref =
      stream->ref_cnt ? stream->refs[below(stream, stream->ref_cnt < STREAM_REFS ? stream->ref_cnt : STREAM_REFS)] : 1;
  for (int i = 0; i < 24 && !slot_of(stream, ref)->executed && stream->ref_cnt; i++)
    ref = stream->refs[below(stream, stream->ref_cnt < STREAM_REFS ? stream->ref_cnt : STREAM_REFS)];
  const struct hwgw_risk_slot *slot = slot_of(stream, ref);
  event->ref = ref;
  event->instrument = slot->instrument;
  event->account = slot->account;
  event->side = slot->side ? slot->side : BUY;
  event->px = slot->px ? slot->px : 1;
  event->qty = (uint32_t)PICK(stream, slot->executed, 1, slot->executed / 2 + 1);
  if (!slot->executed && chance(stream, 900)) event->kind = KIND(ACCEPTED);
  if (chance(stream, 100) && ref > HWGW_RISK_OPEN_ORDERS_MAX) { /* its place was taken: nothing is known of it */
    event->ref = ref - HWGW_RISK_OPEN_ORDERS_MAX;
    if (chance(stream, 300)) event->instrument = stream->unpriced;
    if (chance(stream, 300)) event->side = event->side == BUY ? SELL : BUY;
    if (chance(stream, 300)) event->account = (uint8_t)PICK(stream, 15, 16);
    if (chance(stream, 300)) edge(stream, event);
  }
  if (chance(stream, 40)) edge(stream, event);
}

static void venue(struct stream *stream, struct hwgw_order *event) {
  uint32_t ref = some_ref(stream);
  const struct hwgw_risk_slot *slot = slot_of(stream, ref);
  uint32_t which = below(stream, 97);
  event->ref = ref;
  event->orig_ref = chance(stream, 500) ? ref : 0;
  event->qty = (uint32_t)PICK(stream, slot->leaves, slot->leaves, slot->leaves / 2 ? slot->leaves / 2 : 1, 1);
  if (chance(stream, 10)) event->qty = (uint32_t)PICK(stream, 0, slot->leaves + 1u, UINT32_MAX);
  int64_t step = (int64_t)PICK(stream, 0, 0, (uint64_t)-10, 10, 5000, (uint64_t)-5000);
  event->px = (uint32_t)clamp(slot->px + step, 1, HWGW_RISK_PX_MAX);
  if (chance(stream, 5)) event->px = (uint32_t)PICK(stream, 0, HWGW_RISK_PX_MAX, HWGW_RISK_PX_MAX + 1u);
  if (slot->orig_ref && slot_of(stream, slot->orig_ref)->leaves && chance(stream, 500)) {
    event->kind = KIND(REPLACED);
    event->orig_ref = slot->orig_ref;
  } else if (which < 15) {
    event->kind = KIND(ACCEPTED);
  } else if (which < 23) {
    event->kind = KIND(REJECTED);
  } else if (which < 38) {
    event->kind = KIND(CANCELED);
  } else if (which < 88) {
    event->kind = KIND(EXECUTED);
  } else if (which < 96) {
    memset(event, 0, sizeof *event);
    broken(stream, event);
  } else {
    event->kind = KIND(REPLACED);
  }
}

/* ---- what feed and control plane say ---- */

static void reference(struct stream *stream, struct hwgw_order *event) {
  uint32_t instrument = chance(stream, 100) ? 1024 : stream->instruments[below(stream, INSTRUMENT_CNT)];
  int64_t last = instrument < HWGW_RISK_INSTRUMENTS_MAX ? stream->gate->instrument[instrument].ref_px : 0;
  event->kind = KIND(REF);
  event->instrument = instrument;
  event->px = (uint32_t)clamp((last ? last : 100000) + (int64_t)PICK(stream, 0, 10, 200, (uint64_t)-10, (uint64_t)-200),
                              1, HWGW_RISK_PX_MAX);
  if (is_wide(stream, 100)) event->px = (uint32_t)clamp((int64_t)of_bits(stream, 31), 1, HWGW_RISK_PX_MAX);
  if (chance(stream, 20)) event->px = (uint32_t)PICK(stream, 0, HWGW_RISK_PX_MAX + 1u, HWGW_RISK_PX_MAX, 1);
}

static void control(struct stream *stream, struct hwgw_order *event) {
  uint32_t which = below(stream, 96);
  event->strategy = chance(stream, 250) ? 64 : stream->strategies[below(stream, STRATEGY_CNT)];
  event->reason = (uint32_t)PICK(stream, 0, 1, 20, 22, 23, HWGW_RISK_REASON_CNT, UINT32_MAX);
  if (stream->is_wide) event->reason = below(stream, HWGW_RISK_REASON_CNT + 2);
  if (which < 80) {
    event->kind = KIND(FEED);
    event->instrument = chance(stream, 20)   ? UINT32_MAX
                        : chance(stream, 30) ? 1024
                                             : stream->instruments[below(stream, INSTRUMENT_CNT)];
    event->qty = (uint32_t)(chance(stream, 850) ? 1 : PICK(stream, 0, 0, 2));
  } else {
    event->kind = (uint8_t)PICK(stream, KIND(DISARM), KIND(HALT), KIND(RESUME), 0, 18, 255);
  }
}

static void stamp(struct stream *stream, struct hwgw_order *event) {
  stream->ts += PICK(stream, 0, 0, 1, stream->step_ns / 10, stream->step_ns, stream->step_ns * 3);
  uint64_t jump = is_wide(stream, 5) ? of_bits(stream, 64) : 0;
  if (jump < TS_MAX - stream->ts) stream->ts += jump;
  event->ts_ns = stream->ts;
  if (is_wide(stream, 2)) event->ts_ns = stream_random(stream) % (stream->gate->last_ts | 1);
  if (stream->is_wide) { /* what no event, or not this one, is judged by */
    event->t_rx = stream_random(stream);
    event->seq = stream_random(stream);
    if (event->kind != KIND(LIMITS)) event->venue_ref = stream_random(stream);
    if (event->kind != KIND(HALT)) event->reason = (uint32_t)stream_random(stream);
  }
  if (chance(stream, 4)) event->ts_ns = stream->gate->last_ts - PICK(stream, 1, stream->step_ns);
}

static void begin(struct stream *stream) {
  stream->started = stream->ref_cnt = 0;
  if (!stream->is_wide) return;
  stream->ts = of_bits(stream, 63);
  for (uint32_t i = 0; i < STREAM_INSTRUMENTS; i++)
    stream->instruments[i] = below(stream, HWGW_RISK_INSTRUMENTS_MAX / 5) * 5 + i; /* all different */
  stream->unpriced = below(stream, HWGW_RISK_INSTRUMENTS_MAX / 5) * 5 + STREAM_INSTRUMENTS;
  for (uint32_t i = 0; i < STREAM_ACCOUNTS; i++) stream->accounts[i] = (uint8_t)below(stream, HWGW_RISK_ACCOUNTS_MAX);
  for (uint32_t i = 0; i < STREAM_STRATEGIES; i++)
    stream->strategies[i] = (uint8_t)below(stream, HWGW_RISK_STRATEGIES_MAX);
}

void stream_widen(struct stream *stream) {
  stream->is_wide = true;
  begin(stream);
}

void stream_init(struct stream *stream, const struct hwgw_risk *gate, uint64_t seed, struct hwgw_limits *table) {
  *stream = (struct stream){.gate = gate,
                            .rng = seed,
                            .ts = 1000000000,
                            .step_ns = 1000000,
                            .table = table,
                            .tables_per_million = 500,
                            .instruments = {0, 1, 7, 1023},
                            .unpriced = 5,
                            .accounts = {0, 1, 15},
                            .strategies = {0, 1, 63}};
}

void stream_passed(struct stream *stream, uint32_t ref) {
  stream->refs[stream->ref_cnt++ % STREAM_REFS] = ref;
}

/* what brings a gate up from reset */
static bool start(struct stream *stream, struct hwgw_order *event, uint32_t number) {
  if (number == 0) return limits(stream, event);
  if (number == 1) {
    event->kind = KIND(BEAT);
  } else if (number < 2 + STRATEGY_CNT) {
    event->kind = KIND(ARM);
    event->strategy = stream->strategies[number - 2];
  } else {
    uint32_t i = number - 2 - STRATEGY_CNT;
    event->kind = i % 2 ? KIND(REF) : KIND(FEED);
    event->instrument = stream->instruments[i / 2];
    event->qty = 1;
    event->px = 100000;
  }
  return false;
}

bool stream_next(struct stream *stream, struct hwgw_order *event) {
  const struct hwgw_risk *gate = stream->gate;
  bool has_table = false;
  memset(event, 0, sizeof *event);
  if (stream->started < START) {
    has_table = start(stream, event, stream->started++);
  } else if (!gate->generation && chance(stream, 400)) {
    has_table = limits(stream, event);
  } else if (gate->halt && chance(stream, 400)) {
    event->kind = KIND(RESUME);
  } else if (chance(stream, 30)) {
    event->kind = KIND(ARM);
    event->strategy = chance(stream, 250) ? 64 : stream->strategies[below(stream, STRATEGY_CNT)];
  } else if (stream_random(stream) % 1000000 < stream->tables_per_million) {
    has_table = limits(stream, event);
  } else {
    uint32_t which = below(stream, 100);
    if (which < 45) {
      new_order(stream, event);
    } else if (which < 51) {
      replace(stream, event);
    } else if (which < 57) {
      event->kind = KIND(CANCEL);
      event->ref = some_ref(stream);
    } else if (which < 87) {
      venue(stream, event);
    } else if (which < 94) {
      reference(stream, event);
    } else if (which < 98) {
      event->kind = KIND(BEAT);
    } else {
      control(stream, event);
    }
  }
  stamp(stream, event);
  return has_table;
}
