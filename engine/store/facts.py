"""The facts: everything that was recorded, in one database, and the one door to it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnknownStore
from engine.history import Histories
from engine.identity import NO_ONE, classes_of
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.progress import Progress, quiet
from engine.settings import DEFAULT_TOO_COMMON, Settings, database_path
from engine.store import aside, ledger, reading, rulebook, sqlite
from engine.store.append import Memory
from engine.store.aside import Aside
from engine.store.belonging import leads_of, touched, touchpoint_count
from engine.store.bulk import without_collecting
from engine.store.connection import Connection, Database
from engine.store.dictionary import Dictionary, StoredStrings
from engine.store.evidence import Pairs
from engine.store.gaps import Gaps, Reach
from engine.store.ids import Ids
from engine.store.keys import StoredKeys, check_marks
from engine.store.ledger import Access, Intake
from engine.store.reading import StoredTouchpoint
from engine.store.rebuild import rebuild_evidence
from engine.store.recorder import last_position
from engine.store.rulebook import Publication, WrittenRules
from engine.store.schema import FACTS
from engine.store.similar import similar, unlinked
from engine.suggestions import Columns

Clock = Callable[[], int]  # microseconds, UTC


def system_clock() -> int:
    """Now, in microseconds, UTC."""
    return time.time_ns() // 1000


class Facts:
    """The facts of one workspace; safe to share among threads.

    `known_at` is a position everywhere; None means all that is recorded.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self.clock = clock
        self.too_common = DEFAULT_TOO_COMMON
        self.memory = Memory(Dictionary(), Ids(), Pairs())
        self.strings = StoredStrings(database)
        self._gaps = Gaps(database)

    @classmethod
    def open(cls, url: str | Path, *, create: bool = True, clock: Clock = system_clock) -> Self:
        """Open the database at a URL (sqlite:///FILE, postgresql://HOST/DATABASE) or path.

        Raises:
            UnknownStore: The URL is of another kind.
            StoreMissing: There is none, and `create` is false.
            NotAStore, StoreVersion, StoreCorrupt, StoreReadOnly, StoreAway: See there.
        """
        return cls(_database(str(url), create=create), clock)

    @classmethod
    def of(cls, settings: Settings, *, create: bool = True) -> Self:
        """Open the facts that settings name, and make sure that the keys there are theirs.

        Raises:
            OtherKey, StoreError: See `check_keys` and `open`.
        """
        facts = cls.open(settings.database_url, create=create)
        facts.too_common = settings.too_common
        try:
            facts.check_keys(
                IdentifierKey(settings.identifier_key), WorkspaceKey(settings.workspace_key)
            )
        except BaseException:
            facts.close()
            raise
        return facts

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """What the database is called in messages; no secret is in it."""
        return self._database.name

    @property
    def is_file(self) -> bool:
        """Whether the facts lie in a file of this machine, not on a server."""
        return isinstance(self._database, sqlite.Database)

    @property
    def path(self) -> Path:
        """The file that the facts lie in, where they lie in one."""
        assert isinstance(self._database, sqlite.Database), "a server, and no file"
        return self._database.path

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Write: all or nothing, one at a time among all processes."""
        try:
            with self._database.transaction() as connection:
                self.memory.dictionary.bind(connection)
                yield connection
        except BaseException:
            self.memory.forget()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Read: all reads of this thread see the facts as they were at the first."""
        with self._database.snapshot() as connection:
            yield connection

    def head(self) -> int:
        """The position of the newest event; 0 where there is none."""
        with self.snapshot() as connection:
            return last_position(connection)

    def reach(self, after: int, most: int | None = None) -> Reach:
        """How far events are complete after a position, at most so many of them; no snapshot."""
        return self._gaps.reach(after, most)

    def recordings(self, after: int, upto: int) -> list[tuple[int, int]]:
        """When positions in (after, upto] were recorded, and how many at once."""
        with self.snapshot() as connection:
            return ledger.recordings(connection, after, upto)

    def recorded_upto(self, instant: int) -> int:
        """The last position recorded at or before an instant; 0 where there is none."""
        with self.snapshot() as connection:
            return ledger.recorded_upto(connection, instant)

    def lead_numbers(self) -> NDArray[np.int64]:
        """The numbers that leads may go by, ascending; they last as long as the facts."""
        with self.snapshot() as connection:
            return reading.lead_numbers(connection)

    def leading(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of some numbers that leads may go by; less is to be read for fewer."""
        with self.snapshot() as connection:
            return reading.leading(connection, numbers)

    def touched_leads(self, after: int, upto: int) -> NDArray[np.int64]:
        """The leads that gained or lost touchpoints at positions in (after, upto], ascending.

        Those that there were before and those that there are now.
        """
        with self.snapshot() as connection, without_collecting():
            return touched(connection, after, upto, self.strings, self.too_common)

    def histories(
        self, leads: NDArray[np.int64] | None = None, known_at: int | None = None
    ) -> Histories:
        """What counts of these leads, ascending by number, or of all; for many, ask in chunks."""
        with self.snapshot() as connection:
            return reading.histories(connection, self.strings, self.too_common, leads, known_at)

    def texts_after(self, last: int) -> list[tuple[int, str]]:
        """The strings of the dictionary with ids above one, by id, each with its id."""
        with self.snapshot() as connection:
            return reading.texts_after(connection, last)

    def anchor(self, position: int) -> str:
        """What the event at a position, and how leads are told apart, is known by; empty at 0."""
        with self.snapshot() as connection:
            return reading.anchor(connection, position, self.too_common)

    def lead_ids(self, leads: NDArray[np.int64]) -> list[str]:
        """The ids of leads, in their order."""
        with self.snapshot() as connection:
            return reading.lead_ids(connection, leads)

    def leads_beginning(self, text: str, known_at: int | None = None) -> NDArray[np.int64]:
        """The leads that identifiers are of whose ids begin with some hex digits, ascending."""
        with self.snapshot() as connection:
            numbers = reading.identifiers_beginning(connection, text)
            return leads_of(connection, numbers, self.strings, self.too_common, known_at)

    def identifiers_beginning(self, text: str) -> NDArray[np.int64]:
        """The identifiers whose ids begin with some hex digits, ascending by number."""
        with self.snapshot() as connection:
            numbers = reading.identifiers_beginning(connection, text)
            named: NDArray[np.int64] = numbers[classes_of(numbers) != NO_ONE]
            return named

    def rebuild_evidence(self, progress: Progress = quiet) -> int:
        """Make again what is kept of who is named beside whom; how many touchpoints there are."""
        with self.transaction() as connection:
            return rebuild_evidence(connection, progress)

    def touchpoint_count(self, lead: int) -> int:
        """How many touchpoints name a lead, about; quicker than to read them."""
        with self.snapshot() as connection:
            return touchpoint_count(connection, lead, self.too_common)

    def touchpoints_of(self, lead: int, known_at: int | None = None) -> list[StoredTouchpoint]:
        """All touchpoints of a lead, and those of its streams that do not count, by position."""
        with self.snapshot() as connection:
            return reading.touchpoints_of(connection, self.strings, self.too_common, lead, known_at)

    def similar(self, progress: Progress = quiet) -> Columns:
        """What leads are compared by to find duplicates, by lead as of now."""
        with self.snapshot() as connection:
            return similar(connection, self.strings, self.too_common, progress)

    def unlinked(self) -> NDArray[np.int64]:
        """Pairs of leads, a row each, of which somebody said last that they are two people."""
        with self.snapshot() as connection:
            return unlinked(connection, self.too_common)

    def check_keys(self, identifier_key: IdentifierKey, workspace_key: WorkspaceKey) -> None:
        """Make sure that these are the keys that the facts were begun with; keep whose they are.

        Under another identifier key the same person would be somebody else.

        Raises:
            OtherKey: One of them is another.
        """
        marks = {"identifier key": identifier_key.mark, "workspace key": workspace_key.mark}
        check_marks(self._database, marks)

    def keyring(self, workspace_key: WorkspaceKey) -> StoredKeys:
        """The data keys, opened with the workspace key."""
        return StoredKeys(self._database, workspace_key)

    def rule_book(self, known_at: int | None = None) -> list[Publication]:
        """The publications known, in their order."""
        with self.snapshot() as connection:
            upto = last_position(connection) if known_at is None else known_at
            return rulebook.rule_book(connection, upto)

    def written_rules(self, rules_id: str) -> WrittenRules:
        """A rule set as it was written.

        Raises:
            UnknownRuleSet: None with this id was ever kept.
        """
        with self.snapshot() as connection:
            return rulebook.written_rules(connection, rules_id)

    def publish(self, rules: WrittenRules, effective_at: int | None = None) -> None:
        """Put a rule set in the book, in force from an instant on; None: the beginning of time."""
        with self.transaction() as connection:
            rulebook.keep_rules(connection, rules)
            rulebook.publish(connection, [(rules.id, effective_at)], self.clock())

    def aside(self, *, waiting: bool = True) -> Sequence[Aside]:
        """What was set aside and still waits, or ever was."""
        with self.snapshot() as connection:
            return aside.listed(connection, waiting=waiting)

    def waiting_aside(self) -> tuple[int, int]:
        """How many items wait aside, and the number of the last one; 0 and 0 where none does."""
        with self.snapshot() as connection:
            return aside.waiting(connection)

    def aside_batch(self, after: int, upto: int) -> Sequence[Aside]:
        """The first items with numbers in (after, upto] that wait, few enough to hold at once."""
        with self.snapshot() as connection:
            return aside.batch(connection, after, upto)

    def intake(self) -> Mapping[str, Intake]:
        """What came, by origin."""
        with self.snapshot() as connection:
            return ledger.intake(connection)

    def dropped(self) -> Mapping[tuple[str, str], int]:
        """How many identifiers name nobody, by origin and reason."""
        with self.snapshot() as connection:
            return ledger.dropped(connection)

    def import_state(self, key: str) -> str | None:
        """How far an import has come, as it said itself; None where it never began."""
        with self.snapshot() as connection:
            return ledger.import_state(connection, key)

    def log_access(self, who: str, lead: str, reason: str) -> None:
        """Keep that somebody looks at a lead's personal data, and why."""
        with self.transaction() as connection:
            ledger.log_access(connection, Access(self.clock(), who, lead, reason))

    def accesses(self) -> Sequence[Access]:
        """Who looked at personal data, when and why."""
        with self.snapshot() as connection:
            return ledger.accesses(connection)


def _database(url: str, *, create: bool) -> Database:
    if is_server(url):
        from engine.store.postgres import PostgresDatabase  # its driver takes a while to load

        return PostgresDatabase(url, create=create)
    return sqlite.Database(file_of(url), FACTS, create=create)


def is_server(url: str) -> bool:
    """Whether a database URL names a PostgreSQL server."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme.partition("+")[0] in ("postgresql", "postgres")


def models_of(url: str | Path) -> str | Path:
    """Where the read models of a database are, as `Models.open` takes it."""
    return str(url) if is_server(str(url)) else models_beside(file_of(url))


def models_beside(path: Path) -> Path:
    """The file of the read models of a facts file."""
    return path.with_name(f"{path.stem}.models.db")


def file_of(url: str | Path) -> Path:
    """The file that a database URL names.

    Raises:
        UnknownStore: It names none.
    """
    path = database_path(str(url))
    if path is None:
        raise UnknownStore(str(url).split(":", 1)[0] or "nothing")
    return path
