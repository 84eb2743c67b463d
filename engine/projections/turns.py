"""Whose turn it is to derive rows: one process at a time, and one that stays at it.

A turn ends with the process that has it, however that ends.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from engine.store.faults import files_told_clearly

DERIVING, FOLLOWING, REPLAYING = "runner", "follower", "replay"


class Turns(Protocol):
    """Locks among processes, by name; safe to share among threads."""

    def take(self, name: str, *, wait: bool) -> AbstractContextManager[bool]:
        """Have a turn for as long as the block lasts; False where another has it."""
        ...

    def rest(self, seconds: float) -> None:
        """Wait so long, or until a hint comes that something was recorded.

        Raises:
            StoreAway: The turn at following is lost, as far as can be told.
        """
        ...

    def close(self) -> None:
        """Give up all of them."""
        ...


class FileTurns:
    """Turns at one SQLite file: locks on files beside it. Nobody gives hints."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def take(self, name: str, *, wait: bool) -> Iterator[bool]:
        """Lock a file beside the database."""
        path = Path(f"{self._path}.{name}")
        with files_told_clearly(path):
            file = path.open("w")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                taken = True
            except BlockingIOError:
                taken = False
            yield taken

    def rest(self, seconds: float) -> None:
        """Wait so long."""
        time.sleep(seconds)

    def close(self) -> None:
        """Nothing is kept open."""
