/* fuzz_net.c: any bytes as a frame: the parser stays inside them, so does what it finds, and its checksum is verified as
 * RFC 768 says.
 *
 * SPDX-License-Identifier: MIT
 *
 * The first byte of the input says whether the header checksum is put right before parsing, without which hardly any
 * input would get behind it. The frame lies in memory of exactly its size.
 */
#include <stdlib.h>

#include "base.h"

static void checksum_fix(uint8_t *frame, size_t len) {
  size_t at = 14;
  while (at < 22 && len >= at && (hwgw_be16(frame + at - 2) == 0x8100 || hwgw_be16(frame + at - 2) == 0x88A8)) at += 4;
  if (len < at + 20) return;
  size_t header_len = (frame[at] & 15) * 4u;
  if (header_len < 20 || len < at + header_len) return;
  hwgw_put_be16(frame + at + 10, 0);
  uint32_t sum = 0;
  for (size_t i = 0; i < header_len; i += 2) sum += hwgw_be16(frame + at + i);
  sum = (sum & 0xFFFF) + (sum >> 16);
  sum = (sum & 0xFFFF) + (sum >> 16);
  hwgw_put_be16(frame + at + 10, (uint16_t)~sum);
}

/* 16 bits at a time, as the RFC tells it; ip is where the header begins */
static bool checksum_is_right(const uint8_t *ip, const struct hwgw_datagram *found) {
  const uint8_t *udp = found->data - 8;
  uint32_t len = found->len + 8, sum = 17 + len;
  for (uint32_t i = 12; i < 20; i += 2) sum += hwgw_be16(ip + i);
  for (uint32_t i = 0; i < len; i++) sum += i & 1 ? udp[i] : (uint32_t)udp[i] << 8;
  while (sum >> 16) sum = (sum & 0xFFFF) + (sum >> 16);
  return hwgw_be16(udp + 6) == 0 || sum == 0xFFFF;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  static const struct hwgw_flow flows[] = {{.group = 0xEF010203, .port = 26400}, {.group = 0xE9360C6F, .port = 26477}};
  if (size == 0) return 0;
  size_t len = size - 1;
  uint8_t *frame = malloc(len ? len : 1);
  if (!frame) return 0;
  memcpy(frame, input + 1, len);
  if (input[0] & 1) checksum_fix(frame, len);
  struct hwgw_datagram found = {0};
  uint32_t cause = hwgw_net_parse(flows, 2, frame, (uint32_t)len, &found);
  if (cause == 0) {
    if (found.flow > 1 || found.data < frame + 42 || found.len > len || found.data + found.len > frame + len) abort();
    if (hwgw_be16(found.data - 6) != flows[found.flow].port) abort();
    const uint8_t *ip = frame + 14;
    while (hwgw_be16(ip - 2) != 0x0800) ip += 4;
    if (hwgw_net_verify(frame, &found) != (checksum_is_right(ip, &found) ? 0 : HWGW_CNT_NET_DROP_UDP_CHECKSUM)) abort();
  } else if (cause < HWGW_CNT_NET_DROP_SHORT || cause > HWGW_CNT_NET_DROP_FOREIGN) {
    abort();
  }
  uint32_t without_flows = hwgw_net_parse(NULL, 0, frame, (uint32_t)len, &found);
  if (without_flows != (cause ? cause : HWGW_CNT_NET_DROP_FOREIGN)) abort();
  free(frame);
  return 0;
}
