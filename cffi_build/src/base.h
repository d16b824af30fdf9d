/* base.h: what every stage shares: byte order, branch hints, time stamps, error text.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_BASE_H
#define HWGW_BASE_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "hwgw.h"
#include "hwgw_wire.h" /* generated: layouts, lengths and codes of the wire formats */

#define HWGW_LIKELY(x) __builtin_expect(!!(x), 1)
#define HWGW_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HWGW_CACHE_LINE 64
#define HWGW_BLOCK_ALIGN 128 /* two lines: the adjacent-line prefetcher fetches pairs */

/* fills error and returns status, so that a set-up function can end with `return hwgw_error_set(...)` */
__attribute__((format(printf, 4, 5))) static inline int32_t hwgw_error_set(struct hwgw_error *error, int32_t status,
                                                                           int32_t sys_errno, const char *format, ...) {
  if (error) {
    va_list args;
    va_start(args, format);
    error->status = status;
    error->sys_errno = sys_errno;
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
  }
  return status;
}

static inline uint64_t hwgw_rdtsc(void) {
  return __builtin_ia32_rdtsc();
}

/* Asks for a cache line. Not __builtin_prefetch: GCC 12 takes a function that does nothing else for one without effect and
 * drops calls of it that it did not inline early. */
static inline void hwgw_prefetch(const void *line) {
  __asm__ volatile("prefetcht0 %0" : : "m"(*(const uint8_t *)line));
}

/* the gateway clock at a tick of this process's TSC; hwgw_now_ns has been called before */
uint64_t hwgw_ticks_to_now_ns(uint64_t ticks);
uint64_t hwgw_realtime_ns(void); /* CLOCK_REALTIME, for records that people read */

static inline void hwgw_pause(void) {
  __builtin_ia32_pause();
}

/* FNV-1a 64: the hash of books and of the limits table; not for untrusted keys */
#define HWGW_FNV_BASIS 0xcbf29ce484222325u
#define HWGW_FNV_PRIME 0x100000001b3u

static inline uint64_t hwgw_fnv(uint64_t hash, const void *data, size_t len) {
  const uint8_t *byte = data;
  for (size_t i = 0; i < len; i++) hash = (hash ^ byte[i]) * HWGW_FNV_PRIME;
  return hash;
}

#define HWGW_ORDER_REQUESTS (HWGW_ORDER_KIND_ENABLE - HWGW_ORDER_KIND_MASS_CANCEL + 1)

/* a message to the venue that uses up a reference and is no order: mass cancel, disable, enable */
static inline bool hwgw_order_is_request(uint32_t kind) {
  return kind - HWGW_ORDER_KIND_MASS_CANCEL < HWGW_ORDER_REQUESTS;
}

#endif
