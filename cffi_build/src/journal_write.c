/* journal_write.c: takes records from the rings of a gateway to disk, in chained blocks.
 *
 * SPDX-License-Identifier: MIT
 *
 * A process of its own, forked by the control plane: the data process may die in any way and what it put still gets to
 * disk. It reads the rings in turn, gives every record its CRC-32C, writes what it found as one block that carries the
 * hash of the block before, and only then lets the pipeline have the room again. It ends when it is told that nothing
 * more comes (closing), or when both the control process and the data process are gone, with a close block.
 *
 * Order of the ends: head >= written >= durable. A record between durable and written is with the kernel: it survives
 * this process and the gateway, not the machine. What the disk refuses is not tried again: the error stands in the ring,
 * the gateway halts.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "confine.h"
#include "hwgw_fault.h"
#include "journal.h"

#define IDLE_NS 200000 /* what a record waits at most before it is looked for */
#define FILE_MODE 0640
#define WRITER_THREAD 255 /* records of the writer itself */

struct writer {
  struct hwgw_segment *segment;
  const struct hwgw_journal_cfg *cfg;
  struct hwgw_journal_ring *ring[HWGW_SEGMENT_THREADS_MAX];
  uint64_t taken[HWGW_SEGMENT_THREADS_MAX]; /* position up to which the block at hand holds records */
  uint64_t record_cnt[HWGW_SEGMENT_THREADS_MAX];
  uint32_t ring_cnt;
  int folder_fd;
  int fd;
  int data_fd; /* pidfd of the data process, -1 until it is there */
  pid_t parent;
  uint32_t number;  /* of the file that is open */
  uint64_t file_sz; /* bytes in it */
  uint64_t t_dirty; /* gateway clock of the first write that is not durable; 0 = none */
  uint64_t seq;     /* of the last block */
  uint8_t before[HWGW_JOURNAL_HASH_SZ_BYTES];
  struct hwgw_error *error;
  struct hwgw_journal_block *block; /* room for the header and block_max_bytes of records */
};

static int32_t failed(struct writer *w, const char *what) {
  int cause = errno ? errno : EIO;
  for (uint32_t i = 0; i < w->ring_cnt; i++) __atomic_store_n(&w->ring[i]->error, (uint32_t)cause, __ATOMIC_RELEASE);
  int32_t status = cause == EACCES || cause == EPERM ? HWGW_ERR_PRIVILEGE : HWGW_ERR_DEVICE;
  return hwgw_error_set(w->error, status, cause, "journal %s/%s-%06u.journal: %s: %s", w->cfg->folder,
                        hwgw_segment_head(w->segment)->name, w->number, what, strerror(cause));
}

/* ---- files ---- */

static int32_t file_open(struct writer *w, int flags) {
  char name[64];
  snprintf(name, sizeof name, "%s-%06u.journal", hwgw_segment_head(w->segment)->name, w->number);
  w->fd = openat(w->folder_fd, name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, FILE_MODE);
  if (w->fd < 0) return failed(w, "open");
  return HWGW_OK;
}

static int32_t put(struct writer *w, const void *data, uint64_t len) {
  const uint8_t *from = data;
  uint64_t allowed = hwgw_fault_write(len); /* all of it, but for a test */
  uint64_t end = allowed < len ? allowed : len;
  for (uint64_t done = 0; done < end;) {
    ssize_t written = write(w->fd, from + done, end - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed(w, "write");
    done += (uint64_t)written;
  }
  if (HWGW_UNLIKELY(allowed <= len)) hwgw_fault_die();
  w->file_sz += len;
  return HWGW_OK;
}

static int32_t sync_data(struct writer *w) {
  if (!w->t_dirty) return HWGW_OK;
  if (HWGW_UNLIKELY(hwgw_fault_write(1) != UINT64_MAX)) hwgw_fault_die();
  if (fdatasync(w->fd) != 0) return failed(w, "fdatasync");
  w->t_dirty = 0;
  for (uint32_t i = 0; i < w->ring_cnt; i++) __atomic_store_n(&w->ring[i]->durable, w->taken[i], __ATOMIC_RELEASE);
  return HWGW_OK;
}

/* ---- blocks ---- */

/* seals what is in w->block and writes it */
static int32_t block_write(struct writer *w, uint32_t kind) {
  struct hwgw_journal_block *block = w->block;
  hwgw_journal_block_seal(block, kind, ++w->seq, hwgw_realtime_ns(), w->before);
  memcpy(w->before, block->hash, sizeof w->before);
  int32_t status = put(w, block, sizeof *block + block->len);
  if (status) return status;
  if (!w->t_dirty) w->t_dirty = hwgw_now_ns();
  *block = (struct hwgw_journal_block){0};
  for (uint32_t i = 0; i < w->ring_cnt; i++) {
    w->ring[i]->written_records = w->record_cnt[i];
    __atomic_store_n(&w->ring[i]->written, w->taken[i], __ATOMIC_RELEASE);
  }
  return HWGW_OK;
}

static int32_t roll(struct writer *w) {
  int32_t status = block_write(w, HWGW_JOURNAL_BLOCK_KIND_ROLL);
  if (!status) status = sync_data(w);
  if (status) return status;
  close(w->fd);
  w->number++;
  w->file_sz = 0;
  status = file_open(w, O_CREAT | O_EXCL);
  if (!status && fsync(w->folder_fd) != 0) status = failed(w, "fsync of the folder");
  return status;
}

/* takes whole records of a ring into the block while there is room; false when the ring makes no sense */
static bool ring_take(struct writer *w, uint32_t index) {
  struct hwgw_journal_ring *ring = w->ring[index];
  const uint8_t *data = (const uint8_t *)(ring + 1);
  uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
  uint64_t at = w->taken[index];
  if (head - at > ring->sz_bytes) return false;
  while (at < head) {
    const struct hwgw_journal_record *record = (const void *)(data + (at & (ring->sz_bytes - 1)));
    uint64_t sz = journal_record_sz(record->len);
    uint64_t to_end = ring->sz_bytes - (at & (ring->sz_bytes - 1)); /* a record lies in one piece */
    if (sz > head - at || sz > to_end || sz > HWGW_JOURNAL_BLOCK_MAX_BYTES) return false;
    if (record->type != HWGW_JOURNAL_RECORD_TYPE_FILL) {
      if (w->block->len + sz > HWGW_JOURNAL_BLOCK_MAX_BYTES) break;
      bool is_there = record->seq <= w->cfg->skip[index]; /* a writer before this one had written it */
      if (!is_there) journal_block_put(w->block, record, record + 1);
      w->record_cnt[index] = record->seq;
    }
    at += sz;
  }
  w->taken[index] = at;
  return true;
}

/* what the rings hold, as one block; *took says whether there was anything */
static int32_t take(struct writer *w, bool *took) {
  uint64_t now = hwgw_now_ns();
  *took = false;
  for (uint32_t i = 0; i < w->ring_cnt; i++) {
    __atomic_store_n(&w->ring[i]->alive_ns, now, __ATOMIC_RELEASE);
    uint64_t before = w->taken[i];
    errno = EBADMSG;
    if (!ring_take(w, i)) return failed(w, "the ring of a pipeline holds what is no record");
    *took |= w->taken[i] != before;
  }
  int32_t status = HWGW_OK;
  if (w->block->record_cnt) {
    if (w->file_sz && w->file_sz + sizeof *w->block * 2 + w->block->len > w->cfg->file_max_bytes) {
      /* the block at hand waits for the next file: the roll block goes first, without records */
      struct hwgw_journal_block at_hand = *w->block;
      uint64_t taken[HWGW_SEGMENT_THREADS_MAX], record_cnt[HWGW_SEGMENT_THREADS_MAX];
      memcpy(taken, w->taken, sizeof taken);
      memcpy(record_cnt, w->record_cnt, sizeof record_cnt);
      for (uint32_t i = 0; i < w->ring_cnt; i++) {
        w->taken[i] = w->ring[i]->written;
        w->record_cnt[i] = w->ring[i]->written_records;
      }
      *w->block = (struct hwgw_journal_block){0};
      status = roll(w);
      *w->block = at_hand;
      memcpy(w->taken, taken, sizeof taken);
      memcpy(w->record_cnt, record_cnt, sizeof record_cnt);
    }
    if (!status) status = block_write(w, HWGW_JOURNAL_BLOCK_KIND_DATA);
  }
  bool is_due = w->cfg->sync == HWGW_JOURNAL_SYNC_EVERY ||
                (w->cfg->sync == HWGW_JOURNAL_SYNC_GROUP && now - w->t_dirty >= w->cfg->group_ns);
  if (!status && w->t_dirty && is_due) status = sync_data(w);
  return status;
}

/* ---- life ---- */

static int32_t begin(struct writer *w) {
  struct hwgw_segment_header *head = hwgw_segment_head(w->segment);
  w->folder_fd = open(w->cfg->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (w->folder_fd < 0) return failed(w, "open of the folder");
  int32_t status = file_open(w, w->cfg->is_salvage ? 0 : O_CREAT | O_EXCL);
  if (status) return status;
  if (w->cfg->is_salvage) {
    w->file_sz = w->cfg->file_sz;
    if (ftruncate(w->fd, (off_t)w->file_sz) != 0) return failed(w, "ftruncate"); /* the torn end is still in the ring */
    return HWGW_OK;
  }
  struct hwgw_journal_open open = {.start_ns = head->start_ns,
                                   .clock_offset_ns = (int64_t)(hwgw_realtime_ns() - hwgw_now_ns()),
                                   .thread_cnt = head->thread_cnt,
                                   .instrument_cnt = head->instrument_cnt,
                                   .torn_bytes = w->cfg->torn_bytes};
  if (w->cfg->anew) {
    open.is_anew = 1;
    snprintf(open.reason, sizeof open.reason, "%s", w->cfg->anew);
  }
  memcpy(open.name, head->name, sizeof open.name);
  memcpy(open.version, head->version, sizeof open.version);
  memcpy(open.commit, head->commit, sizeof open.commit);
  struct hwgw_journal_record record = {.len = sizeof open,
                                       .type = HWGW_JOURNAL_RECORD_TYPE_OPEN,
                                       .thread = WRITER_THREAD,
                                       .seq = 1,
                                       .ts_ns = hwgw_now_ns()};
  journal_block_put(w->block, &record, &open);
  record.type = HWGW_JOURNAL_RECORD_TYPE_SYMBOLS;
  record.len = head->instrument_cnt * 8;
  record.seq = 2;
  journal_block_put(w->block, &record, hwgw_segment_symbols(w->segment));
  status = block_write(w, HWGW_JOURNAL_BLOCK_KIND_DATA);
  if (!status) status = sync_data(w);
  if (!status && fsync(w->folder_fd) != 0) status = failed(w, "fsync of the folder");
  return status;
}

/* has the last process gone that may put a record? */
static bool is_over(struct writer *w) {
  if (w->cfg->is_salvage || __atomic_load_n(&w->ring[0]->closing, __ATOMIC_ACQUIRE)) return true;
  if (getppid() == w->parent) return false;
  uint32_t data_pid = hwgw_segment_head(w->segment)->data_pid;
  if (!data_pid) return true;
  if (w->data_fd < 0) w->data_fd = (int)syscall(SYS_pidfd_open, (pid_t)data_pid, 0);
  struct pollfd gone = {.fd = w->data_fd, .events = POLLIN};
  return w->data_fd < 0 || poll(&gone, 1, 0) == 1;
}

static int32_t work(struct writer *w) {
  struct timespec idle = {0, IDLE_NS};
  for (;;) {
    bool over = is_over(w); /* looked at first: what is put before it is taken after it */
    bool took;
    int32_t status = take(w, &took);
    if (status) return status;
    if (took) continue;
    if (over) break;
    nanosleep(&idle, NULL);
  }
  int32_t status = block_write(w, HWGW_JOURNAL_BLOCK_KIND_CLOSE);
  return status ? status : sync_data(w);
}

static void answer(int32_t fd, const struct hwgw_error *error) {
  char line[sizeof error->text + 16];
  int len = error->status ? snprintf(line, sizeof line, "%d %s", error->status, error->text)
                          : snprintf(line, sizeof line, "0");
  while (fd >= 0 && write(fd, line, (size_t)len) < 0 && errno == EINTR) continue;
  if (fd >= 0) close(fd);
}

int32_t hwgw_journal_run(struct hwgw_segment *segment, const struct hwgw_journal_cfg *cfg, int32_t ready_fd,
                         struct hwgw_error *error) {
  struct hwgw_error own = {0};
  struct writer w = {.segment = segment,
                     .cfg = cfg,
                     .number = cfg->number,
                     .seq = cfg->seq,
                     .folder_fd = -1,
                     .fd = -1,
                     .data_fd = -1,
                     .parent = getppid(),
                     .error = error ? error : &own};
  memcpy(w.before, cfg->before, sizeof w.before);
  for (uint32_t i = 0; i < hwgw_segment_head(segment)->thread_cnt; i++) {
    struct hwgw_journal_ring *ring = hwgw_segment_journal(segment, i);
    if (!ring) break;
    w.ring[w.ring_cnt++] = ring;
    ring->writer_pid = (uint32_t)getpid();
    ring->alive_ns = hwgw_now_ns();
    w.taken[i] = ring->written;
    w.record_cnt[i] = ring->written_records;
  }
  w.block = calloc(1, sizeof *w.block + HWGW_JOURNAL_BLOCK_MAX_BYTES);
  int32_t status = HWGW_OK;
  if (!w.ring_cnt) {
    status = hwgw_error_set(w.error, HWGW_ERR_CONFIG, 0, "the segment was made without a journal");
  } else if (!w.block) {
    status = hwgw_error_set(w.error, HWGW_ERR_INTERNAL, ENOMEM, "no memory for a block of the journal");
  }
  if (!status) status = begin(&w);
  if (!cfg->is_salvage) {
    prctl(PR_SET_NAME, "hwgw-journal");
    signal(SIGINT, SIG_IGN); /* Ctrl-C is for the gateway: this process ends when there is nothing more to record */
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    if (!status) status = hwgw_confine_privileges(0, w.error);
  }
  answer(ready_fd, w.error);
  if (!status) status = work(&w);
  if (w.fd >= 0) close(w.fd);
  if (w.folder_fd >= 0) close(w.folder_fd);
  if (w.data_fd >= 0) close(w.data_fd);
  free(w.block);
  return status;
}
