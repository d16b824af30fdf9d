/* pipeline_exposure.c: what accounts and strategies have at stake, in the shared segment for everybody to see.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: executions and broken trades that the gate took, and the gate's own state. Output: a row per account and one of the
 * gateway (money as the gate reckons it), and a row per strategy with its cash and the mark of its own positions, which the
 * gate does not keep. Rows have one writer, this pipeline, and are written in housekeeping; a reader may see one word newer
 * than the next. Cost of a round: the accounts in use, and the positions of one strategy, whose turn it is.
 */
#include <errno.h>
#include <stdlib.h>

#include "pipeline.h"
#include "risk.h"

const struct pipeline_strategy *pipeline_strategy_of(const struct hwgw_pipeline *p, uint32_t id) {
  for (uint32_t i = 0; i < p->strategy_cnt; i++) {
    if (p->strategy[i].id == id) return &p->strategy[i];
  }
  return NULL;
}

int32_t pipeline_exposure_open(struct hwgw_pipeline *p, struct pipeline_strategy *strategy, const char *name,
                               struct hwgw_error *error) {
  strategy->row = hwgw_segment_strategy(p->segment, strategy->id);
  strategy->pos = calloc(p->instrument_cnt + 1, sizeof *strategy->pos);
  if (!strategy->pos)
    return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "no memory for the positions of a strategy");
  snprintf(strategy->row->name, sizeof strategy->row->name, "%s", name ? name : strategy->desc->name);
  strategy->row->account = strategy->account;
  p->account_mask |= (uint32_t)1 << strategy->account;
  return HWGW_OK;
}

void pipeline_exposure_fill(struct hwgw_pipeline *p, const struct hwgw_order *event) {
  const struct pipeline_strategy *strategy = pipeline_strategy_of(p, event->strategy);
  if (!strategy) return;
  bool is_fill = event->kind == HWGW_ORDER_KIND_EXECUTED;
  bool is_in = (event->side == HWGW_ORDER_SIDE_BUY) == is_fill; /* shares come in, money goes out */
  int64_t money = (int64_t)event->px * event->qty;
  strategy->pos[event->instrument] += is_in ? (int64_t)event->qty : -(int64_t)event->qty;
  strategy->row->cash += is_in ? -money : money;
  if (!is_fill) return;
  strategy->row->executed_qty += event->qty;
  strategy->row->executed_notional += (uint64_t)money;
}

static int64_t mark(const struct hwgw_pipeline *p, const struct pipeline_strategy *strategy) {
  __int128 sum = 0;
  for (uint32_t i = 0; i < p->instrument_cnt; i++) sum += (__int128)strategy->pos[i] * p->risk->holding[i].mark_px;
  return sum > INT64_MAX ? INT64_MAX : sum < INT64_MIN ? INT64_MIN : (int64_t)sum;
}

void pipeline_exposure_publish(struct hwgw_pipeline *p) {
  hwgw_risk_exposure(p->risk, HWGW_RISK_GATEWAY, hwgw_segment_exposure(p->segment, HWGW_RISK_GATEWAY));
  hwgw_segment_exposure(p->segment, HWGW_RISK_GATEWAY)->is_used = 1;
  for (uint32_t mask = p->account_mask; mask; mask &= mask - 1) {
    uint32_t account = (uint32_t)__builtin_ctz(mask);
    hwgw_risk_exposure(p->risk, account, hwgw_segment_exposure(p->segment, account));
    hwgw_segment_exposure(p->segment, account)->is_used = 1;
  }
  if (p->strategy_cnt == 0) return;
  for (uint32_t i = 0; i < p->strategy_cnt; i++) hwgw_risk_strategy(p->risk, p->strategy[i].id, p->strategy[i].row);
  const struct pipeline_strategy *turn = &p->strategy[p->exposure_turn++ % p->strategy_cnt];
  turn->row->mark = mark(p, turn);
}
