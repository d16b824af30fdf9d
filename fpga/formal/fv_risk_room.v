// fv_risk_room: room less a product of two numbers, in halves, is that difference, at full width.
//
// SPDX-License-Identifier: MIT
`default_nettype none

module fv_risk_room (
    input wire        clk,
    input wire [63:0] room,
    input wire [63:0] sum,
    input wire [63:0] carry
);

  wire is_short;
  hwgw_risk_room #(.HALF_W(32)) dut (.clk(clk), .room(room), .sum(sum), .carry(carry), .is_short(is_short));

  wire [64:0] product = {1'b0, sum} + {1'b0, carry};
  reg has_begun_q = 1'b0, has_come_q = 1'b0;
  reg [63:0] room_q;
  reg want_q, is_full_q;
  always @(posedge clk) begin
    has_begun_q <= 1'b1;
    has_come_q  <= has_begun_q;
    room_q      <= room;
    want_q      <= product > {1'b0, room_q};
    is_full_q   <= product == {1'b0, room_q} && &sum[31:0] && &carry[31:1];
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
