/* life.c: the line by which the data process notices at once that the control process is gone.
 *
 * SPDX-License-Identifier: MIT
 *
 * A robust mutex in the segment (pthread_mutexattr_setrobust(3)), held by a thread of the control process while it lives. The
 * kernel marks it when that thread ends, however it ends, and before the memory of its process is given back. Only behind
 * that, which can take tens of milliseconds, are descriptors closed and the signal of the parent's death sent.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "segment.h"

_Static_assert(sizeof(pthread_mutex_t) <= sizeof((struct hwgw_control){0}.life), "the segment's table has less room");

static pthread_mutex_t *life(struct hwgw_segment *segment) {
  return (pthread_mutex_t *)(void *)hwgw_segment_control(segment)->life;
}

void life_make(struct hwgw_segment *segment) {
  pthread_mutexattr_t how;
  if (pthread_mutexattr_init(&how)) return;
  pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(life(segment), &how);
  pthread_mutexattr_destroy(&how);
}

bool hwgw_life_hold(struct hwgw_segment *segment) {
  /* who waits has it for a moment at most, and only while nobody holds it */
  int failed = pthread_mutex_lock(life(segment));
  return failed == EOWNERDEAD ? !pthread_mutex_consistent(life(segment)) : !failed;
}

void hwgw_life_release(struct hwgw_segment *segment) {
  pthread_mutex_unlock(life(segment));
}

int32_t hwgw_life_wait(struct hwgw_segment *segment, uint64_t ns) {
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  uint64_t at = (uint64_t)end.tv_nsec + ns;
  end.tv_sec += (time_t)(at / 1000000000);
  end.tv_nsec = (long)(at % 1000000000);
  int failed = pthread_mutex_clocklock(life(segment), CLOCK_MONOTONIC, &end);
  if (failed == ETIMEDOUT) return HWGW_LIFE_HELD;
  if (failed == EOWNERDEAD) return HWGW_LIFE_ENDED; /* kept: the next wait is one for nothing */
  if (!failed) pthread_mutex_unlock(life(segment));
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
  return HWGW_LIFE_FREE;
}
