/* xdp_share.h: the receivers of this process that share the steering program of an interface.
 *
 * SPDX-License-Identifier: MIT
 *
 * An interface takes one XDP program, and a process may have several receivers on it: one per queue and thread, say. They
 * share one program and its maps, found by (network namespace, interface), for as long as one of them lives. Each gets the
 * flows it asked for on the queues it asked for, and no other.
 *
 * Who counts what no receiver gets: a flow's frame on a queue that does not take the flow belongs to the eldest receiver
 * of that flow (its first queue, the flow's home); a fragment on a queue that takes the flow to the receiver of that queue;
 * the interface's own drops, and what came while no program of ours was there (xdp_witness.h), to the eldest receiver on
 * the interface. So every frame is counted once. When the eldest goes the next one counts from then on.
 *
 * Threads: any; a process-wide mutex. Set-up and housekeeping only.
 * fork: the child gets nothing. Its copies of all descriptors are closed at once, so that neither program nor socket
 * outlives the parent in it; receivers are dead there, and closing them does not touch the parent's.
 */
#ifndef HWGW_XDP_SHARE_H
#define HWGW_XDP_SHARE_H

#include "xdp_load.h"
#include "xdp_witness.h"

struct hwgw_xdp_share;
struct hwgw_rx_hold;

/* one receiver; part of its state. The first group is filled in before join */
struct hwgw_xdp_user {
  void (*forked)(struct hwgw_xdp_user *user); /* in the child: close what was inherited; async-signal-safe */
  uint32_t *program_id;                       /* kept up to date with the kernel's number of the program */
  uint32_t flow_cnt;
  struct hwgw_flow flows[HWGW_FLOWS_MAX];
  uint32_t queue_cnt;
  uint32_t queues[HWGW_QUEUES_MAX];

  struct hwgw_xdp_user *next; /* younger */
  struct hwgw_xdp_share *share;
  bool is_started;
  int sockets[HWGW_QUEUES_MAX];
  uint64_t nic_drops;
  uint64_t missed;
};

/* makes the user known for forks; nothing is attached (for a sender, that is all) */
void hwgw_xdp_enter(struct hwgw_xdp_user *user);
/* attaches the program, or joins the receivers that share it; one that was taken off is attached anew, for all of them.
 * features: those of HWGW_XDP_* it cannot do without */
int32_t hwgw_xdp_join(struct hwgw_xdp_user *user, const struct hwgw_interface *interface, const char *mode,
                      uint32_t features, struct hwgw_error *error);
/* the program with these features too */
int32_t hwgw_xdp_require(struct hwgw_xdp_user *user, const struct hwgw_interface *interface, uint32_t features,
                         struct hwgw_error *error);
/* frames flow from here on: sockets[i] takes queues[i]; flags: STEER_* */
int32_t hwgw_xdp_start(struct hwgw_xdp_user *user, const int *sockets, uint32_t flags, struct hwgw_error *error);
/* another socket for queues[i], STEER_PROVE off */
int32_t hwgw_xdp_swap(struct hwgw_xdp_user *user, uint32_t i, int socket_fd, struct hwgw_error *error);
/* the opposite of enter and of all that followed; call it before the sockets are closed */
void hwgw_xdp_leave(struct hwgw_xdp_user *user);

/* of a user that joined */
const struct hwgw_xdp *hwgw_xdp_of(const struct hwgw_xdp_user *user);
/* the program's entry of queues[i], live */
struct steer_queue *hwgw_xdp_queue(const struct hwgw_xdp_user *user, uint32_t i);
/* the interface's own drops so far that are this user's to count */
uint64_t hwgw_xdp_nic_drops(struct hwgw_xdp_user *user);
bool hwgw_xdp_nic_known(const struct hwgw_xdp_user *user);
/* frames of flows that reached the kernel's stack without our program, this user's to count; whether they are known */
uint64_t hwgw_xdp_missed(struct hwgw_xdp_user *user);
bool hwgw_xdp_misses_known(const struct hwgw_xdp_user *user);

/* Opening anew without an uncounted frame. hold: no frame goes to the user's sockets any more, what comes is counted as
 * missed, and program and witness stay when it leaves; NULL when it shares nothing. What the same thread opens between
 * move(hold) and move(NULL) stands in for it. unhold: gives the frames missed that no user can count any more */
struct hwgw_rx_hold *hwgw_xdp_hold(struct hwgw_xdp_user *user);
void hwgw_xdp_move(struct hwgw_rx_hold *hold);
uint64_t hwgw_xdp_unhold(struct hwgw_rx_hold *hold);
/* the interface that stands in for the user's, which is gone: what comes to it is missed from here on */
void hwgw_xdp_sight(struct hwgw_xdp_user *user, int ifindex);

#endif
