"""Announcers over random people and rules, and what the naive model says should stand."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from engine import lifecycle
from engine.announcement import Announcement
from engine.announcements import Announcer
from engine.edge import Edge, Row
from engine.privacy import WorkspaceKey
from engine.rulefile import parse
from engine.store import announcements as ledger
from engine.store.facts import Facts
from engine.store.rulebook import WrittenRules
from tests import storeless
from tests.naive.book import Book, Entry
from tests.naive.fold import fold
from tests.naive.model import persons
from tests.naive.random_histories import HOUR, Delivery
from tests.naive.random_people import FEW
from tests.naive.states import belongs
from tests.naive.touchpoints import Edge as NaiveEdge
from tests.naive.touchpoints import Touch
from tests.naive.units import DAY, instant_us
from tests.storing import Clock

WORKSPACE = WorkspaceKey(bytes(32))
WAITS = [0, 1, HOUR, 6 * HOUR, 6 * HOUR, DAY]  # between two recordings, in microseconds
LONG = [*WAITS, 3 * DAY, 40 * DAY]
SOON = 3 * HOUR  # before a clock's time is up
LASTING = ("stage_entered", "clock_breached")

Id = tuple[str, str]
Key = tuple[str, str, int]  # kind, name, at


class Died(Exception):
    """What a test lets happen where a process might be killed."""


@dataclass
class Said:
    """What a lead comes to, by the naive model."""

    touches: list[Id]
    lasting: set[Key]
    segments: set[str]
    soon: set[Key]  # clocks that are due soon


@dataclass
class Model:
    """What was recorded, by position, as the naive model keeps it."""

    touches: list[tuple[int, Touch]] = field(default_factory=list)
    entries: list[tuple[int, Entry]] = field(default_factory=list)
    head: int = 0

    def __post_init__(self) -> None:
        self._edge = NaiveEdge(bytes(range(32)))
        self._answers: dict[tuple[int, int], list[Said]] = {}

    def tell(self, told: Delivery) -> None:
        """One more delivery."""
        if self._edge.deliver(told) is None:
            self.head += 1
            self.touches.append((self.head, self._edge.accepted[-1]))

    def publish(self, entry: Entry) -> None:
        """One more entry of the rule book."""
        self.head += 1
        self.entries.append((self.head, entry))

    def said(self, at: int, known_at: int) -> list[Said]:
        """What every lead that exists says as of an instant, known at a position."""
        if (at, known_at) not in self._answers:
            self._answers[at, known_at] = [*self._said(at, known_at)]
        return self._answers[at, known_at]

    def _said(self, at: int, known_at: int) -> Iterator[Said]:
        known = [touch for position, touch in self.touches if position <= known_at]
        entries = [entry for position, entry in self.entries if position <= known_at]
        if not known:
            return
        book = Book.of(entries)
        for touches in persons(known, FEW):
            if touches[0].at > at:
                continue
            lead = fold(touches, book, at, Counter())
            entered = {("stage_entered", f"{v.track}.{v.stage}", v.entered) for v in lead.visits}
            late = {
                ("clock_breached", run.clock, run.due)
                for run in lead.runs
                if run.due < at and (run.ended is None or run.ended > run.due)
            }
            inside = {
                segment["name"]
                for segment in book.in_force(at).segments
                if belongs(lead, segment["where"], at)
            }
            soon = {
                ("clock_due_soon", run.clock, max(run.started, run.due - SOON))
                for run in lead.runs
                if run.ended is None and run.due - SOON <= at <= run.due
            }
            yield Said([touch.id for touch in touches], entered | late, inside, soon)

    def of(self, who: Id, at: int, known_at: int) -> Said | None:
        """What the lead says that a touchpoint is of."""
        return next((one for one in self.said(at, known_at) if who in one.touches), None)


class World:
    """A store that grows by and by, an announcer over it, and the model beside."""

    def __init__(self, facts: Facts, random: Random, start: int) -> None:
        self.facts, self.random, self.model = facts, random, Model()
        facts.too_common = FEW
        facts.clock = self.clock = Clock(start)
        self.edge = Edge(storeless.KEY, facts.keyring(WORKSPACE))
        self.announcer = self.fresh()
        self.deaths = 0
        self.over = 0, 0  # up to which instant, and number, it had told when rules changed last

    def fresh(self) -> Announcer:
        """Another process, so to speak."""
        return Announcer(self.facts, SOON, batch=self.random.choice([1, 2, 5, 100]))

    def publish(self, entry: Entry) -> None:
        """One more entry of the rule book."""
        toml, since = entry
        rules = parse(toml)
        self.facts.publish(
            WrittenRules(rules.id, rules.name, toml),
            None if since is None else instant_us(since),
        )
        self.model.publish(entry)

    def record(self, *told: Delivery) -> None:
        """One batch, recorded at once."""
        rows = [Row(origin="test", line=i, data=b"", value=one) for i, one in enumerate(told)]
        arrivals = self.edge.accept(rows, storeless.RECEIVED_AT)
        lifecycle.record(self.facts, arrivals, workspace_key=WORKSPACE)
        for one in told:
            self.model.tell(one)
        assert self.facts.head() == self.model.head

    def announce(self) -> Counter[str]:
        """Step until there is nothing to do; whoever dies is followed by another."""
        kinds: Counter[str] = Counter()
        while True:
            before = self.stand()[1] if self.model.entries else 0
            try:
                told = self.announcer.step()
            except Died:
                self.deaths += 1
                self.announcer = self.fresh()
                continue
            if told is None:
                return kinds
            kinds += told.kinds
            if any(before < at <= told.stand.position for at, _ in self.model.entries):
                assert not told.kinds, "rules changed, and that is no news"
                self.over = told.stand.settled_to, len(self.told())

    def live(self, history: list[Delivery], book: Sequence[Entry] = ()) -> None:
        """Let a history come in, rules follow one another, time go on, and announce in between."""
        coming, sometimes = [*book], 40  # percent
        while history:
            if coming and self.random.randrange(100) < 15:
                self.publish(coming.pop(0))
            size = self.random.choice([1, 1, 2, 5])
            self.record(*history[:size])
            del history[:size]
            self.clock.now += self.random.choice(WAITS)
            if self.random.randrange(100) < sometimes:
                self.announce()
        for _ in range(3):
            self.clock.now += self.random.choice(LONG)
            self.announce()

    # What the ledger says

    def told(self) -> list[Announcement]:
        """All of it."""
        with self.facts.snapshot() as connection:
            return [one for one, _ in ledger.following(connection, 0, 1 << 30)]

    def stand(self) -> tuple[int, int]:
        with self.facts.snapshot() as connection:
            stand = ledger.stand(connection)
        assert stand is not None
        return stand.settled_to, stand.position

    def standing(self) -> list[Announcement]:
        """What no correction names, in the order of telling."""
        told = self.told()
        wrong = {one.corrects for one in told}
        return [one for one in told if one.corrects is None and one.id not in wrong]

    def who(self) -> Mapping[str, Id]:
        """For each announcement that stands, by id, a touchpoint of the lead that is meant."""
        ids = dict(self.model.touches)
        with self.facts.snapshot() as connection:
            return {one.id: ids[one.anchor].id for one in ledger.standing(connection)}


def key_of(told: Announcement) -> Key:
    return told.kind, told.name, told.at


def check_what_stands(world: World, began: Mapping[Id, set[Key]] | None = None) -> None:
    """What is lasting and stands is what the model says, lead by lead.

    Of what rules came to judge otherwise nothing is told, and of what was so when it `began`,
    by touchpoint.
    """
    at, known_at = world.stand()
    instant, number = world.over
    who, standing = world.who(), world.standing()
    assert who.keys() == {one.id for one in standing}
    told = [one for one in standing if one.kind in LASTING]
    found = {(lead_of(world, who[one.id]), key_of(one)) for one in told}
    later = {(lead_of(world, who[one.id]), key_of(one)) for one in told if one.number > number}
    said = {one.touches[0]: one for one in world.model.said(at, known_at)}
    expected = {(lead, key) for lead, one in said.items() for key in one.lasting}
    assert later <= expected
    silent = {
        (lead, key)
        for lead, key in expected - found
        if key[2] <= instant or any(key in (began or {}).get(one, ()) for one in said[lead].touches)
    }
    assert expected - found == silent


def what_is_so(world: World) -> dict[Id, set[Key]]:
    """What lasts of each lead where announcing stands, by touchpoint."""
    said = world.model.said(*world.stand())
    return {touch: one.lasting for one in said for touch in one.touches}


def lead_of(world: World, who: Id) -> Id | None:
    """The first touchpoint of the lead that a touchpoint is of by now."""
    at, known_at = world.stand()
    said = world.model.of(who, at, known_at)
    return said.touches[0] if said else None


def check_segments(world: World) -> int:
    """What was told last of a lead and a segment is so; how many there are."""
    at, known_at = world.stand()
    who = world.who()
    last: dict[tuple[Id | None, str], bool] = {}
    for one in world.standing():
        if one.kind in ("segment_joined", "segment_left"):
            last[lead_of(world, who[one.id]), one.name] = one.kind == "segment_joined"
    for (first, name), inside in last.items():
        said = world.model.of(first, at, known_at) if first else None
        assert said is not None
        assert (name in said.segments) == inside, (first, name)
    return len(last)


def check_each(world: World) -> int:
    """Each announcement was so, as of when and as known where it was told; how many there are."""
    by_id = {one.id: one for one in world.told()}
    for one in by_id.values():
        if one.kind != "corrected":
            assert holds(world, one, one.settled_to, one.position), one
            continue
        wrong = by_id[one.corrects or ""]
        at = one.settled_to if wrong.kind in LASTING else wrong.settled_to
        assert wrong.position < one.position
        assert not holds(world, wrong, at, one.position), one
    return len(by_id)


def holds(world: World, told: Announcement, at: int, known_at: int) -> bool:
    """Whether the model says so of the lead that the first touchpoint is of."""
    said = world.model.of((told.first.source, told.first.event_id), at, known_at)
    if said is None:
        return False
    if told.kind.startswith("segment"):
        return (told.name in said.segments) == (told.kind == "segment_joined")
    return key_of(told) in said.lasting | said.soon
