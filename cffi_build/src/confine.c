/* confine.c: drops capabilities and filters system calls (seccomp) in the data process.
 *
 * SPDX-License-Identifier: MIT
 *
 * Capabilities are a thread's own, and no thread can take them from another. So the threads that drivers and strategies
 * have made are asked by a signal, one after the other.
 *
 * The list is of what the steady state takes: receiving, the order session and its reconnects, the clock, memory,
 * threads of the process itself, the wait for signals. Some calls are allowed with certain arguments only (RULES): no
 * memory becomes executable, no process is made, no program run, no file opened (one that is only to be read fails with
 * EACCES and nothing more: libraries try), no socket but those of feeds, venues and link states made, no descriptor given
 * to signals or another owner, the handler of refusals not replaced. clone3, whose flags a filter cannot see, is reported
 * as missing, and the C library takes clone. A process that opens receive paths behind the filter (it kept its
 * privileges) or closes drivers there (a backend keeps capabilities) may do what that takes besides, listed as narrowly:
 * files are read at most, whatever their path.
 *
 * A call that is not on the list fails with EPERM and is seen: the kernel sends SIGSYS, whose handler counts it in the
 * segment (refused_calls, refused_call) and latches the halt. The process goes on, so that open orders can be cancelled
 * and fills are taken; killing it would leave them at the venue. See docs/decisions/0003-confinement.md.
 *
 * Cost: the kernel remembers which calls are allowed whatever their arguments are, and runs the filter for the others.
 */
#include "confine.h"

#include <dirent.h>
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
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* the allocator names its memory */
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif

#define EPOLL_BUSY_POLL_SET _IOW(0x8A, 1, uint64_t) /* EPIOCSPARAMS of Linux 6.9: a structure of 8 bytes */

enum { CODE_MAX = 1024, X32_BIT = 0x40000000, THREADS_MAX = 1024, ASK_SECONDS = 2 };
#define ASK_SIGNAL (SIGRTMIN + 1)

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

/* what else is allowed, to whom */
enum { REOPEN = HWGW_CALLS_REOPEN, DRIVER = HWGW_CALLS_DRIVER };

#define WRITES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND)

/* paths cannot be judged: what these do not have is a way to write or to make a file. unlink: a driver's socket */
static const struct {
  int call;
  uint32_t sets;
} MORE_CALLS[] = {{SYS_readlink, REOPEN | DRIVER},
                  {SYS_getdents64, REOPEN | DRIVER},
                  {SYS_access, REOPEN | DRIVER},
                  {SYS_faccessat2, REOPEN | DRIVER},
                  {SYS_eventfd2, DRIVER},
                  {SYS_accept, DRIVER},
                  {SYS_accept4, DRIVER},
                  {SYS_listen, DRIVER},
                  {SYS_flock, DRIVER},
                  {SYS_statfs, DRIVER},
                  {SYS_fstatfs, DRIVER},
                  {SYS_fallocate, DRIVER},
                  {SYS_unlink, DRIVER}};

enum test_kind { NONE, EQUAL, OTHER, NO_BITS, ALL_BITS, ZERO, IOCTL_TYPE };

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
    {SYS_ioctl, {{1, EQUAL, EPOLL_BUSY_POLL_SET}}},
    {SYS_bpf, {{0, EQUAL, BPF_MAP_LOOKUP_ELEM}}},
    {SYS_bpf, {{0, EQUAL, BPF_MAP_LOOKUP_BATCH}}},
    {SYS_bpf, {{0, EQUAL, BPF_MAP_UPDATE_ELEM}}}, /* a receiver leaves those that share its program */
    {SYS_bpf, {{0, EQUAL, BPF_MAP_DELETE_ELEM}}},
    {SYS_prctl, {{0, EQUAL, PR_SET_NAME}}},
    {SYS_prctl, {{0, EQUAL, PR_SET_VMA}}},
    {SYS_prlimit64, {{2, ZERO, 0}}}, /* read only */
};

static const struct {
  uint32_t sets;
  struct rule rule;
} MORE_RULES[] = {
    {REOPEN | DRIVER, {SYS_openat, {{2, NO_BITS, WRITES}}}},
    {REOPEN | DRIVER, {SYS_setns, {{1, EQUAL, CLONE_NEWNET}}}}, /* the one it was opened in */
    {REOPEN | DRIVER, {SYS_socket, {{0, EQUAL, AF_XDP}, {1, EQUAL, SOCK_RAW | SOCK_CLOEXEC}}}},
    {REOPEN, {SYS_socket, {{0, EQUAL, AF_PACKET}, {1, EQUAL, SOCK_RAW | SOCK_CLOEXEC}}}},
    {REOPEN, {SYS_socket, {{0, EQUAL, AF_PACKET}, {1, EQUAL, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC}}}},
    {DRIVER, {SYS_socket, {{0, EQUAL, AF_PACKET}, {1, EQUAL, SOCK_RAW}}}},
    {DRIVER, {SYS_socket, {{0, EQUAL, AF_XDP}, {1, EQUAL, SOCK_RAW}}}},
    {DRIVER, {SYS_socket, {{0, EQUAL, AF_INET}, {1, EQUAL, SOCK_DGRAM}}}},
    {DRIVER, {SYS_socket, {{0, EQUAL, AF_UNIX}, {1, EQUAL, SOCK_SEQPACKET}}}},     /* net_memif */
    {DRIVER, {SYS_socket, {{0, EQUAL, AF_NETLINK}, {2, EQUAL, NETLINK_GENERIC}}}}, /* libpcap */
    {REOPEN | DRIVER, {SYS_bpf, {{0, EQUAL, BPF_PROG_LOAD}}}},
    {REOPEN | DRIVER, {SYS_bpf, {{0, EQUAL, BPF_MAP_CREATE}}}},
    {REOPEN | DRIVER, {SYS_bpf, {{0, EQUAL, BPF_LINK_CREATE}}}},
    {REOPEN | DRIVER, {SYS_bpf, {{0, EQUAL, BPF_LINK_UPDATE}}}},
    {REOPEN | DRIVER, {SYS_bpf, {{0, EQUAL, BPF_LINK_GET_NEXT_ID}}}},
    {REOPEN | DRIVER, {SYS_bpf, {{0, EQUAL, BPF_LINK_GET_FD_BY_ID}}}},
    {REOPEN | DRIVER, {SYS_bpf, {{0, EQUAL, BPF_PROG_GET_FD_BY_ID}}}},
    {REOPEN | DRIVER, {SYS_bpf, {{0, EQUAL, BPF_OBJ_GET_INFO_BY_FD}}}},
    {DRIVER, {SYS_bpf, {{0, EQUAL, BPF_MAP_GET_FD_BY_ID}}}},
    {DRIVER, {SYS_bpf, {{0, EQUAL, BPF_BTF_LOAD}}}},
    {DRIVER, {SYS_bpf, {{0, EQUAL, BPF_OBJ_GET}}}},
    {DRIVER, {SYS_setsockopt, {{1, EQUAL, SOL_NETLINK}}}},
    {DRIVER, {SYS_fcntl, {{1, EQUAL, F_DUPFD_CLOEXEC}}}},
    {DRIVER, {SYS_ioctl, {{1, EQUAL, SIOCSIFFLAGS}}}},
    {DRIVER, {SYS_ioctl, {{1, EQUAL, SIOCSIFHWADDR}}}},
    {DRIVER, {SYS_ioctl, {{1, EQUAL, SIOCSIFMTU}}}},
    {DRIVER, {SYS_ioctl, {{1, IOCTL_TYPE, ';'}}}}, /* VFIO */
};

/* a library that looks for a file finds that it may not; that is no reason to halt */
static const struct rule READ_FILE = {SYS_openat, {{2, NO_BITS, WRITES}}};

static struct hwgw_segment *confined; /* where the handler counts */

/* ---- privileges ---- */

/* of the calling thread; the call that failed, with errno, or NULL. May run in a signal handler */
static const char *give_up(uint64_t keep) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {0};
  if (syscall(SYS_capget, &header, data)) return "capget";
  for (int i = 0; i < 2; i++) {
    uint32_t kept = (uint32_t)(keep >> 32 * i);
    data[i] =
        (struct __user_cap_data_struct){.effective = data[i].effective & kept, .permitted = data[i].permitted & kept};
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) && errno != EINVAL)
    return "prctl(PR_CAP_AMBIENT_CLEAR_ALL)";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return "prctl(PR_SET_NO_NEW_PRIVS)";
  return syscall(SYS_capset, &header, data) ? "capset" : NULL;
}

/* what a thread that was signalled says; one at a time */
static uint64_t wanted_keep;
static const char *failed_call;
static int failed_cause;
static uint32_t answered;

static void asked(int number) {
  (void)number;
  int saved = errno;
  failed_call = give_up(wanted_keep);
  failed_cause = errno;
  errno = saved;
  __atomic_store_n(&answered, 1, __ATOMIC_RELEASE);
}

static int32_t ask(pid_t tid, struct hwgw_error *error) {
  __atomic_store_n(&answered, 0, __ATOMIC_RELAXED);
  if (syscall(SYS_tgkill, getpid(), tid, ASK_SIGNAL)) {
    int cause = errno;
    if (cause == ESRCH) return HWGW_OK; /* it has ended */
    return hwgw_error_set(error, HWGW_ERR_INTERNAL, cause, "confine: tgkill: %s", strerror(cause));
  }
  for (uint64_t end_ns = hwgw_now_ns() + ASK_SECONDS * 1000000000ull; !__atomic_load_n(&answered, __ATOMIC_ACQUIRE);) {
    if (hwgw_now_ns() > end_ns)
      return hwgw_error_set(error, HWGW_ERR_INTERNAL, ETIMEDOUT,
                            "confine: thread %d, which is not ours, does not give up its privileges; see "
                            "confine.privileges in gateway.yaml",
                            (int)tid);
    nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
  }
  if (!failed_call) return HWGW_OK;
  return hwgw_error_set(error, HWGW_ERR_INTERNAL, failed_cause,
                        "confine: %s: %s; see confine.privileges in gateway.yaml", failed_call, strerror(failed_cause));
}

/* until there is none that was not asked: who was has no privileges to hand on */
static int32_t ask_all(pid_t *seen, uint32_t cnt, struct hwgw_error *error) {
  for (uint32_t before = 0; cnt != before;) {
    before = cnt;
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks) return hwgw_error_set(error, HWGW_ERR_INTERNAL, errno, "confine: /proc/self/task: %s", strerror(errno));
    int32_t status = HWGW_OK;
    for (const struct dirent *one; !status && (one = readdir(tasks)) != NULL;) {
      pid_t tid = (pid_t)strtol(one->d_name, NULL, 10);
      uint32_t at = 0;
      while (at < cnt && seen[at] != tid) at++;
      if (tid == 0 || at < cnt) continue;
      if (cnt == THREADS_MAX)
        status = hwgw_error_set(error, HWGW_ERR_INTERNAL, 0, "confine: more than %d threads", THREADS_MAX);
      else if ((status = ask(tid, error)) == HWGW_OK)
        seen[cnt++] = tid;
    }
    closedir(tasks);
    if (status) return status;
  }
  return HWGW_OK;
}

int32_t hwgw_confine_others(uint64_t keep, const int32_t *done, uint32_t done_cnt, struct hwgw_error *error) {
  pid_t seen[THREADS_MAX] = {gettid()};
  for (uint32_t i = 0; i < done_cnt; i++) seen[i + 1] = done[i];
  struct sigaction action = {.sa_handler = asked, .sa_flags = SA_RESTART}, before;
  wanted_keep = keep;
  if (sigaction(ASK_SIGNAL, &action, &before))
    return hwgw_error_set(error, HWGW_ERR_INTERNAL, errno, "confine: sigaction: %s", strerror(errno));
  int32_t status = ask_all(seen, done_cnt + 1, error);
  sigaction(ASK_SIGNAL, &before, NULL);
  return status;
}

int32_t hwgw_confine_privileges(uint64_t keep, struct hwgw_error *error) {
  const char *call = give_up(keep);
  if (!call) return HWGW_OK;
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
    case IOCTL_TYPE: /* the second byte of a request */
      emit(program, BPF_ALU | BPF_AND | BPF_K, ~(uint32_t)0xff, 0, 0);
      emit(program, BPF_JMP | BPF_JEQ | BPF_K, test->value << 8, 0, instructions_left);
      break;
    case NONE:
      break;
  }
}

static void rule(struct program *program, const struct rule *from, uint32_t verdict) {
  uint8_t sz[2] = {0};
  for (int i = 0; i < 2; i++) {
    enum test_kind kind = from->test[i].kind;
    sz[i] = kind == NONE ? 0 : kind == ZERO ? 4 : kind == IOCTL_TYPE ? 3 : 2;
  }
  load(program, offsetof(struct seccomp_data, nr));
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)from->call, 0, (uint8_t)(sz[0] + sz[1] + 1));
  if (sz[0]) check(program, &from->test[0], (uint8_t)(sz[1] + 1));
  if (sz[1]) check(program, &from->test[1], 1);
  give(program, verdict);
}

static void filter_write(struct program *program, uint32_t sets) {
  load(program, offsetof(struct seccomp_data, arch));
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
  give(program, SECCOMP_RET_TRAP);
  load(program, offsetof(struct seccomp_data, nr));
  emit(program, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
  give(program, SECCOMP_RET_TRAP);
  for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++) allow(program, CALLS[i]);
  for (size_t i = 0; i < sizeof MORE_CALLS / sizeof MORE_CALLS[0]; i++)
    if (MORE_CALLS[i].sets & sets) allow(program, MORE_CALLS[i].call);
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
  give(program, SECCOMP_RET_ERRNO | ENOSYS);
  for (size_t i = 0; i < sizeof RULES / sizeof RULES[0]; i++) rule(program, &RULES[i], SECCOMP_RET_ALLOW);
  for (size_t i = 0; i < sizeof MORE_RULES / sizeof MORE_RULES[0]; i++)
    if (MORE_RULES[i].sets & sets) rule(program, &MORE_RULES[i].rule, SECCOMP_RET_ALLOW);
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

int32_t hwgw_confine_calls(struct hwgw_segment *segment, uint32_t sets, struct hwgw_error *error) {
  struct program program = {.len = 0};
  filter_write(&program, sets);
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
