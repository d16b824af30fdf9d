/* confine.c: drops capabilities and filters system calls (seccomp) in the data process.
 *
 * SPDX-License-Identifier: MIT
 *
 * The list is of what the steady state takes: receiving, the order session and its reconnects, the clock, memory,
 * threads of the process itself, the wait for signals. Some calls are allowed with certain arguments only (RULES): no
 * memory becomes executable, no process is made, no program run, no file opened (one that is only to be read fails with
 * EACCES and nothing more: libraries try), no socket but those of feeds, venues and link states made, no descriptor given
 * to signals or another owner, the handler of refusals not replaced. clone3, whose flags a filter cannot see, is reported
 * as missing, and the C library takes clone.
 *
 * A call that is not on the list fails with EPERM and is seen: the kernel sends SIGSYS, whose handler counts it in the
 * segment (refused_calls, refused_call) and latches the halt. The process goes on, so that open orders can be cancelled
 * and fills are taken; killing it would leave them at the venue. See docs/decisions/0003-confinement.md.
 *
 * Cost: the kernel remembers which calls are allowed whatever their arguments are, and runs the filter for the others.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* the allocator names its memory */
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif

enum { CODE_MAX = 1024, X32_BIT = 0x40000000 };

static const int CALLS[] = {
    /* receiving, sending, the order session */
    SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg, SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_poll, SYS_ppoll, SYS_select,
    SYS_pselect6, SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_create1, SYS_epoll_ctl, SYS_connect, SYS_bind,
    SYS_getsockopt, SYS_getsockname, SYS_getpeername, SYS_shutdown, SYS_close,
    /* descriptors that are open */
    SYS_read, SYS_readv, SYS_pread64, SYS_write, SYS_writev, SYS_pwrite64, SYS_lseek, SYS_fstat, SYS_newfstatat,
    SYS_ftruncate,
    /* memory; executable memory is below */
    SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk, SYS_mlock, SYS_munlock,
    /* time */
    SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_time,
    /* threads of this process */
    SYS_futex, SYS_set_robust_list, SYS_rseq, SYS_set_tid_address, SYS_sched_yield, SYS_sched_getaffinity,
    SYS_sched_setaffinity, SYS_sched_getparam, SYS_sched_getscheduler, SYS_sched_setscheduler, SYS_getcpu,
    SYS_membarrier, SYS_exit, SYS_exit_group, SYS_restart_syscall,
    /* signals */
    SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigtimedwait, SYS_sigaltstack,
    /* who and where it is */
    SYS_getpid, SYS_getppid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_capget, SYS_uname,
    SYS_sysinfo, SYS_getrusage, SYS_times, SYS_getrandom};

/* what opening and closing a receive path takes besides */
static const int WIDE_CALLS[] = {
    SYS_socket, SYS_bpf,        SYS_ioctl,  SYS_openat,   SYS_setns,    SYS_readlink,  SYS_getdents64,
    SYS_access, SYS_faccessat2, SYS_unlink, SYS_unlinkat, SYS_eventfd2, SYS_fallocate, SYS_accept4,
    SYS_listen, SYS_socketpair, SYS_statfs, SYS_fstatfs,  SYS_flock,    SYS_fcntl,     SYS_setsockopt};

enum test_kind { NONE, EQUAL, OTHER, NO_BITS, ALL_BITS, ZERO };

struct test {
  uint32_t arg;
  enum test_kind kind;
  uint32_t value;
};

/* a call, when both tests hold; several rows of one call are alternatives */
struct rule {
  int call;
  struct test test[2];
};

static const struct rule RULES[] = {
    {SYS_mmap, {{2, NO_BITS, PROT_EXEC}}},
    {SYS_mprotect, {{2, NO_BITS, PROT_EXEC}}},
    {SYS_clone, {{0, ALL_BITS, CLONE_THREAD}}},
    {SYS_socket, {{0, EQUAL, AF_INET}, {1, EQUAL, SOCK_DGRAM | SOCK_CLOEXEC}}},
    {SYS_socket, {{0, EQUAL, AF_INET}, {1, EQUAL, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC}}},
    {SYS_socket, {{0, EQUAL, AF_INET}, {1, EQUAL, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC}}},
    {SYS_socket, {{0, EQUAL, AF_NETLINK}, {2, EQUAL, NETLINK_ROUTE}}},
    {SYS_socket, {{0, EQUAL, AF_UNIX}, {1, EQUAL, SOCK_DGRAM | SOCK_CLOEXEC}}}, /* if_nametoindex */
    {SYS_setsockopt, {{1, EQUAL, SOL_SOCKET}}},
    {SYS_setsockopt, {{1, EQUAL, IPPROTO_IP}}},
    {SYS_setsockopt, {{1, EQUAL, IPPROTO_TCP}}},
    {SYS_setsockopt, {{1, EQUAL, SOL_PACKET}}},
    {SYS_setsockopt, {{1, EQUAL, SOL_XDP}}},
    {SYS_fcntl, {{1, EQUAL, F_GETFD}}},
    {SYS_fcntl, {{1, EQUAL, F_SETFD}}},
    {SYS_fcntl, {{1, EQUAL, F_GETFL}}},
    {SYS_fcntl, {{1, EQUAL, F_SETFL}}},
    {SYS_fcntl, {{1, EQUAL, F_OFD_GETLK}}}, /* the segment's */
    {SYS_fcntl, {{1, EQUAL, F_OFD_SETLK}}},
    {SYS_rt_sigaction, {{0, OTHER, SIGSYS}}}, /* who refuses stays */
    {SYS_ioctl, {{1, EQUAL, SIOCETHTOOL}}},
    {SYS_ioctl, {{1, EQUAL, SIOCGIFINDEX}}},
    {SYS_ioctl, {{1, EQUAL, SIOCGIFNAME}}},
    {SYS_ioctl, {{1, EQUAL, SIOCGIFFLAGS}}},
    {SYS_ioctl, {{1, EQUAL, SIOCGIFADDR}}},
    {SYS_ioctl, {{1, EQUAL, SIOCGIFHWADDR}}},
    {SYS_ioctl, {{1, EQUAL, SIOCGIFMTU}}},
    {SYS_ioctl, {{1, EQUAL, SIOCGHWTSTAMP}}},
    {SYS_ioctl, {{1, EQUAL, SIOCOUTQ}}},
    {SYS_ioctl, {{1, EQUAL, FIONREAD}}},
    {SYS_bpf, {{0, EQUAL, BPF_MAP_LOOKUP_ELEM}}},
    {SYS_bpf, {{0, EQUAL, BPF_MAP_LOOKUP_BATCH}}},
    {SYS_bpf, {{0, EQUAL, BPF_MAP_UPDATE_ELEM}}}, /* a receiver leaves those that share its program */
    {SYS_bpf, {{0, EQUAL, BPF_MAP_DELETE_ELEM}}},
    {SYS_prctl, {{0, EQUAL, PR_SET_NAME}}},
    {SYS_prctl, {{0, EQUAL, PR_SET_VMA}}},
    {SYS_prlimit64, {{2, ZERO, 0}}}, /* read only */
};

/* a library that looks for a file finds that it may not; that is no reason to halt */
static const struct rule READ_FILE = {SYS_openat, {{2, NO_BITS, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND}}};

static struct hwgw_segment *confined; /* where the handler counts */

/* ---- privileges ---- */

int32_t hwgw_confine_privileges(uint64_t keep, struct hwgw_error *error) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {0};
  const char *call = "capget";
  if (syscall(SYS_capget, &header, data)) goto failed;
  for (int i = 0; i < 2; i++) {
    uint32_t kept = (uint32_t)(keep >> 32 * i);
    data[i] =
        (struct __user_cap_data_struct){.effective = data[i].effective & kept, .permitted = data[i].permitted & kept};
  }
  call = "prctl(PR_CAP_AMBIENT_CLEAR_ALL)";
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) && errno != EINVAL) goto failed;
  call = "prctl(PR_SET_NO_NEW_PRIVS)";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) goto failed;
  call = "capset";
  if (syscall(SYS_capset, &header, data)) goto failed;
  return HWGW_OK;
failed:;
  int cause = errno;
  return hwgw_error_set(error, HWGW_ERR_INTERNAL, cause, "confine: %s: %s; see confine.privileges in gateway.yaml",
                        call, strerror(cause));
}

/* ---- the filter ---- */

struct program {
  struct sock_filter code[CODE_MAX];
  unsigned short len;
};

static void emit(struct program *program, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf) {
  if (program->len < CODE_MAX) program->code[program->len] = (struct sock_filter){code, jt, jf, k};
  program->len++;
}

static void load(struct program *program, size_t offset) {
  emit(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void give(struct program *program, uint32_t verdict) {
  emit(program, BPF_RET | BPF_K, verdict, 0, 0);
}

static void allow(struct program *program, int call) {
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1);
  give(program, SECCOMP_RET_ALLOW);
}

/* x86 is little-endian: the low word of an argument comes first. False when it jumps beyond a rule */
static void check(struct program *program, const struct test *test, uint8_t instructions_left) {
  size_t low = offsetof(struct seccomp_data, args) + 8 * test->arg;
  load(program, low);
  switch (test->kind) {
    case EQUAL:
      emit(program, BPF_JMP | BPF_JEQ | BPF_K, test->value, 0, instructions_left);
      break;
    case OTHER:
      emit(program, BPF_JMP | BPF_JEQ | BPF_K, test->value, instructions_left, 0);
      break;
    case NO_BITS:
      emit(program, BPF_JMP | BPF_JSET | BPF_K, test->value, instructions_left, 0);
      break;
    case ALL_BITS: /* one bit in all the rules there are */
      emit(program, BPF_JMP | BPF_JSET | BPF_K, test->value, 0, instructions_left);
      break;
    case ZERO:
      emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, (uint8_t)(instructions_left + 2));
      load(program, low + 4);
      emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, instructions_left);
      break;
    case NONE:
      break;
  }
}

static void rule(struct program *program, const struct rule *from, uint32_t verdict) {
  uint8_t sz[2] = {0};
  for (int i = 0; i < 2; i++) {
    enum test_kind kind = from->test[i].kind;
    sz[i] = kind == NONE ? 0 : kind == ZERO ? 4 : 2;
  }
  load(program, offsetof(struct seccomp_data, nr));
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)from->call, 0, (uint8_t)(sz[0] + sz[1] + 1));
  if (sz[0]) check(program, &from->test[0], (uint8_t)(sz[1] + 1));
  if (sz[1]) check(program, &from->test[1], 1);
  give(program, verdict);
}

static void filter_write(struct program *program, bool wide) {
  load(program, offsetof(struct seccomp_data, arch));
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
  give(program, SECCOMP_RET_TRAP);
  load(program, offsetof(struct seccomp_data, nr));
  emit(program, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
  give(program, SECCOMP_RET_TRAP);
  for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++) allow(program, CALLS[i]);
  for (size_t i = 0; wide && i < sizeof WIDE_CALLS / sizeof WIDE_CALLS[0]; i++) allow(program, WIDE_CALLS[i]);
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
  give(program, SECCOMP_RET_ERRNO | ENOSYS);
  for (size_t i = 0; i < sizeof RULES / sizeof RULES[0]; i++) rule(program, &RULES[i], SECCOMP_RET_ALLOW);
  rule(program, &READ_FILE, SECCOMP_RET_ERRNO | EACCES);
  load(program, offsetof(struct seccomp_data, nr)); /* abort(3) */
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 3);
  load(program, offsetof(struct seccomp_data, args));
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 0, 1);
  give(program, SECCOMP_RET_ALLOW);
  give(program, SECCOMP_RET_TRAP);
}

/* the call has not been made; its result becomes EPERM */
static void refused(int number, siginfo_t *info, void *context) {
  (void)number;
  int saved = errno;
  struct hwgw_segment_header *head = hwgw_segment_head(confined);
  uint32_t call = (uint32_t)info->si_syscall;
  head->refused_call = call;
  __atomic_add_fetch(&head->refused_calls, 1, __ATOMIC_RELAXED);
  char text[] = "the data process was refused system call      ";
  for (size_t at = sizeof text - 2; call && text[at] == ' '; call /= 10) text[at--] = (char)('0' + call % 10);
  hwgw_halt(confined, HWGW_RISK_REASON_STATE, text);
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = -EPERM;
  errno = saved;
}

int32_t hwgw_confine_calls(struct hwgw_segment *segment, bool wide, struct hwgw_error *error) {
  struct program program = {.len = 0};
  filter_write(&program, wide);
  if (program.len > CODE_MAX) {
    return hwgw_error_set(error, HWGW_ERR_INTERNAL, 0, "confine: a filter of %u instructions", program.len);
  }
  confined = segment;
  struct sigaction action = {.sa_sigaction = refused, .sa_flags = SA_SIGINFO};
  struct sock_fprog code = {.len = program.len, .filter = program.code};
  if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &code) != 0) {
    int cause = errno;
    return hwgw_error_set(error, HWGW_ERR_DEVICE, cause,
                          "confine: seccomp(SECCOMP_SET_MODE_FILTER): %s; a kernel without it wants seccomp: false "
                          "in gateway.yaml",
                          strerror(cause));
  }
  return HWGW_OK;
}
