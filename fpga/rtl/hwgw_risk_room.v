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

  reg  [LESS_W-1:0] low_inv_q;  // ~ of the room's lower half
  wire [LESS_W-1:0] low_inv;  // and of what is left of it
  reg  [1:0] low_inv_q2;  // 3, 0 or 1: owed are 0, 1 or 2
  reg  [2:0] is_room_q;  // when 0 to 2 is owed

  hwgw_risk_three #(
      .WIDTH(LESS_W)
  ) u_low (
      .a(low_inv_q), .b({3'd0, sum[0+:HALF_W]}), .c({3'd0, carry[0+:HALF_W]}), .y(low_inv)
  );

  genvar k;
  generate
    for (k = 0; k < 3; k = k + 1) begin : g_owed
      localparam [LESS_W-1:0] OWED = k;
      reg  [LESS_W-1:0] high_inv_q;
      wire [LESS_W-1:0] high_inv;
      wire unused_high = &{1'b0, high_inv};
      hwgw_risk_three #(
          .WIDTH(LESS_W)
      ) u_high (
          .a(high_inv_q), .b({3'd0, sum[HALF_W+:HALF_W]}), .c({3'd0, carry[HALF_W+:HALF_W]}), .y(high_inv)
      );
      always @(posedge clk) begin
        high_inv_q   <= ~{3'd0, room[HALF_W+:HALF_W]} + OWED;  // ~(room - OWED)
        is_room_q[k] <= high_inv[LESS_W-1];
      end
    end
  endgenerate

  always @(posedge clk) begin
    low_inv_q  <= ~{3'd0, room[0+:HALF_W]};
    low_inv_q2 <= low_inv[HALF_W+:2];
  end

  assign is_short = !(low_inv_q2[1] ? is_room_q[0] : low_inv_q2[0] ? is_room_q[2] : is_room_q[1]);

  wire unused_low = &{1'b0, low_inv};

endmodule

`default_nettype wire
