/* venue_state.c: the memory of the venue model: delays, queues, tables that grow.
 *
 * SPDX-License-Identifier: MIT
 *
 * A backtest may allocate; what cannot be had is told by a NULL or false, and ends it. Thread: the backtest's.
 */
#include <errno.h>
#include <stdlib.h>

#include "venue.h"

#define LATENCY_MAX (1u << 20)
#define FIFO_MIN 64u
#define REFS_MIN 1024u
#define REFS_RESERVED 65536u       /* orders of the feed in front of ours: half as many, then it grows */
#define GOLDEN 0x9E3779B97F4A7C15u /* 2^64 over the golden ratio: splitmix64's step, and a hash's factor */

/* ---- delays ---- */

/* splitmix64 (Steele, Lea, Flood 2014), so that any language can follow */
static uint64_t random_next(uint64_t *state) {
  uint64_t z = *state += GOLDEN;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

uint64_t venue_delay(struct venue_latency *latency) {
  if (latency->cnt == 1) return latency->ns[0];
  return latency->ns[(random_next(&latency->state) >> 32) * latency->cnt >> 32];
}

int32_t venue_latency_open(struct venue_latency *latency, const struct hwgw_model_latency *cfg, uint64_t seed,
                           const char *name, struct hwgw_error *error) {
  if (!cfg->cnt || cfg->cnt > LATENCY_MAX)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "model: %s latency has %u values; 1 to %u are allowed", name,
                          cfg->cnt, LATENCY_MAX);
  latency->ns = malloc(cfg->cnt * sizeof *latency->ns);
  if (!latency->ns) return hwgw_error_set(error, HWGW_ERR_DEVICE, ENOMEM, "model: no memory for the %s latency", name);
  memcpy(latency->ns, cfg->ns, cfg->cnt * sizeof *latency->ns);
  latency->cnt = cfg->cnt;
  latency->state = seed;
  return HWGW_OK;
}

/* ---- queues and rows ---- */

static bool fifo_grow(struct venue_fifo *fifo, uint32_t cap) {
  uint8_t *data = cap ? malloc((size_t)cap * fifo->item_sz) : NULL;
  if (!data) return false;
  for (uint32_t i = 0; i < fifo->cnt; i++) {
    uint32_t from = (fifo->head + i) & (fifo->cap - 1);
    memcpy(data + (size_t)i * fifo->item_sz, fifo->data + (size_t)from * fifo->item_sz, fifo->item_sz);
  }
  free(fifo->data);
  fifo->data = data;
  fifo->cap = cap;
  fifo->head = 0;
  return true;
}

void *venue_fifo_push(struct venue_fifo *fifo) {
  if (HWGW_UNLIKELY(fifo->cnt == fifo->cap) && !fifo_grow(fifo, fifo->cap ? 2 * fifo->cap : FIFO_MIN)) return NULL;
  return fifo->data + (size_t)((fifo->head + fifo->cnt++) & (fifo->cap - 1)) * fifo->item_sz;
}

bool venue_rows_add(struct venue_rows *rows, const void *row, uint32_t sz) {
  if (HWGW_UNLIKELY(rows->sz + sz > rows->cap)) {
    uint64_t cap = 2 * rows->cap + 65536;
    uint8_t *data = realloc(rows->data, cap);
    if (!data) return false;
    rows->data = data;
    rows->cap = cap;
  }
  memcpy(rows->data + rows->sz, row, sz);
  rows->sz += sz;
  return true;
}

/* ---- references ---- */

static uint32_t refs_home(const struct venue_refs *refs, uint64_t ref, uint32_t instrument) {
  return (uint32_t)((ref + ((uint64_t)instrument << 40)) * GOLDEN >> 32) & refs->mask;
}

static struct venue_ref *refs_find(const struct venue_refs *refs, uint64_t ref, uint32_t instrument) {
  uint32_t at = refs_home(refs, ref, instrument);
  while (refs->slot[at].value && (refs->slot[at].ref != ref || refs->slot[at].instrument != instrument))
    at = (at + 1) & refs->mask;
  return &refs->slot[at];
}

uint64_t venue_refs_get(const struct venue_refs *refs, uint64_t ref, uint32_t instrument) {
  return refs->cnt ? refs_find(refs, ref, instrument)->value : 0;
}

static bool refs_grow(struct venue_refs *refs, uint32_t cap) {
  struct venue_refs grown = {.slot = cap ? calloc(cap, sizeof *grown.slot) : NULL, .mask = cap - 1};
  if (!grown.slot) return false;
  for (uint32_t i = 0; refs->slot && i <= refs->mask; i++) {
    const struct venue_ref *from = &refs->slot[i];
    if (from->value) *refs_find(&grown, from->ref, from->instrument) = *from;
  }
  grown.cnt = refs->cnt;
  free(refs->slot);
  *refs = grown;
  return true;
}

bool venue_refs_put(struct venue_refs *refs, uint64_t ref, uint32_t instrument, uint64_t value) {
  bool is_full = !refs->slot || 2 * refs->cnt > refs->mask;
  if (HWGW_UNLIKELY(is_full) && !refs_grow(refs, refs->slot ? 2 * (refs->mask + 1) : REFS_MIN)) return false;
  struct venue_ref *slot = refs_find(refs, ref, instrument);
  refs->cnt += slot->value == 0;
  *slot = (struct venue_ref){.ref = ref, .value = value, .instrument = instrument};
  return true;
}

bool venue_refs_remove(struct venue_refs *refs, uint64_t ref, uint32_t instrument) {
  if (!refs->cnt) return false;
  struct venue_ref *slot = refs_find(refs, ref, instrument);
  if (!slot->value) return false;
  uint32_t hole = (uint32_t)(slot - refs->slot);
  for (uint32_t at = hole;;) { /* what comes behind moves up, unless it would stand before its home */
    at = (at + 1) & refs->mask;
    const struct venue_ref *next = &refs->slot[at];
    if (!next->value) break;
    uint32_t home = refs_home(refs, next->ref, next->instrument);
    if (((at - home) & refs->mask) < ((at - hole) & refs->mask)) continue;
    refs->slot[hole] = *next;
    hole = at;
  }
  refs->slot[hole].value = 0;
  refs->cnt--;
  return true;
}

/* ---- life ---- */

int32_t venue_open(struct venue **out, const struct hwgw_model *model, uint32_t instrument_cnt,
                   struct hwgw_error *error) {
  *out = NULL;
  struct venue *v = calloc(1, sizeof *v);
  if (!v) return hwgw_error_set(error, HWGW_ERR_DEVICE, ENOMEM, "model: no memory for the venue");
  v->instrument_cnt = instrument_cnt;
  v->has_impact = model->has_impact;
  v->fee_maker = model->fee_maker;
  v->fee_taker = model->fee_taker;
  v->sent.item_sz = sizeof(struct venue_sent);
  v->answers.item_sz = sizeof(struct hwgw_order);
  v->busy = calloc(instrument_cnt + 1, sizeof *v->busy);
  v->is_halted = calloc(instrument_cnt + 1, sizeof *v->is_halted);
  v->best = calloc((size_t)(instrument_cnt + 1) * HWGW_BOOK_SIDES, sizeof *v->best);
  v->level = calloc(VENUE_ORDERS, sizeof *v->level);
  v->level_slot = calloc(VENUE_LEVEL_SLOTS, sizeof *v->level_slot);
  int32_t status = HWGW_OK;
  if (!v->busy || !v->is_halted || !v->best || !v->level || !v->level_slot) {
    status = hwgw_error_set(error, HWGW_ERR_DEVICE, ENOMEM, "model: no memory for the venue's books of own orders");
  }
  if (!status) status = venue_latency_open(&v->order_latency, &model->order, model->seed ^ 1, "order", error);
  if (!status) status = venue_latency_open(&v->answer_latency, &model->answer, model->seed ^ 2, "answer", error);
  if (status) {
    venue_close(v);
    return status;
  }
  for (uint32_t i = 0; i < VENUE_ORDERS; i++) v->level[i].worse = (uint16_t)(i + 1 < VENUE_ORDERS ? i + 2 : 0);
  v->level_free = 1;
  *out = v;
  return HWGW_OK;
}

bool venue_shares_books(const struct hwgw_model *model) {
  if (model->own_books || model->feed.cnt != 1) return false;
  for (uint32_t i = 0; i < model->answer.cnt; i++) {
    if (model->answer.ns[i] < model->feed.ns[0]) return false;
  }
  return true;
}

bool venue_reserve(struct venue *v) {
  return fifo_grow(&v->sent, VENUE_ORDERS) && fifo_grow(&v->answers, 4 * VENUE_ORDERS) &&
         refs_grow(&v->ahead, REFS_RESERVED) && refs_grow(&v->taken, REFS_RESERVED);
}

void venue_close(struct venue *v) {
  if (!v) return;
  free(v->order_latency.ns);
  free(v->answer_latency.ns);
  free(v->busy);
  free(v->is_halted);
  free(v->best);
  free(v->level);
  free(v->level_slot);
  free(v->ahead.slot);
  free(v->taken.slot);
  free(v->sent.data);
  free(v->answers.data);
  free(v->fills.data);
  free(v);
}
