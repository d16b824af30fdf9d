/* soup.h: SoupBinTCP packets as bytes: what the order session and the snapshot client share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_SOUP_H
#define HWGW_SOUP_H

#include "base.h"

#define SOUP_NUMBER_SZ SOUPBINTCP_LOGIN_REQUEST_REQUESTED_SEQUENCE_NUMBER_SZ
/* the longest packet that a 2-byte count can announce; a receive buffer of two of them always has a packet whole in one
 * piece when it is compacted once per half */
#define SOUP_PACKET_MAX (SOUPBINTCP_LENGTH_SZ + 1 + SOUPBINTCP_PAYLOAD_MAX)
#define SOUP_RX_SZ (2 * (SOUP_PACKET_MAX + 1))

/* bytes of a packet with its length, of which at least the length is there */
static inline uint32_t soup_packet_len(const uint8_t *data) {
  return SOUPBINTCP_LENGTH_SZ + (uint32_t)soupbintcp_sequenced_data_packet_length(data);
}

/* decimal number padded with spaces, on the left as the text has it or on the right as Nasdaq's own library does; false
 * when it is not one or does not fit */
static inline bool soup_number(const uint8_t *text, uint32_t len, uint64_t *number) {
  uint32_t i = 0;
  while (len && text[len - 1] == ' ') len--;
  *number = 0;
  while (i < len && text[i] == ' ') i++;
  if (i == len) return false;
  for (; i < len; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    if (__builtin_mul_overflow(*number, 10u, number)) return false;
    if (__builtin_add_overflow(*number, (uint64_t)(text[i] - '0'), number)) return false;
  }
  return true;
}

/* padded on the left like the venue's own */
static inline void soup_number_put(char *text, uint64_t number) {
  uint32_t at = SOUP_NUMBER_SZ;
  do {
    text[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number);
  memset(text, ' ', at);
}

/* a login of SOUPBINTCP_LOGIN_REQUEST_LEN bytes; the texts are padded */
static inline uint32_t soup_login(uint8_t *packet, const char *username, const char *password, const char *session,
                                  uint64_t seq) {
  char number[SOUP_NUMBER_SZ];
  soup_number_put(number, seq);
  soupbintcp_login_request_init(packet);
  soupbintcp_login_request_username_set(packet, username);
  soupbintcp_login_request_password_set(packet, password);
  soupbintcp_login_request_requested_session_set(packet, session);
  soupbintcp_login_request_requested_sequence_number_set(packet, number);
  return SOUPBINTCP_LOGIN_REQUEST_LEN;
}

/* a packet that is only its type: heartbeat or logout */
static inline uint32_t soup_control(uint8_t *packet, char code) {
  soupbintcp_client_heartbeat_init(packet);
  soupbintcp_client_heartbeat_packet_type_set(packet, code);
  return SOUPBINTCP_CLIENT_HEARTBEAT_LEN;
}

#endif
