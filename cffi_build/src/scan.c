/* scan.c: the messages of captures, in batches; decode and benchmarks read files through it and scan_records.c.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: a capture file through the pcap backend, net and mold. Output: whole messages with number, place and channel;
 * nothing is judged here but the framing. Memory is bounded by what the caller gives. A flow of a capture is put to a
 * channel by its first sound packet: the same session means another line of the same stream. Until then its packets
 * count under the cause that makes them unsound (or foreign, when flows are being looked for). Thread: one.
 */
#include "hwgw_scan.h"

#include <errno.h>
#include <stdlib.h>

#include "base.h"

#define CHANNEL_NONE 0xFFFF

struct hwgw_scan {
  struct hwgw_rx *rx;
  struct hwgw_flow flow[HWGW_FLOWS_MAX];
  uint32_t flow_cnt;
  bool takes_any;
  struct hwgw_mold channel[HWGW_FLOWS_MAX];
  uint32_t channel_cnt;
  struct hwgw_frame frame[HWGW_BATCH_MAX];
  uint32_t frame_cnt;
  uint32_t frame_idx;
  struct hwgw_mold_iter iter;
  uint32_t iter_channel;
  uint64_t counters[HWGW_COUNTER_CNT];
};

int32_t hwgw_scan_open(struct hwgw_scan **out, const char *path, const struct hwgw_flow *flows, uint32_t flow_cnt,
                       struct hwgw_error *error) {
  *out = NULL;
  struct hwgw_scan *scan = calloc(1, sizeof *scan);
  if (!scan) return hwgw_error_set(error, HWGW_ERR_DEVICE, errno, "scan: no memory: %s", strerror(errno));
  struct hwgw_rx_cfg cfg = {.backend = "pcap", .path = path, .flows = flows, .flow_cnt = flow_cnt};
  int32_t status = hwgw_rx_open(&scan->rx, &cfg, error);
  if (status) {
    free(scan);
    return status;
  }
  scan->takes_any = flow_cnt == 0;
  scan->flow_cnt = flow_cnt;
  for (uint32_t i = 0; i < flow_cnt; i++) {
    scan->flow[i] = flows[i];
    scan->flow[i].channel = CHANNEL_NONE;
  }
  *out = scan;
  return HWGW_OK;
}

void hwgw_scan_close(struct hwgw_scan *scan) {
  if (!scan) return;
  hwgw_rx_close(scan->rx);
  free(scan);
}

/* group, port and payload of a frame that net has found to be UDP over IPv4 and complete */
static struct hwgw_flow flow_of(const uint8_t *frame) {
  const uint8_t *ip = frame + ETHERNET_ETHERNET_HEADER_LEN;
  while (hwgw_be16(ip - 2) != ETHERNET_ETHERTYPE_IPV4) ip += ETHERNET_VLAN_TAG_LEN;
  const uint8_t *udp = ip + (ethernet_ipv4_header_version_ihl(ip) & 15) * 4;
  return (struct hwgw_flow){.group = ethernet_ipv4_header_destination(ip),
                            .port = ethernet_udp_header_destination_port(udp),
                            .channel = CHANNEL_NONE};
}

/* puts a flow to the channel of its session, or to a new one; false when that channel has all its lines */
static bool channel_assign(struct hwgw_scan *scan, struct hwgw_flow *flow, const uint8_t *session) {
  for (uint32_t i = 0; i < scan->channel_cnt; i++) {
    struct hwgw_mold *mold = &scan->channel[i];
    if (memcmp(mold->session, session, sizeof mold->session) != 0) continue;
    if (mold->line_cnt == HWGW_LINES_MAX) return false;
    flow->channel = (uint16_t)i;
    flow->line = mold->line_cnt++;
    return true;
  }
  flow->channel = (uint16_t)scan->channel_cnt++;
  flow->line = 0;
  hwgw_mold_init(&scan->channel[flow->channel], flow->channel, 1);
  return true;
}

/* 0 when this first packet of the flow is sound and the flow has its channel, else the cause */
static uint32_t flow_join(struct hwgw_scan *scan, struct hwgw_flow *flow, const struct hwgw_datagram *datagram) {
  struct hwgw_mold probe;
  struct hwgw_mold_iter iter;
  uint64_t unused[HWGW_COUNTER_CNT] = {0};
  hwgw_mold_init(&probe, 0, 1);
  uint32_t cause = hwgw_mold_packet(&probe, 0, datagram->data, datagram->len, 0, unused, &iter);
  if (cause != HWGW_CNT_MOLD_FRAMES) return cause;
  return channel_assign(scan, flow, probe.session) ? 0 : HWGW_CNT_MOLD_DROP_SESSION;
}

/* the index of a flow that is not known yet, when it is to be taken and there is room, else HWGW_FLOWS_MAX */
static uint32_t flow_discover(struct hwgw_scan *scan, const uint8_t *frame, uint32_t len,
                              struct hwgw_datagram *datagram) {
  if (!scan->takes_any || scan->flow_cnt == HWGW_FLOWS_MAX) return HWGW_FLOWS_MAX;
  struct hwgw_flow *flow = &scan->flow[scan->flow_cnt];
  *flow = flow_of(frame);
  if (hwgw_net_parse(flow, 1, frame, len, datagram) || flow_join(scan, flow, datagram)) return HWGW_FLOWS_MAX;
  return scan->flow_cnt++;
}

/* one frame: leaves its new messages in iter and returns the counter that names it */
static uint32_t frame_take(struct hwgw_scan *scan, const struct hwgw_frame *frame) {
  struct hwgw_datagram datagram;
  uint32_t cause = hwgw_net_parse(scan->flow, scan->flow_cnt, frame->data, frame->len, &datagram);
  if (cause == HWGW_CNT_NET_DROP_FOREIGN) {
    uint32_t found = flow_discover(scan, frame->data, frame->len, &datagram);
    if (found == HWGW_FLOWS_MAX) return cause;
    datagram.flow = found;
  } else if (cause) {
    return cause;
  }
  struct hwgw_flow *flow = &scan->flow[datagram.flow];
  if (flow->channel == CHANNEL_NONE) {
    cause = flow_join(scan, flow, &datagram);
    if (cause) return cause;
  }
  scan->iter_channel = flow->channel;
  return hwgw_mold_packet(&scan->channel[flow->channel], flow->line, datagram.data, datagram.len, frame->t_rx,
                          scan->counters, &scan->iter);
}

uint32_t hwgw_scan_next(struct hwgw_scan *scan, uint8_t *data, uint32_t sz, struct hwgw_scan_message *messages,
                        uint32_t max) {
  uint32_t cnt = 0, at = 0;
  while (cnt < max && sz - at >= HWGW_SCAN_MESSAGE_MAX) {
    uint32_t len;
    uint64_t seq;
    const uint8_t *message = hwgw_mold_next(&scan->iter, &len, &seq);
    if (message) {
      memcpy(data + at, message, len);
      messages[cnt++] = (struct hwgw_scan_message){
          .seq = seq, .offset = at, .len = (uint16_t)len, .channel = (uint16_t)scan->iter_channel};
      at += len;
    } else if (scan->frame_idx < scan->frame_cnt) {
      scan->counters[frame_take(scan, &scan->frame[scan->frame_idx++])]++;
    } else {
      if (scan->frame_cnt) hwgw_rx_release(scan->rx);
      scan->frame_idx = 0;
      scan->frame_cnt = hwgw_rx_poll(scan->rx, scan->frame, HWGW_BATCH_MAX);
      if (!scan->frame_cnt && hwgw_rx_ended(scan->rx)) break;
    }
  }
  return cnt;
}

void hwgw_scan_counters(struct hwgw_scan *scan, uint64_t *counters) {
  uint64_t rx[HWGW_COUNTER_CNT] = {0};
  hwgw_rx_stats(scan->rx, rx);
  for (uint32_t i = 0; i < HWGW_COUNTER_CNT; i++) counters[i] += scan->counters[i] + rx[i];
}

uint32_t hwgw_scan_flows(const struct hwgw_scan *scan, struct hwgw_flow *flows, uint32_t max) {
  uint32_t cnt = 0;
  for (uint32_t i = 0; i < scan->flow_cnt; i++) {
    if (scan->flow[i].channel == CHANNEL_NONE) continue;
    if (cnt < max) flows[cnt] = scan->flow[i];
    cnt++;
  }
  return cnt;
}

const char *hwgw_scan_describe(const struct hwgw_scan *scan) {
  return hwgw_rx_describe(scan->rx);
}
