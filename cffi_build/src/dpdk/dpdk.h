/* dpdk.h: the parts of the dpdk backend: EAL (once per process), port (set-up and end), rx_dpdk (the data path).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_DPDK_H
#define HWGW_DPDK_H

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "../rx_plugin.h"

enum {
  DPDK_BURST_MIN = 32,     /* vector receive functions give nothing to those who ask for a few */
  DPDK_GATHER_SLOTS = 256, /* frames of several buffers that may be held at a time */
  DPDK_SOCKETS_MAX = 64,   /* of the driver's own */
  DPDK_SAID_SZ = 200
};

struct rx_dpdk {
  struct hwgw_rx base;
  uint16_t port;
  uint16_t queue_cnt;
  uint16_t queue_at;    /* to be polled next */
  uint16_t ready_queue; /* where the frames behind held come from */
  uint32_t held_cnt;    /* handed out */
  uint32_t ready_cnt;   /* received, not handed out yet: they stand behind the held ones */
  uint32_t held_max;
  bool drop_bad_sum; /* the port checks UDP checksums */
  bool is_registered;
  struct rte_mbuf **held; /* held_max + HWGW_BATCH_MAX */
  uintptr_t ts_offset;    /* of the time stamp in the mbuf */
  uint64_t ts_flag;       /* 0: there are none */
  uint64_t ts_mul;        /* ns = stamp * ts_mul >> ts_shift */
  uint32_t ts_shift;
  uint32_t gather_cnt; /* slots in use */
  uint32_t gather_sz;  /* bytes of one */
  uint8_t *gather;
  uint64_t gathered;
  uint64_t bad_sums;
  uint64_t no_slots; /* frames of several buffers that found no slot */

  struct rte_mempool *tx_pool; /* NULL: cannot send */
  uint32_t tx_len_max;
  uint16_t tx_ring_sz;
  bool tx_only;

  struct rte_mempool *rx_pool;
  bool is_plugged;
  bool is_af_xdp;
  bool is_stuck;  /* must not be closed */
  bool is_shared; /* buffers go to other ports */
  bool is_ours;   /* plugged in by us, so to be unplugged */
  bool is_started;
  bool is_promiscuous;
  bool has_rules;
  bool is_gone; /* the removal event came; atomic */
  struct rte_eth_stats first;
  struct dpdk_xstats *xstats; /* NULL: the driver has none */
  uint32_t socket_cnt;
  int sockets[DPDK_SOCKETS_MAX];         /* the driver's own (AF_PACKET or AF_XDP), whose drops it does not tell */
  uint64_t socket_ids[DPDK_SOCKETS_MAX]; /* their inodes: descriptors are given again */
  int socket_kind;                       /* AF_PACKET, AF_XDP or 0 */
  uint64_t packet_drops;                 /* read and reset */
  bool is_tap;
  bool has_tap; /* tap_fd is open */
  int tap_fd;   /* net/dev */
  char tap[16]; /* IFNAMSIZ */
  uint64_t tap_drops;
  uint32_t join_cnt;
  int joins[HWGW_FLOWS_MAX];
};

extern const struct hwgw_rx_host *dpdk_host;

/* ---- dpdk_eal.c ---- */

/* the first error, else the first warning, that DPDK and its drivers wrote since dpdk_hear_anew */
struct dpdk_said {
  char text[DPDK_SAID_SZ + 4];
};

/* starts EAL with cfg's arguments, or sees that it runs with them. need_mb: packet memory of this port */
int32_t dpdk_eal_start(const struct hwgw_rx_cfg *cfg, bool is_pci, uint32_t need_mb, struct hwgw_error *error);
/* what was started, for describe: "no huge pages" and the like */
const char *dpdk_eal_memory(void);
/* from here to dpdk_listen_end what the libraries write is kept instead of shown. Not nested */
void dpdk_listen(void);
void dpdk_listen_end(void);
void dpdk_hear_anew(void);        /* before a call whose failure is to be told */
struct dpdk_said dpdk_said(void); /* "; EAL: ..." or nothing */

/* ---- dpdk_port.c ---- */

int32_t dpdk_port_open(struct rx_dpdk *rx, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error);
void dpdk_port_close(struct rx_dpdk *rx);

/* ---- dpdk_feed.c: what brings the flows to the port: groups, rules, RSS ---- */

int32_t dpdk_feed_join(struct rx_dpdk *rx, const struct hwgw_rx_cfg *cfg, uint32_t if_index, struct hwgw_error *error);
void dpdk_feed_steer(struct rx_dpdk *rx, const struct hwgw_rx_cfg *cfg);

/* ---- dpdk_xstats.c: the driver's extended statistics ---- */

void dpdk_xstats_open(struct rx_dpdk *rx);
void dpdk_xstats_close(struct rx_dpdk *rx);
/* errors: the driver's sum since open, by cause */
void dpdk_xstats_read(const struct rx_dpdk *rx, uint64_t errors, uint64_t *counters);
bool dpdk_xstats_at(struct hwgw_rx *base, uint32_t i, char *name, uint32_t sz, uint64_t *value);

/* ---- dpdk_loss.c: what the driver lost and does not tell ---- */

/* descriptors open now; those that are there later and not now are the driver's */
void dpdk_loss_before(void);
void dpdk_loss_find(struct rx_dpdk *rx, uint32_t if_index);
/* closes those that the driver forgot to: net_af_xdp does, and its queue would be busy for ever */
void dpdk_loss_end(struct rx_dpdk *rx);
void dpdk_loss_read(struct rx_dpdk *rx, uint64_t *counters);

#endif
