// dsp_bench: the wrapper of fpga/synth/ecp5 beside what the module of its name in fpga/rtl says, on random operands.
//
// SPDX-License-Identifier: MIT
//
// MULT18X18D here is what Lattice TN1267 says of it in the one mode in use: signed, registers of A and B with clock 0 and
// enable 0, no other. The operands with every sign and the largest ones come first.
`timescale 1ns / 1ps
`default_nettype none

module MULT18X18D (
    input wire CLK0, CE0, RST0, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    input wire A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input wire B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input wire C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    output wire P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    output wire P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  reg [17:0] a_q, b_q;
  always @(posedge CLK0)
    if (RST0) begin
      a_q <= 18'd0;
      b_q <= 18'd0;
    end else if (CE0) begin
      a_q <= {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
      b_q <= {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    end
  wire signed [35:0] a = {{18{SIGNEDA && a_q[17]}}, a_q};
  wire signed [35:0] b = {{18{SIGNEDB && b_q[17]}}, b_q};
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
          P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = a * b;
endmodule

module dsp_bench;
  reg clk = 1'b0, keep;
  reg signed [16:0] a, b, kept_a, kept_b;
  wire signed [33:0] p;
  wire signed [33:0] want = kept_a * kept_b;
  integer n, seed, held;

  hwgw_risk_dsp dut (.clk(clk), .keep(keep), .a(a), .b(b), .p(p));

  initial begin
    if (!$value$plusargs("seed=%d", seed)) seed = 1;
    held = 0;
    for (n = 0; n < 4096; n = n + 1) begin
      a = n < 16 ? {n[0], {16{n[1]}}} : $random(seed);
      b = n < 16 ? {n[2], {16{n[3]}}} : $random(seed);
      keep = n < 16 || ($random(seed) & 3) != 0;
      if (keep) begin
        kept_a = a;
        kept_b = b;
      end else held = held + 1;
      #1 clk = 1'b1;
      #1 clk = 1'b0;
      if (p !== want) begin
        $display("differs: %0d x %0d is %0d, not %0d", kept_a, kept_b, want, p);
        $finish;
      end
    end
    $display("equal: %0d products, %0d of them held", n, held);
  end
endmodule

`default_nettype wire
