/* scan_records.c: the messages of record files, in batches.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: bytes of a BinaryFILE the caller has read. Output: number, place and length of each whole record; nothing is
 * judged but the framing. Thread: any; no state.
 */
#include "base.h"
#include "hwgw_scan.h"

#define RECORD_HEADER_LEN ITCH50_BINARYFILE_LENGTH_SZ

uint32_t hwgw_scan_records(const uint8_t *data, uint32_t len, uint64_t first_seq, struct hwgw_scan_message *messages,
                           uint32_t max, uint32_t *used, bool *ended) {
  uint32_t at = 0, cnt = 0;
  *ended = false;
  while (cnt < max && len - at >= RECORD_HEADER_LEN) {
    uint32_t record_len = hwgw_be16(data + at);
    if (HWGW_UNLIKELY(!record_len)) {
      at += RECORD_HEADER_LEN;
      *ended = true;
      break;
    }
    if (HWGW_UNLIKELY(record_len > len - at - RECORD_HEADER_LEN)) break;
    messages[cnt] = (struct hwgw_scan_message){
        .seq = first_seq + cnt, .offset = at + RECORD_HEADER_LEN, .len = (uint16_t)record_len};
    cnt++;
    at += RECORD_HEADER_LEN + record_len;
  }
  *used = at;
  return cnt;
}
