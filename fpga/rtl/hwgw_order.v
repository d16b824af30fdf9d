// hwgw_order: an order record becomes the bytes of its OUCH 5.0 message in a SoupBinTCP packet.
//
// SPDX-License-Identifier: MIT
//
// Input: an order record of hwgw/specs/order.yaml, one per cycle at most. Output: for each of them, in order, either a whole
// unsequenced packet (byte 0 in m_packet[7:0], 0 behind m_len) or m_is_good low, when the protocol cannot say it.
// The bytes and the refusals are those of cffi_build/src/order.c and sim/golden/order.py, but for options (venue_ref of a new or
// replace): orders with any are the host's to send, and refused here. Order of checks: kind; ref; side with flags, type, tif,
// instrument (new); orig_ref below ref, type, tif (replace); px 1 to 199,999.9900 for limit orders; qty 1 to 999,999. A market order carries the table's market price, its own px is not read. A cancel's qty is the intended total, 0 =
// all, and goes through as it is. What a record holds in fields that its kind does not use is not looked at.
// Symbols: a row of 8 characters per instrument, the first in [7:0], written by the host; instruments from cfg_instruments on
// have none. The firm is sent as a tag when it is not blank.
// Latency: 2 cycles. Throughput: an order per cycle; never stalls.
`default_nettype none
`include "hwgw_specs.vh"

module hwgw_order #(
    parameter INSTRUMENT_W = 10,
    parameter PACKET_W = 8 * (`SOUPBINTCP_UNSEQUENCED_DATA_LEN + `OUCH50_ENTER_ORDER_LEN + `OUCH50_TAG_FIRM_LEN)
) (
    input  wire                    clk,
    input  wire [            31:0] cfg_firm,         // its first character in [7:0]
    input  wire [             7:0] cfg_capacity,
    input  wire [             7:0] cfg_display,
    input  wire [  INSTRUMENT_W:0] cfg_instruments,
    input  wire                    cfg_symbol_we,
    input  wire [INSTRUMENT_W-1:0] cfg_symbol_row,
    input  wire [            63:0] cfg_symbol_text,
    input  wire [8*`HWGW_ORDER_LEN-1:0] s_order,
    input  wire                    s_valid,
    output reg  [    PACKET_W-1:0] m_packet,
    output reg  [             5:0] m_len,
    output reg                     m_is_good,
    output reg                     m_is_cancel,
    output reg                     m_valid,
    input  wire                    rst
);

  localparam HEADER = `SOUPBINTCP_UNSEQUENCED_DATA_LEN;
  localparam COUNTED = HEADER - `SOUPBINTCP_LENGTH_SZ;  // what the packet length counts of the header
  localparam ENTER = `OUCH50_ENTER_ORDER_LEN;
  localparam FIRM = `OUCH50_TAG_FIRM_LEN;
  localparam REPLACE = `OUCH50_REPLACE_ORDER_LEN;
  localparam CANCEL = `OUCH50_CANCEL_ORDER_LEN;
  localparam [31:0] BLANK_FIRM = {4{8'h20}};

  generate
    if (INSTRUMENT_W > 16 || PACKET_W > 8 * 63) begin : g_bad_width
      hwgw_order_parameters_do_not_fit stop ();
    end
  endgenerate

  function [15:0] be16;
    input [15:0] number;
    be16 = {number[7:0], number[15:8]};
  endfunction

  function [31:0] be32;
    input [31:0] number;
    be32 = {number[7:0], number[15:8], number[23:16], number[31:24]};
  endfunction

  // ---- 1: what the record says, and whether it can be said ----

  wire [ 7:0] kind = s_order[8*`HWGW_ORDER_KIND_OFF+:8];
  wire [ 7:0] side = s_order[8*`HWGW_ORDER_SIDE_OFF+:8];
  wire [ 7:0] order_type = s_order[8*`HWGW_ORDER_TYPE_OFF+:8];
  wire [ 7:0] tif = s_order[8*`HWGW_ORDER_TIF_OFF+:8];
  wire [15:0] flags = s_order[8*`HWGW_ORDER_FLAGS_OFF+:16];
  wire [31:0] order_ref = s_order[8*`HWGW_ORDER_REF_OFF+:32];
  wire [31:0] orig_ref = s_order[8*`HWGW_ORDER_ORIG_REF_OFF+:32];
  wire [31:0] instrument = s_order[8*`HWGW_ORDER_INSTRUMENT_OFF+:32];
  wire [31:0] px = s_order[8*`HWGW_ORDER_PX_OFF+:32];
  wire [31:0] qty = s_order[8*`HWGW_ORDER_QTY_OFF+:32];

  wire        is_new = kind == `HWGW_ORDER_KIND_NEW;
  wire        is_replace = kind == `HWGW_ORDER_KIND_REPLACE;
  wire        is_cancel = kind == `HWGW_ORDER_KIND_CANCEL;
  wire        is_market = order_type == `HWGW_ORDER_TYPE_MARKET;
  wire        is_limit = order_type == `HWGW_ORDER_TYPE_LIMIT && px >= 32'd1 && px <= `OUCH50_PX_MAX;
  wire        is_day = tif == `HWGW_ORDER_TIF_DAY;
  wire        is_ioc = tif == `HWGW_ORDER_TIF_IOC;
  wire        has_terms = is_plain && (is_market || is_limit) && (is_day || is_ioc) && qty >= 32'd1 && qty <= `OUCH50_QTY_MAX;
  wire        is_plain = s_order[8*`HWGW_ORDER_VENUE_REF_OFF+:64] == 64'd0;
  wire        has_symbol = instrument < {{(31 - INSTRUMENT_W) {1'b0}}, cfg_instruments};
  wire        is_known_flags = (flags & ~(`HWGW_ORDER_FLAGS_SHORT_SALE | `HWGW_ORDER_FLAGS_SHORT_EXEMPT)) == 16'd0;
  wire        is_exempt = (flags & `HWGW_ORDER_FLAGS_SHORT_EXEMPT) != 16'd0;  // exempt says short, too
  wire        is_buy = side == `HWGW_ORDER_SIDE_BUY && flags == 16'd0;
  wire        is_sell = side == `HWGW_ORDER_SIDE_SELL && is_known_flags;

  reg         valid_q;
  reg         is_good_q;
  reg         is_new_q;
  reg         is_replace_q;
  reg         is_cancel_q;
  reg  [ 7:0] side_q;
  reg  [ 7:0] tif_q;
  reg  [31:0] px_q;
  reg  [31:0] qty_q;
  reg  [31:0] ref_q;
  reg  [31:0] orig_ref_q;
  reg  [63:0] symbol_q;
  reg  [63:0] symbols      [0:(1<<INSTRUMENT_W)-1];

  always @(posedge clk) begin
    if (cfg_symbol_we) symbols[cfg_symbol_row] <= cfg_symbol_text;
    symbol_q <= symbols[instrument[INSTRUMENT_W-1:0]];
  end

  always @(posedge clk) begin
    is_new_q     <= is_new;
    is_replace_q <= is_replace;
    is_cancel_q  <= is_cancel;
    is_good_q    <= order_ref != 32'd0 &&
                    ((is_new && (is_buy || is_sell) && has_symbol && has_terms) ||
                     (is_replace && orig_ref != 32'd0 && orig_ref < order_ref && has_terms) || is_cancel);
    side_q <= is_buy ? `OUCH50_SIDE_BUY : is_exempt ? `OUCH50_SIDE_SHORT_EXEMPT :
              flags != 16'd0 ? `OUCH50_SIDE_SHORT : `OUCH50_SIDE_SELL;
    tif_q      <= is_day ? `OUCH50_TIME_IN_FORCE_DAY : `OUCH50_TIME_IN_FORCE_IOC;
    px_q       <= is_market ? `OUCH50_PX_MARKET : px;
    qty_q      <= qty;
    ref_q      <= order_ref;
    orig_ref_q <= orig_ref;
    valid_q    <= s_valid;
    if (rst) valid_q <= 1'b0;
  end

  // ---- 2: its bytes ----

  reg  [8*ENTER-1:0] enter;
  reg  [8*REPLACE-1:0] replace;
  reg  [8*CANCEL-1:0] cancel;
  reg  [8*FIRM-1:0] tag;
  wire               has_firm = cfg_firm != BLANK_FIRM;

  always @* begin
    enter                                                      = {ENTER{8'h20}};  // clordid stays blank
    enter[8*`OUCH50_ENTER_ORDER_MESSAGE_TYPE_OFF+:8]           = `OUCH50_ENTER_ORDER_CODE;
    enter[8*`OUCH50_ENTER_ORDER_USER_REF_NUM_OFF+:32]          = be32(ref_q);
    enter[8*`OUCH50_ENTER_ORDER_SIDE_OFF+:8]                   = side_q;
    enter[8*`OUCH50_ENTER_ORDER_QUANTITY_OFF+:32]              = be32(qty_q);
    enter[8*`OUCH50_ENTER_ORDER_SYMBOL_OFF+:64]                = symbol_q;
    enter[8*`OUCH50_ENTER_ORDER_PRICE_OFF+:64]                 = {be32(px_q), 32'd0};
    enter[8*`OUCH50_ENTER_ORDER_TIME_IN_FORCE_OFF+:8]          = tif_q;
    enter[8*`OUCH50_ENTER_ORDER_DISPLAY_OFF+:8]                = cfg_display;
    enter[8*`OUCH50_ENTER_ORDER_CAPACITY_OFF+:8]               = cfg_capacity;
    enter[8*`OUCH50_ENTER_ORDER_INTERMARKET_SWEEP_OFF+:8]      = `OUCH50_INTERMARKET_SWEEP_NOT_ELIGIBLE;
    enter[8*`OUCH50_ENTER_ORDER_CROSS_TYPE_OFF+:8]             = `OUCH50_CROSS_TYPE_CONTINUOUS;
    enter[8*`OUCH50_ENTER_ORDER_APPENDAGE_LENGTH_OFF+:16]      = be16(has_firm ? FIRM : 16'd0);

    tag                                                        = {8 * FIRM{1'b0}};
    tag[8*`OUCH50_TAG_FIRM_LENGTH_OFF+:8]                      = FIRM - `OUCH50_TAG_FIRM_TAG_OFF;
    tag[8*`OUCH50_TAG_FIRM_TAG_OFF+:8]                         = `OUCH50_TAG_FIRM_CODE;
    tag[8*`OUCH50_TAG_FIRM_VALUE_OFF+:32]                      = cfg_firm;

    replace                                                    = {REPLACE{8'h20}};
    replace[8*`OUCH50_REPLACE_ORDER_MESSAGE_TYPE_OFF+:8]       = `OUCH50_REPLACE_ORDER_CODE;
    replace[8*`OUCH50_REPLACE_ORDER_ORIG_USER_REF_NUM_OFF+:32] = be32(orig_ref_q);
    replace[8*`OUCH50_REPLACE_ORDER_USER_REF_NUM_OFF+:32]      = be32(ref_q);
    replace[8*`OUCH50_REPLACE_ORDER_QUANTITY_OFF+:32]          = be32(qty_q);
    replace[8*`OUCH50_REPLACE_ORDER_PRICE_OFF+:64]             = {be32(px_q), 32'd0};
    replace[8*`OUCH50_REPLACE_ORDER_TIME_IN_FORCE_OFF+:8]      = tif_q;
    replace[8*`OUCH50_REPLACE_ORDER_DISPLAY_OFF+:8]            = cfg_display;
    replace[8*`OUCH50_REPLACE_ORDER_INTERMARKET_SWEEP_OFF+:8]  = `OUCH50_INTERMARKET_SWEEP_NOT_ELIGIBLE;
    replace[8*`OUCH50_REPLACE_ORDER_APPENDAGE_LENGTH_OFF+:16]  = 16'd0;

    cancel                                                     = {CANCEL{8'h20}};
    cancel[8*`OUCH50_CANCEL_ORDER_MESSAGE_TYPE_OFF+:8]         = `OUCH50_CANCEL_ORDER_CODE;
    cancel[8*`OUCH50_CANCEL_ORDER_USER_REF_NUM_OFF+:32]        = be32(ref_q);
    cancel[8*`OUCH50_CANCEL_ORDER_QUANTITY_OFF+:32]            = be32(qty_q);
  end

  wire [5:0] message_len = is_new_q ? (has_firm ? ENTER + FIRM : ENTER) : is_replace_q ? REPLACE : CANCEL;

  always @(posedge clk) begin
    m_packet                      <= {PACKET_W{1'b0}};
    m_packet[8*`SOUPBINTCP_UNSEQUENCED_DATA_PACKET_LENGTH_OFF+:16] <= be16({10'd0, message_len} + COUNTED);
    m_packet[8*`SOUPBINTCP_UNSEQUENCED_DATA_PACKET_TYPE_OFF+:8] <= `SOUPBINTCP_UNSEQUENCED_DATA_CODE;
    if (is_new_q) m_packet[8*HEADER+:8*ENTER] <= enter;
    if (is_new_q && has_firm) m_packet[8*(HEADER+ENTER)+:8*FIRM] <= tag;
    if (is_replace_q) m_packet[8*HEADER+:8*REPLACE] <= replace;
    if (is_cancel_q) m_packet[8*HEADER+:8*CANCEL] <= cancel;
    m_len       <= message_len + HEADER;
    m_is_good   <= is_good_q;
    m_is_cancel <= is_cancel_q;
    m_valid     <= valid_q;
    if (rst) m_valid <= 1'b0;
  end

  wire unused = &{1'b0, s_order};

endmodule

`default_nettype wire
