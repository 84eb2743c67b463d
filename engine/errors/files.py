"""What can be wrong with files and mappings."""

from collections.abc import Iterable, Sequence

from engine.errors.base import EngineError
from engine.errors.facts import Refused
from engine.errors.rules import Fault
from engine.nearest import guess


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
        names = list(known)
        fix = f"name a TOML file, or one of those that ship: {', '.join(names)}"
        hint = f"{guess(reference, names)} {fix}".lstrip()
        super().__init__(f"no mapping {reference} ({reason}); {hint}")


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
