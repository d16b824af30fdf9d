/* pipeline_rule.c: rules of the card, which make an order of a market-data event without the host.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   A rule is of one instrument, and armed for one order by a person. What the rules of a pipeline may make at a time is one order: the
 * shot. Its reference is reserved, what it may be is on record (a record `shot` for each rule that is armed, with that reference), and
 * the loan is out, before the card has the number; each is the host's alone, so that no reference is used twice.
 *   One holder at a time: while the card has the shot, nothing is told to either gate and nothing is written to the connection. Who is to
 * do so takes it back first (pipeline_rule_return: a write and a read): then it either was not fired and cannot be any more, or the
 * order's verdict is waited for and the order is taken in before anything else. So both gates are told the same in the same order, the
 * order is judged by both at the card's time of it, and its bytes have their place among the host's.
 *   An order that was fired is from then on like any other that the card has sent: compared with what its rule says, told to the kernel,
 * on record with its verdict, in the gate, in the counters, and its strategy is told.
 *   Not in the card while: halted, in whatever way, of that instrument or venue; the strategy is not armed; the feed of the instrument is
 * not good; the session is not up or has bytes that wait; there is no loan. Each round looks, so that a halt takes effect in the card
 * within a round of the loop; a host that hangs ends its loan, and the card's watchdog halts.
 *   What cannot be halts (reason card), and the connection is given up: the next login tells.
 *   Cost: a comparison per event without rules; with one in the card two register accesses per event that the gates are told of.
 * Thread: the pipeline's.
 */
#include "card_send.h"
#include "halt.h"
#include "pipeline.h"
#include "pipeline_clock.h"
#include "risk.h"
#include "session.h"

static bool has(uint32_t mask, uint32_t number) {
  return mask >> number & 1;
}

static struct hwgw_rule_row *row_of(const struct hwgw_pipeline *p, uint32_t number) {
  return hwgw_segment_rule(p->segment, number);
}

/* what the rule makes with this reference */
static struct hwgw_order order_of(const struct pipeline_rule *rule, uint32_t ref, uint64_t ts_ns) {
  return (struct hwgw_order){.kind = HWGW_ORDER_KIND_NEW,
                             .side = rule->rule.side,
                             .type = HWGW_ORDER_TYPE_LIMIT,
                             .tif = rule->rule.tif,
                             .flags = rule->rule.flags,
                             .account = rule->rule.account,
                             .strategy = rule->rule.strategy,
                             .ref = ref,
                             .instrument = rule->instrument,
                             .px = rule->rule.px,
                             .qty = rule->rule.qty,
                             .ts_ns = ts_ns};
}

/* the card and the session can say what it makes */
static bool is_sound(const struct hwgw_pipeline *p, const struct pipeline_rule *rule) {
  uint8_t packet[HWGW_PACKET_SZ_MAX];
  struct hwgw_order order = order_of(rule, 1, 0);
  uint32_t len = hwgw_order_encode(p->session[0].link, &order, packet);
  return len && len <= sizeof((struct hwgw_sent *)0)->packet && rule->rule.px <= HWGW_RISK_PX_MAX;
}

static void show(struct hwgw_pipeline *p) {
  const struct pipeline_rules *rules = &p->rules;
  for (uint32_t i = 0; i < rules->cnt; i++) {
    uint32_t *state = &row_of(p, i)->state;
    if (has(rules->armed, i))
      *state =
          rules->is_loaded && has(rules->mask, i) ? HWGW_SEGMENT_RULE_STATE_LOADED : HWGW_SEGMENT_RULE_STATE_WAITING;
    else if (*state != HWGW_SEGMENT_RULE_STATE_FIRED)
      *state = HWGW_SEGMENT_RULE_STATE_DISARMED;
  }
}

/* ---- an order that was made ---- */

/* the rule that can have made it, or cnt */
static uint32_t maker(const struct pipeline_rules *rules, const struct hwgw_verdict *verdict) {
  uint32_t i = 0;
  for (; i < rules->cnt; i++) {
    if (!has(rules->mask, i) || rules->rule[i].instrument != verdict->instrument) continue;
    struct hwgw_order order = order_of(&rules->rule[i], rules->ref, verdict->ts_ns);
    if (order.kind == verdict->kind && order.side == verdict->side && order.type == verdict->type &&
        order.tif == verdict->tif && order.flags == verdict->flags && order.account == verdict->account &&
        order.strategy == verdict->strategy && order.ref == verdict->ref && verdict->orig_ref == 0 &&
        order.px == verdict->px && order.qty == verdict->qty)
      break;
  }
  return i;
}

bool pipeline_rule_fired(struct hwgw_pipeline *p, const struct hwgw_verdict *verdict) {
  struct pipeline_rules *rules = &p->rules;
  if (HWGW_UNLIKELY(!rules->is_loaded && !rules->is_awaited)) return false;
  rules->is_loaded = rules->is_awaited = false;
  uint32_t number = maker(rules, verdict);
  rules->recorded =
      0; /* the number has been used; that it may have left stands on record, with its verdict if it is one of ours */
  rules->is_recorded = false;
  if (HWGW_UNLIKELY(number == rules->cnt)) {
    pipeline_loan_stray(p);
    return false;
  }
  uint32_t bit = (uint32_t)1 << number;
  rules->armed &= ~bit;
  rules->stored &= ~bit;
  if (verdict->ts_ns > rules->fired_ns) rules->fired_ns = verdict->ts_ns;
  struct hwgw_order order = order_of(&rules->rule[number], rules->ref, verdict->ts_ns);
  order.t_rx = verdict->t_rx;
  order.seq = verdict->seq;
  rules->is_new = true;
  uint32_t reason = pipeline_order_fired(p, pipeline_strategy_of(p, order.strategy), &order, verdict);
  rules->fired_ns = pipeline_told_ns(p, pipeline_now_ns(p)); /* with what came of it, such as a halt */
  struct hwgw_rule_row *row = row_of(p, number);
  row->state = HWGW_SEGMENT_RULE_STATE_FIRED;
  row->last_ref = order.ref;
  row->last_reason = reason;
  row->fired_ns = verdict->ts_ns;
  row->passed += reason == HWGW_RISK_REASON_PASS;
  __atomic_store_n(&row->fired, row->fired + 1, __ATOMIC_RELEASE);
  show(p);
  return true;
}

/* ---- the shot ---- */

void pipeline_rule_return(struct hwgw_pipeline *p) {
  struct pipeline_rules *rules = &p->rules;
  struct hwgw_verdict verdict;
  if (HWGW_LIKELY(!rules->is_loaded)) return;
  bool is_fired = card_send_shot(p->card.gate, 0);
  rules->is_loaded = false;
  if (HWGW_UNLIKELY(is_fired)) {
    rules->is_awaited = true;
    while (rules->is_awaited && pipeline_judge_look(p, &verdict, true)) {
    }
    rules->is_awaited = false;
  } else {
    card_send_switch(p->card.gate, false);
  }
  show(p);
}

void pipeline_rule_renew(struct hwgw_pipeline *p) {
  pipeline_rule_return(p);
  p->rules.recorded = 0;
}

/* the session would send each of them now: it is up, and the venue's message rate has room for one more */
static bool would_send(struct hwgw_pipeline *p, uint32_t mask, uint32_t ref, uint64_t now_ns) {
  const struct pipeline_rules *rules = &p->rules;
  uint8_t packet[HWGW_PACKET_SZ_MAX];
  for (uint32_t i = 0; i < rules->cnt; i++) {
    struct hwgw_order order = order_of(&rules->rule[i], ref, now_ns);
    if (!has(mask, i)) continue;
    uint32_t len = hwgw_session_offer(p->session[0].link, &order, packet);
    if (len == 0 || len > sizeof((struct hwgw_sent *)0)->packet) return false;
  }
  return true;
}

/* the records that say what may leave with the number, which is nobody else's from here on */
static bool reserve(struct hwgw_pipeline *p, uint32_t mask, uint32_t ref, uint64_t now_ns) {
  struct pipeline_rules *rules = &p->rules;
  p->last_ref = rules->ref = ref;
  rules->recorded = 0;
  rules->is_recorded = true;
  for (uint32_t i = 0; i < rules->cnt; i++) {
    struct hwgw_order order = order_of(&rules->rule[i], ref, now_ns);
    if (has(mask, i) && !journal_keep(&p->journal, HWGW_JOURNAL_RECORD_TYPE_SHOT, 0, now_ns, &order, sizeof order))
      return false;
  }
  rules->recorded = mask;
  return true;
}

static void load(struct hwgw_pipeline *p, uint32_t mask) {
  struct pipeline_rules *rules = &p->rules;
  uint64_t now_ns = pipeline_now_ns(p);
  if (!pipeline_loan_ready(p, now_ns)) return;
  bool is_reserved = rules->ref == p->last_ref && (mask & ~rules->recorded) == 0 &&
                     rules->ref >= hwgw_session_next_ref(p->session[0].link); /* the venue has not taken it */
  if (!is_reserved && p->last_ref >= UINT32_MAX - 1) return;
  uint32_t ref = p->last_ref + !is_reserved;
  if (!would_send(p, mask, ref, now_ns) || !(is_reserved || reserve(p, mask, ref, now_ns))) return;
  for (uint32_t i = 0; i < rules->cnt; i++) {
    struct pipeline_rule *rule = &rules->rule[i];
    if (has(mask, i) == has(rules->stored, i) && !has(rules->changed, i)) continue;
    rule->rule.armed = has(mask, i);
    card_send_rule(p->card.gate, rule->instrument, &rule->rule);
  }
  rules->stored = rules->mask = mask;
  rules->changed = 0;
  card_send_time(p->card.gate, now_ns);
  rules->is_loaded = true;
  (void)card_send_shot(p->card.gate, rules->ref);
  show(p);
}

/* the rules that may be in the card now */
static uint32_t fit(const struct hwgw_pipeline *p) {
  const struct pipeline_rules *rules = &p->rules;
  const struct hwgw_session *link = p->session[0].link;
  if (HWGW_LIKELY(!rules->armed)) return 0;
  if (p->card.is_lost || p->is_halted || p->strategy_is_stopped || p->is_reconciling || p->journal.is_broken ||
      __atomic_load_n(&p->control->halt, __ATOMIC_ACQUIRE) || halt_has_venue(p->control, 0) ||
      p->session[0].state != HWGW_SEGMENT_SESSION_STATE_UP || link->link_down || hwgw_session_backlog(link) ||
      link->orders.entry != HWGW_SEGMENT_ENTRY_STATE_ENABLED)
    return 0;
  uint32_t mask = 0;
  for (uint32_t i = 0; i < rules->cnt; i++) {
    const struct pipeline_rule *rule = &rules->rule[i];
    bool is_fit = has(rules->armed, i) && rule->locate && p->instrument[rule->instrument].is_good &&
                  p->risk->strategy[rule->rule.strategy].is_armed && !halt_has_instrument(p->control, rule->instrument);
    mask |= (uint32_t)is_fit << i;
  }
  return mask;
}

/* ---- what is asked ---- */

static void ask(struct hwgw_pipeline *p, uint32_t number, uint64_t seq) {
  struct pipeline_rules *rules = &p->rules;
  struct hwgw_rule_row *row = row_of(p, number);
  struct pipeline_rule wanted = rules->rule[number];
  uint32_t bit = (uint32_t)1 << number;
  if (row->ask_armed) {
    wanted.rule.when_px = row->ask_when_px;
    wanted.rule.when_qty = row->ask_when_qty;
    wanted.rule.px = row->ask_px;
    wanted.rule.qty = row->ask_qty;
  }
  if (row->ask_armed <= 1 && is_sound(p, &wanted)) {
    rules->rule[number] = wanted;
    row->when_px = wanted.rule.when_px;
    row->when_qty = wanted.rule.when_qty;
    row->px = wanted.rule.px;
    row->qty = wanted.rule.qty;
    rules->changed |= bit;
    rules->recorded &= ~bit;
    rules->armed = row->ask_armed ? rules->armed | bit : rules->armed & ~bit;
    row->state = HWGW_SEGMENT_RULE_STATE_DISARMED;
  } else {
    row->seq_refused = seq;
  }
  show(p);
  __atomic_store_n(&row->seq_ack, seq, __ATOMIC_RELEASE);
}

static void asked(struct hwgw_pipeline *p) {
  struct pipeline_rules *rules = &p->rules;
  uint64_t seq = __atomic_load_n(&p->control->rule_seq, __ATOMIC_ACQUIRE);
  if (HWGW_LIKELY(seq == rules->seq)) return;
  pipeline_rule_return(p);
  rules->seq = seq;
  for (uint32_t i = 0; i < rules->cnt; i++) {
    uint64_t now = __atomic_load_n(&row_of(p, i)->seq, __ATOMIC_ACQUIRE);
    if (now != row_of(p, i)->seq_ack && !(now & 1)) ask(p, i, now);
  }
}

/* ---- the round ---- */

void pipeline_rule_look(struct hwgw_pipeline *p) {
  struct hwgw_verdict verdict;
  while (p->rules.is_loaded && pipeline_judge_look(p, &verdict, false)) {
  }
}

/* what was on record as a number that may leave cannot any more: nothing is to be asked of the venue after the end */
static void forget(struct hwgw_pipeline *p) {
  struct pipeline_rules *rules = &p->rules;
  uint64_t now_ns = pipeline_now_ns(p);
  struct hwgw_order none = {.ref = rules->ref, .ts_ns = now_ns};
  rules->recorded = 0;
  rules->is_recorded = false;
  journal_keep(&p->journal, HWGW_JOURNAL_RECORD_TYPE_SHOT, 0, now_ns, &none, sizeof none);
}

void pipeline_rule_round(struct hwgw_pipeline *p) {
  struct pipeline_rules *rules = &p->rules;
  pipeline_rule_look(p);
  asked(p);
  uint32_t mask = fit(p);
  if (rules->is_loaded && mask != rules->mask) pipeline_rule_return(p);
  if (rules->is_new) { /* its strategy may have something to cancel; the kernel has its bytes */
    rules->is_new = false;
    pipeline_flush(p);
    return;
  }
  if (rules->is_loaded) {
    card_send_time(p->card.gate, pipeline_now_ns(p));
  } else if (mask) {
    load(p, mask);
  } else if (rules->is_recorded && (!rules->armed || p->strategy_is_stopped) && !p->card.is_lost) {
    forget(p);
  }
}

/* a directory message: the card has to know the number of the instrument, too */
void pipeline_rule_locate(struct hwgw_pipeline *p, const struct hwgw_event *event) {
  struct pipeline_rules *rules = &p->rules;
  for (uint32_t i = 0; i < rules->cnt; i++) {
    struct pipeline_rule *rule = &rules->rule[i];
    bool is_it = rule->instrument == event->instrument;
    if (is_it == (rule->locate == event->locate)) continue;
    pipeline_rule_return(p);
    if (rule->locate) card_send_locate(p->card.gate, rule->locate, rule->instrument, false);
    rule->locate = is_it ? event->locate : 0;
    if (is_it) card_send_locate(p->card.gate, rule->locate, rule->instrument, true);
  }
}

/* ---- open ---- */

int32_t pipeline_rule_open(struct hwgw_pipeline *p, const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error) {
  struct pipeline_rules *rules = &p->rules;
  if (p->mode != HWGW_SEGMENT_STRATEGY_MODE_LIVE || p->is_virtual) return HWGW_OK; /* as with the card's gate */
  if (cfg->rule_cnt > HWGW_SEGMENT_RULES_MAX || (cfg->rule_cnt && (!p->loan.is_on || !rx_card_device(p->rx))))
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "%u rules: the card has %u, and they need that it receives, judges and sends", cfg->rule_cnt,
                          HWGW_SEGMENT_RULES_MAX);
  rules->seq = __atomic_load_n(&p->control->rule_seq, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; i < cfg->rule_cnt; i++) {
    struct pipeline_rule *rule = &rules->rule[i];
    *rule = (struct pipeline_rule){.instrument = cfg->rule[i].instrument, .rule = cfg->rule[i].rule};
    const struct pipeline_strategy *strategy = pipeline_strategy_of(p, rule->rule.strategy);
    bool is_twice = false;
    for (uint32_t j = 0; j < i; j++) is_twice |= rules->rule[j].instrument == rule->instrument;
    if (!strategy || is_twice || rule->instrument >= p->symbol_cnt)
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                            "rule %s: its strategy is not there, or its instrument, or that has a rule already",
                            cfg->rule[i].name);
    rule->rule.account = (uint8_t)strategy->account;
    if (!is_sound(p, rule))
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rule %s: its order cannot be said on the session",
                            cfg->rule[i].name);
    struct hwgw_rule_row *row = row_of(p, i);
    *row = (struct hwgw_rule_row){.instrument = rule->instrument,
                                  .strategy = rule->rule.strategy,
                                  .when = rule->rule.when,
                                  .side = rule->rule.side,
                                  .tif = rule->rule.tif,
                                  .when_px = rule->rule.when_px,
                                  .when_qty = rule->rule.when_qty,
                                  .px = rule->rule.px,
                                  .qty = rule->rule.qty};
    snprintf(row->name, sizeof row->name, "%s", cfg->rule[i].name);
    rules->changed |= (uint32_t)1 << i;
  }
  rules->cnt = cfg->rule_cnt;
  return HWGW_OK;
}
