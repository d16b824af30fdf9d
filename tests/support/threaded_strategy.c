/* A strategy for tests that has a thread of its own before the process gives up its privileges; deaf: to all signals.
 *
 * SPDX-License-Identifier: MIT
 */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "hwgw.h"

static void *sleeper(void *nothing) {
  for (;;) pause();
  return nothing;
}

static void init(void *memory, const int64_t *params) {
  (void)memory;
  sigset_t all, before;
  pthread_t thread;
  sigfillset(&all);
  if (params[0]) pthread_sigmask(SIG_BLOCK, &all, &before);
  pthread_create(&thread, NULL, sleeper, NULL);
  if (params[0]) pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int32_t on_hook(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  (void)hook, (void)memory, (void)out, (void)out_max;
  return 0;
}

__attribute__((visibility("default"))) const struct hwgw_strategy hwgw_strategy = {
    .abi = HWGW_SEGMENT_ABI,
    .state_sz_bytes = 8,
    .depth = 1,
    .param_cnt = 1,
    .name = "threaded",
    .param_names = (const char *const[]){"deaf"},
    .param_defaults = (const int64_t[]){0},
    .init = init,
    .fn = on_hook,
};
