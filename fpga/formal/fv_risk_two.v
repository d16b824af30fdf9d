// fv_risk_two: the two numbers of hwgw_risk_product are a x b, with limbs of 2 bits (the structure is that of 16).
//
// SPDX-License-Identifier: MIT
`default_nettype none

module fv_risk_two (
    input wire       clk,
    input wire [3:0] a,
    input wire [3:0] b
);

  wire [7:0] sum, carry;
  hwgw_risk_product #(.LIMB_W(2)) dut (.clk(clk), .a(a), .b(b), .sum(sum), .carry(carry));

  reg       has_begun_q = 1'b0;
  reg [7:0] want_q;
  always @(posedge clk) begin
    has_begun_q <= 1'b1;
    want_q      <= {4'd0, a} * {4'd0, b};
  end

`ifdef RULE_EXACT
  always @(posedge clk)
    if (has_begun_q) begin
      assert ({1'b0, sum} + {1'b0, carry} == {1'b0, want_q});
      assert (carry[2:0] == 3'd0);
      cover (want_q == 8'd225 && carry != 8'd0);
    end
`endif

endmodule

`default_nettype wire
