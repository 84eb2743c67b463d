"""What can be wrong with the columnar journal."""

from engine.errors.store import StoreError


class JournalMissing(StoreError):
    """There is no journal in a folder."""

    code = "journal_missing"

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"no journal in {folder}; nothing is lost, since all of it is derived: "
            "extend it from its facts, which makes it anew"
        )


class JournalDamaged(StoreError):
    """Files of a journal are not what they were written as; no fact is in them."""

    code = "journal_damaged"

    def __init__(self, path: object, detail: str) -> None:
        super().__init__(
            f"{path} {detail}; nothing is lost, since all of it is derived: "
            "extend the journal from its facts, which makes it anew"
        )


class NotAJournal(StoreError):
    """A folder that is to hold a journal holds something else."""

    code = "not_a_journal"
    exit_code = 2

    def __init__(self, folder: object, name: str) -> None:
        super().__init__(
            f"{folder} is no folder of a journal, for it holds {name!r}; "
            "name one that is empty or not there yet"
        )


class JournalInterrupted(StoreError):
    """One of the processes that wrote a journal was killed."""

    code = "journal_interrupted"

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"a process that wrote the journal in {folder} was killed, for want of memory or by "
            "somebody; nothing is lost, and the journal is as it was: run the same command again"
        )
