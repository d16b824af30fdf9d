/* dpdk_xstats.c: a port's extended statistics: those that name a cause of loss split the sum of errors, all can be listed.
 *
 * SPDX-License-Identifier: MIT
 *
 * The sum (ierrors) is what the ledger goes by; a driver's split of it only moves frames from one cause to another, and
 * never more than there are: what no statistic names, or what they name beyond the sum, stays drop_kernel or is left out.
 * They are asked for when the sum has moved, since a NIC may take its time to answer.
 *
 * Thread: set-up, and stats by the polling thread.
 */
#include <stdlib.h>

#include "dpdk.h"
#include "dpdk_cause.h"

enum { XSTATS_MAX = 4096 };

struct dpdk_xstats {
  uint32_t cnt;
  uint32_t named_cnt;
  uint64_t errors; /* the sum when it was split last */
  uint64_t split[DPDK_CAUSE_CNT];
  struct rte_eth_xstat_name *names;
  uint64_t *ids;   /* of those that name a cause */
  uint64_t *first; /* their values at open */
  uint64_t *now;
  uint8_t *cause;
};

static bool room_take(struct dpdk_xstats *xstats, uint32_t cnt) {
  xstats->names = calloc(cnt, sizeof *xstats->names);
  xstats->ids = calloc(cnt, sizeof *xstats->ids);
  xstats->first = calloc(cnt, sizeof *xstats->first);
  xstats->now = calloc(cnt, sizeof *xstats->now);
  xstats->cause = calloc(cnt, sizeof *xstats->cause);
  return xstats->names && xstats->ids && xstats->first && xstats->now && xstats->cause;
}

void dpdk_xstats_close(struct rx_dpdk *rx) {
  struct dpdk_xstats *xstats = rx->xstats;
  if (!xstats) return;
  free(xstats->names);
  free(xstats->ids);
  free(xstats->first);
  free(xstats->now);
  free(xstats->cause);
  free(xstats);
  rx->xstats = NULL;
}

void dpdk_xstats_open(struct rx_dpdk *rx) {
  int cnt = rte_eth_xstats_get_names(rx->port, NULL, 0);
  if (cnt <= 0 || cnt > XSTATS_MAX) return;
  struct dpdk_xstats *xstats = rx->xstats = calloc(1, sizeof *xstats);
  if (!xstats || !room_take(xstats, (uint32_t)cnt) ||
      rte_eth_xstats_get_names(rx->port, xstats->names, (uint32_t)cnt) != cnt) {
    dpdk_xstats_close(rx);
    return;
  }
  xstats->cnt = (uint32_t)cnt;
  for (uint32_t i = 0; i < xstats->cnt; i++) {
    enum dpdk_cause cause = dpdk_cause_of(xstats->names[i].name);
    if (cause == DPDK_CAUSE_NONE || strcmp(xstats->names[i].name, "rx_errors") == 0) continue;
    xstats->cause[xstats->named_cnt] = (uint8_t)cause;
    xstats->ids[xstats->named_cnt++] = i;
  }
  rte_eth_xstats_get_by_id(rx->port, xstats->ids, xstats->first, xstats->named_cnt);
}

static void split(const struct rx_dpdk *rx, struct dpdk_xstats *xstats, uint64_t errors) {
  uint64_t named[DPDK_CAUSE_CNT] = {0}, left = errors;
  xstats->errors = errors;
  int got = xstats->named_cnt ? rte_eth_xstats_get_by_id(rx->port, xstats->ids, xstats->now, xstats->named_cnt) : 0;
  if (got != (int)xstats->named_cnt) return;
  for (uint32_t i = 0; i < xstats->named_cnt; i++) named[xstats->cause[i]] += xstats->now[i] - xstats->first[i];
  for (uint32_t cause = DPDK_CAUSE_LONG; cause < DPDK_CAUSE_CNT; cause++) {
    uint64_t cnt = named[cause] < left ? named[cause] : left;
    if (cnt > xstats->split[cause]) xstats->split[cause] = cnt; /* counters never fall */
    left -= cnt;
  }
}

void dpdk_xstats_read(const struct rx_dpdk *rx, uint64_t errors, uint64_t *counters) {
  struct dpdk_xstats *xstats = rx->xstats;
  counters[HWGW_CNT_RX_DROP_KERNEL] = errors;
  if (!xstats) return;
  if (errors != xstats->errors) split(rx, xstats, errors);
  uint64_t is_long = xstats->split[DPDK_CAUSE_LONG], damaged = xstats->split[DPDK_CAUSE_DAMAGED];
  counters[HWGW_CNT_RX_DROP_TRUNCATED] += is_long;
  counters[HWGW_CNT_RX_DROP_NIC] += damaged;
  counters[HWGW_CNT_RX_DROP_KERNEL] -= is_long + damaged < errors ? is_long + damaged : errors;
}

bool dpdk_xstats_at(struct hwgw_rx *base, uint32_t i, char *name, uint32_t sz, uint64_t *value) {
  const struct rx_dpdk *rx = (const struct rx_dpdk *)base;
  uint64_t id = i;
  if (!rx->xstats || i >= rx->xstats->cnt) return false;
  snprintf(name, sz, "%s", rx->xstats->names[i].name);
  return rte_eth_xstats_get_by_id(rx->port, &id, value, 1) == 1;
}
