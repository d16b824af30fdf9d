/* rx_plugin.h: what a receive backend in a shared object of its own and rx_plugin.c agree on.
 *
 * SPDX-License-Identifier: MIT
 *
 * The shared object stands beside the native module and exports one struct hwgw_rx_plugin named hwgw_rx_plugin. It uses
 * nothing of the native module but what attach gives it, so it can be loaded wherever its own libraries are. The ABI
 * word holds the sizes of everything that crosses the border: both sides must come from one build.
 */
#ifndef HWGW_RX_PLUGIN_H
#define HWGW_RX_PLUGIN_H

#include "rx.h"

#define HWGW_RX_PLUGIN_ABI                                                                                   \
  ((uint64_t)1 << 56 | (uint64_t)sizeof(struct hwgw_rx) << 42 | (uint64_t)sizeof(struct hwgw_rx_cfg) << 30 | \
   (uint64_t)sizeof(struct hwgw_rx_ops) << 20 | (uint64_t)sizeof(struct hwgw_frame) << 12 | HWGW_COUNTER_CNT)

/* functions of rx.h for the plugin */
struct hwgw_rx_host {
  __attribute__((format(printf, 2, 3))) void (*note)(struct hwgw_rx *rx, const char *format, ...);
  int32_t (*join)(int fd, const struct hwgw_flow *flow, int ifindex, uint32_t local_address, const char *interface,
                  struct hwgw_error *error);
};

struct hwgw_rx_plugin {
  uint64_t abi; /* first and for ever */
  const struct hwgw_rx_ops *ops;
  void (*attach)(const struct hwgw_rx_host *host); /* before any of ops */
};

#endif
