// risk_bench: hwgw_risk for the bench.
//
// SPDX-License-Identifier: MIT
`default_nettype none

module risk_bench (
    input  wire         clk,
    input  wire [511:0] s_axis_event_tdata,
    input  wire         s_axis_event_tvalid,
    output wire         s_axis_event_tready,
    output wire [511:0] m_axis_verdict_tdata,
    output wire [  7:0] m_axis_verdict_tuser,
    output wire         m_axis_verdict_tvalid,
    input  wire         m_axis_verdict_tready,
    input  wire [ 63:0] s_axis_limits_tdata,
    input  wire         s_axis_limits_tvalid,
    output wire         s_axis_limits_tready,
    input  wire         s_axis_limits_tlast,
    output wire         is_ready,
    output wire [ 31:0] pulse,
    input  wire         rst
);

  hwgw_risk dut (
      .clk(clk), .s_axis_event_tdata(s_axis_event_tdata), .s_axis_event_tvalid(s_axis_event_tvalid),
      .s_axis_event_tready(s_axis_event_tready), .m_axis_verdict_tdata(m_axis_verdict_tdata),
      .m_axis_verdict_tuser(m_axis_verdict_tuser), .m_axis_verdict_px(), .m_axis_verdict_tvalid(m_axis_verdict_tvalid),
      .m_axis_verdict_tready(m_axis_verdict_tready), .s_axis_limits_tdata(s_axis_limits_tdata),
      .s_axis_limits_tvalid(s_axis_limits_tvalid), .s_axis_limits_tready(s_axis_limits_tready),
      .s_axis_limits_tlast(s_axis_limits_tlast), .halt(1'b0), .halt_reason(8'd0), .halted(), .generation(),
      .is_table_offered(), .is_ready(is_ready), .pulse_damaged(), .pulse(pulse), .verdict_addr(6'd0), .verdict_data(),
      .verdict_cnt(), .rst(rst)
  );

endmodule

`default_nettype wire
