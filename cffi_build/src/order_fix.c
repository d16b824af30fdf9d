/* order_fix.c: FIX 4.2 and 4.4, both directions: an order becomes a NewOrderSingle, OrderCancelReplaceRequest or
 * OrderCancelRequest, an ExecutionReport or OrderCancelReject becomes an event.
 *
 * SPDX-License-Identifier: MIT
 *
 * Contract, encode
 *   As order.c. ClOrdID is the ref in ten digits, that of a cancel request C and the number of its message. Post only is
 *   ExecInst 6, hidden MaxFloor 0, a displayed part MaxFloor, all or none of immediate or cancel fill or kill. A cancel
 *   takes the whole rest: one with a quantity cannot be expressed, nor one of an order that is not followed.
 * Contract, decode
 *   One message that fix_len found, its checksum is the link's to judge. What says nothing new (pending, status) is
 *   ignored; what would change what we have booked without our asking (restated, corrected, possibly sent before) and
 *   every type that is not known is unknown. The match number is the ExecID, or a hash of one that is no number.
 *   Thread: none of its own; the functions keep no state.
 */
#include "fix.h"
#include "order.h"
#include "token.h"

#define NS_PER_S UINT64_C(1000000000)
#define PX_DECIMALS 4
#define SYMBOL_SZ OUCH50_ENTER_ORDER_SYMBOL_SZ

/* ---- the writer ---- */

static uint8_t *id_put(uint8_t *out, const char *id) {
  return fix_put(out, id, strnlen(id, FIX_ID_SZ));
}

void fix_writer_init(struct fix_writer *writer, const struct hwgw_session_cfg *cfg, bool is_44) {
  memset(writer, 0, sizeof *writer);
  writer->is_44 = is_44;
  uint8_t *out = FIX_PUT(writer->begin, "8=FIX.4.");
  *out++ = is_44 ? '4' : '2';
  FIX_PUT(out, "\0019=000\00135=");
  out = FIX_PUT(writer->ids, "\00149=");
  out = id_put(out, cfg->sender);
  out = FIX_PUT(out, "\00156=");
  out = id_put(out, cfg->target);
  out = FIX_PUT(out, "\00134=");
  writer->ids_len = (uint32_t)(out - writer->ids);
  writer->second = UINT64_MAX;
}

static void put2(uint8_t *out, uint64_t number) {
  out[0] = (uint8_t)('0' + number / 10 % 10);
  out[1] = (uint8_t)('0' + number % 10);
}

/* YYYYMMDD-HH:MM:SS of a UTC second; the calendar as counted from 1 March of the year 0 */
static void second_put(uint8_t *out, uint64_t second) {
  uint64_t days = second / 86400 + 719468, era = days / 146097, of_era = days % 146097;
  uint64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  uint64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  uint64_t from_march = (5 * of_year + 2) / 153, day = of_year - (153 * from_march + 2) / 5 + 1;
  uint64_t month = from_march < 10 ? from_march + 3 : from_march - 9, year = year_of_era + era * 400 + (month <= 2);
  put2(out, year / 100);
  put2(out + 2, year);
  put2(out + 4, month);
  put2(out + 6, day);
  out[8] = '-';
  put2(out + 9, second / 3600 % 24);
  out[11] = ':';
  put2(out + 12, second / 60 % 60);
  out[14] = ':';
  put2(out + 15, second % 60);
}

static uint64_t utc_ns(const struct fix_writer *writer, uint64_t now_ns) {
  return now_ns + (uint64_t)writer->clock_offset_ns;
}

void fix_writer_tick(struct fix_writer *writer, uint64_t now_ns) {
  uint64_t second = utc_ns(writer, now_ns) / NS_PER_S;
  if (HWGW_LIKELY(second == writer->second)) return;
  writer->second = second;
  second_put(writer->second_text, second);
}

uint8_t *fix_writer_time(const struct fix_writer *writer, uint8_t *out, uint64_t now_ns) {
  uint64_t utc = utc_ns(writer, now_ns), second = utc / NS_PER_S, ms = utc % NS_PER_S / 1000000;
  if (HWGW_LIKELY(second == writer->second))
    memcpy(out, writer->second_text, sizeof writer->second_text);
  else
    second_put(out, second);
  out += sizeof writer->second_text;
  out[0] = '.';
  out[1] = (uint8_t)('0' + ms / 100);
  put2(out + 2, ms);
  return out + 4;
}

uint8_t *fix_writer_begin(const struct fix_writer *writer, uint8_t *out, char type, uint32_t seq, uint64_t now_ns) {
  out = fix_put(out, writer->begin, sizeof writer->begin);
  *out++ = (uint8_t)type;
  memcpy(out, writer->ids, sizeof writer->ids); /* of a fixed size, which is quicker */
  out = fix_put_number(out + writer->ids_len, seq);
  out = FIX_PUT(out, "\00152=");
  out = fix_writer_time(writer, out, now_ns);
  *out++ = FIX_SOH;
  return out;
}

/* ---- encode ---- */

static char side_of(char code) {
  switch (code) {
    case OUCH50_SIDE_BUY:
      return FIX_SIDE_BUY;
    case OUCH50_SIDE_SELL:
      return FIX_SIDE_SELL;
    case OUCH50_SIDE_SHORT:
      return FIX_SIDE_SELL_SHORT;
    default:
      return FIX_SIDE_SELL_SHORT_EXEMPT;
  }
}

static uint8_t *symbol_put(const struct hwgw_order_fix *fix, uint8_t *out, uint32_t instrument) {
  const char *symbol = fix->symbols + SYMBOL_SZ * (size_t)instrument;
  uint32_t len = SYMBOL_SZ;
  while (len > 1 && symbol[len - 1] == ' ') len--;
  out = FIX_PUT(out, "\00155=");
  memcpy(out, symbol, SYMBOL_SZ);
  return out + len;
}

/* symbol, side and time, which every request about an order carries */
static uint8_t *about_put(const struct hwgw_order_fix *fix, uint8_t *out, uint32_t instrument, char side_code,
                          uint64_t now_ns) {
  out = FIX_PUT(symbol_put(fix, out, instrument), "\00154=");
  *out++ = (uint8_t)side_of(side_code);
  out = FIX_PUT(out, "\00160=");
  return fix_writer_time(&fix->writer, out, now_ns);
}

static uint8_t *token_field(uint8_t *out, uint32_t ref) {
  token_put(out, ref);
  return out + TOKEN_DIGITS;
}

/* quantity, type, price, time in force and options; NULL when they cannot be expressed */
static uint8_t *terms_put(const struct hwgw_order *order, uint8_t *out) {
  uint32_t options = hwgw_order_options(order), display_qty = hwgw_order_display_qty(order);
  bool is_market = order->type == HWGW_ORDER_TYPE_MARKET, is_ioc = order->tif == HWGW_ORDER_TIF_IOC;
  if ((!is_ioc && order->tif != HWGW_ORDER_TIF_DAY) || (!is_market && order->type != HWGW_ORDER_TYPE_LIMIT) ||
      (!is_market && order->px == 0) || order->qty == 0 || order->qty > OUCH50_QTY_MAX ||
      (order->venue_ref && !hwgw_order_options_fit(order, options, display_qty)))
    return NULL;
  out = fix_put_number(FIX_PUT(out, "\00138="), order->qty);
  out = FIX_PUT(out, "\00140=");
  *out++ = is_market ? FIX_ORD_TYPE_MARKET : FIX_ORD_TYPE_LIMIT;
  if (!is_market) out = fix_put_px(FIX_PUT(out, "\00144="), order->px);
  out = FIX_PUT(out, "\00159=");
  *out++ = options & HWGW_ORDER_OPTION_ALL_OR_NONE ? FIX_TIME_IN_FORCE_FILL_OR_KILL
           : is_ioc                                ? FIX_TIME_IN_FORCE_IMMEDIATE_OR_CANCEL
                                                   : FIX_TIME_IN_FORCE_DAY;
  if (options & HWGW_ORDER_OPTION_POST_ONLY) out = FIX_PUT(out, "\00118=6");
  if (options & HWGW_ORDER_OPTION_HIDDEN) out = FIX_PUT(out, "\001111=0");
  if (display_qty) out = fix_put_number(FIX_PUT(out, "\001111="), display_qty);
  return out;
}

uint32_t hwgw_order_fix_encode(const struct hwgw_order_fix *fix, const struct hwgw_order *order, uint32_t seq,
                               uint64_t now_ns, uint8_t *out) {
  bool is_new = order->kind == HWGW_ORDER_KIND_NEW;
  char side_code = hwgw_order_side_code(order);
  if (order->ref == 0 || !side_code || order->instrument >= fix->instrument_cnt) return 0;
  uint8_t *end;
  if (is_new) {
    end = fix_writer_begin(&fix->writer, out, FIX_NEW_ORDER_SINGLE, seq, now_ns);
  } else {
    if (order->kind != HWGW_ORDER_KIND_REPLACE || order->orig_ref == 0 || order->orig_ref >= order->ref) return 0;
    end = fix_writer_begin(&fix->writer, out, FIX_ORDER_CANCEL_REPLACE_REQUEST, seq, now_ns);
    end = token_field(FIX_PUT(end, "41="), order->orig_ref);
    *end++ = FIX_SOH;
  }
  end = token_field(FIX_PUT(end, "11="), order->ref);
  end = FIX_PUT(end, "\00121=1");
  end = about_put(fix, end, order->instrument, side_code, now_ns);
  end = terms_put(order, end);
  if (!end) return 0;
  if (is_new && fix->capacity != OUCH50_CAPACITY_OTHER) {
    end = fix->writer.is_44 ? FIX_PUT(end, "\001528=") : FIX_PUT(end, "\00147=");
    *end++ = (uint8_t)fix->capacity;
  }
  if (is_new && order->flags) end = FIX_PUT(end, "\001114=N");
  *end++ = FIX_SOH;
  return fix_close(out, end);
}

uint32_t hwgw_order_fix_cancel(const struct hwgw_order_fix *fix, uint32_t ref, uint32_t instrument, char side_code,
                               uint32_t total, uint32_t seq, uint64_t now_ns, uint8_t *out) {
  uint8_t *end = fix_writer_begin(&fix->writer, out, FIX_ORDER_CANCEL_REQUEST, seq, now_ns);
  end = token_field(FIX_PUT(end, "41="), ref);
  end = token_field(FIX_PUT(end, "\00111=C"), seq);
  end = about_put(fix, end, instrument, side_code, now_ns);
  end = fix_put_number(FIX_PUT(end, "\00138="), total);
  *end++ = FIX_SOH;
  return fix_close(out, end);
}

uint32_t hwgw_order_fix_mass_cancel(const struct hwgw_order_fix *fix, uint32_t instrument, uint32_t seq,
                                    uint64_t now_ns, uint8_t *out) {
  bool is_all = instrument == UINT32_MAX;
  if (!fix->writer.is_44 || (!is_all && instrument >= fix->instrument_cnt)) return 0;
  uint8_t *end = fix_writer_begin(&fix->writer, out, FIX_ORDER_MASS_CANCEL_REQUEST, seq, now_ns);
  end = token_field(FIX_PUT(end, "11=M"), seq);
  end = FIX_PUT(end, "\001530=");
  *end++ = is_all ? FIX_MASS_CANCEL_REQUEST_TYPE_ALL_ORDERS : FIX_MASS_CANCEL_REQUEST_TYPE_ORDERS_OF_A_SECURITY;
  if (!is_all) end = symbol_put(fix, end, instrument);
  end = fix_writer_time(&fix->writer, FIX_PUT(end, "\00160="), now_ns);
  *end++ = FIX_SOH;
  return fix_close(out, end);
}

/* ---- decode ---- */

/* the fields of the messages we read, by tag; those that are not kept share one that nobody reads */
enum field {
  UNREAD,
  TYPE,
  ID,
  ORIG_ID,
  EXEC_ID,
  EXEC_REF_ID,
  EXEC_TYPE,
  TRANS_TYPE,
  SYMBOL,
  SIDE,
  QTY,
  LEAVES,
  CUM,
  LAST_QTY,
  LAST_PX,
  PX,
  POSS_RESEND,
  REJECT_REASON,
  CXL_REASON,
  CXL_TO,
  ORDER_ID,
  FIELD_CNT
};

static const uint8_t field_by_tag[512] = {
    [FIX_TAG_MSG_TYPE] = TYPE,
    [FIX_TAG_CL_ORD_ID] = ID,
    [FIX_TAG_ORIG_CL_ORD_ID] = ORIG_ID,
    [FIX_TAG_EXEC_ID] = EXEC_ID,
    [FIX_TAG_EXEC_REF_ID] = EXEC_REF_ID,
    [FIX_TAG_EXEC_TYPE] = EXEC_TYPE,
    [FIX_TAG_EXEC_TRANS_TYPE] = TRANS_TYPE,
    [FIX_TAG_SYMBOL] = SYMBOL,
    [FIX_TAG_SIDE] = SIDE,
    [FIX_TAG_ORDER_QTY] = QTY,
    [FIX_TAG_LEAVES_QTY] = LEAVES,
    [FIX_TAG_CUM_QTY] = CUM,
    [FIX_TAG_LAST_SHARES] = LAST_QTY,
    [FIX_TAG_LAST_PX] = LAST_PX,
    [FIX_TAG_PRICE] = PX,
    [FIX_TAG_POSS_RESEND] = POSS_RESEND,
    [FIX_TAG_ORD_REJ_REASON] = REJECT_REASON,
    [FIX_TAG_CXL_REJ_REASON] = CXL_REASON,
    [FIX_TAG_CXL_REJ_RESPONSE_TO] = CXL_TO,
    [FIX_TAG_ORDER_ID] = ORDER_ID,
};

/* every field of a message; false when it is not fields from end to end */
static bool fields_read(const uint8_t *message, uint32_t len, struct fix_text field[FIELD_CNT]) {
  const uint8_t *at = message, *end = message + len - FIX_TRAILER_SZ;
  uint32_t tag, skip = 0;
  struct fix_text value;
  memset(field, 0, FIELD_CNT * sizeof *field);
  while (at < end) {
    if (!fix_next(&at, end, skip, &tag, &value)) return false;
    uint64_t bytes = 0;
    if (HWGW_UNLIKELY(FIX_IS_DATA_LENGTH(tag)) && !fix_number(value, len, &bytes)) return false;
    skip = (uint32_t)bytes;
    if (tag < sizeof field_by_tag) field[field_by_tag[tag]] = value;
  }
  return true;
}

static uint32_t ref_of(struct fix_text text) {
  return text.len == TOKEN_DIGITS ? token_get(text.at) : 0;
}

/* an identifier as a number: itself when it is one without zeros in front, else its hash with the highest bit set */
static uint64_t number_of(struct fix_text text) {
  uint64_t number;
  if (text.len && text.at[0] != '0' && fix_number(text, INT64_MAX, &number)) return number;
  return hwgw_fnv(HWGW_FNV_BASIS, text.at, text.len) | UINT64_C(1) << 63;
}

static bool qty_of(struct fix_text text, uint32_t *qty) {
  uint64_t number;
  if (!fix_decimal(text, 0, UINT32_MAX, &number)) return false;
  *qty = (uint32_t)number;
  return true;
}

static bool px_of(struct fix_text text, uint32_t *px) {
  uint64_t number;
  if (!fix_decimal(text, PX_DECIMALS, UINT32_MAX, &number)) return false;
  *px = (uint32_t)number;
  return true;
}

static uint32_t reason_of(struct fix_text text) {
  uint64_t number;
  return fix_number(text, UINT32_MAX, &number) ? (uint32_t)number : 0;
}

static bool side_set(struct hwgw_order *event, struct hwgw_said *said, struct fix_text text) {
  event->side = HWGW_ORDER_SIDE_SELL;
  switch (text.len == 1 ? text.at[0] : 0) {
    case FIX_SIDE_BUY:
      event->side = HWGW_ORDER_SIDE_BUY;
      said->side_code = OUCH50_SIDE_BUY;
      return true;
    case FIX_SIDE_SELL:
      said->side_code = OUCH50_SIDE_SELL;
      return true;
    case FIX_SIDE_SELL_SHORT:
      event->flags = HWGW_ORDER_FLAGS_SHORT_SALE;
      said->side_code = OUCH50_SIDE_SHORT;
      return true;
    case FIX_SIDE_SELL_SHORT_EXEMPT:
      event->flags = HWGW_ORDER_FLAGS_SHORT_EXEMPT;
      said->side_code = OUCH50_SIDE_SHORT_EXEMPT;
      return true;
    default:
      return false;
  }
}

static bool about_set(const struct fix_text *field, struct hwgw_order *event, struct hwgw_said *said) {
  if (!side_set(event, said, field[SIDE]) || field[SYMBOL].len == 0 || field[SYMBOL].len > SYMBOL_SZ) return false;
  memset(said->symbol_text, ' ', sizeof said->symbol_text);
  memcpy(said->symbol_text, field[SYMBOL].at, field[SYMBOL].len);
  said->symbol = said->symbol_text;
  event->venue_ref = number_of(field[ORDER_ID]);
  return field[PX].len == 0 || px_of(field[PX], &event->px);
}

static uint32_t broken(const struct fix_text *field, struct hwgw_order *event) {
  event->kind = HWGW_ORDER_KIND_BROKEN;
  event->venue_ref = number_of(field[EXEC_REF_ID]);
  return hwgw_order_known(field[EXEC_REF_ID].len);
}

static uint32_t report(const struct fix_text *field, struct hwgw_order *event, struct hwgw_said *said) {
  uint32_t leaves, cum;
  char trans_type = field[TRANS_TYPE].len == 1 ? (char)field[TRANS_TYPE].at[0] : FIX_EXEC_TRANS_TYPE_NEW;
  if (field[EXEC_TYPE].len != 1) return HWGW_CNT_SESSION_DROP_UNKNOWN;
  event->ref = ref_of(field[ID]);
  if (trans_type == FIX_EXEC_TRANS_TYPE_STATUS) return HWGW_CNT_SESSION_IGNORED;
  if (trans_type == FIX_EXEC_TRANS_TYPE_CANCEL) return broken(field, event);
  if (trans_type != FIX_EXEC_TRANS_TYPE_NEW) return HWGW_CNT_SESSION_DROP_UNKNOWN;
  switch (field[EXEC_TYPE].at[0]) {
    case FIX_EXEC_TYPE_FIX44_NEW:
      event->kind = HWGW_ORDER_KIND_ACCEPTED;
      if (field[QTY].len) return hwgw_order_known(qty_of(field[QTY], &event->qty) && about_set(field, event, said));
      if (!qty_of(field[LEAVES], &leaves) || !qty_of(field[CUM], &cum) ||
          __builtin_add_overflow(leaves, cum, &event->qty))
        return HWGW_CNT_SESSION_DROP_UNKNOWN;
      return hwgw_order_known(about_set(field, event, said));
    case FIX_EXEC_TYPE_FIX44_REPLACED:
      event->kind = HWGW_ORDER_KIND_REPLACED;
      event->orig_ref = ref_of(field[ORIG_ID]);
      return hwgw_order_known(qty_of(field[LEAVES], &event->qty) && about_set(field, event, said));
    case FIX_EXEC_TYPE_FIX42_PARTIAL_FILL:
    case FIX_EXEC_TYPE_FIX42_FILL:
    case FIX_EXEC_TYPE_FIX44_TRADE:
      event->kind = HWGW_ORDER_KIND_EXECUTED;
      event->venue_ref = number_of(field[EXEC_ID]);
      return hwgw_order_known(qty_of(field[LAST_QTY], &event->qty) && px_of(field[LAST_PX], &event->px) &&
                              field[EXEC_ID].len);
    case FIX_EXEC_TYPE_FIX44_DONE_FOR_DAY:
    case FIX_EXEC_TYPE_FIX44_CANCELLED:
    case FIX_EXEC_TYPE_FIX44_EXPIRED: /* by request the order is the one that ours named; else it is the order's own id */
      event->kind = HWGW_ORDER_KIND_CANCELED;
      if (event->ref == 0) event->ref = ref_of(field[ORIG_ID]);
      event->reason = field[EXEC_TYPE].at[0];
      said->is_rest = true;
      return 0;
    case FIX_EXEC_TYPE_FIX44_REJECTED:
      event->kind = HWGW_ORDER_KIND_REJECTED;
      event->reason = reason_of(field[REJECT_REASON]);
      return 0;
    case FIX_EXEC_TYPE_FIX44_TRADE_CANCEL:
      return broken(field, event);
    case FIX_EXEC_TYPE_FIX44_PENDING_NEW:
    case FIX_EXEC_TYPE_FIX44_PENDING_CANCEL:
    case FIX_EXEC_TYPE_FIX44_PENDING_REPLACE:
    case FIX_EXEC_TYPE_FIX44_ORDER_STATUS:
      return HWGW_CNT_SESSION_IGNORED;
    default:
      return HWGW_CNT_SESSION_DROP_UNKNOWN;
  }
}

/* a refused cancel changes nothing; a refused replace ends the replacement alone */
static uint32_t cancel_reject(const struct fix_text *field, struct hwgw_order *event) {
  if (field[CXL_TO].len != 1) return HWGW_CNT_SESSION_DROP_UNKNOWN;
  if (field[CXL_TO].at[0] == FIX_CXL_REJ_RESPONSE_TO_CANCEL_REQUEST) return HWGW_CNT_SESSION_IGNORED;
  event->kind = HWGW_ORDER_KIND_REJECTED;
  event->ref = ref_of(field[ID]);
  event->reason = reason_of(field[CXL_REASON]);
  return 0;
}

uint32_t hwgw_order_fix_decode(const uint8_t *message, uint32_t len, struct hwgw_order *event, struct hwgw_said *said) {
  struct fix_text field[FIELD_CNT];
  memset(event, 0, sizeof *event);
  memset(said, 0, sizeof *said);
  if (fix_len(message, len, len) != len) return HWGW_CNT_SESSION_DROP_LENGTH;
  if (!fields_read(message, len, field) || field[TYPE].len != 1) return HWGW_CNT_SESSION_DROP_UNKNOWN;
  said->is_resend = field[POSS_RESEND].len && field[POSS_RESEND].at[0] == 'Y';
  switch (field[TYPE].at[0]) {
    case FIX_EXECUTION_REPORT:
      return report(field, event, said);
    case FIX_ORDER_CANCEL_REJECT:
      return cancel_reject(field, event);
    case FIX_ORDER_MASS_CANCEL_REPORT: /* each order ends with a report of its own; the link reads a refusal */
      return HWGW_CNT_SESSION_IGNORED;
    default:
      return HWGW_CNT_SESSION_DROP_UNKNOWN;
  }
}
