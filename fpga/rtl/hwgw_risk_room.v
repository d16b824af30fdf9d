// hwgw_risk_room: is a product of hwgw_risk_product more than there is room for.
//
// SPDX-License-Identifier: MIT
//
// Input: the room, unsigned, and a cycle later the two numbers of the product. Output, a cycle behind these: is_short =
// product > room, exact.
// Room less product, in halves that do not wait for each other: what the lower one owes is 0 to 2, so the upper one is
// compared with each, and the choice stands behind the register.
`default_nettype none

module hwgw_risk_room #(
    parameter HALF_W = 32  // of the room
) (
    input  wire                clk,
    input  wire [2*HALF_W-1:0] room,
    input  wire [2*HALF_W-1:0] sum,
    input  wire [2*HALF_W-1:0] carry,
    output wire                is_short
);

  localparam LESS_W = HALF_W + 3;  // signed, and a bit wider than needed, as in hwgw_risk_check

  reg  [HALF_W-1:0] low_room_q;
  wire [LESS_W-1:0] low = {3'd0, low_room_q} - {3'd0, sum[0+:HALF_W]} - {3'd0, carry[0+:HALF_W]};
  reg  [1:0] low_q;       // less what is owed, modulo 4
  reg  [2:0] is_short_q;  // when 0 to 2 is owed

  genvar k;
  generate
    for (k = 0; k < 3; k = k + 1) begin : g_owed
      localparam [LESS_W-1:0] OWED = k;
      reg  [LESS_W-1:0] room_q;
      wire [LESS_W-1:0] high = room_q - {3'd0, sum[HALF_W+:HALF_W]} - {3'd0, carry[HALF_W+:HALF_W]};
      wire unused_high = &{1'b0, high};
      always @(posedge clk) begin
        room_q        <= {3'd0, room[HALF_W+:HALF_W]} - OWED;
        is_short_q[k] <= high[LESS_W-1];
      end
    end
  endgenerate

  always @(posedge clk) begin
    low_room_q <= room[0+:HALF_W];
    low_q      <= low[HALF_W+:2];
  end

  // 0, 3 and 2: owed are 0, 1 and 2
  assign is_short = low_q[0] ? is_short_q[1] : low_q[1] ? is_short_q[2] : is_short_q[0];

  wire unused_low = &{1'b0, low};

endmodule

`default_nettype wire
