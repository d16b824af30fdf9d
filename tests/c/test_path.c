/* test_path.c: damaged frames through net, mold, itch, instruments and books; every frame and message is accounted for.
 *
 * SPDX-License-Identifier: MIT
 *
 * Good frames of a small market are made, most of them damaged in one of many ways, and given to the stages as the
 * pipeline would give them. The ledgers of hwgw/specs/counters.yaml must hold at the end, every cause that damage can
 * produce must have been seen, and each book must hold what its own read-outs say. Frames lie in memory of exactly their
 * size, so that the sanitizers see every byte read outside of one. The seed is HWGW_SEED.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base.h"

enum { FRAMES = 150000, INSTRUMENTS = 4, REFS = 512, FRAME_MAX = 1600, GROUP_PORT = 26477 };
#define GROUP 0xE9360C6Fu

static uint64_t random_state;

static uint32_t random_below(uint32_t bound) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((random_state >> 33) % bound);
}

static void fail(const char *claim, uint64_t got, uint64_t want) {
  fprintf(stderr, "%s: %" PRIu64 " instead of %" PRIu64 "\n", claim, got, want);
  exit(1);
}

/* one message about a random order; half of the references are live, so that books fill and empty */
static uint32_t message_make(uint8_t *out) {
  uint64_t ref = 1 + random_below(REFS);
  uint16_t locate = (uint16_t)(1 + ref % INSTRUMENTS);
  char symbol[9];
  snprintf(symbol, sizeof symbol, "SYM%u    ", locate % 10u);
  switch (random_below(6)) {
    case 0:
    case 1:
      itch50_add_order_init(out);
      itch50_add_order_stock_locate_set(out, locate);
      itch50_add_order_order_reference_number_set(out, ref);
      itch50_add_order_side_set(out, random_below(2) ? 'B' : 'S');
      itch50_add_order_shares_set(out, 1 + random_below(500));
      itch50_add_order_stock_set(out, symbol);
      itch50_add_order_price_set(out, 1000000 + 100 * random_below(20));
      return ITCH50_ADD_ORDER_LEN;
    case 2:
      itch50_order_executed_init(out);
      itch50_order_executed_stock_locate_set(out, locate);
      itch50_order_executed_order_reference_number_set(out, ref);
      itch50_order_executed_executed_shares_set(out, random_below(300));
      return ITCH50_ORDER_EXECUTED_LEN;
    case 3:
      itch50_order_delete_init(out);
      itch50_order_delete_stock_locate_set(out, locate);
      itch50_order_delete_order_reference_number_set(out, ref);
      return ITCH50_ORDER_DELETE_LEN;
    case 4:
      itch50_order_replace_init(out);
      itch50_order_replace_stock_locate_set(out, locate);
      itch50_order_replace_original_order_reference_number_set(out, ref);
      /* of the same instrument, which the reference stands for here */
      itch50_order_replace_new_order_reference_number_set(
          out, 1 + (ref - 1 + INSTRUMENTS * random_below(REFS / INSTRUMENTS)) % REFS);
      itch50_order_replace_shares_set(out, 1 + random_below(500));
      itch50_order_replace_price_set(out, 1000000 + 100 * random_below(20));
      return ITCH50_ORDER_REPLACE_LEN;
    default:
      itch50_system_event_init(out);
      itch50_system_event_event_code_set(out, 'O');
      return ITCH50_SYSTEM_EVENT_LEN;
  }
}

static void checksum_set(uint8_t *ip) {
  uint32_t sum = 0;
  ethernet_ipv4_header_header_checksum_set(ip, 0);
  for (uint32_t i = 0; i < ETHERNET_IPV4_HEADER_LEN; i += 2) sum += hwgw_be16(ip + i);
  while (sum >> 16) sum = (sum & 0xFFFF) + (sum >> 16);
  ethernet_ipv4_header_header_checksum_set(ip, (uint16_t)~sum);
}

/* a whole frame with cnt messages from seq on; some messages are damaged inside their blocks */
static uint32_t frame_make(uint8_t *frame, uint64_t seq, uint32_t cnt) {
  uint8_t *ip = frame + ETHERNET_ETHERNET_HEADER_LEN, *udp = ip + ETHERNET_IPV4_HEADER_LEN;
  uint8_t *mold = udp + ETHERNET_UDP_HEADER_LEN, *at = mold + MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN;
  memset(frame, 0, ETHERNET_ETHERNET_HEADER_LEN);
  hwgw_put_be16(frame + 12, 0x0800);
  moldudp64_downstream_packet_header_session_set(mold, random_below(400) ? "SESSION001" : "SESSION002");
  moldudp64_downstream_packet_header_sequence_number_set(mold, seq);
  moldudp64_downstream_packet_header_message_count_set(mold, (uint16_t)cnt);
  for (uint32_t i = 0; i < cnt && cnt != UINT16_MAX; i++) {
    uint32_t len = message_make(at + MOLDUDP64_MESSAGE_BLOCK_LEN);
    if (!random_below(50)) at[MOLDUDP64_MESSAGE_BLOCK_LEN] = (uint8_t)random_below(256);
    if (!random_below(50)) len -= random_below(3);
    moldudp64_message_block_message_length_set(at, (uint16_t)len);
    at += MOLDUDP64_MESSAGE_BLOCK_LEN + len;
  }
  ethernet_ipv4_header_init(ip);
  ethernet_ipv4_header_version_ihl_set(ip, 0x45);
  ethernet_ipv4_header_total_length_set(ip, (uint16_t)(at - ip));
  ethernet_ipv4_header_flags_fragment_set(ip, 0);
  ethernet_ipv4_header_ttl_set(ip, 1);
  ethernet_ipv4_header_protocol_set(ip, 17);
  ethernet_ipv4_header_destination_set(ip, GROUP);
  ethernet_udp_header_init(udp);
  ethernet_udp_header_destination_port_set(udp, GROUP_PORT);
  ethernet_udp_header_length_set(udp, (uint16_t)(at - udp));
  checksum_set(ip);
  return (uint32_t)(at - frame);
}

static uint32_t frame_damage(uint8_t *frame, uint32_t len) {
  uint8_t *ip = frame + ETHERNET_ETHERNET_HEADER_LEN, *udp = ip + ETHERNET_IPV4_HEADER_LEN;
  uint32_t kind = random_below(24);
  switch (kind) {
    case 0:
      return random_below(len);
    case 1:
      frame[12] = 0x86;
      break;
    case 2:
      ip[0] = (uint8_t)random_below(256);
      break;
    case 3:
      ethernet_ipv4_header_total_length_set(ip, (uint16_t)random_below(3000));
      break;
    case 4:
      ip[random_below(ETHERNET_IPV4_HEADER_LEN)] ^= (uint8_t)(1u << random_below(8));
      return len;
    case 5:
      ethernet_ipv4_header_flags_fragment_set(ip, 0x2000);
      break;
    case 6:
      ethernet_ipv4_header_protocol_set(ip, (uint8_t)random_below(256));
      break;
    case 7:
      ethernet_udp_header_length_set(udp, (uint16_t)random_below(3000));
      break;
    case 8:
      ethernet_udp_header_destination_port_set(udp, (uint16_t)random_below(65536));
      break;
    case 9:
      ethernet_udp_header_length_set(udp, (uint16_t)(ETHERNET_UDP_HEADER_LEN + random_below(20)));
      break;
    case 10:
      frame[random_below(len)] ^= (uint8_t)(1u << random_below(8));
      return len;
    default:
      return len;
  }
  checksum_set(ip);
  return len;
}

static uint64_t sum_of(const uint64_t *counters, uint32_t first, uint32_t last) {
  uint64_t sum = 0;
  for (uint32_t i = first; i <= last; i++) sum += counters[i];
  return sum;
}

static void books_check(const struct hwgw_books *books) {
  static struct hwgw_book_order orders[REFS];
  uint32_t live = 0;
  for (uint32_t instrument = 0; instrument < INSTRUMENTS; instrument++) {
    struct hwgw_tob top = {0};
    hwgw_books_top(books, instrument, &top);
    for (uint32_t side = HWGW_ORDER_SIDE_BUY; side <= HWGW_ORDER_SIDE_SELL; side++) {
      uint32_t cnt = hwgw_books_orders(books, instrument, side, orders, REFS);
      uint64_t qty = 0;
      uint32_t at_best = 0;
      for (; at_best < cnt && at_best < REFS && orders[at_best].px == orders[0].px; at_best++)
        qty += orders[at_best].qty;
      bool is_buy = side == HWGW_ORDER_SIDE_BUY;
      if ((is_buy ? top.bid_cnt : top.ask_cnt) != at_best)
        fail("orders at the top", is_buy ? top.bid_cnt : top.ask_cnt, at_best);
      if ((is_buy ? top.bid_qty : top.ask_qty) != qty)
        fail("shares at the top", is_buy ? top.bid_qty : top.ask_qty, qty);
      live += cnt;
    }
  }
  if (live != hwgw_books_live(books)) fail("live orders", live, hwgw_books_live(books));
}

int main(void) {
  const char *seed = getenv("HWGW_SEED");
  random_state = seed ? strtoull(seed, NULL, 10) : 1;
  const struct hwgw_flow flow = {.group = GROUP, .port = GROUP_PORT};
  const struct hwgw_books_cfg books_cfg = {.instrument_cnt = INSTRUMENTS, .orders_max = REFS / 4};
  struct hwgw_error error = {0};
  struct hwgw_books *books = NULL;
  struct hwgw_instruments *instruments = NULL;
  if (hwgw_books_open(&books, &books_cfg, &error) ||
      hwgw_instruments_open(&instruments, "SYM1    SYM2    SYM3    ", 3, INSTRUMENTS, false, &error)) {
    fprintf(stderr, "%s\n", error.text);
    return 1;
  }
  struct hwgw_mold mold;
  hwgw_mold_init(&mold, 0, 1);
  mold.jump_max = 1000;
  static uint64_t counters[HWGW_COUNTER_CNT];
  uint64_t seq = 1, net_good = 0, handed = 0;

  for (uint32_t i = 0; i < FRAMES; i++) {
    static uint8_t made[FRAME_MAX];
    uint32_t cnt = random_below(20) ? random_below(8) : UINT16_MAX * !random_below(20);
    if (cnt == UINT16_MAX && random_below(4)) cnt = 0;
    uint64_t from = seq;
    if (!random_below(30)) from += random_below(3000);
    if (!random_below(30)) from -= random_below((uint32_t)(seq > 50 ? 50 : seq));
    uint32_t len = frame_damage(made, frame_make(made, from, cnt));
    uint8_t *frame = malloc(len ? len : 1); /* its own memory: a byte read behind it is seen */
    if (!frame) return 1;
    memcpy(frame, made, len);

    struct hwgw_datagram datagram = {0};
    uint32_t cause = hwgw_net_parse(&flow, 1, frame, len, &datagram);
    if (cause) {
      counters[cause]++;
    } else {
      net_good++;
      struct hwgw_mold_iter iter = {0};
      counters[hwgw_mold_packet(&mold, 0, datagram.data, datagram.len, i, counters, &iter)]++;
      const uint8_t *message;
      uint32_t message_len;
      uint64_t message_seq;
      while ((message = hwgw_mold_next(&iter, &message_len, &message_seq)) != NULL) {
        struct hwgw_event event = {0};
        bool top_changed = false;
        handed++;
        cause = hwgw_itch_decode(message, message_len, &event);
        if (cause) {
          counters[cause]++;
          continue;
        }
        counters[HWGW_CNT_ITCH_MESSAGES]++;
        hwgw_instruments_resolve(instruments, message, message_len, &event);
        counters[hwgw_books_apply(books, &event, &top_changed)]++;
      }
      if (mold.next_seq > seq) seq = mold.next_seq;
    }
    free(frame);
    if (i % 1000 == 0) books_check(books);
  }
  books_check(books);

  uint64_t net_drops = sum_of(counters, HWGW_CNT_NET_DROP_SHORT, HWGW_CNT_NET_DROP_FOREIGN);
  uint64_t mold_drops = sum_of(counters, HWGW_CNT_MOLD_DROP_SHORT, HWGW_CNT_MOLD_DROP_GAP);
  if (net_drops + net_good != FRAMES) fail("frames through net", net_drops + net_good, FRAMES);
  if (counters[HWGW_CNT_MOLD_FRAMES] + mold_drops != net_good) {
    fail("frames through mold", counters[HWGW_CNT_MOLD_FRAMES] + mold_drops, net_good);
  }
  if (counters[HWGW_CNT_MOLD_MESSAGES] != handed) fail("messages of mold", counters[HWGW_CNT_MOLD_MESSAGES], handed);
  uint64_t decoded = counters[HWGW_CNT_ITCH_MESSAGES];
  uint64_t itch_drops = sum_of(counters, HWGW_CNT_ITCH_DROP_LENGTH, HWGW_CNT_ITCH_DROP_UNKNOWN);
  if (decoded + itch_drops != handed) fail("messages through itch", decoded + itch_drops, handed);
  uint64_t applied = sum_of(counters, HWGW_CNT_BOOK_UPDATES, HWGW_CNT_BOOK_DROP_FULL);
  if (applied != decoded) fail("events through book", applied, decoded);

  static const uint32_t wanted[][2] = {{HWGW_CNT_NET_DROP_SHORT, HWGW_CNT_NET_DROP_FOREIGN},
                                       {HWGW_CNT_MOLD_FRAMES, HWGW_CNT_MOLD_MISSING},
                                       {HWGW_CNT_ITCH_MESSAGES, HWGW_CNT_ITCH_DROP_UNKNOWN},
                                       {HWGW_CNT_BOOK_UPDATES, HWGW_CNT_BOOK_DROP_QUANTITY},
                                       {HWGW_CNT_BOOK_DROP_FULL, HWGW_CNT_BOOK_DROP_FULL}};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    for (uint32_t counter = wanted[i][0]; counter <= wanted[i][1]; counter++) {
      if (!counters[counter]) fail("never seen, counter", counter, 0);
    }
  }
  printf("%d frames, %" PRIu64 " messages, %" PRIu64 " book updates\n", FRAMES, handed,
         counters[HWGW_CNT_BOOK_UPDATES]);
  hwgw_instruments_close(instruments);
  hwgw_books_close(books);
  return 0;
}
