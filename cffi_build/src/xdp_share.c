/* xdp_share.c: one steering program per interface for all receivers of this process; contract in xdp_share.h.
 *
 * SPDX-License-Identifier: MIT
 *
 * All receivers are in one list, eldest first, and so is their order on every interface. What the maps hold of a flow is
 * computed from the list whenever a receiver that has the flow starts or leaves.
 */
#ifndef HWGW_NO_XDP

#include "xdp_share.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE /* Linux 5.14 */
#define SO_NETNS_COOKIE 71
#endif

enum { GRACE_MS = 1 }; /* by then no frame is on its way to a socket that was taken out of the map */

struct hwgw_xdp_share {
  struct hwgw_xdp_share *next;
  uint64_t namespace;
  int ifindex;
  uint32_t user_cnt;
  struct hwgw_xdp xdp;
  struct hwgw_xdp_nic nic;
  uint64_t nic_counted; /* of the interface's drops, somebody's already */
  uint64_t failed_gone; /* failed redirects to sockets that are closed */

  /* frames of flows that came while no program of ours was there: what the witness saw without what the program let pass */
  struct hwgw_xdp_witness witness;
  uint64_t passed_gone;   /* let pass, counted in entries of queues that were set to zero since */
  int64_t base;           /* by so much the witness has seen more when nothing was missed */
  uint64_t missed;        /* so far */
  uint64_t missed_unread; /* of these, nobody's yet */
};

/* keeps a share, and its witness looking, while a receiver is opened anew */
struct hwgw_rx_hold {
  struct hwgw_rx_hold *next;
  struct hwgw_xdp_share *share;
  uint32_t flow_cnt;
  struct hwgw_flow flows[HWGW_FLOWS_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct hwgw_xdp_share *shares;
static struct hwgw_xdp_user *users;
static struct hwgw_rx_hold *holds;
static __thread struct hwgw_rx_hold *moving; /* what this thread opens stands in for a receiver that had this */

/* ---- fork ---- */

static void before_fork(void) {
  pthread_mutex_lock(&lock);
}

static void after_fork(void) {
  pthread_mutex_unlock(&lock);
}

static void in_child(void) {
  for (struct hwgw_xdp_user *user = users; user; user = user->next) {
    user->share = NULL;
    user->forked(user);
  }
  for (struct hwgw_xdp_share *share = shares; share; share = share->next) {
    hwgw_xdp_close(&share->xdp);
    hwgw_xdp_nic_close(&share->nic);
    hwgw_xdp_witness_close(&share->witness);
  }
  users = NULL;
  holds = NULL;
  shares = NULL;
  pthread_mutex_unlock(&lock);
}

static void fork_prepare(void) {
  pthread_atfork(before_fork, after_fork, in_child);
}

/* ---- what no program of ours saw ---- */

/* frames of flows that the program let pass */
static uint64_t passed(const struct hwgw_xdp_share *share) {
  uint64_t sum = share->passed_gone;
  for (uint32_t i = 0; i < STEER_QUEUES_MAX; i++) {
    const struct steer_queue *queue = &share->xdp.queues[i];
    sum += __atomic_load_n(&queue->other_queue, __ATOMIC_RELAXED) + __atomic_load_n(&queue->fragment, __ATOMIC_RELAXED);
  }
  return sum;
}

/* the witness first: a frame is counted by the program before it is seen, so that what is taken off is no less */
static void missed_renew(struct hwgw_xdp_share *share) {
  uint64_t before = share->witness.seen;
  hwgw_xdp_witness_read(&share->witness);
  if (share->witness.seen == before) return;
  int64_t missed = (int64_t)(share->witness.seen - passed(share)) - share->base;
  if (missed <= (int64_t)share->missed) return;
  share->missed_unread += (uint64_t)missed - share->missed;
  share->missed = (uint64_t)missed;
}

/* what the witness has seen beyond missed until now was in order */
static void missed_rebase(struct hwgw_xdp_share *share) {
  uint64_t let_pass = passed(share);
  hwgw_xdp_witness_read(&share->witness);
  share->base = (int64_t)(share->witness.seen - let_pass) - (int64_t)share->missed;
}

static void flows_add(struct hwgw_flow *flows, uint32_t *cnt, const struct hwgw_flow *more, uint32_t more_cnt) {
  for (uint32_t i = 0; i < more_cnt; i++) {
    bool is_known = false;
    for (uint32_t j = 0; j < *cnt && j < HWGW_XDP_WITNESS_FLOWS_MAX; j++)
      is_known |= flows[j].group == more[i].group && flows[j].port == more[i].port;
    if (is_known) continue;
    if (*cnt < HWGW_XDP_WITNESS_FLOWS_MAX)
      flows[*cnt] = (struct hwgw_flow){.group = more[i].group, .port = more[i].port};
    ++*cnt;
  }
}

/* The witness looks for the flows of all who have started, or were here and come back; true when these are others than
 * before */
static bool witness_renew(struct hwgw_xdp_share *share) {
  struct hwgw_flow flows[HWGW_XDP_WITNESS_FLOWS_MAX];
  uint32_t cnt = 0;
  for (const struct hwgw_rx_hold *hold = holds; hold; hold = hold->next)
    if (hold->share == share || hold == moving) flows_add(flows, &cnt, hold->flows, hold->flow_cnt);
  for (const struct hwgw_xdp_user *user = users; user; user = user->next)
    if (user->share == share && user->is_started) flows_add(flows, &cnt, user->flows, user->flow_cnt);
  if (cnt > HWGW_XDP_WITNESS_FLOWS_MAX) {
    hwgw_xdp_witness_close(&share->witness);
    return false;
  }
  return hwgw_xdp_witness_flows(&share->witness, flows, cnt);
}

/* a device that was moved away and back has another number and still our program, which nobody else waits for */
static void link_give_up(struct hwgw_xdp_share *share) {
  for (const struct hwgw_xdp_user *user = users; user; user = user->next)
    if (user->share == share) return;
  if (share->xdp.link_fd >= 0) close(share->xdp.link_fd);
  share->xdp.link_fd = -1;
}

/* before the program is attached: what comes from here on is seen by one of the two. The witness of a receiver whose
 * interface was made anew may be there already (hwgw_xdp_sight) */
static void witness_open(struct hwgw_xdp_share *share) {
  struct hwgw_xdp_share *old = moving ? moving->share : NULL;
  if (old && old->ifindex != share->ifindex) link_give_up(old);
  if (old && old->witness.fd >= 0 && old->witness.ifindex == share->ifindex) {
    share->witness = old->witness;
    share->base = old->base + (int64_t)passed(old);
    share->missed = old->missed;
    old->witness.fd = -1;
  } else {
    hwgw_xdp_witness_open(&share->witness);
    witness_renew(share);
    hwgw_xdp_witness_bind(&share->witness, share->ifindex);
  }
}

/* ---- shares ---- */

/* a number of this thread's network namespace that is never given again; its inode where the kernel is older */
static uint64_t namespace_id(void) {
  uint64_t id = 0;
  socklen_t sz = sizeof id;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int result = fd >= 0 ? getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &id, &sz) : -1;
  if (fd >= 0) close(fd);
  if (result == 0) return id;
  struct stat info = {0};
  stat("/proc/thread-self/ns/net", &info);
  return info.st_ino;
}

static int32_t share_make(struct hwgw_xdp_share **out, uint64_t namespace, const struct hwgw_interface *interface,
                          const char *mode, uint32_t features, struct hwgw_error *error) {
  struct hwgw_xdp_share *share = calloc(1, sizeof *share);
  if (!share) return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "rx afxdp: no memory");
  share->namespace = namespace;
  share->ifindex = interface->index;
  witness_open(share);
  int32_t status = hwgw_xdp_open(&share->xdp, error);
  if (!status) status = hwgw_xdp_attach(&share->xdp, interface, mode, features, error);
  if (status) {
    if (moving && share->missed) moving->share->missed_unread += share->missed - moving->share->missed;
    hwgw_xdp_close(&share->xdp);
    hwgw_xdp_witness_close(&share->witness);
    free(share);
    return status;
  }
  hwgw_xdp_nic_open(&share->nic, interface);
  share->nic_counted = share->nic.last;
  share->next = shares;
  shares = share;
  *out = share;
  return HWGW_OK;
}

static void share_drop(struct hwgw_xdp_share *share) {
  if (--share->user_cnt) return;
  struct hwgw_xdp_share **at = &shares;
  while (*at != share) at = &(*at)->next;
  *at = share->next;
  hwgw_xdp_close(&share->xdp);
  hwgw_xdp_nic_close(&share->nic);
  hwgw_xdp_witness_close(&share->witness);
  free(share);
}

/* whoever compares the interface with our program must know its number */
static void program_tell(const struct hwgw_xdp_share *share) {
  for (const struct hwgw_xdp_user *user = users; user; user = user->next) {
    if (user->share == share) __atomic_store_n(user->program_id, share->xdp.program_id, __ATOMIC_RELAXED);
  }
}

static int32_t feature_add(struct hwgw_xdp_share *share, const struct hwgw_interface *interface, uint32_t features,
                           struct hwgw_error *error) {
  features |= share->xdp.features;
  if (features == share->xdp.features) return HWGW_OK;
  int32_t status = hwgw_xdp_replace(&share->xdp, interface, features, error);
  program_tell(share);
  return status;
}

/* a program that is there gets what is missing; one that somebody took off comes back */
static int32_t share_renew(struct hwgw_xdp_share *share, const struct hwgw_interface *interface, uint32_t features,
                           struct hwgw_error *error) {
  struct hwgw_interface now; /* another thread may have replaced the program a moment ago */
  int32_t unread = hwgw_interface_read(&now, interface->name, error);
  if (unread) return unread;
  if (now.program_id == share->xdp.program_id) return feature_add(share, interface, features, error);
  const char *mode = share->xdp.is_native ? "native" : "generic";
  int32_t status = hwgw_xdp_attach(&share->xdp, interface, mode, features | share->xdp.features, error);
  program_tell(share);
  return status;
}

/* may this user share what others have opened */
static int32_t share_check(const struct hwgw_xdp_share *share, const struct hwgw_xdp_user *user,
                           const struct hwgw_interface *interface, const char *mode, struct hwgw_error *error) {
  const char *present = share->xdp.is_native ? "native" : "generic";
  if (strcmp(mode, "auto") != 0 && strcmp(mode, present) != 0) {
    return hwgw_error_set(
        error, HWGW_ERR_CONFIG, EBUSY,
        "rx afxdp: mode \"%s\" on %s, where another receiver of this process has %s mode; they share one "
        "program: ask for the same mode or for auto",
        mode, interface->name, present);
  }
  for (const struct hwgw_xdp_user *other = users; other; other = other->next) {
    if (other == user || other->share != share) continue;
    for (uint32_t i = 0; i < other->queue_cnt; i++) {
      for (uint32_t j = 0; j < user->queue_cnt; j++) {
        if (other->queues[i] != user->queues[j]) continue;
        return hwgw_error_set(error, HWGW_ERR_CONFIG, EBUSY,
                              "rx afxdp: queue %u of %s belongs to another receiver of this process; a queue has one: "
                              "give that receiver all flows of the queue",
                              user->queues[j], interface->name);
      }
    }
  }
  return HWGW_OK;
}

/* ---- flows ---- */

static bool has_flow(const struct hwgw_xdp_user *user, const struct hwgw_flow *flow) {
  for (uint32_t i = 0; i < user->flow_cnt; i++) {
    if (user->flows[i].group == flow->group && user->flows[i].port == flow->port) return true;
  }
  return false;
}

/* brings the map's entry of a flow up to date; 0 or errno */
static int flow_publish(const struct hwgw_xdp_share *share, const struct hwgw_flow *flow) {
  struct steer_flow key = {.group = htonl(flow->group), .port = htons(flow->port)};
  struct steer_takers takers = {0};
  bool is_taken = false;
  for (const struct hwgw_xdp_user *user = users; user; user = user->next) {
    if (user->share != share || !user->is_started || !has_flow(user, flow)) continue;
    if (!is_taken) takers.home = user->queues[0];
    is_taken = true;
    for (uint32_t i = 0; i < user->queue_cnt; i++) takers.queues[user->queues[i] / 64] |= 1ull << user->queues[i] % 64;
  }
  return is_taken ? hwgw_xdp_flow_set(&share->xdp, &key, &takers) : hwgw_xdp_flow_remove(&share->xdp, &key);
}

/* ---- users ---- */

void hwgw_xdp_enter(struct hwgw_xdp_user *user) {
  pthread_once(&once, fork_prepare);
  pthread_mutex_lock(&lock);
  user->share = NULL;
  user->next = NULL;
  struct hwgw_xdp_user **at = &users;
  while (*at) at = &(*at)->next;
  *at = user;
  pthread_mutex_unlock(&lock);
}

int32_t hwgw_xdp_join(struct hwgw_xdp_user *user, const struct hwgw_interface *interface, const char *mode,
                      uint32_t features, struct hwgw_error *error) {
  uint64_t namespace = namespace_id();
  pthread_mutex_lock(&lock);
  struct hwgw_xdp_share *share = shares;
  while (share && (share->namespace != namespace || share->ifindex != interface->index)) share = share->next;
  int32_t status = HWGW_OK;
  if (share) {
    status = share_check(share, user, interface, mode, error);
    if (!status) status = share_renew(share, interface, features, error);
  } else {
    status = share_make(&share, namespace, interface, mode, features, error);
  }
  if (!status) {
    share->user_cnt++;
    user->share = share;
    program_tell(share);
  }
  pthread_mutex_unlock(&lock);
  return status;
}

int32_t hwgw_xdp_require(struct hwgw_xdp_user *user, const struct hwgw_interface *interface, uint32_t features,
                         struct hwgw_error *error) {
  pthread_mutex_lock(&lock);
  int32_t status = feature_add(user->share, interface, features, error);
  pthread_mutex_unlock(&lock);
  return status;
}

int32_t hwgw_xdp_start(struct hwgw_xdp_user *user, const int *sockets, uint32_t flags, struct hwgw_error *error) {
  pthread_mutex_lock(&lock);
  struct hwgw_xdp_share *share = user->share;
  int cause = 0;
  missed_renew(share);
  for (uint32_t i = 0; !cause && i < user->queue_cnt; i++) {
    user->sockets[i] = sockets[i];
    struct steer_queue *queue = &share->xdp.queues[user->queues[i]];
    share->passed_gone += queue->other_queue + queue->fragment;
    *queue = (struct steer_queue){.flags = flags};
    cause = hwgw_xdp_socket_set(&share->xdp, user->queues[i], sockets[i]);
  }
  user->is_started = cause == 0;
  for (uint32_t i = 0; !cause && i < user->flow_cnt; i++) cause = flow_publish(share, &user->flows[i]);
  if (witness_renew(share)) missed_rebase(share); /* what came before the start was not for us */
  pthread_mutex_unlock(&lock);
  if (!cause) return HWGW_OK;
  return hwgw_error_set(error, HWGW_ERR_DEVICE, cause, "rx afxdp: BPF_MAP_UPDATE_ELEM: %s%s", strerror(cause),
                        cause == E2BIG ? "; too many flows on this interface" : "");
}

/* redirects that the sockets of a user refused */
static uint64_t failed_redirects(const struct hwgw_xdp_user *user) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < user->queue_cnt; i++) {
    struct xdp_statistics now = {0};
    socklen_t sz = sizeof now;
    if (getsockopt(user->sockets[i], SOL_XDP, XDP_STATISTICS, &now, &sz) == 0) sum += now.rx_dropped + now.rx_ring_full;
  }
  return sum;
}

int32_t hwgw_xdp_swap(struct hwgw_xdp_user *user, uint32_t i, int socket_fd, struct hwgw_error *error) {
  pthread_mutex_lock(&lock);
  struct hwgw_xdp_share *share = user->share;
  user->sockets[i] = socket_fd;
  __atomic_fetch_and(&share->xdp.queues[user->queues[i]].flags, ~(uint32_t)STEER_PROVE, __ATOMIC_RELAXED);
  int cause = hwgw_xdp_socket_set(&share->xdp, user->queues[i], socket_fd);
  pthread_mutex_unlock(&lock);
  if (!cause) return HWGW_OK;
  return hwgw_error_set(error, HWGW_ERR_DEVICE, cause, "rx afxdp: BPF_MAP_UPDATE_ELEM: %s", strerror(cause));
}

static bool is_eldest(const struct hwgw_xdp_user *user) {
  const struct hwgw_xdp_user *eldest = users;
  while (eldest && (eldest->share != user->share || !eldest->is_started)) eldest = eldest->next;
  return eldest == user;
}

static void nic_take(struct hwgw_xdp_user *user) {
  struct hwgw_xdp_share *share = user->share;
  if (!is_eldest(user)) return;
  uint64_t drops =
      hwgw_xdp_nic_read(&share->nic); /* before the sockets' numbers, so that what is taken off is no less */
  uint64_t ours = 0;
  if (share->nic.is_veth && share->xdp.is_native) { /* veth counts refused redirects once more */
    ours = share->failed_gone;
    for (const struct hwgw_xdp_user *one = users; one; one = one->next) {
      if (one->share == share && one->is_started) ours += failed_redirects(one);
    }
  }
  if (drops > share->nic_counted + ours) {
    user->nic_drops += drops - ours - share->nic_counted;
    share->nic_counted = drops - ours;
  }
}

static void missed_take(struct hwgw_xdp_user *user) {
  missed_renew(user->share);
  if (!is_eldest(user)) return;
  user->missed += user->share->missed_unread;
  user->share->missed_unread = 0;
}

/* no frame goes to its sockets any more. The kernel's own way to wait for those that are on their way takes some 20 ms */
static void share_stop(struct hwgw_xdp_user *user, bool waits_for_all) {
  struct hwgw_xdp_share *share = user->share;
  missed_take(user);
  user->is_started = false;
  for (uint32_t i = 0; i < user->flow_cnt; i++) flow_publish(share, &user->flows[i]);
  for (uint32_t i = 0; i < user->queue_cnt; i++) {
    share->xdp.queues[user->queues[i]].flags = 0;
    hwgw_xdp_socket_remove(&share->xdp, user->queues[i]);
  }
  if (!waits_for_all || syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
    nanosleep(&(struct timespec){.tv_nsec = GRACE_MS * 1000000}, NULL);
  share->failed_gone += failed_redirects(user);
}

/* the last one closes everything and has nothing to tidy up */
static void share_leave(struct hwgw_xdp_user *user) {
  struct hwgw_xdp_share *share = user->share;
  if (share->user_cnt > 1 && user->is_started) share_stop(user, false);
  user->share = NULL;
  if (share->user_cnt > 1 && witness_renew(share)) missed_rebase(share);
  share_drop(share);
}

/* ---- opening anew ---- */

struct hwgw_rx_hold *hwgw_xdp_hold(struct hwgw_xdp_user *user) {
  struct hwgw_rx_hold *hold = user->share ? calloc(1, sizeof *hold) : NULL;
  if (!hold) return NULL;
  pthread_mutex_lock(&lock);
  hold->share = user->share;
  hold->share->user_cnt++;
  hold->flow_cnt = user->flow_cnt;
  memcpy(hold->flows, user->flows, sizeof hold->flows);
  hold->next = holds;
  holds = hold;
  nic_take(user);
  if (user->is_started) share_stop(user, true);
  pthread_mutex_unlock(&lock);
  return hold;
}

void hwgw_xdp_move(struct hwgw_rx_hold *hold) {
  moving = hold;
}

uint64_t hwgw_xdp_unhold(struct hwgw_rx_hold *hold) {
  uint64_t missed = 0;
  pthread_mutex_lock(&lock);
  struct hwgw_rx_hold **at = &holds;
  while (*at && *at != hold) at = &(*at)->next;
  if (*at) { /* not in the list of a forked child */
    struct hwgw_xdp_share *share = hold->share;
    *at = hold->next;
    missed_renew(share);
    if (share->user_cnt == 1) {
      missed = share->missed_unread;
    } else if (witness_renew(share)) {
      missed_rebase(share);
    }
    share_drop(share);
  }
  pthread_mutex_unlock(&lock);
  free(hold);
  return missed;
}

void hwgw_xdp_sight(struct hwgw_xdp_user *user, int ifindex) {
  if (!user->share) return;
  pthread_mutex_lock(&lock);
  missed_take(user);
  hwgw_xdp_witness_bind(&user->share->witness, ifindex);
  pthread_mutex_unlock(&lock);
}

uint64_t hwgw_xdp_missed(struct hwgw_xdp_user *user) {
  pthread_mutex_lock(&lock);
  missed_take(user);
  pthread_mutex_unlock(&lock);
  return user->missed;
}

bool hwgw_xdp_misses_known(const struct hwgw_xdp_user *user) {
  return user->share->witness.fd >= 0 && user->flow_cnt;
}

void hwgw_xdp_leave(struct hwgw_xdp_user *user) {
  pthread_mutex_lock(&lock);
  struct hwgw_xdp_user **at = &users;
  while (*at && *at != user) at = &(*at)->next;
  if (*at) *at = user->next; /* not in the list of a forked child */
  if (user->share) share_leave(user);
  pthread_mutex_unlock(&lock);
}

const struct hwgw_xdp *hwgw_xdp_of(const struct hwgw_xdp_user *user) {
  return &user->share->xdp;
}

struct steer_queue *hwgw_xdp_queue(const struct hwgw_xdp_user *user, uint32_t i) {
  return &user->share->xdp.queues[user->queues[i]];
}

bool hwgw_xdp_nic_known(const struct hwgw_xdp_user *user) {
  return user->share->nic.fd >= 0;
}

uint64_t hwgw_xdp_nic_drops(struct hwgw_xdp_user *user) {
  pthread_mutex_lock(&lock);
  nic_take(user);
  pthread_mutex_unlock(&lock);
  return user->nic_drops;
}

#endif
