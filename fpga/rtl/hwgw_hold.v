// hwgw_hold: records of one line wait until they are committed and read; those of a bad packet can be taken back.
//
// SPDX-License-Identifier: MIT
//
// Input: a record per cycle; s_commit lets the reader have it and all before it, s_rollback takes back what has been written
// since the last commit (a record given in the same cycle included). A record that is given while s_full is high may be lost:
// the writer counts that, here nothing is overwritten. s_full comes MARGIN records early, as the writer looks at it ahead.
// Output: committed records in their order, each once, under valid and ready.
// Latency: 1 cycle past an empty store when the record is committed at once, else 3. Throughput: a record per cycle.
// is_tight: more than half of the store is in use, so that nobody should wait with reading.
`default_nettype none

module hwgw_hold #(
    parameter WIDTH = 360,
    parameter DEPTH = 1024,  // a power of two
    parameter MARGIN = 4
) (
    input  wire             clk,
    input  wire [WIDTH-1:0] s_record,
    input  wire             s_valid,
    input  wire             s_commit,
    input  wire             s_rollback,
    output reg              s_full,
    output reg              is_tight,
    output reg  [WIDTH-1:0] m_record,
    output reg              m_valid,
    input  wire             m_ready,
    input  wire             rst
);

  localparam ADDR_W = $clog2(DEPTH);

  generate
    if (DEPTH < 4 * MARGIN || (DEPTH & (DEPTH - 1)) != 0) begin : g_bad_depth
      hwgw_hold_depth_is_not_a_power_of_two stop ();
    end
  endgenerate

  reg  [WIDTH-1:0] ram          [0:DEPTH-1];
  reg  [ ADDR_W:0] write_q;
  reg  [ ADDR_W:0] commit_q;
  reg  [ ADDR_W:0] read_q;
  reg  [WIDTH-1:0] ram_q;
  reg              ram_valid_q;

  wire [ ADDR_W:0] used = write_q - read_q;
  wire             is_out_free = !m_valid || m_ready;
  wire             is_past = s_valid && s_commit && is_out_free && !ram_valid_q && write_q == read_q;
  wire             put = s_valid && !is_past && used != DEPTH[ADDR_W:0];
  wire             get = read_q != commit_q && (!ram_valid_q || is_out_free);
  wire [ ADDR_W:0] write_next = write_q + {{ADDR_W{1'b0}}, put};

  always @(posedge clk) begin
    if (put) ram[write_q[ADDR_W-1:0]] <= s_record;
    if (get) ram_q <= ram[read_q[ADDR_W-1:0]];
    if (is_out_free) m_record <= ram_valid_q ? ram_q : s_record;
  end

  always @(posedge clk) begin
    write_q <= s_rollback ? commit_q : write_next;
    if (s_commit && !s_rollback) commit_q <= write_next;
    read_q      <= read_q + {{ADDR_W{1'b0}}, get};
    ram_valid_q <= get || (ram_valid_q && !is_out_free);
    m_valid     <= is_past || ram_valid_q || !is_out_free;
    s_full      <= used > DEPTH[ADDR_W:0] - MARGIN[ADDR_W:0];
    is_tight    <= used[ADDR_W] || used[ADDR_W-1];
    if (rst) begin
      write_q     <= {(ADDR_W + 1) {1'b0}};
      commit_q    <= {(ADDR_W + 1) {1'b0}};
      read_q      <= {(ADDR_W + 1) {1'b0}};
      ram_valid_q <= 1'b0;
      m_valid     <= 1'b0;
      s_full      <= 1'b0;
      is_tight    <= 1'b0;
    end
  end

endmodule

`default_nettype wire
