// fv_risk_stubs: the parts of hwgw_risk with any outputs, for proofs of what the gate does around them.
//
// SPDX-License-Identifier: MIT
//
// Assumed of the parts: that an order is answered with halted when hwgw_risk says so, and that a table comes into force by a
// take and goes by a take, a drop or a reset. That is what they do in the comparison with C; it is not proven of them.
`default_nettype none
`include "hwgw_risk.vh"

module hwgw_risk_check #(parameter INSTRUMENT_W = 10) (
    input wire clk, input wire [511:0] order, input wire is_halted, input wire is_back, input wire [63:0] last_beat,
    input wire [31:0] last_ref, input wire [`HWGW_RISK_RECENT_MAX*`HWGW_ROW_RECENT_W-1:0] recent,
    input wire [`HWGW_ROW_AT_W-1:0] at, input wire fetch, input wire [31:0] ref_px_now, input wire [31:0] collar_now, input wire is_feed_good, input wire [`HWGW_ROW_ACCOUNT_W-1:0] account,
    input wire [`HWGW_ROW_ACCOUNT_W-1:0] gateway, input wire [95:0] equity, input wire [95:0] gateway_equity,
    input wire [`HWGW_ROW_STRATEGY_W-1:0] strategy, input wire [`HWGW_ROW_SLOT_W-1:0] slot,
    input wire [`HWGW_ROW_SLOT_W-1:0] orig, input wire [31:0] checks, input wire [63:0] beat_age_max_ns,
    input wire [63:0] ref_age_max_ns, input wire [63:0] dup_window_ns, input wire [319:0] limit,
    input wire [319:0] account_limit, input wire [319:0] gateway_limit, input wire [255:0] strategy_limit,
    output wire [7:0] reason, output wire is_pass, output wire [31:0] px_q3, output wire [63:0] notional_q5, output wire [2:0] has_room,
    output wire [191:0] left
);
  (* anyseq *) reg [4:0] any;
  assign reason = is_halted ? `HWGW_RISK_REASON_HALTED : {3'd0, any};
  assign is_pass = reason == `HWGW_RISK_REASON_PASS;
  assign px_q3 = 0;
  assign notional_q5 = 0;
  assign has_room = 0;
  assign left = 0;
endmodule

module hwgw_risk_state #(parameter INSTRUMENT_W = 10, parameter SLOT_W = 12) (
    input wire clk, input wire clear, input wire [13:0] clear_addr, input wire fetch, input wire fetch_orig,
    input wire [INSTRUMENT_W-1:0] instrument, input wire [3:0] account, input wire [5:0] strategy,
    input wire [INSTRUMENT_W-1:0] read_instrument, input wire [3:0] read_account, input wire [5:0] read_strategy,
    input wire [SLOT_W-1:0] slot_addr, output wire [`HWGW_ROW_SLOT_W-1:0] slot_now, output wire [`HWGW_ROW_AT_W-1:0] at_q,
    output wire [31:0] ref_px_now,
    output wire [`HWGW_ROW_ACCOUNT_W-1:0] account_q, output wire [`HWGW_ROW_ACCOUNT_W-1:0] gateway_q,
    output wire [`HWGW_ROW_STRATEGY_W-1:0] strategy_q, output wire [`HWGW_ROW_SLOT_W-1:0] slot_q,
    output wire [`HWGW_ROW_SLOT_W-1:0] orig_q, output wire [63:0] feed_q, input wire we_at,
    input wire [`HWGW_ROW_AT_W-1:0] at_d, input wire we_account, input wire [`HWGW_ROW_ACCOUNT_W-1:0] account_d,
    input wire [`HWGW_ROW_ACCOUNT_W-1:0] gateway_d, input wire we_strategy, input wire [`HWGW_ROW_STRATEGY_W-1:0] strategy_d,
    input wire we_slot, input wire [SLOT_W-1:0] slot_waddr, input wire [`HWGW_ROW_SLOT_W-1:0] slot_d, input wire we_feed,
    input wire [3:0] feed_waddr, input wire [63:0] feed_d, input wire rst
);
  (* anyconst *) reg has_ref;
  assign ref_px_now = 32'd0;
  assign at_q = {{(`HWGW_ROW_AT_W - 1) {1'b0}}, 1'b1} << (has_ref ? 218 : 0);
  assign slot_now = 0;
  assign account_q = 0;
  assign gateway_q = 0;
  assign strategy_q = 0;
  assign slot_q = 0;
  assign orig_q = 0;
  assign feed_q = 0;
endmodule

module hwgw_risk_limits #(parameter INSTRUMENT_W = 10) (
    input wire clk, input wire [63:0] s_axis_limits_tdata, input wire s_axis_limits_tvalid, output wire s_axis_limits_tready,
    input wire s_axis_limits_tlast, input wire take, input wire [63:0] take_generation, output wire is_sound,
    output wire is_table_offered, input wire drop, output wire is_in_force, output wire [63:0] generation,
    output wire [31:0] checks, output wire [63:0] beat_age_max_ns, output wire [63:0] ref_age_max_ns,
    output wire [63:0] dup_window_ns, output wire [319:0] gateway, input wire [INSTRUMENT_W-1:0] instrument_addr,
    output wire [319:0] instrument, input wire [3:0] account_addr, output wire [319:0] account,
    input wire [5:0] strategy_addr, output wire [255:0] strategy, output wire [4:0] instrument_parity,
    output wire [4:0] account_parity, output wire [3:0] strategy_parity, input wire rst
);
  (* anyseq *) reg any_sound;
  (* anyseq *) reg any_torn;
  reg in_force_q;
  always @(posedge clk)
    if (rst || drop) in_force_q <= 1'b0;
    else if (take) in_force_q <= any_sound;
  assign is_sound = any_sound;
  assign is_in_force = in_force_q;
  assign generation = {63'd0, in_force_q};
  assign instrument_parity = {4'd0, any_torn};
  assign account_parity = {4'd0, any_torn};
  assign strategy_parity = 0;
  assign s_axis_limits_tready = 0;
  assign is_table_offered = 0;
  assign checks = {32{1'b1}};
  assign beat_age_max_ns = 0;
  assign ref_age_max_ns = 0;
  assign dup_window_ns = 0;
  assign gateway = 0;
  assign instrument = 0;
  assign account = 0;
  assign strategy = 0;
endmodule

module hwgw_risk_apply #(parameter INSTRUMENT_W = 10) (
    input wire clk, input wire [511:0] event_in, input wire store, input wire is_pass, input wire is_back, input wire is_in_force,
    input wire is_rate_on, input wire [31:0] last_ref, input wire [31:0] px_priced, input wire [63:0] notional,
    input wire [63:0] released, input wire [63:0] filled, input wire [2:0] has_room, input wire [191:0] left,
    input wire [255:0] strategy_limit, input wire [`HWGW_ROW_AT_W-1:0] at, input wire [`HWGW_ROW_ACCOUNT_W-1:0] account,
    input wire [`HWGW_ROW_ACCOUNT_W-1:0] gateway, input wire [`HWGW_ROW_STRATEGY_W-1:0] strategy,
    input wire [`HWGW_ROW_SLOT_W-1:0] slot, input wire [`HWGW_ROW_SLOT_W-1:0] orig, output wire is_believed,
    output wire is_live, output wire is_buy, output wire [31:0] release_qty, output wire we_at,
    output wire [`HWGW_ROW_AT_W-1:0] at_d, output wire we_account, output wire [`HWGW_ROW_ACCOUNT_W-1:0] account_d,
    output wire [`HWGW_ROW_ACCOUNT_W-1:0] gateway_d, output wire we_strategy,
    output wire [`HWGW_ROW_STRATEGY_W-1:0] strategy_d, output wire we_slot, output wire [`HWGW_ROW_SLOT_W-1:0] slot_d,
    output wire [`HWGW_ROW_SLOT_W-1:0] orig_d
);
  (* anyseq *) reg any_believed;
  (* anyseq *) reg any_live;
  assign is_believed = any_believed;
  assign is_live = any_live;
  assign is_buy = 0;
  assign release_qty = 0;
  assign we_at = 0;
  assign at_d = 0;
  assign we_account = 0;
  assign account_d = 0;
  assign gateway_d = 0;
  assign we_strategy = 0;
  assign strategy_d = 0;
  assign we_slot = 0;
  assign slot_d = 0;
  assign orig_d = 0;
endmodule

module hwgw_risk_money #(parameter INSTRUMENT_W = 10) (
    input wire clk, input wire clear, input wire [13:0] clear_addr, input wire fetch,
    input wire [INSTRUMENT_W-1:0] instrument, input wire [3:0] account, input wire [INSTRUMENT_W-1:0] read_instrument,
    input wire [3:0] read_account, input wire walk, input wire [4:0] count,
    input wire is_judged, input wire signed [32:0] step, input wire [63:0] mul_a, input wire signed [32:0] mul_b,
    output wire signed [96:0] p, input wire trade_begin, input wire is_bought, input wire [31:0] qty,
    input wire [63:0] cash_moved, input wire [63:0] mark_moved, input wire commit,
    input wire [63:0] walk_loss_max, input wire [63:0] loss_max, input wire [63:0] gateway_loss_max, output wire is_lost,
    output wire [95:0] equity_q, output wire [95:0] gateway_equity_q, input wire rst
);
  (* anyseq *) reg any_lost;
  assign is_lost = any_lost;
  assign p = 0;
  assign equity_q = 0;
  assign gateway_equity_q = 0;
endmodule

module hwgw_risk_ram #(parameter WIDTH = 64, parameter ADDR_W = 4, parameter STYLE = "auto") (
    input wire clk, input wire we, input wire [ADDR_W-1:0] waddr, input wire [WIDTH-1:0] wdata,
    input wire [ADDR_W-1:0] raddr, output wire [WIDTH-1:0] rdata
);
  assign rdata = 0;
endmodule

`default_nettype wire
