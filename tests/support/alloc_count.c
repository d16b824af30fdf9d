/* alloc_count.c: counts what a process asks of the allocator and of the address space, per thread; preloaded.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: LD_PRELOAD of this object, and HWGW_ALLOC_COUNTS naming a file of sizeof(struct table) bytes. Output: in that
 * file, mapped by every process that has the variable, a row per thread: process, thread, calls by function, and who
 * called last. A reader maps it and takes differences. A forked child's threads get rows of their own.
 *
 * Limits: ROWS threads, the rest share row 0. What libc does within itself (the system calls of its own malloc) is
 * counted as the malloc that caused it; a program that issues the system call itself is not seen. Cost: one increment.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MALLOC, CALLOC, REALLOC, MEMALIGN, FREE, MMAP, MUNMAP, BRK, FUNCTIONS, ROWS = 4096 };

struct row {
  uint32_t pid;
  uint32_t tid;
  uint64_t cnt[FUNCTIONS];
  uint64_t caller[FUNCTIONS];
};

struct table {
  uint64_t used;
  struct row row[ROWS];
};

void *__libc_malloc(size_t sz);
void *__libc_calloc(size_t cnt, size_t sz);
void *__libc_realloc(void *old, size_t sz);
void *__libc_memalign(size_t align, size_t sz);
void __libc_free(void *memory);

static struct table *table;
static __thread struct row *mine __attribute__((tls_model("initial-exec")));

static void forked(void) {
  mine = NULL;
}

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("HWGW_ALLOC_COUNTS");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *map = (void *)syscall(SYS_mmap, NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  close(fd);
  if (map == MAP_FAILED) return;
  pthread_atfork(NULL, NULL, forked);
  table = map;
}

static void count(int function, void *caller) {
  if (!table) return;
  if (!mine) {
    uint64_t at = __atomic_add_fetch(&table->used, 1, __ATOMIC_RELAXED);
    mine = &table->row[at < ROWS ? at : 0];
    mine->pid = (uint32_t)getpid();
    mine->tid = (uint32_t)syscall(SYS_gettid);
  }
  mine->cnt[function]++;
  mine->caller[function] = (uintptr_t)caller;
}

#define COUNT(function) count(function, __builtin_return_address(0))

void *malloc(size_t sz) {
  COUNT(MALLOC);
  return __libc_malloc(sz);
}

void *calloc(size_t cnt, size_t sz) {
  COUNT(CALLOC);
  return __libc_calloc(cnt, sz);
}

void *realloc(void *old, size_t sz) {
  COUNT(REALLOC);
  return __libc_realloc(old, sz);
}

void free(void *memory) {
  if (memory) COUNT(FREE);
  __libc_free(memory);
}

void *memalign(size_t align, size_t sz) {
  COUNT(MEMALIGN);
  return __libc_memalign(align, sz);
}

void *aligned_alloc(size_t align, size_t sz) {
  COUNT(MEMALIGN);
  return __libc_memalign(align, sz);
}

int posix_memalign(void **out, size_t align, size_t sz) {
  COUNT(MEMALIGN);
  if (align % sizeof(void *) || (align & (align - 1)) || !align) return EINVAL;
  *out = __libc_memalign(align, sz);
  return *out ? 0 : ENOMEM;
}

void *mmap(void *addr, size_t sz, int prot, int flags, int fd, off_t offset) {
  COUNT(MMAP);
  return (void *)syscall(SYS_mmap, addr, sz, prot, flags, fd, offset);
}

void *mmap64(void *addr, size_t sz, int prot, int flags, int fd, off_t offset) {
  COUNT(MMAP);
  return (void *)syscall(SYS_mmap, addr, sz, prot, flags, fd, offset);
}

int munmap(void *addr, size_t sz) {
  COUNT(MUNMAP);
  return (int)syscall(SYS_munmap, addr, sz);
}

void *mremap(void *old, size_t old_sz, size_t sz, int flags, ...) {
  COUNT(MMAP);
  va_list args;
  va_start(args, flags);
  void *wanted = flags & MREMAP_FIXED ? va_arg(args, void *) : NULL;
  va_end(args);
  return (void *)syscall(SYS_mremap, old, old_sz, sz, flags, wanted);
}

/* the break belongs to libc, which remembers where it is */
int brk(void *end) {
  static int (*real)(void *);
  COUNT(BRK);
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "brk");
  return real(end);
}

void *sbrk(intptr_t by) {
  static void *(*real)(intptr_t);
  COUNT(BRK);
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "sbrk");
  return real(by);
}
