/* session_orders.c: the orders of an order session, from sent to ended, so that each venue message becomes an event of
 * an order of ours.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract
 *   Input: orders as they are sent, messages as they arrive in sequence. Output: events that carry instrument, side,
 *   account and strategy; and halt (reason state) whenever the message cannot be about what was sent, so that the gate
 *   never goes on with a wrong picture of the venue.
 *   What the venue does not say in a message of its own is concluded here, with reason 0:
 *     - accepted or replaced dead: a canceled event of the whole quantity follows; accepted for less than was sent: one
 * of the difference;
 *     - an order that ended with replaces under way: those can only be ignored by the venue, so each is rejected;
 *     - an order that the connection lost: after the next login the account query tells that the venue never saw it, so
 * it is rejected. A broken trade names only its match number; quantity and price come from the last
 * HWGW_SESSION_EXECUTIONS executions. An older one halts. Executions and cancels of more than is left go through as
 * they are: they happened, and the gate halts on them. Cost: a slot of a direct-mapped table per message; the search of
 * a broken trade is a scan of match numbers (rare). Thread: the session's.
 */
#include "session.h"

static struct hwgw_own_order *slot(struct hwgw_session_orders *orders, uint32_t ref) {
  return &orders->order[ref % HWGW_SESSION_ORDERS];
}

const struct hwgw_own_order *hwgw_session_orders_find(const struct hwgw_session_orders *orders, uint32_t ref) {
  const struct hwgw_own_order *own = &orders->order[ref % HWGW_SESSION_ORDERS];
  return own->state != HWGW_OWN_FREE && own->ref == ref ? own : NULL;
}

static bool may(const struct hwgw_own_order *own, enum hwgw_own_event event) {
  return hwgw_own_next[own->state][event] != HWGW_OWN_ILLEGAL;
}

uint32_t hwgw_session_order_state(const struct hwgw_session *session, uint32_t ref) {
  const struct hwgw_own_order *own = hwgw_session_orders_find(&session->orders, ref);
  return own ? own->state : HWGW_OWN_FREE;
}

static uint16_t index_of(const struct hwgw_session_orders *orders, const struct hwgw_own_order *own) {
  return (uint16_t)(own - orders->order + 1);
}

/* takes a replace out of its original's list */
static void unlink_replace(struct hwgw_session_orders *orders, struct hwgw_own_order *own) {
  struct hwgw_own_order *original = slot(orders, own->orig_ref);
  uint16_t *link = original->ref == own->orig_ref ? &original->replace_idx : NULL;
  while (link && *link && *link != index_of(orders, own)) link = &orders->order[*link - 1].next_idx;
  if (link && *link) *link = own->next_idx;
  own->next_idx = 0;
  own->orig_ref = 0;
}

static void withdraw(struct hwgw_session_orders *orders, struct hwgw_own_order *own) {
  own->next_idx = (uint16_t)orders->withdrawn_idx;
  orders->withdrawn_idx = index_of(orders, own);
}

/* the order is over: its slot is free and its replaces have nothing to replace any more */
static void end(struct hwgw_session_orders *orders, struct hwgw_own_order *own) {
  uint16_t idx = own->replace_idx;
  while (idx) {
    struct hwgw_own_order *replace = &orders->order[idx - 1];
    idx = replace->next_idx;
    replace->orig_ref = 0;
    replace->next_idx = 0;
    if (!orders->protocol->answers_all) withdraw(orders, replace);
  }
  orders->open_cnt -= own->state != HWGW_OWN_FREE;
  memset(own, 0, sizeof *own);
}

/* what the event makes of an order for which it is legal */
static void move(struct hwgw_session_orders *orders, struct hwgw_own_order *own, enum hwgw_own_event event) {
  uint8_t next = hwgw_own_next[own->state][event];
  if (next == HWGW_OWN_FREE)
    end(orders, own);
  else
    own->state = next;
}

static void owner_set(struct hwgw_order *event, const struct hwgw_own_order *own) {
  event->side = own->side;
  event->flags = own->flags;
  event->account = own->account;
  event->strategy = own->strategy;
  event->instrument = own->instrument;
}

static void follow_cancel(struct hwgw_session_orders *orders, const struct hwgw_own_order *own, uint32_t qty) {
  struct hwgw_order *follow = &orders->follow;
  memset(follow, 0, sizeof *follow);
  follow->kind = HWGW_ORDER_KIND_CANCELED;
  follow->ref = own->ref;
  follow->qty = qty;
  owner_set(follow, own);
}

bool hwgw_session_orders_accept(const struct hwgw_session_orders *orders, const struct hwgw_order *order) {
  if (!may(&orders->order[order->ref % HWGW_SESSION_ORDERS], HWGW_OWN_ON_HANDED_OVER)) return false;
  if (order->kind != HWGW_ORDER_KIND_REPLACE) return true;
  const struct hwgw_own_order *original = hwgw_session_orders_find(orders, order->orig_ref);
  return original && original->instrument == order->instrument && original->side_code == hwgw_order_side_code(order) &&
         original->options == (hwgw_order_options(order) & UINT16_MAX); /* some protocols keep what is not said again */
}

void hwgw_session_orders_sent(struct hwgw_session_orders *orders, const struct hwgw_order *order) {
  struct hwgw_own_order *own = slot(orders, order->ref);
  orders->open_cnt += own->state == HWGW_OWN_FREE;
  if (order->ref > orders->last_ref) orders->last_ref = order->ref;
  own->ref = order->ref;
  own->leaves = order->qty;
  own->instrument = order->instrument;
  own->side_code = hwgw_order_side_code(order);
  move(orders, own, HWGW_OWN_ON_HANDED_OVER);
  own->side = order->side;
  own->flags = (uint8_t)order->flags;
  own->account = order->account;
  own->strategy = order->strategy;
  own->options = (uint16_t)hwgw_order_options(order);
  own->total = order->qty;
  if (order->kind == HWGW_ORDER_KIND_REPLACE) {
    struct hwgw_own_order *original = slot(orders, order->orig_ref);
    own->orig_ref = order->orig_ref;
    own->next_idx = original->replace_idx;
    original->replace_idx = index_of(orders, own);
  }
}

void hwgw_session_orders_requested(struct hwgw_session_orders *orders, uint32_t kind, uint32_t ref) {
  orders->request_ref[kind - HWGW_ORDER_KIND_MASS_CANCEL] = ref;
  if (kind == HWGW_ORDER_KIND_DISABLE) orders->entry = HWGW_SEGMENT_ENTRY_STATE_DISABLING;
  if (kind == HWGW_ORDER_KIND_ENABLE) orders->entry = HWGW_SEGMENT_ENTRY_STATE_ENABLING;
}

/* ---- one function per kind of event: false when it cannot be about this order ---- */

static bool is_alike(const struct hwgw_session_orders *orders, const struct hwgw_own_order *own,
                     const struct hwgw_said *said, uint32_t qty) {
  const char *name = orders->symbols + OUCH50_ORDER_ACCEPTED_SYMBOL_SZ * (size_t)own->instrument;
  return own->side_code == said->side_code && memcmp(said->symbol, name, OUCH50_ORDER_ACCEPTED_SYMBOL_SZ) == 0 &&
         qty >= 1 && qty <= own->leaves;
}

static bool on_accepted(struct hwgw_session_orders *orders, struct hwgw_own_order *own, const struct hwgw_said *said,
                        const struct hwgw_order *event, uint64_t *counters) {
  if (!may(own, HWGW_OWN_ON_ACCEPTED) || own->orig_ref || !is_alike(orders, own, said, event->qty)) return false;
  bool dead = event->reason != 0;
  uint32_t gone = dead ? own->leaves : own->leaves - event->qty;
  move(orders, own, HWGW_OWN_ON_ACCEPTED);
  own->leaves -= gone;
  counters[HWGW_CNT_SESSION_ACCEPTED]++;
  counters[HWGW_CNT_SESSION_ACCEPTED_DEAD] += dead;
  if (gone) follow_cancel(orders, own, gone);
  if (dead) move(orders, own, HWGW_OWN_ON_CANCELED);
  return true;
}

static bool on_replaced(struct hwgw_session_orders *orders, struct hwgw_own_order *own, const struct hwgw_said *said,
                        const struct hwgw_order *event, uint64_t *counters) {
  struct hwgw_own_order *original = slot(orders, event->orig_ref);
  if (!may(own, HWGW_OWN_ON_TAKES_OVER) || event->orig_ref == 0 || own->orig_ref != event->orig_ref ||
      original->ref != event->orig_ref || !may(original, HWGW_OWN_ON_REPLACED) ||
      !is_alike(orders, own, said, event->qty))
    return false;
  bool dead = event->reason != 0;
  unlink_replace(orders, own);
  move(orders, original, HWGW_OWN_ON_REPLACED);
  move(orders, own, HWGW_OWN_ON_TAKES_OVER);
  own->leaves = event->qty;
  counters[HWGW_CNT_SESSION_REPLACED]++;
  counters[HWGW_CNT_SESSION_ACCEPTED_DEAD] += dead;
  if (dead) {
    follow_cancel(orders, own, event->qty);
    move(orders, own, HWGW_OWN_ON_CANCELED);
  }
  return true;
}

static bool on_executed(struct hwgw_session_orders *orders, struct hwgw_own_order *own, const struct hwgw_order *event,
                        uint64_t *counters) {
  bool is_filled = event->qty >= own->leaves;
  enum hwgw_own_event what = is_filled ? HWGW_OWN_ON_FILLED : HWGW_OWN_ON_EXECUTED;
  if (!may(own, what) || event->qty == 0) return false;
  uint32_t idx = (uint32_t)(orders->execution_cnt++ % HWGW_SESSION_EXECUTIONS);
  orders->match[idx] = event->venue_ref;
  orders->execution[idx] = (struct hwgw_own_execution){
      .ref = event->ref,
      .qty = event->qty,
      .px = event->px,
      .instrument = own->instrument,
      .side = own->side,
      .flags = own->flags,
      .account = own->account,
      .strategy = own->strategy,
  };
  own->leaves -= is_filled ? own->leaves : event->qty;
  counters[HWGW_CNT_SESSION_EXECUTED]++;
  counters[HWGW_CNT_SESSION_EXECUTED_SHARES] += event->qty;
  counters[HWGW_CNT_SESSION_FILLED] += is_filled;
  move(orders, own, what);
  return true;
}

static bool on_canceled(struct hwgw_session_orders *orders, struct hwgw_own_order *own, const struct hwgw_order *event,
                        uint64_t *counters) {
  bool is_all = event->qty >= own->leaves;
  enum hwgw_own_event what = is_all ? HWGW_OWN_ON_CANCELED : HWGW_OWN_ON_REDUCED;
  if (!may(own, what)) return false;
  own->leaves -= is_all ? own->leaves : event->qty;
  counters[HWGW_CNT_SESSION_CANCELED]++;
  move(orders, own, what);
  return true;
}

static bool on_rejected(struct hwgw_session_orders *orders, struct hwgw_own_order *own, uint64_t *counters) {
  if (!may(own, HWGW_OWN_ON_REJECTED)) return false;
  if (own->orig_ref) unlink_replace(orders, own);
  move(orders, own, HWGW_OWN_ON_REJECTED);
  counters[HWGW_CNT_SESSION_REJECTED]++;
  return true;
}

/* the latest execution of that number (and order, 0 = whichever) among those remembered, or NULL: the order may be long over */
static struct hwgw_own_execution *find_execution(struct hwgw_session_orders *orders, uint64_t match, uint32_t ref) {
  uint64_t cnt = orders->execution_cnt;
  uint64_t oldest = cnt > HWGW_SESSION_EXECUTIONS ? cnt - HWGW_SESSION_EXECUTIONS : 0;
  while (cnt-- > oldest) {
    uint32_t idx = (uint32_t)(cnt % HWGW_SESSION_EXECUTIONS);
    if (orders->match[idx] == match && (!ref || orders->execution[idx].ref == ref)) return &orders->execution[idx];
  }
  return NULL;
}

static bool on_broken(struct hwgw_session_orders *orders, struct hwgw_order *event, uint64_t *counters) {
  struct hwgw_own_execution *execution = find_execution(orders, event->venue_ref, event->ref);
  if (!execution || !execution->qty) return false;
  event->qty = execution->qty;
  event->px = execution->px;
  event->instrument = execution->instrument;
  event->side = execution->side;
  event->flags = execution->flags;
  event->account = execution->account;
  event->strategy = execution->strategy;
  execution->qty = 0; /* can be broken once */
  counters[HWGW_CNT_SESSION_BROKEN]++;
  return true;
}

/* Of a message that the venue marked as one it may have sent before: was it? An execution is known by its number, all else
 * by what became of the order it names. What was not seen is acted on like any message, and what contradicts what was seen
 * halts like any message */
static bool is_seen(struct hwgw_session_orders *orders, const struct hwgw_order *event) {
  const struct hwgw_own_order *own = hwgw_session_orders_find(orders, event->ref);
  const struct hwgw_own_execution *execution = NULL;
  switch (event->kind) {
    case HWGW_ORDER_KIND_EXECUTED:
      execution = find_execution(orders, event->venue_ref, 0); /* of one venue no two executions share a number */
      return execution && (!execution->qty || (execution->qty == event->qty && execution->px == event->px));
    case HWGW_ORDER_KIND_BROKEN:
      execution = find_execution(orders, event->venue_ref, event->ref);
      return execution && !execution->qty;
    case HWGW_ORDER_KIND_ACCEPTED:
    case HWGW_ORDER_KIND_REPLACED:
      if (own) return own->state == HWGW_OWN_LIVE;
      break;
    default:
      break;
  }
  return !own && event->ref && event->ref <= orders->last_ref;
}

void hwgw_session_orders_halt(struct hwgw_order *event, uint32_t ref) {
  memset(event, 0, sizeof *event);
  event->kind = HWGW_ORDER_KIND_HALT;
  event->reason = HWGW_RISK_REASON_STATE;
  event->ref = ref;
}

static uint32_t *request_ref(struct hwgw_session_orders *orders, uint32_t kind) {
  return &orders->request_ref[kind - HWGW_ORDER_KIND_MASS_CANCEL];
}

/* Order entry was disabled, or enabled. Only the answer to the last request says how it stands: one to an earlier request has
 * been overtaken by it, or is replayed */
static void entry_changed(struct hwgw_session_orders *orders, const struct hwgw_order *event, uint64_t *counters) {
  bool is_enabled = event->kind == HWGW_ORDER_KIND_ENABLED;
  uint32_t asked = is_enabled ? HWGW_ORDER_KIND_ENABLE : HWGW_ORDER_KIND_DISABLE;
  uint32_t under_way = is_enabled ? HWGW_SEGMENT_ENTRY_STATE_ENABLING : HWGW_SEGMENT_ENTRY_STATE_DISABLING;
  counters[is_enabled ? HWGW_CNT_SESSION_ENABLED : HWGW_CNT_SESSION_DISABLED]++;
  if (orders->entry != under_way || event->ref != *request_ref(orders, asked)) return;
  orders->entry = is_enabled ? HWGW_SEGMENT_ENTRY_STATE_ENABLED : HWGW_SEGMENT_ENTRY_STATE_DISABLED;
  orders->entry_refused = 0;
}

/* a reject of what is no order: a request of ours that the venue does not carry out */
static bool is_refusal(struct hwgw_session_orders *orders, const struct hwgw_order *event, uint64_t *counters) {
  if (event->kind != HWGW_ORDER_KIND_REJECTED || !event->ref || hwgw_session_orders_find(orders, event->ref))
    return false;
  uint32_t kind = HWGW_ORDER_KIND_MASS_CANCEL;
  while (hwgw_order_is_request(kind) && *request_ref(orders, kind) != event->ref) kind++;
  if (!hwgw_order_is_request(kind)) return false;
  orders->refused = kind;
  uint32_t under_way =
      kind == HWGW_ORDER_KIND_ENABLE ? HWGW_SEGMENT_ENTRY_STATE_ENABLING : HWGW_SEGMENT_ENTRY_STATE_DISABLING;
  if (kind != HWGW_ORDER_KIND_MASS_CANCEL) {
    counters[HWGW_CNT_SESSION_ENTRY_REJECTS]++;
    if (orders->entry == under_way) orders->entry = HWGW_SEGMENT_ENTRY_STATE_UNKNOWN;
    orders->entry_refused = kind;
  }
  counters[HWGW_CNT_SESSION_IGNORED]++;
  return true;
}

bool hwgw_session_orders_message(struct hwgw_session_orders *orders, const uint8_t *message, uint32_t len,
                                 uint64_t *counters, struct hwgw_order *event) {
  struct hwgw_said said;
  uint32_t cause = orders->protocol->decode(message, len, event, &said);
  if (cause) {
    counters[cause]++;
    if (cause == HWGW_CNT_SESSION_IGNORED) return false;
    hwgw_session_orders_halt(event, 0);
    return true;
  }
  bool is_forgotten = false; /* an execution that may have been seen so long ago that nobody remembers */
  if (HWGW_UNLIKELY(said.is_resend)) {
    if (is_seen(orders, event)) {
      counters[HWGW_CNT_SESSION_RESENT]++;
      return false;
    }
    is_forgotten = event->kind == HWGW_ORDER_KIND_EXECUTED && orders->execution_cnt > HWGW_SESSION_EXECUTIONS;
  }
  if (HWGW_UNLIKELY(event->kind == HWGW_ORDER_KIND_DISABLED || event->kind == HWGW_ORDER_KIND_ENABLED)) {
    entry_changed(orders, event, counters);
    return false;
  }
  if (HWGW_UNLIKELY(is_refusal(orders, event, counters))) return false;
  bool good = false;
  if (event->kind == HWGW_ORDER_KIND_BROKEN) {
    good = event->ref && on_broken(orders, event, counters);
  } else if (!is_forgotten && hwgw_session_orders_find(orders, event->ref)) {
    struct hwgw_own_order *own = slot(orders, event->ref);
    owner_set(event, own);
    if (said.is_rest) event->qty = own->leaves;
    switch (event->kind) {
      case HWGW_ORDER_KIND_ACCEPTED:
        good = on_accepted(orders, own, &said, event, counters);
        break;
      case HWGW_ORDER_KIND_REPLACED:
        good = on_replaced(orders, own, &said, event, counters);
        break;
      case HWGW_ORDER_KIND_EXECUTED:
        good = on_executed(orders, own, event, counters);
        break;
      case HWGW_ORDER_KIND_CANCELED:
        good = on_canceled(orders, own, event, counters);
        break;
      case HWGW_ORDER_KIND_REJECTED:
        if (!event->reason) event->reason = HWGW_ORDER_REJECT_UNSAID;
        good = on_rejected(orders, own, counters);
        break;
      default:
        break;
    }
  }
  if (!good) {
    counters[HWGW_CNT_SESSION_DROP_ORDER]++;
    hwgw_session_orders_halt(event, event->ref);
  }
  return true;
}

bool hwgw_session_orders_follow(struct hwgw_session_orders *orders, uint64_t *counters, struct hwgw_order *event) {
  if (orders->follow.kind != HWGW_ORDER_KIND_NONE) {
    *event = orders->follow;
    orders->follow.kind = HWGW_ORDER_KIND_NONE;
    return true;
  }
  if (!orders->withdrawn_idx) return false;
  struct hwgw_own_order *own = &orders->order[orders->withdrawn_idx - 1];
  orders->withdrawn_idx = own->next_idx;
  memset(event, 0, sizeof *event);
  event->kind = HWGW_ORDER_KIND_REJECTED;
  event->ref = own->ref;
  owner_set(event, own);
  end(orders, own); /* withdrawn, or replacing what is over; its own replaces follow */
  counters[HWGW_CNT_SESSION_WITHDRAWN]++;
  return true;
}

void hwgw_session_orders_doubt(struct hwgw_session_orders *orders) {
  for (uint32_t i = 0; i < HWGW_SESSION_ORDERS; i++)
    orders->order[i].state = hwgw_own_next[orders->order[i].state][HWGW_OWN_ON_LINK_LOST];
}

void hwgw_session_orders_lost(struct hwgw_session_orders *orders, uint32_t next_ref) {
  for (uint32_t i = 0; i < HWGW_SESSION_ORDERS; i++) {
    struct hwgw_own_order *own = &orders->order[i];
    if (own->state != HWGW_OWN_UNKNOWN || own->ref < next_ref) continue;
    if (own->orig_ref) unlink_replace(orders, own);
    withdraw(orders, own);
  }
}

void hwgw_session_orders_withdraw(struct hwgw_session_orders *orders, uint32_t ref) {
  struct hwgw_own_order *own = slot(orders, ref);
  if (own->ref != ref || !may(own, HWGW_OWN_ON_WITHDRAWN)) return;
  if (own->orig_ref) unlink_replace(orders, own);
  withdraw(orders, own);
}

uint32_t hwgw_session_orders_open(const struct hwgw_session_orders *orders, uint32_t *unknown_cnt) {
  uint32_t open_cnt = 0;
  *unknown_cnt = 0;
  for (uint32_t i = 0; i < HWGW_SESSION_ORDERS; i++) {
    open_cnt += orders->order[i].state != HWGW_OWN_FREE;
    *unknown_cnt += orders->order[i].state == HWGW_OWN_UNKNOWN;
  }
  return open_cnt;
}
