/* A strategy for tests that makes system calls which the data process may not make, once, and then trades.
 *
 * SPDX-License-Identifier: MIT
 *
 * It trades only when every one of them failed with EPERM.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hwgw.h"

struct state {
  bool is_tried;
  int64_t refused_cnt;
};

static bool is_refused(long result) {
  return result == -1 && errno == EPERM;
}

/* calls that are on the list, with arguments that are not: number and arguments */
static const long FORBIDDEN[][6] = {
    {SYS_openat, AT_FDCWD, (long)"/dev/null", O_WRONLY}, /* the first one is what the halt names */
    {SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1},
    {SYS_mprotect, 0, 0, PROT_EXEC},
    {SYS_clone, SIGCHLD},
    {SYS_execve, (long)"/bin/true"},
    {SYS_fcntl, 1, F_SETOWN, 1},
    {SYS_fcntl, 1, F_SETSIG, SIGKILL},
    {SYS_fcntl, 1, F_DUPFD, 100},
    {SYS_setsockopt, 1, IPPROTO_IPV6, 1},
    {SYS_ioctl, 0, TIOCSTI},
    {SYS_ioctl, 0, SIOCSIFFLAGS},
    {SYS_prctl, PR_SET_DUMPABLE, 1},
    {SYS_prctl, PR_SET_SECCOMP, 2},
    {SYS_bpf, BPF_PROG_LOAD},
    {SYS_prlimit64, 0, RLIMIT_NOFILE, 1},
    {SYS_tgkill, 1, 1, SIGTERM},
    {SYS_kill, 1, 0},
    {SYS_rt_sigaction, SIGSYS, 0, 0, 8},
    {SYS_socket, AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP},
    {SYS_socket, AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0},
    {SYS_socket, AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0},
    {SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC},
    {SYS_socket, AF_UNIX, SOCK_STREAM, 0},
};
#define FORBIDDEN_CNT ((int64_t)(sizeof FORBIDDEN / sizeof FORBIDDEN[0]))

/* how many were refused; what may be done is done all the same */
static int64_t forbidden(void) {
  bool is_read = open("/etc/passwd", O_RDONLY) != -1 || errno != EACCES; /* refused as well, but no cause to halt */
  bool is_allowed = fcntl(1, F_GETFL) != -1;
  int link = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  int feed = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  is_allowed = is_allowed && link >= 0 && feed >= 0 && !setsockopt(feed, SOL_SOCKET, SO_RCVBUF, &(int){4096}, 4);
  int64_t cnt = 0;
  for (int64_t i = 0; i < FORBIDDEN_CNT; i++) {
    const long *call = FORBIDDEN[i];
    cnt += is_refused(syscall(call[0], call[1], call[2], call[3], call[4], call[5], 0));
  }
  close(link);
  close(feed);
  return is_read || !is_allowed ? 0 : cnt;
}

static int32_t on_hook(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  struct state *state = memory;
  if (hook->cause != HWGW_HOOK_CAUSE_BOOK || out_max == 0 || hook->ask[0].px == 0) return 0;
  if (!state->is_tried) state->refused_cnt = forbidden();
  state->is_tried = true;
  if (state->refused_cnt != FORBIDDEN_CNT) return 0;
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
