"""What can be wrong with Kafka, its topics and the schema registry."""

from engine.errors.base import EngineError
from engine.errors.facts import UnknownSchema


class UnregisteredSchema(UnknownSchema):
    """A registry has no schema of a number; it may get one."""

    def __init__(self, number: int, registry: str) -> None:
        self.number = number
        EngineError.__init__(
            self,
            f"the registry {registry} has no schema {number}; "
            "register it under this number, or name the registry that the producer uses "
            "by LEADLEDGER_REGISTRY",
        )


class SchemaRefused(UnknownSchema):
    """A registry has a schema that nothing here may read with."""

    def __init__(self, origin: str, problem: str) -> None:
        EngineError.__init__(
            self,
            f"{origin} cannot be used: {problem}; "
            "have the producer use an Avro schema that is whole, does not hold itself "
            "and in which every value takes bytes",
        )


class RegistryAway(EngineError):
    """The schema registry does not answer; ask again later."""

    code = "registry_away"
    exit_code = 7

    def __init__(self, registry: str, problem: str) -> None:
        super().__init__(
            f"the schema registry {registry} cannot be asked ({problem}); "
            "bring it back, or correct LEADLEDGER_REGISTRY"
        )


class BrokerAway(EngineError):
    """No broker answers, or none that can take part; try again later."""

    code = "broker_away"
    exit_code = 7

    def __init__(self, servers: str, problem: str) -> None:
        super().__init__(
            f"no Kafka at {servers} ({problem}); "
            "start it, or correct LEADLEDGER_KAFKA and its companions"
        )


class BrokerRefused(EngineError):
    """A broker answers, and refuses what it was asked."""

    code = "broker_refused"
    exit_code = 7

    def __init__(self, servers: str, problem: str) -> None:
        super().__init__(
            f"Kafka at {servers} refuses: {problem}; "
            "mend that there, or let another user or topic be used"
        )


class TopicMissing(EngineError):
    """There is no topic of a name."""

    code = "topic_missing"
    exit_code = 4

    def __init__(self, topic: str, servers: str) -> None:
        super().__init__(
            f"Kafka at {servers} has no topic {topic}; make it by `leadledger kafka init`, "
            "or name another by LEADLEDGER_TOPIC"
        )


class SpoolInUse(EngineError):
    """A folder of spooled messages is in the hands of another process."""

    code = "spool_in_use"
    exit_code = 2

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"another process has the spool {folder}; wait for its end, or name another folder"
        )


class SpoolFailed(EngineError):
    """A spool cannot be read or written; what it promised to keep stays in it."""

    code = "spool_failed"
    exit_code = 7

    def __init__(self, folder: object, cause: OSError) -> None:
        super().__init__(
            f"the spool {folder} cannot be used ({cause.strerror or cause}); "
            "make room, mend the disk or name another folder"
        )


class NotAcknowledged(EngineError):
    """Some of what was emitted is neither with the broker nor on disk; `first` is its first row."""

    code = "not_acknowledged"
    exit_code = 7

    def __init__(self, rows: int, first: int, problem: object) -> None:
        super().__init__(
            f"{rows:,} rows, from number {first:,} on, are not acknowledged "
            f"({problem or 'the broker was not done in time'}); "
            "emit them again, which does no harm to those that arrived"
        )
        self.rows = rows
        self.first = first
