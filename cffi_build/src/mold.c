/* mold.c: MoldUDP64 downstream packets to messages in sequence.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: the UDP payload of one packet of one of the channel's lines. Output: an iterator over the messages that are
 * new. Arbitration is by message number, never by packet, because lines need not be cut into the same packets: the
 * first copy of a number is delivered, every later one skipped.
 *
 * Order of checks; the first that fails names the packet, which then changes nothing but its line's frame count:
 *   1 drop_short      fewer bytes than the header
 *   2 drop_blocks     walking exactly message_count blocks does not end at the end of the datagram. The whole packet is
 *                     walked before any of it is delivered. Heartbeat and end of session have no blocks
 *   3 drop_session    not the session of the first packet. The session is latched: a new one needs a new start, because
 *                     the books of the old one mean nothing in it
 *   4 drop_gap        number 0 (the first message is 1), further ahead than jump_max, or past the end of 64-bit numbers
 *   5 drop_duplicate  every message was known already
 *
 * The first packet sets session and number (a late start is no gap). A number ahead of the expected one, be it of data,
 * a heartbeat (tail loss) or an end of session, is a hole: gaps + 1, missing + its width, state gapped until
 * hwgw_mold_repair; delivery goes on behind it. An end of session makes the state ended, for good.
 * Cost: one header and one length per block. Thread: the one that owns the channel.
 */
#include "base.h"

#define HEADER_LEN MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN
#define BLOCK_HEADER_LEN MOLDUDP64_MESSAGE_BLOCK_LEN
#define SESSION_LEN 10
#define COUNT_END MOLDUDP64_END_OF_SESSION_COUNT

_Static_assert(sizeof(((struct hwgw_mold *)0)->session) == SESSION_LEN, "session of the header");

void hwgw_mold_init(struct hwgw_mold *mold, uint16_t channel, uint8_t line_cnt) {
  memset(mold, 0, sizeof *mold);
  mold->channel = channel;
  mold->line_cnt = line_cnt < HWGW_LINES_MAX ? line_cnt : HWGW_LINES_MAX;
  mold->state = HWGW_SEGMENT_FEED_STATE_WAITING;
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

/* a hole between the expected number and `seq` */
static void gap_note(struct hwgw_mold *mold, uint64_t seq, uint64_t *counters) {
  counters[HWGW_CNT_MOLD_GAPS]++;
  counters[HWGW_CNT_MOLD_MISSING] += seq - mold->next_seq;
  if (mold->state != HWGW_SEGMENT_FEED_STATE_ENDED) mold->state = HWGW_SEGMENT_FEED_STATE_GAPPED;
  mold->next_seq = seq;
}

uint32_t hwgw_mold_packet(struct hwgw_mold *mold, uint32_t line_idx, const uint8_t *data, uint32_t len, uint64_t t_rx,
                          uint64_t *counters, struct hwgw_mold_iter *iter) {
  struct hwgw_mold_line *line = &mold->line[line_idx % HWGW_LINES_MAX];
  iter->cursor = data;
  iter->seq = 0;
  iter->left = 0;
  line->frames++;
  if (HWGW_UNLIKELY(len < HEADER_LEN)) return HWGW_CNT_MOLD_DROP_SHORT;

  uint64_t seq = moldudp64_downstream_packet_header_sequence_number(data);
  uint32_t count = moldudp64_downstream_packet_header_message_count(data);
  uint32_t blocks = count == COUNT_END ? 0 : count;
  bool first = mold->state == HWGW_SEGMENT_FEED_STATE_WAITING;
  uint64_t expected = first ? seq : mold->next_seq;
  uint64_t skip = expected > seq ? expected - seq : 0;

  const uint8_t *cursor = blocks_walk(data + HEADER_LEN, data + len, blocks, skip);
  if (HWGW_UNLIKELY(!cursor)) return HWGW_CNT_MOLD_DROP_BLOCKS;
  const uint8_t *session = moldudp64_downstream_packet_header_session(data);
  if (HWGW_UNLIKELY(!first && memcmp(mold->session, session, SESSION_LEN) != 0)) return HWGW_CNT_MOLD_DROP_SESSION;
  if (HWGW_UNLIKELY(!seq || seq > UINT64_MAX - blocks)) return HWGW_CNT_MOLD_DROP_GAP;
  if (HWGW_UNLIKELY(seq > expected && mold->jump_max && seq - expected > mold->jump_max)) return HWGW_CNT_MOLD_DROP_GAP;

  if (HWGW_UNLIKELY(first)) {
    memcpy(mold->session, session, SESSION_LEN);
    mold->state = HWGW_SEGMENT_FEED_STATE_GOOD;
    mold->next_seq = seq;
  }
  /* of the known messages, those this line had not brought itself were another line's first */
  uint64_t end = seq + blocks;
  uint64_t known = skip < blocks ? skip : blocks;
  uint64_t late_from = seq > line->next_seq ? seq : line->next_seq;
  if (late_from < seq + known) line->late += seq + known - late_from;
  if (end > line->next_seq) line->next_seq = end;
  line->t_last = t_rx;
  counters[HWGW_CNT_MOLD_DUPLICATES] += known;
  if (HWGW_UNLIKELY(blocks && known == blocks)) return HWGW_CNT_MOLD_DROP_DUPLICATE;

  if (HWGW_UNLIKELY(seq > mold->next_seq)) gap_note(mold, seq, counters);
  if (HWGW_LIKELY(blocks)) {
    uint32_t fresh = blocks - (uint32_t)known;
    iter->cursor = cursor;
    iter->seq = mold->next_seq;
    iter->left = fresh;
    line->first += fresh;
    mold->next_seq = end;
    counters[HWGW_CNT_MOLD_MESSAGES] += fresh;
  } else if (count == COUNT_END) {
    counters[HWGW_CNT_MOLD_ENDS]++;
    mold->state = HWGW_SEGMENT_FEED_STATE_ENDED;
  } else {
    counters[HWGW_CNT_MOLD_HEARTBEATS]++;
  }
  return HWGW_CNT_MOLD_FRAMES;
}

const uint8_t *hwgw_mold_next(struct hwgw_mold_iter *iter, uint32_t *len, uint64_t *seq) {
  if (!iter->left) return NULL;
  const uint8_t *message = iter->cursor + BLOCK_HEADER_LEN;
  *len = moldudp64_message_block_message_length(iter->cursor);
  *seq = iter->seq++;
  iter->cursor = message + *len;
  iter->left--;
  return message;
}

void hwgw_mold_repair(struct hwgw_mold *mold) {
  if (mold->state == HWGW_SEGMENT_FEED_STATE_GAPPED) mold->state = HWGW_SEGMENT_FEED_STATE_GOOD;
}
