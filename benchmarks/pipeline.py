"""Kafka to event store to read models, all of it real, beside what its parts do alone.

    $ python -m benchmarks.pipeline --touchpoints 100000 --rounds 3
    $ python -m benchmarks.pipeline --memory 5000000 --only SQLite standard

The broker, PostgreSQL, one consumer and one projection runner are processes on one
machine. The topic is full before the consumer starts; how long it and the runner take from
the first batch until the last touchpoint is visible gives the sustained rate. Afterwards
touchpoints come at a third of that rate, to see how long each waits. Every lead comes with
two touchpoints at a time, some five times in a run.

Recording alone takes the same touchpoints in the same batches into another database of the
kind. Its rate by the clock is of one process that has the machine for itself, whereas the
pipeline's is of all its processes together; CPU seconds tell what each of these took.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression, median
from typing import NamedTuple

from rich.console import Console

from benchmarks import parts
from benchmarks.beside import (
    PER_VISIT,
    WARM,
    WORKSPACE_KEY,
    arrival,
    consume_raw,
    messages,
    record_alone,
    recorded_batches,
    save_stock,
    touchpoints,
)
from benchmarks.common import Figure, Stopwatch, rate, show
from benchmarks.parts import POSTGRES, SQLITE, Eye, Load, Message, Program, Servers
from consumers.settings import FAST, STANDARD
from engine import lifecycle
from engine.kafka.settings import KafkaSettings

SETTLE_S = 3.0  # before waits are counted
TICK_S = 0.02
ONE_BY_ONE, IN_BATCHES, BATCH = 1000, 10_000, 1000  # touchpoints of the stock application
LIMIT_S = 0.5  # of the 99th percentile
LEAST = {STANDARD: 0.35, FAST: 0.5}  # of recording alone
LEAST_OF_STOCK = 10
AHEAD = 50_000  # messages that wait, at most, while memory is watched
WIDE = Console(width=140)
FLAT_MB = 64.0  # that a process may gain in the second half, when SQLite's cache is full


class Case(NamedTuple):
    """What is measured: with which database, with which client."""

    database: str
    client: str


@dataclass
class Measured:
    """One round of one case; seconds, and what each is for."""

    count: int  # touchpoints
    wall: float
    cpu: dict[str, float]
    waits: tuple[float, float]  # p50 and p99 at the sustained rate
    calm: tuple[float, float]  # the same at a third of it
    alone: Stopwatch = field(default_factory=Stopwatch)
    alone_count: int = 0

    @property
    def share(self) -> float:
        """Of what recording alone does, by the clock."""
        return (self.count / self.wall) / (self.alone_count / self.alone.wall)


def run(servers: Servers, case: Case, full: KafkaSettings, count: int, calm_s: float) -> Measured:
    """A round of a case: sustained, then calm, then recording alone."""
    url = servers.new_database(case.database)
    with Eye.on(url) as eye:
        with parts.runner(url, servers.folder) as runner:
            warm(eye, runner)
            begun = eye.head
            with parts.consumer(url, full, case.client, servers.folder) as consumer:
                measured = sustain(servers, eye, begun + count, runner, consumer)
            live, ended = servers.new_topic(), eye.head
            with parts.consumer(url, live, case.client, servers.folder) as consumer:
                per_s = measured.count / measured.wall / 3
                made = messages(int(per_s * (calm_s + SETTLE_S)), seed=random.getrandbits(32))
                measured.calm = calm(eye, Load(live), made, per_s, (runner, consumer))
        batches = recorded_batches(eye.facts, begun, ended)
        measured.alone, measured.alone_count = record_alone(servers, case.database, batches)
    return measured


def warm(eye: Eye, runner: Program) -> None:
    """Let the runner derive a first time, and then catch up: all of its code is loaded."""
    arrivals = [arrival(one) for one in touchpoints(WARM, seed=0)]
    for some in (arrivals[: WARM // 2], arrivals[WARM // 2 :]):
        lifecycle.record(eye.facts, some, workspace_key=WORKSPACE_KEY)
        eye.wait_until_shown(eye.facts.head(), runner)


def sustain(servers: Servers, eye: Eye, upto: int, runner: Program, consumer: Program) -> Measured:
    """From the first batch recorded until the last touchpoint is visible."""
    spent = {
        "consumer": consumer.cpu_s,
        "runner": runner.cpu_s,
        "broker": servers.broker_cpu_s,
        "PostgreSQL": servers.postgres_cpu_s,
    }
    before = eye.head
    while eye.head == before:
        eye.look()
        consumer.check()
        time.sleep(parts.LOOK_S)
    first, begun = eye.head, time.perf_counter()
    cpu = {name: read() for name, read in spent.items()}
    eye.waits.clear()
    eye.wait_until_shown(upto, runner, consumer)
    wall = time.perf_counter() - begun
    cpu = {name: read() - cpu[name] for name, read in spent.items()}
    return Measured(upto - first, wall, cpu, (eye.waited(0.5), eye.waited(0.99)), (0, 0))


def calm(
    eye: Eye, load: Load, made: Sequence[Message], per_s: float, programs: Sequence[Program]
) -> tuple[float, float]:
    """How long touchpoints wait, half of them and 99 in 100, at a moderate rate."""
    before, sent = eye.head, 0
    load.send(made[:PER_VISIT])
    load.flush()
    eye.wait_until_shown(before + PER_VISIT, *programs)
    made, begun, settled = made[PER_VISIT:], time.perf_counter(), False
    while sent < len(made):
        passed = time.perf_counter() - begun
        if not settled and passed > SETTLE_S:
            settled = True
            eye.waits.clear()
        due = min(len(made), int(passed * per_s))
        load.send(made[sent:due])
        sent = due
        eye.look()
        time.sleep(TICK_S)
    eye.wait_until_shown(before + PER_VISIT + len(made), *programs)
    load.flush()
    return eye.waited(0.5), eye.waited(0.99)


def watch_memory(servers: Servers, case: Case, count: int) -> list[Figure]:
    """What consumer and runner gain while touchpoints come on and on."""
    url, topic = servers.new_database(case.database), servers.new_topic()
    load, sent, seen = Load(topic), 0, []
    with Eye.on(url) as eye, parts.runner(url, servers.folder) as runner:
        warm(eye, runner)
        before, begun = eye.head, time.perf_counter()
        with parts.consumer(url, topic, case.client, servers.folder) as consumer:
            while sent < count:
                some = min(AHEAD, count - sent)
                load.send(messages(some, seed=sent + 1))
                load.flush()
                sent += some
                eye.wait_until_shown(before + sent - AHEAD // 2, runner, consumer)
                eye.waits.clear()
                seen.append((eye.shown, consumer.memory() / 1e6, runner.memory() / 1e6))
            eye.wait_until_shown(before + sent, runner, consumer)
    per_s = rate(count, time.perf_counter() - begun)
    figures = [Figure(f"{case.database}, {case.client} client: {count:,}", per_s)]
    late = seen[len(seen) // 2 :]
    for column, name in ((1, "consumer"), (2, "runner")):
        slope = linear_regression([row[0] / 1e6 for row in late], [row[column] for row in late])
        told = ", ".join(f"{row[column]:.0f}" for row in seen[:: max(1, len(seen) // 5)])
        gain = slope.slope * (late[-1][0] - late[0][0]) / 1e6
        figures.append(
            Figure(
                f"  {name}, MB on the way: {told}",
                f"{slope.slope:+.1f} MB a million",
                FLAT_MB / max(gain, 1.0),
                f"of {FLAT_MB:.0f} MB",
                1,
            )
        )
    return figures


def case_figures(case: Case, rounds: Sequence[Measured], stock_s: float) -> list[Figure]:
    """The lines of a case: medians of its rounds."""
    per_s = median(one.count / one.wall for one in rounds)
    alone = median(one.alone_count / one.alone.wall for one in rounds)
    share = median(one.share for one in rounds)
    calm = [median(wait) for wait in zip(*(one.calm for one in rounds), strict=True)]
    busy = [median(wait) for wait in zip(*(one.waits for one in rounds), strict=True)]
    took = {
        name: median(one.cpu[name] / one.count for one in rounds)
        for name in rounds[0].cpu
        if name != POSTGRES or case.database == POSTGRES
    }
    told = ", ".join(f"{name} {seconds * 1e6:.1f}" for name, seconds in took.items())
    alone_cpu = median(one.alone.cpu / one.alone_count for one in rounds)
    return [
        Figure(
            f"{case.database}, {case.client} client",
            rate(1, 1 / per_s),
            share,
            "recording alone",
            LEAST[case.client],
        ),
        Figure("  beside the stock application", "", per_s * stock_s, "", LEAST_OF_STOCK),
        Figure(
            "  CPU µs, and recording's part", told, alone_cpu / took["consumer"], "of the consumer"
        ),
        Figure("  recording alone", f"{rate(1, 1 / alone)}, CPU {alone_cpu * 1e6:.1f} µs"),
        Figure("  append to visible, p50, p99", f"{busy[0]:.2f} s, {busy[1]:.2f} s"),
        Figure(
            "  the same at a third of the rate",
            f"{calm[0] * 1000:.0f} ms, {calm[1] * 1000:.0f} ms",
            LIMIT_S / calm[1],
            f"of {LIMIT_S * 1000:.0f} ms",
            1,
        ),
    ]


def measure(servers: Servers, cases: Sequence[Case], given: argparse.Namespace) -> list[Figure]:
    """Every figure; rounds go through all cases in turn, so that each meets the same machine."""
    full, count = servers.new_topic(), given.touchpoints
    load = Load(full)
    load.send(messages(count, seed=1))
    load.flush()
    rounds = [
        [run(servers, case, full, count, given.calm) for case in cases] for _ in range(given.rounds)
    ]
    figures: list[Figure] = []
    made, stock_s = list(touchpoints(IN_BATCHES, seed=2)), {}
    for kind in dict.fromkeys(case.database for case in cases):
        single = save_stock(servers.new_database(kind), made[:ONE_BY_ONE], 1)
        batched = save_stock(servers.new_database(kind), made, BATCH)
        stock_s[kind] = single.wall / ONE_BY_ONE
        figures += [
            Figure(f"{kind}, stock application, one by one", rate(ONE_BY_ONE, single.wall)),
            Figure(f"  in batches of {BATCH:,}", rate(IN_BATCHES, batched.wall)),
        ]
    for client in dict.fromkeys(case.client for case in cases):
        raw = consume_raw(full, client, count)
        told = f"{rate(count, raw.wall)}, CPU {raw.cpu / count * 1e6:.1f} µs"
        figures.append(Figure(f"raw consume and decode, {client} client", told))
    for case, measured in zip(cases, zip(*rounds, strict=True), strict=True):
        figures += case_figures(case, measured, stock_s[case.database])
    return figures


def main() -> bool:
    """Run all of it; returns whether the floors hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--touchpoints", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calm", type=float, default=15, help="seconds at a third of the rate")
    parser.add_argument("--memory", type=int, help="watch memory over so many touchpoints instead")
    parser.add_argument("--only", nargs=2, metavar=("DATABASE", "CLIENT"))
    given = parser.parse_args()
    cases = [Case(kind, client) for kind in (SQLITE, POSTGRES) for client in (STANDARD, FAST)]
    if given.only:
        cases = [Case(*given.only)]
    with tempfile.TemporaryDirectory() as folder, Servers.started(Path(folder)) as servers:
        if given.memory:
            figures = [one for case in cases for one in watch_memory(servers, case, given.memory)]
            return show(f"Memory over {given.memory:,} touchpoints", figures, WIDE)
        figures = measure(servers, cases, given)
    what = f"{given.touchpoints:,} touchpoints, medians of {given.rounds} rounds"
    return show(f"Kafka to event store to read models: {what}", figures, WIDE)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
