"""Starts a module of ours as a process that is forked from this one: what it would import is there already.

SPDX-License-Identifier: MIT

Forked stands where subprocess.Popen does, for a command `python [-W error] [-P] -m MODULE ...` or `python -c CODE ...`;
any other is executed as always. The process has descriptors, environment, folder and signal handlers as a new one would
have; what differs is that the interpreter did not start anew, which takes 0.3 s of a core. Not for tests of the start
itself, nor for what must be told the dynamic linker (LD_PRELOAD).
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import io
import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from hwgw_sim.lab import Namespace

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
_libc = ctypes.CDLL(None)


def _run(kind: str, what: str, *arguments: str) -> int:
    sys.argv = [what, *arguments]
    try:
        if what == "hwgw.cli":
            importlib.import_module(what).main()
        elif kind == "-c":
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
        elif what.startswith("support."):
            importlib.import_module(what).main(*arguments)
        else:
            importlib.import_module(f"{what}.__main__").main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _is_for_the_start(environment: Mapping[str, str]) -> bool:
    """Whether it says something to the interpreter or the linker, which a process that is forked would not hear."""
    return any(
        name.startswith(("PYTHON", "LD_")) and value != os.environ.get(name) for name, value in environment.items()
    )


class Forked(subprocess.Popen):  # type: ignore[type-arg]
    """A process that runs what the command names."""

    death = 0  # its signal when the calling thread ends

    def __init__(self, command: Sequence[Any], *, death: str = "", **options: Any) -> None:
        if death:
            self.death = signal.Signals[f"SIG{death}"]
        super().__init__([str(each) for each in command], **options)

    def _execute_child(
        self,
        args: Sequence[str],
        executable: Any,
        preexec_fn: Any,
        close_fds: bool,
        pass_fds: Any,
        cwd: Any,
        env: Mapping[str, str] | None,
        *rest: Any,
    ) -> None:
        environment = os.environ if env is None else env
        words = list(args)
        is_strict = words[1:3] == ["-W", "error"]
        if is_strict:
            del words[1:3]
        if words[1:2] == ["-P"]:  # which a fork has anyway: its path is the parent's
            del words[1]
        if words[0] != sys.executable or words[1] not in ("-m", "-c") or _is_for_the_start(environment):
            super()._execute_child(args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *rest)
            return
        stdin, ours_in, ours_out, stdout, ours_err, stderr = rest[3:9]
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid:
            self._child_created = True
            self._close_pipe_fds(stdin, ours_in, ours_out, stdout, ours_err, stderr)
            return
        status = 70
        try:
            gc.freeze()  # nothing of the parent's may go and close a number that is somebody else's here
            logging.root.handlers.clear()
            logging.root.setLevel(logging.WARNING)
            threading.excepthook = threading.__excepthook__  # where the runner of the tests has its own
            sys.unraisablehook = sys.__unraisablehook__
            warnings.resetwarnings()
            warnings.simplefilter("error" if is_strict else "ignore")
            if self.death:
                _libc.prctl(PR_SET_PDEATHSIG, int(self.death))
                if os.getppid() != parent:
                    os._exit(1)
            _libc.prctl(PR_SET_NAME, b"python")
            self._stand(stdin, stdout, stderr)
            if environment is not os.environ:
                os.environ.clear()
                os.environ.update(environment)
            if cwd is not None:
                os.chdir(cwd)
            if preexec_fn is not None:
                preexec_fn()
            status = _run(*words[1:])
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)

    @staticmethod
    def _stand(*wanted: int) -> None:
        """Descriptors 0 to 2 as asked for (-1: as they are), no others; the text files over them."""
        high = [os.dup(fd if fd >= 0 else number) for number, fd in enumerate(wanted)]
        for number, fd in enumerate(high):
            os.dup2(fd, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        sys.stdin = io.TextIOWrapper(io.FileIO(0, "r", closefd=False))
        out = io.BufferedWriter(io.FileIO(1, "w", closefd=False))
        sys.stdout = sys.__stdout__ = io.TextIOWrapper(out, encoding="utf-8", line_buffering=os.isatty(1))
        err = io.BufferedWriter(io.FileIO(2, "w", closefd=False))
        sys.stderr = sys.__stderr__ = io.TextIOWrapper(err, encoding="utf-8", line_buffering=True)


def run(command: Sequence[Any], *, timeout: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
    """As subprocess.run, with the output captured as text."""
    with Forked(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def inside(place: Namespace) -> Any:
    """What starts a process in a namespace of a lab, as its popen does; the lab ends it."""

    def popen(command: Sequence[Any], *, death: str = "KILL", **options: Any) -> Forked:
        with place.entered():
            process = Forked(command, death=death, **options)
        place.processes.append(process)
        return process

    return popen
