/* rx_udp_causes.c: reads the namespace's UDP counters and bounds what is ours; contract in rx_udp_causes.h.
 *
 * SPDX-License-Identifier: MIT
 *
 * The order of readings makes the bounds sound: the namespace's counters of a stretch begin before ours do and end after
 * them, so that no drop of ours is without its cause in them.
 */
#include "rx_udp_causes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* how old the namespace's counters may get; reading them takes some 50 us, which traffic would wait for */
#define BASE_QUIET_NS 10000000u
#define BASE_BUSY_NS 100000000u

/* net/snmp has two lines "Udp: ...": names, then values; the file stays below this on every kernel so far */
enum { SNMP_SZ = 8192, LOOKS = 3 };

static bool line_take(const char *names, const char *values, const char *wanted, uint64_t *value) {
  size_t wanted_len = strlen(wanted);
  for (;;) {
    names += strspn(names, " ");
    values += strspn(values, " ");
    size_t name_len = strcspn(names, " \n"), value_len = strcspn(values, " \n");
    if (!name_len || !value_len) return false;
    if (name_len == wanted_len && memcmp(names, wanted, wanted_len) == 0) {
      *value = strtoull(values, NULL, 10);
      return true;
    }
    names += name_len;
    values += value_len;
  }
}

static bool namespace_read(const struct hwgw_udp_causes *causes, uint64_t *out) {
  char text[SNMP_SZ];
  ssize_t len = pread(causes->fd, text, sizeof text - 1, 0); /* whole: a second read would make the kernel sum again */
  if (len < 0) return false;
  text[len] = 0;
  const char *names = strstr(text, "\nUdp:");
  const char *values = names ? strstr(names + 1, "\nUdp:") : NULL;
  if (!values) return false;
  names += 5;
  values += 5;
  uint64_t errors = 0;
  if (!line_take(names, values, "InErrors", &errors) ||
      !line_take(names, values, "RcvbufErrors", &out[HWGW_UDP_OVERRUN]) ||
      !line_take(names, values, "InCsumErrors", &out[HWGW_UDP_CHECKSUM])) {
    return false;
  }
  uint64_t named = out[HWGW_UDP_OVERRUN] + out[HWGW_UDP_CHECKSUM];
  out[HWGW_UDP_OTHER] = errors > named ? errors - named : 0;
  return true;
}

bool hwgw_udp_causes_open(struct hwgw_udp_causes *causes) {
  *causes = (struct hwgw_udp_causes){.fd = open("/proc/thread-self/net/snmp", O_RDONLY | O_CLOEXEC)};
  if (causes->fd >= 0 && namespace_read(causes, causes->base)) return true;
  hwgw_udp_causes_close(causes);
  return false;
}

static uint64_t left(uint64_t all, uint64_t taken) {
  return all > taken ? all - taken : 0;
}

static bool covers(const struct hwgw_udp_causes *causes, uint64_t ours, const uint64_t *now) {
  uint64_t sum = 0;
  for (int i = 0; i < HWGW_UDP_CAUSE_CNT; i++) sum += left(now[i], causes->base[i]);
  return sum >= ours;
}

static void attribute(struct hwgw_udp_causes *causes, uint64_t ours, const uint64_t *now) {
  uint64_t grown[HWGW_UDP_CAUSE_CNT];
  for (int i = 0; i < HWGW_UDP_CAUSE_CNT; i++) grown[i] = left(now[i], causes->base[i]);
  uint64_t overrun = left(ours, grown[HWGW_UDP_CHECKSUM] + grown[HWGW_UDP_OTHER]);
  uint64_t checksum = left(ours, grown[HWGW_UDP_OVERRUN] + grown[HWGW_UDP_OTHER]);
  if (!covers(causes, ours, now)) overrun = checksum = 0; /* counters that contradict each other prove nothing */
  causes->drops[HWGW_UDP_OVERRUN] += overrun;
  causes->drops[HWGW_UDP_CHECKSUM] += checksum;
  causes->drops[HWGW_UDP_OTHER] += ours - overrun - checksum;
}

void hwgw_udp_causes_look(struct hwgw_udp_causes *causes, uint64_t (*own)(void *context), void *context,
                          bool is_quiet) {
  uint64_t before[HWGW_UDP_CAUSE_CNT], after[HWGW_UDP_CAUSE_CNT];
  uint64_t drops = own(context);
  if (causes->fd < 0) {
    causes->drops[HWGW_UDP_OTHER] += drops - causes->own_last;
    causes->own_last = drops;
    return;
  }
  uint64_t now_ns = hwgw_now_ns();
  if (drops == causes->own_last && now_ns - causes->t_base_ns < (is_quiet ? BASE_QUIET_NS : BASE_BUSY_NS)) return;
  bool is_known = namespace_read(causes, before);
  drops = own(context);
  uint64_t ours = drops - causes->own_last;
  causes->own_last = drops;
  for (int i = 0; ours && is_known && i < LOOKS; i++) { /* a drop may be in ours a moment before it is in theirs */
    is_known = namespace_read(causes, after);
    if (is_known && covers(causes, ours, after)) break;
  }
  if (ours && is_known) {
    attribute(causes, ours, after);
  } else {
    causes->drops[HWGW_UDP_OTHER] += ours;
  }
  if (is_known) memcpy(causes->base, before, sizeof before);
  causes->t_base_ns = now_ns;
}

void hwgw_udp_causes_close(struct hwgw_udp_causes *causes) {
  if (causes->fd >= 0) close(causes->fd);
  causes->fd = -1;
}
