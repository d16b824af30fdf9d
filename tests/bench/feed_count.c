/* feed_count.c: the messages of a record file into books, for callgrind: feed_count FILE LIVE WARM COUNTED.
 *
 * SPDX-License-Identifier: MIT
 *
 * WARM messages go into the books first, then COUNTED ones within counted(), which is what callgrind collects: from
 * records to changed books. Prints how many of these were applied, and the hash of the books at the end.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base.h"
#include "hwgw_scan.h"

#define BATCH 65536u
#define WINDOW (64u << 20)

struct feed {
  const uint8_t *data;
  uint64_t left; /* bytes */
  uint64_t seq;
  struct hwgw_instruments *instruments;
  struct hwgw_books *books;
  uint64_t counters[HWGW_COUNTER_CNT];
  struct hwgw_scan_totals totals;
  struct hwgw_scan_message messages[BATCH];
};

static inline void apply(struct feed *feed, uint64_t cnt) {
  bool ended = false;
  while (cnt && !ended) {
    uint32_t used, max = cnt < BATCH ? (uint32_t)cnt : BATCH;
    uint32_t window = feed->left < WINDOW ? (uint32_t)feed->left : WINDOW;
    uint32_t found = hwgw_scan_records(feed->data, window, feed->seq, feed->messages, max, &used, &ended);
    if (!found) return;
    hwgw_scan_apply(feed->data, feed->messages, found, feed->instruments, feed->books, feed->counters, &feed->totals);
    feed->data += used;
    feed->left -= used;
    feed->seq += found;
    cnt -= found;
  }
}

void counted(struct feed *feed, uint64_t cnt);

__attribute__((noipa)) void counted(struct feed *feed, uint64_t cnt) {
  apply(feed, cnt);
}

int main(int argc, char **argv) {
  static struct feed feed = {.seq = 1};
  struct hwgw_error error;
  if (argc != 5) return 2;
  int fd = open(argv[1], O_RDONLY);
  struct stat status;
  if (fd < 0 || fstat(fd, &status)) return 2;
  void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (map == MAP_FAILED) return 2;
  feed.data = map;
  feed.left = (uint64_t)status.st_size;
  struct hwgw_books_cfg cfg = {.instrument_cnt = 65536, .orders_max = (uint32_t)strtoul(argv[2], NULL, 10)};
  if (hwgw_instruments_open(&feed.instruments, "", 0, cfg.instrument_cnt, true, &error) ||
      hwgw_books_open(&feed.books, &cfg, &error)) {
    fprintf(stderr, "feed_count: %s\n", error.text);
    return 1;
  }
  apply(&feed, strtoull(argv[3], NULL, 10));
  uint64_t before = feed.counters[HWGW_CNT_ITCH_MESSAGES];
  counted(&feed, strtoull(argv[4], NULL, 10));
  printf("%llu %016llx\n", (unsigned long long)(feed.counters[HWGW_CNT_ITCH_MESSAGES] - before),
         (unsigned long long)hwgw_books_hash(feed.books));
  return 0;
}
