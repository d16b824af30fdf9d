"""What every verb has: --json, -q, -v, --debug, and one way to print.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import errno
import functools
import json
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True)
class Output:
    """How a verb speaks: text or one JSON object on stdout, remarks on stderr."""

    verb: str
    as_json: bool
    level: int

    def say(self, line: str) -> None:
        """Print a line of the result as text; nothing with --json or -q."""
        if not self.as_json and self.level >= 0:
            click.echo(line)

    def row(self, label: str, text: str) -> None:
        """Print a label and, beside it, a text that is wrapped for a terminal of 80 columns."""
        indent = " " * len(label)
        for line in textwrap.wrap(label + text, 79, subsequent_indent=indent, break_on_hyphens=False) or [label]:
            self.say(line)

    def note(self, line: str) -> None:
        """Print a remark on stderr when -v is given."""
        if self.level > 0:
            click.echo(line, err=True)

    def emit(self, result: Mapping[str, Any]) -> None:
        """Print the result as one JSON object with its schema name; nothing without --json."""
        if self.as_json:
            click.echo(json.dumps({"schema": f"hwgw.{self.verb}/1", **result}, ensure_ascii=False, allow_nan=False))


log_form = click.option(
    "--log",
    "form",
    type=click.Choice(("human", "json")),
    default="human",
    show_default=True,
    help="How stderr is written.",
)


def wrapped(text: str, indent: str = "  ") -> list[str]:
    """A text in lines for a terminal of 80 columns."""
    return textwrap.wrap(text, 79, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def choose(wanted: str, order: tuple[str, ...], purpose: str) -> str:
    """The wanted receive backend, or with auto the first of the order that can run here."""
    from hwgw import rx
    from hwgw.errors import DeviceError, PrivilegeError, UsageError

    reasons = rx.backends()
    if wanted != "auto":
        if wanted not in reasons:
            raise UsageError(f"--backend {wanted}: not in this version; there are {', '.join(reasons)}")
        return wanted
    for name in order:
        if reasons.get(name) == "":
            return name
    said = "; ".join(f"{name}: {reasons[name]}" for name in order if name in reasons)
    is_privilege = all(os.strerror(errno.EPERM) in reasons.get(name, "") for name in order)
    raise (PrivilegeError if is_privilege else DeviceError)(f"no backend can {purpose} here ({said})")


def for_each(out: Output, names: Iterable[str], act: Callable[[str], None]) -> int:
    """Act on every name, whatever is wrong with one of them; the exit code of the first that failed, or 0."""
    failed = 0
    for name in names:
        try:
            act(name)
        except BrokenPipeError:
            raise
        except Exception as error:
            click.echo(f"hwgw {out.verb}: {error or type(error).__name__}", err=True)
            failed = failed or int(getattr(error, "exit_code", 7))
    return failed


def all_problems(function: Callable[..., int]) -> Callable[..., int]:
    """Show every problem of a configuration file, one line each, where the error alone names the first."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> int:
        from hwgw.strict_yaml import ProblemsError

        try:
            return function(*args, **kwargs)
        except ProblemsError as error:
            for problem in error.problems:
                click.echo(f"{error.file}:{problem}", err=True)
            return error.exit_code

    return wrapper


def _logging(level: int) -> None:
    chosen = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}.get(max(level, -1), logging.DEBUG)
    logging.basicConfig(level=chosen, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", force=True)


def verb(name: str, of: str = "", **attributes: Any) -> Callable[[Callable[..., int | None]], click.Command]:
    """Make a click command of a function whose first parameter is its Output; what it returns is the exit code.

    of names the group that a verb of two words belongs to.
    """

    def decorate(function: Callable[..., int | None]) -> click.Command:
        @functools.wraps(function)
        def wrapper(**kwargs: Any) -> int | None:
            above = click.get_current_context().find_object(int) or 0
            level = above + kwargs.pop("verbose") - kwargs.pop("quiet")
            kwargs.pop("debug")
            _logging(level)
            return function(Output(f"{of}-{name}" if of else name, kwargs.pop("as_json"), level), **kwargs)

        options: tuple[Callable[..., Any], ...] = (
            click.option("--debug", is_flag=True, help="Show the traceback of an error."),
            click.option("-v", "--verbose", count=True, help="Say more (twice: everything)."),
            click.option("-q", "--quiet", count=True, help="Say only what went wrong."),
            click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout."),
        )
        for option in options:
            option(wrapper)
        make: Callable[..., click.Command] = click.command(name, **attributes)
        return make(wrapper)

    return decorate
