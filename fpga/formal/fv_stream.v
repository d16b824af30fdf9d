// fv_stream: the rules of a stream that carries words from s to m, as assertions on both ends.
//
// SPDX-License-Identifier: MIT
//
// RULE_STABLE  what is offered stays offered, unchanged, until it is taken
// RULE_ORDER   the k-th word that leaves is the k-th that came, for any k: nothing is lost, doubled or overtaken
// RULE_LIVE    a word inside is offered within LATENCY cycles; while there are fewer than DEPTH inside, one more is taken
// RULE_RATE    a producer and a consumer that never pause move a word in every cycle
// One of them is defined per run. Nothing is assumed of either end but one cycle of reset at the start.
`default_nettype none

module fv_stream #(
    parameter WIDTH   = 2,
    parameter LATENCY = 1,
    parameter DEPTH   = 2
) (
    input wire             clk,
    input wire             rst,
    input wire [WIDTH-1:0] s_data,
    input wire             s_valid,
    input wire             s_ready,
    input wire [WIDTH-1:0] m_data,
    input wire             m_valid,
    input wire             m_ready
);

  localparam CNT_W = 4;

  reg             has_begun = 1'b0;
  reg [CNT_W-1:0] in_q;
  reg [CNT_W-1:0] out_q;
  reg [CNT_W-1:0] wait_q;
  reg [CNT_W-1:0] flow_q;
  reg             was_stalled_q;
  reg [WIDTH-1:0] was_q;
  reg [WIDTH-1:0] kth_q;
  (* anyconst *) reg [CNT_W-1:0] k;

  wire take = s_valid && s_ready;
  wire give = m_valid && m_ready;
  wire [CNT_W-1:0] inside = in_q - out_q;

  always @(posedge clk) begin
    has_begun <= 1'b1;
    assume (rst == !has_begun);
    in_q   <= rst ? {CNT_W{1'b0}} : in_q + {{(CNT_W - 1) {1'b0}}, take};
    out_q  <= rst ? {CNT_W{1'b0}} : out_q + {{(CNT_W - 1) {1'b0}}, give};
    wait_q <= rst || m_valid || inside == 0 ? {CNT_W{1'b0}} : wait_q + 1'b1;
    flow_q <= rst || !s_valid || !m_ready ? {CNT_W{1'b0}} : flow_q + {{(CNT_W - 1) {1'b0}}, flow_q != {CNT_W{1'b1}}};
    was_stalled_q <= !rst && m_valid && !m_ready;
    was_q <= m_data;
    if (take && in_q == k) kth_q <= s_data;
  end

`ifdef RULE_STABLE
  always @(posedge clk)
    if (!rst) begin
      if (was_stalled_q) assert (m_valid && m_data == was_q);
      cover (was_stalled_q && give && in_q == 5);
    end
`endif

`ifdef RULE_ORDER
  always @(posedge clk)
    if (!rst) begin
      if (give) assert (inside != 0);
      if (give && out_q == k) assert (m_data == kth_q);
      assert (inside <= DEPTH);
      cover (give && out_q == k && k == 4 && m_data != was_q);
      cover (inside == DEPTH);
    end
`endif

`ifdef RULE_LIVE
  always @(posedge clk)
    if (!rst) begin
      assert (wait_q < LATENCY);
      if (inside < DEPTH - 1) assert (s_ready);
      cover (inside == DEPTH && !s_ready);
      cover (out_q == 5 && inside == 0);
    end
`endif

`ifdef RULE_RATE
  // while both ends were willing for LATENCY + 1 cycles, both move
  always @(posedge clk)
    if (!rst && flow_q > LATENCY && s_valid && m_ready) begin
      assert (take && give);
      cover (flow_q == 6);
    end
`endif

endmodule

`default_nettype wire
