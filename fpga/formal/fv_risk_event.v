// fv_risk_event: hwgw_risk_apply with any event and any rows of state; a copy of it for each kind of event, so that none is chosen.
//
// SPDX-License-Identifier: MIT
//
// Everything at its inputs stands still, its registers are wires (settled.v). The rows of orders are such as fv_risk_ledger proves
// them (RULE_ROWS), and a new or replace that passes is one of which fv_risk_check proves the form (RULE_FORM). Stored are the rows
// that hwgw_risk stores: at and slot when they are written, orig when the venue has said replaced.
// RULE_WORST  an execution moves the position by its shares, a broken one back; an event changes long_worst by just what it changes the
//             position and what is open to buy, short_worst by what it changes what is open to sell less the position, and the counts
//             by the orders that begin or end to be open (sums of 32 and 13 bits). Behind a reset all of them are 0: so the registers
//             are at all times what they are named for
// RULE_OPEN   a new or replace that passes adds its notional to what is open, of account and of gateway, what the venue ends or
//             executes takes off the product that is given for it, and nothing else changes it; the count is of the orders that are
//             open; an execution adds what it is worth to what is filled, which stops at 2^64 - 1
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_risk.vh"

module fv_risk_event (
    input wire clk
);

  localparam [7:0] LAST = `HWGW_ORDER_KIND_ENABLED;

  (* anyconst *) reg [511:0] given;
  (* anyconst *) reg [7:0] other;  // a kind that is none
  (* anyconst *) reg pass_in, is_back;
  (* anyconst *) reg [31:0] last_ref;
  (* anyconst *) reg [`HWGW_ROW_AT_W-1:0] at;
  (* anyconst *) reg [`HWGW_ROW_SLOT_W-1:0] slot, orig;
  (* anyconst *) reg [`HWGW_ROW_ACCOUNT_W-1:0] account, gateway;
  (* anyconst *) reg [63:0] notional, released, worth;

  wire [ 7:0] side = given[8*`HWGW_ORDER_SIDE_OFF+:8];
  wire [31:0] ref_id = given[8*`HWGW_ORDER_REF_OFF+:32];
  wire [31:0] orig_ref = given[8*`HWGW_ORDER_ORIG_REF_OFF+:32];
  wire [31:0] qty = given[8*`HWGW_ORDER_QTY_OFF+:32];
  wire        is_side = side == `HWGW_ORDER_SIDE_BUY || side == `HWGW_ORDER_SIDE_SELL;

  function is_live;
    input [`HWGW_ROW_SLOT_W-1:0] row;
    is_live = row[`HWGW_ROW_SLOT_LEAVES] != 32'd0;
  endfunction

  function is_buying;
    input [`HWGW_ROW_SLOT_W-1:0] row;
    is_buying = {6'd0, row[`HWGW_ROW_SLOT_SIDE]} == `HWGW_ORDER_SIDE_BUY;
  endfunction

  function [31:0] open;  // of a row, on one side
    input [`HWGW_ROW_SLOT_W-1:0] row;
    input is_bought;
    open = is_buying(row) == is_bought ? row[`HWGW_ROW_SLOT_LEAVES] : 32'd0;
  endfunction

  function [12:0] one;  // is it an open order of that side
    input [`HWGW_ROW_SLOT_W-1:0] row;
    input is_bought;
    one = {12'd0, is_live(row) && is_buying(row) == is_bought};
  endfunction

  always @* begin
    assume (other > LAST);
    assume (ref_id[11:0] != orig_ref[11:0] || slot == orig);  // two references of one row of memory read the same row
    assume (!is_live(slot) || slot[`HWGW_ROW_SLOT_ORIG_REF] < slot[`HWGW_ROW_SLOT_REF]);
    assume (!is_live(orig) || orig[`HWGW_ROW_SLOT_ORIG_REF] < orig[`HWGW_ROW_SLOT_REF]);
    assume (!is_live(slot) || !is_live(orig) || slot[`HWGW_ROW_SLOT_ORIG_REF] != orig[`HWGW_ROW_SLOT_REF] ||
            is_buying(slot) == is_buying(orig));
  end

  genvar k;
  generate
    for (k = 0; k <= LAST + 1; k = k + 1) begin : g_kind
      localparam IS_ORDER = k == `HWGW_ORDER_KIND_NEW || k == `HWGW_ORDER_KIND_REPLACE;
      localparam IS_REPLACED = k == `HWGW_ORDER_KIND_REPLACED;
      wire [511:0] event_in = {given[511:8], k <= LAST ? k[7:0] : other};
      localparam IS_END = k == `HWGW_ORDER_KIND_REJECTED || k == `HWGW_ORDER_KIND_CANCELED || k == `HWGW_ORDER_KIND_EXECUTED;
      wire is_believed, we_at, we_account, we_slot;
      wire [`HWGW_ROW_AT_W-1:0] at_d;
      wire [`HWGW_ROW_ACCOUNT_W-1:0] account_d, gateway_d;
      wire [`HWGW_ROW_SLOT_W-1:0] slot_d, orig_d;

      hwgw_risk_apply dut (
          .clk(clk), .event_in(event_in), .store(1'b1), .is_pass(pass_in), .is_back(is_back), .is_in_force(1'b1), .is_rate_on(1'b0),
          .last_ref(last_ref), .px_priced(32'd1), .notional(notional), .released(released), .filled(worth), .has_room(3'd0),
          .left(192'd0), .strategy_limit(256'd0), .at(at), .account(account), .gateway(gateway),
          .strategy({`HWGW_ROW_STRATEGY_W{1'b0}}), .slot(slot), .orig(orig), .is_believed(is_believed), .is_live(),
          .is_buy(), .release_qty(), .we_at(we_at), .at_d(at_d), .we_account(we_account), .account_d(account_d),
          .gateway_d(gateway_d), .we_strategy(), .strategy_d(), .we_slot(we_slot), .slot_d(slot_d), .orig_d(orig_d)
      );

      wire is_formed = !IS_ORDER || !pass_in || (is_side && qty != 32'd0 && !is_live(slot));
      wire [`HWGW_ROW_AT_W-1:0] at_then = we_at ? at_d : at;
      wire [`HWGW_ROW_SLOT_W-1:0] slot_then = we_slot ? slot_d : slot;
      wire [`HWGW_ROW_SLOT_W-1:0] orig_then = is_believed ? orig_d : orig;
      wire [31:0] bought = k == `HWGW_ORDER_KIND_EXECUTED ? (is_buying(slot) ? qty : -qty) :
          k == `HWGW_ORDER_KIND_BROKEN ? (side == `HWGW_ORDER_SIDE_BUY ? -qty : qty) : 32'd0;
      wire [31:0] moved = is_believed ? bought : 32'd0;  // the position
      wire [31:0] buys = (open(slot_then, 1'b1) - open(slot, 1'b1)) +
          (IS_REPLACED ? open(orig_then, 1'b1) - open(orig, 1'b1) : 32'd0);
      wire [31:0] sells = (open(slot_then, 1'b0) - open(slot, 1'b0)) +
          (IS_REPLACED ? open(orig_then, 1'b0) - open(orig, 1'b0) : 32'd0);
      wire [12:0] buy_cnt = (one(slot_then, 1'b1) - one(slot, 1'b1)) +
          (IS_REPLACED ? one(orig_then, 1'b1) - one(orig, 1'b1) : 13'd0);
      wire [12:0] sell_cnt = (one(slot_then, 1'b0) - one(slot, 1'b0)) +
          (IS_REPLACED ? one(orig_then, 1'b0) - one(orig, 1'b0) : 13'd0);

`ifdef RULE_WORST
      always @* begin
        if (k > LAST) assert (!we_at && !we_slot);
        else if (is_formed) begin
          assert (at_then[`HWGW_ROW_AT_POS] == at[`HWGW_ROW_AT_POS] + moved);
          assert (at_then[`HWGW_ROW_AT_LONG_WORST] == at[`HWGW_ROW_AT_LONG_WORST] + (moved + buys));
          assert (at_then[`HWGW_ROW_AT_SHORT_WORST] == at[`HWGW_ROW_AT_SHORT_WORST] + (sells - moved));
          assert (at_then[`HWGW_ROW_AT_OPEN_BUY_CNT] == at[`HWGW_ROW_AT_OPEN_BUY_CNT] + buy_cnt);
          assert (at_then[`HWGW_ROW_AT_OPEN_SELL_CNT] == at[`HWGW_ROW_AT_OPEN_SELL_CNT] + sell_cnt);
        end
      end
      if (IS_ORDER || (k >= `HWGW_ORDER_KIND_REJECTED && k <= `HWGW_ORDER_KIND_BROKEN)) begin : g_cover
        always @* cover (is_formed && we_at && (moved + buys != 32'd0 || k == `HWGW_ORDER_KIND_EXECUTED));
      end
`endif

`ifdef RULE_OPEN
      wire is_ended = (IS_END || IS_REPLACED) && is_believed;
      wire is_traded = k == `HWGW_ORDER_KIND_EXECUTED && is_believed;
      wire [63:0] begun = IS_ORDER && pass_in ? notional : 64'd0;
      wire [63:0] ended = is_ended ? released : 64'd0;
      wire [63:0] traded = is_traded ? worth : 64'd0;
      wire [12:0] open_cnt = buy_cnt + sell_cnt;
      wire [`HWGW_ROW_ACCOUNT_W-1:0] account_then = we_account ? account_d : account;
      wire [`HWGW_ROW_ACCOUNT_W-1:0] gateway_then = we_account ? gateway_d : gateway;
      wire [64:0] filled = {1'b0, account[`HWGW_ROW_ACCOUNT_FILLED_NOTIONAL]} + {1'b0, traded};
      wire [64:0] gateway_filled = {1'b0, gateway[`HWGW_ROW_ACCOUNT_FILLED_NOTIONAL]} + {1'b0, traded};
      always @* begin
        if (k > LAST) assert (!we_account);
        else if (is_formed) begin
          assert (account_then[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] == account[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] + begun - ended);
          assert (gateway_then[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] == gateway[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] + begun - ended);
          assert (account_then[`HWGW_ROW_ACCOUNT_OPEN_CNT] == account[`HWGW_ROW_ACCOUNT_OPEN_CNT] + open_cnt);
          assert (gateway_then[`HWGW_ROW_ACCOUNT_OPEN_CNT] == gateway[`HWGW_ROW_ACCOUNT_OPEN_CNT] + open_cnt);
          assert (account_then[`HWGW_ROW_ACCOUNT_FILLED_NOTIONAL] == (filled[64] ? {64{1'b1}} : filled[63:0]));
          assert (gateway_then[`HWGW_ROW_ACCOUNT_FILLED_NOTIONAL] == (gateway_filled[64] ? {64{1'b1}} : gateway_filled[63:0]));
        end
      end
      if (IS_ORDER || IS_END || IS_REPLACED) begin : g_cover_open
        always @* cover (is_formed && we_account && begun + ended == 64'd7);
      end
`endif
    end
  endgenerate

endmodule

`default_nettype wire
