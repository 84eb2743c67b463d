"""The dictionary: every string that columns hold, once, by a number from 1 up."""

from collections.abc import Collection, Sequence
from typing import Any

from engine.store.bulk import listed
from engine.store.connection import Connection, Database

_KEPT = 1 << 18  # strings in memory


class Dictionary(dict[str | None, int]):
    """Texts to ids for the one who writes: a text not seen before gets its id on the way.

    Bound to the transaction at hand; forget it when that is undone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._connection: Connection | None = None
        self.forget()

    def bind(self, connection: Connection) -> None:
        """Look up and add through this connection from now on."""
        self._connection = connection
        if len(self) > _KEPT:
            self.forget()

    def forget(self) -> None:
        """Empty the memory; None stays 0."""
        self.clear()
        self[None] = 0

    def __missing__(self, text: str) -> int:
        assert self._connection is not None, "bind comes first"
        execute = self._connection.execute
        row = execute("SELECT id FROM strings WHERE text = ?", (text,)).fetchone()
        if row is None:
            insert = "INSERT INTO strings (text) VALUES (?) RETURNING id"
            row = execute(insert, (text,)).fetchone()
        self[text] = number = int(row[0])
        return number


class StoredStrings:
    """`engine.history.Strings` over the dictionary of a facts file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._texts: dict[int, str] = {0: ""}
        self._ids: dict[str, int] = {}

    def texts(self, ids: Sequence[int]) -> list[str]:
        """The texts of these ids, in their order; 0 gives the empty string."""
        if len(self._texts) > _KEPT:
            self._texts = {0: ""}
        texts = self._texts
        texts.update(self._select("id, text FROM strings WHERE id", {*ids} - texts.keys()))
        return [texts[id_] for id_ in ids]

    def ids(self, texts: Sequence[str]) -> list[int]:
        """The ids of these texts, in their order; 0 for a text that was never recorded."""
        if len(self._ids) > _KEPT:
            self._ids = {}
        ids = self._ids
        ids.update(self._select("text, id FROM strings WHERE text", {*texts} - ids.keys()))
        return [ids.get(text, 0) for text in texts]

    def _select(self, what: str, keys: Collection[int] | Collection[str]) -> list[tuple[Any, Any]]:
        if not keys:
            return []
        with self._database.snapshot() as connection:
            return connection.execute(
                f"SELECT {what} IN (SELECT value FROM json_each(?))", (listed(keys),)
            ).fetchall()
