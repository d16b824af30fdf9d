/* pipeline_run.c: opening, running and closing a pipeline, and its housekeeping.
 *
 * SPDX-License-Identifier: MIT
 *
 * Housekeeping every HOUSE_US: receive statistics, feed age, control words (so that halt, limits and heartbeat are seen
 * without traffic too) and the thread's block of the segment.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "breaker.h"
#include "halt.h"
#include "pipeline.h"
#include "pipeline_clock.h"
#include "pipeline_keep.h"
#include "risk.h"
#include "segment.h"
#include "session.h"

#define SESSION_US 5
#define HOUSE_US 1000
#define DRAIN_MS 1000     /* at most so long for cancels and logout to be answered */
#define RING_FRAMES 65536 /* more than a ring has: what comes behind so many came after the stop */
#define RING_MS 3000      /* nor longer: a simulated card takes some 50 us for each */
#define CANCEL_ROUNDS 4 /* in which what is still open is cancelled once more: a full send buffer may have dropped it */
#define BATCH_DEFAULT 64

static void *zeroed(size_t sz) {
  void *memory = NULL;
  size_t whole = (sz + HWGW_BLOCK_ALIGN - 1) / HWGW_BLOCK_ALIGN * HWGW_BLOCK_ALIGN;
  if (posix_memalign(&memory, HWGW_BLOCK_ALIGN, whole) != 0) return NULL;
  return memset(memory, 0, whole);
}

static int32_t no_memory(struct hwgw_error *error, const char *what) {
  return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "no memory for %s", what);
}

static int32_t open_feed(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error) {
  if (cfg->rx.flow_cnt > HWGW_FLOWS_MAX || cfg->channel_cnt > HWGW_CHANNELS_MAX) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "%u flows and %u channels: at most %u and %u are allowed",
                          cfg->rx.flow_cnt, cfg->channel_cnt, HWGW_FLOWS_MAX, HWGW_CHANNELS_MAX);
  }
  p->flow_cnt = cfg->rx.flow_cnt;
  for (uint32_t i = 0; i < p->flow_cnt; i++) {
    p->flow[i] = cfg->rx.flows[i];
    if (p->flow[i].channel >= cfg->channel_cnt || p->flow[i].line >= cfg->channel[p->flow[i].channel].line_cnt) {
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "flow %u speaks of channel %u line %u, which is not configured",
                            i, p->flow[i].channel, p->flow[i].line);
    }
  }
  uint32_t max = cfg->dynamic_instruments ? cfg->books.instrument_cnt : p->instrument_cnt;
  int32_t status = hwgw_instruments_open(&p->instruments, hwgw_segment_symbols(cfg->segment), p->symbol_cnt, max,
                                         cfg->dynamic_instruments, error);
  for (uint32_t i = 0; !status && i < cfg->channel_cnt; i++)
    hwgw_instruments_base(p->instruments, i, p->channel_venue[i] * p->symbol_cnt);
  if (!status) status = hwgw_books_open(&p->books, &cfg->books, error);
  if (!status) status = pipeline_feed_open(p, cfg, error);
  if (status || !cfg->rx.backend) return status;
  p->is_card = strcmp(cfg->rx.backend, "card") == 0;
  status = hwgw_rx_open(&p->rx, &cfg->rx, error);
  if (!status) {
    struct hwgw_segment_header *head = hwgw_segment_head(cfg->segment);
    snprintf(head->backend, sizeof head->backend, "%s", cfg->rx.backend);
    snprintf(head->receive, sizeof head->receive, "%s", hwgw_rx_describe(p->rx));
  }
  return status;
}

/* at least the parameters fit: without an init they are the first words of the state */
static size_t state_sz(const struct hwgw_strategy *desc) {
  size_t params = (desc->param_cnt + 1) * sizeof(int64_t);
  return desc->state_sz_bytes > params ? desc->state_sz_bytes : params;
}

static int32_t open_strategies(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error) {
  p->depth_max = 1;
  for (uint32_t i = 0; i < cfg->strategy_cnt; i++) {
    const struct hwgw_strategy_cfg *from = &cfg->strategy[i];
    struct pipeline_strategy *to = &p->strategy[i];
    if (from->id >= HWGW_RISK_STRATEGIES_MAX || from->account >= HWGW_RISK_ACCOUNTS_MAX) {
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                            "strategy '%s' has id %u and account %u: below %u and %u are allowed", from->strategy->name,
                            from->id, from->account, (unsigned)HWGW_RISK_STRATEGIES_MAX,
                            (unsigned)HWGW_RISK_ACCOUNTS_MAX);
    }
    if (from->mode != p->mode) /* one on paper would reach the session */
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "strategy '%s' has mode %u, its pipeline %u",
                            from->name ? from->name : from->strategy->name, from->mode, p->mode);
    *to = (struct pipeline_strategy){
        .desc = from->strategy, .state = zeroed(state_sz(from->strategy)), .id = from->id, .account = from->account};
    p->strategy_cnt = i + 1;
    if (!to->state) return no_memory(error, "the state of a strategy");
    int32_t status = pipeline_exposure_open(p, to, from->name, error);
    if (status) return status;
    to->row->mode = from->mode;
    to->row->of = from->of;
    status = pipeline_params_open(p, to, from, error);
    if (status) return status;
    if (to->desc->depth > p->depth_max) p->depth_max = to->desc->depth;
    status = from->features ? pipeline_features_open(p, to, from->features, error) : HWGW_OK;
    if (status) return status;
  }
  return HWGW_OK;
}

static int32_t open_orders(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error) {
  p->risk = zeroed(hwgw_risk_sz_bytes());
  p->breaker = zeroed(hwgw_breaker_sz_bytes());
  if (!p->risk || !p->breaker) return no_memory(error, "the risk gate");
  hwgw_risk_init(p->risk);
  hwgw_breaker_init(p->breaker);
  for (uint32_t i = 0; i < cfg->session_cnt; i++) {
    struct hwgw_session_cfg session = cfg->session[i];
    session.symbols = hwgw_segment_symbols(cfg->segment);
    session.instrument_cnt = p->symbol_cnt;
    struct pipeline_session *to = &p->session[i];
    int32_t status = hwgw_session_open(&to->link, &session, error);
    if (status) return status;
    p->session_cnt = i + 1;
    to->link->number = (uint16_t)i;
    to->halts_alone = session.halts_alone;
    to->row = &p->thread->session[i];
    *to->row = (struct hwgw_session_row){
        .protocol = session.protocol, .address = session.address, .port = session.port, .changed_ns = hwgw_now_ns()};
    memcpy(to->row->venue, session.venue, sizeof to->row->venue);
  }
  if (!p->live) p->thread->session_cnt = p->session_cnt;
  if (!pipeline_has_venues(p)) return HWGW_OK;
  p->router = zeroed(hwgw_router_sz_bytes());
  return p->router ? pipeline_route_open(p, &cfg->router, error) : no_memory(error, "the router");
}

/* instruments are symbols at a venue: the segment has a row of each symbol per session */
static int32_t open_venues(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error) {
  uint32_t cnt = cfg->session_cnt ? cfg->session_cnt : 1;
  p->symbol_cnt = p->instrument_cnt / cnt;
  if (cnt > HWGW_SEGMENT_SESSIONS_MAX || p->instrument_cnt % cnt)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "%u order sessions and %u instruments: at most %u, and each has as many instruments", cnt,
                          p->instrument_cnt, HWGW_SEGMENT_SESSIONS_MAX);
  for (uint32_t i = 0; i < cfg->channel_cnt && i < HWGW_CHANNELS_MAX; i++) {
    if (cfg->channel[i].venue >= cnt)
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "channel %u tells of venue %u; there are %u", i,
                            cfg->channel[i].venue, cnt);
    p->channel_venue[i] = cfg->channel[i].venue;
  }
  return HWGW_OK;
}

/* the books of a live pipeline, of which its twin sees every event */
static int32_t share_feed(struct hwgw_pipeline *p, struct hwgw_error *error) {
  if (p->instrument_cnt != p->live->instrument_cnt)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "a twin of %u instruments; its pipeline has %u", p->instrument_cnt,
                          p->live->instrument_cnt);
  p->symbol_cnt = p->live->symbol_cnt;
  p->books = p->live->books;
  p->instruments = p->live->instruments;
  return HWGW_OK;
}

int32_t hwgw_pipeline_open(struct hwgw_pipeline **pipeline, const struct hwgw_pipeline_cfg *cfg,
                           struct hwgw_error *error) {
  int32_t status = pipeline_open(pipeline, cfg, NULL, HWGW_SEGMENT_STRATEGY_MODE_LIVE, error);
  if (status || !cfg->twin_cnt) return status;
  status = pipeline_twins_open(*pipeline, cfg, error);
  if (status) {
    hwgw_pipeline_close(*pipeline);
    *pipeline = NULL;
  }
  return status;
}

int32_t pipeline_open(struct hwgw_pipeline **pipeline, const struct hwgw_pipeline_cfg *cfg, struct hwgw_pipeline *live,
                      uint32_t mode, struct hwgw_error *error) {
  bool is_live = mode == HWGW_SEGMENT_STRATEGY_MODE_LIVE;
  if (is_live == (live != NULL) || (!is_live && cfg->session_cnt))
    return hwgw_error_set(
        error, HWGW_ERR_CONFIG, 0, "a pipeline of mode %u %s", mode,
        cfg->session_cnt ? "with a session: only live orders are sent" : "beside none, or a live one beside another");
  struct hwgw_pipeline *p = zeroed(sizeof *p);
  if (!p) return no_memory(error, "a pipeline");
  p->live = live;
  p->mode = mode;
  p->keeps_frames = cfg->journal_frames && is_live && hwgw_segment_journal(cfg->segment, cfg->thread);
  p->is_virtual = cfg->virtual_clock || p->keeps_frames;
  uint64_t ticks_per_us = pipeline_hz(p) / 1000000;
  hwgw_now_ns(); /* the clock is anchored before the first frame */
  pipeline_clock(p);
  p->segment = cfg->segment;
  p->control = hwgw_segment_control(cfg->segment);
  p->thread = hwgw_segment_thread(cfg->segment, cfg->thread);
  p->counters = hwgw_segment_counters(cfg->segment, cfg->thread);
  for (uint32_t i = 0; i < HWGW_SEGMENT_HIST_CNT; i++) p->hist[i] = hwgw_segment_hist(cfg->segment, cfg->thread, i);
  p->instrument_cnt = hwgw_segment_head(cfg->segment)->instrument_cnt;
  p->batch = cfg->batch ? cfg->batch : BATCH_DEFAULT;
  if (p->batch > HWGW_BATCH_MAX) p->batch = HWGW_BATCH_MAX;
  p->udp_checksum = cfg->udp_checksum;
  p->sample_mask = ((uint64_t)1 << (cfg->sample_shift & 31)) - 1;
  p->session_ticks = SESSION_US * ticks_per_us;
  p->house_ticks = HOUSE_US * ticks_per_us;
  p->ref_is_last = cfg->ref_is_last;
  p->end_with_feed = cfg->end_with_feed;
  p->cancel_on_halt = cfg->cancel_on_halt;
  p->stale_halt_ns = cfg->stale_halt_ns;
  p->receive_is_up = p->kept_up = true; /* frames may be pushed without a receive path */
  journal_init(&p->journal, cfg->segment, cfg->thread);
  fanout_init(&p->fanout, cfg->segment, cfg->thread);
  p->journal_stall_ns = cfg->journal_stall_ns;
  p->cpu = cfg->cpu;
  p->fifo_priority = cfg->fifo_priority;
  p->instrument = zeroed(p->instrument_cnt * sizeof *p->instrument + 1);

  int32_t status = p->keeps_frames ? pipeline_keep_check(cfg, error) : HWGW_OK;
  if (!status) status = segment_resident(cfg->segment, error);
  if (!status && !live) status = open_venues(p, cfg, error); /* a twin has those of its live pipeline */
  if (!status && !p->instrument) status = no_memory(error, "the instruments");
  if (!status) status = live ? share_feed(p, error) : open_feed(p, cfg, error);
  for (uint32_t i = 0; !status && i < p->instrument_cnt; i++) {
    p->instrument[i].is_sound = true;
    p->instrument[i].channel = p->channel_cnt == 1 ? 0 : UINT16_MAX;
  }
  if (!status) status = open_strategies(p, cfg, error);
  if (!status) status = pipeline_views_open(p, error);
  if (!status) status = open_orders(p, cfg, error);
  if (!status) status = pipeline_judge_open(p, cfg, error);
  if (!status) status = pipeline_rule_open(p, cfg, error);
  if (!status) status = pipeline_restore(p, cfg, error);
  if (status) {
    hwgw_pipeline_close(p);
    return status;
  }
  for (uint32_t i = 0; i < p->session_cnt; i++) p->session[i].link->journal = &p->journal;
  pipeline_clock(p); /* what was rebuilt is not younger */
  pipeline_control(p);
  pipeline_restored(p, cfg->replay_cnt != 0);
  *pipeline = p;
  return HWGW_OK;
}

void hwgw_pipeline_close(struct hwgw_pipeline *p) {
  if (!p) return;
  pipeline_twins_close(p);
  for (uint32_t i = 0; i < p->session_cnt; i++) hwgw_session_close(p->session[i].link);
  pipeline_judge_close(p);
  hwgw_rx_close(p->rx);
  if (!p->live) {
    pipeline_feed_close(p);
    hwgw_books_close(p->books);
    hwgw_instruments_close(p->instruments);
  }
  for (uint32_t i = 0; i < p->strategy_cnt; i++) {
    free(p->strategy[i].state);
    free(p->strategy[i].pos);
    hwgw_features_close(p->strategy[i].features);
  }
  hwgw_features_close(p->views.features);
  free(p->risk);
  free(p->breaker);
  free(p->router);
  free(p->child);
  free(p->instrument);
  free(p);
}

/* a path that was opened anew may be of another mode; why it is not the backend one would expect stays true */
static void receive_describe(struct hwgw_pipeline *p) {
  struct hwgw_segment_header *head = hwgw_segment_head(p->segment);
  char why[sizeof head->receive + 1] = "";
  const char *from = strstr(head->receive, "; no afxdp: ");
  if (from) snprintf(why, sizeof why, "%s", from);
  snprintf(head->receive, sizeof head->receive, "%s%s", hwgw_rx_describe(p->rx), why);
  p->receive_reopens = p->counters[HWGW_CNT_RX_REOPENS];
}

static void receive_state(struct hwgw_pipeline *p) {
  if (HWGW_UNLIKELY(p->counters[HWGW_CNT_RX_REOPENS] != p->receive_reopens)) receive_describe(p);
  uint32_t state = hwgw_rx_state(p->rx);
  p->receive_is_up = state == HWGW_SEGMENT_RECEIVE_STATE_UP;
  p->thread->receive_state = state;
  const char *reason = hwgw_rx_reason(p->rx);
  size_t sz = sizeof p->thread->receive_reason;
  if (strncmp(p->thread->receive_reason, reason, sz - 1) != 0) snprintf(p->thread->receive_reason, sz, "%s", reason);
}

/* The gate refuses as soon as a beat is late and goes on with the next one. A control plane that stays away is another
 * matter: then a person has to look. */
static void stale_halt(struct hwgw_pipeline *p) {
  uint64_t beat_ns = p->risk->last_beat;
  if (!p->stale_halt_ns || !beat_ns || !risk_is_on(p->risk, HWGW_RISK_REASON_CONTROL_STALE)) return;
  uint64_t now_ns = pipeline_now_ns(p);
  uint64_t age_ns = now_ns > beat_ns ? now_ns - beat_ns : 0;
  if (HWGW_LIKELY(age_ns <= p->risk->limits->beat_age_max_ns ||
                  age_ns - p->risk->limits->beat_age_max_ns <= p->stale_halt_ns))
    return;
  char text[96];
  snprintf(text, sizeof text, "no heartbeat of the control process for %llu ms",
           (unsigned long long)(age_ns / 1000000));
  if (hwgw_halt(p->segment, HWGW_RISK_REASON_CONTROL_STALE, text)) pipeline_control(p);
}

void pipeline_halts(struct hwgw_pipeline *p) {
  uint64_t seq = __atomic_load_n(&p->control->halt_seq, __ATOMIC_ACQUIRE);
  if (HWGW_LIKELY(seq == p->halt_seq)) return;
  pipeline_rule_return(p);
  p->halt_seq = seq;
  p->t_cancel = 0;
  pipeline_control(p);
  pipeline_venue_halts(p);
  p->has_halted_instrument = false;
  for (uint32_t i = 0; i < p->instrument_cnt; i++) p->has_halted_instrument |= halt_has_instrument(p->control, i);
  __atomic_store_n(&p->thread->halt_seq_ack, seq, __ATOMIC_RELEASE);
}

/* no order leaves while nobody takes what is put to disk */
static void journal_watch(struct hwgw_pipeline *p, uint64_t now_ns) {
  const struct hwgw_journal_ring *ring = p->journal.ring;
  if (!ring || !p->journal_stall_ns) return;
  uint32_t error = __atomic_load_n(&ring->error, __ATOMIC_ACQUIRE);
  uint64_t alive_ns = __atomic_load_n(&ring->alive_ns, __ATOMIC_ACQUIRE);
  if (HWGW_UNLIKELY(error)) {
    char text[96];
    snprintf(text, sizeof text, "the journal cannot be written: %s", strerror((int)error));
    hwgw_halt(p->segment, HWGW_RISK_REASON_JOURNAL, text);
  } else if (HWGW_UNLIKELY(p->journal.is_broken)) {
    hwgw_halt(p->segment, HWGW_RISK_REASON_JOURNAL, "the ring of the journal was full: it ends there; start again");
  } else if (HWGW_UNLIKELY(now_ns > alive_ns + p->journal_stall_ns)) {
    hwgw_halt(p->segment, HWGW_RISK_REASON_JOURNAL, "the journal's writer is stopped, or its disk hangs");
  }
}

void hwgw_pipeline_publish(struct hwgw_pipeline *p) {
  pipeline_clock(p);
  uint64_t now = pipeline_ticks(p);
  p->counters[HWGW_CNT_PIPELINE_HOUSEKEEPING]++;
  if (p->rx) {
    hwgw_rx_stats(p->rx, p->counters);
    receive_state(p);
    if (p->is_card) pipeline_card_age(p, now);
  }
  journal_watch(p, pipeline_ns(p, now));
  pipeline_judge_house(p, now);
  pipeline_control(p);
  stale_halt(p);
  pipeline_halts(p);
  pipeline_cancel_asked(p);
  pipeline_params(p);
  pipeline_feed_age(p, now);
  pipeline_exposure_publish(p);
  for (uint32_t i = 0; i < p->session_cnt; i++) pipeline_session_publish(p, i);
  if (p->views.words) pipeline_views_show(p);
  p->thread->open_cnt = pipeline_open_orders(p);
  p->thread->open_notional = p->risk->gateway.open_notional;
  p->thread->next_seq = p->channel_cnt ? p->mold[0].next_seq : 0;
  p->thread->last_ref = p->last_ref;
  p->thread->is_reconciling = p->is_reconciling;
  __atomic_store_n(&p->thread->alive_ns, pipeline_ns(p, now), __ATOMIC_RELEASE);
  if (HWGW_UNLIKELY(p->twin_cnt)) pipeline_twins_publish(p);
}

static bool feed_ended(const struct hwgw_pipeline *p) {
  if (p->rx && hwgw_rx_ended(p->rx)) return true;
  for (uint32_t i = 0; i < p->channel_cnt; i++) {
    if (p->mold[i].state != HWGW_SEGMENT_FEED_STATE_ENDED) return false;
  }
  return p->channel_cnt > 0;
}

static bool is_stopping(const struct hwgw_pipeline *p) {
  return __atomic_load_n(&p->control->stop, __ATOMIC_ACQUIRE) || (p->end_with_feed && feed_ended(p));
}

/* rounds until done says so or the time is over; the feed goes on being counted */
static void drain(struct hwgw_pipeline *p, bool (*done)(const struct hwgw_pipeline *), uint64_t ms) {
  uint64_t end = hwgw_now_ns() + ms * 1000000u;
  while (!done(p) && hwgw_now_ns() < end) hwgw_pipeline_step(p);
}

static bool no_open_orders(const struct hwgw_pipeline *p) {
  return !pipeline_any_session(p, HWGW_SEGMENT_SESSION_STATE_UP) || pipeline_open_orders(p) == 0;
}

static bool logged_out(const struct hwgw_pipeline *p) {
  return !pipeline_any_session(p, HWGW_SEGMENT_SESSION_STATE_LOGGING_OUT);
}

void hwgw_pipeline_run(struct hwgw_pipeline *p) {
  p->thread->tid = (uint32_t)syscall(SYS_gettid);
  p->thread->session_state = p->session[0].state;
  p->thread->state = HWGW_SEGMENT_THREAD_STATE_RUNNING;
  pipeline_twins_state(p, HWGW_SEGMENT_THREAD_STATE_RUNNING);
  while (!is_stopping(p)) {
    if (!hwgw_pipeline_step(p)) hwgw_pause();
  }
  p->thread->state = HWGW_SEGMENT_THREAD_STATE_DRAINING;
  p->strategy_is_stopped = true;
  pipeline_rule_return(p); /* what it made is cancelled with the rest, and nothing comes behind that */
  pipeline_clock(p);
  if (p->keeps_frames) pipeline_keep_input(p, HWGW_JOURNAL_INPUT_KIND_STOP, 0, 0);
  pipeline_twins_state(p, HWGW_SEGMENT_THREAD_STATE_DRAINING);
  if (p->session_cnt) {
    for (uint32_t i = 0; i < CANCEL_ROUNDS && !no_open_orders(p); i++) {
      pipeline_cancel_all(p, i == 0);
      drain(p, no_open_orders, DRAIN_MS / CANCEL_ROUNDS);
    }
    for (uint32_t i = 0; i < p->session_cnt; i++) {
      if (p->session[i].state != HWGW_SEGMENT_SESSION_STATE_UP) continue;
      hwgw_session_logout(p->session[i].link);
      p->session[i].state = hwgw_session_state(p->session[i].link);
    }
    drain(p, logged_out, DRAIN_MS);
  }
  /* what the ring still holds is ours to count; a feed that never pauses does not keep us */
  uint64_t end = hwgw_now_ns() + (uint64_t)RING_MS * 1000000u;
  for (uint32_t taken = 0; p->rx && taken < RING_FRAMES; taken += p->batch) {
    if (!hwgw_pipeline_step(p) || hwgw_now_ns() >= end) break;
  }
  pipeline_feed_finish(p);
  if (pipeline_open_orders(p)) { /* the next gateway of this name starts halted, too */
    hwgw_halt(p->segment, HWGW_RISK_REASON_SESSION, "it stopped with orders that may still be open at the venue");
  }
  hwgw_pipeline_publish(p);
  pipeline_twins_state(p, HWGW_SEGMENT_THREAD_STATE_STOPPED);
  p->thread->state = HWGW_SEGMENT_THREAD_STATE_STOPPED;
}

const struct hwgw_books *hwgw_pipeline_books(const struct hwgw_pipeline *p) {
  return p->books;
}

const struct hwgw_risk *hwgw_pipeline_risk(const struct hwgw_pipeline *p) {
  return p->risk;
}

const struct hwgw_instruments *hwgw_pipeline_instruments(const struct hwgw_pipeline *p) {
  return p->instruments;
}
