// fv_risk: hwgw_risk around its parts (fv_risk_stubs), between a producer, a consumer and a halt wire that do what they like.
//
// SPDX-License-Identifier: MIT
//
// It begins idle, in any state that it can be idle in and more, so what holds for these cycles holds from record to record.
// RULE_SHUT  an order passes only when, in the cycle in which its answer is formed, nothing is latched, the halt wire is low
//            and a table is in force: no new or replace after a reset, a damaged row or a halt
// RULE_LATCH a halt on the wire latches, and while a record is inside nothing clears what came since: a resume only clears what
//            was before it, so that the next order finds the halt that came with it or behind it
// RULE_ONCE  each record that is taken is answered once, before the next one is, with the record itself, at most 46 cycles later
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_risk.vh"

module fv_risk (
    input wire       clk,
    input wire       rst,
    input wire [4:0] kind,
    input wire [2:0] mark,
    input wire       valid,
    input wire       ready,
    input wire       halt
);

  wire         s_ready, m_valid;
  wire [511:0] m_data;
  wire [  7:0] m_reason, halted;
  wire [ 63:0] generation;
  wire [511:0] record = {253'd0, mark, 248'd0, 3'd0, kind};  // the mark is in ts_ns

  hwgw_risk #(.INSTRUMENT_W(1), .SLOT_W(1)) dut (
      .clk(clk), .s_axis_event_tdata(record), .s_axis_event_tvalid(valid), .s_axis_event_tready(s_ready),
      .m_axis_verdict_tdata(m_data), .m_axis_verdict_tuser(m_reason), .m_axis_verdict_px(), .m_axis_verdict_tvalid(m_valid),
      .m_axis_verdict_tready(ready), .s_axis_limits_tdata(64'd0), .s_axis_limits_tvalid(1'b0), .s_axis_limits_tready(),
      .s_axis_limits_tlast(1'b0), .halt(halt), .halt_reason(`HWGW_RISK_REASON_SESSION), .halted(halted),
      .generation(generation), .is_table_offered(), .is_ready(), .pulse_damaged(), .pulse(), .verdict_addr(6'd0),
      .verdict_data(), .verdict_cnt(), .rst(rst)
  );

  wire answer = m_valid && ready;
  wire is_order = m_data[7:0] == `HWGW_ORDER_KIND_NEW || m_data[7:0] == `HWGW_ORDER_KIND_REPLACE;

  reg  [  1:0] begin_q = 2'd0;
  wire         has_begun = begin_q == 2'd2;
  reg         was_shut_q;     // in the cycle before: latched, on the wire, or no table
  reg         was_valid_q;

  always @(posedge clk) begin
    begin_q       <= begin_q + {1'b0, !has_begun};
    assume (!rst);
    if (!has_begun) assume (s_ready && !m_valid && !valid && !was_valid_q);
    was_shut_q    <= halted != 8'd0 || halt || generation == 64'd0;
    was_valid_q   <= m_valid && !answer;
  end

  // what begins idle is in one phase from then on, and its latch is one
  localparam [4:0] CLEAR = 0, IDLE = 1, WALK = 18, M1 = 19, JUDGE = 23, DONE = 24;
  wire [24:0] dut_phase_q;
  wire [ 4:0] dut_count_q;
  wire        dut_is_open_q, dut_is_walk_end_q, dut_is_latched_q;
  reg  [ 4:0] phase;  // which bit is set; compared as a whole, for a probe that is cut into bits loses its driver
  integer k;
  always @* begin
    phase = CLEAR;
    for (k = 1; k <= DONE; k = k + 1) if (dut_phase_q == 25'd1 << k) phase = k[4:0];
  end
  always @(posedge clk)
    if (!has_begun) assume (phase == IDLE && dut_is_latched_q == (halted != 8'd0));
    else begin
      assert (dut_is_latched_q == (halted != 8'd0));
      assert (phase != CLEAR);
      if (phase == DONE) assert (m_valid);
      if (m_valid) assert (phase == IDLE || phase == DONE);
      assert (dut_is_open_q == (phase == IDLE && !m_valid));
      assert (dut_is_walk_end_q == (phase == WALK && dut_count_q == 5'd23));
      if (phase == WALK) assert (dut_count_q < 5'd24);
      else assert (dut_count_q == 5'd0 || (dut_count_q == 5'd24 && (phase == M1 || phase == JUDGE)));
    end

`ifdef RULE_SHUT
  always @(posedge clk)
    if (!rst && has_begun) begin
      if (m_valid && !was_valid_q && is_order && was_shut_q) assert (m_reason == `HWGW_RISK_REASON_HALTED);
      cover (m_valid && is_order && m_reason == `HWGW_RISK_REASON_PASS);
    end
`endif

`ifdef RULE_LATCH
  wire [7:0] dut_halted_since_q;
  reg        has_come_q;  // on the wire, since the record that is inside or was last came
  reg        was_halted_q;
  wire [7:0] kind_out = m_data[7:0];
  always @(posedge clk) begin
    has_come_q <= has_begun && (halt || (has_come_q && !(valid && s_ready)));
    if (!has_begun) assume (!has_come_q);
    else if (!rst) begin
      if (has_come_q) assert (halted != 8'd0);
      if (has_come_q) assert (dut_halted_since_q != 8'd0);
      cover (answer && kind_out == `HWGW_ORDER_KIND_RESUME && halted != 8'd0 && has_come_q);
      cover (answer && kind_out == `HWGW_ORDER_KIND_NEW && m_reason == `HWGW_RISK_REASON_PASS && was_halted_q);
    end
    was_halted_q <= has_begun && (was_halted_q || halted != 8'd0);
  end
`endif

`ifdef RULE_ONCE
  reg        is_inside_q;
  reg  [7:0] held_q;
  reg  [6:0] age_q;

  // cycles until the answer stands at the port, at most
  wire [6:0] from_walk = phase == WALK ? {2'd0, 5'd24 - dut_count_q} + 7'd5 : 7'd29;
  wire [6:0] left = phase >= M1 ? {2'd0, JUDGE - phase} + 7'd1 :
      phase == WALK ? from_walk : {2'd0, WALK - phase} + 7'd29;

  always @(posedge clk) begin
    if (valid && s_ready) held_q <= {mark, kind};
    is_inside_q <= has_begun && ((valid && s_ready) || (is_inside_q && !answer));
    age_q       <= (valid && s_ready) ? 7'd0 : age_q + {6'd0, age_q != 7'd127};
    if (!has_begun) assume (!is_inside_q);
    else begin
      if (m_valid) assert (is_inside_q);
      if (valid && s_ready) assert (!is_inside_q || answer);
      if (is_inside_q) assert ({m_data[258:256], m_data[4:0]} == held_q && m_data[511:259] == 0 && m_data[255:5] == 0);
      if (is_inside_q && !m_valid) assert (age_q < 7'd46);
      // and what makes that so
      assert ((phase == IDLE || phase == DONE) == (m_valid || !is_inside_q));
      if (phase != IDLE && phase != DONE) assert (age_q + left <= 7'd46);
      cover (answer && held_q == 8'd1 && age_q == 7'd8);
      cover (answer && age_q == 7'd45);
    end
  end
`endif

endmodule

`default_nettype wire
