"""What can be wrong with reading a topic: who may, and whether it still is what was read."""

from engine.errors.base import EngineError

_RESET = "run leadledger kafka reset to say from where to go on"


class Fenced(EngineError):
    """Another consumer owns a partition by now; nothing was written."""

    code = "fenced"
    exit_code = 7

    def __init__(self, topic: str, partition: int, epoch: int, owner: str) -> None:
        self.partition = partition
        super().__init__(
            f"partition {partition} of {topic} has another owner by now ({owner or 'nobody'}), "
            f"so what was read under epoch {epoch} is dropped; the new owner reads it again"
        )


class TopicChanged(EngineError):
    """A topic is no longer the one that was read so far: people must say how to go on."""

    code = "topic_changed"
    exit_code = 8


class TopicRecreated(TopicChanged):
    """A topic was deleted and made anew under its name."""

    code = "topic_recreated"

    def __init__(self, topic: str, partition: int, next_offset: int) -> None:
        super().__init__(
            f"topic {topic} was made anew: its partition {partition} was read up to offset "
            f"{next_offset} in another topic of this name; {_RESET}"
        )


class OffsetOutOfRange(TopicChanged):
    """The next offset of a partition is none that the topic has."""

    code = "offset_out_of_range"

    def __init__(self, topic: str, partition: int, offset: int, held: tuple[int, int]) -> None:
        lost = offset < held[0]
        what = "messages were deleted before they were read" if lost else "it was cut short"
        super().__init__(
            f"partition {partition} of {topic} is to be read from offset {offset}, but holds "
            f"offsets {held[0]} to {held[1]}: {what}; {_RESET}"
        )


class InstanceTaken(EngineError):
    """Another consumer goes by the same instance id."""

    code = "instance_taken"
    exit_code = 2

    def __init__(self, instance: str) -> None:
        super().__init__(
            f"another consumer goes by the instance id {instance!r} now; "
            "give each consumer of a group one of its own"
        )


class ClientMissing(EngineError):
    """The quick client is wanted, and not installed."""

    code = "client_missing"
    exit_code = 2

    def __init__(self, module: str) -> None:
        super().__init__(
            f"the fast client needs {module}, which is not installed; "
            "install leadledger[fast], or leave out --client fast"
        )
