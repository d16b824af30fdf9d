// hwgw_clock: the clock of a part that may sleep.
//
// SPDX-License-Identifier: MIT
//
// is_active: something enters the part, is inside, or waits at its output; it may come as late as an input of the part. m_clk ticks in
// such a cycle, in LINGER cycles behind it, and while rst is high. LINGER: longer than anything in the part goes on by itself, so that
// its registers stand still when the clock does, and nobody sees a difference.
// Without HWGW_SLEEP, as in synthesis, proofs and benches, m_clk is clk. The simulated card has it: a model does not pay for what
// stands still (docs/decisions/0043-sleep.md).
`default_nettype none

module hwgw_clock #(
    parameter LINGER = 128
) (
    input  wire clk,
    input  wire is_active,
    output wire m_clk,
    input  wire rst
);

`ifdef HWGW_SLEEP
  localparam LEFT_W = $clog2(LINGER + 1);

  reg [LEFT_W-1:0] left_q;
  reg              is_awake_q;
  wire             is_busy = is_active || rst;

  always @(posedge clk) left_q <= is_busy ? LINGER[LEFT_W-1:0] : left_q - {{(LEFT_W - 1) {1'b0}}, left_q != 0};

  // a latch that is open while clk is low, so that m_clk has no glitch, and may itself be the clk of another one
  always_latch if (!clk) is_awake_q = is_busy || left_q != 0;

  assign m_clk = clk && is_awake_q;
`else
  assign m_clk = clk;
  wire unused = &{1'b0, is_active, rst, LINGER[0]};
`endif

endmodule

`default_nettype wire
