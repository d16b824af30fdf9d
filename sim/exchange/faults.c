/* faults.c: what a bad line does to packets: loses, repeats, delays, reorders and damages them, or is out for a while.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: take gives a packet in, give hands out what arrives, in its order; the same seed, packets and times give the
 * same result. A packet that is reordered waits until up to reorder_max later ones have been taken, 20 ms at most.
 * Damage is of the kind that a receiver can see in a packet whose checksum is right: a cut end, another session, a wrong
 * count, a wrong block length. At the limit: when 256 packets wait the oldest leaves at once. Every packet is counted.
 */
#include <stdlib.h>

#include "exchange.h"

#define WAITING_MAX 256u
#define REORDER_PPM 100000u
#define REORDER_NS UINT64_C(20000000)

struct waiting {
  uint64_t due_cnt; /* packets taken */
  uint64_t due_ns;
  uint32_t len;
  uint8_t data[SIM_PACKET_SZ];
};

struct hwgw_sim_faults {
  struct hwgw_sim_faults_cfg cfg;
  struct hwgw_sim_faults_stats stats;
  uint64_t random;
  uint64_t taken;
  uint32_t cnt;
  struct waiting waiting[WAITING_MAX]; /* in order of arrival */
};

static uint64_t draw(struct hwgw_sim_faults *faults) { /* splitmix64 */
  uint64_t z = faults->random += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

static uint32_t below(struct hwgw_sim_faults *faults, uint32_t limit) {
  return (uint32_t)((draw(faults) >> 32) * limit >> 32);
}

static bool chance(struct hwgw_sim_faults *faults, uint32_t ppm) {
  return ppm && below(faults, 1000000) < ppm;
}

struct hwgw_sim_faults *hwgw_sim_faults_open(const struct hwgw_sim_faults_cfg *cfg) {
  struct hwgw_sim_faults *faults = calloc(1, sizeof *faults);
  if (!faults) return NULL;
  faults->cfg = *cfg;
  faults->random = cfg->seed;
  return faults;
}

void hwgw_sim_faults_close(struct hwgw_sim_faults *faults) {
  free(faults);
}

static uint32_t damage(struct hwgw_sim_faults *faults, uint8_t *data, uint32_t len) {
  uint32_t kind = below(faults, 4);
  if (kind == 0 || len < MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN + MOLDUDP64_MESSAGE_BLOCK_LEN)
    return below(faults, len < MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN ? len : MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN);
  if (kind == 1)
    data[below(faults, 10)] ^= (uint8_t)(1u << below(faults, 7));
  else
    data[kind == 2 ? MOLDUDP64_DOWNSTREAM_PACKET_HEADER_MESSAGE_COUNT_OFF : MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN] ^=
        0x20;
  return len;
}

static void put(struct hwgw_sim_faults *faults, const uint8_t *data, uint32_t len, uint64_t now_ns) {
  struct waiting *to = &faults->waiting[faults->cnt++];
  to->len = len;
  to->due_cnt = faults->taken;
  to->due_ns = now_ns;
  memcpy(to->data, data, len);
  if (faults->cfg.reorder_max && chance(faults, REORDER_PPM)) {
    to->due_cnt = faults->taken + 1 + below(faults, faults->cfg.reorder_max);
    to->due_ns = now_ns + REORDER_NS;
    faults->stats.reordered++;
  } else if (faults->cfg.delay_us) {
    to->due_cnt = UINT64_MAX;
    to->due_ns = now_ns + below(faults, faults->cfg.delay_us * 1000u);
  }
  if (chance(faults, faults->cfg.damage_ppm)) {
    to->len = damage(faults, to->data, len);
    faults->stats.damaged++;
  }
}

void hwgw_sim_faults_take(struct hwgw_sim_faults *faults, const uint8_t *data, uint32_t len, uint64_t now_ns) {
  faults->taken++;
  faults->stats.taken++;
  bool is_out = now_ns >= faults->cfg.outage_from_ns && now_ns < faults->cfg.outage_to_ns;
  if (is_out || len > SIM_PACKET_SZ || chance(faults, faults->cfg.loss_ppm)) {
    faults->stats.lost++;
    return;
  }
  bool is_twice = chance(faults, faults->cfg.duplicate_ppm);
  faults->stats.duplicated += is_twice;
  for (uint32_t copies = 1u + is_twice; copies; copies--) {
    if (faults->cnt == WAITING_MAX) { /* no room: one of them is lost */
      faults->stats.lost++;
      continue;
    }
    put(faults, data, len, now_ns);
  }
}

uint32_t hwgw_sim_faults_give(struct hwgw_sim_faults *faults, uint8_t *data, uint64_t now_ns) {
  for (uint32_t i = 0; i < faults->cnt; i++) {
    const struct waiting *from = &faults->waiting[i];
    if (faults->taken < from->due_cnt && now_ns < from->due_ns) continue;
    uint32_t len = from->len;
    memcpy(data, from->data, len);
    faults->cnt--;
    memmove(&faults->waiting[i], &faults->waiting[i + 1], (faults->cnt - i) * sizeof *faults->waiting);
    if (len) return len;
    i--; /* nothing is left of it: not even a datagram */
    faults->stats.lost++;
  }
  return 0;
}

void hwgw_sim_faults_stats(const struct hwgw_sim_faults *faults, struct hwgw_sim_faults_stats *stats) {
  *stats = faults->stats;
}
