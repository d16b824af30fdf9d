// hwgw_send: the transmit half of the card: trigger and host's records, the gate, the encoder, the frames.
//
// SPDX-License-Identifier: MIT
//
// Input: event records of the decoder (for the trigger); the host's records (order.yaml: orders, and everything the gate has to
// know). Output: frames to the MAC; every record with its verdict; for each order that passed, what became of it (sent.yaml).
// Order: records go through the gate one after the other, a trigger's order before a host's record that waits. Verdicts and
// what became of orders leave in that order.
// The card stamps: ts_ns of a trigger's order, and with cfg_stamps of every record, is `now` of the cycle in which the gate takes it;
// without it host's records keep their own, which must be of the same clock, as the gate wants one. The ref of a
// trigger's order is the number that the host has given for it, that of a host's new or replace that has ref 0 one above the highest that
// the gate was given.
// Verdicts: m_axis_verdict is the record as it was judged, tuser the gate's answer (HWGW_RISK_REASON_*, 0 = pass), px the price it
// was judged at. With cfg_sends an order that passes is taken from the gate when the one before has left for the MAC; until then the
// gate waits, and so do the records. Without it nothing goes on to the MAC: the host sends what passed.
// halt: the gate's wire, and orders that passed and have not begun to leave are refused (cancels leave).
// Latency, in cycles, nothing waiting: event to trigger's order 3, gate 8, packet 2, first beat 1: 14 from an event, 11 from a
// record of the host.
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_ports.vh"

module hwgw_send #(
    parameter INSTRUMENT_W = 10,
    parameter SLOT_W = 12
) (
    input  wire         clk,
    input  wire [ 63:0] now,
    input  wire         halt,
    input  wire [  7:0] halt_reason,
    input  wire         cfg_stamps,
    input  wire         cfg_sends,
    input  wire [511:0] s_event,
    input  wire         s_event_valid,
    input  wire         is_feed_good,
    input  wire         cfg_trigger_enable,
    input  wire [INSTRUMENT_W-1:0] cfg_rule_instrument,
    input  wire [255:0] cfg_rule,
    input  wire         cmd_rule_store,
    input  wire         cmd_disarm,
    input  wire [ 31:0] cfg_shot_ref,
    input  wire         cmd_shot,
    input  wire [ 31:0] cfg_firm,
    input  wire [  7:0] cfg_capacity,
    input  wire [  7:0] cfg_display,
    input  wire [INSTRUMENT_W:0] cfg_instruments,
    input  wire         cfg_symbol_we,
    input  wire [INSTRUMENT_W-1:0] cfg_symbol_row,
    input  wire [ 63:0] cfg_symbol_text,
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
    output wire [ 31:0] m_axis_verdict_px,
    output wire         m_axis_verdict_tvalid,
    input  wire         m_axis_verdict_tready,
    output wire [511:0] m_axis_sent_tdata,
    output wire         m_axis_sent_tvalid,
    input  wire         m_axis_sent_tready,
    output wire [  7:0] halted,
    output wire [ 63:0] generation,
    output wire         is_table_offered,
    output wire         is_ready,
    output wire         shot_is_loaded,
    output wire         shot_is_fired,
    output wire         loan_is_out,
    output wire         is_busy,
    output wire [ 31:0] loan_next,
    output wire [ 31:0] pulse_risk,     // of the gate
    output wire [  7:0] pulse,          // loan, damaged, rule refused, busy, feed, spent, disabled, fired from the highest bit on
    input  wire [  5:0] verdict_addr,
    output wire [127:0] verdict_data,
    output wire [ 31:0] verdict_cnt,
    input  wire         rst
);

  localparam PACKET_W = 8 * (`SOUPBINTCP_UNSEQUENCED_DATA_LEN + `OUCH50_ENTER_ORDER_LEN + `OUCH50_TAG_FIRM_LEN);

  // ---- records into the gate ----

  wire [511:0] trigger_order;
  wire         trigger_valid, trigger_is_ready, gate_is_ready, gate_ready, send_clk;

  hwgw_trigger #(
      .INSTRUMENT_W(INSTRUMENT_W)
  ) u_trigger (
      .clk(clk),
      .cfg_enable(cfg_trigger_enable),
      .is_feed_good(is_feed_good),
      .cfg_instrument(cfg_rule_instrument),
      .cfg_rule(cfg_rule),
      .cmd_store(cmd_rule_store),
      .cmd_disarm(cmd_disarm),
      .cfg_shot_ref(cfg_shot_ref),
      .cmd_shot(cmd_shot),
      .s_event(s_event),
      .s_valid(s_event_valid),
      .m_axis_order_tdata(trigger_order),
      .m_axis_order_tvalid(trigger_valid),
      .m_axis_order_tready(gate_ready),
      .is_ready(trigger_is_ready),
      .is_loaded(shot_is_loaded),
      .is_fired(shot_is_fired),
      .pulse_fired(pulse[0]),
      .pulse_drop_disabled(pulse[1]),
      .pulse_drop_spent(pulse[2]),
      .pulse_drop_feed(pulse[3]),
      .pulse_drop_busy(pulse[4]),
      .pulse_refused(pulse[5]),
      .rst(rst)
  );

  reg  [511:0] record;
  reg  [ 31:0] last_ref_q;
  reg  [ 31:0] next_ref_q;
  reg  [ 31:0] given_ref_q;  // of the record that was taken
  reg          is_given_q;
  wire [511:0] chosen = trigger_valid ? trigger_order : s_axis_record_tdata;
  wire [  7:0] kind = s_axis_record_tdata[8*`HWGW_ORDER_KIND_OFF+:8];
  wire [ 31:0] given_ref = chosen[8*`HWGW_ORDER_REF_OFF+:32];
  wire         is_host_order = kind == `HWGW_ORDER_KIND_NEW || kind == `HWGW_ORDER_KIND_REPLACE;
  wire         wants_ref = !trigger_valid && is_host_order && given_ref == 32'd0;
  wire [ 31:0] record_ref = wants_ref ? next_ref_q : given_ref;

  always @* begin
    record = chosen;
    if (cfg_stamps || trigger_valid) record[8*`HWGW_ORDER_TS_NS_OFF+:64] = now;
    record[8*`HWGW_ORDER_REF_OFF+:32] = record_ref;
  end

  always @(posedge clk) begin
    given_ref_q <= record_ref;
    is_given_q  <= (trigger_valid || (s_axis_record_tvalid && is_host_order)) && gate_ready;
    if (is_given_q && given_ref_q > last_ref_q) last_ref_q <= given_ref_q;
    next_ref_q <= last_ref_q + 32'd1;  // the gate takes no two records within 3 cycles
    if (rst) begin
      is_given_q <= 1'b0;
      last_ref_q <= 32'd0;
      next_ref_q <= 32'd1;
    end
  end

  assign s_axis_record_tready = gate_ready && !trigger_valid;
  assign is_ready = trigger_is_ready && gate_is_ready;

  // ---- the gate ----

  wire [511:0] verdict;
  wire [  7:0] reason;
  wire         verdict_valid, verdict_ready;

  hwgw_risk #(
      .INSTRUMENT_W(INSTRUMENT_W),
      .SLOT_W(SLOT_W)
  ) u_risk (
      .clk(send_clk),
      .s_axis_event_tdata(record),
      .s_axis_event_tvalid(trigger_valid || s_axis_record_tvalid),
      .s_axis_event_tready(gate_ready),
      .m_axis_verdict_tdata(verdict),
      .m_axis_verdict_tuser(reason),
      .m_axis_verdict_px(m_axis_verdict_px),
      .m_axis_verdict_tvalid(verdict_valid),
      .m_axis_verdict_tready(verdict_ready),
      .s_axis_limits_tdata(s_axis_limits_tdata),
      .s_axis_limits_tvalid(s_axis_limits_tvalid),
      .s_axis_limits_tready(s_axis_limits_tready),
      .s_axis_limits_tlast(s_axis_limits_tlast),
      .halt(halt),
      .halt_reason(halt_reason),
      .halted(halted),
      .generation(generation),
      .is_table_offered(is_table_offered),
      .is_ready(gate_is_ready),
      .pulse_damaged(pulse[6]),
      .pulse(pulse_risk),
      .verdict_addr(verdict_addr),
      .verdict_data(verdict_data),
      .verdict_cnt(verdict_cnt),
      .rst(rst)
  );

  // ---- an order that passes goes on when the one before has left ----

  reg         is_under_way_q;
  wire [ 7:0] verdict_kind = verdict[8*`HWGW_ORDER_KIND_OFF+:8];
  wire is_order = verdict_kind == `HWGW_ORDER_KIND_NEW || verdict_kind == `HWGW_ORDER_KIND_REPLACE ||
                  verdict_kind == `HWGW_ORDER_KIND_CANCEL;
  wire goes_on = cfg_sends && is_order && reason == 8'd0;
  wire may_go = !goes_on || !is_under_way_q;
  wire issue = verdict_valid && verdict_ready && goes_on;

  assign verdict_ready         = m_axis_verdict_tready && may_go;
  assign m_axis_verdict_tdata  = verdict;
  assign m_axis_verdict_tuser  = reason;
  assign m_axis_verdict_tvalid = verdict_valid && may_go;

  wire [PACKET_W-1:0] packet;
  wire [5:0] packet_len;
  wire packet_is_good, packet_is_cancel, packet_valid, frame_ready, frame_is_busy;

  hwgw_order #(
      .INSTRUMENT_W(INSTRUMENT_W)
  ) u_order (
      .clk(send_clk),
      .cfg_firm(cfg_firm),
      .cfg_capacity(cfg_capacity),
      .cfg_display(cfg_display),
      .cfg_instruments(cfg_instruments),
      .cfg_symbol_we(cfg_symbol_we),
      .cfg_symbol_row(cfg_symbol_row),
      .cfg_symbol_text(cfg_symbol_text),
      .s_order(verdict),
      .s_valid(issue),
      .m_packet(packet),
      .m_len(packet_len),
      .m_is_good(packet_is_good),
      .m_is_cancel(packet_is_cancel),
      .m_valid(packet_valid),
      .rst(rst)
  );

  // the encoder does not wait: what the frame does not take at once is held
  reg                 held_valid_q;
  reg  [PACKET_W+7:0] held_q;
  wire [PACKET_W+7:0] fresh = {packet_is_good, packet_is_cancel, packet_len, packet};
  wire [PACKET_W+7:0] offered = held_valid_q ? held_q : fresh;
  wire                offered_valid = held_valid_q || packet_valid;

  always @(posedge clk) begin
    if (packet_valid) held_q <= fresh;
    held_valid_q   <= offered_valid && !frame_ready;
    is_under_way_q <= issue || (is_under_way_q && !(offered_valid && frame_ready));
    if (rst) begin
      held_valid_q   <= 1'b0;
      is_under_way_q <= 1'b0;
    end
  end

  hwgw_frame u_frame (
      .clk(send_clk),
      .now(now),
      .halt(halt || halted != 8'd0),
      `HWGW_LOAN_PINS
      .s_packet(offered[PACKET_W-1:0]),
      .s_len(offered[PACKET_W+:6]),
      .s_is_good(offered[PACKET_W+7]),
      .s_is_cancel(offered[PACKET_W+6]),
      .s_valid(offered_valid),
      .s_ready(frame_ready),
      .m_axis_tdata(m_axis_tdata),
      .m_axis_tkeep(m_axis_tkeep),
      .m_axis_tvalid(m_axis_tvalid),
      .m_axis_tready(m_axis_tready),
      .m_axis_tlast(m_axis_tlast),
      .m_axis_sent_tdata(m_axis_sent_tdata),
      .m_axis_sent_tvalid(m_axis_sent_tvalid),
      .m_axis_sent_tready(m_axis_sent_tready),
      .loan_is_out(loan_is_out),
      .is_busy(frame_is_busy),
      .loan_next(loan_next),
      .pulse_refused(pulse[7]),
      .rst(rst)
  );

  assign is_busy = frame_is_busy;

  // ---- nothing to judge, to encode or to send: all but the trigger sleeps ----

  reg [5:0] verdict_addr_q;
  wire      is_given = trigger_valid || s_axis_record_tvalid || s_axis_limits_tvalid || cmd_lend || cmd_renew || cmd_return ||
                       cmd_template_data || cfg_symbol_we || verdict_addr != verdict_addr_q;
  wire      is_inside = !gate_is_ready || verdict_valid || is_under_way_q || frame_is_busy || loan_is_out;

  always @(posedge clk) verdict_addr_q <= verdict_addr;

  hwgw_clock u_clock (
      .clk(clk),
      .is_active(halt || is_given || is_inside),
      .m_clk(send_clk),
      .rst(rst)
  );

endmodule

`default_nettype wire
