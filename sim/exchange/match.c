/* match.c: price-time matching.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: a taker trades at the price of the resting order, best price first; within a price displayed before hidden,
 * then by time. What is left of it may rest. A change of price or size upward is a new place in the queue, a reduction
 * keeps the place. Published: E for a displayed order, C when the order trades half a tick better than it displays, P
 * for a hidden one. The book is never crossed: nothing rests that could trade. Each match has its own number, the same
 * for both sides and for the feed, and moves shares and cash between exactly two parties.
 */
#include "exchange.h"

bool sim_would_trade(const sim_exchange *x, uint32_t symbol, uint32_t side, uint32_t px) {
  uint32_t front = sim_book_front(&x->book, symbol, 1 - side);
  return front != SIM_NIL && sim_crosses(side, px, x->book.orders[front].px);
}

uint64_t sim_settle(sim_exchange *x, uint32_t buyer, uint32_t seller, uint32_t symbol, uint32_t qty, uint32_t px) {
  int64_t money = (int64_t)qty * px;
  x->positions[(size_t)buyer * x->symbol_cnt + symbol] += qty;
  x->positions[(size_t)seller * x->symbol_cnt + symbol] -= qty;
  x->cash[buyer] -= money;
  x->cash[seller] += money;
  x->stats.match_shares += qty;
  x->stats.matches++;
  return x->next_match++;
}

void sim_made(sim_exchange *x, struct sim_book *book, uint32_t index, uint32_t qty, uint32_t px, uint64_t match) {
  struct sim_order *maker = &book->orders[index];
  maker->qty -= qty;
  if (maker->party) {
    maker->executed += qty;
    sim_venue_executed(x, maker, qty, px, match, maker->flags & SIM_HIDDEN ? 'J' : 'A');
    if (!maker->qty) sim_venue_closed(x, maker->party, maker->user_ref);
  } else if (!maker->qty) {
    sim_flow_removed(x, maker);
  }
  if (!maker->qty) sim_book_remove(book, index);
}

void sim_took(sim_exchange *x, struct sim_order *taker, uint32_t qty, uint32_t px, uint64_t match) {
  taker->qty -= qty;
  if (!taker->party) return;
  taker->executed += qty;
  sim_venue_executed(x, taker, qty, px, match, 'R');
}

void sim_match(sim_exchange *x, struct sim_order *taker) {
  if (x->is_capture) {
    sim_capture_match(x, taker);
    return;
  }
  while (taker->qty) {
    uint32_t index = sim_book_front(&x->book, taker->symbol, 1u - taker->side);
    if (index == SIM_NIL) return;
    const struct sim_order *maker = &x->book.orders[index];
    if (!sim_crosses(taker->side, taker->px, maker->px)) return;
    uint32_t qty = taker->qty < maker->qty ? taker->qty : maker->qty;
    uint32_t px = maker->px;
    if (maker->flags & SIM_IMPROVES) px = maker->side == SIM_BUY ? px + SIM_TICK / 2 : px - SIM_TICK / 2;
    uint32_t buyer = taker->side == SIM_BUY ? taker->party : maker->party;
    uint32_t seller = taker->side == SIM_BUY ? maker->party : taker->party;
    uint64_t match = sim_settle(x, buyer, seller, taker->symbol, qty, px);
    if (maker->flags & SIM_HIDDEN)
      sim_itch_trade(x, maker, qty, match, px);
    else if (maker->flags & SIM_IMPROVES)
      sim_itch_executed_price(x, maker, qty, match, px);
    else
      sim_itch_executed(x, maker, qty, match);
    sim_made(x, &x->book, index, qty, px, match);
    sim_took(x, taker, qty, px, match);
  }
}

uint32_t sim_rest(sim_exchange *x, const struct sim_order *order) {
  uint32_t index = sim_book_add(order->party ? sim_client_book(x) : &x->book, order);
  if (index != SIM_NIL && !x->is_capture && !(order->flags & SIM_HIDDEN)) sim_itch_add(x, order);
  return index;
}

void sim_reduce(sim_exchange *x, uint32_t index, uint32_t qty) {
  struct sim_book *book = sim_client_book(x);
  struct sim_order *order = &book->orders[index];
  bool published = !x->is_capture && !(order->flags & SIM_HIDDEN);
  order->qty -= qty;
  if (order->qty) {
    if (published) sim_itch_cancel(x, order, qty);
    return;
  }
  if (published) sim_itch_delete(x, order);
  if (!order->party) sim_flow_removed(x, order);
  sim_book_remove(book, index);
}

uint32_t sim_requeue(sim_exchange *x, uint32_t index, const struct sim_order *order) {
  struct sim_book *book = sim_client_book(x);
  const struct sim_order *old = &book->orders[index];
  uint64_t old_ref = old->ref;
  bool published = !x->is_capture && !(order->flags & SIM_HIDDEN) && !(old->flags & SIM_HIDDEN);
  if (!published) { /* one of both is not in the published book: there is no replace to publish */
    sim_reduce(x, index, old->qty);
    return sim_rest(x, order);
  }
  if (!order->party) sim_flow_removed(x, old);
  sim_book_remove(book, index);
  sim_itch_replace(x, order, old_ref);
  return sim_book_add(book, order);
}
