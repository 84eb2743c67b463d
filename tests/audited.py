"""Stores for the tests of audits: touchpoints told to a store, with rules and read models."""

import sqlite3
from contextlib import closing

from msgspec import structs

from engine import announcement
from engine.announcements import Announcer
from engine.edge import Edge, Row
from engine.progress import quiet
from engine.projections.database import Models
from engine.projections.runner import bring_up_to_date, rebuild
from engine.rulefile import parse
from engine.store.announcements import Placed, append
from engine.store.facts import Facts, models_of
from engine.store.rulebook import WrittenRules
from engine.verify.contents import ContentChecks
from engine.verify.events import check_events
from engine.verify.rows import RowChecks
from engine.verify.scope import Keys, Scope
from engine.verify.verify import Asked, verify
from tests.naive.random_books import random_book
from tests.naive.random_people import FEW, random_people
from tests.read_side import DAY, HOUR, RULES
from tests.storeless import KEY, RECEIVED_AT
from tests.storing import WORKSPACE_KEY, keep

KEYS = Keys(KEY, WORKSPACE_KEY)


def lead(name):
    """The id of the lead that goes by an identifier, such as email:an@x.vn."""
    kind, value = name.split(":")
    return KEY.digest(kind, "", value)[:32]


def said(event_id, kind, *names, hour=0, source="web", **more):
    """A delivery of the first of March."""
    who = [dict(zip(("kind", "value"), name.split(":"), strict=True)) for name in names]
    at = f"2026-03-01T{hour:02}:00:00Z"
    told = {"source": source, "event_id": event_id, "type": kind, "occurred_at": at}
    return {**told, "identifiers": who, **more}


def retracting(event_id, of, source="web"):
    """A delivery that takes another one back."""
    named = {"source": source, "event_id": of}
    return said(event_id, "touchpoint_retracted", source=source, attributes=named)


class Audited:
    """Facts, read models and announcements, and what an audit says of them."""

    def __init__(self, url, clock, too_common=FEW):
        if str(url).startswith("postgresql"):
            Models.discard(url)
        self.clock = clock
        self.facts = Facts.open(url, clock=clock)
        self.facts.too_common = too_common
        self.models = Models.open(models_of(url))
        self.announcer = Announcer(self.facts, soon_us=DAY)
        self.edge = Edge(KEY, self.facts.keyring(WORKSPACE_KEY))

    def tell(self, *deliveries):
        """Record deliveries in one batch; an hour goes by."""
        rows = [
            Row(origin="test", line=n, data=b"{}", value=one) for n, one in enumerate(deliveries)
        ]
        keep(self.facts, *self.edge.accept(rows, RECEIVED_AT - 1))
        self.clock.now += HOUR

    def publish(self, toml, since=None):
        """Put rules in the book; an hour goes by."""
        rules = parse(toml)
        self.facts.publish(WrittenRules(rules.id, rules.name, toml), since)
        self.clock.now += HOUR

    def keep_up(self):
        """Derive what is due."""
        return bring_up_to_date(self.facts, self.models, self.clock.now)

    def rebuild(self):
        """Derive all anew."""
        rebuild(self.facts, self.models, self.clock.now)

    def announce(self):
        """Tell what there is to tell."""
        while self.announcer.step():
            pass

    def live_through(self, random, size=60):
        """Random people, in batches, and rule sets published among them."""
        book = random_book(random)
        history = random_people(random, book[0][0], size)
        while history or book:
            if book and random.random() < 0.3:
                self.publish(*book.pop(0))
            else:
                count = random.randrange(1, 12)
                self.tell(*history[:count])
                history = history[count:]
            self.clock.now += random.choice([0, HOUR, 30 * HOUR])
            random.choice([self.keep_up, self.announce, lambda: None])()
        self.announce()
        self.keep_up()

    def verify(self, **asked):
        """What the audit says of everybody, or of a lead by its id."""
        if "lead" in asked:
            (asked["lead"],) = self.facts.leads_beginning(asked["lead"]).tolist()
        return verify(self.facts, self.models, Asked(**{"keys": KEYS, **asked}))

    def found(self, **asked):
        """Where differences are: check, lead and position."""
        return {(one.check, one.lead, one.position) for one in self.verify(**asked).differences}

    def found_in_events(self, name):
        """Where differences are in the events of a lead, and in what stands beside them."""
        (number,) = self.facts.leads_beginning(lead(name)).tolist()
        with self.facts.snapshot() as connection:
            scope = Scope(self.facts, connection, self.facts.head(), KEYS, quiet)
            scope.narrow(number)
            check_events(scope, [RowChecks(scope).check, ContentChecks(scope, KEYS).check])
        return {(one.lead, one.position) for one in scope.differences}

    def change(self, statement, *values):
        """Damage the facts."""
        with self.facts.transaction() as connection:
            assert connection.execute(statement, values).rowcount != 0

    def change_models(self, statement, *values):
        """Damage the read models; {} stands for the generation."""
        with self.models.writing() as connection:
            (number,) = connection.execute("SELECT max(number) FROM generations").fetchone()
            assert connection.execute(statement.format(number), values).rowcount != 0

    def event(self, position):
        """The row of an event, after its position."""
        with self.facts.snapshot() as connection:
            return connection.execute(
                "SELECT originator_id, originator_version, topic, state FROM stored_events "
                "WHERE stored_events.rowid = ?",
                (position,),
            ).fetchone()

    def put(self, position, *row):
        """Plant an event."""
        with self.facts.transaction() as connection:
            columns = ("rowid", "originator_id", "originator_version", "topic", "state")
            connection.add_rows("stored_events", columns, [(position, *row)])

    def rewrite_announcement(self, number, **fields):
        """Forge an announcement as if it had been told so: columns, id and bytes agree."""
        with self.facts.transaction() as connection:
            row = connection.execute(
                "SELECT data, first_position FROM announcements WHERE number = ?", (number,)
            ).fetchone()
            told = structs.replace(announcement.decode(bytes(row[0])), **fields)
            key = told.key if told.corrects is None else ("corrected", told.name, told.at)
            id_ = announcement.announcement_id(told.first, key, told.position, told.corrects)
            connection.execute("DELETE FROM standing WHERE number = ?", (number,))
            connection.execute("DELETE FROM announcements WHERE number = ?", (number,))
            placed = Placed(structs.replace(told, id=id_), row[1], 10)
            append(connection, [placed])

    def dump(self):
        """All that is in the two files."""
        found = []
        for path in (self.facts.path, models_of(self.facts.path)):
            with closing(sqlite3.connect(path)) as connection:
                found.append([*connection.iterdump()])
        return found

    def close(self):
        self.models.close()
        self.facts.close()


AN, BINH, U_1 = "email:an@x.vn", "email:binh@x.vn", "user_id:u-1"
PHONE = "phone:+84901234567"


def little_story(audited):
    """Two leads, rules at position 1, an event e-N at each N from 2 to 9, and one set aside."""
    audited.publish(RULES)
    audited.announce()
    audited.tell(
        said("e-2", "page_viewed", AN, "anonymous_id:pc", hour=1, personal={"name": "An"}),
        said("e-3", "price_asked", AN, hour=2),
        said("e-4", "form_submitted", AN, U_1, hour=3),
    )
    audited.announce()
    audited.tell(
        said("e-5", "page_viewed", BINH, hour=4),
        said("e-6", "identity_linked", AN, PHONE, hour=5),
        retracting("e-7", "e-3"),
    )
    audited.announce()
    audited.tell(
        said("e-8", "price_asked", BINH, hour=6, amount={"minor": 5, "currency": "VND"}),
        said("e-9", "page_viewed", PHONE, hour=7),
        said("e-10", "no_such_type", AN),
    )
    audited.announce()
    audited.keep_up()
