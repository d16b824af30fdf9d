/* xdp_load.c: loads and attaches the steering program with bpf(2) alone.
 *
 * SPDX-License-Identifier: MIT
 *
 * The program (xdp/steer.bpf.c) is compiled when hwgw is built; its instructions come from a generated header together
 * with the list of those that name a map. Here the maps are made, their descriptors written into these instructions and
 * the program is loaded and attached by a bpf_link, which ends with the process, also on kill -9. Needs CAP_NET_ADMIN,
 * CAP_BPF (or root). Set-up only: nothing here is on the data path but hwgw_xdp_passed, which is housekeeping.
 */
#ifndef HWGW_NO_XDP

#include "xdp_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../xdp/steer.h"
#include "hwgw_xdp_steer.h" /* generated */

enum {
  LOG_SZ = 65536,
  ATTACH_TRIES = 50, /* a program whose owner has just died is taken off within milliseconds */
  ATTACH_PAUSE_MS = 2
};

static int bpf_call(enum bpf_cmd command, union bpf_attr *attr) {
  return (int)syscall(SYS_bpf, command, attr, sizeof *attr);
}

static int32_t failed(struct hwgw_error *error, const char *what, int cause) {
  bool is_privilege = cause == EPERM || cause == EACCES;
  return hwgw_error_set(error, is_privilege ? HWGW_ERR_PRIVILEGE : HWGW_ERR_DEVICE, cause, "rx afxdp: %s: %s%s", what,
                        strerror(cause),
                        is_privilege ? "; run as root or with CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF" : "");
}

static int map_create(enum bpf_map_type type, const char *name, uint32_t key_sz, uint32_t value_sz, uint32_t max) {
  union bpf_attr attr = {0};
  attr.map_type = type;
  attr.key_size = key_sz;
  attr.value_size = value_sz;
  attr.max_entries = max;
  snprintf(attr.map_name, sizeof attr.map_name, "%s", name);
  return bpf_call(BPF_MAP_CREATE, &attr);
}

static int map_set(int fd, const void *key, const void *value) {
  union bpf_attr attr = {0};
  attr.map_fd = (uint32_t)fd;
  attr.key = (uintptr_t)key;
  attr.value = (uintptr_t)value;
  return bpf_call(BPF_MAP_UPDATE_ELEM, &attr);
}

int hwgw_xdp_probe(void) {
  int fd = map_create(BPF_MAP_TYPE_XSKMAP, "hwgw_probe", 4, 4, 1);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

/* the map descriptors go into the instructions that name a map, and the result to the kernel */
static int program_load(const struct hwgw_xdp *xdp, char *log, uint32_t log_sz) {
  struct bpf_insn insns[HWGW_XDP_STEER_INSN_CNT];
  memcpy(insns, hwgw_xdp_steer_insns, sizeof insns);
  for (uint32_t i = 0; i < HWGW_XDP_STEER_MAP_CNT; i++) {
    const char *name = hwgw_xdp_steer_maps[i].map;
    struct bpf_insn *insn = &insns[hwgw_xdp_steer_maps[i].insn];
    insn->src_reg = BPF_PSEUDO_MAP_FD;
    insn->imm = strcmp(name, "flows") == 0     ? xdp->flows_fd
                : strcmp(name, "sockets") == 0 ? xdp->sockets_fd
                                               : xdp->counts_fd;
  }
  union bpf_attr attr = {0};
  attr.prog_type = BPF_PROG_TYPE_XDP;
  attr.expected_attach_type = BPF_XDP;
  attr.insns = (uintptr_t)insns;
  attr.insn_cnt = HWGW_XDP_STEER_INSN_CNT;
  attr.license = (uintptr_t)HWGW_XDP_STEER_LICENSE;
  snprintf(attr.prog_name, sizeof attr.prog_name, "hwgw_steer");
  if (log) {
    attr.log_level = 1;
    attr.log_buf = (uintptr_t)log;
    attr.log_size = log_sz;
  }
  return bpf_call(BPF_PROG_LOAD, &attr);
}

/* the verifier's reason is the last but one line of its log */
static int32_t load_failed(struct hwgw_xdp *xdp, int cause, struct hwgw_error *error) {
  char *log = cause == EPERM ? NULL : calloc(1, LOG_SZ);
  if (!log) return failed(error, "BPF_PROG_LOAD", cause);
  int fd = program_load(xdp, log, LOG_SZ);
  if (fd >= 0) close(fd);
  char *line = log, *last = log;
  for (char *next; (next = strchr(line, '\n')) != NULL; line = next + 1) {
    *next = 0;
    if (strncmp(line, "processed ", 10) != 0) last = line;
  }
  int32_t status = hwgw_error_set(error, HWGW_ERR_DEVICE, cause,
                                  "rx afxdp: BPF_PROG_LOAD: %s; the verifier says: %.300s", strerror(cause), last);
  free(log);
  return status;
}

int32_t hwgw_xdp_load(struct hwgw_xdp *xdp, const struct hwgw_flow *flows, uint32_t flow_cnt, uint32_t queue,
                      struct hwgw_error *error) {
  *xdp = (struct hwgw_xdp){.flows_fd = -1, .sockets_fd = -1, .counts_fd = -1, .program_fd = -1, .link_fd = -1};
  xdp->flows_fd = map_create(BPF_MAP_TYPE_HASH, "hwgw_flows", sizeof(struct steer_flow), 4, HWGW_FLOWS_MAX);
  if (xdp->flows_fd < 0) return failed(error, "BPF_MAP_CREATE hash", errno);
  xdp->sockets_fd = map_create(BPF_MAP_TYPE_XSKMAP, "hwgw_sockets", 4, 4, STEER_QUEUES_MAX);
  if (xdp->sockets_fd < 0) return failed(error, "BPF_MAP_CREATE xskmap", errno);
  xdp->counts_fd = map_create(BPF_MAP_TYPE_ARRAY, "hwgw_counts", 4, 8, STEER_COUNT_CNT);
  if (xdp->counts_fd < 0) return failed(error, "BPF_MAP_CREATE array", errno);
  for (uint32_t i = 0; i < flow_cnt; i++) {
    struct steer_flow key = {.group = htonl(flows[i].group), .port = htons(flows[i].port)};
    if (map_set(xdp->flows_fd, &key, &queue)) return failed(error, "BPF_MAP_UPDATE_ELEM flow", errno);
  }
  xdp->program_fd = program_load(xdp, NULL, 0);
  return xdp->program_fd < 0 ? load_failed(xdp, errno, error) : HWGW_OK;
}

static int link_create(int program_fd, int ifindex, uint32_t flags) {
  union bpf_attr attr = {0};
  attr.link_create.prog_fd = (uint32_t)program_fd;
  attr.link_create.target_ifindex = (uint32_t)ifindex;
  attr.link_create.attach_type = BPF_XDP;
  attr.link_create.flags = flags;
  return bpf_call(BPF_LINK_CREATE, &attr);
}

/* the bpf_link that holds a program on an interface, 0 = none (attached by netlink) */
static uint32_t holding_link(int ifindex, uint32_t program_id) {
  union bpf_attr attr = {0};
  while (bpf_call(BPF_LINK_GET_NEXT_ID, &attr) == 0) {
    uint32_t id = attr.next_id;
    union bpf_attr open_attr = {.link_id = id};
    int fd = bpf_call(BPF_LINK_GET_FD_BY_ID, &open_attr);
    if (fd >= 0) {
      struct bpf_link_info info = {0};
      union bpf_attr info_attr = {0};
      info_attr.info.bpf_fd = (uint32_t)fd;
      info_attr.info.info_len = sizeof info;
      info_attr.info.info = (uintptr_t)&info;
      int result = bpf_call(BPF_OBJ_GET_INFO_BY_FD, &info_attr);
      close(fd);
      bool is_ours = result == 0 && info.type == BPF_LINK_TYPE_XDP && info.xdp.ifindex == (uint32_t)ifindex;
      if (is_ours && info.prog_id == program_id) return id;
    }
    attr = (union bpf_attr){.start_id = id};
  }
  return 0;
}

static void program_name(uint32_t program_id, char *out, size_t sz) {
  snprintf(out, sz, "?");
  union bpf_attr attr = {.prog_id = program_id};
  int fd = bpf_call(BPF_PROG_GET_FD_BY_ID, &attr);
  if (fd < 0) return;
  struct bpf_prog_info info = {0};
  union bpf_attr info_attr = {0};
  info_attr.info.bpf_fd = (uint32_t)fd;
  info_attr.info.info_len = sizeof info;
  info_attr.info.info = (uintptr_t)&info;
  if (bpf_call(BPF_OBJ_GET_INFO_BY_FD, &info_attr) == 0) snprintf(out, sz, "%.16s", info.name);
  close(fd);
}

static int32_t held(const char *interface, int ifindex, int cause, struct hwgw_error *error) {
  struct hwgw_interface now;
  if (hwgw_interface_read(&now, interface, NULL) || now.program_id == 0) return failed(error, "BPF_LINK_CREATE", cause);
  char name[20];
  program_name(now.program_id, name, sizeof name);
  uint32_t link = holding_link(ifindex, now.program_id);
  if (link) {
    return hwgw_error_set(
        error, HWGW_ERR_DEVICE, cause,
        "rx afxdp: %s is held by XDP program \"%s\" (id %u) through bpf_link %u; stop the process that "
        "owns it",
        interface, name, now.program_id, link);
  }
  return hwgw_error_set(error, HWGW_ERR_DEVICE, cause,
                        "rx afxdp: %s is held by XDP program \"%s\" (id %u); take it off: ip link set dev %s xdp off",
                        interface, name, now.program_id, interface);
}

int32_t hwgw_xdp_attach(struct hwgw_xdp *xdp, const char *interface, int ifindex, const char *mode,
                        struct hwgw_error *error) {
  bool may_native = strcmp(mode, "generic") != 0, may_generic = strcmp(mode, "native") != 0;
  int cause = 0;
  for (int try = 0; try < ATTACH_TRIES; try++) {
    xdp->is_native = may_native;
    xdp->link_fd = link_create(xdp->program_fd, ifindex, may_native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
    cause = errno;
    if (xdp->link_fd < 0 && cause != EBUSY && cause != EEXIST && may_native && may_generic) {
      snprintf(xdp->fallback, sizeof xdp->fallback, "native: %s", strerror(cause));
      xdp->is_native = may_native = false;
      xdp->link_fd = link_create(xdp->program_fd, ifindex, XDP_FLAGS_SKB_MODE);
      cause = errno;
    }
    if (xdp->link_fd >= 0) return HWGW_OK;
    if (cause != EBUSY && cause != EEXIST) break;
    nanosleep(&(struct timespec){.tv_nsec = ATTACH_PAUSE_MS * 1000000}, NULL);
  }
  if (cause == EBUSY || cause == EEXIST) return held(interface, ifindex, cause, error);
  char what[96];
  snprintf(what, sizeof what, "BPF_LINK_CREATE %s on %s", xdp->is_native ? "native" : "generic", interface);
  return failed(error, what, cause);
}

int32_t hwgw_xdp_start(struct hwgw_xdp *xdp, uint32_t queue, int socket_fd, struct hwgw_error *error) {
  return map_set(xdp->sockets_fd, &queue, &socket_fd) ? failed(error, "BPF_MAP_UPDATE_ELEM socket", errno) : HWGW_OK;
}

uint64_t hwgw_xdp_passed(const struct hwgw_xdp *xdp) {
  uint64_t sum = 0;
  for (uint32_t slot = 0; slot < STEER_COUNT_CNT; slot++) {
    uint64_t value = 0;
    union bpf_attr attr = {0};
    attr.map_fd = (uint32_t)xdp->counts_fd;
    attr.key = (uintptr_t)&slot;
    attr.value = (uintptr_t)&value;
    if (bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) == 0) sum += value;
  }
  return sum;
}

uint32_t hwgw_xdp_program_id(const struct hwgw_xdp *xdp) {
  struct bpf_prog_info info = {0};
  union bpf_attr attr = {0};
  attr.info.bpf_fd = (uint32_t)xdp->program_fd;
  attr.info.info_len = sizeof info;
  attr.info.info = (uintptr_t)&info;
  return bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) ? 0 : info.id;
}

void hwgw_xdp_close(struct hwgw_xdp *xdp) {
  int *fds[] = {&xdp->link_fd, &xdp->program_fd, &xdp->counts_fd, &xdp->sockets_fd, &xdp->flows_fd};
  for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
    if (*fds[i] >= 0) close(*fds[i]);
    *fds[i] = -1;
  }
}

/* the attributes of one level, by type; the last one of a type wins */
static void attributes(const struct rtattr *attr, size_t len, const struct rtattr **table, unsigned table_cnt) {
  for (; RTA_OK(attr, len); attr = RTA_NEXT(attr, len)) {
    unsigned type = attr->rta_type & (unsigned)NLA_TYPE_MASK;
    if (type < table_cnt) table[type] = attr;
  }
}

static void interface_parse(struct hwgw_interface *out, const struct nlmsghdr *message) {
  const struct ifinfomsg *info = NLMSG_DATA(message);
  const struct rtattr *table[IFLA_MAX + 1] = {0};
  attributes(IFLA_RTA(info), message->nlmsg_len - NLMSG_LENGTH(sizeof *info), table, IFLA_MAX + 1);
  out->is_up = (info->ifi_flags & IFF_UP) != 0;
  if (table[IFLA_MTU]) memcpy(&out->mtu, RTA_DATA(table[IFLA_MTU]), sizeof out->mtu);
  if (table[IFLA_ADDRESS] && RTA_PAYLOAD(table[IFLA_ADDRESS]) == sizeof out->address) {
    memcpy(out->address, RTA_DATA(table[IFLA_ADDRESS]), sizeof out->address);
  }
  if (table[IFLA_LINKINFO]) {
    const struct rtattr *inner[IFLA_INFO_MAX + 1] = {0};
    attributes(RTA_DATA(table[IFLA_LINKINFO]), RTA_PAYLOAD(table[IFLA_LINKINFO]), inner, IFLA_INFO_MAX + 1);
    if (inner[IFLA_INFO_KIND]) {
      snprintf(out->kind, sizeof out->kind, "%.*s", (int)RTA_PAYLOAD(inner[IFLA_INFO_KIND]),
               (const char *)RTA_DATA(inner[IFLA_INFO_KIND]));
    }
  }
  if (table[IFLA_XDP]) {
    const struct rtattr *inner[IFLA_XDP_MAX + 1] = {0};
    attributes(RTA_DATA(table[IFLA_XDP]), RTA_PAYLOAD(table[IFLA_XDP]), inner, IFLA_XDP_MAX + 1);
    if (inner[IFLA_XDP_PROG_ID]) memcpy(&out->program_id, RTA_DATA(inner[IFLA_XDP_PROG_ID]), sizeof out->program_id);
  }
}

int32_t hwgw_interface_read(struct hwgw_interface *out, const char *name, struct hwgw_error *error) {
  *out = (struct hwgw_interface){.index = (int)if_nametoindex(name)};
  if (!out->index) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, errno, "rx afxdp: interface \"%s\": %s", name, strerror(errno));
  }
  struct {
    struct nlmsghdr header;
    struct ifinfomsg info;
  } request = {.header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
               .info = {.ifi_index = out->index}};
  _Alignas(struct nlmsghdr) char answer[32768];
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  ssize_t got = -1;
  if (fd >= 0 && send(fd, &request, sizeof request, 0) == (ssize_t)sizeof request)
    got = recv(fd, answer, sizeof answer, 0);
  int cause = errno;
  if (fd >= 0) close(fd);
  const struct nlmsghdr *message = (const struct nlmsghdr *)answer;
  if (got < 0) return failed(error, "RTM_GETLINK", cause);
  if (!NLMSG_OK(message, (size_t)got) || message->nlmsg_type != RTM_NEWLINK)
    return failed(error, "RTM_GETLINK", EPROTO);
  interface_parse(out, message);
  return HWGW_OK;
}

#endif
