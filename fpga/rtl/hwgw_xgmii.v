// hwgw_xgmii: receive side of a MAC: XGMII of 64 bits to frames without preamble and FCS, as hwgw_udp takes them.
//
// SPDX-License-Identifier: MIT
//
// Input: XGMII (IEEE 802.3 clause 46), a word per cycle, lane 0 in the low bits; start in lane 0 or 4.
// Output: AXI-Stream of 64 bits, never stalled; only the last beat of a frame has less than 8 bytes; tuser at tlast = a bad frame.
// Every start, but for one in the preamble of another, is one frame at the output; what it counts as, the first that holds:
//   symbol  its preamble is not 55 six times and D5, a control character stands in it, or something else than a terminate ends it
//   runt    less than 64 bytes with its FCS
//   fcs     the FCS is not the CRC32 of what is before it (clause 3.2.9)
//   frames  good; the other three leave with tuser. A frame that has 4 bytes or less ends with a beat of one byte of no meaning.
// An error character (FE) leaves the frame open, so that the end of the frame is found; any other ends it. Sequences between frames
// (clause 46.3.4) are not looked at.
// Latency: 3 cycles from the word with a beat's last byte; 4 where a frame began in lane 4 and for what is left behind a full beat.
`default_nettype none

module hwgw_xgmii (
    input  wire        clk,
    input  wire [63:0] xgmii_rxd,
    input  wire [ 7:0] xgmii_rxc,
    output reg  [63:0] m_axis_tdata,
    output reg  [ 7:0] m_axis_tkeep,
    output reg         m_axis_tvalid,
    output reg         m_axis_tlast,
    output reg         m_axis_tuser,
    output reg         pulse_frames,
    output reg         pulse_drop_fcs,
    output reg         pulse_drop_runt,
    output reg         pulse_drop_symbol,
    input  wire        rst
);

  localparam [7:0] START = 8'hfb;
  localparam [7:0] TERMINATE = 8'hfd;
  localparam [7:0] ERROR = 8'hfe;
  localparam [55:0] PREAMBLE = {8'hd5, {6{8'h55}}};  // behind the start character
  localparam [31:0] CRC32 = 32'hedb88320;  // reflected
  localparam [31:0] RESIDUE = 32'hdebb20e3;  // of a frame with its FCS
  localparam [6:0] LEN_MIN = 7'd64;

  // ---- 1: words that begin where the frame begins ----

  reg  [63:0] data_q;
  reg  [ 7:0] ctrl_q;
  reg         is_offset_q;  // the frame that is under way began in lane 4
  reg         is_open_q;  // inside a frame
  reg         is_fresh_q;  // the next word is the first of its frame
  reg         is_odd_q;  // with a preamble that is none
  wire [63:0] data_offset = {xgmii_rxd[31:0], data_q[63:32]};
  wire [ 7:0] ctrl_offset = {xgmii_rxc[3:0], ctrl_q[7:4]};
  wire [63:0] data = is_offset_q ? data_offset : data_q;
  wire [ 7:0] ctrl = is_offset_q ? ctrl_offset : ctrl_q;
  wire        is_start_0 = ctrl_q[0] && data_q[7:0] == START && !(is_fresh_q && is_offset_q);  // that is still preamble
  wire        is_start_4 = ctrl_q[4] && data_q[39:32] == START;
  wire        is_preamble_0 = data_q[63:8] == PREAMBLE && ctrl_q[7:1] == 7'd0;
  wire        is_preamble_4 = data_offset[63:8] == PREAMBLE && ctrl_offset[7:1] == 7'd0;

  reg  [ 7:0] is_end;  // lanes with what ends a frame
  reg  [ 7:0] is_error;
  reg  [ 3:0] cnt;  // bytes in front of that
  integer     lane;

  always @* begin
    cnt = 4'd8;
    for (lane = 7; lane >= 0; lane = lane - 1) begin
      is_error[lane] = ctrl[lane] && data[8*lane+:8] == ERROR;
      is_end[lane]   = ctrl[lane] && !is_error[lane];
      if (is_end[lane]) cnt = lane[3:0];
    end
  end

  wire [7:0] is_before = ~(8'hff << cnt);
  wire       is_terminated = data[{cnt[2:0], 3'd0}+:8] == TERMINATE;

  reg  [63:0] word_q;
  reg  [ 3:0] cnt_q;
  reg         valid_q;
  reg         first_q;
  reg         last_q;
  reg         is_bad_q;

  always @(posedge clk) begin
    data_q     <= xgmii_rxd;
    ctrl_q     <= xgmii_rxc;
    word_q     <= data;
    cnt_q      <= cnt;
    valid_q    <= is_open_q;
    first_q    <= is_fresh_q;
    last_q     <= cnt != 4'd8;
    is_bad_q   <= is_odd_q || (is_error & is_before) != 8'd0 || (cnt != 4'd8 && !is_terminated);
    is_open_q  <= is_open_q && cnt == 4'd8;
    is_fresh_q <= 1'b0;
    is_odd_q   <= 1'b0;
    if (is_start_0 || is_start_4) begin
      is_open_q   <= 1'b1;
      is_fresh_q  <= 1'b1;
      is_offset_q <= !is_start_0;
      is_odd_q    <= is_start_0 ? !is_preamble_0 : !is_preamble_4;
    end
    if (rst) begin
      ctrl_q    <= 8'd0;
      is_open_q <= 1'b0;
      valid_q   <= 1'b0;
    end
  end

  // ---- 2: the CRC of each number of bytes ----

  function [31:0] crc32;
    input [31:0] value;
    input [7:0] next;
    integer i;
    begin
      crc32 = value;
      for (i = 0; i < 8; i = i + 1) crc32 = {1'b0, crc32[31:1]} ^ (crc32[0] ^ next[i] ? CRC32 : 32'd0);
    end
  endfunction

  reg  [31:0] crc_q;
  reg  [287:0] crc;  // of none to 8 bytes of the word and all before it
  reg  [31:0] sum;
  integer     k;

  always @* begin
    sum        = first_q ? {32{1'b1}} : crc_q;
    crc[0+:32] = sum;
    for (k = 0; k < 8; k = k + 1) begin
      sum               = crc32(sum, word_q[8*k+:8]);
      crc[32*(k+1)+:32] = sum;
    end
  end

  reg  [ 6:0] len_q;  // of the words before, up to 64
  reg         was_bad_q;
  wire [ 6:0] len_before = first_q ? 7'd0 : len_q;
  wire [ 6:0] len = len_before + {3'd0, cnt_q};
  wire        is_symbol = is_bad_q || (was_bad_q && !first_q);
  wire        is_runt = !len_before[6] && len < LEN_MIN;
  wire        is_fcs = crc[{cnt_q, 5'd0}+:32] != RESIDUE;

  // ---- 3: a beat is held until it is known how many of its bytes are FCS ----

  reg  [63:0] held_q;
  reg         is_held_q;
  reg  [ 2:0] rest_q;  // bytes of held_q that are the end of a frame that has ended
  reg         rest_is_bad_q;
  wire        is_last = valid_q && last_q;
  wire        is_bad = is_symbol || is_runt || is_fcs;
  wire        has_held = is_held_q && !first_q;
  wire [ 3:0] keep_cnt = has_held ? cnt_q + 4'd4 : cnt_q - 4'd4;  // of the beat that ends the frame, when it ends now

  always @(posedge clk) begin
    if (valid_q) begin
      held_q    <= word_q;
      is_held_q <= !last_q;
      crc_q     <= crc[32*8+:32];
      len_q     <= len_before[6] ? len_before : len;
      was_bad_q <= is_symbol;
    end
    rest_q        <= is_last && has_held && cnt_q > 4'd4 ? cnt_q[2:0] - 3'd4 : 3'd0;
    rest_is_bad_q <= is_bad;

    m_axis_tdata  <= rest_q == 3'd0 && !has_held ? word_q : held_q;
    m_axis_tvalid <= rest_q != 3'd0 || (valid_q && (has_held || last_q));
    m_axis_tlast  <= rest_q != 3'd0 || (is_last && !(has_held && cnt_q > 4'd4));
    m_axis_tuser  <= rest_q != 3'd0 ? rest_is_bad_q : is_last && is_bad && !(has_held && cnt_q > 4'd4);
    if (rest_q != 3'd0) m_axis_tkeep <= ~(8'hff << rest_q);
    else if (!is_last || (has_held && cnt_q > 4'd4)) m_axis_tkeep <= 8'hff;
    else m_axis_tkeep <= !has_held && cnt_q <= 4'd4 ? 8'h01 : ~(8'hff << keep_cnt);

    pulse_frames      <= is_last && !is_bad;
    pulse_drop_symbol <= is_last && is_symbol;
    pulse_drop_runt   <= is_last && !is_symbol && is_runt;
    pulse_drop_fcs    <= is_last && !is_symbol && !is_runt && is_fcs;
    if (rst) begin
      m_axis_tvalid     <= 1'b0;
      rest_q            <= 3'd0;
      pulse_frames      <= 1'b0;
      pulse_drop_symbol <= 1'b0;
      pulse_drop_runt   <= 1'b0;
      pulse_drop_fcs    <= 1'b0;
    end
  end

endmodule

`default_nettype wire
