/* scan_features.c: the messages of files through decoder, books and features; the rows that strategies are called with.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: messages in a buffer. Output: a row of features for every change of the top of a book, made by the same calls as
 * in the pipeline. Thread: the owner of the books.
 */
#include "base.h"
#include "hwgw_scan.h"

uint32_t hwgw_scan_features(const uint8_t *data, const struct hwgw_scan_message *messages, uint32_t cnt,
                            struct hwgw_instruments *instruments, struct hwgw_books *books,
                            struct hwgw_feature_set *set, uint64_t *counters, struct hwgw_scan_feature_row *rows) {
  struct hwgw_scan_feature_row *row = rows;
  uint32_t depth = hwgw_features_depth(set);
  for (uint32_t i = 0; i < cnt; i++) {
    const uint8_t *message = data + messages[i].offset;
    struct hwgw_event event = {.seq = messages[i].seq, .channel = messages[i].channel};
    uint32_t cause = hwgw_itch_decode(message, messages[i].len, &event);
    counters[cause ? cause : (uint32_t)HWGW_CNT_ITCH_MESSAGES]++;
    if (cause) continue;
    hwgw_instruments_resolve(instruments, message, messages[i].len, &event);
    bool top_changed = false;
    uint32_t outcome = hwgw_books_apply(books, &event, &top_changed);
    counters[outcome]++;
    struct hwgw_tob top = {0};
    if (event.kind == HWGW_EVENT_KIND_TRADE) hwgw_books_top(books, event.instrument, &top);
    if (outcome == HWGW_CNT_BOOK_UPDATES || outcome == HWGW_CNT_BOOK_IGNORED) hwgw_features_trade(set, &event, &top);
    if (!top_changed) continue;
    counters[HWGW_CNT_BOOK_TOP_CHANGES]++;
    struct hwgw_level bid[HWGW_HOOK_LEVELS_MAX] = {0}, ask[HWGW_HOOK_LEVELS_MAX] = {0};
    hwgw_books_depth(books, event.instrument, HWGW_ORDER_SIDE_BUY, bid, depth);
    hwgw_books_depth(books, event.instrument, HWGW_ORDER_SIDE_SELL, ask, depth);
    *row = (struct hwgw_scan_feature_row){
        .seq = event.seq, .ts_ns = event.ts_ns, .instrument = event.instrument, .channel = event.channel};
    hwgw_features_row(set, books, event.instrument, bid, ask, &row->features);
    row++;
  }
  return (uint32_t)(row - rows);
}
