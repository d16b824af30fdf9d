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

  (* no_rw_check *)  // a word is read in a later cycle than it is written
  reg [WIDTH-1:0] ram[0:DEPTH-1];
  reg [ ADDR_W:0] write_q;
  reg [ ADDR_W:0] read_q;
  reg [WIDTH-1:0] out_q;
  reg             out_valid_q;

  reg [ ADDR_W:0] write_more_q;  // write_q + 1
  reg [ ADDR_W:0] read_more_q;  // read_q + 1
  reg             is_empty_q;
  reg             has_room_q;

  wire put = s_axis_tvalid && has_room_q;
  wire get = !is_empty_q && (!out_valid_q || m_axis_tready);

  assign s_axis_tready = has_room_q;
  assign m_axis_tdata  = out_q;
  assign m_axis_tvalid = out_valid_q;
  assign level         = write_q - read_q;

  // empty or full after this cycle, for what may happen in it
  localparam [ADDR_W:0] ALL = DEPTH;
  wire is_none = ~|(write_q ^ read_q);
  wire is_one = ~|(write_q ^ read_more_q);
  wire is_all = ~|(write_q ^ read_q ^ ALL);
  wire is_last = ~|(write_more_q ^ read_q ^ ALL);

  // what is not put is written over: nothing wide waits for s_axis_tvalid
  always @(posedge clk) begin
    if (has_room_q) ram[write_q[ADDR_W-1:0]] <= s_axis_tdata;
    if (get) out_q <= ram[read_q[ADDR_W-1:0]];
  end

  always @(posedge clk) begin
    if (put) begin
      write_q      <= write_more_q;
      write_more_q <= write_more_q + {{ADDR_W{1'b0}}, 1'b1};
    end
    if (get) begin
      read_q      <= read_more_q;
      read_more_q <= read_more_q + {{ADDR_W{1'b0}}, 1'b1};
    end
    is_empty_q  <= !put && (get ? is_one : is_none);
    has_room_q  <= get || !(put ? is_last : is_all);
    out_valid_q <= get || (out_valid_q && !m_axis_tready);
    if (rst) begin
      write_q     <= {(ADDR_W + 1) {1'b0}};
      read_q      <= {(ADDR_W + 1) {1'b0}};
      write_more_q <= {{ADDR_W{1'b0}}, 1'b1};
      read_more_q  <= {{ADDR_W{1'b0}}, 1'b1};
      is_empty_q  <= 1'b1;
      has_room_q  <= 1'b1;
      out_valid_q <= 1'b0;
    end
  end

endmodule

`default_nettype wire
