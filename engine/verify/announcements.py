"""Whether what was told is what was known then, under the rules of then, and went out so."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
import numpy as np

from engine.announceable import Announceable, announceable
from engine.announcement import (
    CLOCK_DUE_SOON,
    CORRECTED,
    SEGMENTS,
    Announcement,
    TouchpointId,
    announcement_id,
    cause_text,
    decode,
    encode,
)
from engine.errors import Undecodable
from engine.folding import fold
from engine.instants import format_instant
from engine.store.in_force import book_at
from engine.verify.packed import differing
from engine.verify.scope import Difference, Scope

TOLD_AT_ONCE = 1_000
KEPT = "put back a backup: what was announced is written once and never changed"
_COLUMNS = (
    *("number", "id", "lead", "first_source", "first_event_id", "kind", "name", "at", "due"),
    *("cause", "position", "settled_to", "rules_id", "corrects", "announced_at"),
)
_NEXT = f"""
SELECT {", ".join(_COLUMNS)}, first_position, data FROM announcements
WHERE number > ? AND position <= ? ORDER BY number LIMIT ?
"""
_CORRECTED = "SELECT data FROM announcements WHERE id = ? AND number < ? AND kind <> ?"
_LATER = "SELECT count(*) FROM announcements WHERE corrects = ? AND number < ?"
_RIGHT = """
SELECT number FROM announcements AS told WHERE kind <> :corrected AND NOT EXISTS (
    SELECT 1 FROM announcements AS later WHERE later.corrects = told.id
)
"""
_STANDING = "SELECT number FROM standing"
_TAKEN = "SELECT name, number FROM sinks WHERE number > ? ORDER BY name"
_TOLD = "SELECT number FROM announcements"


class Row(NamedTuple):
    """A row of the announcements whose bytes and columns agree."""

    said: Announcement
    first_position: int


def check_announcements(scope: Scope) -> None:
    """Every announcement, those of one lead if it is one that is looked at."""
    last = 0
    for rows in _pages(scope):
        sound: list[Row] = []
        for columns, first_position, data in rows:
            number = columns["number"]
            if scope.lead is None and number != last + 1:
                _tell(
                    scope, columns, "an announcement before this one is missing", number, last + 1
                )
            last = number
            if scope.lead is None or scope.lead.goes_by(columns["lead"], first_position):
                sound += _sound(scope, columns, first_position, data)
        for (position, settled_to), alike in groupby(sound, key=_stand):
            _check_folded(scope, position, settled_to, [*alike])
    if scope.lead is None and scope.head:
        _check_taken(scope, last)
        _check_standing(scope)


def _check_taken(scope: Scope, last: int) -> None:
    """No sink took what is not there: the last announcements cannot be missed by a gap."""
    for sink, number in scope.connection.execute(_TAKEN, (last,)).fetchall():
        what = f"announcements that the sink {sink} took are missing"
        scope.tell(Difference("announcements", what, None, None, last, number, KEPT))


def _pages(scope: Scope) -> Iterator[list[tuple[dict[str, Any], int, Any]]]:
    after = 0
    while rows := scope.connection.execute(_NEXT, (after, scope.bound, TOLD_AT_ONCE)).fetchall():
        yield [(dict(zip(_COLUMNS, row, strict=False)), row[-2], row[-1]) for row in rows]
        after = rows[-1][0]


def _stand(row: Row) -> tuple[int, int]:
    return row.said.position, row.said.settled_to


def _sound(
    scope: Scope, columns: Mapping[str, Any], first_position: int, data: Any
) -> Iterator[Row]:
    """The row, if its bytes are those of its columns, and its id is made of them."""
    scope.checked["announcements"] += 1
    try:
        said = decode(bytes(data))
    except (Undecodable, TypeError) as error:
        _tell(scope, columns, f"the bytes of an announcement cannot be read: {error}")
        return
    told = _columns_of(said)
    if told != columns:
        stored, expected = differing(dict(columns), told)
        what = "the columns of an announcement are not what its bytes say"
        _tell(scope, columns, what, stored, expected)
        return
    if encode(said) != data:
        _tell(scope, columns, "an announcement is not in the one form that its bytes have")
    made = announcement_id(said.first, said.key, said.position, said.corrects)
    if made != said.id:
        what = "the id of an announcement is not made of what it says"
        _tell(scope, columns, what, said.id, made)
    yield Row(said, first_position)


def _columns_of(said: Announcement) -> dict[str, Any]:
    values = {name: getattr(said, name, None) for name in _COLUMNS}
    return values | {
        "first_source": said.first.source,
        "first_event_id": said.first.event_id,
        "cause": cause_text(said.cause),
        "rules_id": said.rules,
    }


def _check_folded(scope: Scope, position: int, settled_to: int, rows: Sequence[Row]) -> None:
    """What one look told: the leads folded anew, as of then, by what was known then."""
    if position > scope.upto:
        for row in rows:
            _tell_of(scope, row, "was told by what is not recorded", position, scope.upto)
        return
    rules = book_at(scope.connection, position).at(settled_to).id
    news = [row for row in rows if row.said.kind != CORRECTED]
    leads = scope.numbers_of([row.said.lead for row in news]).values()
    look = _Look(scope, leads, position, settled_to)
    for row in rows:
        if row.said.rules != rules:
            _tell_of(scope, row, "was made under rules not in force then", row.said.rules, rules)
        elif row.said.kind == CORRECTED:
            _check_correction(scope, row)
        else:
            _check_news(scope, row, look)


class _Look:
    """Some leads, by number, as known at a position and as of an instant."""

    def __init__(
        self, scope: Scope, leads: Collection[int], position: int, settled_to: int
    ) -> None:
        book = book_at(scope.connection, position)
        numbers = np.array(sorted({*leads}), np.int64)
        self.folded = fold(scope.facts.histories(numbers, position), book, settled_to)
        self.index = {lead: at for at, lead in enumerate(self.folded.histories.leads)}
        self._said: dict[int | None, Announceable] = {}

    def said(self, soon_us: int | None) -> Announceable:
        """What they say, where clocks are told so long before their time is up."""
        if soon_us not in self._said:
            self._said[soon_us] = announceable(self.folded, soon_us)
        return self._said[soon_us]


def _check_news(scope: Scope, row: Row, look: _Look) -> None:
    told, lead = row.said, look.index.get(row.said.lead)
    due = told.due if told.kind == CLOCK_DUE_SOON else None
    said = look.said(None if due is None else due - told.at)
    if lead is None or not said.exists(lead):
        _tell_of(scope, row, "is about a lead that there was not", told.lead, None)
        return
    first = int(look.folded.states["first"][lead])
    known = said.touchpoint(first), int(look.folded.histories.positions[first])
    if known != (told.first, row.first_position):
        what = "names another first touchpoint than the lead had"
        _tell_of(scope, row, what, *map(_named, ((told.first, row.first_position), known)))
        return
    at_once = told.kind not in SEGMENTS or told.at == told.settled_to
    if not (at_once and said.holds(lead, told.key)):
        what = "is not what the touchpoints known then come to"
        _tell_of(scope, row, what, format_instant(told.at), _expected(said, lead, told))
        return
    causes = [said.cause(lead, told.key, touched) for touched in (True, False)]
    if told.cause not in causes:
        stored, expected = msgspec.to_builtins(told.cause), msgspec.to_builtins(causes[0])
        _tell_of(scope, row, "names another cause than there was", stored, expected)
    if told.due != said.due(lead, told.key):
        _tell_of(scope, row, "names another due instant", told.due, said.due(lead, told.key))


def _check_correction(scope: Scope, row: Row) -> None:
    """It puts right, once, what was told before and, by what is known now, was not so."""
    told, before = row.said, (row.said.corrects, row.said.number)
    found = scope.connection.execute(_CORRECTED, (*before, CORRECTED)).fetchone()
    if found is None:
        _tell_of(scope, row, "corrects what was never announced before it", told.corrects, None)
        return
    if scope.connection.execute(_LATER, before).fetchone()[0]:
        _tell_of(scope, row, "corrects what was corrected before", told.corrects, None)
    try:
        wrong = decode(bytes(found[0]))
    except (Undecodable, TypeError):
        return  # is told of where it stands
    if (wrong.name, wrong.at) != (told.name, told.at):
        values = (f"{told.name} {told.at}", f"{wrong.name} {wrong.at}")
        _tell_of(scope, row, "does not say what it corrects", *values)
    elif _still_holds(scope, wrong, told.position):
        _tell_of(scope, row, "corrects what is right by all that was known", told.corrects, None)


def _still_holds(scope: Scope, wrong: Announcement, known_at: int) -> bool:
    """Whether, as known at a position, all whose touchpoints the lead's were say so as of then."""
    then = _Look(scope, scope.numbers_of([wrong.lead]).values(), wrong.position, wrong.settled_to)
    if wrong.lead not in then.index:
        return False
    at = then.index[wrong.lead]
    starts, positions = then.folded.histories.starts, then.folded.histories.positions
    own = positions[starts[at] : starts[at + 1]]
    now = _Look(scope, scope.leads_at(own.tolist(), known_at), known_at, wrong.settled_to)
    later = now.folded.histories
    owners = np.repeat(np.arange(len(later.leads)), np.diff(later.starts))
    heirs = np.unique(owners[np.isin(later.positions, own)]).tolist()
    said = now.said(None if wrong.due is None else wrong.due - wrong.at)
    return bool(heirs) and all(said.holds(heir, wrong.key) for heir in heirs)


def _check_standing(scope: Scope) -> None:
    """What nothing corrects stands, and nothing else does."""
    right = {*scope.connection.execute(_RIGHT, {"corrected": CORRECTED}).fetchall()}
    kept = {*scope.connection.execute(_STANDING).fetchall()}
    if right == kept:
        return
    told = {*scope.connection.execute(_TOLD).fetchall()}
    for one in sorted(right ^ kept):
        what = "does not stand, though nothing corrects it"
        if one in kept:
            what = f"stands, though it {'was corrected' if one in told else 'is gone'}"
        named, stands = f"announcement {one[0]:,} {what}", one in kept
        scope.tell(Difference("announcements", named, None, None, stands, not stands, KEPT))


def _expected(said: Announceable, lead: int, told: Announcement) -> Any:
    """When the lead came to what was told, by the fold; of a segment whether it is in it."""
    if told.kind in SEGMENTS:
        return f"{told.settled_to}: {said.holds(lead, (SEGMENTS[1], told.name, told.at))}"
    found = (at for kind, name, at in said.facts[lead] if (kind, name) == (told.kind, told.name))
    return [format_instant(at) for at in sorted(found)]


def _named(first: tuple[TouchpointId, int]) -> str:
    return f"{first[0].source} {first[0].event_id} at {first[1]:,}"


def _tell_of(scope: Scope, row: Row, what: str, stored: Any, expected: Any) -> None:
    told = row.said
    named = f"the announcement {told.number:,}, {told.kind} {told.name},"
    scope.tell(
        Difference(
            "announcements", f"{named} {what}", told.lead, told.position, stored, expected, KEPT
        )
    )


def _tell(
    scope: Scope, columns: Mapping[str, Any], what: str, stored: Any = None, expected: Any = None
) -> None:
    at = columns["lead"], columns["position"]
    scope.tell(Difference("announcements", what, *at, stored, expected, KEPT))
