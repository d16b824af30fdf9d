/* random_orders.h: what the strategies of the tests that order at random have in common: dice that fall alike for the same
 * seed, their open orders, and when it is their turn.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef RANDOM_ORDERS_H
#define RANDOM_ORDERS_H

#include <string.h>

#include "hwgw.h"

#define KNOWN 4096

struct own {
  uint32_t ref, px, qty;
  uint32_t instrument;
  uint8_t side;
  uint16_t flags;
};

struct orders {
  uint64_t random, calls;
  uint32_t cnt;
  struct own own[KNOWN];
};

static inline uint32_t pick(struct orders *orders, uint32_t cnt) {
  orders->random = orders->random * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((orders->random >> 33) % cnt);
}

static inline void forget(struct orders *orders, uint32_t ref) {
  for (uint32_t i = 0; i < orders->cnt; i++)
    if (orders->own[i].ref == ref) orders->own[i--] = orders->own[--orders->cnt];
}

/* an event of an own order */
static inline void told(struct orders *orders, const struct hwgw_order *order) {
  if (order->kind == HWGW_ORDER_KIND_REPLACED) forget(orders, order->orig_ref);
  if ((order->kind == HWGW_ORDER_KIND_ACCEPTED || order->kind == HWGW_ORDER_KIND_REPLACED) && orders->cnt < KNOWN)
    orders->own[orders->cnt++] =
        (struct own){order->ref, order->px, order->qty, order->instrument, order->side, order->flags};
  if (order->kind != HWGW_ORDER_KIND_EXECUTED && order->kind != HWGW_ORDER_KIND_CANCELED) return;
  for (uint32_t i = 0; i < orders->cnt; i++) {
    struct own *own = &orders->own[i];
    if (own->ref != order->ref) continue;
    own->qty -= order->qty < own->qty ? order->qty : own->qty;
    if (!own->qty) forget(orders, order->ref);
    break;
  }
}

/* takes note of what it is told, and says whether it is to order: with every `every`th book of two sides. out is then a
 * limit order of the day */
static inline bool is_turn(struct orders *orders, const struct hwgw_hook *hook, int64_t every, struct hwgw_order *out,
                           int32_t out_max) {
  if (hook->cause == HWGW_HOOK_CAUSE_ORDER) told(orders, &hook->order);
  if (hook->cause == HWGW_HOOK_CAUSE_ORDER || !(hook->flags & HWGW_HOOK_FLAGS_TWO_SIDED) || out_max < 1) return false;
  if (++orders->calls % (uint64_t)every != 0) return false;
  memset(out, 0, sizeof *out);
  out->instrument = UINT32_MAX;
  out->type = HWGW_ORDER_TYPE_LIMIT;
  out->tif = HWGW_ORDER_TIF_DAY;
  return true;
}

/* the order is about one of its own */
static inline const struct own *choose(struct orders *orders, struct hwgw_order *out) {
  const struct own *own = &orders->own[pick(orders, orders->cnt)];
  out->instrument = own->instrument;
  out->side = own->side;
  out->flags = own->flags;
  return own;
}

#endif
