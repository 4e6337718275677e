"""A function called on many items: in this process, in a local cluster, or in one that is there already.

Results come as they are done, in any order; whoever needs an order sorts them. A worker that dies takes no
item with it: Dask gives its items to others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from contrascope.allocator import KEPT
from contrascope.errors import SettingsError, StoreError
from contrascope.progress import track
from contrascope.store.measure import Each

_AHEAD = 4
"""Items in flight for each worker: enough to keep it busy, few enough to hold little."""

_KEEPING = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(KEPT),
    "MALLOC_TRIM_THRESHOLD_": str(KEPT),
}
"""What tells glibc to keep up to half a GiB for the next tile; a worker's thread has to share the memory for that."""


@contextmanager
def calling(workers: int, scheduler: str | None) -> Iterator[Each]:
    """A way to call a function on each of many items.

    Args:
        workers: Processes of a local cluster; 1 works in this process.
        scheduler: Address of a Dask scheduler, whose workers are used instead.

    Raises:
        SettingsError: No worker at all, or no scheduler at that address.
    """
    if workers < 1:
        raise SettingsError(f"{workers} workers cannot do any work. 1 or more were needed.")
    if scheduler is None and workers == 1:
        yield _here
        return
    from dask.distributed import Client

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="20s")
        except (OSError, ValueError) as error:
            raise SettingsError(f"No Dask scheduler answers at {scheduler}: {error}. Check the address.") from None
        with client:
            yield lambda work, items, total, label: _there(client, work, items, total, label)
        return
    with local_cluster(workers) as cluster, Client(cluster) as client:
        yield lambda work, items, total, label: _there(client, work, items, total, label)


@contextmanager
def local_cluster(workers: int) -> Iterator[Any]:
    """A Dask cluster of processes on this machine that keep the memory they have had.

    Dask tells its workers to give every piece of memory back at once, and a tile's work, which is made of pieces of
    some MB, then costs 1.7 times as much: the system maps and zeroes them again each time. Variables of the same names
    in the environment have the last word.
    """
    import dask
    from dask.distributed import LocalCluster

    before = dict(os.environ)
    try:
        with (
            dask.config.set({f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in _KEEPING.items()}),
            # None would still ask for Dask's own port, and warn where another cluster has it.
            LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        ):
            yield cluster
    finally:
        # Dask sets them here too, for its workers to inherit.
        for name in os.environ.keys() - before.keys():
            del os.environ[name]


def _here(work: Callable[[Any], Any], items: Iterable[Any], total: int, label: str) -> Iterator[tuple[Any, Any]]:
    for item in track(items, label, total):
        yield item, work(item)


def _there(
    client: Any, work: Callable[[Any], Any], items: Iterable[Any], total: int, label: str
) -> Iterator[tuple[Any, Any]]:
    from dask.distributed import CancelledError, KilledWorker, as_completed

    # The result of a task, not scattered data: should every worker die that holds it, it is made again.
    everywhere = client.submit(_itself, work, pure=False)
    queue = iter(items)
    slots = _AHEAD * max(1, sum(client.nthreads().values()))

    def submit(item: Any) -> Any:
        future = client.submit(_call, everywhere, item, pure=False)
        waiting[future.key] = item
        return future

    waiting: dict[str, Any] = {}
    try:
        running = as_completed([submit(item) for item in islice(queue, slots)], with_results=True)
        for future, result in track(running, label, total):
            if isinstance(result, CancelledError):
                raise result
            for item in islice(queue, 1):
                running.add(submit(item))
            yield waiting.pop(future.key), result
    except KilledWorker:
        raise StoreError(
            f"{label}: one task outlived none of the workers that took it, which most often means that memory was "
            f"short. Take fewer workers or give them more memory, then start again; what is finished is kept."
        ) from None
    except CancelledError:
        raise StoreError(
            f"{label}: the Dask scheduler is gone. Start it and this again; what is finished is kept."
        ) from None


def _itself(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return work


def _call(work: Callable[[Any], Any], item: Any) -> Any:
    return work(item)
