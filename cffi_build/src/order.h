/* order.h: the OUCH 5.0 encoder's templates, shared by order.c and the session that owns them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_ORDER_H
#define HWGW_ORDER_H

#include "base.h"
#include "fix.h"
#include "protocol.h"

#define HWGW_ORDER_WIRE_SZ 64 /* a whole template is copied, whatever its length; tags of options stand behind it */

/* complete SoupBinTCP packets in which only the fields that change from order to order are patched */
struct hwgw_order_template {
  _Alignas(HWGW_CACHE_LINE) uint8_t enter[HWGW_ORDER_WIRE_SZ];
  uint8_t replace[HWGW_ORDER_WIRE_SZ];
  uint8_t cancel[HWGW_ORDER_WIRE_SZ];
  uint8_t mass_cancel[HWGW_ORDER_WIRE_SZ];
  uint8_t entry[HWGW_ORDER_WIRE_SZ]; /* disable and enable order entry, alike but for their type */
  bool has_firm;                     /* a mass cancel names it */
  uint32_t enter_len;
  uint32_t instrument_cnt;
  const char *symbols;
};

void hwgw_order_template_init(struct hwgw_order_template *template, const struct hwgw_session_cfg *cfg);
/* as hwgw_order_encode; writes up to HWGW_PACKET_SZ_MAX bytes, of which the returned number counts */
uint32_t hwgw_order_patch(const struct hwgw_order_template *template, const struct hwgw_order *order, uint8_t *out);
/* OUCH 5.0: as the protocol's decode, as its waiting_ref */
uint32_t hwgw_order_ouch50_decode(const uint8_t *message, uint32_t len, struct hwgw_order *event,
                                  struct hwgw_said *said);
uint32_t hwgw_order_ouch50_ref(const uint8_t *message);
/* OUCH 4.2: the same four */
void hwgw_order_ouch42_init(struct hwgw_order_template *template, const struct hwgw_session_cfg *cfg);
uint32_t hwgw_order_ouch42_patch(const struct hwgw_order_template *template, const struct hwgw_order *order,
                                 uint8_t *out);
uint32_t hwgw_order_ouch42_decode(const uint8_t *message, uint32_t len, struct hwgw_order *event,
                                  struct hwgw_said *said);
uint32_t hwgw_order_ouch42_ref(const uint8_t *message);
/* FIX 4.2 and 4.4: what every request is written with */
struct hwgw_order_fix {
  struct fix_writer writer;
  uint32_t instrument_cnt;
  const char *symbols;
  char capacity;
};

/* a new order or a replace as the message seq; its length, 0: it cannot be expressed */
uint32_t hwgw_order_fix_encode(const struct hwgw_order_fix *fix, const struct hwgw_order *order, uint32_t seq,
                               uint64_t now_ns, uint8_t *out);
/* a cancel of the whole rest of an order, of which total was ordered with all its replaces */
uint32_t hwgw_order_fix_cancel(const struct hwgw_order_fix *fix, uint32_t ref, uint32_t instrument, char side_code,
                               uint32_t total, uint32_t seq, uint64_t now_ns, uint8_t *out);
/* of everything, or (an index) of one instrument */
uint32_t hwgw_order_fix_mass_cancel(const struct hwgw_order_fix *fix, uint32_t instrument, uint32_t seq,
                                    uint64_t now_ns, uint8_t *out);
uint32_t hwgw_order_fix_decode(const uint8_t *message, uint32_t len, struct hwgw_order *event, struct hwgw_said *said);
/* side code of the order, B S T E whatever the protocol; 0 when side and flags cannot go together */
char hwgw_order_side_code(const struct hwgw_order *order);

#define SAME(name) ((int)OUCH42_##name == (int)OUCH50_##name)
_Static_assert(SAME(SIDE_BUY) && SAME(SIDE_SELL) && SAME(SIDE_SHORT) && SAME(SIDE_SHORT_EXEMPT) &&
                   SAME(ORDER_STATE_LIVE) && SAME(ORDER_STATE_DEAD),
               "OUCH 5.0 and 4.2 have one alphabet");
#undef SAME

/* ---- what the codecs have in common ---- */

/* the header of a packet of ours, len bytes in all */
static inline void hwgw_order_header_init(uint8_t *packet, uint32_t len) {
  soupbintcp_unsequenced_data_init(packet);
  soupbintcp_unsequenced_data_packet_length_set(packet, (uint16_t)(len - SOUPBINTCP_LENGTH_SZ));
}

/* the answer of a decoder: everything that the message says is in its table */
static inline uint32_t hwgw_order_known(bool good) {
  return good ? 0 : HWGW_CNT_SESSION_DROP_UNKNOWN;
}

/* of a message that changes nothing the gate keeps */
static inline uint32_t hwgw_order_ignored(const uint8_t *message, struct hwgw_order *event, struct hwgw_said *said) {
  (void)message;
  (void)event;
  (void)said;
  return HWGW_CNT_SESSION_IGNORED;
}

/* side and flags of a side code of OUCH; false when it is none */
static inline bool hwgw_order_side_set(struct hwgw_order *event, char code) {
  event->side = code == OUCH50_SIDE_BUY ? HWGW_ORDER_SIDE_BUY : HWGW_ORDER_SIDE_SELL;
  if (code == OUCH50_SIDE_SHORT) event->flags = HWGW_ORDER_FLAGS_SHORT_SALE;
  if (code == OUCH50_SIDE_SHORT_EXEMPT) event->flags = HWGW_ORDER_FLAGS_SHORT_EXEMPT;
  return event->flags || code == OUCH50_SIDE_BUY || code == OUCH50_SIDE_SELL;
}

/* reason of an order state of OUCH: not 0 when it is dead; false when it is none */
static inline bool hwgw_order_state_set(struct hwgw_order *event, char state) {
  event->reason = state == OUCH50_ORDER_STATE_DEAD ? (uint32_t)OUCH50_ORDER_STATE_DEAD : 0;
  return state == OUCH50_ORDER_STATE_LIVE || state == OUCH50_ORDER_STATE_DEAD;
}

static inline uint32_t hwgw_order_display_qty(const struct hwgw_order *order) {
  return (uint32_t)order->venue_ref & HWGW_ORDER_DISPLAY_QTY_MASK;
}

/* set of enum hwgw_order_option; what is none shows as a bit above them */
static inline uint32_t hwgw_order_options(const struct hwgw_order *order) {
  uint64_t strange =
      order->venue_ref & ((UINT64_C(1) << HWGW_ORDER_OPTION_SHIFT) - 1) & ~(uint64_t)HWGW_ORDER_DISPLAY_QTY_MASK;
  return (uint32_t)(order->venue_ref >> HWGW_ORDER_OPTION_SHIFT) | (strange ? UINT32_C(1) << 31 : 0);
}

/* can these options go together with each other and with the order: no protocol is asked yet. An order that is not
 * displayed at all has no displayed part; all or none is of an order that does not rest, post only of one that does */
static inline bool hwgw_order_options_fit(const struct hwgw_order *order, uint32_t options, uint32_t display_qty) {
  bool is_ioc = order->tif == HWGW_ORDER_TIF_IOC, is_market = order->type == HWGW_ORDER_TYPE_MARKET;
  if (options > 7 || display_qty >= order->qty) return false;
  if (options & HWGW_ORDER_OPTION_ALL_OR_NONE && !is_ioc) return false;
  if (options & HWGW_ORDER_OPTION_POST_ONLY && (is_ioc || is_market)) return false;
  return !(display_qty && (is_ioc || options & HWGW_ORDER_OPTION_HIDDEN));
}

#endif
