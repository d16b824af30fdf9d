"""YAML read strictly: every value is text with a line until a schema says what it is, and nothing is guessed.

SPDX-License-Identifier: MIT

YAML 1.1 turns 017 into 15, 1:30 into 90, no into false and 1.10 into a float. Here a schema (Section, Listing, Keyed
and Scalar) names the type of every value, and the text is read as that type exactly: integers in plain decimal,
decimals without binary floats, durations with their unit. Unknown and repeated keys, anchors, tags, merge keys, tabs
and second documents are errors. read() gathers every problem of a file, so that all can be mended at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from .errors import ConfigError

REQUIRED: Any = object()
TEXT_LEN_MAX = 1024
_TEXT_TAG = "tag:yaml.org,2002:str"
_RESOLVER: Any = yaml.SafeLoader("")
_OCTAL = re.compile(r"[-+]?0o?[0-7]+")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?")
_EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")
_BASED = re.compile(r"[-+]?0[xb][0-9a-fA-F_]+")
_BOOLEANS = {"yes", "no", "on", "off", "y", "n", "true", "false"}
_UNITS_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake: where it is and what is allowed instead."""

    line: int
    key: str
    text: str

    def __str__(self) -> str:
        where = f"{self.key}: " if self.key else ""
        return f"{self.line}: {where}{self.text}"


Bad = Callable[[tuple[int, str], str], None]
"""Notes a mistake: line and key, and what is wrong there; Node.where gives the former."""


class ProblemsError(ConfigError):
    """Every mistake of one file; the text is the first and how many more there are."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = sorted(problems)
        more = f" (and {len(problems) - 1} more: hwgw check {file})" if len(problems) > 1 else ""
        super().__init__(f"{file}:{self.problems[0]}{more}")


class BadValueError(Exception):
    """What is wrong with a scalar, without saying where it is."""


# ---- scalars ----


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value: parse takes its text and raises BadValueError; allowed completes the sentence '... is allowed'.

    is_secret: what is wrong with it is said without it.
    """

    parse: Callable[[str], Any]
    allowed: str
    quoted: bool = False
    is_secret: bool = False


def _number_mistake(text: str) -> str:
    """Name the trap a text fell into that was to be a number."""
    if _OCTAL.fullmatch(text) and text.strip("-+") != "0":
        if all(digit in "01234567" for digit in text.strip("-+").replace("o", "")):
            return f"octal is not taken (YAML would read {int(text.replace('o', ''), 8)})"
    if re.fullmatch(r"[-+]?0[0-9]+(\.[0-9]*)?", text):
        return "a leading zero is not taken"
    if _SEXAGESIMAL.fullmatch(text):
        return "sexagesimal is not taken (YAML would read a number of base 60)"
    if _EXPONENT.fullmatch(text):
        return "an exponent is not taken, write the digits"
    if _BASED.fullmatch(text):
        return "hexadecimal and binary are not taken"
    if text.lower() in _BOOLEANS:
        return "a boolean is not a number"
    if text.startswith("+"):
        return "a plus sign is not taken"
    if "_" in text or "," in text:
        return "digit separators are not taken"
    return "not a number"


def integer(low: int, high: int) -> Scalar:
    """An integer in plain decimal digits, both bounds included."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?(0|[1-9][0-9]*)", text) or text == "-0":
            if re.fullmatch(r"-?(0|[1-9][0-9]*)\.[0-9]+", text):
                raise BadValueError("not an integer")
            raise BadValueError(_number_mistake(text))
        if not low <= int(text) <= high:
            raise BadValueError("out of range")
        return int(text)

    return Scalar(parse, f"an integer from {low} to {high}")


def decimal(low: int, high: int, places: int = 4) -> Scalar:
    """An exact decimal of at most so many places, as an integer in units of 10**-places; bounds in those units."""
    scale = int(10**places)

    def parse(text: str) -> int:
        match = re.fullmatch(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?", text)
        if not match:
            raise BadValueError(_number_mistake(text))
        fraction = match[3] or ""
        if len(fraction) > places:
            raise BadValueError(f"more than {places} decimal places")
        value = int(match[2]) * scale + int(fraction.ljust(places, "0") or "0")
        value = -value if match[1] else value
        if not low <= value <= high:
            raise BadValueError("out of range")
        return value

    return Scalar(parse, f"a decimal from {shown(low, places)} to {shown(high, places)} with at most {places} places")


def shown(value: int, places: int = 4) -> str:
    """An integer in units of 10**-places as a decimal without needless zeros."""
    whole, part = divmod(abs(value), 10**places)
    fraction = str(part).rjust(places, "0").rstrip("0")
    return ("-" if value < 0 else "") + (f"{whole}.{fraction}" if fraction else str(whole))


def duration(low_ns: int, high_ns: int) -> Scalar:
    """A number with its unit, in whole nanoseconds."""

    def parse(text: str) -> int:
        match = re.fullmatch(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?([a-z]+)", text)
        if not match or match[3] not in _UNITS_NS:
            if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
                raise BadValueError("the unit is missing")
            raise BadValueError("not a duration")
        unit, fraction = _UNITS_NS[match[3]], match[2] or ""
        value, rest = divmod(int(match[1] + fraction) * unit, int(10 ** len(fraction)))
        if rest:
            raise BadValueError("not a whole number of nanoseconds")
        if not low_ns <= value <= high_ns:
            raise BadValueError("out of range")
        return value

    return Scalar(parse, f"a duration such as 500us or 2s, from {_duration(low_ns)} to {_duration(high_ns)},")


def _duration(value_ns: int) -> str:
    for unit in ("h", "min", "s", "ms", "us"):
        if value_ns and value_ns % _UNITS_NS[unit] == 0:
            return f"{value_ns // _UNITS_NS[unit]}{unit}"
    return f"{value_ns}ns" if value_ns else "0s"


def boolean() -> Scalar:
    """true or false, in no other spelling."""

    def parse(text: str) -> bool:
        if text not in ("true", "false"):
            raise BadValueError("not a boolean")
        return text == "true"

    return Scalar(parse, "true or false")


def choice(*names: str) -> Scalar:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in names:
            close = difflib.get_close_matches(text, names, 1, 0.75)
            raise BadValueError(f"unknown (did you mean {close[0]}?)" if close else "unknown")
        return text

    return Scalar(parse, f"one of {', '.join(names)}")


def pattern(regex: str, allowed: str) -> Scalar:
    """Text of a given form; quotes may and, where YAML would see no text, must be used."""
    compiled = re.compile(regex)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise BadValueError("not of the right form")
        return text

    return Scalar(parse, allowed, quoted=True)


def ipv4() -> Scalar:
    """An IPv4 address in dotted form, as an integer in host order."""

    def parse(text: str) -> int:
        parts = text.split(".")
        if len(parts) != 4 or not all(re.fullmatch(r"0|[1-9][0-9]{0,2}", part) for part in parts):
            raise BadValueError("not an IPv4 address")
        if any(int(part) > 255 for part in parts):
            raise BadValueError("not an IPv4 address")
        value = int.from_bytes(bytes(map(int, parts)), "big")
        if value in (0, 2**32 - 1):
            raise BadValueError("not the address of a host or group")
        return value

    return Scalar(parse, "an IPv4 address such as 233.54.12.111", quoted=True)


# ---- structure ----


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a section; without a default it is required."""

    schema: Schema
    default: Any = REQUIRED


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping with known keys."""

    keys: Mapping[str, Key]


@dataclass(frozen=True, slots=True)
class Listing:
    """A sequence."""

    item: Schema
    cnt_min: int = 0
    cnt_max: int = 65_536


@dataclass(frozen=True, slots=True)
class Keyed:
    """A mapping whose keys are data; by_name may choose the schema of a value by its key."""

    name: Scalar
    item: Schema
    by_name: Callable[[str], Schema] | None = None


Schema = Scalar | Section | Listing | Keyed


@dataclass(slots=True)
class Node:
    """What was read: values by key, and where they stand (an absent key stands where its section does)."""

    path: str
    line: int
    values: dict[Any, Any] = field(default_factory=dict)
    lines: dict[Any, int] = field(default_factory=dict)

    def __getitem__(self, key: Any) -> Any:
        return self.values[key]

    def __contains__(self, key: Any) -> bool:
        return key in self.lines

    def where(self, key: Any) -> tuple[int, str]:
        """Line and full name of a key."""
        return self.lines.get(key, self.line), join(self.path, str(key))


def join(path: str, key: str) -> str:
    """The name of a key inside of a section."""
    return f"{path}.{key}" if path else key


class _Walk:
    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, line: int, key: str, text: str) -> None:
        self.problems.append(Problem(line, key, text))

    def value(self, node: yaml.Node, schema: Schema, path: str, key_line: int = 0) -> Any:
        """The value of a node, or None after a problem was noted; a mapping stands where its key does."""
        line = node.start_mark.line + 1
        if isinstance(schema, Scalar):
            return self.scalar(node, schema, path, line)
        wanted = yaml.SequenceNode if isinstance(schema, Listing) else yaml.MappingNode
        if not isinstance(node, wanted):
            kind = "a list" if isinstance(schema, Listing) else "a mapping of keys to values"
            self.add(line, path, f"{_found(node, is_shown=bool(path))} instead of {kind}")
            return None
        if isinstance(schema, Listing):
            items = [self.value(item, schema.item, f"{path}[{i}]") for i, item in enumerate(node.value)]
            if not schema.cnt_min <= len(items) <= schema.cnt_max:
                self.add(line, path, f"{len(items)} entries; {schema.cnt_min} to {schema.cnt_max} are allowed")
            return items
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 (for the type checker)
        return self.mapping(node, schema, path, key_line or line)

    def scalar(self, node: yaml.Node, schema: Scalar, path: str, line: int) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self.add(line, path, f"{_found(node)} instead of a value; {schema.allowed} is allowed")
            return None
        text, plain = node.value, node.style is None
        said = "(not shown)" if schema.is_secret else text
        if plain and text in ("", "~", "null", "Null", "NULL"):
            self.add(line, path, f"no value; {schema.allowed} is allowed")
        elif len(text) > TEXT_LEN_MAX:
            self.add(line, path, f"{said[:16]}...: {len(text)} characters; {schema.allowed} is allowed")
        elif schema.quoted and plain and _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) != _TEXT_TAG:
            self.add(
                line, path, f"{said}: YAML does not read this as text, put it in quotes; {schema.allowed} is allowed"
            )
        elif not schema.quoted and not plain:
            self.add(line, path, f"{text!r}: quoted text instead of a plain value; {schema.allowed} is allowed")
        else:
            try:
                return schema.parse(text)
            except BadValueError as error:
                self.add(line, path, f"{said or repr(said)}: {error}; {schema.allowed} is allowed")
        return None

    def mapping(self, node: yaml.MappingNode, schema: Section | Keyed, path: str, line: int) -> Node:
        result = Node(path, line)
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            at = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.add(at, path, f"{_found(key_node)} instead of a key")
                continue
            name = key_node.value
            if name in seen:
                self.add(at, join(path, name), f"key stands twice (first on line {seen[name]})")
                continue
            seen[name] = at
            if isinstance(schema, Section):
                key: Any = name
                if name not in schema.keys:
                    close = difflib.get_close_matches(name, schema.keys, 1, 0.75)
                    hint = f" (did you mean {close[0]}?)" if close else ""
                    self.add(at, join(path, name), f"unknown key{hint}; {', '.join(schema.keys)} are allowed")
                    continue
                inner: Schema = schema.keys[name].schema
            else:
                key = self.scalar(key_node, schema.name, join(path, name), at)
                if key is None:
                    continue
                inner = schema.by_name(key) if schema.by_name else schema.item
            result.lines[key] = at
            result.values[key] = self.value(value_node, inner, join(path, name), at)
        if isinstance(schema, Section):
            for name, entry in schema.keys.items():
                if entry.default is not REQUIRED:
                    result.values.setdefault(name, entry.default)
                elif name not in seen:
                    self.add(line, join(path, name), f"missing; {_allowed(entry.schema)} is required here")
        return result


def _allowed(schema: Schema) -> str:
    if isinstance(schema, Scalar):
        return schema.allowed.rstrip(",")
    return "a list" if isinstance(schema, Listing) else "a mapping of keys to values"


def _found(node: yaml.Node, *, is_shown: bool = True) -> str:
    """What stands there; a whole file that is none of ours is not shown, it may be a secret."""
    if isinstance(node, yaml.ScalarNode):
        if not node.value:
            return "nothing"
        return f"{node.value}: a single value" if is_shown else "a single value"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def _forbidden(text: str) -> list[Problem]:
    """What YAML allows and we do not, found before the structure is read."""
    problems = [
        Problem(number, "", "a tab character; indent and separate with spaces")
        for number, line in enumerate(text.split("\n"), 1)
        if "\t" in line
    ]
    if problems:
        return problems
    documents = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                problems.append(Problem(line, "", "a second document; one is allowed"))
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problems.append(Problem(line, "", "anchors and aliases are not allowed"))
        elif tag := getattr(event, "tag", None):
            problems.append(Problem(line, "", f"the tag {tag} is not allowed"))
    return problems


def read(raw: bytes, file: str, schema: Section | Keyed) -> Node:
    """Read a file's bytes by a schema; ProblemsError names everything that is wrong."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ProblemsError(file, [Problem(line, "", "not UTF-8 text")]) from None
    try:
        problems = _forbidden(text)
        root = yaml.compose(text, yaml.SafeLoader) if not problems else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = f"not YAML: {' '.join(filter(None, (error.context, error.problem)))}"
        raise ProblemsError(file, [Problem(mark.line + 1 if mark else 1, "", what)]) from None
    except RecursionError:
        raise ProblemsError(file, [Problem(1, "", "nested too deeply")]) from None
    except yaml.YAMLError as error:
        raise ProblemsError(file, [Problem(1, "", f"not YAML: {' '.join(str(error).split())}")]) from None
    if problems:
        raise ProblemsError(file, problems)
    if root is None:
        raise ProblemsError(file, [Problem(1, "", "the file is empty")])
    walk = _Walk()
    node = walk.value(root, schema, "")
    if walk.problems:
        raise ProblemsError(file, walk.problems)
    assert isinstance(node, Node)  # noqa: S101 (a section gives a node or a problem)
    return node
