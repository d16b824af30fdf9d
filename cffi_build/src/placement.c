/* placement.c: cores, priority, memory and power states of the data process.
 *
 * SPDX-License-Identifier: MIT
 *
 * Memory is locked as it is touched (MCL_ONFAULT): the books reserve far more than they use, and what is mapped later
 * must not fail for a limit when the privilege to exceed it is gone. /dev/cpu_dma_latency holds for as long as the
 * descriptor is open, which is as long as this process lives.
 */
#include "placement.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "segment.h"

#define NODES_MAX 1024
#define WORD_BITS (8 * sizeof(unsigned long))

__attribute__((format(printf, 3, 4))) static void say(char *text, size_t sz, const char *format, ...) {
  size_t len = strnlen(text, sz);
  if (len + 3 >= sz) return;
  if (len) len += (size_t)snprintf(text + len, sz - len, "; ");
  va_list args;
  va_start(args, format);
  vsnprintf(text + len, sz - len, format, args);
  va_end(args);
}

/* short, because the row of a thread has little room */
static const char *name_of(int error) {
  return error == EPERM ? "EPERM" : error == EINVAL ? "EINVAL" : error ? "refused" : "not kept";
}

static int32_t node_of_cpu(int32_t cpu) {
  for (int32_t node = 0; node < NODES_MAX; node++) {
    char path[80];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/node%d", cpu, node);
    if (access(path, F_OK) == 0) return node;
  }
  return -1; /* a kernel without NUMA shows none */
}

static int32_t node_of_memory(const void *memory) {
  int node = -1;
  if (syscall(SYS_get_mempolicy, &node, NULL, 0ul, memory, MPOL_F_NODE | MPOL_F_ADDR) != 0) return -1;
  return node;
}

void hwgw_placement_near(int32_t cpu) {
  unsigned long mask[NODES_MAX / WORD_BITS] = {0};
  int32_t node = cpu < 0 ? -1 : node_of_cpu(cpu);
  if (node < 0) {
    (void)syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0ul);
    return;
  }
  mask[(size_t)node / WORD_BITS] |= 1ul << ((size_t)node % WORD_BITS);
  /* preferred, not bound: a start does not fail for a full node. Where it came to lie is looked at afterwards */
  (void)syscall(SYS_set_mempolicy, MPOL_PREFERRED, mask, (unsigned long)NODES_MAX);
}

static void take_core(struct hwgw_pipeline *p) {
  struct hwgw_thread *thread = p->thread;
  thread->pinned = 0;
  if (p->cpu >= 0) {
    cpu_set_t want, have;
    CPU_ZERO(&want);
    CPU_SET((unsigned)p->cpu, &want);
    int failed = pthread_setaffinity_np(pthread_self(), sizeof want, &want);
    bool is_so = !failed && !pthread_getaffinity_np(pthread_self(), sizeof have, &have) && CPU_EQUAL(&want, &have) &&
                 sched_getcpu() == p->cpu;
    thread->pinned = is_so;
    if (!is_so) {
      say(thread->error, sizeof thread->error, "CPU %d: %s", p->cpu, name_of(failed));
    }
  }
  thread->cpu = thread->pinned ? p->cpu : -1;
}

static void take_priority(struct hwgw_pipeline *p) {
  struct sched_param param = {.sched_priority = p->fifo_priority};
  if (p->fifo_priority > 0) {
    int failed = pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
    if (failed) {
      say(p->thread->error, sizeof p->thread->error, "SCHED_FIFO %d: %s", p->fifo_priority, name_of(failed));
    }
  }
  int policy = SCHED_OTHER;
  bool is_fifo = !pthread_getschedparam(pthread_self(), &policy, &param) && policy == SCHED_FIFO;
  p->thread->fifo_priority = is_fifo ? (uint32_t)param.sched_priority : 0;
}

void hwgw_placement_thread(struct hwgw_pipeline *p) {
  take_core(p);
  take_priority(p);
  p->thread->memory_node = node_of_memory(p);
  p->thread->cpu_node = p->thread->cpu >= 0 ? node_of_cpu(p->thread->cpu) : -1;
  if (p->thread->cpu_node >= 0 && p->thread->memory_node >= 0 && p->thread->memory_node != p->thread->cpu_node) {
    say(p->thread->error, sizeof p->thread->error, "memory on node %d", p->thread->memory_node);
  }
}

/* the sum of the values in KiB of lines that begin with one of the names (comma after each) */
static uint64_t sum_kib(const char *path, const char *names) {
  char line[256];
  uint64_t sum = 0;
  FILE *file = fopen(path, "re");
  while (file && fgets(line, sizeof line, file)) {
    char *colon = strchr(line, ':');
    if (!colon) continue;
    *colon = 0;
    const char *at = strstr(names, line);
    if (at && at[strlen(line)] == ',') sum += strtoull(colon + 1, NULL, 10);
  }
  if (file) fclose(file);
  return sum;
}

static void lock_memory(struct hwgw_segment_header *head) {
  struct rlimit limit = {0};
  if (mlockall(MCL_CURRENT | MCL_ONFAULT) != 0) {
    int failed = errno;
    getrlimit(RLIMIT_MEMLOCK, &limit);
    say(head->placement_reason, sizeof head->placement_reason, "memory not locked: %s (memlock %llu KiB)",
        strerror(failed), (unsigned long long)limit.rlim_cur >> 10);
    return;
  }
  head->placement |= HWGW_SEGMENT_PLACEMENT_MEMORY_LOCKED;
}

static void hold_latency(struct hwgw_segment_header *head, int32_t wanted_us) {
  int32_t have = -1;
  int fd = open("/dev/cpu_dma_latency", O_RDWR | O_CLOEXEC);
  if (fd < 0 || write(fd, &wanted_us, sizeof wanted_us) != sizeof wanted_us ||
      pread(fd, &have, sizeof have, 0) != sizeof have) {
    say(head->placement_reason, sizeof head->placement_reason, "cpu_dma_latency: %s", strerror(errno));
    if (fd >= 0) close(fd);
    return;
  }
  head->dma_latency_us = have; /* the lowest that any process asks for */
  head->placement |= HWGW_SEGMENT_PLACEMENT_LATENCY_HELD;
}

void hwgw_placement_process(struct hwgw_segment *segment, const struct hwgw_placement_cfg *cfg) {
  struct hwgw_segment_header *head = hwgw_segment_head(segment);
  head->dma_latency_us = -1;
  if (cfg && cfg->lock_memory) lock_memory(head);
  if (cfg && cfg->dma_latency_us >= 0) hold_latency(head, cfg->dma_latency_us);
  head->locked_kib = sum_kib("/proc/self/status", "VmLck,");
  head->huge_kib =
      sum_kib("/proc/self/smaps_rollup", "AnonHugePages,ShmemPmdMapped,FilePmdMapped,Shared_Hugetlb,Private_Hugetlb,");
  if ((head->placement & HWGW_SEGMENT_PLACEMENT_MEMORY_LOCKED) && !head->locked_kib) {
    head->placement &= ~(uint32_t)HWGW_SEGMENT_PLACEMENT_MEMORY_LOCKED;
    say(head->placement_reason, sizeof head->placement_reason, "memory not locked: nothing shows in VmLck");
  }
}
