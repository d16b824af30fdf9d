// hwgw_risk_dsp: a multiplier that keeps its operands, as it stands in the part: a wrapper.
//
// SPDX-License-Identifier: MIT
//
// p is the product of what stood at a and b when keep was last 1, signed, exact; there in the same cycle, for a register behind it.
// The registers are those inside the part's multiplier, so the way to it has a cycle of its own. A vendor's tool puts them there;
// yosys does not, so for ECP5 fpga/synth/ecp5/hwgw_risk_dsp.v stands in for this file.
`default_nettype none

module hwgw_risk_dsp #(
    parameter WIDTH = 17  // at most 18
) (
    input  wire                      clk,
    input  wire                      keep,
    input  wire signed [  WIDTH-1:0] a,
    input  wire signed [  WIDTH-1:0] b,
    output wire signed [2*WIDTH-1:0] p
);

  reg signed [WIDTH-1:0] a_q, b_q;

  always @(posedge clk)
    if (keep) begin
      a_q <= a;
      b_q <= b;
    end

  assign p = a_q * b_q;

endmodule

`default_nettype wire
