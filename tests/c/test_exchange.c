/* test_exchange.c: the simulated exchange under sanitizers: order flow, capture, and clients that send anything.
 *
 * SPDX-License-Identifier: MIT
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hwgw_sim.h"
#include "hwgw_wire.h"

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                      \
    }                                                                               \
  } while (0)

#define SYMBOL_CNT 5u
#define CLIENT_CNT 2u
#define ORDERS_MAX 2000u
#define CLIENT_MESSAGES 60000u

static const char symbols[] = "SIM00000SIM00001SIM00002SIM00003SIM00004";
static const struct hwgw_sim_user users[CLIENT_CNT] = {{"ONE   ", "SECRET    ", false},
                                                       {"TWO   ", "SECRET    ", false}};
static char record_path[64];

static void remove_recording(void) {
  unlink(record_path);
}

static uint64_t seed_of_run(void) {
  const char *text = getenv("HWGW_SEED");
  return text ? strtoull(text, NULL, 10) : 1;
}

static uint32_t below(uint64_t *state, uint32_t limit) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((*state >> 33) % limit);
}

static struct hwgw_sim_exchange *opened(const struct hwgw_sim_cfg *cfg) {
  struct hwgw_sim_exchange *exchange;
  char error[HWGW_SIM_ERROR_SZ] = "";
  int32_t status = hwgw_sim_exchange_open(&exchange, cfg, error, sizeof error);
  if (status) fprintf(stderr, "open: %d %s\n", status, error);
  CHECK(status == 0);
  return exchange;
}

static void *run(void *exchange) {
  char error[HWGW_SIM_ERROR_SZ] = "";
  CHECK(hwgw_sim_exchange_run(exchange, error, sizeof error) == 0);
  return NULL;
}

static void check_balance(const struct hwgw_sim_exchange *exchange, uint32_t party_cnt) {
  int64_t cash = 0;
  for (uint32_t party = 0; party < party_cnt; party++) cash += hwgw_sim_exchange_cash(exchange, party);
  CHECK(cash == 0);
  for (uint32_t symbol = 0; symbol < hwgw_sim_exchange_symbol_cnt(exchange); symbol++) {
    int64_t shares = 0;
    for (uint32_t party = 0; party < party_cnt; party++) shares += hwgw_sim_exchange_position(exchange, party, symbol);
    CHECK(shares == 0);
  }
}

/* ---- a client that sends orders, mistakes and noise, and reads what comes ---- */

struct client {
  pthread_t thread;
  uint16_t port;
  uint32_t index;
  uint64_t random;
};

static uint32_t put_soup(uint8_t *p, char type, uint32_t len) {
  hwgw_put_be16(p, (uint16_t)(len + 1));
  p[2] = (uint8_t)type;
  return len + 3;
}

static uint32_t random_enter(struct client *client, uint8_t *p, uint32_t ref) {
  uint64_t *random = &client->random;
  uint32_t options = below(random, 8) ? 0 : below(random, 12);
  memset(p, ' ', OUCH50_ENTER_ORDER_LEN);
  ouch50_enter_order_message_type_set(p, OUCH50_ENTER_ORDER_CODE);
  ouch50_enter_order_user_ref_num_set(p, ref);
  ouch50_enter_order_side_set(p, "BSTE?"[below(random, 41) / 10]);
  ouch50_enter_order_quantity_set(p, below(random, 50) ? 1 + below(random, 900) : below(random, 3) * 999999);
  ouch50_enter_order_symbol_set(p, symbols + 8 * below(random, SYMBOL_CNT));
  ouch50_enter_order_price_set(p, (uint64_t)100 * (1000 + below(random, 20000)));
  ouch50_enter_order_time_in_force_set(p, "00356"[below(random, 41) / 10]);
  ouch50_enter_order_display_set(p, "YYAN?"[below(random, 41) / 10]);
  ouch50_enter_order_capacity_set(p, 'P');
  ouch50_enter_order_intermarket_sweep_set(p, 'N');
  ouch50_enter_order_cross_type_set(p, 'N');
  ouch50_enter_order_appendage_length_set(p, (uint16_t)options);
  for (uint32_t i = 0; i < options; i++) p[OUCH50_ENTER_ORDER_LEN + i] = (uint8_t)below(random, i % 3 ? 32 : 4);
  return OUCH50_ENTER_ORDER_LEN + options;
}

static uint32_t random_message(struct client *client, uint8_t *p, uint32_t *ref) {
  uint64_t *random = &client->random;
  uint32_t roll = below(random, 100);
  uint32_t old = *ref - below(random, 60);
  if (roll < 70) return random_enter(client, p, ++*ref);
  if (roll < 82) {
    memset(p, ' ', OUCH50_REPLACE_ORDER_LEN);
    ouch50_replace_order_message_type_set(p, OUCH50_REPLACE_ORDER_CODE);
    ouch50_replace_order_orig_user_ref_num_set(p, old);
    ouch50_replace_order_user_ref_num_set(p, ++*ref);
    ouch50_replace_order_quantity_set(p, below(random, 1200));
    ouch50_replace_order_price_set(p, (uint64_t)100 * (1000 + below(random, 20000)));
    ouch50_replace_order_time_in_force_set(p, '0');
    ouch50_replace_order_display_set(p, "YAN"[below(random, 3)]);
    ouch50_replace_order_intermarket_sweep_set(p, 'N');
    ouch50_replace_order_appendage_length_set(p, 0);
    return OUCH50_REPLACE_ORDER_LEN;
  }
  if (roll < 95) {
    ouch50_cancel_order_message_type_set(p, OUCH50_CANCEL_ORDER_CODE);
    ouch50_cancel_order_user_ref_num_set(p, old);
    ouch50_cancel_order_quantity_set(p, below(random, 3) * 100);
    return OUCH50_CANCEL_ORDER_LEN;
  }
  uint32_t len = below(random, 80); /* noise of any length */
  for (uint32_t i = 0; i < len; i++) p[i] = (uint8_t)below(random, 256);
  if (len) p[0] = (uint8_t)"OUXQM?"[below(random, 6)];
  return p[0] == OUCH50_ENTER_ORDER_CODE || p[0] == OUCH50_REPLACE_ORDER_CODE ? len % OUCH50_REPLACE_ORDER_LEN : len;
}

static int connected(const struct client *client) {
  char login[64];
  uint8_t packet[SOUPBINTCP_LOGIN_REQUEST_LEN];
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(client->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
  snprintf(login, sizeof login, "%.6s%.10s%10s%20d", users[client->index].name, users[client->index].password, "", 0);
  put_soup(packet, SOUPBINTCP_LOGIN_REQUEST_CODE, SOUPBINTCP_LOGIN_REQUEST_LEN - 3);
  memcpy(packet + 3, login, SOUPBINTCP_LOGIN_REQUEST_LEN - 3);
  CHECK(send(fd, packet, sizeof packet, MSG_NOSIGNAL) == (ssize_t)sizeof packet);
  return fd;
}

static void *send_anything(void *argument) {
  struct client *client = argument;
  static _Thread_local uint8_t in[65536];
  uint8_t out[4096];
  uint32_t ref = 0;
  int fd = connected(client);
  for (uint32_t sent = 0; sent < CLIENT_MESSAGES;) {
    uint32_t len = 0;
    while (len < 2000 && sent++ < CLIENT_MESSAGES) {
      uint8_t *packet = out + len;
      len += put_soup(packet, SOUPBINTCP_UNSEQUENCED_DATA_CODE, random_message(client, packet + 3, &ref));
    }
    if (below(&client->random, 200) == 0) { /* dies in the middle of a packet, or sends a length that cannot be */
      bool impossible = below(&client->random, 2);
      if (impossible) hwgw_put_be16(out + len, 0);
      send(fd, out, impossible ? len + 3 : len - 1, MSG_NOSIGNAL);
      while (impossible && recv(fd, in, sizeof in, 0) > 0) continue;
      close(fd);
      fd = connected(client);
      continue;
    }
    send(fd, out, len, MSG_NOSIGNAL);
    while (recv(fd, in, sizeof in, MSG_DONTWAIT) > 0) continue;
  }
  uint8_t logout[SOUPBINTCP_LOGOUT_REQUEST_LEN];
  put_soup(logout, SOUPBINTCP_LOGOUT_REQUEST_CODE, 0);
  send(fd, logout, sizeof logout, MSG_NOSIGNAL);
  while (recv(fd, in, sizeof in, 0) > 0) continue; /* everything before it is carried out when the exchange closes */
  close(fd);
  return NULL;
}

/* an exchange between clients and its source; ends when the clients are done */
static void serve_clients(struct hwgw_sim_cfg cfg) {
  struct client clients[CLIENT_CNT];
  struct hwgw_sim_stats stats;
  pthread_t thread;
  cfg.listen = true;
  cfg.listen_address = INADDR_LOOPBACK;
  cfg.users = users;
  cfg.user_cnt = CLIENT_CNT;
  cfg.store_sz_bytes = 1 << 20;
  cfg.client_orders_max = ORDERS_MAX;
  struct hwgw_sim_exchange *exchange = opened(&cfg);
  CHECK(pthread_create(&thread, NULL, run, exchange) == 0);
  for (uint32_t i = 0; i < CLIENT_CNT; i++) {
    clients[i] =
        (struct client){.port = hwgw_sim_exchange_listen_port(exchange), .index = i, .random = seed_of_run() + i};
    CHECK(pthread_create(&clients[i].thread, NULL, send_anything, &clients[i]) == 0);
  }
  for (uint32_t i = 0; i < CLIENT_CNT; i++) CHECK(pthread_join(clients[i].thread, NULL) == 0);
  hwgw_sim_exchange_stop(exchange);
  CHECK(pthread_join(thread, NULL) == 0);
  hwgw_sim_exchange_stats(exchange, &stats);
  uint64_t rejected = 0;
  for (uint32_t i = 0; i < HWGW_SIM_CODES_MAX; i++) rejected += stats.rejected[i];
  fprintf(stderr,
          "orders %lu accepted %lu rejected %lu executed %lu replaced %lu canceled %lu open %lu\n"
          "logins %lu slow %lu framing %lu takeover %lu ignored: type %lu length %lu ref %lu\n",
          stats.orders_in, stats.accepted, rejected, stats.executed, stats.replaced, stats.canceled,
          stats.client_orders_live, stats.logins, stats.closed_slow, stats.closed_framing, stats.closed_takeover,
          stats.ignored_type, stats.dropped_length, stats.ignored_ref);
  CHECK(stats.accepted > 1000 && rejected > 100 && stats.executed > 100 && stats.replaced > 10 && stats.canceled > 100);
  CHECK(stats.logins > CLIENT_CNT && stats.closed_framing > 0 && stats.ignored_type > 10 && stats.dropped_length > 10);
  CHECK(stats.client_orders_live <= ORDERS_MAX);
  check_balance(exchange, CLIENT_CNT + 1);
  hwgw_sim_exchange_close(exchange);
}

int main(void) {
  struct hwgw_sim_cfg flow = {.symbols = symbols,
                              .symbol_cnt = SYMBOL_CNT,
                              .depth = 50,
                              .seed = seed_of_run(),
                              .pace = HWGW_SIM_PACE_MAX,
                              .messages_max = 200000,
                              .requests = true, /* what is kept for them runs over many times */
                              .recovery_address = INADDR_LOOPBACK,
                              .request_store_sz_bytes = 4096,
                              .session = "SANITIZE  "};
  struct hwgw_sim_stats stats;
  snprintf(record_path, sizeof record_path, "/tmp/hwgw-exchange-%d.itch50", (int)getpid());
  atexit(remove_recording);

  flow.record_path = record_path;
  struct hwgw_sim_exchange *exchange = opened(&flow);
  run(exchange);
  hwgw_sim_exchange_stats(exchange, &stats);
  uint64_t hash = stats.book_hash;
  uint64_t messages = stats.next_seq;
  CHECK(messages > 200000);
  check_balance(exchange, 1);
  hwgw_sim_exchange_close(exchange);

  /* the recording, published as a capture, rebuilds the same book */
  struct hwgw_sim_cfg capture = {.path = record_path, .pace = HWGW_SIM_PACE_MAX, .session = "SANITIZE  "};
  exchange = opened(&capture);
  run(exchange);
  hwgw_sim_exchange_stats(exchange, &stats);
  CHECK(stats.book_hash == hash && stats.next_seq == messages);
  CHECK(stats.unknown_refs == 0 && stats.bad_records == 0 && stats.book_full == 0);
  hwgw_sim_exchange_close(exchange);

  flow.record_path = NULL;
  flow.messages_max = 0;
  flow.pace = HWGW_SIM_PACE_RATE;
  flow.rate = 50000;
  flow.batch_us = 100;
  serve_clients(flow);
  flow.cancel_on_disconnect = true;
  serve_clients(flow);

  capture.pace = HWGW_SIM_PACE_RATE;
  capture.rate = 60000;
  capture.batch_us = 100;
  capture.linger_ns = 60u * UINT64_C(1000000000);
  serve_clients(capture);
  return 0;
}
