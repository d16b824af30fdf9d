/* xdp_load.h: the steering program and its maps on one interface.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_XDP_LOAD_H
#define HWGW_XDP_LOAD_H

#include "../xdp/steer.h"
#include "base.h"
#include "xdp_interface.h"

/* what the program must be able to do beyond steering; more cost or fewer drivers */
enum { HWGW_XDP_FRAGS = 1, HWGW_XDP_HARDWARE_TIME = 2 };

/* descriptors, -1 when there is none */
struct hwgw_xdp {
  int flows_fd;
  int sockets_fd;
  int queues_fd;
  int program_fd;
  int link_fd;
  struct steer_queue *queues; /* the map queues, mapped: STEER_QUEUES_MAX of them; NULL when there is none */
  uint32_t program_id;        /* the kernel's number of the loaded program, 0 = unknown */
  uint32_t features;
  bool is_native;
  char fallback[64]; /* why it is not native; empty when generic was asked for */
};

/* makes the maps, empty */
int32_t hwgw_xdp_open(struct hwgw_xdp *xdp, struct hwgw_error *error);
/* loads the program and attaches it by bpf_link: the kernel takes it off when the descriptor goes, however the process
 * ends. Also anew, after somebody has taken it off; the maps stay. mode: "auto" tries native, then generic */
int32_t hwgw_xdp_attach(struct hwgw_xdp *xdp, const struct hwgw_interface *interface, const char *mode,
                        uint32_t features, struct hwgw_error *error);
/* puts a program with these features in the place of the attached one; no frame is missed. An error leaves the old one */
int32_t hwgw_xdp_replace(struct hwgw_xdp *xdp, const struct hwgw_interface *interface, uint32_t features,
                         struct hwgw_error *error);
void hwgw_xdp_close(struct hwgw_xdp *xdp);

/* entries of the maps; 0 or errno */
int hwgw_xdp_flow_set(const struct hwgw_xdp *xdp, const struct steer_flow *flow, const struct steer_takers *takers);
int hwgw_xdp_flow_remove(const struct hwgw_xdp *xdp, const struct steer_flow *flow);
int hwgw_xdp_socket_set(const struct hwgw_xdp *xdp, uint32_t queue, int socket_fd);
int hwgw_xdp_socket_remove(const struct hwgw_xdp *xdp, uint32_t queue);

/* can this process make the maps the program needs; 0 or errno */
int hwgw_xdp_probe(void);

#endif
