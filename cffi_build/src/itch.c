/* itch.c: one Nasdaq TotalView-ITCH 5.0 message to one event.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: the bytes of one message and their count. Output: struct hwgw_event; what a kind does not use is 0.
 * Order of checks: no byte or a length that is not the type's (drop_length), unknown type (drop_unknown). Code letters
 * are not judged here: an unknown side gives side none, which the book refuses.
 *
 * The types differ only in where a field lies, so one table of shapes replaces a branch per type: an absent field is
 * read at offset 0 and masked away. A market's mix of types is random, and a mispredicted branch costs more than the
 * few loads this adds. Every type has at least 12 bytes, so an 8-byte load at offset 0 stays inside the message.
 *
 * status: H and h; `trading` is set when the state is trading (H) or the halt is lifted (h). printable: E, P and Q
 * always, C by its own flag. A cross of more than 4,294,967,295 shares shows that number.
 * Thread: any; no state.
 */
#include "itch.h"

/* where the fields of one type lie; an offset is meant only when its mask bit is set */
struct shape {
  uint8_t len; /* 0: no such type */
  uint8_t kind;
  uint8_t has; /* enum has */
  uint8_t ref;
  uint8_t ref_new;
  uint8_t qty;
  uint8_t px;
  uint8_t side;
  uint8_t flag_off; /* flag is set when the byte here ... */
  uint8_t flag_is;  /* ... is this */
  uint8_t flag;
  uint8_t reserved[5];
};

enum has { HAS_REF = 1, HAS_REF_NEW = 2, HAS_QTY = 4, HAS_PX = 8, HAS_SIDE = 16 };

/* OFF(type, field): where the field lies; SHAPE: one type, its kind and what it has */
#define OFF(type, field) ITCH50_##type##_##field##_OFF
#define SHAPE(type, kind_name, ...) \
  [ITCH50_##type##_CODE] = {.len = ITCH50_##type##_LEN, .kind = HWGW_EVENT_KIND_##kind_name, __VA_ARGS__}
#define FLAG(off, is, name) .flag_off = (off), .flag_is = (is), .flag = HWGW_EVENT_FLAGS_##name
/* the type byte is always itself */
#define PRINTABLE(type) FLAG(0, ITCH50_##type##_CODE, PRINTABLE)

static const struct shape shapes[256] __attribute__((aligned(64))) = {
    SHAPE(SYSTEM_EVENT, SYSTEM, .has = 0),
    SHAPE(STOCK_DIRECTORY, DIRECTORY, .has = HAS_REF, .ref = OFF(STOCK_DIRECTORY, STOCK)),
    SHAPE(STOCK_TRADING_ACTION, STATUS,
          FLAG(OFF(STOCK_TRADING_ACTION, TRADING_STATE), ITCH50_TRADING_STATE_TRADING, TRADING)),
    SHAPE(OPERATIONAL_HALT, STATUS,
          FLAG(OFF(OPERATIONAL_HALT, OPERATIONAL_HALT_ACTION), ITCH50_OPERATIONAL_HALT_ACTION_RESUMED, TRADING)),
    SHAPE(REG_SHO_RESTRICTION, NONE, .has = 0),
    SHAPE(MARKET_PARTICIPANT_POSITION, NONE, .has = 0),
    SHAPE(MWCB_DECLINE_LEVEL, NONE, .has = 0),
    SHAPE(MWCB_STATUS, NONE, .has = 0),
    SHAPE(IPO_QUOTING_PERIOD_UPDATE, NONE, .has = 0),
    SHAPE(LULD_AUCTION_COLLAR, NONE, .has = 0),
    SHAPE(NOII, NONE, .has = 0),
    SHAPE(RETAIL_PRICE_IMPROVEMENT, NONE, .has = 0),
    SHAPE(DLCR_PRICE_DISCOVERY, NONE, .has = 0),
    SHAPE(ADD_ORDER, ADD, .has = HAS_REF | HAS_QTY | HAS_PX | HAS_SIDE, .ref = OFF(ADD_ORDER, ORDER_REFERENCE_NUMBER),
          .qty = OFF(ADD_ORDER, SHARES), .px = OFF(ADD_ORDER, PRICE), .side = OFF(ADD_ORDER, SIDE)),
    SHAPE(ADD_ORDER_MPID, ADD, .has = HAS_REF | HAS_QTY | HAS_PX | HAS_SIDE,
          .ref = OFF(ADD_ORDER_MPID, ORDER_REFERENCE_NUMBER), .qty = OFF(ADD_ORDER_MPID, SHARES),
          .px = OFF(ADD_ORDER_MPID, PRICE), .side = OFF(ADD_ORDER_MPID, SIDE)),
    SHAPE(ORDER_EXECUTED, EXECUTE, .has = HAS_REF | HAS_REF_NEW | HAS_QTY,
          .ref = OFF(ORDER_EXECUTED, ORDER_REFERENCE_NUMBER), .ref_new = OFF(ORDER_EXECUTED, MATCH_NUMBER),
          .qty = OFF(ORDER_EXECUTED, EXECUTED_SHARES), PRINTABLE(ORDER_EXECUTED)),
    SHAPE(ORDER_EXECUTED_WITH_PRICE, EXECUTE_WITH_PRICE, .has = HAS_REF | HAS_REF_NEW | HAS_QTY | HAS_PX,
          .ref = OFF(ORDER_EXECUTED_WITH_PRICE, ORDER_REFERENCE_NUMBER),
          .ref_new = OFF(ORDER_EXECUTED_WITH_PRICE, MATCH_NUMBER),
          .qty = OFF(ORDER_EXECUTED_WITH_PRICE, EXECUTED_SHARES), .px = OFF(ORDER_EXECUTED_WITH_PRICE, EXECUTION_PRICE),
          FLAG(OFF(ORDER_EXECUTED_WITH_PRICE, PRINTABLE), ITCH50_YES_NO_YES, PRINTABLE)),
    SHAPE(ORDER_CANCEL, REDUCE, .has = HAS_REF | HAS_QTY, .ref = OFF(ORDER_CANCEL, ORDER_REFERENCE_NUMBER),
          .qty = OFF(ORDER_CANCEL, CANCELLED_SHARES)),
    SHAPE(ORDER_DELETE, DELETE, .has = HAS_REF, .ref = OFF(ORDER_DELETE, ORDER_REFERENCE_NUMBER)),
    SHAPE(ORDER_REPLACE, REPLACE, .has = HAS_REF | HAS_REF_NEW | HAS_QTY | HAS_PX,
          .ref = OFF(ORDER_REPLACE, ORIGINAL_ORDER_REFERENCE_NUMBER),
          .ref_new = OFF(ORDER_REPLACE, NEW_ORDER_REFERENCE_NUMBER), .qty = OFF(ORDER_REPLACE, SHARES),
          .px = OFF(ORDER_REPLACE, PRICE)),
    SHAPE(TRADE_NON_CROSS, TRADE, .has = HAS_REF | HAS_REF_NEW | HAS_QTY | HAS_PX | HAS_SIDE,
          .ref = OFF(TRADE_NON_CROSS, ORDER_REFERENCE_NUMBER), .ref_new = OFF(TRADE_NON_CROSS, MATCH_NUMBER),
          .qty = OFF(TRADE_NON_CROSS, SHARES), .px = OFF(TRADE_NON_CROSS, PRICE), .side = OFF(TRADE_NON_CROSS, SIDE),
          PRINTABLE(TRADE_NON_CROSS)),
    /* shares has 8 bytes here: qty is their low half, the high one is looked at below */
    SHAPE(CROSS_TRADE, CROSS, .has = HAS_REF_NEW | HAS_QTY | HAS_PX, .ref_new = OFF(CROSS_TRADE, MATCH_NUMBER),
          .qty = OFF(CROSS_TRADE, SHARES) + 4, .px = OFF(CROSS_TRADE, CROSS_PRICE), PRINTABLE(CROSS_TRADE)),
    SHAPE(BROKEN_TRADE, BREAK, .has = HAS_REF_NEW, .ref_new = OFF(BROKEN_TRADE, MATCH_NUMBER)),
};

/* all ones when the field is there */
static inline uint64_t mask_of(const struct shape *shape, uint32_t bit) {
  return (uint64_t)0 - ((shape->has & bit) != 0);
}

/* ---- the frequent types ---- */

#define NONE 0x80 /* a shuffle makes it 0 */
#define BE32(off) (off) + 3, (off) + 2, (off) + 1, (off)
#define BE64(off) BE32((off) + 4), BE32(off)
#define NONE32 NONE, NONE, NONE, NONE
#define NONE64 NONE32, NONE32
/* how far a field is into the bytes a type's 16 begin at */
#define IN(type, field) (OFF(type, field) - LOAD_##type)
/* one type: match number or new reference, shares, price, as a shuffle of its 16 bytes */
#define FREQUENT(type, kind_name, side, flag_bits, ...)          \
  [ITCH50_##type##_CODE] = {.len = ITCH50_##type##_LEN,          \
                            .kind = HWGW_EVENT_KIND_##kind_name, \
                            .side_off = (side),                  \
                            .load_off = LOAD_##type,             \
                            .flags = (flag_bits),                \
                            .shuffle = {__VA_ARGS__}}
/* they end with the message, but for the attribution behind an add */
#define LOAD_ADD_ORDER (ITCH50_ADD_ORDER_LEN - 16)
#define LOAD_ADD_ORDER_MPID LOAD_ADD_ORDER
#define LOAD_ORDER_EXECUTED (ITCH50_ORDER_EXECUTED_LEN - 16)
#define LOAD_ORDER_CANCEL (ITCH50_ORDER_CANCEL_LEN - 16)
#define LOAD_ORDER_DELETE (ITCH50_ORDER_DELETE_LEN - 16)
#define LOAD_ORDER_REPLACE (ITCH50_ORDER_REPLACE_LEN - 16)

const struct hwgw_itch_shape hwgw_itch_shapes[256] __attribute__((aligned(64))) = {
    FREQUENT(ADD_ORDER, ADD, OFF(ADD_ORDER, SIDE), 0, NONE64, BE32(IN(ADD_ORDER, SHARES)), BE32(IN(ADD_ORDER, PRICE))),
    FREQUENT(ADD_ORDER_MPID, ADD, OFF(ADD_ORDER_MPID, SIDE), 0, NONE64, BE32(IN(ADD_ORDER_MPID, SHARES)),
             BE32(IN(ADD_ORDER_MPID, PRICE))),
    FREQUENT(ORDER_EXECUTED, EXECUTE, 0, HWGW_EVENT_FLAGS_PRINTABLE, BE64(IN(ORDER_EXECUTED, MATCH_NUMBER)),
             BE32(IN(ORDER_EXECUTED, EXECUTED_SHARES)), NONE32),
    FREQUENT(ORDER_CANCEL, REDUCE, 0, 0, NONE64, BE32(IN(ORDER_CANCEL, CANCELLED_SHARES)), NONE32),
    FREQUENT(ORDER_DELETE, DELETE, 0, 0, NONE64, NONE64),
    FREQUENT(ORDER_REPLACE, REPLACE, 0, 0, BE64(IN(ORDER_REPLACE, NEW_ORDER_REFERENCE_NUMBER)),
             BE32(IN(ORDER_REPLACE, SHARES)), BE32(IN(ORDER_REPLACE, PRICE))),
};

/* what hwgw_itch_event takes for granted */
_Static_assert(OFF(ADD_ORDER, ORDER_REFERENCE_NUMBER) == OFF(ORDER_DELETE, ORDER_REFERENCE_NUMBER) &&
                   OFF(ORDER_EXECUTED, ORDER_REFERENCE_NUMBER) == OFF(ORDER_DELETE, ORDER_REFERENCE_NUMBER) &&
                   OFF(ORDER_CANCEL, ORDER_REFERENCE_NUMBER) == OFF(ORDER_DELETE, ORDER_REFERENCE_NUMBER) &&
                   OFF(ORDER_REPLACE, ORIGINAL_ORDER_REFERENCE_NUMBER) == OFF(ORDER_DELETE, ORDER_REFERENCE_NUMBER),
               "one place for the reference");
_Static_assert(offsetof(struct hwgw_event, qty) == offsetof(struct hwgw_event, ref_new) + 8 &&
                   offsetof(struct hwgw_event, px) == offsetof(struct hwgw_event, ref_new) + 12,
               "one store for ref_new, qty and px");

uint32_t hwgw_itch_decode(const uint8_t *message, uint32_t len, struct hwgw_event *event) {
  return hwgw_itch_event(message, len, event);
}

uint32_t hwgw_itch_decode_rare(const uint8_t *message, uint32_t len, struct hwgw_event *event) {
  if (HWGW_UNLIKELY(!len)) return HWGW_CNT_ITCH_DROP_LENGTH;
  const struct shape *shape = &shapes[message[0]];
  if (HWGW_UNLIKELY(shape->len != len)) return shape->len ? HWGW_CNT_ITCH_DROP_LENGTH : HWGW_CNT_ITCH_DROP_UNKNOWN;

  uint8_t side_code = message[shape->side];
  uint32_t side = side_code == ITCH50_SIDE_BUY    ? HWGW_EVENT_SIDE_BUY
                  : side_code == ITCH50_SIDE_SELL ? HWGW_EVENT_SIDE_SELL
                                                  : HWGW_EVENT_SIDE_NONE;
  event->kind = shape->kind;
  event->side = (uint8_t)(mask_of(shape, HAS_SIDE) & side);
  event->code = message[0];
  event->instrument = UINT32_MAX;
  event->ts_ns = itch50_message_header_timestamp(message);
  event->ref = hwgw_be64(message + shape->ref) & mask_of(shape, HAS_REF);
  event->ref_new = hwgw_be64(message + shape->ref_new) & mask_of(shape, HAS_REF_NEW);
  event->qty = hwgw_be32(message + shape->qty) & (uint32_t)mask_of(shape, HAS_QTY);
  event->px = hwgw_be32(message + shape->px) & (uint32_t)mask_of(shape, HAS_PX);
  event->locate = itch50_message_header_stock_locate(message);
  event->flags = message[shape->flag_off] == shape->flag_is ? shape->flag : 0;
  if (HWGW_UNLIKELY(shape->kind == HWGW_EVENT_KIND_CROSS) && itch50_cross_trade_shares(message) > UINT32_MAX)
    event->qty = UINT32_MAX;
  return 0;
}
