// hwgw_credit: a stream of records into a ring of the host's memory waits when the host has not taken what is there.
//
// SPDX-License-Identifier: MIT
//
// Input: a stream, and the doorbell: tail is the number of records the host has taken since the reset, mod 2^32. Output: the stream;
// record n belongs into entry n mod 2^ENTRY_W; head is the number of records that have left.
// At the limit: with 2^ENTRY_W records that were not taken the stream waits. A doorbell that takes back, or takes what has not
// left, changes nothing (pulse_doorbell). Latency: none.
`default_nettype none

module hwgw_credit #(
    parameter ENTRY_W = 6
) (
    input  wire        clk,
    input  wire        s_tvalid,
    output wire        s_tready,
    output wire        m_tvalid,
    input  wire        m_tready,
    input  wire        doorbell,
    input  wire [31:0] tail,
    output wire [31:0] head,
    output reg         pulse_doorbell,
    input  wire        rst
);

  reg  [31:0] head_q;
  reg  [31:0] tail_q;
  wire [31:0] used = head_q - tail_q;
  wire [31:0] taken = tail - tail_q;
  wire        is_room = !used[ENTRY_W];

  assign s_tready = m_tready && is_room;
  assign m_tvalid = s_tvalid && is_room;
  assign head     = head_q;

  always @(posedge clk) begin
    if (m_tvalid && m_tready) head_q <= head_q + 32'd1;
    if (doorbell && taken <= used) tail_q <= tail;
    pulse_doorbell <= doorbell && taken > used;
    if (rst) begin
      head_q         <= 32'd0;
      tail_q         <= 32'd0;
      pulse_doorbell <= 1'b0;
    end
  end

endmodule

`default_nettype wire
