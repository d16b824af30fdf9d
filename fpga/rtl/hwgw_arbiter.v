// hwgw_arbiter: two lines to one stream of messages in sequence; the first copy of each number is taken.
//
// SPDX-License-Identifier: MIT
//
// Input: records of both lines, each with its kind as hwgw_hold gives it. Output: messages with their number, line and time stamp;
// never stalled.
// Arbitration is by message, never by packet, because lines need not be cut into the same packets. The first good packet sets
// session and number. A line that is ahead of the expected number waits for the other one to fill the hole: up to
// cfg_hold_cycles, until its own store is half full, or until the other line is ahead as well. Then the hole is a gap (gaps + 1,
// missing + its width), delivery goes on behind it at the line that is less far ahead, and the state is gapped until
// cmd_repair. Late copies are counted in mold.duplicates of their line, first ones in its mold.messages.
// Cost: a message per cycle; a copy leaves its line in the cycle in which the other one delivers, be it that message or another.
// Two lines that both bring nothing but 12-byte messages at line rate, and never the same ones, would need 1.14 cycles per cycle.
// Latency: 1 cycle.
`default_nettype none
`include "hwgw_specs.vh"

module hwgw_arbiter #(
    parameter DATA_SZ = `ITCH50_TRADE_NON_CROSS_LEN,
    parameter RECORD_W = 8 * DATA_SZ + 8
) (
    input  wire                           clk,
    input  wire [                   31:0] cfg_jump_max,
    input  wire [                   15:0] cfg_hold_cycles,
    input  wire                           cmd_restart,
    input  wire                           cmd_repair,
    input  wire [           RECORD_W-1:0] s_a_record,
    input  wire [                    3:0] s_a_kind,
    input  wire                           s_a_valid,
    output wire                           s_a_ready,
    input  wire                           s_a_tight,
    input  wire [           RECORD_W-1:0] s_b_record,
    input  wire [                    3:0] s_b_kind,
    input  wire                           s_b_valid,
    output wire                           s_b_ready,
    input  wire                           s_b_tight,
    output reg  [          8*DATA_SZ-1:0] m_data,
    output reg  [                    7:0] m_code_n,  // its first byte, inverted
    output reg  [                    5:0] m_len,
    output reg  [                   63:0] m_seq,
    output reg                            m_line,
    output reg  [                   63:0] m_t_rx,
    output reg                            m_valid,
    output wire [                   63:0] next_seq,
    output wire [                   79:0] session,
    output reg  [                    2:0] state,
    output wire [   `HWGW_LINE_CNT_W-1:0] pulse_a,
    output wire [   `HWGW_LINE_CNT_W-1:0] pulse_b,
    output reg                            pulse_gap,
    output reg  [                   63:0] missing,
    input  wire                           rst
);

  localparam [2:0] STATE_WAITING = 3'd0;
  localparam [2:0] STATE_GOOD = 3'd1;
  localparam [2:0] STATE_GAPPED = 3'd2;
  localparam [2:0] STATE_ENDED = 3'd4;

  reg  [63:0] expected_q;
  reg         is_carry_q;  // its lowest 32 bits are 1; of a number that was just joined a cycle later, before which nothing is taken
  reg         is_jump_carry_q;  // those of jump_seq_q
  reg  [31:0] high_more_q;  // the highest 32 bits and 1; right when is_carry_q is
  reg  [79:0] session_q;
  reg         is_joined_q;
  reg         is_lost_q;
  reg         is_ended_q;

  wire a_wants, a_is_ahead, a_wants_join, a_is_session_end, b_wants, b_is_ahead, b_wants_join, b_is_session_end;
  wire [17:0] a_ahead, b_ahead;
  wire a_is_remote, b_is_remote;
  wire [63:0] a_seq, a_t_rx, b_seq, b_t_rx;
  wire [79:0] a_session, b_session;

  // ---- a hole is given up in two steps, in which nothing is delivered, and no known copy of the other line skipped ----

  reg         is_measuring_q;
  reg         is_jumping_q;
  reg         is_a_jumping_q, is_b_jumping_q;  // of which line
  reg         is_b_q;  // of the two, the line whose number becomes the expected one
  reg  [15:0] waited_q;
  reg  [63:0] jump_seq_q;  // the number of that line
  reg  [32:0] apart_q;  // less the expected one; no carry chain is longer than 32 bits
  reg         is_busy_q;  // is_measuring_q or is_jumping_q
  reg         is_over_q;  // waited_q is cfg_hold_cycles or more
  reg         is_never_q;  // cfg_hold_cycles is 0
  reg  [15:0] hold_last_q;  // or this and 1
  reg         is_b_nearer_q;  // a line that is ahead is so with the first message of its packet, and its header came 3 cycles ago
  reg  [ 1:0] is_b_below_q;  // 32 bits each
  reg         is_same_q;  // the highest of them

  wire a_gives_up = a_is_ahead && (is_over_q || s_a_tight || b_is_ahead);
  wire b_gives_up = b_is_ahead && (is_over_q || s_b_tight || a_is_ahead);
  wire is_giving_up = !is_busy_q && (a_gives_up || b_gives_up);
  wire is_still_ahead = is_b_q ? b_is_ahead : a_is_ahead;
  wire is_waiting = (a_is_ahead || b_is_ahead) && !is_busy_q;

  wire take_a = a_wants && !is_busy_q;
  wire take_b = b_wants && !is_busy_q;  // if both, they are copies: that of line A goes on
  wire is_from_b = b_wants && !a_wants;  // chooses what is wide, and does nothing else, as it goes far
  wire [63:0] jump_seq = is_b_q ? b_seq : a_seq;
  wire is_join = !is_joined_q && (a_wants_join || b_wants_join);

  always @(posedge clk) begin
    waited_q       <= is_waiting ? waited_q + 16'd1 : 16'd0;  // is_over_q ends it before it wraps
    is_never_q     <= cfg_hold_cycles == 16'd0;
    hold_last_q    <= cfg_hold_cycles - 16'd1;
    is_over_q      <= is_never_q || (is_waiting && waited_q >= hold_last_q);
    is_b_below_q   <= {b_seq[63:32] < a_seq[63:32], b_seq[31:0] < a_seq[31:0]};
    is_same_q      <= b_seq[63:32] == a_seq[63:32];
    is_b_nearer_q  <= is_b_below_q[1] || (is_same_q && is_b_below_q[0]);
    is_measuring_q <= is_giving_up;
    is_jumping_q   <= is_measuring_q && is_still_ahead;
    is_a_jumping_q <= is_measuring_q && !is_b_q && a_is_ahead;
    is_b_jumping_q <= is_measuring_q && is_b_q && b_is_ahead;
    is_busy_q      <= is_giving_up || (is_measuring_q && is_still_ahead);
    if (!is_busy_q) is_b_q <= b_gives_up && (!a_gives_up || is_b_nearer_q);
    jump_seq_q <= jump_seq;
    is_jump_carry_q <= &jump_seq[31:0];
    is_carry_q      <= is_jumping_q ? is_jump_carry_q : &expected_q[31:1] && expected_q[0] == !(take_a || take_b);
    apart_q    <= {1'b0, jump_seq[31:0]} - {1'b0, expected_q[31:0]};
    pulse_gap  <= is_jumping_q;
    missing    <= {jump_seq_q[63:32] - expected_q[63:32] - {31'd0, apart_q[32]}, apart_q[31:0]};

    high_more_q <= (is_jumping_q ? jump_seq_q[63:32] : expected_q[63:32]) + 32'd1;
    if (is_jumping_q || is_join) expected_q <= is_jumping_q ? jump_seq_q : a_wants_join ? a_seq : b_seq;
    else if (take_a || take_b) begin
      expected_q[31:0] <= expected_q[31:0] + 32'd1;
      if (is_carry_q) expected_q[63:32] <= high_more_q;
    end
    if (is_join) begin
      is_joined_q <= 1'b1;
      session_q   <= a_wants_join ? a_session : b_session;
    end

    is_lost_q  <= is_jumping_q || (is_lost_q && !cmd_repair);
    is_ended_q <= is_ended_q || a_is_session_end || b_is_session_end;
    state      <= !is_joined_q ? STATE_WAITING : is_ended_q ? STATE_ENDED : is_lost_q ? STATE_GAPPED : STATE_GOOD;

    m_valid <= take_a || take_b;
    if (s_a_valid || s_b_valid) begin
      m_data <= is_from_b ? s_b_record[RECORD_W-1:8] : s_a_record[RECORD_W-1:8];
      m_code_n <= ~(is_from_b ? s_b_record[15:8] : s_a_record[15:8]);
      m_len  <= is_from_b ? s_b_record[7:2] : s_a_record[7:2];
      m_seq  <= expected_q;
      m_line <= is_from_b;
      m_t_rx <= is_from_b ? b_t_rx : a_t_rx;
    end

    if (rst || cmd_restart) begin
      is_measuring_q <= 1'b0;
      is_jumping_q   <= 1'b0;
      is_a_jumping_q <= 1'b0;
      is_b_jumping_q <= 1'b0;
      is_busy_q      <= 1'b0;
      is_over_q      <= 1'b0;
      waited_q       <= 16'd0;
      expected_q     <= 64'd0;
      is_carry_q     <= 1'b0;
      session_q      <= 80'd0;
      is_joined_q    <= 1'b0;
      is_lost_q      <= 1'b0;
      is_ended_q     <= 1'b0;
      pulse_gap      <= 1'b0;
      state          <= STATE_WAITING;
      m_valid        <= 1'b0;
    end
  end

  assign next_seq = expected_q;
  assign session  = session_q;

  hwgw_line #(
      .DATA_SZ(DATA_SZ)
  ) u_a (
      .clk           (clk),
      .cfg_jump_max  (cfg_jump_max),
      .s_record      (s_a_record),
      .s_kind        (s_a_kind),
      .s_ready       (s_a_ready),
      .expected      (expected_q),
      .is_joined     (is_joined_q),
      .session       (session_q),
      .is_restart    (cmd_restart),
      .is_held       (is_busy_q),
      .is_taken      (take_a),
      .is_other_taken(take_b),
      .is_jump       (is_a_jumping_q),
      .is_other_jump (is_b_jumping_q),
      .other_ahead   (b_ahead),
      .is_other_remote(b_is_remote),
      .wants         (a_wants),
      .is_ahead      (a_is_ahead),
      .ahead_q       (a_ahead),
      .is_remote_q   (a_is_remote),
      .wants_join    (a_wants_join),
      .is_session_end(a_is_session_end),
      .seq_q         (a_seq),
      .session_q     (a_session),
      .t_rx_q        (a_t_rx),
      .pulse         (pulse_a),
      .rst           (rst)
  );

  hwgw_line #(
      .DATA_SZ(DATA_SZ)
  ) u_b (
      .clk           (clk),
      .cfg_jump_max  (cfg_jump_max),
      .s_record      (s_b_record),
      .s_kind        (s_b_kind),
      .s_ready       (s_b_ready),
      .expected      (expected_q),
      .is_joined     (is_joined_q),
      .session       (session_q),
      .is_restart    (cmd_restart),
      .is_held       (is_busy_q),
      .is_taken      (is_from_b && !is_busy_q),
      .is_other_taken(take_a),
      .is_jump       (is_b_jumping_q),
      .is_other_jump (is_a_jumping_q),
      .other_ahead   (a_ahead),
      .is_other_remote(a_is_remote),
      .wants         (b_wants),
      .is_ahead      (b_is_ahead),
      .ahead_q       (b_ahead),
      .is_remote_q   (b_is_remote),
      .wants_join    (b_wants_join),
      .is_session_end(b_is_session_end),
      .seq_q         (b_seq),
      .session_q     (b_session),
      .t_rx_q        (b_t_rx),
      .pulse         (pulse_b),
      .rst           (rst)
  );

endmodule

`default_nettype wire
