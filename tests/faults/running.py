"""A topic, a database, what is sent, and the oracles: what every fault test is made of."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from confluent_kafka import Producer

from engine.book import Book
from engine.folding import fold
from engine.projections.database import Models
from engine.rulefile import load, parse, shipped
from engine.store.facts import models_of
from engine.store.rulebook import WrittenRules
from engine.warm import NOW, histories
from tests.consuming import Pipeline, Process
from tests.faults import oracle
from tests.faults.world import KEY, OTHER_RULES, RULES, Feed, Message, World
from tests.services.process import wait_until
from tests.warm import Warm

CONSUMER, RUNNER = "consumers.__main__", "tests.faults.project"
LATE = (  # what both would load once they run
    "engine.cli.project",
    "engine.projections.follower",
    "engine.store.postgres",
    "engine.store.sqlite",
)
STUCK_S = 60.0


def new_warm() -> Warm:
    """A parent that forks consumers and runners off; the fold's machine code is there before it."""
    fold(histories(5), Book.always(load(shipped()["default"])), NOW)
    return Warm(CONSUMER, "consumers.kafka_python", RUNNER, *LATE)


class Run:
    """Lets messages out slice by slice, starts processes, and asks the oracles at the end."""

    def __init__(self, pipeline: Pipeline, seed: int, touchpoints: int, slices: int) -> None:
        self.pipeline = pipeline
        world = World(seed, time.time_ns() // 1000)
        self.feed = Feed(world, touchpoints, slices, partitions=4)
        self.starts = 0
        self._slices: Iterator[list[Message]] = iter(self.feed)
        self._producer = Producer(
            {
                "bootstrap.servers": pipeline.kafka.servers,
                "enable.idempotence": True,
                "log_level": 0,
            }
        )
        self._rules_published = 0
        self.publish_rules()

    def send(self, slices: int | None = 1) -> None:
        """Let so many slices out, or all; each message is there once when this returns."""
        sent = 0
        while sent != slices and (some := next(self._slices, None)) is not None:
            sent += 1
            for partition, value in some:
                self._producer.produce(self.pipeline.topic, value, partition=partition)
            assert not self._producer.flush(60)

    def publish_rules(self) -> None:
        """Put other rules in force: the runner has to fill tables anew."""
        toml = (RULES, OTHER_RULES)[self._rules_published % 2]
        self._rules_published += 1
        rules = parse(toml)
        with self.pipeline.facts() as facts:
            facts.publish(WrittenRules(rules.id, rules.name, toml))

    def start(self, module: str, name: str = "", **settings: object) -> Process:
        """Start a process; all of one name share a log."""
        self.starts += 1
        log = self.pipeline.folder / f"{name or f'{module}-{self.starts}'}.log"
        environ = {"LEADLEDGER_CRASH_AT": "", **self.pipeline.environ(**settings)}
        process = Process(self.pipeline.warm, module, environ, log)
        self.pipeline.started.append(process)
        return process

    def consumer(self, **settings: object) -> Process:
        """Start a consumer."""
        return self.start(CONSUMER, **settings)

    def runner(self, **settings: object) -> Process:
        """Start a projection runner."""
        return self.start(RUNNER, **settings)

    def drain(self, *processes: Process) -> None:
        """Send what is left, let these processes read and derive it all, and end in order."""
        self.send(None)
        while (read := self.read()) < self.feed.messages:
            moved = wait_until(lambda before=read: self.read() > before, STUCK_S)
            assert moved, f"stuck at {self.pipeline.read()}\n{_said(processes)}"
        assert wait_until(self.is_derived, STUCK_S), _said(processes)
        codes = [one.stop() for one in processes]
        assert not any(codes), f"ended with {codes}\n{_said(processes)}"

    def read(self) -> int:
        """How many messages were read by now."""
        time.sleep(0.05)
        return sum(self.pipeline.read().values())

    def is_derived(self) -> bool:
        """Whether all that was sent is read, and all that was recorded is derived."""
        if self.read() < self.feed.messages:
            return False
        facts = self.pipeline.facts()
        with closing(facts), closing(Models.open(models_of(self.pipeline.url))) as models:
            live = oracle.live_generation(facts, models)
            return live is not None and live.checkpoint == facts.head()

    def check(self, most: int | None = None) -> list[str]:
        """Ask the oracles; what they compared, in words. `most`: for the naive model to fold."""
        facts = self.pipeline.facts()
        with closing(facts), closing(Models.open(models_of(self.pipeline.url))) as models:
            accepted, came = oracle.check_conservation(self.feed, facts, self.pipeline.topic)
            rules, toml = oracle.rules_now(facts)
            found, live = oracle.live_rows(facts, models)
            assert (live.book_id, live.checkpoint) == (rules.id, facts.head())
            stored = oracle.stored_touchpoints(facts)
            clean = oracle.clean_rows(stored, rules, live.settled_to, self.pipeline.folder)
            oracle.check_same_bytes(found, clean)
            named = oracle.Named.of(found, rules, live.settled_to)
            every = 1 if most is None else -(-self.feed.told // most)
            families = range(0, self.feed.families, every)
            checked = oracle.check_naive(named, families, accepted, toml, KEY)
        return [
            f"came {came.received:,} = recorded {came.recorded:,} + doubled {came.duplicates:,} "
            f"+ set aside {came.set_aside:,}",
            "as one clean derivation: "
            + ", ".join(f"{len(rows):,} rows of {name}" for name, rows in found.items()),
            f"as the naive model says: {checked:,} touchpoints of {len(families):,} families",
        ]


def _said(processes: Sequence[Process]) -> str:
    return "\n".join(f"...{one.said()[-2000:]}" for one in processes)
