/* recover.c: the decisions of recovery, one per channel: wait, ask, load a snapshot, or give up.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: the channel's mold and the clock as an argument. Output: what to do now; the sockets are recover_net.c's, so that
 * the same decisions run against simulated servers. A hole has the reorder window to be filled by a late packet or another
 * line. Then its first missing messages are asked for, one request at a time: each answer that moves the channel leads to
 * the next request at once, each time-out to the next server, retries + 1 time-outs in a row to the snapshot. So do more
 * than messages_max missing, messages that no longer fit the hold, and a message that came and could not be read. While a
 * snapshot is on its way the lines may still close the hole, until its first message has come: then the books are being
 * replaced, and nothing is delivered before its end. Without a snapshot server the hole is given up. Attempts at a
 * snapshot go on for ever, snapshot_retry apart. Cost: a few compares per call. Thread: the channel's pipeline.
 */
#include "recover.h"

static uint64_t ticks_of(uint64_t ns, uint64_t hz) {
  return (uint64_t)((unsigned __int128)ns * hz / 1000000000u);
}

void hwgw_recover_init(struct hwgw_recover *recover, const struct hwgw_recover_cfg *cfg, uint64_t hz) {
  *recover = (struct hwgw_recover){
      .window = ticks_of(cfg->window_ns, hz),
      .timeout = ticks_of(cfg->timeout_ns, hz),
      .gap = cfg->rate ? hz / cfg->rate : 0,
      .load_timeout = ticks_of(cfg->snapshot_timeout_ns, hz),
      .load_retry = ticks_of(cfg->snapshot_retry_ns, hz),
      .messages_max = cfg->messages_max ? cfg->messages_max : UINT64_MAX,
      .server_cnt = cfg->server_cnt < HWGW_SERVERS_MAX ? cfg->server_cnt : HWGW_SERVERS_MAX,
      .retries = cfg->retries,
      .has_snapshot = cfg->snapshot.port != 0,
  };
}

static uint32_t phase_set(struct hwgw_recover *recover, struct hwgw_mold *mold, uint32_t phase, uint32_t action) {
  static const uint8_t shown[] = {HWGW_SEGMENT_FEED_STATE_HOLDING, HWGW_SEGMENT_FEED_STATE_HOLDING,
                                  HWGW_SEGMENT_FEED_STATE_REQUESTING, HWGW_SEGMENT_FEED_STATE_SNAPSHOT,
                                  HWGW_SEGMENT_FEED_STATE_SNAPSHOT};
  recover->phase = (uint8_t)phase;
  hwgw_mold_phase(mold, shown[phase]);
  return action;
}

/* what is left when asking is of no use */
static uint32_t resort(struct hwgw_recover *recover, struct hwgw_mold *mold, uint64_t now, uint64_t *counters) {
  if (!recover->has_snapshot) {
    counters[HWGW_CNT_RECOVER_SKIPS]++;
    return phase_set(recover, mold, HWGW_RECOVER_IDLE, HWGW_RECOVER_SKIP);
  }
  recover->t_next = recover->t_load ? recover->t_load + recover->load_retry : now;
  return phase_set(recover, mold, HWGW_RECOVER_PAUSE, HWGW_RECOVER_NOTHING);
}

/* can the hole be closed by asking */
static bool is_askable(const struct hwgw_recover *recover, const struct hwgw_mold *mold) {
  if (!recover->server_cnt || mold->hold_base > mold->next_seq) return false;
  return mold->missing_cnt <= recover->messages_max;
}

static uint32_t ask(struct hwgw_recover *recover, struct hwgw_mold *mold, uint64_t now, uint64_t *counters) {
  if (!is_askable(recover, mold)) return resort(recover, mold, now, counters);
  if (recover->phase != HWGW_RECOVER_REQUESTING || mold->next_seq != recover->hole_seq) {
    phase_set(recover, mold, HWGW_RECOVER_REQUESTING, 0);
    recover->hole_seq = mold->next_seq;
    recover->tries = 0;
    recover->is_due = true;
  } else if (!recover->is_due && now >= recover->t_next) {
    counters[HWGW_CNT_RECOVER_REQUEST_TIMEOUTS]++;
    if (recover->tries > recover->retries) return resort(recover, mold, now, counters);
    recover->server = (recover->server + 1) % recover->server_cnt;
    recover->is_due = true;
  }
  if (!recover->is_due || now - recover->t_request < recover->gap) return HWGW_RECOVER_NOTHING;
  recover->is_due = false;
  recover->tries++;
  recover->requests++;
  recover->t_request = now;
  recover->t_next = now + recover->timeout;
  moldudp64_request_packet_session_set(recover->request, mold->session);
  moldudp64_request_packet_sequence_number_set(recover->request, mold->next_seq);
  moldudp64_request_packet_requested_message_count_set(recover->request,
                                                       (uint16_t)hwgw_mold_missing(mold, HWGW_REQUEST_MAX));
  counters[HWGW_CNT_RECOVER_REQUESTS]++;
  return HWGW_RECOVER_REQUEST;
}

static uint32_t closed(struct hwgw_recover *recover, struct hwgw_mold *mold, uint64_t *counters) {
  bool is_loading = recover->phase == HWGW_RECOVER_LOADING;
  recover->repairs++;
  counters[HWGW_CNT_RECOVER_REPAIRS]++;
  return phase_set(recover, mold, HWGW_RECOVER_IDLE, is_loading ? HWGW_RECOVER_UNLOAD : HWGW_RECOVER_NOTHING);
}

uint32_t hwgw_recover_step(struct hwgw_recover *recover, struct hwgw_mold *mold, uint64_t now, uint64_t *counters) {
  bool wants_load = mold->is_lost && recover->has_snapshot;
  if (recover->phase != HWGW_RECOVER_IDLE && !mold->is_open && !wants_load) return closed(recover, mold, counters);
  if (!mold->is_open && (recover->phase == HWGW_RECOVER_HOLDING || recover->phase == HWGW_RECOVER_REQUESTING))
    return resort(recover, mold, now, counters); /* the hole is closed, and a message was lost on the way */
  switch (recover->phase) {
    case HWGW_RECOVER_IDLE:
      if (wants_load) return resort(recover, mold, now, counters);
      if (!mold->is_open) return HWGW_RECOVER_NOTHING;
      recover->hole_seq = mold->next_seq;
      recover->t_next = mold->t_hole + recover->window;
      phase_set(recover, mold, HWGW_RECOVER_HOLDING, 0);
      /* fallthrough */
    case HWGW_RECOVER_HOLDING:
      if (mold->hold_base <= mold->next_seq) {
        if (mold->next_seq != recover->hole_seq) { /* another hole, as old as we can tell */
          recover->hole_seq = mold->next_seq;
          recover->t_next = now + recover->window;
        }
        if (now < recover->t_next) return HWGW_RECOVER_NOTHING;
      }
      return ask(recover, mold, now, counters);
    case HWGW_RECOVER_REQUESTING:
      return ask(recover, mold, now, counters);
    case HWGW_RECOVER_PAUSE:
      if (now < recover->t_next) return HWGW_RECOVER_NOTHING;
      recover->t_next = now + recover->load_timeout;
      counters[HWGW_CNT_RECOVER_LOADS]++;
      return phase_set(recover, mold, HWGW_RECOVER_LOADING, HWGW_RECOVER_LOAD);
    default:
      if (now < recover->t_next) return HWGW_RECOVER_NOTHING;
      hwgw_recover_failed(recover, now, counters);
      return HWGW_RECOVER_UNLOAD;
  }
}

void hwgw_recover_heard(struct hwgw_recover *recover, uint64_t now) {
  recover->t_next = now + recover->load_timeout;
}

void hwgw_recover_loaded(struct hwgw_recover *recover, uint64_t now, uint64_t *counters) {
  counters[HWGW_CNT_RECOVER_SNAPSHOTS]++;
  recover->loaded++;
  recover->t_load = now;
  recover->phase = HWGW_RECOVER_HOLDING; /* what is missing behind the snapshot is another hole */
  recover->hole_seq = 0;
  recover->t_next = now;
}

void hwgw_recover_failed(struct hwgw_recover *recover, uint64_t now, uint64_t *counters) {
  if (recover->phase != HWGW_RECOVER_LOADING) return;
  counters[HWGW_CNT_RECOVER_LOAD_FAILURES]++;
  recover->failures++;
  recover->t_load = now;
  recover->t_next = now + recover->load_retry;
  recover->phase = HWGW_RECOVER_PAUSE;
}

void hwgw_recover_reset(struct hwgw_recover *recover) {
  recover->phase = HWGW_RECOVER_IDLE;
  recover->is_due = false;
  recover->t_load = 0;
}
