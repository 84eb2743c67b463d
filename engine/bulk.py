"""The bulk fold: one function over one bucket of the journal, and who runs it.

Workers have the folder of the journal and nothing else, so it must lie where all of them
see it. Whoever runs it, results are the same, and come in the order of the buckets.
"""

import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache, partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar
from warnings import catch_warnings

from engine.errors import EngineError
from engine.errors.bulk import (
    ClusterAway,
    ClusterDiffers,
    ClusterMissing,
    FailedElsewhere,
    OnlyHere,
    WorkerDied,
)
from engine.history import Histories
from engine.journal.files import Manifest
from engine.journal.journal import Journal

HERE, POOL, RAY = "here", "pool", "ray"
AHEAD = 3  # buckets given out for each worker, done and not yet asked for included
RETRIES = 5  # of a bucket whose worker dies, on a cluster
SHORT = "/tmp" if os.path.isdir("/tmp") else None  # paths of sockets have 107 characters at most
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else it sends the current folder to all workers
}

Made = TypeVar("Made", covariant=True)
T = TypeVar("T")


class Work(Protocol[Made]):
    """What is made of the histories of a bucket; it can be pickled."""

    @property
    def columns(self) -> Collection[str]:
        """Which columns of the journal it reads."""
        ...

    def __call__(self, histories: Histories) -> Made:
        """What comes of some leads: the same for the same histories, to the byte."""
        ...


class Source(Protocol):
    """Histories in buckets, as a journal has them."""

    @property
    def buckets(self) -> range:
        """Their numbers."""
        ...

    def read(self, bucket: int, columns: Collection[str] | None = None) -> Histories:
        """The histories of a bucket."""
        ...


def of_bucket(source: Source, work: Work[T], bucket: int) -> T:
    """The bulk fold itself."""
    return work(source.read(bucket, work.columns))


def workers() -> int:
    """How many there are on this machine: one for each core that this process may use."""
    known = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1


def results(
    source: Source, work: Work[T], on: str = HERE, buckets: Sequence[int] | None = None
) -> Iterator[T]:
    """What comes of each bucket, in order.

    Args:
        source: A journal; `here` anything alike.
        work: What is to be done.
        on: HERE: threads of this process; POOL: processes of this machine; RAY: a cluster on
            this machine for the time being; ray://HOST:PORT: one that there is.
        buckets: Which ones; None: all.

    Raises:
        OnlyHere: Others are asked, and there is no journal.
        WorkerDied: A process of the pool was ended from outside; on a cluster, all that tried.
        ClusterMissing, ClusterAway, ClusterDiffers, JournalDamaged: See there.
    """
    buckets = source.buckets if buckets is None else buckets
    if on == HERE:
        yield from _in_order(
            ThreadPoolExecutor(workers()), partial(of_bucket, source, work), buckets
        )
        return
    if not isinstance(source, Journal):  # a worker elsewhere has no more than a folder
        raise OnlyHere(on)
    task = partial(_elsewhere, source.folder.absolute(), source.manifest, work)
    if on == POOL:
        try:
            yield from _in_order(_pool(), task, buckets)
        except BrokenProcessPool as broken:
            raise WorkerDied("a process of the pool was") from broken
    else:
        yield from _on_ray(task, buckets, on)


def _in_order(executor: Executor, task: Callable[[int], T], buckets: Sequence[int]) -> Iterator[T]:
    """What comes of each; no more buckets are under way than keep all workers busy."""
    given_out = (executor.submit(task, bucket) for bucket in buckets)
    try:
        running = deque(islice(given_out, AHEAD * workers()))
        while running:
            done = running.popleft().result()
            running.extend(islice(given_out, 1))
            yield done
    finally:
        executor.shutdown(cancel_futures=True)


def _pool() -> Executor:
    """Processes that leave it to this one to be interrupted."""
    interrupted = (signal.SIGINT, signal.SIG_IGN)
    return ProcessPoolExecutor(workers(), get_context("spawn"), signal.signal, interrupted)


@cache
def _journal(folder: Path, generation: int, position: int) -> Journal:
    """The journal in a folder, opened once by a worker."""
    return Journal.open(folder)


def _elsewhere(folder: Path, manifest: Manifest, work: Work[T], bucket: int) -> T:
    """The bulk fold in another process; it reads what whoever sent it read, not what came since."""
    journal = _journal(folder, manifest.generation, manifest.position)
    journal.manifest = manifest
    try:
        return of_bucket(journal, work, bucket)
    except EngineError as error:  # ours are made of what they tell of, and so cannot travel
        raise FailedElsewhere(str(error), error.code, error.exit_code) from None


def _on_ray(task: Callable[[int], T], buckets: Sequence[int], address: str) -> Iterator[T]:
    """What comes of each; a bucket whose worker dies is given to another."""
    with _cluster(address) as ray:
        run, shared = ray.remote(max_retries=RETRIES)(_call), ray.put(task)
        given_out = (run.remote(shared, bucket) for bucket in buckets)
        cores = int(ray.cluster_resources().get("CPU", 0))  # none yet, where it grows by need
        running = deque(islice(given_out, AHEAD * max(1, cores)))
        while running:
            done = ray.get(running.popleft())
            running.extend(islice(given_out, 1))
            yield done


def _call(task: Callable[[int], T], bucket: int) -> T:
    return task(bucket)


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """The library, connected to a cluster; what happens to it is told in a sentence."""
    ray, ended = _library(), signal.getsignal(signal.SIGTERM)
    died = (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError)
    with TemporaryDirectory(prefix="ray-", dir=SHORT, ignore_cleanup_errors=True) as folder:
        try:
            _connect(ray, address, folder)
            yield ray
        except ray.exceptions.RayTaskError as failed:
            if isinstance(failed.cause, EngineError):
                raise failed.cause from None
            if isinstance(failed.cause, ImportError):
                raise ClusterDiffers(address, str(failed.cause)) from failed
            raise
        except ImportError as unknown:
            raise ClusterDiffers(address, str(unknown)) from unknown
        except died as one_too_many:
            raise WorkerDied(
                f"{RETRIES + 1} processes of the cluster were, one after another,"
            ) from one_too_many
        except (ray.exceptions.RayError, ConnectionError) as lost:
            raise ClusterAway(address, str(lost)) from lost
        finally:
            ray.shutdown(wait_for_processes=True)
            if signal.getsignal(signal.SIGTERM) is not ended:  # the library puts its own there
                signal.signal(signal.SIGTERM, ended)


def _library() -> Any:
    """Ray, of which nothing is told to its makers, and which takes workers as they are."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as missing:
        raise ClusterMissing from missing
    return ray


def _connect(ray: Any, address: str, folder: str) -> None:
    """Connect to a cluster, or start one on this machine, with its files in a folder."""
    own = {"num_cpus": workers(), "include_dashboard": False, "_temp_dir": folder}
    where, how = ("local", own) if address == RAY else (address, {})
    try:
        with catch_warnings(action="ignore"):
            ray.init(where, log_to_driver=False, logging_level=logging.ERROR, **how)
    except ImportError as missing:  # ray[client], where only ray is installed
        raise ClusterMissing from missing
    except (OSError, ValueError, RuntimeError) as refused:
        raise ClusterAway(address, str(refused)) from refused
