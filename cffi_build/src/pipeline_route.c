/* pipeline_route.c: an order whose venue the router is to find becomes children of venues, on record before they leave.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: a new order with the option route, of a symbol at whatever venue. Output: a child per venue that the router gives
 * some of it, each through halt, gate and journal like any order; the record `route`, from which every choice can be told;
 * what found no venue comes back to the strategy as rejected, with ref 0 and a counter of the router as the reason.
 *   With retries_max, shares of a child that its venue rejects, or that cannot be sent there, go to the next-best venues among
 * those that have not had them, as a new choice with a record of its own; what the gate holds against the order itself is no
 * reason to try elsewhere. The strategy is told of the new children, then that the refused one has ended, with the shares
 * that found no venue.
 *   Cost: a look at the top of book per venue and one journal record. Thread: the pipeline's.
 */
#include <stdlib.h>

#include "pipeline.h"
#include "pipeline_clock.h"

#include "halt.h"
#include "order.h"
#include "risk.h"
#include "router.h"
#include "session.h"

int32_t pipeline_route_open(struct hwgw_pipeline *p, const struct hwgw_router_cfg *cfg, struct hwgw_error *error) {
  struct hwgw_router_cfg own = *cfg;
  uint32_t venue_cnt = pipeline_venue_cnt(p);
  if (!own.venue_cnt) { /* nothing was said: no bounds, no fees */
    own.venue_cnt = venue_cnt;
    own.children_max = HWGW_SEGMENT_SESSIONS_MAX;
    for (uint32_t i = 0; i < venue_cnt; i++)
      own.venue[i] = (struct hwgw_route_venue){.order_max = UINT32_MAX, .open_max = UINT32_MAX};
  }
  if (own.venue_cnt != venue_cnt || !own.children_max || own.children_max > HWGW_SEGMENT_SESSIONS_MAX ||
      own.latency_px > HWGW_ROUTE_LATENCY_MAX || own.fill_px > HWGW_ROUTE_FILL_MAX ||
      own.retries_max > ROUTE_RETRIES_MAX)
    return hwgw_error_set(
        error, HWGW_ERR_CONFIG, 0,
        "router: %u venues, %u children, latency %u, fill %u, %u retries: %u venues, 1 to %u children,"
        " at most %u, %u and %u are allowed",
        own.venue_cnt, own.children_max, own.latency_px, own.fill_px, own.retries_max, venue_cnt,
        HWGW_SEGMENT_SESSIONS_MAX, HWGW_ROUTE_LATENCY_MAX, HWGW_ROUTE_FILL_MAX, ROUTE_RETRIES_MAX);
  p->retries_max = own.retries_max;
  if (own.retries_max && !(p->child = calloc(HWGW_RISK_OPEN_ORDERS_MAX, sizeof *p->child)))
    return hwgw_error_set(error, HWGW_ERR_INTERNAL, 0, "no memory for the children of routed orders");
  hwgw_router_init(p->router, &own);
  return HWGW_OK;
}

void pipeline_route_restored(struct hwgw_pipeline *p) {
  for (uint32_t i = 0; p->router && i < HWGW_RISK_OPEN_ORDERS_MAX; i++) {
    struct hwgw_order order;
    if (!hwgw_risk_order(p->risk, p->risk->slot[i].ref, &order)) continue;
    order.ts_ns = 0;
    hwgw_router_sent(p->router, *pipeline_venue_of(p, order.ref), &order);
  }
}

/* whose shares are to be placed, and where they have been */
struct attempt {
  uint64_t parent;
  uint32_t refused; /* bit per venue */
  uint32_t retry;
  uint32_t refused_ref;
  uint32_t reason;
};

static void quote(const struct hwgw_pipeline *p, uint32_t venue, uint32_t symbol, bool is_buy, uint32_t refused,
                  struct hwgw_route_quote *out) {
  memset(out, 0, sizeof *out);
  out->is_refused = refused >> venue & 1;
  /* on paper the venues are those of the live orders */
  out->is_halted = halt_has_venue(p->control, venue);
  out->is_up = (p->live ? p->live : p)->session[venue].state == HWGW_SEGMENT_SESSION_STATE_UP &&
               (p->live ? p->live : p)->session[venue].link->orders.entry == HWGW_SEGMENT_ENTRY_STATE_ENABLED;
  if (symbol >= p->symbol_cnt) return; /* the gate refuses */
  uint32_t instrument = pipeline_instrument_of(p, venue, symbol);
  const struct hwgw_tob *top = hwgw_segment_tob(p->segment, instrument);
  uint64_t shown = is_buy ? top->ask_qty : top->bid_qty;
  out->is_good = p->instrument[instrument].is_good || !risk_is_on(p->risk, HWGW_RISK_REASON_FEED);
  out->px = is_buy ? top->ask_px : top->bid_px;
  shown -= shown < p->given[venue] ? shown : p->given[venue]; /* its own orders are on their way to it */
  out->shown = shown > UINT32_MAX ? UINT32_MAX : (uint32_t)shown;
}

static struct pipeline_child *child_of(struct hwgw_pipeline *p, uint32_t ref) {
  return &p->child[ref % HWGW_RISK_OPEN_ORDERS_MAX];
}

static void child_send(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy,
                       const struct hwgw_order *parent, const struct hwgw_journal_candidate *at, uint32_t symbol,
                       const struct attempt *attempt) {
  struct hwgw_order child = *parent;
  child.qty = at->qty;
  if (HWGW_UNLIKELY(p->child && p->last_ref < UINT32_MAX)) /* before it is refused */
    *child_of(p, p->last_ref + 1) = (struct pipeline_child){.order = child,
                                                            .parent = attempt->parent,
                                                            .ref = p->last_ref + 1,
                                                            .refused = attempt->refused,
                                                            .retries = attempt->retry};
  child.instrument = pipeline_instrument_of(p, at->venue, symbol);
  if (hwgw_order_display_qty(&child) >= child.qty) child.venue_ref &= ~(uint64_t)HWGW_ORDER_DISPLAY_QTY_MASK;
  p->counters[HWGW_CNT_STRATEGY_INTENTS]++;
  p->counters[HWGW_CNT_ROUTER_CHILDREN]++;
  pipeline_order(p, strategy, &child);
}

/* the shares of an order to the venues, on record before they leave; how many found one */
static uint32_t place(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, const struct hwgw_order *order,
                      const struct attempt *attempt) {
  struct hwgw_journal_candidate candidates[HWGW_SEGMENT_SESSIONS_MAX];
  struct hwgw_route_quote quotes[HWGW_SEGMENT_SESSIONS_MAX] = {0};
  uint32_t symbol = pipeline_symbol_of(p, order->instrument), venue_cnt = pipeline_venue_cnt(p), child_cnt = 0;
  for (uint32_t i = 0; i < venue_cnt; i++)
    quote(p, i, symbol, order->side == HWGW_ORDER_SIDE_BUY, attempt->refused, &quotes[i]);
  uint32_t placed = hwgw_router_route(p->router, order, quotes, candidates);
  for (uint32_t i = 0; i < venue_cnt; i++) {
    child_cnt += candidates[i].rank != 0;
    p->given[i] += candidates[i].qty;
  }
  struct hwgw_journal_route route = {.parent = attempt->parent,
                                     .instrument = symbol,
                                     .px = order->px,
                                     .qty = order->qty,
                                     .placed_qty = placed,
                                     .first_ref = child_cnt ? p->last_ref + 1 : 0,
                                     .child_cnt = child_cnt,
                                     .side = order->side,
                                     .type = order->type,
                                     .tif = order->tif,
                                     .strategy = (uint8_t)strategy->id,
                                     .candidate_cnt = venue_cnt,
                                     .option = hwgw_order_options(order),
                                     .retry = attempt->retry,
                                     .refused_ref = attempt->refused_ref,
                                     .refused_reason = attempt->reason};
  journal_keep_two(&p->journal, HWGW_JOURNAL_RECORD_TYPE_ROUTE, pipeline_now_ns(p), &route, sizeof route, candidates,
                   (uint32_t)(venue_cnt * sizeof *candidates));
  for (uint32_t rank = 1; rank <= child_cnt; rank++)
    for (uint32_t i = 0; i < venue_cnt; i++)
      if (candidates[i].rank == rank) child_send(p, strategy, order, &candidates[i], symbol, attempt);
  return placed;
}

/* ---- shares of a child that was refused ---- */

/* what another venue may answer otherwise: not what the gate holds against the order itself */
static bool is_of_the_venue(uint32_t reason) {
  return reason == HWGW_RISK_REASON_FEED || reason == HWGW_RISK_REASON_VENUE_HALT ||
         reason == HWGW_CNT_ORDER_DROP_SESSION || reason == HWGW_CNT_ORDER_DROP_BACKLOG ||
         reason == HWGW_CNT_ORDER_DROP_THROTTLE || reason == HWGW_CNT_ORDER_DROP_DISABLED ||
         reason == HWGW_CNT_ORDER_DROP_ENCODE;
}

/* the child of that reference, taken out of the table; false when it is none, or may not be routed again */
static bool child_take(struct hwgw_pipeline *p, uint32_t ref, struct pipeline_child *child) {
  struct pipeline_child *at = child_of(p, ref);
  if (!ref || at->ref != ref) return false;
  *child = *at;
  at->ref = 0;
  return child->retries < p->retries_max && !p->strategy_is_stopped;
}

/* of the shares those that found no other venue; reason becomes the counter of what came of it, unless none found one */
static uint32_t again(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy,
                      const struct pipeline_child *child, uint32_t ref, uint32_t venue, uint32_t *reason) {
  struct attempt attempt = {.parent = child->parent,
                            .refused = child->refused | (uint32_t)1 << venue,
                            .retry = child->retries + 1,
                            .refused_ref = ref,
                            .reason = *reason};
  struct hwgw_order order = child->order;
  order.t_rx = 0; /* it is no answer to that frame any more */
  uint32_t placed = place(p, strategy, &order, &attempt);
  uint32_t outcome = placed == order.qty ? HWGW_CNT_ROUTER_RETRIED
                     : placed            ? HWGW_CNT_ROUTER_RETRY_PARTLY
                                         : HWGW_CNT_ROUTER_RETRY_UNPLACED;
  p->counters[HWGW_CNT_ROUTER_RETRIES]++;
  p->counters[outcome]++;
  if (placed) *reason = outcome;
  return order.qty - placed;
}

/* those that were refused at once wait until their siblings have left, so that references follow the order of rank */
static void settle(struct hwgw_pipeline *p) {
  while (p->again_cnt) {
    struct pipeline_again at = p->again[0];
    memmove(p->again, p->again + 1, --p->again_cnt * sizeof *p->again);
    at.order.qty = again(p, at.strategy, &at.child, at.order.ref, at.venue, &at.reason);
    pipeline_refused(p, at.strategy, &at.order, at.venue, at.reason);
  }
}

bool pipeline_route_refused(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy,
                            const struct hwgw_order *order, uint32_t venue, uint32_t reason) {
  struct pipeline_again *at = &p->again[p->again_cnt];
  if (order->kind != HWGW_ORDER_KIND_NEW || !is_of_the_venue(reason) || p->again_cnt == ROUTE_AGAIN_MAX ||
      !child_take(p, order->ref, &at->child))
    return false;
  at->strategy = strategy;
  at->order = *order;
  at->venue = venue;
  at->reason = reason;
  p->again_cnt++;
  return true;
}

void pipeline_route_rejected(struct hwgw_pipeline *p, uint32_t venue, struct hwgw_order *event) {
  struct pipeline_child child;
  const struct pipeline_strategy *strategy = pipeline_strategy_of(p, event->strategy);
  /* what the session concluded by itself was made for a market that is gone */
  if (!event->reason || !child_take(p, event->ref, &child)) return;
  memset(p->given, 0, sizeof p->given);
  memset(&p->hook, 0, sizeof p->hook);
  p->hook.now_ns = event->ts_ns;
  event->qty = again(p, strategy, &child, event->ref, venue, &event->reason);
  settle(p);
  pipeline_flush(p);
}

/* ---- a parent ---- */

void pipeline_route(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, struct hwgw_order *parent) {
  struct attempt attempt = {.parent = ++p->counters[HWGW_CNT_ROUTER_PARENTS]};
  memset(p->given, 0, sizeof p->given);
  uint32_t symbol = pipeline_symbol_of(p, parent->instrument), placed = place(p, strategy, parent, &attempt);
  settle(p);

  uint32_t outcome = placed == parent->qty ? HWGW_CNT_ROUTER_PLACED
                     : placed              ? HWGW_CNT_ROUTER_DROP_PARTLY
                                           : HWGW_CNT_ROUTER_DROP_UNPLACED;
  p->counters[outcome]++;
  if (outcome == HWGW_CNT_ROUTER_PLACED) return;
  struct hwgw_order rest = *parent;
  rest.ref = 0;
  rest.qty = parent->qty - placed;
  rest.instrument = symbol;
  pipeline_refused(p, strategy, &rest, 0, outcome);
}
