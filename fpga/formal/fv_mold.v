// fv_mold: hwgw_mold behind any payload, with any refusals, verdicts and room.
//
// SPDX-License-Identifier: MIT
//
// Assumed: what fv_udp proves of hwgw_udp, a verdict five cycles after each beat with tlast, no payload in the four cycles behind it.
// What is proven here is what fv_hold rests on.
// RULE_APART  nothing is committed and taken back in one cycle
// RULE_ROOM   no record comes in the cycle behind one in which the store said that it is full
`default_nettype none
`include "hwgw_specs.vh"

module fv_mold (
    input wire        clk,
    input wire        rst,
    input wire [63:0] data,
    input wire [ 7:0] keep,
    input wire        valid,
    input wire        last,
    input wire        verified,
    input wire        refused,
    input wire        is_bad,
    input wire        full
);

  wire m_valid, m_commit, m_rollback;
  wire [7:0] zero = {data[63:56] == 8'd0, data[55:48] == 8'd0, data[47:40] == 8'd0, data[39:32] == 8'd0,
                     data[31:24] == 8'd0, data[23:16] == 8'd0, data[15:8] == 8'd0, data[7:0] == 8'd0};
  reg  has_begun = 1'b0;
  reg  [4:0] end_q = 5'd0;  // bit n: a beat with tlast n + 1 cycles ago

  hwgw_mold #(.DATA_SZ(32)) dut (
      .clk(clk), .cfg_verified(verified), .s_axis_tdata(data), .s_axis_tkeep(keep), .s_axis_tzero(zero),
      .s_axis_tvalid(valid), .s_axis_tlast(last),
      .s_t_rx(64'd0), .s_refused(refused), .s_verdict_valid(end_q[4]),
      .s_verdict_drop(is_bad), .s_verdict_cause({{(`HWGW_LINE_CNT_W - 1) {1'b0}}, is_bad}),
      .m_record(), .m_valid(m_valid), .m_commit(m_commit),
      .m_rollback(m_rollback), .s_full(full), .pulse(), .rst(rst)
  );

  reg was_full_q, has_committed_q, has_taken_back_q;

  always @(posedge clk) begin
    has_begun <= 1'b1;
    assume (rst == !has_begun);
    if (valid && keep[0]) assume (end_q[3:0] == 4'd0);
    end_q            <= rst ? 5'd0 : {end_q[3:0], valid && last};
    was_full_q       <= full;
    has_committed_q  <= !rst && has_begun && (has_committed_q || m_commit);
    has_taken_back_q <= !rst && has_begun && (has_taken_back_q || m_rollback);
  end

`ifdef RULE_APART
  always @(posedge clk)
    if (!rst && has_begun) begin
      assert (!(m_commit && m_rollback));
      cover (m_rollback && has_committed_q && !verified);
      cover (m_commit && has_taken_back_q);
    end
`endif

`ifdef RULE_ROOM
  always @(posedge clk)
    if (!rst && has_begun) begin
      if (m_valid) assert (!was_full_q);
      cover (m_valid && full);
    end
`endif

endmodule

`default_nettype wire
