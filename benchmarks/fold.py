"""Folding: memory to memory and store to state, beside the stock library's decorated aggregate.

    $ python -m benchmarks.fold --touchpoints 10000000

The histories are those of the sample's busier leads, twenty touchpoints each on average,
repeated; the rule set is the default one. The stock aggregate keeps the least that a lead
could: a count, a score and a stage. It is timed on a part of the same events.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from eventsourcing.application import Application, project_aggregate
from eventsourcing.domain import Aggregate, event
from numpy.typing import NDArray

from benchmarks.common import Figure, Stopwatch, rate, show
from benchmarks.record import record
from engine.book import Book
from engine.fold_eras import fold_all
from engine.folding import fold
from engine.history import Histories, ranges
from engine.rulefile import load, shipped
from engine.ruleset import RuleSet
from engine.sample import touchpoints
from engine.store.facts import Facts
from engine.warm import NOW, histories

PER_LEAD = 20
BUSY = 11_900  # touchpoints of the busiest of 2,400 leads
MOST_LEADS = 31_200  # made up in half a minute; the busiest have a bucket's touchpoints
STOCK_LEADS = 1_000
RUNS = 5
SAMPLE = list(touchpoints(now=NOW))


class StockLead(Aggregate):
    """A lead with decorated events, as the library's documentation has it."""

    def __init__(self) -> None:
        self.touchpoints = 0
        self.points = 0
        self.last_at = ""
        self.stage = "none"

    @event("Recorded")
    def record(self, touchpoint: dict[str, Any]) -> None:
        """One more touchpoint."""
        self.touchpoints += 1
        self.last_at = touchpoint["occurred_at"]
        self.points += 5 if touchpoint["type"] == "page_viewed" else 20
        if self.points > 50:
            self.stage = "mql"


def stock_lead(number: int) -> StockLead:
    """A lead with twenty touchpoints of the sample."""
    lead = StockLead()
    told = SAMPLE[number * (PER_LEAD - 1) : (number + 1) * (PER_LEAD - 1)]
    for touchpoint in told:
        lead.record(touchpoint)
    return lead


def many(touchpoints: int) -> Histories:
    """The busiest leads of a sample, as many as have twenty touchpoints on average.

    The sample grows with how many are asked for, since larger ones say the same thing more
    often; from `MOST_LEADS` on it is repeated.
    """
    all_leads = histories(min(2_400 * -(-touchpoints // BUSY), MOST_LEADS))
    sizes = np.diff(all_leads.starts)
    order = np.argsort(sizes)[::-1]
    means = np.cumsum(sizes[order]) / np.arange(1, len(order) + 1)
    chosen = np.sort(order[: int(np.searchsorted(-means, -PER_LEAD)) + 1])
    times = -(-touchpoints // int(sizes[chosen].sum()))
    return of_leads(all_leads, np.tile(chosen, times))


def of_leads(histories: Histories, leads: NDArray[np.int64]) -> Histories:
    """Some leads, in any order and as often as they are named, with attributes of their own."""
    sizes = np.diff(histories.starts)[leads]
    touches = ranges(histories.starts[leads], sizes)
    counts = histories.touches["attributes"][touches].astype(np.int64)
    return replace(
        histories,
        leads=[histories.leads[lead] for lead in leads.tolist()],
        starts=np.append(0, np.cumsum(sizes)),
        touches=histories.touches[touches],
        positions=np.arange(len(touches)),
        attributes=histories.attributes[ranges(histories.attribute_at[touches], counts)],
        attribute_at=np.cumsum(counts) - counts,
        event_id_at=histories.event_id_at[touches],
        event_id_size=histories.event_id_size[touches],
    )


def in_memory(found: Histories, rules: RuleSet) -> float:
    """Seconds of the best of some runs: from columns to states, visits and clock runs."""
    best = []
    for _ in range(RUNS):
        watch = Stopwatch()
        with watch.running():
            fold_all(found, Book.always(rules).eras, NOW)
        best.append(watch.cpu)
    return min(best)


def stock_in_memory() -> float:
    """Seconds a touchpoint for the stock aggregate to evolve over events held in memory."""
    leads = []
    for lead in map(stock_lead, range(STOCK_LEADS)):
        leads.append(list(lead.collect_events()))
    best = []
    for _ in range(RUNS):
        watch = Stopwatch()
        with watch.running():
            for events in leads:
                project_aggregate(None, events)
        best.append(watch.cpu)
    return min(best) / (STOCK_LEADS * PER_LEAD)


def stock_from_store(folder: Path) -> float:
    """Seconds a touchpoint for the stock library to load and evolve from its SQLite store."""
    env = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(folder / "stock.db")}
    application: Application[UUID] = Application(env=env)
    ids = []
    for lead in map(stock_lead, range(STOCK_LEADS)):
        application.save(lead)
        ids.append(lead.id)
    watch = Stopwatch()
    with watch.running():
        for lead_id in ids:
            application.repository.get(lead_id)
    application.close()
    return watch.cpu / (STOCK_LEADS * PER_LEAD)


def from_store(folder: Path, rules: RuleSet, touchpoints: int) -> float:
    """Seconds a touchpoint from our store to states, in chunks of 10,000 leads."""
    path = folder / "ours.db"
    record(path, touchpoints, Stopwatch())
    watch = Stopwatch()
    with Facts.open(path) as facts:
        for _ in range(2):  # the first run loads the compiled code
            watch = Stopwatch()
            with watch.running():
                leads = facts.lead_numbers()
                for start in range(0, len(leads), 10_000):
                    found = facts.histories(leads[start : start + 10_000])
                    fold_all(found, Book.always(rules).eras, NOW)
    return watch.cpu / touchpoints


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--touchpoints", type=int, default=10_000_000)
    parser.add_argument("--stored", type=int, default=200_000, help="for store to state")
    parser.add_argument("--rules", default="default")
    asked = parser.parse_args()
    rules = load(shipped()[asked.rules])
    fold(histories(20), Book.always(rules), NOW)  # loads the compiled code
    found = many(asked.touchpoints)
    count = len(found.touches)
    ours = in_memory(found, rules)
    stock = stock_in_memory()
    with tempfile.TemporaryDirectory() as folder:
        stored = from_store(Path(folder), rules, asked.stored)
        stock_stored = stock_from_store(Path(folder))
    show(
        f"fold: {count:,} touchpoints of {len(found.leads):,} leads, rule set {rules.name}",
        [
            Figure(
                "memory to memory, signals and fold",
                rate(count, ours),
                count / ours / 1e6,
                "M/s",
                5,
            ),
            Figure(
                "stock aggregate in memory", rate(1, stock), stock / (ours / count), "slower", 100
            ),
            Figure("store to state", rate(1, stored)),
            Figure(
                "stock library from its store",
                rate(1, stock_stored),
                stock_stored / stored,
                "slower",
                20,
            ),
        ],
    )


if __name__ == "__main__":
    main()
