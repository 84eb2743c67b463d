"""Deliveries and rules in; what every export prints, out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.naive.book import Book, Entry
from tests.naive.fold import fold
from tests.naive.identity import Identity
from tests.naive.lead import Lead
from tests.naive.states import Line, funnel_lines, state
from tests.naive.touchpoints import Edge, Touch, leads
from tests.naive.units import instant_us

KEY = bytes(range(32))


@dataclass
class Read:
    """What is printed as of one instant, once the first `known` accepted ones are known."""

    as_of: int
    states: list[Line]
    funnels: dict[str, list[Line]]
    known: int | None = None


@dataclass
class Outcome:
    """What became of a history: the lines count deliveries from 1."""

    aside: list[Line] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)


def run(
    book: str | Sequence[Entry],
    deliveries: Iterable[dict[str, Any]],
    instants: Iterable[str | int | tuple[str | int, int | None]],
    *,
    key: bytes = KEY,
    received_at: int | None = None,
    identity: int | None = None,
) -> Outcome:
    """Take the deliveries in, in order, and read at every instant.

    `book` is one rule set as TOML or (TOML, effective_at) in order of publication. An
    instant with a number beside it reads what was known after so many accepted ones.
    `received_at`, where given, is when all deliveries came: it sets aside the future.
    `identity` asks who is who, and is the number above which an identifier is too common;
    without it, one primary identifier is one lead.
    """
    outcome = Outcome()
    edge = Edge(key, received_at)
    for number, delivery in enumerate(deliveries, start=1):
        reason = edge.deliver(delivery)
        if reason is None:
            outcome.accepted.append(number)
        elif reason == "duplicate":
            outcome.duplicates.append(number)
        else:
            outcome.aside.append({"line": number, "reason": reason})
    rules = Book.of(book)
    for asked in instants:
        at, known = asked if isinstance(asked, tuple) else (asked, None)
        histories = persons(edge.accepted[:known], identity)
        outcome.reads.append(read(rules, histories, instant_us(at), outcome.met))
        outcome.reads[-1].known = known
    return outcome


def persons(known: list[Touch], identity: int | None) -> list[list[Touch]]:
    """The folded touchpoints of each lead, as far as who is who is asked for."""
    return leads(known) if identity is None else list(Identity(known, identity).leads().values())


def read(book: Book, histories: list[list[Touch]], at: int, met: Counter[str]) -> Read:
    """Every export as of one instant."""
    rules = book.in_force(at)
    folded = [fold(touches, book, at, met) for touches in histories if touches[0].at <= at]
    folded.sort(key=first_id)
    return Read(
        as_of=at,
        states=[state(lead, rules, at) for lead in folded],
        funnels={funnel.name: funnel_lines(folded, funnel, at) for funnel in rules.funnels},
    )


def first_id(lead: Lead) -> tuple[bytes, bytes]:
    first = lead.touches[0]
    return (first.source.encode(), first.event_id.encode())
