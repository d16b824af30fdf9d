// hwgw_fifo: words wait in block RAM; the oldest stands at the output.
//
// SPDX-License-Identifier: MIT
//
// Input, output: AXI-Stream words of WIDTH bits.
// Order: words leave in the order in which they came, each once.
// Latency: 2 cycles from an empty FIFO. Throughput: a word per cycle.
// At the limit: holds DEPTH + 1 words (one of them in the output register); then s_axis_tready is low. A producer that
// cannot wait looks at level first.
// Parameters: DEPTH, a power of two, at least 2: anything else stops elaboration.
// level: words in RAM, of those that were taken before this cycle; the one at the output is not among them.
`default_nettype none

module hwgw_fifo #(
    parameter WIDTH = 64,
    parameter DEPTH = 512
) (
    input  wire                     clk,
    input  wire [        WIDTH-1:0] s_axis_tdata,
    input  wire                     s_axis_tvalid,
    output wire                     s_axis_tready,
    output wire [        WIDTH-1:0] m_axis_tdata,
    output wire                     m_axis_tvalid,
    input  wire                     m_axis_tready,
    output wire [$clog2(DEPTH):0]   level,
    input  wire                     rst
);

  localparam ADDR_W = $clog2(DEPTH);

  generate
    if (DEPTH < 2 || (DEPTH & (DEPTH - 1)) != 0) begin : g_bad_depth
      hwgw_fifo_depth_is_not_a_power_of_two stop ();
    end
  endgenerate

  reg [WIDTH-1:0] ram[0:DEPTH-1];
  reg [ ADDR_W:0] write_q;
  reg [ ADDR_W:0] read_q;
  reg [WIDTH-1:0] out_q;
  reg             out_valid_q;

  wire is_empty = write_q == read_q;
  wire is_full = write_q == {~read_q[ADDR_W], read_q[ADDR_W-1:0]};
  wire put = s_axis_tvalid && !is_full;
  wire get = !is_empty && (!out_valid_q || m_axis_tready);

  assign s_axis_tready = !is_full;
  assign m_axis_tdata  = out_q;
  assign m_axis_tvalid = out_valid_q;
  assign level         = write_q - read_q;

  always @(posedge clk) begin
    if (put) ram[write_q[ADDR_W-1:0]] <= s_axis_tdata;
    if (get) out_q <= ram[read_q[ADDR_W-1:0]];
  end

  always @(posedge clk) begin
    write_q     <= write_q + {{ADDR_W{1'b0}}, put};
    read_q      <= read_q + {{ADDR_W{1'b0}}, get};
    out_valid_q <= get || (out_valid_q && !m_axis_tready);
    if (rst) begin
      write_q     <= {(ADDR_W + 1) {1'b0}};
      read_q      <= {(ADDR_W + 1) {1'b0}};
      out_valid_q <= 1'b0;
    end
  end

endmodule

`default_nettype wire
