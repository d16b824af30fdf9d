/* xdp_load.h: the steering program's life on an interface, and what rx_afxdp asks the kernel about that interface.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_XDP_LOAD_H
#define HWGW_XDP_LOAD_H

#include "base.h"

/* descriptors, -1 when there is none */
struct hwgw_xdp {
  int flows_fd;
  int sockets_fd;
  int counts_fd;
  int program_fd;
  int link_fd;
  bool is_native;
  char fallback[64]; /* why it is not native; empty when generic was asked for */
};

/* what the kernel says about an interface (RTM_GETLINK) */
struct hwgw_interface {
  int index;
  uint32_t mtu;
  bool is_up;
  char kind[16];       /* "veth", "tun" ...; empty for hardware */
  uint8_t address[6];  /* MAC */
  uint32_t program_id; /* attached XDP program, 0 = none */
};

/* makes the maps, fills in the flows of the queue and loads the program; nothing is attached yet */
int32_t hwgw_xdp_load(struct hwgw_xdp *xdp, const struct hwgw_flow *flows, uint32_t flow_cnt, uint32_t queue,
                      struct hwgw_error *error);
/* attaches by bpf_link: the kernel takes the program off when the descriptor goes, however the process ends.
 * mode: "auto" tries native, then generic */
int32_t hwgw_xdp_attach(struct hwgw_xdp *xdp, const char *interface, int ifindex, const char *mode,
                        struct hwgw_error *error);
/* frames flow from here on */
int32_t hwgw_xdp_start(struct hwgw_xdp *xdp, uint32_t queue, int socket_fd, struct hwgw_error *error);
/* frames of the flows that the program had to leave to the kernel (another queue, fragments) since load */
uint64_t hwgw_xdp_passed(const struct hwgw_xdp *xdp);
uint32_t hwgw_xdp_program_id(const struct hwgw_xdp *xdp); /* the kernel's number of the loaded program, 0 = unknown */
void hwgw_xdp_close(struct hwgw_xdp *xdp);
/* can this process make the maps the program needs; 0 or errno */
int hwgw_xdp_probe(void);

int32_t hwgw_interface_read(struct hwgw_interface *out, const char *name, struct hwgw_error *error);

#endif
