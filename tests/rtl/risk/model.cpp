// model.cpp: what model.h says, on the model that Verilator makes of hwgw_risk.v.
//
// SPDX-License-Identifier: MIT
//
// One cycle: inputs are set while the clock is low, outputs are those of the last rising edge and of the inputs, then it
// rises and falls. Verilator looks at every input for changes at either edge, a quarter of all that is executed; so the
// rising edge is said to the model as its scheduler says it, and after a change of inputs (settle) alone is all looked at.
// That holds for one clock that is nothing but a clock; test_risk_rtl.py compares it with Verilator's own way (plain).
#include "model.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include <unistd.h>

#include "Vhwgw_risk.h"
#include "Vhwgw_risk___024root.h"
#ifdef RISK_MUTANTS
#include "Vhwgw_risk_mutant.h"
#endif
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
enum { IS_PLAIN = 1 };  // what an edge of the clock covers, too
#else
enum { IS_PLAIN = 0 };
#endif

bool Vhwgw_risk___024root___eval_nba(Vhwgw_risk___024root *root);

enum { PATIENCE = 40000, RECORD = 64 };

struct risk_model {
  VerilatedContext *context;
  Vhwgw_risk *top;
  uint64_t cycles;
  uint32_t latency;
  uint32_t pauses;  // state of their generator, 0 = none
  uint32_t halt_in;
  uint32_t is_plain;
  uint64_t pulses[32];
  risk_rows rows[MEMORY_CNT];
};

// after inputs were changed
static inline void settle(risk_model *model) {
  model->top->eval();
}

static inline void tick(risk_model *model) {
  Vhwgw_risk *top = model->top;
  if (IS_PLAIN || model->is_plain) {
    top->clk = 1;
    top->eval();
    top->clk = 0;
    top->eval();
  } else {
    Vhwgw_risk___024root *root = top->rootp;
    static_assert(sizeof root->__VnbaTriggered == sizeof(QData), "the model has more than one clock");
    root->__VnbaTriggered[0] = 1;
    Vhwgw_risk___024root___eval_nba(root);
  }
  model->cycles++;
  if (top->pulse) model->pulses[__builtin_ctz(top->pulse)]++;
}

template <typename Row, std::size_t N>
static risk_rows of(VlUnpacked<Row, N> &rows) {
  return {reinterpret_cast<uint32_t *>(&rows[0]), sizeof(Row) / sizeof(uint32_t)};
}

template <typename Word>
static risk_rows of(Word &row) {
  return {reinterpret_cast<uint32_t *>(&row), 0};
}

// in a quarter of the cycles, when there are pauses: xorshift32
static inline bool is_pause(risk_model *model) {
  uint32_t state = model->pauses;
  if (!state) return false;
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  model->pauses = state;
  return state % 4 == 0;
}

// of a model with coverage: what it has seen, into the folder that HWGW_RTL_COVERAGE names
static void tell_coverage(const risk_model *model) {
#if VM_COVERAGE
  static unsigned cnt;
  const char *folder = getenv("HWGW_RTL_COVERAGE");
  char path[4096];
  if (!folder) return;
  snprintf(path, sizeof path, "%s/risk-%d-%u.dat", folder, getpid(), cnt++);
  model->context->coveragep()->write(path);
#endif
  (void)model;
}

extern "C" {

uint32_t risk_model_mutant;

void risk_model_mutate(risk_model *model, uint32_t number) {
#ifdef RISK_MUTANTS
  model->top->rootp->__PVT__mutant->on = number;
#endif
  (void)model, (void)number;
}

void risk_model_reset(risk_model *model) {
  Vhwgw_risk *top = model->top;
  top->rst = 1;
  settle(model);
  for (int i = 0; i < 4; i++) tick(model);
  top->rst = 0;
  settle(model);
  for (int i = 0; i < PATIENCE && !top->is_ready; i++) tick(model);
}

risk_model *risk_model_open(void) {
  risk_model *model = new (std::nothrow) risk_model();
  if (!model) return nullptr;
  model->context = new VerilatedContext;
#if VM_COVERAGE
  model->context->randReset(0);  // what is random before the reset was not brought there by a test
#else
  model->context->randReset(2);
#endif
  model->top = new Vhwgw_risk(model->context, "gate");
  Vhwgw_risk___024root *root = model->top->rootp;
  risk_model_mutate(model, risk_model_mutant);
  risk_rows *rows = model->rows;
  rows[MEMORY_AT] = of(root->hwgw_risk__DOT__u_state__DOT__u_at__DOT__ram);
  rows[MEMORY_ACCOUNT] = of(root->hwgw_risk__DOT__u_state__DOT__u_account__DOT__ram);
  rows[MEMORY_STRATEGY] = of(root->hwgw_risk__DOT__u_state__DOT__u_strategy__DOT__ram);
  rows[MEMORY_SLOT] = of(root->hwgw_risk__DOT__u_state__DOT__u_slot__DOT__ram);
  rows[MEMORY_FEED] = of(root->hwgw_risk__DOT__u_state__DOT__u_feed__DOT__ram);
  rows[MEMORY_HELD] = of(root->hwgw_risk__DOT__u_money__DOT__u_held__DOT__ram);
  rows[MEMORY_MONEY] = of(root->hwgw_risk__DOT__u_money__DOT__u_money__DOT__ram);
  rows[MEMORY_GATEWAY] = of(root->hwgw_risk__DOT__u_state__DOT__gateway_q);
  rows[MEMORY_RECENT] = of(root->hwgw_risk__DOT__recent_q);
  rows[MEMORY_GATEWAY_CASH] = of(root->hwgw_risk__DOT__u_money__DOT__gateway_cash_q);
  rows[MEMORY_GATEWAY_EQUITY] = of(root->hwgw_risk__DOT__u_money__DOT__gateway_equity_q);
  rows[MEMORY_LIMITS_INSTRUMENT] =
      of(root->hwgw_risk__DOT__u_limits__DOT__g_instrument__BRA__0__KET____DOT__u_ram__DOT__ram);
  rows[MEMORY_LIMITS_ACCOUNT] =
      of(root->hwgw_risk__DOT__u_limits__DOT__g_account__BRA__0__KET____DOT__u_ram__DOT__ram);
  rows[MEMORY_LIMITS_STRATEGY] =
      of(root->hwgw_risk__DOT__u_limits__DOT__g_strategy__BRA__0__KET____DOT__u_ram__DOT__ram);
  Vhwgw_risk *top = model->top;
  top->clk = top->halt = top->halt_reason = top->s_axis_event_tvalid = top->s_axis_limits_tvalid = 0;
  top->verdict_addr = 0;
  top->m_axis_verdict_tready = 1;
  risk_model_reset(model);
  return model;
}

void risk_model_close(risk_model *model) {
  if (!model) return;
  model->top->final();
  tell_coverage(model);
  delete model->top;
  delete model->context;
  delete model;
}

void risk_model_words(risk_model *model, const uint64_t *words, uint32_t cnt, uint32_t is_whole) {
  Vhwgw_risk *top = model->top;
  for (uint32_t i = 0; i < cnt; i++) {
    top->s_axis_limits_tdata = words[i];
    top->s_axis_limits_tlast = is_whole && i + 1 == cnt;
    bool is_taken = false, is_offered = false;
    for (int wait = 0; !is_taken && wait < PATIENCE; wait++, tick(model)) {
      is_offered = is_offered || !is_pause(model);
      if (!wait || top->s_axis_limits_tvalid != is_offered) {
        top->s_axis_limits_tvalid = is_offered;
        settle(model);
      }
      is_taken = is_offered && top->s_axis_limits_tready;
    }
    if (!is_taken) break;
  }
  top->s_axis_limits_tvalid = 0;
  settle(model);
  for (int wait = 0; !top->s_axis_limits_tready && wait < PATIENCE; wait++) tick(model);
}

void risk_model_table(risk_model *model, const uint64_t *words, uint32_t cnt) {
  risk_model_words(model, words, cnt, 1);
}

int risk_model_events(risk_model *model, const void *records, uint32_t cnt, uint8_t *reasons) {
  Vhwgw_risk *top = model->top;
  const char *bytes = static_cast<const char *>(records);
  uint32_t sent = 0, got = 0, idle = 0;
  uint64_t since = 0;
  bool is_offered = false;
  for (; got < cnt && idle < PATIENCE; idle++) {
    bool is_another = !is_offered && sent < cnt && !is_pause(model);
    is_offered = is_offered || is_another;
    bool is_ready = !is_pause(model);
    if (is_another) memcpy(top->s_axis_event_tdata.data(), bytes + sent * RECORD, RECORD);
    if (is_another || top->s_axis_event_tvalid != is_offered || top->m_axis_verdict_tready != is_ready) {
      top->s_axis_event_tvalid = is_offered;
      top->m_axis_verdict_tready = is_ready;
      settle(model);  // a record is taken in the cycle in which the verdict before it is
    }
    bool is_taken = is_offered && top->s_axis_event_tready;
    if (top->m_axis_verdict_tvalid && top->m_axis_verdict_tready) {
      if (memcmp(top->m_axis_verdict_tdata.data(), bytes + got * RECORD, RECORD)) return 0;
      reasons[got++] = top->m_axis_verdict_tuser;
      model->latency = static_cast<uint32_t>(model->cycles - since);
      idle = 0;
    }
    if (is_taken) {
      since = model->cycles;
      sent++;
      is_offered = false;
    }
    if (model->halt_in && sent && model->cycles - since == model->halt_in) {
      top->halt = 1;
      settle(model);
      tick(model);
      top->halt = 0;
      settle(model);
      model->halt_in = 0;
    } else {
      tick(model);
    }
  }
  top->s_axis_event_tvalid = 0;
  top->m_axis_verdict_tready = 1;
  settle(model);
  tick(model); // what passed is kept beside the recent ones a cycle behind the rows
  return got == cnt;
}

void risk_model_plain(risk_model *model, uint32_t is_plain) {
  model->is_plain = is_plain;
}

void risk_model_pauses(risk_model *model, uint32_t seed) {
  model->pauses = seed;
}

uint32_t risk_model_latency(const risk_model *model) {
  return model->latency;
}

uint64_t risk_model_cycles(const risk_model *model) {
  return model->cycles;
}

void risk_model_halt(risk_model *model, uint32_t level, uint32_t reason) {
  model->top->halt = level & 1;
  model->top->halt_reason = static_cast<CData>(reason);
  settle(model);
  tick(model);
}

void risk_model_halt_in(risk_model *model, uint32_t cycles, uint32_t reason) {
  model->halt_in = cycles;
  model->top->halt_reason = static_cast<CData>(reason);
  settle(model);
}

const risk_rows *risk_model_rows(const risk_model *model) {
  return model->rows;
}

void risk_model_flip(risk_model *model, uint32_t memory, uint32_t row, uint32_t bit) {
  const risk_rows *rows = &model->rows[memory];
  rows->words[row * rows->stride + bit / 32] ^= 1u << bit % 32;
}

uint64_t risk_model_last_ts(const risk_model *model) {
  return model->top->rootp->hwgw_risk__DOT__last_ts_q;
}

uint64_t risk_model_last_beat(const risk_model *model) {
  return model->top->rootp->hwgw_risk__DOT__last_beat_q;
}

uint32_t risk_model_last_ref(const risk_model *model) {
  return model->top->rootp->hwgw_risk__DOT__last_ref_q;
}

uint32_t risk_model_halted(const risk_model *model) {
  return model->top->halted;
}

uint64_t risk_model_generation(const risk_model *model) {
  return model->top->generation;
}

void risk_model_last(risk_model *model, uint32_t number, uint64_t out[2]) {
  model->top->verdict_addr = number % 64;
  settle(model);
  tick(model);
  tick(model);
  memcpy(out, model->top->verdict_data.data(), 16);
}

uint32_t risk_model_verdict_cnt(const risk_model *model) {
  return model->top->verdict_cnt;
}

void risk_model_count(risk_model *model, uint32_t verdict_cnt) {
  model->top->verdict_cnt = verdict_cnt;
}

uint64_t risk_model_pulses(const risk_model *model, uint32_t reason) {
  return model->pulses[reason];
}

}  // extern "C"
