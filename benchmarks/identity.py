"""Identity: what it costs recording, how soon a join shows, and making it again from the streams.

    $ python -m benchmarks.identity --identifiers 1000000 --touchpoints 1000000

People are known by an address and a number. Of what is recorded then, each touchpoint names
both, and one in ten a number that is new. The same without the second identifier is what
recording alone is. Which leads a batch touches is found out by the runner, in its own time.
"""

import argparse
import resource
import shutil
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median

from benchmarks.common import Figure, Stopwatch, rate, show
from benchmarks.record import BATCH, START
from engine import lifecycle
from engine.codec import decode, encode
from engine.privacy import WorkspaceKey
from engine.projections.database import Models
from engine.projections.runner import bring_up_to_date
from engine.store.facts import Facts, models_of
from engine.store.rebuild import rebuild_evidence
from engine.touchpoint import Arrival, Encoded, Identifier, Touchpoint
from engine.warm import main as warm

KEY = WorkspaceKey(bytes(32))
MEASURED = 50_000
JOINED, JOINS = 1_000, 9


def who(kind: str, number: object) -> Identifier:
    """An identifier of somebody."""
    return Identifier(kind, sha256(f"{kind}:{number}".encode()).hexdigest())


def told(number: int, *named: Identifier, source: str = "web") -> Touchpoint:
    """One touchpoint about those who are named."""
    return Touchpoint(
        source=source,
        event_id=f"{number:012d}",
        type="page_viewed",
        occurred_at=START + number * 1_000_000,
        received_at=START + number * 1_000_000,
        content=f"{number:032x}",
        identifiers=named,
    )


def base(touchpoints: int, people: int) -> Iterator[Touchpoint]:
    """People with an address and a number each; the first touchpoint of each names both."""
    for number in range(touchpoints):
        person = number % people
        named = who("email", person), who("phone", person)
        yield told(number, *named[: 2 if number < people else 1], source="base")


def more(people: int, *, both: bool) -> Iterator[Touchpoint]:
    """Further touchpoints of people who are known, one in ten with a number that is not."""
    chance = Random(5)
    for number in range(MEASURED):
        person = chance.randrange(people)
        phone = f"new {number}" if number % 10 == 0 else person
        named = who("email", person), who("phone", phone)
        yield told(number, *named[: 2 if both else 1])


def arrivals(some: Iterator[Touchpoint]) -> Iterator[list[Arrival]]:
    """The same, encoded, batch by batch."""
    while batch := list(islice(some, BATCH)):
        yield [
            Arrival(origin="benchmark", line=1, data=b"", encoded=Encoded(one, encode(one)))
            for one in batch
        ]


def recorded(path: Path, some: Iterator[Touchpoint]) -> Stopwatch:
    """Record touchpoints."""
    watch = Stopwatch()
    with Facts.open(path) as facts:
        for batch in arrivals(some):
            with watch.running():
                lifecycle.record(facts, batch, workspace_key=KEY)
    return watch


def touched(path: Path) -> Stopwatch:
    """Find out which leads each of the last batches touched."""
    watch = Stopwatch()
    with Facts.open(path) as facts:
        head = facts.head()
        for after in range(head - MEASURED, head, BATCH):
            with watch.running():
                facts.touched_leads(after, after + BATCH)
    return watch


def join_s(path: Path) -> float:
    """Seconds until a join of two leads of a thousand touchpoints each shows; the median."""
    took = []
    with Facts.open(path) as facts:
        models = Models.open(models_of(path))
        for number in range(JOINS):
            pair = who("crm_id", f"a{number}"), who("crm_id", f"b{number}")
            first = 10**9 + number * 10**6
            two = (told(first + at, pair[at % 2], source="join") for at in range(2 * JOINED))
            for batch in arrivals(two):
                lifecycle.record(facts, batch, workspace_key=KEY)
            bring_up_to_date(facts, models, facts.clock())
            (batch,) = arrivals(iter([told(first + 10**5, *pair, source="join")]))
            watch = Stopwatch()
            with watch.running():
                lifecycle.record(facts, batch, workspace_key=KEY)
                bring_up_to_date(facts, models, facts.clock())
            took.append(watch.wall)
        models.close()
    return median(took)


def made_again(path: Path) -> tuple[int, Stopwatch, Stopwatch]:
    """How many touchpoints there are; making evidence again; reading them from the event store."""
    again, reading = Stopwatch(), Stopwatch()
    with Facts.open(path) as facts:
        with again.running(), facts.transaction() as connection:
            count = rebuild_evidence(connection)
        with reading.running(), facts.snapshot() as connection:
            for (state,) in connection.execute("SELECT state FROM stored_events"):
                decode(state)
    return count, again, reading


def main() -> bool:
    """Measure, and print the table; returns whether the floors hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--identifiers", type=int, default=1_000_000)
    parser.add_argument("--touchpoints", type=int, default=1_000_000, help="recorded before")
    asked = parser.parse_args()
    people = asked.identifiers // 2
    with tempfile.TemporaryDirectory() as folder:
        path, other = Path(folder) / "both.db", Path(folder) / "one.db"
        recorded(path, base(max(asked.touchpoints, people), people))
        shutil.copy(path, other)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        alone = recorded(other, more(people, both=False))
        both = recorded(path, more(people, both=True))
        finding = touched(path)
        count, again, reading = made_again(path)
        warm()
        joined = join_s(Path(folder) / "join.db")
    figures = [
        Figure("recording alone", rate(MEASURED, alone.cpu)),
        Figure(
            "with a second identifier",
            rate(MEASURED, both.cpu),
            alone.cpu / both.cpu,
            "of it",
            0.6,
        ),
        Figure("  on the wall", rate(MEASURED, both.wall), alone.wall / both.wall, "of it"),
        Figure("finding the leads that are touched", rate(MEASURED, finding.cpu)),
        Figure("memory while recording the base", f"{grown:,} MB"),
        Figure(
            "a join of 2 × 1,000 touchpoints shows", f"{joined * 1000:.0f} ms", 0.2 / joined, "", 1
        ),
        Figure("evidence made again", rate(count, again.wall)),
        Figure("reading them all", rate(count, reading.wall), reading.wall / again.wall, "", 1),
    ]
    return show(f"identity: {asked.identifiers:,} identifiers, {count:,} touchpoints", figures)


if __name__ == "__main__":
    raise SystemExit(not main())
