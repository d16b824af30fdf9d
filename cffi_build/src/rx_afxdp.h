/* rx_afxdp.h: the state of an AF_XDP receiver, shared by the files rx_afxdp*.c.
 *
 * SPDX-License-Identifier: MIT
 *
 * Memory: one mapping, in this order: the frames that wait to be sent; the receive frames of each queue; the slots in
 * which frames of several buffers are put together. Each queue registers its part as a UMEM of its own instead of sharing
 * one: a queue then has its own frames (a stalled one takes none from the others, and an empty fill ring has one owner),
 * its own copy mode (a shared UMEM has one for all), and the kernel's counters stay apart. Frames never move between
 * queues here, which is what a shared UMEM is for.
 */
#ifndef HWGW_RX_AFXDP_H
#define HWGW_RX_AFXDP_H

#include <errno.h>
#include <linux/if_xdp.h>
#include <sys/socket.h>

#include "rx.h"
#include "xdp_share.h"

#ifndef XDP_USE_SG /* Linux 6.6 */
#define XDP_USE_SG (1 << 4)
#endif
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif

enum {
  HWGW_AFXDP_HEADROOM = 256,         /* XDP_PACKET_HEADROOM, taken from each frame */
  HWGW_AFXDP_LINK_OVERHEAD = 14 + 8, /* Ethernet header and two VLAN tags: not part of the MTU */
  HWGW_AFXDP_PARTS_MAX = 17,         /* buffers of a frame; the kernel's limit (MAX_SKB_FRAGS) */
  HWGW_AFXDP_SLOTS = 2 * HWGW_BATCH_MAX,
  HWGW_AFXDP_BIND_TRIES = 100, /* a queue that was just closed is busy for up to 18 ms */
  HWGW_AFXDP_BIND_PAUSE_MS = 2
};

struct xsk_ring {
  uint32_t *producer;
  uint32_t *consumer;
  uint32_t *flags;
  void *entries;
  void *map;
  size_t map_sz;
  uint32_t mask;
};

struct afxdp_queue {
  struct xsk_ring ring; /* filled by the kernel: received frames */
  struct xsk_ring fill; /* filled by us: free frames */
  uint32_t ring_at;     /* next entry to read */
  uint32_t fill_at;     /* what the kernel may take ends here */
  uint32_t held;        /* entries behind it: polled, not released */
  uint16_t id;
  bool busy_poll;
  uint8_t *umem;

  int fd;
  int spare_fd; /* a socket to replace it with, made at open: in the interface's namespace, with the privileges of then */
  uint32_t index; /* among the receiver's queues */
  bool has_zero_copy;
  bool is_proven;               /* a frame came, or there is nothing to prove */
  bool has_lost;                /* zero copy was given up: what the program had given it is lost */
  uint64_t t_doubt_ns;          /* since when it gets frames and delivers none, 0 = it does not */
  uint64_t umem_sz;             /* registered */
  uint64_t first;               /* where the receive frames begin in it */
  struct xdp_statistics before; /* of a socket that this one replaced */
  uint32_t none;                /* both ends and the flags of the rings when there is no socket; stays 0 */
} __attribute__((aligned(HWGW_CACHE_LINE)));

/* sending, through the socket of the first queue. A frame takes one buffer, or several when it is larger */
struct afxdp_tx {
  struct xsk_ring ring;       /* filled by us: buffers to send */
  struct xsk_ring completion; /* filled by the kernel: buffers sent */
  uint32_t ring_at;           /* next entry to fill */
  uint32_t seen_at;           /* entries that the kernel has taken end here, as far as they are counted */
  uint32_t completion_at;
  uint32_t refused; /* frames that the kernel took and threw away, not yet counted off */
  uint32_t free_cnt;
  uint32_t waiting;   /* frames taken, not completed */
  uint32_t frame_cnt; /* that may wait; 0 = does not send */
  uint32_t buffer_cnt;
  uint32_t len_max; /* of a frame */
  uint32_t *free;   /* indices of buffers; a stack */
  bool *is_last;    /* of the buffers of a frame */
};

struct rx_afxdp {
  struct hwgw_rx base;
  struct afxdp_queue *queues;
  uint32_t queue_cnt; /* that receive; 0 when it only sends */
  uint32_t turn;      /* the queue that is looked at first */
  uint64_t frame_mask;
  struct afxdp_tx tx;

  /* slots in which frames of several buffers are put together; 0 without has_parts */
  uint8_t *slots;
  uint32_t slot_sz;
  uint32_t slot_held;
  uint64_t gathered;
  uint64_t too_long;

  /* set up once */
  uint32_t frame_cnt; /* per queue */
  uint32_t frame_sz;
  size_t memory_sz; /* mapped */
  uint8_t *memory;
  uint32_t socket_cnt;
  bool is_all;
  bool has_parts;  /* frames may come in several buffers */
  bool has_stamps; /* a struct steer_stamp stands before each frame */
  bool is_hardware_seen;
  uint32_t hardware_misses; /* frames without a NIC's time, while none has come with one */
  uint64_t realtime_offset_ns;
  bool busy_poll_known;
  struct hwgw_interface interface;
  struct hwgw_xdp_user user;
  uint32_t join_cnt;
  int joins[HWGW_FLOWS_MAX];
};

/* the error of a call on the interface; a lack of privilege says how to get it */
int32_t hwgw_afxdp_failed(struct hwgw_error *error, const struct rx_afxdp *rx, const char *call, int cause);
/* maps the memory and gives every queue its part */
int32_t hwgw_afxdp_memory(struct rx_afxdp *rx, bool huge_pages, struct hwgw_error *error);
/* makes, fills and binds the socket of a queue; zero copy is tried first when may_zero_copy */
int32_t hwgw_afxdp_socket_open(struct rx_afxdp *rx, struct afxdp_queue *queue, bool may_zero_copy,
                               struct hwgw_error *error);
void hwgw_afxdp_socket_close(struct rx_afxdp *rx, struct afxdp_queue *queue);
void hwgw_afxdp_spare_close(struct afxdp_queue *queue);
/* zero copy that takes frames and delivers none becomes copy mode; to be called now and then */
void hwgw_afxdp_zero_copy_prove(struct rx_afxdp *rx);
/* the kernel's counters of a queue, those of a replaced socket included */
struct xdp_statistics hwgw_afxdp_statistics(const struct afxdp_queue *queue);
/* for the watch: struct hwgw_rx_ops in rx.h */
struct hwgw_rx_hold *hwgw_afxdp_hold(struct hwgw_rx *base);
void hwgw_afxdp_sight(struct hwgw_rx *base, int ifindex);
void hwgw_afxdp_busy_poll(struct rx_afxdp *rx, uint32_t us);
/* switches busy poll off when it does nothing here; to be called now and then */
void hwgw_afxdp_busy_poll_probe(struct rx_afxdp *rx);

/* rx_afxdp_poll.c: the data path, struct hwgw_rx_ops in rx.h; plain: of one queue, one buffer a frame, no time stamps,
 * which is what most receivers are */
uint32_t hwgw_afxdp_poll(struct hwgw_rx *base, struct hwgw_frame *frames, uint32_t max);
void hwgw_afxdp_release(struct hwgw_rx *base);
uint32_t hwgw_afxdp_poll_plain(struct hwgw_rx *base, struct hwgw_frame *frames, uint32_t max);
void hwgw_afxdp_release_plain(struct hwgw_rx *base);

/* rx_afxdp_time.c: decides which time stamps there are; brings clock and offset up to date */
void hwgw_afxdp_clock_open(struct rx_afxdp *rx);
void hwgw_afxdp_clock_renew(struct rx_afxdp *rx);

bool hwgw_afxdp_ring_map(struct xsk_ring *ring, int fd, const struct xdp_ring_offset *offset, uint32_t cnt,
                         size_t entry_sz, off_t page_offset);
void hwgw_afxdp_ring_unmap(struct xsk_ring *ring);

/* rx_afxdp_send.c: sizes and lists, before the memory is mapped; the rings of a new socket; the operations */
int32_t hwgw_afxdp_tx_init(struct rx_afxdp *rx, uint32_t frame_cnt, struct hwgw_error *error);
void hwgw_afxdp_tx_fini(struct rx_afxdp *rx);
bool hwgw_afxdp_tx_rings(struct rx_afxdp *rx, int fd);
bool hwgw_afxdp_tx_map(struct rx_afxdp *rx, int fd, const struct xdp_mmap_offsets *offsets);
uint32_t hwgw_afxdp_send(struct hwgw_rx *base, const struct hwgw_frame *frames, uint32_t cnt);
uint32_t hwgw_afxdp_unsent(struct hwgw_rx *base);
void hwgw_afxdp_tx_give_up(struct rx_afxdp *rx); /* counts what waits as dropped: the socket is about to be replaced */
void hwgw_afxdp_tx_count(struct rx_afxdp *rx);   /* brings the tx counters up to date */

#endif
