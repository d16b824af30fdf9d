/* fuzz_pcapng.c: any frames, written to buffers of any size, are read back from the file as they were.
 *
 * SPDX-License-Identifier: MIT
 *
 * Each buffer is memory of exactly its size. The input: a seed for lengths and times, then the bytes of the frames.
 */
#include <stdlib.h>

#include "hwgw_pcapng.h"
#include "rx.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { FRAMES_MAX = 64, HEAD_SZ = 2048, STATISTICS_SZ = 256, BLOCK_ROOM = 48 };

static uint64_t next(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

/* cnt frames behind each other in input, with lengths and times by seed; returns how many there are */
static uint32_t cut(const uint8_t *input, size_t size, uint64_t *seed, struct hwgw_frame *frames) {
  uint32_t cnt = 0;
  uint64_t ts_ns = 1;
  while (size && cnt < FRAMES_MAX) {
    uint32_t len = (uint32_t)(next(seed) % 200);
    if (len > size) len = (uint32_t)size;
    ts_ns += next(seed);
    frames[cnt++] = (struct hwgw_frame){
        .data = input, .len = len, .flow = HWGW_FLOW_NONE, .queue = (uint16_t)next(seed), .ts_ns = ts_ns};
    input += len;
    size -= len;
  }
  return cnt;
}

/* appends a buffer of exactly room bytes to the file */
static uint64_t append(uint8_t *file, uint64_t at, const uint8_t *buffer, uint64_t len) {
  memcpy(file + at, buffer, len);
  return at + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  uint64_t seed;
  if (size < sizeof seed) return 0;
  memcpy(&seed, input, sizeof seed);
  struct hwgw_frame frames[FRAMES_MAX];
  uint32_t cnt = cut(input + sizeof seed, size - sizeof seed, &seed, frames);
  uint8_t *file = malloc(2 * HEAD_SZ + STATISTICS_SZ + size + FRAMES_MAX * BLOCK_ROOM);
  uint8_t *head = malloc(HEAD_SZ);
  if (!file || !head) abort();
  uint64_t at = append(file, 0, head, hwgw_pcapng_section(head, HEAD_SZ, "machine", NULL, "fuzz"));
  at = append(file, at, head, hwgw_pcapng_interface(head, HEAD_SZ, "if0", "", "udp"));
  free(head);
  struct hwgw_pcapng_clock clock = {0};
  bool with_queue = seed & 1;
  for (uint32_t done = 0; done < cnt;) {
    uint64_t room = next(&seed) % 600, packets;
    uint8_t *buffer = malloc(room ? room : 1);
    uint32_t fitted;
    if (!buffer) abort();
    uint64_t used = hwgw_pcapng_packets(buffer, room, 0, frames + done, cnt - done, with_queue, &clock, &fitted);
    if (used > room || fitted > cnt - done || (used == 0) != (fitted == 0)) abort();
    if (hwgw_pcapng_whole(buffer, used, &packets) != used || packets != fitted) abort();
    if (fitted == 0 && room > frames[done].len + BLOCK_ROOM) abort(); /* there was room for it */
    at = append(file, at, buffer, used);
    done += fitted;
    free(buffer);
  }
  struct hwgw_pcapng_counts counts = {.start_ns = 1, .end_ns = 2, .delivered = cnt};
  uint8_t *tail = malloc(STATISTICS_SZ);
  if (!tail) abort();
  at = append(file, at, tail, hwgw_pcapng_statistics(tail, STATISTICS_SZ, 0, &counts));
  free(tail);

  struct hwgw_rx_cfg cfg = {.backend = "pcap", .path = "written"};
  struct hwgw_error error = {0};
  struct hwgw_rx *rx = NULL;
  if (hwgw_rx_pcap_memory(&rx, file, at, &cfg, &error)) abort();
  uint32_t seen = 0;
  while (!hwgw_rx_ended(rx)) {
    struct hwgw_frame batch[16];
    uint32_t got = hwgw_rx_poll(rx, batch, 16);
    for (uint32_t i = 0; i < got; i++, seen++) {
      const struct hwgw_frame *want = &frames[seen];
      if (seen == cnt || batch[i].len != want->len || batch[i].ts_ns != want->ts_ns) abort();
      if (want->len && memcmp(batch[i].data, want->data, want->len)) abort();
    }
    hwgw_rx_release(rx);
  }
  uint64_t counters[HWGW_COUNTER_CNT] = {0};
  hwgw_rx_stats(rx, counters);
  if (seen != cnt || counters[HWGW_CNT_RX_DROP_FILE]) abort();
  hwgw_rx_close(rx);
  free(file);
  return 0;
}
