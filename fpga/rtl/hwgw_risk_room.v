// hwgw_risk_room: is a product of hwgw_risk_product more than there is room for.
//
// SPDX-License-Identifier: MIT
//
// Input: the room, unsigned, and a cycle later the three numbers of the product. Output, a cycle behind these: is_short =
// product > room, exact.
// Room less product, in halves that do not wait for each other: what the lower one owes is 0 to 3, so the upper one is
// compared with each, and the choice stands behind the register.
`default_nettype none

module hwgw_risk_room #(
    parameter HALF_W = 32  // of the room; even
) (
    input  wire                clk,
    input  wire [2*HALF_W-1:0] room,
    input  wire [2*HALF_W-1:0] ends,
    input  wire [  HALF_W-1:0] mid_a,
    input  wire [  HALF_W-1:0] mid_b,
    output wire                is_short
);

  localparam MID_W = HALF_W / 2;
  localparam SUM_W = HALF_W + 3;  // signed, and a bit wider than needed, as in hwgw_risk_check

  reg  [HALF_W-1:0] low_room_q;
  wire [SUM_W-1:0] low = {3'd0, low_room_q} - {3'd0, ends[0+:HALF_W]} - {3'd0, mid_a[0+:MID_W], {MID_W{1'b0}}} -
      {3'd0, mid_b[0+:MID_W], {MID_W{1'b0}}};
  reg  [1:0] low_q;       // less what is owed, modulo 4
  reg  [3:0] is_short_q;  // when 0 to 3 is owed

  genvar k;
  generate
    for (k = 0; k < 4; k = k + 1) begin : g_owed
      localparam [SUM_W-1:0] OWED = k;
      reg  [SUM_W-1:0] room_q;
      wire [SUM_W-1:0] high = room_q - {3'd0, ends[HALF_W+:HALF_W]} - {{(MID_W + 3) {1'b0}}, mid_a[MID_W+:MID_W]} -
          {{(MID_W + 3) {1'b0}}, mid_b[MID_W+:MID_W]};
      wire unused_high = &{1'b0, high};
      always @(posedge clk) begin
        room_q        <= {3'd0, room[HALF_W+:HALF_W]} - OWED;
        is_short_q[k] <= high[SUM_W-1];
      end
    end
  endgenerate

  always @(posedge clk) begin
    low_room_q <= room[0+:HALF_W];
    low_q      <= low[HALF_W+:2];
  end

  assign is_short = is_short_q[2'd0 - low_q];

  wire unused_low = &{1'b0, low};

endmodule

`default_nettype wire
