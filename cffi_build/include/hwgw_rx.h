/* hwgw_rx.h: frames from a wire or a file, and to a wire; part of hwgw.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_PUBLIC_RX_H
#define HWGW_PUBLIC_RX_H

#include "hwgw_base.h"

/* hwgw cdef begin */

/* ---- rx: one interface for every receive backend; several can also send ---- */

#define HWGW_FLOW_NONE 0xFFFF
#define HWGW_FLOW_EVENT 0xFFFE
#define HWGW_FLOWS_MAX 64
#define HWGW_BATCH_MAX 256
#define HWGW_QUEUES_MAX 256

/* one multicast group and port that carries one line of one feed channel */
struct hwgw_flow {
  uint32_t group; /* IPv4 destination address in host order */
  uint16_t port;
  uint16_t channel; /* index of the feed channel */
  uint16_t line;    /* 0 A, 1 B */
  uint16_t reserved;
};

/* a received frame; data is valid until hwgw_rx_release */
struct hwgw_frame {
  const uint8_t *data; /* Ethernet frame; a struct hwgw_event when flow is HWGW_FLOW_EVENT; else UDP payload */
  uint32_t len;        /* bytes */
  uint16_t flow;       /* index of the flow when the backend knows it (udp), else HWGW_FLOW_NONE */
  uint16_t queue;      /* receive queue it came in on, or interface of a capture; 0 = none */
  uint64_t t_rx;       /* ticks when the descriptor was seen */
  uint64_t ts_ns;      /* CLOCK_REALTIME (a NIC's own clock for hardware), of the kind hwgw_rx_clock says; 0 = none */
};

/* where ts_ns comes from */
enum hwgw_rx_clock {
  HWGW_RX_CLOCK_NONE = 0,
  HWGW_RX_CLOCK_CAPTURE = 1, /* the file's own time */
  HWGW_RX_CLOCK_KERNEL = 2,  /* software: the kernel, on the way to us */
  HWGW_RX_CLOCK_HARDWARE = 3 /* the NIC, at the wire */
};

/* rx_watch.c keeps a copy of it, with what its pointers point to */
struct hwgw_rx_kept; /* hwgw_batch.h */

struct hwgw_rx_cfg {
  const char *backend; /* "afxdp", "packet", "udp", "pcap", "dpdk", "card" */
  const char
      *interface; /* afxdp, packet: device; udp: device whose address joins the groups, NULL or "" = by local_address */
  uint32_t local_address; /* udp: IPv4 address to join on, host order, 0 = any */
  const char *path;       /* pcap: file name; card: library of the simulated card (hwgw_card.h) */
  const char *mode;       /* afxdp: "auto", "native" or "generic" */
  const char *
      port; /* dpdk: PCI address, or a virtual device and its arguments ("net_tap0,iface=tap0"); NULL or "" = net_af_packet on interface */
  const char *const *eal_args; /* dpdk: for the environment of the process, behind those of hwgw; copied */
  uint32_t eal_arg_cnt;
  int32_t cpu;            /* dpdk: the core of the polling thread; the library's own threads stay off it. -1 = any */
  const uint32_t *queues; /* afxdp, dpdk: receive queues, copied; NULL = queue 0 */
  uint32_t queue_cnt;
  uint32_t frame_cnt;      /* afxdp: UMEM frames per queue, a power of two; udp: receive slots. 0 = default */
  uint32_t frame_sz_bytes; /* 0 = default (2,048) */
  uint32_t tx_frame_cnt;   /* frames that may wait to be sent, a power of two; 0 = hwgw_rx_send takes nothing */
  uint32_t busy_poll_us;   /* 0 = off */
  uint32_t flow_cnt;
  const struct hwgw_flow *flows; /* flow_cnt of them, copied */
  bool all_frames;               /* every frame of the queues, not only those of the flows: for captures */
  bool tx_only;                  /* nothing is received, joined or attached; needs tx_frame_cnt */
  bool huge_pages;               /* afxdp: UMEM on huge pages; falls back, and says so in describe */
  bool capture_time;             /* pcap: pace by the capture's own time instead of at once */
  bool loopback;                 /* udp: also accept this host's own multicast */
  struct hwgw_rx_kept *kept;     /* NULL, or what takes the memory of frames when it would be unmapped */
  bool timestamps; /* the best ts_ns there is: the NIC's, else the kernel's; costs a time stamp per frame */
};

struct hwgw_rx;

int32_t hwgw_rx_open(struct hwgw_rx **rx, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error);
/* up to max (<= HWGW_BATCH_MAX) frames into frames; 0 when nothing waits; never blocks */
uint32_t hwgw_rx_poll(struct hwgw_rx *rx, struct hwgw_frame *frames, uint32_t max);
/* gives back every frame polled since the last release. */
void hwgw_rx_release(struct hwgw_rx *rx);
/* sends the first frames of cnt (<= HWGW_BATCH_MAX): data and len, whole Ethernet frames, are copied. Returns how many
 * were taken: less than cnt when as many as may wait are waiting. One that can never be sent is taken and counted as
 * tx_drop_*. Never blocks; same thread as poll */
uint32_t hwgw_rx_send(struct hwgw_rx *rx, const struct hwgw_frame *frames, uint32_t cnt);
/* frames taken that have not left yet; asks the driver to go on */
uint32_t hwgw_rx_unsent(struct hwgw_rx *rx);
/* brings the rx_* and tx_* counters (block of HWGW_COUNTER_CNT) up to date: frames, bytes and drops by cause since open.
 * Also looks what became of the interface, and opens the backend anew when that helps: call it each millisecond or so */
void hwgw_rx_stats(struct hwgw_rx *rx, uint64_t *counters);
/* enum hwgw_segment_receive_state, as of the last stats */
uint32_t hwgw_rx_state(const struct hwgw_rx *rx);
/* why the state is not up; "" when it is. Valid until the next stats */
const char *hwgw_rx_reason(const struct hwgw_rx *rx);
/* enum hwgw_rx_clock */
uint32_t hwgw_rx_clock(const struct hwgw_rx *rx);
/* the one memory in which the data of every frame lies that poll gives, so that a view of all of it can be made once;
 * sz_bytes: its size. NULL when the backend has none. Valid until close, and until the path is
 * opened anew (counter rx_reopens); not in a forked child. Write nothing there */
const uint8_t *hwgw_rx_memory(const struct hwgw_rx *rx, uint64_t *sz_bytes);
/* true when no frame can come any more (end of a file) */
bool hwgw_rx_ended(const struct hwgw_rx *rx);
/* the i-th of the driver's own counters (DPDK: xstats), under the driver's name, since whenever it counts; false behind the
 * last one, and where the backend has none. May take the NIC's time: not while frames come */
bool hwgw_rx_driver_counter(struct hwgw_rx *rx, uint32_t i, char *name, uint32_t sz, uint64_t *value);
/* backend, mode, what could not be had and why, what is wrong now; one line, valid until the next call */
const char *hwgw_rx_describe(struct hwgw_rx *rx);
void hwgw_rx_close(struct hwgw_rx *rx); /* NULL is allowed */
/* is the backend built in and can it run here; fills text of at most sz bytes with the reason when not */
bool hwgw_rx_available(const char *backend, char *text, uint32_t sz);

/* hwgw cdef end */

#endif
