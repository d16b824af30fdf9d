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

  localparam HIGH_W = B_W - LIMB_W;  // of b, above its lowest limb; at most LIMB_W + 1
  localparam PART_W = 2 * LIMB_W + 2;
  localparam PAIR_W = B_W + 2 * LIMB_W + 2;
  localparam P_W = 4 * LIMB_W + B_W;

  wire signed [LIMB_W:0] b_low = {1'b0, b[0+:LIMB_W]};
  wire signed [HIGH_W-1:0] b_top = b[LIMB_W+:HIGH_W];
  wire signed [LIMB_W:0] b_high = b_top;

  // a limb of a by a limb of b, at its place in the pair of limbs
  wire signed [PAIR_W-1:0] part[0:7];

  genvar k;
  generate
    for (k = 0; k < 4; k = k + 1) begin : g_limb
      localparam AT = (k % 2) * LIMB_W;
      wire signed [LIMB_W:0] limb = {k == 3 && a[4*LIMB_W-1], a[k*LIMB_W+:LIMB_W]};
      wire signed [PART_W-1:0] low_part, high_part;
      reg signed [PART_W-1:0] low_part_q, high_part_q;
      always @(posedge clk) begin
        low_part_q  <= low_part;
        high_part_q <= high_part;
      end
      hwgw_risk_dsp #(
          .WIDTH(LIMB_W + 1)
      ) u_low (
          .clk(clk), .keep(1'b1), .a(limb), .b(b_low), .p(low_part)
      );
      hwgw_risk_dsp #(
          .WIDTH(LIMB_W + 1)
      ) u_high (
          .clk(clk), .keep(1'b1), .a(limb), .b(b_high), .p(high_part)
      );
      assign part[2*k]   = {{(PAIR_W - PART_W) {low_part_q[PART_W-1]}}, low_part_q} <<< AT;
      assign part[2*k+1] = {{(PAIR_W - PART_W) {high_part_q[PART_W-1]}}, high_part_q} <<< (AT + LIMB_W);
    end
  endgenerate

  reg signed [PAIR_W-1:0] low_q, high_q;
  wire signed [P_W-1:0] low = {{(P_W - PAIR_W) {low_q[PAIR_W-1]}}, low_q};
  wire signed [PAIR_W+2*LIMB_W-1:0] high = {high_q, {(2 * LIMB_W) {1'b0}}};
  wire unused_high = &{1'b0, high};

  always @(posedge clk) begin
    low_q  <= part[0] + part[1] + part[2] + part[3];
    high_q <= part[4] + part[5] + part[6] + part[7];
    p      <= low + $signed(high[P_W-1:0]);
  end

endmodule

`default_nettype wire
