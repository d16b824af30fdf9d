"""Every outcome of a command is one line and an exit code; a traceback shows with --debug only.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import click
import pytest

from hwgw import cli, errors
from hwgw.cli.common import Output, for_each, verb

DEFECT = "(a defect of hwgw; --debug shows where)"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Return a function that makes `hwgw version` raise or return what it is given."""

    def arrange(result: object) -> None:
        @verb("version")
        def command(out: Output) -> int:
            if isinstance(result, BaseException):
                raise result
            assert isinstance(result, int)
            return result

        module = ModuleType("hwgw.cli.version")
        module.command = command  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "hwgw.cli.version", module)

    return arrange


def test_no_process_that_is_started_takes_a_module_from_the_folder_it_is_started_in(root: Path) -> None:
    """Without -P Python looks there first, and whoever may write it runs what he likes as who calls hwgw there."""
    start = re.compile(r"\[[^\[\]]*sys\.executable, (\S+), (\S+),")
    files = [file for folder in ("hwgw", "sim") for file in (root / folder).rglob("*.py")]
    found = [match.groups() for file in files for match in start.finditer(file.read_text(encoding="utf-8"))]
    assert {option for option, _ in found} == {'"-P"'}
    assert len(found) >= 5


def test_every_exit_code_has_one_exception() -> None:
    assert sorted(errors.BY_EXIT_CODE) == [1, 2, 3, 4, 5, 6, 7]
    for code, cls in errors.BY_EXIT_CODE.items():
        assert issubclass(cls, errors.HwgwError)
        assert cls.exit_code == code


@pytest.mark.parametrize(
    ("result", "exit_code", "line"),
    [
        *((cls("what is wrong"), code, "hwgw version: what is wrong") for code, cls in errors.BY_EXIT_CODE.items()),
        (errors.DeviceError("two\nlines"), 5, "hwgw version: two lines"),
        (FileNotFoundError(2, "No such file", "x.pcap"), 2, "hwgw version: x.pcap: No such file"),
        (PermissionError(13, "Permission denied", "x.pcap"), 4, "hwgw version: x.pcap: Permission denied"),
        (OSError(28, "No space left on device", "x"), 5, "hwgw version: x: No space left on device"),
        (ZeroDivisionError("by zero"), 7, f"hwgw version: internal error: ZeroDivisionError: by zero {DEFECT}"),
        (click.BadParameter("not so"), 2, "hwgw version: Invalid value: not so (see: hwgw version --help)"),
        (KeyboardInterrupt(), 130, None),
        (0, 0, None),
        (6, 6, None),
    ],
    ids=repr,
)  # fmt: skip
def test_outcome_is_one_line_and_an_exit_code(
    outcome: Callable[[object], None],
    capsys: pytest.CaptureFixture[str],
    result: object,
    exit_code: int,
    line: str | None,
) -> None:
    outcome(result)
    assert cli.execute(["version"]) == exit_code
    assert capsys.readouterr().err == ("" if line is None else f"{line}\n")


@pytest.mark.parametrize("args", [["version", "--debug"], ["--debug", "version"]])
def test_debug_shows_the_traceback_and_the_line(
    outcome: Callable[[object], None], capsys: pytest.CaptureFixture[str], args: list[str]
) -> None:
    outcome(errors.ConfigError("what is wrong"))
    assert cli.execute(args) == 3
    text = capsys.readouterr().err
    assert text.startswith("Traceback (most recent call last):")
    assert text.endswith("\nhwgw version: what is wrong\n")


def test_quiet_and_verbose_decide_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for level, said, noted in ((-1, "", ""), (0, "result\n", ""), (1, "result\n", "remark\n")):
        out = Output("x", as_json=False, level=level)
        out.say("result")
        out.note("remark")
        out.emit({"never": "without --json"})
        assert capsys.readouterr() == (said, noted)


def test_json_is_one_object_with_its_schema_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output("x", as_json=True, level=0)
    out.say("result")
    out.emit({"value": 1})
    assert json.loads(capsys.readouterr().out) == {"schema": "hwgw.x/1", "value": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        out.emit({"value": float("nan")})


def test_global_and_own_verbosity_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    @verb("version")
    def command(out: Output) -> None:
        seen.append(out.level)

    module = ModuleType("hwgw.cli.version")
    module.command = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hwgw.cli.version", module)
    for args in (["version"], ["-v", "version"], ["-v", "version", "-vv"], ["-q", "version"], ["-q", "version", "-v"]):
        assert cli.execute(args) == 0
    assert seen == [0, 1, 3, -1, 0]


def test_no_arguments_show_help_and_are_a_usage_error(hwgw: Run) -> None:
    done = hwgw()
    assert (done.returncode, done.stdout) == (2, "")
    assert "Commands:" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"), [("hwgw ver", "version"), ("hwgw doctor --js", "--json"), ("hwgw ", "halt")]
)
def test_shell_completion_offers_verbs_and_options(words: str, expected: str) -> None:
    environment = os.environ | {"_HWGW_COMPLETE": "bash_complete", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(words.count(" "))
    command = [sys.executable, "-m", "hwgw.cli"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"plain,{expected}" in done.stdout.splitlines()


def test_program_is_installed_beside_the_interpreter() -> None:
    program = Path(sys.executable).with_name("hwgw")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("hwgw ")


def test_what_the_terminal_cannot_show_is_no_error(hwgw: Run, root: Path, tmp_path: Path) -> None:
    config = tmp_path / "gerΩt.yaml"
    config.write_bytes((root / "deploy/examples/gateway.yaml").read_bytes())
    done = hwgw("check", config, env=os.environ | {"PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0, done.stderr
    assert "ger?t.yaml: ok" in done.stdout


@pytest.mark.parametrize("args", [("version",), ("check", "deploy/examples/gateway.yaml"), ("--help",)])
def test_a_closed_stdout_is_no_error(root: Path, args: tuple[str, ...]) -> None:
    command = ["bash", "-c", 'exec "$@" >&-', "-", sys.executable, "-m", "hwgw.cli", *args]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_is_one_line(root: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "hwgw.cli", "version"]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        done = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (5, "hwgw version: No space left on device\n")


def test_an_error_that_nobody_reads_is_an_exit_code_all_the_same() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "hwgw.cli", "halt"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_reader_that_goes_away_ends_a_command_without_a_word() -> None:
    command = f"{sys.executable} -m hwgw.cli doctor | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout in ("141\n", "0\n")  # 0: all was in the pipe before the reader went


def test_a_reader_that_goes_away_is_not_an_error_of_one_gateway() -> None:
    def act(_: str) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        for_each(Output("x", as_json=False, level=0), ["one", "two"], act)


@pytest.mark.parametrize(("verb_", "exit_code"), [("run", 3), ("check", 3), ("decode", 4)])
def test_a_file_that_may_not_be_read_is_one_line(hwgw: Run, tmp_path: Path, verb_: str, exit_code: int) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    path = tmp_path / "secret"
    path.touch(mode=0)
    done = hwgw(verb_, path)
    assert (done.returncode, done.stderr) == (exit_code, f"hwgw {verb_}: {path}: Permission denied\n")
