/* xdp_interface.h: what the kernel says about an interface, who holds it, and what it lost itself.
 *
 * SPDX-License-Identifier: MIT
 *
 * Set-up and housekeeping only; the interface is looked up in the network namespace of the calling thread.
 */
#ifndef HWGW_XDP_INTERFACE_H
#define HWGW_XDP_INTERFACE_H

#include "base.h"

/* RTM_GETLINK */
struct hwgw_interface {
  int index;
  uint32_t mtu;
  bool is_up;
  char name[16];
  char kind[16];       /* "veth", "tun" ...; empty for hardware */
  uint8_t address[6];  /* MAC */
  uint32_t program_id; /* attached XDP program, 0 = none */
};

int32_t hwgw_interface_read(struct hwgw_interface *out, const char *name, struct hwgw_error *error);
/* the error of an attachment that found another program there: its name, and how to get rid of it */
int32_t hwgw_interface_held(const struct hwgw_interface *interface, int cause, struct hwgw_error *error);

/* the interface's own drop counter */
struct hwgw_xdp_nic {
  int fd; /* -1 = cannot be read here */
  bool is_veth;
  int index;
  int socket_fd;      /* to ask for its name; -1 = none */
  char interface[16]; /* its name; another one once it was renamed */
  uint64_t last;
};

void hwgw_xdp_nic_open(struct hwgw_xdp_nic *nic, const struct hwgw_interface *interface);
/* drops since the interface exists; the value of before when it cannot be read */
uint64_t hwgw_xdp_nic_read(struct hwgw_xdp_nic *nic);
void hwgw_xdp_nic_close(struct hwgw_xdp_nic *nic);

/* how the interface holds interrupts back, which busy poll lives on; false when sysfs shows another namespace's */
struct hwgw_deferral {
  uint64_t hard_irqs;  /* polls without work after which interrupts come back (napi_defer_hard_irqs) */
  uint64_t timeout_ns; /* after which an unpolled queue is looked at (gro_flush_timeout) */
};
bool hwgw_deferral_read(struct hwgw_deferral *deferral, const struct hwgw_interface *interface);

#endif
