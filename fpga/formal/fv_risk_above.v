// fv_risk_above: hwgw_risk_room as it is meant, of the sum of the two numbers (risk.short says that it is so).
//
// SPDX-License-Identifier: MIT
`default_nettype none

module hwgw_risk_room (
    input  wire        clk,
    input  wire [63:0] room,
    input  wire [63:0] sum,
    input  wire [63:0] carry,
    output wire        is_short
);
  wire [64:0] product = {1'b0, sum} + {1'b0, carry};
  assign is_short = product > {1'b0, room};
  wire unused = &{1'b0, clk};
endmodule

`default_nettype wire
