"""What can be wrong with the stores."""

from collections.abc import Iterable

from engine.errors.base import EngineError


class StoreError(EngineError):
    """A database file cannot be used as it is."""

    code = "store"
    exit_code = 7


class StoreMissing(StoreError):
    """There is no database where one was named."""

    code = "store_missing"

    def __init__(self, path: object) -> None:
        super().__init__(
            f"no database at {path}; import something into it, or name another by --db"
        )


class UnknownStore(StoreError):
    """A database URL of a kind that no store reads."""

    code = "unknown_store"
    exit_code = 2

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"no store for a database URL that begins with {kind!r}; "
            "use sqlite:///FOLDER/FILE.db or the path of a file"
        )


class NotAStore(StoreError):
    """A file is something else than the database that was expected."""

    code = "not_a_store"

    def __init__(self, path: object, what: str) -> None:
        super().__init__(f"{path} is {what}, not a leadledger database; name another file by --db")


class NotADemo(StoreError):
    """A database in the place of the demo's holds more than a demo records."""

    code = "not_a_demo"
    exit_code = 2

    def __init__(self, path: object) -> None:
        super().__init__(
            f"{path} holds what no demo recorded, and a demo would replace it; "
            "name another folder by --folder"
        )


class StoreVersion(StoreError):
    """A database was written by another version of this program."""

    code = "store_version"

    def __init__(self, path: object, found: int, known: int) -> None:
        age, fix = (
            ("a newer", "install that version")
            if found > known
            else (
                "an older",
                "read it with that version, and import its touchpoints into a new one",
            )
        )
        super().__init__(
            f"{path} has format {found}, this program reads {known}: "
            f"it was written by {age} version; {fix}"
        )


class StoreCorrupt(StoreError):
    """A database file is damaged."""

    code = "store_corrupt"

    def __init__(self, path: object, detail: str) -> None:
        super().__init__(
            f"{path} is damaged ({detail}); put back a backup, "
            "or import the touchpoints again into a new database"
        )


class StoreReadOnly(StoreError):
    """A database cannot be written, or not even opened, with the rights at hand."""

    code = "store_read_only"

    def __init__(self, path: object) -> None:
        super().__init__(
            f"no right to write {path} and the folder that it is in; "
            "give this user both, or name another file by --db"
        )


class StoreLocked(StoreError):
    """Another process has been writing for too long."""

    code = "store_locked"

    def __init__(self, path: object, seconds: float) -> None:
        super().__init__(
            f"another process has kept {path} locked for {seconds:g} s; "
            "wait until it is done, or end it, and try again"
        )


class StoreFull(StoreError):
    """No room is left where the database lies."""

    code = "store_full"

    def __init__(self, path: object) -> None:
        super().__init__(
            f"no room left to write {path}; nothing of this batch was stored: "
            "make room, and run the same command again"
        )


class StoreIO(StoreError):
    """The disk under a database refuses to read or write."""

    code = "store_io"

    def __init__(self, path: object, detail: str) -> None:
        super().__init__(
            f"reading or writing {path} failed ({detail}); check the disk, and try again"
        )


class ReadModelsDamaged(StoreError):
    """The file of the read models cannot be read; no fact is in it."""

    code = "read_models_damaged"

    def __init__(self, path: object) -> None:
        super().__init__(
            f"{path} is damaged or no file of read models; nothing is lost, "
            "since all of it is derived: run leadledger rebuild"
        )


class WrongStream(EngineError):
    """A touchpoint was given to the stream of another identifier."""

    code = "wrong_stream"

    def __init__(self, given: str, stream: str) -> None:
        super().__init__(
            f"a touchpoint of the stream {given} cannot be recorded in the stream {stream}; "
            "record it in the stream that its identifiers name"
        )


class VersionGap(EngineError):
    """A stream's events do not follow one another."""

    code = "version_gap"

    def __init__(self, stream: object, version: int, expected: int) -> None:
        super().__init__(
            f"stream {stream} has an event {version} where {expected} was due; "
            "the database was changed by hand: put back a backup"
        )


class UnknownTopic(EngineError):
    """A stored event of a kind that nothing here reads."""

    code = "unknown_topic"

    def __init__(self, topic: str, known: Iterable[str]) -> None:
        super().__init__(
            f"a stored event has the topic {topic!r} (known: {', '.join(sorted(known))}); "
            "the database was written by another program or a newer version"
        )
