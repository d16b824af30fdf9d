/* capture.c: publishes a recorded ITCH stream byte for byte and lets clients trade beside it.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: the file's messages are published unaltered, in order, whatever clients do. The book is rebuilt from them.
 * A client's marketable order fills against displayed orders at their prices; what it took from an order stays taken
 * (the recorded order offers only the rest to the next client). What is left of it rests unseen, behind nothing and
 * before nobody: it fills at its own price when a recorded trade prints strictly through that price, up to the traded
 * shares, or when a recorded order is added that crosses it, up to that order's shares. The capture never loses
 * priority to a client at the same price. A reference that was entered before the file starts is published and counted
 * in unknown_refs; it changes no book.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exchange.h"

#define LIVE_MAX (1u << 23) /* orders alive at once over all symbols; a whole day needs about 2 million */

/* ---- set-up: one pass over the file finds its faults and its symbols ---- */

static const uint8_t *stock_of(const uint8_t *message, uint32_t len) {
  if (len == ITCH50_STOCK_DIRECTORY_LEN && message[0] == ITCH50_STOCK_DIRECTORY_CODE)
    return itch50_stock_directory_stock(message);
  if ((len == ITCH50_ADD_ORDER_LEN && message[0] == ITCH50_ADD_ORDER_CODE) ||
      (len == ITCH50_ADD_ORDER_MPID_LEN && message[0] == ITCH50_ADD_ORDER_MPID_CODE))
    return itch50_add_order_stock(message);
  return NULL;
}

static int32_t scan(sim_exchange *x, uint64_t *adds, char *error, uint32_t error_sz) {
  struct sim_capture *capture = &x->capture;
  uint32_t len_max = (x->cfg.packet_sz_max ? x->cfg.packet_sz_max : 1400u) - 22u;
  bool has_ts = false;
  size_t at = 0;
  memset(capture->locate_symbol, 0xFF, sizeof capture->locate_symbol);
  while (at < capture->sz) {
    uint32_t len = at + 2 <= capture->sz ? hwgw_be16(capture->data + at) : 0;
    if (at + 2 + len > capture->sz || at + 2 > capture->sz)
      return sim_fail(error, error_sz, 3, "%s: the record at byte %zu is cut off", x->cfg.path, at);
    if (!len) { /* ends a complete file */
      capture->sz = at;
      break;
    }
    if (len > len_max)
      return sim_fail(error, error_sz, 3, "%s: the record at byte %zu has %u bytes, a packet holds %u", x->cfg.path, at,
                      len, len_max);
    const uint8_t *message = capture->data + at + 2;
    if (len >= ITCH50_SYSTEM_EVENT_LEN - 1) {
      if (!has_ts) capture->first_ts = itch50_add_order_timestamp(message);
      has_ts = true;
    }
    const uint8_t *stock = stock_of(message, len);
    if (stock) {
      uint32_t *symbol = &capture->locate_symbol[itch50_add_order_stock_locate(message)];
      if (*symbol == SIM_NIL) {
        *symbol = x->symbol_cnt++;
        memcpy(x->symbols[*symbol], stock, 8);
      }
    }
    *adds += stock || message[0] == ITCH50_ORDER_REPLACE_CODE;
    at += 2u + len;
  }
  if (!capture->sz) return sim_fail(error, error_sz, 3, "%s: holds no record", x->cfg.path);
  return 0;
}

int32_t sim_capture_open(sim_exchange *x, char *error, uint32_t error_sz) {
  struct sim_capture *capture = &x->capture;
  struct stat about;
  int fd = open(x->cfg.path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &about)) {
    int reason = errno;
    if (fd >= 0) close(fd);
    return sim_fail(error, error_sz, 3, "%s: %s", x->cfg.path, strerror(reason));
  }
  void *data = about.st_size > 0 ? mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
  close(fd);
  if (data == MAP_FAILED) return sim_fail(error, error_sz, 3, "%s: empty, or cannot be mapped", x->cfg.path);
  capture->data = data;
  capture->sz = capture->mapped_sz = (size_t)about.st_size;

  uint64_t adds = 0;
  int32_t status = scan(x, &adds, error, error_sz);
  if (status) return status;
  if (!x->symbol_cnt) x->symbol_cnt = 1; /* so that tables are not empty; it has no name and takes no order */
  uint32_t live_max = adds < LIVE_MAX ? (uint32_t)adds + 1 : LIVE_MAX;
  if (!sim_map_init(&capture->refs, live_max) || !sim_book_init(&x->book, x->symbol_cnt, live_max) ||
      !sim_book_init(&capture->shadow, x->symbol_cnt, x->cfg.client_orders_max + 1))
    return sim_fail(error, error_sz, 7, "no memory for %u live orders", live_max);
  return 0;
}

void sim_capture_close(sim_exchange *x) {
  struct sim_capture *capture = &x->capture;
  if (capture->data) munmap((void *)(uintptr_t)capture->data, capture->mapped_sz);
  capture->data = NULL;
  if (capture->refs.keys) sim_map_fini(&capture->refs);
  sim_book_fini(&capture->shadow);
}

bool sim_capture_ended(const sim_exchange *x) {
  return x->capture.cursor >= x->capture.sz;
}

bool sim_capture_halted(const sim_exchange *x, uint32_t symbol) {
  return x->capture.halted[symbol];
}

uint64_t sim_capture_due(sim_exchange *x) {
  const struct sim_capture *capture = &x->capture;
  const uint8_t *record = capture->data + capture->cursor;
  uint64_t since = 0;
  if (x->cfg.pace == HWGW_SIM_PACE_RATE) return sim_rate_due(x);
  if (hwgw_be16(record) >= ITCH50_SYSTEM_EVENT_LEN - 1) {
    uint64_t ts = itch50_add_order_timestamp(record + 2);
    since = ts > capture->first_ts ? ts - capture->first_ts : 0;
  }
  if (x->cfg.pace == HWGW_SIM_PACE_SCALED) since = (uint64_t)((double)since / x->cfg.pace_scale);
  return x->start_ns + since;
}

/* ---- resting client orders ---- */

/* a recorded trade of qty shares at px: client orders of side with a strictly better price had traded before */
static void trade_through(sim_exchange *x, uint32_t symbol, uint32_t side, uint32_t px, uint32_t qty) {
  struct sim_book *shadow = &x->capture.shadow;
  while (qty) {
    uint32_t index = sim_book_front(shadow, symbol, side);
    if (index == SIM_NIL) return;
    const struct sim_order *order = &shadow->orders[index];
    if (order->px == px || !sim_crosses(side, order->px, px)) return;
    uint32_t fill = qty < order->qty ? qty : order->qty;
    uint32_t buyer = side == SIM_BUY ? order->party : 0;
    uint32_t seller = side == SIM_BUY ? 0 : order->party;
    uint64_t match = sim_settle(x, buyer, seller, symbol, fill, order->px);
    qty -= fill;
    sim_made(x, shadow, index, fill, order->px, match);
  }
}

/* a recorded order was added that crosses client orders: they take from it, as if they had been there first */
static void cross_added(sim_exchange *x, struct sim_order *added) {
  struct sim_book *shadow = &x->capture.shadow;
  while (added->qty > added->taken) {
    uint32_t index = sim_book_front(shadow, added->symbol, 1u - added->side);
    if (index == SIM_NIL) return;
    const struct sim_order *order = &shadow->orders[index];
    if (!sim_crosses(added->side, added->px, order->px)) return;
    uint32_t open = added->qty - added->taken;
    uint32_t fill = open < order->qty ? open : order->qty;
    uint32_t buyer = added->side == SIM_BUY ? 0 : order->party;
    uint32_t seller = added->side == SIM_BUY ? order->party : 0;
    uint64_t match = sim_settle(x, buyer, seller, added->symbol, fill, order->px);
    added->taken += fill;
    sim_made(x, shadow, index, fill, order->px, match);
  }
}

void sim_capture_match(sim_exchange *x, struct sim_order *taker) {
  struct sim_book *shadow = &x->capture.shadow;
  uint32_t side = 1u - taker->side;
  uint32_t shown = sim_book_front(&x->book, taker->symbol, side);
  while (taker->qty) {
    while (shown != SIM_NIL && x->book.orders[shown].taken >= x->book.orders[shown].qty)
      shown = sim_book_after(&x->book, shown);
    uint32_t unseen = sim_book_front(shadow, taker->symbol, side);
    struct sim_order *order = shown == SIM_NIL ? NULL : &x->book.orders[shown];
    const struct sim_order *client = unseen == SIM_NIL ? NULL : &shadow->orders[unseen];
    if (order && client && order->px != client->px && !sim_crosses(taker->side, client->px, order->px)) order = NULL;
    const struct sim_order *maker = order ? order : client;
    if (!maker || !sim_crosses(taker->side, taker->px, maker->px)) return;
    uint32_t open = order ? order->qty - order->taken : client->qty;
    uint32_t fill = taker->qty < open ? taker->qty : open;
    uint32_t px = maker->px;
    uint32_t buyer = taker->side == SIM_BUY ? taker->party : maker->party;
    uint32_t seller = taker->side == SIM_BUY ? maker->party : taker->party;
    uint64_t match = sim_settle(x, buyer, seller, taker->symbol, fill, px);
    if (order)
      order->taken += fill;
    else
      sim_made(x, shadow, unseen, fill, px, match);
    sim_took(x, taker, fill, px, match);
  }
}

/* ---- the rebuilt book ---- */

static void book_add(sim_exchange *x, uint32_t symbol, uint32_t side, uint64_t ref, uint32_t qty, uint32_t px) {
  struct sim_order order = {.ref = ref, .px = px, .qty = qty, .symbol = symbol, .side = (uint8_t)side};
  if (!ref || !qty || sim_map_get(&x->capture.refs, ref) != SIM_NIL) {
    x->stats.bad_records++;
    return;
  }
  uint32_t index = sim_book_add(&x->book, &order);
  if (index == SIM_NIL || !sim_map_put(&x->capture.refs, ref, index)) {
    if (index != SIM_NIL) sim_book_remove(&x->book, index);
    x->stats.book_full++;
    return;
  }
  cross_added(x, &x->book.orders[index]);
}

static void book_take(sim_exchange *x, uint32_t index, uint32_t qty) {
  struct sim_order *order = &x->book.orders[index];
  if (qty > order->qty) x->stats.bad_records++;
  if (qty < order->qty) {
    order->qty -= qty;
    if (order->taken > order->qty) order->taken = order->qty;
    return;
  }
  sim_map_remove(&x->capture.refs, order->ref);
  sim_book_remove(&x->book, index);
}

static void apply_to_order(sim_exchange *x, const uint8_t *p, char type) {
  uint32_t index = sim_map_get(&x->capture.refs, itch50_order_delete_order_reference_number(p));
  if (index == SIM_NIL) {
    x->stats.unknown_refs++;
    return;
  }
  struct sim_order order = x->book.orders[index];
  uint32_t qty = itch50_order_executed_executed_shares(p); /* X has its shares at the same place */
  switch (type) {
    case ITCH50_ORDER_EXECUTED_CODE:
    case ITCH50_ORDER_EXECUTED_WITH_PRICE_CODE:
      book_take(x, index, qty);
      trade_through(x, order.symbol, order.side,
                    type == ITCH50_ORDER_EXECUTED_CODE ? order.px : itch50_order_executed_with_price_execution_price(p),
                    qty);
      return;
    case ITCH50_ORDER_CANCEL_CODE:
      book_take(x, index, itch50_order_cancel_cancelled_shares(p));
      return;
    case ITCH50_ORDER_DELETE_CODE:
      book_take(x, index, order.qty);
      return;
    default:
      book_take(x, index, order.qty);
      book_add(x, order.symbol, order.side, itch50_order_replace_new_order_reference_number(p),
               itch50_order_replace_shares(p), itch50_order_replace_price(p));
  }
}

static uint32_t length_of(char type) {
  switch (type) {
    case ITCH50_ADD_ORDER_CODE:
      return ITCH50_ADD_ORDER_LEN;
    case ITCH50_ADD_ORDER_MPID_CODE:
      return ITCH50_ADD_ORDER_MPID_LEN;
    case ITCH50_ORDER_EXECUTED_CODE:
      return ITCH50_ORDER_EXECUTED_LEN;
    case ITCH50_ORDER_EXECUTED_WITH_PRICE_CODE:
      return ITCH50_ORDER_EXECUTED_WITH_PRICE_LEN;
    case ITCH50_ORDER_CANCEL_CODE:
      return ITCH50_ORDER_CANCEL_LEN;
    case ITCH50_ORDER_DELETE_CODE:
      return ITCH50_ORDER_DELETE_LEN;
    case ITCH50_ORDER_REPLACE_CODE:
      return ITCH50_ORDER_REPLACE_LEN;
    case ITCH50_TRADE_NON_CROSS_CODE:
      return ITCH50_TRADE_NON_CROSS_LEN;
    case ITCH50_STOCK_TRADING_ACTION_CODE:
      return ITCH50_STOCK_TRADING_ACTION_LEN;
    default:
      return 0;
  }
}

static void apply(sim_exchange *x, const uint8_t *p, uint32_t len) {
  char type = (char)p[0];
  uint32_t length = length_of(type);
  if (!length) return;
  if (len != length) {
    x->stats.bad_records++;
    return;
  }
  uint32_t symbol = x->capture.locate_symbol[itch50_add_order_stock_locate(p)];
  switch (type) {
    case ITCH50_ADD_ORDER_CODE:
    case ITCH50_ADD_ORDER_MPID_CODE:
      book_add(x, symbol, itch50_add_order_side(p) == 'B' ? SIM_BUY : SIM_SELL,
               itch50_add_order_order_reference_number(p), itch50_add_order_shares(p), itch50_add_order_price(p));
      return;
    case ITCH50_TRADE_NON_CROSS_CODE:
      if (symbol == SIM_NIL) return;
      trade_through(x, symbol, SIM_BUY, itch50_trade_non_cross_price(p), itch50_trade_non_cross_shares(p));
      trade_through(x, symbol, SIM_SELL, itch50_trade_non_cross_price(p), itch50_trade_non_cross_shares(p));
      return;
    case ITCH50_STOCK_TRADING_ACTION_CODE:
      if (symbol != SIM_NIL) x->capture.halted[symbol] = itch50_stock_trading_action_trading_state(p) != 'T';
      return;
    default:
      apply_to_order(x, p, type);
  }
}

void sim_capture_step(sim_exchange *x) {
  struct sim_capture *capture = &x->capture;
  uint32_t len = hwgw_be16(capture->data + capture->cursor);
  const uint8_t *message = capture->data + capture->cursor + 2;
  if (len >= ITCH50_SYSTEM_EVENT_LEN - 1) x->ts = itch50_add_order_timestamp(message);
  memcpy(sim_publish_reserve(x, len), message, len);
  x->stats.messages[message[0]]++;
  x->stats.actions++;
  capture->cursor += 2u + len;
  apply(x, message, len);
}
