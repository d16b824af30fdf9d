// fv_risk_above: hwgw_risk_room as it is meant, of the sum of the three numbers (risk.short says that it is so).
//
// SPDX-License-Identifier: MIT
`default_nettype none

module hwgw_risk_room (
    input  wire        clk,
    input  wire [63:0] room,
    input  wire [63:0] ends,
    input  wire [31:0] mid_a,
    input  wire [31:0] mid_b,
    output wire        is_short
);
  wire [65:0] sum = {2'd0, ends} + {18'd0, mid_a, 16'd0} + {18'd0, mid_b, 16'd0};
  assign is_short = sum > {2'd0, room};
  wire unused = &{1'b0, clk};
endmodule

`default_nettype wire
