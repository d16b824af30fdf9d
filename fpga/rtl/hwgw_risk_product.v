// hwgw_risk_product: price x quantity, exact, as two numbers a cycle later, whose sum it is.
//
// SPDX-License-Identifier: MIT
//
// Its limbs stand in registers; sum and carry (no bit of which waits for another one) are made of them. Who adds or compares takes
// both, for a sum of one more costs less time than a sum behind a sum.
// carry is 0 up to its bit LIMB_W, so what lies below is right in sum alone.
// A module of its own so that the proofs of the checks can leave it open: they hold whatever the product is.
`default_nettype none

module hwgw_risk_product #(
    parameter LIMB_W = 16
) (
    input  wire                clk,
    input  wire [2*LIMB_W-1:0] a,
    input  wire [2*LIMB_W-1:0] b,
    output wire [4*LIMB_W-1:0] sum,
    output wire [4*LIMB_W-1:0] carry
);

  reg [4*LIMB_W-1:0] ends_q;
  reg [2*LIMB_W-1:0] mid_a_q, mid_b_q;
  wire [4*LIMB_W-1:0] mid_a = {{LIMB_W{1'b0}}, mid_a_q, {LIMB_W{1'b0}}};
  wire [4*LIMB_W-1:0] mid_b = {{LIMB_W{1'b0}}, mid_b_q, {LIMB_W{1'b0}}};
  wire [4*LIMB_W-1:0] more = (ends_q & mid_a) | (ends_q & mid_b) | (mid_a & mid_b);
  wire unused_more = more[4*LIMB_W-1];

  always @(posedge clk) begin
    ends_q[2*LIMB_W-1:0]        <= a[LIMB_W-1:0] * b[LIMB_W-1:0];
    ends_q[4*LIMB_W-1:2*LIMB_W] <= a[2*LIMB_W-1:LIMB_W] * b[2*LIMB_W-1:LIMB_W];
    mid_a_q                     <= a[2*LIMB_W-1:LIMB_W] * b[LIMB_W-1:0];
    mid_b_q                     <= a[LIMB_W-1:0] * b[2*LIMB_W-1:LIMB_W];
  end

  assign sum   = ends_q ^ mid_a ^ mid_b;
  assign carry = {more[4*LIMB_W-2:0], 1'b0};

endmodule

`default_nettype wire
