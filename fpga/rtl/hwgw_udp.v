// hwgw_udp: Ethernet, up to two VLAN tags, IPv4 and UDP down to the payload of a configured flow.
//
// SPDX-License-Identifier: MIT
//
// Input: frames from the MAC without FCS, never stalled; beats of a frame may have gaps between them, and only the last one may
// have less than 8 bytes. tuser at tlast says that the MAC found the frame bad.
// Output: the UDP payload, byte 0 in the low lane, up to the UDP length. Every frame ends with a beat with tlast, which may
// be empty; a frame that is too short gives nothing else. The payload leaves before the frame is judged:
//   m_refused        says that the headers forbid the payload, from two cycles after the third payload beat at the latest
//                    until two cycles after the last beat
//   m_verdict_*      five cycles after the beat with tlast: the causes of its drop, one at most; none = a good frame
// Order of checks as in net.c, the first that fails is the cause: bad frame of the MAC (drop_nic), Ethernet and VLAN headers
// complete (drop_short), ethertype IPv4 (drop_ethertype), 20 bytes of IPv4 (drop_short), version 4 and header length at least
// 20 (drop_ip_header), options complete (drop_short), total length within the frame and not below the header (drop_ip_length),
// header checksum (drop_ip_checksum), no fragment (drop_fragment), UDP (drop_protocol), UDP length at least 8 and within the
// datagram (drop_udp_length), group and port (drop_foreign). The UDP checksum is not verified.
// Latency: 2 cycles from a beat at the input to its first payload bytes, 3 to those that wait for the next beat.
`default_nettype none
`include "hwgw_specs.vh"

module hwgw_udp (
    input  wire                       clk,
    input  wire [               63:0] now,
    input  wire                       cfg_enable,
    input  wire [               31:0] cfg_group,
    input  wire [               15:0] cfg_port,
    input  wire [               63:0] s_axis_tdata,
    input  wire [                7:0] s_axis_tkeep,
    input  wire                       s_axis_tvalid,
    input  wire                       s_axis_tlast,
    input  wire                       s_axis_tuser,
    output reg  [               63:0] m_axis_tdata,
    output reg  [                7:0] m_axis_tkeep,
    output reg  [                7:0] m_axis_tzero,  // a byte is 0
    output reg                        m_axis_tvalid,
    output reg                        m_axis_tlast,
    output reg  [               63:0] m_t_rx,
    output wire                       m_refused,
    output reg                        m_verdict_valid,
    output reg                        m_verdict_drop,  // there is a cause
    output reg  [`HWGW_LINE_CNT_W-1:0] m_verdict_cause,
    input  wire                       rst
);

  localparam [15:0] ETH_LEN = `ETHERNET_ETHERNET_HEADER_LEN;
  localparam [15:0] IP_LEN = `ETHERNET_IPV4_HEADER_LEN;
  localparam [15:0] UDP_LEN = `ETHERNET_UDP_HEADER_LEN;
  localparam [15:0] FRAGMENT = 16'h3fff;  // more fragments, and the offset

  // bytes in network order: 16 and 32 bits that begin in a lane
  function [15:0] be16;
    input [63:0] word;
    input integer lane;
    be16 = {word[8*lane+:8], word[8*lane+8+:8]};
  endfunction

  function is_tag;
    input [15:0] ethertype;
    is_tag = ethertype == `ETHERNET_ETHERTYPE_VLAN || ethertype == `ETHERNET_ETHERTYPE_QINQ;
  endfunction

  // ---- beats: cur_q came last, prev_q before it; a slot is the cycle in which prev_q leaves ----

  reg         is_open_q;  // inside a frame at the input
  reg         is_taken_q;  // and that frame is ours to judge
  reg  [63:0] cur_q;
  reg  [ 7:0] cur_zero_q;  // bytes that are 0
  reg  [ 3:0] cur_cnt_q;
  reg         cur_valid_q;
  reg         cur_last_q;
  reg         cur_first_q;
  reg         cur_user_q;
  reg  [63:0] cur_now_q;
  reg  [63:0] prev_q;
  reg  [ 7:2] prev_zero_q;
  reg  [ 3:0] prev_cnt_q;
  reg         prev_valid_q;
  reg         prev_last_q;
  reg         prev_user_q;
  reg  [ 4:0] idx_q;  // of prev_q in its frame; stays at 31
  reg  [15:0] len_q;  // of its frame, up to and with prev_q
  reg         is_long_q;  // it is enough: the beat in cur_q does not count
  reg  [63:0] t_rx_q;

  function [3:0] count;  // of tkeep, which has no holes
    input [7:0] keep;
    casez (keep)
      8'b1???????: count = 4'd8;
      8'b01??????: count = 4'd7;
      8'b001?????: count = 4'd6;
      8'b0001????: count = 4'd5;
      8'b00001???: count = 4'd4;
      8'b000001??: count = 4'd3;
      8'b0000001?: count = 4'd2;
      8'b00000001: count = 4'd1;
      default: count = 4'd0;
    endcase
  endfunction

  wire is_taken = is_open_q ? is_taken_q : cfg_enable;
  wire slot = prev_valid_q && (prev_last_q || cur_valid_q);
  wire [3:0] more_cnt = prev_last_q ? 4'd0 : cur_cnt_q;  // bytes of the frame in cur_q

  integer k;

  always @(posedge clk) begin
    if (s_axis_tvalid) begin
      is_open_q  <= !s_axis_tlast;
      is_taken_q <= is_taken;
    end
    cur_valid_q <= s_axis_tvalid && is_taken;
    if (s_axis_tvalid) begin
      cur_q       <= s_axis_tdata;
      for (k = 0; k < 8; k = k + 1) cur_zero_q[k] <= s_axis_tdata[8*k+:8] == 8'd0;
      cur_cnt_q   <= count(s_axis_tkeep);
      cur_last_q  <= s_axis_tlast;
      cur_user_q  <= s_axis_tuser;
      cur_first_q <= !is_open_q;
      cur_now_q   <= now;
    end
    if (cur_valid_q) begin
      prev_q      <= cur_q;
      prev_zero_q <= cur_zero_q[7:2];
      prev_cnt_q  <= cur_cnt_q;
      prev_last_q <= cur_last_q;
      prev_user_q <= cur_user_q;
      idx_q       <= cur_first_q ? 5'd0 : idx_q + {4'd0, idx_q != 5'd31};
      len_q       <= (cur_first_q ? 16'd0 : len_q) + {12'd0, cur_cnt_q & {4{!is_long_q}}};  // up to 16'hffc0 and two beats
    end
    is_long_q <= is_open_q && !(cur_first_q && cur_valid_q) && &len_q[15:6];
    if (cur_first_q) t_rx_q <= cur_now_q;  // of a frame that is not taken too: nobody looks at it
    prev_valid_q <= cur_valid_q || (prev_valid_q && !slot);
    if (rst) begin
      is_open_q    <= 1'b0;
      cur_valid_q  <= 1'b0;
      prev_valid_q <= 1'b0;
    end
  end

  // ---- where the payload begins: words (4 bytes behind the Ethernet header) of tags, IPv4 and UDP ----

  reg        has_tag_q;  // an outer tag
  reg        has_tags_q;  // an inner one too
  reg [ 3:0] ihl_0_q;  // header length field if there were 0, 1 or 2 tags
  reg [ 3:0] ihl_1_q;
  reg [ 3:0] ihl_2_q;
  reg [ 5:0] word_q;  // of the first payload byte
  reg [ 4:0] before_q;  // the beat before the one in which the payload begins
  reg        is_lane_2_q;  // it begins in lane 2 of that beat, else in lane 6
  reg        is_placed_q;
  reg [15:0] left_q;  // bytes of payload still to come
  reg        has_left_q;  // there are some
  reg        has_beat_q;  // at least 8
  reg        is_payload_q;

  wire [1:0] tags = !has_tag_q ? 2'd0 : !has_tags_q ? 2'd1 : 2'd2;
  wire [3:0] ihl = !has_tag_q ? ihl_0_q : !has_tags_q ? ihl_1_q : ihl_2_q;
  wire [5:0] before_x2 = word_q + 6'd1;
  wire unused_half = before_x2[0];
  wire is_next = is_placed_q && idx_q == before_q;
  wire [15:0] udp_len = is_lane_2_q ? be16(prev_q, 6) : be16(cur_q, 2);

  // bytes of payload in this slot: those of the frame, and not more than the UDP length says
  wire [3:0] lane = is_lane_2_q ? 4'd2 : 4'd6;
  wire [3:0] of_prev = prev_cnt_q > lane ? prev_cnt_q - lane : 4'd0;
  wire [3:0] of_cur = more_cnt > lane ? lane : more_cnt;
  wire [3:0] here_cnt = of_prev + of_cur;
  wire [7:0] here = ~(8'hff << here_cnt);
  wire [7:0] wanted = has_beat_q ? 8'hff : ~(8'hff << left_q[2:0]);

  always @(posedge clk) begin
    // a slot that is not the last has bytes for each payload beat, so it is empty only if nothing is left
    m_axis_tvalid <= slot && (prev_last_q || (is_payload_q && has_left_q));
    m_axis_tdata  <= is_lane_2_q ? {cur_q[15:0], prev_q[63:16]} : {cur_q[47:0], prev_q[63:48]};
    m_axis_tzero  <= is_lane_2_q ? {cur_zero_q[1:0], prev_zero_q[7:2]} : {cur_zero_q[5:0], prev_zero_q[7:6]};
    m_axis_tkeep  <= is_payload_q ? here & wanted : 8'd0;
    m_axis_tlast  <= prev_last_q;
    m_t_rx        <= t_rx_q;
    before_q      <= before_x2[5:1];
    is_lane_2_q   <= word_q[0];
    if (slot) begin
      if (idx_q == 5'd1) begin
        has_tag_q  <= is_tag(be16(prev_q, 4));
        has_tags_q <= is_tag(be16(cur_q, 0));
        ihl_0_q    <= prev_q[51:48];
        ihl_1_q    <= cur_q[19:16];
        ihl_2_q    <= cur_q[51:48];
      end
      if (idx_q == 5'd2) begin
        if (ihl >= 4'd5) word_q <= {2'd0, ihl} + 6'd2 + {4'd0, tags};
        is_placed_q <= ihl >= 4'd5;
      end
      // what lies behind a short last beat is never asked for, so that each slot takes 8
      if (is_next) begin
        left_q     <= udp_len - UDP_LEN;
        has_left_q <= udp_len != UDP_LEN;
        has_beat_q <= udp_len[15:4] != 12'd0;
      end else if (is_payload_q) begin
        left_q     <= has_beat_q ? left_q - 16'd8 : 16'd0;
        has_left_q <= left_q[15:4] != 12'd0 || (left_q[3] && left_q[2:0] != 3'd0);
        has_beat_q <= left_q[15:4] != 12'd0;
      end
      is_payload_q <= (is_next || is_payload_q) && !prev_last_q;
      if (prev_last_q) is_placed_q <= 1'b0;
    end
    if (rst) begin
      m_axis_tvalid <= 1'b0;
      is_payload_q  <= 1'b0;
      is_placed_q   <= 1'b0;
      word_q        <= 6'd7;  // before_q is a cycle late; no place that there can be makes it 3
    end
  end

  // ---- headers: two words per beat behind the Ethernet header, and what each is ----

  // index of a word of the header by its offset in bytes; that of a word of the frame is higher by the tags
  localparam [5:0] AT_LENGTH = `ETHERNET_IPV4_HEADER_TOTAL_LENGTH_OFF / 4;
  localparam [5:0] AT_FRAGMENT = `ETHERNET_IPV4_HEADER_FLAGS_FRAGMENT_OFF / 4;
  localparam [5:0] AT_PROTOCOL = `ETHERNET_IPV4_HEADER_PROTOCOL_OFF / 4;
  localparam [5:0] AT_GROUP = `ETHERNET_IPV4_HEADER_DESTINATION_OFF / 4;
  localparam [5:0] IP_WORDS = `ETHERNET_IPV4_HEADER_LEN / 4;

  reg [63:0] words_q;
  reg        words_valid_q;
  reg        words_first_q;
  reg [ 4:0] words_idx_q;
  reg        is_ip_0_q;  // the ethertype says IPv4 if there were 0, 1 or 2 tags
  reg        is_ip_1_q;
  reg        is_ip_2_q;
  reg [63:0] words_q2;
  reg [16:0] sum_0_q2;  // of the two halves of each word
  reg [16:0] sum_1_q2;
  reg        words_valid_q2;
  reg        words_first_q2;
  // what the first word is, and what the second
  reg [ 1:0] is_length_q2;
  reg [ 1:0] is_fragment_q2;
  reg [ 1:0] is_protocol_q2;
  reg [ 1:0] is_group_q2;
  reg [ 1:0] is_ports_q2;  // the first behind the IPv4 header
  reg [ 1:0] is_udp_len_q2;  // the one behind that
  reg        is_behind_q2;  // the second is that, or further
  reg        in_header_0_q2;
  reg        in_header_1_q2;
  reg [ 1:0] tags_q2;
  reg [ 1:0] tags_more_q2;  // 1 more
  reg        is_ip_q2;

  reg  [5:0] header_end_q3;  // index of the first word behind the IPv4 header; known in time for the first one that may be an option
  reg  [5:0] udp_len_at_q3;  // and of the one that has the UDP length
  wire [5:0] index_0 = {words_idx_q, 1'b0};
  wire [5:0] index_1 = {words_idx_q, 1'b1};

  function is_word;  // a word of the frame is that of the header
    input [5:0] word;
    input [1:0] tag_cnt;
    input [5:0] at;
    case (tag_cnt)
      2'd0: is_word = word == at;
      2'd1: is_word = word == at + 6'd1;
      default: is_word = word == at + 6'd2;
    endcase
  endfunction

  function is_beyond;  // a word of the frame cannot be one of a header without options
    input [5:0] word;
    input [1:0] tag_cnt;
    case (tag_cnt)
      2'd0: is_beyond = word >= IP_WORDS;
      2'd1: is_beyond = word >= IP_WORDS + 6'd1;
      default: is_beyond = word >= IP_WORDS + 6'd2;
    endcase
  endfunction

  function is_header;  // a word by its index, tags counted
    input [5:0] word;
    input [1:0] tag_cnt;
    input [5:0] header_end;
    begin
      case (tag_cnt)
        2'd0: is_header = word < IP_WORDS;
        2'd1: is_header = word != 6'd0 && word < IP_WORDS + 6'd1;
        default: is_header = word > 6'd1 && word < IP_WORDS + 6'd2;
      endcase
      if (word >= IP_WORDS && word < header_end) is_header = 1'b1;
    end
  endfunction

  always @(posedge clk) begin
    words_valid_q  <= slot && idx_q != 5'd0 && idx_q != 5'd31;
    words_first_q  <= idx_q == 5'd1;
    words_idx_q    <= idx_q - 5'd1;
    words_q        <= {cur_q[47:0], prev_q[63:48]};
    if (slot && idx_q == 5'd1) begin
      is_ip_0_q <= be16(prev_q, 4) == `ETHERNET_ETHERTYPE_IPV4;
      is_ip_1_q <= be16(cur_q, 0) == `ETHERNET_ETHERTYPE_IPV4;
      is_ip_2_q <= be16(cur_q, 4) == `ETHERNET_ETHERTYPE_IPV4;
    end
    words_valid_q2 <= words_valid_q;
    words_first_q2 <= words_first_q;
    words_q2       <= words_q;
    sum_0_q2       <= {1'b0, be16(words_q, 0)} + {1'b0, be16(words_q, 2)};
    sum_1_q2       <= {1'b0, be16(words_q, 4)} + {1'b0, be16(words_q, 6)};
    is_length_q2   <= {is_word(index_1, tags, AT_LENGTH), is_word(index_0, tags, AT_LENGTH)};
    is_fragment_q2 <= {is_word(index_1, tags, AT_FRAGMENT), is_word(index_0, tags, AT_FRAGMENT)};
    is_protocol_q2 <= {is_word(index_1, tags, AT_PROTOCOL), is_word(index_0, tags, AT_PROTOCOL)};
    is_group_q2    <= {is_word(index_1, tags, AT_GROUP), is_word(index_0, tags, AT_GROUP)};
    // the place of the UDP header is known two beats before it; until then it is that of the frame before
    is_ports_q2    <= {index_1 == header_end_q3, index_0 == header_end_q3} & {is_beyond(index_1, tags), is_beyond(index_0, tags)};
    is_udp_len_q2  <= {index_1 == udp_len_at_q3, index_0 == udp_len_at_q3} & {is_beyond(index_1, tags), is_beyond(index_0, tags)};
    is_behind_q2   <= is_beyond(index_0, tags) && index_1 >= udp_len_at_q3;
    in_header_0_q2 <= is_header(index_0, tags, header_end_q3);
    in_header_1_q2 <= is_header(index_1, tags, header_end_q3);
    if (words_valid_q && words_first_q) begin
      tags_q2  <= tags;
      tags_more_q2 <= tags + 2'd1;
      is_ip_q2 <= tags == 2'd0 ? is_ip_0_q : tags == 2'd1 ? is_ip_1_q : is_ip_2_q;
    end
    if (rst) begin
      words_valid_q  <= 1'b0;
      words_valid_q2 <= 1'b0;
    end
  end

  // the words of the header in this beat, byte 0 highest; lane 1 is one word further
  wire [31:0] word_0 = {words_q2[7:0], words_q2[15:8], words_q2[23:16], words_q2[31:24]};
  wire [31:0] word_1 = {words_q2[39:32], words_q2[47:40], words_q2[55:48], words_q2[63:56]};

  reg [ 1:0] tags_q3;
  reg        is_ip_q3;
  reg [ 7:0] version_ihl_q3;
  reg [15:0] total_q3;
  reg        is_fragment_q3;
  reg        is_udp_q3;
  reg [ 3:0] is_group_q3;  // a byte each
  reg        is_port_q3;
  reg [15:0] udp_len_q3;
  reg [18:0] sum_q3;
  reg        sum_valid_q3;
  reg        sum_first_q3;
  reg        has_udp_q3;  // the UDP length has been seen

  wire [7:0] version_ihl = is_length_q2[0] ? word_0[31:24] : word_1[31:24];

  integer group_byte;

  always @(posedge clk) begin
    sum_valid_q3 <= words_valid_q2;
    sum_first_q3 <= words_first_q2;
    sum_q3       <= {2'd0, in_header_0_q2 ? sum_0_q2 : 17'd0} + {2'd0, in_header_1_q2 ? sum_1_q2 : 17'd0};
    if (words_valid_q2) begin
      tags_q3  <= tags_q2;
      is_ip_q3 <= is_ip_q2;
      if (|is_length_q2) begin
        version_ihl_q3 <= version_ihl;
        total_q3       <= is_length_q2[0] ? word_0[15:0] : word_1[15:0];
        header_end_q3  <= {2'd0, version_ihl[3:0]} + {4'd0, tags_q2};
        udp_len_at_q3  <= {2'd0, version_ihl[3:0]} + {4'd0, tags_more_q2};
      end
      if (|is_fragment_q2) is_fragment_q3 <= ((is_fragment_q2[0] ? word_0[15:0] : word_1[15:0]) & FRAGMENT) != 16'd0;
      if (|is_protocol_q2) is_udp_q3 <= (is_protocol_q2[0] ? word_0[23:16] : word_1[23:16]) == `ETHERNET_IP_PROTOCOL_UDP;
      if (|is_group_q2)
        for (group_byte = 0; group_byte < 4; group_byte = group_byte + 1)
          is_group_q3[group_byte] <=
              (is_group_q2[0] ? word_0[8*group_byte+:8] : word_1[8*group_byte+:8]) == cfg_group[8*group_byte+:8];
      if (|is_ports_q2) is_port_q3 <= (is_ports_q2[0] ? word_0[15:0] : word_1[15:0]) == cfg_port;
      if (|is_udp_len_q2) udp_len_q3 <= is_udp_len_q2[0] ? word_0[31:16] : word_1[31:16];
      has_udp_q3 <= !words_first_q2 && (has_udp_q3 || is_behind_q2);
    end
    if (rst) sum_valid_q3 <= 1'b0;
  end

  // ---- the checks; those that need the length of the frame wait for its end ----

  wire [15:0] ip_len = {10'd0, version_ihl_q3[3:0], 2'd0};
  reg  [15:0] room_q4;  // for the UDP datagram
  reg  [22:0] total_sum_q4;
  reg         is_refused_q4;  // by what needs neither checksum nor the end of the frame
  wire [16:0] fold_1 = {1'b0, total_sum_q4[15:0]} + {10'd0, total_sum_q4[22:16]};
  wire        is_sum_right = fold_1 == 17'h0ffff || fold_1 == 17'h1fffe;

  wire is_bad_header = version_ihl_q3[7:4] != 4'd4 || version_ihl_q3[3:0] < 4'd5;
  wire is_bad_udp_len = room_q4 < UDP_LEN || udp_len_q3 < UDP_LEN || udp_len_q3 > room_q4;
  wire is_foreign = !(&is_group_q3) || !is_port_q3;
  wire is_total_short = total_q3[15:6] == 10'd0 && total_q3[5:2] < version_ihl_q3[3:0];  // less than ip_len

  always @(posedge clk) begin
    if (sum_valid_q3) total_sum_q4 <= (sum_first_q3 ? 23'd0 : total_sum_q4) + {4'd0, sum_q3};
    room_q4       <= total_q3 - ip_len;
    is_refused_q4 <= has_udp_q3 && (!is_ip_q3 || is_bad_header || is_total_short || is_fragment_q3 || !is_udp_q3 ||
                                    is_foreign);
  end
  reg  is_sum_wrong_q5;
  reg  has_udp_q4;
  always @(posedge clk) begin
    has_udp_q4      <= has_udp_q3;
    is_sum_wrong_q5 <= has_udp_q4 && !is_sum_right;
  end
  reg is_refused_q5;
  always @(posedge clk) is_refused_q5 <= is_refused_q4 || (has_udp_q4 && is_bad_udp_len);
  assign m_refused = is_refused_q5 || is_sum_wrong_q5;

  // ---- the verdict: a token follows each last beat ----

  reg [ 4:0] end_q;  // bit n: a frame ended n + 1 cycles ago
  reg [15:0] end_len_q1;
  reg [15:0] end_len_q2;
  reg [15:0] end_len_q3;
  reg [15:0] ip_room_q4;  // bytes of the frame behind tags and Ethernet header
  reg [ 2:0] end_user_q;
  reg        user_q4;
  reg        is_short_q4;  // Ethernet or tags
  reg        user_q5;
  reg        is_short_q5;
  reg        is_ip_q5;
  reg        is_short_ip_q5;
  reg        is_bad_header_q5;
  reg        is_short_options_q5;
  reg        is_bad_length_q5;
  reg        is_fragment_q5;
  reg        is_udp_q5;
  reg        is_bad_udp_len_q5;
  reg        is_foreign_q5;
  reg        is_sum_right_q5;

  wire [15:0] link_len = tags_q3 == 2'd0 ? ETH_LEN : tags_q3 == 2'd1 ? ETH_LEN + 16'd4 : ETH_LEN + 16'd8;

  always @(posedge clk) begin
    end_q      <= {end_q[3:0], slot && prev_last_q};
    end_user_q <= {end_user_q[1:0], prev_user_q};
    end_len_q1 <= len_q;
    end_len_q2 <= end_len_q1;
    end_len_q3 <= end_len_q2;

    ip_room_q4  <= end_len_q3 - link_len;
    is_short_q4 <= end_len_q3 < link_len;
    user_q4     <= end_user_q[2];

    user_q5             <= user_q4;
    is_short_q5         <= is_short_q4;
    is_ip_q5            <= is_ip_q3;
    is_short_ip_q5      <= ip_room_q4 < IP_LEN;
    is_bad_header_q5    <= is_bad_header;
    is_short_options_q5 <= ip_room_q4 < ip_len;
    is_bad_length_q5    <= is_total_short || total_q3 > ip_room_q4;
    is_sum_right_q5     <= is_sum_right;
    is_fragment_q5      <= is_fragment_q3;
    is_udp_q5           <= is_udp_q3;
    is_bad_udp_len_q5   <= is_bad_udp_len;
    is_foreign_q5       <= is_foreign;

    m_verdict_valid <= end_q[4];
    m_verdict_drop  <= user_q5 || is_short_q5 || !is_ip_q5 || is_short_ip_q5 || is_bad_header_q5 || is_short_options_q5 ||
                       is_bad_length_q5 || !is_sum_right_q5 || is_fragment_q5 || !is_udp_q5 || is_bad_udp_len_q5 || is_foreign_q5;
    m_verdict_cause <= {`HWGW_LINE_CNT_W{1'b0}};
    if (user_q5) m_verdict_cause[`HWGW_LINE_CNT_RX_DROP_NIC] <= 1'b1;
    else if (is_short_q5) m_verdict_cause[`HWGW_LINE_CNT_NET_DROP_SHORT] <= 1'b1;
    else if (!is_ip_q5) m_verdict_cause[`HWGW_LINE_CNT_NET_DROP_ETHERTYPE] <= 1'b1;
    else if (is_short_ip_q5) m_verdict_cause[`HWGW_LINE_CNT_NET_DROP_SHORT] <= 1'b1;
    else if (is_bad_header_q5) m_verdict_cause[`HWGW_LINE_CNT_NET_DROP_IP_HEADER] <= 1'b1;
    else if (is_short_options_q5) m_verdict_cause[`HWGW_LINE_CNT_NET_DROP_SHORT] <= 1'b1;
    else if (is_bad_length_q5) m_verdict_cause[`HWGW_LINE_CNT_NET_DROP_IP_LENGTH] <= 1'b1;
    else if (!is_sum_right_q5) m_verdict_cause[`HWGW_LINE_CNT_NET_DROP_IP_CHECKSUM] <= 1'b1;
    else if (is_fragment_q5) m_verdict_cause[`HWGW_LINE_CNT_NET_DROP_FRAGMENT] <= 1'b1;
    else if (!is_udp_q5) m_verdict_cause[`HWGW_LINE_CNT_NET_DROP_PROTOCOL] <= 1'b1;
    else if (is_bad_udp_len_q5) m_verdict_cause[`HWGW_LINE_CNT_NET_DROP_UDP_LENGTH] <= 1'b1;
    else if (is_foreign_q5) m_verdict_cause[`HWGW_LINE_CNT_NET_DROP_FOREIGN] <= 1'b1;
    if (rst) begin
      end_q           <= 5'd0;
      m_verdict_valid <= 1'b0;
    end
  end

endmodule

`default_nettype wire
