// fv_risk_check: hwgw_risk_check with any order, any rows of state, any limits and any product.
//
// SPDX-License-Identifier: MIT
//
// Everything at their inputs stands still, as it does in hwgw_risk while an order is judged, and their registers begin with
// anything. They run free and forward: after five cycles every register is a function of the inputs, so what holds in the
// cycle that is looked at holds in all, from any state.
// RULE_FORM      no order passes that is halted, of an old clock, of a control plane that is stale, or of no form
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_risk.vh"

module fv_risk_check (
    input wire clk
);

  (* anyconst *) reg [511:0] order;
  (* anyconst *) reg is_halted, is_back, is_feed_good;
  (* anyconst *) reg [63:0] last_beat, beat_age_max_ns, ref_age_max_ns, dup_window_ns;
  (* anyconst *) reg [31:0] last_ref, checks;
  (* anyconst *) reg [`HWGW_RISK_RECENT_MAX*`HWGW_ROW_RECENT_W-1:0] recent;
  (* anyconst *) reg [`HWGW_ROW_AT_W-1:0] at;
  (* anyconst *) reg [`HWGW_ROW_ACCOUNT_W-1:0] account, gateway;
  (* anyconst *) reg [`HWGW_ROW_STRATEGY_W-1:0] strategy;
  (* anyconst *) reg [`HWGW_ROW_SLOT_W-1:0] slot, orig;
  (* anyconst *) reg [319:0] limit, account_limit, gateway_limit;
  (* anyconst *) reg [255:0] strategy_limit;

  wire [  7:0] reason;

  hwgw_risk_check dut (
      .clk(clk), .order(order), .is_halted(is_halted), .is_back(is_back), .last_beat(last_beat), .last_ref(last_ref),
      .recent(recent), .at(at), .is_feed_good(is_feed_good), .account(account), .gateway(gateway), .equity(96'd0),
      .gateway_equity(96'd0), .strategy(strategy), .slot(slot), .orig(orig), .checks(checks),
      .beat_age_max_ns(beat_age_max_ns), .ref_age_max_ns(ref_age_max_ns), .dup_window_ns(dup_window_ns), .limit(limit),
      .account_limit(account_limit), .gateway_limit(gateway_limit), .strategy_limit(strategy_limit), .reason(reason),
      .px_q3(), .notional_q4(), .has_room(), .left()
  );

  reg [7:0] reason_q;  // as in hwgw_risk
  wire is_pass = reason_q == `HWGW_RISK_REASON_PASS;

  wire [ 7:0] kind = order[8*`HWGW_ORDER_KIND_OFF+:8];
  wire [ 7:0] side = order[8*`HWGW_ORDER_SIDE_OFF+:8];
  wire [15:0] flags = order[8*`HWGW_ORDER_FLAGS_OFF+:16];
  wire [31:0] ref_id = order[8*`HWGW_ORDER_REF_OFF+:32];
  wire [31:0] orig_ref = order[8*`HWGW_ORDER_ORIG_REF_OFF+:32];
  wire [31:0] qty = order[8*`HWGW_ORDER_QTY_OFF+:32];
  wire [63:0] ts = order[8*`HWGW_ORDER_TS_NS_OFF+:64];
  wire        is_buy = side == `HWGW_ORDER_SIDE_BUY;
  wire        is_new = kind == `HWGW_ORDER_KIND_NEW;

  reg [2:0] age_q = 3'd0;
  always @(posedge clk) begin
    age_q    <= age_q + {2'd0, age_q != 3'd6};
    reason_q <= reason;
    assume (is_new || kind == `HWGW_ORDER_KIND_REPLACE);
    // two references of one row of memory read the same row
    assume (ref_id[11:0] != orig_ref[11:0] || slot == orig);
  end

  wire looked_at = age_q == 3'd6;

`ifdef RULE_FORM
  always @(posedge clk)
    if (looked_at) begin
      if (is_halted) assert (reason_q == `HWGW_RISK_REASON_HALTED);
      if (is_pass) begin
        assert (!is_halted && !is_back);
        if (checks[`HWGW_RISK_CHECK_CONTROL_STALE])
          assert (last_beat != 64'd0 && (ts <= last_beat || ts - last_beat <= beat_age_max_ns));
        if (checks[`HWGW_RISK_CHECK_STRATEGY]) assert (strategy[`HWGW_ROW_STRATEGY_IS_ARMED]);
        if (checks[`HWGW_RISK_CHECK_FEED]) assert (is_feed_good);
        assert (is_buy || side == `HWGW_ORDER_SIDE_SELL);
        assert (qty != 32'd0 && ref_id > last_ref && orig_ref != ref_id && slot[`HWGW_ROW_SLOT_LEAVES] == 32'd0);
        if (is_new) assert (orig_ref == 32'd0);
        else
          assert (orig[`HWGW_ROW_SLOT_REF] == orig_ref && orig[`HWGW_ROW_SLOT_LEAVES] != 32'd0 &&
                  {6'd0, orig[`HWGW_ROW_SLOT_SIDE]} == side && {14'd0, orig[`HWGW_ROW_SLOT_FLAGS]} == flags);
      end
      cover (is_pass && is_new);
      cover (is_pass && !is_new);
    end
`endif

endmodule

`default_nettype wire
