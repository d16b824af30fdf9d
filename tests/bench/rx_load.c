/* rx_load.c: both ends of the receive benchmark; see rx_load.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "rx_load.h"

#ifndef BPF_F_TEST_XDP_LIVE_FRAMES
#define BPF_F_TEST_XDP_LIVE_FRAMES (1U << 1)
#endif

enum { FLOOD_BATCH = 64, SEQ_AT = 42 + 10, SEQ_END = SEQ_AT + 8, STAMP_SZ = 8 };

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void wait_until(uint64_t due_ns) {
  while (now_ns() < due_ns) __builtin_ia32_pause();
}

/* one core, and before everything else on it where that is allowed: short, so that neighbours do not decide the figure
 */
static void core_take(int cpu, cpu_set_t *before) {
  cpu_set_t only;
  struct sched_param first = {.sched_priority = 1};
  sched_getaffinity(0, sizeof *before, before);
  CPU_ZERO(&only);
  CPU_SET((size_t)cpu, &only);
  sched_setaffinity(0, sizeof only, &only);
  sched_setscheduler(0, SCHED_FIFO, &first);
}

static void core_give(const cpu_set_t *before) {
  struct sched_param none = {0};
  sched_setscheduler(0, SCHED_OTHER, &none);
  sched_setaffinity(0, sizeof *before, before);
}

void load_core_take(int cpu, uint64_t *before) {
  cpu_set_t set;
  core_take(cpu, &set);
  memcpy(before, &set, sizeof *before);
}

void load_core_give(const uint64_t *before) {
  cpu_set_t set;
  CPU_ZERO(&set);
  memcpy(&set, before, sizeof *before);
  core_give(&set);
}

/* what the injecting program reads and writes: when the next frame is due, how much later each one after it, the number
 * of the next one */
struct pace {
  uint64_t next_ns;
  uint64_t gap_ns;
  uint64_t seq;
  uint64_t first_ns; /* when the first frame was sent, and the last */
  uint64_t last_ns;
};

int load_injector(int *program, int *map) {
  union bpf_attr attr = {0};
  attr.map_type = BPF_MAP_TYPE_ARRAY;
  attr.key_size = 4;
  attr.value_size = sizeof(struct pace);
  attr.max_entries = 1;
  *map = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);
  if (*map < 0) return -errno;
#define INSN(c, d, s, o, i)                                             \
  {                                                                     \
    .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) \
  }
  const struct bpf_insn insns[] = {
      INSN(BPF_ALU64 | BPF_MOV | BPF_X, 9, 1, 0, 0), /* r9 = context */
      INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),  /* key 0 on the stack */
      INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, *map),
      INSN(0, 0, 0, 0, 0),
      INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
      INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
      INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
      INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 25, 0), /* never: to the end */
      INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 0, 0, 0),
      INSN(BPF_LDX | BPF_MEM | BPF_DW, 7, 6, 0, 0),     /* r7 = next_ns */
      INSN(BPF_ALU64 | BPF_MOV | BPF_K, 8, 0, 0, 2000), /* reads of the clock at most: some 40 us */
      INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ktime_get_ns),
      INSN(BPF_JMP | BPF_JGE | BPF_X, 0, 7, 2, 0), /* due */
      INSN(BPF_ALU64 | BPF_SUB | BPF_K, 8, 0, 0, 1),
      INSN(BPF_JMP | BPF_JNE | BPF_K, 8, 0, -4, 0),  /* look again */
      INSN(BPF_STX | BPF_MEM | BPF_DW, 6, 0, 32, 0), /* last_ns */
      INSN(BPF_LDX | BPF_MEM | BPF_DW, 1, 6, 24, 0),
      INSN(BPF_JMP | BPF_JNE | BPF_K, 1, 0, 1, 0),
      INSN(BPF_STX | BPF_MEM | BPF_DW, 6, 0, 24, 0), /* first_ns */
      INSN(BPF_LDX | BPF_MEM | BPF_DW, 1, 6, 8, 0),
      INSN(BPF_ALU64 | BPF_ADD | BPF_X, 7, 1, 0, 0),
      INSN(BPF_STX | BPF_MEM | BPF_DW, 6, 7, 0, 0), /* next_ns += gap_ns */
      INSN(BPF_LDX | BPF_MEM | BPF_W, 1, 9, 0, 0),  /* r1 = frame */
      INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 9, 4, 0),  /* r2 = its end */
      INSN(BPF_ALU64 | BPF_MOV | BPF_X, 3, 1, 0, 0),
      INSN(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, SEQ_END),
      INSN(BPF_JMP | BPF_JGT | BPF_X, 3, 2, 6, 0), /* shorter: as it is */
      INSN(BPF_LDX | BPF_MEM | BPF_DW, 4, 6, 16, 0),
      INSN(BPF_ALU64 | BPF_MOV | BPF_X, 5, 4, 0, 0),
      INSN(BPF_ALU | BPF_END | BPF_TO_BE, 5, 0, 0, 64),
      INSN(BPF_STX | BPF_MEM | BPF_DW, 1, 5, SEQ_AT, 0),
      INSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 1),
      INSN(BPF_STX | BPF_MEM | BPF_DW, 6, 4, 16, 0), /* seq += 1 */
      INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_TX),
      INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  attr = (union bpf_attr){0};
  attr.prog_type = BPF_PROG_TYPE_XDP;
  attr.insns = (uintptr_t)insns;
  attr.insn_cnt = sizeof insns / sizeof insns[0];
  attr.license = (uintptr_t)"Dual MIT/GPL"; /* the clock is for GPL programs */
  *program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
  if (*program >= 0) return 0;
  int failed = -errno;
  close(*map);
  return failed;
}

int load_flood(int program, int map, uint32_t ifindex, const uint8_t *frame, uint32_t len, uint64_t cnt,
               uint64_t frames_per_s, uint64_t seq, int cpu, uint64_t *span_ns) {
  uint32_t key = 0;
  struct pace pace = {
      .next_ns = frames_per_s ? now_ns() : 0, .gap_ns = frames_per_s ? 1000000000u / frames_per_s : 0, .seq = seq};
  union bpf_attr attr = {0};
  attr.map_fd = (uint32_t)map;
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)&pace;
  if (syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof attr)) return -errno;

  struct xdp_md context = {.data_end = len, .ingress_ifindex = ifindex};
  attr = (union bpf_attr){0};
  attr.test.prog_fd = (uint32_t)program;
  attr.test.data_in = (uintptr_t)frame;
  attr.test.data_size_in = len;
  attr.test.ctx_in = (uintptr_t)&context;
  attr.test.ctx_size_in = sizeof context;
  attr.test.repeat = (uint32_t)cnt; /* one call: setting it up takes the kernel tens of milliseconds */
  attr.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  attr.test.batch_size = FLOOD_BATCH;
  cpu_set_t before;
  core_take(cpu, &before);
  int result = syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof attr) ? -errno : 0;
  core_give(&before);
  attr = (union bpf_attr){0};
  attr.map_fd = (uint32_t)map;
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)&pace;
  if (!result && syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof attr)) result = -errno;
  *span_ns = pace.last_ns - pace.first_ns;
  return result;
}

int load_paced(int fd, uint8_t *frame, uint32_t len, uint64_t cnt, uint64_t gap_ns, uint64_t seq, uint64_t start_ns,
               int cpu) {
  cpu_set_t before;
  core_take(cpu, &before);
  int result = 0;
  for (uint64_t i = 0; i < cnt && result == 0; i++) {
    uint64_t due = start_ns + i * gap_ns;
    uint64_t number = __builtin_bswap64(seq + i);
    memcpy(frame + SEQ_AT, &number, sizeof number);
    memcpy(frame + len - STAMP_SZ, &due, sizeof due);
    wait_until(due);
    if (send(fd, frame, len, 0) != (ssize_t)len) result = -errno;
  }
  core_give(&before);
  return result;
}

/* takes what waits into frames; the plain socket gives one datagram a call, the pipeline keeps its frames */
static uint32_t take(struct load_receiver *receiver, struct hwgw_frame *frames, uint8_t *buffer, size_t sz) {
  if (receiver->pipeline) {
    uint64_t before = *receiver->arrived;
    receiver->step(receiver->pipeline);
    return (uint32_t)(*receiver->arrived - before);
  }
  if (receiver->rx) return receiver->poll(receiver->rx, frames, HWGW_BATCH_MAX);
  struct iovec part = {.iov_base = buffer, .iov_len = sz};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  ssize_t got = recvmsg(receiver->fd, &message, MSG_DONTWAIT);
  frames[0] = (struct hwgw_frame){.data = buffer, .len = got < 0 ? 0 : (uint32_t)got};
  return got >= 0;
}

int load_receive(struct load_receiver *receiver) {
  cpu_set_t before;
  core_take(receiver->cpu, &before);
  static _Thread_local struct hwgw_frame frames[HWGW_BATCH_MAX];
  static _Thread_local uint8_t buffer[2048];
  uint64_t begun = now_ns();
  receiver->last_ns = begun;
  receiver->ready = 1;
  for (uint32_t idle = 0; receiver->frames < receiver->want;) {
    uint32_t cnt = take(receiver, frames, buffer, sizeof buffer);
    if (cnt == 0) {
      if (++idle % 1024) continue;
      uint64_t now = now_ns();
      if (now - begun > receiver->limit_ns) break;
      if (receiver->stop && now - receiver->last_ns > receiver->quiet_ns) break;
      continue;
    }
    uint64_t now = now_ns();
    if (receiver->frames == 0) receiver->first_ns = now;
    receiver->last_ns = now;
    for (uint32_t i = 0; receiver->latency_ns && i < cnt && receiver->frames + i < receiver->want; i++) {
      uint64_t due = receiver->start_ns + (receiver->frames + i) * receiver->gap_ns;
      if (!receiver->pipeline) memcpy(&due, frames[i].data + frames[i].len - STAMP_SZ, sizeof due);
      receiver->latency_ns[receiver->frames + i] = now - due;
    }
    receiver->frames += cnt;
    if (receiver->rx) receiver->release(receiver->rx);
  }
  core_give(&before);
  return 0;
}
