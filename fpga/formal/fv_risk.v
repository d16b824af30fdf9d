// fv_risk: hwgw_risk around its parts (fv_risk_stubs), between a producer, a consumer and a halt wire that do what they like.
//
// SPDX-License-Identifier: MIT
//
// It begins idle, in any state that it can be idle in and more, so what holds for these cycles holds from record to record.
// RULE_SHUT  an order passes only when, in the cycle in which its answer is formed, nothing is latched, the halt wire is low
//            and a table is in force: no new or replace after a reset, a damaged row or a halt
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

`ifdef RULE_SHUT
  always @(posedge clk)
    if (!rst && has_begun) begin
      if (m_valid && !was_valid_q && is_order && was_shut_q) assert (m_reason == `HWGW_RISK_REASON_HALTED);
      cover (m_valid && is_order && m_reason == `HWGW_RISK_REASON_PASS);
    end
`endif

endmodule

`default_nettype wire
