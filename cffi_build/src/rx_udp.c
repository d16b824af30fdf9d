/* rx_udp.c: receive through kernel UDP sockets: works everywhere, needs no privilege, and is the baseline.
 *
 * SPDX-License-Identifier: MIT
 *
 * One non-blocking socket per flow, bound to group and port, so that the flow of a datagram is known without looking at
 * it. Joins on the interface, or on the one that has local_address; IP_MULTICAST_ALL is off, so nothing comes from
 * groups or interfaces that were not asked for.
 *
 * Output: UDP payloads (frame.flow is the flow). Order: per socket as the kernel queued them; sockets take turns.
 *
 * Cost: one recvmmsg per poll; with several flows one epoll_wait more, which finds the sockets that have something.
 * recvmmsg is asked for twice what the last one gave, beginning with one: asking for more than there is makes the kernel
 * look at the empty queue again before it hands over what it has (0.3 us of 3).
 *
 * At the limit: a full socket buffer loses datagrams in the kernel, as do wrong UDP checksums and, without loopback,
 * this host's own multicast that the socket filter refused. The kernel counts them together (SO_MEMINFO: the number
 * SO_RXQ_OVFL reports, but readable without another datagram); rx_udp_causes.h takes apart what can be proven:
 * drop_overrun, drop_checksum, the rest drop_kernel. Wrong checksums of datagrams up to 76 bytes are in none of them: the
 * kernel checks those before it looks for a socket. With an interface, what is lost in front of the sockets is counted
 * as rx_nic.h says. A datagram larger than a slot is drop_truncated. Frames that were polled and not released keep their
 * slots: when all are held, poll returns 0.
 *
 * Thread: one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "rx.h"
#include "rx_nic.h"
#include "rx_udp_causes.h"

enum {
  SLOTS_DEFAULT = HWGW_BATCH_MAX,
  SLOTS_MAX = 65536,
  SLOT_SZ_MAX = 65536,                                  /* no datagram is larger */
  SOCKET_BUFFER_BYTES = 64 << 20,                       /* asked for; the kernel doubles it for its own overhead */
  CONTROL_SZ = CMSG_SPACE(3 * sizeof(struct timespec)), /* one SCM_TIMESTAMPING message */
  BUSY_POLL_BUDGET = 64
};

/* struct epoll_params and EPIOCSPARAMS of Linux 6.9, which older headers lack */
struct epoll_busy_poll {
  uint32_t us;
  uint16_t budget;
  uint8_t prefer;
  uint8_t reserved;
};
#define EPOLL_BUSY_POLL_SET _IOW(0x8A, 1, struct epoll_busy_poll)

struct udp_socket {
  int fd;
  uint32_t drops_last; /* the kernel's counter has 32 bits and wraps */
  uint64_t drops;
  uint32_t batch; /* what the next recvmmsg asks for */
};

struct rx_udp {
  struct hwgw_rx base;
  int epoll_fd; /* -1 when there is one flow */
  bool timestamps;
  bool busy_poll_noted;
  bool busy_poll; /* asked for and not yet known to do nothing */
  bool has_nic;
  struct hwgw_nic nic;
  struct hwgw_udp_causes causes;
  uint64_t frames_looked; /* frames at the last look at them */
  uint32_t flow_cnt;
  uint32_t slot_cnt;
  uint32_t slot_sz;
  uint32_t used; /* slots handed out since the last release */
  uint32_t turn; /* where the next round over ready sockets begins */
  uint8_t *slots;
  uint8_t *control; /* NULL without timestamps */
  struct mmsghdr *messages;
  struct iovec *iovecs;
  struct udp_socket sockets[HWGW_FLOWS_MAX];
};

static void udp_close(struct hwgw_rx *rx) {
  struct rx_udp *udp = (struct rx_udp *)rx;
  for (uint32_t i = 0; i < udp->flow_cnt; i++) {
    if (udp->sockets[i].fd >= 0) close(udp->sockets[i].fd);
  }
  if (udp->epoll_fd >= 0) close(udp->epoll_fd);
  if (udp->slots) hwgw_rx_unmap(rx, udp->slots, (size_t)udp->slot_cnt * udp->slot_sz);
  if (udp->has_nic) hwgw_nic_close(&udp->nic);
  hwgw_udp_causes_close(&udp->causes);
  free(udp->control);
  free(udp->messages);
  free(udp->iovecs);
  free(udp);
}

/* refuses the copies of multicast this host sent itself; what arrives on the loopback device is not such a copy */
static int filter_own(int fd) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_LOOPBACK, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 0xFFFFFFFF),
  };
  struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

/* busy poll of the sockets; where epoll waits for them it has to be told as well */
static void busy_poll_set(struct rx_udp *udp, int fd, uint32_t us) {
  int on = 1, time_us = (int)us, budget = BUSY_POLL_BUDGET, cause = 0;
  if (setsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof on) ||
      setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &time_us, sizeof time_us) ||
      setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget, sizeof budget)) {
    cause = errno;
  }
  if (!cause && udp->epoll_fd >= 0 && !udp->busy_poll) {
    struct epoll_busy_poll params = {.us = us, .budget = BUSY_POLL_BUDGET, .prefer = 1};
    if (ioctl(udp->epoll_fd, EPOLL_BUSY_POLL_SET, &params)) cause = errno;
  }
  if (cause && !udp->busy_poll_noted) hwgw_rx_note(&udp->base, "; no busy poll (%s)", strerror(cause));
  udp->busy_poll_noted |= cause != 0;
  udp->busy_poll = cause == 0;
}

/* a NAPI id is known once a datagram has come through; without one busy poll is accepted and does nothing */
static void busy_poll_probe(struct rx_udp *udp) {
  if (!udp->busy_poll || udp->busy_poll_noted || udp->base.count.frames == 0) return;
  unsigned napi_id = 0;
  for (uint32_t i = 0; i < udp->flow_cnt && napi_id == 0; i++) {
    socklen_t sz = sizeof napi_id;
    getsockopt(udp->sockets[i].fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi_id, &sz);
  }
  udp->busy_poll_noted = true;
  hwgw_rx_note(&udp->base, napi_id ? "; busy poll" : "; busy poll does nothing here (no NAPI id), off");
  for (uint32_t i = 0; i < udp->flow_cnt && napi_id == 0; i++) {
    int off = 0;
    setsockopt(udp->sockets[i].fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &off, sizeof off);
    setsockopt(udp->sockets[i].fd, SOL_SOCKET, SO_BUSY_POLL, &off, sizeof off);
  }
}

static int32_t socket_open(struct rx_udp *udp, uint32_t index, const struct hwgw_rx_cfg *cfg, int ifindex,
                           struct hwgw_error *error) {
  const struct hwgw_flow *flow = &cfg->flows[index];
  struct udp_socket *sock = &udp->sockets[index];
  const char *call = "socket";
  int on = 1, off = 0, size = SOCKET_BUFFER_BYTES;
  sock->batch = 1;
  sock->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (sock->fd < 0) goto failed;
  call = "SO_REUSEADDR";
  if (setsockopt(sock->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) goto failed;
  call = "IP_MULTICAST_ALL";
  if (setsockopt(sock->fd, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off)) goto failed;
  call = "SO_RCVBUF";
  if (setsockopt(sock->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) &&
      setsockopt(sock->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size)) {
    goto failed;
  }
  call = "SO_ATTACH_FILTER";
  if (!cfg->loopback && filter_own(sock->fd)) goto failed;
  call = "SO_TIMESTAMPING";
  int stamps = SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE;
  if (udp->base.clock == HWGW_RX_CLOCK_HARDWARE &&
      setsockopt(sock->fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps)) {
    goto failed;
  }
  call = "SO_TIMESTAMPNS";
  if (udp->base.clock == HWGW_RX_CLOCK_KERNEL && setsockopt(sock->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on)) {
    goto failed;
  }
  if (cfg->busy_poll_us) busy_poll_set(udp, sock->fd, cfg->busy_poll_us);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(flow->port), .sin_addr.s_addr = htonl(flow->group)};
  call = "bind";
  if (bind(sock->fd, (struct sockaddr *)&address, sizeof address)) goto failed;
  if (udp->epoll_fd >= 0) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    call = "EPOLL_CTL_ADD";
    if (epoll_ctl(udp->epoll_fd, EPOLL_CTL_ADD, sock->fd, &event)) goto failed;
  }
  return hwgw_rx_join(sock->fd, flow, ifindex, cfg->local_address, cfg->interface, error);
failed:;
  int cause = errno;
  return hwgw_error_set(error, cause == EACCES || cause == EPERM ? HWGW_ERR_PRIVILEGE : HWGW_ERR_DEVICE, cause,
                        "rx udp: %s for %s: %s", call, hwgw_rx_flow_print(flow).text, strerror(cause));
}

static int32_t sizes_take(struct rx_udp *udp, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  udp->slot_cnt = cfg->frame_cnt ? cfg->frame_cnt : SLOTS_DEFAULT;
  udp->slot_sz = cfg->frame_sz_bytes ? cfg->frame_sz_bytes : HWGW_RX_FRAME_SZ_DEFAULT;
  if (udp->slot_cnt > SLOTS_MAX) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx udp: frame_cnt %u; allowed: at most %d", udp->slot_cnt,
                          SLOTS_MAX);
  }
  if (udp->slot_sz < 64 || udp->slot_sz > SLOT_SZ_MAX) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx udp: frame_sz_bytes %u; allowed: 64 to %d", udp->slot_sz,
                          SLOT_SZ_MAX);
  }
  if (cfg->flow_cnt == 0) return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx udp: no flow; name at least one group");
  return HWGW_OK;
}

static int32_t memory_take(struct rx_udp *udp, struct hwgw_error *error) {
  udp->messages = calloc(udp->slot_cnt, sizeof *udp->messages);
  udp->iovecs = calloc(udp->slot_cnt, sizeof *udp->iovecs);
  if (udp->timestamps) udp->control = calloc(udp->slot_cnt, CONTROL_SZ);
  udp->slots = mmap(NULL, (size_t)udp->slot_cnt * udp->slot_sz, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (udp->slots == MAP_FAILED) udp->slots = NULL;
  if (!udp->messages || !udp->iovecs || !udp->slots || (udp->timestamps && !udp->control)) {
    return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "rx udp: no memory for %u slots of %u bytes", udp->slot_cnt,
                          udp->slot_sz);
  }
  for (uint32_t i = 0; i < udp->slot_cnt; i++) {
    udp->iovecs[i] = (struct iovec){.iov_base = udp->slots + (size_t)i * udp->slot_sz, .iov_len = udp->slot_sz};
    udp->messages[i].msg_hdr = (struct msghdr){.msg_iov = &udp->iovecs[i], .msg_iovlen = 1};
    if (udp->timestamps) udp->messages[i].msg_hdr.msg_control = udp->control + (size_t)i * CONTROL_SZ;
  }
  return HWGW_OK;
}

static void describe(struct rx_udp *udp, const struct hwgw_rx_cfg *cfg) {
  int got = 0;
  socklen_t sz = sizeof got;
  getsockopt(udp->sockets[0].fd, SOL_SOCKET, SO_RCVBUF, &got, &sz);
  char notes[HWGW_RX_DESCRIBE_SZ];
  snprintf(notes, sizeof notes, "%s", udp->base.describe);
  snprintf(udp->base.describe, sizeof udp->base.describe, "udp: %u socket%s%s%s, recvmmsg, buffer %d KiB%s%.256s",
           udp->flow_cnt, udp->flow_cnt > 1 ? "s" : "", cfg->interface && *cfg->interface ? " on " : "",
           cfg->interface && *cfg->interface ? cfg->interface : "", got >> 10,
           got < SOCKET_BUFFER_BYTES ? " (net.core.rmem_max allows no more)" : "", notes);
}

static bool interface_has_clock(const char *interface) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  bool has_clock = fd >= 0 && hwgw_nic_has_clock(fd, interface);
  if (fd >= 0) close(fd);
  return has_clock;
}

static int32_t udp_open(struct hwgw_rx **rx, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  struct rx_udp *udp = calloc(1, sizeof *udp);
  if (!udp) return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "rx udp: no memory");
  udp->base.ops = &hwgw_rx_udp;
  udp->base.is_behind_xdp = true;
  udp->epoll_fd = udp->causes.fd = -1;
  udp->timestamps = cfg->timestamps;
  udp->base.clock = cfg->timestamps ? HWGW_RX_CLOCK_KERNEL : HWGW_RX_CLOCK_NONE;
  int32_t status = sizes_take(udp, cfg, error);
  if (!status) status = memory_take(udp, error);
  int ifindex = 0;
  if (!status && cfg->interface && *cfg->interface) {
    ifindex = (int)if_nametoindex(cfg->interface);
    if (!ifindex) {
      status = hwgw_error_set(error, HWGW_ERR_CONFIG, errno, "rx udp: interface \"%s\": %s", cfg->interface,
                              strerror(errno));
    } else if (cfg->timestamps && interface_has_clock(cfg->interface)) {
      udp->base.clock = HWGW_RX_CLOCK_HARDWARE;
    }
  }
  if (!status && cfg->flow_cnt > 1) {
    udp->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (udp->epoll_fd < 0) {
      status = hwgw_error_set(error, HWGW_ERR_DEVICE, errno, "rx udp: epoll_create1: %s", strerror(errno));
    }
  }
  for (uint32_t i = 0; !status && i < cfg->flow_cnt; i++) {
    udp->flow_cnt = i + 1;
    status = socket_open(udp, i, cfg, ifindex, error);
  }
  if (status) {
    udp_close(&udp->base);
    return status;
  }
  if (!hwgw_udp_causes_open(&udp->causes)) hwgw_rx_note(&udp->base, "; drops are not told apart (no net/snmp)");
  udp->has_nic = ifindex && hwgw_nic_open(&udp->nic, udp->sockets[0].fd, cfg->interface);
  describe(udp, cfg);
  *rx = &udp->base;
  return HWGW_OK;
}

static uint64_t timestamp_read(struct msghdr *header) {
  for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item; item = CMSG_NXTHDR(header, item)) {
    if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SO_TIMESTAMPNS) {
      struct timespec time;
      memcpy(&time, CMSG_DATA(item), sizeof time);
      return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
    }
    if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SO_TIMESTAMPING) {
      struct timespec times[3]; /* software, nothing, the NIC's; zero where there is none */
      memcpy(times, CMSG_DATA(item), sizeof times);
      return (uint64_t)times[2].tv_sec * 1000000000u + (uint64_t)times[2].tv_nsec;
    }
  }
  return 0;
}

/* one recvmmsg on one socket into the free slots; returns the frames it gave */
static uint32_t socket_poll(struct rx_udp *udp, uint32_t index, struct hwgw_frame *frames, uint32_t max) {
  uint32_t room = udp->slot_cnt - udp->used;
  if (max > room) max = room;
  if (max == 0) return 0;
  struct udp_socket *sock = &udp->sockets[index];
  if (max > sock->batch) max = sock->batch;
  struct mmsghdr *messages = udp->messages + udp->used;
  if (udp->timestamps) {
    for (uint32_t i = 0; i < max; i++) messages[i].msg_hdr.msg_controllen = CONTROL_SZ;
  }
  int got = recvmmsg(sock->fd, messages, max, MSG_DONTWAIT, NULL);
  if (got <= 0) {
    sock->batch = 1;
    return 0;
  }
  uint64_t now = hwgw_rdtsc();
  sock->batch = (uint32_t)got < max ? (uint32_t)got : (uint32_t)got * 2;
  uint32_t cnt = 0;
  for (uint32_t i = 0; i < (uint32_t)got; i++) {
    if (HWGW_UNLIKELY(messages[i].msg_hdr.msg_flags & MSG_TRUNC)) {
      udp->base.count.truncated++;
      continue;
    }
    frames[cnt++] = (struct hwgw_frame){.data = messages[i].msg_hdr.msg_iov->iov_base,
                                        .len = messages[i].msg_len,
                                        .flow = (uint16_t)index,
                                        .t_rx = now,
                                        .ts_ns = udp->timestamps ? timestamp_read(&messages[i].msg_hdr) : 0};
    udp->base.count.bytes += messages[i].msg_len;
  }
  if (cnt) udp->used += (uint32_t)got; /* else nobody holds a slot, and nobody will call release */
  return cnt;
}

static uint32_t udp_poll(struct hwgw_rx *rx, struct hwgw_frame *frames, uint32_t max) {
  struct rx_udp *udp = (struct rx_udp *)rx;
  if (udp->epoll_fd < 0) return socket_poll(udp, 0, frames, max);
  struct epoll_event ready[HWGW_FLOWS_MAX];
  int ready_cnt = epoll_wait(udp->epoll_fd, ready, HWGW_FLOWS_MAX, 0);
  uint32_t cnt = 0;
  if (ready_cnt <= 0) return 0;
  uint32_t turn = udp->turn++;
  for (uint32_t i = 0; i < (uint32_t)ready_cnt && cnt < max; i++) {
    uint32_t index = ready[(turn + i) % (uint32_t)ready_cnt].data.u32;
    cnt += socket_poll(udp, index, frames + cnt, max - cnt);
  }
  return cnt;
}

static void udp_release(struct hwgw_rx *rx) {
  ((struct rx_udp *)rx)->used = 0;
}

/* drops of all our sockets since open */
static uint64_t drops_read(void *context) {
  struct rx_udp *udp = context;
  uint64_t drops = 0;
  for (uint32_t i = 0; i < udp->flow_cnt; i++) {
    struct udp_socket *sock = &udp->sockets[i];
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t sz = sizeof memory;
    if (getsockopt(sock->fd, SOL_SOCKET, SO_MEMINFO, memory, &sz) == 0) {
      sock->drops += memory[SK_MEMINFO_DROPS] - sock->drops_last;
      sock->drops_last = memory[SK_MEMINFO_DROPS];
    }
    drops += sock->drops;
  }
  return drops;
}

static void udp_stats(struct hwgw_rx *rx, uint64_t *counters) {
  struct rx_udp *udp = (struct rx_udp *)rx;
  busy_poll_probe(udp);
  hwgw_udp_causes_look(&udp->causes, drops_read, udp, rx->count.frames == udp->frames_looked);
  udp->frames_looked = rx->count.frames;
  if (udp->has_nic) hwgw_nic_update(&udp->nic, rx->count.frames);
  counters[HWGW_CNT_RX_DROP_OVERRUN] = udp->causes.drops[HWGW_UDP_OVERRUN];
  counters[HWGW_CNT_RX_DROP_CHECKSUM] = udp->causes.drops[HWGW_UDP_CHECKSUM];
  counters[HWGW_CNT_RX_DROP_KERNEL] = udp->causes.drops[HWGW_UDP_OTHER] + udp->nic.dropped;
  counters[HWGW_CNT_RX_DROP_NIC] = udp->nic.missed;
}

static bool udp_ended(const struct hwgw_rx *rx) {
  (void)rx;
  return false;
}

static bool udp_available(char *text, uint32_t sz) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    snprintf(text, sz, "socket(AF_INET): %s", strerror(errno));
    return false;
  }
  close(fd);
  return true;
}

const struct hwgw_rx_ops hwgw_rx_udp = {
    .name = "udp",
    .keeps_memory = true,
    .open = udp_open,
    .poll = udp_poll,
    .release = udp_release,
    .stats = udp_stats,
    .ended = udp_ended,
    .close = udp_close,
    .available = udp_available,
    .has_interface = true,
};
