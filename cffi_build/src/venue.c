/* venue.c: carries our orders out in the market that was recorded, and finds what each event of the feed does to them.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract; sim/golden/venue.py is its referee, docs/backtest.md gives the reasons
 *   Input: orders as they arrive, events of the feed in order. Output: answers with the time they are told, rows of fills.
 * An order that arrives meets the feed's orders on the other side, best price first and in time priority, each at its own
 * price; with impact, what it took from one is gone for all later events. What is left of a day order rests behind
 * everything at its price; of any other it is cancelled. A resting order is filled
 *   queue    by executions of feed orders that stand behind it, and with impact by what an execution finds gone of one in
 *            front of it once nothing else is in front;
 *   through  by executions at a worse price on its side;
 *   crossed  by an order of the feed that comes to rest at a price that meets its own;
 *   print    by a trade outside the book at a worse price than its own, at its own price; by an auction, at the auction's;
 * never for more shares than the event has, best price first, then in the order of arrival. Executions that are not
 * printable only shorten the queue: their shares are in the print of an auction. While an instrument is halted only
 * auctions fill; when it trades again its orders meet the book as if they arrived then. Own orders never meet each other.
 * Answers: accepted; replaced; executed; canceled; rejected for a replace of what is not live. Quantities of replace and
 * cancel are of the whole chain, executions included. A cancel of what is not live has no answer.
 * Cost: a test per event of an instrument without own orders. Thread: the backtest's.
 */
#include "venue.h"

#define VENUE_REF (1ull << 63) /* of the model's own references, which no feed uses */

/* ---- answers ---- */

static void answer(struct venue *v, const struct venue_order *order, uint32_t kind, uint32_t qty, uint32_t px,
                   uint64_t venue_ref) {
  uint64_t told = v->now_ns + venue_delay(&v->answer_latency);
  if (told > v->told_ns) v->told_ns = told;
  struct hwgw_order *out = venue_fifo_push(&v->answers);
  if (HWGW_UNLIKELY(!out)) {
    v->is_out_of_memory = true;
    return;
  }
  *out = (struct hwgw_order){.kind = (uint8_t)kind,
                             .side = order->side,
                             .type = order->type,
                             .tif = order->tif,
                             .flags = order->flags,
                             .account = order->account,
                             .strategy = order->strategy,
                             .ref = order->ref,
                             .instrument = order->instrument,
                             .px = px,
                             .qty = qty,
                             .ts_ns = v->told_ns,
                             .venue_ref = venue_ref};
}

static void fill(struct venue *v, struct venue_order *order, uint32_t qty, uint32_t px, uint32_t cause) {
  order->leaves -= qty;
  order->executed += qty;
  answer(v, order, HWGW_ORDER_KIND_EXECUTED, qty, px, ++v->match);
  int64_t fee = (int64_t)qty * (cause == HWGW_BACKTEST_CAUSE_TAKER ? v->fee_taker : v->fee_maker);
  v->fees += (uint64_t)fee;
  struct hwgw_venue_fill row = {.ts_ns = v->now_ns,
                                .told_ns = v->told_ns,
                                .match = v->match,
                                .mid2 = order->mid2,
                                .fee = fee,
                                .ref = order->ref,
                                .instrument = order->instrument,
                                .px = px,
                                .qty = qty,
                                .left = order->leaves,
                                .side = order->side,
                                .cause = (uint8_t)cause,
                                .strategy = order->strategy,
                                .account = order->account};
  v->is_out_of_memory |= !venue_rows_add(&v->fills, &row, sizeof row);
}

static void cancel(struct venue *v, struct venue_order *order, uint32_t qty) {
  order->leaves -= qty;
  answer(v, order, HWGW_ORDER_KIND_CANCELED, qty, 0, 0);
}

/* ---- orders that arrive ---- */

static bool meets(const struct venue_order *order, uint32_t px) {
  if (order->type == HWGW_ORDER_TYPE_MARKET) return true;
  return order->side == HWGW_ORDER_SIDE_BUY ? order->px >= px : order->px <= px;
}

/* own orders behind one of the feed have so much less in front of them */
static void shorten(struct venue *v, uint32_t side_number, uint32_t px, uint64_t serial, uint32_t qty) {
  uint16_t index = venue_level_find(v, side_number, px);
  for (uint16_t at = index ? v->level[index - 1].first : 0; at; at = venue_order_at(v, at)->behind) {
    struct venue_order *order = venue_order_at(v, at);
    if (venue_is_ahead(serial, order)) order->ahead -= qty < order->ahead ? qty : order->ahead;
  }
}

/* takes what it may of one order of the feed */
static void take(struct venue *v, struct venue_order *order, uint64_t ref, uint32_t qty, uint32_t px) {
  uint64_t taken = venue_refs_get(&v->taken, ref, order->instrument);
  uint32_t real = venue_real(taken, qty);
  uint32_t took = real < order->leaves ? real : order->leaves;
  if (!took) return;
  if (v->has_impact) {
    v->busy[order->instrument] += taken == 0;
    v->is_out_of_memory |= !venue_refs_put(&v->taken, ref, order->instrument, taken + took);
    uint32_t other = order->instrument * HWGW_BOOK_SIDES + (order->side == HWGW_ORDER_SIDE_BUY);
    shorten(v, other, px, venue_refs_get(&v->ahead, ref, order->instrument), took);
  }
  fill(v, order, took, px, HWGW_BACKTEST_CAUSE_TAKER);
}

static void match(struct venue *v, struct venue_order *order) {
  uint32_t other = order->instrument * HWGW_BOOK_SIDES + (order->side == HWGW_ORDER_SIDE_BUY);
  uint32_t cnt = hwgw_book_level_cnt(v->books, other);
  for (uint32_t n = 0; n < cnt && order->leaves; n++) {
    uint32_t level = hwgw_book_level_at(v->books, other, n), px = v->books->block[level].px;
    if (!meets(order, px)) break;
    uint32_t cell = hwgw_book_order_from(v->books, level, level * HWGW_BOOK_CELLS + HWGW_BOOK_CELL_LEVEL);
    for (; cell && order->leaves; cell = hwgw_book_order_from(v->books, level, cell + 1))
      take(v, order, hwgw_book_ref(v->books, cell), hwgw_book_cell(v->books, cell)->qty, px);
  }
}

/* an order that is accepted: meets the book, rests or ends */
static void enter(struct venue *v, struct venue_order *order) {
  if (!v->is_halted[order->instrument]) match(v, order);
  bool may_rest = order->tif == HWGW_ORDER_TIF_DAY && order->type == HWGW_ORDER_TYPE_LIMIT;
  if (order->leaves && !may_rest) cancel(v, order, order->leaves);
  if (order->leaves) {
    venue_rest(v, order);
  } else {
    venue_remove(v, order);
  }
}

static struct venue_order *slot(struct venue *v, uint32_t ref) {
  return &v->order[ref % VENUE_ORDERS];
}

static struct venue_order *live(struct venue *v, uint32_t ref) {
  struct venue_order *order = slot(v, ref);
  return ref && order->ref == ref ? order : NULL;
}

/* the terms of an order or a replace as they were sent */
static struct venue_order made(const struct venue_sent *sent) {
  const struct hwgw_order *order = &sent->order;
  return (struct venue_order){.mid2 = sent->mid2,
                              .venue_ref = VENUE_REF | order->ref,
                              .ref = order->ref,
                              .instrument = order->instrument,
                              .px = order->px,
                              .leaves = order->qty,
                              .side = order->side,
                              .type = order->type,
                              .tif = order->tif,
                              .flags = (uint8_t)order->flags,
                              .account = order->account,
                              .strategy = order->strategy};
}

static void arrive_new(struct venue *v, const struct venue_sent *sent) {
  struct venue_order *order = slot(v, sent->order.ref);
  struct venue_order wanted = made(sent);
  if (order->ref || wanted.instrument >= v->instrument_cnt) { /* the gate lets neither pass */
    answer(v, &wanted, HWGW_ORDER_KIND_REJECTED, 0, 0, 0);
    return;
  }
  *order = wanted;
  answer(v, order, HWGW_ORDER_KIND_ACCEPTED, order->leaves, order->px, order->venue_ref);
  enter(v, order);
}

static void arrive_replace(struct venue *v, const struct venue_sent *sent) {
  struct venue_order wanted = made(sent);
  struct venue_order *original = live(v, sent->order.orig_ref), *order = slot(v, wanted.ref);
  if (!original || order->ref || original->instrument != wanted.instrument || original->side != wanted.side) {
    answer(v, &wanted, HWGW_ORDER_KIND_REJECTED, 0, 0, 0);
    return;
  }
  if (wanted.leaves <= original->executed) { /* all that was wanted is done */
    cancel(v, original, original->leaves);
    answer(v, &wanted, HWGW_ORDER_KIND_REJECTED, 0, 0, 0);
    venue_remove(v, original);
    return;
  }
  wanted.executed = original->executed;
  wanted.leaves -= original->executed;
  uint32_t orig_ref = original->ref;
  venue_remove(v, original);
  *order = wanted;
  answer(v, order, HWGW_ORDER_KIND_REPLACED, order->leaves, order->px, order->venue_ref);
  if (v->answers.cnt) {
    struct hwgw_order *told =
        (struct hwgw_order *)v->answers.data + ((v->answers.head + v->answers.cnt - 1) & (v->answers.cap - 1));
    told->orig_ref = orig_ref;
  }
  enter(v, order);
}

static void arrive_cancel(struct venue *v, const struct venue_sent *sent) {
  struct venue_order *order = live(v, sent->order.ref);
  if (!order) return;
  uint64_t total = (uint64_t)order->executed + order->leaves;
  uint32_t kept = sent->order.qty > order->executed ? sent->order.qty - order->executed : 0;
  if (sent->order.qty >= total) return; /* it is not more than that */
  cancel(v, order, order->leaves - kept);
  if (!order->leaves) venue_remove(v, order);
}

void venue_arrive(struct venue *v, const struct venue_sent *sent) {
  v->now_ns = sent->at_ns;
  switch (sent->order.kind) {
    case HWGW_ORDER_KIND_NEW:
      arrive_new(v, sent);
      break;
    case HWGW_ORDER_KIND_REPLACE:
      arrive_replace(v, sent);
      break;
    default:
      arrive_cancel(v, sent);
      break;
  }
}

uint32_t venue_send(struct venue *v, const struct hwgw_order *order, uint64_t sent_ns, uint64_t mid2) {
  bool is_strange = order->venue_ref || order->instrument >= v->instrument_cnt;
  if (HWGW_UNLIKELY(is_strange) && order->kind != HWGW_ORDER_KIND_CANCEL)
    return HWGW_CNT_ORDER_DROP_ENCODE; /* options are not modelled: better none than another order */
  uint64_t at = sent_ns + venue_delay(&v->order_latency);
  if (at > v->arrive_ns) v->arrive_ns = at;
  struct venue_sent *sent = venue_fifo_push(&v->sent);
  if (HWGW_UNLIKELY(!sent)) {
    v->is_out_of_memory = true;
    return HWGW_CNT_ORDER_DROP_BACKLOG;
  }
  *sent = (struct venue_sent){.order = *order, .at_ns = v->arrive_ns, .mid2 = mid2};
  return HWGW_CNT_ORDER_ENCODED;
}

/* ---- events of the feed ---- */

/* fills a resting order from the shares of an event; what is left of them */
static uint32_t fill_rest(struct venue *v, struct venue_order *order, uint32_t qty, uint32_t px, uint32_t cause) {
  uint32_t filled = qty < order->leaves ? qty : order->leaves;
  if (!filled) return qty;
  fill(v, order, filled, px, cause);
  if (!order->leaves) venue_remove(v, order);
  return qty - filled;
}

static bool is_better(uint32_t side_number, uint32_t px, uint32_t than) {
  return hwgw_book_key(side_number & 1, px) > hwgw_book_key(side_number & 1, than);
}

/* best price first: fills every own order of a side whose price is better than px, or with or_equal that price. auction_px: 0, or what they are filled at */
static uint32_t sweep(struct venue *v, uint32_t side_number, uint32_t px, bool or_equal, uint32_t qty,
                      uint32_t auction_px, uint32_t cause) {
  uint16_t index;
  while (qty && (index = v->best[side_number]) != 0) {
    const struct venue_level *level = &v->level[index - 1];
    if (!is_better(side_number, level->px, px) && !(or_equal && level->px == px)) break;
    qty = fill_rest(v, venue_order_at(v, level->first), qty, auction_px ? auction_px : level->px, cause);
  }
  return qty;
}

static struct venue_named named_find(const struct venue *v, const struct hwgw_event *event) {
  uint32_t cell = hwgw_book_find(v->books, event->ref, event->instrument);
  if (!cell) return (struct venue_named){0};
  const union hwgw_book_block *level = &v->books->block[hwgw_book_level_of(v->books, cell)];
  return (struct venue_named){.ref = event->ref,
                              .side_number = level->owner & ~HWGW_BOOK_IS_LEVEL,
                              .px = level->px,
                              .qty = hwgw_book_cell(v->books, cell)->qty};
}

/* an order of the feed lost shares, qty of them (all: more than it had); executed: how many met somebody */
static void on_less(struct venue *v, const struct hwgw_event *event, const struct venue_named *named, uint32_t qty,
                    uint32_t executed) {
  uint32_t after = qty < named->qty ? named->qty - qty : 0;
  uint64_t taken = venue_refs_get(&v->taken, named->ref, event->instrument);
  uint32_t gone = venue_real(taken, named->qty) - venue_real(taken, after);
  uint64_t serial = venue_refs_get(&v->ahead, named->ref, event->instrument);
  uint32_t left = executed;
  if (left) left = sweep(v, named->side_number, named->px, false, left, 0, HWGW_BACKTEST_CAUSE_THROUGH);
  uint32_t beyond = executed > gone ? executed - gone : 0; /* shares that found nobody there: we had taken them */
  uint16_t index = venue_level_find(v, named->side_number, named->px);
  for (uint16_t at = index ? v->level[index - 1].first : 0; at;) {
    struct venue_order *order = venue_order_at(v, at);
    at = order->behind;
    if (venue_is_ahead(serial, order)) {
      order->ahead -= gone < order->ahead ? gone : order->ahead;
      if (order->ahead) continue;
      uint32_t has = beyond < left ? beyond : left;
      uint32_t rest = fill_rest(v, order, has, order->px, HWGW_BACKTEST_CAUSE_QUEUE);
      beyond -= has - rest;
      left -= has - rest;
    } else {
      left = fill_rest(v, order, left, order->px, HWGW_BACKTEST_CAUSE_QUEUE);
    }
  }
  if (after) return;
  venue_refs_remove(&v->ahead, named->ref, event->instrument);
  if (venue_refs_remove(&v->taken, named->ref, event->instrument)) v->busy[event->instrument]--;
}

/* an order of the feed has come to rest: what of ours it meets would have met it */
static void on_more(struct venue *v, uint32_t instrument, uint32_t side_number, uint64_t ref, uint32_t px,
                    uint32_t qty) {
  uint32_t left = sweep(v, side_number ^ 1, px, true, qty, 0, HWGW_BACKTEST_CAUSE_CROSSED);
  if (left == qty || !v->has_impact) return;
  v->busy[instrument]++;
  v->is_out_of_memory |= !venue_refs_put(&v->taken, ref, instrument, qty - left);
}

static void on_print(struct venue *v, const struct hwgw_event *event) {
  bool is_auction = event->kind == HWGW_EVENT_KIND_CROSS;
  if (!event->qty || !event->px || (v->is_halted[event->instrument] && !is_auction)) return;
  uint32_t buys = event->instrument * HWGW_BOOK_SIDES, px = is_auction ? event->px : 0;
  sweep(v, buys, event->px, false, event->qty, px, HWGW_BACKTEST_CAUSE_PRINT);
  sweep(v, buys + 1, event->px, false, event->qty, px, HWGW_BACKTEST_CAUSE_PRINT);
}

/* trading again: in the order of price and time, each as if it arrived now, but it keeps its place */
static void on_status(struct venue *v, const struct hwgw_event *event) {
  bool is_halted = !(event->flags & HWGW_EVENT_FLAGS_TRADING);
  bool was_halted = v->is_halted[event->instrument];
  v->is_halted[event->instrument] = is_halted;
  if (is_halted || !was_halted) return;
  for (uint32_t side = 0; side < HWGW_BOOK_SIDES; side++) {
    uint16_t index = v->best[event->instrument * HWGW_BOOK_SIDES + side];
    while (index) {
      uint16_t worse = v->level[index - 1].worse;
      for (uint16_t at = v->level[index - 1].first; at;) {
        struct venue_order *order = venue_order_at(v, at);
        at = order->behind;
        match(v, order);
        if (!order->leaves) venue_remove(v, order);
      }
      index = worse;
    }
  }
}

static bool is_take(uint32_t kind) {
  return kind - HWGW_EVENT_KIND_EXECUTE <= HWGW_EVENT_KIND_REPLACE - HWGW_EVENT_KIND_EXECUTE;
}

/* the own side of an event that the books took */
static void own_event(struct venue *v, const struct hwgw_event *event, const struct venue_named *named,
                      uint32_t outcome) {
  if (outcome != HWGW_CNT_BOOK_UPDATES && outcome != HWGW_CNT_BOOK_IGNORED) return;
  uint32_t executed = event->flags & HWGW_EVENT_FLAGS_PRINTABLE && !v->is_halted[event->instrument] ? event->qty : 0;
  bool is_halted = v->is_halted[event->instrument];
  switch (event->kind) {
    case HWGW_EVENT_KIND_ADD:
      if (!is_halted)
        on_more(v, event->instrument,
                event->instrument * HWGW_BOOK_SIDES + (event->side == HWGW_EVENT_SIDE_SELL ? 1u : 0u), event->ref,
                event->px, event->qty);
      break;
    case HWGW_EVENT_KIND_EXECUTE:
    case HWGW_EVENT_KIND_EXECUTE_WITH_PRICE:
      on_less(v, event, named, event->qty, executed);
      break;
    case HWGW_EVENT_KIND_REDUCE:
      on_less(v, event, named, event->qty, 0);
      break;
    case HWGW_EVENT_KIND_DELETE:
    case HWGW_EVENT_KIND_REPLACE:
      on_less(v, event, named, UINT32_MAX, 0);
      if (event->kind == HWGW_EVENT_KIND_REPLACE && !is_halted)
        on_more(v, event->instrument, named->side_number, event->ref_new, event->px, event->qty);
      break;
    case HWGW_EVENT_KIND_TRADE:
    case HWGW_EVENT_KIND_CROSS:
      on_print(v, event);
      break;
    default:
      break;
  }
}

bool venue_look(const struct venue *v, const struct hwgw_event *event, struct venue_named *named) {
  if (HWGW_LIKELY(event->instrument >= v->instrument_cnt || !v->busy[event->instrument])) return false;
  *named = is_take(event->kind) ? named_find(v, event) : (struct venue_named){0};
  return true;
}

void venue_after(struct venue *v, const struct hwgw_event *event, const struct venue_named *named, uint32_t outcome) {
  if (HWGW_UNLIKELY(named != NULL)) own_event(v, event, named, outcome);
  if (HWGW_UNLIKELY(event->kind == HWGW_EVENT_KIND_STATUS && event->instrument < v->instrument_cnt))
    on_status(v, event);
}

uint32_t venue_event(struct venue *v, struct hwgw_books *books, struct hwgw_event *event, struct hwgw_book_hint hint,
                     bool *top_changed) {
  struct venue_named named;
  v->now_ns = event->ts_ns;
  bool is_ours = venue_look(v, event, &named);
  uint32_t outcome = hwgw_book_apply(books, event, hint, top_changed);
  venue_after(v, event, HWGW_UNLIKELY(is_ours) ? &named : NULL, outcome);
  return outcome;
}
