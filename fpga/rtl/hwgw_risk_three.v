// hwgw_risk_three: the sum of three numbers: one carry chain behind two levels of logic, instead of two chains.
//
// SPDX-License-Identifier: MIT
//
// Modulo 2^WIDTH. For a - b - c give ~a, b and c: the sum is then ~(a - b - c), so its sign says that b + c is not more than a.
`default_nettype none

module hwgw_risk_three #(
    parameter WIDTH = 32
) (
    input  wire [WIDTH-1:0] a,
    input  wire [WIDTH-1:0] b,
    input  wire [WIDTH-1:0] c,
    output wire [WIDTH-1:0] y
);

  wire [WIDTH-1:0] more = (a & b) | (a & c) | (b & c);
  wire unused_more = more[WIDTH-1];

  assign y = (a ^ b ^ c) + {more[WIDTH-2:0], 1'b0};

endmodule

`default_nettype wire
