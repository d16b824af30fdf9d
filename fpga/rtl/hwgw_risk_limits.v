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

  localparam [1023:0] OF_CRC = `HWGW_CRC32C_OF_CRC;
  localparam [2047:0] OF_WORD = `HWGW_CRC32C_OF_WORD;
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
  reg         other_bank_q;  // the other one, which is written

  assign s_axis_limits_tready = !is_busy_q;
  wire accept = s_axis_limits_tvalid && !is_busy_q;
  reg  is_ended_q;  // a cycle later: the word is still there, and its parity is
  reg  [4:0] we_instrument_q, we_account_q;  // of each word of a row, in that cycle
  reg  [3:0] we_strategy_q;
  reg  data_parity_q, cap_parity_q;
  wire is_end = is_busy_q && (step_q == 3'd6 || !has_cap_q);

  // ---- where a word belongs ----

  // kept as the word comes, for its place is known by then
  reg  [12:0] account_word_q, strategy_word_q, instrument_word_q;
  reg         is_checksum_q, is_gateway_q, is_account_q, is_strategy_q, is_instrument_q;
  reg         is_generation_q, is_checks_q, has_cap_q;
  reg  [ 2:0] is_time_q;
  wire        is_first = word_q == 14'd0;
  wire [13:0] account_word = word_q - ACCOUNT[13:0];
  wire [13:0] strategy_word = word_q - STRATEGY[13:0];
  wire [13:0] instrument_word = word_q - INSTRUMENT[13:0];
  wire is_gateway = word_q >= GATEWAY[13:0] && word_q < ACCOUNT[13:0];
  wire is_account = word_q >= ACCOUNT[13:0] && word_q < STRATEGY[13:0];
  wire is_strategy = word_q >= STRATEGY[13:0] && word_q < INSTRUMENT[13:0];

  always @(posedge clk) begin
    if (accept) begin
      account_word_q    <= account_word[12:0];
      strategy_word_q   <= strategy_word[12:0];
      instrument_word_q <= instrument_word[12:0];
      is_checksum_q     <= is_first;
      is_gateway_q      <= is_gateway;
      is_account_q      <= is_account;
      is_strategy_q     <= is_strategy;
      is_instrument_q   <= word_q >= INSTRUMENT[13:0] && word_q < BREAKER[13:0] &&
          instrument_word[12:3] >> INSTRUMENT_W == 10'd0;
      is_generation_q   <= word_q == `HWGW_LIMITS_GENERATION_OFF / 8;
      is_checks_q       <= word_q == `HWGW_LIMITS_CHECKS_ENABLED_OFF / 8;
      is_time_q[0]      <= word_q == `HWGW_LIMITS_BEAT_AGE_MAX_NS_OFF / 8;
      is_time_q[1]      <= word_q == `HWGW_LIMITS_REF_AGE_MAX_NS_OFF / 8;
      is_time_q[2]      <= word_q == `HWGW_LIMITS_DUP_WINDOW_NS_OFF / 8;
      has_cap_q         <= ((is_gateway || is_account) && account_word[2:0] == 3'd3) ||
          (is_strategy && strategy_word[1:0] == 2'd1);
    end
  end

  // ---- the checksum ----

  // linear, so a cycle for the word and one for the checksum: the next word ends two cycles later at the earliest
  reg  [31:0] crc_low_q, crc_high_q;  // of the halves of the word
  reg         is_folding_q;
  reg         is_folded_q;
  wire [31:0] crc_low, crc_high, crc_next;

  genvar i;
  generate
    for (i = 0; i < 32; i = i + 1) begin : g_crc
      assign crc_low[i]  = ^(data_q[31:0] & OF_WORD[64*i+:32]);
      assign crc_high[i] = ^(data_q[63:32] & OF_WORD[64*i+32+:32]);
      assign crc_next[i] = ^(crc_q & OF_CRC[32*i+:32]) ^ crc_low_q[i] ^ crc_high_q[i];
    end
  endgenerate

  always @(posedge clk) begin
    is_whole_q   <= is_end && is_last_q && word_q == LAST[13:0];
    is_folded_q  <= is_whole_q && !accept;
    is_ended_q    <= is_end;
    data_parity_q <= ^data_q;
    is_folding_q <= is_end && !is_checksum_q;
    crc_low_q    <= crc_low;
    crc_high_q   <= crc_high;
    if (is_folding_q) crc_q <= crc_next;
    if (is_folded_q) is_table_offered <= checksum_q == {32'd0, ~crc_q} && !is_spoilt_q;
    if (accept) begin
      data_q    <= s_axis_limits_tdata;
      is_last_q <= s_axis_limits_tlast;
      step_q    <= 3'd0;
      if (is_first) begin
        checksum_q       <= s_axis_limits_tdata;
        crc_q            <= {32{1'b1}};
        is_spoilt_q      <= 1'b0;
        is_table_offered <= 1'b0;
      end
    end
    if (is_busy_q) step_q <= step_q + 3'd1;
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
      is_folded_q      <= 1'b0;
      is_table_offered <= 1'b0;
    end
  end

  // ---- burst x refill, 16 bits of burst after the other, by limbs of 16 bits of refill ----

  reg  [63:0] refill_q;
  reg  [31:0] burst_q;
  reg  [63:0] factor_q;  // the refill, from step 1 on
  reg  [15:0] half_q;  // at step 1 the lower, from step 2 on the upper
  reg  [31:0] limb0_q, limb1_q, limb2_q, limb3_q;
  reg  [79:0] part_q;
  reg  [95:0] product_q;
  reg  [63:0] cap_q;
  wire [31:0] burst = is_strategy_q ? data_q[31:0] : burst_q;
  wire [63:0] refill = is_strategy_q ? refill_q : data_q;

  always @(posedge clk) begin
    half_q    <= step_q == 3'd0 ? burst[15:0] : burst[31:16];
    factor_q  <= refill;
    limb0_q   <= factor_q[15:0] * half_q;
    limb1_q   <= factor_q[31:16] * half_q;
    limb2_q   <= factor_q[47:32] * half_q;
    limb3_q   <= factor_q[63:48] * half_q;
    part_q    <= {16'd0, limb2_q, limb0_q} + {limb3_q, limb1_q, 16'd0};
    product_q <= step_q == 3'd3 ? {16'd0, part_q} : product_q + {part_q, 16'd0};  // whole at step 5
    cap_parity_q <= ^cap_q;
    if (step_q == 3'd5) cap_q <= product_q[95:64] != 32'd0 ? {64{1'b1}} : product_q[63:0];
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

  // what is in force is that of no table when none is: nobody who reads it asks
  always @(posedge clk) begin
    if (is_ended_q) begin
      if (is_generation_q) generation_q <= data_q;
      if (is_checks_q) checks_q <= data_q[31:0];
      if (is_time_q[0]) times_q[0+:64] <= data_q;
      if (is_time_q[1]) times_q[64+:64] <= data_q;
      if (is_time_q[2]) times_q[128+:64] <= data_q;
      if (is_gateway_q && !account_word_q[2]) gateway_q[64*account_word_q[1:0]+:64] <= data_q;
      if (is_gateway_q && account_word_q[2:0] == 3'd3) gateway_q[256+:64] <= cap_q;
    end
    is_named_q <= generation_q == take_generation && take_generation != 64'd0;
    if (take) begin
      checks_live_q  <= checks_q;
      times_live_q   <= times_q;
      gateway_live_q <= gateway_q;
      generation     <= generation_q;
      is_in_force    <= 1'b1;
      bank_q         <= bank_q ^ is_sound;
      other_bank_q   <= other_bank_q ^ is_sound;
    end
    if (rst || drop || (take && !is_sound)) begin
      checks_live_q  <= {32{1'b1}};
      times_live_q   <= 192'd0;
      gateway_live_q <= 320'd0;
      generation     <= 64'd0;
      is_in_force    <= 1'b0;
    end
    if (rst) begin
      bank_q       <= 1'b0;
      other_bank_q <= 1'b1;
    end
  end

  assign is_sound        = is_table_offered && is_named_q;
  assign checks          = checks_live_q;
  assign beat_age_max_ns = times_live_q[0+:64];
  assign ref_age_max_ns  = times_live_q[64+:64];
  assign dup_window_ns   = times_live_q[128+:64];
  assign gateway         = gateway_live_q;

  // ---- rows: a memory per word, with a bit of parity ----

  genvar k;
  generate
    for (k = 0; k < 5; k = k + 1) begin : g_instrument
      localparam [2:0] K = k;
      wire [64:0] row;
      always @(posedge clk) we_instrument_q[k] <= is_end && is_instrument_q && instrument_word_q[2:0] == K;
      hwgw_risk_ram #(
          .WIDTH (65),
          .ADDR_W(INSTRUMENT_W + 1)
      ) u_ram (
          .clk(clk),
          .we(we_instrument_q[k]),
          .waddr({other_bank_q, instrument_word_q[3+:INSTRUMENT_W]}),
          .wdata({data_parity_q, data_q}),
          .raddr({bank_q, instrument_addr}),
          .rdata(row)
      );
      assign instrument[64*k+:64] = row[63:0];
      assign instrument_parity[k] = row[64];
    end
    for (k = 0; k < 5; k = k + 1) begin : g_account
      localparam [2:0] K = k == 4 ? 3 : k;
      wire [64:0] row;
      wire [64:0] word = k == 4 ? {cap_parity_q, cap_q} : {data_parity_q, data_q};
      always @(posedge clk) we_account_q[k] <= is_end && is_account_q && account_word_q[2:0] == K;
      hwgw_risk_ram #(
          .WIDTH (65),
          .ADDR_W(5),
          .STYLE ("block")
      ) u_ram (
          .clk(clk),
          .we(we_account_q[k]),
          .waddr({other_bank_q, account_word_q[6:3]}),
          .wdata(word),
          .raddr({bank_q, account_addr}),
          .rdata(row)
      );
      assign account[64*k+:64] = row[63:0];
      assign account_parity[k] = row[64];
    end
    for (k = 0; k < 4; k = k + 1) begin : g_strategy
      localparam [1:0] K = k == 3 ? 1 : k;
      wire [64:0] row;
      wire [64:0] word = k == 3 ? {cap_parity_q, cap_q} : {data_parity_q, data_q};
      always @(posedge clk) we_strategy_q[k] <= is_end && is_strategy_q && strategy_word_q[1:0] == K;
      hwgw_risk_ram #(
          .WIDTH (65),
          .ADDR_W(7)
      ) u_ram (
          .clk(clk),
          .we(we_strategy_q[k]),
          .waddr({other_bank_q, strategy_word_q[7:2]}),
          .wdata(word),
          .raddr({bank_q, strategy_addr}),
          .rdata(row)
      );
      assign strategy[64*k+:64] = row[63:0];
      assign strategy_parity[k] = row[64];
    end
  endgenerate

  wire unused_words = &{1'b0, account_word, strategy_word, instrument_word, account_word_q, strategy_word_q, instrument_word_q};

endmodule

`default_nettype wire
