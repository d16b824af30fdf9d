/* instruments.h: the look-up of a known locate, inline; the rest is in instruments.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_INSTRUMENTS_H
#define HWGW_INSTRUMENTS_H

#include "base.h"

#define HWGW_INSTRUMENTS_LOCATE_UNKNOWN 0u /* what fresh pages hold; a known locate is its index + 1 */
#define HWGW_INSTRUMENTS_NOT_SUBSCRIBED UINT32_MAX

struct hwgw_instruments {
  uint32_t *locates;             /* HWGW_FLOWS_MAX tables of ITCH50_LOCATE_CNT */
  uint64_t *names;               /* of max instruments, as they stand in the message */
  uint32_t base[HWGW_FLOWS_MAX]; /* per channel: index of its venue's first instrument; all have the same names */
  uint32_t *slots;               /* open addressing: index + 1, 0 is free */
  uint32_t slot_mask;
  uint32_t cnt;
  uint32_t max;
  bool dynamic;
};

/* hwgw_instruments_resolve for what a locate alone cannot tell */
void hwgw_instruments_learn(struct hwgw_instruments *instruments, const uint8_t *message, uint32_t len,
                            struct hwgw_event *event);

static inline void hwgw_instruments_find(struct hwgw_instruments *instruments, const uint8_t *message, uint32_t len,
                                         struct hwgw_event *event) {
  if (HWGW_UNLIKELY(event->channel >= HWGW_FLOWS_MAX)) {
    event->instrument = UINT32_MAX;
    return;
  }
  uint32_t known = instruments->locates[(uint32_t)event->channel * ITCH50_LOCATE_CNT + event->locate];
  if (HWGW_UNLIKELY(known == HWGW_INSTRUMENTS_LOCATE_UNKNOWN || event->kind == HWGW_EVENT_KIND_DIRECTORY)) {
    hwgw_instruments_learn(instruments, message, len, event);
    return;
  }
  event->instrument = known == HWGW_INSTRUMENTS_NOT_SUBSCRIBED ? UINT32_MAX : known - 1;
}

/* the instrument of an event's locate as far as it is known, else UINT32_MAX; learns nothing. channel: one there is */
static inline uint32_t hwgw_instruments_known(const struct hwgw_instruments *instruments,
                                              const struct hwgw_event *event) {
  uint32_t known = instruments->locates[(uint32_t)event->channel * ITCH50_LOCATE_CNT + event->locate];
  return known == HWGW_INSTRUMENTS_LOCATE_UNKNOWN || known == HWGW_INSTRUMENTS_NOT_SUBSCRIBED ? UINT32_MAX : known - 1;
}

#endif
