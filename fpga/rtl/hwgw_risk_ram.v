// hwgw_risk_ram: a memory of the risk gate: one clocked write, one clocked read.
//
// SPDX-License-Identifier: MIT
//
// Latency: a read takes a cycle. What a read of the row that is written in the same cycle gives is not relied on (no_rw_check:
// the tools add nothing to make it what was there before, as it is here): rows are written in the cycle of the verdict and the
// one before it, the limits in the bank that is not in force, and read in others.
`default_nettype none

module hwgw_risk_ram #(
    parameter WIDTH = 64,
    parameter ADDR_W = 4,
    /* verilator lint_off UNUSEDPARAM */
    parameter STYLE = "auto"  // "block": in block RAM however few its rows are
    /* verilator lint_on UNUSEDPARAM */
) (
    input  wire              clk,
    input  wire              we,
    input  wire [ADDR_W-1:0] waddr,
    input  wire [ WIDTH-1:0] wdata,
    input  wire [ADDR_W-1:0] raddr,
    output reg  [ WIDTH-1:0] rdata
);

  (* ram_style = STYLE, no_rw_check *) reg [WIDTH-1:0] ram[0:(1<<ADDR_W)-1]  /*verilator public_flat_rw*/;

  always @(posedge clk) begin
    if (we) ram[waddr] <= wdata;
    rdata <= ram[raddr];
  end

endmodule

`default_nettype wire
