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

  localparam HIGH_W = B_W - LIMB_W;  // of b, above its lowest limb
  localparam LOW_PART_W = 2 * LIMB_W + 2;
  localparam HIGH_PART_W = LIMB_W + 1 + HIGH_W;
  localparam PAIR_W = B_W + 2 * LIMB_W + 2;
  localparam P_W = 4 * LIMB_W + B_W;

  reg signed [4*LIMB_W-1:0] a_q;
  reg signed [     B_W-1:0] b_q;
  wire signed [LIMB_W:0] b_low = {1'b0, b_q[0+:LIMB_W]};
  wire signed [HIGH_W-1:0] b_high = b_q[LIMB_W+:HIGH_W];

  // a limb of a by a limb of b, at its place in the pair of limbs
  wire signed [PAIR_W-1:0] part[0:7];

  genvar k;
  generate
    for (k = 0; k < 4; k = k + 1) begin : g_limb
      localparam AT = (k % 2) * LIMB_W;
      wire signed [LIMB_W:0] limb = {k == 3 && a_q[4*LIMB_W-1], a_q[k*LIMB_W+:LIMB_W]};
      reg signed [LOW_PART_W-1:0] low_part_q;
      reg signed [HIGH_PART_W-1:0] high_part_q;
      always @(posedge clk) begin
        low_part_q  <= limb * b_low;
        high_part_q <= limb * b_high;
      end
      assign part[2*k]   = {{(PAIR_W - LOW_PART_W) {low_part_q[LOW_PART_W-1]}}, low_part_q} <<< AT;
      assign part[2*k+1] = {{(PAIR_W - HIGH_PART_W) {high_part_q[HIGH_PART_W-1]}}, high_part_q} <<< (AT + LIMB_W);
    end
  endgenerate

  reg signed [PAIR_W-1:0] low_q, high_q;
  wire signed [P_W-1:0] low = {{(P_W - PAIR_W) {low_q[PAIR_W-1]}}, low_q};
  wire signed [PAIR_W+2*LIMB_W-1:0] high = {high_q, {(2 * LIMB_W) {1'b0}}};
  wire unused_high = &{1'b0, high};

  always @(posedge clk) begin
    a_q    <= a;
    b_q    <= b;
    low_q  <= part[0] + part[1] + part[2] + part[3];
    high_q <= part[4] + part[5] + part[6] + part[7];
    p      <= low + $signed(high[P_W-1:0]);
  end

endmodule

`default_nettype wire
