"""Announcing: what came about is told once, when its instant comes or when it becomes known.

The announcer stands at an instant and a position, and goes from one stand to the next: what leads
say at the next one and did not at the last is news, and what they no longer say was wrong. What is
told, and the stand, are kept in one transaction, so that it dies nowhere between them. It looks at
the facts alone: read models, and replays of them, tell nobody anything.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

from msgspec.structs import replace

from engine import metrics
from engine.announceable import DUE_BY
from engine.crash import reached
from engine.errors import AnnouncedAlready, UnknownRuleSet
from engine.progress import Progress, quiet
from engine.publishing import for_good
from engine.ruleset import RuleSet
from engine.store import announcements as ledger
from engine.store.announcements import Due, Stand
from engine.store.connection import Connection
from engine.store.facts import Facts
from engine.store.gaps import Reach
from engine.store.in_force import book_at, default_text
from engine.store.ledger import recorded_at
from engine.store.rulebook import (
    Publication,
    WrittenRules,
    keep_rules,
    rule_book,
    written_rules,
)
from engine.telling import Batch, Point, Teller

BATCH = 20_000  # positions of a step
DUE_AT_ONCE = 2_000  # leads that time alone changes in one, about


class Begun(NamedTuple):
    """Where announcing begins: of what came about before nothing is told."""

    stand: Stand
    stages: Counter[str]  # how many leads stand in each, as track.stage


class Told(NamedTuple):
    """What a step told, by kind, and where it led."""

    kinds: Counter[str]
    stand: Stand


class _Target(NamedTuple):
    """Where a step leads: on, over a publication of rules, or to where others come into force."""

    settled_to: int
    position: int
    way: Literal["on", "over", "era"] = "on"


class Announcer:
    """Goes on from where announcing stands, step by step."""

    def __init__(
        self,
        facts: Facts,
        soon_us: int | None = None,
        progress: Progress = quiet,
        batch: int = BATCH,
    ) -> None:
        """`soon_us` before its time is up, a clock is said to be due soon; None: never.

        `progress` is told leads while all of them are looked at; it may raise.
        """
        self._facts, self._batch = facts, batch
        self._teller = Teller(facts, soon_us, progress)
        self._made_with = f"{DUE_BY} {facts.too_common} {soon_us}"
        self._stand: Stand | None = None  # None: it is not known
        self.next_at: int | None = None  # when time alone may bring news; microseconds, UTC

    def begin(self, *, from_beginning: bool = False) -> Begun | None:
        """Let announcing begin at what is known now, or at nothing; None where it has begun.

        Raises:
            AnnouncedAlready: It is to begin with nothing known, and something is told.
        """
        with self._facts.snapshot() as connection:
            if from_beginning and (told := ledger.last_number(connection)):
                raise AnnouncedAlready(told)
            if ledger.stand(connection) is not None and not from_beginning:
                return None
        first, batch, stages = Stand(0, 0, self._made_with), Batch(), Counter[str]()
        if not from_beginning:
            first = Stand(self._facts.clock(), self._facts.reach(0).upto, self._made_with)
            with self._facts.snapshot() as connection:
                stages = self._teller.survey(batch, self._point(connection, first))
        with self._facts.transaction() as connection:
            ledger.begin(connection, first)
            ledger.replace_due(connection, None, _rows(batch))
        return Begun(first, stages)

    def load_code(self) -> None:
        """Look at no lead, so that whoever comes first waits for no compiled code to be loaded."""
        with self._facts.snapshot() as connection:
            self._teller.look_at_none(self._point(connection, Stand(0, 0, "")))

    def step(self) -> Told | None:
        """Look once, and tell at most what a batch of positions brings; None for nothing to do.

        Raises:
            AnnouncerOvertaken: Another process announces; nothing of this is told.
            StoreAway, StoreFull: Likewise.
        """
        stand, self._stand = self._stand or self._taken_up(), None
        now, reach = self._facts.clock(), self._facts.reach(stand.position, self._batch)
        if reach.upto == stand.position and (self.next_at is None or self.next_at > now):
            self._stand = stand
            return None
        batch = Batch()
        with self._facts.snapshot() as connection:
            target = self._target(connection, stand, reach, now)
            self._work_out(connection, batch, stand, target)
        reached("announcer.folded")
        after = Stand(target.settled_to, target.position, self._made_with)
        told = Told(self._keep(stand, after, batch), after)
        self._stand, self.next_at = after, self._due_after(after)
        return told

    def _taken_up(self) -> Stand:
        """Where announcing stands; what depends on settings that are others now is made anew."""
        self.begin()
        batch = Batch()
        with self._facts.snapshot() as connection:
            stand = ledger.stand(connection)
            assert stand is not None, "it has begun"
            after = stand._replace(made_with=self._made_with)
            if after != stand:
                point = self._point(connection, stand)
                self._teller.survey(batch, point, ledger.standing(connection))
        if after != stand:
            self._keep(stand, after, batch)
        self.next_at = self._due_after(after)
        return after

    def _point(self, connection: Connection, stand: Stand | _Target) -> Point:
        book = book_at(connection, stand.position)
        return Point(stand.settled_to, stand.position, book)

    def _due_after(self, stand: Stand) -> int | None:
        with self._facts.snapshot() as connection:
            due = ledger.nth_due(connection, 1)
            era = book_at(connection, stand.position).next_after(stand.settled_to)
        return min((at for at in (due, era) if at is not None), default=None)

    def _target(self, connection: Connection, stand: Stand, reach: Reach, now: int) -> _Target:
        """Where to go: not past what is in hand, and not ahead of what was known by then."""
        told = rule_book(connection, reach.upto)
        published = [one for one in told if one.position > stand.position]
        position, at = reach.upto, now
        if published:
            position, at = published[0].position - 1, published[0].published_at - 1
            if (position, max(at, stand.settled_to)) == (stand.position, stand.settled_to):
                return _Target(max(at + 1, stand.settled_to), _in_a_row(published), "over")
        elif position < (reach.open[0].first - 1 if reach.open else reach.head):
            at = recorded_at(connection, position) or now
        many = ledger.nth_due(connection, DUE_AT_ONCE)
        at = max(stand.settled_to, at if many is None else min(at, many))
        era = book_at(connection, stand.position).next_after(stand.settled_to)
        if era is None or era > at:
            return _Target(at, position)
        if (era - 1, position) == stand[:2]:
            return _Target(era, position, "era")
        return _Target(era - 1, position)

    def _work_out(
        self, connection: Connection, batch: Batch, stand: Stand, target: _Target
    ) -> None:
        point = self._point(connection, target)
        if target.way == "over":
            self._teller.survey(batch, point)
        elif target.way == "era":
            self._teller.era(batch, point)
        else:
            self._teller.step(connection, batch, self._point(connection, stand), point)

    def _keep(self, before: Stand, after: Stand, batch: Batch) -> Counter[str]:
        """Tell, and move on, in one transaction; how many were told, by kind."""
        with self._facts.transaction() as connection:
            if batch.of_all:
                connection.take_time()
            ledger.move(connection, before, after)
            number, now = ledger.last_number(connection), self._facts.clock()
            for rules in batch.rules.values():
                _keep_by_which(connection, rules)
            placed = [
                one._replace(told=replace(one.told, number=number + nth, announced_at=now))
                for nth, one in enumerate(batch.in_order(), 1)
            ]
            ledger.append(connection, placed)
            reached("announcer.told")
            ledger.place(connection, batch.moved)
            ledger.replace_due(connection, None if batch.of_all else batch.dues, _rows(batch))
            reached("announcer.moved")
        reached("announcer.kept")
        kinds = Counter(one.told.kind for one in placed)
        metrics.told(kinds)
        return kinds


def _in_a_row(published: Sequence[Publication]) -> int:
    """The last position of those published at once with the first, with nothing in between."""
    first = published[0]
    at_once = (
        one.position
        for nth, one in enumerate(published)
        if (one.position, one.published_at) == (first.position + nth, first.published_at)
    )
    return max(at_once)


def _rows(batch: Batch) -> list[Due]:
    return [one for one in batch.dues.values() if one is not None]


def _keep_by_which(connection: Connection, rules: RuleSet) -> None:
    """Keep by which rules something is told, even if they judge without having been published."""
    with suppress(UnknownRuleSet):
        written_rules(connection, rules.id)
        return
    text = for_good(default_text(), rules.id)
    keep_rules(connection, WrittenRules(rules.id, rules.name, text))
