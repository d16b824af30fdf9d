/* venue.h: the venue model of a backtest: our orders in the market that was recorded.
 *
 * SPDX-License-Identifier: MIT
 *
 * venue.c carries orders out and finds what the feed does to them; venue_queue.c knows our orders by price and which of the
 * feed's orders stand in front of each; venue_state.c has the memory.
 */
#ifndef HWGW_VENUE_H
#define HWGW_VENUE_H

#include "base.h"
#include "book.h"
#include "hwgw_backtest.h"

#define VENUE_ORDERS HWGW_RISK_OPEN_ORDERS_MAX
#define VENUE_LEVEL_SLOTS (4u * VENUE_ORDERS) /* of the hash: one in four is taken at most */

/* things in order of time; grows */
struct venue_fifo {
  uint8_t *data;
  uint32_t item_sz;
  uint32_t cap; /* a power of two */
  uint32_t head;
  uint32_t cnt;
};

/* references of the feed's orders to a number; open addressing, grows */
struct venue_ref {
  uint64_t ref;
  uint64_t value; /* 0: free */
  uint32_t instrument;
  uint32_t pad;
};

struct venue_refs {
  struct venue_ref *slot;
  uint32_t mask;
  uint32_t cnt;
};

struct venue_rows {
  uint8_t *data;
  uint64_t sz;
  uint64_t cap;
};

/* an order on its way to us; at_ns: when it is there */
struct venue_sent {
  struct hwgw_order order;
  uint64_t at_ns;
  uint64_t mid2;
};

struct venue_order {
  uint64_t serial; /* time priority: rises with every order that comes to rest */
  uint64_t ahead;  /* shares of the feed in front of it, at its price */
  uint64_t mid2;
  uint64_t venue_ref;
  uint32_t ref; /* 0: free */
  uint32_t instrument;
  uint32_t px;
  uint32_t leaves;
  uint32_t executed; /* of the whole chain of replaces */
  uint16_t level;    /* index + 1; 0: does not rest */
  uint16_t before;   /* neighbours at its price, slot + 1 */
  uint16_t behind;
  uint8_t side; /* enum hwgw_order_side */
  uint8_t type;
  uint8_t tif;
  uint8_t flags;
  uint8_t account;
  uint8_t strategy;
};

/* a price at which own orders rest */
struct venue_level {
  uint32_t side_number; /* instrument x 2 + side */
  uint32_t px;
  uint16_t first; /* slot + 1 */
  uint16_t last;
  uint16_t better; /* neighbours of the side, index + 1 */
  uint16_t worse;
};

struct venue_latency {
  uint64_t state; /* of its random numbers */
  uint64_t *ns;   /* equally likely */
  uint32_t cnt;
};

struct venue {
  const struct hwgw_books *books; /* the market at now_ns */
  uint64_t now_ns;
  uint64_t feed_ns; /* the gateway sees this market so much later; 0 when it has books of its own */
  uint32_t instrument_cnt;
  bool has_impact;
  bool is_out_of_memory;
  int64_t fee_maker; /* per share, in 1/1,000,000 */
  int64_t fee_taker;
  struct venue_latency order_latency;
  struct venue_latency answer_latency;
  uint64_t told_ns; /* of the last answer: they overtake each other no more than bytes of one connection */
  uint64_t arrive_ns;
  uint64_t serial;
  uint64_t match;
  uint64_t fees;        /* int64_t, wraps never */
  uint32_t *busy;       /* per instrument: own resting orders, and orders of the feed that we took from */
  uint8_t *is_halted;   /* per instrument */
  uint16_t *best;       /* per side: index + 1 of the best own level */
  uint16_t *level_slot; /* hash of levels, index + 1 */
  struct venue_level *level;
  uint16_t level_free; /* index + 1, chained by worse */
  uint32_t open_cnt;
  struct venue_order order[VENUE_ORDERS];
  struct venue_refs ahead; /* serial of the first own order of that price that came behind it */
  struct venue_refs taken; /* shares of it that we took */
  struct venue_fifo sent;
  struct venue_fifo answers; /* struct hwgw_order, ts_ns: when it is told */
  struct venue_rows fills;
};

/* venue_state.c */
int32_t venue_open(struct venue **venue, const struct hwgw_model *model, uint32_t instrument_cnt,
                   struct hwgw_error *error);
void venue_close(struct venue *venue);
/* may the venue take the gateway's books for its market? */
bool venue_shares_books(const struct hwgw_model *model);
bool venue_reserve(struct venue *v); /* memory ahead, for those who must not wait for it */
uint64_t venue_delay(struct venue_latency *latency);
int32_t venue_latency_open(struct venue_latency *latency, const struct hwgw_model_latency *cfg, uint64_t seed,
                           const char *name, struct hwgw_error *error);
void *venue_fifo_push(struct venue_fifo *fifo); /* room for one more, or NULL */
bool venue_rows_add(struct venue_rows *rows, const void *row, uint32_t sz);
uint64_t venue_refs_get(const struct venue_refs *refs, uint64_t ref, uint32_t instrument); /* 0: not there */
bool venue_refs_put(struct venue_refs *refs, uint64_t ref, uint32_t instrument, uint64_t value);
bool venue_refs_remove(struct venue_refs *refs, uint64_t ref, uint32_t instrument);

static inline void *venue_fifo_first(const struct venue_fifo *fifo) {
  return fifo->cnt ? fifo->data + (size_t)fifo->head * fifo->item_sz : NULL;
}

/* when, on the venue's clock, the next order is there or the next answer is told; an order goes first */
static inline uint64_t venue_due(const struct venue *v) {
  const struct venue_sent *sent = venue_fifo_first(&v->sent);
  const struct hwgw_order *answer = venue_fifo_first(&v->answers);
  uint64_t order_ns = sent ? sent->at_ns : UINT64_MAX, answer_ns = answer ? answer->ts_ns - v->feed_ns : UINT64_MAX;
  return order_ns < answer_ns ? order_ns : answer_ns;
}

static inline void venue_fifo_pop(struct venue_fifo *fifo) {
  fifo->head = (fifo->head + 1) & (fifo->cap - 1);
  fifo->cnt--;
}

/* venue_queue.c */
void venue_rest(struct venue *v, struct venue_order *order);                                  /* last at its price */
void venue_remove(struct venue *v, struct venue_order *order);                                /* its slot is free */
uint16_t venue_level_find(const struct venue *v, uint32_t side_number, uint32_t px);          /* index + 1, or 0 */
uint32_t venue_book_level(const struct hwgw_books *books, uint32_t side_number, uint32_t px); /* block, or 0 */

static inline struct venue_order *venue_order_at(struct venue *v, uint32_t index) {
  return &v->order[index - 1];
}

/* is an order of the feed in front of an own one of the same price? value: of `ahead`, 0 when it came later */
static inline bool venue_is_ahead(uint64_t value, const struct venue_order *order) {
  return value && value <= order->serial;
}

/* what of an order of the feed is still there for others, when it shows qty */
static inline uint32_t venue_real(uint64_t taken, uint32_t qty) {
  return taken < qty ? qty - (uint32_t)taken : 0;
}

/* venue.c */
/* takes an order at decision time sent_ns */
uint32_t venue_send(struct venue *v, const struct hwgw_order *order, uint64_t sent_ns, uint64_t mid2);
void venue_arrive(struct venue *v, const struct venue_sent *sent); /* it is there, at v->now_ns */
/* an order of the feed as it was before the event that names it */
struct venue_named {
  uint64_t ref;
  uint32_t side_number;
  uint32_t px;
  uint32_t qty;
};

/* The two halves of venue_event, for books that several venues share: before the books take an event, false when nothing of
 * ours is there; and after it, with named NULL then. now_ns is the caller's to set. */
bool venue_look(const struct venue *v, const struct hwgw_event *event, struct venue_named *named);
void venue_after(struct venue *v, const struct hwgw_event *event, const struct venue_named *named, uint32_t outcome);
/* applies an event of the feed to books (those of v) and to the own orders; the counter of what the books made of it */
uint32_t venue_event(struct venue *v, struct hwgw_books *books, struct hwgw_event *event, struct hwgw_book_hint hint,
                     bool *top_changed);

#endif
