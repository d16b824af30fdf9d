// path_bench: hwgw_feed and hwgw_send, from the bytes of a market-data message to those of an order.
//
// SPDX-License-Identifier: MIT
//
// The trigger looks at events where hwgw_itch gives them, as it will in the card. cycle counts from 0 after reset; it is the clock.
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_ports.vh"

module path_bench (
    input  wire         clk,
    input  wire [ 63:0] s_axis_a_tdata,
    input  wire [  7:0] s_axis_a_tkeep,
    input  wire         s_axis_a_tvalid,
    input  wire         s_axis_a_tlast,
    input  wire [ 31:0] cfg_group_a,
    input  wire [ 15:0] cfg_port_a,
    input  wire         cfg_symbol_we,
    input  wire [ 15:0] cfg_symbol_locate,
    input  wire [  9:0] cfg_symbol_instrument,
    input  wire [ 63:0] cfg_symbol_text,
    input  wire         halt,
    input  wire         cfg_trigger_enable,
    input  wire [255:0] cfg_rule,
    input  wire         cmd_rule_store,
    input  wire [ 31:0] cfg_shot_ref,
    input  wire         cmd_shot,
    `HWGW_LOAN_PORTS
    input  wire [511:0] s_axis_record_tdata,
    input  wire         s_axis_record_tvalid,
    output wire         s_axis_record_tready,
    input  wire [ 63:0] s_axis_limits_tdata,
    input  wire         s_axis_limits_tvalid,
    output wire         s_axis_limits_tready,
    input  wire         s_axis_limits_tlast,
    output wire [ 63:0] m_axis_tdata,
    output wire [  7:0] m_axis_tkeep,
    output wire         m_axis_tvalid,
    input  wire         m_axis_tready,
    output wire         m_axis_tlast,
    output wire [511:0] m_axis_verdict_tdata,
    output wire [  7:0] m_axis_verdict_tuser,
    output wire         m_axis_verdict_tvalid,
    input  wire         m_axis_verdict_tready,
    output wire [511:0] m_axis_sent_tdata,
    output wire         m_axis_sent_tvalid,
    input  wire         m_axis_sent_tready,
    output wire [  7:0] halted,
    output wire         is_table_offered,
    output wire         is_ready,
    output wire         is_busy,
    output wire         loan_is_out,
    output reg  [ 63:0] cycle,
    input  wire         rst
);

  always @(posedge clk) cycle <= rst ? 64'd0 : cycle + 64'd1;

  hwgw_feed u_feed (
      .clk(clk), .now(cycle), .s_axis_a_tdata(s_axis_a_tdata), .s_axis_a_tkeep(s_axis_a_tkeep),
      .s_axis_a_tvalid(s_axis_a_tvalid), .s_axis_a_tlast(s_axis_a_tlast), .s_axis_a_tuser(1'b0),
      .s_axis_b_tdata(64'd0), .s_axis_b_tkeep(8'd0), .s_axis_b_tvalid(1'b0), .s_axis_b_tlast(1'b0), .s_axis_b_tuser(1'b0),
      .cfg_enable(1'b1), .cfg_verified(1'b0), .cfg_group_a(cfg_group_a), .cfg_port_a(cfg_port_a), .cfg_group_b(32'd0),
      .cfg_port_b(16'd0), .cfg_channel(16'd0), .cfg_jump_max(32'd0), .cfg_hold_cycles(16'd0), .cfg_all(1'b1),
      .cmd_restart(1'b0), .cmd_repair(1'b0), .cmd_symbol_locate(cfg_symbol_we), .cfg_symbol_locate(cfg_symbol_locate),
      .cfg_symbol_is_on(1'b1), .cfg_symbol_instrument(cfg_symbol_instrument), .m_event(), .m_event_valid(), .m_axis_event_tdata(),
      .m_axis_event_tvalid(), .m_axis_event_tready(1'b1), .m_axis_price_tdata(), .m_axis_price_tvalid(),
      .price_instrument(10'd0), .price_px(), .price_qty(), .next_seq(), .session(), .state(), .pulse_a(), .pulse_b(),
      .pulse(), .missing(), .rst(rst)
  );

  hwgw_send u_send (
      .clk(clk), .now(cycle), .halt(halt), .halt_reason(8'd0), .cfg_stamps(1'b1), .cfg_sends(1'b1),
      .s_event(u_feed.m_event), .s_event_valid(u_feed.m_event_valid),
      .is_feed_good(u_feed.state == 3'd1), .cfg_trigger_enable(cfg_trigger_enable),
      .cfg_rule_instrument(cfg_symbol_instrument), .cfg_rule(cfg_rule), .cmd_rule_store(cmd_rule_store), .cmd_disarm(1'b0), .cfg_shot_ref(cfg_shot_ref), .cmd_shot(cmd_shot), .shot_is_loaded(), .shot_is_fired(),
      .cfg_firm(32'h20202020), .cfg_capacity("P"), .cfg_display("Y"), .cfg_instruments(11'd1024),
      .cfg_symbol_we(cfg_symbol_we), .cfg_symbol_row(cfg_symbol_instrument), .cfg_symbol_text(cfg_symbol_text),
      `HWGW_LOAN_PINS
      .s_axis_record_tdata(s_axis_record_tdata), .s_axis_record_tvalid(s_axis_record_tvalid),
      .s_axis_record_tready(s_axis_record_tready), .s_axis_limits_tdata(s_axis_limits_tdata),
      .s_axis_limits_tvalid(s_axis_limits_tvalid), .s_axis_limits_tready(s_axis_limits_tready),
      .s_axis_limits_tlast(s_axis_limits_tlast), .m_axis_tdata(m_axis_tdata), .m_axis_tkeep(m_axis_tkeep),
      .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready), .m_axis_tlast(m_axis_tlast),
      .m_axis_verdict_tdata(m_axis_verdict_tdata), .m_axis_verdict_tuser(m_axis_verdict_tuser),
      .m_axis_verdict_px(), .m_axis_verdict_tvalid(m_axis_verdict_tvalid), .m_axis_verdict_tready(m_axis_verdict_tready),
      .m_axis_sent_tdata(m_axis_sent_tdata), .m_axis_sent_tvalid(m_axis_sent_tvalid),
      .m_axis_sent_tready(m_axis_sent_tready), .halted(halted), .generation(), .is_table_offered(is_table_offered),
      .is_ready(is_ready), .loan_is_out(loan_is_out), .is_busy(is_busy), .loan_next(), .pulse_risk(), .pulse(),
      .verdict_addr(6'd0), .verdict_data(), .verdict_cnt(), .rst(rst)
  );

endmodule

`default_nettype wire
