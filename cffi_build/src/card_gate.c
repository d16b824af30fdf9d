/* card_gate.c: the driver of the card's risk gate, as the data path needs it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "card_gate.h"

#include <stdlib.h>

#define POLL_CYCLES 8
#define READY_CYCLES 65536       /* the gate clears a row per cycle */
#define WATCHDOG_CYCLES 15625000 /* without a heartbeat: 100 ms at 156.25 MHz */

_Static_assert(sizeof(struct hwgw_order) == 64 && sizeof(struct hwgw_verdict) == HWGW_CARD_EVENT_SZ,
               "an entry is a line");
_Static_assert(sizeof(struct hwgw_limits) % 8 == 0, "limits go word by word");

static bool is_state(struct card_gate *gate, uint32_t bit, uint32_t cycles) {
  for (uint32_t i = 0; i < cycles && !gate->card->is_lost; i += POLL_CYCLES) {
    if (card_read(gate->card, HWGW_REG_GATE_STATE) & bit) return !gate->card->is_lost;
    gate->card->call.run(gate->card->model, POLL_CYCLES);
  }
  return false;
}

/* what the card has said by the reset was for a host that is gone: its rules made orders up to then. Its journal has them as what may have left */
static void forget(struct card_gate *gate) {
  uint8_t entry[HWGW_CARD_EVENT_SZ];
  const struct card_calls *call = &gate->card->call;
  while (call->verdicts(gate->card->model, entry, 1) || call->sent(gate->card->model, entry, 1)) {
  }
}

int32_t card_gate_open(struct card_gate **out, struct card *device, const char *path, struct hwgw_error *error) {
  struct card_gate *gate = calloc(1, sizeof *gate);
  if (!gate) return hwgw_error_set(error, HWGW_ERR_INTERNAL, 0, "card gate: no memory");
  gate->card = device ? device : &gate->own;
  int32_t status = device ? HWGW_OK : card_open(&gate->own, path, error);
  if (!status) {
    card_write(gate->card, HWGW_REG_GATE_CONTROL, 0);
    card_write(gate->card, HWGW_REG_GATE_COMMAND, HWGW_REG_GATE_COMMAND_GATE_RESET);
    card_write(gate->card, HWGW_REG_WATCHDOG, WATCHDOG_CYCLES);
    if (!is_state(gate, HWGW_REG_GATE_STATE_GATE_IS_READY, READY_CYCLES))
      status = hwgw_error_set(error, HWGW_ERR_DEVICE, 0, "card gate: it does not become ready");
    forget(gate);
  }
  if (status) {
    card_gate_close(gate);
    return status;
  }
  *out = gate;
  return HWGW_OK;
}

void card_gate_close(struct card_gate *gate) {
  if (!gate) return;
  if (gate->card == &gate->own) card_close(&gate->own);
  free(gate);
}

bool card_gate_limits(struct card_gate *gate, const struct hwgw_limits *limits) {
  struct card *card = gate->card;
  card_write(card, HWGW_REG_GATE_COMMAND, HWGW_REG_GATE_COMMAND_LIMITS_RESTART | HWGW_REG_GATE_COMMAND_HEARTBEAT);
  for (size_t at = 0; at < sizeof *limits && !card->is_lost; at += sizeof(uint64_t)) {
    uint32_t word[2];
    memcpy(word, (const uint8_t *)limits + at, sizeof word);
    card_write(card, HWGW_REG_LIMITS, word[0]);
    card_write(card, HWGW_REG_LIMITS + 4, word[1]);
  }
  /* a table that is not sound is not offered; then the record is refused by both gates */
  (void)is_state(gate, HWGW_REG_GATE_STATE_TABLE_IS_OFFERED, POLL_CYCLES * 8);
  return !card->is_lost;
}

bool card_gate_put(struct card_gate *gate, const struct hwgw_order *record) {
  struct card *card = gate->card;
  uint32_t word[sizeof *record / 4];
  memcpy(word, record, sizeof word);
  uint32_t at = HWGW_REG_ORDER_RING + gate->head % HWGW_CARD_ENTRIES * (uint32_t)sizeof *record;
  for (uint32_t i = 0; i < sizeof word / 4; i++) card_write(card, at + 4 * i, word[i]);
  card_write(card, HWGW_REG_ORDER_HEAD, ++gate->head);
  return !card->is_lost;
}

/* verdicts from the ring into waiting; the card may use their entries again */
static void fetch(struct card_gate *gate) {
  struct card *card = gate->card;
  gate->wait_at = 0;
  gate->waits = card->call.verdicts(card->model, gate->waiting, HWGW_CARD_ENTRIES);
  if (!gate->waits) return;
  gate->taken += gate->waits;
  card_write(card, HWGW_REG_VERDICT_TAIL, gate->taken);
}

bool card_gate_take(struct card_gate *gate, struct hwgw_verdict *verdict, bool is_patient) {
  struct card *card = gate->card;
  for (uint32_t cycles = 0; gate->wait_at == gate->waits && !card->is_lost; cycles += POLL_CYCLES) {
    fetch(gate);
    if (gate->waits) break;
    if (!is_patient) return false;
    if (cycles > CARD_GATE_CYCLES) card->is_lost = true;
    card->call.run(card->model, POLL_CYCLES);
  }
  if (card->is_lost) return false;
  *verdict = gate->waiting[gate->wait_at++];
  gate->answered += verdict->source == HWGW_VERDICT_SOURCE_HOST;
  return true;
}

void card_gate_beat(struct card_gate *gate) {
  card_write(gate->card, HWGW_REG_GATE_COMMAND, HWGW_REG_GATE_COMMAND_HEARTBEAT);
}

void card_gate_stats(struct card_gate *gate, uint64_t *counters) {
  if (gate->card->is_lost || !card_snapshot(gate->card)) return;
  for (uint32_t i = 0; i < HWGW_REG_GATE_COUNTERS_CNT; i++) {
    uint32_t counter = hwgw_reg_gate_counter[i], at = HWGW_REG_GATE_COUNTERS + 8 * i;
    if (counter < HWGW_CNT_CARD_RECORDS || counter > HWGW_CNT_CARD_DROP_FRAME)
      continue; /* verdicts: the host's count */
    uint64_t low = card_read(gate->card, at);
    uint64_t value = (uint64_t)card_read(gate->card, at + 4) << 32 | low;
    if (!gate->card->is_lost) counters[counter] = value;
  }
}
