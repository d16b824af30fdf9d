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
    parameter MARGIN = 4  // likewise
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
  localparam MARGIN_W = $clog2(MARGIN);

  generate
    if (DEPTH < 4 * MARGIN || (DEPTH & (DEPTH - 1)) != 0 || MARGIN < 2 || (MARGIN & (MARGIN - 1)) != 0) begin : g_bad_depth
      hwgw_hold_depth_or_margin_is_not_a_power_of_two stop ();
    end
  endgenerate

  reg  [WIDTH-1:0] ram[0:DEPTH-1];
  reg  [ ADDR_W:0] write_q;
  reg  [ ADDR_W:0] commit_q;
  reg  [ ADDR_W:0] read_q;
  reg  [WIDTH-1:0] ram_q;
  reg              ram_valid_q;

  reg              has_room_q;  // for this record and the next
  reg              is_empty_q;  // nothing is in RAM, committed or not
  reg              has_more_q;  // committed records are in RAM

  wire [ ADDR_W:0] used = write_q - read_q;
  wire             is_out_free = !m_valid || m_ready;
  wire             is_past = s_valid && s_commit && is_out_free && !ram_valid_q && is_empty_q;
  wire             put = s_valid && has_room_q && !is_past;
  wire             get = has_more_q && (!ram_valid_q || is_out_free);
  // each number that may come next is there before it is known which
  wire [ ADDR_W:0] write_more = write_q + {{ADDR_W{1'b0}}, 1'b1};
  wire [ ADDR_W:0] read_more = read_q + {{ADDR_W{1'b0}}, 1'b1};
  wire [ ADDR_W:0] write_next = put ? write_more : write_q;
  // empty after this cycle, for what may happen in it
  wire             is_even = write_q == read_q;
  wire             is_one = write_q == read_more;
  wire             is_back_even = commit_q == read_q;
  wire             is_back_one = commit_q == read_more;

  always @(posedge clk) begin
    if (s_valid && has_room_q) ram[write_q[ADDR_W-1:0]] <= s_record;
    if (get) ram_q <= ram[read_q[ADDR_W-1:0]];
    if (is_out_free && (ram_valid_q || s_valid)) m_record <= ram_valid_q ? ram_q : s_record;
  end

  always @(posedge clk) begin
    write_q <= s_rollback ? commit_q : write_next;
    if (s_commit && !s_rollback) commit_q <= write_next;
    read_q     <= get ? read_more : read_q;
    has_room_q <= !used[ADDR_W] && !(&used[ADDR_W-1:0]);  // at most DEPTH - 2 before this cycle
    if (s_rollback) is_empty_q <= get ? is_back_one : is_back_even;
    else is_empty_q <= !put && (get ? is_one : is_even);
    if (s_commit && !s_rollback) has_more_q <= put || !(get ? is_one : is_even);
    else has_more_q <= !(get ? is_back_one : is_back_even);
    ram_valid_q <= get || (ram_valid_q && !is_out_free);
    m_valid     <= is_past || ram_valid_q || !is_out_free;
    s_full      <= used[ADDR_W] || (&used[ADDR_W-1:MARGIN_W] && |used[MARGIN_W-1:0]);  // more than DEPTH - MARGIN
    is_tight    <= used[ADDR_W] || used[ADDR_W-1];
    if (rst) begin
      write_q     <= {(ADDR_W + 1) {1'b0}};
      commit_q    <= {(ADDR_W + 1) {1'b0}};
      read_q      <= {(ADDR_W + 1) {1'b0}};
      has_room_q  <= 1'b1;
      is_empty_q  <= 1'b1;
      has_more_q  <= 1'b0;
      ram_valid_q <= 1'b0;
      m_valid     <= 1'b0;
      s_full      <= 1'b0;
      is_tight    <= 1'b0;
    end
  end

endmodule

`default_nettype wire
