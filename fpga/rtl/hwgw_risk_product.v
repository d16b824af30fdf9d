// hwgw_risk_product: price x quantity, exact, as two numbers two cycles later, whose sum it is.
//
// SPDX-License-Identifier: MIT
//
// The operands are kept with keep, their limbs' products stand in registers a cycle later; sum and carry (no bit of which waits for
// another one) are made of them. Who adds or compares takes both, for a sum of one more costs less time than a sum behind a sum.
// carry is 0 up to its bit LIMB_W, so what lies below is right in sum alone.
// A module of its own so that the proofs of the checks can leave it open: they hold whatever the product is.
`default_nettype none

module hwgw_risk_product #(
    parameter LIMB_W = 16
) (
    input  wire                clk,
    input  wire                keep,
    input  wire [2*LIMB_W-1:0] a,
    input  wire [2*LIMB_W-1:0] b,
    output wire [4*LIMB_W-1:0] sum,
    output wire [4*LIMB_W-1:0] carry
);

  wire [2*LIMB_W-1:0] part[0:3];  // of limb k / 2 of a by limb k % 2 of b

  genvar k;
  generate
    for (k = 0; k < 4; k = k + 1) begin : g_part
      wire [2*LIMB_W+1:0] p;
      wire unused_sign = &{1'b0, p[2*LIMB_W+1:2*LIMB_W]};
      hwgw_risk_dsp #(
          .WIDTH(LIMB_W + 1)
      ) u_dsp (
          .clk(clk), .keep(keep), .a({1'b0, a[LIMB_W*(k/2)+:LIMB_W]}), .b({1'b0, b[LIMB_W*(k%2)+:LIMB_W]}), .p(p)
      );
      assign part[k] = p[2*LIMB_W-1:0];
    end
  endgenerate

  reg [4*LIMB_W-1:0] ends_q;
  reg [2*LIMB_W-1:0] mid_a_q, mid_b_q;
  wire [4*LIMB_W-1:0] mid_a = {{LIMB_W{1'b0}}, mid_a_q, {LIMB_W{1'b0}}};
  wire [4*LIMB_W-1:0] mid_b = {{LIMB_W{1'b0}}, mid_b_q, {LIMB_W{1'b0}}};
  wire [4*LIMB_W-1:0] more = (ends_q & mid_a) | (ends_q & mid_b) | (mid_a & mid_b);
  wire unused_more = more[4*LIMB_W-1];

  always @(posedge clk) begin
    ends_q  <= {part[3], part[0]};
    mid_a_q <= part[2];
    mid_b_q <= part[1];
  end

  assign sum   = ends_q ^ mid_a ^ mid_b;
  assign carry = {more[4*LIMB_W-2:0], 1'b0};

endmodule

`default_nettype wire
