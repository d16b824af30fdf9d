// fv_hold: hwgw_hold with 8 records of 3 bits between a writer that commits and takes back and a reader that pauses.
//
// SPDX-License-Identifier: MIT
//
// Assumed: nothing is committed and taken back in one cycle, which fv_mold proves of hwgw_mold; no record is given while the store is
// full, where hwgw_mold may do so in one cycle more (fv_mold), for which the margin of the real store is larger; the reader
// takes only what is there, as hwgw_line does.
// RULE_ORDER  the records that were committed leave in their order, each once, and m_kind is of them; what was taken back never leaves
// RULE_STABLE a record that waits at the port stays as it is
// RULE_LIVE   a committed record is at the port within 4 cycles when the reader takes what is there
`default_nettype none

module fv_hold (
    input wire       clk,
    input wire       rst,
    input wire [2:0] record,
    input wire       valid,
    input wire       commit,
    input wire       rollback,
    input wire       ready
);

  wire full, tight, m_valid;
  wire [2:0] m_record;
  wire [3:0] m_kind;

  hwgw_hold #(.WIDTH(3), .DEPTH(8), .MARGIN(2)) dut (
      .clk(clk), .s_record(record), .s_valid(valid), .s_commit(commit), .s_rollback(rollback), .s_full(full),
      .is_tight(tight), .m_record(m_record), .m_kind(m_kind), .m_valid(m_valid), .m_ready(ready), .rst(rst)
  );

  // what was given, from the first committed record that has not left on; 16 places are more than can be inside
  reg        has_begun = 1'b0;
  reg  [2:0] given[0:15];
  reg  [3:0] write_q, commit_q, read_q;
  reg        waits_q;
  reg  [2:0] was_q;
  reg  [2:0] idle_q;
  wire       take = ready;
  wire [3:0] write_next = write_q + {3'd0, valid};
  wire [3:0] inside = commit_q - read_q;

  always @(posedge clk) begin
    has_begun <= 1'b1;
    assume (rst == !has_begun);
    assume (!(valid && full));
    assume (!(ready && !m_valid));
    assume (!(commit && rollback));
    if (valid) given[write_q] <= record;
    write_q  <= rollback ? commit_q : write_next;
    commit_q <= commit && !rollback ? write_next : commit_q;
    read_q   <= read_q + {3'd0, take};
    waits_q  <= m_valid && !ready && !rst;
    was_q    <= m_record;
    idle_q   <= m_valid || inside == 4'd0 ? 3'd0 : idle_q + {2'd0, idle_q != 3'd7};
    if (rst) begin
      write_q  <= 4'd0;
      commit_q <= 4'd0;
      read_q   <= 4'd0;
      idle_q   <= 3'd0;
    end
  end

`ifdef RULE_ORDER
  reg [3:0] back_q;
  always @(posedge clk) begin
    back_q <= rst ? 4'd0 : back_q + {3'd0, rollback && write_q != commit_q};
    if (!rst && has_begun) begin
      if (m_valid) assert (inside != 4'd0 && m_record == given[read_q]);
      assert (m_kind == (m_valid ? 4'd1 << m_record[1:0] : 4'd0));
      assert (inside <= 4'd11);
      cover (m_valid && read_q == 4'd3 && back_q == 4'd1);
      cover (full && m_valid);
    end
  end
`endif

`ifdef RULE_STABLE
  always @(posedge clk)
    if (!rst && has_begun) begin
      if (waits_q) assert (m_valid && m_record == was_q);
      cover (waits_q && inside == 4'd3);
    end
`endif

`ifdef RULE_LIVE
  always @(posedge clk)
    if (!rst && has_begun) begin
      assert (idle_q <= 3'd3);
      cover (idle_q == 3'd3);
    end
`endif

endmodule

`default_nettype wire
