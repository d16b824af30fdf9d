// hwgw_ring: records of the host wait in the card's memory, where the host has written them, until their turn comes.
//
// SPDX-License-Identifier: MIT
//
// Input: words of 32 bits at waddr = {entry, word of it}, and the doorbell: head is the number of records the host has put in since
// the reset, mod 2^32; record n is entry n mod 2^ENTRY_W. Output: the records in their order, each once, from the doorbell on.
// Whose an entry is: the card's from its doorbell until its record has been taken, then the host's. A word for an entry that is the
// card's is refused (pulse_overrun), a doorbell that takes records back or gives more than there are entries, too (pulse_doorbell);
// neither changes anything.
// is_torn: not every word of the record has been written since the entry's last record was taken. A mark beside each word says that
// it was; behind a record the entry is emptied, so that nothing of an older one can ever be taken for a word of a new one.
// Latency: 2 cycles from the doorbell to the record. Throughput: a record per 2 cycles; a cycle more for
// each word that is written just behind the last one. After reset words are refused for 2^ENTRY_W cycles, while every entry is emptied.
`default_nettype none

module hwgw_ring #(
    parameter ENTRY_W = 6
) (
    input  wire               clk,
    input  wire               we,
    input  wire [ENTRY_W+3:0] waddr,
    input  wire [       31:0] wdata,
    input  wire               doorbell,
    input  wire [       31:0] head,
    output wire [      511:0] m_axis_record_tdata,
    output wire               m_axis_record_tvalid,
    input  wire               m_axis_record_tready,
    output wire               is_torn,
    output wire [       31:0] tail,
    output reg                pulse_overrun,
    output reg                pulse_doorbell,
    input  wire               rst
);

  localparam [31:0] ENTRIES = 1 << ENTRY_W;

  reg  [       31:0] head_q;
  reg  [       31:0] tail_q;
  reg                valid_q;
  reg  [  ENTRY_W:0] clear_q;  // the highest bit: done
  wire               is_clearing = !clear_q[ENTRY_W];

  // ---- whose is it ----

  wire [       31:0] used = head_q - tail_q;
  wire [       31:0] given = head - tail_q;
  wire               is_doorbell = given <= ENTRIES && given >= used;
  wire [ENTRY_W-1:0] entry = waddr[ENTRY_W+3:4];
  wire [ENTRY_W-1:0] ahead = entry - head_q[ENTRY_W-1:0];
  wire               is_room = {1'b0, used[ENTRY_W:0]} + {2'd0, ahead} < ENTRIES[ENTRY_W+1:0];
  wire               write = we && is_room && !is_clearing;
  wire               take = valid_q && m_axis_record_tready;

  // ---- words of the entry that was taken last, still to be emptied when nobody writes; what the host writes there stays ----

  reg  [       15:0] empty_q;
  reg  [ENTRY_W-1:0] empty_entry_q;
  wire [       15:0] written = write ? 16'd1 << waddr[3:0] : 16'd0;
  wire [       15:0] left = we ? empty_q & ~(entry == empty_entry_q ? written : 16'd0) : 16'd0;

  always @(posedge clk) begin
    if (doorbell && is_doorbell) head_q <= head;
    if (take) tail_q <= tail_q + 32'd1;
    if (take) empty_entry_q <= tail_q[ENTRY_W-1:0];
    empty_q        <= take ? {16{1'b1}} : left;
    valid_q        <= valid_q ? !m_axis_record_tready : head_q != tail_q && !(we && empty_q != 16'd0);
    clear_q        <= clear_q + {{ENTRY_W{1'b0}}, is_clearing};
    pulse_overrun  <= we && !write;
    pulse_doorbell <= doorbell && !is_doorbell;
    if (rst) begin
      head_q         <= 32'd0;
      tail_q         <= 32'd0;
      valid_q        <= 1'b0;
      empty_q        <= 16'd0;
      clear_q        <= {(ENTRY_W + 1) {1'b0}};
      pulse_overrun  <= 1'b0;
      pulse_doorbell <= 1'b0;
    end
  end

  // ---- the entries, a RAM per word ----

  wire [15:0] is_old;

  genvar word;
  generate
    for (word = 0; word < 16; word = word + 1) begin : g_word
      wire [32:0] rdata;
      hwgw_risk_ram #(
          .WIDTH (33),
          .ADDR_W(ENTRY_W)
      ) u_word (
          .clk  (clk),
          .we   (is_clearing || (we ? written[word] : empty_q[word])),
          .waddr(is_clearing ? clear_q[ENTRY_W-1:0] : we ? entry : empty_entry_q),
          .wdata(is_clearing || !we ? 33'd0 : {1'b1, wdata}),
          .raddr(tail_q[ENTRY_W-1:0]),
          .rdata(rdata)
      );
      assign is_old[word] = !rdata[32];
      assign m_axis_record_tdata[32*word+:32] = rdata[31:0];
    end
  endgenerate

  assign m_axis_record_tvalid = valid_q;
  assign is_torn              = |is_old;
  assign tail                 = tail_q;

endmodule

`default_nettype wire
