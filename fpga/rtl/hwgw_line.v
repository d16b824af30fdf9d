// hwgw_line: one line in front of the arbiter: where its next record stands against the expected sequence number.
//
// SPDX-License-Identifier: MIT
//
// Input: records of hwgw_hold; what the arbiter expects and does. Output: what the record at the head is, and when it is
// taken. Instead of comparing 64-bit numbers for every message, the line keeps how far its next message is from the expected
// one (ahead_q) and counts along, and beside it whether that is due, old or in front of it, as this is all that a record waits for.
// The full comparison is made once per packet, in the two cycles after its header: the difference, then what it means. A first
// message of less than 19 bytes has arrived by then and waits a cycle, or two if it is shorter than 11; the packet that sets
// session and number takes two more. What arrives while another record waits goes through the RAM of hwgw_hold.
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
    input  wire [                 3:0] s_kind,  // one bit, or none: there is no record
    output wire                        s_ready,
    // the arbiter
    input  wire [                63:0] expected,
    input  wire                        is_joined,
    input  wire [                79:0] session,
    input  wire                        is_restart,
    input  wire                        is_held,  // a hole is being given up: no number moves but by the jump
    input  wire                        is_taken,  // the message at the head goes to the decoder; else it is a copy, if it leaves
    input  wire                        is_other_taken,  // one of the other line leaves with the expected number, maybe the same
    input  wire                        is_jump,  // the expected number becomes this line's
    input  wire                        is_other_jump,  // it becomes the other's, which was that far ahead in the cycle before
    input  wire [                17:0] other_ahead,
    input  wire                        is_other_remote,
    output wire                        wants,  // a message with the expected number is at the head
    output wire                        is_ahead,  // what is at the head is behind a hole
    output reg  [                17:0] ahead_q,  // two's complement
    output reg                         is_remote_q,  // more than 2^16 ahead or behind: ahead_q means nothing
    output reg                         wants_join,
    output wire                        is_session_end,  // pulse: an end of session packet was used
    output reg  [                63:0] seq_q,  // of the first message of the packet
    output reg  [                79:0] session_q,
    output reg  [                63:0] t_rx_q,
    output reg  [`HWGW_LINE_CNT_W-1:0] pulse,
    input  wire                        rst
);

  localparam KIND_HEADER = 1;
  localparam KIND_MESSAGE = 2;
  localparam KIND_END = 3;

  wire [RECORD_W-9:0] data = s_record[RECORD_W-1:8];
  wire                unused_bytes = &{1'b0, s_record[7:0], s_kind[0], data};
  wire [        63:0] head_seq = {
    data[8*10+:8], data[8*11+:8], data[8*12+:8], data[8*13+:8],
    data[8*14+:8], data[8*15+:8], data[8*16+:8], data[8*17+:8]
  };
  wire [15:0] head_cnt = {data[8*18+:8], data[8*19+:8]};
  wire        head_is_heartbeat = head_cnt == `MOLDUDP64_MESSAGE_COUNT_HEARTBEAT;
  wire        head_is_end = head_cnt == `MOLDUDP64_MESSAGE_COUNT_END_OF_SESSION;

  // ---- the state: one of these six; a record at the head waits for few of them, so each is a register ----

  reg         is_unwanted_q;  // behind a packet, or in the rest of one that is not wanted
  reg         is_differ_q;  // behind a header: its number less the expected one is made
  reg         is_judge_q;  // and is it believable
  reg         is_due_q;  // in a packet, whose next message has the expected number
  reg         is_old_q;  // or a lower one
  reg         is_front_q;  // or a higher one
  // what a record at the head waits for, of these: made with them, so that s_ready is soon there
  reg         is_not_front_q;  // is_due_q or is_old_q: a message may go
  reg         is_end_free_q;  // or in front with no heartbeat, for a cycle at least: the end may go

  reg         is_asking_q;  // of the two behind a header, or in the cycle behind: no header is taken
  reg         is_far_q;  // in front, and further than cfg_jump_max: for a cycle, in which nothing is done, then it is not wanted
  reg         is_skip_session_q;  // why the packet is not wanted, until its end
  reg         is_skip_gap_q;

  // of the packet
  reg         is_heartbeat_q;
  reg         is_end_q;
  reg         has_blocks_q;
  reg         is_fresh_q;  // a message of it was new, but for that of the cycle before
  reg         was_taken_q;  // which was
  wire        is_fresh = is_fresh_q || was_taken_q;
  reg  [ 3:0] is_none_q;  // its number is 0, 16 bits each
  reg  [ 2:0] is_full_q;  // the highest bits of it are 1
  reg         is_past_q;  // then its last one is no number any more, if it has messages
  wire        is_number_bad = &is_none_q || (&is_full_q && is_past_q && !is_end_q);
  reg         is_number_bad_q;
  reg         is_known_number_q;  // and that is of this packet
  reg  [ 4:0] is_other_session_q;  // two bytes each

  // for the counters, of the cycle before
  reg         was_left_q, was_session_q, was_gap_q, was_done_q, was_used_q, was_beat_q, was_end_q;

  // ---- the record at the head ----

  wire        is_header = s_kind[KIND_HEADER];
  wire        is_message = s_kind[KIND_MESSAGE];
  wire        is_end = s_kind[KIND_END];
  wire        is_known = is_old_q && is_message && !is_held;
  wire        is_leaving = is_not_front_q && is_message && !is_held;  // with the expected number, or an old one
  wire        is_done = is_end && is_end_free_q;
  wire        take_header = is_header && !is_asking_q;

  assign wants = is_due_q && is_message;
  assign is_ahead = is_front_q && !is_far_q && (is_message || (is_end && !has_blocks_q));
  assign s_ready = take_header || is_leaving || is_done || (is_unwanted_q && (is_message || is_end));
  assign is_session_end = is_done && is_end_q && is_due_q;

  // ---- the difference, and what it means ----

  // No carry chain is longer than 32 bits: what the higher ones say follows from groups of 16 that are the same in both numbers, or
  // one more, or one less; in those a bit changes where the one below it goes from 1 to 0, or from 0 to 1.
  wire [32:0] apart = {1'b0, seq_q[31:0]} - {1'b0, expected[31:0]};
  wire [17:0] apart_less = ~(expected[17:0] - seq_q[17:0]);  // one less
  wire [63:0] same = ~(seq_q ^ expected);
  wire [62:16] falls = ~seq_q[62:16] & expected[62:16];
  wire [14:0] falls_low = ~seq_q[14:0] & expected[14:0];
  wire [62:16] rises = seq_q[62:16] & ~expected[62:16];
  wire [47:0] above = same[63:16] ^ {falls, 1'b1};  // of the highest 48 bits
  wire [47:0] below = same[63:16] ^ {rises, 1'b1};
  reg  [31:0] apart_q;
  reg  [17:0] near_q;  // the lowest bits, less what is taken of the other line in that cycle
  reg         is_borrow_q;  // of the lowest 32 bits
  reg         is_low_borrow_q;  // of the lowest 16
  reg         is_high_below_q;  // the highest 32 bits are below those of the expected number
  reg  [ 2:0] is_same_q;
  reg  [ 2:0] is_above_q;
  reg  [ 2:0] is_below_q;
  reg         is_next_above_q;  // the 16 bits from 32 on, as the lowest of the highest 32
  wire        is_behind = is_high_below_q || (is_same_q[2] && is_same_q[1] && is_borrow_q);  // the number is below the expected one
  wire        is_wide = is_borrow_q ? !is_above_q[2] || !is_next_above_q : !is_same_q[2] || !is_same_q[1];  // apart by 2^32 and more
  // near: not more than 2^16 apart
  wire        is_near_above = is_low_borrow_q ? &is_above_q : &is_same_q;  // it is the same, or above
  wire        is_near_below = is_low_borrow_q ? &is_same_q : &is_below_q;

  // of the lowest 16 bits: 0, 1 or 2 more than expected
  wire [15:0] is_0_more = same[15:0];
  wire [15:0] is_1_more = same[15:0] ^ {falls_low, 1'b1};
  wire [15:0] is_2_more = same[15:0] ^ {falls_low[14:1], 2'b10};
  // when it is judged, in halves; a number 2 more than expected, of which one was taken meanwhile, is judged as 2 more
  reg  [ 1:0] is_0_q, is_1_q;

  reg  [31:0] jump_max_q;
  reg         has_jump_max_q;
  reg         is_jump_max_1_q;
  wire        is_more = apart_q[31:16] > jump_max_q[31:16] ||
                        (apart_q[31:16] == jump_max_q[31:16] && apart_q[15:0] > jump_max_q[15:0]);
  wire        is_too_far = has_jump_max_q && !is_behind && (is_wide || is_more);
  wire        is_other_session = |is_other_session_q;
  wire        is_believable = !is_other_session && !is_number_bad_q;

  // ---- how far ahead the next message is; made for each of what may happen in this cycle, as that is known late ----

  // 0: nothing of the other line is taken, 1: a message of it is. A line far behind counts no further down, so that a packet's
  // messages do not lift it to the expected number.
  reg  [17:0] apart_other_q;
  wire        is_low = ahead_q[17:16] == 2'b10;
  wire [17:0] ahead_more = ahead_q + 18'd1;
  wire [17:0] ahead_less = ahead_q - 18'd1;
  // No choice between ahead_q and others, of which an enable would be made, late and wide. What no record decides comes first:
  // is_judge_q, and who jumps; in these cycles none is known. A number that is far away may count on when it is judged.
  wire        is_same = !is_judge_q && !is_jump && !is_other_jump;
  wire [17:0] near_less = near_q - 18'd1;
  wire [17:0] ahead_same = ({18{is_judge_q}} & near_q) | ({18{is_same}} & ahead_q) |
                           ({18{is_other_jump && !is_jump && !is_judge_q}} & apart_other_q);  // none of these: 0
  wire [17:0] ahead_0 = is_known ? ahead_more : ahead_same;
  wire        is_same_1 = is_low || (is_not_front_q && is_message);  // if not is_judge_q
  wire [17:0] ahead_1 = ({18{is_judge_q}} & near_less) | ({18{!is_judge_q && is_same_1}} & ahead_q) |
                        ({18{!is_judge_q && !is_same_1}} & ahead_less);

  // of the same, whether it is due, old or in front; what is small was close to 0 in the cycle before, and moves by one
  reg         is_small_q;
  wire        is_last = is_small_q && &ahead_q[2:0];  // of the old ones
  wire        is_first = is_small_q && is_front_q && ahead_q[1:0] == 2'd1;  // of those in front
  wire        is_not_ahead = is_near_above && (near_q[17] || &is_0_q);  // when it is judged
  wire        is_due_0 = (is_judge_q && is_near_above && &is_0_q) || (is_known && is_last) || (is_due_q && !is_other_jump) || is_jump;
  wire        is_due_1 = (is_judge_q && is_near_above && &is_1_q) || (is_due_q && is_message) || is_first;
  wire        is_old_0 = (is_judge_q && (is_behind || (is_near_above && near_q[17]))) || (is_old_q && !(is_known && is_last)) ||
                         (is_due_q && is_other_jump);
  wire        is_old_1 = (is_judge_q && (is_behind || is_not_ahead)) || is_old_q || (is_due_q && !is_message);
  wire        is_front_0 = (is_judge_q && !is_behind && !is_not_ahead) || (is_front_q && !is_jump);
  wire        is_front_1 = (is_judge_q && !is_behind && !is_not_ahead && !(is_near_above && &is_1_q)) || (is_front_q && !is_first);
  wire        is_not_front_0 = (is_judge_q && (is_behind || is_not_ahead)) || is_not_front_q || is_jump;
  wire        is_not_front_1 = (is_judge_q && (is_behind || is_not_ahead || (is_near_above && &is_1_q))) || is_not_front_q || is_first;

  function is_small;  // by all but its lowest two bits
    input [15:0] number;
    is_small = number == 16'd0 || &number;
  endfunction

  wire        is_lost = is_other_remote || !apart_other_q[17];  // the other line jumps so far that apart_other_q is not right
  wire        is_near = is_behind ? is_near_below : is_near_above;

  // the head ends the packet, or the packet is not to be used
  wire        is_left = is_judge_q ? !is_believable : is_far_q || is_header || is_done;
  // the expected number has gone past what was compared with; else this line was not ahead, and is behind now
  reg         was_judged_q;  // ahead_q is of this cycle, apart_other_q is not
  wire        is_again = is_other_jump && !is_unwanted_q && (is_differ_q || is_judge_q || is_front_q || was_judged_q);
  wire        is_refused = is_differ_q && !is_joined && is_known_number_q && is_number_bad_q;

  integer k;

  always @(posedge clk) begin
    jump_max_q      <= cfg_jump_max;
    has_jump_max_q  <= cfg_jump_max != 32'd0;
    is_jump_max_1_q <= cfg_jump_max == 32'd1;
    was_judged_q    <= is_judge_q;
    has_blocks_q    <= !is_heartbeat_q && !is_end_q;  // of a header in the cycle in which it is compared, before which nobody asks
    apart_other_q   <= ahead_q - other_ahead;

    ahead_q    <= is_other_taken ? ahead_1 : ahead_0;
    is_due_q   <= is_other_taken ? is_due_1 : is_due_0;
    is_old_q   <= is_other_taken ? is_old_1 : is_old_0;
    is_front_q <= is_other_taken ? is_front_1 : is_front_0;
    is_not_front_q <= is_other_taken ? is_not_front_1 : is_not_front_0;
    is_end_free_q  <= (is_other_taken ? is_not_front_1 : is_not_front_0) || (is_front_q && has_blocks_q);
    if (is_left || is_again) begin
      is_due_q       <= 1'b0;
      is_old_q       <= 1'b0;
      is_front_q     <= 1'b0;
      is_not_front_q <= 1'b0;
      is_end_free_q  <= 1'b0;
    end
    if (is_judge_q) begin
      is_remote_q <= !is_near;
      is_small_q  <= is_near && is_small(near_q[17:2]);
    end else if (is_other_jump) begin
      is_remote_q <= is_remote_q || is_lost;
      is_small_q  <= !is_remote_q && !is_lost && is_small(apart_other_q[17:2]);
    end else begin
      is_remote_q <= is_remote_q && !is_jump;
      is_small_q  <= !is_remote_q && is_small(ahead_q[17:2]);
    end

    is_asking_q   <= take_header || is_again || is_differ_q || is_judge_q;
    is_differ_q   <= take_header || is_again || (is_differ_q && !is_joined && !is_refused);
    is_judge_q    <= is_differ_q && is_joined && !is_again;
    is_far_q      <= is_judge_q && is_believable && is_too_far && !is_again;
    is_unwanted_q <= (is_unwanted_q && !take_header) || is_refused ||
                     (!is_again && ((is_judge_q && !is_believable) || is_far_q || is_done));
    is_skip_session_q <= (is_judge_q && is_other_session && !is_again) || (is_skip_session_q && !is_end && !take_header);
    is_skip_gap_q     <= (is_judge_q && is_number_bad_q && !is_other_session && !is_again) || (is_far_q && !is_again) ||
                         is_refused || (is_skip_gap_q && !is_end && !take_header);

    if (is_differ_q) begin
      apart_q         <= apart[31:0];
      near_q          <= is_other_taken ? apart_less : apart[17:0];
      is_borrow_q     <= apart[32];
      is_low_borrow_q <= seq_q[15:0] < expected[15:0];
      is_high_below_q <= seq_q[63:32] < expected[63:32];
      is_next_above_q <= &(same[47:32] ^ {falls[46:32], 1'b1});
      for (k = 0; k < 2; k = k + 1) begin
        is_0_q[k] <= is_other_taken ? &is_1_more[8*k+:8] : &is_0_more[8*k+:8];
        is_1_q[k] <= is_other_taken ? &is_2_more[8*k+:8] && !is_jump_max_1_q : &is_1_more[8*k+:8];
      end
      for (k = 0; k < 3; k = k + 1) begin
        is_same_q[k]  <= &same[16*k+16+:16];
        is_above_q[k] <= &above[16*k+:16];
        is_below_q[k] <= &below[16*k+:16];
      end
      for (k = 0; k < 5; k = k + 1) is_other_session_q[k] <= session_q[16*k+:16] != session[16*k+:16];
    end

    was_taken_q <= is_taken;
    if (was_taken_q) is_fresh_q <= 1'b1;
    wants_join        <= is_differ_q && !is_joined && !is_number_bad;
    is_number_bad_q   <= is_number_bad;
    is_known_number_q <= is_differ_q;
    if (take_header) begin
      seq_q          <= head_seq;
      session_q      <= data[79:0];
      t_rx_q         <= data[8*24+:64];
      is_heartbeat_q <= head_is_heartbeat;
      is_end_q       <= head_is_end;
      for (k = 0; k < 4; k = k + 1) is_none_q[k] <= head_seq[16*k+:16] == 16'd0;
      for (k = 0; k < 3; k = k + 1) is_full_q[k] <= &head_seq[16*k+16+:16];
      is_past_q      <= {1'b0, head_seq[15:0]} + {1'b0, head_cnt} > 17'h0ffff;
      is_fresh_q     <= 1'b0;  // a header is behind the end, so nothing was taken in the cycle before
    end

    // counted a cycle later than seen: what is seen goes no further than here
    was_left_q    <= is_leaving;
    was_session_q <= is_end && is_skip_session_q;
    was_gap_q     <= is_end && is_skip_gap_q;
    was_done_q    <= is_done;
    was_used_q    <= has_blocks_q ? is_fresh : is_due_q;
    was_beat_q    <= is_heartbeat_q && is_due_q;
    was_end_q     <= is_end_q && is_due_q;
    pulse <= {`HWGW_LINE_CNT_W{1'b0}};
    pulse[`HWGW_LINE_CNT_MOLD_MESSAGES]       <= was_taken_q;
    pulse[`HWGW_LINE_CNT_MOLD_DUPLICATES]     <= was_left_q && !was_taken_q;
    pulse[`HWGW_LINE_CNT_MOLD_DROP_SESSION]   <= was_session_q;
    pulse[`HWGW_LINE_CNT_MOLD_DROP_GAP]       <= was_gap_q;
    pulse[`HWGW_LINE_CNT_MOLD_FRAMES]         <= was_done_q && was_used_q;
    pulse[`HWGW_LINE_CNT_MOLD_DROP_DUPLICATE] <= was_done_q && !was_used_q;
    pulse[`HWGW_LINE_CNT_MOLD_HEARTBEATS]     <= was_done_q && was_beat_q;
    pulse[`HWGW_LINE_CNT_MOLD_ENDS]           <= was_done_q && was_end_q;
    if (rst || is_restart) begin
      is_unwanted_q     <= 1'b1;
      is_asking_q       <= 1'b0;
      is_differ_q       <= 1'b0;
      is_judge_q        <= 1'b0;
      is_due_q          <= 1'b0;
      is_old_q          <= 1'b0;
      is_front_q        <= 1'b0;
      is_not_front_q    <= 1'b0;
      is_end_free_q     <= 1'b0;
      is_far_q          <= 1'b0;
      wants_join        <= 1'b0;
      is_skip_session_q <= 1'b0;
      is_skip_gap_q     <= 1'b0;
      was_taken_q       <= 1'b0;
      was_left_q        <= 1'b0;
      was_session_q     <= 1'b0;
      was_gap_q         <= 1'b0;
      was_done_q        <= 1'b0;
      pulse             <= {`HWGW_LINE_CNT_W{1'b0}};
    end
  end

endmodule

`default_nettype wire
