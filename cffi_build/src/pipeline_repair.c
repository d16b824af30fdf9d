/* pipeline_repair.c: an instrument whose book contradicted the stream gets a book of its own from a snapshot, while its
 * channel goes on.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: instruments that are not sound, on a channel that is whole and has a snapshot server. From the request on their
 * events are kept instead of applied; the snapshot's messages of the other instruments are passed over. When it has ended,
 * at number n, and the channel has come so far, what was kept from n on is applied, what is older is covered, and the
 * instrument is sound. A snapshot older than the first kept event, more events than fit, a contradiction, a hole of the
 * channel, silence: the attempt has failed, the next one waits twice as long, up to 2^TRIES_MAX times snapshot_retry.
 * The server's connection is shared with recover.c, which comes first: a repair begins when it is idle and ends when a
 * hole opens. Cost: one test per event while nothing is repaired. Thread: the pipeline's.
 */
#include <errno.h>
#include <stdlib.h>

#include "pipeline.h"
#include "pipeline_clock.h"
#include "pipeline_repair.h"

#define KEPT_MAX 65536u /* events per channel */
#define TRIES_MAX 6

static bool is_repaired(const struct hwgw_pipeline *p, uint32_t index, uint32_t channel) {
  return p->instrument[index].is_repairing && p->instrument[index].channel == channel;
}

int32_t pipeline_repair_open(struct hwgw_pipeline *p, uint32_t channel, uint32_t hold_max, struct hwgw_error *error) {
  struct pipeline_repair *repair = &p->repair[channel];
  if (!p->recover[channel].has_snapshot) return HWGW_OK;
  repair->kept_max = hold_max < KEPT_MAX ? hold_max : KEPT_MAX;
  repair->kept = calloc(repair->kept_max, sizeof *repair->kept);
  if (repair->kept) return HWGW_OK;
  return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "channel %u: no memory for %u events", channel,
                        repair->kept_max);
}

void pipeline_repair_want(struct hwgw_pipeline *p, uint32_t channel) {
  if (channel >= p->channel_cnt || !p->repair[channel].kept) return;
  p->repair[channel].is_wanted = true;
  p->open_mask |= 1u << channel;
}

/* no instrument of the channel is under repair any more; what was kept is counted */
static void end(struct hwgw_pipeline *p, uint32_t channel, uint32_t counter) {
  struct pipeline_repair *repair = &p->repair[channel];
  if (repair->phase == PIPELINE_REPAIR_LOADING) p->recover_io.unload(p->recover_io.context, channel);
  repair->phase = PIPELINE_REPAIR_IDLE;
  p->repair_mask &= ~(1u << channel);
  p->counters[HWGW_CNT_BOOK_DEFERRED_NOW] -= repair->kept_cnt;
  p->counters[counter] += repair->kept_cnt;
  repair->kept_cnt = 0;
  for (uint32_t i = 0; i < p->instrument_cnt; i++) {
    if (is_repaired(p, i, channel)) p->instrument[i].is_repairing = false;
  }
}

void pipeline_repair_reset(struct hwgw_pipeline *p, uint32_t channel) {
  struct pipeline_repair *repair = &p->repair[channel];
  if (repair->phase != PIPELINE_REPAIR_IDLE) end(p, channel, HWGW_CNT_BOOK_DROP_COVERED);
  repair->is_wanted = false;
  repair->tries = 0;
}

void pipeline_repair_failed(struct hwgw_pipeline *p, uint32_t channel, uint64_t now) {
  struct pipeline_repair *repair = &p->repair[channel];
  struct hwgw_recover *recover = &p->recover[channel];
  if (repair->phase == PIPELINE_REPAIR_LOADING) {
    p->counters[HWGW_CNT_RECOVER_LOAD_FAILURES]++;
    recover->failures++;
  }
  end(p, channel, HWGW_CNT_BOOK_DROP_UNSOUND);
  repair->t_next = now + (recover->load_retry << repair->tries);
  if (repair->tries < TRIES_MAX) repair->tries++;
}

static void begin(struct hwgw_pipeline *p, uint32_t channel, uint64_t now) {
  struct pipeline_repair *repair = &p->repair[channel];
  repair->is_wanted = false;
  for (uint32_t i = 0; i < p->instrument_cnt; i++) {
    struct pipeline_instrument *at = &p->instrument[i];
    if (at->is_sound || at->channel != channel) continue;
    at->is_repairing = repair->is_wanted = true;
  }
  if (!repair->is_wanted) return;
  repair->phase = PIPELINE_REPAIR_LOADING;
  repair->is_cleared = repair->is_bad = false;
  repair->from_seq = p->mold[channel].next_seq;
  repair->t_next = now + p->recover[channel].load_timeout;
  p->repair_mask |= 1u << channel;
  p->counters[HWGW_CNT_RECOVER_LOADS]++;
  pipeline_feed_load(p, channel);
}

static bool has_caught_up(const struct hwgw_pipeline *p, uint32_t channel) {
  return p->mold[channel].next_seq >= p->repair[channel].seq;
}

/* the snapshot is in the books and the channel has come as far as it: what was kept behind it follows */
static void catch_up(struct hwgw_pipeline *p, uint32_t channel, uint64_t now) {
  struct pipeline_repair *repair = &p->repair[channel];
  uint32_t cnt = repair->kept_cnt;
  for (uint32_t i = 0; i < p->instrument_cnt; i++) {
    if (!is_repaired(p, i, channel)) continue;
    struct hwgw_tob top = {0};
    p->instrument[i].is_sound = true;
    p->counters[HWGW_CNT_RECOVER_INSTRUMENTS]++;
    hwgw_books_top(p->books, i, &top);
    pipeline_tob(p, i, p->ts_last[channel], &top);
  }
  repair->kept_cnt = 0;
  repair->is_wanted = false; /* a contradiction among what follows wants another one */
  end(p, channel, HWGW_CNT_BOOK_DROP_COVERED);
  p->counters[HWGW_CNT_BOOK_DEFERRED_NOW] -= cnt;
  for (uint32_t i = 0; i < cnt; i++) {
    if (repair->kept[i].seq < repair->seq)
      p->counters[HWGW_CNT_BOOK_DROP_COVERED]++;
    else
      pipeline_event(p, &repair->kept[i], false);
  }
  repair->t_next = now + (p->recover[channel].load_retry << repair->tries);
  if (repair->tries < TRIES_MAX) repair->tries++;
  for (uint32_t i = 0; i < p->instrument_cnt; i++) {
    if (p->instrument[i].channel != channel) continue;
    pipeline_instrument_sync(p, i);
    if (!p->instrument[i].is_sound) pipeline_repair_want(p, channel);
  }
}

bool pipeline_repair_is_due(const struct hwgw_pipeline *p, uint32_t channel, uint64_t now) {
  const struct pipeline_repair *repair = &p->repair[channel];
  const struct hwgw_mold *mold = &p->mold[channel];
  bool is_whole =
      mold->state == HWGW_SEGMENT_FEED_STATE_GOOD && !mold->is_open && p->recover[channel].phase == HWGW_RECOVER_IDLE;
  switch (repair->phase) {
    case PIPELINE_REPAIR_IDLE:
      return repair->is_wanted && is_whole && now >= repair->t_next;
    case PIPELINE_REPAIR_LOADING:
      return mold->is_open || mold->is_lost || now >= repair->t_next;
    default:
      return has_caught_up(p, channel);
  }
}

void pipeline_repair_poll(struct hwgw_pipeline *p, uint32_t channel, uint64_t now) {
  switch (p->repair[channel].phase) {
    case PIPELINE_REPAIR_IDLE:
      begin(p, channel, now);
      break;
    case PIPELINE_REPAIR_LOADING:
      pipeline_repair_failed(p, channel, now);
      break;
    default:
      catch_up(p, channel, now);
      break;
  }
}

bool pipeline_repair_takes(struct hwgw_pipeline *p, const struct hwgw_event *event) {
  if (event->instrument >= p->instrument_cnt || !p->instrument[event->instrument].is_repairing) return false;
  uint32_t channel = p->instrument[event->instrument].channel;
  struct pipeline_repair *repair = &p->repair[channel];
  if (repair->kept_cnt == repair->kept_max) {
    pipeline_repair_failed(p, channel, pipeline_decided_at(p, event->t_rx));
    return false;
  }
  repair->kept[repair->kept_cnt++] = *event;
  p->counters[HWGW_CNT_BOOK_DEFERRED_NOW]++;
  return true;
}

void pipeline_repair_snapshot(struct hwgw_pipeline *p, uint32_t channel, const uint8_t *message, uint32_t len,
                              uint64_t end_seq, uint64_t now) {
  struct pipeline_repair *repair = &p->repair[channel];
  repair->t_next = now + p->recover[channel].load_timeout;
  for (uint32_t i = 0; !repair->is_cleared && i < p->instrument_cnt; i++) {
    if (!is_repaired(p, i, channel)) continue;
    hwgw_books_clear_instrument(p->books, i);
    pipeline_shared_clear(p, i);
    pipeline_features_reset(p, i);
  }
  repair->is_cleared = true;
  if (!end_seq) {
    p->counters[HWGW_CNT_RECOVER_SNAPSHOT_MESSAGES]++;
    p->counters[pipeline_snapshot_apply(p, channel, message, len)]++;
  } else if (end_seq < repair->from_seq || repair->is_bad) {
    pipeline_repair_failed(p, channel, now);
  } else {
    p->recover_io.unload(p->recover_io.context, channel);
    p->counters[HWGW_CNT_RECOVER_SNAPSHOTS]++;
    p->recover[channel].loaded++;
    repair->seq = end_seq;
    repair->phase = PIPELINE_REPAIR_CATCHING_UP;
    if (has_caught_up(p, channel)) catch_up(p, channel, now);
  }
}
