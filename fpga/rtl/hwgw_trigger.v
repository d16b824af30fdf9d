// hwgw_trigger: a rule per instrument turns a market-data event into an order record, without the host.
//
// SPDX-License-Identifier: MIT
//
// Input: event records of subscribed instruments, one per cycle at most; rules of hwgw/specs/rule.yaml. Output: order records
// (hwgw/specs/order.yaml) for the gate, limit orders of kind new with ts_ns 0, seq and t_rx of the event.
// A rule fires when its event comes: an order added, or a printable trade that brings its price, at a price and of a size that the
// rule names. The best offer can only come down to a price by an added order there (or by a replace, whose side the feed does not
// say: those do not fire). Plain executions, whose price is the resting order's, do not fire.
// One shot per arming: an order takes one from the rule's armed count; at 0 the rule is silent. Reset and cmd_disarm set every count to
// 0, a row per cycle, and nothing fires until that is done (is_ready).
// One order per number: cmd_shot takes cfg_shot_ref as the ref of the one order that all rules together may make (is_loaded) until the
// next cmd_shot; 0 takes it back. Nothing fires in the cycle of cmd_shot, so after it is_fired says whether the order was made: it stays
// until the next number comes. Reset and cmd_disarm take it back, too.
// Order of checks of an event whose rule matches and is armed: cfg_enable and a number; the feed is good; the order before it has been taken.
// Each refusal is a pulse and leaves the count as it was: an event that finds rules on and the number used (of two in one packet the
// second) is drop_spent, any other without cfg_enable and a number drop_disabled.
// cmd_store takes cfg_rule for cfg_instrument, in a later cycle when the rows are written just then; an event that looked at the row
// before does not fire. What is not a rule (when, side, tif, flags, qty) changes nothing and is a pulse_refused, as is a store that
// comes while one waits or before is_ready.
// Latency: 3 cycles from an event to its order. Throughput: an event per cycle; never stalls the events.
`default_nettype none
`include "hwgw_specs.vh"

module hwgw_trigger #(
    parameter INSTRUMENT_W = 10
) (
    input  wire                     clk,
    input  wire                     cfg_enable,
    input  wire                     is_feed_good,
    input  wire [  INSTRUMENT_W-1:0] cfg_instrument,
    input  wire [8*`HWGW_RULE_LEN-1:0] cfg_rule,
    input  wire                     cmd_store,
    input  wire                     cmd_disarm,
    input  wire [             31:0] cfg_shot_ref,
    input  wire                     cmd_shot,
    input  wire [8*`HWGW_EVENT_LEN-1:0] s_event,
    input  wire                     s_valid,
    output wire [8*`HWGW_ORDER_LEN-1:0] m_axis_order_tdata,
    output wire                     m_axis_order_tvalid,
    input  wire                     m_axis_order_tready,
    output wire                     is_ready,
    output wire                     is_loaded,
    output wire                     is_fired,
    output reg                      pulse_fired,
    output reg                      pulse_drop_disabled,
    output reg                      pulse_drop_spent,
    output reg                      pulse_drop_feed,
    output reg                      pulse_drop_busy,
    output reg                      pulse_refused,
    input  wire                     rst
);

  localparam RULE_W = 8 * (`HWGW_RULE_QTY_OFF + 4);
  localparam ARMED_W = 16;
  localparam ROWS = 1 << INSTRUMENT_W;

  reg  [          RULE_W-1:0] rules            [0:ROWS-1];  // but for the armed count
  reg  [         ARMED_W-1:0] counts           [0:ROWS-1];

  // ---- 1: the event, and its row ----

  wire [                31:0] instrument = s_event[8*`HWGW_EVENT_INSTRUMENT_OFF+:32];
  wire [    INSTRUMENT_W-1:0] row = instrument[INSTRUMENT_W-1:0];
  wire                        has_row = instrument >> INSTRUMENT_W == 32'd0;
  wire [                 7:0] event_kind = s_event[8*`HWGW_EVENT_KIND_OFF+:8];
  wire [                 7:0] event_side = s_event[8*`HWGW_EVENT_SIDE_OFF+:8];
  wire [                31:0] event_flags = s_event[8*`HWGW_EVENT_FLAGS_OFF+:32];
  wire                        is_add = event_kind == `HWGW_EVENT_KIND_ADD;
  wire is_trade = (event_kind == `HWGW_EVENT_KIND_EXECUTE_WITH_PRICE || event_kind == `HWGW_EVENT_KIND_TRADE ||
                   event_kind == `HWGW_EVENT_KIND_CROSS) && (event_flags & `HWGW_EVENT_FLAGS_PRINTABLE) != 32'd0;

  reg                         valid_q;
  reg                         is_offer_q;
  reg                         is_bid_q;
  reg                         is_trade_q;
  reg  [    INSTRUMENT_W-1:0] row_q;
  reg  [                31:0] px_q;
  reg  [                31:0] qty_q;
  reg  [                63:0] seq_q;
  reg  [                63:0] t_rx_q;
  reg  [          RULE_W-1:0] rule_q;
  reg  [         ARMED_W-1:0] count_q;

  always @(posedge clk) begin
    rule_q  <= rules[row];
    count_q <= counts[row];
  end

  // ---- 2: is the event one that its rule names ----

  wire [                 7:0] when_code = rule_q[8*`HWGW_RULE_WHEN_OFF+:8];
  wire [                31:0] when_px = rule_q[8*`HWGW_RULE_WHEN_PX_OFF+:32];
  wire [                31:0] when_qty = rule_q[8*`HWGW_RULE_WHEN_QTY_OFF+:32];
  wire                        wants_below = (when_code == `HWGW_RULE_WHEN_OFFERED && is_offer_q) ||
                                            (when_code == `HWGW_RULE_WHEN_TRADED_DOWN && is_trade_q);
  wire                        wants_above = (when_code == `HWGW_RULE_WHEN_BID && is_bid_q) ||
                                            (when_code == `HWGW_RULE_WHEN_TRADED_UP && is_trade_q);

  // the row that was read is not what stands there now: an event before took a shot, or the host stored a rule; either is
  // seen a cycle later, here or at the next stage
  reg                         has_fired_q;
  reg  [    INSTRUMENT_W-1:0] fired_row_q;
  reg  [         ARMED_W-1:0] fired_count_q;
  reg                         has_stored_q;
  reg  [    INSTRUMENT_W-1:0] stored_row_q;
  reg                         wants_below_q2;
  reg                         wants_above_q2;
  reg                         is_at_or_below_q2;
  reg                         is_at_or_above_q2;
  reg                         is_large_q2;
  reg                         is_stale_q2;
  reg  [         ARMED_W-1:0] count_q2;
  reg                         is_armed_q2;  // that is not 0
  reg                         is_same_q2;  // of the row of the event before
  reg                         is_fired_left_q;  // fired_count_q is not 0
  wire [         ARMED_W-1:0] count_seen = has_fired_q && fired_row_q == row_q ? fired_count_q : count_q;
  reg  [          RULE_W-1:0] rule_q2;
  reg  [    INSTRUMENT_W-1:0] row_q2;
  reg  [                63:0] seq_q2;
  reg  [                63:0] t_rx_q2;

  always @(posedge clk) begin
    wants_below_q2    <= valid_q && wants_below && !rst;
    wants_above_q2    <= valid_q && wants_above && !rst;
    is_at_or_below_q2 <= px_q <= when_px;
    is_at_or_above_q2 <= px_q >= when_px;
    is_large_q2       <= qty_q >= when_qty;
    is_stale_q2 <= has_stored_q && stored_row_q == row_q;
    count_q2    <= count_seen;
    is_armed_q2 <= count_seen != {ARMED_W{1'b0}};
    is_same_q2  <= row_q == row_q2;
    rule_q2     <= rule_q;
    row_q2      <= row_q;
    seq_q2      <= seq_q;
    t_rx_q2     <= t_rx_q;
  end

  // ---- 3: does it fire ----

  wire [         ARMED_W-1:0] count = has_fired_q && is_same_q2 ? fired_count_q : count_q2;
  wire                        is_armed = has_fired_q && is_same_q2 ? is_fired_left_q : is_armed_q2;
  wire                        is_stale = is_stale_q2 || (has_stored_q && stored_row_q == row_q2);

  reg                         order_valid_q;
  reg  [8*`HWGW_ORDER_LEN-1:0] order_q;
  reg  [8*`HWGW_ORDER_LEN-1:0] order;
  wire                        is_free = !order_valid_q || m_axis_order_tready;
  wire                        is_hit = ((wants_below_q2 && is_at_or_below_q2) || (wants_above_q2 && is_at_or_above_q2)) && is_large_q2;
  wire                        match = is_hit && is_ready && !cmd_disarm && is_armed && !is_stale;
  reg                         is_loaded_q;
  reg                         is_fired_q;
  reg  [                31:0] shot_ref_q;
  wire                        is_on = cfg_enable && is_loaded_q && !cmd_shot;
  wire                        is_spent = cfg_enable && is_fired_q;  // then none is loaded
  wire                        fire = match && is_on && is_feed_good && is_free;

  always @* begin
    order = {8 * `HWGW_ORDER_LEN{1'b0}};
    order[8*`HWGW_ORDER_KIND_OFF+:8] = `HWGW_ORDER_KIND_NEW;
    order[8*`HWGW_ORDER_SIDE_OFF+:8] = rule_q2[8*`HWGW_RULE_SIDE_OFF+:8];
    order[8*`HWGW_ORDER_TYPE_OFF+:8] = `HWGW_ORDER_TYPE_LIMIT;
    order[8*`HWGW_ORDER_TIF_OFF+:8] = rule_q2[8*`HWGW_RULE_TIF_OFF+:8];
    order[8*`HWGW_ORDER_FLAGS_OFF+:8] = rule_q2[8*`HWGW_RULE_FLAGS_OFF+:8];
    order[8*`HWGW_ORDER_ACCOUNT_OFF+:8] = rule_q2[8*`HWGW_RULE_ACCOUNT_OFF+:8];
    order[8*`HWGW_ORDER_STRATEGY_OFF+:8] = rule_q2[8*`HWGW_RULE_STRATEGY_OFF+:8];
    order[8*`HWGW_ORDER_REF_OFF+:32] = shot_ref_q;
    order[8*`HWGW_ORDER_INSTRUMENT_OFF+:INSTRUMENT_W] = row_q2;
    order[8*`HWGW_ORDER_PX_OFF+:32] = rule_q2[8*`HWGW_RULE_PX_OFF+:32];
    order[8*`HWGW_ORDER_QTY_OFF+:32] = rule_q2[8*`HWGW_RULE_QTY_OFF+:32];
    order[8*`HWGW_ORDER_T_RX_OFF+:64] = t_rx_q2;
    order[8*`HWGW_ORDER_SEQ_OFF+:64] = seq_q2;
  end

  always @(posedge clk) begin
    valid_q    <= s_valid && has_row && is_ready;
    is_offer_q <= is_add && event_side == `HWGW_EVENT_SIDE_SELL;
    is_bid_q   <= is_add && event_side == `HWGW_EVENT_SIDE_BUY;
    is_trade_q <= is_trade;
    row_q      <= row;
    px_q       <= s_event[8*`HWGW_EVENT_PX_OFF+:32];
    qty_q      <= s_event[8*`HWGW_EVENT_QTY_OFF+:32];
    seq_q      <= s_event[8*`HWGW_EVENT_SEQ_OFF+:64];
    t_rx_q     <= s_event[8*`HWGW_EVENT_T_RX_OFF+:64];

    if (is_free) order_q <= order;
    order_valid_q       <= fire || (order_valid_q && !m_axis_order_tready);
    has_fired_q         <= fire;
    fired_row_q         <= row_q2;
    fired_count_q       <= count - 1'b1;
    is_fired_left_q     <= count != {{(ARMED_W - 1) {1'b0}}, 1'b1};

    pulse_fired         <= fire;
    pulse_drop_disabled <= match && !is_on && !is_spent;
    pulse_drop_spent    <= match && is_spent;
    pulse_drop_feed     <= match && is_on && !is_feed_good;
    pulse_drop_busy     <= match && is_on && is_feed_good && !is_free;
    if (rst) begin
      valid_q             <= 1'b0;
      order_valid_q       <= 1'b0;
      has_fired_q         <= 1'b0;
      pulse_fired         <= 1'b0;
      pulse_drop_disabled <= 1'b0;
      pulse_drop_spent    <= 1'b0;
      pulse_drop_feed     <= 1'b0;
      pulse_drop_busy     <= 1'b0;
    end
  end

  assign m_axis_order_tdata  = order_q;
  assign m_axis_order_tvalid = order_valid_q;

  // ---- the number of the one order ----

  always @(posedge clk) begin
    if (cmd_shot) shot_ref_q <= cfg_shot_ref;
    is_loaded_q <= cmd_shot ? cfg_shot_ref != 32'd0 : is_loaded_q && !fire;
    is_fired_q  <= fire || (is_fired_q && !(cmd_shot && cfg_shot_ref != 32'd0));
    if (cmd_disarm) is_loaded_q <= 1'b0;
    if (rst) {is_loaded_q, is_fired_q} <= 2'b00;
  end

  assign is_loaded = is_loaded_q;
  assign is_fired  = is_fired_q;

  // ---- rows: a shot that was taken, else the walk that clears, else what the host stores ----

  reg                         is_clearing_q;
  reg  [    INSTRUMENT_W-1:0] clear_row_q;
  reg                         is_stored_q;  // waits
  reg  [    INSTRUMENT_W-1:0] store_row_q;
  reg  [8*`HWGW_RULE_LEN-1:0] store_q;
  wire [                 7:0] store_when = cfg_rule[8*`HWGW_RULE_WHEN_OFF+:8];
  wire [                 7:0] store_side = cfg_rule[8*`HWGW_RULE_SIDE_OFF+:8];
  wire [                 7:0] store_tif = cfg_rule[8*`HWGW_RULE_TIF_OFF+:8];
  wire [                 7:0] store_flags = cfg_rule[8*`HWGW_RULE_FLAGS_OFF+:8];
  wire is_rule = (store_when == `HWGW_RULE_WHEN_OFFERED || store_when == `HWGW_RULE_WHEN_BID ||
                  store_when == `HWGW_RULE_WHEN_TRADED_DOWN || store_when == `HWGW_RULE_WHEN_TRADED_UP) &&
                 (store_side == `HWGW_ORDER_SIDE_BUY || store_side == `HWGW_ORDER_SIDE_SELL) &&
                 (store_tif == `HWGW_ORDER_TIF_DAY || store_tif == `HWGW_ORDER_TIF_IOC) && store_flags <= 8'd3 &&
                 cfg_rule[8*`HWGW_RULE_QTY_OFF+:32] != 32'd0;
  wire is_taken = cmd_store && is_rule && is_ready && !is_stored_q && !cmd_disarm;
  wire do_store = is_stored_q && !fire && is_ready;
  wire [INSTRUMENT_W-1:0] count_row = is_clearing_q ? clear_row_q : fire ? row_q2 : store_row_q;
  wire [ARMED_W-1:0] count_new = is_clearing_q ? {ARMED_W{1'b0}} : fire ? count - 1'b1 : store_q[8*`HWGW_RULE_ARMED_OFF+:ARMED_W];

  assign is_ready = !is_clearing_q;

  always @(posedge clk) begin
    if (is_clearing_q || fire || do_store) counts[count_row] <= count_new;
    if (do_store) rules[store_row_q] <= store_q[RULE_W-1:0];
  end

  always @(posedge clk) begin
    if (is_taken) begin
      is_stored_q <= 1'b1;
      store_row_q <= cfg_instrument;
      store_q     <= cfg_rule;
    end else if (do_store) is_stored_q <= 1'b0;
    has_stored_q  <= do_store;
    stored_row_q  <= store_row_q;
    pulse_refused <= cmd_store && !is_taken;
    clear_row_q   <= is_clearing_q ? clear_row_q + 1'b1 : {INSTRUMENT_W{1'b0}};
    if (clear_row_q == ROWS - 1) is_clearing_q <= 1'b0;
    if (cmd_disarm) begin
      is_clearing_q <= 1'b1;
      clear_row_q   <= {INSTRUMENT_W{1'b0}};
      is_stored_q   <= 1'b0;
    end
    if (rst) begin
      is_clearing_q <= 1'b1;
      clear_row_q   <= {INSTRUMENT_W{1'b0}};
      is_stored_q   <= 1'b0;
      has_stored_q  <= 1'b0;
      pulse_refused <= 1'b0;
    end
  end

  wire unused = &{1'b0, s_event, store_q[8*`HWGW_RULE_LEN-1:RULE_W], rule_q2};

endmodule

`default_nettype wire
