// hwgw_risk_mul: a signed product in limbs, for positions and money.
//
// SPDX-License-Identifier: MIT
//
// Input: a of 4 limbs of LIMB_W bits (the highest one signed), b signed. Output: p = a x b, 4 cycles later, exact.
// Throughput: a product per cycle. The verdict of an order does not wait for it.
`default_nettype none

module hwgw_risk_mul #(
    parameter LIMB_W = 16,
    parameter B_W = 33
) (
    input  wire                       clk,
    input  wire signed [4*LIMB_W-1:0] a,
    input  wire signed [     B_W-1:0] b,
    output reg signed  [4*LIMB_W+B_W-1:0] p
);

  localparam PART_W = LIMB_W + 1 + B_W;
  localparam PAIR_W = PART_W + LIMB_W + 1;
  localparam P_W = 4 * LIMB_W + B_W;

  reg signed [4*LIMB_W-1:0] a_q;
  reg signed [     B_W-1:0] b_q;
  reg signed [  PART_W-1:0] part0_q, part1_q, part2_q, part3_q;
  reg signed [  PAIR_W-1:0] low_q, high_q;

  wire signed [LIMB_W:0] limb0 = {1'b0, a_q[0+:LIMB_W]};
  wire signed [LIMB_W:0] limb1 = {1'b0, a_q[LIMB_W+:LIMB_W]};
  wire signed [LIMB_W:0] limb2 = {1'b0, a_q[2*LIMB_W+:LIMB_W]};
  wire signed [LIMB_W:0] limb3 = {a_q[4*LIMB_W-1], a_q[3*LIMB_W+:LIMB_W]};

  wire signed [PAIR_W-1:0] low_even = {{(PAIR_W - PART_W) {part0_q[PART_W-1]}}, part0_q};
  wire signed [PAIR_W-1:0] low_odd = {part1_q[PART_W-1], part1_q, {LIMB_W{1'b0}}};
  wire signed [PAIR_W-1:0] high_even = {{(PAIR_W - PART_W) {part2_q[PART_W-1]}}, part2_q};
  wire signed [PAIR_W-1:0] high_odd = {part3_q[PART_W-1], part3_q, {LIMB_W{1'b0}}};

  wire signed [P_W-1:0] low = {{(P_W - PAIR_W) {low_q[PAIR_W-1]}}, low_q};
  wire signed [PAIR_W+2*LIMB_W-1:0] high = {high_q, {(2 * LIMB_W) {1'b0}}};
  wire unused_high = &{1'b0, high};

  always @(posedge clk) begin
    a_q     <= a;
    b_q     <= b;
    part0_q <= limb0 * b_q;
    part1_q <= limb1 * b_q;
    part2_q <= limb2 * b_q;
    part3_q <= limb3 * b_q;
    low_q   <= low_even + low_odd;
    high_q  <= high_even + high_odd;
    p       <= low + $signed(high[P_W-1:0]);
  end

endmodule

`default_nettype wire
