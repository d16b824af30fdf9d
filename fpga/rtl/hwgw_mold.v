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
    input  wire                        s_axis_tvalid,
    input  wire                        s_axis_tlast,
    input  wire [                63:0] s_t_rx,
    input  wire                        s_refused,
    input  wire                        s_verdict_valid,
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
  localparam [15:0] BLOCK_MIN = 16'd8;
  localparam HEADER_LEN = `MOLDUDP64_DOWNSTREAM_PACKET_HEADER_LEN;
  localparam [31:0] HEADER_LAST = HEADER_LEN - 1;
  localparam [1:0] HEADER_BEAT = HEADER_LAST[4:3];  // with its last byte
  localparam [2:0] HEADER_LANE = HEADER_LAST[2:0];

  // ---- 0: what each pair of bytes would say if it were the length of a block ----

  // index of what follows: the lane of the second byte of the length; its first may be in the beat before
  reg  [63:0] data_q;
  reg  [ 7:0] keep_q;
  reg         valid_q;
  reg         last_q;
  reg  [ 7:0] before_q;  // last byte of the beat before
  reg  [13:0] beats_q[0:7];  // how many beats behind the next one the block ends
  reg  [ 2:0] lane_q[0:7];  // and in which lane
  reg  [ 7:0] is_due_q;  // in the next one
  reg  [ 5:0] len_q[0:7];
  reg  [ 7:0] is_tiny_q;
  reg  [ 1:0] idx_q;  // of the beat in its packet; 3 = further on
  reg  [15:0] block_cnt_q;
  reg         is_none_q;  // the message count says heartbeat or end
  reg         is_one_q;
  reg  [63:0] t_rx_q;

  wire [71:0] run = {s_axis_tdata, before_q};
  wire [15:0] length[0:7];
  wire [15:0] block_cnt = {s_axis_tdata[23:16], s_axis_tdata[31:24]};

  genvar lane;
  generate
    for (lane = 0; lane < 8; lane = lane + 1) begin : g_length
      assign length[lane] = {run[8*lane+:8], run[8*lane+8+:8]};
      wire [16:0] reach = {1'b0, length[lane]} + lane[16:0] - 17'd8;
      always @(posedge clk)
        if (s_axis_tvalid) begin
          beats_q[lane]   <= reach[16:3];
          lane_q[lane]    <= reach[2:0];
          is_due_q[lane]  <= reach[16:3] == 14'd0;
          len_q[lane]     <= length[lane] > 16'd62 ? 6'd63 : length[lane][5:0];
          is_tiny_q[lane] <= length[lane] < BLOCK_MIN;
        end
    end
  endgenerate

  always @(posedge clk) begin
    valid_q <= s_axis_tvalid;
    if (valid_q) idx_q <= last_q ? 2'd0 : idx_q + {1'b0, idx_q != 2'd3};
    if (s_axis_tvalid) begin
      data_q      <= s_axis_tdata;
      before_q    <= s_axis_tdata[63:56];
      keep_q      <= s_axis_tkeep;
      last_q      <= s_axis_tlast;
      block_cnt_q <= block_cnt;
      is_one_q    <= block_cnt == 16'd1;
      is_none_q   <= block_cnt == `MOLDUDP64_MESSAGE_COUNT_HEARTBEAT || block_cnt == `MOLDUDP64_MESSAGE_COUNT_END_OF_SESSION;
      t_rx_q      <= s_t_rx;
    end
    if (rst) begin
      valid_q <= 1'b0;
      idx_q   <= 2'd0;
    end
  end

  // ---- 1: which message ends, which begins, and both turned to their own byte 0 ----

  // The running record ends end_beats_q beats from here, in lane end_lane_q; the block behind it begins two bytes on, with its
  // length in the lanes before byte 0. One that ends in lane 6 or 7 leaves its begin to the next beat.
  reg  [13:0] end_beats_q;
  reg  [ 2:0] end_lane_q;
  reg         is_end_due_q;  // end_beats_q is 0
  reg         is_running_q;
  reg         is_header_q;
  reg         has_header_q;
  reg         is_bad_q;
  reg  [15:0] left_q;  // blocks that have not begun
  reg         has_left_q;  // there are some
  reg  [ 2:0] turn_q;  // lane of byte 0 of the running record
  reg  [ 2:0] slot_q;  // of 8 bytes, that the lanes from there on belong to; 7 = none
  reg  [ 5:0] run_len_q;

  wire        has_bytes = valid_q && keep_q[0];
  wire        is_head_beat = idx_q == HEADER_BEAT;
  wire        is_head_beat_cut = !keep_q[HEADER_LANE];
  wire        is_end = has_bytes && is_running_q && is_end_due_q && keep_q[end_lane_q];
  wire        is_header_end = is_header_q && has_bytes && is_head_beat && !is_head_beat_cut;
  wire        has_more = is_header_q ? is_head_beat && !is_none_q : has_left_q;
  wire [ 2:0] begin_lane = end_lane_q + 3'd2;  // of the second byte of the length
  wire        is_near = is_running_q ? is_end_due_q && end_lane_q < 3'd6 : 1'b1;
  wire        is_begin = has_bytes && is_near && has_more && keep_q[begin_lane];
  wire        is_more_next = is_header_q ? is_head_beat && !(is_begin ? is_one_q : is_none_q) :
                             is_begin ? left_q != 16'd1 : has_left_q;
  wire [ 2:0] turn = end_lane_q + 3'd3;  // of the record that begins; 0 = in the next beat
  wire        is_tiny = is_begin && is_tiny_q[begin_lane];
  wire [ 8:0] keep_behind = {1'b0, keep_q};
  wire        is_behind = has_bytes && !has_more &&
                          (!is_running_q || (is_end_due_q && keep_behind[{1'b0, end_lane_q}+4'd1]));

  reg         valid_q2;
  reg  [63:0] tail_q2;
  reg  [63:0] head_q2;
  reg         is_end_q2;
  reg         is_begin_q2;
  reg         is_header_q2;
  reg  [ 5:0] len_q2;
  reg         is_short_q2;
  reg         is_bad_q2;
  reg  [63:0] t_rx_q2;

  function [63:0] turned;
    input [63:0] word;
    input [2:0] by;
    begin
      turned = by[0] ? {word[7:0], word[63:8]} : word;
      turned = by[1] ? {turned[15:0], turned[63:16]} : turned;
      turned = by[2] ? {turned[31:0], turned[63:32]} : turned;
    end
  endfunction

  wire is_bad = is_bad_q || is_tiny || is_behind;
  wire is_running = is_begin || (is_running_q && !is_end);

  always @(posedge clk) begin
    if (has_bytes) begin
      end_beats_q  <= is_begin ? beats_q[begin_lane] : end_beats_q - 14'd1;
      is_end_due_q <= is_begin ? is_due_q[begin_lane] : end_beats_q == 14'd1;
      if (is_begin) end_lane_q <= lane_q[begin_lane];
      is_running_q <= is_running;
      is_header_q  <= is_header_q && !is_header_end;
      has_header_q <= has_header_q || is_header_end;
      is_bad_q     <= is_bad;
      has_left_q   <= is_more_next;
      if (is_header_q) left_q <= is_begin ? block_cnt_q - 16'd1 : block_cnt_q;
      else left_q <= is_begin ? left_q - 16'd1 : left_q;
      if (is_begin) begin
        turn_q    <= turn;
        slot_q    <= {2'd0, turn != 3'd0};
        run_len_q <= len_q[begin_lane];
      end else if (slot_q != 3'd7) slot_q <= slot_q + 3'd1;
    end
    if (rst || (valid_q && last_q)) begin
      end_beats_q  <= {12'd0, HEADER_BEAT};
      end_lane_q   <= HEADER_LANE;
      is_end_due_q <= 1'b0;
      is_running_q <= 1'b1;
      is_header_q  <= 1'b1;
      has_header_q <= 1'b0;
      is_bad_q     <= 1'b0;
      has_left_q   <= 1'b0;
      turn_q       <= 3'd0;
      slot_q       <= 3'd0;
      run_len_q    <= HEADER_LAST[5:0] + 6'd1;
    end

    is_end_q2    <= is_end && !is_bad_q;
    is_begin_q2  <= is_begin;
    is_header_q2 <= is_header_q;
    len_q2       <= run_len_q;
    valid_q2     <= has_bytes;
    if (has_bytes) begin
      tail_q2 <= turned(data_q, turn_q);
      head_q2 <= turned(data_q, turn);
      t_rx_q2 <= t_rx_q;
    end
    is_short_q2  <= !(has_header_q || is_header_end);
    is_bad_q2    <= is_bad || is_running || is_more_next;
    if (rst) is_end_q2 <= 1'b0;
  end

  // ---- 2: the record, put together from what is kept and this beat ----

  reg  [383:0] kept_q;
  reg  [ 47:0] is_here_q2;  // bytes of the record that tail_q2 has: those of a slot, less what the slot before has already
  wire [ 63:0] here = (64'hff << {slot_q, 3'd0}) >> turn_q;
  wire         unused_here = &{1'b0, here[63:48]};

  always @(posedge clk) if (has_bytes) is_here_q2 <= here[47:0];

  integer k;

  always @(posedge clk)
    if (valid_q2) begin
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

  wire       is_record = is_end_q2 && !s_refused;
  wire       is_dropped = |s_verdict_cause;
  wire       is_full = was_full_q || s_full;
  wire       is_good = s_verdict_valid && !is_dropped && !is_full && !was_short_q[2] && !was_bad_q[2];

  always @(posedge clk) begin
    m_record[1:0] <= s_verdict_valid ? KIND_END : is_header_q2 ? KIND_HEADER : KIND_MESSAGE;
    m_valid       <= (is_record && !is_full) || is_good;
    m_commit      <= (is_record && !is_full && !cfg_verified) || is_good;
    m_rollback    <= s_verdict_valid && !is_good;

    was_short_q <= {was_short_q[1:0], is_short_q2};
    was_bad_q   <= {was_bad_q[1:0], is_bad_q2};
    was_full_q  <= !s_verdict_valid && (was_full_q || (is_record && s_full));

    pulse <= s_verdict_valid ? s_verdict_cause : {`HWGW_LINE_CNT_W{1'b0}};
    if (s_verdict_valid && !s_verdict_cause[`HWGW_LINE_CNT_RX_DROP_NIC]) begin
      if (!is_dropped && is_full) pulse[`HWGW_LINE_CNT_RX_DROP_RING_FULL] <= 1'b1;
      else pulse[`HWGW_LINE_CNT_RX_FRAMES] <= 1'b1;
      if (!is_dropped && !is_full) begin
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
