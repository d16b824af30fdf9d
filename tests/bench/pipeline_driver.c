/* pipeline_driver.c: what drives a pipeline (or the baseline) in its benchmark: the schedule, a strategy that fires on
 * a known fraction of updates, a venue that answers at once, and loops for costs too small to time singly.
 *
 * SPDX-License-Identifier: MIT
 *
 * Compiled by bench_pipeline.py into a shared object; the functions of the data plane come in as addresses, so that
 * what is measured is the code of the installed module.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base.h"

#define EXPORT __attribute__((visibility("default")))

/* ---- the strategy: fires at every `every`-th update of a good, two-sided book, IOC at the best price ---- */

static struct {
  uint64_t every; /* 0 = never */
  uint64_t usable;
} shot;

/* of each order: ticks from when its frame was due, and from when it was handed over, to when its bytes were ready */
struct samples {
  uint64_t due;
  uint64_t entered;
  uint32_t *from_due;
  uint32_t *from_entry;
  uint32_t cnt;
  uint32_t max;
};

static void sample(struct samples *samples, uint64_t now) {
  if (!samples || samples->cnt >= samples->max) return;
  samples->from_due[samples->cnt] = (uint32_t)(now - samples->due);
  samples->from_entry[samples->cnt++] = (uint32_t)(now - samples->entered);
}

/* one pipeline per process is driven at a time; the pipeline calls the strategy in the driver's own thread */
static struct samples *sampling;
static struct hwgw_hook *recording;
static uint32_t recording_cnt, recording_max;

static int32_t on_hook(const struct hwgw_hook *hook, void *memory, struct hwgw_order *out, int32_t out_max) {
  (void)memory;
  if (hook->cause == HWGW_HOOK_CAUSE_ORDER) { /* kind new: its bytes are in the send buffer since a moment ago */
    if (hook->order.kind == HWGW_ORDER_KIND_NEW) sample(sampling, hwgw_rdtsc());
    return 0;
  }
  if (recording_cnt < recording_max) recording[recording_cnt++] = *hook;
  const uint32_t wanted = HWGW_HOOK_FLAGS_FEED_GOOD | HWGW_HOOK_FLAGS_TWO_SIDED;
  if ((hook->flags & wanted) != wanted || out_max < 1 || !shot.every) return 0;
  if (++shot.usable % shot.every) return 0;
  bool buys = !(hook->instrument & 1); /* one side per instrument: orders in flight never cross each other */
  memset(out, 0, sizeof *out);
  out->kind = HWGW_ORDER_KIND_NEW;
  out->side = buys ? HWGW_ORDER_SIDE_BUY : HWGW_ORDER_SIDE_SELL;
  out->flags = buys ? 0 : HWGW_ORDER_FLAGS_SHORT_SALE;
  out->type = HWGW_ORDER_TYPE_LIMIT;
  out->tif = HWGW_ORDER_TIF_IOC;
  out->instrument = UINT32_MAX;
  out->px = buys ? hook->bid[0].px : hook->ask[0].px;
  out->qty = 100 + (uint32_t)(shot.usable / shot.every & 255);
  return 1;
}

EXPORT const struct hwgw_strategy hwgw_strategy = {
    .abi = HWGW_SEGMENT_ABI, .state_sz_bytes = 0, .depth = 1, .name = "every_nth", .fn = on_hook};

EXPORT void shot_set(uint64_t every) {
  shot.every = every;
  shot.usable = 0;
}

/* copies the next max hooks the strategy sees; cnt says how many came */
EXPORT void record_hooks(struct hwgw_hook *hooks, uint32_t max) {
  recording = hooks;
  recording_max = max;
  recording_cnt = 0;
}

EXPORT uint32_t recorded_hooks(void) {
  return recording_cnt;
}

/* ---- the schedule ---- */

typedef void (*frames_fn)(void *object, const uint8_t *data, const uint32_t *lens, uint32_t cnt);
typedef bool (*step_fn)(void *object);
typedef bool (*halt_fn)(void *segment, uint32_t reason, const char *text);

/* Hands over frame i when it is due, gap ticks after frame i - 1, whatever became of that one; in between the object
 * goes through idle rounds as its own loop would. gap 0: back to back, a round every 64 frames. Returns how many frames
 * were handed over more than one gap late. */
EXPORT uint32_t drive(frames_fn frames, step_fn step, void *object, const uint8_t *data, const uint32_t *lens,
                      uint32_t cnt, uint64_t gap, struct samples *samples) {
  uint32_t late = 0;
  sampling = samples;
  uint64_t due = hwgw_rdtsc() + gap;
  if (!gap) {
    for (uint32_t done = 0; done < cnt;) {
      uint32_t batch = cnt - done < 64 ? cnt - done : 64;
      samples->due = samples->entered = hwgw_rdtsc();
      frames(object, data, lens + done, batch);
      for (uint32_t i = 0; i < batch; i++) data += lens[done + i];
      done += batch;
      step(object);
    }
  }
  for (uint32_t i = 0; gap && i < cnt; i++, due += gap) {
    while (hwgw_rdtsc() < due) {
      if (!step(object)) hwgw_pause();
    }
    samples->due = due;
    samples->entered = hwgw_rdtsc();
    late += samples->entered - due > gap;
    frames(object, data, &lens[i], 1);
    data += lens[i];
  }
  sampling = NULL;
  return late;
}

/* ---- halt ---- */

/* Halts, and watches a counter of bytes handed to the venue for so many ticks: ticks from before the halt until it was in
 * force or the last byte went, whichever was later. *late: bytes that went after it was in force */
EXPORT uint64_t halt_and_watch(halt_fn halt, void *segment, uint32_t reason, const uint64_t *counter, uint64_t watch,
                               uint64_t *late) {
  uint64_t from = hwgw_rdtsc();
  halt(segment, reason, "benchmark");
  uint64_t last = hwgw_rdtsc(), first = __atomic_load_n(counter, __ATOMIC_ACQUIRE), seen = first;
  for (uint64_t now = last; now - from < watch; now = hwgw_rdtsc()) {
    uint64_t value = __atomic_load_n(counter, __ATOMIC_ACQUIRE);
    if (value != seen) last = now;
    seen = value;
  }
  *late = seen - first;
  return last - from;
}

/* ticks from before what is done until the word has one of the bits, UINT64_MAX when that takes longer than patience */
static uint64_t until_set(const uint32_t *word, uint64_t from, uint64_t patience) {
  for (;;) {
    uint64_t now = hwgw_rdtsc();
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE)) return now - from;
    if (now - from > patience) return UINT64_MAX;
  }
}

/* starts a program with one argument and waits for the halt that it makes, then for its end */
EXPORT uint64_t spawn_and_watch(const char *path, const char *argument, const uint32_t *halt, uint64_t patience) {
  char *const arguments[] = {(char *)(uintptr_t)path, (char *)(uintptr_t)argument, NULL};
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  int status = 1;
  uint64_t from = hwgw_rdtsc();
  int failed = posix_spawn(&pid, path, &quiet, NULL, arguments, environ);
  uint64_t ticks = failed ? UINT64_MAX : until_set(halt, from, patience);
  if (!failed) waitpid(pid, &status, 0);
  posix_spawn_file_actions_destroy(&quiet);
  return status == 0 ? ticks : UINT64_MAX;
}

/* ---- limits ---- */

typedef uint64_t (*publish_fn)(void *segment, const void *limits);

/* publishes a table and waits for its acknowledgement; UINT64_MAX when it was not taken or that takes longer */
EXPORT uint64_t publish_and_watch(publish_fn publish, void *segment, const void *limits, const uint64_t *acknowledged,
                                  uint64_t patience) {
  uint64_t generation = publish(segment, limits), from = hwgw_rdtsc();
  if (!generation) return UINT64_MAX;
  for (;;) {
    uint64_t now = hwgw_rdtsc();
    if (__atomic_load_n(acknowledged, __ATOMIC_ACQUIRE) >= generation) return now - from;
    if (now - from > patience) return UINT64_MAX;
  }
}

/* ---- costs that a clock read would spoil ---- */

/* ticks of each batch of `per` calls over hooks that were seen, in turn; the orders it gives are looked at */
EXPORT uint64_t hook_batches(hwgw_strategy_fn fn, const struct hwgw_hook *hooks, uint32_t hook_cnt, void *state,
                             uint32_t per, uint32_t *ticks, uint32_t batches) {
  struct hwgw_order out[8];
  uint64_t orders = 0;
  for (uint32_t batch = 0, at = 0; batch < batches; batch++) {
    uint64_t from = hwgw_rdtsc();
    for (uint32_t i = 0; i < per; i++) {
      orders += (uint64_t)fn(&hooks[at], state, out, 8);
      __asm__ volatile("" ::"r"(out) : "memory");
      at = at + 1 < hook_cnt ? at + 1 : 0;
    }
    ticks[batch] = (uint32_t)(hwgw_rdtsc() - from);
  }
  return orders;
}

typedef void (*features_row_fn)(struct hwgw_feature_set *set, const struct hwgw_books *books, uint32_t instrument,
                                const struct hwgw_level *bid, const struct hwgw_level *ask, struct hwgw_features *out);

/* the features of hooks that were seen, without their strategy; a sum of them */
EXPORT uint64_t feature_batches(features_row_fn fn, struct hwgw_feature_set *set, const struct hwgw_hook *hooks,
                                uint32_t hook_cnt, uint32_t per, uint32_t *ticks, uint32_t batches) {
  struct hwgw_features out;
  uint64_t sum = 0;
  for (uint32_t batch = 0, at = 0; batch < batches; batch++) {
    uint64_t from = hwgw_rdtsc();
    for (uint32_t i = 0; i < per; i++) {
      fn(set, NULL, hooks[at].instrument, hooks[at].bid, hooks[at].ask, &out);
      sum += (uint64_t)out.spread;
      at = at + 1 < hook_cnt ? at + 1 : 0;
    }
    ticks[batch] = (uint32_t)(hwgw_rdtsc() - from);
  }
  return sum;
}

/* ticks from one read of the clock to the next, each read waited for by nothing else */
EXPORT void clock_reads(uint32_t *ticks, uint32_t cnt) {
  for (uint32_t i = 0; i < cnt; i++) {
    uint64_t from = hwgw_rdtsc();
    ticks[i] = (uint32_t)(hwgw_rdtsc() - from);
  }
}

/* ---- the venue: one connection; accepts every order and cancels it, because all are immediate or cancel ---- */

struct venue {
  int listener;
  int fd;
  uint16_t port;
  bool is_open;
  pthread_t thread;
  uint64_t orders;
  uint64_t hash; /* of side, quantity, symbol and price of the orders, in their order */
  uint8_t rx[1 << 16];
  uint8_t tx[1 << 18];
};

static uint8_t *sequenced(uint8_t *at, uint32_t message_len) {
  soupbintcp_sequenced_data_init(at);
  soupbintcp_sequenced_data_packet_length_set(
      at, (uint16_t)(SOUPBINTCP_SEQUENCED_DATA_LEN - SOUPBINTCP_LENGTH_SZ + message_len));
  return at + SOUPBINTCP_SEQUENCED_DATA_LEN;
}

static uint8_t *answer_order(struct venue *venue, const uint8_t *enter, uint8_t *at) {
  const uint8_t *symbol = ouch50_enter_order_symbol(enter);
  uint32_t ref = ouch50_enter_order_user_ref_num(enter), qty = ouch50_enter_order_quantity(enter);
  uint64_t px = ouch50_enter_order_price(enter);
  char side = ouch50_enter_order_side(enter);
  venue->orders++;
  venue->hash = hwgw_fnv(venue->hash, &side, sizeof side);
  venue->hash = hwgw_fnv(venue->hash, &qty, sizeof qty);
  venue->hash = hwgw_fnv(venue->hash, symbol, OUCH50_ENTER_ORDER_SYMBOL_SZ);
  venue->hash = hwgw_fnv(venue->hash, &px, sizeof px);

  at = sequenced(at, OUCH50_ORDER_ACCEPTED_LEN);
  ouch50_order_accepted_init(at);
  ouch50_order_accepted_user_ref_num_set(at, ref);
  ouch50_order_accepted_side_set(at, side);
  ouch50_order_accepted_quantity_set(at, qty);
  ouch50_order_accepted_symbol_set(at, symbol);
  ouch50_order_accepted_price_set(at, px);
  ouch50_order_accepted_order_reference_number_set(at, venue->orders);
  ouch50_order_accepted_order_state_set(at, OUCH50_ORDER_STATE_LIVE);
  at = sequenced(at + OUCH50_ORDER_ACCEPTED_LEN, OUCH50_ORDER_CANCELED_LEN);
  ouch50_order_canceled_init(at);
  ouch50_order_canceled_user_ref_num_set(at, ref);
  ouch50_order_canceled_quantity_set(at, qty);
  ouch50_order_canceled_reason_set(at, 'I');
  return at + OUCH50_ORDER_CANCELED_LEN;
}

static uint8_t *answer(struct venue *venue, const uint8_t *packet, uint8_t *at) {
  const uint8_t *message = packet + SOUPBINTCP_UNSEQUENCED_DATA_LEN;
  char code = soupbintcp_unsequenced_data_packet_type(packet);
  if (code == SOUPBINTCP_LOGIN_REQUEST_CODE) {
    soupbintcp_login_accepted_init(at);
    soupbintcp_login_accepted_sequence_number_set(at, "                   1");
    return at + SOUPBINTCP_LOGIN_ACCEPTED_LEN;
  }
  if (code != SOUPBINTCP_UNSEQUENCED_DATA_CODE) return at;
  if (message[0] == OUCH50_ACCOUNT_QUERY_CODE) {
    at = sequenced(at, OUCH50_ACCOUNT_QUERY_RESPONSE_LEN);
    ouch50_account_query_response_init(at);
    ouch50_account_query_response_next_user_ref_num_set(at, 1);
    return at + OUCH50_ACCOUNT_QUERY_RESPONSE_LEN;
  }
  return message[0] == OUCH50_ENTER_ORDER_CODE ? answer_order(venue, message, at) : at;
}

static void *serve(void *memory) {
  struct venue *venue = memory;
  static const int on = 1;
  venue->fd = accept(venue->listener, NULL, NULL);
  if (venue->fd < 0) return NULL;
  setsockopt(venue->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  size_t have = 0;
  for (;;) {
    /* it sends no heartbeats: the client's dead_link_ms is longer than a run */
    ssize_t got = recv(venue->fd, venue->rx + have, sizeof venue->rx - have, 0);
    if (got <= 0) return NULL;
    have += (size_t)got;
    size_t used = 0;
    uint8_t *at = venue->tx;
    while (have - used >= SOUPBINTCP_LENGTH_SZ) {
      size_t len = SOUPBINTCP_LENGTH_SZ + (size_t)hwgw_be16(venue->rx + used);
      if (have - used < len) break;
      at = answer(venue, venue->rx + used, at);
      used += len;
    }
    memmove(venue->rx, venue->rx + used, have - used);
    have -= used;
    for (uint8_t *from = venue->tx; from < at;) {
      ssize_t sent = send(venue->fd, from, (size_t)(at - from), MSG_NOSIGNAL);
      if (sent <= 0) return NULL;
      from += sent;
    }
  }
}

EXPORT struct venue *venue_open(void) {
  struct venue *venue = calloc(1, sizeof *venue);
  if (!venue) return NULL;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t sz = sizeof address;
  venue->fd = -1;
  venue->hash = HWGW_FNV_BASIS;
  venue->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (venue->listener < 0 || bind(venue->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
      listen(venue->listener, 1) != 0 || getsockname(venue->listener, (struct sockaddr *)&address, &sz) != 0 ||
      pthread_create(&venue->thread, NULL, serve, venue) != 0) {
    if (venue->listener >= 0) close(venue->listener);
    free(venue);
    return NULL;
  }
  venue->port = ntohs(address.sin_port);
  return venue;
}

EXPORT uint16_t venue_port(const struct venue *venue) {
  return venue->port;
}

/* only when nothing is on its way */
EXPORT uint64_t venue_orders(const struct venue *venue) {
  return __atomic_load_n(&venue->orders, __ATOMIC_ACQUIRE);
}

EXPORT uint64_t venue_hash(const struct venue *venue) {
  return venue->hash;
}

EXPORT void venue_close(struct venue *venue) {
  shutdown(venue->listener, SHUT_RDWR);
  if (venue->fd >= 0) shutdown(venue->fd, SHUT_RDWR);
  pthread_join(venue->thread, NULL);
  close(venue->listener);
  if (venue->fd >= 0) close(venue->fd);
  free(venue);
}
