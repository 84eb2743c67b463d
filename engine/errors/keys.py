"""What can be wrong with keys and settings."""

from engine.errors.base import EngineError


class WrongKey(EngineError):
    """Sealed data that does not open."""

    code = "wrong_key"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} does not open: the key is another one or the data was changed; "
            "give the engine the keys that it was set up with"
        )


class BadKey(EngineError):
    """A key that is not 32 bytes."""

    code = "bad_key"
    exit_code = 2

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}; a key is 32 bytes, written as 64 hex digits")


class OtherKey(EngineError):
    """A database was begun with another key than the one at hand."""

    code = "other_key"

    def __init__(self, path: object, name: str) -> None:
        super().__init__(
            f"{path} was begun with another {name}, and nothing in it fits this one; "
            "give the engine the keys that it was set up with, or name another file by --db"
        )


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
