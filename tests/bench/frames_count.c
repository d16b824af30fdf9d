/* frames_count.c: the instructions of frames that a pipeline is given, for callgrind: a dump of each call's own.
 *
 * SPDX-License-Identifier: MIT
 *
 * Compiled by bench_frames.py into a shared object. Instrumentation is off but within the call, so that what makes the
 * frames costs little; outside of valgrind the call gives the frames and counts nothing.
 */
#include <stdint.h>
#include <valgrind/callgrind.h>

typedef void (*frames_fn)(void *object, const uint8_t *data, const uint32_t *lens, uint32_t cnt);

void count_frames(frames_fn frames, void *object, const uint8_t *data, const uint32_t *lens, uint32_t cnt);

__attribute__((visibility("default"))) void count_frames(frames_fn frames, void *object, const uint8_t *data,
                                                         const uint32_t *lens, uint32_t cnt) {
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
  frames(object, data, lens, cnt);
  CALLGRIND_DUMP_STATS;
  CALLGRIND_STOP_INSTRUMENTATION;
}
