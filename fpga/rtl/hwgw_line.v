// hwgw_line: one line in front of the arbiter: where its next record stands against the expected sequence number.
//
// SPDX-License-Identifier: MIT
//
// Input: records of hwgw_hold; what the arbiter expects and does. Output: what the record at the head is, and when it is
// taken. Instead of comparing 64-bit numbers for every message, the line keeps how far its next message is from the expected
// one (ahead_q, which saturates) and counts along. The full comparison is made once per packet, in the two cycles after its
// header. A first message of less than 18 bytes has arrived by then and waits a cycle, or two if it is shorter than 10.
// Order of checks as in mold.c: session (drop_session), number 0, past the end of 64-bit numbers or further ahead than
// cfg_jump_max (drop_gap), nothing new (drop_duplicate). A packet is counted by its end record.
`default_nettype none
`include "hwgw_specs.vh"

module hwgw_line #(
    parameter DATA_SZ = `ITCH50_TRADE_NON_CROSS_LEN,
    parameter RECORD_W = 8 * DATA_SZ + 8
) (
    input  wire                        clk,
    input  wire [                31:0] cfg_jump_max,
    input  wire [        RECORD_W-1:0] s_record,
    input  wire                        s_valid,
    output wire                        s_ready,
    // the arbiter
    input  wire [                63:0] expected,
    input  wire                        is_joined,
    input  wire [                79:0] session,
    input  wire                        is_restart,
    input  wire                        is_taken,  // the message at the head goes to the decoder
    input  wire                        is_other_taken,  // one of the other line does
    input  wire                        is_jump,  // the expected number becomes this line's
    input  wire                        is_other_chosen,  // it may become the other's in the next cycle, or does in this one
    input  wire                        is_other_jump,  // it does, which was that far ahead in the cycle before
    input  wire [                17:0] other_ahead,
    output wire                        wants,  // a message with the expected number is at the head
    output wire                        is_ahead,  // what is at the head is behind a hole
    output reg  [                17:0] ahead_q,  // two's complement
    output wire                        wants_join,
    output wire                        is_session_end,  // pulse: an end of session packet was used
    output reg  [                63:0] seq_q,  // of the first message of the packet
    output reg  [                79:0] session_q,
    output reg  [                63:0] t_rx_q,
    output reg  [`HWGW_LINE_CNT_W-1:0] pulse,
    input  wire                        rst
);

  localparam [1:0] KIND_HEADER = 2'd1;
  localparam [1:0] KIND_MESSAGE = 2'd2;
  localparam [1:0] KIND_END = 2'd3;
  localparam [2:0] IDLE = 3'd0;  // behind a packet, or in the rest of one that is not wanted
  localparam [2:0] DIFFER = 3'd1;  // number less the expected one
  localparam [2:0] JUDGE = 3'd2;  // is that believable
  localparam [2:0] RUN = 3'd3;
  localparam [2:0] SKIP_SESSION = 3'd4;
  localparam [2:0] SKIP_GAP = 3'd5;
  localparam [17:0] AHEAD_MAX = 18'h1ffff;
  localparam [17:0] AHEAD_MIN = 18'h20000;

  wire [RECORD_W-9:0] data = s_record[RECORD_W-1:8];
  wire                unused_bytes = &{1'b0, s_record[7:2], data};
  wire [         1:0] kind = s_record[1:0];
  wire [        63:0] head_seq = {
    data[8*10+:8], data[8*11+:8], data[8*12+:8], data[8*13+:8],
    data[8*14+:8], data[8*15+:8], data[8*16+:8], data[8*17+:8]
  };
  wire [15:0] head_cnt = {data[8*18+:8], data[8*19+:8]};

  reg  [ 2:0] state_q;
  reg         is_heartbeat_q;
  reg         is_end_q;
  reg  [15:0] blocks_q;
  reg         is_fresh_q;  // a message of the packet was new
  reg         is_number_bad_q;
  reg         is_known_number_q;  // and that is of this packet
  reg         is_other_session_q;
  reg  [63:0] apart_q;
  reg  [17:0] apart_less_1_q;
  reg  [17:0] apart_less_2_q;
  reg         was_taken_q;  // the other line's message, in the cycle in which apart_q was made
  reg         is_far_q;
  reg  [17:0] apart_other_q;
  reg         was_judged_q;  // ahead_q is of this cycle, apart_other_q is not

  reg         is_run_q;  // state_q is RUN and the packet is not too far ahead
  reg         is_unwanted_q;  // state_q is IDLE or one that skips
  reg         is_next_q;  // ahead_q is 0

  wire        is_old = ahead_q[17];
  wire        is_header = s_valid && kind == KIND_HEADER;
  wire        is_message = s_valid && kind == KIND_MESSAGE;
  wire        is_end = s_valid && kind == KIND_END;
  wire        has_blocks = !is_heartbeat_q && !is_end_q;
  wire        is_known = is_run_q && is_message && is_old && !is_other_chosen;  // ahead_q stands while apart_other_q is made
  wire        is_done = is_run_q && is_end && (has_blocks || is_next_q || is_old);
  wire        take_header = is_header && (is_unwanted_q || is_run_q);

  assign wants = is_run_q && is_message && is_next_q;
  assign is_ahead = is_run_q && (is_message || (is_end && !has_blocks)) && !is_next_q && !is_old;
  assign wants_join = state_q == DIFFER && !is_joined && is_known_number_q && !is_number_bad_q;
  assign s_ready = take_header || is_taken || is_known || is_done || (is_unwanted_q && (is_message || is_end));
  assign is_session_end = is_done && is_end_q && is_next_q;

  // how far ahead the next message will be, by what happens to this one: each case has its own sum, as the cause comes late
  wire [64:0] apart = {1'b0, seq_q} - {1'b0, expected};
  wire [15:0] apart_low = apart_q[15:0];
  // whether the difference is small follows from the highest 48 bits of both numbers, while it is being made
  reg         is_same_q;
  reg         is_above_q;  // seq_q has one more there
  reg         is_below_q;  // one less
  reg         is_borrow_q;
  wire [47:0] seq_high = seq_q[63:16];
  wire [47:0] expected_high = expected[63:16];
  wire        is_near_above = is_borrow_q ? is_above_q : is_same_q;
  wire        is_near_below = is_borrow_q ? is_same_q : is_below_q;

  // is a one more than b, without a carry chain: a bit changes where the one below it went from 1 to 0
  function is_one_more;
    input [47:0] a;
    input [47:0] b;
    is_one_more = (a ^ b ^ {~a[46:0] & b[46:0], 1'b1}) == 48'd0;
  endfunction
  wire [17:0] apart_0 = was_taken_q ? apart_less_1_q : apart_q[17:0];
  wire [17:0] apart_1 = was_taken_q ? apart_less_2_q : apart_less_1_q;
  reg         is_judge;  // state_q is JUDGE
  wire        is_near = is_far_q ? is_near_below : is_near_above;
  wire        is_close = !is_far_q && is_near_above && apart_low[15:2] == 14'd0;
  wire [17:0] apart_end = is_far_q ? AHEAD_MIN : AHEAD_MAX;
  // ahead_q means something in RUN: as it is or becomes there when nothing is taken (0), and when one of the other line is (1)
  wire [17:0] ahead_0 = is_judge ? (is_near ? apart_0 : apart_end) : is_jump ? 18'd0 :
      !is_other_jump ? ahead_q : apart_other_q[17] ? apart_other_q : AHEAD_MIN;
  wire [17:0] ahead_1 = is_judge ? (is_near ? apart_1 : apart_end) : ahead_q == AHEAD_MIN ? AHEAD_MIN : ahead_q - 18'd1;
  wire        is_next_0 = is_judge ? is_close && apart_low[1:0] == {1'b0, was_taken_q} : is_jump || (!is_other_jump && is_next_q);
  wire        is_next_1 = is_judge ? is_close && apart_low[1:0] == {was_taken_q, !was_taken_q} : ahead_q == 18'd1;
  reg  [31:0] jump_max_q;
  reg         has_jump_max_q;
  wire        is_too_far = has_jump_max_q && (apart_q[63:32] != 32'd0 || apart_q[31:0] > jump_max_q);
  wire        is_believable = !is_other_session_q && !is_number_bad_q;

  always @(posedge clk) begin
    jump_max_q     <= cfg_jump_max;
    has_jump_max_q <= cfg_jump_max != 32'd0;
    was_taken_q   <= is_other_taken;
    is_judge      <= state_q == DIFFER && is_joined && !is_other_jump && !rst && !is_restart;
    was_judged_q  <= is_judge;
    apart_other_q <= ahead_q - other_ahead;
    if (is_known) ahead_q <= is_other_taken ? ahead_q : ahead_q + 18'd1;
    else ahead_q <= is_other_taken ? ahead_1 : ahead_0;
    if (is_known) is_next_q <= !is_other_taken && ahead_q == 18'h3ffff;
    else is_next_q <= is_other_taken ? is_next_1 : is_next_0;
    case (state_q)
      DIFFER: begin
        if (is_joined) state_q <= JUDGE;
        else if (is_known_number_q && is_number_bad_q) begin
          state_q       <= SKIP_GAP;
          is_unwanted_q <= 1'b1;
        end
        is_other_session_q <= session_q != session;
        apart_q            <= apart[63:0];
        is_borrow_q        <= seq_q[15:0] < expected[15:0];
        is_same_q          <= seq_high == expected_high;
        is_above_q         <= is_one_more(seq_high, expected_high);
        is_below_q         <= is_one_more(expected_high, seq_high);
        apart_less_1_q     <= seq_q[17:0] - expected[17:0] - 18'd1;
        apart_less_2_q     <= seq_q[17:0] - expected[17:0] - 18'd2;
        is_far_q           <= apart[64];  // until JUDGE: the number is below the expected one
      end
      JUDGE: begin
        state_q       <= is_other_session_q ? SKIP_SESSION : is_number_bad_q ? SKIP_GAP : RUN;
        is_run_q      <= is_believable && (is_far_q || !is_too_far);
        is_unwanted_q <= !is_believable;
        is_far_q      <= !is_far_q && is_too_far;
      end
      RUN: begin
        if (is_far_q) begin
          state_q       <= SKIP_GAP;
          is_unwanted_q <= 1'b1;
        end
        is_far_q <= 1'b0;
        if (is_done) begin
          state_q       <= IDLE;
          is_run_q      <= 1'b0;
          is_unwanted_q <= 1'b1;
        end
      end
      default: if (is_end) begin
        state_q       <= IDLE;
        is_unwanted_q <= 1'b1;
      end
    endcase
    // the expected number has gone past what was compared with; else this line was not ahead, and is behind now
    if (is_other_jump && (state_q == DIFFER || state_q == JUDGE ||
                          (state_q == RUN && ((!is_old && !is_next_q) || was_judged_q)))) begin
      state_q       <= DIFFER;
      is_run_q      <= 1'b0;
      is_unwanted_q <= 1'b0;
    end

    if (is_taken) is_fresh_q <= 1'b1;
    is_number_bad_q <= seq_q == 64'd0 || (&seq_q[63:16] && {1'b0, seq_q[15:0]} + {1'b0, blocks_q} > 17'h0ffff);
    is_known_number_q <= state_q == DIFFER;
    if (take_header) begin
      state_q        <= DIFFER;
      is_run_q       <= 1'b0;
      is_unwanted_q  <= 1'b0;
      seq_q          <= head_seq;
      session_q      <= data[79:0];
      t_rx_q         <= data[8*24+:64];
      is_heartbeat_q <= head_cnt == `MOLDUDP64_MESSAGE_COUNT_HEARTBEAT;
      is_end_q       <= head_cnt == `MOLDUDP64_MESSAGE_COUNT_END_OF_SESSION;
      blocks_q       <= head_cnt == `MOLDUDP64_MESSAGE_COUNT_END_OF_SESSION ? 16'd0 : head_cnt;
      is_fresh_q     <= 1'b0;
      is_far_q       <= 1'b0;
    end

    pulse <= {`HWGW_LINE_CNT_W{1'b0}};
    pulse[`HWGW_LINE_CNT_MOLD_MESSAGES]     <= is_taken;
    pulse[`HWGW_LINE_CNT_MOLD_DUPLICATES]   <= is_known;
    pulse[`HWGW_LINE_CNT_MOLD_DROP_SESSION] <= is_end && state_q == SKIP_SESSION;
    pulse[`HWGW_LINE_CNT_MOLD_DROP_GAP]     <= is_end && state_q == SKIP_GAP;
    if (is_done) begin
      if (has_blocks ? is_fresh_q : is_next_q) pulse[`HWGW_LINE_CNT_MOLD_FRAMES] <= 1'b1;
      else pulse[`HWGW_LINE_CNT_MOLD_DROP_DUPLICATE] <= 1'b1;
      pulse[`HWGW_LINE_CNT_MOLD_HEARTBEATS] <= is_heartbeat_q && is_next_q;
      pulse[`HWGW_LINE_CNT_MOLD_ENDS]       <= is_end_q && is_next_q;
    end
    if (rst || is_restart) begin
      state_q       <= IDLE;
      is_run_q      <= 1'b0;
      is_unwanted_q <= 1'b1;
      pulse         <= {`HWGW_LINE_CNT_W{1'b0}};
    end
  end

endmodule

`default_nettype wire
