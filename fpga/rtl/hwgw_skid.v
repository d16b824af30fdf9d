// hwgw_skid: cuts the timing paths of a stream in both directions.
//
// SPDX-License-Identifier: MIT
//
// Input, output: AXI-Stream words of WIDTH bits (whatever belongs to a beat, packed by the user).
// Order: words leave in the order in which they came, each once.
// Latency: 1 cycle. Throughput: a word per cycle. Both tready and m_axis are driven by registers.
// At the limit: holds two words; the second is the one that was on its way when the consumer stopped.
`default_nettype none

module hwgw_skid #(
    parameter WIDTH = 64
) (
    input  wire             clk,
    input  wire [WIDTH-1:0] s_axis_tdata,
    input  wire             s_axis_tvalid,
    output wire             s_axis_tready,
    output wire [WIDTH-1:0] m_axis_tdata,
    output wire             m_axis_tvalid,
    input  wire             m_axis_tready,
    input  wire             rst
);

  reg [WIDTH-1:0] out_q;
  reg [WIDTH-1:0] held_q;
  reg             out_valid_q;
  reg             held_valid_q;

  assign s_axis_tready = !held_valid_q;
  assign m_axis_tdata  = out_q;
  assign m_axis_tvalid = out_valid_q;

  wire out_is_free = !out_valid_q || m_axis_tready;
  wire take = s_axis_tvalid && s_axis_tready;

  always @(posedge clk) begin
    if (out_is_free) begin
      out_q        <= held_valid_q ? held_q : s_axis_tdata;
      out_valid_q  <= held_valid_q || take;
      held_valid_q <= 1'b0;
    end else if (take) begin
      held_valid_q <= 1'b1;
    end
    if (take) held_q <= s_axis_tdata;
    if (rst) begin
      out_valid_q  <= 1'b0;
      held_valid_q <= 1'b0;
    end
  end

endmodule

`default_nettype wire
