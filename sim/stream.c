/* stream.c: seeded ITCH 5.0 streams with realistic order life cycles; see stream.h.
 *
 * SPDX-License-Identifier: MIT
 *
 * Each symbol owns a window of WINDOW prices one cent apart and walks a fair price inside it. A buy is put at a
 * geometric distance below, a sell above, never past the best of the other side: so one price has orders of one side at
 * a time and a symbol needs one FIFO per price and a bit map per side. Executions take the first order of the best
 * price. Deletes and replaces pick a recent order in three of four cases, else any live one, which gives short and long
 * lives. Whether an order is added or deleted follows how far the number of live orders is from its target.
 */
#include "stream.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hwgw_wire.h" /* generated */

#define WINDOW 256u /* prices per symbol */
#define WORDS (WINDOW / 64)
#define FAIR_MIN 64u
#define FAIR_MAX (WINDOW - 64u)
#define TICK_PX 100u /* one cent */
#define RECENT 4096u /* a power of two */
#define LIVE_MAX (1u << 24)
#define RECORD_MAX (ITCH50_BINARYFILE_LENGTH_SZ + 50u) /* the longest message has 50 bytes */
#define START_NS 34200000000000u                       /* 09:30 */

enum { BUY = 0, SELL = 1 };

struct order {
  uint64_t ref;
  uint32_t qty;
  uint32_t prev;
  uint32_t next;
  uint32_t place; /* in the list of live orders */
  uint16_t symbol;
  uint8_t tick;
  uint8_t side;
};

struct queue {
  uint32_t head;
  uint32_t tail;
};

struct symbol {
  uint64_t used[2][WORDS]; /* prices that have orders */
  struct queue queue[WINDOW];
  uint32_t base_px; /* price of tick 0 */
  uint32_t fair;
};

struct hwgw_sim_stream {
  struct hwgw_sim_stream_cfg cfg;
  uint64_t random[4];
  uint64_t ref;
  uint64_t match;
  uint64_t ns;
  uint64_t sent;
  uint32_t free;
  uint32_t used;
  uint32_t live_cnt;
  uint32_t recent_cnt;
  struct order *orders; /* 1 to live_max + slack; 0 is none */
  uint32_t *live;
  uint32_t recent[RECENT];
  struct symbol *symbols;
  uint32_t *alias; /* popularity: alias method over 2 words per symbol */
  uint8_t *cursor; /* where the next record goes */
};

/* ---- random numbers: xoshiro256**, seeded by splitmix64 ---- */

static uint64_t rotate(uint64_t value, unsigned by) {
  return value << by | value >> (64 - by);
}

static uint64_t draw(struct hwgw_sim_stream *s) {
  uint64_t *r = s->random;
  uint64_t result = rotate(r[1] * 5, 7) * 9, shifted = r[1] << 17;
  r[2] ^= r[0];
  r[3] ^= r[1];
  r[1] ^= r[2];
  r[0] ^= r[3];
  r[2] ^= shifted;
  r[3] = rotate(r[3], 45);
  return result;
}

/* 0 to below - 1 */
static uint32_t draw_below(struct hwgw_sim_stream *s, uint32_t below) {
  return (uint32_t)((draw(s) >> 32) * below >> 32);
}

static void seed_set(struct hwgw_sim_stream *s, uint64_t seed) {
  for (unsigned i = 0; i < 4; i++) {
    uint64_t z = seed += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    s->random[i] = z ^ z >> 31;
  }
}

/* Zipf weights 1 / (rank + 8) by Vose's alias method, in integers so that every machine draws the same */
static bool alias_make(struct hwgw_sim_stream *s) {
  uint32_t n = s->cfg.symbol_cnt, small_cnt = 0, large_cnt = 0;
  uint64_t *share = malloc(n * sizeof *share);
  uint32_t *todo = malloc(2 * (size_t)n * sizeof *todo);
  s->alias = malloc(2 * (size_t)n * sizeof *s->alias);
  bool is_made = share && todo && s->alias;
  uint64_t sum = 0;
  for (uint32_t i = 0; is_made && i < n; i++) sum += share[i] = (UINT64_C(1) << 40) / (i + 8);
  for (uint32_t i = 0; is_made && i < n; i++) {
    share[i] = (uint64_t)((unsigned __int128)share[i] * n * (UINT64_C(1) << 32) / sum); /* 2^32 is an even share */
    if (share[i] < UINT64_C(1) << 32)
      todo[small_cnt++] = i;
    else
      todo[2 * n - ++large_cnt] = i;
    s->alias[2 * i] = UINT32_MAX;
    s->alias[2 * i + 1] = i;
  }
  while (is_made && small_cnt && large_cnt) {
    uint32_t few = todo[--small_cnt], many = todo[2 * n - large_cnt];
    s->alias[2 * few] = (uint32_t)share[few];
    s->alias[2 * few + 1] = many;
    share[many] -= (UINT64_C(1) << 32) - share[few];
    if (share[many] < UINT64_C(1) << 32) {
      large_cnt--;
      todo[small_cnt++] = many;
    }
  }
  free(todo);
  free(share);
  return is_made;
}

static uint32_t draw_symbol(struct hwgw_sim_stream *s) {
  uint64_t r = draw(s);
  uint32_t i = (uint32_t)((r >> 32) * s->cfg.symbol_cnt >> 32);
  return (uint32_t)r < s->alias[2 * i] ? i : s->alias[2 * i + 1];
}

/* ---- orders and prices ---- */

/* best tick of a side, or WINDOW when it is empty */
static uint32_t best_tick(const struct symbol *symbol, uint32_t side) {
  const uint64_t *used = symbol->used[side];
  if (side == BUY) {
    for (uint32_t i = WORDS; i-- > 0;)
      if (used[i]) return i * 64 + 63 - (uint32_t)__builtin_clzll(used[i]);
  } else {
    for (uint32_t i = 0; i < WORDS; i++)
      if (used[i]) return i * 64 + (uint32_t)__builtin_ctzll(used[i]);
  }
  return WINDOW;
}

/* where a new order of this side goes */
static uint8_t draw_tick(struct hwgw_sim_stream *s, struct symbol *symbol, uint32_t side) {
  uint64_t r = draw(s);
  if ((r & 63) == 0) { /* the fair price walks */
    symbol->fair += r & 64 ? 1u : UINT32_MAX;
    if (symbol->fair < FAIR_MIN) symbol->fair = FAIR_MIN;
    if (symbol->fair > FAIR_MAX) symbol->fair = FAIR_MAX;
  }
  /* geometric with mean 3, and one in eight spread over the window */
  uint32_t distance = (uint32_t)__builtin_ctzll(r >> 8 | UINT64_C(1) << 40) * 3 / 2 + (uint32_t)(r >> 60 & 1);
  if ((r >> 56 & 7) == 0) distance = (uint32_t)(r >> 48 & 0xFF) * 60 / 256;
  uint32_t other = best_tick(symbol, side ^ 1);
  if (side == BUY) {
    uint32_t tick = symbol->fair - distance;
    return (uint8_t)(other != WINDOW && tick >= other ? other - 1 : tick);
  }
  uint32_t tick = symbol->fair + 1 + distance;
  return (uint8_t)(other != WINDOW && tick <= other ? other + 1 : tick);
}

static uint32_t draw_qty(struct hwgw_sim_stream *s) {
  uint64_t r = draw(s);
  return r & 3 ? 100 * (1 + (uint32_t)__builtin_ctzll(r >> 8 | UINT64_C(1) << 30)) : 1 + (uint32_t)(r >> 40 & 0x3FF);
}

static void enqueue(struct hwgw_sim_stream *s, uint32_t number) {
  struct order *order = &s->orders[number];
  struct symbol *symbol = &s->symbols[order->symbol];
  struct queue *queue = &symbol->queue[order->tick];
  order->prev = queue->tail;
  order->next = 0;
  if (queue->tail)
    s->orders[queue->tail].next = number;
  else
    queue->head = number;
  queue->tail = number;
  symbol->used[order->side][order->tick / 64] |= UINT64_C(1) << order->tick % 64;
}

static void dequeue(struct hwgw_sim_stream *s, uint32_t number) {
  struct order *order = &s->orders[number];
  struct symbol *symbol = &s->symbols[order->symbol];
  struct queue *queue = &symbol->queue[order->tick];
  if (order->prev)
    s->orders[order->prev].next = order->next;
  else
    queue->head = order->next;
  if (order->next)
    s->orders[order->next].prev = order->prev;
  else
    queue->tail = order->prev;
  if (!queue->head) symbol->used[order->side][order->tick / 64] &= ~(UINT64_C(1) << order->tick % 64);
}

static void order_end(struct hwgw_sim_stream *s, uint32_t number) {
  struct order *order = &s->orders[number];
  dequeue(s, number);
  uint32_t last = s->live[--s->live_cnt];
  s->live[order->place] = last;
  s->orders[last].place = order->place;
  order->ref = 0;
  order->next = s->free;
  s->free = number;
}

/* a live order: a recent one in three of four cases */
static uint32_t draw_order(struct hwgw_sim_stream *s) {
  uint64_t r = draw(s);
  uint32_t number = s->recent[(r >> 2) % RECENT];
  if (r & 3 && number && s->orders[number].ref) return number;
  return s->live[(uint32_t)((r >> 32) * s->live_cnt >> 32)];
}

/* ---- messages ---- */

/* a zeroed record of this type with the common header; returns the message */
static uint8_t *message_begin(struct hwgw_sim_stream *s, char type, uint32_t len, uint32_t locate) {
  uint8_t *message = s->cursor + ITCH50_BINARYFILE_LENGTH_SZ;
  hwgw_put_be16(s->cursor, (uint16_t)len);
  memset(message, 0, len);
  s->ns += 1 + (draw(s) >> 52);
  itch50_message_header_message_type_set(message, type);
  itch50_message_header_stock_locate_set(message, (uint16_t)locate);
  itch50_message_header_timestamp_set(message, s->ns);
  s->cursor += ITCH50_BINARYFILE_LENGTH_SZ + len;
  s->sent++;
  return message;
}

/* name of a symbol, 8 bytes */
static const uint8_t *symbol_name(uint32_t symbol_idx, char text[static 12]) {
  snprintf(text, 12, "S%07u", symbol_idx + 1);
  return (const uint8_t *)text;
}

static uint32_t px_of(const struct hwgw_sim_stream *s, const struct order *order) {
  return s->symbols[order->symbol].base_px + TICK_PX * order->tick;
}

static char side_code(uint32_t side) {
  return side == BUY ? ITCH50_SIDE_BUY : ITCH50_SIDE_SELL;
}

static void send_directory(struct hwgw_sim_stream *s, uint32_t symbol_idx) {
  char name[12];
  uint8_t *m = message_begin(s, ITCH50_STOCK_DIRECTORY_CODE, ITCH50_STOCK_DIRECTORY_LEN, symbol_idx + 1);
  memset(m + ITCH50_MESSAGE_HEADER_LEN, ' ', ITCH50_STOCK_DIRECTORY_LEN - ITCH50_MESSAGE_HEADER_LEN);
  itch50_stock_directory_stock_set(m, symbol_name(symbol_idx, name));
  itch50_stock_directory_market_category_set(m, 'Q');
  itch50_stock_directory_financial_status_set(m, 'N');
  itch50_stock_directory_round_lot_size_set(m, 100);
  itch50_stock_directory_round_lots_only_set(m, 'N');
  itch50_stock_directory_issue_classification_set(m, 'C');
  itch50_stock_directory_authenticity_set(m, 'P');
  itch50_stock_directory_ipo_flag_set(m, 'N');
  itch50_stock_directory_luld_reference_price_tier_set(m, '1');
  itch50_stock_directory_etp_flag_set(m, 'N');
  itch50_stock_directory_etp_leverage_factor_set(m, 0);
  itch50_stock_directory_inverse_indicator_set(m, 'N');
}

static void send_trading(struct hwgw_sim_stream *s, uint32_t symbol_idx) {
  char name[12];
  uint8_t *m = message_begin(s, ITCH50_STOCK_TRADING_ACTION_CODE, ITCH50_STOCK_TRADING_ACTION_LEN, symbol_idx + 1);
  memset(m + ITCH50_MESSAGE_HEADER_LEN, ' ', ITCH50_STOCK_TRADING_ACTION_LEN - ITCH50_MESSAGE_HEADER_LEN);
  itch50_stock_trading_action_stock_set(m, symbol_name(symbol_idx, name));
  itch50_stock_trading_action_trading_state_set(m, ITCH50_TRADING_STATE_TRADING);
}

static void send_add(struct hwgw_sim_stream *s, bool has_mpid) {
  uint32_t symbol_idx = draw_symbol(s);
  struct symbol *symbol = &s->symbols[symbol_idx];
  uint32_t number = s->free;
  if (number)
    s->free = s->orders[number].next;
  else
    number = ++s->used;
  struct order *order = &s->orders[number];
  uint32_t side = (uint32_t)(draw(s) & 1);
  order->ref = ++s->ref;
  order->qty = draw_qty(s);
  order->place = s->live_cnt;
  order->symbol = (uint16_t)symbol_idx;
  order->tick = draw_tick(s, symbol, side);
  order->side = (uint8_t)side;
  s->live[s->live_cnt++] = number;
  s->recent[s->recent_cnt++ % RECENT] = number;
  enqueue(s, number);
  char name[12];
  uint8_t *m = has_mpid ? message_begin(s, ITCH50_ADD_ORDER_MPID_CODE, ITCH50_ADD_ORDER_MPID_LEN, symbol_idx + 1)
                        : message_begin(s, ITCH50_ADD_ORDER_CODE, ITCH50_ADD_ORDER_LEN, symbol_idx + 1);
  /* both types are the same up to the attribution */
  itch50_add_order_order_reference_number_set(m, order->ref);
  itch50_add_order_side_set(m, side_code(side));
  itch50_add_order_shares_set(m, order->qty);
  itch50_add_order_stock_set(m, symbol_name(symbol_idx, name));
  itch50_add_order_price_set(m, px_of(s, order));
  if (has_mpid) itch50_add_order_mpid_attribution_set(m, (const uint8_t *)"HWGW");
}

static void send_delete(struct hwgw_sim_stream *s) {
  uint32_t number = draw_order(s);
  const struct order *order = &s->orders[number];
  uint8_t *m = message_begin(s, ITCH50_ORDER_DELETE_CODE, ITCH50_ORDER_DELETE_LEN, order->symbol + 1u);
  itch50_order_delete_order_reference_number_set(m, order->ref);
  order_end(s, number);
}

static void send_replace(struct hwgw_sim_stream *s) {
  uint32_t number = draw_order(s);
  struct order *order = &s->orders[number];
  uint8_t *m = message_begin(s, ITCH50_ORDER_REPLACE_CODE, ITCH50_ORDER_REPLACE_LEN, order->symbol + 1u);
  itch50_order_replace_original_order_reference_number_set(m, order->ref);
  dequeue(s, number);
  order->ref = ++s->ref;
  order->qty = draw_qty(s);
  order->tick = draw_tick(s, &s->symbols[order->symbol], order->side);
  enqueue(s, number);
  itch50_order_replace_new_order_reference_number_set(m, order->ref);
  itch50_order_replace_shares_set(m, order->qty);
  itch50_order_replace_price_set(m, px_of(s, order));
}

static void send_cancel(struct hwgw_sim_stream *s) {
  uint32_t number = draw_order(s);
  struct order *order = &s->orders[number];
  uint32_t qty = 1 + draw_below(s, order->qty);
  uint8_t *m = message_begin(s, ITCH50_ORDER_CANCEL_CODE, ITCH50_ORDER_CANCEL_LEN, order->symbol + 1u);
  itch50_order_cancel_order_reference_number_set(m, order->ref);
  itch50_order_cancel_cancelled_shares_set(m, qty);
  order->qty -= qty;
  if (!order->qty) order_end(s, number);
}

/* an execution of the first order at the best price of the symbol of some live order */
static void send_execute(struct hwgw_sim_stream *s, bool has_price) {
  const struct order *any = &s->orders[draw_order(s)];
  const struct symbol *symbol = &s->symbols[any->symbol];
  uint32_t number = symbol->queue[best_tick(symbol, any->side)].head;
  struct order *order = &s->orders[number];
  uint32_t qty = draw(s) & 1 ? order->qty : 1 + draw_below(s, order->qty);
  uint32_t locate = order->symbol + 1u;
  uint8_t *m;
  if (has_price) {
    m = message_begin(s, ITCH50_ORDER_EXECUTED_WITH_PRICE_CODE, ITCH50_ORDER_EXECUTED_WITH_PRICE_LEN, locate);
    itch50_order_executed_with_price_printable_set(m, draw(s) & 1 ? ITCH50_YES_NO_YES : ITCH50_YES_NO_NO);
    itch50_order_executed_with_price_execution_price_set(m, px_of(s, order) + (order->side == BUY ? 50u : 0u));
  } else {
    m = message_begin(s, ITCH50_ORDER_EXECUTED_CODE, ITCH50_ORDER_EXECUTED_LEN, locate);
  }
  /* both types are the same up to the match number */
  itch50_order_executed_order_reference_number_set(m, order->ref);
  itch50_order_executed_executed_shares_set(m, qty);
  itch50_order_executed_match_number_set(m, ++s->match);
  order->qty -= qty;
  if (!order->qty) order_end(s, number);
}

static void send_trade(struct hwgw_sim_stream *s) {
  uint32_t symbol_idx = draw_symbol(s);
  const struct symbol *symbol = &s->symbols[symbol_idx];
  char name[12];
  uint8_t *m = message_begin(s, ITCH50_TRADE_NON_CROSS_CODE, ITCH50_TRADE_NON_CROSS_LEN, symbol_idx + 1);
  itch50_trade_non_cross_side_set(m, ITCH50_SIDE_BUY);
  itch50_trade_non_cross_shares_set(m, draw_qty(s));
  itch50_trade_non_cross_stock_set(m, symbol_name(symbol_idx, name));
  itch50_trade_non_cross_price_set(m, symbol->base_px + TICK_PX * symbol->fair);
  itch50_trade_non_cross_match_number_set(m, ++s->match);
}

static void send_noii(struct hwgw_sim_stream *s) {
  uint32_t symbol_idx = draw_symbol(s);
  const struct symbol *symbol = &s->symbols[symbol_idx];
  uint32_t px = symbol->base_px + TICK_PX * symbol->fair;
  char name[12];
  uint8_t *m = message_begin(s, ITCH50_NOII_CODE, ITCH50_NOII_LEN, symbol_idx + 1);
  itch50_noii_paired_shares_set(m, draw_qty(s));
  itch50_noii_imbalance_shares_set(m, draw_qty(s));
  itch50_noii_imbalance_direction_set(m, 'B');
  itch50_noii_stock_set(m, symbol_name(symbol_idx, name));
  itch50_noii_far_price_set(m, px);
  itch50_noii_near_price_set(m, px);
  itch50_noii_current_reference_price_set(m, px);
  itch50_noii_cross_type_set(m, 'O');
  itch50_noii_price_variation_indicator_set(m, 'L');
}

/* the messages before the first order: system events, then R and H of every symbol, then the start of market hours */
static void send_opening(struct hwgw_sim_stream *s) {
  static const char first[] = {'O', 'S'};
  uint64_t symbols_end = sizeof first + 2 * (uint64_t)s->cfg.symbol_cnt;
  if (s->sent >= sizeof first && s->sent < symbols_end) {
    uint32_t symbol_idx = (uint32_t)((s->sent - sizeof first) / 2);
    if (s->sent % 2 == 0)
      send_directory(s, symbol_idx);
    else
      send_trading(s, symbol_idx);
    return;
  }
  char code = s->sent < sizeof first ? first[s->sent] : 'Q';
  itch50_system_event_event_code_set(message_begin(s, ITCH50_SYSTEM_EVENT_CODE, ITCH50_SYSTEM_EVENT_LEN, 0), code);
}

/* one message of the market: U 7 %, E 4 %, X 1.2 %, P 1 %, C 0.2 %, I 0.1 %, else A, F (0.5 %) or D */
static void send_one(struct hwgw_sim_stream *s) {
  uint64_t opening = 3 + 2 * (uint64_t)s->cfg.symbol_cnt;
  if (s->sent < opening) {
    send_opening(s);
    return;
  }
  uint32_t kind = draw_below(s, 1000);
  if (kind < 10) {
    send_trade(s);
    return;
  }
  if (kind == 10) {
    send_noii(s);
    return;
  }
  uint64_t done = s->sent - opening;
  uint64_t target = s->cfg.live_max;
  if (done < s->cfg.ramp) target = target * done / s->cfg.ramp + 1;
  if (kind < 135 && s->live_cnt) {
    if (kind < 81)
      send_replace(s);
    else if (kind < 121)
      send_execute(s, false);
    else if (kind < 123)
      send_execute(s, true);
    else
      send_cancel(s);
    return;
  }
  /* towards the target: certain when it is 1/64 of live_max away, even at the target */
  int64_t missing = (int64_t)target - (int64_t)s->live_cnt;
  int64_t band = s->cfg.live_max / 64 + 1;
  int64_t chance = 500 + missing * 500 / band;
  bool is_add = s->live_cnt == 0 || (s->live_cnt < s->cfg.live_max && draw_below(s, 1000) < (chance > 0 ? chance : 0));
  if (is_add)
    send_add(s, kind % 100 == 99);
  else
    send_delete(s);
}

/* ---- life ---- */

struct hwgw_sim_stream *hwgw_sim_stream_open(const struct hwgw_sim_stream_cfg *cfg) {
  if (cfg->symbol_cnt < 1 || cfg->symbol_cnt > UINT16_MAX || cfg->live_max < 1 || cfg->live_max > LIVE_MAX) return NULL;
  struct hwgw_sim_stream *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->cfg = *cfg;
  s->ns = START_NS;
  seed_set(s, cfg->seed);
  s->orders = calloc((size_t)cfg->live_max + 1, sizeof *s->orders);
  s->live = calloc(cfg->live_max, sizeof *s->live);
  s->symbols = calloc(cfg->symbol_cnt, sizeof *s->symbols);
  if (!s->orders || !s->live || !s->symbols || !alias_make(s)) {
    hwgw_sim_stream_close(s);
    return NULL;
  }
  for (uint32_t i = 0; i < cfg->symbol_cnt; i++) {
    s->symbols[i].base_px = TICK_PX * (500 + draw_below(s, 20000));
    s->symbols[i].fair = WINDOW / 2;
  }
  return s;
}

void hwgw_sim_stream_close(struct hwgw_sim_stream *s) {
  if (!s) return;
  free(s->alias);
  free(s->symbols);
  free(s->live);
  free(s->orders);
  free(s);
}

uint64_t hwgw_sim_stream_fill(struct hwgw_sim_stream *s, uint8_t *out, uint64_t sz, uint64_t max, uint64_t *cnt) {
  s->cursor = out;
  *cnt = 0;
  while (*cnt < max && sz - (uint64_t)(s->cursor - out) >= RECORD_MAX) {
    send_one(s);
    ++*cnt;
  }
  return (uint64_t)(s->cursor - out);
}

uint32_t hwgw_sim_stream_live(const struct hwgw_sim_stream *s) {
  return s->live_cnt;
}
