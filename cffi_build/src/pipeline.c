/* pipeline.c: from a received frame to order bytes; reading of the data path starts here.
 *
 * SPDX-License-Identifier: MIT
 *
 *   rx -> net -> mold -> itch -> book -> strategy -> risk -> order -> session
 *
 * One thread owns everything below, runs each frame to completion and never waits: no hop, no lock, no allocation, and no
 * system call but the NIC wake-up, the send of orders, and a look at the order session at most every SESSION_US.
 * Every frame, message and order that does not go on increments the one counter of its cause (hwgw/specs/counters.yaml,
 * whose ledgers hold after each step).
 * Here: frame, messages, book, the strategies' turn. What they want goes on in pipeline_order.c, what the gate is told besides
 * orders in pipeline_gate.c, what the venue says comes back by pipeline_venue.c.
 *
 * Times: rx is descriptor to decoder, total is descriptor to encoded order bytes, session is the send; decode and book
 * are taken of every 2^sample_shift-th message, the stages of an order always.
 */
#include "pipeline.h"
#include "pipeline_clock.h"
#include "pipeline_keep.h"
#include "pipeline_repair.h"

#include "book.h"
#include "instruments.h"
#include "itch.h"
#include "risk.h"

/* ---- strategy ---- */

#define ROUTE ((uint64_t)HWGW_ORDER_OPTION_ROUTE << HWGW_ORDER_OPTION_SHIFT)

/* Of what a strategy says beside an order the session is not its to say: a journal with another one could not be restored.
 * Takes the option off: with one venue there is nothing to choose */
static bool is_routed(const struct hwgw_pipeline *p, struct hwgw_order *order) {
  order->venue_ref &= ((uint64_t)1 << HWGW_ORDER_VENUE_SHIFT) - 1;
  if (order->kind != HWGW_ORDER_KIND_NEW || !(order->venue_ref & ROUTE))
    return false; /* the encoder refuses it elsewhere */
  order->venue_ref &= ~ROUTE;
  return p->router != NULL;
}

/* calls one strategy with the hook as it stands and takes its orders */
void pipeline_call(struct hwgw_pipeline *p, uint32_t index, bool sampled) {
  const struct pipeline_strategy *strategy = &p->strategy[index];
  struct hwgw_order *out = p->intent;
  uint64_t t_call = pipeline_lap(p);
  int32_t cnt = strategy->desc->fn(&p->hook, strategy->state, out, INTENTS_MAX);
  p->counters[HWGW_CNT_STRATEGY_CALLS]++;
  if (HWGW_LIKELY(cnt <= 0)) {
    if (sampled) pipeline_stage(p, HWGW_SEGMENT_HIST_STRATEGY, t_call, pipeline_lap(p));
    return;
  }
  pipeline_stage(p, HWGW_SEGMENT_HIST_STRATEGY, t_call, pipeline_lap(p));
  if (HWGW_UNLIKELY(cnt > INTENTS_MAX)) {
    p->counters[HWGW_CNT_STRATEGY_DROP_OVERFLOW] += (uint64_t)(cnt - INTENTS_MAX);
    cnt = INTENTS_MAX;
  }
  uint64_t encoded = p->counters[HWGW_CNT_ORDER_ENCODED];
  for (int32_t i = 0; i < cnt; i++) {
    if (out[i].instrument == UINT32_MAX) out[i].instrument = p->hook.instrument;
    out[i].t_rx = p->t_rx;
    out[i].seq = p->hook.seq;
    if (HWGW_UNLIKELY(out[i].venue_ref != 0) && is_routed(p, &out[i])) {
      pipeline_route(p, strategy, &out[i]);
    } else {
      p->counters[HWGW_CNT_STRATEGY_INTENTS]++;
      pipeline_order(p, strategy, &out[i]);
    }
    out[i] = (struct hwgw_order){0};
  }
  if (p->counters[HWGW_CNT_ORDER_ENCODED] != encoded) pipeline_flush(p);
}

/* the hook of a book update: top or depth, own position, state of feed and trading */
static void hook_book(struct hwgw_pipeline *p, const struct hwgw_event *event, const struct hwgw_tob *top,
                      uint64_t now_ns) {
  struct hwgw_hook *hook = &p->hook;
  uint32_t index = event->instrument;
  struct hwgw_position own;
  hwgw_risk_position(p->risk, pipeline_symbol_of(p, index), &own);
  hook->cause = HWGW_HOOK_CAUSE_BOOK;
  hook->instrument = index;
  hook->flags = (p->instrument[index].is_good ? HWGW_HOOK_FLAGS_FEED_GOOD : 0u) |
                (p->instrument[index].tob_flags & HWGW_SEGMENT_TOB_FLAGS_TRADING ? HWGW_HOOK_FLAGS_TRADING : 0u) |
                (top->bid_px && top->ask_px ? HWGW_HOOK_FLAGS_TWO_SIDED : 0u);
  hook->ts_ns = event->ts_ns;
  hook->now_ns = now_ns;
  hook->seq = event->seq;
  hook->last_px = top->last_px;
  hook->last_qty = top->last_qty;
  hook->position = own.pos;
  hook->open_buy_cnt = own.open_buy_cnt;
  hook->open_sell_cnt = own.open_sell_cnt;
  p->t_rx = event->t_rx;
  if (p->depth_max == 1) {
    hook->depth_cnt = 1;
    hook->bid[0] = (struct hwgw_level){.px = top->bid_px, .cnt = top->bid_cnt, .qty = top->bid_qty};
    hook->ask[0] = (struct hwgw_level){.px = top->ask_px, .cnt = top->ask_cnt, .qty = top->ask_qty};
    return;
  }
  memset(hook->bid, 0, sizeof hook->bid);
  memset(hook->ask, 0, sizeof hook->ask);
  uint32_t bids = hwgw_books_depth(p->books, index, HWGW_ORDER_SIDE_BUY, hook->bid, p->depth_max);
  uint32_t asks = hwgw_books_depth(p->books, index, HWGW_ORDER_SIDE_SELL, hook->ask, p->depth_max);
  hook->depth_cnt = bids > asks ? bids : asks;
}

/* ---- book ---- */

void pipeline_tob(struct hwgw_pipeline *p, uint32_t index, uint64_t ts_ns, struct hwgw_tob *top) {
  struct pipeline_instrument *at = &p->instrument[index];
  bool is_crossed = top->bid_px && top->ask_px && top->bid_px >= top->ask_px;
  p->counters[HWGW_CNT_BOOK_TOP_CHANGES]++;
  if (HWGW_UNLIKELY(is_crossed)) p->counters[HWGW_CNT_BOOK_CROSSED]++;
  at->tob_flags =
      (at->tob_flags & ~(uint32_t)HWGW_SEGMENT_TOB_FLAGS_CROSSED) | (is_crossed ? HWGW_SEGMENT_TOB_FLAGS_CROSSED : 0u);
  if (HWGW_UNLIKELY(is_crossed || at->is_doubtful)) {
    pipeline_doubt(p, index);
    p->counters[HWGW_CNT_BOOK_CROSSED_TRADING] += at->is_doubtful;
  }
  top->flags = at->tob_flags;
  top->ts_ns = ts_ns;

  if (HWGW_UNLIKELY(p->views.depth)) pipeline_views_mark(p, index);
  pipeline_tob_put(p, index, top);
}

void pipeline_tob_put(struct hwgw_pipeline *p, uint32_t index, struct hwgw_tob *top) {
  struct hwgw_tob *row = hwgw_segment_tob(p->segment, index);
  uint32_t lock = row->lock;
  top->lock = lock + 1;
  __atomic_store_n(&row->lock, lock + 1, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  *row = *top;
  __atomic_store_n(&row->lock, lock + 2, __ATOMIC_RELEASE);
}

/* the gate's reference price follows the midpoint (or the last trade): at once when it moves, else every REF_REFRESH_NS */
#define REF_REFRESH_NS 1000000

static void ref_update(struct hwgw_pipeline *p, const struct hwgw_event *event, const struct hwgw_tob *top,
                       uint64_t now_ns) {
  struct pipeline_instrument *at = &p->instrument[event->instrument];
  uint32_t px = 0;
  if (p->ref_is_last) {
    px = top->last_px;
  } else if (top->bid_px && top->ask_px) {
    px = top->bid_px + (top->ask_px - top->bid_px) / 2;
  }
  if (px == 0 || (top->bid_px >= top->ask_px && !p->ref_is_last)) return;
  if (px == at->ref_px && now_ns - at->ref_ts_ns < REF_REFRESH_NS) return;
  at->ref_px = px;
  at->ref_ts_ns = now_ns;
  struct hwgw_order ref = {
      .kind = HWGW_ORDER_KIND_REF, .instrument = pipeline_symbol_of(p, event->instrument), .px = px};
  pipeline_gate_at(p, &ref, NULL, now_ns);
}

/* messages that speak of the instrument, not of orders */
void pipeline_status(struct hwgw_pipeline *p, const struct hwgw_event *event) {
  struct pipeline_instrument *at = &p->instrument[event->instrument];
  uint32_t is_trading = event->flags & HWGW_EVENT_FLAGS_TRADING ? HWGW_SEGMENT_TOB_FLAGS_TRADING : 0u;
  at->tob_flags = (at->tob_flags & ~(uint32_t)HWGW_SEGMENT_TOB_FLAGS_TRADING) | is_trading;
  struct hwgw_tob *row = hwgw_segment_tob(p->segment, event->instrument);
  __atomic_store_n(&row->flags, at->tob_flags, __ATOMIC_RELEASE);
  pipeline_doubt(p, event->instrument);
}

bool pipeline_contradicts(uint32_t outcome) {
  return outcome == HWGW_CNT_BOOK_DROP_UNKNOWN_REF || outcome == HWGW_CNT_BOOK_DROP_DUPLICATE_REF ||
         outcome == HWGW_CNT_BOOK_DROP_QUANTITY || outcome == HWGW_CNT_BOOK_DROP_SIDE ||
         outcome == HWGW_CNT_BOOK_DROP_FULL;
}

void pipeline_decide(struct hwgw_pipeline *p, const struct hwgw_event *event, const struct hwgw_tob *top,
                     bool top_changed, uint64_t now_ns, bool sampled) {
  ref_update(p, event, top, now_ns);
  if (!top_changed || p->strategy_cnt == 0 || p->strategy_is_stopped) return;
  /* it comes while the strategy thinks */
  risk_prefetch_order(p->risk, pipeline_symbol_of(p, event->instrument), p->last_ref + 1);
  hook_book(p, event, top, now_ns);
  for (uint32_t i = 0; i < p->strategy_cnt; i++) {
    if (HWGW_UNLIKELY(p->has_features)) pipeline_features_row(p, &p->strategy[i]);
    pipeline_call(p, i, sampled);
  }
}

void pipeline_applied(struct hwgw_pipeline *p, const struct hwgw_event *event, uint32_t outcome, bool top_changed,
                      uint64_t t_book) {
  p->counters[outcome]++;
  if (event->instrument >= p->instrument_cnt) return; /* a book without segment row: decode and tests */
  fanout_put(&p->fanout, event);
  struct pipeline_instrument *at = &p->instrument[event->instrument];
  if (HWGW_UNLIKELY(at->channel != event->channel)) {
    at->channel = event->channel;
    pipeline_instrument_sync(p, event->instrument);
  }
  if (HWGW_UNLIKELY(pipeline_contradicts(outcome))) pipeline_distrust(p, event->instrument);
  if (event->kind == HWGW_EVENT_KIND_STATUS) pipeline_status(p, event);
  if (HWGW_UNLIKELY(p->has_features)) pipeline_features_trade(p, event, outcome);
  if (HWGW_UNLIKELY(p->views.depth) && outcome == HWGW_CNT_BOOK_UPDATES) pipeline_views_mark(p, event->instrument);
  bool is_print = event->kind == HWGW_EVENT_KIND_TRADE || event->kind == HWGW_EVENT_KIND_CROSS;
  if (!top_changed && !is_print) {
    if (t_book) pipeline_stage(p, HWGW_SEGMENT_HIST_BOOK, t_book, pipeline_lap(p));
    return;
  }
  struct hwgw_tob top = {0};
  hwgw_books_top(p->books, event->instrument, &top);
  pipeline_tob(p, event->instrument, event->ts_ns, &top);
  uint64_t now = pipeline_ticks(p); /* one clock read for all that follows but the strategy's own time */
  uint64_t now_ns = pipeline_ns(p, now);
  if (t_book) pipeline_stage(p, HWGW_SEGMENT_HIST_BOOK, t_book, pipeline_lap_at(p, now));
  pipeline_decide(p, event, &top, top_changed, now_ns, t_book != 0);
  if (HWGW_UNLIKELY(p->has_features) && top_changed) pipeline_views_row(p, event); /* no order waits for it */
}

void pipeline_event(struct hwgw_pipeline *p, struct hwgw_event *event, bool sampled) {
  if (HWGW_UNLIKELY(p->repair_mask) && pipeline_repair_takes(p, event)) return;
  uint64_t t_book = sampled ? pipeline_lap(p) : 0;
  bool top_changed = false;
  uint32_t outcome = HWGW_LIKELY(!p->twin_cnt) ? pipeline_book_apply(p, event, &top_changed)
                                               : pipeline_twins_book(p, event, &top_changed);
  pipeline_applied(p, event, outcome, top_changed, t_book);
  if (HWGW_UNLIKELY(p->twin_cnt)) pipeline_twins_applied(p, event, outcome, top_changed);
}

/* ---- rx, net, mold, itch ---- */

/* asks at once for the lines that the message will most likely need one after the other */
static inline struct hwgw_book_hint expect_event(const struct hwgw_pipeline *p, const struct hwgw_event *event) {
  struct hwgw_book_hint hint = hwgw_book_expect(p->books, event);
  if (HWGW_UNLIKELY(event->instrument >= p->instrument_cnt)) return hint;
  hwgw_prefetch(&p->books->side[event->instrument * HWGW_BOOK_SIDES]);
  hwgw_prefetch(&p->books->side[event->instrument * HWGW_BOOK_SIDES + 1]);
  hwgw_prefetch(&p->instrument[event->instrument]);
  hwgw_prefetch(hwgw_segment_tob(p->segment, event->instrument));
  risk_prefetch_ref(p->risk, event->instrument);
  return hint;
}

/* headers and the first message of a frame whose turn comes next */
static inline void expect_frame(const uint8_t *data) {
  hwgw_prefetch(data);
  hwgw_prefetch(data + HWGW_CACHE_LINE);
}

/* Goes two messages ahead of who applies a packet's messages, and asks for what each will need: the first step of book.h
 * when it is two away, the second when it is next. Believes nothing and changes nothing. */
struct scout {
  struct hwgw_mold_iter iter;
  struct hwgw_event event;
  struct hwgw_book_hint hint;
  bool has_event;
};

static inline void scout_step(const struct hwgw_pipeline *p, struct scout *scout) {
  uint32_t len;
  uint64_t seq;
  if (scout->has_event) (void)hwgw_book_expect_order(p->books, &scout->event, scout->hint);
  scout->has_event = false;
  const uint8_t *message = scout->iter.left ? hwgw_mold_next(&scout->iter, &len, &seq) : NULL;
  if (!message || hwgw_itch_event(message, len, &scout->event)) return;
  scout->event.instrument = hwgw_instruments_known(p->instruments, &scout->event);
  scout->hint = expect_event(p, &scout->event);
  scout->has_event = true;
}

static inline void scout_init(const struct hwgw_pipeline *p, struct scout *scout, uint32_t channel,
                              const struct hwgw_mold_iter *iter) {
  uint32_t len;
  uint64_t seq;
  *scout = (struct scout){.iter = {.cursor = iter->cursor, .left = iter->left}, .event.channel = (uint16_t)channel};
  if (scout->iter.left) hwgw_mold_next(&scout->iter, &len, &seq);
  scout_step(p, scout);
}

/* every message that the iterator gives, to its book and on */
void pipeline_messages(struct hwgw_pipeline *p, uint32_t channel, uint32_t line, struct hwgw_mold_iter *iter,
                       uint64_t t_rx) {
  struct hwgw_event event = {.line = (uint8_t)line, .channel = (uint16_t)channel, .t_rx = t_rx};
  struct scout scout;
  const uint8_t *message;
  uint32_t len;
  scout_init(p, &scout, channel, iter);
  while ((message = hwgw_mold_next(iter, &len, &event.seq)) != NULL) {
    scout_step(p, &scout);
    bool sampled = (event.seq & p->sample_mask) == 0;
    uint64_t t_decode = sampled ? pipeline_lap(p) : 0;
    uint32_t cause = hwgw_itch_decode(message, len, &event);
    if (HWGW_UNLIKELY(cause)) {
      p->counters[cause]++;
      if (cause == HWGW_CNT_ITCH_DROP_LENGTH) { /* a message is lost as surely as by a hole in the sequence */
        hwgw_mold_lose(&p->mold[channel]);
        pipeline_feed_sync(p, channel);
      }
      continue;
    }
    p->counters[HWGW_CNT_ITCH_MESSAGES]++;
    if (HWGW_UNLIKELY(event.ts_ns < p->ts_last[channel])) p->counters[HWGW_CNT_ITCH_TIME_STEPS]++;
    p->ts_last[channel] = event.ts_ns;
    hwgw_instruments_resolve(p->instruments, message, len, &event);
    (void)expect_event(p, &event);
    if (sampled) {
      pipeline_stage(p, HWGW_SEGMENT_HIST_RX, t_rx, t_decode);
      pipeline_stage(p, HWGW_SEGMENT_HIST_DECODE, t_decode, pipeline_lap(p));
    }
    pipeline_event(p, &event, sampled);
  }
}

void pipeline_frame(struct hwgw_pipeline *p, const struct hwgw_frame *frame) {
  struct hwgw_datagram datagram = {frame->data, frame->len, frame->flow};
  if (frame->flow == HWGW_FLOW_NONE) {
    uint32_t cause = hwgw_net_parse(p->flow, p->flow_cnt, frame->data, frame->len, &datagram);
    if (HWGW_UNLIKELY(p->udp_checksum) && !cause) cause = hwgw_net_verify(frame->data, &datagram);
    if (HWGW_UNLIKELY(cause)) {
      p->counters[cause]++;
      return;
    }
  } else if (HWGW_UNLIKELY(frame->flow == HWGW_FLOW_EVENT)) {
    pipeline_card_event(p, frame);
    return;
  }
  const struct hwgw_flow *flow = &p->flow[datagram.flow];
  struct hwgw_mold *mold = &p->mold[flow->channel];
  struct hwgw_mold_iter iter;
  uint64_t now = frame->t_rx;
  uint32_t outcome = HWGW_LIKELY(!p->keeps_frames) ? hwgw_mold_packet(mold, flow->line, datagram.data, datagram.len,
                                                                      frame->t_rx, p->counters, &iter)
                                                   : pipeline_keep_packet(p, frame, &datagram, &iter, &now);
  if (HWGW_LIKELY(outcome == HWGW_CNT_MOLD_FRAMES)) {
    p->t_packet[flow->channel] = now;
  } else if (pipeline_feed_odd(p, flow->channel, flow->line, outcome)) { /* a new session: the packet is its first */
    outcome = hwgw_mold_packet(mold, flow->line, datagram.data, datagram.len, frame->t_rx, p->counters, &iter);
    if (mold->t_hole == frame->t_rx) mold->t_hole = now;
  }
  p->counters[outcome]++;
  if (HWGW_UNLIKELY(mold->state != p->channel_state[flow->channel] || mold->is_stale)) {
    pipeline_feed_changed(p, flow->channel, outcome, &iter);
  }
  pipeline_messages(p, flow->channel, flow->line, &iter, frame->t_rx);
  if (HWGW_UNLIKELY(mold->state != p->channel_state[flow->channel])) pipeline_feed_sync(p, flow->channel);
}

void hwgw_pipeline_frames(struct hwgw_pipeline *p, const uint8_t *data, const uint32_t *lens, uint32_t cnt) {
  for (uint32_t i = 0; i < cnt; i++) {
    struct hwgw_frame frame = {.data = data, .len = lens[i], .flow = HWGW_FLOW_NONE, .t_rx = pipeline_lap(p)};
    p->counters[HWGW_CNT_RX_FRAMES]++;
    p->counters[HWGW_CNT_RX_BYTES] += frame.len;
    if (i + 1 < cnt) expect_frame(data + frame.len);
    pipeline_frame(p, &frame);
    data += frame.len;
  }
}

bool hwgw_pipeline_step(struct hwgw_pipeline *p) {
  uint32_t cnt = p->rx ? hwgw_rx_poll(p->rx, p->frame, p->batch) : 0;
  for (uint32_t i = 0; i < cnt; i++) {
    if (i + 1 < cnt) expect_frame(p->frame[i + 1].data);
    pipeline_frame(p, &p->frame[i]);
  }
  if (cnt) hwgw_rx_release(p->rx);
  if (HWGW_UNLIKELY(p->rules.cnt)) pipeline_rule_look(p);
  p->counters[HWGW_CNT_PIPELINE_LOOPS]++;
  pipeline_clock(p);
  uint64_t now = pipeline_ticks(p);
  if (now - p->t_session >= p->session_ticks) {
    p->t_session = now;
    pipeline_venue(p);
    if (HWGW_UNLIKELY(p->twin_cnt)) pipeline_twins_poll(p);
    pipeline_entry(p);
    if (HWGW_UNLIKELY((p->is_halted || p->has_halted_instrument) && p->cancel_on_halt)) pipeline_cancel_halted(p, now);
    if (HWGW_UNLIKELY(p->cancel_ref)) pipeline_cancel_pending(p, now);
    if (HWGW_UNLIKELY(p->left_open)) pipeline_cancel_left_open(p, now);
    if (HWGW_UNLIKELY(p->open_mask)) pipeline_feed_poll(p, now);
  }
  /* an order looks for itself; without one new limits would wait for the housekeeping */
  if (HWGW_UNLIKELY(__atomic_load_n(&p->control->limits_generation, __ATOMIC_RELAXED) != p->limits_generation))
    pipeline_control(p);
  pipeline_halts(p);
  if (HWGW_UNLIKELY(p->views.words)) pipeline_views_show(p);
  if (now - p->t_house >= p->house_ticks) {
    p->t_house = now;
    hwgw_pipeline_publish(p);
  }
  if (HWGW_UNLIKELY(p->rules.cnt)) pipeline_rule_round(p);
  return cnt != 0;
}
