/* fuzz_mold.c: any packets on the lines of a channel: nothing outside a packet is read, no number is delivered twice.
 *
 * SPDX-License-Identifier: MIT
 *
 * The input is a list of steps. A step's first byte has the line and how the packet is made: bytes as they are, or a
 * sound header (session, a number near the expected one, a count) before them, or whole blocks cut from them. Every
 * packet lies in memory of exactly its size.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base.h"

#define LINES 3
#define PACKET_MAX 600

struct input {
  const uint8_t *data;
  size_t len;
};

static void expect(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz_mold: %s\n", what);
  abort();
}

static uint8_t take(struct input *in) {
  if (!in->len) return 0;
  in->len--;
  return *in->data++;
}

/* a header that fits the channel; returns its length */
static size_t header_make(struct input *in, const struct hwgw_mold *mold, uint8_t *packet) {
  memcpy(packet, mold->next_seq ? mold->session : (const uint8_t *)"FUZZFUZZ01", 10);
  if (take(in) == 0xEE) packet[take(in) % 10] ^= 1;
  uint64_t base = mold->next_seq ? mold->next_seq : 1;
  hwgw_put_be64(packet + 10, base + (uint64_t)(int8_t)take(in));
  uint8_t count = take(in);
  hwgw_put_be16(packet + 18, count == 0xFF ? 0xFFFF : count % 12);
  return MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN;
}

static size_t packet_make(struct input *in, const struct hwgw_mold *mold, uint8_t how, uint8_t *packet) {
  size_t len = 0;
  if (how & 1) len = header_make(in, mold, packet);
  if (how & 2) { /* as many whole blocks as the header says */
    uint32_t count = len ? hwgw_be16(packet + 18) : 0;
    for (uint32_t i = 0; i < count && count != 0xFFFF; i++) {
      size_t block = take(in) % 40;
      hwgw_put_be16(packet + len, (uint16_t)block);
      len += 2;
      for (size_t k = 0; k < block; k++) packet[len++] = take(in);
    }
  }
  size_t tail = how & 4 ? take(in) % 64 : 0;
  for (size_t k = 0; k < tail; k++) packet[len++] = take(in);
  return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input in = {.data = data, .len = size};
  struct hwgw_mold mold;
  uint64_t counters[HWGW_COUNTER_CNT] = {0}, frames = 0, delivered = 0, last = 0;
  hwgw_mold_init(&mold, 0, LINES);
  mold.jump_max = take(&in) & 1 ? 100 : 0;
  while (in.len) {
    uint8_t how = take(&in), made[PACKET_MAX];
    if (how == 0xFF) hwgw_mold_repair(&mold);
    size_t len = packet_make(&in, &mold, how >> 2, made);
    uint8_t *packet = malloc(len ? len : 1);
    if (!packet) return 0;
    memcpy(packet, made, len);
    struct hwgw_mold before = mold;
    struct hwgw_mold_iter iter;
    uint32_t cause = hwgw_mold_packet(&mold, how % LINES, packet, (uint32_t)len, frames, counters, &iter);
    expect(cause >= HWGW_CNT_MOLD_FRAMES && cause <= HWGW_CNT_MOLD_DROP_GAP, "a cause that is none");
    counters[cause]++;
    frames++;
    expect(mold.next_seq >= before.next_seq, "the expected number went back");
    expect(cause == HWGW_CNT_MOLD_FRAMES || iter.left == 0, "a dropped packet delivers");
    expect(before.state != HWGW_SEGMENT_FEED_STATE_ENDED || mold.state == before.state, "an end that was not final");
    expect(mold.state != HWGW_SEGMENT_FEED_STATE_GOOD || counters[HWGW_CNT_MOLD_GAPS] == 0 ||
               before.state == HWGW_SEGMENT_FEED_STATE_GOOD,
           "good again without repair");
    if (cause != HWGW_CNT_MOLD_FRAMES) expect(mold.state == before.state, "a dropped packet changed the state");
    uint32_t message_len;
    uint64_t seq;
    const uint8_t *message;
    while ((message = hwgw_mold_next(&iter, &message_len, &seq))) {
      expect(message >= packet + 22 && message + message_len <= packet + len, "a message outside its packet");
      uint8_t copy[UINT16_MAX];
      memcpy(copy, message, message_len); /* reads every byte of it */
      expect(seq > last, "a number delivered twice or out of order");
      last = seq;
      delivered++;
    }
    expect(last < mold.next_seq || !delivered, "delivered beyond the expected number");
    free(packet);
  }
  uint64_t named = 0, first = 0, on_lines = 0;
  for (uint32_t i = HWGW_CNT_MOLD_FRAMES; i <= HWGW_CNT_MOLD_DROP_GAP; i++) named += counters[i];
  for (uint32_t i = 0; i < LINES; i++) {
    first += mold.line[i].first;
    on_lines += mold.line[i].frames;
  }
  expect(named == frames && on_lines == frames, "the ledger of frames does not add up");
  expect(delivered == counters[HWGW_CNT_MOLD_MESSAGES] && delivered == first, "the ledger of messages does not add up");
  return 0;
}
