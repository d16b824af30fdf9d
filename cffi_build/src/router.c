/* router.c: which venues an order goes to, and how much of it to each.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract (docs/routing.md; sim/golden/router.py carries it out identically)
 *   Input: an order, and of each venue the best price of the far side with the shares displayed there, whether its
 *   session is up and its feed good; what became of earlier orders. Output: a candidate per venue, with all that decided:
 *   cause, costs, place in the ranking and the quantity of its child. Refusals of a venue: table `refusals`, the first that
 *   holds gives the cause. Costs: sums of tables `take_terms` and `rest_terms`, per share, the lower the better; equal ones
 *   go by more shares displayed, then by the lower number. First what is displayed within the limit is taken, venue by
 *   venue; what is left goes to the cheapest to take at once (immediate or cancel, market), or to rest. A child is never
 *   larger than order_max and there are at most children_max; what fits nowhere is not placed. All or none goes whole to one
 *   venue or nowhere.
 *   Recent: the time to the first answer weighs an eighth, the executed part of an order that ended a sixteenth; a venue
 *   begins with no delay and all filled. Integers alone, no clock of its own: one input, one output. Cost: some
 *   comparisons per pair of venues. Thread: the pipeline's.
 */
#include "router.h"

#include "order.h"

#define ONE_Q16 65536
#define ACK_NS_MAX 1000000000u /* a slower answer counts as one second */
#define ACK_WEIGHT 8u
#define FILL_WEIGHT 16u

/* what is looked at for one order */
struct look {
  const struct hwgw_router *router;
  const struct hwgw_order *parent;
  const struct hwgw_route_quote *quote; /* of the venue at hand */
  struct hwgw_journal_candidate *at;
  uint32_t options;
  bool rests; /* what cannot be taken may rest */
};

uint32_t hwgw_router_sz_bytes(void) {
  return (uint32_t)sizeof(struct hwgw_router);
}

void hwgw_router_init(struct hwgw_router *router, const struct hwgw_router_cfg *cfg) {
  memset(router, 0, sizeof *router);
  router->cfg = *cfg;
  for (uint32_t i = 0; i < cfg->venue_cnt; i++) router->venue[i].fill_q16 = ONE_Q16;
}

/* ---- a venue that gets nothing ---- */

static bool is_off(const struct look *look) {
  return look->router->cfg.venue[look->at->venue].is_off;
}

static bool is_halted(const struct look *look) {
  return look->quote->is_halted;
}

static bool has_refused(const struct look *look) {
  return look->quote->is_refused;
}

static bool is_down(const struct look *look) {
  return !look->quote->is_up;
}

static bool is_blind(const struct look *look) {
  return !look->quote->is_good;
}

static bool is_full(const struct look *look) {
  return look->at->open_cnt >= look->router->cfg.venue[look->at->venue].open_max;
}

static bool has_no_price(const struct look *look) {
  return !look->rests && look->quote->px == 0;
}

static bool would_take(const struct look *look) {
  return look->options & HWGW_ORDER_OPTION_POST_ONLY && !look->at->is_far;
}

static bool is_too_small(const struct look *look) {
  return look->options & HWGW_ORDER_OPTION_ALL_OR_NONE && look->at->room < look->parent->qty;
}

static const struct {
  uint8_t cause;
  bool (*holds)(const struct look *look);
} refusals[] = {
    {HWGW_JOURNAL_ROUTE_CAUSE_OFF, is_off},
    {HWGW_JOURNAL_ROUTE_CAUSE_HALTED, is_halted},
    {HWGW_JOURNAL_ROUTE_CAUSE_REFUSED, has_refused},
    {HWGW_JOURNAL_ROUTE_CAUSE_SESSION, is_down},
    {HWGW_JOURNAL_ROUTE_CAUSE_FEED, is_blind},
    {HWGW_JOURNAL_ROUTE_CAUSE_OPEN_ORDERS, is_full},
    {HWGW_JOURNAL_ROUTE_CAUSE_NO_PRICE, has_no_price},
    {HWGW_JOURNAL_ROUTE_CAUSE_WOULD_TAKE, would_take},
    {HWGW_JOURNAL_ROUTE_CAUSE_TOO_SMALL, is_too_small},
};

static uint8_t refusal(const struct look *look) {
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
    if (refusals[i].holds(look)) return refusals[i].cause;
  return HWGW_JOURNAL_ROUTE_CAUSE_NONE;
}

/* ---- costs ---- */

static int64_t price(const struct look *look) {
  int64_t px = (int64_t)look->at->px * ONE_Q16;
  return look->parent->side == HWGW_ORDER_SIDE_BUY ? px : -px;
}

static int64_t take_fee(const struct look *look) {
  return (int64_t)look->at->take_fee * ONE_Q16;
}

static int64_t make_fee(const struct look *look) {
  return (int64_t)look->at->make_fee * ONE_Q16;
}

static int64_t latency(const struct look *look) {
  return (int64_t)(look->at->ack_ns * look->router->cfg.latency_px * ONE_Q16 / 1000000u);
}

static int64_t fill(const struct look *look) {
  return (int64_t)look->router->cfg.fill_px * (ONE_Q16 - (int64_t)look->at->fill_q16);
}

typedef int64_t term(const struct look *look);

static term *const take_terms[] = {price, take_fee, latency, fill};
static term *const rest_terms[] = {make_fee, latency, fill};

static int64_t sum(const struct look *look, term *const *terms, size_t cnt) {
  int64_t cost = 0;
  for (size_t i = 0; i < cnt; i++) cost += terms[i](look);
  return cost;
}

#define SUM(look, terms) sum(look, terms, sizeof(terms) / sizeof *(terms))

/* ---- one order ---- */

/* the far side lies beyond the price, or there is none */
static bool is_far(const struct hwgw_order *parent, uint32_t px) {
  if (px == 0) return true;
  if (parent->type == HWGW_ORDER_TYPE_MARKET) return false;
  return parent->side == HWGW_ORDER_SIDE_BUY ? px > parent->px : px < parent->px;
}

static void appraise(struct look *look, uint32_t venue) {
  const struct hwgw_route_venue *cfg = &look->router->cfg.venue[venue];
  const struct router_venue *recent = &look->router->venue[venue];
  *look->at = (struct hwgw_journal_candidate){.venue = (uint16_t)venue,
                                              .px = look->quote->px,
                                              .shown = look->quote->shown,
                                              .room = cfg->order_max,
                                              .open_cnt = recent->open_cnt,
                                              .take_fee = cfg->take_fee,
                                              .make_fee = cfg->make_fee,
                                              .ack_ns = recent->ack_ns,
                                              .fill_q16 = recent->fill_q16,
                                              .is_far = is_far(look->parent, look->quote->px)};
  look->at->take_cost = SUM(look, take_terms);
  look->at->rest_cost = SUM(look, rest_terms);
  look->at->cause = refusal(look);
}

struct split {
  struct hwgw_journal_candidate *candidates;
  uint32_t cnt;
  uint32_t left;
  uint32_t children;
  uint32_t children_max;
  bool is_whole; /* to one venue or none */
};

/* the cheapest venue that can get more; visited: those that have had their turn */
static struct hwgw_journal_candidate *cheapest(const struct split *split, uint32_t visited, bool is_take, bool near) {
  struct hwgw_journal_candidate *best = NULL;
  for (uint32_t i = 0; i < split->cnt; i++) {
    struct hwgw_journal_candidate *at = &split->candidates[i];
    if (at->cause || visited >> i & 1 || at->qty == at->room) continue;
    if (near && (at->is_far || (split->is_whole && at->shown < split->left))) continue;
    if (at->rank == 0 && split->children == split->children_max) continue;
    int64_t cost = is_take ? at->take_cost : at->rest_cost;
    int64_t best_cost = !best ? 0 : is_take ? best->take_cost : best->rest_cost;
    if (!best || cost < best_cost || (cost == best_cost && at->shown > best->shown)) best = at;
  }
  return best;
}

/* one round over the venues, the cheapest first: each gets at most what it displays (near) or has room for */
static void allot(struct split *split, bool is_take, bool near) {
  uint32_t visited = 0;
  struct hwgw_journal_candidate *at;
  while (split->left && (at = cheapest(split, visited, is_take, near)) != NULL) {
    visited |= (uint32_t)1 << at->venue;
    uint32_t qty = at->room - at->qty;
    if (near && qty > at->shown) qty = at->shown;
    if (qty > split->left) qty = split->left;
    if (!qty) continue;
    if (at->rank == 0) at->rank = (uint8_t)++split->children;
    at->qty += qty;
    split->left -= qty;
  }
}

uint32_t hwgw_router_route(const struct hwgw_router *router, const struct hwgw_order *parent,
                           const struct hwgw_route_quote *quotes, struct hwgw_journal_candidate *candidates) {
  const struct hwgw_router_cfg *cfg = &router->cfg;
  struct look look = {.router = router,
                      .parent = parent,
                      .options = hwgw_order_options(parent),
                      .rests = parent->type != HWGW_ORDER_TYPE_MARKET && parent->tif != HWGW_ORDER_TIF_IOC};
  for (uint32_t i = 0; i < cfg->venue_cnt; i++) {
    look.quote = &quotes[i];
    look.at = &candidates[i];
    appraise(&look, i);
  }
  bool is_whole = look.options & HWGW_ORDER_OPTION_ALL_OR_NONE;
  struct split split = {.candidates = candidates,
                        .cnt = cfg->venue_cnt,
                        .left = parent->qty,
                        .is_whole = is_whole,
                        .children_max = is_whole ? 1 : cfg->children_max};
  allot(&split, true, true);
  allot(&split, !look.rests, false);
  for (uint32_t i = 0; i < cfg->venue_cnt; i++)
    if (!candidates[i].qty && !candidates[i].cause) candidates[i].cause = HWGW_JOURNAL_ROUTE_CAUSE_NOT_NEEDED;
  return parent->qty - split.left;
}

/* ---- what became of earlier orders ---- */

static struct router_order *slot(struct hwgw_router *router, uint32_t ref) {
  return &router->order[ref % HWGW_RISK_OPEN_ORDERS_MAX];
}

void hwgw_router_sent(struct hwgw_router *router, uint32_t venue, const struct hwgw_order *order) {
  *slot(router, order->ref) = (struct router_order){.ref = order->ref, .qty = order->qty, .sent_ns = order->ts_ns};
  router->venue[venue].open_cnt++;
}

static void answered(struct router_venue *venue, struct router_order *order, uint64_t now_ns) {
  if (!order->sent_ns) return;
  uint64_t ns = now_ns > order->sent_ns ? now_ns - order->sent_ns : 0;
  if (ns > ACK_NS_MAX) ns = ACK_NS_MAX;
  venue->ack_ns = (venue->ack_ns * (ACK_WEIGHT - 1) + ns) / ACK_WEIGHT;
  order->sent_ns = 0;
}

static void ended(struct router_venue *venue, struct router_order *order, bool counts) {
  if (counts) {
    uint64_t executed = order->executed < order->qty ? order->executed : order->qty;
    uint64_t part = order->qty ? executed * ONE_Q16 / order->qty : 0;
    venue->fill_q16 = (uint32_t)((venue->fill_q16 * (uint64_t)(FILL_WEIGHT - 1) + part) / FILL_WEIGHT);
  }
  venue->open_cnt--;
  *order = (struct router_order){0};
}

void hwgw_router_answer(struct hwgw_router *router, uint32_t venue, const struct hwgw_order *event, bool is_live) {
  struct router_order *order = slot(router, event->ref);
  struct router_venue *at = &router->venue[venue];
  if (!event->ref || order->ref != event->ref) return;
  /* what the session concluded by itself says nothing of the venue */
  bool is_own = event->kind == HWGW_ORDER_KIND_REJECTED && event->reason == 0;
  if (!is_own) answered(at, order, event->ts_ns);
  if (event->kind == HWGW_ORDER_KIND_EXECUTED) order->executed += event->qty;
  if (event->kind == HWGW_ORDER_KIND_REPLACED) {
    struct router_order *original = slot(router, event->orig_ref);
    if (original->ref == event->orig_ref && event->orig_ref) ended(at, original, false);
  }
  if (!is_live) ended(at, order, !is_own);
}

void hwgw_router_venue(const struct hwgw_router *router, uint32_t venue, uint64_t *ack_ns, uint32_t *fill_q16,
                       uint32_t *open_cnt) {
  *ack_ns = router->venue[venue].ack_ns;
  *fill_q16 = router->venue[venue].fill_q16;
  *open_cnt = router->venue[venue].open_cnt;
}
