// fv_risk_ledger: hwgw_risk_apply over any number of events of two places for open orders: what their rows are.
//
// SPDX-License-Identifier: MIT
//
// An event comes with its rows in each cycle, and its rows are stored at its end, the one of orig first, as hwgw_risk does it. The
// registers of hwgw_risk_apply run forward only and are wires here (settled.v): in hwgw_risk an event stands until they are right.
// Whether an order passes is anybody's choice, within what fv_risk_check proves of one that passes (RULE_FORM).
// RULE_ROWS  an open order has a reference of its place, not above the last one that passed, and above the one that it replaces; two
//            open orders of which one is to replace the other are of one instrument, account and side
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_risk.vh"

module fv_risk_ledger (
    input wire                      clk,
    input wire [             511:0] event_in,
    input wire [`HWGW_ROW_AT_W-1:0] at,
    input wire                      pass_in
);

  reg [31:0] last_ref_q = 32'd0;
  reg [`HWGW_ROW_SLOT_W-1:0] slot0_q = 0, slot1_q = 0;

  wire [ 7:0] kind = event_in[8*`HWGW_ORDER_KIND_OFF+:8];
  wire [ 7:0] side = event_in[8*`HWGW_ORDER_SIDE_OFF+:8];
  wire [ 7:0] account = event_in[8*`HWGW_ORDER_ACCOUNT_OFF+:8];
  wire [31:0] ref_id = event_in[8*`HWGW_ORDER_REF_OFF+:32];
  wire [31:0] orig_ref = event_in[8*`HWGW_ORDER_ORIG_REF_OFF+:32];
  wire [31:0] instrument = event_in[8*`HWGW_ORDER_INSTRUMENT_OFF+:32];
  wire [31:0] qty = event_in[8*`HWGW_ORDER_QTY_OFF+:32];
  wire        is_new = kind == `HWGW_ORDER_KIND_NEW;
  wire        is_replace = kind == `HWGW_ORDER_KIND_REPLACE;
  wire        is_pass = (is_new || is_replace) && pass_in;
  wire        is_replaced = kind == `HWGW_ORDER_KIND_REPLACED;
  wire [`HWGW_ROW_SLOT_W-1:0] slot = ref_id[0] ? slot1_q : slot0_q;
  wire [`HWGW_ROW_SLOT_W-1:0] orig = orig_ref[0] ? slot1_q : slot0_q;

  wire is_believed, we_slot;
  wire [`HWGW_ROW_SLOT_W-1:0] slot_d, orig_d;

  hwgw_risk_apply dut (
      .clk(clk), .event_in(event_in), .store(1'b1), .is_pass(pass_in), .is_back(1'b0), .is_in_force(1'b1), .is_rate_on(1'b0),
      .last_ref(last_ref_q), .px_priced(32'd1), .notional(64'd0), .released(64'd0), .filled(64'd0), .has_room(3'd0),
      .left(192'd0), .strategy_limit(256'd0), .at(at), .account({`HWGW_ROW_ACCOUNT_W{1'b0}}),
      .gateway({`HWGW_ROW_ACCOUNT_W{1'b0}}), .strategy({`HWGW_ROW_STRATEGY_W{1'b0}}), .slot(slot), .orig(orig),
      .is_believed(is_believed), .is_live(), .is_buy(), .release_qty(), .we_at(), .at_d(), .we_account(),
      .account_d(), .gateway_d(), .we_strategy(), .strategy_d(), .we_slot(we_slot), .slot_d(slot_d), .orig_d(orig_d)
  );

  always @* if (is_pass) begin  // what fv_risk_check proves of it
    assume (side == `HWGW_ORDER_SIDE_BUY || side == `HWGW_ORDER_SIDE_SELL);
    assume (qty != 32'd0 && ref_id > last_ref_q && orig_ref != ref_id && slot[`HWGW_ROW_SLOT_LEAVES] == 32'd0);
    if (is_new) assume (orig_ref == 32'd0);
    else
      assume (orig[`HWGW_ROW_SLOT_REF] == orig_ref && orig[`HWGW_ROW_SLOT_LEAVES] != 32'd0 &&
              {22'd0, orig[`HWGW_ROW_SLOT_INSTRUMENT]} == instrument && {4'd0, orig[`HWGW_ROW_SLOT_ACCOUNT]} == account &&
              {6'd0, orig[`HWGW_ROW_SLOT_SIDE]} == side);
  end

  always @(posedge clk) begin
    if (is_replaced && is_believed) begin
      if (orig_ref[0]) slot1_q <= orig_d;
      else slot0_q <= orig_d;
    end
    if (we_slot) begin
      if (ref_id[0]) slot1_q <= slot_d;
      else slot0_q <= slot_d;
    end
    if (is_pass) last_ref_q <= ref_id;
  end

  wire is_live0 = slot0_q[`HWGW_ROW_SLOT_LEAVES] != 32'd0;
  wire is_live1 = slot1_q[`HWGW_ROW_SLOT_LEAVES] != 32'd0;
  wire [31:0] ref0 = slot0_q[`HWGW_ROW_SLOT_REF];
  wire [31:0] ref1 = slot1_q[`HWGW_ROW_SLOT_REF];
  wire [31:0] of0 = slot0_q[`HWGW_ROW_SLOT_ORIG_REF];
  wire [31:0] of1 = slot1_q[`HWGW_ROW_SLOT_ORIG_REF];

`ifdef RULE_ROWS
  always @* begin
    if (is_live0) assert (!ref0[0] && ref0 != 32'd0 && ref0 <= last_ref_q && of0 < ref0);
    if (is_live1) assert (ref1[0] && ref1 <= last_ref_q && of1 < ref1);
    if (is_live0 && is_live1 && (of0 == ref1 || of1 == ref0))
      assert (slot0_q[`HWGW_ROW_SLOT_INSTRUMENT] == slot1_q[`HWGW_ROW_SLOT_INSTRUMENT] &&
              slot0_q[`HWGW_ROW_SLOT_ACCOUNT] == slot1_q[`HWGW_ROW_SLOT_ACCOUNT] &&
              slot0_q[`HWGW_ROW_SLOT_SIDE] == slot1_q[`HWGW_ROW_SLOT_SIDE]);
  end
  always @(posedge clk) begin
    cover (is_live0 && is_live1 && of1 == ref0);
    cover (is_replaced && is_believed && qty == 32'd3);
  end
`endif

endmodule

`default_nettype wire
