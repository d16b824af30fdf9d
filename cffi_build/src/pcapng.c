/* pcapng.c: formats frames as the blocks of a pcapng file.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: hwgw_pcapng.h. Layouts and codes are those of hwgw/specs/pcapng.yaml. Nothing is written beyond sz; a block
 * that does not fit is not begun.
 *
 * Cost: one copy of each frame, and one reading of the clock per call when frames bring no time stamp.
 *
 * Thread: any; no state but what the caller gives.
 */
#include "hwgw_pcapng.h"

#include <time.h>

#include "base.h"

enum {
  CLOCK_TRIES = 4,
  CLOCK_SPAN_TICKS = 4000, /* a reading of the clock that took longer was interrupted: again */
  TEXT_MAX = 4096          /* of one option; a longer text is cut */
};

#define NS_PER_S 1000000000u

struct block {
  uint8_t *start;
  uint64_t used; /* also beyond sz: then nothing is written and end gives 0 */
  uint64_t sz;
};

static uint64_t padded(uint64_t len) {
  return (len + 3) & ~(uint64_t)3;
}

static void put(struct block *block, const void *data, uint64_t len) {
  if (block->used + padded(len) <= block->sz) {
    memcpy(block->start + block->used, data, len);
    memset(block->start + block->used + len, 0, padded(len) - len);
  }
  block->used += padded(len);
}

static void option(struct block *block, uint16_t code, const void *data, uint16_t len) {
  struct hwgw_pcapng_option head = {.code = code, .len = len};
  put(block, &head, sizeof head);
  if (len) put(block, data, len);
}

static void option_text(struct block *block, uint16_t code, const char *text) {
  if (text && *text) option(block, code, text, (uint16_t)strnlen(text, TEXT_MAX));
}

static void option_number(struct block *block, uint16_t code, uint64_t number) {
  option(block, code, &number, sizeof number);
}

/* a time stamp is two words, the high one first, in any byte order */
static void option_time(struct block *block, uint16_t code, uint64_t ns) {
  uint32_t words[2] = {(uint32_t)(ns >> 32), (uint32_t)ns};
  option(block, code, words, sizeof words);
}

/* ends the options and writes the length at both ends; the whole block, or 0 */
static uint64_t end(struct block *block, bool has_options) {
  if (has_options) option(block, HWGW_PCAPNG_OPTION_END, NULL, 0);
  uint64_t len = block->used + sizeof(uint32_t);
  if (len > block->sz) return 0;
  uint32_t stored = (uint32_t)len;
  memcpy(block->start + offsetof(struct hwgw_pcapng_section, len), &stored, sizeof stored);
  put(block, &stored, sizeof stored);
  return len;
}

uint64_t hwgw_pcapng_section(uint8_t *out, uint64_t sz, const char *hardware, const char *os, const char *application) {
  struct block block = {.start = out, .sz = sz};
  struct hwgw_pcapng_section head = {.type = HWGW_PCAPNG_BLOCK_TYPE_SECTION_HEADER,
                                     .byte_order = HWGW_PCAPNG_BYTE_ORDER_MAGIC,
                                     .major = HWGW_PCAPNG_VERSION_MAJOR,
                                     .minor = HWGW_PCAPNG_VERSION_MINOR,
                                     .section_len = HWGW_PCAPNG_SECTION_LEN_UNKNOWN};
  put(&block, &head, sizeof head);
  option_text(&block, HWGW_PCAPNG_SECTION_HARDWARE, hardware);
  option_text(&block, HWGW_PCAPNG_SECTION_OS, os);
  option_text(&block, HWGW_PCAPNG_SECTION_APPLICATION, application);
  return end(&block, true);
}

uint64_t hwgw_pcapng_interface(uint8_t *out, uint64_t sz, const char *name, const char *description,
                               const char *filter) {
  struct block block = {.start = out, .sz = sz};
  struct hwgw_pcapng_interface head = {.type = HWGW_PCAPNG_BLOCK_TYPE_INTERFACE_DESCRIPTION,
                                       .link_type = HWGW_PCAPNG_LINK_TYPE_ETHERNET};
  uint8_t resolution = HWGW_PCAPNG_RESOLUTION_NS;
  put(&block, &head, sizeof head);
  option_text(&block, HWGW_PCAPNG_INTERFACE_NAME, name);
  option_text(&block, HWGW_PCAPNG_INTERFACE_DESCRIPTION, description);
  option(&block, HWGW_PCAPNG_INTERFACE_TSRESOL, &resolution, sizeof resolution);
  if (filter && *filter) {
    char text[1 + TEXT_MAX];
    size_t len = strnlen(filter, TEXT_MAX);
    text[0] = HWGW_PCAPNG_FILTER_TEXT;
    memcpy(text + 1, filter, len);
    option(&block, HWGW_PCAPNG_INTERFACE_FILTER, text, (uint16_t)(1 + len));
  }
  return end(&block, true);
}

/* CLOCK_REALTIME now, and the ticks of that moment */
static uint64_t real_now(uint64_t *ticks) {
  uint64_t best = UINT64_MAX, ns = 0;
  for (int i = 0; i < CLOCK_TRIES && best > CLOCK_SPAN_TICKS; i++) {
    struct timespec now;
    uint64_t before = hwgw_rdtsc();
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t span = hwgw_rdtsc() - before;
    if (span >= best) continue;
    best = span;
    *ticks = before + span / 2;
    ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
  }
  return ns;
}

uint64_t hwgw_pcapng_packets(uint8_t *out, uint64_t sz, uint32_t interface, const struct hwgw_frame *frames,
                             uint32_t cnt, bool with_queue, struct hwgw_pcapng_clock *clock, uint32_t *done) {
  uint64_t used = 0, now_ticks = 0, now_ns = 0;
  uint32_t i = 0;
  for (; i < cnt; i++) {
    const struct hwgw_frame *frame = &frames[i];
    uint64_t ts_ns = frame->ts_ns;
    if (ts_ns == 0) {
      if (now_ns == 0) now_ns = real_now(&now_ticks);
      int64_t age = (int64_t)(now_ticks - frame->t_rx);
      ts_ns = age > 0 ? now_ns - hwgw_ticks_to_ns((uint64_t)age) : now_ns;
      if (ts_ns < clock->last_ns) ts_ns = clock->last_ns;
      clock->last_ns = ts_ns;
    }
    struct block block = {.start = out + used, .sz = sz - used};
    struct hwgw_pcapng_packet head = {.type = HWGW_PCAPNG_BLOCK_TYPE_ENHANCED_PACKET,
                                      .interface = interface,
                                      .ts_high = (uint32_t)(ts_ns >> 32),
                                      .ts_low = (uint32_t)ts_ns,
                                      .captured = frame->len,
                                      .original = frame->len};
    put(&block, &head, sizeof head);
    put(&block, frame->data, frame->len);
    if (with_queue) {
      uint32_t queue = frame->queue;
      option(&block, HWGW_PCAPNG_PACKET_QUEUE, &queue, sizeof queue);
    }
    uint64_t len = end(&block, with_queue);
    if (len == 0) break;
    used += len;
  }
  *done = i;
  return used;
}

uint64_t hwgw_pcapng_statistics(uint8_t *out, uint64_t sz, uint32_t interface,
                                const struct hwgw_pcapng_counts *counts) {
  struct block block = {.start = out, .sz = sz};
  struct hwgw_pcapng_statistics head = {.type = HWGW_PCAPNG_BLOCK_TYPE_INTERFACE_STATISTICS,
                                        .interface = interface,
                                        .ts_high = (uint32_t)(counts->end_ns >> 32),
                                        .ts_low = (uint32_t)counts->end_ns};
  uint64_t accepted = counts->delivered + counts->interface_drops + counts->os_drops;
  put(&block, &head, sizeof head);
  option_time(&block, HWGW_PCAPNG_STATISTICS_START, counts->start_ns);
  option_time(&block, HWGW_PCAPNG_STATISTICS_END, counts->end_ns);
  if (counts->unfiltered) option_number(&block, HWGW_PCAPNG_STATISTICS_RECEIVED, accepted);
  option_number(&block, HWGW_PCAPNG_STATISTICS_INTERFACE_DROPS, counts->interface_drops);
  option_number(&block, HWGW_PCAPNG_STATISTICS_ACCEPTED, accepted);
  option_number(&block, HWGW_PCAPNG_STATISTICS_OS_DROPS, counts->os_drops);
  option_number(&block, HWGW_PCAPNG_STATISTICS_DELIVERED, counts->delivered);
  return end(&block, true);
}

uint64_t hwgw_pcapng_whole(const uint8_t *data, uint64_t len, uint64_t *packets) {
  uint64_t at = 0;
  *packets = 0;
  while (len - at >= HWGW_PCAPNG_BLOCK_LEN_MIN) {
    uint32_t type, block_len;
    memcpy(&type, data + at + offsetof(struct hwgw_pcapng_section, type), sizeof type);
    memcpy(&block_len, data + at + offsetof(struct hwgw_pcapng_section, len), sizeof block_len);
    if (block_len < HWGW_PCAPNG_BLOCK_LEN_MIN || block_len > len - at) break;
    *packets += type == HWGW_PCAPNG_BLOCK_TYPE_ENHANCED_PACKET;
    at += block_len;
  }
  return at;
}
