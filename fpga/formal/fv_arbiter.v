// fv_arbiter: hwgw_arbiter between two lines that bring whatever records they like, whenever they like.
//
// SPDX-License-Identifier: MIT
//
// Assumed: a record that is offered stays until it is taken; no restart; lines wait at most 2 cycles for one another.
// RULE_LIVE   of records that are records, one is taken within PATIENCE cycles whenever one is offered
// RULE_ORDER  numbers leave one after the other, each once; where one is left out, a gap of just that width was told before
`default_nettype none
`include "hwgw_specs.vh"

module fv_arbiter (
    input wire         clk,
    input wire         rst,
    input wire [359:0] a_record,
    input wire         a_valid,
    input wire         a_tight,
    input wire [359:0] b_record,
    input wire         b_valid,
    input wire         b_tight
);

  (* anyconst *) reg [31:0] jump_max;
  (* anyconst *) reg [ 1:0] hold;

  wire a_ready, b_ready, m_valid, m_line, pulse_gap;
  wire [63:0] m_seq, missing;

  hwgw_arbiter dut (
      .clk(clk), .cfg_jump_max(jump_max), .cfg_hold_cycles({14'd0, hold}), .cmd_restart(1'b0), .cmd_repair(1'b0),
      .s_a_record(a_record), .s_a_valid(a_valid), .s_a_kind(a_valid ? 4'd1 << a_record[1:0] : 4'd0),
      .s_a_ready(a_ready), .s_a_tight(a_tight),
      .s_b_record(b_record), .s_b_valid(b_valid), .s_b_kind(b_valid ? 4'd1 << b_record[1:0] : 4'd0),
      .s_b_ready(b_ready), .s_b_tight(b_tight),
      .m_data(), .m_code_n(), .m_len(), .m_seq(m_seq), .m_line(m_line), .m_t_rx(), .m_valid(m_valid),
      .next_seq(), .session(), .state(), .pulse_a(), .pulse_b(),
      .pulse_gap(pulse_gap), .missing(missing), .rst(rst)
  );

  reg         has_begun = 1'b0;
  reg         a_waits_q, b_waits_q, was_line_q;
  reg [359:0] a_was_q, b_was_q;
  reg         is_counting_q;
  reg [ 63:0] next_q;
  reg [  2:0] sent_q;

  always @(posedge clk) begin
    has_begun <= 1'b1;
    assume (rst == !has_begun);
    assume (hold <= 2);
    a_waits_q <= !rst && a_valid && !a_ready;
    b_waits_q <= !rst && b_valid && !b_ready;
    a_was_q   <= a_record;
    b_was_q   <= b_record;
    if (a_waits_q) assume (a_valid && a_record == a_was_q);
    if (b_waits_q) assume (b_valid && b_record == b_was_q);

    if (rst) is_counting_q <= 1'b0;
    else if (m_valid) is_counting_q <= 1'b1;
    if (m_valid) next_q <= m_seq + 64'd1;
    else if (pulse_gap) next_q <= next_q + missing;
    if (m_valid) was_line_q <= m_line;
    sent_q    <= rst ? 3'd0 : sent_q + {2'd0, m_valid && sent_q != 3'd7};
  end

`ifdef RULE_ORDER
  always @(posedge clk)
    if (!rst) begin
      if (m_valid && is_counting_q) assert (m_seq == next_q);
      if (pulse_gap) assert (missing != 64'd0);
      cover (m_valid && sent_q == 1 && m_line == was_line_q);
      cover (pulse_gap);
    end
`endif

`ifdef RULE_LIVE
  // A line that is ahead may wait as long as the other one fills its hole: progress is of both together.
  localparam [4:0] PATIENCE = 5'd10;
  reg [4:0] stalled_q;

  always @(posedge clk) begin
    if (a_valid) assume (a_record[1:0] != 2'd0);  // header, message or end
    if (b_valid) assume (b_record[1:0] != 2'd0);
    if (rst || !(a_valid || b_valid) || a_ready || b_ready) stalled_q <= 5'd0;
    else stalled_q <= stalled_q + 5'd1;
    if (!rst) begin
      assert (stalled_q <= PATIENCE);
      cover (stalled_q == 5'd4 && a_valid && b_valid && a_ready);
    end
  end
`endif

endmodule

`default_nettype wire
