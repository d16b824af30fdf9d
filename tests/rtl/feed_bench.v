// feed_bench: hwgw_feed with what a bench wants to see of it: counters, and a log of events with their cycles.
//
// SPDX-License-Identifier: MIT
//
// The log takes events where hwgw_itch gives them, so that its cycles are those of the decoder; what comes out of the event
// store is the bench's to compare. now counts cycles from now_base on and is the clock that frames are stamped with.
`default_nettype none
`include "hwgw_specs.vh"
`include "hwgw_ports.vh"

module feed_bench #(
    parameter HOLD_DEPTH = 1024,
    parameter EVENT_DEPTH = 512,
    parameter LOG_W = 14
) (
    input  wire          clk,
    input  wire          rst,
    `HWGW_LINES_PORTS
    `HWGW_CONTROL_PORTS
    `HWGW_EVENT_PORTS
    input  wire [   9:0] price_instrument,
    output wire [  31:0] price_px,
    output wire [  31:0] price_qty,
    output wire [  63:0] next_seq,
    output wire [  79:0] session,
    output wire [   2:0] state,
    input  wire [  63:0] now_base,
    output wire [1023:0] counts_a,
    output wire [1023:0] counts_b,
    output wire [1023:0] counts,
    output reg  [  63:0] missing_sum,
    output reg  [  31:0] price_cnt,
    output reg  [  31:0] log_cnt,
    input  wire [  31:0] log_idx,
    output wire [ 575:0] log_entry,
    output reg  [  31:0] store_min,  // cycles from an event of hwgw_itch to the host's port
    output reg  [  31:0] store_max,
    output wire          is_busy,  // records wait to be read
    output reg  [  31:0] clash_cnt  // what came at another cycle than the modules say
);

  wire [  `HWGW_LINE_CNT_W-1:0] pulse_a, pulse_b;
  wire [`HWGW_CHANNEL_CNT_W-1:0] pulse;
  wire [                   63:0] missing;
  reg  [                   63:0] now;
  wire [                   73:0] price;
  wire                           price_valid;
  wire                           unused_price = &{1'b0, price};

  hwgw_feed #(
      .HOLD_DEPTH (HOLD_DEPTH),
      .EVENT_DEPTH(EVENT_DEPTH)
  ) u_feed (
      .clk                  (clk),
      .now                  (now),
      `HWGW_LINES_PINS
      `HWGW_CONTROL_PINS
      `HWGW_EVENT_PINS
      .m_event              (),
      .m_event_valid        (),
      .m_axis_price_tdata   (price),
      .m_axis_price_tvalid  (price_valid),
      .price_instrument     (price_instrument),
      .price_px             (price_px),
      .price_qty            (price_qty),
      .next_seq             (next_seq),
      .session              (session),
      .state                (state),
      .pulse_a              (pulse_a),
      .pulse_b              (pulse_b),
      .pulse                (pulse),
      .missing              (missing),
      .rst                  (rst)
  );

  // ---- counters, 32 bits each ----

  reg [31:0] line_a[0:31];
  reg [31:0] line_b[0:31];
  reg [31:0] channel[0:31];
  integer i;

  always @(posedge clk) begin
    for (i = 0; i < `HWGW_LINE_CNT_W; i = i + 1) begin
      line_a[i] <= rst ? 32'd0 : line_a[i] + {31'd0, pulse_a[i]};
      line_b[i] <= rst ? 32'd0 : line_b[i] + {31'd0, pulse_b[i]};
    end
  end
  integer j;
  always @(posedge clk)
    for (j = 0; j < `HWGW_CHANNEL_CNT_W; j = j + 1) channel[j] <= rst ? 32'd0 : channel[j] + {31'd0, pulse[j]};

  genvar k;
  generate
    for (k = 0; k < 32; k = k + 1) begin : g_counts
      assign counts_a[32*k+:32] = k < `HWGW_LINE_CNT_W ? line_a[k] : 32'd0;
      assign counts_b[32*k+:32] = k < `HWGW_LINE_CNT_W ? line_b[k] : 32'd0;
      assign counts[32*k+:32]   = k < `HWGW_CHANNEL_CNT_W ? channel[k] : 32'd0;
    end
  endgenerate

  assign is_busy = u_feed.held_valid != 2'd0;

  // ---- the log ----

  reg [575:0] entries[0:(1<<LOG_W)-1];

  assign log_entry = entries[log_idx[LOG_W-1:0]];

  always @(posedge clk) begin
    if (u_feed.record_valid) entries[log_cnt[LOG_W-1:0]] <= {now, u_feed.record};
    log_cnt     <= rst ? 32'd0 : log_cnt + {31'd0, u_feed.record_valid};
    missing_sum <= rst ? 64'd0 : pulse[`HWGW_CHANNEL_CNT_MOLD_MISSING] ? missing_sum + missing : missing_sum;
    price_cnt   <= rst ? 32'd0 : price_cnt + {31'd0, price_valid};
    now         <= rst ? now_base : now + 64'd1;
  end

  // the events at the host's port, in the order of the log as long as none is lost
  reg  [ 31:0] out_cnt;
  wire [575:0] out_entry = entries[out_cnt[LOG_W-1:0]];
  wire [ 31:0] stored = now[31:0] - out_entry[543:512];

  always @(posedge clk) begin
    if (m_axis_event_tvalid && m_axis_event_tready) begin
      out_cnt <= out_cnt + 32'd1;
      if (stored < store_min) store_min <= stored;
      if (stored > store_max) store_max <= stored;
    end
    if (rst) begin
      out_cnt   <= 32'd0;
      store_min <= 32'hffffffff;
      store_max <= 32'd0;
    end
  end

  // ---- what the modules take for granted ----

  reg [3:0] last_a_q;
  reg [3:0] last_b_q;

  always @(posedge clk) begin
    last_a_q  <= {last_a_q[2:0], u_feed.payload_tvalid[0] && u_feed.payload_tlast[0]};
    last_b_q  <= {last_b_q[2:0], u_feed.payload_tvalid[1] && u_feed.payload_tlast[1]};
    clash_cnt <= rst ? 32'd0 : clash_cnt + {31'd0, u_feed.verdict_valid[0] != late_a} + {31'd0, u_feed.verdict_valid[1] != late_b} +
                 {31'd0, price_valid && !record_q[4]};
    if (rst) begin
      last_a_q <= 4'd0;
      last_b_q <= 4'd0;
    end
  end
  // a last trade comes 5 cycles after its event
  reg [4:0] record_q;
  always @(posedge clk) record_q <= rst ? 5'd0 : {record_q[3:0], u_feed.record_valid};

  reg late_a, late_b;
  always @(posedge clk) {late_a, late_b} <= rst ? 2'd0 : {last_a_q[3], last_b_q[3]};

endmodule

`default_nettype wire
