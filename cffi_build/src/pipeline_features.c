/* pipeline_features.c: the features of each strategy, fed with what the books, the feed and the venue say.
 *
 * SPDX-License-Identifier: MIT
 *
 * A strategy has a set of its own, with its own parameters; its row is made right before it is called, from the levels
 * that the hook has already. An own order is followed from the venue's acceptance, under the reference the venue gave it,
 * which is the one the feed knows it by. Cost without features: one branch per event and call. Thread: the pipeline's.
 */
#include "pipeline.h"
#include "risk.h"

int32_t pipeline_features_open(struct hwgw_pipeline *p, struct pipeline_strategy *strategy,
                               const struct hwgw_features_cfg *cfg, struct hwgw_error *error) {
  if (!cfg->mask) return HWGW_OK;
  int32_t status = hwgw_features_open(&strategy->features, cfg, p->instrument_cnt, error);
  if (status) return status;
  uint32_t depth = hwgw_features_depth(strategy->features);
  if (depth > p->depth_max) p->depth_max = depth;
  p->has_features = true;
  return HWGW_OK;
}

void pipeline_features_trade(struct hwgw_pipeline *p, const struct hwgw_event *event, uint32_t outcome) {
  bool is_trade = event->kind == HWGW_EVENT_KIND_TRADE && outcome == HWGW_CNT_BOOK_IGNORED;
  bool is_execution = (event->kind == HWGW_EVENT_KIND_EXECUTE || event->kind == HWGW_EVENT_KIND_EXECUTE_WITH_PRICE) &&
                      outcome == HWGW_CNT_BOOK_UPDATES;
  if (!is_trade && !is_execution) return;
  struct hwgw_tob top = {0};
  if (is_trade) hwgw_books_top(p->books, event->instrument, &top);
  for (uint32_t i = 0; i < p->strategy_cnt; i++) {
    if (p->strategy[i].features) hwgw_features_trade(p->strategy[i].features, event, &top);
  }
  if (p->views.features) hwgw_features_trade(p->views.features, event, &top);
}

void pipeline_features_row(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy) {
  struct hwgw_hook *hook = &p->hook;
  if (strategy->features)
    hwgw_features_row(strategy->features, p->books, hook->instrument, hook->bid, hook->ask, &hook->features);
  else
    hook->features = (struct hwgw_features){0};
}

void pipeline_features_order(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, uint32_t venue,
                             const struct hwgw_order *event) {
  struct hwgw_feature_set *set = strategy->features;
  struct hwgw_order order;
  bool is_new = event->kind == HWGW_ORDER_KIND_ACCEPTED || event->kind == HWGW_ORDER_KIND_REPLACED;
  bool is_live = hwgw_risk_order(p->risk, event->ref, &order);
  if (event->kind == HWGW_ORDER_KIND_REPLACED) hwgw_features_forget(set, event->instrument, event->orig_ref);
  if (!is_live) {
    hwgw_features_forget(set, event->instrument, event->ref);
  } else if (is_new && !hwgw_features_follow(set, event->instrument, event->side, event->ref,
                                             event->venue_ref ^ pipeline_ref_mark(venue))) {
    p->counters[HWGW_CNT_STRATEGY_UNFOLLOWED]++;
  }
}

void pipeline_features_reset(struct hwgw_pipeline *p, uint32_t index) {
  if (!p->has_features) return;
  for (uint32_t i = 0; i < p->strategy_cnt; i++) {
    if (p->strategy[i].features) hwgw_features_reset(p->strategy[i].features, index);
  }
  if (p->views.features) hwgw_features_reset(p->views.features, index);
}
