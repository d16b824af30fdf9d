/* strategy.c: finding a strategy: by name among the built-in ones, or in a shared object.
 *
 * SPDX-License-Identifier: MIT
 */
#include "strategy.h"

#include <dlfcn.h>

static const struct hwgw_strategy *const built_in[] = {&hwgw_strategy_mean_reversion, &hwgw_strategy_imbalance};

uint32_t hwgw_strategy_cnt(void) {
  return sizeof built_in / sizeof *built_in;
}

const struct hwgw_strategy *hwgw_strategy_at(uint32_t index) {
  return index < hwgw_strategy_cnt() ? built_in[index] : NULL;
}

const struct hwgw_strategy *hwgw_strategy_find(const char *name) {
  for (uint32_t i = 0; i < hwgw_strategy_cnt(); i++) {
    if (strcmp(built_in[i]->name, name) == 0) return built_in[i];
  }
  return NULL;
}

int32_t hwgw_strategy_load(const struct hwgw_strategy **strategy, const char *path, struct hwgw_error *error) {
  void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!object) return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "strategy '%s': %s", path, dlerror());
  const struct hwgw_strategy *found = dlsym(object, "hwgw_strategy");
  const char *wrong = NULL;
  if (!found) {
    wrong = "it exports no `const struct hwgw_strategy hwgw_strategy`";
  } else if (found->abi != HWGW_SEGMENT_ABI) {
    wrong = "it was built for another hwgw ABI";
  } else if (!found->fn || !found->name) {
    wrong = "its fn or name is not set";
  } else if (found->depth < 1 || found->depth > 10) {
    wrong = "its depth is not 1 to 10";
  } else if (found->param_cnt && (!found->param_names || !found->param_defaults)) {
    wrong = "its parameters have no names or defaults";
  }
  if (wrong) {
    dlclose(object);
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "strategy '%s': %s", path, wrong);
  }
  *strategy = found;
  return HWGW_OK;
}
