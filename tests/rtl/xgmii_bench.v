// xgmii_bench: the card with a receiver of XGMII in front of each line, as a shell without a MAC of its own would have it.
//
// SPDX-License-Identifier: MIT
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_ports.vh"

module xgmii_bench (
    input  wire        clk,
    input  wire [63:0] xgmii_a_rxd,
    input  wire [ 7:0] xgmii_a_rxc,
    input  wire [63:0] xgmii_b_rxd,
    input  wire [ 7:0] xgmii_b_rxc,
    `HWGW_EVENT_PORTS
    `HWGW_AXIL_PORTS
    input  wire        rst
);

  `HWGW_LINES_WIRES
  `HWGW_ANSWER_WIRES
  reg  [63:0] now;

  always @(posedge clk) now <= rst ? 64'd0 : now + 64'd1;

  assign m_axis_verdict_tready = 1'b1;
  assign m_axis_sent_tready    = 1'b1;
  assign m_axis_tx_tready      = 1'b1;

  hwgw_xgmii u_a (
      .clk(clk), .xgmii_rxd(xgmii_a_rxd), .xgmii_rxc(xgmii_a_rxc), .m_axis_tdata(s_axis_a_tdata), .m_axis_tkeep(s_axis_a_tkeep),
      .m_axis_tvalid(s_axis_a_tvalid), .m_axis_tlast(s_axis_a_tlast), .m_axis_tuser(s_axis_a_tuser), .pulse_frames(),
      .pulse_drop_fcs(), .pulse_drop_runt(), .pulse_drop_symbol(), .rst(rst)
  );

  hwgw_xgmii u_b (
      .clk(clk), .xgmii_rxd(xgmii_b_rxd), .xgmii_rxc(xgmii_b_rxc), .m_axis_tdata(s_axis_b_tdata), .m_axis_tkeep(s_axis_b_tkeep),
      .m_axis_tvalid(s_axis_b_tvalid), .m_axis_tlast(s_axis_b_tlast), .m_axis_tuser(s_axis_b_tuser), .pulse_frames(),
      .pulse_drop_fcs(), .pulse_drop_runt(), .pulse_drop_symbol(), .rst(rst)
  );

  hwgw_card u_card (
      .clk(clk),
      .now(now),
      .now_ns(now),
      .halt(1'b0),
      `HWGW_LINES_PINS
      `HWGW_EVENT_PINS
      `HWGW_ANSWER_PINS
      .m_axis_price_tdata(),
      .m_axis_price_tvalid(),
      `HWGW_AXIL_PINS
      .rst(rst)
  );

endmodule

`default_nettype wire
