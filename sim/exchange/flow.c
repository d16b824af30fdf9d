/* flow.c: the background order flow: a seeded crowd that keeps every book alive.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: per action one symbol is picked (low indices more often), its fair price may step by one cent, and one of
 * these is done: add a passive order 1 to 32 cents from fair, delete, reduce or replace a random live order, or send an
 * aggressive order that trades. Orders are chosen so that the number of live ones stays near the target; it never
 * exceeds live_max per symbol. Fair stays within a quarter of its start, so prices stay in bounds. The content depends
 * on the seed and on what clients traded, never on time. No memory is taken after open.
 */
#include "exchange.h"

#define SPREAD_TICKS 32u
#define BASE_TICKS_MIN 1000u /* 10.00 */
#define BASE_TICKS_MAX 50000u

/* splitmix64 */
static uint64_t next_random(struct sim_flow *flow) {
  uint64_t z = flow->random += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

static uint32_t below(struct sim_flow *flow, uint32_t limit) {
  return (uint32_t)((next_random(flow) >> 32) * limit >> 32);
}

static uint32_t smaller(struct sim_flow *flow, uint32_t limit) {
  uint32_t a = below(flow, limit);
  uint32_t b = below(flow, limit);
  return a < b ? a : b;
}

static size_t live_sz(const sim_exchange *x) {
  return ((size_t)x->symbol_cnt * x->flow.live_max + 1) * sizeof *x->flow.live;
}

bool sim_flow_open(sim_exchange *x) {
  struct sim_flow *flow = &x->flow;
  flow->random = x->cfg.seed;
  flow->target = x->cfg.depth;
  flow->live_max = flow->target * 2;
  flow->symbols = sim_memory(x->symbol_cnt * sizeof *flow->symbols);
  flow->live = sim_memory(live_sz(x));
  if (!flow->symbols || !flow->live) return false;
  for (uint32_t i = 0; i < x->symbol_cnt; i++) {
    flow->symbols[i].base_ticks = BASE_TICKS_MIN + smaller(flow, BASE_TICKS_MAX - BASE_TICKS_MIN);
    flow->symbols[i].fair_ticks = flow->symbols[i].base_ticks;
  }
  return true;
}

void sim_flow_close(sim_exchange *x) {
  struct sim_flow *flow = &x->flow;
  sim_memory_free(flow->symbols, x->symbol_cnt * sizeof *flow->symbols);
  sim_memory_free(flow->live, live_sz(x));
  flow->symbols = NULL;
  flow->live = NULL;
}

/* ---- the live orders of a symbol, for picking one at random ---- */

void sim_flow_rested(sim_exchange *x, uint32_t index) {
  struct sim_order *order = &x->book.orders[index];
  struct sim_flow_symbol *symbol = &x->flow.symbols[order->symbol];
  order->slot = symbol->live_cnt++;
  x->flow.live[(size_t)order->symbol * x->flow.live_max + order->slot] = index;
}

void sim_flow_removed(sim_exchange *x, const struct sim_order *order) {
  struct sim_flow_symbol *symbol = &x->flow.symbols[order->symbol];
  uint32_t *live = &x->flow.live[(size_t)order->symbol * x->flow.live_max];
  uint32_t last = live[--symbol->live_cnt];
  live[order->slot] = last;
  x->book.orders[last].slot = order->slot;
}

static uint32_t pick_live(sim_exchange *x, uint32_t symbol) {
  uint32_t slot = below(&x->flow, x->flow.symbols[symbol].live_cnt);
  return x->flow.live[(size_t)symbol * x->flow.live_max + slot];
}

/* ---- actions ---- */

static uint32_t pick_qty(struct sim_flow *flow) {
  uint32_t odd = below(flow, 8);
  return odd ? 100 * (1 + smaller(flow, 8)) : 1 + below(flow, 300);
}

static uint32_t passive_px(sim_exchange *x, uint32_t symbol, uint32_t side) {
  uint32_t fair = x->flow.symbols[symbol].fair_ticks;
  uint32_t distance = 1 + smaller(&x->flow, SPREAD_TICKS);
  return (side == SIM_BUY ? fair - distance : fair + distance) * SIM_TICK;
}

/* trades what crosses and rests what is left */
static void enter(sim_exchange *x, struct sim_order *order) {
  sim_match(x, order);
  if (!order->qty) return;
  order->ref = x->next_ref++;
  uint32_t index = sim_rest(x, order);
  if (index != SIM_NIL) sim_flow_rested(x, index);
}

static void add(sim_exchange *x, uint32_t symbol) {
  struct sim_flow *flow = &x->flow;
  uint32_t kind = below(flow, 100);
  struct sim_order order = {.symbol = symbol, .side = (uint8_t)below(flow, 2), .qty = pick_qty(flow)};
  order.px = passive_px(x, symbol, order.side);
  order.flags = kind < 2 ? SIM_HIDDEN : kind < 4 ? SIM_IMPROVES : kind < 9 ? SIM_ATTRIBUTED : 0;
  enter(x, &order);
}

static void take(sim_exchange *x, uint32_t symbol) {
  struct sim_flow *flow = &x->flow;
  uint32_t fair = flow->symbols[symbol].fair_ticks;
  struct sim_order order = {.symbol = symbol, .side = (uint8_t)below(flow, 2), .qty = 100 * (1 + smaller(flow, 15))};
  order.px = (order.side == SIM_BUY ? fair + SPREAD_TICKS / 2 : fair - SPREAD_TICKS / 2) * SIM_TICK;
  sim_match(x, &order); /* what is left is gone: immediate or cancel */
}

static void replace(sim_exchange *x, uint32_t index) {
  struct sim_order order = x->book.orders[index];
  order.px = passive_px(x, order.symbol, order.side);
  order.qty = pick_qty(&x->flow);
  if (sim_would_trade(x, order.symbol, order.side, order.px)) {
    sim_reduce(x, index, x->book.orders[index].qty);
    enter(x, &order);
  } else {
    order.ref = x->next_ref++;
    sim_flow_rested(x, sim_requeue(x, index, &order));
  }
}

static void move_fair(struct sim_flow *flow, struct sim_flow_symbol *symbol) {
  uint32_t step = below(flow, 16);
  if (step == 0 && symbol->fair_ticks < symbol->base_ticks * 5 / 4) symbol->fair_ticks++;
  if (step == 1 && symbol->fair_ticks > symbol->base_ticks * 3 / 4) symbol->fair_ticks--;
}

static void act(sim_exchange *x) {
  struct sim_flow *flow = &x->flow;
  uint32_t index = smaller(flow, x->symbol_cnt);
  struct sim_flow_symbol *symbol = &flow->symbols[index];
  uint32_t roll = below(flow, 100);
  uint32_t adds = symbol->live_cnt < flow->target ? 60 : 40;
  move_fair(flow, symbol);
  if (symbol->live_cnt < flow->target / 2)
    add(x, index);
  else if (symbol->live_cnt == flow->live_max || roll >= adds + 15) {
    uint32_t order = pick_live(x, index);
    sim_reduce(x, order, x->book.orders[order].qty);
  } else if (roll < adds)
    add(x, index);
  else if (roll < adds + 6)
    take(x, index);
  else if (roll < adds + 12)
    replace(x, pick_live(x, index));
  else {
    uint32_t order = pick_live(x, index);
    uint32_t qty = x->book.orders[order].qty;
    if (qty > 1) sim_reduce(x, order, 1 + below(flow, qty - 1));
  }
}

static bool has_opened(const sim_exchange *x) {
  return x->flow.opened == (uint64_t)x->symbol_cnt * 2 + 3; /* O, S and Q */
}

/* the day begins: O, a directory and a trading action per symbol, S, Q */
static void open_step(sim_exchange *x) {
  uint64_t step = x->flow.opened++;
  uint32_t symbol_cnt = x->symbol_cnt;
  if (step == 0)
    sim_itch_system(x, 'O');
  else if (step <= symbol_cnt)
    sim_itch_directory(x, (uint32_t)step - 1);
  else if (step <= symbol_cnt * (uint64_t)2)
    sim_itch_trading(x, (uint32_t)(step - 1 - symbol_cnt), 'T');
  else
    sim_itch_system(x, step == symbol_cnt * (uint64_t)2 + 1 ? 'S' : 'Q');
  x->is_open = has_opened(x);
}

void sim_flow_step(sim_exchange *x) {
  x->stats.actions++;
  if (x->is_open)
    act(x);
  else
    open_step(x);
}

void sim_flow_finish(sim_exchange *x) {
  if (!has_opened(x)) return;
  sim_itch_system(x, 'M');
  sim_itch_system(x, 'E');
  sim_itch_system(x, 'C');
}
