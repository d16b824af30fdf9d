/* pipeline_card.c: event records of the card into the books; what net, mold and itch do here, the card has done.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: events in sequence, each once. A number that is not the next one is a hole that the card has given up: the
 * channel is gapped from then on, as without a hold. The counters of net, mold and itch come from the card's registers;
 * here only what the books make of the events is counted. The state of the channel follows the events, its age also the
 * card's count of packets, so that heartbeats keep it fresh.
 * Cost: as from itch on. Thread: the pipeline's.
 */
#include "pipeline.h"

/* the event belongs to a channel that was told of nothing yet, or of all numbers before it */
static void sequence(struct hwgw_pipeline *p, const struct hwgw_event *event) {
  struct hwgw_mold *mold = &p->mold[event->channel];
  bool is_whole = event->seq == mold->next_seq || (mold->next_seq == 0 && event->seq == 1);
  mold->next_seq = event->seq + 1;
  mold->seen_seq = mold->next_seq;
  if (HWGW_UNLIKELY(!is_whole)) hwgw_mold_lose(mold);
  if (HWGW_UNLIKELY(mold->is_stale || mold->state == HWGW_SEGMENT_FEED_STATE_WAITING)) hwgw_mold_stale(mold, false);
  struct hwgw_mold_line *line = &mold->line[event->line & 1];
  line->first++;
  line->next_seq = mold->next_seq;
  line->t_last = event->t_rx;
  p->t_packet[event->channel] = event->t_rx;
  if (HWGW_UNLIKELY(mold->state != p->channel_state[event->channel])) pipeline_feed_sync(p, event->channel);
}

void pipeline_card_event(struct hwgw_pipeline *p, const struct hwgw_frame *frame) {
  struct hwgw_event event;
  memcpy(&event, frame->data, sizeof event);
  if (HWGW_UNLIKELY(event.channel >= p->channel_cnt)) { /* the card was configured by somebody else */
    p->counters[HWGW_CNT_BOOK_DROP_INSTRUMENT]++;
    return;
  }
  sequence(p, &event);
  if (HWGW_UNLIKELY(event.ts_ns < p->ts_last[event.channel])) p->counters[HWGW_CNT_ITCH_TIME_STEPS]++;
  p->ts_last[event.channel] = event.ts_ns;
  hwgw_instruments_event(p->instruments, &event);
  if (HWGW_UNLIKELY(p->rules.cnt && event.kind == HWGW_EVENT_KIND_DIRECTORY)) pipeline_rule_locate(p, &event);
  pipeline_event(p, &event, (event.seq & p->sample_mask) == 0);
}

void pipeline_card_age(struct hwgw_pipeline *p, uint64_t now) {
  struct hwgw_mold *mold = &p->mold[0];
  if (p->counters[HWGW_CNT_MOLD_FRAMES] == p->card_packets) return;
  p->card_packets = p->counters[HWGW_CNT_MOLD_FRAMES];
  p->t_packet[0] = now;
  mold->is_ended = p->counters[HWGW_CNT_MOLD_ENDS] != 0;
  if (mold->next_seq) hwgw_mold_stale(mold, false);
}
