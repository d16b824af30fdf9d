// fv_risk_two: the two numbers of hwgw_risk_product are a x b of when they were kept, with limbs of 2 bits (the structure is that of 16).
//
// SPDX-License-Identifier: MIT
`default_nettype none

module fv_risk_two (
    input wire       clk,
    input wire       keep,
    input wire [3:0] a,
    input wire [3:0] b
);

  wire [7:0] sum, carry;
  hwgw_risk_product #(.LIMB_W(2)) dut (.clk(clk), .keep(keep), .a(a), .b(b), .sum(sum), .carry(carry));

  reg       was_kept_q = 1'b0;
  reg       is_made_q = 1'b0;
  reg [7:0] kept_q, want_q;
  always @(posedge clk) begin
    if (keep) begin
      was_kept_q <= 1'b1;
      kept_q     <= {4'd0, a} * {4'd0, b};
    end
    is_made_q <= was_kept_q;
    want_q    <= kept_q;
  end

`ifdef RULE_EXACT
  always @(posedge clk)
    if (is_made_q) begin
      assert ({1'b0, sum} + {1'b0, carry} == {1'b0, want_q});
      assert (carry[2:0] == 3'd0);
      cover (want_q == 8'd225 && carry != 8'd0 && !keep);
    end
`endif

endmodule

`default_nettype wire
