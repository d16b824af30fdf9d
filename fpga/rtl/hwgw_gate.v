// hwgw_gate: hwgw_send behind rings and registers: the order half of the card as the host sees it.
//
// SPDX-License-Identifier: MIT
//
// order ring (host -> card) -> hwgw_send: trigger, gate, frame -> verdict ring, ring of sent orders (card -> host); frames to the MAC
//
// Order ring: see hwgw_ring. Every entry is answered once, in order; a torn one goes into the gate as no kind, which refuses it as
// malformed. Answers: hwgw/specs/verdict.yaml; what became of orders: sent.yaml; both wait when the host does not take them
// (hwgw_credit), and the records with them.
// Limits: words of the table come through a register; tlast goes with the last one. limits_restart ends a table that is under way;
// what came of it is no table.
// Halt: the register, the pin, and a watchdog that has seen no heartbeat for cfg_watchdog cycles hold the gate's wire; the latch stays
// until a resume record. After a reset no table is in force, so nothing but a cancel of a known order passes.
// cmd_gate_reset acts when no frame is under way, and gate_is_ready is 0 until then: everything here begins anew; an answer that
// waited is gone.
// Counters: pulse is HWGW_GATE_CNT_*, each one per cycle at most.
// Latency: record at the doorbell to its answer: 3 cycles, and those of the gate. At the limit: nothing hangs on what the host
// writes; what cannot be is refused and counted.
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_ports.vh"
`include "hwgw_risk.vh"

module hwgw_gate #(
    parameter INSTRUMENT_W = 10,
    parameter SLOT_W = 12
) (
    input  wire         clk,
    input  wire [ 63:0] now,  // ns of the gateway's clock
    input  wire         halt,  // the pin
    input  wire [511:0] s_event,
    input  wire         s_event_valid,
    input  wire         is_feed_good,
    `HWGW_GATE_PORTS
    `HWGW_ANSWER_PORTS
    output reg  [`HWGW_GATE_CNT_W-1:0] pulse,
    input  wire         rst
);

  localparam LIMITS_LAST = `HWGW_LIMITS_LEN / 8 - 1;

  // ---- reset: frames are whole ----

  reg  reset_q;
  reg  in_frame_q;
  wire clear = rst || (reset_q && !in_frame_q && !m_axis_tx_tvalid);

  always @(posedge clk) begin
    reset_q <= cmd_gate_reset || (reset_q && !clear);
    if (m_axis_tx_tvalid && m_axis_tx_tready) in_frame_q <= !m_axis_tx_tlast;
    if (rst) begin
      reset_q    <= 1'b0;
      in_frame_q <= 1'b0;
    end
  end

  // ---- halt ----

  reg  [31:0] silence_q;
  reg         is_out_q;
  wire        is_watched = cfg_watchdog != 32'd0;
  wire        is_late = is_watched && silence_q >= cfg_watchdog;
  wire        is_held = cfg_gate_halt || halt;

  always @(posedge clk) begin
    silence_q <= cmd_heartbeat || !is_watched || clear ? 32'd0 : silence_q + {31'd0, !is_late};
    is_out_q  <= is_late && !cmd_heartbeat && !clear;
  end

  // ---- order ring; nobody writes and nothing waits: it sleeps ----

  wire [511:0] entry;
  reg  [511:0] record;
  wire         record_valid, record_ready, is_torn, pulse_overrun, pulse_order_doorbell, ring_clk;

  hwgw_clock u_clock (
      .clk(clk), .is_active(win_order_ring || cmd_order_head || record_valid), .m_clk(ring_clk), .rst(clear)
  );

  hwgw_ring u_ring (
      .clk(ring_clk), .we(win_order_ring), .waddr(win_addr), .wdata(win_data), .doorbell(cmd_order_head), .head(cfg_order_head),
      .m_axis_record_tdata(entry), .m_axis_record_tvalid(record_valid), .m_axis_record_tready(record_ready), .is_torn(is_torn),
      .tail(sts_order_tail), .pulse_overrun(pulse_overrun), .pulse_doorbell(pulse_order_doorbell), .rst(clear)
  );

  always @* begin
    record = entry;
    if (is_torn) record[8*`HWGW_ORDER_KIND_OFF+:8] = `HWGW_ORDER_KIND_NONE;
  end

  // a record waits here, whole, before it goes into the gate
  reg  [511:0] given_q;
  reg          given_valid_q;
  reg          given_torn_q;
  reg  [ 31:0] given_number_q;
  wire         given_ready;

  assign record_ready = !given_valid_q || given_ready;

  always @(posedge clk) begin
    if (record_ready) begin
      given_q        <= record;
      given_torn_q   <= is_torn;
      given_number_q <= sts_order_tail;
    end
    given_valid_q <= !clear && (record_valid || !record_ready);
  end

  // one record is inside the gate at a time: an answer is that of the host's record, if one went in last
  wire        take = given_valid_q && given_ready;
  reg         is_host_q;
  reg  [31:0] number_q;
  wire        verdict_valid, verdict_ready;

  always @(posedge clk) begin
    is_host_q <= take || (is_host_q && !(verdict_valid && verdict_ready));
    if (take) number_q <= given_number_q;
    if (clear) begin
      is_host_q <= 1'b0;
      number_q  <= {32{1'b1}};
    end
  end

  // ---- limits ----

  reg  [13:0] word_q;
  wire [63:0] limits;
  wire        limits_valid, limits_ready, limits_last, store_ready;
  wire [ 3:0] store_level;
  wire        ends = cmd_limits_restart && word_q != 14'd0;
  wire        is_last = ends || word_q == LIMITS_LAST[13:0];

  hwgw_fifo #(
      .WIDTH(65),
      .DEPTH(8)
  ) u_limits (
      .clk(clk), .s_axis_tdata({is_last, cfg_limits}), .s_axis_tvalid(cmd_limits || ends), .s_axis_tready(store_ready),
      .m_axis_tdata({limits_last, limits}), .m_axis_tvalid(limits_valid), .m_axis_tready(limits_ready), .level(store_level),
      .rst(clear)
  );

  always @(posedge clk) begin
    if ((cmd_limits || ends) && store_ready) word_q <= is_last ? 14'd0 : word_q + 14'd1;
    if (clear) word_q <= 14'd0;
  end

  // ---- trigger, gate, frames ----

  wire [511:0] judged;
  wire [  7:0] reason, halted;
  wire [ 31:0] px_judged, pulse_risk;
  wire [  7:0] pulse_send;
  wire is_ready, is_table_offered, shot_is_loaded, shot_is_fired, loan_is_out, is_busy, sent_valid, sent_ready;

  hwgw_send #(
      .INSTRUMENT_W(INSTRUMENT_W),
      .SLOT_W(SLOT_W)
  ) u_send (
      .clk(clk), .now(now), .halt(is_held || is_out_q),
      .halt_reason(is_held ? `HWGW_RISK_REASON_OPERATOR : `HWGW_RISK_REASON_CONTROL_LOST),
      .cfg_stamps(cfg_stamps), .cfg_sends(cfg_sends), .s_event(s_event), .s_event_valid(s_event_valid),
      .is_feed_good(is_feed_good), .cfg_trigger_enable(cfg_trigger_enable),
      .cfg_rule_instrument(cfg_rule_instrument[INSTRUMENT_W-1:0]), .cfg_rule(cfg_rule),
      .cmd_rule_store(cmd_rule_instrument), .cmd_disarm(cmd_disarm), .cfg_shot_ref(cfg_shot_ref), .cmd_shot(cmd_shot_ref),
      .shot_is_loaded(shot_is_loaded), .shot_is_fired(shot_is_fired), .cfg_firm(cfg_firm), .cfg_capacity(cfg_capacity),
      .cfg_display(cfg_display), .cfg_instruments(cfg_instruments[INSTRUMENT_W:0]), .cfg_symbol_we(cmd_symbol_row),
      .cfg_symbol_row(cfg_symbol_row[INSTRUMENT_W-1:0]), .cfg_symbol_text(cfg_symbol_text),
      `HWGW_LOAN_PINS
      .s_axis_record_tdata(given_q), .s_axis_record_tvalid(given_valid_q),
      .s_axis_record_tready(given_ready), .s_axis_limits_tdata(limits), .s_axis_limits_tvalid(limits_valid),
      .s_axis_limits_tready(limits_ready), .s_axis_limits_tlast(limits_last), .m_axis_tdata(m_axis_tx_tdata),
      .m_axis_tkeep(m_axis_tx_tkeep), .m_axis_tvalid(m_axis_tx_tvalid), .m_axis_tready(m_axis_tx_tready),
      .m_axis_tlast(m_axis_tx_tlast), .m_axis_verdict_tdata(judged), .m_axis_verdict_tuser(reason),
      .m_axis_verdict_px(px_judged), .m_axis_verdict_tvalid(verdict_valid), .m_axis_verdict_tready(verdict_ready),
      .m_axis_sent_tdata(m_axis_sent_tdata), .m_axis_sent_tvalid(sent_valid), .m_axis_sent_tready(sent_ready),
      .halted(halted), .generation(sts_gate_generation), .is_table_offered(is_table_offered), .is_ready(is_ready),
      .loan_is_out(loan_is_out), .is_busy(is_busy), .loan_next(sts_loan_next), .pulse_risk(pulse_risk), .pulse(pulse_send),
      .verdict_addr(cfg_verdict_index), .verdict_data(sts_verdict), .verdict_cnt(sts_verdict_cnt), .rst(clear)
  );

  // ---- answers ----

  wire [  7:0] kind = judged[8*`HWGW_ORDER_KIND_OFF+:8];
  wire         is_priced = kind == `HWGW_ORDER_KIND_NEW || kind == `HWGW_ORDER_KIND_REPLACE;
  reg  [511:0] verdict;
  wire         pulse_verdict_doorbell, pulse_sent_doorbell;

  always @* begin
    verdict = judged;
    verdict[8*`HWGW_VERDICT_REASON_OFF+:8] = reason;
    verdict[8*`HWGW_VERDICT_HALTED_OFF+:8] = halted;
    verdict[8*`HWGW_VERDICT_SOURCE_OFF+:8] = is_host_q ? `HWGW_VERDICT_SOURCE_HOST : `HWGW_VERDICT_SOURCE_TRIGGER;
    verdict[8*`HWGW_VERDICT_RESERVED_OFF+:8] = 8'd0;
    verdict[8*`HWGW_VERDICT_NUMBER_OFF+:32] = number_q;
    verdict[8*`HWGW_VERDICT_PX_JUDGED_OFF+:32] = is_priced ? px_judged : 32'd0;
  end

  assign m_axis_verdict_tdata = verdict;

  hwgw_credit u_verdict (
      .clk(clk), .s_tvalid(verdict_valid), .s_tready(verdict_ready), .m_tvalid(m_axis_verdict_tvalid),
      .m_tready(m_axis_verdict_tready), .doorbell(cmd_verdict_tail), .tail(cfg_verdict_tail), .head(sts_verdict_head),
      .pulse_doorbell(pulse_verdict_doorbell), .rst(clear)
  );

  hwgw_credit u_sent (
      .clk(clk), .s_tvalid(sent_valid), .s_tready(sent_ready), .m_tvalid(m_axis_sent_tvalid),
      .m_tready(m_axis_sent_tready), .doorbell(cmd_sent_tail), .tail(cfg_sent_tail), .head(sts_sent_head),
      .pulse_doorbell(pulse_sent_doorbell), .rst(clear)
  );

  // ---- what the registers show, and counters ----

  assign sts_gate_state = {
    16'd0, halted, shot_is_fired, shot_is_loaded, is_busy, loan_is_out, is_out_q, is_held || is_out_q, is_table_offered,
    is_ready && !reset_q
  };
  assign sts_limits_words = word_q;

  wire is_sent = sent_valid && sent_ready;
  wire is_frame = m_axis_sent_tdata[8*`HWGW_SENT_OUTCOME_OFF+:8] == `HWGW_SENT_OUTCOME_SENT;

  always @(posedge clk) begin
    pulse <= {`HWGW_GATE_CNT_W{1'b0}};
    pulse[`HWGW_RISK_REASON_LOSS:0] <= pulse_risk[`HWGW_RISK_REASON_LOSS:0];  // in the order of their codes
    pulse[`HWGW_GATE_CNT_CARD_RECORDS] <= take;
    pulse[`HWGW_GATE_CNT_CARD_DROP_TORN] <= take && given_torn_q;
    pulse[`HWGW_GATE_CNT_CARD_DROP_OVERRUN] <= pulse_overrun;
    pulse[`HWGW_GATE_CNT_CARD_DROP_DOORBELL] <= pulse_order_doorbell || pulse_verdict_doorbell || pulse_sent_doorbell;
    pulse[`HWGW_GATE_CNT_CARD_DROP_LIMITS] <= (cmd_limits || ends) && !store_ready;
    pulse[`HWGW_GATE_CNT_CARD_WATCHDOG_HALTS] <= is_late && !is_out_q && !cmd_heartbeat && !clear;
    {pulse[`HWGW_GATE_CNT_CARD_DROP_LOAN], pulse[`HWGW_GATE_CNT_CARD_LIMITS_DAMAGED], pulse[`HWGW_GATE_CNT_CARD_DROP_RULE],
     pulse[`HWGW_GATE_CNT_CARD_DROP_TRIGGER_BUSY], pulse[`HWGW_GATE_CNT_CARD_DROP_TRIGGER_FEED],
     pulse[`HWGW_GATE_CNT_CARD_DROP_TRIGGER_SPENT], pulse[`HWGW_GATE_CNT_CARD_DROP_TRIGGER_DISABLED],
     pulse[`HWGW_GATE_CNT_CARD_FIRED]} <= pulse_send;
    pulse[`HWGW_GATE_CNT_CARD_FRAMES] <= is_sent && is_frame;
    pulse[`HWGW_GATE_CNT_CARD_DROP_FRAME] <= is_sent && !is_frame;
    if (rst) pulse <= {`HWGW_GATE_CNT_W{1'b0}};
  end

  wire unused = &{1'b0, store_level, pulse_risk[31:`HWGW_RISK_REASON_LOSS+1]};

endmodule

`default_nettype wire
