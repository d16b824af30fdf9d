/* pipeline_params.c: the parameters of strategies, at the start and when the control plane changes them.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: a change is one row of the segment (struct hwgw_strategy_param), taken as a whole between two events, in
 * housekeeping: within a millisecond. A value that the strategy does not allow refuses the change, of which nothing is
 * taken. The state stays, but for what init writes. What is taken is put on record with its version.
 */
#include <string.h>

#include "pipeline.h"
#include "pipeline_clock.h"
#include "pipeline_keep.h"

/* the number of the first value that is not allowed, or param_cnt */
static uint32_t first_wrong(const struct hwgw_strategy *desc, const int64_t *params) {
  uint32_t i = 0;
  for (; i < desc->param_cnt; i++) {
    if (desc->param_min && params[i] < desc->param_min[i]) break;
    if (desc->param_max && params[i] > desc->param_max[i]) break;
  }
  return i;
}

static void take(const struct pipeline_strategy *strategy, const int64_t *params) {
  if (strategy->desc->init) {
    strategy->desc->init(strategy->state, params);
  } else {
    memcpy(strategy->state, params, strategy->desc->param_cnt * sizeof *params);
  }
}

int32_t pipeline_params_open(struct hwgw_pipeline *p, struct pipeline_strategy *strategy,
                             const struct hwgw_strategy_cfg *from, struct hwgw_error *error) {
  const struct hwgw_strategy *desc = strategy->desc;
  const int64_t *params = from->params ? from->params : desc->param_defaults;
  uint32_t wrong = first_wrong(desc, params);
  if (wrong < desc->param_cnt)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "strategy '%s': %s is %lld; %lld to %lld are allowed", desc->name,
                          desc->param_names[wrong], (long long)params[wrong],
                          (long long)(desc->param_min ? desc->param_min[wrong] : INT64_MIN),
                          (long long)(desc->param_max ? desc->param_max[wrong] : INT64_MAX));
  take(strategy, params);
  struct hwgw_strategy_param *row = hwgw_segment_param(p->segment, strategy->id);
  row->seq = strategy->row->param_seq = strategy->row->param_refused = 0;
  row->cnt = desc->param_cnt <= HWGW_SEGMENT_PARAMS_MAX ? desc->param_cnt : 0;
  memcpy(row->value, params, row->cnt * sizeof *params);
  memcpy(row->version, from->version, sizeof row->version);
  return HWGW_OK;
}

void pipeline_params_keep(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, uint64_t now_ns) {
  if (HWGW_UNLIKELY(p->keeps_frames)) pipeline_keep_params(p, strategy, now_ns);
  struct hwgw_journal_strategy record = {
      .id = strategy->id, .account = strategy->account, .mode = strategy->row->mode, .of = strategy->row->of};
  memcpy(record.name, strategy->row->name, sizeof record.name);
  memcpy(record.version, hwgw_segment_param(p->segment, strategy->id)->version, sizeof record.version);
  journal_keep(&p->journal, HWGW_JOURNAL_RECORD_TYPE_STRATEGY, 0, now_ns, &record, sizeof record);
}

void pipeline_params(struct hwgw_pipeline *p) {
  uint64_t changes = __atomic_load_n(&p->control->param_seq, __ATOMIC_ACQUIRE);
  if (HWGW_LIKELY(changes == p->param_seq)) return;
  p->param_seq = changes;
  for (uint32_t i = 0; i < p->strategy_cnt; i++) {
    const struct pipeline_strategy *strategy = &p->strategy[i];
    const struct hwgw_strategy_param *row = hwgw_segment_param(p->segment, strategy->id);
    uint64_t seq = __atomic_load_n(&row->seq, __ATOMIC_ACQUIRE);
    if (seq == strategy->row->param_seq) continue;
    if (row->cnt == strategy->desc->param_cnt && first_wrong(strategy->desc, row->value) == row->cnt) {
      take(strategy, row->value);
      pipeline_params_keep(p, strategy, pipeline_now_ns(p));
    } else {
      strategy->row->param_refused = seq;
    }
    __atomic_store_n(&strategy->row->param_seq, seq, __ATOMIC_RELEASE);
  }
}
