// hwgw_card: the receive half of the card: hwgw_feed, its registers and its counters. What a board's shell instantiates.
//
// SPDX-License-Identifier: MIT
//
// Input: two MAC-side streams, never stalled; AXI-Lite; the shell's time of day, in whatever unit t_rx is to have.
// Output: event records, 64 bytes a beat, for the shell's DMA into the host ring; each new last trade.
// Clock: one. The shell gives it the rate of the MAC (156.25 MHz for 10GbE at 64 bits) or more.
// A command reaches the receive path 1 cycle after the write; the counters lag by 1 cycle, and so do what is latched
// with them.
`default_nettype none
`include "hwgw_specs.vh"

module hwgw_card (
    input  wire         clk,
    input  wire [ 63:0] now,
    input  wire [ 63:0] s_axis_a_tdata,
    input  wire [  7:0] s_axis_a_tkeep,
    input  wire         s_axis_a_tvalid,
    input  wire         s_axis_a_tlast,
    input  wire         s_axis_a_tuser,
    input  wire [ 63:0] s_axis_b_tdata,
    input  wire [  7:0] s_axis_b_tkeep,
    input  wire         s_axis_b_tvalid,
    input  wire         s_axis_b_tlast,
    input  wire         s_axis_b_tuser,
    output wire [511:0] m_axis_event_tdata,
    output wire         m_axis_event_tvalid,
    input  wire         m_axis_event_tready,
    output wire [ 73:0] m_axis_price_tdata,
    output wire         m_axis_price_tvalid,
    input  wire [ 11:0] s_axil_awaddr,
    input  wire         s_axil_awvalid,
    output wire         s_axil_awready,
    input  wire [ 31:0] s_axil_wdata,
    input  wire [  3:0] s_axil_wstrb,
    input  wire         s_axil_wvalid,
    output wire         s_axil_wready,
    output wire [  1:0] s_axil_bresp,
    output wire         s_axil_bvalid,
    input  wire         s_axil_bready,
    input  wire [ 11:0] s_axil_araddr,
    input  wire         s_axil_arvalid,
    output wire         s_axil_arready,
    output wire [ 31:0] s_axil_rdata,
    output wire [  1:0] s_axil_rresp,
    output wire         s_axil_rvalid,
    input  wire         s_axil_rready,
    input  wire         rst
);

  localparam LINE_W = `HWGW_LINE_CNT_W;
  localparam CNT = 2 * LINE_W + `HWGW_CHANNEL_CNT_W;
  localparam MISSING = 2 * LINE_W + `HWGW_CHANNEL_CNT_MOLD_MISSING;

  wire        cfg_enable, cfg_verified, cfg_all;
  wire        cmd_restart, cmd_repair, cmd_snapshot, cmd_symbol_locate;
  wire [31:0] cfg_scratch, cfg_group_a, cfg_group_b, cfg_jump_max;
  wire [15:0] cfg_channel, cfg_port_a, cfg_port_b, cfg_hold_cycles, cfg_symbol_locate;
  wire [ 9:0] cfg_symbol_instrument, cfg_price_instrument;
  wire        cfg_symbol_is_on;
  wire [31:0] price_px, price_qty;
  wire [63:0] next_seq, missing, counter_data;
  wire [79:0] session;
  wire [ 2:0] state;
  wire [31:0] snapshot_cnt;
  wire [ 5:0] counter_addr;
  wire [LINE_W-1:0] pulse_a, pulse_b;
  wire [`HWGW_CHANNEL_CNT_W-1:0] pulse;

  hwgw_feed u_feed (
      .clk(clk),
      .now(now),
      .s_axis_a_tdata(s_axis_a_tdata),
      .s_axis_a_tkeep(s_axis_a_tkeep),
      .s_axis_a_tvalid(s_axis_a_tvalid),
      .s_axis_a_tlast(s_axis_a_tlast),
      .s_axis_a_tuser(s_axis_a_tuser),
      .s_axis_b_tdata(s_axis_b_tdata),
      .s_axis_b_tkeep(s_axis_b_tkeep),
      .s_axis_b_tvalid(s_axis_b_tvalid),
      .s_axis_b_tlast(s_axis_b_tlast),
      .s_axis_b_tuser(s_axis_b_tuser),
      .cfg_enable(cfg_enable),
      .cfg_verified(cfg_verified),
      .cfg_group_a(cfg_group_a),
      .cfg_port_a(cfg_port_a),
      .cfg_group_b(cfg_group_b),
      .cfg_port_b(cfg_port_b),
      .cfg_channel(cfg_channel),
      .cfg_jump_max(cfg_jump_max),
      .cfg_hold_cycles(cfg_hold_cycles),
      .cfg_all(cfg_all),
      .cfg_restart(cmd_restart),
      .cfg_repair(cmd_repair),
      .cfg_symbol_we(cmd_symbol_locate),
      .cfg_symbol_locate(cfg_symbol_locate),
      .cfg_symbol_is_on(cfg_symbol_is_on),
      .cfg_symbol_instrument(cfg_symbol_instrument),
      .m_axis_event_tdata(m_axis_event_tdata),
      .m_axis_event_tvalid(m_axis_event_tvalid),
      .m_axis_event_tready(m_axis_event_tready),
      .m_axis_price_tdata(m_axis_price_tdata),
      .m_axis_price_tvalid(m_axis_price_tvalid),
      .price_instrument(cfg_price_instrument),
      .price_px(price_px),
      .price_qty(price_qty),
      .next_seq(next_seq),
      .session(session),
      .state(state),
      .pulse_a(pulse_a),
      .pulse_b(pulse_b),
      .pulse(pulse),
      .missing(missing),
      .rst(rst)
  );

  // a register between the receive path and the counters, which may be far away; all of it is late by the same cycle
  reg [CNT-1:0] pulse_q;
  reg [63:0] missing_q, next_seq_q;
  reg [79:0] session_q;

  always @(posedge clk) begin
    pulse_q          <= {pulse, pulse_b, pulse_a};
    pulse_q[MISSING] <= pulse[`HWGW_CHANNEL_CNT_MOLD_GAPS];
    missing_q        <= missing;
    next_seq_q       <= next_seq;
    session_q        <= session;
    if (rst) pulse_q <= {CNT{1'b0}};
  end

  hwgw_counters #(
      .CNT (CNT),
      .WIDE(MISSING)
  ) u_counters (
      .clk(clk),
      .pulse(pulse_q),
      .amount(missing_q),
      .snapshot(cmd_snapshot),
      .snapshot_cnt(snapshot_cnt),
      .copy_addr(counter_addr),
      .copy_data(counter_data),
      .rst(rst)
  );

  hwgw_regs u_regs (
      .clk(clk),
      .s_axil_awaddr(s_axil_awaddr),
      .s_axil_awvalid(s_axil_awvalid),
      .s_axil_awready(s_axil_awready),
      .s_axil_wdata(s_axil_wdata),
      .s_axil_wstrb(s_axil_wstrb),
      .s_axil_wvalid(s_axil_wvalid),
      .s_axil_wready(s_axil_wready),
      .s_axil_bresp(s_axil_bresp),
      .s_axil_bvalid(s_axil_bvalid),
      .s_axil_bready(s_axil_bready),
      .s_axil_araddr(s_axil_araddr),
      .s_axil_arvalid(s_axil_arvalid),
      .s_axil_arready(s_axil_arready),
      .s_axil_rdata(s_axil_rdata),
      .s_axil_rresp(s_axil_rresp),
      .s_axil_rvalid(s_axil_rvalid),
      .s_axil_rready(s_axil_rready),
      .cfg_scratch(cfg_scratch),
      .cfg_enable(cfg_enable),
      .cfg_verified(cfg_verified),
      .cfg_all(cfg_all),
      .cfg_channel(cfg_channel),
      .cfg_group_a(cfg_group_a),
      .cfg_port_a(cfg_port_a),
      .cfg_group_b(cfg_group_b),
      .cfg_port_b(cfg_port_b),
      .cfg_jump_max(cfg_jump_max),
      .cfg_hold_cycles(cfg_hold_cycles),
      .cfg_symbol_instrument(cfg_symbol_instrument),
      .cfg_symbol_is_on(cfg_symbol_is_on),
      .cfg_symbol_locate(cfg_symbol_locate),
      .cfg_price_instrument(cfg_price_instrument),
      .cmd_restart(cmd_restart),
      .cmd_repair(cmd_repair),
      .cmd_snapshot(cmd_snapshot),
      .cmd_symbol_locate(cmd_symbol_locate),
      .sts_snapshot_cnt(snapshot_cnt),
      .sts_state(state),
      .sts_price_px(price_px),
      .sts_price_qty(price_qty),
      .sts_now(now),
      .sts_next_seq(next_seq_q),
      .sts_session(session_q),
      .counter_addr(counter_addr),
      .counter_data(counter_data),
      .rst(rst)
  );

  wire unused = &{1'b0, cfg_scratch};

endmodule

`default_nettype wire
