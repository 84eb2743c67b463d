"""What must hold after all that went wrong, checked by three ways that share no line.

What came is counted from what was sent; the tables are compared with one clean derivation of
what was accepted, as sorted bytes; and with what the naive model says of the same touchpoints.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from engine.book import Book
from engine.codec import encode
from engine.instants import format_instant
from engine.lifecycle import record
from engine.projections import generations
from engine.projections.database import Models
from engine.projections.generations import Generation
from engine.projections.projection import PROJECTIONS, Tables
from engine.projections.runner import book_known, derive_leads
from engine.ruleset import RuleSet
from engine.store.facts import Facts
from engine.store.in_force import book_at
from engine.store.ledger import Intake
from engine.touchpoint import Arrival, Encoded, Touchpoint
from tests.faults.world import Feed, Said, said_by
from tests.naive.book import Book as NaiveBook
from tests.naive.families import family_of
from tests.naive.fold import fold
from tests.naive.funnels import Search, lines
from tests.naive.model import persons
from tests.naive.random_people import FEW
from tests.naive.states import state
from tests.naive.touchpoints import Edge
from tests.naive.units import instant_text
from tests.storing import WORKSPACE_KEY

Row = tuple[Any, ...]
Line = dict[str, Any]
RECORDED_AT_ONCE = 5000
TOUCHPOINTS = "SELECT state FROM stored_events WHERE originator_id <> ? ORDER BY {0}"
NOBODY = "0" * 32  # whose stream holds the publications of rules


# What came


def stored_touchpoints(facts: Facts) -> Iterator[bytes]:
    """All that was recorded, by position; what the rule book says is left out."""
    with facts.snapshot() as connection:
        rows = connection.execute(TOUCHPOINTS.format("stored_events.rowid"), (NOBODY,))
        while some := rows.fetchmany(RECORDED_AT_ONCE):
            yield from (bytes(stored) for (stored,) in some)


def by_family(stored: Iterable[bytes]) -> dict[int, list[bytes]]:
    """The marks of what was recorded, by family, in the order of recording."""
    found: dict[int, list[bytes]] = defaultdict(list)
    for one in stored:
        touchpoint, its_mark = said_by(one)
        found[family_of(touchpoint.event_id)].append(its_mark)
    return found


def accepted_of(feed: Feed, number: int, marks: Sequence[bytes]) -> tuple[list[Said], Intake]:
    """Which tellings of a family were recorded, and what that makes of all that was sent of it.

    Of two tellings under one id whichever came first counts; nothing else is left to chance.
    """
    family = feed.world.family(number)
    known = {one.mark: one for one in family}
    accepted = [known[its_mark] for its_mark in marks]  # a KeyError: nobody sent it
    contents = {one.id: one.touchpoint.content for one in accepted}
    assert len(contents) == len(accepted), f"an id of family {number} is recorded twice"
    assert contents.keys() == {one.id for one in family}, f"some of family {number} is missing"
    same = sum(
        feed.copies[its_mark]
        for its_mark, one in known.items()
        if contents[one.id] == one.touchpoint.content
    )
    sent = sum(feed.copies[its_mark] for its_mark in known)
    return accepted, Intake(sent, len(accepted), same - len(accepted), sent - same)


def check_conservation(
    feed: Feed, facts: Facts, topic: str
) -> tuple[Callable[[int], list[Said]], Intake]:
    """Received = recorded + duplicates + set aside: as counted by us, by it, and in its tables.

    Returns:
        A function that gives what was accepted of a family, and the counts.
    """
    marks = by_family(stored_touchpoints(facts))
    assert marks.keys() <= set(range(feed.families))
    reused = recorded = duplicates = 0
    for number in range(feed.families):
        _, came = accepted_of(feed, number, marks.get(number, []))
        recorded += came.recorded
        duplicates += came.duplicates
        reused += came.set_aside
    reasons = +(feed.hostile + Counter({"id_reused": reused}))
    expected = Intake(feed.messages, recorded, duplicates, reasons.total())
    assert expected.received == expected.recorded + expected.duplicates + expected.set_aside
    assert facts.intake()[topic] == expected
    with facts.snapshot() as connection:
        rows = connection.execute("SELECT reason, count(*) FROM aside GROUP BY reason").fetchall()
        places = "SELECT count(*) FROM (SELECT DISTINCT partition, line FROM aside) AS places"
        assert dict(rows) == dict(reasons)
        assert connection.execute(places).fetchone()[0] == reasons.total()
        (total,) = connection.execute("SELECT sum(next_offset) FROM offsets").fetchone()
    assert int(total) == feed.messages
    return lambda number: accepted_of(feed, number, marks.get(number, []))[0], expected


# The tables


def rows_by_first(tables: Tables) -> dict[str, list[Row]]:
    """All rows of all tables, each with its lead's first touchpoint in the place of the number.

    Numbers and ids depend on what was recorded first.
    """
    firsts = {
        number: f"{source} {event_id}"
        for number, source, event_id in tables["leads"]
        .select("lead", "first_source", "first_event_id")
        .iter_rows()
    }
    return {
        name: [
            (firsts.get(row[0], "to come"), *row[1:])
            for row in frame.select("lead", *_columns(frame)).iter_rows()
        ]
        for name, frame in tables.items()
    }


def _columns(frame: pl.DataFrame) -> list[pl.Expr]:
    """All but the lead, without what is its id."""
    return [
        pl.lit("").alias(column) if column == "id" else pl.col(column)
        for column in frame.columns
        if column != "lead"
    ]


def live_generation(facts: Facts, models: Models) -> Generation | None:
    """What readers go through, as the rule book has it."""
    book = book_known(facts)
    with models.reading() as connection:
        return generations.in_force(connection, book, facts.clock())


def live_rows(facts: Facts, models: Models) -> tuple[dict[str, list[Row]], Generation]:
    """What readers see, and what instant and position that is of."""
    live = live_generation(facts, models)
    assert live is not None
    with models.reading() as connection:
        tables = generations.read(connection, live, PROJECTIONS)
    return rows_by_first(tables), live


def clean_rows(
    stored: Iterable[bytes], rules: RuleSet, as_of: int, folder: Path
) -> dict[str, list[Row]]:
    """The rows of one derivation of these touchpoints, recorded anew in another order."""
    touchpoints = [said_by(one)[0] for one in stored]
    touchpoints.sort(key=lambda one: (one.content, one.source, one.event_id))
    with Facts.open(folder / "clean.db") as facts:
        facts.too_common = FEW
        for start in range(0, len(touchpoints), RECORDED_AT_ONCE):
            record(
                facts,
                [_arrival(one) for one in touchpoints[start : start + RECORDED_AT_ONCE]],
                workspace_key=WORKSPACE_KEY,
            )
        return rows_by_first(derive_leads(facts, facts.lead_numbers(), Book.always(rules), as_of))


def _arrival(touchpoint: Touchpoint) -> Arrival:
    return Arrival(
        origin="clean", line=1, data=b"", encoded=Encoded(touchpoint, encode(touchpoint))
    )


def check_same_bytes(found: Mapping[str, list[Row]], expected: Mapping[str, list[Row]]) -> None:
    """Every table, as sorted bytes."""
    for name in expected:
        ours, theirs = (
            sorted(repr(row).encode() for row in rows[name]) for rows in (found, expected)
        )
        differing = sorted(set(ours) ^ set(theirs))
        assert ours == theirs, f"{name}: {len(differing)} rows differ, such as {differing[:4]}"


# The naive model


@dataclass
class Named:
    """Rows of tables as what the naive model prints, lead by lead."""

    rules: RuleSet
    as_of: int
    rows: Mapping[str, Mapping[str, list[Line]]]  # by table and lead

    @classmethod
    def of(cls, found: Mapping[str, list[Row]], rules: RuleSet, as_of: int) -> "Named":
        rows: dict[str, dict[str, list[Line]]] = {}
        for projection in PROJECTIONS:
            columns = projection.table.columns.keys()
            by_lead = rows.setdefault(projection.name, defaultdict(list))
            for row in found[projection.name]:
                by_lead[row[0]].append(dict(zip(columns, row, strict=True)))
        return cls(rules, as_of, rows)

    def of_lead(self, lead: str) -> Line:
        (row,) = self.rows["leads"][lead]
        rules = self.rules
        return {
            "first": {"source": row["first_source"], "event_id": row["first_event_id"]},
            "last": {"source": row["last_source"], "event_id": row["last_event_id"]},
            "first_at": format_instant(row["first_at"]),
            "last_at": format_instant(row["last_at"]),
            "touchpoints": row["touchpoints"],
            "scores": {s.name: row[f"score_{i}"] for i, s in enumerate(rules.scores, 1)},
            "stages": {t.name: row[f"stage_{i}"] for i, t in enumerate(rules.tracks, 1)},
            "seen": sorted(s.name for i, s in enumerate(rules.signals) if row["seen"] >> i & 1),
            "owner": row["owner"],
            "value": _money(row),
            "anomalies": row["anomalies"],
            "visits": [
                self._visit(one)
                for track in rules.tracks
                for one in self._of("stage_visits", lead, track=track.name)
            ],
            "clocks": [
                self._run(one)
                for clock in rules.clocks
                for one in self._of("clock_runs", lead, clock=clock.name)
            ],
            "funnels": {
                f.name: [
                    self._attempt(one, f.limits_time)
                    for one in self._of("funnel", lead, funnel=f.name)
                ]
                for f in rules.funnels
            },
        }

    def _of(self, table: str, lead: str, **which: str) -> list[Line]:
        ((column, name),) = which.items()
        rows = (row for row in self.rows[table].get(lead, []) if row[column] == name)
        return sorted(rows, key=lambda row: row.get("number") or row.get("attempt"))

    def _visit(self, row: Line) -> Line:
        cause = {"source": row["cause_source"], "event_id": row["cause_event_id"]}
        if row["move"] is not None:
            (track,) = (track for track in self.rules.tracks if track.name == row["track"])
            timer = track.moves[row["move"] - 1].timer
            cause = {"timer": timer.kind if timer else "", "move": row["move"]}
        return {
            **{name: row[name] for name in ("track", "stage", "visit", "direction", "skipped")},
            "entered": format_instant(row["entered_at"]),
            "left": _instant(row["left_at"]),
            "cause": cause,
        }

    def _run(self, row: Line) -> Line:
        outcome = row["outcome"]
        if outcome == "open":
            outcome = "breached" if self.as_of > row["due_at"] else "running"
        return {
            "clock": row["clock"],
            "started": format_instant(row["started_at"]),
            "due": format_instant(row["due_at"]),
            "ended": _instant(row["ended_at"]),
            "state": outcome,
        }

    def _attempt(self, row: Line, ends: bool) -> Line:
        until = row["open_until"]
        still = not row["excluded"] and until is not None and self.as_of < until
        reached = [int(at) for at in row["reached_at"].strip("[]").split(",") if at]
        return {
            "entered": format_instant(row["entered_at"]),
            "depth": row["depth"],
            "reached_at": [format_instant(at) for at in reached],
            "excluded": row["excluded"],
            "open": still if ends else None,
        }


def _money(row: Line) -> Line | None:
    if row["value_currency"] is None:
        return None
    return {"minor": row["value_minor"], "currency": row["value_currency"]}


def _instant(at: int | None) -> str | None:
    return None if at is None else format_instant(at)


def naive_leads(accepted: Sequence[Said], book: NaiveBook, as_of: int, key: bytes) -> list[Line]:
    """What the naive model makes of touchpoints, in the order of their recording."""
    edge, met, rules = Edge(key), Counter[str](), book.in_force(as_of)
    for one in accepted:
        assert edge.deliver(one.delivery) is None
    told = []
    for touches in persons(edge.accepted, FEW):
        if touches[0].at > as_of:
            continue
        lead = fold(touches, book, as_of, met)
        line = state(lead, rules, as_of)
        del line["segments"]
        line["scores"] = dict(lead.scores)  # as of the last touchpoint, as the table has them
        line["funnels"] = {
            funnel.name: [
                {
                    **found,
                    "entered": instant_text(found["entered"]),
                    "reached_at": [instant_text(at) for at in found["reached_at"]],
                }
                for found in sorted(
                    lines(Search(funnel, lead, as_of)), key=lambda one: one["entered"]
                )
            ]
            for funnel in rules.funnels
        }
        told.append(line)
    return told


def check_naive(
    named: Named,
    families: Iterable[int],
    accepted: Callable[[int], list[Said]],
    toml: str,
    key: bytes,
) -> int:
    """The tables of some families' leads against the naive model; how many it folded."""
    book, checked = NaiveBook.of(toml), 0
    of_family: dict[int, list[str]] = defaultdict(list)
    for lead, (row,) in named.rows["leads"].items():
        of_family[family_of(row["first_event_id"])].append(lead)
    for number in families:
        said = accepted(number)
        expected = naive_leads(said, book, named.as_of, key)
        found = [named.of_lead(lead) for lead in of_family[number]]
        for lines_ in (expected, found):
            lines_.sort(key=lambda line: sorted(line["first"].items()))
        assert found == expected, f"family {number}"
        checked += len(said)
    return checked


def rules_now(facts: Facts) -> tuple[RuleSet, str]:
    """The rules in force, and how they were written."""
    with facts.snapshot() as connection:
        rules = book_at(connection).at(facts.clock())
    return rules, facts.written_rules(rules.id).toml
