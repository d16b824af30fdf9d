// fv_trigger: hwgw_trigger with two rows, any events, any rules stored whenever one likes, and a gate that takes when it likes.
//
// SPDX-License-Identifier: MIT
//
// What is armed is counted at the ports: a store is taken when it is not refused in the next cycle; what a row is lent by it is
// its armed count. Counts here are of 20 bits, more than these cycles can use.
// RULE_SHOTS   a row never fires more often than it was armed for, all stores together; after a disarm or a reset it has nothing
// RULE_ONE     with each number that is given at most one order is made, which has it; none after it was taken back, and is_fired says so
// RULE_WHY     an event is told at most once, and as spent just when rules were on and the last number had been used
// RULE_STABLE  an order that waits stays as it is; each pulse_fired brings one order to the port, and nothing else does
`default_nettype none
`include "hwgw_specs.vh"

module fv_trigger (
    input wire         clk,
    input wire         rst,
    input wire         enable,
    input wire         is_feed_good,
    input wire         rule_row,
    input wire [  3:0] armed,
    input wire         cmd_store,
    input wire         cmd_disarm,
    input wire [  1:0] shot_ref,
    input wire         cmd_shot,
    input wire         event_row,
    input wire [  1:0] event_px,
    input wire         valid,
    input wire         ready
);

  wire m_valid, is_ready, fired, refused, disabled, used, no_feed, busy, is_loaded, is_fired;
  wire [511:0] order;
  reg  [8*`HWGW_RULE_LEN-1:0] rule;
  reg  [8*`HWGW_EVENT_LEN-1:0] event_in;

  always @* begin
    rule = 0;
    rule[8*`HWGW_RULE_WHEN_OFF+:8] = `HWGW_RULE_WHEN_OFFERED;
    rule[8*`HWGW_RULE_SIDE_OFF+:8] = `HWGW_ORDER_SIDE_BUY;
    rule[8*`HWGW_RULE_TIF_OFF+:8] = `HWGW_ORDER_TIF_IOC;
    rule[8*`HWGW_RULE_WHEN_PX_OFF+:32] = 32'd2;
    rule[8*`HWGW_RULE_QTY_OFF+:32] = 32'd1;
    rule[8*`HWGW_RULE_ARMED_OFF+:16] = {12'd0, armed};
    event_in = 0;
    event_in[8*`HWGW_EVENT_KIND_OFF+:8] = `HWGW_EVENT_KIND_ADD;
    event_in[8*`HWGW_EVENT_SIDE_OFF+:8] = `HWGW_EVENT_SIDE_SELL;
    event_in[8*`HWGW_EVENT_INSTRUMENT_OFF+:32] = {31'd0, event_row};
    event_in[8*`HWGW_EVENT_PX_OFF+:32] = {30'd0, event_px};
  end

  hwgw_trigger #(.INSTRUMENT_W(1)) dut (
      .clk(clk), .cfg_enable(enable), .is_feed_good(is_feed_good), .cfg_instrument(rule_row), .cfg_rule(rule),
      .cmd_store(cmd_store), .cmd_disarm(cmd_disarm), .cfg_shot_ref({30'd0, shot_ref}), .cmd_shot(cmd_shot), .is_loaded(is_loaded), .is_fired(is_fired), .s_event(event_in), .s_valid(valid), .m_axis_order_tdata(order),
      .m_axis_order_tvalid(m_valid), .m_axis_order_tready(ready), .is_ready(is_ready), .pulse_fired(fired),
      .pulse_drop_disabled(disabled), .pulse_drop_spent(used), .pulse_drop_feed(no_feed), .pulse_drop_busy(busy), .pulse_refused(refused), .rst(rst)
  );

  (* anyconst *) reg row;
  reg        has_begun = 1'b0;
  reg        stored_q, disarmed_q, waits_q;
  reg [ 3:0] armed_q;
  reg [19:0] lent_q, spent_q;
  reg [511:0] order_q;
  wire [31:0] order_row = order[8*`HWGW_ORDER_INSTRUMENT_OFF+:32];
  wire [19:0] lent = lent_q + (stored_q && !refused ? {16'd0, armed_q} : 20'd0);
  wire [19:0] spent = spent_q + {19'd0, fired && order_row == {31'd0, row}};

  always @(posedge clk) begin
    has_begun  <= 1'b1;
    assume (rst == !has_begun);
    stored_q   <= cmd_store && rule_row == row && !rst;
    disarmed_q <= cmd_disarm;
    armed_q    <= armed;
    lent_q     <= rst ? 20'd0 : lent;
    spent_q    <= rst ? 20'd0 : spent;
    if (cmd_disarm && !rst) spent_q <= lent;  // what is left is void
    waits_q    <= m_valid && !ready && !rst;
    order_q    <= order;
  end

`ifdef RULE_SHOTS
  always @(posedge clk)
    if (!rst && has_begun) begin
      assert (spent <= lent);
      if (fired) assert (!disarmed_q);
      cover (spent == 20'd2 && lent == 20'd2 && fired);
      cover (spent == 20'd2 && disabled);
    end
`endif

`ifdef RULE_ONE
  reg  [1:0] given_q;  // the last number; 0 = none, or it was used
  wire [31:0] order_ref = order[8*`HWGW_ORDER_REF_OFF+:32];

  // fired is a cycle late: what is seen of it here was decided before the command of this cycle
  reg        was_shot_q;
  reg  [1:0] was_ref_q;
  wire [1:0] given = fired ? 2'd0 : given_q;

  always @(posedge clk) begin
    was_shot_q <= cmd_shot && !rst;
    was_ref_q  <= shot_ref;
    given_q    <= rst ? 2'd0 : cmd_disarm ? 2'd0 : cmd_shot ? shot_ref : given;
    if (!rst && has_begun) begin
      if (fired) assert (given_q != 2'd0 && order_ref == {30'd0, given_q} && is_fired);
      assert (is_loaded == (given != 2'd0));
      cover (fired && given_q == 2'd3);
      cover (is_fired && is_loaded == 1'b0 && was_shot_q && was_ref_q == 2'd0);
    end
  end
`endif

`ifdef RULE_WHY
  reg was_used_q;  // rules were on, and the last number had been used

  always @(posedge clk) begin
    was_used_q <= enable && is_fired && !is_loaded && !rst;
    if (!rst && has_begun) begin
      assert ({2'd0, fired} + {2'd0, disabled} + {2'd0, used} + {2'd0, no_feed} + {2'd0, busy} <= 3'd1);
      if (used) assert (was_used_q);
      if (disabled) assert (!was_used_q);
      cover (used);
    end
  end
`endif

`ifdef RULE_STABLE
  always @(posedge clk)
    if (!rst && has_begun) begin
      if (waits_q) assert (m_valid && order == order_q && !fired);
      assert ((m_valid && !waits_q) == fired);
      cover (waits_q && busy);
      cover (fired && no_feed == 1'b0 && order_row == 32'd1);
    end
`endif

endmodule

`default_nettype wire
