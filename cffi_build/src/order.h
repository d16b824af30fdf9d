/* order.h: the OUCH 5.0 encoder's templates, shared by order.c and the session that owns them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_ORDER_H
#define HWGW_ORDER_H

#include "base.h"

#define HWGW_ORDER_WIRE_SZ \
  64 /* a whole template is copied, whatever its length: room the encoder needs in its output */

/* complete SoupBinTCP packets in which only the fields that change from order to order are patched */
struct hwgw_order_template {
  _Alignas(HWGW_CACHE_LINE) uint8_t enter[HWGW_ORDER_WIRE_SZ];
  uint8_t replace[HWGW_ORDER_WIRE_SZ];
  uint8_t cancel[HWGW_ORDER_WIRE_SZ];
  uint32_t enter_len;
  uint32_t instrument_cnt;
  const char *symbols;
};

void hwgw_order_template_init(struct hwgw_order_template *template, const struct hwgw_session_cfg *cfg);
/* as hwgw_order_encode; writes HWGW_ORDER_WIRE_SZ bytes, of which the returned number counts */
uint32_t hwgw_order_patch(const struct hwgw_order_template *template, const struct hwgw_order *order, uint8_t *out);
/* OUCH side code of the order, 0 when side and flags cannot go together */
char hwgw_order_side_code(const struct hwgw_order *order);

#endif
