// fv_skid: hwgw_skid between a producer and a consumer that do what they like.
//
// SPDX-License-Identifier: MIT
`default_nettype none

module fv_skid (
    input wire       clk,
    input wire       rst,
    input wire [1:0] data,
    input wire       valid,
    input wire       ready
);

  wire s_ready, m_valid;
  wire [1:0] m_data;

  hwgw_skid #(.WIDTH(2)) dut (
      .clk(clk),
      .s_axis_tdata(data),
      .s_axis_tvalid(valid),
      .s_axis_tready(s_ready),
      .m_axis_tdata(m_data),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(ready),
      .rst(rst)
  );

  fv_stream #(.WIDTH(2), .LATENCY(1), .DEPTH(2)) rules (
      .clk(clk), .rst(rst),
      .s_data(data), .s_valid(valid), .s_ready(s_ready),
      .m_data(m_data), .m_valid(m_valid), .m_ready(ready)
  );

endmodule

`default_nettype wire
