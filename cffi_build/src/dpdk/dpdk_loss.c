/* dpdk_loss.c: counts what a driver loses without telling, at the kernel sockets the driver itself receives from.
 *
 * SPDX-License-Identifier: MIT
 *
 * net_tap is the other end of an interface: the kernel drops what that interface's queue does not take and counts it as
 * its own sending's loss, in net/dev of the namespace the port was opened in.
 *
 * net_af_packet keeps a socket per queue whose ring drops it never asks for; net_af_xdp lumps causes. Both open their
 * sockets in this process, so the descriptors that appeared while the port was opened are looked through: AF_PACKET
 * ones that are bound to the port's interface, AF_XDP ones by their family. The kernel's own statistics of these
 * sockets are exact, whatever the driver says. AF_PACKET sockets also get a filter that leaves out what
 * this host sends, which is no received frame.
 *
 * Limit: another thread that opens an AF_XDP socket during dpdk_port_open would be taken for the driver.
 *
 * Thread: set-up, and stats by the polling thread.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dpdk.h"

enum { DESCRIPTORS_MAX = 65536 };

/* all but PACKET_OUTGOING; PACKET_IGNORE_OUTGOING does nothing once a socket has joined a fanout group, as these have */
static struct sock_filter FILTER[] = {
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, 0),
    BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
};
static const struct sock_fprog PROGRAM = {.len = sizeof FILTER / sizeof FILTER[0], .filter = FILTER};

static uint8_t open_before[DESCRIPTORS_MAX];

static void each_descriptor(void (*visit)(void *context, int fd), void *context) {
  DIR *folder = opendir("/proc/self/fd");
  if (!folder) return;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd >= 0 && fd < DESCRIPTORS_MAX && fd != dirfd(folder)) visit(context, fd);
  }
  closedir(folder);
}

static void note_open(void *context, int fd) {
  (void)context;
  open_before[fd] = 1;
}

void dpdk_loss_before(void) {
  memset(open_before, 0, sizeof open_before);
  each_descriptor(note_open, NULL);
}

struct search {
  struct rx_dpdk *rx;
  uint32_t if_index;
};

static void look_at(void *context, int fd) {
  struct search *search = context;
  struct rx_dpdk *rx = search->rx;
  int domain = 0;
  socklen_t sz = sizeof domain;
  if (open_before[fd] || rx->socket_cnt == DPDK_SOCKETS_MAX || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &sz))
    return;
  if (domain == AF_PACKET) {
    struct sockaddr_ll address;
    sz = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &sz) || (uint32_t)address.sll_ifindex != search->if_index ||
        address.sll_protocol == 0)
      return;
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &PROGRAM, sizeof PROGRAM);
  } else if (domain != AF_XDP) {
    return;
  }
  struct stat info;
  if (fstat(fd, &info)) return;
  rx->socket_kind = domain;
  rx->socket_ids[rx->socket_cnt] = info.st_ino;
  rx->sockets[rx->socket_cnt++] = fd;
}

/* the drop column of the interface's sending half; what was read last when the line is not there */
static uint64_t read_tap(const struct rx_dpdk *rx) {
  char text[4096];
  size_t kept = 0, name_len = strlen(rx->tap);
  off_t at = 0;
  for (;;) {
    ssize_t got = pread(rx->tap_fd, text + kept, sizeof text - 1 - kept, at);
    if (got <= 0) return rx->tap_drops;
    at += got;
    text[kept + (size_t)got] = 0;
    char *line = text;
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
      unsigned long long drops;
      char *name = line + strspn(line, " ");
      if (strncmp(name, rx->tap, name_len) == 0 && name[name_len] == ':' &&
          sscanf(name + name_len + 1, "%*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu", &drops) == 1) {
        return drops;
      }
    }
    kept = strlen(line);
    memmove(text, line, kept);
  }
}

static void tap_find(struct rx_dpdk *rx, uint32_t if_index) {
  if (!if_indextoname(if_index, rx->tap)) return;
  rx->tap_fd = open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC);
  rx->has_tap = rx->tap_fd >= 0;
  if (!rx->has_tap) dpdk_host->note(&rx->base, "; what the kernel could not hand over is not counted");
}

void dpdk_loss_find(struct rx_dpdk *rx, uint32_t if_index) {
  if (rx->is_tap && if_index) tap_find(rx, if_index); /* from 0: the interface is new */
  struct search search = {.rx = rx, .if_index = if_index};
  if (if_index) each_descriptor(look_at, &search);
}

/* every read sets the kernel's numbers to 0 */
static void read_packet(struct rx_dpdk *rx, uint64_t *counters) {
  for (uint32_t i = 0; i < rx->socket_cnt; i++) {
    struct tpacket_stats now = {0};
    socklen_t sz = sizeof now;
    if (getsockopt(rx->sockets[i], SOL_PACKET, PACKET_STATISTICS, &now, &sz) == 0) rx->packet_drops += now.tp_drops;
  }
  counters[HWGW_CNT_RX_DROP_RING_FULL] = rx->packet_drops;
}

/* as in rx_afxdp.c: a frame without a buffer is in both numbers in copy mode, the rest of rx_dropped was too long */
static void read_xdp(const struct rx_dpdk *rx, uint64_t *counters) {
  uint64_t ring_full = 0, fill_empty = 0, invalid = 0, dropped = 0;
  for (uint32_t i = 0; i < rx->socket_cnt; i++) {
    struct xdp_statistics now = {0};
    socklen_t sz = sizeof now;
    if (getsockopt(rx->sockets[i], SOL_XDP, XDP_STATISTICS, &now, &sz)) continue;
    ring_full += now.rx_ring_full;
    fill_empty += now.rx_fill_ring_empty_descs;
    invalid += now.rx_invalid_descs;
    dropped += now.rx_dropped;
  }
  counters[HWGW_CNT_RX_DROP_RING_FULL] = ring_full;
  counters[HWGW_CNT_RX_DROP_FILL_EMPTY] = fill_empty < dropped ? fill_empty : dropped;
  counters[HWGW_CNT_RX_DROP_INVALID_DESCRIPTOR] = invalid;
  counters[HWGW_CNT_RX_DROP_TRUNCATED] += dropped > fill_empty ? dropped - fill_empty : 0;
}

void dpdk_loss_read(struct rx_dpdk *rx, uint64_t *counters) {
  if (rx->socket_kind == AF_PACKET) read_packet(rx, counters);
  if (rx->socket_kind == AF_XDP) read_xdp(rx, counters);
  if (rx->has_tap) counters[HWGW_CNT_RX_DROP_RING_FULL] = rx->tap_drops = read_tap(rx);
}

void dpdk_loss_end(struct rx_dpdk *rx) {
  for (uint32_t i = 0; i < rx->socket_cnt; i++) {
    struct stat info;
    if (fstat(rx->sockets[i], &info) == 0 && info.st_ino == rx->socket_ids[i]) close(rx->sockets[i]);
  }
  rx->socket_cnt = 0;
  if (rx->has_tap) close(rx->tap_fd);
  rx->has_tap = false;
}
