// fv_udp: hwgw_udp behind a MAC that brings whatever frames it likes, with and without gaps.
//
// SPDX-License-Identifier: MIT
//
// Assumed of the MAC: tkeep has no holes, and only the last beat of a frame has less than 8 bytes, but one at least.
// RULE_VERDICT  a verdict comes five cycles after each beat with tlast, and never else; no payload comes in the four cycles
//               behind such a beat. That is what fv_mold rests on.
`default_nettype none
`include "hwgw_specs.vh"

module fv_udp (
    input wire        clk,
    input wire        rst,
    input wire [63:0] data,
    input wire [ 2:0] cnt,
    input wire        valid,
    input wire        last,
    input wire        user,
    input wire        enable
);

  (* anyconst *) reg [31:0] group;
  (* anyconst *) reg [15:0] port;
  wire [7:0] keep, m_keep;
  wire m_valid, m_last, verdict_valid;
  wire [`HWGW_LINE_CNT_W-1:0] cause;
  assign keep = last ? 8'hff >> cnt : 8'hff;

  hwgw_udp dut (
      .clk(clk), .now(64'd0), .cfg_enable(enable), .cfg_group(group), .cfg_port(port), .s_axis_tdata(data), .s_axis_tkeep(keep),
      .s_axis_tvalid(valid), .s_axis_tlast(last), .s_axis_tuser(user), .m_axis_tdata(), .m_axis_tkeep(m_keep),
      .m_axis_tvalid(m_valid), .m_axis_tlast(m_last), .m_t_rx(), .m_refused(), .m_verdict_valid(verdict_valid),
      .m_verdict_cause(cause), .rst(rst)
  );

  reg       has_begun = 1'b0;
  reg [5:0] end_q = 6'd0;  // bit n: a beat with tlast n + 1 cycles ago

  always @(posedge clk) begin
    has_begun <= 1'b1;
    assume (rst == !has_begun);
    end_q <= rst ? 6'd0 : {end_q[4:0], m_valid && m_last};
  end

`ifdef RULE_VERDICT
  always @(posedge clk)
    if (!rst && has_begun) begin
      assert (verdict_valid == end_q[4]);
      if (m_valid && m_keep[0]) assert (end_q[3:0] == 4'd0);
      cover (verdict_valid && cause == 0);
      cover (m_valid && m_keep == 8'hff && end_q[5]);
    end
`endif

endmodule

`default_nettype wire
