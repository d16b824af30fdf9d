/* rx_card.c: event records of the card instead of frames; its decoder, its arbitration, its counters.
 *
 * SPDX-License-Identifier: MIT
 *
 * Output: "frames" of 64 bytes with flow HWGW_FLOW_EVENT: struct hwgw_event, in sequence.
 *
 * The card is the simulated one (card.h; cfg.path is its library). A packet backend on the interface is its pair of cables: each frame that is polled there
 * goes into the MAC of its line (a frame of no flow into line A) and the model's clock moves on until it is through. The
 * clock also moves at idle polls, so that what waits for the other line does not wait for ever.
 *
 * Accounting: rx_frames are those that went into the card, the interface's losses are those of the packet backend, and the
 * card's registers say what became of the frames: net_*, mold_*, itch_*, event_*. They are read as one snapshot in stats,
 * at most every REFRESH_US while frames come, and always once nothing comes any more, so the ledger is exact then.
 * Channels: one, with a line A and a line B. Thread: one polls. Cost: the model's, some us per frame.
 */
#include <linux/capability.h>
#include <stdlib.h>

#include "card.h"
#include "rx.h"

#define REFRESH_US 5000
#define THROUGH_CYCLES 48 /* after a frame: its last event is in the ring */
#define IDLE_CYCLES 64
#define HOLD_CYCLES 20000
#define LINES 2

struct rx_card {
  struct hwgw_rx base;
  struct card card;
  struct hwgw_rx *cable;
  struct hwgw_flow flow[LINES];
  uint32_t flow_cnt;
  uint64_t frames;
  uint64_t bytes;
  uint64_t t_refresh;
  uint64_t refresh_ticks;
  bool is_fresh; /* nothing has gone into the card since its counters were read */
  uint64_t total[HWGW_COUNTER_CNT];
  uint64_t cable_counters[HWGW_COUNTER_CNT];
  struct hwgw_frame frame[HWGW_BATCH_MAX];
  struct hwgw_event event[HWGW_BATCH_MAX];
};

/* ---- counters ---- */

/* every counter as of one cycle */
static void refresh(struct rx_card *rx) {
  if (!card_snapshot(&rx->card)) return;
  memset(rx->total, 0, sizeof rx->total);
  for (uint32_t i = 0; i < HWGW_REG_COUNTERS_CNT; i++) {
    uint32_t at = HWGW_REG_COUNTERS + 8 * i;
    uint64_t low = card_read(&rx->card, at);
    rx->total[hwgw_reg_counter[i]] += (uint64_t)card_read(&rx->card, at + 4) << 32 | low;
  }
  rx->t_refresh = hwgw_rdtsc();
  rx->is_fresh = true;
}

/* ---- receive ---- */

static uint32_t line_of(const struct rx_card *rx, const struct hwgw_frame *frame) {
  struct hwgw_datagram datagram;
  if (hwgw_net_parse(rx->flow, rx->flow_cnt, frame->data, frame->len, &datagram)) return 0;
  return rx->flow[datagram.flow].line;
}

/* frames of the cable into the card; how many */
static uint32_t pump(struct rx_card *rx) {
  uint32_t cnt = hwgw_rx_poll(rx->cable, rx->frame, HWGW_BATCH_MAX);
  for (uint32_t i = 0; i < cnt; i++) {
    const struct hwgw_frame *frame = &rx->frame[i];
    rx->card.call.frame(rx->card.model, line_of(rx, frame), frame->data, frame->len, frame->t_rx);
    rx->bytes += frame->len;
  }
  if (cnt == 0) {
    rx->card.call.run(rx->card.model, IDLE_CYCLES);
    return 0;
  }
  hwgw_rx_release(rx->cable);
  rx->card.call.run(rx->card.model, THROUGH_CYCLES);
  rx->frames += cnt;
  rx->is_fresh = false;
  return cnt;
}

static uint32_t card_poll(struct hwgw_rx *base, struct hwgw_frame *frames, uint32_t max) {
  struct rx_card *rx = (struct rx_card *)base;
  if (rx->card.call.waiting(rx->card.model) == 0) pump(rx);
  uint32_t cnt = rx->card.call.events(rx->card.model, rx->event, max);
  for (uint32_t i = 0; i < cnt; i++) {
    frames[i] = (struct hwgw_frame){.data = (const uint8_t *)&rx->event[i],
                                    .len = sizeof rx->event[i],
                                    .flow = HWGW_FLOW_EVENT,
                                    .t_rx = rx->event[i].t_rx};
  }
  return cnt;
}

static void card_release(struct hwgw_rx *base) {
  (void)base;
}

static void card_stats(struct hwgw_rx *base, uint64_t *counters) {
  struct rx_card *rx = (struct rx_card *)base;
  bool is_due = base->is_dry || hwgw_rdtsc() - rx->t_refresh > rx->refresh_ticks;
  if (!rx->is_fresh && is_due && !rx->card.is_lost) refresh(rx);
  hwgw_rx_stats(rx->cable, rx->cable_counters);
  base->state = rx->card.is_lost ? (uint32_t)HWGW_SEGMENT_RECEIVE_STATE_GONE : hwgw_rx_state(rx->cable);
  /* the interface's losses, then the card's; the books' counters are those of the books in the host */
  for (uint32_t i = HWGW_CNT_RX_FRAMES; i <= HWGW_CNT_RX_REOPENS; i++) {
    if (i != HWGW_CNT_RX_POLLS && i != HWGW_CNT_RX_POLLS_IDLE) counters[i] = rx->cable_counters[i];
  }
  counters[HWGW_CNT_RX_FRAMES] = rx->frames;
  counters[HWGW_CNT_RX_BYTES] = rx->bytes;
  counters[HWGW_CNT_RX_DROP_NIC] += rx->total[HWGW_CNT_RX_DROP_NIC];
  counters[HWGW_CNT_RX_DROP_RING_FULL] += rx->total[HWGW_CNT_RX_DROP_RING_FULL];
  for (uint32_t i = 0; i < HWGW_REG_COUNTERS_CNT; i++) {
    uint32_t at = hwgw_reg_counter[i];
    bool is_host = at <= HWGW_CNT_RX_REOPENS || (at >= HWGW_CNT_BOOK_UPDATES && at <= HWGW_CNT_BOOK_CROSSED);
    if (!is_host) counters[at] = rx->total[at];
  }
}

static bool card_ended(const struct hwgw_rx *base) {
  (void)base;
  return false;
}

/* ---- open and close ---- */

static void path_close(struct hwgw_rx *base) {
  struct rx_card *rx = (struct rx_card *)base;
  hwgw_rx_close(rx->cable);
  card_close(&rx->card);
  free(rx);
}

static int32_t flows_take(struct rx_card *rx, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  if (cfg->flow_cnt > LINES)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx card: %u flows; the card has one channel of lines A and B",
                          cfg->flow_cnt);
  for (uint32_t i = 0; i < cfg->flow_cnt; i++) {
    rx->flow[i] = cfg->flows[i];
    if (rx->flow[i].line >= LINES || rx->flow[i].channel)
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                            "rx card: %s is line %u of channel %u; the card has lines 0 and 1",
                            hwgw_rx_flow_print(&rx->flow[i]).text, rx->flow[i].line, rx->flow[i].channel);
  }
  rx->flow_cnt = cfg->flow_cnt;
  return HWGW_OK;
}

static int32_t configure(struct rx_card *rx, struct hwgw_error *error) {
  static const uint32_t group_at[LINES] = {HWGW_REG_GROUP_A, HWGW_REG_GROUP_B};
  static const uint32_t port_at[LINES] = {HWGW_REG_PORT_A, HWGW_REG_PORT_B};
  for (uint32_t i = 0; i < rx->flow_cnt; i++) {
    card_write(&rx->card, group_at[rx->flow[i].line], rx->flow[i].group);
    card_write(&rx->card, port_at[rx->flow[i].line], rx->flow[i].port);
  }
  card_write(&rx->card, HWGW_REG_HOLD_CYCLES, rx->flow_cnt == LINES ? HOLD_CYCLES : 0);
  card_write(&rx->card, HWGW_REG_CONTROL, HWGW_REG_CONTROL_ENABLE | HWGW_REG_CONTROL_VERIFIED | HWGW_REG_CONTROL_ALL);
  if (rx->card.is_lost) return hwgw_error_set(error, HWGW_ERR_DEVICE, 0, "rx card: a register does not answer");
  return HWGW_OK;
}

static int32_t path_open(struct hwgw_rx **out, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  struct rx_card *rx = calloc(1, sizeof *rx);
  if (!rx) return hwgw_error_set(error, HWGW_ERR_INTERNAL, 0, "rx card: no memory");
  rx->base.ops = &hwgw_rx_card;
  rx->refresh_ticks = hwgw_ticks_hz() / 1000000 * REFRESH_US;
  struct hwgw_rx_cfg cable = *cfg;
  cable.backend = "packet";
  cable.path = NULL;
  cable.kept = NULL;
  int32_t status = flows_take(rx, cfg, error);
  if (!status) status = card_open(&rx->card, cfg->path, error);
  if (!status) status = configure(rx, error);
  if (!status) status = hwgw_rx_open(&rx->cable, &cable, error);
  if (status) {
    path_close(&rx->base);
    return status;
  }
  rx->base.state = HWGW_SEGMENT_RECEIVE_STATE_UP;
  hwgw_rx_note(&rx->base, "card sim (RTL by Verilator) behind %s", hwgw_rx_describe(rx->cable));
  *out = &rx->base;
  return HWGW_OK;
}

static bool card_available(char *text, uint32_t sz) {
  return hwgw_rx_available("packet", text, sz);
}

struct card *rx_card_device(struct hwgw_rx *rx) {
  return rx && rx->live->ops == &hwgw_rx_card ? &((struct rx_card *)rx->live)->card : NULL;
}

const struct hwgw_rx_ops hwgw_rx_card = {
    .name = "card",
    .open = path_open,
    .poll = card_poll,
    .release = card_release,
    .stats = card_stats,
    .ended = card_ended,
    .close = path_close,
    .available = card_available,
    .needs_caps = (uint64_t)1 << CAP_NET_RAW, /* of the packet backend */
};
