/* rx_watch.c: stands before a backend that takes frames from an interface, says what state that is in, and opens the
 * backend anew when the interface has gone, changed, or lost our program.
 *
 * SPDX-License-Identifier: MIT
 *
 * States (receive_state in hwgw/specs/segment.yaml): up; link down: no carrier or not up, which heals by itself, for
 * sockets and programs outlive it; gone: the interface was removed or moved to another namespace; detached: our XDP
 * program was taken off; changed: frames no longer fit, or our queue is no more.
 *
 * Reopening: for gone, detached and changed, when the device is there and the process may. A helper thread drains and
 * counts what the old backend still holds (drop_reopen), closes it and opens anew, so that the caller's thread never
 * waits; meanwhile poll gives nothing. It begins when a poll has found nothing, or after DRAIN_NS, never while frames
 * are held. Tries are BACKOFF_MIN_NS apart, twice as long after each failure up to BACKOFF_MAX_NS; news of the interface
 * makes the next one due at once. Counters go on over a reopen and never fall.
 *
 * Cost: one non-blocking recv per stats. While no frame comes, two more system calls each ASK_NS: the kernel does not
 * tell when a program goes off by its bpf_link, nor when queues change.
 *
 * Thread: that of the caller; the helper touches only what it was given. In a forked child the state is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rx.h"
#include "rx_link.h"

#define ASK_NS 250000000u
#define DRAIN_NS 1000000000u
#define BACKOFF_MIN_NS 50000000u
#define BACKOFF_MAX_NS 5000000000u
#define COUNTER_FIRST HWGW_CNT_RX_FRAMES
#define COUNTER_END HWGW_CNT_NET_DROP_SHORT /* the stages rx and tx */

enum { REASON_SZ = 160 };

/* what the helper works on, and its result */
struct reopen {
  struct hwgw_rx *old; /* closed by it */
  struct hwgw_rx *opened;
  const struct hwgw_rx_ops *ops;
  const struct hwgw_rx_cfg *cfg;
  struct hwgw_rx_hold *hold; /* of the one that is opened anew, until that is done */
  int netns_fd;
  uint64_t counters[HWGW_COUNTER_CNT]; /* the last ones of the old backend */
  struct hwgw_error error;
  uint32_t is_closing; /* old is, or is no more */
  uint32_t is_done;
};

struct rx_watch {
  struct hwgw_rx base;
  struct hwgw_rx idle; /* polls for nobody while there is no backend */
  struct hwgw_rx_link link;
  int open_index;           /* of the device the backend was opened on */
  int sighted;              /* the one of its name that has come back, as the backend was told */
  uint32_t open_queue_cnt;  /* receive queues it had then, 0 = unknown */
  uint32_t queue_cnt;       /* has now */
  uint32_t program_doubted; /* our XDP program seemed to be off, 0 = it did not */
  char reason[REASON_SZ];   /* why the state is not up; empty when it is */

  struct hwgw_rx_cfg cfg; /* copies of all it points to follow */
  char interface[16];
  char *texts[4]; /* backend, path, mode, port */
  uint32_t queues[HWGW_QUEUES_MAX];
  struct hwgw_flow flows[HWGW_FLOWS_MAX];

  uint64_t before[HWGW_COUNTER_CNT]; /* counters of the backends that were closed */
  uint64_t now[HWGW_COUNTER_CNT];
  uint64_t reopens;
  uint64_t frames_asked; /* frames when the kernel was asked last */
  uint64_t t_asked_ns;
  uint64_t t_bad_ns; /* since when a reopen is wanted, 0 = it is not */
  uint64_t t_due_ns; /* of the next try */
  uint64_t backoff_ns;
  pid_t owner;     /* a forked child has neither the interface nor the helper */
  bool is_working; /* the helper */
  pthread_t helper;
  struct reopen reopen;
};

/* ---- a backend that has nothing ---- */

static uint32_t idle_poll(struct hwgw_rx *rx, struct hwgw_frame *frames, uint32_t max) {
  (void)rx, (void)frames, (void)max;
  return 0;
}

static void idle_release(struct hwgw_rx *rx) {
  (void)rx;
}

static uint32_t idle_send(struct hwgw_rx *rx, const struct hwgw_frame *frames, uint32_t cnt) {
  (void)rx, (void)frames, (void)cnt;
  return 0;
}

static uint32_t idle_unsent(struct hwgw_rx *rx) {
  (void)rx;
  return 0;
}

static void idle_stats(struct hwgw_rx *rx, uint64_t *counters) {
  (void)rx, (void)counters;
}

static bool idle_ended(const struct hwgw_rx *rx) {
  (void)rx;
  return false;
}

static const struct hwgw_rx_ops IDLE = {.name = "idle",
                                        .poll = idle_poll,
                                        .release = idle_release,
                                        .send = idle_send,
                                        .unsent = idle_unsent,
                                        .stats = idle_stats,
                                        .ended = idle_ended};

/* ---- the helper ---- */

/* what waits in the old backend is lost with it, and counted */
static uint64_t drain(struct hwgw_rx *rx) {
  struct hwgw_frame frames[HWGW_BATCH_MAX];
  uint64_t bytes = rx->count.bytes, sum = 0;
  for (uint32_t cnt; sum < UINT32_MAX && (cnt = rx->ops->poll(rx, frames, HWGW_BATCH_MAX)) > 0; sum += cnt) {
    rx->ops->release(rx);
    rx->count.frames += cnt; /* as a poll does: backends hold it against what the kernel says */
  }
  rx->count.bytes = bytes;
  return sum;
}

static void enter(int netns_fd) {
  struct stat wanted, here;
  if (netns_fd < 0 || fstat(netns_fd, &wanted) || stat("/proc/thread-self/ns/net", &here)) return;
  if (wanted.st_ino != here.st_ino || wanted.st_dev != here.st_dev) setns(netns_fd, CLONE_NEWNET);
}

static void *reopen_main(void *argument) {
  struct reopen *job = argument;
  if (job->old) {
    if (job->ops->hold) job->hold = job->ops->hold(job->old);
    uint64_t lost = drain(job->old);
    hwgw_rx_count(job->old, job->counters);
    job->counters[HWGW_CNT_RX_FRAMES] -= lost;
    job->counters[HWGW_CNT_RX_DROP_REOPEN] += lost;
    if (job->old->ops->give_up) job->counters[HWGW_CNT_TX_DROP_KERNEL] += job->old->ops->give_up(job->old);
    __atomic_store_n(&job->is_closing, 1, __ATOMIC_RELEASE);
    job->old->ops->close(job->old);
  }
  enter(job->netns_fd);
  if (job->hold) job->ops->move(job->hold);
  if (job->ops->open(&job->opened, job->cfg, &job->error)) job->opened = NULL;
  if (job->hold) job->ops->move(NULL);
  if (job->opened) job->opened->kept = job->cfg->kept;
  __atomic_store_n(&job->is_done, 1, __ATOMIC_RELEASE);
  return NULL;
}

/* beside the pipeline's core and its priority */
static int helper_start(struct rx_watch *watch) {
  pthread_attr_t attr;
  cpu_set_t cpus;
  if (pthread_attr_init(&attr)) return ENOMEM;
  pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
  if (sched_getaffinity(getpid(), sizeof cpus, &cpus) == 0) pthread_attr_setaffinity_np(&attr, sizeof cpus, &cpus);
  int failed = pthread_create(&watch->helper, &attr, reopen_main, &watch->reopen);
  pthread_attr_destroy(&attr);
  return failed;
}

/* ---- the state ---- */

__attribute__((format(printf, 3, 4))) static void judged(struct rx_watch *watch, uint32_t state, const char *format,
                                                         ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(watch->reason, sizeof watch->reason, format, args);
  va_end(args);
  watch->base.state = state;
}

/* names of the capabilities that reopening needs and that the calling thread does not have; empty when it has all */
static void lacking(uint64_t needed, char *out, size_t sz) {
  static const struct {
    int bit;
    const char *name;
  } NAMES[] = {{CAP_NET_RAW, "CAP_NET_RAW"}, {CAP_NET_ADMIN, "CAP_NET_ADMIN"}};
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {0};
  out[0] = 0;
  if (syscall(SYS_capget, &header, data)) return;
  uint64_t have = (uint64_t)data[1].effective << 32 | data[0].effective;
  for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
    uint64_t bit = (uint64_t)1 << NAMES[i].bit;
    size_t used = strlen(out);
    if (needed & bit && !(have & bit)) snprintf(out + used, sz - used, "%s%s", used ? " and " : "", NAMES[i].name);
  }
}

/* an MTU that outgrew the frames: those that still fit come on, so the path is given up only for one that takes them all */
static bool wants_reopen(const struct rx_watch *watch) {
  const struct hwgw_rx *live = watch->base.live;
  if (watch->base.state == HWGW_SEGMENT_RECEIVE_STATE_CHANGED && live->mtu_max && watch->link.mtu > live->mtu_max)
    return watch->link.mtu <= live->mtu_reopen_max;
  return watch->base.state == HWGW_SEGMENT_RECEIVE_STATE_GONE ||
         watch->base.state == HWGW_SEGMENT_RECEIVE_STATE_DETACHED ||
         watch->base.state == HWGW_SEGMENT_RECEIVE_STATE_CHANGED;
}

/* Receivers of a process may replace the program that they share, and the kernel does not tell: what is known of the
 * link may be older. So ask, and believe it when the next round says the same */
static bool program_is_gone(struct rx_watch *watch) {
  uint32_t id = __atomic_load_n(&watch->base.live->program_id, __ATOMIC_RELAXED);
  if (!id || hwgw_rx_link_has_program(&watch->link, id)) {
    watch->program_doubted = 0;
    return false;
  }
  if (watch->program_doubted == id) return true;
  watch->program_doubted = id;
  hwgw_rx_link_ask(&watch->link);
  return false;
}

static void judge(struct rx_watch *watch) {
  const struct hwgw_rx_link *link = &watch->link;
  const struct hwgw_rx *live = watch->base.live;
  uint32_t queue_cnt = watch->queue_cnt;
  if (!link->index) {
    judged(watch, HWGW_SEGMENT_RECEIVE_STATE_GONE, "%s is gone", link->wanted);
    return;
  }
  if (live == &watch->idle) return; /* why it could not be opened again */
  if (link->index != watch->open_index) {
    if (live->ops->sight && watch->sighted != link->index) live->ops->sight(watch->base.live, link->index);
    watch->sighted = link->index;
    judged(watch, HWGW_SEGMENT_RECEIVE_STATE_GONE, "%s is another device now", link->wanted);
  } else if (program_is_gone(watch)) {
    judged(watch, HWGW_SEGMENT_RECEIVE_STATE_DETACHED, "our XDP program (id %u) was taken off %s%s", live->program_id,
           link->name, link->program[0] ? ", another one is there" : "");
  } else if (live->mtu_max && link->mtu > live->mtu_max) {
    judged(watch, HWGW_SEGMENT_RECEIVE_STATE_CHANGED, "MTU %u of %s: its frames fit up to %u", link->mtu, link->name,
           live->mtu_max);
  } else if (live->queue_end && queue_cnt && queue_cnt < live->queue_end) {
    judged(watch, HWGW_SEGMENT_RECEIVE_STATE_CHANGED, "%s has %u receive queues, and queue %u is ours", link->name,
           queue_cnt, live->queue_end - 1);
  } else if (!(link->flags & IFF_UP)) {
    judged(watch, HWGW_SEGMENT_RECEIVE_STATE_LINK_DOWN, "%s is down: ip link set %s up", link->name, link->name);
  } else if (!hwgw_rx_link_is_up(link)) {
    judged(watch, HWGW_SEGMENT_RECEIVE_STATE_LINK_DOWN, "%s has no carrier", link->name);
  } else if (live->state > HWGW_SEGMENT_RECEIVE_STATE_UP) {
    judged(watch, live->state, "%s: the backend says so", link->name);
  } else {
    judged(watch, HWGW_SEGMENT_RECEIVE_STATE_UP, "%s", "");
  }
}

/* ---- reopening ---- */

static void opened_on(struct rx_watch *watch, struct hwgw_rx *live) {
  live->live = live;
  live->state = HWGW_SEGMENT_RECEIVE_STATE_UP;
  watch->base.live = live;
  watch->base.clock = live->clock;
  watch->open_index = watch->link.index;
  watch->queue_cnt = watch->open_queue_cnt = live->queue_end ? hwgw_rx_link_queues(&watch->link) : 0;
}

static void reopen_begin(struct rx_watch *watch, uint64_t now_ns) {
  char caps[48];
  lacking(watch->reopen.ops->needs_caps, caps, sizeof caps);
  if (caps[0]) { /* what is open stays so: it may heal */
    size_t used = strlen(watch->reason);
    snprintf(watch->reason + used, sizeof watch->reason - used,
             "; dropped privileges (%s), cannot reopen: restart the gateway", caps);
    return;
  }
  if (!watch->t_bad_ns) {
    watch->t_bad_ns = now_ns;
    watch->backoff_ns = BACKOFF_MIN_NS;
    watch->t_due_ns = now_ns;
  }
  struct hwgw_rx *live = watch->base.live;
  bool is_drained = live == &watch->idle || live->is_dry || now_ns - watch->t_bad_ns > DRAIN_NS;
  if (now_ns < watch->t_due_ns || !watch->link.index || live->is_held || !is_drained) return;
  memcpy(watch->interface, watch->link.name, sizeof watch->interface); /* it may have another name by now */
  memcpy(watch->reopen.counters, watch->now, sizeof watch->now); /* what it cannot read any more stays as it was */
  watch->reopen.old = live == &watch->idle ? NULL : live;
  watch->reopen.opened = NULL;
  watch->reopen.error = (struct hwgw_error){0};
  watch->reopen.is_closing = watch->reopen.is_done = 0;
  watch->idle.clock = live->clock;
  watch->base.live = &watch->idle;
  watch->is_working = true;
  if (helper_start(watch)) { /* at the next try, then */
    watch->is_working = false;
    watch->base.live = live;
  }
  watch->backoff_ns = watch->backoff_ns * 2 < BACKOFF_MAX_NS ? watch->backoff_ns * 2 : BACKOFF_MAX_NS;
  watch->t_due_ns = now_ns + watch->backoff_ns;
}

static void hold_end(struct rx_watch *watch) {
  if (watch->reopen.hold) watch->before[HWGW_CNT_RX_DROP_REOPEN] += watch->reopen.ops->unhold(watch->reopen.hold);
  watch->reopen.hold = NULL;
}

static void reopen_end(struct rx_watch *watch, uint64_t now_ns) {
  if (!__atomic_load_n(&watch->reopen.is_done, __ATOMIC_ACQUIRE)) return;
  pthread_join(watch->helper, NULL);
  watch->is_working = false;
  for (uint32_t i = COUNTER_FIRST; i < COUNTER_END; i++) watch->before[i] += watch->reopen.counters[i];
  memset(watch->now, 0, sizeof watch->now);
  watch->reopen.old = NULL;
  if (watch->reopen.opened) {
    watch->reopens++;
    hold_end(watch);
    watch->t_bad_ns = 0;
    opened_on(watch, watch->reopen.opened);
    watch->frames_asked = 0;
    watch->t_asked_ns = now_ns;
    hwgw_rx_link_ask(&watch->link); /* the messages so far are of before */
    hwgw_rx_link_read(&watch->link);
    return;
  }
  snprintf(watch->reason, sizeof watch->reason, "%.*s", (int)sizeof watch->reason - 1, watch->reopen.error.text);
}

/* ---- once per stats ---- */

static void ask(struct rx_watch *watch, uint64_t now_ns) {
  const struct hwgw_rx *live = watch->base.live;
  if (now_ns - watch->t_asked_ns < ASK_NS) return;
  watch->t_asked_ns = now_ns;
  bool is_quiet = live->count.frames == watch->frames_asked;
  watch->frames_asked = live->count.frames;
  if (!is_quiet) return;
  hwgw_rx_link_ask(&watch->link);
  if (!live->queue_end || !watch->link.index) return;
  uint32_t queue_cnt = hwgw_rx_link_queues(&watch->link);
  if (queue_cnt) watch->queue_cnt = queue_cnt;
}

/* in a forked child: nothing is read, for the messages are the parent's, and nothing opened */
static void forked_stats(struct rx_watch *watch, uint64_t *counters) {
  judged(watch, HWGW_SEGMENT_RECEIVE_STATE_GONE, "%s was opened by process %d, before a fork", watch->link.wanted,
         (int)watch->owner);
  for (uint32_t i = COUNTER_FIRST; i < COUNTER_END; i++) counters[i] = watch->before[i] + watch->now[i];
}

static void watch_stats(struct hwgw_rx *rx, uint64_t *counters) {
  struct rx_watch *watch = (struct rx_watch *)rx;
  uint64_t now_ns = hwgw_now_ns();
  if (HWGW_UNLIKELY(getpid() != watch->owner)) {
    forked_stats(watch, counters);
    return;
  }
  if (watch->is_working) reopen_end(watch, now_ns);
  if (!watch->is_working) ask(watch, now_ns);
  if (hwgw_rx_link_read(&watch->link) && watch->t_due_ns > now_ns + BACKOFF_MIN_NS) {
    watch->t_due_ns = now_ns + BACKOFF_MIN_NS;
  }
  if (!watch->is_working) {
    judge(watch);
    if (wants_reopen(watch)) {
      reopen_begin(watch, now_ns);
    } else {
      watch->t_bad_ns = 0;
    }
  }
  if (rx->live != &watch->idle) {
    hwgw_rx_count(rx->live, watch->now);
    for (uint32_t i = COUNTER_FIRST; i < COUNTER_END; i++) counters[i] = watch->before[i] + watch->now[i];
  } else if (!watch->is_working) {
    memcpy(counters + COUNTER_FIRST, watch->before + COUNTER_FIRST, (COUNTER_END - COUNTER_FIRST) * sizeof *counters);
  } else { /* the last figures, until the helper says what became of the old backend */
    for (uint32_t i = COUNTER_FIRST; i < COUNTER_END; i++) {
      counters[i] = watch->before[i] + (watch->reopen.old ? watch->now[i] : 0);
    }
  }
  counters[HWGW_CNT_RX_LINK_DOWNS] = watch->link.downs;
  counters[HWGW_CNT_RX_LINK_UPS] = watch->link.ups;
  counters[HWGW_CNT_RX_REOPENS] = watch->reopens;
}

static void watch_close(struct hwgw_rx *rx) {
  struct rx_watch *watch = (struct rx_watch *)rx;
  if (watch->is_working && getpid() != watch->owner) {
    bool is_closing = __atomic_load_n(&watch->reopen.is_closing, __ATOMIC_ACQUIRE); /* as the fork found it */
    if (watch->reopen.old && !is_closing) watch->reopen.old->ops->close(watch->reopen.old);
  } else if (watch->is_working) {
    pthread_join(watch->helper, NULL);
    if (watch->reopen.opened) watch->reopen.opened->ops->close(watch->reopen.opened);
  } else if (rx->live != &watch->idle) {
    rx->live->ops->close(rx->live);
  }
  hold_end(watch);
  hwgw_rx_link_close(&watch->link);
  if (watch->reopen.netns_fd >= 0) close(watch->reopen.netns_fd);
  for (size_t i = 0; i < sizeof watch->texts / sizeof watch->texts[0]; i++) free(watch->texts[i]);
  free(watch);
}

static const struct hwgw_rx_ops WATCH = {.name = "watch", .stats = watch_stats, .close = watch_close};

const char *hwgw_rx_watch_reason(const struct hwgw_rx *rx) {
  return rx->ops == &WATCH ? ((const struct rx_watch *)rx)->reason : "";
}

/* what is behind it, the name it has now, and what is wrong */
void hwgw_rx_watch_describe(struct hwgw_rx *rx) {
  struct rx_watch *watch = (struct rx_watch *)rx;
  if (rx->ops != &WATCH) return;
  snprintf(rx->describe, sizeof rx->describe, "%.500s",
           rx->live == &watch->idle ? watch->texts[0] : rx->live->describe);
  if (strcmp(watch->link.name, watch->interface) != 0) hwgw_rx_note(rx, "; now called %s", watch->link.name);
  if (watch->queue_cnt != watch->open_queue_cnt) {
    hwgw_rx_note(rx, "; %u receive queues, %u when it was opened", watch->queue_cnt, watch->open_queue_cnt);
  }
  if (rx->live->is_behind_xdp && watch->link.program[0]) {
    hwgw_rx_note(rx, "; XDP program %u is attached: what it takes does not come here, and is not counted",
                 watch->link.program[0]);
  }
  if (watch->reason[0]) hwgw_rx_note(rx, "; %s", watch->reason);
}

/* ---- open ---- */

static bool cfg_copy(struct rx_watch *watch, const struct hwgw_rx_cfg *cfg) {
  const char *texts[] = {cfg->backend, cfg->path ? cfg->path : "", cfg->mode ? cfg->mode : "",
                         cfg->port ? cfg->port : ""};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    watch->texts[i] = strdup(texts[i]);
    if (!watch->texts[i]) return false;
  }
  watch->cfg = *cfg;
  watch->cfg.backend = watch->texts[0];
  watch->cfg.path = watch->texts[1];
  watch->cfg.mode = watch->texts[2];
  watch->cfg.port = watch->texts[3];
  watch->cfg.eal_args = NULL; /* of use at the first open of a process only */
  watch->cfg.eal_arg_cnt = 0;
  snprintf(watch->interface, sizeof watch->interface, "%s", cfg->interface);
  watch->cfg.interface = watch->interface;
  if (cfg->queues) {
    memcpy(watch->queues, cfg->queues, cfg->queue_cnt * sizeof *cfg->queues);
    watch->cfg.queues = watch->queues;
  }
  if (cfg->flows) {
    memcpy(watch->flows, cfg->flows, cfg->flow_cnt * sizeof *cfg->flows);
    watch->cfg.flows = watch->flows;
  }
  return true;
}

struct hwgw_rx *hwgw_rx_watch_open(struct hwgw_rx *live, const struct hwgw_rx_cfg *cfg) {
  struct rx_watch *watch = calloc(1, sizeof *watch);
  struct hwgw_error error = {.text = "no memory"};
  if (!watch) goto without;
  watch->base = (struct hwgw_rx){.ops = &WATCH};
  watch->owner = getpid();
  watch->idle = (struct hwgw_rx){.ops = &IDLE};
  watch->link.fd = -1;
  watch->reopen.netns_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  watch->reopen.ops = live->ops;
  watch->reopen.cfg = &watch->cfg;
  watch->base.live = &watch->idle;
  if (!cfg_copy(watch, cfg) || hwgw_rx_link_open(&watch->link, cfg->interface, &error)) {
    watch_close(&watch->base);
    goto without;
  }
  watch->t_asked_ns = hwgw_now_ns();
  opened_on(watch, live);
  judge(watch);
  return &watch->base;
without:
  hwgw_rx_note(live, "; the state of %s is not watched (%s)", cfg->interface, error.text);
  live->live = live;
  return live;
}
