// hwgw_event: event records wait for the host.
//
// SPDX-License-Identifier: MIT
//
// Input: records, one per cycle at most; never stalled. Output: the same, in their order, under tvalid and tready.
// At the limit: a record that finds the store full is lost and counted; the gap shows in the numbers of the records too.
// Latency: 2 cycles from an empty store. DEPTH: a power of two.
`default_nettype none

module hwgw_event #(
    parameter DEPTH = 512
) (
    input  wire         clk,
    input  wire [511:0] s_event,
    input  wire         s_valid,
    output wire [511:0] m_axis_event_tdata,
    output wire         m_axis_event_tvalid,
    input  wire         m_axis_event_tready,
    output reg          pulse_records,
    output reg          pulse_drop_full,
    input  wire         rst
);

  wire ready;
  wire [$clog2(DEPTH):0] level;
  wire unused_level = &{1'b0, level};

  hwgw_fifo #(
      .WIDTH(512),
      .DEPTH(DEPTH)
  ) u_fifo (
      .clk          (clk),
      .s_axis_tdata (s_event),
      .s_axis_tvalid(s_valid),
      .s_axis_tready(ready),
      .m_axis_tdata (m_axis_event_tdata),
      .m_axis_tvalid(m_axis_event_tvalid),
      .m_axis_tready(m_axis_event_tready),
      .level        (level),
      .rst          (rst)
  );

  always @(posedge clk) begin
    pulse_records   <= s_valid && ready && !rst;
    pulse_drop_full <= s_valid && !ready && !rst;
  end

endmodule

`default_nettype wire
