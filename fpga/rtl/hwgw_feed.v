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
`include "hwgw_ports.vh"

module hwgw_feed #(
    parameter HOLD_DEPTH = 1024,
    parameter EVENT_DEPTH = 512,
    parameter ORDER_W = 12,
    parameter LOCATE_W = 14
) (
    input  wire                          clk,
    input  wire [                  63:0] now,
    `HWGW_LINES_PORTS
    `HWGW_CONTROL_PORTS
    `HWGW_EVENT_PORTS
    output wire [                 511:0] m_event,              // as decoded, of an instrument in the symbol table
    output wire                          m_event_valid,
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

  // ---- the lines: 0 is A, 1 is B ----

  wire [           127:0] line_tdata = {s_axis_b_tdata, s_axis_a_tdata};
  wire [            15:0] line_tkeep = {s_axis_b_tkeep, s_axis_a_tkeep};
  wire [             1:0] line_tvalid = {s_axis_b_tvalid, s_axis_a_tvalid};
  wire [             1:0] line_tlast = {s_axis_b_tlast, s_axis_a_tlast};
  wire [             1:0] line_tuser = {s_axis_b_tuser, s_axis_a_tuser};
  wire [            63:0] line_group = {cfg_group_b, cfg_group_a};
  wire [            31:0] line_port = {cfg_port_b, cfg_port_a};
  wire [             1:0] payload_tvalid, payload_tlast, verdict_valid;
  wire [2*LINE_CNT_W-1:0] mold_pulse, arbiter_pulse;
  wire [  2*RECORD_W-1:0] held_record;
  wire [             7:0] held_kind;
  wire [             1:0] held_valid, held_ready, is_tight;

  genvar line_idx;
  generate
    for (line_idx = 0; line_idx < 2; line_idx = line_idx + 1) begin : g_line
      wire [          63:0] tdata, t_rx;
      wire [           7:0] tkeep, tzero;
      wire [LINE_CNT_W-1:0] verdict_cause;
      wire [  RECORD_W-1:0] record;
      wire is_refused, is_dropped, record_valid, commit, rollback, is_full, line_clk;

      hwgw_clock #(
          .LINGER(32)
      ) u_clock (
          .clk      (clk),
          .is_active(line_tvalid[line_idx] || held_valid[line_idx]),
          .m_clk    (line_clk),
          .rst      (rst)
      );

      hwgw_udp u_udp (
          .clk            (line_clk),
          .now            (now),
          .cfg_enable     (cfg_enable),
          .cfg_group      (line_group[32*line_idx+:32]),
          .cfg_port       (line_port[16*line_idx+:16]),
          .s_axis_tdata   (line_tdata[64*line_idx+:64]),
          .s_axis_tkeep   (line_tkeep[8*line_idx+:8]),
          .s_axis_tvalid  (line_tvalid[line_idx]),
          .s_axis_tlast   (line_tlast[line_idx]),
          .s_axis_tuser   (line_tuser[line_idx]),
          .m_axis_tdata   (tdata),
          .m_axis_tkeep   (tkeep),
          .m_axis_tzero   (tzero),
          .m_axis_tvalid  (payload_tvalid[line_idx]),
          .m_axis_tlast   (payload_tlast[line_idx]),
          .m_t_rx         (t_rx),
          .m_refused      (is_refused),
          .m_verdict_valid(verdict_valid[line_idx]),
          .m_verdict_drop (is_dropped),
          .m_verdict_cause(verdict_cause),
          .rst            (rst)
      );

      hwgw_mold u_mold (
          .clk            (line_clk),
          .cfg_verified   (cfg_verified),
          .s_axis_tdata   (tdata),
          .s_axis_tkeep   (tkeep),
          .s_axis_tzero   (tzero),
          .s_axis_tvalid  (payload_tvalid[line_idx]),
          .s_axis_tlast   (payload_tlast[line_idx]),
          .s_t_rx         (t_rx),
          .s_refused      (is_refused),
          .s_verdict_valid(verdict_valid[line_idx]),
          .s_verdict_drop (is_dropped),
          .s_verdict_cause(verdict_cause),
          .m_record       (record),
          .m_valid        (record_valid),
          .m_commit       (commit),
          .m_rollback     (rollback),
          .s_full         (is_full),
          .pulse          (mold_pulse[LINE_CNT_W*line_idx+:LINE_CNT_W]),
          .rst            (rst)
      );

      hwgw_hold #(
          .WIDTH(RECORD_W),
          .DEPTH(HOLD_DEPTH)
      ) u_hold (
          .clk       (line_clk),
          .s_record  (record),
          .s_valid   (record_valid),
          .s_commit  (commit),
          .s_rollback(rollback),
          .s_full    (is_full),
          .is_tight  (is_tight[line_idx]),
          .m_record  (held_record[RECORD_W*line_idx+:RECORD_W]),
          .m_kind    (held_kind[4*line_idx+:4]),
          .m_valid   (held_valid[line_idx]),
          .m_ready   (held_ready[line_idx]),
          .rst       (rst)
      );
    end
  endgenerate

  assign {pulse_b, pulse_a} = mold_pulse | arbiter_pulse;

  // ---- the channel ----

  wire [8*DATA_SZ-1:0] data;
  wire [          7:0] code_n;
  wire [          5:0] len;
  wire [         63:0] seq, t_rx, gap_missing;
  wire [        511:0] record;
  wire line, message_valid, record_valid, is_on, pulse_gap, pulse_messages, pulse_drop_length, pulse_drop_unknown,
       pulse_drop_instrument, pulse_unknown_ref, pulse_records, pulse_drop_full;

  hwgw_arbiter u_arbiter (
      .clk            (clk),
      .cfg_jump_max   (cfg_jump_max),
      .cfg_hold_cycles(cfg_hold_cycles),
      .cmd_restart    (cmd_restart),
      .cmd_repair     (cmd_repair),
      .s_a_record     (held_record[RECORD_W*0+:RECORD_W]),
      .s_a_kind       (held_kind[3:0]),
      .s_a_valid      (held_valid[0]),
      .s_a_ready      (held_ready[0]),
      .s_a_tight      (is_tight[0]),
      .s_b_record     (held_record[RECORD_W*1+:RECORD_W]),
      .s_b_kind       (held_kind[7:4]),
      .s_b_valid      (held_valid[1]),
      .s_b_ready      (held_ready[1]),
      .s_b_tight      (is_tight[1]),
      .m_data         (data),
      .m_code_n       (code_n),
      .m_len          (len),
      .m_seq          (seq),
      .m_line         (line),
      .m_t_rx         (t_rx),
      .m_valid        (message_valid),
      .next_seq       (next_seq),
      .session        (session),
      .state          (state),
      .pulse_a        (arbiter_pulse[LINE_CNT_W*0+:LINE_CNT_W]),
      .pulse_b        (arbiter_pulse[LINE_CNT_W*1+:LINE_CNT_W]),
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
      .cmd_symbol_locate        (cmd_symbol_locate),
      .cfg_symbol_locate    (cfg_symbol_locate),
      .cfg_symbol_is_on     (cfg_symbol_is_on),
      .cfg_symbol_instrument(cfg_symbol_instrument),
      .s_data               (data),
      .s_code_n             (code_n),
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

  assign m_event       = record;
  assign m_event_valid = record_valid && is_on;

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
      .cmd_restart      (cmd_restart),
      .s_event          (record),
      .s_valid          (m_event_valid),
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
