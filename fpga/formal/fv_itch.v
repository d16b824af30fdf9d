// fv_itch: hwgw_itch with any message in any cycle, and a locate table of four rows that is written whenever one likes.
//
// SPDX-License-Identifier: MIT
//
// RULE_ONCE   two cycles after a message, and at no other time, it has become exactly one of: an event, a message of an
//             instrument that is not wanted, one of a wrong length, one of an unknown type; the first two are counted
// RULE_ORDER  the event two cycles after a message is of that message: number, line, time of reception, type
`default_nettype none
`include "hwgw_specs.vh"

module fv_itch (
    input wire         clk,
    input wire         rst,
    input wire         all,
    input wire         symbol_we,
    input wire [ 15:0] symbol_locate,
    input wire         symbol_is_on,
    input wire [351:0] data,
    input wire [  5:0] len,
    input wire [ 63:0] seq,
    input wire         line,
    input wire [ 63:0] t_rx,
    input wire         valid
);

  wire [511:0] m_event;
  wire m_valid, m_is_on, messages, drop_length, drop_unknown, drop_instrument;

  hwgw_itch #(.LOCATE_W(2)) dut (
      .clk(clk), .cfg_channel(16'd7), .cfg_all(all), .cmd_symbol_locate(symbol_we), .cfg_symbol_locate(symbol_locate),
      .cfg_symbol_is_on(symbol_is_on), .cfg_symbol_instrument(10'd5),
      .s_data(data), .s_code_n(~data[7:0]), .s_len(len), .s_seq(seq), .s_line(line), .s_t_rx(t_rx), .s_valid(valid),
      .m_event(m_event), .m_valid(m_valid), .m_is_on(m_is_on), .pulse_messages(messages),
      .pulse_drop_length(drop_length), .pulse_drop_unknown(drop_unknown), .pulse_drop_instrument(drop_instrument),
      .rst(rst)
  );

  reg         has_begun = 1'b0;
  reg         valid_q, valid_q2, line_q, line_q2;
  reg [ 63:0] seq_q, seq_q2, t_rx_q, t_rx_q2;
  reg [  7:0] code_q, code_q2;
  reg [  2:0] sent_q;

  wire [2:0] outcomes = {2'd0, m_valid} + {2'd0, drop_instrument} + {2'd0, drop_length} + {2'd0, drop_unknown};

  always @(posedge clk) begin
    has_begun <= 1'b1;
    assume (rst == !has_begun);
    valid_q  <= valid && !rst;
    valid_q2 <= valid_q && !rst;
    {line_q2, line_q}   <= {line_q, line};
    {seq_q2, seq_q}     <= {seq_q, seq};
    {t_rx_q2, t_rx_q}   <= {t_rx_q, t_rx};
    {code_q2, code_q}   <= {code_q, data[7:0]};
    sent_q <= rst ? 3'd0 : sent_q + {2'd0, m_valid};
  end

`ifdef RULE_ONCE
  always @(posedge clk)
    if (!rst && has_begun) begin
      assert (outcomes == {2'd0, valid_q2});
      assert (messages == (m_valid || drop_instrument));
      cover (drop_instrument && sent_q == 1);
      cover (drop_length && sent_q == 1);
      cover (drop_unknown && sent_q == 1);
    end
`endif

`ifdef RULE_ORDER
  always @(posedge clk)
    if (!rst && has_begun && m_valid) begin
      assert (m_event[8*`HWGW_EVENT_SEQ_OFF+:64] == seq_q2);
      assert (m_event[8*`HWGW_EVENT_LINE_OFF+:8] == {7'd0, line_q2});
      assert (m_event[8*`HWGW_EVENT_CODE_OFF+:8] == code_q2);
      assert (m_event[8*`HWGW_EVENT_T_RX_OFF+:64] == t_rx_q2);
      cover (sent_q == 2 && valid_q && m_is_on);
    end
`endif

endmodule

`default_nettype wire
