"""The runs of a sweep on a Dask cluster: of this host, made for the purpose, or one that is there.

SPDX-License-Identifier: MIT

Dask is asked for by name (pip install 'hwgw[dask]'); without it runs are spread over processes of this host. A run that
fails is tried again, RETRIES times; one whose worker died goes to another. Every worker must have this version of hwgw
and see the feeds under the same names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hwgw.errors import CheckFailed, DeviceError, HwgwError, UsageError

__all__ = ["LOCAL", "RETRIES", "run_on"]

LOCAL = "local"
RETRIES = 2
_CONNECT_SECONDS = 10.0


def _version() -> str:
    from hwgw import __version__

    return __version__


@contextlib.contextmanager
def _client(address: str, workers: int) -> Iterator[Any]:
    try:
        import distributed
    except ImportError as error:
        raise UsageError(
            f"--cluster {address}: dask is not installed ({error}): pip install 'hwgw[dask]'; without --cluster runs"
            " are spread over processes of this host"
        ) from None
    with contextlib.ExitStack() as stack:
        if address == LOCAL:
            cluster = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=50
                )
            )
            yield stack.enter_context(distributed.Client(cluster))
            return
        try:
            yield stack.enter_context(distributed.Client(address, timeout=_CONNECT_SECONDS))
        except (OSError, TimeoutError, ValueError) as error:
            raise DeviceError(
                f"--cluster {address}: no scheduler answers there ({error}); allowed are {LOCAL} and"
                " tcp://HOST:PORT of one"
            ) from None


def _same_version(client: Any, address: str) -> None:
    found = client.run(_version)
    if not found:
        raise DeviceError(f"--cluster {address}: it has no workers")
    if wrong := {worker: version for worker, version in found.items() if version != _version()}:
        worker, version = next(iter(wrong.items()))
        raise CheckFailed(f"--cluster {address}: worker {worker} has hwgw {version}, this is {_version()}")


def run_on(
    address: str,
    tasks: Sequence[Any],
    work: Callable[[Any], dict[str, Any]],
    workers: int,
    done: Callable[[int], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """work(task) of every task, in their order. address: LOCAL, or of a scheduler; workers: of LOCAL."""
    with _client(address, workers) as client:
        import distributed

        _same_version(client, address)
        futures = client.map(work, list(tasks), pure=False, retries=RETRIES)
        places = {future.key: index for index, future in enumerate(futures)}
        rows: dict[int, dict[str, Any]] = {}
        for finished, future in enumerate(distributed.as_completed(futures), 1):
            try:
                rows[places[future.key]] = future.result()
            except distributed.KilledWorker as error:
                raise DeviceError(f"--cluster {address}: workers were killed over one run: {error}") from None
            except HwgwError:
                raise
            except Exception as error:
                raise CheckFailed(
                    f"--cluster {address}: run {places[future.key] + 1} failed {1 + RETRIES} times:"
                    f" {type(error).__name__}: {error}"
                ) from error
            done(finished)
    return [rows[index] for index in range(len(tasks))]
