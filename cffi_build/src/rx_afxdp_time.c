/* rx_afxdp_time.c: time stamps of received frames: the NIC's where it gives them, else the steering program's.
 *
 * SPDX-License-Identifier: MIT
 *
 * The program writes a struct steer_stamp in front of each frame. The NIC's time comes through the kernel function
 * bpf_xdp_metadata_rx_timestamp, which only a program bound to the device may call; it is asked for when the interface
 * stamps all frames already (SIOCGHWTSTAMP), because a driver that has the function and stamps nothing answers, too. When
 * the first frames come without a NIC's time all the same, the clock becomes the kernel's, and describe says so.
 *
 * The program's time is CLOCK_MONOTONIC when it ran; the distance to CLOCK_REALTIME is measured anew at every stats, so
 * that a step of the clock reaches the stamps. Cost: with timestamps 50 to 100 ns a frame in the kernel, a cache line that
 * poll would touch anyway, and nothing without.
 */
#ifndef HWGW_NO_XDP

#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "hwgw_fault.h"
#include "rx_afxdp.h"

#define NS_PER_S 1000000000ull

/* frames without a NIC's time, from the first one on, after which none is expected */
enum { MISSES_MAX = 64 };

static uint64_t clock_ns(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* why the NIC's time cannot be had, NULL = it can, as far as the interface says */
static const char *hardware_lacks(const struct rx_afxdp *rx) {
  if (hwgw_fault_get() & HWGW_FAULT_HARDWARE_TIME) return NULL;
  struct hwtstamp_config state = {0};
  struct ifreq request = {.ifr_data = (void *)&state};
  memcpy(request.ifr_name, rx->interface.name, sizeof rx->interface.name);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int result = fd >= 0 ? ioctl(fd, SIOCGHWTSTAMP, &request) : -1;
  if (fd >= 0) close(fd);
  if (result) return "the driver has none";
  if (state.rx_filter == HWTSTAMP_FILTER_NONE) return "they are off: hwstamp_ctl -i IF -r 1";
  return state.rx_filter == HWTSTAMP_FILTER_ALL ? NULL : "the NIC stamps some frames only: hwstamp_ctl -i IF -r 1";
}

void hwgw_afxdp_clock_open(struct rx_afxdp *rx) {
  rx->has_stamps = true;
  rx->base.clock = HWGW_RX_CLOCK_KERNEL;
  const char *lack = hardware_lacks(rx);
  struct hwgw_error error = {0};
  if (!lack && !hwgw_xdp_of(&rx->user)->is_native) lack = "generic mode has none";
  if (!lack && hwgw_xdp_require(&rx->user, &rx->interface, HWGW_XDP_HARDWARE_TIME, &error)) lack = error.text;
  if (lack) {
    hwgw_rx_note(&rx->base, "; time stamps: the kernel's (no hardware time stamps: %.120s)", lack);
  } else {
    rx->base.clock = HWGW_RX_CLOCK_HARDWARE;
    hwgw_rx_note(&rx->base, "; time stamps: the NIC's");
  }
  hwgw_afxdp_clock_renew(rx);
}

void hwgw_afxdp_clock_renew(struct rx_afxdp *rx) {
  uint64_t before = clock_ns(CLOCK_MONOTONIC), now = clock_ns(CLOCK_REALTIME), after = clock_ns(CLOCK_MONOTONIC);
  rx->realtime_offset_ns = now - (before + (after - before) / 2);
  if (rx->base.clock == HWGW_RX_CLOCK_HARDWARE && rx->hardware_misses >= MISSES_MAX) {
    rx->base.clock = HWGW_RX_CLOCK_KERNEL;
    hwgw_rx_note(&rx->base, "; the NIC stamped none of the first %d frames: the kernel's time stamps instead",
                 MISSES_MAX);
  }
}

#endif
