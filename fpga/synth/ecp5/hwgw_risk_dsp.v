// hwgw_risk_dsp for ECP5: what fpga/rtl/hwgw_risk_dsp.v says, in its multiplier of 18 bits with the registers of its operands.
//
// SPDX-License-Identifier: MIT
//
// Vendor primitive: synthesis alone reads it. Source: Lattice TN1267, sysDSP usage guide, 18x18 multiplier, input registers with a
// clock and an enable, no output register. That the registers are used is said behind the mapping (fpga/synth, KEEP_OPERANDS), for
// yosys 0.70 ends without a word in abc9 when a MULT18X18D has a parameter.
`default_nettype none

module hwgw_risk_dsp #(
    parameter WIDTH = 17
) (
    input  wire                      clk,
    input  wire                      keep,
    input  wire signed [  WIDTH-1:0] a,
    input  wire signed [  WIDTH-1:0] b,
    output wire signed [2*WIDTH-1:0] p
);

  wire [17:0] x = {{(18 - WIDTH) {a[WIDTH-1]}}, a};
  wire [17:0] y = {{(18 - WIDTH) {b[WIDTH-1]}}, b};
  wire [35:0] z;

  (* hwgw_operands_kept *)
  MULT18X18D u_mult (
      .CLK0(clk), .CE0(keep), .RST0(1'b0), .SIGNEDA(1'b1), .SIGNEDB(1'b1), .SOURCEA(1'b0), .SOURCEB(1'b0),
      .A0(x[0]), .A1(x[1]), .A2(x[2]), .A3(x[3]), .A4(x[4]), .A5(x[5]), .A6(x[6]), .A7(x[7]), .A8(x[8]),
      .A9(x[9]), .A10(x[10]), .A11(x[11]), .A12(x[12]), .A13(x[13]), .A14(x[14]), .A15(x[15]), .A16(x[16]), .A17(x[17]),
      .B0(y[0]), .B1(y[1]), .B2(y[2]), .B3(y[3]), .B4(y[4]), .B5(y[5]), .B6(y[6]), .B7(y[7]), .B8(y[8]),
      .B9(y[9]), .B10(y[10]), .B11(y[11]), .B12(y[12]), .B13(y[13]), .B14(y[14]), .B15(y[15]), .B16(y[16]), .B17(y[17]),
      .C0(1'b0), .C1(1'b0), .C2(1'b0), .C3(1'b0), .C4(1'b0), .C5(1'b0), .C6(1'b0), .C7(1'b0), .C8(1'b0),
      .C9(1'b0), .C10(1'b0), .C11(1'b0), .C12(1'b0), .C13(1'b0), .C14(1'b0), .C15(1'b0), .C16(1'b0), .C17(1'b0),
      .P0(z[0]), .P1(z[1]), .P2(z[2]), .P3(z[3]), .P4(z[4]), .P5(z[5]), .P6(z[6]), .P7(z[7]), .P8(z[8]),
      .P9(z[9]), .P10(z[10]), .P11(z[11]), .P12(z[12]), .P13(z[13]), .P14(z[14]), .P15(z[15]), .P16(z[16]), .P17(z[17]),
      .P18(z[18]), .P19(z[19]), .P20(z[20]), .P21(z[21]), .P22(z[22]), .P23(z[23]), .P24(z[24]), .P25(z[25]), .P26(z[26]),
      .P27(z[27]), .P28(z[28]), .P29(z[29]), .P30(z[30]), .P31(z[31]), .P32(z[32]), .P33(z[33]), .P34(z[34]), .P35(z[35])
  );

  assign p = z[2*WIDTH-1:0];

endmodule

`default_nettype wire
