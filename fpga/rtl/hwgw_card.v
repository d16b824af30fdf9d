// hwgw_card: hwgw_feed and hwgw_gate, their registers and their counters. What a board's shell instantiates.
//
// SPDX-License-Identifier: MIT
//
// Input: two MAC-side streams, never stalled; AXI-Lite; the shell's time of day, in whatever unit t_rx is to have (now), and in ns of
// the gateway's clock (now_ns); a pin that halts.
// Output: event records, 64 bytes a beat, for the shell's DMA into the host's ring, and verdicts and records of sent orders for
// theirs; frames to the MAC; each new last trade.
// Clock: one. The shell gives it the rate of the MAC (156.25 MHz for 10GbE at 64 bits) or more.
// A command reaches the receive path 1 cycle after the write; the counters lag by 1 cycle, and so do what is latched
// with them.
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_ports.vh"

module hwgw_card (
    input  wire         clk,
    input  wire [ 63:0] now,
    input  wire [ 63:0] now_ns,
    input  wire         halt,
    `HWGW_LINES_PORTS
    `HWGW_EVENT_PORTS
    `HWGW_ANSWER_PORTS
    output wire [ 73:0] m_axis_price_tdata,
    output wire         m_axis_price_tvalid,
    `HWGW_AXIL_PORTS
    input  wire         rst
);

  localparam [2:0] FEED_GOOD = 3'd1;  // of feed_state
  localparam LINE_W = `HWGW_LINE_CNT_W;
  localparam CNT = 2 * LINE_W + `HWGW_CHANNEL_CNT_W;
  localparam MISSING = 2 * LINE_W + `HWGW_CHANNEL_CNT_MOLD_MISSING;

  `HWGW_CONTROL_WIRES
  `HWGW_GATE_WIRES
  wire        cmd_snapshot;
  wire [31:0] cfg_scratch;
  wire [ 9:0] cfg_price_instrument;
  wire [31:0] price_px, price_qty;
  wire [63:0] next_seq, missing, counter_data;
  wire [79:0] session;
  wire [ 2:0] state;
  wire [31:0] snapshot_cnt;
  wire [ 5:0] counter_addr;
  wire [LINE_W-1:0] pulse_a, pulse_b;
  wire [`HWGW_CHANNEL_CNT_W-1:0] pulse;
  wire [511:0] decoded;
  wire         decoded_valid;
  wire [`HWGW_GATE_CNT_W-1:0] gate_pulse;
  wire [63:0] gate_counter_data;
  wire [31:0] gate_snapshot_cnt;

  hwgw_feed u_feed (
      .clk(clk),
      .now(now),
      `HWGW_LINES_PINS
      `HWGW_CONTROL_PINS
      `HWGW_EVENT_PINS
      .m_event(decoded),
      .m_event_valid(decoded_valid),
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

  // the host reads, writes and asks for snapshots through AXI-Lite only
  wire is_addressed = s_axil_awvalid || s_axil_wvalid || s_axil_arvalid || s_axil_bvalid || s_axil_rvalid;
  wire is_waiting = m_axis_verdict_tvalid || m_axis_sent_tvalid || m_axis_tx_tvalid;  // what a full ring holds wakes with its doorbell
  wire is_gate_still = sts_gate_state[0] && sts_gate_state[5:4] == 2'd0 && cfg_watchdog == 32'd0;  // ready, no loan, no frame
  wire regs_clk, gate_clk, gate_counters_clk;

  hwgw_clock u_gate_clock (
      .clk(clk),
      .is_active(is_addressed || halt || decoded_valid || is_waiting || !is_gate_still),
      .m_clk(gate_clk),
      .rst(rst)
  );

  hwgw_gate u_gate (
      .clk(gate_clk),
      .now(now_ns),
      .halt(halt),
      .s_event(decoded),
      .s_event_valid(decoded_valid),
      .is_feed_good(state == FEED_GOOD),
      `HWGW_GATE_PINS
      `HWGW_ANSWER_PINS
      .pulse(gate_pulse),
      .rst(rst)
  );

  hwgw_clock #(
      .LINGER(8)
  ) u_regs_clock (
      .clk(clk),
      .is_active(is_addressed),
      .m_clk(regs_clk),
      .rst(rst)
  );

  hwgw_clock #(
      .LINGER(256)  // two turns of every counter
  ) u_gate_counters_clock (
      .clk(clk),
      .is_active(is_addressed || gate_pulse != {`HWGW_GATE_CNT_W{1'b0}}),
      .m_clk(gate_counters_clk),
      .rst(rst)
  );

  hwgw_counters #(
      .CNT(`HWGW_GATE_CNT_W)
  ) u_gate_counters (
      .clk(gate_counters_clk),
      .pulse(gate_pulse),
      .amount(64'd1),
      .snapshot(cmd_snapshot),
      .snapshot_cnt(gate_snapshot_cnt),
      .copy_addr(counter_addr),
      .copy_data(gate_counter_data),
      .rst(rst)
  );

  hwgw_regs u_regs (
      .clk(regs_clk),
      `HWGW_AXIL_PINS
      `HWGW_CONTROL_PINS
      `HWGW_GATE_PINS
      .cfg_scratch(cfg_scratch),
      .cfg_price_instrument(cfg_price_instrument),
      .cmd_snapshot(cmd_snapshot),
      .sts_snapshot_cnt(snapshot_cnt),
      .sts_state(state),
      .sts_price_px(price_px),
      .sts_price_qty(price_qty),
      .sts_now(now),
      .sts_next_seq(next_seq_q),
      .sts_session(session_q),
      .counter_addr(counter_addr),
      .counter_data(counter_data),
      .gate_counter_data(gate_counter_data),
      .rst(rst)
  );

  wire unused = &{1'b0, cfg_scratch, gate_snapshot_cnt};  // the gate has fewer counters: its copy is complete sooner

endmodule

`default_nettype wire
