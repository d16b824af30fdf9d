"""The command line: one module per verb, loaded when it is used.

SPDX-License-Identifier: MIT

A module hwgw/cli/VERB.py defines `command` (made with common.verb); a verb that fails raises an HwgwError and its exit
code becomes the program's: 0 ok, 1 check failed or difference found, 2 usage, 3 configuration, 4 privilege, 5 hardware
or driver, 6 halted by risk, 7 internal, 130 interrupted, 141 the reader of a pipe went away.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import click

from hwgw import __version__
from hwgw.errors import HwgwError
from hwgw.logs import plain

# what --help says of a verb without loading it; a test holds it against the verb's own text
VERBS = {
    "demo": "The simulated exchange against the gateway, on one machine.",
    "sim": "The simulated exchange against a gateway.",
    "run": "Run a gateway.",
    "status": "What a running gateway does.",
    "top": "What gateways do, live.",
    "serve": "A dashboard of gateways in the browser.",
    "alert": "Tell people when something is wrong with a gateway.",
    "metrics": "Metrics of gateways for Prometheus.",
    "events": "What a gateway's books are given, as it happens.",
    "relay": "Send what a gateway's books are given as MoldUDP64.",
    "halt": "Stop a gateway's orders at once.",
    "resume": "Clear a gateway's halt.",
    "cancel": "Cancel everything a gateway has open.",
    "limits": "The limits that orders are checked against.",
    "strategy": "The parameters of a running gateway's strategies.",
    "rollback": "Put limits and strategies in force that were in force before.",
    "arm": "Let a strategy's orders pass.",
    "disarm": "Let none of a strategy's orders pass.",
    "audit": "Who told a gateway what, and whether the record is whole.",
    "journal": "What a gateway decided, was told and did, from its journal.",
    "compare": "Where two strategies part.",
    "report": "What a gateway did on a day, in writing.",
    "conformance": "Try a pre-trade gate on short scenarios.",
    "card": "The FPGA card.",
    "check": "Check a configuration file.",
    "bundle": "Signed bundles of configuration.",
    "capture": "Record frames of an interface to pcapng files.",
    "send": "Send a capture file or numbered datagrams by a schedule.",
    "decode": "Decode a capture file.",
    "replay": "Replay a recording, or the journal of a gateway.",
    "backtest": "Trade recorded feeds on the clock of the recording, with the code that trades.",
    "tune": "Plan, apply, verify and roll back what a host is set to.",
    "jitter": "How long and how often this host's cores are taken away.",
    "doctor": "What this machine can and cannot do for hwgw.",
    "version": "Version, commit and receive backends.",
}

EXIT_USAGE, EXIT_PRIVILEGE, EXIT_DEVICE, EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_PIPE = 2, 4, 5, 7, 130, 141


class Verbs(click.Group):
    """The group of verbs, each imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"hwgw.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, VERBS[name]) for name in self.list_commands(ctx)])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="hwgw %(version)s")
@click.option("-q", "--quiet", count=True, help="Say only what went wrong.")
@click.option("-v", "--verbose", count=True, help="Say more (twice: everything).")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, quiet: int, verbose: int, debug: bool) -> None:
    """Hardware gateway: market data in, checked orders out.

    Shell completion: eval "$(_HWGW_COMPLETE=bash_source hwgw)" (or zsh_source, fish_source).
    """
    ctx.obj = verbose - quiet


def _fail(verb: str, message: str, exit_code: int) -> int:
    with contextlib.suppress(OSError):  # the exit code says it to who does not read
        print(f"{verb}: {plain(' '.join(message.split()))}", file=sys.stderr)
    return exit_code


def _os_error(error: OSError) -> tuple[str, int]:
    message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    if isinstance(error, PermissionError):
        return message, EXIT_PRIVILEGE
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return message, EXIT_USAGE
    return message, EXIT_DEVICE


def _abandon(stream: TextIO) -> None:
    """Where it takes nothing more, lead it to nowhere: the interpreter flushes it once more at its end."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(args: list[str]) -> int:
    with cli.make_context("hwgw", args) as ctx:
        result = cli.invoke(ctx)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0


def execute(args: list[str]) -> int:
    """Run one command line and return its exit code; every outcome ends here. (`run` is the module of that verb.)"""
    debug = "--debug" in args
    verb = next((f"hwgw {arg}" for arg in args if arg in VERBS), "hwgw")
    try:
        return _run(args)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else verb
        return _fail(path, f"{error.format_message()} (see: {path} --help)", EXIT_USAGE)
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _abandon(sys.stdout)
        return EXIT_PIPE
    except HwgwError as error:
        if debug:
            traceback.print_exc()
        return _fail(verb, str(error).removeprefix(f"{verb.removeprefix('hwgw ')}: "), error.exit_code)
    except OSError as error:
        if debug:
            traceback.print_exc()
        _abandon(sys.stdout)
        return _fail(verb, *_os_error(error))
    except Exception as error:
        if debug:
            traceback.print_exc()
        hint = "" if debug else " (a defect of hwgw; --debug shows where)"
        return _fail(verb, f"internal error: {type(error).__name__}: {error}{hint}", EXIT_INTERNAL)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    args = list(sys.argv[1:] if argv is None else argv)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: what is said goes nowhere
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (for good)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what a terminal cannot show is no reason to end
    if "_HWGW_COMPLETE" in os.environ:
        cli.main(args, prog_name="hwgw")
    exit_code = execute(args)
    _abandon(sys.stderr)
    sys.exit(exit_code)
