// hwgw_risk: the pre-trade gate, event by event. The contract is docs/risk.md; cffi_build/src/risk.c is the same in C.
//
// SPDX-License-Identifier: MIT
//
// Input: one event record (hwgw/specs/order.yaml) at a time, in order of time. Output: the record with its answer: for new,
// replace and cancel the verdict, for all else what the event latched, 0 = pass. Every record is answered once, in order.
// One event is inside at a time, so each is judged on what the one before it left. A verdict stands at the port 8 cycles
// after its new or replace, 10 after its cancel; the next record is taken in the cycle behind it, when the verdict is taken.
// docs/decisions/0016-risk-gate-in-verilog.md has the latency of every kind.
// Order of checks: see hwgw_risk_check. Limits: see hwgw_risk_limits.
// halt: a level; it latches, and it counts until the cycle in which the reason is formed: nothing passes at or after it.
// rst: all state is 0 again (a memory row per cycle, tready is low until is_ready), no table is in force.
// At the limit: a verdict that is not taken stalls the events; nothing is lost.
// Parameters: INSTRUMENT_W 1 to 10, SLOT_W 1 to 12: anything else stops elaboration.
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_risk.vh"

module hwgw_risk #(
    parameter INSTRUMENT_W = 10,  // 2^INSTRUMENT_W instruments; an index above is refused with `instrument`
    parameter SLOT_W = 12         // 2^SLOT_W open orders
) (
    input  wire         clk,
    input  wire [511:0] s_axis_event_tdata,
    input  wire         s_axis_event_tvalid,
    output wire         s_axis_event_tready,
    output wire [511:0] m_axis_verdict_tdata,  // the record as it came
    output wire [  7:0] m_axis_verdict_tuser,  // HWGW_RISK_REASON_*, 0 = pass
    output wire [ 31:0] m_axis_verdict_px,     // of a new or replace: as priced (market orders)
    output wire         m_axis_verdict_tvalid,
    input  wire         m_axis_verdict_tready,
    input  wire [ 63:0] s_axis_limits_tdata,   // struct hwgw_limits, word 0 first
    input  wire         s_axis_limits_tvalid,
    output wire         s_axis_limits_tready,
    input  wire         s_axis_limits_tlast,
    input  wire         halt,
    input  wire [  7:0] halt_reason,           // HWGW_RISK_REASON_*; operator when it is none
    output wire [  7:0] halted,                // reason of the latch, 0 = not latched
    output wire [ 63:0] generation,            // of the table in force, 0 = none
    output wire         is_table_offered,
    output wire         is_ready,
    output wire         pulse_damaged,         // parity: the table in force was dropped
    output reg  [ 31:0] pulse,                 // bit = reason: an answer to new, replace or cancel
    input  wire [  5:0] verdict_addr,          // of the last 64: number mod 64
    output reg  [127:0] verdict_data,          // two cycles later: ts_ns, ref, instrument, kind, reason from the highest bit on
    output reg  [ 31:0] verdict_cnt,
    input  wire         rst
);

  generate
    if (INSTRUMENT_W < 1 || INSTRUMENT_W > 10 || SLOT_W < 1 || SLOT_W > 12) begin : g_bad_size
      hwgw_risk_size_is_out_of_range stop ();
    end
  endgenerate

  // ---- phases: an event goes through them from IDLE to DONE; those without a name only pass time ----

  localparam CLEAR = 0, IDLE = 1, FOUND = 2, READ = 3, OUT = 4, ROWS = 5, TORN = 6, S4 = 9;
  localparam F1 = 10, F5 = 14, F6 = 15, F7 = 16, F8 = 17, WALK = 18, M1 = 19, M4 = 22;
  localparam JUDGE = 23, DONE = 24;
  localparam [4:0] WALK_LAST = 23;

  localparam ROWS_W = INSTRUMENT_W + 4 > SLOT_W ? INSTRUMENT_W + 4 : SLOT_W;
  localparam CLEAR_W = ROWS_W > 6 ? ROWS_W : 6;  // of the memory with the most rows

  reg  [ DONE:0] phase_q;  // one bit is set
  reg  [  4:0] count_q;
  reg  [ 13:0] clear_q;
  reg  [511:0] event_q;
  reg  [  7:0] reason_q;
  reg          verdict_valid_q;
  reg          is_back_q;
  reg          is_open_q;                          // no record is inside, and no verdict at the port
  reg          is_clear_end_q, is_walk_end_q;      // it is the last cycle of that phase
  reg          is_inside_q;                        // it is not IDLE
  reg          is_walk_q;                          // of the accounts

  wire [  7:0] kind = event_q[8*`HWGW_ORDER_KIND_OFF+:8];
  wire [ 31:0] ref_id = event_q[8*`HWGW_ORDER_REF_OFF+:32];
  wire [ 31:0] orig_ref = event_q[8*`HWGW_ORDER_ORIG_REF_OFF+:32];
  wire [ 31:0] instrument_id = event_q[8*`HWGW_ORDER_INSTRUMENT_OFF+:32];
  wire [ 31:0] px = event_q[8*`HWGW_ORDER_PX_OFF+:32];
  wire [ 31:0] qty = event_q[8*`HWGW_ORDER_QTY_OFF+:32];
  wire [ 31:0] reason_given = event_q[8*`HWGW_ORDER_REASON_OFF+:32];
  wire [ 63:0] ts = event_q[8*`HWGW_ORDER_TS_NS_OFF+:64];
  wire [ 63:0] venue_ref = event_q[8*`HWGW_ORDER_VENUE_REF_OFF+:64];

  // a cycle behind the event, which is early enough: nothing but the phases asks before the rows are there
  reg is_order, is_cancel, is_replaced, is_broken, is_trade, is_release, is_venue, is_ref, is_feed, is_limits, is_known;
  reg is_feed_all, is_beat, is_halt, is_resume;

  always @(posedge clk) begin
    is_order    <= kind == `HWGW_ORDER_KIND_NEW || kind == `HWGW_ORDER_KIND_REPLACE;
    is_cancel   <= kind == `HWGW_ORDER_KIND_CANCEL;
    is_replaced <= kind == `HWGW_ORDER_KIND_REPLACED;
    is_broken   <= kind == `HWGW_ORDER_KIND_BROKEN;
    is_trade    <= kind == `HWGW_ORDER_KIND_EXECUTED || kind == `HWGW_ORDER_KIND_BROKEN;
    is_release  <= kind == `HWGW_ORDER_KIND_REJECTED || kind == `HWGW_ORDER_KIND_CANCELED || kind == `HWGW_ORDER_KIND_REPLACED;
    is_venue    <= kind >= `HWGW_ORDER_KIND_ACCEPTED && kind <= `HWGW_ORDER_KIND_BROKEN;
    is_ref      <= kind == `HWGW_ORDER_KIND_REF;
    is_feed     <= kind == `HWGW_ORDER_KIND_FEED;
    is_limits   <= kind == `HWGW_ORDER_KIND_LIMITS;
    is_known    <= kind != `HWGW_ORDER_KIND_NONE && kind <= `HWGW_ORDER_KIND_DISARM;
    is_feed_all <= kind == `HWGW_ORDER_KIND_FEED && instrument_id == {32{1'b1}};
    is_beat     <= kind == `HWGW_ORDER_KIND_BEAT;
    is_halt     <= kind == `HWGW_ORDER_KIND_HALT;
    is_resume   <= kind == `HWGW_ORDER_KIND_RESUME;
  end

  wire is_instrument = instrument_id >> INSTRUMENT_W == 32'd0;

  wire [7:0] kind_in = s_axis_event_tdata[8*`HWGW_ORDER_KIND_OFF+:8];
  wire is_look_in = kind_in >= `HWGW_ORDER_KIND_CANCEL && kind_in <= `HWGW_ORDER_KIND_REPLACED;
  wire accept = s_axis_event_tvalid && s_axis_event_tready;

  assign s_axis_event_tready   = is_open_q && !rst;
  assign m_axis_verdict_tdata  = event_q;
  assign m_axis_verdict_tuser  = reason_q;
  assign m_axis_verdict_tvalid = verdict_valid_q;
  wire verdict_valid_d = phase_q[JUDGE] || (verdict_valid_q && !m_axis_verdict_tready);
  assign is_ready              = !phase_q[CLEAR];

  wire is_believed, is_live, is_in_force, is_lost;
  wire [`HWGW_ROW_AT_W-1:0] at;
  wire [31:0] ref_px_now;
  reg has_ref_q;

  reg [DONE:0] phase_d;
  wire is_moving = (is_trade || is_release) && is_believed;
  wire is_walking = (is_ref && is_believed) || is_feed_all;
  wire is_walk_end = phase_q[WALK] && is_walk_end_q;

  always @* begin
    phase_d        = phase_q << 1;  // one after the other, but for
    phase_d[CLEAR] = phase_q[CLEAR] && !is_clear_end_q;
    phase_d[IDLE]  = (phase_q[CLEAR] && is_clear_end_q) || (phase_q[IDLE] && !accept) || phase_q[DONE];
    phase_d[FOUND] = accept && is_look_in;
    phase_d[OUT]   = phase_q[READ] || (accept && !is_look_in);
    phase_d[F1]    = phase_q[S4] && is_moving;
    phase_d[WALK]  = (phase_q[S4] && !is_moving && is_walking) || (phase_q[F8] && is_trade && !has_ref_q) ||
        (phase_q[WALK] && !is_walk_end_q);
    phase_d[M1]    = (phase_q[F8] && is_trade && has_ref_q) || (is_walk_end && is_trade);
    phase_d[JUDGE] = (phase_q[S4] && !is_moving && !is_walking) || (phase_q[F8] && !is_trade) ||
        (is_walk_end && !is_trade) || phase_q[M4];
    if (rst) begin
      phase_d        = {(DONE + 1) {1'b0}};
      phase_d[CLEAR] = 1'b1;
    end
  end

  always @(posedge clk) begin
    phase_q    <= phase_d;
    is_inside_q <= !phase_d[IDLE];
    is_walk_q  <= phase_d[WALK] && !is_feed;
    count_q    <= phase_q[WALK] ? count_q + 5'd1 : 5'd0;
    clear_q    <= phase_q[CLEAR] && !rst ? clear_q + 14'd1 : 14'd0;
    has_ref_q  <= at[`HWGW_ROW_AT_REF_PX] != 32'd0;
    is_clear_end_q <= !rst && clear_q[CLEAR_W-1:0] == {{(CLEAR_W - 1) {1'b1}}, 1'b0};
    is_walk_end_q  <= count_q == WALK_LAST - 5'd1;
    is_open_q      <= phase_d[IDLE] && !verdict_valid_d;
    if (is_open_q) event_q <= s_axis_event_tdata;
  end

  // ---- rows: memories are asked in the cycle in which the record comes, or behind the slot that names them ----

  wire [INSTRUMENT_W-1:0] instrument_in = s_axis_event_tdata[8*`HWGW_ORDER_INSTRUMENT_OFF+:INSTRUMENT_W];
  wire [             3:0] account_in = s_axis_event_tdata[8*`HWGW_ORDER_ACCOUNT_OFF+:4];
  wire [             5:0] strategy_in = s_axis_event_tdata[8*`HWGW_ORDER_STRATEGY_OFF+:6];
  wire [      SLOT_W-1:0] ref_in = s_axis_event_tdata[8*`HWGW_ORDER_REF_OFF+:SLOT_W];
  wire [INSTRUMENT_W-1:0] read_instrument = is_inside_q ? instrument_q : instrument_in;
  wire [             3:0] read_account = is_inside_q ? account_row_q : account_in;
  wire [             5:0] read_strategy = is_inside_q ? strategy_id_q : strategy_in;
  reg  [INSTRUMENT_W-1:0] instrument_q;
  reg  [             3:0] account_id_q;
  reg  [             3:0] account_row_q;  // the same, and in a walk count - 4
  reg  [             5:0] strategy_id_q;
  wire [`HWGW_ROW_ACCOUNT_W-1:0] account, account_d, gateway, gateway_d;
  wire [`HWGW_ROW_STRATEGY_W-1:0] strategy, strategy_d;
  wire [`HWGW_ROW_SLOT_W-1:0] slot_now, slot, slot_d, orig, orig_d;
  wire [`HWGW_ROW_AT_W-1:0] at_d;
  wire [63:0] feed;
  wire we_at, we_account, we_strategy, we_slot;
  wire is_orig_write = phase_q[JUDGE] && is_replaced && is_believed;
  wire [9:0] wide_instrument = {{(10 - INSTRUMENT_W) {1'b0}}, instrument_q};
  wire [63:0] feed_bit = 64'd1 << wide_instrument[5:0];
  reg  is_good_q;
  reg  [63:0] feed_of_one_q;  // with the instrument's bit as the event has it

  always @(posedge clk) begin
    is_good_q     <= qty == 32'd1;
    feed_of_one_q <= is_good_q ? feed | feed_bit : feed & ~feed_bit;
    if (accept) begin
      instrument_q  <= instrument_in;
      account_id_q  <= account_in;
      account_row_q <= account_in;
      strategy_id_q <= strategy_in;
    end
    if (phase_q[FOUND]) begin
      instrument_q  <= slot_instrument[INSTRUMENT_W-1:0];
      account_id_q  <= slot_now[`HWGW_ROW_SLOT_ACCOUNT];
      account_row_q <= slot_now[`HWGW_ROW_SLOT_ACCOUNT];
      strategy_id_q <= slot_now[`HWGW_ROW_SLOT_STRATEGY];
    end
    if (is_walk_q) account_row_q <= is_walk_end_q ? account_id_q : count_q[3:0] - 4'd3;
  end

  wire [9:0] slot_instrument = slot_now[`HWGW_ROW_SLOT_INSTRUMENT];

  hwgw_risk_state #(
      .INSTRUMENT_W(INSTRUMENT_W),
      .SLOT_W(SLOT_W)
  ) u_state (
      .clk(clk), .clear(phase_q[CLEAR]), .clear_addr(clear_q),
      .fetch(phase_q[OUT]), .fetch_orig(phase_q[ROWS]),
      .instrument(instrument_q), .account(account_id_q), .strategy(strategy_id_q),
      .read_instrument(read_instrument), .read_account(read_account), .read_strategy(read_strategy),
      .slot_addr(!is_inside_q ? ref_in : phase_q[OUT] ? orig_ref[SLOT_W-1:0] : ref_id[SLOT_W-1:0]), .slot_now(slot_now),
      .at_q(at), .ref_px_now(ref_px_now), .account_q(account), .gateway_q(gateway), .strategy_q(strategy), .slot_q(slot), .orig_q(orig),
      .feed_q(feed),
      .we_at(we_at), .at_d(at_d),
      .we_account(we_account), .account_d(account_d), .gateway_d(gateway_d),
      .we_strategy(we_strategy), .strategy_d(strategy_d),
      .we_slot(we_slot || is_orig_write),
      .slot_waddr(phase_q[DONE] ? ref_id[SLOT_W-1:0] : orig_ref[SLOT_W-1:0]), .slot_d(phase_q[DONE] ? slot_d : orig_d),
      .we_feed((phase_q[DONE] && is_feed && is_instrument) || (phase_q[WALK] && is_feed && !count_q[4])),
      .feed_waddr(phase_q[DONE] ? wide_instrument[9:6] : count_q[3:0]),
      .feed_d(phase_q[DONE] ? feed_of_one_q : {64{is_good_q}}),
      .rst(rst)
  );

  // ---- limits ----

  wire [319:0] limit_now, account_limit_now, gateway_limit;
  wire [255:0] strategy_limit_now;
  wire [  4:0] parity_now, account_parity_now;
  wire [  3:0] strategy_parity_now;
  reg  [ 13:0] parity_q;
  reg  [319:0] limit_q, account_limit_q;
  reg  [255:0] strategy_limit_q;
  reg  [ 13:0] is_torn_q;  // a bit per word
  reg  [ 79:0] walk_part_q;  // of each word its four parts, bit by bit
  reg  [  4:0] walk_parity_q;
  reg  [  4:0] is_walk_torn_q;
  wire [ 31:0] checks;
  wire [ 63:0] beat_age_max_ns, ref_age_max_ns, dup_window_ns;
  wire         is_sound;
  reg          drop_q;
  wire [ 13:0] is_odd;
  wire [  4:0] is_walk_odd;

  genvar word;
  generate
    for (word = 0; word < 5; word = word + 1) begin : g_parity
      assign is_odd[word]      = ^limit_q[64*word+:64];
      assign is_odd[5+word]    = ^account_limit_q[64*word+:64];
      assign is_walk_odd[word] = ^walk_part_q[16*word+:16];
      always @(posedge clk)
        walk_part_q[16*word+:16] <= account_limit_now[64*word+:16] ^ account_limit_now[64*word+16+:16] ^
            account_limit_now[64*word+32+:16] ^ account_limit_now[64*word+48+:16];
      if (word < 4) begin : g_strategy
        assign is_odd[10+word] = ^strategy_limit_q[64*word+:64];
      end
    end
  endgenerate

  always @(posedge clk) begin
    if (phase_q[OUT]) begin
      limit_q          <= limit_now;
      account_limit_q  <= account_limit_now;
      strategy_limit_q <= strategy_limit_now;
      parity_q         <= {strategy_parity_now, account_parity_now, parity_now};
    end
    if (!is_in_force || drop_q) begin  // no table: every limit is 0
      limit_q          <= 320'd0;
      account_limit_q  <= 320'd0;
      strategy_limit_q <= 256'd0;
    end
    is_torn_q      <= is_odd ^ parity_q;
    walk_parity_q  <= account_parity_now;
    is_walk_torn_q <= is_walk_odd ^ walk_parity_q;
    drop_q         <= is_in_force && !drop_q && !rst && ((phase_q[TORN] && is_torn_q != 14'd0) ||
        (is_walk_q && count_q >= 5'd7 && count_q < 5'd23 && is_walk_torn_q != 5'd0));
  end

  wire [ 31:0] collar_now = is_in_force ? limit_now[`HWGW_LIMITS_INSTRUMENT_COLLAR_Q16] : 32'd0;
  wire [ 63:0] walk_loss_max = is_in_force ? account_limit_now[`HWGW_LIMITS_ACCOUNT_LOSS_MAX] : 64'd0;

  assign pulse_damaged = drop_q;

  hwgw_risk_limits #(
      .INSTRUMENT_W(INSTRUMENT_W)
  ) u_limits (
      .clk(clk),
      .s_axis_limits_tdata(s_axis_limits_tdata), .s_axis_limits_tvalid(s_axis_limits_tvalid),
      .s_axis_limits_tready(s_axis_limits_tready), .s_axis_limits_tlast(s_axis_limits_tlast),
      .take(phase_q[JUDGE] && is_limits), .take_generation(venue_ref), .is_sound(is_sound),
      .is_table_offered(is_table_offered), .drop(drop_q), .is_in_force(is_in_force), .generation(generation),
      .checks(checks), .beat_age_max_ns(beat_age_max_ns), .ref_age_max_ns(ref_age_max_ns), .dup_window_ns(dup_window_ns),
      .gateway(gateway_limit),
      .instrument_addr(read_instrument), .instrument(limit_now), .account_addr(read_account),
      .account(account_limit_now), .strategy_addr(read_strategy), .strategy(strategy_limit_now),
      .instrument_parity(parity_now), .account_parity(account_parity_now), .strategy_parity(strategy_parity_now),
      .rst(rst)
  );

  // ---- what is the same for every instrument ----

  reg  [63:0] last_ts_q  /*verilator public_flat_rd*/;
  reg  [63:0] last_beat_q  /*verilator public_flat_rd*/;
  reg  [31:0] last_ref_q  /*verilator public_flat_rd*/;
  reg  [ 7:0] halted_q;
  reg  [ 7:0] halted_since_q;  // the wire, since the record that is inside came
  wire        is_halted_since = halted_since_q != 8'd0;
  reg  [ 7:0] halted_d;
  reg         is_latched_q;  // halted_q is not 0
  reg  [`HWGW_RISK_RECENT_MAX*`HWGW_ROW_RECENT_W-1:0] recent_q  /*verilator public_flat_rd*/;
  reg         is_sent_q;  // the event that is still at the port passed
  wire [31:0] px_priced;
  wire        is_pass;      // of a new, replace or cancel
  reg         is_passed_q;
  reg         is_money_q;   // a trade is stored
  wire [ 7:0] wire_reason = halt_reason != `HWGW_RISK_REASON_PASS && halt_reason < `HWGW_RISK_REASON_CNT ?
      halt_reason : `HWGW_RISK_REASON_OPERATOR;
  wire [ 7:0] halt_given = reason_given != 32'd0 && reason_given < {24'd0, `HWGW_RISK_REASON_CNT} ?
      reason_given[7:0] : `HWGW_RISK_REASON_OPERATOR;
  wire [`HWGW_ROW_RECENT_W-1:0] recent_d = {ts, qty, event_q[8*`HWGW_ORDER_SIDE_OFF+:2],
      event_q[8*`HWGW_ORDER_ACCOUNT_OFF+:4], instrument_id[9:0], px_priced};

  // the first reason stays; a resume clears what was before it, not a halt that came while it was inside
  // what the event says of it by itself is made in the cycle of its verdict, for that of its end; none is 0
  reg        is_end_q, is_resumed_q;
  reg  [7:0] halt_given_q;
  wire       is_fact = is_end_q && (reason_q == `HWGW_RISK_REASON_LOSS || reason_q == `HWGW_RISK_REASON_STATE);

  always @(posedge clk) begin
    is_end_q     <= phase_q[JUDGE] && is_known;
    is_resumed_q <= phase_q[JUDGE] && is_known && is_resume && !is_back_q;
    halt_given_q <= !phase_q[JUDGE] || !is_known ? 8'd0 :
        is_back_q ? `HWGW_RISK_REASON_CLOCK :
        is_halt ? halt_given : 8'd0;
    if (rst) begin
      is_end_q     <= 1'b0;
      is_resumed_q <= 1'b0;
      halt_given_q <= 8'd0;
    end
  end

  // as no reason is 0: halted_d is not 0
  wire is_latched_d = is_resumed_q ? halt || is_halted_since : is_latched_q || halt || halt_given_q != 8'd0 || is_fact;

  always @* begin
    if (is_resumed_q) halted_d = halt ? wire_reason : halted_since_q;
    else if (is_latched_q) halted_d = halted_q;
    else if (halt) halted_d = wire_reason;
    else halted_d = halt_given_q | (reason_q & {8{is_fact}});
  end

  assign halted = halted_q;
  assign m_axis_verdict_px = px_priced;

  always @(posedge clk) begin
    is_back_q <= ts < last_ts_q;
    halted_q  <= halted_d;
    is_latched_q <= is_latched_d;
    if (accept || !is_halted_since) halted_since_q <= halt ? wire_reason : 8'd0;
    if (phase_q[DONE] && is_known && !is_back_q) last_ts_q <= ts;
    if (phase_q[DONE] && is_beat) last_beat_q <= ts;
    is_sent_q <= phase_q[DONE] && is_order && is_passed_q;
    if (phase_q[DONE] && is_order && is_passed_q) last_ref_q <= ref_id;
    if (is_sent_q) begin
      recent_q <= {recent_q[0+:(`HWGW_RISK_RECENT_MAX-1)*`HWGW_ROW_RECENT_W], recent_d};
    end
    if (rst) begin
      halted_q       <= 8'd0;
      is_latched_q   <= 1'b0;
      halted_since_q <= 8'd0;
      last_ts_q      <= 64'd0;
      last_beat_q    <= 64'd0;
      last_ref_q     <= 32'd0;
      is_sent_q      <= 1'b0;
      recent_q       <= {(`HWGW_RISK_RECENT_MAX * `HWGW_ROW_RECENT_W) {1'b0}};
    end
  end

  // ---- the checks ----

  wire [  7:0] verdict;
  wire         is_verdict_pass;
  wire [ 63:0] notional;
  wire [  2:0] has_room;
  wire [191:0] left;
  wire [ 95:0] equity, gateway_equity;

  hwgw_risk_check #(
      .INSTRUMENT_W(INSTRUMENT_W)
  ) u_check (
      .clk(clk), .order(event_q), .is_halted(is_latched_q || halt || !is_in_force), .is_back(is_back_q),
      .last_beat(last_beat_q), .last_ref(last_ref_q), .recent(recent_q), .at(at),
      .fetch(phase_q[OUT]), .ref_px_now(ref_px_now), .collar_now(collar_now),
      .is_feed_good(feed[wide_instrument[5:0]]), .account(account), .gateway(gateway), .equity(equity),
      .gateway_equity(gateway_equity), .strategy(strategy), .slot(slot), .orig(orig), .checks(checks),
      .beat_age_max_ns(beat_age_max_ns), .ref_age_max_ns(ref_age_max_ns), .dup_window_ns(dup_window_ns), .limit(limit_q),
      .account_limit(account_limit_q), .gateway_limit(gateway_limit), .strategy_limit(strategy_limit_q), .reason(verdict), .is_pass(is_verdict_pass),
      .px_q3(px_priced), .notional_q5(notional), .has_room(has_room), .left(left)
  );

  // ---- what it changes ----

  wire         is_buy;
  wire [ 31:0] release_qty;
  wire [ 96:0] product;
  reg  [ 63:0] product_a_q, product_b_q, product_c_q, released_q;
  reg  [ 32:0] mark_step_q;  // signed
  wire [ 31:0] mark_px = has_ref_q ? at[`HWGW_ROW_AT_MARK_PX] : px;
  wire [ 31:0] slot_px = slot[`HWGW_ROW_SLOT_PX];
  wire [ 31:0] orig_px = orig[`HWGW_ROW_SLOT_PX];
  // which product begins, apart from phase_q, which goes far
  reg is_mul_release_q, is_mul_orig_q, is_mul_own_q;
  always @(posedge clk) begin
    is_mul_release_q <= phase_q[S4] && is_moving;
    is_mul_orig_q    <= phase_q[F1] && is_replaced;
    is_mul_own_q     <= phase_q[F1];
  end
  wire [ 31:0] mul_a = is_mul_release_q ? release_qty : is_mul_orig_q ? orig[`HWGW_ROW_SLOT_LEAVES] : qty;
  wire [ 31:0] mul_b = is_mul_release_q ? slot_px : is_mul_orig_q ? orig_px : is_mul_own_q ? px : mark_px;

  always @(posedge clk) begin
    mark_step_q <= {1'b0, px} - {1'b0, at[`HWGW_ROW_AT_MARK_PX]};
    if (phase_q[F5]) product_a_q <= product[63:0];
    if (phase_q[F6]) product_b_q <= product[63:0];
    if (phase_q[F7]) product_c_q <= product[63:0];
    released_q <= is_replaced ? product_a_q + product_b_q : product_a_q;
  end

  hwgw_risk_apply #(
      .INSTRUMENT_W(INSTRUMENT_W)
  ) u_apply (
      .clk(clk), .event_in(event_q), .store(phase_q[JUDGE]), .is_pass(is_pass), .is_back(is_back_q), .is_in_force(is_in_force),
      .is_rate_on(checks[`HWGW_RISK_CHECK_RATE]), .last_ref(last_ref_q), .px_priced(px_priced), .notional(notional),
      .released(released_q), .filled(product_b_q), .has_room(has_room), .left(left), .strategy_limit(strategy_limit_q),
      .at(at), .account(account), .gateway(gateway), .strategy(strategy), .slot(slot), .orig(orig),
      .is_believed(is_believed), .is_live(is_live), .is_buy(is_buy), .release_qty(release_qty),
      .we_at(we_at), .at_d(at_d), .we_account(we_account), .account_d(account_d), .gateway_d(gateway_d),
      .we_strategy(we_strategy), .strategy_d(strategy_d), .we_slot(we_slot), .slot_d(slot_d), .orig_d(orig_d)
  );

  hwgw_risk_money #(
      .INSTRUMENT_W(INSTRUMENT_W)
  ) u_money (
      .clk(clk), .clear(phase_q[CLEAR]), .clear_addr(clear_q), .fetch(phase_q[OUT]), .instrument(instrument_q),
      .account(account_id_q), .read_account(read_account), .walk(is_walk_q), .count(count_q), .is_judged(is_ref),
      .step(mark_step_q), .mul_a({32'd0, mul_a}), .mul_b({1'b0, mul_b}), .p(product),
      .trade_begin(phase_q[M1]), .is_bought(is_buy != is_broken), .qty(qty), .cash_moved(product_b_q),
      .mark_moved(product_c_q), .commit(is_money_q),
      .walk_loss_max(walk_loss_max), .loss_max(account_limit_q[`HWGW_LIMITS_ACCOUNT_LOSS_MAX]),
      .gateway_loss_max(gateway_limit[`HWGW_LIMITS_ACCOUNT_LOSS_MAX]), .is_lost(is_lost), .equity_q(equity),
      .gateway_equity_q(gateway_equity), .rst(rst)
  );

  // ---- the answer ----

  wire [7:0] fact =
      is_back_q ? `HWGW_RISK_REASON_CLOCK :
      is_venue && !is_believed ? `HWGW_RISK_REASON_STATE :
      is_limits && !is_sound ? `HWGW_RISK_REASON_HALTED :
      (is_trade || (is_ref && is_believed)) && is_lost && checks[`HWGW_RISK_CHECK_LOSS] ? `HWGW_RISK_REASON_LOSS :
      `HWGW_RISK_REASON_PASS;
  wire [7:0] answer =
      is_order ? verdict :
      is_cancel ? (is_live ? `HWGW_RISK_REASON_PASS : `HWGW_RISK_REASON_MALFORMED) :
      is_known ? fact : `HWGW_RISK_REASON_MALFORMED;

  assign is_pass = is_order ? is_verdict_pass : is_live;

  always @(posedge clk) begin
    if (phase_q[JUDGE]) begin
      reason_q    <= answer;
      is_passed_q <= is_pass;
    end
    is_money_q <= phase_q[JUDGE] && is_trade && is_believed;
    verdict_valid_q <= verdict_valid_d;
    pulse <= phase_q[DONE] && (is_order || is_cancel) ? 32'd1 << reason_q : 32'd0;
    if (phase_q[DONE]) verdict_cnt <= verdict_cnt + 32'd1;
    if (rst) begin
      verdict_valid_q <= 1'b0;
      verdict_cnt     <= 32'd0;
      pulse           <= 32'd0;
    end
  end

  // ---- the last 64 ----

  wire [127:0] last;

  hwgw_risk_ram #(
      .WIDTH (128),
      .ADDR_W(6)
  ) u_last (
      .clk(clk),
      .we(phase_q[DONE]),
      .waddr(verdict_cnt[5:0]),
      .wdata({ts, ref_id, instrument_id[15:0], kind, reason_q}),
      .raddr(verdict_addr),
      .rdata(last)
  );

  always @(posedge clk) verdict_data <= last;

  wire unused_bits = &{1'b0, slot_instrument, slot_now, orig_ref, product};

endmodule

`default_nettype wire
