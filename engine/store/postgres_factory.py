"""The eventsourcing library's way in: `PERSISTENCE_MODULE=engine.store.postgres_factory`."""

from typing import Any

from eventsourcing import postgres
from eventsourcing.utils import Environment, EnvType

from engine.store import mapper
from engine.store.postgres import FACTS
from engine.store.postgres_recorder import BulkApplicationRecorder, BulkProcessRecorder


class Factory(mapper.MakesLeadMapper, postgres.PostgresFactory):
    """Makes our mapper and recorders over the facts of the database named by `POSTGRES_DBNAME`."""

    application_recorder_class = BulkApplicationRecorder
    process_recorder_class = BulkProcessRecorder

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(_unnamed(env))
        self._recorders: list[BulkApplicationRecorder] = []

    def application_recorder(self) -> Any:
        """Our recorder of events."""
        return self._kept(super().application_recorder())

    def process_recorder(self) -> Any:
        """Our recorder of events with tracking."""
        return self._kept(super().process_recorder())

    def close(self) -> None:
        """Close the connections of the recorders, and the pool."""
        for recorder in self._recorders:
            recorder.close()
        super().close()

    def _kept(self, recorder: Any) -> Any:
        self._recorders.append(recorder)
        return recorder


def _unnamed(env: Environment | EnvType | None) -> Environment:
    """An environment without the application's name, after which the library calls tables.

    Settings that were meant for the application alone keep their meaning.
    """
    given = dict(env or {})
    own = f"{env.name.upper()}_" if isinstance(env, Environment) and env.name else None
    if own:
        given |= {key[len(own) :]: value for key, value in given.items() if key.startswith(own)}
    given.setdefault(postgres.PostgresFactory.POSTGRES_SCHEMA, FACTS.schema)
    return Environment(env=given)
