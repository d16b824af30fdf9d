/* pipeline_judge.c: which gate judges: the host's, the card's, or both.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: every event that a gate is told of, orders among them, in their order. Output: the answer that counts.
 *   host: that of risk.c; there is no card.
 *   card: that of the card. The host's gate keeps the books of it: it is told every fact, and of each new and replace that
 * the card let pass. It judges nothing.
 *   both: each judges for itself, at the same time stamp. What either refuses is refused.
 * Facts do not wait for the card's answer, orders do; the answers are looked at in their order, those of facts with the next
 * order, or at the next housekeeping. What cannot be latches halt (reason card), and no order leaves: an answer that does
 * not come in time, is of another record, or is another than the host's; in both also a different reason. After a
 * difference the state of both is brought together again as far as can be: what one let pass is given back to it.
 * Cancels go by the host's gate alone, so that they leave with a card that is gone; the card is asked, too, and compared.
 * A card that was lost stays lost until the gateway is started anew.
 * Cost: 17 posted writes per event; per order the way to the card and back. Thread: the pipeline's.
 */
#include "card_gate.h"
#include "halt.h"
#include "hwgw_fields.h"
#include "pipeline.h"
#include "pipeline_clock.h"

#define STATS_MS 5

static bool is_new(const struct hwgw_order *event) {
  return event->kind == HWGW_ORDER_KIND_NEW || event->kind == HWGW_ORDER_KIND_REPLACE;
}

/* ---- what cannot be ---- */

static bool lost(struct hwgw_pipeline *p) {
  struct pipeline_card *at = &p->card;
  if (!at->is_lost) p->counters[HWGW_CNT_CARD_TIMEOUTS]++;
  at->is_lost = true;
  pipeline_loan_lost(p);
  hwgw_halt(p->segment, HWGW_RISK_REASON_CARD,
            "the gate of the card does not answer; it is not asked again, start anew");
  return false;
}

static void differs(struct hwgw_pipeline *p, const struct pipeline_said *said, const struct hwgw_verdict *verdict) {
  char text[96];
  const char *host = hwgw_reason_name(said->reason), *card = hwgw_reason_name(verdict->reason);
  p->counters[HWGW_CNT_CARD_DIFFERS]++;
  if (verdict->source != HWGW_VERDICT_SOURCE_HOST) {
    snprintf(text, sizeof text, "the card judged order %u, which this gateway did not give", verdict->ref);
  } else if (verdict->kind != said->kind || verdict->ref != said->ref || verdict->instrument != said->instrument ||
             verdict->ts_ns != said->ts_ns) {
    snprintf(text, sizeof text, "record %u: order %u, kind %u was given, the card judged order %u, kind %u",
             verdict->number, said->ref, said->kind, verdict->ref, verdict->kind);
  } else {
    snprintf(text, sizeof text, "order %u, kind %u, instrument %u: the host says %s, the card %s", said->ref,
             said->kind, said->instrument, host, card ? card : "what is no reason");
  }
  hwgw_halt(p->segment, HWGW_RISK_REASON_CARD, text);
}

/* an order that the card alone judged; of others the host's gate says it itself */
static void latched(struct hwgw_pipeline *p, uint32_t reason) {
  if (HWGW_UNLIKELY(reason == HWGW_RISK_REASON_LOSS || reason == HWGW_RISK_REASON_CLOCK))
    hwgw_halt(p->segment, reason, "the gate of the card latched on an order");
}

/* ---- records and their answers ---- */

bool pipeline_judge_look(struct hwgw_pipeline *p, struct hwgw_verdict *verdict, bool is_patient) {
  if (!card_gate_take(p->card.gate, verdict, is_patient)) return is_patient && lost(p);
  p->counters[HWGW_CNT_CARD_VERDICTS]++;
  if (HWGW_UNLIKELY(verdict->source == HWGW_VERDICT_SOURCE_TRIGGER) && pipeline_rule_fired(p, verdict)) return true;
  const struct pipeline_said *said = &p->card.said[verdict->number % HWGW_CARD_ENTRIES];
  bool is_same = verdict->source == HWGW_VERDICT_SOURCE_HOST && verdict->kind == said->kind &&
                 verdict->ref == said->ref && verdict->instrument == said->instrument && verdict->ts_ns == said->ts_ns;
  if (HWGW_UNLIKELY(!is_same || (said->is_judged && verdict->reason != said->reason))) {
    differs(p, said, verdict);
  } else if (!said->is_judged) {
    latched(p, verdict->reason);
  }
  return true;
}

bool pipeline_judge_give(struct hwgw_pipeline *p, const struct hwgw_order *event, const struct hwgw_limits *limits,
                         uint32_t reason, bool is_judged) {
  struct card_gate *gate = p->card.gate;
  struct hwgw_verdict verdict;
  if (HWGW_UNLIKELY(p->card.is_lost)) return lost(p);
  while (card_gate_pending(gate) >= HWGW_CARD_ENTRIES)
    if (!pipeline_judge_look(p, &verdict, true)) return false;
  p->card.said[gate->head % HWGW_CARD_ENTRIES] = (struct pipeline_said){.ts_ns = event->ts_ns,
                                                                        .ref = event->ref,
                                                                        .instrument = event->instrument,
                                                                        .kind = event->kind,
                                                                        .reason = (uint8_t)reason,
                                                                        .is_judged = is_judged};
  if (limits && !card_gate_limits(gate, limits)) return lost(p);
  return card_gate_put(gate, event) || lost(p);
}

bool pipeline_judge_await(struct hwgw_pipeline *p, struct hwgw_verdict *verdict) {
  while (card_gate_pending(p->card.gate))
    if (!pipeline_judge_look(p, verdict, true)) return false;
  return true;
}

/* ---- orders ---- */

static struct hwgw_order rejected(const struct hwgw_order *order) {
  struct hwgw_order back = *order;
  back.kind = HWGW_ORDER_KIND_REJECTED;
  return back;
}

static uint32_t by_both(struct hwgw_pipeline *p, const struct hwgw_order *order) {
  struct hwgw_order back = rejected(order);
  struct hwgw_verdict verdict;
  uint32_t reason = hwgw_risk_event(p->risk, order, NULL);
  if (reason == HWGW_RISK_REASON_PASS) pipeline_loan_offer(p, order);
  bool has_answer = pipeline_judge_give(p, order, NULL, reason, true) && pipeline_judge_await(p, &verdict);
  bool has_passed = has_answer && verdict.reason == HWGW_RISK_REASON_PASS;
  if (pipeline_loan_settle(p, has_answer, has_passed)) return HWGW_RISK_REASON_PASS;
  if (HWGW_LIKELY(has_answer && verdict.reason == reason)) return reason;
  if (reason == HWGW_RISK_REASON_PASS) {
    hwgw_risk_event(p->risk, &back, NULL);
    return has_answer ? verdict.reason : (uint32_t)HWGW_RISK_REASON_HALTED;
  }
  if (has_passed) (void)pipeline_judge_give(p, &back, NULL, HWGW_RISK_REASON_PASS, true);
  return reason;
}

/* the host's gate has an order that the card let pass; its rate allowances are the card's business */
static bool carry(struct hwgw_risk *risk, const struct hwgw_order *order, uint32_t px) {
  uint32_t checks = risk->checks;
  risk->checks &= ~(1u << HWGW_RISK_REASON_RATE);
  bool is_carried = hwgw_risk_carry(risk, order, px);
  risk->checks = checks;
  return is_carried;
}

static uint32_t by_card(struct hwgw_pipeline *p, const struct hwgw_order *order) {
  struct hwgw_verdict verdict = {.px_judged = order->px};
  pipeline_loan_offer(p, order);
  bool has_answer =
      pipeline_judge_give(p, order, NULL, HWGW_RISK_REASON_PASS, false) && pipeline_judge_await(p, &verdict);
  bool has_passed = has_answer && verdict.reason == HWGW_RISK_REASON_PASS;
  bool has_left = pipeline_loan_settle(p, has_answer, has_passed);
  if (!has_passed && !has_left) return has_answer ? verdict.reason : (uint32_t)HWGW_RISK_REASON_HALTED;
  if (HWGW_LIKELY(carry(p->risk, order, verdict.px_judged))) return HWGW_RISK_REASON_PASS;
  struct pipeline_said said = {.ref = order->ref,
                               .kind = order->kind,
                               .instrument = order->instrument,
                               .ts_ns = order->ts_ns,
                               .reason = HWGW_RISK_REASON_STATE};
  differs(p, &said, &verdict);
  if (has_left) return HWGW_RISK_REASON_PASS; /* what the venue says of it will halt once more */
  struct hwgw_order back = rejected(order);
  (void)pipeline_judge_give(p, &back, NULL, HWGW_RISK_REASON_PASS, true);
  return HWGW_RISK_REASON_HALTED;
}

uint32_t pipeline_judge_fired(struct hwgw_pipeline *p, const struct hwgw_order *order,
                              const struct hwgw_verdict *verdict) {
  struct hwgw_order back = rejected(order);
  struct hwgw_verdict said = *verdict;
  said.source = HWGW_VERDICT_SOURCE_HOST;
  bool has_passed = verdict->reason == HWGW_RISK_REASON_PASS;
  uint32_t reason = p->card.is_alone ? verdict->reason : hwgw_risk_event(p->risk, order, NULL);
  pipeline_loan_fired(p, order);
  bool has_left = pipeline_loan_settle(p, true, has_passed);
  struct pipeline_said host = {.ref = order->ref,
                               .kind = order->kind,
                               .instrument = order->instrument,
                               .ts_ns = order->ts_ns,
                               .reason = (uint8_t)reason};
  if (HWGW_UNLIKELY(reason != verdict->reason)) differs(p, &host, &said);
  if (p->card.is_alone) latched(p, reason);
  if (!has_passed) {
    if (reason == HWGW_RISK_REASON_PASS) hwgw_risk_event(p->risk, &back, NULL);
    return verdict->reason;
  }
  if (HWGW_LIKELY(!p->card.is_alone && reason == HWGW_RISK_REASON_PASS)) return reason;
  if (p->card.is_alone || has_left) { /* the host's gate has not got it */
    if (HWGW_LIKELY(carry(p->risk, order, verdict->px_judged))) return HWGW_RISK_REASON_PASS;
    host.reason = HWGW_RISK_REASON_STATE;
    differs(p, &host, &said);
    if (has_left) return HWGW_RISK_REASON_PASS; /* what the venue says of it will halt once more */
  }
  (void)pipeline_judge_give(p, &back, NULL, HWGW_RISK_REASON_PASS, false);
  return reason != HWGW_RISK_REASON_PASS ? reason : (uint32_t)HWGW_RISK_REASON_HALTED;
}

uint32_t pipeline_judge(struct hwgw_pipeline *p, const struct hwgw_order *event, const struct hwgw_limits *limits) {
  if (HWGW_LIKELY(!p->card.gate)) return hwgw_risk_event(p->risk, event, limits);
  if (is_new(event)) return p->card.is_alone ? by_card(p, event) : by_both(p, event);
  uint32_t reason = hwgw_risk_event(p->risk, event, limits);
  struct hwgw_verdict verdict;
  if (HWGW_UNLIKELY(p->card.is_rebuilt) && event->kind == HWGW_ORDER_KIND_ARM) return reason;
  bool is_given = pipeline_judge_give(p, event, limits, reason, true);
  if (is_given && event->kind == HWGW_ORDER_KIND_CANCEL) (void)pipeline_judge_await(p, &verdict);
  return reason;
}

/* ---- open, housekeeping, close ---- */

int32_t pipeline_judge_open(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error) {
  /* neither a backtest nor a strategy on paper has a card */
  if (cfg->risk_where == HWGW_RISK_WHERE_HOST || p->is_virtual || p->mode != HWGW_SEGMENT_STRATEGY_MODE_LIVE)
    return HWGW_OK;
  p->card.is_alone = cfg->risk_where == HWGW_RISK_WHERE_CARD;
  int32_t status = card_gate_open(&p->card.gate, rx_card_device(p->rx), cfg->risk_card, error);
  return status ? status : pipeline_loan_open(p, cfg, error);
}

void pipeline_judge_house(struct hwgw_pipeline *p, uint64_t now) {
  struct hwgw_verdict verdict;
  if (!p->card.gate) return;
  if (p->card.is_lost || p->card.gate->card->is_lost) {
    (void)lost(p);
    return;
  }
  card_gate_beat(p->card.gate);
  (void)pipeline_judge_await(p, &verdict);
  pipeline_loan_house(p, pipeline_ns(p, now));
  if (now - p->card.t_stats < STATS_MS * pipeline_hz(p) / 1000) return;
  p->card.t_stats = now;
  card_gate_stats(p->card.gate, p->counters);
}

void pipeline_judge_close(struct hwgw_pipeline *p) {
  pipeline_loan_close(p);
  card_gate_close(p->card.gate);
}
