// hwgw_top: the last trade of each instrument, from which collars and triggers take their reference price.
//
// SPDX-License-Identifier: MIT
//
// Input: events of subscribed instruments, one per cycle at most. Output: each new last trade, and a table of them to read.
// A trade is what the book of C and the golden model take for one: a printable execution, trade or cross with a quantity.
// Trades and crosses bring their price, and so do executions with price; a plain execution trades at the price of the resting
// order. So the prices of orders are remembered, by a hash of the reference, in a table of 2^ORDER_W rows in which a newer
// order takes the row of an older one. The reference is kept, but for what its row says of it, and compared: a price can be
// missing, never be another order's. What is missing is counted (book.drop_unknown_ref) and leaves the last trade as it was.
// It keeps no book: quantities of orders, levels and best prices are the host's.
// cmd_restart: everything is forgotten (a generation number in each row; it repeats after 256 restarts).
// Latency: 5 cycles from an event to its trade at m_price; the table shows it to reads from then on. A read takes 3 cycles.
`default_nettype none
`include "hwgw_specs.vh"

module hwgw_top #(
    parameter INSTRUMENT_W = 10,
    parameter ORDER_W = 12
) (
    input  wire                     clk,
    input  wire                     cmd_restart,
    input  wire [            511:0] s_event,
    input  wire                     s_valid,
    output wire [INSTRUMENT_W+63:0] m_price_tdata,  // instrument, quantity, price from the highest bit on
    output wire                     m_price_tvalid,
    input  wire [ INSTRUMENT_W-1:0] price_instrument,
    output reg  [             31:0] price_px,
    output reg  [             31:0] price_qty,
    output reg                      pulse_unknown_ref,
    input  wire                     rst
);

  localparam GENERATION_W = 8;
  reg  [GENERATION_W-1:0] generation_q;
  wire                    unused_fields = &{1'b0, s_event};

  wire [             7:0] kind = s_event[8*`HWGW_EVENT_KIND_OFF+:8];
  wire [            63:0] order_ref = s_event[8*`HWGW_EVENT_REF_OFF+:64];
  wire [            63:0] ref_new = s_event[8*`HWGW_EVENT_REF_NEW_OFF+:64];
  wire [            31:0] px = s_event[8*`HWGW_EVENT_PX_OFF+:32];
  wire [            31:0] qty = s_event[8*`HWGW_EVENT_QTY_OFF+:32];
  wire [            31:0] flags = s_event[8*`HWGW_EVENT_FLAGS_OFF+:32];
  wire                    is_replace = kind == `HWGW_EVENT_KIND_REPLACE;
  wire                    is_new = kind == `HWGW_EVENT_KIND_ADD || is_replace;
  wire                    is_trade = (flags & `HWGW_EVENT_FLAGS_PRINTABLE) != 32'd0 && qty != 32'd0;
  wire                    is_execution = kind == `HWGW_EVENT_KIND_EXECUTE;

  // ---- 1: the row of the order ----

  function [ORDER_W-1:0] hash;  // two references with one hash are the same if all above their lowest ORDER_W bits is
    input [2*ORDER_W-1:0] number;
    hash = number[ORDER_W-1:0] ^ number[2*ORDER_W-1:ORDER_W];
  endfunction

  reg                     is_new_q;
  reg                     is_trade_q;
  reg                     is_execution_q;
  reg  [            63:0] ref_q;
  reg  [     ORDER_W-1:0] row_q;
  reg  [            31:0] px_q;
  reg  [            31:0] qty_q;
  reg  [INSTRUMENT_W-1:0] instrument_q;

  always @(posedge clk) begin
    is_new_q       <= s_valid && is_new;
    is_trade_q     <= s_valid && is_trade;
    is_execution_q <= is_execution;
    if (s_valid) begin
      ref_q        <= is_replace ? ref_new : order_ref;
      row_q        <= hash(is_replace ? ref_new[2*ORDER_W-1:0] : order_ref[2*ORDER_W-1:0]);
      px_q         <= px;
      qty_q        <= qty;
      instrument_q <= s_event[8*`HWGW_EVENT_INSTRUMENT_OFF+:INSTRUMENT_W];
    end
    generation_q   <= generation_q + {{(GENERATION_W - 1) {1'b0}}, cmd_restart};
    if (rst) begin
      is_new_q     <= 1'b0;
      is_trade_q   <= 1'b0;
      generation_q <= {GENERATION_W{1'b0}};
    end
  end

  // ---- 2: what it remembers ----

  localparam ORDER_ROW_W = GENERATION_W + 96 - ORDER_W;
  wire [ORDER_ROW_W-1:0] order_new = {generation_q, ref_q[63:ORDER_W], px_q};
  reg  [ORDER_ROW_W-1:0] order_q2;
  reg                    is_trade_q2;
  reg                    is_execution_q2;
  reg  [           63:0] ref_q2;
  reg  [           31:0] px_q2;
  reg  [           31:0] qty_q2;
  reg  [INSTRUMENT_W-1:0] instrument_q2;

  // a memory per 4 bits, as deep as one block RAM of ECP5 can be at that width: nothing is chosen behind them
  genvar part;
  generate
    for (part = 0; part < ORDER_ROW_W; part = part + 4) begin : g_orders
      localparam PART_W = ORDER_ROW_W - part < 4 ? ORDER_ROW_W - part : 4;
      (* ram_style = "block" *)  // yosys takes it for LUT RAM of UltraScale+ otherwise, and fails
      reg [PART_W-1:0] orders[0:(1<<ORDER_W)-1];
`ifndef SYNTHESIS  // block RAM is 0 after configuration of the device
      integer row;
      initial for (row = 0; row < (1 << ORDER_W); row = row + 1) orders[row] = {PART_W{1'b0}};
`endif
      always @(posedge clk)
        if (is_new_q) orders[row_q] <= order_new[part+:PART_W];
        else order_q2[part+:PART_W] <= orders[row_q];  // an order that is new is not sought
    end
  endgenerate

  always @(posedge clk) begin
    is_trade_q2     <= is_trade_q;
    is_execution_q2 <= is_execution_q;
    ref_q2          <= ref_q;
    px_q2           <= px_q;
    qty_q2          <= qty_q;
    instrument_q2   <= instrument_q;
    if (rst) is_trade_q2 <= 1'b0;
  end

  // ---- 3 and 4: is it that order ----

  reg                     is_trade_q3;
  reg                     is_execution_q3;
  reg  [ ORDER_ROW_W-1:0] order_q3;
  reg  [            63:0] ref_q3;
  reg  [            31:0] px_q3;
  reg  [            31:0] qty_q3;
  reg  [INSTRUMENT_W-1:0] instrument_q3;
  reg                     is_trade_q4;
  reg                     is_execution_q4;
  localparam SOUGHT_W = ORDER_ROW_W - 32;
  localparam SAME_W = (SOUGHT_W + 7) / 8;
  reg  [      SAME_W-1:0] is_same_q4;  // byte by byte, what was remembered and this order
  reg  [            31:0] px_q4;
  reg  [            31:0] qty_q4;
  reg  [INSTRUMENT_W-1:0] instrument_q4;

  always @(posedge clk) begin
    is_trade_q3     <= is_trade_q2;
    is_execution_q3 <= is_execution_q2;
    order_q3        <= order_q2;
    ref_q3          <= ref_q2;
    px_q3           <= px_q2;
    qty_q3          <= qty_q2;
    instrument_q3   <= instrument_q2;
    is_trade_q4     <= is_trade_q3;
    is_execution_q4 <= is_execution_q3;
    px_q4           <= is_execution_q3 ? order_q3[31:0] : px_q3;
    qty_q4          <= qty_q3;
    instrument_q4   <= instrument_q3;
    if (rst) begin
      is_trade_q3 <= 1'b0;
      is_trade_q4 <= 1'b0;
    end
  end

  wire [8*SAME_W-1:0] sought = {{(8 * SAME_W - SOUGHT_W) {1'b0}}, generation_q, ref_q3[63:ORDER_W]};
  wire [8*SAME_W-1:0] remembered = {{(8 * SAME_W - SOUGHT_W) {1'b0}}, order_q3[ORDER_ROW_W-1:32]};
  wire                unused_ref = &{1'b0, ref_q3[ORDER_W-1:0]};

  genvar byte_idx;
  generate
    for (byte_idx = 0; byte_idx < SAME_W; byte_idx = byte_idx + 1) begin : g_same
      always @(posedge clk) is_same_q4[byte_idx] <= remembered[8*byte_idx+:8] == sought[8*byte_idx+:8];
    end
  endgenerate
  wire is_order = &is_same_q4;

  // ---- 5: the table of last trades ----

  localparam TRADE_ROW_W = GENERATION_W + 64;
  reg  [TRADE_ROW_W-1:0] trades[0:(1<<INSTRUMENT_W)-1];
  reg  [TRADE_ROW_W-1:0] trade_q;
  reg  [TRADE_ROW_W-1:0] trade_q2;
  wire                   is_known = trade_q2[TRADE_ROW_W-1:64] == generation_q;  // a trade since the last restart
  reg                    is_trade_q5;
  reg  [           31:0] px_q5;
  reg  [           31:0] qty_q5;
  reg  [INSTRUMENT_W-1:0] instrument_q5;

`ifndef SYNTHESIS
  integer entry;
  initial for (entry = 0; entry < (1 << INSTRUMENT_W); entry = entry + 1) trades[entry] = {TRADE_ROW_W{1'b0}};
`endif

  always @(posedge clk) begin
    if (is_trade_q5) trades[instrument_q5] <= {generation_q, qty_q5, px_q5};
    trade_q <= trades[price_instrument];
  end

  always @(posedge clk) begin
    is_trade_q5       <= is_trade_q4 && (!is_execution_q4 || is_order);
    pulse_unknown_ref <= is_trade_q4 && is_execution_q4 && !is_order;
    px_q5             <= px_q4;
    qty_q5            <= qty_q4;
    instrument_q5     <= instrument_q4;
    trade_q2          <= trade_q;
    {price_qty, price_px} <= is_known ? trade_q2[63:0] : 64'd0;
    if (rst) begin
      is_trade_q5       <= 1'b0;
      pulse_unknown_ref <= 1'b0;
    end
  end

  assign m_price_tdata  = {instrument_q5, qty_q5, px_q5};
  assign m_price_tvalid = is_trade_q5;

endmodule

`default_nettype wire
