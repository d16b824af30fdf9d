/* pipeline_keep.c: what strategies decide by, into the journal, so that they can be made to decide again (replay_decide.c).
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: every datagram of a line, before anything is made of it; every answer of a re-request server, every message of a
 * snapshot and that its connection failed, likewise; requests to these; and what comes between datagrams and is on no other
 * record: that holes and ages were looked after, that references were used up, that an order did not leave, that the gateway
 * cancels, heartbeats, new parameters. Output: a record of each, in the ring that has everything else, so the journal's order is that in
 * which the pipeline took them. All that an input brings about happens at one time, which its record has: pipeline_clock
 * reads the TSC when it comes, and the clock of decisions stands still until the next. What is measured goes by a clock of
 * its own (pipeline_lap).
 *   What a datagram brings about and what is found out between two of them needs no record when it changes nothing: a round
 * without an answer, a channel that is not stale yet. So the record of a round of recovery stands before the first thing that
 * it does, and an open hole or a snapshot that nobody gives costs nothing while it waits.
 *   A record that finds no room halts with reason journal, as one of an order does: no order leaves, frames go on. Servers
 * are not read while half the ring is full: what they say waits in the kernel, a snapshot's server behind it, and is counted
 * (recover.waits); so a snapshot comes as fast as the writer takes it.
 *   Not with a card or several venues: what these say is not on record.
 *   Cost: of a datagram its copy, and one clock read; of one that is not kept a test. Thread: the pipeline's.
 */
#include "pipeline_keep.h"
#include "pipeline.h"
#include "pipeline_clock.h"

static void full(struct hwgw_pipeline *p) {
  hwgw_halt(p->segment, HWGW_RISK_REASON_JOURNAL, "the ring of the journal is full: its writer does not keep up");
}

int32_t pipeline_keep_check(const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error) {
  const char *wrong = NULL;
  if (cfg->risk_where != HWGW_RISK_WHERE_HOST || (cfg->rx.backend && strcmp(cfg->rx.backend, "card") == 0))
    wrong = "a card: what it gives and says is not on record";
  else if (cfg->session_cnt > 1)
    wrong = "several order sessions: one is allowed";
  else if (cfg->dynamic_instruments || cfg->virtual_clock)
    wrong = "a pipeline that is not live";
  return wrong ? hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "a journal with frames cannot have %s", wrong) : HWGW_OK;
}

uint32_t pipeline_keep_packet(struct hwgw_pipeline *p, const struct hwgw_frame *frame,
                              const struct hwgw_datagram *datagram, struct hwgw_mold_iter *iter, uint64_t *now) {
  const struct hwgw_flow *flow = &p->flow[datagram->flow];
  struct hwgw_mold *mold = &p->mold[flow->channel];
  pipeline_clock(p);
  *now = p->virtual_ns;
  struct hwgw_journal_frame head = {.channel = flow->channel,
                                    .line = flow->line,
                                    .len = datagram->len,
                                    .ts_ns = frame->ts_ns,
                                    .rx_ns = hwgw_ticks_to_now_ns(frame->t_rx)};
  if (HWGW_UNLIKELY(!journal_keep_two(&p->journal, HWGW_JOURNAL_RECORD_TYPE_FRAME, *now, &head, sizeof head,
                                      datagram->data, datagram->len)))
    full(p);
  uint64_t hole = mold->t_hole;
  uint32_t outcome = hwgw_mold_packet(mold, flow->line, datagram->data, datagram->len, frame->t_rx, p->counters, iter);
  if (HWGW_UNLIKELY(mold->t_hole != hole)) mold->t_hole = *now; /* recovery decides by it; the rest are lags of lines */
  return outcome;
}

void pipeline_keep_input(struct hwgw_pipeline *p, uint32_t what, uint32_t value, uint32_t ref) {
  struct hwgw_journal_input input = {.what = what, .value = value, .ref = ref};
  if (!journal_keep(&p->journal, HWGW_JOURNAL_RECORD_TYPE_INPUT, 0, p->virtual_ns, &input, sizeof input)) full(p);
}

void pipeline_keep_round(struct hwgw_pipeline *p) {
  if (!p->kept_round) pipeline_keep_input(p, HWGW_JOURNAL_INPUT_KIND_RECOVERY, 0, 0);
  p->kept_round = true;
}

void pipeline_keep_server(struct hwgw_pipeline *p, uint32_t channel, uint32_t line, const uint8_t *data, uint32_t len) {
  struct hwgw_journal_frame head = {.channel = channel, .line = line, .len = len, .rx_ns = p->virtual_ns};
  pipeline_keep_round(p);
  if (!journal_keep_two(&p->journal, HWGW_JOURNAL_RECORD_TYPE_FRAME, p->virtual_ns, &head, sizeof head, data, len))
    full(p);
}

bool pipeline_keep_has_room(const struct hwgw_pipeline *p) {
  return p->journal.is_broken || journal_room(&p->journal) > p->journal.mask / 2;
}

void pipeline_keep_params(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, uint64_t now_ns) {
  const struct hwgw_strategy_param *row = hwgw_segment_param(p->segment, strategy->id);
  struct hwgw_journal_params params = {.id = strategy->id, .cnt = row->cnt};
  if (!journal_keep_two(&p->journal, HWGW_JOURNAL_RECORD_TYPE_PARAMS, now_ns, &params, sizeof params, row->value,
                        row->cnt * (uint32_t)sizeof *row->value))
    full(p);
}
