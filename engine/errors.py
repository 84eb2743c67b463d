"""The error tree. Each error says what happened, with the value, and what to do."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class EngineError(Exception):
    """Anything that the engine refuses or cannot do, told in one sentence.

    `code` is stable and machine-readable; `exit_code` is what a command that
    ends with this error returns (1 fault of ours, 2 usage, 3 input refused,
    4 not found, 7 a part is away).
    """

    code = "fault"
    exit_code = 1


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


class NoStream(EngineError):
    """A touchpoint that names nobody and has no stream of its own."""

    code = "no_identifier"
    exit_code = 3

    def __init__(self, type_name: str) -> None:
        super().__init__(
            f"a touchpoint of type {type_name} names nobody, so it belongs to no stream; "
            "give it an identifier"
        )


class Refused(EngineError):
    """A touchpoint cannot be accepted as it is; `detail` never holds a value of it."""

    code = "refused"
    exit_code = 3

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


class BadInstant(EngineError):
    """A text that is no instant."""

    code = "bad_instant"
    exit_code = 2

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}; write an instant like 2026-03-01T08:00:00+07:00")


class UnknownSchema(EngineError):
    """Nothing here reads the schema that a record was written with."""

    code = "unknown_schema"
    exit_code = 3

    def __init__(self, fingerprint: str, known: Iterable[str]) -> None:
        self.fingerprint = fingerprint
        super().__init__(
            f"no schema here has the fingerprint {fingerprint} "
            f"(known: {', '.join(sorted(known))}); "
            "add its .avsc to schemas/, or have the producer use a known one"
        )


class Undecodable(EngineError):
    """Bytes that are no touchpoint in Avro's single-object encoding."""

    code = "undecodable"
    exit_code = 3

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"these bytes are no touchpoint: {problem}; "
            "send C3 01, the schema's fingerprint and one whole Avro record"
        )


class WrongKey(EngineError):
    """Sealed data that does not open."""

    code = "wrong_key"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} does not open: the key is another one or the data was changed; "
            "give the engine the keys that it was set up with"
        )


class OtherKey(EngineError):
    """A database was begun with another key than the one at hand."""

    code = "other_key"

    def __init__(self, path: object, name: str) -> None:
        super().__init__(
            f"{path} was begun with another {name}, and nothing in it fits this one; "
            "give the engine the keys that it was set up with, or name another file by --db"
        )


class BadKey(EngineError):
    """A key that is not 32 bytes."""

    code = "bad_key"
    exit_code = 2

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}; a key is 32 bytes, written as 64 hex digits")


class KeyFileExposed(EngineError):
    """Others may read the keys."""

    code = "key_file_exposed"
    exit_code = 2

    def __init__(self, path: object, mode: int) -> None:
        super().__init__(
            f"the key file {path} has mode {mode:04o}, so that others may read it; "
            f"run chmod 600 {path}"
        )


class KeyFileDamaged(EngineError):
    """A key file that cannot be understood."""

    code = "key_file_damaged"
    exit_code = 2

    def __init__(self, path: object, problem: str) -> None:
        super().__init__(
            f"the key file {path} cannot be used: {problem}; bring it back from a backup"
        )


class KeyFileUnwritable(EngineError):
    """A new database cannot get its keys."""

    code = "key_file_unwritable"
    exit_code = 2

    def __init__(self, path: object, problem: str) -> None:
        super().__init__(
            f"the key file {path} cannot be made ({problem}); "
            "let its folder be written, or name another file by LEADLEDGER_KEY_FILE"
        )


class KeyMissing(EngineError):
    """A database is there, and the key that it was set up with is not."""

    code = "key_missing"
    exit_code = 2

    def __init__(self, name: str, variable: str, path: object | None) -> None:
        place = f"bring {path} back from a backup, or set" if path else "set"
        super().__init__(
            f"the {name} is missing, and a new one would not fit what is stored; {place} {variable}"
        )


class BadSetting(EngineError):
    """A setting that cannot be used."""

    code = "bad_setting"
    exit_code = 2

    def __init__(self, name: str, problem: str, right: str) -> None:
        super().__init__(f"{name} {problem}; {right}")


class ReadModelsDamaged(StoreError):
    """The file of the read models cannot be read; no fact is in it."""

    code = "read_models_damaged"

    def __init__(self, path: object) -> None:
        super().__init__(
            f"{path} is damaged or no file of read models; nothing is lost, "
            "since all of it is derived: run leadledger rebuild"
        )


class UnknownName(EngineError):
    """A name that the rule set, or a report, does not have."""

    code = "unknown_name"
    exit_code = 4

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        listed = ", ".join(known) or "none"
        super().__init__(f"there is no {kind} {name!r} (known: {listed}); use one of these")


class BadBreakdown(EngineError):
    """What a report was to be broken down by is nothing that leads have."""

    code = "bad_breakdown"
    exit_code = 2

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem}; use one or two of source, channel, owner, month, "
            "campaign.NAME and attributes.NAME"
        )


class Fault(NamedTuple):
    """One thing wrong with a rule file: the key, its line (from 1) where known, and why."""

    key: str
    line: int | None
    message: str

    def __str__(self) -> str:
        place = "" if self.line is None else f"line {self.line}: "
        return f"{place}{self.key}: {self.message}" if self.key else f"{place}{self.message}"


class RulesInvalid(EngineError):
    """A rule file has faults; `faults` lists every one, sorted by line."""

    code = "rules_invalid"
    exit_code = 2

    def __init__(self, origin: str, faults: Sequence[Fault]) -> None:
        listed = "".join(f"\n  {fault}" for fault in faults)
        many = f"{len(faults)} faults" if len(faults) > 1 else "a fault"
        super().__init__(f"{origin} has {many}; mend and check again:{listed}")
        self.origin = origin
        self.faults = list(faults)


class Clash(NamedTuple):
    """What two rule files say differently: what it is called, and the two places."""

    what: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.what} stands in {self.first} and in {self.second}"


class RulesClash(EngineError):
    """Rule sets that cannot become one; `clashes` lists every reason."""

    code = "rules_clash"
    exit_code = 2

    def __init__(self, clashes: Sequence[Clash]) -> None:
        listed = "".join(f"\n  {clash}" for clash in clashes)
        super().__init__(f"these rule sets clash; rename or leave out one of each:{listed}")
        self.clashes = list(clashes)


class RulesUnreadable(EngineError):
    """A rule file cannot be read."""

    code = "rules_unreadable"
    exit_code = 4

    def __init__(self, path: str, cause: Exception) -> None:
        reason = getattr(cause, "strerror", None) or str(cause)
        super().__init__(f"cannot read the rules {path}: {reason}; name a TOML file of rules")


class ResourceMissing(EngineError):
    """A folder that ships with the engine is not there."""

    code = "resource_missing"

    def __init__(self, name: str, places: Sequence[object]) -> None:
        looked = " and ".join(str(place) for place in places)
        super().__init__(f"the folder {name} is missing (looked for {looked}); install again")


class MappingInvalid(EngineError):
    """A mapping file has faults; `faults` lists every one, sorted by line."""

    code = "mapping_invalid"
    exit_code = 2

    def __init__(self, origin: str, faults: Sequence[Fault]) -> None:
        listed = "".join(f"\n  {fault}" for fault in faults)
        many = f"{len(faults)} faults" if len(faults) > 1 else "a fault"
        super().__init__(f"the mapping {origin} has {many}; mend and try again:{listed}")
        self.faults = list(faults)


class MappingUnreadable(EngineError):
    """No mapping ships under a name, and no file is there or can be read."""

    code = "mapping_unreadable"
    exit_code = 4

    def __init__(self, reference: str, cause: Exception, known: Iterable[str]) -> None:
        reason = getattr(cause, "strerror", None) or str(cause)
        super().__init__(
            f"no mapping {reference} ({reason}); name a TOML file, "
            f"or one of those that ship: {', '.join(known)}"
        )


class Unmappable(Refused):
    """A row that its mapping cannot read; it is set aside. The message never holds a value."""

    def __init__(self, detail: str) -> None:
        super().__init__("not_canonical", detail)


class FileUnreadable(EngineError):
    """A file to import, or one that it is joined with, cannot be read."""

    code = "file_unreadable"
    exit_code = 4

    def __init__(self, path: object, cause: Exception) -> None:
        reason = getattr(cause, "strerror", None) or str(cause)
        super().__init__(f"cannot read {path}: {reason}; name a file that is there and readable")


class ForeignFile(EngineError):
    """A file is not what its mapping (or none) says; refused before anything is recorded."""

    code = "foreign_file"
    exit_code = 3

    def __init__(self, path: object, what: str, fix: str) -> None:
        super().__init__(f"{path} {what}, nothing was recorded; {fix}")


class WrongEncoding(EngineError):
    """A file as a whole is not in the encoding that it is read in."""

    code = "wrong_encoding"
    exit_code = 3

    def __init__(self, path: object, encoding: str, fix: str) -> None:
        super().__init__(f"{path} is not {encoding} text, nothing was recorded; {fix}")


class NotObservable(EngineError):
    """A figure that a funnel without a time limit does not have."""

    code = "not_observable"
    exit_code = 2

    def __init__(self, funnel: str, kind: str) -> None:
        super().__init__(
            f"nobody in the funnel {funnel!r} can be known to be {kind}, since it limits no time; "
            "give it a window, or a step a within, or ask who reached a step"
        )


class UnknownRuleSet(EngineError):
    """A rule set's id that nothing was kept under."""

    code = "unknown_rule_set"
    exit_code = 4

    def __init__(self, rules_id: str) -> None:
        super().__init__(
            f"no rule set with id {rules_id} in this database; "
            "name one that `leadledger rules list` shows, or a file"
        )


class UnknownLead(EngineError):
    """A lead's number or id that no stream answers to."""

    code = "unknown_lead"
    exit_code = 4

    def __init__(self, lead: object) -> None:
        super().__init__(f"no lead {lead} in this database; `leadledger leads` lists them")


class NoSuchLead(EngineError):
    """Nobody is called so."""

    code = "no_such_lead"
    exit_code = 4

    def __init__(self, named: str) -> None:
        super().__init__(
            f"there is no lead by this {named if named.isidentifier() else 'id'}; name it by its id "
            "as `leadledger leads` lists it, or by an identifier, such as email:an@example.vn "
            "or crm_id:hubspot:991"
        )
