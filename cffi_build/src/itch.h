/* itch.h: the decoder of the frequent ITCH messages, inline: for what decodes many messages in a row.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input and output are those of hwgw_itch_decode (hwgw_feed.h), which is this and nothing else. The types that are more than
 * 98 of 100 messages (A F E X D U) have their reference at one place and all else within 16 bytes: one load, and one
 * shuffle by type that puts match number or new reference, shares and price where the event has them, in host order.
 * No branch depends on which of them it is: a market's mix of types is random, and a mispredicted branch costs more than
 * the whole decoding. Nothing outside the message is read.
 */
#ifndef HWGW_ITCH_H
#define HWGW_ITCH_H

#include <immintrin.h>

#include "base.h"

struct hwgw_itch_shape {
  uint8_t len; /* 0: no frequent type */
  uint8_t kind;
  uint8_t side_off; /* 0, the type byte, when there is none */
  uint8_t load_off; /* of the 16 bytes */
  uint32_t flags;
  uint8_t reserved[8];
  uint8_t shuffle[16]; /* to ref_new, qty, px */
};

extern const struct hwgw_itch_shape hwgw_itch_shapes[256];

/* any type, one branch or two more */
uint32_t hwgw_itch_decode_rare(const uint8_t *message, uint32_t len, struct hwgw_event *event);

static inline uint32_t hwgw_itch_event(const uint8_t *message, uint32_t len, struct hwgw_event *event) {
  const struct hwgw_itch_shape *shape = &hwgw_itch_shapes[len ? message[0] : 0];
  if (HWGW_UNLIKELY(shape->len != len || !len)) return hwgw_itch_decode_rare(message, len, event);
  uint8_t side = message[shape->side_off];
  event->kind = shape->kind;
  event->side =
      (uint8_t)((side == ITCH50_SIDE_BUY) * HWGW_EVENT_SIDE_BUY + (side == ITCH50_SIDE_SELL) * HWGW_EVENT_SIDE_SELL);
  event->code = message[0];
  event->instrument = UINT32_MAX;
  event->ts_ns = hwgw_be64(message + ITCH50_MESSAGE_HEADER_TIMESTAMP_OFF) >> 16;
  event->ref = hwgw_be64(message + ITCH50_ORDER_DELETE_ORDER_REFERENCE_NUMBER_OFF);
  __m128i rest = _mm_loadu_si128((const __m128i_u *)(message + shape->load_off));
  _mm_storeu_si128((__m128i_u *)&event->ref_new, _mm_shuffle_epi8(rest, *(const __m128i_u *)shape->shuffle));
  event->locate = itch50_message_header_stock_locate(message);
  event->flags = shape->flags;
  return 0;
}

#endif
