/* A strategy for tests that makes system calls which the data process may not make, once, and then trades.
 *
 * SPDX-License-Identifier: MIT
 *
 * It trades only when every one of them failed with EPERM. The parameter sets says what the process may do besides:
 * 1 opening receive paths anew, 2 what a driver does (confine.h).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
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
  int64_t sets, refused_cnt;
};

static bool is_refused(long result) {
  return result == -1 && errno == EPERM;
}

enum { REOPEN = 1, DRIVER = 2, ANYBODY = 3 };

/* calls that are on the list, with arguments that are not: who may make them all the same, number and arguments */
static const struct {
  int64_t but;
  long call[6];
} FORBIDDEN[] = {
    {0, {SYS_openat, AT_FDCWD, (long)"/dev/null", O_WRONLY}}, /* the first one is what the halt names */
    {0, {SYS_openat, AT_FDCWD, (long)"/tmp/forbidden", O_RDONLY | O_CREAT, 0600}},
    {0, {SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR}},
    {0, {SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
    {0, {SYS_mprotect, 0, 0, PROT_EXEC}},
    {0, {SYS_clone, SIGCHLD}},
    {0, {SYS_execve, (long)"/bin/true"}},
    {0, {SYS_fcntl, 1, F_SETOWN, 1}},
    {0, {SYS_fcntl, 1, F_SETSIG, SIGKILL}},
    {0, {SYS_fcntl, 1, F_DUPFD, 100}},
    {DRIVER, {SYS_fcntl, 1, F_DUPFD_CLOEXEC, 100}},
    {0, {SYS_setsockopt, 1, IPPROTO_IPV6, 1}},
    {DRIVER, {SYS_setsockopt, 1, SOL_NETLINK, 1}},
    {0, {SYS_ioctl, 0, TIOCSTI}},
    {0, {SYS_ioctl, 0, SIOCSIFADDR}},
    {DRIVER, {SYS_ioctl, 0, SIOCSIFFLAGS}},
    {DRIVER, {SYS_ioctl, 0, ';' << 8 | 200}},
    {0, {SYS_ioctl, 0, ';' << 16 | 200}},
    {0, {SYS_prctl, PR_SET_DUMPABLE, 1}},
    {0, {SYS_prctl, PR_SET_SECCOMP, 2}},
    {0, {SYS_bpf, BPF_OBJ_PIN}},
    {0, {SYS_bpf, BPF_PROG_ATTACH}},
    {0, {SYS_bpf, BPF_ENABLE_STATS}},
    {ANYBODY, {SYS_bpf, BPF_PROG_LOAD}},
    {0, {SYS_prlimit64, 0, RLIMIT_NOFILE, 1}},
    {0, {SYS_tgkill, 1, 1, SIGTERM}},
    {0, {SYS_kill, 1, 0}},
    {0, {SYS_rt_sigaction, SIGSYS, 0, 0, 8}},
    {0, {SYS_setns, 0, CLONE_NEWNS}},
    {0, {SYS_setns, 0, 0}},
    {ANYBODY, {SYS_setns, -1, CLONE_NEWNET}},
    {0, {SYS_unlinkat, AT_FDCWD, (long)"/tmp/forbidden"}},
    {DRIVER, {SYS_unlink, (long)"/tmp/forbidden"}},
    {0, {SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 0}},
    {DRIVER, {SYS_eventfd2, 0, -1}},
    {0, {SYS_socket, AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP}},
    {0, {SYS_socket, AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0}},
    {0, {SYS_socket, AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0}},
    {0, {SYS_socket, AF_UNIX, SOCK_STREAM, 0}},
    {DRIVER, {SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC}},
    {REOPEN, {SYS_socket, AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0}}, /* the last one is what status names */
};

/* how many there are for that process */
static int64_t forbidden_cnt(int64_t sets) {
  int64_t cnt = 0;
  for (size_t i = 0; i < sizeof FORBIDDEN / sizeof FORBIDDEN[0]; i++) cnt += !(FORBIDDEN[i].but & sets);
  return cnt;
}

/* how many were refused; what may be done is done all the same */
static int64_t forbidden(int64_t sets) {
  int file = open("/etc/passwd", O_RDONLY);
  bool is_right = sets ? file >= 0 : file == -1 && errno == EACCES; /* refused as well, but no cause to halt */
  if (file >= 0) close(file);
  is_right = is_right && fcntl(1, F_GETFL) != -1;
  int link = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  int feed = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  is_right = is_right && link >= 0 && feed >= 0 && !setsockopt(feed, SOL_SOCKET, SO_RCVBUF, &(int){4096}, 4);
  int64_t cnt = 0;
  for (size_t i = 0; i < sizeof FORBIDDEN / sizeof FORBIDDEN[0]; i++) {
    const long *call = FORBIDDEN[i].call;
    if (!(FORBIDDEN[i].but & sets)) cnt += is_refused(syscall(call[0], call[1], call[2], call[3], call[4], call[5], 0));
  }
  close(link);
  close(feed);
  return is_right ? cnt : -1;
}

static void init(void *memory, const int64_t *params) {
  ((struct state *)memory)->sets = params[0];
}

static int32_t on_hook(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  struct state *state = memory;
  if (hook->cause != HWGW_HOOK_CAUSE_BOOK || out_max == 0 || hook->ask[0].px == 0) return 0;
  if (!state->is_tried) state->refused_cnt = forbidden(state->sets);
  state->is_tried = true;
  if (state->refused_cnt != forbidden_cnt(state->sets)) return 0;
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
    .param_cnt = 1,
    .name = "forbidden",
    .param_names = (const char *const[]){"sets"},
    .param_defaults = (const int64_t[]){0},
    .init = init,
    .fn = on_hook,
};
