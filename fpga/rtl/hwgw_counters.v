// hwgw_counters: CNT counters of 64 bits, and a copy of all of them as they were in one cycle.
//
// SPDX-License-Identifier: MIT
//
// Input: a pulse per counter and cycle. Counter WIDE takes amount instead of 1 when its pulse is high.
// Output: copy_data is the copy's counter copy_addr, one cycle after copy_addr.
// snapshot: pulses before its cycle are in the copy, those of its cycle and later ones are not. The copy is complete when
// snapshot_cnt rises, CNT + 2 cycles later; a snapshot that is asked for before that is forgotten.
// After reset counters and copy are 0; that takes CNT cycles, in which pulses count already.
// How: pulses are added up in a few bits per counter. Each cycle one counter's turn comes: its bits are added to its 64 in
// block RAM. A snapshot keeps the few bits of all counters at once; what RAM holds at each one's next turn makes the rest.
// Cost: 2 x CNT x ceil(log2(2 CNT + 2)) flip-flops and two 64-bit adders, whatever the counters' width.
`default_nettype none

module hwgw_counters #(
    parameter CNT  = 53,
    parameter WIDE = 0
) (
    input  wire           clk,
    input  wire [CNT-1:0] pulse,
    input  wire [   63:0] amount,
    input  wire           snapshot,
    output wire [   31:0] snapshot_cnt,
    input  wire [    5:0] copy_addr,
    output wire [   63:0] copy_data,
    input  wire           rst
);

  localparam ADDR_W = CNT <= 2 ? 1 : $clog2(CNT);
  localparam SUM_W = $clog2(2 * CNT + 2);
  localparam [31:0] LAST_WORD = CNT - 1;
  localparam [31:0] WIDE_WORD = WIDE;
  localparam [ADDR_W-1:0] LAST = LAST_WORD[ADDR_W-1:0];

  generate
    if (CNT < 2 || CNT > 64 || WIDE >= CNT) begin : g_bad_parameter
      hwgw_counters_takes_2_to_64_counters stop ();
    end
  endgenerate

  reg [63:0] bank[0:CNT-1];
  reg [63:0] copy[0:CNT-1];

  // ---- whose turn it is ----

  reg [ADDR_W-1:0] turn_q;
  reg              is_clearing_q;

  always @(posedge clk) begin
    turn_q <= turn_q == LAST ? {ADDR_W{1'b0}} : turn_q + 1'b1;
    if (turn_q == LAST) is_clearing_q <= 1'b0;
    if (rst) begin
      turn_q        <= {ADDR_W{1'b0}};
      is_clearing_q <= 1'b1;
    end
  end

  // ---- few bits per counter, and what they were at the snapshot ----

  // bit b of every counter stands in plane b, so that a cycle's pulses are one ripple over the planes
  reg            is_copying_q;
  reg  [CNT-1:0] mask_q;  // one bit: whose turn it is
  wire           cut = snapshot && !is_copying_q && !is_clearing_q;
  wire [CNT-1:0] turn_mask = is_clearing_q ? {CNT{1'b0}} : mask_q;
  wire [SUM_W-1:0] sum;  // of the counter whose turn it is
  wire [SUM_W-1:0] kept;

  always @(posedge clk) begin
    mask_q <= {mask_q[CNT-2:0], mask_q[CNT-1]};
    if (rst) mask_q <= {{(CNT - 1) {1'b0}}, 1'b1};
  end

  genvar b;
  generate
    for (b = 0; b < SUM_W; b = b + 1) begin : g_plane
      reg  [CNT-1:0] sum_q;
      reg  [CNT-1:0] cut_q;
      wire [CNT-1:0] carry;
      wire [CNT-1:0] rest = sum_q & ~turn_mask;  // its bits go to RAM, it begins anew
      if (b == 0) begin : g_first
        assign carry = pulse;
      end else begin : g_next
        assign carry = g_plane[b-1].rest & g_plane[b-1].carry;
      end
      always @(posedge clk) begin
        sum_q <= rest ^ carry;
        if (cut) cut_q <= rest;
        if (rst) sum_q <= {CNT{1'b0}};
      end
      assign sum[b]  = |(sum_q & mask_q);
      assign kept[b] = |(cut_q & mask_q);
    end
  endgenerate

  // ---- the wide one ----

  reg [63:0] wide_q;
  reg [63:0] wide_cut_q;

  always @(posedge clk) begin
    if (pulse[WIDE]) wide_q <= wide_q + amount;
    if (cut) wide_cut_q <= wide_q;
    if (rst) wide_q <= 64'd0;
  end

  // ---- a turn: read, and a cycle later add and write ----

  reg [      63:0] old_q;
  reg [ADDR_W-1:0] at_q;
  reg [ SUM_W-1:0] sum_q2;
  reg [ SUM_W-1:0] cut_q2;
  reg              clear_q;
  reg              copy_q;
  reg [ADDR_W-1:0] first_q;
  reg              is_last_q;
  reg [      31:0] snapshot_cnt_q;

  wire is_wide = at_q == WIDE_WORD[ADDR_W-1:0];
  // turns of the copy: the one after the cut and so on, until that of the cut has come round
  wire is_last = is_copying_q && turn_q == first_q;

  always @(posedge clk) begin
    old_q   <= bank[turn_q];
    at_q    <= turn_q;
    sum_q2  <= sum;
    cut_q2  <= kept;
    clear_q <= is_clearing_q;
    copy_q  <= is_copying_q;
  end

  always @(posedge clk) begin
    bank[at_q] <= clear_q ? 64'd0 : old_q + {{(64 - SUM_W) {1'b0}}, sum_q2};
    if (clear_q) copy[at_q] <= 64'd0;
    else if (copy_q) copy[at_q] <= is_wide ? wide_cut_q : old_q + {{(64 - SUM_W) {1'b0}}, cut_q2};
  end

  always @(posedge clk) begin
    if (cut) begin
      is_copying_q <= 1'b1;
      first_q      <= turn_q;
    end else if (is_last) begin
      is_copying_q <= 1'b0;
    end
    is_last_q <= is_last;
    if (is_last_q) snapshot_cnt_q <= snapshot_cnt_q + 1'b1;
    if (rst) begin
      is_copying_q   <= 1'b0;
      is_last_q      <= 1'b0;
      snapshot_cnt_q <= 32'd0;
    end
  end

  // ---- reading ----

  reg [63:0] copy_data_q;

  always @(posedge clk) copy_data_q <= copy[copy_addr[ADDR_W-1:0]];

  assign copy_data    = copy_data_q;
  assign snapshot_cnt = snapshot_cnt_q;

  // the address is as wide as the register map's
  generate
    if (ADDR_W < 6) begin : g_short
      wire unused = &{1'b0, copy_addr[5:ADDR_W]};
    end
  endgenerate

endmodule

`default_nettype wire
