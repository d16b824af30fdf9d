// fv_frame: hwgw_frame under any packets, any commands, any clock, with a MAC and a host that take when they like.
//
// SPDX-License-Identifier: MIT
//
// What is lent is followed at the ports alone: a loan is one that is out a cycle after cmd_lend; a renewal is one that was not
// refused. One command comes per cycle. What is called invariant is what induction needs besides; it is proven along.
// RULE_LOAN  a frame begins only with a record that says sent, a cycle after its packet was taken; then a loan was out that had
//            not expired by the clock of the cycle before, the halt was low or the packet a cancel, and the packet's bytes took
//            the next numbers of the loan, all of them before its end
// RULE_ONCE  each packet that is taken becomes one record, in order; a frame begins with each record that says sent, and the next
//            packet is not taken before its last beat was
`default_nettype none
`include "hwgw_specs.vh"

module fv_frame (
    input wire         clk,
    input wire         rst,
    input wire [ 63:0] now,
    input wire         halt,
    input wire         template_we,
    input wire [  3:0] template_word,
    input wire [ 31:0] template_data,
    input wire [ 31:0] loan_seq,
    input wire [ 31:0] loan_end,
    input wire [ 63:0] loan_expiry,
    input wire         cmd_lend,
    input wire         cmd_renew,
    input wire         cmd_return,
    input wire [  7:0] mark,
    input wire [  5:0] len,
    input wire         is_good,
    input wire         is_cancel,
    input wire         valid,
    input wire         mac_ready,
    input wire         host_ready
);

  localparam [31:0] LOAN_MAX = 32'h40000000;
  localparam PACKET_W = 64;

  wire         s_ready, m_valid, m_last, sent_valid, is_out, is_busy, refused;
  wire [ 31:0] loan_next;
  wire [511:0] sent;

  hwgw_frame #(.PACKET_W(PACKET_W)) dut (
      .clk(clk), .now(now), .halt(halt), .cmd_template_data(template_we), .cfg_template_word(template_word),
      .cfg_template_data(template_data), .cfg_loan_seq(loan_seq), .cfg_loan_end(loan_end), .cfg_loan_ack(32'd0),
      .cfg_loan_window(16'd0), .cfg_loan_expiry(loan_expiry), .cmd_lend(cmd_lend), .cmd_renew(cmd_renew),
      .cmd_return(cmd_return), .s_packet({56'd0, mark}), .s_len(len), .s_is_good(is_good), .s_is_cancel(is_cancel),
      .s_valid(valid), .s_ready(s_ready), .m_axis_tdata(), .m_axis_tkeep(), .m_axis_tvalid(m_valid),
      .m_axis_tready(mac_ready), .m_axis_tlast(m_last), .m_axis_sent_tdata(sent), .m_axis_sent_tvalid(sent_valid),
      .m_axis_sent_tready(host_ready), .loan_is_out(is_out), .is_busy(is_busy), .loan_next(loan_next),
      .pulse_refused(refused), .rst(rst)
  );

  wire [ 7:0] outcome = sent[8*`HWGW_SENT_OUTCOME_OFF+:8];
  wire [31:0] seq = sent[8*`HWGW_SENT_SEQ_OFF+:32];
  wire [ 5:0] sent_len = sent[8*`HWGW_SENT_LENGTH_OFF+:6];

  // ---- the loan as the host knows it ----

  reg         has_begun = 1'b0;
  reg  [31:0] end_q, new_end_q, next_q;  // of the loan that is or was out last
  reg  [63:0] expiry_q, new_expiry_q;
  reg  [31:0] new_seq_q;
  reg         has_lent_q, has_renewed_q;  // in the cycle before
  reg         was_out_q;
  reg         was_late_q;                // the loan had expired by the clock of the cycle before
  wire        is_lent_now = has_lent_q && is_out;
  wire        is_renewed_now = has_renewed_q && !refused;
  wire [31:0] loan_end_now = is_lent_now || is_renewed_now ? new_end_q : end_q;
  wire [63:0] expiry_now = is_lent_now || is_renewed_now ? new_expiry_q : expiry_q;
  wire [31:0] next_now = is_lent_now ? new_seq_q : next_q;
  wire        take = valid && s_ready;

  // ---- the packet that was taken in the cycle before ----

  reg         taken_q, was_good_q, was_cancel_q, was_halted_q, was_lent_q, was_expired_q;
  reg  [ 5:0] len_q;
  reg  [ 7:0] mark_q;
  reg  [31:0] end_then_q, next_then_q;
  reg         m_valid_q, was_end_q;
  wire [31:0] room = end_then_q - next_then_q;
  wire        is_sent = outcome == `HWGW_SENT_OUTCOME_SENT;
  wire        begins = m_valid && (!m_valid_q || was_end_q);

  always @(posedge clk) begin
    has_begun <= 1'b1;
    assume (rst == !has_begun);
    if (rst) assume (!cmd_lend && !cmd_renew);
    assume ({2'd0, cmd_lend} + {2'd0, cmd_renew} + {2'd0, cmd_return} + {2'd0, template_we} < 3'd2);

    has_lent_q    <= cmd_lend && !is_out && !rst;
    has_renewed_q <= cmd_renew && is_out && !rst;
    {new_seq_q, new_end_q, new_expiry_q} <= {loan_seq, loan_end, loan_expiry};
    end_q    <= loan_end_now;
    expiry_q <= expiry_now;
    next_q   <= next_true;
    was_late_q <= now >= expiry_now;

    taken_q       <= take && !rst;
    was_good_q    <= is_good;
    was_cancel_q  <= is_cancel;
    was_halted_q  <= halt;
    was_lent_q    <= is_out;
    was_expired_q <= was_late_q;
    len_q         <= len;
    mark_q        <= mark;
    end_then_q    <= loan_end_now;
    next_then_q   <= next_true;
    m_valid_q     <= m_valid && !rst;
    was_end_q     <= m_valid && m_last && mac_ready;
  end

  wire [31:0] next_true = taken_q && is_sent ? next_now + {26'd0, len_q} : next_now;

`ifdef RULE_LOAN
  wire [31:0] dut_end_q;
  wire [63:0] dut_expiry_q;
  wire        dut_is_over_q, dut_is_new_q, dut_is_left_wide_q, dut_is_left_bad_q;
  wire [ 5:0] dut_left_q;
  wire [31:0] left = loan_end_now - next_true;

  always @(posedge clk)
    if (!rst && has_begun) begin
      if (begins) assert (taken_q && sent_valid && is_sent);
      if (taken_q && is_sent) begin
        assert (was_lent_q && was_good_q && (!was_halted_q || was_cancel_q) && !was_expired_q);
        assert (seq == next_then_q && sent_len == len_q && len_q != 6'd0);
        assert ({26'd0, len_q} <= room && room <= LOAN_MAX);
      end
      // invariant
      assert (dut_is_new_q == (is_lent_now || is_renewed_now));
      if (is_out) assert (loan_end_now == dut_end_q && expiry_now == dut_expiry_q && next_true == loan_next);
      if (is_out && !dut_is_new_q) assert (was_late_q == dut_is_over_q);
      if (is_out && !dut_is_new_q && !(taken_q && is_sent))
        assert (dut_left_q == left[5:0] && dut_is_left_wide_q == (left[31:6] != 26'd0) && dut_is_left_bad_q == (left > LOAN_MAX));

      cover (begins && room == {26'd0, len_q} && was_cancel_q && was_halted_q);
      cover (taken_q && outcome == `HWGW_SENT_OUTCOME_BEYOND && room == 32'd5 && len_q == 6'd6);
    end
`endif

`ifdef RULE_ONCE
  reg         waits_q;
  reg [511:0] waiting_q;
  always @(posedge clk) begin
    waits_q   <= sent_valid && !host_ready && !rst;
    waiting_q <= sent;
    if (!rst && has_begun) begin
      if (taken_q) assert (sent_valid && sent[8*`HWGW_SENT_PACKET_OFF+:8] == mark_q && sent_len == len_q);
      if (sent_valid) assert (taken_q || waits_q);
      if (waits_q) assert (sent_valid && sent == waiting_q && !taken_q);
      if (take) assert (!m_valid && (!sent_valid || host_ready));
      assert ((taken_q && is_sent) == begins);
      if (m_valid_q && !was_end_q) assert (m_valid);
      cover (begins && mark_q == 8'h55);
      cover (was_end_q);
    end
  end
`endif

endmodule

`default_nettype wire
