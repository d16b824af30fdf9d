// fv_risk_check: hwgw_risk_check and hwgw_risk_apply with any order, any rows of state, any limits and any product.
//
// SPDX-License-Identifier: MIT
//
// Everything at their inputs stands still, as it does in hwgw_risk while an order is judged. Their registers run forward only and
// are wires here (settled.v): what holds of these holds in the cycle in which hwgw_risk stores the rows, from any state.
// RULE_EXPOSURE  no order passes that takes an exposure above its limit: the worst-case position of its side, the shares sold
//                short, the open orders of account and gateway; the position is stored as it was judged, and its sum never wraps
// RULE_SUM       that price x quantity comes in two numbers does not matter: what is compared with a limit, and the notional that
//                is stored, are of their sum. In the rules behind this one it comes in one (fv_risk_product.v)
// RULE_ROOM      no order passes whose notional is more than the credit less what is open and filled, of account and of gateway;
//                with the check off, more than what 64 bits have left above what is open
// RULE_CREDIT    so (RULE_ROOM) no order passes that takes open and filled notional above the credit; open notional is stored as
//                it was judged, and its sum never wraps, even with the check off
// RULE_FORM      no order passes that is halted, of an old clock, of a control plane that is stale, or of no form; is_pass says what
//                reason says
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
  wire         is_pass;
  wire [ 31:0] px;
  wire [ 63:0] notional;
  wire [  2:0] has_room;
  wire [191:0] left;
  wire [`HWGW_ROW_AT_W-1:0] at_d;
  wire [`HWGW_ROW_ACCOUNT_W-1:0] account_d, gateway_d;
  wire [`HWGW_ROW_SLOT_W-1:0] slot_d;
  wire we_at, we_account, we_slot;

  hwgw_risk_check dut (
      .clk(clk), .order(order), .is_halted(is_halted), .is_back(is_back), .last_beat(last_beat), .last_ref(last_ref),
      .recent(recent), .at(at), .fetch(1'b1), .ref_px_now(at[`HWGW_ROW_AT_REF_PX]), .collar_now(32'd0), .is_feed_good(is_feed_good), .account(account), .gateway(gateway), .equity(96'd0),
      .gateway_equity(96'd0), .strategy(strategy), .slot(slot), .orig(orig), .checks(checks),
      .beat_age_max_ns(beat_age_max_ns), .ref_age_max_ns(ref_age_max_ns), .dup_window_ns(dup_window_ns), .limit(limit),
      .account_limit(account_limit), .gateway_limit(gateway_limit), .strategy_limit(strategy_limit), .reason(reason),
      .is_pass(is_pass), .px_q3(px), .notional_q5(notional), .has_room(has_room), .left(left)
  );

  hwgw_risk_apply u_apply (
      .clk(clk), .event_in(order), .store(1'b1), .is_pass(is_pass), .is_back(is_back), .is_in_force(1'b1),
      .is_rate_on(checks[`HWGW_RISK_CHECK_RATE]), .last_ref(last_ref), .px_priced(px), .notional(notional),
      .released(64'd0), .filled(64'd0), .has_room(has_room), .left(left), .strategy_limit(strategy_limit), .at(at),
      .account(account), .gateway(gateway), .strategy(strategy), .slot(slot), .orig(orig), .is_believed(), .is_live(),
      .is_buy(), .release_qty(), .we_at(we_at), .at_d(at_d), .we_account(we_account), .account_d(account_d),
      .gateway_d(gateway_d), .we_strategy(), .strategy_d(), .we_slot(we_slot), .slot_d(slot_d), .orig_d()
  );

  wire [ 7:0] kind = order[8*`HWGW_ORDER_KIND_OFF+:8];
  wire [ 7:0] side = order[8*`HWGW_ORDER_SIDE_OFF+:8];
  wire [15:0] flags = order[8*`HWGW_ORDER_FLAGS_OFF+:16];
  wire [31:0] ref_id = order[8*`HWGW_ORDER_REF_OFF+:32];
  wire [31:0] orig_ref = order[8*`HWGW_ORDER_ORIG_REF_OFF+:32];
  wire [31:0] qty = order[8*`HWGW_ORDER_QTY_OFF+:32];
  wire [63:0] ts = order[8*`HWGW_ORDER_TS_NS_OFF+:64];
  wire        is_buy = side == `HWGW_ORDER_SIDE_BUY;
  wire        is_new = kind == `HWGW_ORDER_KIND_NEW;

  wire [31:0] was = is_buy ? at[`HWGW_ROW_AT_LONG_WORST] : at[`HWGW_ROW_AT_SHORT_WORST];
  wire [31:0] is_now = is_buy ? at_d[`HWGW_ROW_AT_LONG_WORST] : at_d[`HWGW_ROW_AT_SHORT_WORST];
  wire [31:0] max = is_buy ? limit[`HWGW_LIMITS_INSTRUMENT_LONG_MAX] : limit[`HWGW_LIMITS_INSTRUMENT_SHORT_MAX];
  wire signed [39:0] worst = $signed({{8{was[31]}}, was}) + $signed({8'd0, qty});
  wire signed [39:0] stored = $signed({{8{is_now[31]}}, is_now});
  wire signed [39:0] worst_max = $signed({{8{max[31]}}, max});
  wire [39:0] short_used = {8'd0, at[`HWGW_ROW_AT_SHORT_USED]} + {8'd0, qty};

  // credit, of the widths in which nothing is lost; with the check off there is none, and no fills
  wire        is_credit_on = checks[`HWGW_RISK_CHECK_CREDIT];
  wire [63:0] open = account[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL];
  wire [63:0] gateway_open = gateway[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL];
  wire [63:0] filled = is_credit_on ? account[`HWGW_ROW_ACCOUNT_FILLED_NOTIONAL] : 64'd0;
  wire [63:0] gateway_filled = is_credit_on ? gateway[`HWGW_ROW_ACCOUNT_FILLED_NOTIONAL] : 64'd0;
  wire [63:0] credit = is_credit_on ? account_limit[`HWGW_LIMITS_ACCOUNT_CREDIT_MAX] : {64{1'b1}};
  wire [63:0] gateway_credit = is_credit_on ? gateway_limit[`HWGW_LIMITS_ACCOUNT_CREDIT_MAX] : {64{1'b1}};
  wire [64:0] used = {1'b0, open} + {1'b0, filled};
  wire [64:0] gateway_used = {1'b0, gateway_open} + {1'b0, gateway_filled};
  wire [65:0] room = {2'd0, credit} - {1'b0, used};  // signed
  wire [65:0] gateway_room = {2'd0, gateway_credit} - {1'b0, gateway_used};
  wire        has_credit = !room[65] && notional <= room[63:0];
  wire        has_gateway_credit = !gateway_room[65] && notional <= gateway_room[63:0];
  wire [65:0] then_used = {1'b0, used} + {2'd0, notional};
  wire [65:0] then_gateway_used = {1'b0, gateway_used} + {2'd0, notional};
  wire [64:0] then_open = {1'b0, open} + {1'b0, notional};
  wire [64:0] then_gateway_open = {1'b0, gateway_open} + {1'b0, notional};

  always @* begin
    assume (is_new || kind == `HWGW_ORDER_KIND_REPLACE);
    // two references of one row of memory read the same row
    assume (ref_id[11:0] != orig_ref[11:0] || slot == orig);
  end

`ifdef RULE_EXPOSURE
  always @* begin
    if (is_pass) begin
      assert (we_at && we_slot && stored == worst);
      if (checks[`HWGW_RISK_CHECK_POSITION]) assert (worst <= worst_max);
      if (is_buy) assert (at_d[`HWGW_ROW_AT_SHORT_WORST] == at[`HWGW_ROW_AT_SHORT_WORST]);
      else assert (at_d[`HWGW_ROW_AT_LONG_WORST] == at[`HWGW_ROW_AT_LONG_WORST]);
      if (!is_buy && flags != 16'd0) begin
        assert ({8'd0, at_d[`HWGW_ROW_AT_SHORT_USED]} == short_used);
        if (checks[`HWGW_RISK_CHECK_SHORT_SALE])
          assert (short_used <= {8'd0, limit[`HWGW_LIMITS_INSTRUMENT_LOCATE_QTY]});
      end
      if (!is_buy && flags == 16'd0 && checks[`HWGW_RISK_CHECK_SHORT_SALE]) assert (worst <= 40'sd0);
      if (checks[`HWGW_RISK_CHECK_OPEN_ORDERS]) begin
        assert ({19'd0, account[`HWGW_ROW_ACCOUNT_OPEN_CNT]} < account_limit[`HWGW_LIMITS_ACCOUNT_OPEN_MAX]);
        assert ({19'd0, gateway[`HWGW_ROW_ACCOUNT_OPEN_CNT]} < gateway_limit[`HWGW_LIMITS_ACCOUNT_OPEN_MAX]);
      end
    end else assert (!we_at && !we_slot);
    cover (is_pass && is_buy && worst == worst_max && &checks);
    cover (is_pass && !is_buy && flags != 16'd0 && worst == worst_max && &checks);
  end
`endif

`ifdef RULE_SUM
  wire [63:0] dut_notional;
  wire        dut_is_notional_bad_q5, dut_is_room_short_q5;
  wire [63:0] dut_room_q3;
  always @* begin
    assert (notional == dut_notional);
    assert (dut_is_notional_bad_q5 == (dut_notional > limit[`HWGW_LIMITS_INSTRUMENT_NOTIONAL_MAX]));
    assert (dut_is_room_short_q5 == (dut_notional > dut_room_q3));
    cover (dut_is_room_short_q5 && !dut_is_notional_bad_q5 && notional > {32'd0, {32{1'b1}}});
  end
`endif

`ifdef RULE_ROOM
  always @* begin
    if (is_pass) assert (has_credit && has_gateway_credit);
    cover (is_pass && room == {2'd0, notional} && room > 66'd5 && &checks);
    cover (is_pass && gateway_room == {2'd0, notional} && gateway_room > 66'd5 && &checks);
  end
`endif

`ifdef RULE_CREDIT
  always @* begin
    assume (!is_pass || (has_credit && has_gateway_credit));
    if (is_pass) begin
      assert (we_account && !then_open[64] && !then_gateway_open[64]);
      assert (account_d[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] == then_open[63:0]);
      assert (gateway_d[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] == then_gateway_open[63:0]);
      assert (then_used <= {2'd0, credit});
      assert (then_gateway_used <= {2'd0, gateway_credit});
    end
    cover (is_pass && then_used == {2'd0, credit} && notional > 64'd5 && &checks);
  end
`endif

`ifdef RULE_FORM
  always @* begin
    assert (is_pass == (reason == `HWGW_RISK_REASON_PASS));
    if (is_halted) assert (reason == `HWGW_RISK_REASON_HALTED);
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
                {22'd0, orig[`HWGW_ROW_SLOT_INSTRUMENT]} == order[8*`HWGW_ORDER_INSTRUMENT_OFF+:32] &&
                {4'd0, orig[`HWGW_ROW_SLOT_ACCOUNT]} == order[8*`HWGW_ORDER_ACCOUNT_OFF+:8] &&
                {6'd0, orig[`HWGW_ROW_SLOT_SIDE]} == side && {14'd0, orig[`HWGW_ROW_SLOT_FLAGS]} == flags);
    end
    cover (is_pass && is_new);
    cover (is_pass && !is_new);
  end
`endif

endmodule

`default_nettype wire
