/* stats.c: a small log-linear histogram (32 steps per power of two: an error of 3 % at most) and the read-outs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exchange.h"

static uint32_t bin_of(uint64_t value) {
  if (value < SIM_HIST_STEPS) return (uint32_t)value;
  uint32_t shift = 63u - (uint32_t)__builtin_clzll(value) - 5u;
  return (shift + 1) * SIM_HIST_STEPS + (uint32_t)(value >> shift & (SIM_HIST_STEPS - 1));
}

/* largest value of a bin */
static uint64_t edge_of(uint32_t bin) {
  if (bin < SIM_HIST_STEPS) return bin;
  uint32_t shift = bin / SIM_HIST_STEPS - 1;
  return ((uint64_t)(SIM_HIST_STEPS + bin % SIM_HIST_STEPS + 1) << shift) - 1;
}

void sim_hist_record(struct sim_hist *hist, uint64_t value) {
  hist->bins[bin_of(value)]++;
  hist->cnt++;
  if (value > hist->max) hist->max = value;
}

uint64_t sim_hist_percentile(const struct sim_hist *hist, double pct) {
  double wanted = (double)hist->cnt * pct / 100.0;
  uint64_t seen = 0;
  for (uint32_t bin = 0; bin < 64 * SIM_HIST_STEPS; bin++) {
    seen += hist->bins[bin];
    if (seen && (double)seen >= wanted) {
      uint64_t edge = edge_of(bin);
      return edge < hist->max ? edge : hist->max;
    }
  }
  return hist->max;
}

void hwgw_sim_exchange_stats(const struct hwgw_sim_exchange *x, struct hwgw_sim_stats *stats) {
  *stats = x->stats;
  stats->next_seq = x->publish.next_seq;
  stats->client_orders_live = x->client_orders.cnt;
  stats->orders_live = x->book.live - x->book.hidden;
  stats->hidden_live = x->is_capture ? x->capture.shadow.live : x->book.hidden;
  stats->book_hash = sim_book_hash(&x->book);
  stats->elapsed_ns = x->last_ns - x->first_ns;
  stats->lateness_cnt = x->lateness.cnt;
  stats->lateness_p50_ns = sim_hist_percentile(&x->lateness, 50);
  stats->lateness_p99_ns = sim_hist_percentile(&x->lateness, 99);
  stats->lateness_p999_ns = sim_hist_percentile(&x->lateness, 99.9);
  stats->lateness_max_ns = x->lateness.max;
  for (uint32_t line = 0; line < HWGW_SIM_LINES_MAX; line++)
    if (x->lines.line[line].faults) hwgw_bad_line_stats(x->lines.line[line].faults, &stats->faults[line]);
}

int64_t hwgw_sim_exchange_position(const struct hwgw_sim_exchange *x, uint32_t party, uint32_t symbol) {
  if (party >= x->party_cnt || symbol >= x->symbol_cnt) return 0;
  return x->positions[(size_t)party * x->symbol_cnt + symbol];
}

int64_t hwgw_sim_exchange_cash(const struct hwgw_sim_exchange *x, uint32_t party) {
  return party < x->party_cnt ? x->cash[party] : 0;
}

uint32_t hwgw_sim_exchange_open_orders(const struct hwgw_sim_exchange *x, uint32_t party) {
  return party >= 1 && party < x->party_cnt ? x->users[party - 1].open_orders : 0;
}

uint32_t hwgw_sim_exchange_last_ref(const struct hwgw_sim_exchange *x, uint32_t party) {
  return party >= 1 && party < x->party_cnt ? x->users[party - 1].last_ref : 0;
}

uint32_t hwgw_sim_exchange_order_left(const struct hwgw_sim_exchange *x, uint32_t party, uint32_t user_ref) {
  uint32_t at = sim_map_get(&x->client_orders, (uint64_t)party << 32 | user_ref);
  const struct sim_book *book = x->is_capture ? &x->capture.shadow : &x->book;
  return at == SIM_NIL ? 0 : book->orders[at].qty;
}

uint16_t hwgw_sim_exchange_listen_port(const struct hwgw_sim_exchange *x) {
  return x->listen_port;
}

uint16_t hwgw_sim_exchange_request_port(const struct hwgw_sim_exchange *x) {
  return x->recovery.request_port;
}

uint16_t hwgw_sim_exchange_snapshot_port(const struct hwgw_sim_exchange *x) {
  return x->recovery.snapshot_port;
}

uint32_t hwgw_sim_exchange_symbol_cnt(const struct hwgw_sim_exchange *x) {
  return x->symbol_cnt;
}

const char *hwgw_sim_exchange_symbol(const struct hwgw_sim_exchange *x, uint32_t symbol) {
  return x->symbols[symbol];
}
