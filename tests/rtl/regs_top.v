// regs_top: the registers with real counters behind them and pulses from outside, for bench_regs.py.
//
// SPDX-License-Identifier: MIT
`default_nettype none
`include "hwgw_ports.vh"

module regs_top (
    input  wire        clk,
    input  wire        rst,
    `HWGW_AXIL_PORTS
    input  wire [ 2:0] s_axil_awprot,
    input  wire [ 2:0] s_axil_arprot,
    input  wire [`CNT-1:0] pulse,
    input  wire [63:0] amount,
    input  wire [`GATE_CNT-1:0] gate_pulse,
    input  wire [ 2:0] state,
    input  wire [63:0] now,
    input  wire [63:0] next_seq,
    input  wire [79:0] session,
    input  wire [31:0] price_px,
    input  wire [31:0] price_qty,
    output wire        restart,
    output wire        repair,
    output wire        snapshot,
    output wire        symbol_we,
    output wire [15:0] symbol_locate,
    output wire [ 9:0] symbol_instrument,
    output wire        symbol_is_on,
    output wire        order_ring,
    output wire [ 9:0] ring_addr,
    output wire [31:0] ring_data,
    output wire        limits,
    output wire [63:0] limits_word
);

  `HWGW_GATE_WIRES
  wire [31:0] snapshot_cnt;
  wire [63:0] gate_counter_data;
  wire [ 5:0] counter_addr;
  wire [63:0] counter_data;

  hwgw_counters #(.CNT(`CNT), .WIDE(`WIDE)) u_counters (
      .clk(clk), .pulse(pulse), .amount(amount), .snapshot(snapshot), .snapshot_cnt(snapshot_cnt),
      .copy_addr(counter_addr), .copy_data(counter_data), .rst(rst)
  );

  hwgw_counters #(.CNT(`GATE_CNT)) u_gate_counters (
      .clk(clk), .pulse(gate_pulse), .amount(64'd1), .snapshot(snapshot), .snapshot_cnt(), .copy_addr(counter_addr),
      .copy_data(gate_counter_data), .rst(rst)
  );

  // what the gate would show is what the bench drives, so that each word is another
  assign sts_gate_state      = price_px;
  assign sts_gate_generation = now;
  assign sts_order_tail      = ~price_px;
  assign sts_verdict_head    = price_qty;
  assign sts_sent_head       = ~price_qty;
  assign sts_limits_words    = now[13:0];
  assign sts_verdict_cnt     = next_seq[31:0];
  assign sts_verdict         = {next_seq, now};
  assign sts_loan_next       = next_seq[63:32];
  assign order_ring          = win_order_ring;
  assign ring_addr           = win_addr;
  assign ring_data           = win_data;
  assign limits              = cmd_limits;
  assign limits_word         = cfg_limits;

  hwgw_regs u_regs (
      .clk(clk),
      `HWGW_AXIL_PINS
      `HWGW_GATE_PINS
      .cmd_restart(restart), .cmd_repair(repair), .cmd_snapshot(snapshot), .cmd_symbol_locate(symbol_we),
      .cfg_symbol_locate(symbol_locate), .cfg_symbol_instrument(symbol_instrument), .cfg_symbol_is_on(symbol_is_on),
      .cfg_scratch(), .cfg_enable(), .cfg_verified(), .cfg_all(), .cfg_channel(), .cfg_group_a(), .cfg_port_a(),
      .cfg_group_b(), .cfg_port_b(), .cfg_jump_max(), .cfg_hold_cycles(), .cfg_price_instrument(),
      .sts_snapshot_cnt(snapshot_cnt), .sts_state(state), .sts_price_px(price_px), .sts_price_qty(price_qty),
      .sts_now(now), .sts_next_seq(next_seq), .sts_session(session),
      .counter_addr(counter_addr), .counter_data(counter_data), .gate_counter_data(gate_counter_data),
      .rst(rst)
  );

endmodule

`default_nettype wire
