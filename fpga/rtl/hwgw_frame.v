// hwgw_frame: a packet becomes a TCP segment in an Ethernet frame, under a sequence number that the host has lent.
//
// SPDX-License-Identifier: MIT
//
// The TCP connection is the host's. It lends a piece of its sequence space: first number, end, acknowledgement number, window
// and the time at which the loan ends by itself. Each packet takes the next numbers. What has left is told to the host, bytes
// and number (m_axis_sent, a record of hwgw/specs/sent.yaml), so that its socket can take it up (docs/decisions/0018).
// Input: packets of up to 56 bytes, 0 behind s_len. Output: for each of them, in order, exactly one record, and exactly one frame
// when the record says sent. Order of checks: the packet can be said; halt (a cancel passes); a loan is out; it has not ended;
// the packet fits into what is left of it.
// Loan: cmd_lend takes cfg_loan_* when none is out, no frame is under way, the template is one of IPv4 and TCP without options,
// and the loan is 1 to 2^30 bytes long. cmd_renew takes all but the first number while one is out. cmd_return ends it at once; so
// does the first cycle at or after cfg_loan_expiry, judged by `now` of the cycle before. Nothing that starts later uses it; the
// numbers are the host's again, from loan_next on, when loan_is_out and is_busy are both low: the last frame and its record
// have been taken then. What is refused changes nothing and is a pulse_refused.
// Template: the 54 bytes before the packet, as 14 words, byte 0 lowest; written only while no loan is out. Lengths, numbers,
// window and checksums in it are not read: the sums of the rest are made once after cmd_lend (21 cycles, in which packets wait),
// and each frame adds what is its own.
// Latency: first beat 1 cycle after the packet. Throughput: a beat per cycle, a packet when the last beat of the one before is
// taken. At the limit: waits for the MAC and for room at m_axis_sent; it never drops a packet without a record.
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_ports.vh"

module hwgw_frame #(
    parameter PACKET_W = 8 * (`SOUPBINTCP_UNSEQUENCED_DATA_LEN + `OUCH50_ENTER_ORDER_LEN + `OUCH50_TAG_FIRM_LEN)
) (
    input  wire                clk,
    input  wire [        63:0] now,
    input  wire                halt,
    `HWGW_LOAN_PORTS
    input  wire [PACKET_W-1:0] s_packet,
    input  wire [         5:0] s_len,
    input  wire                s_is_good,
    input  wire                s_is_cancel,
    input  wire                s_valid,
    output wire                s_ready,
    output wire [        63:0] m_axis_tdata,
    output wire [         7:0] m_axis_tkeep,
    output wire                m_axis_tvalid,
    input  wire                m_axis_tready,
    output wire                m_axis_tlast,
    output wire [8*`HWGW_SENT_LEN-1:0] m_axis_sent_tdata,
    output wire                m_axis_sent_tvalid,
    input  wire                m_axis_sent_tready,
    output wire                loan_is_out,
    output wire                is_busy,
    output wire [        31:0] loan_next,
    output reg                 pulse_refused,
    input  wire                rst
);

  localparam IP = `ETHERNET_ETHERNET_HEADER_LEN;
  localparam TCP = IP + `ETHERNET_IPV4_HEADER_LEN;
  localparam HEADER = TCP + `ETHERNET_TCP_HEADER_LEN;
  localparam PACKET_SZ = PACKET_W / 8;
  localparam WORDS = 14;  // of 32 bits in the template; of 64 bits in the longest frame
  localparam FRAME_W = 64 * WORDS;
  localparam [15:0] IP_TCP_LEN = `ETHERNET_IPV4_HEADER_LEN + `ETHERNET_TCP_HEADER_LEN;
  localparam [31:0] LOAN_MAX = 32'h40000000;

  generate
    if (HEADER != 54 || PACKET_SZ > `HWGW_SENT_LEN - `HWGW_SENT_PACKET_OFF) begin : g_bad_width
      hwgw_frame_packet_does_not_fit stop ();
    end
  endgenerate

  function [15:0] be16;
    input [15:0] number;
    be16 = {number[7:0], number[15:8]};
  endfunction

  function [31:0] be32;
    input [31:0] number;
    be32 = {number[7:0], number[15:8], number[23:16], number[31:24]};
  endfunction

  // the sum of RFC 1071
  function [15:0] add_around;
    input [15:0] a;
    input [15:0] b;
    reg [16:0] sum;
    begin
      sum = {1'b0, a} + {1'b0, b};
      add_around = sum[15:0] + {15'd0, sum[16]};
    end
  endfunction

  // ---- template ----

  reg  [32*WORDS-1:0] template_q;
  reg                 is_lent_q;
  reg                 is_expired_q;  // the last loan ended by itself
  wire                is_sending;
  reg                 sent_valid_q;

  always @(posedge clk)
    if (cmd_template_data && !is_lent_q && !is_busy && cfg_template_word < WORDS)
      template_q[{cfg_template_word, 5'd0}+:32] <= cfg_template_data;

  wire is_sound = template_q[8*`ETHERNET_ETHERNET_HEADER_ETHERTYPE_OFF+:16] == be16(`ETHERNET_ETHERTYPE_IPV4) &&
                  template_q[8*(IP+`ETHERNET_IPV4_HEADER_VERSION_IHL_OFF)+:8] == `ETHERNET_IPV4_VERSION_IHL &&
                  template_q[8*(IP+`ETHERNET_IPV4_HEADER_PROTOCOL_OFF)+:8] == `ETHERNET_IP_PROTOCOL_TCP &&
                  template_q[8*(TCP+`ETHERNET_TCP_HEADER_OFFSET_FLAGS_OFF)+:16] == be16(`ETHERNET_TCP_OFFSET_FLAGS);

  // ---- sums of what stays the same, a half word per cycle ----

  localparam [4:0] FIRST = IP / 2;
  localparam [4:0] LAST = HEADER / 2 - 1;
  localparam [4:0] TCP_FIRST = (IP + `ETHERNET_IPV4_HEADER_SOURCE_OFF) / 2;
  localparam [4:0] IP_END = TCP / 2;
  localparam [4:0] IP_LENGTH = (IP + `ETHERNET_IPV4_HEADER_TOTAL_LENGTH_OFF) / 2;
  localparam [4:0] IP_CHECKSUM = (IP + `ETHERNET_IPV4_HEADER_HEADER_CHECKSUM_OFF) / 2;
  localparam [4:0] TCP_SEQ = (TCP + `ETHERNET_TCP_HEADER_SEQUENCE_NUMBER_OFF) / 2;
  localparam [4:0] TCP_FLAGS = (TCP + `ETHERNET_TCP_HEADER_OFFSET_FLAGS_OFF) / 2;
  localparam [4:0] TCP_WINDOW = (TCP + `ETHERNET_TCP_HEADER_WINDOW_OFF) / 2;
  localparam [4:0] TCP_CHECKSUM = (TCP + `ETHERNET_TCP_HEADER_CHECKSUM_OFF) / 2;

  reg         is_summing_q;
  reg  [ 4:0] half_q;
  reg  [15:0] ip_base_q;
  reg  [15:0] tcp_base_q;
  wire        lend;

  wire [32*WORDS-1:0] from_half = template_q >> {half_q, 4'd0};
  reg  [15:0] half_value_q;  // and where it counts
  reg         in_ip_q;
  reg         in_tcp_q;
  wire in_ip = half_q < IP_END && half_q != IP_LENGTH && half_q != IP_CHECKSUM;
  wire is_number = half_q >= TCP_SEQ && half_q < TCP_FLAGS;
  wire in_tcp = half_q >= TCP_FIRST && !is_number && half_q != TCP_WINDOW && half_q != TCP_CHECKSUM;

  always @(posedge clk) begin
    if (lend) begin
      half_q     <= FIRST;
      ip_base_q  <= 16'd0;
      tcp_base_q <= {8'd0, `ETHERNET_IP_PROTOCOL_TCP};
    end else if (is_summing_q) begin
      half_q     <= half_q + 5'd1;
      ip_base_q  <= in_ip_q ? add_around(ip_base_q, half_value_q) : ip_base_q;
      tcp_base_q <= in_tcp_q ? add_around(tcp_base_q, half_value_q) : tcp_base_q;
    end
    half_value_q <= be16(from_half[15:0]);
    in_ip_q      <= is_summing_q && in_ip;
    in_tcp_q     <= is_summing_q && in_tcp;
    is_summing_q <= lend || (is_summing_q && half_q != LAST + 5'd1);
    if (rst) is_summing_q <= 1'b0;
  end

  // ---- the loan ----

  reg  [31:0] next_q;
  reg  [31:0] end_q;
  reg  [31:0] ack_q;
  reg  [15:0] window_q;
  reg  [63:0] expiry_q;
  reg         is_over_q;   // expiry_q is not after now
  reg         is_new_q;    // is_over_q is not of this loan yet

  wire [31:0] loan_len = cfg_loan_end - cfg_loan_seq;
  wire        is_sane = is_sound && loan_len != 32'd0 && loan_len <= LOAN_MAX;
  wire [31:0] left = end_q - next_q;
  reg  [ 5:0] left_q;  // right when a packet can be taken: a cycle behind what changes it
  reg         is_left_wide_q;  // 64 or more
  reg         is_left_bad_q;
  wire [31:0] left_renewed = cfg_loan_end - next_q;
  wire        is_over = is_over_q && !is_new_q;
  wire        take = s_valid && s_ready;
  wire        renew = cmd_renew && is_lent_q && left_renewed <= LOAN_MAX;
  wire        send;
  wire [31:0] len = {26'd0, s_len};

  assign lend = cmd_lend && !is_lent_q && !is_busy && is_sane;

  always @(posedge clk) begin
    left_q         <= left[5:0];
    is_left_wide_q <= left[31:6] != 26'd0;
    is_left_bad_q  <= left > LOAN_MAX;
    is_over_q <= now >= expiry_q;
    is_new_q  <= lend || renew;
    if (send) next_q <= next_q + len;
    if (lend) next_q <= cfg_loan_seq;
    if (lend || renew) begin
      end_q    <= cfg_loan_end;
      ack_q    <= cfg_loan_ack;
      window_q <= cfg_loan_window;
      expiry_q <= cfg_loan_expiry;
    end
    if (is_over && is_lent_q) {is_lent_q, is_expired_q} <= 2'b01;
    if (cmd_return) is_lent_q <= 1'b0;
    if (lend) {is_lent_q, is_expired_q} <= 2'b10;
    pulse_refused <= (cmd_lend && !lend) || (cmd_renew && !renew) ||
                     (cmd_template_data && (is_lent_q || is_busy || cfg_template_word >= WORDS));
    if (rst) begin
      is_lent_q     <= 1'b0;
      is_expired_q  <= 1'b0;
      next_q        <= 32'd0;  // goes to the host with what is refused before the first loan
      pulse_refused <= 1'b0;
    end
  end

  assign loan_is_out = is_lent_q;
  assign loan_next   = next_q;
  assign is_busy     = is_sending || is_summing_q || sent_valid_q;

  // ---- what becomes of a packet ----

  reg  [ 7:0] outcome;
  reg  [ 7:0] outcome_q;
  reg  [ 5:0] len_q;
  reg  [31:0] seq_q;
  reg  [PACKET_W-1:0] packet_q;

  always @* begin
    outcome = `HWGW_SENT_OUTCOME_SENT;
    if (is_left_bad_q || (!is_left_wide_q && s_len > left_q)) outcome = `HWGW_SENT_OUTCOME_BEYOND;
    if (!is_lent_q) outcome = is_expired_q ? `HWGW_SENT_OUTCOME_EXPIRED : `HWGW_SENT_OUTCOME_NO_LOAN;
    else if (is_over) outcome = `HWGW_SENT_OUTCOME_EXPIRED;
    if (halt && !s_is_cancel) outcome = `HWGW_SENT_OUTCOME_HALTED;
    if (!s_is_good || s_len == 6'd0 || s_len > PACKET_SZ) outcome = `HWGW_SENT_OUTCOME_ENCODE;
  end

  // a loan that changes in this cycle is not judged by in this cycle
  assign s_ready = !is_sending && !is_summing_q && !is_new_q && !cmd_lend && !cmd_renew && !cmd_return &&
                   (!sent_valid_q || m_axis_sent_tready);
  assign send = take && outcome == `HWGW_SENT_OUTCOME_SENT;

  always @(posedge clk) begin
    if (take) begin
      outcome_q <= outcome;
      packet_q  <= s_packet;
      len_q     <= s_len;
      seq_q     <= next_q;
    end
    if (take) sent_valid_q <= 1'b1;
    else if (m_axis_sent_tready) sent_valid_q <= 1'b0;
    if (rst) sent_valid_q <= 1'b0;
  end

  assign m_axis_sent_tdata  = {packet_q, seq_q, 16'd0, 2'd0, len_q, outcome_q};
  assign m_axis_sent_tvalid = sent_valid_q;

  // ---- checksums, while the first beats leave ----

  reg  [31:0] frame_ack_q;
  reg  [15:0] frame_window_q;
  reg  [16:0] ip_q2;
  reg  [15:0] ip_q3;
  reg  [17:0] part_q2   [0:8];
  reg  [19:0] part_q3   [0:2];
  reg  [21:0] sum_q4;
  reg  [16:0] sum_q5;
  reg  [15:0] sum_q6;
  integer     group;

  wire [15:0] total_len = {10'd0, len_q} + IP_TCP_LEN;
  wire [15:0] segment_len = {10'd0, len_q} + `ETHERNET_TCP_HEADER_LEN;

  function [17:0] sum4;
    input [63:0] halves;
    sum4 = {2'd0, halves[15:0]} + {2'd0, halves[31:16]} + {2'd0, halves[47:32]} + {2'd0, halves[63:48]};
  endfunction

  function [63:0] swap4;
    input [63:0] bytes;
    swap4 = {be16(bytes[63:48]), be16(bytes[47:32]), be16(bytes[31:16]), be16(bytes[15:0])};
  endfunction

  always @(posedge clk) begin
    if (take) begin
      frame_ack_q    <= ack_q;
      frame_window_q <= window_q;
    end
    ip_q2 <= {1'b0, ip_base_q} + {1'b0, total_len};
    ip_q3 <= ~(ip_q2[15:0] + {15'd0, ip_q2[16]});
    for (group = 0; group < PACKET_W / 64; group = group + 1) part_q2[group] <= sum4(swap4(packet_q[64*group+:64]));
    part_q2[7] <= sum4({seq_q, frame_ack_q});
    part_q2[8] <= sum4({16'd0, tcp_base_q, frame_window_q, segment_len});
    part_q3[0] <= {2'd0, part_q2[0]} + {2'd0, part_q2[1]} + {2'd0, part_q2[2]};
    part_q3[1] <= {2'd0, part_q2[3]} + {2'd0, part_q2[4]} + {2'd0, part_q2[5]};
    part_q3[2] <= {2'd0, part_q2[6]} + {2'd0, part_q2[7]} + {2'd0, part_q2[8]};
    sum_q4     <= {2'd0, part_q3[0]} + {2'd0, part_q3[1]} + {2'd0, part_q3[2]};
    sum_q5     <= {1'b0, sum_q4[15:0]} + {11'd0, sum_q4[21:16]};
    sum_q6     <= ~(sum_q5[15:0] + {15'd0, sum_q5[16]});
  end

  // ---- the frame ----

  reg  [8*HEADER-1:0] header;
  reg          valid_q;
  reg          last_q;
  reg  [  3:0] beat_q;  // the one that follows the one at the port
  reg  [ 63:0] data_q;
  wire [  6:0] before_end = {1'b0, len_q} + HEADER - 7'd1;  // place of the last byte
  wire [  3:0] last_beat = before_end[6:3];
  wire [FRAME_W-1:0] frame = {{(FRAME_W - PACKET_W - 8 * HEADER) {1'b0}}, packet_q, header};
  wire [FRAME_W-1:0] from_beat = frame >> {beat_q, 6'd0};

  always @* begin
    header = template_q[8*HEADER-1:0];
    header[8*(IP+`ETHERNET_IPV4_HEADER_TOTAL_LENGTH_OFF)+:16] = be16(total_len);
    header[8*(IP+`ETHERNET_IPV4_HEADER_HEADER_CHECKSUM_OFF)+:16] = be16(ip_q3);
    header[8*(TCP+`ETHERNET_TCP_HEADER_SEQUENCE_NUMBER_OFF)+:32] = be32(seq_q);
    header[8*(TCP+`ETHERNET_TCP_HEADER_ACKNOWLEDGEMENT_NUMBER_OFF)+:32] = be32(frame_ack_q);
    header[8*(TCP+`ETHERNET_TCP_HEADER_WINDOW_OFF)+:16] = be16(frame_window_q);
    header[8*(TCP+`ETHERNET_TCP_HEADER_CHECKSUM_OFF)+:16] = be16(sum_q6);
  end

  always @(posedge clk) begin
    if (send) begin
      data_q  <= template_q[63:0];
      valid_q <= 1'b1;
      last_q  <= 1'b0;
      beat_q  <= 4'd1;
    end else if (m_axis_tready && valid_q) begin
      data_q  <= from_beat[63:0];
      valid_q <= !last_q;
      last_q  <= beat_q == last_beat;
      beat_q  <= beat_q + 4'd1;
    end
    if (rst) valid_q <= 1'b0;
  end

  assign is_sending    = valid_q;
  assign m_axis_tdata  = data_q;
  assign m_axis_tvalid = valid_q;
  assign m_axis_tlast  = last_q;
  assign m_axis_tkeep  = last_q ? 8'hFF >> (3'd7 - before_end[2:0]) : 8'hFF;

  wire unused = &{1'b0, from_half[32*WORDS-1:16], from_beat[FRAME_W-1:64]};

endmodule

`default_nettype wire
