/* The simulated card, with a lie in what the host hears of it: one verdict is another, or none comes at all.
 *
 * SPDX-License-Identifier: MIT
 *
 * REAL is the path of the true library, SENDS_AT and SENDS are register and bit of the orders that leave. A test loads this one, too, and says what is to be told.
 */
#include <dlfcn.h>
#include <string.h>

#include "hwgw_card.h"
#include "hwgw_records.h"

uint32_t lie_ref = 0;    /* of the order whose verdict is another; 0 = none */
uint32_t lie_reason = 0; /* what is told instead */
uint32_t lie_mute = 0;   /* nothing is told any more */
uint32_t lie_sent = 0;   /* so far beside it are the numbers of what was sent */
uint32_t lie_hidden = 0; /* what was sent is not told */
uint32_t lie_late = 0;   /* so many ns pass between a loan and the order */
uint32_t lie_qty = 0;    /* so far beside it is the quantity of an order that a rule made */
uint32_t lie_deaf = 0;   /* the register that does not answer a write */
int64_t lie_clock = 0;   /* so many ns beside the host's is its clock */

static void *find(const char *name) {
  static void *real;
  if (!real) real = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
  return real ? dlsym(real, name) : NULL;
}

#define PASS_ON(result, name, declared, ...)       \
  result name declared {                           \
    static result(*real) declared;                 \
    void *found = real ? NULL : find(#name);       \
    if (!real) memcpy(&real, &found, sizeof real); \
    return real(__VA_ARGS__);                      \
  }

#define CARD struct hwgw_card *card

PASS_ON(uint32_t, hwgw_card_abi, (void))
PASS_ON(struct hwgw_card *, hwgw_card_open, (void))
PASS_ON(void, hwgw_card_close, (CARD), card)
PASS_ON(uint32_t, hwgw_card_read, (CARD, uint32_t offset, uint32_t *value), card, offset, value)
PASS_ON(void, hwgw_card_frame, (CARD, uint32_t line, const uint8_t *data, uint32_t len, uint64_t now), card, line, data,
        len, now)
PASS_ON(void, hwgw_card_run, (CARD, uint32_t cycles), card, cycles)
PASS_ON(uint32_t, hwgw_card_events, (CARD, void *events, uint32_t max), card, events, max)
PASS_ON(uint32_t, hwgw_card_waiting, (const CARD), card)
PASS_ON(uint32_t, hwgw_card_tx, (CARD, uint8_t *room), card, room)

static uint64_t clock_ns;

static void time_set(CARD, uint64_t now_ns) {
  static void (*real)(CARD, uint64_t now_ns);
  void *found = real ? NULL : find("hwgw_card_time");
  if (!real) memcpy(&real, &found, sizeof real);
  real(card, now_ns);
}

void hwgw_card_time(CARD, uint64_t now_ns) {
  clock_ns = now_ns + (uint64_t)lie_clock;
  time_set(card, clock_ns);
}

/* its clock runs on when an order is about to come that it may send */
uint32_t hwgw_card_write(CARD, uint32_t offset, uint32_t value) {
  static uint32_t (*real)(CARD, uint32_t offset, uint32_t value);
  void *found = real ? NULL : find("hwgw_card_write");
  if (!real) memcpy(&real, &found, sizeof real);
  if (lie_deaf && offset == lie_deaf) return 3;
  if (lie_late && offset == SENDS_AT && value & SENDS) time_set(card, clock_ns + lie_late);
  return real(card, offset, value);
}

uint32_t hwgw_card_verdicts(CARD, void *verdicts, uint32_t max) {
  static uint32_t (*real)(CARD, void *verdicts, uint32_t max);
  void *found = real ? NULL : find("hwgw_card_verdicts");
  if (!real) memcpy(&real, &found, sizeof real);
  uint32_t cnt = lie_mute ? 0 : real(card, verdicts, max);
  struct hwgw_verdict *verdict = verdicts;
  for (uint32_t i = 0; i < cnt; i++) {
    if (lie_ref && verdict[i].ref == lie_ref && verdict[i].kind == HWGW_ORDER_KIND_NEW)
      verdict[i].reason = (uint8_t)lie_reason;
    if (verdict[i].source == HWGW_VERDICT_SOURCE_TRIGGER) verdict[i].qty += lie_qty;
  }
  return cnt;
}

uint32_t hwgw_card_sent(CARD, void *sent, uint32_t max) {
  static uint32_t (*real)(CARD, void *sent, uint32_t max);
  void *found = real ? NULL : find("hwgw_card_sent");
  if (!real) memcpy(&real, &found, sizeof real);
  uint32_t cnt = real(card, sent, max);
  struct hwgw_sent *record = sent;
  for (uint32_t i = 0; i < cnt && lie_sent; i++) record[i].seq += lie_sent;
  return lie_hidden ? 0 : cnt;
}
