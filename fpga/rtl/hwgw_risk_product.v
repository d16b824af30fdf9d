// hwgw_risk_product: price x quantity, exact, as three numbers a cycle later: ends + (mid_a + mid_b) x 2^16.
//
// SPDX-License-Identifier: MIT
//
// Who adds or compares takes the three together, for a sum of two more costs less time than a sum behind a sum.
// A module of its own so that the proofs of the checks can leave it open: they hold whatever the product is.
`default_nettype none

module hwgw_risk_product (
    input  wire        clk,
    input  wire [31:0] a,
    input  wire [31:0] b,
    output reg  [63:0] ends,
    output reg  [31:0] mid_a,
    output reg  [31:0] mid_b
);

  always @(posedge clk) begin
    ends[31:0]  <= a[15:0] * b[15:0];
    ends[63:32] <= a[31:16] * b[31:16];
    mid_a       <= a[31:16] * b[15:0];
    mid_b       <= a[15:0] * b[31:16];
  end

endmodule

`default_nettype wire
