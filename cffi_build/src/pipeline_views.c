/* pipeline_views.c: what the segment shows of the books beside their tops: best levels, and features.
 *
 * SPDX-License-Identifier: MIT
 *
 * Levels are for people and for programs that look now and then: a book that changed is marked, which is two stores, and
 * its levels are written once when the frames at hand are done, however many messages they had. Features are made of
 * every change of the top of book, as for a strategy, and written behind it and behind the orders it led to.
 * Rows are under a seqlock like the top of book. Cost: docs/features.md; without either one branch per event.
 * Thread: the pipeline's.
 */
#include "pipeline.h"
#include "segment.h"

int32_t pipeline_views_open(struct hwgw_pipeline *p, struct hwgw_error *error) {
  const struct hwgw_segment_header *head = hwgw_segment_head(p->segment);
  p->views.depth = head->depth_levels;
  for (uint32_t i = 0; p->views.depth && i < p->instrument_cnt; i++) pipeline_views_mark(p, i);
  if (!head->feature_mask) return HWGW_OK;
  struct hwgw_features_cfg cfg = {.mask = head->feature_mask};
  for (uint32_t i = 0; i < HWGW_FEATURE_CNT; i++) cfg.param[i] = head->feature_param[i];
  int32_t status = hwgw_features_open(&p->views.features, &cfg, p->instrument_cnt, error);
  p->has_features |= status == HWGW_OK;
  return status;
}

/* between the two the row is odd, and its readers try again; a writer that died in between left it so */
static void row_begin(uint32_t *lock) {
  __atomic_store_n(lock, *lock | 1u, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void row_end(uint32_t *lock) {
  __atomic_store_n(lock, *lock + 1, __ATOMIC_RELEASE);
}

void pipeline_views_row(struct hwgw_pipeline *p, const struct hwgw_event *event) {
  struct hwgw_feature_set *set = p->views.features;
  if (!set) return;
  struct hwgw_level bid[HWGW_HOOK_LEVELS_MAX] = {0}, ask[HWGW_HOOK_LEVELS_MAX] = {0};
  hwgw_books_depth(p->books, event->instrument, HWGW_ORDER_SIDE_BUY, bid, hwgw_features_depth(set));
  hwgw_books_depth(p->books, event->instrument, HWGW_ORDER_SIDE_SELL, ask, hwgw_features_depth(set));
  struct hwgw_feature_row *row = hwgw_segment_feature_row(p->segment, event->instrument);
  row_begin(&row->lock);
  hwgw_features_row(set, p->books, event->instrument, bid, ask, &row->features);
  row->ts_ns = event->ts_ns;
  row->seq = event->seq;
  row->row_cnt++;
  row_end(&row->lock);
}

static void show(struct hwgw_pipeline *p, uint32_t index) {
  struct hwgw_depth *row = hwgw_segment_depth(p->segment, index);
  uint16_t channel = p->instrument[index].channel;
  uint32_t depth = p->views.depth;
  row_begin(&row->lock);
  uint32_t bids = hwgw_books_depth(p->books, index, HWGW_ORDER_SIDE_BUY, row->bid, depth);
  uint32_t asks = hwgw_books_depth(p->books, index, HWGW_ORDER_SIDE_SELL, row->ask, depth);
  memset(&row->bid[bids], 0, (depth - bids) * sizeof *row->bid);
  memset(&row->ask[asks], 0, (depth - asks) * sizeof *row->ask);
  row->ts_ns = channel < p->channel_cnt ? p->ts_last[channel] : 0;
  row_end(&row->lock);
}

void pipeline_views_show(struct hwgw_pipeline *p) {
  struct pipeline_views *views = &p->views;
  for (; views->words; views->words &= views->words - 1) {
    uint32_t word = (uint32_t)__builtin_ctz(views->words);
    for (uint64_t left = views->changed[word]; left; left &= left - 1)
      show(p, word * 64 + (uint32_t)__builtin_ctzll(left));
    views->changed[word] = 0;
  }
}
