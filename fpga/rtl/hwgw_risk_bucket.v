// hwgw_risk_bucket: has a rate allowance room for one more order, and what is left of it then.
//
// SPDX-License-Identifier: MIT
//
// Input: a bucket, the time, its limits, the cap (burst x refill, saturated), all still. Output: has_room 3 cycles later, left 4.
// has_room: burst is not 0 and level + elapsed >= refill. The cap is never below refill then, so it does not matter here.
// left: min(cap, level + elapsed) - refill; means something when has_room. Sums saturate at 2^64 - 1.
`default_nettype none

module hwgw_risk_bucket (
    input  wire        clk,
    input  wire [63:0] level,
    input  wire [63:0] level_ts,
    input  wire [63:0] ts,
    input  wire [31:0] burst,
    input  wire [63:0] refill_ns,
    input  wire [63:0] cap,
    output reg         has_room,
    output reg  [63:0] left
);

  reg [64:0] elapsed_q;  // signed: the top bit says that the bucket is of a later time
  reg [65:0] content_q;  // bit 64: more than 64 bits hold
  reg [63:0] of_content_q;  // what is left, of the content and of the cap
  reg [63:0] of_cap_q;
  reg        is_capped_q;

  // a bit wider than needed, as in hwgw_risk_check
  wire [65:0] elapsed = {2'd0, elapsed_q[63:0] & {64{!elapsed_q[64]}}};

  always @(posedge clk) begin
    elapsed_q    <= {1'b0, ts} - {1'b0, level_ts};
    content_q    <= {2'd0, level} + elapsed;
    has_room     <= burst != 32'd0 && (content_q[64] || content_q[63:0] >= refill_ns);
    of_content_q <= content_q[63:0] - refill_ns;
    of_cap_q     <= cap - refill_ns;
    is_capped_q  <= content_q[64] || content_q[63:0] >= cap;
    left         <= is_capped_q ? of_cap_q : of_content_q;
  end

  wire unused_bits = &{1'b0, content_q};

endmodule

`default_nettype wire
