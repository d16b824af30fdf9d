/* card_send.c: the driver of the card's send path, as the data path needs it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "card_send.h"

#define POLL_CYCLES 8

_Static_assert(sizeof(struct hwgw_sent) == HWGW_CARD_EVENT_SZ, "an entry is a line");

bool card_send_fields(struct card_gate *gate, const char *firm, char capacity, char display, const char *symbols,
                      uint32_t cnt) {
  struct card *card = gate->card;
  uint32_t word[2];
  memcpy(word, firm, sizeof *word);
  card_write(card, HWGW_REG_FIRM, word[0]);
  card_write(card, HWGW_REG_ORDER_DEFAULTS,
             (uint32_t)(uint8_t)capacity | (uint32_t)(uint8_t)display << 8 |
                 ((cnt << 16) & HWGW_REG_ORDER_DEFAULTS_INSTRUMENTS));
  for (uint32_t i = 0; i < cnt && !card->is_lost; i++) {
    memcpy(word, symbols + i * sizeof word, sizeof word);
    card_write(card, HWGW_REG_SYMBOL_TEXT, word[0]);
    card_write(card, HWGW_REG_SYMBOL_TEXT + 4, word[1]);
    card_write(card, HWGW_REG_SYMBOL_ROW, i);
  }
  return !card->is_lost;
}

void card_send_time(struct card_gate *gate, uint64_t now_ns) {
  gate->card->call.time(gate->card->model, now_ns);
}

bool card_send_header(struct card_gate *gate, const uint8_t *header) {
  uint32_t word[(HWGW_LOAN_HEADER_SZ + 3) / 4] = {0};
  memcpy(word, header, HWGW_LOAN_HEADER_SZ);
  for (uint32_t i = 0; i < sizeof word / sizeof *word; i++) {
    card_write(gate->card, HWGW_REG_TEMPLATE_WORD, i);
    card_write(gate->card, HWGW_REG_TEMPLATE_DATA, word[i]);
  }
  return !gate->card->is_lost;
}

bool card_send_lend(struct card_gate *gate, const struct hwgw_loan_numbers *numbers, uint32_t end, uint64_t expiry_ns,
                    bool is_renewal) {
  struct card *card = gate->card;
  card_write(card, HWGW_REG_LOAN_SEQ, numbers->seq);
  card_write(card, HWGW_REG_LOAN_END, end);
  card_write(card, HWGW_REG_LOAN_ACK, numbers->ack);
  card_write(card, HWGW_REG_LOAN_WINDOW, numbers->window);
  card_write(card, HWGW_REG_LOAN_EXPIRY, (uint32_t)expiry_ns);
  card_write(card, HWGW_REG_LOAN_EXPIRY + 4, (uint32_t)(expiry_ns >> 32));
  card_write(card, HWGW_REG_GATE_COMMAND, is_renewal ? HWGW_REG_GATE_COMMAND_RENEW : HWGW_REG_GATE_COMMAND_LEND);
  uint32_t state = card_read(card, HWGW_REG_GATE_STATE);
  return state & HWGW_REG_GATE_STATE_LOAN_IS_OUT && !card->is_lost;
}

bool card_send_return(struct card_gate *gate) {
  struct card *card = gate->card;
  card_write(card, HWGW_REG_GATE_COMMAND, HWGW_REG_GATE_COMMAND_RETURN);
  for (uint32_t cycles = 0; !card->is_lost; cycles += POLL_CYCLES) {
    uint32_t state = card_read(card, HWGW_REG_GATE_STATE);
    if (!(state & (HWGW_REG_GATE_STATE_LOAN_IS_OUT | HWGW_REG_GATE_STATE_FRAME_IS_BUSY))) break;
    if (cycles > CARD_GATE_CYCLES) card->is_lost = true;
    card->call.run(card->model, POLL_CYCLES);
  }
  return !card->is_lost;
}

void card_send_switch(struct card_gate *gate, bool is_on) {
  card_write(gate->card, HWGW_REG_GATE_CONTROL, is_on ? HWGW_REG_GATE_CONTROL_SENDS : 0);
}

void card_send_rule(struct card_gate *gate, uint32_t instrument, const struct hwgw_rule *rule) {
  uint32_t word[sizeof *rule / 4];
  memcpy(word, rule, sizeof word);
  for (uint32_t i = 0; i < sizeof word / 4; i++) card_write(gate->card, HWGW_REG_RULE + 4 * i, word[i]);
  card_write(gate->card, HWGW_REG_RULE_INSTRUMENT, instrument);
}

void card_send_locate(struct card_gate *gate, uint16_t locate, uint32_t instrument, bool is_on) {
  card_write(gate->card, HWGW_REG_SYMBOL, instrument | (is_on ? HWGW_REG_SYMBOL_SYMBOL_IS_ON : 0));
  card_write(gate->card, HWGW_REG_SYMBOL_LOCATE, locate);
}

bool card_send_shot(struct card_gate *gate, uint32_t ref) {
  if (ref)
    card_write(gate->card, HWGW_REG_GATE_CONTROL, HWGW_REG_GATE_CONTROL_SENDS | HWGW_REG_GATE_CONTROL_TRIGGER_ENABLE);
  card_write(gate->card, HWGW_REG_SHOT_REF, ref);
  return !ref && card_read(gate->card, HWGW_REG_GATE_STATE) & HWGW_REG_GATE_STATE_SHOT_IS_FIRED;
}

bool card_send_take(struct card_gate *gate, struct hwgw_sent *sent, bool is_patient) {
  struct card *card = gate->card;
  for (uint32_t cycles = 0; !card->is_lost; cycles += POLL_CYCLES) {
    if (card->call.sent(card->model, sent, 1)) {
      card_write(card, HWGW_REG_SENT_TAIL, ++gate->sent_taken);
      return !card->is_lost;
    }
    if (!is_patient) return false;
    if (cycles > CARD_GATE_CYCLES) card->is_lost = true;
    card->call.run(card->model, POLL_CYCLES);
  }
  return false;
}

uint32_t card_send_frame(struct card_gate *gate, uint8_t *frame, uint32_t cycles) {
  struct card *card = gate->card;
  for (;; cycles = cycles > POLL_CYCLES ? cycles - POLL_CYCLES : 0) {
    uint32_t len = card->call.tx(card->model, frame);
    if (len || cycles == 0) return len;
    card->call.run(card->model, POLL_CYCLES);
  }
}
