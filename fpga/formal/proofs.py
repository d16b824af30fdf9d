"""What is proven of the card's Verilog: one row per property, with the bug that its proof has to find.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Proof:
    """A property of a module.

    bug: a text that stands once in the module's file, and what it is replaced by; the assertions must then fail.
    """

    name: str
    module: str  # of fpga/rtl
    harness: str  # of fpga/formal: the top
    rule: str  # the macro that chooses the assertions
    depth: int  # cycles; of an induction, those that are assumed
    bug: tuple[str, str]
    is_induction: bool = False  # holds for ever, not only for depth cycles
    depth_cover: int = 0  # to its covers and its bug, where that is further
    uses: tuple[str, ...] = ()  # more modules of fpga/rtl
    helpers: tuple[str, ...] = ()  # more files of fpga/formal
    settled: tuple[str, ...] = ()  # modules whose flip-flops are wires in the proof, see settled.v
    probes: tuple[str, ...] = ()  # signals of the module that the harness sees, for what is to be invariant
    engine: str = "smtbmc z3"
    is_flat: bool = False  # no modules are left, so that what is constant in a copy of one is; with probes always

    @property
    def reach(self) -> str:
        """For how long it holds: what has no state but settled modules holds in every state."""
        return "k-induction" if self.is_induction else "every state" if self.settled else "bounded"


def _rules(name: str, depth: int, bugs: dict[str, tuple[str, str]], helpers: tuple[str, ...] = ()) -> list[Proof]:
    return [
        Proof(f"{name}.{rule}", f"hwgw_{name}", f"fv_{name}", f"RULE_{rule.upper()}", depth, bug, helpers=helpers)
        for rule, bug in bugs.items()
    ]


def _stream(name: str, depth: int, bugs: dict[str, tuple[str, str]]) -> list[Proof]:
    return _rules(name, depth, bugs, helpers=("fv_stream",))


def _settled(harness: str, module: str, bugs: dict[str, tuple[str, str]]) -> list[Proof]:
    modules = ("hwgw_risk_check", "hwgw_risk_apply", "hwgw_risk_bucket", "hwgw_risk_room")
    return [
        Proof(f"risk.{rule}", module, harness, f"RULE_{rule.upper()}", 1, bug, uses=(*modules[1:], "hwgw_risk_three"),
              helpers=("fv_risk_product",), settled=modules)
        for rule, bug in bugs.items()
    ]  # fmt: skip


PHASES = ("phase_q", "count_q", "is_open_q", "is_walk_end_q", "is_latched_q")
"""Registers of hwgw_risk that fv_risk looks at."""

PROOFS = (
    *_stream("skid", 13, {
        "stable": ("if (out_is_free) begin", "if (1'b1) begin"),
        "order": ("held_valid_q ? held_q : s_axis_tdata", "s_axis_tdata"),
        "live": ("      held_valid_q <= 1'b0;\n    end else", "    end else"),
        "rate": ("assign s_axis_tready = !held_valid_q;", "assign s_axis_tready = !out_valid_q;"),
    }),
    *_stream("fifo", 13, {
        "stable": ("!is_empty_q && (!out_valid_q || m_axis_tready)", "!is_empty_q"),
        "order": ("has_room_q  <= get || !(put ? is_last : is_all);", "has_room_q  <= 1'b1;"),
        "live": ("is_empty_q  <= !put && (get ? is_one : is_none);",
                 "is_empty_q  <= !put && (get || is_one || is_none);"),
        "rate": ("(!out_valid_q || m_axis_tready)", "!out_valid_q"),
    }),
    *_rules("itch", 8, {
        "once": ("is_length_q  <= s_valid && (s_len == 6'd0 || ", "is_length_q  <= s_valid && ("),
        "order": ("      seq_q  <= s_seq;\n", ""),
    }),
    Proof("counters.exact", "hwgw_counters", "fv_counters", "RULE_EXACT", 15,
          ("if (cut) cut_q <= rest;", "if (cut) cut_q <= sum_q;")),
    Proof("counters.live", "hwgw_counters", "fv_counters", "RULE_LIVE", 20,
          ("is_copying_q && turn_q == first_q", "is_copying_q && turn_q == first_q && first_q != 0")),
    Proof("arbiter.order", "hwgw_arbiter", "fv_arbiter", "RULE_ORDER", 11,
          ("else if (take_a || take_b) begin", "else if (take_a) begin"), uses=("hwgw_line",)),
    Proof("arbiter.live", "hwgw_arbiter", "fv_arbiter", "RULE_LIVE", 16,
          ("is_measuring_q <= is_giving_up;", "is_measuring_q <= 1'b0;"), uses=("hwgw_line",)),
    Proof("risk.mul", "hwgw_risk_mul", "fv_risk_mul", "RULE_EXACT", 7,
          ("{k == 3 && a[4*LIMB_W-1], a", "{1'b0, a"), uses=("hwgw_risk_dsp",)),
    Proof("risk.shut", "hwgw_risk", "fv_risk", "RULE_SHUT", 4,
          (".is_halted(is_latched_q || halt || !is_in_force)", ".is_halted(is_latched_q || halt)"),
          is_induction=True, depth_cover=14, helpers=("fv_risk_stubs",), probes=PHASES),
    Proof("risk.latch", "hwgw_risk", "fv_risk", "RULE_LATCH", 3,
          ("halted_d = halt ? wire_reason : halted_since_q;", "halted_d = 8'd0;"),
          is_induction=True, depth_cover=26, helpers=("fv_risk_stubs",), probes=(*PHASES, "halted_since_q")),
    Proof("risk.once", "hwgw_risk", "fv_risk", "RULE_ONCE", 3,
          ("phase_d[IDLE] && !verdict_valid_d", "phase_d[IDLE]"),
          is_induction=True, depth_cover=50, helpers=("fv_risk_stubs",), probes=PHASES),
    *_settled("fv_risk_check", "hwgw_risk_check", {
        "form": ("STRATEGIES_MAX || ref_id <= last_ref", "STRATEGIES_MAX"),
        "exposure": ("is_position_bad_q  <= worst_q >", "is_position_bad_q  <= worst_q - 34'sd1 >"),
        "room": ("behind_d != `HWGW_RISK_REASON_PASS || is_room_bad_q4;", "behind_d != `HWGW_RISK_REASON_PASS;"),
    }),
    Proof("risk.short", "hwgw_risk_room", "fv_risk_room", "RULE_EXACT", 4,
          ("low_inv_q2[0] ? is_room_q[2]", "low_inv_q2[0] ? is_room_q[1]"), uses=("hwgw_risk_three",)),
    Proof("risk.product", "hwgw_risk_product", "fv_risk_two", "RULE_EXACT", 5,
          ("(ends_q & mid_b) | (mid_a & mid_b)", "(ends_q & mid_b)"), uses=("hwgw_risk_dsp",)),
    Proof("risk.sum", "hwgw_risk_check", "fv_risk_check", "RULE_SUM", 1,
          (".room(room_q3), .sum(notional_sum), .carry(notional_carry)",
           ".room(room_q3), .sum(notional_sum), .carry({notional_carry[62:0], 1'b0})"),
          uses=("hwgw_risk_apply", "hwgw_risk_bucket", "hwgw_risk_three"), helpers=("fv_risk_product", "fv_risk_above"),
          settled=("fv_risk_check",), probes=("notional", "is_notional_bad_q5", "is_room_short_q5", "room_q3")),
    Proof("risk.credit", "hwgw_risk_apply", "fv_risk_check", "RULE_CREDIT", 1,
          ("gateway[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] + notional", "gateway[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL]"),
          uses=("hwgw_risk_check", "hwgw_risk_bucket", "hwgw_risk_room", "hwgw_risk_three"),
          helpers=("fv_risk_product",),
          settled=("hwgw_risk_check", "hwgw_risk_apply", "hwgw_risk_bucket", "hwgw_risk_room")),
    Proof("risk.rows", "hwgw_risk_apply", "fv_risk_ledger", "RULE_ROWS", 1,
          ("slot_d[`HWGW_ROW_SLOT_ORIG_REF] <= orig_ref;", "slot_d[`HWGW_ROW_SLOT_ORIG_REF] <= ref_id;"),
          is_induction=True, depth_cover=6, settled=("hwgw_risk_apply",)),
    Proof("risk.worst", "hwgw_risk_apply", "fv_risk_event", "RULE_WORST", 1,
          ("side_qty    <= is_replaced ? orig_leaves + release_qty", "side_qty    <= is_replaced ? orig_leaves"),
          settled=("fv_risk_event",), is_flat=True),
    Proof("risk.open", "hwgw_risk_apply", "fv_risk_event", "RULE_OPEN", 1,
          ("gateway[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL] - released", "gateway[`HWGW_ROW_ACCOUNT_OPEN_NOTIONAL]"),
          settled=("fv_risk_event",), is_flat=True),
    *_rules("trigger", 13, {
        "shots": ("has_fired_q && fired_row_q == row_q ? fired_count_q : count_q;", "count_q;"),
        "one": ("cfg_shot_ref != 32'd0 : is_loaded_q && !fire;", "cfg_shot_ref != 32'd0 : is_loaded_q;"),
        "why": ("pulse_drop_spent    <= match && is_spent;", "pulse_drop_spent    <= match && is_fired_q;"),
        "stable": ("wire                        is_free = !order_valid_q || m_axis_order_tready;",
                   "wire                        is_free = 1'b1;"),
    }),
    Proof("frame.loan", "hwgw_frame", "fv_frame", "RULE_LOAN", 3,
          ("if (is_left_bad_q || (!is_left_wide_q && s_len > left_q))", "if (is_left_bad_q)"),
          is_induction=True, depth_cover=30,
          probes=("end_q", "expiry_q", "is_over_q", "is_new_q", "left_q", "is_left_wide_q", "is_left_bad_q")),
    Proof("frame.once", "hwgw_frame", "fv_frame", "RULE_ONCE", 3,
          ("else if (m_axis_sent_tready) sent_valid_q", "else sent_valid_q"), is_induction=True, depth_cover=34),
    Proof("udp.verdict", "hwgw_udp", "fv_udp", "RULE_VERDICT", 12,
          ("is_payload_q <= (is_next || is_payload_q) && !prev_last_q;", "is_payload_q <= is_next || is_payload_q;"),
          is_induction=True, depth_cover=18),
    Proof("mold.apart", "hwgw_mold", "fv_mold", "RULE_APART", 7,
          ("m_rollback    <= s_verdict_valid && !is_good;", "m_rollback    <= s_verdict_valid;"),
          is_induction=True, depth_cover=16),
    Proof("mold.room", "hwgw_mold", "fv_mold", "RULE_ROOM", 3,
          ("wire       is_full = was_full_q || s_full;", "wire       is_full = was_full_q;"),
          is_induction=True, depth_cover=16),
    Proof("hold.order", "hwgw_hold", "fv_hold", "RULE_ORDER", 11,
          ("write_q      <= s_rollback ? commit_q : write_next;", "write_q      <= write_next;"), depth_cover=13),
    Proof("hold.stable", "hwgw_hold", "fv_hold", "RULE_STABLE", 13,
          ("head_q      <= head_q ^ m_ready;", "head_q      <= head_q ^ m_valid;")),
    Proof("hold.live", "hwgw_hold", "fv_hold", "RULE_LIVE", 15,
          ("has_more_q <= !(get ? is_back_one : is_back_even);", "has_more_q <= has_more_q && !is_back_one;"),
          depth_cover=19),
)  # fmt: skip
