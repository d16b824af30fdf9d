"""Every small change of a Verilog module, all in one text: which of them is in force is a variable of the simulation.

SPDX-License-Identifier: MIT

A change is of one operator, constant, condition or assignment. The text that comes back has them all; `mutant::on` is
the number of the one in force, 0 for none, so that a model is compiled once. Where an operand stands in both branches
of a choice, so do the changes in it. Left alone: ports, parameters, ranges, constant expressions, wires named unused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

PACKAGE = """package mutant;
  int unsigned on /*verilator public_flat_rw*/;
  function automatic both(input [1:0] without, input a, input b);
    both = (a || without[0]) && (b || without[1]);
  endfunction
  function automatic either(input [1:0] without, input a, input b);
    either = (a && !without[0]) || (b && !without[1]);
  endfunction
endpackage
"""

TOKEN = re.compile(
    r"(?P<skip>//[^\n]*|/\*.*?\*/|`(?:default_nettype|include|define)[^\n]*|\(\*.*?\*\)(?!\s*begin)|\s+)"
    r"|(?P<name>[`$]?[A-Za-z_]\w*)|(?P<sized>\d+'s?[bdh][0-9a-fA-F_]+)|(?P<number>\d+)|(?P<text>\"[^\"\n]*\")"
    r"|(?P<op><<<|>>>|<=|>=|==|!=|&&|\|\||<<|>>|\+:|-:|[-+*/%&|^~!<>=?:;,.(){}\[\]@#])",
    re.DOTALL,
)
PRECEDENCE = {
    "*": 11, "/": 11, "%": 11, "+": 10, "-": 10, "<<": 9, ">>": 9, "<<<": 9, ">>>": 9, "<": 8, "<=": 8, ">": 8, ">=": 8,
    "==": 7, "!=": 7, "&": 6, "^": 5, "|": 4, "&&": 3, "||": 2,
}  # fmt: skip
DROPS = ("without left", "without right")
SWAPS = {
    "<": ("<=",), "<=": ("<",), ">": (">=",), ">=": (">",), "==": ("!=",), "!=": ("==",), "+": ("-",), "-": ("+",),
    "*": ("+",), "<<": (">>",), ">>": ("<<",), "&": ("|",), "|": ("&",), "^": ("|",), "&&": DROPS, "||": DROPS,
}  # fmt: skip
OPEN, CLOSE = {"(": ")", "[": "]", "{": "}"}, {")": "(", "]": "[", "}": "{"}
STATEMENT = {";", "begin", "end", "else", "endcase", "endfunction", "endgenerate", "generate", "endmodule", "always"}
CONSTANT = re.compile(r"`HWGW_(RISK_(REASON|CHECK|[A-Z]+_MAX|INSTRUMENT_FLAGS)|ORDER_(KIND|SIDE|TYPE|TIF|FLAGS))\w*")
DECLARED = {"parameter", "localparam", "genvar", "integer", "input", "output", "module", "reg", "for"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change, by its number."""

    number: int
    source: str
    line: int
    old: str
    new: str
    code: str


@dataclass(slots=True)
class Node:
    """A change and the tokens from first to before end that it is about; at is its operator."""

    number: int
    first: int
    end: int
    at: int
    old: str
    new: str


class Module:
    """The tokens of a file, and what may be changed in them."""

    def __init__(self, name: str, text: str, number: int) -> None:
        self.name, self.text, self.next = name, text, number
        self.tokens: list[tuple[str, str, int]] = []  # kind, text, place
        place = 0
        while place < len(text):
            found = TOKEN.match(text, place)
            if not found:
                raise ValueError(f"{name}:{self._line(place)}: {text[place : place + 20]!r} is no Verilog of ours")
            if found.lastgroup != "skip":
                self.tokens.append((found.lastgroup or "", found[0], place))
            place = found.end()
        self.pair: dict[int, int] = {}
        self._match()
        self.loops = {
            name for names in re.findall(r"\b(?:genvar|integer) ([^;]*);", text) for name in re.findall(r"\w+", names)
        }
        self.assigns = set(self._assignments())
        self.nodes: dict[int, list[Node]] = {}
        self.mutants: list[Mutant] = []
        self._find()
        for nodes in self.nodes.values():
            nodes.sort(key=lambda node: (-node.end, node.old != "statement"))

    def _line(self, place: int) -> int:
        return self.text.count("\n", 0, place) + 1

    def _word(self, at: int) -> str:
        return self.tokens[at][1] if 0 <= at < len(self.tokens) else ""

    def _match(self) -> None:
        stack: list[int] = []
        for at, (_, word, _) in enumerate(self.tokens):
            if word in OPEN:
                stack.append(at)
            elif word in CLOSE:
                begin = stack.pop()
                self.pair[begin], self.pair[at] = at, begin

    def _assignments(self) -> Iterator[int]:
        """Where = and <= assign: the first in a statement, outside of brackets."""
        is_open, depth = True, 0
        for at, (_, word, _) in enumerate(self.tokens):
            depth += (word in OPEN) - (word in CLOSE)
            if depth == 0 and word in STATEMENT:
                is_open = True
            elif word == "=" or (word == "<=" and depth == 0 and is_open):
                yield at
                is_open = depth > 0

    # ---- where things begin and end ----

    def _is_unary(self, at: int) -> bool:
        before = self._word(at - 1)
        return (
            at - 1 in self.assigns
            or before in PRECEDENCE
            or before in OPEN
            or before in {"?", ":", ",", "!", "~", "return"}
        )

    def _is_stop(self, at: int, precedence: int, is_left: bool) -> bool:
        word = self._word(at)
        if at in self.assigns or word in {",", ";", "?", ":", "=", "", *STATEMENT}:
            return True
        if word in PRECEDENCE and not self._is_unary(at):
            other = PRECEDENCE[word]
            return other < precedence or (other == precedence and not is_left)
        return False

    def _left(self, at: int, precedence: int) -> int:
        while not self._is_stop(at - 1, precedence, True) and self._word(at - 1) not in OPEN:
            at = self.pair[at - 1] if self._word(at - 1) in CLOSE else at - 1
        return at

    def _right(self, at: int, precedence: int) -> int:
        at += 1
        while not self._is_stop(at, precedence, False) and self._word(at) not in CLOSE:
            at = self.pair[at] + 1 if self._word(at) in OPEN else at + 1
        return at

    # ---- what may be changed ----

    def _is_fixed(self, first: int, end: int) -> bool:
        """An expression of parameters, and of what counts in a loop, alone."""
        words = [word for kind, word, _ in self.tokens[first:end] if kind == "name"]
        return all(word.startswith(("`", "$")) or word.isupper() or word in self.loops for word in words)

    def _add(self, first: int, end: int, at: int, old: str, *news: str) -> None:
        place = self.tokens[at][2]
        line = self._line(place)
        code = " ".join(self.text.splitlines()[line - 1].split())
        self.nodes.setdefault(first, []).append(Node(self.next, first, end, at, old, news[0]))
        for new in news:
            self.mutants.append(Mutant(self.next, self.name, line, old, new, code))
            self.next += 1

    def _find(self) -> None:
        at = next(i for i, token in enumerate(self.tokens) if token[1] == ";") + 1  # behind the ports
        is_clocked, may_delete = False, False
        while at < len(self.tokens):
            word = self._word(at)
            if word == "always":
                is_clocked = self._word(at + 2) == "("
                may_delete = is_clocked
                at = self.pair[at + 2] + 1 if is_clocked else at + 3
                continue
            if word in {"assign", "wire", "endmodule", "function"}:
                may_delete = False
            if word in {"if", "case"}:
                may_delete = True
            if word == "if" and not self._is_fixed(at + 2, self.pair[at + 1]):
                self._condition(at + 2, self.pair[at + 1])
            if word == "?" and not self._is_fixed(self._left(at, 1), at):
                self._condition(self._left(at, 1), at)
            is_unused = word == "wire" and any(w.startswith("unused") for w in self._words(at))
            if word in DECLARED or is_unused:
                at = self.pair[at + 1] + 1 if word == "for" else self._end(at) + 1
            elif word == "#" or (word == "[" and self._word(at - 1) != "checks"):
                at = self.pair[at + 1 if word == "#" else at] + 1
            elif word == "(" and self._word(at - 1) == "{" and self._word(self.pair[at] + 1) == "{":
                at = self.pair[at] + 1  # how often
            else:
                self._token(at)
                if at in self.assigns and may_delete:
                    self._statement(at)
                at += 1

    def _words(self, at: int) -> list[str]:
        return [word for _, word, _ in self.tokens[at : self._end(at)]]

    def _end(self, at: int) -> int:
        while self._word(at) != ";":
            at += 1
        return at

    def _condition(self, first: int, end: int) -> None:
        """A condition that is a plain name; what has operators is changed there."""
        if end - first == 1:
            self._add(first, end, first, self._word(first), "not")

    def _statement(self, at: int) -> None:
        first = at
        while self._word(first - 1) not in STATEMENT | {":", ")"}:
            first = self.pair[first - 1] if self._word(first - 1) in CLOSE else first - 1
        self._add(first, self._end(at) + 1, first, "statement", "left out")

    def _token(self, at: int) -> None:
        kind, word, _ = self.tokens[at]
        if kind == "op" and word in PRECEDENCE and at not in self.assigns and word in SWAPS and not self._is_unary(at):
            first, end = self._left(at, PRECEDENCE[word]), self._right(at, PRECEDENCE[word])
            is_constant = self._word(first - 1) == "{" and self._word(end) == "{"
            if not self._is_fixed(first, end) and not is_constant:
                self._add(first, end, at, word, *SWAPS[word])
        elif kind == "op" and (word in {"!", "~"} or (word in {"-", "|", "&", "^"} and self._is_unary(at))):
            end = at + 1
            while self._word(end) in {"!", "~"}:
                end += 1
            end = self.pair[end] + 1 if self._word(end) in OPEN else end + 1
            if self._word(end) == "[":
                end = self.pair[end] + 1
            if not self._is_fixed(at, end) or word != "~":
                self._add(at, end, at, word, {"|": "&", "&": "|", "^": "|"}.get(word, ""))
        elif kind == "sized":
            size, value = int(word.split("'")[0]), word.split("'")[1].lstrip("s")
            number = int(value[1:].replace("_", ""), {"b": 2, "d": 10, "h": 16}[value[0]])
            is_padding = number == 0 and self._word(at - 1) == "{" and self._word(at + 1) == ","
            if not is_padding and self._word(at - 1) not in {"case", "localparam"}:
                sign = "s" if "'s" in word else ""
                self._add(at, at + 1, at, word, f"{size}'{sign}h{(number + 1) % (1 << size):x}")
        elif kind == "name" and CONSTANT.fullmatch(word) and not word.endswith(("_OFF", "_LEN", "_W")):
            self._add(at, at + 1, at, word, f"({word} + 1)" if "CHECK" in word else f"({word} + 1'b1)")

    # ---- the text with all of them ----

    def changed(self) -> str:
        """Every change in one text."""
        head = self.text[: self.tokens[0][2]]
        return head + self._range(0, len(self.tokens), 0) + self._gap(len(self.tokens) - 1)

    def _gap(self, at: int) -> str:
        """What stands between a token and the next one."""
        begin = self.tokens[at][2] + len(self._word(at))
        end = self.tokens[at + 1][2] if at + 1 < len(self.tokens) else len(self.text)
        return self.text[begin:end]

    def _range(self, first: int, end: int, skip: int) -> str:
        """Tokens with the changes in them; of those that begin with the first token, skip are done already."""
        out, at = "", first
        while at < end:
            done = skip if at == first else 0
            nodes = [node for node in self.nodes.get(at, [])[done:] if node.end <= end]
            if nodes:
                out += self._node(nodes[0], self.nodes[at].index(nodes[0]) + 1)
                at = nodes[0].end
            else:
                out += self._word(at)
                at += 1
            if at < end:
                out += self._gap(at - 1)
        return out

    def _node(self, node: Node, done: int) -> str:
        is_on = f"(mutant::on == {node.number})"
        if node.old == "statement":
            return f"begin if (!{is_on}) {self._range(node.first, node.end, done)} end"
        if node.new == "not":
            return f"({is_on} ^ ({self._range(node.first, node.end, done)}))"
        if node.end - node.first == 1:
            return f"({is_on} ? {node.new} : {node.old})"
        if node.at == node.first:  # before its operand
            inside = self._range(node.first + 1, node.end, 0)
            return f"({is_on} ? {node.new}({inside}) : {node.old}({inside}))"
        left = self._range(node.first, node.at, done)
        right = self._range(node.at + 1, node.end, 0)
        if node.old in {"==", "!="}:
            return f"({is_on} ^ ({left} {node.old} {right}))"
        if node.old in {"&&", "||"}:
            name = "both" if node.old == "&&" else "either"
            without = f"{{(mutant::on == {node.number + 1}), {is_on}}}"
            return f"mutant::{name}({without}, ({left}) != 0, ({right}) != 0)"
        return f"({is_on} ? (({left}) {node.new} ({right})) : (({left}) {node.old} ({right})))"
