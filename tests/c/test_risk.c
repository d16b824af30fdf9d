/* test_risk.c: the safety of the gate by bounded exhaustive enumeration and by random events, under sanitizers.
 *
 * SPDX-License-Identifier: MIT
 *
 * Claims, after every event of every sequence: a passed order is within the limit in force; exposure, open sums and
 * counts are those of the live orders and the position; nothing but a cancel passes while halted; own prices cover
 * every live order. Exhaustive: every sequence of HWGW_DEPTH (or DEPTH) events of an alphabet of 20 in a world of two
 * instruments, three prices and three quantities on each side.
 * Random: events with any bytes in any field between ordinary ones.
 */
#include <stdlib.h>

#include "risk.h"

#define DEPTH 5
#define RANDOM_CNT 400000
#define INSTRUMENT 3
#define OTHER 4
#define INSTRUMENTS 2 /* from INSTRUMENT on */
#define REFS 8

#define CLAIM(claim)                                                                                       \
  do {                                                                                                     \
    if (!(claim)) {                                                                                        \
      printf("%s:%d: %s (after event %llu)\n", __FILE__, __LINE__, #claim, (unsigned long long)event_cnt); \
      exit(1);                                                                                             \
    }                                                                                                      \
  } while (0)

static _Alignas(128) struct hwgw_risk risk;
static struct hwgw_limits table[3]; /* ordinary; with lower position limits; wide, for random events */
static uint64_t event_cnt;
static uint64_t pass_cnt;
static uint64_t halted_cnt;

static void limits_make(struct hwgw_limits *limits, uint64_t generation, int32_t position_max, uint32_t scale) {
  struct hwgw_limits_account account = {.credit_max = 100000ull * scale * scale * scale,
                                        .loss_max = 1000ull * scale * scale,
                                        .open_max = 3 * scale,
                                        .rate_burst = 4 * scale,
                                        .rate_refill_ns = 2};
  memset(limits, 0, sizeof *limits);
  limits->generation = generation;
  limits->checks_enabled = UINT32_MAX & ~(1u << HWGW_RISK_REASON_DUPLICATE);
  limits->beat_age_max_ns = 1000000;
  limits->ref_age_max_ns = 1000000;
  limits->gateway = account;
  for (uint32_t i = 0; i < HWGW_RISK_ACCOUNTS_MAX; i++) limits->account[i] = account;
  for (uint32_t i = 0; i < HWGW_RISK_STRATEGIES_MAX; i++) {
    limits->strategy[i] = (struct hwgw_limits_strategy){
        .rate_refill_ns = 1, .rate_burst = 9, .fills_max = 100 * scale, .rejects_run_max = 100};
  }
  for (uint32_t i = 0; i < HWGW_RISK_INSTRUMENTS_MAX; i++) {
    limits->instrument[i] = (struct hwgw_limits_instrument){.flags = HWGW_RISK_INSTRUMENT_FLAGS_ENABLED,
                                                            .qty_max = 3,
                                                            .notional_max = 400,
                                                            .collar_px_min = 20,
                                                            .long_max = position_max,
                                                            .short_max = position_max,
                                                            .locate_qty = 6 * scale * scale};
  }
  limits->checksum = hwgw_limits_checksum(limits);
}

static uint32_t say(struct hwgw_order event, const struct hwgw_limits *limits) {
  event_cnt++;
  return hwgw_risk_event(&risk, &event, limits);
}

static void start(const struct hwgw_limits *limits) {
  hwgw_risk_init(&risk);
  say((struct hwgw_order){.kind = HWGW_ORDER_KIND_LIMITS, .ts_ns = 1000, .venue_ref = 1}, limits);
  say((struct hwgw_order){.kind = HWGW_ORDER_KIND_BEAT, .ts_ns = 1000}, NULL);
  say((struct hwgw_order){.kind = HWGW_ORDER_KIND_ARM, .ts_ns = 1000}, NULL);
  say((struct hwgw_order){.kind = HWGW_ORDER_KIND_FEED, .ts_ns = 1000, .instrument = UINT32_MAX, .qty = 1}, NULL);
  for (uint32_t i = INSTRUMENT; i < INSTRUMENT + INSTRUMENTS; i++)
    say((struct hwgw_order){.kind = HWGW_ORDER_KIND_REF, .ts_ns = 1000, .instrument = i, .px = 100}, NULL);
}

/* what the live orders and positions say the sums of an instrument must be */
static void claims_of(uint32_t instrument, uint32_t slot_cnt) {
  const struct hwgw_risk_instrument *at = &risk.instrument[instrument];
  int64_t buys = 0, sells = 0;
  uint32_t buy_cnt = 0, sell_cnt = 0;
  for (uint32_t i = 0; i < slot_cnt; i++) {
    const struct hwgw_risk_slot *slot = &risk.slot[i];
    if (!slot->leaves || slot->instrument != instrument) continue;
    if (slot->side == HWGW_ORDER_SIDE_BUY) {
      buys += slot->leaves;
      buy_cnt++;
      CLAIM(at->own_bid_max >= slot->px);
    } else {
      sells += slot->leaves;
      sell_cnt++;
      CLAIM(~at->own_ask_min_inv <= slot->px);
    }
  }
  CLAIM(at->long_worst == at->pos + buys);
  CLAIM(at->short_worst == -at->pos + sells);
  CLAIM(at->open_buy_cnt == buy_cnt && at->open_sell_cnt == sell_cnt);
  int64_t pos = 0;
  for (uint32_t i = 0; i < HWGW_RISK_ACCOUNTS_MAX; i++) {
    pos += risk.holding[instrument].pos[i];
    CLAIM((risk.holding[instrument].pos[i] != 0) == (risk.holding[instrument].held_mask >> i & 1));
  }
  CLAIM(pos == at->pos);
}

/* the same for both instruments and for the gateway */
static void claims(uint32_t slot_cnt) {
  uint64_t notional = 0;
  uint32_t open_cnt = 0;
  for (uint32_t i = INSTRUMENT; i < INSTRUMENT + INSTRUMENTS; i++) claims_of(i, slot_cnt);
  for (uint32_t i = 0; i < slot_cnt; i++) {
    const struct hwgw_risk_slot *slot = &risk.slot[i];
    open_cnt += slot->leaves != 0;
    notional += (uint64_t)slot->px * slot->leaves;
  }
  CLAIM(risk.gateway.open_cnt == open_cnt && risk.gateway.open_notional == notional);

  uint64_t account_notional = 0;
  hwgw_money equity = 0, cash = 0;
  for (uint32_t i = 0; i < HWGW_RISK_ACCOUNTS_MAX; i++) {
    account_notional += risk.account[i].open_notional;
    equity += risk.account[i].equity;
    cash += risk.cash[i];
  }
  CLAIM(account_notional == notional);
  CLAIM(equity == risk.gateway.equity && cash == risk.cash[HWGW_RISK_GATEWAY]);
}

/* one event, and what must hold for its answer */
static void step(const struct hwgw_order *event, const struct hwgw_limits *limits) {
  bool was_open = risk.halt == 0 && risk.generation != 0;
  uint32_t answer = say(*event, limits);
  bool is_new = event->kind == HWGW_ORDER_KIND_NEW || event->kind == HWGW_ORDER_KIND_REPLACE;
  if (is_new && answer == HWGW_RISK_REASON_PASS) {
    const struct hwgw_risk_instrument *at = &risk.instrument[event->instrument];
    const struct hwgw_limits_instrument *limit = &risk.limits->instrument[event->instrument];
    pass_cnt++;
    CLAIM(was_open);
    CLAIM(event->qty <= limit->qty_max);
    CLAIM((uint64_t)event->px * event->qty <= limit->notional_max);
    CLAIM(event->side != HWGW_ORDER_SIDE_BUY || at->long_worst <= limit->long_max);
    CLAIM(event->side != HWGW_ORDER_SIDE_SELL || at->short_worst <= limit->short_max);
    CLAIM(risk.gateway.open_notional + risk.gateway.filled_notional <= risk.limits->gateway.credit_max);
    CLAIM(risk.gateway.open_cnt <= risk.limits->gateway.open_max);
  }
  halted_cnt += is_new && answer == HWGW_RISK_REASON_HALTED;
}

/* ---- every sequence ---- */

struct saved { /* all that the enumeration's events can touch */
  uint8_t head[offsetof(struct hwgw_risk, gateway)];
  struct hwgw_risk_account gateway, account;
  struct hwgw_risk_strategy strategy;
  struct hwgw_risk_instrument instrument[INSTRUMENTS];
  struct hwgw_risk_holding holding[INSTRUMENTS];
  struct hwgw_risk_slot slot[REFS];
  hwgw_money cash[2];
};

static void save(struct saved *to) {
  memcpy(to->head, &risk, sizeof to->head);
  to->gateway = risk.gateway;
  to->account = risk.account[0];
  to->strategy = risk.strategy[0];
  memcpy(to->instrument, &risk.instrument[INSTRUMENT], sizeof to->instrument);
  memcpy(to->holding, &risk.holding[INSTRUMENT], sizeof to->holding);
  memcpy(to->slot, risk.slot, sizeof to->slot);
  to->cash[0] = risk.cash[0];
  to->cash[1] = risk.cash[HWGW_RISK_GATEWAY];
}

static void restore(const struct saved *from) {
  memcpy(&risk, from->head, sizeof from->head);
  risk.gateway = from->gateway;
  risk.account[0] = from->account;
  risk.strategy[0] = from->strategy;
  memcpy(&risk.instrument[INSTRUMENT], from->instrument, sizeof from->instrument);
  memcpy(&risk.holding[INSTRUMENT], from->holding, sizeof from->holding);
  memcpy(risk.slot, from->slot, sizeof from->slot);
  risk.cash[0] = from->cash[0];
  risk.cash[HWGW_RISK_GATEWAY] = from->cash[1];
}

enum letter {
  BUY_1,
  BUY_3,
  BUY_LOW,
  SELL_1,
  SELL_3,
  SELL_HIGH,
  OTHER_BUY,
  OTHER_SELL,
  REPLACE,
  CANCEL,
  FILL_1,
  FILL_ALL,
  FILL_TOO_MUCH,
  CANCELED_1,
  REJECTED,
  REPLACED,
  BROKEN,
  LOWER,
  RAISE,
  RESUME,
  LETTERS
};

static struct hwgw_order order(uint8_t side, uint32_t qty, uint32_t px) {
  return (struct hwgw_order){.kind = HWGW_ORDER_KIND_NEW,
                             .side = side,
                             .type = HWGW_ORDER_TYPE_LIMIT,
                             .tif = HWGW_ORDER_TIF_DAY,
                             .ref = risk.last_ref + 1,
                             .instrument = INSTRUMENT,
                             .qty = qty,
                             .px = px,
                             .flags = side == HWGW_ORDER_SIDE_SELL ? HWGW_ORDER_FLAGS_SHORT_SALE : 0};
}

/* the newest live order, or slot 0 */
static const struct hwgw_risk_slot *newest(void) {
  for (uint32_t i = REFS; i-- > 1;) {
    if (risk.slot[i].leaves) return &risk.slot[i];
  }
  return &risk.slot[0];
}

static struct hwgw_order about(uint8_t kind, uint32_t qty) {
  return (struct hwgw_order){.kind = kind, .ref = newest()->ref, .qty = qty, .px = 101};
}

static void letter_step(enum letter letter) {
  const struct hwgw_limits *limits = NULL;
  const struct hwgw_risk_slot *slot = newest();
  struct hwgw_order event = {0};
  switch (letter) {
    case BUY_1:
      event = order(HWGW_ORDER_SIDE_BUY, 1, 100);
      break;
    case BUY_3:
      event = order(HWGW_ORDER_SIDE_BUY, 3, 110);
      break;
    case BUY_LOW:
      event = order(HWGW_ORDER_SIDE_BUY, 2, 80);
      break;
    case SELL_1:
      event = order(HWGW_ORDER_SIDE_SELL, 1, 100);
      break;
    case SELL_3:
      event = order(HWGW_ORDER_SIDE_SELL, 3, 90);
      break;
    case SELL_HIGH:
      event = order(HWGW_ORDER_SIDE_SELL, 2, 120);
      break;
    case OTHER_BUY:
      event = order(HWGW_ORDER_SIDE_BUY, 2, 100);
      event.instrument = OTHER;
      break;
    case OTHER_SELL:
      event = order(HWGW_ORDER_SIDE_SELL, 2, 100);
      event.instrument = OTHER;
      break;
    case REPLACE:
      event = order(slot->side, 2, slot->px);
      event.kind = HWGW_ORDER_KIND_REPLACE;
      event.instrument = slot->instrument;
      event.orig_ref = slot->ref;
      break;
    case CANCEL:
      event = about(HWGW_ORDER_KIND_CANCEL, 0);
      break;
    case FILL_1:
      event = about(HWGW_ORDER_KIND_EXECUTED, 1);
      break;
    case FILL_ALL:
      event = about(HWGW_ORDER_KIND_EXECUTED, slot->leaves);
      break;
    case FILL_TOO_MUCH:
      event = about(HWGW_ORDER_KIND_EXECUTED, slot->leaves + 1);
      break;
    case CANCELED_1:
      event = about(HWGW_ORDER_KIND_CANCELED, 1);
      break;
    case REJECTED:
      event = about(HWGW_ORDER_KIND_REJECTED, 0);
      break;
    case REPLACED:
      event = about(HWGW_ORDER_KIND_REPLACED, 1);
      event.orig_ref = slot->orig_ref;
      break;
    case BROKEN:
      event = (struct hwgw_order){.kind = HWGW_ORDER_KIND_BROKEN,
                                  .ref = 1,
                                  .qty = 1,
                                  .px = 99,
                                  .instrument = risk.slot[1].instrument,
                                  .side = risk.slot[1].side};
      break;
    case LOWER:
    case RAISE:
      limits = &table[letter == LOWER];
      event = (struct hwgw_order){
          .kind = HWGW_ORDER_KIND_HALT}; /* the table is swapped below: hashing it is not the claim */
      risk.limits = limits;
      risk.generation = limits->generation;
      return;
    case RESUME:
      event = (struct hwgw_order){.kind = HWGW_ORDER_KIND_RESUME};
      break;
    case LETTERS:
      return;
  }
  event.ts_ns = risk.last_ts + 1;
  step(&event, limits);
}

static uint64_t enumerate(uint32_t depth) {
  if (!depth) return 1;
  uint64_t cnt = 0;
  struct saved before;
  save(&before);
  for (uint32_t letter = 0; letter < LETTERS; letter++) {
    letter_step((enum letter)letter);
    claims(REFS);
    cnt += enumerate(depth - 1);
    restore(&before);
  }
  return cnt;
}

/* ---- random events ---- */

static uint64_t random_state;

static uint64_t random_u64(void) { /* splitmix64 */
  uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static uint32_t below(uint32_t end) {
  return (uint32_t)(random_u64() % end);
}

static uint64_t hostile(void) {
  static const uint64_t value[] = {
      0,         1,          2,         3, 15, 16, 63, 64, 1023, 1024, HWGW_RISK_PX_MAX, HWGW_RISK_PX_MAX + 1,
      INT32_MAX, UINT32_MAX, UINT64_MAX};
  return below(2) ? value[below(sizeof value / sizeof *value)] : random_u64();
}

/* how far behind the newest ref a live order is, or somewhere */
static uint32_t random_live(void) {
  uint32_t back = 0;
  for (uint32_t i = 0; i < 32; i++) {
    back = below(256);
    uint32_t ref = risk.last_ref - back;
    if (ref <= risk.last_ref && risk.slot[ref % HWGW_RISK_OPEN_ORDERS_MAX].leaves) break;
  }
  return back + 1;
}

static void random_event(struct hwgw_order *event) {
  uint32_t live = random_live();
  *event = order(below(2) ? HWGW_ORDER_SIDE_BUY : HWGW_ORDER_SIDE_SELL, 1 + below(3), 80 + below(41));
  event->kind = (uint8_t)(below(3) ? HWGW_ORDER_KIND_NEW : 1 + below(17));
  event->account = (uint8_t)below(2);
  if (event->kind >= HWGW_ORDER_KIND_CANCEL && event->kind <= HWGW_ORDER_KIND_BROKEN) event->ref -= live;
  if (event->kind == HWGW_ORDER_KIND_REPLACE) event->orig_ref = event->ref - live;
  event->ts_ns = risk.last_ts + below(4);
  if (below(20)) return;
  switch (below(12)) {
    case 0:
      event->kind = (uint8_t)hostile();
      break;
    case 1:
      event->side = (uint8_t)hostile();
      break;
    case 2:
      event->type = (uint8_t)hostile();
      break;
    case 3:
      event->tif = (uint8_t)hostile();
      break;
    case 4:
      event->flags = (uint16_t)hostile();
      break;
    case 5:
      event->account = (uint8_t)hostile();
      break;
    case 6:
      event->strategy = (uint8_t)hostile();
      break;
    case 7:
      event->ref = below(100) ? event->ref : (uint32_t)hostile();
      break;
    case 8:
      event->orig_ref = (uint32_t)hostile();
      break;
    case 9:
      event->instrument = (uint32_t)hostile();
      break;
    case 10:
      event->px = (uint32_t)hostile();
      break;
    default:
      event->qty = (uint32_t)hostile();
      break;
  }
}

static void random_run(void) {
  start(&table[2]);
  for (uint32_t i = 0; i < RANDOM_CNT; i++) {
    struct hwgw_order event;
    random_event(&event);
    if (event.kind == HWGW_ORDER_KIND_LIMITS) continue; /* hashed in test_risk_contract.py; too slow here */
    if (event.kind == HWGW_ORDER_KIND_BEAT) event.ts_ns = risk.last_ts;
    step(&event, NULL);
    if (risk.halt && !below(3)) step(&(struct hwgw_order){.kind = HWGW_ORDER_KIND_RESUME, .ts_ns = risk.last_ts}, NULL);
    if (!risk.strategy[0].is_armed)
      step(&(struct hwgw_order){.kind = HWGW_ORDER_KIND_ARM, .ts_ns = risk.last_ts}, NULL);
    if (i % 64 == 0) claims(HWGW_RISK_OPEN_ORDERS_MAX);
    if (i % 50000 == 49999) start(&table[2]);
  }
}

int main(void) {
  const char *seed = getenv("HWGW_SEED");
  random_state = seed ? strtoull(seed, NULL, 10) : 1;
  limits_make(&table[0], 1, 5, 1);
  limits_make(&table[1], 2, 2, 1);
  limits_make(&table[2], 1, 500, 100);

  const char *wanted = getenv("HWGW_DEPTH");
  uint32_t depth = wanted ? (uint32_t)strtoul(wanted, NULL, 10) : DEPTH;
  CLAIM(depth > 0 && depth < REFS); /* a slot for each order of a sequence */
  start(&table[0]);
  uint64_t sequences = enumerate(depth);
  uint64_t expected = 1;
  for (uint32_t i = 0; i < depth; i++) expected *= LETTERS;
  CLAIM(sequences == expected);
  printf("exhaustive: %llu sequences of %u, %llu events, %llu passed, %llu refused as halted\n",
         (unsigned long long)sequences, depth, (unsigned long long)event_cnt, (unsigned long long)pass_cnt,
         (unsigned long long)halted_cnt);
  CLAIM(pass_cnt > sequences / 20 && halted_cnt > sequences / 2000);

  uint64_t passed_before = pass_cnt;
  random_run();
  printf("random: %d events, %llu passed, seed %s\n", RANDOM_CNT, (unsigned long long)(pass_cnt - passed_before),
         seed ? seed : "1");
  CLAIM(pass_cnt - passed_before > RANDOM_CNT / 100);

  static char text[1 << 20];
  uint32_t len = hwgw_risk_dump(&risk, text, sizeof text);
  CLAIM(len > 1000);
  for (uint32_t sz = 0; sz < 200; sz++) CLAIM(hwgw_risk_dump(&risk, text, sz) <= sz);
  return 0;
}
