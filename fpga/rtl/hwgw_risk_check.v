// hwgw_risk_check: the 18 checks of an order, and what it changes when it passes.
//
// SPDX-License-Identifier: MIT
//
// Input: an order, the rows of state and limits that it touches, the time and what is latched; all still from the cycle of
// the rows on (cycle 0 here), the order from the cycle before. Output: reason, 0 = pass, a function of cycle 5 and of is_halted in that very cycle; px, the
// price as priced, from cycle 3 on, and its product with qty from cycle 5 on; what is left in the buckets.
// Order: halted, control_stale, clock, malformed, strategy, instrument, feed, qty, notional, collar, position, short_sale,
// credit, open_orders, duplicate, self_cross, rate, loss: the first that fails is the answer. A check is off only by its bit
// in checks; halted, clock, malformed, and the parts of others on which state rests, cannot be off (docs/risk.md).
// Latency: constant. No limit and no value decides when an answer comes.
// Registers run free: behind inputs that stand still, stage n is right n cycles later.
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_risk.vh"

module hwgw_risk_check #(
    parameter INSTRUMENT_W = 10
) (
    input  wire                                               clk,
    input  wire [                                      511:0] order,
    input  wire                                               is_halted,
    input  wire                                               is_back,           // older than an event before
    input  wire [                                       63:0] last_beat,
    input  wire [                                       31:0] last_ref,
    input  wire [`HWGW_RISK_RECENT_MAX*`HWGW_ROW_RECENT_W-1:0] recent,
    input  wire [                         `HWGW_ROW_AT_W-1:0] at,
    input  wire                                               fetch,             // the cycle before the rows stand: in it
    input  wire [                                       31:0] ref_px_now,        // the reference price and
    input  wire [                                       31:0] collar_now,        // the collar's share, 0 without a table
    input  wire                                               is_feed_good,
    input  wire [                    `HWGW_ROW_ACCOUNT_W-1:0] account,
    input  wire [                    `HWGW_ROW_ACCOUNT_W-1:0] gateway,
    input  wire [                                       95:0] equity,
    input  wire [                                       95:0] gateway_equity,
    input  wire [                   `HWGW_ROW_STRATEGY_W-1:0] strategy,
    input  wire [                       `HWGW_ROW_SLOT_W-1:0] slot,
    input  wire [                       `HWGW_ROW_SLOT_W-1:0] orig,              // from cycle 1 on
    input  wire [                                       31:0] checks,
    input  wire [                                       63:0] beat_age_max_ns,
    input  wire [                                       63:0] ref_age_max_ns,
    input  wire [                                       63:0] dup_window_ns,
    input  wire [                                      319:0] limit,             // of the instrument
    input  wire [                                      319:0] account_limit,
    input  wire [                                      319:0] gateway_limit,
    input  wire [                                      255:0] strategy_limit,
    output wire [                                        7:0] reason,
    output wire                                               is_pass,           // reason is pass, known earlier
    output reg  [                                       31:0] px_q3,
    output reg  [                                       63:0] notional_q5,
    output wire [                                        2:0] has_room,          // strategy, account, gateway
    output wire [                                      191:0] left
);

  localparam [31:0] PX_MAX = `HWGW_RISK_PX_MAX;
  localparam [32:0] INSTRUMENTS = 33'd1 << INSTRUMENT_W;

  wire [ 7:0] kind = order[8*`HWGW_ORDER_KIND_OFF+:8];
  wire [ 7:0] side = order[8*`HWGW_ORDER_SIDE_OFF+:8];
  wire [ 7:0] type_code = order[8*`HWGW_ORDER_TYPE_OFF+:8];
  wire [ 7:0] tif = order[8*`HWGW_ORDER_TIF_OFF+:8];
  wire [15:0] flags = order[8*`HWGW_ORDER_FLAGS_OFF+:16];
  wire [ 7:0] account_id = order[8*`HWGW_ORDER_ACCOUNT_OFF+:8];
  wire [ 7:0] strategy_id = order[8*`HWGW_ORDER_STRATEGY_OFF+:8];
  wire [31:0] ref_id = order[8*`HWGW_ORDER_REF_OFF+:32];
  wire [31:0] orig_ref = order[8*`HWGW_ORDER_ORIG_REF_OFF+:32];
  wire [31:0] instrument = order[8*`HWGW_ORDER_INSTRUMENT_OFF+:32];
  wire [31:0] px = order[8*`HWGW_ORDER_PX_OFF+:32];
  wire [31:0] qty = order[8*`HWGW_ORDER_QTY_OFF+:32];
  wire [63:0] ts = order[8*`HWGW_ORDER_TS_NS_OFF+:64];
  reg is_buy, is_market;  // right from cycle 0 on

  always @(posedge clk) begin
    is_buy    <= side == `HWGW_ORDER_SIDE_BUY;
    is_market <= type_code == `HWGW_ORDER_TYPE_MARKET;
  end

  // ---- 2 to 8: may anything be sent, by this strategy, in this instrument ----

  reg  [64:0] beat_age_q;  // signed
  reg         is_stale_q2;
  reg         is_form_bad_q;
  reg         is_form_bad_q2;
  reg         is_size_bad_q;
  reg         is_ref_bad_q;
  reg         is_feed_bad_q;
  reg         is_orig_ref_q2, is_orig_left_q2, is_orig_like_q2;
  reg         is_orig_bad_q3;
  reg         is_disarmed_q;
  reg         is_instrument_bad_q;
  reg         is_instrument_off_q;
  reg         is_big_q;
  wire [15:0] flags_allowed = is_buy ? 16'd0 : `HWGW_ORDER_FLAGS_SHORT_SALE | `HWGW_ORDER_FLAGS_SHORT_EXEMPT;
  wire        is_tired = strategy[`HWGW_ROW_STRATEGY_FILLS] >= strategy_limit[`HWGW_LIMITS_STRATEGY_FILLS_MAX] ||
      strategy[`HWGW_ROW_STRATEGY_REJECTS] >= strategy_limit[`HWGW_LIMITS_STRATEGY_REJECTS_RUN_MAX];
  wire [31:0] restricted = limit[`HWGW_LIMITS_INSTRUMENT_RESTRICTED_ACCOUNTS];
  wire [31:0] instrument_flags = limit[`HWGW_LIMITS_INSTRUMENT_FLAGS];

  always @(posedge clk) begin
    beat_age_q <= {1'b0, ts} - {1'b0, last_beat};
    is_stale_q2 <= last_beat == 64'd0 || (!beat_age_q[64] && beat_age_q[63:0] > beat_age_max_ns);
    is_form_bad_q <= (!is_buy && side != `HWGW_ORDER_SIDE_SELL) || (!is_market && type_code != `HWGW_ORDER_TYPE_LIMIT) ||
        (tif != `HWGW_ORDER_TIF_DAY && tif != `HWGW_ORDER_TIF_IOC) || (flags & ~flags_allowed) != 16'd0;
    is_size_bad_q <= qty == 32'd0 || (px == 32'd0) != is_market || px > PX_MAX;
    is_ref_bad_q <= account_id >= `HWGW_RISK_ACCOUNTS_MAX ||
        strategy_id >= `HWGW_RISK_STRATEGIES_MAX || ref_id <= last_ref;
    is_form_bad_q2 <= is_form_bad_q || is_size_bad_q || is_ref_bad_q;
    is_feed_bad_q <= !is_feed_good;
    is_orig_ref_q2 <= orig[`HWGW_ROW_SLOT_REF] == orig_ref;
    is_orig_left_q2 <= orig[`HWGW_ROW_SLOT_LEAVES] != 32'd0;
    is_orig_like_q2 <= {22'd0, orig[`HWGW_ROW_SLOT_INSTRUMENT]} == instrument &&
        {4'd0, orig[`HWGW_ROW_SLOT_ACCOUNT]} == account_id && {6'd0, orig[`HWGW_ROW_SLOT_SIDE]} == side &&
        {14'd0, orig[`HWGW_ROW_SLOT_FLAGS]} == flags;
    is_orig_bad_q3 <= kind == `HWGW_ORDER_KIND_NEW ? orig_ref != 32'd0 : !(is_orig_ref_q2 && is_orig_left_q2 && is_orig_like_q2);
    is_disarmed_q <= is_tired || !strategy[`HWGW_ROW_STRATEGY_IS_ARMED];
    is_instrument_bad_q <= {1'b0, instrument} >= INSTRUMENTS;
    is_instrument_off_q <= (instrument_flags & `HWGW_RISK_INSTRUMENT_FLAGS_ENABLED) == 32'd0 || restricted[account_id[4:0]];
    is_big_q <= qty > limit[`HWGW_LIMITS_INSTRUMENT_QTY_MAX];
  end

  // ---- 9 and 10: the price ----

  wire [ 63:0] share_sum, share_carry;  // ref x share; below bit 16 there is only the sum, and it is cut off
  reg  [ 48:0] high_share_q2;
  reg  [ 48:0] low_share_inv_q2;  // ~ of it; signed, as all that are low
  reg          is_least_q2;  // the band is the least one, else the share
  reg  [ 48:0] high_min_q;
  reg  [ 48:0] low_min_q;
  reg          is_high_min_wide_q2;
  reg          is_low_min_none_q2;
  reg  [ 63:0] ref_age_q;
  reg          is_ref_old_q2;
  reg          is_above_q4;
  reg          is_below_q4;
  wire [ 31:0] ref_px = at[`HWGW_ROW_AT_REF_PX];
  wire [ 48:0] ref_wide = {17'd0, ref_px};
  wire [ 48:0] band_min = {17'd0, limit[`HWGW_LIMITS_INSTRUMENT_COLLAR_PX_MIN]};
  wire [ 48:0] share_a = {1'b0, share_sum[63:16]};
  wire [ 48:0] share_b = {1'b0, share_carry[63:16]};
  wire [ 49:0] min_less_share_inv;  // signed, as the next two
  wire [ 49:0] max_less_high_inv;
  wire [ 49:0] share_less_ref;
  wire [ 48:0] high_share, low_share_inv;
  wire [ 48:0] high = is_least_q2 ? high_min_q : high_share_q2;
  wire [ 48:0] low_share = ~low_share_inv_q2;
  wire [ 48:0] low = is_least_q2 ? low_min_q : low_share;
  reg          is_high_share_slim_q2;
  reg  [ 32:0] max_less_ref_q;  // signed
  wire         is_high_wide = is_least_q2 ? is_high_min_wide_q2 : !is_high_share_slim_q2;
  reg          is_low_share_some_q2;
  reg  [ 32:0] ref_less_q;  // 1 less; signed
  wire         is_low_none = is_least_q2 ? is_low_min_none_q2 : !is_low_share_some_q2;
  reg  [ 48:0] high_q3;
  reg  [ 48:0] low_q3;
  wire [ 31:0] px_buy = is_high_wide ? PX_MAX : high[31:0];
  // a price of 0 differs from 1 in its lowest bit alone
  wire [ 31:0] px_sell = low[31:0] & {32{!low[48]}} | {31'd0, is_low_none};
  reg          has_ref_q;
  wire [ 31:0] px_market = !has_ref_q ? 32'd0 : is_buy ? px_buy : px_sell;
  wire [ 31:0] px_priced = is_market ? px_market : px;
  wire         is_both = (instrument_flags & `HWGW_RISK_INSTRUMENT_FLAGS_COLLAR_BOTH) != 32'd0;

  always @(posedge clk) begin
    high_share_q2 <= high_share;
    low_share_inv_q2 <= low_share_inv;
    is_least_q2   <= min_less_share_inv[49];
    max_less_ref_q <= {1'b0, PX_MAX} - {1'b0, ref_px};
    ref_less_q     <= {1'b0, ref_px} - 33'd1;
    is_low_share_some_q2 <= share_less_ref[49];
    is_high_share_slim_q2 <= max_less_high_inv[49];
    has_ref_q     <= ref_px != 32'd0;
    high_min_q    <= ref_wide + band_min;
    low_min_q     <= ref_wide - band_min;
    is_high_min_wide_q2 <= high_min_q > {17'd0, PX_MAX};
    is_low_min_none_q2  <= low_min_q[48] || low_min_q[31:0] == 32'd0;
    ref_age_q     <= ts - at[`HWGW_ROW_AT_REF_TS];
    is_ref_old_q2 <= !has_ref_q || ref_age_q > ref_age_max_ns;
    high_q3       <= high;
    low_q3        <= low;
    px_q3         <= px_priced;
    is_above_q4   <= {17'd0, px_q3} > high_q3;
    is_below_q4   <= !low_q3[48] && {17'd0, px_q3} < low_q3;
  end

  hwgw_risk_product u_share (
      .clk(clk), .keep(fetch), .a(ref_px_now), .b(collar_now), .sum(share_sum), .carry(share_carry)
  );

  hwgw_risk_three #(
      .WIDTH(49)
  ) u_high_share (
      .a(ref_wide), .b(share_a), .c(share_b), .y(high_share)
  );

  hwgw_risk_three #(
      .WIDTH(49)
  ) u_low_share (
      .a(~ref_wide), .b(share_a), .c(share_b), .y(low_share_inv)
  );

  hwgw_risk_three #(
      .WIDTH(50)
  ) u_min_less_share (
      .a(~{1'b0, band_min}), .b({1'b0, share_a}), .c({1'b0, share_b}), .y(min_less_share_inv)
  );

  hwgw_risk_three #(
      .WIDTH(50)
  ) u_share_less_ref (
      .a(~{{17{ref_less_q[32]}}, ref_less_q}), .b({1'b0, share_a}), .c({1'b0, share_b}), .y(share_less_ref)
  );

  hwgw_risk_three #(
      .WIDTH(50)
  ) u_max_less_high (
      .a(~{{17{max_less_ref_q[32]}}, max_less_ref_q}), .b({1'b0, share_a}), .c({1'b0, share_b}), .y(max_less_high_inv)
  );

  wire [63:0] notional_sum, notional_carry;
  wire [63:0] notional = notional_sum + notional_carry;
  wire        is_notional_bad_q5;

  always @(posedge clk) notional_q5 <= notional;

  hwgw_risk_product u_notional (
      .clk(clk), .keep(1'b1), .a(px_priced), .b(qty), .sum(notional_sum), .carry(notional_carry)
  );

  hwgw_risk_room u_notional_room (
      .clk(clk), .room(limit[`HWGW_LIMITS_INSTRUMENT_NOTIONAL_MAX]), .sum(notional_sum), .carry(notional_carry),
      .is_short(is_notional_bad_q5)
  );

  // ---- 11 and 12: worst-case position and short shares ----

  reg         is_position_bad_q;
  reg         is_position_wide_q;
  reg         is_short_bad_q;
  reg         is_short_wide_q;
  reg  signed [33:0] worst_q;
  reg         [32:0] short_used_q;
  wire [31:0] worst_now = is_buy ? at[`HWGW_ROW_AT_LONG_WORST] : at[`HWGW_ROW_AT_SHORT_WORST];
  wire [31:0] worst_max = is_buy ? limit[`HWGW_LIMITS_INSTRUMENT_LONG_MAX] : limit[`HWGW_LIMITS_INSTRUMENT_SHORT_MAX];
  wire        is_marked = flags != 16'd0;
  reg  [31:0] worst_max_q;
  reg         is_marked_q;

  always @(posedge clk) begin
    worst_max_q        <= worst_max;
    is_marked_q        <= is_marked;
    worst_q            <= $signed({{2{worst_now[31]}}, worst_now}) + $signed({2'd0, qty});
    short_used_q       <= {1'b0, at[`HWGW_ROW_AT_SHORT_USED]} + {1'b0, qty};
    is_position_bad_q  <= worst_q > $signed({{2{worst_max_q[31]}}, worst_max_q});
    is_position_wide_q <= worst_q > 34'sh7FFFFFFF;
    is_short_bad_q     <= !is_buy &&
        (is_marked_q ? short_used_q > {1'b0, limit[`HWGW_LIMITS_INSTRUMENT_LOCATE_QTY]} : worst_q > 34'sd0);
    is_short_wide_q    <= !is_buy && is_marked_q && short_used_q[32];
  end

  // ---- 13 and 14: credit and open orders ----

  // with the check off the sum of what is open must not wrap all the same: there is room up to 2^64 - 1 then, and no fills
  reg  [64:0] used_q, gateway_used_q;
  reg  [63:0] credit_max_q, gateway_credit_max_q;
  reg  [65:0] room_q2, gateway_room_q2;  // signed
  reg         is_room_bad_q3;
  reg         is_room_bad_q4;
  reg         is_room_bad_q5;
  reg  [63:0] room_q3;
  wire        is_room_short_q5;
  wire        is_credit_bad_q5 = is_room_bad_q5 || is_room_short_q5;
  reg         is_open_bad_q;
  reg         is_slot_live_q;
  wire [63:0] open = account[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL];
  wire [63:0] gateway_open = gateway[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL];
  wire        on_credit = checks[`HWGW_RISK_CHECK_CREDIT];
  wire [63:0] filled = on_credit ? account[`HWGW_ROW_ACCOUNT_FILLED_NOTIONAL] : 64'd0;
  wire [63:0] gateway_filled = on_credit ? gateway[`HWGW_ROW_ACCOUNT_FILLED_NOTIONAL] : 64'd0;
  wire [63:0] credit_max = on_credit ? account_limit[`HWGW_LIMITS_ACCOUNT_CREDIT_MAX] : {64{1'b1}};
  wire [63:0] gateway_credit_max = on_credit ? gateway_limit[`HWGW_LIMITS_ACCOUNT_CREDIT_MAX] : {64{1'b1}};

  hwgw_risk_room u_credit_room (
      .clk(clk), .room(room_q3), .sum(notional_sum), .carry(notional_carry), .is_short(is_room_short_q5)
  );

  always @(posedge clk) begin
    used_q          <= {1'b0, open} + {1'b0, filled};
    gateway_used_q  <= {1'b0, gateway_open} + {1'b0, gateway_filled};
    credit_max_q    <= credit_max;
    gateway_credit_max_q <= gateway_credit_max;
    room_q2         <= {2'd0, credit_max_q} - {1'b0, used_q};
    gateway_room_q2 <= {2'd0, gateway_credit_max_q} - {1'b0, gateway_used_q};
    is_room_bad_q3  <= room_q2[65] || gateway_room_q2[65];
    room_q3         <= room_q2[63:0] < gateway_room_q2[63:0] ? room_q2[63:0] : gateway_room_q2[63:0];
    is_room_bad_q4  <= is_room_bad_q3;
    is_room_bad_q5  <= is_room_bad_q4;
    is_open_bad_q   <= {19'd0, account[`HWGW_ROW_ACCOUNT_OPEN_CNT]} >= account_limit[`HWGW_LIMITS_ACCOUNT_OPEN_MAX] ||
        {19'd0, gateway[`HWGW_ROW_ACCOUNT_OPEN_CNT]} >= gateway_limit[`HWGW_LIMITS_ACCOUNT_OPEN_MAX];
    is_slot_live_q  <= slot[`HWGW_ROW_SLOT_LEAVES] != 32'd0;
  end

  // ---- 15 and 16: beside what was sent before ----

  // an order with more in these numbers than a row has bits was refused before: malformed, or no instrument
  reg                               is_cross_q4;
  wire [`HWGW_RISK_RECENT_MAX-1:0]  is_again;  // in cycle 4
  wire [                      31:0] bid_max = at[`HWGW_ROW_AT_OWN_BID_MAX];
  wire [                      31:0] ask_min_inv = at[`HWGW_ROW_AT_OWN_ASK_MIN_INV];

  genvar k;
  generate
    for (k = 0; k < `HWGW_RISK_RECENT_MAX; k = k + 1) begin : g_recent
      wire [`HWGW_ROW_RECENT_W-1:0] row = recent[`HWGW_ROW_RECENT_W*k+:`HWGW_ROW_RECENT_W];
      wire [31:0] row_qty = row[`HWGW_ROW_RECENT_QTY];
      wire [31:0] row_px = row[`HWGW_ROW_RECENT_PX];
      reg [63:0] age_q;
      reg        is_high_young_q2, is_high_same_q2, is_low_young_q2;  // in halves, which do not wait for each other
      reg        is_like_q, is_high_qty_q, is_low_qty_q;
      reg        is_again_q2, is_again_q3, is_high_again_q4, is_low_again_q4;
      always @(posedge clk) begin
        age_q       <= ts - row[`HWGW_ROW_RECENT_TS];
        is_high_young_q2 <= age_q[63:32] < dup_window_ns[63:32];
        is_high_same_q2  <= age_q[63:32] == dup_window_ns[63:32];
        is_low_young_q2  <= age_q[31:0] <= dup_window_ns[31:0];
        is_high_qty_q <= row_qty[31:16] == qty[31:16];
        is_low_qty_q  <= row_qty[15:0] == qty[15:0];
        is_like_q   <= row[`HWGW_ROW_RECENT_INSTRUMENT] == instrument[9:0] &&
            row[`HWGW_ROW_RECENT_ACCOUNT] == account_id[3:0] && row[`HWGW_ROW_RECENT_SIDE] == side[1:0];
        is_again_q2 <= is_high_qty_q && is_low_qty_q && is_like_q;
        is_again_q3 <= is_again_q2 && (is_high_young_q2 || (is_high_same_q2 && is_low_young_q2));
        is_high_again_q4 <= is_again_q3 && row_px[31:16] == px_q3[31:16];
        is_low_again_q4  <= row_px[15:0] == px_q3[15:0];
      end
      assign is_again[k] = is_high_again_q4 && is_low_again_q4;
    end
  endgenerate

  always @(posedge clk) begin
    is_cross_q4 <= is_buy ? ~px_q3 <= ask_min_inv : px_q3 <= bid_max;
  end

  // ---- 17 and 18: rate and loss ----

  hwgw_risk_bucket u_strategy (
      .clk(clk), .ts(ts),
      .level(strategy[`HWGW_ROW_STRATEGY_LEVEL]), .level_ts(strategy[`HWGW_ROW_STRATEGY_LEVEL_TS]),
      .burst(strategy_limit[`HWGW_LIMITS_STRATEGY_RATE_BURST]),
      .refill_ns(strategy_limit[`HWGW_LIMITS_STRATEGY_RATE_REFILL_NS]),
      .cap(strategy_limit[192+:64]), .has_room(has_room[0]), .left(left[0+:64])
  );

  hwgw_risk_bucket u_account (
      .clk(clk), .ts(ts),
      .level(account[`HWGW_ROW_ACCOUNT_LEVEL]), .level_ts(account[`HWGW_ROW_ACCOUNT_LEVEL_TS]),
      .burst(account_limit[`HWGW_LIMITS_ACCOUNT_RATE_BURST]),
      .refill_ns(account_limit[`HWGW_LIMITS_ACCOUNT_RATE_REFILL_NS]),
      .cap(account_limit[256+:64]), .has_room(has_room[1]), .left(left[64+:64])
  );

  hwgw_risk_bucket u_gateway (
      .clk(clk), .ts(ts),
      .level(gateway[`HWGW_ROW_ACCOUNT_LEVEL]), .level_ts(gateway[`HWGW_ROW_ACCOUNT_LEVEL_TS]),
      .burst(gateway_limit[`HWGW_LIMITS_ACCOUNT_RATE_BURST]),
      .refill_ns(gateway_limit[`HWGW_LIMITS_ACCOUNT_RATE_REFILL_NS]),
      .cap(gateway_limit[256+:64]), .has_room(has_room[2]), .left(left[128+:64])
  );

  reg         is_lost_q;
  // a bit wider than needed: Verilator 5.052 leaves the carry in the highest word when its top bit alone is asked for
  wire [97:0] above = {{2{equity[95]}}, equity} + {34'd0, account_limit[`HWGW_LIMITS_ACCOUNT_LOSS_MAX]};
  wire [97:0] gateway_above = {{2{gateway_equity[95]}}, gateway_equity} + {34'd0, gateway_limit[`HWGW_LIMITS_ACCOUNT_LOSS_MAX]};
  always @(posedge clk) is_lost_q <= above[96] || gateway_above[96];

  // ---- the first that fails: what the product does not decide is chosen a cycle before ----

  wire on_collar = checks[`HWGW_RISK_CHECK_COLLAR];
  reg [7:0] before_q5;  // of the checks before notional
  reg [7:0] between_q5;  // of those between notional and credit
  reg [7:0] behind_q5;
  reg       is_before_q5, is_between_q5;  // they are not pass
  reg       is_refused_q5;  // one of the three is not, or there is no room whatever the product

  wire [7:0] before_d =
        is_stale_q2 && checks[`HWGW_RISK_CHECK_CONTROL_STALE] ? `HWGW_RISK_REASON_CONTROL_STALE :
        is_back ? `HWGW_RISK_REASON_CLOCK :
        is_form_bad_q2 || is_orig_bad_q3 ? `HWGW_RISK_REASON_MALFORMED :
        is_disarmed_q && checks[`HWGW_RISK_CHECK_STRATEGY] ? `HWGW_RISK_REASON_STRATEGY :
        is_instrument_bad_q ? `HWGW_RISK_REASON_INSTRUMENT :
        is_instrument_off_q && checks[`HWGW_RISK_CHECK_INSTRUMENT] ? `HWGW_RISK_REASON_INSTRUMENT :
        is_feed_bad_q && checks[`HWGW_RISK_CHECK_FEED] ? `HWGW_RISK_REASON_FEED :
        is_big_q && checks[`HWGW_RISK_CHECK_QTY] ? `HWGW_RISK_REASON_QTY : `HWGW_RISK_REASON_PASS;
  wire [7:0] between_d =
        is_ref_old_q2 && (is_market || on_collar) ? `HWGW_RISK_REASON_COLLAR :
        (is_buy || is_both) && is_above_q4 && on_collar ? `HWGW_RISK_REASON_COLLAR :
        (!is_buy || is_both) && is_below_q4 && on_collar ? `HWGW_RISK_REASON_COLLAR :
        is_position_wide_q || (is_position_bad_q && checks[`HWGW_RISK_CHECK_POSITION]) ? `HWGW_RISK_REASON_POSITION :
        is_short_wide_q || (is_short_bad_q && checks[`HWGW_RISK_CHECK_SHORT_SALE]) ? `HWGW_RISK_REASON_SHORT_SALE :
        `HWGW_RISK_REASON_PASS;
  wire [7:0] behind_d =
        is_slot_live_q || (is_open_bad_q && checks[`HWGW_RISK_CHECK_OPEN_ORDERS]) ? `HWGW_RISK_REASON_OPEN_ORDERS :
        |is_again && checks[`HWGW_RISK_CHECK_DUPLICATE] ? `HWGW_RISK_REASON_DUPLICATE :
        is_cross_q4 && checks[`HWGW_RISK_CHECK_SELF_CROSS] ? `HWGW_RISK_REASON_SELF_CROSS :
        has_room != 3'b111 && checks[`HWGW_RISK_CHECK_RATE] ? `HWGW_RISK_REASON_RATE :
        is_lost_q && checks[`HWGW_RISK_CHECK_LOSS] ? `HWGW_RISK_REASON_LOSS : `HWGW_RISK_REASON_PASS;

  always @(posedge clk) begin
    before_q5     <= before_d;
    between_q5    <= between_d;
    behind_q5     <= behind_d;
    is_before_q5  <= before_d != `HWGW_RISK_REASON_PASS;
    is_between_q5 <= between_d != `HWGW_RISK_REASON_PASS;
    is_refused_q5 <= before_d != `HWGW_RISK_REASON_PASS || between_d != `HWGW_RISK_REASON_PASS ||
        behind_d != `HWGW_RISK_REASON_PASS || is_room_bad_q4;
  end

  wire is_notional_out = is_notional_bad_q5 && checks[`HWGW_RISK_CHECK_NOTIONAL];

  assign is_pass = !(is_halted || is_refused_q5 || is_notional_out || is_room_short_q5);

  assign reason =
      is_halted ? `HWGW_RISK_REASON_HALTED :
      is_before_q5 ? before_q5 :
      is_notional_out ? `HWGW_RISK_REASON_NOTIONAL :
      is_between_q5 ? between_q5 :
      is_credit_bad_q5 ? `HWGW_RISK_REASON_CREDIT : behind_q5;

  wire unused_bits = &{1'b0, order, at, slot, orig, checks, strategy_limit, share_sum[15:0], share_carry[15:0], min_less_share_inv, max_less_high_inv, share_less_ref,
      room_q2, gateway_room_q2, account, gateway, limit, recent, above, gateway_above};

endmodule

`default_nettype wire
