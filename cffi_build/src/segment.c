/* segment.c: the shared segment of a gateway: making, finding and mapping it, and the few words that tools write.
 *
 * SPDX-License-Identifier: MIT
 *
 * The segment is a file in /dev/shm with mode 0640. Its owner holds an open-file-description lock on it for life, which a
 * forked data process keeps when its parent dies. What is locked runs; what is not is left over from a gateway that died.
 * The header is written once, its magic last, so that nobody reads half of it. Every later word has one writer, but for
 * the halt (halt.c), which anybody may set and only a resume clears.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "halt.h"
#include "hist.h"
#include "segment.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define SEGMENT_MODE 0640
#define PATH_SZ 64

static int32_t segment_path(char *path, const char *name, struct hwgw_error *error) {
  size_t len = name ? strlen(name) : 0;
  bool good = len > 0 && len < sizeof((struct hwgw_segment_header *)0)->name;
  for (size_t i = 0; good && i < len; i++) good = isalnum((unsigned char)name[i]) || name[i] == '_' || name[i] == '-';
  if (!good) {
    return hwgw_error_set(error, HWGW_ERR_USAGE, 0,
                          "gateway name '%s' is not valid: 1 to 31 letters, digits, '-' or '_' are allowed",
                          name ? name : "");
  }
  snprintf(path, PATH_SZ, "/dev/shm/hwgw-%s", name);
  return HWGW_OK;
}

static uint64_t block_up(uint64_t sz) {
  return (sz + HWGW_BLOCK_ALIGN - 1) / HWGW_BLOCK_ALIGN * HWGW_BLOCK_ALIGN;
}

static uint64_t journal_sz(const struct hwgw_segment_header *head) {
  return (uint64_t)head->journal_kib << 10;
}

static uint64_t fanout_sz(const struct hwgw_segment_header *head) {
  return (uint64_t)head->fanout_kib << 10;
}

/* lays the blocks out one behind the other and returns the total size */
static uint64_t segment_layout(struct hwgw_segment_header *head) {
  uint64_t end = sizeof *head;
  head->control_offset = end;
  end += block_up(sizeof(struct hwgw_control));
  head->thread_offset = end;
  end += head->thread_cnt * block_up(sizeof(struct hwgw_thread));
  head->channel_offset = end;
  end += (uint64_t)head->thread_cnt * HWGW_SEGMENT_CHANNELS_MAX * sizeof(struct hwgw_channel);
  head->counter_offset = end;
  end += head->thread_cnt * block_up(head->counter_cnt * sizeof(uint64_t));
  head->symbol_offset = end;
  end += block_up(head->instrument_cnt * 8u);
  head->tob_offset = end;
  end += block_up(head->instrument_cnt * sizeof(struct hwgw_tob));
  head->depth_offset = end;
  if (head->depth_levels) end += head->instrument_cnt * sizeof(struct hwgw_depth);
  head->feature_offset = end;
  if (head->feature_mask) end += block_up(head->instrument_cnt * sizeof(struct hwgw_feature_row));
  head->quality_offset = end;
  end += (uint64_t)HWGW_SEGMENT_SESSIONS_MAX * HWGW_RISK_STRATEGIES_MAX * sizeof(struct hwgw_quality);
  head->position_offset = end;
  end += block_up(head->instrument_cnt * sizeof(struct hwgw_position));
  head->exposure_offset = end;
  end += (HWGW_RISK_ACCOUNTS_MAX + 1) * sizeof(struct hwgw_exposure);
  head->strategy_offset = end;
  end += HWGW_RISK_STRATEGIES_MAX * sizeof(struct hwgw_strategy_row);
  head->param_offset = end;
  end += HWGW_RISK_STRATEGIES_MAX * sizeof(struct hwgw_strategy_param);
  head->rule_offset = end;
  end += HWGW_SEGMENT_RULES_MAX * sizeof(struct hwgw_rule_row);
  head->breaker_offset = end;
  end += HWGW_BREAKER_RULES_MAX * sizeof(struct hwgw_breaker_row);
  head->instrument_halt_offset = end;
  end += head->instrument_cnt * sizeof(struct hwgw_halt_record);
  head->limits_offset = end;
  end += 2 * block_up(head->limits_sz_bytes);
  head->hist_offset = end;
  end += (uint64_t)head->thread_cnt * head->hist_cnt * head->hist_sz_bytes;
  end = block_up(end);
  if (fanout_sz(head)) end += head->thread_cnt * (sizeof(struct hwgw_fanout_ring) + fanout_sz(head));
  if (journal_sz(head)) end += head->thread_cnt * (sizeof(struct hwgw_journal_ring) + journal_sz(head));
  head->sz_bytes = end;
  return end;
}

static int32_t segment_map(struct hwgw_segment **segment, int fd, uint64_t sz, bool writable, const char *path,
                           struct hwgw_error *error) {
  void *base = mmap(NULL, sz, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  struct hwgw_segment *made = base == MAP_FAILED ? NULL : calloc(1, sizeof *made);
  if (!made) {
    int saved = errno;
    if (base != MAP_FAILED) munmap(base, sz);
    return hwgw_error_set(error, HWGW_ERR_INTERNAL, saved, "mmap of %s (%llu bytes): %s", path, (unsigned long long)sz,
                          strerror(saved));
  }
  made->base = base;
  made->sz = sz;
  made->fd = fd;
  snprintf(made->path, sizeof made->path, "%s", path);
  *segment = made;
  return HWGW_OK;
}

int32_t segment_resident(const struct hwgw_segment *segment, struct hwgw_error *error) {
  (void)madvise(segment->base, segment->sz, MADV_HUGEPAGE); /* of use where shared memory may have huge pages */
  if (madvise(segment->base, segment->sz, MADV_POPULATE_WRITE) == 0) return HWGW_OK;
  if (errno == EINVAL) { /* before Linux 5.14 */
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    for (uint64_t at = 0; at < segment->sz; at += page)
      __atomic_fetch_or((uint8_t *)segment->base + at, 0, __ATOMIC_RELAXED);
    return HWGW_OK;
  }
  return hwgw_error_set(error, HWGW_ERR_DEVICE, errno,
                        "segment %s: %llu KiB cannot be made resident: %s; is /dev/shm full?", segment->path,
                        (unsigned long long)segment->sz >> 10, strerror(errno));
}

static bool sz_is_good(uint64_t sz, uint64_t min, uint64_t max) {
  return sz == 0 || (sz >= min && sz <= max && (sz & (sz - 1)) == 0);
}

static bool journal_sz_is_good(uint64_t sz) {
  return sz_is_good(sz, HWGW_JOURNAL_RING_MIN_BYTES, HWGW_JOURNAL_RING_MAX_BYTES);
}

static bool fanout_sz_is_good(uint64_t sz) {
  return sz_is_good(sz, HWGW_SEGMENT_FANOUT_MIN_BYTES, HWGW_SEGMENT_FANOUT_MAX_BYTES);
}

/* does the mapped header describe this build's layout inside sz bytes? */
static int32_t segment_check(const struct hwgw_segment_header *head, uint64_t sz, const char *path,
                             struct hwgw_error *error) {
  if (__atomic_load_n(&head->magic, __ATOMIC_ACQUIRE) != HWGW_SEGMENT_MAGIC) {
    return hwgw_error_set(error, HWGW_ERR_CHECK, 0, "%s is not a gateway's segment, or the gateway is just starting",
                          path);
  }
  if (head->abi != HWGW_SEGMENT_ABI) {
    return hwgw_error_set(error, HWGW_ERR_CHECK, 0,
                          "%s has ABI %u; this hwgw speaks ABI %u: use the version that runs it", path, head->abi,
                          HWGW_SEGMENT_ABI);
  }
  struct hwgw_segment_header want = *head;
  if (head->thread_cnt < 1 || head->thread_cnt > HWGW_SEGMENT_THREADS_MAX ||
      head->instrument_cnt > HWGW_SEGMENT_INSTRUMENTS_MAX || head->counter_cnt != HWGW_COUNTER_CNT ||
      head->hist_cnt != HWGW_SEGMENT_HIST_CNT || head->hist_sz_bytes != sizeof(struct hwgw_hist) ||
      head->limits_sz_bytes != sizeof(struct hwgw_limits) || !journal_sz_is_good(journal_sz(head)) ||
      !fanout_sz_is_good(fanout_sz(head)) || head->depth_levels > HWGW_HOOK_LEVELS_MAX || segment_layout(&want) != sz ||
      memcmp(&want, head, sizeof want) != 0) {
    return hwgw_error_set(error, HWGW_ERR_CHECK, 0, "%s has a layout that this build does not know", path);
  }
  return HWGW_OK;
}

int32_t hwgw_segment_attach(struct hwgw_segment **segment, const char *name, bool writable, struct hwgw_error *error) {
  char path[PATH_SZ];
  int32_t status = segment_path(path, name, error);
  if (status) return status;
  /* anybody may put something of that name there: a pipe must not hold us up, nor a link lead elsewhere */
  int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) {
    int saved = errno;
    if (saved == ENOENT) {
      return hwgw_error_set(error, HWGW_ERR_USAGE, saved, "no gateway '%s': %s does not exist", name, path);
    }
    return hwgw_error_set(error, saved == EACCES ? HWGW_ERR_PRIVILEGE : HWGW_ERR_INTERNAL, saved, "open %s: %s", path,
                          strerror(saved));
  }
  struct stat file;
  if (fstat(fd, &file) != 0 || (uint64_t)file.st_size < sizeof(struct hwgw_segment_header)) {
    close(fd);
    return hwgw_error_set(error, HWGW_ERR_CHECK, 0, "%s is too short to be a gateway's segment", path);
  }
  status = segment_map(segment, fd, (uint64_t)file.st_size, writable, path, error);
  if (!status) {
    status = segment_check((*segment)->base, (*segment)->sz, path, error);
    if (!status) return HWGW_OK;
    munmap((*segment)->base, (*segment)->sz);
    free(*segment);
    *segment = NULL;
  }
  close(fd);
  return status;
}

/* Keeps the halt of a gateway that died halted. What another build left cannot be read, so it may have been halted: then
 * this one starts halted. */
static void halt_carry_over(int fd, struct hwgw_segment *to) {
  struct stat file;
  struct hwgw_segment *old = NULL;
  bool is_mapped = fstat(fd, &file) == 0 && (uint64_t)file.st_size >= sizeof(struct hwgw_segment_header) &&
                   segment_map(&old, fd, (uint64_t)file.st_size, false, "", NULL) == HWGW_OK;
  if (!is_mapped || segment_check(old->base, old->sz, "", NULL) != HWGW_OK) {
    halt_set(hwgw_segment_control(to), HWGW_RISK_REASON_STATE,
             "what the last gateway of this name left cannot be read: it may have been halted");
  } else {
    halt_inherit(to, old);
  }
  if (is_mapped) munmap(old->base, old->sz);
  free(old);
}

static bool segment_lock(int fd) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* the running owner's pid, for the message; 0 when it cannot be told */
static uint32_t segment_owner(int fd) {
  struct hwgw_segment_header head;
  if (pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head || head.magic != HWGW_SEGMENT_MAGIC) return 0;
  return head.control_pid;
}

/* Takes the name: *old is the locked file of a gateway that is gone, or -1 when there is none. */
static int32_t segment_claim(int *old, const char *path, const char *name, struct hwgw_error *error) {
  struct stat named, opened;
  *old = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (*old < 0) {
    int saved = errno;
    if (saved == ENOENT) return HWGW_OK;
    return hwgw_error_set(error, saved == EACCES ? HWGW_ERR_PRIVILEGE : HWGW_ERR_INTERNAL, saved, "open %s: %s%s", path,
                          strerror(saved), saved == EACCES ? "; another user's: choose another name or remove it" : "");
  }
  int32_t status = HWGW_OK;
  if (!segment_lock(*old)) {
    status = hwgw_error_set(error, HWGW_ERR_USAGE, EWOULDBLOCK,
                            "gateway '%s' is already running (pid %u): stop it or choose another name", name,
                            segment_owner(*old));
  } else if (stat(path, &named) != 0 || fstat(*old, &opened) != 0 || named.st_ino != opened.st_ino) {
    status =
        hwgw_error_set(error, HWGW_ERR_USAGE, EAGAIN, "gateway '%s' was started or stopped just now: try again", name);
  }
  if (status) close(*old);
  return status;
}

static void segment_fill(struct hwgw_segment *segment, const struct hwgw_segment_header *head,
                         const struct hwgw_segment_cfg *cfg, int old) {
  struct hwgw_segment_header *to = segment->base;
  *to = *head;
  life_make(segment);
  if (head->instrument_cnt) memcpy(segment->base + head->symbol_offset, cfg->symbols, head->instrument_cnt * 8u);
  struct hwgw_thread *first = hwgw_segment_thread(segment, 0);
  first->session_cnt = cfg->venue_cnt;
  for (uint32_t i = 0; i < cfg->venue_cnt; i++) /* before halts are carried over, which go by name */
    memcpy(first->session[i].venue, cfg->venues + i * sizeof first->session->venue, sizeof first->session->venue);
  if (old >= 0) halt_carry_over(old, segment);
  for (uint32_t i = 0; i < head->thread_cnt; i++) hwgw_segment_thread(segment, i)->cpu = -1;
  for (uint32_t i = 0; journal_sz(head) && i < head->thread_cnt; i++)
    hwgw_segment_journal(segment, i)->sz_bytes = journal_sz(head);
  __atomic_store_n(&to->magic, HWGW_SEGMENT_MAGIC, __ATOMIC_RELEASE);
}

int32_t hwgw_segment_create(struct hwgw_segment **segment, const struct hwgw_segment_cfg *cfg,
                            struct hwgw_error *error) {
  char path[PATH_SZ];
  int32_t status = segment_path(path, cfg->name, error);
  if (status) return status;
  if (cfg->thread_cnt == 0 || cfg->thread_cnt > HWGW_SEGMENT_THREADS_MAX ||
      cfg->instrument_cnt > HWGW_SEGMENT_INSTRUMENTS_MAX) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "%u pipelines and %u instruments: 1 to %u and 0 to %u are allowed",
                          cfg->thread_cnt, cfg->instrument_cnt, (unsigned)HWGW_SEGMENT_THREADS_MAX,
                          (unsigned)HWGW_SEGMENT_INSTRUMENTS_MAX);
  }
  if (!journal_sz_is_good(cfg->journal_sz_bytes)) {
    return hwgw_error_set(
        error, HWGW_ERR_CONFIG, 0, "a journal ring of %llu bytes: 0 or a power of two from %u to %u is allowed",
        (unsigned long long)cfg->journal_sz_bytes, HWGW_JOURNAL_RING_MIN_BYTES, HWGW_JOURNAL_RING_MAX_BYTES);
  }
  if (!fanout_sz_is_good(cfg->fanout_sz_bytes)) {
    return hwgw_error_set(
        error, HWGW_ERR_CONFIG, 0, "a fan-out ring of %llu bytes: 0 or a power of two from %u to %u is allowed",
        (unsigned long long)cfg->fanout_sz_bytes, HWGW_SEGMENT_FANOUT_MIN_BYTES, HWGW_SEGMENT_FANOUT_MAX_BYTES);
  }
  if (cfg->venue_cnt > HWGW_SEGMENT_SESSIONS_MAX) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "%u venues: at most %u are allowed", cfg->venue_cnt,
                          (unsigned)HWGW_SEGMENT_SESSIONS_MAX);
  }
  if (cfg->depth_levels > HWGW_HOOK_LEVELS_MAX) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "depth of %u levels: 0 to %u are allowed", cfg->depth_levels,
                          (unsigned)HWGW_HOOK_LEVELS_MAX);
  }
  int old = -1;
  status = segment_claim(&old, path, cfg->name, error);
  if (status) return status;

  struct hwgw_segment_header head = {.abi = HWGW_SEGMENT_ABI,
                                     .thread_cnt = cfg->thread_cnt,
                                     .tsc_hz = hwgw_ticks_hz(),
                                     .start_ns = hwgw_realtime_ns(),
                                     .control_pid = (uint32_t)getpid(),
                                     .instrument_cnt = cfg->instrument_cnt,
                                     .counter_cnt = HWGW_COUNTER_CNT,
                                     .hist_cnt = HWGW_SEGMENT_HIST_CNT,
                                     .hist_sz_bytes = sizeof(struct hwgw_hist),
                                     .limits_sz_bytes = sizeof(struct hwgw_limits),
                                     .journal_kib = (uint32_t)(cfg->journal_sz_bytes >> 10),
                                     .fanout_kib = (uint32_t)(cfg->fanout_sz_bytes >> 10),
                                     .depth_levels = cfg->depth_levels,
                                     .feature_mask = cfg->features ? cfg->features->mask : 0};
  for (uint32_t i = 0; cfg->features && i < HWGW_FEATURE_CNT; i++)
    head.feature_param[i] = (uint8_t)cfg->features->param[i];
  snprintf(head.name, sizeof head.name, "%s", cfg->name);
  snprintf(head.version, sizeof head.version, "%s", cfg->version ? cfg->version : "");
  snprintf(head.commit, sizeof head.commit, "%s", cfg->commit ? cfg->commit : "");
  uint64_t sz = segment_layout(&head);

  /* A new file takes the name when it is complete: an observer of the old one keeps what it has mapped. */
  char fresh[PATH_SZ + 16];
  snprintf(fresh, sizeof fresh, "%s.%d", path, (int)getpid());
  int fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, SEGMENT_MODE);
  int failed = fd < 0 || !segment_lock(fd) ? errno : posix_fallocate(fd, 0, (off_t)sz);
  if (failed) {
    status = hwgw_error_set(error, HWGW_ERR_INTERNAL, failed, "cannot make %s (%llu bytes): %s", fresh,
                            (unsigned long long)sz, strerror(failed));
  } else {
    status = segment_map(segment, fd, sz, true, path, error);
  }
  if (!status) {
    segment_fill(*segment, &head, cfg, old);
    if ((old >= 0 ? rename(fresh, path) : link(fresh, path)) != 0) {
      status =
          hwgw_error_set(error, HWGW_ERR_USAGE, errno, "gateway '%s' was started by somebody else just now", cfg->name);
      munmap((*segment)->base, sz);
      free(*segment);
      *segment = NULL;
    }
  }
  if (status && fd >= 0) close(fd);
  unlink(fresh); /* after a rename there is nothing left to remove */
  if (old >= 0) close(old);
  return status;
}

void hwgw_segment_close(struct hwgw_segment *segment, bool discard) {
  if (!segment) return;
  if (discard && !halt_is_latched(hwgw_segment_control(segment))) unlink(segment->path);
  munmap(segment->base, segment->sz);
  close(segment->fd);
  free(segment);
}

bool hwgw_segment_locked(const struct hwgw_segment *segment) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  return fcntl(segment->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

struct hwgw_segment_header *hwgw_segment_head(struct hwgw_segment *segment) {
  return segment->base;
}

struct hwgw_control *hwgw_segment_control(struct hwgw_segment *segment) {
  return segment->base + hwgw_segment_head(segment)->control_offset;
}

struct hwgw_thread *hwgw_segment_thread(struct hwgw_segment *segment, uint32_t thread) {
  return segment->base + hwgw_segment_head(segment)->thread_offset + thread * block_up(sizeof(struct hwgw_thread));
}

struct hwgw_channel *hwgw_segment_channel(struct hwgw_segment *segment, uint32_t thread, uint32_t channel) {
  return segment->base + hwgw_segment_head(segment)->channel_offset +
         ((uint64_t)thread * HWGW_SEGMENT_CHANNELS_MAX + channel) * sizeof(struct hwgw_channel);
}

uint64_t *hwgw_segment_counters(struct hwgw_segment *segment, uint32_t thread) {
  return segment->base + hwgw_segment_head(segment)->counter_offset +
         thread * block_up(HWGW_COUNTER_CNT * sizeof(uint64_t));
}

struct hwgw_hist *hwgw_segment_hist(struct hwgw_segment *segment, uint32_t thread, uint32_t hist) {
  const struct hwgw_segment_header *head = hwgw_segment_head(segment);
  return segment->base + head->hist_offset + ((uint64_t)thread * head->hist_cnt + hist) * sizeof(struct hwgw_hist);
}

struct hwgw_tob *hwgw_segment_tob(struct hwgw_segment *segment, uint32_t instrument) {
  return segment->base + hwgw_segment_head(segment)->tob_offset + instrument * sizeof(struct hwgw_tob);
}

struct hwgw_depth *hwgw_segment_depth(struct hwgw_segment *segment, uint32_t instrument) {
  const struct hwgw_segment_header *head = hwgw_segment_head(segment);
  if (!head->depth_levels) return NULL;
  return segment->base + head->depth_offset + instrument * sizeof(struct hwgw_depth);
}

struct hwgw_feature_row *hwgw_segment_feature_row(struct hwgw_segment *segment, uint32_t instrument) {
  const struct hwgw_segment_header *head = hwgw_segment_head(segment);
  if (!head->feature_mask) return NULL;
  return segment->base + head->feature_offset + instrument * sizeof(struct hwgw_feature_row);
}

struct hwgw_quality *hwgw_segment_quality(struct hwgw_segment *segment, uint32_t venue, uint32_t strategy) {
  return segment->base + hwgw_segment_head(segment)->quality_offset +
         ((uint64_t)venue * HWGW_RISK_STRATEGIES_MAX + strategy) * sizeof(struct hwgw_quality);
}

struct hwgw_position *hwgw_segment_position(struct hwgw_segment *segment, uint32_t instrument) {
  return segment->base + hwgw_segment_head(segment)->position_offset + instrument * sizeof(struct hwgw_position);
}

struct hwgw_exposure *hwgw_segment_exposure(struct hwgw_segment *segment, uint32_t account) {
  return segment->base + hwgw_segment_head(segment)->exposure_offset + account * sizeof(struct hwgw_exposure);
}

struct hwgw_strategy_row *hwgw_segment_strategy(struct hwgw_segment *segment, uint32_t id) {
  return segment->base + hwgw_segment_head(segment)->strategy_offset + id * sizeof(struct hwgw_strategy_row);
}

struct hwgw_strategy_param *hwgw_segment_param(struct hwgw_segment *segment, uint32_t id) {
  return segment->base + hwgw_segment_head(segment)->param_offset + id * sizeof(struct hwgw_strategy_param);
}

struct hwgw_rule_row *hwgw_segment_rule(struct hwgw_segment *segment, uint32_t number) {
  return segment->base + hwgw_segment_head(segment)->rule_offset + number * sizeof(struct hwgw_rule_row);
}

struct hwgw_limits *hwgw_segment_limits(struct hwgw_segment *segment, uint32_t index) {
  return segment->base + hwgw_segment_head(segment)->limits_offset +
         (index & 1u) * block_up(sizeof(struct hwgw_limits));
}

struct hwgw_breaker_row *hwgw_segment_breaker(struct hwgw_segment *segment, uint32_t rule) {
  return segment->base + hwgw_segment_head(segment)->breaker_offset + rule * sizeof(struct hwgw_breaker_row);
}

struct hwgw_halt_record *hwgw_segment_instrument_halt(struct hwgw_segment *segment, uint32_t instrument) {
  return segment->base + hwgw_segment_head(segment)->instrument_halt_offset +
         instrument * sizeof(struct hwgw_halt_record);
}

const char *hwgw_segment_symbols(struct hwgw_segment *segment) {
  return segment->base + hwgw_segment_head(segment)->symbol_offset;
}

struct hwgw_journal_ring *hwgw_segment_journal(struct hwgw_segment *segment, uint32_t thread) {
  const struct hwgw_segment_header *head = hwgw_segment_head(segment);
  if (!journal_sz(head)) return NULL;
  return segment->base + head->sz_bytes -
         (head->thread_cnt - thread) * (sizeof(struct hwgw_journal_ring) + journal_sz(head));
}

/* Does no gate look at the half that is not in force? A gate keeps to the table that its pipeline acknowledged last, and
 * one that has acknowledged none may be about to take the one in force as soon as there is a data process. */
static bool limits_are_idle(struct hwgw_segment *segment, uint64_t in_force) {
  const struct hwgw_segment_header *head = hwgw_segment_head(segment);
  for (uint32_t i = 0; i < head->thread_cnt; i++) {
    const struct hwgw_thread *thread = hwgw_segment_thread(segment, i);
    uint64_t taken = __atomic_load_n(&thread->generation_ack, __ATOMIC_ACQUIRE);
    bool is_over = __atomic_load_n(&thread->state, __ATOMIC_ACQUIRE) == HWGW_SEGMENT_THREAD_STATE_STOPPED;
    if (taken != in_force && !is_over && (taken || head->data_pid)) return false;
  }
  return true;
}

uint64_t hwgw_limits_publish(struct hwgw_segment *segment, const struct hwgw_limits *limits) {
  struct hwgw_control *control = hwgw_segment_control(segment);
  uint64_t in_force = __atomic_load_n(&control->limits_generation, __ATOMIC_ACQUIRE);
  if (!limits_are_idle(segment, in_force)) return 0;
  uint64_t generation = in_force + 1;
  struct hwgw_limits *idle = hwgw_segment_limits(segment, (uint32_t)generation);
  *idle = *limits;
  idle->generation = generation;
  idle->checksum = hwgw_limits_checksum(idle);
  __atomic_store_n(&control->limits_generation, generation, __ATOMIC_RELEASE);
  return generation;
}

bool hwgw_arm(struct hwgw_segment *segment, uint32_t id, bool is_armed) {
  struct hwgw_control *control = hwgw_segment_control(segment);
  uint16_t now = __atomic_load_n(&control->arm[id], __ATOMIC_ACQUIRE), next;
  do {
    next = (uint16_t)(now + (is_armed == (now & 1) ? (is_armed ? 2 : 0) : 1));
  } while (!__atomic_compare_exchange_n(&control->arm[id], &now, next, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
  if (next != now) __atomic_add_fetch(&control->arm_seq, 1, __ATOMIC_RELEASE);
  return is_armed != (now & 1);
}

uint64_t hwgw_params_publish(struct hwgw_segment *segment, uint32_t id, const int64_t *values,
                             const uint8_t version[16]) {
  struct hwgw_strategy_param *to = hwgw_segment_param(segment, id);
  uint64_t seq = __atomic_load_n(&to->seq, __ATOMIC_ACQUIRE);
  if (__atomic_load_n(&hwgw_segment_strategy(segment, id)->param_seq, __ATOMIC_ACQUIRE) != seq) return 0;
  memcpy(to->value, values, to->cnt * sizeof *values);
  memcpy(to->version, version, sizeof to->version);
  __atomic_store_n(&to->seq, seq + 1, __ATOMIC_RELEASE);
  __atomic_add_fetch(&hwgw_segment_control(segment)->param_seq, 1, __ATOMIC_RELEASE);
  return seq + 1;
}

uint64_t hwgw_rule_publish(struct hwgw_segment *segment, uint32_t number, const struct hwgw_rule_terms *terms,
                           bool is_armed) {
  struct hwgw_rule_row *row = hwgw_segment_rule(segment, number);
  uint64_t seq = __atomic_load_n(&row->seq, __ATOMIC_ACQUIRE);
  /* odd while somebody writes: two at a time would be taken for one, or their terms for those of a third */
  if (__atomic_load_n(&row->seq_ack, __ATOMIC_ACQUIRE) != seq ||
      !__atomic_compare_exchange_n(&row->seq, &seq, seq + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
    return 0;
  row->ask_armed = is_armed;
  row->ask_when_px = terms->when_px;
  row->ask_when_qty = terms->when_qty;
  row->ask_px = terms->px;
  row->ask_qty = terms->qty;
  __atomic_store_n(&row->seq, seq + 2, __ATOMIC_RELEASE);
  __atomic_add_fetch(&hwgw_segment_control(segment)->rule_seq, 1, __ATOMIC_RELEASE);
  return seq + 2;
}

uint64_t hwgw_cancel_all(struct hwgw_segment *segment) {
  return __atomic_add_fetch(&hwgw_segment_control(segment)->cancel_seq, 1, __ATOMIC_ACQ_REL);
}

void hwgw_beat(struct hwgw_segment *segment) {
  struct hwgw_control *control = hwgw_segment_control(segment);
  __atomic_store_n(&control->beat_ns, hwgw_now_ns(), __ATOMIC_RELAXED);
  __atomic_add_fetch(&control->beat_cnt, 1, __ATOMIC_RELEASE);
}

bool hwgw_tob_read(const struct hwgw_tob *row, struct hwgw_tob *out) {
  for (int i = 0; i < 1000; i++) {
    uint32_t before = __atomic_load_n(&row->lock, __ATOMIC_ACQUIRE);
    *out = *row;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (!(before & 1u) && __atomic_load_n(&row->lock, __ATOMIC_RELAXED) == before) return true;
    hwgw_pause();
  }
  return false;
}
