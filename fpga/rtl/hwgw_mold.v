// hwgw_mold: MoldUDP64 packets of one line to records: the packet header, each message, and the end of the packet.
//
// SPDX-License-Identifier: MIT
//
// Input: the payload, the refusal and the verdict of hwgw_udp; never stalled.
// Output: records for hwgw_hold. A record is {kind, length, data}: data has byte 0 in the low lane and ends with the longest
// message whose fields are wanted; length is that of the message, 63 when it is longer than 62.
//   header   the 20 bytes of the packet header, then the time stamp of the frame (8 bytes, low byte first)
//   message  one message block without its length
//   end      the packet was good
// m_commit: this record and all before it may be read. m_rollback: those since the last commit are forgotten.
// cfg_verified: records are committed with the end of a good packet, else each at once; in that case the records of a
// packet that turns out to be bad have left already, and no end follows them.
// Order of checks: what hwgw_udp found, records that found no room (drop_ring_full), fewer bytes than the packet header
// (drop_short), blocks that do not end where the payload ends (drop_blocks). A message of fewer than BLOCK_MIN bytes is no
// message of any feed here and would end a second message in one beat: its packet is drop_blocks too.
// Cost: no stall; a record may leave in each cycle. A beat carries at most one end and, behind it, one begin of a message.
// Latency: 3 cycles from the beat with the last byte of a message to its record.
`default_nettype none
`include "hwgw_specs.vh"

module hwgw_mold #(
    parameter DATA_SZ = `ITCH50_TRADE_NON_CROSS_LEN,  // bytes; 32 to 48
    parameter RECORD_W = 8 * DATA_SZ + 8
) (
    input  wire                        clk,
    input  wire                        cfg_verified,
    input  wire [                63:0] s_axis_tdata,
    input  wire [                 7:0] s_axis_tkeep,
    input  wire [                 7:0] s_axis_tzero,  // a byte is 0
    input  wire                        s_axis_tvalid,
    input  wire                        s_axis_tlast,
    input  wire [                63:0] s_t_rx,
    input  wire                        s_refused,
    input  wire                        s_verdict_valid,
    input  wire                        s_verdict_drop,  // there is a cause
    input  wire [`HWGW_LINE_CNT_W-1:0] s_verdict_cause,
    output reg  [        RECORD_W-1:0] m_record,
    output reg                         m_valid,
    output reg                         m_commit,
    output reg                         m_rollback,
    input  wire                        s_full,  // a record that is given now or in the next cycle may find no room
    output reg  [`HWGW_LINE_CNT_W-1:0] pulse,
    input  wire                        rst
);

  generate
    if (DATA_SZ < 32 || DATA_SZ > 48) begin : g_bad_data_sz
      hwgw_mold_data_sz_is_not_32_to_48 stop ();
    end
  endgenerate

  localparam [1:0] KIND_HEADER = 2'd1;
  localparam [1:0] KIND_MESSAGE = 2'd2;
  localparam [1:0] KIND_END = 2'd3;
  localparam BLOCK_MIN = 8;
  localparam HEADER_LEN = `MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN;
  localparam [31:0] HEADER_LAST = HEADER_LEN - 1;
  localparam [1:0] HEADER_BEAT = HEADER_LAST[4:3];  // with its last byte
  localparam [2:0] HEADER_LANE = HEADER_LAST[2:0];

  // ---- 0: what each pair of bytes would say if it were the length of a block ----

  // index of what follows: the lane of the second byte of the length; its first may be in the beat before
  reg  [63:0] data_q;
  reg  [ 7:0] keep_q;  // 0 while there is no beat
  reg         has_bytes_q;
  reg         last_q;
  reg  [ 7:0] before_q;  // last byte of the beat before
  reg         is_before_zero_q;  // it is 0
  reg  [13:0] beats_q[0:7];  // how many beats behind the next one the block ends
  reg  [ 7:0] is_one_beat_q;  // 1
  reg  [ 7:0] is_due_q;  // 0: in the next one
  reg  [ 7:0] is_near_q;  // and in the next one the length of the block behind it ends, too
  reg  [ 7:0] end_at_q[0:7];  // in which lane of the next beat, one bit; 0 when it is in a later one
  reg  [ 2:0] after_q[0:7];  // in which lane byte 0 of the block behind it is
  reg  [ 5:0] len_q[0:7];
  reg  [ 7:0] is_tiny_q;
  reg  [15:0] block_cnt_q;
  reg         is_none_q;  // the message count says heartbeat or end
  reg         is_few_q;  // or one
  reg  [63:0] t_rx_q;

  wire [71:0] run = {s_axis_tdata, before_q};
  wire [ 8:0] run_zero = {s_axis_tzero, is_before_zero_q};
  wire        unused_zero = run_zero[8];
  wire [15:0] length[0:7];
  wire [15:0] block_cnt = {s_axis_tdata[23:16], s_axis_tdata[31:24]};
  wire        is_none = block_cnt == `MOLDUDP64_MESSAGE_COUNT_HEARTBEAT || block_cnt == `MOLDUDP64_MESSAGE_COUNT_END_OF_SESSION;

  genvar lane, at;
  generate
    for (lane = 0; lane < 8; lane = lane + 1) begin : g_length
      assign length[lane] = {run[8*lane+:8], run[8*lane+8+:8]};
      wire [16:0] reach = {1'b0, length[lane]} + lane[16:0] - 17'd8;
      wire        unused_reach = &{1'b0, reach[2:0]};
      // bit n is for a length of n
      localparam [31:0] IS_DUE = 32'h0000_00ff << (8 - lane);
      localparam [31:0] IS_NEAR = 32'h0000_003f << (8 - lane);
      localparam [31:0] IS_ONE_BEAT = 32'h0000_00ff << (16 - lane);
      localparam [31:0] IS_TINY = (32'd1 << BLOCK_MIN) - 32'd1;
      wire is_low = run_zero[lane] && length[lane][7:5] == 3'd0;
      always @(posedge clk)
        if (s_axis_tvalid) begin
          beats_q[lane]       <= reach[16:3];
          is_one_beat_q[lane] <= is_low && IS_ONE_BEAT[length[lane][4:0]];
          is_due_q[lane]      <= is_low && IS_DUE[length[lane][4:0]];
          is_near_q[lane]     <= is_low && IS_NEAR[length[lane][4:0]];
          after_q[lane]       <= length[lane][2:0] + lane[2:0] + 3'd3;
          len_q[lane]         <= length[lane][5:0] | {6{!run_zero[lane] || length[lane][7:6] != 2'd0}};
          is_tiny_q[lane]     <= is_low && IS_TINY[length[lane][4:0]];
        end
      for (at = 0; at < 8; at = at + 1) begin : g_at
        localparam [31:0] IS_AT = 32'd1 << (8 - lane + at);
        always @(posedge clk) if (s_axis_tvalid) end_at_q[lane][at] <= is_low && IS_AT[length[lane][4:0]];
      end
    end
  endgenerate

  always @(posedge clk) begin
    keep_q      <= s_axis_tvalid ? s_axis_tkeep : 8'd0;
    has_bytes_q <= s_axis_tvalid && s_axis_tkeep[0];
    last_q      <= s_axis_tvalid && s_axis_tlast;
    if (s_axis_tvalid) begin
      data_q      <= s_axis_tdata;
      before_q    <= s_axis_tdata[63:56];
      is_before_zero_q <= s_axis_tzero[7];
      block_cnt_q <= block_cnt;
      is_none_q   <= is_none;
      is_few_q    <= is_none || block_cnt == 16'd1;
      t_rx_q      <= s_t_rx;
    end
    if (rst) begin
      keep_q      <= 8'd0;
      has_bytes_q <= 1'b0;
      last_q      <= 1'b0;
    end
  end

  // ---- 1: which message ends, which begins, and both turned to their own byte 0 ----

  // The running record ends run_beats_q beats from here; the block behind it begins two bytes on, with its length in the lanes
  // before byte 0. One that ends in lane 6 or 7 leaves its begin to the next beat. What comes next is worked out as if the beat had
  // all its bytes, for only the last one of a payload has not: what should have been behind its end is told beside.
  reg  [13:0] run_beats_q;
  reg         is_run_last_q;  // run_beats_q is 1
  reg  [ 7:0] run_end_q;  // lane in which the running record ends in this beat, one bit; 0 when in a later one
  reg         is_run_due_q;  // run_end_q is not 0
  reg  [ 1:0] late_q;  // the record ended in lane 6 or 7 of the beat before
  reg         is_next_near_q;  // there is a lane in this beat for the second byte of the next length
  reg  [ 2:0] run_after_q;  // lane of byte 0 of the record behind the running one; 0 = in the next beat
  reg         is_running_q;
  reg         is_header_q;
  reg         has_header_q;
  reg  [15:0] left_q;  // blocks that have not begun
  reg         has_left_q;  // there are some
  reg  [ 2:0] turn_q;  // lane of byte 0 of the running record
  reg  [ 2:0] slot_turn_q;  // the same for the slots, as turn_q goes far; what it starts from keeps the two apart in the netlist
  initial slot_turn_q = 3'd0;
  reg  [ 2:0] slot_q;  // of 8 bytes, that the lanes from there on belong to; 7 = none
  reg  [ 5:0] run_len_q;

  wire [ 7:0] begin_at = {run_end_q[5:0], late_q};  // the second byte of the length, one bit
  wire        has_more = has_left_q && !(is_header_q && is_none_q);
  wire        is_begin = is_next_near_q && has_more;
  wire        is_head_beat = is_header_q && is_run_due_q;

  // of the length that lies at begin_at
  reg  [13:0] next_beats;
  reg  [ 7:0] next_end;
  reg  [ 2:0] next_after;
  reg  [ 5:0] next_len;

  integer l;

  always @* begin
    next_beats = 14'd0;
    next_end   = 8'd0;
    next_after = 3'd0;
    next_len   = 6'd0;
    for (l = 0; l < 8; l = l + 1) begin
      next_beats = next_beats | ({14{begin_at[l]}} & beats_q[l]);
      next_end   = next_end | ({8{begin_at[l]}} & end_at_q[l]);
      next_after = next_after | ({3{begin_at[l]}} & after_q[l]);
      next_len   = next_len | ({6{begin_at[l]}} & len_q[l]);
    end
  end

  wire [ 7:0] last_end;  // where a record ends of which this is the last beat but one
  generate
    for (at = 0; at < 8; at = at + 1) begin : g_last
      localparam [2:0] BEHIND = at + 3;
      assign last_end[at] = is_run_last_q && run_after_q == BEHIND;
    end
  endgenerate

  reg         has_bytes_q2;
  reg         last_q2;
  reg  [63:0] tail_q2;
  reg  [63:0] head_q2;
  reg         is_end_q2;
  reg         is_begin_q2;
  reg         is_header_q2;
  reg  [ 5:0] len_q2;
  reg  [63:0] t_rx_q2;
  reg         is_tiny_q2;  // too short a block begins
  reg         is_behind_q2;  // bytes behind the last block
  reg         is_cut_q2;  // a block ends, or a length, behind the payload
  reg         is_bad_q;  // one of these, in a beat before

  function [63:0] turned;
    input [63:0] word;
    input [2:0] by;
    begin
      turned = by[0] ? {word[7:0], word[63:8]} : word;
      turned = by[1] ? {turned[15:0], turned[63:16]} : turned;
      turned = by[2] ? {turned[31:0], turned[63:32]} : turned;
    end
  endfunction

  wire is_bad = is_bad_q || is_tiny_q2 || is_behind_q2 || is_cut_q2;

  always @(posedge clk) begin
    if (has_bytes_q) begin
      run_beats_q    <= is_begin ? next_beats : run_beats_q - 14'd1;
      is_run_last_q  <= is_begin ? |(begin_at & is_one_beat_q) : run_beats_q == 14'd2;
      run_end_q      <= is_begin ? next_end : last_end;
      is_run_due_q   <= is_begin ? |(begin_at & is_due_q) : is_run_last_q;
      late_q         <= run_end_q[7:6];
      is_next_near_q <= is_begin ? |(begin_at & is_near_q) : |last_end[5:0] || |run_end_q[7:6];
      is_running_q   <= is_begin || (is_running_q && !is_run_due_q);
      is_header_q    <= is_header_q && !is_head_beat;
      has_header_q   <= has_header_q || (is_head_beat && keep_q[HEADER_LANE]);
      has_left_q     <= is_head_beat ? !is_few_q : is_begin ? left_q != 16'd1 : has_left_q;
      left_q         <= (is_head_beat ? block_cnt_q : left_q) - {15'd0, is_begin};
      if (is_begin) begin
        run_after_q <= next_after;
        turn_q      <= run_after_q;
        slot_turn_q <= run_after_q;
        slot_q      <= {2'd0, run_after_q != 3'd0};
        run_len_q   <= next_len;
      end else if (slot_q != 3'd7) slot_q <= slot_q + 3'd1;
    end
    if (rst || last_q2) begin
      run_beats_q    <= {12'd0, HEADER_BEAT};
      is_run_last_q  <= HEADER_BEAT == 2'd1;
      run_end_q      <= 8'd0;
      is_run_due_q   <= 1'b0;
      late_q         <= 2'd0;
      is_next_near_q <= 1'b0;
      run_after_q    <= HEADER_LANE + 3'd3;
      is_running_q   <= 1'b1;
      is_header_q    <= 1'b1;
      has_header_q   <= 1'b0;
      has_left_q     <= 1'b1;
      turn_q         <= 3'd0;
      slot_turn_q    <= 3'd0;
      slot_q         <= 3'd0;
      run_len_q      <= HEADER_LAST[5:0] + 6'd1;
    end

    is_end_q2    <= |(run_end_q & keep_q);
    is_begin_q2  <= is_begin;
    is_header_q2 <= is_header_q;
    len_q2       <= run_len_q;
    has_bytes_q2 <= has_bytes_q;
    last_q2      <= last_q;
    if (has_bytes_q) begin
      tail_q2 <= turned(data_q, turn_q);
      head_q2 <= turned(data_q, run_after_q);
      t_rx_q2 <= t_rx_q;
    end
    is_tiny_q2   <= has_bytes_q && is_begin && |(begin_at & is_tiny_q);
    is_behind_q2 <= has_bytes_q && !has_more && (!is_running_q || |(run_end_q[6:0] & keep_q[7:1]));
    is_cut_q2    <= has_bytes_q && (|(run_end_q & ~keep_q) || (is_begin && |(begin_at & ~keep_q)));
    is_bad_q     <= !last_q2 && is_bad;
    if (rst) begin
      is_end_q2    <= 1'b0;
      last_q2      <= 1'b0;
      is_tiny_q2   <= 1'b0;
      is_behind_q2 <= 1'b0;
      is_cut_q2    <= 1'b0;
      is_bad_q     <= 1'b0;
    end
  end

  // ---- 2: the record, put together from what is kept and this beat ----

  reg  [383:0] kept_q;
  reg  [ 47:0] is_here_q2;  // bytes of the record that tail_q2 has: those of a slot, less what the slot before has already
  wire [ 63:0] here = (64'hff << {slot_q, 3'd0}) >> slot_turn_q;
  wire         unused_here = &{1'b0, here[63:48]};

  always @(posedge clk) if (has_bytes_q) is_here_q2 <= here[47:0];

  integer k;

  always @(posedge clk)
    if (has_bytes_q2) begin
      for (k = 0; k < 48; k = k + 1) if (is_here_q2[k]) kept_q[8*k+:8] <= tail_q2[8*(k%8)+:8];
      if (is_begin_q2) kept_q[63:0] <= head_q2;
      if (is_end_q2) begin
        for (k = 0; k < DATA_SZ; k = k + 1) m_record[8+8*k+:8] <= is_here_q2[k] ? tail_q2[8*(k%8)+:8] : kept_q[8*k+:8];
        if (is_header_q2) m_record[8+8*24+:64] <= t_rx_q2;
        m_record[7:2] <= len_q2;
      end
    end

  // ---- the end of the packet waits for the verdict on the frame ----

  reg  [2:0] was_short_q;
  reg  [2:0] was_bad_q;
  reg        was_full_q;  // a record of the packet that is being judged found no room

  wire       is_record = is_end_q2 && !is_bad_q && !s_refused;
  wire       is_full = was_full_q || s_full;
  wire       is_good = s_verdict_valid && !s_verdict_drop && !is_full && !was_short_q[2] && !was_bad_q[2];

  always @(posedge clk) begin
    m_record[1:0] <= s_verdict_valid ? KIND_END : is_header_q2 ? KIND_HEADER : KIND_MESSAGE;
    m_valid       <= (is_record && !is_full) || is_good;
    m_commit      <= (is_record && !is_full && !cfg_verified) || is_good;
    m_rollback    <= s_verdict_valid && !is_good;

    was_short_q <= {was_short_q[1:0], !has_header_q};
    was_bad_q   <= {was_bad_q[1:0], is_bad || is_running_q || has_left_q};
    was_full_q  <= !s_verdict_valid && (was_full_q || (is_record && s_full));

    pulse <= s_verdict_valid ? s_verdict_cause : {`HWGW_LINE_CNT_W{1'b0}};
    if (s_verdict_valid && !s_verdict_cause[`HWGW_LINE_CNT_RX_DROP_NIC]) begin
      if (!s_verdict_drop && is_full) pulse[`HWGW_LINE_CNT_RX_DROP_RING_FULL] <= 1'b1;
      else pulse[`HWGW_LINE_CNT_RX_FRAMES] <= 1'b1;
      if (!s_verdict_drop && !is_full) begin
        pulse[`HWGW_LINE_CNT_MOLD_DROP_SHORT]  <= was_short_q[2];
        pulse[`HWGW_LINE_CNT_MOLD_DROP_BLOCKS] <= was_bad_q[2] && !was_short_q[2];
      end
    end
    if (rst) begin
      m_valid    <= 1'b0;
      m_commit   <= 1'b0;
      m_rollback <= 1'b0;
      was_full_q <= 1'b0;
      pulse      <= {`HWGW_LINE_CNT_W{1'b0}};
    end
  end

endmodule

`default_nettype wire
