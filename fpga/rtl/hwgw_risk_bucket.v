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

  reg [63:0] elapsed_q;
  reg [63:0] content_q;
  reg [63:0] capped_q;

  // a bit wider than needed, as in hwgw_risk_check
  wire [65:0] sum = {2'd0, level} + {2'd0, elapsed_q};

  always @(posedge clk) begin
    elapsed_q <= ts > level_ts ? ts - level_ts : 64'd0;
    content_q <= sum[64] ? {64{1'b1}} : sum[63:0];
    has_room  <= burst != 32'd0 && content_q >= refill_ns;
    capped_q  <= content_q < cap ? content_q : cap;
    left      <= capped_q - refill_ns;
  end

  wire unused_bits = &{1'b0, sum};

endmodule

`default_nettype wire
