// hwgw_risk_state: what the risk gate remembers, in block RAM, and the rows of the event that is inside.
//
// SPDX-License-Identifier: MIT
//
// A row is read (fetch), stands still for the whole event in a register, and is written back at its end. The rows and
// their fields are those of fpga/gen_risk.py. Every zero bit is the reset state: clear writes a row of 0 per cycle.
// fetch: the memories give their rows in this cycle, to be kept; fetch_orig likewise for the second slot, a cycle later.
// The gateway's own row is a register, always there.
`default_nettype none
`include "hwgw_risk.vh"

module hwgw_risk_state #(
    parameter INSTRUMENT_W = 10,
    parameter SLOT_W = 12
) (
    input  wire                                  clk,
    input  wire                                  clear,
    input  wire [                          13:0] clear_addr,
    input  wire                                  fetch,
    input  wire                                  fetch_orig,
    input  wire [              INSTRUMENT_W-1:0] instrument,
    input  wire [                           3:0] account,
    input  wire [                           5:0] strategy,
    input  wire [              INSTRUMENT_W-1:0] read_instrument,  // of the rows that fetch keeps, in the cycle before
    input  wire [                           3:0] read_account,
    input  wire [                           5:0] read_strategy,
    input  wire [                    SLOT_W-1:0] slot_addr,
    output wire [          `HWGW_ROW_SLOT_W-1:0] slot_now,       // as the memory gives it, a cycle after its address
    output reg  [            `HWGW_ROW_AT_W-1:0] at_q,
    output wire [                          31:0] ref_px_now,     // of it, as the memory gives it
    output reg  [       `HWGW_ROW_ACCOUNT_W-1:0] account_q,
    output reg  [       `HWGW_ROW_ACCOUNT_W-1:0] gateway_q  /*verilator public_flat_rd*/,
    output reg  [      `HWGW_ROW_STRATEGY_W-1:0] strategy_q,
    output reg  [          `HWGW_ROW_SLOT_W-1:0] slot_q,
    output reg  [          `HWGW_ROW_SLOT_W-1:0] orig_q,
    output reg  [                          63:0] feed_q,         // of 64 instruments
    input  wire                                  we_at,
    input  wire [            `HWGW_ROW_AT_W-1:0] at_d,
    input  wire                                  we_account,     // and the gateway's
    input  wire [       `HWGW_ROW_ACCOUNT_W-1:0] account_d,
    input  wire [       `HWGW_ROW_ACCOUNT_W-1:0] gateway_d,
    input  wire                                  we_strategy,
    input  wire [      `HWGW_ROW_STRATEGY_W-1:0] strategy_d,
    input  wire                                  we_slot,
    input  wire [                    SLOT_W-1:0] slot_waddr,
    input  wire [          `HWGW_ROW_SLOT_W-1:0] slot_d,
    input  wire                                  we_feed,
    input  wire [                           3:0] feed_waddr,
    input  wire [                          63:0] feed_d,
    input  wire                                  rst
);

  wire [`HWGW_ROW_AT_W-1:0] at_now;
  wire [`HWGW_ROW_ACCOUNT_W-1:0] account_now;
  wire [`HWGW_ROW_STRATEGY_W-1:0] strategy_now;
  wire [63:0] feed_now;
  wire [9:0] wide_instrument = {{(10 - INSTRUMENT_W) {1'b0}}, read_instrument};

  always @(posedge clk) begin
    if (fetch) begin
      at_q       <= at_now;
      account_q  <= account_now;
      strategy_q <= strategy_now;
      slot_q     <= slot_now;
      feed_q     <= feed_now;
    end
    if (fetch_orig) orig_q <= slot_now;
    if (we_account) gateway_q <= gateway_d;
    if (rst) gateway_q <= {`HWGW_ROW_ACCOUNT_W{1'b0}};
  end

  assign ref_px_now = at_now[`HWGW_ROW_AT_REF_PX];

  hwgw_risk_ram #(
      .WIDTH (`HWGW_ROW_AT_W),
      .ADDR_W(INSTRUMENT_W)
  ) u_at (
      .clk(clk),
      .we(we_at || clear),
      .waddr(clear ? clear_addr[INSTRUMENT_W-1:0] : instrument),
      .wdata(clear ? {`HWGW_ROW_AT_W{1'b0}} : at_d),
      .raddr(read_instrument),
      .rdata(at_now)
  );

  hwgw_risk_ram #(
      .WIDTH (`HWGW_ROW_ACCOUNT_W),
      .ADDR_W(4)
  ) u_account (
      .clk(clk),
      .we(we_account || clear),
      .waddr(clear ? clear_addr[3:0] : account),
      .wdata(clear ? {`HWGW_ROW_ACCOUNT_W{1'b0}} : account_d),
      .raddr(read_account),
      .rdata(account_now)
  );

  hwgw_risk_ram #(
      .WIDTH (`HWGW_ROW_STRATEGY_W),
      .ADDR_W(6)
  ) u_strategy (
      .clk(clk),
      .we(we_strategy || clear),
      .waddr(clear ? clear_addr[5:0] : strategy),
      .wdata(clear ? {`HWGW_ROW_STRATEGY_W{1'b0}} : strategy_d),
      .raddr(read_strategy),
      .rdata(strategy_now)
  );

  hwgw_risk_ram #(
      .WIDTH (`HWGW_ROW_SLOT_W),
      .ADDR_W(SLOT_W)
  ) u_slot (
      .clk(clk),
      .we(we_slot || clear),
      .waddr(clear ? clear_addr[SLOT_W-1:0] : slot_waddr),
      .wdata(clear ? {`HWGW_ROW_SLOT_W{1'b0}} : slot_d),
      .raddr(slot_addr),
      .rdata(slot_now)
  );

  hwgw_risk_ram #(
      .WIDTH (64),
      .ADDR_W(4)
  ) u_feed (
      .clk(clk),
      .we(we_feed || clear),
      .waddr(clear ? clear_addr[3:0] : feed_waddr),
      .wdata(clear ? 64'd0 : feed_d),
      .raddr(wide_instrument[9:6]),
      .rdata(feed_now)
  );

  wire unused_addr = &{1'b0, clear_addr, wide_instrument};

endmodule

`default_nettype wire
