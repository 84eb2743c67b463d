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
            "use sqlite:///FOLDER/FILE.db, the path of a file, or postgresql://USER@HOST/DATABASE"
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


class FileInTheWay(StoreError):
    """Where a file is to be made there is one."""

    code = "file_in_the_way"
    exit_code = 2

    def __init__(self, path: object) -> None:
        super().__init__(f"{path} is there already; name another file, or move that one away")


class NoFileToCopy(StoreError):
    """A database on a server is to be copied as if it were a file."""

    code = "no_file_to_copy"
    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "the database is no file of this machine; "
            "copy it with pg_dump, as docs/operations.md shows, or name a file by --db"
        )


class StoreVersion(StoreError):
    """A database was written by another version of this program."""

    code = "store_version"

    def __init__(self, path: object, found: int | str, known: int | str) -> None:
        newer = str(found).zfill(32) > str(known).zfill(32)
        age = "a newer" if newer else "an older"
        fix = "install that version" if newer else "run leadledger migrate, with the same --db"
        super().__init__(
            f"{path} has tables of version {found}, this program's are of {known}: "
            f"it was written by {age} version; {fix}"
        )


class StoreCorrupt(StoreError):
    """A database file is damaged."""

    code = "store_corrupt"

    def __init__(self, path: object, detail: str) -> None:
        self.where = str(path)
        super().__init__(
            f"{path} is damaged ({detail}); put back a backup, "
            "or import the touchpoints again into a new database"
        )


class StoreReadOnly(StoreError):
    """A database cannot be written, or not even opened, with the rights at hand."""

    code = "store_read_only"

    def __init__(
        self,
        path: object,
        fix: str = "let this user write it and the folder that it is in, "
        "or name another file by --db",
    ) -> None:
        super().__init__(f"no right to write {path}; {fix}")


class StoreAway(StoreError):
    """A database cannot be used for now; what was asked of it did not happen. Try again."""

    code = "store_away"

    def __init__(self, name: object, why: str) -> None:
        super().__init__(
            f"{name} cannot be used for now ({why}); "
            "nothing of this was stored: try again once it is back"
        )


class StoreInDoubt(StoreAway):
    """A transaction ended unheard, and the database cannot say any more how."""

    code = "store_in_doubt"

    def __init__(self, name: object, why: str) -> None:
        EngineError.__init__(
            self,
            f"{name} was lost while a transaction ended ({why}), and cannot tell "
            "whether it took place; try again from what is stored, where nothing counts twice",
        )


class StoreLocked(StoreAway):
    """Another process has been writing for too long."""

    code = "store_locked"

    def __init__(self, path: object, seconds: float) -> None:
        EngineError.__init__(
            self,
            f"another process has kept {path} locked for {seconds:g} s; "
            "wait until it is done, or end it, and try again",
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


class RunnerOvertaken(StoreAway):
    """Two processes derived the same rows at once; what the slower one derived was undone."""

    code = "runner_overtaken"

    def __init__(self, generation: int) -> None:
        EngineError.__init__(
            self,
            f"another process derived rows of generation {generation} of the read models "
            "meanwhile; nothing of this was stored: try again",
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
