/* exchange.c: the simulated exchange: open, the loop, the schedule, the end.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract: one round publishes what is due (at most a burst of 512 messages), hands it to the wire, carries out what
 * clients sent, and waits for the next due time or for a client. The schedule is open loop: message n is due at
 * start + n / rate, or at its place in the steps (schedule.c), and what is late is sent at once. Timestamps of the feed
 * are the scheduled times and never step back. Stop is a flag read in each round; no wait is longer than 50 ms.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "exchange.h"

#define WAIT_NS_MAX 50000000u
#define CLOSE_NS UINT64_C(100000000) /* between the close, or what clients said last, and the end of the session */
#define CLOSE_NS_MAX (20 * CLOSE_NS)
#define OVERTIME_NS SIM_NS_PER_S
#define TIMERS_NS 100000000u
#define VIRTUAL_OPEN_NS (34200u * (uint64_t)SIM_NS_PER_S) /* 09:30:00 */
#define VIRTUAL_STEP_NS 1000u                             /* between messages when there is no rate */
#define UNPUBLISHED_REF (UINT64_C(1) << 62) /* capture: our references and match numbers, far from recorded ones */

uint64_t sim_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * SIM_NS_PER_S + (uint64_t)now.tv_nsec;
}

int32_t sim_fail(char *error, uint32_t error_sz, int32_t status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(error, error_sz, format, args);
  va_end(args);
  return status;
}

/* ---- open and close ---- */

static int32_t check(const struct hwgw_sim_cfg *cfg, char *error, uint32_t error_sz) {
  bool is_capture = cfg->path && cfg->path[0];
  if (!is_capture && (!cfg->symbols || !cfg->symbol_cnt || cfg->symbol_cnt > HWGW_SIM_SYMBOLS_MAX))
    return sim_fail(error, error_sz, 3, "symbols: 1 to %u are allowed, not %u", HWGW_SIM_SYMBOLS_MAX, cfg->symbol_cnt);
  if (!is_capture && (cfg->depth == 1 || cfg->depth > 100000))
    return sim_fail(error, error_sz, 3, "depth: 0, or 2 to 100,000 orders per symbol are allowed, not %u", cfg->depth);
  if (cfg->pace > HWGW_SIM_PACE_MAX || (!is_capture && cfg->pace < HWGW_SIM_PACE_RATE))
    return sim_fail(error, error_sz, 3, "pace: the order flow knows a rate and maximal, not %u", cfg->pace);
  if (cfg->pace == HWGW_SIM_PACE_RATE && !cfg->rate && !cfg->step_cnt)
    return sim_fail(error, error_sz, 3, "rate: at least 1 message per second");
  if (cfg->step_cnt && cfg->pace != HWGW_SIM_PACE_RATE)
    return sim_fail(error, error_sz, 3, "steps: they are a rate; no other pace goes with them");
  if (cfg->step_cnt > HWGW_SIM_STEPS_MAX || (cfg->step_cnt && !cfg->steps[cfg->step_cnt - 1].messages))
    return sim_fail(error, error_sz, 3, "steps: at most %u, the last with messages, are allowed", HWGW_SIM_STEPS_MAX);
  if (cfg->pace == HWGW_SIM_PACE_SCALED && !(cfg->pace_scale > 0))
    return sim_fail(error, error_sz, 3, "scale: more than 0, not %g", cfg->pace_scale);
  if (cfg->send && cfg->send[0] && strcmp(cfg->send, "packet") != 0 && strcmp(cfg->send, "afxdp") != 0)
    return sim_fail(error, error_sz, 3, "send by %s: udp, packet or afxdp are allowed", cfg->send);
  if (cfg->group && !cfg->port) return sim_fail(error, error_sz, 3, "port of the feed: 1 to 65,535 are allowed, not 0");
  if (cfg->user_cnt > HWGW_SIM_USERS_MAX || (cfg->user_cnt && !cfg->users))
    return sim_fail(error, error_sz, 3, "users: at most %u are allowed, not %u", HWGW_SIM_USERS_MAX, cfg->user_cnt);
  if (cfg->client_orders_max > 1u << 22)
    return sim_fail(error, error_sz, 3, "client orders: at most %u are allowed", 1u << 22);
  return 0;
}

static int32_t open_source(sim_exchange *x, char *error, uint32_t error_sz) {
  x->symbols = sim_memory((HWGW_SIM_SYMBOLS_MAX + (size_t)1) * sizeof *x->symbols);
  if (!x->symbols) return sim_fail(error, error_sz, 7, "no memory for symbols");
  if (x->is_capture) {
    x->next_ref = x->next_match = UNPUBLISHED_REF;
    int32_t status = sim_capture_open(x, error, error_sz);
    if (status) return status;
  } else {
    x->symbol_cnt = x->cfg.symbol_cnt;
    memcpy(x->symbols, x->cfg.symbols, x->symbol_cnt * sizeof *x->symbols);
    x->next_ref = x->next_match = 1;
    uint64_t orders_max = (uint64_t)x->symbol_cnt * x->cfg.depth * 2 + x->cfg.client_orders_max + 1;
    if (orders_max > 1u << 30) return sim_fail(error, error_sz, 3, "symbols x depth: too many live orders");
    if (!sim_flow_open(x) || !sim_book_init(&x->book, x->symbol_cnt, (uint32_t)orders_max))
      return sim_fail(error, error_sz, 7, "no memory for %u books", x->symbol_cnt);
  }
  x->positions = sim_memory((size_t)x->party_cnt * x->symbol_cnt * sizeof *x->positions);
  if (!x->positions || !sim_map_init(&x->symbol_index, x->symbol_cnt) ||
      !sim_map_init(&x->client_orders, x->cfg.client_orders_max))
    return sim_fail(error, error_sz, 7, "no memory for positions");
  for (uint32_t i = 0; i < x->symbol_cnt; i++) {
    uint64_t key;
    memcpy(&key, x->symbols[i], sizeof key);
    if (key && sim_map_get(&x->symbol_index, key) == SIM_NIL) sim_map_put(&x->symbol_index, key, i);
  }
  return 0;
}

int32_t hwgw_sim_exchange_open(struct hwgw_sim_exchange **exchange, const struct hwgw_sim_cfg *cfg, char *error,
                               uint32_t error_sz) {
  *exchange = NULL;
  int32_t status = check(cfg, error, error_sz);
  if (status) return status;
  sim_exchange *x = sim_memory(sizeof *x);
  if (!x) return sim_fail(error, error_sz, 7, "no memory for an exchange");
  x->cfg = *cfg;
  if (!x->cfg.client_orders_max) x->cfg.client_orders_max = 65536;
  if (!x->cfg.client_timeout_ms) x->cfg.client_timeout_ms = 15000;
  x->is_capture = cfg->path && cfg->path[0];
  sim_schedule_open(x);
  x->party_cnt = cfg->user_cnt + 1u;
  x->listen_fd = x->epoll_fd = x->publish.record_fd = -1;
  for (uint32_t i = 0; i < HWGW_SIM_LINES_MAX; i++) x->lines.line[i].fd = -1;
  x->recovery.request_fd = x->recovery.snapshot_fd = -1;
  x->open_ns = sim_now();
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  x->midnight_offset_ns = (uint64_t)(wall.tv_sec % 86400) * SIM_NS_PER_S + (uint64_t)wall.tv_nsec - x->open_ns;
  x->ts = cfg->virtual_clock ? VIRTUAL_OPEN_NS : x->is_capture ? 0 : x->open_ns + x->midnight_offset_ns;
  status = open_source(x, error, error_sz);
  if (!status) status = sim_publish_open(x, error, error_sz);
  if (!status) status = sim_clients_open(x, error, error_sz);
  if (!status) status = sim_recovery_open(x, error, error_sz);
  if (status) {
    hwgw_sim_exchange_close(x);
    return status;
  }
  sim_venue_system(x, OUCH50_EVENT_CODE_START_OF_DAY);
  *exchange = x;
  return 0;
}

void hwgw_sim_exchange_close(struct hwgw_sim_exchange *x) {
  if (!x) return;
  sim_recovery_close(x);
  sim_clients_close(x);
  sim_publish_close(x);
  sim_map_fini(&x->symbol_index);
  sim_map_fini(&x->client_orders);
  sim_flow_close(x);
  sim_capture_close(x);
  sim_memory_free(x->positions, (size_t)x->party_cnt * x->symbol_cnt * sizeof *x->positions);
  sim_memory_free(x->symbols, (HWGW_SIM_SYMBOLS_MAX + (size_t)1) * sizeof *x->symbols);
  sim_book_fini(&x->book);
  sim_memory_free(x, sizeof *x);
}

void hwgw_sim_exchange_stop(struct hwgw_sim_exchange *x) {
  atomic_store_explicit(&x->stop, 1, memory_order_relaxed);
}

bool hwgw_sim_die_with_parent(int32_t parent_pid) {
  return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent_pid;
}

/* ---- the schedule ---- */

static bool is_paced(const sim_exchange *x) {
  return x->cfg.pace != HWGW_SIM_PACE_MAX;
}

static bool source_ended(const sim_exchange *x) {
  if (x->cfg.messages_max && x->publish.next_seq > x->cfg.messages_max) return true;
  return x->is_capture && sim_capture_ended(x);
}

/* when the next message is due; 0 = at once */
static uint64_t source_due(sim_exchange *x) {
  if (!x->is_capture && x->is_open && !x->cfg.depth) return UINT64_MAX; /* no background: clients are alone */
  if (!is_paced(x)) return 0;
  if (x->is_capture) return sim_capture_due(x);
  return sim_rate_due(x);
}

/* sets the time of the messages that follow; never back */
static void set_ts(sim_exchange *x, uint64_t at) {
  uint64_t ts = at + x->midnight_offset_ns;
  if (x->cfg.virtual_clock)
    ts = VIRTUAL_OPEN_NS + (is_paced(x) ? at - x->start_ns : x->publish.next_seq * VIRTUAL_STEP_NS);
  if (ts > x->ts) x->ts = ts;
}

static void publish_due(sim_exchange *x, uint64_t now) {
  uint64_t limit = x->publish.next_seq + SIM_BURST_MESSAGES;
  while (x->publish.next_seq < limit && !source_ended(x)) {
    uint64_t due = source_due(x);
    if (due > now) break;
    x->scheduled_ns = due;
    if (x->is_capture) {
      sim_capture_step(x);
    } else {
      set_ts(x, due ? due : now);
      sim_flow_step(x);
    }
  }
  x->scheduled_ns = 0;
  sim_publish_flush(x);
}

static void serve_clients(sim_exchange *x, uint64_t now) {
  if (!x->is_capture && !x->cfg.virtual_clock) set_ts(x, now);
  sim_clients_poll(x, now);
  sim_clients_flush(x, now);
  sim_publish_flush(x);
  sim_lines_late(x, now);
  sim_recovery_poll(x);
}

static void wait_until(sim_exchange *x, uint64_t wake, uint64_t last_wake) {
  if (!x->cfg.batch_us) {
    __builtin_ia32_pause();
    return;
  }
  uint64_t batch_end = last_wake + x->cfg.batch_us * UINT64_C(1000);
  uint64_t now = sim_now();
  if (wake < batch_end) wake = batch_end;
  if (wake > now + WAIT_NS_MAX) wake = now + WAIT_NS_MAX;
  if (wake <= now) return;
  struct timespec timeout = {.tv_sec = 0, .tv_nsec = (long)(wake - now)};
  struct pollfd clients = {.fd = x->epoll_fd, .events = POLLIN}; /* -1 is skipped by the kernel */
  ppoll(&clients, 1, &timeout, NULL);
}

static uint64_t heard(const sim_exchange *x) {
  return x->stats.orders_in + x->stats.replaces_in + x->stats.cancels_in + x->stats.mass_cancels_in;
}

/* the close: nothing trades any more, day orders are cancelled, and what is still on its way is refused by name, also
 * that of a client who is behind with the feed */
static void close_market(sim_exchange *x) {
  for (uint32_t user = 0; user < x->cfg.user_cnt; user++)
    sim_venue_cancel_all(x, user, SIM_NIL, OUCH50_CANCEL_REASON_CLOSED);
  x->is_open = false;
  uint64_t end = sim_now() + CLOSE_NS, last = sim_now() + CLOSE_NS_MAX;
  for (uint64_t now = sim_now(); now < end && now < last; now = sim_now()) {
    uint64_t before = heard(x);
    serve_clients(x, now);
    if (heard(x) != before) end = now + CLOSE_NS;
    wait_until(x, now + WAIT_NS_MAX < end ? now + WAIT_NS_MAX : end, 0);
  }
}

/* the day ends: closing messages, end of session on both sides */
static void finish(sim_exchange *x) {
  uint64_t now = sim_now();
  sim_schedule_end(x, false);
  if (!x->is_capture) set_ts(x, x->cfg.virtual_clock && is_paced(x) ? sim_rate_due(x) : now);
  if (x->cfg.cancel_at_close) close_market(x);
  if (!x->is_capture) sim_flow_finish(x);
  sim_publish_flush(x);
  x->is_open = false;
  sim_venue_system(x, OUCH50_EVENT_CODE_END_OF_DAY);
  sim_clients_end(x);
  for (uint32_t i = 0; i < x->cfg.end_cnt; i++) { /* requests are still answered */
    uint64_t end = sim_now() + x->cfg.end_interval_ms * UINT64_C(1000000);
    sim_publish_end(x);
    do {
      sim_lines_late(x, sim_now());
      x->recovery.is_called = true;
      sim_recovery_poll(x);
      poll(NULL, 0, x->cfg.requests || x->cfg.snapshots ? 1 : (int)x->cfg.end_interval_ms);
    } while (sim_now() < end);
  }
  sim_lines_end(x);
}

int32_t hwgw_sim_exchange_run(struct hwgw_sim_exchange *x, char *error, uint32_t error_sz) {
  uint64_t last_wake = 0;
  uint64_t last_timers = 0;
  uint64_t ended_ns = 0;
  if (x->start_ns) return sim_fail(error, error_sz, 7, "an exchange runs once");
  prctl(PR_SET_TIMERSLACK, 1UL);
  while (!atomic_load_explicit(&x->stop, memory_order_relaxed)) {
    uint64_t now = sim_now();
    uint64_t wake = now + WAIT_NS_MAX;
    if (!x->start_ns && x->logged_in >= x->cfg.wait_clients &&
        now >= x->open_ns + x->cfg.start_delay_ms * UINT64_C(1000000)) {
      x->start_ns = now;
      sim_schedule_start(x);
      x->is_open = x->is_capture;
    }
    if (x->start_ns) {
      uint64_t end = x->cfg.run_ns ? x->start_ns + x->cfg.run_ns : UINT64_MAX;
      publish_due(x, now < end ? now : end);
      wake = source_ended(x) ? wake : source_due(x);
      if (source_ended(x)) {
        sim_schedule_end(x, true);
        if (!ended_ns) ended_ns = now;
        if (!x->is_capture || now - ended_ns >= x->cfg.linger_ns) break;
      }
      /* what was due before the end is published, unless the rate is more than can be done */
      if (now >= end && (!is_paced(x) || wake > end || now - end > OVERTIME_NS)) break;
    }
    serve_clients(x, now);
    if (now - last_timers >= TIMERS_NS) {
      sim_clients_timers(x, now);
      last_timers = now;
    }
    if (x->start_ns) sim_publish_heartbeat(x, now); /* before that nobody is known to listen */
    if (x->start_ns && wake > now && wake > x->publish.last_ns + x->publish.heartbeat_ns)
      wake = x->publish.last_ns + x->publish.heartbeat_ns;
    if (x->cfg.run_ns && x->start_ns && wake > x->start_ns + x->cfg.run_ns) wake = x->start_ns + x->cfg.run_ns;
    if (wake > now) wait_until(x, wake, last_wake);
    last_wake = now;
  }
  finish(x);
  return 0;
}
