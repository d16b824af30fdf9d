/* publish.c: the feed: messages into MoldUDP64 packets, packets to the wire in batches.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: a message is given its sequence number when its room is reserved, and leaves at the next flush, which comes
 * when 64 packets are full or the caller's batch ends. A recording has what was published, whatever became of it on the
 * lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "exchange.h"

int32_t sim_publish_open(sim_exchange *x, char *error, uint32_t error_sz) {
  struct sim_publish *publish = &x->publish;
  publish->packet_sz_max = x->cfg.packet_sz_max ? x->cfg.packet_sz_max : 1400;
  if (publish->packet_sz_max < 128 || publish->packet_sz_max > SIM_PACKET_SZ)
    return sim_fail(error, error_sz, 3, "packet size %u: 128 to %u bytes are allowed", publish->packet_sz_max,
                    SIM_PACKET_SZ);
  publish->heartbeat_ns = (x->cfg.heartbeat_ms ? x->cfg.heartbeat_ms : 1000u) * UINT64_C(1000000);
  publish->next_seq = 1;
  publish->last_ns = sim_now();
  memcpy(publish->session, x->cfg.session, sizeof publish->session);
  for (uint32_t i = 0; i < SIM_PACKETS_MAX; i++) publish->packets[i].len = MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN;
  if (x->cfg.record_path && x->cfg.record_path[0]) {
    publish->record_fd = open(x->cfg.record_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (publish->record_fd < 0) return sim_fail(error, error_sz, 3, "%s: %s", x->cfg.record_path, strerror(errno));
  }
  return sim_lines_open(x, error, error_sz);
}

void sim_publish_close(sim_exchange *x) {
  sim_lines_close(x);
  if (x->publish.record_fd >= 0) close(x->publish.record_fd);
  x->publish.record_fd = -1;
}

uint8_t *sim_publish_reserve(sim_exchange *x, uint32_t len) {
  struct sim_publish *publish = &x->publish;
  struct sim_packet *packet = &publish->packets[publish->current];
  uint32_t room = MOLDUDP64_MESSAGE_BLOCK_LEN + len;
  if (packet->cnt && packet->len + room > publish->packet_sz_max) {
    if (publish->current + 1 == SIM_PACKETS_MAX)
      sim_publish_flush(x);
    else
      publish->current++;
    packet = &publish->packets[publish->current];
  }
  if (!packet->cnt) {
    moldudp64_downstream_packet_header_sequence_number_set(packet->data, publish->next_seq);
    packet->scheduled_ns = x->scheduled_ns;
  }
  uint8_t *block = packet->data + packet->len;
  moldudp64_message_block_message_length_set(block, (uint16_t)len);
  packet->len += room;
  packet->cnt++;
  publish->next_seq++;
  return block + MOLDUDP64_MESSAGE_BLOCK_LEN;
}

static void record_packets(sim_exchange *x, uint32_t cnt) {
  for (uint32_t i = 0; i < cnt; i++) {
    const struct sim_packet *packet = &x->publish.packets[i];
    uint32_t at = MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN; /* message blocks are framed as BinaryFILE records are */
    while (at < packet->len) {
      ssize_t written = write(x->publish.record_fd, packet->data + at, packet->len - at);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) { /* a torn recording must not look like a whole one */
        close(x->publish.record_fd);
        x->publish.record_fd = -1;
        x->stats.record_errors++;
        return;
      }
      at += (uint32_t)written;
    }
  }
}

/* a packet without messages: heartbeat or end of session */
static void send_empty(sim_exchange *x, uint16_t message_count) {
  struct sim_packet packet = {.len = MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN};
  x->publish.last_ns = sim_now();
  moldudp64_downstream_packet_header_session_set(packet.data, x->publish.session);
  moldudp64_downstream_packet_header_sequence_number_set(packet.data, x->publish.next_seq);
  moldudp64_downstream_packet_header_message_count_set(packet.data, message_count);
  sim_lines_send(x, &packet, 1);
}

void sim_publish_flush(sim_exchange *x) {
  struct sim_publish *publish = &x->publish;
  uint32_t cnt = publish->current + (publish->packets[publish->current].cnt ? 1 : 0);
  if (!cnt) return;
  for (uint32_t i = 0; i < cnt; i++) {
    struct sim_packet *packet = &publish->packets[i];
    moldudp64_downstream_packet_header_session_set(packet->data, publish->session);
    moldudp64_downstream_packet_header_message_count_set(packet->data, (uint16_t)packet->cnt);
    sim_recovery_keep(x, moldudp64_downstream_packet_header_sequence_number(packet->data),
                      packet->data + MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN,
                      packet->len - MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN, packet->cnt);
  }
  sim_lines_send(x, publish->packets, cnt);
  if (publish->record_fd >= 0) record_packets(x, cnt);
  uint64_t now = sim_now();
  publish->last_ns = now;
  if (!x->first_ns) x->first_ns = x->start_ns;
  x->last_ns = now;
  for (uint32_t i = 0; i < cnt; i++) {
    struct sim_packet *packet = &publish->packets[i];
    if (packet->scheduled_ns)
      sim_hist_record(&x->lateness, now > packet->scheduled_ns ? now - packet->scheduled_ns : 0);
    packet->len = MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN;
    packet->cnt = 0;
  }
  publish->current = 0;
}

void sim_publish_heartbeat(sim_exchange *x, uint64_t now) {
  if (now >= x->publish.last_ns + x->publish.heartbeat_ns) send_empty(x, MOLDUDP64_HEARTBEAT_COUNT);
}

void sim_publish_end(sim_exchange *x) {
  send_empty(x, MOLDUDP64_END_OF_SESSION_COUNT);
}
