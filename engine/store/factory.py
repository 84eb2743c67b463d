"""The eventsourcing library's way in: `PERSISTENCE_MODULE=engine.store.factory`."""

from typing import Any

from eventsourcing import sqlite
from eventsourcing.persistence import Mapper, Transcoder
from eventsourcing.utils import Environment, EnvType

from engine.store.mapper import LeadMapper
from engine.store.recorder import (
    AggregateRecorder,
    BulkApplicationRecorder,
    BulkProcessRecorder,
    Datastore,
)


class Factory(sqlite.SQLiteFactory):
    """Makes our mapper and recorders over the facts file named by `SQLITE_DBNAME`."""

    aggregate_recorder_class = AggregateRecorder
    application_recorder_class = BulkApplicationRecorder
    process_recorder_class = BulkProcessRecorder

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self.datastore = Datastore(
            self.datastore.pool.db_name, single_row_tracking=self.datastore.single_row_tracking
        )

    def mapper(
        self,
        transcoder: Transcoder | None = None,
        mapper_class: type[Mapper[Any]] | None = None,
    ) -> Mapper[Any]:
        """Our mapper, unless the environment names another."""
        if mapper_class is None and not self.env.get(self.MAPPER_TOPIC):
            mapper_class = LeadMapper
        return super().mapper(transcoder, mapper_class)
