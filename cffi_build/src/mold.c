/* mold.c: MoldUDP64 downstream packets to messages in sequence.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: the UDP payload of one packet of one of the channel's lines, or of a re-request server. Output: an iterator over
 * the messages that can be delivered. Arbitration is by message number, never by packet, because lines need not be cut
 * into the same packets: the first copy of a number is taken, every later one skipped.
 *
 * Order of checks; the first that fails names the packet, which then changes nothing but its line's frame count:
 *   1 drop_short      fewer bytes than the header
 *   2 drop_blocks     walking exactly message_count blocks does not end at the end of the datagram. The whole packet is
 *                     walked before any of it is delivered. Heartbeat and end of session have no blocks
 *   3 drop_session    not the session of the channel. Without a hold that is final. With one, a new session begins with
 *                     the second packet in a row that says so, or with number 1 after the end of the old one
 *   4 drop_gap        number 0 (the first message is 1), further ahead than jump_max, or past the end of 64-bit numbers.
 *                     With a hold also: further ahead of everything seen than the hold is long, unless the packet of that
 *                     kind before it was about as far
 *   5 drop_duplicate  every message was known already; a heartbeat or end with a number below the expected one
 *
 * A number ahead of what was seen, be it of data, a heartbeat (tail loss) or an end of session, is a hole: gaps + 1,
 * missing + its width. Without a hold delivery goes on behind it and the state is gapped until hwgw_mold_repair; the
 * first packet sets the number. With a hold the channel expects number 1 first; what comes behind a hole is kept, keyed
 * by its number, until the hole closes. When more comes than fits, the oldest are discarded: they are missing again.
 * Cost: one header and one length per block; whether a hole is open is one compare. Memory: 64 bytes per message of the
 * hold, taken at set-up. Thread: the one that owns the channel.
 */
#include <errno.h>
#include <stdlib.h>

#include "base.h"

#define HEADER_LEN MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN
#define BLOCK_HEADER_LEN MOLDUDP64_MESSAGE_BLOCK_LEN
#define SESSION_LEN 10
#define COUNT_END MOLDUDP64_END_OF_SESSION_COUNT
#define FIRST MOLDUDP64_FIRST_SEQUENCE_NUMBER
#define LAG_SHIFT 7
#define COLD __attribute__((noinline, cold)) /* out of the way of the path without loss */
#define FAR_CNT (UINT64_C(1) << 20)          /* a snapshot is not so much older than what the lines bring */

_Static_assert(sizeof(((struct hwgw_mold *)0)->session) == SESSION_LEN, "session of the header");

/* one cache line; what is longer than any message of the feed is not held and has to come in sequence */
#define SLOT_DATA_SZ 54
struct hwgw_mold_slot {
  uint64_t seq; /* 0 = free */
  uint16_t len;
  uint8_t data[SLOT_DATA_SZ];
};
_Static_assert(sizeof(struct hwgw_mold_slot) == HWGW_CACHE_LINE, "a held message");

void hwgw_mold_init(struct hwgw_mold *mold, uint16_t channel, uint8_t line_cnt) {
  memset(mold, 0, sizeof *mold);
  mold->channel = channel;
  mold->line_cnt = line_cnt < HWGW_LINES_MAX ? line_cnt : HWGW_LINES_MAX;
  mold->state = HWGW_SEGMENT_FEED_STATE_WAITING;
  mold->phase = HWGW_SEGMENT_FEED_STATE_HOLDING;
}

int32_t hwgw_mold_hold(struct hwgw_mold *mold, uint32_t hold_max, struct hwgw_error *error) {
  uint32_t cnt = 1;
  if (hold_max < 1 || hold_max > HWGW_HOLD_MAX)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "channel %u: hold_max is %u; 1 to %u messages are allowed",
                          mold->channel, hold_max, HWGW_HOLD_MAX);
  while (cnt < hold_max) cnt *= 2;
  size_t sz = cnt * sizeof *mold->slot;
  mold->slot = aligned_alloc(HWGW_CACHE_LINE, sz);
  if (!mold->slot)
    return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "channel %u: no memory for %u held messages (%zu bytes)",
                          mold->channel, cnt, sz);
  memset(mold->slot, 0, sz); /* resident from the start */
  mold->hold_max = cnt;
  return HWGW_OK;
}

void hwgw_mold_fini(struct hwgw_mold *mold) {
  free(mold->slot);
  mold->slot = NULL;
}

static void state_update(struct hwgw_mold *mold) {
  if (!mold->next_seq)
    mold->state = HWGW_SEGMENT_FEED_STATE_WAITING;
  else if (mold->is_open)
    mold->state = mold->phase;
  else if (mold->is_ended)
    mold->state = HWGW_SEGMENT_FEED_STATE_ENDED;
  else if (mold->is_lost)
    mold->state = HWGW_SEGMENT_FEED_STATE_GAPPED;
  else if (mold->is_stale)
    mold->state = HWGW_SEGMENT_FEED_STATE_STALE;
  else
    mold->state = HWGW_SEGMENT_FEED_STATE_GOOD;
}

/* start of block `skip` of `cnt`, or NULL when the blocks do not end at `end` */
static const uint8_t *blocks_walk(const uint8_t *cursor, const uint8_t *end, uint32_t cnt, uint64_t skip) {
  const uint8_t *wanted = cursor;
  for (uint32_t i = 0; i < cnt; i++) {
    if (HWGW_UNLIKELY(end - cursor < BLOCK_HEADER_LEN)) return NULL;
    uint32_t len = moldudp64_message_block_message_length(cursor);
    if (i == skip) wanted = cursor;
    cursor += BLOCK_HEADER_LEN;
    if (HWGW_UNLIKELY((size_t)(end - cursor) < len)) return NULL;
    cursor += len;
  }
  return cursor == end ? wanted : NULL;
}

/* ---- the hold ---- */

static struct hwgw_mold_slot *slot_of(const struct hwgw_mold *mold, uint64_t seq) {
  return &mold->slot[seq & (mold->hold_max - 1)];
}

static void slot_free(struct hwgw_mold *mold, struct hwgw_mold_slot *slot, uint64_t *counters, uint32_t cause) {
  slot->seq = 0;
  mold->held_cnt--;
  counters[HWGW_CNT_HOLD_NOW]--;
  counters[cause]++;
}

/* frees what is held from hold_base up to `to`; how many there were */
static uint64_t hold_purge(struct hwgw_mold *mold, uint64_t to, uint64_t *counters, uint32_t cause) {
  uint64_t cnt = 0;
  uint64_t end = to - mold->hold_base > mold->hold_max ? mold->hold_base + mold->hold_max : to;
  for (uint64_t seq = mold->hold_base; mold->held_cnt && seq < end; seq++) {
    struct hwgw_mold_slot *slot = slot_of(mold, seq);
    if (!slot->seq || slot->seq >= to) continue;
    slot_free(mold, slot, counters, cause);
    cnt++;
  }
  return cnt;
}

static void missing_add(struct hwgw_mold *mold, uint64_t cnt, uint64_t *counters) {
  mold->missing_cnt += cnt;
  counters[HWGW_CNT_MOLD_MISSING] += cnt;
  counters[HWGW_CNT_HOLD_MISSING_NOW] += cnt;
}

static void missing_end(struct hwgw_mold *mold, uint64_t cnt, uint64_t *counters, uint32_t cause) {
  mold->missing_cnt -= cnt;
  counters[HWGW_CNT_HOLD_MISSING_NOW] -= cnt;
  counters[cause] += cnt;
}

/* keeps one message; false when it is not kept. was_missing: its number had been jumped over before */
static bool hold_put(struct hwgw_mold *mold, uint64_t seq, const uint8_t *data, uint32_t len, bool was_missing,
                     uint64_t *counters) {
  if (len > SLOT_DATA_SZ || seq < mold->hold_base) {
    counters[HWGW_CNT_HOLD_REFUSED]++;
    if (!was_missing) missing_add(mold, 1, counters);
    return false;
  }
  if (seq - mold->hold_base >= mold->hold_max) {
    uint64_t base = seq - mold->hold_max + 1;
    missing_add(mold, hold_purge(mold, base, counters, HWGW_CNT_HOLD_DISCARDED), counters);
    mold->hold_base = base;
  }
  struct hwgw_mold_slot *slot = slot_of(mold, seq);
  if (slot->seq) { /* further ahead than the hold is long, since the channel was set back */
    slot_free(mold, slot, counters, HWGW_CNT_HOLD_DISCARDED);
    missing_add(mold, 1, counters);
  }
  slot->seq = seq;
  slot->len = (uint16_t)len;
  memcpy(slot->data, data, len);
  mold->held_cnt++;
  counters[HWGW_CNT_HOLD_MESSAGES]++;
  counters[HWGW_CNT_HOLD_NOW]++;
  if (was_missing) missing_end(mold, 1, counters, HWGW_CNT_HOLD_FILLED);
  return true;
}

static void hole_check(struct hwgw_mold *mold) {
  mold->is_open = mold->is_frozen || mold->seen_seq > mold->next_seq;
  if (!mold->is_open) mold->phase = HWGW_SEGMENT_FEED_STATE_HOLDING;
  state_update(mold);
}

/* ---- packets ---- */

/* nothing of the old session is kept; the packet that began the new one comes again */
void hwgw_mold_restart(struct hwgw_mold *mold, uint64_t *counters) {
  missing_end(mold, mold->missing_cnt, counters, HWGW_CNT_HOLD_LOST);
  for (uint32_t i = 0; mold->held_cnt; i++)
    if (mold->slot[i].seq) slot_free(mold, &mold->slot[i], counters, HWGW_CNT_HOLD_SUPERSEDED);
  for (uint32_t i = 0; i <= HWGW_LINE_RECOVERY; i++) mold->line[i].next_seq = 0;
  memset(mold->session, 0, SESSION_LEN);
  memset(mold->recent, 0, sizeof mold->recent);
  mold->next_seq = mold->seen_seq = mold->hold_base = mold->far_seq = 0;
  mold->is_open = mold->is_frozen = mold->is_lost = mold->is_stale = mold->is_ended = mold->has_other = false;
  mold->phase = HWGW_SEGMENT_FEED_STATE_HOLDING;
  mold->session_cnt++;
  counters[HWGW_CNT_MOLD_SESSIONS]++;
  state_update(mold);
}

static COLD bool session_begins(struct hwgw_mold *mold, const uint8_t *session, uint64_t seq) {
  bool again = mold->has_other && memcmp(mold->other, session, SESSION_LEN) == 0;
  memcpy(mold->other, session, SESSION_LEN);
  mold->has_other = true;
  return mold->slot && seq && (again || (mold->is_ended && seq == FIRST));
}

/* is a number ahead of the expected one too far to be believed */
static COLD bool is_far(struct hwgw_mold *mold, uint64_t seq, uint64_t expected) {
  if (!mold->next_seq) return false; /* where a channel is joined is not known before */
  if (mold->jump_max && seq - expected > mold->jump_max) return true;
  uint64_t seen = mold->seen_seq > expected ? mold->seen_seq : expected;
  if (!mold->slot || seq <= seen || seq - seen <= mold->hold_max) return false;
  uint64_t apart = seq > mold->far_seq ? seq - mold->far_seq : mold->far_seq - seq;
  bool is_alone = !mold->far_seq || apart > mold->hold_max;
  mold->far_seq = seq;
  return is_alone;
}

/* lead and lag between lines: when the first copy of a packet that begins with seq came */
static struct hwgw_mold_recent *recent_of(struct hwgw_mold *mold, uint64_t seq) {
  return &mold->recent[(seq * 0x9E3779B97F4A7C15u) >> 58];
}
_Static_assert(HWGW_MOLD_RECENT == 1 << (64 - 58), "the hash gives an index");

static void lag_record(struct hwgw_mold *mold, struct hwgw_mold_line *line, uint64_t seq, uint64_t t_rx) {
  const struct hwgw_mold_recent *recent = recent_of(mold, seq);
  if (recent->seq != seq || t_rx < recent->t_rx) return;
  uint64_t steps = (t_rx - recent->t_rx) >> LAG_SHIFT;
  uint32_t slot = steps ? 64u - (uint32_t)__builtin_clzll(steps) : 0;
  line->lag[slot < HWGW_LAG_SLOTS ? slot : HWGW_LAG_SLOTS - 1]++;
}

/* the longer way, while a hole is open or the packet shows one. cursor is at block `skip` */
static COLD uint32_t packet_open(struct hwgw_mold *mold, struct hwgw_mold_line *line, const uint8_t *cursor,
                                 uint64_t seq, uint64_t skip, uint32_t blocks, uint64_t t_rx, uint64_t *counters,
                                 struct hwgw_mold_iter *iter) {
  uint64_t from = seq + skip, end = seq + blocks, seen = mold->seen_seq;
  uint64_t known = 0, fresh = 0;
  if (seq > seen) {
    if (seen == mold->next_seq) mold->t_hole = t_rx;
    counters[HWGW_CNT_MOLD_GAPS]++;
    missing_add(mold, seq - seen, counters);
    mold->is_open = true;
  }
  if (end > seen) mold->seen_seq = end;
  if (seq > mold->seen_seq) mold->seen_seq = seq;
  iter->mold = mold;
  iter->counters = counters;

  bool is_next = from == mold->next_seq && from < end && !mold->is_frozen;
  for (uint64_t number = from; number < end; number++) {
    uint32_t len = moldudp64_message_block_message_length(cursor);
    bool is_held = slot_of(mold, number)->seq == number;
    if (is_held) {
      known++;
      line->late += number >= line->next_seq;
      if (is_next) slot_free(mold, slot_of(mold, number), counters, HWGW_CNT_HOLD_SUPERSEDED);
    } else if (is_next) {
      fresh++;
      if (number < seen) missing_end(mold, 1, counters, HWGW_CNT_HOLD_FILLED);
    } else {
      fresh += hold_put(mold, number, cursor + BLOCK_HEADER_LEN, len, number < seen, counters);
    }
    cursor += BLOCK_HEADER_LEN + len;
  }
  line->first += fresh;
  if (is_next) {
    iter->seq = from;
    iter->left = (uint32_t)(end - from);
    counters[HWGW_CNT_MOLD_MESSAGES] += iter->left;
    mold->next_seq = end;
    if (mold->hold_base < end) mold->hold_base = end;
  } else {
    counters[HWGW_CNT_MOLD_DUPLICATES] += known;
  }
  if (HWGW_LIKELY(fresh && mold->line_cnt > 1)) *recent_of(mold, seq) = (struct hwgw_mold_recent){seq, t_rx};
  if (!fresh && blocks && !is_next) {
    lag_record(mold, line, seq, t_rx);
    return skip + known == blocks ? HWGW_CNT_MOLD_DROP_DUPLICATE : HWGW_CNT_MOLD_FRAMES;
  }
  return HWGW_CNT_MOLD_FRAMES;
}

/* the next packet in sequence, while no hole is open */
static inline void packet_next(struct hwgw_mold *mold, struct hwgw_mold_line *line, uint64_t seq, uint32_t blocks,
                               uint64_t t_rx) {
  uint64_t end = seq + blocks;
  if (HWGW_UNLIKELY(seq > line->next_seq && line->next_seq)) line->missed += seq - line->next_seq;
  if (HWGW_LIKELY(end > line->next_seq)) line->next_seq = end;
  line->first += blocks;
  line->t_last = t_rx;
  mold->has_other = false;
  mold->next_seq = mold->seen_seq = mold->hold_base = end;
  if (mold->line_cnt > 1) *recent_of(mold, seq) = (struct hwgw_mold_recent){seq, t_rx};
}

uint32_t hwgw_mold_packet(struct hwgw_mold *mold, uint32_t line_idx, const uint8_t *data, uint32_t len, uint64_t t_rx,
                          uint64_t *counters, struct hwgw_mold_iter *iter) {
  struct hwgw_mold_line *line = &mold->line[line_idx <= HWGW_LINE_RECOVERY ? line_idx : 0];
  iter->cursor = data;
  iter->seq = 0;
  iter->left = 0;
  iter->mold = NULL;
  line->frames++;
  if (HWGW_UNLIKELY(len < HEADER_LEN)) return HWGW_CNT_MOLD_DROP_SHORT;

  uint64_t seq = moldudp64_downstream_packet_header_sequence_number(data);
  uint32_t count = moldudp64_downstream_packet_header_message_count(data);
  uint32_t blocks = count == COUNT_END ? 0 : count;
  bool first = !mold->next_seq;
  uint64_t expected = !first ? mold->next_seq : mold->slot ? FIRST : seq;
  uint64_t skip = expected > seq ? expected - seq : 0;

  const uint8_t *cursor = blocks_walk(data + HEADER_LEN, data + len, blocks, skip);
  if (HWGW_UNLIKELY(!cursor)) return HWGW_CNT_MOLD_DROP_BLOCKS;
  const uint8_t *session = moldudp64_downstream_packet_header_session(data);
  if (HWGW_UNLIKELY(!first && memcmp(mold->session, session, SESSION_LEN) != 0)) {
    if (line_idx != HWGW_LINE_RECOVERY && session_begins(mold, session, seq)) {
      hwgw_mold_restart(mold, counters);
      line->frames--; /* it comes again */
    }
    return HWGW_CNT_MOLD_DROP_SESSION;
  }
  if (HWGW_LIKELY(seq == mold->next_seq && seq && blocks && seq <= UINT64_MAX - blocks && !mold->is_open)) {
    packet_next(mold, line, seq, blocks, t_rx);
    iter->cursor = cursor;
    iter->seq = seq;
    iter->left = blocks;
    counters[HWGW_CNT_MOLD_MESSAGES] += blocks;
    return HWGW_CNT_MOLD_FRAMES;
  }
  if (HWGW_UNLIKELY(!seq || seq > UINT64_MAX - blocks)) return HWGW_CNT_MOLD_DROP_GAP;
  if (HWGW_UNLIKELY(seq > expected && is_far(mold, seq, expected))) return HWGW_CNT_MOLD_DROP_GAP;

  if (HWGW_UNLIKELY(mold->has_other)) mold->has_other = false;
  if (HWGW_UNLIKELY(first)) {
    memcpy(mold->session, session, SESSION_LEN);
    mold->next_seq = mold->seen_seq = mold->hold_base = expected;
    state_update(mold);
  }
  /* of the known messages, those this line had not brought itself were another line's first */
  uint64_t end = seq + blocks;
  uint64_t known = skip < blocks ? skip : blocks;
  uint64_t late_from = seq > line->next_seq ? seq : line->next_seq;
  if (late_from < seq + known) line->late += seq + known - late_from;
  if (HWGW_UNLIKELY(seq > line->next_seq && line->next_seq)) line->missed += seq - line->next_seq;
  line->t_last = t_rx;
  counters[HWGW_CNT_MOLD_DUPLICATES] += known;
  uint32_t outcome = HWGW_CNT_MOLD_FRAMES;
  if (HWGW_UNLIKELY(blocks ? known == blocks : skip)) {
    if (blocks) lag_record(mold, line, seq, t_rx);
    outcome = HWGW_CNT_MOLD_DROP_DUPLICATE;
  } else if (HWGW_LIKELY(!mold->is_open && seq <= mold->next_seq)) {
    uint32_t fresh = blocks - (uint32_t)known;
    iter->cursor = cursor;
    iter->seq = mold->next_seq;
    iter->left = fresh;
    line->first += fresh;
    if (blocks) mold->next_seq = mold->seen_seq = mold->hold_base = end;
    counters[HWGW_CNT_MOLD_MESSAGES] += fresh;
    if (mold->line_cnt > 1 && blocks) *recent_of(mold, seq) = (struct hwgw_mold_recent){seq, t_rx};
  } else if (mold->slot) {
    iter->cursor = cursor;
    outcome = packet_open(mold, line, cursor, seq, known, blocks, t_rx, counters, iter);
    hole_check(mold);
  } else { /* goes on behind the hole */
    counters[HWGW_CNT_MOLD_GAPS]++;
    counters[HWGW_CNT_MOLD_MISSING] += seq - mold->next_seq;
    counters[HWGW_CNT_HOLD_LOST] += seq - mold->next_seq;
    counters[HWGW_CNT_MOLD_MESSAGES] += blocks;
    line->first += blocks;
    iter->cursor = cursor;
    iter->seq = seq;
    iter->left = blocks;
    mold->next_seq = mold->seen_seq = end;
    hwgw_mold_lose(mold);
  }
  if (end > line->next_seq) line->next_seq = end;
  if (HWGW_UNLIKELY(!blocks && outcome == HWGW_CNT_MOLD_FRAMES)) {
    counters[count == COUNT_END ? HWGW_CNT_MOLD_ENDS : HWGW_CNT_MOLD_HEARTBEATS]++;
    if (count == COUNT_END) {
      mold->is_ended = true;
      state_update(mold);
    }
  }
  return outcome;
}

/* what was held right behind the last message; ends the iteration when there is none */
static COLD const uint8_t *held_next(struct hwgw_mold_iter *iter, uint32_t *len, uint64_t *seq) {
  struct hwgw_mold *mold = iter->mold;
  struct hwgw_mold_slot *slot = slot_of(mold, mold->next_seq);
  if (slot->seq != mold->next_seq || mold->is_frozen) {
    iter->mold = NULL;
    hole_check(mold);
    return NULL;
  }
  *len = slot->len;
  *seq = mold->next_seq++;
  if (mold->hold_base < mold->next_seq) mold->hold_base = mold->next_seq;
  slot_free(mold, slot, iter->counters, HWGW_CNT_HOLD_RELEASED);
  iter->counters[HWGW_CNT_MOLD_MESSAGES]++;
  return slot->data; /* nothing is held before the next packet */
}

const uint8_t *hwgw_mold_next(struct hwgw_mold_iter *iter, uint32_t *len, uint64_t *seq) {
  if (!iter->left) return HWGW_UNLIKELY(iter->mold) ? held_next(iter, len, seq) : NULL;
  const uint8_t *message = iter->cursor + BLOCK_HEADER_LEN;
  *len = moldudp64_message_block_message_length(iter->cursor);
  *seq = iter->seq++;
  iter->cursor = message + *len;
  iter->left--;
  return message;
}

/* ---- repair ---- */

uint32_t hwgw_mold_missing(const struct hwgw_mold *mold, uint32_t max) {
  uint64_t end = mold->seen_seq - mold->next_seq < max ? mold->seen_seq : mold->next_seq + max;
  uint64_t seq = mold->next_seq;
  while (seq < end && (!mold->slot || slot_of(mold, seq)->seq != seq)) seq++;
  return (uint32_t)(seq - mold->next_seq);
}

void hwgw_mold_skip(struct hwgw_mold *mold, uint64_t *counters, struct hwgw_mold_iter *iter) {
  *iter = (struct hwgw_mold_iter){0};
  if (!mold->is_open || mold->is_frozen || !mold->slot) return;
  uint64_t to = mold->seen_seq; /* the lowest number that is held */
  for (uint32_t i = 0; mold->held_cnt && i < mold->hold_max; i++)
    if (mold->slot[i].seq && mold->slot[i].seq < to) to = mold->slot[i].seq;
  missing_end(mold, to - mold->next_seq, counters, HWGW_CNT_HOLD_LOST);
  mold->next_seq = to;
  if (mold->hold_base < to) mold->hold_base = to;
  mold->is_lost = true;
  iter->mold = mold;
  iter->counters = counters;
  hole_check(mold);
}

void hwgw_mold_freeze(struct hwgw_mold *mold) {
  mold->frozen_seq = mold->seen_seq;
  mold->is_frozen = mold->is_open = true;
  state_update(mold);
}

void hwgw_mold_rebase(struct hwgw_mold *mold, uint64_t seq, uint64_t *counters, struct hwgw_mold_iter *iter) {
  *iter = (struct hwgw_mold_iter){.mold = mold, .counters = counters};
  if (seq > mold->hold_base) hold_purge(mold, seq, counters, HWGW_CNT_HOLD_SUPERSEDED);
  uint64_t known = mold->next_seq > seq ? mold->next_seq : seq;
  uint64_t far = mold->hold_max > FAR_CNT ? mold->hold_max : FAR_CNT;
  if (mold->is_frozen && mold->frozen_seq > seq + far) { /* the venue is not there yet: strays */
    mold->seen_seq = known;
    for (uint32_t i = 0; mold->held_cnt && i < mold->hold_max; i++) {
      struct hwgw_mold_slot *slot = &mold->slot[i];
      if (slot->seq >= seq + far) slot_free(mold, slot, counters, HWGW_CNT_HOLD_SUPERSEDED);
      if (slot->seq >= mold->seen_seq) mold->seen_seq = slot->seq + 1;
    }
  }
  if (!mold->held_cnt || mold->seen_seq < known)
    mold->seen_seq = known; /* a heartbeat will say again what else there is */
  uint64_t before = mold->next_seq ? mold->next_seq : FIRST;
  counters[seq > before ? HWGW_CNT_HOLD_JUMPED : HWGW_CNT_HOLD_AGAIN] += seq > before ? seq - before : before - seq;
  mold->next_seq = mold->hold_base = seq;
  uint64_t missing = mold->seen_seq - seq - mold->held_cnt;
  if (missing > mold->missing_cnt)
    missing_add(mold, missing - mold->missing_cnt, counters);
  else
    missing_end(mold, mold->missing_cnt - missing, counters, HWGW_CNT_HOLD_COVERED);
  mold->is_frozen = mold->is_lost = false;
  hole_check(mold);
}

void hwgw_mold_lose(struct hwgw_mold *mold) {
  mold->is_lost = true;
  state_update(mold);
}

void hwgw_mold_repair(struct hwgw_mold *mold) {
  mold->is_lost = false;
  state_update(mold);
}

void hwgw_mold_stale(struct hwgw_mold *mold, bool is_stale) {
  mold->is_stale = is_stale;
  state_update(mold);
}

void hwgw_mold_phase(struct hwgw_mold *mold, uint32_t phase) {
  mold->phase = (uint8_t)phase;
  state_update(mold);
}
