/* rx_nic.c: reads the drop counters of an interface; contract in rx_nic.h.
 *
 * SPDX-License-Identifier: MIT
 *
 * Files are read instead of asking by netlink because RTM_GETLINK waits for the lock that every change of a network
 * device holds, and a pipeline must not. net/softnet_stat, which grows with the processors, is read when rx_dropped has
 * moved, and each SOFTNET_NS.
 */
#include "rx_nic.h"

#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BUSY_NS 100000000u
#define SOFTNET_NS 100000000u /* drops of other interfaces are forgotten after so long */

static int sysfs_open(const char *interface, const char *file) {
  char path[96];
  snprintf(path, sizeof path, "/sys/class/net/%s/%s", interface, file);
  return open(path, O_RDONLY | O_CLOEXEC);
}

/* sysfs shows the namespace it was mounted in: the address tells whether that is ours; every loopback device has the same */
static bool sysfs_is_ours(int socket_fd, const char *interface) {
  char text[32] = "", wanted[32];
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
  if (ioctl(socket_fd, SIOCGIFHWADDR, &request) || request.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK) return false;
  uint8_t mac[6];
  memcpy(mac, request.ifr_hwaddr.sa_data, sizeof mac);
  snprintf(wanted, sizeof wanted, "%02x:%02x:%02x:%02x:%02x:%02x\n", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  int fd = sysfs_open(interface, "address");
  bool is_ours = fd >= 0 && read(fd, text, sizeof text - 1) > 0 && strcmp(text, wanted) == 0;
  if (fd >= 0) close(fd);
  return is_ours;
}

static bool number_read(int fd, uint64_t *value) {
  char text[32] = "";
  if (fd < 0 || pread(fd, text, sizeof text - 1, 0) <= 0) return false;
  *value = strtoull(text, NULL, 10);
  return true;
}

/* reads fd line by line until take returns true */
static bool lines_read(int fd, bool (*take)(const char *line, void *context), void *context) {
  char text[4096];
  size_t kept = 0;
  off_t at = 0;
  for (;;) {
    ssize_t got = pread(fd, text + kept, sizeof text - 1 - kept, at);
    if (got <= 0) return false;
    at += got;
    text[kept + (size_t)got] = 0;
    char *line = text;
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
      *end = 0;
      if (take(line, context)) return true;
    }
    kept = strlen(line);
    memmove(text, line, kept);
  }
}

/* it may have been renamed; false when it is gone */
static bool name_renew(struct hwgw_nic *nic) {
  struct ifreq request = {.ifr_ifindex = nic->index};
  if (ioctl(nic->socket_fd, SIOCGIFNAME, &request)) return false;
  memcpy(nic->name, request.ifr_name, sizeof nic->name);
  return true;
}

struct table {
  const char *name;
  unsigned long long drops;
};

/* net/dev: "  eth0: bytes packets errs drop ..." */
static bool table_line(const char *line, void *context) {
  struct table *table = context;
  size_t name_len = strlen(table->name);
  line += strspn(line, " ");
  if (strncmp(line, table->name, name_len) != 0 || line[name_len] != ':') return false;
  unsigned long long bytes, packets, errors;
  return sscanf(line + name_len + 1, "%llu %llu %llu %llu", &bytes, &packets, &errors, &table->drops) == 4;
}

static bool dropped_read(struct hwgw_nic *nic, uint64_t *value) {
  if (!nic->dropped_is_table) return number_read(nic->dropped_fd, value);
  struct table table = {.name = nic->name};
  bool is_found = lines_read(nic->dropped_fd, table_line, &table);
  if (!is_found && name_renew(nic)) is_found = lines_read(nic->dropped_fd, table_line, &table);
  if (!is_found) return false;
  *value = table.drops;
  return true;
}

/* net/softnet_stat: a line per processor; the second column, 32 bits in hex, are its drops */
static bool softnet_line(const char *line, void *context) {
  uint64_t *sum = context;
  unsigned processed, drops;
  if (sscanf(line, "%x %x", &processed, &drops) == 2) *sum += drops;
  return false;
}

static uint64_t softnet_read(const struct hwgw_nic *nic) {
  uint64_t sum = 0;
  lines_read(nic->softnet_fd, softnet_line, &sum);
  return sum;
}

bool hwgw_nic_open(struct hwgw_nic *nic, int fd, const char *interface) {
  *nic = (struct hwgw_nic){.missed_fd = -1, .dropped_fd = -1, .socket_fd = fd};
  snprintf(nic->name, sizeof nic->name, "%s", interface);
  nic->softnet_fd = open("/proc/net/softnet_stat", O_RDONLY | O_CLOEXEC);
  if (sysfs_is_ours(fd, interface)) {
    nic->missed_fd = sysfs_open(interface, "statistics/rx_missed_errors");
    nic->dropped_fd = sysfs_open(interface, "statistics/rx_dropped");
  } else {
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    if (ioctl(fd, SIOCGIFINDEX, &request) == 0) nic->index = request.ifr_ifindex;
    nic->dropped_is_table = true;
    nic->dropped_fd = open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC);
  }
  number_read(nic->missed_fd, &nic->missed_last);
  nic->softnet_last = nic->softnet_fd >= 0 ? softnet_read(nic) : 0;
  if (nic->softnet_fd >= 0 && dropped_read(nic, &nic->dropped_last)) return true;
  hwgw_nic_close(nic);
  return false;
}

/* how far a counter went on; one that fell (its interface was made anew) starts again */
static uint64_t grown(uint64_t now, uint64_t last) {
  return now > last ? now - last : 0;
}

/* The kernel counts a drop in the backlog's counter first. So that no drop of the interface is without its own there, the
 * backlog's counter is taken before the interface's for the next stretch, and after it for this one */
static void dropped_update(struct hwgw_nic *nic, uint64_t now_ns) {
  uint64_t dropped;
  if (!dropped_read(nic, &dropped)) return;
  if (dropped == nic->dropped_last && now_ns - nic->t_softnet_ns < SOFTNET_NS) return;
  uint64_t before = softnet_read(nic);
  if (!dropped_read(nic, &dropped)) return;
  uint64_t by_interface = grown(dropped, nic->dropped_last);
  if (by_interface) {
    uint64_t by_backlog = grown(softnet_read(nic), nic->softnet_last);
    nic->dropped += by_interface < by_backlog ? by_interface : by_backlog;
  }
  nic->dropped_last = dropped;
  nic->softnet_last = before;
  nic->t_softnet_ns = now_ns;
}

void hwgw_nic_update(struct hwgw_nic *nic, uint64_t frames) {
  uint64_t missed, now_ns = hwgw_now_ns();
  bool is_quiet = frames == nic->frames_last;
  nic->frames_last = frames;
  if (!is_quiet && now_ns - nic->t_last_ns < BUSY_NS) return;
  nic->t_last_ns = now_ns;
  if (number_read(nic->missed_fd, &missed)) {
    nic->missed += grown(missed, nic->missed_last);
    nic->missed_last = missed;
  }
  dropped_update(nic, now_ns);
}

void hwgw_nic_close(struct hwgw_nic *nic) {
  if (nic->missed_fd >= 0) close(nic->missed_fd);
  if (nic->dropped_fd >= 0) close(nic->dropped_fd);
  if (nic->softnet_fd >= 0) close(nic->softnet_fd);
  nic->missed_fd = nic->dropped_fd = nic->softnet_fd = -1;
}

bool hwgw_nic_has_clock(int fd, const char *interface) {
  struct hwtstamp_config state = {0};
  struct ifreq request = {.ifr_data = (void *)&state};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
  return ioctl(fd, SIOCGHWTSTAMP, &request) == 0 && state.rx_filter == HWTSTAMP_FILTER_ALL;
}
