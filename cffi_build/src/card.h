/* card.h: the card as C reaches it: its registers, its frames, its rings.
 *
 * SPDX-License-Identifier: MIT
 *
 * The card is the simulated one: the RTL that Verilator made into a shared library (built by hwgw_sim.card), whose functions
 * are looked up by name. A card of silicon needs a shell that writes the rings into the host's memory; there is none here.
 * Thread: one.
 */
#ifndef HWGW_CARD_DEVICE_H
#define HWGW_CARD_DEVICE_H

#include "base.h"
#include "hwgw_card.h"
#include "hwgw_registers.h"

/* the functions of the library */
struct card_calls {
  uint32_t (*abi)(void);
  struct hwgw_card *(*open)(void);
  void (*close)(struct hwgw_card *card);
  uint32_t (*read)(struct hwgw_card *card, uint32_t offset, uint32_t *value);
  uint32_t (*write)(struct hwgw_card *card, uint32_t offset, uint32_t value);
  void (*frame)(struct hwgw_card *card, uint32_t line, const uint8_t *data, uint32_t len, uint64_t now);
  void (*run)(struct hwgw_card *card, uint32_t cycles);
  uint32_t (*events)(struct hwgw_card *card, void *events, uint32_t max);
  uint32_t (*waiting)(const struct hwgw_card *card);
  uint32_t (*verdicts)(struct hwgw_card *card, void *verdicts, uint32_t max);
  uint32_t (*sent)(struct hwgw_card *card, void *sent, uint32_t max);
  uint32_t (*tx)(struct hwgw_card *card, uint8_t *room);
  void (*time)(struct hwgw_card *card, uint64_t now_ns);
};

struct card {
  void *object;
  struct card_calls call;
  struct hwgw_card *model;
  bool is_lost; /* a register did not answer */
};

/* loads the library and says who the card is; card_close also after a failure */
int32_t card_open(struct card *card, const char *path, struct hwgw_error *error);
void card_close(struct card *card);

static inline uint32_t card_read(struct card *card, uint32_t offset) {
  uint32_t value = 0;
  if (card->call.read(card->model, offset, &value)) card->is_lost = true;
  return value;
}

static inline void card_write(struct card *card, uint32_t offset, uint32_t value) {
  if (card->call.write(card->model, offset, value)) card->is_lost = true;
}

/* latches every counter; false when the card does not answer */
bool card_snapshot(struct card *card);

/* rx_card.c: the card behind a receive path, NULL when it is another backend */
struct card *rx_card_device(struct hwgw_rx *rx);

#endif
