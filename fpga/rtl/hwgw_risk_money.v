// hwgw_risk_money: cash, marks and positions per account, and the loss limits.
//
// SPDX-License-Identifier: MIT
//
// walk (24 cycles, count 0 to 23): every account's position in the instrument is valued anew: equity moves by position x
// step, the gateway's by their sum. With is_judged, lost says afterwards whether the gateway or an account with a position
// there is below its loss limit. read_account is count - 4 in a walk, and walk_loss_max is its, a cycle later.
// trade: four cycles from trade_begin on, cash and equity of the account and the gateway after a trade are worked out
// and judged; commit stores them and the position. Otherwise the product p of mul_a and mul_b is 4 cycles later.
// Money is exact: 96 bits signed.
`default_nettype none
`include "hwgw_risk.vh"

module hwgw_risk_money #(
    parameter INSTRUMENT_W = 10
) (
    input  wire                           clk,
    input  wire                           clear,
    input  wire        [            13:0] clear_addr,
    input  wire                           fetch,
    input  wire        [INSTRUMENT_W-1:0] instrument,
    input  wire        [             3:0] account,
    input  wire        [             3:0] read_account,    // of the row that fetch keeps, in the cycle before
    input  wire                           walk,
    input  wire        [             4:0] count,
    input  wire                           is_judged,
    input  wire signed [            32:0] step,
    input  wire        [            63:0] mul_a,
    input  wire signed [            32:0] mul_b,
    output wire signed [            96:0] p,
    input  wire                           trade_begin,
    input  wire                           is_bought,
    input  wire        [            31:0] qty,
    input  wire        [            63:0] cash_moved,      // qty x price
    input  wire        [            63:0] mark_moved,      // qty x mark price
    input  wire                           commit,
    input  wire        [            63:0] walk_loss_max,   // of account count - 5
    input  wire        [            63:0] loss_max,        // of account
    input  wire        [            63:0] gateway_loss_max,
    output reg                            is_lost,
    output reg         [            95:0] equity_q,        // of account, as fetched
    output reg         [            95:0] gateway_equity_q  /*verilator public_flat_rd*/,
    input  wire                           rst
);

  // ---- positions, and their product ----

  wire [63:0] held_now;
  reg  [63:0] held_q;
  reg  [63:0] held_now_q;
  reg         is_fetched_q;
  reg  [63:0] held_moved_q;  // after the trade; what it is made of stands since the cycles before
  wire [INSTRUMENT_W+3:0] held_row = {instrument, account};
  wire [3:0] held_account = walk ? count[3:0] : account;  // a cycle later than the other rows, when no address comes from the port

  hwgw_risk_ram #(
      .WIDTH (64),
      .ADDR_W(INSTRUMENT_W + 4)
  ) u_held (
      .clk(clk),
      .we(commit || clear),
      .waddr(clear ? clear_addr[INSTRUMENT_W+3:0] : held_row),
      .wdata(clear ? 64'd0 : held_moved_q),
      .raddr({instrument, held_account}),
      .rdata(held_now)
  );

  hwgw_risk_mul u_mul (
      .clk(clk),
      .a(walk ? held_now : mul_a),
      .b(walk ? step : mul_b),
      .p(p)
  );

  wire [95:0] moved = p[95:0];

  // ---- cash and equity ----

  localparam ROW_W = `HWGW_ROW_MONEY_W;
  wire [ROW_W-1:0] money_now;
  reg  [     95:0] gateway_cash_q  /*verilator public_flat_rd*/;
  reg  [     95:0] cash_d, equity_d, gateway_cash_d, gateway_equity_d;
  reg  [      2:0] held_d;
  reg              is_held_q6;
  reg  [      3:0] write_row_q;  // in a walk, account count - 6
  wire             is_write = walk && count >= 5'd6 && count < 5'd22;
  wire [ROW_W-1:0] row_d = {equity_d, cash_d};

  hwgw_risk_ram #(
      .WIDTH (ROW_W),
      .ADDR_W(4)
  ) u_money (
      .clk(clk),
      .we(commit || is_write || clear),
      .waddr(clear ? clear_addr[3:0] : walk ? write_row_q : account),
      .wdata(clear ? {ROW_W{1'b0}} : row_d),
      .raddr(read_account),
      .rdata(money_now)
  );

  // ---- a trade: registers by the cycle ----

  reg  [2:0] trade_q;
  reg [95:0] cash_step_q, equity_step_q;
  reg  [63:0] loss_max_q;
  wire [95:0] cash_wide = {32'd0, cash_moved};
  wire [95:0] mark_wide = {32'd0, mark_moved};

  // a bit wider than needed, as in hwgw_risk_check
  wire [97:0] above = {{2{equity_d[95]}}, equity_d} + {34'd0, loss_max_q};
  wire [97:0] gateway_above = {{2{gateway_equity_d[95]}}, gateway_equity_d} + {34'd0, gateway_loss_max};
  wire [97:0] gateway_walked = {{2{gateway_equity_q[95]}}, gateway_equity_q} + {34'd0, gateway_loss_max};
  reg         is_above_q, is_gateway_above_q, is_gateway_walked_q;  // signs of these: below the limit
  reg         is_write_q;
  reg         is_held_q7;
  wire [95:0] cash_now = money_now[`HWGW_ROW_MONEY_CASH];
  wire [95:0] equity_now = money_now[`HWGW_ROW_MONEY_EQUITY];

  always @(posedge clk) begin
    write_row_q   <= count[3:0] - 4'd5;
    loss_max_q    <= walk ? walk_loss_max : loss_max;
    trade_q       <= {trade_q[1:0], trade_begin};
    cash_step_q   <= is_bought ? -cash_wide : cash_wide;
    equity_step_q <= is_bought ? mark_wide - cash_wide : cash_wide - mark_wide;
    held_now_q <= held_now;
    held_moved_q <= is_bought ? held_q + {32'd0, qty} : held_q - {32'd0, qty};
    {is_held_q6, held_d} <= {held_d, held_now_q != 64'd0};
    is_fetched_q <= fetch;
    if (is_fetched_q) held_q <= held_now;
    if (fetch) equity_q <= equity_now;
    cash_d   <= walk ? cash_now : cash_now + cash_step_q;
    equity_d <= walk ? equity_now + moved : equity_now + equity_step_q;
    if (commit) begin
      gateway_cash_q   <= gateway_cash_d;
      gateway_equity_q <= gateway_equity_d;
    end
    gateway_cash_d   <= gateway_cash_q + cash_step_q;
    gateway_equity_d <= gateway_equity_q + equity_step_q;
    if (walk && count >= 5'd5 && count < 5'd21) gateway_equity_q <= gateway_equity_q + moved;

    is_above_q          <= above[96];
    is_gateway_above_q  <= gateway_above[96];
    is_gateway_walked_q <= gateway_walked[96];
    is_write_q          <= is_write;
    is_held_q7          <= is_held_q6;
    if (fetch) is_lost <= 1'b0;
    if (is_write_q && is_judged && is_held_q7 && is_above_q) is_lost <= 1'b1;
    if (walk && is_judged && count == 5'd22 && is_gateway_walked_q) is_lost <= 1'b1;
    if (trade_q[2] && (is_above_q || is_gateway_above_q)) is_lost <= 1'b1;
    if (rst) begin
      trade_q          <= 3'd0;
      gateway_cash_q   <= 96'd0;
      gateway_equity_q <= 96'd0;
    end
  end

  wire unused_bits = &{1'b0, p[96], clear_addr, above, gateway_above, gateway_walked};

endmodule

`default_nettype wire
