// fv_risk_product: any product, the same as long as nothing moves: what is proven with it holds whatever price x quantity is.
//
// SPDX-License-Identifier: MIT
`default_nettype none

module hwgw_risk_product (
    input  wire        clk,
    input  wire [31:0] a,
    input  wire [31:0] b,
    output wire [63:0] p
);
  (* anyconst *) reg [63:0] any;
  assign p = any;
  wire unused = &{1'b0, clk, a, b};
endmodule

`default_nettype wire
