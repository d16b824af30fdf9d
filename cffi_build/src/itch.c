/* itch.c: one Nasdaq TotalView-ITCH 5.0 message to one event.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: the bytes of one message and their count. Output: struct hwgw_event; what a kind does not use is 0.
 * Order of checks: no byte or a length that is not the type's (drop_length), unknown type (drop_unknown). Code letters are
 * not judged here: an unknown side gives side none, which the book refuses.
 *
 * The types differ only in where a field lies, so one table of shapes replaces a branch per type: an absent field is read
 * at offset 0 and masked away. A market's mix of types is random, and a mispredicted branch costs more than the few loads
 * this adds. Every type has at least 12 bytes, so an 8-byte load at offset 0 stays inside the message.
 *
 * status: H and h; `trading` is set when the state is trading (H) or the halt is lifted (h). printable: E, P and Q
 * always, C by its own flag. A cross of more than 4,294,967,295 shares shows that number.
 * Thread: any; no state.
 */
#include "base.h"

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

#define TYPE(name) [ITCH50_##name##_CODE] = {.len = ITCH50_##name##_LEN
#define KIND(name) .kind = HWGW_EVENT_KIND_##name
#define FLAG(off, is, name) .flag_off = (off), .flag_is = (is), .flag = HWGW_EVENT_FLAGS_##name
/* the type byte is always itself */
#define PRINTABLE(name) FLAG(0, ITCH50_##name##_CODE, PRINTABLE)

static const struct shape shapes[256] __attribute__((aligned(64))) = {
    TYPE(SYSTEM_EVENT), KIND(SYSTEM)},
    TYPE(STOCK_DIRECTORY), KIND(DIRECTORY)},
    TYPE(STOCK_TRADING_ACTION), KIND(STATUS),
        FLAG(ITCH50_STOCK_TRADING_ACTION_TRADING_STATE_OFF, ITCH50_TRADING_STATE_TRADING, TRADING)},
    TYPE(OPERATIONAL_HALT), KIND(STATUS),
        FLAG(ITCH50_OPERATIONAL_HALT_OPERATIONAL_HALT_ACTION_OFF,
             ITCH50_OPERATIONAL_HALT_ACTION_RESUMED, TRADING)},
    TYPE(REG_SHO_RESTRICTION), KIND(NONE)},
    TYPE(MARKET_PARTICIPANT_POSITION), KIND(NONE)},
    TYPE(MWCB_DECLINE_LEVEL), KIND(NONE)},
    TYPE(MWCB_STATUS), KIND(NONE)},
    TYPE(IPO_QUOTING_PERIOD_UPDATE), KIND(NONE)},
    TYPE(LULD_AUCTION_COLLAR), KIND(NONE)},
    TYPE(NOII), KIND(NONE)},
    TYPE(RETAIL_PRICE_IMPROVEMENT), KIND(NONE)},
    TYPE(DLCR_PRICE_DISCOVERY), KIND(NONE)},
    TYPE(ADD_ORDER), KIND(ADD), .has = HAS_REF | HAS_QTY | HAS_PX | HAS_SIDE,
        .ref = ITCH50_ADD_ORDER_ORDER_REFERENCE_NUMBER_OFF, .qty = ITCH50_ADD_ORDER_SHARES_OFF,
        .px = ITCH50_ADD_ORDER_PRICE_OFF, .side = ITCH50_ADD_ORDER_SIDE_OFF},
    TYPE(ADD_ORDER_MPID), KIND(ADD), .has = HAS_REF | HAS_QTY | HAS_PX | HAS_SIDE,
        .ref = ITCH50_ADD_ORDER_MPID_ORDER_REFERENCE_NUMBER_OFF, .qty = ITCH50_ADD_ORDER_MPID_SHARES_OFF,
        .px = ITCH50_ADD_ORDER_MPID_PRICE_OFF, .side = ITCH50_ADD_ORDER_MPID_SIDE_OFF},
    TYPE(ORDER_EXECUTED), KIND(EXECUTE), .has = HAS_REF | HAS_REF_NEW | HAS_QTY,
        .ref = ITCH50_ORDER_EXECUTED_ORDER_REFERENCE_NUMBER_OFF,
        .ref_new = ITCH50_ORDER_EXECUTED_MATCH_NUMBER_OFF, .qty = ITCH50_ORDER_EXECUTED_EXECUTED_SHARES_OFF,
        PRINTABLE(ORDER_EXECUTED)},
    TYPE(ORDER_EXECUTED_WITH_PRICE), KIND(EXECUTE_WITH_PRICE), .has = HAS_REF | HAS_REF_NEW | HAS_QTY | HAS_PX,
        .ref = ITCH50_ORDER_EXECUTED_WITH_PRICE_ORDER_REFERENCE_NUMBER_OFF,
        .ref_new = ITCH50_ORDER_EXECUTED_WITH_PRICE_MATCH_NUMBER_OFF,
        .qty = ITCH50_ORDER_EXECUTED_WITH_PRICE_EXECUTED_SHARES_OFF,
        .px = ITCH50_ORDER_EXECUTED_WITH_PRICE_EXECUTION_PRICE_OFF,
        FLAG(ITCH50_ORDER_EXECUTED_WITH_PRICE_PRINTABLE_OFF, ITCH50_YES_NO_YES, PRINTABLE)},
    TYPE(ORDER_CANCEL), KIND(REDUCE), .has = HAS_REF | HAS_QTY,
        .ref = ITCH50_ORDER_CANCEL_ORDER_REFERENCE_NUMBER_OFF, .qty = ITCH50_ORDER_CANCEL_CANCELLED_SHARES_OFF},
    TYPE(ORDER_DELETE), KIND(DELETE), .has = HAS_REF, .ref = ITCH50_ORDER_DELETE_ORDER_REFERENCE_NUMBER_OFF},
    TYPE(ORDER_REPLACE), KIND(REPLACE), .has = HAS_REF | HAS_REF_NEW | HAS_QTY | HAS_PX,
        .ref = ITCH50_ORDER_REPLACE_ORIGINAL_ORDER_REFERENCE_NUMBER_OFF,
        .ref_new = ITCH50_ORDER_REPLACE_NEW_ORDER_REFERENCE_NUMBER_OFF, .qty = ITCH50_ORDER_REPLACE_SHARES_OFF,
        .px = ITCH50_ORDER_REPLACE_PRICE_OFF},
    TYPE(TRADE_NON_CROSS), KIND(TRADE), .has = HAS_REF | HAS_REF_NEW | HAS_QTY | HAS_PX | HAS_SIDE,
        .ref = ITCH50_TRADE_NON_CROSS_ORDER_REFERENCE_NUMBER_OFF, .ref_new = ITCH50_TRADE_NON_CROSS_MATCH_NUMBER_OFF,
        .qty = ITCH50_TRADE_NON_CROSS_SHARES_OFF, .px = ITCH50_TRADE_NON_CROSS_PRICE_OFF,
        .side = ITCH50_TRADE_NON_CROSS_SIDE_OFF, PRINTABLE(TRADE_NON_CROSS)},
    /* shares has 8 bytes here: qty is their low half, the high one is looked at below */
    TYPE(CROSS_TRADE), KIND(CROSS), .has = HAS_REF_NEW | HAS_QTY | HAS_PX,
        .ref_new = ITCH50_CROSS_TRADE_MATCH_NUMBER_OFF, .qty = ITCH50_CROSS_TRADE_SHARES_OFF + 4,
        .px = ITCH50_CROSS_TRADE_CROSS_PRICE_OFF, PRINTABLE(CROSS_TRADE)},
    TYPE(BROKEN_TRADE), KIND(BREAK), .has = HAS_REF_NEW, .ref_new = ITCH50_BROKEN_TRADE_MATCH_NUMBER_OFF},
};

/* all ones when the field is there */
static inline uint64_t mask_of(const struct shape *shape, uint32_t bit) {
  return (uint64_t)0 - ((shape->has & bit) != 0);
}

uint32_t hwgw_itch_decode(const uint8_t *message, uint32_t len, struct hwgw_event *event) {
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
