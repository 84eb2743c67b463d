"""Making and extending a journal: from the event store, bucket by bucket, in bounded memory."""

import atexit
import fcntl
import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from engine.crash import reached
from engine.errors import (
    EngineError,
    JournalDamaged,
    JournalInterrupted,
    JournalMissing,
    NotAJournal,
    StoreError,
)
from engine.journal.files import (
    ATTRIBUTES,
    FORMAT,
    LEADS,
    MANIFEST,
    TOUCHES,
    Bucket,
    File,
    Manifest,
    Numbers,
    Part,
    hash_of,
    read_frame,
    read_manifest,
    read_part,
    sweep,
    write_frame,
    write_manifest,
    write_part,
)
from engine.progress import Progress
from engine.store.facts import Facts
from engine.store.faults import files_told_clearly

PER_BUCKET = 150_000  # touchpoints
OUTGROWN = 4  # times so many, and the journal is made anew with more buckets
FEW = 16  # buckets; so few are extended sooner than another process is there to share them
ANEW = 4  # times as long as that it takes to make one from the facts alone
WORKERS = 4  # processes at most; each holds a bucket in memory
TOGETHER = np.uint64(7)  # bits: leads of 16 identifiers in a row lie side by side in the store
LOCK, STRINGS = "lock", "strings"
_KINDS = "|".join((LEADS, TOUCHES, ATTRIBUTES, STRINGS))
_OURS = re.compile(rf"{LOCK}|{re.escape(MANIFEST)}(\.draft)?|({_KINDS})-.*\.parquet")
_STRINGS = {"id": pl.Int64, "text": pl.String}


def bucket_of(leads: Numbers, count: int) -> Numbers:
    """Which of so many buckets each lead lies in: by its number, mixed; neighbours stay together.

    Reading a bucket from the store takes a quarter less than if they did not.
    """
    mixed = leads.astype(np.uint64) >> TOGETHER
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed % np.uint64(count)).astype(np.int64)


def extended(folder: Path, facts: Facts, progress: Progress, per_bucket: int) -> Manifest:
    """Bring the journal in a folder to where the facts are; see `Journal.extend`."""
    with _alone(folder):
        there = None
        with suppress(JournalMissing, JournalDamaged):
            there = read_manifest(folder)
        kept = there if there and is_of(there, facts) and is_whole(folder, there) else None
        sweep(folder, {file.name for file in kept.files()} if kept else ())
        reached("journal.swept")
        upto = facts.reach(kept.position if kept else 0).upto
        if kept and upto > OUTGROWN * per_bucket * len(kept.buckets):
            kept = None
        if kept and kept.position == upto:
            return kept
        generation = there.generation + 1 if there else 1
        count = len(kept.buckets) if kept else max(1, -(-upto // per_bucket))
        with facts.snapshot():
            step = _Step(folder, kept, upto, generation, facts.too_common)
            made = step.made(facts, count, progress)
        write_manifest(folder, made)
        return made


def is_of(manifest: Manifest, facts: Facts) -> bool:
    """Whether a journal is of these facts, and of leads as they are told apart now."""
    known_by = facts.too_common, facts.anchor(manifest.position)
    return (manifest.too_common, manifest.anchor) == known_by


def is_whole(folder: Path, manifest: Manifest) -> bool:
    """Whether every file is as it was written."""
    with ThreadPoolExecutor() as pool:
        return all(pool.map(lambda file: hash_of(folder, file) == file.hash, manifest.files()))


class _Task(NamedTuple):
    """A bucket that is to be written."""

    number: int
    old: Bucket | None  # as it was; None: there is none
    leads: Numbers  # of the bucket: those that were touched, or all


@dataclass(frozen=True)
class _Step:
    """A journal on the way to its next position."""

    folder: Path
    kept: Manifest | None  # what it is made from; None: from the facts alone
    upto: int  # position
    generation: int
    too_common: int

    def made(self, facts: Facts, count: int, progress: Progress) -> Manifest:
        """What there is then, all files written."""
        kept = self.kept
        leads = facts.touched_leads(kept.position, self.upto) if kept else facts.lead_numbers()
        buckets = [*kept.buckets] if kept else [Bucket(0, 0, {})] * count
        done = 0
        progress(done, len(leads))
        for task, written in self._written(facts, self._tasks(leads, count)):
            buckets[task.number] = written
            done += len(task.leads)
            progress(done, len(leads))
        last, strings = self._strings(facts)
        reached("journal.strings")
        return Manifest(
            format=FORMAT,
            generation=self.generation,
            position=self.upto,
            anchor=facts.anchor(self.upto),
            too_common=self.too_common,
            last_string=last,
            strings=strings,
            buckets=buckets,
        )

    def _tasks(self, leads: Numbers, count: int) -> list[_Task]:
        """The buckets that some leads lie in; all where there are none yet."""
        where = bucket_of(leads, count)
        order = np.argsort(where, kind="stable")
        edges = np.searchsorted(where[order], np.arange(count + 1))
        parts = np.split(leads[order], edges[1:-1])
        if self.kept is None:
            return [_Task(number, None, part) for number, part in enumerate(parts)]
        every = zip(range(count), self.kept.buckets, parts, strict=True)
        return [_Task(number, old, part) for number, old, part in every if len(part)]

    def _written(self, facts: Facts, tasks: list[_Task]) -> Iterator[tuple[_Task, Bucket]]:
        """Each with what became of it; many are shared with other processes, where that helps."""
        others = min(WORKERS, os.cpu_count() or 1) - 1
        few = len(tasks) * (1 if self.kept else ANEW) < FEW
        if few or not others or not facts.is_file:
            return ((task, self.write(facts, task)) for task in tasks)
        return self._shared(facts, tasks, others)

    def _shared(
        self, facts: Facts, tasks: list[_Task], others: int
    ) -> Iterator[tuple[_Task, Bucket]]:
        """The same by so many other processes and this one, which works while they start."""
        pool = ProcessPoolExecutor(others, get_context("spawn"), initializer=_begin)

        def elsewhere(task: _Task) -> Bucket:
            return pool.submit(_write, self, facts.path, task).result()

        with pool, ThreadPoolExecutor(others) as hands:  # a pool alone takes tasks in advance
            writing = {hands.submit(elsewhere, task): task for task in tasks}
            try:
                while writing:
                    mine = next((one for one in reversed(writing) if one.cancel()), None)
                    if mine:  # nobody had begun it
                        task = writing.pop(mine)
                        yield task, self.write(facts, task)
                    for future in wait(writing, 0 if mine else None, FIRST_COMPLETED).done:
                        reached("journal.shared")
                        yield writing.pop(future), future.result()
            except BrokenProcessPool:
                raise JournalInterrupted(self.folder) from None
            finally:
                hands.shutdown(wait=False, cancel_futures=True)

    def write(self, facts: Facts, task: _Task) -> Bucket:
        """Write a bucket, with its rows in the place of all rows of the leads that were touched."""
        known_at = None if facts.head() == self.upto else self.upto
        part = Part.of(facts.histories(facts.leading(task.leads), known_at))
        if task.old:
            old = read_part(self.folder, task.old)
            part = Part.together([old.where(lambda one: ~np.isin(one, task.leads)), part])
        # one whose parent was killed may be at the same for a moment more
        name = f"{self.generation}-{task.number}-{os.getpid()}"
        return write_part(self.folder, part, name)

    def _strings(self, facts: Facts) -> tuple[int, File]:
        """The id of the last string, and the file of all of them."""
        kept = self.kept
        new = facts.texts_after(kept.last_string if kept else 0)
        if kept and not new:
            return kept.last_string, kept.strings
        frame = pl.DataFrame(new, schema=_STRINGS, orient="row")
        if kept:
            frame = pl.concat([read_frame(self.folder, kept.strings), frame])
        last = new[-1][0] if new else 0
        return last, write_frame(self.folder, f"{STRINGS}-{self.generation}.parquet", frame)


def _begin() -> None:
    """In a process of its own: leave it to the parent to be interrupted, and end when it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    atexit.register(os._exit, 0)  # taking everything apart first takes half a second


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None, "this is no child"
    parent.join()
    os._exit(1)


def _write(step: _Step, path: Path, task: _Task) -> Bucket:
    """Write a bucket in a process of its own."""
    try:
        with Facts.open(path, create=False) as facts:
            facts.too_common = step.too_common
            return step.write(facts, task)
    except EngineError as error:
        raise StoreError(str(error)) from None  # others do not get from process to process


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process extends the journal, and keep others from it meanwhile.

    Raises:
        NotAJournal: The folder holds what no journal does, and what is swept might be somebody's.
    """
    with files_told_clearly(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.iterdir():
            if not _OURS.fullmatch(path.name):
                raise NotAJournal(folder, path.name)
        lock = (folder / LOCK).open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
