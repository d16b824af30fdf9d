/* rx_link.c: follows one interface by the kernel's link messages (RTNETLINK).
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: RTM_NEWLINK and RTM_DELLINK of the namespace in which it was opened; the interface is known by its index, and
 * by its name while it does not exist. Messages of the bridge family speak of a port, not of the interface, and are
 * skipped. An overrun of the socket (ENOBUFS) means that messages were lost, so the whole is asked for again.
 *
 * Cost: one recv that finds nothing, per read. The kernel says nothing when a program goes off by its bpf_link; who wants
 * to know asks.
 *
 * Thread: that of the owner.
 */
#include "rx_link.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000 /* linux/if.h, which does not go together with net/if.h */
#endif

enum { MESSAGES_MAX = 8, ANSWER_S = 2 };

static void attributes(const struct rtattr *attr, size_t len, const struct rtattr **table, unsigned table_cnt) {
  for (; RTA_OK(attr, len); attr = RTA_NEXT(attr, len)) {
    unsigned type = attr->rta_type & (unsigned)NLA_TYPE_MASK;
    if (type < table_cnt) table[type] = attr;
  }
}

static uint32_t word(const struct rtattr *attr) {
  uint32_t value = 0;
  if (attr && RTA_PAYLOAD(attr) >= sizeof value) memcpy(&value, RTA_DATA(attr), sizeof value);
  return value;
}

bool hwgw_rx_link_is_up(const struct hwgw_rx_link *link) {
  return link->index && (link->flags & IFF_UP) && (link->flags & IFF_LOWER_UP);
}

static void gone(struct hwgw_rx_link *link) {
  link->downs += hwgw_rx_link_is_up(link);
  link->index = 0;
  link->flags = 0;
  memset(link->program, 0, sizeof link->program);
}

static void there(struct hwgw_rx_link *link, const struct ifinfomsg *info, const struct rtattr **table) {
  bool was_up = hwgw_rx_link_is_up(link);
  link->index = info->ifi_index;
  link->flags = info->ifi_flags;
  bool is_up = hwgw_rx_link_is_up(link);
  link->downs += was_up && !is_up;
  link->ups += is_up && !was_up;
  if (table[IFLA_MTU]) link->mtu = word(table[IFLA_MTU]);
  if (table[IFLA_IFNAME]) {
    snprintf(link->name, sizeof link->name, "%.*s", (int)RTA_PAYLOAD(table[IFLA_IFNAME]),
             (const char *)RTA_DATA(table[IFLA_IFNAME]));
  }
  if (table[IFLA_XDP]) {
    const struct rtattr *inner[IFLA_XDP_MAX + 1] = {0};
    attributes(RTA_DATA(table[IFLA_XDP]), RTA_PAYLOAD(table[IFLA_XDP]), inner, IFLA_XDP_MAX + 1);
    static const int KINDS[] = {IFLA_XDP_PROG_ID, IFLA_XDP_DRV_PROG_ID, IFLA_XDP_SKB_PROG_ID, IFLA_XDP_HW_PROG_ID};
    for (size_t i = 0; i < HWGW_RX_LINK_PROGRAMS; i++) link->program[i] = word(inner[KINDS[i]]);
  }
}

/* true when the message is about our interface */
static bool message_in(struct hwgw_rx_link *link, const struct nlmsghdr *message) {
  if (message->nlmsg_type == NLMSG_ERROR) {
    if (message->nlmsg_seq != link->seq || message->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr))) return false;
    if (((const struct nlmsgerr *)NLMSG_DATA(message))->error != -ENODEV) return false;
    gone(link);
    return true;
  }
  if (message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK) return false;
  if (message->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg))) return false;
  const struct ifinfomsg *info = NLMSG_DATA(message);
  if (info->ifi_family != AF_UNSPEC) return false;
  if (message->nlmsg_type == RTM_DELLINK) {
    if (!link->index || info->ifi_index != link->index) return false;
    gone(link);
    return true;
  }
  const struct rtattr *table[IFLA_MAX + 1] = {0};
  attributes(IFLA_RTA(info), message->nlmsg_len - NLMSG_LENGTH(sizeof *info), table, IFLA_MAX + 1);
  bool is_ours = link->index ? info->ifi_index == link->index
                             : table[IFLA_IFNAME] && strncmp(RTA_DATA(table[IFLA_IFNAME]), link->wanted,
                                                             RTA_PAYLOAD(table[IFLA_IFNAME])) == 0;
  if (is_ours) there(link, info, table);
  return is_ours;
}

/* the messages of one datagram; more than one comes only with an answer of several parts */
static bool datagram_in(struct hwgw_rx_link *link, size_t len) {
  bool is_ours = false;
  for (const struct nlmsghdr *message = (const struct nlmsghdr *)link->answer; NLMSG_OK(message, len);
       message = NLMSG_NEXT(message, len)) {
    is_ours |= message_in(link, message);
  }
  return is_ours;
}

void hwgw_rx_link_ask(struct hwgw_rx_link *link) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg info;
    struct rtattr mask_attr;
    uint32_t mask;
    struct rtattr name_attr;
    char name[16];
  } question = {.header = {.nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = ++link->seq},
                .info = {.ifi_index = link->index},
                .mask_attr = {.rta_type = IFLA_EXT_MASK, .rta_len = RTA_LENGTH(sizeof(uint32_t))},
                .mask = RTEXT_FILTER_SKIP_STATS};
  size_t len = offsetof(__typeof__(question), name_attr);
  if (!link->index) {
    question.name_attr = (struct rtattr){.rta_type = IFLA_IFNAME, .rta_len = RTA_LENGTH(sizeof question.name)};
    memcpy(question.name, link->wanted, sizeof question.name);
    len = sizeof question;
  }
  question.header.nlmsg_len = (uint32_t)len;
  (void)send(link->fd, &question, len, MSG_DONTWAIT); /* without an answer the next round asks again */
}

bool hwgw_rx_link_read(struct hwgw_rx_link *link) {
  bool is_ours = false;
  for (int i = 0; i < MESSAGES_MAX; i++) {
    ssize_t got = recv(link->fd, link->answer, sizeof link->answer, MSG_DONTWAIT);
    if (got < 0 && errno == ENOBUFS) {
      hwgw_rx_link_ask(link);
      continue;
    }
    if (got <= 0) break;
    is_ours |= datagram_in(link, (size_t)got);
  }
  return is_ours;
}

static int32_t failed(struct hwgw_error *error, const char *call, int cause) {
  return hwgw_error_set(error, HWGW_ERR_DEVICE, cause, "rx: %s of NETLINK_ROUTE: %s", call, strerror(cause));
}

int32_t hwgw_rx_link_open(struct hwgw_rx_link *link, const char *name, struct hwgw_error *error) {
  *link = (struct hwgw_rx_link){.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
  if (link->fd < 0) return failed(error, "socket", errno);
  snprintf(link->wanted, sizeof link->wanted, "%s", name);
  snprintf(link->name, sizeof link->name, "%s", name);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
  struct timeval patience = {.tv_sec = ANSWER_S};
  if (bind(link->fd, (struct sockaddr *)&address, sizeof address) ||
      setsockopt(link->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience)) {
    int cause = errno;
    hwgw_rx_link_close(link);
    return failed(error, "bind", cause);
  }
  hwgw_rx_link_ask(link);
  for (;;) {
    ssize_t got = recv(link->fd, link->answer, sizeof link->answer, 0);
    if (got < 0 && (errno == EINTR || errno == ENOBUFS)) continue;
    if (got <= 0) {
      int cause = errno;
      hwgw_rx_link_close(link);
      return failed(error, "recv", cause);
    }
    bool is_ours = datagram_in(link, (size_t)got);
    if (is_ours && ((const struct nlmsghdr *)link->answer)->nlmsg_seq == link->seq) break;
  }
  link->ups = link->downs = 0; /* what was is not counted */
  return HWGW_OK;
}

bool hwgw_rx_link_has_program(const struct hwgw_rx_link *link, uint32_t id) {
  for (size_t i = 0; i < HWGW_RX_LINK_PROGRAMS; i++) {
    if (link->program[i] == id) return true;
  }
  return false;
}

uint32_t hwgw_rx_link_queues(const struct hwgw_rx_link *link) {
  struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
  struct ifreq request = {.ifr_data = (char *)&channels};
  memcpy(request.ifr_name, link->name, sizeof request.ifr_name);
  return ioctl(link->fd, SIOCETHTOOL, &request) ? 0 : channels.rx_count + channels.combined_count;
}

void hwgw_rx_link_close(struct hwgw_rx_link *link) {
  if (link->fd >= 0) close(link->fd);
  link->fd = -1;
}
