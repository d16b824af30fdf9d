/* fuzz_pcap.c: any bytes as a capture file: every frame lies inside it, reading ends, and each record is counted once.
 *
 * SPDX-License-Identifier: MIT
 *
 * The file is in memory of exactly its size, where a mapped one would have the rest of its last page behind it.
 */
#include <stdlib.h>

#include "rx.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  uint8_t *file = malloc(size ? size : 1);
  if (!file) return 0;
  memcpy(file, input, size);
  struct hwgw_rx_cfg cfg = {.backend = "pcap", .path = "input"};
  struct hwgw_error error = {0};
  struct hwgw_rx *rx = NULL;
  int32_t status = hwgw_rx_pcap_memory(&rx, file, size, &cfg, &error);
  if (status) {
    if (rx || error.status != status || error.text[0] == 0) abort();
    free(file);
    return 0;
  }
  uint64_t frames = 0, bytes = 0, counters[HWGW_COUNTER_CNT] = {0};
  while (!hwgw_rx_ended(rx)) {
    struct hwgw_frame batch[7];
    uint32_t cnt = hwgw_rx_poll(rx, batch, 7);
    if (cnt == 0 && !hwgw_rx_ended(rx)) abort(); /* nothing is held back, so nothing means the end */
    for (uint32_t i = 0; i < cnt; i++) {
      if (batch[i].data < file || batch[i].len > size || batch[i].data + batch[i].len > file + size) abort();
      uint64_t want = hwgw_fnv(HWGW_FNV_BASIS, input + (batch[i].data - file), batch[i].len);
      if (hwgw_fnv(HWGW_FNV_BASIS, batch[i].data, batch[i].len) != want) abort(); /* read, and not written to */
      bytes += batch[i].len;
    }
    frames += cnt;
    hwgw_rx_release(rx);
  }
  hwgw_rx_stats(rx, counters);
  uint64_t records = frames + counters[HWGW_CNT_RX_DROP_FILE] + counters[HWGW_CNT_RX_DROP_TRUNCATED];
  if (counters[HWGW_CNT_RX_FRAMES] != frames || counters[HWGW_CNT_RX_BYTES] != bytes) abort();
  if (records > size / 12 + 1) abort(); /* no record is shorter than 12 bytes, but the damaged one at the end */
  hwgw_rx_close(rx);
  free(file);
  return 0;
}
