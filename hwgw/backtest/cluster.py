"""Runs on Dask: on a LocalCluster of this host, made for the purpose, or on a cluster that is there, by its address.

SPDX-License-Identifier: MIT

A run that fails is tried again, RETRIES times; one whose worker died goes to another. What a worker finds wrong with a
feed is so everywhere and is not tried again. Every worker must have this version of hwgw and see the feeds under the
same names.

Whoever reaches a scheduler runs code as its workers. So all that the local cluster says goes by TLS, with a certificate
that is made for it and ends with it, on 127.0.0.1; HTTP is not served.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib
import logging
import os
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from hwgw.errors import CheckFailed, DeviceError, HwgwError, UsageError

__all__ = ["LOCAL", "RETRIES", "choose", "missing", "run_on"]

LOCAL = "local"
RETRIES = 2
_CONNECT_SECONDS = 10.0
_FINAL = (CheckFailed, UsageError)
_NO_ROUTES: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
_LARGE_GRAPH = "Sending large graph"  # of Dask: the settings of many runs are large, and said once

T = TypeVar("T")


def missing() -> str:
    """What a cluster of this host lacks here; empty when it can be made."""
    try:
        for name in ("distributed", "cryptography"):  # the second makes the certificate
            importlib.import_module(name)
    except ImportError as error:
        return str(error)
    return ""


def choose(address: str, runs: int, processes: int) -> tuple[str, int]:
    """Where so many runs go: LOCAL and its workers, the address of a scheduler, or empty: this process, in turn.

    address: what was asked for, empty: nothing; processes: workers of this host, 0: one per core.
    """
    workers = max(1, min(processes or len(os.sched_getaffinity(0)), runs))
    if address not in ("", LOCAL):
        if processes:
            raise UsageError(f"--processes {processes}: of workers of this host; --cluster {address} has its own")
        return address, 0
    if address == LOCAL and (why := missing()):
        raise UsageError(
            f"--cluster {LOCAL}: dask is not installed ({why}): pip install 'hwgw[dask]'; without --cluster runs go one"
            " after another in this process"
        )
    return (address, workers) if address or workers == 1 or missing() else (LOCAL, workers)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """What Dask logs is not for our users: what went wrong comes back as an error, or was tried again."""
    logger, handler = logging.getLogger("distributed"), logging.NullHandler()
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _LARGE_GRAPH, UserWarning)
            yield
    finally:
        logger.propagate = before
        logger.removeHandler(handler)


@contextlib.contextmanager
def _local(workers: int) -> Iterator[Any]:
    import dask
    import distributed

    class Quiet(distributed.WorkerPlugin):  # type: ignore[misc]  # (distributed is not typed)
        def setup(self, worker: Any) -> None:
            worker.http_server.stop()
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's ^C reaches all of us; the first of us ends them

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hwgw-dask-"))
        stack.enter_context(dask.config.set(_NO_ROUTES))
        cluster = stack.enter_context(
            distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                security=distributed.Security.temporary(),
                dashboard_address="127.0.0.1:0",  # listened on in any case, until it is stopped below
                scheduler_kwargs={"dashboard": False},
                silence_logs=logging.CRITICAL,
                memory_limit=0,  # a worker at its share of the memory would wait for ever, though others need little
                local_directory=folder,
            )
        )
        cluster.scheduler.http_server.stop()
        client = stack.enter_context(distributed.Client(cluster))
        client.register_plugin(Quiet())
        yield client


@contextlib.contextmanager
def _client(address: str, workers: int) -> Iterator[Any]:
    try:
        import distributed
    except ImportError as error:
        raise UsageError(f"--cluster {address}: dask is not installed ({error}): pip install 'hwgw[dask]'") from None
    with contextlib.ExitStack() as stack:
        stack.enter_context(_silent())
        try:
            if address == LOCAL:
                client = stack.enter_context(_local(workers))
            else:
                client = stack.enter_context(distributed.Client(address, timeout=_CONNECT_SECONDS))
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            allowed = "it could not be made" if address == LOCAL else "no scheduler answers there"
            raise DeviceError(
                f"--cluster {address}: {allowed} ({error}); allowed are {LOCAL} and tcp:// or tls://HOST:PORT of a"
                " scheduler"
            ) from None
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise DeviceError(f"--cluster {address}: it has no workers")
        yield client


def _version() -> str:
    from hwgw import __version__

    return __version__


def _run(work: Callable[[Any], T], version: str, task: Any) -> T | HwgwError:
    """On a worker. What is wrong everywhere is an answer: another try would read the feed for nothing."""
    if version != _version():
        import distributed

        worker = distributed.get_worker().address
        raise HwgwError(f"worker {worker} has hwgw {_version()}, this is {version}")
    try:
        return work(task)
    except _FINAL as error:
        return error


def run_on(
    address: str,
    tasks: Sequence[Any],
    work: Callable[[Any], T],
    workers: int = 1,
    done: Callable[[int], None] = lambda _: None,
) -> list[T]:
    """work(task) of every task, in their order. address: LOCAL, or of a scheduler; workers: of LOCAL.

    The first error ends it. DeviceError: the cluster or its workers went away; CheckFailed: a run failed on each try.
    """
    found: dict[int, T] = {}
    with _client(address, workers) as client:
        import distributed

        futures = client.map(_run, [work] * len(tasks), [_version()] * len(tasks), list(tasks), pure=False,
                             retries=RETRIES)  # fmt: skip
        places = {future.key: index for index, future in enumerate(futures)}
        gathered = distributed.as_completed(futures)
        del futures  # a worker forgets what was gathered
        gone = (asyncio.CancelledError, concurrent.futures.CancelledError, distributed.comm.CommClosedError)
        for finished, future in enumerate(gathered, 1):
            index = places[future.key]
            try:
                result = future.result()
            except distributed.KilledWorker as error:
                raise DeviceError(
                    f"--cluster {address}: {tasks[index]}: {1 + error.allowed_failures} workers were killed over this"
                    " run; fewer --processes need less memory"
                ) from None
            except gone:
                raise DeviceError(f"--cluster {address}: the scheduler went away") from None
            except Exception as error:
                text = f"{tasks[index]}: {error or type(error).__name__} ({1 + RETRIES} tries; --cluster {address})"
                if isinstance(error, HwgwError):
                    error.args = (text,)
                    raise
                raise CheckFailed(text) from error
            if isinstance(result, _FINAL):
                raise result
            found[index] = result
            done(finished)
    return [found[index] for index in range(len(tasks))]
