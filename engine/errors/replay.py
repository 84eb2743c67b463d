"""What can be wrong with replays."""

from collections.abc import Iterable, Sequence

from engine.errors.base import EngineError

_LIST = "`leadledger replay list` shows them"


class NoSuchRun(EngineError):
    """No replay has a number."""

    code = "no_such_run"
    exit_code = 4

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no replay {number}; {_LIST}")


class NoRunFits(EngineError):
    """No replay is in a state in which something can be done with it."""

    code = "no_run_fits"
    exit_code = 4

    def __init__(self, what: str, states: Iterable[str]) -> None:
        super().__init__(f"no replay is {' or '.join(states)}, so there is none to {what}; {_LIST}")


class SeveralRuns(EngineError):
    """Several replays may be meant."""

    code = "several_runs"
    exit_code = 4

    def __init__(self, what: str, numbers: Sequence[int]) -> None:
        listed = ", ".join(map(str, numbers))
        super().__init__(f"there are {len(numbers)} replays to {what}: {listed}; name one of them")


class RunUnfit(EngineError):
    """A replay is not in a state in which something can be done with it."""

    code = "run_unfit"
    exit_code = 3

    def __init__(self, number: int, state: str, what: str, states: Iterable[str]) -> None:
        super().__init__(
            f"replay {number} is {state}; to {what} it must be {' or '.join(states)}, and {_LIST}"
        )


class RunBusy(EngineError):
    """Another process works on a replay."""

    code = "run_busy"
    exit_code = 3

    def __init__(self, number: int) -> None:
        super().__init__(
            f"another process is at work on replay {number}; "
            f"wait until it is done, or stop it by `leadledger replay pause {number}`"
        )


class RunChanged(EngineError):
    """A replay is not what it was a moment ago."""

    code = "run_changed"
    exit_code = 3

    def __init__(self, number: int) -> None:
        super().__init__(
            f"another process changed replay {number} meanwhile, and nothing was done to it here; "
            "look at `leadledger replay list`, and try again"
        )


class RunThere(EngineError):
    """A rule set is being replayed already."""

    code = "run_there"
    exit_code = 3

    def __init__(self, number: int, name: str, state: str) -> None:
        super().__init__(
            f"replay {number} is of the same rules, {name}, and {state}; "
            f"go on with that one, or end it by `leadledger replay drop {number}`"
        )


class ShadowGone(EngineError):
    """What a replay derived is not there, or is of other facts or another version."""

    code = "shadow_gone"
    exit_code = 3

    def __init__(self, number: int) -> None:
        super().__init__(
            f"what replay {number} derived is gone, or is of other facts or of another version of "
            f"this program; end it by `leadledger replay drop {number}`, and start it anew"
        )


class InForceAlready(EngineError):
    """A rule set judges all of history as it is."""

    code = "in_force_already"
    exit_code = 3

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is in force for all time already; a replay of other rules would differ"
        )


class BookChanged(EngineError):
    """Rules were published since a replay began; `published` says which, in words."""

    code = "book_changed"
    exit_code = 3

    def __init__(self, number: int, published: Sequence[str]) -> None:
        listed = "".join(f"\n  {one}" for one in published)
        super().__init__(
            f"the rule book has changed since replay {number} last looked, and this would put out "
            f"of force what was published; do it all the same with --anyway:{listed}"
        )
        self.published = list(published)
