/* risk_restart.c: a gate that goes on from what an earlier process left.
 *
 * SPDX-License-Identifier: MIT
 *
 * Carried over: positions, open orders, exposure, cash, filled notional, the last reference, runs of fills and
 * refusals, recent orders. Not carried over: the latch, arming, limits, reference prices, feeds, the heartbeat, and rate allowances.
 * Thread: the gate's opener.
 */
#include "risk.h"

void hwgw_risk_restart(struct hwgw_risk *risk, uint64_t allowance_ns) {
  const struct hwgw_risk_bucket empty = {.level = 0, .level_ts = allowance_ns};
  risk->halt = 0;
  risk->checks = hwgw_risk_limits_none.checks_enabled;
  risk->gateway.bucket = empty;
  for (uint32_t i = 0; i < HWGW_RISK_ACCOUNTS_MAX; i++) risk->account[i].bucket = empty;
  for (uint32_t i = 0; i < HWGW_RISK_STRATEGIES_MAX; i++) {
    risk->strategy[i].bucket = empty;
    risk->strategy[i].is_armed = 0; /* by whom it was armed then says nothing of now */
  }
}

/* what is of no instrument any more has neither position nor orders */
static uint32_t instrument_of(const uint32_t *instrument, uint32_t from) {
  return from < HWGW_RISK_INSTRUMENTS_MAX && instrument[from] < HWGW_RISK_INSTRUMENTS_MAX ? instrument[from] : 0;
}

void hwgw_risk_renumber(struct hwgw_risk *to, const struct hwgw_risk *from, const uint32_t *instrument,
                        const uint8_t *strategy) {
  uint64_t used = 0;
  for (uint32_t i = 0; i < HWGW_RISK_STRATEGIES_MAX; i++)
    if (strategy[i] < HWGW_RISK_STRATEGIES_MAX) used |= (uint64_t)1 << strategy[i];
  *to = *from;
  memset(to->instrument, 0, sizeof to->instrument);
  memset(to->holding, 0, sizeof to->holding);
  memset(to->strategy, 0, sizeof to->strategy);
  for (uint32_t i = 0; i < HWGW_RISK_INSTRUMENTS_MAX; i++) {
    if (instrument[i] >= HWGW_RISK_INSTRUMENTS_MAX) continue;
    to->instrument[instrument[i]] = from->instrument[i];
    to->holding[instrument[i]] = from->holding[i];
  }
  for (uint32_t i = 0; i < HWGW_RISK_STRATEGIES_MAX; i++)
    if (strategy[i] < HWGW_RISK_STRATEGIES_MAX) to->strategy[strategy[i]] = from->strategy[i];
  for (uint32_t i = 0; i < HWGW_RISK_OPEN_ORDERS_MAX; i++) {
    struct hwgw_risk_slot *slot = &to->slot[i];
    if (!slot->ref) continue;
    uint8_t number = strategy[slot->strategy % HWGW_RISK_STRATEGIES_MAX];
    slot->instrument = (uint16_t)instrument_of(instrument, slot->instrument);
    slot->strategy = number < HWGW_RISK_STRATEGIES_MAX ? number : risk_nobody(used);
  }
  for (uint32_t i = 0; i < HWGW_RISK_RECENT_MAX; i++) {
    if (!to->recent.qty[i]) continue;
    uint64_t terms = to->recent.terms[i];
    uint32_t number = instrument_of(instrument, terms >> 16 & 0xFFFF);
    to->recent.terms[i] = risk_terms((uint32_t)(terms >> 32), number, terms >> 8 & 0xFF, terms & 0xFF);
    to->recent.key[i] = risk_key(to->recent.terms[i], to->recent.qty[i]);
  }
}
