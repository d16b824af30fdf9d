// fv_risk_mul: the product in limbs is the product, with limbs of 2 bits (the structure is that of 16).
//
// SPDX-License-Identifier: MIT
`default_nettype none

module fv_risk_mul (
    input wire              clk,
    input wire signed [7:0] a,
    input wire signed [3:0] b
);

  wire signed [11:0] p;
  hwgw_risk_mul #(.LIMB_W(2), .B_W(4)) dut (.clk(clk), .a(a), .b(b), .p(p));

  reg signed [11:0] want_q, want_q2, want_q3, want_q4;
  reg [2:0] age_q = 3'd0;
  always @(posedge clk) begin
    age_q   <= age_q + {2'd0, age_q != 3'd7};
    want_q  <= a * b;
    want_q2 <= want_q;
    want_q3 <= want_q2;
    want_q4 <= want_q3;
  end

`ifdef RULE_EXACT
  always @(posedge clk)
    if (age_q > 3) begin
      assert (p == want_q4);
      cover (p == -12'sd1024 + 12'sd128);
      cover (p == 12'sd1024);
    end
`endif

endmodule

`default_nettype wire
