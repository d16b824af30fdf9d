/* gateway.c: the data process: a thread per pipeline, and the little that watches over them.
 *
 * SPDX-License-Identifier: MIT
 *
 * It is forked by the control plane and never runs Python. It stops in order on SIGTERM, SIGINT, control->stop and SIGHUP,
 * unless that was ignored before; when its parent dies in whatever way, which life.c tells at once and the kernel's
 * SIGTERM later, halt is latched with reason control_lost, open orders are cancelled, the session is logged out. A
 * parent that is only stopped changes nothing here: the heartbeat grows old and
 * the gate refuses with control_stale. Before it says that it is ready it gives up the privileges and system calls that
 * only the opening needed (confine.c).
 */
#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "confine.h"
#include "pipeline.h"
#include "placement.h"
#include "rx.h"

#define WATCH_NS 5000000

/* Threads are made one by one and confined together: each takes its core and its priority, which needs privileges, then
 * gives these up and waits until the process is as it shall be, threads of drivers and strategies included. */
struct start {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint32_t settled;
  enum { START_WAIT, START_RUN, START_GIVE_UP } order;
  bool drop_privileges;
  uint64_t keep_caps;
  struct hwgw_error error;
};

struct worker {
  struct hwgw_pipeline *pipeline;
  struct start *start;
  pthread_t thread;
  int32_t tid;
};

static void *thread_main(void *argument) {
  struct worker *worker = argument;
  struct start *start = worker->start;
  struct hwgw_error error = {0};
  worker->tid = gettid();
  hwgw_placement_thread(worker->pipeline);
  uint64_t lends = worker->pipeline->loan.is_on ? (uint64_t)1 << CAP_NET_ADMIN : 0; /* TCP_REPAIR */
  if (start->drop_privileges) hwgw_confine_privileges(start->keep_caps | lends, &error);
  pthread_mutex_lock(&start->lock);
  if (error.status) start->error = error;
  start->settled++;
  pthread_cond_broadcast(&start->changed);
  while (start->order == START_WAIT) pthread_cond_wait(&start->changed, &start->lock);
  bool is_on = start->order == START_RUN;
  pthread_mutex_unlock(&start->lock);
  if (is_on) hwgw_pipeline_run(worker->pipeline);
  return NULL;
}

/* waits for every thread, then confines the process; what goes wrong is in start->error */
static void settle(struct start *start, const struct worker *worker, uint32_t started, struct hwgw_segment *segment,
                   const struct hwgw_confine_cfg *confine) {
  pthread_mutex_lock(&start->lock);
  while (start->settled < started) pthread_cond_wait(&start->changed, &start->lock);
  pthread_mutex_unlock(&start->lock);
  if (!confine || start->error.status) return;
  struct hwgw_segment_header *head = hwgw_segment_head(segment);
  if (confine->drop_privileges) {
    int32_t done[HWGW_SEGMENT_THREADS_MAX];
    for (uint32_t i = 0; i < started; i++) done[i] = worker[i].tid;
    if (hwgw_confine_others(start->keep_caps, done, started, &start->error)) return;
    if (hwgw_confine_privileges(start->keep_caps, &start->error)) return;
    head->confined |= HWGW_SEGMENT_CONFINED_PRIVILEGES_DROPPED;
  }
  uint32_t sets = (confine->drop_privileges ? 0u : HWGW_CALLS_REOPEN) | (start->keep_caps ? HWGW_CALLS_DRIVER : 0u);
  if (!confine->seccomp || hwgw_confine_calls(segment, sets, &start->error)) return;
  head->confined |= HWGW_SEGMENT_CONFINED_CALLS_FILTERED;
}

static void order(struct start *start, bool is_on) {
  pthread_mutex_lock(&start->lock);
  start->order = is_on ? START_RUN : START_GIVE_UP;
  pthread_cond_broadcast(&start->changed);
  pthread_mutex_unlock(&start->lock);
}

static void answer(int32_t fd, const char *text, size_t len) {
  while (fd >= 0 && len) {
    ssize_t written = write(fd, text, len);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text += written;
    len -= (size_t)written;
  }
}

static bool is_over(struct hwgw_segment *segment, uint32_t cnt) {
  for (uint32_t i = 0; i < cnt; i++) {
    if (__atomic_load_n(&hwgw_segment_thread(segment, i)->state, __ATOMIC_ACQUIRE) !=
        HWGW_SEGMENT_THREAD_STATE_STOPPED) {
      return false;
    }
  }
  return true;
}

int32_t hwgw_gateway_run(struct hwgw_segment *segment, const struct hwgw_pipeline_cfg *pipelines, uint32_t pipeline_cnt,
                         const struct hwgw_placement_cfg *placement, const struct hwgw_confine_cfg *confine,
                         int32_t ready_fd) {
  struct hwgw_control *control = hwgw_segment_control(segment);
  /* by the segment and not by getppid: the parent may have died before this line */
  pid_t parent = (pid_t)hwgw_segment_head(segment)->control_pid;
  if (parent == getpid()) parent = getppid(); /* run by the control process itself */
  hwgw_segment_head(segment)->data_pid = (uint32_t)getpid();

  /* blocked before the first thread exists, so that every thread leaves them to the wait below */
  sigset_t signals;
  struct sigaction hangup;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaction(SIGHUP, NULL, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaddset(&signals, SIGHUP); /* blocked, one that nohup(1) ignores would be kept */
  sigprocmask(SIG_BLOCK, &signals, NULL);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  prctl(PR_SET_NAME, "hwgw-data");

  struct worker worker[HWGW_SEGMENT_THREADS_MAX] = {0};
  struct start start = {.lock = PTHREAD_MUTEX_INITIALIZER,
                        .changed = PTHREAD_COND_INITIALIZER,
                        .drop_privileges = confine && confine->drop_privileges};
  struct hwgw_error *error = &start.error;
  uint32_t opened = 0, started = 0;
  for (; opened < pipeline_cnt; opened++) {
    worker[opened].start = &start;
    hwgw_placement_near(pipelines[opened].cpu);
    if (hwgw_pipeline_open(&worker[opened].pipeline, &pipelines[opened], error)) break;
    const struct hwgw_rx *rx = worker[opened].pipeline->rx;
    if (rx) start.keep_caps |= rx->live->ops->keep_caps;
  }
  hwgw_placement_near(-1);
  for (; started < pipeline_cnt && opened == pipeline_cnt; started++) {
    int failed = pthread_create(&worker[started].thread, NULL, thread_main, &worker[started]);
    if (failed) {
      hwgw_error_set(error, HWGW_ERR_INTERNAL, failed, "pthread_create: %s", strerror(failed));
      break;
    }
  }
  bool is_on = started == pipeline_cnt;
  if (is_on) hwgw_placement_process(segment, placement);
  if (is_on) settle(&start, worker, started, segment, confine);
  is_on &= error->status == HWGW_OK;
  if (is_on) {
    answer(ready_fd, "0", 1);
  } else {
    char line[sizeof error->text + 16];
    answer(ready_fd, line, (size_t)snprintf(line, sizeof line, "%d %s", error->status, error->text));
  }
  order(&start, is_on);
  if (ready_fd >= 0) close(ready_fd);

  const struct timespec now = {0};
  while (is_on && started && !is_over(segment, started)) {
    siginfo_t info = {0};
    /* while threads of the dying parent are left, getppid still names it; the signal of its death does too */
    bool is_orphan = hwgw_life_wait(segment, WATCH_NS) == HWGW_LIFE_ENDED;
    int signal = sigtimedwait(&signals, &info, &now);
    is_orphan |= getppid() != parent || (signal == SIGTERM && info.si_pid == parent);
    if (is_orphan && !__atomic_load_n(&control->stop, __ATOMIC_ACQUIRE)) {
      hwgw_halt(segment, HWGW_RISK_REASON_CONTROL_LOST, "the control process is gone");
      __atomic_store_n(&control->stop, 1, __ATOMIC_RELEASE);
    }
    if (signal == SIGTERM || signal == SIGINT || signal == SIGHUP)
      __atomic_store_n(&control->stop, 1, __ATOMIC_RELEASE);
  }
  for (uint32_t i = 0; i < started; i++) pthread_join(worker[i].thread, NULL);
  for (uint32_t i = 0; i < opened; i++) hwgw_pipeline_close(worker[i].pipeline);
  return error->status;
}
