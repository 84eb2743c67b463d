"""Deliveries for the tests of the store, and what a plain list makes of them."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
import pytest
from eventsourcing.domain import CanMutateProtocol
from psycopg import sql

from engine.aggregates.lead import Lead
from engine.codec import encode
from engine.history import Histories
from engine.lifecycle import Recorded, record
from engine.privacy import WorkspaceKey
from engine.store.facts import Facts
from engine.store.mapper import LeadMapper
from engine.touchpoint import NEVER_FOLDED, Arrival, Encoded, Identifier, Touchpoint

WORKSPACE_KEY = WorkspaceKey(bytes(range(32)))
NOW = 1_772_409_600_000_000  # 2026-03-02T00:00:00Z


def seeds_over_each(sqlite: int, postgresql: int) -> Any:
    """Runs a test that asks for `facts_url` with so many seeds over each kind of database."""
    cases: list[Any] = [("sqlite", seed) for seed in range(sqlite)]
    cases += [
        pytest.param("postgresql", seed, marks=pytest.mark.services) for seed in range(postgresql)
    ]
    return pytest.mark.parametrize(("facts_url", "seed"), cases, indirect=["facts_url"])


def empty_tables(url: str, schema: str = "facts") -> None:
    """Delete every row of a PostgreSQL schema, but for its version; numbers begin at 1 again."""
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> %s"
    others = "DROP TABLE IF EXISTS facts.notification_tracking"  # the library's
    sequences = "SELECT setval(%s || '.' || sequencename, 1, false) FROM pg_sequences"
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")  # in any order
        connection.execute(others)
        for (name,) in connection.execute(tables, (schema, "alembic_version")).fetchall():
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(schema, name)))
        connection.execute(f"{sequences} WHERE schemaname = %s", (schema, schema))


def keep(facts, *arrivals, **more):
    """Record arrivals under the tests' workspace key."""
    return record(facts, arrivals, workspace_key=WORKSPACE_KEY, **more)


def counted(facts):
    """What came of the source "test": received, recorded, duplicates, set aside."""
    intake = facts.intake()["test"]
    return intake.received, intake.recorded, intake.duplicates, intake.set_aside


def check_stock_application(application, kept):
    """The library's own application reads what was recorded: the first and third are Ann's."""
    assert isinstance(application.mapper, LeadMapper)
    (ann,) = who("email:ann")
    lead = application.repository.get(UUID(ann.digest[:32]))
    assert isinstance(lead, Lead)
    assert lead.version == 2
    assert application.repository.get(lead.id, version=1).version == 1
    log = application.notification_log.select(start=1, limit=10)
    assert [notification.id for notification in log] == [1, 2, 3]
    events = [application.mapper.to_domain_event(notification) for notification in log]
    assert all(isinstance(event, CanMutateProtocol) for event in events)
    assert [events[0].data, events[2].data] == kept


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def who(*names: str) -> tuple[Identifier, ...]:
    """Identifiers by a name like email:ann."""
    return tuple(Identifier(name.split(":")[0], digest(name)) for name in names)


def touch(event_id: str, *names: str, source: str = "web", **fields: Any) -> Touchpoint:
    """A touchpoint; what it says besides its id makes up its content."""
    given: dict[str, Any] = {"type": "page_viewed", "occurred_at": 0, **fields}
    says = digest(repr((names, sorted(given.items()))))[:32]
    who_it_is = who(*(names or ("email:ann",)))
    if given["type"] in ("touchpoint_retracted", "ad_spend_reported"):
        who_it_is = who(*names)
    return Touchpoint(
        source=source,
        event_id=event_id,
        received_at=NOW,
        content=says,
        identifiers=who_it_is,
        **given,
    )


def retraction(event_id: str, of: str, source: str = "web") -> Touchpoint:
    """A touchpoint that takes back another one."""
    attributes = {"source": source, "event_id": of}
    return touch(event_id, type="touchpoint_retracted", attributes=attributes)


def arrival(touchpoint: Touchpoint, origin: str = "test", line: int = 1) -> Arrival:
    encoded = Encoded(touchpoint, encode(touchpoint))
    return Arrival(origin=origin, line=line, data=b"{}", encoded=encoded)


def refused(data: bytes, reason: str = "undecodable", line: int = 1, **more: Any) -> Arrival:
    return Arrival(origin="test", line=line, data=data, reason=reason, **more)


def store(facts: Facts, *touchpoints: Touchpoint) -> Recorded:
    """Record touchpoints in one batch."""
    arrivals = [arrival(one, line=line) for line, one in enumerate(touchpoints, 1)]
    return record(facts, arrivals, workspace_key=WORKSPACE_KEY)


def told(histories: Histories) -> dict[str, list[tuple[int, str, str]]]:
    """By lead: position, source and event id of its touchpoints, in their order."""
    texts = histories.strings.texts(histories.touches["source"].tolist())
    rows = [
        (position, texts[index], histories.event_id(index))
        for index, position in enumerate(histories.positions.tolist())
    ]
    starts = histories.starts.tolist()
    return {
        lead: rows[starts[index] : starts[index + 1]] for index, lead in enumerate(histories.leads)
    }


@dataclass
class Ledger:
    """The store of the semantics: a list. Position n is its n-th entry."""

    kept: list[Touchpoint] = field(default_factory=list)

    def take(self, touchpoint: Touchpoint) -> str:
        """What becomes of a delivery."""
        for known in self.kept:
            if (known.source, known.event_id) == (touchpoint.source, touchpoint.event_id):
                return "duplicate" if known.content == touchpoint.content else "id_reused"
        self.kept.append(touchpoint)
        return "recorded"

    def histories(self, known_at: int) -> dict[str, list[tuple[int, str, str]]]:
        """What `told` tells of the facts known at a position."""
        known = list(enumerate(self.kept[:known_at], 1))
        void = {
            (one.attributes["source"], one.attributes["event_id"])
            for _, one in known
            if one.type == "touchpoint_retracted"
        }
        leads: dict[str, list[Any]] = {}
        for position, one in known:
            if one.type in NEVER_FOLDED:
                continue
            rows = leads.setdefault(one.stream.digest[:32], [])
            if (one.source, one.event_id) not in void:
                rows.append((_happening(one), (position, one.source, one.event_id)))
        return {lead: [row for _, row in sorted(rows)] for lead, rows in leads.items() if rows}

    def touched(self, after: int, upto: int) -> set[str]:
        """The leads that gained or lost a touchpoint in between, and those it happened to twice."""
        before, then = self.histories(after), self.histories(upto)
        return {lead for lead in before | then if before.get(lead) != then.get(lead)}


def _happening(touchpoint: Touchpoint) -> tuple[int, int, bytes, bytes]:
    strings = touchpoint.source.encode(), touchpoint.event_id.encode()
    return touchpoint.occurred_at, touchpoint.sequence, *strings
