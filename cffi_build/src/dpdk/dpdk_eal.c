/* dpdk_eal.c: starts DPDK's environment (EAL) once per process, quietly, and gives the calling thread back as it was.
 *
 * SPDX-License-Identifier: MIT
 *
 * Arguments that are always ours, unless the configuration names its own: a file prefix with the process id, no files
 * shared with other processes, no telemetry, one lcore, memory (huge pages when asked for and there, else plain pages)
 * and no PCI bus unless a PCI device is named. EAL pins the calling thread to its lcore; that is undone. Its other
 * threads stay on the cores that are not the lcore's, which is the core of the polling thread.
 *
 * Limit: EAL starts once. A second receiver must ask for the same arguments. It ends with the process and leaves
 * nothing behind in the file system.
 *
 * Thread: set-up, one at a time.
 */
#include <errno.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "dpdk.h"

enum {
  ARGS_MAX = 64,
  ARG_SZ = 512,
  MEMORY_MB_MIN = 256,
  MEMORY_MB_EXTRA = 64, /* EAL's own and the driver's tables */
  LINE_SZ = DPDK_SAID_SZ
};

static struct {
  bool is_up;
  bool has_pci;
  char asked[2048]; /* the configuration's arguments, one string */
  char memory[96];
} eal;

/* ---- what the libraries say ---- */

static struct {
  pthread_mutex_t lock;
  FILE *stream;
  FILE *out, *err; /* the process's own while we listen */
  char line[LINE_SZ];
  size_t line_len;
  char error[LINE_SZ]; /* the first line of each kind since dpdk_hear_anew */
  char warning[LINE_SZ];
} heard = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* of several lines the first names the cause, the others what failed because of it */
static void line_end(int level) {
  heard.line[heard.line_len] = 0;
  bool is_error = level <= (int)RTE_LOG_ERR; /* also what was written past the log, as by getopt and libbpf */
  if (heard.line_len && is_error && !*heard.error) memcpy(heard.error, heard.line, sizeof heard.error);
  if (heard.line_len && level == (int)RTE_LOG_WARNING && !*heard.warning)
    memcpy(heard.warning, heard.line, sizeof heard.line);
  heard.line_len = 0;
}

static ssize_t line_write(void *cookie, const char *text, size_t len) {
  (void)cookie;
  int level = rte_log_cur_msg_loglevel();
  pthread_mutex_lock(&heard.lock);
  for (size_t i = 0; i < len; i++) {
    if (text[i] == '\n') {
      line_end(level);
    } else if (heard.line_len + 1 < sizeof heard.line) {
      heard.line[heard.line_len++] = text[i];
    }
  }
  pthread_mutex_unlock(&heard.lock);
  return (ssize_t)len;
}

void dpdk_hear_anew(void) {
  if (heard.stream) fflush(heard.stream);
  heard.error[0] = heard.warning[0] = 0;
}

void dpdk_listen(void) {
  if (!heard.stream) {
    heard.stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = line_write});
    if (heard.stream) {
      setvbuf(heard.stream, NULL, _IOLBF, BUFSIZ);
      rte_openlog_stream(heard.stream);
    }
  }
  dpdk_hear_anew();
  heard.out = stdout;
  heard.err = stderr;
  if (heard.stream) stdout = stderr = heard.stream; /* EAL prints its usage, libbpf its complaints */
}

void dpdk_listen_end(void) {
  if (heard.stream) fflush(heard.stream);
  stdout = heard.out;
  stderr = heard.err;
}

struct dpdk_said dpdk_said(void) {
  if (heard.stream) fflush(heard.stream);
  struct dpdk_said said = {""};
  const char *line = *heard.error ? heard.error : heard.warning;
  if (*line) snprintf(said.text, sizeof said.text, "; %s", line);
  return said;
}

/* ---- arguments ---- */

struct args {
  int cnt;
  char text[ARGS_MAX][ARG_SZ];
  char *list[ARGS_MAX + 1];
};

__attribute__((format(printf, 2, 3))) static void arg_add(struct args *args, const char *format, ...) {
  if (args->cnt == ARGS_MAX) return;
  va_list values;
  va_start(values, format);
  vsnprintf(args->text[args->cnt], sizeof args->text[0], format, values);
  va_end(values);
  args->list[args->cnt] = args->text[args->cnt];
  args->list[++args->cnt] = NULL;
}

/* does the configuration name one of these (a list that ends with NULL), also as the start of "--name=value" */
static bool is_asked(const struct hwgw_rx_cfg *cfg, const char *const *names) {
  for (uint32_t i = 0; i < cfg->eal_arg_cnt; i++) {
    for (const char *const *name = names; *name; name++) {
      if (strncmp(cfg->eal_args[i], *name, strlen(*name)) == 0) return true;
    }
  }
  return false;
}

static long huge_free(void) {
  FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
  long cnt = 0;
  if (file && fscanf(file, "%ld", &cnt) != 1) cnt = 0;
  if (file) fclose(file);
  return cnt;
}

static void memory_choose(struct args *args, const struct hwgw_rx_cfg *cfg, bool is_pci, uint32_t need_mb) {
  static const char *const MEMORY[] = {"--no-huge",    "--in-memory", "-m", "--socket-mem",
                                       "--legacy-mem", "--huge",      NULL};
  if (is_asked(cfg, MEMORY)) {
    static const char *const UNSHARED[] = {"--in-memory", "--no-shconf", "--proc-type", NULL};
    if (!is_asked(cfg, UNSHARED)) arg_add(args, "--no-shconf");
    snprintf(eal.memory, sizeof eal.memory, "memory by eal arguments");
    return;
  }
  uint32_t mb = need_mb + MEMORY_MB_EXTRA < MEMORY_MB_MIN ? MEMORY_MB_MIN : need_mb + MEMORY_MB_EXTRA;
  long pages = huge_free(), wanted = (long)(need_mb + MEMORY_MB_EXTRA) / 2;
  if (is_pci || (cfg->huge_pages && pages >= wanted)) {
    arg_add(args, "--in-memory");
    snprintf(eal.memory, sizeof eal.memory, "huge pages");
    return;
  }
  arg_add(args, "--no-huge");
  arg_add(args, "--no-shconf");
  arg_add(args, "-m");
  arg_add(args, "%u", mb);
  if (cfg->huge_pages) {
    snprintf(eal.memory, sizeof eal.memory, "no huge pages (%ld of 2 MB free, %ld needed; see vm.nr_hugepages)", pages,
             wanted);
  } else {
    snprintf(eal.memory, sizeof eal.memory, "%u MB of plain pages", mb);
  }
}

/* the polling thread's core when it is one we may use, else the first one */
static int lcore_cpu(const struct hwgw_rx_cfg *cfg, const cpu_set_t *allowed) {
  if (cfg->cpu >= 0 && cfg->cpu < CPU_SETSIZE && CPU_ISSET((size_t)cfg->cpu, allowed)) return cfg->cpu;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET((size_t)cpu, allowed)) return cpu;
  }
  return 0;
}

static void args_make(struct args *args, const struct hwgw_rx_cfg *cfg, bool is_pci, uint32_t need_mb,
                      const cpu_set_t *allowed) {
  static const char *const PREFIX[] = {"--file-prefix", NULL};
  static const char *const CORES[] = {"-l", "-c", "--lcores", NULL};
  static const char *const DEVICES[] = {"-a", "--allow", "-b", "--block", "--no-pci", NULL};
  arg_add(args, "hwgw");
  if (!is_asked(cfg, PREFIX)) arg_add(args, "--file-prefix=hwgw-%d", getpid());
  arg_add(args, "--no-telemetry");
  memory_choose(args, cfg, is_pci, need_mb);
  if (!is_asked(cfg, CORES)) arg_add(args, "--lcores=0@%d", lcore_cpu(cfg, allowed));
  if (is_pci) {
    arg_add(args, "-a");
    arg_add(args, "%.*s", (int)strcspn(cfg->port, ","), cfg->port);
  } else if (!is_asked(cfg, DEVICES)) {
    arg_add(args, "--no-pci");
  }
  for (uint32_t i = 0; i < cfg->eal_arg_cnt; i++) arg_add(args, "%s", cfg->eal_args[i]);
}

static void join(char *text, size_t sz, char *const *list, uint32_t cnt) {
  size_t used = 0;
  text[0] = 0;
  for (uint32_t i = 0; i < cnt && used < sz; i++) {
    int wrote = snprintf(text + used, sz - used, "%s%s", i ? " " : "", list[i]);
    used += wrote > 0 ? (size_t)wrote : 0;
  }
}

/* ---- start ---- */

static int32_t again(const struct hwgw_rx_cfg *cfg, bool is_pci, const char *asked, struct hwgw_error *error) {
  if (cfg->eal_arg_cnt && strcmp(asked, eal.asked) != 0) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "rx dpdk: EAL runs with \"%.150s\" and cannot start again with \"%.150s\": give every dpdk "
                          "receiver of a process the same eal arguments",
                          eal.asked, asked);
  }
  if (is_pci && !eal.has_pci) {
    return hwgw_error_set(
        error, HWGW_ERR_CONFIG, 0,
        "rx dpdk: EAL runs without the PCI bus, so %.60s cannot be opened: open the PCI port first, or "
        "give eal arguments with -a for each PCI port",
        cfg->port);
  }
  return HWGW_OK;
}

int32_t dpdk_eal_start(const struct hwgw_rx_cfg *cfg, bool is_pci, uint32_t need_mb, struct hwgw_error *error) {
  static struct args args;
  args.cnt = 0;
  char asked[sizeof eal.asked];
  if (cfg->eal_arg_cnt > ARGS_MAX - 16) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx dpdk: %u eal arguments; at most %d are allowed",
                          cfg->eal_arg_cnt, ARGS_MAX - 16);
  }
  for (uint32_t i = 0; i < cfg->eal_arg_cnt; i++) {
    if (strlen(cfg->eal_args[i]) >= ARG_SZ) {
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx dpdk: eal argument \"%.100s...\": longer than %d characters",
                            cfg->eal_args[i], ARG_SZ - 1);
    }
  }
  join(asked, sizeof asked, (char *const *)(uintptr_t)cfg->eal_args, cfg->eal_arg_cnt);
  if (eal.is_up) return again(cfg, is_pci, asked, error);

  cpu_set_t before;
  CPU_ZERO(&before);
  pthread_getaffinity_np(pthread_self(), sizeof before, &before);
  args_make(&args, cfg, is_pci, need_mb, &before);
  char *list[ARGS_MAX + 1]; /* EAL changes the order of its own copy */
  memcpy(list, args.list, sizeof list);
  dpdk_listen();
  int result = rte_eal_init(args.cnt, list);
  int cause = rte_errno;
  dpdk_listen_end();
  pthread_setaffinity_np(pthread_self(), sizeof before, &before);
  const char *folder = rte_eal_get_runtime_dir();
  if (folder && *folder) rmdir(folder); /* made in any case; empty, as nothing is shared */
  if (result < 0 && cause == EALREADY) {
    return hwgw_error_set(error, HWGW_ERR_DEVICE, cause,
                          "rx dpdk: EAL failed half-way before, and a process has one try then: start hwgw again");
  }
  if (result < 0) {
    char all[320];
    join(all, sizeof all, args.list + 1, (uint32_t)args.cnt - 1);
    /* EACCES also means that there are no huge pages */
    bool is_privilege = (cause == EACCES || cause == EPERM) && geteuid() != 0;
    return hwgw_error_set(error, is_privilege ? HWGW_ERR_PRIVILEGE : HWGW_ERR_CONFIG, cause,
                          "rx dpdk: rte_eal_init(%s): %s%s%s", all, rte_strerror(cause), dpdk_said().text,
                          cause == EACCES ? " (see vm.nr_hugepages)" : "");
  }
  memcpy(eal.asked, asked, sizeof eal.asked);
  eal.has_pci = rte_eal_has_pci();
  eal.is_up = true;
  return HWGW_OK;
}

const char *dpdk_eal_memory(void) {
  return eal.memory;
}
