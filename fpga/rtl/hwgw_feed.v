// hwgw_feed: the receive path, from the frames of two lines to event records and last trades.
//
// SPDX-License-Identifier: MIT
//
// line A -> udp -> mold -> hold -\                      /-> event -> host
//                                 arbiter -> itch ----+
// line B -> udp -> mold -> hold -/                      \-> top -> prices
//
// Contract: nothing stalls the MACs; at line rate, whatever the size of frames and messages, no frame is lost for want of
// time. Every frame that is taken ends in exactly one of mold.frames, net.drop_*, mold.drop_*, or, before those, in
// rx.drop_nic or rx.drop_ring_full. Ports and counters: fpga/README.md. Latency: 9 cycles from the beat with the last byte of
// a message to its event at hwgw_itch, 10 when that byte shares a beat with the next 8 bytes of payload.
// Parameters: HOLD_DEPTH, records that wait per line; EVENT_DEPTH, events that wait for the host; ORDER_W and LOCATE_W, rows
// of the tables of hwgw_top and hwgw_itch as powers of two.
`default_nettype none
`include "hwgw_specs.vh"

module hwgw_feed #(
    parameter HOLD_DEPTH = 1024,
    parameter EVENT_DEPTH = 512,
    parameter ORDER_W = 12,
    parameter LOCATE_W = 14
) (
    input  wire                          clk,
    input  wire [                  63:0] now,
    input  wire [                  63:0] s_axis_a_tdata,
    input  wire [                   7:0] s_axis_a_tkeep,
    input  wire                          s_axis_a_tvalid,
    input  wire                          s_axis_a_tlast,
    input  wire                          s_axis_a_tuser,
    input  wire [                  63:0] s_axis_b_tdata,
    input  wire [                   7:0] s_axis_b_tkeep,
    input  wire                          s_axis_b_tvalid,
    input  wire                          s_axis_b_tlast,
    input  wire                          s_axis_b_tuser,
    input  wire                          cfg_enable,
    input  wire                          cfg_verified,
    input  wire [                  31:0] cfg_group_a,
    input  wire [                  15:0] cfg_port_a,
    input  wire [                  31:0] cfg_group_b,
    input  wire [                  15:0] cfg_port_b,
    input  wire [                  15:0] cfg_channel,
    input  wire [                  31:0] cfg_jump_max,
    input  wire [                  15:0] cfg_hold_cycles,
    input  wire                          cfg_all,
    input  wire                          cfg_restart,
    input  wire                          cfg_repair,
    input  wire                          cfg_symbol_we,
    input  wire [                  15:0] cfg_symbol_locate,
    input  wire                          cfg_symbol_is_on,
    input  wire [                   9:0] cfg_symbol_instrument,
    output wire [                 511:0] m_axis_event_tdata,
    output wire                          m_axis_event_tvalid,
    input  wire                          m_axis_event_tready,
    output wire [                  73:0] m_axis_price_tdata,
    output wire                          m_axis_price_tvalid,
    input  wire [                   9:0] price_instrument,
    output wire [                  31:0] price_px,
    output wire [                  31:0] price_qty,
    output wire [                  63:0] next_seq,
    output wire [                  79:0] session,
    output wire [                   2:0] state,
    output wire [  `HWGW_LINE_CNT_W-1:0] pulse_a,
    output wire [  `HWGW_LINE_CNT_W-1:0] pulse_b,
    output reg  [`HWGW_CHANNEL_CNT_W-1:0] pulse,
    output reg  [                  63:0] missing,
    input  wire                          rst
);

  localparam LINE_CNT_W = `HWGW_LINE_CNT_W;
  localparam INSTRUMENT_W = 10;
  localparam DATA_SZ = `ITCH50_TRADE_NON_CROSS_LEN;
  localparam RECORD_W = 8 * DATA_SZ + 8;

  // ---- line A ----

  wire [          63:0] a_tdata, a_t_rx;
  wire [           7:0] a_tkeep;
  wire                  a_tvalid, a_tlast, a_refused, a_verdict_valid;
  wire [LINE_CNT_W-1:0] a_verdict_cause, a_mold_pulse, a_arbiter_pulse;
  wire [  RECORD_W-1:0] a_put_record, a_record;
  wire a_put_valid, a_put_commit, a_put_rollback, a_full, a_tight, a_valid, a_ready;

  hwgw_udp u_udp_a (
      .clk            (clk),
      .now            (now),
      .cfg_enable     (cfg_enable),
      .cfg_group      (cfg_group_a),
      .cfg_port       (cfg_port_a),
      .s_axis_tdata   (s_axis_a_tdata),
      .s_axis_tkeep   (s_axis_a_tkeep),
      .s_axis_tvalid  (s_axis_a_tvalid),
      .s_axis_tlast   (s_axis_a_tlast),
      .s_axis_tuser   (s_axis_a_tuser),
      .m_axis_tdata   (a_tdata),
      .m_axis_tkeep   (a_tkeep),
      .m_axis_tvalid  (a_tvalid),
      .m_axis_tlast   (a_tlast),
      .m_t_rx         (a_t_rx),
      .m_refused      (a_refused),
      .m_verdict_valid(a_verdict_valid),
      .m_verdict_cause(a_verdict_cause),
      .rst            (rst)
  );

  hwgw_mold u_mold_a (
      .clk            (clk),
      .cfg_verified   (cfg_verified),
      .s_axis_tdata   (a_tdata),
      .s_axis_tkeep   (a_tkeep),
      .s_axis_tvalid  (a_tvalid),
      .s_axis_tlast   (a_tlast),
      .s_t_rx         (a_t_rx),
      .s_refused      (a_refused),
      .s_verdict_valid(a_verdict_valid),
      .s_verdict_cause(a_verdict_cause),
      .m_record       (a_put_record),
      .m_valid        (a_put_valid),
      .m_commit       (a_put_commit),
      .m_rollback     (a_put_rollback),
      .s_full         (a_full),
      .pulse          (a_mold_pulse),
      .rst            (rst)
  );

  hwgw_hold #(
      .WIDTH(RECORD_W),
      .DEPTH(HOLD_DEPTH)
  ) u_hold_a (
      .clk       (clk),
      .s_record  (a_put_record),
      .s_valid   (a_put_valid),
      .s_commit  (a_put_commit),
      .s_rollback(a_put_rollback),
      .s_full    (a_full),
      .is_tight  (a_tight),
      .m_record  (a_record),
      .m_valid   (a_valid),
      .m_ready   (a_ready),
      .rst       (rst)
  );

  assign pulse_a = a_mold_pulse | a_arbiter_pulse;

  // ---- line B ----

  wire [          63:0] b_tdata, b_t_rx;
  wire [           7:0] b_tkeep;
  wire                  b_tvalid, b_tlast, b_refused, b_verdict_valid;
  wire [LINE_CNT_W-1:0] b_verdict_cause, b_mold_pulse, b_arbiter_pulse;
  wire [  RECORD_W-1:0] b_put_record, b_record;
  wire b_put_valid, b_put_commit, b_put_rollback, b_full, b_tight, b_valid, b_ready;

  hwgw_udp u_udp_b (
      .clk            (clk),
      .now            (now),
      .cfg_enable     (cfg_enable),
      .cfg_group      (cfg_group_b),
      .cfg_port       (cfg_port_b),
      .s_axis_tdata   (s_axis_b_tdata),
      .s_axis_tkeep   (s_axis_b_tkeep),
      .s_axis_tvalid  (s_axis_b_tvalid),
      .s_axis_tlast   (s_axis_b_tlast),
      .s_axis_tuser   (s_axis_b_tuser),
      .m_axis_tdata   (b_tdata),
      .m_axis_tkeep   (b_tkeep),
      .m_axis_tvalid  (b_tvalid),
      .m_axis_tlast   (b_tlast),
      .m_t_rx         (b_t_rx),
      .m_refused      (b_refused),
      .m_verdict_valid(b_verdict_valid),
      .m_verdict_cause(b_verdict_cause),
      .rst            (rst)
  );

  hwgw_mold u_mold_b (
      .clk            (clk),
      .cfg_verified   (cfg_verified),
      .s_axis_tdata   (b_tdata),
      .s_axis_tkeep   (b_tkeep),
      .s_axis_tvalid  (b_tvalid),
      .s_axis_tlast   (b_tlast),
      .s_t_rx         (b_t_rx),
      .s_refused      (b_refused),
      .s_verdict_valid(b_verdict_valid),
      .s_verdict_cause(b_verdict_cause),
      .m_record       (b_put_record),
      .m_valid        (b_put_valid),
      .m_commit       (b_put_commit),
      .m_rollback     (b_put_rollback),
      .s_full         (b_full),
      .pulse          (b_mold_pulse),
      .rst            (rst)
  );

  hwgw_hold #(
      .WIDTH(RECORD_W),
      .DEPTH(HOLD_DEPTH)
  ) u_hold_b (
      .clk       (clk),
      .s_record  (b_put_record),
      .s_valid   (b_put_valid),
      .s_commit  (b_put_commit),
      .s_rollback(b_put_rollback),
      .s_full    (b_full),
      .is_tight  (b_tight),
      .m_record  (b_record),
      .m_valid   (b_valid),
      .m_ready   (b_ready),
      .rst       (rst)
  );

  assign pulse_b = b_mold_pulse | b_arbiter_pulse;

  // ---- the channel ----

  wire [8*DATA_SZ-1:0] data;
  wire [          5:0] len;
  wire [         63:0] seq, t_rx, gap_missing;
  wire [        511:0] record;
  wire line, message_valid, record_valid, is_on, pulse_gap, pulse_messages, pulse_drop_length, pulse_drop_unknown,
       pulse_drop_instrument, pulse_unknown_ref, pulse_records, pulse_drop_full;

  hwgw_arbiter u_arbiter (
      .clk            (clk),
      .cfg_jump_max   (cfg_jump_max),
      .cfg_hold_cycles(cfg_hold_cycles),
      .cfg_restart    (cfg_restart),
      .cfg_repair     (cfg_repair),
      .s_a_record     (a_record),
      .s_a_valid      (a_valid),
      .s_a_ready      (a_ready),
      .s_a_tight      (a_tight),
      .s_b_record     (b_record),
      .s_b_valid      (b_valid),
      .s_b_ready      (b_ready),
      .s_b_tight      (b_tight),
      .m_data         (data),
      .m_len          (len),
      .m_seq          (seq),
      .m_line         (line),
      .m_t_rx         (t_rx),
      .m_valid        (message_valid),
      .next_seq       (next_seq),
      .session        (session),
      .state          (state),
      .pulse_a        (a_arbiter_pulse),
      .pulse_b        (b_arbiter_pulse),
      .pulse_gap      (pulse_gap),
      .missing        (gap_missing),
      .rst            (rst)
  );

  hwgw_itch #(
      .LOCATE_W    (LOCATE_W),
      .INSTRUMENT_W(INSTRUMENT_W)
  ) u_itch (
      .clk                  (clk),
      .cfg_channel          (cfg_channel),
      .cfg_all              (cfg_all),
      .cfg_symbol_we        (cfg_symbol_we),
      .cfg_symbol_locate    (cfg_symbol_locate),
      .cfg_symbol_is_on     (cfg_symbol_is_on),
      .cfg_symbol_instrument(cfg_symbol_instrument),
      .s_data               (data),
      .s_len                (len),
      .s_seq                (seq),
      .s_line               (line),
      .s_t_rx               (t_rx),
      .s_valid              (message_valid),
      .m_event              (record),
      .m_valid              (record_valid),
      .m_is_on              (is_on),
      .pulse_messages       (pulse_messages),
      .pulse_drop_length    (pulse_drop_length),
      .pulse_drop_unknown   (pulse_drop_unknown),
      .pulse_drop_instrument(pulse_drop_instrument),
      .rst                  (rst)
  );

  hwgw_event #(
      .DEPTH(EVENT_DEPTH)
  ) u_event (
      .clk                (clk),
      .s_event            (record),
      .s_valid            (record_valid),
      .m_axis_event_tdata (m_axis_event_tdata),
      .m_axis_event_tvalid(m_axis_event_tvalid),
      .m_axis_event_tready(m_axis_event_tready),
      .pulse_records      (pulse_records),
      .pulse_drop_full    (pulse_drop_full),
      .rst                (rst)
  );

  hwgw_top #(
      .INSTRUMENT_W(INSTRUMENT_W),
      .ORDER_W     (ORDER_W)
  ) u_top (
      .clk              (clk),
      .cfg_restart      (cfg_restart),
      .s_event          (record),
      .s_valid          (record_valid && is_on),
      .m_price_tdata    (m_axis_price_tdata),
      .m_price_tvalid   (m_axis_price_tvalid),
      .price_instrument (price_instrument),
      .price_px         (price_px),
      .price_qty        (price_qty),
      .pulse_unknown_ref(pulse_unknown_ref),
      .rst              (rst)
  );

  always @(posedge clk) begin
    missing                                     <= gap_missing;
    pulse[`HWGW_CHANNEL_CNT_MOLD_GAPS]          <= pulse_gap;
    pulse[`HWGW_CHANNEL_CNT_MOLD_MISSING]       <= pulse_gap;
    pulse[`HWGW_CHANNEL_CNT_ITCH_MESSAGES]      <= pulse_messages;
    pulse[`HWGW_CHANNEL_CNT_ITCH_DROP_LENGTH]   <= pulse_drop_length;
    pulse[`HWGW_CHANNEL_CNT_ITCH_DROP_UNKNOWN]  <= pulse_drop_unknown;
    pulse[`HWGW_CHANNEL_CNT_BOOK_DROP_INSTRUMENT] <= pulse_drop_instrument;
    pulse[`HWGW_CHANNEL_CNT_BOOK_DROP_UNKNOWN_REF] <= pulse_unknown_ref;
    pulse[`HWGW_CHANNEL_CNT_BOOK_TOP_CHANGES]   <= m_axis_price_tvalid;
    pulse[`HWGW_CHANNEL_CNT_EVENT_RECORDS]      <= pulse_records;
    pulse[`HWGW_CHANNEL_CNT_EVENT_DROP_FULL]    <= pulse_drop_full;
    if (rst) pulse <= {`HWGW_CHANNEL_CNT_W{1'b0}};
  end

endmodule

`default_nettype wire
