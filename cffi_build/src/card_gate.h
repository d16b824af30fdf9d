/* card_gate.h: the risk gate of the card: records into its order ring, verdicts out of the ring of verdicts.
 *
 * SPDX-License-Identifier: MIT
 *
 * The protocol is docs/decisions/0028-card-rings.md. Every record is answered once, in order. Nothing here waits longer than
 * CARD_GATE_CYCLES of the card's clock (128 us at 156.25 MHz); what takes longer has lost the card, for good: its state cannot
 * be trusted to be the host's any more. Thread: one.
 */
#ifndef HWGW_CARD_GATE_H
#define HWGW_CARD_GATE_H

#include "card.h"

#define CARD_GATE_CYCLES 20000

struct card_gate {
  struct card *card;
  struct card own;     /* when no receive path has one */
  uint32_t head;       /* records given */
  uint32_t answered;   /* of those, the ones whose verdict was taken */
  uint32_t taken;      /* verdicts taken */
  uint32_t sent_taken; /* records of sent orders taken */
  uint32_t waits;      /* in waiting[] */
  uint32_t wait_at;
  struct hwgw_verdict waiting[HWGW_CARD_ENTRIES]; /* taken from the ring, not looked at yet */
};

/* gate begins anew: no table, no order, nothing armed. device NULL: a card of its own, of this library */
int32_t card_gate_open(struct card_gate **gate, struct card *device, const char *path, struct hwgw_error *error);
void card_gate_close(struct card_gate *gate); /* NULL is allowed */
/* false from here on: the card was lost */
bool card_gate_limits(struct card_gate *gate,
                      const struct hwgw_limits *limits);                     /* offers a table for a record `limits` */
bool card_gate_put(struct card_gate *gate, const struct hwgw_order *record); /* there must be room */
/* the next verdict; is_patient: waits for it. false: there is none, or the card was lost */
bool card_gate_take(struct card_gate *gate, struct hwgw_verdict *verdict, bool is_patient);
/* tells the watchdog that the host lives, and brings the card's own counters */
void card_gate_beat(struct card_gate *gate);
void card_gate_stats(struct card_gate *gate, uint64_t *counters);

static inline uint32_t card_gate_pending(const struct card_gate *gate) {
  return gate->head - gate->answered;
}

#endif
