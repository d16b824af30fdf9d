/* card.c: the simulated card is loaded, and says who it is.
 *
 * SPDX-License-Identifier: MIT
 */
#include "card.h"

#include <dlfcn.h>

#define SNAPSHOT_POLLS 1000

/* dlsym gives objects, and C has no way from those to functions but through memory */
static bool call_find(void *object, const char *name, void *function, size_t sz) {
  void *found = dlsym(object, name);
  memcpy(function, &found, sz);
  return found != NULL;
}

static int32_t identify(struct card *card, struct hwgw_error *error) {
  uint32_t identity = card_read(card, HWGW_REG_IDENTITY), version = card_read(card, HWGW_REG_VERSION);
  if (identity == HWGW_REG_IDENTITY_VALUE && version >> 16 == HWGW_REG_VERSION_VALUE >> 16) return HWGW_OK;
  return hwgw_error_set(error, HWGW_ERR_DEVICE, 0,
                        "card: identity %#010x and version %#010x; %#010x and %#06x.... are needed", identity, version,
                        HWGW_REG_IDENTITY_VALUE, HWGW_REG_VERSION_VALUE >> 16);
}

int32_t card_open(struct card *card, const char *path, struct hwgw_error *error) {
  struct card_calls *call = &card->call;
  if (!path || !*path)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "card: no library of the simulated card was given");
  card->object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!card->object) {
    const char *said = dlerror();
    return hwgw_error_set(error, HWGW_ERR_DEVICE, 0, "card: the simulated card cannot be loaded: %s",
                          said ? said : path);
  }
#define FIND(name) call_find(card->object, "hwgw_card_" #name, &call->name, sizeof call->name)
  bool is_whole = FIND(abi) && FIND(open) && FIND(close) && FIND(read) && FIND(write) && FIND(frame) && FIND(run) &&
                  FIND(events) && FIND(waiting) && FIND(verdicts) && FIND(sent) && FIND(tx) && FIND(time);
#undef FIND
  if (!is_whole || call->abi() != HWGW_CARD_ABI)
    return hwgw_error_set(error, HWGW_ERR_DEVICE, 0, "card: %s is not the simulated card of this build", path);
  card->model = call->open();
  if (!card->model) return hwgw_error_set(error, HWGW_ERR_INTERNAL, 0, "card: no memory for the simulated card");
  return identify(card, error);
}

void card_close(struct card *card) {
  if (card->model) card->call.close(card->model);
  if (card->object) dlclose(card->object);
  *card = (struct card){0};
}

bool card_snapshot(struct card *card) {
  uint32_t before = card_read(card, HWGW_REG_SNAPSHOT_CNT);
  card_write(card, HWGW_REG_COMMAND, HWGW_REG_COMMAND_SNAPSHOT);
  for (uint32_t polls = 0; !card->is_lost; polls++) {
    if (card_read(card, HWGW_REG_SNAPSHOT_CNT) != before) return !card->is_lost;
    if (polls == SNAPSHOT_POLLS) card->is_lost = true;
  }
  return false;
}
