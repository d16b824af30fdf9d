// hwgw_hold: records of one line wait until they are committed and read; those of a bad packet can be taken back.
//
// SPDX-License-Identifier: MIT
//
// Input: a record per cycle; s_commit lets the reader have it and all before it, s_rollback takes back what has been written
// since the last commit (a record given in the same cycle included). A record that is given while s_full is high may be lost:
// the writer counts that, here nothing is overwritten. s_full comes MARGIN records early, as the writer looks at it ahead.
// Output: committed records in their order, each once, under valid and ready; m_ready is high only while m_valid is. m_kind[n]: there
// is one, and its lowest two bits are n. Two records stand at the port, the first one and one behind it, so that nothing wide waits
// for m_ready, which comes late.
// Latency: 1 cycle past an empty store when the record is committed at once, else 4: its memories stand apart, so what they give is
// kept once more before it is chosen. Throughput: a record per cycle.
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
    output wire [WIDTH-1:0] m_record,
    output wire [      3:0] m_kind,
    output wire             m_valid,
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

  (* no_rw_check *)  // a row is read in a later cycle than it is written
  reg  [WIDTH-1:0] ram[0:DEPTH-1];
  reg  [ ADDR_W:0] write_q;
  reg  [ ADDR_W:0] commit_q;
  reg  [ ADDR_W:0] read_q;
  reg  [WIDTH-1:0] ram_q;
  reg              ram_valid_q;
  reg  [WIDTH-1:0] next_q;  // behind ram_q: what a bank gets
  reg              next_valid_q;

  reg              has_room_q;  // for this record and the next
  reg              is_empty_q;  // nothing is in RAM, committed or not, while ram_valid_q is low
  reg              is_open_q;  // nor in ram_q and next_q, and a bank is free: what comes goes past the RAM
  reg              has_more_q;  // committed records are in RAM
  reg              is_stuck_q;  // ram_q has a record and cannot give it on

  reg  [WIDTH-1:0] bank_0_q;
  reg  [WIDTH-1:0] bank_1_q;
  reg  [      3:0] kind_q;  // of the first one: all that the reader looks at before it takes a record
  reg  [      3:0] kind_behind_q;  // of the other one; 0: there is none, of both
  reg  [      1:0] has_q;  // a bank has a record
  reg              head_q;  // the bank with the first one
  reg              is_first_q;  // it is bank 0: the same for what is early, as head_q goes far

  // each number that may come next is there before it is known which
  reg  [ ADDR_W:0] write_more_q;  // write_q + 1
  reg  [ ADDR_W:0] read_more_q;  // read_q + 1
  reg  [ ADDR_W:0] commit_more_q;  // commit_q + 1

  wire [ ADDR_W:0] used = write_more_q - read_more_q;
  wire             is_free = !(&has_q);
  wire             is_past = s_valid && s_commit && is_open_q;
  wire             put = s_valid && has_room_q && !(s_commit && is_open_q);
  wire             is_moving = !next_valid_q || is_free;  // from ram_q to next_q
  wire             get = has_more_q && !is_stuck_q;
  wire             is_in = next_valid_q || is_past;  // if there is a free bank
  wire [      3:0] kind_past = {3'd0, is_past} << s_record[1:0];
  wire [      3:0] kind_next = {3'd0, next_valid_q} << next_q[1:0];
  wire [      3:0] kind_in = kind_next | kind_past;  // nothing goes past the RAM while next_q has a record
  wire             is_in_0 = is_in && !has_q[0] && (is_first_q || has_q[1]);
  wire             is_in_1 = is_in && !has_q[1] && (!is_first_q || has_q[0]);
  wire [ ADDR_W:0] write_next = put ? write_more_q : write_q;
  // empty after this cycle, for what may happen in it
  wire             is_even = ~|(write_q ^ read_q);
  wire             is_one = ~|(write_q ^ read_more_q);
  wire             is_back_even = ~|(commit_q ^ read_q);
  wire             is_back_one = ~|(commit_q ^ read_more_q);

  always @(posedge clk) begin
    if (has_room_q) ram[write_q[ADDR_W-1:0]] <= s_record;  // what is not put is written over: no memory waits for s_valid
    if (get) ram_q <= ram[read_q[ADDR_W-1:0]];
    if (is_moving) next_q <= ram_q;
    if (!has_q[0]) bank_0_q <= next_valid_q ? next_q : s_record;
    if (!has_q[1]) bank_1_q <= next_valid_q ? next_q : s_record;
  end

  always @(posedge clk) begin
    write_q      <= s_rollback ? commit_q : write_next;
    write_more_q <= s_rollback ? commit_more_q : put ? write_more_q + {{ADDR_W{1'b0}}, 1'b1} : write_more_q;
    if (s_commit && !s_rollback) begin
      commit_q      <= write_next;
      commit_more_q <= put ? write_more_q + {{ADDR_W{1'b0}}, 1'b1} : write_more_q;
    end
    if (get) begin
      read_q      <= read_more_q;
      read_more_q <= read_more_q + {{ADDR_W{1'b0}}, 1'b1};
    end
    has_room_q <= !used[ADDR_W] && !(&used[ADDR_W-1:0]);  // at most DEPTH - 2 before this cycle
    // a record that is read in this cycle is not looked at: ram_valid_q is high in the next one, which says as much
    is_empty_q <= s_rollback ? is_back_even : !put && is_even;
    is_open_q  <= is_empty_q && !put && !ram_valid_q && is_moving && (m_ready || !(&has_q || (m_valid && is_in)));
    if (s_commit && !s_rollback) has_more_q <= put || !(get ? is_one : is_even);
    else has_more_q <= !(get ? is_back_one : is_back_even);
    ram_valid_q <= get || (ram_valid_q && !is_moving);
    is_stuck_q  <= (get || (ram_valid_q && !is_moving)) && (ram_valid_q || !is_moving) && (&has_q || (|has_q && is_in)) && !m_ready;
    next_valid_q <= ram_valid_q || !is_moving;
    has_q[0]    <= is_in_0 || (has_q[0] && !(m_ready && is_first_q));
    has_q[1]    <= is_in_1 || (has_q[1] && !(m_ready && !is_first_q));
    head_q      <= head_q ^ m_ready;
    is_first_q  <= is_first_q ^ m_ready;
    kind_q      <= m_ready ? kind_behind_q | (kind_in & {4{is_free}}) : kind_q | (kind_in & {4{!m_valid}});
    kind_behind_q <= m_ready ? 4'd0 : kind_behind_q | (kind_in & {4{m_valid && is_free}});
    s_full      <= used[ADDR_W] || (&used[ADDR_W-1:MARGIN_W] && |used[MARGIN_W-1:0]);  // more than DEPTH - MARGIN
    is_tight    <= used[ADDR_W] || used[ADDR_W-1];
    if (rst) begin
      write_q     <= {(ADDR_W + 1) {1'b0}};
      commit_q    <= {(ADDR_W + 1) {1'b0}};
      read_q      <= {(ADDR_W + 1) {1'b0}};
      write_more_q  <= {{ADDR_W{1'b0}}, 1'b1};
      commit_more_q <= {{ADDR_W{1'b0}}, 1'b1};
      read_more_q   <= {{ADDR_W{1'b0}}, 1'b1};
      has_room_q  <= 1'b1;
      is_empty_q  <= 1'b1;
      is_open_q   <= 1'b1;
      has_more_q  <= 1'b0;
      ram_valid_q <= 1'b0;
      next_valid_q <= 1'b0;
      is_stuck_q  <= 1'b0;
      has_q       <= 2'd0;
      head_q      <= 1'b0;
      is_first_q  <= 1'b1;
      kind_q      <= 4'd0;
      kind_behind_q <= 4'd0;
      s_full      <= 1'b0;
      is_tight    <= 1'b0;
    end
  end

  assign m_record = head_q ? bank_1_q : bank_0_q;
  assign m_kind   = kind_q;
  assign m_valid  = |has_q;

`ifndef SYNTHESIS
  // nothing is known of them before the first record, and in simulation 0 << unknown is unknown
  initial begin
    ram_q  = {WIDTH{1'b0}};
    next_q = {WIDTH{1'b0}};
  end
`endif

endmodule

`default_nettype wire
