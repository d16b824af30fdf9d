/* session_send.c: an order on its way: into the send buffer, or beside the socket by who borrows the connection.
 *
 * SPDX-License-Identifier: MIT
 *
 * Order of checks: session up; order entry enabled there; room; the venue's message rate; ref above the last one and known to be free at the venue; a
 * replace's original alive and alike; what the encoder checks. Thread: the session's.
 */
#include "session.h"

/* The venue's message rate: one more is paid for at paid_ns, and a burst may be owed. An order leaves the reserve alone. One
 * too many is refused and not kept: what waits is at an old price */
static bool is_throttled(const struct hwgw_session *session, uint64_t from_ns, uint64_t now_ns, bool is_cancel) {
  uint64_t step_ns = session->cfg.throttle_ns, kept = is_cancel ? 0 : session->cfg.throttle_reserve;
  return from_ns + step_ns * (1 + kept) > now_ns + step_ns * session->cfg.throttle_burst;
}

static bool may_ask(const struct hwgw_session *session, uint32_t kind) {
  return kind == HWGW_ORDER_KIND_MASS_CANCEL ? session->cfg.mass_cancel : session->cfg.disable_on_halt;
}

static bool is_entry(const struct hwgw_order *order) {
  return order->kind != HWGW_ORDER_KIND_CANCEL && !hwgw_order_is_request(order->kind);
}

/* where the packet of an order goes; NULL: cause says why it cannot. from_ns: the time its message is paid from */
static uint8_t *admit(struct hwgw_session *session, const struct hwgw_order *order, uint64_t *from_ns,
                      uint32_t *cause) {
  bool enters = is_entry(order), is_request = hwgw_order_is_request(order->kind);
  *cause = HWGW_CNT_ORDER_DROP_SESSION;
  if (HWGW_UNLIKELY(session->state != HWGW_SEGMENT_SESSION_STATE_UP || session->link_down)) return NULL;
  *cause = HWGW_CNT_ORDER_DROP_DISABLED;
  if (HWGW_UNLIKELY(session->orders.entry != HWGW_SEGMENT_ENTRY_STATE_ENABLED && enters)) return NULL;
  uint8_t *out = hwgw_session_room(session, enters ? HWGW_SESSION_TX_CANCEL_SZ : 0);
  *cause = HWGW_CNT_ORDER_DROP_BACKLOG;
  if (HWGW_UNLIKELY(!out)) return NULL;
  uint64_t now_ns = order->ts_ns > session->now_ns ? order->ts_ns : session->now_ns;
  *from_ns = session->paid_ns > now_ns ? session->paid_ns : now_ns;
  *cause = HWGW_CNT_ORDER_DROP_THROTTLE;
  if (HWGW_UNLIKELY(session->cfg.throttle_ns && is_throttled(session, *from_ns, now_ns, !enters))) return NULL;
  *cause = HWGW_CNT_ORDER_DROP_ENCODE;
  if (order->kind != HWGW_ORDER_KIND_CANCEL &&
      (order->ref <= session->last_ref || order->ref < session->next_ref ||
       !(is_request ? may_ask(session, order->kind) : hwgw_session_orders_accept(&session->orders, order))))
    return NULL;
  return out;
}

/* its packet is on its way */
static void ordered(struct hwgw_session *session, const struct hwgw_order *order, uint64_t from_ns) {
  session->paid_ns = from_ns + session->cfg.throttle_ns;
  if (session->protocol->sent) session->protocol->sent(session, order);
  if (order->kind == HWGW_ORDER_KIND_CANCEL) return;
  session->last_ref = order->ref;
  if (HWGW_LIKELY(is_entry(order)))
    hwgw_session_orders_sent(&session->orders, order);
  else
    hwgw_session_orders_requested(&session->orders, order->kind, order->ref);
}

uint32_t hwgw_session_order(struct hwgw_session *session, const struct hwgw_order *order) {
  uint64_t from_ns;
  uint32_t cause;
  uint8_t *out = admit(session, order, &from_ns, &cause);
  if (HWGW_UNLIKELY(!out)) return cause;
  uint32_t len = session->protocol->encode(session, order, out);
  if (HWGW_UNLIKELY(len == 0)) return HWGW_CNT_ORDER_DROP_ENCODE;
  session->tx_tail += len;
  ordered(session, order, from_ns);
  return HWGW_CNT_ORDER_ENCODED;
}

uint32_t hwgw_session_offer(struct hwgw_session *session, const struct hwgw_order *order, uint8_t *packet) {
  uint64_t from_ns;
  uint32_t cause;
  if (hwgw_session_backlog(session) || !admit(session, order, &from_ns, &cause)) return 0;
  return session->protocol->encode(session, order, packet);
}

void hwgw_session_lent(struct hwgw_session *session, const struct hwgw_order *order, uint32_t len, uint64_t now_ns,
                       uint64_t *counters) {
  uint64_t from_ns = session->paid_ns > order->ts_ns ? session->paid_ns : order->ts_ns;
  counters[HWGW_CNT_SESSION_TX_BYTES] += len;
  session->last_tx_ns = now_ns;
  ordered(session, order, from_ns);
}
