// hwgw_risk_limits: the limits tables of the risk gate, one in force and one being written.
//
// SPDX-License-Identifier: MIT
//
// Input: struct hwgw_limits as it stands in memory, in words of 8 bytes, tlast with the last one; a word per 2 cycles, 8 where
// a cap is made. Its CRC32C is made on its way into the bank that is not in force. It can be taken when it was whole and its
// checksum is right; take swaps the banks in one cycle, or leaves no table in force. What was offered is used up by take,
// and spoilt by the first word of another.
// Output: rows as they stand in the table, a cycle after their index, raw; whole-table values and the gateway's, which are
// those of no table (every limit 0, every check on) while none is in force. With each word that was read comes its parity, to
// be compared by the reader.
// Buckets: the cap (burst x refill, saturated) is made 16 bits of burst at a time, and stored beside the row.
`default_nettype none
`include "hwgw_risk.vh"

module hwgw_risk_limits #(
    parameter INSTRUMENT_W = 10
) (
    input  wire                    clk,
    input  wire [            63:0] s_axis_limits_tdata,
    input  wire                    s_axis_limits_tvalid,
    output wire                    s_axis_limits_tready,
    input  wire                    s_axis_limits_tlast,
    input  wire                    take,
    input  wire [            63:0] take_generation,
    output wire                    is_sound,         // take would put the offered table in force
    output reg                     is_table_offered,
    input  wire                    drop,             // no table is in force any more
    output reg                     is_in_force,      // generation is not 0
    output reg  [            63:0] generation,
    output wire [            31:0] checks,
    output wire [            63:0] beat_age_max_ns,
    output wire [            63:0] ref_age_max_ns,
    output wire [            63:0] dup_window_ns,
    output wire [           319:0] gateway,          // as the account's
    input  wire [INSTRUMENT_W-1:0] instrument_addr,
    output wire [           319:0] instrument,       // 5 words of limits_instrument
    input  wire [             3:0] account_addr,
    output wire [           319:0] account,          // 4 words of limits_account, and the cap
    input  wire [             5:0] strategy_addr,
    output wire [           255:0] strategy,         // 3 words of limits_strategy, and the cap
    output wire [             4:0] instrument_parity,
    output wire [             4:0] account_parity,
    output wire [             3:0] strategy_parity,
    input  wire                    rst
);

  localparam [31:0] CRC32C = 32'h82F63B78;  // RFC 3720 appendix B.4, reflected
  localparam LAST = `HWGW_LIMITS_LEN / 8 - 1;
  localparam GATEWAY = `HWGW_LIMITS_GATEWAY_OFF / 8;
  localparam ACCOUNT = `HWGW_LIMITS_ACCOUNT_OFF / 8;
  localparam STRATEGY = `HWGW_LIMITS_STRATEGY_OFF / 8;
  localparam INSTRUMENT = `HWGW_LIMITS_INSTRUMENT_OFF / 8;
  localparam BREAKER = `HWGW_LIMITS_BREAKER_OFF / 8;

  // ---- the words ----

  reg  [13:0] word_q;
  reg  [63:0] data_q;
  reg         is_last_q;
  reg         is_busy_q;
  reg  [ 2:0] step_q;
  reg  [31:0] crc_q;
  reg  [63:0] checksum_q;
  reg         is_spoilt_q;
  reg         is_whole_q;
  reg         bank_q;

  assign s_axis_limits_tready = !is_busy_q;
  wire accept = s_axis_limits_tvalid && !is_busy_q;
  wire has_cap;
  wire is_end = is_busy_q && (step_q == 3'd6 || !has_cap);

  // the lowest bit of the word first
  function [31:0] crc32c;
    input [31:0] value;
    input [63:0] word;
    integer i;
    begin
      crc32c = value;
      for (i = 0; i < 64; i = i + 1)
        crc32c = {1'b0, crc32c[31:1]} ^ (crc32c[0] ^ word[i] ? CRC32C : 32'd0);
    end
  endfunction

  wire [31:0] crc_next = crc32c(crc_q, data_q);

  always @(posedge clk) begin
    is_whole_q <= is_end && is_last_q && word_q == LAST[13:0];
    if (is_whole_q) is_table_offered <= checksum_q == {32'd0, ~crc_q} && !is_spoilt_q;
    if (accept) begin
      data_q    <= s_axis_limits_tdata;
      is_last_q <= s_axis_limits_tlast;
      step_q    <= 3'd0;
      if (word_q == 14'd0) begin
        checksum_q       <= s_axis_limits_tdata;
        crc_q            <= {32{1'b1}};
        is_spoilt_q      <= 1'b0;
        is_table_offered <= 1'b0;
      end
    end
    if (is_busy_q) step_q <= step_q + 3'd1;
    if (is_end && word_q != 14'd0) crc_q <= crc_next;
    if (is_end) word_q <= is_last_q ? 14'd0 : word_q + {13'd0, word_q != {14{1'b1}}};
    is_busy_q <= accept || (is_busy_q && !is_end);
    if (take) begin
      is_table_offered <= 1'b0;
      is_spoilt_q      <= 1'b1;  // one whose words were on their way
    end
    if (rst) begin
      word_q           <= 14'd0;
      is_busy_q        <= 1'b0;
      is_spoilt_q      <= 1'b1;
      is_whole_q       <= 1'b0;
      is_table_offered <= 1'b0;
    end
  end

  // ---- where a word belongs ----

  wire [13:0] account_word = word_q - ACCOUNT[13:0];
  wire [13:0] strategy_word = word_q - STRATEGY[13:0];
  wire [13:0] instrument_word = word_q - INSTRUMENT[13:0];
  wire is_gateway = word_q >= GATEWAY[13:0] && word_q < ACCOUNT[13:0];
  wire is_account = word_q >= ACCOUNT[13:0] && word_q < STRATEGY[13:0];
  wire is_strategy = word_q >= STRATEGY[13:0] && word_q < INSTRUMENT[13:0];
  wire is_instrument = word_q >= INSTRUMENT[13:0] && word_q < BREAKER[13:0] &&
      instrument_word[12:3] >> INSTRUMENT_W == 10'd0;

  assign has_cap = ((is_gateway || is_account) && account_word[2:0] == 3'd3) || (is_strategy && strategy_word[1:0] == 2'd1);

  // ---- burst x refill, 16 bits of burst after the other, by limbs of 16 bits of refill ----

  reg  [63:0] refill_q;
  reg  [31:0] burst_q;
  reg  [15:0] half_q;  // at step 1 the lower, from step 2 on the upper
  reg  [31:0] limb0_q, limb1_q, limb2_q, limb3_q;
  reg  [79:0] part_q;
  reg  [95:0] product_q;
  reg  [63:0] cap_q;
  wire [31:0] burst = is_strategy ? data_q[31:0] : burst_q;
  wire [63:0] refill = is_strategy ? refill_q : data_q;

  always @(posedge clk) begin
    half_q    <= step_q == 3'd0 ? burst[15:0] : burst[31:16];
    limb0_q   <= refill[15:0] * half_q;
    limb1_q   <= refill[31:16] * half_q;
    limb2_q   <= refill[47:32] * half_q;
    limb3_q   <= refill[63:48] * half_q;
    part_q    <= {16'd0, limb2_q, limb0_q} + {limb3_q, limb1_q, 16'd0};
    product_q <= step_q == 3'd3 ? {16'd0, part_q} : product_q + {part_q, 16'd0};  // whole at step 5
    cap_q     <= product_q[95:64] != 32'd0 ? {64{1'b1}} : product_q[63:0];
    if (is_end) begin
      refill_q <= data_q;
      burst_q  <= data_q[63:32];
    end
  end

  // ---- whole-table values and the gateway's limits: registers, swapped with the banks ----

  reg  [ 63:0] generation_q;
  reg          is_named_q;  // what is written has the generation that take asks for
  reg  [ 31:0] checks_q, checks_live_q;
  reg  [191:0] times_q, times_live_q;
  reg  [319:0] gateway_q, gateway_live_q;

  always @(posedge clk) begin
    if (is_end) begin
      if (word_q == `HWGW_LIMITS_GENERATION_OFF / 8) generation_q <= data_q;
      if (word_q == `HWGW_LIMITS_CHECKS_ENABLED_OFF / 8) checks_q <= data_q[31:0];
      if (word_q == `HWGW_LIMITS_BEAT_AGE_MAX_NS_OFF / 8) times_q[0+:64] <= data_q;
      if (word_q == `HWGW_LIMITS_REF_AGE_MAX_NS_OFF / 8) times_q[64+:64] <= data_q;
      if (word_q == `HWGW_LIMITS_DUP_WINDOW_NS_OFF / 8) times_q[128+:64] <= data_q;
      if (is_gateway && !word_q[2]) gateway_q[64*word_q[1:0]+:64] <= data_q;
      if (is_gateway && word_q[2:0] == 3'd3) gateway_q[256+:64] <= cap_q;
    end
    if (take && is_sound) begin
      checks_live_q  <= checks_q;
      times_live_q   <= times_q;
      gateway_live_q <= gateway_q;
      bank_q         <= !bank_q;
    end
    is_named_q <= generation_q == take_generation && take_generation != 64'd0;
    if (take) begin
      generation  <= is_sound ? generation_q : 64'd0;
      is_in_force <= is_sound;
    end
    if (drop || rst) begin
      generation  <= 64'd0;
      is_in_force <= 1'b0;
    end
    if (rst) bank_q <= 1'b0;
  end

  assign is_sound        = is_table_offered && is_named_q;
  assign checks          = is_in_force ? checks_live_q : {32{1'b1}};
  assign beat_age_max_ns = is_in_force ? times_live_q[0+:64] : 64'd0;
  assign ref_age_max_ns  = is_in_force ? times_live_q[64+:64] : 64'd0;
  assign dup_window_ns   = is_in_force ? times_live_q[128+:64] : 64'd0;
  assign gateway         = is_in_force ? gateway_live_q : 320'd0;

  // ---- rows: a memory per word, with a bit of parity ----

  genvar k;
  generate
    for (k = 0; k < 5; k = k + 1) begin : g_instrument
      wire [64:0] row;
      hwgw_risk_ram #(
          .WIDTH (65),
          .ADDR_W(INSTRUMENT_W + 1)
      ) u_ram (
          .clk(clk),
          .we(is_end && is_instrument && instrument_word[2:0] == k),
          .waddr({!bank_q, instrument_word[3+:INSTRUMENT_W]}),
          .wdata({^data_q, data_q}),
          .raddr({bank_q, instrument_addr}),
          .rdata(row)
      );
      assign instrument[64*k+:64] = row[63:0];
      assign instrument_parity[k] = row[64];
    end
    for (k = 0; k < 5; k = k + 1) begin : g_account
      wire [64:0] row;
      wire [63:0] word = k == 4 ? cap_q : data_q;
      hwgw_risk_ram #(
          .WIDTH (65),
          .ADDR_W(5)
      ) u_ram (
          .clk(clk),
          .we(is_end && is_account && account_word[2:0] == (k == 4 ? 3 : k)),
          .waddr({!bank_q, account_word[6:3]}),
          .wdata({^word, word}),
          .raddr({bank_q, account_addr}),
          .rdata(row)
      );
      assign account[64*k+:64] = row[63:0];
      assign account_parity[k] = row[64];
    end
    for (k = 0; k < 4; k = k + 1) begin : g_strategy
      wire [64:0] row;
      wire [63:0] word = k == 3 ? cap_q : data_q;
      hwgw_risk_ram #(
          .WIDTH (65),
          .ADDR_W(7)
      ) u_ram (
          .clk(clk),
          .we(is_end && is_strategy && strategy_word[1:0] == (k == 3 ? 1 : k)),
          .waddr({!bank_q, strategy_word[7:2]}),
          .wdata({^word, word}),
          .raddr({bank_q, strategy_addr}),
          .rdata(row)
      );
      assign strategy[64*k+:64] = row[63:0];
      assign strategy_parity[k] = row[64];
    end
  endgenerate

  wire unused_words = &{1'b0, account_word, strategy_word, instrument_word};

endmodule

`default_nettype wire
