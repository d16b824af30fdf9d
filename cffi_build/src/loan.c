/* loan.c: what hwgw_loan.h says, of the kernel's side of a loan.
 *
 * SPDX-License-Identifier: MIT
 *
 * Cost of telling: four system calls and no byte on the wire. No call here is outside of the filter of confine.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"
#include "hwgw_loan.h"

enum { ESTABLISHED = 1 }; /* netinet/tcp.h has it, which does not go together with linux/tcp.h */
enum { QUEUE_RECEIVE = 1, QUEUE_SEND = 2 };

_Static_assert(HWGW_LOAN_HEADER_SZ == ETHERNET_ETHERNET_HEADER_LEN + ETHERNET_IPV4_HEADER_LEN + ETHERNET_TCP_HEADER_LEN,
               "a header is these three");

static int set(int fd, int option, int value) {
  return setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
}

/* repair mode: the kernel queues, and sends nothing */
static int32_t repair(int fd, struct hwgw_error *error) {
  if (set(fd, TCP_REPAIR, TCP_REPAIR_ON) == 0) return HWGW_OK;
  int cause = errno;
  if (cause == EPERM)
    return hwgw_error_set(error, HWGW_ERR_PRIVILEGE, cause,
                          "card: lending a connection to the card needs CAP_NET_ADMIN (TCP_REPAIR)");
  return hwgw_error_set(error, HWGW_ERR_DEVICE, cause, "card: TCP_REPAIR of the order session: %s", strerror(cause));
}

static bool queue_seq(int fd, int queue, uint32_t *seq) {
  socklen_t sz = sizeof *seq;
  return set(fd, TCP_REPAIR_QUEUE, queue) == 0 && getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, seq, &sz) == 0;
}

int32_t hwgw_loan_numbers(int32_t fd, struct hwgw_loan_numbers *numbers, struct hwgw_error *error) {
  struct tcp_info info = {0};
  struct tcp_repair_window window = {0};
  socklen_t info_sz = sizeof info, window_sz = sizeof window;
  int unacknowledged = 0;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_sz) || ioctl(fd, SIOCOUTQ, &unacknowledged))
    return hwgw_error_set(error, HWGW_ERR_DEVICE, errno, "card: TCP_INFO of the order session: %s", strerror(errno));
  if (info.tcpi_state != ESTABLISHED)
    return hwgw_error_set(error, HWGW_ERR_DEVICE, 0,
                          "card: the order session's TCP state is %u; only an established connection can be lent",
                          info.tcpi_state);
  if (info.tcpi_options & TCPI_OPT_TIMESTAMPS)
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "card: the connection has TCP timestamps, which it cannot send; set "
                          "net.ipv4.tcp_timestamps=0");
  if (info.tcpi_notsent_bytes)
    return hwgw_error_set(error, HWGW_ERR_DEVICE, 0, "card: %u bytes wait in the socket; lend when all has been sent",
                          info.tcpi_notsent_bytes);
  int32_t status = repair(fd, error);
  if (status) return status;
  bool is_read = queue_seq(fd, QUEUE_RECEIVE, &numbers->ack) && queue_seq(fd, QUEUE_SEND, &numbers->seq) &&
                 getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, &window_sz) == 0;
  int cause = errno;
  if (set(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP) || !is_read)
    return hwgw_error_set(error, HWGW_ERR_DEVICE, cause, "card: the numbers of the order session's connection: %s",
                          strerror(is_read ? errno : cause));
  uint32_t ours = window.rcv_wnd >> info.tcpi_rcv_wscale, theirs = window.snd_wnd;
  uint32_t room = theirs > (uint32_t)unacknowledged ? theirs - (uint32_t)unacknowledged : 0;
  numbers->window = ours < UINT16_MAX ? ours : UINT16_MAX;
  numbers->room = room < HWGW_LOAN_BYTES_MAX ? room : HWGW_LOAN_BYTES_MAX;
  return HWGW_OK;
}

int32_t hwgw_loan_tell(int32_t fd, const void *packet, uint32_t len, struct hwgw_error *error) {
  int32_t status = repair(fd, error);
  if (status) return status;
  ssize_t taken = set(fd, TCP_REPAIR_QUEUE, QUEUE_SEND) ? -1 : send(fd, packet, len, MSG_DONTWAIT | MSG_NOSIGNAL);
  int cause = taken < 0 ? errno : 0;
  if (set(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP)) cause = errno;
  if (cause)
    return hwgw_error_set(error, HWGW_ERR_DEVICE, cause, "card: the socket does not take up what was sent: %s",
                          strerror(cause));
  if (taken != (ssize_t)len || len == 0)
    return hwgw_error_set(error, HWGW_ERR_DEVICE, 0, "card: the socket took up %zd of %u bytes that were sent", taken,
                          len);
  return HWGW_OK;
}

/* ---- the way to the peer ---- */

#define ATTRIBUTES 32
#define ANSWER_SZ 8192
#define NUD_KNOWN (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

/* a question of NETLINK_ROUTE with one attribute at most, and its answer */
struct asked {
  struct nlmsghdr header;
  union {
    struct rtmsg route;
    struct ndmsg neighbour;
    struct ifinfomsg link;
    uint8_t bytes[64];
  } body;
};

static void attribute_add(struct asked *asked, uint16_t type, uint32_t value) {
  size_t at = NLMSG_ALIGN(asked->header.nlmsg_len) - sizeof asked->header;
  struct rtattr attribute = {.rta_type = type, .rta_len = RTA_LENGTH(sizeof value)};
  memcpy(asked->body.bytes + at, &attribute, sizeof attribute);
  memcpy(asked->body.bytes + at + RTA_LENGTH(0), &value, sizeof value);
  asked->header.nlmsg_len = (uint32_t)(sizeof asked->header + at + RTA_LENGTH(sizeof value));
}

/* the answer is there when the question was taken: the body of one message of this type, or NULL; errno says why */
static const void *ask(struct asked *asked, uint16_t answer_type, void *room, const struct rtattr **found) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return NULL;
  asked->header.nlmsg_flags = NLM_F_REQUEST;
  ssize_t got = send(fd, asked, asked->header.nlmsg_len, MSG_DONTWAIT);
  if (got >= 0) got = recv(fd, room, ANSWER_SZ, MSG_DONTWAIT);
  int cause = got < 0 ? errno : ENOENT;
  close(fd);
  errno = cause;
  const struct nlmsghdr *answer = room;
  if (got < 0 || !NLMSG_OK(answer, (size_t)got)) return NULL;
  if (answer->nlmsg_type == NLMSG_ERROR && answer->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)))
    errno = -((const struct nlmsgerr *)NLMSG_DATA(answer))->error;
  size_t body_sz = answer_type == RTM_NEWROUTE   ? sizeof(struct rtmsg)
                   : answer_type == RTM_NEWNEIGH ? sizeof(struct ndmsg)
                                                 : sizeof(struct ifinfomsg);
  if (answer->nlmsg_type != answer_type || answer->nlmsg_len < NLMSG_LENGTH(body_sz)) return NULL;
  const struct rtattr *at = (const void *)((const uint8_t *)answer + NLMSG_SPACE(body_sz));
  size_t left = answer->nlmsg_len - NLMSG_SPACE(body_sz);
  memset(found, 0, ATTRIBUTES * sizeof *found);
  for (; RTA_OK(at, left); at = RTA_NEXT(at, left))
    if ((at->rta_type & NLA_TYPE_MASK) < ATTRIBUTES) found[at->rta_type & NLA_TYPE_MASK] = at;
  return NLMSG_DATA(answer);
}

static bool copy(void *to, size_t sz, const struct rtattr *attribute) {
  if (!attribute || RTA_PAYLOAD(attribute) != sz) return false;
  memcpy(to, RTA_DATA(attribute), sz);
  return true;
}

/* the interface, and the next hop towards address (both in network order) */
static bool route_find(uint32_t address, uint32_t *hop, int32_t *ifindex) {
  const struct rtattr *found[ATTRIBUTES];
  uint8_t room[ANSWER_SZ];
  struct asked asked = {.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)), .nlmsg_type = RTM_GETROUTE},
                        .body.route = {.rtm_family = AF_INET, .rtm_dst_len = 32}};
  attribute_add(&asked, RTA_DST, address);
  if (!ask(&asked, RTM_NEWROUTE, room, found) || !copy(ifindex, sizeof *ifindex, found[RTA_OIF])) return false;
  if (!copy(hop, sizeof *hop, found[RTA_GATEWAY])) *hop = address;
  return true;
}

static bool neighbour_find(uint32_t hop, int32_t ifindex, uint8_t *mac) {
  const struct rtattr *found[ATTRIBUTES];
  uint8_t room[ANSWER_SZ];
  struct asked asked = {.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ndmsg)), .nlmsg_type = RTM_GETNEIGH},
                        .body.neighbour = {.ndm_family = AF_INET, .ndm_ifindex = ifindex}};
  attribute_add(&asked, NDA_DST, hop);
  const struct ndmsg *at = ask(&asked, RTM_NEWNEIGH, room, found);
  return at && at->ndm_state & NUD_KNOWN && copy(mac, 6, found[NDA_LLADDR]);
}

static bool own_find(int32_t ifindex, uint8_t *mac) {
  const struct rtattr *found[ATTRIBUTES];
  uint8_t room[ANSWER_SZ];
  struct asked asked = {.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_GETLINK},
                        .body.link = {.ifi_index = ifindex}};
  attribute_add(&asked, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  const struct ifinfomsg *at = ask(&asked, RTM_NEWLINK, room, found);
  return at && at->ifi_type == ARPHRD_ETHER && copy(mac, 6, found[IFLA_ADDRESS]);
}

int32_t hwgw_loan_header(int32_t fd, uint8_t *header, int32_t *ifindex, struct hwgw_error *error) {
  struct sockaddr_in ours = {0}, theirs = {0};
  socklen_t ours_sz = sizeof ours, theirs_sz = sizeof theirs;
  uint8_t *ip = header + ETHERNET_ETHERNET_HEADER_LEN, *tcp = ip + ETHERNET_IPV4_HEADER_LEN;
  int tos = 0, ttl = 0;
  socklen_t tos_sz = sizeof tos, ttl_sz = sizeof ttl;
  if (getsockname(fd, (struct sockaddr *)&ours, &ours_sz) || getpeername(fd, (struct sockaddr *)&theirs, &theirs_sz) ||
      ours.sin_family != AF_INET || getsockopt(fd, IPPROTO_IP, IP_TOS, &tos, &tos_sz) ||
      getsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, &ttl_sz))
    return hwgw_error_set(error, HWGW_ERR_DEVICE, errno, "card: the order session has no addresses: %s",
                          strerror(errno));
  char peer[INET_ADDRSTRLEN] = "";
  inet_ntop(AF_INET, &theirs.sin_addr, peer, sizeof peer);
  uint32_t hop = 0;
  memset(header, 0, HWGW_LOAN_HEADER_SZ);
  if (!route_find(theirs.sin_addr.s_addr, &hop, ifindex))
    return hwgw_error_set(error, HWGW_ERR_DEVICE, errno, "card: no route to the venue at %s: %s", peer,
                          strerror(errno));
  if (!own_find(*ifindex, header + ETHERNET_ETHERNET_HEADER_SOURCE_OFF))
    return hwgw_error_set(error, HWGW_ERR_DEVICE, 0,
                          "card: the venue at %s is reached by interface %d, which is not an Ethernet one", peer,
                          *ifindex);
  if (!neighbour_find(hop, *ifindex, header + ETHERNET_ETHERNET_HEADER_DESTINATION_OFF))
    return hwgw_error_set(error, HWGW_ERR_DEVICE, errno,
                          "card: the hardware address of the next hop to the venue at %s is not known", peer);
  hwgw_put_be16(header + ETHERNET_ETHERNET_HEADER_ETHERTYPE_OFF, ETHERNET_ETHERTYPE_IPV4);
  ip[ETHERNET_IPV4_HEADER_VERSION_IHL_OFF] = ETHERNET_IPV4_VERSION_IHL;
  ip[ETHERNET_IPV4_HEADER_DSCP_ECN_OFF] = (uint8_t)tos;
  hwgw_put_be16(ip + ETHERNET_IPV4_HEADER_FLAGS_FRAGMENT_OFF, ETHERNET_IPV4_DONT_FRAGMENT);
  ip[ETHERNET_IPV4_HEADER_TTL_OFF] = (uint8_t)ttl;
  ip[ETHERNET_IPV4_HEADER_PROTOCOL_OFF] = ETHERNET_IP_PROTOCOL_TCP;
  memcpy(ip + ETHERNET_IPV4_HEADER_SOURCE_OFF, &ours.sin_addr, 4);
  memcpy(ip + ETHERNET_IPV4_HEADER_DESTINATION_OFF, &theirs.sin_addr, 4);
  memcpy(tcp + ETHERNET_TCP_HEADER_SOURCE_PORT_OFF, &ours.sin_port, 2);
  memcpy(tcp + ETHERNET_TCP_HEADER_DESTINATION_PORT_OFF, &theirs.sin_port, 2);
  hwgw_put_be16(tcp + ETHERNET_TCP_HEADER_OFFSET_FLAGS_OFF, ETHERNET_TCP_OFFSET_FLAGS);
  return HWGW_OK;
}
