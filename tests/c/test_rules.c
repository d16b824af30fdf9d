/* test_rules.c: several processes at once ask for rules of the card, and each is heard alone and whole.
 *
 * SPDX-License-Identifier: MIT
 *
 * Claims: what is asked has a number of its own, which the pipeline's side sees once, with the terms and the arming of who got that
 * number and of nobody else. Threads stand for the processes; the pipeline's side is this program's main thread.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base.h"
#include "hwgw.h"

enum { CLIENTS = 3, EACH = 3000 };

#define CLAIM(claim)                                                                             \
  do {                                                                                           \
    if (!(claim)) {                                                                              \
      printf("%s:%d: %s (number %llu)\n", __FILE__, __LINE__, #claim, (unsigned long long)last); \
      exit(1);                                                                                   \
    }                                                                                            \
  } while (0)

static struct hwgw_segment *segment;
static uint64_t last;                              /* number that was looked at */
static uint8_t asked_by[2 * CLIENTS * EACH + 2];   /* by number: 1 + the client who got it */
static uint8_t heard_from[2 * CLIENTS * EACH + 2]; /* likewise, as its terms say */
static uint32_t done;

static void *ask(void *client) {
  uint32_t own = *(const uint32_t *)client;
  const struct hwgw_rule_terms terms = {.when_px = own, .when_qty = own, .px = own, .qty = own};
  for (uint32_t i = 0; i < EACH;) {
    uint64_t number = hwgw_rule_publish(segment, 0, &terms, own & 1);
    if (!number) {
      sched_yield();
      continue;
    }
    if (number < sizeof asked_by) __atomic_add_fetch(&asked_by[number], (uint8_t)(1 + own), __ATOMIC_RELAXED);
    i++;
  }
  __atomic_add_fetch(&done, 1, __ATOMIC_RELEASE);
  return NULL;
}

static uint32_t look(struct hwgw_rule_row *row) {
  uint64_t now = __atomic_load_n(&row->seq, __ATOMIC_ACQUIRE);
  if (now & 1 || now == last) return 0;
  CLAIM(now > last && now < sizeof heard_from);
  uint32_t own = row->ask_px;
  CLAIM(own < CLIENTS && row->ask_when_px == own && row->ask_when_qty == own && row->ask_qty == own);
  CLAIM(row->ask_armed == (own & 1));
  last = now;
  heard_from[now] = (uint8_t)(1 + own);
  __atomic_store_n(&row->seq_ack, now, __ATOMIC_RELEASE);
  return 1;
}

int main(void) {
  char name[32];
  struct hwgw_error error;
  snprintf(name, sizeof name, "rules-%d", (int)getpid());
  const struct hwgw_segment_cfg cfg = {
      .name = name, .version = "", .commit = "", .thread_cnt = 1, .instrument_cnt = 1, .symbols = "AAPL    "};
  CLAIM(hwgw_segment_create(&segment, &cfg, &error) == HWGW_OK);
  struct hwgw_rule_row *row = hwgw_segment_rule(segment, 0);
  pthread_t thread[CLIENTS];
  uint32_t client[CLIENTS], heard = 0;
  for (uint32_t i = 0; i < CLIENTS; i++) {
    client[i] = i;
    CLAIM(pthread_create(&thread[i], NULL, ask, &client[i]) == 0);
  }
  while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < CLIENTS) {
    uint32_t one = look(row);
    heard += one;
    if (!one) sched_yield();
  }
  for (uint32_t i = 0; i < CLIENTS; i++) CLAIM(pthread_join(thread[i], NULL) == 0);
  heard += look(row);
  CLAIM(heard == CLIENTS * EACH);
  CLAIM(memcmp(asked_by, heard_from, sizeof asked_by) == 0);
  CLAIM(__atomic_load_n(&hwgw_segment_control(segment)->rule_seq, __ATOMIC_ACQUIRE) == heard);
  hwgw_segment_close(segment, true);
  return 0;
}
