/* A strategy for tests that makes system calls which the data process may not make, once, and then trades.
 *
 * SPDX-License-Identifier: MIT
 *
 * It trades only when every one of them failed with EPERM.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hwgw.h"

struct state {
  bool is_tried;
  int64_t refused_cnt;
};

static bool is_refused(long result) {
  return result == -1 && errno == EPERM;
}

/* how many were refused: a file to write, a process, executable memory, a program, a stream to a local socket */
static int64_t forbidden(void) {
  static char *const arguments[] = {"/bin/true", NULL};
  bool is_read = open("/etc/passwd", O_RDONLY) != -1 || errno != EACCES; /* refused as well, but no cause to halt */
  int64_t cnt = !is_read && is_refused(open("/dev/null", O_WRONLY));
  cnt += is_refused(fork());
  cnt += is_refused((long)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  cnt += is_refused(execv(arguments[0], arguments));
  cnt += is_refused(socket(AF_UNIX, SOCK_STREAM, 0));
  return cnt;
}

static int32_t on_hook(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  struct state *state = memory;
  if (hook->cause != HWGW_HOOK_CAUSE_BOOK || out_max == 0 || hook->ask[0].px == 0) return 0;
  if (!state->is_tried) state->refused_cnt = forbidden();
  state->is_tried = true;
  if (state->refused_cnt != 5) return 0;
  out[0].kind = HWGW_ORDER_KIND_NEW;
  out[0].side = HWGW_ORDER_SIDE_BUY;
  out[0].type = HWGW_ORDER_TYPE_LIMIT;
  out[0].tif = HWGW_ORDER_TIF_IOC;
  out[0].instrument = UINT32_MAX;
  out[0].px = hook->ask[0].px;
  out[0].qty = 100;
  return 1;
}

__attribute__((visibility("default"))) const struct hwgw_strategy hwgw_strategy = {
    .abi = HWGW_SEGMENT_ABI,
    .state_sz_bytes = sizeof(struct state),
    .depth = 1,
    .name = "forbidden",
    .fn = on_hook,
};
