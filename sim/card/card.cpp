// card.cpp: what hwgw_card.h says, on the model that Verilator makes of hwgw_card.v.
//
// SPDX-License-Identifier: MIT
//
// One cycle: inputs are set behind the last rising edge, whose outputs are looked at; then the clock falls and rises.
// Every output that is looked at is a function of registers, so nothing has to be evaluated before the edge.
#include "hwgw_card.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "Vhwgw_card.h"
#include "verilated.h"

enum { PATIENCE = 1000, RESET_CYCLES = 128, BEAT = 8, FRAME_MAX = 128, ENTRIES = HWGW_CARD_ENTRIES };

// records that the shell has put into the host's memory
struct host_ring {
  uint32_t head;
  uint32_t tail;
  uint8_t entry[ENTRIES][HWGW_CARD_EVENT_SZ];
};

struct tx_ring {
  uint32_t head;
  uint32_t tail;
  uint32_t len[ENTRIES]; // of that at head: as far as it has come
  uint8_t frame[ENTRIES][FRAME_MAX];
};

struct hwgw_card {
  VerilatedContext *context;
  Vhwgw_card *top;
  uint64_t cycles;
  uint32_t head; // of the ring: where the next record goes
  uint32_t tail; // the oldest record
  uint64_t came[HWGW_CARD_RING];
  uint8_t ring[HWGW_CARD_RING][HWGW_CARD_EVENT_SZ];
  host_ring verdicts;
  host_ring sent;
  tx_ring tx;
  bool is_gone;
};

static void (*dump)(void *context, uint64_t cycles);
static void *dump_context;

static inline bool has_room(const host_ring *ring) {
  return ring->head - ring->tail < ENTRIES;
}

static inline void put(host_ring *ring, const void *record) {
  memcpy(ring->entry[ring->head++ % ENTRIES], record, HWGW_CARD_EVENT_SZ);
}

static uint32_t take(host_ring *ring, void *records, uint32_t max) {
  uint8_t *to = static_cast<uint8_t *>(records);
  uint32_t cnt = 0;
  for (; cnt < max && ring->tail != ring->head; cnt++)
    memcpy(to + cnt * HWGW_CARD_EVENT_SZ, ring->entry[ring->tail++ % ENTRIES], HWGW_CARD_EVENT_SZ);
  return cnt;
}

static inline void put_beat(tx_ring *tx, const Vhwgw_card *top) {
  uint32_t at = tx->head % ENTRIES, sz = static_cast<uint32_t>(__builtin_popcount(top->m_axis_tx_tkeep));
  if (tx->len[at] + BEAT <= FRAME_MAX) memcpy(tx->frame[at] + tx->len[at], &top->m_axis_tx_tdata, BEAT);
  tx->len[at] += sz;
  if (top->m_axis_tx_tlast) tx->len[++tx->head % ENTRIES] = 0;
}

static inline void tick(hwgw_card *card) {
  if (card->is_gone) return;
  Vhwgw_card *top = card->top;
  top->m_axis_event_tready = card->head - card->tail < HWGW_CARD_RING;
  top->m_axis_verdict_tready = has_room(&card->verdicts);
  top->m_axis_sent_tready = has_room(&card->sent);
  top->m_axis_tx_tready = card->tx.head - card->tx.tail < ENTRIES - 1;
  if (top->m_axis_event_tvalid && top->m_axis_event_tready) {
    card->came[card->head % HWGW_CARD_RING] = card->cycles;
    memcpy(card->ring[card->head++ % HWGW_CARD_RING], top->m_axis_event_tdata.data(), HWGW_CARD_EVENT_SZ);
  }
  if (top->m_axis_verdict_tvalid && top->m_axis_verdict_tready) put(&card->verdicts, top->m_axis_verdict_tdata.data());
  if (top->m_axis_sent_tvalid && top->m_axis_sent_tready) put(&card->sent, top->m_axis_sent_tdata.data());
  if (top->m_axis_tx_tvalid && top->m_axis_tx_tready) put_beat(&card->tx, top);
  top->clk = 0; // what may sleep looks at the inputs now
  top->eval();
  if (dump) dump(dump_context, 2 * card->cycles);
  top->clk = 1;
  top->eval();
  if (dump) dump(dump_context, 2 * card->cycles + 1);
  card->cycles++;
}

extern "C" {

uint32_t hwgw_card_abi(void) {
  return HWGW_CARD_ABI;
}

// the model belongs to the caller; for a front end that has made it
hwgw_card *hwgw_card_attach(void *model) {
  hwgw_card *card = static_cast<hwgw_card *>(calloc(1, sizeof *card));
  if (!card) return nullptr;
  card->top = static_cast<Vhwgw_card *>(model);
  card->top->m_axis_event_tready = 1;
  card->top->s_axil_bready = 1;
  card->top->rst = 1;
  for (int i = 0; i < 4; i++) tick(card);
  card->top->rst = 0;
  for (int i = 0; i < RESET_CYCLES; i++) tick(card); // counters are cleared in turn
  return card;
}

// called with each half of a cycle; for a front end that writes waves
void hwgw_card_dump(void (*function)(void *context, uint64_t cycles), void *context) {
  dump = function;
  dump_context = context;
}

hwgw_card *hwgw_card_open(void) {
  VerilatedContext *context = new (std::nothrow) VerilatedContext;
  if (context) context->threads(1); // else a pool of threads waits for work that a model of one thread does not have
  Vhwgw_card *top = context ? new (std::nothrow) Vhwgw_card(context, "card") : nullptr;
  hwgw_card *card = top ? hwgw_card_attach(top) : nullptr;
  if (!card) {
    delete top;
    delete context;
    return nullptr;
  }
  card->context = context;
  return card;
}

void hwgw_card_close(hwgw_card *card) {
  if (!card) return;
  if (card->context) {
    card->top->final();
    delete card->top;
    delete card->context;
  }
  free(card);
}

uint32_t hwgw_card_read(hwgw_card *card, uint32_t offset, uint32_t *value) {
  Vhwgw_card *top = card->top;
  *value = UINT32_MAX;
  if (card->is_gone) return 3;
  top->s_axil_araddr = offset & (HWGW_REG_SZ - 1);
  top->s_axil_arvalid = 1;
  for (int i = 0; i < PATIENCE; i++) {
    bool is_taken = top->s_axil_arready;
    tick(card);
    if (is_taken) break;
  }
  top->s_axil_arvalid = 0;
  for (int i = 0; i < PATIENCE; i++) {
    if (top->s_axil_rvalid) {
      *value = top->s_axil_rdata;
      uint32_t response = top->s_axil_rresp;
      top->s_axil_rready = 1;
      tick(card);
      top->s_axil_rready = 0;
      return response;
    }
    tick(card);
  }
  *value = 0;
  return 3;
}

uint32_t hwgw_card_write(hwgw_card *card, uint32_t offset, uint32_t value) {
  Vhwgw_card *top = card->top;
  if (card->is_gone) return 3;
  top->s_axil_awaddr = offset & (HWGW_REG_SZ - 1);
  top->s_axil_wdata = value;
  top->s_axil_wstrb = 15;
  top->s_axil_awvalid = 1;
  top->s_axil_wvalid = 1;
  for (int i = 0; i < PATIENCE && (top->s_axil_awvalid || top->s_axil_wvalid); i++) {
    bool address_is_taken = top->s_axil_awready, data_is_taken = top->s_axil_wready;
    tick(card);
    if (address_is_taken) top->s_axil_awvalid = 0;
    if (data_is_taken) top->s_axil_wvalid = 0;
  }
  for (int i = 0; i < PATIENCE; i++) {
    bool is_answered = top->s_axil_bvalid;
    uint32_t response = top->s_axil_bresp;
    tick(card);
    if (is_answered) return response;
  }
  return 3;
}

void hwgw_card_run(hwgw_card *card, uint32_t cycles) {
  while (cycles--) tick(card);
}

void hwgw_card_time(hwgw_card *card, uint64_t now_ns) {
  card->top->now_ns = now_ns;
}

void hwgw_card_halt(hwgw_card *card, uint32_t level) {
  card->top->halt = level != 0;
}

void hwgw_card_unplug(hwgw_card *card) {
  card->is_gone = true;
}

void hwgw_card_frame(hwgw_card *card, uint32_t line, const uint8_t *data, uint32_t len, uint64_t now) {
  if (!len || card->is_gone) return;
  Vhwgw_card *top = card->top;
  CData *keep = line ? &top->s_axis_b_tkeep : &top->s_axis_a_tkeep;
  CData *valid = line ? &top->s_axis_b_tvalid : &top->s_axis_a_tvalid;
  CData *last = line ? &top->s_axis_b_tlast : &top->s_axis_a_tlast;
  QData *word = line ? &top->s_axis_b_tdata : &top->s_axis_a_tdata;
  top->now = now;
  *valid = 1;
  *keep = 0xFF;
  *last = 0;
  uint32_t at = 0;
  for (; at + BEAT < len; at += BEAT) {
    memcpy(word, data + at, BEAT);
    tick(card);
  }
  *word = 0;
  memcpy(word, data + at, len - at);
  *keep = static_cast<CData>((1u << (len - at)) - 1);
  *last = 1;
  tick(card);
  *valid = 0;
  tick(card);
}

void hwgw_card_frames(hwgw_card *card, uint32_t line, const uint8_t *data, const uint32_t *lens, uint32_t cnt,
                      uint64_t now) {
  for (uint32_t i = 0; i < cnt; i++) {
    hwgw_card_frame(card, line, data, lens[i], now++);
    data += lens[i];
  }
}

uint32_t hwgw_card_events(hwgw_card *card, void *events, uint32_t max) {
  uint8_t *to = static_cast<uint8_t *>(events);
  uint32_t cnt = 0;
  for (; cnt < max && card->tail != card->head; cnt++)
    memcpy(to + cnt * HWGW_CARD_EVENT_SZ, card->ring[card->tail++ % HWGW_CARD_RING], HWGW_CARD_EVENT_SZ);
  return cnt;
}

uint32_t hwgw_card_event_cycles(const hwgw_card *card, uint64_t *cycles, uint32_t max) {
  uint32_t cnt = 0;
  for (uint32_t at = card->tail; cnt < max && at != card->head; at++) cycles[cnt++] = card->came[at % HWGW_CARD_RING];
  return cnt;
}

uint32_t hwgw_card_waiting(const hwgw_card *card) {
  return card->head - card->tail;
}

uint32_t hwgw_card_verdicts(hwgw_card *card, void *verdicts, uint32_t max) {
  return card->is_gone ? 0 : take(&card->verdicts, verdicts, max);
}

uint32_t hwgw_card_sent(hwgw_card *card, void *sent, uint32_t max) {
  return card->is_gone ? 0 : take(&card->sent, sent, max);
}

uint32_t hwgw_card_tx(hwgw_card *card, uint8_t *room) {
  tx_ring *tx = &card->tx;
  if (tx->tail == tx->head) return 0;
  uint32_t at = tx->tail++ % ENTRIES;
  memcpy(room, tx->frame[at], tx->len[at]);
  return tx->len[at];
}

uint64_t hwgw_card_cycles(const hwgw_card *card) {
  return card->cycles;
}

} // extern "C"
