/* fuzz_venues.c: a strategy that wants anything and three venues that answer anything, with halts and new parameters at any
 * moment, through a real pipeline with its router.
 *
 * SPDX-License-Identifier: MIT
 *
 * The input is a list of steps: orders (routed, for a venue, replaces, cancels), answers of a venue over a socket pair, a new
 * top of book, a feed that is lost, venues and the gateway halted and resumed, parameters, links that are cut, time. What must
 * hold after every step: the ledgers of orders; no reference reaches a venue twice; nothing enters a venue that was halted
 * before the step and is behind it; no parameter outside its bounds is taken; every share of a refused child is accounted for;
 * and as long as no venue has said what cannot be, gate and sessions hold the same orders open with the same shares.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "breaker.h"
#include "halt.h"
#include "pipeline_made.h"
#include "risk.h"
#include "router.h"

#define VENUES 3
#define SYMBOLS 2
#define PX 1000
#define REFS 65536
#define BOUND 5

struct input {
  const uint8_t *data;
  size_t len;
};

/* what a venue has been sent */
struct venue_end {
  int fd; /* -1 when closed */
  uint32_t next_ref;
  uint32_t len;
  uint8_t rx[2 * HWGW_SESSION_TX_SZ];
};

static struct hwgw_segment *segment;
static struct hwgw_pipeline *p;
static struct venue_end venue[VENUES];
static uint8_t is_used[REFS / 8];
static bool is_spoiled; /* a venue has said what cannot be */
static struct hwgw_order wanted[INTENTS_MAX];
static int32_t wanted_cnt;

static void expect(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz_venues: %s\n", what);
  abort();
}

static uint8_t take(struct input *in) {
  if (!in->len) return 0;
  in->len--;
  return *in->data++;
}

/* ---- the strategy: what the input wants ---- */

static void init(void *state, const int64_t *params) {
  expect(params[0] >= -BOUND && params[0] <= BOUND, "a parameter is within its bounds");
  memcpy(state, params, sizeof *params);
}

static int32_t on_hook(const struct hwgw_hook *hook, void *state, struct hwgw_order *out, int32_t out_max) {
  (void)state;
  if (!out || hook->cause != HWGW_HOOK_CAUSE_BOOK) return 0;
  int32_t cnt = wanted_cnt < out_max ? wanted_cnt : out_max;
  memcpy(out, wanted, (size_t)cnt * sizeof *out);
  wanted_cnt = 0;
  return cnt;
}

static void want(struct input *in) {
  uint8_t what = take(in);
  struct hwgw_order *order = &wanted[wanted_cnt++];
  uint32_t known = p->last_ref - (take(in) & 7), options = what & 4 ? HWGW_ORDER_OPTION_ROUTE : 0;
  *order = (struct hwgw_order){
      .kind = HWGW_ORDER_KIND_NEW,
      .side = what & 8 ? HWGW_ORDER_SIDE_SELL : HWGW_ORDER_SIDE_BUY,
      .type = what & 16 ? HWGW_ORDER_TYPE_MARKET : HWGW_ORDER_TYPE_LIMIT,
      .tif = what & 32 ? HWGW_ORDER_TIF_IOC : HWGW_ORDER_TIF_DAY,
      .instrument = take(in) % (VENUES * SYMBOLS + 1),
      .qty = take(in),
      .venue_ref = (uint64_t)options << HWGW_ORDER_OPTION_SHIFT,
  };
  if (!(what & 16)) order->px = PX + take(in) % 4;
  if ((what & 3) == 1) {
    order->kind = HWGW_ORDER_KIND_REPLACE;
    order->orig_ref = known;
  } else if ((what & 3) == 2) {
    order->kind = HWGW_ORDER_KIND_CANCEL;
    order->ref = known;
    order->qty = what & 64 ? order->qty : 0;
  } else if (what & 64) {
    order->venue_ref |= take(in) | (uint64_t)take(in)
                                       << (HWGW_ORDER_OPTION_SHIFT + 8); /* of options that are none, too */
  }
}

static void decide(struct input *in) {
  uint8_t cnt = take(in) % 3 + 1;
  while (wanted_cnt < cnt) want(in);
  memset(&p->hook, 0, sizeof p->hook);
  p->hook.cause = HWGW_HOOK_CAUSE_BOOK;
  p->hook.now_ns = p->virtual_ns;
  pipeline_call(p, 0, false);
}

/* ---- the venues ---- */

static void say(struct venue_end *end, char code, const uint8_t *payload, size_t len) {
  uint8_t packet[512];
  hwgw_put_be16(packet, (uint16_t)(len + 1));
  packet[2] = (uint8_t)code;
  memcpy(packet + SOUPBINTCP_SEQUENCED_DATA_LEN, payload, len);
  if (end->fd >= 0) (void)!send(end->fd, packet, len + SOUPBINTCP_SEQUENCED_DATA_LEN, MSG_NOSIGNAL);
}

/* a message that may be about an order of ours */
static void answer(struct input *in) {
  uint8_t what = take(in), message[128] = {0};
  uint32_t number = (what >> 4) % VENUES, ref = p->last_ref - (take(in) & 15), qty = take(in), len;
  const struct hwgw_own_order *own = &p->session[number].link->orders.order[ref % HWGW_SESSION_ORDERS];
  const char *symbol = hwgw_segment_symbols(segment) + 8 * (own->instrument % SYMBOLS);
  char state = what & 8 ? OUCH50_ORDER_STATE_DEAD : OUCH50_ORDER_STATE_LIVE;
  if (!(qty & 1)) qty = own->leaves;
  switch (what & 7) {
    case 0:
    case 1:
      ouch50_order_accepted_init(message);
      ouch50_order_accepted_user_ref_num_set(message, ref);
      ouch50_order_accepted_side_set(message, own->side_code ? own->side_code : OUCH50_SIDE_BUY);
      ouch50_order_accepted_quantity_set(message, qty);
      ouch50_order_accepted_symbol_set(message, symbol);
      ouch50_order_accepted_order_state_set(message, state);
      len = OUCH50_ORDER_ACCEPTED_LEN;
      break;
    case 2:
      ouch50_order_replaced_init(message);
      ouch50_order_replaced_user_ref_num_set(message, ref);
      ouch50_order_replaced_orig_user_ref_num_set(message, own->orig_ref);
      ouch50_order_replaced_side_set(message, own->side_code ? own->side_code : OUCH50_SIDE_BUY);
      ouch50_order_replaced_quantity_set(message, qty);
      ouch50_order_replaced_symbol_set(message, symbol);
      ouch50_order_replaced_order_state_set(message, state);
      len = OUCH50_ORDER_REPLACED_LEN;
      break;
    case 3:
      ouch50_order_executed_init(message);
      ouch50_order_executed_user_ref_num_set(message, ref);
      ouch50_order_executed_quantity_set(message, qty);
      ouch50_order_executed_price_set(message, PX);
      ouch50_order_executed_match_number_set(message, what);
      len = OUCH50_ORDER_EXECUTED_LEN;
      break;
    case 4:
      ouch50_order_canceled_init(message);
      ouch50_order_canceled_user_ref_num_set(message, ref);
      ouch50_order_canceled_quantity_set(message, qty);
      len = OUCH50_ORDER_CANCELED_LEN;
      break;
    default:
      ouch50_rejected_init(message);
      ouch50_rejected_user_ref_num_set(message, ref);
      ouch50_rejected_reason_set(message, what & 8);
      len = OUCH50_REJECTED_LEN;
      break;
  }
  say(&venue[number], SOUPBINTCP_SEQUENCED_DATA_CODE, message, len);
}

/* a connection as the kernel makes it, up to the venue's word about our references */
static void attach(uint32_t number) {
  int pair[2];
  char text[64];
  uint8_t query[OUCH50_ACCOUNT_QUERY_RESPONSE_LEN];
  struct hwgw_session *link = p->session[number].link;
  struct venue_end *end = &venue[number];
  if (end->fd >= 0) close(end->fd);
  if (link->fd >= 0) hwgw_session_disconnect(link, HWGW_SEGMENT_SESSION_STATE_LOST, "cut");
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0) abort();
  link->fd = pair[0];
  link->state = HWGW_SEGMENT_SESSION_STATE_LOGIN_SENT;
  link->last_rx_ns = link->last_tx_ns = p->virtual_ns;
  link->deadline_ns = p->virtual_ns + UINT64_C(1000000000);
  end->fd = pair[1];
  end->len = 0;
  (void)snprintf(text, sizeof text, "%-10s%20llu", "S1", (unsigned long long)(link->next_seq ? link->next_seq : 1));
  say(end, SOUPBINTCP_LOGIN_ACCEPTED_CODE, (const uint8_t *)text, 30);
  ouch50_account_query_response_init(query);
  ouch50_account_query_response_next_user_ref_num_set(query, end->next_ref);
  say(end, SOUPBINTCP_SEQUENCED_DATA_CODE, query, sizeof query);
}

/* what has reached a venue */
static void drain(struct venue_end *end, bool is_shut) {
  ssize_t got = end->fd < 0 ? 0 : recv(end->fd, end->rx + end->len, sizeof end->rx - end->len, 0);
  uint32_t at = 0;
  if (got > 0) end->len += (uint32_t)got;
  while (end->len - at >= SOUPBINTCP_LENGTH_SZ && end->len - at >= soup_packet_len(end->rx + at)) {
    const uint8_t *packet = end->rx + at;
    at += soup_packet_len(packet);
    if (soupbintcp_unsequenced_data_packet_type(packet) != SOUPBINTCP_UNSEQUENCED_DATA_CODE) continue;
    uint32_t ref = hwgw_order_ouch50_ref(packet + SOUPBINTCP_UNSEQUENCED_DATA_LEN);
    if (!ref) continue;
    expect(!is_shut, "nothing enters where it is halted");
    expect(ref >= end->next_ref, "references rise");
    if (ref < REFS) {
      expect(!(is_used[ref / 8] >> ref % 8 & 1), "a reference is used once");
      is_used[ref / 8] |= (uint8_t)(1u << ref % 8);
    }
    end->next_ref = ref + 1;
  }
  memmove(end->rx, end->rx + at, end->len - at);
  end->len -= at;
}

/* ---- steps ---- */

static void parameters(struct input *in) {
  const int64_t value = (int8_t)take(in) / 8;
  const uint8_t version[16] = {take(in)};
  uint64_t seq = hwgw_params_publish(segment, 0, &value, version);
  hwgw_pipeline_publish(p);
  const struct hwgw_strategy_row *row = hwgw_segment_strategy(segment, 0);
  bool is_allowed = value >= -BOUND && value <= BOUND;
  expect(seq && row->param_seq == seq && (row->param_refused == seq) != is_allowed, "a change is taken or refused");
  expect(!is_allowed || *(const int64_t *)p->strategy[0].state == value, "what was taken is in force");
}

static void halts(struct input *in) {
  uint8_t what = take(in);
  uint32_t number = (what >> 4) % VENUES;
  switch (what & 7) {
    case 0:
      (void)hwgw_halt(segment, HWGW_RISK_REASON_OPERATOR, "a step");
      break;
    case 1:
    case 2:
      (void)hwgw_resume(segment, ~(uint32_t)0);
      break;
    case 3:
    case 4:
      (void)hwgw_halt_venue(segment, number, "a step");
      break;
    case 5:
      (void)hwgw_cancel_all(segment);
      break;
    default:
      (void)hwgw_resume_venue(segment, number, "a step");
      break;
  }
}

static void book(struct input *in) {
  uint32_t index = take(in) % (VENUES * SYMBOLS);
  struct hwgw_tob *row = hwgw_segment_tob(segment, index);
  row->bid_px = PX;
  row->ask_px = PX + 1 + take(in) % 4;
  row->bid_qty = row->ask_qty = take(in);
}

static void feed(struct input *in) {
  uint8_t what = take(in);
  struct hwgw_order event = {.kind = HWGW_ORDER_KIND_FEED, .instrument = what % SYMBOLS, .qty = 0};
  p->instrument[what % (VENUES * SYMBOLS)].is_good = what & 128;
  for (uint32_t i = event.instrument; i < VENUES * SYMBOLS; i += SYMBOLS) event.qty |= p->instrument[i].is_good;
  pipeline_gate(p, &event, NULL);
}

static void check(void) {
  const uint64_t *c = p->counters;
  uint64_t refused = 0, dropped = 0;
  for (uint32_t i = HWGW_RISK_REASON_HALTED; i < HWGW_RISK_REASON_CNT; i++)
    refused += c[HWGW_CNT_RISK_REFUSED_HALTED + i - HWGW_RISK_REASON_HALTED];
  for (uint32_t i = HWGW_CNT_ORDER_DROP_SESSION; i <= HWGW_CNT_ORDER_DROP_CARD_BEYOND; i++) dropped += c[i];
  expect(c[HWGW_CNT_STRATEGY_INTENTS] == c[HWGW_CNT_RISK_PASSED] + refused, "the ledger of intents");
  expect(c[HWGW_CNT_RISK_PASSED] == c[HWGW_CNT_ORDER_ENCODED] + dropped, "the ledger of orders");
  expect(c[HWGW_CNT_ROUTER_PARENTS] ==
             c[HWGW_CNT_ROUTER_PLACED] + c[HWGW_CNT_ROUTER_DROP_PARTLY] + c[HWGW_CNT_ROUTER_DROP_UNPLACED],
         "the ledger of parents");
  expect(c[HWGW_CNT_ROUTER_RETRIES] ==
             c[HWGW_CNT_ROUTER_RETRIED] + c[HWGW_CNT_ROUTER_RETRY_PARTLY] + c[HWGW_CNT_ROUTER_RETRY_UNPLACED],
         "the ledger of retries");
  expect(!p->again_cnt, "no refused child waits");
  is_spoiled |= p->control->halt >> HWGW_RISK_REASON_STATE & 1;
  if (is_spoiled) return;
  uint32_t open_cnt = 0, routed_cnt = 0;
  for (uint32_t i = 0; i < VENUES; i++) {
    open_cnt += p->session[i].link->orders.open_cnt;
    routed_cnt += p->router->venue[i].open_cnt;
  }
  expect(open_cnt == p->risk->gateway.open_cnt, "gate and sessions count the same orders");
  expect(routed_cnt == open_cnt, "and so does the router");
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++) {
    const struct hwgw_risk_slot *slot = &p->risk->slot[i];
    if (!slot->leaves) continue;
    const struct hwgw_session *link = p->session[*pipeline_venue_of(p, slot->ref)].link;
    const struct hwgw_own_order *own = hwgw_session_orders_find(&link->orders, slot->ref);
    expect(own != NULL, "what the gate has open its session knows");
    bool is_same = own->state == HWGW_OWN_LIVE ? own->leaves == slot->leaves : own->leaves >= slot->leaves;
    expect(is_same, "with the same shares");
  }
}

static void step(struct input *in) {
  bool was_shut[VENUES];
  for (uint32_t i = 0; i < VENUES; i++) was_shut[i] = p->control->halt || halt_has_venue(p->control, i);
  uint8_t what = take(in);
  switch (what & 15) {
    case 0:
    case 1:
    case 2:
      decide(in);
      break;
    case 3:
      parameters(in);
      break;
    case 4:
      halts(in);
      break;
    case 5:
    case 6:
      book(in);
      break;
    case 7:
      feed(in);
      break;
    case 8: /* the link of a venue is cut, and perhaps there again */
      if (venue[what % VENUES].fd >= 0) close(venue[what % VENUES].fd);
      venue[what % VENUES].fd = -1;
      break;
    case 9:
      attach(what % VENUES);
      break;
    default:
      answer(in);
      break;
  }
  p->virtual_ns += (uint64_t)10000 << (what >> 4); /* longer than between two rounds of the sessions */
  hwgw_pipeline_step(p);
  pipeline_flush(p);
  for (uint32_t i = 0; i < VENUES; i++)
    drain(&venue[i], was_shut[i] && (p->control->halt || halt_has_venue(p->control, i)));
  check();
}

/* ---- one pipeline for all inputs, as it was for each ---- */

struct kept {
  void *at;
  void *copy;
  size_t sz;
};
static struct kept kept[16];
static uint32_t kept_cnt;

static void keep(void *at, size_t sz) {
  struct kept *to = &kept[kept_cnt++];
  *to = (struct kept){.at = at, .copy = malloc(sz), .sz = sz};
  if (!to->copy) abort();
  memcpy(to->copy, at, sz);
}

static void set_up(void) {
  static const int64_t least = -BOUND, most = BOUND, usual = 0;
  static const char *const names[] = {"value"};
  static const struct hwgw_strategy desc = {.abi = HWGW_SEGMENT_ABI,
                                            .state_sz_bytes = sizeof(int64_t),
                                            .depth = 1,
                                            .param_cnt = 1,
                                            .name = "any",
                                            .param_names = names,
                                            .param_defaults = &usual,
                                            .param_min = &least,
                                            .param_max = &most,
                                            .init = init,
                                            .fn = on_hook};
  static const char venues[VENUES][16] = {"NORTH", "SOUTH", "WEST"};
  static struct hwgw_limits limits = {.checks_enabled = 1u << HWGW_RISK_REASON_FEED, .ref_age_max_ns = UINT64_MAX};
  static struct hwgw_pipeline_cfg cfg;
  segment =
      segment_made("venues", (struct hwgw_segment_cfg){.instrument_cnt = VENUES * SYMBOLS,
                                                       .symbols = "AAPL    CVLT    AAPL    CVLT    AAPL    CVLT    ",
                                                       .venues = venues[0],
                                                       .venue_cnt = VENUES});
  expect(hwgw_limits_publish(segment, &limits) == 1 && hwgw_arm(segment, 0, true), "limits");
  struct hwgw_session_cfg session[VENUES];
  for (uint32_t i = 0; i < VENUES; i++) {
    session[i] = session_made();
    memcpy(session[i].venue, venues[i], sizeof session[i].venue);
  }
  struct hwgw_strategy_cfg strategy = {.strategy = &desc};
  cfg = (struct hwgw_pipeline_cfg){.segment = segment,
                                   .virtual_clock = true,
                                   .cancel_on_halt = true,
                                   .books = {.instrument_cnt = VENUES * SYMBOLS, .orders_max = 16},
                                   .strategy = &strategy,
                                   .strategy_cnt = 1,
                                   .session = session,
                                   .session_cnt = VENUES,
                                   .router = {.venue_cnt = VENUES, .children_max = 2, .retries_max = 2}};
  for (uint32_t i = 0; i < VENUES; i++)
    cfg.router.venue[i] = (struct hwgw_route_venue){.order_max = 150, .open_max = 16};
  p = pipeline_made(&cfg);
  p->virtual_ns = 1000000;
  struct hwgw_order good = {.kind = HWGW_ORDER_KIND_FEED, .instrument = UINT32_MAX, .qty = 1};
  pipeline_gate(p, &good, NULL);
  for (uint32_t i = 0; i < SYMBOLS; i++) {
    struct hwgw_order ref = {.kind = HWGW_ORDER_KIND_REF, .instrument = i, .px = PX};
    pipeline_gate(p, &ref, NULL);
  }
  for (uint32_t i = 0; i < VENUES * SYMBOLS; i++) p->instrument[i].is_good = true;

  keep(p, sizeof *p);
  keep(p->risk, hwgw_risk_sz_bytes());
  keep(p->router, hwgw_router_sz_bytes());
  keep(p->child, HWGW_RISK_OPEN_ORDERS_MAX * sizeof *p->child);
  keep(p->instrument, VENUES * SYMBOLS * sizeof *p->instrument);
  keep(p->strategy[0].state, sizeof(int64_t));
  keep(hwgw_segment_head(segment), hwgw_segment_head(segment)->hist_offset);
  for (uint32_t i = 0; i < VENUES; i++) {
    struct hwgw_session *link = p->session[i].link;
    link->state = HWGW_SEGMENT_SESSION_STATE_LOST; /* nothing here connects by itself */
    keep(link, offsetof(struct hwgw_session, tx));
    keep(link->orders.order, sizeof link->orders.order);
    keep(&link->orders.execution_cnt, sizeof *link - offsetof(struct hwgw_session, orders.execution_cnt));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  struct input in = {data, len};
  if (!p) set_up();
  for (uint32_t i = 0; i < kept_cnt; i++) memcpy(kept[i].at, kept[i].copy, kept[i].sz);
  memset(is_used, 0, sizeof is_used);
  is_spoiled = false;
  wanted_cnt = 0;
  for (uint32_t i = 0; i < VENUES; i++) {
    venue[i].fd = -1;
    venue[i].next_ref = 1;
    attach(i);
  }
  hwgw_pipeline_step(p);
  p->virtual_ns += 1000000;
  hwgw_pipeline_step(p);
  for (uint32_t i = 0; i < VENUES; i++)
    expect(p->session[i].state == HWGW_SEGMENT_SESSION_STATE_UP, "a good login is up");
  while (in.len) step(&in);
  for (uint32_t i = 0; i < VENUES; i++) {
    if (venue[i].fd >= 0) close(venue[i].fd);
    if (p->session[i].link->fd >= 0) close(p->session[i].link->fd);
  }
  return 0;
}
