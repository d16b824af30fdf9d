// hwgw_risk_product: price x quantity, exact, a cycle later.
//
// SPDX-License-Identifier: MIT
//
// A module of its own so that the proofs of the checks can leave it open: they hold whatever the product is.
`default_nettype none

module hwgw_risk_product (
    input  wire        clk,
    input  wire [31:0] a,
    input  wire [31:0] b,
    output reg  [63:0] p
);

  always @(posedge clk) p <= a * b;

endmodule

`default_nettype wire
