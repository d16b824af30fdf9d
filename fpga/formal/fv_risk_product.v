// fv_risk_product: any product of 64 bits, the same as long as nothing moves: what is proven with it holds whatever price x quantity is.
//
// SPDX-License-Identifier: MIT
//
// RULE_ROOM and RULE_CREDIT have it in one number, the other one being 0: by RULE_SUM only their sum counts.
`default_nettype none

module hwgw_risk_product (
    input  wire        clk,
    input  wire        keep,
    input  wire [31:0] a,
    input  wire [31:0] b,
    output wire [63:0] sum,
    output wire [63:0] carry
);
  (* anyconst *) reg [63:0] any;
`ifdef RULE_ROOM
  wire [63:0] any_carry = 64'd0;
`elsif RULE_CREDIT
  wire [63:0] any_carry = 64'd0;
`else
  (* anyconst *) reg [63:0] any_carry;
`endif
  wire [64:0] both = {1'b0, any} + {1'b0, any_carry};
  always @* assume (!both[64] && any_carry[16:0] == 17'd0);
  assign sum = any;
  assign carry = any_carry;
  wire unused = &{1'b0, clk, keep, a, b};
endmodule

`default_nettype wire
