// settled: flip-flops as wires, for proofs of modules whose registers only run forward, behind inputs that stand still.
//
// SPDX-License-Identifier: MIT
//
// After as many cycles as the longest way through such a module has registers, each register holds what its input says, from
// any state. So a proof of the wires holds for all states of the registers.
(* techmap_celltype = "$dff" *)
module settled_dff #(
    parameter WIDTH = 1,
    parameter CLK_POLARITY = 1
) (
    input              CLK,
    input  [WIDTH-1:0] D,
    output [WIDTH-1:0] Q
);
  assign Q = D;
endmodule
