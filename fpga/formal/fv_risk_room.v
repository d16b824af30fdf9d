// fv_risk_room: room less a product of three numbers, in halves, is that difference, with halves of 8 bits (the structure is that
// of 32).
//
// SPDX-License-Identifier: MIT
`default_nettype none

module fv_risk_room (
    input wire        clk,
    input wire [15:0] room,
    input wire [15:0] ends,
    input wire [ 7:0] mid_a,
    input wire [ 7:0] mid_b
);

  wire is_short;
  hwgw_risk_room #(.HALF_W(8)) dut (
      .clk(clk), .room(room), .ends(ends), .mid_a(mid_a), .mid_b(mid_b), .is_short(is_short)
  );

  wire [17:0] product = {2'd0, ends} + {6'd0, mid_a, 4'd0} + {6'd0, mid_b, 4'd0};
  reg has_begun_q = 1'b0, has_come_q = 1'b0;
  reg [15:0] room_q;
  reg want_q, is_full_q;
  always @(posedge clk) begin
    has_begun_q <= 1'b1;
    has_come_q  <= has_begun_q;
    room_q      <= room;
    want_q      <= product > {2'd0, room_q};
    is_full_q   <= product == {2'd0, room_q} && &mid_a && &mid_b;
  end

`ifdef RULE_EXACT
  always @(posedge clk)
    if (has_come_q) begin
      assert (is_short == want_q);
      cover (is_full_q && !is_short);
    end
`endif

endmodule

`default_nettype wire
