/* pipeline_feed.c: what the books of a channel are worth, and how they become right again.
 *
 * SPDX-License-Identifier: MIT
 *
 * An instrument is good while its channel is whole and current, no message contradicted its book, and the book is not
 * crossed while it trades; a book that stays so for DOUBT_MS is wrong like a contradicted one. The gate is told of
 * every change before the next order, the row of the shared segment and the hook carry it. While a hole is open the
 * channel is not good, for nobody can know what is in it. recover.c decides what is done about holes; its actions are
 * carried out here, and what servers answer takes the same way as packets of the lines. A snapshot replaces the books of
 * the channel: from its first message to its end nothing else is applied. Where frames are kept, what servers say and are
 * told is on record, and a round of recovery that does something (pipeline_keep.c).
 * Cost: nothing while every channel is whole but a test of open_mask. Thread: the pipeline's.
 */
#include <stdlib.h>

#include "pipeline.h"
#include "pipeline_clock.h"
#include "pipeline_keep.h"
#include "pipeline_repair.h"
#include "soup.h"

#define RESTART_PACKETS 3 /* of a stale channel, all known already: the sequence has begun again */
#define DOUBT_MS 1000u
#define ACTIONS_MAX 8 /* per look at a channel; the rest waits for the next */

/* ---- good or not ---- */

void pipeline_instrument_sync(struct hwgw_pipeline *p, uint32_t index) {
  struct pipeline_instrument *at = &p->instrument[index];
  bool is_good = at->is_sound && !at->is_doubtful && at->channel < p->channel_cnt &&
                 p->channel_state[at->channel] == HWGW_SEGMENT_FEED_STATE_GOOD;
  if (is_good == at->is_good) return;
  at->is_good = is_good;
  at->tob_flags ^= HWGW_SEGMENT_TOB_FLAGS_FEED_GOOD;
  uint32_t symbol = pipeline_symbol_of(p, index);
  bool is_any_good = is_good;
  for (uint32_t i = symbol; i < p->instrument_cnt && p->session_cnt > 1; i += p->symbol_cnt)
    is_any_good |= p->instrument[i].is_good;
  struct hwgw_order event = {.kind = HWGW_ORDER_KIND_FEED, .instrument = symbol, .qty = is_any_good};
  pipeline_gate(p, &event, NULL);
  struct hwgw_event shared = {.kind = HWGW_EVENT_KIND_FEED,
                              .instrument = index,
                              .channel = at->channel,
                              .qty = is_good,
                              .t_rx = pipeline_lap(p)};
  fanout_put(&p->fanout, &shared);
  struct hwgw_tob *row = hwgw_segment_tob(p->segment, index);
  __atomic_store_n(&row->flags, at->tob_flags, __ATOMIC_RELEASE); /* one word: readers need no lock for it */
  if (HWGW_UNLIKELY(p->twin_cnt)) pipeline_twins_good(p, index, is_any_good);
}

void pipeline_distrust(struct hwgw_pipeline *p, uint32_t index) {
  struct pipeline_instrument *at = &p->instrument[index];
  p->counters[HWGW_CNT_BOOK_UNSOUND] += at->is_sound;
  at->is_sound = false;
  pipeline_instrument_sync(p, index);
  pipeline_repair_want(p, at->channel);
}

void pipeline_doubt(struct hwgw_pipeline *p, uint32_t index) {
  const uint32_t both = HWGW_SEGMENT_TOB_FLAGS_CROSSED | HWGW_SEGMENT_TOB_FLAGS_TRADING;
  struct pipeline_instrument *at = &p->instrument[index];
  bool is_doubtful = (at->tob_flags & both) == both;
  if (is_doubtful == at->is_doubtful) return;
  at->is_doubtful = is_doubtful;
  at->t_doubtful = pipeline_ticks(p);
  p->doubtful_cnt += is_doubtful ? 1u : UINT32_MAX;
  pipeline_instrument_sync(p, index);
}

/* a market that trades takes orders that meet out of its book at once: one that shows them for so long is not the market's */
static bool is_overdue(const struct hwgw_pipeline *p, uint32_t index, uint64_t now) {
  const uint64_t patience = DOUBT_MS * (pipeline_hz(p) / 1000);
  const struct pipeline_instrument *at = &p->instrument[index];
  return at->is_doubtful && at->is_sound && now > at->t_doubtful && now - at->t_doubtful > patience;
}

static void doubts_age(struct hwgw_pipeline *p, uint64_t now) {
  for (uint32_t i = 0; i < p->instrument_cnt; i++)
    if (is_overdue(p, i, now)) pipeline_distrust(p, i);
}

static void channel_publish(struct hwgw_pipeline *p, uint32_t channel) {
  const struct hwgw_mold *mold = &p->mold[channel];
  const struct hwgw_recover *recover = &p->recover[channel];
  struct hwgw_channel *row = hwgw_segment_channel(p->segment, p->thread_idx, channel);
  row->state = mold->state;
  row->line_cnt = mold->line_cnt;
  memcpy(row->session, mold->session, sizeof mold->session);
  row->next_seq = mold->next_seq;
  row->seen_seq = mold->seen_seq;
  row->missing_cnt = mold->missing_cnt;
  row->held_cnt = mold->held_cnt;
  row->sessions = mold->session_cnt;
  row->repairs = recover->repairs;
  row->requests = recover->requests;
  row->snapshots = recover->loaded;
  row->snapshot_failures = recover->failures;
  row->changed_ns = p->t_changed[channel];
  for (uint32_t i = 0; i <= HWGW_LINE_RECOVERY; i++) {
    const struct hwgw_mold_line *line = &mold->line[i];
    row->line_frames[i] = line->frames;
    row->line_first[i] = line->first;
    row->line_late[i] = line->late;
    row->line_missed[i] = line->missed;
    row->line_next_seq[i] = line->next_seq;
    if (i < HWGW_LINES_MAX) memcpy(&row->line_lag[i * HWGW_LAG_SLOTS], line->lag, sizeof line->lag);
  }
}

/* for people: which states a channel went through, and when; the oldest go */
static void change_record(struct hwgw_pipeline *p, uint32_t channel) {
  const struct hwgw_mold *mold = &p->mold[channel];
  struct hwgw_channel *row = hwgw_segment_channel(p->segment, p->thread_idx, channel);
  uint64_t number = row->change_cnt + 1;
  row->change[number % HWGW_SEGMENT_CHANGES_MAX] = (struct hwgw_feed_change){.number = number,
                                                                             .ts_ns = hwgw_realtime_ns(),
                                                                             .next_seq = mold->next_seq,
                                                                             .missing_cnt = mold->missing_cnt,
                                                                             .from = p->channel_state[channel],
                                                                             .to = mold->state};
  __atomic_store_n(&row->change_cnt, number, __ATOMIC_RELEASE);
}

void pipeline_feed_sync(struct hwgw_pipeline *p, uint32_t channel) {
  struct hwgw_mold *mold = &p->mold[channel];
  if (mold->state != p->channel_state[channel]) change_record(p, channel);
  p->channel_state[channel] = mold->state;
  p->t_changed[channel] = pipeline_now_ns(p);
  p->thread->feed_state = mold->state;
  if (mold->slot && (mold->is_open || mold->is_lost)) p->open_mask |= 1u << channel;
  for (uint32_t i = 0; i < p->instrument_cnt; i++) {
    if (p->instrument[i].channel == channel) pipeline_instrument_sync(p, i);
  }
  channel_publish(p, channel);
}

/* ---- books begin anew ---- */

void pipeline_shared_clear(struct hwgw_pipeline *p, uint32_t index) {
  struct hwgw_event event = {.kind = HWGW_EVENT_KIND_CLEAR,
                             .line = HWGW_LINE_RECOVERY,
                             .instrument = index,
                             .channel = p->instrument[index].channel,
                             .t_rx = pipeline_lap(p)};
  fanout_put(&p->fanout, &event);
}

/* A channel's instruments are those its messages named. With one channel they are all there are. */
static bool is_of(const struct hwgw_pipeline *p, uint32_t index, uint32_t channel) {
  return p->channel_cnt == 1 || p->instrument[index].channel == channel;
}

static void books_clear(struct hwgw_pipeline *p, uint32_t channel) {
  pipeline_repair_reset(p, channel);
  if (p->channel_cnt == 1) hwgw_books_clear(p->books);
  for (uint32_t i = 0; i < p->instrument_cnt; i++) {
    if (!is_of(p, i, channel)) continue;
    if (p->channel_cnt > 1) hwgw_books_clear_instrument(p->books, i);
    p->instrument[i].is_sound = true;
    pipeline_shared_clear(p, i);
    pipeline_features_reset(p, i);
    for (uint32_t t = 0; t < p->twin_cnt; t++) pipeline_features_reset(p->twin[t], i);
  }
}

/* the rows of the shared segment, from the books as they are */
static void books_publish(struct hwgw_pipeline *p, uint32_t channel) {
  for (uint32_t i = 0; i < p->instrument_cnt; i++) {
    if (!is_of(p, i, channel)) continue;
    struct hwgw_tob top = {0};
    hwgw_books_top(p->books, i, &top);
    pipeline_tob(p, i, p->ts_last[channel], &top);
  }
}

static void load_end(struct hwgw_pipeline *p, uint32_t channel) {
  p->is_loading[channel] = false;
  p->recover_io.unload(p->recover_io.context, channel);
}

/* another session, or the same one from the beginning: nothing that was known means anything in it */
static void session_new(struct hwgw_pipeline *p, uint32_t channel) {
  if (p->recover[channel].phase == HWGW_RECOVER_LOADING) load_end(p, channel);
  hwgw_recover_reset(&p->recover[channel]);
  p->behind[channel] = 0;
  p->ts_last[channel] = 0;
  pipeline_feed_sync(p, channel);
  books_clear(p, channel);
  books_publish(p, channel);
}

/* nothing in sequence for the time after which a channel is stale */
static bool is_silent(const struct hwgw_pipeline *p, uint32_t channel, uint64_t now) {
  uint64_t last = p->t_packet[channel];
  return p->stale_ticks[channel] && now > last && now - last > p->stale_ticks[channel];
}

/* A sequence that has begun again looks like copies of the line behind. Those come while the channel goes on, though, and it
 * may be stale then, by a stray: only one that is silent begins anew. */
bool pipeline_feed_odd(struct hwgw_pipeline *p, uint32_t channel, uint32_t line, uint32_t outcome) {
  struct hwgw_mold *mold = &p->mold[channel];
  bool is_new = outcome == HWGW_CNT_MOLD_DROP_SESSION && mold->state == HWGW_SEGMENT_FEED_STATE_WAITING;
  if (outcome == HWGW_CNT_MOLD_DROP_DUPLICATE && mold->is_stale && mold->slot && !mold->is_open &&
      is_silent(p, channel, pipeline_ticks(p)) && ++p->behind[channel] == RESTART_PACKETS) {
    hwgw_mold_restart(mold, p->counters);
    mold->line[line].frames--; /* it comes again */
    is_new = true;
  }
  if (is_new) {
    session_new(p, channel);
    return true;
  }
  /* Dropped as a stray, which it may not be: the channel may have gone on without us. Its next packet in sequence tells. */
  if ((outcome == HWGW_CNT_MOLD_DROP_GAP || outcome == HWGW_CNT_MOLD_DROP_SESSION) &&
      mold->state == HWGW_SEGMENT_FEED_STATE_GOOD)
    hwgw_mold_stale(mold, true);
  return false;
}

/* Without a hold a channel that starts late is as good as one with a hole: orders that rest since before are not in our
 * books. One that was silent is good again with its next packet in sequence. What a hole's end makes good is so when its
 * messages are in the books, not before. */
void pipeline_feed_changed(struct hwgw_pipeline *p, uint32_t channel, uint32_t outcome,
                           const struct hwgw_mold_iter *iter) {
  struct hwgw_mold *mold = &p->mold[channel];
  if (p->channel_state[channel] == HWGW_SEGMENT_FEED_STATE_WAITING && mold->state == HWGW_SEGMENT_FEED_STATE_GOOD) {
    uint64_t start = iter->left ? iter->seq : mold->next_seq;
    if (start > 1 && !mold->slot) hwgw_mold_lose(mold);
  }
  if (mold->is_stale && outcome == HWGW_CNT_MOLD_FRAMES && p->receive_is_up) {
    hwgw_mold_stale(mold, false);
    p->behind[channel] = 0;
  }
  bool is_better = mold->state == HWGW_SEGMENT_FEED_STATE_GOOD && iter->mold;
  if (mold->state != p->channel_state[channel] && !is_better) pipeline_feed_sync(p, channel);
}

static bool is_to_be_stale(const struct hwgw_pipeline *p, uint32_t channel, uint64_t now) {
  return p->mold[channel].state == HWGW_SEGMENT_FEED_STATE_GOOD && (is_silent(p, channel, now) || !p->receive_is_up);
}

/* whether it is another feed behind pipeline_feed_age */
static bool is_ageing(const struct hwgw_pipeline *p, uint64_t now) {
  bool is = p->receive_is_up != p->kept_up;
  for (uint32_t i = 0; !is && p->doubtful_cnt && i < p->instrument_cnt; i++) is = is_overdue(p, i, now);
  for (uint32_t i = 0; !is && i < p->channel_cnt; i++)
    is = is_to_be_stale(p, i, now) || p->mold[i].state != p->channel_state[i];
  return is;
}

void pipeline_feed_age(struct hwgw_pipeline *p, uint64_t now) {
  if (HWGW_UNLIKELY(p->keeps_frames) && is_ageing(p, now)) {
    p->kept_up = p->receive_is_up;
    pipeline_keep_input(p, HWGW_JOURNAL_INPUT_KIND_AGE, p->receive_is_up, 0);
  }
  if (p->doubtful_cnt) doubts_age(p, now);
  for (uint32_t i = 0; i < p->channel_cnt; i++) {
    struct hwgw_mold *mold = &p->mold[i];
    if (is_to_be_stale(p, i, now)) hwgw_mold_stale(mold, true);
    if (mold->state != p->channel_state[i]) pipeline_feed_sync(p, i);
    channel_publish(p, i);
  }
}

/* ---- repair ---- */

static void deliver(struct hwgw_pipeline *p, uint32_t channel, struct hwgw_mold_iter *iter, uint64_t now) {
  struct hwgw_mold *mold = &p->mold[channel];
  pipeline_messages(p, channel, HWGW_LINE_RECOVERY, iter, pipeline_lap_at(p, now));
  if (mold->state != p->channel_state[channel]) pipeline_feed_sync(p, channel);
}

void pipeline_feed_load(struct hwgw_pipeline *p, uint32_t channel) {
  if (p->keeps_frames) pipeline_keep_input(p, HWGW_JOURNAL_INPUT_KIND_LOAD, channel, 0);
  p->recover_io.load(p->recover_io.context, channel);
}

static void act(struct hwgw_pipeline *p, uint32_t channel, uint32_t action, uint64_t now) {
  const struct pipeline_recover_io *io = &p->recover_io;
  struct hwgw_recover *recover = &p->recover[channel];
  struct hwgw_mold_iter iter;
  switch (action) {
    case HWGW_RECOVER_REQUEST:
      if (p->keeps_frames)
        pipeline_keep_server(p, channel, HWGW_JOURNAL_FRAME_LINE_REQUEST, recover->request, sizeof recover->request);
      if (!io->request(io->context, channel, recover->server, recover->request))
        p->counters[HWGW_CNT_RECOVER_REQUEST_ERRORS]++;
      break;
    case HWGW_RECOVER_LOAD:
      p->is_loading[channel] = false;
      pipeline_feed_load(p, channel);
      break;
    case HWGW_RECOVER_UNLOAD:
      load_end(p, channel);
      break;
    default:
      hwgw_mold_skip(&p->mold[channel], p->counters, &iter);
      deliver(p, channel, &iter, now);
      break;
  }
}

/* a step of recover.c, which is on record when it changes something */
static uint32_t step(struct hwgw_pipeline *p, uint32_t channel, uint64_t now) {
  struct hwgw_recover *recover = &p->recover[channel], before;
  bool is_kept = p->kept_round;
  if (!is_kept) memcpy(&before, recover, sizeof before);
  uint32_t action = hwgw_recover_step(recover, &p->mold[channel], now, p->counters);
  if (!is_kept && memcmp(&before, recover, sizeof before) != 0) pipeline_keep_round(p);
  return action;
}

void pipeline_feed_poll(struct hwgw_pipeline *p, uint64_t now) {
  p->kept_round = !p->keeps_frames;
  for (uint32_t left = p->open_mask; left; left &= left - 1) {
    uint32_t channel = (uint32_t)__builtin_ctz(left);
    struct hwgw_mold *mold = &p->mold[channel];
    struct hwgw_recover *recover = &p->recover[channel];
    p->recover_io.poll(p->recover_io.context, channel, now);
    for (uint32_t i = 0; i < ACTIONS_MAX; i++) {
      uint8_t phase = recover->phase;
      uint32_t action = step(p, channel, now);
      if (action != HWGW_RECOVER_NOTHING)
        act(p, channel, action, now);
      else if (phase == recover->phase)
        break;
    }
    if (mold->state != p->channel_state[channel]) {
      pipeline_keep_round(p);
      pipeline_feed_sync(p, channel);
    }
    if (pipeline_repair_is_due(p, channel, now)) {
      pipeline_keep_round(p);
      pipeline_repair_poll(p, channel, now);
    }
    bool is_repaired = !p->repair[channel].is_wanted && p->repair[channel].phase == PIPELINE_REPAIR_IDLE;
    if (recover->phase == HWGW_RECOVER_IDLE && !mold->is_open && is_repaired) {
      pipeline_keep_round(p);
      p->open_mask &= ~(1u << channel);
    }
  }
}

void pipeline_feed_finish(struct hwgw_pipeline *p) {
  pipeline_clock(p);
  uint64_t now = pipeline_ticks(p);
  if (p->keeps_frames) pipeline_keep_input(p, HWGW_JOURNAL_INPUT_KIND_END, 0, 0);
  for (uint32_t i = 0; i < p->channel_cnt; i++) {
    struct hwgw_mold *mold = &p->mold[i];
    while (mold->slot && mold->is_open && !mold->is_frozen) act(p, i, HWGW_RECOVER_SKIP, now);
  }
}

void pipeline_feed_reply(struct hwgw_pipeline *p, uint32_t channel, const uint8_t *data, uint32_t len, uint64_t now) {
  struct hwgw_mold *mold = &p->mold[channel];
  struct hwgw_mold_iter iter;
  if (mold->state == HWGW_SEGMENT_FEED_STATE_WAITING) { /* nothing was asked in this session */
    p->counters[HWGW_CNT_RECOVER_DROP_FRAMES]++;
    return;
  }
  uint64_t lap = pipeline_lap_at(p, now), hole = mold->t_hole;
  uint32_t outcome = hwgw_mold_packet(mold, HWGW_LINE_RECOVERY, data, len, lap, p->counters, &iter);
  if (mold->t_hole != hole) mold->t_hole = now;
  bool is_used = outcome == HWGW_CNT_MOLD_FRAMES;
  p->counters[is_used ? HWGW_CNT_RECOVER_FRAMES : HWGW_CNT_RECOVER_DROP_FRAMES]++;
  deliver(p, channel, &iter, now);
}

/* one message into the books that are being built; the counter of what it was */
uint32_t pipeline_snapshot_apply(struct hwgw_pipeline *p, uint32_t channel, const uint8_t *message, uint32_t len) {
  struct hwgw_event event = {.line = HWGW_LINE_RECOVERY, .channel = (uint16_t)channel};
  bool top_changed = false;
  if (hwgw_itch_decode(message, len, &event)) return HWGW_CNT_RECOVER_DROP_SNAPSHOT;
  hwgw_instruments_resolve(p->instruments, message, len, &event);
  bool is_repair = p->repair[channel].phase == PIPELINE_REPAIR_LOADING;
  if (is_repair && (event.instrument >= p->instrument_cnt || !p->instrument[event.instrument].is_repairing))
    return HWGW_CNT_RECOVER_SNAPSHOT_OTHER;
  uint32_t outcome = pipeline_book_apply(p, &event, &top_changed);
  if (event.instrument >= p->instrument_cnt)
    return outcome == HWGW_CNT_BOOK_UPDATES ? HWGW_CNT_RECOVER_SNAPSHOT_ORDERS : HWGW_CNT_RECOVER_SNAPSHOT_OTHER;
  struct pipeline_instrument *at = &p->instrument[event.instrument];
  at->channel = (uint16_t)channel;
  fanout_put(&p->fanout, &event);
  if (event.kind == HWGW_EVENT_KIND_STATUS) pipeline_status(p, &event);
  if (outcome == HWGW_CNT_BOOK_UPDATES) return HWGW_CNT_RECOVER_SNAPSHOT_ORDERS;
  if (!pipeline_contradicts(outcome)) return HWGW_CNT_RECOVER_SNAPSHOT_OTHER;
  at->is_sound = false;
  p->repair[channel].is_bad = true;
  return HWGW_CNT_RECOVER_DROP_SNAPSHOT;
}

/* the number of the first live message to apply; padded on either side */
static bool end_number(const uint8_t *message, uint64_t *seq) {
  const uint8_t *text = glimpse_end_of_snapshot_sequence_number(message);
  uint32_t len = GLIMPSE_END_OF_SNAPSHOT_SEQUENCE_NUMBER_SZ;
  while (len && text[len - 1] == ' ') len--;
  return soup_number(text, len, seq) && *seq >= MOLDUDP64_FIRST_SEQUENCE_NUMBER;
}

void pipeline_feed_snapshot(struct hwgw_pipeline *p, uint32_t channel, const uint8_t *message, uint32_t len,
                            uint64_t now) {
  struct hwgw_mold *mold = &p->mold[channel];
  struct hwgw_recover *recover = &p->recover[channel];
  bool is_repair = p->repair[channel].phase == PIPELINE_REPAIR_LOADING;
  if (recover->phase != HWGW_RECOVER_LOADING && !is_repair) return; /* of an attempt that is over */
  uint64_t seq = 0;
  bool is_end = len == GLIMPSE_END_OF_SNAPSHOT_LEN && message[0] == GLIMPSE_END_OF_SNAPSHOT_CODE;
  if (is_end && !end_number(message, &seq)) {
    pipeline_feed_failed(p, channel, now);
    return;
  }
  if (is_repair) {
    pipeline_repair_snapshot(p, channel, message, len, seq, now);
    return;
  }
  hwgw_recover_heard(recover, now);
  if (!p->is_loading[channel]) {
    p->is_loading[channel] = true;
    hwgw_mold_freeze(mold);
    pipeline_feed_sync(p, channel);
    books_clear(p, channel);
  }
  if (!is_end) {
    p->counters[HWGW_CNT_RECOVER_SNAPSHOT_MESSAGES]++;
    p->counters[pipeline_snapshot_apply(p, channel, message, len)]++;
    return;
  }
  struct hwgw_mold_iter iter;
  hwgw_recover_loaded(recover, now, p->counters);
  load_end(p, channel);
  books_publish(p, channel);
  hwgw_mold_rebase(mold, seq, p->counters, &iter);
  if (mold->state != HWGW_SEGMENT_FEED_STATE_GOOD) pipeline_feed_sync(p, channel);
  deliver(p, channel, &iter, now);
}

void pipeline_feed_failed(struct hwgw_pipeline *p, uint32_t channel, uint64_t now) {
  if (p->repair[channel].phase == PIPELINE_REPAIR_LOADING) pipeline_repair_failed(p, channel, now);
  if (p->recover[channel].phase != HWGW_RECOVER_LOADING) return;
  hwgw_recover_failed(&p->recover[channel], now, p->counters);
  load_end(p, channel);
}

/* ---- open and close ---- */

static void on_reply(void *context, uint32_t channel, const uint8_t *data, uint32_t len) {
  struct hwgw_pipeline *p = context;
  if (p->keeps_frames) pipeline_keep_server(p, channel, HWGW_JOURNAL_FRAME_LINE_ANSWER, data, len);
  pipeline_feed_reply(p, channel, data, len, pipeline_ticks(p));
}

static void on_snapshot(void *context, uint32_t channel, const uint8_t *message, uint32_t len) {
  struct hwgw_pipeline *p = context;
  if (p->keeps_frames) pipeline_keep_server(p, channel, HWGW_JOURNAL_FRAME_LINE_SNAPSHOT, message, len);
  pipeline_feed_snapshot(p, channel, message, len, pipeline_ticks(p));
}

static void on_failed(void *context, uint32_t channel) {
  struct hwgw_pipeline *p = context;
  if (p->keeps_frames) {
    pipeline_keep_round(p);
    pipeline_keep_input(p, HWGW_JOURNAL_INPUT_KIND_FAILED, channel, 0);
  }
  pipeline_feed_failed(p, channel, pipeline_ticks(p));
}

static bool net_request(void *context, uint32_t channel, uint32_t server, const uint8_t *request) {
  const struct hwgw_pipeline *p = context;
  return hwgw_recover_net_request(p->recover_net[channel], server, request);
}

static void net_load(void *context, uint32_t channel) {
  const struct hwgw_pipeline *p = context;
  hwgw_recover_net_load(p->recover_net[channel]);
}

static void net_unload(void *context, uint32_t channel) {
  const struct hwgw_pipeline *p = context;
  hwgw_recover_net_unload(p->recover_net[channel]);
}

static void net_poll(void *context, uint32_t channel, uint64_t now) {
  struct hwgw_pipeline *p = context;
  const struct hwgw_recover_sink sink = {context, on_reply, on_snapshot, on_failed};
  if (HWGW_UNLIKELY(p->keeps_frames) && !pipeline_keep_has_room(p)) {
    p->counters[HWGW_CNT_RECOVER_WAITS]++;
    return;
  }
  hwgw_recover_net_poll(p->recover_net[channel], pipeline_ns(p, now), &sink);
}

/* on a virtual clock, where nobody outside answers in time */

static bool nobody_asked(void *context, uint32_t channel, uint32_t server, const uint8_t *request) {
  (void)context, (void)channel, (void)server, (void)request;
  return false;
}

static void nobody(void *context, uint32_t channel) {
  (void)context, (void)channel;
}

static void nobody_heard(void *context, uint32_t channel, uint64_t now) {
  (void)context, (void)channel, (void)now;
}

int32_t pipeline_feed_open(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error) {
  int32_t status = HWGW_OK;
  p->thread_idx = cfg->thread;
  p->recover_io = cfg->virtual_clock ? (struct pipeline_recover_io){NULL, nobody_asked, nobody, nobody, nobody_heard}
                                     : (struct pipeline_recover_io){p, net_request, net_load, net_unload, net_poll};
  p->channel_cnt = cfg->channel_cnt;
  for (uint32_t i = 0; !status && i < p->channel_cnt; i++) {
    const struct hwgw_channel_cfg *channel = &cfg->channel[i];
    hwgw_mold_init(&p->mold[i], (uint16_t)i, (uint8_t)channel->line_cnt);
    p->mold[i].jump_max = channel->jump_max;
    p->stale_ticks[i] = (uint64_t)((unsigned __int128)channel->stale_ns * pipeline_hz(p) / 1000000000u);
    hwgw_recover_init(&p->recover[i], &channel->recover, pipeline_hz(p));
    if (!channel->hold_max) continue;
    status = hwgw_mold_hold(&p->mold[i], channel->hold_max, error);
    if (!status) status = pipeline_repair_open(p, i, channel->hold_max, error);
    if (!status && !cfg->virtual_clock) status = hwgw_recover_net_open(&p->recover_net[i], i, &channel->recover, error);
  }
  return status;
}

void pipeline_feed_close(struct hwgw_pipeline *p) {
  for (uint32_t i = 0; i < HWGW_CHANNELS_MAX; i++) {
    hwgw_recover_net_close(p->recover_net[i]);
    free(p->repair[i].kept);
    hwgw_mold_fini(&p->mold[i]);
  }
}
