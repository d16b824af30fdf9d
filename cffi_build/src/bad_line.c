/* bad_line.c: what a bad line does to packets: loses, repeats, delays, reorders and damages them, or is out for a while.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: take gives a packet in, give hands out what arrives, in its order; the same seed, packets and times give the
 * same result. A packet that is reordered waits until up to reorder_max later ones have been taken, 20 ms at most.
 * Damage is of the kind that a receiver can see in a packet whose checksum is right: a cut end, another session, a wrong
 * count, a wrong block length. At the limit: when 256 packets wait the oldest leaves at once. Every packet is counted.
 */
#include "hwgw_bad_line.h"

#include <stdlib.h>

#include "base.h"
#include "hwgw_wire.h"

#define WAITING_MAX 256u
#define REORDER_PPM 100000u
#define REORDER_NS UINT64_C(20000000)

struct waiting {
  uint64_t due_cnt; /* packets taken */
  uint64_t due_ns;
  uint32_t from; /* number of the packet, from 0 */
  bool is_damaged;
  uint32_t len;
  uint8_t data[HWGW_BAD_LINE_PACKET_SZ];
};

struct hwgw_bad_line {
  struct hwgw_bad_line_cfg cfg;
  struct hwgw_bad_line_stats stats;
  uint64_t random;
  uint64_t taken;
  uint32_t cnt;
  struct waiting waiting[WAITING_MAX]; /* in order of arrival */
};

static uint64_t draw(struct hwgw_bad_line *line) { /* splitmix64 */
  uint64_t z = line->random += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

static uint32_t below(struct hwgw_bad_line *line, uint32_t limit) {
  return (uint32_t)((draw(line) >> 32) * limit >> 32);
}

static bool chance(struct hwgw_bad_line *line, uint32_t ppm) {
  return ppm && below(line, 1000000) < ppm;
}

struct hwgw_bad_line *hwgw_bad_line_open(const struct hwgw_bad_line_cfg *cfg) {
  struct hwgw_bad_line *line = calloc(1, sizeof *line);
  if (!line) return NULL;
  line->cfg = *cfg;
  line->random = cfg->seed;
  return line;
}

void hwgw_bad_line_close(struct hwgw_bad_line *line) {
  free(line);
}

static uint32_t damage(struct hwgw_bad_line *line, uint8_t *data, uint32_t len) {
  uint32_t kind = below(line, 4);
  if (kind == 0 || len < MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN + MOLDUDP64_MESSAGE_BLOCK_LEN)
    return below(line, len < MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN ? len : MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN);
  if (kind == 1)
    data[below(line, 10)] ^= (uint8_t)(1u << below(line, 7));
  else
    data[kind == 2 ? MOLDUDP64_DOWNSTREAM_PACKET_HEADER_MESSAGE_COUNT_OFF : MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN] ^=
        0x20;
  return len;
}

static void put(struct hwgw_bad_line *line, const uint8_t *data, uint32_t len, uint64_t now_ns) {
  struct waiting *to = &line->waiting[line->cnt++];
  to->len = len;
  to->from = (uint32_t)(line->taken - 1);
  to->is_damaged = false;
  to->due_cnt = line->taken;
  to->due_ns = now_ns;
  memcpy(to->data, data, len);
  if (line->cfg.reorder_max && chance(line, REORDER_PPM)) {
    to->due_cnt = line->taken + 1 + below(line, line->cfg.reorder_max);
    to->due_ns = now_ns + REORDER_NS;
    line->stats.reordered++;
  } else if (line->cfg.delay_us) {
    to->due_cnt = UINT64_MAX;
    to->due_ns = now_ns + below(line, line->cfg.delay_us * 1000u);
  }
  if (chance(line, line->cfg.damage_ppm)) {
    to->len = damage(line, to->data, len);
    to->is_damaged = true;
    line->stats.damaged++;
  }
}

void hwgw_bad_line_take(struct hwgw_bad_line *line, const uint8_t *data, uint32_t len, uint64_t now_ns) {
  line->taken++;
  line->stats.taken++;
  bool is_out = now_ns >= line->cfg.outage_from_ns && now_ns < line->cfg.outage_to_ns;
  if (is_out || len > HWGW_BAD_LINE_PACKET_SZ || chance(line, line->cfg.loss_ppm)) {
    line->stats.lost++;
    return;
  }
  bool is_twice = chance(line, line->cfg.duplicate_ppm);
  line->stats.duplicated += is_twice;
  for (uint32_t copies = 1u + is_twice; copies; copies--) {
    if (line->cnt == WAITING_MAX) { /* no room: one of them is lost */
      line->stats.lost++;
      continue;
    }
    put(line, data, len, now_ns);
  }
}

static void forget(struct hwgw_bad_line *line, uint32_t index) {
  line->cnt--;
  memmove(&line->waiting[index], &line->waiting[index + 1], (line->cnt - index) * sizeof *line->waiting);
}

/* the place of the first packet that arrives now, or WAITING_MAX */
static uint32_t arrival(struct hwgw_bad_line *line, uint64_t now_ns) {
  for (uint32_t i = 0; i < line->cnt;) {
    const struct waiting *at = &line->waiting[i];
    if (line->taken < at->due_cnt && now_ns < at->due_ns) {
      i++;
    } else if (at->len) {
      return i;
    } else { /* nothing is left of it: not even a datagram */
      forget(line, i);
      line->stats.lost++;
    }
  }
  return WAITING_MAX;
}

uint32_t hwgw_bad_line_give(struct hwgw_bad_line *line, uint8_t *data, uint64_t now_ns) {
  uint32_t index = arrival(line, now_ns);
  if (index == WAITING_MAX) return 0;
  uint32_t len = line->waiting[index].len;
  memcpy(data, line->waiting[index].data, len);
  forget(line, index);
  return len;
}

/* ---- a whole schedule ---- */

struct arrived {
  struct hwgw_bad_line_row *rows;
  uint8_t *bytes;
  uint64_t cnt;
  uint64_t used;
};

static void collect(struct hwgw_bad_line *line, uint64_t now_ns, struct arrived *to) {
  for (uint32_t index; (index = arrival(line, now_ns)) != WAITING_MAX; forget(line, index)) {
    const struct waiting *at = &line->waiting[index];
    to->rows[to->cnt++] = (struct hwgw_bad_line_row){
        .due_ns = now_ns, .at = to->used, .len = at->len, .from = at->from, .is_damaged = at->is_damaged};
    memcpy(to->bytes + to->used, at->data, at->len);
    to->used += at->len;
  }
}

/* when the next of those that wait is due at the latest; UINT64_MAX: none waits */
static uint64_t earliest(const struct hwgw_bad_line *line) {
  uint64_t first = UINT64_MAX;
  for (uint32_t i = 0; i < line->cnt; i++)
    if (line->waiting[i].due_ns < first) first = line->waiting[i].due_ns;
  return first;
}

uint64_t hwgw_bad_line_schedule(struct hwgw_bad_line *line, const struct hwgw_frame *packets, const uint64_t *due_ns,
                                uint32_t cnt, struct hwgw_bad_line_row *rows, uint8_t *bytes) {
  struct arrived to = {.rows = rows, .bytes = bytes};
  uint64_t due;
  for (uint32_t i = 0; i < cnt; i++) {
    while ((due = earliest(line)) < due_ns[i]) collect(line, due, &to);
    hwgw_bad_line_take(line, packets[i].data, packets[i].len, due_ns[i]);
    collect(line, due_ns[i], &to);
  }
  while ((due = earliest(line)) != UINT64_MAX) collect(line, due, &to);
  return to.cnt;
}

void hwgw_bad_line_stats(const struct hwgw_bad_line *line, struct hwgw_bad_line_stats *stats) {
  *stats = line->stats;
}
