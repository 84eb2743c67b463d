"""What leads are compared by to find duplicates: digests on their touchpoints, as of now."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.codec import decode
from engine.history import Strings
from engine.identity import STRONG, classes_of
from engine.progress import Progress, quiet
from engine.store.bulk import listed
from engine.store.connection import Connection
from engine.store.links import all_links, last_words
from engine.store.people import People
from engine.store.reading import histories, lead_numbers
from engine.store.recorder import last_position
from engine.suggestions import FORMS, Columns

Numbers = NDArray[np.int64]

LEADS_AT_ONCE, EVENTS_AT_ONCE = 10_000, 5_000
_DIGITS = 16  # of a digest: its first 64 bits
_STATES = """
SELECT state FROM stored_events
WHERE stored_events.rowid IN (SELECT value FROM json_each(?)) ORDER BY stored_events.rowid
"""


def similar(
    connection: Connection, strings: Strings, too_common: int, progress: Progress = quiet
) -> Columns:
    """The digests of all leads but anonymous ones, which no link could join.

    They are read some leads at a time, and kept once for each lead: memory goes with that.
    A touchpoint that a cookie alone names counts for the lead that owned the cookie then.

    Args:
        progress: Told how many leads are read, and how many there are.
    """
    leads = lead_numbers(connection)
    leads = leads[classes_of(leads) == STRONG]
    parts = [_columns(set())]
    for start in range(0, len(leads), LEADS_AT_ONCE):
        progress(start, len(leads))
        some = leads[start : start + LEADS_AT_ONCE]
        found = histories(connection, strings, too_common, some, None)
        owners = np.repeat(found.numbers, np.diff(found.starts))
        parts.append(_columns(set(_digests(connection, found.positions, owners))))
    progress(len(leads), len(leads))
    return Columns(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _digests(
    connection: Connection, positions: Numbers, owners: Numbers
) -> Iterator[tuple[int, str, str]]:
    """Lead, form and digest, of the touchpoints at some positions."""
    order = np.argsort(positions)
    for start in range(0, len(order), EVENTS_AT_ONCE):
        page = order[start : start + EVENTS_AT_ONCE]
        states = connection.execute(_STATES, (listed(positions[page].tolist()),))
        for owner, (state,) in zip(owners[page].tolist(), states, strict=True):
            for one in decode(state).similar:
                yield owner, one.form, one.digest[:_DIGITS]


def _columns(rows: set[tuple[int, str, str]]) -> Columns:
    known = [row for row in rows if row[1] in FORMS]
    digests = bytes.fromhex("".join(digest for _, _, digest in known))
    return Columns(
        np.array([FORMS.index(form) for _, form, _ in known], np.int8),
        np.frombuffer(digests, ">u8").astype(np.uint64),
        np.array([lead for lead, _, _ in known], np.int64),
    )


def unlinked(connection: Connection, too_common: int) -> Numbers:
    """Pairs of leads, a row each, of which the last word is that they are two."""
    head = last_position(connection)
    said = last_words(all_links(connection, head))
    apart = [pair for pair, link in said.items() if not link.linked]
    people = People(connection, head, too_common)
    lead_of = people.leads(number for pair in apart for number in pair)
    leads = {(lead_of[one], lead_of[other]) for one, other in apart}
    return np.array(sorted(leads), np.int64).reshape(-1, 2)
