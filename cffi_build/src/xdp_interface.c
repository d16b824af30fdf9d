/* xdp_interface.c: asks the kernel about an interface: its properties, who holds it, its own drops.
 *
 * SPDX-License-Identifier: MIT
 *
 * Properties come by RTM_GETLINK, the holder of a foreign program from the kernel's list of bpf_links and the descriptors
 * under /proc. Set-up and housekeeping only; any thread, in its own network namespace.
 */
#ifndef HWGW_NO_XDP

#include "xdp_interface.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PROC_PATH_SZ = 320, COMMAND_SZ = 17 };

static int bpf_call(enum bpf_cmd command, union bpf_attr *attr) {
  return (int)syscall(SYS_bpf, command, attr, sizeof *attr);
}

static int32_t failed(struct hwgw_error *error, const char *what, int cause) {
  return hwgw_error_set(error, HWGW_ERR_DEVICE, cause, "rx afxdp: %s: %s", what, strerror(cause));
}

/* ---- properties ---- */

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
  snprintf(out->name, sizeof out->name, "%s", name);
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

/* ---- who holds it ---- */

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

/* does this descriptor of a process stand for the link */
static bool names_link(const char *path, uint32_t link) {
  char text[512] = "";
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  const char *at = got > 0 ? strstr(text, "link_id:") : NULL;
  return at && strtoul(at + strlen("link_id:"), NULL, 10) == link;
}

/* the first process that has the link open, 0 = none that can be seen; command: its name */
static int link_owner(uint32_t link, char command[COMMAND_SZ]) {
  DIR *processes = opendir("/proc");
  if (!processes) return 0;
  int found = 0;
  for (const struct dirent *one; !found && (one = readdir(processes)) != NULL;) {
    int pid = atoi(one->d_name);
    char path[PROC_PATH_SZ];
    snprintf(path, sizeof path, "/proc/%d/fdinfo", pid);
    DIR *descriptors = pid > 0 ? opendir(path) : NULL;
    if (!descriptors) continue;
    for (const struct dirent *fd; !found && (fd = readdir(descriptors)) != NULL;) {
      snprintf(path, sizeof path, "/proc/%d/fdinfo/%.200s", pid, fd->d_name);
      if (names_link(path, link)) found = pid;
    }
    closedir(descriptors);
  }
  closedir(processes);
  char path[PROC_PATH_SZ];
  snprintf(path, sizeof path, "/proc/%d/comm", found);
  int fd = found ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  ssize_t got = fd >= 0 ? read(fd, command, COMMAND_SZ - 1) : 0;
  if (fd >= 0) close(fd);
  command[got > 0 ? got : 0] = 0;
  command[strcspn(command, "\n")] = 0;
  return found;
}

int32_t hwgw_interface_held(const struct hwgw_interface *interface, int cause, struct hwgw_error *error) {
  struct hwgw_interface now;
  if (hwgw_interface_read(&now, interface->name, NULL) || now.program_id == 0)
    return failed(error, "BPF_LINK_CREATE", cause);
  char name[20], command[COMMAND_SZ];
  program_name(now.program_id, name, sizeof name);
  uint32_t link = holding_link(interface->index, now.program_id);
  if (!link) {
    return hwgw_error_set(error, HWGW_ERR_DEVICE, cause,
                          "rx afxdp: %s is held by XDP program \"%s\" (id %u); take it off: ip link set dev %s xdp off",
                          interface->name, name, now.program_id, interface->name);
  }
  int pid = link_owner(link, command);
  if (!pid) {
    return hwgw_error_set(error, HWGW_ERR_DEVICE, cause,
                          "rx afxdp: %s is held by XDP program \"%s\" (id %u) through bpf_link %u of a process that "
                          "cannot be seen here, or pinned under /sys/fs/bpf; stop that process or remove the pin",
                          interface->name, name, now.program_id, link);
  }
  return hwgw_error_set(error, HWGW_ERR_DEVICE, cause,
                        "rx afxdp: %s is held by XDP program \"%s\" (id %u) through bpf_link %u; stop the process that "
                        "owns it: pid %d (%s)",
                        interface->name, name, now.program_id, link, pid, command);
}

/* ---- its own drop counter ---- */

/* veth: the drop column of its line in net/dev, which takes no lock and always is of this thread's namespace; false when
 * there is no line of that name */
static bool read_veth(const struct hwgw_xdp_nic *nic, uint64_t *value) {
  char text[8192], wanted[20];
  size_t kept = 0;
  off_t at = 0;
  int wanted_len = snprintf(wanted, sizeof wanted, "%s:", nic->interface);
  for (;;) {
    ssize_t got = pread(nic->fd, text + kept, sizeof text - 1 - kept, at);
    if (got <= 0) return false;
    at += got;
    text[kept + (size_t)got] = 0;
    char *line = text;
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
      char *name = line + strspn(line, " ");
      unsigned long long bytes, packets, errors, drops;
      if (strncmp(name, wanted, (size_t)wanted_len) == 0 &&
          sscanf(name + wanted_len, "%llu %llu %llu %llu", &bytes, &packets, &errors, &drops) == 4) {
        *value = drops;
        return true;
      }
    }
    kept = strlen(line);
    memmove(text, line, kept);
  }
}

/* it may have been renamed; false when it is gone */
static bool name_renew(struct hwgw_xdp_nic *nic) {
  struct ifreq request = {.ifr_ifindex = nic->index};
  if (nic->socket_fd < 0 || ioctl(nic->socket_fd, SIOCGIFNAME, &request)) return false;
  memcpy(nic->interface, request.ifr_name, sizeof nic->interface);
  return true;
}

uint64_t hwgw_xdp_nic_read(struct hwgw_xdp_nic *nic) {
  if (nic->fd < 0) return 0;
  char text[32] = "";
  if (nic->is_veth) {
    bool is_found = read_veth(nic, &nic->last);
    if (!is_found && name_renew(nic)) read_veth(nic, &nic->last);
  } else if (pread(nic->fd, text, sizeof text - 1, 0) > 0) {
    nic->last = strtoull(text, NULL, 10);
  }
  return nic->last;
}

static ssize_t sysfs_read(const struct hwgw_interface *interface, const char *name, char *out, size_t sz) {
  char path[96];
  snprintf(path, sizeof path, "/sys/class/net/%s/%s", interface->name, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd >= 0 ? read(fd, out, sz - 1) : -1;
  if (fd >= 0) close(fd);
  out[got > 0 ? got : 0] = 0;
  return got;
}

/* sysfs may show another namespace than ours, with a device of the same name */
static bool sysfs_is_ours(const struct hwgw_interface *interface) {
  char text[32], wanted[32];
  const uint8_t *mac = interface->address;
  snprintf(wanted, sizeof wanted, "%02x:%02x:%02x:%02x:%02x:%02x\n", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return sysfs_read(interface, "address", text, sizeof text) > 0 && strcmp(text, wanted) == 0;
}

bool hwgw_deferral_read(struct hwgw_deferral *deferral, const struct hwgw_interface *interface) {
  char hard_irqs[32], timeout[32];
  if (!sysfs_is_ours(interface) || sysfs_read(interface, "napi_defer_hard_irqs", hard_irqs, sizeof hard_irqs) <= 0 ||
      sysfs_read(interface, "gro_flush_timeout", timeout, sizeof timeout) <= 0) {
    return false;
  }
  *deferral = (struct hwgw_deferral){strtoull(hard_irqs, NULL, 10), strtoull(timeout, NULL, 10)};
  return true;
}

/* hardware: sysfs tells frames the device missed from what the stack dropped */
static int open_hardware(const struct hwgw_interface *interface) {
  char path[96];
  if (!sysfs_is_ours(interface)) return -1;
  snprintf(path, sizeof path, "/sys/class/net/%s/statistics/rx_missed_errors", interface->name);
  return open(path, O_RDONLY | O_CLOEXEC);
}

void hwgw_xdp_nic_open(struct hwgw_xdp_nic *nic, const struct hwgw_interface *interface) {
  *nic = (struct hwgw_xdp_nic){
      .index = interface->index, .socket_fd = -1, .is_veth = strcmp(interface->kind, "veth") == 0};
  snprintf(nic->interface, sizeof nic->interface, "%s", interface->name);
  nic->fd = nic->is_veth ? open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC) : open_hardware(interface);
  if (nic->is_veth) nic->socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  hwgw_xdp_nic_read(nic);
}

void hwgw_xdp_nic_close(struct hwgw_xdp_nic *nic) {
  if (nic->fd >= 0) close(nic->fd);
  if (nic->socket_fd >= 0) close(nic->socket_fd);
  nic->fd = nic->socket_fd = -1;
}

#endif
