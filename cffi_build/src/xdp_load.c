/* xdp_load.c: loads and attaches the steering program with bpf(2) alone.
 *
 * SPDX-License-Identifier: MIT
 *
 * The program (xdp/steer.bpf.c) is compiled when hwgw is built; its instructions come from a generated header together
 * with the list of those that name a map. Here the maps are made, their descriptors written into these instructions and
 * the program is loaded and attached by a bpf_link, which ends with the process, also on kill -9. Needs CAP_NET_ADMIN,
 * CAP_BPF (or root). Set-up only.
 */
#ifndef HWGW_NO_XDP

#include "xdp_load.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hwgw_xdp_steer.h" /* generated */
#include "xdp_btf.h"

#ifndef BPF_F_XDP_HAS_FRAGS /* Linux 5.18 */
#define BPF_F_XDP_HAS_FRAGS (1u << 5)
#endif

#ifndef BPF_F_XDP_DEV_BOUND_ONLY /* Linux 6.3 */
#define BPF_F_XDP_DEV_BOUND_ONLY (1u << 6)
#endif

#define QUEUES_SZ (STEER_QUEUES_MAX * sizeof(struct steer_queue))

enum {
  LOG_SZ = 65536,
  ATTACH_TRIES = 50, /* a program whose owner has just died is taken off within milliseconds */
  ATTACH_PAUSE_MS = 2,
  CALL = BPF_JMP | BPF_CALL,
  MOVE = BPF_ALU64 | BPF_MOV | BPF_K
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

static int map_create(enum bpf_map_type type, const char *name, uint32_t key_sz, uint32_t value_sz, uint32_t max,
                      uint32_t flags) {
  union bpf_attr attr = {0};
  attr.map_type = type;
  attr.key_size = key_sz;
  attr.value_size = value_sz;
  attr.max_entries = max;
  attr.map_flags = flags;
  snprintf(attr.map_name, sizeof attr.map_name, "%s", name);
  return bpf_call(BPF_MAP_CREATE, &attr);
}

/* 0 or errno */
static int map_call(enum bpf_cmd command, int fd, const void *key, const void *value) {
  union bpf_attr attr = {0};
  attr.map_fd = (uint32_t)fd;
  attr.key = (uintptr_t)key;
  attr.value = (uintptr_t)value;
  return bpf_call(command, &attr) ? errno : 0;
}

int hwgw_xdp_probe(void) {
  int fd = map_create(BPF_MAP_TYPE_XSKMAP, "hwgw_probe", 4, 4, 1, 0);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

/* map descriptors go into the instructions that name a map, the number of a kernel function into its call; a function
 * that is not asked for becomes the answer "not supported" */
static int program_load(const struct hwgw_xdp *xdp, const struct hwgw_interface *interface, uint32_t features,
                        char *log) {
  struct bpf_insn insns[HWGW_XDP_STEER_INSN_CNT];
  memcpy(insns, hwgw_xdp_steer_insns, sizeof insns);
  for (uint32_t i = 0; i < HWGW_XDP_STEER_MAP_CNT; i++) {
    const char *name = hwgw_xdp_steer_maps[i].map;
    struct bpf_insn *insn = &insns[hwgw_xdp_steer_maps[i].insn];
    insn->src_reg = BPF_PSEUDO_MAP_FD;
    insn->imm = strcmp(name, "flows") == 0     ? xdp->flows_fd
                : strcmp(name, "sockets") == 0 ? xdp->sockets_fd
                                               : xdp->queues_fd;
  }
  uint32_t timestamp_id = 0;
  if (features & HWGW_XDP_HARDWARE_TIME) {
    timestamp_id = hwgw_btf_function("bpf_xdp_metadata_rx_timestamp");
    if (!timestamp_id) {
      errno = EOPNOTSUPP;
      return -1;
    }
  }
  for (uint32_t i = 0; i < HWGW_XDP_STEER_INSN_CNT; i++) {
    if (insns[i].code != CALL || insns[i].imm != STEER_CALL_RX_TIMESTAMP) continue;
    if (timestamp_id) {
      insns[i].src_reg = BPF_PSEUDO_KFUNC_CALL;
      insns[i].imm = (int32_t)timestamp_id;
    } else {
      insns[i] = (struct bpf_insn){.code = MOVE, .dst_reg = BPF_REG_0, .imm = -EOPNOTSUPP};
    }
  }
  union bpf_attr attr = {0};
  attr.prog_type = BPF_PROG_TYPE_XDP;
  attr.expected_attach_type = BPF_XDP;
  attr.prog_flags = features & HWGW_XDP_FRAGS ? BPF_F_XDP_HAS_FRAGS : 0;
  if (timestamp_id) {
    attr.prog_flags |= BPF_F_XDP_DEV_BOUND_ONLY;
    attr.prog_ifindex = (uint32_t)interface->index;
  }
  attr.insns = (uintptr_t)insns;
  attr.insn_cnt = HWGW_XDP_STEER_INSN_CNT;
  attr.license = (uintptr_t)HWGW_XDP_STEER_LICENSE;
  snprintf(attr.prog_name, sizeof attr.prog_name, "hwgw_steer");
  if (log) {
    attr.log_level = 1;
    attr.log_buf = (uintptr_t)log;
    attr.log_size = LOG_SZ;
  }
  return bpf_call(BPF_PROG_LOAD, &attr);
}

/* the verifier's reason is the last but one line of its log */
static int32_t load_failed(const struct hwgw_xdp *xdp, const struct hwgw_interface *interface, uint32_t features,
                           int cause, struct hwgw_error *error) {
  char *log = cause == EPERM ? NULL : calloc(1, LOG_SZ);
  if (!log) return failed(error, "BPF_PROG_LOAD", cause);
  int fd = program_load(xdp, interface, features, log);
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

int32_t hwgw_xdp_open(struct hwgw_xdp *xdp, struct hwgw_error *error) {
  *xdp = (struct hwgw_xdp){.flows_fd = -1, .sockets_fd = -1, .queues_fd = -1, .program_fd = -1, .link_fd = -1};
  xdp->flows_fd = map_create(BPF_MAP_TYPE_HASH, "hwgw_flows", sizeof(struct steer_flow), sizeof(struct steer_takers),
                             STEER_FLOWS_MAX, 0);
  if (xdp->flows_fd < 0) return failed(error, "BPF_MAP_CREATE hash", errno);
  xdp->sockets_fd = map_create(BPF_MAP_TYPE_XSKMAP, "hwgw_sockets", 4, 4, STEER_QUEUES_MAX, 0);
  if (xdp->sockets_fd < 0) return failed(error, "BPF_MAP_CREATE xskmap", errno);
  xdp->queues_fd =
      map_create(BPF_MAP_TYPE_ARRAY, "hwgw_queues", 4, sizeof(struct steer_queue), STEER_QUEUES_MAX, BPF_F_MMAPABLE);
  if (xdp->queues_fd < 0) return failed(error, "BPF_MAP_CREATE array", errno);
  void *queues = mmap(NULL, QUEUES_SZ, PROT_READ | PROT_WRITE, MAP_SHARED, xdp->queues_fd, 0);
  if (queues == MAP_FAILED) return failed(error, "mmap of a BPF map", errno);
  xdp->queues = queues;
  return HWGW_OK;
}

static uint32_t program_id(int program_fd) {
  struct bpf_prog_info info = {0};
  union bpf_attr attr = {0};
  attr.info.bpf_fd = (uint32_t)program_fd;
  attr.info.info_len = sizeof info;
  attr.info.info = (uintptr_t)&info;
  return bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) ? 0 : info.id;
}

/* takes over a program that replaces the one before */
static void program_set(struct hwgw_xdp *xdp, int program_fd, uint32_t features) {
  if (xdp->program_fd >= 0) close(xdp->program_fd);
  xdp->program_fd = program_fd;
  xdp->program_id = program_id(program_fd);
  xdp->features = features;
}

static int link_create(int program_fd, int ifindex, uint32_t flags) {
  union bpf_attr attr = {0};
  attr.link_create.prog_fd = (uint32_t)program_fd;
  attr.link_create.target_ifindex = (uint32_t)ifindex;
  attr.link_create.attach_type = BPF_XDP;
  attr.link_create.flags = flags;
  return bpf_call(BPF_LINK_CREATE, &attr);
}

int32_t hwgw_xdp_attach(struct hwgw_xdp *xdp, const struct hwgw_interface *interface, const char *mode,
                        uint32_t features, struct hwgw_error *error) {
  int program_fd = program_load(xdp, interface, features, NULL);
  if (program_fd < 0) return load_failed(xdp, interface, features, errno, error);
  program_set(xdp, program_fd, features);
  if (xdp->link_fd >= 0) close(xdp->link_fd);
  xdp->link_fd = -1;
  bool may_native = strcmp(mode, "generic") != 0, may_generic = strcmp(mode, "native") != 0;
  int cause = 0;
  for (int try = 0; try < ATTACH_TRIES; try++) {
    xdp->is_native = may_native;
    xdp->link_fd = link_create(xdp->program_fd, interface->index, may_native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
    cause = errno;
    if (xdp->link_fd < 0 && cause != EBUSY && cause != EEXIST && may_native && may_generic) {
      snprintf(xdp->fallback, sizeof xdp->fallback, "native: %s", strerror(cause));
      xdp->is_native = may_native = false;
      xdp->link_fd = link_create(xdp->program_fd, interface->index, XDP_FLAGS_SKB_MODE);
      cause = errno;
    }
    if (xdp->link_fd >= 0) return HWGW_OK;
    if (cause != EBUSY && cause != EEXIST) break;
    nanosleep(&(struct timespec){.tv_nsec = ATTACH_PAUSE_MS * 1000000}, NULL);
  }
  if (cause == EBUSY || cause == EEXIST) return hwgw_interface_held(interface, cause, error);
  char what[96];
  snprintf(what, sizeof what, "BPF_LINK_CREATE %s on %s", xdp->is_native ? "native" : "generic", interface->name);
  int32_t status = failed(error, what, cause);
  if (features & HWGW_XDP_FRAGS && status == HWGW_ERR_DEVICE && error) {
    size_t used = strlen(error->text);
    snprintf(error->text + used, sizeof error->text - used,
             "; MTU %u needs frames in several buffers, which this driver or kernel may not have: lower the MTU, set "
             "frame_sz_bytes to 4096, or use the packet backend",
             interface->mtu);
  }
  return status;
}

int32_t hwgw_xdp_replace(struct hwgw_xdp *xdp, const struct hwgw_interface *interface, uint32_t features,
                         struct hwgw_error *error) {
  int fd = program_load(xdp, interface, features, NULL);
  if (fd < 0) return load_failed(xdp, interface, features, errno, error);
  union bpf_attr attr = {0};
  attr.link_update.link_fd = (uint32_t)xdp->link_fd;
  attr.link_update.new_prog_fd = (uint32_t)fd;
  if (bpf_call(BPF_LINK_UPDATE, &attr)) {
    int cause = errno;
    close(fd);
    return failed(error, "BPF_LINK_UPDATE", cause);
  }
  program_set(xdp, fd, features);
  return HWGW_OK;
}

int hwgw_xdp_flow_set(const struct hwgw_xdp *xdp, const struct steer_flow *flow, const struct steer_takers *takers) {
  return map_call(BPF_MAP_UPDATE_ELEM, xdp->flows_fd, flow, takers);
}

int hwgw_xdp_flow_remove(const struct hwgw_xdp *xdp, const struct steer_flow *flow) {
  return map_call(BPF_MAP_DELETE_ELEM, xdp->flows_fd, flow, NULL);
}

int hwgw_xdp_socket_set(const struct hwgw_xdp *xdp, uint32_t queue, int socket_fd) {
  return map_call(BPF_MAP_UPDATE_ELEM, xdp->sockets_fd, &queue, &socket_fd);
}

int hwgw_xdp_socket_remove(const struct hwgw_xdp *xdp, uint32_t queue) {
  return map_call(BPF_MAP_DELETE_ELEM, xdp->sockets_fd, &queue, NULL);
}

void hwgw_xdp_close(struct hwgw_xdp *xdp) {
  if (xdp->queues) munmap(xdp->queues, QUEUES_SZ);
  xdp->queues = NULL;
  int *fds[] = {&xdp->link_fd, &xdp->program_fd, &xdp->queues_fd, &xdp->sockets_fd, &xdp->flows_fd};
  for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
    if (*fds[i] >= 0) close(*fds[i]);
    *fds[i] = -1;
  }
}

#endif
