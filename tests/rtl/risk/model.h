/* model.h: the Verilated risk gate for C: events in, answers out, and any bits of its state.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef RISK_MODEL_H
#define RISK_MODEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct risk_model;

struct risk_rows {
  uint32_t *words;
  uint32_t stride; /* 32-bit words per row */
};

/* the memories and registers of hwgw_risk whose rows fpga/gen_risk.py describes */
enum risk_memory {
  MEMORY_AT,
  MEMORY_ACCOUNT,
  MEMORY_STRATEGY,
  MEMORY_SLOT,
  MEMORY_FEED,
  MEMORY_HELD,
  MEMORY_MONEY,
  MEMORY_GATEWAY,
  MEMORY_RECENT,
  MEMORY_GATEWAY_CASH,
  MEMORY_GATEWAY_EQUITY,
  MEMORY_LIMITS_INSTRUMENT,
  MEMORY_LIMITS_ACCOUNT,
  MEMORY_LIMITS_STRATEGY,
  MEMORY_CNT
};

/* the change in force where there are any (tests/mutation), 0 = none: of models opened from now on, and of this one */
extern uint32_t risk_model_mutant;
void risk_model_mutate(struct risk_model *model, uint32_t number);
struct risk_model *risk_model_open(void); /* after reset; NULL when there is no memory */
void risk_model_close(struct risk_model *model);
void risk_model_reset(struct risk_model *model);
/* writes words of a limits table; tlast with the last one, or not at all */
void risk_model_words(struct risk_model *model, const uint64_t *words, uint32_t cnt, uint32_t is_whole);
void risk_model_table(struct risk_model *model, const uint64_t *words, uint32_t cnt);
/* cnt records of 64 bytes, each offered as soon as the gate takes it; their answers. Returns when the last one has been
 * applied, 0 when the gate hangs or answers with another record */
int risk_model_events(struct risk_model *model, const void *records, uint32_t cnt, uint8_t *reasons);
/* from now on a cycle is two evaluations of Verilator's own, as its manual says */
void risk_model_plain(struct risk_model *model, uint32_t is_plain);
/* from now on records are offered, limits words given and answers taken with pauses, by that seed; 0 = none */
void risk_model_pauses(struct risk_model *model, uint32_t seed);
/* cycles from the last record to its verdict */
uint32_t risk_model_latency(const struct risk_model *model);
uint64_t risk_model_cycles(const struct risk_model *model);
void risk_model_halt(struct risk_model *model, uint32_t level, uint32_t reason);
/* the wire is high for one cycle, so many cycles after the next record is taken */
void risk_model_halt_in(struct risk_model *model, uint32_t cycles, uint32_t reason);
/* the memories, by enum risk_memory; bit 0 of a row is bit 0 of its first word */
const struct risk_rows *risk_model_rows(const struct risk_model *model);
/* turns a bit of a row of a memory over, for the test of parity */
void risk_model_flip(struct risk_model *model, uint32_t memory, uint32_t row, uint32_t bit);
uint64_t risk_model_last_ts(const struct risk_model *model);
uint64_t risk_model_last_beat(const struct risk_model *model);
uint32_t risk_model_last_ref(const struct risk_model *model);
uint32_t risk_model_halted(const struct risk_model *model);
uint64_t risk_model_generation(const struct risk_model *model);
/* of the last 64 verdicts number mod 64, and of how many there were */
void risk_model_last(struct risk_model *model, uint32_t number, uint64_t out[2]);
uint32_t risk_model_verdict_cnt(const struct risk_model *model);
void risk_model_count(struct risk_model *model, uint32_t verdict_cnt); /* so many there were, from now on */
uint64_t risk_model_pulses(const struct risk_model *model, uint32_t reason);

#ifdef __cplusplus
}
#endif

#endif
