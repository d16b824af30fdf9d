/* feed_reference.c: full-depth books the simple way: allocated orders in a chained hash table, allocated levels in
 * sorted lists. The baseline of the book figures, and a second opinion on the final book.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>

#include "base.h"

#define LOCATES ITCH50_LOCATE_CNT
#define BUCKETS (1u << 20)
#define FRAME ITCH50_BINARYFILE_LENGTH_SZ

struct order {
  uint64_t ref;
  uint32_t qty;
  uint32_t locate;
  struct level *level;
  struct order *prev, *next; /* in the queue of the level */
  struct order *chain;       /* in the bucket */
};

struct level {
  uint32_t px;
  uint32_t cnt;
  uint64_t qty;
  struct order *head, *tail;
  struct level *better, *worse;
  struct level **best; /* of the side */
  bool is_buy;
};

struct reference {
  struct order *bucket[BUCKETS];
  struct level *best[LOCATES][2];
  uint32_t rank[LOCATES]; /* order of appearance of the locate, from 1 */
  uint32_t rank_cnt;
  uint64_t applied, refused;
};

struct reference *reference_open(void);
uint64_t reference_apply(struct reference *r, const uint8_t *data, uint64_t len);
uint64_t reference_hash(const struct reference *r);
void reference_close(struct reference *r);

struct reference *reference_open(void) {
  return calloc(1, sizeof(struct reference));
}

static struct order **chain_of(struct reference *r, uint64_t ref) {
  return &r->bucket[(ref * 0x9E3779B97F4A7C15u) >> 44];
}

static struct order *find(struct reference *r, uint64_t ref, uint32_t locate) {
  struct order *order = *chain_of(r, ref);
  while (order && (order->ref != ref || order->locate != locate)) order = order->chain;
  return order;
}

static struct level *level_at(struct reference *r, uint32_t locate, bool is_buy, uint32_t px) {
  struct level **best = &r->best[locate][is_buy ? 0 : 1];
  struct level *worse = *best, *better = NULL;
  while (worse && (is_buy ? worse->px > px : worse->px < px)) {
    better = worse;
    worse = worse->worse;
  }
  if (worse && worse->px == px) return worse;
  struct level *level = calloc(1, sizeof *level);
  if (!level) abort();
  *level = (struct level){.px = px, .better = better, .worse = worse, .best = best, .is_buy = is_buy};
  if (better)
    better->worse = level;
  else
    *best = level;
  if (worse) worse->better = level;
  return level;
}

static void insert(struct reference *r, uint64_t ref, uint32_t locate, bool is_buy, uint32_t px, uint32_t qty) {
  struct order *order = malloc(sizeof *order);
  if (!order) abort();
  struct level *level = level_at(r, locate, is_buy, px);
  struct order **chain = chain_of(r, ref);
  *order =
      (struct order){.ref = ref, .qty = qty, .locate = locate, .level = level, .prev = level->tail, .chain = *chain};
  *chain = order;
  if (level->tail)
    level->tail->next = order;
  else
    level->head = order;
  level->tail = order;
  level->qty += qty;
  level->cnt++;
}

static void take_out(struct reference *r, struct order *order) {
  struct order **chain = chain_of(r, order->ref);
  while (*chain != order) chain = &(*chain)->chain;
  *chain = order->chain;
  struct level *level = order->level;
  *(order->prev ? &order->prev->next : &level->head) = order->next;
  *(order->next ? &order->next->prev : &level->tail) = order->prev;
  level->qty -= order->qty;
  if (--level->cnt == 0) {
    *(level->better ? &level->better->worse : level->best) = level->worse;
    if (level->worse) level->worse->better = level->better;
    free(level);
  }
  free(order);
}

static bool reduce(struct reference *r, uint64_t ref, uint32_t locate, uint32_t qty) {
  struct order *order = find(r, ref, locate);
  if (!order || !qty || qty > order->qty) return false;
  if (qty == order->qty) {
    take_out(r, order);
  } else {
    order->qty -= qty;
    order->level->qty -= qty;
  }
  return true;
}

static bool add(struct reference *r, uint32_t locate, const uint8_t *m) {
  uint64_t ref = itch50_add_order_order_reference_number(m);
  char side = itch50_add_order_side(m);
  uint32_t qty = itch50_add_order_shares(m);
  if (find(r, ref, locate) || !qty || (side != ITCH50_SIDE_BUY && side != ITCH50_SIDE_SELL)) return false;
  insert(r, ref, locate, side == ITCH50_SIDE_BUY, itch50_add_order_price(m), qty);
  return true;
}

static bool replace(struct reference *r, uint32_t locate, const uint8_t *m) {
  struct order *order = find(r, itch50_order_replace_original_order_reference_number(m), locate);
  uint64_t ref = itch50_order_replace_new_order_reference_number(m);
  uint32_t qty = itch50_order_replace_shares(m);
  if (!order || find(r, ref, locate) || !qty) return false;
  bool is_buy = order->level->is_buy;
  take_out(r, order);
  insert(r, ref, locate, is_buy, itch50_order_replace_price(m), qty);
  return true;
}

/* records in, books changed; returns the messages */
uint64_t reference_apply(struct reference *r, const uint8_t *data, uint64_t len) {
  uint64_t cnt = 0;
  for (uint64_t at = 0; at < len; at += FRAME + hwgw_be16(data + at), cnt++) {
    const uint8_t *m = data + at + FRAME;
    uint32_t locate = itch50_message_header_stock_locate(m);
    char type = itch50_message_header_message_type(m);
    bool done;
    if ((type == 'R' || type == 'A' || type == 'F') && locate && !r->rank[locate]) r->rank[locate] = ++r->rank_cnt;
    switch (type) {
      case ITCH50_ADD_ORDER_CODE:
      case ITCH50_ADD_ORDER_MPID_CODE:
        done = add(r, locate, m);
        break;
      case ITCH50_ORDER_EXECUTED_CODE:
      case ITCH50_ORDER_EXECUTED_WITH_PRICE_CODE:
      case ITCH50_ORDER_CANCEL_CODE:
        done =
            reduce(r, itch50_order_cancel_order_reference_number(m), locate, itch50_order_cancel_cancelled_shares(m));
        break;
      case ITCH50_ORDER_DELETE_CODE: {
        struct order *order = find(r, itch50_order_delete_order_reference_number(m), locate);
        if ((done = order != NULL)) take_out(r, order);
        break;
      }
      case ITCH50_ORDER_REPLACE_CODE:
        done = replace(r, locate, m);
        break;
      default:
        continue;
    }
    if (done)
      r->applied++;
    else
      r->refused++;
  }
  return cnt;
}

/* the hash that hwgw_books_hash defines, instruments in order of appearance */
uint64_t reference_hash(const struct reference *r) {
  static uint32_t locate_of[LOCATES + 1];
  uint64_t hash = HWGW_FNV_BASIS;
  for (uint32_t locate = 0; locate < LOCATES; locate++) locate_of[r->rank[locate]] = locate;
  for (uint32_t rank = 1; rank <= r->rank_cnt; rank++) {
    uint32_t instrument = rank - 1;
    for (uint8_t side = HWGW_ORDER_SIDE_BUY; side <= HWGW_ORDER_SIDE_SELL; side++) {
      for (const struct level *level = r->best[locate_of[rank]][side - 1]; level; level = level->worse) {
        for (const struct order *order = level->head; order; order = order->next) {
          hash = hwgw_fnv(hash, &instrument, sizeof instrument);
          hash = hwgw_fnv(hash, &side, sizeof side);
          hash = hwgw_fnv(hash, &level->px, sizeof level->px);
          hash = hwgw_fnv(hash, &order->ref, sizeof order->ref);
          hash = hwgw_fnv(hash, &order->qty, sizeof order->qty);
        }
      }
    }
  }
  return hash;
}

void reference_close(struct reference *r) {
  for (uint32_t locate = 0; locate < LOCATES; locate++)
    for (uint32_t side = 0; side < 2; side++)
      while (r->best[locate][side]) take_out(r, r->best[locate][side]->head);
  free(r);
}
