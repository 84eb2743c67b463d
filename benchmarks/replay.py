"""`replay diff` from the journal, beside ClickHouse and the stock library.

    $ python -m benchmarks.replay --touchpoints 10000000

The journal holds the sample's busier leads, twenty touchpoints each on average, repeated
under other numbers. Compared are the default rules with some that differ in a half-life, a
bound, a silence and a clock; reading, folding under both, comparing and both reports are
timed, in a process of their own, whose memory is looked at. ClickHouse (chdb, installed by
`benchmarks/set-up`) reads a table of the same touchpoints and works out, once and in SQL, the
decayed score and the stage under the default rules. The stock library rebuilds leads of the
sample from its store, once before and once after; what it would take for as many touchpoints
is reckoned.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import polars as pl
from msgspec import structs

from benchmarks.common import Figure, rate, show
from benchmarks.fold import many, of_leads, stock_from_store
from benchmarks.replay_sql import asked as asked_in_sql
from engine.book import Book
from engine.history import Histories
from engine.journal.files import FORMAT, Manifest, Part, write_frame, write_manifest, write_part
from engine.journal.journal import Journal
from engine.journal.making import PER_BUCKET, bucket_of
from engine.rulefile import load, parse, read, shipped
from engine.settings import DEFAULT_TOO_COMMON
from engine.warm import NOW, Words
from engine.whatif.lines import summary
from engine.whatif.tables import Whole
from engine.whatif.whatif import Question, WhatIf

T = TypeVar("T")

MOST_SECONDS, MOST_GIGABYTES = 5, 1.5
LEAST_TIMES = 100
CHANGES = {
    'half_life = "14d"': 'half_life = "21d"',
    "at_least = 40 }": "at_least = 55 }",
    'after_silence = "30d"': 'after_silence = "45d"',
    'within = "1h"': 'within = "30m"',
}


class Measured(NamedTuple):
    """What one comparison took."""

    seconds: float
    folding: float  # of these, until all buckets were folded and compared
    cpu: float  # of all cores; where others keep them busy, what to look at
    folding_cpu: float
    said: float  # how many seconds were said to be left, and how many were
    left: float
    gigabytes: float
    differing: int
    back: float  # bytes of a lead's figures under both, which whoever folds hands back
    more: float  # bytes more, of a lead that differs


def other_rules() -> str:
    """The default rules with a few changes."""
    text = read(shipped()["default"])
    for before, after in CHANGES.items():
        assert before in text
        text = text.replace(before, after)
    return text


def buckets(touchpoints: int) -> Iterator[Histories]:
    """Leads of a sample as large as a bucket, over and over, under numbers of their own."""
    base = many(min(touchpoints, PER_BUCKET))
    leads = max(1, round(touchpoints * len(base.leads) / len(base.touches)))
    count = -(-touchpoints // PER_BUCKET)
    where, position = bucket_of(np.arange(leads), count), 0
    for bucket in range(count):
        numbers = np.flatnonzero(where == bucket)
        found = of_leads(base, numbers % len(base.leads))
        yield replace(
            found,
            leads=[f"{number:032x}" for number in numbers.tolist()],
            numbers=numbers,
            positions=found.positions + position + 1,
        )
        position += len(found.touches)


def write(folder: Path, touchpoints: int) -> Journal:
    """A journal of so many touchpoints, about."""
    folder.mkdir(parents=True)
    written, words = [], Words()
    for number, found in enumerate(buckets(touchpoints)):
        written.append(write_part(folder, Part.of(found), f"1-{number}"))
        words = cast(Words, found.strings)
    texts = {"id": [*words.values()], "text": [text or "" for text in words]}
    manifest = Manifest(
        format=FORMAT,
        generation=1,
        position=sum(one.touchpoints for one in written),
        anchor="",
        too_common=DEFAULT_TOO_COMMON,
        last_string=len(words),
        strings=write_frame(folder, "strings-1.parquet", pl.DataFrame(texts)),
        buckets=written,
    )
    write_manifest(folder, manifest)
    return Journal.open(folder)


def compare(folder: Path, on: str) -> Measured:
    """Preview, fold, compare and report, in a process that has loaded what is compiled."""
    rules, other = load(shipped()["default"]), parse(other_rules())
    question = Question(Book.always(rules), Book.always(other), NOW)
    journal = Journal.open(folder)
    journal.manifest = structs.replace(journal.manifest, buckets=journal.manifest.buckets[:1])
    summary(WhatIf(journal, question).outcome())  # loads what is compiled
    journal = Journal.open(folder)
    begun, cpu = time.perf_counter(), time.process_time()
    asked = WhatIf(journal, question, on)
    preview = asked.preview()
    previewed = time.perf_counter()
    outcome = asked.outcome()
    folded, folding_cpu = time.perf_counter(), time.process_time() - cpu
    found = summary(outcome)
    done = time.perf_counter()
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measured(
        seconds=done - begun,
        folding=folded - begun,
        cpu=time.process_time() - cpu,
        folding_cpu=folding_cpu,
        said=preview.seconds,
        left=done - previewed,
        gigabytes=kilobytes * 1024 / 1e9,
        differing=found["differing"],
        back=_bytes(_frames(outcome.before), _frames(outcome.after)) / max(1, outcome.leads),
        more=_bytes(outcome.parted.frames()) / max(1, found["differing"]),
    )


def _frames(found: Whole) -> list[pl.DataFrame]:
    """What there is of some leads."""
    return [found.leads, found.funnel, *found.journeys.values()]


def _bytes(*frames: Iterable[pl.DataFrame]) -> float:
    """How large they are together."""
    return sum(float(frame.estimated_size()) for some in frames for frame in some)


def apart(run: Callable[..., T], *given: Any) -> T:
    """A result from a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(run, *given).result()


def _fresh(place: str) -> Path:
    """A new folder."""
    return Path(tempfile.mkdtemp(dir=place))


def _of_ours(ours: Measured, touchpoints: int) -> list[Figure]:
    """What a comparison took, as lines of the table."""
    return [
        Figure("replay diff", f"{ours.seconds:.2f} s", MOST_SECONDS / ours.seconds, "of 5 s", 1),
        Figure("  until all is folded and compared", f"{ours.folding:.2f} s"),
        Figure(
            "  of processors, together", f"{ours.cpu:.2f} s, {ours.folding_cpu:.2f} s of it folding"
        ),
        Figure("  touchpoints, folded twice", rate(touchpoints, ours.seconds)),
        Figure(
            "  memory", f"{ours.gigabytes:.2f} GB", MOST_GIGABYTES / ours.gigabytes, "of 1.5", 1
        ),
        Figure(
            "  said to take, once previewed", f"{ours.said:.1f} s", ours.said / ours.left, "", 0.5
        ),
        Figure("  what comes back of a lead", f"{ours.back:.0f} bytes"),
        Figure("  what comes back of one that differs, more", f"{ours.more:.0f} bytes"),
    ]


def main() -> bool:
    """Measure, and print the table; returns whether the floors hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--touchpoints", type=int, default=10_000_000)
    parser.add_argument("--journal", type=Path, help="where it is kept, and taken from again")
    parser.add_argument("--on", default="here", help="here, pool or ray")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = asked.journal or Path(place, "facts.journal")
        journal = Journal.open(folder) if folder.exists() else write(folder, asked.touchpoints)
        size = journal.manifest.buckets
        touchpoints, leads = (
            sum(getattr(one, n) for one in size) for n in ("touchpoints", "leads")
        )
        before = apart(stock_from_store, _fresh(place))
        ours = apart(compare, folder, asked.on)
        stock = (before + apart(stock_from_store, _fresh(place))) / 2 * touchpoints
        in_sql = apart(asked_in_sql, folder, _fresh(place), NOW) if find_spec("chdb") else None
    figures = [
        *_of_ours(ours, touchpoints),
        Figure("stock library", f"{stock:,.0f} s", stock / ours.seconds, "slower", LEAST_TIMES),
    ]
    if in_sql is None:
        print(
            "skipped: ClickHouse, since chdb is not installed; benchmarks/set-up installs it",
            file=sys.stderr,
        )
    else:
        ratio = in_sql.seconds / ours.seconds
        told = "ClickHouse, score and stage alone"
        figures += [
            Figure(told, f"{in_sql.seconds:.2f} s", ratio, "slower", 1),
            Figure("  leads of which it says otherwise", f"{in_sql.differing:,}"),
        ]
    title = f"{touchpoints:,} touchpoints of {leads:,} leads, of which {ours.differing:,} differ"
    return show(title, figures) and not (in_sql and in_sql.differing)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
