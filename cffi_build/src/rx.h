/* rx.h: what a receive backend implements; rx.c finds it by name.
 *
 * SPDX-License-Identifier: MIT
 *
 * A backend is one file with one struct hwgw_rx_ops. Its state begins with struct hwgw_rx. rx.c has checked the
 * configuration's common part (flows, sizes) before open. poll, release and stats are called by one thread.
 * Accounting: for what the flows carried, frames offered = rx_frames + the sum of the rx_drop_* counters.
 */
#ifndef HWGW_RX_H
#define HWGW_RX_H

#include "base.h"

#define HWGW_RX_FRAME_SZ_DEFAULT 2048
#define HWGW_RX_DESCRIBE_SZ 768

struct hwgw_rx_hold;

struct hwgw_rx_ops {
  const char *name;
  int32_t (*open)(struct hwgw_rx **rx, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error);
  uint32_t (*poll)(struct hwgw_rx *rx, struct hwgw_frame *frames, uint32_t max);
  void (*release)(struct hwgw_rx *rx);
  uint32_t (*send)(struct hwgw_rx *rx, const struct hwgw_frame *frames, uint32_t cnt); /* NULL: cannot send */
  uint32_t (*unsent)(struct hwgw_rx *rx);                                              /* with send */
  uint64_t (*give_up)(struct hwgw_rx *rx); /* before close: how many frames it took that will not leave; NULL: none */
  void (*stats)(struct hwgw_rx *rx, uint64_t *counters); /* the drop counters; rx.c does the others */
  /* For opening anew; NULL: nothing to do. hold: before the old one is drained and closed, no frame goes into it any more.
   * Where it gives a hold, what comes until unhold is in the counters of the new one, or in what unhold gives. move: the
   * calling thread opens what stands in for it, from here on or (NULL) no more. sight: its interface's name is back */
  struct hwgw_rx_hold *(*hold)(struct hwgw_rx *rx);
  void (*move)(struct hwgw_rx_hold *hold);
  uint64_t (*unhold)(struct hwgw_rx_hold *hold);
  void (*sight)(struct hwgw_rx *rx, int ifindex);
  /* hwgw_rx_driver_counter; NULL: none */
  bool (*driver_counter)(struct hwgw_rx *rx, uint32_t i, char *name, uint32_t sz, uint64_t *value);
  bool (*ended)(const struct hwgw_rx *rx);
  void (*close)(struct hwgw_rx *rx);
  bool (*available)(char *text, uint32_t sz);
  bool keeps_memory;   /* gives the memory of its frames to hwgw_rx_unmap when it closes */
  bool has_interface;  /* takes frames from cfg->interface, a device of the kernel: rx_watch.c follows its state */
  uint64_t needs_caps; /* bits of the capabilities (CAP_NET_RAW, CAP_NET_ADMIN) that open cannot do without */
  uint64_t keep_caps;  /* of those that polling or closing needs: the data process keeps them; 0 for most */
};

/* counted by poll and send, in the backend's own memory */
struct hwgw_rx_counts {
  uint64_t frames;
  uint64_t bytes;
  uint64_t truncated;
  uint64_t wakeups;
  uint64_t polls;
  uint64_t polls_idle;
  uint64_t tx_frames; /* taken and not dropped */
  uint64_t tx_bytes;
  uint64_t tx_drop_long;
  uint64_t tx_drop_short;
  uint64_t tx_drop_kernel;
  uint64_t tx_wakeups;
  uint64_t tx_full; /* sends that took less than they were given */
};

struct hwgw_rx {
  const struct hwgw_rx_ops *ops;
  struct hwgw_rx *live; /* whose poll it is: its own, or that of the backend behind the watch */
  struct hwgw_rx_counts count;
  bool is_held;   /* frames were polled and not released */
  bool is_dry;    /* the last poll found nothing */
  uint32_t state; /* enum hwgw_segment_receive_state; a backend may set it, and has up until it does */
  uint32_t clock; /* enum hwgw_rx_clock */
  /* set by open where it matters to the backend: what the watch compares the interface with; 0 = anything will do */
  uint32_t mtu_max;          /* larger frames would be lost */
  uint32_t mtu_reopen_max;   /* up to this a new open would take them */
  uint32_t program_id;       /* the XDP program that must be attached */
  uint32_t queue_end;        /* the interface must have so many receive queues */
  bool is_behind_xdp;        /* what an XDP program takes does not come here: describe tells of one */
  struct hwgw_rx_kept *kept; /* of the configuration; set by whoever opened it */
  const uint8_t *memory;     /* in which all frames lie, NULL when there is no such memory */
  uint64_t memory_sz_bytes;
  char describe[HWGW_RX_DESCRIBE_SZ];
};

extern const struct hwgw_rx_ops hwgw_rx_afxdp;
extern const struct hwgw_rx_ops hwgw_rx_packet;
extern const struct hwgw_rx_ops hwgw_rx_udp;
extern const struct hwgw_rx_ops hwgw_rx_pcap;
extern const struct hwgw_rx_ops hwgw_rx_dpdk;
extern const struct hwgw_rx_ops hwgw_rx_card;

/* appends to rx->describe, cut off at its end */
__attribute__((format(printf, 2, 3))) void hwgw_rx_note(struct hwgw_rx *rx, const char *format, ...);

/* rx_watch.c: puts a watch before an open backend and returns it; without one (no netlink) the backend itself, with a note */
struct hwgw_rx *hwgw_rx_watch_open(struct hwgw_rx *live, const struct hwgw_rx_cfg *cfg);
const char *hwgw_rx_watch_reason(const struct hwgw_rx *rx); /* why the state is not up; "" when it is, or not watched */
void hwgw_rx_watch_describe(struct hwgw_rx *rx);            /* renews describe; nothing without a watch */
/* writes what a backend itself has counted: every rx_* and tx_* counter that it knows */
void hwgw_rx_count(struct hwgw_rx *live, uint64_t *counters);

/* rx_kept.c: munmap of the memory of frames, or leaving it to cfg.kept */
void hwgw_rx_unmap(struct hwgw_rx *rx, void *memory, size_t sz);
void hwgw_rx_kept_use(struct hwgw_rx_kept *kept); /* one more user; hwgw_rx_kept_close is one less. NULL is allowed */

/* "239.1.2.3:26400", for messages */
struct hwgw_rx_flow_text {
  char text[24];
};
struct hwgw_rx_flow_text hwgw_rx_flow_print(const struct hwgw_flow *flow);

static inline bool hwgw_rx_is_multicast(uint32_t group) {
  return group >> 28 == 14;
}

/* joins the group on a plain UDP socket so that switches forward it; ifindex 0 = the interface that has local_address.
 * Returns 0 or HWGW_ERR_*; a unicast address needs no join and gives 0 */
int32_t hwgw_rx_join(int fd, const struct hwgw_flow *flow, int ifindex, uint32_t local_address, const char *interface,
                     struct hwgw_error *error);

/* the pcap backend on a capture that is in memory already; the caller keeps it until close */
int32_t hwgw_rx_pcap_memory(struct hwgw_rx **rx, const uint8_t *file, uint64_t size, const struct hwgw_rx_cfg *cfg,
                            struct hwgw_error *error);

#endif
