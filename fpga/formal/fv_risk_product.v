// fv_risk_product: any product of 64 bits, the same as long as nothing moves: what is proven with it holds whatever price x quantity is.
//
// SPDX-License-Identifier: MIT
//
// RULE_ROOM and RULE_CREDIT have it in one number, the other two being 0: by RULE_SUM only their sum counts.
`default_nettype none

module hwgw_risk_product (
    input  wire        clk,
    input  wire [31:0] a,
    input  wire [31:0] b,
    output wire [63:0] ends,
    output wire [31:0] mid_a,
    output wire [31:0] mid_b
);
  (* anyconst *) reg [63:0] any;
`ifdef RULE_ROOM
  wire [31:0] any_a = 32'd0, any_b = 32'd0;
`elsif RULE_CREDIT
  wire [31:0] any_a = 32'd0, any_b = 32'd0;
`else
  (* anyconst *) reg [31:0] any_a, any_b;
`endif
  wire [65:0] sum = {2'd0, any} + {18'd0, any_a, 16'd0} + {18'd0, any_b, 16'd0};
  always @* assume (sum[65:64] == 2'd0);
  assign ends = any;
  assign mid_a = any_a;
  assign mid_b = any_b;
  wire unused = &{1'b0, clk, a, b};
endmodule

`default_nettype wire
