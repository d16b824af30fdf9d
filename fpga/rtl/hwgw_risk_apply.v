// hwgw_risk_apply: what an event changes in the rows that it touches.
//
// SPDX-License-Identifier: MIT
//
// Input: the event, its rows, the answer, the products that the event needs. Output: each row as it is to be stored, and
// whether it is. Of inputs that stand still it is right 6 cycles later, a cycle after the products, is_believed 3 cycles after
// orig, is_buy and is_live one after slot. Rows are made as of a pass. store says that is_pass stands: a cycle later the
// write enables do, and an order that was refused has changed the run of refusals alone.
// is_believed: what the venue says can be so (docs/risk.md, "What the venue says"); else nothing but the latch changes.
// Buckets are written by a pass, and by a cancel where there is room; nothing else writes them.
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_risk.vh"

module hwgw_risk_apply #(
    parameter INSTRUMENT_W = 10
) (
    input  wire                             clk,
    input  wire [                    511:0] event_in,
    input  wire                             store,            // is_pass stands; what is stored is, a cycle later
    input  wire                             is_pass,          // the answer is pass
    input  wire                             is_back,
    input  wire                             is_in_force,
    input  wire                             is_rate_on,
    input  wire [                     31:0] last_ref,
    input  wire [                     31:0] px_priced,
    input  wire [                     63:0] notional,         // of an order that passes
    input  wire [                     63:0] released,         // notional that is not open any more
    input  wire [                     63:0] filled,           // qty x px of an execution
    input  wire [                      2:0] has_room,
    input  wire [                    191:0] left,
    input  wire [                    255:0] strategy_limit,
    input  wire [       `HWGW_ROW_AT_W-1:0] at,
    input  wire [  `HWGW_ROW_ACCOUNT_W-1:0] account,
    input  wire [  `HWGW_ROW_ACCOUNT_W-1:0] gateway,
    input  wire [ `HWGW_ROW_STRATEGY_W-1:0] strategy,
    input  wire [     `HWGW_ROW_SLOT_W-1:0] slot,
    input  wire [     `HWGW_ROW_SLOT_W-1:0] orig,
    output reg                              is_believed,
    output wire                             is_live,
    output reg                              is_buy,           // the order's side, whoever names it
    output reg  [                     31:0] release_qty,      // of slot
    output reg                              we_at,
    output reg  [       `HWGW_ROW_AT_W-1:0] at_d,
    output reg                              we_account,
    output reg  [  `HWGW_ROW_ACCOUNT_W-1:0] account_d,
    output reg  [  `HWGW_ROW_ACCOUNT_W-1:0] gateway_d,
    output reg                              we_strategy,
    output reg  [ `HWGW_ROW_STRATEGY_W-1:0] strategy_d,
    output reg                              we_slot,
    output reg  [     `HWGW_ROW_SLOT_W-1:0] slot_d,
    output reg  [     `HWGW_ROW_SLOT_W-1:0] orig_d
);

  localparam [31:0] PX_MAX = `HWGW_RISK_PX_MAX;
  localparam [32:0] INSTRUMENTS = 33'd1 << INSTRUMENT_W;

  wire [ 7:0] kind = event_in[8*`HWGW_ORDER_KIND_OFF+:8];
  wire [ 7:0] side = event_in[8*`HWGW_ORDER_SIDE_OFF+:8];
  wire [15:0] flags = event_in[8*`HWGW_ORDER_FLAGS_OFF+:16];
  wire [ 7:0] account_id = event_in[8*`HWGW_ORDER_ACCOUNT_OFF+:8];
  wire [ 7:0] strategy_id = event_in[8*`HWGW_ORDER_STRATEGY_OFF+:8];
  wire [31:0] ref_id = event_in[8*`HWGW_ORDER_REF_OFF+:32];
  wire [31:0] orig_ref = event_in[8*`HWGW_ORDER_ORIG_REF_OFF+:32];
  wire [31:0] instrument = event_in[8*`HWGW_ORDER_INSTRUMENT_OFF+:32];
  wire [31:0] px = event_in[8*`HWGW_ORDER_PX_OFF+:32];
  wire [31:0] qty = event_in[8*`HWGW_ORDER_QTY_OFF+:32];
  wire [63:0] ts = event_in[8*`HWGW_ORDER_TS_NS_OFF+:64];

  // the event stands a cycle before its rows do
  reg is_order, is_cancel, is_rejected, is_canceled, is_executed, is_replaced, is_broken, is_ref, is_release;
  reg is_strategy, is_side_buy, is_arm, is_disarm;

  always @(posedge clk) begin
    is_order    <= kind == `HWGW_ORDER_KIND_NEW || kind == `HWGW_ORDER_KIND_REPLACE;
    is_cancel   <= kind == `HWGW_ORDER_KIND_CANCEL;
    is_rejected <= kind == `HWGW_ORDER_KIND_REJECTED;
    is_canceled <= kind == `HWGW_ORDER_KIND_CANCELED;
    is_executed <= kind == `HWGW_ORDER_KIND_EXECUTED;
    is_replaced <= kind == `HWGW_ORDER_KIND_REPLACED;
    is_broken   <= kind == `HWGW_ORDER_KIND_BROKEN;
    is_ref      <= kind == `HWGW_ORDER_KIND_REF;
    is_release  <= kind == `HWGW_ORDER_KIND_REJECTED || kind == `HWGW_ORDER_KIND_CANCELED || kind == `HWGW_ORDER_KIND_REPLACED;
    is_strategy <= {24'd0, strategy_id} < `HWGW_RISK_STRATEGIES_MAX;
    is_arm      <= kind == `HWGW_ORDER_KIND_ARM && !is_back;
    is_disarm   <= kind == `HWGW_ORDER_KIND_DISARM;
    is_side_buy <= side == `HWGW_ORDER_SIDE_BUY;
  end

  // ---- can it be so ----

  wire [31:0] leaves = slot[`HWGW_ROW_SLOT_LEAVES];
  wire [31:0] orig_leaves = orig[`HWGW_ROW_SLOT_LEAVES];
  wire [31:0] raised_now = is_side_buy ? at[`HWGW_ROW_AT_SHORT_WORST] : at[`HWGW_ROW_AT_LONG_WORST];
  reg signed [33:0] raised_q;
  reg is_this_q, has_leaves_q, is_orig_live_q, is_orig_named_q, is_qty_q, is_px_q, is_instrument_q;
  reg is_form_q, is_earlier_q, is_executed_q, is_same_q, is_broken_ok_q;

  always @(posedge clk) begin
    is_this_q       <= slot[`HWGW_ROW_SLOT_REF] == ref_id;
    has_leaves_q    <= leaves != 32'd0;
    is_orig_live_q  <= orig[`HWGW_ROW_SLOT_REF] == orig_ref && orig_leaves != 32'd0;
    is_orig_named_q <= slot[`HWGW_ROW_SLOT_ORIG_REF] == orig_ref;
    is_qty_q        <= qty != 32'd0 && qty <= leaves;
    is_px_q         <= px != 32'd0 && px <= PX_MAX;
    is_instrument_q <= {1'b0, instrument} < INSTRUMENTS;
    raised_q        <= $signed({{2{raised_now[31]}}, raised_now}) + $signed({2'd0, qty});
    is_form_q       <= qty != 32'd0 && ref_id != 32'd0 && {24'd0, account_id} < `HWGW_RISK_ACCOUNTS_MAX &&
        (side == `HWGW_ORDER_SIDE_BUY || side == `HWGW_ORDER_SIDE_SELL);
    is_earlier_q    <= ref_id <= last_ref && slot[`HWGW_ROW_SLOT_REF] >= ref_id;
    is_executed_q   <= slot[`HWGW_ROW_SLOT_EXECUTED] >= qty;
    is_same_q       <= {22'd0, slot[`HWGW_ROW_SLOT_INSTRUMENT]} == instrument &&
        {4'd0, slot[`HWGW_ROW_SLOT_ACCOUNT]} == account_id && {6'd0, slot[`HWGW_ROW_SLOT_SIDE]} == side;
    is_broken_ok_q  <= is_form_q && is_px_q && is_instrument_q && is_earlier_q && raised_q <= 34'sh7FFFFFFF &&
        (!is_this_q || (is_same_q && is_executed_q));
    is_believed     <= is_canceled ? is_live && is_qty_q :
        is_executed ? is_live && is_qty_q && is_px_q :
        is_replaced ? is_live && is_orig_live_q && is_orig_named_q && is_qty_q :
        is_broken ? is_broken_ok_q :
        is_ref ? is_instrument_q && is_px_q : is_live;
  end

  assign is_live = is_this_q && has_leaves_q;

  // ---- how much of it ----

  reg  [31:0] side_qty;
  reg         is_ended;
  reg  [31:0] leaves_left;
  reg         is_marked;
  reg  [31:0] bought;  // by an execution, or taken back

  always @(posedge clk) begin
    is_buy      <= is_order || is_broken ? is_side_buy : {6'd0, slot[`HWGW_ROW_SLOT_SIDE]} == `HWGW_ORDER_SIDE_BUY;
    is_marked   <= is_order ? flags != 16'd0 : slot[`HWGW_ROW_SLOT_FLAGS] != 2'd0;
    bought      <= is_buy == !is_broken ? qty : -qty;
    release_qty   <= is_rejected ? leaves : is_replaced ? leaves - qty : qty;
    side_qty    <= is_replaced ? orig_leaves + release_qty : release_qty;
    is_ended    <= is_replaced || leaves == release_qty;
    leaves_left <= leaves - release_qty;
  end

  // ---- the instrument ----

  reg         is_less_q, is_released_q, is_filled_q, is_undone_q, is_moved_q, is_ref_q;  // and believed
  reg  [`HWGW_ROW_STRATEGY_W-1:0] passed_q;
  wire [12:0] buy_cnt = at[`HWGW_ROW_AT_OPEN_BUY_CNT];
  wire [12:0] sell_cnt = at[`HWGW_ROW_AT_OPEN_SELL_CNT];

  always @(posedge clk) begin
    is_less_q     <= (is_release || is_executed) && is_believed;
    is_released_q <= is_release && is_believed;
    is_filled_q   <= is_executed && is_believed;
    is_undone_q   <= is_broken && is_believed;
    is_moved_q    <= (is_executed || is_broken) && is_believed;
    is_ref_q      <= is_ref && is_believed;
  end

  // each number by what is added to it, chosen a cycle before
  reg  [31:0] long_step_q, short_step_q, used_step_q, pos_step_q;
  reg  [12:0] buy_step_q, sell_step_q;
  reg         is_bid_gone_q, is_ask_gone_q, is_marked_anew_q;
  reg         is_bid_higher_q, is_ask_lower_q;  // than every one of ours before
  wire [12:0] ended_step = -{12'd0, is_ended};

  always @(posedge clk) begin
    long_step_q   <= 32'd0;
    short_step_q  <= 32'd0;
    used_step_q   <= 32'd0;
    buy_step_q    <= 13'd0;
    sell_step_q   <= 13'd0;
    is_bid_gone_q <= 1'b0;
    is_ask_gone_q <= 1'b0;
    if (is_order) begin
      if (is_buy) long_step_q <= qty;
      else short_step_q <= qty;
      if (!is_buy && is_marked) used_step_q <= qty;
      buy_step_q  <= {12'd0, is_buy};
      sell_step_q <= {12'd0, !is_buy};
    end
    if (is_less_q && is_buy) begin
      if (is_released_q) long_step_q <= -side_qty;
      else short_step_q <= -qty;
      buy_step_q    <= ended_step;
      is_bid_gone_q <= buy_cnt == {12'd0, is_ended};
    end
    if (is_less_q && !is_buy) begin
      if (is_released_q) short_step_q <= -side_qty;
      else long_step_q <= -qty;
      if (is_released_q && is_marked) used_step_q <= -side_qty;
      sell_step_q   <= ended_step;
      is_ask_gone_q <= sell_cnt == {12'd0, is_ended};
    end
    if (is_undone_q) begin
      long_step_q  <= bought;
      short_step_q <= -bought;
    end
    is_bid_higher_q  <= is_order && is_buy && px_priced > at[`HWGW_ROW_AT_OWN_BID_MAX];
    is_ask_lower_q   <= is_order && !is_buy && ~px_priced > at[`HWGW_ROW_AT_OWN_ASK_MIN_INV];
    pos_step_q       <= is_moved_q ? bought : 32'd0;
    is_marked_anew_q <= is_ref_q || (is_moved_q && at[`HWGW_ROW_AT_REF_PX] == 32'd0);
  end

  always @(posedge clk) begin
    at_d    <= at;
    at_d[`HWGW_ROW_AT_LONG_WORST] <= at[`HWGW_ROW_AT_LONG_WORST] + long_step_q;
    at_d[`HWGW_ROW_AT_SHORT_WORST] <= at[`HWGW_ROW_AT_SHORT_WORST] + short_step_q;
    at_d[`HWGW_ROW_AT_SHORT_USED] <= at[`HWGW_ROW_AT_SHORT_USED] + used_step_q;
    at_d[`HWGW_ROW_AT_OPEN_BUY_CNT] <= buy_cnt + buy_step_q;
    at_d[`HWGW_ROW_AT_OPEN_SELL_CNT] <= sell_cnt + sell_step_q;
    at_d[`HWGW_ROW_AT_POS] <= at[`HWGW_ROW_AT_POS] + pos_step_q;
    if (is_bid_higher_q) at_d[`HWGW_ROW_AT_OWN_BID_MAX] <= px_priced;
    if (is_ask_lower_q) at_d[`HWGW_ROW_AT_OWN_ASK_MIN_INV] <= ~px_priced;
    if (is_bid_gone_q) at_d[`HWGW_ROW_AT_OWN_BID_MAX] <= 32'd0;
    if (is_ask_gone_q) at_d[`HWGW_ROW_AT_OWN_ASK_MIN_INV] <= 32'd0;
    if (is_marked_anew_q) at_d[`HWGW_ROW_AT_MARK_PX] <= px;
    if (is_ref_q) begin
      at_d[`HWGW_ROW_AT_REF_PX] <= px;
      at_d[`HWGW_ROW_AT_REF_TS] <= ts;
    end
  end

  // ---- account and gateway ----

  wire is_take = is_rate_on && (is_order || (is_cancel && !is_back));
  reg  [2:0] is_taken_q;  // from strategy, account, gateway
  // a bit wider than needed, as in hwgw_risk_check
  wire [65:0] account_filled = {2'd0, account[`HWGW_ROW_ACCOUNT_FILLED_NOTIONAL]} + {2'd0, filled};
  wire [65:0] gateway_filled = {2'd0, gateway[`HWGW_ROW_ACCOUNT_FILLED_NOTIONAL]} + {2'd0, filled};
  reg  [63:0] account_filled_q;
  reg  [63:0] gateway_filled_q;

  always @(posedge clk) begin
    is_taken_q       <= {3{is_take}} & ({3{is_order}} | has_room);
    account_filled_q <= account_filled[64] ? {64{1'b1}} : account_filled[63:0];
    gateway_filled_q <= gateway_filled[64] ? {64{1'b1}} : gateway_filled[63:0];
  end

  always @(posedge clk) begin
    account_d    <= account;
    gateway_d    <= gateway;
    if (is_taken_q[1]) begin
      account_d[`HWGW_ROW_ACCOUNT_LEVEL] <= left[64+:64];
      account_d[`HWGW_ROW_ACCOUNT_LEVEL_TS] <= ts;
    end
    if (is_taken_q[2]) begin
      gateway_d[`HWGW_ROW_ACCOUNT_LEVEL] <= left[128+:64];
      gateway_d[`HWGW_ROW_ACCOUNT_LEVEL_TS] <= ts;
    end
    if (is_order) begin
      account_d[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] <= account[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] + notional;
      gateway_d[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] <= gateway[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] + notional;
      account_d[`HWGW_ROW_ACCOUNT_OPEN_CNT] <= account[`HWGW_ROW_ACCOUNT_OPEN_CNT] + 13'd1;
      gateway_d[`HWGW_ROW_ACCOUNT_OPEN_CNT] <= gateway[`HWGW_ROW_ACCOUNT_OPEN_CNT] + 13'd1;
    end
    if (is_less_q) begin
      account_d[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] <= account[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] - released;
      gateway_d[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] <= gateway[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] - released;
      account_d[`HWGW_ROW_ACCOUNT_OPEN_CNT] <= account[`HWGW_ROW_ACCOUNT_OPEN_CNT] - {12'd0, is_ended};
      gateway_d[`HWGW_ROW_ACCOUNT_OPEN_CNT] <= gateway[`HWGW_ROW_ACCOUNT_OPEN_CNT] - {12'd0, is_ended};
    end
    if (is_filled_q) begin
      account_d[`HWGW_ROW_ACCOUNT_FILLED_NOTIONAL] <= account_filled_q;
      gateway_d[`HWGW_ROW_ACCOUNT_FILLED_NOTIONAL] <= gateway_filled_q;
    end
  end

  // ---- the strategy ----

  wire [31:0] fills = strategy[`HWGW_ROW_STRATEGY_FILLS];
  wire [31:0] rejects = strategy[`HWGW_ROW_STRATEGY_REJECTS];
  reg  [31:0] fills_new;
  reg  [31:0] rejects_more_q;  // when it is refused
  reg         is_tired_q;
  reg         is_tired_more_q;
  wire [31:0] rejects_max = strategy_limit[`HWGW_LIMITS_STRATEGY_REJECTS_RUN_MAX];

  always @(posedge clk) begin
    fills_new       <= is_executed && fills != {32{1'b1}} ? fills + 32'd1 : fills;
    rejects_more_q  <= rejects != {32{1'b1}} ? rejects + 32'd1 : rejects;
    is_tired_q      <= is_in_force && (fills_new >= strategy_limit[`HWGW_LIMITS_STRATEGY_FILLS_MAX] || rejects >= rejects_max);
    is_tired_more_q <= is_in_force && rejects_more_q >= rejects_max;
  end

  always @(posedge clk) begin
    passed_q      <= strategy;
    if (is_taken_q[0]) begin
      passed_q[`HWGW_ROW_STRATEGY_LEVEL] <= left[0+:64];
      passed_q[`HWGW_ROW_STRATEGY_LEVEL_TS] <= ts;
    end
    if (is_order || is_filled_q) begin  // stored when there is such a strategy
      passed_q[`HWGW_ROW_STRATEGY_FILLS] <= fills_new;
      passed_q[`HWGW_ROW_STRATEGY_REJECTS] <= is_order ? 32'd0 : rejects;
      if (is_tired_q) passed_q[`HWGW_ROW_STRATEGY_IS_ARMED] <= 1'b0;
    end
    if (is_disarm) passed_q[`HWGW_ROW_STRATEGY_IS_ARMED] <= 1'b0;
    if (is_arm) begin
      passed_q[`HWGW_ROW_STRATEGY_IS_ARMED] <= 1'b1;
      passed_q[`HWGW_ROW_STRATEGY_FILLS] <= 32'd0;
      passed_q[`HWGW_ROW_STRATEGY_REJECTS] <= 32'd0;
    end
  end

  // refused, an order changes the run of refusals alone
  reg  is_armed_q;
  reg  is_refused_q;

  always @(posedge clk) begin
    is_refused_q      <= is_order && !is_pass;
    is_armed_q        <= strategy[`HWGW_ROW_STRATEGY_IS_ARMED] && !is_tired_q && !is_tired_more_q;
  end

  always @* begin
    strategy_d = passed_q;
    if (is_refused_q) begin
      strategy_d = strategy;
      strategy_d[`HWGW_ROW_STRATEGY_REJECTS] = rejects_more_q;
      strategy_d[`HWGW_ROW_STRATEGY_IS_ARMED] = is_armed_q;
    end
  end

  // ---- the order ----

  always @(posedge clk) begin
    slot_d    <= slot;
    orig_d    <= orig;
    orig_d[`HWGW_ROW_SLOT_LEAVES] <= 32'd0;
    if (is_order) begin
      slot_d[`HWGW_ROW_SLOT_REF] <= ref_id;
      slot_d[`HWGW_ROW_SLOT_PX] <= px_priced;
      slot_d[`HWGW_ROW_SLOT_LEAVES] <= qty;
      slot_d[`HWGW_ROW_SLOT_EXECUTED] <= 32'd0;
      slot_d[`HWGW_ROW_SLOT_ORIG_REF] <= orig_ref;
      slot_d[`HWGW_ROW_SLOT_INSTRUMENT] <= instrument[9:0];
      slot_d[`HWGW_ROW_SLOT_ACCOUNT] <= account_id[3:0];
      slot_d[`HWGW_ROW_SLOT_STRATEGY] <= strategy_id[5:0];
      slot_d[`HWGW_ROW_SLOT_SIDE] <= side[1:0];
      slot_d[`HWGW_ROW_SLOT_FLAGS] <= flags[1:0];
      slot_d[`HWGW_ROW_SLOT_TYPE] <= event_in[8*`HWGW_ORDER_TYPE_OFF+:2];
      slot_d[`HWGW_ROW_SLOT_TIF] <= event_in[8*`HWGW_ORDER_TIF_OFF+:2];
    end else if (is_broken) begin
      slot_d[`HWGW_ROW_SLOT_EXECUTED] <= slot[`HWGW_ROW_SLOT_EXECUTED] - qty;
    end else begin
      slot_d[`HWGW_ROW_SLOT_LEAVES] <= leaves_left;
      if (is_executed) slot_d[`HWGW_ROW_SLOT_EXECUTED] <= slot[`HWGW_ROW_SLOT_EXECUTED] + qty;
    end
  end

  // ---- is it stored ----

  // which rows are, whatever the answer, and which when it is pass: known a cycle before
  localparam ROW_AT = 0, ROW_ACCOUNT = 1, ROW_STRATEGY = 2, ROW_SLOT = 3;
  reg  [ROW_SLOT:0] is_changed;
  reg  [ROW_SLOT:0] is_changed_q, is_changed_by_pass_q;
  wire [ROW_SLOT:0] is_stored = {(ROW_SLOT + 1) {store}} & (is_changed_q | (is_changed_by_pass_q & {(ROW_SLOT + 1) {is_pass}}));

  always @* begin
    is_changed[ROW_AT]       = is_order || is_less_q || is_undone_q || is_ref_q;
    is_changed[ROW_ACCOUNT]  = is_take || is_order || is_less_q;
    is_changed[ROW_STRATEGY] = is_take || is_filled_q || ((is_arm || is_disarm) && is_strategy);
    is_changed[ROW_SLOT]     = is_order || is_less_q || (is_undone_q && is_this_q);
  end

  always @(posedge clk) begin
    is_changed_q               <= is_changed & {(ROW_SLOT + 1) {!(is_order || is_cancel)}};
    is_changed_q[ROW_STRATEGY] <= is_order ? is_strategy : is_changed[ROW_STRATEGY] && !is_cancel;
    is_changed_by_pass_q       <= is_changed & {(ROW_SLOT + 1) {is_order || is_cancel}};
    {we_slot, we_strategy, we_account, we_at} <= is_stored;
  end

  wire unused_event = &{1'b0, event_in, strategy_limit, account_filled, gateway_filled};

endmodule

`default_nettype wire
