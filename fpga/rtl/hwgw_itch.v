// hwgw_itch: one Nasdaq TotalView-ITCH 5.0 message to one event record, and the filter by locate.
//
// SPDX-License-Identifier: MIT
//
// Input: messages of hwgw_arbiter, one per cycle at most. Output: the record of hwgw/specs/event.yaml, little-endian, as
// itch.c makes it; what a kind does not use is 0. Never stalled.
// Order of checks: length 0 (drop_length), unknown type (drop_unknown), another length than the type's (drop_length); then the
// locate table: m_valid falls for an instrument that is not on, unless cfg_all (book.drop_instrument); locate 0 belongs to no
// instrument and passes. Locates of 2^LOCATE_W and more are never on. Rows of the table are off after configuration of the
// device and are written through cfg_symbol_*, a cycle behind cmd_symbol_locate; a message in the cycle of the write has the new row.
// Code letters are not judged: an unknown side is side none. A cross of more than 4,294,967,295 shares shows that number.
// Latency: 2 cycles.
`default_nettype none
`include "hwgw_specs.vh"

module hwgw_itch #(
    parameter DATA_SZ = `ITCH50_TRADE_NON_CROSS_LEN,
    parameter LOCATE_W = 14,
    parameter INSTRUMENT_W = 10
) (
    input  wire                    clk,
    input  wire [            15:0] cfg_channel,
    input  wire                    cfg_all,
    input  wire                    cmd_symbol_locate,
    input  wire [            15:0] cfg_symbol_locate,
    input  wire                    cfg_symbol_is_on,
    input  wire [INSTRUMENT_W-1:0] cfg_symbol_instrument,
    input  wire [   8*DATA_SZ-1:0] s_data,
    input  wire [             7:0] s_code_n,  // its first byte once more, for the type alone; inverted, as equal registers become one
    input  wire [             5:0] s_len,
    input  wire [            63:0] s_seq,
    input  wire                    s_line,
    input  wire [            63:0] s_t_rx,
    input  wire                    s_valid,
    output wire [           511:0] m_event,
    output reg                     m_valid,
    output reg                     m_is_on,  // the instrument of this event is subscribed
    output reg                     pulse_messages,
    output reg                     pulse_drop_length,
    output reg                     pulse_drop_unknown,
    output wire                    pulse_drop_instrument,
    input  wire                    rst
);

  `include "hwgw_types.vh"

  // big-endian fields of a message
  function [15:0] be16;
    input [8*DATA_SZ-1:0] data;
    input integer off;
    be16 = {data[8*off+:8], data[8*off+8+:8]};
  endfunction
  function [31:0] be32;
    input [8*DATA_SZ-1:0] data;
    input integer off;
    be32 = {data[8*off+:8], data[8*off+8+:8], data[8*off+16+:8], data[8*off+24+:8]};
  endfunction
  function [63:0] be64;
    input [8*DATA_SZ-1:0] data;
    input integer off;
    be64 = {be32(data, off), be32(data, off + 4)};
  endfunction

  // what the tables have to agree on for fields that are read once for several types
  generate
    if (`ITCH50_ADD_ORDER_MPID_ORDER_REFERENCE_NUMBER_OFF != `ITCH50_ADD_ORDER_ORDER_REFERENCE_NUMBER_OFF ||
        `ITCH50_ORDER_EXECUTED_ORDER_REFERENCE_NUMBER_OFF != `ITCH50_ADD_ORDER_ORDER_REFERENCE_NUMBER_OFF ||
        `ITCH50_ORDER_EXECUTED_WITH_PRICE_ORDER_REFERENCE_NUMBER_OFF != `ITCH50_ADD_ORDER_ORDER_REFERENCE_NUMBER_OFF ||
        `ITCH50_ORDER_CANCEL_ORDER_REFERENCE_NUMBER_OFF != `ITCH50_ADD_ORDER_ORDER_REFERENCE_NUMBER_OFF ||
        `ITCH50_ORDER_DELETE_ORDER_REFERENCE_NUMBER_OFF != `ITCH50_ADD_ORDER_ORDER_REFERENCE_NUMBER_OFF ||
        `ITCH50_ORDER_REPLACE_ORIGINAL_ORDER_REFERENCE_NUMBER_OFF != `ITCH50_ADD_ORDER_ORDER_REFERENCE_NUMBER_OFF ||
        `ITCH50_TRADE_NON_CROSS_ORDER_REFERENCE_NUMBER_OFF != `ITCH50_ADD_ORDER_ORDER_REFERENCE_NUMBER_OFF ||
        `ITCH50_STOCK_DIRECTORY_STOCK_OFF != `ITCH50_ADD_ORDER_ORDER_REFERENCE_NUMBER_OFF ||
        `ITCH50_ORDER_EXECUTED_WITH_PRICE_MATCH_NUMBER_OFF != `ITCH50_ORDER_EXECUTED_MATCH_NUMBER_OFF ||
        `ITCH50_ORDER_EXECUTED_WITH_PRICE_EXECUTED_SHARES_OFF != `ITCH50_ORDER_EXECUTED_EXECUTED_SHARES_OFF ||
        `ITCH50_ORDER_CANCEL_CANCELLED_SHARES_OFF != `ITCH50_ORDER_EXECUTED_EXECUTED_SHARES_OFF ||
        `ITCH50_ADD_ORDER_MPID_SHARES_OFF != `ITCH50_ADD_ORDER_SHARES_OFF ||
        `ITCH50_TRADE_NON_CROSS_SHARES_OFF != `ITCH50_ADD_ORDER_SHARES_OFF ||
        `ITCH50_ADD_ORDER_MPID_SIDE_OFF != `ITCH50_ADD_ORDER_SIDE_OFF ||
        `ITCH50_TRADE_NON_CROSS_SIDE_OFF != `ITCH50_ADD_ORDER_SIDE_OFF ||
        `ITCH50_ADD_ORDER_MPID_PRICE_OFF != `ITCH50_ADD_ORDER_PRICE_OFF ||
        `ITCH50_TRADE_NON_CROSS_PRICE_OFF != `ITCH50_ADD_ORDER_PRICE_OFF ||
        `ITCH50_ORDER_EXECUTED_WITH_PRICE_EXECUTION_PRICE_OFF != `ITCH50_ADD_ORDER_PRICE_OFF) begin : g_bad_offsets
      hwgw_itch_shared_fields_do_not_lie_alike stop ();
    end
  endgenerate

  // ---- the locate table ----

  (* no_rw_check *)  // no row is used that is read in the cycle in which it is written
  reg  [INSTRUMENT_W:0] symbols[0:(1<<LOCATE_W)-1];
  reg  [INSTRUMENT_W:0] symbol_q;
  reg                   is_row_q;  // the locate has a row, which was not written in that cycle
  reg                   is_passed_q;  // without one, or with one that was written on
  reg                   is_given_q;  // a row is written
  reg  [  LOCATE_W-1:0] given_locate_q;
  reg  [INSTRUMENT_W:0] given_q;
  reg                   is_new_q;  // the row was written in that cycle: it is
  reg  [INSTRUMENT_W-1:0] new_q;
  wire [          15:0] locate = be16(s_data, `ITCH50_MESSAGE_HEADER_STOCK_LOCATE_OFF);
  wire                  is_new = is_given_q && locate == {{(16 - LOCATE_W) {1'b0}}, given_locate_q};

`ifndef SYNTHESIS  // block RAM is 0 after configuration of the device
  integer row;
  initial for (row = 0; row < (1 << LOCATE_W); row = row + 1) symbols[row] = {(INSTRUMENT_W + 1) {1'b0}};
`endif

  always @(posedge clk) begin
    is_given_q     <= cmd_symbol_locate && cfg_symbol_locate[15:LOCATE_W] == {(16 - LOCATE_W) {1'b0}};
    given_locate_q <= cfg_symbol_locate[LOCATE_W-1:0];
    given_q        <= {cfg_symbol_is_on, cfg_symbol_instrument};
    if (is_given_q) symbols[given_locate_q] <= given_q;
    if (s_valid) symbol_q <= symbols[locate[LOCATE_W-1:0]];
    is_row_q    <= locate[15:LOCATE_W] == {(16 - LOCATE_W) {1'b0}} && !is_new;
    is_passed_q <= cfg_all || locate == 16'd0 || (is_new && given_q[INSTRUMENT_W]);
    is_new_q    <= is_new && given_q[INSTRUMENT_W];
    new_q       <= given_q[INSTRUMENT_W-1:0];
  end

  // ---- 1: the type ----

  wire [7:0] code = ~s_code_n;
  wire [5:0] type_len = itch50_length(code);

  reg  [8*DATA_SZ-1:0] data_q;
  reg  [         63:0] seq_q;
  reg                  line_q;
  reg  [         63:0] t_rx_q;
  reg                  is_good_q;
  reg                  is_length_q;
  reg                  is_unknown_q;
  reg  [          7:0] kind_q;
  reg is_replace_q, is_trade_q, is_cross_q, is_broken_q;
  // which types have a field, by where it lies; what the messages share stands once
  reg has_ref_q, has_match_q, has_side_q, has_executed_q, has_px_q;
  reg is_buy_q, is_sell_q, is_printable_q, is_trading_q;
  reg                  is_cross_qty_wide_q;  // of more than 32 bits

  wire is_system = code == `ITCH50_SYSTEM_EVENT_CODE;
  wire is_directory = code == `ITCH50_STOCK_DIRECTORY_CODE;
  wire is_action = code == `ITCH50_STOCK_TRADING_ACTION_CODE;
  wire is_halt = code == `ITCH50_OPERATIONAL_HALT_CODE;
  wire is_add = code == `ITCH50_ADD_ORDER_CODE || code == `ITCH50_ADD_ORDER_MPID_CODE;
  wire is_executed = code == `ITCH50_ORDER_EXECUTED_CODE;
  wire is_priced = code == `ITCH50_ORDER_EXECUTED_WITH_PRICE_CODE;
  wire is_cancel = code == `ITCH50_ORDER_CANCEL_CODE;
  wire is_delete = code == `ITCH50_ORDER_DELETE_CODE;
  wire is_replace = code == `ITCH50_ORDER_REPLACE_CODE;
  wire is_trade = code == `ITCH50_TRADE_NON_CROSS_CODE;
  wire is_cross = code == `ITCH50_CROSS_TRADE_CODE;
  wire is_broken = code == `ITCH50_BROKEN_TRADE_CODE;

  wire [7:0] kind = (is_add ? `HWGW_EVENT_KIND_ADD : 8'd0) | (is_executed ? `HWGW_EVENT_KIND_EXECUTE : 8'd0) |
       (is_priced ? `HWGW_EVENT_KIND_EXECUTE_WITH_PRICE : 8'd0) | (is_cancel ? `HWGW_EVENT_KIND_REDUCE : 8'd0) |
       (is_delete ? `HWGW_EVENT_KIND_DELETE : 8'd0) | (is_replace ? `HWGW_EVENT_KIND_REPLACE : 8'd0) |
       (is_trade ? `HWGW_EVENT_KIND_TRADE : 8'd0) | (is_cross ? `HWGW_EVENT_KIND_CROSS : 8'd0) |
       (is_broken ? `HWGW_EVENT_KIND_BREAK : 8'd0) | (is_action || is_halt ? `HWGW_EVENT_KIND_STATUS : 8'd0) |
       (is_directory ? `HWGW_EVENT_KIND_DIRECTORY : 8'd0) | (is_system ? `HWGW_EVENT_KIND_SYSTEM : 8'd0);

  always @(posedge clk) begin
    if (s_valid) begin
      data_q <= s_data;
      seq_q  <= s_seq;
      line_q <= s_line;
      t_rx_q <= s_t_rx;
    end
    is_good_q    <= s_valid && type_len != 6'd0 && s_len == type_len;
    is_length_q  <= s_valid && (s_len == 6'd0 || (type_len != 6'd0 && s_len != type_len));
    is_unknown_q <= s_valid && s_len != 6'd0 && type_len == 6'd0;

    kind_q         <= kind;
    is_replace_q   <= is_replace;
    is_trade_q     <= is_trade;
    is_cross_q     <= is_cross;
    is_broken_q    <= is_broken;
    has_ref_q      <= is_add || is_executed || is_priced || is_cancel || is_delete || is_replace || is_trade ||
                      is_directory;  // the symbol of a directory message lies there
    has_match_q    <= is_executed || is_priced;
    has_side_q     <= is_add || is_trade;
    has_executed_q <= is_executed || is_priced || is_cancel;
    has_px_q       <= is_add || is_trade || is_priced;
    is_buy_q       <= s_data[8*`ITCH50_ADD_ORDER_SIDE_OFF+:8] == `ITCH50_SIDE_BUY;
    is_sell_q      <= s_data[8*`ITCH50_ADD_ORDER_SIDE_OFF+:8] == `ITCH50_SIDE_SELL;
    is_printable_q <= is_executed || is_trade || is_cross || (is_priced &&
        s_data[8*`ITCH50_ORDER_EXECUTED_WITH_PRICE_PRINTABLE_OFF+:8] == `ITCH50_YES_NO_YES);
    is_trading_q   <=
        (is_action && s_data[8*`ITCH50_STOCK_TRADING_ACTION_TRADING_STATE_OFF+:8] == `ITCH50_TRADING_STATE_TRADING) ||
        (is_halt && s_data[8*`ITCH50_OPERATIONAL_HALT_OPERATIONAL_HALT_ACTION_OFF+:8] ==
         `ITCH50_OPERATIONAL_HALT_ACTION_RESUMED);
    is_cross_qty_wide_q <= be32(s_data, `ITCH50_CROSS_TRADE_SHARES_OFF) != 32'd0;
    if (rst) begin
      is_good_q    <= 1'b0;
      is_length_q  <= 1'b0;
      is_unknown_q <= 1'b0;
    end
  end

  // ---- 2: its fields; at most one type is on, so that a field is the OR of what the types have ----

  wire [31:0] cross_qty = be32(data_q, `ITCH50_CROSS_TRADE_SHARES_OFF + 4) | {32{is_cross_qty_wide_q}};
  wire        is_on = is_row_q && symbol_q[INSTRUMENT_W];

  reg [ 7:0] kind_q2;
  reg [ 7:0] side_q2;
  reg [ 7:0] code_q2;
  reg        line_q2;
  reg [INSTRUMENT_W-1:0] instrument_q2;
  reg        is_new_q2;
  reg [INSTRUMENT_W-1:0] new_q2;
  wire [INSTRUMENT_W-1:0] instrument = is_new_q2 ? new_q2 : instrument_q2;
  reg [63:0] seq_q2;
  reg [47:0] ts_ns_q2;
  reg [63:0] t_rx_q2;
  reg [63:0] ref_q2;
  reg [63:0] ref_new_q2;
  reg [31:0] qty_q2;
  reg [31:0] px_q2;
  reg [15:0] locate_q2;
  reg [31:0] flags_q2;

  always @(posedge clk) begin
    m_valid               <= is_good_q && (is_on || is_passed_q);
    m_is_on               <= is_on || is_new_q;
    is_new_q2             <= is_new_q;
    new_q2                <= new_q;
    pulse_messages        <= is_good_q;
    pulse_drop_length     <= is_length_q;
    pulse_drop_unknown    <= is_unknown_q;

    if (is_good_q) begin
      kind_q2       <= kind_q;
      side_q2       <= has_side_q && is_buy_q ? `HWGW_EVENT_SIDE_BUY : has_side_q && is_sell_q ? `HWGW_EVENT_SIDE_SELL :
                       `HWGW_EVENT_SIDE_NONE;
      code_q2       <= data_q[7:0];
      line_q2       <= line_q;
      instrument_q2 <= symbol_q[INSTRUMENT_W-1:0];
      seq_q2        <= seq_q;
      ts_ns_q2      <= {be16(data_q, `ITCH50_MESSAGE_HEADER_TIMESTAMP_OFF), be32(data_q, `ITCH50_MESSAGE_HEADER_TIMESTAMP_OFF + 2)};
      t_rx_q2       <= t_rx_q;
      ref_q2        <= has_ref_q ? be64(data_q, `ITCH50_ADD_ORDER_ORDER_REFERENCE_NUMBER_OFF) : 64'd0;
      ref_new_q2    <= (has_match_q ? be64(data_q, `ITCH50_ORDER_EXECUTED_MATCH_NUMBER_OFF) : 64'd0) |
                       (is_replace_q ? be64(data_q, `ITCH50_ORDER_REPLACE_NEW_ORDER_REFERENCE_NUMBER_OFF) : 64'd0) |
                       (is_trade_q ? be64(data_q, `ITCH50_TRADE_NON_CROSS_MATCH_NUMBER_OFF) : 64'd0) |
                       (is_cross_q ? be64(data_q, `ITCH50_CROSS_TRADE_MATCH_NUMBER_OFF) : 64'd0) |
                       (is_broken_q ? be64(data_q, `ITCH50_BROKEN_TRADE_MATCH_NUMBER_OFF) : 64'd0);
      qty_q2        <= (has_side_q ? be32(data_q, `ITCH50_ADD_ORDER_SHARES_OFF) : 32'd0) |
                       (has_executed_q ? be32(data_q, `ITCH50_ORDER_EXECUTED_EXECUTED_SHARES_OFF) : 32'd0) |
                       (is_replace_q ? be32(data_q, `ITCH50_ORDER_REPLACE_SHARES_OFF) : 32'd0) |
                       (is_cross_q ? cross_qty : 32'd0);
      px_q2         <= (has_px_q ? be32(data_q, `ITCH50_ADD_ORDER_PRICE_OFF) : 32'd0) |
                       (is_replace_q ? be32(data_q, `ITCH50_ORDER_REPLACE_PRICE_OFF) : 32'd0) |
                       (is_cross_q ? be32(data_q, `ITCH50_CROSS_TRADE_CROSS_PRICE_OFF) : 32'd0);
      locate_q2     <= be16(data_q, `ITCH50_MESSAGE_HEADER_STOCK_LOCATE_OFF);
      flags_q2      <= (is_printable_q ? `HWGW_EVENT_FLAGS_PRINTABLE : 32'd0) |
                       (is_trading_q ? `HWGW_EVENT_FLAGS_TRADING : 32'd0);
    end
    if (rst) begin
      m_valid               <= 1'b0;
      pulse_messages        <= 1'b0;
      pulse_drop_length     <= 1'b0;
      pulse_drop_unknown    <= 1'b0;
    end
  end

  assign pulse_drop_instrument = pulse_messages && !m_valid;

  assign m_event[8*`HWGW_EVENT_KIND_OFF+:8]        = kind_q2;
  assign m_event[8*`HWGW_EVENT_SIDE_OFF+:8]        = side_q2;
  assign m_event[8*`HWGW_EVENT_CODE_OFF+:8]        = code_q2;
  assign m_event[8*`HWGW_EVENT_LINE_OFF+:8]        = {7'd0, line_q2};
  assign m_event[8*`HWGW_EVENT_INSTRUMENT_OFF+:32] = m_is_on ? {{(32 - INSTRUMENT_W) {1'b0}}, instrument} : 32'hffffffff;
  assign m_event[8*`HWGW_EVENT_SEQ_OFF+:64]        = seq_q2;
  assign m_event[8*`HWGW_EVENT_TS_NS_OFF+:64]      = {16'd0, ts_ns_q2};
  assign m_event[8*`HWGW_EVENT_T_RX_OFF+:64]       = t_rx_q2;
  assign m_event[8*`HWGW_EVENT_REF_OFF+:64]        = ref_q2;
  assign m_event[8*`HWGW_EVENT_REF_NEW_OFF+:64]    = ref_new_q2;
  assign m_event[8*`HWGW_EVENT_QTY_OFF+:32]        = qty_q2;
  assign m_event[8*`HWGW_EVENT_PX_OFF+:32]         = px_q2;
  assign m_event[8*`HWGW_EVENT_CHANNEL_OFF+:16]    = cfg_channel;
  assign m_event[8*`HWGW_EVENT_LOCATE_OFF+:16]     = locate_q2;
  assign m_event[8*`HWGW_EVENT_FLAGS_OFF+:32]      = flags_q2;

endmodule

`default_nettype wire
