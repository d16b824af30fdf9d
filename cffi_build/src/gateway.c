/* gateway.c: the data process: a thread per pipeline, and the little that watches over them.
 *
 * SPDX-License-Identifier: MIT
 *
 * It is forked by the control plane and never runs Python. It stops in order on SIGTERM, SIGINT and control->stop; when
 * its parent dies in whatever way the kernel sends SIGTERM, halt is latched with reason control_lost, open orders are
 * cancelled, the session is logged out. A parent that is only stopped changes nothing here: the heartbeat grows old and
 * the gate refuses with control_stale.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "pipeline.h"

#define WATCH_NS 5000000

static void pin(struct hwgw_pipeline *p) {
  if (p->cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)p->cpu, &set);
    p->thread->pinned = pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
  }
  p->thread->cpu = p->thread->pinned ? p->cpu : -1;
  if (p->fifo_priority > 0) {
    struct sched_param param = {.sched_priority = p->fifo_priority};
    if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) != 0) {
      snprintf(p->thread->error, sizeof p->thread->error, "SCHED_FIFO %d not permitted", p->fifo_priority);
    }
  }
}

static void *thread_main(void *argument) {
  struct hwgw_pipeline *p = argument;
  pin(p);
  hwgw_pipeline_run(p);
  return NULL;
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
                         int32_t ready_fd) {
  struct hwgw_control *control = hwgw_segment_control(segment);
  /* by the segment and not by getppid: the parent may have died before this line */
  pid_t parent = (pid_t)hwgw_segment_head(segment)->control_pid;
  if (parent == getpid()) parent = getppid(); /* run by the control process itself */
  hwgw_segment_head(segment)->data_pid = (uint32_t)getpid();

  /* blocked before the first thread exists, so that every thread leaves them to the wait below */
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  prctl(PR_SET_NAME, "hwgw-data");

  struct hwgw_pipeline *pipeline[HWGW_SEGMENT_THREADS_MAX] = {0};
  pthread_t thread[HWGW_SEGMENT_THREADS_MAX];
  struct hwgw_error error = {0};
  uint32_t started = 0;
  for (uint32_t i = 0; i < pipeline_cnt && !error.status; i++) hwgw_pipeline_open(&pipeline[i], &pipelines[i], &error);
  for (; started < pipeline_cnt && !error.status; started++) {
    int failed = pthread_create(&thread[started], NULL, thread_main, pipeline[started]);
    if (failed) {
      hwgw_error_set(&error, HWGW_ERR_INTERNAL, failed, "pthread_create: %s", strerror(failed));
      break;
    }
  }
  if (error.status) {
    char line[sizeof error.text + 16];
    answer(ready_fd, line, (size_t)snprintf(line, sizeof line, "%d %s", error.status, error.text));
    __atomic_store_n(&control->stop, 1, __ATOMIC_RELEASE);
  } else {
    answer(ready_fd, "0", 1);
  }
  if (ready_fd >= 0) close(ready_fd);

  struct timespec watch = {0, WATCH_NS};
  while (started && !is_over(segment, started)) {
    siginfo_t info = {0};
    int signal = sigtimedwait(&signals, &info, &watch);
    /* while threads of the dying parent are left, getppid still names it; the signal of its death does too */
    bool is_orphan = getppid() != parent || (signal == SIGTERM && info.si_pid == parent);
    if (is_orphan && !__atomic_load_n(&control->stop, __ATOMIC_ACQUIRE)) {
      hwgw_halt(segment, HWGW_RISK_REASON_CONTROL_LOST, "the control process is gone");
      __atomic_store_n(&control->stop, 1, __ATOMIC_RELEASE);
    }
    if (signal == SIGTERM || signal == SIGINT || signal == SIGHUP)
      __atomic_store_n(&control->stop, 1, __ATOMIC_RELEASE);
  }
  for (uint32_t i = 0; i < started; i++) pthread_join(thread[i], NULL);
  for (uint32_t i = 0; i < pipeline_cnt; i++) hwgw_pipeline_close(pipeline[i]);
  return error.status;
}
