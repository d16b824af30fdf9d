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
  HWGW_AFXDP_BIND_TRIES = 100,       /* a queue that was just closed is busy for up to 18 ms */
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
  bool has_zero_copy;
  uint64_t umem_sz;             /* registered */
  struct xdp_statistics before; /* of a socket that this one replaced */
} __attribute__((aligned(HWGW_CACHE_LINE)));

struct rx_afxdp {
  struct hwgw_rx base;
  struct afxdp_queue *queues;
  uint32_t queue_cnt;
  uint32_t turn; /* the queue that is looked at first */
  uint64_t frame_mask;

  /* set up once */
  uint32_t frame_cnt; /* per queue */
  uint32_t frame_sz;
  size_t memory_sz; /* mapped */
  uint8_t *memory;
  bool is_all;
  bool busy_poll_known;
  uint32_t mtu;
  struct hwgw_interface interface;
  struct hwgw_xdp_user user;
  uint64_t gone_nic, gone_other_queue, gone_fragment;
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
void hwgw_afxdp_socket_close(struct afxdp_queue *queue);
/* the kernel's counters of a queue, those of a replaced socket included */
struct xdp_statistics hwgw_afxdp_statistics(const struct afxdp_queue *queue);
void hwgw_afxdp_busy_poll(struct rx_afxdp *rx, uint32_t us);
/* switches busy poll off when it does nothing here; to be called now and then */
void hwgw_afxdp_busy_poll_probe(struct rx_afxdp *rx);

#endif
