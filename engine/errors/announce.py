"""What can be wrong with announcing, and with the sinks that take announcements."""

from engine.errors.base import EngineError
from engine.errors.store import StoreAway


class AnnouncerBusy(EngineError):
    """Another process announces for the same database."""

    code = "announcer_busy"
    exit_code = 3

    def __init__(self, name: object) -> None:
        super().__init__(
            f"another process announces for {name}; let it do so, or stop it before this is run"
        )


class AnnouncerOvertaken(StoreAway):
    """Two processes announced at once; what the slower one was about to tell was undone."""

    code = "announcer_overtaken"

    def __init__(self, what: str) -> None:
        EngineError.__init__(
            self,
            f"another process has moved {what} meanwhile; nothing of this was stored: try again",
        )


class AnnouncedAlready(EngineError):
    """Announcing was to begin at the first position, and has begun."""

    code = "announced_already"
    exit_code = 3

    def __init__(self, announcements: int) -> None:
        super().__init__(
            f"{announcements:,} announcements are told, and none is taken back; "
            "leave out --from-beginning to go on after the last one"
        )


class SinkAway(EngineError):
    """A sink does not take announcements for now; it is tried again, and nothing is skipped."""

    code = "sink_away"
    exit_code = 7

    def __init__(self, sink: str, problem: str) -> None:
        super().__init__(
            f"the sink {sink} does not take announcements ({problem}); "
            "they wait, and are sent in their order once it does"
        )


class SinkRefused(SinkAway):
    """A sink answers, and will not take an announcement until somebody mends something."""

    code = "sink_refused"

    def __init__(self, sink: str, problem: str) -> None:
        EngineError.__init__(
            self,
            f"the sink {sink} refuses announcements ({problem}); mend that there, or name another "
            "place: they wait, and none is skipped",
        )
