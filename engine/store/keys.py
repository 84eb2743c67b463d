"""Data keys, kept wrapped by the workspace key; and by which keys the facts were begun."""

from collections.abc import Mapping, Sequence

from engine.errors import OtherKey
from engine.privacy import WorkspaceKey, new_key
from engine.store.bulk import listed
from engine.store.connection import Connection, Database

_KEPT = 1 << 16  # data keys in memory
_SELECT = "SELECT key_id, wrapped FROM data_keys WHERE key_id IN (SELECT value FROM json_each(?))"


class StoredKeys:
    """`engine.privacy.Keyring` over a facts file.

    Missing keys are made in a transaction of their own, before anything is sealed
    with them: a key without a touchpoint does no harm, the reverse would.
    """

    def __init__(self, database: Database, workspace_key: WorkspaceKey) -> None:
        self._database = database
        self._workspace_key = workspace_key
        self._keys: dict[str, bytes] = {}

    def keys(self, key_ids: Sequence[str]) -> dict[str, bytes]:
        """The data keys of these ids; one that is missing is made.

        Raises:
            WrongKey: They were wrapped by another workspace key.
        """
        found = self.stored(key_ids)
        missing = [key_id for key_id in dict.fromkeys(key_ids) if key_id not in found]
        if missing:
            found.update(self._open(self._make(missing)))
        return found

    def stored(self, key_ids: Sequence[str]) -> dict[str, bytes]:
        """The data keys of these ids; one that is missing is left out."""
        if len(self._keys) > _KEPT:
            self._keys = {}  # another thread may be reading the old ones
        known = self._keys
        found = {key_id: known[key_id] for key_id in key_ids if key_id in known}
        unknown = [key_id for key_id in dict.fromkeys(key_ids) if key_id not in found]
        if unknown:
            with self._database.snapshot() as connection:
                found |= self._open(_select(connection, unknown))
        return found

    def _make(self, key_ids: Sequence[str]) -> dict[str, bytes]:
        """Add keys; where another process was quicker, its key stays."""
        wrapped = [(key_id, self._workspace_key.wrap(key_id, new_key())) for key_id in key_ids]
        with self._database.transaction() as connection:
            insert = "INSERT INTO data_keys VALUES (?, ?) ON CONFLICT DO NOTHING"
            connection.executemany(insert, wrapped)
            return _select(connection, key_ids)

    def _open(self, wrapped: Mapping[str, bytes]) -> dict[str, bytes]:
        unwrap = self._workspace_key.unwrap
        opened = {key_id: unwrap(key_id, key) for key_id, key in wrapped.items()}
        self._keys.update(opened)
        return opened


def key_marks(connection: Connection) -> dict[str, str]:
    """The marks of the keys that the facts were begun with, by the name of the key."""
    return dict(connection.execute("SELECT name, mark FROM key_marks").fetchall())


def check_marks(database: Database, marks: Mapping[str, str]) -> None:
    """Compare the marks of keys with those kept; keep those that are the first of their name.

    Raises:
        OtherKey: The facts were begun with another key.
    """
    with database.snapshot() as connection:
        kept = key_marks(connection)
    if not marks.keys() <= kept.keys():
        with database.transaction() as connection:
            insert = "INSERT INTO key_marks VALUES (?, ?) ON CONFLICT DO NOTHING"
            connection.executemany(insert, marks.items())
            kept = key_marks(connection)
    for name, mark in marks.items():
        if kept[name] != mark:
            raise OtherKey(database.name, name)


def _select(connection: Connection, key_ids: Sequence[str]) -> dict[str, bytes]:
    return dict(connection.execute(_SELECT, (listed(key_ids),)).fetchall())
