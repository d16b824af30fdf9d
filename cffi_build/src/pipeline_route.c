/* pipeline_route.c: an order whose venue the router is to find becomes children of venues, on record before they leave.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: a new order with the option route, of a symbol at whatever venue. Output: a child per venue that the router gives
 * some of it, each through halt, gate and journal like any order; the record `route`, from which every choice can be told;
 * what found no venue comes back to the strategy as rejected, with ref 0 and a counter of the router as the reason.
 *   Cost: a look at the top of book per venue and one journal record. Thread: the pipeline's.
 */
#include "pipeline.h"

#include "halt.h"
#include "order.h"
#include "risk.h"
#include "router.h"
#include "session.h"

int32_t pipeline_route_open(struct hwgw_pipeline *p, const struct hwgw_router_cfg *cfg, struct hwgw_error *error) {
  struct hwgw_router_cfg own = *cfg;
  uint32_t venue_cnt = pipeline_venue_cnt(p);
  if (!own.venue_cnt) { /* nothing was said: no bounds, no fees */
    own.children_max = HWGW_SEGMENT_SESSIONS_MAX;
    for (uint32_t i = 0; i < venue_cnt; i++)
      own.venue[i] = (struct hwgw_route_venue){.order_max = UINT32_MAX, .open_max = UINT32_MAX};
  } else if (own.venue_cnt != venue_cnt || !own.children_max || own.children_max > HWGW_SEGMENT_SESSIONS_MAX ||
             own.latency_px > HWGW_ROUTE_LATENCY_MAX || own.fill_px > HWGW_ROUTE_FILL_MAX) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "router: %u venues, %u children, latency %u, fill %u: %u venues, 1 to %u children, at most %u"
                          " and %u are allowed",
                          own.venue_cnt, own.children_max, own.latency_px, own.fill_px, venue_cnt,
                          HWGW_SEGMENT_SESSIONS_MAX, HWGW_ROUTE_LATENCY_MAX, HWGW_ROUTE_FILL_MAX);
  }
  own.venue_cnt = venue_cnt;
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

static void quote(const struct hwgw_pipeline *p, uint32_t venue, uint32_t symbol, bool is_buy,
                  struct hwgw_route_quote *out) {
  memset(out, 0, sizeof *out);
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
  out->shown = shown > UINT32_MAX ? UINT32_MAX : (uint32_t)shown;
}

static void child_send(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy,
                       const struct hwgw_order *parent, const struct hwgw_journal_candidate *at, uint32_t symbol) {
  struct hwgw_order child = *parent;
  child.qty = at->qty;
  child.instrument = pipeline_instrument_of(p, at->venue, symbol);
  if (hwgw_order_display_qty(&child) >= child.qty) child.venue_ref &= ~(uint64_t)HWGW_ORDER_DISPLAY_QTY_MASK;
  p->counters[HWGW_CNT_STRATEGY_INTENTS]++;
  p->counters[HWGW_CNT_ROUTER_CHILDREN]++;
  pipeline_order(p, strategy, &child);
}

void pipeline_route(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, struct hwgw_order *parent) {
  struct hwgw_journal_candidate candidates[HWGW_SEGMENT_SESSIONS_MAX];
  struct hwgw_route_quote quotes[HWGW_SEGMENT_SESSIONS_MAX] = {0};
  uint32_t symbol = pipeline_symbol_of(p, parent->instrument), venue_cnt = pipeline_venue_cnt(p), child_cnt = 0;
  for (uint32_t i = 0; i < venue_cnt; i++) quote(p, i, symbol, parent->side == HWGW_ORDER_SIDE_BUY, &quotes[i]);
  uint32_t placed = hwgw_router_route(p->router, parent, quotes, candidates);
  for (uint32_t i = 0; i < venue_cnt; i++) child_cnt += candidates[i].rank != 0;
  struct hwgw_journal_route route = {.parent = ++p->counters[HWGW_CNT_ROUTER_PARENTS],
                                     .instrument = symbol,
                                     .px = parent->px,
                                     .qty = parent->qty,
                                     .placed_qty = placed,
                                     .first_ref = child_cnt ? p->last_ref + 1 : 0,
                                     .child_cnt = child_cnt,
                                     .side = parent->side,
                                     .type = parent->type,
                                     .tif = parent->tif,
                                     .strategy = (uint8_t)strategy->id,
                                     .candidate_cnt = venue_cnt,
                                     .option = hwgw_order_options(parent)};
  journal_keep_two(&p->journal, HWGW_JOURNAL_RECORD_TYPE_ROUTE, pipeline_now_ns(p), &route, sizeof route, candidates,
                   (uint32_t)(venue_cnt * sizeof *candidates));
  for (uint32_t rank = 1; rank <= child_cnt; rank++)
    for (uint32_t i = 0; i < venue_cnt; i++)
      if (candidates[i].rank == rank) child_send(p, strategy, parent, &candidates[i], symbol);

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
