// fv_counters: three counters, a snapshot whenever none is under way, and a plain count to compare with.
//
// SPDX-License-Identifier: MIT
//
// RULE_EXACT  the copy of any counter is the number of its pulses (of WIDE the sum of its amounts) before the snapshot
// RULE_LIVE   a snapshot is complete CNT + 2 cycles after it was asked for
`default_nettype none

module fv_counters (
    input wire       clk,
    input wire       rst,
    input wire [2:0] pulse,
    input wire [1:0] amount,
    input wire       ask
);

  localparam CNT = 3;
  localparam WIDE = 2;

  reg        has_begun = 1'b0;
  reg [4:0]  age_q;
  reg [5:0]  count_q;
  reg [5:0]  then_q;
  reg [3:0]  busy_q;
  reg        is_busy_q;
  reg [31:0] was_cnt_q;
  reg        is_ready_q;
  reg        has_copy_q;
  (* anyconst *) reg [1:0] k;

  wire [31:0] snapshot_cnt;
  wire [63:0] copy_data;
  wire        snapshot = ask && !is_busy_q && age_q > CNT;
  wire        is_done = snapshot_cnt != was_cnt_q;

  hwgw_counters #(.CNT(CNT), .WIDE(WIDE)) dut (
      .clk(clk), .pulse(pulse), .amount({62'd0, amount}), .snapshot(snapshot), .snapshot_cnt(snapshot_cnt),
      .copy_addr({4'd0, k}), .copy_data(copy_data), .rst(rst)
  );

  always @(posedge clk) begin
    has_begun <= 1'b1;
    assume (rst == !has_begun);
    assume (k < CNT);
    age_q     <= rst ? 5'd0 : age_q + {4'd0, age_q != 5'd31};
    count_q   <= rst ? 6'd0 : !pulse[k] ? count_q : k == WIDE ? count_q + {4'd0, amount} : count_q + 6'd1;
    was_cnt_q <= snapshot_cnt;
    if (snapshot) then_q <= count_q;
    is_busy_q <= !rst && (snapshot || (is_busy_q && !is_done));
    busy_q    <= rst || snapshot ? 4'd0 : busy_q + {3'd0, is_busy_q};
    if (rst || snapshot) has_copy_q <= 1'b0;
    else if (is_done && is_busy_q) has_copy_q <= 1'b1;
    is_ready_q <= has_copy_q && !snapshot && !rst;
  end

`ifdef RULE_EXACT
  always @(posedge clk)
    if (!rst) begin
      if (is_ready_q) assert (copy_data == {58'd0, then_q});
      cover (is_ready_q && then_q == 4 && count_q == 7 && k == 1);
      cover (is_ready_q && then_q == 7 && k == WIDE);
    end
`endif

`ifdef RULE_LIVE
  always @(posedge clk)
    if (!rst && has_begun && age_q > 1) begin
      assert (busy_q <= CNT + 2);
      cover (snapshot_cnt == 1 && age_q == 12);
    end
`endif

endmodule

`default_nettype wire
