/* pace.c: sends frames by an absolute schedule.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: hwgw_pace.h. The schedule is fixed at the first step: a frame is due at start + its offset, whatever became
 * of those before it. So a sender that falls behind catches up, its rate does not drift, and lateness, which is recorded
 * for every frame from its due time, leaves nothing out.
 *
 * What is due together is handed over together, up to HWGW_BATCH_MAX frames in one hwgw_rx_send.
 *
 * Cost: two divisions and a histogram record per frame by rate, one division by due_ns; a checksum when asked for.
 *
 * Thread: that of the receiver.
 */
#include "hwgw_pace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "hist.h"

#define NS_PER_S 1000000000u
#define SLEEP_ABOVE_NS 2000000u /* a timer may be 1 ms late and the frame still be in time */
#define SLEEP_MARGIN_NS 1000000u
#define ASK_TICKS_MASK 63 /* turns of waiting between two looks at what is unsent */

struct hwgw_pace {
  struct hwgw_pace_cfg cfg;
  uint64_t send_cnt;
  uint64_t until; /* frames before it are sent */
  uint64_t hz;
  bool is_scheduled;
  bool has_started;
  uint64_t start_ticks;
  uint64_t start_real_ns;
  uint64_t next;  /* frame to send, from 0 */
  uint64_t units; /* frames or bits before it */
  uint64_t bytes;
  uint64_t first_ticks;
  uint64_t last_ticks;
  uint64_t taken; /* of all goes */
  uint64_t refused;
  int refused_errno;
  struct hwgw_hist *late;
};

/* a batch that is due: where each frame stands in the schedule */
struct due {
  uint64_t ticks[HWGW_BATCH_MAX]; /* from the start */
  uint64_t units[HWGW_BATCH_MAX + 1];
  uint32_t cnt;
};

static int32_t refuse(struct hwgw_error *error, const char *what) {
  return hwgw_error_set(error, HWGW_ERR_USAGE, 0, "pace: %s", what);
}

static int32_t config_check(const struct hwgw_pace_cfg *cfg, struct hwgw_error *error) {
  bool writes = cfg->number_at || cfg->time_at || cfg->udp_at;
  if (cfg->frame_cnt == 0 || !cfg->frames) return refuse(error, "no frame to send");
  if (writes && cfg->frame_cnt < HWGW_BATCH_MAX) return refuse(error, "too few frames to number");
  for (uint32_t i = 0; i < cfg->frame_cnt; i++) {
    uint32_t len = cfg->frames[i].len;
    bool fits =
        (!cfg->number_at || cfg->number_at + 8 <= len) && (!cfg->time_at || cfg->time_at + 8 <= len) &&
        (!cfg->udp_at || (cfg->udp_at >= ETHERNET_IPV4_HEADER_LEN && cfg->udp_at + ETHERNET_UDP_HEADER_LEN <= len));
    if (!fits) return refuse(error, "a frame is too short for what is to be written into it");
    if (cfg->due_ns && i && cfg->due_ns[i] < cfg->due_ns[i - 1]) return refuse(error, "a due time is before the last");
  }
  if (cfg->due_ns && cfg->pass_ns < cfg->due_ns[cfg->frame_cnt - 1])
    return refuse(error, "a pass ends before its last frame is due");
  for (uint32_t i = 0; cfg->is_udp && i < cfg->frame_cnt; i++)
    if (cfg->frames[i].flow >= cfg->target_cnt) return refuse(error, "a frame has no target");
  return HWGW_OK;
}

int32_t hwgw_pace_open(struct hwgw_pace **out, const struct hwgw_pace_cfg *cfg, struct hwgw_error *error) {
  int32_t status = config_check(cfg, error);
  if (status) return status;
  struct hwgw_pace *pace = calloc(1, sizeof *pace);
  if (pace) pace->late = calloc(1, sizeof *pace->late);
  if (!pace || !pace->late) {
    free(pace);
    return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "pace: no memory");
  }
  pace->cfg = *cfg;
  pace->send_cnt = cfg->send_cnt ? cfg->send_cnt : cfg->frame_cnt;
  pace->until = pace->send_cnt;
  pace->is_scheduled = cfg->due_ns || cfg->rate_milli;
  pace->hz = hwgw_ticks_hz();
  *out = pace;
  return HWGW_OK;
}

void hwgw_pace_close(struct hwgw_pace *pace) {
  if (!pace) return;
  free(pace->late);
  free(pace);
}

static uint64_t ticks_of_ns(const struct hwgw_pace *pace, uint64_t ns) {
  return (uint64_t)((unsigned __int128)ns * pace->hz / NS_PER_S);
}

/* when a frame is due, in ticks from the start; units: frames or bits before it */
static uint64_t due_ticks(const struct hwgw_pace *pace, uint64_t number, uint64_t units) {
  const struct hwgw_pace_cfg *cfg = &pace->cfg;
  if (cfg->due_ns) {
    uint64_t pass = number / cfg->frame_cnt;
    return ticks_of_ns(pace, pass * cfg->pass_ns + cfg->due_ns[number % cfg->frame_cnt]);
  }
  if (cfg->rate_milli == 0) return 0;
  return (uint64_t)((unsigned __int128)units * 1000 * pace->hz / cfg->rate_milli);
}

/* the frames due now, one behind the other in the array; with none, ticks[0] says when the next one is */
static void due_find(const struct hwgw_pace *pace, uint64_t now, struct due *due) {
  const struct hwgw_pace_cfg *cfg = &pace->cfg;
  uint32_t at = (uint32_t)(pace->next % cfg->frame_cnt);
  uint64_t max = cfg->frame_cnt - at;
  if (max > pace->until - pace->next) max = pace->until - pace->next;
  if (max > HWGW_BATCH_MAX) max = HWGW_BATCH_MAX;
  due->units[0] = pace->units;
  for (due->cnt = 0; due->cnt < max; due->cnt++) {
    uint64_t ticks = due_ticks(pace, pace->next + due->cnt, due->units[due->cnt]);
    due->ticks[due->cnt] = ticks;
    if (ticks > now) return;
    uint64_t units = cfg->rate_is_bits ? 8ull * cfg->frames[at + due->cnt].len : 1;
    due->units[due->cnt + 1] = due->units[due->cnt] + units;
  }
}

/* RFC 1071 over whole bytes, as a sum that is not folded yet */
static uint64_t sum_words(const uint8_t *data, uint32_t len) {
  uint64_t sum = 0;
  for (; len > 1; data += 2, len -= 2) sum += hwgw_be16(data);
  return len ? sum + ((uint64_t)*data << 8) : sum;
}

static void checksum(uint8_t *ip, uint8_t *udp) {
  uint32_t len = ethernet_udp_header_length(udp);
  ethernet_udp_header_checksum_set(udp, 0);
  uint64_t sum =
      sum_words(ip + ETHERNET_IPV4_HEADER_SOURCE_OFF, 8) + ETHERNET_IP_PROTOCOL_UDP + len + sum_words(udp, len);
  while (sum >> 16) sum = (sum & 0xFFFF) + (sum >> 16);
  uint16_t value = (uint16_t)~sum;
  ethernet_udp_header_checksum_set(udp, value ? value : 0xFFFF); /* 0 would say that there is none */
}

static void write_into(const struct hwgw_pace *pace, const struct due *due, uint64_t now) {
  const struct hwgw_pace_cfg *cfg = &pace->cfg;
  uint32_t at = (uint32_t)(pace->next % cfg->frame_cnt);
  for (uint32_t i = 0; i < due->cnt; i++) {
    uint8_t *data = (uint8_t *)(uintptr_t)cfg->frames[at + i].data;
    if (cfg->number_at) hwgw_put_be64(data + cfg->number_at, pace->next + i);
    uint64_t ticks = pace->is_scheduled ? due->ticks[i] : now;
    if (cfg->time_at) hwgw_put_be64(data + cfg->time_at, pace->start_real_ns + hwgw_ticks_to_ns(ticks));
    if (cfg->udp_at) checksum(data + cfg->udp_at - ETHERNET_IPV4_HEADER_LEN, data + cfg->udp_at);
  }
}

/* into the kernel, at most HWGW_BATCH_MAX; how many it took, or refused. What it has no room for waits */
static uint32_t send_udp(struct hwgw_pace *pace, const struct hwgw_frame *frames, uint32_t cnt) {
  const struct hwgw_pace_cfg *cfg = &pace->cfg;
  struct mmsghdr messages[HWGW_BATCH_MAX];
  struct iovec vectors[HWGW_BATCH_MAX];
  struct sockaddr_in to[HWGW_BATCH_MAX];
  for (uint32_t i = 0; i < cnt; i++) {
    const struct hwgw_flow *target = &cfg->targets[frames[i].flow];
    to[i] = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(target->port), .sin_addr.s_addr = htonl(target->group)};
    vectors[i] = (struct iovec){(void *)(uintptr_t)frames[i].data, frames[i].len};
    messages[i] = (struct mmsghdr){
        .msg_hdr = {.msg_name = &to[i], .msg_namelen = sizeof to[i], .msg_iov = &vectors[i], .msg_iovlen = 1}};
  }
  uint32_t done = 0;
  while (done < cnt) {
    int sent = sendmmsg(cfg->fd, messages + done, cnt - done, 0);
    if (sent > 0) {
      done += (uint32_t)sent;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (errno != EINTR) {
      pace->refused_errno = errno;
      pace->refused++;
      done++;
    }
  }
  return done;
}

static uint32_t send_due(struct hwgw_pace *pace, struct hwgw_rx *rx, const struct due *due) {
  const struct hwgw_pace_cfg *cfg = &pace->cfg;
  const struct hwgw_frame *frames = cfg->frames + pace->next % cfg->frame_cnt;
  if (cfg->number_at || cfg->time_at || cfg->udp_at) write_into(pace, due, hwgw_rdtsc() - pace->start_ticks);
  uint64_t now = hwgw_rdtsc();
  uint32_t taken = rx ? hwgw_rx_send(rx, frames, due->cnt) : send_udp(pace, frames, due->cnt);
  for (uint32_t i = 0; i < taken; i++) {
    if (pace->is_scheduled) hist_record(pace->late, now - pace->start_ticks - due->ticks[i]);
    pace->bytes += frames[i].len;
  }
  if (taken) {
    if (pace->taken == 0) pace->first_ticks = now;
    pace->taken += taken;
    pace->last_ticks = now;
    pace->next += taken;
    pace->units = due->units[taken];
  }
  return taken;
}

static void start(struct hwgw_pace *pace) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  pace->start_ticks = hwgw_rdtsc();
  pace->start_real_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
  pace->has_started = true;
}

static bool step(struct hwgw_pace *pace, struct hwgw_rx *rx, uint64_t slice_ns) {
  if (!pace->has_started) start(pace);
  uint64_t end = hwgw_rdtsc() + ticks_of_ns(pace, slice_ns);
  uint32_t turns = 0;
  while (pace->next < pace->until) {
    struct due due;
    uint64_t now = hwgw_rdtsc();
    due_find(pace, now - pace->start_ticks, &due);
    if (due.cnt) {
      if (send_due(pace, rx, &due) < due.cnt && rx) hwgw_rx_unsent(rx); /* full: lets the driver go on */
    } else {
      uint64_t due_at = pace->start_ticks + due.ticks[0];
      uint64_t gap_ns = hwgw_ticks_to_ns((due_at < end ? due_at : end) - now);
      if (gap_ns > SLEEP_ABOVE_NS && due_at > now && end > now) {
        if (nanosleep(&(struct timespec){.tv_nsec = (long)(gap_ns - SLEEP_MARGIN_NS) % NS_PER_S}, NULL)) return false;
      } else {
        hwgw_pause();
      }
      if ((++turns & ASK_TICKS_MASK) == 0 && rx) hwgw_rx_unsent(rx);
    }
    if (hwgw_rdtsc() >= end) break;
  }
  return pace->next == pace->until;
}

bool hwgw_pace_step(struct hwgw_pace *pace, struct hwgw_rx *rx, uint64_t slice_ns) {
  return step(pace, rx, slice_ns);
}

bool hwgw_pace_step_udp(struct hwgw_pace *pace, uint64_t slice_ns) {
  return step(pace, NULL, slice_ns);
}

void hwgw_pace_go(struct hwgw_pace *pace, uint64_t next, uint64_t until) {
  pace->until = until && until < pace->send_cnt ? until : pace->send_cnt;
  pace->next = next < pace->until ? next : pace->until;
  start(pace);
  if (pace->next == pace->send_cnt) return;
  uint64_t ticks = due_ticks(pace, pace->next, pace->units);
  pace->start_ticks -= ticks;
  pace->start_real_ns -= hwgw_ticks_to_ns(ticks);
}

const struct hwgw_hist *hwgw_pace_late(const struct hwgw_pace *pace) {
  return pace->late;
}

void hwgw_pace_report(const struct hwgw_pace *pace, struct hwgw_pace_report *report) {
  *report = (struct hwgw_pace_report){
      .taken = pace->taken,
      .refused = pace->refused,
      .refused_errno = pace->refused_errno,
      .next = pace->next,
      .bytes = pace->bytes,
      .span_ns = hwgw_ticks_to_ns(pace->last_ticks - pace->first_ticks),
      .late_p50 = hwgw_ticks_to_ns(hwgw_hist_percentile(pace->late, 50)),
      .late_p99 = hwgw_ticks_to_ns(hwgw_hist_percentile(pace->late, 99)),
      .late_p999 = hwgw_ticks_to_ns(hwgw_hist_percentile(pace->late, 99.9)),
      .late_max = hwgw_ticks_to_ns(hwgw_hist_max(pace->late)),
  };
}
