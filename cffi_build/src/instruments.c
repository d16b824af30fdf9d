/* instruments.c: symbols to dense indices, and per channel the venue's locate numbers to those indices.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: one message and its event. Output: event->instrument, 0xFFFFFFFF when the instrument is not subscribed.
 * A locate means something only on its channel and only today, so each channel has its own table of 65,536 and learns
 * it from the messages that carry a symbol: from every stock directory message, and from an add order while the locate
 * is not known yet (a late start). Locate 0 belongs to no instrument. With `dynamic`, a new symbol takes the next free
 * index until all `max` are taken; what comes after is not subscribed. Memory: 256 KiB per channel that is used, 16
 * bytes per symbol slot. Cost: one load once a locate is known; a hash probe when it is learned. Thread: the pipeline
 * that owns the channels.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "instruments.h"

#define SYMBOL_LEN 8
#define INSTRUMENTS_MAX 65536
#define NOT_SUBSCRIBED HWGW_INSTRUMENTS_NOT_SUBSCRIBED
#define LOCATE_UNKNOWN HWGW_INSTRUMENTS_LOCATE_UNKNOWN

#define LOCATES_SZ ((size_t)HWGW_FLOWS_MAX * ITCH50_LOCATE_CNT * sizeof(uint32_t))

/* the slot of a symbol, or the free slot where it belongs */
static uint32_t *slot_find(const struct hwgw_instruments *instruments, uint64_t name) {
  uint64_t mixed = (name ^ name >> 29) * 0x9E3779B97F4A7C15u;
  uint32_t at = (uint32_t)(mixed >> 40) & instruments->slot_mask;
  while (instruments->slots[at] && instruments->names[instruments->slots[at] - 1] != name)
    at = (at + 1) & instruments->slot_mask;
  return &instruments->slots[at];
}

/* index of a symbol, which is added when that is allowed */
static uint32_t index_of(struct hwgw_instruments *instruments, uint64_t name, bool add) {
  uint32_t *slot = slot_find(instruments, name);
  if (*slot) return *slot - 1;
  if (!add || instruments->cnt == instruments->max) return NOT_SUBSCRIBED;
  instruments->names[instruments->cnt] = name;
  *slot = ++instruments->cnt;
  return *slot - 1;
}

int32_t hwgw_instruments_open(struct hwgw_instruments **out, const char *names, uint32_t cnt, uint32_t max,
                              bool dynamic, struct hwgw_error *error) {
  *out = NULL;
  if (max < 1 || max > INSTRUMENTS_MAX || cnt > max)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "instruments: %u symbols with a maximum of %u; 1 to %u instruments are allowed", cnt, max,
                          INSTRUMENTS_MAX);
  uint32_t slot_cnt = 16;
  while (slot_cnt < 2 * max) slot_cnt *= 2;
  struct hwgw_instruments *instruments = calloc(1, sizeof *instruments);
  uint64_t *table = calloc(max, sizeof *table);
  uint32_t *slots = calloc(slot_cnt, sizeof *slots);
  void *locates = mmap(NULL, LOCATES_SZ, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (!instruments || !table || !slots || locates == MAP_FAILED) {
    int32_t failed = errno;
    if (locates != MAP_FAILED) munmap(locates, LOCATES_SZ);
    free(slots);
    free(table);
    free(instruments);
    return hwgw_error_set(error, HWGW_ERR_DEVICE, failed, "instruments: no memory for %u instruments: %s", max,
                          strerror(failed));
  }
  *instruments = (struct hwgw_instruments){
      .locates = locates, .names = table, .slots = slots, .slot_mask = slot_cnt - 1, .max = max, .dynamic = dynamic};
  for (uint32_t i = 0; i < cnt; i++) {
    uint64_t name;
    memcpy(&name, names + (size_t)i * SYMBOL_LEN, SYMBOL_LEN);
    if (index_of(instruments, name, true) == i) continue;
    hwgw_instruments_close(instruments);
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "instruments: symbol %.8s is listed twice",
                          names + (size_t)i * SYMBOL_LEN);
  }
  *out = instruments;
  return HWGW_OK;
}

void hwgw_instruments_close(struct hwgw_instruments *instruments) {
  if (!instruments) return;
  munmap(instruments->locates, LOCATES_SZ);
  free(instruments->slots);
  free(instruments->names);
  free(instruments);
}

void hwgw_instruments_base(struct hwgw_instruments *instruments, uint32_t channel, uint32_t base) {
  instruments->base[channel] = base;
}

void hwgw_instruments_learn(struct hwgw_instruments *instruments, const uint8_t *message, uint32_t len,
                            struct hwgw_event *event) {
  event->instrument = NOT_SUBSCRIBED;
  if (!event->locate) return;
  uint32_t *known = &instruments->locates[(uint32_t)event->channel * ITCH50_LOCATE_CNT + event->locate];
  const uint8_t *symbol = NULL;
  if (event->kind == HWGW_EVENT_KIND_DIRECTORY) {
    if (len == ITCH50_STOCK_DIRECTORY_LEN) symbol = itch50_stock_directory_stock(message);
  } else if (event->kind == HWGW_EVENT_KIND_ADD) {
    if (len >= ITCH50_ADD_ORDER_LEN) symbol = itch50_add_order_stock(message);
  }
  if (symbol) {
    uint64_t name;
    memcpy(&name, symbol, SYMBOL_LEN);
    uint32_t index = index_of(instruments, name, instruments->dynamic);
    *known = index == NOT_SUBSCRIBED ? NOT_SUBSCRIBED : instruments->base[event->channel] + index + 1;
  }
  if (*known != LOCATE_UNKNOWN && *known != NOT_SUBSCRIBED) event->instrument = *known - 1;
}

void hwgw_instruments_event(struct hwgw_instruments *instruments, struct hwgw_event *event) {
  event->instrument = NOT_SUBSCRIBED;
  if (event->channel >= HWGW_FLOWS_MAX || !event->locate) return;
  uint32_t *known = &instruments->locates[(uint32_t)event->channel * ITCH50_LOCATE_CNT + event->locate];
  if (HWGW_UNLIKELY(event->kind == HWGW_EVENT_KIND_DIRECTORY)) {
    uint32_t index = index_of(instruments, __builtin_bswap64(event->ref), instruments->dynamic);
    *known = index == NOT_SUBSCRIBED ? NOT_SUBSCRIBED : instruments->base[event->channel] + index + 1;
  }
  if (*known != LOCATE_UNKNOWN && *known != NOT_SUBSCRIBED) event->instrument = *known - 1;
}

void hwgw_instruments_resolve(struct hwgw_instruments *instruments, const uint8_t *message, uint32_t len,
                              struct hwgw_event *event) {
  hwgw_instruments_find(instruments, message, len, event);
}

uint32_t hwgw_instruments_cnt(const struct hwgw_instruments *instruments) {
  return instruments->cnt;
}

const char *hwgw_instruments_name(const struct hwgw_instruments *instruments, uint32_t index) {
  return index < instruments->cnt ? (const char *)&instruments->names[index] : NULL;
}
