"""The eventsourcing library's way in: `PERSISTENCE_MODULE=engine.store.factory`."""

from eventsourcing import sqlite
from eventsourcing.utils import Environment, EnvType

from engine.store import mapper
from engine.store.recorder import (
    AggregateRecorder,
    BulkApplicationRecorder,
    BulkProcessRecorder,
    Datastore,
)


class Factory(mapper.MakesLeadMapper, sqlite.SQLiteFactory):
    """Makes our mapper and recorders over the facts file named by `SQLITE_DBNAME`."""

    aggregate_recorder_class = AggregateRecorder
    application_recorder_class = BulkApplicationRecorder
    process_recorder_class = BulkProcessRecorder

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self.datastore = Datastore(
            self.datastore.pool.db_name, single_row_tracking=self.datastore.single_row_tracking
        )
