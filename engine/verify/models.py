"""Whether the read models are what a fresh fold gives, as of and known at where they stand."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.book import Book
from engine.projections.generations import Generation, in_force, ready_generations
from engine.projections.projection import PROJECTIONS, Projection, Tables
from engine.projections.runner import CHUNK, derive_leads
from engine.store.bulk import listed
from engine.store.connection import Connection
from engine.store.in_force import book_at
from engine.verify.packed import differing
from engine.verify.scope import Difference, Scope

REBUILD = "run leadledger rebuild"
_FIRST, _LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max

Numbers = NDArray[np.int64]
Row = dict[str, Any]  # by column
Rows = Mapping[tuple[Any, ...], Row]  # by key


class Span(NamedTuple):
    """Numbers of leads, and a condition that holds of rows of theirs and of no others'."""

    leads: Numbers
    where: str
    values: tuple[Any, ...]


def check_models(scope: Scope, models: Connection) -> None:
    """Every row of every table of the generation that readers go through, and no others."""
    book = book_at(scope.connection, scope.upto)
    live = in_force(models, book, scope.facts.clock())
    if live is None:
        of_others = "of these rules and this version " if ready_generations(models) else ""
        scope.notes.append(f"no read models {of_others}are there: the next reading makes them")
    elif live.checkpoint > scope.upto:
        where = f"position {live.checkpoint:,}, beyond what was looked at"
        scope.notes.append(f"the read models stand at {where}")
    else:
        for span in _spans(scope):
            _check(scope, models, live, book, span)
            scope.advance(len(span.leads))


def _spans(scope: Scope) -> Iterator[Span]:
    if scope.lead is not None:
        own = np.array(scope.lead.identifiers, np.int64)
        yield Span(own, "lead IN (SELECT value FROM json_each(?))", (listed(own.tolist()),))
        return
    leads = scope.facts.lead_numbers()
    edges = [_FIRST, *leads[CHUNK::CHUNK].tolist(), _LAST]
    for place, (first, last) in enumerate(pairwise(edges)):
        some = leads[place * CHUNK : (place + 1) * CHUNK]
        yield Span(some, "lead >= ? AND lead < ?", (first, last))


def _check(scope: Scope, models: Connection, live: Generation, book: Book, span: Span) -> None:
    derived = [*_derived(scope, live, book, span.leads)]
    for projection in PROJECTIONS:
        stored = _stored(models, live, projection, span)
        frames = [tables[projection.name] for tables in derived]
        fresh = _keyed(projection, (row for frame in frames for row in frame.rows()))
        scope.checked["rows of read models"] += len(stored)
        for key in sorted(stored.keys() | fresh.keys()):
            if stored.get(key) != fresh.get(key):
                _tell(scope, live, projection, (stored.get(key), fresh.get(key)))


def _derived(scope: Scope, live: Generation, book: Book, leads: Numbers) -> Iterator[Tables]:
    """What a fresh fold gives; without leads of which the facts are so damaged that it breaks."""
    known_at = None if scope.facts.head() == live.checkpoint else live.checkpoint
    try:
        yield derive_leads(scope.facts, leads, book, live.settled_to, PROJECTIONS, known_at)
    except Exception as error:  # damage shows as errors of many kinds
        if len(leads) > 1:
            half = len(leads) // 2
            yield from _derived(scope, live, book, leads[:half])
            yield from _derived(scope, live, book, leads[half:])
            return
        what = f"the touchpoints of a lead cannot be folded ({type(error).__name__})"
        lead = scope.id_of(int(leads[0])) if len(leads) else None
        scope.tell(Difference("read models", what, lead, live.checkpoint))


def _stored(models: Connection, live: Generation, projection: Projection, span: Span) -> Rows:
    columns = ", ".join(projection.table.columns.keys())
    table = f"{projection.name}_{live.number}"
    found = models.execute(f"SELECT {columns} FROM {table} WHERE {span.where}", span.values)
    return _keyed(projection, found)


def _keyed(projection: Projection, rows: Iterable[Sequence[Any]]) -> Rows:
    columns = projection.table.columns.keys()
    keys = projection.table.primary_key.columns.keys()
    by_column = (dict(zip(columns, row, strict=True)) for row in rows)
    return {tuple(row[key] for key in keys): row for row in by_column}


def _tell(
    scope: Scope, live: Generation, projection: Projection, rows: tuple[Row | None, Row | None]
) -> None:
    stored, expected = rows
    number = (stored or expected or {})["lead"]
    what = f"a row of {projection.name} is not what its lead's touchpoints come to"
    if stored is None or expected is None:
        how = "missing" if stored is None else "there, though nothing comes to it"
        what = f"a row of {projection.name} is {how}"
    else:
        stored, expected = differing(stored, expected)
    lead = scope.id_of(number) or str(number)
    difference = Difference("read models", what, lead, live.checkpoint, stored, expected, REBUILD)
    scope.tell(difference)
