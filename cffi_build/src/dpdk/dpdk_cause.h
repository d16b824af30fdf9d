/* dpdk_cause.h: which cause of loss an extended statistic of a DPDK driver names.
 *
 * SPDX-License-Identifier: MIT
 *
 * Drivers count frames in error in one sum (ierrors) and split it under names of their own, for example rx_crc_errors,
 * rx_oversize_errors (ixgbe, i40e, ice), rx_crc_errors_phy (mlx5).
 */
#ifndef HWGW_DPDK_CAUSE_H
#define HWGW_DPDK_CAUSE_H

#include <stdbool.h>
#include <string.h>

enum dpdk_cause {
  DPDK_CAUSE_NONE,    /* no error, or one that says no more than the sum does */
  DPDK_CAUSE_LONG,    /* longer than the port takes */
  DPDK_CAUSE_DAMAGED, /* on the wire: checksum of the frame, symbols, runts and pieces */
  DPDK_CAUSE_CNT
};

static inline bool dpdk_has_word(const char *name, const char *const *words) {
  for (; *words; words++)
    if (strstr(name, *words)) return true;
  return false;
}

static inline enum dpdk_cause dpdk_cause_of(const char *name) {
  static const char *const ERROR[] = {"error", "err_", "_phy", "oversize", "jabber", "undersize", "fragment", NULL};
  static const char *const LONG[] = {"oversize", "jabber", "too_long", NULL};
  static const char *const DAMAGED[] = {"crc",      "fcs",    "align",        "symbol",    "undersize",
                                        "fragment", "length", "illegal_byte", "range_len", NULL};
  if (strncmp(name, "rx_", 3) != 0 && strncmp(name, "mac_rx_", 7) != 0) return DPDK_CAUSE_NONE;
  if (!dpdk_has_word(name, ERROR)) return DPDK_CAUSE_NONE;
  if (dpdk_has_word(name, LONG)) return DPDK_CAUSE_LONG;
  return dpdk_has_word(name, DAMAGED) ? DPDK_CAUSE_DAMAGED : DPDK_CAUSE_NONE;
}

#endif
